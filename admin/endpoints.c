/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/endpoints.h"

#include <microhttpd.h>
#include <string.h>
#include <time.h>

#include "admin/accept.h"
#include "admin/audit_endpoint.h"
#include "admin/catalog.h"
#include "admin/exposition.h"
#include "admin/health.h"
#include "admin/status_json.h"
#include "admin/words.h"

#define NS_PER_S 1000000000ull

struct mkv_admin_reply mkv_endpoint_live(const struct mkv_admin_request *request) {
    return mkv_admin_live(mkv_admin_request_snapshot(request));
}

struct mkv_admin_reply mkv_endpoint_ready(const struct mkv_admin_request *request) {
    return mkv_admin_ready(mkv_admin_request_snapshot(request));
}

struct mkv_admin_reply mkv_endpoint_health(const struct mkv_admin_request *request) {
    return mkv_admin_health(mkv_admin_request_snapshot(request));
}

struct mkv_admin_reply mkv_endpoint_status(const struct mkv_admin_request *request) {
    return mkv_admin_status(mkv_admin_request_snapshot(request));
}

struct mkv_admin_reply mkv_endpoint_tenants(const struct mkv_admin_request *request) {
    return mkv_admin_tenants(mkv_admin_request_snapshot(request));
}

static uint64_t now_ns(void) {
    struct timespec now;
    MKV_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

struct mkv_admin_reply mkv_endpoint_metrics(const struct mkv_admin_request *request) {
    const struct mkv_admin_snapshot *snapshot = mkv_admin_request_snapshot(request);
    const uint64_t start_ns = now_ns();
    struct mkv_admin_process process;
    mkv_admin_process_read(&process);
    const struct mkv_metric_sources sources = {
        .snapshot = snapshot,
        .counters = request->counters,
        .process = &process,
    };
    const struct mkv_admin_reply reply =
        mkv_admin_metrics(&sources, mkv_accept_format(request->accept));
    request->counters->scrape_ns = now_ns() - start_ns;
    return reply;
}

struct mkv_admin_reply mkv_endpoint_catalog(const struct mkv_admin_request *request) {
    (void)request;
    return mkv_admin_catalog();
}

struct mkv_admin_reply mkv_endpoint_tenant_drop(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    const char *name = request->rest;
    if (!mkv_tenant_name_is_valid(name, strlen(name))) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "tenant '%s': a name has 1 to 79 characters of A-Z a-z 0-9 . _ -",
                                name);
    }
    const enum mkv_status status = provider->tenant_drop == NULL
                                       ? MKV_STATUS_UNAVAILABLE
                                       : provider->tenant_drop(provider->context, name);
    char entity[MKV_AUDIT_TEXT_BYTES];
    snprintf(entity, sizeof entity, "tenant %s", name);
    mkv_admin_request_audit(request, MKV_AUDIT_TENANT_DROP, entity, mkv_admin_statuses[status],
                            "DELETE of the admin listener");
    if (status == MKV_STATUS_OK) {
        return mkv_admin_reply_json(MHD_HTTP_OK, json_pack("{s:s}", "dropped", name));
    }
    if (status == MKV_STATUS_NOT_FOUND) {
        return mkv_admin_refuse(MHD_HTTP_NOT_FOUND, "there is no tenant '%s'", name);
    }
    if (status == MKV_STATUS_FORBIDDEN) {
        return mkv_admin_refuse(MHD_HTTP_CONFLICT,
                                "the tenant '%s' cannot be dropped; delete its keys", name);
    }
    if (status == MKV_STATUS_UNAVAILABLE) {
        return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                                "the node does not serve now; drop the tenant when it does");
    }
    return mkv_admin_refuse(
        MHD_HTTP_INTERNAL_SERVER_ERROR,
        "tenant '%s': not every drive has answered that it is dropped; see the drives in "
        "memkv admin status, and drop it again",
        name);
}
