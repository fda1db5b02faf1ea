/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/endpoint_logs.h"

#include <microhttpd.h>

#include "admin/audit_endpoint.h"

static struct mkv_admin_reply refuse_without_log(void) {
    return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE, "the node has no log to show");
}

struct mkv_admin_reply mkv_endpoint_logs(const struct mkv_admin_request *request) {
    const struct mkv_admin_log *log = &request->provider->log;
    uint64_t lines;
    if (!mkv_admin_request_number(request, "lines", 1, MKV_ADMIN_LOG_LINES_MAX,
                                  MKV_ADMIN_LOG_LINES_MAX, &lines)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST, "lines is a number from 1 to %u",
                                MKV_ADMIN_LOG_LINES_MAX);
    }
    if (log->last == NULL) {
        return refuse_without_log();
    }
    bool json = false;
    struct mkv_admin_reply reply = {.status = MHD_HTTP_OK};
    reply.body = log->last(log->context, (uint32_t)lines, &reply.body_bytes, &json);
    reply.content_type = json ? "application/x-ndjson" : "text/plain; charset=utf-8";
    return reply;
}

struct mkv_admin_reply mkv_endpoint_log_level(const struct mkv_admin_request *request) {
    const struct mkv_admin_log *log = &request->provider->log;
    if (log->level == NULL) {
        return refuse_without_log();
    }
    char level[MKV_ADMIN_LOG_LEVEL_BYTES];
    log->level(log->context, level);
    return mkv_admin_reply_json(MHD_HTTP_OK, json_pack("{s:s}", "level", level));
}

struct mkv_admin_reply mkv_endpoint_log_level_set(const struct mkv_admin_request *request) {
    const struct mkv_admin_log *log = &request->provider->log;
    if (log->level_set == NULL) {
        return refuse_without_log();
    }
    json_t *body = json_loadb(request->body, request->body_bytes, JSON_REJECT_DUPLICATES, NULL);
    const char *level = NULL;
    char problem[MKV_ADMIN_LOG_PROBLEM_BYTES];
    if (json_unpack(body, "{s:s!}", "level", &level) != 0) {
        json_decref(body);
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST, "the body is {\"level\":\"LEVEL\"}, as in "
                                                      "{\"level\":\"info,core.journal=debug\"}");
    }
    char before[MKV_ADMIN_LOG_LEVEL_BYTES] = "?";
    log->level(log->context, before);
    const bool set = log->level_set(log->context, level, problem);
    if (set) {
        mkv_admin_request_audit(request, MKV_AUDIT_LOG_LEVEL, "log", "ok", "from %.200s to %.200s",
                                before, level);
    }
    json_decref(body);
    return set ? mkv_endpoint_log_level(request)
               : mkv_admin_refuse(MHD_HTTP_BAD_REQUEST, "level: %s", problem);
}
