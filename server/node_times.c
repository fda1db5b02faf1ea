/* SPDX-License-Identifier: Apache-2.0 */
/* Of a snapshot: what the machines count of times, queues and memory. */
#include "server/node_internal.h"

#include <string.h>

_Static_assert(MKV_ADMIN_COMMAND_COUNT == MKV_FRONT_COMMAND_COUNT &&
                   MKV_ADMIN_COMMAND_PUT_SMALL == MKV_FRONT_COMMAND_PUT_SMALL &&
                   MKV_ADMIN_COMMAND_GET_SMALL == MKV_FRONT_COMMAND_GET_SMALL,
               "commands are told apart alike");

static void fill_front_times(const struct mkv_front_times *times, struct mkv_admin_timing *out) {
    out->request = times->request;
    memcpy(out->commands, times->commands, sizeof out->commands);
    memcpy(out->stages, times->stages, sizeof out->stages);
    memcpy(out->batch_items, times->batch_items, sizeof out->batch_items);
    out->persist = times->persist;
    out->persist_pre_wait = times->persist_before;
    out->writer_wait = times->persist_write;
    out->persist_post_wait = times->persist_behind;
    out->allocate = times->allocate;
}

static void fill_volume(const struct mkv_shard_volume_stats *stats, struct mkv_admin_drive *drive,
                        struct mkv_admin_snapshot *out) {
    drive->flush_writes = stats->times.flush_writes;
    drive->reuse_gap = stats->times.reuse_gap;
    mkv_histogram_merge(&out->timing.journal_flush, &stats->times.journal_flush);
    mkv_histogram_merge(&out->timing.checkpoint, &stats->times.checkpoint);
    out->payload_bytes += stats->volume.bytes_payload;
    out->queue_depth[MKV_ADMIN_QUEUE_BACKGROUND] +=
        stats->volume.trims_pending + stats->volume.evictions_pending;
    out->memory_bytes[MKV_ADMIN_MEMORY_SLOT_TABLE] += stats->memory.slot_table_bytes;
    out->memory_bytes[MKV_ADMIN_MEMORY_LEAF_CACHE] += stats->memory.leaf_cache_bytes;
    out->memory_bytes[MKV_ADMIN_MEMORY_JOURNAL] += stats->memory.journal_bytes;
}

void mkv_node_view_times(const struct mkv_shard_stats *stats, struct mkv_admin_snapshot *out) {
    fill_front_times(&stats->front_times, &out->timing);
    memcpy(out->deadlines, stats->front.deadlines, sizeof out->deadlines);
    out->lookup_prefix_asked = stats->front.lookup_keys_asked;
    out->lookup_prefix_hit = stats->front.lookup_keys_hit;
    out->blocks_in = stats->front.blocks_in;
    out->queue_depth[MKV_ADMIN_QUEUE_READ] = stats->front.ops_waiting[0];
    out->queue_depth[MKV_ADMIN_QUEUE_WRITE] = stats->front.ops_waiting[1];
    out->queue_depth[MKV_ADMIN_QUEUE_BACKGROUND] = stats->front.items_waiting_segmented;
    out->memory_bytes[MKV_ADMIN_MEMORY_INDEX] = stats->front_memory.index_bytes;
    out->memory_bytes[MKV_ADMIN_MEMORY_SLABS] = out->memory.bytes_total;
    out->memory_bytes[MKV_ADMIN_MEMORY_CONNECTIONS] = stats->front_memory.connection_bytes;
    for (uint32_t i = 0; i < stats->volume_count; i++) {
        fill_volume(&stats->volumes[i], &out->drives[i], out);
    }
}
