/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/lane_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/clock.h"

const struct world_options lane_world = {.lanes = true};

/* ---- what the endpoint tells ----------------------------------------------------------------- */

static void opened(void *context) {
    ((struct lane_client *)context)->is_open = true;
}

static void nothing(void *context) {
    (void)context;
}

static void transfer_done(void *context, uint64_t tag, bool is_ok) {
    (void)context;
    (void)tag;
    (void)is_ok;
    fail_msg("a client transfers nothing");
}

static void exposure_end(void *context, uint64_t tag) {
    (void)context;
    (void)tag;
}

static void broken(void *context, enum mkv_lane_reason reason, const char *problem) {
    struct lane_client *lane = context;
    (void)problem;
    lane->is_broken = true;
    lane->reason = reason;
}

static void drained(void *context) {
    ((struct lane_client *)context)->is_drained = true;
}

static const struct mkv_endpoint_ops ops = {
    .opened = opened,
    .readable = nothing,
    .writable = nothing,
    .transfer_done = transfer_done,
    .exposure_end = exposure_end,
    .broken = broken,
    .drained = drained,
};

/* ---- coming and going ------------------------------------------------------------------------ */

struct client lane_greeted(struct world *world, uint64_t wanted, uint32_t fallback,
                           uint64_t *features) {
    struct client client = world_connect(world);
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES];
    const struct mkv_native_header header = {.op = MKV_NATIVE_HELLO,
                                             .body_bytes = MKV_NATIVE_HELLO_BYTES};
    const struct mkv_native_hello hello = {.version_min = 1,
                                           .version_max = 1,
                                           .features = wanted,
                                           .fallback = fallback,
                                           .name = "lanes"};
    mkv_native_header_encode(&header, bytes);
    mkv_native_hello_encode(&hello, bytes + MKV_NATIVE_HEADER_BYTES);
    client_send(world, &client, bytes, sizeof bytes);
    struct frame frame = client_frame(world, &client);
    struct mkv_native_hello_answer answer;
    assert_int_equal(mkv_native_hello_answer_decode(frame.body, &answer), MKV_NATIVE_OK);
    *features = answer.features;
    world_frame_free(&frame);
    return client;
}

size_t lane_prepare(struct lane_client *lane, struct client client, uint32_t fallback,
                    uint8_t *bytes) {
    char problem[MKV_VERBS_PROBLEM_BYTES];
    const struct mkv_verbs_options options = {.device = fake_rdma.client_device, .gid_index = -1};
    *lane = (struct lane_client){.client = client};
    lane->memory = malloc(LANE_MEMORY_BYTES);
    assert_non_null(lane->memory);
    assert_true(mkv_verbs_open(&options, &lane->verbs, problem));
    assert_true(mkv_verbs_register(lane->verbs, lane->memory, LANE_MEMORY_BYTES, true,
                                   &lane->region, problem));
    assert_true(mkv_endpoint_create(lane->verbs, &ops, lane, &lane->endpoint, problem));
    struct mkv_native_connect own;
    mkv_endpoint_parameters(lane->endpoint, &own);
    own.fallback = fallback;
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_CONNECT, .request_id = 9, .body_bytes = MKV_NATIVE_CONNECT_BYTES};
    mkv_native_header_encode(&header, bytes);
    mkv_native_connect_encode(&own, bytes + MKV_NATIVE_HEADER_BYTES);
    return MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_CONNECT_BYTES;
}

void lane_finish(struct world *world, struct lane_client *lane) {
    struct mkv_native_connect peer;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    struct frame frame = client_frame(world, &lane->client);
    assert_int_equal(frame.header.op, MKV_NATIVE_CONNECT);
    assert_int_equal(frame.header.status, MKV_STATUS_OK);
    assert_int_equal(mkv_native_connect_decode(&frame.header, frame.body, &peer), MKV_NATIVE_OK);
    world_frame_free(&frame);
    assert_true(mkv_endpoint_connect(lane->endpoint, &peer, 0, problem));
    if (!fake_rdma.hold_probe) {
        lane_await(world, lane, &lane->is_open);
    }
}

void lane_open(struct world *world, struct lane_client *lane) {
    uint64_t features;
    uint8_t bytes[LANE_FRAME_BYTES];
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    assert_true(features == MKV_NATIVE_FEATURE_RDMA);
    client_send(world, &client, bytes, lane_prepare(lane, client, 0, bytes));
    lane_finish(world, lane);
}

void lane_close(struct world *world, struct lane_client *lane) {
    if (lane->client.fd >= 0) {
        client_close(&lane->client);
    }
    mkv_endpoint_stop(lane->endpoint, MKV_LANE_REASON_PEER, 0);
    const bool was_held = fake_rdma.hold_drain;
    fake_rdma.hold_drain = false;
    lane_await(world, lane, &lane->is_drained);
    fake_rdma.hold_drain = was_held;
    mkv_endpoint_destroy(lane->endpoint);
    mkv_verbs_unregister(lane->region);
    mkv_verbs_close(lane->verbs);
    free(lane->memory);
}

/* ---- talking --------------------------------------------------------------------------------- */

void lane_turn(struct world *world, struct lane_client *lane) {
    world_turn(world);
    (void)mkv_verbs_poll(lane->verbs, 0);
}

void lane_await(struct world *world, struct lane_client *lane, const bool *flag) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (!*flag) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        lane_turn(world, lane);
    }
}

void lane_send(struct world *world, struct lane_client *lane, const void *bytes,
               size_t byte_count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    size_t sent = 0;
    while (sent < byte_count) {
        const struct iovec iovec = {(uint8_t *)(uintptr_t)bytes + sent, byte_count - sent};
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        assert_false(lane->is_broken);
        sent += mkv_endpoint_send(lane->endpoint, &iovec, 1, 0);
        lane_turn(world, lane);
    }
}

static void receive(struct world *world, struct lane_client *lane, uint8_t *bytes,
                    size_t byte_count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    size_t received = 0;
    while (received < byte_count) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        received +=
            mkv_endpoint_receive(lane->endpoint, bytes + received, byte_count - received, 0);
        if (received < byte_count) {
            lane_turn(world, lane);
        }
    }
}

struct frame lane_frame(struct world *world, struct lane_client *lane) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    struct frame frame = {0};
    receive(world, lane, bytes, sizeof bytes);
    assert_int_equal(mkv_native_header_decode(bytes, &frame.header), MKV_NATIVE_OK);
    frame.body = malloc(frame.header.body_bytes + 1);
    frame.payload = malloc(frame.header.payload_bytes + 1);
    assert_non_null(frame.body);
    assert_non_null(frame.payload);
    receive(world, lane, frame.body, frame.header.body_bytes);
    receive(world, lane, frame.payload, frame.header.payload_bytes);
    frame.body[frame.header.body_bytes] = '\0';
    return frame;
}

void lane_expect(struct world *world, struct lane_client *lane, enum mkv_native_op op,
                 uint64_t request_id) {
    struct frame frame = lane_frame(world, lane);
    assert_int_equal(frame.header.op, op);
    assert_int_equal(frame.header.request_id, request_id);
    assert_int_equal(frame.header.status, MKV_STATUS_OK);
    world_frame_free(&frame);
}

size_t lane_request(const struct lane_client *lane, uint8_t *bytes, enum mkv_native_op op,
                    uint64_t request_id, uint32_t item_count, uint64_t length, uint64_t offset) {
    uint8_t *body = bytes + MKV_NATIVE_HEADER_BYTES;
    uint32_t body_bytes = item_count * (MKV_NATIVE_ITEM_BYTES + MKV_NATIVE_REMOTE_BYTES);
    for (uint32_t i = 0; i < item_count; i++) {
        char key[64];
        const int key_bytes =
            snprintf(key, sizeof key, "k%llu-%u", (unsigned long long)request_id, i);
        const struct mkv_native_item item = {.length = length, .key_bytes = (uint32_t)key_bytes};
        const struct mkv_native_remote remote = {
            .address = (uint64_t)(uintptr_t)(lane->memory + offset + i * length),
            .key = mkv_verbs_region_key(lane->region),
        };
        mkv_native_item_encode(&item, body + i * MKV_NATIVE_ITEM_BYTES);
        mkv_native_remote_encode(&remote, body + item_count * MKV_NATIVE_ITEM_BYTES +
                                              i * MKV_NATIVE_REMOTE_BYTES);
        memcpy(body + body_bytes, key, (size_t)key_bytes);
        body_bytes += (uint32_t)key_bytes;
    }
    const struct mkv_native_header header = {
        .op = op,
        .flags = MKV_NATIVE_FLAG_REMOTE,
        .request_id = request_id,
        .item_count = item_count,
        .body_bytes = body_bytes,
    };
    mkv_native_header_encode(&header, bytes);
    return MKV_NATIVE_HEADER_BYTES + body_bytes;
}
