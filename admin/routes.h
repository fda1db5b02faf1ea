/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routes of the admin listener. A path is one line of the list below, under which requests for
 * it and for its aliases are counted, and one row or more of the table in routes.c, which say what
 * it is also called, the methods that it takes, who may use it, and who answers.
 *
 *     request --> path? 404 --> method? 405 --> role? 401, 403 --> handler --> answer
 *
 * Invariants
 *  I1  Paths and aliases are unique. One that ends with '/' takes whatever stands behind it, which
 *      is not nothing.
 *  I2  A row takes GET and HEAD together or neither: HEAD is GET without the body.
 *  I3  Only what needs no credential has the role NONE: it tells how the node is, and nothing of
 *      what it holds.
 *
 * Not responsible for: making the answers (endpoints.c and others), and who somebody is (auth.h).
 */
#ifndef MKV_ADMIN_ROUTES_H
#define MKV_ADMIN_ROUTES_H

#include "admin/auth.h"
#include "admin/reply.h"

#define MKV_ADMIN_PATHS(PATH)                                                                      \
    PATH(LIVE, "/v1/live")                                                                         \
    PATH(READY, "/v1/ready")                                                                       \
    PATH(HEALTH, "/v1/health")                                                                     \
    PATH(METRICS, "/v1/metrics")                                                                   \
    PATH(CATALOG, "/v1/metrics/catalog")                                                           \
    PATH(STATUS, "/v1/status")                                                                     \
    PATH(TENANTS, "/v1/tenants")                                                                   \
    PATH(DRIVES, "/v1/drives")                                                                     \
    PATH(LOG_LEVEL, "/v1/log-level")                                                               \
    PATH(LOGS, "/v1/logs")                                                                         \
    PATH(LATENCY, "/v1/latency")                                                                   \
    PATH(HOTKEYS, "/v1/hotkeys")                                                                   \
    PATH(PREFIXES, "/v1/prefixes")                                                                 \
    PATH(SLOW, "/v1/slow")                                                                         \
    PATH(CLIENTS, "/v1/clients")                                                                   \
    PATH(TENANT, "/v1/tenants/")                                                                   \
    PATH(PROFILE, "/debug/pprof/profile")                                                          \
    PATH(HEAP, "/debug/pprof/heap")                                                                \
    PATH(SYMBOL, "/debug/pprof/symbol")                                                            \
    PATH(CMDLINE, "/debug/pprof/cmdline")                                                          \
    PATH(AUDIT, "/v1/audit")                                                                       \
    PATH(AUDIT_VERIFY, "/v1/audit/verify")                                                         \
    PATH(WHY, "/v1/why")                                                                           \
    PATH(CONFIG, "/v1/config")                                                                     \
    PATH(SYSTEM, "/v1/system")                                                                     \
    PATH(HOST, "/v1/host")                                                                         \
    PATH(DRIVE, "/v1/drives/")

enum mkv_admin_path {
#define MKV_ADMIN_PATH_OF(name, path) MKV_ADMIN_PATH_##name,
    MKV_ADMIN_PATHS(MKV_ADMIN_PATH_OF)
#undef MKV_ADMIN_PATH_OF
    MKV_ADMIN_PATH_OTHER, /* all paths that there are not: requests for them count together */
};
#define MKV_ADMIN_PATH_COUNT ((uint32_t)MKV_ADMIN_PATH_OTHER)
/* The paths, then "other", then NULL. */
extern const char *const mkv_admin_paths[];

/* A set of them is what a route takes. */
enum mkv_admin_method {
    MKV_ADMIN_GET = 1, /* and HEAD */
    MKV_ADMIN_POST = 2,
    MKV_ADMIN_PUT = 4,
    MKV_ADMIN_DELETE = 8,
};

struct mkv_admin_request;
typedef struct mkv_admin_reply mkv_admin_handler(const struct mkv_admin_request *request);

#define MKV_ADMIN_ALIASES_MAX 3u

struct mkv_admin_route {
    enum mkv_admin_path path;
    const char *aliases[MKV_ADMIN_ALIASES_MAX]; /* the last ones may be NULL */
    unsigned methods;                           /* of enum mkv_admin_method */
    enum mkv_admin_role role;                   /* the least that a client must have */
    mkv_admin_handler *handle;
    /* It waits for the shard, a disk or much reading, and asks for neither snapshot nor counters:
     * requests to other paths go on meanwhile. */
    bool waits;
};
extern const struct mkv_admin_route mkv_admin_routes[];
extern const uint32_t mkv_admin_route_count;

/* Which path a request's path is; *rest is what stands behind it, "" for most. */
enum mkv_admin_path mkv_admin_path_find(const char *path, const char **rest);
/* The route of a path for a method, NULL when there is none. */
const struct mkv_admin_route *mkv_admin_route_find(enum mkv_admin_path path, const char *method);

/* Room for the longest list of methods. */
#define MKV_ADMIN_METHODS_BYTES 40u
/* "GET, HEAD, PUT": what a path takes. */
void mkv_admin_path_methods(enum mkv_admin_path path, char out[MKV_ADMIN_METHODS_BYTES]);

/* What the listener counts; written and read behind its mutex. */
struct mkv_admin_counters {
    uint64_t requests_total[MKV_ADMIN_PATH_OTHER + 1];
    uint64_t auth_failures_total; /* answered 401: no credential, or one that is not known */
    uint64_t scrape_ns;           /* how long the last exposition took to make; 0: there was none */
};

#endif
