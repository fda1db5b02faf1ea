/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of values that are segments behind a manifest; see core/manifest.h. */
#include <string.h>

#include "core/front_internal.h"
#include "core/hash.h"

static struct front_segmented *entry_of(struct mkv_front *front, uint32_t item_index) {
    struct front_segmented *entry =
        front_segmented_at(front, front_item_at(front, item_index)->segmented);
    MKV_ASSERT(entry->item == item_index);
    return entry;
}

static uint32_t lane_of(struct mkv_front *front, uint32_t item_index, uint32_t segment) {
    return front_lane(front, front_item_at(front, item_index)->segmented, segment);
}

static struct front_op *lane_op(struct mkv_front *front, uint32_t item_index, uint32_t segment) {
    return front_op_at(front, lane_of(front, item_index, segment));
}

static uint32_t segment_bytes(const struct mkv_manifest *manifest, uint32_t segment) {
    const uint64_t begin = (uint64_t)segment * manifest->segment_bytes;
    MKV_ASSERT(begin < manifest->length);
    return (uint32_t)mkv_min_u64(manifest->segment_bytes, manifest->length - begin);
}

static struct mkv_root chain_next(struct mkv_root chain, struct mkv_root segment) {
    uint8_t bytes[sizeof chain.bytes + sizeof segment.bytes];
    memcpy(bytes, chain.bytes, sizeof chain.bytes);
    memcpy(bytes + sizeof chain.bytes, segment.bytes, sizeof segment.bytes);
    return mkv_hash_128(bytes, sizeof bytes);
}

/* A lane that ended without success, or MKV_NONE_U32. */
static uint32_t lane_failed(struct mkv_front *front, uint32_t item_index) {
    for (uint32_t lane = 0; lane < MKV_FRONT_WINDOW; lane++) {
        const struct front_op *op = lane_op(front, item_index, lane);
        if (op->state == FRONT_OP_DONE && op->status != MKV_STATUS_OK) {
            return lane_of(front, item_index, lane);
        }
    }
    return MKV_NONE_U32;
}

/* ---- the entry is there ---------------------------------------------------------------------- */

static void range_set(struct front_segmented *entry, uint32_t first, uint32_t end) {
    MKV_ASSERT(first <= end);
    entry->first = first;
    entry->end = end;
    entry->next = first;
    entry->turn = first;
}

/* One past the last byte that a GET of a manifest's value wants. */
static uint64_t get_end(const struct front_item *item) {
    const uint64_t rest = item->old.length - item->offset;
    return item->offset + (item->length == 0 ? rest : mkv_min_u64(item->length, rest));
}

static void decide_ok(struct mkv_front *front, uint32_t item_index, uint64_t length) {
    const struct mkv_item_result result = {.status = MKV_STATUS_OK, .length = length};
    mkv_front_item_decide(front, item_index, &result);
}

static void begin_get(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    if (item->offset >= item->old.length) {
        item->phase = FRONT_PHASE_ENDING;
        decide_ok(front, item_index, item->old.length);
        return;
    }
    const uint64_t last = get_end(item) - 1;
    item->phase = FRONT_PHASE_CHECK;
    range_set(entry_of(front, item_index), (uint32_t)(item->offset / item->old.segment_bytes),
              (uint32_t)(last / item->old.segment_bytes) + 1);
}

static uint64_t draw_id(struct mkv_front *front) {
    const uint64_t count = ++front->segment_ids_drawn;
    return mkv_hash_64_seeded(&count, sizeof count, front->config.segment_id_seed);
}

static void begin_segments(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    struct front_segmented *entry = entry_of(front, item_index);
    const uint32_t bytes = front->config.block_bytes_max;
    entry->put = (struct mkv_manifest){
        .length = item->length,
        .segment_bytes = bytes,
        .segment_count = (uint32_t)mkv_divide_up_u64(item->length, bytes),
        .id = draw_id(front),
    };
    item->phase = FRONT_PHASE_SEGMENTS;
    range_set(entry, 0, entry->put.segment_count);
}

static void begin_put(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    if (item->keeps_old || item->op == MKV_OP_EXPIRE) {
        item->phase = FRONT_PHASE_CHECK;
        range_set(entry_of(front, item_index), 0, item->old.segment_count);
    } else {
        begin_segments(front, item_index);
    }
}

static void begin_clean(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    struct front_segmented *entry = entry_of(front, item_index);
    item->phase = FRONT_PHASE_CLEAN;
    if (item->clean == FRONT_CLEAN_OLD) {
        entry->put = item->old;
        range_set(entry, 0, item->old.segment_count);
    } else {
        /* What was started of its own: some of it may not have come to be, which is no harm. */
        range_set(entry, 0, entry->next);
    }
}

void mkv_front_segments_begin(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    if (item->phase == FRONT_PHASE_CLEAN_PLACE) {
        begin_clean(front, item_index);
        return;
    }
    MKV_ASSERT(item->phase == FRONT_PHASE_PLACE);
    if (item->op == MKV_OP_GET) {
        begin_get(front, item_index);
    } else {
        begin_put(front, item_index);
    }
}

/* ---- are all segments there? And EXPIRE of them ---------------------------------------------- */

static void check_done(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    struct front_segmented *entry = entry_of(front, item_index);
    if (item->op == MKV_OP_PUT) {
        /* A value that misses a segment is no value: it is replaced as if nothing were there. */
        item->keeps_old = !entry->missing;
        if (item->keeps_old && item->if_absent) {
            mkv_front_item_abandon(front, item_index, MKV_STATUS_CONFLICT, MKV_MISS_NONE);
        } else {
            begin_segments(front, item_index);
        }
    } else if (entry->missing) {
        mkv_front_item_abandon(front, item_index, MKV_STATUS_NOT_FOUND, entry->miss);
    } else if (item->op == MKV_OP_EXPIRE) {
        mkv_front_item_expire(front, item_index);
    } else {
        item->phase = FRONT_PHASE_STREAM;
        range_set(entry, entry->first, entry->end);
    }
}

bool mkv_front_segments_check(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    struct front_segmented *entry = entry_of(front, item_index);
    bool progress = false;
    for (uint32_t lane = 0; lane < MKV_FRONT_WINDOW; lane++) {
        const struct front_op *op = lane_op(front, item_index, lane);
        if (op->state == FRONT_OP_DONE) {
            if (op->status != MKV_STATUS_OK) {
                entry->missing = true;
                entry->miss = op->miss;
            }
            mkv_front_op_free(front, lane_of(front, item_index, lane));
            entry->turn++;
            progress = true;
        }
    }
    if (entry->turn == entry->next && (entry->missing || entry->next == entry->end)) {
        check_done(front, item_index);
        return true;
    }
    while (entry->next < entry->end && !entry->missing &&
           lane_op(front, item_index, entry->next)->state == FRONT_OP_IDLE) {
        const uint32_t lane = lane_of(front, item_index, entry->next);
        const bool expires = item->op == MKV_OP_EXPIRE;
        const struct front_op *op = mkv_front_op_prepare(
            front, lane, item_index, expires ? FRONT_OP_EXPIRE : FRONT_OP_EXISTS, entry->next,
            item->old.id);
        entry->next++;
        mkv_front_op_run(front, lane);
        progress = progress || op->state == FRONT_OP_DONE;
    }
    return progress;
}

/* ---- GET ------------------------------------------------------------------------------------- */

static void stream_failed(struct mkv_front *front, uint32_t item_index, enum mkv_status status,
                          enum mkv_miss miss) {
    const struct front_item *item = front_item_at(front, item_index);
    if (item->moving) {
        mkv_front_request_break(front, item->request);
    }
    mkv_front_item_abandon(front, item_index, status, miss);
}

static void stream_start(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    struct front_segmented *entry = entry_of(front, item_index);
    const uint32_t segment = entry->next++;
    const uint32_t lane = lane_of(front, item_index, segment);
    struct front_op *op =
        mkv_front_op_prepare(front, lane, item_index, FRONT_OP_GET, segment, item->old.id);
    const uint64_t begin = (uint64_t)segment * item->old.segment_bytes;
    op->length = segment_bytes(&item->old, segment);
    const uint64_t from = mkv_max_u64(item->offset, begin);
    const uint64_t to = mkv_min_u64(get_end(item), begin + op->length);
    MKV_ASSERT(from < to);
    op->offset = (uint32_t)(from - begin);
    op->wanted = (uint32_t)(to - from);
    mkv_front_op_run(front, lane);
}

/* The next segment may start when the one before has its slab: whoever is to be pushed first must
 * not wait for a slab that a later one holds. */
static bool stream_may_start(struct mkv_front *front, uint32_t item_index) {
    const struct front_segmented *entry = entry_of(front, item_index);
    if (entry->next == entry->end ||
        lane_op(front, item_index, entry->next)->state != FRONT_OP_IDLE) {
        return false;
    }
    if (entry->next == entry->turn) {
        return true;
    }
    return lane_op(front, item_index, entry->next - 1)->has_slab;
}

/* Sends the segment whose turn it is. False when the value turned out to be another. */
static bool stream_push(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    struct front_segmented *entry = entry_of(front, item_index);
    const struct mkv_manifest *manifest = &item->old;
    const struct front_op *op = lane_op(front, item_index, entry->turn);
    entry->chain = chain_next(entry->chain, op->root);
    const bool is_whole = entry->first == 0 && entry->end == manifest->segment_count;
    if (is_whole && entry->turn + 1 == entry->end &&
        !mkv_root_equal(entry->chain, manifest->root)) {
        return false;
    }
    const uint64_t begin = (uint64_t)entry->turn * manifest->segment_bytes;
    mkv_front_op_push(front, lane_of(front, item_index, entry->turn), begin + op->offset,
                      manifest->length, (struct mkv_root){{0}});
    entry->turn++;
    return true;
}

bool mkv_front_segments_stream(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    struct front_segmented *entry = entry_of(front, item_index);
    const uint32_t failed = lane_failed(front, item_index);
    if (failed != MKV_NONE_U32) {
        const struct front_op *op = front_op_at(front, failed);
        stream_failed(front, item_index, op->status, op->miss);
        return true;
    }
    while (entry->turn < entry->next &&
           lane_op(front, item_index, entry->turn)->state == FRONT_OP_DONE) {
        if (!stream_push(front, item_index)) {
            stream_failed(front, item_index, MKV_STATUS_IO_ERROR, MKV_MISS_CHECKSUM);
            return true;
        }
    }
    if (entry->turn == entry->end) {
        item->phase = FRONT_PHASE_ENDING;
        decide_ok(front, item_index, item->old.length);
        return true;
    }
    bool progress = false;
    while (stream_may_start(front, item_index)) {
        stream_start(front, item_index);
        progress = progress || lane_op(front, item_index, entry->next - 1)->state == FRONT_OP_DONE;
    }
    return progress;
}

/* ---- PUT ------------------------------------------------------------------------------------- */

static void put_start(struct mkv_front *front, uint32_t item_index) {
    struct front_segmented *entry = entry_of(front, item_index);
    const uint32_t segment = entry->next++;
    const uint32_t lane = lane_of(front, item_index, segment);
    struct front_op *op =
        mkv_front_op_prepare(front, lane, item_index, FRONT_OP_PUT, segment, entry->put.id);
    op->length = segment_bytes(&entry->put, segment);
    op->flags = MKV_BLOCK_SEGMENT;
    op->root_later = true;
    front_item_at(front, item_index)->clean = FRONT_CLEAN_OWN;
    mkv_front_op_run(front, lane);
}

/* Whether the value that is live, and the same, would be gone before this one is to be. */
static bool put_prolongs(const struct front_item *item) {
    return item->old_expiry_s != 0 && (item->expiry_s == 0 || item->expiry_s > item->old_expiry_s);
}

/* Every segment is durable: the manifest makes them the value. */
static void put_commit(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    struct front_segmented *entry = entry_of(front, item_index);
    entry->put.root = entry->chain;
    const bool is_same = mkv_root_equal(entry->put.root, item->old.root);
    if (item->keeps_old && !(is_same && put_prolongs(item))) {
        mkv_front_item_abandon(front, item_index, is_same ? MKV_STATUS_OK : MKV_STATUS_CONFLICT,
                               MKV_MISS_NONE);
        return;
    }
    uint8_t payload[MKV_MANIFEST_BYTES];
    mkv_manifest_encode(&entry->put, payload);
    uint64_t sum;
    mkv_chunk_sums(payload, MKV_MANIFEST_BYTES, &sum);
    item->phase = FRONT_PHASE_COMMIT;
    struct front_op *op =
        mkv_front_op_prepare(front, item_index, item_index, FRONT_OP_COMMIT, MKV_NONE_U32, 0);
    op->length = MKV_MANIFEST_BYTES;
    op->root = mkv_root_of_sums(MKV_MANIFEST_BYTES, &sum);
    /* A value that misses a segment gives way also without REPLACE, but nothing that came since. */
    op->flags = MKV_BLOCK_MANIFEST | mkv_front_item_put_flags(item) |
                (!item->replace && item->has_old ? MKV_PUT_REPLACE_ROOT : 0);
    mkv_front_op_run(front, item_index);
}

bool mkv_front_segments_put(struct mkv_front *front, uint32_t item_index) {
    struct front_segmented *entry = entry_of(front, item_index);
    const uint32_t failed = lane_failed(front, item_index);
    if (failed != MKV_NONE_U32) {
        const struct front_op *op = front_op_at(front, failed);
        mkv_front_item_abandon(front, item_index, op->status, MKV_MISS_NONE);
        return true;
    }
    while (entry->turn < entry->next &&
           lane_op(front, item_index, entry->turn)->state == FRONT_OP_DONE) {
        entry->chain = chain_next(entry->chain, lane_op(front, item_index, entry->turn)->root);
        mkv_front_op_free(front, lane_of(front, item_index, entry->turn));
        front->stats.segments_put++;
        entry->turn++;
    }
    if (entry->turn == entry->end) {
        put_commit(front, item_index);
        return true;
    }
    bool progress = false;
    while (entry->next < entry->end &&
           lane_op(front, item_index, entry->next)->state == FRONT_OP_IDLE) {
        put_start(front, item_index);
        progress = progress || lane_op(front, item_index, entry->next - 1)->state == FRONT_OP_DONE;
    }
    return progress;
}

bool mkv_front_segments_commit(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    const struct front_op *op = front_op_at(front, item_index);
    if (op->state != FRONT_OP_DONE) {
        return false;
    }
    item->phase = FRONT_PHASE_ENDING;
    if (!item->decided) {
        const struct mkv_item_result result = {.status = op->status};
        mkv_front_item_decide(front, item_index, &result);
    }
    return true;
}

/* ---- segments that nobody names any more ----------------------------------------------------- */

bool mkv_front_segments_clean(struct mkv_front *front, uint32_t item_index) {
    struct front_segmented *entry = entry_of(front, item_index);
    bool progress = false;
    for (uint32_t lane = 0; lane < MKV_FRONT_WINDOW; lane++) {
        const struct front_op *op = lane_op(front, item_index, lane);
        if (op->state == FRONT_OP_DONE) {
            front->stats.segments_deleted += op->status == MKV_STATUS_OK ? 1 : 0;
            mkv_front_op_free(front, lane_of(front, item_index, lane));
            entry->turn++;
            progress = true;
        }
    }
    while (entry->next < entry->end &&
           lane_op(front, item_index, entry->next)->state == FRONT_OP_IDLE) {
        const uint32_t lane = lane_of(front, item_index, entry->next);
        const struct front_op *op = mkv_front_op_prepare(front, lane, item_index, FRONT_OP_DELETE,
                                                         entry->next, entry->put.id);
        entry->next++;
        mkv_front_op_run(front, lane);
        progress = progress || op->state == FRONT_OP_DONE;
    }
    return progress;
}
