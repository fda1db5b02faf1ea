/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that do not wait: thousands in flight, in a loop of the caller's own, and past their time.
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

#include "client/memkv.h"
#include "tests/unit/client/test_client.h"
#include "tests/unit/client/test_server.h"

#define CALLS 2000u
#define WAIT_MS 60000
#define TAKEN_MAX 37u

/* Small ones, some that wait for READY, a few in pieces. */
static uint64_t size_of(uint32_t index) {
    return index % 400 == 7 ? (2u << 20) + index : index % 50 == 3 ? 70000 + index : index % 90;
}

/* Takes completions until nothing is in flight; each cookie comes once, and is OK. */
static void take_all(struct memkv_client *client, struct memkv_item *items) {
    static bool is_taken[CALLS];
    memset(is_taken, 0, sizeof is_taken);
    uint32_t taken_count = 0;
    while (memkv_in_flight(client) > 0) {
        struct memkv_completion completions[TAKEN_MAX];
        const size_t count = memkv_wait(client, completions, TAKEN_MAX, WAIT_MS);
        assert_true(count > 0);
        for (size_t index = 0; index < count; index++) {
            const struct memkv_completion *completion = &completions[index];
            if (completion->error.status != MEMKV_OK) {
                fail_msg("%s", completion->error.text);
            }
            assert_in_range(completion->cookie, 0, CALLS - 1);
            assert_false(is_taken[completion->cookie]);
            is_taken[completion->cookie] = true;
            assert_ptr_equal(completion->items, &items[completion->cookie]);
            assert_int_equal(completion->item_count, 1);
            taken_count++;
        }
    }
    assert_int_equal(taken_count, CALLS);
}

static void test_client_submit__thousands_in_flight__each_is_completed_once(void **state) {
    (void)state;
    const struct test_server_options options = {.answers_held = 3};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 60000);
    static char names[CALLS][16];
    static struct memkv_item items[CALLS];
    for (uint32_t index = 0; index < CALLS; index++) {
        snprintf(names[index], sizeof names[index], "key-%u", index);
        uint8_t *value = malloc(size_of(index) + 1);
        assert_non_null(value);
        test_pattern_fill(index, value, size_of(index));
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = names[index],
                                           .key_bytes = strlen(names[index]),
                                           .data = value,
                                           .data_bytes = size_of(index)};
        assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
    }
    take_all(client, items);
    for (uint32_t index = 0; index < CALLS; index++) {
        struct memkv_item *item = &items[index];
        item->op = MEMKV_OP_GET;
        item->buffer = calloc(1, size_of(index) + 1);
        item->capacity = size_of(index);
        assert_non_null(item->buffer);
        assert_int_equal(memkv_submit(client, item, 1, index, 0, NULL), MEMKV_OK);
    }
    /* One that waits goes between them. */
    assert_int_equal(memkv_exists(client, "key-9", 5, NULL), MEMKV_OK);
    take_all(client, items);
    for (uint32_t index = 0; index < CALLS; index++) {
        assert_int_equal(items[index].byte_count, size_of(index));
        assert_memory_equal(items[index].buffer, items[index].data, size_of(index));
        free((void *)(uintptr_t)items[index].data);
        free(items[index].buffer);
    }
    assert_int_equal(server->connection_count, 1);
    test_close_both(client, server);
}

static void test_client_submit__no_items_or_other_faults__are_told_at_once_or_in_items(
    void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 60000);
    struct memkv_error error;
    struct memkv_item item = {.op = MEMKV_OP_EXISTS};
    struct memkv_completion completion;
    assert_int_equal(memkv_submit(client, &item, 0, 1, 0, &error), MEMKV_INVALID);
    assert_int_equal(memkv_wait(client, &completion, 1, WAIT_MS), 0);
    assert_int_equal(memkv_submit(client, &item, 1, 1, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, WAIT_MS), 1);
    assert_int_equal(completion.error.status, MEMKV_INVALID);
    test_expect_text(&completion.error, "a key has 1 to 1024");
    test_close_both(client, server);
}

/* Waits until the descriptor is readable. */
static void wait_readable(int descriptor) {
    struct pollfd ready = {.fd = descriptor, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
}

static void test_client_fd__in_a_loop_of_poll__becomes_readable_for_all_there_is_to_do(
    void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 60000);
    static uint8_t value[300000];
    static struct memkv_item items[200];
    static char names[200][16];
    const int descriptor = memkv_fd(client);
    assert_true(descriptor >= 0);
    assert_int_equal(memkv_fd(client), descriptor);
    for (uint32_t index = 0; index < 200; index++) {
        snprintf(names[index], sizeof names[index], "key-%u", index);
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = names[index],
                                           .key_bytes = strlen(names[index]),
                                           .data = value,
                                           .data_bytes = index % 20 == 0 ? sizeof value : index};
        assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
    }
    uint32_t taken_count = 0;
    while (taken_count < 200) {
        struct memkv_completion completions[3];
        wait_readable(descriptor);
        taken_count += (uint32_t)memkv_poll(client, completions, 3);
    }
    struct pollfd quiet = {.fd = descriptor, .events = POLLIN};
    /* Deadlines of what is done may wake it once more; then there is nothing. */
    while (poll(&quiet, 1, 0) == 1) {
        assert_int_equal(memkv_poll(client, NULL, 0), 0);
    }
    assert_int_equal(memkv_in_flight(client), 0);
    test_close_both(client, server);
}

static void test_client_fd__a_call_that_waits_completes_another__becomes_readable(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 60000);
    struct memkv_item item = {.op = MEMKV_OP_EXISTS, .key = "a", .key_bytes = 1};
    struct memkv_completion completion;
    char text[4096];
    struct pollfd ready = {.fd = memkv_fd(client), .events = POLLIN};
    assert_true(ready.fd >= 0);
    assert_int_equal(memkv_submit(client, &item, 1, 7, 0, NULL), MEMKV_OK);
    /* One connection, and answers in order: so the submission is done before STATS is. */
    assert_int_equal(memkv_stats(client, text, sizeof text, NULL, NULL), MEMKV_OK);
    assert_int_equal(poll(&ready, 1, 0), 1);
    assert_int_equal(memkv_poll(client, &completion, 1), 1);
    assert_int_equal(completion.cookie, 7);
    test_close_both(client, server);
}

/* Greets, then reads all and says nothing. */
static void script_silent(struct test_server *server, int peer) {
    char bytes[4096];
    if (test_greet(server, peer)) {
        while (recv(peer, bytes, sizeof bytes, 0) > 0) {
        }
    }
}

static void test_client_fd__deadline_of_a_silent_server__becomes_readable(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_silent};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 60000);
    struct memkv_item items[2] = {{.op = MEMKV_OP_EXISTS, .key = "a", .key_bytes = 1},
                                  {.op = MEMKV_OP_DELETE, .key = "b", .key_bytes = 1}};
    struct memkv_completion completion;
    size_t count = 0;
    const int descriptor = memkv_fd(client);
    assert_int_equal(memkv_submit(client, items, 2, 7, 30, NULL), MEMKV_OK);
    while (count == 0) {
        wait_readable(descriptor);
        count = memkv_poll(client, &completion, 1);
    }
    assert_int_equal(completion.cookie, 7);
    assert_int_equal(items[0].status, MEMKV_DEADLINE);
    assert_int_equal(items[1].status, MEMKV_UNKNOWN);
    test_close_both(client, server);
}

/* Answers a second request before the first one, whose value it sends late. */
static void script_late(struct test_server *server, int peer) {
    struct mkv_native_header first;
    struct mkv_native_header header;
    uint8_t body[MKV_NATIVE_DATA_BYTES];
    static uint8_t value[100000];
    if (!test_greet(server, peer) || !test_receive_frame(peer, &first, server->body)) {
        return;
    }
    memset(value, 0xee, sizeof value);
    const struct mkv_native_data data = {.length = sizeof value, .bytes = sizeof value};
    const struct mkv_native_header data_header = {.op = MKV_NATIVE_DATA,
                                                  .request_id = first.request_id,
                                                  .body_bytes = sizeof body,
                                                  .payload_bytes = sizeof value};
    mkv_native_data_encode(&data, body);
    for (uint32_t round = 0; test_receive_frame(peer, &header, server->body); round++) {
        const struct mkv_native_header answer = {
            .op = header.op, .flags = MKV_NATIVE_FLAG_ANSWER, .request_id = header.request_id};
        if (round == 1) {
            uint8_t result[MKV_NATIVE_RESULT_BYTES];
            const struct mkv_native_result found = {.length = sizeof value};
            const struct mkv_native_header end = {.op = MKV_NATIVE_GET,
                                                  .flags = MKV_NATIVE_FLAG_ANSWER,
                                                  .request_id = first.request_id,
                                                  .item_count = 1,
                                                  .body_bytes = sizeof result};
            mkv_native_result_encode(&found, result);
            test_send_frame(peer, &data_header, body, value);
            test_send_frame(peer, &end, result, NULL);
        }
        if (round > 0) {
            test_send_frame(peer, &answer, NULL, NULL);
        }
    }
}

static void test_client_submit__value_comes_after_its_deadline__is_dropped_and_harms_nobody(
    void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_late};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 60000);
    uint8_t *buffer = calloc(1, 100000);
    struct memkv_item late = {
        .op = MEMKV_OP_GET, .key = "k", .key_bytes = 1, .buffer = buffer, .capacity = 100000};
    struct memkv_item held = {.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1};
    struct memkv_completion completion;
    assert_non_null(buffer);
    assert_int_equal(memkv_submit(client, &late, 1, 1, 20, NULL), MEMKV_OK);
    /* The script never answers the second, which so keeps the connection. */
    assert_int_equal(memkv_submit(client, &held, 1, 2, 0, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, WAIT_MS), 1);
    assert_int_equal(completion.cookie, 1);
    assert_int_equal(late.status, MEMKV_DEADLINE);
    free(buffer); /* the library has no claim to it any more */
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(server->connection_count, 1);
    assert_int_equal(memkv_in_flight(client), 1);
    test_close_both(client, server);
}

static void test_client_cancel__get_under_way__ends_and_keeps_the_connection(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_late};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 60000);
    uint8_t *buffer = calloc(1, 100000);
    struct memkv_item item = {
        .op = MEMKV_OP_GET, .key = "k", .key_bytes = 1, .buffer = buffer, .capacity = 100000};
    struct memkv_item held = {.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1};
    struct memkv_completion completion;
    struct memkv_error error;
    assert_non_null(buffer);
    assert_int_equal(memkv_submit(client, &item, 1, 1, 0, NULL), MEMKV_OK);
    assert_int_equal(memkv_cancel(client, 2, &error), MEMKV_NOT_FOUND);
    assert_non_null(strstr(error.text, "cookie 2"));
    assert_int_equal(memkv_cancel(client, 1, &error), MEMKV_OK);
    assert_int_equal(memkv_cancel(client, 1, &error), MEMKV_NOT_FOUND);
    assert_int_equal(memkv_wait(client, &completion, 1, 0), 1);
    assert_int_equal(completion.cookie, 1);
    assert_int_equal(completion.error.status, MEMKV_CANCELLED);
    assert_non_null(strstr(completion.error.text, "cancelled"));
    assert_int_equal(item.status, MEMKV_CANCELLED);
    free(buffer); /* the library has no claim to it any more */
    /* The script never answers the next one, and sends the value behind the one after it. */
    assert_int_equal(memkv_submit(client, &held, 1, 3, 0, NULL), MEMKV_OK);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(server->connection_count, 1);
    test_close_both(client, server);
}

/* Sends half of a value, the rest and all answers when the next request comes. */
static void script_halved(struct test_server *server, int peer) {
    struct mkv_native_header first;
    struct mkv_native_header next;
    static uint8_t frame[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES + 100000];
    uint8_t result[MKV_NATIVE_RESULT_BYTES];
    if (!test_greet(server, peer) || !test_receive_frame(peer, &first, server->body)) {
        return;
    }
    const struct mkv_native_data data = {.length = 100000, .bytes = 100000};
    const struct mkv_native_header header = {.op = MKV_NATIVE_DATA,
                                             .request_id = first.request_id,
                                             .body_bytes = MKV_NATIVE_DATA_BYTES,
                                             .payload_bytes = data.bytes};
    const struct mkv_native_result found = {.length = data.length};
    const struct mkv_native_header end = {.op = MKV_NATIVE_GET,
                                          .flags = MKV_NATIVE_FLAG_ANSWER,
                                          .request_id = first.request_id,
                                          .item_count = 1,
                                          .body_bytes = sizeof result};
    memset(frame, 0xee, sizeof frame);
    mkv_native_header_encode(&header, frame);
    mkv_native_data_encode(&data, frame + MKV_NATIVE_HEADER_BYTES);
    mkv_native_result_encode(&found, result);
    const size_t half = sizeof frame / 2;
    if (!test_send(peer, frame, half) || !test_receive_frame(peer, &next, server->body)) {
        return;
    }
    const struct mkv_native_header answer = {
        .op = next.op, .flags = MKV_NATIVE_FLAG_ANSWER, .request_id = next.request_id};
    (void)(test_send(peer, frame + half, sizeof frame - half) &&
           test_send_frame(peer, &end, result, NULL) && test_send_frame(peer, &answer, NULL, NULL));
}

static void test_client_cancel__half_of_a_value_has_come__the_rest_is_dropped(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_halved};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 60000);
    uint8_t *buffer = calloc(1, 100000);
    struct memkv_item item = {
        .op = MEMKV_OP_GET, .key = "k", .key_bytes = 1, .buffer = buffer, .capacity = 100000};
    struct memkv_completion completion;
    assert_non_null(buffer);
    assert_int_equal(memkv_submit(client, &item, 1, 1, 0, NULL), MEMKV_OK);
    while (buffer[0] == 0) {
        assert_int_equal(memkv_wait(client, &completion, 1, 1), 0);
    }
    assert_int_equal(memkv_cancel(client, 1, NULL), MEMKV_OK);
    assert_int_equal(memkv_wait(client, &completion, 1, 0), 1);
    free(buffer); /* the library has no claim to it any more */
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    assert_int_equal(server->connection_count, 1);
    test_close_both(client, server);
}

static void test_client_cancel__any_of_many_puts__each_is_completed_once(void **state) {
    (void)state;
    const struct test_server_options options = {.answers_held = 3};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 60000);
    static uint8_t value[300000];
    static struct memkv_item items[400];
    static char keys[400][8];
    uint32_t taken_count = 0;
    uint32_t cancelled_count = 0;
    for (uint32_t index = 0; index < 400; index++) {
        snprintf(keys[index], sizeof keys[index], "k%u", index % 40);
        items[index] = (struct memkv_item){.op = index % 7 == 0 ? MEMKV_OP_DELETE : MEMKV_OP_PUT,
                                           .flags = index % 7 == 0 ? 0 : MEMKV_REPLACE,
                                           .key = keys[index],
                                           .key_bytes = strlen(keys[index]),
                                           .data = value + index,
                                           .data_bytes = sizeof value - 400};
        assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
        if (index % 5 == 4) {
            cancelled_count += memkv_cancel(client, index - index % 4, NULL) == MEMKV_OK ? 1 : 0;
        }
    }
    while (memkv_in_flight(client) > 0) {
        struct memkv_completion completions[TAKEN_MAX];
        const size_t count = memkv_wait(client, completions, TAKEN_MAX, WAIT_MS);
        assert_true(count > 0);
        taken_count += (uint32_t)count;
        /* A connection that half a value was promised over went with a cancelled put. */
        for (size_t index = 0; index < count; index++) {
            const enum memkv_status status = completions[index].error.status;
            assert_true(status == MEMKV_OK || status == MEMKV_NOT_FOUND ||
                        status == MEMKV_UNKNOWN || status == MEMKV_CANCELLED ||
                        status == MEMKV_UNAVAILABLE);
        }
    }
    assert_int_equal(taken_count, 400);
    assert_true(cancelled_count > 0);
    assert_int_equal(memkv_put(client, "last", 4, value, sizeof value, MEMKV_REPLACE, NULL),
                     MEMKV_OK);
    test_close_both(client, server);
}

static void test_client_buffer_register__once_each__and_unregister_what_is_there(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 60000);
    static uint8_t memory[4096];
    uint64_t handles[2] = {0};
    uint64_t other = 7;
    struct memkv_error error;
    assert_int_equal(memkv_buffer_register(client, memory, 2048, &handles[0], &error), MEMKV_OK);
    assert_int_equal(memkv_buffer_register(client, memory + 2048, 2048, &handles[1], &error),
                     MEMKV_OK);
    assert_int_not_equal(handles[0], 0);
    assert_int_not_equal(handles[0], handles[1]);
    assert_int_equal(memkv_buffer_register(client, memory + 2047, 2, &other, &error),
                     MEMKV_INVALID);
    assert_int_equal(other, 0);
    assert_int_equal(memkv_buffer_register(client, NULL, 2, &other, &error), MEMKV_INVALID);
    assert_int_equal(memkv_buffer_register(client, memory, 0, &other, &error), MEMKV_INVALID);
    assert_int_equal(memkv_put(client, "k", 1, memory, sizeof memory, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_buffer_unregister(client, handles[0], &error), MEMKV_OK);
    assert_int_equal(memkv_buffer_unregister(client, handles[0], &error), MEMKV_NOT_FOUND);
    assert_int_equal(memkv_buffer_register(client, memory, 16, &handles[0], &error), MEMKV_OK);
    test_close_both(client, server);
}

static void test_client_close__much_in_flight__gives_it_up(void **state) {
    (void)state;
    const struct test_server_options options = {.script = script_silent};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 60000);
    static uint8_t value[60000];
    static struct memkv_item items[500];
    for (uint32_t index = 0; index < 500; index++) {
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = "k",
                                           .key_bytes = 1,
                                           .data = value,
                                           .data_bytes = sizeof value};
        assert_int_equal(memkv_submit(client, &items[index], 1, index, 0, NULL), MEMKV_OK);
    }
    assert_int_equal(memkv_in_flight(client), 500);
    test_close_both(client, server);
}

/* The first connection is silent; the next ones have every key. */
static void script_silent_at_first(struct test_server *server, int peer) {
    static uint8_t body[MKV_NATIVE_BODY_BYTES_MAX];
    const struct mkv_native_result result = {.status = MKV_STATUS_OK};
    struct mkv_native_header header;
    if (server->connection_count == 1) {
        script_silent(server, peer);
        return;
    }
    bool is_going_on = test_greet(server, peer);
    while (is_going_on && test_receive_frame(peer, &header, body)) {
        const struct mkv_native_header answer = {.op = header.op,
                                                 .flags = MKV_NATIVE_FLAG_ANSWER,
                                                 .request_id = header.request_id,
                                                 .item_count = 1,
                                                 .body_bytes = MKV_NATIVE_RESULT_BYTES};
        mkv_native_result_encode(&result, body);
        is_going_on = test_send_frame(peer, &answer, body, NULL);
    }
}

/* Its connection closes with it, and nothing else tells the other call to go on. */
static void test_client_submit__deadline_of_one_while_another_waits_for_room__that_goes_on(
    void **state) {
    (void)state;
    struct test_server_options options = {.script = script_silent_at_first};
    options.limits = test_limits();
    options.limits.requests_max = 1;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 8000);
    struct memkv_item item = {.op = MEMKV_OP_EXISTS, .key = "a", .key_bytes = 1};
    struct memkv_completion completion;
    assert_int_equal(memkv_submit(client, &item, 1, 1, 100, NULL), MEMKV_OK);
    assert_int_not_equal(memkv_exists(client, "b", 1, NULL), MEMKV_DEADLINE);
    assert_int_equal(memkv_wait(client, &completion, 1, WAIT_MS), 1);
    assert_int_equal(item.status, MEMKV_DEADLINE);
    test_close_both(client, server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_submit__thousands_in_flight__each_is_completed_once),
        cmocka_unit_test(
            test_client_submit__no_items_or_other_faults__are_told_at_once_or_in_items),
        cmocka_unit_test(
            test_client_fd__in_a_loop_of_poll__becomes_readable_for_all_there_is_to_do),
        cmocka_unit_test(test_client_fd__a_call_that_waits_completes_another__becomes_readable),
        cmocka_unit_test(test_client_fd__deadline_of_a_silent_server__becomes_readable),
        cmocka_unit_test(
            test_client_submit__value_comes_after_its_deadline__is_dropped_and_harms_nobody),
        cmocka_unit_test(test_client_cancel__get_under_way__ends_and_keeps_the_connection),
        cmocka_unit_test(test_client_cancel__half_of_a_value_has_come__the_rest_is_dropped),
        cmocka_unit_test(test_client_cancel__any_of_many_puts__each_is_completed_once),
        cmocka_unit_test(test_client_buffer_register__once_each__and_unregister_what_is_there),
        cmocka_unit_test(test_client_close__much_in_flight__gives_it_up),
        cmocka_unit_test(
            test_client_submit__deadline_of_one_while_another_waits_for_room__that_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
