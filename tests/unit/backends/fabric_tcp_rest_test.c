/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that nobody uses hold no memory, and go on as if they had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "backends/clock.h"
#include "backends/fabric_tcp_internal.h"
#include "tests/unit/backends/fabric_world.h"

#define PAGES_MAX 64u
#define CLIENTS 12u

static const struct world_options brief = {.rest_ns = 1000000};

/* Pages of the connection at `place` that take memory. */
static uint32_t resident_pages(const struct world *world, uint32_t place) {
    const struct mkv_fabric_tcp *fabric = world->fabric;
    const size_t pages = fabric->connection_bytes / MKV_UNIT_BYTES;
    unsigned char states[PAGES_MAX];
    assert_true(pages <= PAGES_MAX);
    assert_int_equal(mincore(fabric->memory + place * fabric->connection_bytes,
                             fabric->connection_bytes, states),
                     0);
    uint32_t count = 0;
    for (size_t i = 0; i < pages; i++) {
        count += states[i] & 1u;
    }
    return count;
}

static void await_rest(struct world *world, uint32_t place) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (world->fabric->quiet[place] == 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
}

static void exchange(struct world *world, struct client *client, uint64_t request_id) {
    uint8_t bytes[512];
    client_send(world, client, bytes,
                frame_request(bytes, MKV_NATIVE_GET, request_id, 1, 100000, false));
    struct frame data = client_frame(world, client);
    assert_int_equal(data.header.op, MKV_NATIVE_DATA);
    assert_int_equal(data.header.payload_bytes, 100000);
    world_frame_free(&data);
    struct frame answer = client_frame(world, client);
    assert_int_equal(answer.header.op, MKV_NATIVE_GET);
    assert_int_equal(answer.header.request_id, request_id);
    world_frame_free(&answer);
}

static void test_fabric_tcp_rest__idle_connection__holds_no_page(void **state) {
    (void)state;
    struct world *world = world_create(&brief);
    struct client clients[CLIENTS];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        clients[i] = world_greeted(world);
        exchange(world, &clients[i], 1);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        await_rest(world, i);
        assert_int_equal(resident_pages(world, i), 0);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        exchange(world, &clients[i], 2);
        client_close(&clients[i]);
    }
    world_destroy(world);
}

static void test_fabric_tcp_rest__many_rests__lose_no_frame(void **state) {
    (void)state;
    struct world *world = world_create(&brief);
    struct client client = world_greeted(world);
    uint8_t bytes[512];
    const size_t size = frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 70000, false);
    await_rest(world, 0);
    /* A frame in pieces, with what is another connection's pause between them. */
    client_send(world, &client, bytes, 10);
    for (uint32_t i = 0; i < 250; i++) {
        world_turn(world);
    }
    assert_int_equal(world->fabric->quiet[0], 0);
    client_send(world, &client, bytes + 10, size - 10);
    struct frame ready = client_frame(world, &client);
    assert_int_equal(ready.header.op, MKV_NATIVE_READY);
    world_frame_free(&ready);
    for (uint32_t i = 0; i < 250; i++) {
        world_turn(world);
    }
    assert_int_equal(world->fabric->quiet[0], 0); /* a payload is to come */
    client_send_data(world, &client, 1, 0, 70000);
    struct frame answer = client_frame(world, &client);
    assert_int_equal(answer.header.op, MKV_NATIVE_PUT);
    world_frame_free(&answer);
    for (uint32_t i = 2; i < 6; i++) {
        await_rest(world, 0);
        exchange(world, &client, i);
    }
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_rest__answer_outstanding__stays_awake(void **state) {
    (void)state;
    struct world *world = world_create(&brief);
    world->hold_answers = true;
    struct client client = world_greeted(world);
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false));
    world_await(world, WORLD_REQUEST, 1);
    for (uint32_t i = 0; i < 250; i++) {
        world_turn(world);
    }
    assert_int_equal(world->fabric->quiet[0], 0);
    assert_true(resident_pages(world, 0) > 0);
    world_answer(world, 0);
    struct frame answer = client_frame(world, &client);
    assert_int_equal(answer.header.request_id, 1);
    world_frame_free(&answer);
    await_rest(world, 0);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_rest__closed_or_reset_while_resting__ends(void **state) {
    (void)state;
    struct world *world = world_create(&brief);
    for (uint32_t turn = 0; turn < 3; turn++) {
        struct client client = world_greeted(world);
        exchange(world, &client, 1);
        await_rest(world, 0);
        if (turn == 0) {
            client_close(&client);
        } else if (turn == 1) {
            client_reset(&client);
        } else {
            assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
            client_await_end(world, &client);
            client_close(&client);
        }
        world_await(world, WORLD_CLOSED, turn + 1);
        await_rest(world, 0); /* as a free place */
        assert_int_equal(resident_pages(world, 0), 0);
    }
    world_destroy(world);
}

static void test_fabric_tcp_rest__drained_while_resting__is_closed(void **state) {
    (void)state;
    struct world *world = world_create(&brief);
    struct client client = world_greeted(world);
    exchange(world, &client, 1);
    await_rest(world, 0);
    mkv_fabric_tcp_drain(world->fabric);
    client_await_end(world, &client);
    client_close(&client);
    world_await(world, WORLD_CLOSED, 1);
    world_destroy(world);
}

static void test_fabric_tcp_rest__never_greeted__is_still_broken_in_time(void **state) {
    (void)state;
    const uint64_t second_ns = 1000000000;
    const struct world_options options = {
        .counts_time = true, .rest_ns = second_ns, .hello_ns = 10 * second_ns};
    struct world *world = world_create(&options);
    struct client client = world_connect(world);
    world_pass(world, second_ns);
    world_pass(world, 8 * second_ns);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_SILENT], 0);
    world_pass(world, second_ns);
    client_await_end(world, &client);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_SILENT], 1);
    client_close(&client);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_tcp_rest__idle_connection__holds_no_page),
        cmocka_unit_test(test_fabric_tcp_rest__many_rests__lose_no_frame),
        cmocka_unit_test(test_fabric_tcp_rest__answer_outstanding__stays_awake),
        cmocka_unit_test(test_fabric_tcp_rest__closed_or_reset_while_resting__ends),
        cmocka_unit_test(test_fabric_tcp_rest__drained_while_resting__is_closed),
        cmocka_unit_test(test_fabric_tcp_rest__never_greeted__is_still_broken_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
