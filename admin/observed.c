/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/observed.h"

#include <stddef.h>

const char *const mkv_admin_latency_ops[MKV_ADMIN_LATENCY_OP_COUNT + 1] = {
    [MKV_ADMIN_LATENCY_GET] = "get",       [MKV_ADMIN_LATENCY_GET_SMALL] = "get_small",
    [MKV_ADMIN_LATENCY_PUT] = "put",       [MKV_ADMIN_LATENCY_PUT_SMALL] = "put_small",
    [MKV_ADMIN_LATENCY_EXISTS] = "exists", [MKV_ADMIN_LATENCY_LOOKUP] = "lookup",
    [MKV_ADMIN_LATENCY_DELETE] = "delete", [MKV_ADMIN_LATENCY_COMMIT] = "commit",
    [MKV_ADMIN_LATENCY_OP_COUNT] = NULL,
};
