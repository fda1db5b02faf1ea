/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/routes.h"

#include <string.h>

const char *const mkv_admin_paths[] = {
    "/v1/live",      "/livez",      "/health/live", "/v1/health", "/v1/ready",
    "/health/ready", "/readyz",     "/v1/status",   "/status",    "/v1/metrics",
    "/metrics",      "/v1/tenants", "other",        NULL,
};

static const enum mkv_admin_endpoint endpoints[MKV_ADMIN_PATH_COUNT + 1] = {
    MKV_ADMIN_ENDPOINT_LIVE,    MKV_ADMIN_ENDPOINT_LIVE,    MKV_ADMIN_ENDPOINT_LIVE,
    MKV_ADMIN_ENDPOINT_HEALTH,  MKV_ADMIN_ENDPOINT_READY,   MKV_ADMIN_ENDPOINT_READY,
    MKV_ADMIN_ENDPOINT_READY,   MKV_ADMIN_ENDPOINT_STATUS,  MKV_ADMIN_ENDPOINT_STATUS,
    MKV_ADMIN_ENDPOINT_METRICS, MKV_ADMIN_ENDPOINT_METRICS, MKV_ADMIN_ENDPOINT_TENANTS,
    MKV_ADMIN_ENDPOINT_NONE,
};

uint32_t mkv_admin_path_find(const char *path) {
    if (strncmp(path, MKV_ADMIN_TENANT_PREFIX, strlen(MKV_ADMIN_TENANT_PREFIX)) == 0) {
        path = "/v1/tenants"; /* names are not told apart */
    }
    for (uint32_t index = 0; index < MKV_ADMIN_PATH_COUNT; index++) {
        if (strcmp(mkv_admin_paths[index], path) == 0) {
            return index;
        }
    }
    return MKV_ADMIN_PATH_OTHER;
}

enum mkv_admin_endpoint mkv_admin_path_endpoint(uint32_t path_index) {
    MKV_ASSERT(path_index <= MKV_ADMIN_PATH_OTHER);
    return endpoints[path_index];
}
