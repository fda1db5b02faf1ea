/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any drive at all is given to recovery. Whatever it holds: no assertion, no crash, no endless
 * work; the volume serves, or says why not. What it serves agrees with itself, every block that is
 * read has the bytes that its header names, and the volume goes on as one: it takes puts, deletes,
 * tenants and lists, closes, and opens again with what it had.
 *
 * Not responsible for: what the blocks should have been; nobody knows that of such a drive.
 */
#ifndef MKV_SIM_FORGED_CHECK_H
#define MKV_SIM_FORGED_CHECK_H

#include "sim/forged_image.h"

/* Returns when all of that is so, and fails an assertion otherwise. Changes the image. */
void mkv_forged_check(struct mkv_forged_image *image);

#endif
