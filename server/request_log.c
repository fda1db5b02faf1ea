/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/telemetry_event.h"
#include "admin/words.h"

#define TARGET "core.front"
#define NS_PER_S 1e9

/* What is summed up: with one writer, so that to add is to store. */
enum sum {
    SUM_STORED_REQUESTS = 0,
    SUM_STORED_BLOCKS,
    SUM_STORED_BYTES,
    SUM_STORED_NS,
    SUM_RETRIEVED_REQUESTS,
    SUM_RETRIEVED_BLOCKS,
    SUM_RETRIEVED_MISSES,
    SUM_RETRIEVED_BYTES,
    SUM_RETRIEVED_NS,
    SUM_LOOKUP_REQUESTS,
    SUM_LOOKUP_KEYS,
    SUM_LOOKUP_HITS,
    SUM_COUNT,
};

struct mkv_request_log {
    struct mkv_log *log;
    atomic_uint_fast64_t sums[SUM_COUNT];
    /* Of whoever calls tick. */
    uint64_t told[SUM_COUNT];
    uint64_t told_ns;
};

struct mkv_request_log *mkv_request_log_create(struct mkv_log *log, uint64_t now_ns) {
    struct mkv_request_log *requests = calloc(1, sizeof *requests);
    if (requests != NULL) {
        requests->log = log;
        requests->told_ns = now_ns;
    }
    return requests;
}

void mkv_request_log_destroy(struct mkv_request_log *requests) {
    free(requests);
}

/* ---- single requests ------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static void line(struct mkv_request_log *requests,
                                                       const struct mkv_log_field *fields,
                                                       uint32_t field_count, const char *format,
                                                       ...) {
    char message[192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    mkv_log_write(requests->log, MKV_LOG_SITE_REQUEST, MKV_CONFIG_LOG_DEBUG, TARGET, fields,
                  field_count, "%s", message);
}

static bool wants_lines(const struct mkv_request_log *requests) {
    return mkv_log_wants(requests->log, MKV_LOG_CORE_FRONT, MKV_CONFIG_LOG_DEBUG);
}

void mkv_request_log_began(struct mkv_request_log *requests, const struct mkv_request *request) {
    if (!wants_lines(requests)) {
        return;
    }
    char name[MKV_TELEMETRY_SESSION_BYTES];
    mkv_telemetry_session(request->serial, request->connection, name);
    const struct mkv_log_field fields[] = {
        {.name = "request", .text = name},
        {.name = "op", .text = mkv_admin_ops[request->op]},
    };
    if (request->op == MKV_OP_PUT) {
        line(requests, fields, 2, "Submitted store task %" PRIu64 ": %" PRIu32 " blocks",
             request->serial, request->item_count);
    } else {
        line(requests, fields, 2, "Submitted %s of %" PRIu32 " items", mkv_admin_ops[request->op],
             request->item_count);
    }
}

static void ended_lookup(struct mkv_request_log *requests, const struct mkv_log_field *fields,
                         uint32_t field_count, const struct mkv_request_summary *summary) {
    const uint32_t hits = summary->keys_from_memory + summary->keys_from_drive;
    line(requests, fields, field_count,
         "Prefetch request submitted: %" PRIu32 " total keys, %" PRIu32 " L1 prefix hits, %" PRIu32
         " remaining for L2",
         summary->item_count, summary->keys_from_memory,
         summary->item_count - summary->keys_from_memory);
    line(requests, fields, field_count,
         "Prefetch request completed (L1+L2): %" PRIu32 "/%" PRIu32 " prefix hits", hits,
         summary->item_count);
}

/* False where the request brought none. */
static bool trace_id_text(const struct mkv_trace_context *trace, char *out) {
    bool any = false;
    for (size_t i = 0; i < sizeof trace->trace_id; i++) {
        snprintf(out + 2 * i, 3, "%02x", (unsigned)trace->trace_id[i]);
        any = any || trace->trace_id[i] != 0;
    }
    return any;
}

static void ended_lines(struct mkv_request_log *requests,
                        const struct mkv_request_summary *summary) {
    char name[MKV_TELEMETRY_SESSION_BYTES];
    mkv_telemetry_session(summary->serial, summary->connection, name);
    const double seconds = (double)(summary->ended_ns - summary->received_ns) / NS_PER_S;
    char trace_id[2 * sizeof summary->trace.trace_id + 1];
    const bool traced = trace_id_text(&summary->trace, trace_id);
    const struct mkv_log_field fields[] = {
        {.name = "request", .text = name},
        {.name = "op", .text = mkv_admin_ops[summary->op]},
        {.name = "status", .text = mkv_admin_statuses[summary->status]},
        {.name = "bytes_in", .number = summary->bytes_in},
        {.name = "bytes_out", .number = summary->bytes_out},
        {.name = "duration_us", .number = (summary->ended_ns - summary->received_ns) / 1000},
        {.name = "trace_id", .text = trace_id}, /* the last: left out where there is none */
    };
    const uint32_t count = sizeof fields / sizeof fields[0] - (traced ? 0 : 1);
    const bool answered_ok = !summary->dropped && summary->status == MKV_STATUS_OK;
    if (summary->op == MKV_OP_LOOKUP && answered_ok) {
        ended_lookup(requests, fields, count, summary);
    } else if (summary->op == MKV_OP_GET && answered_ok) {
        line(requests, fields, count, "Retrieved %" PRIu32 " of %" PRIu32 " blocks in %.6f seconds",
             summary->keys_from_memory + summary->keys_from_drive, summary->item_count, seconds);
    } else if ((summary->op == MKV_OP_PUT || summary->op == MKV_OP_COMMIT) && answered_ok) {
        if (summary->volume != MKV_NONE_U32) {
            line(requests, fields, count, "L2 store task %" PRIu64 " completed: %" PRIu32 " blocks",
                 summary->serial, summary->item_count);
        }
        line(requests, fields, count, "Stored %" PRIu32 " blocks in %.6f seconds",
             summary->item_count, seconds);
    } else {
        line(requests, fields, count, "Request ended in %.6f seconds: %s", seconds,
             summary->dropped ? "its connection closed first"
                              : mkv_admin_statuses[summary->status]);
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

void mkv_request_log_connected(struct mkv_request_log *requests, struct mkv_connection_id id,
                               const struct mkv_fabric_client *client) {
    if (!mkv_log_wants(requests->log, MKV_LOG_FABRIC, MKV_CONFIG_LOG_DEBUG)) {
        return;
    }
    const struct mkv_log_field fields[] = {
        {.name = "connection", .number = id.index},
        {.name = "address", .text = client->address},
        {.name = "client", .text = client->name},
        {.name = "tenant", .text = client->tenant},
    };
    mkv_log_write(requests->log, MKV_LOG_SITE_CONNECTION, MKV_CONFIG_LOG_DEBUG, "fabric", fields, 4,
                  "a client sends its first request");
}

void mkv_request_log_closed(struct mkv_request_log *requests, struct mkv_connection_id id) {
    if (!mkv_log_wants(requests->log, MKV_LOG_FABRIC, MKV_CONFIG_LOG_DEBUG)) {
        return;
    }
    const struct mkv_log_field field = {.name = "connection", .number = id.index};
    mkv_log_write(requests->log, MKV_LOG_SITE_CONNECTION, MKV_CONFIG_LOG_DEBUG, "fabric", &field, 1,
                  "a connection closed");
}

/* ---- sums ------------------------------------------------------------------------------------ */

static void add(struct mkv_request_log *requests, enum sum sum, uint64_t value) {
    if (value > 0) {
        atomic_fetch_add_explicit(&requests->sums[sum], value, memory_order_relaxed);
    }
}

/* What was refused in part is not known by the block, and does not count. */
static void ended_sums(struct mkv_request_log *requests,
                       const struct mkv_request_summary *summary) {
    const uint64_t hits = (uint64_t)summary->keys_from_memory + summary->keys_from_drive;
    const uint64_t total_ns = summary->ended_ns - summary->received_ns;
    if (summary->dropped || summary->refused) {
        return;
    }
    if (summary->op == MKV_OP_LOOKUP) {
        add(requests, SUM_LOOKUP_REQUESTS, 1);
        add(requests, SUM_LOOKUP_KEYS, summary->item_count);
        add(requests, SUM_LOOKUP_HITS, hits);
    } else if (summary->op == MKV_OP_GET) {
        add(requests, SUM_RETRIEVED_REQUESTS, 1);
        add(requests, SUM_RETRIEVED_BLOCKS, hits);
        add(requests, SUM_RETRIEVED_MISSES, summary->item_count - hits);
        add(requests, SUM_RETRIEVED_BYTES, summary->bytes_out);
        add(requests, SUM_RETRIEVED_NS, total_ns);
    } else if ((summary->op == MKV_OP_PUT || summary->op == MKV_OP_COMMIT) &&
               summary->status == MKV_STATUS_OK) {
        add(requests, SUM_STORED_REQUESTS, 1);
        add(requests, SUM_STORED_BLOCKS, summary->item_count);
        add(requests, SUM_STORED_BYTES, summary->bytes_in);
        add(requests, SUM_STORED_NS, total_ns);
    }
}

void mkv_request_log_ended(struct mkv_request_log *requests,
                           const struct mkv_request_summary *summary) {
    ended_sums(requests, summary);
    if (wants_lines(requests)) {
        ended_lines(requests, summary);
    }
    if (summary->dropped && mkv_log_wants(requests->log, MKV_LOG_FABRIC, MKV_CONFIG_LOG_DEBUG)) {
        char name[MKV_TELEMETRY_SESSION_BYTES];
        mkv_telemetry_session(summary->serial, summary->connection, name);
        const struct mkv_log_field fields[] = {
            {.name = "request", .text = name},
            {.name = "op", .text = mkv_admin_ops[summary->op]},
        };
        mkv_log_write(requests->log, MKV_LOG_SITE_CONNECTION, MKV_CONFIG_LOG_DEBUG, "fabric",
                      fields, 2, "a connection closed before its request was answered");
    }
}

static void tell(struct mkv_request_log *requests, const struct mkv_log_field *fields,
                 uint32_t field_count, const char *message) {
    mkv_log_write(requests->log, MKV_LOG_SITE_SUMS, MKV_CONFIG_LOG_INFO, TARGET, fields,
                  field_count, "%s", message);
}

void mkv_request_log_tick(struct mkv_request_log *requests, uint64_t now_ns, bool all) {
    if (!all && now_ns < requests->told_ns + MKV_REQUEST_LOG_SUM_NS) {
        return;
    }
    const double seconds = (double)(now_ns - requests->told_ns) / NS_PER_S;
    uint64_t new[SUM_COUNT];
    for (uint32_t sum = 0; sum < SUM_COUNT; sum++) {
        const uint64_t value = atomic_load_explicit(&requests->sums[sum], memory_order_relaxed);
        new[sum] = value - requests->told[sum];
        requests->told[sum] = value;
    }
    requests->told_ns = now_ns;
    char message[128];
    if (new[SUM_STORED_REQUESTS] > 0) {
        const struct mkv_log_field fields[] = {
            {.name = "requests", .number = new[SUM_STORED_REQUESTS]},
            {.name = "blocks", .number = new[SUM_STORED_BLOCKS]},
            {.name = "bytes", .number = new[SUM_STORED_BYTES]},
            {.name = "request_us", .number = new[SUM_STORED_NS] / 1000},
        };
        snprintf(message, sizeof message, "Stored %" PRIu64 " blocks in %.1f seconds",
                 new[SUM_STORED_BLOCKS], seconds);
        tell(requests, fields, 4, message);
    }
    if (new[SUM_RETRIEVED_REQUESTS] > 0) {
        const struct mkv_log_field fields[] = {
            {.name = "requests", .number = new[SUM_RETRIEVED_REQUESTS]},
            {.name = "blocks", .number = new[SUM_RETRIEVED_BLOCKS]},
            {.name = "misses", .number = new[SUM_RETRIEVED_MISSES]},
            {.name = "bytes", .number = new[SUM_RETRIEVED_BYTES]},
            {.name = "request_us", .number = new[SUM_RETRIEVED_NS] / 1000},
        };
        snprintf(message, sizeof message, "Retrieved %" PRIu64 " blocks in %.1f seconds",
                 new[SUM_RETRIEVED_BLOCKS], seconds);
        tell(requests, fields, 5, message);
    }
    if (new[SUM_LOOKUP_REQUESTS] > 0) {
        const struct mkv_log_field field = {.name = "requests", .number = new[SUM_LOOKUP_REQUESTS]};
        snprintf(message, sizeof message,
                 "Prefetch request completed (L1+L2): %" PRIu64 "/%" PRIu64 " prefix hits",
                 new[SUM_LOOKUP_HITS], new[SUM_LOOKUP_KEYS]);
        tell(requests, &field, 1, message);
    }
}
