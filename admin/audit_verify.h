/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the records of an audit are those that were written: every line is hashed, and has to go
 * on from the one before it. The first that does not fit is named; nothing behind it is believed.
 *
 * Invariants
 *  I1  An altered byte, and a record that was taken out, put in, moved or cut short, is found,
 *      unless all records behind it were made anew as well. Against that, and against a tail that
 *      was cut off, only a hash helps that was kept elsewhere: `head`.
 *  I2  A chain that does not begin with record 0 is believed only if a later record says that the
 *      files before it were removed, with the hash that the first record goes on from.
 *
 * Not responsible for: what the records say.
 */
#ifndef MKV_ADMIN_AUDIT_VERIFY_H
#define MKV_ADMIN_AUDIT_VERIFY_H

#include "admin/audit_walk.h"

struct mkv_audit_verify_options {
    const char *path;
    /* Go on from here, as an earlier step said; all zeroes: from the beginning. */
    struct mkv_audit_head from;
    bool from_set;
    uint64_t bytes_max;    /* stop behind so many; 0: never */
    uint64_t sequence_end; /* stop before this one; UINT64_MAX: never */
    const uint8_t *head;   /* a record with this hash must be there; NULL: none */
};

struct mkv_audit_verdict {
    bool intact;   /* what was read fits, and is whole if `complete` */
    bool complete; /* all was read; else `at` says where to go on */
    uint64_t records;
    uint64_t first_sequence;
    struct mkv_audit_head at; /* behind the last record that fits */
    bool head_found;          /* of options.head */
    bool being_written;       /* the last line has no end, and a process has the file */
    /* Of the first record that does not fit, unless intact. */
    enum mkv_audit_fault fault;
    uint64_t fault_sequence; /* that stands there, or should */
    char fault_file[MKV_AUDIT_PATH_BYTES];
    uint64_t fault_line;
    char message[MKV_AUDIT_ERROR_BYTES]; /* one line: what was found */
};

/* False: it cannot be read, and `verdict->message` says why. */
__attribute__((warn_unused_result)) bool mkv_audit_verify(
    const struct mkv_audit_verify_options *options, struct mkv_audit_verdict *verdict);

#endif
