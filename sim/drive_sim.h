/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated drive: an array of 4 KiB units behind a volatile cache, with operations that complete
 * in an order and after delays that the seed draws, and with crashes after which any subset of what
 * the cache held is left.
 *
 *   unit:   durable page  <-  version  <-  version  <-  version        newest first in the list
 *                             completed    completed    in flight
 *
 *   submit write    a version in flight is put on every unit (its pages are copies)
 *   complete write  its versions count as completed; without a volatile cache they are durable
 *   submit trim     like a write of what units hold behind a trim (profile.discard)
 *   complete flush  of every unit the newest version that was completed when the flush was
 *                   *submitted* becomes durable, and those older are gone
 *   crash           by power: every unit keeps its durable page or any one version, as drawn
 *                   by kill: the cache stays, what was in flight lands now, later, or never
 *
 * Invariants
 *  I1  A read returns the newest completed version, or the durable page where there is none. A
 *      write or a trim never overlaps another operation in flight (O11): nobody could say what it
 *      leaves or reads.
 *  I2  A flush covers exactly the writes that were completed before it was submitted. That a real
 *      one may persist more is part of what a crash draws.
 *  I3  Bytes change in steps of profile.tear_bytes at a crash, and never otherwise.
 *  I4  Pages are copied when written: a crash touches only units that have versions.
 *  I5  image_hash depends on the durable pages alone.
 *  I6  What a killed process left in flight, and what is late of an operation that failed in it,
 *      lands no later than its successor's first flush is submitted. Until then the latter lands
 *      with any flush, also over what was written and flushed since.
 *  I7  What goes wrong beyond crashes was decided by the drive's faults, and is counted there.
 *
 * Not responsible for: what the bytes mean, nor for when the crash comes (worlds), nor for which
 * operation a fault strikes (faults.h).
 */
#ifndef MKV_SIM_DRIVE_SIM_H
#define MKV_SIM_DRIVE_SIM_H

#include <stdio.h>

#include "core/io.h"
#include "sim/faults.h"
#include "sim/guard.h"
#include "sim/memory.h"
#include "sim/random.h"

#define MKV_DRIVE_SIM_IO_MAX 512u
/* Versions that the cache holds at most. */
#define MKV_DRIVE_SIM_VERSIONS_MAX 8192u
/* The largest transfer, in units: a slot of the largest block. */
#define MKV_DRIVE_SIM_TRANSFER_UNITS_MAX (1u + MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES)

/* What units hold after they were trimmed. */
enum mkv_drive_discard {
    MKV_DISCARD_ZEROS = 0,
    MKV_DISCARD_OLD,       /* what they held */
    MKV_DISCARD_PARTIAL,   /* each of them zeros or what it held */
    MKV_DISCARD_ARBITRARY, /* or what any other unit of the drive holds */
};

struct mkv_drive_profile {
    uint32_t capacity_units;
    bool volatile_cache;
    /* MKV_UNIT_BYTES: units are written whole. 512: as sectors are. 64: as the worst of the drives
     * that Zheng and others (2013) cut off, which left shorn writes. A power of two. */
    uint32_t tear_bytes;
    /* Writes of at most so many units are kept whole or not at all; 0: not even those of one. */
    uint32_t atomic_units;
    enum mkv_drive_discard discard;
    /* The longest delays; the shortest is 1 ns. */
    uint32_t read_ns;
    uint32_t write_ns;
    uint32_t flush_ns;
};

enum mkv_crash_kind {
    MKV_CRASH_POWER = 0,
    MKV_CRASH_KILL,
};

/* How a loss of power chooses between the versions of each unit. */
enum mkv_crash_keep {
    MKV_KEEP_NONE = 0,  /* the durable page */
    MKV_KEEP_ALL,       /* the newest version, even in flight */
    MKV_KEEP_BY_WRITE,  /* a write is kept whole or not at all; those in flight may also tear */
    MKV_KEEP_BY_SECTOR, /* each unit takes any one of its versions or its durable page */
};
#define MKV_CRASH_KEEP_COUNT 4u

/* Where effects find memory: offsets count from `arena`, slab s starts at slabs + s * stride. */
struct mkv_drive_memory_map {
    uint8_t *arena;
    size_t arena_bytes;
    uint8_t *slabs;
    size_t slabs_bytes;
    size_t slab_stride;
};

/* What a completion says beside the input for the volume. */
struct mkv_drive_sim_done {
    enum mkv_effect_kind kind;
    uint32_t token; /* as given at submit */
    struct mkv_drive_done done;
};

struct mkv_drive_sim;

/* `guard` belongs to the caller and may be shared with others that use the same memory. The drive
 * is all zeros. */
struct mkv_drive_sim *mkv_drive_sim_create(struct mkv_memory *memory,
                                           const struct mkv_drive_profile *profile,
                                           const struct mkv_random *random,
                                           struct mkv_guard *guard);
/* What goes wrong with this drive; without, nothing does, and operations are neither slow nor out
 * of order. Before the first operation. Takes room for an older page of every unit where reads may
 * be stale, and for a copy of the drive where an old image may come back. */
void mkv_drive_sim_set_faults(struct mkv_drive_sim *drive, struct mkv_memory *memory,
                              struct mkv_faults *faults);
/* The machine's memory for the operations from now on. */
void mkv_drive_sim_attach(struct mkv_drive_sim *drive, const struct mkv_drive_memory_map *map);

/* Takes a DRIVE_READ, DRIVE_WRITE, DRIVE_FLUSH or DRIVE_TRIM. Fails the run when it overlaps (O11,
 * I1) or names memory in use (O16). */
void mkv_drive_sim_submit(struct mkv_drive_sim *drive, const struct mkv_effect *effect,
                          uint32_t token, uint64_t now_ns);
uint32_t mkv_drive_sim_in_flight(const struct mkv_drive_sim *drive);
/* When the next completion is due; UINT64_MAX when nothing is in flight. */
uint64_t mkv_drive_sim_due_ns(const struct mkv_drive_sim *drive);
/* Completes what is due first. The pointers in `done` are good until the next call. */
void mkv_drive_sim_complete(struct mkv_drive_sim *drive, struct mkv_drive_sim_done *done);

/* A line for each operation in flight and each unit whose content is not durable: the versions of
 * it that a crash chooses from, newest first. */
void mkv_drive_sim_print_pending(const struct mkv_drive_sim *drive, FILE *log);
/* The ends that a crash can have, where units are written whole. By power: every unit with versions
 * has any one content of them, or its durable one; each such image counts once. By kill: every
 * version in flight lands at once, lands when the next process flushes first, or never. Of more
 * than MKV_DRIVE_SIM_ENDS_MAX by power, or by kill, so many are listed, at equal distances. End 0
 * is that nothing is kept. */
#define MKV_DRIVE_SIM_ENDS_MAX 1024u
struct mkv_drive_ends {
    uint64_t power; /* at most 2^32 is said */
    uint64_t kill;
    uint32_t count;
    struct mkv_drive_end {
        uint64_t end;        /* those by kill have numbers from `power` on */
        uint64_t state_hash; /* that the drive has behind it */
    } items[2 * MKV_DRIVE_SIM_ENDS_MAX];
};
/* The next crash has the end of this number, whatever it is told, and lists all that it could have
 * had in `ends`, unless that is NULL. Behind the last end comes the first again. */
void mkv_drive_sim_choose_end(struct mkv_drive_sim *drive, uint64_t end,
                              struct mkv_drive_ends *ends);
/* A hash of the durable units and of all versions: drives of equal hashes go on in the same way. */
uint64_t mkv_drive_sim_state_hash(struct mkv_drive_sim *drive);
/* The process is gone: forgets every operation, and does to the versions what the kind says. */
void mkv_drive_sim_crash(struct mkv_drive_sim *drive, enum mkv_crash_kind kind,
                         enum mkv_crash_keep keep);

/* What a read of the unit would return now, in-flight writes left out. */
const uint8_t *mkv_drive_sim_unit(const struct mkv_drive_sim *drive, uint64_t unit);
const uint8_t *mkv_drive_sim_durable_unit(const struct mkv_drive_sim *drive, uint64_t unit);
/* The XXH3-64 of what mkv_drive_sim_unit returns. */
uint64_t mkv_drive_sim_unit_hash(const struct mkv_drive_sim *drive, uint64_t unit);
/* A hash of the durable units; computes what those add that changed since the last call. */
uint64_t mkv_drive_sim_image_hash(struct mkv_drive_sim *drive);
/* Units that have versions. */
uint32_t mkv_drive_sim_dirty_count(const struct mkv_drive_sim *drive);
/* Hash of the first bytes of each unit that the last submitted write carried, for traces. */
uint64_t mkv_drive_sim_last_write_hash(const struct mkv_drive_sim *drive);
/* Copies what is durable aside, and puts it back in the place of all there is. Between a crash by
 * power and the next opening, of a drive whose faults have the old image. */
void mkv_drive_sim_keep_image(struct mkv_drive_sim *drive);
bool mkv_drive_sim_put_image_back(struct mkv_drive_sim *drive);
/* Flips one bit of the durable page and of every version of the unit. */
void mkv_drive_sim_rot(struct mkv_drive_sim *drive, uint64_t unit, uint32_t bit);

#endif
