/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP on real loopback sockets, with a scripted front behind it. One thread turns both: a client
 * that sends or waits turns the fabric meanwhile.
 *
 * The front pulls and pushes values in pieces, whose bytes are a pattern, and answers OK. Requests
 * whose key begins with 'h' are held until `serve`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/clock.h"
#include "backends/fabric_resp.h"
#include "core/hash.h"
#include "core/slab.h"

#define WAIT_NS 10000000000ull
#define REQUESTS_MAX 512u
#define PIECES_MAX 16u
#define VALUE_BYTES_MAX 200000u
#define CONNECTION_BASE 1000u
#define PIPELINE_MAX 16u

struct request {
    struct mkv_request request;
    struct mkv_request_item item;
    char key[32];
    struct mkv_slab slabs[PIECES_MAX];
    uint32_t pieces_left;
    bool served;
    bool failed;
    struct mkv_item_result result;
};

struct world {
    struct mkv_ring *ring;
    struct mkv_arena *arena;
    struct mkv_fabric_resp *fabric;
    struct mkv_slab_pool *slabs;
    void *slab_memory;
    struct mkv_resp_call *call; /* that is LATER */
    uint32_t calls_gone;
    bool call_was_loading;
    bool in_submit;

    uint32_t piece_bytes;
    uint32_t get_bytes; /* the length of every value that is read */
    bool backwards;     /* pieces of a GET come in the wrong order */
    bool opening;       /* the drives are not open */

    struct request requests[REQUESTS_MAX];
    uint32_t request_count;
    uint32_t answer_done_count;
    uint32_t requests_at_once; /* the most that there ever were */
    uint32_t closed;
};

static uint8_t pattern(uint64_t offset) {
    return (uint8_t)((offset * 7) ^ (offset >> 8) ^ (offset >> 16));
}

/* ---- the scripted front --------------------------------------------------------------------- */

static void submit(struct world *world, const struct mkv_effect *effect) {
    struct mkv_fabric *base = mkv_fabric_resp_base(world->fabric);
    world->in_submit = true;
    base->ops->submit(base, effect, (const uint8_t *)world);
    world->in_submit = false;
}

static void answer(struct world *world, uint32_t index) {
    struct request *request = &world->requests[index];
    struct mkv_effect effect = {.kind = MKV_EFFECT_ANSWER, .op = {index, 0}};
    request->result.length =
        request->request.op == MKV_OP_GET ? world->get_bytes : request->item.length;
    effect.answer = (struct mkv_answer_effect){
        .connection = request->request.connection,
        .request_id = request->request.request_id,
        .op = request->request.op,
        .status = request->failed ? MKV_STATUS_IO_ERROR : MKV_STATUS_OK,
        .result_count = request->failed ? 0 : 1,
        .results_offset = (uint64_t)((uint8_t *)&request->result - (uint8_t *)world),
    };
    submit(world, &effect);
}

static void submit_piece(struct world *world, uint32_t index, uint32_t piece, uint64_t length) {
    struct request *request = &world->requests[index];
    const uint64_t offset = (uint64_t)piece * world->piece_bytes;
    const bool is_put = request->request.op == MKV_OP_PUT;
    const uint32_t bytes = (uint32_t)mkv_min_u64(world->piece_bytes, length - offset);
    struct mkv_effect effect = {.kind = is_put ? MKV_EFFECT_PULL : MKV_EFFECT_PUSH,
                                .op = {index, 1 + piece}};
    assert_true(mkv_slab_alloc(world->slabs, bytes, &request->slabs[piece]));
    effect.transfer = (struct mkv_transfer_effect){
        .connection = request->request.connection,
        .request_id = request->request.request_id,
        .offset = offset,
        .bytes = bytes,
        .slab = request->slabs[piece],
        .length = length,
    };
    uint8_t *payload = mkv_arena_slab(world->arena, request->slabs[piece]) + MKV_UNIT_BYTES;
    for (uint32_t i = 0; i < bytes; i++) {
        payload[i] = is_put ? 0xee : pattern(offset + i);
    }
    submit(world, &effect);
}

static void serve(struct world *world, uint32_t index) {
    struct request *request = &world->requests[index];
    const bool is_get = request->request.op == MKV_OP_GET;
    assert_false(request->served);
    request->served = true;
    if (!is_get && request->request.op != MKV_OP_PUT) {
        answer(world, index);
        return;
    }
    const uint64_t length = is_get ? world->get_bytes : request->item.length;
    const uint32_t pieces = (uint32_t)((length + world->piece_bytes - 1) / world->piece_bytes);
    assert_true(pieces >= 1);
    assert_true(pieces <= PIECES_MAX);
    request->pieces_left = pieces;
    for (uint32_t i = 0; i < pieces; i++) {
        submit_piece(world, index, world->backwards && is_get ? pieces - 1 - i : i, length);
    }
}

static void take_request(struct world *world, const struct mkv_input *input) {
    assert_true(world->request_count < REQUESTS_MAX);
    struct request *request = &world->requests[world->request_count++];
    world->requests_at_once = (uint32_t)mkv_max_u64(
        world->requests_at_once, world->request_count - world->answer_done_count);
    request->request = input->request;
    request->item = input->request.items[0];
    assert_int_equal(input->request.item_count, 1);
    assert_true(input->data_bytes < sizeof request->key);
    memcpy(request->key, input->data, input->data_bytes);
    if (request->key[0] != 'h') {
        serve(world, world->request_count - 1);
    }
}

static void check_pulled(struct world *world, const struct request *request, uint32_t piece,
                         const struct mkv_fabric_done *done) {
    const uint64_t offset = (uint64_t)piece * world->piece_bytes;
    const uint32_t bytes = (uint32_t)mkv_min_u64(world->piece_bytes, request->item.length - offset);
    const uint8_t *payload = mkv_arena_slab(world->arena, request->slabs[piece]) + MKV_UNIT_BYTES;
    uint64_t sums[MKV_CHUNKS_MAX];
    for (uint32_t i = 0; i < bytes; i++) {
        assert_int_equal(payload[i], pattern(offset + i));
    }
    mkv_chunk_sums(payload, bytes, sums);
    assert_int_equal(done->sum_count, mkv_chunk_count(bytes));
    assert_memory_equal(done->sums, sums, done->sum_count * sizeof sums[0]);
}

static void take_done(struct world *world, const struct mkv_fabric_done *done) {
    if (done->event == MKV_FABRIC_CONNECTION_CLOSED) {
        world->closed++;
        return;
    }
    if (done->event == MKV_FABRIC_ANSWER_DONE) {
        world->answer_done_count++;
        return;
    }
    struct request *request = &world->requests[done->op.index];
    const uint32_t piece = done->op.generation - 1;
    if (done->transfer != MKV_TRANSFER_OK) {
        request->failed = true;
    } else if (done->event == MKV_FABRIC_PULL_DONE) {
        check_pulled(world, request, piece, done);
    }
    mkv_slab_free(world->slabs, request->slabs[piece]);
    assert_true(request->pieces_left > 0);
    request->pieces_left--;
    if (request->pieces_left == 0) {
        answer(world, done->op.index);
    }
}

static void sink_input(void *context, struct mkv_input *input) {
    struct world *world = context;
    assert_false(world->in_submit);
    if (input->kind == MKV_INPUT_REQUEST) {
        take_request(world, input);
    } else {
        take_done(world, &input->fabric);
    }
}

static enum mkv_resp_called call_later(void *context, struct mkv_resp_call *call) {
    struct world *world = context;
    world->call = call;
    world->call_was_loading = call->loading != NULL;
    return MKV_RESP_CALL_LATER;
}

static void progress(void *context, char *text, size_t text_bytes) {
    const struct world *world = context;
    assert_true(world->opening);
    snprintf(text, text_bytes, "1/2 drives, 50 %%");
}

static void call_gone(void *context, struct mkv_resp_call *call) {
    struct world *world = context;
    assert_ptr_equal(world->call, call);
    world->call = NULL;
    world->calls_gone++;
}

/* ---- the world ------------------------------------------------------------------------------ */

/* Timeouts that no test waits for, where `is_patient`. */
static struct world *world_create_with(uint32_t workspaces, bool is_patient) {
    struct world *world = calloc(1, sizeof *world);
    struct mkv_backend_error error;
    assert_non_null(world);
    world->piece_bytes = 1u << 20;
    world->get_bytes = 5;
    assert_true(mkv_ring_create(&(struct mkv_ring_options){.entries = 128}, &world->ring, &error));
    const struct mkv_arena_options arena = {.bytes = 160 * MKV_MIB,
                                            .hugepages = MKV_HUGEPAGES_AUTO};
    assert_true(mkv_arena_create(&arena, &world->arena, &error));
    const uint32_t units = mkv_arena_unit_count(world->arena);
    const size_t slab_bytes = mkv_slab_memory_required(units);
    world->slab_memory = malloc(slab_bytes);
    assert_non_null(world->slab_memory);
    world->slabs = mkv_slab_init(world->slab_memory, slab_bytes, units);
    const struct mkv_fabric_resp_options options = {
        .ring = world->ring,
        .arena = world->arena,
        .host = "127.0.0.1",
        .option = "--resp",
        .connections_max = 8,
        .connection_base = CONNECTION_BASE,
        .transfers_max = units,
        .workspaces = workspaces,
        .stall_ns = is_patient ? 10 * WAIT_NS : 0,
        .close_ns = is_patient ? 10 * WAIT_NS : 0,
        .entries = 64,
        .calls = 2,
        .pipeline_max = PIPELINE_MAX,
        .ahead_max = 16,
        .value_bytes_max = VALUE_BYTES_MAX,
        .version = "7.0.0",
        .progress = progress,
        .progress_context = world,
        .call = call_later,
        .gone = call_gone,
        .call_context = world,
    };
    assert_true(mkv_fabric_resp_create(&options, &world->fabric, &error));
    mkv_fabric_resp_base(world->fabric)->sink = (struct mkv_fabric_sink){world, sink_input};
    return world;
}

static struct world *world_create(void) {
    return world_create_with(8, false);
}

static void turn(struct world *world) {
    struct mkv_fabric *base = mkv_fabric_resp_base(world->fabric);
    if (world->opening) {
        base->ops->poll_opening(base, mkv_clock_monotonic_ns());
    } else {
        base->ops->poll(base, mkv_clock_monotonic_ns());
    }
    mkv_ring_wait(world->ring, base->ops->has_work(base) ? 0 : 1000000);
}

/* What is not to happen has had time to. */
static void turn_often(struct world *world) {
    for (uint32_t i = 0; i < 20; i++) {
        turn(world);
    }
}

static void await(struct world *world, const uint32_t *figure, uint32_t wanted) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (*figure != wanted) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        turn(world);
    }
}

static uint64_t active(const struct world *world) {
    struct mkv_fabric *base = mkv_fabric_resp_base(world->fabric);
    return base->ops->counters(base)->connections_active;
}

static void await_nobody(struct world *world) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (active(world) > 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        turn(world);
    }
}

static void world_destroy(struct world *world) {
    struct mkv_fabric *base = mkv_fabric_resp_base(world->fabric);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    base->ops->stop(base);
    while (!base->ops->is_idle(base)) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        turn(world);
    }
    /* No transfer is left behind: every slab is free. */
    assert_int_equal(mkv_slab_units_free(world->slabs), mkv_arena_unit_count(world->arena));
    base->ops->destroy(base);
    mkv_ring_destroy(world->ring);
    mkv_arena_destroy(world->arena);
    free(world->slab_memory);
    free(world);
}

/* ---- clients -------------------------------------------------------------------------------- */

static int client_connect(struct world *world) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(mkv_fabric_resp_port(world->fabric)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct mkv_fabric *base = mkv_fabric_resp_base(world->fabric);
    const uint64_t accepted = base->ops->counters(base)->connections_accepted_total;
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    const struct mkv_fabric_counters *counters = base->ops->counters(base);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (counters->connections_accepted_total == accepted) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        turn(world);
    }
    return fd;
}

/* Closes with RST. */
static void client_reset(int fd) {
    const struct linger linger = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(fd);
}

static void client_send(struct world *world, int fd, const void *bytes, size_t byte_count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    size_t sent = 0;
    while (sent < byte_count) {
        const ssize_t result =
            send(fd, (const uint8_t *)bytes + sent, byte_count - sent, MSG_NOSIGNAL);
        assert_true(result > 0 || errno == EAGAIN);
        sent += result > 0 ? (size_t)result : 0;
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        turn(world);
    }
}

static void client_say(struct world *world, int fd, const char *text) {
    client_send(world, fd, text, strlen(text));
}

/* Takes that many bytes, and no more. */
static void client_take(struct world *world, int fd, uint8_t *bytes, size_t byte_count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    size_t taken = 0;
    while (taken < byte_count) {
        const ssize_t result = recv(fd, bytes + taken, byte_count - taken, 0);
        assert_true(result > 0 || (result < 0 && errno == EAGAIN));
        taken += result > 0 ? (size_t)result : 0;
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        turn(world);
    }
}

static void client_expect(struct world *world, int fd, const char *text) {
    char got[512] = "";
    assert_true(strlen(text) < sizeof got);
    client_take(world, fd, (uint8_t *)got, strlen(text));
    assert_string_equal(got, text);
}

static void client_expect_value(struct world *world, int fd, uint32_t byte_count) {
    char header[32];
    uint8_t *bytes = malloc(byte_count);
    assert_non_null(bytes);
    snprintf(header, sizeof header, "$%u\r\n", byte_count);
    client_expect(world, fd, header);
    client_take(world, fd, bytes, byte_count);
    for (uint32_t i = 0; i < byte_count; i++) {
        assert_int_equal(bytes[i], pattern(i));
    }
    client_expect(world, fd, "\r\n");
    free(bytes);
}

static void client_expect_nothing(struct world *world, int fd) {
    uint8_t byte;
    turn_often(world);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

/* A SET of the pattern in front of `behind`, cut into pieces of that size. */
static void client_set(struct world *world, int fd, const char *key, uint32_t byte_count,
                       uint32_t cut_bytes, const char *behind) {
    uint8_t *bytes = malloc(byte_count + 256u);
    assert_non_null(bytes);
    const size_t room = byte_count + 256u;
    size_t used = (size_t)snprintf((char *)bytes, room, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%u\r\n",
                                   strlen(key), key, byte_count);
    for (uint32_t i = 0; i < byte_count; i++) {
        bytes[used++] = pattern(i);
    }
    used += (size_t)snprintf((char *)bytes + used, room - used, "\r\n%s", behind);
    assert_true(used < room);
    for (size_t at = 0; at < used; at += cut_bytes) {
        client_send(world, fd, bytes + at, (size_t)mkv_min_u64(cut_bytes, used - at));
    }
    free(bytes);
}

/* ---- order ---------------------------------------------------------------------------------- */

static void test_fabric_resp__answers_out_of_order__replies_stand_in_order(void **state) {
    (void)state;
    struct world *world = world_create();
    const int fd = client_connect(world);
    client_say(world, fd, "GET h1\r\nEXISTS h2\r\nGET c\r\nDEL d\r\nPING\r\n");
    await(world, &world->request_count, 4);
    serve(world, 1);
    client_expect_nothing(world, fd);
    serve(world, 0);
    client_expect_value(world, fd, 5);
    client_expect(world, fd, ":1\r\n");
    client_expect_value(world, fd, 5);
    client_expect(world, fd, ":1\r\n+PONG\r\n");
    close(fd);
    world_destroy(world);
}

static void test_fabric_resp__keys_under_way__a_change_waits_and_reads_do_not(void **state) {
    (void)state;
    struct world *world = world_create();
    const int fd = client_connect(world);
    client_say(world, fd, "GET h1\r\nGET h1\r\nDEL h1\r\nGET h1\r\n");
    await(world, &world->request_count, 2);
    turn_often(world);
    assert_int_equal(world->request_count, 2);
    serve(world, 0);
    serve(world, 1);
    client_expect_value(world, fd, 5);
    client_expect_value(world, fd, 5);
    await(world, &world->request_count, 3);
    turn_often(world);
    assert_int_equal(world->request_count, 3); /* the read waits for the change */
    serve(world, 2);
    client_expect(world, fd, ":1\r\n");
    await(world, &world->request_count, 4);
    serve(world, 3);
    client_expect_value(world, fd, 5);
    close(fd);
    world_destroy(world);
}

static void test_fabric_resp__pipeline__front_has_no_more_requests_than_it_takes(void **state) {
    (void)state;
    struct world *world = world_create();
    char said[REQUESTS_MAX * 16];
    size_t used = 0;
    const int fds[] = {client_connect(world), client_connect(world)};
    /* One key each, and many keys of one command, of which only the last replies. */
    for (uint32_t i = 0; i < 80; i++) {
        used += (size_t)snprintf(said + used, sizeof said - used, "EXISTS k%u\r\n", i);
    }
    used += (size_t)snprintf(said + used, sizeof said - used, "DEL");
    for (uint32_t i = 0; i < 80; i++) {
        used += (size_t)snprintf(said + used, sizeof said - used, " k%u", i);
    }
    used += (size_t)snprintf(said + used, sizeof said - used, "\r\n");
    client_send(world, fds[0], said, used);
    for (uint32_t i = 0; i < 80; i++) {
        client_expect(world, fds[0], ":1\r\n");
    }
    client_expect(world, fds[0], ":80\r\n");
    assert_int_equal(world->requests_at_once, PIPELINE_MAX);
    /* Those that wait for us leave with their client, and the next one has all again. */
    client_say(world, fds[0], "GET h1\r\nGET h2\r\n");
    await(world, &world->request_count, 162);
    client_reset(fds[0]);
    turn_often(world);
    client_say(world, fds[1], "GET h3\r\n");
    await(world, &world->request_count, 163);
    serve(world, 162);
    client_expect_value(world, fds[1], 5);
    close(fds[1]);
    world_destroy(world);
}

/* ---- values --------------------------------------------------------------------------------- */

static void test_fabric_resp__values_in_pieces__are_whole_and_in_step(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 18432, 18433, 40000, 100000};
    static const uint32_t cuts[] = {7001, 1u << 20};
    struct world *world = world_create();
    const int fd = client_connect(world);
    world->piece_bytes = 16384;
    world->backwards = true;
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint32_t j = 0; j < sizeof cuts / sizeof cuts[0]; j++) {
            world->get_bytes = sizes[i];
            client_set(world, fd, "k", sizes[i], cuts[j], "GET k\r\nPING\r\n");
            client_expect(world, fd, "+OK\r\n");
            client_expect_value(world, fd, sizes[i]);
            client_expect(world, fd, "+PONG\r\n");
        }
    }
    close(fd);
    world_destroy(world);
}

static void test_fabric_resp__value_above_the_limit__is_dropped_and_in_step(void **state) {
    (void)state;
    struct world *world = world_create();
    const int fd = client_connect(world);
    client_set(world, fd, "k", VALUE_BYTES_MAX + 1, 30011, "PING\r\n");
    client_expect(world, fd,
                  "-ERR value of 200001 bytes exceeds resp.value_bytes_max (200000)\r\n+PONG\r\n");
    assert_int_equal(world->request_count, 0);
    close(fd);
    world_destroy(world);
}

static void test_fabric_resp__mget_with_a_refused_key__has_all_elements(void **state) {
    (void)state;
    struct world *world = world_create();
    const int fd = client_connect(world);
    client_say(world, fd, "MGET a \"\" b\r\nPING\r\n");
    client_expect(world, fd, "*3\r\n");
    client_expect_value(world, fd, 5);
    client_expect(world, fd, "-ERR a key has 1 to 1024 bytes, this one has 0\r\n");
    client_expect_value(world, fd, 5);
    client_expect(world, fd, "+PONG\r\n");
    close(fd);
    world_destroy(world);
}

/* ---- before the drives are open -------------------------------------------------------------- */

static void test_fabric_resp__drives_are_being_opened__data_is_refused_in_step(void **state) {
    (void)state;
    static const char loading[] =
        "-LOADING memkv is loading what its drives hold (1/2 drives, 50 %)\r\n";
    static const char *const refused[] = {
        "GET k\r\n", "MGET a b\r\n", "MSET a 1 b 2\r\n", "DEL a\r\n", "EXPIRE a 1\r\n", "TTL a\r\n",
    };
    struct world *world = world_create();
    world->opening = true;
    const int fd = client_connect(world);
    for (uint32_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        client_say(world, fd, refused[i]);
        client_expect(world, fd, loading);
    }
    client_set(world, fd, "k", 100000, 30011, "PING\r\n");
    client_expect(world, fd, loading);
    client_expect(world, fd, "+PONG\r\n");
    client_say(world, fd, "GET\r\nECHO x\r\nSELECT 0\r\n");
    client_expect(world, fd,
                  "-ERR wrong number of arguments for 'get' command\r\n"
                  "$1\r\nx\r\n+OK\r\n");
    /* Who answers a call says what it is, and may end it later. */
    client_say(world, fd, "INFO\r\n");
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (world->call == NULL) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        turn(world);
    }
    assert_true(world->call_was_loading);
    mkv_resp_write_simple(&world->call->reply, "info");
    mkv_fabric_resp_complete(world->fabric, world->call);
    world->call = NULL;
    client_expect(world, fd, "+info\r\n");
    assert_int_equal(world->request_count, 0);
    world->opening = false;
    turn(world);
    client_say(world, fd, "GET k\r\n");
    client_expect_value(world, fd, 5);
    assert_int_equal(world->request_count, 1);
    close(fd);
    await_nobody(world);
    /* Who never handed a request in is not told of when he leaves. */
    world->opening = true;
    client_reset(client_connect(world));
    await_nobody(world);
    assert_int_equal(world->closed, 1);
    world_destroy(world);
}

/* ---- workspaces ------------------------------------------------------------------------------ */

/* The bytes of a SET of the pattern, from `first` on. */
static void client_send_value(struct world *world, int fd, uint32_t first, uint32_t end) {
    uint8_t *bytes = malloc(end - first);
    assert_non_null(bytes);
    for (uint32_t i = first; i < end; i++) {
        bytes[i - first] = pattern(i);
    }
    client_send(world, fd, bytes, end - first);
    free(bytes);
}

static void test_fabric_resp__one_workspace__no_slow_sender_of_dropped_bytes_has_it(void **state) {
    (void)state;
    struct world *world = world_create_with(1, true);
    const int slow = client_connect(world);
    const int other = client_connect(world);
    client_say(world, slow, "PING\r\n*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n");
    client_expect(world, slow, "+PONG\r\n");
    for (uint32_t i = 0; i < 5; i++) {
        client_send_value(world, slow, i, i + 1);
        client_say(world, other, "EXISTS k\r\n");
        client_expect(world, other, ":1\r\n");
    }
    /* What is behind the value is taken up in a workspace again. */
    client_send_value(world, slow, 5, 300000);
    client_say(world, other, "PING\r\n");
    client_expect(world, other, "+PONG\r\n");
    client_say(world, slow, "\r\n$2\r\nEX\r\n$1\r\n7\r\nPING\r\n");
    client_expect(world, slow,
                  "-ERR value of 300000 bytes exceeds resp.value_bytes_max (200000)\r\n+PONG\r\n");
    client_say(world, other, "PING\r\n");
    client_expect(world, other, "+PONG\r\n");
    assert_int_equal(world->request_count, 5);
    close(slow);
    close(other);
    world_destroy(world);
}

static void test_fabric_resp__one_workspace__who_has_quit_does_not_have_it(void **state) {
    (void)state;
    struct world *world = world_create_with(1, true);
    const int gone = client_connect(world);
    const int other = client_connect(world);
    client_say(world, gone, "QUIT\r\n");
    client_expect(world, gone, "+OK\r\n");
    client_say(world, other, "PING\r\n");
    client_expect(world, other, "+PONG\r\n");
    client_say(world, gone, "what still comes");
    client_say(world, other, "PING\r\n");
    client_expect(world, other, "+PONG\r\n");
    assert_int_equal(active(world), 2);
    close(gone);
    close(other);
    await_nobody(world);
    world_destroy(world);
}

static void test_fabric_resp__stops_behind_dropped_bytes__is_broken(void **state) {
    (void)state;
    struct world *world = world_create_with(1, false);
    const int fd = client_connect(world);
    client_say(world, fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n");
    client_send_value(world, fd, 0, 300000);
    turn_often(world);
    assert_int_equal(active(world), 1);
    struct mkv_fabric *base = mkv_fabric_resp_base(world->fabric);
    base->ops->poll(base, mkv_clock_monotonic_ns() + 31000000000ull);
    base->ops->poll(base, mkv_clock_monotonic_ns() + 32000000000ull);
    await_nobody(world);
    close(fd);
    world_destroy(world);
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void test_fabric_resp__client_that_vanishes__leaves_nothing_behind(void **state) {
    (void)state;
    static const struct {
        const char *said;
        uint32_t requests; /* that are awaited before its end */
        uint32_t calls;
        bool served; /* behind its end: nothing is received meanwhile, so it is seen then */
    } rows[] = {
        {"*", 0, 0, false},
        {"*2\r\n$3\r\nGE", 0, 0, false},
        {"GET h1\r\n", 1, 0, false},
        {"GET h1\r\n", 1, 0, true},
        {"GET h1\r\nGET a\r\nMGET b c\r\n", 4, 0, false},
        {"*3\r\n$4\r\nMGET\r\n$1\r\na\r\n", 1, 0, false},
        {"*3\r\n$3\r\nDEL\r\n$1\r\na\r\n", 1, 0, false},
        {"*3\r\n$3\r\nSET\r\n$2\r\nh1\r\n$50000\r\nabc", 1, 0, true},
        {"*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$50000\r\n", 1, 0, false},
        {"*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$300000\r\nabc", 0, 0, false},
        {"*5\r\n$3\r\nSET\r\n$2\r\nk1\r\n$19000\r\n", 1, 0, false},
        {"SET h1 \"\\x00\"\r\n", 1, 0, true},
        {"INFO\r\n", 0, 1, false},
    };
    struct world *world = world_create();
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint32_t before = world->request_count;
        const uint32_t gone = world->calls_gone;
        const int fd = client_connect(world);
        client_say(world, fd, rows[i].said);
        await(world, &world->request_count, before + rows[i].requests);
        turn_often(world);
        assert_int_equal(active(world), 1);
        assert_int_equal(world->call != NULL, rows[i].calls > 0);
        client_reset(fd);
        if (rows[i].served) {
            serve(world, before);
        }
        if (rows[i].calls > 0) {
            /* It is seen when the connection is read or written: whoever closes it does that. */
            assert_true(mkv_fabric_resp_kill(world->fabric, world->call->connection));
        }
        await_nobody(world);
        assert_int_equal(world->calls_gone, gone + rows[i].calls);
        /* The next one has the same place, and is served as the first was. */
        const int next = client_connect(world);
        client_say(world, next, "DEL a\r\nPING\r\n");
        client_expect(world, next, ":1\r\n+PONG\r\n");
        client_reset(next);
        await_nobody(world);
    }
    world_destroy(world);
}

static void test_fabric_resp__protocol_error__comes_behind_replies_and_closes(void **state) {
    (void)state;
    struct world *world = world_create();
    const int fd = client_connect(world);
    uint8_t byte;
    client_say(world, fd, "GET h1\r\n*1\r\nx\r\n");
    await(world, &world->request_count, 1);
    client_expect_nothing(world, fd);
    serve(world, 0);
    client_expect_value(world, fd, 5);
    client_expect(world, fd, "-ERR Protocol error: expected '$', got 'x'\r\n");
    turn_often(world);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    await_nobody(world);
    assert_int_equal(world->closed, 1);
    world_destroy(world);
}

static void test_fabric_resp__http_of_a_browser__is_closed_before_its_body(void **state) {
    (void)state;
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\n\r\nDEL a\r\n",
        "PUT / HTTP/1.1\r\nHost: localhost\r\n\r\nDEL a\r\n",
    };
    struct world *world = world_create();
    for (uint32_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const int fd = client_connect(world);
        client_say(world, fd, requests[i]);
        const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
        do {
            assert_true(mkv_clock_monotonic_ns() < end_ns);
            turn(world);
            if (world->call != NULL) { /* PUT is a call, and there is no such command */
                mkv_resp_write_error(&world->call->reply, "ERR unknown");
                mkv_fabric_resp_complete(world->fabric, world->call);
                world->call = NULL;
            }
        } while (active(world) > 0);
        assert_int_equal(world->request_count, 0);
        close(fd);
    }
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_resp__answers_out_of_order__replies_stand_in_order),
        cmocka_unit_test(test_fabric_resp__keys_under_way__a_change_waits_and_reads_do_not),
        cmocka_unit_test(test_fabric_resp__pipeline__front_has_no_more_requests_than_it_takes),
        cmocka_unit_test(test_fabric_resp__values_in_pieces__are_whole_and_in_step),
        cmocka_unit_test(test_fabric_resp__value_above_the_limit__is_dropped_and_in_step),
        cmocka_unit_test(test_fabric_resp__mget_with_a_refused_key__has_all_elements),
        cmocka_unit_test(test_fabric_resp__drives_are_being_opened__data_is_refused_in_step),
        cmocka_unit_test(test_fabric_resp__one_workspace__no_slow_sender_of_dropped_bytes_has_it),
        cmocka_unit_test(test_fabric_resp__one_workspace__who_has_quit_does_not_have_it),
        cmocka_unit_test(test_fabric_resp__stops_behind_dropped_bytes__is_broken),
        cmocka_unit_test(test_fabric_resp__client_that_vanishes__leaves_nothing_behind),
        cmocka_unit_test(test_fabric_resp__protocol_error__comes_behind_replies_and_closes),
        cmocka_unit_test(test_fabric_resp__http_of_a_browser__is_closed_before_its_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
