/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of each drive: GET /v1/drives, and GET /v1/drives/NAME for one. A drive is an
 * object with all that /v1/status says of it, and
 *
 *   state_since     when it came to its state
 *   failure         the class of what is wrong with it, or null; failure_text says it in words
 *   last_error      {operation, result, errno, name, message, time}, or null
 *   queue_depth     operations in flight, all together; by operation they are in `io`
 *   latency         of the last minute, by operation {p50_us, p99_us, siblings_p99_us}; null: none
 *   drive_set       {version, members} of the node
 *   next            what to do, in the order in which to do it; empty where nothing is to be done
 *
 * Not responsible for: the life of drives, and their words (core/drive_state.h).
 */
#ifndef MKV_ADMIN_DRIVES_H
#define MKV_ADMIN_DRIVES_H

#include "admin/request.h"
#include "admin/text.h"

mkv_admin_handler mkv_endpoint_drives;
mkv_admin_handler mkv_endpoint_drive_show;

struct mkv_admin_reply mkv_admin_drives(const struct mkv_admin_snapshot *snapshot);
struct mkv_admin_reply mkv_admin_drive(const struct mkv_admin_snapshot *snapshot, const char *name);

/* The answer of /v1/drives/NAME for people. */
void mkv_drive_text(const json_t *answer, struct mkv_text *out);

#endif
