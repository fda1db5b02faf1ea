/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP "  "
#define NONE "-"
/* Longer columns do not push what stands behind them further. */
#define WIDTH_MAX 64u

struct row {
    char *cells[MKV_TABLE_COLUMNS_MAX + 1];
};

struct mkv_table {
    const struct mkv_table_shape *shape;
    bool with_node;
    bool failed;
    uint32_t column_count; /* with that of the node */
    uint32_t row_count;
    uint64_t rows_left_out;
    uint32_t row_capacity;
    struct row *rows;
};

struct mkv_table *mkv_table_create(const struct mkv_table_shape *shape, bool with_node) {
    struct mkv_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    table->shape = shape;
    table->with_node = with_node;
    table->column_count = with_node ? 1 : 0;
    for (uint32_t i = 0; i < MKV_TABLE_COLUMNS_MAX && shape->columns[i].title != NULL; i++) {
        table->column_count++;
    }
    return table;
}

void mkv_table_destroy(struct mkv_table *table) {
    if (table == NULL) {
        return;
    }
    for (uint32_t row = 0; row < table->row_count; row++) {
        for (uint32_t column = 0; column < table->column_count; column++) {
            free(table->rows[row].cells[column]);
        }
    }
    free(table->rows);
    free(table);
}

/* ---- cells ----------------------------------------------------------------------------------- */

void mkv_table_size(uint64_t bytes, char target[MKV_TABLE_SIZE_BYTES]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024.0;
        unit++;
    }
    snprintf(target, MKV_TABLE_SIZE_BYTES, "%.*f %s", unit == 0 ? 0 : 2, value, units[unit]);
}

static void format_text(const json_t *value, char out[MKV_TABLE_CELL_BYTES]) {
    const char *text =
        json_is_boolean(value) ? (json_is_true(value) ? "yes" : "no") : json_string_value(value);
    mkv_text_clean(text == NULL || text[0] == '\0' ? NONE : text, out, MKV_TABLE_CELL_BYTES);
}

static void format_list(const json_t *value, char out[MKV_TABLE_CELL_BYTES]) {
    char list[2 * MKV_TABLE_CELL_BYTES] = "";
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(value) && used < MKV_TABLE_CELL_BYTES; i++) {
        const char *item = json_string_value(json_array_get(value, i));
        const int bytes = snprintf(list + used, sizeof list - used, "%s%.*s", i == 0 ? "" : " ",
                                   (int)MKV_TABLE_CELL_BYTES - 1, item == NULL ? NONE : item);
        used += (size_t)bytes;
    }
    mkv_text_clean(used == 0 ? NONE : list, out, MKV_TABLE_CELL_BYTES);
}

static void format_top(const json_t *object, char out[MKV_TABLE_CELL_BYTES]) {
    const char *name;
    const char *top = NULL;
    double most = 0;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        if (json_is_number(value) && (top == NULL || json_number_value(value) > most)) {
            top = name;
            most = json_number_value(value);
        }
    }
    char text[MKV_TABLE_CELL_BYTES] = NONE;
    if (top != NULL) {
        snprintf(text, sizeof text, "%.100s %.1f", top, most);
    }
    mkv_text_clean(text, out, MKV_TABLE_CELL_BYTES);
}

static void format_cell(const struct mkv_table_column *column, const json_t *row,
                        char out[MKV_TABLE_CELL_BYTES]) {
    const json_t *value = json_object_get(row, column->field);
    char size[MKV_TABLE_SIZE_BYTES];
    snprintf(out, MKV_TABLE_CELL_BYTES, NONE);
    switch (column->kind) {
    case MKV_TABLE_TEXT:
        format_text(value, out);
        break;
    case MKV_TABLE_COUNT:
        if (json_is_integer(value)) {
            snprintf(out, MKV_TABLE_CELL_BYTES, "%" PRId64, (int64_t)json_integer_value(value));
        }
        break;
    case MKV_TABLE_BYTES:
        if (json_is_integer(value) && json_integer_value(value) >= 0) {
            mkv_table_size((uint64_t)json_integer_value(value), size);
            snprintf(out, MKV_TABLE_CELL_BYTES, "%s", size);
        }
        break;
    case MKV_TABLE_REAL:
        if (json_is_number(value)) {
            snprintf(out, MKV_TABLE_CELL_BYTES, "%.1f", json_number_value(value));
        }
        break;
    case MKV_TABLE_LIST:
        format_list(value, out);
        break;
    case MKV_TABLE_TOP:
        format_top(value, out);
        break;
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct row *next_row(struct mkv_table *table) {
    if (table->row_count == table->row_capacity) {
        const uint32_t capacity = table->row_capacity == 0 ? 64 : 2 * table->row_capacity;
        struct row *grown = realloc(table->rows, capacity * sizeof *grown);
        if (grown == NULL) {
            table->failed = true;
            return NULL;
        }
        table->rows = grown;
        table->row_capacity = capacity;
    }
    struct row *row = &table->rows[table->row_count];
    memset(row, 0, sizeof *row);
    table->row_count++;
    return row;
}

static void set_cell(struct mkv_table *table, struct row *row, uint32_t column, const char *text) {
    row->cells[column] = strdup(text);
    table->failed = table->failed || row->cells[column] == NULL;
}

static void add_row(struct mkv_table *table, const char *node, const json_t *source) {
    if (table->row_count == MKV_TABLE_ROWS_MAX) {
        table->rows_left_out++;
        return;
    }
    struct row *row = next_row(table);
    if (row == NULL) {
        return;
    }
    char cell[MKV_TABLE_CELL_BYTES];
    const uint32_t first = table->with_node ? 1 : 0;
    if (table->with_node) {
        mkv_text_clean(node, cell, sizeof cell);
        set_cell(table, row, 0, cell);
    }
    for (uint32_t i = first; i < table->column_count; i++) {
        format_cell(&table->shape->columns[i - first], source, cell);
        set_cell(table, row, i, cell);
    }
}

void mkv_table_add(struct mkv_table *table, const char *node, const json_t *answer) {
    if (table->shape->rows == NULL) {
        add_row(table, node, answer);
        return;
    }
    const json_t *rows = json_object_get(answer, table->shape->rows);
    for (size_t i = 0; i < json_array_size(rows) && !table->failed; i++) {
        add_row(table, node, json_array_get(rows, i));
    }
}

/* ---- printing -------------------------------------------------------------------------------- */

/* Characters of a text of UTF-8. */
static uint32_t width_of(const char *text) {
    uint32_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static const struct mkv_table_column *column_of(const struct mkv_table *table, uint32_t index) {
    static const struct mkv_table_column node = {.title = "NODE", .kind = MKV_TABLE_TEXT};
    if (table->with_node && index == 0) {
        return &node;
    }
    return &table->shape->columns[index - (table->with_node ? 1 : 0)];
}

static bool is_right(const struct mkv_table_column *column) {
    return column->kind == MKV_TABLE_COUNT || column->kind == MKV_TABLE_BYTES ||
           column->kind == MKV_TABLE_REAL;
}

static void print_cell(const struct mkv_table *table, uint32_t column, const char *text,
                       uint32_t width, struct mkv_text *out) {
    const uint32_t own = width_of(text);
    const int pad = own < width ? (int)(width - own) : 0;
    const bool right = is_right(column_of(table, column));
    const bool last = column + 1 == table->column_count;
    mkv_text_format(out, "%s%*s%s%*s", column == 0 ? "" : GAP, right ? pad : 0, "", text,
                    right || last ? 0 : pad, "");
}

void mkv_table_print(const struct mkv_table *table, struct mkv_text *out) {
    uint32_t widths[MKV_TABLE_COLUMNS_MAX + 1];
    if (table->failed) {
        out->failed = true;
        return;
    }
    for (uint32_t column = 0; column < table->column_count; column++) {
        widths[column] = width_of(column_of(table, column)->title);
        for (uint32_t row = 0; row < table->row_count; row++) {
            const uint32_t own = width_of(table->rows[row].cells[column]);
            widths[column] = (uint32_t)mkv_max_u64(widths[column], mkv_min_u64(own, WIDTH_MAX));
        }
        print_cell(table, column, column_of(table, column)->title, widths[column], out);
    }
    mkv_text_string(out, "\n");
    for (uint32_t row = 0; row < table->row_count; row++) {
        for (uint32_t column = 0; column < table->column_count; column++) {
            print_cell(table, column, table->rows[row].cells[column], widths[column], out);
        }
        mkv_text_string(out, "\n");
    }
    if (table->rows_left_out > 0) {
        mkv_text_format(out, "%" PRIu64 " more rows; --json has all\n", table->rows_left_out);
    }
}
