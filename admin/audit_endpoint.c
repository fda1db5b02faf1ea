/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit_endpoint.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "admin/audit_export.h"
#include "admin/audit_verify.h"

/* What one request verifies: the client asks for the rest. */
#define VERIFY_BYTES (8u * 1024u * 1024u)

void mkv_admin_request_audit(const struct mkv_admin_request *request,
                             enum mkv_audit_operation operation, const char *entity,
                             const char *outcome, const char *reason_format, ...) {
    struct mkv_audit *audit = request->provider == NULL ? NULL : request->provider->audit;
    if (audit == NULL) {
        return;
    }
    struct mkv_audit_entry entry = mkv_audit_entry_make(operation, entity, outcome, "%s", "");
    va_list arguments;
    va_start(arguments, reason_format);
    vsnprintf(entry.reason, sizeof entry.reason, reason_format, arguments);
    va_end(arguments);
    snprintf(entry.client, sizeof entry.client, "%s", request->peer.name);
    snprintf(entry.address, sizeof entry.address, "%s", request->peer.address);
    if (operation == MKV_AUDIT_TENANT_DROP) {
        snprintf(entry.tenant, sizeof entry.tenant, "%s", request->rest);
    }
    (void)mkv_audit_wait(audit, mkv_audit_write(audit, &entry));
}

static struct mkv_admin_reply refuse_none(void) {
    return mkv_admin_refuse(MHD_HTTP_NOT_FOUND,
                            "this node keeps no audit; set audit.file and restart it");
}

/* ---- export ---------------------------------------------------------------------------------- */

/* A parameter as a time; what is not there leaves *time_ms as it is. */
static bool read_time(const struct mkv_admin_request *request, const char *name, bool end,
                      uint64_t *time_ms) {
    const char *text = mkv_admin_request_parameter(request, name);
    return text == NULL || mkv_audit_time_parse(text, end, time_ms);
}

static struct mkv_admin_reply reply_csv(const struct mkv_audit_page *page) {
    struct mkv_text text = {0};
    mkv_audit_csv_header(&text);
    for (size_t index = 0; index < json_array_size(page->records); index++) {
        mkv_audit_csv_row(json_array_get(page->records, index), &text);
    }
    if (text.failed) {
        mkv_text_free(&text);
        return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the export");
    }
    return (struct mkv_admin_reply){
        .status = MHD_HTTP_OK,
        .content_type = "text/csv; charset=utf-8",
        .body = text.bytes,
        .body_bytes = text.count,
    };
}

struct mkv_admin_reply mkv_endpoint_audit(const struct mkv_admin_request *request) {
    struct mkv_audit *audit = request->provider->audit;
    struct mkv_audit_status status;
    struct mkv_audit_export_options options = {.end_ms = UINT64_MAX};
    struct mkv_audit_page page;
    char error[MKV_AUDIT_ERROR_BYTES];
    const char *format = mkv_admin_request_parameter(request, "format");
    if (audit == NULL) {
        return refuse_none();
    }
    const bool csv = format != NULL && strcmp(format, "csv") == 0;
    if (format != NULL && !csv && strcmp(format, "json") != 0) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST, "format is json or csv");
    }
    if (!read_time(request, "start", false, &options.start_ms) ||
        !read_time(request, "end", true, &options.end_ms) ||
        !mkv_admin_request_number(request, "from", 0, INT64_MAX, 0, &options.from)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "start and end are days like 2026-01-31 or times like "
                                "2026-01-31T12:00:00Z, from is the sequence of a record");
    }
    mkv_audit_status(audit, &status);
    options.path = status.path;
    options.sequence_end = status.head.next_sequence;
    if (options.from == 0) {
        mkv_admin_request_audit(
            request, MKV_AUDIT_EXPORT, "audit", "ok", "records from %s to %s",
            options.start_ms == 0 ? "the first" : mkv_admin_request_parameter(request, "start"),
            options.end_ms == UINT64_MAX ? "the last"
                                         : mkv_admin_request_parameter(request, "end"));
    }
    mkv_audit_hold(audit);
    const bool exported = mkv_audit_export(&options, &page, error);
    mkv_audit_release(audit);
    if (!exported) {
        return mkv_admin_refuse(MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", error);
    }
    if (!csv) {
        return mkv_admin_reply_json(
            MHD_HTTP_OK, json_pack("{s:b, s:I, s:o}", "complete", page.complete, "next_sequence",
                                   (json_int_t)page.next_sequence, "records", page.records));
    }
    const struct mkv_admin_reply reply =
        page.complete ? reply_csv(&page)
                      : mkv_admin_refuse(MHD_HTTP_CONTENT_TOO_LARGE,
                                         "that is too much for one answer; name a shorter time, "
                                         "or use memkv admin audit export");
    json_decref(page.records);
    return reply;
}

/* ---- verification ---------------------------------------------------------------------------- */

static json_t *verdict_json(const struct mkv_audit_verdict *verdict,
                            const struct mkv_audit_status *status) {
    char at[MKV_AUDIT_HASH_TEXT_BYTES];
    char head[MKV_AUDIT_HASH_TEXT_BYTES];
    mkv_audit_hash_text(verdict->at.hash, at);
    mkv_audit_hash_text(status->head.hash, head);
    json_t *fault =
        verdict->intact
            ? json_null()
            : json_pack("{s:I, s:s, s:I, s:s}", "sequence", (json_int_t)verdict->fault_sequence,
                        "file", verdict->fault_file, "line", (json_int_t)verdict->fault_line,
                        "message", verdict->message);
    return json_pack(
        "{s:b, s:b, s:I, s:I, s:s, s:o, s:s, s:I, s:s, s:I, s:b, s:s}", "intact", verdict->intact,
        "complete", verdict->complete, "records", (json_int_t)verdict->records, "next_sequence",
        (json_int_t)verdict->at.next_sequence, "hash", at, "fault", fault, "file", status->path,
        "head_sequence", (json_int_t)status->head.next_sequence - 1, "head", head, "lost",
        (json_int_t)status->lost, "failing", status->failing, "error", status->error);
}

struct mkv_admin_reply mkv_endpoint_audit_verify(const struct mkv_admin_request *request) {
    struct mkv_audit *audit = request->provider->audit;
    const char *hash = mkv_admin_request_parameter(request, "hash");
    struct mkv_audit_status status;
    struct mkv_audit_verify_options options = {.bytes_max = VERIFY_BYTES};
    if (audit == NULL) {
        return refuse_none();
    }
    if (!mkv_admin_request_number(request, "from", 0, INT64_MAX, 0, &options.from.next_sequence) ||
        (hash != NULL && !mkv_audit_hash_parse(hash, options.from.hash)) ||
        (hash == NULL && options.from.next_sequence != 0)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "from and hash are next_sequence and hash of the answer before");
    }
    options.from_set = hash != NULL;
    mkv_audit_status(audit, &status);
    options.path = status.path;
    options.sequence_end = status.head.next_sequence;
    struct mkv_audit_verdict *verdict = calloc(1, sizeof *verdict);
    mkv_audit_hold(audit);
    const bool verified = verdict != NULL && mkv_audit_verify(&options, verdict);
    mkv_audit_release(audit);
    if (!verified) {
        const struct mkv_admin_reply reply =
            mkv_admin_refuse(MHD_HTTP_INTERNAL_SERVER_ERROR, "%s",
                             verdict == NULL ? "no memory to read the audit" : verdict->message);
        free(verdict);
        return reply;
    }
    /* What is cut off at the end is missed here: the daemon knows what it wrote. */
    if (verdict->intact && verdict->complete && verdict->at.next_sequence < options.sequence_end) {
        verdict->intact = false;
        verdict->fault = MKV_AUDIT_MISSING;
        verdict->fault_sequence = verdict->at.next_sequence;
        snprintf(verdict->message, sizeof verdict->message,
                 "records from this one on are missing: they were written and are not there");
    }
    json_t *object = verdict_json(verdict, &status);
    free(verdict);
    return mkv_admin_reply_json(MHD_HTTP_OK, object);
}
