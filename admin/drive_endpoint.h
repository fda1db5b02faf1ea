/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/drives/NAME/ACTION: an operator takes a drive out, brings it back, replaces or erases it
 * while the node serves (drive_life.h).
 *
 * Invariants
 *  I1  An answer comes within MKV_ADMIN_DRIVE_WAIT_MS_MAX and what the node needs to say how far it
 *      is: 200 it is done, 202 it is under way as the job that the answer names.
 *  I2  What is begun is audited, with its outcome so far.
 *
 * Not responsible for: doing it.
 */
#ifndef MKV_ADMIN_DRIVE_ENDPOINT_H
#define MKV_ADMIN_DRIVE_ENDPOINT_H

#include "admin/request.h"

#define MKV_ADMIN_DRIVE_WAIT_MS_MAX 5000u

mkv_admin_handler mkv_endpoint_drive;

#endif
