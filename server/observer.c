/* SPDX-License-Identifier: Apache-2.0 */
#include "server/observer.h"

#include <stdlib.h>
#include <string.h>

#include "admin/audit_deletes.h"
#include "admin/seqlock.h"
#include "backends/clock.h"
#include "server/client_list.h"
#include "server/slow_log.h"

/* A client's key is looked at in one of so many of its requests, for what its keys begin with. */
#define CLIENT_KEY_EACH 16u
#define CACHE_LINE_BYTES 64u
/* Behind the examples of each command. */
#define EXAMPLES_OF_REQUESTS MKV_ADMIN_COMMAND_COUNT
/* How often sums of deleted keys are looked at. */
#define AUDIT_LOOK_NS (100ull * 1000000u)

#define EXEMPLAR_WORDS ((uint32_t)(sizeof(struct mkv_admin_exemplar) / sizeof(uint64_t)))
_Static_assert(sizeof(struct mkv_admin_exemplar) % sizeof(uint64_t) == 0, "whole words");

union exemplar {
    struct mkv_admin_exemplar exemplar;
    uint64_t words[EXEMPLAR_WORDS];
};

struct example {
    uint64_t sequence;
    union exemplar content;
};

struct mkv_observer {
    struct mkv_observer_options options;
    struct mkv_hotkeys *hotkeys;
    struct mkv_slow_log *slow;
    struct mkv_client_list *clients;
    uint64_t decay_ns; /* when what is hot is halved next; 0: at the first tick it is set */
    uint32_t requests; /* for CLIENT_KEY_EACH */
    struct mkv_audit_deletes deletes;
    uint64_t audit_look_ns; /* when they are looked at next */
    /* What other threads read while requests are counted shares no line with the above. */
    __attribute__((aligned(CACHE_LINE_BYTES))) struct mkv_hdr latencies[MKV_ADMIN_LATENCY_OP_COUNT];
    struct example examples[EXAMPLES_OF_REQUESTS + 1][MKV_HISTOGRAM_BOUNDS + 1];
};

struct mkv_observer *mkv_observer_create(const struct mkv_observer_options *options) {
    struct mkv_observer *observer = aligned_alloc(CACHE_LINE_BYTES, sizeof *observer);
    if (observer == NULL) {
        return NULL;
    }
    memset(observer, 0, sizeof *observer);
    observer->options = *options;
    observer->deletes.audit = options->audit;
    if (observer->options.hotkeys_columns == 0) {
        observer->options.hotkeys_columns = MKV_SKETCH_COLUMNS_DEFAULT;
    }
    if (observer->options.hotkeys_decay_ns == 0) {
        observer->options.hotkeys_decay_ns = MKV_OBSERVER_DECAY_NS;
    }
    observer->hotkeys = mkv_hotkeys_create(observer->options.hotkeys_columns);
    observer->slow = mkv_slow_log_create();
    observer->clients = mkv_client_list_create(options->connections_max);
    if (observer->hotkeys == NULL || observer->slow == NULL || observer->clients == NULL) {
        mkv_observer_destroy(observer);
        return NULL;
    }
    return observer;
}

void mkv_observer_destroy(struct mkv_observer *observer) {
    if (observer == NULL) {
        return;
    }
    mkv_audit_deletes_finish(&observer->deletes);
    mkv_hotkeys_destroy(observer->hotkeys);
    mkv_slow_log_destroy(observer->slow);
    mkv_client_list_destroy(observer->clients);
    free(observer);
}

/* ---- a request begins ------------------------------------------------------------------------ */

static void began_client(struct mkv_observer *observer, const struct mkv_input *input) {
    const struct mkv_connection_id id = input->request.connection;
    const bool is_new = !mkv_client_list_has(observer->clients, id);
    if (is_new) {
        struct mkv_fabric_client client;
        observer->options.fabric->ops->describe(observer->options.fabric, id, &client);
        mkv_client_list_opened(observer->clients, id, &client);
        if (observer->options.requests != NULL) {
            mkv_request_log_connected(observer->options.requests, id, &client);
        }
    }
    const struct mkv_request_item *first = &input->request.items[0];
    if ((is_new || observer->requests++ % CLIENT_KEY_EACH == 0) && first->key_bytes > 0) {
        mkv_client_list_key(observer->clients, id, input->data + first->key_offset,
                            first->key_bytes);
    }
}

/* I3 */
static void began_keys(struct mkv_observer *observer, const struct mkv_input *input) {
    const struct mkv_request *request = &input->request;
    if (request->op != MKV_OP_GET && request->op != MKV_OP_PUT && request->op != MKV_OP_ALLOCATE) {
        return;
    }
    for (uint32_t i = 0; i < request->item_count; i++) {
        const struct mkv_request_item *item = &request->items[i];
        mkv_hotkeys_count(observer->hotkeys, request->tenant, input->data + item->key_offset,
                          item->key_bytes);
    }
}

void mkv_observer_request_began(void *context, const struct mkv_input *input) {
    struct mkv_observer *observer = context;
    if (!MKV_OBSERVE) {
        return;
    }
    MKV_ASSERT(input->kind == MKV_INPUT_REQUEST);
    began_client(observer, input);
    began_keys(observer, input);
    if (observer->options.requests != NULL) {
        mkv_request_log_began(observer->options.requests, &input->request);
    }
    if (observer->options.events != NULL) {
        mkv_request_events_began(observer->options.events, input);
    }
}

/* ---- a request ends -------------------------------------------------------------------------- */

static enum mkv_admin_latency_op by_size(uint64_t bytes, enum mkv_admin_latency_op large,
                                         enum mkv_admin_latency_op small) {
    return bytes < MKV_ADMIN_SMALL_BYTES ? small : large;
}

/* False for operations whose latencies are not kept in detail. */
static bool latency_op_of(const struct mkv_request_summary *summary,
                          enum mkv_admin_latency_op *op) {
    switch (summary->op) {
    case MKV_OP_GET:
        *op = by_size(summary->bytes_out, MKV_ADMIN_LATENCY_GET, MKV_ADMIN_LATENCY_GET_SMALL);
        return true;
    case MKV_OP_PUT:
        *op = by_size(summary->bytes_in, MKV_ADMIN_LATENCY_PUT, MKV_ADMIN_LATENCY_PUT_SMALL);
        return true;
    case MKV_OP_EXISTS:
        *op = MKV_ADMIN_LATENCY_EXISTS;
        return true;
    case MKV_OP_LOOKUP:
        *op = MKV_ADMIN_LATENCY_LOOKUP;
        return true;
    case MKV_OP_DELETE:
        *op = MKV_ADMIN_LATENCY_DELETE;
        return true;
    case MKV_OP_COMMIT:
        *op = MKV_ADMIN_LATENCY_COMMIT;
        return true;
    case MKV_OP_PIN:
    case MKV_OP_UNPIN:
    case MKV_OP_SESSION:
    case MKV_OP_ALLOCATE:
    case MKV_OP_EXPIRE:
        break;
    }
    return false;
}

static uint32_t bound_of(uint64_t value_ns) {
    uint32_t bound = 0;
    while (bound < MKV_HISTOGRAM_BOUNDS && value_ns > mkv_histogram_bound_ns(bound)) {
        bound++;
    }
    return bound;
}

static bool is_sampled(const struct mkv_trace_context *trace) {
    return (trace->flags & 1) != 0;
}

/* As memkv_command_duration_seconds tells operations apart. */
static uint32_t command_of(const struct mkv_request_summary *summary) {
    MKV_ASSERT((uint32_t)summary->op < MKV_OP_COUNT);
    enum mkv_admin_latency_op op;
    if (latency_op_of(summary, &op) && op == MKV_ADMIN_LATENCY_GET_SMALL) {
        return MKV_ADMIN_COMMAND_GET_SMALL;
    }
    if (latency_op_of(summary, &op) && op == MKV_ADMIN_LATENCY_PUT_SMALL) {
        return MKV_ADMIN_COMMAND_PUT_SMALL;
    }
    return (uint32_t)summary->op;
}

/* Who has stored nothing yet, or was dropped, has no number: then it is whom the client named. */
static void name_tenant(const struct mkv_observer *observer,
                        const struct mkv_request_summary *summary,
                        char name[MKV_ADMIN_TENANT_BYTES]) {
    observer->options.tenant_name(observer->options.tenant_context, summary->tenant, name);
    if (name[0] == '\0') {
        mkv_client_list_tenant(observer->clients, summary->connection, name);
    }
}

/* A request that brought no context gets that of the trace which it begins. */
static void ended_trace(struct mkv_observer *observer, const struct mkv_request_summary *summary,
                        struct mkv_trace_context *trace) {
    if (mkv_trace_sample(observer->options.tracer, trace)) {
        char tenant[MKV_ADMIN_TENANT_BYTES];
        name_tenant(observer, summary, tenant);
        mkv_trace_request(observer->options.tracer, summary, trace, tenant);
    }
}

static void ended_example(struct mkv_observer *observer, uint32_t of,
                          const struct mkv_trace_context *trace, uint64_t value_ns) {
    struct example *example = &observer->examples[of][bound_of(value_ns)];
    union exemplar source = {.exemplar = {.value_ns = value_ns, .wall_ms = mkv_clock_wall_ms()}};
    memcpy(source.exemplar.trace_id, trace->trace_id, sizeof source.exemplar.trace_id);
    mkv_seqlock_store(&example->sequence, example->content.words, source.words, EXEMPLAR_WORDS);
}

static void ended_slow(struct mkv_observer *observer, const struct mkv_request_summary *summary,
                       const uint8_t *key, const struct mkv_trace_context *trace,
                       uint64_t total_ns) {
    struct mkv_admin_slow slow = {
        .time_ms = mkv_clock_wall_ms(),
        .bytes_in = summary->bytes_in,
        .bytes_out = summary->bytes_out,
        .total_ns = total_ns,
        .drive_ns = summary->drive_ns,
        .trace = *trace,
        .op = summary->op,
        .status = summary->status,
        .dropped = summary->dropped,
        .volume = summary->volume,
        .item_count = summary->item_count,
        .key_bytes = summary->key_bytes,
    };
    memcpy(slow.stage_ns, summary->stage_ns, sizeof slow.stage_ns);
    memcpy(slow.key, key, mkv_min_u64(summary->key_bytes, sizeof slow.key));
    mkv_client_list_name(observer->clients, summary->connection, slow.client, slow.client_name);
    name_tenant(observer, summary, slow.tenant);
    mkv_slow_log_add(observer->slow, &slow);
}

static void ended_delete(struct mkv_observer *observer, const struct mkv_request_summary *summary) {
    char address[MKV_ADMIN_ADDRESS_BYTES];
    char name[MKV_ADMIN_CLIENT_NAME_BYTES];
    char tenant[MKV_ADMIN_TENANT_BYTES];
    mkv_client_list_name(observer->clients, summary->connection, address, name);
    name_tenant(observer, summary, tenant);
    const struct mkv_audit_delete request = {
        .connection = summary->connection,
        .keys = summary->item_count,
        .session = summary->session,
        .failed = summary->status != MKV_STATUS_OK && summary->status != MKV_STATUS_NOT_FOUND,
        .tenant = tenant,
        .client = name,
        .address = address,
    };
    mkv_audit_deletes_note(&observer->deletes, &request, summary->ended_ns);
}

void mkv_observer_request_ended(void *context, const struct mkv_request_summary *summary,
                                const uint8_t *key) {
    struct mkv_observer *observer = context;
    if (summary->op == MKV_OP_DELETE && !summary->refused) {
        ended_delete(observer, summary);
    }
    if (!MKV_OBSERVE) {
        return;
    }
    MKV_ASSERT(summary->ended_ns >= summary->received_ns);
    const uint64_t total_ns = summary->ended_ns - summary->received_ns;
    struct mkv_trace_context trace = summary->trace;
    if (observer->options.tracer != NULL) {
        ended_trace(observer, summary, &trace);
    }
    MKV_ASSERT(total_ns >= summary->stage_ns[MKV_STAGE_PARSE]);
    const uint64_t command_ns = total_ns - summary->stage_ns[MKV_STAGE_PARSE];
    enum mkv_admin_latency_op op;
    if (!summary->refused && latency_op_of(summary, &op)) { /* I2 */
        mkv_hdr_record(&observer->latencies[op], command_ns);
    }
    if (is_sampled(&trace)) {
        ended_example(observer, EXAMPLES_OF_REQUESTS, &trace, total_ns);
        if (!summary->refused) {
            ended_example(observer, command_of(summary), &trace, command_ns);
        }
    }
    if (total_ns > observer->options.slow_ns) {
        ended_slow(observer, summary, key, &trace, total_ns);
    }
    mkv_client_list_count(observer->clients, summary);
    if (observer->options.requests != NULL) {
        mkv_request_log_ended(observer->options.requests, summary);
    }
    if (observer->options.events != NULL) {
        mkv_request_events_ended(observer->options.events, summary, mkv_clock_wall_ms());
    }
}

void mkv_observer_connection_closed(void *context, struct mkv_connection_id id) {
    struct mkv_observer *observer = context;
    mkv_audit_deletes_ended(&observer->deletes, id);
    mkv_client_list_closed(observer->clients, id);
    if (observer->options.requests != NULL) {
        mkv_request_log_closed(observer->options.requests, id);
    }
}

void mkv_observer_tick(struct mkv_observer *observer, uint64_t now_ns) {
    if (observer->decay_ns != 0 && now_ns >= observer->decay_ns) {
        mkv_hotkeys_halve(observer->hotkeys);
    }
    if (now_ns >= observer->decay_ns) {
        observer->decay_ns = now_ns + observer->options.hotkeys_decay_ns;
    }
    if (now_ns >= observer->audit_look_ns) {
        mkv_audit_deletes_flush(&observer->deletes, now_ns);
        observer->audit_look_ns = now_ns + AUDIT_LOOK_NS;
    }
}

/* ---- any thread ------------------------------------------------------------------------------ */

void mkv_observer_latency(const struct mkv_observer *observer, enum mkv_admin_latency_op op,
                          struct mkv_hdr *target) {
    mkv_hdr_merge(target, &observer->latencies[op]);
}

static void examples_of(const struct mkv_observer *observer, uint32_t of,
                        struct mkv_admin_exemplars *out) {
    for (uint32_t bound = 0; bound <= MKV_HISTOGRAM_BOUNDS; bound++) {
        const struct example *example = &observer->examples[of][bound];
        struct mkv_admin_exemplar *target = &out->buckets[bound];
        union exemplar copy;
        if (mkv_seqlock_load(&example->sequence, copy.words, example->content.words,
                             EXEMPLAR_WORDS) &&
            copy.exemplar.wall_ms >= target->wall_ms) {
            *target = copy.exemplar;
        }
    }
}

void mkv_observer_exemplars(const struct mkv_observer *observer, uint32_t command,
                            struct mkv_admin_exemplars *out) {
    MKV_ASSERT(command < MKV_ADMIN_COMMAND_COUNT);
    examples_of(observer, command, out);
}

void mkv_observer_request_exemplars(const struct mkv_observer *observer,
                                    struct mkv_admin_exemplars *out) {
    examples_of(observer, EXAMPLES_OF_REQUESTS, out);
}

const struct mkv_hotkeys *mkv_observer_hotkeys(const struct mkv_observer *observer) {
    return observer->hotkeys;
}

uint32_t mkv_observer_slow(const struct mkv_observer *observer, struct mkv_admin_slow *out,
                           uint32_t max) {
    return mkv_slow_log_copy(observer->slow, out, max);
}

uint64_t mkv_observer_slow_ns(const struct mkv_observer *observer) {
    return observer->options.slow_ns;
}

uint32_t mkv_observer_clients(const struct mkv_observer *observer, struct mkv_admin_client *out,
                              uint32_t max) {
    return mkv_client_list_copy(observer->clients, out, max);
}
