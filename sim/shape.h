/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run is, drawn from its seed before it starts (swarm testing, after Groce and others 2012):
 * each run has some features on and others off, so that those that hide each other's faults are
 * also met alone.
 *
 * Invariants
 *  I1  The same seed has the same shape, whatever else is drawn.
 *  I2  What a client asks at its n-th turn follows from the seed and n: leaving turns out leaves
 *      the others what they are.
 *
 * Not responsible for: what happens in the run.
 */
#ifndef MKV_SIM_SHAPE_H
#define MKV_SIM_SHAPE_H

#include "core/geometry.h"
#include "sim/drive_sim.h"
#include "sim/faults.h"

enum mkv_world_kind {
    MKV_WORLD_VOLUME = 0, /* one volume, spoken to by messages: the fast one */
    MKV_WORLD_FRONT = 1,  /* front, one or two volumes, fabric, connections */
    MKV_WORLD_SET = 2,    /* two or three drives that go away and come back, and an operator */
    MKV_WORLD_SHARDS = 3, /* one to three fronts with volumes of their own, in one process */
    MKV_WORLD_LANES = 4,  /* clients and a server over queue pairs: no drives, no volumes */
};
#define MKV_WORLD_COUNT 5u
/* The set world has drives that are gone, at moments of its own, and no other faults that relax
 * what is promised. */
#define MKV_FAULTS_OF_SET (1u << MKV_FAULT_SLOW | 1u << MKV_FAULT_REORDERING)

/* Turns of clients that can be left out one by one: the first so many. */
#define MKV_SHAPE_SKIP_MAX 16384u
/* Sessions that puts name. */
#define MKV_SHAPE_SESSIONS_MAX 3u

struct mkv_shape {
    uint64_t seed;
    enum mkv_world_kind world;
    struct mkv_fault_plan faults;
    uint32_t volume_count; /* with shards: of each */
    uint32_t shards;       /* MKV_WORLD_SHARDS */
    struct mkv_geometry geometry;
    struct mkv_drive_profile profile;
    uint32_t window_units;
    uint32_t step_pages; /* what one step of a volume does at most; 0: as much as ever */
    uint32_t step_slots;
    uint32_t step_clear_bytes;
    uint64_t idle_ns;
    uint64_t empty_ns_max;
    uint64_t empty_grain_ns;
    bool trim;
    uint64_t trim_idle_ns;
    bool eviction;
    uint32_t ghost_count;
    uint32_t evict_ready_divisor;
    uint64_t directory_commit_ns;
    uint32_t key_count;
    uint32_t colliding;
    uint32_t length_max;
    bool long_keys; /* volume only: so many and so long that the directory has no room for all */
    /* Workload: weights of the operations, and shares of 16. */
    uint32_t clients; /* operations that run at a time */
    uint32_t weight_put;
    uint32_t weight_get;
    uint32_t weight_exists;
    uint32_t weight_delete;
    uint32_t weight_checkpoint;
    uint32_t share_replace;   /* of puts that ask for it */
    uint32_t share_repeat;    /* of puts that bring an older version again */
    uint32_t share_condition; /* not of the set: of puts for keys with nothing, or with something */
    uint32_t share_abort;
    uint32_t share_lease; /* of EXISTS that ask for a lease, or are PIN or UNPIN */
    uint64_t lease_ns_max;
    uint32_t share_tier;     /* not of the set: of contents that name a tier; 0: no sessions */
    uint32_t session_count;  /* that puts name, from 1 on */
    uint32_t weight_session; /* of SESSION */
    uint32_t session_max;    /* that a volume keeps in mind */
    uint32_t session_block_max;
    uint64_t session_idle_ns;
    uint32_t share_expiry;  /* of puts that bring an expiry */
    uint32_t expiry_s_max;  /* how far ahead */
    uint32_t weight_expire; /* of EXPIRE */
    uint64_t expiry_pass_ns;
    uint64_t scrub_rate;    /* bytes a second, 0: nothing is scrubbed */
    uint64_t lock_yield_ns; /* 0: a slow put keeps the lock, and mutations go in order */
    bool tenants;           /* volume only: half of the keys belong to a second tenant */
    uint32_t weight_tenant; /* of creating and dropping it */
    uint32_t weight_list;   /* volume only: of SCAN, COUNT and PURGE */
    uint32_t think_ns;
    /* Front only. */
    uint32_t fronts; /* that share the clients and the volumes; 0 is 1 */
    uint32_t connections;
    uint32_t items_max;
    uint32_t block_bytes_max; /* longer values are segments */
    uint32_t slabs;           /* of the largest block that fit at a time */
    uint32_t share_close;     /* of 256 client actions that close a connection instead */
    uint64_t deadline_ns;     /* the shortest; the longest is 64 times that */
    uint32_t memory_blocks;   /* that stay in memory; 0: none */
    uint32_t share_relaxed;   /* of 16 puts */
    uint32_t admission;       /* enum mkv_admission, of relaxed puts */
    uint64_t write_limit;
    bool avoids;            /* a drive is slow from now and then on, as its volume is told */
    uint32_t share_reserve; /* of 16 puts that reserve first */
    uint32_t share_later;   /* of 16 puts whose root is known when their bytes are there */
    /* Lanes only; both sides are of the same size. */
    uint32_t lane_message_bytes;
    uint32_t lane_sends;
    uint32_t lane_receives;
    uint32_t lane_transfers;
    uint32_t lane_reads;
    uint32_t lane_turns; /* of the clients, in all */
    /* Crashes. */
    uint32_t crashes_max;
    uint32_t crash_span; /* inputs and effects until the next crash, at most */
    uint32_t share_cut;  /* of 16 recoveries that are cut */
    uint32_t share_kill; /* of 16 crashes that kill the process only */
    uint32_t keep_weights[MKV_CRASH_KEEP_COUNT];
    uint32_t share_pattern; /* of 16 restarts in memory that holds a pattern */
    /* What a bundle leaves out of the run (bundle.h): turns of the clients from this one on, unless
     * it is 0, and those that have their bit. */
    uint32_t turns_max;
    uint64_t turns_skipped[MKV_SHAPE_SKIP_MAX / 64];
};

void mkv_shape_draw(struct mkv_shape *shape, uint64_t seed);
/* Sets what follows from the other figures: the drive's capacity. */
void mkv_shape_fit(struct mkv_shape *shape);

/* Whether the clients have their turn number `turn`, counted from 0. */
static inline bool mkv_shape_has_turn(const struct mkv_shape *shape, uint64_t turn) {
    if (shape->turns_max > 0 && turn >= shape->turns_max) {
        return false;
    }
    return turn >= MKV_SHAPE_SKIP_MAX || (shape->turns_skipped[turn / 64] >> turn % 64 & 1u) == 0;
}

#endif
