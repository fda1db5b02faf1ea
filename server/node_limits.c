/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process may use of the machine, and the bounds of queues and pools that follow from it
 * and from the configuration.
 */
#include "server/node_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "core/manifest.h"
#include "server/resp_info.h"
#include "server/version.h"

#define NS_PER_S 1000000000ull

#define CONNECTIONS_MIN 16u
/* Connections that can be in the middle of something at once: 70 KiB each. */
#define RESP_WORKSPACES 1024u
#define RESP_CALLS 16u
/* RESP knows no "busy, send it again": a command waits before the front has no place for it. So a
 * part of the places stays free, for requests whose end is still on its way to another shard. */
#define RESP_REQUESTS_SHARE 4u
/* Keys that wait for their turn to be replied may hold this part of the memory. */
#define RESP_AHEAD_SHARE 8u
/* Descriptors beside those of clients and drives: log, ring, listeners, admin connections. */
#define DESCRIPTORS_OTHER (64u + MKV_ADMIN_CONNECTIONS_MAX)

/* Of the front. Results are the largest part: requests * items of one * 48 bytes, 8 MiB. */
#define REQUESTS_MAX 1024u
#define REQUESTS_PER_CONNECTION_MAX 128u
#define ITEMS_MAX 4096u
#define VALUE_BYTES_MAX (64ull * MKV_GIB)
/* A quarter of the memory stays for gets when puts fill the rest. */
#define SLAB_SHARE_READS_PERMILLE 250u
/* One connection may hold half of the memory. */
#define CONNECTION_SHARE 2u

/* Of a volume: half of them reads and three eighths puts. A put is one of them until it is durable,
 * two flushes behind its write, also one that was answered before that: 384 of 16 KiB are some
 * 30,000 a second on a drive that takes 5 ms for a flush. Each takes about 9 KiB of memory with
 * what the front keeps for it, so where there is little memory for a drive there are fewer. */
#define VOLUME_OPS_MIN 256u
#define VOLUME_OPS_MAX 1024u
#define VOLUME_OPS_MEMORY_BYTES (128ull * 1024u)
/* And for segments of values of each other shard: enough for a few of them at a time. */
#define FOREIGN_OPS_MAX 32u
/* Recovery reads and checkpoints write 1 MiB at a time. */
#define WINDOW_UNITS 256u
#define IDLE_NS NS_PER_S
/* An extent that stays empty for so long is not about to be filled again. */
#define TRIM_IDLE_NS (10ull * 1000000000u)
/* Longer than a drive that collects garbage takes, far shorter than a kernel's timeout of 30 s. */
#define STALL_NS (5ull * 1000000000u)
/* So long a put whose bytes do not come keeps the other mutations of its key waiting: long enough
 * that equal puts at one time still transfer one of them. */
#define LOCK_YIELD_NS (100ull * 1000 * 1000)

/* Of the fabric: bodies of large batches (268 KiB each) and payloads of small puts (64 KiB). */
#define BODY_BUFFERS 64u
#define INLINE_BUFFERS 256u
#define DEADLINE_MS 30000u

static void raise_to_hard(__rlimit_resource_t resource) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(resource, &limit);
    }
}

bool mkv_node_limits_raise(struct mkv_node *node, struct mkv_backend_error *error) {
    raise_to_hard(RLIMIT_NOFILE);
    raise_to_hard(RLIMIT_MEMLOCK);
    struct rlimit files;
    MKV_ASSERT(getrlimit(RLIMIT_NOFILE, &files) == 0);
    /* A client of this machine has its socket, and a window while that is made. */
    const uint64_t others = DESCRIPTORS_OTHER + (uint64_t)node->config.storage.drive_count +
                            2u * node->config.node.shards * mkv_node_shm_connections(node);
    if (files.rlim_cur < others + CONNECTIONS_MIN) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "this process may have %" PRIu64 " open files and needs at least "
                                  "%" PRIu64 ". Raise the limit: ulimit -n, or LimitNOFILE",
                                  (uint64_t)files.rlim_cur, others + CONNECTIONS_MIN);
    }
    const uint64_t wanted = node->config.network.connections_max;
    const uint64_t left = files.rlim_cur - others;
    const bool has_resp = node->config.network.resp_address.host[0] != '\0';
    /* Each fabric has places for all, and the sum is counted (server/auth_clients.h). */
    node->connections_max = (uint32_t)mkv_min_u64(wanted, left);
    node->resp_connections_max = has_resp ? node->connections_max : 0;
    if (node->connections_max < wanted) {
        /* Nobody has asked for as many as there are by default. */
        const bool is_default = node->config.origins[MKV_CONFIG_NETWORK_CONNECTIONS_MAX].layer ==
                                MKV_CONFIG_LAYER_DEFAULT;
        mkv_log_write(node->log, MKV_LOG_SITE_NODE,
                      is_default ? MKV_CONFIG_LOG_INFO : MKV_CONFIG_LOG_WARN, "server.node", NULL,
                      0,
                      "network.connections_max is %" PRIu64 ", and there can be %" PRIu32
                      ": this process may have %" PRIu64 " open files, of which %" PRIu64
                      " are for other things. Raise the limit (LimitNOFILE, ulimit -n), or lower "
                      "the key",
                      wanted, node->connections_max, (uint64_t)files.rlim_cur, others);
    }
    return true;
}

static uint32_t volume_ops_max(uint64_t memory_bytes, uint32_t drive_count) {
    const uint64_t each = memory_bytes / mkv_max_u64(drive_count, 1);
    const uint64_t ops = mkv_min_u64(each / VOLUME_OPS_MEMORY_BYTES, VOLUME_OPS_MAX);
    return (uint32_t)mkv_max_u64(ops, VOLUME_OPS_MIN) / 8u * 8u;
}

void mkv_node_volume_limits(uint64_t memory_bytes, uint32_t drive_count,
                            struct mkv_volume_config *volume) {
    volume->ops_max = volume_ops_max(memory_bytes, drive_count);
    volume->window_units = WINDOW_UNITS;
    volume->idle_ns = IDLE_NS;
    volume->trim_idle_ns = TRIM_IDLE_NS;
    volume->stall_ns = STALL_NS;
    volume->lock_yield_ns = LOCK_YIELD_NS;
}

static void set_members(const struct mkv_node *node, struct mkv_front_config *front) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        front->members[i] = (struct mkv_member){node->plan.drive_uuids[i], node->plan.weights[i]};
    }
}

/* Less of few units: puts are left a slab of the largest blocks. A shard without drives may have no
 * more than that. */
static uint32_t share_reads(uint32_t slab_unit_count, uint32_t largest) {
    if (slab_unit_count < largest) {
        return 0; /* it has a worse fault */
    }
    const uint64_t most = (slab_unit_count - largest) * 1000ull / slab_unit_count;
    return (uint32_t)mkv_min_u64(most, SLAB_SHARE_READS_PERMILLE);
}

void mkv_node_front_limits(uint64_t memory_bytes, uint32_t drive_count, uint32_t slab_unit_count,
                           struct mkv_front_config *front) {
    mkv_front_config_default(front);
    front->volume_count = drive_count;
    front->requests_max = REQUESTS_MAX;
    front->requests_per_connection_max = REQUESTS_PER_CONNECTION_MAX;
    front->items_max = ITEMS_MAX;
    front->volume_ops_max = volume_ops_max(memory_bytes, drive_count);
    front->foreign_ops_max = FOREIGN_OPS_MAX;
    front->slab_unit_count = slab_unit_count;
    /* The smallest blocks take a unit each. */
    front->memory_blocks_max = (uint32_t)mkv_min_u64(slab_unit_count, MKV_FRONT_MEMORY_BLOCKS_MAX);
}

void mkv_node_front_config(void *context, uint32_t slab_unit_count,
                           struct mkv_front_config *front) {
    const struct mkv_node *node = context;
    mkv_node_front_limits(node->config.memory.max_size_bytes, node->drive_count, slab_unit_count,
                          front);
    set_members(node, front);
    /* One more of RESP is the server itself: see resp_deletes.h. */
    front->connections_max = node->connections_max + node->resp_connections_max +
                             (node->resp_connections_max > 0) +
                             (uint32_t)node->config.node.shards * mkv_node_shm_connections(node);
    front->block_bytes_max = (uint32_t)node->config.storage.block_bytes_max;
    const uint32_t largest = 1u << mkv_slab_order(front->block_bytes_max);
    front->slab_share_reads = share_reads(slab_unit_count, largest);
    front->slab_units_per_connection_max =
        (uint32_t)mkv_max_u64(largest, slab_unit_count / CONNECTION_SHARE);
    front->value_bytes_max =
        mkv_min_u64(VALUE_BYTES_MAX, (uint64_t)front->block_bytes_max * MKV_SEGMENTS_MAX);
    mkv_drive_set_random_kernel.fill(NULL, &front->segment_id_seed, sizeof front->segment_id_seed);
}

void mkv_node_tcp_options(const struct mkv_node *node, const struct mkv_front_config *front,
                          struct mkv_fabric_tcp_options *tcp) {
    *tcp = (struct mkv_fabric_tcp_options){
        .host = node->config.network.address.host,
        .port = node->config.network.address.port,
        .option = "--listen",
        .tls = node->tls,
        .connections_max = node->connections_max,
        .body_buffers = BODY_BUFFERS,
        .inline_buffers = INLINE_BUFFERS,
        .auth = node->auth == NULL ? NULL : mkv_auth_fabric(node->auth),
        .ring_views = node->ring_views,
    };
    struct mkv_native_hello_answer *hello = &tcp->hello;
    hello->version = MKV_NATIVE_VERSION;
    hello->shard_count = (uint16_t)node->config.node.shards;
    hello->items_max = front->items_per_request_max;
    hello->body_bytes_max = MKV_NATIVE_BODY_BYTES_MAX;
    hello->inline_bytes_max = MKV_NATIVE_INLINE_BYTES_MAX;
    hello->block_bytes_max = front->block_bytes_max;
    hello->value_bytes_max = front->value_bytes_max;
    hello->requests_max = front->requests_per_connection_max;
    hello->deadline_ms = DEADLINE_MS;
    hello->features = MKV_NATIVE_FEATURE_TRACE | MKV_NATIVE_FEATURE_ROOTS;
    hello->store_uuid = node->plan.store_uuid;
    snprintf(hello->server_version, sizeof hello->server_version, "memkv %s", mkv_version());
}

/* On the shard's thread. Whoever sends one sends many: the first is told of. */
static void value_too_large(void *context, uint64_t value_bytes) {
    struct mkv_node *node = context;
    mkv_node_warn(node, MKV_ADMIN_WARNING_VALUE_TOO_LARGE, NULL,
                  "raise resp.value_bytes_max, or have clients send smaller chunks",
                  "a value of %" PRIu64 " bytes was refused: it is above resp.value_bytes_max, "
                  "%" PRIu64,
                  value_bytes, node->config.resp.value_bytes_max);
}

void mkv_node_resp_options(struct mkv_node *node, const struct mkv_front_config *front,
                           struct mkv_fabric_resp_options *resp) {
    const uint32_t largest = 1u << mkv_slab_order(front->block_bytes_max);
    *resp = (struct mkv_fabric_resp_options){
        .host = node->config.network.resp_address.host,
        .port = node->config.network.resp_address.port,
        .option = "--resp",
        .tls = node->tls,
        .connections_max = node->resp_connections_max,
        .workspaces = RESP_WORKSPACES,
        .entries = front->requests_max / RESP_REQUESTS_SHARE * (RESP_REQUESTS_SHARE - 1),
        .calls = RESP_CALLS,
        .pipeline_max = (uint32_t)mkv_min_u64(node->config.resp.pipeline_max,
                                              front->requests_per_connection_max /
                                                  RESP_REQUESTS_SHARE * (RESP_REQUESTS_SHARE - 1)),
        .ahead_max = front->slab_unit_count / RESP_AHEAD_SHARE / largest,
        .value_bytes_max = mkv_min_u64(node->config.resp.value_bytes_max, front->value_bytes_max),
        .deadline_ns = DEADLINE_MS * 1000000ull,
        .exists_lease_ms = (uint32_t)node->config.resp.exists_lease_ms,
        .durable = node->config.resp.durability == MKV_CONFIG_DURABILITY_DURABLE,
        .version = MKV_RESP_REDIS_VERSION,
        .too_large = value_too_large,
        .too_large_context = node,
        .auth = node->auth == NULL ? NULL : mkv_auth_fabric(node->auth),
    };
}
