/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the directory: both root units are read, the newer sound one counts, and a walk over the
 * inner nodes finds out which pages its tree takes. Leaves are read when they are needed. Meanwhile
 * the slot table is looked through for blocks that the tree cannot hold yet.
 */
#include <string.h>

#include "core/canary.h"
#include "core/directory_internal.h"

/* Inner nodes that one step goes through, and that are asked for ahead of them. */
#define LOAD_NODES_MAX 8u
#define LOAD_AHEAD 8u
/* Slots that one step looks at. */
#define TABLE_SLOTS_MAX 4096u

void mkv_directory_load_begin(struct mkv_directory *directory) {
    directory->phase = PHASE_ROOTS;
    directory->roots_pending = MKV_DIRECTORY_ROOTS;
    memset(directory->roots_valid, 0, sizeof directory->roots_valid);
}

/* Nothing that was there counts: every block is listed anew. */
static void start_empty(struct mkv_directory *directory) {
    directory->phase = PHASE_READY;
    directory->rebuilding = true;
    directory->list_all = true;
}

static void roots_read(struct mkv_directory *directory) {
    const struct mkv_directory_root *newest = NULL;
    for (uint32_t which = 0; which < MKV_DIRECTORY_ROOTS; which++) {
        const struct mkv_directory_root *root = &directory->roots[which];
        if (directory->roots_valid[which] && (newest == NULL || root->commit > newest->commit)) {
            newest = root;
        }
    }
    if (newest == NULL) {
        start_empty(directory);
        return;
    }
    directory->commit = newest->commit;
    directory->applied =
        (struct mkv_directory_floor){newest->applied_sequence, newest->listed_generation};
    directory->committed_floor = directory->applied;
    directory->listed_generation = newest->listed_generation;
    /* Generations are compared by their low 32 bits; behind by half of that, all may be newer. */
    directory->list_all = newest->listed_generation > directory->noted.generation ||
                          directory->noted.generation - newest->listed_generation >= 1ull << 31;
    if (newest->listed_generation > directory->noted.generation) {
        /* It vouches for puts that are still to come: nothing of it counts, now or later. */
        directory->applied = (struct mkv_directory_floor){0};
        directory->committed_floor = directory->applied;
    }
    directory->tree.root = newest->root;
    directory->tree.level_count = newest->level_count;
    directory->tree.entry_count = newest->entry_count;
    directory->load_nodes = newest->node_count;
    directory->load_cursor.bytes = 0;
    directory->phase = newest->level_count == 0 ? PHASE_READY : PHASE_NODES;
}

void mkv_directory_load_root_done(struct mkv_directory *directory, uint32_t which, bool read) {
    MKV_ASSERT(directory->phase == PHASE_ROOTS);
    struct mkv_directory_root *root = &directory->roots[which];
    const uint8_t *unit = directory_bytes(directory, directory_root_offset(directory, which));
    directory->roots_valid[which] =
        read && mkv_directory_root_decode(unit, root) && root->commit % 2 == which &&
        root->region_units == directory->config.region_units &&
        memcmp(&root->drive_uuid, &directory->config.drive_uuid, sizeof root->drive_uuid) == 0;
    if (directory->roots_pending == 0 && directory->reads_in_flight == 0) {
        roots_read(directory);
    }
}

/* ---- which pages are taken ------------------------------------------------------------------- */

static bool take_node(struct mkv_directory *directory, uint32_t page) {
    if (mkv_directory_cache_take_page(&directory->tree.cache, page)) {
        return true;
    }
    mkv_directory_damage(directory, page); /* two parents have it, or it is none of the region */
    return false;
}

/* Takes the pages of the node at level 1 of the path, of its leaves, and of those nodes above it
 * whose first one it is. */
static bool take_pages_of(struct mkv_directory *directory, const struct mkv_directory_path *path) {
    struct mkv_directory_tree *tree = &directory->tree;
    const uint8_t *unit = mkv_directory_unit(&tree->cache, path->frame[1]);
    for (uint32_t index = 0; index < mkv_directory_node_count(unit); index++) {
        if (!take_node(directory, mkv_directory_node_child(unit, index).page)) {
            return false;
        }
    }
    for (uint32_t level = 1; level < tree->level_count; level++) {
        if (!take_node(directory, mkv_directory_frame(&tree->cache, path->frame[level])->page)) {
            return false;
        }
        if (level + 1 < tree->level_count && path->index[level + 1] > 0) {
            break;
        }
    }
    return true;
}

static void nodes_read(struct mkv_directory *directory) {
    if (mkv_directory_tree_node_count(&directory->tree) != directory->load_nodes) {
        mkv_directory_damage(directory, directory->tree.root.page);
        return;
    }
    directory->phase = PHASE_READY;
}

void mkv_directory_load_pump(struct mkv_directory *directory) {
    struct mkv_directory_tree *tree = &directory->tree;
    if (directory->phase != PHASE_NODES) {
        return;
    }
    if (tree->level_count == 1) {
        if (take_node(directory, tree->root.page)) {
            nodes_read(directory);
        }
        return;
    }
    for (uint32_t node = 0; node < LOAD_NODES_MAX; node++) {
        struct mkv_directory_path path;
        if (!mkv_directory_tree_descend(tree, &directory->load_cursor, 1, &path)) {
            return;
        }
        mkv_directory_tree_read_ahead(tree, &path, 1, LOAD_AHEAD);
        if (!take_pages_of(directory, &path)) {
            return;
        }
        if (!mkv_directory_tree_next(tree, &path, 1, &directory->load_cursor)) {
            nodes_read(directory);
            return;
        }
    }
    directory->progress = true;
}

/* ---- which blocks are not in it -------------------------------------------------------------- */

/* Whether a live slot's put came behind the floor that the tree has. */
static bool is_newer(const struct mkv_directory *directory, const struct mkv_slot_entry *entry) {
    const uint32_t listed_low = (uint32_t)directory->listed_generation;
    if (MKV_CANARY(MKV_CANARY_DIRECTORY_UNLISTED_FORGOTTEN)) {
        return directory->list_all;
    }
    return directory->list_all || entry->generation_low - listed_low - 1u < 1u << 31;
}

bool mkv_directory_next_live(const struct mkv_slot_table *table, uint32_t *cursor,
                             uint32_t *looks_left, struct mkv_slot *slot) {
    while (*looks_left > 0) {
        *slot = mkv_slot_table_next_owned(table, (struct mkv_slot){*cursor});
        if (slot->index == MKV_NONE_U32) {
            *cursor = MKV_NONE_U32;
            return false;
        }
        --*looks_left;
        *cursor = slot->index + 1;
        if (mkv_slot_state_of(mkv_slot_table_entry(table, *slot)) == MKV_SLOT_LIVE) {
            return true;
        }
    }
    return false;
}

void mkv_directory_look_at_table(struct mkv_directory *directory, struct mkv_slot_table *table) {
    const bool known = directory->phase == PHASE_NODES || directory->phase == PHASE_READY;
    if (!known || directory->table_looked) {
        return;
    }
    uint32_t looks_left = directory_step_slots(directory, TABLE_SLOTS_MAX);
    struct mkv_slot slot;
    while (mkv_directory_next_live(table, &directory->table_cursor, &looks_left, &slot)) {
        struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
        if ((entry->bits & MKV_SLOT_UNLISTED) == 0 && is_newer(directory, entry)) {
            entry->bits |= MKV_SLOT_UNLISTED;
            directory->unlisted_count++;
        }
    }
    directory->table_looked = directory->table_cursor == MKV_NONE_U32;
    directory->progress = true;
}
