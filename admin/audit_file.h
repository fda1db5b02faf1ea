/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that audit records are appended to, and the files that are rotated away from it.
 *
 *   open --> append ... append --> sync --> append ... --> close
 *              |                    |
 *              |                    a sync that fails takes back all appends since the last one
 *              the file has audit.max_size: sync, rename to audit.log.NNNNNN, begin a new one whose
 *              first record goes on from the last of the old
 *
 * What a crash leaves: records that were synced, and behind them at most a piece of one that was
 * not. Opening cuts such a piece off and says so in a record. A last line that has an end and does
 * not fit was no crash: it stays, and a record says that.
 *
 * Invariants
 *  I1  What was synced is never written again; only an unfinished piece behind it is cut off.
 *  I2  The chain goes on over files, over starts, and over what was removed.
 *  I3  At most files_max files stay, the one that is written included. The oldest is removed only
 *      after a durable record that names the hash of its last record.
 *  I4  One process at a time has the file (flock).
 *
 * Not responsible for: threads, and what is recorded (audit.h).
 */
#ifndef MKV_ADMIN_AUDIT_FILE_H
#define MKV_ADMIN_AUDIT_FILE_H

#include "admin/audit_walk.h"

#define MKV_AUDIT_FILES_MIN 2u

struct mkv_audit_file_options {
    const char *path;
    const char *node;   /* its name, for the first record of all */
    uint64_t bytes_max; /* of one file, at least MKV_AUDIT_LINE_BYTES_MAX */
    uint32_t files_max; /* at least MKV_AUDIT_FILES_MIN */
};

struct mkv_audit_file;

/* Opens or makes it; `time_ms` is now. False: one line says why. */
__attribute__((warn_unused_result)) bool mkv_audit_file_open(
    const struct mkv_audit_file_options *options, uint64_t time_ms, struct mkv_audit_file **file,
    char error[MKV_AUDIT_ERROR_BYTES]);
/* NULL is allowed. What was not synced may be lost. */
void mkv_audit_file_close(struct mkv_audit_file *file);

/* Appends a record. False: it does not stand there, and `error` says why. */
__attribute__((warn_unused_result)) bool mkv_audit_file_append(struct mkv_audit_file *file,
                                                               const struct mkv_audit_entry *entry,
                                                               uint64_t time_ms,
                                                               char error[MKV_AUDIT_ERROR_BYTES]);
/* Makes durable what was appended. False: none of it stands there any more. */
__attribute__((warn_unused_result)) bool mkv_audit_file_sync(struct mkv_audit_file *file,
                                                             char error[MKV_AUDIT_ERROR_BYTES]);
/* Behind the last record that was synced. */
struct mkv_audit_head mkv_audit_file_head(const struct mkv_audit_file *file);
/* Whether the last record did not fit when the file was opened. */
bool mkv_audit_file_was_broken(const struct mkv_audit_file *file);

#endif
