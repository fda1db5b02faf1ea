/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin audit export` and `memkv admin audit verify`: of a node that runs, page by page, or
 * of a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/audit_export.h"
#include "admin/audit_verify.h"
#include "server/command_line.h"
#include "server/command_view.h"
#include "server/exit_codes.h"

#define PATH_BYTES 512u
/* An export is for whoever may read the audit. */
#define FILE_MODE 0600
/* Pages of one node: more than any audit that fits on it. */
#define PAGES_MAX 1000000u

static const char help_audit[] =
    "usage: memkv admin audit export [OPTIONS]\n"
    "       memkv admin audit verify [OPTIONS]\n"
    "\n"
    "The records of what administrators did, what destroyed data and who was refused\n"
    "(docs/audit.md). `memkv admin audit export --help`, `... verify --help` have the options.\n";

static const char help_export[] =
    "usage: memkv admin audit export [OPTIONS]\n"
    "\n"
    "Writes the records of a time.\n"
    "\n"
    "  --start TIME        the first moment, a day or a time in UTC: 2026-01-31,\n"
    "                      2026-01-31T12:00:00Z (the first record)\n"
    "  --end TIME          the last moment, inclusive (the last record)\n"
    "  --format FORMAT     json, one record a line, or csv (json)\n"
    "  --output FILE       where to write; it is made anew, for its owner alone\n"
    "                      (standard output)\n"
    "  --file FILE         read this audit and the files rotated from it, not a node's\n"
    "  --json              as --format json\n";
static const char help_export_behind[] =
    "\n"
    "Exit status: 0 done, 1 refused, 2 usage, 3 the node is not to be reached, 4 it, or a file,\n"
    "failed.\n";

static const char help_verify[] =
    "usage: memkv admin audit verify [OPTIONS]\n"
    "\n"
    "Checks that each record goes on from the one before it, and names the first that does not.\n"
    "Keep the head that it prints where nobody who can write the audit can write: with it a\n"
    "chain that was made anew, and a tail that was cut off, are found, too.\n"
    "\n"
    "  --file FILE         check this audit and the files rotated from it, not a node's\n"
    "  --expect-head HASH  with --file: a record must have this hash\n"
    "  --json              the verdict as JSON; of several nodes one a line\n";
static const char help_verify_behind[] =
    "\n"
    "Exit status: 0 intact, 1 not intact, 2 usage, 3 a node is not to be reached, 4 it, or a\n"
    "file, cannot be read.\n";

/* ---- export ---------------------------------------------------------------------------------- */

struct export {
    const char *start;
    const char *end;
    const char *format;
    const char *output;
    const char *file;
    bool json;
    bool csv;
    FILE *out;
    uint64_t records;
};

static bool write_record(struct export *export, const json_t *record) {
    export->records++;
    if (!export->csv) {
        return json_dumpf(record, export->out, JSON_COMPACT) == 0 &&
               fputc('\n', export->out) != EOF;
    }
    struct mkv_text text = {0};
    mkv_audit_csv_row(record, &text);
    const bool written = !text.failed && fputs(text.bytes, export->out) != EOF;
    mkv_text_free(&text);
    return written;
}

static int write_page(struct export *export, const json_t *records) {
    for (size_t i = 0; i < json_array_size(records); i++) {
        if (!write_record(export, json_array_get(records, i))) {
            mkv_command_admin_complain("audit export: %s cannot be written: %s",
                                       export->output == NULL ? "standard output" : export->output,
                                       strerror(errno));
            return MKV_EXIT_CLIENT_SERVER_ERROR;
        }
    }
    return MKV_EXIT_CLIENT_DONE;
}

/* What to do behind a page: another one from there on, or, with *code, none. */
static bool goes_on(bool complete, uint64_t from, uint64_t next, int *code) {
    if (*code != MKV_EXIT_CLIENT_DONE || complete) {
        return false;
    }
    if (next <= from) {
        mkv_command_admin_complain("audit export: behind record %" PRIu64
                                   " are more lines that are no records than a page holds; "
                                   "see memkv admin audit verify",
                                   from);
        *code = MKV_EXIT_CLIENT_SERVER_ERROR;
        return false;
    }
    return true;
}

static int export_file(struct export *export, uint64_t start_ms, uint64_t end_ms) {
    struct mkv_audit_export_options options = {
        .path = export->file, .start_ms = start_ms, .end_ms = end_ms, .sequence_end = UINT64_MAX};
    for (uint32_t pages = 0; pages < PAGES_MAX; pages++) {
        struct mkv_audit_page page;
        char error[MKV_AUDIT_ERROR_BYTES];
        if (!mkv_audit_export(&options, &page, error)) {
            mkv_command_admin_complain("audit export: %s", error);
            return MKV_EXIT_CLIENT_SERVER_ERROR;
        }
        int code = write_page(export, page.records);
        json_decref(page.records);
        if (!goes_on(page.complete, options.from, page.next_sequence, &code)) {
            return code;
        }
        options.from = page.next_sequence;
    }
    return MKV_EXIT_CLIENT_DONE;
}

static int export_node(struct export *export, const struct mkv_command_servers *servers) {
    char base[PATH_BYTES / 2];
    uint64_t from = 0;
    snprintf(base, sizeof base, "/v1/audit?format=json%s%s%s%s",
             export->start == NULL ? "" : "&start=", export->start == NULL ? "" : export->start,
             export->end == NULL ? "" : "&end=", export->end == NULL ? "" : export->end);
    for (uint32_t pages = 0; pages < PAGES_MAX; pages++) {
        char path[PATH_BYTES];
        struct mkv_view_answer answer;
        snprintf(path, sizeof path, "%s&from=%" PRIu64, base, from);
        mkv_view_ask(servers, 0, path, false, false, &answer);
        if (answer.error[0] != '\0') {
            mkv_view_complain(&answer);
            const int failed = answer.exit_code;
            mkv_view_answer_free(&answer);
            return failed;
        }
        int code = write_page(export, json_object_get(answer.object, "records"));
        const bool complete = json_is_true(json_object_get(answer.object, "complete"));
        const uint64_t next =
            (uint64_t)json_integer_value(json_object_get(answer.object, "next_sequence"));
        mkv_view_answer_free(&answer);
        if (!goes_on(complete, from, next, &code)) {
            return code;
        }
        from = next;
    }
    return MKV_EXIT_CLIENT_DONE;
}

static bool check_export(struct export *export, const struct mkv_command_line *line,
                         uint64_t *start_ms, uint64_t *end_ms) {
    *start_ms = 0;
    *end_ms = UINT64_MAX;
    if ((export->start != NULL && !mkv_audit_time_parse(export->start, false, start_ms)) ||
        (export->end != NULL && !mkv_audit_time_parse(export->end, true, end_ms))) {
        mkv_command_admin_complain("audit export: --start and --end take days like 2026-01-31, or "
                                   "times like 2026-01-31T12:00:00Z");
        return false;
    }
    export->csv = export->format != NULL && strcmp(export->format, "csv") == 0;
    if (export->format != NULL && !export->csv && strcmp(export->format, "json") != 0) {
        mkv_command_admin_complain("audit export: --format '%s' is not known; use json or csv",
                                   export->format);
        return false;
    }
    if (export->file == NULL && line->servers.count > 1) {
        mkv_command_admin_complain("audit export: each node has an audit of its own; name one");
        return false;
    }
    return true;
}

static FILE *make_file(const char *path) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (fd >= 0 && file == NULL) {
        close(fd);
    }
    return file;
}

static int run_export(int argc, char **argv) {
    struct export export = {0};
    struct mkv_command_line line = {
        .name = "audit export",
        .help = help_export,
        .help_behind = help_export_behind,
        .flags = {{"--start", "TIME", &export.start, NULL},
                  {"--end", "TIME", &export.end, NULL},
                  {"--format", "FORMAT", &export.format, NULL},
                  {"--output", "FILE", &export.output, NULL},
                  {"--file", "FILE", &export.file, NULL},
                  {"--json", NULL, NULL, &export.json}},
        .offline_when = &export.file,
    };
    int exit_code;
    uint64_t start_ms;
    uint64_t end_ms;
    if (!mkv_command_line_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    if (!check_export(&export, &line, &start_ms, &end_ms)) {
        return MKV_EXIT_CLIENT_USAGE;
    }
    export.out = export.output == NULL ? stdout : make_file(export.output);
    if (export.out == NULL) {
        mkv_command_admin_complain("audit export: %s cannot be made: %s", export.output,
                                   strerror(errno));
        return MKV_EXIT_CLIENT_USAGE;
    }
    struct mkv_text header = {0};
    mkv_audit_csv_header(&header);
    if (export.csv && !header.failed) {
        fputs(header.bytes, export.out);
    }
    mkv_text_free(&header);
    exit_code = export.file != NULL ? export_file(&export, start_ms, end_ms)
                                    : export_node(&export, &line.servers);
    const bool closed = export.output == NULL ? fflush(stdout) == 0 : fclose(export.out) == 0;
    if (!closed && exit_code == MKV_EXIT_CLIENT_DONE) {
        mkv_command_admin_complain("audit export: the output cannot be written: %s",
                                   strerror(errno));
        exit_code = MKV_EXIT_CLIENT_SERVER_ERROR;
    }
    if (exit_code == MKV_EXIT_CLIENT_DONE && export.output != NULL) {
        printf("%s: %" PRIu64 " records\n", export.output, export.records);
    }
    return mkv_view_finish(exit_code);
}

/* ---- verification ---------------------------------------------------------------------------- */

static void show_verdict(const char *where, bool json, bool intact, uint64_t records,
                         const char *head, const char *message) {
    if (json) {
        json_t *object =
            json_pack("{s:s, s:b, s:I, s:s, s:s?}", "audit", where, "intact", intact, "records",
                      (json_int_t)records, "head", head, "message", intact ? NULL : message);
        json_dumpf(object, stdout, JSON_COMPACT);
        printf("\n");
        json_decref(object);
    } else if (intact) {
        printf("%s: intact, %" PRIu64 " records, head %s\n", where, records, head);
    } else {
        printf("%s: NOT intact behind %" PRIu64 " records, head there %s: %s\n", where, records,
               head, message);
    }
}

static int verify_file(const char *file, const char *expected, bool json) {
    uint8_t head[MKV_AUDIT_HASH_BYTES];
    if (expected != NULL && !mkv_audit_hash_parse(expected, head)) {
        mkv_command_admin_complain("audit verify: --expect-head takes 64 hexadecimal digits, as "
                                   "verify prints them");
        return MKV_EXIT_CLIENT_USAGE;
    }
    const struct mkv_audit_verify_options options = {
        .path = file, .sequence_end = UINT64_MAX, .head = expected == NULL ? NULL : head};
    struct mkv_audit_verdict *verdict = calloc(1, sizeof *verdict);
    if (verdict == NULL || !mkv_audit_verify(&options, verdict)) {
        mkv_command_admin_complain("audit verify: %s",
                                   verdict == NULL ? "no memory" : verdict->message);
        free(verdict);
        return MKV_EXIT_CLIENT_SERVER_ERROR;
    }
    char text[MKV_AUDIT_HASH_TEXT_BYTES];
    const bool intact = verdict->intact;
    mkv_audit_hash_text(verdict->at.hash, text);
    show_verdict(file, json, intact, verdict->records, text, verdict->message);
    free(verdict);
    return intact ? MKV_EXIT_CLIENT_DONE : MKV_EXIT_CLIENT_NOT_FOUND;
}

static int verify_node(const struct mkv_command_servers *servers, uint32_t index, bool json) {
    char path[PATH_BYTES] = "/v1/audit/verify";
    uint64_t records = 0;
    for (uint32_t pages = 0; pages < PAGES_MAX; pages++) {
        struct mkv_view_answer answer;
        mkv_view_ask(servers, index, path, false, false, &answer);
        if (answer.error[0] != '\0') {
            mkv_view_complain(&answer);
            const int failed = answer.exit_code;
            mkv_view_answer_free(&answer);
            return failed;
        }
        const json_t *fault = json_object_get(answer.object, "fault");
        const char *message = json_string_value(json_object_get(fault, "message"));
        const char *hash = json_string_value(json_object_get(answer.object, "hash"));
        const bool intact = json_is_true(json_object_get(answer.object, "intact"));
        const bool complete = json_is_true(json_object_get(answer.object, "complete"));
        records += (uint64_t)json_integer_value(json_object_get(answer.object, "records"));
        if (intact && !complete && hash != NULL) {
            snprintf(path, sizeof path, "/v1/audit/verify?from=%" PRId64 "&hash=%.64s",
                     (int64_t)json_integer_value(json_object_get(answer.object, "next_sequence")),
                     hash);
            mkv_view_answer_free(&answer);
            continue;
        }
        char shown[MKV_AUDIT_ERROR_BYTES];
        mkv_text_clean(message == NULL ? "" : message, shown, sizeof shown);
        show_verdict(answer.server, json, intact, records, hash == NULL ? "?" : hash, shown);
        mkv_view_answer_free(&answer);
        return intact ? MKV_EXIT_CLIENT_DONE : MKV_EXIT_CLIENT_NOT_FOUND;
    }
    return MKV_EXIT_CLIENT_SERVER_ERROR;
}

static int run_verify(int argc, char **argv) {
    const char *file = NULL;
    const char *expected = NULL;
    bool json = false;
    struct mkv_command_line line = {
        .name = "audit verify",
        .help = help_verify,
        .help_behind = help_verify_behind,
        .flags = {{"--file", "FILE", &file, NULL},
                  {"--expect-head", "HASH", &expected, NULL},
                  {"--json", NULL, NULL, &json}},
        .offline_when = &file,
    };
    int exit_code;
    if (!mkv_command_line_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    if (file != NULL) {
        return mkv_view_finish(verify_file(file, expected, json));
    }
    if (expected != NULL) {
        mkv_command_admin_complain("audit verify: --expect-head needs --file; a node that runs "
                                   "knows its own head");
        return MKV_EXIT_CLIENT_USAGE;
    }
    exit_code = MKV_EXIT_CLIENT_DONE;
    for (uint32_t index = 0; index < line.servers.count; index++) {
        const int code = verify_node(&line.servers, index, json);
        exit_code = code > exit_code ? code : exit_code;
    }
    return mkv_view_finish(exit_code);
}

int mkv_command_audit(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "export") == 0) {
        return run_export(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "verify") == 0) {
        return run_verify(argc - 1, argv + 1);
    }
    const bool asked = argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (argc >= 2 && !asked) {
        mkv_command_admin_complain("audit has export and verify, not '%s'; see memkv admin audit "
                                   "--help",
                                   argv[1]);
        return MKV_EXIT_CLIENT_USAGE;
    }
    fputs(help_audit, asked ? stdout : stderr);
    return asked ? MKV_EXIT_CLIENT_DONE : MKV_EXIT_CLIENT_USAGE;
}
