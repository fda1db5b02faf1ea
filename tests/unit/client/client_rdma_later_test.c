/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv and servers that have no RDMA when they are first connected to, and get it later: they
 * are gone over to while connections to them live.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "client/engine.h"
#include "tests/unit/client/test_rdma.h"

static void test_later__server_gets_it_later__gone_over_to_beside_the_calls(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    server->rdma_is_gone = true;
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    for (uint32_t turn = 1; turn <= 3; turn++) { /* not yet */
        test_rdma_expect_look(client);
        assert_int_equal(server->connection_count, turn);
        test_rdma_look_again(client);
        assert_int_equal(server->connection_count, turn + 1);
        test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    }
    assert_int_equal(test_rdma_ready(client, false), 1);
    assert_int_equal(server->remote_gets, 0);
    assert_int_equal(test_verbs.opens, 0); /* for a server that may never have it */
    server->rdma_is_gone = false;
    test_rdma_look_again(client);
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(server->remote_gets, 1);
    assert_int_equal(server->connect_count, 1);
    assert_int_equal(server->connect_fallback, MKV_NATIVE_FALLBACK_NONE); /* nothing had failed */
    assert_int_equal(test_rdma_ready(client, true), 1);
    assert_int_equal(test_rdma_ready(client, false), 0);
    assert_int_equal(client->remotes[0]->rdma.look_ns, 0);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_later__server_gets_it_under_calls__each_is_answered_once(void **state) {
    (void)state;
    enum {
        CALLS = 64,
        ROUNDS = 20
    };
    struct test_server *server = test_rdma_server();
    server->rdma_is_gone = true;
    struct memkv_client *client = test_client_open(server, 20000);
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(CALLS * TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct memkv_item items[CALLS];
        struct memkv_completion completions[CALLS];
        bool is_taken[CALLS] = {false};
        memset(got, 0xee, CALLS * TEST_RDMA_BYTES);
        for (uint32_t index = 0; index < CALLS; index++) {
            items[index] = (struct memkv_item){.op = MEMKV_OP_GET,
                                               .key = "k",
                                               .key_bytes = 1,
                                               .buffer = got + index * TEST_RDMA_BYTES,
                                               .capacity = TEST_RDMA_BYTES};
            assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
            if (round == ROUNDS / 2 && index == CALLS / 2) {
                server->rdma_is_gone = false;
                client->remotes[0]->rdma.look_ns = 1;
            }
        }
        while (memkv_in_flight(client) > 0) {
            const size_t count = memkv_wait(client, completions, CALLS, 10000);
            assert_true(count > 0);
            for (size_t index = 0; index < count; index++) {
                const uint64_t cookie = completions[index].cookie;
                assert_false(is_taken[cookie]);
                is_taken[cookie] = true;
                assert_int_equal(items[cookie].status, MEMKV_OK);
                assert_memory_equal(items[cookie].buffer, put, TEST_RDMA_BYTES);
            }
        }
        for (uint32_t index = 0; index < CALLS; index++) {
            assert_true(is_taken[index]);
        }
    }
    assert_in_range(server->remote_gets, CALLS, ROUNDS * CALLS / 2);
    assert_int_equal(test_rdma_ready(client, false), 0);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

/* The one that came before it leaves, too: not the candidate alone may find that there is one. */
static void test_later__server_gets_it_and_another_connects__all_go_by_it(void **state) {
    (void)state;
    enum {
        CALLS = 300 /* more than a connection takes */
    };
    struct test_server *server = test_rdma_server();
    server->rdma_is_gone = true;
    const struct memkv_options options = {
        .servers = server->address, .connections = 2, .timeout_ms = 20000};
    struct memkv_client *client = NULL;
    struct memkv_item items[CALLS];
    struct memkv_completion completions[CALLS];
    assert_int_equal(memkv_open(&options, &client, NULL), MEMKV_OK);
    server->rdma_is_gone = false;
    server->is_paused = true;
    for (uint32_t index = 0; index < CALLS; index++) {
        items[index] = (struct memkv_item){.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1};
        assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
    }
    server->is_paused = false;
    while (memkv_in_flight(client) > 0) {
        assert_true(memkv_wait(client, completions, CALLS, 10000) > 0);
    }
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    for (uint32_t round = 0; round < 5000 && test_rdma_ready(client, false) > 0; round++) {
        usleep(1000);
        assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    }
    assert_true(test_rdma_ready(client, true) > 0);
    assert_int_equal(test_rdma_ready(client, false), 0);
    test_rdma_end(client, server);
}

static void test_later__server_has_it_off__is_asked_once_in_a_while_and_no_more(void **state) {
    (void)state;
    const struct test_server_options off = {.is_concurrent = true};
    struct test_server *server = test_server_start(&off);
    struct memkv_client *client = test_client_open(server, 10000);
    for (uint32_t turn = 1; turn <= 3; turn++) {
        const uint64_t due_ns = client->remotes[0]->rdma.look_ns;
        test_rdma_expect_look(client);
        for (uint32_t call = 0; call < 100; call++) {
            assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
        }
        assert_int_equal(client->remotes[0]->rdma.look_ns, due_ns);
        assert_int_equal(server->connection_count, turn);
        test_rdma_look_again(client);
        assert_int_equal(server->connection_count, turn + 1);
        assert_int_equal(test_rdma_ready(client, false), 1); /* that one has ended */
    }
    test_verbs.has_device = false; /* then there is nothing to ask for */
    test_rdma_look_again(client);
    test_rdma_expect_look(client);
    assert_int_equal(server->connection_count, 4);
    assert_int_equal(test_verbs.opens, 0);
    test_rdma_end(client, server);
}

/* As when the port of the server flaps, in real time. */
static void test_later__refused_at_first__gone_over_to_within_seconds(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    server->rdma_refusal = "no_device: the port is down";
    struct memkv_client *client = test_client_open(server, 10000);
    const uint64_t begin_ns = mkv_client_now_ns();
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    assert_int_equal(client->remotes[0]->rdma.failure_count, 1);
    server->rdma_refusal = NULL;
    while (test_rdma_ready(client, true) == 0) {
        assert_true(mkv_client_now_ns() - begin_ns < 10000000000u);
        usleep(10000);
        test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    }
    assert_true(mkv_client_now_ns() - begin_ns >= 500000000u);
    assert_int_equal(server->connect_fallback, MKV_NATIVE_FALLBACK_REFUSED);
    const uint32_t gets = server->remote_gets;
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(server->remote_gets, gets + 1);
    assert_int_equal(test_rdma_ready(client, false), 0);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

/* What looked has come by a lane, and the lane is no good: that is a failure as any other. */
static void test_later__server_gets_it_and_it_fails__is_told_and_tried_again(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    server->rdma_is_gone = true;
    struct memkv_client *client = test_client_open(server, 10000);
    const struct mkv_remote_rdma *rdma = &client->remotes[0]->rdma;
    server->rdma_is_gone = false;
    test_verbs.loses_probes = true;
    const uint64_t before_ns = mkv_client_now_ns();
    test_rdma_look_again(client);
    assert_int_equal(rdma->failure_count, 1);
    assert_int_equal(rdma->fallback, MKV_LANE_REASON_PROBE);
    assert_int_equal(rdma->look_ns, 0);
    test_rdma_expect_pause(client, before_ns, 1000000000u);
    test_verbs.loses_probes = false;
    test_rdma_try_again(client);
    assert_int_equal(test_rdma_ready(client, true), 1);
    test_rdma_end(client, server);
}

/* The server has got one, and the port of this host's device is down: neither side has failed. */
static void test_later__server_gets_it_and_the_host_has_no_port__says_nothing(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    server->rdma_is_gone = true;
    const struct memkv_options options = {
        .servers = server->address, .rdma_devices = "fake0", .timeout_ms = 10000};
    struct memkv_client *client = NULL;
    assert_int_equal(memkv_open(&options, &client, NULL), MEMKV_OK);
    server->rdma_is_gone = false;
    test_verbs.devices_lost = 1;
    test_rdma_look_again(client);
    test_rdma_expect_look(client);
    assert_int_equal(test_rdma_ready(client, false), 1);
    test_verbs.devices_lost = 0;
    client->rdma->absent_until_ns = 0;
    test_rdma_look_again(client);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(test_rdma_ready(client, true), 1);
    assert_int_equal(test_rdma_ready(client, false), 0);
    test_rdma_end(client, server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define LATER_TEST(name) cmocka_unit_test_setup(name, test_rdma_begin)
        LATER_TEST(test_later__server_gets_it_later__gone_over_to_beside_the_calls),
        LATER_TEST(test_later__server_gets_it_under_calls__each_is_answered_once),
        LATER_TEST(test_later__server_gets_it_and_another_connects__all_go_by_it),
        LATER_TEST(test_later__server_has_it_off__is_asked_once_in_a_while_and_no_more),
        LATER_TEST(test_later__refused_at_first__gone_over_to_within_seconds),
        LATER_TEST(test_later__server_gets_it_and_it_fails__is_told_and_tried_again),
        LATER_TEST(test_later__server_gets_it_and_the_host_has_no_port__says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
