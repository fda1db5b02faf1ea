/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations that go well, or end for reasons that are nobody's fault in the protocol:
 * fabric_tcp_frame_test.c has the faults of clients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "backends/clock.h"
#include "core/hash.h"
#include "tests/unit/backends/fabric_world.h"

#define SECOND_NS 1000000000ull

static uint64_t pattern_hash(uint64_t request_id, uint32_t item, uint64_t byte_count) {
    uint8_t *bytes = malloc(byte_count + 1);
    assert_non_null(bytes);
    world_pattern_fill(request_id, item, bytes, byte_count);
    const uint64_t hash = mkv_hash_64(bytes, byte_count);
    free(bytes);
    return hash;
}

static void expect_answer(struct world *world, struct client *client, enum mkv_native_op op,
                          uint64_t request_id, uint32_t results) {
    struct frame frame = client_frame(world, client);
    assert_int_equal(frame.header.op, op);
    assert_int_equal(frame.header.flags, MKV_NATIVE_FLAG_ANSWER);
    assert_int_equal(frame.header.status, MKV_STATUS_OK);
    assert_int_equal(frame.header.request_id, request_id);
    assert_int_equal(frame.header.item_count, results);
    for (uint32_t i = 0; i < results; i++) {
        struct mkv_native_result result;
        assert_int_equal(
            mkv_native_result_decode(frame.body + i * MKV_NATIVE_RESULT_BYTES, &result),
            MKV_NATIVE_OK);
        assert_int_equal(result.length, 1000 + i);
    }
    world_frame_free(&frame);
}

static void expect_ready(struct world *world, struct client *client, uint64_t request_id,
                         uint32_t item, uint64_t bytes) {
    struct frame frame = client_frame(world, client);
    assert_int_equal(frame.header.op, MKV_NATIVE_READY);
    assert_int_equal(frame.header.request_id, request_id);
    struct mkv_native_ready ready;
    assert_int_equal(mkv_native_ready_decode(frame.body, &ready), MKV_NATIVE_OK);
    assert_int_equal(ready.item, item);
    assert_int_equal(ready.offset, 0);
    assert_int_equal(ready.bytes, bytes);
    world_frame_free(&frame);
}

static void expect_data(struct world *world, struct client *client, uint64_t request_id,
                        uint32_t item, uint64_t bytes) {
    struct frame frame = client_frame(world, client);
    assert_int_equal(frame.header.op, MKV_NATIVE_DATA);
    assert_int_equal(frame.header.request_id, request_id);
    assert_int_equal(frame.header.payload_bytes, bytes);
    struct mkv_native_data data;
    assert_int_equal(mkv_native_data_decode(&frame.header, frame.body, &data), MKV_NATIVE_OK);
    assert_int_equal(data.item, item);
    assert_int_equal(data.length, bytes);
    assert_int_equal(mkv_hash_64(frame.payload, bytes), pattern_hash(request_id, item, bytes));
    world_frame_free(&frame);
}

/* PUT of one item with READY and DATA, then GET of the same length. */
static void put_and_get(struct world *world, struct client *client, uint64_t request_id,
                        uint32_t length) {
    uint8_t bytes[512];
    client_send(world, client, bytes,
                frame_request(bytes, MKV_NATIVE_PUT, request_id, 1, length, false));
    expect_ready(world, client, request_id, 0, length);
    client_send_data(world, client, request_id, 0, length);
    expect_answer(world, client, MKV_NATIVE_PUT, request_id, 1);
    assert_int_equal(world->requests[world->request_count - 1].hashes[0],
                     pattern_hash(request_id, 0, length));
    client_send(world, client, bytes,
                frame_request(bytes, MKV_NATIVE_GET, request_id, 1, length, false));
    expect_data(world, client, request_id, 0, length);
    expect_answer(world, client, MKV_NATIVE_GET, request_id, 1);
}

static void test_fabric_tcp__hello__is_answered_with_limits(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    uint8_t bytes[256];
    client_send(world, &client, bytes, frame_hello(bytes));
    struct frame frame = client_frame(world, &client);
    struct mkv_native_hello_answer answer;
    assert_int_equal(mkv_native_hello_answer_decode(frame.body, &answer), MKV_NATIVE_OK);
    assert_int_equal(answer.requests_max, 64);
    assert_string_equal(answer.server_version, "test");
    world_frame_free(&frame);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__ping_and_stats__are_answered_without_the_front(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t bytes[3 * MKV_NATIVE_HEADER_BYTES];
    size_t size = frame_simple(bytes, MKV_NATIVE_PING, 7);
    size += frame_simple(bytes + size, MKV_NATIVE_STATS, 8);
    size += frame_simple(bytes + size, MKV_NATIVE_PING, 9);
    client_send(world, &client, bytes, size);
    expect_answer(world, &client, MKV_NATIVE_PING, 7, 0);
    struct frame frame = client_frame(world, &client);
    assert_int_equal(frame.header.op, MKV_NATIVE_STATS);
    assert_string_equal((const char *)frame.body, "{\"answer\":42}");
    world_frame_free(&frame);
    expect_answer(world, &client, MKV_NATIVE_PING, 9, 0);
    assert_int_equal(world->request_count, 0);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__payloads_of_all_sizes__arrive_whole_in_both_directions(void **state) {
    (void)state;
    static const uint32_t lengths[] = {
        1,
        4096,
        65535,
        65536,
        65537,
        1024 * 1024,
        1024 * 1024 + 1,
        3 * 1024 * 1024 + 17,
        17 * 1024 * 1024 - 3,
        MKV_BLOCK_BYTES_MAX,
    };
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        put_and_get(world, &client, 100 + i, lengths[i]);
        bytes += lengths[i];
    }
    assert_int_equal(world_counters(world)->received_bytes_total, bytes);
    assert_int_equal(world_counters(world)->sent_bytes_total, bytes);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__one_byte_at_a_time__is_understood(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    uint8_t bytes[4096];
    size_t size = frame_hello(bytes);
    size += frame_request(bytes + size, MKV_NATIVE_PUT, 1, 2, 100, true);
    size += frame_request(bytes + size, MKV_NATIVE_PUT, 2, 1, 300, false);
    for (size_t i = 0; i < size; i++) {
        client_send(world, &client, bytes + i, 1);
    }
    struct frame hello = client_frame(world, &client);
    world_frame_free(&hello);
    expect_answer(world, &client, MKV_NATIVE_PUT, 1, 2);
    expect_ready(world, &client, 2, 0, 300);
    size = frame_data(bytes, 2, 0, 0, 300);
    world_pattern_fill(2, 0, bytes + size, 300);
    size += 300;
    size += frame_simple(bytes + size, MKV_NATIVE_PING, 3);
    for (size_t i = 0; i < size; i++) {
        client_send(world, &client, bytes + i, 1);
    }
    expect_answer(world, &client, MKV_NATIVE_PUT, 2, 1);
    expect_answer(world, &client, MKV_NATIVE_PING, 3, 0);
    assert_int_equal(world->requests[0].hashes[1], pattern_hash(1, 1, 100));
    assert_int_equal(world->requests[1].hashes[0], pattern_hash(2, 0, 300));
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__many_frames_in_one_segment__are_all_answered(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    uint8_t bytes[16384];
    size_t size = frame_hello(bytes);
    for (uint32_t i = 0; i < 40; i++) {
        const enum mkv_native_op op = i % 3 == 0   ? MKV_NATIVE_LOOKUP
                                      : i % 3 == 1 ? MKV_NATIVE_EXISTS
                                                   : MKV_NATIVE_DELETE;
        size += frame_request(bytes + size, op, i, 1 + i % 3, 0, false);
    }
    assert_true(size <= sizeof bytes);
    client_send(world, &client, bytes, size);
    struct frame hello = client_frame(world, &client);
    world_frame_free(&hello);
    for (uint32_t i = 0; i < 40; i++) {
        const enum mkv_native_op op = i % 3 == 0   ? MKV_NATIVE_LOOKUP
                                      : i % 3 == 1 ? MKV_NATIVE_EXISTS
                                                   : MKV_NATIVE_DELETE;
        expect_answer(world, &client, op, i, i % 3 == 0 ? 1 : 1 + i % 3);
    }
    assert_memory_equal(world->requests[0].keys, "k0-0", 4);
    assert_int_equal(world->requests[1].items[1].key_offset, 4);
    assert_memory_equal(world->requests[1].keys, "k1-0k1-1", 8);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__as_many_requests_as_allowed__are_in_flight_at_once(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    world->hold_answers = true;
    uint8_t bytes[512];
    for (uint32_t i = 0; i < 64; i++) {
        client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, i, 1, 0, false));
    }
    world_await(world, WORLD_REQUEST, 64);
    for (uint32_t i = 0; i < 64; i++) {
        world_answer(world, 63 - i);
    }
    for (uint32_t i = 0; i < 64; i++) {
        expect_answer(world, &client, MKV_NATIVE_EXISTS, 63 - i, 1);
    }
    world_await(world, WORLD_ANSWER_OK, 64);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__pulls_in_any_order__are_taken_in_the_order_of_ready(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    world->pull_backwards = true;
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_PUT, 5, 4, 200000, false));
    for (uint32_t i = 0; i < 4; i++) {
        expect_ready(world, &client, 5, 3 - i, 200000);
    }
    for (uint32_t i = 0; i < 4; i++) {
        client_send_data(world, &client, 5, 3 - i, 200000);
    }
    expect_answer(world, &client, MKV_NATIVE_PUT, 5, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(world->requests[0].hashes[i], pattern_hash(5, i, 200000));
    }
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__requests_between_payloads__keep_the_stream_in_step(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t bytes[1024];
    for (uint32_t i = 0; i < 8; i++) {
        client_send(world, &client, bytes,
                    frame_request(bytes, MKV_NATIVE_PUT, i, 1, 90000 + i, false));
    }
    for (uint32_t i = 0; i < 8; i++) {
        expect_ready(world, &client, i, 0, 90000 + i);
    }
    for (uint32_t i = 0; i < 8; i++) {
        client_send_data(world, &client, i, 0, 90000 + i);
        client_send(world, &client, bytes,
                    frame_request(bytes, MKV_NATIVE_GET, 100 + i, 1, 70000, false));
    }
    for (uint32_t i = 0; i < 8; i++) {
        expect_answer(world, &client, MKV_NATIVE_PUT, i, 1);
        expect_data(world, &client, 100 + i, 0, 70000);
        expect_answer(world, &client, MKV_NATIVE_GET, 100 + i, 1);
    }
    client_close(&client);
    world_destroy(world);
}

/* ---- inline payloads and large bodies ------------------------------------------------------- */

static void test_fabric_tcp__inline_put__pulls_each_item_from_the_frame(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    world->pull_backwards = true;
    uint8_t *bytes = malloc(80000);
    assert_non_null(bytes);
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_PUT, 3, 5, 65536 / 5, true));
    expect_answer(world, &client, MKV_NATIVE_PUT, 3, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(world->requests[0].hashes[i], pattern_hash(3, i, 65536 / 5));
    }
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_PUT, 4, 2, 0, true));
    expect_answer(world, &client, MKV_NATIVE_PUT, 4, 2);
    free(bytes);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__inline_pool_empty__clients_wait_and_go_on(void **state) {
    (void)state;
    const struct world_options options = {.inline_buffers = 2};
    struct world *world = world_create(&options);
    struct client clients[2] = {world_greeted(world), world_greeted(world)};
    world->hold_answers = true;
    uint8_t bytes[2048];
    for (uint32_t i = 0; i < 6; i++) {
        client_send(world, &clients[i % 2], bytes,
                    frame_request(bytes, MKV_NATIVE_PUT, i, 1, 1000, true));
    }
    for (uint32_t i = 0; i < 50; i++) {
        world_turn(world);
    }
    assert_int_equal(world->request_count, 2);
    assert_true(world_counters(world)->receive_pauses_total > 0);
    for (uint32_t i = 0; i < 6; i++) {
        world_await(world, WORLD_REQUEST, i + 1);
        world_answer(world, i);
    }
    world_await(world, WORLD_ANSWER_OK, 6);
    world_await(world, WORLD_PULL_OK, 6);
    client_close(&clients[0]);
    client_close(&clients[1]);
    world_destroy(world);
}

/* A LOOKUP of 256 keys of 1 KiB: 268 KiB of body. */
static size_t frame_large_lookup(uint8_t *bytes, uint64_t request_id) {
    uint8_t *body = bytes + MKV_NATIVE_HEADER_BYTES;
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_LOOKUP,
        .request_id = request_id,
        .item_count = MKV_NATIVE_ITEMS_MAX,
        .body_bytes = MKV_NATIVE_BODY_BYTES_MAX,
    };
    mkv_native_header_encode(&header, bytes);
    const struct mkv_native_item item = {.key_bytes = MKV_KEY_BYTES_MAX};
    for (uint32_t i = 0; i < MKV_NATIVE_ITEMS_MAX; i++) {
        mkv_native_item_encode(&item, body + i * MKV_NATIVE_ITEM_BYTES);
    }
    memset(body + MKV_NATIVE_ITEMS_MAX * MKV_NATIVE_ITEM_BYTES, 'k',
           MKV_NATIVE_ITEMS_MAX * MKV_KEY_BYTES_MAX);
    return MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_BODY_BYTES_MAX;
}

static void test_fabric_tcp__large_bodies__share_the_pool(void **state) {
    (void)state;
    const struct world_options options = {.body_buffers = 1};
    struct world *world = world_create(&options);
    struct client clients[2] = {world_greeted(world), world_greeted(world)};
    uint8_t *bytes = malloc(MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_BODY_BYTES_MAX);
    assert_non_null(bytes);
    const size_t size = frame_large_lookup(bytes, 1);
    /* The first holds the buffer in the middle of its body; the second has to wait for it. */
    client_send(world, &clients[0], bytes, size - 1);
    client_send(world, &clients[1], bytes, 100);
    for (uint32_t i = 0; i < 50; i++) {
        world_turn(world);
    }
    assert_int_equal(world->request_count, 0);
    assert_int_equal(world_counters(world)->receive_pauses_total, 1);
    client_send(world, &clients[0], bytes + size - 1, 1);
    expect_answer(world, &clients[0], MKV_NATIVE_LOOKUP, 1, 1);
    client_send(world, &clients[1], bytes + 100, size - 100);
    expect_answer(world, &clients[1], MKV_NATIVE_LOOKUP, 1, 1);
    assert_int_equal(world->requests[0].request.item_count, MKV_NATIVE_ITEMS_MAX);
    assert_int_equal(world->requests[0].keys_bytes, MKV_NATIVE_ITEMS_MAX * MKV_KEY_BYTES_MAX);
    /* STATS takes a buffer of the same pool and gives it back. */
    client_send(world, &clients[0], bytes, frame_simple(bytes, MKV_NATIVE_STATS, 2));
    struct frame stats = client_frame(world, &clients[0]);
    assert_int_equal(stats.header.body_bytes, strlen("{\"answer\":42}"));
    world_frame_free(&stats);
    free(bytes);
    client_close(&clients[0]);
    client_close(&clients[1]);
    world_destroy(world);
}

/* ---- how connections end -------------------------------------------------------------------- */

static void test_fabric_tcp__half_closed_client__gets_its_answers_and_then_the_end(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    world->hold_answers = true;
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false));
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 2, 1, 0, false));
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    world_await(world, WORLD_REQUEST, 2);
    for (uint32_t i = 0; i < 20; i++) {
        world_turn(world);
    }
    world_answer(world, 0);
    world_answer(world, 1);
    expect_answer(world, &client, MKV_NATIVE_EXISTS, 1, 1);
    expect_answer(world, &client, MKV_NATIVE_EXISTS, 2, 1);
    client_await_end(world, &client);
    world_await(world, WORLD_CLOSED, 1);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__half_closed_within_a_frame__is_broken(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t bytes[512];
    const size_t size = frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false);
    client_send(world, &client, bytes, size - 1);
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    client_await_end(world, &client);
    assert_int_equal(world->request_count, 0);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__half_closed_before_its_data__fails_the_pull(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    world->hold_pulls = true;
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 5000, false));
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    world_await(world, WORLD_REQUEST, 1);
    for (uint32_t i = 0; i < 20; i++) {
        world_turn(world);
    }
    world_pull(world, 0);
    world_await(world, WORLD_PULL_FAILED, 1);
    world_await(world, WORLD_CLOSED, 1);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__reset_within_data__fails_the_pull_before_closed(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t bytes[512];
    client_send(world, &client, bytes,
                frame_request(bytes, MKV_NATIVE_PUT, 1, 3, 4 * 1024 * 1024, false));
    for (uint32_t i = 0; i < 3; i++) {
        expect_ready(world, &client, 1, i, 4 * 1024 * 1024);
    }
    client_send_data(world, &client, 1, 0, 4 * 1024 * 1024);
    world_await(world, WORLD_PULL_OK, 1);
    uint8_t *payload = calloc(1, 1024 * 1024);
    assert_non_null(payload);
    client_send(world, &client, bytes, frame_data(bytes, 1, 1, 0, 4 * 1024 * 1024));
    client_send(world, &client, payload, 1024 * 1024);
    free(payload);
    client_reset(&client);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PULL_FAILED), 2);
    assert_int_equal(world_count(world, WORLD_ANSWER_FAILED), 1);
    assert_int_equal(world->log[world->log_count - 1].event, WORLD_CLOSED);
    assert_int_equal(world_counters(world)->connections_broken_total, 1);
    assert_int_equal(world_counters(world)->connections_active, 0);
    world_destroy(world);
}

static void test_fabric_tcp__break__fails_what_is_posted_and_closes(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 100000, false));
    expect_ready(world, &client, 1, 0, 100000);
    world_break(world, world->requests[0].request.connection);
    assert_int_equal(world_count(world, WORLD_PULL_FAILED), 0); /* never within submit */
    client_await_end(world, &client);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PULL_FAILED), 1);
    /* What comes for a connection that is no more fails too, and a second BREAK does nothing. */
    world_break(world, world->requests[0].request.connection);
    world_answer(world, 0);
    world_await(world, WORLD_ANSWER_FAILED, 2);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__client_that_does_not_read__is_not_read_from(void **state) {
    (void)state;
    const struct world_options options = {.requests_max = 8};
    struct world *world = world_create(&options);
    struct client client = world_greeted(world);
    uint8_t bytes[512];
    uint32_t sent = 0;
    /* Each answer has a payload of 1 MiB, so the socket is full after a few. */
    for (; sent < 100; sent++) {
        const size_t size = frame_request(bytes, MKV_NATIVE_GET, sent, 1, 1024 * 1024, false);
        assert_int_equal(send(client.fd, bytes, size, MSG_NOSIGNAL), size);
        for (uint32_t i = 0; i < 3; i++) {
            world_turn(world);
        }
    }
    const uint32_t taken = world->request_count;
    assert_true(taken < 40);
    assert_true(taken - world_count(world, WORLD_ANSWER_OK) <= 8);
    for (uint32_t i = 0; i < 20; i++) {
        world_turn(world);
    }
    assert_int_equal(world->request_count, taken);
    for (uint32_t i = 0; i < sent; i++) {
        expect_data(world, &client, i, 0, 1024 * 1024);
        expect_answer(world, &client, MKV_NATIVE_GET, i, 1);
    }
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__client_that_never_reads__is_broken_in_time(void **state) {
    (void)state;
    const struct world_options options = {.counts_time = true, .stall_ns = 30 * SECOND_NS};
    struct world *world = world_create(&options);
    struct client client = world_greeted(world);
    uint8_t bytes[512];
    client_send(world, &client, bytes,
                frame_request(bytes, MKV_NATIVE_GET, 1, 2, 24 * 1024 * 1024, false));
    for (uint32_t i = 0; i < 100; i++) {
        world_turn(world); /* it gets as far as the sockets have room */
    }
    world_pass(world, 28 * SECOND_NS);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 0);
    world_pass(world, 2 * SECOND_NS);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PUSH_FAILED) + world_count(world, WORLD_PUSH_OK), 2);
    assert_int_equal(world_count(world, WORLD_ANSWER_FAILED), 1);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 1);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__client_that_stops_within_a_frame__is_broken_in_time(void **state) {
    (void)state;
    const struct world_options options = {
        .counts_time = true, .stall_ns = 30 * SECOND_NS, .inline_buffers = 1};
    struct world *world = world_create(&options);
    struct client stalled = world_greeted(world);
    struct client other = world_greeted(world);
    uint8_t bytes[2048];
    const size_t size = frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 1000, true);
    client_send(world, &stalled, bytes, size - 10);
    /* It holds the one inline buffer, which comes back when it is broken. */
    client_send(world, &other, bytes, size);
    world_pass(world, 29 * SECOND_NS);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 0);
    world_pass(world, SECOND_NS);
    expect_answer(world, &other, MKV_NATIVE_PUT, 1, 1);
    client_await_end(world, &stalled);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 1);
    client_close(&stalled);
    client_close(&other);
    world_destroy(world);
}

static void test_fabric_tcp__silent_connection__is_closed_in_time(void **state) {
    (void)state;
    const struct world_options options = {.counts_time = true, .hello_ns = 10 * SECOND_NS};
    struct world *world = world_create(&options);
    struct client silent = world_connect(world);
    struct client idle = world_greeted(world);
    world_pass(world, 9 * SECOND_NS);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_SILENT], 0);
    world_pass(world, SECOND_NS);
    client_await_end(world, &silent);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_SILENT], 1);
    assert_int_equal(world_count(world, WORLD_CLOSED), 0); /* the front never heard of it */
    put_and_get(world, &idle, 1, 10);
    client_close(&silent);
    client_close(&idle);
    world_destroy(world);
}

static void test_fabric_tcp__places__are_used_again_with_another_generation(void **state) {
    (void)state;
    const struct world_options options = {.connections_max = 2};
    struct world *world = world_create(&options);
    for (uint32_t i = 0; i < 40; i++) {
        struct client client = world_greeted(world);
        put_and_get(world, &client, i, 3000);
        if (i % 2 == 0) {
            client_close(&client);
        } else {
            client_reset(&client);
        }
        world_await(world, WORLD_CLOSED, i + 1);
    }
    for (uint32_t i = 1; i < world->request_count; i++) {
        const struct mkv_connection_id before = world->requests[i - 1].request.connection;
        const struct mkv_connection_id id = world->requests[i].request.connection;
        assert_in_range(id.index, WORLD_CONNECTION_BASE, WORLD_CONNECTION_BASE + 1);
        assert_true(id.generation >= before.generation);
        if (i % 2 == 0) {
            assert_int_equal(id.generation, before.generation + 1);
        }
    }
    assert_int_equal(world_counters(world)->connections_accepted_total, 40);
    world_destroy(world);
}

static void test_fabric_tcp__more_connections_than_places__are_told_so(void **state) {
    (void)state;
    const struct world_options options = {.connections_max = 2};
    struct world *world = world_create(&options);
    struct client first = world_greeted(world);
    struct client second = world_greeted(world);
    struct client third = world_connect(world);
    struct frame frame = client_frame(world, &third);
    assert_int_equal(frame.header.op, MKV_NATIVE_HELLO);
    assert_int_equal(frame.header.status, MKV_STATUS_BUSY);
    world_frame_free(&frame);
    client_await_end(world, &third);
    assert_int_equal(world_counters(world)->connections_rejected_total, 1);
    client_close(&third);
    client_close(&first);
    while (world_counters(world)->connections_active == 2) {
        world_turn(world);
    }
    struct client fourth = world_greeted(world);
    put_and_get(world, &fourth, 1, 100);
    client_close(&second);
    client_close(&fourth);
    world_destroy(world);
}

static void test_fabric_tcp__refused_request__gets_status_and_text(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    world->refuse = MKV_STATUS_BUSY;
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_PUT, 9, 1, 10, true));
    struct frame frame = client_frame(world, &client);
    assert_int_equal(frame.header.op, MKV_NATIVE_PUT);
    assert_int_equal(frame.header.status, MKV_STATUS_BUSY);
    assert_int_equal(frame.header.request_id, 9);
    assert_int_equal(frame.header.item_count, 0);
    assert_memory_equal(frame.body, "busy: ", 6);
    world_frame_free(&frame);
    world->refuse = MKV_STATUS_OK;
    put_and_get(world, &client, 9, 10);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp__drain__finishes_what_began_and_refuses_the_rest(void **state) {
    (void)state;
    const struct world_options options = {.counts_time = true, .close_ns = 20 * SECOND_NS};
    struct world *world = world_create(&options);
    struct client busy = world_greeted(world);
    struct client idle = world_greeted(world);
    uint8_t bytes[512];
    client_send(world, &busy, bytes, frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 100000, false));
    expect_ready(world, &busy, 1, 0, 100000);
    mkv_fabric_tcp_drain(world->fabric);
    client_await_end(world, &idle);
    client_send(world, &busy, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 2, 1, 0, false));
    struct frame frame = client_frame(world, &busy);
    assert_int_equal(frame.header.request_id, 2);
    assert_int_equal(frame.header.status, MKV_STATUS_UNAVAILABLE);
    world_frame_free(&frame);
    client_send_data(world, &busy, 1, 0, 100000);
    expect_answer(world, &busy, MKV_NATIVE_PUT, 1, 1);
    client_await_end(world, &busy);
    client_close(&busy);
    /* `idle` never closes its side; it is not waited for longer than close_ns. */
    assert_false(mkv_fabric_tcp_is_idle(world->fabric));
    world_pass(world, 20 * SECOND_NS);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (!mkv_fabric_tcp_is_idle(world->fabric)) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    client_close(&idle);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_tcp__hello__is_answered_with_limits),
        cmocka_unit_test(test_fabric_tcp__ping_and_stats__are_answered_without_the_front),
        cmocka_unit_test(test_fabric_tcp__payloads_of_all_sizes__arrive_whole_in_both_directions),
        cmocka_unit_test(test_fabric_tcp__one_byte_at_a_time__is_understood),
        cmocka_unit_test(test_fabric_tcp__many_frames_in_one_segment__are_all_answered),
        cmocka_unit_test(test_fabric_tcp__as_many_requests_as_allowed__are_in_flight_at_once),
        cmocka_unit_test(test_fabric_tcp__pulls_in_any_order__are_taken_in_the_order_of_ready),
        cmocka_unit_test(test_fabric_tcp__requests_between_payloads__keep_the_stream_in_step),
        cmocka_unit_test(test_fabric_tcp__inline_put__pulls_each_item_from_the_frame),
        cmocka_unit_test(test_fabric_tcp__inline_pool_empty__clients_wait_and_go_on),
        cmocka_unit_test(test_fabric_tcp__large_bodies__share_the_pool),
        cmocka_unit_test(test_fabric_tcp__half_closed_client__gets_its_answers_and_then_the_end),
        cmocka_unit_test(test_fabric_tcp__half_closed_within_a_frame__is_broken),
        cmocka_unit_test(test_fabric_tcp__half_closed_before_its_data__fails_the_pull),
        cmocka_unit_test(test_fabric_tcp__reset_within_data__fails_the_pull_before_closed),
        cmocka_unit_test(test_fabric_tcp__break__fails_what_is_posted_and_closes),
        cmocka_unit_test(test_fabric_tcp__client_that_does_not_read__is_not_read_from),
        cmocka_unit_test(test_fabric_tcp__client_that_never_reads__is_broken_in_time),
        cmocka_unit_test(test_fabric_tcp__client_that_stops_within_a_frame__is_broken_in_time),
        cmocka_unit_test(test_fabric_tcp__silent_connection__is_closed_in_time),
        cmocka_unit_test(test_fabric_tcp__places__are_used_again_with_another_generation),
        cmocka_unit_test(test_fabric_tcp__more_connections_than_places__are_told_so),
        cmocka_unit_test(test_fabric_tcp__refused_request__gets_status_and_text),
        cmocka_unit_test(test_fabric_tcp__drain__finishes_what_began_and_refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
