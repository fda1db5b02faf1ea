/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits, and what the directory wants of its drive.
 *
 *   nodes, children before parents -> flush -> root unit -> flush -> pages set free
 *
 * While a commit is under way nothing changes the tree; what is noted waits in the queue.
 */
#include "core/canary.h"
#include "core/directory_internal.h"

/* Operations kept back for writes, so that reads cannot starve a commit. */
#define WRITES_KEPT 4u
/* A commit is begun when this share of the frames that may be changed has been. */
#define DIRTY_PER_MILLE 500u

bool mkv_directory_io_quiet(const struct mkv_directory *directory) {
    return directory->reads_in_flight == 0 && directory->writes_in_flight == 0 &&
           !directory->flush_out;
}

static bool floor_is_newer(struct mkv_directory_floor a, struct mkv_directory_floor b) {
    return a.sequence > b.sequence || a.generation > b.generation;
}

static bool commit_is_due(struct mkv_directory *directory) {
    if (directory->commit_needed) {
        return true;
    }
    if (directory->closing) {
        const bool queue_is_empty = directory->queue.pushed == directory->queue.popped;
        return queue_is_empty && (directory->changed ||
                                  floor_is_newer(directory->applied, directory->committed_floor));
    }
    if (!directory->changed) {
        return false;
    }
    return mkv_directory_tree_dirty_per_mille(&directory->tree) >= DIRTY_PER_MILLE ||
           directory->now_ns - directory->changed_since_ns >= directory->config.commit_ns;
}

static void commit_begin(struct mkv_directory *directory) {
    directory->commit_step = COMMIT_NODES;
    directory->commit++;
    directory->committing_floor = directory->applied;
    directory->committing_count = directory->tree.change_count;
    directory->progress = true;
}

static void commit_durable(struct mkv_directory *directory) {
    mkv_directory_cache_committed(&directory->tree.cache);
    directory->commit_step = COMMIT_IDLE;
    directory->commit_needed = false;
    directory->committed_count = directory->committing_count;
    directory->committed_floor = directory->committing_floor;
    directory->changed = false;
    directory->commits_total++;
    directory->progress = true;
    if (!directory->rebuilding) {
        directory->rebuild_tries = 0;
    }
}

void mkv_directory_commit_pump(struct mkv_directory *directory) {
    if (directory->phase != PHASE_READY) {
        return;
    }
    const bool changed = directory->tree.change_count != directory->committed_count;
    if (changed && !directory->changed) {
        directory->changed_since_ns = directory->now_ns;
    }
    directory->changed = changed;
    if (directory->commit_step == COMMIT_IDLE && commit_is_due(directory)) {
        commit_begin(directory);
    }
    if (directory->commit_step == COMMIT_NODES && directory->tree.cache.dirty_count == 0 &&
        directory->writes_in_flight == 0) {
        directory->commit_step =
            MKV_CANARY(MKV_CANARY_DIRECTORY_ROOT_BEFORE_FLUSH) ? COMMIT_ROOT : COMMIT_NODES_FLUSH;
    }
}

/* ---- hand-out -------------------------------------------------------------------------------- */

static uint32_t io_free_slot(const struct mkv_directory *directory) {
    for (uint32_t id = 0; id < MKV_DIRECTORY_IO_MAX; id++) {
        if (directory->io[id].use == IO_USE_NONE) {
            return id;
        }
    }
    MKV_ASSERT(false); /* the callers count what is in flight */
    return 0;
}

static void io_out(struct mkv_directory *directory, enum directory_io_use use, uint32_t index,
                   uint32_t unit, uint64_t memory_offset, struct mkv_directory_io *io) {
    const bool reads = use == IO_USE_READ_NODE || use == IO_USE_READ_ROOT;
    const uint32_t id = io_free_slot(directory);
    directory->io[id] = (struct directory_io_slot){use, index};
    directory->reads_in_flight += reads ? 1u : 0u;
    directory->writes_in_flight += reads ? 0u : 1u;
    MKV_ASSERT(unit < directory->config.region_units);
    *io = (struct mkv_directory_io){
        .kind = reads ? MKV_DIRECTORY_READ : MKV_DIRECTORY_WRITE,
        .id = id,
        .unit = unit,
        .memory_offset = memory_offset,
    };
}

static uint64_t frame_offset(const struct mkv_directory *directory, uint32_t frame) {
    return directory->tree.cache.units_offset + (uint64_t)frame * MKV_UNIT_BYTES;
}

static bool take_read(struct mkv_directory *directory, struct mkv_directory_io *io) {
    if (directory->phase == PHASE_ROOTS) {
        if (directory->roots_pending == 0 || directory->closing) {
            return false;
        }
        const uint32_t which = --directory->roots_pending;
        io_out(directory, IO_USE_READ_ROOT, which, which, directory_root_offset(directory, which),
               io);
        return true;
    }
    if (directory->reads_in_flight >= MKV_DIRECTORY_IO_MAX - WRITES_KEPT ||
        (directory->closing && directory->phase == PHASE_NODES)) {
        return false;
    }
    const uint32_t frame = mkv_directory_cache_take_wanted(&directory->tree.cache);
    if (frame == MKV_NONE_U32) {
        return false;
    }
    directory->node_reads_total++;
    io_out(directory, IO_USE_READ_NODE, frame,
           mkv_directory_frame(&directory->tree.cache, frame)->page, frame_offset(directory, frame),
           io);
    return true;
}

static void root_fill(const struct mkv_directory *directory, uint32_t which) {
    const struct mkv_directory_tree *tree = &directory->tree;
    const struct mkv_directory_root root = {
        .drive_uuid = directory->config.drive_uuid,
        .commit = directory->commit,
        .root = tree->root,
        .applied_sequence = directory->committing_floor.sequence,
        .listed_generation = directory->committing_floor.generation,
        .entry_count = tree->entry_count,
        .node_count = mkv_directory_tree_node_count(tree),
        .level_count = tree->level_count,
        .region_units = directory->config.region_units,
    };
    mkv_directory_root_encode(&root,
                              directory_bytes(directory, directory_root_offset(directory, which)));
}

static bool take_write(struct mkv_directory *directory, struct mkv_directory_io *io) {
    if (directory->reads_in_flight + directory->writes_in_flight >= MKV_DIRECTORY_IO_MAX) {
        return false;
    }
    if (directory->commit_step == COMMIT_NODES) {
        const uint32_t frame = mkv_directory_cache_take_dirty(&directory->tree.cache);
        if (frame == MKV_NONE_U32) {
            return false;
        }
        mkv_directory_tree_seal(&directory->tree, frame, directory->commit);
        directory->node_writes_total++;
        io_out(directory, IO_USE_WRITE_NODE, frame,
               mkv_directory_frame(&directory->tree.cache, frame)->page,
               frame_offset(directory, frame), io);
        return true;
    }
    if (directory->commit_step == COMMIT_ROOT) {
        const uint32_t which = (uint32_t)(directory->commit % MKV_DIRECTORY_ROOTS);
        root_fill(directory, which);
        directory->commit_step = COMMIT_ROOT_WRITING;
        io_out(directory, IO_USE_WRITE_ROOT, which, which, directory_root_offset(directory, which),
               io);
        return true;
    }
    return false;
}

bool mkv_directory_take_io(struct mkv_directory *directory, struct mkv_directory_io *io) {
    if (directory->phase != PHASE_ROOTS && directory->phase != PHASE_NODES &&
        directory->phase != PHASE_READY) {
        return false;
    }
    if (take_read(directory, io) || take_write(directory, io)) {
        return true;
    }
    if (directory->commit_step == COMMIT_NODES_FLUSH ||
        directory->commit_step == COMMIT_ROOT_FLUSH) {
        directory->commit_step = directory->commit_step == COMMIT_NODES_FLUSH
                                     ? COMMIT_NODES_FLUSHING
                                     : COMMIT_ROOT_FLUSHING;
        directory->flush_out = true;
        *io = (struct mkv_directory_io){.kind = MKV_DIRECTORY_FLUSH};
        return true;
    }
    return false;
}

/* ---- completions ----------------------------------------------------------------------------- */

/* Whether every child of an inner node lies in the region. */
static bool children_in_region(const struct mkv_directory *directory, const uint8_t *unit) {
    if (mkv_directory_node_level(unit) == 0) {
        return true;
    }
    for (uint32_t index = 0; index < mkv_directory_node_count(unit); index++) {
        const uint32_t page = mkv_directory_node_child(unit, index).page;
        if (page < MKV_DIRECTORY_ROOTS || page >= directory->config.region_units) {
            return false;
        }
    }
    return true;
}

static void note_leaf_miss(struct mkv_directory *directory, uint64_t us) {
    uint32_t bucket = 0;
    while (bucket < MKV_DIRECTORY_MISS_BOUNDS && us > mkv_directory_miss_bound_us(bucket)) {
        bucket++;
    }
    directory->leaf_miss_us[bucket]++;
    directory->leaf_miss_us_sum += us;
}

static void node_read(struct mkv_directory *directory, uint32_t index, enum mkv_io_result result) {
    struct mkv_directory_cache *cache = &directory->tree.cache;
    const struct mkv_directory_frame frame = *mkv_directory_frame(cache, index);
    const uint8_t *unit = mkv_directory_unit(cache, index);
    if (directory->phase != PHASE_NODES && directory->phase != PHASE_READY) {
        mkv_directory_cache_read_done(cache, index, false); /* nobody waits for it any more */
        return;
    }
    const bool sound = result == MKV_IO_OK &&
                       mkv_directory_node_sound(unit, &directory->config.drive_uuid, frame.page,
                                                frame.level, frame.checksum_low) &&
                       children_in_region(directory, unit);
    mkv_directory_cache_read_done(cache, index, sound);
    if (sound) {
        if (frame.level == 0) {
            note_leaf_miss(directory, (directory->now_ns - frame.wanted_ns) / 1000u);
        }
        return;
    }
    if (result != MKV_IO_OK) {
        mkv_directory_cache_mark_bad(cache, frame.page);
    }
    mkv_directory_damage(directory, frame.page);
}

void mkv_directory_io_done(struct mkv_directory *directory, uint32_t id, enum mkv_io_result result,
                           uint64_t now_ns) {
    MKV_ASSERT(id < MKV_DIRECTORY_IO_MAX);
    const struct directory_io_slot slot = directory->io[id];
    directory->io[id] = (struct directory_io_slot){0};
    directory->now_ns = now_ns;
    directory->progress = true;
    directory->io_errors_total += result == MKV_IO_OK ? 0u : 1u;
    switch (slot.use) {
    case IO_USE_NONE:
        MKV_ASSERT(false);
        return;
    case IO_USE_READ_ROOT:
        directory->reads_in_flight--;
        if (directory->phase == PHASE_ROOTS) {
            mkv_directory_load_root_done(directory, slot.index, result == MKV_IO_OK);
        }
        return;
    case IO_USE_READ_NODE:
        directory->reads_in_flight--;
        node_read(directory, slot.index, result);
        return;
    case IO_USE_WRITE_NODE:
        directory->writes_in_flight--;
        if (result != MKV_IO_OK) {
            const uint32_t page = mkv_directory_frame(&directory->tree.cache, slot.index)->page;
            mkv_directory_cache_mark_bad(&directory->tree.cache, page);
            mkv_directory_damage(directory, page);
        }
        return;
    case IO_USE_WRITE_ROOT:
        directory->writes_in_flight--;
        if (result != MKV_IO_OK) {
            mkv_directory_damage(directory, slot.index);
        } else if (directory->phase == PHASE_READY) {
            MKV_ASSERT(directory->commit_step == COMMIT_ROOT_WRITING);
            directory->commit_step = COMMIT_ROOT_FLUSH;
            if (MKV_CANARY(MKV_CANARY_DIRECTORY_PAGES_REUSED_EARLY)) {
                commit_durable(directory);
            }
        }
        return;
    }
}

void mkv_directory_flush_done(struct mkv_directory *directory) {
    MKV_ASSERT(directory->flush_out);
    directory->flush_out = false;
    directory->progress = true;
    if (directory->phase != PHASE_READY) {
        return;
    }
    if (directory->commit_step == COMMIT_NODES_FLUSHING) {
        directory->commit_step = COMMIT_ROOT;
        return;
    }
    MKV_ASSERT(directory->commit_step == COMMIT_ROOT_FLUSHING);
    commit_durable(directory);
}
