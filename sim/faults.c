/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/faults.h"

#include <string.h>

#define BIT(fault) (1ull << (fault))

/* Of the runs drawn, one in this many: lies; has faults at all but slowness and reordering. */
#define LYING_ONE_IN 24u
#define FAULTY_ONE_IN 2u
/* One run in this many with faults has each fault of its kind on. */
#define ON_ONE_IN 3u
#define CHECKPOINTS_ONE_IN 4u
/* One run of lanes in this many has no fault of the fabric. */
#define LANES_SOUND_ONE_IN 8u
/* Rates are drawn as the default times one of 1, 4, 16. */
#define RATE_STEPS 3u
/* Where a transfer goes astray to: so many tries to find units that it may strike. */
#define ASTRAY_TRIES 4u

static const struct mkv_fault_info infos[MKV_FAULT_COUNT] = {
    [MKV_FAULT_SLOW] = {"slow", "an operation takes ten times as long", 64, MKV_RELAX_NOTHING},
    [MKV_FAULT_REORDERING] = {"reordering", "operations complete in any order", 1,
                              MKV_RELAX_NOTHING},
    [MKV_FAULT_STALLED] = {"stalled", "an operation takes up to 40 ms, then completes", 512,
                           MKV_RELAX_NOTHING},
    [MKV_FAULT_FLUSH_ERROR] =
        {"flush-error",
         "a flush fails; of what it was to cover, some is durable, some still "
         "in the cache, some lost",
         64, MKV_RELAX_OUTAGE},
    [MKV_FAULT_LYING_FLUSH] = {"lying-flush",
                               "a flush reports success and has made nothing durable", 8,
                               MKV_RELAX_LYING},
    [MKV_FAULT_READ_MEDIUM] = {"read-medium",
                               "a unit cannot be read any more until it is written again", 64,
                               MKV_RELAX_MEDIA},
    [MKV_FAULT_READ_DEVICE] = {"read-device", "a read fails, and works when it is tried again", 128,
                               MKV_RELAX_OUTAGE},
    [MKV_FAULT_MISDIRECTED_READ] = {"misdirected-read", "a read brings the bytes of other units",
                                    64, MKV_RELAX_MEDIA},
    [MKV_FAULT_STALE_READ] = {"stale-read", "a read brings what was durable there before", 64,
                              MKV_RELAX_MEDIA},
    [MKV_FAULT_ROT] = {"rot", "a bit of a block, of a metadata copy or of a checkpoint page flips",
                       2, MKV_RELAX_MEDIA},
    [MKV_FAULT_ROT_PAIR] =
        {"rot-pair", "both copies of a journal block rot, which a later one says was flushed", 8,
         MKV_RELAX_MEDIA},
    [MKV_FAULT_READ_PAIR] = {"read-pair",
                             "both copies of a durable journal block cannot be read any more", 8,
                             MKV_RELAX_MEDIA},
    [MKV_FAULT_WRITE_MEDIUM] = {"write-medium", "a write fails at a unit that takes none", 128,
                                MKV_RELAX_OUTAGE},
    [MKV_FAULT_WRITE_DEVICE] = {"write-device",
                                "a write fails; its units arrive now, later or never", 128,
                                MKV_RELAX_OUTAGE},
    [MKV_FAULT_NO_ROOM] = {"no-room",
                           "a write of a block fails as the file system under it is full", 128,
                           MKV_RELAX_NOTHING},
    [MKV_FAULT_SHORT_WRITE] = {"short-write", "a write stops part of the way and says so", 128,
                               MKV_RELAX_OUTAGE},
    [MKV_FAULT_MISDIRECTED_WRITE] = {"misdirected-write",
                                     "a write reports success and has gone to other units", 64,
                                     MKV_RELAX_MEDIA},
    [MKV_FAULT_LOST_WRITE] = {"lost-write",
                              "a write reports success, and some of its units have not changed", 64,
                              MKV_RELAX_MEDIA},
    [MKV_FAULT_GONE] = {"gone", "the drive is gone from a moment on, and back for the next process",
                        1024, MKV_RELAX_OUTAGE},
    [MKV_FAULT_READ_ONLY] = {"read-only", "every write fails until the next process", 1024,
                             MKV_RELAX_OUTAGE},
    [MKV_FAULT_SHRUNK] = {"shrunk", "the drive has fewer units than it was formatted with", 16,
                          MKV_RELAX_OUTAGE},
    [MKV_FAULT_SWAPPED] = {"swapped", "another drive of the same store is in its place", 16,
                           MKV_RELAX_OUTAGE},
    [MKV_FAULT_OLD_IMAGE] = {"old-image",
                             "the drive is as it was some crashes ago, like a restored "
                             "backup",
                             16, MKV_RELAX_LYING},
    [MKV_FAULT_TRIM_ERROR] = {"trim-error", "a trim fails, and has done any part of its work", 4,
                              MKV_RELAX_OUTAGE},
    [MKV_FAULT_TRIM_IGNORED] = {"trim-ignored", "a trim changes nothing", 4, MKV_RELAX_NOTHING},
    [MKV_FAULT_TRIM_PARTIAL] = {"trim-partial", "a trim turns some of its units into zeros", 4,
                                MKV_RELAX_NOTHING},
    [MKV_FAULT_TRIM_ARBITRARY] = {"trim-arbitrary",
                                  "units that were trimmed hold what others did, or zeros", 4,
                                  MKV_RELAX_NOTHING},
    [MKV_FAULT_TIMEOUT] = {"timeout",
                           "a read, write or flush is given up after its time; what a write "
                           "brings arrives now, later or never",
                           256, MKV_RELAX_OUTAGE},
    [MKV_FAULT_TRIM_TIMEOUT] = {"trim-timeout",
                                "a trim is given up; what it changes arrives now, later or never",
                                4, MKV_RELAX_OUTAGE},
    [MKV_FAULT_LANE_SLOW] = {"lane-slow", "a packet or an answer to it takes up to 2 ms", 16,
                             MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_LOSS] = {"lane-loss", "a packet is lost, and sent again after its time", 32,
                             MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_RNR] = {"lane-rnr", "a node takes no message for a while, and says so", 64,
                            MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_PARTITION] = {"lane-partition",
                                  "nothing gets from a client to the server or back for a while",
                                  96, MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_MTU] = {"lane-mtu",
                            "packets of the full MTU vanish one way for a while; smaller ones pass",
                            24, MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_DEATH] = {"lane-death", "a process dies, and another one starts in its place",
                              192, MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_ACCESS] =
        {"lane-access", "a request names memory that its key does not cover, or a revoked key", 48,
         MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_PORT] = {"lane-port-down", "a port goes down, and comes back after a while",
                             192, MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_DEVICE] =
        {"lane-device",
         "a device fails: its queue pairs are in error, and it is back after a while", 256,
         MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_PAIR] = {"lane-pair-error", "a queue pair fails by itself, with an event", 256,
                             MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_LOCAL] = {"lane-local-error", "a work request fails at its own side", 256,
                              MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_HANG] = {"lane-hang", "a queue pair completes nothing more", 256,
                             MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_LATE] = {"lane-late", "completions are handed out late, and many at a time", 32,
                             MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_LAST_LATE] = {"lane-last-late", "the event of the last receive comes late", 4,
                                  MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_LAST_MISSING] = {"lane-last-missing",
                                     "the event of the last receive never comes", 4,
                                     MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_CLOSE_LOST] = {"lane-close-lost",
                                   "the end of a connection is told when it is long over", 4,
                                   MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_STALE] =
        {"lane-stale", "a message of an earlier queue pair of this number arrives in place of one",
         8, MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_DUPLICATE] = {"lane-duplicate", "a message arrives twice", 128,
                                  MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_WRITE_LATE] =
        {"lane-write-late",
         "a packet of a WRITE arrives again when its queue pair's number is another one's", 4,
         MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_PATH] = {"lane-path",
                             "queue pairs go over to another path; full packets may vanish on it",
                             96, MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_KEY] = {"lane-key-revoked",
                            "a client revokes the key of its memory, and has another one", 96,
                            MKV_RELAX_NOTHING},
    [MKV_FAULT_LANE_LANDING] = {"lane-landing",
                                "a packet of a WRITE lands when its queue pair is in error already",
                                1, MKV_RELAX_NOTHING},
};

const struct mkv_fault_info *mkv_fault_info(enum mkv_fault fault) {
    MKV_ASSERT(fault < MKV_FAULT_COUNT);
    return &infos[fault];
}

uint32_t mkv_faults_relax(uint64_t mask) {
    uint32_t relaxes = MKV_RELAX_NOTHING;
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        relaxes |= (mask >> fault & 1u) != 0 ? (uint32_t)infos[fault].relaxes : 0;
    }
    return relaxes;
}

#define ALL_FAULTS ((1ull << MKV_FAULT_COUNT) - 1)

bool mkv_faults_parse(const char *text, uint64_t *mask, char unknown[MKV_FAULT_NAME_BYTES]) {
    *mask = 0;
    if (strcmp(text, "none") == 0 || strcmp(text, "all") == 0) {
        *mask = text[0] == 'a' ? ALL_FAULTS : 0;
        return true;
    }
    while (true) {
        const size_t length = strcspn(text, ",");
        uint32_t fault = 0;
        while (fault < MKV_FAULT_COUNT && (strlen(infos[fault].name) != length ||
                                           memcmp(infos[fault].name, text, length) != 0)) {
            fault++;
        }
        if (fault == MKV_FAULT_COUNT) {
            const size_t shown = mkv_min_u64(length, MKV_FAULT_NAME_BYTES - 1);
            memcpy(unknown, text, shown);
            unknown[shown] = 0;
            return false;
        }
        *mask |= BIT(fault);
        if (text[length] == 0) {
            return true;
        }
        text += length + 1;
    }
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* Faults behind these are drawn by a generator of their own, so that seeds keep their meaning. */
#define FAULTS_DRAWN_FIRST MKV_FAULT_TIMEOUT
#define LANES_DRAWN_FIRST MKV_FAULT_LANE_WRITE_LATE

static void draw_rates(struct mkv_fault_plan *plan, struct mkv_random *random,
                       struct mkv_random *random_of_later) {
    for (uint32_t fault = 0; fault < MKV_FAULT_DRIVE_COUNT; fault++) {
        struct mkv_random *draws = fault < FAULTS_DRAWN_FIRST ? random : random_of_later;
        plan->one_in[fault] = infos[fault].one_in << (2 * mkv_random_below(draws, RATE_STEPS));
    }
    plan->one_in[MKV_FAULT_REORDERING] = infos[MKV_FAULT_REORDERING].one_in;
}

void mkv_fault_plan_draw(struct mkv_fault_plan *plan, struct mkv_random *random) {
    struct mkv_random random_of_later = *random;
    mkv_random_seed(&random_of_later, mkv_random_next(&random_of_later), MKV_CONCERN_FAULTS);
    *plan = (struct mkv_fault_plan){0};
    draw_rates(plan, random, &random_of_later);
    plan->checkpoints = mkv_random_chance(random, 1, CHECKPOINTS_ONE_IN);
    /* Which kinds a run has is drawn before which faults of them, so that each kind is often met
     * without the others. */
    uint32_t kinds = 0;
    if (mkv_random_chance(random, 1, FAULTY_ONE_IN)) {
        kinds = 1 + mkv_random_below(random, 3); /* OUTAGE, MEDIA or both */
        kinds |= mkv_random_chance(random, 1, LYING_ONE_IN / FAULTY_ONE_IN) ? MKV_RELAX_LYING : 0;
    }
    for (uint32_t fault = 0; fault < MKV_FAULT_DRIVE_COUNT; fault++) {
        struct mkv_random *draws = fault < FAULTS_DRAWN_FIRST ? random : &random_of_later;
        const bool on = mkv_random_chance(draws, 1, ON_ONE_IN);
        const bool often = mkv_random_chance(draws, 3, 4);
        const uint32_t relaxes = infos[fault].relaxes;
        const bool usual = fault == MKV_FAULT_REORDERING || fault == MKV_FAULT_SLOW;
        if (usual ? often : on && (relaxes == MKV_RELAX_NOTHING || (relaxes & kinds) != 0)) {
            plan->mask |= BIT(fault);
        }
    }
}

void mkv_fault_plan_draw_lanes(struct mkv_fault_plan *plan, struct mkv_random *random) {
    struct mkv_random random_of_later = *random;
    mkv_random_seed(&random_of_later, mkv_random_next(&random_of_later), MKV_CONCERN_FAULTS);
    *plan = (struct mkv_fault_plan){0};
    const bool any = !mkv_random_chance(random, 1, LANES_SOUND_ONE_IN);
    for (uint32_t fault = MKV_FAULT_DRIVE_COUNT; fault < MKV_FAULT_COUNT; fault++) {
        struct mkv_random *draws = fault < LANES_DRAWN_FIRST ? random : &random_of_later;
        const bool on = mkv_random_chance(draws, 1, ON_ONE_IN);
        plan->one_in[fault] = infos[fault].one_in << (2 * mkv_random_below(draws, RATE_STEPS));
        plan->mask |= any && on ? BIT(fault) : 0;
    }
}

void mkv_fault_plan_set(struct mkv_fault_plan *plan, uint64_t mask) {
    plan->mask = mask;
    /* What no seed of this world draws has no rate yet. */
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        plan->one_in[fault] = plan->one_in[fault] > 0 ? plan->one_in[fault] : infos[fault].one_in;
    }
}

/* ---- one drive ------------------------------------------------------------------------------- */

void mkv_faults_init(struct mkv_faults *faults, struct mkv_memory *memory,
                     const struct mkv_fault_plan *plan, const struct mkv_geometry *geometry,
                     uint32_t tear_bytes, const struct mkv_random *random) {
    *faults = (struct mkv_faults){.plan = *plan, .geometry = *geometry, .random = *random};
    faults->tear_bytes = tear_bytes;
    faults->weak_journal = mkv_random_below(&faults->random, MKV_JOURNAL_COPIES);
    faults->weak_superblock = mkv_random_below(&faults->random, MKV_SUPERBLOCK_COPIES);
    faults->end_unit = geometry->capacity_units;
    faults->flags = mkv_memory_take(memory, geometry->capacity_units, 64);
    memset(faults->flags, 0, geometry->capacity_units);
}

enum mkv_place mkv_faults_place(const struct mkv_faults *faults, uint64_t unit, uint32_t *copy) {
    const struct mkv_geometry *geometry = &faults->geometry;
    for (*copy = 0; *copy < MKV_SUPERBLOCK_COPIES; ++*copy) {
        if (unit == mkv_geometry_superblock(geometry->capacity_units, *copy).unit) {
            return MKV_PLACE_SUPERBLOCK;
        }
    }
    for (*copy = 0; *copy < MKV_JOURNAL_COPIES; ++*copy) {
        const uint64_t start = mkv_geometry_journal(geometry, *copy, 0).unit;
        if (unit >= start && unit < start + geometry->ring_blocks) {
            return MKV_PLACE_JOURNAL;
        }
    }
    for (*copy = 0; *copy < MKV_CHECKPOINT_SIDES; ++*copy) {
        const uint64_t start = mkv_geometry_checkpoint(geometry, *copy).unit;
        if (unit >= start && unit <= start + geometry->tenant_units + geometry->page_count) {
            return MKV_PLACE_CHECKPOINT;
        }
    }
    *copy = 0;
    const uint64_t directory = mkv_geometry_directory(geometry).unit;
    if (unit >= directory && unit < directory + geometry->directory_units) {
        return MKV_PLACE_DIRECTORY;
    }
    const uint64_t data = mkv_geometry_data_start(geometry).unit;
    return unit >= data && unit < data + mkv_geometry_usable_units(geometry) ? MKV_PLACE_DATA
                                                                             : MKV_PLACE_NONE;
}

static bool reaches_unit(const struct mkv_faults *faults, uint64_t unit) {
    uint32_t copy = 0;
    switch (mkv_faults_place(faults, unit, &copy)) {
    case MKV_PLACE_SUPERBLOCK:
        return copy == faults->weak_superblock &&
               (faults->tear_bytes >= 512 || faults->superblock_quiet); /* I2 */
    case MKV_PLACE_JOURNAL:
        return copy == faults->weak_journal;
    case MKV_PLACE_CHECKPOINT:
        return faults->plan.checkpoints;
    case MKV_PLACE_DIRECTORY:
    case MKV_PLACE_DATA:
    case MKV_PLACE_NONE:
        return true;
    }
    MKV_ASSERT(false);
    return false;
}

bool mkv_faults_reaches(const struct mkv_faults *faults, uint64_t unit, uint32_t count) {
    if (unit + count > faults->geometry.capacity_units) {
        return false;
    }
    for (uint32_t index = 0; index < count; index++) {
        if (!reaches_unit(faults, unit + index)) {
            return false;
        }
    }
    return true;
}

void mkv_faults_hit(struct mkv_faults *faults, enum mkv_fault fault) {
    MKV_ASSERT(mkv_faults_has(faults, fault)); /* I1 */
    faults->hits[fault]++;
}

void mkv_faults_struck(struct mkv_faults *faults, enum mkv_fault fault, uint64_t unit,
                       uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        uint32_t copy = 0;
        const enum mkv_place place = mkv_faults_place(faults, unit + index, &copy);
        faults->checkpoint_misread |= place == MKV_PLACE_CHECKPOINT;
        faults->directory_hits += place == MKV_PLACE_DIRECTORY;
    }
    if (faults->on_struck != NULL) {
        faults->on_struck(faults->context, fault, unit, count);
    }
}

void mkv_faults_hit_bytes(struct mkv_faults *faults, enum mkv_fault fault, uint64_t unit,
                          uint32_t count) {
    mkv_faults_hit(faults, fault);
    faults->content_hits++;
    mkv_faults_struck(faults, fault, unit, count);
}

void mkv_faults_error(struct mkv_faults *faults, enum mkv_fault fault, uint64_t unit,
                      uint32_t count) {
    uint32_t copy = 0;
    if (fault == MKV_FAULT_NO_ROOM) {
        faults->no_room_life++;
        return;
    }
    faults->errors++;
    faults->errors_life++;
    const enum mkv_place place =
        count == 1 ? mkv_faults_place(faults, unit, &copy) : MKV_PLACE_NONE;
    faults->superblock_errors_life += place == MKV_PLACE_SUPERBLOCK;
    faults->directory_hits += place == MKV_PLACE_DIRECTORY;
}

bool mkv_faults_any_flag(const struct mkv_faults *faults, uint64_t unit, uint32_t count,
                         uint32_t flags) {
    for (uint32_t index = 0; index < count; index++) {
        if ((faults->flags[unit + index] & flags) != 0) {
            return true;
        }
    }
    return false;
}

void mkv_faults_flag(struct mkv_faults *faults, uint64_t unit, uint32_t count, uint32_t flags) {
    for (uint32_t index = 0; index < count; index++) {
        faults->flags[unit + index] |= (uint8_t)flags;
    }
}

void mkv_faults_unflag(struct mkv_faults *faults, uint64_t unit, uint32_t count) {
    memset(faults->flags + unit, 0, count);
}

/* ---- decisions ------------------------------------------------------------------------------- */

bool mkv_faults_strikes(struct mkv_faults *faults, enum mkv_fault fault) {
    if (!mkv_faults_has(faults, fault) || faults->calm) {
        return false;
    }
    if (!faults->plan.scripted) {
        return mkv_random_chance(&faults->random, 1, faults->plan.one_in[fault]);
    }
    faults->candidates++;
    if (faults->candidates == faults->plan.first_at) {
        return true;
    }
    if (!faults->opening || faults->second_done) {
        return false;
    }
    faults->candidates_opening++;
    faults->second_done = faults->candidates_opening == faults->plan.second_at;
    return faults->second_done;
}

/* Where a transfer of so many units goes astray to, or MKV_NONE_U32. Half of it stays among the
 * metadata, which is a small part of the drive. */
static uint64_t astray(struct mkv_faults *faults, uint64_t unit, uint32_t count) {
    const uint32_t capacity = (uint32_t)faults->geometry.capacity_units;
    const uint32_t data = (uint32_t)mkv_geometry_data_start(&faults->geometry).unit;
    for (uint32_t turn = 0; turn < ASTRAY_TRIES; turn++) {
        const bool metadata = mkv_random_chance(&faults->random, 1, 2);
        const uint64_t other = mkv_random_below(&faults->random, metadata ? data : capacity);
        const bool apart = other + count <= unit || unit + count <= other;
        if (apart && mkv_faults_reaches(faults, other, count)) {
            return other;
        }
    }
    return MKV_NONE_U32;
}

/* Whether the fault can strike the operation at all; says which units of it. */
static bool can_strike(struct mkv_faults *faults, enum mkv_fault fault, uint64_t unit,
                       uint32_t count, struct mkv_fault_act *act) {
    uint32_t copy = 0;
    act->first = 0;
    act->count = count;
    switch (fault) {
    case MKV_FAULT_READ_MEDIUM:
        act->first = mkv_random_below(&faults->random, count);
        act->count = 1;
        return mkv_faults_reaches(faults, unit + act->first, 1);
    case MKV_FAULT_STALE_READ:
    case MKV_FAULT_LOST_WRITE:
        act->first = mkv_random_below(&faults->random, count);
        act->count = mkv_random_between(&faults->random, 1, count - act->first);
        return mkv_faults_reaches(faults, unit + act->first, act->count);
    case MKV_FAULT_MISDIRECTED_READ:
        /* Any units may be read in place of others. */
        if (count >= faults->geometry.capacity_units || !mkv_faults_reaches(faults, unit, count)) {
            return false;
        }
        act->other = mkv_random_below(&faults->random,
                                      (uint32_t)(faults->geometry.capacity_units - count + 1));
        return act->other != unit;
    case MKV_FAULT_MISDIRECTED_WRITE:
        if (!mkv_faults_reaches(faults, unit, count)) {
            return false;
        }
        act->other = astray(faults, unit, count);
        return act->other != MKV_NONE_U32;
    case MKV_FAULT_NO_ROOM:
        /* All else has its room from the start. */
        return mkv_faults_place(faults, unit, &copy) == MKV_PLACE_DATA;
    case MKV_FAULT_SHORT_WRITE:
    case MKV_FAULT_WRITE_MEDIUM:
        act->first = mkv_random_below(&faults->random, count);
        act->count = 1;
        return true;
    case MKV_FAULT_SLOW:
    case MKV_FAULT_REORDERING:
    case MKV_FAULT_STALLED:
    case MKV_FAULT_FLUSH_ERROR:
    case MKV_FAULT_LYING_FLUSH:
    case MKV_FAULT_READ_DEVICE:
    case MKV_FAULT_ROT:
    case MKV_FAULT_ROT_PAIR:
    case MKV_FAULT_READ_PAIR:
    case MKV_FAULT_WRITE_DEVICE:
    case MKV_FAULT_GONE:
    case MKV_FAULT_READ_ONLY:
    case MKV_FAULT_SHRUNK:
    case MKV_FAULT_SWAPPED:
    case MKV_FAULT_OLD_IMAGE:
    case MKV_FAULT_TRIM_ERROR:
    case MKV_FAULT_TRIM_IGNORED:
    case MKV_FAULT_TRIM_PARTIAL:
    case MKV_FAULT_TRIM_ARBITRARY:
    case MKV_FAULT_TIMEOUT:
    case MKV_FAULT_TRIM_TIMEOUT:
    case MKV_FAULT_LANE_SLOW:
    case MKV_FAULT_LANE_LOSS:
    case MKV_FAULT_LANE_RNR:
    case MKV_FAULT_LANE_PARTITION:
    case MKV_FAULT_LANE_MTU:
    case MKV_FAULT_LANE_DEATH:
    case MKV_FAULT_LANE_ACCESS:
    case MKV_FAULT_LANE_PORT:
    case MKV_FAULT_LANE_DEVICE:
    case MKV_FAULT_LANE_PAIR:
    case MKV_FAULT_LANE_LOCAL:
    case MKV_FAULT_LANE_HANG:
    case MKV_FAULT_LANE_LATE:
    case MKV_FAULT_LANE_LAST_LATE:
    case MKV_FAULT_LANE_LAST_MISSING:
    case MKV_FAULT_LANE_CLOSE_LOST:
    case MKV_FAULT_LANE_STALE:
    case MKV_FAULT_LANE_DUPLICATE:
    case MKV_FAULT_LANE_WRITE_LATE:
    case MKV_FAULT_LANE_PATH:
    case MKV_FAULT_LANE_KEY:
    case MKV_FAULT_LANE_LANDING:
    case MKV_FAULT_COUNT:
        return true;
    }
    MKV_ASSERT(false);
    return false;
}

#define OF_ANY (BIT(MKV_FAULT_STALLED) | BIT(MKV_FAULT_GONE))
#define OF_READS                                                                                   \
    (OF_ANY | BIT(MKV_FAULT_TIMEOUT) | BIT(MKV_FAULT_READ_MEDIUM) | BIT(MKV_FAULT_READ_DEVICE) |   \
     BIT(MKV_FAULT_MISDIRECTED_READ) | BIT(MKV_FAULT_STALE_READ))
#define OF_WRITES                                                                                  \
    (OF_ANY | BIT(MKV_FAULT_TIMEOUT) | BIT(MKV_FAULT_WRITE_MEDIUM) | BIT(MKV_FAULT_WRITE_DEVICE) | \
     BIT(MKV_FAULT_NO_ROOM) | BIT(MKV_FAULT_SHORT_WRITE) | BIT(MKV_FAULT_MISDIRECTED_WRITE) |      \
     BIT(MKV_FAULT_LOST_WRITE) | BIT(MKV_FAULT_READ_ONLY))
#define OF_TRIMS                                                                                   \
    (OF_ANY | BIT(MKV_FAULT_TRIM_TIMEOUT) | BIT(MKV_FAULT_TRIM_ERROR) |                            \
     BIT(MKV_FAULT_TRIM_IGNORED) | BIT(MKV_FAULT_TRIM_PARTIAL) | BIT(MKV_FAULT_TRIM_ARBITRARY))
#define OF_FLUSHES                                                                                 \
    (OF_ANY | BIT(MKV_FAULT_TIMEOUT) | BIT(MKV_FAULT_FLUSH_ERROR) | BIT(MKV_FAULT_LYING_FLUSH))

/* What the state of the drive does to the operation, or MKV_FAULT_NONE. */
static enum mkv_fault state_strikes(const struct mkv_faults *faults, enum mkv_effect_kind kind,
                                    uint64_t unit, uint32_t count) {
    if (faults->gone) {
        return MKV_FAULT_GONE;
    }
    if (faults->read_only && (kind == MKV_EFFECT_DRIVE_WRITE || kind == MKV_EFFECT_DRIVE_TRIM)) {
        return MKV_FAULT_READ_ONLY;
    }
    return unit + count > faults->end_unit ? MKV_FAULT_SHRUNK : MKV_FAULT_NONE;
}

void mkv_faults_decide(struct mkv_faults *faults, enum mkv_effect_kind kind, uint64_t unit,
                       uint32_t unit_count, struct mkv_fault_act *act) {
    *act = (struct mkv_fault_act){.fault = state_strikes(faults, kind, unit, unit_count)};
    uint64_t left = kind == MKV_EFFECT_DRIVE_READ    ? OF_READS
                    : kind == MKV_EFFECT_DRIVE_WRITE ? OF_WRITES
                    : kind == MKV_EFFECT_DRIVE_TRIM  ? OF_TRIMS
                                                     : OF_FLUSHES;
    left &= faults->plan.mask;
    if (act->fault != MKV_FAULT_NONE || left == 0 || faults->calm) {
        return;
    }
    for (uint32_t fault = 0; left != 0; fault++, left >>= 1) {
        struct mkv_fault_act wanted = {.fault = (enum mkv_fault)fault};
        if ((left & 1u) != 0 && can_strike(faults, wanted.fault, unit, unit_count, &wanted) &&
            mkv_faults_strikes(faults, wanted.fault)) {
            *act = wanted;
            faults->gone = faults->gone || wanted.fault == MKV_FAULT_GONE;
            faults->read_only = faults->read_only || wanted.fault == MKV_FAULT_READ_ONLY;
            return;
        }
    }
}

enum mkv_fault_opening mkv_faults_opening(struct mkv_faults *faults) {
    faults->gone = false;
    faults->read_only = false;
    faults->end_unit = faults->geometry.capacity_units;
    faults->errors_life = 0;
    faults->no_room_life = 0;
    faults->stalls_life = 0;
    faults->superblock_errors_life = 0;
    faults->checkpoint_misread = false;
    faults->superblock_quiet = false;
    faults->opening = faults->plan.scripted && faults->candidates >= faults->plan.first_at;
    static const struct {
        enum mkv_fault fault;
        enum mkv_fault_opening opening;
    } conditions[] = {
        {MKV_FAULT_SHRUNK, MKV_OPENING_SHRUNK},
        {MKV_FAULT_SWAPPED, MKV_OPENING_SWAPPED},
        {MKV_FAULT_OLD_IMAGE, MKV_OPENING_OLD_IMAGE},
    };
    for (uint32_t index = 0; index < sizeof conditions / sizeof conditions[0]; index++) {
        if (mkv_faults_strikes(faults, conditions[index].fault)) {
            if (conditions[index].fault == MKV_FAULT_SHRUNK) {
                const uint32_t lost =
                    1 + mkv_random_below(&faults->random, 2 * MKV_SUPERBLOCK_SPACING_UNITS);
                faults->end_unit -= lost;
            }
            mkv_faults_hit(faults, conditions[index].fault);
            return conditions[index].opening;
        }
    }
    return MKV_OPENING_SOUND;
}

bool mkv_faults_explain_empty(const struct mkv_faults *faults, enum mkv_err err) {
    if (err != MKV_CORRUPT_CHECKPOINT_PAGE && err != MKV_CORRUPT_JOURNAL_BLOCK) {
        return false;
    }
    if (err == MKV_CORRUPT_CHECKPOINT_PAGE && faults->checkpoint_misread) {
        return true;
    }
    /* Of a journal block two copies are gone by a medium error, or by rot that struck both. */
    const bool checkpoint = err == MKV_CORRUPT_CHECKPOINT_PAGE;
    const uint32_t flags = checkpoint ? MKV_UNIT_DAMAGED : MKV_UNIT_UNREADABLE;
    const enum mkv_place wanted = checkpoint ? MKV_PLACE_CHECKPOINT : MKV_PLACE_JOURNAL;
    for (uint64_t unit = 0; unit < faults->geometry.capacity_units; unit++) {
        uint32_t copy = 0;
        if ((faults->flags[unit] & flags) != 0 && mkv_faults_place(faults, unit, &copy) == wanted) {
            return true;
        }
        const bool strong = mkv_faults_place(faults, unit, &copy) == MKV_PLACE_JOURNAL &&
                            copy != faults->weak_journal;
        if (!checkpoint && strong && (faults->flags[unit] & MKV_UNIT_DAMAGED) != 0) {
            return true; /* only rot of a pair strikes the strong copy */
        }
    }
    return false;
}
