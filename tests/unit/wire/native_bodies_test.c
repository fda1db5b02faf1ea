/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of fixed size of the native protocol, and its words: round trips, each limit from both
 * sides, and random bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/wire/random.h"
#include "wire/native.h"

static struct mkv_root root_of_text(const char *text) {
    return mkv_hash_128(text, strlen(text));
}

static void test_native_result__any_status_and_miss__round_trips(void **state) {
    (void)state;
    for (uint32_t status = 0; status < MKV_STATUS_COUNT; status++) {
        for (uint32_t miss = 0; miss < MKV_MISS_COUNT; miss++) {
            const struct mkv_native_result result = {.status = (enum mkv_status)status,
                                                     .miss = (enum mkv_miss)miss,
                                                     .length = 1ull << 40,
                                                     .root = root_of_text("result"),
                                                     .leased = status};
            uint8_t bytes[MKV_NATIVE_RESULT_BYTES];
            mkv_native_result_encode(&result, bytes);
            struct mkv_native_result decoded;
            assert_int_equal(mkv_native_result_decode(bytes, &decoded), MKV_NATIVE_OK);
            assert_int_equal(decoded.status, status);
            assert_int_equal(decoded.miss, miss);
            assert_int_equal(decoded.length, result.length);
            assert_int_equal(decoded.leased, result.leased);
            assert_true(mkv_root_equal(decoded.root, result.root));
        }
    }
}

static void test_native_result__one_field_wrong__names_it(void **state) {
    (void)state;
    uint8_t bytes[MKV_NATIVE_RESULT_BYTES] = {0};
    struct mkv_native_result result;
    mkv_store_u32(bytes, MKV_STATUS_COUNT);
    assert_int_equal(mkv_native_result_decode(bytes, &result), MKV_NATIVE_BAD_STATUS);
    mkv_store_u32(bytes, 0);
    mkv_store_u32(bytes + 4, MKV_MISS_COUNT);
    assert_int_equal(mkv_native_result_decode(bytes, &result), MKV_NATIVE_BAD_STATUS);
    mkv_store_u32(bytes + 4, 0);
    mkv_store_u64(bytes + 8, (1ull << 47) + 1);
    assert_int_equal(mkv_native_result_decode(bytes, &result), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 8, 0);
    mkv_store_u32(bytes + 32, MKV_NATIVE_ITEMS_MAX + 1);
    assert_int_equal(mkv_native_result_decode(bytes, &result), MKV_NATIVE_BAD_ITEM_COUNT);
    mkv_store_u32(bytes + 32, 0);
    bytes[39] = 1;
    assert_int_equal(mkv_native_result_decode(bytes, &result), MKV_NATIVE_NOT_ZERO);
}

static void test_native_ready__limits__round_trip_and_above_is_named(void **state) {
    (void)state;
    const struct mkv_native_ready most = {
        .item = 255, .offset = (1ull << 40) - (32 << 20), .bytes = 32 << 20};
    uint8_t bytes[MKV_NATIVE_READY_BYTES];
    mkv_native_ready_encode(&most, bytes);
    struct mkv_native_ready ready;
    assert_int_equal(mkv_native_ready_decode(bytes, &ready), MKV_NATIVE_OK);
    assert_int_equal(ready.item, most.item);
    assert_int_equal(ready.offset, most.offset);
    assert_int_equal(ready.bytes, most.bytes);
    mkv_store_u32(bytes, 256);
    assert_int_equal(mkv_native_ready_decode(bytes, &ready), MKV_NATIVE_BAD_ITEM_COUNT);
    mkv_store_u32(bytes, 255);
    mkv_store_u64(bytes + 8, most.offset + 1);
    assert_int_equal(mkv_native_ready_decode(bytes, &ready), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 8, UINT64_MAX);
    assert_int_equal(mkv_native_ready_decode(bytes, &ready), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 8, 0);
    mkv_store_u64(bytes + 16, (32 << 20) + 1);
    assert_int_equal(mkv_native_ready_decode(bytes, &ready), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 16, 0);
    assert_int_equal(mkv_native_ready_decode(bytes, &ready), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 16, 1);
    bytes[7] = 1;
    assert_int_equal(mkv_native_ready_decode(bytes, &ready), MKV_NATIVE_NOT_ZERO);
}

/* The body of a frame that has the payload which it names. */
static enum mkv_native_error decode_data(const uint8_t *bytes, struct mkv_native_data *data) {
    const struct mkv_native_header header = {.op = MKV_NATIVE_DATA,
                                             .payload_bytes = mkv_load_u64(bytes + 24)};
    return mkv_native_data_decode(&header, bytes, data);
}

static void test_native_data__limits__round_trip_and_above_is_named(void **state) {
    (void)state;
    const struct mkv_native_data most = {.item = 255,
                                         .offset = (1ull << 40) - (32 << 20),
                                         .length = 1ull << 40,
                                         .bytes = 32 << 20,
                                         .root = root_of_text("data")};
    uint8_t bytes[MKV_NATIVE_DATA_BYTES];
    mkv_native_data_encode(&most, bytes);
    struct mkv_native_data data;
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_OK);
    assert_int_equal(data.item, most.item);
    assert_int_equal(data.offset, most.offset);
    assert_int_equal(data.length, most.length);
    assert_int_equal(data.bytes, most.bytes);
    assert_true(mkv_root_equal(data.root, most.root));
    mkv_store_u32(bytes, 256);
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_BAD_ITEM_COUNT);
    mkv_store_u32(bytes, 0);
    mkv_store_u64(bytes + 8, most.offset + 1);
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 8, UINT64_MAX);
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 8, 0);
    mkv_store_u64(bytes + 16, (1ull << 40) + 1);
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 16, 1ull << 40);
    mkv_store_u64(bytes + 24, (32 << 20) + 1);
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 16, 3);
    mkv_store_u64(bytes + 8, 4);
    mkv_store_u64(bytes + 24, 1);
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_BAD_LENGTH);
    mkv_store_u64(bytes + 24, 0); /* nothing behind the end is nothing */
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_OK);
    bytes[55] = 1;
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_NOT_ZERO);
    bytes[55] = 0;
    bytes[4] = 1;
    assert_int_equal(decode_data(bytes, &data), MKV_NATIVE_NOT_ZERO);
}

static void test_native_trace__ids_and_flags__round_trip(void **state) {
    (void)state;
    struct mkv_trace_context trace = {
        .trace_id = {[15] = 1}, .parent_id = {[0] = 0x80}, .flags = 3};
    uint8_t *bytes = malloc(MKV_NATIVE_TRACE_BYTES);
    assert_non_null(bytes);
    mkv_native_trace_encode(&trace, bytes);
    struct mkv_trace_context decoded;
    assert_int_equal(mkv_native_trace_decode(bytes, &decoded), MKV_NATIVE_OK);
    assert_memory_equal(&decoded, &trace, sizeof trace);
    for (uint32_t at = 25; at < MKV_NATIVE_TRACE_BYTES; at++) {
        bytes[at] = 1;
        assert_int_equal(mkv_native_trace_decode(bytes, &decoded), MKV_NATIVE_NOT_ZERO);
        bytes[at] = 0;
    }
    bytes[15] = 0;
    assert_int_equal(mkv_native_trace_decode(bytes, &decoded), MKV_NATIVE_BAD_TRACE);
    bytes[15] = 1;
    bytes[16] = 0;
    assert_int_equal(mkv_native_trace_decode(bytes, &decoded), MKV_NATIVE_BAD_TRACE);
    free(bytes);
}

static void test_native_hello__name_of_48_bytes__round_trips(void **state) {
    (void)state;
    struct mkv_native_hello hello = {
        .version_min = 1, .version_max = 9, .home = 65, .features = 1ull << 55, .fallback = 255};
    memset(hello.name, 'n', sizeof hello.name - 1);
    uint8_t *bytes = malloc(MKV_NATIVE_HELLO_BYTES);
    assert_non_null(bytes);
    mkv_native_hello_encode(&hello, bytes);
    struct mkv_native_hello decoded;
    assert_int_equal(mkv_native_hello_decode(bytes, &decoded), MKV_NATIVE_OK);
    assert_int_equal(decoded.version_min, 1);
    assert_int_equal(decoded.version_max, 9);
    assert_int_equal(decoded.home, 65);
    assert_int_equal(decoded.features, 1ull << 55);
    assert_int_equal(decoded.fallback, 255);
    assert_string_equal(decoded.name, hello.name);

    bytes[20] = 0; /* the name ends here, and yet goes on */
    assert_int_equal(mkv_native_hello_decode(bytes, &decoded), MKV_NATIVE_NOT_ZERO);
    mkv_native_hello_encode(&hello, bytes);
    mkv_store_u16(bytes, 2); /* a client that no longer speaks version 1 */
    assert_int_equal(mkv_native_hello_decode(bytes, &decoded), MKV_NATIVE_BAD_VERSION);
    mkv_store_u16(bytes, 0);
    assert_int_equal(mkv_native_hello_decode(bytes, &decoded), MKV_NATIVE_BAD_VERSION);
    mkv_store_u16(bytes, 1);
    mkv_store_u16(bytes + 2, 0);
    assert_int_equal(mkv_native_hello_decode(bytes, &decoded), MKV_NATIVE_BAD_VERSION);
    free(bytes);
}

static void test_native_tenant__behind_hello__checked(void **state) {
    (void)state;
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    const uint8_t *bytes = (const uint8_t *)"team-7 x";
    assert_int_equal(mkv_native_tenant_decode(bytes, 0, name), MKV_NATIVE_OK);
    assert_string_equal(name, "default");
    assert_int_equal(mkv_native_tenant_decode(bytes, 6, name), MKV_NATIVE_OK);
    assert_string_equal(name, "team-7");
    assert_int_equal(mkv_native_tenant_decode(bytes, 8, name), MKV_NATIVE_BAD_TENANT);
}

static struct mkv_native_shards shards_most(void) {
    struct mkv_native_shards shards = {
        .shard = 31, .shard_count = 32, .drive_count = MKV_VOLUMES_MAX};
    for (uint32_t index = 0; index < MKV_VOLUMES_MAX; index++) {
        memset(shards.drives[index].uuid.bytes, (int)index, sizeof shards.drives[index].uuid.bytes);
        shards.drives[index].weight = 1 + 4 * index;
        shards.drives[index].shard = index % 32;
    }
    return shards;
}

static void test_native_shards__as_many_drives_as_may_be__round_trip(void **state) {
    (void)state;
    const struct mkv_native_shards shards = shards_most();
    uint8_t *bytes = malloc(MKV_NATIVE_SHARDS_BYTES_MAX);
    assert_non_null(bytes);
    const uint32_t byte_count = mkv_native_shards_encode(&shards, bytes);
    assert_int_equal(byte_count, MKV_NATIVE_SHARDS_BYTES_MAX);
    struct mkv_native_shards decoded;
    assert_int_equal(mkv_native_shards_decode(bytes, byte_count, &decoded), MKV_NATIVE_OK);
    assert_memory_equal(&decoded, &shards, sizeof shards);
    assert_int_equal(mkv_native_shards_decode(bytes, MKV_NATIVE_SHARDS_BYTES, &decoded),
                     MKV_NATIVE_OK);
    assert_int_equal(decoded.drive_count, 0);
    free(bytes);
}

static void test_native_shards__what_there_is_not__is_refused(void **state) {
    (void)state;
    const struct mkv_native_shards shards = shards_most();
    uint8_t good[MKV_NATIVE_SHARDS_BYTES_MAX];
    (void)mkv_native_shards_encode(&shards, good);
    static const struct {
        uint32_t offset;
        uint32_t value;
    } faults[] = {
        {0, 32},                                /* a shard of its own that there is not */
        {4, 0},                                 /* no shard */
        {MKV_NATIVE_SHARDS_BYTES + 16, 0},      /* a drive that no key belongs to */
        {MKV_NATIVE_SHARDS_BYTES + 16, 257},    /* a weight above the largest */
        {MKV_NATIVE_SHARDS_BYTES + 24 + 20, 32} /* a drive of a shard that there is not */
    };
    struct mkv_native_shards decoded;
    for (size_t index = 0; index < sizeof faults / sizeof faults[0]; index++) {
        uint8_t bytes[MKV_NATIVE_SHARDS_BYTES_MAX];
        memcpy(bytes, good, sizeof bytes);
        mkv_store_u32(bytes + faults[index].offset, faults[index].value);
        assert_int_equal(mkv_native_shards_decode(bytes, sizeof bytes, &decoded),
                         MKV_NATIVE_BAD_LIMIT);
    }
    static const uint32_t counts[] = {0, 7, 9, 31, MKV_NATIVE_SHARDS_BYTES_MAX + 24};
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        assert_int_equal(mkv_native_shards_decode(good, counts[index], &decoded),
                         MKV_NATIVE_BAD_BODY_BYTES);
    }
}

static struct mkv_native_hello_answer hello_answer_most(void) {
    struct mkv_native_hello_answer answer = {.version = 1,
                                             .shard_count = 64,
                                             .items_max = 256,
                                             .body_bytes_max = 274432,
                                             .inline_bytes_max = 65536,
                                             .block_bytes_max = 33554432,
                                             .value_bytes_max = 1ull << 40,
                                             .requests_max = 1024,
                                             .deadline_ms = 5000,
                                             .ring_hash = 0x0123456789abcdef,
                                             .features = 5,
                                             .server_version = "0.1.0"};
    memset(answer.store_uuid.bytes, 0xa5, sizeof answer.store_uuid.bytes);
    return answer;
}

static void test_native_hello_answer__largest_limits__round_trip(void **state) {
    (void)state;
    struct mkv_native_hello_answer answer = hello_answer_most();
    memset(answer.server_version, 'v', sizeof answer.server_version - 1);
    uint8_t *bytes = malloc(MKV_NATIVE_HELLO_ANSWER_BYTES);
    assert_non_null(bytes);
    mkv_native_hello_answer_encode(&answer, bytes);
    struct mkv_native_hello_answer decoded;
    assert_int_equal(mkv_native_hello_answer_decode(bytes, &decoded), MKV_NATIVE_OK);
    assert_int_equal(decoded.version, answer.version);
    assert_int_equal(decoded.shard_count, answer.shard_count);
    assert_int_equal(decoded.items_max, answer.items_max);
    assert_int_equal(decoded.body_bytes_max, answer.body_bytes_max);
    assert_int_equal(decoded.inline_bytes_max, answer.inline_bytes_max);
    assert_int_equal(decoded.block_bytes_max, answer.block_bytes_max);
    assert_int_equal(decoded.value_bytes_max, answer.value_bytes_max);
    assert_int_equal(decoded.requests_max, answer.requests_max);
    assert_int_equal(decoded.deadline_ms, answer.deadline_ms);
    assert_memory_equal(decoded.store_uuid.bytes, answer.store_uuid.bytes, 16);
    assert_int_equal(decoded.ring_hash, answer.ring_hash);
    assert_int_equal(decoded.features, answer.features);
    assert_string_equal(decoded.server_version, answer.server_version);
    bytes[80] = 0;
    assert_int_equal(mkv_native_hello_answer_decode(bytes, &decoded), MKV_NATIVE_NOT_ZERO);
    free(bytes);
}

static void test_native_hello_answer__limit_0_or_above_version_1__is_refused(void **state) {
    (void)state;
    static const struct {
        uint32_t offset, width;
        uint64_t value;
        enum mkv_native_error error;
    } faults[] = {
        {0, 2, 2, MKV_NATIVE_BAD_VERSION},       {0, 2, 0, MKV_NATIVE_BAD_VERSION},
        {2, 2, 0, MKV_NATIVE_BAD_LIMIT},         {4, 4, 0, MKV_NATIVE_BAD_LIMIT},
        {4, 4, 257, MKV_NATIVE_BAD_LIMIT},       {8, 4, 1071, MKV_NATIVE_BAD_LIMIT},
        {8, 4, 274433, MKV_NATIVE_BAD_LIMIT},    {12, 4, 65537, MKV_NATIVE_BAD_LIMIT},
        {16, 8, 0, MKV_NATIVE_BAD_LIMIT},        {16, 8, 33554433, MKV_NATIVE_BAD_LIMIT},
        {24, 8, 33554431, MKV_NATIVE_BAD_LIMIT}, {24, 8, (1ull << 40) + 1, MKV_NATIVE_BAD_LIMIT},
        {32, 4, 0, MKV_NATIVE_BAD_LIMIT},
    };
    for (size_t index = 0; index < sizeof faults / sizeof faults[0]; index++) {
        const struct mkv_native_hello_answer answer = hello_answer_most();
        uint8_t bytes[MKV_NATIVE_HELLO_ANSWER_BYTES];
        mkv_native_hello_answer_encode(&answer, bytes);
        memcpy(bytes + faults[index].offset, &faults[index].value, faults[index].width);
        struct mkv_native_hello_answer decoded;
        assert_int_equal(mkv_native_hello_answer_decode(bytes, &decoded), faults[index].error);
    }
}

static void test_native_bodies__random_bytes__decode_or_are_named(void **state) {
    (void)state;
    uint64_t random = 3;
    for (uint32_t round = 0; round < 100000; round++) {
        uint8_t bytes[MKV_NATIVE_HELLO_ANSWER_BYTES];
        for (size_t index = 0; index < sizeof bytes; index++) {
            const uint64_t value = random_next(&random);
            bytes[index] = value % 3 == 0 ? (uint8_t)(value >> 8) : 0;
        }
        struct mkv_native_result result;
        struct mkv_native_ready ready;
        struct mkv_native_data data;
        struct mkv_native_hello hello;
        struct mkv_native_hello_answer answer;
        assert_in_range(mkv_native_result_decode(bytes, &result), 0, MKV_NATIVE_ERROR_COUNT - 1);
        assert_in_range(mkv_native_ready_decode(bytes, &ready), 0, MKV_NATIVE_ERROR_COUNT - 1);
        assert_in_range(decode_data(bytes, &data), 0, MKV_NATIVE_ERROR_COUNT - 1);
        assert_in_range(mkv_native_hello_decode(bytes, &hello), 0, MKV_NATIVE_ERROR_COUNT - 1);
        assert_in_range(mkv_native_hello_answer_decode(bytes, &answer), 0,
                        MKV_NATIVE_ERROR_COUNT - 1);
    }
}

/* ---- words ---------------------------------------------------------------------------------- */

static const char *name_of_op(uint32_t op) {
    return mkv_native_op_name((enum mkv_native_op)op);
}
static const char *name_of_status(uint32_t status) {
    return mkv_status_name((enum mkv_status)status);
}
static const char *name_of_miss(uint32_t miss) {
    return mkv_miss_name((enum mkv_miss)miss);
}
static const char *text_of_error(uint32_t error) {
    return mkv_native_error_text((enum mkv_native_error)error);
}

static void expect_distinct(const char *(*name)(uint32_t), uint32_t first, uint32_t count) {
    for (uint32_t index = first; index <= first + count; index++) {
        assert_true(strlen(name(index)) >= 2);
        /* An error answer carries the sentence. */
        assert_true(strlen(name(index)) <= MKV_NATIVE_TEXT_BYTES_MAX);
        for (uint32_t other = first; other < index; other++) {
            assert_string_not_equal(name(index), name(other));
        }
    }
}

static void test_native_names__every_number_and_one_more__has_its_own_word(void **state) {
    (void)state;
    expect_distinct(name_of_op, MKV_NATIVE_HELLO, MKV_NATIVE_OP_LAST);
    expect_distinct(name_of_status, 0, MKV_STATUS_COUNT);
    expect_distinct(name_of_miss, 0, MKV_MISS_COUNT);
    expect_distinct(text_of_error, 0, MKV_NATIVE_ERROR_COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native_result__any_status_and_miss__round_trips),
        cmocka_unit_test(test_native_result__one_field_wrong__names_it),
        cmocka_unit_test(test_native_ready__limits__round_trip_and_above_is_named),
        cmocka_unit_test(test_native_data__limits__round_trip_and_above_is_named),
        cmocka_unit_test(test_native_trace__ids_and_flags__round_trip),
        cmocka_unit_test(test_native_hello__name_of_48_bytes__round_trips),
        cmocka_unit_test(test_native_tenant__behind_hello__checked),
        cmocka_unit_test(test_native_shards__as_many_drives_as_may_be__round_trip),
        cmocka_unit_test(test_native_shards__what_there_is_not__is_refused),
        cmocka_unit_test(test_native_hello_answer__largest_limits__round_trip),
        cmocka_unit_test(test_native_hello_answer__limit_0_or_above_version_1__is_refused),
        cmocka_unit_test(test_native_bodies__random_bytes__decode_or_are_named),
        cmocka_unit_test(test_native_names__every_number_and_one_more__has_its_own_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
