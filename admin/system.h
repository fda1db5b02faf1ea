/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a report about a node needs to say of the machine, as the daemon sees it: GET /v1/system.
 * Each text is a file of the kernel as it stands, cut at MKV_SYSTEM_FILE_BYTES_MAX; one that cannot
 * be read says why instead. Also GET /v1/config and GET /v1/host (checks of the machine by the
 * provider), which stand beside it in a report.
 *
 * Not responsible for: figures (process.h).
 */
#ifndef MKV_ADMIN_SYSTEM_H
#define MKV_ADMIN_SYSTEM_H

#include "admin/request.h"

#define MKV_SYSTEM_FILE_BYTES_MAX 65536u

/* {"kernel": {...}, "files": {"/proc/meminfo": "...", ...}, "unreadable": {PATH: why}} */
json_t *mkv_system_json(void);

struct mkv_admin_reply mkv_endpoint_system(const struct mkv_admin_request *request);
struct mkv_admin_reply mkv_endpoint_host(const struct mkv_admin_request *request);
struct mkv_admin_reply mkv_endpoint_config(const struct mkv_admin_request *request);

#endif
