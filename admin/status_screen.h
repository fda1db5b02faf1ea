/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a node as text for a terminal, made from the JSON of /v1/status:
 *
 *     node gpu-07  DEGRADED  ready  up 6d 04:11  memkv 0.4.1 (3fa9c02)  epoch 12
 *     ! DRIVE_OFFLINE  d09  write error EIO → replace the drive
 *
 *     capacity  35.23 / 38.30 TiB         [##################..] 92.0 %
 *     …
 *
 * Invariants
 *  I1  Whatever a server sends, the screen is UTF-8 without control characters.
 *  I2  A field that is missing, or of another type, shows as 0 or "-".
 *
 * Not responsible for: fetching the status (http_get.h).
 */
#ifndef MKV_ADMIN_STATUS_SCREEN_H
#define MKV_ADMIN_STATUS_SCREEN_H

#include <jansson.h>

#include "admin/text.h"

/* Appends the screen. */
void mkv_status_screen(const json_t *status, struct mkv_text *out);

#endif
