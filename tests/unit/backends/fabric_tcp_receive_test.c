/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads that come in pieces: each piece against the root that it came with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/backends/fabric_world.h"

#define PIECE_BYTES 70000u
#define HEAD_BYTES (MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES)

static struct client greeted(struct world *world, uint64_t features) {
    struct client client = world_connect(world);
    uint8_t bytes[256];
    const size_t byte_count = frame_hello(bytes);
    mkv_store_u64(bytes + MKV_NATIVE_HEADER_BYTES + 8, features);
    client_send(world, &client, bytes, byte_count);
    struct frame frame = client_frame(world, &client);
    assert_int_equal(frame.header.status, MKV_STATUS_OK);
    world_frame_free(&frame);
    return client;
}

/* A PUT whose READY has come, and DATA of the first piece of a longer value: with the piece's root,
 * and one byte of the piece flipped behind it (PIECE_BYTES: none). */
static void put_piece(struct world *world, struct client *client, uint32_t flipped) {
    static uint8_t bytes[HEAD_BYTES + PIECE_BYTES];
    uint8_t request[512];
    uint64_t sums[MKV_CHUNKS_MAX];
    client_send(world, client, request,
                frame_request(request, MKV_NATIVE_PUT, 1, 1, PIECE_BYTES, false));
    struct frame ready = client_frame(world, client);
    assert_int_equal(ready.header.op, MKV_NATIVE_READY);
    world_frame_free(&ready);
    assert_int_equal(frame_data(bytes, 1, 0, 0, PIECE_BYTES), HEAD_BYTES);
    world_pattern_fill(1, 0, bytes + HEAD_BYTES, PIECE_BYTES);
    mkv_chunk_sums(bytes + HEAD_BYTES, PIECE_BYTES, sums);
    const struct mkv_native_data data = {.length = PIECE_BYTES + 1u,
                                         .bytes = PIECE_BYTES,
                                         .root = mkv_root_of_sums(PIECE_BYTES, sums)};
    mkv_native_data_encode(&data, bytes + MKV_NATIVE_HEADER_BYTES);
    if (flipped < PIECE_BYTES) {
        bytes[HEAD_BYTES + flipped] ^= 0x10u;
    }
    client_send(world, client, bytes, sizeof bytes);
}

static void test_fabric_tcp_receive__piece_with_its_root__is_taken(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = greeted(world, MKV_NATIVE_FEATURE_ROOTS);
    put_piece(world, &client, PIECE_BYTES);
    world_await(world, WORLD_PULL_OK, 1);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_DATA_ROOT], 0);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_receive__piece_damaged_on_its_way__is_refused(void **state) {
    (void)state;
    static const uint32_t places[] = {0, 40000, PIECE_BYTES - 1};
    for (size_t index = 0; index < sizeof places / sizeof places[0]; index++) {
        struct world *world = world_create(NULL);
        struct client client = greeted(world, MKV_NATIVE_FEATURE_ROOTS);
        put_piece(world, &client, places[index]);
        client_expect_refusal(world, &client, mkv_fabric_fault_text(MKV_FABRIC_FAULT_DATA_ROOT));
        assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_DATA_ROOT], 1);
        client_close(&client);
        world_await(world, WORLD_CLOSED, 1);
        assert_int_equal(world_count(world, WORLD_PULL_FAILED), 1);
        assert_int_equal(world_count(world, WORLD_PULL_OK), 0);
        world_destroy(world);
    }
}

/* Without the feature a piece has no root: what stands in its place is nobody's. */
static void test_fabric_tcp_receive__roots_were_not_agreed__are_not_compared(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = greeted(world, 0);
    uint8_t request[512];
    static uint8_t bytes[HEAD_BYTES + PIECE_BYTES];
    client_send(world, &client, request,
                frame_request(request, MKV_NATIVE_PUT, 1, 1, PIECE_BYTES, false));
    struct frame ready = client_frame(world, &client);
    world_frame_free(&ready);
    frame_data(bytes, 1, 0, 0, PIECE_BYTES);
    const struct mkv_native_data data = {.length = PIECE_BYTES + 1u, .bytes = PIECE_BYTES};
    mkv_native_data_encode(&data, bytes + MKV_NATIVE_HEADER_BYTES);
    world_pattern_fill(1, 0, bytes + HEAD_BYTES, PIECE_BYTES);
    client_send(world, &client, bytes, sizeof bytes);
    world_await(world, WORLD_PULL_OK, 1);
    client_close(&client);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_tcp_receive__piece_with_its_root__is_taken),
        cmocka_unit_test(test_fabric_tcp_receive__piece_damaged_on_its_way__is_refused),
        cmocka_unit_test(test_fabric_tcp_receive__roots_were_not_agreed__are_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
