/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv by RDMA: values that a server writes into and reads out of the caller's memory, and
 * whose that memory is when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/engine.h"
#include "tests/unit/client/test_rdma.h"

#define MIB (1024u * 1024u)

/* ---- values --------------------------------------------------------------------------------- */

static void test_client_rdma__values_of_all_sizes__come_back_as_they_were(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0,
                                     1,
                                     300,
                                     MKV_RDMA_GET_STREAM_BYTES_MAX,
                                     MKV_RDMA_GET_STREAM_BYTES_MAX + 1,
                                     65536,
                                     65537,
                                     300000,
                                     MKV_RDMA_PUT_STREAM_BYTES_MAX,
                                     MKV_RDMA_PUT_STREAM_BYTES_MAX + 1,
                                     MIB,
                                     MIB + 1,
                                     3 * MIB + 7};
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        uint8_t *put = test_rdma_value((uint32_t)index, sizes[index] + 1);
        uint8_t *got = malloc(sizes[index] + 1);
        char key[8];
        snprintf(key, sizeof key, "k%zu", index);
        test_rdma_put(client, key, put, sizes[index]);
        test_rdma_get(client, key, put, sizes[index], got);
        free(put);
        free(got);
    }
    assert_int_equal(server->connect_count, 1);
    assert_int_equal(server->connection_count, 1);
    /* Of more than the stream takes and of at most a block; more comes and goes in pieces. */
    assert_int_equal(server->remote_puts, 5);
    assert_int_equal(server->remote_pieces, 2 + 4);
    assert_int_equal(server->remote_gets, 7 + 2 + 4);
    assert_int_equal(server->stream_bytes, 1 + 300 + MKV_RDMA_GET_STREAM_BYTES_MAX);
    assert_string_equal(test_verbs.address, "127.0.0.1");
    test_rdma_end(client, server);
}

static void test_client_rdma__ranges_and_batches__go_where_they_should(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    enum {
        COUNT = 40
    };
    uint8_t *all = test_rdma_value(3, COUNT * TEST_RDMA_BYTES);
    uint8_t *got = calloc(COUNT, TEST_RDMA_BYTES);
    struct memkv_item items[COUNT] = {0};
    char names[COUNT][8];
    for (uint32_t index = 0; index < COUNT; index++) {
        snprintf(names[index], sizeof names[index], "%u", index);
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = names[index],
                                           .key_bytes = strlen(names[index]),
                                           .data = all + index * TEST_RDMA_BYTES,
                                           .data_bytes = TEST_RDMA_BYTES,
                                           .buffer = got + index * TEST_RDMA_BYTES,
                                           .capacity = TEST_RDMA_BYTES};
    }
    const uint32_t doorbells = test_verbs.doorbells;
    assert_int_equal(memkv_batch(client, items, COUNT, &error), MEMKV_OK);
    /* Five requests, which are made in one round or in a few, and not one by one. */
    assert_in_range(test_verbs.doorbells - doorbells, 1, 15);
    for (uint32_t index = 0; index < COUNT; index++) {
        items[index].op = MEMKV_OP_GET;
    }
    const uint32_t between = test_verbs.doorbells;
    assert_int_equal(memkv_batch(client, items, COUNT, &error), MEMKV_OK);
    assert_int_equal(test_verbs.doorbells - between, 1); /* all of them in one chain */
    assert_memory_equal(all, got, COUNT * TEST_RDMA_BYTES);
    uint64_t got_bytes = 0;
    memset(got, 0, TEST_RDMA_BYTES);
    assert_int_equal(memkv_get_range(client, "7", 1, 1000, 100000, got, &got_bytes, &error),
                     MEMKV_OK);
    assert_int_equal(got_bytes, 100000);
    assert_memory_equal(got, all + 7 * TEST_RDMA_BYTES + 1000, 100000);
    assert_int_equal(got[100000], 0);
    assert_int_equal(server->remote_gets, COUNT + 1);
    assert_int_equal(test_verbs.exposures, 0);
    free(all);
    free(got);
    test_rdma_end(client, server);
}

/* Each leaves as a whole when it is submitted, and none waits for another's. */
static void test_client_rdma__batches_side_by_side__one_doorbell_each(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 60000);
    enum {
        BATCHES = 3,
        COUNT = 20
    };
    static struct memkv_item items[BATCHES][COUNT];
    static char names[COUNT][8];
    uint8_t *all = test_rdma_value(3, COUNT * TEST_RDMA_BYTES);
    uint8_t *got = calloc(BATCHES * COUNT, TEST_RDMA_BYTES);
    for (uint32_t index = 0; index < COUNT; index++) {
        snprintf(names[index], sizeof names[index], "%u", index);
        test_rdma_put(client, names[index], all + index * TEST_RDMA_BYTES, TEST_RDMA_BYTES);
    }
    server->is_paused = true;
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        for (uint32_t index = 0; index < COUNT; index++) {
            items[batch][index] = (struct memkv_item){
                .op = MEMKV_OP_GET,
                .key = names[index],
                .key_bytes = strlen(names[index]),
                .buffer = got + (size_t)(batch * COUNT + index) * TEST_RDMA_BYTES,
                .capacity = TEST_RDMA_BYTES};
        }
        const uint32_t doorbells = test_verbs.doorbells;
        assert_int_equal(memkv_submit(client, items[batch], COUNT, batch, 0, NULL), MEMKV_OK);
        assert_int_equal(test_verbs.doorbells - doorbells, 1);
        assert_int_equal(test_verbs.exposures, 3 * (batch + 1)); /* of 8, 8 and 4 items */
    }
    server->is_paused = false;
    bool is_done[BATCHES] = {false};
    while (memkv_in_flight(client) > 0) {
        struct memkv_completion completion;
        assert_int_equal(memkv_wait(client, &completion, 1, 60000), 1);
        assert_int_equal(completion.error.status, MEMKV_OK);
        assert_false(is_done[completion.cookie]);
        is_done[completion.cookie] = true;
        assert_memory_equal(got + completion.cookie * COUNT * TEST_RDMA_BYTES, all,
                            COUNT * TEST_RDMA_BYTES);
    }
    assert_int_equal(server->remote_gets, BATCHES * COUNT);
    free(all);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma__server_sends_in_the_stream_all_the_same__taken(void **state) {
    (void)state;
    struct test_server_options options = test_with_rdma;
    options.puts_by_stream = true;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(server->remote_gets, 0);
    assert_in_range(server->remote_frames, 1, 2);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma__flipped_bit__is_corrupt_in_registered_memory(void **state) {
    (void)state;
    struct test_server_options options = test_with_rdma;
    options.corrupt_at = 1;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    uint64_t handle;
    assert_int_equal(memkv_buffer_register(client, got, TEST_RDMA_BYTES, &handle, &error),
                     MEMKV_OK);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    assert_int_equal(memkv_get(client, "k", 1, got, TEST_RDMA_BYTES, NULL, &error), MEMKV_CORRUPT);
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    free(put);
    test_rdma_end(client, server);
    free(got);
}

/* ---- memory --------------------------------------------------------------------------------- */

static void test_client_rdma__registered_buffer__is_registered_once_and_until_it_is_not(
    void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    uint8_t *memory = test_rdma_value(1, 4 * TEST_RDMA_BYTES);
    uint64_t handle;
    assert_int_equal(memkv_buffer_register(client, memory, 4 * TEST_RDMA_BYTES, &handle, &error),
                     MEMKV_OK);
    assert_int_equal(test_verbs.regions, 1);
    for (uint32_t index = 0; index < 3; index++) {
        test_rdma_put(client, "k", memory + index * TEST_RDMA_BYTES, TEST_RDMA_BYTES);
        assert_int_equal(
            memkv_get(client, "k", 1, memory + 3 * TEST_RDMA_BYTES, TEST_RDMA_BYTES, NULL, &error),
            MEMKV_OK);
        assert_memory_equal(memory + index * TEST_RDMA_BYTES, memory + 3 * TEST_RDMA_BYTES,
                            TEST_RDMA_BYTES);
    }
    assert_int_equal(test_verbs.registrations, 1);
    assert_int_equal(memkv_buffer_unregister(client, handle, &error), MEMKV_OK);
    assert_int_equal(test_verbs.regions, 0);
    free(memory);
    test_rdma_end(client, server);
}

static void test_client_rdma__other_memory__is_kept_registered_until_it_is_forgotten(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    for (uint32_t index = 0; index < 5; index++) {
        put[0] = (uint8_t)index;
        test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
        test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    }
    assert_int_equal(test_verbs.registrations, 1 + 5); /* that of the puts is kept */
    assert_int_equal(test_verbs.regions, 1);
    assert_int_equal(memkv_buffer_forget(client, NULL, 1, &error), MEMKV_INVALID);
    assert_int_equal(memkv_buffer_forget(client, put + TEST_RDMA_BYTES - 1, 1, &error), MEMKV_OK);
    assert_int_equal(test_verbs.regions, 0);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    assert_int_equal(test_verbs.registrations, 1 + 5 + 1);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static int source_zeros(void *context, uint64_t offset, void *buffer, size_t byte_count) {
    (void)context;
    (void)offset;
    memset(buffer, 0, byte_count);
    return 0;
}

static void test_client_rdma__memory_of_the_library__is_not_kept_behind_its_end(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    assert_int_equal(
        memkv_put_stream(client, "s", 1, TEST_RDMA_BYTES, NULL, source_zeros, NULL, &error),
        MEMKV_OK);
    assert_int_equal(server->remote_puts, 1);
    assert_int_equal(test_verbs.regions, 0);
    uint8_t *buffer = memkv_buffer_alloc(client, TEST_RDMA_BYTES);
    assert_non_null(buffer);
    assert_int_equal(memkv_get(client, "s", 1, buffer, TEST_RDMA_BYTES, NULL, &error), MEMKV_OK);
    assert_int_equal(test_verbs.regions, 0);
    test_rdma_put(client, "s", buffer, TEST_RDMA_BYTES);
    assert_int_equal(test_verbs.regions, 1);
    memkv_buffer_free(client, buffer);
    assert_int_equal(test_verbs.regions, 0);
    test_rdma_end(client, server);
}

static void test_client_rdma__many_ranges__the_oldest_leave_first(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    enum {
        RANGES = MKV_RDMA_CACHED_MAX + 20
    };
    uint8_t *memory = calloc(RANGES, 66000);
    for (uint32_t index = 0; index < RANGES; index++) {
        test_rdma_put(client, "k", memory + (uint64_t)index * 66000, 66000);
        assert_in_range(test_verbs.regions, 1, MKV_RDMA_CACHED_MAX);
    }
    const uint32_t registrations = test_verbs.registrations;
    test_rdma_put(client, "k", memory + (uint64_t)(RANGES - 1) * 66000, 66000);
    assert_int_equal(test_verbs.registrations, registrations);
    test_rdma_put(client, "k", memory, 66000);
    assert_int_equal(test_verbs.registrations, registrations + 1);
    free(memory);
    test_rdma_end(client, server);
}

static void test_client_rdma__nothing_can_be_registered__goes_through_the_stream(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    uint64_t handle;
    test_verbs.refuses_to_register = true;
    assert_int_equal(memkv_buffer_register(client, got, TEST_RDMA_BYTES, &handle, &error),
                     MEMKV_OK);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(server->remote_frames, 0);
    assert_int_equal(server->connect_count, 1);
    free(put);
    test_rdma_end(client, server);
    free(got);
}

/* Somebody raises the limit, or another process gives memory back. */
static void test_client_rdma__refused_a_while_ago__asked_for_again(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    uint8_t *memory = test_rdma_value(1, TEST_RDMA_BYTES);
    uint64_t handle;
    test_verbs.refuses_to_register = true;
    assert_int_equal(memkv_buffer_register(client, memory, TEST_RDMA_BYTES, &handle, &error),
                     MEMKV_OK);
    test_rdma_put(client, "a", memory, TEST_RDMA_BYTES);
    test_verbs.refuses_to_register = false;
    test_rdma_put(client, "b", memory, TEST_RDMA_BYTES);
    assert_int_equal(test_verbs.regions, 0);
    assert_int_equal(server->remote_puts, 0);
    struct mkv_rdma_memory *kept = &client->rdma->ports[0].memory;
    assert_true(kept->bounce_refused_ns > 0);
    kept->bounce_refused_ns = 1; /* long ago */
    test_rdma_put(client, "c", memory, TEST_RDMA_BYTES);
    assert_int_equal(server->remote_puts, 1);
    assert_int_equal(test_verbs.regions, 1);
    assert_int_equal(kept->bounce_bytes, MKV_RDMA_BOUNCE_BYTES_MIN);
    LIST_FIRST(&client->buffers)->regions[0].refused_ns = 1;
    test_rdma_put(client, "d", memory, TEST_RDMA_BYTES);
    assert_int_equal(server->remote_puts, 2);
    assert_int_equal(test_verbs.regions, 2);
    free(memory);
    test_rdma_end(client, server);
}

/* A laptop that moves from one network to the next, say. */
static void test_client_rdma__more_addresses_than_ports__the_one_idle_for_longest_is_closed(
    void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *memory = test_rdma_value(1, TEST_RDMA_BYTES);
    char problem[MKV_VERBS_PROBLEM_BYTES];
    test_rdma_put(client, "k", memory, TEST_RDMA_BYTES); /* its port has a lane from now on */
    for (uint32_t index = 1; index < MKV_RDMA_PORTS_MAX + 2; index++) {
        char address[16];
        snprintf(address, sizeof address, "10.0.0.%u", index);
        assert_true(mkv_rdma_has_usable(client->rdma, address, mkv_client_now_ns(), problem));
        assert_string_equal(test_verbs.address, address);
    }
    assert_int_equal(test_verbs.ports, MKV_RDMA_PORTS_MAX);
    assert_int_equal(client->rdma->port_count, MKV_RDMA_PORTS_MAX);
    assert_int_equal(client->rdma->ports[0].lane_count, 1);
    assert_string_equal(client->rdma->ports[1].address, "10.0.0.8");
    assert_string_equal(client->rdma->ports[2].address, "10.0.0.9");
    assert_string_equal(client->rdma->ports[3].address, "10.0.0.3");
    test_rdma_put(client, "k", memory, TEST_RDMA_BYTES);
    assert_int_equal(server->connect_count, 1);
    free(memory);
    test_rdma_end(client, server);
}

/* What a device does not tell is looked for while somebody waits for an answer, and no loop of a
 * caller with none under way is woken for it each second. */
static void test_client_rdma__nothing_under_way__the_descriptor_stays_quiet(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_completion completion;
    struct memkv_error error;
    uint8_t *memory = test_rdma_value(1, TEST_RDMA_BYTES);
    struct memkv_item item = {.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1};
    test_verbs.timer_ns = 1000000000;
    test_rdma_put(client, "k", memory, TEST_RDMA_BYTES);
    assert_true(memkv_fd(client) >= 0);
    const uint64_t begin_ns = mkv_client_now_ns();
    assert_true(client->timer_ns > begin_ns + 50 * test_verbs.timer_ns);
    server->is_paused = true;
    assert_int_equal(memkv_submit(client, &item, 1, 1, 0, &error), MEMKV_OK);
    assert_true(client->timer_ns <= mkv_client_now_ns() + test_verbs.timer_ns);
    server->is_paused = false;
    assert_int_equal(memkv_wait(client, &completion, 1, 10000), 1);
    free(memory);
    test_rdma_end(client, server);
}

/* Its connections are never let go of: nor is what they may still write to. */
static void test_client_rdma__device_that_does_not_drain__close_ends_all_the_same(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *memory = test_rdma_value(1, TEST_RDMA_BYTES);
    char problem[MKV_VERBS_PROBLEM_BYTES];
    test_rdma_put(client, "k", memory, TEST_RDMA_BYTES);
    assert_true(mkv_rdma_has_usable(client->rdma, "10.0.0.1", mkv_client_now_ns(), problem));
    assert_int_equal(test_verbs.ports, 2);
    struct mkv_rdma *rdma = client->rdma;
    test_verbs.holds_drains = true;
    memkv_close(client);
    assert_int_equal(test_verbs.ports, 1); /* the other one is closed */
    assert_int_equal(rdma->ports[0].lane_count, 1);
    /* Nobody comes back to it but here, for the sake of what the test has. */
    static struct memkv_client nobody = {.epoll = -1};
    rdma->client = &nobody;
    test_verbs.holds_drains = false;
    mkv_rdma_free(rdma);
    assert_int_equal(test_verbs.ports, 0);
    free(memory);
    test_server_stop(server);
}

static void test_client_rdma__caller_memory_is_refused__goes_through_a_bounce_buffer(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *small = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(MIB);
    /* The first takes the bounce buffer: its own memory is not worth keeping. */
    client->rdma->ports[0].memory.refused_ns = mkv_client_now_ns();
    test_rdma_put(client, "k", small, TEST_RDMA_BYTES);
    client->rdma->ports[0].memory.refused_ns = mkv_client_now_ns();
    test_rdma_get(client, "k", small, TEST_RDMA_BYTES, got);
    assert_int_equal(test_verbs.registrations, 1); /* of the bounce buffer */
    assert_int_equal(server->remote_puts, 1);
    assert_int_equal(server->remote_gets, 1);
    assert_int_equal(test_rdma_bounced(client), 0);
    free(small);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma__memory_was_unmapped_and_is_other_now__moved_once_more(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    assert_int_equal(test_verbs.regions, 1);
    test_verbs_remap(put, TEST_RDMA_BYTES);
    test_pattern_fill(9, put, TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    assert_int_equal(server->stream_bytes, TEST_RDMA_BYTES);
    assert_int_equal(test_verbs.regions, 0); /* it is not used again */
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    /* For a while nothing is kept registered: what this program names does not stay. */
    put[0]++;
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    assert_int_equal(test_verbs.regions, 1); /* of bounce buffers */
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(client->rdma->ports[0].memory.range_count, 0);
    client->rdma->ports[0].memory.distrust_ns = 0;
    put[0]++;
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(client->rdma->ports[0].memory.range_count, 1);
    assert_int_equal(server->stream_bytes, TEST_RDMA_BYTES);
    assert_int_equal(server->connection_count, 1);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static const struct mkv_connection *ready_connection(const struct memkv_client *client) {
    const struct mkv_remote *remote = client->remotes[0];
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (connection != NULL && connection->state == MKV_CONNECTION_READY) {
            return connection;
        }
    }
    fail();
    return NULL;
}

static void test_client_rdma__commit__its_memory_is_not_kept_registered(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_completion completion;
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    struct memkv_item item = {
        .op = MEMKV_OP_COMMIT,
        .reservation = (uint64_t)ready_connection(client)->serial << MKV_RESERVATION_BITS | 1u,
        .data = put,
        .data_bytes = TEST_RDMA_BYTES};
    server->is_paused = true;
    assert_int_equal(memkv_submit(client, &item, 1, 1, 0, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 30), 0);
    assert_int_equal(test_verbs.exposures, 1);
    assert_int_equal(client->rdma->ports[0].memory.range_count, 0);
    assert_int_equal(test_rdma_bounced(client), 1);
    assert_int_equal(memkv_cancel(client, 1, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 5000), 1);
    server->is_paused = false;
    free(put);
    test_rdma_end(client, server);
}

static void test_client_rdma__batch_half_of_it_registered__cancelled_and_connection_stays(
    void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_completion completion;
    uint64_t handle = 0;
    uint8_t *got = malloc(2ul * TEST_RDMA_BYTES);
    struct memkv_item items[2];
    assert_int_equal(memkv_buffer_register(client, got, TEST_RDMA_BYTES, &handle, NULL), MEMKV_OK);
    test_verbs.refuses_to_register = true;
    for (uint32_t index = 0; index < 2; index++) {
        items[index] = (struct memkv_item){.op = MEMKV_OP_GET,
                                           .key = index == 0 ? "a" : "b",
                                           .key_bytes = 1,
                                           .buffer = got + (size_t)index * TEST_RDMA_BYTES,
                                           .capacity = TEST_RDMA_BYTES};
    }
    server->is_paused = true;
    assert_int_equal(memkv_submit(client, items, 2, 1, 0, NULL), MEMKV_OK);
    struct memkv_item other = {.op = MEMKV_OP_EXISTS, .key = "c", .key_bytes = 1};
    assert_int_equal(memkv_submit(client, &other, 1, 2, 0, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 30), 0);
    assert_int_equal(memkv_cancel(client, 1, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 5000), 1);
    assert_int_equal(completion.cookie, 1);
    server->is_paused = false;
    assert_int_equal(memkv_wait(client, &completion, 1, 5000), 1);
    assert_int_equal(other.status, MEMKV_NOT_FOUND);
    assert_int_equal(server->connection_count, 1);
    free(got);
    test_rdma_end(client, server);
}

/* ---- L2: memory that the caller has back is nobody else's ----------------------------------- */

/* A call that ends before its time, with a WRITE that comes late. */
static void expect_late_write_to_miss(bool is_cancelled) {
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    struct memkv_completion completion;
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    server->holds_writes = true;
    struct memkv_item item = {
        .op = MEMKV_OP_GET, .key = "k", .key_bytes = 1, .buffer = got, .capacity = TEST_RDMA_BYTES};
    assert_int_equal(memkv_submit(client, &item, 1, 1, is_cancelled ? 10000 : 100, &error),
                     MEMKV_OK);
    if (is_cancelled) {
        /* The request is on its way. */
        assert_int_equal(memkv_wait(client, &completion, 1, 50), 0);
        assert_int_equal(memkv_cancel(client, 1, &error), MEMKV_OK);
    }
    assert_int_equal(memkv_wait(client, &completion, 1, 5000), 1);
    assert_int_equal(item.status, is_cancelled ? MEMKV_CANCELLED : MEMKV_DEADLINE);
    memset(got, 0x77, TEST_RDMA_BYTES);
    server->holds_writes = false;
    for (uint32_t round = 0; round < 2000 && server->late_writes == 0; round++) {
        usleep(1000);
    }
    assert_int_equal(server->late_writes, 1);
    for (uint32_t index = 0; index < TEST_RDMA_BYTES; index++) {
        assert_int_equal(got[index], 0x77);
    }
    /* It was this side's doing: the next goes by RDMA again. */
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(server->connect_count, 2);
    assert_int_equal(server->hello_fallback, 0);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma__deadline_with_memory_shown__late_write_misses_it(void **state) {
    (void)state;
    expect_late_write_to_miss(false);
}

static void test_client_rdma__cancelled_with_memory_shown__late_write_misses_it(void **state) {
    (void)state;
    expect_late_write_to_miss(true);
}

static void test_client_rdma__deadline_of_a_bounced_get__other_calls_go_on(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    struct memkv_completion completion;
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    mkv_rdma_forget(client->rdma, put, TEST_RDMA_BYTES);
    client->rdma->ports[0].memory.refused_ns = mkv_client_now_ns();
    server->holds_writes = true;
    struct memkv_item item = {
        .op = MEMKV_OP_GET, .key = "k", .key_bytes = 1, .buffer = got, .capacity = TEST_RDMA_BYTES};
    struct memkv_item other = {.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1};
    assert_int_equal(memkv_submit(client, &item, 1, 1, 100, &error), MEMKV_OK);
    assert_int_equal(memkv_submit(client, &other, 1, 2, 10000, &error), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 5000), 1);
    assert_int_equal(item.status, MEMKV_DEADLINE);
    assert_int_equal(test_rdma_bounced(client), 1);
    memset(got, 0x77, TEST_RDMA_BYTES);
    server->holds_writes = false;
    assert_int_equal(memkv_wait(client, &completion, 1, 5000), 1);
    assert_int_equal(other.status, MEMKV_OK);
    assert_int_equal(got[0], 0x77);
    assert_int_equal(got[TEST_RDMA_BYTES - 1], 0x77);
    assert_int_equal(test_rdma_bounced(client), 0);
    assert_int_equal(server->connect_count, 1);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_client_rdma__values_of_all_sizes__come_back_as_they_were,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__ranges_and_batches__go_where_they_should,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__batches_side_by_side__one_doorbell_each,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__server_sends_in_the_stream_all_the_same__taken,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__flipped_bit__is_corrupt_in_registered_memory,
                               test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__registered_buffer__is_registered_once_and_until_it_is_not,
            test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__other_memory__is_kept_registered_until_it_is_forgotten,
            test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__memory_of_the_library__is_not_kept_behind_its_end,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__many_ranges__the_oldest_leave_first,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__nothing_can_be_registered__goes_through_the_stream,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__refused_a_while_ago__asked_for_again,
                               test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__more_addresses_than_ports__the_one_idle_for_longest_is_closed,
            test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__nothing_under_way__the_descriptor_stays_quiet,
                               test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__device_that_does_not_drain__close_ends_all_the_same, test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__caller_memory_is_refused__goes_through_a_bounce_buffer,
            test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__memory_was_unmapped_and_is_other_now__moved_once_more,
            test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__commit__its_memory_is_not_kept_registered,
                               test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__batch_half_of_it_registered__cancelled_and_connection_stays,
            test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__deadline_with_memory_shown__late_write_misses_it,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__cancelled_with_memory_shown__late_write_misses_it,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__deadline_of_a_bounced_get__other_calls_go_on,
                               test_rdma_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
