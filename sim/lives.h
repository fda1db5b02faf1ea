/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lives of a simulated machine: format, open, read everything back, work, crash, and so on
 * until enough crashes have counted; then drain, close well, and open once more. Both worlds live
 * so; what a client is differs, and comes as a table of functions.
 *
 *   FORMATTING --> OPENING --> VERIFYING --> WORKING --crash--> OPENING
 *        ^  cut      ^  cut                     |
 *        +---        +---                       +--> DRAINING --> CLOSING --> OPENING --> ... DONE
 *
 *   A volume that cannot be opened, or gives up its drive, leads from anywhere to OUTAGE: what is
 *   unanswered is answered, then the process ends and the next one finds the drive back.
 *
 * Invariants
 *  I1  One thing happens at a time: the one that is due first, in the order drive, client, work,
 *      tick where several are.
 *  I2  A phase makes progress within LIVES_TURNS_MAX turns, or the run fails (O10).
 *  I3  Nothing goes wrong any more from DRAINING on: everything heals, and all of it drains. What
 *      was struck before is found by reading, and is then gone: the last life meets no damage.
 *
 * Not responsible for: what clients ask and how they judge answers.
 */
#ifndef MKV_SIM_LIVES_H
#define MKV_SIM_LIVES_H

#include "sim/audit.h"
#include "sim/evictions.h"
#include "sim/guard.h"
#include "sim/listing.h"
#include "sim/model.h"
#include "sim/node.h"
#include "sim/promise.h"
#include "sim/rot.h"
#include "sim/tiers.h"
#include "sim/world.h"

#define MKV_LIVES_NODES_MAX 2u

enum mkv_phase {
    MKV_PHASE_FORMATTING = 1,
    MKV_PHASE_OPENING,
    MKV_PHASE_VERIFYING,
    MKV_PHASE_WORKING,
    MKV_PHASE_DRAINING,
    MKV_PHASE_CLOSING,
    MKV_PHASE_OUTAGE,
    MKV_PHASE_DONE,
};

struct mkv_lives;

/* What a world's clients do; `world` is the world's own. */
struct mkv_lives_clients {
    /* A new process: its memory is empty, or holds a pattern if that is not negative. */
    void (*reset)(void *world, int pattern);
    /* All volumes serve. */
    void (*serving)(void *world);
    /* A volume has given up its drive. */
    void (*failed)(void *world, uint32_t volume);
    /* Starts to read a key back, whole. False when it cannot yet. */
    bool (*start_get)(void *world, uint32_t key);
    /* Whether it could start something of the workload now; false stays so until something
     * happens. */
    bool (*can_start)(const void *world);
    /* Starts something of the workload, if it likes. */
    void (*work)(void *world);
    /* When the clients' side has something due, and lets it happen. */
    uint64_t (*due_ns)(void *world);
    void (*act)(void *world);
    /* Steps of machines other than volumes that want to go on at once. */
    void (*settle)(void *world);
    /* Nothing that a client asked for is unanswered, and nothing is on its way. */
    bool (*is_idle)(const void *world);
    /* How many operations are unanswered, for the report. */
    uint32_t (*unanswered)(const void *world);
    /* Where a world decides this, and NULL where it does not: after how many inputs and effects the
     * process that begins to work crashes, MKV_NONE_U32: it does not; and whether all work is over,
     * so that no other crash comes. */
    uint32_t (*crash_after)(void *world, uint32_t drawn);
    bool (*is_over)(const void *world);
};

struct mkv_lives {
    const struct mkv_world_options *options;
    const struct mkv_shape *shape;
    struct mkv_world_report *report;
    const struct mkv_lives_clients *clients;
    void *world;
    struct mkv_random randoms[MKV_CONCERN_COUNT];
    struct mkv_trace trace;
    struct mkv_guard guard;
    struct mkv_fuse fuse;
    uint64_t crash_count; /* of all processes, and ... */
    bool killed;          /* ... whether the last one was killed, with the drives left running */
    struct mkv_content content;
    struct mkv_model model;
    struct mkv_evictions evictions;
    struct mkv_tiers tiers; /* of the first volume */
    uint32_t node_count;
    struct mkv_node nodes[MKV_LIVES_NODES_MAX];
    struct mkv_audit audits[MKV_LIVES_NODES_MAX];
    struct mkv_listing listings[MKV_LIVES_NODES_MAX];
    void (*on_message)(void *world, uint32_t volume, const struct mkv_message *message,
                       const uint8_t *data);
    struct mkv_faults faults[MKV_LIVES_NODES_MAX];
    enum mkv_fault_opening openings[MKV_LIVES_NODES_MAX]; /* what each drive was like */
    bool emptied[MKV_LIVES_NODES_MAX];                    /* it came up empty in this opening */
    uint64_t emptyings; /* openings that came up empty, of all lives */

    enum mkv_phase phase;
    uint32_t nodes_done; /* volumes that are through with the phase */
    uint64_t now_ns;
    uint64_t tick_due_ns;
    uint64_t work_due_ns;
    uint64_t turns;        /* in this phase */
    uint64_t client_turns; /* of all lives, those that were left out included */
    uint32_t verify_key;
    bool drain_lists;   /* the directories have come to rest, and are listed */
    bool crash_pending; /* the last crash does not count yet */
    uint64_t crash_image;
    bool last_life;
    bool cut_off;             /* nothing more goes wrong, or is asked */
    bool broken;              /* a volume of this process cannot go on */
    uint32_t failed_in_a_row; /* openings */
    uint32_t outage_work;     /* what is still asked of a process that cannot go on */
    uint32_t passes;          /* of reading everything back while draining */
    uint64_t damage_misses;   /* reads of this pass that met damage */
    uint64_t reports;         /* events that tell of a loss, or of an error */
};

static inline struct mkv_random *mkv_lives_random(struct mkv_lives *lives,
                                                  enum mkv_concern concern) {
    return &lives->randoms[concern];
}

/* What a world needs of each node's options before it fills in slabs and on_message. */
struct mkv_lives_slabs {
    uint8_t *memory;
    size_t bytes;
    size_t stride;
};

/* Makes content, model and nodes. `on_message` gets `world`. */
void mkv_lives_init(struct mkv_lives *lives, const struct mkv_world_options *options,
                    struct mkv_world_report *report, const struct mkv_lives_clients *clients,
                    void *world, uint32_t ops_max, bool in_order,
                    const struct mkv_lives_slabs *slabs,
                    void (*on_message)(void *world, uint32_t volume,
                                       const struct mkv_message *message, const uint8_t *data));
/* Takes the one thing that is due first (I1); lives_turn.c. */
void mkv_lives_turn(struct mkv_lives *lives);
/* Lives to the end. */
void mkv_lives_run(struct mkv_lives *lives);
/* The same in steps: the first process begins; then one thing after another happens, until the
 * phase is DONE. */
void mkv_lives_begin(struct mkv_lives *lives);
void mkv_lives_step(struct mkv_lives *lives);
/* The process ends now, whatever it is at, and the next one begins. */
void mkv_lives_crash(struct mkv_lives *lives, bool kill);
/* An operation ended with an error of the drive, or because the volume has none: fails the run when
 * no drive gave a reason for it. */
void mkv_lives_error(struct mkv_lives *lives);
/* A read met damage: a block that cannot be read, or is not what was put. In the last life there
 * is none any more. */
void mkv_lives_damage(struct mkv_lives *lives, uint32_t key);
/* A mutation was asked for: recovery need not give the same state as the last time (O8). */
void mkv_lives_mutated(struct mkv_lives *lives);

/* ---- lives_events.c: what nodes and faults call ---------------------------------------------- */

/* The context is the lives. */
void mkv_lives_on_event(void *context, uint32_t volume, const struct mkv_event *event);
void mkv_lives_on_message(void *context, uint32_t volume, const struct mkv_message *message,
                          const uint8_t *data);
/* Bytes on a drive are other than written, or are about to be read so; the context is the node. */
void mkv_lives_on_struck(void *context, enum mkv_fault fault, uint64_t unit, uint32_t count);

#endif
