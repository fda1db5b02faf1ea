/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request_events.h"

#include "admin/words.h"

#define NS_PER_S 1e9

static const char *name_of(enum mkv_op op) {
    switch (op) {
    case MKV_OP_PUT:
        return "store";
    case MKV_OP_GET:
        return "retrieve";
    case MKV_OP_LOOKUP:
        return "lookup";
    case MKV_OP_EXISTS:
        return "exists";
    case MKV_OP_DELETE:
        return "delete";
    case MKV_OP_PIN:
        return "pin";
    case MKV_OP_UNPIN:
        return "unpin";
    case MKV_OP_SESSION:
        return "session";
    case MKV_OP_ALLOCATE:
        return "allocate";
    case MKV_OP_COMMIT:
        return "commit";
    case MKV_OP_EXPIRE:
        return "expire";
    }
    MKV_ASSERT(false);
    return "";
}

void mkv_request_events_began(const struct mkv_request_events *events,
                              const struct mkv_input *input) {
    uint64_t ticket;
    struct mkv_telemetry_event *event = mkv_telemetry_reserve(events->telemetry, &ticket);
    if (event == NULL) {
        return;
    }
    const struct mkv_request *request = &input->request;
    event->name = name_of(request->op);
    event->kind = MKV_TELEMETRY_START;
    event->serial = request->serial;
    event->connection = request->connection;
    event->monotonic_ns = input->now_ns;
    event->wall_ms = input->wall_ms;
    mkv_telemetry_integer(event, "keys", request->item_count);
    mkv_telemetry_integer(event, "connection", request->connection.index);
    mkv_telemetry_publish(events->telemetry, ticket);
}

/* What was found, and where. */
static void add_hits(struct mkv_telemetry_event *event, const char *name,
                     const struct mkv_request_summary *summary) {
    mkv_telemetry_integer(event, name,
                          (uint64_t)summary->keys_from_memory + summary->keys_from_drive);
    mkv_telemetry_integer(event, "from_memory", summary->keys_from_memory);
    mkv_telemetry_integer(event, "from_drive", summary->keys_from_drive);
}

static void add_counts(struct mkv_telemetry_event *event,
                       const struct mkv_request_summary *summary) {
    switch (summary->op) {
    case MKV_OP_LOOKUP:
    case MKV_OP_EXISTS:
        add_hits(event, "found_count", summary);
        return;
    case MKV_OP_GET:
        add_hits(event, "retrieved_count", summary);
        mkv_telemetry_integer(event, "bytes_out", summary->bytes_out);
        return;
    case MKV_OP_PUT:
    case MKV_OP_COMMIT:
        /* How many of them, where some were refused, is not known. */
        if (summary->status == MKV_STATUS_OK && !summary->dropped) {
            mkv_telemetry_integer(event, "stored_count", summary->item_count);
        }
        mkv_telemetry_integer(event, "bytes_in", summary->bytes_in);
        return;
    case MKV_OP_DELETE:
    case MKV_OP_PIN:
    case MKV_OP_UNPIN:
    case MKV_OP_SESSION:
    case MKV_OP_ALLOCATE:
    case MKV_OP_EXPIRE:
        return;
    }
    MKV_ASSERT(false);
}

void mkv_request_events_ended(const struct mkv_request_events *events,
                              const struct mkv_request_summary *summary, uint64_t wall_ms) {
    uint64_t ticket;
    struct mkv_telemetry_event *event = mkv_telemetry_reserve(events->telemetry, &ticket);
    if (event == NULL) {
        return;
    }
    event->name = name_of(summary->op);
    event->kind = MKV_TELEMETRY_END;
    event->serial = summary->serial;
    event->connection = summary->connection;
    event->monotonic_ns = summary->ended_ns;
    event->wall_ms = wall_ms;
    mkv_telemetry_string(event, "status",
                         summary->dropped ? "dropped" : mkv_admin_statuses[summary->status]);
    mkv_telemetry_float(event, "duration_s",
                        (double)(summary->ended_ns - summary->received_ns) / NS_PER_S);
    mkv_telemetry_integer(event, "keys", summary->item_count);
    if (!summary->refused) {
        add_counts(event, summary);
    }
    if (summary->volume != MKV_NONE_U32) {
        MKV_ASSERT(summary->volume < events->volume_count);
        mkv_telemetry_string(event, "device", events->devices[summary->volume]);
    }
    mkv_telemetry_publish(events->telemetry, ticket);
}
