/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of an audit for other programs: those of a time, page by page, as JSON or as CSV.
 *
 * Invariants
 *  I1  A page is bounded in what it holds and in what is read for it, and says where the next one
 *      begins.
 *  I2  A line that cannot be read as a record is not left out: an object with the fields `file`,
 *      `line` and `fault` stands for it.
 *
 * Not responsible for: whether the records fit together (audit_verify.h).
 */
#ifndef MKV_ADMIN_AUDIT_EXPORT_H
#define MKV_ADMIN_AUDIT_EXPORT_H

#include "admin/audit_walk.h"
#include "admin/text.h"

/* Bytes of lines in a page, and bytes that are read for it. */
#define MKV_AUDIT_PAGE_BYTES (2u * 1024u * 1024u)
#define MKV_AUDIT_PAGE_READ_BYTES (16u * 1024u * 1024u)

struct mkv_audit_export_options {
    const char *path;
    uint64_t start_ms; /* both inclusive */
    uint64_t end_ms;
    uint64_t from;         /* the first sequence that is looked at */
    uint64_t sequence_end; /* the first that is not; UINT64_MAX: none */
};

struct mkv_audit_page {
    json_t *records; /* an array; the caller lets it go */
    bool complete;
    uint64_t next_sequence; /* where the next page begins, unless complete */
};

/* False: it cannot be read, and `error` says why. */
__attribute__((warn_unused_result)) bool mkv_audit_export(
    const struct mkv_audit_export_options *options, struct mkv_audit_page *page,
    char error[MKV_AUDIT_ERROR_BYTES]);

/* RFC 4180: the line of names, and the line of a record of a page. */
void mkv_audit_csv_header(struct mkv_text *text);
void mkv_audit_csv_row(const json_t *record, struct mkv_text *text);

#endif
