/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: what is accepted and what refused, their answers, and connections that close. */
#include "core/front_internal.h"
#include "core/request_rules.h"

#include <string.h>

/* ---- validation ------------------------------------------------------------------------------ */

static bool op_is_known(enum mkv_op op) {
    switch (op) {
    case MKV_OP_PUT:
    case MKV_OP_GET:
    case MKV_OP_EXISTS:
    case MKV_OP_LOOKUP:
    case MKV_OP_DELETE:
    case MKV_OP_PIN:
    case MKV_OP_UNPIN:
    case MKV_OP_SESSION:
    case MKV_OP_ALLOCATE:
    case MKV_OP_COMMIT:
    case MKV_OP_EXPIRE:
        return true;
    }
    return false;
}

static bool session_is_valid(const struct mkv_request_item *item) {
    const bool exits = item->action == MKV_SESSION_EXIT_THINK;
    return item->key_bytes == 0 && item->flags == 0 && item->session != 0 &&
           item->action >= MKV_SESSION_BEGIN && (uint32_t)item->action <= MKV_SESSION_ACTION_MAX &&
           (uint32_t)item->reason <= MKV_THINK_EXIT_MAX && exits == ((uint32_t)item->reason != 0);
}

#define CONDITIONS (MKV_PUT_IF_ABSENT | MKV_PUT_IF_PRESENT)

static bool item_is_valid(const struct mkv_front_config *config, const struct mkv_input *input,
                          const struct mkv_request_item *item) {
    const enum mkv_op op = input->request.op;
    if (op == MKV_OP_SESSION) {
        return session_is_valid(item);
    }
    if (op == MKV_OP_COMMIT) {
        return (item->flags & ~MKV_COMMIT_ABANDON) == 0 && item->key_bytes == 0;
    }
    if (item->key_bytes < 1 || item->key_bytes > config->key_bytes_max ||
        (uint64_t)item->key_offset + item->key_bytes > input->data_bytes) {
        return false;
    }
    if (op != MKV_OP_PUT && op != MKV_OP_ALLOCATE) {
        const uint32_t flags = op == MKV_OP_EXISTS   ? MKV_EXISTS_PLAIN
                               : op == MKV_OP_EXPIRE ? MKV_EXPIRE_AT
                                                     : 0;
        return (item->flags & ~flags) == 0 && (op != MKV_OP_PIN || item->expire_s > 0);
    }
    const uint64_t length_max =
        op == MKV_OP_ALLOCATE ? config->block_bytes_max : config->value_bytes_max;
    const uint32_t of_put = op == MKV_OP_PUT ? MKV_PUT_ROOT_LATER | MKV_EXPIRE_AT | CONDITIONS : 0;
    const uint32_t flags = MKV_PUT_REPLACE | MKV_PUT_RELAXED | of_put;
    if ((item->flags & ~flags) != 0 || (item->flags & CONDITIONS) == CONDITIONS ||
        item->length > length_max || item->tier_hint > MKV_TIER_HINT_MAX) {
        return false;
    }
    return item->length <= config->block_bytes_max ||
           item->key_bytes + MKV_SEGMENT_KEY_SUFFIX_BYTES <= MKV_KEY_BYTES_MAX;
}

enum mkv_status mkv_request_verdict(const struct mkv_front_config *config,
                                    const struct mkv_input *input) {
    const struct mkv_request *request = &input->request;
    if (!op_is_known(request->op) || request->item_count < 1 ||
        request->item_count > config->items_per_request_max) {
        return MKV_STATUS_INVALID;
    }
    if (request->tenant != MKV_TENANT_DEFAULT && request->tenant_name == NULL) {
        return MKV_STATUS_FORBIDDEN; /* a number alone names nobody */
    }
    for (uint32_t index = 0; index < request->item_count; index++) {
        if (!item_is_valid(config, input, &request->items[index])) {
            return MKV_STATUS_INVALID;
        }
    }
    return MKV_STATUS_OK;
}

static enum mkv_status request_verdict(struct mkv_front *front, const struct mkv_input *input,
                                       const struct front_connection *connection) {
    const struct mkv_front_config *config = &front->config;
    const struct mkv_request *request = &input->request;
    const enum mkv_status verdict = mkv_request_verdict(config, input);
    if (verdict != MKV_STATUS_OK) {
        return verdict;
    }
    const uint32_t items = request->op == MKV_OP_COMMIT ? 0 : request->item_count;
    if (front->requests_free.count == 0 || front->items_free.count < items ||
        connection->requests.count >= config->requests_per_connection_max) {
        return MKV_STATUS_BUSY;
    }
    return MKV_STATUS_OK;
}

/* ---- acceptance ------------------------------------------------------------------------------ */

static struct front_connection *connection_open(struct mkv_front *front,
                                                struct mkv_connection_id id) {
    struct front_connection *connection = front_connection_at(front, id.index);
    if (!connection->open) {
        MKV_ASSERT(connection->requests.count == 0);
        MKV_ASSERT(connection->capped.count == 0);
        connection->open = true;
        connection->broken = false;
        connection->generation = id.generation;
        connection->slab_units = 0;
        connection->reserving = 0;
    }
    /* One id names one connection until CONNECTION_CLOSED. */
    MKV_ASSERT(connection->generation == id.generation);
    return connection;
}

static void refuse(struct mkv_front *front, const struct mkv_input *input, enum mkv_status status) {
    const struct mkv_request *request = &input->request;
    const enum mkv_op op = request->op;
    if (!request->part) {
        front->stats.requests_answered[op_is_known(op) ? op : 0][status]++;
        front->stats.requests_refused[op_is_known(op) ? op : 0]++;
    }
    front->stats.refusals_in_flight += request->route == 0 ? 1 : 0;
    struct mkv_effect *effect = mkv_front_emit(front, MKV_EFFECT_ANSWER);
    effect->op = (struct mkv_op_id){.index = MKV_NONE_U32, .generation = 0};
    effect->answer.connection = request->connection;
    effect->answer.request_id = request->request_id;
    effect->answer.op = op;
    effect->answer.status = status;
    effect->answer.route = request->route;
    mkv_front_summary_refused(front, input, status);
}

static void item_name_tenant(struct mkv_front *front, uint32_t item, const char *name) {
    const char *source = name != NULL ? name : MKV_TENANT_DEFAULT_NAME;
    const uint32_t name_bytes = mkv_tenant_name_bytes(source);
    MKV_ASSERT(name_bytes < FRONT_TENANT_NAME_BYTES);
    memcpy(front_tenant_name_at(front, item), source, name_bytes + 1);
}

/* A time that no expiry can state is as good as never; so it is the last one that can be. */
static uint32_t expiry_of(uint32_t expire_s, uint64_t wall_ms) {
    const uint64_t expiry_s = mkv_divide_up_u64(wall_ms, 1000) + expire_s;
    return expire_s == 0 ? 0 : (uint32_t)mkv_min_u64(expiry_s, UINT32_MAX);
}

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* How long what is asked for is to stay. */
static uint64_t lease_of(const struct mkv_front_config *config, enum mkv_op op,
                         const struct mkv_request_item *item) {
    if (op == MKV_OP_PIN) {
        return item->expire_s * NS_PER_S;
    }
    if (op == MKV_OP_LOOKUP) {
        return config->lookup_lease_ns;
    }
    if (op != MKV_OP_EXISTS || (item->flags & MKV_EXISTS_PLAIN) != 0 ||
        item->lease_ms == MKV_NONE_U32) {
        return 0;
    }
    return item->lease_ms == 0 ? config->exists_lease_ns : item->lease_ms * NS_PER_MS;
}

static void item_add(struct mkv_front *front, uint32_t request_index, const struct mkv_input *input,
                     uint32_t position) {
    struct front_request *request = front_request_at(front, request_index);
    const struct mkv_request_item *source = &input->request.items[position];
    const uint32_t item_index =
        mkv_front_list_pop(&front->items_free, front_links(front, front->layout.item_links));
    MKV_ASSERT(item_index != MKV_NONE_U32);
    struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(item->phase == FRONT_PHASE_FREE);
    item->phase = FRONT_PHASE_START;
    item->op = request->op;
    item->if_absent = (source->flags & MKV_PUT_IF_ABSENT) != 0;
    item->if_present = (source->flags & MKV_PUT_IF_PRESENT) != 0;
    item->replace =
        item->if_present || ((source->flags & MKV_PUT_REPLACE) != 0 && !item->if_absent);
    item->relaxed = (source->flags & MKV_PUT_RELAXED) != 0;
    item->root_later = (source->flags & MKV_PUT_ROOT_LATER) != 0;
    item->request = request_index;
    item->position = position;
    item->key_bytes = source->key_bytes;
    item->segmented = MKV_NONE_U32;
    item->length = source->length;
    item->offset = source->offset;
    item->deadline_ns = request->deadline_ns;
    item->stage = MKV_STAGE_ROUTE;
    item->received_ns = request->received_ns;
    item->root = source->root;
    item->tenant = input->request.tenant;
    item_name_tenant(front, item_index, input->request.tenant_name);
    item->expiry_s = (source->flags & MKV_EXPIRE_AT) != 0
                         ? source->expire_s
                         : expiry_of(source->expire_s, input->wall_ms);
    item->lease_ns = lease_of(&front->config, request->op, source);
    item->plain = request->op == MKV_OP_EXISTS && (source->flags & MKV_EXISTS_PLAIN) != 0;
    item->session = source->session;
    item->tier_hint = source->tier_hint;
    item->action = source->action;
    item->reason = source->reason;
    item->timer.heap_position = MKV_NONE_U32;
    memcpy(front_key_at(front, item_index), input->data + source->key_offset, source->key_bytes);
    mkv_front_list_push(&request->items, front_links(front, front->layout.item_links), item_index);
    mkv_front_item_ready(front, item_index);
}

void mkv_front_request_accept(struct mkv_front *front, const struct mkv_input *input) {
    const struct mkv_request *source = &input->request;
    struct front_connection *connection = connection_open(front, source->connection);
    const enum mkv_status verdict = request_verdict(front, input, connection);
    if (verdict != MKV_STATUS_OK) {
        refuse(front, input, verdict);
        return;
    }
    struct front_link *links = front_links(front, front->layout.request_links);
    const uint32_t request_index = mkv_front_list_pop(&front->requests_free, links);
    struct front_request *request = front_request_at(front, request_index);
    MKV_ASSERT(!request->in_use);
    *request = (struct front_request){
        .in_use = true,
        .generation = request->generation + 1,
        .connection = source->connection,
        .request_id = source->request_id,
        .op = source->op,
        .item_count = source->item_count,
        .undecided = source->item_count,
        .deadline_ns = source->deadline_ns,
        .route = source->route,
        .part = source->part,
        .timer = {.heap_position = MKV_NONE_U32},
    };
    mkv_front_list_init(&request->items);
    mkv_front_list_push(&connection->requests, links, request_index);
    front->stats.requests_started[source->op] += source->part ? 0 : 1;
    mkv_front_summary_begin(front, request_index, input);
    mkv_front_timer_set(front, request_index, source->deadline_ns);
    if (source->op == MKV_OP_COMMIT) {
        mkv_front_commit(front, request_index, source);
        return;
    }
    for (uint32_t turn = 0; turn < source->item_count; turn++) {
        /* Of a chain the last block is asked for first, so that it will also leave first. */
        const bool is_chain = source->op == MKV_OP_LOOKUP;
        item_add(front, request_index, input, is_chain ? source->item_count - 1 - turn : turn);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

void mkv_request_fold(struct mkv_item_result *results, uint32_t item_count) {
    uint32_t count = 0;
    uint32_t leased = 0;
    while (count < item_count && results[count].status == MKV_STATUS_OK) {
        leased += results[count].leased;
        count++;
    }
    const enum mkv_miss miss = count < item_count ? results[count].miss : MKV_MISS_NONE;
    memset(&results[0], 0, sizeof results[0]);
    results[0].status = MKV_STATUS_OK;
    results[0].miss = miss;
    results[0].length = count;
    results[0].leased = leased;
}

enum mkv_status mkv_request_status(const struct mkv_item_result *results, uint32_t count) {
    static const enum mkv_status gravity[] = {
        MKV_STATUS_IO_ERROR,    MKV_STATUS_NO_SPACE, MKV_STATUS_QUOTA, MKV_STATUS_DEADLINE,
        MKV_STATUS_UNAVAILABLE, MKV_STATUS_UNKNOWN,  MKV_STATUS_BUSY,  MKV_STATUS_INVALID,
        MKV_STATUS_FORBIDDEN,   MKV_STATUS_CONFLICT, MKV_STATUS_OK,    MKV_STATUS_NOT_FOUND,
    };
    uint32_t seen = 0;
    for (uint32_t index = 0; index < count; index++) {
        seen |= 1u << results[index].status;
    }
    for (size_t rank = 0; rank < sizeof gravity / sizeof gravity[0]; rank++) {
        if (seen & (1u << gravity[rank])) {
            return gravity[rank];
        }
    }
    MKV_ASSERT(false); /* every item has a status */
    return MKV_STATUS_OK;
}

static void request_answer(struct mkv_front *front, uint32_t request_index) {
    struct front_request *request = front_request_at(front, request_index);
    MKV_ASSERT(!request->closed);
    MKV_ASSERT(!request->answer_posted);
    request->answer_posted = true;
    const size_t offset = front->layout.results + (size_t)request_index *
                                                      front->config.items_per_request_max *
                                                      sizeof(struct mkv_item_result);
    const bool folds = request->op == MKV_OP_LOOKUP && !request->part;
    if (folds) {
        struct mkv_item_result *fold = front_at(front, offset);
        mkv_request_fold(fold, request->item_count);
        front->stats.lookup_keys_asked += request->item_count;
        front->stats.lookup_keys_hit += fold->length;
    }
    const uint32_t results = folds ? 1 : request->item_count;
    const enum mkv_status status = mkv_request_status(front_at(front, offset), results);
    front->stats.requests_answered[request->op][status] += request->part ? 0 : 1;
    mkv_front_summary_answered(front, request_index, status);
    struct mkv_effect *effect = mkv_front_emit(front, MKV_EFFECT_ANSWER);
    effect->op = (struct mkv_op_id){.index = request_index, .generation = request->generation};
    effect->answer.connection = request->connection;
    effect->answer.request_id = request->request_id;
    effect->answer.op = request->op;
    effect->answer.status = MKV_STATUS_OK;
    effect->answer.result_count = results;
    effect->answer.route = request->route;
    effect->answer.results_offset = offset;
}

void mkv_front_request_result(struct mkv_front *front, uint32_t request_index, uint32_t position,
                              const struct mkv_item_result *result) {
    struct front_request *request = front_request_at(front, request_index);
    struct mkv_item_result *results = front_at(front, front->layout.results);
    MKV_ASSERT(position < request->item_count);
    results[(size_t)request_index * front->config.items_per_request_max + position] = *result;
    MKV_ASSERT(request->undecided > 0);
    request->undecided--;
    if (request->undecided == 0) {
        request_answer(front, request_index);
    }
}

/* The place is free when nothing of it can come back: no item, no answer on its way; and when that
 * was told. */
static void request_free_if_over(struct mkv_front *front, uint32_t request_index) {
    struct front_request *request = front_request_at(front, request_index);
    if (request->items.count > 0 || !request->told) {
        return;
    }
    struct front_link *links = front_links(front, front->layout.request_links);
    if (!request->closed) {
        struct front_connection *connection = front_connection_at(front, request->connection.index);
        mkv_front_list_remove(&connection->requests, links, request_index);
    }
    mkv_front_timer_remove(front, request_index);
    request->in_use = false;
    mkv_front_list_push(&front->requests_free, links, request_index);
}

void mkv_front_request_told(struct mkv_front *front, uint32_t request_index) {
    front_request_at(front, request_index)->told = true;
    request_free_if_over(front, request_index);
}

void mkv_front_request_detach(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(item->decided);
    const uint32_t request_index = item->request;
    mkv_front_summary_leave(front, item_index);
    mkv_front_list_remove(&front_request_at(front, request_index)->items,
                          front_links(front, front->layout.item_links), item_index);
    item->request = MKV_NONE_U32;
    request_free_if_over(front, request_index);
}

void mkv_front_request_answer_done(struct mkv_front *front, const struct mkv_fabric_done *done) {
    if (done->op.index == MKV_NONE_U32 && front->stats.refusals_in_flight > 0) {
        front->stats.refusals_in_flight--;
        return;
    }
    if (done->op.index >= front->config.requests_max) {
        front->stats.fabric_stale++;
        return;
    }
    struct front_request *request = front_request_at(front, done->op.index);
    if (!request->in_use || request->generation != done->op.generation || !request->answer_posted ||
        request->answer_done) {
        front->stats.fabric_stale++;
        return;
    }
    request->answer_done = true;
    mkv_front_summary_end(front, done->op.index);
}

/* ---- connections ----------------------------------------------------------------------------- */

void mkv_front_request_break(struct mkv_front *front, uint32_t request_index) {
    const struct front_request *request = front_request_at(front, request_index);
    MKV_ASSERT(!request->closed);
    struct front_connection *connection = front_connection_at(front, request->connection.index);
    if (connection->broken) {
        return;
    }
    connection->broken = true;
    front->stats.connections_broken++;
    struct mkv_effect *effect = mkv_front_emit(front, MKV_EFFECT_BREAK);
    effect->op = (struct mkv_op_id){.index = MKV_NONE_U32, .generation = 0};
    effect->transfer.connection = request->connection;
}

static void request_close(struct mkv_front *front, uint32_t request_index) {
    struct front_request *request = front_request_at(front, request_index);
    /* Posted transfers have completed before the connection is closed; and answers, but for those
     * that a router has. */
    request->answer_done = request->answer_done || (request->answer_posted && request->route != 0);
    MKV_ASSERT(request->answer_posted == request->answer_done);
    request->closed = true;
    if (!request->answer_posted && !request->part) {
        front->stats.requests_dropped[request->op]++;
    }
    mkv_front_timer_remove(front, request_index);
    const struct front_link *links = front_links(front, front->layout.item_links);
    for (uint32_t item = request->items.first; item != MKV_NONE_U32; item = links[item].next) {
        const enum front_op_state state = front_op_at(front, item)->state;
        MKV_ASSERT(state != FRONT_OP_PULL_POSTED);
        MKV_ASSERT(state != FRONT_OP_PUSH_POSTED);
        mkv_front_item_ready(front, item);
    }
    mkv_front_summary_end(front, request_index);
    request_free_if_over(front, request_index);
}

void mkv_front_request_closed(struct mkv_front *front, struct mkv_connection_id id) {
    struct front_connection *connection = front_connection_at(front, id.index);
    if (!connection->open || connection->generation != id.generation) {
        return; /* it never had a request */
    }
    mkv_front_wait_connection_gone(front, connection);
    uint32_t request;
    while ((request = mkv_front_list_pop(&connection->requests,
                                         front_links(front, front->layout.request_links))) !=
           MKV_NONE_U32) {
        request_close(front, request);
    }
    connection->open = false;
    connection->slab_units = 0;
    mkv_front_reservations_closed(front, connection);
}
