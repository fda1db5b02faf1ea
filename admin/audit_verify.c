/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct run {
    const struct mkv_audit_verify_options *options;
    struct mkv_audit_verdict *verdict;
    struct mkv_audit_walk walk;
    uint64_t bytes;
    /* The first record goes on from this hash, of a record that is not there. */
    bool beginning_missing;
    char before_first[MKV_AUDIT_HASH_TEXT_BYTES];
};

/* Whether a process has the file: then it may be in the middle of a line. */
static bool is_held(const char *path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

static void blame(struct run *run, enum mkv_audit_fault fault, uint64_t sequence) {
    struct mkv_audit_verdict *verdict = run->verdict;
    verdict->intact = false;
    verdict->fault = fault;
    verdict->fault_sequence = sequence;
    memcpy(verdict->fault_file, run->walk.name, sizeof verdict->fault_file);
    verdict->fault_line = run->walk.line_number;
    snprintf(verdict->message, sizeof verdict->message,
             "record %" PRIu64 " does not fit (%.300s:%" PRIu64 "): %s", sequence, run->walk.name,
             run->walk.line_number, mkv_audit_fault_text(fault));
}

static void note_first(struct run *run, const struct mkv_audit_record *record) {
    run->verdict->first_sequence = record->sequence;
    if (record->sequence == 0 || run->options->from_set) {
        return;
    }
    run->beginning_missing = true;
    mkv_audit_hash_text(record->previous, run->before_first);
    run->verdict->at.next_sequence = record->sequence;
    memcpy(run->verdict->at.hash, record->previous, sizeof run->verdict->at.hash);
}

/* Looks at the line of the walk; false: do not go on. */
static bool look(struct run *run) {
    struct mkv_audit_verdict *verdict = run->verdict;
    struct mkv_audit_record record;
    json_t *object = NULL;
    enum mkv_audit_fault fault =
        mkv_audit_line_read(run->walk.line, run->walk.bytes, &record, &object);
    if (fault == MKV_AUDIT_CUT && run->walk.file_index == run->walk.files.count &&
        is_held(run->walk.path)) {
        verdict->being_written = true;
        return false;
    }
    if (fault != MKV_AUDIT_FITS) {
        blame(run, fault, verdict->at.next_sequence);
        return false;
    }
    if (run->options->from_set && record.sequence < run->options->from.next_sequence) {
        json_decref(object);
        return true;
    }
    if (record.sequence >= run->options->sequence_end) {
        json_decref(object);
        return false;
    }
    if (verdict->records == 0) {
        note_first(run, &record);
    }
    fault = mkv_audit_follows(&record, &verdict->at);
    if (fault != MKV_AUDIT_FITS) {
        blame(run, fault, record.sequence);
        json_decref(object);
        return false;
    }
    if (record.operation == MKV_AUDIT_REMOVE && run->beginning_missing) {
        const char *reason = json_string_value(json_object_get(object, "reason"));
        run->beginning_missing = reason == NULL || strstr(reason, run->before_first) == NULL;
    }
    json_decref(object);
    verdict->records++;
    verdict->head_found =
        verdict->head_found || (run->options->head != NULL &&
                                memcmp(run->options->head, record.hash, sizeof record.hash) == 0);
    run->bytes += run->walk.bytes;
    if (run->options->bytes_max > 0 && run->bytes >= run->options->bytes_max) {
        verdict->complete = false;
        return false;
    }
    return true;
}

/* What can be said only at the end. */
static void conclude(struct run *run) {
    struct mkv_audit_verdict *verdict = run->verdict;
    if (!verdict->intact || !verdict->complete) {
        return;
    }
    if (run->beginning_missing) {
        verdict->intact = false;
        verdict->fault = MKV_AUDIT_MISSING;
        verdict->fault_sequence = verdict->first_sequence;
        snprintf(verdict->message, sizeof verdict->message,
                 "records 0 to %" PRIu64 " are missing, and no record says that they were removed",
                 verdict->first_sequence - 1);
    } else if (run->options->head != NULL && !verdict->head_found) {
        verdict->intact = false;
        verdict->fault = MKV_AUDIT_MISSING;
        verdict->fault_sequence = verdict->at.next_sequence;
        snprintf(verdict->message, sizeof verdict->message,
                 "no record has the expected hash: what was written up to it was cut off or made "
                 "anew");
    } else if (verdict->records == 0 && !run->options->from_set) {
        verdict->intact = false;
        verdict->fault = MKV_AUDIT_MISSING;
        snprintf(verdict->message, sizeof verdict->message,
                 "there is no record, not even the first of a chain");
    }
}

bool mkv_audit_verify(const struct mkv_audit_verify_options *options,
                      struct mkv_audit_verdict *verdict) {
    memset(verdict, 0, sizeof *verdict);
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        snprintf(verdict->message, sizeof verdict->message, "no memory to read the audit");
        return false;
    }
    run->options = options;
    run->verdict = verdict;
    verdict->intact = true;
    verdict->complete = true;
    verdict->at = options->from;
    bool read = mkv_audit_walk_begin(options->path, &run->walk, verdict->message);
    if (read) {
        if (options->from_set) {
            mkv_audit_walk_skip(&run->walk, options->from.next_sequence);
        }
        enum mkv_audit_step step;
        do {
            step = mkv_audit_walk_next(&run->walk, verdict->message);
        } while (step == MKV_AUDIT_STEP_LINE && look(run));
        mkv_audit_walk_end(&run->walk);
        read = step != MKV_AUDIT_STEP_FAILED;
    }
    if (read) {
        conclude(run);
    }
    free(run);
    return read;
}
