/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codecs of the native protocol: what is encoded decodes to the same, every way of being wrong
 * is named, and no bytes whatever lead a decoder out of its input. Bodies lie in heap blocks of
 * exactly their size, so that the address sanitizer sees the first byte read too many.
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

/* An assertion in the code under test jumps back to the test that expects it. */
static jmp_buf assertion_jump;
static bool assertion_is_expected;

_Noreturn void mkv_assert_failed(const char *expression, const char *file, int line) {
    if (assertion_is_expected) {
        longjmp(assertion_jump, 1);
    }
    print_error("%s:%d: %s\n", file, line, expression);
    abort();
}

/* Runs `statement` and fails the test if it does not assert. */
#define EXPECT_ASSERTION(statement)                                                                \
    do {                                                                                           \
        assertion_is_expected = true;                                                              \
        if (setjmp(assertion_jump) == 0) {                                                         \
            statement;                                                                             \
            assertion_is_expected = false;                                                         \
            fail_msg("no assertion: %s", #statement);                                              \
        }                                                                                          \
        assertion_is_expected = false;                                                             \
    } while (0)

static void seal(uint8_t *bytes) {
    mkv_store_u64(bytes + 56, mkv_hash_64(bytes, 56));
}

static struct mkv_root root_of_text(const char *text) {
    return mkv_hash_128(text, strlen(text));
}

/* ---- headers -------------------------------------------------------------------------------- */

static const struct mkv_native_header headers_valid[] = {
    {.op = MKV_NATIVE_HELLO, .request_id = 1, .body_bytes = 64},
    {.op = MKV_NATIVE_PUT, .item_count = 1, .body_bytes = 49, .deadline_ms = 2500},
    {.op = MKV_NATIVE_PUT, .item_count = 256, .body_bytes = 256 * 1072},
    {.op = MKV_NATIVE_PUT,
     .flags = MKV_NATIVE_FLAG_INLINE,
     .item_count = 2,
     .body_bytes = 100,
     .payload_bytes = 65536},
    {.op = MKV_NATIVE_PUT, .flags = MKV_NATIVE_FLAG_INLINE, .item_count = 1, .body_bytes = 49},
    {.op = MKV_NATIVE_HELLO, .flags = MKV_NATIVE_FLAG_AUTH, .body_bytes = 128},
    {.op = MKV_NATIVE_HELLO, .flags = MKV_NATIVE_FLAG_AUTH, .body_bytes = 207},
    {.op = MKV_NATIVE_HELLO,
     .flags = MKV_NATIVE_FLAG_ANSWER | MKV_NATIVE_FLAG_AUTH,
     .body_bytes = 160},
    {.op = MKV_NATIVE_AUTH, .body_bytes = 32},
    {.op = MKV_NATIVE_AUTH, .flags = MKV_NATIVE_FLAG_ANSWER},
    {.op = MKV_NATIVE_READY, .request_id = UINT64_MAX, .body_bytes = 24},
    {.op = MKV_NATIVE_DATA, .body_bytes = 56, .payload_bytes = 32 * 1024 * 1024},
    {.op = MKV_NATIVE_DATA, .body_bytes = 56},
    {.op = MKV_NATIVE_GET, .tenant = 7, .item_count = 1, .body_bytes = 1072},
    {.op = MKV_NATIVE_LOOKUP, .item_count = 3, .body_bytes = 3 * 60},
    {.op = MKV_NATIVE_EXISTS, .item_count = 3, .body_bytes = 3 * 60},
    {.op = MKV_NATIVE_DELETE, .item_count = 3, .body_bytes = 3 * 60},
    {.op = MKV_NATIVE_PIN, .item_count = 3, .body_bytes = 3 * 60},
    {.op = MKV_NATIVE_UNPIN, .item_count = 3, .body_bytes = 3 * 60},
    {.op = MKV_NATIVE_SESSION, .item_count = 3, .body_bytes = 3 * 48},
    {.op = MKV_NATIVE_ALLOCATE, .item_count = 3, .body_bytes = 3 * 60},
    {.op = MKV_NATIVE_COMMIT, .item_count = 3, .body_bytes = 3 * 48},
    {.op = MKV_NATIVE_COMMIT,
     .flags = MKV_NATIVE_FLAG_INLINE,
     .item_count = 256,
     .body_bytes = 256 * 48,
     .payload_bytes = 65536},
    {.op = MKV_NATIVE_GET, .flags = MKV_NATIVE_FLAG_TRACE, .item_count = 1, .body_bytes = 81},
    {.op = MKV_NATIVE_LOOKUP,
     .flags = MKV_NATIVE_FLAG_TRACE,
     .item_count = 256,
     .body_bytes = 256 * 1072},
    {.op = MKV_NATIVE_SESSION, .flags = MKV_NATIVE_FLAG_TRACE, .item_count = 1, .body_bytes = 80},
    {.op = MKV_NATIVE_PUT,
     .flags = MKV_NATIVE_FLAG_INLINE | MKV_NATIVE_FLAG_TRACE,
     .item_count = 1,
     .body_bytes = 81,
     .payload_bytes = 5},
    {.op = MKV_NATIVE_STATS},
    {.op = MKV_NATIVE_SHARDS},
    {.op = MKV_NATIVE_SHARDS, .flags = MKV_NATIVE_FLAG_ANSWER, .body_bytes = 8 + 64 * 24},
    {.op = MKV_NATIVE_PING, .deadline_ms = UINT32_MAX},
    {.op = MKV_NATIVE_HELLO, .flags = MKV_NATIVE_FLAG_ANSWER, .body_bytes = 96},
    {.op = MKV_NATIVE_PUT, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 256, .body_bytes = 10240},
    {.op = MKV_NATIVE_GET, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 1, .body_bytes = 40},
    {.op = MKV_NATIVE_LOOKUP, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 1, .body_bytes = 40},
    {.op = MKV_NATIVE_EXISTS, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 1, .body_bytes = 40},
    {.op = MKV_NATIVE_DELETE, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 1, .body_bytes = 40},
    {.op = MKV_NATIVE_PIN, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 1, .body_bytes = 40},
    {.op = MKV_NATIVE_SESSION, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 1, .body_bytes = 40},
    {.op = MKV_NATIVE_ALLOCATE, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 2, .body_bytes = 80},
    {.op = MKV_NATIVE_COMMIT, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 2, .body_bytes = 80},
    {.op = MKV_NATIVE_STATS, .flags = MKV_NATIVE_FLAG_ANSWER, .body_bytes = 274432},
    {.op = MKV_NATIVE_PING, .flags = MKV_NATIVE_FLAG_ANSWER},
    {.op = MKV_NATIVE_PUT, .flags = MKV_NATIVE_FLAG_ANSWER, .status = MKV_STATUS_BUSY},
    {.op = MKV_NATIVE_PING,
     .flags = MKV_NATIVE_FLAG_ANSWER,
     .status = MKV_STATUS_INVALID,
     .body_bytes = 256},
    {.op = MKV_NATIVE_DATA,
     .flags = MKV_NATIVE_FLAG_ANSWER,
     .status = MKV_STATUS_INVALID,
     .body_bytes = 1},
};
#define HEADERS_VALID_COUNT (sizeof headers_valid / sizeof headers_valid[0])

static void test_native_header__every_op_and_answer__round_trips(void **state) {
    (void)state;
    for (size_t index = 0; index < HEADERS_VALID_COUNT; index++) {
        const struct mkv_native_header *header = &headers_valid[index];
        uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
        mkv_native_header_encode(header, bytes);
        struct mkv_native_header decoded;
        assert_int_equal(mkv_native_header_decode(bytes, &decoded), MKV_NATIVE_OK);
        assert_int_equal(decoded.op, header->op);
        assert_int_equal(decoded.flags, header->flags);
        assert_int_equal(decoded.request_id, header->request_id);
        assert_int_equal(decoded.tenant, header->tenant);
        assert_int_equal(decoded.item_count, header->item_count);
        assert_int_equal(decoded.body_bytes, header->body_bytes);
        assert_int_equal(decoded.deadline_ms, header->deadline_ms);
        assert_int_equal(decoded.payload_bytes, header->payload_bytes);
        assert_int_equal(decoded.status, header->status);
    }
}

static void test_native_header__known_fields__stand_at_their_offsets(void **state) {
    (void)state;
    const struct mkv_native_header header = {.op = MKV_NATIVE_PUT,
                                             .flags = MKV_NATIVE_FLAG_INLINE,
                                             .request_id = 0x0102030405060708,
                                             .tenant = 0x11121314,
                                             .item_count = 2,
                                             .body_bytes = 0x6a,
                                             .deadline_ms = 0x21222324,
                                             .payload_bytes = 0x3132};
    static const uint8_t expected[56] = {
        'M',  'K',  'V',  '1',  1,    2,    2, 0, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03,
        0x02, 0x01, 0x14, 0x13, 0x12, 0x11, 2, 0, 0,    0,    0x6a, 0,    0,    0,
        0x24, 0x23, 0x22, 0x21, 0x32, 0x31, 0, 0, 0,    0,    0,    0,    0,    0,
    };
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    mkv_native_header_encode(&header, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(mkv_load_u64(bytes + 56), mkv_hash_64(expected, sizeof expected));
}

static void test_native_header__any_single_bit_flipped__is_refused(void **state) {
    (void)state;
    for (size_t index = 0; index < HEADERS_VALID_COUNT; index++) {
        uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
        mkv_native_header_encode(&headers_valid[index], bytes);
        for (unsigned bit = 0; bit < 8 * MKV_NATIVE_HEADER_BYTES; bit++) {
            bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
            struct mkv_native_header decoded;
            const enum mkv_native_error error = mkv_native_header_decode(bytes, &decoded);
            if (bit < 32) {
                assert_int_equal(error, MKV_NATIVE_BAD_MAGIC);
            } else if (bit < 40) {
                assert_int_equal(error, MKV_NATIVE_BAD_VERSION);
            } else {
                assert_int_equal(error, MKV_NATIVE_BAD_CHECKSUM);
            }
            assert_int_equal(decoded.op, MKV_NATIVE_PING);
            assert_int_equal(decoded.request_id, 0);
            bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
        }
    }
}

/* One field of a sound header replaced, the checksum made right again. */
struct header_fault {
    const char *what;
    struct mkv_native_header header;
    uint32_t offset;
    uint32_t width;
    uint64_t value;
    enum mkv_native_error error;
};

#define GET_ONE                                                                                    \
    { .op = MKV_NATIVE_GET, .request_id = 9, .item_count = 1, .body_bytes = 50 }
#define PUT_INLINE                                                                                 \
    {                                                                                              \
        .op = MKV_NATIVE_PUT, .request_id = 9, .flags = MKV_NATIVE_FLAG_INLINE, .item_count = 1,   \
        .body_bytes = 50, .payload_bytes = 5                                                       \
    }
#define ALLOCATE_ONE                                                                               \
    { .op = MKV_NATIVE_ALLOCATE, .request_id = 9, .item_count = 1, .body_bytes = 50 }
#define COMMIT_ONE                                                                                 \
    { .op = MKV_NATIVE_COMMIT, .request_id = 9, .item_count = 1, .body_bytes = 48 }
#define ANSWER_ONE                                                                                 \
    {                                                                                              \
        .op = MKV_NATIVE_GET, .request_id = 9, .flags = MKV_NATIVE_FLAG_ANSWER, .item_count = 1,   \
        .body_bytes = 40                                                                           \
    }
#define REFUSAL                                                                                    \
    {                                                                                              \
        .op = MKV_NATIVE_GET, .request_id = 9, .flags = MKV_NATIVE_FLAG_ANSWER,                    \
        .status = MKV_STATUS_BUSY, .body_bytes = 10                                                \
    }
#define STATS_ANSWER                                                                               \
    { .op = MKV_NATIVE_STATS, .request_id = 9, .flags = MKV_NATIVE_FLAG_ANSWER, .body_bytes = 10 }
#define DATA_FRAME                                                                                 \
    { .op = MKV_NATIVE_DATA, .request_id = 9, .body_bytes = 56, .payload_bytes = 5 }
#define READY_FRAME                                                                                \
    { .op = MKV_NATIVE_READY, .request_id = 9, .body_bytes = 24 }
#define PING_FRAME                                                                                 \
    { .op = MKV_NATIVE_PING, .request_id = 9 }

static const struct header_fault header_faults[] = {
    {"op 0", PING_FRAME, 5, 1, 0, MKV_NATIVE_BAD_OP},
    {"op above the last", PING_FRAME, 5, 1, MKV_NATIVE_OP_LAST + 1, MKV_NATIVE_BAD_OP},
    {"an unknown flag", PING_FRAME, 6, 2, 8, MKV_NATIVE_BAD_FLAGS},
    {"a trace of a PING", PING_FRAME, 6, 2, 4, MKV_NATIVE_BAD_FLAGS},
    {"a trace of a DATA", DATA_FRAME, 6, 2, 4, MKV_NATIVE_BAD_FLAGS},
    {"a trace of an answer", ANSWER_ONE, 6, 2, 5, MKV_NATIVE_BAD_FLAGS},
    {"no room for the trace", GET_ONE, 6, 2, 4, MKV_NATIVE_BAD_BODY_BYTES},
    {"the highest flag", PING_FRAME, 6, 2, 0x8000, MKV_NATIVE_BAD_FLAGS},
    {"inline where no PUT", GET_ONE, 6, 2, 2, MKV_NATIVE_BAD_FLAGS},
    {"inline where nothing is stored yet", ALLOCATE_ONE, 6, 2, 2, MKV_NATIVE_BAD_FLAGS},
    {"body of a COMMIT too long", COMMIT_ONE, 24, 4, 49, MKV_NATIVE_BAD_BODY_BYTES},
    {"body of a COMMIT too short", COMMIT_ONE, 24, 4, 47, MKV_NATIVE_BAD_BODY_BYTES},
    {"inline in an answer", PUT_INLINE, 6, 2, 3, MKV_NATIVE_BAD_FLAGS},
    {"READY as a good answer", READY_FRAME, 6, 2, 1, MKV_NATIVE_BAD_FLAGS},
    {"DATA as a good answer", DATA_FRAME, 6, 2, 1, MKV_NATIVE_BAD_FLAGS},
    {"no items", GET_ONE, 20, 4, 0, MKV_NATIVE_BAD_ITEM_COUNT},
    {"items above the limit", GET_ONE, 20, 4, 257, MKV_NATIVE_BAD_ITEM_COUNT},
    {"items without end", GET_ONE, 20, 4, UINT32_MAX, MKV_NATIVE_BAD_ITEM_COUNT},
    {"items of a PING", PING_FRAME, 20, 4, 1, MKV_NATIVE_BAD_ITEM_COUNT},
    {"items of a refusal", REFUSAL, 20, 4, 1, MKV_NATIVE_BAD_ITEM_COUNT},
    {"items of a DATA", DATA_FRAME, 20, 4, 1, MKV_NATIVE_BAD_ITEM_COUNT},
    {"results above the limit", ANSWER_ONE, 20, 4, 257, MKV_NATIVE_BAD_ITEM_COUNT},
    {"body one below the least", GET_ONE, 24, 4, 48, MKV_NATIVE_BAD_BODY_BYTES},
    {"body one above the most", GET_ONE, 24, 4, 1073, MKV_NATIVE_BAD_BODY_BYTES},
    {"body of a PING", PING_FRAME, 24, 4, 1, MKV_NATIVE_BAD_BODY_BYTES},
    {"results one byte short", ANSWER_ONE, 24, 4, 39, MKV_NATIVE_BAD_BODY_BYTES},
    {"results one byte long", ANSWER_ONE, 24, 4, 41, MKV_NATIVE_BAD_BODY_BYTES},
    {"refusal text too long", REFUSAL, 24, 4, 257, MKV_NATIVE_BAD_BODY_BYTES},
    {"stats text too long", STATS_ANSWER, 24, 4, 274433, MKV_NATIVE_BAD_BODY_BYTES},
    {"DATA body short", DATA_FRAME, 24, 4, 55, MKV_NATIVE_BAD_BODY_BYTES},
    {"READY body long", READY_FRAME, 24, 4, 25, MKV_NATIVE_BAD_BODY_BYTES},
    {"inline payload above the limit", PUT_INLINE, 32, 8, 65537, MKV_NATIVE_BAD_PAYLOAD_BYTES},
    {"payload without inline", PUT_INLINE, 6, 2, 0, MKV_NATIVE_BAD_PAYLOAD_BYTES},
    {"payload above a block", DATA_FRAME, 32, 8, 33554433, MKV_NATIVE_BAD_PAYLOAD_BYTES},
    {"payload without end", DATA_FRAME, 32, 8, UINT64_MAX, MKV_NATIVE_BAD_PAYLOAD_BYTES},
    {"payload of a GET", GET_ONE, 32, 8, 1, MKV_NATIVE_BAD_PAYLOAD_BYTES},
    {"payload of an answer", ANSWER_ONE, 32, 8, 1, MKV_NATIVE_BAD_PAYLOAD_BYTES},
    {"status of a request", PING_FRAME, 40, 4, 1, MKV_NATIVE_BAD_STATUS},
    {"status above the last", REFUSAL, 40, 4, 12, MKV_NATIVE_BAD_STATUS},
    {"first reserved byte", PING_FRAME, 44, 1, 1, MKV_NATIVE_NOT_ZERO},
    {"last reserved byte", PING_FRAME, 55, 1, 0x80, MKV_NATIVE_NOT_ZERO},
};

static void test_native_header__one_field_wrong__names_it(void **state) {
    (void)state;
    for (size_t index = 0; index < sizeof header_faults / sizeof header_faults[0]; index++) {
        const struct header_fault *fault = &header_faults[index];
        uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
        mkv_native_header_encode(&fault->header, bytes);
        memcpy(bytes + fault->offset, &fault->value, fault->width);
        seal(bytes);
        struct mkv_native_header decoded;
        const enum mkv_native_error error = mkv_native_header_decode(bytes, &decoded);
        if (error != fault->error) {
            fail_msg("%s: %s", fault->what, mkv_native_error_text(error));
        }
        /* What the error answer is made of survives. */
        assert_int_equal(decoded.request_id, 9);
        assert_int_equal(decoded.op,
                         error == MKV_NATIVE_BAD_OP ? MKV_NATIVE_PING : fault->header.op);
    }
}

static void test_native_header__what_no_decoder_takes__is_not_encoded(void **state) {
    (void)state;
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    struct mkv_native_header header = PING_FRAME;
    header.body_bytes = 1;
    EXPECT_ASSERTION(mkv_native_header_encode(&header, bytes));
    header = (struct mkv_native_header){.op = MKV_NATIVE_PING, .status = MKV_STATUS_BUSY};
    EXPECT_ASSERTION(mkv_native_header_encode(&header, bytes));
}

static void test_native_header__random_fields__decode_or_are_named(void **state) {
    (void)state;
    uint64_t random = 1;
    uint32_t taken = 0;
    for (uint32_t round = 0; round < 300000; round++) {
        uint8_t bytes[MKV_NATIVE_HEADER_BYTES] = {'M', 'K', 'V', '1', 1};
        bytes[5] = (uint8_t)(random_next(&random) % 12);
        mkv_store_u16(bytes + 6, (uint16_t)(random_next(&random) % 5));
        mkv_store_u64(bytes + 8, random_next(&random));
        mkv_store_u32(bytes + 20, (uint32_t)(random_next(&random) % 4));
        mkv_store_u32(bytes + 24, (uint32_t)(random_next(&random) % 130));
        if (random_next(&random) % 4 == 0) {
            mkv_store_u64(bytes + 32, random_next(&random) >> (random_next(&random) % 64));
        }
        if (random_next(&random) % 4 == 0) {
            mkv_store_u32(bytes + 40, (uint32_t)(random_next(&random) % 13));
        }
        seal(bytes);
        struct mkv_native_header header;
        const enum mkv_native_error error = mkv_native_header_decode(bytes, &header);
        assert_in_range(error, MKV_NATIVE_OK, MKV_NATIVE_ERROR_COUNT - 1);
        if (error == MKV_NATIVE_OK) {
            uint8_t again[MKV_NATIVE_HEADER_BYTES];
            mkv_native_header_encode(&header, again);
            assert_memory_equal(bytes, again, sizeof bytes);
            taken++;
        }
    }
    assert_in_range(taken, 1000, 200000);
}

/* ---- items ---------------------------------------------------------------------------------- */

/* A request body in a heap block of exactly its size. */
struct body {
    struct mkv_native_header header;
    uint8_t *bytes;
};

static struct body body_make(enum mkv_native_op op, const struct mkv_native_item *items,
                             uint32_t item_count) {
    struct body body = {.header = {.op = op, .item_count = item_count}};
    body.header.body_bytes = item_count * MKV_NATIVE_ITEM_BYTES;
    for (uint32_t index = 0; index < item_count; index++) {
        body.header.body_bytes += items[index].key_bytes;
    }
    body.bytes = malloc(body.header.body_bytes);
    assert_non_null(body.bytes);
    memset(body.bytes, 'k', body.header.body_bytes);
    for (uint32_t index = 0; index < item_count; index++) {
        mkv_native_item_encode(&items[index], body.bytes + index * MKV_NATIVE_ITEM_BYTES);
    }
    return body;
}

static void test_native_items__256_items_of_every_key_length__round_trip(void **state) {
    (void)state;
    struct mkv_native_item items[MKV_NATIVE_ITEMS_MAX];
    for (uint32_t index = 0; index < MKV_NATIVE_ITEMS_MAX; index++) {
        items[index] = (struct mkv_native_item){
            .length = (uint64_t)index << 30,
            .root = root_of_text("root"),
            .flags = index % 2,
            .key_bytes = index == 0 ? 1 : index * 4 + 4,
            .seconds = index << 24,
            .session = index == 5 ? UINT64_MAX : index,
            .tier_hint = index % 5,
        };
    }
    assert_int_equal(items[MKV_NATIVE_ITEMS_MAX - 1].key_bytes, MKV_KEY_BYTES_MAX);
    struct body body = body_make(MKV_NATIVE_PUT, items, MKV_NATIVE_ITEMS_MAX);
    struct mkv_native_item decoded[MKV_NATIVE_ITEMS_MAX];
    uint32_t keys_offset = 0;
    assert_int_equal(mkv_native_items_decode(&body.header, body.bytes, decoded, &keys_offset),
                     MKV_NATIVE_OK);
    assert_int_equal(keys_offset, 256 * 48);
    for (uint32_t index = 0; index < MKV_NATIVE_ITEMS_MAX; index++) {
        assert_int_equal(decoded[index].offset, 0);
        assert_true(decoded[index].session == items[index].session);
        assert_int_equal(decoded[index].tier_hint, items[index].tier_hint);
        assert_int_equal(decoded[index].length, items[index].length);
        assert_int_equal(decoded[index].seconds, items[index].seconds);
        assert_true(mkv_root_equal(decoded[index].root, items[index].root));
        assert_int_equal(decoded[index].flags, items[index].flags);
        assert_int_equal(decoded[index].key_bytes, items[index].key_bytes);
    }
    free(body.bytes);
}

struct item_fault {
    const char *what;
    enum mkv_native_op op;
    uint32_t offset;
    uint32_t width;
    uint64_t value;
    enum mkv_native_error error;
};

static const struct item_fault item_faults[] = {
    {"no key", MKV_NATIVE_GET, 36, 2, 0, MKV_NATIVE_BAD_KEY_BYTES},
    {"key above 1024", MKV_NATIVE_GET, 36, 2, 1025, MKV_NATIVE_BAD_KEY_BYTES},
    {"key of 65535", MKV_NATIVE_GET, 36, 2, 65535, MKV_NATIVE_BAD_KEY_BYTES},
    {"keys longer than the body", MKV_NATIVE_GET, 36, 2, 11, MKV_NATIVE_BAD_KEY_BYTES},
    {"keys shorter than the body", MKV_NATIVE_GET, 36, 2, 9, MKV_NATIVE_BAD_KEY_BYTES},
    {"length above the limit", MKV_NATIVE_PUT, 8, 8, (1ull << 40) + 1, MKV_NATIVE_BAD_LENGTH},
    {"length without end", MKV_NATIVE_PUT, 8, 8, UINT64_MAX, MKV_NATIVE_BAD_LENGTH},
    {"offset above the limit", MKV_NATIVE_GET, 0, 8, (1ull << 40) + 1, MKV_NATIVE_BAD_LENGTH},
    {"offset without end", MKV_NATIVE_GET, 0, 8, UINT64_MAX, MKV_NATIVE_BAD_LENGTH},
    {"offset of a DELETE", MKV_NATIVE_DELETE, 0, 8, 1, MKV_NATIVE_NOT_ZERO},
    {"length of an EXISTS", MKV_NATIVE_EXISTS, 8, 8, 1, MKV_NATIVE_NOT_ZERO},
    {"length of a LOOKUP", MKV_NATIVE_LOOKUP, 8, 8, 1, MKV_NATIVE_NOT_ZERO},
    {"root of a GET", MKV_NATIVE_GET, 31, 1, 1, MKV_NATIVE_NOT_ZERO},
    {"replace in a GET", MKV_NATIVE_GET, 32, 4, 1, MKV_NATIVE_BAD_ITEM_FLAGS},
    {"relaxed in a DELETE", MKV_NATIVE_DELETE, 32, 4, 2, MKV_NATIVE_BAD_ITEM_FLAGS},
    {"an unknown flag", MKV_NATIVE_PUT, 32, 4, 4, MKV_NATIVE_BAD_ITEM_FLAGS},
    {"abandon in a PUT", MKV_NATIVE_PUT, 32, 4, 0x100, MKV_NATIVE_BAD_ITEM_FLAGS},
    {"abandon in an ALLOCATE", MKV_NATIVE_ALLOCATE, 32, 4, 0x100, MKV_NATIVE_BAD_ITEM_FLAGS},
    {"no reservation in a COMMIT", MKV_NATIVE_COMMIT, 0, 8, 0, MKV_NATIVE_BAD_LENGTH},
    {"reservation above all", MKV_NATIVE_COMMIT, 0, 8, (1ull << 47) + 1, MKV_NATIVE_BAD_LENGTH},
    {"COMMIT above a block", MKV_NATIVE_COMMIT, 8, 8, 33554433, MKV_NATIVE_BAD_LENGTH},
    {"root of a COMMIT", MKV_NATIVE_COMMIT, 16, 1, 1, MKV_NATIVE_NOT_ZERO},
    {"replace in a COMMIT", MKV_NATIVE_COMMIT, 32, 4, 1, MKV_NATIVE_BAD_ITEM_FLAGS},
    {"length of what is abandoned", MKV_NATIVE_COMMIT, 32, 4, 0x100, MKV_NATIVE_NOT_ZERO},
    {"key of a COMMIT", MKV_NATIVE_COMMIT, 36, 2, 1, MKV_NATIVE_BAD_KEY_BYTES},
    {"seconds of a COMMIT", MKV_NATIVE_COMMIT, 40, 4, 1, MKV_NATIVE_NOT_ZERO},
    {"no seconds in a PIN", MKV_NATIVE_PIN, 40, 4, 0, MKV_NATIVE_BAD_SECONDS},
    {"seconds of an UNPIN", MKV_NATIVE_UNPIN, 40, 4, 1, MKV_NATIVE_NOT_ZERO},
    {"seconds of a GET", MKV_NATIVE_GET, 40, 4, 1, MKV_NATIVE_NOT_ZERO},
    {"tier of a GET", MKV_NATIVE_GET, 38, 1, 1, MKV_NATIVE_NOT_ZERO},
    {"tier above the highest", MKV_NATIVE_PUT, 38, 1, 5, MKV_NATIVE_BAD_SESSION},
    {"reason of a PUT", MKV_NATIVE_PUT, 39, 1, 1, MKV_NATIVE_NOT_ZERO},
    {"a session without an id", MKV_NATIVE_SESSION, 0, 8, 0, MKV_NATIVE_BAD_SESSION},
    {"key bytes of a SESSION", MKV_NATIVE_SESSION, 36, 2, 1, MKV_NATIVE_BAD_KEY_BYTES},
    {"action 0", MKV_NATIVE_SESSION, 38, 1, 0, MKV_NATIVE_BAD_SESSION},
    {"action above the last", MKV_NATIVE_SESSION, 38, 1, 5, MKV_NATIVE_BAD_SESSION},
    {"no reason to leave thinking", MKV_NATIVE_SESSION, 39, 1, 0, MKV_NATIVE_BAD_SESSION},
    {"reason above the last", MKV_NATIVE_SESSION, 39, 1, 4, MKV_NATIVE_BAD_SESSION},
    {"a reason to end", MKV_NATIVE_SESSION, 38, 1, 3, MKV_NATIVE_NOT_ZERO},
    {"tokens above the limit", MKV_NATIVE_SESSION, 8, 8, (1ull << 40) + 1, MKV_NATIVE_BAD_LENGTH},
    {"flags of a SESSION", MKV_NATIVE_SESSION, 32, 4, 1, MKV_NATIVE_BAD_ITEM_FLAGS},
    {"seconds of a SESSION", MKV_NATIVE_SESSION, 40, 4, 1, MKV_NATIVE_NOT_ZERO},
    {"root of a SESSION", MKV_NATIVE_SESSION, 16, 1, 1, MKV_NATIVE_NOT_ZERO},
    {"first byte behind seconds", MKV_NATIVE_PUT, 44, 1, 1, MKV_NATIVE_NOT_ZERO},
    {"last reserved byte", MKV_NATIVE_PUT, 47, 1, 1, MKV_NATIVE_NOT_ZERO},
};

static void test_native_items__one_field_wrong__names_it(void **state) {
    (void)state;
    for (size_t index = 0; index < sizeof item_faults / sizeof item_faults[0]; index++) {
        const struct item_fault *fault = &item_faults[index];
        /* The fault is in the second item, so that the first does not hide it. */
        const uint32_t seconds = fault->op == MKV_NATIVE_PIN ? 1 : 0;
        struct mkv_native_item items[2] = {{.key_bytes = 3, .seconds = seconds},
                                           {.key_bytes = 10, .seconds = seconds}};
        if (fault->op == MKV_NATIVE_SESSION) {
            items[1] = (struct mkv_native_item){.session = 9,
                                                .length = 5,
                                                .action = MKV_SESSION_EXIT_THINK,
                                                .reason = MKV_THINK_HARD_CAP};
            items[0] = items[1];
        }
        if (fault->op == MKV_NATIVE_COMMIT) {
            items[0] = (struct mkv_native_item){.reservation = 7, .length = 5};
            items[1] = (struct mkv_native_item){.reservation = 1ull << 40, .length = 6};
        }
        struct body body = body_make(fault->op, items, 2);
        memcpy(body.bytes + MKV_NATIVE_ITEM_BYTES + fault->offset, &fault->value, fault->width);
        struct mkv_native_item decoded[2];
        uint32_t keys_offset = 0;
        const enum mkv_native_error error =
            mkv_native_items_decode(&body.header, body.bytes, decoded, &keys_offset);
        if (error != fault->error) {
            fail_msg("%s: %s", fault->what, mkv_native_error_text(error));
        }
        free(body.bytes);
    }
}

static void test_native_items__commit__round_trips(void **state) {
    (void)state;
    const struct mkv_native_item items[3] = {
        {.reservation = 1, .length = 0},
        {.reservation = 1ull << 40, .length = MKV_BLOCK_BYTES_MAX},
        {.reservation = 5, .flags = MKV_NATIVE_ITEM_ABANDON},
    };
    struct body body = body_make(MKV_NATIVE_COMMIT, items, 3);
    struct mkv_native_item decoded[3];
    uint32_t keys_offset = 0;
    assert_int_equal(mkv_native_items_decode(&body.header, body.bytes, decoded, &keys_offset),
                     MKV_NATIVE_OK);
    assert_int_equal(keys_offset, 3 * 48);
    for (uint32_t index = 0; index < 3; index++) {
        assert_true(decoded[index].reservation == items[index].reservation);
        assert_int_equal(decoded[index].offset, 0);
        assert_int_equal(decoded[index].length, items[index].length);
        assert_int_equal(decoded[index].flags, items[index].flags);
        assert_int_equal(decoded[index].key_bytes, 0);
    }
    free(body.bytes);
}

static void test_native_items__range_up_to_the_limit__is_taken(void **state) {
    (void)state;
    const struct mkv_native_item items[2] = {
        {.key_bytes = 1, .offset = (1ull << 40) - 5, .length = 5},
        {.key_bytes = 1, .offset = 1ull << 40, .length = 0},
    };
    struct body body = body_make(MKV_NATIVE_GET, items, 2);
    struct mkv_native_item decoded[2];
    uint32_t keys_offset = 0;
    assert_int_equal(mkv_native_items_decode(&body.header, body.bytes, decoded, &keys_offset),
                     MKV_NATIVE_OK);
    mkv_store_u64(body.bytes + 8, 6);
    assert_int_equal(mkv_native_items_decode(&body.header, body.bytes, decoded, &keys_offset),
                     MKV_NATIVE_BAD_LENGTH);
    free(body.bytes);
}

static void test_native_items__inline_payload_is_not_the_sum__is_refused(void **state) {
    (void)state;
    const struct mkv_native_item items[2] = {{.key_bytes = 1, .length = 7},
                                             {.key_bytes = 1, .length = 8}};
    struct body body = body_make(MKV_NATIVE_PUT, items, 2);
    body.header.flags = MKV_NATIVE_FLAG_INLINE;
    struct mkv_native_item decoded[2];
    uint32_t keys_offset = 0;
    for (uint64_t payload_bytes = 14; payload_bytes <= 16; payload_bytes++) {
        body.header.payload_bytes = payload_bytes;
        assert_int_equal(mkv_native_items_decode(&body.header, body.bytes, decoded, &keys_offset),
                         payload_bytes == 15 ? MKV_NATIVE_OK : MKV_NATIVE_BAD_PAYLOAD_BYTES);
    }
    free(body.bytes);
}

static void test_native_items__random_bodies__decode_inside_their_bytes(void **state) {
    (void)state;
    static const enum mkv_native_op ops[] = {MKV_NATIVE_PUT, MKV_NATIVE_GET, MKV_NATIVE_LOOKUP,
                                             MKV_NATIVE_EXISTS, MKV_NATIVE_DELETE};
    uint64_t random = 2;
    uint32_t taken = 0;
    for (uint32_t round = 0; round < 100000; round++) {
        struct mkv_native_header header = {.op = ops[random_next(&random) % 5]};
        header.item_count = 1 + (uint32_t)(random_next(&random) % 3);
        header.body_bytes =
            header.item_count * (MKV_NATIVE_ITEM_BYTES + 1 + (uint32_t)(random_next(&random) % 4));
        uint8_t *body = malloc(header.body_bytes);
        assert_non_null(body);
        memset(body, 0, header.body_bytes);
        for (uint32_t index = 0; index < header.item_count; index++) {
            mkv_store_u16(body + index * 48 + 36, (uint16_t)(random_next(&random) % 5));
        }
        for (uint64_t fault = random_next(&random) % 3; fault > 0; fault--) {
            body[random_next(&random) % header.body_bytes] = (uint8_t)random_next(&random);
        }
        struct mkv_native_item items[3];
        uint32_t keys_offset = 0;
        if (mkv_native_items_decode(&header, body, items, &keys_offset) == MKV_NATIVE_OK) {
            uint64_t end = keys_offset;
            for (uint32_t index = 0; index < header.item_count; index++) {
                assert_in_range(items[index].key_bytes, 1, MKV_KEY_BYTES_MAX);
                end += items[index].key_bytes;
            }
            assert_int_equal(end, header.body_bytes);
            taken++;
        }
        free(body);
    }
    assert_in_range(taken, 1000, 100000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native_header__every_op_and_answer__round_trips),
        cmocka_unit_test(test_native_header__known_fields__stand_at_their_offsets),
        cmocka_unit_test(test_native_header__any_single_bit_flipped__is_refused),
        cmocka_unit_test(test_native_header__one_field_wrong__names_it),
        cmocka_unit_test(test_native_header__what_no_decoder_takes__is_not_encoded),
        cmocka_unit_test(test_native_header__random_fields__decode_or_are_named),
        cmocka_unit_test(test_native_items__256_items_of_every_key_length__round_trip),
        cmocka_unit_test(test_native_items__one_field_wrong__names_it),
        cmocka_unit_test(test_native_items__commit__round_trips),
        cmocka_unit_test(test_native_items__range_up_to_the_limit__is_taken),
        cmocka_unit_test(test_native_items__inline_payload_is_not_the_sum__is_refused),
        cmocka_unit_test(test_native_items__random_bodies__decode_inside_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
