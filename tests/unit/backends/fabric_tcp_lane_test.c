/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that go on over lanes: what they carry, and how they come about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/clock.h"
#include "backends/fabric_tcp_lane.h"
#include "core/hash.h"
#include "tests/unit/backends/lane_client.h"

static int set_up(void **state) {
    (void)state;
    fake_rdma_reset();
    return 0;
}

/* Every endpoint and port is gone behind each test. */
static int tear_down(void **state) {
    (void)state;
    assert_int_equal(fake_rdma_endpoints(), 0);
    assert_int_equal(fake_rdma_ports(), 0);
    return 0;
}

static const struct mkv_fabric_lane_counters *counters_of(const struct world *world) {
    return mkv_fabric_tcp_lane_counters(world->fabric);
}

static void expect_pattern(const uint8_t *bytes, uint64_t request_id, uint32_t item,
                           uint64_t byte_count) {
    for (uint64_t i = 0; i < byte_count; i++) {
        if (bytes[i] != world_pattern(request_id, item, i)) {
            fail_msg("byte %llu of item %u is another one", (unsigned long long)i, item);
        }
    }
}

static void turns(struct world *world, struct lane_client *lane) {
    for (uint32_t i = 0; i < 10; i++) {
        lane_turn(world, lane);
    }
}

/* A GET whose items are written into the client's memory. */
static void get(struct world *world, struct lane_client *lane, uint64_t request_id,
                uint32_t item_count, uint64_t length) {
    uint8_t bytes[LANE_FRAME_BYTES];
    memset(lane->memory, 0x11, item_count * length + 1);
    lane_send(world, lane, bytes,
              lane_request(lane, bytes, MKV_NATIVE_GET, request_id, item_count, length, 0));
    for (uint32_t i = 0; i < item_count; i++) {
        struct frame data = lane_frame(world, lane);
        struct mkv_native_data decoded;
        assert_int_equal(data.header.op, MKV_NATIVE_DATA);
        assert_int_equal(data.header.flags, MKV_NATIVE_FLAG_REMOTE);
        assert_int_equal(data.header.payload_bytes, 0);
        assert_int_equal(mkv_native_data_decode(&data.header, data.body, &decoded), MKV_NATIVE_OK);
        assert_int_equal(decoded.item, i);
        assert_true(decoded.bytes == length);
        /* It is there before this frame. */
        expect_pattern(lane->memory + i * length, request_id, i, length);
        world_frame_free(&data);
    }
    assert_int_equal(lane->memory[item_count * length], 0x11);
    lane_expect(world, lane, MKV_NATIVE_GET, request_id);
}

/* A PUT whose items are read out of the client's memory. */
static void put(struct world *world, struct lane_client *lane, uint64_t request_id,
                uint32_t item_count, uint64_t length) {
    uint8_t bytes[LANE_FRAME_BYTES];
    for (uint32_t i = 0; i < item_count; i++) {
        world_pattern_fill(request_id, i, lane->memory + i * length, length);
    }
    lane_send(world, lane, bytes,
              lane_request(lane, bytes, MKV_NATIVE_PUT, request_id, item_count, length, 0));
    lane_expect(world, lane, MKV_NATIVE_PUT, request_id);
    const struct world_request *request = &world->requests[world->request_count - 1];
    assert_int_equal(request->request.request_id, request_id);
    for (uint32_t i = 0; i < item_count && i < WORLD_ITEMS_MAX; i++) {
        assert_true(request->hashes[i] == mkv_hash_64(lane->memory + i * length, length));
    }
}

static void test_lane__put_and_get__move_by_read_and_write(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    static const uint64_t lengths[] = {1,           65536,           65537,       MKV_MIB,
                                       MKV_MIB + 1, 5 * MKV_MIB + 7, 32 * MKV_MIB};
    uint64_t moved = 0;
    for (uint64_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        put(world, &lane, 100 + i, 1, lengths[i]);
        get(world, &lane, 200 + i, 1, lengths[i]);
        moved += lengths[i];
    }
    put(world, &lane, 300, 8, MKV_MIB / 2);
    get(world, &lane, 301, 8, MKV_MIB / 2);
    moved += 4 * MKV_MIB;
    world_await(world, WORLD_PUSH_OK, 15);
    const struct mkv_fabric_lane_counters *counters = counters_of(world);
    assert_int_equal(counters->connections_active, 1);
    assert_int_equal(counters->connects_total, 1);
    assert_int_equal(counters->opened_total, 1);
    assert_int_equal(counters->recoveries_total, 0);
    assert_true(counters->received_bytes_total == moved);
    assert_true(counters->sent_bytes_total == moved);
    assert_true(world_counters(world)->received_bytes_total == moved);
    assert_int_equal(mkv_histogram_total(&counters->read), 1 + 1 + 1 + 1 + 2 + 6 + 32 + 8);
    assert_int_equal(mkv_histogram_total(&counters->write), mkv_histogram_total(&counters->read));
    lane_close(world, &lane);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(counters_of(world)->connections_active, 0);
    world_destroy(world);
}

static void test_lane__frames_larger_than_a_message__are_one_stream(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t *bytes = malloc(MKV_MIB);
    assert_non_null(bytes);
    fake_rdma.stream_room = 4096;
    lane_open(world, &lane);
    /* An inline payload, one by READY and DATA, and a GET without memory of the client. */
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_PUT, 1, 2, 30000, true));
    lane_expect(world, &lane, MKV_NATIVE_PUT, 1);
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_PUT, 2, 1, 700001, false));
    lane_expect(world, &lane, MKV_NATIVE_READY, 2);
    const size_t header_bytes = frame_data(bytes, 2, 0, 0, 700001);
    world_pattern_fill(2, 0, bytes + header_bytes, 700001);
    lane_send(world, &lane, bytes, header_bytes + 700001);
    lane_expect(world, &lane, MKV_NATIVE_PUT, 2);
    assert_true(world->requests[1].hashes[0] == mkv_hash_64(bytes + header_bytes, 700001));
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_GET, 3, 1, 900000, false));
    struct frame data = lane_frame(world, &lane);
    assert_int_equal(data.header.flags, 0);
    assert_int_equal(data.header.payload_bytes, 900000);
    expect_pattern(data.payload, 3, 0, 900000);
    world_frame_free(&data);
    lane_expect(world, &lane, MKV_NATIVE_GET, 3);
    lane_send(world, &lane, bytes, frame_simple(bytes, MKV_NATIVE_STATS, 4));
    lane_expect(world, &lane, MKV_NATIVE_STATS, 4);
    /* A batch whose body is in a buffer of the pool, larger than the control buffer. */
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_LOOKUP, 5, 256, 0, false));
    lane_expect(world, &lane, MKV_NATIVE_LOOKUP, 5);
    assert_int_equal(mkv_histogram_total(&counters_of(world)->read), 0);
    free(bytes);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane__many_puts__reads_fly_together_and_end_in_order(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    fake_rdma.hold_reads = true;
    fake_rdma.transfers_room = 4;
    for (uint64_t id = 1; id <= 6; id++) {
        world_pattern_fill(id, 0, lane.memory + id * MKV_MIB, MKV_MIB);
        lane_send(world, &lane, bytes,
                  lane_request(&lane, bytes, MKV_NATIVE_PUT, id, 1, MKV_MIB, id * MKV_MIB));
    }
    world_await(world, WORLD_REQUEST, 6);
    for (uint32_t i = 0; i < 10; i++) {
        lane_turn(world, &lane);
    }
    assert_int_equal(fake_rdma_posted(), 4); /* no more than there is room for */
    assert_int_equal(world_count(world, WORLD_PULL_OK), 0);
    fake_rdma.hold_reads = false;
    for (uint64_t id = 1; id <= 6; id++) {
        lane_expect(world, &lane, MKV_NATIVE_PUT, id);
    }
    assert_int_equal(fake_rdma.reads_posted_most, 4);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane__large_put__others_have_their_turn_between(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    struct client other = world_greeted(world);
    world_pattern_fill(1, 0, lane.memory, 32 * MKV_MIB);
    lane_send(world, &lane, bytes,
              lane_request(&lane, bytes, MKV_NATIVE_PUT, 1, 1, 32 * MKV_MIB, 0));
    world_await(world, WORLD_REQUEST, 1);
    client_send(world, &other, bytes, frame_simple(bytes, MKV_NATIVE_PING, 2));
    struct frame pong = client_frame(world, &other);
    assert_int_equal(world_count(world, WORLD_PULL_OK), 0); /* it is still being hashed */
    world_frame_free(&pong);
    lane_expect(world, &lane, MKV_NATIVE_PUT, 1);
    client_close(&other);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane__write_not_done__slab_stays_though_the_answer_left(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    fake_rdma.hold_writes = true;
    get(world, &lane, 1, 2, 3 * MKV_MIB);
    assert_int_equal(world_count(world, WORLD_ANSWER_OK), 1);
    assert_int_equal(world_count(world, WORLD_PUSH_OK), 0);
    assert_int_equal(fake_rdma_posted(), 6);
    fake_rdma.hold_writes = false;
    world_await(world, WORLD_PUSH_OK, 2);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane__no_room_for_writes__data_waits_for_them(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    fake_rdma.transfers_room = 1;
    get(world, &lane, 1, 3, 2 * MKV_MIB + 5);
    lane_close(world, &lane);
    world_destroy(world);
}

/* What is posted in one round of the shard is one chain. */
static void test_lane__batches__take_few_doorbells(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    /* 8 WRITEs, 8 DATA and an answer. */
    size_t byte_count = lane_request(&lane, bytes, MKV_NATIVE_GET, 1, 8, 70000, 0);
    const uint32_t before = fake_rdma.doorbells;
    lane_send(world, &lane, bytes, byte_count);
    for (uint32_t i = 0; i < 8; i++) {
        lane_expect(world, &lane, MKV_NATIVE_DATA, 1);
    }
    lane_expect(world, &lane, MKV_NATIVE_GET, 1);
    turns(world, &lane);
    assert_int_equal(fake_rdma.doorbells - before, 2); /* with the client's */
    /* 32 READs, and later an answer. */
    byte_count = lane_request(&lane, bytes, MKV_NATIVE_PUT, 2, 8, 8 * MKV_LANE_PIECE_BYTES / 2, 0);
    const uint32_t between = fake_rdma.doorbells;
    lane_send(world, &lane, bytes, byte_count);
    lane_expect(world, &lane, MKV_NATIVE_PUT, 2);
    turns(world, &lane);
    /* The client's, the READs', and the answer's. */
    assert_in_range(fake_rdma.doorbells - between, 2, 3);
    lane_close(world, &lane);
    world_destroy(world);
}

/* ---- who gets one ---------------------------------------------------------------------------- */

static void test_lane__no_rdma__feature_is_not_granted(void **state) {
    (void)state;
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct world *world = world_create(NULL);
    struct lane_client lane;
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    assert_true(features == 0);
    client_send(world, &client, bytes, lane_prepare(&lane, client, 0, bytes));
    client_expect_refusal(world, &client, "CONNECT");
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane__remote_without_a_lane__refused(void **state) {
    (void)state;
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    (void)lane_prepare(&lane, client, 0, bytes);
    client_send(world, &client, bytes, lane_request(&lane, bytes, MKV_NATIVE_PUT, 1, 1, 100, 0));
    client_expect_refusal(world, &client, "RDMA");
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_RDMA], 1);
    lane_close(world, &lane);
    world_destroy(world);
}

static void expect_connect_refused(struct world *world, struct client *client, const char *words) {
    uint8_t bytes[LANE_FRAME_BYTES];
    struct frame frame = client_frame(world, client);
    assert_int_equal(frame.header.op, MKV_NATIVE_CONNECT);
    assert_int_equal(frame.header.status, MKV_STATUS_UNAVAILABLE);
    assert_memory_equal(frame.body, words, strlen(words));
    world_frame_free(&frame);
    /* The connection goes on without. */
    client_send(world, client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false));
    frame = client_frame(world, client);
    assert_int_equal(frame.header.op, MKV_NATIVE_EXISTS);
    world_frame_free(&frame);
}

/* Else a client that comes too early would not know that there may be RDMA later. */
static void test_lane__device_is_not_there__granted_and_connect_refused(void **state) {
    (void)state;
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    fake_rdma.devices[0].name = NULL;
    fake_rdma.devices[1] = (struct fake_device){.name = "client0"};
    fake_rdma.client_device = "client0";
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    assert_int_equal(world->lane_events[MKV_LANE_PORT_NOT_OPENED], 1);
    assert_non_null(strstr(world->lane_text, "fake0"));
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    assert_true(features == MKV_NATIVE_FEATURE_RDMA);
    client_send(world, &client, bytes, lane_prepare(&lane, client, 0, bytes));
    expect_connect_refused(world, &client, "no_device: ");
    assert_int_equal(counters_of(world)->refusals_total[MKV_NATIVE_REFUSAL_NO_DEVICE], 1);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane__connect_refused__says_why_and_goes_on_over_tcp(void **state) {
    (void)state;
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct world *world = world_create(&lane_world);
    struct lane_client lane;

    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    size_t size = lane_prepare(&lane, client, 0, bytes);
    fake_rdma.devices[0].state = MKV_VERBS_PORT_DOWN;
    for (uint32_t i = 0; i < 30; i++) {
        lane_turn(world, &lane);
    }
    client_send(world, &client, bytes, size);
    expect_connect_refused(world, &client, "no_device: ");
    fake_rdma.devices[0].state = MKV_VERBS_ACTIVE;
    lane_close(world, &lane);

    for (uint32_t i = 0; i < 30; i++) {
        world_turn(world);
    }
    client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    size = lane_prepare(&lane, client, 0, bytes);
    fake_rdma.endpoints_max = 0;
    client_send(world, &client, bytes, size);
    expect_connect_refused(world, &client, "full: no queue pair is left");
    fake_rdma.endpoints_max = 16;
    lane_close(world, &lane);

    client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, MKV_LANE_REASON_PROBE, &features);
    size = lane_prepare(&lane, client, 0, bytes);
    struct mkv_native_connect own;
    mkv_endpoint_parameters(lane.endpoint, &own);
    own.mtu_bytes = 256;
    own.fallback = MKV_LANE_REASON_PROBE;
    mkv_native_connect_encode(&own, bytes + MKV_NATIVE_HEADER_BYTES);
    client_send(world, &client, bytes, size);
    expect_connect_refused(world, &client, "parameters: ");
    lane_close(world, &lane);

    const struct mkv_fabric_lane_counters *counters = counters_of(world);
    assert_int_equal(counters->refusals_total[MKV_NATIVE_REFUSAL_NO_DEVICE], 1);
    assert_int_equal(counters->refusals_total[MKV_NATIVE_REFUSAL_FULL], 1);
    assert_int_equal(counters->refusals_total[MKV_NATIVE_REFUSAL_PARAMETERS], 0);
    assert_int_equal(counters->fallbacks_total[MKV_LANE_REASON_PROBE], 1);
    assert_int_equal(counters->connects_total, 3);
    assert_int_equal(counters->opened_total, 0);
    world_destroy(world);
}

static void test_lane__client_comes_back__is_a_recovery(void **state) {
    (void)state;
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    const size_t size = lane_prepare(&lane, client, MKV_LANE_REASON_RETRY_EXCEEDED, bytes);
    client_send(world, &client, bytes, size);
    lane_finish(world, &lane);
    get(world, &lane, 1, 1, 100);
    assert_int_equal(counters_of(world)->recoveries_total, 1);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane__connect_out_of_turn__refused(void **state) {
    (void)state;
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    /* With something behind it, which would have to go over the lane. */
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    size_t size = lane_prepare(&lane, client, 0, bytes);
    size += frame_simple(bytes + size, MKV_NATIVE_PING, 2);
    client_send(world, &client, bytes, size);
    client_expect_refusal(world, &client, "CONNECT");
    lane_close(world, &lane);
    /* A second one, over the lane. */
    lane_open(world, &lane);
    struct mkv_native_connect own;
    mkv_endpoint_parameters(lane.endpoint, &own);
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_CONNECT, .request_id = 9, .body_bytes = MKV_NATIVE_CONNECT_BYTES};
    mkv_native_header_encode(&header, bytes);
    mkv_native_connect_encode(&own, bytes + MKV_NATIVE_HEADER_BYTES);
    lane_send(world, &lane, bytes, MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_CONNECT_BYTES);
    struct frame frame = lane_frame(world, &lane);
    assert_int_equal(frame.header.status, MKV_STATUS_INVALID);
    world_frame_free(&frame);
    client_await_end(world, &lane.client);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane__requests_before_it_is_answered__go_over_tcp_first(void **state) {
    (void)state;
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    world->hold_answers = true;
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false));
    world_await(world, WORLD_REQUEST, 1);
    const size_t size = lane_prepare(&lane, client, 0, bytes);
    client_send(world, &client, bytes, size);
    for (uint32_t i = 0; i < 20; i++) {
        lane_turn(world, &lane);
    }
    assert_int_equal(counters_of(world)->connects_total, 0);
    world->hold_answers = false;
    world_answer(world, 0);
    struct frame frame = client_frame(world, &client);
    assert_int_equal(frame.header.op, MKV_NATIVE_EXISTS);
    world_frame_free(&frame);
    lane_finish(world, &lane);
    get(world, &lane, 2, 1, MKV_MIB);
    lane_close(world, &lane);
    world_destroy(world);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void test_lane__pages_exchanged__payload_goes_round(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    /* All of the memory that slabs may lie in, of which a device has the old pages. */
    size_t slab_bytes;
    uint8_t *slabs = mkv_arena_slabs(world->arena, &slab_bytes);
    fake_rdma.forbidden = slabs;
    fake_rdma.forbidden_bytes = slab_bytes;
    assert_true(mkv_arena_exchange(world->arena, slabs, slab_bytes / 4096 * 4096));
    put(world, &lane, 1, 3, 2 * MKV_MIB + 9);
    get(world, &lane, 2, 3, 2 * MKV_MIB + 9);
    lane_close(world, &lane);
    world_destroy(world);
}

/* A shard has its own slabs registered, and reaches those of others by way of its port's memory. */
static void test_lane__slabs_of_another_shard__payload_goes_round(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .foreign = true};
    struct world *world = world_create(&options);
    struct lane_client lane;
    size_t own_bytes;
    (void)mkv_arena_slabs(world->part, &own_bytes);
    assert_true(own_bytes == (size_t)MKV_SLAB_GROUP_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES);
    assert_true(fake_rdma.registered_bytes ==
                own_bytes + (uint64_t)MKV_LANE_ROUNDS * MKV_LANE_PIECE_BYTES);
    lane_open(world, &lane);
    put(world, &lane, 1, 3, 5 * MKV_MIB + 9);
    get(world, &lane, 2, 3, 5 * MKV_MIB + 9);
    /* As many at a time as there are ways round, and the others behind them. */
    uint8_t bytes[LANE_FRAME_BYTES];
    fake_rdma.hold_reads = true;
    const size_t byte_count = lane_request(&lane, bytes, MKV_NATIVE_PUT, 3, 3, 12 * MKV_MIB, 0);
    for (uint32_t i = 0; i < 3; i++) {
        world_pattern_fill(3, i, lane.memory + i * 12ull * MKV_MIB, 12 * MKV_MIB);
    }
    lane_send(world, &lane, bytes, byte_count);
    turns(world, &lane);
    assert_int_equal(fake_rdma_posted(), MKV_LANE_ROUNDS);
    fake_rdma.hold_reads = false;
    lane_expect(world, &lane, MKV_NATIVE_PUT, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(world->requests[2].hashes[i] ==
                    mkv_hash_64(lane.memory + i * 12ull * MKV_MIB, 12 * MKV_MIB));
    }
    lane_close(world, &lane);
    world_destroy(world);
}

/* So many requests have come, and there is nothing to do until something comes. */
static void settle(struct world *world, uint32_t requests) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    world_await(world, WORLD_REQUEST, requests);
    do {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    } while (mkv_fabric_tcp_has_work(world->fabric));
}

/* Who wants a way round while all are taken sleeps until there is one, and has it before whoever
 * gives it back and wants it again. */
static void test_lane__all_ways_round_are_taken__others_wait_in_line(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .foreign = true};
    struct world *world = world_create(&options);
    struct lane_client large;
    struct lane_client small;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &large);
    lane_open(world, &small);
    fake_rdma.hold_reads = true;
    lane_send(world, &large, bytes,
              lane_request(&large, bytes, MKV_NATIVE_PUT, 1, 1, 32 * MKV_MIB, 0));
    settle(world, 1);
    assert_int_equal(fake_rdma_posted(), MKV_LANE_ROUNDS);
    lane_send(world, &small, bytes,
              lane_request(&small, bytes, MKV_NATIVE_PUT, 2, 1, 2 * MKV_MIB, 0));
    settle(world, 2);
    assert_int_equal(fake_rdma_posted(), MKV_LANE_ROUNDS);
    fake_rdma.hold_reads = false;
    lane_expect(world, &small, MKV_NATIVE_PUT, 2);
    /* Else the large one would have had all of its 32 before. */
    assert_true(mkv_histogram_total(&counters_of(world)->read) < 26);
    lane_expect(world, &large, MKV_NATIVE_PUT, 1);
    lane_close(world, &small);
    lane_close(world, &large);
    world_destroy(world);
}

/* One that waits in line and ends is no more in it. */
static void test_lane__ends_in_line_for_a_way_round__others_go_on(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .foreign = true};
    struct world *world = world_create(&options);
    struct lane_client lanes[3];
    uint8_t bytes[LANE_FRAME_BYTES];
    fake_rdma.hold_reads = true;
    for (uint32_t i = 0; i < 3; i++) {
        lane_open(world, &lanes[i]);
        lane_send(world, &lanes[i], bytes,
                  lane_request(&lanes[i], bytes, MKV_NATIVE_PUT, i + 1, 1, 9 * MKV_MIB, 0));
        settle(world, i + 1);
    }
    assert_int_equal(fake_rdma_posted(), MKV_LANE_ROUNDS);
    lane_close(world, &lanes[1]);
    world_await(world, WORLD_CLOSED, 1);
    fake_rdma.hold_reads = false;
    lane_expect(world, &lanes[0], MKV_NATIVE_PUT, 1);
    lane_expect(world, &lanes[2], MKV_NATIVE_PUT, 3);
    lane_close(world, &lanes[0]);
    lane_close(world, &lanes[2]);
    world_destroy(world);
}

/* What has come for a client that is refused is copied for nobody, and keeps nobody waiting. */
static void test_lane__refused_with_all_ways_round__others_have_them(void **state) {
    (void)state;
    const struct world_options options = {
        .lanes = true, .foreign = true, .counts_time = true, .close_ns = 3600ull * 1000000000u};
    struct world *world = world_create(&options);
    struct lane_client refused;
    struct lane_client other;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &refused);
    lane_open(world, &other);
    fake_rdma.hold_reads = true;
    lane_send(world, &refused, bytes,
              lane_request(&refused, bytes, MKV_NATIVE_PUT, 1, 1, 8 * MKV_MIB, 0));
    settle(world, 1);
    assert_int_equal(fake_rdma_posted(), MKV_LANE_ROUNDS);
    lane_send(world, &other, bytes,
              lane_request(&other, bytes, MKV_NATIVE_PUT, 2, 1, 2 * MKV_MIB, 0));
    settle(world, 2);
    const size_t size = frame_simple(bytes, MKV_NATIVE_PING, 3);
    bytes[MKV_NATIVE_HEADER_BYTES - 1] ^= 1;
    lane_send(world, &refused, bytes, size);
    struct frame frame = lane_frame(world, &refused);
    assert_int_equal(frame.header.status, MKV_STATUS_INVALID);
    world_frame_free(&frame);
    fake_rdma.hold_reads = false;
    lane_expect(world, &other, MKV_NATIVE_PUT, 2);
    assert_int_equal(world_counters(world)->connections_active, 2);
    lane_close(world, &refused);
    lane_close(world, &other);
    world_destroy(world);
}

/* ---- the share of a round -------------------------------------------------------------------- */

/* A copy of a megabyte uses it up: others wait for no more. */
static void test_lane__read_by_ways_round__copied_one_in_a_round(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .foreign = true};
    struct world *world = world_create(&options);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    fake_rdma.hold_reads = true;
    lane_send(world, &lane, bytes,
              lane_request(&lane, bytes, MKV_NATIVE_PUT, 1, 1, 8 * MKV_MIB, 0));
    settle(world, 1);
    assert_int_equal(fake_rdma_posted(), 8);
    fake_rdma.hold_reads = false;
    const struct mkv_tcp_lane *own = world->fabric->connections[0].lane;
    while (mkv_histogram_total(&counters_of(world)->read) == 0) {
        mkv_fabric_tcp_poll(world->fabric, mkv_clock_monotonic_ns());
    }
    assert_true(own->come_count + 1 >= mkv_histogram_total(&counters_of(world)->read));
    for (uint32_t left = own->come_count; left > 0; left = own->come_count) {
        mkv_fabric_tcp_poll(world->fabric, mkv_clock_monotonic_ns());
        assert_true(own->come_count + 1 >= left);
    }
    lane_expect(world, &lane, MKV_NATIVE_PUT, 1);
    lane_close(world, &lane);
    world_destroy(world);
}

static uint32_t resident_pages(const struct world *world) {
    const struct mkv_fabric_tcp *fabric = world->fabric;
    return fabric->quiet[0] != 0 ? 0 : 1;
}

static void test_lane__idle__rests_and_wakes(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .rest_ns = 1000000};
    struct world *world = world_create(&options);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    for (uint64_t id = 1; id < 4; id++) {
        const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
        while (resident_pages(world) > 0) {
            assert_true(mkv_clock_monotonic_ns() < end_ns);
            lane_turn(world, &lane);
        }
        put(world, &lane, id, 1, 100000);
        get(world, &lane, 100 + id, 1, 100000);
    }
    /* Not in the middle of a frame. */
    lane_send(world, &lane, bytes, frame_simple(bytes, MKV_NATIVE_PING, 50) - 1);
    for (uint32_t i = 0; i < 250; i++) {
        lane_turn(world, &lane);
    }
    assert_int_equal(resident_pages(world), 1);
    lane_close(world, &lane);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define LANE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        LANE_TEST(test_lane__put_and_get__move_by_read_and_write),
        LANE_TEST(test_lane__frames_larger_than_a_message__are_one_stream),
        LANE_TEST(test_lane__many_puts__reads_fly_together_and_end_in_order),
        LANE_TEST(test_lane__large_put__others_have_their_turn_between),
        LANE_TEST(test_lane__write_not_done__slab_stays_though_the_answer_left),
        LANE_TEST(test_lane__no_room_for_writes__data_waits_for_them),
        LANE_TEST(test_lane__batches__take_few_doorbells),
        LANE_TEST(test_lane__no_rdma__feature_is_not_granted),
        LANE_TEST(test_lane__device_is_not_there__granted_and_connect_refused),
        LANE_TEST(test_lane__remote_without_a_lane__refused),
        LANE_TEST(test_lane__connect_refused__says_why_and_goes_on_over_tcp),
        LANE_TEST(test_lane__client_comes_back__is_a_recovery),
        LANE_TEST(test_lane__connect_out_of_turn__refused),
        LANE_TEST(test_lane__requests_before_it_is_answered__go_over_tcp_first),
        LANE_TEST(test_lane__pages_exchanged__payload_goes_round),
        LANE_TEST(test_lane__slabs_of_another_shard__payload_goes_round),
        LANE_TEST(test_lane__all_ways_round_are_taken__others_wait_in_line),
        LANE_TEST(test_lane__ends_in_line_for_a_way_round__others_go_on),
        LANE_TEST(test_lane__refused_with_all_ways_round__others_have_them),
        LANE_TEST(test_lane__read_by_ways_round__copied_one_in_a_round),
        LANE_TEST(test_lane__idle__rests_and_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
