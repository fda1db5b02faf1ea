/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv against servers that refuse, and servers that break the protocol: what was refused is
 * told with the server's own words, and nothing that a server sends reaches memory it must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/memkv.h"
#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/client/test_client.h"
#include "tests/unit/client/test_server.h"

#define MIB (1024u * 1024u)

static bool refuse(int peer, enum mkv_native_op op, uint64_t request_id, enum mkv_status status,
                   const char *text) {
    const struct mkv_native_header header = {.op = op,
                                             .flags = MKV_NATIVE_FLAG_ANSWER,
                                             .request_id = request_id,
                                             .body_bytes = (uint32_t)strlen(text),
                                             .status = status};
    return test_send_frame(peer, &header, text, NULL);
}

/* Refuses every request whole. */
static void script_busy(struct test_server *server, int peer) {
    struct mkv_native_header header;
    if (!test_greet(server, peer)) {
        return;
    }
    while (test_receive_frame(peer, &header, server->body)) {
        refuse(peer, header.op, header.request_id, MKV_STATUS_BUSY,
               "too much is in flight;\ntry later");
    }
}

static void test_client__request_refused__status_and_text_come_through(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_busy};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 5000);
    struct memkv_error error;
    size_t count = 0;
    const struct memkv_key key = {"k", 1};
    struct memkv_item items[2] = {{.op = MEMKV_OP_EXISTS, .key = "a", .key_bytes = 1},
                                  {.op = MEMKV_OP_DELETE, .key = "b", .key_bytes = 1}};
    uint8_t value[100000] = {0};
    assert_int_equal(memkv_ping(client, &error), MEMKV_BUSY);
    test_expect_text(&error, "too much is in flight;?try later"); /* no line of its own */
    assert_int_equal(memkv_put(client, "k", 1, value, sizeof value, 0, &error), MEMKV_BUSY);
    test_expect_text(&error, "key 'k': too much is in flight");
    assert_int_equal(memkv_lookup(client, &key, 1, &count, &error), MEMKV_BUSY);
    assert_int_equal(memkv_batch(client, items, 2, &error), MEMKV_BUSY);
    assert_int_equal(items[0].status, MEMKV_BUSY);
    assert_int_equal(items[1].status, MEMKV_BUSY);
    assert_int_equal(server->connection_count, 1);
    test_close_both(client, server);
}

/* Names a fault that nobody asked of, and closes. */
static void script_end(struct test_server *server, int peer) {
    struct mkv_native_header header;
    if (test_greet(server, peer) && test_receive_frame(peer, &header, server->body)) {
        refuse(peer, MKV_NATIVE_PING, 0, MKV_STATUS_INVALID, "the checksum is wrong");
    }
}

static void test_client__connection_refused_with_a_text__text_comes_through(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_end};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 5000);
    struct memkv_error error;
    assert_int_equal(memkv_exists(client, "k", 1, &error), MEMKV_UNAVAILABLE);
    test_expect_text(&error, "ends the connection (invalid): the checksum is wrong");
    test_close_both(client, server);
}

/* Asks for a payload, does not read it, and when both sockets are full names a fault and closes. */
static void script_end_while_sending(struct test_server *server, int peer) {
    struct mkv_native_header header;
    if (!test_greet(server, peer) || !test_receive_frame(peer, &header, server->body)) {
        return;
    }
    uint8_t body[MKV_NATIVE_READY_BYTES];
    const struct mkv_native_header ready = {
        .op = MKV_NATIVE_READY, .request_id = header.request_id, .body_bytes = sizeof body};
    mkv_native_ready_encode(&(struct mkv_native_ready){.bytes = 32 * MIB}, body);
    test_send_frame(peer, &ready, body, NULL);
    usleep(100000);
    refuse(peer, MKV_NATIVE_PING, 0, MKV_STATUS_INVALID, "the moon is full");
}

static void test_client__sending_breaks__what_the_server_said_comes_through(void **state) {
    (void)state;
    struct test_server_options options = {.script = script_end_while_sending};
    options.limits = test_limits();
    options.limits.block_bytes_max = 32 * MIB;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 5000);
    struct memkv_error error;
    uint8_t *value = calloc(1, 32 * MIB);
    assert_non_null(value);
    assert_int_equal(memkv_put(client, "k", 1, value, 32 * MIB, 0, &error), MEMKV_UNKNOWN);
    test_expect_text(&error, "the moon is full");
    free(value);
    test_close_both(client, server);
}

static void script_refuse_hello(struct test_server *server, int peer) {
    struct mkv_native_header header;
    if (test_receive_frame(peer, &header, server->body)) {
        refuse(peer, MKV_NATIVE_HELLO, 1, MKV_STATUS_BUSY, "256 clients are connected");
    }
}

static void script_http(struct test_server *server, int peer) {
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n";
    struct mkv_native_header header;
    if (test_receive_frame(peer, &header, server->body)) {
        test_send(peer, text, sizeof text - 1);
    }
}

static void test_client_open__greeting_refused_or_nonsense__is_named(void **state) {
    (void)state;
    struct test_server_options options = {.script = script_refuse_hello};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    struct test_server *server = test_server_start(&options);
    assert_int_equal(
        memkv_open(&(struct memkv_options){.servers = server->address}, &client, &error),
        MEMKV_BUSY);
    test_expect_text(&error, "256 clients are connected");
    test_server_stop(server);
    options.script = script_http;
    server = test_server_start(&options);
    assert_int_equal(
        memkv_open(&(struct memkv_options){.servers = server->address}, &client, &error),
        MEMKV_UNAVAILABLE);
    test_expect_text(&error, "native listener");
    test_server_stop(server);
}

/* ---- servers that break the protocol -------------------------------------------------------- */

/* What the next script sends in answer to the first request. */
struct nonsense {
    struct mkv_native_header header;
    uint8_t body[MKV_NATIVE_DATA_BYTES];
    const char *complaint; /* part of what the client says */
    enum memkv_op op;      /* of the request */
};

static struct nonsense nonsense_now;

static void script_nonsense(struct test_server *server, int peer) {
    struct mkv_native_header header;
    uint8_t payload[4096] = {0};
    if (!test_greet(server, peer) || !test_receive_frame(peer, &header, server->body)) {
        return;
    }
    struct mkv_native_header answer = nonsense_now.header;
    answer.request_id = answer.request_id == 0 ? header.request_id : answer.request_id;
    test_send_frame(peer, &answer, nonsense_now.body, payload);
    char bytes[4096];
    while (recv(peer, bytes, sizeof bytes, 0) > 0) {
    }
}

static void expect_nonsense_is_refused(const struct nonsense *nonsense) {
    nonsense_now = *nonsense;
    const struct test_server_options options = {.script = script_nonsense};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 3000);
    struct memkv_error error;
    static uint8_t value[100000];
    char buffer[8];
    const enum memkv_status status =
        nonsense->op == MEMKV_OP_PUT
            ? memkv_put(client, "k", 1, value, sizeof value, 0, &error)
            : memkv_get_range(client, "k", 1, 10, sizeof buffer, buffer, NULL, &error);
    assert_int_equal(status, nonsense->op == MEMKV_OP_PUT ? MEMKV_UNKNOWN : MEMKV_UNAVAILABLE);
    test_expect_text(&error, "broke the protocol");
    test_expect_text(&error, nonsense->complaint);
    test_close_both(client, server);
}

static struct nonsense nonsense_data(struct mkv_native_data data, const char *complaint) {
    struct nonsense nonsense = {.header = {.op = MKV_NATIVE_DATA,
                                           .body_bytes = MKV_NATIVE_DATA_BYTES,
                                           .payload_bytes = data.bytes},
                                .complaint = complaint,
                                .op = MEMKV_OP_GET};
    mkv_native_data_encode(&data, nonsense.body);
    return nonsense;
}

static struct nonsense nonsense_ready(struct mkv_native_ready ready, const char *complaint) {
    struct nonsense nonsense = {
        .header = {.op = MKV_NATIVE_READY, .body_bytes = MKV_NATIVE_READY_BYTES},
        .complaint = complaint,
        .op = MEMKV_OP_PUT};
    mkv_native_ready_encode(&ready, nonsense.body);
    return nonsense;
}

static struct nonsense nonsense_answer(enum mkv_native_op op, struct mkv_native_result result,
                                       const char *complaint) {
    struct nonsense nonsense = {.header = {.op = op,
                                           .flags = MKV_NATIVE_FLAG_ANSWER,
                                           .item_count = 1,
                                           .body_bytes = MKV_NATIVE_RESULT_BYTES},
                                .complaint = complaint,
                                .op = MEMKV_OP_GET};
    mkv_native_result_encode(&result, nonsense.body);
    return nonsense;
}

static void test_client__server_breaks_the_protocol__call_fails_and_names_it(void **state) {
    (void)state;
    /* The GET asks for 8 bytes from byte 10 on, the PUT has 100,000. */
    struct nonsense all[] = {
        nonsense_data((struct mkv_native_data){.offset = 11, .length = 100, .bytes = 4},
                      "out of order"),
        nonsense_data((struct mkv_native_data){.offset = 0, .length = 100, .bytes = 4},
                      "out of order"),
        nonsense_data((struct mkv_native_data){.offset = 10, .length = 100, .bytes = 9},
                      "outside of the range"),
        nonsense_data((struct mkv_native_data){.item = 1, .offset = 10, .length = 100, .bytes = 8},
                      "not asked for"),
        nonsense_ready((struct mkv_native_ready){.offset = 1, .bytes = 100000}, "outside"),
        nonsense_ready((struct mkv_native_ready){.offset = 100001, .bytes = 1}, "outside"),
        nonsense_ready((struct mkv_native_ready){.item = 1, .bytes = 1}, "not put"),
        nonsense_answer(MKV_NATIVE_GET, (struct mkv_native_result){.length = 100}, "before all"),
        nonsense_answer(MKV_NATIVE_EXISTS, (struct mkv_native_result){.length = 100}, "not asked"),
        nonsense_answer(MKV_NATIVE_GET, (struct mkv_native_result){.length = 100}, "not asked"),
        {.header = {.op = MKV_NATIVE_PING}, .complaint = "op", .op = MEMKV_OP_GET},
        {.header = {.op = MKV_NATIVE_GET,
                    .flags = MKV_NATIVE_FLAG_ANSWER,
                    .item_count = 1,
                    .body_bytes = MKV_NATIVE_RESULT_BYTES},
         .body = {99},
         .complaint = "status",
         .op = MEMKV_OP_GET},
    };
    const size_t count = sizeof all / sizeof all[0];
    all[9].header.request_id = 1; /* of HELLO: long answered */
    for (size_t index = 0; index < count; index++) {
        expect_nonsense_is_refused(&all[index]);
    }
}

/* Answers the first request with bytes of a seed, as frames that are nearly right. */
static void script_random(struct test_server *server, int peer) {
    struct mkv_native_header header;
    if (!test_greet(server, peer) || !test_receive_frame(peer, &header, server->body)) {
        return;
    }
    uint32_t random = server->connection_count * 2654435761u;
    for (uint32_t round = 0; round < 20; round++) {
        uint8_t bytes[256] = {'M', 'K', 'V', '1', 1};
        random = random * 1664525u + 1013904223u;
        bytes[5] = (uint8_t)(1 + (random >> 16) % 10);
        bytes[6] = (uint8_t)((random >> 24) % 2);
        mkv_store_u64(bytes + 8, header.request_id);
        const bool is_answer = bytes[6] == 1;
        const uint32_t body_bytes = bytes[5] == MKV_NATIVE_READY  ? MKV_NATIVE_READY_BYTES
                                    : bytes[5] == MKV_NATIVE_DATA ? MKV_NATIVE_DATA_BYTES
                                                                  : MKV_NATIVE_RESULT_BYTES;
        mkv_store_u32(bytes + 20, is_answer ? 1 : 0);
        mkv_store_u32(bytes + 24, body_bytes);
        for (uint32_t index = 0; index < 8; index++) {
            random = random * 1664525u + 1013904223u;
            bytes[64 + (random >> 8) % 64] = (uint8_t)((random >> 24) % 32);
        }
        if (bytes[5] == MKV_NATIVE_DATA) {
            memcpy(bytes + 32, bytes + 64 + 24, 8);
        }
        mkv_store_u64(bytes + 56, mkv_hash_64(bytes, 56));
        if (!test_send(peer, bytes,
                       64 + body_bytes + (bytes[5] == MKV_NATIVE_DATA ? bytes[32] : 0))) {
            return;
        }
    }
}

static void test_client__server_sends_random_frames__client_survives(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_random};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 500);
    uint8_t value[70000] = {0};
    uint8_t *buffer = malloc(16); /* exactly, so that the sanitizer sees the byte behind it */
    assert_non_null(buffer);
    for (uint32_t round = 0; round < 300; round++) {
        struct memkv_item items[3] = {
            {.op = MEMKV_OP_GET, .key = "a", .key_bytes = 1, .buffer = buffer, .capacity = 16},
            {.op = MEMKV_OP_PUT, .key = "b", .key_bytes = 1, .data = value, .data_bytes = 70000},
            {.op = MEMKV_OP_EXISTS, .key = "c", .key_bytes = 1},
        };
        struct memkv_error error;
        memkv_batch(client, items + round % 3, 1, &error);
        for (uint32_t index = round % 3; index <= round % 3; index++) {
            assert_in_range(items[index].status, MEMKV_OK, MEMKV_NO_MEMORY);
            assert_in_range(items[index].byte_count, 0, 1ull << 40);
        }
    }
    free(buffer);
    test_close_both(client, server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client__request_refused__status_and_text_come_through),
        cmocka_unit_test(test_client__connection_refused_with_a_text__text_comes_through),
        cmocka_unit_test(test_client__sending_breaks__what_the_server_said_comes_through),
        cmocka_unit_test(test_client_open__greeting_refused_or_nonsense__is_named),
        cmocka_unit_test(test_client__server_breaks_the_protocol__call_fails_and_names_it),
        cmocka_unit_test(test_client__server_sends_random_frames__client_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
