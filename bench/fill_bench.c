/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills a drive's slot table with blocks until one finds no room, and prints how much of what is
 * usable then holds payload, as a line of JSON.
 *
 *   fill_bench CAPACITY BYTES[,BYTES...]
 *
 * Of several sizes the next block is of the one that has the fewest bytes so far, so that each gets
 * an equal share. There is no drive and no volume: the table is asked as the volume asks it, and
 * every EXTENT record counts as durable at once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/slot_table.h"

#define SIZES_MAX 8u

struct size {
    uint32_t bytes;
    uint64_t stored;
};

static void fail(const char *what) {
    fprintf(stderr, "fill_bench: %s\n", what);
    exit(1);
}

/* As volume_mutate.c does it, but for taking extents of other classes: none is ever cold. */
static bool place(struct mkv_slot_table *table, uint32_t bytes) {
    struct mkv_slot slot;
    struct mkv_record_extent record;
    for (;;) {
        const uint32_t slot_units = mkv_slot_table_class_for(table, bytes);
        if (mkv_slot_table_reserve(table, slot_units, &slot)) {
            return true;
        }
        if (!mkv_slot_table_plan_extent(table, slot_units, &record)) {
            const uint32_t near = mkv_slot_table_class_near(table, slot_units);
            return near != 0 && mkv_slot_table_reserve(table, near, &slot);
        }
        mkv_slot_table_apply_extent(table, &record);
    }
}

static uint32_t parse_sizes(char *text, struct size *sizes) {
    uint32_t count = 0;
    char *rest = NULL;
    for (char *part = strtok_r(text, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        char *end = NULL;
        const unsigned long long bytes = strtoull(part, &end, 10);
        if (*end != 0 || bytes == 0 || bytes > MKV_BLOCK_BYTES_MAX || count == SIZES_MAX) {
            fail("BYTES are up to 8 numbers from 1 to 33554432, with commas between them");
        }
        sizes[count++] = (struct size){(uint32_t)bytes, 0};
    }
    return count;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fail("usage: fill_bench CAPACITY BYTES[,BYTES...]");
    }
    struct size sizes[SIZES_MAX];
    const uint64_t capacity_units = strtoull(argv[1], NULL, 10) / MKV_UNIT_BYTES;
    const uint32_t count = parse_sizes(argv[2], sizes);
    const struct mkv_geometry_options options = {0};
    struct mkv_geometry geometry;
    if (count == 0 || mkv_geometry_plan(capacity_units, &options, &geometry) != MKV_OK) {
        fail("there is no store of this CAPACITY");
    }
    struct mkv_slot_table *table = malloc(mkv_slot_table_memory_required(&geometry));
    if (table == NULL) {
        fail("there is no memory for the table of this CAPACITY");
    }
    mkv_slot_table_init(table, &geometry);
    uint64_t cursor = 0;
    while (!mkv_slot_table_clear(table, &cursor, MKV_GIB)) {
    }
    uint64_t blocks = 0;
    uint64_t payload_bytes = 0;
    for (;;) {
        struct size *next = &sizes[0];
        for (uint32_t index = 1; index < count; index++) {
            next = sizes[index].stored < next->stored ? &sizes[index] : next;
        }
        if (!place(table, next->bytes)) {
            break;
        }
        next->stored += next->bytes;
        payload_bytes += next->bytes;
        blocks++;
    }
    const uint64_t usable_bytes = mkv_geometry_usable_units(&geometry) * MKV_UNIT_BYTES;
    printf("{\"blocks\": %" PRIu64 ", \"payload_bytes\": %" PRIu64 ", \"usable_bytes\": %" PRIu64
           ", \"slots_max\": %" PRIu64 ", \"extents\": %u, \"extents_free\": %u}\n",
           blocks, payload_bytes, usable_bytes, (uint64_t)geometry.page_count * MKV_PAGE_SLOTS,
           geometry.extent_count, table->classless_count);
    free(table);
    return 0;
}
