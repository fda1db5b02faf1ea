/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry_collect.h"

#include <string.h>

#include "admin/exposition.h"
#include "admin/figures.h"
#include "admin/health.h"
#include "admin/text.h"
#include "admin/words.h"

#define NS_PER_S 1e9

static uint64_t u64_at(const void *base, size_t offset) {
    uint64_t value;
    memcpy(&value, (const char *)base + offset, sizeof value);
    return value;
}

/* A sample of a family with no, one or two labels. */
/* The label of tenants past the bound. */
#define TENANT_OTHER "other"

static void count0(struct mkv_exposition *out, uint64_t value) {
    mkv_exposition_count(out, NULL, value);
}

static void count1(struct mkv_exposition *out, const char *label, uint64_t value) {
    mkv_exposition_count(out, (const char *const[]){label}, value);
}

static void count2(struct mkv_exposition *out, const char *first, const char *second,
                   uint64_t value) {
    mkv_exposition_count(out, (const char *const[]){first, second}, value);
}

/* ---- by offset ------------------------------------------------------------------------------- */

MKV_COLLECTOR(node) {
    count0(out, u64_at(sources->snapshot, argument));
}

MKV_COLLECTOR(drive) {
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        count1(out, drive->name, u64_at(drive, argument));
    }
}

MKV_COLLECTOR(drives_sum) {
    uint64_t sum = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        sum += u64_at(&sources->snapshot->drives[index], argument);
    }
    count0(out, sum);
}

MKV_COLLECTOR(leaf_miss) {
    uint64_t bounds[MKV_DIRECTORY_MISS_BOUNDS];
    uint64_t counts[MKV_DIRECTORY_MISS_BOUNDS + 1] = {0};
    uint64_t sum = 0;
    (void)argument;
    for (uint32_t bound = 0; bound < MKV_DIRECTORY_MISS_BOUNDS; bound++) {
        bounds[bound] = mkv_directory_miss_bound_us(bound);
    }
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_directory_stats *stats =
            &sources->snapshot->drives[index].volume.directory;
        for (uint32_t bucket = 0; bucket <= MKV_DIRECTORY_MISS_BOUNDS; bucket++) {
            counts[bucket] += stats->leaf_miss_us[bucket];
        }
        sum += stats->leaf_miss_us_sum;
    }
    mkv_exposition_histogram(out, bounds, counts, MKV_DIRECTORY_MISS_BOUNDS, sum);
}

MKV_COLLECTOR(figure) {
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive_figures figures =
            mkv_admin_drive_figures(sources->snapshot, index);
        count1(out, sources->snapshot->drives[index].name, u64_at(&figures, argument));
    }
}

static uint64_t figures_sum(const struct mkv_admin_snapshot *snapshot, size_t offset) {
    uint64_t sum = 0;
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        const struct mkv_admin_drive_figures figures = mkv_admin_drive_figures(snapshot, index);
        sum += u64_at(&figures, offset);
    }
    return sum;
}

MKV_COLLECTOR(figures_sum) {
    count0(out, figures_sum(sources->snapshot, argument));
}

MKV_COLLECTOR(slab_figure) {
    const struct mkv_admin_slab_figures figures = mkv_admin_slab_figures(sources->snapshot);
    count0(out, u64_at(&figures, argument));
}

MKV_COLLECTOR(io) {
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
            count2(out, drive->name, mkv_admin_io_ops[op], u64_at(&drive->io[op], argument));
        }
    }
}

MKV_COLLECTOR(fabric) {
    count1(out, "tcp", u64_at(&sources->snapshot->fabric, argument));
}

MKV_COLLECTOR(fabric_bytes) {
    count2(out, "tcp", "native", u64_at(&sources->snapshot->fabric, argument));
}

MKV_COLLECTOR(process) {
    count0(out, u64_at(sources->process, argument));
}

MKV_COLLECTOR(process_s) {
    double seconds;
    memcpy(&seconds, (const char *)sources->process + argument, sizeof seconds);
    mkv_exposition_real(out, NULL, seconds);
}

/* ---- requests -------------------------------------------------------------------------------- */

MKV_COLLECTOR(requests_of) {
    count0(out, sources->snapshot->front.requests_started[argument]);
}

MKV_COLLECTOR(items_of_status) {
    uint64_t sum = 0;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        /* What a COMMIT does not find is no key. */
        const bool counts = op != MKV_OP_COMMIT || argument != MKV_STATUS_NOT_FOUND;
        sum += counts ? sources->snapshot->front.items_finished[op][argument] : 0;
    }
    count0(out, sum);
}

/* Frames that are none count too: their connection is closed, and no request comes of them. */
MKV_COLLECTOR(invalid_requests) {
    (void)argument;
    uint64_t sum = sources->snapshot->fabric.faults_total;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        sum += sources->snapshot->front.requests_answered[op][MKV_STATUS_INVALID];
    }
    count0(out, sum);
}

MKV_COLLECTOR(requests) {
    (void)argument;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        for (uint32_t status = 0; status < MKV_STATUS_COUNT; status++) {
            count2(out, mkv_admin_ops[op], mkv_admin_statuses[status],
                   sources->snapshot->front.requests_answered[op][status]);
        }
    }
}

MKV_COLLECTOR(requests_in_flight) {
    (void)argument;
    count0(out, sources->snapshot->front.requests_in_flight);
}

MKV_COLLECTOR(commands) {
    (void)argument;
    for (uint32_t op = MKV_OP_PUT; op < MKV_OP_COUNT; op++) {
        count1(out, mkv_admin_ops[op], sources->snapshot->front.requests_started[op]);
    }
}

MKV_COLLECTOR(lookup_keys) {
    (void)argument;
    static const enum mkv_op ops[] = {MKV_OP_LOOKUP, MKV_OP_EXISTS, MKV_OP_GET};
    for (size_t place = 0; place < sizeof ops / sizeof ops[0]; place++) {
        const uint64_t *keys = sources->snapshot->front.keys_by_miss[ops[place]];
        uint64_t missed = 0;
        for (uint32_t miss = MKV_MISS_UNKNOWN; miss < MKV_MISS_COUNT; miss++) {
            missed += keys[miss];
        }
        const char *op = mkv_admin_ops[ops[place]];
        const uint64_t memory = sources->snapshot->front.keys_from_memory[ops[place]];
        count2(out, op, "memory", memory);
        count2(out, op, "drive", keys[MKV_MISS_NONE] - memory);
        count2(out, op, "miss", missed);
    }
}

MKV_COLLECTOR(miss_keys) {
    (void)argument;
    const struct mkv_admin_lookups lookups = mkv_admin_lookups(sources->snapshot);
    for (uint32_t miss = MKV_MISS_UNKNOWN; miss < MKV_MISS_COUNT; miss++) {
        count1(out, mkv_admin_misses[miss - 1], lookups.keys_by_miss[miss]);
    }
}

MKV_COLLECTOR(drive_tier_lookups) {
    const struct mkv_admin_lookups lookups = mkv_admin_lookups(sources->snapshot);
    count0(out, lookups.keys_drive + (argument != 0 ? 0 : lookups.keys_miss));
}

MKV_COLLECTOR(drive_tier_loaded) {
    (void)argument;
    const struct mkv_front_stats *front = &sources->snapshot->front;
    count0(out,
           front->items_finished[MKV_OP_GET][MKV_STATUS_OK] - front->keys_from_memory[MKV_OP_GET]);
}

/* ---- the memory tier ------------------------------------------------------------------------- */

MKV_COLLECTOR(memory_tier_requests) {
    (void)argument;
    const uint64_t *started = sources->snapshot->front.requests_started;
    count0(out, started[MKV_OP_GET] + started[MKV_OP_EXISTS] + started[MKV_OP_LOOKUP]);
}

MKV_COLLECTOR(memory_tier_writes) {
    (void)argument;
    const uint64_t *started = sources->snapshot->front.requests_started;
    count0(out, started[MKV_OP_PUT] + started[MKV_OP_ALLOCATE]);
}

MKV_COLLECTOR(memory_tier_reserved) {
    (void)argument;
    count0(out, sources->snapshot->front.writes_reserved);
}

MKV_COLLECTOR(memory_tier_refused) {
    (void)argument;
    const struct mkv_front_stats *front = &sources->snapshot->front;
    const uint64_t *put = front->items_finished[MKV_OP_PUT];
    const uint64_t *allocate = front->items_finished[MKV_OP_ALLOCATE];
    count1(out, "no_memory", front->writes_without_memory);
    count1(out, "no_space",
           put[MKV_STATUS_NO_SPACE] + put[MKV_STATUS_QUOTA] + allocate[MKV_STATUS_NO_SPACE] +
               allocate[MKV_STATUS_QUOTA]);
    count1(out, "conflict", put[MKV_STATUS_CONFLICT] + allocate[MKV_STATUS_CONFLICT]);
}

MKV_COLLECTOR(memory_tier_lookups) {
    const struct mkv_admin_lookups lookups = mkv_admin_lookups(sources->snapshot);
    count0(out, argument != 0 ? lookups.keys_memory : lookups.keys_drive + lookups.keys_miss);
}

MKV_COLLECTOR(memory_tier_read) {
    (void)argument;
    count0(out, sources->snapshot->front.keys_from_memory[MKV_OP_GET]);
}

MKV_COLLECTOR(memory_tier_written) {
    (void)argument;
    const struct mkv_front_stats *front = &sources->snapshot->front;
    count0(out, front->memory_kept_puts + front->memory_kept_reads);
}

MKV_COLLECTOR(memory_tier_evicted) {
    (void)argument;
    count0(out, sources->snapshot->front.memory_taken);
}

MKV_COLLECTOR(unpersisted) {
    (void)argument;
    count0(out, sources->snapshot->front.memory_unpersisted);
}

MKV_COLLECTOR(drive_tier_failures) {
    (void)argument;
    const uint64_t *keys = sources->snapshot->front.keys_by_miss[MKV_OP_GET];
    count1(out, "io_error", keys[MKV_MISS_IO_ERROR]);
    count1(out, "checksum", keys[MKV_MISS_CHECKSUM]);
    count1(out, "deadline", keys[MKV_MISS_DEADLINE]);
    count1(out, "offline", keys[MKV_MISS_DRIVE_OFFLINE]);
}

/* A node has one shard. */
MKV_COLLECTOR(shard_commands) {
    (void)argument;
    uint64_t sum = 0;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        sum += sources->snapshot->front.requests_started[op];
    }
    count1(out, "0", sum);
}

MKV_COLLECTOR(shard_blocks) {
    (void)argument;
    count1(out, "0", mkv_admin_blocks(sources->snapshot));
}

/* ---- blocks and drives ----------------------------------------------------------------------- */

MKV_COLLECTOR(blocks) {
    count0(out, argument != 0 ? mkv_admin_blocks_total(sources->snapshot)
                              : mkv_admin_blocks(sources->snapshot));
}

MKV_COLLECTOR(blocks_by_tier) {
    (void)argument;
    for (uint32_t tier = 0; tier < MKV_ADMIN_TIER_COUNT; tier++) {
        count1(out, mkv_admin_tiers[tier], mkv_admin_blocks_of_tier(sources->snapshot, tier));
    }
}

MKV_COLLECTOR(critical_evictions) {
    (void)argument;
    uint64_t sum = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        sum += volume->evictions_by_tier[MKV_TIER_OUTPUT_CRITICAL];
    }
    count0(out, sum);
}

MKV_COLLECTOR(demotions) {
    static const char *const causes[MKV_DEMOTION_COUNT] = {"exit_think", "session_end", "idle"};
    (void)argument;
    for (uint32_t cause = 0; cause < MKV_DEMOTION_COUNT; cause++) {
        uint64_t sum = 0;
        for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
            sum += sources->snapshot->drives[index].volume.demotions_total[cause];
        }
        count1(out, causes[cause], sum);
    }
}

/* A session is on every drive that was told of it or stored for it: the drive that has most. */
MKV_COLLECTOR(sessions_tracked) {
    (void)argument;
    uint64_t most = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        most = mkv_max_u64(most, sources->snapshot->drives[index].volume.sessions);
    }
    count0(out, most);
}

MKV_COLLECTOR(think_tokens) {
    const struct mkv_front_stats *front = &sources->snapshot->front;
    uint64_t bounds[MKV_FRONT_THINK_BOUNDS];
    (void)argument;
    for (uint32_t bound = 0; bound < MKV_FRONT_THINK_BOUNDS; bound++) {
        bounds[bound] = (uint64_t)MKV_FRONT_THINK_FIRST << bound;
    }
    mkv_exposition_histogram(out, bounds, front->think_tokens, MKV_FRONT_THINK_BOUNDS,
                             front->think_tokens_sum);
}

MKV_COLLECTOR(think_exits) {
    const uint64_t *exits = sources->snapshot->front.think_exits;
    (void)argument;
    count1(out, "converged", exits[MKV_THINK_CONVERGED]);
    count1(out, "overthinking", exits[MKV_THINK_OVERTHINKING]);
    count1(out, "hard_cap", exits[MKV_THINK_HARD_CAP]);
}

MKV_COLLECTOR(evicted_seconds) {
    struct mkv_volume_seconds sum = {.sum = 0};
    uint64_t bounds[MKV_VOLUME_SECONDS_BOUNDS];
    for (uint32_t bound = 0; bound < MKV_VOLUME_SECONDS_BOUNDS; bound++) {
        bounds[bound] = 1ull << bound;
    }
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        const struct mkv_volume_seconds *seconds =
            argument != 0 ? &volume->evicted_lifetime : &volume->evicted_idle;
        for (uint32_t bucket = 0; bucket <= MKV_VOLUME_SECONDS_BOUNDS; bucket++) {
            sum.counts[bucket] += seconds->counts[bucket];
        }
        sum.sum += seconds->sum;
    }
    mkv_exposition_histogram(out, bounds, sum.counts, MKV_VOLUME_SECONDS_BOUNDS, sum.sum);
}

MKV_COLLECTOR(evictions_by_tier) {
    (void)argument;
    for (uint32_t tier = 0; tier < MKV_ADMIN_TIER_COUNT; tier++) {
        uint64_t sum = 0;
        for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
            sum += sources->snapshot->drives[index].volume.evictions_by_tier[tier];
        }
        count1(out, mkv_admin_tiers[tier], sum);
    }
}

MKV_COLLECTOR(evictions_by_cause) {
    (void)argument;
    uint64_t capacity = 0;
    uint64_t quota = 0;
    uint64_t rebalance = 0;
    uint64_t expired = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        capacity += volume->evictions_capacity_total;
        quota += volume->evictions_quota_total;
        rebalance += volume->evictions_rebalance_total;
        expired += volume->expired_total;
    }
    count1(out, "capacity", capacity);
    count1(out, "quota", quota);
    count1(out, "class_rebalance", rebalance);
    count1(out, "expire", expired);
}

MKV_COLLECTOR(leases) {
    (void)argument;
    uint64_t used = 0;
    uint64_t expired = 0;
    uint64_t overridden = 0;
    uint64_t refused = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        used += volume->leases_used_total;
        expired += volume->leases_expired_total;
        overridden += volume->leases_overridden_total;
        refused += volume->leases_refused_total;
    }
    count1(out, "used", used);
    count1(out, "expired", expired);
    count1(out, "overridden", overridden);
    count1(out, "refused", refused);
}

MKV_COLLECTOR(active_tenants) {
    (void)argument;
    uint64_t active = 0;
    for (uint32_t index = 0; index < sources->snapshot->tenant_count; index++) {
        active += sources->snapshot->tenants[index].blocks > 0;
    }
    count0(out, active);
}

/* Those that are told apart have labels of their own, but for one with the name of the rest. */
static bool tenant_is_told(const struct mkv_admin_snapshot *snapshot, uint32_t index) {
    return index < MKV_ADMIN_TENANTS_TOLD &&
           strcmp(snapshot->tenants[index].name, TENANT_OTHER) != 0;
}

MKV_COLLECTOR(of_tenants) {
    const struct mkv_admin_snapshot *snapshot = sources->snapshot;
    uint64_t others = 0;
    bool has_others = false;
    for (uint32_t index = 0; index < snapshot->tenant_count; index++) {
        const struct mkv_admin_tenant *tenant = &snapshot->tenants[index];
        if (tenant_is_told(snapshot, index)) {
            count1(out, tenant->name, u64_at(tenant, argument));
        } else {
            others += u64_at(tenant, argument);
            has_others = true;
        }
    }
    if (has_others) {
        count1(out, TENANT_OTHER, others);
    }
}

/* What clients of the tenants that are told apart asked for, and in `others` the rest. */
static bool tenants_asked(const struct mkv_admin_snapshot *snapshot,
                          struct mkv_front_tenant *others) {
    bool has_others = false;
    *others = snapshot->tenants_other;
    for (uint32_t index = 0; index < snapshot->tenant_count; index++) {
        if (!tenant_is_told(snapshot, index)) {
            const struct mkv_front_tenant *asked = &snapshot->tenants[index].asked;
            others->keys_from_memory += asked->keys_from_memory;
            others->keys_from_drive += asked->keys_from_drive;
            others->keys_missed += asked->keys_missed;
            others->bytes_in += asked->bytes_in;
            others->bytes_out += asked->bytes_out;
            has_others = true;
        }
    }
    return has_others || others->keys_missed > 0 || others->bytes_in > 0 ||
           others->keys_from_memory > 0 || others->keys_from_drive > 0;
}

static void asked_keys(struct mkv_exposition *out, const char *name,
                       const struct mkv_front_tenant *asked) {
    count2(out, name, "memory", asked->keys_from_memory);
    count2(out, name, "drive", asked->keys_from_drive);
    count2(out, name, "miss", asked->keys_missed);
}

static void asked_bytes(struct mkv_exposition *out, const char *name,
                        const struct mkv_front_tenant *asked) {
    count2(out, name, "in", asked->bytes_in);
    count2(out, name, "out", asked->bytes_out);
}

MKV_COLLECTOR(tenant_asked) {
    const struct mkv_admin_snapshot *snapshot = sources->snapshot;
    struct mkv_front_tenant others;
    const bool has_others = tenants_asked(snapshot, &others);
    for (uint32_t index = 0; index < snapshot->tenant_count; index++) {
        const struct mkv_admin_tenant *tenant = &snapshot->tenants[index];
        if (!tenant_is_told(snapshot, index)) {
            continue;
        }
        if (argument != 0) {
            asked_bytes(out, tenant->name, &tenant->asked);
        } else {
            asked_keys(out, tenant->name, &tenant->asked);
        }
    }
    if (has_others && argument != 0) {
        asked_bytes(out, TENANT_OTHER, &others);
    } else if (has_others) {
        asked_keys(out, TENANT_OTHER, &others);
    }
}

MKV_COLLECTOR(tenant_quotas) {
    (void)argument;
    const struct mkv_admin_snapshot *snapshot = sources->snapshot;
    for (uint32_t index = 0; index < snapshot->tenant_count; index++) {
        const struct mkv_admin_tenant *tenant = &snapshot->tenants[index];
        if (tenant_is_told(snapshot, index) && tenant->quota_bytes != UINT64_MAX) {
            count1(out, tenant->name, tenant->quota_bytes);
        }
    }
}

MKV_COLLECTOR(device_online) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        count1(out, drive->name, drive->state == MKV_ADMIN_DRIVE_ONLINE ? 1 : 0);
    }
}

MKV_COLLECTOR(device_state) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        for (uint32_t state = 0; state < MKV_ADMIN_DRIVE_STATE_COUNT; state++) {
            count2(out, drive->name, mkv_admin_drive_states[state],
                   (uint32_t)drive->state == state ? 1 : 0);
        }
    }
}

MKV_COLLECTOR(device_info) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        char uuid[MKV_TEXT_UUID_BYTES];
        mkv_text_uuid(&drive->uuid, uuid);
        const char *const labels[] = {
            drive->name,
            drive->path,
            drive->model,
            drive->serial,
            drive->firmware,
            uuid,
            drive->write_cache ? "volatile" : "none",
        };
        mkv_exposition_count(out, labels, 1);
    }
}

MKV_COLLECTOR(checksum_failures) {
    (void)argument;
    struct mkv_volume_stats sum = {0};
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        sum.checksum_failures_superblock_total += volume->checksum_failures_superblock_total;
        sum.checksum_failures_journal_total += volume->checksum_failures_journal_total;
        sum.checksum_failures_index_total += volume->checksum_failures_index_total;
        sum.checksum_failures_header_total += volume->checksum_failures_header_total;
        sum.checksum_failures_payload_total += volume->checksum_failures_payload_total;
    }
    count1(out, "superblock", sum.checksum_failures_superblock_total);
    count1(out, "journal", sum.checksum_failures_journal_total);
    count1(out, "index", sum.checksum_failures_index_total);
    count1(out, "slot_header", sum.checksum_failures_header_total);
    count1(out, "payload", sum.checksum_failures_payload_total);
    count1(out, "wire", sources->snapshot->fabric.checksum_failures_total);
}

/* A quarantine drops the entry, and that is how a drive's table loses one: there is no count of
 * dropped entries beside it. */
MKV_COLLECTOR(repairs) {
    (void)argument;
    struct mkv_volume_stats sum = {0};
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        sum.superblock_repairs_total += volume->superblock_repairs_total;
        sum.quarantined_total += volume->quarantined_total;
        sum.torn_tails_total += volume->torn_tails_total;
    }
    count1(out, "superblock_copy", sum.superblock_repairs_total);
    count1(out, "quarantined_slot", sum.quarantined_total);
    count1(out, "torn_tail", sum.torn_tails_total);
}

MKV_COLLECTOR(epoch) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        count1(out, drive->name, drive->volume.epoch);
    }
}

MKV_COLLECTOR(journal_bytes) {
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        count1(out, drive->name, u64_at(drive, argument) * MKV_UNIT_BYTES);
    }
}

MKV_COLLECTOR(journal_size) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        count1(out, drive->name, mkv_admin_journal_lag(&drive->volume) * MKV_UNIT_BYTES);
    }
}

MKV_COLLECTOR(journal_lag) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        count1(out, drive->name, mkv_admin_journal_lag(&drive->volume));
    }
}

MKV_COLLECTOR(scrub_progress) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_exposition_real(out, (const char *const[]){drive->name}, drive->volume.scrub_progress);
    }
}

MKV_COLLECTOR(recovery_duration) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_exposition_real(out, (const char *const[]){drive->name},
                            (double)drive->volume.recovery_ns / NS_PER_S);
    }
}

/* ---- the node -------------------------------------------------------------------------------- */

MKV_COLLECTOR(zero) {
    (void)sources;
    (void)argument;
    count0(out, 0);
}

MKV_COLLECTOR(uptime) {
    (void)argument;
    mkv_exposition_real(out, NULL, (double)sources->snapshot->uptime_ns / NS_PER_S);
}

MKV_COLLECTOR(node_state) {
    (void)argument;
    const uint32_t now = (uint32_t)mkv_admin_health_state(sources->snapshot);
    for (uint32_t state = 0; state < MKV_ADMIN_NODE_STATE_COUNT; state++) {
        count1(out, mkv_admin_node_states[state], state == now ? 1 : 0);
    }
}

MKV_COLLECTOR(warning) {
    (void)argument;
    bool active[MKV_ADMIN_WARNING_CODE_COUNT] = {false};
    MKV_ASSERT(sources->snapshot->warning_count <= MKV_ADMIN_WARNINGS_MAX);
    for (uint32_t index = 0; index < sources->snapshot->warning_count; index++) {
        const uint32_t code = (uint32_t)sources->snapshot->warnings[index].code;
        MKV_ASSERT(code < MKV_ADMIN_WARNING_CODE_COUNT);
        active[code] = true;
    }
    for (uint32_t code = 0; code < MKV_ADMIN_WARNING_CODE_COUNT; code++) {
        count1(out, mkv_admin_warning_codes[code], active[code] ? 1 : 0);
    }
}

MKV_COLLECTOR(log_messages) {
    (void)argument;
    for (uint32_t level = 0; level < MKV_ADMIN_LOG_LEVEL_COUNT; level++) {
        count1(out, mkv_admin_log_levels[level], sources->snapshot->log_messages_total[level]);
    }
}

MKV_COLLECTOR(admin_requests) {
    (void)argument;
    for (uint32_t path = 0; path <= MKV_ADMIN_PATH_OTHER; path++) {
        count1(out, mkv_admin_paths[path], sources->counters->requests_total[path]);
    }
}

MKV_COLLECTOR(scrape_duration) {
    (void)argument;
    mkv_exposition_real(out, NULL, (double)sources->counters->scrape_ns / NS_PER_S);
}

MKV_COLLECTOR(build_info) {
    (void)argument;
    const struct mkv_admin_snapshot *snapshot = sources->snapshot;
    mkv_exposition_count(out, (const char *const[]){snapshot->version, snapshot->commit}, 1);
}
