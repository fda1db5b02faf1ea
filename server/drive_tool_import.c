/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/clock.h"
#include "core/manifest.h"
#include "core/tenant_names.h"
#include "server/block_stream.h"
#include "server/drive_set.h"
#include "server/drive_tool_volume.h"
#include "server/node_format.h"

/* Numbers of tenants that one stream may have. */
#define STREAM_TENANTS_MAX (MKV_TENANT_UNITS_MAX * MKV_UNIT_TENANTS)
/* The volumes are told of a new tenant so often: when they have taken it, all know it. */
#define TENANT_TELLS_MAX 1u

/* A tenant of a stream. */
struct stream_tenant {
    uint32_t id;     /* in the stream */
    uint32_t own_id; /* in the store; MKV_NONE_U32: it was not needed yet */
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
};

struct import {
    const struct mkv_drive_import_options *options;
    struct mkv_drive_imported *imported;
    struct mkv_drive_tool drives[MKV_VOLUMES_MAX];
    uint32_t drive_count;
    struct mkv_drive_set_plan plan;
    struct mkv_member members[MKV_VOLUMES_MAX];
    struct mkv_drive_tool_volume *volumes[MKV_VOLUMES_MAX];
    struct mkv_tenant_names names;
    struct stream_tenant *tenants;
    uint32_t tenant_count;
    uint32_t tenant_last; /* the one that was found last */
    uint64_t done_bytes;
    uint64_t total_bytes;
};

/* ---- drives ---------------------------------------------------------------------------------- */

static bool geometry_of(const struct mkv_drive_tool *drive, struct mkv_geometry *geometry,
                        struct mkv_backend_error *error) {
    const struct mkv_geometry_options defaults = {0};
    *geometry = drive->probe.superblock.geometry;
    if (drive->probe.kind == MKV_DRIVE_PROBE_STORE) {
        return true;
    }
    return mkv_geometry_plan(drive->media.capacity_units, &defaults, geometry) == MKV_OK ||
           mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "%s is too small, or too large, for a store", drive->path);
}

static bool drives_open(struct import *import, struct mkv_backend_error *error) {
    struct mkv_drive_set_candidate candidates[MKV_VOLUMES_MAX];
    for (uint32_t i = 0; i < import->options->path_count; i++) {
        struct mkv_drive_tool *drive = &import->drives[i];
        struct mkv_geometry geometry;
        if (!mkv_drive_tool_open(drive, import->options->paths[i], MKV_DRIVE_TOOL_WRITE, error)) {
            return false;
        }
        import->drive_count = i + 1;
        candidates[i] = (struct mkv_drive_set_candidate){
            .name = drive->name, .path = drive->path, .probe = &drive->probe, .usable_units = 1};
        if (drive->probe.kind == MKV_DRIVE_PROBE_BLANK ||
            drive->probe.kind == MKV_DRIVE_PROBE_STORE) {
            if (!geometry_of(drive, &geometry, error)) {
                return false;
            }
            candidates[i].usable_units = mkv_geometry_usable_units(&geometry);
        }
    }
    return mkv_drive_set_judge(candidates, import->drive_count, NULL, &mkv_drive_set_random_kernel,
                               &import->plan, error);
}

/* Drives that are to join a set, which moves keys between members, are for a node. */
static bool plan_is_plain(const struct import *import, struct mkv_backend_error *error) {
    for (uint32_t i = 0; i < import->drive_count; i++) {
        const enum mkv_drive_action action = import->plan.actions[i];
        const bool joins =
            action == MKV_DRIVE_JOIN_EMPTY ||
            (action == MKV_DRIVE_FORMAT &&
             mkv_drive_set_find(&import->plan.newest, import->plan.drive_uuids[i]) == MKV_NONE_U32);
        if (joins) {
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "%s is no member of the store of the others yet. Start a "
                                      "node on these drives once, so that it joins, and stop it",
                                      import->drives[i].path);
        }
    }
    return true;
}

static bool drive_format(struct import *import, uint32_t index,
                         const struct mkv_volume_config *config, struct mkv_backend_error *error) {
    const struct mkv_drive_tool *drive = &import->drives[index];
    const size_t bytes = mkv_volume_memory_required(config);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s: there is no memory to format it. Free some", drive->path);
    }
    const struct mkv_node_format_options options = {
        .name = drive->name,
        .path = drive->path,
        .media = &drive->media,
        .config = config,
        .memory = memory,
        .memory_bytes = bytes,
    };
    const bool done = mkv_node_format(&options, error);
    munmap(memory, bytes);
    import->imported->formatted += done ? 1u : 0u;
    return done;
}

/* ---- volumes --------------------------------------------------------------------------------- */

static void on_put(void *context, uint32_t index, enum mkv_status status, bool there) {
    struct mkv_drive_imported *imported = ((struct import *)context)->imported;
    if (status == MKV_STATUS_OK && there) {
        imported->there++;
    } else if (status == MKV_STATUS_OK) {
        imported->blocks++;
        imported->bytes += index; /* a put is begun with its length */
    } else if (status == MKV_STATUS_CONFLICT) {
        imported->conflicts++;
    } else if (status == MKV_STATUS_NO_SPACE) {
        imported->no_space++;
    } else {
        imported->failed++;
    }
}

static bool volume_config(struct import *import, uint32_t index, struct mkv_volume_config *config,
                          struct mkv_backend_error *error) {
    struct mkv_superblock superblock = import->drives[index].probe.superblock;
    if (!geometry_of(&import->drives[index], &superblock.geometry, error)) {
        return false;
    }
    superblock.store_uuid = import->plan.store_uuid;
    superblock.drive_uuid = import->plan.drive_uuids[index];
    superblock.drive_set = import->plan.newest;
    mkv_drive_tool_volume_config(&superblock, import->drives[index].media.capacity_units, config);
    return import->plan.actions[index] != MKV_DRIVE_FORMAT ||
           drive_format(import, index, config, error);
}

static void learn_tenants(struct import *import, uint32_t index) {
    const struct mkv_volume *core = mkv_drive_tool_volume_core(import->volumes[index]);
    uint32_t cursor = 0;
    struct mkv_volume_tenant tenant;
    mkv_tenant_names_volume_begin(&import->names, index);
    while (mkv_volume_next_tenant(core, &cursor, &tenant)) {
        if (tenant.live) {
            mkv_tenant_names_learn(&import->names, index, tenant.id, tenant.name,
                                   tenant.name_bytes);
        }
    }
    mkv_tenant_names_volume_serves(&import->names, index, mkv_volume_tenant_id_max(core));
}

static bool volumes_open(struct import *import, struct mkv_backend_error *error) {
    struct mkv_volume_config configs[MKV_VOLUMES_MAX];
    uint64_t volume_bytes[MKV_VOLUMES_MAX];
    for (uint32_t i = 0; i < import->drive_count; i++) {
        /* All are formatted before any is opened, as in a start. */
        if (!volume_config(import, i, &configs[i], error)) {
            return false;
        }
        volume_bytes[i] = mkv_geometry_usable_units(&configs[i].geometry) * MKV_UNIT_BYTES;
    }
    mkv_tenant_names_init(&import->names, import->drive_count, volume_bytes);
    for (uint32_t i = 0; i < import->drive_count; i++) {
        const struct mkv_drive_tool_volume_options options = {
            .drive = &import->drives[i],
            .config = &configs[i],
            .puts = true,
            .put_done = on_put,
            .context = import,
        };
        if (!mkv_drive_tool_volume_create(&options, &import->volumes[i], error) ||
            !mkv_drive_tool_volume_open(import->volumes[i], &import->plan.newest, false, error)) {
            return false;
        }
        import->members[i] =
            (struct mkv_member){import->plan.drive_uuids[i], import->plan.weights[i]};
        learn_tenants(import, i);
    }
    return true;
}

static bool volumes_close(struct import *import, struct mkv_backend_error *error) {
    bool done = true;
    for (uint32_t i = 0; i < import->drive_count && done; i++) {
        done = mkv_drive_tool_volume_puts_end(import->volumes[i], error) &&
               mkv_drive_tool_volume_list_all(import->volumes[i], error) &&
               mkv_drive_tool_volume_close(import->volumes[i], error);
    }
    return done;
}

/* ---- tenants --------------------------------------------------------------------------------- */

/* Tells the volumes all that they are to be told now. */
static bool tenants_tell(struct import *import, struct mkv_backend_error *error) {
    struct mkv_message message;
    const char *name;
    while (mkv_tenant_names_next(&import->names, &message, &name)) {
        if (!mkv_drive_tool_volume_tenant(import->volumes[message.volume], &message, name, error)) {
            return false;
        }
        mkv_tenant_names_done(&import->names, &message);
    }
    return true;
}

/* The number of the tenant in the store, which every volume knows when this returns. */
static bool tenant_resolve(struct import *import, struct stream_tenant *tenant,
                           struct mkv_backend_error *error) {
    for (uint32_t tells = 0; tenant->own_id == MKV_NONE_U32; tells++) {
        MKV_ASSERT(tells <= TENANT_TELLS_MAX);
        switch (mkv_tenant_names_resolve(&import->names, tenant->name, true, &tenant->own_id)) {
        case MKV_TENANT_KNOWN:
            return true;
        case MKV_TENANT_PENDING:
            tenant->own_id = MKV_NONE_U32;
            if (!tenants_tell(import, error)) {
                return false;
            }
            break;
        case MKV_TENANT_ABSENT:
        case MKV_TENANT_REFUSED:
            tenant->own_id = MKV_NONE_U32;
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "the store has no room for tenant %s: drop tenants that "
                                      "nobody needs",
                                      tenant->name);
        }
    }
    return true;
}

static bool tenant_add(struct import *import, const struct mkv_block_reader *reader,
                       const struct mkv_block_record *record, struct mkv_backend_error *error) {
    if (import->tenant_count == STREAM_TENANTS_MAX ||
        !mkv_tenant_name_is_valid((const char *)record->key, record->key_bytes)) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "%s: record %llu names a tenant that cannot be", reader->path,
                                  (unsigned long long)reader->number - 1);
    }
    struct stream_tenant *tenant = &import->tenants[import->tenant_count++];
    *tenant = (struct stream_tenant){.id = record->tenant, .own_id = MKV_NONE_U32};
    memcpy(tenant->name, record->key, record->key_bytes);
    return true;
}

static struct stream_tenant *tenant_find(struct import *import, uint32_t id) {
    if (import->tenant_last < import->tenant_count &&
        import->tenants[import->tenant_last].id == id) {
        return &import->tenants[import->tenant_last];
    }
    for (uint32_t i = 0; i < import->tenant_count; i++) {
        if (import->tenants[i].id == id) {
            import->tenant_last = i;
            return &import->tenants[i];
        }
    }
    return NULL;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static bool block_put(struct import *import, const struct mkv_block_reader *reader,
                      const struct mkv_block_record *record, struct mkv_backend_error *error) {
    struct stream_tenant *tenant = tenant_find(import, record->tenant);
    struct mkv_manifest manifest;
    const bool is_manifest = (record->block_flags & MKV_BLOCK_MANIFEST) != 0;
    if (tenant == NULL || (is_manifest && (record->length != MKV_MANIFEST_BYTES ||
                                           !mkv_manifest_decode(record->payload, &manifest)))) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO, "%s: record %llu %s", reader->path,
                                  (unsigned long long)reader->number - 1,
                                  tenant == NULL ? "is of a tenant that no record names"
                                                 : "is said to be a manifest, and is none");
    }
    if (record->expiry_s != 0 && record->expiry_s <= mkv_clock_wall_ms() / 1000) {
        import->imported->expired++;
        return true;
    }
    if (!tenant_resolve(import, tenant, error)) {
        return false;
    }
    const uint32_t owner =
        mkv_placement_owner(mkv_placement_point(tenant->name, record->key, record->key_bytes),
                            import->members, import->drive_count);
    MKV_ASSERT(owner != MKV_NONE_U32);
    struct mkv_drive_tool_volume *volume = import->volumes[owner];
    if (!mkv_drive_tool_volume_put_fits(volume, record->length) &&
        !mkv_drive_tool_volume_puts_end(volume, error)) {
        return false;
    }
    const struct mkv_drive_tool_put put = {
        .index = record->length,
        .tenant = tenant->own_id,
        .flags = record->block_flags | (import->options->replace ? MKV_PUT_REPLACE : 0u),
        .tier = record->tier,
        .expiry_s = record->expiry_s,
        .key = record->key,
        .key_bytes = record->key_bytes,
        .payload = record->payload,
        .length = record->length,
        .root = record->root,
    };
    mkv_drive_tool_volume_put(volume, &put);
    return true;
}

static bool stream_import(struct import *import, const char *path,
                          struct mkv_backend_error *error) {
    struct mkv_block_reader reader;
    struct mkv_block_record record;
    if (!mkv_block_reader_open(&reader, path, error)) {
        return false;
    }
    import->tenant_count = 0;
    bool done = true;
    do {
        done = mkv_block_reader_next(&reader, &record, error);
        if (done && record.kind == MKV_BLOCK_RECORD_TENANT) {
            done = tenant_add(import, &reader, &record, error);
        } else if (done && record.kind == MKV_BLOCK_RECORD_BLOCK) {
            done = block_put(import, &reader, &record, error);
            import->done_bytes += record.length;
            if (import->options->progress != NULL) {
                import->options->progress(import->options->context, import->done_bytes,
                                          import->total_bytes);
            }
        }
    } while (done && record.kind != MKV_BLOCK_RECORD_END);
    mkv_block_reader_close(&reader);
    return done;
}

/* Before anything is changed: every stream is there and not torn. */
static bool streams_look(struct import *import, struct mkv_backend_error *error) {
    for (uint32_t i = 0; i < import->options->stream_count; i++) {
        struct mkv_block_reader reader;
        if (!mkv_block_reader_open(&reader, import->options->streams[i], error)) {
            return false;
        }
        import->total_bytes += reader.payload_total;
        mkv_block_reader_close(&reader);
    }
    return true;
}

static bool streams_import(struct import *import, struct mkv_backend_error *error) {
    bool done = true;
    for (uint32_t i = 0; i < import->options->stream_count && done; i++) {
        done = stream_import(import, import->options->streams[i], error);
    }
    /* What came before a record that is damaged stays, and the store is closed as it should be. */
    struct mkv_backend_error closing;
    const bool closed = volumes_close(import, &closing);
    if (done && !closed) {
        *error = closing;
    }
    return done && closed;
}

static void import_end(struct import *import) {
    for (uint32_t i = 0; i < import->drive_count; i++) {
        mkv_drive_tool_volume_destroy(import->volumes[i]);
        mkv_drive_tool_close(&import->drives[i]);
    }
    free(import->tenants);
    free(import);
}

bool mkv_drive_import(const struct mkv_drive_import_options *options,
                      struct mkv_drive_imported *imported, struct mkv_backend_error *error) {
    MKV_ASSERT(options->path_count >= 1);
    MKV_ASSERT(options->path_count <= MKV_VOLUMES_MAX);
    memset(imported, 0, sizeof *imported);
    struct import *import = calloc(1, sizeof *import);
    if (import == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
    }
    import->options = options;
    import->imported = imported;
    import->tenants = calloc(STREAM_TENANTS_MAX, sizeof *import->tenants);
    const bool done = import->tenants != NULL && streams_look(import, error) &&
                      drives_open(import, error) && plan_is_plain(import, error) &&
                      volumes_open(import, error) && tenants_tell(import, error) &&
                      streams_import(import, error);
    imported->store_uuid = import->plan.store_uuid;
    import_end(import);
    return done;
}
