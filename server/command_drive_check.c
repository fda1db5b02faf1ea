/* SPDX-License-Identifier: Apache-2.0 */
/* `memkv drive verify` and `memkv drive repair`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/command_drive_internal.h"
#include "server/drive_tool_copy.h"
#include "server/drive_tool_repair.h"

static const char help_verify[] =
    "usage: memkv drive verify [--json] PATH\n"
    "\n"
    "Reads everything that the store on a drive holds and holds it against itself: superblocks,\n"
    "checkpoint, both copies of the journal, groups of extents, every header and payload, the\n"
    "directory, and what recovery would make of it. Writes nothing. Each fault is a line, with\n"
    "its kind, the unit of 4 KiB where it is, and what it is.\n"
    "\n"
    "  --json      the result as JSON\n"
    "  -h, --help  this text\n"
    "\n"
    "Exit status: 0 sound, 1 faults were found, 2 usage, 4 the drive cannot be had or read.\n";

static const char help_repair[] =
    "usage: memkv drive repair (--to FILE | --in-place) [--json] PATH\n"
    "\n"
    "Mends what verify finds: copies from their twins, the directory from the headers, the\n"
    "checkpoint from the one before it. Blocks that cannot be right are dropped, and named.\n"
    "Where something was lost that may have held the end of a block, the store comes up empty,\n"
    "as at a start: nothing that was deleted comes back.\n"
    "\n"
    "  --to FILE   work on a copy in this file, which must not be there; PATH is only read\n"
    "  --in-place  work on PATH itself\n"
    "  --json      the result as JSON\n"
    "  -h, --help  this text\n"
    "\n"
    "Exit status: 0 sound now, 1 faults are left, 2 usage, 4 a drive or file cannot be had, read\n"
    "or written.\n";

/* ---- verify ---------------------------------------------------------------------------------- */

static json_t *counts_json(const struct mkv_drive_report *report) {
    json_t *counts = json_object();
    for (unsigned fault = 0; fault < MKV_DRIVE_FAULT_COUNT; fault++) {
        if (report->counts[fault] > 0) {
            json_object_set_new(counts, mkv_drive_fault_name((enum mkv_drive_fault)fault),
                                json_integer((json_int_t)report->counts[fault]));
        }
    }
    return counts;
}

static json_t *verified_json(const struct mkv_drive_tool *drive,
                             const struct mkv_drive_verified *verified,
                             const struct mkv_command_drive_report *report) {
    json_t *out = json_object();
    json_object_set_new(out, "path", mkv_command_drive_text(drive->path));
    json_object_set_new(out, "sound", json_boolean(report->report.total == 0));
    if (verified->readable) {
        json_object_set_new(out, "store_uuid",
                            mkv_command_drive_uuid(verified->superblock.store_uuid));
        json_object_set_new(out, "drive_uuid",
                            mkv_command_drive_uuid(verified->superblock.drive_uuid));
        json_object_set_new(out, "blocks", json_integer((json_int_t)verified->blocks));
        json_object_set_new(out, "bytes", json_integer((json_int_t)verified->bytes));
        json_object_set_new(out, "journal_blocks",
                            json_integer((json_int_t)verified->journal_blocks));
        json_object_set_new(out, "journal_records",
                            json_integer((json_int_t)verified->journal_records));
        json_object_set_new(out, "groups", json_integer((json_int_t)verified->groups));
        json_object_set_new(out, "tenants", json_integer((json_int_t)verified->tenants));
        json_object_set_new(out, "directory_nodes",
                            json_integer((json_int_t)verified->directory_nodes));
        json_object_set_new(out, "directory_entries",
                            json_integer((json_int_t)verified->directory_entries));
    }
    json_object_set_new(out, "fault_counts", counts_json(&report->report));
    json_object_set(out, "faults", report->faults);
    json_object_set(out, "notes", report->notes);
    return out;
}

static void verified_print(const struct mkv_drive_tool *drive,
                           const struct mkv_drive_verified *verified, uint64_t faults) {
    char size[MKV_COMMAND_DRIVE_SIZE_BYTES];
    mkv_command_drive_size(verified->bytes, size);
    if (verified->readable) {
        printf("%s: looked at %" PRIu64 " blocks (%s) in %u groups, %" PRIu64
               " journal blocks, %" PRIu64 " nodes of the directory\n",
               drive->path, verified->blocks, size, verified->groups, verified->journal_blocks,
               verified->directory_nodes);
    }
    if (faults == 0) {
        printf("%s: sound\n", drive->path);
    } else {
        printf("%s: %" PRIu64 " fault%s\n", drive->path, faults, faults == 1 ? "" : "s");
    }
}

/* A store none of whose superblocks agree is a fault like others; what is none at all is not. */
static bool may_be_checked(const struct mkv_drive_tool *drive, struct mkv_backend_error *error) {
    return drive->probe.kind == MKV_DRIVE_PROBE_DAMAGED || mkv_drive_tool_is_store(drive, error);
}

int mkv_command_drive_verify(int argc, char **argv) {
    struct mkv_command_drive_line line = {.command = "verify",
                                          .help = help_verify,
                                          .takes_json = true,
                                          .paths_min = 1,
                                          .paths_max = 1};
    struct mkv_drive_tool drive;
    struct mkv_backend_error error;
    int exit_code;
    if (!mkv_command_drive_begin(&line, argc, argv, MKV_DRIVE_TOOL_READ, &drive, &exit_code)) {
        return exit_code;
    }
    struct mkv_command_drive_report report;
    struct mkv_drive_verified verified;
    mkv_command_drive_report_begin(&report, "verify", "", line.json);
    if (!may_be_checked(&drive, &error) ||
        !mkv_drive_verify(&drive, &report.report, &verified, &error)) {
        exit_code = mkv_command_drive_fail("verify", &error);
    } else {
        mkv_command_drive_progress_end(&report.progress);
        exit_code =
            report.report.total == 0 ? (int)MKV_EXIT_CLIENT_DONE : (int)MKV_EXIT_CLIENT_NOT_FOUND;
        if (line.json) {
            exit_code =
                mkv_command_drive_print(verified_json(&drive, &verified, &report), exit_code);
        } else {
            verified_print(&drive, &verified, report.report.total);
        }
    }
    mkv_command_drive_report_end(&report);
    mkv_drive_tool_close(&drive);
    return exit_code;
}

/* ---- repair ---------------------------------------------------------------------------------- */

static const char *empty_reason(enum mkv_err err) {
    switch (err) {
    case MKV_CORRUPT_CHECKPOINT_PAGE:
        return "the checkpoint is damaged, and the journal does not reach back to the one before";
    case MKV_CORRUPT_JOURNAL_BLOCK:
        return "a block of the journal is lost, which may have held the end of any block";
    case MKV_CORRUPT_JOURNAL_RECORD:
        return "the journal contradicts the checkpoint";
    case MKV_OK:
    case MKV_ERR_TOO_SMALL:
    case MKV_ERR_TOO_LARGE:
    case MKV_ERR_NOT_FORMATTED:
    case MKV_ERR_FOREIGN:
    case MKV_ERR_VERSION:
    case MKV_ERR_SHRUNK:
    case MKV_ERR_DRIVE_IO:
    case MKV_ERR_STATE:
    case MKV_CORRUPT_SUPERBLOCK:
    case MKV_CORRUPT_SLOT_HEADER:
    case MKV_CORRUPT_PAYLOAD:
        break;
    }
    return "what was left of it contradicts itself";
}

static void repaired_print(const char *path, const struct mkv_drive_repaired *repaired) {
    const uint64_t lost = repaired->blocks_before > repaired->blocks_after
                              ? repaired->blocks_before - repaired->blocks_after
                              : 0;
    if (repaired->sound) {
        printf("%s: sound, there is nothing to mend\n", path);
        return;
    }
    if (repaired->superblock_from_one) {
        printf("mended: superblocks, all from the newest single one\n");
    }
    if (repaired->superblocks_written > 0) {
        printf("mended: %u copies of the superblock\n", repaired->superblocks_written);
    }
    if (repaired->checkpoint_from_twin) {
        printf("mended: the checkpoint, by the one before it and the journal since\n");
    }
    if (repaired->journal_blocks_written > 0) {
        printf("mended: %" PRIu64 " blocks of the journal, from their other copy\n",
               repaired->journal_blocks_written);
    }
    if (repaired->directory_anew) {
        printf("mended: the directory, made anew from the headers\n");
    }
    if (repaired->came_up_empty) {
        printf("empty: %s\n", empty_reason(repaired->empty_err));
    }
    printf("%s: %" PRIu64 " blocks, %" PRIu64 " lost; ", path, repaired->blocks_after, lost);
    if (repaired->faults_after == 0) {
        printf("sound now\n");
    } else {
        printf("%" PRIu64 " faults are left\n", repaired->faults_after);
    }
}

static json_t *repaired_json(const char *path, const struct mkv_drive_copied *copied,
                             const struct mkv_drive_repaired *repaired,
                             const struct mkv_command_drive_report *before,
                             const struct mkv_command_drive_report *after) {
    json_t *out = json_object();
    json_object_set_new(out, "path", mkv_command_drive_text(path));
    json_object_set_new(out, "sound_before", json_boolean(repaired->sound));
    json_object_set_new(out, "sound", json_boolean(repaired->faults_after == 0));
    json_object_set_new(out, "units_unreadable",
                        json_integer((json_int_t)copied->units_unreadable));
    json_object_set_new(out, "superblock_from_one", json_boolean(repaired->superblock_from_one));
    json_object_set_new(out, "superblock_copies",
                        json_integer((json_int_t)repaired->superblocks_written));
    json_object_set_new(out, "checkpoint_from_twin", json_boolean(repaired->checkpoint_from_twin));
    json_object_set_new(out, "journal_blocks",
                        json_integer((json_int_t)repaired->journal_blocks_written));
    json_object_set_new(out, "directory_anew", json_boolean(repaired->directory_anew));
    json_object_set_new(out, "came_up_empty", json_boolean(repaired->came_up_empty));
    json_object_set_new(out, "blocks_dropped", json_integer((json_int_t)repaired->blocks_dropped));
    json_object_set_new(out, "blocks_before", json_integer((json_int_t)repaired->blocks_before));
    json_object_set_new(out, "blocks", json_integer((json_int_t)repaired->blocks_after));
    json_object_set(out, "faults", before->faults);
    json_object_set(out, "notes", before->notes);
    json_object_set(out, "faults_left", after->faults);
    return out;
}

static int repair(const struct mkv_command_drive_line *line, const char *path,
                  const struct mkv_drive_copied *copied) {
    struct mkv_drive_tool drive;
    struct mkv_backend_error error;
    struct mkv_command_drive_report before;
    struct mkv_command_drive_report after;
    struct mkv_drive_repaired repaired;
    if (!mkv_drive_tool_open(&drive, path, MKV_DRIVE_TOOL_WRITE, &error)) {
        return mkv_command_drive_fail("repair", &error);
    }
    mkv_command_drive_report_begin(&before, "repair", "found: ", line->json);
    mkv_command_drive_report_begin(&after, "repair", "left: ", line->json);
    int exit_code;
    if (!mkv_drive_repair(&drive, &before.report, &after.report, &repaired, &error)) {
        exit_code = mkv_command_drive_fail("repair", &error);
    } else {
        mkv_command_drive_progress_end(&after.progress);
        exit_code =
            repaired.faults_after == 0 ? (int)MKV_EXIT_CLIENT_DONE : (int)MKV_EXIT_CLIENT_NOT_FOUND;
        if (line->json) {
            exit_code = mkv_command_drive_print(
                repaired_json(path, copied, &repaired, &before, &after), exit_code);
        } else {
            repaired_print(path, &repaired);
        }
    }
    mkv_command_drive_report_end(&before);
    mkv_command_drive_report_end(&after);
    mkv_drive_tool_close(&drive);
    return exit_code;
}

/* PATH, only read, into the file that is worked on. */
static int copy(const struct mkv_command_drive_line *line, struct mkv_drive_copied *copied) {
    struct mkv_drive_tool source;
    struct mkv_backend_error error;
    struct mkv_command_drive_progress progress;
    if (!mkv_drive_tool_open(&source, line->paths[0], MKV_DRIVE_TOOL_READ, &error)) {
        return mkv_command_drive_fail("repair", &error);
    }
    mkv_command_drive_progress_begin(&progress, "repair");
    const bool done =
        may_be_checked(&source, &error) &&
        mkv_drive_copy(&source, line->to[0], mkv_command_drive_progress, &progress, copied, &error);
    mkv_command_drive_progress_end(&progress);
    mkv_drive_tool_close(&source);
    if (!done) {
        return mkv_command_drive_fail("repair", &error);
    }
    if (copied->units_unreadable > 0 && !line->json) {
        printf("found: %" PRIu64 " units of %s cannot be read; they are zeroes in the copy\n",
               copied->units_unreadable, line->paths[0]);
    }
    return MKV_EXIT_CLIENT_DONE;
}

int mkv_command_drive_repair(int argc, char **argv) {
    struct mkv_command_drive_line line = {.command = "repair",
                                          .help = help_repair,
                                          .takes_json = true,
                                          .takes_to = true,
                                          .takes_in_place = true,
                                          .paths_min = 1,
                                          .paths_max = 1};
    struct mkv_drive_copied copied = {0};
    int exit_code;
    if (!mkv_command_drive_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    if ((line.to_count > 0) == line.in_place) {
        mkv_command_drive_complain("repair",
                                   "say where: --to FILE for a copy that is worked on, or "
                                   "--in-place for %s itself",
                                   line.paths[0]);
        return MKV_EXIT_CLIENT_USAGE;
    }
    if (line.to_count > 0) {
        exit_code = copy(&line, &copied);
        if (exit_code != MKV_EXIT_CLIENT_DONE) {
            return exit_code;
        }
    }
    return repair(&line, line.in_place ? line.paths[0] : line.to[0], &copied);
}
