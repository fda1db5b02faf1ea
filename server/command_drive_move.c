/* SPDX-License-Identifier: Apache-2.0 */
/* `memkv drive wipe`, `memkv drive export` and `memkv drive import`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/command_drive_internal.h"
#include "server/config.h"
#include "server/drive_set.h"
#include "server/drive_tool_export.h"
#include "server/drive_tool_import.h"
#include "server/drive_tool_wipe.h"

static const char help_wipe[] =
    "usage: memkv drive wipe [--yes] [--force] PATH\n"
    "\n"
    "Makes a drive blank: its superblocks and its first and last MiB are zeroed, and all of it is\n"
    "discarded where the drive, or the file system, takes that. Asks for the uuid of the store.\n"
    "It is no erasure: a drive may keep what was discarded, and one that takes no discard keeps\n"
    "the bytes of blocks. A drive of several that belong together is missed by the others.\n"
    "\n"
    "  --yes       do not ask\n"
    "  --force     also what is no memkv store, and asks for nothing but --yes\n"
    "  -h, --help  this text\n"
    "\n"
    "Exit status: 0 blank now, 2 usage or not agreed to, 4 the drive cannot be had or written.\n";

static const char help_export[] =
    "usage: memkv drive export PATH --to FILE [--json]\n"
    "\n"
    "Writes the blocks of a drive into a file that memkv drive import takes: keys, tenants by\n"
    "name, expiries, tiers, payloads. PATH is only read; what a start would recover is recovered\n"
    "in memory. A block that is damaged is named and left out.\n"
    "\n"
    "  --to FILE   the file, which must not be there\n"
    "  --json      the result as JSON\n"
    "  -h, --help  this text\n"
    "\n"
    "Exit status: 0 done, 1 damaged blocks were left out, 2 usage, 4 the drive or the file cannot\n"
    "be had, read or written.\n";

static const char help_import[] =
    "usage: memkv drive import FILE... (--to PATH... | --config FILE) [--replace] [--json]\n"
    "\n"
    "Puts the blocks of files that memkv drive export wrote into the store on these drives, which\n"
    "no daemon has. All drives of the store have to be there: each block goes to the drive that\n"
    "its key belongs to. Drives that are all blank become a new store. A block that is there\n"
    "already is left, so an import can be done again; a key with other content keeps that.\n"
    "\n"
    "  --to PATH      a drive of the store; may come several times\n"
    "  --config FILE  the drives in storage.drives of a configuration\n"
    "  --replace      what is imported gets the better of other content under its key\n"
    "  --json         the result as JSON\n"
    "  -h, --help     this text\n"
    "\n"
    "Exit status: 0 done, 1 blocks were left behind (other content, no room), 2 usage, 4 a drive\n"
    "or a file cannot be had, read or written, or a file is torn or damaged.\n";

/* ---- wipe ------------------------------------------------------------------------------------ */

/* Whether it may be wiped, as far as what is on it goes. */
static bool is_ours(const struct mkv_drive_tool *drive, bool force,
                    struct mkv_backend_error *error) {
    return drive->probe.kind != MKV_DRIVE_PROBE_OTHER || force ||
           mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "%s holds data that is no memkv store. To lose it: --force --yes",
                              drive->path);
}

/* Reads the store's uuid from standard input. */
static bool agrees(const struct mkv_drive_tool *drive) {
    char own[MKV_UUID_TEXT_BYTES];
    char wanted[MKV_UUID_TEXT_BYTES];
    char line[128] = "";
    mkv_uuid_format(drive->probe.superblock.drive_uuid, own);
    mkv_uuid_format(drive->probe.superblock.store_uuid, wanted);
    fprintf(stderr,
            "%s is drive %s of store %s, which has %u. Every block on it will be gone.\n"
            "To wipe it, type the uuid of the store: ",
            drive->path, own, wanted, drive->probe.superblock.drive_set.count);
    if (fgets(line, sizeof line, stdin) == NULL) {
        return false;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return strcmp(line, wanted) == 0;
}

/* Whether it was agreed to; else complains. */
static bool is_agreed(const struct mkv_drive_tool *drive,
                      const struct mkv_command_drive_line *line) {
    if (line->yes) {
        return true;
    }
    if (drive->probe.kind != MKV_DRIVE_PROBE_STORE) {
        mkv_command_drive_complain("wipe", "%s is %s, and has no uuid to ask for; say --yes",
                                   drive->path, mkv_drive_tool_kind_name(drive->probe.kind));
        return false;
    }
    if (agrees(drive)) {
        return true;
    }
    mkv_command_drive_complain("wipe", "that is not the uuid of the store; nothing was changed");
    return false;
}

static int wipe(struct mkv_drive_tool *drive, const struct mkv_command_drive_line *line) {
    struct mkv_backend_error error;
    bool discarded;
    if (drive->probe.kind == MKV_DRIVE_PROBE_BLANK && !drive->probe.format_was_cut) {
        printf("%s is blank already\n", drive->path);
        return MKV_EXIT_CLIENT_DONE;
    }
    if (!drive->probe.format_was_cut) {
        if (!is_ours(drive, line->force, &error)) {
            return mkv_command_drive_fail("wipe", &error);
        }
        if (!is_agreed(drive, line)) {
            return MKV_EXIT_CLIENT_USAGE;
        }
    }
    if (!mkv_drive_wipe(drive, &discarded, &error)) {
        return mkv_command_drive_fail("wipe", &error);
    }
    printf("%s is blank now; %s\n", drive->path,
           discarded ? "all of it was discarded"
                     : "it takes no discard, so the bytes of blocks are still on it");
    return MKV_EXIT_CLIENT_DONE;
}

int mkv_command_drive_wipe(int argc, char **argv) {
    struct mkv_command_drive_line line = {.command = "wipe",
                                          .help = help_wipe,
                                          .takes_yes = true,
                                          .takes_force = true,
                                          .paths_min = 1,
                                          .paths_max = 1};
    struct mkv_drive_tool drive;
    int exit_code;
    if (!mkv_command_drive_begin(&line, argc, argv, MKV_DRIVE_TOOL_WRITE, &drive, &exit_code)) {
        return exit_code;
    }
    exit_code = wipe(&drive, &line);
    mkv_drive_tool_close(&drive);
    return exit_code;
}

/* ---- export ---------------------------------------------------------------------------------- */

static json_t *exported_json(const struct mkv_drive_tool *drive, const char *path,
                             const struct mkv_drive_exported *exported,
                             const struct mkv_command_drive_report *report) {
    json_t *out = json_object();
    json_object_set_new(out, "path", mkv_command_drive_text(drive->path));
    json_object_set_new(out, "file", mkv_command_drive_text(path));
    json_object_set_new(out, "blocks", json_integer((json_int_t)exported->blocks));
    json_object_set_new(out, "bytes", json_integer((json_int_t)exported->bytes));
    json_object_set_new(out, "tenants", json_integer((json_int_t)exported->tenants));
    json_object_set_new(out, "expired", json_integer((json_int_t)exported->expired));
    json_object_set_new(out, "of_dropped_tenants", json_integer((json_int_t)exported->dropped));
    json_object_set_new(out, "damaged", json_integer((json_int_t)exported->damaged));
    json_object_set(out, "faults", report->faults);
    return out;
}

static int export(const struct mkv_drive_tool *drive, const struct mkv_command_drive_line *line) {
    struct mkv_command_drive_report report;
    struct mkv_drive_exported exported;
    struct mkv_backend_error error;
    mkv_command_drive_report_begin(&report, "export", "", line->json);
    int exit_code = MKV_EXIT_CLIENT_DONE;
    if (!mkv_drive_tool_is_store(drive, &error) ||
        !mkv_drive_export(drive, line->to[0], &report.report, &exported, &error)) {
        exit_code = mkv_command_drive_fail("export", &error);
    } else {
        char size[MKV_COMMAND_DRIVE_SIZE_BYTES];
        mkv_command_drive_size(exported.bytes, size);
        mkv_command_drive_progress_end(&report.progress);
        exit_code =
            exported.damaged == 0 ? (int)MKV_EXIT_CLIENT_DONE : (int)MKV_EXIT_CLIENT_NOT_FOUND;
        if (line->json) {
            exit_code = mkv_command_drive_print(
                exported_json(drive, line->to[0], &exported, &report), exit_code);
        } else {
            printf("%s: %" PRIu64 " blocks (%s) of %" PRIu64 " tenants in %s", drive->path,
                   exported.blocks, size, exported.tenants, line->to[0]);
            printf("; left out: %" PRIu64 " damaged, %" PRIu64 " expired, %" PRIu64
                   " of dropped tenants\n",
                   exported.damaged, exported.expired, exported.dropped);
        }
    }
    mkv_command_drive_report_end(&report);
    return exit_code;
}

int mkv_command_drive_export(int argc, char **argv) {
    struct mkv_command_drive_line line = {.command = "export",
                                          .help = help_export,
                                          .takes_json = true,
                                          .takes_to = true,
                                          .needs_to = true,
                                          .paths_min = 1,
                                          .paths_max = 1};
    struct mkv_drive_tool drive;
    int exit_code;
    if (!mkv_command_drive_begin(&line, argc, argv, MKV_DRIVE_TOOL_READ, &drive, &exit_code)) {
        return exit_code;
    }
    exit_code = export(&drive, &line);
    mkv_drive_tool_close(&drive);
    return exit_code;
}

/* ---- import ---------------------------------------------------------------------------------- */

static json_t *imported_json(const struct mkv_drive_imported *imported) {
    json_t *out = json_object();
    json_object_set_new(out, "store_uuid", mkv_command_drive_uuid(imported->store_uuid));
    json_object_set_new(out, "formatted", json_integer((json_int_t)imported->formatted));
    json_object_set_new(out, "blocks", json_integer((json_int_t)imported->blocks));
    json_object_set_new(out, "bytes", json_integer((json_int_t)imported->bytes));
    json_object_set_new(out, "there", json_integer((json_int_t)imported->there));
    json_object_set_new(out, "conflicts", json_integer((json_int_t)imported->conflicts));
    json_object_set_new(out, "no_space", json_integer((json_int_t)imported->no_space));
    json_object_set_new(out, "failed", json_integer((json_int_t)imported->failed));
    json_object_set_new(out, "expired", json_integer((json_int_t)imported->expired));
    return out;
}

static void imported_print(const struct mkv_drive_imported *imported) {
    char size[MKV_COMMAND_DRIVE_SIZE_BYTES];
    char uuid[MKV_UUID_TEXT_BYTES];
    mkv_command_drive_size(imported->bytes, size);
    mkv_uuid_format(imported->store_uuid, uuid);
    printf("store %s%s: %" PRIu64 " blocks (%s) stored, %" PRIu64 " there already", uuid,
           imported->formatted > 0 ? ", new" : "", imported->blocks, size, imported->there);
    printf("; left behind: %" PRIu64 " over other content, %" PRIu64 " without room, %" PRIu64
           " failed; %" PRIu64 " expired\n",
           imported->conflicts, imported->no_space, imported->failed, imported->expired);
}

/* The paths in storage.drives; `config` keeps them. */
static bool paths_of_config(const char *path, struct mkv_config *config,
                            struct mkv_command_drive_line *line) {
    struct mkv_config_error error;
    mkv_config_defaults(config, false);
    if (!mkv_config_load_file(config, path, &error)) {
        mkv_command_drive_complain(line->command, "%s", error.message);
        return false;
    }
    for (uint32_t i = 0; i < config->storage.drive_count; i++) {
        line->to[line->to_count++] = config->storage.drives[i].media;
    }
    if (line->to_count == 0) {
        mkv_command_drive_complain(line->command, "%s has no storage.drives", path);
    }
    return line->to_count > 0;
}

static int import(const struct mkv_command_drive_line *line) {
    struct mkv_command_drive_progress progress;
    struct mkv_drive_imported imported;
    struct mkv_backend_error error;
    mkv_command_drive_progress_begin(&progress, "import");
    const struct mkv_drive_import_options options = {
        .paths = line->to,
        .path_count = line->to_count,
        .streams = line->paths,
        .stream_count = line->path_count,
        .replace = line->replace,
        .progress = mkv_command_drive_progress,
        .context = &progress,
    };
    const bool done = mkv_drive_import(&options, &imported, &error);
    mkv_command_drive_progress_end(&progress);
    const bool all = imported.conflicts == 0 && imported.no_space == 0 && imported.failed == 0;
    int exit_code = all ? (int)MKV_EXIT_CLIENT_DONE : (int)MKV_EXIT_CLIENT_NOT_FOUND;
    if (!done) {
        exit_code = mkv_command_drive_fail("import", &error);
    }
    if (line->json && done) {
        return mkv_command_drive_print(imported_json(&imported), exit_code);
    }
    if (done || imported.blocks > 0) {
        imported_print(&imported);
    }
    return exit_code;
}

int mkv_command_drive_import(int argc, char **argv) {
    struct mkv_command_drive_line line = {.command = "import",
                                          .help = help_import,
                                          .takes_json = true,
                                          .takes_to = true,
                                          .takes_to_many = true,
                                          .takes_config = true,
                                          .takes_replace = true,
                                          .paths_min = 1,
                                          .paths_max = MKV_COMMAND_DRIVE_PATHS_MAX};
    _Static_assert(MKV_COMMAND_DRIVE_PATHS_MAX >= MKV_CONFIG_DRIVES_MAX, "a configuration's fit");
    int exit_code;
    if (!mkv_command_drive_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    if ((line.to_count > 0) == (line.config != NULL)) {
        mkv_command_drive_complain("import",
                                   "it needs the drives of one store: --to PATH for each, "
                                   "or --config FILE");
        return MKV_EXIT_CLIENT_USAGE;
    }
    struct mkv_config *config = malloc(sizeof *config);
    if (config == NULL) {
        mkv_command_drive_complain("import", "there is no memory. Free some");
        return MKV_EXIT_CLIENT_SERVER_ERROR;
    }
    exit_code = line.config != NULL && !paths_of_config(line.config, config, &line)
                    ? (int)MKV_EXIT_CLIENT_USAGE
                    : import(&line);
    free(config);
    return exit_code;
}
