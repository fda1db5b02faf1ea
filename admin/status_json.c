/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/status_json.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <time.h>

#include "admin/figures.h"
#include "admin/health.h"
#include "admin/text.h"
#include "admin/words.h"

#define NS_PER_S 1000000000ull
/* "2026-01-01T02:14:07Z", with room for any year that fits. */
#define TIME_BYTES 32u

/* Every setter below takes a NULL object, which is what remains of a lack of memory. */

static void set_count(json_t *object, const char *name, uint64_t value) {
    json_object_set_new(object, name, json_integer((json_int_t)mkv_min_u64(value, INT64_MAX)));
}

static void set_text(json_t *object, const char *name, const char *value) {
    char clean[MKV_ADMIN_PATH_BYTES];
    mkv_text_clean(value, clean, sizeof clean);
    json_object_set_new(object, name, json_string(clean));
}

/* null where it is not known, so that nobody takes "" for a name. */
static void set_text_or_null(json_t *object, const char *name, const char *value) {
    if (value[0] == '\0') {
        json_object_set_new(object, name, json_null());
    } else {
        set_text(object, name, value);
    }
}

void mkv_admin_json_time(json_t *object, const char *name, uint64_t unix_ms) {
    const time_t seconds = (time_t)mkv_min_u64(unix_ms / 1000, INT64_MAX);
    struct tm parts;
    char text[TIME_BYTES] = "";
    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    json_object_set_new(object, name, json_string(text));
}

static void set_uuid(json_t *object, const char *name, const struct mkv_uuid *uuid) {
    char text[MKV_TEXT_UUID_BYTES];
    mkv_text_uuid(uuid, text);
    set_text_or_null(object, name, text);
}

/* ---- the node -------------------------------------------------------------------------------- */

static json_t *node_json(const struct mkv_admin_snapshot *snapshot) {
    json_t *node = json_object();
    const char *reason = mkv_admin_unready_reason(snapshot);
    set_text(node, "id", snapshot->node_id);
    set_text(node, "state", mkv_admin_node_states[mkv_admin_health_state(snapshot)]);
    json_object_set_new(node, "ready", json_boolean(reason == NULL));
    set_text_or_null(node, "unready_reason", reason == NULL ? "" : reason);
    set_text(node, "version", snapshot->version);
    set_text_or_null(node, "commit", snapshot->commit);
    set_count(node, "epoch", snapshot->epoch);
    set_text_or_null(node, "config_hash", snapshot->config_hash);
    set_count(node, "drive_set_version", snapshot->drive_set_version);
    set_count(node, "drive_set_members", snapshot->drive_set_members);
    return node;
}

static json_t *warnings_json(const struct mkv_admin_snapshot *snapshot) {
    MKV_ASSERT(snapshot->warning_count <= MKV_ADMIN_WARNINGS_MAX);
    json_t *warnings = json_array();
    for (uint32_t index = 0; index < snapshot->warning_count; index++) {
        const struct mkv_admin_warning *source = &snapshot->warnings[index];
        MKV_ASSERT((uint32_t)source->code < MKV_ADMIN_WARNING_CODE_COUNT);
        json_t *warning = json_object();
        set_text(warning, "code", mkv_admin_warning_codes[source->code]);
        mkv_admin_json_time(warning, "since", source->since_ms);
        set_text_or_null(warning, "device_id", source->drive);
        set_text(warning, "message", source->message);
        set_text(warning, "action", source->action);
        json_array_append_new(warnings, warning);
    }
    return warnings;
}

static json_t *memory_json(const struct mkv_admin_snapshot *snapshot) {
    const struct mkv_admin_slab_figures figures = mkv_admin_slab_figures(snapshot);
    json_t *memory = json_object();
    set_count(memory, "used_bytes", figures.bytes_used);
    set_count(memory, "total_bytes", figures.bytes_total);
    set_count(memory, "slabs_allocated", figures.slabs_allocated);
    set_count(memory, "slabs_total", figures.slabs_total);
    set_count(memory, "blocks", snapshot->front.memory_blocks);
    set_count(memory, "relaxed_puts", snapshot->front.puts_early);
    set_count(memory, "relaxed_puts_lost", snapshot->front.puts_early_lost);
    set_count(memory, "reads_shared", snapshot->front.reads_shared);
    json_object_set_new(memory, "huge_pages", json_boolean(snapshot->memory.huge_pages));
    return memory;
}

/* ---- drives ---------------------------------------------------------------------------------- */

static json_t *classes_json(const struct mkv_volume_stats *volume) {
    json_t *classes = json_array();
    for (uint32_t index = 0; index < volume->class_count; index++) {
        const struct mkv_volume_class_stats *source = &volume->classes[index];
        if (source->extents == 0) {
            continue;
        }
        json_t *class_object = json_object();
        set_count(class_object, "slot_bytes", (uint64_t)source->slot_units * MKV_UNIT_BYTES);
        set_count(class_object, "extents", source->extents);
        set_count(class_object, "slots", source->slots);
        set_count(class_object, "used", source->slots_used);
        json_array_append_new(classes, class_object);
    }
    return classes;
}

static json_t *io_json(const struct mkv_admin_drive *drive) {
    json_t *io = json_object();
    for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
        json_t *counts = json_object();
        set_count(counts, "operations", drive->io[op].operations);
        set_count(counts, "bytes", drive->io[op].bytes);
        set_count(counts, "errors", drive->io[op].errors);
        set_count(counts, "in_flight", drive->io[op].in_flight);
        json_object_set_new(io, mkv_admin_io_ops[op], counts);
    }
    return io;
}

/* null: there was none. */
static void set_latency(json_t *object, const char *name, uint64_t latency_ns) {
    if (latency_ns == 0) {
        json_object_set_new(object, name, json_null());
    } else {
        set_count(object, name, mkv_divide_up_u64(latency_ns, 1000));
    }
}

static json_t *device_recent_json(const struct mkv_admin_drive_recent *source) {
    json_t *recent = json_object();
    set_count(recent, "read_bytes_per_second", source->read_bytes_s);
    set_count(recent, "write_bytes_per_second", source->write_bytes_s);
    set_latency(recent, "read_p99_us", source->read_p99_ns);
    set_latency(recent, "write_p99_us", source->write_p99_ns);
    return recent;
}

static json_t *device_json(const struct mkv_admin_drive *drive,
                           const struct mkv_admin_drive_figures *figures) {
    json_t *device = json_object();
    set_text(device, "device_id", drive->name);
    set_text(device, "path", drive->path);
    set_text(device, "state", mkv_drive_state_words[drive->state]);
    set_text_or_null(device, "model", drive->model);
    set_text_or_null(device, "serial", drive->serial);
    set_text_or_null(device, "firmware", drive->firmware);
    set_uuid(device, "uuid", &drive->uuid);
    set_count(device, "epoch", drive->volume.epoch);
    set_count(device, "blocks", drive->volume.blocks);
    set_count(device, "total_slots", figures->slots_total);
    set_count(device, "allocated_slots", figures->slots_used);
    set_count(device, "retired_slots", drive->volume.slots_retired);
    set_count(device, "free_extents", drive->volume.extents_free);
    set_count(device, "raw_capacity_bytes", figures->bytes_raw);
    set_count(device, "usable_bytes", figures->bytes_usable);
    set_count(device, "metadata_bytes", figures->bytes_metadata);
    set_count(device, "used_bytes", figures->bytes_used);
    json_object_set_new(device, "classes", classes_json(&drive->volume));
    set_count(device, "errors", figures->io_errors);
    json_object_set_new(device, "io", io_json(drive));
    json_object_set_new(device, "recent", device_recent_json(&drive->recent));
    return device;
}

json_t *mkv_admin_device_json(const struct mkv_admin_snapshot *snapshot, uint32_t drive) {
    const struct mkv_admin_drive_figures figures = mkv_admin_drive_figures(snapshot, drive);
    return device_json(&snapshot->drives[drive], &figures);
}

static json_t *storage_json(const struct mkv_admin_snapshot *snapshot) {
    json_t *storage = json_object();
    json_t *devices = json_array();
    struct mkv_admin_drive_figures sum = {0};
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        const struct mkv_admin_drive_figures figures = mkv_admin_drive_figures(snapshot, index);
        sum.slots_total += figures.slots_total;
        sum.bytes_raw += figures.bytes_raw;
        sum.bytes_usable += figures.bytes_usable;
        sum.bytes_used += figures.bytes_used;
        json_array_append_new(devices, device_json(&snapshot->drives[index], &figures));
    }
    set_count(storage, "num_devices", snapshot->drive_count);
    set_count(storage, "block_size_bytes", snapshot->storage_block_bytes);
    set_count(storage, "total_blocks", sum.slots_total);
    set_count(storage, "raw_bytes_total", sum.bytes_raw);
    set_count(storage, "usable_bytes_total", sum.bytes_usable);
    set_count(storage, "used_bytes_total", sum.bytes_used);
    set_count(storage, "payload_bytes_total", snapshot->payload_bytes);
    json_object_set_new(storage, "devices", devices);
    return storage;
}

/* Seconds from a time to that of the snapshot; null: it never was. */
static void set_age(json_t *object, const char *name, uint64_t time_ms, uint64_t now_ms) {
    if (time_ms == 0) {
        json_object_set_new(object, name, json_null());
    } else {
        set_count(object, name, now_ms > time_ms ? (now_ms - time_ms) / 1000 : 0);
    }
}

static json_t *journal_json(const struct mkv_admin_snapshot *snapshot) {
    json_t *journal = json_array();
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &snapshot->drives[index].volume;
        json_t *drive = json_object();
        set_text(drive, "device_id", snapshot->drives[index].name);
        set_count(drive, "head", volume->journal_head);
        set_count(drive, "applied", volume->journal_applied);
        set_count(drive, "lag", mkv_admin_journal_lag(volume));
        set_count(drive, "ring_blocks", volume->journal_ring_blocks);
        set_count(drive, "checkpoints", volume->checkpoints_total);
        set_age(drive, "checkpoint_age_seconds", snapshot->drives[index].checkpoint_ms,
                snapshot->taken_ms);
        set_text(drive, "directory", mkv_directory_state_name(volume->directory.state));
        set_count(drive, "directory_lag", volume->directory_lag);
        json_array_append_new(journal, drive);
    }
    return journal;
}

/* ---- keys and clients ------------------------------------------------------------------------ */

/* A rate of what happened in the window. */
static void set_rate(json_t *object, const char *name, uint64_t count, uint64_t window_ns) {
    const double seconds = (double)window_ns / (double)NS_PER_S;
    json_object_set_new(object, name, json_real(window_ns == 0 ? 0 : (double)count / seconds));
}

static json_t *tenant_json(const struct mkv_admin_tenant *source, uint64_t window_ns) {
    json_t *tenant = json_object();
    set_text(tenant, "tenant", source->name);
    set_count(tenant, "blocks", source->blocks);
    set_count(tenant, "used_bytes", source->bytes);
    if (source->quota_bytes == UINT64_MAX) {
        json_object_set_new(tenant, "quota_bytes", json_null());
    } else {
        set_count(tenant, "quota_bytes", source->quota_bytes);
    }
    json_t *recent = json_object();
    set_count(recent, "found_keys", source->recent.keys_found);
    set_count(recent, "missed_keys", source->recent.keys_missed);
    set_rate(recent, "evicted_per_second", source->recent.evicted, window_ns);
    set_rate(recent, "caused_per_second", source->recent.caused, window_ns);
    json_object_set_new(tenant, "recent", recent);
    return tenant;
}

/* /v1/tenants has all of them. */
static json_t *tenants_json(const struct mkv_admin_snapshot *snapshot) {
    json_t *tenants = json_array();
    for (uint32_t index = 0; index < snapshot->tenant_count && index < MKV_ADMIN_TENANTS_TOLD;
         index++) {
        json_array_append_new(tenants,
                              tenant_json(&snapshot->tenants[index], snapshot->recent.window_ns));
    }
    return tenants;
}

struct mkv_admin_reply mkv_admin_tenants(const struct mkv_admin_snapshot *snapshot) {
    json_t *tenants = json_array();
    for (uint32_t index = 0; index < snapshot->tenant_count; index++) {
        json_array_append_new(tenants,
                              tenant_json(&snapshot->tenants[index], snapshot->recent.window_ns));
    }
    json_t *object = json_object();
    json_object_set_new(object, "tenants", tenants);
    return mkv_admin_reply_json(MHD_HTTP_OK, object);
}

static json_t *misses_json(const uint64_t keys_by_miss[MKV_MISS_COUNT]) {
    json_t *misses = json_object();
    for (uint32_t miss = MKV_MISS_UNKNOWN; miss < MKV_MISS_COUNT; miss++) {
        set_count(misses, mkv_admin_misses[miss - 1], keys_by_miss[miss]);
    }
    return misses;
}

/* The last ten minutes. */
static json_t *recent_json(const struct mkv_admin_snapshot *snapshot) {
    const struct mkv_admin_recent *source = &snapshot->recent;
    json_t *recent = json_object();
    set_count(recent, "window_seconds", source->window_ns / NS_PER_S);
    set_count(recent, "memory_keys", source->keys_memory);
    set_count(recent, "drive_keys", source->keys_drive);
    set_count(recent, "miss_keys", source->keys_miss);
    json_object_set_new(recent, "misses", misses_json(source->keys_by_miss));
    if (source->residency_s == UINT64_MAX) {
        json_object_set_new(recent, "residency_seconds", json_null());
    } else {
        set_count(recent, "residency_seconds", source->residency_s);
    }
    return recent;
}

static json_t *tiers_json(const struct mkv_admin_snapshot *snapshot) {
    json_t *tiers = json_array();
    for (uint32_t index = 0; index < MKV_ADMIN_TIER_COUNT; index++) {
        json_t *tier = json_object();
        set_text(tier, "tier", mkv_admin_tiers[index]);
        set_count(tier, "blocks", mkv_admin_blocks_of_tier(snapshot, index));
        json_array_append_new(tiers, tier);
    }
    return tiers;
}

static json_t *lookups_json(const struct mkv_admin_snapshot *snapshot) {
    const struct mkv_admin_lookups lookups = mkv_admin_lookups(snapshot);
    json_t *object = json_object();
    set_count(object, "memory_keys", lookups.keys_memory);
    set_count(object, "drive_keys", lookups.keys_drive);
    set_count(object, "miss_keys", lookups.keys_miss);
    json_object_set_new(object, "misses", misses_json(lookups.keys_by_miss));
    return object;
}

static json_t *requests_json(const struct mkv_admin_snapshot *snapshot) {
    json_t *requests = json_object();
    set_count(requests, "in_flight", snapshot->front.requests_in_flight);
    for (uint32_t op = MKV_OP_PUT; op < MKV_OP_COUNT; op++) {
        set_count(requests, mkv_admin_ops[op], snapshot->front.requests_started[op]);
    }
    return requests;
}

static json_t *one_fabric_json(const struct mkv_admin_fabric *one) {
    json_t *json = json_object();
    set_count(json, "active_connections", one->connections_active);
    set_count(json, "accepted_connections", one->connections_accepted_total);
    set_count(json, "bytes_in", one->bytes_in_total);
    set_count(json, "bytes_out", one->bytes_out_total);
    return json;
}

static json_t *fabric_json(const struct mkv_admin_snapshot *snapshot) {
    json_t *fabric = json_object();
    json_object_set_new(fabric, "tcp", one_fabric_json(&snapshot->fabric));
    if (snapshot->rdma.is_configured) {
        json_object_set_new(fabric, "rdma", one_fabric_json(&snapshot->rdma.fabric));
    }
    if (snapshot->has_shm) {
        json_object_set_new(fabric, "shm", one_fabric_json(&snapshot->shm));
    }
    return fabric;
}

/* The reasons that there were, with how often. */
static json_t *reasons_json(const uint64_t *counts, const char *const *words) {
    json_t *reasons = json_object();
    for (uint32_t index = 0; words[index] != NULL; index++) {
        if (counts[index] > 0) {
            set_count(reasons, words[index], counts[index]);
        }
    }
    return reasons;
}

static json_t *rdma_json(const struct mkv_admin_rdma *source) {
    json_t *ports = json_array();
    MKV_ASSERT(source->port_count <= MKV_ADMIN_RDMA_PORTS_MAX);
    for (uint32_t index = 0; index < source->port_count; index++) {
        const struct mkv_admin_rdma_port *one = &source->ports[index];
        json_t *port = json_object();
        set_text(port, "device", one->device);
        set_count(port, "port", one->port);
        set_text(port, "address", one->address);
        json_object_set_new(port, "gid_index", json_integer(one->gid_index));
        set_count(port, "mtu", one->mtu);
        json_object_set_new(port, "up", json_boolean(one->is_up));
        mkv_admin_json_time(port, "since", one->since_ms);
        json_array_append_new(ports, port);
    }
    json_t *rdma = json_object();
    json_object_set_new(rdma, "active", json_boolean(source->is_active));
    json_object_set_new(rdma, "configured", json_boolean(source->is_configured));
    set_count(rdma, "active_connections", source->fabric.connections_active);
    json_object_set_new(rdma, "ports", ports);
    set_count(rdma, "connects", source->connects_total);
    json_object_set_new(rdma, "failures",
                        reasons_json(source->failures_total, mkv_admin_rdma_failures));
    json_object_set_new(rdma, "fallbacks",
                        reasons_json(source->fallbacks_total, mkv_admin_rdma_fallbacks));
    set_count(rdma, "recoveries", source->recoveries_total);
    return rdma;
}

/* null: the node tells nobody that it is there. */
static json_t *cluster_json(const struct mkv_admin_snapshot *snapshot) {
    const struct mkv_admin_cluster *source = &snapshot->cluster;
    if (!source->is_configured) {
        return json_null();
    }
    json_t *cluster = json_object();
    set_text(cluster, "discovery", source->discovery);
    set_text(cluster, "address", source->advertise);
    set_count(cluster, "weight", source->weight);
    json_object_set_new(cluster, "registered", json_boolean(source->is_registered));
    mkv_admin_json_time(cluster, "since", source->since_ms);
    set_text_or_null(cluster, "problem", source->problem);
    return cluster;
}

static json_t *ring_json(const struct mkv_admin_ring *ring) {
    json_t *lists = json_array();
    MKV_ASSERT(ring->told_count <= MKV_ADMIN_RING_VIEWS);
    for (uint32_t index = 0; index < ring->told_count; index++) {
        const struct mkv_admin_ring_view *view = &ring->views[index];
        char hash[17];
        snprintf(hash, sizeof hash, "%016" PRIx64, view->hash);
        json_t *list = json_object();
        set_text(list, "hash", hash);
        set_count(list, "connections", view->connection_count);
        set_text(list, "client", view->address);
        set_text(list, "client_name", view->name);
        json_array_append_new(lists, list);
    }
    json_t *object = json_object();
    set_count(object, "views", ring->view_count);
    json_object_set_new(object, "lists", lists);
    return object;
}

struct mkv_admin_reply mkv_admin_status(const struct mkv_admin_snapshot *snapshot) {
    const uint64_t blocks = mkv_admin_blocks(snapshot);
    json_t *status = json_object();
    json_object_set_new(status, "node", node_json(snapshot));
    set_count(status, "uptime_seconds", snapshot->uptime_ns / NS_PER_S);
    json_object_set_new(status, "warnings", warnings_json(snapshot));
    json_object_set_new(status, "cluster", cluster_json(snapshot));
    json_object_set_new(status, "memory", memory_json(snapshot));
    json_object_set_new(status, "storage", storage_json(snapshot));
    set_count(status, "blocks_total", mkv_admin_blocks_total(snapshot));
    set_count(status, "blocks_persisted", blocks);
    json_object_set_new(status, "journal", journal_json(snapshot));
    json_object_set_new(status, "tenants", tenants_json(snapshot));
    set_count(status, "tenants_total", snapshot->tenant_count);
    json_object_set_new(status, "tiers", tiers_json(snapshot));
    json_object_set_new(status, "lookups", lookups_json(snapshot));
    json_object_set_new(status, "recent", recent_json(snapshot));
    json_object_set_new(status, "requests", requests_json(snapshot));
    json_object_set_new(status, "rdma", rdma_json(&snapshot->rdma));
    json_object_set_new(status, "fabric", fabric_json(snapshot));
    json_object_set_new(status, "ring", ring_json(&snapshot->ring));
    return mkv_admin_reply_json(MHD_HTTP_OK, status);
}
