/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON answers as a table for people: which array of an answer has the rows, and which field goes
 * into which column in which form, is told by a description. Answers of several nodes make one
 * table, with a column that names the node.
 *
 *     OP    COUNT  P50 us  P99 us                NODE            OP   COUNT
 *     get    6100   380.4  1804.8                127.0.0.1:9901  get   6100
 *     put      12   900.0  1100.0                127.0.0.1:9911  get    812
 *
 * Invariants
 *  I1  Whatever an answer holds, the table is UTF-8 without control characters, and a row is one
 *      line: texts of servers are cleaned, and cut at MKV_TABLE_CELL_BYTES.
 *  I2  What an answer lacks, or has in another type, is "-".
 *
 * Not responsible for: asking.
 */
#ifndef MKV_ADMIN_TABLE_H
#define MKV_ADMIN_TABLE_H

#include <jansson.h>

#include "admin/text.h"

#define MKV_TABLE_COLUMNS_MAX 16u
#define MKV_TABLE_CELL_BYTES 160u
/* Rows beyond these are left out, and a last line says so. */
#define MKV_TABLE_ROWS_MAX 20000u

enum mkv_table_kind {
    MKV_TABLE_TEXT = 0, /* a string, or true and false as yes and no; to the left */
    MKV_TABLE_COUNT,    /* a whole number; this and all below but LIST and TOP to the right */
    MKV_TABLE_BYTES,    /* "12.30 MiB" */
    MKV_TABLE_REAL,     /* with one decimal */
    MKV_TABLE_LIST,     /* an array of strings, with blanks between them; to the left */
    MKV_TABLE_TOP,      /* the member of an object with the greatest number: "read 12.3" */
};

struct mkv_table_column {
    const char *title; /* NULL: there are no more */
    const char *field;
    enum mkv_table_kind kind;
};

struct mkv_table_shape {
    const char
        *rows; /* the member of an answer that is the array of rows; NULL: the answer is one */
    struct mkv_table_column columns[MKV_TABLE_COLUMNS_MAX];
};

struct mkv_table;

/* `with_node`: the first column names the node. NULL when there is no memory. */
struct mkv_table *mkv_table_create(const struct mkv_table_shape *shape, bool with_node);
void mkv_table_destroy(struct mkv_table *table);
void mkv_table_add(struct mkv_table *table, const char *node, const json_t *answer);
/* Header and rows. */
void mkv_table_print(const struct mkv_table *table, struct mkv_text *out);

/* "12.30 MiB", "512 B". */
#define MKV_TABLE_SIZE_BYTES 32u
void mkv_table_size(uint64_t bytes, char target[MKV_TABLE_SIZE_BYTES]);

#endif
