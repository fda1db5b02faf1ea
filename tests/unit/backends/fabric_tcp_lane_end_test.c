/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes that end: in every way, at every point. The world checks that no slab is given back while
 * a READ or WRITE names it, and that nothing is left over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>

#include "backends/clock.h"
#include "backends/fabric_tcp_internal.h"
#include "tests/unit/backends/lane_client.h"

#define TURNS 40u

#define SECOND_NS 1000000000ull
#define STALL_NS (30u * SECOND_NS)
#define CLOSE_NS (20u * SECOND_NS)

static const struct world_options timed = {
    .lanes = true, .counts_time = true, .stall_ns = STALL_NS, .close_ns = CLOSE_NS};

static int set_up(void **state) {
    (void)state;
    fake_rdma_reset();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    assert_int_equal(fake_rdma_endpoints(), 0);
    assert_int_equal(fake_rdma_ports(), 0);
    return 0;
}

static const struct mkv_fabric_lane_counters *counters_of(const struct world *world) {
    return mkv_fabric_tcp_lane_counters(world->fabric);
}

static struct mkv_endpoint *server_end(const struct lane_client *lane) {
    return fake_rdma_peer(lane->endpoint);
}

static void turns(struct world *world, struct lane_client *lane, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        lane_turn(world, lane);
    }
}

/* It goes on until the time is over, and not behind it. */
static void expect_stalled(struct world *world, struct lane_client *lane) {
    turns(world, lane, TURNS);
    world_pass(world, STALL_NS - SECOND_NS);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 0);
    world_pass(world, SECOND_NS);
    lane_await(world, lane, &lane->is_broken);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 1);
}

static void send_request(struct world *world, struct lane_client *lane, enum mkv_native_op op,
                         uint64_t request_id, uint64_t length) {
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_send(world, lane, bytes, lane_request(lane, bytes, op, request_id, 1, length, 0));
}

/* ---- under transfers ------------------------------------------------------------------------- */

static void test_lane_end__broken_under_reads__fails_them_when_drained(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    fake_rdma.hold_reads = true;
    fake_rdma.hold_drain = true;
    send_request(world, &lane, MKV_NATIVE_PUT, 1, 3 * MKV_MIB);
    send_request(world, &lane, MKV_NATIVE_PUT, 2, MKV_MIB);
    turns(world, &lane, 10);
    assert_int_equal(fake_rdma_posted(), 4);
    fake_rdma_break(server_end(&lane), MKV_LANE_REASON_RETRY_EXCEEDED);
    turns(world, &lane, 50);
    /* The queue pair is not drained: what is read into is nobody else's yet. */
    assert_int_equal(world_count(world, WORLD_PULL_FAILED), 0);
    assert_int_equal(world_count(world, WORLD_CLOSED), 0);
    client_await_end(world, &lane.client); /* but its socket has ended */
    fake_rdma.hold_drain = false;
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PULL_FAILED), 2);
    assert_int_equal(counters_of(world)->failures_total[MKV_LANE_REASON_RETRY_EXCEEDED], 1);
    assert_true(counters_of(world)->errors_total > 0);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_LANE_BROKEN], 1);
    assert_non_null(strstr(world->lane_text, "127.0.0.1:"));
    assert_non_null(strstr(world->lane_text, "(lanes)"));
    assert_non_null(strstr(world->lane_text, "retry_exceeded"));
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__broken_under_writes__fails_them_when_drained(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    fake_rdma.hold_writes = true;
    fake_rdma.hold_drain = true;
    send_request(world, &lane, MKV_NATIVE_GET, 1, 3 * MKV_MIB);
    world_await(world, WORLD_ANSWER_OK, 1);
    client_close(&lane.client);
    turns(world, &lane, 50);
    assert_int_equal(world_count(world, WORLD_PUSH_FAILED), 0);
    fake_rdma.hold_drain = false;
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PUSH_FAILED), 1);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__front_breaks_it__reads_end_before_their_slabs(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    fake_rdma.hold_reads = true;
    fake_rdma.hold_drain = true;
    send_request(world, &lane, MKV_NATIVE_PUT, 1, 2 * MKV_MIB);
    turns(world, &lane, 10);
    world_break(world, world->log[0].connection);
    turns(world, &lane, 50);
    assert_int_equal(world_count(world, WORLD_PULL_FAILED), 0);
    fake_rdma.hold_drain = false;
    world_await(world, WORLD_CLOSED, 1);
    assert_true(lane.is_broken);
    assert_int_equal(lane.reason, MKV_LANE_REASON_PEER);
    /* Whom the server broke has not failed by itself. */
    assert_int_equal(world->lane_events[MKV_LANE_PORT_LANE_BROKEN], 0);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__memory_that_is_not_the_clients__breaks_that_lane_alone(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    struct lane_client other;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    lane_open(world, &other);
    static const enum mkv_native_op ops[] = {MKV_NATIVE_PUT, MKV_NATIVE_GET};
    for (uint32_t i = 0; i < 2; i++) {
        /* Its last byte is behind what was registered. */
        lane_send(world, &lane, bytes,
                  lane_request(&lane, bytes, ops[i], 1, 1, 1000, LANE_MEMORY_BYTES - 999));
        lane_await(world, &lane, &lane.is_broken);
        client_await_end(world, &lane.client);
        assert_int_equal(counters_of(world)->failures_total[MKV_LANE_REASON_REMOTE_ERROR], i + 1);
        lane_close(world, &lane);
        lane_open(world, &lane);
    }
    send_request(world, &other, MKV_NATIVE_PUT, 7, MKV_MIB);
    lane_expect(world, &other, MKV_NATIVE_PUT, 7);
    lane_close(world, &other);
    lane_close(world, &lane);
    world_destroy(world);
}

/* ---- at every point -------------------------------------------------------------------------- */

enum ending {
    END_BROKEN = 0, /* the server's queue pair fails */
    END_PEER,       /* the client's */
    END_CLOSED,     /* the client closes its socket */
    END_RESET,
    END_BREAK, /* the front gives up */
    END_DEVICE,
    END_COUNT
};

static void end_it(struct world *world, struct lane_client *lane, enum ending ending) {
    switch (ending) {
    case END_BROKEN:
        if (server_end(lane) != NULL) {
            fake_rdma_break(server_end(lane), MKV_LANE_REASON_RNR_EXCEEDED);
        }
        break;
    case END_PEER:
        fake_rdma_break(lane->endpoint, MKV_LANE_REASON_RETRY_EXCEEDED);
        break;
    case END_CLOSED:
        client_close(&lane->client);
        break;
    case END_RESET:
        client_reset(&lane->client);
        break;
    case END_BREAK:
        if (world->log_count > 0) {
            world_break(world, world->log[0].connection);
        } else {
            client_close(&lane->client);
        }
        break;
    case END_DEVICE:
        fake_rdma.devices[0].state = MKV_VERBS_GONE;
        break;
    case END_COUNT:
        break;
    }
}

/* A packet that the device had in hand lands in no way round that is another connection's. */
static void test_lane_end__broken_under_reads_by_the_way_round__another_waits_for_it(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .foreign = true};
    struct world *world = world_create(&options);
    struct lane_client broken;
    struct lane_client other;
    const uint64_t length = MKV_LANE_ROUNDS * MKV_LANE_PIECE_BYTES;
    lane_open(world, &broken);
    lane_open(world, &other);
    fake_rdma.hold_reads = true;
    send_request(world, &broken, MKV_NATIVE_PUT, 1, length);
    turns(world, &broken, 10);
    assert_int_equal(fake_rdma_posted(), MKV_LANE_ROUNDS);
    send_request(world, &other, MKV_NATIVE_GET, 2, length);
    turns(world, &other, 10);
    assert_int_equal(fake_rdma_posted(), MKV_LANE_ROUNDS);
    fake_rdma.hold_writes = true;
    fake_rdma_break(server_end(&broken), MKV_LANE_REASON_SILENT);
    turns(world, &broken, 10);
    assert_int_equal(fake_rdma_posted(), MKV_LANE_ROUNDS);
    fake_rdma.hold_writes = false;
    lane_expect(world, &other, MKV_NATIVE_DATA, 2);
    lane_expect(world, &other, MKV_NATIVE_GET, 2);
    world_await(world, WORLD_PUSH_OK, 1); /* the fake has looked at what it wrote */
    lane_close(world, &broken);
    lane_close(world, &other);
    world_destroy(world);
}

/* A client that puts and gets, in pieces and in the stream, and whose lane ends after so many
 * rounds; what is posted then is held for a while, or not. */
static void run_until(enum ending ending, uint32_t turn_count, bool is_held) {
    uint8_t bytes[LANE_FRAME_BYTES];
    uint64_t features;
    fake_rdma_reset();
    const struct world_options options = {.lanes = true, .arena_bytes = 35 * MKV_MIB};
    struct world *world = world_create(&options);
    struct lane_client lane;
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    client_send(world, &client, bytes, lane_prepare(&lane, client, 0, bytes));
    if (turn_count == 0) {
        end_it(world, &lane, ending); /* its CONNECT may not be answered yet */
        turns(world, &lane, 2);
        if (lane.client.fd >= 0) {
            client_close(&lane.client); /* there may be no lane whose end it would be */
        }
    } else {
        lane_finish(world, &lane);
        fake_rdma.hold_reads = is_held;
        fake_rdma.hold_writes = is_held;
        fake_rdma.stream_room = 8192;
        uint8_t frames[4096];
        size_t size = 0;
        size += lane_request(&lane, frames + size, MKV_NATIVE_PUT, 1, 2, 1500000, 0);
        size += lane_request(&lane, frames + size, MKV_NATIVE_GET, 2, 2, 1500000, 0);
        size += frame_request(frames + size, MKV_NATIVE_GET, 3, 1, 100000, false);
        size += frame_request(frames + size, MKV_NATIVE_PUT, 4, 1, 100000, false);
        const struct iovec iovec = {frames, size};
        assert_int_equal(mkv_endpoint_send(lane.endpoint, &iovec, 1, 0), size);
        for (uint32_t i = 0; i < turn_count; i++) {
            (void)mkv_endpoint_receive(lane.endpoint, bytes, sizeof bytes, 0);
            lane_turn(world, &lane);
        }
        fake_rdma.hold_drain = is_held;
        end_it(world, &lane, ending);
        turns(world, &lane, is_held ? 20 : 1);
        fake_rdma.hold_drain = false;
    }
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (world_counters(world)->connections_active > 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        lane_turn(world, &lane);
    }
    assert_int_equal(counters_of(world)->connections_active, 0);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__every_way_at_every_point__leaves_nothing(void **state) {
    (void)state;
    for (uint32_t ending = 0; ending < END_COUNT; ending++) {
        for (uint32_t turn = 0; turn < TURNS; turn += 1 + turn / 8) {
            run_until((enum ending)ending, turn, false);
            run_until((enum ending)ending, turn, true);
        }
    }
}

/* ---- the socket ------------------------------------------------------------------------------ */

static void test_lane_end__bytes_over_the_socket__end_it(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    client_send(world, &lane.client, bytes, frame_simple(bytes, MKV_NATIVE_PING, 1));
    lane_await(world, &lane, &lane.is_broken);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__half_closed__ends_it(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    assert_int_equal(shutdown(lane.client.fd, SHUT_WR), 0);
    lane_await(world, &lane, &lane.is_broken);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__refused__client_hears_why_over_the_lane(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    size_t size = frame_simple(bytes, MKV_NATIVE_PING, 1);
    bytes[MKV_NATIVE_HEADER_BYTES - 1] ^= 1;
    lane_send(world, &lane, bytes, size);
    struct frame frame = lane_frame(world, &lane);
    assert_int_equal(frame.header.status, MKV_STATUS_INVALID);
    assert_non_null(strstr((const char *)frame.body, "checksum"));
    world_frame_free(&frame);
    client_await_end(world, &lane.client);
    lane_close(world, &lane);
    world_destroy(world);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_lane_end__half_a_frame__is_stalled(void **state) {
    (void)state;
    struct world *world = world_create(&timed);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    lane_send(world, &lane, bytes, frame_simple(bytes, MKV_NATIVE_PING, 1) - 1);
    expect_stalled(world, &lane);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__client_takes_no_bytes__is_stalled(void **state) {
    (void)state;
    struct world *world = world_create(&timed);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    fake_rdma.stream_room = 4096;
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_GET, 1, 1, 100000, false));
    expect_stalled(world, &lane);
    world_await(world, WORLD_PUSH_FAILED, 1);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__idle_or_slow_put__is_not_stalled(void **state) {
    (void)state;
    struct world *world = world_create(&timed);
    struct lane_client lane;
    lane_open(world, &lane);
    world_pass(world, 10 * STALL_NS);
    fake_rdma.hold_reads = true;
    send_request(world, &lane, MKV_NATIVE_PUT, 1, MKV_MIB);
    turns(world, &lane, TURNS);
    world_pass(world, 10 * STALL_NS);
    turns(world, &lane, TURNS);
    assert_false(lane.is_broken); /* how long a READ may take, the lane knows */
    fake_rdma.hold_reads = false;
    lane_expect(world, &lane, MKV_NATIVE_PUT, 1);
    lane_close(world, &lane);
    world_destroy(world);
}

/* ---- the server ends ------------------------------------------------------------------------- */

static void test_lane_end__drained__what_is_under_way_is_finished(void **state) {
    (void)state;
    struct world *world = world_create(&timed);
    struct lane_client lane;
    struct lane_client idle;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    lane_open(world, &idle);
    fake_rdma.hold_reads = true;
    send_request(world, &lane, MKV_NATIVE_PUT, 1, MKV_MIB);
    turns(world, &lane, 10);
    mkv_fabric_tcp_drain(world->fabric);
    client_await_end(world, &idle.client);
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 2, 1, 0, false));
    struct frame frame = lane_frame(world, &lane);
    assert_int_equal(frame.header.request_id, 2);
    assert_int_equal(frame.header.status, MKV_STATUS_UNAVAILABLE);
    world_frame_free(&frame);
    fake_rdma.hold_reads = false;
    lane_expect(world, &lane, MKV_NATIVE_PUT, 1);
    client_await_end(world, &lane.client);
    lane_close(world, &lane);
    lane_close(world, &idle);
    world_pass(world, CLOSE_NS);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (!mkv_fabric_tcp_is_idle(world->fabric)) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    world_destroy(world);
}

static bool is_ended(const struct lane_client *lane) {
    uint8_t byte;
    return recv(lane->client.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The socket's end ends the lane: what is on its way there must have come before. */
static void test_lane_end__drained__socket_ends_behind_the_last_answer(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    fake_rdma.hold_sends = true;
    send_request(world, &lane, MKV_NATIVE_PUT, 1, MKV_MIB);
    world_await(world, WORLD_ANSWER_OK, 1);
    mkv_fabric_tcp_drain(world->fabric);
    turns(world, &lane, 20);
    assert_false(is_ended(&lane));
    fake_rdma.hold_sends = false;
    client_await_end(world, &lane.client);
    lane_expect(world, &lane, MKV_NATIVE_PUT, 1);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__refused__socket_ends_behind_the_reason(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    fake_rdma.hold_sends = true;
    size_t size = frame_simple(bytes, MKV_NATIVE_PING, 1);
    bytes[MKV_NATIVE_HEADER_BYTES - 1] ^= 1;
    lane_send(world, &lane, bytes, size);
    struct frame frame = lane_frame(world, &lane);
    world_frame_free(&frame);
    turns(world, &lane, 20);
    assert_false(is_ended(&lane));
    fake_rdma.hold_sends = false;
    client_await_end(world, &lane.client);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__client_stays_when_drained__is_left_in_time(void **state) {
    (void)state;
    struct world *world = world_create(&timed);
    struct lane_client lane;
    lane_open(world, &lane);
    mkv_fabric_tcp_drain(world->fabric);
    turns(world, &lane, TURNS);
    world_pass(world, CLOSE_NS - SECOND_NS);
    assert_false(lane.is_broken);
    world_pass(world, SECOND_NS);
    lane_await(world, &lane, &lane.is_broken);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_end__stopped__breaks_all(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    fake_rdma.hold_reads = true;
    send_request(world, &lane, MKV_NATIVE_PUT, 1, MKV_MIB);
    turns(world, &lane, 10);
    mkv_fabric_tcp_stop(world->fabric);
    world_await(world, WORLD_CLOSED, 1);
    lane_close(world, &lane);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define END_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        END_TEST(test_lane_end__broken_under_reads__fails_them_when_drained),
        END_TEST(test_lane_end__broken_under_writes__fails_them_when_drained),
        END_TEST(test_lane_end__front_breaks_it__reads_end_before_their_slabs),
        END_TEST(test_lane_end__memory_that_is_not_the_clients__breaks_that_lane_alone),
        END_TEST(test_lane_end__broken_under_reads_by_the_way_round__another_waits_for_it),
        END_TEST(test_lane_end__every_way_at_every_point__leaves_nothing),
        END_TEST(test_lane_end__bytes_over_the_socket__end_it),
        END_TEST(test_lane_end__half_closed__ends_it),
        END_TEST(test_lane_end__refused__client_hears_why_over_the_lane),
        END_TEST(test_lane_end__half_a_frame__is_stalled),
        END_TEST(test_lane_end__client_takes_no_bytes__is_stalled),
        END_TEST(test_lane_end__idle_or_slow_put__is_not_stalled),
        END_TEST(test_lane_end__drained__what_is_under_way_is_finished),
        END_TEST(test_lane_end__drained__socket_ends_behind_the_last_answer),
        END_TEST(test_lane_end__refused__socket_ends_behind_the_reason),
        END_TEST(test_lane_end__client_stays_when_drained__is_left_in_time),
        END_TEST(test_lane_end__stopped__breaks_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
