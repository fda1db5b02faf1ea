/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong with a simulated drive besides crashes: which faults there are, which of them a
 * run has on and how often they strike (swarm), and, for one drive, whom they strike, how often
 * they did, and what on the drive is not as the store wrote it. Faults of the fabric have their
 * names, switches and rates here, too; verbs_sim.h and lanes_world.h do them.
 *
 *   drive_sim --decide(operation)--> faults       at submit; what is decided is done by the drive
 *             --struck(fault, units)-->           counts, remembers, tells the run
 *   lives     --opening, heal, calm-->            a new process; a drive that came back; no more
 *
 * Reach: what two copies are for is struck in one copy, the weak one, drawn once for a drive: one
 * of the two journal copies, one of the four superblock copies. So a run never needs more than the
 * design promises, and the other copies are as a crash left them. The pages of a checkpoint are
 * there once for each side; they are struck in runs whose shape says so, and then the volume may
 * come up empty. docs/fault-model.md has the table.
 *
 * Invariants
 *  I1  A fault that is not on never strikes, and has no hits.
 *  I2  A superblock copy is struck only where writes of it do not tear within a sector, or while
 *      all four are durable and equal.
 *  I3  A unit's flags say that it does not hold, or does not give, what was last written to it; a
 *      write that arrives clears them.
 *
 * Not responsible for: doing what was decided (drive_sim.c), what the run then promises
 * (promise.h), rot, whose moment the run chooses (rot.h).
 */
#ifndef MKV_SIM_FAULTS_H
#define MKV_SIM_FAULTS_H

#include "core/geometry.h"
#include "core/io.h"
#include "sim/memory.h"
#include "sim/random.h"

/* Of drives; behind them stand those of the fabric. */
#define MKV_FAULT_DRIVE_COUNT 29

enum mkv_fault {
    MKV_FAULT_SLOW = 0,
    MKV_FAULT_REORDERING,
    MKV_FAULT_STALLED,
    MKV_FAULT_FLUSH_ERROR,
    MKV_FAULT_LYING_FLUSH,
    MKV_FAULT_READ_MEDIUM,
    MKV_FAULT_READ_DEVICE,
    MKV_FAULT_MISDIRECTED_READ,
    MKV_FAULT_STALE_READ,
    MKV_FAULT_ROT,
    MKV_FAULT_ROT_PAIR,
    MKV_FAULT_READ_PAIR,
    MKV_FAULT_WRITE_MEDIUM,
    MKV_FAULT_WRITE_DEVICE,
    MKV_FAULT_NO_ROOM,
    MKV_FAULT_SHORT_WRITE,
    MKV_FAULT_MISDIRECTED_WRITE,
    MKV_FAULT_LOST_WRITE,
    MKV_FAULT_GONE,
    MKV_FAULT_READ_ONLY,
    MKV_FAULT_SHRUNK,
    MKV_FAULT_SWAPPED,
    MKV_FAULT_OLD_IMAGE,
    MKV_FAULT_TRIM_ERROR,
    MKV_FAULT_TRIM_IGNORED,
    MKV_FAULT_TRIM_PARTIAL,
    MKV_FAULT_TRIM_ARBITRARY,
    MKV_FAULT_TIMEOUT,
    MKV_FAULT_TRIM_TIMEOUT,
    /* From here on: of the fabric, in the world of lanes (lanes_world.h). */
    MKV_FAULT_LANE_SLOW = MKV_FAULT_DRIVE_COUNT,
    MKV_FAULT_LANE_LOSS,
    MKV_FAULT_LANE_RNR,
    MKV_FAULT_LANE_PARTITION,
    MKV_FAULT_LANE_MTU,
    MKV_FAULT_LANE_DEATH,
    MKV_FAULT_LANE_ACCESS,
    MKV_FAULT_LANE_PORT,
    MKV_FAULT_LANE_DEVICE,
    MKV_FAULT_LANE_PAIR,
    MKV_FAULT_LANE_LOCAL,
    MKV_FAULT_LANE_HANG,
    MKV_FAULT_LANE_LATE,
    MKV_FAULT_LANE_LAST_LATE,
    MKV_FAULT_LANE_LAST_MISSING,
    MKV_FAULT_LANE_CLOSE_LOST,
    MKV_FAULT_LANE_STALE,
    MKV_FAULT_LANE_DUPLICATE,
    MKV_FAULT_LANE_WRITE_LATE,
    MKV_FAULT_LANE_PATH,
    MKV_FAULT_LANE_KEY,
    MKV_FAULT_LANE_LANDING,
    MKV_FAULT_COUNT,
    MKV_FAULT_NONE = MKV_FAULT_COUNT,
};
_Static_assert(MKV_FAULT_COUNT <= 64, "a bit for each fault");
_Static_assert(MKV_FAULT_DRIVE_COUNT == MKV_FAULT_TRIM_TIMEOUT + 1, "drives come first");

/* What a run under a fault no longer promises. A run has the union over its faults. */
enum mkv_relaxation {
    MKV_RELAX_NOTHING = 0, /* crash-only: what was acknowledged stays, and no error is reported */
    MKV_RELAX_OUTAGE = 1,  /* the volume may fail; opened again, it has all that was acknowledged */
    MKV_RELAX_MEDIA = 2,   /* what was struck may be missing, and is reported; never wrong */
    MKV_RELAX_LYING = 4,   /* only this is left: no wrong byte, no hang, nothing answered twice */
};

struct mkv_fault_info {
    const char *name;
    const char *description;
    uint32_t one_in; /* operations that it can strike, at its default rate */
    enum mkv_relaxation relaxes;
};
const struct mkv_fault_info *mkv_fault_info(enum mkv_fault fault);
/* The union over a set of faults. */
uint32_t mkv_faults_relax(uint64_t mask);
/* Reads "name,name,...", "none" or "all" into a set. False, with the part that names no fault in
 * `unknown`, when there is one. */
#define MKV_FAULT_NAME_BYTES 32u
bool mkv_faults_parse(const char *text, uint64_t *mask, char unknown[MKV_FAULT_NAME_BYTES]);

/* What a run has of them; part of its shape. */
struct mkv_fault_plan {
    uint64_t mask;
    uint32_t one_in[MKV_FAULT_COUNT];
    bool checkpoints; /* checkpoint pages are struck, too */
    /* A sweep: the one fault that is on strikes the operation with this number, counted from 1
     * among those it can strike, and then once more the one with the second number in the opening
     * that follows; 0 where it does not. Rates are not used. */
    bool scripted;
    uint32_t first_at;
    uint32_t second_at;
};
/* Draws a plan; the most frequent one has no fault beyond slowness and reordering. */
void mkv_fault_plan_draw(struct mkv_fault_plan *plan, struct mkv_random *random);
/* Draws a plan of faults of the fabric alone, in place of what was drawn of drives. */
void mkv_fault_plan_draw_lanes(struct mkv_fault_plan *plan, struct mkv_random *random);
/* The same run with exactly these faults. */
void mkv_fault_plan_set(struct mkv_fault_plan *plan, uint64_t mask);

/* An operation older than this stalls the volume. One that no fault stalls takes less. */
#define MKV_FAULT_STALL_NS 4000000u

/* What is done to one operation. */
struct mkv_fault_act {
    enum mkv_fault fault;
    uint32_t first; /* units of the operation that are struck, from `first` on */
    uint32_t count;
    uint64_t other; /* misdirected: where it goes instead, or comes from */
};

/* Where a unit lies. */
enum mkv_place {
    MKV_PLACE_NONE = 0, /* between regions */
    MKV_PLACE_SUPERBLOCK,
    MKV_PLACE_JOURNAL,
    MKV_PLACE_CHECKPOINT,
    MKV_PLACE_DIRECTORY,
    MKV_PLACE_DATA,
};

/* A condition of the drive that holds from the opening on that it was drawn for. */
enum mkv_fault_opening {
    MKV_OPENING_SOUND = 0,
    MKV_OPENING_SHRUNK,
    MKV_OPENING_SWAPPED,
    MKV_OPENING_OLD_IMAGE,
};

#define MKV_UNIT_DAMAGED 1u    /* it does not hold what was written to it last */
#define MKV_UNIT_UNREADABLE 2u /* reading it is a medium error */

struct mkv_faults {
    struct mkv_fault_plan plan;
    struct mkv_geometry geometry;
    struct mkv_random random;
    uint32_t tear_bytes;
    uint32_t weak_journal;
    uint32_t weak_superblock;
    bool superblock_quiet; /* all its copies are durable and equal, as far as the run knows */
    bool calm;             /* nothing more goes wrong */
    bool gone;
    bool read_only;
    uint64_t end_unit;   /* of the drive as it is now */
    uint8_t *flags;      /* of each unit */
    uint32_t candidates; /* operations that a scripted fault could have struck */
    uint32_t candidates_opening;
    bool opening; /* a recovery follows a first scripted hit */
    bool second_done;
    uint64_t hits[MKV_FAULT_COUNT];
    uint64_t errors;      /* operations that came back as failed, but for want of room */
    uint64_t errors_life; /* since the last opening began */
    uint64_t no_room_life;
    uint64_t stalls_life;
    uint64_t superblock_errors_life;
    uint64_t directory_hits; /* errors and other bytes in its region */
    uint64_t content_hits;   /* that left or gave other bytes than were written */
    bool checkpoint_misread; /* since the last opening began */
    void *context;
    /* Bytes of these units are, or were read, other than written; called before anybody sees. */
    void (*on_struck)(void *context, enum mkv_fault fault, uint64_t unit, uint32_t count);
};

void mkv_faults_init(struct mkv_faults *faults, struct mkv_memory *memory,
                     const struct mkv_fault_plan *plan, const struct mkv_geometry *geometry,
                     uint32_t tear_bytes, const struct mkv_random *random);
static inline bool mkv_faults_has(const struct mkv_faults *faults, enum mkv_fault fault) {
    return (faults->plan.mask >> fault & 1u) != 0;
}

/* Decides about an operation that is handed out; `act->fault` is MKV_FAULT_NONE mostly. */
void mkv_faults_decide(struct mkv_faults *faults, enum mkv_effect_kind kind, uint64_t unit,
                       uint32_t unit_count, struct mkv_fault_act *act);
/* Whether another fault, whose moment the run chooses, strikes at this one. */
bool mkv_faults_strikes(struct mkv_faults *faults, enum mkv_fault fault);
/* Whether these units may be struck (see Reach). */
bool mkv_faults_reaches(const struct mkv_faults *faults, uint64_t unit, uint32_t count);
enum mkv_place mkv_faults_place(const struct mkv_faults *faults, uint64_t unit, uint32_t *copy);
/* A fault has struck: counts it and, where bytes are concerned, tells. */
void mkv_faults_hit(struct mkv_faults *faults, enum mkv_fault fault);
void mkv_faults_hit_bytes(struct mkv_faults *faults, enum mkv_fault fault, uint64_t unit,
                          uint32_t count);
/* The same fault has struck these, too: tells. */
void mkv_faults_struck(struct mkv_faults *faults, enum mkv_fault fault, uint64_t unit,
                       uint32_t count);
/* An operation comes back as failed, by this fault. */
void mkv_faults_error(struct mkv_faults *faults, enum mkv_fault fault, uint64_t unit,
                      uint32_t count);
bool mkv_faults_any_flag(const struct mkv_faults *faults, uint64_t unit, uint32_t count,
                         uint32_t flags);
void mkv_faults_flag(struct mkv_faults *faults, uint64_t unit, uint32_t count, uint32_t flags);
void mkv_faults_unflag(struct mkv_faults *faults, uint64_t unit, uint32_t count);

/* A new process opens the drive, which is back and whole, unless its state is drawn to be another:
 * returns that. */
enum mkv_fault_opening mkv_faults_opening(struct mkv_faults *faults);

/* Whether coming up empty for this reason is explained by what was struck. */
bool mkv_faults_explain_empty(const struct mkv_faults *faults, enum mkv_err err);

#endif
