/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths of the admin listener, and which endpoint each leads to. An endpoint's first path is
 * its own, the others are aliases for probes and scrapers that were set up for other products.
 *
 * Not responsible for: making the answers.
 */
#ifndef MKV_ADMIN_ROUTES_H
#define MKV_ADMIN_ROUTES_H

#include "core/base.h"

enum mkv_admin_endpoint {
    MKV_ADMIN_ENDPOINT_LIVE,
    MKV_ADMIN_ENDPOINT_HEALTH,
    MKV_ADMIN_ENDPOINT_READY,
    MKV_ADMIN_ENDPOINT_STATUS,
    MKV_ADMIN_ENDPOINT_METRICS,
    MKV_ADMIN_ENDPOINT_TENANTS,
    MKV_ADMIN_ENDPOINT_NONE, /* no such path */
};

/* What stands before the name in the path of one tenant, which only DELETE takes. */
#define MKV_ADMIN_TENANT_PREFIX "/v1/tenants/"
#define MKV_ADMIN_PATH_COUNT 12u
/* The place of all paths that there are not: requests for them count together. */
#define MKV_ADMIN_PATH_OTHER MKV_ADMIN_PATH_COUNT
/* The paths, then "other", then NULL. */
extern const char *const mkv_admin_paths[MKV_ADMIN_PATH_COUNT + 2];

/* The place of a path in the list above, MKV_ADMIN_PATH_OTHER when it is none. */
uint32_t mkv_admin_path_find(const char *path);
enum mkv_admin_endpoint mkv_admin_path_endpoint(uint32_t path_index);

/* What the listener counts; written and read on its thread. */
struct mkv_admin_counters {
    uint64_t requests_total[MKV_ADMIN_PATH_COUNT + 1];
    uint64_t scrape_ns; /* how long the last exposition took to make; 0: there was none */
};

#endif
