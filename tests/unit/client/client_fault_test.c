/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv against what goes wrong: damaged bytes, connections that end anywhere, servers that are
 * silent, addresses that are none. No fault may look like a success, hang, or do more harm
 * than to the call that it hits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/memkv.h"
#include "tests/unit/client/test_client.h"
#include "tests/unit/client/test_server.h"

#define MIB (1024u * 1024u)

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* ---- damaged bytes -------------------------------------------------------------------------- */

static int count_calls(void *context, uint64_t offset, uint64_t value_bytes, const void *data,
                       size_t byte_count) {
    (void)offset;
    (void)value_bytes;
    (void)data;
    (void)byte_count;
    ++*(uint32_t *)context;
    return 0;
}

static void test_client_get__a_bit_flipped_on_its_way__is_corrupt(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 300, 65536, 65537, 300000, MIB};
    const struct test_server_options options = {.corrupt_at = 2};
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        struct test_server *server = test_server_start(&options);
        struct memkv_client *client = test_client_open(server, 5000);
        struct memkv_error error;
        uint8_t *put = malloc(sizes[index]);
        uint8_t *got = malloc(sizes[index]);
        assert_non_null(put);
        assert_non_null(got);
        test_pattern_fill(1, put, sizes[index]);
        uint64_t got_bytes = 0;
        assert_int_equal(memkv_put(client, "k", 1, put, sizes[index], 0, &error), MEMKV_OK);
        assert_int_equal(memkv_get(client, "k", 1, got, sizes[index], &got_bytes, &error),
                         MEMKV_OK);
        assert_int_equal(memkv_get(client, "k", 1, got, sizes[index], &got_bytes, &error),
                         MEMKV_CORRUPT);
        assert_int_equal(got_bytes, 0);
        test_expect_text(&error, "root");
        /* The connection is in step: the next one is fine, over the same. */
        assert_int_equal(memkv_get(client, "k", 1, got, sizes[index], &got_bytes, &error),
                         MEMKV_OK);
        assert_memory_equal(put, got, sizes[index]);
        assert_int_equal(server->connection_count, 1);
        free(put);
        free(got);
        test_close_both(client, server);
    }
}

static void test_client_get_stream__a_bit_flipped__target_sees_nothing(void **state) {
    (void)state;
    const struct test_server_options options = {.corrupt_at = 1};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 5000);
    struct memkv_error error;
    uint8_t put[5000] = {0};
    uint32_t call_count = 0;
    assert_int_equal(memkv_put(client, "k", 1, put, sizeof put, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_get_stream(client, "k", 1, count_calls, &call_count, &error),
                     MEMKV_CORRUPT);
    assert_int_equal(call_count, 0);
    test_close_both(client, server);
}

static void test_client_batch__one_value_damaged__the_others_are_fine(void **state) {
    (void)state;
    const struct test_server_options options = {.corrupt_at = 2};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 5000);
    struct memkv_error error;
    char buffers[3][2];
    struct memkv_item items[3];
    for (uint32_t index = 0; index < 3; index++) {
        assert_int_equal(memkv_put(client, &"abc"[index], 1, "vw", 2, 0, &error), MEMKV_OK);
        items[index] = (struct memkv_item){.op = MEMKV_OP_GET,
                                           .key = &"abc"[index],
                                           .key_bytes = 1,
                                           .buffer = buffers[index],
                                           .capacity = 2};
    }
    assert_int_equal(memkv_batch(client, items, 3, &error), MEMKV_CORRUPT);
    test_expect_text(&error, "item 1, key 'b'");
    assert_int_equal(items[0].status, MEMKV_OK);
    assert_int_equal(items[1].status, MEMKV_CORRUPT);
    assert_int_equal(items[2].status, MEMKV_OK);
    test_close_both(client, server);
}

/* ---- connections that end ------------------------------------------------------------------- */

static void test_client__connection_ends_inside_any_answer__next_call_reconnects(void **state) {
    (void)state;
    /* Of the second answer (64 bytes of header, 40 of result) so many bytes come. */
    static const uint32_t inside[] = {0, 1, 63, 64, 65, 103};
    for (size_t index = 0; index < sizeof inside / sizeof inside[0]; index++) {
        const struct test_server_options options = {.close_after = 2,
                                                    .close_inside = inside[index]};
        struct test_server *server = test_server_start(&options);
        struct memkv_client *client = test_client_open(server, 5000);
        struct memkv_error error;
        char got[3];
        assert_int_equal(memkv_put(client, "k", 1, "old", 3, 0, &error), MEMKV_OK);
        assert_int_equal(memkv_get(client, "k", 1, got, 3, NULL, &error), MEMKV_UNAVAILABLE);
        test_expect_text(&error, "closed the connection");
        test_expect_text(&error, server->address);
        assert_int_equal(memkv_get(client, "k", 1, got, 3, NULL, &error), MEMKV_OK);
        assert_memory_equal(got, "old", 3);
        assert_int_equal(server->connection_count, 2);
        test_close_both(client, server);
    }
}

static void test_client__connection_ends_under_put_or_delete__is_unknown(void **state) {
    (void)state;
    const struct test_server_options options = {.close_after = 1};
    for (int op = 0; op < 3; op++) {
        struct test_server *server = test_server_start(&options);
        struct memkv_client *client = test_client_open(server, 5000);
        struct memkv_error error;
        uint8_t value[200000] = {0};
        const enum memkv_status status =
            op == 0   ? memkv_put(client, "k", 1, "v", 1, 0, &error)
            : op == 1 ? memkv_put(client, "k", 1, value, sizeof value, 0, &error)
                      : memkv_delete(client, "k", 1, &error);
        assert_int_equal(status, MEMKV_UNKNOWN);
        test_expect_text(&error, "may or may not");
        test_close_both(client, server);
    }
}

static void test_client_batch__connection_ends_in_its_middle__each_item_has_a_status(void **state) {
    (void)state;
    const struct test_server_options options = {.close_after = 3, .close_inside = 50};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 5000);
    struct memkv_error error;
    static uint8_t value[100000];
    char names[400][8];
    struct memkv_item items[400];
    for (uint32_t index = 0; index < 400; index++) {
        snprintf(names[index], sizeof names[index], "%u", index);
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = names[index],
                                           .key_bytes = strlen(names[index]),
                                           .data = value,
                                           .data_bytes = sizeof value};
    }
    const enum memkv_status status = memkv_batch(client, items, 400, &error);
    assert_true(status == MEMKV_UNKNOWN || status == MEMKV_UNAVAILABLE);
    uint32_t count_of[101] = {0};
    for (uint32_t index = 0; index < 400; index++) {
        assert_in_range(items[index].status, 0, 100);
        count_of[items[index].status]++;
    }
    assert_int_equal(count_of[MEMKV_OK], 16); /* two answered requests of 8 items */
    assert_in_range(count_of[MEMKV_UNKNOWN], 8, 14 * 8 + 16);
    assert_int_equal(count_of[MEMKV_OK] + count_of[MEMKV_UNKNOWN] + count_of[MEMKV_UNAVAILABLE],
                     400);
    test_close_both(client, server);
}

static void test_client__server_restarts_between_calls__nobody_notices(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 5000);
    struct memkv_error error;
    assert_int_equal(memkv_put(client, "k", 1, "v", 1, 0, &error), MEMKV_OK);
    test_hang_up(server->peer); /* the end of the stream is there before the next call */
    assert_int_equal(memkv_exists(client, "k", 1, &error), MEMKV_OK);
    assert_int_equal(server->connection_count, 2);
    test_close_both(client, server);
}

static void test_client_open__nobody_listens__says_where_and_what_to_do(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    char address[sizeof server->address];
    memcpy(address, server->address, sizeof address);
    struct memkv_client *client = test_client_open(server, 5000);
    memkv_close(client);
    test_server_stop(server);
    const struct memkv_options options = {.servers = address};
    struct memkv_error error;
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_UNAVAILABLE);
    assert_null(client);
    test_expect_text(&error, address);
    test_expect_text(&error, "memkv start");
}

/* ---- deadlines ------------------------------------------------------------------------------ */

/* What one call alone would take by the defaults of memkv.h: whoever waits so long has not kept to
 * what was asked for. Below it a busy machine may take what it needs. */
#define CALL_MS_DEFAULT 30000u
#define CONNECT_MS_DEFAULT 5000u

/* Greets, then reads all and says nothing. */
static void script_silent(struct test_server *server, int peer) {
    char bytes[4096];
    if (test_greet(server, peer)) {
        while (recv(peer, bytes, sizeof bytes, 0) > 0) {
        }
    }
}

/* Greets, then does not read either. */
static void script_stuck(struct test_server *server, int peer) {
    if (test_greet(server, peer)) {
        while (!server->is_stopping) {
            usleep(2000);
        }
    }
}

static void test_client__server_is_silent__calls_end_in_time(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_silent};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 100);
    struct memkv_error error;
    size_t count = 0;
    const struct memkv_key key = {"k", 1};
    char buffer[8];
    const uint64_t begin_ms = now_ms();
    assert_int_equal(memkv_ping(client, &error), MEMKV_DEADLINE);
    test_expect_text(&error, "100 ms");
    assert_int_equal(memkv_get(client, "k", 1, NULL, 0, NULL, &error), MEMKV_DEADLINE);
    assert_int_equal(memkv_exists(client, "k", 1, &error), MEMKV_DEADLINE);
    assert_int_equal(memkv_lookup(client, &key, 1, &count, &error), MEMKV_DEADLINE);
    assert_int_equal(memkv_stats(client, buffer, sizeof buffer, NULL, &error), MEMKV_DEADLINE);
    assert_int_equal(memkv_put(client, "k", 1, "v", 1, 0, &error), MEMKV_UNKNOWN);
    assert_int_equal(memkv_delete(client, "k", 1, &error), MEMKV_UNKNOWN);
    assert_in_range(now_ms() - begin_ms, 690, CALL_MS_DEFAULT);
    assert_int_equal(server->connection_count, 7);
    test_close_both(client, server);
}

static void test_client__server_takes_no_bytes__calls_end_in_time(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_stuck};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 150);
    struct memkv_error error;
    /* More than any socket buffer holds: many puts inline, so that no READY is waited for. */
    static uint8_t value[60000];
    static char names[1000][8];
    static struct memkv_item items[1000];
    for (uint32_t index = 0; index < 1000; index++) {
        snprintf(names[index], sizeof names[index], "%u", index);
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = names[index],
                                           .key_bytes = strlen(names[index]),
                                           .data = value,
                                           .data_bytes = sizeof value};
    }
    const uint64_t begin_ms = now_ms();
    assert_int_equal(memkv_batch(client, items, 1000, &error), MEMKV_UNKNOWN);
    assert_in_range(now_ms() - begin_ms, 140, CALL_MS_DEFAULT);
    assert_int_equal(items[0].status, MEMKV_UNKNOWN);
    assert_int_equal(items[999].status, MEMKV_DEADLINE); /* it was never sent */
    server->is_stopping = true;
    test_close_both(client, server);
}

static void script_mute(struct test_server *server, int peer) {
    (void)peer;
    while (!server->is_stopping) {
        usleep(2000);
    }
}

static void test_client_open__nobody_greets__ends_in_time(void **state) {
    (void)state;
    const struct test_server_options server_options = {.script = script_mute};
    struct test_server *server = test_server_start(&server_options);
    const struct memkv_options options = {.servers = server->address, .connect_timeout_ms = 100};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    const uint64_t begin_ms = now_ms();
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_UNAVAILABLE);
    assert_in_range(now_ms() - begin_ms, 95, CONNECT_MS_DEFAULT);
    test_expect_text(&error, "no answer in time");
    server->is_stopping = true;
    test_server_stop(server);
}

/* ---- addresses ------------------------------------------------------------------------------ */

static void test_client_open__address_is_wrong__is_named(void **state) {
    (void)state;
    static const struct {
        const char *servers, *part;
    } cases[] = {
        {"a:1,a:1", "twice"},      {"a:1 b:2", "commas"},         {"localhost", "no port"},
        {"a:1,", "no port"},       {"a:1,,b:2", "no port"},       {"a:1,b:0", "'b:0'"},
        {"a:1*0", "weight"},       {"a:1*257", "weight"},         {"a:1*", "weight"},
        {"localhost:", "port"},    {"localhost:0", "port"},       {"localhost:65536", "port"},
        {"localhost:99x", "port"}, {"localhost:0009900", "port"}, {":9900", "host"},
        {"::1:9900", "brackets"},  {"[::1:9900", "bracket"},      {"[::1]", "no port"},
        {"[]:9900", "host"},       {"ho\tst:9900", "character"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct memkv_client *client = NULL;
        struct memkv_error error;
        assert_int_equal(
            memkv_open(&(struct memkv_options){.servers = cases[index].servers}, &client, &error),
            MEMKV_INVALID);
        test_expect_text(&error, cases[index].part);
    }
}

static void test_client_open__environment_names_the_server__is_used(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = NULL;
    struct memkv_error error;
    setenv("MEMKV_SERVERS", server->address, 1);
    assert_int_equal(memkv_open(NULL, &client, &error), MEMKV_OK);
    setenv("MEMKV_SERVERS", "a:1,b:x", 1);
    struct memkv_client *none = NULL;
    assert_int_equal(memkv_open(NULL, &none, &error), MEMKV_INVALID);
    test_expect_text(&error, "MEMKV_SERVERS");
    unsetenv("MEMKV_SERVERS");
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    test_close_both(client, server);
}

static void test_client_open__metrics_address_is_wrong__is_named(void **state) {
    (void)state;
    static const char *const cases[] = {"127.0.0.1", "a:1,b:2", "a:1*2", "127.0.0.1:x"};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct memkv_client *client = NULL;
        struct memkv_error error;
        setenv("MEMKV_PROMETHEUS_BIND", cases[index], 1);
        assert_int_equal(memkv_open(NULL, &client, &error), MEMKV_INVALID);
        test_expect_text(&error, "MEMKV_PROMETHEUS_BIND");
    }
    unsetenv("MEMKV_PROMETHEUS_BIND");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_open__metrics_address_is_wrong__is_named),
        cmocka_unit_test(test_client_get__a_bit_flipped_on_its_way__is_corrupt),
        cmocka_unit_test(test_client_get_stream__a_bit_flipped__target_sees_nothing),
        cmocka_unit_test(test_client_batch__one_value_damaged__the_others_are_fine),
        cmocka_unit_test(test_client__connection_ends_inside_any_answer__next_call_reconnects),
        cmocka_unit_test(test_client__connection_ends_under_put_or_delete__is_unknown),
        cmocka_unit_test(test_client_batch__connection_ends_in_its_middle__each_item_has_a_status),
        cmocka_unit_test(test_client__server_restarts_between_calls__nobody_notices),
        cmocka_unit_test(test_client_open__nobody_listens__says_where_and_what_to_do),
        cmocka_unit_test(test_client__server_is_silent__calls_end_in_time),
        cmocka_unit_test(test_client__server_takes_no_bytes__calls_end_in_time),
        cmocka_unit_test(test_client_open__nobody_greets__ends_in_time),
        cmocka_unit_test(test_client_open__address_is_wrong__is_named),
        cmocka_unit_test(test_client_open__environment_names_the_server__is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
