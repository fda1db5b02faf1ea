/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_drive.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/text.h"
#include "backends/clock.h"
#include "server/command_drive_internal.h"
#include "server/drive_set.h"
#include "server/usage.h"

#define NS_PER_S 1000000000ull
/* How often progress is told, on a terminal and elsewhere. */
#define TERMINAL_NS (NS_PER_S / 2)
#define LINES_NS (10 * NS_PER_S)

static const char help_text[] =
    "usage: memkv drive COMMAND [OPTIONS] PATH\n"
    "\n"
    "Drives that no daemon has: devices and store files, by path. A drive that a daemon, or\n"
    "anybody else, has is refused; docs/drive-tool.md has more.\n"
    "\n"
    "  list [PATH...]           what is on drives\n"
    "  inspect PATH             everything that a drive says of itself\n"
    "  verify PATH              read all of it and hold it against itself\n"
    "  repair PATH              mend what verify finds, on a copy\n"
    "  wipe PATH                make it blank\n"
    "  export PATH --to FILE    its blocks, into a file\n"
    "  import FILE --to PATH    blocks of such a file, into a store\n"
    "\n"
    "memkv drive COMMAND --help has the options. For drives of a node that runs: memkv admin.\n"
    "\n"
    "Exit status: 0 done, 1 faults were found or blocks left behind, 2 usage, 4 a drive or a\n"
    "file cannot be had, read or written.\n";

/* ---- the command line ------------------------------------------------------------------------ */

void mkv_command_drive_complain(const char *command, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "memkv drive%s%s: ", command[0] == '\0' ? "" : " ", command);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int mkv_command_drive_fail(const char *command, const struct mkv_backend_error *error) {
    mkv_command_drive_complain(command, "%s", error->text);
    return MKV_EXIT_CLIENT_SERVER_ERROR;
}

/* A flag without a value, if this command takes it. */
static bool *flag_of(struct mkv_command_drive_line *line, const char *argument) {
    if (line->takes_json && strcmp(argument, "--json") == 0) {
        return &line->json;
    }
    if (line->takes_in_place && strcmp(argument, "--in-place") == 0) {
        return &line->in_place;
    }
    if (line->takes_yes && strcmp(argument, "--yes") == 0) {
        return &line->yes;
    }
    if (line->takes_force && strcmp(argument, "--force") == 0) {
        return &line->force;
    }
    return line->takes_replace && strcmp(argument, "--replace") == 0 ? &line->replace : NULL;
}

static const char **value_of(struct mkv_command_drive_line *line, const char *name) {
    const uint32_t to_max = line->takes_to_many ? MKV_COMMAND_DRIVE_PATHS_MAX : 1;
    if (line->takes_to && strcmp(name, "--to") == 0 && line->to_count < to_max) {
        line->to_count++;
        return &line->to[line->to_count - 1];
    }
    return line->takes_config && strcmp(name, "--config") == 0 && line->config == NULL
               ? &line->config
               : NULL;
}

/* Takes "--to FILE" or "--to=FILE". */
static bool take_value(struct mkv_command_drive_line *line, int argc, char **argv, int *index) {
    char name[16];
    const char *equals = strchr(argv[*index], '=');
    const size_t bytes = equals == NULL ? strlen(argv[*index]) : (size_t)(equals - argv[*index]);
    if (bytes >= sizeof name) {
        return false;
    }
    memcpy(name, argv[*index], bytes);
    name[bytes] = '\0';
    const char **value = value_of(line, name);
    if (value == NULL) {
        return false;
    }
    if (equals != NULL) {
        *value = equals + 1;
    } else if (*index + 1 < argc) {
        *index += 1;
        *value = argv[*index];
    } else {
        *value = "";
    }
    return true;
}

static bool take(struct mkv_command_drive_line *line, int argc, char **argv, int *index) {
    const char *argument = argv[*index];
    bool *flag = flag_of(line, argument);
    if (flag != NULL) {
        *flag = true;
        return true;
    }
    if (argument[0] == '-' && take_value(line, argc, argv, index)) {
        if (argv[*index][0] != '\0') {
            return true;
        }
        mkv_command_drive_complain(line->command, "%s needs a path behind it", argument);
        return false;
    }
    if (argument[0] == '-' || argument[0] == '\0' || line->path_count == line->paths_max) {
        mkv_command_drive_complain(line->command, "it takes no '%s'; see memkv drive %s --help",
                                   argument, line->command);
        return false;
    }
    line->paths[line->path_count] = argument;
    line->path_count++;
    return true;
}

bool mkv_command_drive_parse(struct mkv_command_drive_line *line, int argc, char **argv,
                             int *exit_code) {
    *exit_code = MKV_EXIT_CLIENT_USAGE;
    for (int index = 1; index < argc; index++) {
        if (strcmp(argv[index], "--help") == 0 || strcmp(argv[index], "-h") == 0) {
            fputs(line->help, stdout);
            *exit_code = MKV_EXIT_CLIENT_DONE;
            return false;
        }
        if (!take(line, argc, argv, &index)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < line->to_count; i++) {
        if (line->to[i][0] == '\0') {
            mkv_command_drive_complain(line->command, "--to needs a path behind it");
            return false;
        }
    }
    if (line->path_count < line->paths_min) {
        mkv_command_drive_complain(line->command, "it needs a path; see memkv drive %s --help",
                                   line->command);
        return false;
    }
    if (line->needs_to && line->to_count == 0) {
        mkv_command_drive_complain(line->command, "it needs --to FILE");
        return false;
    }
    return true;
}

bool mkv_command_drive_begin(struct mkv_command_drive_line *line, int argc, char **argv,
                             enum mkv_drive_tool_access access, struct mkv_drive_tool *drive,
                             int *exit_code) {
    struct mkv_backend_error error;
    MKV_ASSERT(line->paths_min == 1);
    MKV_ASSERT(line->paths_max == 1);
    if (!mkv_command_drive_parse(line, argc, argv, exit_code)) {
        return false;
    }
    if (!mkv_drive_tool_open(drive, line->paths[0], access, &error)) {
        *exit_code = mkv_command_drive_fail(line->command, &error);
        return false;
    }
    return true;
}

/* ---- what is said ---------------------------------------------------------------------------- */

void mkv_command_drive_size(uint64_t bytes, char out[MKV_COMMAND_DRIVE_SIZE_BYTES]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(out, MKV_COMMAND_DRIVE_SIZE_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value,
             units[unit]);
}

json_t *mkv_command_drive_uuid(struct mkv_uuid uuid) {
    char text[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(uuid, text);
    return json_string(text);
}

json_t *mkv_command_drive_text(const char *text) {
    char clean[1024];
    mkv_text_clean(text, clean, sizeof clean);
    return json_string(clean);
}

int mkv_command_drive_print(json_t *value, int exit_code) {
    const bool printed =
        value != NULL && json_dumpf(value, stdout, JSON_INDENT(2)) == 0 && fputc('\n', stdout) > 0;
    json_decref(value);
    return printed && fflush(stdout) == 0 ? exit_code : (int)MKV_EXIT_CLIENT_SERVER_ERROR;
}

void mkv_command_drive_progress_begin(struct mkv_command_drive_progress *progress,
                                      const char *command) {
    *progress = (struct mkv_command_drive_progress){
        .command = command,
        .terminal = isatty(STDERR_FILENO) == 1,
        .said_ns = mkv_clock_monotonic_ns(),
    };
}

void mkv_command_drive_progress(void *context, uint64_t done_bytes, uint64_t total_bytes) {
    struct mkv_command_drive_progress *progress = context;
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    if (now_ns - progress->said_ns < (progress->terminal ? TERMINAL_NS : LINES_NS)) {
        return;
    }
    char done[MKV_COMMAND_DRIVE_SIZE_BYTES];
    char total[MKV_COMMAND_DRIVE_SIZE_BYTES];
    mkv_command_drive_size(done_bytes, done);
    mkv_command_drive_size(total_bytes, total);
    const double share =
        total_bytes == 0 ? 100.0 : 100.0 * (double)done_bytes / (double)total_bytes;
    fprintf(stderr, "%smemkv drive %s: %.1f %%, %s of %s%s", progress->terminal ? "\r" : "",
            progress->command, share, done, total, progress->terminal ? "\x1b[K" : "\n");
    progress->said_ns = now_ns;
    progress->shown = true;
}

void mkv_command_drive_progress_end(struct mkv_command_drive_progress *progress) {
    if (progress->terminal && progress->shown) {
        fputs("\r\x1b[K", stderr);
    }
    progress->shown = false;
}

static void on_fault(void *context, enum mkv_drive_fault fault, uint64_t unit, const char *text) {
    struct mkv_command_drive_report *report = context;
    mkv_command_drive_progress_end(&report->progress);
    if (report->faults == NULL) {
        printf("%s%s at unit %" PRIu64 ": %s\n", report->before, mkv_drive_fault_name(fault), unit,
               text);
        return;
    }
    json_t *entry = json_object();
    json_object_set_new(entry, "kind", json_string(mkv_drive_fault_name(fault)));
    json_object_set_new(entry, "unit", json_integer((json_int_t)unit));
    json_object_set_new(entry, "text", mkv_command_drive_text(text));
    json_array_append_new(report->faults, entry);
}

static void on_note(void *context, const char *text) {
    struct mkv_command_drive_report *report = context;
    if (report->notes == NULL) {
        mkv_command_drive_progress_end(&report->progress);
        printf("%snote: %s\n", report->before, text);
        return;
    }
    json_array_append_new(report->notes, mkv_command_drive_text(text));
}

static void on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes) {
    mkv_command_drive_progress(&((struct mkv_command_drive_report *)context)->progress, done_bytes,
                               total_bytes);
}

void mkv_command_drive_report_begin(struct mkv_command_drive_report *report, const char *command,
                                    const char *before, bool json) {
    memset(report, 0, sizeof *report);
    report->before = before;
    report->faults = json ? json_array() : NULL;
    report->notes = json ? json_array() : NULL;
    mkv_command_drive_progress_begin(&report->progress, command);
    report->report.fault = on_fault;
    report->report.note = on_note;
    report->report.progress = on_progress;
    report->report.context = report;
}

void mkv_command_drive_report_end(struct mkv_command_drive_report *report) {
    mkv_command_drive_progress_end(&report->progress);
    mkv_drive_report_end(&report->report);
    json_decref(report->faults);
    json_decref(report->notes);
}

/* ---- which command --------------------------------------------------------------------------- */

int mkv_command_drive(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"list", mkv_command_drive_list},     {"inspect", mkv_command_drive_inspect},
        {"verify", mkv_command_drive_verify}, {"repair", mkv_command_drive_repair},
        {"wipe", mkv_command_drive_wipe},     {"export", mkv_command_drive_export},
        {"import", mkv_command_drive_import},
    };
    static const struct mkv_usage_command names[] = {
        {"list", "", ""}, {"inspect", "", ""}, {"verify", "", ""}, {"repair", "", ""},
        {"wipe", "", ""}, {"export", "", ""},  {"import", "", ""}, {NULL, NULL, NULL},
    };
    if (argc < 2) {
        fputs(help_text, stderr);
        return MKV_EXIT_CLIENT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(help_text, stdout);
        return MKV_EXIT_CLIENT_DONE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    const char *guess = mkv_usage_guess(names, argv[1]);
    char quoted[64];
    mkv_text_clean(argv[1], quoted, sizeof quoted);
    mkv_command_drive_complain("", "there is no '%s'%s%s%s; see memkv drive --help", quoted,
                               guess == NULL ? "" : ", did you mean '", guess == NULL ? "" : guess,
                               guess == NULL ? "" : "'?");
    return MKV_EXIT_CLIENT_USAGE;
}
