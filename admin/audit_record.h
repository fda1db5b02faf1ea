/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record of the audit: what was done or refused, by whom, when, and the hash that chains it to
 * the record before. Pure: an entry goes in, a line comes out, and the way back.
 *
 *   {"sequence":7,"time":"2026-11-21T09:00:00.123Z","operation":"tenant_drop",...,
 *    "previous_hash":"<64 hex of record 6>","hash":"<64 hex>"}\n              (on one line)
 *
 *   hash = SHA-256 of all bytes of the line before `,"hash":"`, and `previous_hash` is among them;
 *   record 0 has 64 zeros there
 *
 * Invariants
 *  I1  A line is one JSON object with all fields of the table in docs/audit.md, in that order,
 *      whatever bytes the texts of an entry hold, and ends with the only newline that it has.
 *  I2  A line has at most MKV_AUDIT_LINE_BYTES_MAX bytes.
 *  I3  No byte of a line can be altered without mkv_audit_line_read telling: those before the hash
 *      are hashed, those behind it are compared.
 *
 * Not responsible for: files (audit_file.h), and what is worth a record (audit.h).
 */
#ifndef MKV_ADMIN_AUDIT_RECORD_H
#define MKV_ADMIN_AUDIT_RECORD_H

#include <jansson.h>

#include "core/base.h"
#include "core/tenant_names.h"

#define MKV_AUDIT_LINE_BYTES_MAX 8192u
#define MKV_AUDIT_HASH_BYTES 32u
/* 64 hexadecimal digits and the closing NUL. */
#define MKV_AUDIT_HASH_TEXT_BYTES 65u
#define MKV_AUDIT_TEXT_BYTES 256u
#define MKV_AUDIT_NAME_BYTES 128u
#define MKV_AUDIT_POSITION_BYTES 1024u
/* "2026-11-21T09:00:00.123Z" and the closing NUL. */
#define MKV_AUDIT_TIME_BYTES 25u

/* A closed list; the words are those of mkv_audit_operations. */
enum mkv_audit_operation {
    MKV_AUDIT_GENESIS = 0,   /* the first record of a chain */
    MKV_AUDIT_START,         /* a node starts; entity is its configuration */
    MKV_AUDIT_DRAIN,         /* a signal asked for the end */
    MKV_AUDIT_STOP,          /* the node has ended */
    MKV_AUDIT_FORMAT,        /* a drive got a new, empty store */
    MKV_AUDIT_DRIVES_LOST,   /* an operator declared drives lost */
    MKV_AUDIT_DRIVE_SET,     /* a drive names a new set of drives */
    MKV_AUDIT_DRIVE_EMPTIED, /* a drive came up empty: what stood there could not be trusted */
    MKV_AUDIT_PURGE,         /* a drive dropped the blocks of keys that now go to another */
    MKV_AUDIT_CHECKPOINT,    /* a drive's last checkpoint and its clean mark are durable */
    MKV_AUDIT_TENANT_DROP,
    MKV_AUDIT_KEYS_DELETE, /* keys that a client deleted, summed up */
    MKV_AUDIT_LOG_LEVEL,
    MKV_AUDIT_PROFILE,
    MKV_AUDIT_DIAGNOSTICS,
    MKV_AUDIT_EXPORT,
    MKV_AUDIT_AUTH_REFUSED, /* somebody was not let in, or not allowed what was asked */
    MKV_AUDIT_ROTATE,       /* the first record of a file that goes on behind another */
    MKV_AUDIT_REMOVE,       /* a file of old records was removed, as audit.files_max says */
    MKV_AUDIT_REPAIR,       /* a record that a crash had cut short was taken away */
    MKV_AUDIT_BROKEN,       /* the last record of the file before does not fit */
    MKV_AUDIT_LOST,         /* records that found no room */
    MKV_AUDIT_DRIVE_LIFE,   /* an operator took a drive out, brought it back, replaced, erased it */
};
#define MKV_AUDIT_OPERATION_COUNT 23u
extern const char *const mkv_audit_operations[MKV_AUDIT_OPERATION_COUNT + 1];

/* What happened. Texts are cleaned when they are written; "" is null in the line. */
struct mkv_audit_entry {
    enum mkv_audit_operation operation;
    char entity[MKV_AUDIT_TEXT_BYTES];  /* what it was done to */
    char outcome[MKV_AUDIT_NAME_BYTES]; /* "ok", "refused", or the failure */
    uint64_t count;                     /* how many it stands for, at least 1 */
    /* The last durable sequence of each drive's journal, "d00:17 d01:9": what the operation did to
     * blocks is in the journal at or before it. */
    char log_position[MKV_AUDIT_POSITION_BYTES];
    char tenant[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    char client[MKV_AUDIT_NAME_BYTES]; /* the name or the credential that it came with */
    uint64_t session;                  /* 0: none */
    char address[MKV_AUDIT_NAME_BYTES];
    char reason[2 * MKV_AUDIT_TEXT_BYTES];
};

/* Where a chain stands: what the next record must go on from. All zeroes: it has none yet. */
struct mkv_audit_head {
    uint64_t next_sequence;
    uint8_t hash[MKV_AUDIT_HASH_BYTES]; /* of the last record */
};

enum mkv_audit_fault {
    MKV_AUDIT_FITS = 0,
    MKV_AUDIT_CUT,      /* it has no newline at its end */
    MKV_AUDIT_SHAPE,    /* no record at all */
    MKV_AUDIT_ALTERED,  /* its bytes are not those that were hashed */
    MKV_AUDIT_MISSING,  /* records before it are not there */
    MKV_AUDIT_REPEATED, /* it stands where a later one has to */
    MKV_AUDIT_UNCHAINED /* it does not go on from the record before */
};
/* A whole sentence's end: "the record was altered". */
const char *mkv_audit_fault_text(enum mkv_audit_fault fault);

/* What a line says. */
struct mkv_audit_record {
    uint64_t sequence;
    uint64_t time_ms;
    enum mkv_audit_operation operation;
    uint8_t previous[MKV_AUDIT_HASH_BYTES];
    uint8_t hash[MKV_AUDIT_HASH_BYTES];
};

/* Writes the line that follows `head` and moves `head` behind it. Returns its bytes, the closing
 * NUL not counted; 0 when there is no memory. */
__attribute__((warn_unused_result)) uint32_t mkv_audit_line(
    const struct mkv_audit_entry *entry, uint64_t time_ms, struct mkv_audit_head *head,
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1]);

/* Reads a line by itself: FITS, CUT, SHAPE or ALTERED. `object`, unless NULL, gets the fields when
 * it fits; the caller lets it go. */
__attribute__((warn_unused_result)) enum mkv_audit_fault mkv_audit_line_read(
    const char *line, size_t bytes, struct mkv_audit_record *record, json_t **object);
/* Whether a record follows `head`, and then moves `head` behind it. */
__attribute__((warn_unused_result)) enum mkv_audit_fault mkv_audit_follows(
    const struct mkv_audit_record *record, struct mkv_audit_head *head);

void mkv_audit_hash_text(const uint8_t hash[MKV_AUDIT_HASH_BYTES],
                         char text[MKV_AUDIT_HASH_TEXT_BYTES]);
/* False: no 64 hexadecimal digits. */
bool mkv_audit_hash_parse(const char *text, uint8_t hash[MKV_AUDIT_HASH_BYTES]);
void mkv_audit_time_text(uint64_t time_ms, char text[MKV_AUDIT_TIME_BYTES]);
/* Takes "2026-01-31", or that with "T12:00", "T12:00:00", "T12:00:00.123" and Z behind; a day alone
 * is its first millisecond, or with `end` its last. False: it is no such time. */
bool mkv_audit_time_parse(const char *text, bool end, uint64_t *time_ms);

#endif
