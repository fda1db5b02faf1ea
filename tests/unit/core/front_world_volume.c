/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes of the front's test world: blocks in memory, one mutation of a key at a time. */
#include "core/bytes.h"
#include "core/hash.h"
#include "core/manifest.h"
#include "tests/unit/core/front_world.h"

struct world_block *world_block_find(struct world *world, uint32_t volume, const uint8_t *key,
                                     uint32_t key_bytes) {
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        struct world_block *block = &world->blocks[index];
        if (block->live && block->volume == volume && block->key_bytes == key_bytes &&
            memcmp(block->key, key, key_bytes) == 0) {
            return block;
        }
    }
    return NULL;
}

uint32_t world_block_count(struct world *world, uint32_t flags) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        count += world->blocks[index].live && world->blocks[index].flags == flags ? 1 : 0;
    }
    return count;
}

void world_check_segments(struct world *world, bool may_miss) {
    uint32_t expected = 0;
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        const struct world_block *block = &world->blocks[index];
        if (!block->live || block->flags != MKV_BLOCK_MANIFEST) {
            continue;
        }
        struct mkv_manifest manifest;
        assert_true(mkv_manifest_decode(block->data, &manifest));
        for (uint32_t segment = 0; segment < manifest.segment_count; segment++) {
            uint8_t key[MKV_KEY_BYTES_MAX];
            const uint32_t key_bytes =
                mkv_segment_key(block->key, block->key_bytes, segment, manifest.id, key);
            const struct mkv_root point =
                mkv_placement_point(MKV_TENANT_DEFAULT_NAME, key, key_bytes);
            const uint32_t owner =
                mkv_placement_owner(point, world->config.members, world->config.volume_count);
            const bool is_there = world_block_find(world, owner, key, key_bytes) != NULL;
            assert_true(is_there || may_miss);
            expected += is_there ? 1 : 0;
        }
    }
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), expected);
}

static void block_drop(struct world_block *block) {
    free(block->data);
    memset(block, 0, sizeof *block);
}

static void block_store(struct world *world, const struct world_block *source,
                        const uint8_t *payload) {
    struct world_block *block =
        world_block_find(world, source->volume, source->key, source->key_bytes);
    if (block != NULL) {
        block_drop(block);
    }
    uint32_t index = 0;
    while (world->blocks[index].live) {
        index++;
        assert_true(index < WORLD_BLOCKS_MAX);
    }
    block = &world->blocks[index];
    free(block->data); /* of one that a test made lost */
    *block = *source;
    block->live = true;
    block->data = malloc(block->length + 1);
    assert_non_null(block->data);
    memcpy(block->data, payload, block->length);
}

/* ---- operations ------------------------------------------------------------------------------ */

static uint32_t op_take(struct world *world, const struct mkv_message *message,
                        const uint8_t *data) {
    uint32_t index = 0;
    uint32_t at_volume = 1;
    for (uint32_t other = 0; other < WORLD_OPS_MAX; other++) {
        at_volume += world->ops[other].state != WORLD_OP_FREE &&
                             world->ops[other].message.volume == message->volume
                         ? 1
                         : 0;
    }
    assert_true(at_volume <= world->config.volume_ops_max);
    while (world->ops[index].state != WORLD_OP_FREE) {
        index++;
        assert_true(index < WORLD_OPS_MAX);
    }
    struct world_op *op = &world->ops[index];
    const uint32_t generation = op->generation + 1;
    memset(op, 0, sizeof *op);
    op->generation = generation;
    op->order = ++world->orders;
    op->message = *message;
    op->block.volume = message->volume;
    op->block.key_bytes = message->data_bytes;
    assert_in_range(message->data_bytes, 1, MKV_KEY_BYTES_MAX);
    memcpy(op->block.key, data, message->data_bytes);
    return index;
}

static void op_free(struct world *world, uint32_t index) {
    free(world->ops[index].block.data);
    world->ops[index].block.data = NULL;
    world->ops[index].state = WORLD_OP_FREE;
}

/* The operation that READ, RELEASE, PUT_WRITE and PUT_ABORT go on with. */
static struct world_op *op_of(struct world *world, const struct mkv_message *message,
                              enum world_op_state state) {
    assert_true(message->volume_op.index < WORLD_OPS_MAX);
    struct world_op *op = &world->ops[message->volume_op.index];
    assert_int_equal(op->generation, message->volume_op.generation);
    assert_int_equal(op->message.volume, message->volume);
    assert_int_equal(op->state, state);
    return op;
}

static struct world_event *answer(struct world *world, const struct mkv_message *message,
                                  enum gate gate, enum mkv_message_kind kind, uint32_t op) {
    struct world_event *event = world_event_add(world, gate);
    event->is_message = true;
    event->world_op = op;
    event->message.kind = kind;
    event->message.volume = message->volume;
    event->message.front_op = message->front_op;
    if (op != MKV_NONE_U32) {
        event->message.volume_op =
            (struct mkv_op_id){.index = op, .generation = world->ops[op].generation};
    }
    return event;
}

static uint32_t length_units(const struct world_block *block) {
    return block->length <= MKV_INLINE_BYTES_MAX
               ? 0
               : (uint32_t)mkv_divide_up_u64(block->length, MKV_UNIT_BYTES);
}

static void take_find(struct world *world, const struct mkv_message *message, const uint8_t *data) {
    const struct world_block *block =
        world_block_find(world, message->volume, data, message->data_bytes);
    if (block == NULL) {
        struct world_event *event =
            answer(world, message, GATE_FOUND, MKV_MESSAGE_FOUND, MKV_NONE_U32);
        event->message.status = MKV_STATUS_NOT_FOUND;
        event->message.miss = MKV_MISS_UNKNOWN;
        return;
    }
    const uint32_t index = op_take(world, message, data);
    struct world_op *op = &world->ops[index];
    op->state = WORLD_OP_FOUND;
    op->block = *block;
    op->block.data = malloc(block->length + 1);
    assert_non_null(op->block.data);
    memcpy(op->block.data, block->data, block->length);
    struct world_event *event = answer(world, message, GATE_FOUND, MKV_MESSAGE_FOUND, index);
    event->message.flags = block->flags;
    event->message.length_units = length_units(block);
}

static void take_exists(struct world *world, const struct mkv_message *message,
                        const uint8_t *data) {
    const struct world_block *block =
        world_block_find(world, message->volume, data, message->data_bytes);
    struct world_event *event =
        answer(world, message, GATE_EXISTS_DONE, MKV_MESSAGE_EXISTS_DONE, MKV_NONE_U32);
    world->lease_ns = message->lease_ns;
    world->exists_flags = message->flags;
    if (message->kind != MKV_MESSAGE_EXISTS) {
        const bool pin = message->kind == MKV_MESSAGE_PIN;
        event->message.kind = pin ? MKV_MESSAGE_PIN_DONE : MKV_MESSAGE_UNPIN_DONE;
    }
    if (block == NULL) {
        event->message.status = MKV_STATUS_NOT_FOUND;
        event->message.miss = MKV_MISS_UNKNOWN;
    } else {
        event->message.length_units = message->kind == MKV_MESSAGE_EXISTS ? length_units(block) : 0;
        event->message.lease_ns = message->lease_ns;
        event->message.expiry_s = block->expiry_s;
    }
}

static void take_session(struct world *world, const struct mkv_message *message) {
    struct world_event *event =
        answer(world, message, GATE_EXISTS_DONE, MKV_MESSAGE_SESSION_DONE, MKV_NONE_U32);
    event->message.status = world->session_status[message->volume];
    world->session_message = *message;
    world->session_messages++;
}

/* The bytes of the slab's payload area that a read fills: whole chunks, as a drive's would. */
static void read_extent(const struct world_op *op, uint32_t *from, uint32_t *bytes,
                        uint32_t *wanted) {
    const struct mkv_message *message = &op->message;
    const uint32_t length = op->block.length;
    const uint32_t behind = message->offset < length ? length - message->offset : 0;
    *wanted = message->length == 0 || message->length > behind ? behind : message->length;
    const uint32_t chunk_bytes = mkv_chunk_bytes(length);
    *from = message->offset / chunk_bytes * chunk_bytes;
    *bytes = 0;
    if (*wanted > 0) {
        const uint64_t end =
            mkv_min_u64(mkv_round_up_u64((uint64_t)message->offset + *wanted, chunk_bytes), length);
        *bytes = (uint32_t)(end - *from);
    }
}

static void take_read(struct world *world, const struct mkv_message *message) {
    struct world_op *op = op_of(world, message, WORLD_OP_FOUND);
    op->message = *message;
    op->state = WORLD_OP_READING;
    uint32_t from;
    uint32_t bytes;
    uint32_t wanted;
    read_extent(op, &from, &bytes, &wanted);
    world_slab_use(world, message->slab, 0, bytes, true);
    (void)answer(world, message, GATE_READ_DONE, MKV_MESSAGE_READ_DONE, message->volume_op.index);
}

/* ---- mutations ------------------------------------------------------------------------------- */

static bool op_is_mutation(const struct world_op *op) {
    return op->state >= WORLD_OP_QUEUED;
}

/* The other mutation of the key that came first, or NULL. */
static struct world_op *mutation_first(struct world *world, const struct world_op *op) {
    struct world_op *first = NULL;
    for (uint32_t index = 0; index < WORLD_OPS_MAX; index++) {
        struct world_op *other = &world->ops[index];
        if (other != op && op_is_mutation(other) && other->message.volume == op->message.volume &&
            other->block.key_bytes == op->block.key_bytes &&
            memcmp(other->block.key, op->block.key, op->block.key_bytes) == 0 &&
            (first == NULL || other->order < first->order)) {
            first = other;
        }
    }
    return first;
}

static bool may_replace(const struct world_op *op, const struct world_block *live) {
    if (op->request_flags & MKV_PUT_REPLACE_ROOT) {
        return mkv_root_equal(live->root, op->message.replaces);
    }
    return (op->request_flags & MKV_PUT_REPLACE) != 0;
}

/* Two manifests of one value. */
static bool same_value(const struct world_op *op, const struct world_block *live) {
    struct mkv_manifest manifest;
    return (op->block.flags & live->flags & MKV_BLOCK_MANIFEST) != 0 &&
           mkv_manifest_decode(live->data, &manifest) &&
           manifest.length == op->message.value_length &&
           mkv_root_equal(manifest.root, op->message.value_root);
}

static void mutation_start(struct world *world, uint32_t index) {
    struct world_op *op = &world->ops[index];
    if (op->message.kind == MKV_MESSAGE_DELETE) {
        op->state = WORLD_OP_DELETING;
        (void)answer(world, &op->message, GATE_DELETE_DONE, MKV_MESSAGE_DELETE_DONE, index);
        return;
    }
    if (op->message.kind == MKV_MESSAGE_EXPIRE) {
        op->state = WORLD_OP_DELETING;
        (void)answer(world, &op->message, GATE_DELETE_DONE, MKV_MESSAGE_EXPIRE_DONE, index);
        return;
    }
    op->state = WORLD_OP_BEGUN;
    const struct world_block *live =
        world_block_find(world, op->message.volume, op->block.key, op->block.key_bytes);
    struct world_event *event =
        answer(world, &op->message, GATE_PUT_READY, MKV_MESSAGE_PUT_READY, index);
    const bool if_absent = (op->request_flags & MKV_PUT_IF_ABSENT) != 0;
    if (live == NULL && (op->request_flags & MKV_PUT_IF_PRESENT) != 0) {
        event->message.kind = MKV_MESSAGE_PUT_DONE;
        event->message.status = MKV_STATUS_NOT_FOUND;
    } else if (live != NULL && if_absent && !may_replace(op, live)) {
        event->message.kind = MKV_MESSAGE_PUT_DONE;
        event->message.status = MKV_STATUS_CONFLICT;
    } else if (live != NULL &&
               ((live->length == op->block.length && mkv_root_equal(live->root, op->block.root) &&
                 live->flags == op->block.flags) ||
                (!may_replace(op, live) && same_value(op, live)))) {
        event->message.kind = MKV_MESSAGE_PUT_DONE;
        event->message.flags = MKV_PUT_THERE;
    } else if (live != NULL && !may_replace(op, live)) {
        event->message.kind = MKV_MESSAGE_PUT_DONE;
        event->message.status = MKV_STATUS_CONFLICT;
    }
}

static void mutation_end(struct world *world, uint32_t index) {
    struct world_op *next = mutation_first(world, &world->ops[index]);
    op_free(world, index);
    if (next != NULL) {
        assert_int_equal(next->state, WORLD_OP_QUEUED);
        mutation_start(world, (uint32_t)(next - world->ops));
    }
}

static void take_mutation(struct world *world, const struct mkv_message *message,
                          const uint8_t *data) {
    if (message->kind == MKV_MESSAGE_PUT_BEGIN) {
        world->put_message = *message;
    }
    const uint32_t index = op_take(world, message, data);
    struct world_op *op = &world->ops[index];
    op->block.length = message->length;
    op->block.root = message->root;
    op->block.expiry_s = message->expiry_s;
    op->block.flags = message->flags & MKV_BLOCK_FLAGS;
    op->request_flags = message->flags;
    op->state = WORLD_OP_QUEUED;
    if (mutation_first(world, op) == NULL) {
        mutation_start(world, index);
    }
}

static void take_put_write(struct world *world, const struct mkv_message *message,
                           const uint8_t *data) {
    struct world_op *op = op_of(world, message, WORLD_OP_RESERVED);
    op->message = *message;
    op->state = WORLD_OP_WRITING;
    if ((op->block.flags & MKV_BLOCK_MANIFEST) != 0) {
        assert_int_equal(message->flags & MKV_BLOCK_MANIFEST, MKV_BLOCK_MANIFEST);
        assert_int_equal(message->data_bytes, MKV_MANIFEST_BYTES);
        assert_int_equal(op->block.length, MKV_MANIFEST_BYTES);
        op->block.data = malloc(MKV_MANIFEST_BYTES);
        assert_non_null(op->block.data);
        memcpy(op->block.data, data, MKV_MANIFEST_BYTES);
        mkv_chunk_sums(data, MKV_MANIFEST_BYTES, op->sums);
    } else {
        assert_int_equal(message->data_bytes, 8 * mkv_chunk_count(op->block.length));
        for (uint32_t chunk = 0; chunk < mkv_chunk_count(op->block.length); chunk++) {
            op->sums[chunk] = mkv_load_u64(data + 8 * (size_t)chunk);
        }
    }
    world_slab_use(world, message->slab, 0, op->block.length, false);
    const bool over_old =
        world_block_find(world, op->message.volume, op->block.key, op->block.key_bytes) != NULL;
    if ((message->flags & MKV_PUT_RELAXED) != 0 && !over_old) {
        (void)answer(world, message, GATE_PUT_TAKEN, MKV_MESSAGE_PUT_TAKEN,
                     message->volume_op.index);
    } else {
        (void)answer(world, message, GATE_PUT_DONE, MKV_MESSAGE_PUT_DONE, message->volume_op.index);
    }
}

void world_volume_take(struct world *world, const struct mkv_message *message,
                       const uint8_t *data) {
    assert_true(message->volume < world->config.volume_count);
    switch (message->kind) {
    case MKV_MESSAGE_FIND:
        take_find(world, message, data);
        return;
    case MKV_MESSAGE_READ:
        take_read(world, message);
        return;
    case MKV_MESSAGE_RELEASE:
        (void)op_of(world, message, WORLD_OP_FOUND);
        op_free(world, message->volume_op.index);
        return;
    case MKV_MESSAGE_EXISTS:
    case MKV_MESSAGE_PIN:
    case MKV_MESSAGE_UNPIN:
        take_exists(world, message, data);
        return;
    case MKV_MESSAGE_SESSION:
        take_session(world, message);
        return;
    case MKV_MESSAGE_PUT_BEGIN:
    case MKV_MESSAGE_DELETE:
    case MKV_MESSAGE_EXPIRE:
        take_mutation(world, message, data);
        return;
    case MKV_MESSAGE_PUT_WRITE:
        take_put_write(world, message, data);
        return;
    case MKV_MESSAGE_PUT_ABORT:
        (void)op_of(world, message, WORLD_OP_RESERVED);
        mutation_end(world, message->volume_op.index);
        return;
    case MKV_MESSAGE_TOUCH:
        assert_in_range(message->data_bytes, MKV_TOUCH_ENTRY_BYTES,
                        MKV_TOUCH_ENTRIES_MAX * MKV_TOUCH_ENTRY_BYTES);
        world->touches += message->data_bytes / MKV_TOUCH_ENTRY_BYTES;
        world->touch_tag = mkv_load_u64(data);
        return;
    case MKV_MESSAGE_FOUND:
    case MKV_MESSAGE_READ_DONE:
    case MKV_MESSAGE_EXISTS_DONE:
    case MKV_MESSAGE_PIN_DONE:
    case MKV_MESSAGE_UNPIN_DONE:
    case MKV_MESSAGE_SESSION_DONE:
    case MKV_MESSAGE_PUT_READY:
    case MKV_MESSAGE_PUT_TAKEN:
    case MKV_MESSAGE_PUT_DONE:
    case MKV_MESSAGE_EXPIRE_DONE:
    case MKV_MESSAGE_DELETE_DONE:
    case MKV_MESSAGE_TENANT:
    case MKV_MESSAGE_TENANT_DROP:
    case MKV_MESSAGE_TENANT_DONE:
    case MKV_MESSAGE_TENANT_DROP_DONE:
    case MKV_MESSAGE_SCAN:
    case MKV_MESSAGE_COUNT:
    case MKV_MESSAGE_PURGE:
    case MKV_MESSAGE_SCAN_DONE:
    case MKV_MESSAGE_COUNT_DONE:
    case MKV_MESSAGE_PURGE_DONE:
        break;
    }
    fail_msg("a message that only volumes send: %d", (int)message->kind);
}

/* ---- answers --------------------------------------------------------------------------------- */

static const uint8_t *answer_read(struct world *world, struct world_event *event) {
    static uint8_t payload[MKV_MANIFEST_BYTES];
    struct world_op *op = &world->ops[event->world_op];
    uint32_t from;
    uint32_t bytes;
    uint32_t wanted;
    read_extent(op, &from, &bytes, &wanted);
    world_slab_unuse(world, op->message.slab, 0, bytes, true);
    const uint8_t *data = NULL;
    if (event->message.status == MKV_STATUS_OK) {
        memcpy(world_slab(world, op->message.slab), op->block.data + from, bytes);
        event->message.flags = op->block.flags;
        event->message.length = op->block.length;
        event->message.offset = op->message.offset;
        event->message.bytes = wanted;
        event->message.slab_offset = wanted > 0 ? op->message.offset - from : 0;
        event->message.root = op->block.root;
        event->message.expiry_s = op->block.expiry_s;
        if ((op->block.flags & MKV_BLOCK_MANIFEST) != 0) {
            assert_int_equal(wanted, MKV_MANIFEST_BYTES); /* it is read whole */
            memcpy(payload, op->block.data, MKV_MANIFEST_BYTES);
            data = payload;
            event->message.data_bytes = MKV_MANIFEST_BYTES;
        }
    }
    op_free(world, event->world_op);
    return data;
}

static void answer_put_done(struct world *world, const struct world_event *event) {
    struct world_op *op = &world->ops[event->world_op];
    world_slab_unuse(world, op->message.slab, 0, op->block.length, false);
    if (event->message.status == MKV_STATUS_OK) {
        const bool is_manifest = (op->block.flags & MKV_BLOCK_MANIFEST) != 0;
        const uint8_t *payload = is_manifest ? op->block.data : world_slab(world, op->message.slab);
        uint64_t sums[MKV_CHUNKS_MAX];
        mkv_chunk_sums(payload, op->block.length, sums);
        assert_memory_equal(sums, op->sums, 8 * (size_t)mkv_chunk_count(op->block.length));
        assert_true(mkv_root_equal(mkv_root_of_sums(op->block.length, sums), op->block.root));
        struct world_block block = op->block;
        block.data = NULL;
        block_store(world, &block, payload);
    }
    mutation_end(world, event->world_op);
}

const uint8_t *world_volume_answer(struct world *world, struct world_event *event) {
    const bool is_ok = event->message.status == MKV_STATUS_OK;
    struct world_op *op = event->world_op == MKV_NONE_U32 ? NULL : &world->ops[event->world_op];
    struct world_block *block;
    switch (event->gate) {
    case GATE_FOUND:
        if (op != NULL && !is_ok) {
            op_free(world, event->world_op);
        }
        break;
    case GATE_READ_DONE:
        return answer_read(world, event);
    case GATE_PUT_READY:
        if (!is_ok || event->message.kind == MKV_MESSAGE_PUT_DONE) {
            event->message.kind = MKV_MESSAGE_PUT_DONE;
            mutation_end(world, event->world_op);
        } else {
            op->state = WORLD_OP_RESERVED;
        }
        break;
    case GATE_PUT_TAKEN:
        (void)answer(world, &op->message, GATE_PUT_DONE, MKV_MESSAGE_PUT_DONE, event->world_op);
        break;
    case GATE_PUT_DONE:
        answer_put_done(world, event);
        break;
    case GATE_DELETE_DONE:
        block = world_block_find(world, op->message.volume, op->block.key, op->block.key_bytes);
        if (is_ok && block == NULL) {
            event->message.status = MKV_STATUS_NOT_FOUND;
        } else if (is_ok && op->message.kind == MKV_MESSAGE_EXPIRE) {
            block->expiry_s = op->message.expiry_s;
        } else if (is_ok) {
            block_drop(block);
        }
        mutation_end(world, event->world_op);
        break;
    case GATE_EXISTS_DONE:
    case GATE_PULL:
    case GATE_PUSH:
    case GATE_ANSWER:
        break;
    }
    return NULL;
}
