/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that go over a lane piece by piece: GETs into slots that are filled in turn, and PUTs
 * whose DATA says where the bytes are.
 */
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

#define SLOT MKV_NATIVE_SLOT_BYTES

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

/* A client whose parts of values have roots. */
static void open_rooted(struct world *world, struct lane_client *lane) {
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct client client =
        lane_greeted(world, MKV_NATIVE_FEATURE_RDMA | MKV_NATIVE_FEATURE_ROOTS, 0, &features);
    assert_true(features == (MKV_NATIVE_FEATURE_RDMA | MKV_NATIVE_FEATURE_ROOTS));
    client_send(world, &client, bytes, lane_prepare(lane, client, 0, bytes));
    lane_finish(world, lane);
}

static struct mkv_root root_of(const uint8_t *bytes, uint64_t byte_count) {
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_chunk_sums(bytes, (uint32_t)byte_count, sums);
    return mkv_root_of_sums((uint32_t)byte_count, sums);
}

static void turns(struct world *world, struct lane_client *lane, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        lane_turn(world, lane);
    }
}

/* Whether a byte of a frame has come that nobody took. */
static bool has_frame(struct world *world, struct lane_client *lane) {
    uint8_t byte;
    turns(world, lane, 20);
    return mkv_endpoint_receive(lane->endpoint, &byte, 1, 0) > 0;
}

/* ---- GET into slots -------------------------------------------------------------------------- */

static void ask(struct world *world, struct lane_client *lane, uint64_t request_id, uint64_t length,
                uint32_t slots) {
    uint8_t bytes[LANE_FRAME_BYTES];
    const size_t byte_count = lane_request(lane, bytes, MKV_NATIVE_GET, request_id, 1, length, 0);
    const struct mkv_native_remote remote = {.address = (uint64_t)(uintptr_t)lane->memory,
                                             .key = mkv_verbs_region_key(lane->region),
                                             .slots = slots};
    mkv_native_remote_encode(&remote, bytes + MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_ITEM_BYTES);
    memset(lane->memory, 0x11, slots * (size_t)SLOT + 1);
    lane_send(world, lane, bytes, byte_count);
}

#define TAKEN_BYTES (MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_TAKEN_BYTES)

static void taken_encode(uint8_t *bytes, uint64_t request_id, uint64_t count) {
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_TAKEN, .request_id = request_id, .body_bytes = MKV_NATIVE_TAKEN_BYTES};
    mkv_native_header_encode(&header, bytes);
    mkv_native_taken_encode(count, bytes + MKV_NATIVE_HEADER_BYTES);
}

static void say_taken(struct world *world, struct lane_client *lane, uint64_t request_id,
                      uint64_t count) {
    uint8_t bytes[TAKEN_BYTES];
    taken_encode(bytes, request_id, count);
    lane_send(world, lane, bytes, sizeof bytes);
}

/* The next frame is DATA number `index` of a GET of `length` bytes, and its slot is filled. */
static void expect_slot(struct world *world, struct lane_client *lane, uint64_t request_id,
                        uint64_t length, uint32_t slots, uint64_t index) {
    struct frame frame = lane_frame(world, lane);
    struct mkv_native_data data;
    assert_int_equal(frame.header.op, MKV_NATIVE_DATA);
    assert_int_equal(frame.header.request_id, request_id);
    assert_int_equal(frame.header.flags, MKV_NATIVE_FLAG_REMOTE);
    assert_int_equal(mkv_native_data_decode(&frame.header, frame.body, &data), MKV_NATIVE_OK);
    const uint64_t offset = index * SLOT;
    assert_true(data.offset == offset);
    assert_true(data.bytes == mkv_min_u64(SLOT, length - offset));
    const uint8_t *slot = lane->memory + index % slots * SLOT;
    for (uint64_t i = 0; i < data.bytes; i++) {
        assert_int_equal(slot[i], world_pattern(request_id, 0, offset + i));
    }
    if (data.bytes < length) {
        const struct mkv_root root = root_of(slot, data.bytes);
        assert_true(mkv_root_equal(root, data.root));
    }
    world_frame_free(&frame);
}

static void test_lane_piece__get_into_slots__each_is_filled_in_its_turn(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    open_rooted(world, &lane);
    static const uint64_t lengths[] = {1, SLOT, SLOT + 1, 5 * SLOT + 7, 32 * SLOT};
    static const uint32_t slots[] = {1, 2, 3, 8};
    uint64_t id = 0;
    uint32_t pieces = 0;
    for (uint32_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (uint32_t k = 0; k < sizeof slots / sizeof slots[0]; k++) {
            const uint64_t count = mkv_divide_up_u64(lengths[i], SLOT);
            ask(world, &lane, ++id, lengths[i], slots[k]);
            for (uint64_t index = 0; index < count; index++) {
                expect_slot(world, &lane, id, lengths[i], slots[k], index);
                say_taken(world, &lane, id, index + 1);
            }
            lane_expect(world, &lane, MKV_NATIVE_GET, id);
            assert_int_equal(lane.memory[(uint64_t)slots[k] * SLOT], 0x11);
            pieces += (uint32_t)count;
        }
    }
    world_await(world, WORLD_PUSH_OK, (uint32_t)id);
    assert_int_equal(mkv_histogram_total(&mkv_fabric_tcp_lane_counters(world->fabric)->write),
                     pieces);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_piece__slots_not_taken__wait_and_others_go_on(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    open_rooted(world, &lane);
    ask(world, &lane, 1, 5 * SLOT + 7, 2);
    expect_slot(world, &lane, 1, 5 * SLOT + 7, 2, 0);
    expect_slot(world, &lane, 1, 5 * SLOT + 7, 2, 1);
    assert_false(has_frame(world, &lane)); /* not even the answer, which the front has given */
    /* What comes behind it does not wait for it: not these, of which one waits for the other, */
    for (uint64_t id = 2; id < 6; id++) {
        lane_send(world, &lane, bytes, frame_simple(bytes, MKV_NATIVE_PING, id));
    }
    for (uint64_t id = 2; id < 6; id++) {
        lane_expect(world, &lane, MKV_NATIVE_PING, id);
    }
    /* nor another request. */
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 6, 1, 0, false));
    lane_expect(world, &lane, MKV_NATIVE_EXISTS, 6);
    assert_int_equal(world_count(world, WORLD_PUSH_OK), 0);
    say_taken(world, &lane, 1, 1);
    expect_slot(world, &lane, 1, 5 * SLOT + 7, 2, 2);
    assert_false(has_frame(world, &lane));
    say_taken(world, &lane, 1, 1); /* says nothing new */
    assert_false(has_frame(world, &lane));
    say_taken(world, &lane, 1, 3);
    expect_slot(world, &lane, 1, 5 * SLOT + 7, 2, 3);
    expect_slot(world, &lane, 1, 5 * SLOT + 7, 2, 4);
    say_taken(world, &lane, 1, 5);
    expect_slot(world, &lane, 1, 5 * SLOT + 7, 2, 5);
    lane_expect(world, &lane, MKV_NATIVE_GET, 1);
    say_taken(world, &lane, 1, 6); /* it is over: no fault */
    lane_send(world, &lane, bytes, frame_simple(bytes, MKV_NATIVE_PING, 7));
    lane_expect(world, &lane, MKV_NATIVE_PING, 7);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_piece__two_gets_wait__each_goes_on_with_its_own(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    open_rooted(world, &lane);
    const uint64_t length = 3 * SLOT;
    ask(world, &lane, 1, length, 1);
    expect_slot(world, &lane, 1, length, 1, 0);
    ask(world, &lane, 2, length, 1);
    expect_slot(world, &lane, 2, length, 1, 0);
    say_taken(world, &lane, 2, 1);
    expect_slot(world, &lane, 2, length, 1, 1);
    say_taken(world, &lane, 2, 2);
    expect_slot(world, &lane, 2, length, 1, 2);
    lane_expect(world, &lane, MKV_NATIVE_GET, 2);
    say_taken(world, &lane, 1, 1);
    expect_slot(world, &lane, 1, length, 1, 1);
    /* It ends with slabs that wait. */
    assert_int_equal(world_count(world, WORLD_PUSH_OK), 1);
    lane_close(world, &lane);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PUSH_FAILED), 1);
    assert_int_equal(world_count(world, WORLD_ANSWER_FAILED), 1);
    world_destroy(world);
}

/* What the front gives in the round in which TAKEN comes is behind what waited for it. */
static void test_lane_piece__taken_with_more_of_its_request__order_is_kept(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[TAKEN_BYTES];
    const struct iovec taken = {bytes, sizeof bytes};
    open_rooted(world, &lane);
    world->hold_answers = true;
    ask(world, &lane, 1, 2 * SLOT, 1);
    expect_slot(world, &lane, 1, 2 * SLOT, 1, 0);
    assert_false(has_frame(world, &lane));
    taken_encode(bytes, 1, 1);
    assert_int_equal(mkv_endpoint_send(lane.endpoint, &taken, 1, 0), sizeof bytes);
    (void)mkv_ring_wait(world->ring, WORLD_WAIT_NS); /* the next round finds it */
    world_answer(world, 0);
    expect_slot(world, &lane, 1, 2 * SLOT, 1, 1);
    lane_expect(world, &lane, MKV_NATIVE_GET, 1);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_piece__taken_of_more_than_came__refused(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    open_rooted(world, &lane);
    ask(world, &lane, 1, 5 * SLOT, 2);
    expect_slot(world, &lane, 1, 5 * SLOT, 2, 0);
    expect_slot(world, &lane, 1, 5 * SLOT, 2, 1);
    say_taken(world, &lane, 1, 3);
    struct frame frame = lane_frame(world, &lane);
    assert_int_equal(frame.header.status, MKV_STATUS_INVALID);
    assert_non_null(strstr((const char *)frame.body, "TAKEN"));
    world_frame_free(&frame);
    client_await_end(world, &lane.client);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_piece__slots_never_taken__connection_ends(void **state) {
    (void)state;
    const uint64_t second_ns = 1000000000;
    const struct world_options options = {
        .lanes = true, .counts_time = true, .stall_ns = 30 * second_ns};
    struct world *world = world_create(&options);
    struct lane_client lane;
    open_rooted(world, &lane);
    ask(world, &lane, 1, 3 * SLOT, 1);
    expect_slot(world, &lane, 1, 3 * SLOT, 1, 0);
    world_pass(world, 29 * second_ns);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 0);
    world_pass(world, second_ns);
    lane_await(world, &lane, &lane.is_broken);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 1);
    lane_close(world, &lane);
    world_destroy(world);
}

/* Of the first request of a connection. */
static const struct mkv_tcp_lane_slot *slot_of(const struct world *world, uint32_t connection) {
    return &world->fabric->connections[connection].lane->slots[0];
}

/* Each request is to be taken in time, whatever becomes of others. */
static void test_lane_piece__one_of_two_never_taken__connection_ends(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .stall_ns = 500000000};
    struct world *world = world_create(&options);
    struct lane_client lane;
    uint8_t bytes[TAKEN_BYTES];
    const struct iovec taken = {bytes, sizeof bytes};
    const uint64_t count = 32;
    open_rooted(world, &lane);
    ask(world, &lane, 1, count * SLOT, 1);
    ask(world, &lane, 2, 3 * SLOT, 1);
    uint64_t index = 0;
    for (; index < count - 1 && !lane.is_broken; index++) {
        const uint64_t end_ns = mkv_clock_monotonic_ns() + 50000000;
        while (!lane.is_broken && slot_of(world, 0)->turn_count <= index) {
            lane_turn(world, &lane);
        }
        taken_encode(bytes, 1, index + 1);
        (void)mkv_endpoint_send(lane.endpoint, &taken, 1, 0);
        while (mkv_clock_monotonic_ns() < end_ns) {
            lane_turn(world, &lane);
        }
    }
    assert_true(lane.is_broken);
    assert_true(index < count - 1);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 1);
    lane_close(world, &lane);
    world_destroy(world);
}

/* What a frame that cannot be taken up waits for may be freed by a TAKEN behind it. */
static void test_lane_piece__taken_behind_a_paused_request__goes_on(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .requests_max = 1};
    struct world *world = world_create(&options);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    open_rooted(world, &lane);
    ask(world, &lane, 1, 3 * SLOT, 1);
    expect_slot(world, &lane, 1, 3 * SLOT, 1, 0);
    /* It owes an answer already, and that is all it may. */
    size_t size = frame_request(bytes, MKV_NATIVE_EXISTS, 2, 1, 0, false);
    size += frame_simple(bytes + size, MKV_NATIVE_PING, 3);
    taken_encode(bytes + size, 1, 1);
    lane_send(world, &lane, bytes, size + TAKEN_BYTES);
    expect_slot(world, &lane, 1, 3 * SLOT, 1, 1);
    /* Byte by byte. */
    taken_encode(bytes, 1, 2);
    for (uint32_t i = 0; i < TAKEN_BYTES; i++) {
        assert_false(has_frame(world, &lane));
        lane_send(world, &lane, bytes + i, 1);
    }
    expect_slot(world, &lane, 1, 3 * SLOT, 1, 2);
    lane_expect(world, &lane, MKV_NATIVE_GET, 1);
    lane_expect(world, &lane, MKV_NATIVE_EXISTS, 2);
    lane_expect(world, &lane, MKV_NATIVE_PING, 3);
    lane_close(world, &lane);
    world_destroy(world);
}

/* However many there are, others of the shard wait for some of them alone, and each is heard. */
static void test_lane_piece__much_taken_behind_a_paused_request__some_in_a_turn(void **state) {
    (void)state;
    const uint32_t count = 300;
    const struct world_options options = {.lanes = true, .requests_max = 1};
    struct world *world = world_create(&options);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    open_rooted(world, &lane);
    ask(world, &lane, 1, 2 * SLOT, 1);
    expect_slot(world, &lane, 1, 2 * SLOT, 1, 0);
    size_t size = frame_request(bytes, MKV_NATIVE_EXISTS, 2, 1, 0, false);
    for (uint32_t i = 0; i < count; i++) {
        taken_encode(bytes + size, 1, i / (count - 1)); /* the last one says something new */
        size += TAKEN_BYTES;
    }
    const struct iovec all = {bytes, size};
    uint64_t before = world_counters(world)->received_frames_total;
    const uint64_t end = before + 1 + count;
    assert_int_equal(mkv_endpoint_send(lane.endpoint, &all, 1, 0), size);
    for (uint32_t turn = 0; before < end; turn++) {
        assert_true(turn < count);
        mkv_fabric_tcp_poll(world->fabric, mkv_clock_monotonic_ns());
        const uint64_t now = world_counters(world)->received_frames_total;
        assert_true(now - before < count / 2);
        before = now;
    }
    expect_slot(world, &lane, 1, 2 * SLOT, 1, 1);
    lane_expect(world, &lane, MKV_NATIVE_GET, 1);
    lane_expect(world, &lane, MKV_NATIVE_EXISTS, 2);
    lane_close(world, &lane);
    world_destroy(world);
}

/* What is no frame of a client is not acted upon before its turn, and then refused. */
static void test_lane_piece__fault_behind_a_paused_request__waits_for_its_turn(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .requests_max = 1};
    const struct mkv_native_header answer = {.op = MKV_NATIVE_TAKEN,
                                             .flags = MKV_NATIVE_FLAG_ANSWER,
                                             .request_id = 1,
                                             .status = MKV_STATUS_INVALID,
                                             .body_bytes = MKV_NATIVE_TAKEN_BYTES};
    for (uint32_t kind = 0; kind < 3; kind++) {
        uint8_t bytes[LANE_FRAME_BYTES];
        struct world *world = world_create(&options);
        struct lane_client lane;
        open_rooted(world, &lane);
        ask(world, &lane, 1, 2 * SLOT, 1);
        expect_slot(world, &lane, 1, 2 * SLOT, 1, 0);
        const size_t size = frame_request(bytes, MKV_NATIVE_EXISTS, 2, 1, 0, false);
        taken_encode(bytes + size, 1, kind == 0 ? 2 : 1); /* more than came, */
        if (kind == 1) {
            mkv_native_header_encode(&answer, bytes + size); /* an answer, */
        } else if (kind == 2) {
            memset(bytes + size, 0x5a, MKV_NATIVE_HEADER_BYTES); /* or nothing at all */
        }
        lane_send(world, &lane, bytes, size + TAKEN_BYTES);
        say_taken(world, &lane, 1, 1); /* nobody knows any more that this is a frame */
        assert_false(has_frame(world, &lane));
        assert_false(lane.is_broken);
        lane_close(world, &lane);
        world_destroy(world);
    }
}

/* The payload of a request that waits for a buffer is no frame, whatever it looks like. */
static void test_lane_piece__taken_behind_a_paused_payload__goes_on(void **state) {
    (void)state;
    const struct world_options options = {.lanes = true, .inline_buffers = 1};
    struct world *world = world_create(&options);
    struct lane_client lane;
    struct lane_client other;
    uint8_t bytes[LANE_FRAME_BYTES];
    const uint32_t payload_bytes = 2 * TAKEN_BYTES;
    lane_open(world, &other);
    open_rooted(world, &lane);
    world->hold_pulls = true;
    size_t size = frame_request(bytes, MKV_NATIVE_PUT, 9, 1, payload_bytes, true);
    lane_send(world, &other, bytes, size); /* it has the only buffer */
    world_await(world, WORLD_REQUEST, 1);
    ask(world, &lane, 1, 2 * SLOT, 1);
    expect_slot(world, &lane, 1, 2 * SLOT, 1, 0);
    size = frame_request(bytes, MKV_NATIVE_PUT, 2, 1, payload_bytes, true);
    uint8_t *payload = bytes + size - payload_bytes;
    taken_encode(payload, 1, 7); /* more than came: it would be refused */
    taken_encode(payload + TAKEN_BYTES, 1, 1);
    taken_encode(payload + payload_bytes, 1, 0); /* says nothing new */
    lane_send(world, &lane, bytes, size + TAKEN_BYTES);
    assert_false(has_frame(world, &lane));
    say_taken(world, &lane, 1, 1);
    expect_slot(world, &lane, 1, 2 * SLOT, 1, 1);
    lane_expect(world, &lane, MKV_NATIVE_GET, 1);
    const uint64_t hash = mkv_hash_64(payload, payload_bytes);
    world_pull(world, 0);
    lane_expect(world, &other, MKV_NATIVE_PUT, 9);
    world_await(world, WORLD_REQUEST, 3);
    world_pull(world, 2);
    lane_expect(world, &lane, MKV_NATIVE_PUT, 2);
    assert_true(world->requests[2].hashes[0] == hash);
    lane_close(world, &other);
    lane_close(world, &lane);
    world_destroy(world);
}

/* ---- the share of a round -------------------------------------------------------------------- */

/* What is hashed of one has its bound in each round, and one does not keep the other from it. */
static void test_lane_piece__two_large_gets__each_has_its_share_of_the_rounds(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lanes[2];
    const uint32_t slots = 24;
    fake_rdma.hold_writes = true;
    open_rooted(world, &lanes[0]);
    open_rooted(world, &lanes[1]);
    for (uint32_t i = 0; i < 2; i++) {
        ask(world, &lanes[i], i + 1, slots * SLOT, slots);
    }
    const struct mkv_tcp_lane_slot *first = slot_of(world, 0);
    const struct mkv_tcp_lane_slot *second = slot_of(world, 1);
    uint64_t before = first->turn_count + second->turn_count;
    assert_true(before < slots);
    while (before < slots) {
        mkv_fabric_tcp_poll(world->fabric, mkv_clock_monotonic_ns());
        const uint64_t now = first->turn_count + second->turn_count;
        assert_true(now == before || now == before + 1);
        before = now;
    }
    assert_true(first->turn_count >= slots / 4);
    assert_true(second->turn_count >= slots / 4);
    fake_rdma.hold_writes = false;
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t index = 0; index < slots; index++) {
            expect_slot(world, &lanes[i], i + 1, slots * SLOT, slots, index);
        }
        lane_expect(world, &lanes[i], MKV_NATIVE_GET, i + 1);
    }
    lane_close(world, &lanes[0]);
    lane_close(world, &lanes[1]);
    world_destroy(world);
}

static void test_lane_piece__slots_without_roots_or_a_lane__refused(void **state) {
    (void)state;
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    ask(world, &lane, 1, SLOT, 1);
    struct frame frame = lane_frame(world, &lane);
    assert_int_equal(frame.header.status, MKV_STATUS_INVALID);
    world_frame_free(&frame);
    lane_close(world, &lane);
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    const struct mkv_native_header header = {.op = MKV_NATIVE_TAKEN,
                                             .body_bytes = MKV_NATIVE_TAKEN_BYTES};
    mkv_native_header_encode(&header, bytes);
    mkv_native_taken_encode(1, bytes + MKV_NATIVE_HEADER_BYTES);
    client_send(world, &client, bytes, MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_TAKEN_BYTES);
    client_expect_refusal(world, &client, "TAKEN");
    client_close(&client);
    world_destroy(world);
}

/* ---- PUT whose DATA says where --------------------------------------------------------------- */

/* DATA of all of an item, which says that it is a part of more, and that it is so many bytes behind
 * where it is. */
static void say_where(struct world *world, struct lane_client *lane, uint64_t request_id,
                      uint64_t byte_count, uint64_t at, bool is_wrong, uint64_t beyond) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES];
    const struct mkv_native_header header = {.op = MKV_NATIVE_DATA,
                                             .flags = MKV_NATIVE_FLAG_REMOTE,
                                             .request_id = request_id,
                                             .body_bytes = MKV_NATIVE_DATA_BYTES};
    struct mkv_native_data data = {
        .length = 2 * byte_count,
        .bytes = byte_count,
        .root = root_of(lane->memory + at, byte_count),
        .remote = {.address = (uint64_t)(uintptr_t)lane->memory + at + beyond,
                   .key = mkv_verbs_region_key(lane->region)},
    };
    data.root.bytes[3] ^= is_wrong ? 1 : 0;
    mkv_native_header_encode(&header, bytes);
    mkv_native_data_encode(&data, bytes + MKV_NATIVE_HEADER_BYTES);
    lane_send(world, lane, bytes, sizeof bytes);
}

static void expect_taken(struct world *world, struct lane_client *lane, uint64_t count) {
    uint64_t told = 0;
    struct frame frame = lane_frame(world, lane);
    assert_int_equal(frame.header.op, MKV_NATIVE_TAKEN);
    assert_int_equal(frame.header.request_id, 0);
    assert_int_equal(mkv_native_taken_decode(frame.body, &told), MKV_NATIVE_OK);
    assert_true(told == count);
    world_frame_free(&frame);
}

static void test_lane_piece__put_by_ready__is_read_where_data_says(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    open_rooted(world, &lane);
    static const uint64_t lengths[] = {1, SLOT, 5 * SLOT + 7, 32 * SLOT};
    const uint32_t count = sizeof lengths / sizeof lengths[0];
    for (uint32_t i = 0; i < count; i++) {
        lane_send(world, &lane, bytes,
                  frame_request(bytes, MKV_NATIVE_PUT, i + 1, 1, lengths[i], false));
        lane_expect(world, &lane, MKV_NATIVE_READY, i + 1);
        world_pattern_fill(i + 1, 0, lane.memory + 3, lengths[i]);
        say_where(world, &lane, i + 1, lengths[i], 3, false, 0);
        expect_taken(world, &lane, i + 1);
        lane_expect(world, &lane, MKV_NATIVE_PUT, i + 1);
        assert_true(world->requests[i].hashes[0] == mkv_hash_64(lane.memory + 3, lengths[i]));
    }
    const struct mkv_fabric_lane_counters *counters = mkv_fabric_tcp_lane_counters(world->fabric);
    assert_int_equal(mkv_histogram_total(&counters->read), 1 + 1 + 6 + 32);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_piece__several_are_read__taken_counts_them(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    open_rooted(world, &lane);
    fake_rdma.hold_reads = true;
    for (uint64_t id = 1; id <= 3; id++) {
        lane_send(world, &lane, bytes,
                  frame_request(bytes, MKV_NATIVE_PUT, id, 1, 2 * SLOT, false));
        lane_expect(world, &lane, MKV_NATIVE_READY, id);
        world_pattern_fill(id, 0, lane.memory + id * 2 * SLOT, 2 * SLOT);
        say_where(world, &lane, id, 2 * SLOT, id * 2 * SLOT, false, 0);
    }
    assert_false(has_frame(world, &lane));
    assert_int_equal(fake_rdma_posted(), 6);
    fake_rdma.hold_reads = false;
    uint64_t told = 0;
    for (uint64_t answers = 0; answers < 3;) {
        struct frame frame = lane_frame(world, &lane);
        if (frame.header.op == MKV_NATIVE_TAKEN) {
            const uint64_t before = told;
            assert_int_equal(mkv_native_taken_decode(frame.body, &told), MKV_NATIVE_OK);
            assert_true(told > before);
        } else {
            assert_int_equal(frame.header.op, MKV_NATIVE_PUT);
            answers++;
        }
        world_frame_free(&frame);
    }
    assert_int_equal(told, 3);
    lane_close(world, &lane);
    world_destroy(world);
}

static void test_lane_piece__other_root_than_data_says__refused(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    open_rooted(world, &lane);
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_PUT, 1, 1, SLOT, false));
    lane_expect(world, &lane, MKV_NATIVE_READY, 1);
    say_where(world, &lane, 1, SLOT, 0, true, 0);
    struct frame frame = lane_frame(world, &lane);
    assert_int_equal(frame.header.status, MKV_STATUS_INVALID);
    assert_non_null(strstr((const char *)frame.body, "root"));
    world_frame_free(&frame);
    client_await_end(world, &lane.client);
    lane_close(world, &lane);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PULL_OK), 0);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_DATA_ROOT], 1);
    world_destroy(world);
}

static void test_lane_piece__memory_of_nobody__lane_breaks(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    open_rooted(world, &lane);
    lane_send(world, &lane, bytes, frame_request(bytes, MKV_NATIVE_PUT, 1, 1, SLOT, false));
    lane_expect(world, &lane, MKV_NATIVE_READY, 1);
    say_where(world, &lane, 1, SLOT, LANE_MEMORY_BYTES - SLOT, false, 1);
    lane_await(world, &lane, &lane.is_broken);
    lane_close(world, &lane);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PULL_FAILED), 1);
    world_destroy(world);
}

/* ---- I3: the client's memory is its own behind the answer ------------------------------------ */

static void test_lane_piece__answered_while_it_is_read__answer_waits(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    open_rooted(world, &lane);
    fake_rdma.hold_reads = true;
    world->hold_answers = true;
    lane_send(world, &lane, bytes, lane_request(&lane, bytes, MKV_NATIVE_PUT, 1, 1, 2 * SLOT, 0));
    world_await(world, WORLD_REQUEST, 1);
    turns(world, &lane, 10);
    assert_int_equal(fake_rdma_posted(), 2);
    world_answer(world, 0); /* its deadline has come, say */
    assert_false(has_frame(world, &lane));
    fake_rdma.hold_reads = false;
    lane_expect(world, &lane, MKV_NATIVE_PUT, 1);
    assert_int_equal(fake_rdma_posted(), 0);
    lane_close(world, &lane);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define PIECE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        PIECE_TEST(test_lane_piece__get_into_slots__each_is_filled_in_its_turn),
        PIECE_TEST(test_lane_piece__slots_not_taken__wait_and_others_go_on),
        PIECE_TEST(test_lane_piece__two_gets_wait__each_goes_on_with_its_own),
        PIECE_TEST(test_lane_piece__taken_with_more_of_its_request__order_is_kept),
        PIECE_TEST(test_lane_piece__taken_of_more_than_came__refused),
        PIECE_TEST(test_lane_piece__slots_never_taken__connection_ends),
        PIECE_TEST(test_lane_piece__one_of_two_never_taken__connection_ends),
        PIECE_TEST(test_lane_piece__taken_behind_a_paused_request__goes_on),
        PIECE_TEST(test_lane_piece__much_taken_behind_a_paused_request__some_in_a_turn),
        PIECE_TEST(test_lane_piece__fault_behind_a_paused_request__waits_for_its_turn),
        PIECE_TEST(test_lane_piece__taken_behind_a_paused_payload__goes_on),
        PIECE_TEST(test_lane_piece__two_large_gets__each_has_its_share_of_the_rounds),
        PIECE_TEST(test_lane_piece__slots_without_roots_or_a_lane__refused),
        PIECE_TEST(test_lane_piece__put_by_ready__is_read_where_data_says),
        PIECE_TEST(test_lane_piece__several_are_read__taken_counts_them),
        PIECE_TEST(test_lane_piece__other_root_than_data_says__refused),
        PIECE_TEST(test_lane_piece__memory_of_nobody__lane_breaks),
        PIECE_TEST(test_lane_piece__answered_while_it_is_read__answer_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
