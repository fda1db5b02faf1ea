/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the set world share. It is a node with two or three drives that go away and
 * come back: at the end of each life some are taken out, with what they hold, and others put in;
 * while it runs, a drive may be gone from one moment to the next; and an operator declares drives
 * lost that are only away. While it serves he also takes drives out of the set and brings drives
 * back, those that were gone, too. The decision (core/drive_set.h), its run
 * (core/drive_set_run.h) and the volumes are those that ship; this world does what they say and
 * judges what comes of it.
 *
 *   set_world.c    lives: which drives are there, the decision, formatting, the run, crashes
 *   set_drive.c    a volume on its simulated drive, which may be gone
 *   set_operator.c what the operator's words have given up
 *   set_rows.c     which rows of the decision were met
 *   set_client.c   puts, gets and deletes, and what each key may hold
 *
 *   A key may hold versions on drives, or nothing. Only these are allowed:
 *     an operation without an answer       what was, or what it would have made
 *     keys go elsewhere, durably           what stood where they no longer go is gone for good
 *     a purge began, and the node crashed  what a joining drive would take may be gone
 *     keys go elsewhere under an operation what comes of it where they went from does not count
 *
 * Invariants
 *  I1  The operator leaves one drive at least that was served last: nobody can know what was
 *      deleted on drives that are all lost. And while drives that were served last are away he runs
 *      no node on those alone that he gave up (set_operator.h), unless he takes his word back by
 *      another.
 *  I2  At most one operation of a key is under way.
 *
 * Not responsible for: what single volumes do with faults (the other worlds).
 */
#ifndef MKV_SIM_SET_WORLD_H
#define MKV_SIM_SET_WORLD_H

#include "core/drive_set_run.h"
#include "core/volume.h"
#include "sim/content.h"
#include "sim/drive_sim.h"
#include "sim/guard.h"
#include "sim/node.h"
#include "sim/set_operator.h"
#include "sim/trace.h"
#include "sim/world.h"

#define SET_DRIVES_MAX 3u
#define SET_KEYS_MAX 32u
#define SET_CLIENTS_MAX 6u
#define SET_CANDIDATES_MAX 64u
#define SET_GONE_MAX 128u

/* ---- set_drive.c ----------------------------------------------------------------------------- */

struct set_world;

struct set_drive {
    struct set_world *world;
    uint32_t index;
    struct mkv_drive_sim *drive;
    struct mkv_faults faults;
    struct mkv_volume_config config;
    uint8_t *arena;
    size_t arena_bytes;
    struct mkv_volume *volume; /* NULL: not there in this life */
    bool gone;                 /* it answers every operation so, until the process ends */
    bool formatted;
    bool ever_formatted;
    struct mkv_op_id gone_ops[SET_GONE_MAX];
    uint32_t gone_count;
};

void mkv_set_drive_start(struct set_drive *drive);
/* Makes durable what earlier processes left in its cache, or on the way there. */
void mkv_set_drive_flush(struct set_drive *drive);
enum mkv_err mkv_set_drive_step(struct set_drive *drive, struct mkv_input *input);
uint64_t mkv_set_drive_due_ns(const struct set_drive *drive);
void mkv_set_drive_act(struct set_drive *drive);
/* What its superblocks say. */
void mkv_set_drive_claim(const struct set_drive *drive, struct mkv_drive_claim *claim);

/* ---- set_client.c ---------------------------------------------------------------------------- */

/* A version on a drive; version 0 is nothing, on no drive. */
struct set_candidate {
    uint32_t version;
    uint32_t drive;
};

struct set_key {
    bool busy;
    bool evicted; /* in this life, and its DROP may not be durable yet */
    uint32_t version_last;
    uint32_t count;
    struct set_candidate candidates[SET_CANDIDATES_MAX];
};

enum set_client_state {
    SET_CLIENT_FREE = 0,
    SET_CLIENT_PUTTING,
    SET_CLIENT_DELETING,
    SET_CLIENT_GETTING,
};

struct set_client {
    enum set_client_state state;
    uint32_t generation;
    uint32_t key;
    uint32_t version;
    uint32_t drive;
    bool strayed;    /* its key went to another drive meanwhile, and may be back */
    uint64_t due_ns; /* of `next`; UINT64_MAX while it waits for an answer */
    struct mkv_message next;
};

/* Starts an operation of a drawn kind, or with `get` a read, of the key. False when it cannot. */
bool mkv_set_client_start(struct set_world *world, uint32_t key, bool get);
void mkv_set_client_answer(struct set_world *world, uint32_t drive,
                           const struct mkv_message *message);
bool mkv_set_clients_idle(const struct set_world *world);
uint64_t mkv_set_clients_due_ns(const struct set_world *world);
void mkv_set_clients_act(struct set_world *world);
/* The process is gone: each operation under way happened or did not. */
void mkv_set_clients_crash(struct set_world *world);
/* Keys go where `run.routed` says. */
void mkv_set_keys_routed(struct set_world *world);
/* A volume makes room: the block of the tag is on its way out. */
void mkv_set_keys_evicted(struct set_world *world, uint64_t tag);
/* Members begin to drop what the drives that are to join would take. */
void mkv_set_keys_purged(struct set_world *world);

/* ---- set_rows.c ------------------------------------------------------------------------------ */

void mkv_set_rows_count(const struct mkv_drive_set_plan *plan, uint32_t drive_count,
                        struct mkv_world_report *report);

/* ---- set_world.c ----------------------------------------------------------------------------- */

struct set_world {
    const struct mkv_world_options *options;
    const struct mkv_shape *shape;
    struct mkv_world_report *report;
    struct mkv_random randoms[MKV_CONCERN_COUNT];
    struct mkv_trace trace;
    struct mkv_guard guard;
    struct mkv_fuse fuse;
    struct mkv_content content;
    uint8_t *slabs;
    size_t slabs_bytes;
    size_t slab_stride;

    uint32_t drive_count;
    struct set_drive drives[SET_DRIVES_MAX];
    uint32_t configured;          /* the first so many are in the configuration */
    uint32_t present;             /* bits: there in this life */
    uint32_t served;              /* bits: the members of the set that was served last */
    struct mkv_set_operator word; /* what the operator has said */
    uint32_t failed;              /* bits: of those served, gone while they were, or to leave */
    bool operator_speaks;
    uint32_t words; /* of the operator that were acted on, since all drives were served */
    uint64_t uuids_drawn;
    struct mkv_drive_set_plan plan;
    struct mkv_drive_set_run run;
    bool running;
    bool last_life;          /* nothing goes wrong in it */
    bool calm;               /* only the operator takes drives out, and brings them back */
    uint64_t routed_version; /* of the set that keys were judged by last */

    struct set_key keys[SET_KEYS_MAX];
    struct set_client clients[SET_CLIENTS_MAX];
    uint32_t clients_busy;
    uint32_t verify_key; /* the next to be read back; key_count when all are */

    uint64_t now_ns;
    uint64_t tick_due_ns;
    uint64_t work_due_ns;
    uint64_t client_turns;
};

static inline struct mkv_random *set_random(struct set_world *world, enum mkv_concern concern) {
    return &world->randoms[concern];
}
static inline uint8_t *set_slab(const struct set_world *world, uint32_t client) {
    return world->slabs + client * world->slab_stride;
}
void mkv_set_world_event(struct set_world *world, uint32_t drive, const struct mkv_event *event);

#endif
