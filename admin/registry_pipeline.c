/* SPDX-License-Identifier: Apache-2.0 */
/* Families of the storage pipeline, of shards and of hot keys; see registry.h. */
#include <stdio.h>
#include <string.h>

#include "admin/registry_collect.h"

/* ---- labels ---------------------------------------------------------------------------------- */

static const struct mkv_metric_label by_stage[] = {LABEL_CLOSED("stage", mkv_admin_stages),
                                                   LABELS_END};
static const struct mkv_metric_label of_shards[] = {LABEL_OPEN("shard", MKV_ADMIN_SHARDS_MAX),
                                                    LABELS_END};

/* ---- how samples are gathered ---------------------------------------------------------------- */

static MKV_COLLECTOR(journal_bytes) {
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_count1(out, drive->name, mkv_metric_u64_at(drive, argument) * MKV_UNIT_BYTES);
    }
}

static MKV_COLLECTOR(journal_size) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_count1(out, drive->name, mkv_admin_journal_lag(&drive->volume) * MKV_UNIT_BYTES);
    }
}

static MKV_COLLECTOR(journal_lag) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_count1(out, drive->name, mkv_admin_journal_lag(&drive->volume));
    }
}

static MKV_COLLECTOR(epoch) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_count1(out, drive->name, drive->volume.epoch);
    }
}

static MKV_COLLECTOR(recovery_duration) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_real1(out, drive->name, (double)drive->volume.recovery_ns / MKV_METRIC_NS_PER_S);
    }
}

static MKV_COLLECTOR(unpersisted) {
    (void)argument;
    mkv_metric_count0(out, sources->snapshot->front.memory_unpersisted);
}

static MKV_COLLECTOR(leaf_miss) {
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

/* `argument` is the offset of a figure in struct mkv_admin_shard. */
static MKV_COLLECTOR(by_shard) {
    for (uint32_t index = 0; index < sources->snapshot->shard_count; index++) {
        char shard[12];
        const uint8_t *figures = (const uint8_t *)&sources->snapshot->shards[index];
        uint64_t value;
        memcpy(&value, figures + argument, sizeof value);
        snprintf(shard, sizeof shard, "%u", index);
        mkv_metric_count1(out, shard, value);
    }
}

/* `argument` is an enum mkv_admin_io_op. */
static MKV_COLLECTOR(io_us) {
    struct mkv_histogram sum = {.sum = 0};
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        mkv_histogram_merge(&sum, &sources->snapshot->drives[index].io[argument].duration);
    }
    mkv_exposition_ladder(out, NULL, MKV_LADDER_US, &sum, NULL);
}

static MKV_COLLECTOR(flush_writes) {
    (void)argument;
    struct mkv_histogram sum = {.sum = 0};
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        mkv_histogram_merge(&sum, &sources->snapshot->drives[index].flush_writes);
    }
    mkv_exposition_ladder(out, NULL, MKV_LADDER_SIZES, &sum, NULL);
}

static MKV_COLLECTOR(stages) {
    (void)argument;
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        mkv_exposition_ladder(out, &mkv_admin_stages[stage], MKV_LADDER_SECONDS,
                              &sources->snapshot->timing.stages[stage], NULL);
    }
}

/* ---- families -------------------------------------------------------------------------------- */

static const struct mkv_metric_family pipeline_families[] = {
    HISTOGRAM("memkv_persist_us", "microseconds", mkv_no_labels, "front", timing_us,
              OF_TIMING(persist),
              "Time of a block that is written, from its request to its durable record",
              "What a durable put waits for", "Long: the three parts of it say where"),
    HISTOGRAM("memkv_persist_pre_wait_us", "microseconds", mkv_no_labels, "front", timing_us,
              OF_TIMING(persist_pre_wait),
              "The part of memkv_persist_us before the block is handed to the drive",
              "Waiting for memory, for a slot and for the client's bytes",
              "Long: look at memkv_pipeline_stage_duration_seconds"),
    HISTOGRAM(
        "memkv_writer_wait_us", "microseconds", mkv_no_labels, "front", timing_us,
        OF_TIMING(writer_wait),
        "The part of memkv_persist_us from the hand-over to the drive to the end of the write",
        "The drive's queue and the drive",
        "Long: compare drives by memkv_device_io_duration_seconds"),
    HISTOGRAM("memkv_persist_post_wait_us", "microseconds", mkv_no_labels, "front", timing_us,
              OF_TIMING(persist_post_wait),
              "The part of memkv_persist_us from the end of the write to the durable record",
              "Flushes and the journal", "Long: see memkv_iouring_fsync_us"),
    HISTOGRAM("memkv_iouring_write_us", "microseconds", mkv_no_labels, "drive", io_us,
              MKV_ADMIN_IO_WRITE, "Time of the drives' writes, submit to completion",
              "The drives alone, without queues in front of them",
              "Long: see memkv_device_io_duration_seconds for which drive"),
    HISTOGRAM("memkv_iouring_fsync_us", "microseconds", mkv_no_labels, "drive", io_us,
              MKV_ADMIN_IO_FLUSH, "Time of the drives' flushes, submit to completion",
              "What durability costs",
              "Long: a drive without power-loss protection flushes slowly"),
    HISTOGRAM("memkv_iouring_fsync_batch_size", "writes", mkv_no_labels, "volume", flush_writes, 0,
              "Data writes that one flush covers", "How well flushes are shared",
              "None needed by itself"),
    HISTOGRAM("memkv_iouring_read_us", "microseconds", mkv_no_labels, "drive", io_us,
              MKV_ADMIN_IO_READ, "Time of the drives' reads, submit to completion",
              "The drives alone, without queues in front of them",
              "Long: see memkv_device_io_duration_seconds for which drive"),
    HISTOGRAM("memkv_allocate_duration_us", "microseconds", mkv_no_labels, "volume", timing_us,
              OF_TIMING(allocate),
              "Time until a put has its slot, with extents and evictions that it has to wait for",
              "Whether room is made early enough",
              "Long: a full drive evicts too late; add drives"),
    HISTOGRAM("memkv_journal_flush_duration_us", "microseconds", mkv_no_labels, "volume", timing_us,
              OF_TIMING(journal_flush),
              "Time from the first write of journal blocks to the flush that makes them durable",
              "What a small put waits for", "Long: see memkv_iouring_fsync_us"),
    GAUGE("memkv_journal_pending_entries", "entries", mkv_no_labels, "volume", drives_sum,
          OF_VOLUME(journal_pending_records), "Journal entries that are not durable yet",
          "Puts and deletes that wait for a flush", "High: a drive flushes slowly"),
    COUNTER("memkv_journal_entries_total", "entries", mkv_by_device, "volume", drive,
            OF_VOLUME(journal_records_total), "Journal entries written", "Rate of changes",
            "None needed by itself"),
    COUNTER("memkv_journal_bytes_total", "bytes", mkv_by_device, "volume", journal_bytes,
            OF_VOLUME(journal_blocks_total), "Journal bytes written, one copy counted",
            "What the journal costs", "None needed by itself"),
    GAUGE("memkv_journal_size_bytes", "bytes", mkv_by_device, "volume", journal_size, 0,
          "Bytes of the journal ring in use", "How far the ring is full",
          "Near memkv_journal_capacity_bytes: puts wait for a checkpoint; the drive is slow"),
    GAUGE("memkv_journal_capacity_bytes", "bytes", mkv_by_device, "volume", journal_bytes,
          OF_VOLUME(journal_ring_blocks), "Size of the journal ring",
          "Denominator of the ring's fill", "None needed by itself"),
    COUNTER("memkv_journal_commits_total", "commits", mkv_by_device, "volume", drive,
            OF_VOLUME(journal_commits_total), "Group commits",
            "Entries for each commit: how well flushes are shared", "None needed by itself"),
    GAUGE("memkv_journal_head", "position", mkv_by_device, "volume", drive, OF_VOLUME(journal_head),
          "Last journal position written", "Progress of the journal",
          "Still while puts wait: the drive hangs"),
    GAUGE("memkv_journal_applied", "position", mkv_by_device, "volume", drive,
          OF_VOLUME(journal_applied), "Last journal position covered by the durable checkpoint",
          "Progress of checkpoints", "Still while the head grows: no checkpoint completes"),
    GAUGE("memkv_journal_lag", "entries", mkv_by_device, "volume", journal_lag, 0,
          "Journal positions that the durable checkpoint does not cover",
          "What a restart has to replay", "Only growing: no checkpoint completes"),
    GAUGE("memkv_directory_applied", "position", mkv_by_device, "volume", drive,
          OF_VOLUME(directory.applied_sequence),
          "Last journal position whose keys are in the directory", "Progress of the directory",
          "Still while the head grows: the log says whether it is made anew, full or off"),
    GAUGE("memkv_directory_lag", "entries", mkv_by_device, "volume", drive,
          OF_VOLUME(directory_lag), "Durable journal positions that are not in the directory yet",
          "A listing waits until this is over; puts and gets never do",
          "Only growing: the drive has no time for the directory, or its region is full"),
    GAUGE("memkv_store_epoch", "epoch", mkv_by_device, "volume", epoch, 0,
          "Times the store has been opened", "Restarts of the store, across processes",
          "Growing by itself: the daemon restarts"),
    COUNTER("memkv_checkpoints_total", "checkpoints", mkv_by_device, "volume", drive,
            OF_VOLUME(checkpoints_total), "Checkpoints completed", "How often the ring turns",
            "None needed by itself"),
    HISTOGRAM("memkv_checkpoint_duration_seconds", "seconds", mkv_no_labels, "volume",
              timing_seconds, OF_TIMING(checkpoint), "Time of a checkpoint",
              "How fast the journal's ring is freed",
              "Longer than the ring takes to fill: puts wait; the drive is slow"),
    GAUGE("memkv_recovery_duration_seconds", "seconds", mkv_by_device, "volume", recovery_duration,
          0, "Time of the last recovery", "How long a restart takes", "None needed by itself"),
    GAUGE("memkv_recovery_replayed_entries", "entries", mkv_by_device, "volume", drive,
          OF_VOLUME(recovery_entries), "Journal entries replayed by the last recovery",
          "What the last restart had to replay", "None needed by itself"),
    GAUGE("memkv_dirty_queue_depth", "entries", mkv_no_labels, "front", unpersisted, 0,
          "Relaxed puts that were answered and are not durable yet",
          "What a power cut would take now", "High for long: a drive is slow to write"),
    COUNTER("memkv_btree_cache_hits_total", "lookups", mkv_no_labels, "volume", drives_sum,
            OF_VOLUME(directory.leaf_hits_total), "Leaves of the directory found in memory",
            "How well the directory's cache does", "None needed by itself"),
    COUNTER("memkv_btree_cache_misses_total", "lookups", mkv_no_labels, "volume", drives_sum,
            OF_VOLUME(directory.leaf_misses_total),
            "Leaves of the directory that had to be read from a drive",
            "Reads that the directory costs beside the clients'",
            "Many beside few hits: keys come in no order, which is common and harmless"),
    HISTOGRAM("memkv_btree_leaf_miss_us", "microseconds", mkv_no_labels, "volume", leaf_miss, 0,
              "Time from the wish for a leaf of the directory until it was there",
              "What a listing waits for", "Long: the drive is busy, or slow"),
    PENDING(COUNTER, "memkv_freelist_cas_retries_total", "retries", mkv_no_labels,
            "a shard shares no free list with another thread",
            "Compare-and-swap retries on a free list that threads share",
            "Threads in each other's way", "None needed"),
    PENDING(COUNTER, "memkv_slab_double_free_total", "events", mkv_no_labels,
            "a slab that is freed twice ends the process, by an assertion",
            "Slabs freed more than once", "Zero is the target", "None needed"),
    HISTOGRAM("memkv_pipeline_stage_duration_seconds", "seconds", by_stage, "front", stages, 0,
              "Time that requests spent in each stage; the stages of a request add up to its time",
              "Where the time of a request goes: the drive, the network, the client or a queue",
              "read, write, flush: the drives; pull, push: network and client; wait_slab: "
              "memory.max_size"),
};
MKV_METRIC_GROUP(pipeline, "Storage pipeline", pipeline_families);

static const struct mkv_metric_family shards_families[] = {
    COUNTER("memkv_shard_commands_total", "requests", of_shards, "front", by_shard,
            offsetof(struct mkv_admin_shard, requests), "Requests accepted, by shard",
            "Balance between shards", "None needed by itself"),
    GAUGE("memkv_shard_blocks", "blocks", of_shards, "volume", by_shard,
          offsetof(struct mkv_admin_shard, blocks), "Blocks by shard", "Balance between shards",
          "None needed by itself"),
    COUNTER("memkv_hotkey_tracked_total", "accesses", mkv_no_labels, "observer", node,
            OF_NODE(hotkey_accesses_total),
            "Accesses of keys that the sketch of hot keys has counted",
            "Whether hot keys are watched", "None needed by itself"),
    COUNTER("memkv_hotkey_decays_total", "events", mkv_no_labels, "observer", node,
            OF_NODE(hotkey_decays_total), "Times that the sketch of hot keys was halved",
            "Old accesses count less", "None needed"),
};
MKV_METRIC_GROUP(shards, "Shards and hot keys", shards_families);
