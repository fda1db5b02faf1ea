/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crashes whose end somebody chooses: all ends that there are, as numbers. The digits of a number
 * belong to the units with versions, or for a kill to the versions in flight, in the order of the
 * list of dirty units.
 */
#include "sim/drive_sim_internal.h"

#define ENDS_SAID_MAX (1ull << 32)
#define FATES 3u
#define FATE_NOW 0u
#define FATE_LATER 1u
#define FATE_NEVER 2u

/* What the content would add to the hash of the image: equal where it is. Of versions it is known
 * behind hash_versions. */
static uint64_t content_part(const struct mkv_drive_sim *drive, uint32_t unit, uint32_t version) {
    return version == MKV_NONE_U32 ? drive->sectors[unit].image_part
                                   : drive->versions[version].image_part;
}

static void hash_versions(struct mkv_drive_sim *drive) {
    (void)mkv_drive_sim_image_hash(drive); /* no part is stale */
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        const uint32_t unit = drive->dirty[index];
        for (uint32_t version = drive->sectors[unit].newest; version != MKV_NONE_U32;
             version = drive->versions[version].next) {
            struct version *state = &drive->versions[version];
            state->image_part = mkv_drive_image_part(drive, unit, state->page);
        }
    }
}

/* Whether an older version of the unit, or what is durable, has the same content. */
static bool is_repeated(const struct mkv_drive_sim *drive, uint32_t unit, uint32_t version) {
    const uint64_t part = content_part(drive, unit, version);
    uint32_t other = drive->versions[version].next;
    while (other != MKV_NONE_U32 && content_part(drive, unit, other) != part) {
        other = drive->versions[other].next;
    }
    return other != MKV_NONE_U32 || content_part(drive, unit, MKV_NONE_U32) == part;
}

static uint32_t content_count(const struct mkv_drive_sim *drive, uint32_t unit) {
    uint32_t count = 1;
    for (uint32_t version = drive->sectors[unit].newest; version != MKV_NONE_U32;
         version = drive->versions[version].next) {
        count += !is_repeated(drive, unit, version);
    }
    return count;
}

/* Takes the next digit off a number. */
static uint32_t take_digit(uint64_t *number, uint32_t base) {
    const uint32_t digit = (uint32_t)(*number % base);
    *number /= base;
    return digit;
}

static uint32_t version_of(const struct mkv_drive_sim *drive, uint32_t unit, uint64_t *number) {
    uint32_t behind = take_digit(number, content_count(drive, unit));
    uint32_t version = behind == 0 ? MKV_NONE_U32 : drive->sectors[unit].newest;
    while (version != MKV_NONE_U32) {
        behind -= !is_repeated(drive, unit, version);
        if (behind == 0) {
            return version;
        }
        version = drive->versions[version].next;
    }
    return MKV_NONE_U32;
}

uint32_t mkv_drive_end_version(struct mkv_drive_sim *drive, uint32_t unit) {
    return version_of(drive, unit, &drive->chosen);
}

uint32_t mkv_drive_end_fate(struct mkv_drive_sim *drive) {
    return take_digit(&drive->chosen, FATES);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

/* What the versions of a unit add to the hash of the state: whichever became dirty first. `number`
 * has the fates of those in flight; NULL: all stays as it is. */
static uint64_t versions_part(const struct mkv_drive_sim *drive, uint32_t unit, uint64_t *number) {
    uint64_t list = 0;
    for (uint32_t version = drive->sectors[unit].newest; version != MKV_NONE_U32;
         version = drive->versions[version].next) {
        const struct version *state = &drive->versions[version];
        bool completed = state->completed != 0;
        bool orphan = state->orphan;
        if (!completed && number != NULL) {
            const uint32_t fate = take_digit(number, FATES);
            if (fate == FATE_NEVER) {
                continue;
            }
            completed = fate == FATE_NOW;
            orphan = fate == FATE_LATER;
        }
        list =
            mkv_random_mix(list + state->image_part) + 4 + (orphan ? 2 : 0) + (completed ? 1 : 0);
    }
    return list == 0 ? 0 : mkv_random_mix(list + unit);
}

uint64_t mkv_drive_sim_state_hash(struct mkv_drive_sim *drive) {
    hash_versions(drive);
    uint64_t hash = drive->image_hash;
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        hash += versions_part(drive, drive->dirty[index], NULL);
    }
    return hash;
}

/* Of a drive with a volatile cache: without one nothing is left in it. */
static uint64_t end_hash(const struct mkv_drive_sim *drive, uint64_t power, uint64_t end) {
    uint64_t hash = drive->image_hash;
    uint64_t number = end < power ? end : end - power;
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        const uint32_t unit = drive->dirty[index];
        if (end >= power) {
            hash += versions_part(drive, unit, &number);
            continue;
        }
        const uint32_t version = version_of(drive, unit, &number);
        hash += content_part(drive, unit, version) - content_part(drive, unit, MKV_NONE_U32);
    }
    return hash;
}

/* ---- the list -------------------------------------------------------------------------------- */

static void list_ends(const struct mkv_drive_sim *drive, struct mkv_drive_ends *ends,
                      uint64_t first, uint64_t count) {
    const uint64_t taken = mkv_min_u64(count, MKV_DRIVE_SIM_ENDS_MAX);
    for (uint64_t index = 0; index < taken; index++) {
        const uint64_t end = first + index * count / taken;
        ends->items[ends->count++] = (struct mkv_drive_end){end, end_hash(drive, ends->power, end)};
    }
}

void mkv_drive_sim_choose_end(struct mkv_drive_sim *drive, uint64_t end,
                              struct mkv_drive_ends *ends) {
    MKV_ASSERT(drive->profile.volatile_cache);
    MKV_ASSERT(drive->profile.tear_bytes == MKV_UNIT_BYTES);
    drive->choosing = true;
    drive->chosen = end;
    drive->ends = ends;
}

enum mkv_crash_kind mkv_drive_end_begin(struct mkv_drive_sim *drive) {
    uint64_t power = 1;
    uint64_t kill = 1;
    hash_versions(drive);
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        const uint32_t unit = drive->dirty[index];
        power = mkv_min_u64(power * content_count(drive, unit), ENDS_SAID_MAX);
        for (uint32_t version = drive->sectors[unit].newest; version != MKV_NONE_U32;
             version = drive->versions[version].next) {
            kill *= drive->versions[version].completed == 0 ? FATES : 1;
            kill = mkv_min_u64(kill, ENDS_SAID_MAX);
        }
    }
    drive->chosen %= power + kill;
    if (drive->ends != NULL) {
        drive->ends->power = power;
        drive->ends->kill = kill;
        drive->ends->count = 0;
        list_ends(drive, drive->ends, 0, power);
        list_ends(drive, drive->ends, power, kill);
    }
    const bool by_power = drive->chosen < power;
    drive->chosen -= by_power ? 0 : power;
    return by_power ? MKV_CRASH_POWER : MKV_CRASH_KILL;
}
