/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log at the admin listener: GET /v1/logs?lines=N gives the last lines as they stand in it,
 * GET and PUT /v1/log-level tell and change what is written: {"level":"info,core.journal=debug"}.
 *
 * Not responsible for: the log itself (the provider).
 */
#ifndef MKV_ADMIN_ENDPOINT_LOGS_H
#define MKV_ADMIN_ENDPOINT_LOGS_H

#include "admin/request.h"

#define MKV_ADMIN_LOG_LINES_MAX 1000u

mkv_admin_handler mkv_endpoint_logs;
mkv_admin_handler mkv_endpoint_log_level;
mkv_admin_handler mkv_endpoint_log_level_set;

#endif
