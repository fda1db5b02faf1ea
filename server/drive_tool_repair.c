/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_repair.h"

#include <stdlib.h>
#include <string.h>

#include "core/directory_root.h"
#include "server/drive_tool_volume.h"

/* What the scrubber may read in a second of the volume's clock: as fast as it goes. */
#define SCRUB_RATE (1ull << 40)
#define SCRUB_PASSES_MAX 8u

static bool refuse_write(const struct mkv_drive_tool *drive, const char *what, int number,
                         struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_IO, "%s: %s cannot be written: %s. See dmesg",
                              drive->path, what, strerror(number));
}

bool mkv_drive_superblock_write(const struct mkv_drive_tool *drive,
                                const struct mkv_superblock *superblock,
                                struct mkv_backend_error *error) {
    uint8_t *unit = mkv_drive_tool_units(1);
    if (unit == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
    }
    int number = 0;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES && number == 0; copy++) {
        mkv_superblock_encode(superblock, copy, unit);
        number = mkv_drive_tool_write(
            drive, mkv_geometry_superblock(superblock->geometry.capacity_units, copy).unit, 1,
            unit);
        if (number == 0 && copy % 2 == 1) {
            number = mkv_drive_tool_flush(drive);
        }
    }
    free(unit);
    return number == 0 || refuse_write(drive, "a superblock", number, error);
}

/* ---- before recovery ------------------------------------------------------------------------- */

/* A verification whose faults nobody is told of. */
static bool verify_quietly(const struct mkv_drive_tool *drive, struct mkv_drive_verified *verified,
                           struct mkv_backend_error *error) {
    struct mkv_drive_report report = {0};
    const bool done = mkv_drive_verify(drive, &report, verified, error);
    mkv_drive_report_end(&report);
    return done;
}

/* No two copies agree: all are made of the newest single one. */
static bool superblock_mend(struct mkv_drive_tool *drive, struct mkv_drive_repaired *repaired,
                            struct mkv_backend_error *error) {
    struct mkv_superblock superblock;
    struct mkv_drive_verified verified;
    if (!mkv_tool_superblock_single(drive, &superblock, error) ||
        !mkv_drive_superblock_write(drive, &superblock, error) ||
        !mkv_drive_tool_probe(drive, error) || !mkv_drive_tool_is_store(drive, error) ||
        !verify_quietly(drive, &verified, error)) {
        return false;
    }
    repaired->superblock_from_one = true;
    if (verified.epoch_max <= superblock.epoch) {
        return true;
    }
    /* The journal has blocks of later openings. */
    superblock.sequence++;
    superblock.epoch = verified.epoch_max;
    return mkv_drive_superblock_write(drive, &superblock, error) &&
           mkv_drive_tool_probe(drive, error);
}

/* Whether with the checkpoint before, nothing is missing up to where the later one began. */
static bool twin_holds(const struct mkv_drive_verified *verified,
                       const struct mkv_superblock *current) {
    return !verified->checkpoint_lost && !verified->journal_lost &&
           verified->journal_next >= current->journal_sequence.value &&
           (verified->journal_next > current->journal_sequence.value ||
            verified->journal_chain == current->chain_anchor);
}

static bool checkpoint_mend(struct mkv_drive_tool *drive, const struct mkv_superblock *current,
                            struct mkv_drive_verified *verified,
                            struct mkv_drive_repaired *repaired, struct mkv_backend_error *error) {
    struct mkv_superblock twin;
    struct mkv_drive_verified with_twin;
    if (!mkv_tool_checkpoint_twin(drive, current, &twin)) {
        return true;
    }
    if (!mkv_drive_superblock_write(drive, &twin, error) || !mkv_drive_tool_probe(drive, error) ||
        !verify_quietly(drive, &with_twin, error)) {
        return false;
    }
    if (twin_holds(&with_twin, current)) {
        repaired->checkpoint_from_twin = true;
        repaired->blocks_before = with_twin.blocks;
        *verified = with_twin;
        return true;
    }
    struct mkv_superblock back = *current;
    back.sequence = twin.sequence + 1;
    return mkv_drive_superblock_write(drive, &back, error) && mkv_drive_tool_probe(drive, error);
}

/* Zeroes in place of headers whose blocks are to go, and of a directory that is to be made anew:
 * the scrubber and the directory find them so, and do the rest. Where all blocks go their headers
 * stay as they are. */
static bool clear_units(const struct mkv_drive_tool *drive, const struct mkv_drive_report *report,
                        const struct mkv_drive_verified *verified, bool empties,
                        struct mkv_drive_repaired *repaired, struct mkv_backend_error *error) {
    uint8_t *zeroes = mkv_drive_tool_units(1);
    if (zeroes == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
    }
    memset(zeroes, 0, MKV_UNIT_BYTES);
    int number = 0;
    for (uint32_t i = 0; i < report->slot_count && number == 0 && !empties; i++) {
        number = mkv_drive_tool_write(drive, report->slots[i].unit, 1, zeroes);
    }
    const uint64_t region = mkv_geometry_directory(&verified->superblock.geometry).unit;
    repaired->directory_anew = verified->directory_bad;
    for (uint32_t root = 0; root < MKV_DIRECTORY_ROOTS && number == 0 && verified->directory_bad;
         root++) {
        number = mkv_drive_tool_write(drive, region + root, 1, zeroes);
    }
    if (number == 0) {
        number = mkv_drive_tool_flush(drive);
    }
    free(zeroes);
    return number == 0 || refuse_write(drive, "what is to go", number, error);
}

/* ---- recovery, scrubber, close --------------------------------------------------------------- */

static void on_event(void *context, const struct mkv_event *event) {
    struct mkv_drive_repaired *repaired = context;
    if (event->kind == MKV_EVENT_CAME_UP_EMPTY) {
        repaired->came_up_empty = true;
        repaired->empty_err = event->err;
    } else if (event->kind == MKV_EVENT_SUPERBLOCK_REPAIRED) {
        repaired->superblocks_written += (uint32_t)event->value[0];
    } else if (event->kind == MKV_EVENT_JOURNAL_COPY_REPAIRED) {
        repaired->journal_blocks_written += event->value[0];
    } else if (event->kind == MKV_EVENT_BLOCK_QUARANTINED) {
        repaired->blocks_dropped++;
    }
}

/* A drop that found no room in the queue waits for the next pass. */
static bool is_scrubbed(struct mkv_drive_tool_volume *volume) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(mkv_drive_tool_volume_core(volume), &stats);
    return stats.scrub_passes_total >= SCRUB_PASSES_MAX ||
           (stats.scrub_passes_total >= 1 && stats.quarantined_total >= stats.scrub_damaged_total);
}

static bool serve(const struct mkv_drive_tool *drive, bool scrub,
                  struct mkv_drive_repaired *repaired, struct mkv_backend_error *error) {
    struct mkv_volume_config config;
    struct mkv_volume_stats stats;
    mkv_drive_tool_volume_config(&drive->probe.superblock, drive->media.capacity_units, &config);
    config.scrub_rate = scrub ? SCRUB_RATE : 0;
    const struct mkv_drive_tool_volume_options options = {
        .drive = drive, .config = &config, .event = on_event, .context = repaired};
    struct mkv_drive_tool_volume *volume;
    if (!mkv_drive_tool_volume_create(&options, &volume, error)) {
        return false;
    }
    bool done = mkv_drive_tool_volume_open(volume, NULL, false, error);
    if (done && scrub) {
        done = mkv_drive_tool_volume_run(volume, is_scrubbed, error);
    }
    done = done && mkv_drive_tool_volume_list_all(volume, error);
    mkv_volume_stats(mkv_drive_tool_volume_core(volume), &stats);
    done = done && mkv_drive_tool_volume_close(volume, error);
    mkv_volume_stats(mkv_drive_tool_volume_core(volume), &stats);
    repaired->blocks_after = stats.blocks;
    mkv_drive_tool_volume_destroy(volume);
    return done;
}

static bool verify_again(struct mkv_drive_tool *drive, struct mkv_drive_report *after,
                         struct mkv_drive_repaired *repaired, struct mkv_backend_error *error) {
    struct mkv_drive_verified verified;
    const bool done =
        mkv_drive_tool_probe(drive, error) && mkv_drive_verify(drive, after, &verified, error);
    repaired->blocks_after = verified.blocks;
    repaired->faults_after = after->total;
    return done;
}

bool mkv_drive_repair(struct mkv_drive_tool *drive, struct mkv_drive_report *before,
                      struct mkv_drive_report *after, struct mkv_drive_repaired *repaired,
                      struct mkv_backend_error *error) {
    struct mkv_drive_verified verified;
    memset(repaired, 0, sizeof *repaired);
    if (drive->probe.kind == MKV_DRIVE_PROBE_DAMAGED) {
        mkv_drive_report_fault(before, MKV_DRIVE_FAULT_SUPERBLOCK, 0,
                               "no two of the four superblocks agree");
        if (!superblock_mend(drive, repaired, error)) {
            return false;
        }
    }
    if (!mkv_drive_tool_is_store(drive, error) ||
        !mkv_drive_verify(drive, before, &verified, error)) {
        return false;
    }
    repaired->faults_before = before->total;
    repaired->blocks_before = verified.blocks;
    repaired->blocks_after = verified.blocks;
    repaired->sound = before->total == 0 && before->notes == 0;
    if (repaired->sound) {
        return true;
    }
    const struct mkv_superblock current = drive->probe.superblock;
    if (verified.checkpoint_lost && !checkpoint_mend(drive, &current, &verified, repaired, error)) {
        return false;
    }
    /* Of pages that were lost and are there again, the slots were not looked at. */
    const bool scrub = before->slot_count > 0 || repaired->checkpoint_from_twin;
    const bool empties = verified.checkpoint_lost || verified.journal_lost;
    return clear_units(drive, before, &verified, empties, repaired, error) &&
           serve(drive, scrub && !empties, repaired, error) &&
           verify_again(drive, after, repaired, error);
}
