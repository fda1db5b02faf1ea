/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit_export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* In the order of the fields of a record. */
static const char *const columns[] = {
    "sequence",      "time",   "operation", "entity",  "outcome", "count",
    "log_position",  "tenant", "client",    "session", "address", "reason",
    "previous_hash", "hash",   "fault",     "file",    "line",
};
#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

static json_t *unreadable(const struct mkv_audit_walk *walk, enum mkv_audit_fault fault) {
    return json_pack("{s:s, s:I, s:s}", "file", walk->name, "line", (json_int_t)walk->line_number,
                     "fault", mkv_audit_fault_text(fault));
}

/* Takes the line of the walk into the page if it is asked for. False: nothing behind it is.
 * `*reached` is the sequence behind the last record that was read: what cannot be read belongs to
 * the page with the record before it, though that file is read again for the next page. */
static bool take(const struct mkv_audit_export_options *options, struct mkv_audit_walk *walk,
                 struct mkv_audit_page *page, uint64_t *page_bytes, uint64_t *reached) {
    struct mkv_audit_record record;
    json_t *object = NULL;
    const enum mkv_audit_fault fault =
        mkv_audit_line_read(walk->line, walk->bytes, &record, &object);
    if (fault != MKV_AUDIT_FITS) {
        if (*reached >= options->from) {
            json_array_append_new(page->records, unreadable(walk, fault));
            *page_bytes += walk->bytes;
        }
        return true;
    }
    if (record.sequence >= options->sequence_end) {
        json_decref(object);
        return false;
    }
    *reached = record.sequence + 1;
    page->next_sequence = *reached;
    if (record.sequence < options->from || record.time_ms < options->start_ms ||
        record.time_ms > options->end_ms) {
        json_decref(object);
        return true;
    }
    json_array_append_new(page->records, object);
    *page_bytes += walk->bytes;
    return true;
}

bool mkv_audit_export(const struct mkv_audit_export_options *options, struct mkv_audit_page *page,
                      char error[MKV_AUDIT_ERROR_BYTES]) {
    struct mkv_audit_walk *walk = calloc(1, sizeof *walk);
    *page = (struct mkv_audit_page){.records = json_array(), .next_sequence = options->from};
    bool done = walk != NULL && page->records != NULL;
    if (!done) {
        snprintf(error, MKV_AUDIT_ERROR_BYTES, "no memory to read the audit");
    }
    done = done && mkv_audit_walk_begin(options->path, walk, error);
    if (done) {
        uint64_t page_bytes = 0;
        uint64_t read_bytes = 0;
        uint64_t reached = 0;
        enum mkv_audit_step step;
        mkv_audit_walk_skip(walk, options->from);
        while ((step = mkv_audit_walk_next(walk, error)) == MKV_AUDIT_STEP_LINE) {
            if (!take(options, walk, page, &page_bytes, &reached)) {
                step = MKV_AUDIT_STEP_END;
                break;
            }
            /* What is passed over before `from` does not count: the page has to get on. */
            read_bytes += page->next_sequence > options->from ? walk->bytes : 0;
            if (page_bytes >= MKV_AUDIT_PAGE_BYTES || read_bytes >= MKV_AUDIT_PAGE_READ_BYTES) {
                break;
            }
        }
        mkv_audit_walk_end(walk);
        page->complete = step == MKV_AUDIT_STEP_END;
        done = step != MKV_AUDIT_STEP_FAILED;
    }
    if (!done) {
        json_decref(page->records);
        page->records = NULL;
    }
    free(walk);
    return done;
}

void mkv_audit_csv_header(struct mkv_text *text) {
    for (size_t index = 0; index < COLUMN_COUNT; index++) {
        mkv_text_format(text, "%s%s", index == 0 ? "" : ",", columns[index]);
    }
    mkv_text_string(text, "\r\n");
}

/* What a spreadsheet takes for the beginning of a formula. A client may give itself any name. */
#define FORMULA_BEGINNINGS "=+-@"

/* A text in quotes, with those in it doubled. */
static void append_quoted(struct mkv_text *text, const char *value) {
    const bool formula = value[0] != '\0' && strchr(FORMULA_BEGINNINGS, value[0]) != NULL;
    mkv_text_string(text, formula ? "\"'" : "\"");
    for (const char *at = value; *at != '\0';) {
        const size_t plain = strcspn(at, "\"");
        mkv_text_append(text, at, plain);
        at += plain;
        if (*at == '"') {
            mkv_text_string(text, "\"\"");
            at++;
        }
    }
    mkv_text_string(text, "\"");
}

void mkv_audit_csv_row(const json_t *record, struct mkv_text *text) {
    for (size_t index = 0; index < COLUMN_COUNT; index++) {
        const json_t *value = json_object_get(record, columns[index]);
        mkv_text_string(text, index == 0 ? "" : ",");
        if (json_is_integer(value)) {
            mkv_text_format(text, "%" PRId64, (int64_t)json_integer_value(value));
        } else if (json_is_string(value)) {
            append_quoted(text, json_string_value(value));
        }
    }
    mkv_text_string(text, "\r\n");
}
