/* SPDX-License-Identifier: Apache-2.0 */
/* The router's life, what comes in and goes out, and connections that close. */
#include "core/router.h"

#include <string.h>

#include "core/canary.h"
#include "core/router_internal.h"
#include "core/slab.h"

/* ---- configuration and arena ----------------------------------------------------------------- */

const char *mkv_router_config_fault(const struct mkv_router_config *config) {
    if (config->shard_count < 1 || config->shard_count > MKV_ROUTER_SHARDS_MAX ||
        config->shard >= config->shard_count) {
        return "shard_count must be 1 ... 64, and shard below it";
    }
    if (mkv_front_config_fault(&config->front) != NULL) {
        return mkv_front_config_fault(&config->front);
    }
    for (uint32_t volume = 0; volume < config->front.volume_count; volume++) {
        if (config->volume_shards[volume] >= config->shard_count) {
            return "volume_shards must be below shard_count";
        }
        if (config->front.foreign[volume] != (config->volume_shards[volume] != config->shard)) {
            return "foreign must say which volumes are of other shards";
        }
    }
    return NULL;
}

static size_t part(size_t *end, size_t count, size_t bytes) {
    const size_t offset = (size_t)mkv_round_up_u64(*end, 64);
    *end = offset + count * bytes;
    return offset;
}

/* Heads of the records of one call, and what stands behind those of a request. */
static size_t buffer_bytes(const struct mkv_router_config *config) {
    const struct mkv_front_config *front = &config->front;
    const size_t items = front->items_per_request_max;
    const size_t head = sizeof(struct router_record) + ROUTER_NAME_BYTES + 16;
    /* A SESSION goes to all, and has no keys. */
    const size_t part = head + items * sizeof(struct mkv_request_item);
    return config->shard_count * part + items * front->key_bytes_max;
}

static struct router_layout layout_of(const struct mkv_router_config *config) {
    const struct mkv_front_config *front = &config->front;
    const size_t per_request = front->items_per_request_max;
    size_t end = sizeof(struct mkv_router);
    struct router_layout layout;
    layout.connections = part(&end, front->connections_max, sizeof(struct router_connection));
    layout.posted = part(&end, mkv_front_transfers_max(front), sizeof(struct router_posted));
    layout.requests = part(&end, front->requests_max, sizeof(struct router_request));
    layout.parts =
        part(&end, (size_t)front->requests_max * config->shard_count, sizeof(struct router_part));
    layout.order = part(&end, front->requests_max * per_request, sizeof(uint8_t));
    layout.results = part(&end, front->requests_max * per_request, sizeof(struct mkv_item_result));
    layout.keys = part(&end, front->requests_max, MKV_SUMMARY_KEY_BYTES_MAX);
    layout.items = part(&end, per_request, sizeof(struct mkv_request_item));
    layout.buffer_bytes = buffer_bytes(config);
    layout.buffer = part(&end, 1, layout.buffer_bytes);
    layout.bytes = (size_t)mkv_round_up_u64(end, 64);
    return layout;
}

size_t mkv_router_memory_required(const struct mkv_router_config *config) {
    MKV_ASSERT(mkv_router_config_fault(config) == NULL);
    return layout_of(config).bytes;
}

struct mkv_router *mkv_router_init(void *memory, size_t memory_bytes,
                                   const struct mkv_router_config *config) {
    MKV_ASSERT(memory_bytes >= mkv_router_memory_required(config));
    MKV_ASSERT((uintptr_t)memory % 64 == 0);
    memset(memory, 0, mkv_router_memory_required(config));
    struct mkv_router *router = memory;
    router->config = *config;
    router->layout = layout_of(config);
    memcpy(router->members, config->front.members, sizeof router->members);
    for (uint32_t volume = 0; volume < config->front.volume_count; volume++) {
        router->volume_owners |= 1ull << config->volume_shards[volume];
    }
    for (uint32_t index = 0; index < config->front.connections_max; index++) {
        struct router_connection *connection = router_connection_at(router, index);
        connection->origin = config->shard;
        connection->posted_last = MKV_NONE_U32;
    }
    router->closing = MKV_NONE_U32;
    mkv_router_requests_init(router);
    return router;
}

/* ---- what a ring may hold -------------------------------------------------------------------- */

uint32_t mkv_router_record_bytes_max(const struct mkv_router_config *config) {
    const struct mkv_front_config *front = &config->front;
    const uint64_t items = front->items_per_request_max;
    const uint64_t request =
        ROUTER_NAME_BYTES + 16 + items * (sizeof(struct mkv_request_item) + front->key_bytes_max);
    const uint64_t others =
        mkv_max_u64(items * sizeof(struct mkv_item_result), 8ull * MKV_CHUNKS_MAX);
    return (uint32_t)(sizeof(struct router_record) +
                      mkv_round_up_u64(mkv_max_u64(request, others), 8));
}

static uint32_t volumes_of(const struct mkv_router_config *config, uint32_t shard) {
    uint32_t count = 0;
    for (uint32_t volume = 0; volume < config->front.volume_count; volume++) {
        count += config->volume_shards[volume] == shard ? 1 : 0;
    }
    return count;
}

uint64_t mkv_router_ring_bytes(const struct mkv_router_config *sender,
                               const struct mkv_router_config *receiver) {
    const struct mkv_front_config *front = &sender->front;
    const uint64_t head = sizeof(struct router_record) + 8; /* a tail is filled up */
    const uint64_t transfers = mkv_front_transfers_max(front);
    const uint64_t requests = front->requests_max;
    const uint64_t items = front->items_max;
    /* Requests of the sender's connections, until they have ended; then completions of what the
     * receiver's front has posted and of its answers; and connections that close: between two of
     * the same one there is a request. */
    uint64_t bytes = requests * (head + ROUTER_NAME_BYTES) +
                     items * (sizeof(struct mkv_request_item) + front->key_bytes_max);
    bytes += transfers * (head + 8) + 8ull * receiver->front.slab_unit_count + requests * head;
    bytes += (front->connections_max + requests) * head;
    /* For the receiver's connections: transfers that are posted, and those that have failed with
     * their connection and belong to a request whose end is not taken yet; answers and ends of
     * requests; and connections to break, each once while it is open. */
    bytes += (transfers + (uint64_t)MKV_FRONT_WINDOW * items) * head;
    bytes += 2 * requests * head + items * sizeof(struct mkv_item_result);
    bytes += (front->connections_max + requests) * head;
    /* To the receiver's volumes: two for each operation, as a release has no answer. From the
     * sender's: the same. */
    const uint64_t operations = 2ull * front->foreign_ops_max;
    bytes += operations * volumes_of(sender, receiver->shard) * (head + 8ull * MKV_CHUNKS_MAX);
    bytes += operations * volumes_of(sender, sender->shard) * (head + MKV_UNIT_BYTES / 64);
    return bytes;
}

/* ---- outputs --------------------------------------------------------------------------------- */

struct mkv_router_output *mkv_router_emit(struct mkv_router *router,
                                          enum mkv_router_output_kind kind) {
    MKV_ASSERT(router->output_count < ROUTER_OUTPUTS_MAX);
    struct mkv_router_output *output = &router->outputs[router->output_count++];
    memset(output, 0, sizeof *output);
    output->kind = kind;
    return output;
}

void *mkv_router_buffer(struct mkv_router *router, size_t bytes) {
    void *place = router_at(router, router->layout.buffer + router->buffer_used);
    router->buffer_used += (size_t)mkv_round_up_u64(bytes, 8);
    MKV_ASSERT(router->buffer_used <= router->layout.buffer_bytes);
    return place;
}

/* A call begins whose outputs mkv_router_next hands out. */
static void begin(struct mkv_router *router) {
    MKV_ASSERT(router->output_next == router->output_count);
    MKV_ASSERT(router->closing == MKV_NONE_U32);
    router->output_next = 0;
    router->output_count = 0;
    router->buffer_used = 0;
}

void mkv_router_complete(struct mkv_router *router, uint32_t shard,
                         const struct mkv_fabric_done *done) {
    const struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE, .fabric = *done};
    if (shard == router->config.shard) {
        mkv_router_emit(router, MKV_ROUTER_FRONT)->input = input;
        return;
    }
    struct router_record *record = mkv_router_buffer(router, sizeof *record);
    memset(record, 0, sizeof *record);
    record->kind = ROUTER_RECORD_INPUT;
    record->input = input;
    record->tail_bytes = done->sum_count * (uint32_t)sizeof(uint64_t);
    struct mkv_router_output *output = mkv_router_emit(router, MKV_ROUTER_SEND);
    output->shard = shard;
    output->head = record;
    output->head_bytes = sizeof *record;
    output->tail = done->sums;
    output->tail_bytes = record->tail_bytes;
}

/* ---- the own fabric -------------------------------------------------------------------------- */

enum mkv_router_verdict mkv_router_request(struct mkv_router *router,
                                           const struct mkv_input *input) {
    MKV_ASSERT(input->kind == MKV_INPUT_REQUEST);
    if (router->config.shard_count == 1) {
        return MKV_ROUTER_AS_IS;
    }
    begin(router);
    return mkv_router_split(router, input);
}

/* Every front that had a request of it is told; its own last, as it may be the driver's last
 * output. */
static enum mkv_router_verdict own_closed(struct mkv_router *router,
                                          const struct mkv_fabric_done *done) {
    struct router_connection *connection = router_connection_at(router, done->connection.index);
    if (!connection->open || connection->generation != done->connection.generation) {
        return MKV_ROUTER_AS_IS; /* all its requests were direct */
    }
    for (uint32_t shard = 0; shard < router->config.shard_count; shard++) {
        if ((connection->told >> shard & 1) != 0) {
            mkv_router_complete(router, shard, done);
            if (MKV_CANARY(MKV_CANARY_CLOSE_TOLD_TO_ONE_FRONT)) {
                break;
            }
        }
    }
    connection->open = false;
    connection->told = 0;
    mkv_router_complete(router, router->config.shard, done);
    return MKV_ROUTER_TAKEN;
}

enum mkv_router_verdict mkv_router_done(struct mkv_router *router, const struct mkv_input *input) {
    MKV_ASSERT(input->kind == MKV_INPUT_FABRIC_DONE);
    if (router->config.shard_count == 1) {
        return MKV_ROUTER_AS_IS;
    }
    begin(router);
    struct mkv_fabric_done done = input->fabric;
    if (done.event == MKV_FABRIC_CONNECTION_CLOSED) {
        return own_closed(router, &done);
    }
    const uint32_t tag = done.op.index >> MKV_ROUTER_OP_SHIFT;
    if (tag == 0 || done.op.index == MKV_NONE_U32) {
        return MKV_ROUTER_AS_IS;
    }
    done.op.index &= MKV_ROUTER_OP_MASK;
    if (tag - 1 == router->config.shard) {
        mkv_router_answer_done(router, &done);
        return MKV_ROUTER_TAKEN;
    }
    MKV_ASSERT(tag <= router->config.shard_count);
    mkv_router_complete(router, tag - 1, &done);
    return MKV_ROUTER_TAKEN;
}

/* ---- the own front --------------------------------------------------------------------------- */

static struct mkv_router_output *send_effect(struct mkv_router *router, uint32_t shard,
                                             const struct mkv_effect *effect, const void *tail,
                                             size_t tail_bytes, struct mkv_router_output *output) {
    struct router_record *record = &router->record;
    memset(record, 0, sizeof *record);
    record->kind = ROUTER_RECORD_EFFECT;
    record->effect = *effect;
    record->tail_bytes = (uint32_t)tail_bytes;
    memset(output, 0, sizeof *output);
    output->kind = MKV_ROUTER_SEND;
    output->shard = shard;
    output->head = record;
    output->head_bytes = sizeof *record;
    output->tail = tail;
    output->tail_bytes = (uint32_t)tail_bytes;
    return output;
}

static void posted_link(struct mkv_router *router, const struct mkv_effect *effect) {
    struct router_posted *posted = router_posted_at(router, effect->op.index);
    const uint32_t index = effect->transfer.connection.index;
    struct router_connection *connection = router_connection_at(router, index);
    MKV_ASSERT(!posted->used);
    *posted = (struct router_posted){
        .used = true,
        .push = effect->kind == MKV_EFFECT_PUSH,
        .generation = effect->op.generation,
        .connection = index,
        .previous = connection->posted_last,
        .next = MKV_NONE_U32,
    };
    if (connection->posted_last != MKV_NONE_U32) {
        router_posted_at(router, connection->posted_last)->next = effect->op.index;
    }
    connection->posted_last = effect->op.index;
}

static void posted_unlink(struct mkv_router *router, uint32_t op) {
    struct router_posted *posted = router_posted_at(router, op);
    struct router_connection *connection = router_connection_at(router, posted->connection);
    MKV_ASSERT(posted->used);
    posted->used = false;
    if (posted->next != MKV_NONE_U32) {
        router_posted_at(router, posted->next)->previous = posted->previous;
    } else {
        connection->posted_last = posted->previous;
    }
    if (posted->previous != MKV_NONE_U32) {
        router_posted_at(router, posted->previous)->next = posted->next;
    }
}

/* What the own front hands out for a connection of another shard. What it hands out while that is
 * closing goes no further: it ends with the rest. */
static bool effect_abroad(struct mkv_router *router, const struct mkv_effect *effect,
                          const struct router_connection *connection, const uint8_t *arena,
                          struct mkv_router_output *output) {
    if (effect->kind == MKV_EFFECT_REQUEST_ENDED) {
        (void)send_effect(router, connection->origin, effect, NULL, 0, output);
        return true;
    }
    if (effect->kind == MKV_EFFECT_PULL || effect->kind == MKV_EFFECT_PUSH) {
        posted_link(router, effect);
    }
    if (connection->closing) {
        return false;
    }
    const void *results = NULL;
    size_t results_bytes = 0;
    if (effect->kind == MKV_EFFECT_ANSWER) {
        results = arena + effect->answer.results_offset;
        results_bytes = effect->answer.result_count * sizeof(struct mkv_item_result);
    }
    (void)send_effect(router, connection->origin, effect, results, results_bytes, output);
    return true;
}

/* The connection and the route of an effect for a client. */
static struct mkv_connection_id effect_connection(const struct mkv_effect *effect,
                                                  uint32_t *route) {
    if (effect->kind == MKV_EFFECT_ANSWER) {
        *route = effect->answer.route;
        return effect->answer.connection;
    }
    if (effect->kind == MKV_EFFECT_REQUEST_ENDED) {
        *route = effect->summary.route;
        return effect->summary.connection;
    }
    *route = effect->kind == MKV_EFFECT_BREAK ? 0 : effect->transfer.route;
    return effect->transfer.connection;
}

static bool effect_of_part(struct mkv_router *router, uint32_t shard,
                           const struct mkv_effect *effect, const struct mkv_item_result *results,
                           struct mkv_router_output *output) {
    memset(output, 0, sizeof *output);
    if (effect->kind == MKV_EFFECT_ANSWER) {
        return mkv_router_part_answered(router, shard, effect, results, output);
    }
    if (effect->kind == MKV_EFFECT_REQUEST_ENDED) {
        return mkv_router_part_ended(router, shard, &effect->summary, output);
    }
    return mkv_router_part_moves(router, shard, effect, output);
}

static enum mkv_router_verdict effect_message(struct mkv_router *router,
                                              const struct mkv_effect *effect, const uint8_t *arena,
                                              struct mkv_router_output *output) {
    const uint32_t shard = router->config.volume_shards[effect->message.volume];
    if (shard == router->config.shard) {
        return MKV_ROUTER_AS_IS;
    }
    router->stats.messages_sent++;
    (void)send_effect(router, shard, effect, arena + effect->message.data_offset,
                      effect->message.data_bytes, output);
    struct mkv_message *message = &router->record.effect.message;
    message->front_op = router_op_tagged(message->front_op, router->config.shard);
    return MKV_ROUTER_OUTPUT;
}

enum mkv_router_verdict mkv_router_effect(struct mkv_router *router,
                                          const struct mkv_effect *effect, const uint8_t *arena,
                                          struct mkv_router_output *output) {
    if (router->config.shard_count == 1 || effect->kind == MKV_EFFECT_EVENT) {
        return MKV_ROUTER_AS_IS;
    }
    if (effect->kind == MKV_EFFECT_MESSAGE) {
        return effect_message(router, effect, arena, output);
    }
    uint32_t route = 0;
    const struct mkv_connection_id id = effect_connection(effect, &route);
    const struct router_connection *connection = router_connection_at(router, id.index);
    bool any = false;
    if (connection->origin != router->config.shard) {
        any = effect_abroad(router, effect, connection, arena, output);
    } else if (route == 0) {
        return MKV_ROUTER_AS_IS;
    } else {
        const uint8_t *results =
            effect->kind == MKV_EFFECT_ANSWER ? arena + effect->answer.results_offset : arena;
        any = effect_of_part(router, router->config.shard, effect,
                             (const struct mkv_item_result *)(const void *)results, output);
    }
    return any ? MKV_ROUTER_OUTPUT : MKV_ROUTER_TAKEN;
}

enum mkv_router_verdict mkv_router_message(struct mkv_router *router,
                                           const struct mkv_message *message, const uint8_t *data,
                                           struct mkv_router_output *output) {
    const uint32_t tag = message->front_op.index >> MKV_ROUTER_OP_SHIFT;
    if (tag == 0 || tag > router->config.shard_count) {
        return MKV_ROUTER_AS_IS;
    }
    struct router_record *record = &router->record;
    memset(record, 0, sizeof *record);
    record->kind = ROUTER_RECORD_INPUT;
    record->tail_bytes = message->data_bytes;
    record->input.kind = MKV_INPUT_MESSAGE;
    record->input.message = *message;
    record->input.message.front_op.index &= MKV_ROUTER_OP_MASK;
    memset(output, 0, sizeof *output);
    output->kind = MKV_ROUTER_SEND;
    output->shard = tag - 1;
    output->head = record;
    output->head_bytes = sizeof *record;
    output->tail = data;
    output->tail_bytes = message->data_bytes;
    return MKV_ROUTER_OUTPUT;
}

/* ---- records --------------------------------------------------------------------------------- */

static void take_request(struct mkv_router *router, uint32_t from,
                         const struct router_record *record) {
    const struct mkv_connection_id id = record->input.request.connection;
    struct router_connection *connection = router_connection_at(router, id.index);
    if (!connection->open) {
        connection->open = true;
        connection->closing = false;
        connection->generation = id.generation;
        connection->origin = from;
    }
    MKV_ASSERT(connection->generation == id.generation);
    MKV_ASSERT(connection->origin == from);
    struct mkv_input *input = &mkv_router_emit(router, MKV_ROUTER_FRONT)->input;
    *input = record->input;
    const uint8_t *tail = (const uint8_t *)(record + 1);
    input->request.items = (const struct mkv_request_item *)(const void *)tail;
    tail += input->request.item_count * sizeof(struct mkv_request_item);
    /* A pointer says here that there is a name. */
    if (input->request.tenant_name != NULL) {
        input->request.tenant_name = (const char *)tail;
        tail += mkv_round_up_u64(mkv_tenant_name_bytes((const char *)tail) + 1, 8);
    }
    input->data = tail;
}

static void take_transfer_done(struct mkv_router *router, const struct router_record *record) {
    const struct mkv_op_id op = record->input.fabric.op;
    const struct router_posted *posted = router_posted_at(router, op.index);
    MKV_ASSERT(posted->used);
    MKV_ASSERT(posted->generation == op.generation);
    posted_unlink(router, op.index);
    struct mkv_input *input = &mkv_router_emit(router, MKV_ROUTER_FRONT)->input;
    *input = record->input;
    input->fabric.sums = (const uint64_t *)(const void *)(record + 1);
}

static void take_input(struct mkv_router *router, uint32_t from,
                       const struct router_record *record) {
    const struct mkv_input *input = &record->input;
    if (input->kind == MKV_INPUT_REQUEST) {
        take_request(router, from, record);
        return;
    }
    if (input->kind == MKV_INPUT_MESSAGE) {
        struct mkv_input *message = &mkv_router_emit(router, MKV_ROUTER_FRONT)->input;
        *message = *input;
        message->data = (const uint8_t *)(record + 1);
        message->data_bytes = record->tail_bytes;
        return;
    }
    MKV_ASSERT(input->kind == MKV_INPUT_FABRIC_DONE);
    switch (input->fabric.event) {
    case MKV_FABRIC_PULL_DONE:
    case MKV_FABRIC_PUSH_DONE:
        take_transfer_done(router, record);
        return;
    case MKV_FABRIC_ANSWER_DONE:
        mkv_router_emit(router, MKV_ROUTER_FRONT)->input = *input;
        return;
    case MKV_FABRIC_CONNECTION_CLOSED: {
        const struct mkv_connection_id id = input->fabric.connection;
        struct router_connection *connection = router_connection_at(router, id.index);
        MKV_ASSERT(connection->open);
        MKV_ASSERT(connection->generation == id.generation);
        connection->closing = true;
        router->closing = id.index;
        return;
    }
    }
    MKV_ASSERT(false);
}

static void take_effect(struct mkv_router *router, uint32_t from,
                        const struct router_record *record) {
    const struct mkv_effect *effect = &record->effect;
    if (effect->kind == MKV_EFFECT_MESSAGE) {
        struct mkv_router_output *output = mkv_router_emit(router, MKV_ROUTER_VOLUME);
        output->message = effect->message;
        output->tail = record + 1;
        output->tail_bytes = record->tail_bytes;
        return;
    }
    uint32_t route = 0;
    const struct mkv_connection_id id = effect_connection(effect, &route);
    const struct router_connection *connection = router_connection_at(router, id.index);
    const bool live = connection->open && (connection->generation == id.generation ||
                                           MKV_CANARY(MKV_CANARY_GONE_CONNECTION_SERVED));
    if (!live && effect->kind != MKV_EFFECT_REQUEST_ENDED) {
        router->stats.effects_dropped++;
        return;
    }
    if (effect->kind == MKV_EFFECT_BREAK) {
        mkv_router_emit(router, MKV_ROUTER_FABRIC)->effect = *effect;
        return;
    }
    MKV_ASSERT(router->output_count == 0);
    const struct mkv_item_result *results =
        (const struct mkv_item_result *)(const void *)(record + 1);
    router->output_count =
        effect_of_part(router, from, effect, results, &router->outputs[0]) ? 1 : 0;
}

void mkv_router_take(struct mkv_router *router, uint32_t from, const void *bytes,
                     uint32_t byte_count) {
    const struct router_record *record = bytes;
    MKV_ASSERT(from < router->config.shard_count);
    MKV_ASSERT(byte_count >= sizeof *record + record->tail_bytes);
    begin(router);
    if (record->kind == ROUTER_RECORD_INPUT) {
        take_input(router, from, record);
    } else {
        take_effect(router, from, record);
    }
}

/* The next input that the own front gets of a connection of another shard that has closed: its
 * transfers have failed; that is all of it. */
static void closing_next(struct mkv_router *router, struct mkv_router_output *output) {
    struct router_connection *connection = router_connection_at(router, router->closing);
    memset(output, 0, sizeof *output);
    output->kind = MKV_ROUTER_FRONT;
    output->input.kind = MKV_INPUT_FABRIC_DONE;
    struct mkv_fabric_done *done = &output->input.fabric;
    done->transfer = MKV_TRANSFER_FAILED;
    const uint32_t op = connection->posted_last;
    if (op != MKV_NONE_U32) {
        const struct router_posted *posted = router_posted_at(router, op);
        done->event = posted->push ? MKV_FABRIC_PUSH_DONE : MKV_FABRIC_PULL_DONE;
        done->op = (struct mkv_op_id){op, posted->generation};
        posted_unlink(router, op);
        router->stats.transfers_failed++;
        return;
    }
    done->event = MKV_FABRIC_CONNECTION_CLOSED;
    done->connection = (struct mkv_connection_id){router->closing, connection->generation};
    connection->open = false;
    connection->closing = false;
    router->closing = MKV_NONE_U32;
}

bool mkv_router_next(struct mkv_router *router, struct mkv_router_output *output) {
    if (router->output_next < router->output_count) {
        *output = router->outputs[router->output_next++];
        return true;
    }
    if (router->closing != MKV_NONE_U32) {
        closing_next(router, output);
        return true;
    }
    return false;
}

/* ---- the rest -------------------------------------------------------------------------------- */

void mkv_router_volume_set_state(struct mkv_router *router, uint32_t volume,
                                 enum mkv_front_volume_state state) {
    MKV_ASSERT(volume < router->config.front.volume_count);
    router->members[volume].weight =
        state == MKV_FRONT_VOLUME_ABSENT ? 0 : router->config.front.members[volume].weight;
}

void mkv_router_volume_set_member(struct mkv_router *router, uint32_t volume,
                                  struct mkv_member member) {
    MKV_ASSERT(volume < router->config.front.volume_count);
    router->config.front.members[volume] = member;
    router->members[volume] = (struct mkv_member){.uuid = member.uuid};
}

const struct mkv_member *mkv_router_members(const struct mkv_router *router) {
    return router->members;
}

void mkv_router_stats(const struct mkv_router *router, struct mkv_router_stats *stats) {
    *stats = router->stats;
}

const struct mkv_front_stats *mkv_router_request_stats(const struct mkv_router *router) {
    return &router->request_stats;
}

const struct mkv_front_times *mkv_router_times(const struct mkv_router *router) {
    return &router->times;
}
