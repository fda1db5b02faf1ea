/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the own fabric that are not direct: whose they are, their parts, and the merging of
 * what these come to. */
#include <string.h>

#include "core/canary.h"
#include "core/request_rules.h"
#include "core/router_internal.h"

void mkv_router_requests_init(struct mkv_router *router) {
    const uint32_t count = router->config.front.requests_max;
    for (uint32_t index = 0; index < count; index++) {
        router_request_at(router, index)->next_free = index + 1 < count ? index + 1 : MKV_NONE_U32;
    }
    router->free_first = 0;
}

/* ---- whose it is ----------------------------------------------------------------------------- */

/* The shard of an item; of one that nobody has, the own one, whose front says so. */
static uint32_t item_owner(const struct mkv_router *router, const struct mkv_input *input,
                           const struct mkv_request_item *item) {
    const struct mkv_router_config *config = &router->config;
    if (input->request.op == MKV_OP_COMMIT) {
        const uint64_t tag = item->reservation >> MKV_ROUTER_RESERVATION_SHIFT;
        return tag >= 1 && tag <= config->shard_count ? (uint32_t)tag - 1 : config->shard;
    }
    const char *name = input->request.tenant_name;
    const struct mkv_root point =
        mkv_placement_point(name != NULL ? name : MKV_TENANT_DEFAULT_NAME,
                            input->data + item->key_offset, item->key_bytes);
    const uint32_t volume = mkv_placement_owner(point, router->members, config->front.volume_count);
    return volume == MKV_NONE_U32 ? config->shard : config->volume_shards[volume];
}

/* The shards that have items of it, bit by bit; and whose each item is. */
static uint64_t owners_find(struct mkv_router *router, const struct mkv_input *input) {
    const struct mkv_request *request = &input->request;
    if (request->op == MKV_OP_SESSION) {
        return router->volume_owners;
    }
    uint64_t owners = 0;
    for (uint32_t index = 0; index < request->item_count; index++) {
        const uint32_t owner = item_owner(router, input, &request->items[index]);
        router->owners[index] = (uint8_t)owner;
        owners |= 1ull << owner;
    }
    return owners;
}

/* ---- cutting --------------------------------------------------------------------------------- */

static uint64_t received_ns(const struct mkv_input *input) {
    const uint64_t at_ns = input->request.received_ns;
    return at_ns != 0 && at_ns <= input->now_ns ? at_ns : input->now_ns;
}

/* What is told of it in the end, as far as that is known now. Returns the bytes of the first item's
 * key that are kept. */
static const uint8_t *summary_begin(struct mkv_request_summary *summary,
                                    const struct mkv_input *input) {
    const struct mkv_request *request = &input->request;
    const struct mkv_request_item *first = &request->items[0];
    *summary = (struct mkv_request_summary){
        .connection = request->connection,
        .request_id = request->request_id,
        .serial = request->serial,
        .op = request->op,
        .status = MKV_STATUS_UNKNOWN,
        .tenant = request->tenant,
        .volume = MKV_NONE_U32,
        .item_count = request->item_count,
        .received_ns = received_ns(input),
        .ended_ns = input->now_ns,
        .session = first->session,
        .key_bytes = (uint32_t)mkv_min_u64(first->key_bytes, MKV_SUMMARY_KEY_BYTES_MAX),
        .key_cut = first->key_bytes > MKV_SUMMARY_KEY_BYTES_MAX,
        .trace = request->trace,
    };
    summary->stage_ns[MKV_STAGE_PARSE] = input->now_ns - summary->received_ns;
    return first->key_bytes == 0 ? NULL : input->data + first->key_offset;
}

static void refuse(struct mkv_router *router, const struct mkv_input *input,
                   enum mkv_status status) {
    const struct mkv_request *request = &input->request;
    struct mkv_effect *effect = &mkv_router_emit(router, MKV_ROUTER_FABRIC)->effect;
    effect->kind = MKV_EFFECT_ANSWER;
    effect->op = router_op_tagged((struct mkv_op_id){MKV_ROUTER_OP_MASK, 0}, router->config.shard);
    effect->answer.connection = request->connection;
    effect->answer.request_id = request->request_id;
    effect->answer.op = request->op;
    effect->answer.status = status;
    struct mkv_router_output *output = mkv_router_emit(router, MKV_ROUTER_ENDED);
    output->tail = summary_begin(&output->summary, input);
    output->tail_bytes = output->summary.key_bytes;
    output->summary.refused = true;
    output->summary.status = status;
    router->request_stats.requests_answered[request->op][status]++;
    router->request_stats.requests_refused[request->op]++;
    mkv_request_record_times(&router->times, &output->summary);
}

/* Takes a place, and says where each item of it goes. */
static uint32_t request_begin(struct mkv_router *router, const struct mkv_input *input,
                              uint64_t owners) {
    const struct mkv_request *source = &input->request;
    const uint32_t index = router->free_first;
    struct router_request *request = router_request_at(router, index);
    MKV_ASSERT(!request->used);
    router->free_first = request->next_free;
    const uint32_t generation = request->generation + 1;
    memset(request, 0, sizeof *request);
    request->used = true;
    request->generation = generation;
    const uint8_t *key = summary_begin(&request->summary, input);
    if (request->summary.key_bytes > 0) {
        memcpy(router_key_of(router, index), key, request->summary.key_bytes);
    }
    uint8_t *order = router_order_of(router, index);
    struct router_part *parts = router_parts_of(router, index);
    uint32_t ordered = 0;
    for (uint32_t shard = 0; shard < router->config.shard_count; shard++) {
        if ((owners >> shard & 1) == 0) {
            continue;
        }
        struct router_part *part = &parts[request->part_count++];
        const bool everywhere = source->op == MKV_OP_SESSION;
        *part = (struct router_part){.shard = shard, .first = everywhere ? 0 : ordered};
        for (uint32_t item = 0; item < source->item_count; item++) {
            if (everywhere || router->owners[item] == shard) {
                order[part->first + part->count++] = (uint8_t)item;
            }
        }
        ordered += part->count;
    }
    request->split = request->part_count > 1;
    router->stats.requests_in_flight++;
    router->stats.items_in_flight += source->item_count;
    router->stats.requests_split += request->split ? 1 : 0;
    router->stats.requests_whole += request->split ? 0 : 1;
    router->stats.parts += request->split ? request->part_count : 0;
    if (request->split) {
        router->request_stats.requests_started[source->op]++;
        mkv_histogram_record_size(&router->times.batch_items[source->op], source->item_count);
    }
    return index;
}

/* What the part's front is to know of its reservation, as that itself has named it. */
static void item_localize(const struct mkv_router *router, enum mkv_op op, uint32_t shard,
                          struct mkv_request_item *item) {
    if (op == MKV_OP_COMMIT && shard != router->config.shard) {
        item->reservation &= (1ull << MKV_ROUTER_RESERVATION_SHIFT) - 1;
    }
}

/* The request of a part: its items and keys are copied behind one another to `tail`. */
static void part_input(struct mkv_router *router, const struct mkv_input *input, uint32_t index,
                       const struct router_part *part, struct mkv_request_item *items,
                       uint8_t *keys, struct mkv_input *target) {
    const uint8_t *order = router_order_of(router, index) + part->first;
    *target = *input;
    target->request.items = items;
    target->request.item_count = part->count;
    target->request.route = index + 1;
    target->request.part = router_request_at(router, index)->split;
    target->data = keys;
    target->data_bytes = 0;
    for (uint32_t turn = 0; turn < part->count; turn++) {
        const struct mkv_request_item *item = &input->request.items[order[turn]];
        items[turn] = *item;
        item_localize(router, input->request.op, part->shard, &items[turn]);
        items[turn].key_offset = target->data_bytes;
        if (item->key_bytes > 0) {
            memcpy(keys + target->data_bytes, input->data + item->key_offset, item->key_bytes);
        }
        target->data_bytes += item->key_bytes;
    }
}

static uint32_t part_key_bytes(struct mkv_router *router, const struct mkv_input *input,
                               uint32_t index, const struct router_part *part) {
    const uint8_t *order = router_order_of(router, index) + part->first;
    uint32_t bytes = 0;
    for (uint32_t turn = 0; turn < part->count; turn++) {
        bytes += input->request.items[order[turn]].key_bytes;
    }
    return bytes;
}

static void part_send(struct mkv_router *router, const struct mkv_input *input, uint32_t index,
                      const struct router_part *part) {
    const char *name = input->request.tenant_name;
    const size_t name_bytes = name != NULL ? mkv_tenant_name_bytes(name) + 1 : 0;
    const size_t name_room = (size_t)mkv_round_up_u64(name_bytes, 8);
    const size_t items_bytes = part->count * sizeof(struct mkv_request_item);
    const size_t tail_bytes = items_bytes + name_room + part_key_bytes(router, input, index, part);
    struct router_record *record = mkv_router_buffer(router, sizeof *record + tail_bytes);
    memset(record, 0, sizeof *record);
    uint8_t *tail = (uint8_t *)(record + 1);
    record->kind = ROUTER_RECORD_INPUT;
    record->tail_bytes = (uint32_t)tail_bytes;
    if (name_bytes > 0) {
        memset(tail + items_bytes, 0, name_room);
        memcpy(tail + items_bytes, name, name_bytes);
    }
    part_input(router, input, index, part, (struct mkv_request_item *)(void *)tail,
               tail + items_bytes + name_room, &record->input);
    struct mkv_router_output *output = mkv_router_emit(router, MKV_ROUTER_SEND);
    output->shard = part->shard;
    output->head = record;
    output->head_bytes = (uint32_t)mkv_round_up_u64(sizeof *record + tail_bytes, 8);
}

static void part_own(struct mkv_router *router, const struct mkv_input *input, uint32_t index,
                     const struct router_part *part) {
    struct mkv_request_item *items = router_at(router, router->layout.items);
    uint8_t *keys = mkv_router_buffer(router, part_key_bytes(router, input, index, part));
    struct mkv_router_output *output = mkv_router_emit(router, MKV_ROUTER_FRONT);
    part_input(router, input, index, part, items, keys, &output->input);
}

/* The parts of it go out, that of the own front last. */
static void parts_send(struct mkv_router *router, const struct mkv_input *input, uint32_t index) {
    const struct router_request *request = router_request_at(router, index);
    const struct router_part *parts = router_parts_of(router, index);
    const struct router_part *own = NULL;
    for (uint32_t turn = 0; turn < request->part_count; turn++) {
        if (parts[turn].shard == router->config.shard) {
            own = &parts[turn];
        } else {
            part_send(router, input, index, &parts[turn]);
        }
    }
    if (own != NULL) {
        part_own(router, input, index, own);
    }
}

static void connection_told(struct mkv_router *router, struct mkv_connection_id id,
                            uint64_t owners) {
    struct router_connection *connection = router_connection_at(router, id.index);
    MKV_ASSERT(connection->origin == router->config.shard);
    if (!connection->open) {
        connection->open = true;
        connection->generation = id.generation;
    }
    MKV_ASSERT(connection->generation == id.generation);
    connection->told |= owners & ~(1ull << router->config.shard);
}

/* SESSION: what is told of a phase that ended waits with the results. */
static void exits_keep(struct mkv_router *router, const struct mkv_request *source,
                       uint32_t index) {
    struct mkv_item_result *results = router_results_of(router, index);
    for (uint32_t item = 0; item < source->item_count; item++) {
        results[item] = (struct mkv_item_result){
            .length = source->items[item].length,
            .leased = (uint32_t)source->items[item].reason,
        };
    }
}

enum mkv_router_verdict mkv_router_split(struct mkv_router *router, const struct mkv_input *input) {
    const struct mkv_request *request = &input->request;
    if (mkv_request_verdict(&router->config.front, input) != MKV_STATUS_OK) {
        return MKV_ROUTER_AS_IS; /* the own front refuses it */
    }
    const uint64_t owners = owners_find(router, input);
    if (owners == 1ull << router->config.shard || owners == 0) {
        router->stats.requests_direct++;
        return MKV_ROUTER_AS_IS;
    }
    if (router->free_first == MKV_NONE_U32 ||
        router->stats.items_in_flight + request->item_count > router->config.front.items_max) {
        refuse(router, input, MKV_STATUS_BUSY);
        return MKV_ROUTER_TAKEN;
    }
    const uint32_t index = request_begin(router, input, owners);
    if (request->op == MKV_OP_SESSION) {
        exits_keep(router, request, index);
    }
    connection_told(router, request->connection, owners);
    parts_send(router, input, index);
    return MKV_ROUTER_TAKEN;
}

/* ---- what its parts hand out ----------------------------------------------------------------- */

static struct router_request *request_of(struct mkv_router *router, uint32_t route) {
    MKV_ASSERT(route >= 1);
    struct router_request *request = router_request_at(router, route - 1);
    MKV_ASSERT(request->used);
    return request;
}

static struct router_part *part_of(struct mkv_router *router, uint32_t route, uint32_t shard) {
    struct router_part *parts = router_parts_of(router, route - 1);
    const uint32_t count = request_of(router, route)->part_count;
    for (uint32_t turn = 0; turn < count; turn++) {
        if (parts[turn].shard == shard) {
            return &parts[turn];
        }
    }
    MKV_ASSERT(false); /* that shard had none */
    return NULL;
}

bool mkv_router_part_moves(struct mkv_router *router, uint32_t shard,
                           const struct mkv_effect *effect, struct mkv_router_output *output) {
    const uint32_t route = effect->transfer.route;
    const struct router_part *part = part_of(router, route, shard);
    output->kind = MKV_ROUTER_FABRIC;
    output->effect = *effect;
    output->effect.transfer.route = 0;
    MKV_ASSERT(effect->transfer.item < part->count);
    if (!MKV_CANARY(MKV_CANARY_PART_ITEM_NOT_MAPPED)) {
        output->effect.transfer.item =
            router_order_of(router, route - 1)[part->first + effect->transfer.item];
    }
    if (shard != router->config.shard) {
        output->effect.op = router_op_tagged(effect->op, shard);
    }
    return true;
}

/* SESSION, of one item: what two fronts say together. */
static enum mkv_status session_both(enum mkv_status left, enum mkv_status right) {
    static const enum mkv_status order[] = {
        MKV_STATUS_BUSY, MKV_STATUS_DEADLINE,  MKV_STATUS_NO_SPACE,
        MKV_STATUS_OK,   MKV_STATUS_NOT_FOUND,
    };
    for (size_t rank = 0; rank < sizeof order / sizeof order[0]; rank++) {
        if (left == order[rank] || right == order[rank]) {
            return order[rank];
        }
    }
    return MKV_STATUS_UNAVAILABLE;
}

/* Puts the results of a part where they belong; `results` is NULL of one that was refused. */
static void results_take(struct mkv_router *router, uint32_t route, const struct router_part *part,
                         enum mkv_status refusal, const struct mkv_item_result *results) {
    const struct router_request *request = request_of(router, route);
    const uint8_t *order = router_order_of(router, route - 1) + part->first;
    struct mkv_item_result *target = router_results_of(router, route - 1);
    const enum mkv_op op = request->summary.op;
    if (op == MKV_OP_LOOKUP && !request->split && results != NULL) {
        target[0] = results[0]; /* folded */
        return;
    }
    for (uint32_t turn = 0; turn < part->count; turn++) {
        struct mkv_item_result result = {.status = refusal};
        if (results != NULL) {
            result = results[turn];
        } else if (op == MKV_OP_LOOKUP) {
            result.miss = MKV_MISS_OVERLOADED;
        }
        if (op == MKV_OP_SESSION) {
            const bool first = request->answered == 0;
            target[turn].status =
                first ? result.status : session_both(target[turn].status, result.status);
            continue;
        }
        if (op == MKV_OP_ALLOCATE && result.status == MKV_STATUS_OK && result.reservation != 0 &&
            part->shard != router->config.shard) {
            result.reservation |= (part->shard + 1ull) << MKV_ROUTER_RESERVATION_SHIFT;
        }
        target[order[turn]] = result;
    }
}

/* SESSION: counts the phases that ended, and leaves the results as a front makes them. */
static void exits_count(struct mkv_router *router, const struct router_request *request,
                        struct mkv_item_result *results) {
    for (uint32_t item = 0; item < request->summary.item_count; item++) {
        if (request->split && results[item].status == MKV_STATUS_OK && results[item].leased != 0) {
            mkv_request_count_exit(&router->request_stats,
                                   (enum mkv_think_exit)results[item].leased, results[item].length);
        }
        results[item].length = 0;
        results[item].leased = 0;
    }
}

/* The planted bug: parts of a LOOKUP count by themselves. */
static void fold_by_sum(struct mkv_item_result *results, uint32_t count) {
    uint32_t there = 0;
    for (uint32_t item = 0; item < count; item++) {
        there += results[item].status == MKV_STATUS_OK ? 1 : 0;
    }
    results[0] = (struct mkv_item_result){.status = MKV_STATUS_OK, .length = there};
}

/* All parts have answered: so has the request. */
static void request_answer(struct mkv_router *router, uint32_t route,
                           struct mkv_router_output *output) {
    struct router_request *request = request_of(router, route);
    struct mkv_item_result *results = router_results_of(router, route - 1);
    const enum mkv_op op = request->summary.op;
    uint32_t count = request->summary.item_count;
    const bool refused = request->refused == request->part_count;
    if (op == MKV_OP_SESSION) {
        exits_count(router, request, results);
    }
    if (op == MKV_OP_LOOKUP && request->split && !refused) {
        if (MKV_CANARY(MKV_CANARY_LOOKUP_PARTS_SUMMED)) {
            fold_by_sum(results, count);
        } else {
            mkv_request_fold(results, count);
        }
        router->request_stats.lookup_keys_asked += count;
        router->request_stats.lookup_keys_hit += results[0].length;
    }
    count = refused ? 0 : op == MKV_OP_LOOKUP ? 1 : count;
    request->posted = true;
    request->summary.refused = refused;
    request->summary.status = refused ? request->refusal : mkv_request_status(results, count);
    if (request->split) {
        router->request_stats.requests_answered[op][request->summary.status]++;
    }
    output->kind = MKV_ROUTER_FABRIC;
    output->base = (const uint8_t *)router;
    struct mkv_effect *effect = &output->effect;
    effect->kind = MKV_EFFECT_ANSWER;
    effect->op =
        router_op_tagged((struct mkv_op_id){route - 1, request->generation}, router->config.shard);
    effect->answer.connection = request->summary.connection;
    effect->answer.request_id = request->summary.request_id;
    effect->answer.op = op;
    effect->answer.status = refused ? request->refusal : MKV_STATUS_OK;
    effect->answer.result_count = count;
    effect->answer.results_offset = router_results_offset(router, route - 1);
}

bool mkv_router_part_answered(struct mkv_router *router, uint32_t shard,
                              const struct mkv_effect *effect,
                              const struct mkv_item_result *results,
                              struct mkv_router_output *output) {
    const uint32_t route = effect->answer.route;
    struct router_request *request = request_of(router, route);
    struct router_part *part = part_of(router, route, shard);
    MKV_ASSERT(!part->answered);
    const bool refused = effect->answer.status != MKV_STATUS_OK;
    results_take(router, route, part, effect->answer.status, refused ? NULL : results);
    part->answered = true;
    part->refused = refused;
    part->op = effect->op;
    request->answered++;
    if (refused) {
        request->refused++;
        request->refusal = effect->answer.status;
        router->stats.parts_refused++;
    }
    const bool early = MKV_CANARY(MKV_CANARY_ANSWERED_BY_FIRST_PART) && request->answered == 1;
    if (MKV_CANARY(MKV_CANARY_PART_ANSWER_LOST) && request->split) {
        return false;
    }
    if (request->answered < request->part_count && !early) {
        return false;
    }
    if (!request->posted) {
        request_answer(router, route, output);
        return true;
    }
    return false;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Frees the place when nothing of the request can come back; then it has ended. */
static bool request_free_if_over(struct mkv_router *router, uint32_t index,
                                 struct mkv_router_output *output) {
    struct router_request *request = router_request_at(router, index);
    if (request->ended < request->part_count || (request->posted && !request->done)) {
        return false;
    }
    struct mkv_request_summary *summary = &request->summary;
    summary->dropped = !request->posted;
    summary->ended_ns = request->ended_ns;
    if (request->split) {
        const enum mkv_op op = summary->op;
        router->request_stats.requests_ended[op]++;
        router->request_stats.requests_dropped[op] += summary->dropped ? 1 : 0;
        /* It began, whatever its fronts then said of the parts. */
        struct mkv_request_summary begun = *summary;
        begun.refused = false;
        mkv_request_record_times(&router->times, &begun);
    }
    output->kind = MKV_ROUTER_ENDED;
    output->summary = *summary;
    output->tail = router_key_of(router, index);
    output->tail_bytes = summary->key_bytes;
    MKV_ASSERT(router->stats.requests_in_flight > 0);
    router->stats.requests_in_flight--;
    router->stats.items_in_flight -= summary->item_count;
    request->used = false;
    request->next_free = router->free_first;
    router->free_first = index;
    return true;
}

/* What the front says of its part. The one that ended last took the request's time. */
static void summary_add(struct router_request *request, const struct mkv_request_summary *part) {
    struct mkv_request_summary *summary = &request->summary;
    summary->keys_from_memory += part->keys_from_memory;
    summary->keys_from_drive += part->keys_from_drive;
    summary->bytes_in += part->bytes_in;
    summary->bytes_out += part->bytes_out;
    summary->miss = summary->miss == MKV_MISS_NONE ? part->miss : summary->miss;
    if (part->drive_ns > summary->drive_ns) {
        summary->drive_ns = part->drive_ns;
        summary->volume = part->volume;
    }
    if (part->ended_ns >= request->ended_ns) {
        request->ended_ns = part->ended_ns;
        summary->received_ns = part->received_ns;
        memcpy(summary->stage_ns, part->stage_ns, sizeof summary->stage_ns);
    }
}

bool mkv_router_part_ended(struct mkv_router *router, uint32_t shard,
                           const struct mkv_request_summary *summary,
                           struct mkv_router_output *output) {
    struct router_request *request = request_of(router, summary->route);
    struct router_part *part = part_of(router, summary->route, shard);
    MKV_ASSERT(!part->ended);
    part->ended = true;
    request->ended++;
    summary_add(request, summary);
    return request_free_if_over(router, summary->route - 1, output);
}

/* The parts' ANSWERs are completed as it was. */
static void part_done(struct mkv_router *router, const struct router_part *part,
                      const struct mkv_fabric_done *done) {
    struct mkv_fabric_done of_part = *done;
    of_part.op = part->op;
    mkv_router_complete(router, part->shard, &of_part);
}

void mkv_router_answer_done(struct mkv_router *router, const struct mkv_fabric_done *done) {
    if (done->op.index == MKV_ROUTER_OP_MASK) {
        return; /* of a request that the router refused */
    }
    struct router_request *request = router_request_at(router, done->op.index);
    MKV_ASSERT(request->used);
    MKV_ASSERT(request->generation == done->op.generation);
    MKV_ASSERT(!request->done);
    request->done = true;
    const struct router_part *parts = router_parts_of(router, done->op.index);
    const struct router_part *own = NULL;
    for (uint32_t turn = 0; turn < request->part_count; turn++) {
        if (parts[turn].refused || !parts[turn].answered) {
            continue;
        }
        if (parts[turn].shard == router->config.shard) {
            own = &parts[turn];
        } else {
            part_done(router, &parts[turn], done);
        }
    }
    struct mkv_router_output ended;
    memset(&ended, 0, sizeof ended);
    if (request_free_if_over(router, done->op.index, &ended)) {
        *mkv_router_emit(router, MKV_ROUTER_ENDED) = ended;
    }
    if (own != NULL) {
        part_done(router, own, done);
    }
}
