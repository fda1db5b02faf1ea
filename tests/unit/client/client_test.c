/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv against a server that keeps to the protocol, in every order and chopping that it allows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/memkv.h"
#include "tests/unit/client/test_client.h"
#include "tests/unit/client/test_server.h"

#define MIB (1024u * 1024u)

static uint8_t *pattern_new(uint32_t seed, uint64_t byte_count) {
    uint8_t *bytes = malloc(byte_count + 1);
    assert_non_null(bytes);
    test_pattern_fill(seed, bytes, byte_count);
    return bytes;
}

/* Puts a value, gets it back, and compares. */
static void expect_round_trip(struct memkv_client *client, const char *key, uint32_t seed,
                              uint64_t byte_count) {
    uint8_t *put = pattern_new(seed, byte_count);
    uint8_t *got = calloc(1, byte_count + 1);
    assert_non_null(got);
    struct memkv_error error;
    if (memkv_put(client, key, strlen(key), put, byte_count, 0, &error) != MEMKV_OK) {
        fail_msg("put of %llu bytes: %s", (unsigned long long)byte_count, error.text);
    }
    uint64_t got_bytes = 0;
    if (memkv_get(client, key, strlen(key), got, byte_count, &got_bytes, &error) != MEMKV_OK) {
        fail_msg("get of %llu bytes: %s", (unsigned long long)byte_count, error.text);
    }
    assert_int_equal(got_bytes, byte_count);
    assert_int_equal(memcmp(put, got, byte_count), 0);
    free(put);
    free(got);
}

/* Around every border: empty, inline, one block, one block and a byte, several pieces. */
static void expect_round_trips(struct memkv_client *client, const uint64_t *sizes,
                               size_t size_count) {
    for (size_t index = 0; index < size_count; index++) {
        char key[32];
        snprintf(key, sizeof key, "key-%zu", index);
        expect_round_trip(client, key, (uint32_t)index, sizes[index]);
    }
}

static void test_client__values_of_every_size__round_trip(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0,       1,       65535,       65536,       65537,
                                     MIB - 1, MIB,     MIB + 1,     2 * MIB + 1, 9 * MIB,
                                     100000,  3 * MIB, 15 * MIB + 1};
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    expect_round_trips(client, sizes, sizeof sizes / sizeof sizes[0]);
    assert_int_equal(server->connection_count, 1);
    assert_string_equal(server->client_name, "client_test");
    struct memkv_server limits;
    memkv_server_limits(client, &limits);
    assert_int_equal(limits.block_bytes_max, MIB);
    assert_string_equal(limits.version, "test");
    test_close_both(client, server);
}

static void test_client__tenant__named_in_hello(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_options options = {.servers = server->address, .tenant = "team-7"};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_OK);
    assert_string_equal(server->client_tenant, "team-7");
    memkv_close(client);
    options.tenant = "no spaces";
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_INVALID);
    assert_null(client);
    test_expect_text(&error, "tenant 'no spaces': a name has 1 to 79 characters");
    options.tenant = "";
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_INVALID);
    test_server_stop(server);
}

static void test_client__bytes_come_one_by_one__round_trip(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0, 1, 300, 5000, 70000};
    const struct test_server_options options = {.send_byte_by_byte = true};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 20000);
    expect_round_trips(client, sizes, sizeof sizes / sizeof sizes[0]);
    test_close_both(client, server);
}

static void test_client__ready_in_reverse_order__values_are_whole(void **state) {
    (void)state;
    static const uint64_t sizes[] = {100000, MIB, 5 * MIB + 7, 16 * MIB};
    const struct test_server_options options = {.ready_reversed = true};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 20000);
    expect_round_trips(client, sizes, sizeof sizes / sizeof sizes[0]);
    test_close_both(client, server);
}

static void test_client__value_comes_in_small_pieces__is_whole(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1000, 70000, MIB, 2 * MIB + 3};
    const struct test_server_options options = {.piece_bytes = 999};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 20000);
    expect_round_trips(client, sizes, sizeof sizes / sizeof sizes[0]);
    test_close_both(client, server);
}

static void test_client__server_takes_nothing_inline__values_go_by_ready(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0, 1, 100, 4097};
    struct test_server_options options = {0};
    options.limits = (struct mkv_native_hello_answer){.version = 1,
                                                      .shard_count = 1,
                                                      .items_max = 2,
                                                      .body_bytes_max = 1072,
                                                      .inline_bytes_max = 0,
                                                      .block_bytes_max = 1000,
                                                      .value_bytes_max = 5000,
                                                      .requests_max = 1};
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 20000);
    expect_round_trips(client, sizes, sizeof sizes / sizeof sizes[0]);
    struct memkv_error error;
    uint8_t value[5001] = {0};
    assert_int_equal(memkv_put(client, "k", 1, value, sizeof value, 0, &error), MEMKV_INVALID);
    assert_non_null(strstr(error.text, "5001"));
    assert_non_null(strstr(error.text, "5000"));
    /* Two of these keys do not fit the body of one request, and one request is all there may be. */
    char keys[6][1024];
    struct memkv_item items[6];
    memset(keys, 'k', sizeof keys);
    for (uint32_t index = 0; index < 6; index++) {
        keys[index][0] = (char)('a' + index);
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = keys[index],
                                           .key_bytes = sizeof keys[index],
                                           .data = value,
                                           .data_bytes = 1000};
    }
    assert_int_equal(memkv_batch(client, items, 6, &error), MEMKV_OK);
    assert_int_equal(server->requests_in_flight_max, 1);
    test_close_both(client, server);
}

static void test_client_get__buffer_too_small__says_how_much_there_is(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    uint8_t *put = pattern_new(1, 5000);
    uint8_t got[5000];
    uint64_t got_bytes = 0;
    struct memkv_error error;
    assert_int_equal(memkv_put(client, "k", 1, put, 5000, 0, NULL), MEMKV_OK);
    got[4999] = 0xee;
    assert_int_equal(memkv_get(client, "k", 1, got, 4999, &got_bytes, &error), MEMKV_TOO_SMALL);
    assert_int_equal(got_bytes, 5000);
    assert_int_equal(got[4999], 0xee);
    assert_non_null(strstr(error.text, "5000"));
    assert_int_equal(memkv_get(client, "k", 1, NULL, 0, &got_bytes, &error), MEMKV_TOO_SMALL);
    assert_int_equal(got_bytes, 5000);
    assert_int_equal(memkv_get(client, "k", 1, got, 5000, &got_bytes, &error), MEMKV_OK);
    assert_memory_equal(got, put, 5000);
    assert_int_equal(memkv_put(client, "empty", 5, NULL, 0, 0, NULL), MEMKV_OK);
    assert_int_equal(memkv_get(client, "empty", 5, NULL, 0, &got_bytes, &error), MEMKV_OK);
    assert_int_equal(got_bytes, 0);
    free(put);
    test_close_both(client, server);
}

static void test_client_get_range__parts_of_a_value__are_those_bytes(void **state) {
    (void)state;
    static const struct {
        uint64_t offset, length, expected;
    } ranges[] = {
        {0, 1, 1},           {1, 100, 100},       {65536, 65536, 65536}, {0, 3 * MIB, 3 * MIB},
        {MIB - 1, 2, 2},     {3 * MIB - 1, 1, 1}, {3 * MIB - 1, 100, 1}, {3 * MIB, 1, 0},
        {3 * MIB + 9, 9, 0}, {5, MIB, MIB},
    };
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    uint8_t *put = pattern_new(1, 3 * MIB);
    uint8_t *got = malloc(3 * MIB);
    assert_non_null(got);
    assert_int_equal(memkv_put(client, "k", 1, put, 3 * MIB, 0, NULL), MEMKV_OK);
    for (size_t index = 0; index < sizeof ranges / sizeof ranges[0]; index++) {
        uint64_t got_bytes = 0;
        struct memkv_error error;
        assert_int_equal(memkv_get_range(client, "k", 1, ranges[index].offset, ranges[index].length,
                                         got, &got_bytes, &error),
                         MEMKV_OK);
        assert_int_equal(got_bytes, ranges[index].expected);
        assert_int_equal(memcmp(got, put + ranges[index].offset, got_bytes), 0);
    }
    struct memkv_error error;
    assert_int_equal(memkv_get_range(client, "k", 1, 0, 0, got, NULL, &error), MEMKV_INVALID);
    assert_int_equal(memkv_get_range(client, "k", 1, UINT64_MAX, 1, got, NULL, &error),
                     MEMKV_INVALID);
    free(put);
    free(got);
    test_close_both(client, server);
}

static void test_client__exists_and_delete__tell_what_is_there(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_exists(client, "k", 1, &error), MEMKV_NOT_FOUND);
    assert_string_equal(error.text, "key 'k': not found");
    assert_int_equal(memkv_put(client, "k", 1, "v", 1, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_exists(client, "k", 1, &error), MEMKV_OK);
    assert_int_equal(memkv_delete(client, "k", 1, &error), MEMKV_OK);
    assert_int_equal(memkv_delete(client, "k", 1, &error), MEMKV_NOT_FOUND);
    assert_int_equal(memkv_get(client, "k", 1, NULL, 0, NULL, &error), MEMKV_NOT_FOUND);
    assert_string_equal(error.text, "key 'k': not found (evicted)");
    test_close_both(client, server);
}

static void test_client_put__relaxed__says_so(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_put(client, "k", 1, "abc", 3, 0, &error), MEMKV_OK);
    assert_int_equal(server->put_flags, 0);
    assert_int_equal(memkv_put(client, "l", 1, "abc", 3, MEMKV_RELAXED, &error), MEMKV_OK);
    assert_int_equal(server->put_flags, MKV_NATIVE_ITEM_RELAXED);
    assert_int_equal(memkv_put(client, "k", 1, "d", 1, MEMKV_RELAXED | MEMKV_REPLACE, &error),
                     MEMKV_OK);
    assert_int_equal(server->put_flags, MKV_NATIVE_ITEM_FLAGS);
    test_close_both(client, server);
}

static void test_client_put__other_content__needs_replace(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    uint8_t *first = pattern_new(1, 200000);
    uint8_t *second = pattern_new(2, 200000);
    assert_int_equal(memkv_put(client, "k", 1, first, 200000, 0, &error), MEMKV_OK);
    const unsigned frames_before = server->frame_count;
    assert_int_equal(memkv_put(client, "k", 1, first, 200000, 0, &error), MEMKV_OK);
    assert_int_equal(server->frame_count, frames_before + 1); /* no DATA: it is there already */
    assert_int_equal(memkv_put(client, "k", 1, second, 200000, 0, &error), MEMKV_CONFLICT);
    assert_int_equal(memkv_put(client, "k", 1, second, 200000, MEMKV_REPLACE, &error), MEMKV_OK);
    uint64_t got_bytes = 0;
    assert_int_equal(memkv_get(client, "k", 1, first, 200000, &got_bytes, &error), MEMKV_OK);
    assert_memory_equal(first, second, 200000);
    assert_int_equal(memkv_put(client, "k", 1, second, 1, 0x80, &error), MEMKV_INVALID);
    free(first);
    free(second);
    test_close_both(client, server);
}

static void test_client_lookup__prefix_of_any_length__is_counted(void **state) {
    (void)state;
    static const size_t resident[] = {0, 1, 255, 256, 257, 700};
    char names[700][16];
    struct memkv_key keys[700];
    struct memkv_item items[700] = {0};
    for (size_t index = 0; index < 700; index++) {
        snprintf(names[index], sizeof names[index], "key-%zu", index);
        keys[index] = (struct memkv_key){names[index], strlen(names[index])};
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = names[index],
                                           .key_bytes = strlen(names[index]),
                                           .data = "v",
                                           .data_bytes = 1};
    }
    for (size_t index = 0; index < sizeof resident / sizeof resident[0]; index++) {
        struct test_server *server = test_server_start(NULL);
        struct memkv_client *client = test_client_open(server, 20000);
        struct memkv_error error;
        size_t count = 99;
        assert_int_equal(memkv_batch(client, items, resident[index], &error), MEMKV_OK);
        assert_int_equal(memkv_lookup(client, keys, 700, &count, &error), MEMKV_OK);
        assert_int_equal(count, resident[index]);
        assert_int_equal(memkv_lookup(client, keys, 0, &count, &error), MEMKV_OK);
        assert_int_equal(count, 0);
        const struct memkv_key wrong = {"", 0};
        assert_int_equal(memkv_lookup(client, &wrong, 1, &count, &error), MEMKV_INVALID);
        test_close_both(client, server);
    }
}

static void test_client__stats_and_ping__are_answered(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    char text[13];
    size_t text_bytes = 0;
    assert_int_equal(memkv_ping(client, &error), MEMKV_OK);
    assert_int_equal(memkv_stats(client, text, sizeof text, &text_bytes, &error), MEMKV_OK);
    assert_string_equal(text, "{\"blocks\":7}");
    assert_int_equal(text_bytes, 12);
    assert_int_equal(memkv_stats(client, text, 12, &text_bytes, &error), MEMKV_TOO_SMALL);
    assert_int_equal(text_bytes, 12);
    test_close_both(client, server);
}

/* ---- batches -------------------------------------------------------------------------------- */

#define BATCH_ITEMS 600u

/* Sizes of a batch: many small, some of a block, a few larger. */
static uint64_t batch_size(uint32_t index) {
    return index % 100 == 3 ? 2 * MIB + index : index % 10 == 7 ? 70000 + index : index * 3;
}

static void batch_fill(struct memkv_item *items, char (*names)[16], enum memkv_op op) {
    for (uint32_t index = 0; index < BATCH_ITEMS; index++) {
        snprintf(names[index], sizeof names[index], "key-%u", index);
        struct memkv_item *item = &items[index];
        const uint64_t size = batch_size(index);
        *item =
            (struct memkv_item){.op = op, .key = names[index], .key_bytes = strlen(names[index])};
        if (op == MEMKV_OP_PUT) {
            item->data = pattern_new(index, size);
            item->data_bytes = size;
        } else if (op == MEMKV_OP_GET) {
            item->buffer = calloc(1, size + 1);
            item->capacity = size;
            assert_non_null(item->buffer);
        }
    }
}

static void batch_free(struct memkv_item *items) {
    for (uint32_t index = 0; index < BATCH_ITEMS; index++) {
        free((void *)(uintptr_t)items[index].data);
        free(items[index].buffer);
    }
}

static void expect_batch(const struct test_server_options *options) {
    struct test_server *server = test_server_start(options);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    static char names[BATCH_ITEMS][16];
    static struct memkv_item puts[BATCH_ITEMS], gets[BATCH_ITEMS];
    batch_fill(puts, names, MEMKV_OP_PUT);
    batch_fill(gets, names, MEMKV_OP_GET);
    if (memkv_batch(client, puts, BATCH_ITEMS, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    assert_in_range(server->requests_in_flight_max, 2, 16);
    /* Some are gone, and some values are other ones: each item has its own fate. */
    for (uint32_t index = 0; index < BATCH_ITEMS; index += 50) {
        assert_int_equal(memkv_delete(client, names[index], strlen(names[index]), &error),
                         MEMKV_OK);
    }
    assert_int_equal(memkv_batch(client, gets, BATCH_ITEMS, &error), MEMKV_NOT_FOUND);
    assert_string_equal(error.text, "item 0, key 'key-0': not found (evicted)");
    for (uint32_t index = 0; index < BATCH_ITEMS; index++) {
        if (index % 50 == 0) {
            assert_int_equal(gets[index].status, MEMKV_NOT_FOUND);
            assert_int_equal(gets[index].miss, MEMKV_MISS_EVICTED);
            continue;
        }
        assert_int_equal(gets[index].status, MEMKV_OK);
        assert_int_equal(gets[index].byte_count, batch_size(index));
        assert_int_equal(gets[index].value_bytes, batch_size(index));
        assert_int_equal(memcmp(gets[index].buffer, puts[index].data, batch_size(index)), 0);
    }
    batch_free(puts);
    batch_free(gets);
    test_close_both(client, server);
}

static void test_client_batch__600_values_of_all_sizes__round_trip(void **state) {
    (void)state;
    expect_batch(NULL);
}

static void test_client_batch__answers_and_ready_in_reverse__round_trip(void **state) {
    (void)state;
    const struct test_server_options options = {.ready_reversed = true, .answers_held = 5};
    expect_batch(&options);
}

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void test_client_trace__server_takes_it__requests_have_it_until_it_is_taken_back(
    void **state) {
    (void)state;
    struct test_server_options options = {.limits = test_limits()};
    options.limits.features = MKV_NATIVE_FEATURE_TRACE;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_trace_context(client, TRACEPARENT, &error), MEMKV_OK);
    assert_int_equal(memkv_put(client, "key", 3, "value", 5, 0, &error), MEMKV_OK);
    assert_int_equal(server->traced, 1);
    assert_int_equal(server->trace.trace_id[0], 0x0a);
    assert_int_equal(server->trace.trace_id[15], 0x9c);
    assert_int_equal(server->trace.parent_id[0], 0xb7);
    assert_int_equal(server->trace.parent_id[7], 0x31);
    assert_int_equal(server->trace.flags, 1);
    assert_int_equal(memkv_exists(client, "key", 3, &error), MEMKV_OK);
    assert_int_equal(server->traced, 2);
    assert_int_equal(memkv_ping(client, &error), MEMKV_OK);
    assert_int_equal(memkv_trace_context(client, NULL, &error), MEMKV_OK);
    assert_int_equal(memkv_exists(client, "key", 3, &error), MEMKV_OK);
    assert_int_equal(server->traced, 2);
    test_close_both(client, server);
}

static void test_client_trace__older_server__does_not_get_it(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_trace_context(client, TRACEPARENT, &error), MEMKV_OK);
    assert_int_equal(memkv_put(client, "key", 3, "value", 5, 0, &error), MEMKV_OK);
    assert_int_equal(server->traced, 0);
    test_close_both(client, server);
}

/* The second shard's connection never comes to be: this server has one connection at a time. */
static void test_client__server_with_shards__is_asked_and_serves_on(void **state) {
    (void)state;
    struct test_server_options options = {.limits = test_limits()};
    options.shards = (struct mkv_native_shards){.shard = 0, .shard_count = 2, .drive_count = 2};
    for (uint32_t drive = 0; drive < 2; drive++) {
        options.shards.drives[drive].uuid.bytes[0] = (uint8_t)(drive + 1);
        options.shards.drives[drive].weight = 1;
        options.shards.drives[drive].shard = drive;
    }
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    struct memkv_item items[32];
    char keys[32][8];
    memset(items, 0, sizeof items);
    for (uint32_t index = 0; index < 32; index++) {
        snprintf(keys[index], sizeof keys[index], "k%u", index);
        items[index] = (struct memkv_item){
            .op = MEMKV_OP_PUT, .key = keys[index], .key_bytes = strlen(keys[index]), .data = "v"};
        items[index].data_bytes = 1;
        assert_int_equal(memkv_put(client, keys[index], strlen(keys[index]), "v", 1, 0, &error),
                         MEMKV_OK);
    }
    assert_int_equal(memkv_batch(client, items, 32, &error), MEMKV_OK);
    for (uint32_t index = 0; index < 32; index++) {
        assert_int_equal(items[index].status, MEMKV_OK);
    }
    test_close_both(client, server);
}

static void test_client_trace__no_traceparent__is_invalid_and_changes_nothing(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319cxb7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331x01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
    };
    struct test_server_options options = {.limits = test_limits()};
    options.limits.features = MKV_NATIVE_FEATURE_TRACE;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_trace_context(client, TRACEPARENT, &error), MEMKV_OK);
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        assert_int_equal(memkv_trace_context(client, wrong[index], &error), MEMKV_INVALID);
        assert_non_null(strstr(error.text, "traceparent"));
    }
    assert_int_equal(memkv_put(client, "key", 3, "value", 5, 0, &error), MEMKV_OK);
    assert_int_equal(server->traced, 1);
    assert_int_equal(server->trace.trace_id[0], 0x0a);
    /* A later version may say more behind what version 00 has. */
    assert_int_equal(
        memkv_trace_context(client, "01-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more",
                            &error),
        MEMKV_OK);
    assert_int_equal(memkv_exists(client, "key", 3, &error), MEMKV_OK);
    assert_int_equal(server->trace.trace_id[0], 0x1a);
    assert_int_equal(server->trace.flags, 0);
    test_close_both(client, server);
}

static void test_client_batch__mixed_ops__each_item_has_its_own_status(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_put(client, "here", 4, "old", 3, 0, &error), MEMKV_OK);
    char buffer[8];
    const uint8_t long_key[1025] = {0};
    struct memkv_item items[] = {
        {.op = MEMKV_OP_GET, .key = "here", .key_bytes = 4, .buffer = buffer, .capacity = 8},
        {.op = MEMKV_OP_PUT, .key = "here", .key_bytes = 4, .data = "new", .data_bytes = 3},
        {.op = MEMKV_OP_EXISTS, .key = "here", .key_bytes = 4},
        {.op = MEMKV_OP_EXISTS, .key = "gone", .key_bytes = 4},
        {.op = MEMKV_OP_DELETE, .key = "gone", .key_bytes = 4},
        {.op = MEMKV_OP_PUT, .key = "there", .key_bytes = 5, .data = "value", .data_bytes = 5},
        {.op = MEMKV_OP_PUT, .key = "", .key_bytes = 0, .data = "value", .data_bytes = 5},
        {.op = MEMKV_OP_GET, .key = long_key, .key_bytes = 1025},
        {.op = MEMKV_OP_PUT, .key = "none", .key_bytes = 4, .data = NULL, .data_bytes = 5},
        {.op = MEMKV_OP_GET, .key = "none", .key_bytes = 4, .buffer = NULL, .capacity = 5},
        {.op = (enum memkv_op)9, .key = "none", .key_bytes = 4},
        {.op = MEMKV_OP_GET,
         .key = "here",
         .key_bytes = 4,
         .buffer = buffer + 4,
         .capacity = 2,
         .offset = 1,
         .length = 2},
    };
    static const enum memkv_status expected[] = {
        MEMKV_OK,      MEMKV_CONFLICT, MEMKV_OK,      MEMKV_NOT_FOUND, MEMKV_NOT_FOUND, MEMKV_OK,
        MEMKV_INVALID, MEMKV_INVALID,  MEMKV_INVALID, MEMKV_INVALID,   MEMKV_INVALID,   MEMKV_OK};
    const size_t item_count = sizeof items / sizeof items[0];
    assert_int_equal(memkv_batch(client, items, item_count, &error), MEMKV_CONFLICT);
    assert_int_equal(error.status, MEMKV_CONFLICT);
    for (size_t index = 0; index < item_count; index++) {
        assert_int_equal(items[index].status, expected[index]);
    }
    assert_memory_equal(buffer, "old", 3);
    assert_memory_equal(buffer + 4, "ld", 2);
    assert_int_equal(items[2].value_bytes, 4096);
    assert_int_equal(memkv_batch(client, NULL, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_batch(client, items + 6, 1, &error), MEMKV_INVALID);
    assert_non_null(strstr(error.text, "0 bytes"));
    test_close_both(client, server);
}

static void test_client_pin__reaches_the_server_and_says_what_came_of_it(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_pin(client, "k", 1, 60, &error), MEMKV_NOT_FOUND);
    assert_int_equal(memkv_put(client, "k", 1, "v", 1, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_pin(client, "k", 1, 60, &error), MEMKV_OK);
    assert_int_equal(server->seconds, 60);
    assert_int_equal(memkv_unpin(client, "k", 1, &error), MEMKV_OK);
    assert_int_equal(memkv_pin(client, "k", 1, 0, &error), MEMKV_INVALID);
    assert_non_null(strstr(error.text, "1 second"));
    struct memkv_item items[] = {
        {.op = MEMKV_OP_EXISTS, .key = "k", .key_bytes = 1},
        {.op = MEMKV_OP_PIN, .key = "k", .key_bytes = 1, .expire_s = 7},
        {.op = MEMKV_OP_UNPIN, .key = "k", .key_bytes = 1},
    };
    assert_int_equal(memkv_batch(client, items, 3, &error), MEMKV_OK);
    assert_int_equal(items[0].leased, 1);
    assert_int_equal(items[1].leased, 1);
    assert_int_equal(items[2].leased, 0);
    test_close_both(client, server);
}

static void test_client_session__reaches_the_server_with_what_it_says(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    const struct mkv_native_item *item = &server->session_item;
    assert_int_equal(memkv_session_begin(client, UINT64_MAX, &error), MEMKV_OK);
    assert_true(item->session == UINT64_MAX);
    assert_int_equal(item->action, MKV_SESSION_BEGIN);
    assert_int_equal(memkv_session_exit_think(client, 7, 4096, MEMKV_THINK_OVERTHINKING, &error),
                     MEMKV_OK);
    assert_int_equal(item->action, MKV_SESSION_EXIT_THINK);
    assert_int_equal(item->length, 4096);
    assert_int_equal(item->reason, MKV_THINK_OVERTHINKING);
    assert_int_equal(memkv_session_end(client, 7, 0, &error), MEMKV_OK);
    assert_int_equal(item->action, MKV_SESSION_END);
    assert_int_equal(memkv_session_end(client, 7, MEMKV_SESSION_FREE, &error), MEMKV_OK);
    assert_int_equal(item->action, MKV_SESSION_FREE);
    assert_int_equal(memkv_session_end(client, 404, 0, &error), MEMKV_NOT_FOUND);
    assert_non_null(strstr(error.text, "session 404"));
    assert_int_equal(memkv_session_begin(client, 0, &error), MEMKV_INVALID);
    assert_int_equal(memkv_session_exit_think(client, 7, 1, 0, &error), MEMKV_INVALID);
    assert_int_equal(memkv_session_end(client, 7, 2, &error), MEMKV_INVALID);
    struct memkv_item put = {.op = MEMKV_OP_PUT,
                             .key = "k",
                             .key_bytes = 1,
                             .data = "v",
                             .data_bytes = 1,
                             .tier = MEMKV_TIER_THINK_ACTIVE,
                             .session = 8};
    assert_int_equal(memkv_batch(client, &put, 1, &error), MEMKV_OK);
    assert_true(item->session == 8);
    assert_int_equal(mkv_tier_of_hint(item->tier_hint), MKV_TIER_THINK_ACTIVE);
    put.tier = MEMKV_TIER_OUTPUT_CRITICAL + 1;
    assert_int_equal(memkv_batch(client, &put, 1, &error), MEMKV_INVALID);
    assert_non_null(strstr(error.text, "tier 5"));
    test_close_both(client, server);
}

/* The test server answers a GET in full before it reads on. With 24 MiB each way under way, a
 * client that did not read while it writes would wait for it for ever. */
static void test_client_batch__much_both_ways_at_once__does_not_lock_up(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    char names[48][8];
    struct memkv_item items[48] = {0};
    uint8_t *old = pattern_new(7, MIB);
    for (uint32_t index = 0; index < 48; index++) {
        snprintf(names[index], sizeof names[index], "%u", index);
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .key = names[index],
                                           .key_bytes = strlen(names[index]),
                                           .data = old,
                                           .data_bytes = MIB};
    }
    assert_int_equal(memkv_batch(client, items, 24, &error), MEMKV_OK);
    for (uint32_t index = 0; index < 24; index++) {
        items[index].op = MEMKV_OP_GET;
        items[index].buffer = calloc(1, MIB);
        items[index].capacity = MIB;
    }
    assert_int_equal(memkv_batch(client, items, 48, &error), MEMKV_OK);
    for (uint32_t index = 0; index < 24; index++) {
        assert_int_equal(memcmp(items[index].buffer, old, MIB), 0);
        free(items[index].buffer);
    }
    free(old);
    test_close_both(client, server);
}

/* ---- streams -------------------------------------------------------------------------------- */

struct stream {
    uint32_t seed;
    uint64_t length;
    uint64_t next;    /* target: the offset that must come */
    uint64_t fail_at; /* the call that touches this byte fails; UINT64_MAX: none */
    size_t piece_max;
    uint32_t call_count;
};

static int stream_source(void *context, uint64_t offset, void *buffer, size_t byte_count) {
    struct stream *stream = context;
    stream->call_count++;
    stream->piece_max = byte_count > stream->piece_max ? byte_count : stream->piece_max;
    if (stream->fail_at >= offset && stream->fail_at - offset < byte_count) {
        return 77;
    }
    for (size_t index = 0; index < byte_count; index++) {
        ((uint8_t *)buffer)[index] = test_pattern(stream->seed, offset + index);
    }
    return 0;
}

static int stream_target(void *context, uint64_t offset, uint64_t value_bytes, const void *data,
                         size_t byte_count) {
    struct stream *stream = context;
    stream->call_count++;
    assert_int_equal(offset, stream->next);
    assert_int_equal(value_bytes, stream->length);
    if (stream->fail_at >= offset && stream->fail_at - offset < byte_count) {
        return 78;
    }
    for (size_t index = 0; index < byte_count; index++) {
        if (((const uint8_t *)data)[index] != test_pattern(stream->seed, offset + index)) {
            fail_msg("byte %zu is wrong", index);
        }
    }
    stream->next += byte_count;
    return 0;
}

static void test_client_stream__values_of_every_size__round_trip(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0, 1, 65536, 65537, MIB, MIB + 1, 7 * MIB + 5, 16 * MIB};
    for (uint32_t reversed = 0; reversed < 2; reversed++) {
        const struct test_server_options options = {.ready_reversed = reversed == 1};
        struct test_server *server = test_server_start(&options);
        struct memkv_client *client = test_client_open(server, 20000);
        for (uint32_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
            char key[16];
            snprintf(key, sizeof key, "%u", index);
            struct stream stream = {.seed = index, .length = sizes[index], .fail_at = UINT64_MAX};
            struct memkv_error error;
            if (memkv_put_stream(client, key, strlen(key), stream.length, NULL, stream_source,
                                 &stream, &error) != MEMKV_OK) {
                fail_msg("%s", error.text);
            }
            assert_in_range(stream.piece_max, 0, MIB);
            stream.call_count = 0;
            assert_int_equal(
                memkv_get_stream(client, key, strlen(key), stream_target, &stream, &error),
                MEMKV_OK);
            assert_int_equal(stream.next, sizes[index]);
            assert_in_range(stream.call_count, 1, 17);
        }
        test_close_both(client, server);
    }
}

static void test_client_stream__pieces_larger_than_the_stage__are_whole(void **state) {
    (void)state;
    struct test_server_options options = {.limits = test_limits()};
    options.limits.block_bytes_max = 3 * MIB;
    struct test_server *server = test_server_start(&options);
    struct memkv_client *client = test_client_open(server, 20000);
    struct stream stream = {.seed = 3, .length = 8 * MIB + 1, .fail_at = UINT64_MAX};
    struct memkv_error error;
    assert_int_equal(
        memkv_put_stream(client, "k", 1, stream.length, NULL, stream_source, &stream, &error),
        MEMKV_OK);
    assert_int_equal(stream.piece_max, MIB);
    assert_int_equal(memkv_get_stream(client, "k", 1, stream_target, &stream, &error), MEMKV_OK);
    assert_int_equal(stream.next, stream.length);
    test_close_both(client, server);
}

static void test_client_stream__source_or_target_fails__nothing_is_stored(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    struct memkv_client *client = test_client_open(server, 20000);
    struct memkv_error error;
    struct stream stream = {.length = 3 * MIB, .fail_at = 2 * MIB + 9};
    assert_int_equal(
        memkv_put_stream(client, "k", 1, stream.length, NULL, stream_source, &stream, &error),
        MEMKV_CALLBACK);
    assert_non_null(strstr(error.text, "77"));
    assert_int_equal(memkv_put_stream(client, "k", 1, 3 * MIB, NULL, stream_source,
                                      &(struct stream){.fail_at = 0}, &error),
                     MEMKV_CALLBACK);
    assert_int_equal(memkv_put_stream(client, "k", 1, 9, NULL, stream_source,
                                      &(struct stream){.fail_at = 0}, &error),
                     MEMKV_CALLBACK);
    assert_int_equal(memkv_exists(client, "k", 1, &error), MEMKV_NOT_FOUND);
    stream.fail_at = UINT64_MAX;
    assert_int_equal(
        memkv_put_stream(client, "k", 1, stream.length, NULL, stream_source, &stream, &error),
        MEMKV_OK);
    stream.fail_at = MIB;
    assert_int_equal(memkv_get_stream(client, "k", 1, stream_target, &stream, &error),
                     MEMKV_CALLBACK);
    assert_non_null(strstr(error.text, "78"));
    assert_int_equal(memkv_exists(client, "k", 1, &error), MEMKV_OK);
    test_close_both(client, server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client__values_of_every_size__round_trip),
        cmocka_unit_test(test_client__tenant__named_in_hello),
        cmocka_unit_test(test_client__bytes_come_one_by_one__round_trip),
        cmocka_unit_test(test_client__ready_in_reverse_order__values_are_whole),
        cmocka_unit_test(test_client__value_comes_in_small_pieces__is_whole),
        cmocka_unit_test(test_client__server_takes_nothing_inline__values_go_by_ready),
        cmocka_unit_test(test_client_get__buffer_too_small__says_how_much_there_is),
        cmocka_unit_test(test_client_get_range__parts_of_a_value__are_those_bytes),
        cmocka_unit_test(test_client__exists_and_delete__tell_what_is_there),
        cmocka_unit_test(test_client_put__relaxed__says_so),
        cmocka_unit_test(test_client_put__other_content__needs_replace),
        cmocka_unit_test(test_client_lookup__prefix_of_any_length__is_counted),
        cmocka_unit_test(test_client__stats_and_ping__are_answered),
        cmocka_unit_test(test_client_batch__600_values_of_all_sizes__round_trip),
        cmocka_unit_test(test_client_batch__answers_and_ready_in_reverse__round_trip),
        cmocka_unit_test(test_client_batch__mixed_ops__each_item_has_its_own_status),
        cmocka_unit_test(test_client_pin__reaches_the_server_and_says_what_came_of_it),
        cmocka_unit_test(test_client_session__reaches_the_server_with_what_it_says),
        cmocka_unit_test(test_client_batch__much_both_ways_at_once__does_not_lock_up),
        cmocka_unit_test(
            test_client_trace__server_takes_it__requests_have_it_until_it_is_taken_back),
        cmocka_unit_test(test_client_trace__older_server__does_not_get_it),
        cmocka_unit_test(test_client__server_with_shards__is_asked_and_serves_on),
        cmocka_unit_test(test_client_trace__no_traceparent__is_invalid_and_changes_nothing),
        cmocka_unit_test(test_client_stream__values_of_every_size__round_trip),
        cmocka_unit_test(test_client_stream__pieces_larger_than_the_stage__are_whole),
        cmocka_unit_test(test_client_stream__source_or_target_fails__nothing_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
