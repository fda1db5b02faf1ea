/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/fabric_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/clock.h"
#include "backends/fabric_shm.h"
#include "core/hash.h"
#include "tests/unit/backends/fake_endpoint.h"

#define ARENA_BYTES (160ull * MKV_MIB)
#define TURN_NS 1000000ull
#define PASS_TURNS 10u
/* With each turn, while a world that counts its time waits for its end. */
#define END_STEP_NS (100u * TURN_NS)

uint8_t world_pattern(uint64_t request_id, uint32_t item, uint64_t offset) {
    const uint64_t mixed = (request_id * 131 + item) * 0x9e3779b97f4a7c15ull + offset;
    return (uint8_t)(mixed ^ (mixed >> 8) ^ (offset >> 16));
}

void world_pattern_fill(uint64_t request_id, uint32_t item, uint8_t *bytes, uint64_t byte_count) {
    for (uint64_t i = 0; i < byte_count; i++) {
        bytes[i] = world_pattern(request_id, item, i);
    }
}

/* ---- the scripted front --------------------------------------------------------------------- */

static void log_event(struct world *world, enum world_event event,
                      struct mkv_connection_id connection, uint64_t request_id) {
    assert_true(world->log_count < WORLD_LOG_MAX);
    world->log[world->log_count] = (struct world_log){event, connection, request_id};
    world->log_count++;
}

static void submit(struct world *world, const struct mkv_effect *effect) {
    world->in_submit = true;
    mkv_fabric_tcp_submit(world->fabric, effect, (const uint8_t *)world);
    world->in_submit = false;
}

static uint8_t *payload_of(struct world *world, struct mkv_slab slab) {
    return mkv_arena_slab(world->arena, slab) + MKV_UNIT_BYTES;
}

/* Operations are named by request and item: generation 1 + item, 0 for the ANSWER. */
static void submit_transfer(struct world *world, uint32_t index, uint32_t item,
                            enum mkv_effect_kind kind) {
    struct world_request *request = &world->requests[index];
    const uint32_t bytes = (uint32_t)request->items[item].length;
    assert_true(mkv_slab_alloc(world->slabs, bytes, &request->slabs[item]));
    struct mkv_effect effect = {.kind = kind, .op = {index, 1 + item}};
    effect.transfer = (struct mkv_transfer_effect){
        .connection = request->request.connection,
        .request_id = request->request.request_id,
        .item = item,
        .bytes = bytes,
        .slab = request->slabs[item],
        .length = bytes,
    };
    uint8_t *payload = payload_of(world, request->slabs[item]);
    if (kind == MKV_EFFECT_PUSH) {
        world_pattern_fill(request->request.request_id, item, payload, bytes);
    } else {
        memset(payload, 0xee, bytes);
    }
    request->transfers_left++;
    submit(world, &effect);
}

void world_answer(struct world *world, uint32_t index) {
    struct world_request *request = &world->requests[index];
    struct mkv_effect effect = {.kind = MKV_EFFECT_ANSWER, .op = {index, 0}};
    const bool is_lookup = request->request.op == MKV_OP_LOOKUP;
    effect.answer = (struct mkv_answer_effect){
        .connection = request->request.connection,
        .request_id = request->request.request_id,
        .op = request->request.op,
        .status = world->refuse,
        .result_count = world->refuse != MKV_STATUS_OK ? 0
                        : is_lookup                    ? 1
                                                       : request->request.item_count,
        .results_offset = (uint64_t)((uint8_t *)request->results - (uint8_t *)world),
    };
    submit(world, &effect);
}

void world_pull(struct world *world, uint32_t index) {
    const uint32_t items = world->requests[index].request.item_count;
    for (uint32_t i = 0; i < items; i++) {
        submit_transfer(world, index, world->pull_backwards ? items - 1 - i : i, MKV_EFFECT_PULL);
    }
}

void world_break(struct world *world, struct mkv_connection_id connection) {
    struct mkv_effect effect = {.kind = MKV_EFFECT_BREAK};
    effect.transfer.connection = connection;
    submit(world, &effect);
}

static void take_request(struct world *world, const struct mkv_input *input) {
    assert_true(world->request_count < WORLD_REQUESTS_MAX);
    const uint32_t index = world->request_count++;
    struct world_request *request = &world->requests[index];
    request->used = true;
    request->request = input->request;
    request->request.items = NULL;
    assert_true(input->request.item_count >= 1);
    assert_true(input->request.deadline_ns > mkv_clock_monotonic_ns());
    for (uint32_t i = 0; i < input->request.item_count && i < WORLD_ITEMS_MAX; i++) {
        request->items[i] = input->request.items[i];
        request->results[i].length = 1000 + i;
    }
    if (input->data_bytes <= sizeof request->keys) {
        memcpy(request->keys, input->data, input->data_bytes);
    }
    request->keys_bytes = input->data_bytes;
    log_event(world, WORLD_REQUEST, input->request.connection, input->request.request_id);
    if (world->refuse == MKV_STATUS_OK && input->request.op == MKV_OP_PUT) {
        if (!world->hold_pulls) {
            world_pull(world, index);
        }
    } else if (world->refuse == MKV_STATUS_OK && input->request.op == MKV_OP_GET) {
        for (uint32_t i = 0; i < input->request.item_count; i++) {
            submit_transfer(world, index, i, MKV_EFFECT_PUSH);
        }
        if (!world->hold_answers) {
            world_answer(world, index);
        }
    } else if (!world->hold_answers) {
        world_answer(world, index);
    }
}

static void take_pull(struct world *world, uint32_t index, uint32_t item,
                      const struct mkv_fabric_done *done) {
    struct world_request *request = &world->requests[index];
    const uint32_t bytes = (uint32_t)request->items[item].length;
    if (done->transfer == MKV_TRANSFER_OK) {
        uint64_t sums[MKV_CHUNKS_MAX];
        const uint8_t *payload = payload_of(world, request->slabs[item]);
        mkv_chunk_sums(payload, bytes, sums);
        assert_int_equal(done->sum_count, mkv_chunk_count(bytes));
        if (done->sum_count > 0) {
            assert_memory_equal(done->sums, sums, done->sum_count * sizeof sums[0]);
        }
        request->hashes[item] = mkv_hash_64(payload, bytes);
    } else {
        request->failed = true;
    }
    if (request->transfers_left == 0 && !world->hold_answers) {
        world_answer(world, index);
    }
}

static void take_done(struct world *world, const struct mkv_fabric_done *done) {
    const bool is_ok = done->transfer == MKV_TRANSFER_OK;
    if (done->event == MKV_FABRIC_CONNECTION_CLOSED) {
        log_event(world, WORLD_CLOSED, done->connection, 0);
        return;
    }
    assert_true(done->op.index < world->request_count);
    struct world_request *request = &world->requests[done->op.index];
    const struct mkv_connection_id connection = request->request.connection;
    const uint64_t request_id = request->request.request_id;
    if (done->event == MKV_FABRIC_ANSWER_DONE) {
        log_event(world, is_ok ? WORLD_ANSWER_OK : WORLD_ANSWER_FAILED, connection, request_id);
        return;
    }
    const uint32_t item = done->op.generation - 1;
    assert_true(request->transfers_left > 0);
    request->transfers_left--;
    /* The slab is free from here on: nothing may read from it or write to it any more. */
    assert_false(fake_rdma_is_posted(mkv_arena_slab(world->arena, request->slabs[item]),
                                     MKV_UNIT_BYTES + request->items[item].length));
    if (done->event == MKV_FABRIC_PULL_DONE) {
        log_event(world, is_ok ? WORLD_PULL_OK : WORLD_PULL_FAILED, connection, request_id);
        take_pull(world, done->op.index, item, done);
    } else {
        log_event(world, is_ok ? WORLD_PUSH_OK : WORLD_PUSH_FAILED, connection, request_id);
    }
    mkv_slab_free(world->slabs, request->slabs[item]);
}

static void sink_input(void *context, struct mkv_input *input) {
    struct world *world = context;
    assert_false(world->in_submit);
    if (input->kind == MKV_INPUT_REQUEST) {
        take_request(world, input);
    } else {
        assert_int_equal(input->kind, MKV_INPUT_FABRIC_DONE);
        take_done(world, &input->fabric);
    }
}

static uint32_t stats_text(void *context, char *text, uint32_t text_bytes_max) {
    (void)context;
    const int bytes = snprintf(text, text_bytes_max, "{\"answer\":42}");
    return (uint32_t)bytes;
}

static enum mkv_tenant_resolved resolve(void *context, const char *name, bool create,
                                        uint32_t *id) {
    struct world *world = context;
    assert_string_equal(name, "batch");
    world->resolved_create = create;
    *id = world->resolved == MKV_TENANT_KNOWN ? 7 : MKV_NONE_U32;
    return world->resolved;
}

/* ---- the world ------------------------------------------------------------------------------ */

static void shards_of(void *context, struct mkv_native_shards *shards) {
    (void)context;
    *shards = (struct mkv_native_shards){.shard = 0, .shard_count = 2, .drive_count = 1};
    shards->drives[0].weight = 1;
    shards->drives[0].shard = 1;
}

static bool take_move(void *context, uint32_t shard, const struct mkv_fabric_tcp_move *move) {
    struct world *world = context;
    if (shard != 1 || world->moves == world->moves_max) {
        return false;
    }
    world->moves++;
    world->move = *move;
    return true;
}

static void lane_event(void *context, enum mkv_lane_port_event event,
                       const struct mkv_verbs_facts *facts, const char *text) {
    struct world *world = context;
    assert_true(facts != NULL || event == MKV_LANE_PORT_NOT_OPENED);
    snprintf(world->lane_text, sizeof world->lane_text, "%s", text);
    world->lane_events[event]++;
}

static struct mkv_arena *arena_of(const struct world *world) {
    return world->part != NULL ? world->part : world->arena;
}

static void make_lane_ports(struct world *world, const struct world_options *options) {
    struct mkv_backend_error error;
    const struct mkv_lane_ports_options ports_options = {
        .ring = world->ring,
        .arena = arena_of(world),
        .device = options->lane_roots == NULL ? "fake0" : NULL,
        .roots = options->lane_roots,
        .gid_index = -1,
        .lanes_max = 16,
        .poll_ns = options->lane_poll_ns,
        .reach_ns = options->lane_reach_ns,
        .retry_ns = 1000000,
        .event = lane_event,
        .event_context = world,
    };
    assert_true(mkv_lane_ports_create(&ports_options, &world->lane_ports, &error));
}

struct world *world_create(const struct world_options *options) {
    static const struct world_options defaults = {0};
    const struct world_options *given = options != NULL ? options : &defaults;
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    struct mkv_backend_error error;
    const struct mkv_ring_options ring_options = {.entries = 128};
    assert_true(mkv_ring_create(&ring_options, &world->ring, &error));
    const struct mkv_arena_options arena_options = {
        .bytes = given->arena_bytes != 0 ? given->arena_bytes : ARENA_BYTES,
        .metadata_bytes = 0,
        .hugepages = MKV_HUGEPAGES_AUTO};
    assert_true(mkv_arena_create(&arena_options, &world->arena, &error));
    uint32_t units = mkv_arena_unit_count(world->arena);
    if (given->foreign) {
        units = units / MKV_SLAB_GROUP_UNITS * MKV_SLAB_GROUP_UNITS - MKV_SLAB_GROUP_UNITS;
        world->part = mkv_arena_part(world->arena, units, MKV_SLAB_GROUP_UNITS);
        assert_non_null(world->part);
    }
    world->slab_units = units;
    const size_t slab_bytes = mkv_slab_memory_required(units);
    world->slab_memory = malloc(slab_bytes);
    assert_non_null(world->slab_memory);
    world->slabs = mkv_slab_init(world->slab_memory, slab_bytes, units);
    if (given->lanes) {
        make_lane_ports(world, given);
    }
    struct mkv_fabric_tcp_options fabric_options = {
        .ring = world->ring,
        .lane_ports = world->lane_ports,
        .arena = arena_of(world),
        .host = given->host != NULL ? given->host : "127.0.0.1",
        .option = "--listen",
        .connection_base = WORLD_CONNECTION_BASE,
        .connections_max = given->connections_max != 0 ? given->connections_max : 16,
        .transfers_max = units,
        .body_buffers = given->body_buffers != 0 ? given->body_buffers : 2,
        .inline_buffers = given->inline_buffers != 0 ? given->inline_buffers : 4,
        .hello_ns = given->hello_ns,
        .stall_ns = given->stall_ns,
        .close_ns = given->close_ns,
        .rest_ns = given->rest_ns,
        .stats = stats_text,
        .shards = given->shards ? shards_of : NULL,
        .move = given->shards ? take_move : NULL,
        .shards_context = world,
        .tenant = given->tenants ? resolve : NULL,
        .tenant_context = world,
        .ring_views = given->ring_views,
    };
    if (given->window_bytes_max > 0) {
        snprintf(world->local_path, sizeof world->local_path, "/tmp/memkv-world-%d.sock",
                 (int)getpid());
        assert_true(mkv_fabric_shm_listen(world->local_path, "a path", &world->local_fd, &error));
        fabric_options.is_local = true;
        fabric_options.local_fd = world->local_fd;
        fabric_options.window_bytes_max = given->window_bytes_max;
    }
    fabric_options.hello = (struct mkv_native_hello_answer){
        .version = MKV_NATIVE_VERSION,
        .shard_count = 1,
        .items_max = MKV_NATIVE_ITEMS_MAX,
        .body_bytes_max = MKV_NATIVE_BODY_BYTES_MAX,
        .inline_bytes_max = MKV_NATIVE_INLINE_BYTES_MAX,
        .block_bytes_max = MKV_BLOCK_BYTES_MAX,
        .value_bytes_max = MKV_NATIVE_VALUE_BYTES_MAX,
        .requests_max = given->requests_max != 0 ? given->requests_max : 64,
        .deadline_ms = 5000,
        .features = MKV_NATIVE_FEATURE_TRACE | MKV_NATIVE_FEATURE_ROOTS,
        .server_version = "test",
    };
    assert_true(mkv_fabric_tcp_create(&fabric_options, &world->fabric, &error));
    mkv_fabric_tcp_base(world->fabric)->sink = (struct mkv_fabric_sink){world, sink_input};
    world->port = mkv_fabric_tcp_port(world->fabric);
    world->now_ns = given->counts_time ? mkv_clock_monotonic_ns() : 0;
    return world;
}

void world_turn(struct world *world) {
    world->now_ns += world->now_ns == 0 ? 0 : TURN_NS;
    mkv_fabric_tcp_poll(world->fabric,
                        world->now_ns == 0 ? mkv_clock_monotonic_ns() : world->now_ns);
    mkv_ring_wait(world->ring, mkv_fabric_tcp_has_work(world->fabric) ? 0 : TURN_NS);
}

void world_pass(struct world *world, uint64_t ns) {
    assert_true(world->now_ns > 0);
    world->now_ns += ns;
    for (uint32_t i = 0; i < PASS_TURNS; i++) {
        world_turn(world);
    }
}

void world_destroy(struct world *world) {
    mkv_fabric_tcp_stop(world->fabric);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (!mkv_fabric_tcp_is_idle(world->fabric)) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world->now_ns += world->now_ns == 0 ? 0 : END_STEP_NS;
        world_turn(world);
    }
    /* No transfer is left behind: every slab is free, and no answer was forgotten. */
    assert_int_equal(mkv_slab_units_free(world->slabs), world->slab_units);
    mkv_fabric_tcp_destroy(world->fabric);
    mkv_lane_ports_destroy(world->lane_ports);
    if (world->local_path[0] != '\0') {
        mkv_fabric_shm_unlisten(world->local_path, world->local_fd);
    }
    mkv_ring_destroy(world->ring);
    mkv_arena_destroy(world->part);
    mkv_arena_destroy(world->arena);
    free(world->slab_memory);
    free(world);
}

uint32_t world_count(const struct world *world, enum world_event event) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->log_count; i++) {
        count += world->log[i].event == event;
    }
    return count;
}

void world_await(struct world *world, enum world_event event, uint32_t events) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (world_count(world, event) < events) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
}

const struct mkv_fabric_counters *world_counters(const struct world *world) {
    return mkv_fabric_tcp_counters(world->fabric);
}

/* ---- clients -------------------------------------------------------------------------------- */

static struct client connect_local(const struct world *world) {
    struct client client = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), -1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(client.fd >= 0);
    memcpy(address.sun_path, world->local_path, strlen(world->local_path));
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
    return client;
}

struct client world_connect(struct world *world) {
    if (world->local_path[0] != '\0') {
        return connect_local(world);
    }
    struct client client = {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -1};
    assert_true(client.fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(world->port)};
    const char *host = world->connect_to != NULL ? world->connect_to : "127.0.0.1";
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
    return client;
}

struct client world_greeted(struct world *world) {
    return world_greeted_as(world, "");
}

struct client world_greeted_as(struct world *world, const char *tenant) {
    struct client client = world_connect(world);
    uint8_t bytes[256];
    client_send(world, &client, bytes, frame_hello_as(bytes, tenant));
    struct frame frame = client_frame(world, &client);
    assert_int_equal(frame.header.op, MKV_NATIVE_HELLO);
    assert_int_equal(frame.header.status, MKV_STATUS_OK);
    world_frame_free(&frame);
    return client;
}

void client_close(struct client *client) {
    close(client->fd);
    client->fd = -1;
}

void client_reset(struct client *client) {
    const struct linger linger = {1, 0};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    client_close(client);
}

void client_send(struct world *world, struct client *client, const void *bytes, size_t byte_count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    size_t sent = 0;
    while (sent < byte_count) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        const ssize_t result =
            send(client->fd, (const uint8_t *)bytes + sent, byte_count - sent, MSG_NOSIGNAL);
        if (result > 0) {
            sent += (size_t)result;
        } else {
            assert_int_equal(errno, EAGAIN);
        }
        world_turn(world);
    }
}

/* Receives exactly that many bytes; false when the connection ended before the first. */
/* As recv, and keeps a descriptor that comes beside the bytes. */
static ssize_t receive_some(struct client *client, uint8_t *bytes, size_t byte_count) {
    struct iovec iovec = {bytes, byte_count};
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &iovec,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    const ssize_t result = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC);
    if (result > 0 && CMSG_FIRSTHDR(&message) != NULL) {
        assert_int_equal(control.header.cmsg_type, SCM_RIGHTS);
        assert_int_equal(client->passed_fd, -1);
        memcpy(&client->passed_fd, CMSG_DATA(&control.header), sizeof client->passed_fd);
    }
    return result;
}

static bool receive(struct world *world, struct client *client, uint8_t *bytes, size_t byte_count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    size_t received = 0;
    while (received < byte_count) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        const ssize_t result = receive_some(client, bytes + received, byte_count - received);
        if (result == 0 || (result < 0 && errno == ECONNRESET)) {
            assert_int_equal(received, 0);
            return false;
        }
        if (result > 0) {
            received += (size_t)result;
        } else {
            assert_int_equal(errno, EAGAIN);
            world_turn(world);
        }
    }
    return true;
}

struct frame client_frame(struct world *world, struct client *client) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    struct frame frame = {0};
    assert_true(receive(world, client, bytes, sizeof bytes));
    assert_int_equal(mkv_native_header_decode(bytes, &frame.header), MKV_NATIVE_OK);
    frame.body = malloc(frame.header.body_bytes + 1);
    frame.payload = malloc(frame.header.payload_bytes + 1);
    assert_non_null(frame.body);
    assert_non_null(frame.payload);
    assert_true(receive(world, client, frame.body, frame.header.body_bytes));
    assert_true(receive(world, client, frame.payload, frame.header.payload_bytes));
    frame.body[frame.header.body_bytes] = '\0';
    return frame;
}

void world_frame_free(struct frame *frame) {
    free(frame->body);
    free(frame->payload);
    frame->body = NULL;
    frame->payload = NULL;
}

void client_await_end(struct world *world, struct client *client) {
    uint8_t byte;
    assert_false(receive(world, client, &byte, 1));
}

void client_expect_refusal(struct world *world, struct client *client, const char *words) {
    struct frame frame = client_frame(world, client);
    assert_int_equal(frame.header.flags, MKV_NATIVE_FLAG_ANSWER);
    assert_int_equal(frame.header.status, MKV_STATUS_INVALID);
    assert_int_equal(frame.header.item_count, 0);
    assert_true(frame.header.body_bytes <= MKV_NATIVE_TEXT_BYTES_MAX);
    if (strstr((const char *)frame.body, words) == NULL) {
        fail_msg("'%s' does not say '%s'", (const char *)frame.body, words);
    }
    world_frame_free(&frame);
    client_await_end(world, client);
}

/* ---- frames --------------------------------------------------------------------------------- */

size_t frame_hello(uint8_t *bytes) {
    return frame_hello_as(bytes, "");
}

size_t frame_hello_as(uint8_t *bytes, const char *tenant) {
    const size_t tenant_bytes = strlen(tenant);
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_HELLO, .body_bytes = MKV_NATIVE_HELLO_BYTES + (uint32_t)tenant_bytes};
    const struct mkv_native_hello hello = {.version_min = 1, .version_max = 1, .name = "test"};
    mkv_native_header_encode(&header, bytes);
    mkv_native_hello_encode(&hello, bytes + MKV_NATIVE_HEADER_BYTES);
    memcpy(bytes + MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES, tenant, tenant_bytes);
    return MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES + tenant_bytes;
}

size_t frame_simple(uint8_t *bytes, enum mkv_native_op op, uint64_t request_id) {
    const struct mkv_native_header header = {.op = op, .request_id = request_id};
    mkv_native_header_encode(&header, bytes);
    return MKV_NATIVE_HEADER_BYTES;
}

size_t frame_request(uint8_t *bytes, enum mkv_native_op op, uint64_t request_id,
                     uint32_t item_count, uint64_t length, bool is_inline) {
    uint8_t *body = bytes + MKV_NATIVE_HEADER_BYTES;
    uint32_t body_bytes = item_count * MKV_NATIVE_ITEM_BYTES;
    for (uint32_t i = 0; i < item_count; i++) {
        char key[64];
        const int key_bytes =
            snprintf(key, sizeof key, "k%llu-%u", (unsigned long long)request_id, i);
        const struct mkv_native_item item = {.length = length, .key_bytes = (uint32_t)key_bytes};
        mkv_native_item_encode(&item, body + i * MKV_NATIVE_ITEM_BYTES);
        memcpy(body + body_bytes, key, (size_t)key_bytes);
        body_bytes += (uint32_t)key_bytes;
    }
    const struct mkv_native_header header = {
        .op = op,
        .flags = is_inline ? MKV_NATIVE_FLAG_INLINE : 0,
        .request_id = request_id,
        .item_count = item_count,
        .body_bytes = body_bytes,
        .payload_bytes = is_inline ? item_count * length : 0,
    };
    mkv_native_header_encode(&header, bytes);
    size_t frame_bytes = MKV_NATIVE_HEADER_BYTES + body_bytes;
    for (uint32_t i = 0; is_inline && i < item_count; i++) {
        world_pattern_fill(request_id, i, bytes + frame_bytes, length);
        frame_bytes += length;
    }
    return frame_bytes;
}

size_t frame_data(uint8_t *bytes, uint64_t request_id, uint32_t item, uint64_t offset,
                  uint64_t payload_bytes) {
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_DATA,
        .request_id = request_id,
        .body_bytes = MKV_NATIVE_DATA_BYTES,
        .payload_bytes = payload_bytes,
    };
    const struct mkv_native_data data = {
        .item = item,
        .offset = offset,
        .length = offset + payload_bytes,
        .bytes = payload_bytes,
    };
    mkv_native_header_encode(&header, bytes);
    mkv_native_data_encode(&data, bytes + MKV_NATIVE_HEADER_BYTES);
    return MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES;
}

void client_send_data(struct world *world, struct client *client, uint64_t request_id,
                      uint32_t item, uint32_t payload_bytes) {
    uint8_t *bytes = malloc(256u + payload_bytes);
    assert_non_null(bytes);
    const size_t head = frame_data(bytes, request_id, item, 0, payload_bytes);
    world_pattern_fill(request_id, item, bytes + head, payload_bytes);
    client_send(world, client, bytes, head + payload_bytes);
    free(bytes);
}
