/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of the front world: requests of one or more items, and how every part of their
 * answers is held against the model.
 */
#include <string.h>

#include "core/hash.h"
#include "sim/failure.h"
#include "sim/front_world.h"

#define RANGE_ONE_IN 4u
#define DEADLINE_SPREAD 64u
/* One put in this many brings what the last one did, where values are longer than a block. */
#define SAME_ONE_IN 2u
#define PIN_S_MAX 3u
/* How long what is reserved stays so: others may wait for it that long. */
#define RESERVE_NS_MAX 5000000u
/* How long a frame is on its way; drives and rings take times of the same order. */
#define RECEIVED_NS_MAX 700u
/* SESSION comes in so many of this many requests as its weight says. */
#define SESSION_WEIGHT_OF 48u
/* Operations without an end that are still bearable; above, everything drains and is settled. */
#define ABANDONED_MAX 6u

static struct mkv_random *client_random(struct front_world *world) {
    return mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
}

static bool is_read(enum mkv_op op) {
    return op == MKV_OP_GET || op == MKV_OP_EXISTS || op == MKV_OP_LOOKUP || op == MKV_OP_PIN ||
           op == MKV_OP_UNPIN;
}

/* Whether the model knows of the item. */
static bool is_modelled(const struct request_item *item) {
    return !item->ended && !item->abandons;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct request *free_request(struct front_world *world) {
    for (uint32_t index = 0; index < MKV_REQUESTS_MAX; index++) {
        if (!world->requests[index].used) {
            return &world->requests[index];
        }
    }
    return NULL;
}

/* A connection that takes requests, or MKV_NONE_U32. */
static uint32_t open_connection(struct front_world *world) {
    const uint32_t count = world->lives.shape->connections;
    const uint32_t first = mkv_random_below(client_random(world), count);
    for (uint32_t turn = 0; turn < count; turn++) {
        const uint32_t index = (first + turn) % count;
        if (world->connections[index].state == CONNECTION_OPEN) {
            return index;
        }
    }
    return MKV_NONE_U32;
}

/* What is sent, as the front wants it: the items, and the keys behind one another. */
struct wire_request {
    struct mkv_request_item items[MKV_REQUEST_ITEMS_MAX];
    uint8_t keys[MKV_REQUEST_ITEMS_MAX * MKV_KEY_BYTES_MAX];
    uint32_t key_bytes;
};

struct mkv_root mkv_sim_client_root(struct front_world *world, uint32_t key, uint32_t version) {
    const uint32_t length = mkv_content_length(&world->lives.content, key, version);
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_content_fill(&world->lives.content, key, version, 0, world->scratch, length);
    mkv_chunk_sums(world->scratch, length, sums);
    return mkv_root_of_sums(length, sums);
}

static void draw_put(struct front_world *world, struct request_item *item,
                     struct mkv_request_item *wire) {
    struct mkv_random *random = client_random(world);
    const struct mkv_shape *shape = world->lives.shape;
    item->version = world->lives.model.keys[item->key].version_last + 1;
    if (item->version > 1 && mkv_random_chance(random, shape->share_repeat, 16)) {
        item->version = mkv_random_between(random, 1, item->version - 1);
    }
    const bool same = shape->length_max > shape->block_bytes_max && item->version > 1 &&
                      mkv_random_chance(random, 1, SAME_ONE_IN);
    if (same) {
        item->version = world->lives.model.keys[item->key].version_last; /* perhaps under way */
    }
    const bool replace = !same && mkv_random_chance(random, shape->share_replace, 16);
    wire->flags = replace ? MKV_PUT_REPLACE : 0;
    wire->length = mkv_content_length(&world->lives.content, item->key, item->version);
    if (wire->length <= world->config.block_bytes_max) {
        wire->root = mkv_sim_client_root(world, item->key, item->version);
    }
    wire->session = mkv_tiers_session_of(shape, item->key, wire->root);
    wire->tier_hint = mkv_tiers_hint(shape, item->key, wire->root);
    item->place = mkv_model_invoke(&world->lives.model, item->key,
                                   replace ? MKV_MODEL_REPLACE : MKV_MODEL_PUT, item->version);
    if (shape->share_expiry > 0 && mkv_random_chance(random, shape->share_expiry, 16)) {
        const uint64_t now_s = mkv_divide_up_u64(mkv_wall_ms(world->lives.now_ns), 1000);
        wire->expire_s = mkv_random_between(random, 1, shape->expiry_s_max);
        mkv_model_expires(&world->lives.model, item->key, item->place,
                          (uint32_t)now_s + wire->expire_s);
    }
    if (shape->share_relaxed > 0 && mkv_random_chance(random, shape->share_relaxed, 16)) {
        wire->flags |= MKV_PUT_RELAXED;
        if (wire->length <= world->config.block_bytes_max) { /* else it is durable all the same */
            mkv_model_relax(&world->lives.model, item->key, item->place);
        }
    }
    if (shape->share_condition > 0 && mkv_random_chance(random, shape->share_condition, 16)) {
        wire->flags |= replace ? MKV_PUT_IF_PRESENT : MKV_PUT_IF_ABSENT;
        item->if_present = replace;
        mkv_model_condition(&world->lives.model, item->key, item->place);
    }
    if (shape->share_later > 0 && mkv_random_chance(random, shape->share_later, 16)) {
        wire->flags |= MKV_PUT_ROOT_LATER;
        wire->root = (struct mkv_root){{0}};
        world->lives.model.diversity.figures[MKV_INPUTS_ROOTS_LATER]++;
    }
}

static void draw_expire(struct front_world *world, struct request_item *item,
                        struct mkv_request_item *wire) {
    struct mkv_random *random = client_random(world);
    const uint64_t now_s = mkv_divide_up_u64(mkv_wall_ms(world->lives.now_ns), 1000);
    item->place = mkv_model_invoke(&world->lives.model, item->key, MKV_MODEL_EXPIRE, 0);
    wire->expire_s = mkv_random_below(random, 2 * world->lives.shape->expiry_s_max);
    uint32_t expiry_s = wire->expire_s == 0 ? 0 : (uint32_t)now_s + wire->expire_s;
    if (mkv_random_chance(random, 1, 2)) {
        wire->flags = MKV_EXPIRE_AT;
        wire->expire_s = expiry_s;
    }
    mkv_model_expires(&world->lives.model, item->key, item->place, expiry_s);
}

/* Without a lease, plain or not, with the front's, or with one of its own. */
static void draw_exists(struct front_world *world, struct request_item *item,
                        struct mkv_request_item *wire) {
    const uint64_t draw = mkv_random_mix(world->request_id_last + item->key);
    static const uint32_t leases_ms[] = {0, 0, 1, MKV_NONE_U32};
    item->plain = draw % 3 == 0;
    wire->flags = item->plain ? MKV_EXISTS_PLAIN : 0;
    wire->lease_ms = world->lives.shape->share_lease > 0 ? leases_ms[draw >> 8 & 3] : 0;
    world->lives.model.diversity.figures[MKV_INPUTS_PLAIN] += item->plain;
}

static void draw_item(struct front_world *world, struct request *request, uint32_t key, bool whole,
                      struct wire_request *wire) {
    struct mkv_random *random = client_random(world);
    struct request_item *item = &request->items[request->item_count];
    struct mkv_request_item *wire_item = &wire->items[request->item_count];
    const struct mkv_content_key *content_key = &world->lives.content.keys[key];
    *item = (struct request_item){.key = key};
    *wire_item = (struct mkv_request_item){.key_offset = wire->key_bytes,
                                           .key_bytes = content_key->byte_count};
    memcpy(wire->keys + wire->key_bytes, content_key->bytes, content_key->byte_count);
    wire->key_bytes += content_key->byte_count;
    if (request->op == MKV_OP_PUT) {
        draw_put(world, item, wire_item);
    } else if (request->op == MKV_OP_ALLOCATE) {
        mkv_sim_reserve_draw(world, item, wire_item);
    } else if (request->op == MKV_OP_EXPIRE) {
        draw_expire(world, item, wire_item);
    } else if (request->op == MKV_OP_DELETE) {
        item->place = mkv_model_invoke(&world->lives.model, key, MKV_MODEL_DELETE, 0);
    } else {
        if (request->op == MKV_OP_GET && !whole && mkv_random_chance(random, 1, RANGE_ONE_IN)) {
            item->range_offset = mkv_random_below(random, world->lives.content.length_max + 1);
            item->range_bytes = mkv_random_below(random, world->lives.content.length_max);
            if (item->range_offset % 2 == 0) { /* what the client has room for, from the start on */
                item->range_offset = 0;
                item->range_bytes *= 2;
            }
        }
        wire_item->offset = item->range_offset;
        wire_item->length = item->range_bytes;
        if (request->op == MKV_OP_PIN) {
            wire_item->expire_s = 1 + mkv_random_below(random, PIN_S_MAX);
        }
        if (request->op == MKV_OP_EXISTS) {
            draw_exists(world, item, wire_item);
        }
        item->place = mkv_model_invoke(&world->lives.model, key, MKV_MODEL_READ, 0);
    }
    request->item_count++;
}

static void send_request(struct front_world *world, struct request *request,
                         const struct wire_request *wire, uint64_t deadline_ns) {
    request->used = true;
    request->id = ++world->request_id_last;
    request->deadline_ns = deadline_ns;
    request->failures = world->failures;
    world->request_count++;
    if (!is_read(request->op)) {
        mkv_lives_mutated(&world->lives);
    }
    struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST,
        .data = wire->keys,
        .data_bytes = wire->key_bytes,
        .request =
            {
                .connection = request->connection,
                .request_id = request->id,
                .op = request->op,
                .tenant = MKV_TENANT_DEFAULT,
                .deadline_ns = deadline_ns,
                .item_count = request->item_count,
                .items = wire->items,
                .received_ns = world->lives.now_ns - request->id % RECEIVED_NS_MAX,
                .serial = request->id,
            },
    };
    mkv_sim_ends_began(world, &input.request);
    mkv_sim_shards_input(world, request->connection, &input);
}

static struct request *begin_request(struct front_world *world, enum mkv_op op) {
    struct request *request = free_request(world);
    const uint32_t connection = open_connection(world);
    if (request == NULL || connection == MKV_NONE_U32) {
        return NULL;
    }
    request->connection =
        (struct mkv_connection_id){connection, world->connections[connection].generation};
    request->op = op;
    request->item_count = 0;
    return request;
}

bool mkv_sim_client_start_get(struct front_world *world, uint32_t key) {
    struct request *request = begin_request(world, MKV_OP_GET);
    if (request == NULL || !mkv_model_has_room(&world->lives.model, key)) {
        return false;
    }
    struct wire_request wire;
    wire.key_bytes = 0;
    draw_item(world, request, key, true, &wire);
    send_request(world, request, &wire, UINT64_MAX);
    return true;
}

static enum mkv_op draw_op(struct front_world *world) {
    const struct mkv_shape *shape = world->lives.shape;
    struct mkv_random *random = client_random(world);
    uint32_t draw =
        mkv_random_below(random, shape->weight_put + shape->weight_get + shape->weight_exists +
                                     shape->weight_delete + shape->weight_expire);
    if (draw < shape->weight_put) {
        const bool reserves =
            shape->share_reserve > 0 && mkv_random_chance(random, shape->share_reserve, 16);
        return reserves ? MKV_OP_ALLOCATE : MKV_OP_PUT;
    }
    draw -= shape->weight_put;
    if (draw < shape->weight_get) {
        return MKV_OP_GET;
    }
    draw -= shape->weight_get;
    if (draw < shape->weight_exists) {
        if (shape->share_lease > 0 && mkv_random_chance(random, shape->share_lease, 32)) {
            return mkv_random_chance(random, 2, 3) ? MKV_OP_PIN : MKV_OP_UNPIN;
        }
        return mkv_random_chance(random, 1, 2) ? MKV_OP_EXISTS : MKV_OP_LOOKUP;
    }
    return draw < shape->weight_exists + shape->weight_expire ? MKV_OP_EXPIRE : MKV_OP_DELETE;
}

static uint64_t draw_deadline(struct front_world *world, enum mkv_op op) {
    if (op == MKV_OP_ALLOCATE) {
        return world->lives.now_ns + 1 + mkv_random_below(client_random(world), RESERVE_NS_MAX);
    }
    return world->lives.now_ns + world->lives.shape->deadline_ns *
                                     (1 + mkv_random_below(client_random(world), DEADLINE_SPREAD));
}

static void start_commit(struct front_world *world, struct mkv_connection_id connection) {
    struct request *request = begin_request(world, MKV_OP_COMMIT);
    if (request == NULL) {
        return;
    }
    struct wire_request wire;
    wire.key_bytes = 0;
    request->connection = connection;
    if (mkv_sim_reserve_commit(world, request, wire.items) > 0) {
        send_request(world, request, &wire, draw_deadline(world, request->op));
    }
}

static void start_session(struct front_world *world) {
    struct request *request = begin_request(world, MKV_OP_SESSION);
    if (request == NULL) {
        return;
    }
    struct wire_request wire;
    wire.key_bytes = 0;
    const uint64_t session =
        mkv_random_between(client_random(world), 1, world->lives.shape->session_count);
    const enum mkv_session_action action = mkv_tiers_draw_action(client_random(world));
    const bool exits = action == MKV_SESSION_EXIT_THINK;
    mkv_tiers_asked(&world->lives.tiers, action, session, false);
    request->items[0] = (struct request_item){.ended = true, .action = action};
    request->item_count = 1;
    wire.items[0] = (struct mkv_request_item){
        .session = session,
        .action = action,
        .length = exits ? session : 0,
        .reason = exits ? MKV_THINK_CONVERGED : (enum mkv_think_exit)0,
    };
    send_request(world, request, &wire, draw_deadline(world, request->op));
}

void mkv_sim_client_start(struct front_world *world) {
    struct mkv_random *random = client_random(world);
    const struct mkv_shape *shape = world->lives.shape;
    if (world->abandoned > ABANDONED_MAX || world->request_count >= shape->clients) {
        return;
    }
    if (mkv_random_chance(random, shape->share_close, 256)) {
        const uint32_t connection = open_connection(world);
        if (connection != MKV_NONE_U32) {
            mkv_sim_fabric_close(world, connection);
        }
        return;
    }
    struct mkv_connection_id connection;
    if (mkv_sim_reserve_wants_commit(world, &connection)) {
        start_commit(world, connection);
        return;
    }
    if (shape->weight_session > 0 &&
        mkv_random_chance(random, shape->weight_session, SESSION_WEIGHT_OF)) {
        start_session(world);
        return;
    }
    const enum mkv_op op = draw_op(world);
    const uint32_t wanted = mkv_random_between(random, 1, shape->items_max);
    struct request *request = begin_request(world, op);
    if (request == NULL) {
        return;
    }
    struct wire_request wire;
    wire.key_bytes = 0;
    for (uint32_t turn = 0; turn < wanted; turn++) {
        const uint32_t key = mkv_random_below(random, shape->key_count);
        if ((world->keys_owned >> key & 1) != 0 && mkv_model_has_room(&world->lives.model, key)) {
            draw_item(world, request, key, false, &wire);
        }
    }
    if (request->item_count > 0) {
        send_request(world, request, &wire, draw_deadline(world, request->op));
    }
}

/* ---- what comes back ------------------------------------------------------------------------- */

static struct request *find_request(struct front_world *world, struct mkv_connection_id connection,
                                    uint64_t id, const char *what) {
    for (uint32_t index = 0; index < MKV_REQUESTS_MAX; index++) {
        struct request *request = &world->requests[index];
        if (request->used && request->id == id && request->connection.index == connection.index &&
            request->connection.generation == connection.generation) {
            return request;
        }
    }
    mkv_fail(MKV_ORACLE_ANSWERS, "%s for request %llu, which is answered or was never asked", what,
             (unsigned long long)id);
}

static struct request_item *find_item(struct front_world *world,
                                      const struct mkv_transfer_effect *effect, const char *what) {
    struct request *request = find_request(world, effect->connection, effect->request_id, what);
    if (effect->item >= request->item_count) {
        mkv_fail(MKV_ORACLE_ANSWERS, "%s for item %u of a request that has %u", what, effect->item,
                 request->item_count);
    }
    return &request->items[effect->item];
}

void mkv_sim_client_pulled(struct front_world *world, const struct mkv_transfer_effect *effect,
                           uint8_t *target) {
    const struct request_item *item = find_item(world, effect, "a PULL comes");
    const uint32_t length = mkv_content_length(&world->lives.content, item->key, item->version);
    if (!is_modelled(item)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "a PULL asks for what a COMMIT of key %u does not put",
                 item->key);
    }
    if (effect->offset > length || effect->bytes > length - effect->offset) {
        mkv_fail(MKV_ORACLE_ANSWERS, "a PULL asks for %u bytes at %llu of a value of %u",
                 effect->bytes, (unsigned long long)effect->offset, length);
    }
    mkv_content_fill(&world->lives.content, item->key, item->version, effect->offset, target,
                     effect->bytes);
}

static bool bytes_are(struct front_world *world, uint32_t key, uint32_t version,
                      const struct mkv_transfer_effect *effect, const uint8_t *bytes) {
    return mkv_content_length(&world->lives.content, key, version) == effect->length &&
           mkv_content_equal(&world->lives.content, key, version, effect->offset, bytes,
                             effect->bytes);
}

static uint32_t version_of(struct front_world *world, uint32_t key,
                           const struct mkv_transfer_effect *effect, const uint8_t *bytes) {
    uint32_t version = 0;
    for (uint32_t index = 0; mkv_model_version(&world->lives.model, key, index, &version);
         index++) {
        if (version != MKV_MODEL_ABSENT && bytes_are(world, key, version, effect, bytes)) {
            return version;
        }
    }
    for (version = world->lives.model.keys[key].version_last; version > 0; version--) {
        if (bytes_are(world, key, version, effect, bytes)) {
            return version;
        }
    }
    mkv_fail(MKV_ORACLE_DURABLE, "a GET of key %u returned bytes that no put brought", key);
}

void mkv_sim_client_pushed(struct front_world *world, const struct mkv_transfer_effect *effect,
                           const uint8_t *bytes) {
    struct request_item *item = find_item(world, effect, "a PUSH comes");
    if (!item->pushed) {
        item->pushed = true;
        item->push_length = effect->length;
        item->push_root = effect->root;
        item->version_read = version_of(world, item->key, effect, bytes);
    } else if (effect->length != item->push_length ||
               !bytes_are(world, item->key, item->version_read, effect, bytes)) {
        mkv_fail(MKV_ORACLE_DURABLE, "a GET of key %u returned parts of different values",
                 item->key);
    }
    if (effect->offset != item->range_offset + item->push_bytes) {
        mkv_fail(MKV_ORACLE_ANSWERS, "a PUSH for key %u comes at offset %llu, not %llu", item->key,
                 (unsigned long long)effect->offset,
                 (unsigned long long)(item->range_offset + item->push_bytes));
    }
    item->push_bytes += effect->bytes;
}

/* ---- judging --------------------------------------------------------------------------------- */

static void judge(struct front_world *world, struct request_item *item, uint32_t result) {
    mkv_model_answer(&world->lives.model, item->key, item->place, result);
    item->judged = true;
}

static void learn_nothing(struct front_world *world, struct request_item *item) {
    mkv_model_cancel(&world->lives.model, item->key, item->place);
    item->judged = true;
}

static void abandon(struct front_world *world, struct request_item *item, enum mkv_op op) {
    mkv_model_abandon(&world->lives.model, item->key, item->place);
    item->judged = true;
    world->abandoned += !is_read(op);
}

/* It ended at its deadline, and stores nothing. But a put that waits for its key at a volume may
 * yet find the same content there, and give it its expiry: where there are any, the model lets it
 * take effect. */
static void gave_up(struct front_world *world, struct request_item *item, enum mkv_op op) {
    const bool stores = op != MKV_OP_DELETE && !is_read(op);
    if (stores && world->lives.shape->share_expiry > 0) {
        abandon(world, item, op);
    } else {
        learn_nothing(world, item);
    }
}

static _Noreturn void unexpected(const struct request_item *item, enum mkv_op op,
                                 const struct mkv_item_result *result) {
    mkv_fail(MKV_ORACLE_ANSWERS, "op %u of key %u ends with status %u, miss %u for no reason",
             (unsigned)op, item->key, (unsigned)result->status, (unsigned)result->miss);
}

static void judge_mutation(struct front_world *world, struct request_item *item, enum mkv_op op,
                           const struct mkv_item_result *result) {
    switch (result->status) {
    case MKV_STATUS_OK:
        judge(world, item, MKV_MODEL_OK);
        return;
    case MKV_STATUS_NOT_FOUND:
        if (op == MKV_OP_COMMIT) {
            learn_nothing(world, item);
            return;
        }
        if (op != MKV_OP_DELETE && op != MKV_OP_EXPIRE && !item->if_present) {
            unexpected(item, op, result);
        }
        judge(world, item, MKV_MODEL_MISS);
        return;
    case MKV_STATUS_QUOTA: /* there is none */
        unexpected(item, op, result);
        return;
    case MKV_STATUS_CONFLICT:
        if (op != MKV_OP_PUT && op != MKV_OP_COMMIT) {
            unexpected(item, op, result);
        }
        judge(world, item, MKV_MODEL_CONFLICT);
        return;
    case MKV_STATUS_UNKNOWN:
        abandon(world, item, op);
        return;
    case MKV_STATUS_IO_ERROR:
    case MKV_STATUS_UNAVAILABLE:
        mkv_lives_error(&world->lives);
        learn_nothing(world, item);
        return;
    case MKV_STATUS_NO_SPACE:
        learn_nothing(world, item);
        return;
    case MKV_STATUS_DEADLINE:
        gave_up(world, item, op);
        return;
    case MKV_STATUS_BUSY: /* the front of its part was */
        if (world->shard_count > 1) {
            learn_nothing(world, item);
            return;
        }
        break;
    case MKV_STATUS_INVALID:
    case MKV_STATUS_FORBIDDEN:
        break;
    }
    unexpected(item, op, result);
}

/* Whether the miss says that the key held nothing. */
static bool miss_is_absence(const struct mkv_item_result *result) {
    return result->status == MKV_STATUS_NOT_FOUND && result->miss != MKV_MISS_DEADLINE &&
           result->miss != MKV_MISS_OVERLOADED && result->miss != MKV_MISS_DRIVE_OFFLINE &&
           result->miss != MKV_MISS_IO_ERROR;
}

static void judge_miss(struct front_world *world, struct request_item *item, enum mkv_op op,
                       const struct mkv_item_result *result) {
    const bool failed = result->status == MKV_STATUS_IO_ERROR || result->miss == MKV_MISS_IO_ERROR;
    if (failed || result->miss == MKV_MISS_CHECKSUM) {
        mkv_lives_damage(&world->lives, item->key);
    }
    const bool busy = result->status == MKV_STATUS_BUSY && world->shard_count > 1;
    if (failed || result->miss == MKV_MISS_DRIVE_OFFLINE) {
        mkv_lives_error(&world->lives);
        learn_nothing(world, item);
    } else if (busy) {
        learn_nothing(world, item);
    } else if (miss_is_absence(result)) {
        judge(world, item, MKV_MODEL_MISS);
    } else if (result->status == MKV_STATUS_NOT_FOUND || result->status == MKV_STATUS_DEADLINE) {
        learn_nothing(world, item);
    } else {
        unexpected(item, op, result);
    }
}

static void judge_get(struct front_world *world, struct request_item *item,
                      const struct mkv_item_result *result) {
    if (result->status != MKV_STATUS_OK) {
        judge_miss(world, item, MKV_OP_GET, result);
        return;
    }
    const uint64_t behind =
        result->length > item->range_offset ? result->length - item->range_offset : 0;
    const uint64_t wanted =
        item->range_bytes == 0 ? behind : mkv_min_u64(behind, item->range_bytes);
    if (item->push_bytes != wanted || (item->pushed && item->push_length != result->length)) {
        mkv_fail(MKV_ORACLE_DURABLE, "a GET of key %u is answered OK with %llu of %llu bytes",
                 item->key, (unsigned long long)item->push_bytes, (unsigned long long)wanted);
    }
    if (wanted < 8) {
        judge(world, item, MKV_MODEL_PRESENT); /* too few to tell the versions apart */
        return;
    }
    if (result->length <= world->config.block_bytes_max &&
        !mkv_root_equal(result->root, mkv_sim_client_root(world, item->key, item->version_read))) {
        mkv_fail(MKV_ORACLE_DURABLE, "a GET of key %u, version %u, names another root", item->key,
                 item->version_read);
    }
    judge(world, item, MKV_MODEL_VERSION + item->version_read);
}

static void judge_allocate(struct front_world *world, struct request *request,
                           struct request_item *item, const struct mkv_item_result *result) {
    const uint32_t learned = mkv_sim_reserve_judge(world, request, item, result);
    switch (result->status) {
    case MKV_STATUS_IO_ERROR:
    case MKV_STATUS_UNAVAILABLE:
        mkv_lives_error(&world->lives);
        break;
    case MKV_STATUS_OK:
    case MKV_STATUS_CONFLICT:
    case MKV_STATUS_NO_SPACE:
    case MKV_STATUS_DEADLINE:
    case MKV_STATUS_BUSY:
    case MKV_STATUS_UNKNOWN: /* of what it found rotten, and was dropping */
        break;
    case MKV_STATUS_NOT_FOUND:
    case MKV_STATUS_QUOTA:
    case MKV_STATUS_INVALID:
    case MKV_STATUS_FORBIDDEN:
        unexpected(item, request->op, result);
    }
    if (learned != MKV_MODEL_NOTHING) {
        judge(world, item, learned);
    } else if (result->status == MKV_STATUS_DEADLINE || result->status == MKV_STATUS_UNKNOWN) {
        gave_up(world, item, request->op);
    } else {
        learn_nothing(world, item);
    }
}

static void judge_commit(struct front_world *world, struct request *request,
                         struct request_item *item, const struct mkv_item_result *result) {
    (void)mkv_sim_reserve_judge(world, request, item, result);
    if (is_modelled(item)) {
        judge_mutation(world, item, request->op, result);
        return;
    }
    item->judged = true;
    if (item->abandons && result->status != MKV_STATUS_OK &&
        result->status != MKV_STATUS_NOT_FOUND && result->status != MKV_STATUS_DEADLINE &&
        (result->status != MKV_STATUS_BUSY || world->shard_count == 1)) {
        unexpected(item, request->op, result);
    }
}

static void judge_session(struct front_world *world, struct request_item *item,
                          const struct mkv_item_result *result) {
    const bool begins = item->action == MKV_SESSION_BEGIN;
    item->judged = true;
    if (result->status == MKV_STATUS_UNAVAILABLE) {
        mkv_lives_error(&world->lives);
    } else if (result->status != MKV_STATUS_OK && result->status != MKV_STATUS_DEADLINE &&
               (result->status != MKV_STATUS_BUSY || world->shard_count == 1) &&
               result->status != (begins ? MKV_STATUS_NO_SPACE : MKV_STATUS_NOT_FOUND)) {
        unexpected(item, MKV_OP_SESSION, result);
    }
}

/* What EXISTS tells of the block besides that it is there. */
static void judge_told(struct front_world *world, struct request_item *item,
                       const struct mkv_item_result *result) {
    if (item->plain && result->leased != 0) {
        mkv_fail(MKV_ORACLE_ANSWERS, "a plain EXISTS of key %u is answered with a lease",
                 item->key);
    }
    if (item->key >= world->lives.shape->colliding) {
        mkv_model_told_expiry(&world->lives.model, item->key, item->place, result->expiry_s);
    }
}

static void judge_presence(struct front_world *world, struct request_item *item, bool present) {
    if (!present) {
        judge(world, item, MKV_MODEL_MISS);
    } else if (item->key < world->lives.shape->colliding) {
        learn_nothing(world, item); /* answered from memory, by the tag alone */
    } else {
        judge(world, item, MKV_MODEL_PRESENT);
    }
}

static void judge_lookup(struct front_world *world, struct request *request,
                         const struct mkv_item_result *result) {
    if (result->status != MKV_STATUS_OK || result->length > request->item_count) {
        unexpected(&request->items[0], MKV_OP_LOOKUP, result);
    }
    const uint32_t count = (uint32_t)result->length;
    for (uint32_t index = 0; index < request->item_count; index++) {
        struct request_item *item = &request->items[index];
        const bool told = result->miss == MKV_MISS_UNKNOWN || result->miss == MKV_MISS_DELETED;
        if (index < count) {
            judge_presence(world, item, true);
        } else if (index == count && told) {
            judge_presence(world, item, false);
        } else {
            learn_nothing(world, item);
        }
    }
}

/* What memory alone has is neither pinned nor missing. */
static void judge_pin(struct front_world *world, struct request_item *item, enum mkv_op op,
                      const struct mkv_item_result *result) {
    if (op == MKV_OP_PIN && result->status == MKV_STATUS_OK) {
        judge_presence(world, item, true);
        return;
    }
    if (result->status != MKV_STATUS_OK && result->status != MKV_STATUS_NOT_FOUND &&
        result->status != MKV_STATUS_DEADLINE &&
        (result->status != MKV_STATUS_BUSY || world->shard_count == 1) &&
        (op != MKV_OP_PIN || result->status != MKV_STATUS_NO_SPACE)) {
        unexpected(item, op, result);
    }
    learn_nothing(world, item);
}

static void end_request(struct front_world *world, struct request *request) {
    for (uint32_t index = 0; index < request->item_count; index++) {
        MKV_ASSERT(request->items[index].judged);
    }
    world->lives.report->operations += request->item_count;
    request->used = false;
    world->request_count--;
}

void mkv_sim_client_answered(struct front_world *world, const struct mkv_answer_effect *answer,
                             const struct mkv_item_result *results) {
    struct request *request =
        find_request(world, answer->connection, answer->request_id, "an ANSWER comes");
    if (answer->status != MKV_STATUS_OK) {
        if (answer->status != MKV_STATUS_BUSY) {
            mkv_fail(MKV_ORACLE_ANSWERS, "a request is refused with status %u for no reason",
                     (unsigned)answer->status);
        }
        for (uint32_t index = 0; index < request->item_count; index++) {
            if (is_modelled(&request->items[index])) {
                learn_nothing(world, &request->items[index]);
            }
            request->items[index].judged = true;
            mkv_sim_reserve_forget(world, request->items[index].reservation);
        }
        end_request(world, request);
        return;
    }
    const uint32_t expected = request->op == MKV_OP_LOOKUP ? 1 : request->item_count;
    if (answer->op != request->op || answer->result_count != expected) {
        mkv_fail(MKV_ORACLE_ANSWERS, "op %u with %u items is answered as op %u with %u results",
                 (unsigned)request->op, request->item_count, (unsigned)answer->op,
                 answer->result_count);
    }
    if (request->op == MKV_OP_LOOKUP) {
        judge_lookup(world, request, &results[0]);
        end_request(world, request);
        return;
    }
    for (uint32_t index = 0; index < request->item_count; index++) {
        struct request_item *item = &request->items[index];
        if (request->op == MKV_OP_SESSION) {
            judge_session(world, item, &results[index]);
        } else if (request->op == MKV_OP_ALLOCATE) {
            judge_allocate(world, request, item, &results[index]);
        } else if (request->op == MKV_OP_COMMIT) {
            judge_commit(world, request, item, &results[index]);
        } else if (!is_read(request->op)) {
            judge_mutation(world, item, request->op, &results[index]);
        } else if (request->op == MKV_OP_PIN || request->op == MKV_OP_UNPIN) {
            judge_pin(world, item, request->op, &results[index]);
        } else if (request->op == MKV_OP_GET) {
            judge_get(world, item, &results[index]);
        } else if (results[index].status == MKV_STATUS_OK) {
            judge_told(world, item, &results[index]);
            judge_presence(world, item, true);
        } else {
            judge_miss(world, item, request->op, &results[index]);
        }
    }
    end_request(world, request);
}

void mkv_sim_client_gone(struct front_world *world, struct mkv_connection_id connection) {
    mkv_sim_reserve_gone(world, connection);
    for (uint32_t index = 0; index < MKV_REQUESTS_MAX; index++) {
        struct request *request = &world->requests[index];
        if (request->used && request->connection.index == connection.index &&
            request->connection.generation == connection.generation) {
            for (uint32_t item = 0; item < request->item_count; item++) {
                if (is_modelled(&request->items[item])) {
                    abandon(world, &request->items[item], request->op);
                }
            }
            request->used = false;
            world->request_count--;
        }
    }
}
