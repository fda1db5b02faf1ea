/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory against the table: every node of the tree that the newer root names, in the order
 * of its keys, and in the end every block that it must have.
 *
 * The walk keeps a path of at most MKV_DIRECTORY_LEVELS_MAX nodes and a bit for each unit of the
 * region.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checkpoint_page.h"
#include "core/directory_node.h"
#include "core/hash.h"
#include "server/drive_tool_verify.h"

/* Entries of one kind that are named one by one; the rest is counted. */
#define NAMED_MAX 20u

struct walk {
    struct mkv_tool_table *table;
    struct mkv_drive_verified *verified;
    uint64_t region; /* its first unit */
    uint32_t region_units;
    uint8_t *units; /* one for each level */
    uint8_t *seen;  /* a bit for each unit of the region */
    struct mkv_directory_key key_before;
    bool any_key;
    bool is_floor; /* key_before is of an inner node: the next key may be the same */
    bool broken;   /* a node was passed over: what is below it is not known */
    uint64_t entry_faults;
};

/* ---- roots ----------------------------------------------------------------------------------- */

bool mkv_tool_directory_root(const struct mkv_tool_table *table, struct mkv_directory_root *root,
                             bool *bad, struct mkv_backend_error *error) {
    const struct mkv_superblock *superblock = &table->superblock;
    const uint64_t region = mkv_geometry_directory(&superblock->geometry).unit;
    bool found = false;
    *bad = false;
    uint8_t *unit = mkv_drive_tool_units(1);
    if (unit == NULL) {
        mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
        return false;
    }
    for (uint32_t which = 0; which < MKV_DIRECTORY_ROOTS; which++) {
        struct mkv_directory_root own;
        const bool unreadable = mkv_tool_read_units(table->drive, region + which, 1, unit) != 0;
        const bool never_written =
            !unreadable && unit[0] == 0 && memcmp(unit, unit + 1, MKV_UNIT_BYTES - 1) == 0;
        const bool sound = !unreadable && mkv_directory_root_decode(unit, &own) &&
                           mkv_uuid_equal(own.drive_uuid, superblock->drive_uuid);
        if (!sound && !never_written) {
            /* A root of the store before this one is as good as none. */
            const bool of_another = !unreadable && mkv_directory_root_decode(unit, &own);
            *bad = *bad || !of_another;
            if (!of_another) {
                mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_DIRECTORY_ROOT,
                                       region + which, "root %u of the directory %s", which,
                                       unreadable ? "cannot be read" : "is rotten, or none");
            }
        } else if (sound && (own.commit % MKV_DIRECTORY_ROOTS != which ||
                             own.region_units != superblock->geometry.directory_units)) {
            *bad = true;
            mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_DIRECTORY_ROOT, region + which,
                                   "root %u of the directory is at another one's place", which);
        } else if (sound && (!found || own.commit > root->commit)) {
            *root = own;
            found = true;
        }
    }
    free(unit);
    return found;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

static void entry_fault(struct walk *walk, uint64_t unit, uint32_t slot, const char *what) {
    walk->entry_faults++;
    if (walk->entry_faults <= NAMED_MAX) {
        mkv_drive_report_fault(walk->table->report, MKV_DRIVE_FAULT_DIRECTORY_ENTRY, unit,
                               "the directory's entry of slot %u %s", slot, what);
    }
}

/* An entry whose slot holds another block by now is left over, and counts for nothing. */
static void check_entry(struct walk *walk, uint64_t unit, const struct mkv_directory_key *key,
                        const struct mkv_directory_value *value) {
    struct mkv_tool_table *table = walk->table;
    const uint32_t slot = value->slot.index;
    if (slot / MKV_PAGE_SLOTS >= table->superblock.geometry.page_count) {
        entry_fault(walk, unit, slot, "names a slot that is none");
        return;
    }
    struct mkv_tool_slot *entry = &table->slots[slot];
    const uint32_t tenant = mkv_directory_key_tenant(key);
    if (entry->state != MKV_ENTRY_LIVE || entry->generation_low != value->generation_low ||
        entry->tenant != tenant) {
        return;
    }
    const uint64_t tag = mkv_key_tag(tenant, key->data + MKV_DIRECTORY_TENANT_BYTES,
                                     key->bytes - MKV_DIRECTORY_TENANT_BYTES);
    if (tag != entry->tag) {
        entry_fault(walk, unit, slot, "has another key than its block");
        return;
    }
    if (value->length_units != entry->length_units ||
        value->block_flags != (entry->flags & MKV_BLOCK_FLAGS)) {
        entry_fault(walk, unit, slot, "has another length or kind than its block");
    }
    entry->flags |= MKV_TOOL_SLOT_LISTED;
}

static void check_leaf(struct walk *walk, const uint8_t *bytes, uint64_t unit) {
    const uint32_t count = mkv_directory_node_count(bytes);
    for (uint32_t index = 0; index < count; index++) {
        struct mkv_directory_key key;
        mkv_directory_node_key(bytes, index, &key);
        const int order = walk->any_key ? mkv_directory_key_compare(&walk->key_before, &key) : -1;
        if (order > 0 || (order == 0 && !walk->is_floor)) {
            entry_fault(walk, unit, mkv_directory_node_value(bytes, index).slot.index,
                        "is not in the order of keys");
        }
        walk->key_before = key;
        walk->any_key = true;
        walk->is_floor = false;
        walk->verified->directory_entries++;
        const struct mkv_directory_value value = mkv_directory_node_value(bytes, index);
        check_entry(walk, unit, &key, &value);
    }
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static bool was_seen(struct walk *walk, uint32_t page) {
    uint8_t *byte = &walk->seen[page / 8];
    const uint8_t bit = (uint8_t)(1u << page % 8);
    const bool seen = (*byte & bit) != 0;
    *byte |= bit;
    return seen;
}

/* Reads the node that a child of another one, or the root, names. NULL: it is damage. */
static const uint8_t *node_read(struct walk *walk, const struct mkv_directory_child *child,
                                uint32_t level) {
    uint8_t *bytes = walk->units + (size_t)level * MKV_UNIT_BYTES;
    const uint64_t unit = walk->region + child->page;
    const char *what = NULL;
    if (child->page < MKV_DIRECTORY_ROOTS || child->page >= walk->region_units) {
        what = "lies outside of its region";
    } else if (was_seen(walk, child->page)) {
        what = "has two parents";
    } else if (mkv_tool_read_units(walk->table->drive, unit, 1, bytes) != 0) {
        what = "cannot be read";
    } else if (!mkv_directory_node_sound(bytes, &walk->table->superblock.drive_uuid, child->page,
                                         level, child->checksum_low)) {
        what = "is not the one that its parent means";
    }
    if (what != NULL) {
        mkv_drive_report_fault(walk->table->report, MKV_DRIVE_FAULT_DIRECTORY_NODE, unit,
                               "node %u of the directory, level %u, %s", child->page, level, what);
        walk->broken = true;
        return NULL;
    }
    walk->verified->directory_nodes++;
    return bytes;
}

/* The key that parts two children is above all before it, and not above those behind it. */
static void check_separator(struct walk *walk, const uint8_t *bytes, uint32_t index,
                            uint64_t unit) {
    struct mkv_directory_key key;
    mkv_directory_node_key(bytes, index, &key);
    const int order = walk->any_key ? mkv_directory_key_compare(&walk->key_before, &key) : -1;
    if (order > 0 || (order == 0 && !walk->is_floor)) {
        mkv_drive_report_fault(walk->table->report, MKV_DRIVE_FAULT_DIRECTORY_NODE, unit,
                               "a key of an inner node does not part its children");
        walk->broken = true;
    }
    walk->key_before = key;
    walk->any_key = true;
    walk->is_floor = true;
}

static void tree_walk(struct walk *walk, const struct mkv_directory_root *root) {
    uint32_t index[MKV_DIRECTORY_LEVELS_MAX] = {0};
    uint32_t page[MKV_DIRECTORY_LEVELS_MAX] = {0};
    const uint32_t top = root->level_count - 1;
    const uint8_t *bytes = node_read(walk, &root->root, top);
    page[top] = root->root.page;
    if (bytes != NULL && top == 0) {
        check_leaf(walk, bytes, walk->region + page[0]);
    }
    uint32_t level = top;
    while (bytes != NULL && top > 0) {
        const uint8_t *node = walk->units + (size_t)level * MKV_UNIT_BYTES;
        if (index[level] == mkv_directory_node_count(node)) {
            if (level == top) {
                return;
            }
            level++;
            continue;
        }
        if (index[level] > 0) {
            check_separator(walk, node, index[level], walk->region + page[level]);
        }
        const struct mkv_directory_child child = mkv_directory_node_child(node, index[level]);
        index[level]++;
        const uint8_t *below = node_read(walk, &child, level - 1);
        if (below == NULL) {
            continue;
        }
        page[level - 1] = child.page;
        if (level == 1) {
            check_leaf(walk, below, walk->region + child.page);
        } else {
            level--;
            index[level] = 0;
        }
    }
}

/* ---- what it must have ----------------------------------------------------------------------- */

static void check_listed(struct walk *walk) {
    const struct mkv_tool_table *table = walk->table;
    uint64_t missing = 0;
    for (uint32_t i = 0; i < table->group_count; i++) {
        const struct mkv_tool_group *group = &table->groups[i];
        for (uint32_t index = 0; index < group->slot_count; index++) {
            const uint32_t slot = group->page_first * MKV_PAGE_SLOTS + index;
            const struct mkv_tool_slot *entry = &table->slots[slot];
            const uint32_t excused =
                MKV_TOOL_SLOT_LISTED | MKV_TOOL_SLOT_NEWER | MKV_TOOL_SLOT_DAMAGED;
            if (entry->state == MKV_ENTRY_LIVE && (entry->flags & excused) == 0) {
                missing++;
                if (missing <= NAMED_MAX) {
                    mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_DIRECTORY_ENTRY,
                                           mkv_tool_table_lba(table, slot).unit,
                                           "slot %u: the block is not in the directory", slot);
                }
            }
        }
    }
    if (missing > NAMED_MAX) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_DIRECTORY_ENTRY, walk->region,
                               "%" PRIu64 " further blocks are not in the directory",
                               missing - NAMED_MAX);
    }
}

static void check_counts(struct walk *walk, const struct mkv_directory_root *root) {
    if (walk->verified->directory_nodes != root->node_count ||
        walk->verified->directory_entries != root->entry_count) {
        mkv_drive_report_fault(walk->table->report, MKV_DRIVE_FAULT_COUNT_WRONG,
                               walk->region + root->commit % 2,
                               "the directory says that it has %u nodes and %" PRIu64
                               " entries; it has %" PRIu64 " and %" PRIu64,
                               root->node_count, root->entry_count, walk->verified->directory_nodes,
                               walk->verified->directory_entries);
    }
}

bool mkv_tool_directory_check(struct mkv_tool_table *table, const struct mkv_directory_root *root,
                              struct mkv_drive_verified *verified,
                              struct mkv_backend_error *error) {
    struct walk walk = {.table = table, .verified = verified};
    walk.region = mkv_geometry_directory(&table->superblock.geometry).unit;
    walk.region_units = table->superblock.geometry.directory_units;
    walk.units = mkv_drive_tool_units(MKV_DIRECTORY_LEVELS_MAX);
    walk.seen = calloc(1, walk.region_units / 8 + 1);
    const bool done = walk.units != NULL && walk.seen != NULL;
    if (!done) {
        mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                           "%s: there is no memory to read its directory. Free some",
                           table->drive->path);
    } else if (root->level_count > MKV_DIRECTORY_LEVELS_MAX) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_DIRECTORY_ROOT, walk.region,
                               "the directory has %u levels, which cannot be", root->level_count);
    } else {
        if (root->level_count > 0) {
            tree_walk(&walk, root);
        }
        if (walk.entry_faults > NAMED_MAX) {
            mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_DIRECTORY_ENTRY, walk.region,
                                   "%" PRIu64 " further entries of the directory are wrong",
                                   walk.entry_faults - NAMED_MAX);
        }
        /* Of a tree with holes, and of a table with holes, nothing can be missed. */
        if (!walk.broken && !table->checkpoint_lost && !table->journal_lost) {
            check_listed(&walk);
            check_counts(&walk, root);
        }
    }
    free(walk.units);
    free(walk.seen);
    return done;
}
