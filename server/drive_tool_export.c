/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_export.h"

#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"
#include "core/bytes.h"
#include "core/hash.h"
#include "core/slot_header.h"
#include "server/block_stream.h"
#include "server/drive_tool_volume.h"

struct export {
    const struct mkv_drive_tool *drive;
    struct mkv_drive_report *report;
    struct mkv_drive_exported *exported;
    struct mkv_drive_tool_volume *volume;
    struct mkv_block_writer writer;
    uint8_t *units; /* the largest slot */
    bool came_up_empty;
};

static void on_event(void *context, const struct mkv_event *event) {
    struct export *export = context;
    export->came_up_empty = export->came_up_empty || event->kind == MKV_EVENT_CAME_UP_EMPTY;
}

/* Reads a block and compares it with what the table says. NULL: sound. */
static const char *block_read(const struct export *export, const struct mkv_volume_block *block,
                              struct mkv_slot_header *header, const uint8_t **payload) {
    const uint32_t units = 1 + block->length_units;
    if (mkv_drive_tool_read(export->drive, block->lba.unit, units, export->units) != 0) {
        return "cannot be read";
    }
    if (mkv_slot_header_decode(export->units, header) != MKV_OK ||
        !mkv_uuid_equal(header->drive_uuid, export->drive->probe.superblock.drive_uuid) ||
        header->slot.index != block->slot.index || header->tenant != block->tenant ||
        (uint32_t)header->generation.value != block->generation_low ||
        header->block_flags != block->block_flags ||
        mkv_slot_payload_units(header->length) != block->length_units ||
        mkv_key_tag(header->tenant, header->key, header->key_bytes) != block->tag) {
        return "has a header that is rotten, or another block's";
    }
    uint64_t sums[MKV_CHUNKS_MAX];
    *payload = export->units + (units == 1 ? MKV_SLOT_INLINE_OFFSET : MKV_UNIT_BYTES);
    mkv_chunk_sums(*payload, header->length, sums);
    for (uint32_t chunk = 0; chunk < mkv_chunk_count(header->length); chunk++) {
        if (sums[chunk] != mkv_load_u64(header->sums + 8 * (size_t)chunk)) {
            return "has a payload that is rotten";
        }
    }
    return NULL;
}

static bool block_write(struct export *export, const struct mkv_volume_block *block,
                        struct mkv_backend_error *error) {
    struct mkv_slot_header header;
    const uint8_t *payload = NULL;
    const char *what = block_read(export, block, &header, &payload);
    if (what != NULL) {
        export->exported->damaged++;
        mkv_drive_report_fault(export->report, MKV_DRIVE_FAULT_SLOT_PAYLOAD, block->lba.unit,
                               "slot %u %s: left out", block->slot.index, what);
        return true;
    }
    const struct mkv_block_record record = {
        .kind = MKV_BLOCK_RECORD_BLOCK,
        .tier = block->tier_put,
        .block_flags = header.block_flags,
        .tenant = header.tenant,
        .key_bytes = header.key_bytes,
        .length = header.length,
        .expiry_s = block->expiry_s,
        .root = header.root,
        .key = header.key,
        .payload = payload,
    };
    return mkv_block_writer_put(&export->writer, &record, error);
}

static bool tenants_write(struct export *export, const struct mkv_volume *core,
                          struct mkv_backend_error *error) {
    uint32_t cursor = 0;
    struct mkv_volume_tenant tenant;
    while (mkv_volume_next_tenant(core, &cursor, &tenant)) {
        const struct mkv_block_record record = {
            .kind = MKV_BLOCK_RECORD_TENANT,
            .tenant = tenant.id,
            .key_bytes = tenant.name_bytes,
            .key = (const uint8_t *)tenant.name,
            .payload = (const uint8_t *)"",
        };
        if (!tenant.live) {
            continue;
        }
        if (!mkv_block_writer_put(&export->writer, &record, error)) {
            return false;
        }
        export->exported->tenants++;
    }
    return true;
}

static bool blocks_write(struct export *export, struct mkv_backend_error *error) {
    const struct mkv_volume *core = mkv_drive_tool_volume_core(export->volume);
    struct mkv_volume_stats stats;
    struct mkv_volume_block block;
    uint32_t cursor = 0;
    uint64_t done = 0;
    mkv_volume_stats(core, &stats);
    if (!tenants_write(export, core, error)) {
        return false;
    }
    while (mkv_volume_next_block(core, &cursor, &block)) {
        done += (uint64_t)block.length_units * MKV_UNIT_BYTES;
        if (!block.served) {
            export->exported->dropped++;
        } else if (block.expired) {
            export->exported->expired++;
        } else if (!block_write(export, &block, error)) {
            return false;
        }
        if (export->report->progress != NULL) {
            export->report->progress(export->report->context, done, stats.bytes_payload);
        }
    }
    return true;
}

static bool stream_write(struct export *export, const char *path, struct mkv_backend_error *error) {
    const struct mkv_superblock *superblock = &export->drive->probe.superblock;
    const struct mkv_block_stream_header header = {
        .store_uuid = superblock->store_uuid,
        .drive_uuid = superblock->drive_uuid,
        .drive_set_version = superblock->drive_set.version,
        .wall_ms = mkv_clock_wall_ms(),
    };
    if (!mkv_block_writer_open(&export->writer, path, &header, error)) {
        return false;
    }
    const bool done = blocks_write(export, error) && mkv_block_writer_close(&export->writer, error);
    export->exported->blocks = export->writer.block_count;
    export->exported->bytes = export->writer.payload_bytes;
    if (!done) {
        mkv_block_writer_abandon(&export->writer);
    }
    return done;
}

bool mkv_drive_export(const struct mkv_drive_tool *drive, const char *path,
                      struct mkv_drive_report *report, struct mkv_drive_exported *exported,
                      struct mkv_backend_error *error) {
    struct export export = {.drive = drive, .report = report, .exported = exported};
    struct mkv_volume_config config;
    memset(exported, 0, sizeof *exported);
    mkv_drive_tool_volume_config(&drive->probe.superblock, drive->media.capacity_units, &config);
    const struct mkv_drive_tool_volume_options options = {
        .drive = drive, .config = &config, .dry = true, .event = on_event, .context = &export};
    export.units = mkv_drive_tool_units(MKV_DRIVE_TOOL_UNITS_MAX);
    if (export.units == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
    }
    bool done = mkv_drive_tool_volume_create(&options, &export.volume, error) &&
                mkv_drive_tool_volume_open(export.volume, NULL, false, error);
    if (done && export.came_up_empty) {
        done = mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "%s: checkpoint or journal is damaged, and recovery comes up "
                                  "empty. See memkv drive verify %s, and memkv drive repair",
                                  drive->path, drive->path);
    }
    done = done && stream_write(&export, path, error);
    mkv_drive_tool_volume_destroy(export.volume);
    free(export.units);
    return done;
}
