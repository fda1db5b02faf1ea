/* SPDX-License-Identifier: Apache-2.0 */
/* Families of retention tiers, sessions and tenants; see registry.h. */
#include "admin/registry_collect.h"

#include <string.h>

/* ---- labels ---------------------------------------------------------------------------------- */

/* The label of tenants past the bound. */
#define TENANT_OTHER "other"

static const char *const eviction_causes[] = {"capacity", "quota", "class_rebalance", "expire",
                                              NULL};
/* By enum mkv_admission_reason. */
static const char *const admissions[] = {"drive_slow", "first_touch", "write_limit", NULL};
static const char *const tenant_results[] = {"memory", "drive", "miss", NULL};
/* The front does not tell apart where they come from. */
static const char *const block_fabrics[] = {"tcp", NULL};
static const char *const directions[] = {"in", "out", NULL};
static const char *const demotion_causes[] = {"exit_think", "session_end", "idle", NULL};
static const char *const think_reasons[] = {"converged", "overthinking", "hard_cap", NULL};

static const struct mkv_metric_label by_tier[] = {LABEL_CLOSED("tier", mkv_admin_tiers),
                                                  LABELS_END};
static const struct mkv_metric_label by_block_fabric[] = {LABEL_CLOSED("fabric", block_fabrics),
                                                          LABELS_END};
static const struct mkv_metric_label by_cause[] = {LABEL_CLOSED("cause", eviction_causes),
                                                   LABELS_END};
static const struct mkv_metric_label by_admission[] = {LABEL_CLOSED("reason", admissions),
                                                       LABELS_END};
static const struct mkv_metric_label by_demotion[] = {LABEL_CLOSED("cause", demotion_causes),
                                                      LABELS_END};
static const struct mkv_metric_label by_think_reason[] = {LABEL_CLOSED("reason", think_reasons),
                                                          LABELS_END};
static const struct mkv_metric_label by_tenant[] = {
    LABEL_OPEN("tenant", MKV_ADMIN_TENANT_ROWS_MAX + 1), LABELS_END};
static const struct mkv_metric_label by_tenant_result[] = {
    LABEL_OPEN("tenant", MKV_ADMIN_TENANT_ROWS_MAX + 1), LABEL_CLOSED("result", tenant_results),
    LABELS_END};
static const struct mkv_metric_label by_tenant_direction[] = {
    LABEL_OPEN("tenant", MKV_ADMIN_TENANT_ROWS_MAX + 1), LABEL_CLOSED("direction", directions),
    LABELS_END};

#define OF_TENANT(field) offsetof(struct mkv_admin_tenant, field)

/* ---- how samples are gathered ---------------------------------------------------------------- */

static MKV_COLLECTOR(evictions_by_tier) {
    (void)argument;
    for (uint32_t tier = 0; tier < MKV_ADMIN_TIER_COUNT; tier++) {
        uint64_t sum = 0;
        for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
            sum += sources->snapshot->drives[index].volume.evictions_by_tier[tier];
        }
        mkv_metric_count1(out, mkv_admin_tiers[tier], sum);
    }
}

static MKV_COLLECTOR(evictions_by_cause) {
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
    mkv_metric_count1(out, "capacity", capacity);
    mkv_metric_count1(out, "quota", quota);
    mkv_metric_count1(out, "class_rebalance", rebalance);
    mkv_metric_count1(out, "expire", expired);
}

static MKV_COLLECTOR(admission) {
    (void)argument;
    for (uint32_t reason = 0; reason < MKV_ADMISSION_REASON_COUNT; reason++) {
        uint64_t sum = 0;
        for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
            sum += sources->snapshot->drives[index].volume.admission_refused[reason];
        }
        mkv_metric_count1(out, admissions[reason], sum);
    }
}

static MKV_COLLECTOR(critical_evictions) {
    (void)argument;
    uint64_t sum = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        sum += volume->evictions_by_tier[MKV_TIER_OUTPUT_CRITICAL];
    }
    mkv_metric_count0(out, sum);
}

static MKV_COLLECTOR(blocks_by_tier) {
    (void)argument;
    for (uint32_t tier = 0; tier < MKV_ADMIN_TIER_COUNT; tier++) {
        mkv_metric_count1(out, mkv_admin_tiers[tier],
                          mkv_admin_blocks_of_tier(sources->snapshot, tier));
    }
}

static MKV_COLLECTOR(demotions) {
    static const char *const causes[MKV_DEMOTION_COUNT] = {"exit_think", "session_end", "idle"};
    (void)argument;
    for (uint32_t cause = 0; cause < MKV_DEMOTION_COUNT; cause++) {
        uint64_t sum = 0;
        for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
            sum += sources->snapshot->drives[index].volume.demotions_total[cause];
        }
        mkv_metric_count1(out, causes[cause], sum);
    }
}

/* A session is on every drive that was told of it or stored for it: the drive that has most. */
static MKV_COLLECTOR(sessions_tracked) {
    (void)argument;
    uint64_t most = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        most = mkv_max_u64(most, sources->snapshot->drives[index].volume.sessions);
    }
    mkv_metric_count0(out, most);
}

static MKV_COLLECTOR(think_tokens) {
    const struct mkv_front_stats *front = &sources->snapshot->front;
    uint64_t bounds[MKV_FRONT_THINK_BOUNDS];
    (void)argument;
    for (uint32_t bound = 0; bound < MKV_FRONT_THINK_BOUNDS; bound++) {
        bounds[bound] = (uint64_t)MKV_FRONT_THINK_FIRST << bound;
    }
    mkv_exposition_histogram(out, bounds, front->think_tokens, MKV_FRONT_THINK_BOUNDS,
                             front->think_tokens_sum);
}

static MKV_COLLECTOR(think_exits) {
    const uint64_t *exits = sources->snapshot->front.think_exits;
    (void)argument;
    mkv_metric_count1(out, "converged", exits[MKV_THINK_CONVERGED]);
    mkv_metric_count1(out, "overthinking", exits[MKV_THINK_OVERTHINKING]);
    mkv_metric_count1(out, "hard_cap", exits[MKV_THINK_HARD_CAP]);
}

static MKV_COLLECTOR(active_tenants) {
    (void)argument;
    uint64_t active = 0;
    for (uint32_t index = 0; index < sources->snapshot->tenant_count; index++) {
        active += sources->snapshot->tenants[index].blocks > 0;
    }
    mkv_metric_count0(out, active);
}

/* Those that are told apart have labels of their own, but for one with the name of the rest. */
static bool tenant_is_told(const struct mkv_admin_snapshot *snapshot, uint32_t index) {
    return index < snapshot->tenant_rows_max &&
           strcmp(snapshot->tenants[index].name, TENANT_OTHER) != 0;
}

static MKV_COLLECTOR(of_tenants) {
    const struct mkv_admin_snapshot *snapshot = sources->snapshot;
    uint64_t others = 0;
    bool has_others = false;
    for (uint32_t index = 0; index < snapshot->tenant_count; index++) {
        const struct mkv_admin_tenant *tenant = &snapshot->tenants[index];
        if (tenant_is_told(snapshot, index)) {
            mkv_metric_count1(out, tenant->name, mkv_metric_u64_at(tenant, argument));
        } else {
            others += mkv_metric_u64_at(tenant, argument);
            has_others = true;
        }
    }
    if (has_others) {
        mkv_metric_count1(out, TENANT_OTHER, others);
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
    mkv_metric_count2(out, name, "memory", asked->keys_from_memory);
    mkv_metric_count2(out, name, "drive", asked->keys_from_drive);
    mkv_metric_count2(out, name, "miss", asked->keys_missed);
}

static void asked_bytes(struct mkv_exposition *out, const char *name,
                        const struct mkv_front_tenant *asked) {
    mkv_metric_count2(out, name, "in", asked->bytes_in);
    mkv_metric_count2(out, name, "out", asked->bytes_out);
}

static MKV_COLLECTOR(tenant_asked) {
    const struct mkv_admin_snapshot *snapshot = sources->snapshot;
    struct mkv_front_tenant others;
    const bool has_others = tenants_asked(snapshot, &others);
    for (uint32_t index = 0; index < snapshot->tenant_count; index++) {
        const struct mkv_admin_tenant *tenant = &snapshot->tenants[index];
        if (!tenant_is_told(snapshot, index) || !tenant->asked_apart) {
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

static MKV_COLLECTOR(tenant_quotas) {
    (void)argument;
    const struct mkv_admin_snapshot *snapshot = sources->snapshot;
    for (uint32_t index = 0; index < snapshot->tenant_count; index++) {
        const struct mkv_admin_tenant *tenant = &snapshot->tenants[index];
        if (tenant_is_told(snapshot, index) && tenant->quota_bytes != UINT64_MAX) {
            mkv_metric_count1(out, tenant->name, tenant->quota_bytes);
        }
    }
}

static MKV_COLLECTOR(blocks_offloaded) {
    (void)argument;
    mkv_metric_count1(out, "tcp", sources->snapshot->blocks_in);
}

/* ---- families -------------------------------------------------------------------------------- */

static const struct mkv_metric_family retention_families[] = {
    COUNTER("memkv_evictions_total", "blocks", by_tier, "volume", evictions_by_tier, 0,
            "Blocks evicted, by retention tier; without hints all are unhinted",
            "What makes room for what", "Many misses with reason evicted: add drives"),
    COUNTER("memkv_evictions_by_cause_total", "blocks", by_cause, "volume", evictions_by_cause, 0,
            "Blocks dropped, by cause: for room among blocks of their size or for other sizes, or "
            "because their time was over",
            "Why blocks leave",
            "class_rebalance for long: the sizes of blocks change; a full cache does the rest"),
    COUNTER("memkv_admission_rejected_keys_total", "keys", by_admission, "volume", admission, 0,
            "Keys of relaxed puts that were not written to a drive and stayed in memory: the drive "
            "is slow, storage.admission wants a second put, or the drive has taken enough",
            "What is kept from wearing the drives, or from waiting for a slow one",
            "drive_slow: see the warning DRIVE_SLOW; write_limit: more drives, or a higher limit"),
    COUNTER("memkv_output_critical_evictions_total", "blocks", mkv_no_labels, "volume",
            critical_evictions, 0, "Evicted blocks of the highest retention tier",
            "Zero is the target",
            "Above 0: hint less as output_critical, end sessions earlier, or add drives"),
    GAUGE("memkv_blocks_by_tier", "blocks", by_tier, "volume", blocks_by_tier, 0,
          "Blocks by retention tier; without hints all are unhinted", "What would be evicted first",
          "None needed by itself"),
    COUNTER("memkv_demotions_total", "blocks", by_demotion, "volume", demotions, 0,
            "Blocks moved to a lower retention tier, by what their session did",
            "Whether clients tell when a reasoning phase or a session is over",
            "Many by idle: clients do not end their sessions"),
    GAUGE("memkv_sessions_tracked", "sessions", mkv_no_labels, "volume", sessions_tracked, 0,
          "Sessions that the drive with the most of them has in mind",
          "Grows for ever only if clients use each session all the time",
          "Near storage.sessions_max: raise it, or shorten storage.session_idle"),
    HISTOGRAM("memkv_think_tokens_per_session", "tokens", mkv_no_labels, "front", think_tokens, 0,
              "Tokens of reasoning phases, as clients reported them",
              "How long models think before they answer", "None needed by itself"),
    COUNTER("memkv_budget_force_total", "events", by_think_reason, "front", think_exits, 0,
            "Reasoning phases that were over, by the reason that clients gave",
            "hard_cap: budgets that are too small",
            "Many by hard_cap: raise the budget of tokens, or look at the prompts"),
    COUNTER("memkv_blocks_offloaded_total", "blocks", by_block_fabric, "front", blocks_offloaded, 0,
            "Blocks received from clients, those of shm with those of tcp",
            "How much engines offload",
            "None at all: the engine's connector is off or stores elsewhere"),
};
MKV_METRIC_GROUP(retention, "Retention tiers and sessions", retention_families);

static const struct mkv_metric_family tenants_families[] = {
    GAUGE("memkv_active_tenants", "tenants", mkv_no_labels, "volume", active_tenants, 0,
          "Tenants with at least one block", "Who uses the store", "None needed by itself"),
    GAUGE("memkv_tenant_blocks", "blocks", by_tenant, "volume", of_tenants, OF_TENANT(blocks),
          "Blocks of a tenant", "Who uses the store", "None needed by itself"),
    GAUGE("memkv_tenant_bytes", "bytes", by_tenant, "volume", of_tenants, OF_TENANT(bytes),
          "Bytes of the slots that a tenant takes", "Who fills the store",
          "Give a quota to who takes too much"),
    COUNTER("memkv_tenant_writes_total", "blocks", by_tenant, "volume", of_tenants,
            OF_TENANT(writes_total), "Blocks written for a tenant since the start", "Who writes",
            "None needed by itself"),
    COUNTER("memkv_tenant_lookup_keys_total", "keys", by_tenant_result, "front", tenant_asked,
            false, "Keys that clients of a tenant asked for, by result",
            "The hit ratio of a tenant", "Many misses: raise its quota, or see what it stores"),
    COUNTER("memkv_tenant_bytes_total", "bytes", by_tenant_direction, "front", tenant_asked, true,
            "Payload bytes moved for a tenant", "Who uses the network", "None needed by itself"),
    COUNTER("memkv_tenant_evicted_blocks_total", "blocks", by_tenant, "volume", of_tenants,
            OF_TENANT(evicted_total), "Blocks that a tenant lost to eviction",
            "Whose blocks do not stay", "Many: raise its quota, or add drives"),
    COUNTER("memkv_tenant_evictions_caused_total", "blocks", by_tenant, "volume", of_tenants,
            OF_TENANT(evictions_caused_total),
            "Blocks evicted because a tenant needed room, its own or others'",
            "Who drives others' blocks out", "Give a quota to who takes too much"),
    GAUGE("memkv_tenant_quota_bytes", "bytes", by_tenant, "volume", tenant_quotas, 0,
          "Bytes of slots that a tenant may take", "How near a tenant is to its quota",
          "Raise it in tenants.quotas, or drop what is not needed"),
    COUNTER("memkv_tenant_quota_rejections_total", "requests", by_tenant, "volume", of_tenants,
            OF_TENANT(quota_rejections_total),
            "Puts refused because the quota of their tenant is used up",
            "A client whose values are not kept",
            "Raise the quota in tenants.quotas, or delete keys of the tenant"),
};
MKV_METRIC_GROUP(tenants, "Tenants", tenants_families);
