/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forges an image: few fields at a time, of units that mean something, in all copies of them or in
 * one, and mostly with the sums made right again, so that what is behind the
 * sums is met at all.
 *
 * Not responsible for: mutations of bytes that know nothing of the format; libFuzzer has those.
 */
#ifndef MKV_SIM_FORGED_EDIT_H
#define MKV_SIM_FORGED_EDIT_H

#include "sim/forged_image.h"
#include "sim/random.h"

void mkv_forged_edit(struct mkv_forged_image *image, struct mkv_random *random);

#endif
