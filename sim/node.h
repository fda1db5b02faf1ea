/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One volume with its drive: steps the machine, carries its drive effects out, lets the watch see
 * them, and hands messages and events to the world. It also holds the fuse, which says after how
 * many inputs and effects the machine crashes: between two steps, or in the middle of what one step
 * handed out.
 *
 *            input                message, event
 *   world ----------->  node  ------------------>  world
 *                      /    \
 *                 volume    drive_sim    (watch sees what passes between them)
 *
 * Invariants
 *  I1  Once the fuse has blown nothing more is carried out or handed on until mkv_node_start.
 *  I2  A volume that has given up its drive hands out no operation for it any more (O11).
 *
 * Not responsible for: what comes next and when (worlds).
 */
#ifndef MKV_SIM_NODE_H
#define MKV_SIM_NODE_H

#include "core/volume.h"
#include "sim/drive_sim.h"
#include "sim/shape.h"
#include "sim/trace.h"
#include "sim/watch.h"

struct mkv_node;

/* Inputs and effects until the crash; shared by all machines of a process. */
struct mkv_fuse {
    uint32_t left;
    bool armed;
    bool blown;
    /* Of all processes: how many were begun, and the one with which the run is cut off, instead of
     * which it crashes; 0: none. */
    uint64_t begun;
    uint64_t cut_at;
    bool cut;
};

static inline bool mkv_fuse_burn(struct mkv_fuse *fuse) {
    if (fuse->blown) {
        return true;
    }
    fuse->cut = ++fuse->begun == fuse->cut_at;
    fuse->blown = fuse->cut || (fuse->armed && fuse->left == 0);
    fuse->left -= fuse->left > 0;
    return fuse->blown;
}

/* For the next phase: it blows behind so many, or, where it is not armed, not at all. */
static inline void mkv_fuse_set(struct mkv_fuse *fuse, bool armed, uint32_t left) {
    fuse->armed = armed;
    fuse->left = left;
    fuse->blown = false;
}

struct mkv_node_options {
    uint32_t volume;
    uint32_t ops_max;
    const struct mkv_shape *shape;
    const struct mkv_content *content;
    struct mkv_random drive_random;
    struct mkv_faults *faults;
    uint8_t *slabs;
    size_t slabs_bytes;
    size_t slab_stride;
    struct mkv_guard *guard;
    struct mkv_trace *trace;
    struct mkv_fuse *fuse;
    void *lives;
    /* A MESSAGE effect; its data lies at base + data_offset until the next step. */
    void (*on_message)(void *lives, uint32_t volume, const struct mkv_message *message,
                       const uint8_t *data);
    void (*on_event)(void *lives, uint32_t volume, const struct mkv_event *event);
};

struct mkv_node {
    struct mkv_node_options options;
    struct mkv_volume_config config;
    uint8_t *arena;
    size_t arena_bytes;
    struct mkv_volume *volume;
    struct mkv_drive_sim *drive;
    struct mkv_watch watch;
    uint64_t now_ns;
    enum mkv_fault_opening opening;
    bool evicts_at_once; /* no eviction had been decided before the step that it is in */
    bool failed;         /* it gave up its drive: nothing more may be asked of that */
};

#define MKV_WALL_MS_START 1700000000000ull
/* The wall clock runs ten thousand times as fast as all else, so that blocks expire in a run. */
static inline uint64_t mkv_wall_ms(uint64_t now_ns) {
    return MKV_WALL_MS_START + now_ns / 100;
}

void mkv_node_init(struct mkv_node *node, struct mkv_memory *memory,
                   const struct mkv_node_options *options);
/* A new process: the machine is built anew in the same memory, which holds `pattern` in every byte
 * first if that is not negative. It meets the drive in the state of `opening`. */
void mkv_node_start(struct mkv_node *node, int pattern, enum mkv_fault_opening opening);
/* The process is gone. */
void mkv_node_crash(struct mkv_node *node, enum mkv_crash_kind kind, enum mkv_crash_keep keep);

/* Steps the volume with an input whose now_ns and wall_ms are filled in, and carries out what it
 * hands out. */
enum mkv_err mkv_node_step(struct mkv_node *node, struct mkv_input *input, uint64_t now_ns);
enum mkv_err mkv_node_admin(struct mkv_node *node, enum mkv_admin_command command, uint64_t now_ns);
void mkv_node_tick(struct mkv_node *node, uint64_t now_ns);
/* Completes the drive operation that is due first. */
void mkv_node_complete(struct mkv_node *node, uint64_t now_ns);

#endif
