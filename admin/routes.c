/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/routes.h"

#include <stdio.h>
#include <string.h>

#include "admin/audit_endpoint.h"
#include "admin/drive_endpoint.h"
#include "admin/drives.h"
#include "admin/endpoint_logs.h"
#include "admin/endpoints.h"
#include "admin/observed_endpoints.h"
#include "admin/profile.h"
#include "admin/system.h"
#include "admin/why.h"

const char *const mkv_admin_paths[] = {
#define MKV_ADMIN_PATH_TEXT(name, path) path,
    MKV_ADMIN_PATHS(MKV_ADMIN_PATH_TEXT)
#undef MKV_ADMIN_PATH_TEXT
        "other",
    NULL,
};

#define NONE MKV_ADMIN_ROLE_NONE
#define VIEWER MKV_ADMIN_ROLE_VIEWER
#define OPERATOR MKV_ADMIN_ROLE_OPERATOR
#define GET MKV_ADMIN_GET
#define POST MKV_ADMIN_POST
#define PUT MKV_ADMIN_PUT
#define DELETE MKV_ADMIN_DELETE
#define QUICK false
#define WAITS true

const struct mkv_admin_route mkv_admin_routes[] = {
    {MKV_ADMIN_PATH_LIVE, {"/livez", "/health/live"}, GET, NONE, mkv_endpoint_live, QUICK},
    {MKV_ADMIN_PATH_READY, {"/readyz", "/health/ready"}, GET, NONE, mkv_endpoint_ready, QUICK},
    {MKV_ADMIN_PATH_HEALTH, {NULL}, GET, NONE, mkv_endpoint_health, QUICK},
    {MKV_ADMIN_PATH_METRICS, {"/metrics"}, GET, NONE, mkv_endpoint_metrics, QUICK},
    {MKV_ADMIN_PATH_CATALOG, {NULL}, GET, VIEWER, mkv_endpoint_catalog, QUICK},
    {MKV_ADMIN_PATH_STATUS, {"/status"}, GET, VIEWER, mkv_endpoint_status, QUICK},
    {MKV_ADMIN_PATH_TENANTS, {NULL}, GET, VIEWER, mkv_endpoint_tenants, QUICK},
    {MKV_ADMIN_PATH_DRIVES, {NULL}, GET, VIEWER, mkv_endpoint_drives, QUICK},
    {MKV_ADMIN_PATH_DRIVE, {NULL}, GET, VIEWER, mkv_endpoint_drive_show, QUICK},
    {MKV_ADMIN_PATH_LATENCY, {NULL}, GET, VIEWER, mkv_endpoint_latency, QUICK},
    {MKV_ADMIN_PATH_HOTKEYS, {NULL}, GET, VIEWER, mkv_endpoint_hotkeys, QUICK},
    {MKV_ADMIN_PATH_PREFIXES, {NULL}, GET, VIEWER, mkv_endpoint_prefixes, WAITS},
    {MKV_ADMIN_PATH_SLOW, {NULL}, GET, VIEWER, mkv_endpoint_slow, QUICK},
    {MKV_ADMIN_PATH_CLIENTS, {NULL}, GET, VIEWER, mkv_endpoint_clients, QUICK},
    {MKV_ADMIN_PATH_TENANT, {NULL}, DELETE, OPERATOR, mkv_endpoint_tenant_drop, WAITS},
    {MKV_ADMIN_PATH_LOG_LEVEL, {NULL}, GET, VIEWER, mkv_endpoint_log_level, QUICK},
    {MKV_ADMIN_PATH_LOG_LEVEL, {NULL}, PUT, OPERATOR, mkv_endpoint_log_level_set, WAITS},
    {MKV_ADMIN_PATH_LOGS, {NULL}, GET, VIEWER, mkv_endpoint_logs, QUICK},
    {MKV_ADMIN_PATH_PROFILE, {NULL}, GET, OPERATOR, mkv_endpoint_profile, WAITS},
    {MKV_ADMIN_PATH_HEAP, {NULL}, GET, OPERATOR, mkv_endpoint_heap, WAITS},
    {MKV_ADMIN_PATH_SYMBOL, {NULL}, GET | POST, OPERATOR, mkv_endpoint_symbol, QUICK},
    {MKV_ADMIN_PATH_CMDLINE, {NULL}, GET, OPERATOR, mkv_endpoint_cmdline, QUICK},
    {MKV_ADMIN_PATH_AUDIT, {NULL}, GET, OPERATOR, mkv_endpoint_audit, WAITS},
    {MKV_ADMIN_PATH_AUDIT_VERIFY, {NULL}, GET, OPERATOR, mkv_endpoint_audit_verify, WAITS},
    {MKV_ADMIN_PATH_WHY, {NULL}, GET, VIEWER, mkv_endpoint_why, WAITS},
    {MKV_ADMIN_PATH_CONFIG, {NULL}, GET, OPERATOR, mkv_endpoint_config, QUICK},
    {MKV_ADMIN_PATH_SYSTEM, {NULL}, GET, OPERATOR, mkv_endpoint_system, WAITS},
    {MKV_ADMIN_PATH_HOST, {NULL}, GET, VIEWER, mkv_endpoint_host, WAITS},
    {MKV_ADMIN_PATH_DRIVE, {NULL}, POST, OPERATOR, mkv_endpoint_drive, WAITS},
};
const uint32_t mkv_admin_route_count = sizeof mkv_admin_routes / sizeof mkv_admin_routes[0];

#undef NONE
#undef VIEWER
#undef OPERATOR
#undef GET
#undef POST
#undef PUT
#undef DELETE
#undef QUICK
#undef WAITS

/* Whether a request's path is this one; what stands behind it goes to *rest. */
static bool is_path(const char *name, const char *path, const char **rest) {
    const size_t bytes = strlen(name);
    if (name[bytes - 1] != '/') {
        *rest = "";
        return strcmp(name, path) == 0;
    }
    *rest = path + bytes;
    return strncmp(name, path, bytes) == 0 && path[bytes] != '\0';
}

enum mkv_admin_path mkv_admin_path_find(const char *path, const char **rest) {
    for (uint32_t index = 0; index < mkv_admin_route_count; index++) {
        const struct mkv_admin_route *route = &mkv_admin_routes[index];
        if (is_path(mkv_admin_paths[route->path], path, rest)) {
            return route->path;
        }
        for (uint32_t alias = 0; alias < MKV_ADMIN_ALIASES_MAX; alias++) {
            if (route->aliases[alias] != NULL && is_path(route->aliases[alias], path, rest)) {
                return route->path;
            }
        }
    }
    *rest = "";
    return MKV_ADMIN_PATH_OTHER;
}

static unsigned method_of(const char *method) {
    static const struct {
        const char *name;
        enum mkv_admin_method method;
    } methods[] = {
        {"GET", MKV_ADMIN_GET}, {"HEAD", MKV_ADMIN_GET},      {"POST", MKV_ADMIN_POST},
        {"PUT", MKV_ADMIN_PUT}, {"DELETE", MKV_ADMIN_DELETE},
    };
    for (size_t index = 0; index < sizeof methods / sizeof methods[0]; index++) {
        if (strcmp(methods[index].name, method) == 0) {
            return methods[index].method;
        }
    }
    return 0;
}

const struct mkv_admin_route *mkv_admin_route_find(enum mkv_admin_path path, const char *method) {
    for (uint32_t index = 0; index < mkv_admin_route_count; index++) {
        const struct mkv_admin_route *route = &mkv_admin_routes[index];
        if (route->path == path && (route->methods & method_of(method)) != 0) {
            return route;
        }
    }
    return NULL;
}

void mkv_admin_path_methods(enum mkv_admin_path path, char out[MKV_ADMIN_METHODS_BYTES]) {
    unsigned methods = 0;
    for (uint32_t index = 0; index < mkv_admin_route_count; index++) {
        methods |= mkv_admin_routes[index].path == path ? mkv_admin_routes[index].methods : 0;
    }
    const char *const names[] = {
        (methods & MKV_ADMIN_GET) != 0 ? ", GET, HEAD" : "",
        (methods & MKV_ADMIN_POST) != 0 ? ", POST" : "",
        (methods & MKV_ADMIN_PUT) != 0 ? ", PUT" : "",
        (methods & MKV_ADMIN_DELETE) != 0 ? ", DELETE" : "",
    };
    char list[MKV_ADMIN_METHODS_BYTES];
    snprintf(list, sizeof list, "%s%s%s%s", names[0], names[1], names[2], names[3]);
    snprintf(out, MKV_ADMIN_METHODS_BYTES, "%s", list[0] == '\0' ? "" : list + strlen(", "));
}
