/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv by RDMA: values that go piece by piece. Those above one block, those that a source
 * supplies or a target consumes, and those that are larger than what can be registered for them.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <unistd.h>

#include "client/engine.h"
#include "tests/unit/client/test_rdma.h"

#define MIB (1024ull * 1024u)

/* A value that is read or written by functions. */
struct flow {
    uint8_t *bytes;
    uint64_t byte_count;
    uint64_t done; /* of the target: so much has come, in order */
    uint32_t calls;
    uint32_t fail_at; /* 1, 2 …: this call fails; 0: none */
};

static int source(void *context, uint64_t offset, void *buffer, size_t byte_count) {
    struct flow *flow = context;
    flow->calls++;
    if (flow->fail_at == flow->calls) {
        return 7;
    }
    assert_true(offset + byte_count <= flow->byte_count);
    memcpy(buffer, flow->bytes + offset, byte_count);
    return 0;
}

static int target(void *context, uint64_t offset, uint64_t value_bytes, const void *data,
                  size_t byte_count) {
    struct flow *flow = context;
    flow->calls++;
    if (flow->fail_at == flow->calls) {
        return 7;
    }
    assert_true(value_bytes == flow->byte_count);
    assert_true(offset == flow->done);
    assert_true(byte_count <= flow->byte_count - offset);
    if (byte_count > 0 && memcmp(flow->bytes + offset, data, byte_count) != 0) {
        fail_msg("other bytes at %llu", (unsigned long long)offset);
    }
    flow->done += byte_count;
    return 0;
}

static struct flow flow_of(uint32_t seed, uint64_t byte_count) {
    return (struct flow){.bytes = test_rdma_value(seed, byte_count + 1), .byte_count = byte_count};
}

static void put_stream(struct memkv_client *client, const char *key, struct flow *flow) {
    struct memkv_error error;
    const struct memkv_put_options options = {.flags = MEMKV_REPLACE};
    flow->calls = 0;
    if (memkv_put_stream(client, key, strlen(key), flow->byte_count, &options, source, flow,
                         &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
}

static void get_stream(struct memkv_client *client, const char *key, struct flow *flow) {
    struct memkv_error error;
    flow->calls = 0;
    flow->done = 0;
    if (memkv_get_stream(client, key, strlen(key), target, flow, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    assert_true(flow->done == flow->byte_count);
}

static struct test_server *server_of_blocks(uint64_t block_bytes_max) {
    struct test_server_options options = test_with_rdma;
    options.limits = test_limits();
    options.limits.features = MKV_NATIVE_FEATURE_ROOTS;
    options.limits.block_bytes_max = block_bytes_max;
    return test_server_start(&options);
}

static struct mkv_rdma_memory *memory_of(struct memkv_client *client) {
    return &client->rdma->ports[0].memory;
}

/* Nothing of the library's own memory is in use. */
static void expect_nothing_held(struct memkv_client *client) {
    const struct mkv_rdma_memory *memory = memory_of(client);
    assert_int_equal(client->rdma->ports[0].place_count, 0);
    assert_int_equal(test_verbs.exposures, 0);
    for (uint32_t index = 0; index < MKV_RDMA_STAGES; index++) {
        assert_false(memory->stages[index].is_used);
    }
    assert_int_equal(test_rdma_bounced(client), 0);
}

/* ---- values --------------------------------------------------------------------------------- */

static void test_client_rdma_piece__streams_of_all_sizes__no_byte_between_headers(void **state) {
    (void)state;
    static const uint64_t sizes[] = {65537,       300000,      MIB,         MIB + 1,
                                     3 * MIB + 7, 4 * MIB + 1, 9 * MIB + 5, 33 * MIB + 1};
    static const uint64_t blocks[] = {MIB, 4 * MIB, 32 * MIB};
    for (size_t block = 0; block < sizeof blocks / sizeof blocks[0]; block++) {
        struct test_server *server = server_of_blocks(blocks[block]);
        struct memkv_client *client = test_client_open(server, 20000);
        for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
            if (sizes[index] > MKV_REQUEST_READY_MAX * blocks[block]) {
                continue; /* the test server asks for all at once */
            }
            struct flow flow = flow_of((uint32_t)index, sizes[index]);
            put_stream(client, "k", &flow);
            get_stream(client, "k", &flow);
            /* Nothing of a block is seen before all of it has come and was compared. */
            if (sizes[index] <= blocks[block]) {
                assert_int_equal(flow.calls, 1);
            }
            expect_nothing_held(client);
            free(flow.bytes);
        }
        assert_int_equal(server->stream_bytes, 0);
        assert_int_equal(server->connect_count, 1);
        test_rdma_end(client, server);
    }
}

static void test_client_rdma_piece__small_and_empty_streams__come_back(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0, 1, 300, 65536};
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        struct flow flow = flow_of((uint32_t)index, sizes[index]);
        put_stream(client, "k", &flow);
        get_stream(client, "k", &flow);
        assert_int_equal(flow.calls, 1);
        free(flow.bytes);
    }
    assert_int_equal(server->takens, 0);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__value_in_registered_memory__is_read_from_there(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    uint64_t handle;
    const uint64_t byte_count = 5 * MIB + 3;
    uint8_t *put = test_rdma_value(1, byte_count);
    uint8_t *got = malloc(byte_count);
    assert_int_equal(memkv_buffer_register(client, put, byte_count, &handle, &error), MEMKV_OK);
    assert_int_equal(memkv_buffer_register(client, got, byte_count, &handle, &error), MEMKV_OK);
    test_rdma_put(client, "k", put, byte_count);
    test_rdma_get(client, "k", put, byte_count, got);
    assert_int_equal(server->remote_pieces, 6);
    assert_int_equal(test_verbs.registrations, 2);
    assert_int_equal(server->stream_bytes, 0);
    expect_nothing_held(client);
    test_rdma_end(client, server);
    free(put);
    free(got);
}

static void test_client_rdma_piece__value_in_other_memory__goes_by_stages(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *put = test_rdma_value(1, 7 * MIB);
    uint8_t *got = malloc(7 * MIB);
    for (uint32_t round = 0; round < 3; round++) {
        put[5 * MIB] = (uint8_t)round;
        test_rdma_put(client, "k", put, 7 * MIB);
        test_rdma_get(client, "k", put, 7 * MIB, got);
    }
    assert_int_equal(server->remote_pieces, 21);
    assert_int_equal(server->stream_bytes, 0);
    /* Two stages, which stay, and the buffer of each get, which is not kept registered. */
    assert_int_equal(test_verbs.registrations, 2 + 3);
    assert_int_equal(test_verbs.regions, 2);
    expect_nothing_held(client);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__larger_than_is_registered__is_copied_out_of_slots(
    void **state) {
    (void)state;
    struct test_server *server = server_of_blocks(8 * MIB);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    const uint64_t byte_count = MKV_RDMA_CACHED_RANGE_BYTES_MAX + MIB + 9;
    uint8_t *put = test_rdma_value(1, byte_count);
    uint8_t *got = malloc(byte_count);
    test_rdma_put(client, "k", put, byte_count);
    test_rdma_get(client, "k", put, byte_count, got);
    assert_int_equal(server->stream_bytes, 0);
    /* In a batch, and a part of it. */
    struct memkv_item items[2];
    memset(got, 0, byte_count);
    for (uint32_t index = 0; index < 2; index++) {
        items[index] = (struct memkv_item){.op = MEMKV_OP_GET,
                                           .key = "k",
                                           .key_bytes = 1,
                                           .offset = index * 1000,
                                           .length = byte_count / 2,
                                           .buffer = got + index * (byte_count / 2),
                                           .capacity = byte_count / 2};
    }
    memory_of(client)->refused_ns = mkv_client_now_ns() + 10000000000ull;
    assert_int_equal(memkv_batch(client, items, 2, &error), MEMKV_OK);
    assert_memory_equal(got, put, byte_count / 2);
    assert_memory_equal(got + byte_count / 2, put + 1000, byte_count / 2);
    assert_int_equal(server->stream_bytes, 0);
    memory_of(client)->refused_ns = 0;
    expect_nothing_held(client);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__nothing_can_be_registered__goes_through_the_stream(
    void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct flow flow = flow_of(1, 3 * MIB + 1);
    test_verbs.refuses_to_register = true;
    put_stream(client, "k", &flow);
    get_stream(client, "k", &flow);
    assert_int_equal(server->stream_bytes, 2 * (3 * MIB + 1));
    assert_int_equal(server->remote_frames, 0);
    assert_int_equal(server->connect_count, 1);
    free(flow.bytes);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__server_sends_in_the_stream__taken(void **state) {
    (void)state;
    struct test_server_options options = test_with_rdma;
    options.limits = test_limits();
    options.limits.features = MKV_NATIVE_FEATURE_ROOTS;
    options.puts_by_stream = true;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 10000);
    struct flow flow = flow_of(1, 5 * MIB + 1);
    put_stream(client, "k", &flow);
    get_stream(client, "k", &flow);
    assert_int_equal(server->takens, 0);
    expect_nothing_held(client);
    free(flow.bytes);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__server_without_roots__goes_through_the_stream(void **state) {
    (void)state;
    struct test_server *server = test_server_start(&test_with_rdma);
    struct memkv_client *client = test_client_open(server, 10000);
    struct flow flow = flow_of(1, 3 * MIB + 1);
    put_stream(client, "k", &flow);
    get_stream(client, "k", &flow);
    assert_int_equal(server->remote_frames, 0);
    assert_int_equal(server->remote_pieces, 0);
    free(flow.bytes);
    test_rdma_end(client, server);
}

/* ---- faults --------------------------------------------------------------------------------- */

static void expect_corrupt(uint64_t block_bytes_max, uint32_t corrupt_at, uint64_t seen_max) {
    struct test_server_options options = test_with_rdma;
    options.limits = test_limits();
    options.limits.features = MKV_NATIVE_FEATURE_ROOTS;
    options.limits.block_bytes_max = block_bytes_max;
    options.corrupt_at = corrupt_at;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    struct flow flow = flow_of(1, 4 * MIB);
    put_stream(client, "k", &flow);
    flow.calls = 0;
    assert_int_equal(memkv_get_stream(client, "k", 1, target, &flow, &error), MEMKV_CORRUPT);
    assert_in_range(flow.done, 0, seen_max);
    get_stream(client, "k", &flow);
    assert_int_equal(server->connection_count, 1);
    expect_nothing_held(client);
    free(flow.bytes);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__flipped_bit__target_does_not_see_it(void **state) {
    (void)state;
    expect_corrupt(MIB, 3, 2 * MIB);
    expect_corrupt(8 * MIB, 3, 0); /* a block is seen whole or not at all */
}

static void test_client_rdma_piece__target_fails__call_fails_and_the_next_does_not(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    struct flow flow = flow_of(1, 15 * MIB);
    put_stream(client, "k", &flow);
    flow.calls = 0;
    flow.fail_at = 12;
    assert_int_equal(memkv_get_stream(client, "k", 1, target, &flow, &error), MEMKV_CALLBACK);
    expect_nothing_held(client);
    flow.fail_at = 0;
    get_stream(client, "k", &flow);
    free(flow.bytes);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__source_fails__call_fails_and_the_next_does_not(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    struct flow flow = flow_of(1, 9 * MIB);
    flow.fail_at = 5;
    assert_int_equal(memkv_put_stream(client, "k", 1, flow.byte_count, NULL, source, &flow, &error),
                     MEMKV_CALLBACK);
    expect_nothing_held(client);
    flow.fail_at = 0;
    put_stream(client, "k", &flow);
    get_stream(client, "k", &flow);
    free(flow.bytes);
    test_rdma_end(client, server);
}

/* A server that did not answer is well again: until then calls fail that wait for it for long. */
static void await_well(struct memkv_client *client) {
    uint32_t round = 0;
    while (memkv_ping(client, NULL) != MEMKV_OK) {
        assert_true(++round < 60000);
        usleep(1000);
    }
}

/* What the server has not said to have read is not written over. */
static void test_client_rdma_piece__nothing_is_taken__no_stage_is_used_again(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 1000);
    struct memkv_error error;
    struct flow flow = flow_of(1, 9 * MIB);
    server->holds_taken = 1;
    assert_int_equal(memkv_put_stream(client, "k", 1, flow.byte_count, NULL, source, &flow, &error),
                     MEMKV_UNKNOWN);
    assert_int_equal(flow.calls, MKV_RDMA_STAGES);
    assert_int_equal(server->remote_pieces, MKV_RDMA_STAGES);
    expect_nothing_held(client);
    server->holds_taken = 0;
    memkv_set_timeout(client, 20000);
    await_well(client);
    put_stream(client, "k", &flow);
    get_stream(client, "k", &flow);
    free(flow.bytes);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__another_server_has_all_stages__goes_through_the_stream(
    void **state) {
    (void)state;
    struct test_server *servers[] = {test_rdma_server(), test_rdma_server()};
    char list[80];
    snprintf(list, sizeof list, "%s,%s", servers[0]->address, servers[1]->address);
    const struct memkv_options options = {.servers = list, .timeout_ms = 20000};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    struct memkv_completion completion;
    char keys[2][16];
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_OK);
    assert_int_equal(client->remote_count, 2);
    const uint32_t silent =
        strcmp(client->remotes[0]->address.text, servers[0]->address) == 0 ? 0 : 1;
    test_rdma_key(client, silent, keys[0], sizeof keys[0]);
    test_rdma_key(client, 1 - silent, keys[1], sizeof keys[1]);
    struct flow flow = flow_of(1, 9 * MIB);
    servers[0]->holds_taken = 1;
    struct memkv_item item = {.op = MEMKV_OP_PUT,
                              .key = keys[0],
                              .key_bytes = strlen(keys[0]),
                              .data = flow.bytes,
                              .data_bytes = flow.byte_count};
    assert_int_equal(memkv_submit(client, &item, 1, 1, 20000, NULL), MEMKV_OK);
    while (servers[0]->remote_pieces < MKV_RDMA_STAGES) {
        assert_int_equal(memkv_wait(client, &completion, 1, 1), 0);
    }
    put_stream(client, keys[1], &flow);
    test_rdma_put(client, keys[1], flow.bytes, flow.byte_count);
    assert_int_equal(servers[1]->remote_pieces, 0);
    assert_int_equal(memkv_in_flight(client), 1);
    get_stream(client, keys[1], &flow);
    assert_int_equal(memkv_cancel(client, 1, NULL), MEMKV_OK);
    expect_nothing_held(client);
    put_stream(client, keys[1], &flow);
    assert_true(servers[1]->remote_pieces > 0);
    servers[0]->holds_taken = 0;
    free(flow.bytes);
    test_rdma_end(client, servers[0]);
    test_server_stop(servers[1]);
}

static void test_client_rdma_piece__taken_of_more_than_was_sent__connection_ends(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    struct flow flow = flow_of(1, 9 * MIB);
    server->taken_extra = 3;
    assert_int_equal(memkv_put_stream(client, "k", 1, flow.byte_count, NULL, source, &flow, &error),
                     MEMKV_UNKNOWN);
    assert_non_null(strstr(error.text, "TAKEN"));
    expect_nothing_held(client);
    server->taken_extra = 0;
    put_stream(client, "k", &flow);
    free(flow.bytes);
    test_rdma_end(client, server);
}

static void test_client_rdma_piece__lane_breaks_under_way__next_goes_over_tcp(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    struct flow flow = flow_of(1, 9 * MIB);
    put_stream(client, "k", &flow);
    server->holds_writes = true;
    flow.calls = 0;
    memkv_set_timeout(client, 500);
    assert_int_equal(memkv_get_stream(client, "k", 1, target, &flow, &error), MEMKV_DEADLINE);
    memkv_set_timeout(client, 20000);
    server->holds_writes = false;
    test_lanes_break(MKV_LANE_REASON_RETRY_EXCEEDED);
    get_stream(client, "k", &flow);
    expect_nothing_held(client);
    free(flow.bytes);
    test_rdma_end(client, server);
}

/* Not to be registered as a whole, so that it comes by way of slots. */
#define SLOTS_BYTES (MKV_RDMA_CACHED_RANGE_BYTES_MAX + MIB)

/* A client with a value of SLOTS_BYTES under "k". */
struct slots_world {
    struct test_server *server;
    struct memkv_client *client;
    uint8_t *put;
    uint8_t *got;
    struct memkv_item get;
    struct memkv_item exists;
};

static struct slots_world slots_begin(void) {
    struct slots_world world = {.server = server_of_blocks(8 * MIB),
                                .put = test_rdma_value(1, SLOTS_BYTES),
                                .got = malloc(SLOTS_BYTES)};
    world.client = test_client_open(world.server, 20000);
    test_rdma_put(world.client, "k", world.put, SLOTS_BYTES);
    world.get = (struct memkv_item){.op = MEMKV_OP_GET,
                                    .key = "k",
                                    .key_bytes = 1,
                                    .buffer = world.got,
                                    .capacity = SLOTS_BYTES};
    world.exists = (struct memkv_item){.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1};
    memset(world.got, 0x77, SLOTS_BYTES);
    return world;
}

/* Nothing has come to the caller's memory since the call was over. */
static void slots_end(struct slots_world *world) {
    for (uint64_t index = 0; index < SLOTS_BYTES; index += 4096) {
        assert_int_equal(world->got[index], 0x77);
    }
    expect_nothing_held(world->client);
    free(world->put);
    free(world->got);
    test_rdma_end(world->client, world->server);
}

/* A get that is over before its time leaves its slots to the server until that has answered, while
 * others are under way there. */
static void test_client_rdma_piece__deadline_of_a_get__slots_stay_the_servers(void **state) {
    (void)state;
    struct slots_world world = slots_begin();
    struct memkv_client *client = world.client;
    struct memkv_completion completion;
    world.server->holds_writes = true;
    world.server->defers_exists = true;
    assert_int_equal(memkv_submit(client, &world.get, 1, 7, 300, NULL), MEMKV_OK);
    assert_int_equal(memkv_submit(client, &world.exists, 1, 0, 20000, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 5000), 1);
    assert_int_equal(world.get.status, MEMKV_DEADLINE);
    assert_int_equal(test_rdma_bounced(client), 1);
    world.server->holds_writes = false;
    /* What still comes is dropped, and every slot of it taken, until it is answered. */
    assert_int_equal(memkv_wait(client, &completion, 1, 20000), 1);
    assert_int_equal(world.exists.status, MEMKV_OK);
    assert_int_equal(test_rdma_bounced(client), 0);
    assert_int_equal(world.server->connect_count, 1);
    assert_true(world.server->takens > 0);
    slots_end(&world);
}

/* Between calls nobody takes slots: the server would wait in vain. */
static void test_client_rdma_piece__cancelled_get_alone__its_connection_ends_with_it(void **state) {
    (void)state;
    struct slots_world world = slots_begin();
    struct memkv_client *client = world.client;
    struct memkv_completion completion;
    world.server->holds_writes = true;
    assert_int_equal(memkv_submit(client, &world.get, 1, 7, 20000, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 30), 0);
    assert_int_equal(test_rdma_bounced(client), 1);
    assert_int_equal(memkv_cancel(client, 7, NULL), MEMKV_OK);
    assert_int_equal(test_rdma_bounced(client), 0);
    world.server->holds_writes = false;
    assert_int_equal(memkv_wait(client, &completion, 1, 0), 1);
    assert_int_equal(world.get.status, MEMKV_CANCELLED);
    for (uint32_t round = 0; round < 10000 && world.server->late_writes == 0; round++) {
        usleep(1000);
    }
    assert_int_equal(world.server->late_writes, 1);
    /* It was this side's doing: the next goes by RDMA again. */
    assert_int_equal(memkv_exists(client, "k", 1, NULL), MEMKV_OK);
    assert_int_equal(world.server->connect_count, 2);
    slots_end(&world);
}

static void test_client_rdma_piece__cancelled_get_and_another_call__ends_behind_that(void **state) {
    (void)state;
    struct slots_world world = slots_begin();
    struct memkv_client *client = world.client;
    struct memkv_completion completion;
    assert_int_equal(memkv_submit(client, &world.get, 1, 7, 20000, NULL), MEMKV_OK);
    assert_int_equal(memkv_submit(client, &world.exists, 1, 0, 20000, NULL), MEMKV_OK);
    for (uint32_t round = 0; round < 10000 && world.server->remote_gets < MKV_RDMA_SLOTS; round++) {
        usleep(1000);
    }
    assert_true(world.server->remote_gets >= MKV_RDMA_SLOTS); /* then it waits for TAKEN */
    assert_int_equal(memkv_cancel(client, 7, NULL), MEMKV_OK);
    memset(world.got, 0x77, SLOTS_BYTES);
    assert_int_equal(test_rdma_bounced(client), 1);
    assert_int_equal(memkv_wait(client, &completion, 1, 0), 1);
    assert_int_equal(completion.cookie, 7);
    assert_int_equal(memkv_wait(client, &completion, 1, 10000), 1);
    assert_int_equal(world.exists.status, MEMKV_OK);
    assert_int_equal(test_rdma_bounced(client), 0);
    assert_int_equal(world.server->connection_count, 1);
    slots_end(&world);
}

/* ---- bounce buffers ------------------------------------------------------------------------- */

/* No more than a small value needs is registered for it, and more behind a large one. */
static void test_client_rdma_piece__streamed_gets__registered_memory_grows_with_them(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct flow small = flow_of(1, 300000);
    struct flow large = flow_of(2, 9 * MIB);
    put_stream(client, "small", &small);
    put_stream(client, "large", &large);
    const unsigned long locked = test_verbs.locked; /* of stages */
    get_stream(client, "small", &small);
    assert_int_equal(server->remote_gets, 1);
    assert_int_equal(test_verbs.locked - locked, MKV_RDMA_SLOTS_FIRST * MIB);
    get_stream(client, "large", &large);
    assert_int_equal(test_verbs.locked - locked, MKV_RDMA_SLOTS_FIRST * MIB);
    get_stream(client, "large", &large);
    assert_int_equal(test_verbs.locked - locked, (MKV_RDMA_SLOTS_FIRST + MKV_RDMA_SLOTS) * MIB);
    assert_int_equal(server->stream_bytes, 0);
    expect_nothing_held(client);
    free(small.bytes);
    free(large.bytes);
    test_rdma_end(client, server);
}

/* A piece of a streamed value costs a TAKEN at most, and that no more than one doorbell. */
static void test_client_rdma_piece__streamed_get__no_more_said_than_pieces_taken(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 20000);
    struct flow flow = flow_of(1, 10 * MIB);
    put_stream(client, "k", &flow);
    const uint32_t doorbells = test_verbs.doorbells;
    get_stream(client, "k", &flow);
    get_stream(client, "k", &flow);
    assert_in_range(server->takens, 2, 2 * 9); /* not of the last one */
    assert_in_range(test_verbs.doorbells - doorbells, 4, 2 * 10);
    free(flow.bytes);
    test_rdma_end(client, server);
}

/* A value up to one block that the slots hold goes to the target from there: nothing is said. */
static void test_client_rdma_piece__block_that_the_slots_hold__stays_in_them(void **state) {
    (void)state;
    static const uint64_t sizes[] = {300000, MIB, 3 * MIB + 7, 4 * MIB};
    struct test_server *server = server_of_blocks(8 * MIB);
    struct memkv_client *client = test_client_open(server, 20000);
    for (uint32_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        struct flow flow = flow_of(index, sizes[index]);
        put_stream(client, "k", &flow);
        get_stream(client, "k", &flow);
        assert_int_equal(flow.calls, 1);
        free(flow.bytes);
    }
    assert_int_equal(server->remote_gets, 1 + 1 + 4 + 4);
    assert_int_equal(memkv_exists(client, "k", 1, NULL), MEMKV_OK); /* behind what was said */
    assert_int_equal(server->takens, 0);
    expect_nothing_held(client);
    test_rdma_end(client, server);
}

/* The server needs slots again, whatever its pieces are. */
static void test_client_rdma_piece__block_in_pieces_of_other_sizes__comes_all_the_same(
    void **state) {
    (void)state;
    (void)mallopt(M_PERTURB, 0xa5); /* no memory has old bytes of the value */
    for (uint32_t full_pieces = 1; full_pieces <= 4; full_pieces++) {
        struct test_server_options options = test_with_rdma;
        options.limits = test_limits();
        options.limits.features = MKV_NATIVE_FEATURE_ROOTS;
        options.limits.block_bytes_max = 8 * MIB;
        options.full_pieces = full_pieces;
        struct test_server *server = test_server_start(&options);
        struct memkv_client *client = test_client_open(server, 20000);
        struct flow flow = flow_of(full_pieces, 4 * MIB - 5);
        put_stream(client, "k", &flow);
        get_stream(client, "k", &flow);
        assert_int_equal(flow.calls, 1);
        assert_int_equal(server->connection_count, 1);
        expect_nothing_held(client);
        free(flow.bytes);
        test_rdma_end(client, server);
    }
    (void)mallopt(M_PERTURB, 0);
}

/* Takes bounce buffers of `bytes` each, and says how many there were of `count`. */
static uint32_t bounces_take(struct memkv_client *client, struct mkv_rdma_place *places,
                             uint32_t count, uint64_t bytes) {
    static uint8_t source[MKV_RDMA_BOUNCE_BYTES];
    struct mkv_rdma_port *port = &client->rdma->ports[0];
    uint32_t taken = 0;
    while (taken < count && mkv_rdma_place_take(port, source, bytes, true, false, &places[taken])) {
        assert_int_equal(places[taken].kind, MKV_RDMA_BOUNCED);
        memset(places[taken].bounce, (int)taken + 1, bytes);
        taken++;
    }
    for (uint32_t index = 0; index < taken; index++) {
        assert_int_equal(places[index].bounce[0], index + 1);
        assert_int_equal(places[index].bounce[bytes - 1], index + 1);
    }
    return taken;
}

static void bounces_give(struct memkv_client *client, struct mkv_rdma_place *places,
                         uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        mkv_rdma_place_give(&client->rdma->ports[0], &places[index], false);
    }
}

static void test_client_rdma_piece__bounce_buffers__are_made_as_needed_and_bounded(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct mkv_rdma_place places[32];
    assert_int_equal(bounces_take(client, places, 1, 100), 1);
    assert_int_equal(test_verbs.locked, MIB);
    bounces_give(client, places, 1);
    assert_int_equal(bounces_take(client, places, 32, MIB), 16);
    assert_int_equal(test_verbs.locked, MKV_RDMA_BOUNCE_BYTES);
    assert_int_equal(test_verbs.registrations, 5); /* 1, 1, 2, 4 and 8 MiB */
    bounces_give(client, places, 16);
    /* One large one: the small ones make way. */
    assert_int_equal(bounces_take(client, places, 32, 16 * MIB), 1);
    assert_int_equal(test_verbs.locked, MKV_RDMA_BOUNCE_BYTES);
    assert_int_equal(test_verbs.regions, 1);
    bounces_give(client, places, 1);
    assert_int_equal(bounces_take(client, places, 32, 3 * MIB), 5);
    assert_int_equal(bounces_take(client, places + 5, 32, MIB + 1), 0);
    assert_int_equal(bounces_take(client, places + 5, 32, MIB), 1);
    bounces_give(client, places, 6);
    assert_int_equal(test_verbs.registrations, 6);
    expect_nothing_held(client);
    test_rdma_end(client, server);
}

/* What may be locked is used up, and nothing more is asked for within a second. */
static void test_client_rdma_piece__bounce_buffers_where_less_may_be_locked__what_there_is(
    void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct mkv_rdma_place places[32];
    test_verbs.locked_max = 7 * MIB;
    assert_int_equal(bounces_take(client, places, 32, MIB), 7);
    bounces_give(client, places, 7);
    assert_int_equal(bounces_take(client, places, 32, 4 * MIB), 1);
    bounces_give(client, places, 1);
    assert_int_equal(bounces_take(client, places, 32, 5 * MIB), 0);
    mkv_rdma_slots_learn(&client->rdma->ports[0], 100 * MIB);
    assert_true(mkv_rdma_slots_take(&client->rdma->ports[0], 0, &places[0]));
    assert_int_equal(places[0].remote.slots, 4);
    bounces_give(client, places, 1);
    test_verbs.locked_max = 0;
    memory_of(client)->bounce_refused_ns = 1; /* long ago */
    assert_int_equal(bounces_take(client, places, 32, 5 * MIB), 2);
    bounces_give(client, places, 2);
    test_rdma_end(client, server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define PIECE_TEST(name) cmocka_unit_test_setup(name, test_rdma_begin)
        PIECE_TEST(test_client_rdma_piece__streams_of_all_sizes__no_byte_between_headers),
        PIECE_TEST(test_client_rdma_piece__small_and_empty_streams__come_back),
        PIECE_TEST(test_client_rdma_piece__value_in_registered_memory__is_read_from_there),
        PIECE_TEST(test_client_rdma_piece__value_in_other_memory__goes_by_stages),
        PIECE_TEST(test_client_rdma_piece__larger_than_is_registered__is_copied_out_of_slots),
        PIECE_TEST(test_client_rdma_piece__nothing_can_be_registered__goes_through_the_stream),
        PIECE_TEST(test_client_rdma_piece__server_sends_in_the_stream__taken),
        PIECE_TEST(test_client_rdma_piece__server_without_roots__goes_through_the_stream),
        PIECE_TEST(test_client_rdma_piece__flipped_bit__target_does_not_see_it),
        PIECE_TEST(test_client_rdma_piece__target_fails__call_fails_and_the_next_does_not),
        PIECE_TEST(test_client_rdma_piece__source_fails__call_fails_and_the_next_does_not),
        PIECE_TEST(test_client_rdma_piece__nothing_is_taken__no_stage_is_used_again),
        PIECE_TEST(test_client_rdma_piece__another_server_has_all_stages__goes_through_the_stream),
        PIECE_TEST(test_client_rdma_piece__taken_of_more_than_was_sent__connection_ends),
        PIECE_TEST(test_client_rdma_piece__lane_breaks_under_way__next_goes_over_tcp),
        PIECE_TEST(test_client_rdma_piece__deadline_of_a_get__slots_stay_the_servers),
        PIECE_TEST(test_client_rdma_piece__cancelled_get_alone__its_connection_ends_with_it),
        PIECE_TEST(test_client_rdma_piece__cancelled_get_and_another_call__ends_behind_that),
        PIECE_TEST(test_client_rdma_piece__streamed_gets__registered_memory_grows_with_them),
        PIECE_TEST(test_client_rdma_piece__streamed_get__no_more_said_than_pieces_taken),
        PIECE_TEST(test_client_rdma_piece__block_that_the_slots_hold__stays_in_them),
        PIECE_TEST(test_client_rdma_piece__block_in_pieces_of_other_sizes__comes_all_the_same),
        PIECE_TEST(test_client_rdma_piece__bounce_buffers__are_made_as_needed_and_bounded),
        PIECE_TEST(test_client_rdma_piece__bounce_buffers_where_less_may_be_locked__what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
