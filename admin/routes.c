/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/routes.h"

#include <stdio.h>
#include <string.h>

#include "admin/audit_endpoint.h"
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

const struct mkv_admin_route mkv_admin_routes[] = {
    {MKV_ADMIN_PATH_LIVE, {"/livez", "/health/live"}, MKV_ADMIN_GET, NONE, mkv_endpoint_live},
    {MKV_ADMIN_PATH_READY, {"/readyz", "/health/ready"}, MKV_ADMIN_GET, NONE, mkv_endpoint_ready},
    {MKV_ADMIN_PATH_HEALTH, {NULL}, MKV_ADMIN_GET, NONE, mkv_endpoint_health},
    {MKV_ADMIN_PATH_METRICS, {"/metrics"}, MKV_ADMIN_GET, NONE, mkv_endpoint_metrics},
    {MKV_ADMIN_PATH_CATALOG, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_catalog},
    {MKV_ADMIN_PATH_STATUS, {"/status"}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_status},
    {MKV_ADMIN_PATH_TENANTS, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_tenants},
    {MKV_ADMIN_PATH_LATENCY, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_latency},
    {MKV_ADMIN_PATH_HOTKEYS, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_hotkeys},
    {MKV_ADMIN_PATH_PREFIXES, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_prefixes},
    {MKV_ADMIN_PATH_SLOW, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_slow},
    {MKV_ADMIN_PATH_CLIENTS, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_clients},
    {MKV_ADMIN_PATH_TENANT, {NULL}, MKV_ADMIN_DELETE, OPERATOR, mkv_endpoint_tenant_drop},
    {MKV_ADMIN_PATH_LOG_LEVEL, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_log_level},
    {MKV_ADMIN_PATH_LOG_LEVEL, {NULL}, MKV_ADMIN_PUT, OPERATOR, mkv_endpoint_log_level_set},
    {MKV_ADMIN_PATH_LOGS, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_logs},
    {MKV_ADMIN_PATH_PROFILE, {NULL}, MKV_ADMIN_GET, OPERATOR, mkv_endpoint_profile},
    {MKV_ADMIN_PATH_HEAP, {NULL}, MKV_ADMIN_GET, OPERATOR, mkv_endpoint_heap},
    {MKV_ADMIN_PATH_SYMBOL, {NULL}, MKV_ADMIN_GET | MKV_ADMIN_POST, OPERATOR, mkv_endpoint_symbol},
    {MKV_ADMIN_PATH_CMDLINE, {NULL}, MKV_ADMIN_GET, OPERATOR, mkv_endpoint_cmdline},
    {MKV_ADMIN_PATH_AUDIT, {NULL}, MKV_ADMIN_GET, OPERATOR, mkv_endpoint_audit},
    {MKV_ADMIN_PATH_AUDIT_VERIFY, {NULL}, MKV_ADMIN_GET, OPERATOR, mkv_endpoint_audit_verify},
    {MKV_ADMIN_PATH_WHY, {NULL}, MKV_ADMIN_GET, VIEWER, mkv_endpoint_why},
    {MKV_ADMIN_PATH_CONFIG, {NULL}, MKV_ADMIN_GET, OPERATOR, mkv_endpoint_config},
    {MKV_ADMIN_PATH_SYSTEM, {NULL}, MKV_ADMIN_GET, OPERATOR, mkv_endpoint_system},
};
const uint32_t mkv_admin_route_count = sizeof mkv_admin_routes / sizeof mkv_admin_routes[0];

#undef NONE
#undef VIEWER
#undef OPERATOR

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
