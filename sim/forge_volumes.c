/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A front before volumes that answer whatever a volume may: found or not, unavailable, unknown, a
 * manifest that names what is not there, late and in any order. Clients ask for anything, hang up,
 * and the volumes come and go. Each request is answered once or its connection closes, and at the
 * end nothing is held that nobody uses.
 */
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/front.h"
#include "core/hash.h"
#include "core/manifest.h"
#include "sim/forge_internal.h"

#define CONNECTIONS 3u
#define TURNS 1500u
#define DRAIN_TURNS_MAX 100000u
#define ITEMS 4u
#define KEYS 5u
#define KEY_BYTES 4u
#define ASKED_MAX 64u
#define PENDING_MAX 512u
#define TRANSFERS_MAX 512u
#define FOUND_MAX 512u
#define NAMES_MAX 8u
#define DEADLINE_NS_MAX 2000000u
/* Manifests of these volumes have for an id the value's length and, above it, the blocks that a
 * segment of it is long; most that the front draws are none of these. */
#define ID_FACTOR_SHIFT 32u
#define ID_FACTOR_MAX 4u
#define LARGE_LENGTHS 5u
/* The last key is so long that there is no room for a segment's suffix. */
#define LONG_KEY (KEYS - 1u)
#define LONG_KEY_BYTES 1020u

struct asked_request {
    uint64_t id;
    uint32_t connection;
};

/* A message that a volume has yet to answer. */
struct pending {
    struct mkv_message message;
    bool is_segment;
    bool taken; /* PUT_TAKEN was said */
    uint32_t segment;
    uint64_t id;
};

struct found {
    uint32_t units;
    uint32_t flags;
    uint32_t length; /* of a segment, as its manifest has it; else MKV_NONE_U32 */
};

struct reservation_name {
    uint64_t name;
    uint64_t length;
    uint32_t connection;
};

struct volumes_world {
    struct mkv_random *random;
    struct mkv_front_config config;
    struct mkv_front *front;
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t ids;
    uint32_t generations[CONNECTIONS];
    bool closing[CONNECTIONS];
    struct asked_request asked[ASKED_MAX];
    uint32_t asked_count;
    struct pending pending[PENDING_MAX];
    uint32_t pending_count;
    struct mkv_effect transfers[TRANSFERS_MAX];
    uint32_t transfer_count;
    struct found found[FOUND_MAX];
    uint32_t found_next;
    struct reservation_name names[NAMES_MAX];
    uint32_t name_count;
    uint64_t sums[MKV_CHUNKS_MAX]; /* zeros: of what every client brings */
    uint8_t manifest[MKV_MANIFEST_BYTES];
};

static uint32_t below(struct volumes_world *world, uint32_t end) {
    return mkv_random_below(world->random, end);
}

static bool one_in(struct volumes_world *world, uint32_t count) {
    return mkv_random_chance(world->random, 1, count);
}

/* ---- what comes out -------------------------------------------------------------------------- */

static struct mkv_connection_id connection_of(const struct mkv_effect *effect) {
    return effect->kind == MKV_EFFECT_ANSWER ? effect->answer.connection
                                             : effect->transfer.connection;
}

static void forget_asked(struct volumes_world *world, uint32_t index) {
    world->asked[index] = world->asked[--world->asked_count];
}

static void take_answer(struct volumes_world *world, const struct mkv_effect *effect) {
    uint32_t index = 0;
    while (index < world->asked_count && world->asked[index].id != effect->answer.request_id) {
        index++;
    }
    MKV_ASSERT(index < world->asked_count); /* once, and only what was asked */
    forget_asked(world, index);
    if (effect->answer.op != MKV_OP_ALLOCATE || effect->answer.status != MKV_STATUS_OK) {
        return;
    }
    const struct mkv_item_result *results =
        (const struct mkv_item_result *)(const void *)(mkv_front_arena(world->front) +
                                                       effect->answer.results_offset);
    for (uint32_t item = 0; item < effect->answer.result_count; item++) {
        if (results[item].status == MKV_STATUS_OK && results[item].reservation != 0) {
            world->names[world->name_count++ % NAMES_MAX] = (struct reservation_name){
                .name = results[item].reservation,
                .length = 100,
                .connection = effect->answer.connection.index,
            };
        }
    }
}

static void take_message(struct volumes_world *world, const struct mkv_message *message) {
    const bool has_key = message->kind == MKV_MESSAGE_FIND || message->kind == MKV_MESSAGE_EXISTS;
    if (message->kind == MKV_MESSAGE_RELEASE || message->kind == MKV_MESSAGE_PUT_ABORT ||
        message->kind == MKV_MESSAGE_TOUCH) {
        return;
    }
    MKV_ASSERT(world->pending_count < PENDING_MAX);
    struct pending *pending = &world->pending[world->pending_count++];
    *pending = (struct pending){.message = *message};
    if (has_key && message->data_bytes == KEY_BYTES + MKV_SEGMENT_KEY_SUFFIX_BYTES) {
        const uint8_t *suffix = mkv_front_arena(world->front) + message->data_offset +
                                message->data_bytes - MKV_SEGMENT_KEY_SUFFIX_BYTES;
        pending->is_segment = true;
        pending->segment = mkv_load_u32(suffix + 1);
        pending->id = mkv_load_u64(suffix + 5);
    }
}

static void take_effect(struct volumes_world *world, const struct mkv_effect *effect) {
    switch (effect->kind) {
    case MKV_EFFECT_MESSAGE:
        take_message(world, &effect->message);
        return;
    case MKV_EFFECT_BREAK:
        world->closing[effect->transfer.connection.index] = true;
        return;
    case MKV_EFFECT_ANSWER:
        take_answer(world, effect);
        break;
    case MKV_EFFECT_REQUEST_ENDED:
        return;
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
        break;
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM:
    case MKV_EFFECT_FAIL_DRIVE:
    case MKV_EFFECT_EVENT:
        mkv_assert_failed("an effect of a volume", __FILE__, __LINE__);
    }
    MKV_ASSERT(world->transfer_count < TRANSFERS_MAX);
    world->transfers[world->transfer_count++] = *effect;
}

static void step(struct volumes_world *world, struct mkv_input *input) {
    struct mkv_effect effects[3]; /* few, so that they are fetched in several turns */
    uint32_t count;
    world->now_ns += 1 + below(world, one_in(world, 24) ? DEADLINE_NS_MAX / 4 : 1000);
    world->wall_ms += one_in(world, 64) ? 1000 : 1;
    input->now_ns = world->now_ns;
    input->wall_ms = world->wall_ms;
    (void)mkv_front_step(world->front, input);
    while ((count = mkv_front_effects(world->front, effects, 3)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            take_effect(world, &effects[index]);
        }
    }
}

static void tick(struct volumes_world *world) {
    struct mkv_input input = {.kind = MKV_INPUT_TICK};
    step(world, &input);
}

/* ---- volumes --------------------------------------------------------------------------------- */

static uint32_t found_units(uint32_t length) {
    return length <= MKV_INLINE_BYTES_MAX ? 0 : (uint32_t)mkv_divide_up_u64(length, MKV_UNIT_BYTES);
}

static enum mkv_status draw_status(struct volumes_world *world, const enum mkv_status *statuses,
                                   uint32_t count) {
    return one_in(world, 4) ? statuses[below(world, count)] : MKV_STATUS_OK;
}

static uint32_t segment_length(const struct volumes_world *world, const struct pending *pending) {
    const uint64_t factor = pending->id >> ID_FACTOR_SHIFT;
    const uint64_t length = pending->id & UINT32_MAX;
    const uint64_t segment_bytes = factor * world->config.block_bytes_max;
    const uint64_t begin = pending->segment * segment_bytes;
    if (factor < 1 || factor > ID_FACTOR_MAX || begin >= length) {
        return world->config.block_bytes_max;
    }
    return (uint32_t)mkv_min_u64(length - begin, segment_bytes);
}

/* One of a few, so that a value is put again. */
static uint64_t draw_large(struct volumes_world *world) {
    return world->config.block_bytes_max * (uint64_t)(1 + below(world, LARGE_LENGTHS)) + 77;
}

static void answer_find(struct volumes_world *world, const struct pending *pending,
                        struct mkv_message *answer) {
    static const enum mkv_miss misses[] = {MKV_MISS_UNKNOWN, MKV_MISS_EVICTED, MKV_MISS_EXPIRED,
                                           MKV_MISS_DRIVE_OFFLINE};
    const uint32_t which = world->found_next++ % FOUND_MAX;
    struct found *found = &world->found[which];
    answer->kind = MKV_MESSAGE_FOUND;
    if (one_in(world, 6)) {
        answer->status = MKV_STATUS_NOT_FOUND;
        answer->miss = misses[below(world, 4)];
        return;
    }
    *found = (struct found){.length = MKV_NONE_U32};
    if (pending->is_segment) {
        found->length = segment_length(world, pending);
        found->units = found_units(found->length);
    } else {
        found->flags = one_in(world, 2) ? MKV_BLOCK_MANIFEST : 0;
        /* Blocks may be larger than this front makes them. */
        const uint32_t bytes_max = world->config.block_bytes_max * (one_in(world, 12) ? 4 : 1);
        found->units = found->flags != 0 ? 0 : below(world, bytes_max / MKV_UNIT_BYTES + 1);
    }
    if (one_in(world, 32)) { /* another block of the same tag */
        found->flags ^= MKV_BLOCK_MANIFEST;
        found->units = found->flags != 0 ? 0 : 1;
        found->length = MKV_NONE_U32;
    }
    answer->volume_op = (struct mkv_op_id){which, 1};
    answer->length_units = found->units;
    answer->flags = found->flags;
}

/* A manifest of a drawn value, mostly right. */
static void draw_manifest(struct volumes_world *world) {
    const uint32_t factor = one_in(world, 8) ? ID_FACTOR_MAX : 1;
    const uint32_t segment_bytes = factor * world->config.block_bytes_max;
    const uint64_t length = draw_large(world);
    struct mkv_manifest manifest = {
        .length = length,
        .segment_bytes = segment_bytes,
        .segment_count = (uint32_t)mkv_divide_up_u64(length, segment_bytes),
        .id = length | (uint64_t)factor << ID_FACTOR_SHIFT,
    };
    for (uint32_t segment = 0; segment < manifest.segment_count; segment++) {
        const uint64_t left = length - (uint64_t)segment * segment_bytes;
        const struct mkv_root root =
            mkv_root_of_sums((uint32_t)mkv_min_u64(left, segment_bytes), world->sums);
        uint8_t bytes[2 * sizeof root.bytes];
        memcpy(bytes, manifest.root.bytes, sizeof root.bytes);
        memcpy(bytes + sizeof root.bytes, root.bytes, sizeof root.bytes);
        manifest.root = mkv_hash_128(bytes, sizeof bytes);
    }
    if (one_in(world, 8)) {
        manifest.root.bytes[0] ^= 1;
    }
    mkv_manifest_encode(&manifest, world->manifest);
    if (one_in(world, 8)) {
        mkv_store_u32(world->manifest + 4 * below(world, 4), below(world, 3));
    }
}

static void answer_read(struct volumes_world *world, const struct mkv_message *message,
                        struct mkv_input *input) {
    struct mkv_message *answer = &input->message;
    const struct found *found = &world->found[message->volume_op.index];
    answer->kind = MKV_MESSAGE_READ_DONE;
    if (one_in(world, 12)) {
        const bool is_error = one_in(world, 2);
        answer->status = is_error ? MKV_STATUS_IO_ERROR : MKV_STATUS_NOT_FOUND;
        answer->miss = is_error           ? MKV_MISS_IO_ERROR
                       : one_in(world, 2) ? MKV_MISS_CHECKSUM
                                          : MKV_MISS_OVERLOADED;
        return;
    }
    answer->flags = found->flags;
    answer->expiry_s =
        one_in(world, 4) ? (uint32_t)(world->wall_ms / 1000) + 1 + below(world, 3) : 0;
    if (found->flags != 0) {
        draw_manifest(world);
        answer->length = MKV_MANIFEST_BYTES;
        answer->bytes = MKV_MANIFEST_BYTES;
        input->data = world->manifest;
        input->data_bytes = MKV_MANIFEST_BYTES;
        answer->data_bytes = MKV_MANIFEST_BYTES;
        if (one_in(world, 16)) {
            input->data_bytes = answer->data_bytes = MKV_MANIFEST_BYTES - 1;
        }
        return;
    }
    answer->flags = one_in(world, 32) ? MKV_BLOCK_MANIFEST : 0;
    const uint32_t length_max =
        found->units == 0 ? MKV_INLINE_BYTES_MAX : found->units * MKV_UNIT_BYTES;
    answer->length = found->length != MKV_NONE_U32 && !one_in(world, 24)
                         ? found->length
                         : (one_in(world, 2) ? length_max : below(world, (uint32_t)length_max + 1));
    answer->offset = (uint32_t)mkv_min_u64(message->offset, answer->length);
    answer->bytes = answer->length - answer->offset;
    if (message->length != 0) {
        answer->bytes = (uint32_t)mkv_min_u64(answer->bytes, message->length);
    }
    answer->slab_offset = answer->offset % MKV_CHUNK_BYTES_MIN;
    answer->root = mkv_root_of_sums(answer->length, world->sums);
}

static void answer_put(struct volumes_world *world, struct pending *pending,
                       struct mkv_message *answer) {
    static const enum mkv_status refusals[] = {MKV_STATUS_OK,       MKV_STATUS_CONFLICT,
                                               MKV_STATUS_NO_SPACE, MKV_STATUS_UNAVAILABLE,
                                               MKV_STATUS_QUOTA,    MKV_STATUS_FORBIDDEN};
    static const enum mkv_status ends[] = {MKV_STATUS_UNKNOWN, MKV_STATUS_UNAVAILABLE,
                                           MKV_STATUS_IO_ERROR, MKV_STATUS_CONFLICT};
    answer->kind = MKV_MESSAGE_PUT_DONE;
    if (pending->message.kind == MKV_MESSAGE_PUT_WRITE) {
        answer->status = draw_status(world, ends, 4);
        return;
    }
    if (one_in(world, 4)) {
        answer->status = refusals[below(world, 6)];
        answer->flags = answer->status == MKV_STATUS_OK ? MKV_PUT_THERE : 0;
        return;
    }
    answer->kind = MKV_MESSAGE_PUT_READY;
    answer->volume_op = (struct mkv_op_id){world->found_next++ % FOUND_MAX, 1};
}

/* A relaxed PUT_WRITE may be told twice of: that it is taken, and how it ended. */
static bool is_taken_first(struct volumes_world *world, const struct pending *pending) {
    return pending->message.kind == MKV_MESSAGE_PUT_WRITE && !pending->taken &&
           (pending->message.flags & MKV_PUT_RELAXED) != 0 && one_in(world, 2);
}

static void answer_one(struct volumes_world *world, uint32_t which) {
    static const enum mkv_status ends[] = {MKV_STATUS_NOT_FOUND, MKV_STATUS_UNAVAILABLE};
    static const enum mkv_status session_ends[] = {MKV_STATUS_NOT_FOUND, MKV_STATUS_NO_SPACE,
                                                   MKV_STATUS_UNAVAILABLE};
    struct pending pending = world->pending[which];
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    struct mkv_message *answer = &input.message;
    answer->volume = pending.message.volume;
    answer->front_op = pending.message.front_op;
    if (is_taken_first(world, &pending)) {
        world->pending[which].taken = true;
        answer->kind = MKV_MESSAGE_PUT_TAKEN;
        step(world, &input);
        return;
    }
    world->pending[which] = world->pending[--world->pending_count];
    if (pending.message.kind == MKV_MESSAGE_FIND) {
        answer_find(world, &pending, answer);
    } else if (pending.message.kind == MKV_MESSAGE_READ) {
        answer_read(world, &pending.message, &input);
    } else if (pending.message.kind == MKV_MESSAGE_PUT_BEGIN ||
               pending.message.kind == MKV_MESSAGE_PUT_WRITE) {
        answer_put(world, &pending, answer);
    } else if (pending.message.kind == MKV_MESSAGE_DELETE) {
        answer->kind = MKV_MESSAGE_DELETE_DONE;
        answer->status = draw_status(world, ends, 2);
    } else if (pending.message.kind == MKV_MESSAGE_EXPIRE) {
        answer->kind = MKV_MESSAGE_EXPIRE_DONE;
        answer->status = draw_status(world, ends, 2);
    } else if (pending.message.kind == MKV_MESSAGE_SESSION) {
        answer->kind = MKV_MESSAGE_SESSION_DONE;
        answer->status = draw_status(world, session_ends, 3);
    } else {
        const enum mkv_message_kind kind = pending.message.kind;
        answer->kind = kind == MKV_MESSAGE_PIN     ? MKV_MESSAGE_PIN_DONE
                       : kind == MKV_MESSAGE_UNPIN ? MKV_MESSAGE_UNPIN_DONE
                                                   : MKV_MESSAGE_EXISTS_DONE;
        answer->status = one_in(world, 6) ? MKV_STATUS_NOT_FOUND : MKV_STATUS_OK;
        answer->miss = answer->status == MKV_STATUS_OK ? MKV_MISS_NONE : MKV_MISS_UNKNOWN;
        answer->lease_ns = pending.message.lease_ns;
        answer->length_units = 1;
    }
    step(world, &input);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void complete(struct volumes_world *world, uint32_t which) {
    const struct mkv_effect effect = world->transfers[which];
    const uint32_t connection = connection_of(&effect).index;
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    world->transfers[which] = world->transfers[--world->transfer_count];
    input.fabric.op = effect.op;
    input.fabric.transfer = world->closing[connection] ? MKV_TRANSFER_FAILED : MKV_TRANSFER_OK;
    input.fabric.event = effect.kind == MKV_EFFECT_PULL   ? MKV_FABRIC_PULL_DONE
                         : effect.kind == MKV_EFFECT_PUSH ? MKV_FABRIC_PUSH_DONE
                                                          : MKV_FABRIC_ANSWER_DONE;
    if (effect.kind == MKV_EFFECT_PULL) {
        input.fabric.sums = world->sums;
        input.fabric.sum_count = mkv_chunk_count(effect.transfer.bytes);
    }
    step(world, &input);
}

/* The connection is gone once none of its transfers is under way. */
static void close_if_quiet(struct volumes_world *world, uint32_t connection) {
    for (uint32_t which = 0; which < world->transfer_count; which++) {
        if (connection_of(&world->transfers[which]).index == connection) {
            return;
        }
    }
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.event = MKV_FABRIC_CONNECTION_CLOSED;
    input.fabric.connection =
        (struct mkv_connection_id){connection, world->generations[connection]};
    world->generations[connection]++;
    world->closing[connection] = false;
    for (uint32_t index = world->asked_count; index > 0; index--) {
        if (world->asked[index - 1].connection == connection) {
            forget_asked(world, index - 1);
        }
    }
    step(world, &input);
}

static uint64_t draw_length(struct volumes_world *world, enum mkv_op op) {
    const uint32_t block = world->config.block_bytes_max;
    if (op == MKV_OP_ALLOCATE) {
        return 100;
    }
    switch (below(world, 5)) {
    case 0:
        return 0;
    case 1:
        return 1 + below(world, (uint32_t)MKV_UNIT_BYTES);
    case 2:
        return block;
    case 3:
        return draw_large(world);
    default:
        return 100;
    }
}

static void draw_item(struct volumes_world *world, const struct mkv_request *request,
                      struct mkv_request_item *item) {
    const bool stores = request->op == MKV_OP_PUT || request->op == MKV_OP_ALLOCATE;
    const uint32_t key = below(world, KEYS);
    *item = (struct mkv_request_item){.key_offset = KEY_BYTES * key, .key_bytes = KEY_BYTES};
    if (key == LONG_KEY) {
        item->key_bytes = LONG_KEY_BYTES;
    }
    if (request->op == MKV_OP_SESSION) {
        item->key_bytes = 0;
        item->session = 1 + below(world, 3);
        item->action = (enum mkv_session_action)(1 + below(world, 4));
        item->reason = item->action == MKV_SESSION_EXIT_THINK
                           ? (enum mkv_think_exit)(1 + below(world, 3))
                           : (enum mkv_think_exit)0;
        item->length = mkv_random_next(world->random) >> (40 + below(world, 24));
    } else if (request->op == MKV_OP_COMMIT) {
        const struct reservation_name *name = &world->names[below(world, NAMES_MAX)];
        item->key_bytes = 0;
        item->reservation = name->name;
        item->length = one_in(world, 8) ? 99 : name->length;
        item->flags = one_in(world, 6) ? MKV_COMMIT_ABANDON : 0;
    } else if (stores) {
        item->flags = one_in(world, 2) ? MKV_PUT_REPLACE : 0;
        item->flags |= one_in(world, 2) ? MKV_PUT_RELAXED : 0;
        item->flags |= request->op == MKV_OP_PUT && one_in(world, 3) ? MKV_PUT_ROOT_LATER : 0;
        if (request->op == MKV_OP_PUT && one_in(world, 4)) {
            item->flags |= one_in(world, 2) ? MKV_PUT_IF_ABSENT : MKV_PUT_IF_PRESENT;
        }
        item->length = draw_length(world, request->op);
        item->expire_s = one_in(world, 3) ? 1 + below(world, 3) : 0;
        item->session = below(world, 3);
        if (item->length <= world->config.block_bytes_max) {
            item->root = mkv_root_of_sums((uint32_t)item->length, world->sums);
            item->root.bytes[0] ^= one_in(world, 8) ? 1 : 0;
        }
    } else if (request->op == MKV_OP_PIN || request->op == MKV_OP_EXPIRE) {
        item->expire_s = 1;
    } else if (request->op == MKV_OP_GET && one_in(world, 3)) {
        item->offset = below(world, 2 * world->config.block_bytes_max);
        item->length = below(world, 2 * world->config.block_bytes_max);
    }
}

static void ask(struct volumes_world *world) {
    static const uint8_t keys[KEYS * KEY_BYTES + LONG_KEY_BYTES] = "key0key1key2key3key4";
    static const enum mkv_op ops[] = {
        MKV_OP_PUT,    MKV_OP_PUT,      MKV_OP_PUT,    MKV_OP_GET,     MKV_OP_GET,   MKV_OP_GET,
        MKV_OP_GET,    MKV_OP_EXISTS,   MKV_OP_LOOKUP, MKV_OP_PIN,     MKV_OP_UNPIN, MKV_OP_DELETE,
        MKV_OP_DELETE, MKV_OP_ALLOCATE, MKV_OP_COMMIT, MKV_OP_SESSION, MKV_OP_EXPIRE};
    struct mkv_request_item items[ITEMS];
    const uint32_t connection = below(world, CONNECTIONS);
    if (world->closing[connection] || world->asked_count == ASKED_MAX) {
        return;
    }
    struct mkv_input input = {.kind = MKV_INPUT_REQUEST, .data = keys, .data_bytes = sizeof keys};
    struct mkv_request *request = &input.request;
    request->connection = (struct mkv_connection_id){connection, world->generations[connection]};
    request->request_id = ++world->ids;
    request->op = ops[below(world, sizeof ops / sizeof ops[0])];
    request->tenant = one_in(world, 6) ? 7 : MKV_TENANT_DEFAULT;
    request->tenant_name = request->tenant == 7 ? "someone" : NULL;
    request->deadline_ns =
        one_in(world, 12) ? UINT64_MAX : world->now_ns + below(world, DEADLINE_NS_MAX);
    request->item_count = 1 + below(world, world->config.items_per_request_max);
    request->items = items;
    for (uint32_t item = 0; item < request->item_count; item++) {
        draw_item(world, request, &items[item]);
    }
    world->asked[world->asked_count++] = (struct asked_request){request->request_id, connection};
    step(world, &input);
}

static void change_volume(struct volumes_world *world) {
    static const enum mkv_front_volume_state states[] = {
        MKV_FRONT_VOLUME_ONLINE, MKV_FRONT_VOLUME_ONLINE, MKV_FRONT_VOLUME_OFFLINE,
        MKV_FRONT_VOLUME_ABSENT};
    mkv_front_volume_set_state(world->front, below(world, world->config.volume_count),
                               states[below(world, 4)]);
    tick(world);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void draw_config(struct volumes_world *world) {
    struct mkv_front_config *config = &world->config;
    do {
        mkv_front_config_default(config);
        config->volume_count = 1 + below(world, 3);
        for (uint32_t volume = 0; volume < config->volume_count; volume++) {
            config->members[volume].uuid.bytes[0] = (uint8_t)(1 + volume);
            config->members[volume].weight = 1 + below(world, 2);
        }
        config->connections_max = CONNECTIONS;
        config->requests_max = 2 + below(world, 12);
        config->requests_per_connection_max = 1 + below(world, 6);
        config->items_per_request_max = 1 + below(world, ITEMS);
        config->items_max = config->items_per_request_max + below(world, 24);
        config->reservations_per_connection_max = 1 + below(world, 4);
        config->segmented_max = 1 + below(world, 2);
        config->volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN + below(world, 16);
        config->block_bytes_max = (1 + below(world, 2)) * MKV_CHUNK_BYTES_MIN;
        config->value_bytes_max = 6 * (uint64_t)config->block_bytes_max;
        config->slab_unit_count = 2 + below(world, 30);
        config->slab_units_per_connection_max = 2 + below(world, 12);
        config->memory_blocks_max = one_in(world, 4) ? 0 : 1 + below(world, 24);
        config->lookup_lease_ns = one_in(world, 2) ? 1000 : 0;
        config->transfer_grace_ns = 200000;
        config->segment_id_seed = mkv_random_next(world->random);
    } while (mkv_front_config_fault(config) != NULL);
}

static void take_turn(struct volumes_world *world) {
    const uint32_t draw = below(world, 64);
    const uint32_t connection = below(world, CONNECTIONS);
    if (draw == 0) {
        change_volume(world);
    } else if (draw == 1) {
        world->closing[connection] = true;
    } else if (draw < 4 && world->closing[connection]) {
        close_if_quiet(world, connection);
    } else if (draw < 6) {
        tick(world);
    } else if (draw < 24) {
        ask(world);
    } else if (draw < 46 && world->pending_count > 0) {
        answer_one(world, below(world, world->pending_count));
    } else if (world->transfer_count > 0) {
        complete(world, below(world, world->transfer_count));
    }
}

/* One row for the default tenant and each other that asked, and one for all that have none. */
static void check_tenants(const struct volumes_world *world) {
    struct mkv_front_tenant tenant;
    uint32_t cursor = 0;
    uint32_t count = 0;
    while (mkv_front_next_tenant(world->front, &cursor, &tenant)) {
        count++;
    }
    MKV_ASSERT(count >= 1 && count <= 3);
}

/* Everything ends: nobody is left, and every volume answers. */
static void drain(struct volumes_world *world) {
    struct mkv_front_stats stats;
    memset(world->closing, true, sizeof world->closing);
    for (uint32_t turn = 0; turn < DRAIN_TURNS_MAX; turn++) {
        mkv_front_stats(world->front, &stats);
        if (world->pending_count > 0) {
            answer_one(world, below(world, world->pending_count));
        } else if (world->transfer_count > 0) {
            complete(world, below(world, world->transfer_count));
        } else if (world->closing[turn % CONNECTIONS]) {
            close_if_quiet(world, turn % CONNECTIONS);
        } else if (stats.requests_in_flight == 0 && stats.items_in_flight == 0 &&
                   world->asked_count == 0 && !mkv_front_has_work(world->front)) {
            MKV_ASSERT(stats.slab_units_free + stats.memory_units == world->config.slab_unit_count);
            MKV_ASSERT(stats.memory_units_used == 0 && stats.memory_unpersisted == 0);
            MKV_ASSERT(stats.reservations == 0 && stats.segmented_in_flight == 0);
            check_tenants(world);
            return;
        } else {
            tick(world);
        }
    }
    mkv_assert_failed("the front comes to rest", __FILE__, __LINE__);
}

void mkv_forge_volumes(struct mkv_random *random, struct mkv_forge_report *report) {
    struct volumes_world *world = calloc(1, sizeof *world);
    MKV_ASSERT(world != NULL);
    world->random = random;
    world->wall_ms = 1000;
    draw_config(world);
    const size_t bytes = mkv_front_memory_required(&world->config);
    void *memory = aligned_alloc(64, bytes);
    MKV_ASSERT(memory != NULL);
    world->front = mkv_front_init(memory, bytes, &world->config);
    for (uint32_t volume = 0; volume < world->config.volume_count; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_ONLINE);
    }
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        take_turn(world);
        report->requests++;
    }
    drain(world);
    free(memory);
    free(world);
}
