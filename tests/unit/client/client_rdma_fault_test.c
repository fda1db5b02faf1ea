/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv without RDMA: where there is none, where it breaks, and how it comes back. And loops.
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

/* ---- without -------------------------------------------------------------------------------- */

static void test_client_rdma__no_device__goes_over_tcp_and_says_nothing(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    test_verbs.has_device = false;
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(server->connect_count, 0);
    assert_int_equal(server->connection_count, 1);
    assert_int_equal(client->remotes[0]->rdma.failure_count, 0);
    assert_int_equal(test_verbs.polls, 0);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma__server_has_none__nothing_is_opened(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 10000);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(test_verbs.opens, 0);
    test_rdma_end(client, server);
}

static void test_client_rdma__transport_tcp__is_not_asked_for(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    setenv("MEMKV_TRANSPORT", "tcp", 1);
    struct memkv_client *client = test_client_open(server, 10000);
    assert_int_equal(server->hello_wants_rdma, 0);
    assert_null(client->rdma);
    test_rdma_end(client, server);
}

/* memkv_open with transport rdma fails with such a text. */
static void expect_open_to_fail(const struct test_server *server, const char *part) {
    const struct memkv_options options = {
        .servers = server->address, .transport = "rdma", .timeout_ms = 5000};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_UNAVAILABLE);
    assert_null(client);
    test_expect_text(&error, "cannot be reached by RDMA");
    test_expect_text(&error, part);
    test_expect_text(&error, server->address);
    assert_int_equal(test_verbs.endpoints, 0);
    assert_int_equal(test_verbs.ports, 0);
}

static void test_client_rdma__transport_rdma_and_none_to_be_had__says_why(void **state) {
    (void)state;
    struct test_server *plain = test_server_start(NULL);
    expect_open_to_fail(plain, "does not offer RDMA");
    test_server_stop(plain);
    struct test_server *server = test_rdma_server();
    test_verbs.has_device = false;
    expect_open_to_fail(server, "this host has no RDMA device");
    test_verbs.has_device = true;
    test_verbs.refuses_endpoints = true;
    expect_open_to_fail(server, "no queue pair is left");
    test_verbs.refuses_endpoints = false;
    server->rdma_refusal = "full: 16 connections have a lane";
    expect_open_to_fail(server, "full: 16 connections");
    server->rdma_refusal = NULL;
    test_verbs.loses_probes = true;
    expect_open_to_fail(server, "MTU");
    test_server_stop(server);
    struct test_server_options small = test_with_rdma;
    small.rdma_mtu = 256;
    test_verbs.loses_probes = false;
    server = test_server_start(&small);
    expect_open_to_fail(server, "the path's MTU is too small");
    test_server_stop(server);
}

static void test_client_rdma__no_answer_to_the_probe__over_tcp_in_time(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    test_verbs.holds_probes = true;
    const struct memkv_options options = {
        .servers = server->address, .connect_timeout_ms = 2000, .timeout_ms = 20000};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    const uint64_t begin_ns = mkv_client_now_ns();
    /* The probe has a part of the time alone: what is left is for TCP, or this would fail. */
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_OK);
    assert_true(mkv_client_now_ns() - begin_ns >= 800000000u);
    assert_int_equal(memkv_ping(client, &error), MEMKV_OK);
    assert_int_equal(server->hello_fallback, MKV_LANE_REASON_PROBE);
    assert_int_equal(server->connection_count, 2);
    test_rdma_end(client, server);
}

static void test_client_rdma__refused__the_same_connection_goes_on(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    server->rdma_refusal = "full: 16 connections have a lane";
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    assert_int_equal(server->connection_count, 1);
    assert_int_equal(client->remotes[0]->rdma.failure_count, 1);
    assert_int_equal(client->remotes[0]->rdma.fallback, MKV_NATIVE_FALLBACK_REFUSED);
    free(put);
    test_rdma_end(client, server);
}

/* ---- lanes that break, and come back -------------------------------------------------------- */

static void test_client_rdma__lane_breaks__calls_go_on_over_tcp_then_by_rdma_again(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    for (uint32_t turn = 1; turn <= 3; turn++) {
        test_lanes_break(MKV_LANE_REASON_RETRY_EXCEEDED);
        const uint32_t gets = server->remote_gets;
        test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got); /* it is noticed before it is sent */
        assert_int_equal(server->remote_gets, gets);
        assert_int_equal(server->hello_fallback, MKV_LANE_REASON_RETRY_EXCEEDED);
        assert_int_equal(test_rdma_ready(client, false), 1);
        assert_int_equal(test_rdma_ready(client, true), 0);
        test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got); /* too early to try again */
        assert_int_equal(server->connect_count, turn);
        test_rdma_try_again(client);
        assert_int_equal(server->connect_count, turn + 1);
        assert_int_equal(server->connect_fallback, MKV_LANE_REASON_RETRY_EXCEEDED);
        test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
        assert_int_equal(server->remote_gets, gets + 1);
        assert_int_equal(test_rdma_ready(client, false), 0); /* it had nothing to do */
        assert_int_equal(test_rdma_ready(client, true), 1);
        assert_int_equal(client->remotes[0]->rdma.failure_count, 0);
    }
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma__tried_again_in_vain__waits_twice_as_long(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    const struct mkv_remote *remote = client->remotes[0];
    uint64_t before_ns = mkv_client_now_ns();
    test_lanes_break(MKV_LANE_REASON_FLUSHED);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    test_verbs.loses_probes = true;
    uint64_t second_ns = 1000000000u;
    for (uint32_t turn = 1; turn <= 8; turn++) {
        test_rdma_expect_pause(client, before_ns, second_ns);
        assert_int_equal(remote->rdma.failure_count, turn);
        second_ns = mkv_min_u64(2 * second_ns, 60000000000u);
        before_ns = mkv_client_now_ns();
        test_rdma_try_again(client);
        assert_int_equal(remote->failure_count, 0); /* the server itself is well */
    }
    assert_int_equal(remote->rdma.fallback, MKV_LANE_REASON_PROBE);
    test_verbs.loses_probes = false;
    test_rdma_try_again(client);
    assert_int_equal(test_rdma_ready(client, true), 1);
    test_rdma_end(client, server);
}

static void test_client_rdma__lane_breaks_under_calls__each_ends_once(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    enum {
        CALLS = 24
    };
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(CALLS * TEST_RDMA_BYTES);
    struct memkv_item items[CALLS];
    bool is_taken[CALLS] = {false};
    struct memkv_completion completions[CALLS];
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    server->is_paused = true;
    for (uint32_t index = 0; index < CALLS; index++) {
        items[index] = (struct memkv_item){.op = index % 2 == 0 ? MEMKV_OP_GET : MEMKV_OP_PUT,
                                           .key = "k",
                                           .key_bytes = 1,
                                           .data = put,
                                           .data_bytes = TEST_RDMA_BYTES,
                                           .buffer = got + index * TEST_RDMA_BYTES,
                                           .capacity = TEST_RDMA_BYTES};
        assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
    }
    assert_int_equal(memkv_wait(client, completions, CALLS, 30), 0);
    assert_in_range(test_verbs.exposures, 1, CALLS);
    assert_int_equal(test_verbs.writable, CALLS / 2);
    test_lanes_break(MKV_LANE_REASON_PORT_DOWN);
    uint32_t taken = 0;
    while (memkv_in_flight(client) > 0) {
        const size_t count = memkv_wait(client, completions, CALLS, 5000);
        assert_true(count > 0);
        for (size_t index = 0; index < count; index++) {
            const uint64_t cookie = completions[index].cookie;
            assert_false(is_taken[cookie]);
            is_taken[cookie] = true;
            taken++;
            assert_int_equal(items[cookie].status,
                             cookie % 2 == 0 ? MEMKV_UNAVAILABLE : MEMKV_UNKNOWN);
            test_expect_text(&completions[index].error, "RDMA");
        }
    }
    assert_int_equal(taken, CALLS);
    assert_in_range(test_verbs.exposure_ends, 1, CALLS);
    assert_int_equal(test_verbs.exposures, 0);
    /* What may have broken it is registered anew. */
    assert_int_equal(client->rdma->ports[0].memory.range_count, 0);
    assert_int_equal(test_verbs.writable, 0);
    server->is_paused = false;
    test_rdma_get(client, "k", put, TEST_RDMA_BYTES, got);
    assert_int_equal(server->hello_fallback, MKV_LANE_REASON_PORT_DOWN);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

/* A call's memory is its caller's again when it returns: not while the server may write to it. */
static void test_client_rdma__device_does_not_let_go__call_returns_when_it_has(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 300);
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    uint8_t *got = malloc(TEST_RDMA_BYTES);
    struct memkv_item item = {
        .op = MEMKV_OP_GET, .key = "k", .key_bytes = 1, .buffer = got, .capacity = TEST_RDMA_BYTES};
    struct memkv_completion completion;
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    server->is_paused = true;
    test_verbs.refuses_stops = 20;
    assert_int_equal(memkv_submit(client, &item, 1, 0, 0, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 30), 0);
    assert_int_equal(test_verbs.exposures, 1);
    const uint64_t begin_ns = mkv_client_now_ns();
    while (memkv_in_flight(client) > 0) {
        (void)memkv_wait(client, &completion, 1, 5000);
    }
    assert_int_equal(test_verbs.refuses_stops, 0);
    assert_int_equal(test_verbs.exposures, 0);
    assert_true(mkv_client_now_ns() - begin_ns >= 400000000u); /* past its deadline, at a pace */
    assert_int_not_equal(item.status, MEMKV_OK);
    server->is_paused = false;
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma__device_goes_and_comes_back__its_port_is_opened_anew(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    uint8_t *memory = test_rdma_value(1, TEST_RDMA_BYTES);
    uint64_t handle;
    assert_int_equal(memkv_buffer_register(client, memory, TEST_RDMA_BYTES, &handle, &error),
                     MEMKV_OK);
    test_rdma_put(client, "k", memory, TEST_RDMA_BYTES);
    test_verbs.has_device = false;
    test_lanes_break(MKV_LANE_REASON_DEVICE);
    assert_int_equal(memkv_ping(client, &error), MEMKV_OK);
    assert_int_equal(memkv_ping(client, &error), MEMKV_OK);
    assert_int_equal(test_verbs.ports, 0);
    assert_int_equal(test_verbs.regions, 0);
    test_rdma_try_again(client); /* not yet */
    assert_int_equal(test_verbs.ports, 0);
    test_verbs.has_device = true;
    client->rdma->absent_until_ns = 0;
    test_rdma_try_again(client);
    assert_int_equal(test_verbs.ports, 1);
    const uint32_t puts = server->remote_puts;
    memory[0]++;
    test_rdma_put(client, "k", memory, TEST_RDMA_BYTES);
    assert_int_equal(server->remote_puts, puts + 1);
    assert_int_equal(test_verbs.regions, 1);
    test_rdma_end(client, server);
    free(memory);
}

static void test_client_rdma__server_closes__the_next_call_connects_by_rdma_again(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    test_hang_up(server->children[0]->peer);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(server->connect_count, 2);
    assert_int_equal(client->remotes[0]->rdma.failure_count, 0);
    test_rdma_end(client, server);
}

static void test_client_rdma__server_loses_its_device__gone_back_to_when_it_has_one(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    server->rdma_is_gone = true;
    test_hang_up(server->children[0]->peer); /* nothing was under way */
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(test_rdma_ready(client, false), 1);
    test_rdma_try_again(client); /* not yet */
    assert_int_equal(test_rdma_ready(client, true), 0);
    server->rdma_is_gone = false;
    test_rdma_try_again(client);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(test_rdma_ready(client, true), 1);
    assert_int_equal(test_rdma_ready(client, false), 0);
    test_rdma_end(client, server);
}

static void test_client_rdma__host_gets_a_device_late__is_found_beside_the_calls(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    test_verbs.has_device = false;
    struct memkv_client *client = test_client_open(server, 10000);
    const struct mkv_remote_rdma *rdma = &client->remotes[0]->rdma;
    test_rdma_expect_look(client);
    for (uint32_t turn = 0; turn < 2; turn++) {
        test_verbs.has_device = turn == 1;
        client->rdma->absent_until_ns = 0;
        client->remotes[0]->rdma.look_ns = 1;
        assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
        assert_int_equal(rdma->failure_count, turn);
    }
    test_rdma_try_again(client);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(test_rdma_ready(client, true), 1);
    assert_int_equal(test_rdma_ready(client, false), 0);
    assert_int_equal(rdma->look_ns, 0);
    test_rdma_end(client, server);
}

static void test_client_rdma__breaks_again_soon__waits_longer_each_time(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct mkv_remote_rdma *rdma = &client->remotes[0]->rdma;
    uint64_t second_ns = 1000000000u;
    for (uint32_t turn = 1; turn <= 4; turn++) {
        const uint64_t before_ns = mkv_client_now_ns();
        test_lanes_break(MKV_LANE_REASON_REMOTE_ERROR);
        assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
        test_rdma_expect_pause(client, before_ns, second_ns);
        second_ns *= 2;
        test_rdma_try_again(client);
        assert_int_equal(test_rdma_ready(client, true), 1);
    }
    rdma->recovered_ns -= 60000000000u; /* and this one held */
    const uint64_t before_ns = mkv_client_now_ns();
    test_lanes_break(MKV_LANE_REASON_REMOTE_ERROR);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    test_rdma_expect_pause(client, before_ns, 1000000000u);
    test_rdma_end(client, server);
}

static void test_client_rdma__reservation_on_tcp__its_connection_stays_for_it(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    test_lanes_break(MKV_LANE_REASON_FLUSHED);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    for (uint32_t slot = 0; slot < client->remotes[0]->slots; slot++) {
        struct mkv_connection *connection = client->remotes[0]->connections[slot];
        if (connection != NULL && connection->state == MKV_CONNECTION_READY) {
            connection->reserved_until_ns = UINT64_MAX;
        }
    }
    test_rdma_try_again(client);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(test_rdma_ready(client, true), 1);
    assert_int_equal(test_rdma_ready(client, false), 1);
    for (uint32_t slot = 0; slot < client->remotes[0]->slots; slot++) {
        if (client->remotes[0]->connections[slot] != NULL) {
            client->remotes[0]->connections[slot]->reserved_until_ns = 0;
        }
    }
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(test_rdma_ready(client, false), 0);
    test_rdma_end(client, server);
}

static void test_client_rdma__transport_rdma_and_lane_breaks__nothing_goes_over_tcp(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    const struct memkv_options options = {
        .servers = server->address, .transport = "rdma", .timeout_ms = 5000};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_OK);
    test_lanes_break(MKV_LANE_REASON_RETRY_EXCEEDED);
    server->rdma_refusal = "no_device: the port is down";
    assert_int_equal(memkv_ping(client, &error), MEMKV_UNAVAILABLE);
    test_expect_text(&error, "no_device");
    server->rdma_refusal = NULL;
    usleep(120000); /* the server is let alone for a while, as with any failure to connect */
    assert_int_equal(memkv_ping(client, &error), MEMKV_OK);
    assert_int_equal(test_rdma_ready(client, true), 1);
    test_rdma_end(client, server);
}

/* ---- metrics -------------------------------------------------------------------------------- */

static void expect_metric(struct memkv_client *client, const char *line) {
    static char text[MKV_METRICS_TEXT_BYTES];
    mkv_metrics_text(client->metrics, text);
    if (strstr(text, line) == NULL) {
        fail_msg("'%s' is not in: %s", line, text);
    }
}

static void test_client_rdma__metrics__tell_where_bytes_go_and_what_failed(void **state) {
    (void)state;
    setenv("MEMKV_PROMETHEUS_BIND", "127.0.0.1:39917", 1);
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    unsetenv("MEMKV_PROMETHEUS_BIND");
    if (client->metrics == NULL) {
        test_rdma_end(client, server);
        skip(); /* somebody else has the port */
    }
    uint8_t *put = test_rdma_value(1, TEST_RDMA_BYTES);
    expect_metric(client, "memkv_client_rdma_connections 1\n");
    expect_metric(client, "memkv_client_rdma_servers_on_tcp 0\n");
    test_rdma_put(client, "k", put, TEST_RDMA_BYTES);
    expect_metric(client, "memkv_client_rdma_value_bytes_total{memory=\"cached\"} 300000\n");
    expect_metric(client, "memkv_client_rdma_registrations_total{result=\"ok\"} 1\n");
    test_lanes_break(MKV_LANE_REASON_PORT_DOWN);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    expect_metric(client, "memkv_client_rdma_connections 0\n");
    expect_metric(client, "memkv_client_rdma_servers_on_tcp 1\n");
    expect_metric(client, "memkv_client_rdma_fallbacks_total{reason=\"port_down\"} 1\n");
    server->rdma_refusal = "full: no lane is left";
    test_rdma_try_again(client);
    expect_metric(client, "memkv_client_rdma_retries_total{result=\"failed\"} 1\n");
    expect_metric(client, "memkv_client_connects_total{result=\"failed\"} 0\n");
    server->rdma_refusal = NULL;
    test_rdma_try_again(client);
    expect_metric(client, "memkv_client_rdma_retries_total{result=\"ok\"} 1\n");
    expect_metric(client, "memkv_client_rdma_servers_on_tcp 0\n");
    free(put);
    test_rdma_end(client, server);
}

/* ---- loops ---------------------------------------------------------------------------------- */

static void test_client_rdma__thousands_submitted__each_is_completed_once(void **state) {
    (void)state;
    enum {
        CALLS = 1000
    };
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 60000);
    static struct memkv_item items[CALLS];
    static char names[CALLS][8];
    uint8_t *put = test_rdma_value(1, 200000);
    test_verbs.send_bytes_max = 9000; /* less than most frames with payload have */
    uint32_t done = 0;
    const int descriptor = memkv_fd(client);
    for (uint32_t index = 0; index < CALLS; index++) {
        snprintf(names[index], sizeof names[index], "%u", index);
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = names[index],
                                           .key_bytes = strlen(names[index]),
                                           .data = put + index,
                                           .data_bytes = index % 3 == 0 ? 100000 : index};
        assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
    }
    while (memkv_in_flight(client) > 0) {
        struct memkv_completion completions[64];
        struct pollfd ready = {.fd = descriptor, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 20000), 1);
        const size_t count = memkv_poll(client, completions, 64);
        for (size_t index = 0; index < count; index++) {
            assert_int_equal(completions[index].error.status, MEMKV_OK);
            done++;
        }
    }
    assert_int_equal(done, CALLS);
    uint8_t *got = malloc(100000);
    test_rdma_get(client, "999", put + 999, 100000, got);
    test_rdma_get(client, "998", put + 998, 998, got);
    assert_int_equal(server->connection_count, 1);
    free(put);
    free(got);
    test_rdma_end(client, server);
}

static void test_client_rdma__idle__nothing_is_polled_and_descriptors_wait(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_error error;
    struct memkv_completion completion;
    struct memkv_item item = {.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1};
    assert_int_equal(memkv_ping(client, &error), MEMKV_OK);
    server->is_paused = true;
    assert_int_equal(memkv_submit(client, &item, 1, 1, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 100), 0);
    const uint32_t polls = test_verbs.polls;
    assert_int_equal(memkv_wait(client, &completion, 1, 300), 0);
    /* Some while it polls on, then it sleeps. */
    assert_in_range(test_verbs.polls - polls, 1, 5000);
    const uint32_t still = test_verbs.polls;
    assert_int_equal(memkv_wait(client, &completion, 1, 300), 0);
    assert_in_range(test_verbs.polls - still, 1, 5000);
    server->is_paused = false;
    assert_int_equal(memkv_wait(client, &completion, 1, 5000), 1);
    test_rdma_end(client, server);
}

/* As if answers had always taken so long. */
static void make_spin(struct memkv_client *client, uint64_t spin_ns) {
    mkv_spin_init(&client->rdma->spin, spin_ns);
}

static void test_client_rdma__polls_before_it_sleeps__ends_at_its_deadline(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 3200);
    make_spin(client, 3000000000u);
    server->is_paused = true;
    const uint64_t begin_ns = mkv_client_now_ns();
    assert_int_equal(memkv_ping(client, NULL), MEMKV_DEADLINE);
    assert_in_range((mkv_client_now_ns() - begin_ns) / 1000000u, 3200, 6000); /* not 6,200 */
    server->is_paused = false;
    test_rdma_end(client, server);
}

/* The wait of a call that had no answer says nothing of how long answers take. */
static void test_client_rdma__call_without_an_answer__the_next_is_polled_for(void **state) {
    (void)state;
    struct test_server *server = test_rdma_server();
    struct memkv_client *client = test_client_open(server, 10000);
    struct memkv_completion completion;
    struct memkv_item items[2];
    server->is_paused = true;
    for (uint32_t index = 0; index < 2; index++) {
        items[index] = (struct memkv_item){.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1};
        assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
        assert_false(client->rdma->spin.is_waiting);
        assert_int_equal(memkv_wait(client, &completion, 1, 300), 0);
        assert_true(client->rdma->spin.is_waiting);
        assert_int_equal(memkv_cancel(client, index, NULL), MEMKV_OK);
        assert_int_equal(memkv_wait(client, &completion, 1, 0), 1);
    }
    server->is_paused = false;
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(server->connection_count, 1);
    test_rdma_end(client, server);
}

static void test_client_rdma__polls_while_another_server_is_on_tcp__its_answers_are_seen(
    void **state) {
    (void)state;
    struct test_server *servers[] = {test_rdma_server(), test_server_start(NULL)};
    char list[80];
    char keys[2][16];
    snprintf(list, sizeof list, "%s,%s", servers[0]->address, servers[1]->address);
    const struct memkv_options options = {.servers = list, .timeout_ms = 60000};
    struct memkv_client *client = NULL;
    struct memkv_completion completion;
    assert_int_equal(memkv_open(&options, &client, NULL), MEMKV_OK);
    const uint32_t silent =
        strcmp(client->remotes[0]->address.text, servers[0]->address) == 0 ? 0 : 1;
    test_rdma_key(client, silent, keys[0], sizeof keys[0]);
    test_rdma_key(client, 1 - silent, keys[1], sizeof keys[1]);
    struct memkv_item item = {.op = MEMKV_OP_EXISTS, .key = keys[0], .key_bytes = strlen(keys[0])};
    servers[0]->is_paused = true;
    assert_int_equal(memkv_submit(client, &item, 1, 1, 60000, NULL), MEMKV_OK);
    make_spin(client, 8000000000u);
    const uint64_t begin_ns = mkv_client_now_ns();
    assert_int_equal(memkv_exists(client, keys[1], strlen(keys[1]), NULL), MEMKV_NOT_FOUND);
    assert_in_range((mkv_client_now_ns() - begin_ns) / 1000000u, 0, 5000);
    servers[0]->is_paused = false;
    assert_int_equal(memkv_wait(client, &completion, 1, 10000), 1);
    assert_int_equal(completion.cookie, 1);
    test_rdma_end(client, servers[0]);
    test_server_stop(servers[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_client_rdma__no_device__goes_over_tcp_and_says_nothing,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__server_has_none__nothing_is_opened,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__transport_tcp__is_not_asked_for, test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__transport_rdma_and_none_to_be_had__says_why,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__no_answer_to_the_probe__over_tcp_in_time,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__refused__the_same_connection_goes_on,
                               test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__lane_breaks__calls_go_on_over_tcp_then_by_rdma_again,
            test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__tried_again_in_vain__waits_twice_as_long,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__lane_breaks_under_calls__each_ends_once,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__device_does_not_let_go__call_returns_when_it_has,
                               test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__device_goes_and_comes_back__its_port_is_opened_anew, test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__server_closes__the_next_call_connects_by_rdma_again, test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__server_loses_its_device__gone_back_to_when_it_has_one,
            test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__host_gets_a_device_late__is_found_beside_the_calls,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__breaks_again_soon__waits_longer_each_time,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__reservation_on_tcp__its_connection_stays_for_it,
                               test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__transport_rdma_and_lane_breaks__nothing_goes_over_tcp,
            test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__metrics__tell_where_bytes_go_and_what_failed,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__thousands_submitted__each_is_completed_once,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__idle__nothing_is_polled_and_descriptors_wait,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__polls_before_it_sleeps__ends_at_its_deadline,
                               test_rdma_begin),
        cmocka_unit_test_setup(test_client_rdma__call_without_an_answer__the_next_is_polled_for,
                               test_rdma_begin),
        cmocka_unit_test_setup(
            test_client_rdma__polls_while_another_server_is_on_tcp__its_answers_are_seen,
            test_rdma_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
