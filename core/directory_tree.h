/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory's B+tree, copy on write: a node that changes moves to a new page, once for each
 * commit, and so do the nodes above it, so that the tree of the last commit stands whole on the
 * drive until the next one has replaced it.
 *
 *                       root  [ . | m ]              a change in the leaf b makes b', p', root'
 *                        /          \
 *              p [ . | c | f ]   [ . | s ]
 *               /    |     \
 *             [a b] [c d]  [f]                       leaves are not linked: a walk goes by keys
 *
 * Everything works on frames. What is not there is asked for, the call says so, and is made again
 * when it has come: no call waits, and none changes anything before all that it needs is there.
 *
 * Invariants
 *  I1  Every path from the root to a leaf has level_count nodes.
 *  I2  Of a node that is DIRTY all nodes above it are DIRTY.
 *  I3  An insertion leaves enough free pages for a removal: a full tree can always shrink.
 *  I4  No leaf but the root is empty; an inner root has at least two children when the change that
 *      made it is done, as far as its only child is in a frame.
 *  I5  A node that was read is used only when its keys lie between those that its parents have for
 *      it.
 *
 * Not responsible for: which entries still hold (directory.h), I/O, commits.
 */
#ifndef MKV_CORE_DIRECTORY_TREE_H
#define MKV_CORE_DIRECTORY_TREE_H

#include "core/base.h"
#include "core/directory_cache.h"
#include "core/directory_node.h"

struct mkv_directory_tree {
    struct mkv_directory_cache cache;
    struct mkv_uuid drive_uuid;
    struct mkv_directory_child root; /* page 0: none. The checksum is that of the last commit */
    uint32_t level_count;
    uint64_t entry_count;
    uint64_t change_count; /* changes since the reset */
    /* Of a node whose keys are not where its parent says, or of the root when the count of entries
     * is wrong; 0 none. */
    uint32_t broken_page;
};

/* What a change came to. */
enum mkv_directory_outcome {
    MKV_DIRECTORY_DONE = 0,
    MKV_DIRECTORY_WAITS,   /* a node is on its way; nothing has changed */
    MKV_DIRECTORY_COMMIT,  /* a commit must come first; nothing has changed */
    MKV_DIRECTORY_NO_ROOM, /* the region is full, even after a commit; nothing has changed */
};

/* Where a key belongs: for every level the frame, and the entry in it that was followed (level 0:
 * where the key is or would be). */
struct mkv_directory_path {
    uint32_t frame[MKV_DIRECTORY_LEVELS_MAX];
    uint32_t index[MKV_DIRECTORY_LEVELS_MAX];
};

/* An empty tree on an empty cache. */
void mkv_directory_tree_reset(struct mkv_directory_tree *tree, bool keep_bad);

/* Goes from the root down to `level`. False when a node is missing, which is then asked for, or
 * broken, which broken_page then says. The tree has more than `level` levels. */
bool mkv_directory_tree_descend(struct mkv_directory_tree *tree,
                                const struct mkv_directory_key *key, uint32_t level,
                                struct mkv_directory_path *path);
/* The least key that belongs behind the path's node at `level`; false when it is the last one. */
bool mkv_directory_tree_next(const struct mkv_directory_tree *tree,
                             const struct mkv_directory_path *path, uint32_t level,
                             struct mkv_directory_key *key);
/* Asks for up to `count` nodes that follow the path's node at `level`, as far as their parent and
 * frames reach. */
void mkv_directory_tree_read_ahead(struct mkv_directory_tree *tree,
                                   const struct mkv_directory_path *path, uint32_t level,
                                   uint32_t count);

/* Puts a key in, or gives it another value. */
enum mkv_directory_outcome mkv_directory_tree_insert(struct mkv_directory_tree *tree,
                                                     const struct mkv_directory_key *key,
                                                     const struct mkv_directory_value *value);
/* Takes a key out if it names that slot and generation; else it is done already. */
enum mkv_directory_outcome mkv_directory_tree_remove(struct mkv_directory_tree *tree,
                                                     const struct mkv_directory_key *key,
                                                     struct mkv_slot slot, uint32_t generation_low);

/* Nodes of the tree. */
uint32_t mkv_directory_tree_node_count(const struct mkv_directory_tree *tree);
/* Changes that a commit would take, as a share of what there is room for: at 1000 it must come. */
uint32_t mkv_directory_tree_dirty_per_mille(const struct mkv_directory_tree *tree);
/* Seals a node that mkv_directory_cache_take_dirty gave. */
void mkv_directory_tree_seal(struct mkv_directory_tree *tree, uint32_t frame, uint64_t commit);

#endif
