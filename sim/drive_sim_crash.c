/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions of units: how they come, how they become durable, and which of them a crash keeps.
 */
#include <string.h>

#include "sim/drive_sim_internal.h"

/* Of what came late in a flush, one in so many lands with it, and one never does. */
#define LATE_ONE_IN 4u
/* Of units that keep a version in a crash that tears, one in this many is torn. */
#define TEAR_ONE_IN 3u

void mkv_drive_copy(uint8_t *target, const uint8_t *source, uint32_t unit_count) {
    memcpy(target, source, (size_t)unit_count * MKV_UNIT_BYTES);
}

uint32_t mkv_drive_page_take(struct mkv_drive_sim *drive) {
    if (drive->pages_free_count > 0) {
        return drive->pages_free[--drive->pages_free_count];
    }
    MKV_ASSERT(drive->pages_used < drive->page_count);
    return drive->pages_used++;
}

static void page_free(struct mkv_drive_sim *drive, uint32_t page) {
    if (page != PAGE_ZERO) {
        drive->pages_free[drive->pages_free_count++] = page;
    }
}

/* The unit's durable content is another one. */
static void image_changed(struct mkv_drive_sim *drive, uint64_t unit) {
    struct sector *sector = &drive->sectors[unit];
    if (!sector->image_stale) {
        sector->image_stale = true;
        drive->image_stale[drive->image_stale_count++] = (uint32_t)unit;
    }
}

void mkv_drive_set_durable(struct mkv_drive_sim *drive, uint64_t unit, uint32_t page) {
    struct sector *sector = &drive->sectors[unit];
    if (drive->keeps_older) {
        if (sector->older != MKV_NONE_U32) {
            page_free(drive, sector->older);
        }
        sector->older = sector->page;
    } else {
        page_free(drive, sector->page);
    }
    sector->page = page;
    image_changed(drive, unit);
}

static uint32_t version_take(struct mkv_drive_sim *drive) {
    if (drive->versions_free_count > 0) {
        return drive->versions_free[--drive->versions_free_count];
    }
    MKV_ASSERT(drive->versions_used < MKV_DRIVE_SIM_VERSIONS_MAX);
    return drive->versions_used++;
}

/* Frees the version but not its page. */
static void version_free(struct mkv_drive_sim *drive, uint32_t version) {
    if (drive->versions[version].orphan) {
        MKV_ASSERT(drive->orphan_count > 0);
        drive->orphan_count--;
    }
    drive->versions_free[drive->versions_free_count++] = version;
}

/* Frees a list of versions from `version` on, with their pages. */
static void versions_drop(struct mkv_drive_sim *drive, uint32_t version) {
    while (version != MKV_NONE_U32) {
        const uint32_t next = drive->versions[version].next;
        page_free(drive, drive->versions[version].page);
        version_free(drive, version);
        version = next;
    }
}

/* Frees a list of versions with their pages, but for what may still land: returns those. */
static uint32_t versions_drop_landed(struct mkv_drive_sim *drive, uint32_t version) {
    uint32_t orphans = MKV_NONE_U32;
    uint32_t *end = &orphans;
    while (version != MKV_NONE_U32) {
        const uint32_t next = drive->versions[version].next;
        if (drive->versions[version].orphan) {
            *end = version;
            end = &drive->versions[version].next;
        } else {
            page_free(drive, drive->versions[version].page);
            version_free(drive, version);
        }
        version = next;
    }
    *end = MKV_NONE_U32;
    return orphans;
}

void mkv_drive_version_push(struct mkv_drive_sim *drive, uint64_t unit, uint32_t write,
                            const uint8_t *bytes) {
    struct sector *sector = &drive->sectors[unit];
    const uint32_t version = version_take(drive);
    uint32_t page = PAGE_ZERO;
    if (bytes != NULL) {
        page = mkv_drive_page_take(drive);
        mkv_drive_copy(drive_page(drive, page), bytes, 1);
    }
    if (sector->newest == MKV_NONE_U32) {
        drive->dirty[drive->dirty_count++] = (uint32_t)unit;
    }
    drive->versions[version] =
        (struct version){.page = page, .write = write, .next = sector->newest};
    sector->newest = version;
}

uint32_t mkv_drive_version_of(const struct mkv_drive_sim *drive, uint64_t unit, uint32_t write) {
    uint32_t version = drive->sectors[unit].newest;
    while (version != MKV_NONE_U32 && drive->versions[version].write != write) {
        version = drive->versions[version].next;
    }
    return version;
}

uint32_t mkv_drive_version_visible(const struct mkv_drive_sim *drive, uint64_t unit) {
    uint32_t version = drive->sectors[unit].newest;
    while (version != MKV_NONE_U32 && drive->versions[version].completed == 0) {
        version = drive->versions[version].next;
    }
    return version;
}

/* Takes units without versions off the list. */
static void dirty_compact(struct mkv_drive_sim *drive) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        const uint32_t unit = drive->dirty[index];
        if (drive->sectors[unit].newest != MKV_NONE_U32) {
            drive->dirty[kept++] = unit;
        }
    }
    drive->dirty_count = kept;
}

void mkv_drive_versions_flush(struct mkv_drive_sim *drive, uint64_t stamp) {
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        const uint32_t unit = drive->dirty[index];
        uint32_t *link = &drive->sectors[unit].newest;
        while (*link != MKV_NONE_U32) {
            const uint32_t version = *link;
            const uint64_t completed = drive->versions[version].completed;
            if (completed != 0 && completed <= stamp) {
                *link = versions_drop_landed(drive, drive->versions[version].next);
                mkv_drive_set_durable(drive, unit, drive->versions[version].page);
                version_free(drive, version);
                break;
            }
            link = &drive->versions[version].next;
        }
    }
    dirty_compact(drive);
}

void mkv_drive_versions_completed(struct mkv_drive_sim *drive, uint64_t unit, uint32_t unit_count,
                                  uint32_t write) {
    const uint64_t stamp = ++drive->completion_stamp;
    for (uint32_t index = 0; index < unit_count; index++) {
        const uint32_t version = mkv_drive_version_of(drive, unit + index, write);
        if (version != MKV_NONE_U32) { /* else it was lost */
            drive->versions[version].completed = stamp;
        }
    }
    if (!drive->profile.volatile_cache) {
        mkv_drive_versions_flush(drive, stamp);
    }
}

/* Takes the version that `link` leads to off its list and frees it with its page. */
static void unlink_version(struct mkv_drive_sim *drive, uint32_t *link) {
    const uint32_t version = *link;
    *link = drive->versions[version].next;
    page_free(drive, drive->versions[version].page);
    version_free(drive, version);
}

void mkv_drive_versions_failed(struct mkv_drive_sim *drive, uint64_t unit, uint32_t unit_count,
                               uint32_t write, uint32_t kept, bool late, bool never) {
    const uint64_t stamp = ++drive->completion_stamp;
    for (uint32_t index = 0; index < unit_count; index++) {
        uint32_t *link = &drive->sectors[unit + index].newest;
        while (*link != MKV_NONE_U32 && drive->versions[*link].write != write) {
            link = &drive->versions[*link].next;
        }
        if (*link == MKV_NONE_U32) {
            continue; /* a write that went astray was flushed over it */
        }
        struct version *version = &drive->versions[*link];
        const uint32_t fate = never ? 2 : mkv_random_below(&drive->random, 3);
        if (index < kept || fate == 0) {
            version->completed = stamp;
        } else if (fate == 1 && late) {
            version->orphan = true;
            drive->orphan_count++;
        } else {
            unlink_version(drive, link);
        }
    }
    dirty_compact(drive);
    if (!drive->profile.volatile_cache) {
        mkv_drive_versions_flush(drive, stamp);
    }
}

/* The newest version of the unit that was completed up to the stamp. */
static uint32_t *link_to_completed(struct mkv_drive_sim *drive, uint32_t unit, uint64_t stamp) {
    uint32_t *link = &drive->sectors[unit].newest;
    while (*link != MKV_NONE_U32 &&
           (drive->versions[*link].completed == 0 || drive->versions[*link].completed > stamp)) {
        link = &drive->versions[*link].next;
    }
    return link;
}

void mkv_drive_versions_flush_failed(struct mkv_drive_sim *drive, uint64_t stamp) {
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        const uint32_t unit = drive->dirty[index];
        uint32_t *link = link_to_completed(drive, unit, stamp);
        const uint32_t fate = mkv_random_below(&drive->random, 3);
        if (*link == MKV_NONE_U32 || fate == 0) {
            continue;
        }
        if (fate == 1) {
            unlink_version(drive, link);
            continue;
        }
        const uint32_t version = *link;
        *link = versions_drop_landed(drive, drive->versions[version].next);
        mkv_drive_set_durable(drive, unit, drive->versions[version].page);
        version_free(drive, version);
    }
    dirty_compact(drive);
}

enum fate {
    FATE_LANDS = 0,
    FATE_NEVER,
    FATE_STAYS,
};

/* What becomes of an orphan now. That of a process that is gone does not outlast its successor's
 * first flush; that of an operation that failed may land as long as its process lives. */
static enum fate fate_of(struct mkv_drive_sim *drive) {
    if (drive->lands) {
        return FATE_LANDS;
    }
    if (drive->is_gone) {
        return mkv_random_chance(&drive->random, 1, 2) ? FATE_LANDS : FATE_NEVER;
    }
    const uint32_t draw = mkv_random_below(&drive->random, LATE_ONE_IN);
    return draw == 0 ? FATE_LANDS : draw == 1 ? FATE_NEVER : FATE_STAYS;
}

/* Takes the orphans off the unit's list, but for those that stay; one that lands is then its newest
 * version, as it reaches the drive after whatever was written since. */
static void land_unit(struct mkv_drive_sim *drive, uint32_t unit, uint64_t stamp) {
    struct sector *sector = &drive->sectors[unit];
    uint32_t landed = MKV_NONE_U32;
    uint32_t *link = &sector->newest;
    while (*link != MKV_NONE_U32) {
        const uint32_t version = *link;
        enum fate fate = FATE_STAYS;
        if (drive->versions[version].orphan && landed == MKV_NONE_U32) {
            fate = fate_of(drive);
        } else if (drive->versions[version].orphan && drive->is_gone) {
            fate = FATE_NEVER;
        }
        if (fate == FATE_STAYS) {
            link = &drive->versions[version].next;
            continue;
        }
        *link = drive->versions[version].next;
        if (landed == MKV_NONE_U32 && fate == FATE_LANDS) {
            landed = version;
        } else {
            page_free(drive, drive->versions[version].page);
            version_free(drive, version);
        }
    }
    if (landed != MKV_NONE_U32) {
        MKV_ASSERT(drive->orphan_count > 0);
        drive->orphan_count--;
        drive->versions[landed].orphan = false;
        drive->versions[landed].completed = stamp;
        drive->versions[landed].next = sector->newest;
        sector->newest = landed;
    }
}

void mkv_drive_versions_land(struct mkv_drive_sim *drive) {
    if (drive->orphan_count > 0) {
        const uint64_t stamp = ++drive->completion_stamp;
        for (uint32_t index = 0; index < drive->dirty_count; index++) {
            land_unit(drive, drive->dirty[index], stamp);
        }
        MKV_ASSERT(drive->orphan_count == 0 || !drive->is_gone);
        dirty_compact(drive);
        if (!drive->profile.volatile_cache) {
            mkv_drive_versions_flush(drive, stamp);
        }
    }
    drive->is_gone = false;
    drive->lands = false;
}

/* ---- crashes --------------------------------------------------------------------------------- */

/* The version that the unit keeps, or MKV_NONE_U32. `salt` is the crash's own. */
static uint32_t choose_version(struct mkv_drive_sim *drive, uint32_t unit, enum mkv_crash_keep keep,
                               uint64_t salt) {
    const uint32_t newest = drive->sectors[unit].newest;
    uint32_t count = 0;
    switch (keep) {
    case MKV_KEEP_NONE:
        return MKV_NONE_U32;
    case MKV_KEEP_ALL:
        return newest;
    case MKV_KEEP_BY_WRITE:
        for (uint32_t version = newest; version != MKV_NONE_U32;
             version = drive->versions[version].next) {
            /* One coin a write; a write in flight may have reached some of its units only. */
            const uint64_t coins = mkv_random_mix(salt + drive->versions[version].write);
            const bool tears = drive->versions[version].completed == 0 && (coins & 2) != 0 &&
                               !drive->versions[version].atomic;
            if (tears ? mkv_random_chance(&drive->random, 1, 2) : (coins & 1) != 0) {
                return version;
            }
        }
        return MKV_NONE_U32;
    case MKV_KEEP_BY_SECTOR:
        for (uint32_t version = newest; version != MKV_NONE_U32;
             version = drive->versions[version].next) {
            count++;
        }
        break;
    }
    uint32_t choice = mkv_random_below(&drive->random, count + 1);
    uint32_t version = newest;
    while (version != MKV_NONE_U32) {
        /* A write that is whole or not at all has one coin for all its units. */
        const uint64_t coins = mkv_random_mix(salt + drive->versions[version].write);
        if (drive->versions[version].atomic ? (coins & 1) != 0 : choice == 0) {
            break;
        }
        choice -= choice > 0;
        version = drive->versions[version].next;
    }
    return version;
}

/* A page that may be changed, with the content of this one: the shared page of zeros never is. */
static uint32_t page_own(struct mkv_drive_sim *drive, uint32_t page) {
    if (page != PAGE_ZERO) {
        return page;
    }
    const uint32_t own = mkv_drive_page_take(drive);
    memset(drive_page(drive, own), 0, MKV_UNIT_BYTES);
    return own;
}

/* Some parts of the page keep the older content. */
static void tear(struct mkv_drive_sim *drive, uint32_t page, uint32_t older) {
    const uint32_t parts = MKV_UNIT_BYTES / drive->profile.tear_bytes;
    const uint64_t coins = mkv_random_next(&drive->random);
    for (uint32_t part = 0; part < parts; part++) {
        if ((coins >> part & 1) != 0) {
            const size_t offset = (size_t)part * drive->profile.tear_bytes;
            memcpy(drive_page(drive, page) + offset, drive_page(drive, older) + offset,
                   drive->profile.tear_bytes);
        }
    }
}

static void lose_power(struct mkv_drive_sim *drive, enum mkv_crash_keep keep) {
    const uint64_t salt = mkv_random_next(&drive->random);
    const bool tears = !drive->choosing && drive->profile.tear_bytes < MKV_UNIT_BYTES &&
                       keep >= MKV_KEEP_BY_WRITE && mkv_random_chance(&drive->random, 1, 2);
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        const uint32_t unit = drive->dirty[index];
        struct sector *sector = &drive->sectors[unit];
        const uint32_t keeps = drive->choosing ? mkv_drive_end_version(drive, unit)
                                               : choose_version(drive, unit, keep, salt);
        if (keeps != MKV_NONE_U32) {
            uint32_t page = drive->versions[keeps].page;
            if (tears && !drive->versions[keeps].atomic &&
                mkv_random_chance(&drive->random, 1, TEAR_ONE_IN)) {
                const uint32_t next = drive->versions[keeps].next;
                page = page_own(drive, page);
                tear(drive, page, next == MKV_NONE_U32 ? sector->page : drive->versions[next].page);
            }
            /* The page leaves its version before the list is freed with its pages. */
            drive->versions[keeps].page = PAGE_ZERO;
            mkv_drive_set_durable(drive, unit, page);
        }
        versions_drop(drive, sector->newest);
        sector->newest = MKV_NONE_U32;
    }
    drive->dirty_count = 0;
    MKV_ASSERT(drive->orphan_count == 0);
}

static void kill_process(struct mkv_drive_sim *drive) {
    const uint64_t stamp = ++drive->completion_stamp;
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        uint32_t *link = &drive->sectors[drive->dirty[index]].newest;
        while (*link != MKV_NONE_U32) {
            const uint32_t version = *link;
            struct version *state = &drive->versions[version];
            const uint32_t fate = state->completed != 0 ? 0
                                  : drive->choosing     ? 1 + mkv_drive_end_fate(drive)
                                                        : 1 + mkv_random_below(&drive->random, 3);
            if (fate == 3) {
                *link = state->next;
                page_free(drive, state->page);
                version_free(drive, version);
                continue;
            }
            if (fate == 1) {
                drive->orphan_count -= state->orphan;
                state->orphan = false;
                state->completed = stamp;
            } else if (fate == 2) {
                drive->orphan_count += !state->orphan;
                state->orphan = true;
            }
            link = &state->next;
        }
    }
    dirty_compact(drive);
    if (!drive->profile.volatile_cache) {
        mkv_drive_versions_flush(drive, stamp);
    }
}

void mkv_drive_sim_crash(struct mkv_drive_sim *drive, enum mkv_crash_kind kind,
                         enum mkv_crash_keep keep) {
    drive->io_count = 0;
    drive->due_last_ns = 0;
    if (drive->choosing) {
        kind = mkv_drive_end_begin(drive);
    }
    drive->lands = drive->choosing;
    drive->is_gone = true;
    if (kind == MKV_CRASH_KILL) {
        kill_process(drive);
    } else {
        lose_power(drive, keep);
    }
    drive->choosing = false;
}

static void rot_page(struct mkv_drive_sim *drive, uint32_t page, uint32_t bit) {
    drive_page(drive, page)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

void mkv_drive_sim_rot(struct mkv_drive_sim *drive, uint64_t unit, uint32_t bit) {
    MKV_ASSERT(unit < drive->profile.capacity_units);
    MKV_ASSERT(bit < MKV_UNIT_BYTES * 8);
    struct sector *sector = &drive->sectors[unit];
    const uint32_t page = page_own(drive, sector->page);
    rot_page(drive, page, bit);
    sector->page = page;
    image_changed(drive, unit);
    for (uint32_t version = sector->newest; version != MKV_NONE_U32;
         version = drive->versions[version].next) {
        struct version *state = &drive->versions[version];
        state->page = page_own(drive, state->page);
        rot_page(drive, state->page, bit);
    }
}
