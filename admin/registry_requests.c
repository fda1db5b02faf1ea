/* SPDX-License-Identifier: Apache-2.0 */
/* Families of requests; see registry.h. */
#include "admin/registry_collect.h"

/* ---- labels ---------------------------------------------------------------------------------- */

static const char *const listeners[] = {"native", NULL};
static const char *const lease_outcomes[] = {"used", "expired", "overridden", "refused", NULL};
static const char *const prefix_parts[] = {"asked", "hit", NULL};

static const struct mkv_metric_label by_method_status[] = {
    LABEL_CLOSED("method", mkv_admin_ops), LABEL_CLOSED("status", mkv_admin_statuses), LABELS_END};
/* Without the place of what is no operation. */
static const struct mkv_metric_label by_op[] = {LABEL_CLOSED("op", mkv_admin_ops + 1), LABELS_END};
static const struct mkv_metric_label by_command[] = {LABEL_CLOSED("op", mkv_admin_commands + 1),
                                                     LABELS_END};
static const struct mkv_metric_label by_fabric_listener[] = {
    LABEL_CLOSED("fabric", mkv_metric_fabrics), LABEL_CLOSED("listener", listeners), LABELS_END};
static const struct mkv_metric_label by_queue[] = {LABEL_CLOSED("queue", mkv_admin_queues),
                                                   LABELS_END};
static const struct mkv_metric_label by_op_result[] = {
    LABEL_CLOSED("op", mkv_admin_lookup_ops), LABEL_CLOSED("result", mkv_admin_lookup_results),
    LABELS_END};
static const struct mkv_metric_label by_miss[] = {LABEL_CLOSED("reason", mkv_admin_misses),
                                                  LABELS_END};
static const struct mkv_metric_label by_part[] = {LABEL_CLOSED("part", prefix_parts), LABELS_END};
static const struct mkv_metric_label by_op_wait[] = {
    LABEL_CLOSED("op", mkv_admin_ops + 1), LABEL_CLOSED("stage", mkv_admin_waits), LABELS_END};
static const struct mkv_metric_label by_outcome[] = {LABEL_CLOSED("outcome", lease_outcomes),
                                                     LABELS_END};

#define OF_FABRIC(field) offsetof(struct mkv_admin_fabric, field)

/* ---- how samples are gathered ---------------------------------------------------------------- */

static MKV_COLLECTOR(requests_of) {
    mkv_metric_count0(out, sources->snapshot->front.requests_started[argument]);
}

static MKV_COLLECTOR(items_of_status) {
    uint64_t sum = 0;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        /* What a COMMIT does not find is no key. */
        const bool counts = op != MKV_OP_COMMIT || argument != MKV_STATUS_NOT_FOUND;
        sum += counts ? sources->snapshot->front.items_finished[op][argument] : 0;
    }
    mkv_metric_count0(out, sum);
}

/* Frames that are none count too: their connection is closed, and no request comes of them. */
static MKV_COLLECTOR(invalid_requests) {
    (void)argument;
    uint64_t sum = sources->snapshot->fabric.faults_total + sources->snapshot->shm.faults_total;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        sum += sources->snapshot->front.requests_answered[op][MKV_STATUS_INVALID];
    }
    mkv_metric_count0(out, sum);
}

static MKV_COLLECTOR(requests) {
    (void)argument;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        for (uint32_t status = 0; status < MKV_STATUS_COUNT; status++) {
            mkv_metric_count2(out, mkv_admin_ops[op], mkv_admin_statuses[status],
                              sources->snapshot->front.requests_answered[op][status]);
        }
    }
}

static MKV_COLLECTOR(requests_in_flight) {
    (void)argument;
    mkv_metric_count0(out, sources->snapshot->front.requests_in_flight);
}

static MKV_COLLECTOR(commands) {
    (void)argument;
    for (uint32_t op = MKV_OP_PUT; op < MKV_OP_COUNT; op++) {
        mkv_metric_count1(out, mkv_admin_ops[op], sources->snapshot->front.requests_started[op]);
    }
}

static MKV_COLLECTOR(fabric_bytes) {
    mkv_metric_count2(out, "tcp", "native",
                      mkv_metric_u64_at(&sources->snapshot->fabric, argument));
    mkv_metric_count2(out, "rdma", "native",
                      mkv_metric_u64_at(&sources->snapshot->rdma.fabric, argument));
    mkv_metric_count2(out, "shm", "native", mkv_metric_u64_at(&sources->snapshot->shm, argument));
}

static MKV_COLLECTOR(lookup_keys) {
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
        mkv_metric_count2(out, op, "memory", memory);
        mkv_metric_count2(out, op, "drive", keys[MKV_MISS_NONE] - memory);
        mkv_metric_count2(out, op, "miss", missed);
    }
}

static MKV_COLLECTOR(miss_keys) {
    (void)argument;
    const struct mkv_admin_lookups lookups = mkv_admin_lookups(sources->snapshot);
    for (uint32_t miss = MKV_MISS_UNKNOWN; miss < MKV_MISS_COUNT; miss++) {
        mkv_metric_count1(out, mkv_admin_misses[miss - 1], lookups.keys_by_miss[miss]);
    }
}

static MKV_COLLECTOR(leases) {
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
    mkv_metric_count1(out, "used", used);
    mkv_metric_count1(out, "expired", expired);
    mkv_metric_count1(out, "overridden", overridden);
    mkv_metric_count1(out, "refused", refused);
}

static MKV_COLLECTOR(request_latency) {
    (void)argument;
    const struct mkv_admin_timing *timing = &sources->snapshot->timing;
    mkv_exposition_ladder(out, NULL, MKV_LADDER_US, &timing->request, &timing->request_exemplars);
}

static MKV_COLLECTOR(command_duration) {
    (void)argument;
    for (uint32_t command = MKV_OP_PUT; command < MKV_ADMIN_COMMAND_COUNT; command++) {
        mkv_exposition_ladder(out, &mkv_admin_commands[command], MKV_LADDER_SECONDS,
                              &sources->snapshot->timing.commands[command],
                              &sources->snapshot->timing.command_exemplars[command]);
    }
}

/* The small ones are of their operation here. */
static MKV_COLLECTOR(command_time) {
    (void)argument;
    const struct mkv_histogram *commands = sources->snapshot->timing.commands;
    for (uint32_t op = MKV_OP_PUT; op < MKV_OP_COUNT; op++) {
        uint64_t sum = commands[op].sum;
        sum += op == MKV_OP_PUT ? commands[MKV_ADMIN_COMMAND_PUT_SMALL].sum : 0;
        sum += op == MKV_OP_GET ? commands[MKV_ADMIN_COMMAND_GET_SMALL].sum : 0;
        mkv_metric_count1(out, mkv_admin_ops[op], sum);
    }
}

static MKV_COLLECTOR(batch_size) {
    (void)argument;
    for (uint32_t op = MKV_OP_PUT; op < MKV_OP_COUNT; op++) {
        mkv_exposition_ladder(out, &mkv_admin_ops[op], MKV_LADDER_SIZES,
                              &sources->snapshot->timing.batch_items[op], NULL);
    }
}

static MKV_COLLECTOR(queue_depth) {
    (void)argument;
    for (uint32_t queue = 0; queue < MKV_ADMIN_QUEUE_COUNT; queue++) {
        mkv_metric_count1(out, mkv_admin_queues[queue], sources->snapshot->queue_depth[queue]);
    }
}

static MKV_COLLECTOR(lookup_prefix) {
    (void)argument;
    mkv_metric_count1(out, "asked", sources->snapshot->lookup_prefix_asked);
    mkv_metric_count1(out, "hit", sources->snapshot->lookup_prefix_hit);
}

static MKV_COLLECTOR(deadlines) {
    (void)argument;
    for (uint32_t op = MKV_OP_PUT; op < MKV_OP_COUNT; op++) {
        for (uint32_t wait = 0; wait < MKV_FRONT_STAGE_COUNT; wait++) {
            mkv_metric_count2(out, mkv_admin_ops[op], mkv_admin_waits[wait],
                              sources->snapshot->deadlines[op][wait]);
        }
    }
}

/* ---- families -------------------------------------------------------------------------------- */

static const struct mkv_metric_family requests_families[] = {
    COUNTER("memkv_allocate_total", "requests", mkv_no_labels, "front", requests_of,
            MKV_OP_ALLOCATE, "ALLOCATE requests", "Writers that reserve before they send",
            "Far more than commits: clients reserve and do not come back"),
    COUNTER("memkv_lookup_total", "requests", mkv_no_labels, "front", requests_of, MKV_OP_LOOKUP,
            "LOOKUP requests", "Engines ask for a prefix before they read it",
            "None at all: the engine's connector is off or asks another node"),
    COUNTER("memkv_delete_total", "requests", mkv_no_labels, "front", requests_of, MKV_OP_DELETE,
            "DELETE requests", "Deletes are rare in a cache",
            "Many: find the client that deletes; eviction needs no help"),
    COUNTER("memkv_commit_total", "requests", mkv_no_labels, "front", requests_of, MKV_OP_COMMIT,
            "COMMIT requests", "Reservations that were put, or given up by name",
            "None needed by itself"),
    COUNTER("memkv_read_total", "requests", mkv_no_labels, "volume", drives_sum,
            OF_VOLUME(gets_total),
            "Reads of a block, or a part of one, that were served from a drive",
            "The load that gets put on the drives",
            "Compare with memkv_lookup_keys_total for what gets ask for"),
    COUNTER("memkv_read_bytes_total", "bytes", mkv_no_labels, "volume", drives_sum,
            OF_VOLUME(read_bytes_total), "Payload bytes read from drives, verified and served",
            "Read bandwidth as clients get it", "Near the drives' limit: add a drive or a node"),
    COUNTER(
        "memkv_write_total", "requests", mkv_no_labels, "volume", drives_sum,
        OF_VOLUME(writes_total),
        "Blocks that became durable on drives; a value above storage.block_bytes_max is several",
        "The load that puts put on drives",
        "Compare with memkv_write_bytes_total for the size of blocks"),
    COUNTER("memkv_write_bytes_total", "bytes", mkv_no_labels, "volume", drives_sum,
            OF_VOLUME(write_bytes_total), "Payload bytes that became durable on drives",
            "Write bandwidth, and what wears the drives",
            "Beyond the drives' rated writes a day: admit less or add drives"),
    COUNTER("memkv_connect_total", "requests", mkv_no_labels, "fabric", node,
            OF_NODE(rdma.connects_total),
            "CONNECT requests of clients that want RDMA, those that are refused too",
            "Who begins to use RDMA",
            "Growing without end: RDMA fails again and again; see memkv_rdma_failures_total"),
    COUNTER("memkv_exists_total", "requests", mkv_no_labels, "front", requests_of, MKV_OP_EXISTS,
            "EXISTS requests", "Some engines ask with EXISTS in place of LOOKUP",
            "None needed by itself"),
    COUNTER("memkv_not_found_total", "responses", mkv_no_labels, "front", items_of_status,
            MKV_STATUS_NOT_FOUND, "Items of requests that were answered NOT_FOUND",
            "Misses, whatever the operation", "Look at memkv_miss_keys_total for the reasons"),
    COUNTER("memkv_no_space_total", "responses", mkv_no_labels, "front", items_of_status,
            MKV_STATUS_NO_SPACE, "Items of requests that were answered NO_SPACE",
            "Puts that the store had no room for",
            "Delete blocks, or add drives; see storage.eviction"),
    COUNTER("memkv_invalid_requests_total", "requests", mkv_no_labels, "front", invalid_requests, 0,
            "Requests that were refused as INVALID, and frames that were none",
            "A client that speaks another version, or a scanner",
            "The log names the client and what is wrong with its frame"),
    HISTOGRAM("memkv_request_latency_us", "microseconds", mkv_no_labels, "front", request_latency,
              0, "Time of a request, from its first byte to the end of its answer",
              "What clients wait for",
              "Long: memkv_pipeline_stage_duration_seconds says where the time goes"),
    COUNTER("memkv_requests_total", "requests", by_method_status, "front", requests, 0,
            "Requests answered, by method and the status of the answer as a whole",
            "Which requests are refused, and why; an answer that is ok can hold items that are not",
            "busy: clients send more at once than the node is configured for"),
    GAUGE("memkv_requests_in_flight", "requests", mkv_no_labels, "front", requests_in_flight, 0,
          "Requests being processed now", "Whether the node has work",
          "High while bandwidth is low: a drive or a client is slow"),
    COUNTER("memkv_commands_total", "requests", by_op, "front", commands, 0,
            "Requests accepted, by operation", "The mixture of the load", "None needed by itself"),
    HISTOGRAM(
        "memkv_command_duration_seconds", "seconds", by_command, "front", command_duration, 0,
        "Time of a request by operation, from parsed to the end of its answer; gets and puts below "
        "64 KiB apart",
        "Which operation is slow",
        "Compare with memkv_device_io_duration_seconds: the drive, or what is in front of it"),
    COUNTER("memkv_command_time_ns_total", "nanoseconds", by_op, "front", command_time, 0,
            "Time of all requests of an operation together, as in memkv_command_duration_seconds",
            "Average time, with memkv_command_duration_seconds_count", "None needed by itself"),
    COUNTER("memkv_bytes_in_total", "bytes", by_fabric_listener, "fabric", fabric_bytes,
            OF_FABRIC(bytes_in_total), "Payload bytes received from clients",
            "Bandwidth of puts at the network", "Near the link's limit: add a node"),
    COUNTER("memkv_bytes_out_total", "bytes", by_fabric_listener, "fabric", fabric_bytes,
            OF_FABRIC(bytes_out_total), "Payload bytes sent to clients",
            "Bandwidth of gets at the network", "Near the link's limit: add a node"),
    HISTOGRAM("memkv_batch_size", "items", by_op, "front", batch_size, 0,
              "Items of a request, by operation", "Whether clients ask for many keys at once",
              "All at 1: let the client batch"),
    PENDING(COUNTER, "memkv_batch_fallback_total", "batches", mkv_no_labels,
            "the items of a request are always carried out side by side",
            "Requests of several items that had to be handled item by item",
            "Batches that bring nothing", "None needed"),
    GAUGE("memkv_queue_depth", "requests", by_queue, "front", queue_depth, 0,
          "Items that wait, of gets and their like, of puts and deletes, and work of the drives "
          "behind them",
          "Where work piles up",
          "background for long: the drives have no time for it; read, write: add drives or nodes"),
    HISTOGRAM("memkv_dispatch_duration_seconds", "seconds", mkv_no_labels, "observer",
              timing_seconds, OF_TIMING(dispatch),
              "Time of one step of a state machine, from an input to its effects handed out",
              "What the processor does for each input",
              "Long: the node has too few processor cores, or shares them"),
    COUNTER("memkv_lookup_keys_total", "keys", by_op_result, "front", lookup_keys, 0,
            "Keys asked for, by operation and where they were found",
            "Numerator and denominator of every hit ratio",
            "Many misses: memkv_miss_keys_total says why"),
    COUNTER("memkv_miss_keys_total", "keys", by_miss, "front", miss_keys, 0,
            "Keys that were not found, by reason",
            "unknown is a cold cache; deadline, io_error, checksum, drive_offline and overloaded "
            "are faults",
            "drive_offline: bring the drive back; deadline, overloaded: add drives or nodes"),
    COUNTER("memkv_lookup_prefix_blocks_total", "blocks", by_part, "front", lookup_prefix, 0,
            "Keys that LOOKUP asked for, and those that were there as a leading prefix",
            "How much of a prompt the store has", "Few hits: see memkv_miss_keys_total"),
    COUNTER(
        "memkv_deadline_exceeded_total", "requests", by_op_wait, "front", deadlines, 0,
        "Items that their deadline ended, by operation and by what they waited for",
        "Which wait is too long",
        "slab: raise memory.max_size; credit, volume: add drives; transfer: look at the network"),
    GAUGE("memkv_leases_active", "leases", mkv_no_labels, "volume", drives_sum, OF_VOLUME(leases),
          "Blocks that are leased or pinned: they are not evicted for a while",
          "What lookups and pins hold",
          "Near a quarter of all blocks: pins are too many or too long"),
    COUNTER(
        "memkv_leases_total", "leases", by_outcome, "volume", leases, 0,
        "Leases and pins that ended after a read found the block (used), without one (expired), "
        "with the block itself (overridden), and those that were not granted (refused)",
        "Whether lookups are followed by reads",
        "refused: a quarter of the drive is held, shorten pins; expired: lookups without reads"),
    COUNTER("memkv_promise_broken_total", "events", mkv_no_labels, "volume", drives_sum,
            OF_VOLUME(promises_broken_total),
            "Reads of a leased or pinned block that found nothing",
            "A lookup said that it would be there", "Above 0: see what the drive reports"),
};
MKV_METRIC_GROUP(requests, "Requests", requests_families);
