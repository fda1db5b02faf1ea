/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes whose clients are looked for in the network, which may take a while: nobody else waits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <time.h>

#include "backends/clock.h"
#include "backends/fabric_tcp_lane.h"
#include "tests/unit/backends/lane_client.h"

#define LANES (MKV_TCP_LANES_COMING_MAX + 1u)

static int set_up(void **state) {
    (void)state;
    fake_rdma_reset();
    return 0;
}

/* Every endpoint and port is gone behind each test. */
static int tear_down(void **state) {
    (void)state;
    atomic_store(&fake_rdma.hold_reach, false);
    assert_int_equal(fake_rdma_endpoints(), 0);
    assert_int_equal(fake_rdma_ports(), 0);
    return 0;
}

static const struct mkv_fabric_lane_counters *counters_of(const struct world *world) {
    return mkv_fabric_tcp_lane_counters(world->fabric);
}

static void turns(struct world *world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        world_turn(world);
    }
}

/* Sends a CONNECT, and waits until so many clients are looked for. */
static void ask(struct world *world, struct lane_client *lane, uint32_t reaches) {
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    const size_t size = lane_prepare(lane, client, 0, bytes);
    client_send(world, &client, bytes, size);
    while (atomic_load(&fake_rdma.reaches) < reaches) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
}

static void ping(struct world *world, struct client *client, uint64_t request_id) {
    uint8_t bytes[LANE_FRAME_BYTES];
    client_send(world, client, bytes, frame_simple(bytes, MKV_NATIVE_PING, request_id));
    struct frame frame = client_frame(world, client);
    assert_int_equal(frame.header.op, MKV_NATIVE_PING);
    assert_int_equal(frame.header.request_id, request_id);
    world_frame_free(&frame);
}

static void test_reach__takes_long__others_are_served_meanwhile(void **state) {
    (void)state;
    uint64_t features;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    struct client other = lane_greeted(world, 0, 0, &features);
    atomic_store(&fake_rdma.hold_reach, true);
    ask(world, &lane, 1);
    ping(world, &other, 5);
    assert_int_equal(counters_of(world)->opened_total, 0);
    atomic_store(&fake_rdma.hold_reach, false);
    lane_finish(world, &lane);
    assert_int_equal(counters_of(world)->connects_total, 1);
    while (counters_of(world)->opened_total == 0) {
        lane_turn(world, &lane);
    }
    lane_close(world, &lane);
    client_close(&other);
    world_destroy(world);
}

static void test_reach__nobody_answers__refused_and_goes_on_over_tcp(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    atomic_store(&fake_rdma.reach_error, ETIMEDOUT);
    ask(world, &lane, 1);
    struct frame frame = client_frame(world, &lane.client);
    assert_int_equal(frame.header.op, MKV_NATIVE_CONNECT);
    assert_int_equal(frame.header.status, MKV_STATUS_UNAVAILABLE);
    assert_memory_equal(frame.body, "parameters: nobody answers there", 32);
    world_frame_free(&frame);
    assert_int_equal(counters_of(world)->refusals_total[MKV_NATIVE_REFUSAL_PARAMETERS], 1);
    assert_int_equal(counters_of(world)->connections_active, 0);
    ping(world, &lane.client, 7);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_reach__client_leaves_meanwhile__its_lane_goes(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    atomic_store(&fake_rdma.hold_reach, true);
    ask(world, &lane, 1);
    client_close(&lane.client);
    turns(world, 20);
    atomic_store(&fake_rdma.hold_reach, false);
    while (counters_of(world)->connections_active > 0) {
        lane_turn(world, &lane);
    }
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_reach__server_stops_meanwhile__ends_behind_it(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    atomic_store(&fake_rdma.hold_reach, true);
    ask(world, &lane, 1);
    mkv_fabric_tcp_stop(world->fabric);
    turns(world, 20);
    assert_int_equal(counters_of(world)->connections_active, 1);
    assert_false(mkv_fabric_tcp_is_idle(world->fabric));
    atomic_store(&fake_rdma.hold_reach, false);
    while (!mkv_fabric_tcp_is_idle(world->fabric)) {
        world_turn(world);
    }
    assert_int_equal(counters_of(world)->connections_active, 0);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_reach__more_than_at_a_time__wait_for_their_turn(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lanes[LANES];
    fake_rdma.endpoints_max = LANES;
    atomic_store(&fake_rdma.hold_reach, true);
    for (uint32_t i = 0; i < LANES; i++) {
        ask(world, &lanes[i], i < MKV_TCP_LANES_COMING_MAX ? i + 1 : i);
    }
    turns(world, 20);
    assert_int_equal(atomic_load(&fake_rdma.reaches), MKV_TCP_LANES_COMING_MAX);
    assert_int_equal(counters_of(world)->connects_total, MKV_TCP_LANES_COMING_MAX);
    atomic_store(&fake_rdma.hold_reach, false);
    for (uint32_t i = 0; i < LANES; i++) {
        lane_finish(world, &lanes[i]);
    }
    assert_int_equal(atomic_load(&fake_rdma.reaches), LANES);
    for (uint32_t i = 0; i < LANES; i++) {
        lane_close(world, &lanes[i]);
    }
    world_destroy(world);
}

/* ---- a driver that hangs --------------------------------------------------------------------- */

static const struct world_options hasty = {.lanes = true, .lane_reach_ns = 50000000};

static void expect_stuck(struct world *world, struct client *client) {
    struct frame frame = client_frame(world, client);
    assert_int_equal(frame.header.op, MKV_NATIVE_CONNECT);
    assert_int_equal(frame.header.status, MKV_STATUS_UNAVAILABLE);
    assert_non_null(strstr((const char *)frame.body, "no_device: the driver of"));
    world_frame_free(&frame);
}

static void await_event(struct world *world, enum mkv_lane_port_event event, uint32_t count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (world->lane_events[event] < count) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
}

/* What was left to the driver tidies up on its threads. */
static void await_nothing_left(void) {
    const struct timespec pause = {.tv_nsec = 1000000};
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (fake_rdma_endpoints() > 0 || fake_rdma_ports() > 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        (void)nanosleep(&pause, NULL);
    }
}

/* The client's own end of a lane that was never made. */
static void drop(struct lane_client *lane) {
    if (lane->client.fd >= 0) {
        client_close(&lane->client);
    }
    mkv_endpoint_destroy(lane->endpoint);
    mkv_verbs_unregister(lane->region);
    mkv_verbs_close(lane->verbs);
    free(lane->memory);
}

static void test_reach__driver_hangs__refused_until_it_answers_again(void **state) {
    (void)state;
    uint64_t features;
    struct world *world = world_create(&hasty);
    struct lane_client lanes[LANES];
    fake_rdma.endpoints_max = 2 * LANES;
    atomic_store(&fake_rdma.hold_reach, true);
    for (uint32_t i = 0; i < LANES; i++) {
        uint8_t bytes[LANE_FRAME_BYTES];
        struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
        const size_t size = lane_prepare(&lanes[i], client, 0, bytes);
        client_send(world, &lanes[i].client, bytes, size);
    }
    for (uint32_t i = 0; i < LANES; i++) {
        expect_stuck(world, &lanes[i].client);
        ping(world, &lanes[i].client, 7); /* it goes on over TCP */
    }
    assert_true(atomic_load(&fake_rdma.reaches) <= MKV_TCP_LANES_COMING_MAX);
    assert_int_equal(counters_of(world)->connections_active, 0);
    assert_true(counters_of(world)->refusals_total[MKV_NATIVE_REFUSAL_NO_DEVICE] > 0);
    await_event(world, MKV_LANE_PORT_DOWN, 1);
    assert_non_null(strstr(world->lane_text, "the driver of the RDMA device does not answer"));
    struct lane_client late;
    ask(world, &late, 0);
    expect_stuck(world, &late.client);
    drop(&late);
    atomic_store(&fake_rdma.hold_reach, false);
    await_event(world, MKV_LANE_PORT_UP, 2);
    for (uint32_t i = 0; i < LANES; i++) {
        drop(&lanes[i]);
    }
    assert_int_equal(fake_rdma_endpoints(), 0);
    lane_open(world, &lanes[0]);
    lane_close(world, &lanes[0]);
    world_destroy(world);
}

static void test_reach__driver_hangs_and_client_leaves__its_connection_ends(void **state) {
    (void)state;
    struct world *world = world_create(&hasty);
    struct lane_client lane;
    atomic_store(&fake_rdma.hold_reach, true);
    ask(world, &lane, 1);
    client_reset(&lane.client);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (world_counters(world)->connections_active > 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    assert_int_equal(fake_rdma_endpoints(), 2); /* the driver has the server's still */
    atomic_store(&fake_rdma.hold_reach, false);
    await_event(world, MKV_LANE_PORT_UP, 2);
    drop(&lane);
    world_destroy(world);
}

/* Nobody waits for it at the end either; what it has it gives back when it is back. */
static void test_reach__driver_hangs__the_end_does_not_wait_for_it(void **state) {
    (void)state;
    struct world *world = world_create(&hasty);
    struct lane_client lanes[3];
    atomic_store(&fake_rdma.hold_reach, true);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t features;
        uint8_t bytes[LANE_FRAME_BYTES];
        struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
        const size_t size = lane_prepare(&lanes[i], client, 0, bytes);
        client_send(world, &client, bytes, size);
    }
    while (atomic_load(&fake_rdma.reaches) < 1) {
        world_turn(world);
    }
    world_destroy(world);
    for (uint32_t i = 0; i < 3; i++) {
        drop(&lanes[i]);
    }
    assert_true(fake_rdma_endpoints() > 0);
    assert_int_equal(fake_rdma_ports(), 1);
    atomic_store(&fake_rdma.hold_reach, false);
    await_nothing_left();
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define REACH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        REACH_TEST(test_reach__takes_long__others_are_served_meanwhile),
        REACH_TEST(test_reach__nobody_answers__refused_and_goes_on_over_tcp),
        REACH_TEST(test_reach__client_leaves_meanwhile__its_lane_goes),
        REACH_TEST(test_reach__server_stops_meanwhile__ends_behind_it),
        REACH_TEST(test_reach__more_than_at_a_time__wait_for_their_turn),
        REACH_TEST(test_reach__driver_hangs__refused_until_it_answers_again),
        REACH_TEST(test_reach__driver_hangs_and_client_leaves__its_connection_ends),
        REACH_TEST(test_reach__driver_hangs__the_end_does_not_wait_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
