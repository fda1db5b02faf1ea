/* SPDX-License-Identifier: Apache-2.0 */
/* What clients tell of their lists of servers: with HELLO, and anew with PING. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backends/clock.h"
#include "backends/ring_views.h"
#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/backends/fabric_world.h"

/* Takes the answer of a frame that the server takes. */
static void expect_ok(struct world *world, struct client *client, enum mkv_native_op op) {
    struct frame frame = client_frame(world, client);
    assert_int_equal(frame.header.op, op);
    assert_int_equal(frame.header.status, MKV_STATUS_OK);
    world_frame_free(&frame);
}

/* A frame with a ring block at its end. */
static size_t add_ring(uint8_t *bytes, size_t byte_count, uint64_t hash) {
    struct mkv_native_header header;
    assert_int_equal(mkv_native_header_decode(bytes, &header), MKV_NATIVE_OK);
    header.flags |= MKV_NATIVE_FLAG_RING;
    header.body_bytes += MKV_NATIVE_RING_BYTES;
    mkv_native_header_encode(&header, bytes);
    mkv_native_ring_encode(hash, bytes + byte_count);
    return byte_count + MKV_NATIVE_RING_BYTES;
}

/* Says HELLO with the hash of a list; 0: without one. */
static struct client greeted(struct world *world, uint64_t hash) {
    struct client client = world_connect(world);
    uint8_t bytes[256];
    size_t byte_count = frame_hello(bytes);
    byte_count = hash != 0 ? add_ring(bytes, byte_count, hash) : byte_count;
    client_send(world, &client, bytes, byte_count);
    expect_ok(world, &client, MKV_NATIVE_HELLO);
    return client;
}

static void tell(struct world *world, struct client *client, uint64_t request_id, uint64_t hash) {
    uint8_t bytes[256];
    const size_t byte_count =
        add_ring(bytes, frame_simple(bytes, MKV_NATIVE_PING, request_id), hash);
    client_send(world, client, bytes, byte_count);
    expect_ok(world, client, MKV_NATIVE_PING);
}

static struct mkv_ring_told told(struct mkv_ring_views *views) {
    struct mkv_ring_told out;
    mkv_ring_views_read(views, &out);
    return out;
}

static void test_fabric_tcp_hello__rings_of_connections__are_those_told_last(void **state) {
    (void)state;
    struct mkv_ring_views *views = mkv_ring_views_create();
    struct world *world = world_create(&(struct world_options){.ring_views = views});
    struct client first = greeted(world, 0x11);
    struct client second = greeted(world, 0x11);
    struct client none = greeted(world, 0);
    uint8_t bytes[256];
    struct mkv_ring_told out = told(views);
    assert_int_equal(out.view_count, 1);
    assert_true(out.views[0].hash == 0x11);
    assert_int_equal(out.views[0].connection_count, 2);
    assert_int_equal(strncmp(out.views[0].address, "127.0.0.1:", 10), 0);
    /* One has a new list, then both. */
    tell(world, &second, 2, 0x22);
    assert_int_equal(told(views).view_count, 2);
    tell(world, &first, 2, 0x22);
    out = told(views);
    assert_int_equal(out.view_count, 1);
    assert_true(out.views[0].hash == 0x22);
    assert_int_equal(out.views[0].connection_count, 2);
    /* A PING without a block leaves it, and one with a list of nothing takes it back. */
    client_send(world, &first, bytes, frame_simple(bytes, MKV_NATIVE_PING, 3));
    expect_ok(world, &first, MKV_NATIVE_PING);
    assert_int_equal(told(views).views[0].connection_count, 2);
    tell(world, &second, 3, 0);
    assert_int_equal(told(views).views[0].connection_count, 1);
    /* One that told nothing at first may do so later. */
    tell(world, &none, 1, 0x33);
    assert_int_equal(told(views).view_count, 2);
    client_close(&first);
    client_close(&none);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (told(views).view_count > 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    client_close(&second);
    world_destroy(world);
    mkv_ring_views_destroy(views);
}

static void test_fabric_tcp_hello__ring_block_elsewhere__is_refused(void **state) {
    (void)state;
    struct mkv_ring_views *views = mkv_ring_views_create();
    struct world *world = world_create(&(struct world_options){.ring_views = views});
    struct client client = greeted(world, 0);
    uint8_t bytes[512];
    const size_t byte_count = frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false);
    /* No encoder makes it. */
    mkv_store_u16(bytes + 6, MKV_NATIVE_FLAG_RING);
    mkv_store_u64(bytes + 56, mkv_hash_64(bytes, 56));
    client_send(world, &client, bytes, byte_count);
    client_expect_refusal(world, &client, mkv_fabric_fault_text(MKV_NATIVE_BAD_FLAGS));
    assert_int_equal(told(views).view_count, 0);
    client_close(&client);
    world_destroy(world);
    mkv_ring_views_destroy(views);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_tcp_hello__rings_of_connections__are_those_told_last),
        cmocka_unit_test(test_fabric_tcp_hello__ring_block_elsewhere__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
