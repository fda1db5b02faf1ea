/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of an audit in their order, over all its files: those that were rotated away, by
 * their numbers, then the one that is written.
 *
 *   audit.log.000004  audit.log.000005  audit.log
 *   [old ............][................][.......... new]
 *
 * Invariants
 *  I1  No line is held that is longer than a record may be: what is beyond it is passed over, and
 *      the line is given out cut.
 *  I2  A walk reads and changes nothing; a daemon may write to the last file meanwhile.
 *
 * Not responsible for: what lines say (audit_record.h) and whether they fit (audit_verify.h).
 */
#ifndef MKV_ADMIN_AUDIT_WALK_H
#define MKV_ADMIN_AUDIT_WALK_H

#include <stdio.h>

#include "admin/audit_record.h"

#define MKV_AUDIT_ERROR_BYTES 512u
#define MKV_AUDIT_PATH_BYTES 1100u
/* Numbers of rotated files have six digits at least. */
#define MKV_AUDIT_FILE_NUMBER_MAX 999999999u
/* More files than this are refused: audit.files_max keeps fewer. */
#define MKV_AUDIT_FILES_MAX 1024u

/* The numbers of the rotated files of `path`, the lowest first. */
struct mkv_audit_files {
    uint32_t count;
    uint32_t numbers[MKV_AUDIT_FILES_MAX];
};
__attribute__((warn_unused_result)) bool mkv_audit_files_list(const char *path,
                                                              struct mkv_audit_files *files,
                                                              char error[MKV_AUDIT_ERROR_BYTES]);
/* "audit.log.000004" of "audit.log". */
void mkv_audit_file_name(const char *path, uint32_t number, char name[MKV_AUDIT_PATH_BYTES]);

struct mkv_audit_walk {
    char path[MKV_AUDIT_PATH_BYTES];
    struct mkv_audit_files files;
    uint32_t file_index;             /* of the file that is read; files.count is the last one's */
    FILE *file;                      /* NULL: it is opened next */
    char name[MKV_AUDIT_PATH_BYTES]; /* of the file that the line is of */
    uint64_t line_number;            /* of the line in it, from 1 */
    size_t bytes;                    /* of the line, its newline included where it has one */
    char line[MKV_AUDIT_LINE_BYTES_MAX + 2];
};

/* Where a walk is after a step. */
enum mkv_audit_step {
    MKV_AUDIT_STEP_LINE, /* there is a line */
    MKV_AUDIT_STEP_END,
    MKV_AUDIT_STEP_FAILED,
};

/* False: there is no such audit, or it cannot be read. */
__attribute__((warn_unused_result)) bool mkv_audit_walk_begin(const char *path,
                                                              struct mkv_audit_walk *walk,
                                                              char error[MKV_AUDIT_ERROR_BYTES]);
__attribute__((warn_unused_result)) enum mkv_audit_step mkv_audit_walk_next(
    struct mkv_audit_walk *walk, char error[MKV_AUDIT_ERROR_BYTES]);
void mkv_audit_walk_end(struct mkv_audit_walk *walk);
/* Before the first step: passes over the files that hold only records before `sequence`. */
void mkv_audit_walk_skip(struct mkv_audit_walk *walk, uint64_t sequence);

#endif
