/* SPDX-License-Identifier: Apache-2.0 */
#include "core/directory_tree.h"

#include <string.h>

/* A node with at most this much in use looks for a neighbour to join ... */
#define SMALL_BYTES (MKV_DIRECTORY_NODE_ROOM / 4)
/* ... and joins it when both together leave room for a while. */
#define JOINED_BYTES_MAX (MKV_DIRECTORY_NODE_ROOM / 4 * 3)
/* What an inner node must have free to take any key. */
#define INNER_ROOM (MKV_DIRECTORY_ENTRY_BYTES + MKV_DIRECTORY_KEY_BYTES_MAX)

void mkv_directory_tree_reset(struct mkv_directory_tree *tree, bool keep_bad) {
    mkv_directory_cache_reset(&tree->cache, keep_bad);
    tree->root = (struct mkv_directory_child){0};
    tree->level_count = 0;
    tree->entry_count = 0;
    tree->change_count = 0;
    tree->broken_page = 0;
}

static uint8_t *unit_of(const struct mkv_directory_tree *tree, uint32_t frame) {
    return mkv_directory_unit(&tree->cache, frame);
}

/* Frames that may be DIRTY: the others are left to reads. */
static uint32_t dirty_max(const struct mkv_directory_tree *tree) {
    return tree->cache.frames_max / 2;
}

uint32_t mkv_directory_tree_node_count(const struct mkv_directory_tree *tree) {
    const struct mkv_directory_cache *cache = &tree->cache;
    return cache->region_units - MKV_DIRECTORY_ROOTS - cache->pages_bad - cache->pages_free -
           cache->freed_count;
}

uint32_t mkv_directory_tree_dirty_per_mille(const struct mkv_directory_tree *tree) {
    const struct mkv_directory_cache *cache = &tree->cache;
    const uint64_t dirty = 1000ull * cache->dirty_count / dirty_max(tree);
    const uint64_t freed = 1000ull * cache->freed_count / cache->frames_max;
    return (uint32_t)mkv_max_u64(dirty, freed);
}

/* What the root unit counted may be other entries than there were: a root unit that is made of
 * such a count would not be sound. */
static void check_counts(struct mkv_directory_tree *tree, uint32_t root_page) {
    const uint64_t entries_max =
        (uint64_t)mkv_directory_tree_node_count(tree) * MKV_DIRECTORY_NODE_ENTRIES_MAX;
    if ((tree->entry_count == 0) != (tree->level_count == 0) || tree->entry_count > entries_max) {
        tree->broken_page = root_page;
    }
}

/* ---- walking --------------------------------------------------------------------------------- */

/* Whether the keys of the path's node at `level` lie between those that its parents have for it. */
static bool bounds_hold(const struct mkv_directory_tree *tree,
                        const struct mkv_directory_path *path, uint32_t level) {
    const uint8_t *unit = unit_of(tree, path->frame[level]);
    const uint32_t count = mkv_directory_node_count(unit);
    const uint32_t first = level == 0 ? 0 : 1;
    if (first >= count) {
        return true;
    }
    struct mkv_directory_key own;
    struct mkv_directory_key bound;
    for (uint32_t at = level + 1; at < tree->level_count; at++) {
        if (path->index[at] > 0) {
            mkv_directory_node_key(unit_of(tree, path->frame[at]), path->index[at], &bound);
            mkv_directory_node_key(unit, first, &own);
            const int order = mkv_directory_key_compare(&bound, &own);
            if (order > 0 || (order == 0 && level > 0)) {
                return false;
            }
            break;
        }
    }
    if (mkv_directory_tree_next(tree, path, level, &bound)) {
        mkv_directory_node_key(unit, count - 1, &own);
        return mkv_directory_key_compare(&own, &bound) < 0;
    }
    return true;
}

bool mkv_directory_tree_descend(struct mkv_directory_tree *tree,
                                const struct mkv_directory_key *key, uint32_t level,
                                struct mkv_directory_path *path) {
    MKV_ASSERT(level < tree->level_count);
    struct mkv_directory_child child = tree->root;
    for (uint32_t at = tree->level_count - 1;; at--) {
        const uint32_t frame = mkv_directory_cache_find(&tree->cache, child.page);
        if (frame == MKV_NONE_U32) {
            /* When no frame can be had, operations under way will give some back. */
            (void)mkv_directory_cache_want(&tree->cache, &child, at);
            return false;
        }
        const uint8_t *unit = unit_of(tree, frame);
        MKV_ASSERT(mkv_directory_node_level(unit) == at);
        path->frame[at] = frame;
        struct mkv_directory_frame *state = mkv_directory_frame(&tree->cache, frame);
        if (state->unchecked != 0) {
            if (!bounds_hold(tree, path, at)) {
                tree->broken_page = child.page;
                return false;
            }
            state->unchecked = 0;
        }
        bool equal;
        path->index[at] = at == 0 ? mkv_directory_node_find(unit, key, &equal)
                                  : mkv_directory_node_find_child(unit, key);
        if (at == level) {
            return true;
        }
        child = mkv_directory_node_child(unit, path->index[at]);
    }
}

bool mkv_directory_tree_next(const struct mkv_directory_tree *tree,
                             const struct mkv_directory_path *path, uint32_t level,
                             struct mkv_directory_key *key) {
    for (uint32_t at = level + 1; at < tree->level_count; at++) {
        const uint8_t *unit = unit_of(tree, path->frame[at]);
        if (path->index[at] + 1 < mkv_directory_node_count(unit)) {
            mkv_directory_node_key(unit, path->index[at] + 1, key);
            return true;
        }
    }
    return false;
}

void mkv_directory_tree_read_ahead(struct mkv_directory_tree *tree,
                                   const struct mkv_directory_path *path, uint32_t level,
                                   uint32_t count) {
    if (level + 1 >= tree->level_count) {
        return;
    }
    const uint8_t *parent = unit_of(tree, path->frame[level + 1]);
    const uint32_t first = path->index[level + 1] + 1;
    const uint32_t end =
        (uint32_t)mkv_min_u64(mkv_directory_node_count(parent), (uint64_t)first + count);
    for (uint32_t index = first; index < end; index++) {
        const struct mkv_directory_child child = mkv_directory_node_child(parent, index);
        if (tree->cache.wanted.count + MKV_DIRECTORY_LEVELS_MAX >=
                mkv_directory_cache_available(&tree->cache) ||
            !mkv_directory_cache_want(&tree->cache, &child, level)) {
            return;
        }
    }
}

/* ---- room ------------------------------------------------------------------------------------ */

static uint32_t clean_nodes_of(const struct mkv_directory_tree *tree,
                               const struct mkv_directory_path *path) {
    uint32_t clean = 0;
    for (uint32_t level = 0; level < tree->level_count; level++) {
        const struct mkv_directory_frame *frame =
            mkv_directory_frame(&tree->cache, path->frame[level]);
        MKV_ASSERT(frame->state == MKV_FRAME_CLEAN || frame->state == MKV_FRAME_DIRTY);
        clean += frame->state == MKV_FRAME_CLEAN ? 1u : 0u;
    }
    return clean;
}

/* Whether `clean` nodes can become DIRTY and `fresh` ones be added, so that `left` pages are free
 * after the next commit. */
static enum mkv_directory_outcome room_for(const struct mkv_directory_tree *tree, uint32_t clean,
                                           uint32_t fresh, uint32_t left) {
    const struct mkv_directory_cache *cache = &tree->cache;
    const bool uncommitted = cache->dirty_count > 0 || cache->freed_count > 0;
    /* A page that a node moves away from is free again after the commit. */
    if (cache->pages_free + cache->freed_count < fresh + left) {
        return MKV_DIRECTORY_NO_ROOM;
    }
    if (cache->pages_free < clean + fresh) {
        return uncommitted ? MKV_DIRECTORY_COMMIT : MKV_DIRECTORY_NO_ROOM;
    }
    /* A removal frees a page a level besides those that it moves. */
    if (cache->dirty_count + clean + fresh > dirty_max(tree) ||
        cache->freed_count + 2 * MKV_DIRECTORY_LEVELS_MAX > cache->frames_max) {
        return MKV_DIRECTORY_COMMIT;
    }
    if (mkv_directory_cache_available(cache) < clean + fresh) {
        return MKV_DIRECTORY_WAITS;
    }
    return MKV_DIRECTORY_DONE;
}

/* Makes every node of the path DIRTY (I2). */
static void make_dirty(struct mkv_directory_tree *tree, const struct mkv_directory_path *path) {
    for (uint32_t level = tree->level_count; level-- > 0;) {
        struct mkv_directory_frame *frame = mkv_directory_frame(&tree->cache, path->frame[level]);
        if (frame->state == MKV_FRAME_DIRTY) {
            continue;
        }
        mkv_directory_cache_dirty(&tree->cache, path->frame[level]);
        const struct mkv_directory_child moved = {.page = frame->page};
        if (level + 1 == tree->level_count) {
            tree->root = moved;
        } else {
            mkv_directory_node_set_child(unit_of(tree, path->frame[level + 1]),
                                         path->index[level + 1], &moved);
        }
    }
}

/* ---- insertion ------------------------------------------------------------------------------- */

static enum mkv_directory_outcome plant(struct mkv_directory_tree *tree,
                                        const struct mkv_directory_item *item) {
    const enum mkv_directory_outcome room = room_for(tree, 0, 1, 1);
    if (room != MKV_DIRECTORY_DONE) {
        return room;
    }
    const uint32_t frame = mkv_directory_cache_fresh(&tree->cache, 0);
    const bool fits = mkv_directory_node_insert(unit_of(tree, frame), 0, item,
                                                mkv_directory_scratch(&tree->cache));
    MKV_ASSERT(fits);
    tree->root =
        (struct mkv_directory_child){.page = mkv_directory_frame(&tree->cache, frame)->page};
    tree->level_count = 1;
    tree->entry_count = 1;
    tree->change_count++;
    return MKV_DIRECTORY_DONE;
}

/* Nodes that an insertion may add at most: one for each that has to be split, and a root. */
static uint32_t fresh_for(const struct mkv_directory_tree *tree,
                          const struct mkv_directory_path *path,
                          const struct mkv_directory_item *item) {
    if (mkv_directory_node_fits(unit_of(tree, path->frame[0]), path->index[0], item)) {
        return 0;
    }
    uint32_t fresh = 1;
    for (uint32_t level = 1; level < tree->level_count; level++) {
        if (mkv_directory_node_used(unit_of(tree, path->frame[level])) + INNER_ROOM <=
            MKV_DIRECTORY_NODE_ROOM) {
            return fresh;
        }
        fresh++;
    }
    return fresh + 1;
}

/* A root above the one that was split. */
static void grow(struct mkv_directory_tree *tree, const struct mkv_directory_item *upper) {
    MKV_ASSERT(tree->level_count < MKV_DIRECTORY_LEVELS_MAX);
    const uint32_t frame = mkv_directory_cache_fresh(&tree->cache, tree->level_count);
    uint8_t *unit = unit_of(tree, frame);
    uint8_t *scratch = mkv_directory_scratch(&tree->cache);
    const struct mkv_directory_item lower = {.child = tree->root};
    bool fits = mkv_directory_node_insert(unit, 0, &lower, scratch);
    MKV_ASSERT(fits);
    fits = mkv_directory_node_insert(unit, 1, upper, scratch);
    MKV_ASSERT(fits);
    tree->root =
        (struct mkv_directory_child){.page = mkv_directory_frame(&tree->cache, frame)->page};
    tree->level_count++;
}

/* Puts the item into the leaf, and what splits along the path into the nodes above. */
static void insert_upward(struct mkv_directory_tree *tree, const struct mkv_directory_path *path,
                          const struct mkv_directory_item *item) {
    struct mkv_directory_key separators[2];
    struct mkv_directory_item current = *item;
    uint8_t *scratch = mkv_directory_scratch(&tree->cache);
    const uint32_t level_count = tree->level_count;
    for (uint32_t level = 0; level < level_count; level++) {
        uint8_t *unit = unit_of(tree, path->frame[level]);
        const uint32_t index = path->index[level] + (level == 0 ? 0u : 1u);
        if (mkv_directory_node_insert(unit, index, &current, scratch)) {
            return;
        }
        const uint32_t right = mkv_directory_cache_fresh(&tree->cache, level);
        struct mkv_directory_key *separator = &separators[level % 2];
        mkv_directory_node_split(unit, unit_of(tree, right), index, &current, separator, scratch);
        current = (struct mkv_directory_item){
            .key = separator,
            .child = {.page = mkv_directory_frame(&tree->cache, right)->page},
        };
    }
    grow(tree, &current);
}

enum mkv_directory_outcome mkv_directory_tree_insert(struct mkv_directory_tree *tree,
                                                     const struct mkv_directory_key *key,
                                                     const struct mkv_directory_value *value) {
    MKV_ASSERT(key->bytes >= MKV_DIRECTORY_KEY_BYTES_MIN);
    const struct mkv_directory_item item = {.key = key, .value = *value};
    if (tree->level_count == 0) {
        return plant(tree, &item);
    }
    struct mkv_directory_path path;
    if (!mkv_directory_tree_descend(tree, key, 0, &path)) {
        return MKV_DIRECTORY_WAITS;
    }
    bool equal;
    (void)mkv_directory_node_find(unit_of(tree, path.frame[0]), key, &equal);
    const uint32_t fresh = equal ? 0 : fresh_for(tree, &path, &item);
    const bool grows = fresh > tree->level_count;
    if (grows && tree->level_count == MKV_DIRECTORY_LEVELS_MAX) {
        return MKV_DIRECTORY_NO_ROOM;
    }
    /* I3: a removal moves a node a level. */
    const enum mkv_directory_outcome room =
        room_for(tree, clean_nodes_of(tree, &path), fresh, tree->level_count + (grows ? 1u : 0u));
    if (room != MKV_DIRECTORY_DONE) {
        return room;
    }
    mkv_directory_cache_visit(&tree->cache, path.frame[0]);
    tree->change_count++;
    make_dirty(tree, &path);
    if (equal) {
        mkv_directory_node_set_value(unit_of(tree, path.frame[0]), path.index[0], value);
        return MKV_DIRECTORY_DONE;
    }
    insert_upward(tree, &path, &item);
    tree->entry_count++;
    check_counts(tree, tree->root.page);
    return MKV_DIRECTORY_DONE;
}

/* ---- removal --------------------------------------------------------------------------------- */

/* The neighbour under the same parent that the path's node at `level` would join. */
static bool sibling_of(const struct mkv_directory_tree *tree, const struct mkv_directory_path *path,
                       uint32_t level, struct mkv_directory_child *sibling, uint32_t *left_index) {
    if (level + 1 >= tree->level_count) {
        return false;
    }
    const uint8_t *parent = unit_of(tree, path->frame[level + 1]);
    const uint32_t own = path->index[level + 1];
    const uint32_t count = mkv_directory_node_count(parent);
    if (count < 2) {
        return false;
    }
    const bool is_last = own + 1 == count;
    *left_index = is_last ? own - 1 : own;
    *sibling = mkv_directory_node_child(parent, is_last ? own - 1 : own + 1);
    return true;
}

/* Joins the path's node at `level` with its neighbour, if that is in a frame and both fit; what
 * they become stands where the path's node is. */
static bool join(struct mkv_directory_tree *tree, const struct mkv_directory_path *path,
                 uint32_t level) {
    struct mkv_directory_child sibling;
    uint32_t left_index;
    if (!sibling_of(tree, path, level, &sibling, &left_index)) {
        return false;
    }
    const uint32_t other = mkv_directory_cache_find(&tree->cache, sibling.page);
    if (other == MKV_NONE_U32 || mkv_directory_frame(&tree->cache, other)->unchecked != 0) {
        return false; /* it can do so when the next one leaves */
    }
    uint8_t *parent = unit_of(tree, path->frame[level + 1]);
    uint8_t *unit = unit_of(tree, path->frame[level]);
    const bool own_is_left = path->index[level + 1] == left_index;
    const uint8_t *left = own_is_left ? unit : unit_of(tree, other);
    const uint8_t *right = own_is_left ? unit_of(tree, other) : unit;
    struct mkv_directory_key separator;
    mkv_directory_node_key(parent, left_index + 1, &separator);
    if (mkv_directory_node_merged_used(left, right, &separator) > JOINED_BYTES_MAX) {
        return false;
    }
    uint8_t *scratch = mkv_directory_scratch(&tree->cache);
    mkv_directory_node_merge(scratch, left, right, &separator);
    memcpy(unit, scratch, MKV_UNIT_BYTES);
    const struct mkv_directory_child joined = {
        .page = mkv_directory_frame(&tree->cache, path->frame[level])->page};
    mkv_directory_node_set_child(parent, left_index, &joined);
    mkv_directory_node_remove(parent, left_index + 1, scratch);
    mkv_directory_cache_drop(&tree->cache, other);
    return true;
}

/* A root without children is none, one with a single child gives way to it. */
static void shrink_root(struct mkv_directory_tree *tree) {
    for (uint32_t round = 0; round < MKV_DIRECTORY_LEVELS_MAX && tree->level_count > 0; round++) {
        const uint32_t frame = mkv_directory_cache_find(&tree->cache, tree->root.page);
        if (frame == MKV_NONE_U32) {
            return;
        }
        const uint8_t *unit = unit_of(tree, frame);
        const uint32_t count = mkv_directory_node_count(unit);
        if (count > 1 || (count == 1 && tree->level_count == 1)) {
            return;
        }
        tree->root = (struct mkv_directory_child){0};
        if (count == 1) {
            tree->root = mkv_directory_node_child(unit, 0);
        }
        tree->level_count = count == 1 ? tree->level_count - 1 : 0;
        mkv_directory_cache_drop(&tree->cache, frame);
    }
}

static void remove_upward(struct mkv_directory_tree *tree, const struct mkv_directory_path *path) {
    uint8_t *scratch = mkv_directory_scratch(&tree->cache);
    mkv_directory_node_remove(unit_of(tree, path->frame[0]), path->index[0], scratch);
    tree->entry_count--;
    for (uint32_t level = 0; level + 1 < tree->level_count; level++) {
        const uint8_t *unit = unit_of(tree, path->frame[level]);
        if (mkv_directory_node_count(unit) == 0) {
            mkv_directory_node_remove(unit_of(tree, path->frame[level + 1]), path->index[level + 1],
                                      scratch);
            mkv_directory_cache_drop(&tree->cache, path->frame[level]);
        } else if (mkv_directory_node_used(unit) > SMALL_BYTES || !join(tree, path, level)) {
            break;
        }
    }
    shrink_root(tree);
}

enum mkv_directory_outcome mkv_directory_tree_remove(struct mkv_directory_tree *tree,
                                                     const struct mkv_directory_key *key,
                                                     struct mkv_slot slot,
                                                     uint32_t generation_low) {
    if (tree->level_count == 0) {
        return MKV_DIRECTORY_DONE;
    }
    struct mkv_directory_path path;
    if (!mkv_directory_tree_descend(tree, key, 0, &path)) {
        return MKV_DIRECTORY_WAITS;
    }
    const uint8_t *leaf = unit_of(tree, path.frame[0]);
    bool equal;
    (void)mkv_directory_node_find(leaf, key, &equal);
    if (!equal) {
        return MKV_DIRECTORY_DONE;
    }
    const struct mkv_directory_value value = mkv_directory_node_value(leaf, path.index[0]);
    if (value.slot.index != slot.index || value.generation_low != generation_low) {
        return MKV_DIRECTORY_DONE;
    }
    struct mkv_directory_child sibling;
    uint32_t left_index;
    if (mkv_directory_node_used(leaf) <= SMALL_BYTES + MKV_DIRECTORY_ENTRY_BYTES &&
        mkv_directory_node_count(leaf) > 1 && sibling_of(tree, &path, 0, &sibling, &left_index) &&
        mkv_directory_cache_find(&tree->cache, sibling.page) == MKV_NONE_U32) {
        (void)mkv_directory_cache_want(&tree->cache, &sibling, 0);
        return MKV_DIRECTORY_WAITS;
    }
    const enum mkv_directory_outcome room = room_for(tree, clean_nodes_of(tree, &path), 0, 0);
    if (room != MKV_DIRECTORY_DONE) {
        return room;
    }
    mkv_directory_cache_visit(&tree->cache, path.frame[0]);
    tree->change_count++;
    make_dirty(tree, &path);
    const uint32_t root_page = tree->root.page;
    remove_upward(tree, &path);
    check_counts(tree, root_page);
    return MKV_DIRECTORY_DONE;
}

/* ---- commit ---------------------------------------------------------------------------------- */

void mkv_directory_tree_seal(struct mkv_directory_tree *tree, uint32_t index, uint64_t commit) {
    struct mkv_directory_frame *frame = mkv_directory_frame(&tree->cache, index);
    MKV_ASSERT(frame->state == MKV_FRAME_WRITING);
    frame->checksum_low = (uint32_t)mkv_directory_node_seal(unit_of(tree, index), &tree->drive_uuid,
                                                            commit, frame->page);
    if (frame->page == tree->root.page) {
        tree->root.checksum_low = frame->checksum_low;
    }
}
