/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `memkv drive` share: their command lines, and what they say how. */
#ifndef MKV_SERVER_COMMAND_DRIVE_INTERNAL_H
#define MKV_SERVER_COMMAND_DRIVE_INTERNAL_H

#include <jansson.h>

#include "server/drive_tool.h"
#include "server/drive_tool_report.h"
#include "server/exit_codes.h"

/* Paths that one command takes. */
#define MKV_COMMAND_DRIVE_PATHS_MAX MKV_VOLUMES_MAX

/* What a command line may say; each command takes some of it. */
struct mkv_command_drive_line {
    const char *command; /* "verify" */
    const char *help;
    /* What it takes. */
    bool takes_json, takes_to, takes_to_many, takes_in_place, takes_yes, takes_force, takes_config,
        takes_replace;
    bool needs_to;
    uint32_t paths_min, paths_max;
    /* What was said. */
    bool json, in_place, yes, force, replace;
    const char *to[MKV_COMMAND_DRIVE_PATHS_MAX];
    uint32_t to_count;
    const char *config;
    const char *paths[MKV_COMMAND_DRIVE_PATHS_MAX];
    uint32_t path_count;
};
/* False: *exit_code is what to exit with. */
__attribute__((warn_unused_result)) bool mkv_command_drive_parse(
    struct mkv_command_drive_line *line, int argc, char **argv, int *exit_code);

/* The same, and opens the drive that the one path names; the caller closes it. */
__attribute__((warn_unused_result)) bool mkv_command_drive_begin(
    struct mkv_command_drive_line *line, int argc, char **argv, enum mkv_drive_tool_access access,
    struct mkv_drive_tool *drive, int *exit_code);

__attribute__((format(printf, 2, 3))) void mkv_command_drive_complain(const char *command,
                                                                      const char *format, ...);
/* Says why, and returns the exit code for it. */
int mkv_command_drive_fail(const char *command, const struct mkv_backend_error *error);

/* ---- progress and faults --------------------------------------------------------------------- */

/* On standard error: on a terminal one line that changes, else a line every ten seconds. */
struct mkv_command_drive_progress {
    const char *command;
    bool terminal;
    uint64_t said_ns;
    bool shown;
};
void mkv_command_drive_progress_begin(struct mkv_command_drive_progress *progress,
                                      const char *command);
void mkv_command_drive_progress(void *progress, uint64_t done_bytes, uint64_t total_bytes);
void mkv_command_drive_progress_end(struct mkv_command_drive_progress *progress);

/* A report whose faults and notes go to standard output, or with `json` into an array each. */
struct mkv_command_drive_report {
    struct mkv_drive_report report;
    struct mkv_command_drive_progress progress;
    json_t *faults;
    json_t *notes;
    const char *before; /* each line */
};
void mkv_command_drive_report_begin(struct mkv_command_drive_report *report, const char *command,
                                    const char *before, bool json);
void mkv_command_drive_report_end(struct mkv_command_drive_report *report);

/* "1.5 GiB" */
#define MKV_COMMAND_DRIVE_SIZE_BYTES 24u
void mkv_command_drive_size(uint64_t bytes, char out[MKV_COMMAND_DRIVE_SIZE_BYTES]);
/* A uuid as JSON; and a text that may be no UTF-8. */
json_t *mkv_command_drive_uuid(struct mkv_uuid uuid);
json_t *mkv_command_drive_text(const char *text);
/* Prints and frees it. */
int mkv_command_drive_print(json_t *value, int exit_code);

/* ---- commands -------------------------------------------------------------------------------- */

int mkv_command_drive_list(int argc, char **argv);
int mkv_command_drive_inspect(int argc, char **argv);
int mkv_command_drive_verify(int argc, char **argv);
int mkv_command_drive_repair(int argc, char **argv);
int mkv_command_drive_wipe(int argc, char **argv);
int mkv_command_drive_export(int argc, char **argv);
int mkv_command_drive_import(int argc, char **argv);

#endif
