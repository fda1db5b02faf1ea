/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node of large drives needs, and drives that are full without having been filled.
 *
 *   sizing_bench plan DRIVE_BYTES DRIVES MACHINE_BYTES   what follows from these figures alone
 *   sizing_bench fill FILE                               a line of JSON each
 *
 * `fill` takes a store that was just formatted (memkv setup) and writes the checkpoint that it
 * would have if every slot held a block of 256 KiB: head, tenants, all pages, an empty directory
 * that says it lists everything, and the superblocks that name them. Slots themselves stay holes:
 * a 16 TB drive takes the room of its checkpoint. Opening it is what opening a full drive is; its
 * blocks cannot be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/drive_open.h"
#include "core/checkpoint_page.h"
#include "core/directory_root.h"
#include "core/hash.h"
#include "core/tenant_page.h"
#include "server/drive_probe.h"
#include "server/setup_memory.h"

#define BLOCK_BYTES (256u * MKV_KIB)
#define SLOT_UNITS (1u + BLOCK_BYTES / MKV_UNIT_BYTES)
/* Written at a time. */
#define WINDOW_UNITS 1024u
#define DRIVES_MAX 64u

static void fail(const char *what, const char *why) {
    fprintf(stderr, "sizing_bench: %s: %s\n", what, why);
    exit(1);
}

/* ---- plan ------------------------------------------------------------------------------------ */

static int plan(uint64_t drive_bytes, uint32_t drives, uint64_t machine_bytes) {
    struct mkv_geometry geometries[DRIVES_MAX];
    const struct mkv_geometry_options defaults = {0};
    struct mkv_geometry geometry;
    if (drives == 0 || drives > DRIVES_MAX ||
        mkv_geometry_plan(drive_bytes / MKV_UNIT_BYTES, &defaults, &geometry) != MKV_OK) {
        fail("plan", "there are no such drives");
    }
    for (uint32_t i = 0; i < drives; i++) {
        geometries[i] = geometry;
    }
    const struct mkv_setup_machine machine = {.memory_bytes = machine_bytes};
    struct mkv_setup_memory memory;
    struct mkv_backend_error error = {0};
    if (!mkv_setup_memory_size(geometries, drives, &machine, &memory, &error)) {
        fail("plan", error.text);
    }
    const uint64_t usable = mkv_geometry_usable_units(&geometry) * MKV_UNIT_BYTES;
    printf("{\"drive_bytes\": %" PRIu64 ", \"drives\": %" PRIu32 ", \"slots\": %" PRIu64
           ", \"pages\": %" PRIu32 ", \"extents\": %" PRIu32 ", \"extent_bytes\": %" PRIu64
           ", \"usable_bytes\": %" PRIu64 ", \"metadata_bytes\": %" PRIu64
           ", \"ring_bytes\": %" PRIu64 ", \"checkpoint_bytes\": %" PRIu64
           ", \"directory_bytes\": %" PRIu64 ", \"index_bytes_a_drive\": %" PRIu64
           ", \"index_bytes_of_node\": %" PRIu64 ", \"memory_bytes\": %" PRIu64 "}\n",
           drive_bytes, drives, (uint64_t)geometry.page_count * MKV_PAGE_SLOTS, geometry.page_count,
           geometry.extent_count, (uint64_t)geometry.extent_units * MKV_UNIT_BYTES, usable,
           geometry.capacity_units * MKV_UNIT_BYTES - usable,
           (uint64_t)geometry.ring_blocks * MKV_UNIT_BYTES,
           (1 + (uint64_t)geometry.tenant_units + geometry.page_count) * MKV_UNIT_BYTES,
           (uint64_t)geometry.directory_units * MKV_UNIT_BYTES,
           mkv_setup_index_bytes(&geometry, drives, memory.max_size_bytes), memory.index_bytes,
           memory.max_size_bytes);
    return 0;
}

/* ---- fill ------------------------------------------------------------------------------------ */

struct filler {
    struct mkv_drive_media media;
    struct mkv_superblock superblock; /* as it will be */
    uint8_t *units;                   /* WINDOW_UNITS of them */
    uint64_t window_unit;             /* where the first of them belongs */
    uint32_t count;
    uint64_t blocks;
};

static void flush_window(struct filler *filler) {
    const size_t bytes = (size_t)filler->count * MKV_UNIT_BYTES;
    const off_t offset = (off_t)(filler->window_unit * MKV_UNIT_BYTES);
    if (pwrite(filler->media.fd, filler->units, bytes, offset) != (ssize_t)bytes) {
        fail("writing the checkpoint", strerror(errno));
    }
    filler->window_unit += filler->count;
    filler->count = 0;
}

static uint8_t *next_unit(struct filler *filler) {
    if (filler->count == WINDOW_UNITS) {
        flush_window(filler);
    }
    uint8_t *unit = filler->units + (size_t)filler->count * MKV_UNIT_BYTES;
    filler->count++;
    return unit;
}

/* A tag that no other block has: the hash of its number. */
static struct mkv_page_entry entry_of(uint64_t number) {
    return (struct mkv_page_entry){
        .tag = mkv_hash_64_seeded((const uint8_t *)&number, sizeof number, 1),
        .tenant = MKV_TENANT_DEFAULT,
        .generation_low = (uint32_t)(number + 1),
        .length_units = BLOCK_BYTES / MKV_UNIT_BYTES,
        .state = MKV_ENTRY_LIVE,
        .tier = MKV_TIER_UNHINTED,
    };
}

static void write_tenants(struct filler *filler) {
    const struct mkv_superblock *superblock = &filler->superblock;
    for (uint32_t index = 0; index < superblock->geometry.tenant_units; index++) {
        const struct mkv_tenant_page page = {.drive_uuid = superblock->drive_uuid,
                                             .checkpoint_number = superblock->checkpoint_number,
                                             .unit_index = index};
        uint8_t *unit = next_unit(filler);
        mkv_tenant_page_begin(&page, unit);
        if (index == 0) {
            struct mkv_tenant tenant = {.id = MKV_TENANT_DEFAULT,
                                        .state = MKV_TENANT_LIVE,
                                        .name_bytes = sizeof MKV_TENANT_DEFAULT_NAME - 1};
            memcpy(tenant.name, MKV_TENANT_DEFAULT_NAME, tenant.name_bytes);
            mkv_tenant_page_store(unit, 0, &tenant);
        }
        mkv_tenant_page_seal(unit);
    }
}

/* Every extent is a group of its own, with pages for as many slots as fit it. */
static void write_pages(struct filler *filler) {
    const struct mkv_superblock *superblock = &filler->superblock;
    const struct mkv_geometry *geometry = &superblock->geometry;
    const uint32_t slots = geometry->extent_units / SLOT_UNITS;
    const uint32_t pages = (uint32_t)mkv_divide_up_u64(slots, MKV_PAGE_SLOTS);
    for (uint32_t number = 0; number < superblock->checkpoint_pages; number++) {
        const uint32_t page_in_extent = number % pages;
        const struct mkv_checkpoint_page page = {
            .drive_uuid = superblock->drive_uuid,
            .checkpoint_number = superblock->checkpoint_number,
            .page = number,
            .extent = {number / pages},
            .slot_units = SLOT_UNITS,
            .span = 1,
            .page_in_extent = page_in_extent,
        };
        uint8_t *unit = next_unit(filler);
        mkv_checkpoint_page_begin(&page, unit);
        for (uint32_t slot = 0;
             slot < MKV_PAGE_SLOTS && page_in_extent * MKV_PAGE_SLOTS + slot < slots; slot++) {
            const struct mkv_page_entry entry = entry_of(filler->blocks);
            mkv_checkpoint_page_store(unit, slot, &entry);
            filler->blocks++;
        }
        mkv_checkpoint_page_seal(unit);
    }
    flush_window(filler);
}

/* A tree of no entries that lists every generation, so that nobody reads headers to list them. */
static void write_directory(struct filler *filler) {
    const struct mkv_superblock *superblock = &filler->superblock;
    const struct mkv_directory_root root = {
        .drive_uuid = superblock->drive_uuid,
        .commit = 1,
        .listed_generation = superblock->generation_counter,
        .region_units = superblock->geometry.directory_units,
    };
    filler->window_unit = mkv_geometry_directory(&superblock->geometry).unit + 1;
    mkv_directory_root_encode(&root, next_unit(filler));
    flush_window(filler);
}

static void write_superblocks(struct filler *filler) {
    const struct mkv_superblock *superblock = &filler->superblock;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        filler->window_unit =
            mkv_geometry_superblock(superblock->geometry.capacity_units, copy).unit;
        mkv_superblock_encode(superblock, copy, next_unit(filler));
        flush_window(filler);
    }
}

static void open_store(struct filler *filler, const char *path) {
    struct mkv_backend_error error = {0};
    struct mkv_drive_probe probe;
    const struct mkv_drive_open_options options = {
        .name = "d00", .media = path, .mode = MKV_DRIVE_MODE_FILE};
    if (!mkv_drive_open(&options, &filler->media, &error) ||
        !mkv_drive_probe(&filler->media, "d00", path, &probe, &error)) {
        fail(path, error.text);
    }
    if (probe.kind != MKV_DRIVE_PROBE_STORE || probe.superblock.epoch != 0) {
        fail(path, "is no store that was just formatted");
    }
    filler->superblock = probe.superblock;
}

static int fill(const char *path) {
    struct filler filler = {0};
    const uint64_t begin_ns = mkv_clock_monotonic_ns();
    open_store(&filler, path);
    struct mkv_superblock *superblock = &filler.superblock;
    const struct mkv_geometry *geometry = &superblock->geometry;
    const uint32_t slots = geometry->extent_units / SLOT_UNITS;
    const uint64_t pages = mkv_divide_up_u64(slots, MKV_PAGE_SLOTS);
    const uint64_t extents = mkv_min_u64(geometry->extent_count, geometry->page_count / pages);
    superblock->flags &= ~MKV_SUPERBLOCK_NO_CHECKPOINT;
    superblock->sequence++;
    superblock->checkpoint_side = 0;
    superblock->checkpoint_number = 1;
    superblock->checkpoint_pages = (uint32_t)(extents * pages);
    superblock->generation_counter = extents * slots + 1;
    filler.units = aligned_alloc(MKV_UNIT_BYTES, (size_t)WINDOW_UNITS * MKV_UNIT_BYTES);
    if (filler.units == NULL || extents == 0) {
        fail(path, "no memory, or too small");
    }
    filler.window_unit = mkv_geometry_checkpoint(geometry, 0).unit;
    const struct mkv_checkpoint_head head = {
        .drive_uuid = superblock->drive_uuid,
        .checkpoint_number = superblock->checkpoint_number,
        .journal_sequence = superblock->journal_sequence,
        .generation_counter = superblock->generation_counter,
        .page_count = superblock->checkpoint_pages,
        .tenant_units = geometry->tenant_units,
    };
    mkv_checkpoint_head_encode(&head, next_unit(&filler));
    write_tenants(&filler);
    write_pages(&filler);
    write_directory(&filler);
    write_superblocks(&filler);
    if (fdatasync(filler.media.fd) != 0) {
        fail(path, strerror(errno));
    }
    printf("{\"blocks\": %" PRIu64 ", \"pages\": %" PRIu32 ", \"checkpoint_bytes\": %" PRIu64
           ", \"seconds\": %.3f}\n",
           filler.blocks, superblock->checkpoint_pages,
           (1 + (uint64_t)geometry->tenant_units + superblock->checkpoint_pages) * MKV_UNIT_BYTES,
           (double)(mkv_clock_monotonic_ns() - begin_ns) / 1e9);
    free(filler.units);
    mkv_drive_media_close(&filler.media);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "plan") == 0) {
        return plan(strtoull(argv[2], NULL, 10), (uint32_t)strtoul(argv[3], NULL, 10),
                    strtoull(argv[4], NULL, 10));
    }
    if (argc == 3 && strcmp(argv[1], "fill") == 0) {
        return fill(argv[2]);
    }
    fprintf(stderr, "usage: sizing_bench plan DRIVE_BYTES DRIVES MACHINE_BYTES\n"
                    "       sizing_bench fill FILE\n");
    return 2;
}
