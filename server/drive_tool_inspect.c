/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/text.h"
#include "core/checkpoint_page.h"
#include "core/directory_root.h"
#include "server/drive_set.h"
#include "server/drive_tool_volume.h"

/* jansson's numbers are signed. */
static void set_number(json_t *object, const char *key, uint64_t value) {
    json_object_set_new(object, key,
                        json_integer((json_int_t)mkv_min_u64(value, (uint64_t)INT64_MAX)));
}

static void set_uuid(json_t *object, const char *key, struct mkv_uuid uuid) {
    char text[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(uuid, text);
    json_object_set_new(object, key, json_string(text));
}

static void set_text(json_t *object, const char *key, const char *text) {
    char clean[1024];
    mkv_text_clean(text, clean, sizeof clean);
    json_object_set_new(object, key, json_string(clean));
}

/* ---- what recovery comes to ------------------------------------------------------------------ */

static void on_event(void *context, const struct mkv_event *event) {
    struct mkv_drive_recovered *recovered = context;
    recovered->empty = recovered->empty || event->kind == MKV_EVENT_CAME_UP_EMPTY;
}

static json_t *tenants_json(const struct mkv_volume *core) {
    json_t *tenants = json_array();
    uint32_t cursor = 0;
    struct mkv_volume_tenant tenant;
    while (mkv_volume_next_tenant(core, &cursor, &tenant)) {
        char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
        json_t *entry = json_object();
        snprintf(name, sizeof name, "%.*s", (int)tenant.name_bytes, tenant.name);
        set_text(entry, "name", name);
        set_number(entry, "number", tenant.id);
        json_object_set_new(entry, "live", json_boolean(tenant.live));
        set_number(entry, "blocks", tenant.blocks);
        set_number(entry, "bytes", tenant.bytes);
        json_array_append_new(tenants, entry);
    }
    return tenants;
}

bool mkv_drive_recover(const struct mkv_drive_tool *drive, struct mkv_drive_recovered *recovered,
                       struct mkv_backend_error *error) {
    struct mkv_volume_config config;
    struct mkv_backend_error why;
    memset(recovered, 0, sizeof *recovered);
    mkv_drive_tool_volume_config(&drive->probe.superblock, drive->media.capacity_units, &config);
    const struct mkv_drive_tool_volume_options options = {
        .drive = drive, .config = &config, .dry = true, .event = on_event, .context = recovered};
    struct mkv_drive_tool_volume *volume;
    if (!mkv_drive_tool_volume_create(&options, &volume, error)) {
        return false;
    }
    const struct mkv_volume *core = mkv_drive_tool_volume_core(volume);
    recovered->serves = mkv_drive_tool_volume_open(volume, NULL, false, &why);
    if (recovered->serves) {
        mkv_volume_stats(core, &recovered->stats);
        recovered->tenants = tenants_json(core);
    } else {
        snprintf(recovered->why, sizeof recovered->why, "%s", why.text);
    }
    mkv_drive_tool_volume_destroy(volume);
    return true;
}

/* ---- as it stands ---------------------------------------------------------------------------- */

static json_t *medium_json(const struct mkv_drive_tool *drive) {
    const struct mkv_drive_media *media = &drive->media;
    json_t *out = json_object();
    json_object_set_new(out, "type", json_string(media->block_device ? "device" : "file"));
    set_number(out, "bytes", media->capacity_units * MKV_UNIT_BYTES);
    json_object_set_new(out, "direct_io", json_boolean(media->direct));
    json_object_set_new(out, "needs_flush", json_boolean(media->flush_needed));
    return out;
}

static json_t *copies_json(const struct mkv_drive_tool *drive, uint8_t *unit) {
    json_t *copies = json_array();
    const struct mkv_superblock *chosen = &drive->probe.superblock;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const struct mkv_lba lba = mkv_geometry_superblock(chosen->geometry.capacity_units, copy);
        struct mkv_superblock own;
        const char *state = "unreadable";
        json_t *entry = json_object();
        set_number(entry, "unit", lba.unit);
        if (mkv_drive_tool_read(drive, lba.unit, 1, unit) == 0) {
            const bool whole = mkv_superblock_decode(unit, copy, &own) == MKV_OK;
            state = !whole ? "damaged" : own.sequence == chosen->sequence ? "current" : "other";
            if (whole) {
                set_number(entry, "sequence", own.sequence);
            }
        }
        json_object_set_new(entry, "state", json_string(state));
        json_array_append_new(copies, entry);
    }
    return copies;
}

static json_t *superblock_json(const struct mkv_drive_tool *drive, uint8_t *unit) {
    const struct mkv_superblock *superblock = &drive->probe.superblock;
    json_t *out = json_object();
    set_number(out, "format_version", superblock->version);
    set_number(out, "sequence", superblock->sequence);
    set_number(out, "epoch", superblock->epoch);
    json_object_set_new(out, "clean",
                        json_boolean((superblock->flags & MKV_SUPERBLOCK_CLEAN) != 0));
    set_number(out, "generations_reserved", superblock->generation_counter);
    set_number(out, "wall_ms", superblock->wall_ms);
    json_object_set_new(out, "copies", copies_json(drive, unit));
    return out;
}

static json_t *set_json(const struct mkv_superblock *superblock) {
    const struct mkv_drive_set *set = &superblock->drive_set;
    json_t *out = json_object();
    json_t *members = json_array();
    set_number(out, "version", set->version);
    for (uint32_t i = 0; i < set->count; i++) {
        json_t *member = json_object();
        set_uuid(member, "uuid", set->members[i].uuid);
        set_number(member, "weight", set->members[i].weight);
        json_object_set_new(
            member, "this",
            json_boolean(mkv_uuid_equal(set->members[i].uuid, superblock->drive_uuid)));
        json_array_append_new(members, member);
    }
    json_object_set_new(out, "members", members);
    return out;
}

static void add_region(json_t *regions, const char *name, uint64_t unit, uint64_t units) {
    json_t *region = json_object();
    json_object_set_new(region, "name", json_string(name));
    set_number(region, "unit", unit);
    set_number(region, "units", units);
    json_array_append_new(regions, region);
}

static json_t *geometry_json(const struct mkv_geometry *geometry) {
    json_t *out = json_object();
    json_t *regions = json_array();
    const uint64_t side_units = 1ull + geometry->tenant_units + geometry->page_count;
    set_number(out, "bytes", geometry->capacity_units * MKV_UNIT_BYTES);
    set_number(out, "slots_max", (uint64_t)geometry->page_count * MKV_PAGE_SLOTS);
    set_number(out, "tenants_max", (uint64_t)geometry->tenant_units * MKV_UNIT_TENANTS);
    set_number(out, "ring_blocks", geometry->ring_blocks);
    set_number(out, "extents", geometry->extent_count);
    set_number(out, "extent_bytes", (uint64_t)geometry->extent_units * MKV_UNIT_BYTES);
    add_region(regions, "superblock 0", mkv_geometry_superblock(geometry->capacity_units, 0).unit,
               1);
    add_region(regions, "superblock 1", mkv_geometry_superblock(geometry->capacity_units, 1).unit,
               1);
    add_region(regions, "journal A", mkv_geometry_journal(geometry, 0, 0).unit,
               geometry->ring_blocks);
    add_region(regions, "journal B", mkv_geometry_journal(geometry, 1, 0).unit,
               geometry->ring_blocks);
    add_region(regions, "checkpoint A", mkv_geometry_checkpoint(geometry, 0).unit, side_units);
    add_region(regions, "checkpoint B", mkv_geometry_checkpoint(geometry, 1).unit, side_units);
    add_region(regions, "directory", mkv_geometry_directory(geometry).unit,
               geometry->directory_units);
    add_region(regions, "extents", mkv_geometry_data_start(geometry).unit,
               mkv_geometry_usable_units(geometry));
    add_region(regions, "superblock 2", mkv_geometry_superblock(geometry->capacity_units, 2).unit,
               1);
    add_region(regions, "superblock 3", mkv_geometry_superblock(geometry->capacity_units, 3).unit,
               1);
    json_object_set_new(out, "regions", regions);
    return out;
}

static json_t *checkpoints_json(const struct mkv_drive_tool *drive, uint8_t *unit) {
    const struct mkv_superblock *superblock = &drive->probe.superblock;
    const bool any = (superblock->flags & MKV_SUPERBLOCK_NO_CHECKPOINT) == 0;
    json_t *sides = json_array();
    for (uint32_t side = 0; side < MKV_CHECKPOINT_SIDES; side++) {
        const uint64_t at = mkv_geometry_checkpoint(&superblock->geometry, side).unit;
        struct mkv_checkpoint_head head;
        json_t *entry = json_object();
        const char *state = "unreadable";
        if (mkv_drive_tool_read(drive, at, 1, unit) == 0) {
            const bool whole = mkv_checkpoint_head_decode(unit, &head) == MKV_OK &&
                               mkv_uuid_equal(head.drive_uuid, superblock->drive_uuid);
            const bool current = any && side == superblock->checkpoint_side &&
                                 head.checkpoint_number == superblock->checkpoint_number;
            state = !whole ? "none" : current ? "current" : "other";
            if (whole) {
                set_number(entry, "number", head.checkpoint_number);
                set_number(entry, "journal_sequence", head.journal_sequence.value);
                set_number(entry, "pages", head.page_count);
            }
        }
        json_object_set_new(entry, "side", json_string(side == 0 ? "A" : "B"));
        json_object_set_new(entry, "state", json_string(state));
        json_array_append_new(sides, entry);
    }
    return sides;
}

static json_t *directory_json(const struct mkv_drive_tool *drive, uint8_t *unit) {
    const struct mkv_superblock *superblock = &drive->probe.superblock;
    const uint64_t region = mkv_geometry_directory(&superblock->geometry).unit;
    struct mkv_directory_root newest = {0};
    json_t *out = json_object();
    for (uint32_t which = 0; which < MKV_DIRECTORY_ROOTS; which++) {
        struct mkv_directory_root root;
        if (mkv_drive_tool_read(drive, region + which, 1, unit) == 0 &&
            mkv_directory_root_decode(unit, &root) &&
            mkv_uuid_equal(root.drive_uuid, superblock->drive_uuid) &&
            root.commit > newest.commit) {
            newest = root;
        }
    }
    set_number(out, "commit", newest.commit);
    set_number(out, "entries", newest.entry_count);
    set_number(out, "nodes", newest.node_count);
    set_number(out, "levels", newest.level_count);
    set_number(out, "applied_sequence", newest.applied_sequence);
    return out;
}

/* ---- what a start would find ----------------------------------------------------------------- */

static json_t *classes_json(const struct mkv_volume_stats *stats) {
    json_t *classes = json_array();
    for (uint32_t i = 0; i < stats->class_count; i++) {
        json_t *entry = json_object();
        set_number(entry, "slot_bytes", (uint64_t)stats->classes[i].slot_units * MKV_UNIT_BYTES);
        set_number(entry, "extents", stats->classes[i].extents);
        set_number(entry, "slots", stats->classes[i].slots);
        set_number(entry, "slots_used", stats->classes[i].slots_used);
        json_array_append_new(classes, entry);
    }
    return classes;
}

static json_t *fill_json(const struct mkv_volume_stats *stats) {
    static const char *const tiers[MKV_VOLUME_TIERS] = {"think_complete", "unhinted",
                                                        "think_active", "output_critical"};
    json_t *out = json_object();
    json_t *by_tier = json_object();
    set_number(out, "blocks", stats->blocks);
    set_number(out, "payload_bytes", stats->bytes_payload);
    set_number(out, "used_bytes", stats->bytes_used);
    set_number(out, "usable_bytes", stats->bytes_usable);
    set_number(out, "metadata_bytes", stats->bytes_raw - stats->bytes_usable);
    set_number(out, "extents_free", stats->extents_free);
    set_number(out, "slots_retired", stats->slots_retired);
    json_object_set_new(out, "classes", classes_json(stats));
    for (uint32_t tier = 0; tier < MKV_VOLUME_TIERS; tier++) {
        set_number(by_tier, tiers[tier], stats->blocks_by_tier[tier]);
    }
    json_object_set_new(out, "blocks_by_tier", by_tier);
    return out;
}

/* Behind the checkpoint: what a start replays. */
static json_t *journal_json(const struct mkv_superblock *superblock,
                            const struct mkv_volume_stats *stats, bool empty) {
    json_t *out = json_object();
    set_number(out, "first", superblock->journal_sequence.value);
    if (!empty) {
        set_number(out, "head", stats->journal_head);
        set_number(out, "blocks", stats->journal_head + 1 - superblock->journal_sequence.value);
        set_number(out, "records", stats->recovery_entries);
        set_number(out, "copies_differing", stats->journal_copy_repairs_total);
    }
    return out;
}

static void set_recovered(json_t *out, const struct mkv_superblock *superblock,
                          struct mkv_drive_recovered *recovered) {
    json_t *recovery = json_object();
    json_object_set_new(recovery, "outcome",
                        json_string(!recovered->serves ? "refused"
                                    : recovered->empty ? "empty"
                                                       : "serves"));
    if (!recovered->serves) {
        set_text(recovery, "why", recovered->why);
    }
    json_object_set_new(out, "recovery", recovery);
    if (recovered->serves) {
        const struct mkv_volume_stats *stats = &recovered->stats;
        json_object_set_new(out, "journal", journal_json(superblock, stats, recovered->empty));
        json_object_set_new(out, "fill", fill_json(stats));
        json_object_set_new(out, "tenants", recovered->tenants);
    }
}

json_t *mkv_drive_inspect(const struct mkv_drive_tool *drive, struct mkv_backend_error *error) {
    const struct mkv_superblock *superblock = &drive->probe.superblock;
    struct mkv_drive_recovered recovered;
    uint8_t *unit = mkv_drive_tool_units(1);
    if (unit == NULL) {
        mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
        return NULL;
    }
    if (!mkv_drive_recover(drive, &recovered, error)) {
        free(unit);
        return NULL;
    }
    json_t *out = json_object();
    set_text(out, "path", drive->path);
    set_uuid(out, "store_uuid", superblock->store_uuid);
    set_uuid(out, "drive_uuid", superblock->drive_uuid);
    json_object_set_new(out, "medium", medium_json(drive));
    json_object_set_new(out, "superblock", superblock_json(drive, unit));
    json_object_set_new(out, "drive_set", set_json(superblock));
    json_object_set_new(out, "geometry", geometry_json(&superblock->geometry));
    json_object_set_new(out, "checkpoints", checkpoints_json(drive, unit));
    json_object_set_new(out, "directory", directory_json(drive, unit));
    set_recovered(out, superblock, &recovered);
    free(unit);
    return out;
}
