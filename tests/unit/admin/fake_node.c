/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/admin/fake_node.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/admin/test.h"

static void fake_drives(struct mkv_admin_snapshot *snapshot) {
    snapshot->drive_count = 2;
    snapshot->drives[0] = (struct mkv_admin_drive){
        .name = "d00",
        .path = "/dev/nvme0n1",
        .model = "Fast 9000",
        .serial = "S1",
        .firmware = "F7",
        .uuid = {{0x0c, 0x1d, 0x2e, 0x3f, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
        .state = MKV_DRIVE_STATE_SLOW,
        .write_cache = true,
        .volume =
            {
                .state = MKV_VOLUME_SERVING,
                .epoch = 12,
                .blocks = 1234567,
                .leases = 500,
                .blocks_by_tier = {10, 1234537, 15, 5},
                .evictions_by_tier = {40, 30, 20, 7},
                .demotions_total = {11, 12, 13},
                .sessions = 21,
                .evicted_lifetime = {.counts = {[0] = 1, [12] = 2}, .sum = 8000},
                .evicted_idle = {.counts = {[3] = 3}, .sum = 20},
                .bytes_used = 7ull * 1025 * 4096 + 3ull * 17 * 4096,
                .bytes_usable = 40ull * 16384 * 4096,
                .bytes_raw = 41ull * 16384 * 4096,
                .slots_used = 10,
                .slots_free = 15 + 963 - 10,
                .slots_retired = 1,
                .extents_free = 38,
                .extents_total = 40,
                .extent_units = 16384,
                .class_count = 3,
                .classes = {{1025, 1, 15, 7}, {17, 1, 963, 3}, {33, 0, 0, 0}},
                .ops_in_flight = 5,
                .journal_head = 900,
                .journal_durable = 899,
                .journal_applied = 582,
                .journal_ring_blocks = 1024,
                .directory = {.applied_sequence = 890,
                              .state = MKV_DIRECTORY_SERVING,
                              .leaf_hits_total = 31,
                              .leaf_misses_total = 7,
                              .leaf_miss_us = {4, 2, [MKV_DIRECTORY_MISS_BOUNDS] = 1},
                              .leaf_miss_us_sum = 5000000},
                .directory_lag = 9,
                .journal_pending_records = 4,
                .journal_records_total = 2000,
                .journal_blocks_total = 800,
                .journal_commits_total = 700,
                .checkpoints_total = 6,
                .puts_total = 99,
                .writes_total = 61,
                .gets_total = 62,
                .deletes_total = 63,
                .read_bytes_total = 64000,
                .write_bytes_total = 65000,
                .checksum_failures_header_total = 1,
                .checksum_failures_payload_total = 2,
                .checksum_failures_journal_total = 3,
                .checksum_failures_superblock_total = 4,
                .checksum_failures_index_total = 5,
                .quarantined_total = 6,
                .superblock_repairs_total = 7,
                .torn_tails_total = 8,
                .trims_total = 110,
                .trim_extents_total = 130,
                .trim_bytes_total = 3ull << 20,
                .trim_errors_total = 9,
                .trims_pending = 2,
                .recovery_entries = 77,
                .recovery_ns = 250000000,
            },
        .io =
            {
                [MKV_ADMIN_IO_READ] =
                    {101, 1175ull << 30, 2, 3, {{[6] = 100, [24] = 1}, 7500000}, 0},
                [MKV_ADMIN_IO_WRITE] = {104, 191ull << 20, 5, 6, {{[9] = 104}, 104000000}, 0},
                [MKV_ADMIN_IO_FLUSH] = {107, 0, 8, 1, {{[12] = 107}, 1070000000}, 0},
                [MKV_ADMIN_IO_TRIM] = {110, 3ull << 20, 9, 0, {{[15] = 110}, 11000000000}, 0},
            },
        .slow = true,
        .slots_max = 65536,
        .checkpoint_ms = 1767233688000,
        .recent = {.read_bytes_s = 1175000000,
                   .write_bytes_s = 191000000,
                   .read_p99_ns = 2995000,
                   .write_p99_ns = 800000},
        .io_busy_ns = 2500000000,
        .flush_writes = {{[3] = 107}, 800},
        .reuse_gap = {.counts = {[2] = 9}, .sum = 30},
    };
    snapshot->drives[1] = (struct mkv_admin_drive){
        .name = "d01",
        .path = "memkv-data/store.memkv",
        .state = MKV_DRIVE_STATE_ONLINE,
        .volume =
            {
                .state = MKV_VOLUME_SERVING,
                .epoch = 3,
                .bytes_usable = 8ull * 1024 * 4096,
                .bytes_raw = 9ull * 1024 * 4096,
                .extents_free = 8,
                .extents_total = 8,
                .extent_units = 1024,
                .journal_ring_blocks = 64,
            },
    };
}

static void fake_rdma(struct mkv_admin_rdma *rdma) {
    *rdma = (struct mkv_admin_rdma){
        .is_configured = true,
        .is_active = true,
        .port_count = 2,
        .ports = {{.device = "mlx5_0",
                   .port = 1,
                   .address = "10.0.0.7",
                   .gid_index = 3,
                   .mtu = 4096,
                   .is_up = true,
                   .since_ms = 1767233647123,
                   .troubles_told = 0xff,
                   .troubles_total = {180, 181, 182, 183, 184, 185, 186, 187}},
                  /* Its driver tells two kinds. */
                  {.device = "rxe0",
                   .port = 2,
                   .address = "10.0.1.7",
                   .mtu = 1024,
                   .since_ms = 1767233647124,
                   .troubles_told = 0x11,
                   .troubles_total = {190, 0, 0, 0, 194}}},
        .fabric = {.connections_active = 3, .bytes_in_total = 134, .bytes_out_total = 135},
        .connects_total = 131,
        .errors_total = 132,
        .recoveries_total = 133,
        .read = {.counts = {[3] = 7}, .sum = 63000},
        .write = {.counts = {[4] = 8}, .sum = 80000},
    };
    for (uint32_t index = 0; index < MKV_ADMIN_RDMA_FAILURE_COUNT; index++) {
        rdma->failures_total[index] = 140 + index;
    }
    for (uint32_t index = 0; index < MKV_ADMIN_RDMA_FALLBACK_COUNT; index++) {
        rdma->fallbacks_total[index] = 160 + index;
    }
}

static void fake_front(struct mkv_front_stats *front) {
    for (uint32_t op = MKV_OP_PUT; op < MKV_OP_COUNT; op++) {
        front->requests_started[op] = 1000 + op;
        front->requests_answered[op][MKV_STATUS_OK] = 900 + op;
        front->requests_answered[op][MKV_STATUS_BUSY] = 90 + op;
        front->items_finished[op][MKV_STATUS_OK] = 2000 + op;
        front->items_finished[op][MKV_STATUS_NOT_FOUND] = op;
    }
    front->requests_answered[0][MKV_STATUS_INVALID] = 2;
    front->requests_answered[MKV_OP_GET][MKV_STATUS_INVALID] = 3;
    front->items_finished[MKV_OP_PUT][MKV_STATUS_NO_SPACE] = 11;
    front->items_finished[MKV_OP_ALLOCATE][MKV_STATUS_NO_SPACE] = 14;
    front->items_finished[MKV_OP_ALLOCATE][MKV_STATUS_QUOTA] = 15;
    front->items_finished[MKV_OP_PUT][MKV_STATUS_CONFLICT] = 16;
    front->items_finished[MKV_OP_ALLOCATE][MKV_STATUS_CONFLICT] = 17;
    front->writes_reserved = 1700;
    front->writes_without_memory = 13;
    front->keys_by_miss[MKV_OP_GET][MKV_MISS_NONE] = 500;
    front->keys_by_miss[MKV_OP_GET][MKV_MISS_UNKNOWN] = 150;
    front->keys_by_miss[MKV_OP_GET][MKV_MISS_IO_ERROR] = 5;
    front->keys_by_miss[MKV_OP_GET][MKV_MISS_CHECKSUM] = 6;
    front->keys_by_miss[MKV_OP_GET][MKV_MISS_DEADLINE] = 7;
    front->keys_by_miss[MKV_OP_GET][MKV_MISS_DRIVE_OFFLINE] = 8;
    front->keys_by_miss[MKV_OP_EXISTS][MKV_MISS_NONE] = 100;
    front->keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_NONE] = 200;
    front->keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_UNKNOWN] = 24;
    front->think_exits[MKV_THINK_CONVERGED] = 6;
    front->think_exits[MKV_THINK_HARD_CAP] = 2;
    front->think_tokens[1] = 6;
    front->think_tokens[MKV_FRONT_THINK_BOUNDS] = 2;
    front->think_tokens_sum = 3000000;
    front->requests_in_flight = 37;
    front->keys_from_memory[MKV_OP_GET] = 120;
    front->keys_from_memory[MKV_OP_EXISTS] = 30;
    front->memory_kept_puts = 400;
    front->memory_kept_reads = 70;
    front->memory_taken = 55;
    front->memory_blocks = 415;
    front->memory_unpersisted = 9;
    front->puts_early = 300;
    front->puts_early_lost = 2;
    front->reads_shared = 44;
}

static void fake_timing(struct mkv_admin_snapshot *snapshot) {
    struct mkv_admin_timing *timing = &snapshot->timing;
    timing->request = (struct mkv_histogram){{[0] = 1, [10] = 3}, 5500};
    timing->dispatch = (struct mkv_histogram){{[1] = 4}, 6000};
    timing->persist = (struct mkv_histogram){{[10] = 2}, 3000000};
    timing->persist_pre_wait = (struct mkv_histogram){{[9] = 2}, 1000000};
    timing->writer_wait = (struct mkv_histogram){{[9] = 2}, 1200000};
    timing->persist_post_wait = (struct mkv_histogram){{[9] = 2}, 800000};
    timing->allocate = (struct mkv_histogram){{[2] = 5}, 20000};
    timing->journal_flush = (struct mkv_histogram){{[11] = 6}, 24000000};
    timing->checkpoint = (struct mkv_histogram){{[20] = 7}, 28000000000};
    for (uint32_t command = MKV_OP_PUT; command < MKV_ADMIN_COMMAND_COUNT; command++) {
        timing->commands[command] = (struct mkv_histogram){{[9] = command}, command * 1000000ull};
    }
    for (uint32_t op = MKV_OP_PUT; op < MKV_OP_COUNT; op++) {
        timing->batch_items[op] = (struct mkv_histogram){{[4] = op}, 16ull * op};
        snapshot->deadlines[op][MKV_FRONT_STAGE_SLAB] = 50 + op;
    }
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        timing->stages[stage] = (struct mkv_histogram){{[8] = stage + 1}, 500000ull * (stage + 1)};
    }
    snapshot->lookup_prefix_asked = 224;
    snapshot->lookup_prefix_hit = 200;
    snapshot->blocks_in = 71;
    snapshot->payload_bytes = 72;
    snapshot->hotkey_accesses_total = 73;
    snapshot->hotkey_decays_total = 74;
    snapshot->telemetry_events_total = 75;
    snapshot->telemetry_dropped_total = 76;
    snapshot->trace_spans_exported_total = 77;
    snapshot->trace_spans_dropped_total = 78;
    for (uint32_t place = 0; place < MKV_ADMIN_MEMORY_KIND_COUNT; place++) {
        snapshot->memory_bytes[place] = 80 + place;
    }
    for (uint32_t place = 0; place < MKV_ADMIN_TRANSITION_COUNT; place++) {
        snapshot->transitions_total[place] = 90 + place;
    }
    for (uint32_t place = 0; place < MKV_ADMIN_QUEUE_COUNT; place++) {
        snapshot->queue_depth[place] = 95 + place;
    }
    snprintf(snapshot->config_hash, sizeof snapshot->config_hash, "9f3c");
    snapshot->config_read_ms = 1767233647500;
}

static void fake_tenants(struct mkv_admin_snapshot *snapshot) {
    snapshot->tenant_count = 2;
    snapshot->tenant_rows_max = 100;
    snapshot->tenants[0] = (struct mkv_admin_tenant){
        .name = "default",
        .blocks = 1234567,
        .bytes = 29392896,
        .quota_bytes = UINT64_MAX,
        .evicted_total = 21,
        .asked_apart = true,
        .asked = {
            .keys_from_memory = 22, .keys_from_drive = 23, .keys_missed = 24, .bytes_in = 25}};
    snapshot->tenants_other.bytes_out = 26;
    snapshot->tenants_other.keys_missed = 27;
    snapshot->tenants[1] = (struct mkv_admin_tenant){.name = "batch",
                                                     .recent = {380, 620, 95400, 112800},
                                                     .quota_bytes = 1048576,
                                                     .writes_total = 11,
                                                     .quota_rejections_total = 12};
}

void fake_snapshot(struct mkv_admin_snapshot *snapshot) {
    memset(snapshot, 0, sizeof *snapshot);
    snprintf(snapshot->node_id, sizeof snapshot->node_id, "gpu-07");
    snprintf(snapshot->version, sizeof snapshot->version, "0.4.1");
    snprintf(snapshot->commit, sizeof snapshot->commit, "3fa9c02");
    snapshot->state = MKV_ADMIN_NODE_SERVING;
    snapshot->epoch = 12;
    snapshot->taken_ms = 1767233700000;
    snapshot->recent = (struct mkv_admin_recent){
        .window_ns = 600000000000ull,
        .keys_memory = 220,
        .keys_drive = 510,
        .keys_miss = 270,
        .keys_by_miss =
            {[MKV_MISS_UNKNOWN] = 190, [MKV_MISS_EVICTED] = 65, [MKV_MISS_DRIVE_OFFLINE] = 15},
        .residency_s = 18500,
    };
    snapshot->uptime_ns = (6ull * 86400 + 4 * 3600 + 11 * 60 + 30) * 1000000000ull + 500000000ull;
    snapshot->shard_quiet_ns = 2000000;
    snapshot->shard_count = 2;
    snapshot->shards[0] = (struct mkv_admin_shard){.requests = 10000, .blocks = 1234000};
    snapshot->shards[1] = (struct mkv_admin_shard){.requests = 55, .blocks = 567};
    snapshot->watchdog_ns = 30000000000ull;
    snapshot->storage_block_bytes = 4u << 20;
    fake_drives(snapshot);
    fake_tenants(snapshot);
    fake_front(&snapshot->front);
    fake_timing(snapshot);
    snapshot->fabric = (struct mkv_admin_fabric){
        .connections_active = 62,
        .connections_accepted_total = 70,
        .bytes_in_total = 1ull << 31,
        .bytes_out_total = 3ull << 40,
        .faults_total = 4,
        .checksum_failures_total = 1,
    };
    fake_rdma(&snapshot->rdma);
    snapshot->memory = (struct mkv_admin_memory){
        .bytes_total = 64ull << 30,
        .bytes_used = (61ull << 30) + 1,
        .block_bytes = 2u << 20,
        .huge_pages = true,
    };
    for (uint32_t level = 0; level < MKV_ADMIN_LOG_LEVEL_COUNT; level++) {
        snapshot->log_messages_total[level] = 40 + level;
    }
    snapshot->warning_count = 1;
    snapshot->warnings[0] = (struct mkv_admin_warning){
        .code = MKV_ADMIN_WARNING_DIRECT_IO_FALLBACK,
        .since_ms = 1767233647123,
        .drive = "d01",
        .message = "memkv-data/store.memkv goes through the page cache",
        .action = "put the file on ext4 or xfs",
    };
}

void fake_snapshot_state(struct mkv_admin_snapshot *snapshot, enum mkv_admin_node_state state) {
    snapshot->state = state;
    snapshot->drives[0].state =
        snapshot->drives[0].slow ? MKV_DRIVE_STATE_SLOW : MKV_DRIVE_STATE_ONLINE;
    snapshot->drives[1].state = MKV_DRIVE_STATE_ONLINE;
    if (state == MKV_ADMIN_NODE_RECOVERING) {
        snapshot->drives[1].state = MKV_DRIVE_STATE_RECOVERING;
    } else if (state == MKV_ADMIN_NODE_DEGRADED) {
        snapshot->drives[1].state = MKV_DRIVE_STATE_FAILED;
    } else if (state == MKV_ADMIN_NODE_UNHEALTHY) {
        snapshot->drives[0].state = MKV_DRIVE_STATE_FAILED;
        snapshot->drives[1].state = MKV_DRIVE_STATE_OFFLINE;
    } else if (state == MKV_ADMIN_NODE_WAITING) {
        snapshot->drives[0].state = MKV_DRIVE_STATE_OFFLINE;
        snapshot->drives[1].state = MKV_DRIVE_STATE_OFFLINE;
    }
}

static void provide(void *context, struct mkv_admin_snapshot *out) {
    struct fake_node *node = context;
    node->calls++;
    /* The listener hands over zeroes (I2 of snapshot.h); it wipes what the last request left. */
    for (size_t index = 0; index < sizeof *out; index++) {
        MKV_ASSERT(((const unsigned char *)out)[index] == 0);
    }
    *out = node->snapshot;
}

static enum mkv_status drop(void *context, const char *name) {
    struct fake_node *node = context;
    snprintf(node->dropped, sizeof node->dropped, "%s", name);
    if (node->drop_begun != NULL) {
        sem_post(node->drop_begun);
        while (sem_wait(node->drop_gate) != 0) {
        }
    }
    return node->drop_status;
}

int fake_listen(uint32_t address, uint16_t *port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(address)}};
    socklen_t bytes = sizeof name;
    assert_int_equal(bind(fd, (struct sockaddr *)&name, bytes), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &bytes), 0);
    *port = ntohs(name.sin_port);
    return fd;
}

static void note_refusal(void *context, const struct mkv_admin_refusal *refusal) {
    struct fake_node *node = context;
    node->refusals++;
    snprintf(node->refused, sizeof node->refused, "%u %s %s %s %s", refusal->status,
             refusal->method, refusal->path, mkv_admin_roles[refusal->role], refusal->peer->name);
}

struct fake_node *fake_node_start(void) {
    const struct mkv_admin_auth auth = {.open = true};
    return fake_node_start_with(&auth, -1);
}

struct fake_node *fake_node_start_with(const struct mkv_admin_auth *auth, int unix_fd) {
    struct fake_node *node = calloc(1, sizeof *node);
    assert_non_null(node);
    fake_snapshot(&node->snapshot);
    const int fd = fake_listen(INADDR_LOOPBACK, &node->port);
    const struct mkv_admin_provider provider = {
        .context = node, .snapshot = provide, .tenant_drop = drop, .refused = note_refusal};
    const struct mkv_admin_http_options options = {
        .tcp_fd = fd, .unix_fd = unix_fd, .provider = &provider, .auth = auth};
    char error[MKV_ADMIN_ERROR_BYTES] = "";
    if (!mkv_admin_http_start(&options, &node->http, error)) {
        fail_msg("%s", error);
    }
    return node;
}

void fake_node_stop(struct fake_node *node) {
    mkv_admin_http_stop(node->http);
    free(node);
}

int fake_connect(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    const struct timeval limit = {.tv_sec = 5};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    const struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(port)};
    assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

struct fake_reply fake_exchange(uint16_t port, const char *bytes, size_t byte_count) {
    const int fd = fake_connect(port);
    /* The server may answer and close before it has read all. */
    (void)!send(fd, bytes, byte_count, MSG_NOSIGNAL);
    const size_t capacity = 4u << 20;
    struct fake_reply reply = {.text = malloc(capacity)};
    assert_non_null(reply.text);
    size_t count = 0;
    ssize_t step;
    while ((step = recv(fd, reply.text + count, capacity - 1 - count, 0)) > 0) {
        count += (size_t)step;
    }
    close(fd);
    reply.text[count] = '\0';
    assert_true(strlen(reply.text) == count);
    char *end = strstr(reply.text, "\r\n\r\n");
    reply.body = end == NULL ? reply.text + count : end + 4;
    if (count > 0) {
        assert_int_equal(sscanf(reply.text, "HTTP/1.1 %d ", &reply.status), 1);
    }
    return reply;
}

struct fake_reply fake_request(uint16_t port, const char *method, const char *path) {
    return fake_request_with(port, method, path, "");
}

struct fake_reply fake_request_with(uint16_t port, const char *method, const char *path,
                                    const char *header_lines) {
    char request[2048];
    const int count = snprintf(request, sizeof request,
                               "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
                               method, path, header_lines);
    assert_true(count > 0 && (size_t)count < sizeof request);
    return fake_exchange(port, request, (size_t)count);
}

void fake_reply_free(struct fake_reply *reply) {
    free(reply->text);
    *reply = (struct fake_reply){0};
}

bool fake_reply_has(const struct fake_reply *reply, const char *header_line) {
    char wanted[512];
    snprintf(wanted, sizeof wanted, "\r\n%s\r\n", header_line);
    const char *found = strstr(reply->text, wanted);
    return found != NULL && found < reply->body;
}
