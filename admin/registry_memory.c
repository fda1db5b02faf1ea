/* SPDX-License-Identifier: Apache-2.0 */
/* Families of memory, of blocks and of the two tiers; see registry.h. */
#include "admin/registry_collect.h"

/* ---- labels ---------------------------------------------------------------------------------- */

static const char *const load_failures[] = {"io_error", "checksum", "deadline", "offline", NULL};
static const char *const write_failures[] = {"no_memory", "no_space", "conflict", NULL};
static const char *const block_states[] = {"evictable", "leased", "unpersisted", NULL};

static const struct mkv_metric_label by_load_failure[] = {LABEL_CLOSED("reason", load_failures),
                                                          LABELS_END};
static const struct mkv_metric_label by_write_failure[] = {LABEL_CLOSED("reason", write_failures),
                                                           LABELS_END};
static const struct mkv_metric_label by_block_state[] = {LABEL_CLOSED("state", block_states),
                                                         LABELS_END};
static const struct mkv_metric_label by_memory[] = {LABEL_CLOSED("kind", mkv_admin_memory_kinds),
                                                    LABELS_END};

#define OF_FIGURES(field) offsetof(struct mkv_admin_drive_figures, field)
#define OF_SLABS(field) offsetof(struct mkv_admin_slab_figures, field)

/* ---- how samples are gathered ---------------------------------------------------------------- */

static MKV_COLLECTOR(blocks) {
    mkv_metric_count0(out, argument != 0 ? mkv_admin_blocks_total(sources->snapshot)
                                         : mkv_admin_blocks(sources->snapshot));
}

static MKV_COLLECTOR(slab_figure) {
    const struct mkv_admin_slab_figures figures = mkv_admin_slab_figures(sources->snapshot);
    mkv_metric_count0(out, mkv_metric_u64_at(&figures, argument));
}

static MKV_COLLECTOR(uptime) {
    (void)argument;
    mkv_exposition_real(out, NULL, (double)sources->snapshot->uptime_ns / MKV_METRIC_NS_PER_S);
}

static MKV_COLLECTOR(memory_tier_requests) {
    (void)argument;
    const uint64_t *started = sources->snapshot->front.requests_started;
    mkv_metric_count0(out, started[MKV_OP_GET] + started[MKV_OP_EXISTS] + started[MKV_OP_LOOKUP]);
}

static MKV_COLLECTOR(memory_tier_lookups) {
    const struct mkv_admin_lookups lookups = mkv_admin_lookups(sources->snapshot);
    mkv_metric_count0(out,
                      argument != 0 ? lookups.keys_memory : lookups.keys_drive + lookups.keys_miss);
}

static MKV_COLLECTOR(memory_tier_writes) {
    (void)argument;
    const uint64_t *started = sources->snapshot->front.requests_started;
    mkv_metric_count0(out, started[MKV_OP_PUT] + started[MKV_OP_ALLOCATE]);
}

static MKV_COLLECTOR(memory_tier_reserved) {
    (void)argument;
    mkv_metric_count0(out, sources->snapshot->front.writes_reserved);
}

static MKV_COLLECTOR(memory_tier_refused) {
    (void)argument;
    const struct mkv_front_stats *front = &sources->snapshot->front;
    const uint64_t *put = front->items_finished[MKV_OP_PUT];
    const uint64_t *allocate = front->items_finished[MKV_OP_ALLOCATE];
    mkv_metric_count1(out, "no_memory", front->writes_without_memory);
    mkv_metric_count1(out, "no_space",
                      put[MKV_STATUS_NO_SPACE] + put[MKV_STATUS_QUOTA] +
                          allocate[MKV_STATUS_NO_SPACE] + allocate[MKV_STATUS_QUOTA]);
    mkv_metric_count1(out, "conflict", put[MKV_STATUS_CONFLICT] + allocate[MKV_STATUS_CONFLICT]);
}

static MKV_COLLECTOR(memory_tier_read) {
    (void)argument;
    mkv_metric_count0(out, sources->snapshot->front.keys_from_memory[MKV_OP_GET]);
}

static MKV_COLLECTOR(memory_tier_written) {
    (void)argument;
    const struct mkv_front_stats *front = &sources->snapshot->front;
    mkv_metric_count0(out, front->memory_kept_puts + front->memory_kept_reads);
}

static MKV_COLLECTOR(memory_tier_evicted) {
    (void)argument;
    mkv_metric_count0(out, sources->snapshot->front.memory_taken);
}

static MKV_COLLECTOR(drive_tier_lookups) {
    const struct mkv_admin_lookups lookups = mkv_admin_lookups(sources->snapshot);
    mkv_metric_count0(out, lookups.keys_drive + (argument != 0 ? 0 : lookups.keys_miss));
}

static MKV_COLLECTOR(drive_tier_loaded) {
    (void)argument;
    const struct mkv_front_stats *front = &sources->snapshot->front;
    mkv_metric_count0(out, front->items_finished[MKV_OP_GET][MKV_STATUS_OK] -
                               front->keys_from_memory[MKV_OP_GET]);
}

static MKV_COLLECTOR(drive_tier_failures) {
    (void)argument;
    const uint64_t *keys = sources->snapshot->front.keys_by_miss[MKV_OP_GET];
    mkv_metric_count1(out, "io_error", keys[MKV_MISS_IO_ERROR]);
    mkv_metric_count1(out, "checksum", keys[MKV_MISS_CHECKSUM]);
    mkv_metric_count1(out, "deadline", keys[MKV_MISS_DEADLINE]);
    mkv_metric_count1(out, "offline", keys[MKV_MISS_DRIVE_OFFLINE]);
}

/* Leases outlast blocks that were deleted, until they are swept: never more than there are. */
static MKV_COLLECTOR(blocks_by_state) {
    (void)argument;
    const uint64_t blocks = mkv_admin_blocks(sources->snapshot);
    uint64_t leased = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        leased += mkv_min_u64(volume->leases, volume->blocks);
    }
    mkv_metric_count1(out, "evictable", blocks - leased);
    mkv_metric_count1(out, "leased", leased);
    mkv_metric_count1(out, "unpersisted", sources->snapshot->front.memory_unpersisted);
}

static MKV_COLLECTOR(memory_bytes) {
    (void)argument;
    for (uint32_t kind = 0; kind < MKV_ADMIN_MEMORY_KIND_COUNT; kind++) {
        mkv_metric_count1(out, mkv_admin_memory_kinds[kind], sources->snapshot->memory_bytes[kind]);
    }
}

static void seconds_histogram(struct mkv_exposition *out,
                              const struct mkv_volume_seconds *seconds) {
    uint64_t bounds[MKV_VOLUME_SECONDS_BOUNDS];
    for (uint32_t bound = 0; bound < MKV_VOLUME_SECONDS_BOUNDS; bound++) {
        bounds[bound] = 1ull << bound;
    }
    mkv_exposition_histogram(out, bounds, seconds->counts, MKV_VOLUME_SECONDS_BOUNDS, seconds->sum);
}

static void add_seconds(struct mkv_volume_seconds *sum, const struct mkv_volume_seconds *seconds) {
    for (uint32_t bucket = 0; bucket <= MKV_VOLUME_SECONDS_BOUNDS; bucket++) {
        sum->counts[bucket] += seconds->counts[bucket];
    }
    sum->sum += seconds->sum;
}

static MKV_COLLECTOR(reuse_gap) {
    (void)argument;
    struct mkv_volume_seconds sum = {.sum = 0};
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        add_seconds(&sum, &sources->snapshot->drives[index].reuse_gap);
    }
    seconds_histogram(out, &sum);
}

/* `argument` is true for lifetimes, false for times without use. */
static MKV_COLLECTOR(evicted_seconds) {
    struct mkv_volume_seconds sum = {.sum = 0};
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        add_seconds(&sum, argument != 0 ? &volume->evicted_lifetime : &volume->evicted_idle);
    }
    seconds_histogram(out, &sum);
}

/* ---- families -------------------------------------------------------------------------------- */

static const struct mkv_metric_family memory_families[] = {
    GAUGE("memkv_blocks_total", "blocks", mkv_no_labels, "volume", blocks, true,
          "Blocks in the index (a gauge in spite of its suffix)", "How much the store holds",
          "None needed by itself"),
    GAUGE("memkv_blocks_persisted", "blocks", mkv_no_labels, "volume", blocks, false,
          "Blocks persisted to a drive",
          "The rest of memkv_blocks_total are relaxed puts, and would be lost at a power cut",
          "Far fewer for long: a drive is slow to write"),
    GAUGE("memkv_blocks_by_state", "blocks", by_block_state, "volume", blocks_by_state, 0,
          "Blocks that may be evicted, that are leased or pinned, and relaxed puts that are not "
          "durable yet; their sum is memkv_blocks_total",
          "What a full store may drop for what comes",
          "leased near a quarter: pins are too many or too long; unpersisted for long: a drive is "
          "slow"),
    GAUGE("memkv_slabs_allocated", "slabs", mkv_no_labels, "arena", slab_figure,
          OF_SLABS(slabs_allocated),
          "Memory slabs that hold blocks or transfers, in units of memory.block_size",
          "Whether the memory tier is warm; it fills, and gives way to transfers", "None needed"),
    GAUGE("memkv_slabs_total", "slabs", mkv_no_labels, "arena", slab_figure, OF_SLABS(slabs_total),
          "Memory slabs in all, in units of memory.block_size", "Denominator of slabs in use",
          "Raise memory.max_size for more"),
    GAUGE("memkv_memory_used_bytes", "bytes", mkv_no_labels, "arena", slab_figure,
          OF_SLABS(bytes_used), "Memory of the slabs that hold blocks or transfers",
          "Whether the memory tier is warm; it fills, and gives way to transfers", "None needed"),
    GAUGE("memkv_memory_total_bytes", "bytes", mkv_no_labels, "arena", slab_figure,
          OF_SLABS(bytes_total), "Memory of all slabs", "Denominator of memory in use",
          "Raise memory.max_size for more"),
    GAUGE("memkv_uptime_seconds", "seconds", mkv_no_labels, "node", uptime, 0,
          "Seconds since the process started", "Restarts show as a drop",
          "Dropped unasked: the log before the start says why"),
    GAUGE("memkv_memory_bytes", "bytes", by_memory, "node", memory_bytes, 0, "Memory by use",
          "What the node takes beside the slabs", "None needed by itself"),
    GAUGE("memkv_block_capacity_bytes", "bytes", mkv_no_labels, "volume", figures_sum,
          OF_FIGURES(bytes_usable), "Bytes that blocks can take", "Denominator of used bytes",
          "None needed by itself"),
};
MKV_METRIC_GROUP(memory, "Memory and blocks", memory_families);

static const struct mkv_metric_family tiers_families[] = {
    COUNTER("memkv_l1_read_requests_total", "requests", mkv_no_labels, "front",
            memory_tier_requests, 0,
            "GET, EXISTS and LOOKUP requests: each looks into the memory tier",
            "The load of reads, before memory takes its part", "None needed by itself"),
    COUNTER("memkv_l1_read_hit_keys_total", "keys", mkv_no_labels, "front", memory_tier_lookups,
            true, "Keys found in the memory tier", "Numerator of the memory tier's hit ratio",
            "Falling: the working set outgrew memory; raise memory.max_size"),
    COUNTER("memkv_l1_read_miss_keys_total", "keys", mkv_no_labels, "front", memory_tier_lookups,
            false, "Keys not found in the memory tier", "What goes on to the drives",
            "None needed by itself"),
    COUNTER("memkv_l1_write_requests_total", "requests", mkv_no_labels, "front", memory_tier_writes,
            0, "PUT and ALLOCATE requests: each takes memory for its values first",
            "The load of writes", "None needed by itself"),
    COUNTER("memkv_l1_write_reserved_keys_total", "keys", mkv_no_labels, "front",
            memory_tier_reserved, 0,
            "Keys of PUT and ALLOCATE that had memory and a slot for their value",
            "What is left of the load of writes behind what is there already or refused",
            "None needed by itself"),
    COUNTER(
        "memkv_l1_write_failed_keys_total", "keys", by_write_failure, "front", memory_tier_refused,
        0,
        "Keys of PUT and ALLOCATE that had no memory in time, no room on a drive or in a quota, "
        "or hold other content",
        "Writes that could not begin",
        "no_memory: raise memory.max_size; no_space: add drives or raise the quota"),
    COUNTER("memkv_l1_read_keys_total", "keys", mkv_no_labels, "front", memory_tier_read, 0,
            "Keys that gets read from the memory tier", "Gets that cost no drive anything",
            "None needed by itself"),
    COUNTER("memkv_l1_written_keys_total", "keys", mkv_no_labels, "front", memory_tier_written, 0,
            "Blocks that stayed in the memory tier behind a put or a read",
            "How fast the memory tier turns over", "None needed by itself"),
    COUNTER("memkv_l1_evicted_keys_total", "keys", mkv_no_labels, "front", memory_tier_evicted, 0,
            "Blocks that made room in the memory tier", "Pressure on memory",
            "As many as are written while hits are few: raise memory.max_size"),
    COUNTER("memkv_l2_lookup_keys_total", "keys", mkv_no_labels, "front", drive_tier_lookups, false,
            "Keys looked up in the drive tier", "Denominator of the drive tier's hit ratio",
            "None needed by itself"),
    COUNTER("memkv_l2_hit_keys_total", "keys", mkv_no_labels, "front", drive_tier_lookups, true,
            "Keys found in the drive tier", "Numerator of the drive tier's hit ratio",
            "Falling: the working set outgrew the store, or keys changed"),
    COUNTER("memkv_l2_loaded_keys_total", "keys", mkv_no_labels, "front", drive_tier_loaded, 0,
            "Keys loaded from a drive", "Gets that were served", "None needed by itself"),
    COUNTER("memkv_l2_stored_keys_total", "keys", mkv_no_labels, "volume", drives_sum,
            OF_VOLUME(writes_total), "Blocks that became durable on drives",
            "Puts that needed a write", "None needed by itself"),
    COUNTER("memkv_l2_load_failures_total", "keys", by_load_failure, "front", drive_tier_failures,
            0, "Gets that failed at the drive tier, by reason", "Faults behind misses",
            "io_error, checksum: check the drive; offline: bring it back"),
    COUNTER("memkv_l2_evicted_keys_total", "keys", mkv_no_labels, "volume", drives_sum,
            OF_VOLUME(evictions_total), "Keys evicted from the drive tier",
            "How fast the store turns over", "Many misses with reason evicted: add drives"),
    HISTOGRAM("memkv_block_lifetime_seconds", "seconds", mkv_no_labels, "volume", evicted_seconds,
              true, "Age of a block when it is evicted, of a sample by the key's hash",
              "For how long the store keeps what it is given",
              "Below an hour with many misses of reason evicted: add drives"),
    HISTOGRAM("memkv_block_idle_before_evict_seconds", "seconds", mkv_no_labels, "volume",
              evicted_seconds, false,
              "Time since the last access when a block is evicted, of the same sample",
              "Whether what leaves was still in use", "Seconds or minutes: add drives"),
    HISTOGRAM("memkv_block_reuse_gap_seconds", "seconds", mkv_no_labels, "volume", reuse_gap, 0,
              "Time between two accesses of a block on a drive, of a sample by the key's hash",
              "For how long a block has to stay to be of use",
              "Longer than memkv_block_lifetime_seconds: add drives"),
};
MKV_METRIC_GROUP(tiers, "Memory tier and drive tier", tiers_families);
