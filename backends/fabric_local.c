/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/fabric_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

/* A completion that the next poll hands out, in the order of the effects. */
struct completion {
    enum mkv_fabric_event event;
    struct mkv_op_id op;
    uint32_t connection;
    uint32_t place; /* of the request */
    struct mkv_transfer_effect transfer;
};

struct place {
    struct mkv_fabric_local_request *request; /* NULL: free */
    uint32_t generation;                      /* of its connection */
    bool answered;                            /* its ANSWER is among the completions */
};

struct connection {
    uint32_t generation;
    bool known;  /* the front has had a request of it */
    bool broken; /* CONNECTION_CLOSED is to come */
};

struct mkv_fabric_local {
    struct mkv_fabric base;
    struct mkv_fabric_local_options options;
    struct mkv_fabric_counters counters;
    bool draining;

    struct connection *connections;
    bool any_broken;

    struct place *places;
    uint32_t *free_places;
    uint32_t free_place_count;

    /* A ring; its room is what the front can have posted at once. */
    struct completion *completions;
    uint32_t completions_max;
    uint32_t completions_head;
    uint32_t completions_count;
};

static struct mkv_fabric_local *local(struct mkv_fabric *base) {
    return (struct mkv_fabric_local *)base;
}

static const struct mkv_fabric_local *local_const(const struct mkv_fabric *base) {
    return (const struct mkv_fabric_local *)base;
}

/* The place of a request is its request id, so that an effect finds it at once. */
static struct mkv_fabric_local_request *request_at(const struct mkv_fabric_local *fabric,
                                                   uint64_t request_id) {
    MKV_ASSERT(request_id < fabric->options.requests_max);
    struct mkv_fabric_local_request *request = fabric->places[request_id].request;
    MKV_ASSERT(request != NULL);
    return request;
}

/* ---- requests ------------------------------------------------------------------------------- */

bool mkv_fabric_local_start(struct mkv_fabric_local *fabric,
                            struct mkv_fabric_local_request *request) {
    MKV_ASSERT(request->connection < fabric->options.connections_max);
    MKV_ASSERT(request->item_count >= 1);
    struct connection *connection = &fabric->connections[request->connection];
    if (fabric->draining || connection->broken || fabric->free_place_count == 0) {
        return false;
    }
    fabric->free_place_count--;
    request->place = fabric->free_places[fabric->free_place_count];
    fabric->places[request->place] = (struct place){
        .request = request,
        .generation = connection->generation,
    };
    connection->known = true;
    fabric->counters.received_frames_total++;

    struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST, .data = request->keys, .data_bytes = request->keys_bytes};
    input.request = (struct mkv_request){
        .connection = {request->connection, connection->generation},
        .request_id = request->place,
        .op = request->op,
        .tenant = request->tenant,
        .deadline_ns = request->deadline_ns,
        .item_count = request->item_count,
        .items = request->items,
    };
    fabric->base.sink.input(fabric->base.sink.context, &input);
    return true;
}

uint32_t mkv_fabric_local_in_flight(const struct mkv_fabric_local *fabric) {
    return fabric->options.requests_max - fabric->free_place_count;
}

static void request_done(struct mkv_fabric_local *fabric, uint32_t place) {
    struct mkv_fabric_local_request *request = fabric->places[place].request;
    fabric->places[place] = (struct place){0};
    fabric->free_places[fabric->free_place_count] = place;
    fabric->free_place_count++;
    request->done(request->context, request);
}

/* ---- effects -------------------------------------------------------------------------------- */

static uint8_t *slab_payload(const struct mkv_fabric_local *fabric, struct mkv_slab slab) {
    return mkv_arena_slab(fabric->options.arena, slab) + MKV_UNIT_BYTES;
}

static void push_payload(struct mkv_fabric_local *fabric,
                         const struct mkv_transfer_effect *transfer) {
    const struct mkv_fabric_local_request *request = request_at(fabric, transfer->request_id);
    MKV_ASSERT(transfer->item < request->item_count);
    uint8_t *bytes = request->payloads[transfer->item].bytes;
    const uint64_t begin = request->items[transfer->item].offset;
    MKV_ASSERT(transfer->offset >= begin);
    if (bytes != NULL && transfer->bytes > 0) {
        memcpy(bytes + (transfer->offset - begin),
               slab_payload(fabric, transfer->slab) + transfer->slab_offset, transfer->bytes);
    }
}

/* Only when it is handed out, so that the write of one goes on its way before the next one is
 * copied. */
static void pull_payload(struct mkv_fabric_local *fabric,
                         const struct mkv_transfer_effect *transfer) {
    const struct mkv_fabric_local_request *request = request_at(fabric, transfer->request_id);
    MKV_ASSERT(transfer->item < request->item_count);
    const uint8_t *bytes = request->payloads[transfer->item].bytes;
    if (bytes != NULL && transfer->bytes > 0) {
        memcpy(slab_payload(fabric, transfer->slab), bytes + transfer->offset, transfer->bytes);
    }
}

static void take_answer(struct mkv_fabric_local *fabric, const struct mkv_answer_effect *answer,
                        const uint8_t *front_arena) {
    struct mkv_fabric_local_request *request = request_at(fabric, answer->request_id);
    struct place *place = &fabric->places[answer->request_id];
    MKV_ASSERT(!place->answered);
    place->answered = true;
    request->status = answer->status;
    request->result_count = answer->status == MKV_STATUS_OK ? answer->result_count : 0;
    MKV_ASSERT(request->result_count <= request->item_count);
    if (request->result_count > 0) {
        memcpy(request->results, front_arena + answer->results_offset,
               request->result_count * sizeof request->results[0]);
    }
}

static void complete_later(struct mkv_fabric_local *fabric, struct completion completion) {
    MKV_ASSERT(fabric->completions_count < fabric->completions_max);
    const uint32_t at =
        (fabric->completions_head + fabric->completions_count) % fabric->completions_max;
    fabric->completions[at] = completion;
    fabric->completions_count++;
}

static void local_submit(struct mkv_fabric *base, const struct mkv_effect *effect,
                         const uint8_t *front_arena) {
    struct mkv_fabric_local *fabric = local(base);
    if (effect->kind == MKV_EFFECT_PULL || effect->kind == MKV_EFFECT_PUSH) {
        const bool is_pull = effect->kind == MKV_EFFECT_PULL;
        if (!is_pull) {
            push_payload(fabric, &effect->transfer);
        }
        complete_later(fabric, (struct completion){
                                   .event = is_pull ? MKV_FABRIC_PULL_DONE : MKV_FABRIC_PUSH_DONE,
                                   .op = effect->op,
                                   .connection = effect->transfer.connection.index,
                                   .place = (uint32_t)effect->transfer.request_id,
                                   .transfer = effect->transfer,
                               });
        return;
    }
    if (effect->kind == MKV_EFFECT_BREAK) {
        const struct mkv_connection_id id = effect->transfer.connection;
        struct connection *connection = &fabric->connections[id.index];
        connection->broken = connection->broken || connection->generation == id.generation;
        fabric->any_broken = true;
        return;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_ANSWER);
    take_answer(fabric, &effect->answer, front_arena);
    complete_later(fabric, (struct completion){
                               .event = MKV_FABRIC_ANSWER_DONE,
                               .op = effect->op,
                               .connection = effect->answer.connection.index,
                               .place = (uint32_t)effect->answer.request_id,
                           });
}

/* ---- a round -------------------------------------------------------------------------------- */

/* The sums of a PULL: the caller's when it pulled the whole value, else computed. */
static const uint64_t *pull_sums(const struct mkv_fabric_local *fabric,
                                 const struct completion *completion, uint64_t *room) {
    const struct mkv_transfer_effect *transfer = &completion->transfer;
    const struct mkv_fabric_local_request *request = fabric->places[completion->place].request;
    MKV_ASSERT(request != NULL);
    const uint64_t *known = request->payloads[transfer->item].sums;
    if (known != NULL && transfer->offset == 0 &&
        transfer->bytes == request->items[transfer->item].length) {
        return known;
    }
    mkv_chunk_sums(slab_payload(fabric, transfer->slab), transfer->bytes, room);
    return room;
}

static void hand_out(struct mkv_fabric_local *fabric, const struct completion *completion) {
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    uint64_t sums[MKV_CHUNKS_MAX];
    const bool failed = fabric->connections[completion->connection].broken;
    input.fabric.event = completion->event;
    input.fabric.transfer = failed ? MKV_TRANSFER_FAILED : MKV_TRANSFER_OK;
    input.fabric.op = completion->op;
    if (completion->event == MKV_FABRIC_ANSWER_DONE) {
        fabric->counters.sent_frames_total++;
    } else if (!failed && completion->event == MKV_FABRIC_PULL_DONE) {
        pull_payload(fabric, &completion->transfer);
        input.fabric.sums = pull_sums(fabric, completion, sums);
        input.fabric.sum_count = mkv_chunk_count(completion->transfer.bytes);
        fabric->counters.received_bytes_total += completion->transfer.bytes;
    } else if (!failed && completion->event == MKV_FABRIC_PUSH_DONE) {
        fabric->counters.sent_bytes_total += completion->transfer.bytes;
    }
    fabric->base.sink.input(fabric->base.sink.context, &input);
    if (completion->event == MKV_FABRIC_ANSWER_DONE) {
        request_done(fabric, completion->place);
    }
}

/* Everything that was posted when this was called. */
static void hand_out_all(struct mkv_fabric_local *fabric) {
    for (uint32_t left = fabric->completions_count; left > 0; left--) {
        const struct completion completion = fabric->completions[fabric->completions_head];
        fabric->completions_head = (fabric->completions_head + 1) % fabric->completions_max;
        fabric->completions_count--;
        hand_out(fabric, &completion);
    }
}

static bool has_completions(const struct mkv_fabric_local *fabric, uint32_t connection) {
    for (uint32_t i = 0; i < fabric->completions_count; i++) {
        const uint32_t at = (fabric->completions_head + i) % fabric->completions_max;
        if (fabric->completions[at].connection == connection) {
            return true;
        }
    }
    return false;
}

/* Ends a connection that the front broke or that is stopped; the next request opens it anew. */
static void close_connection(struct mkv_fabric_local *fabric, uint32_t index) {
    struct connection *connection = &fabric->connections[index];
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.event = MKV_FABRIC_CONNECTION_CLOSED;
    input.fabric.connection = (struct mkv_connection_id){index, connection->generation};
    const bool known = connection->known;
    *connection = (struct connection){.generation = connection->generation + 1};
    fabric->counters.connections_broken_total++;
    if (known) {
        fabric->base.sink.input(fabric->base.sink.context, &input);
    }
    for (uint32_t i = 0; i < fabric->options.requests_max; i++) {
        struct mkv_fabric_local_request *request = fabric->places[i].request;
        if (request != NULL && request->connection == index &&
            fabric->places[i].generation == input.fabric.connection.generation) {
            request->status = MKV_STATUS_UNAVAILABLE;
            request->result_count = 0;
            request_done(fabric, i);
        }
    }
}

/* CONNECTION_CLOSED comes last: a connection with a completion on its way waits for the next
 * poll. */
static void close_broken(struct mkv_fabric_local *fabric) {
    fabric->any_broken = false;
    for (uint32_t i = 0; i < fabric->options.connections_max; i++) {
        if (fabric->connections[i].broken && has_completions(fabric, i)) {
            fabric->any_broken = true;
        } else if (fabric->connections[i].broken) {
            close_connection(fabric, i);
        }
    }
}

static void local_poll(struct mkv_fabric *base, uint64_t now_ns) {
    struct mkv_fabric_local *fabric = local(base);
    (void)now_ns;
    if (fabric->options.turn != NULL && !fabric->draining) {
        fabric->options.turn(fabric->options.turn_context);
    }
    hand_out_all(fabric);
    if (fabric->any_broken) {
        close_broken(fabric);
    }
}

static bool local_has_work(const struct mkv_fabric *base) {
    const struct mkv_fabric_local *fabric = local_const(base);
    return fabric->completions_count > 0 || fabric->any_broken;
}

static void local_drain(struct mkv_fabric *base) {
    local(base)->draining = true;
}

static void local_stop(struct mkv_fabric *base) {
    struct mkv_fabric_local *fabric = local(base);
    fabric->draining = true;
    for (uint32_t i = 0; i < fabric->options.connections_max; i++) {
        fabric->connections[i].broken = true;
    }
    fabric->any_broken = true;
}

static bool local_is_idle(const struct mkv_fabric *base) {
    const struct mkv_fabric_local *fabric = local_const(base);
    return fabric->draining && mkv_fabric_local_in_flight(fabric) == 0 && !local_has_work(base);
}

static const struct mkv_fabric_counters *local_counters(const struct mkv_fabric *base) {
    return &local_const(base)->counters;
}

/* ---- creation ------------------------------------------------------------------------------- */

static void local_destroy(struct mkv_fabric *base) {
    struct mkv_fabric_local *fabric = local(base);
    free(fabric->connections);
    free(fabric->places);
    free(fabric->free_places);
    free(fabric->completions);
    free(fabric);
}

static void local_describe(const struct mkv_fabric *base, struct mkv_connection_id id,
                           struct mkv_fabric_client *client) {
    (void)base;
    *client = (struct mkv_fabric_client){0};
    snprintf(client->address, sizeof client->address, "local:%u", id.index);
}

static const struct mkv_fabric_ops local_ops = {
    .submit = local_submit,
    .poll = local_poll,
    .has_work = local_has_work,
    .drain = local_drain,
    .stop = local_stop,
    .is_idle = local_is_idle,
    .destroy = local_destroy,
    .counters = local_counters,
    .describe = local_describe,
};

struct mkv_fabric_local *mkv_fabric_local_create(const struct mkv_fabric_local_options *options) {
    MKV_ASSERT(options->connections_max >= 1);
    MKV_ASSERT(options->requests_max >= 1);
    struct mkv_fabric_local *fabric = calloc(1, sizeof *fabric);
    if (fabric == NULL) {
        return NULL;
    }
    fabric->base.ops = &local_ops;
    fabric->options = *options;
    fabric->completions_max = options->transfers_max + options->requests_max;
    fabric->connections = calloc(options->connections_max, sizeof *fabric->connections);
    fabric->places = calloc(options->requests_max, sizeof *fabric->places);
    fabric->free_places = calloc(options->requests_max, sizeof *fabric->free_places);
    fabric->completions = calloc(fabric->completions_max, sizeof *fabric->completions);
    if (fabric->connections == NULL || fabric->places == NULL || fabric->free_places == NULL ||
        fabric->completions == NULL) {
        local_destroy(&fabric->base);
        return NULL;
    }
    for (uint32_t i = 0; i < options->connections_max; i++) {
        fabric->connections[i].generation = 1;
    }
    for (uint32_t i = 0; i < options->requests_max; i++) {
        fabric->free_places[i] = options->requests_max - 1 - i;
    }
    fabric->free_place_count = options->requests_max;
    fabric->counters.connections_active = options->connections_max;
    return fabric;
}

struct mkv_fabric *mkv_fabric_local_base(struct mkv_fabric_local *fabric) {
    return &fabric->base;
}
