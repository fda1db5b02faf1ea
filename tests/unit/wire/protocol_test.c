/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds docs/protocol.md to the code: every test vector of the page is compared, byte for byte,
 * with what the encoders and hashes make, and no vector of the page is left uncompared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/manifest.h"
#include "core/placement.h"
#include "wire/native_auth.h"

_Static_assert(MKV_NATIVE_LARGE_KEY_BYTES_MAX + MKV_SEGMENT_KEY_SUFFIX_BYTES == MKV_KEY_BYTES_MAX,
               "the key of a segment is the value's key and a suffix");

#define PAGE_BYTES_MAX (256u * 1024u)
#define VECTOR_BYTES_MAX 1024u
#define VECTORS_MAX 64u

#define SERVER_PROOF "d6c7f610ef6a02dc858f2dbf4fe763512bfc1100287fc4a2955fa181c56b1ac0"
#define CLIENT_PROOF "4ca89d1741469bd014015a81fbc54c43f459e66a9fd5e7c123aedcff67101a9a"

static const char fence[] = "```vector ";

/* The page, and the names of the vectors that a test has compared. */
struct page {
    char *text;
    const char *compared[VECTORS_MAX];
    uint32_t compared_count;
};

static int page_open(void **state) {
    const char *source_dir = getenv("MKV_SOURCE_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/docs/protocol.md", source_dir != NULL ? source_dir : ".");
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        print_error("%s cannot be opened; set MKV_SOURCE_DIR to the root of the sources\n", path);
        return -1;
    }
    struct page *page = calloc(1, sizeof *page);
    assert_non_null(page);
    page->text = calloc(1, PAGE_BYTES_MAX);
    assert_non_null(page->text);
    const size_t bytes = fread(page->text, 1, PAGE_BYTES_MAX - 1, file);
    assert_true(bytes < PAGE_BYTES_MAX - 1);
    fclose(file);
    *state = page;
    return 0;
}

static int page_close(void **state) {
    struct page *page = *state;
    free(page->text);
    free(page);
    return 0;
}

/* The lines of a vector, from the one behind its fence. */
static const char *vector_find(struct page *page, const char *name) {
    const size_t name_bytes = strlen(name);
    for (const char *at = strstr(page->text, fence); at != NULL; at = strstr(at + 1, fence)) {
        const char *title = at + strlen(fence);
        if (strncmp(title, name, name_bytes) == 0 && title[name_bytes] == '\n') {
            assert_in_range(page->compared_count, 0, VECTORS_MAX - 1);
            page->compared[page->compared_count++] = name;
            return title + name_bytes + 1;
        }
    }
    fail_msg("docs/protocol.md has no vector '%s'", name);
    return NULL;
}

static unsigned hex_digit(char digit) {
    const char *digits = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, digit);
    if (found == NULL) {
        fail_msg("'%c' is not a digit of a vector", digit);
        return 0;
    }
    return (unsigned)(found - digits);
}

/* Reads `digit_count / 2` bytes. */
static void hex_read(const char *text, size_t digit_count, uint8_t *bytes) {
    assert_int_equal(digit_count % 2, 0);
    for (size_t index = 0; index < digit_count / 2; index++) {
        bytes[index] = (uint8_t)(hex_digit(text[2 * index]) << 4 | hex_digit(text[2 * index + 1]));
    }
}

/* Compares a vector of bytes: on each line hexadecimal digits, then perhaps a comment. */
static void expect_vector(struct page *page, const char *name, const uint8_t *expected,
                          size_t expected_bytes) {
    uint8_t bytes[VECTOR_BYTES_MAX];
    size_t byte_count = 0;
    for (const char *line = vector_find(page, name); strncmp(line, "```", 3) != 0;
         line = strchr(line, '\n') + 1) {
        const size_t digit_count = strcspn(line, " #\n");
        assert_true(byte_count + digit_count / 2 <= sizeof bytes);
        hex_read(line, digit_count, bytes + byte_count);
        byte_count += digit_count / 2;
    }
    if (byte_count != expected_bytes || memcmp(bytes, expected, byte_count) != 0) {
        print_error("vector '%s' of docs/protocol.md differs; the encoders make:\n", name);
        for (size_t index = 0; index < expected_bytes; index++) {
            print_error("%02x%s", expected[index], index % 16 == 15 ? "\n" : "");
        }
        fail_msg("vector '%s'", name);
    }
}

/* Byte i is i modulo 251: what the page's vectors are made of. */
static uint8_t *pattern_make(uint32_t length) {
    uint8_t *bytes = malloc(length + 1u);
    assert_non_null(bytes);
    for (uint32_t index = 0; index < length; index++) {
        bytes[index] = (uint8_t)(index % 251);
    }
    return bytes;
}

static struct mkv_root root_of(const void *payload, uint32_t length) {
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_chunk_sums(payload, length, sums);
    return mkv_root_of_sums(length, sums);
}

static struct mkv_root root_of_pattern(uint32_t length) {
    uint8_t *bytes = pattern_make(length);
    const struct mkv_root root = root_of(bytes, length);
    free(bytes);
    return root;
}

/* A frame under construction. */
struct frame {
    uint8_t bytes[VECTOR_BYTES_MAX];
    size_t byte_count;
};

static void frame_append(struct frame *frame, const void *bytes, size_t byte_count) {
    assert_true(frame->byte_count + byte_count <= sizeof frame->bytes);
    memcpy(frame->bytes + frame->byte_count, bytes, byte_count);
    frame->byte_count += byte_count;
}

static void frame_begin(struct frame *frame, const struct mkv_native_header *header) {
    frame->byte_count = MKV_NATIVE_HEADER_BYTES;
    mkv_native_header_encode(header, frame->bytes);
}

/* A request of items, its keys separated by spaces in `keys`. */
static void frame_request(struct frame *frame, struct mkv_native_header header,
                          struct mkv_native_item *items, const char *keys) {
    uint8_t descriptors[8 * MKV_NATIVE_ITEM_BYTES];
    char joined[256] = "";
    const char *key = keys;
    for (uint32_t index = 0; index < header.item_count; index++) {
        items[index].key_bytes = (uint32_t)strcspn(key, " ");
        mkv_native_item_encode(&items[index], descriptors + index * MKV_NATIVE_ITEM_BYTES);
        strncat(joined, key, items[index].key_bytes);
        key += items[index].key_bytes + 1;
    }
    header.body_bytes = header.item_count * MKV_NATIVE_ITEM_BYTES + (uint32_t)strlen(joined) +
                        mkv_native_trace_bytes(&header);
    frame_begin(frame, &header);
    frame_append(frame, descriptors, header.item_count * MKV_NATIVE_ITEM_BYTES);
    frame_append(frame, joined, strlen(joined));
}

static void frame_answer(struct frame *frame, struct mkv_native_header header,
                         const struct mkv_native_result *results) {
    header.flags = MKV_NATIVE_FLAG_ANSWER;
    header.body_bytes = header.item_count * MKV_NATIVE_RESULT_BYTES;
    frame_begin(frame, &header);
    for (uint32_t index = 0; index < header.item_count; index++) {
        uint8_t bytes[MKV_NATIVE_RESULT_BYTES];
        mkv_native_result_encode(&results[index], bytes);
        frame_append(frame, bytes, sizeof bytes);
    }
}

static void test_protocol_page__hello__is_what_the_encoders_make(void **state) {
    struct page *page = *state;
    struct frame frame;
    const struct mkv_native_hello hello = {.version_min = 1, .version_max = 1, .name = "example"};
    uint8_t body[MKV_NATIVE_HELLO_ANSWER_BYTES];
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_HELLO,
                                                    .request_id = 1,
                                                    .body_bytes = MKV_NATIVE_HELLO_BYTES});
    mkv_native_hello_encode(&hello, body);
    frame_append(&frame, body, MKV_NATIVE_HELLO_BYTES);
    expect_vector(page, "hello", frame.bytes, frame.byte_count);

    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_HELLO,
                                                    .request_id = 1,
                                                    .body_bytes = MKV_NATIVE_HELLO_BYTES + 5});
    frame_append(&frame, body, MKV_NATIVE_HELLO_BYTES);
    frame_append(&frame, "batch", 5);
    expect_vector(page, "hello-of-a-tenant", frame.bytes, frame.byte_count);

    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_HELLO,
                                                    .flags = MKV_NATIVE_FLAG_RING,
                                                    .request_id = 1,
                                                    .body_bytes = MKV_NATIVE_HELLO_BYTES + 5 +
                                                                  MKV_NATIVE_RING_BYTES});
    frame_append(&frame, body, MKV_NATIVE_HELLO_BYTES);
    frame_append(&frame, "batch", 5);
    static const char lines[] = "[2001:db8::7]:9900*4\nkv-0.example:9900*1\n";
    uint8_t ring[MKV_NATIVE_RING_BYTES];
    mkv_native_ring_encode(mkv_hash_64(lines, sizeof lines - 1), ring);
    assert_int_equal(mkv_native_ring_decode(ring), mkv_hash_64(lines, sizeof lines - 1));
    frame_append(&frame, ring, sizeof ring);
    expect_vector(page, "hello-of-a-ring", frame.bytes, frame.byte_count);

    struct mkv_native_hello_answer answer = {.version = 1,
                                             .shard_count = 1,
                                             .items_max = 256,
                                             .body_bytes_max = MKV_NATIVE_BODY_BYTES_MAX,
                                             .inline_bytes_max = MKV_NATIVE_INLINE_BYTES_MAX,
                                             .block_bytes_max = MKV_BLOCK_BYTES_MAX,
                                             .value_bytes_max = 1ull << 39,
                                             .requests_max = 64,
                                             .deadline_ms = 5000,
                                             .server_version = "0.1.0"};
    for (uint8_t index = 0; index < 16; index++) {
        answer.store_uuid.bytes[index] = index;
    }
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_HELLO,
                                                    .flags = MKV_NATIVE_FLAG_ANSWER,
                                                    .request_id = 1,
                                                    .body_bytes = MKV_NATIVE_HELLO_ANSWER_BYTES});
    mkv_native_hello_answer_encode(&answer, body);
    frame_append(&frame, body, MKV_NATIVE_HELLO_ANSWER_BYTES);
    expect_vector(page, "hello-answer", frame.bytes, frame.byte_count);
}

/* Proofs take HMAC, which this room has not: tests/unit/server/auth_test.c compares them. */
static void test_protocol_page__auth__is_what_the_encoders_make(void **state) {
    struct page *page = *state;
    struct frame frame;
    uint8_t bytes[MKV_NATIVE_HELLO_ANSWER_BYTES];
    const struct mkv_native_hello hello = {.version_min = 1, .version_max = 1, .name = "example"};
    struct mkv_native_hello_answer answer = {.version = 1,
                                             .shard_count = 1,
                                             .items_max = 256,
                                             .body_bytes_max = MKV_NATIVE_BODY_BYTES_MAX,
                                             .inline_bytes_max = MKV_NATIVE_INLINE_BYTES_MAX,
                                             .block_bytes_max = MKV_BLOCK_BYTES_MAX,
                                             .value_bytes_max = 1ull << 39,
                                             .requests_max = 64,
                                             .deadline_ms = 5000,
                                             .server_version = "0.1.0"};
    uint8_t counting[3 * 32];
    for (uint8_t index = 0; index < sizeof counting; index++) {
        counting[index] = (uint8_t)(32 + index);
    }
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_HELLO,
                                                    .flags = MKV_NATIVE_FLAG_AUTH,
                                                    .request_id = 1,
                                                    .body_bytes = MKV_NATIVE_HELLO_BYTES + 64});
    mkv_native_hello_encode(&hello, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_HELLO_BYTES);
    mkv_native_key_id_encode("batch-1", bytes);
    frame_append(&frame, bytes, MKV_NATIVE_KEY_ID_BYTES);
    frame_append(&frame, counting, MKV_NATIVE_NONCE_BYTES);
    expect_vector(page, "hello-with-a-key", frame.bytes, frame.byte_count);

    frame_begin(&frame,
                &(struct mkv_native_header){.op = MKV_NATIVE_HELLO,
                                            .flags = MKV_NATIVE_FLAG_ANSWER | MKV_NATIVE_FLAG_AUTH,
                                            .request_id = 1,
                                            .body_bytes = MKV_NATIVE_HELLO_ANSWER_BYTES + 64});
    mkv_native_hello_answer_encode(&answer, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_HELLO_ANSWER_BYTES);
    frame_append(&frame, counting + 32, MKV_NATIVE_NONCE_BYTES);
    hex_read(SERVER_PROOF, 64, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_PROOF_BYTES);
    expect_vector(page, "hello-answer-with-a-proof", frame.bytes, frame.byte_count);

    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_AUTH,
                                                    .request_id = 1,
                                                    .body_bytes = MKV_NATIVE_AUTH_BYTES});
    hex_read(CLIENT_PROOF, 64, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_PROOF_BYTES);
    expect_vector(page, "auth", frame.bytes, frame.byte_count);
}

static void test_protocol_page__put__is_what_the_encoders_make(void **state) {
    struct page *page = *state;
    struct frame frame;
    struct mkv_native_item items[2] = {
        {.length = 5,
         .root = root_of("hello", 5),
         .flags = MKV_NATIVE_ITEM_RELAXED,
         .session = 7,
         .tier_hint = 1 + MKV_TIER_THINK_ACTIVE},
        {.length = 0, .root = root_of("", 0), .flags = MKV_NATIVE_ITEM_REPLACE, .seconds = 3600},
    };
    frame_request(&frame,
                  (struct mkv_native_header){.op = MKV_NATIVE_PUT,
                                             .flags = MKV_NATIVE_FLAG_INLINE,
                                             .request_id = 2,
                                             .item_count = 2,
                                             .deadline_ms = 2500,
                                             .payload_bytes = 5},
                  items, "model/a/0 empty");
    frame_append(&frame, "hello", 5);
    expect_vector(page, "put-inline", frame.bytes, frame.byte_count);

    const struct mkv_native_result results[2] = {{.status = MKV_STATUS_OK},
                                                 {.status = MKV_STATUS_CONFLICT}};
    frame_answer(&frame,
                 (struct mkv_native_header){.op = MKV_NATIVE_PUT, .request_id = 2, .item_count = 2},
                 results);
    expect_vector(page, "put-answer", frame.bytes, frame.byte_count);

    items[0] = (struct mkv_native_item){.length = 100000, .root = root_of_pattern(100000)};
    frame_request(
        &frame, (struct mkv_native_header){.op = MKV_NATIVE_PUT, .request_id = 3, .item_count = 1},
        items, "model/a/1");
    expect_vector(page, "put", frame.bytes, frame.byte_count);

    uint8_t body[MKV_NATIVE_DATA_BYTES];
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_READY,
                                                    .request_id = 3,
                                                    .body_bytes = MKV_NATIVE_READY_BYTES});
    mkv_native_ready_encode(&(struct mkv_native_ready){.bytes = 100000}, body);
    frame_append(&frame, body, MKV_NATIVE_READY_BYTES);
    expect_vector(page, "ready", frame.bytes, frame.byte_count);

    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_DATA,
                                                    .request_id = 3,
                                                    .body_bytes = MKV_NATIVE_DATA_BYTES,
                                                    .payload_bytes = 100000});
    mkv_native_data_encode(&(struct mkv_native_data){.length = 100000, .bytes = 100000}, body);
    frame_append(&frame, body, MKV_NATIVE_DATA_BYTES);
    expect_vector(page, "data-to-server", frame.bytes, frame.byte_count);
}

static void test_protocol_page__allocate__is_what_the_encoders_make(void **state) {
    struct page *page = *state;
    struct frame frame;
    struct mkv_native_item items[2] = {
        {.length = 100000, .root = root_of_pattern(100000)},
        {.length = 5, .root = root_of("hello", 5), .flags = MKV_NATIVE_ITEM_REPLACE},
    };
    frame_request(
        &frame,
        (struct mkv_native_header){
            .op = MKV_NATIVE_ALLOCATE, .request_id = 9, .item_count = 2, .deadline_ms = 30000},
        items, "model/a/2 model/a/0");
    expect_vector(page, "allocate", frame.bytes, frame.byte_count);
    const struct mkv_native_result reserved[2] = {{.length = 4097}, {.length = 0}};
    frame_answer(
        &frame,
        (struct mkv_native_header){.op = MKV_NATIVE_ALLOCATE, .request_id = 9, .item_count = 2},
        reserved);
    expect_vector(page, "allocate-answer", frame.bytes, frame.byte_count);
    struct mkv_native_item wanted[2] = {
        {.reservation = 4097, .length = 100000},
        {.reservation = 8193, .flags = MKV_NATIVE_ITEM_ABANDON},
    };
    frame_request(
        &frame,
        (struct mkv_native_header){.op = MKV_NATIVE_COMMIT, .request_id = 10, .item_count = 2},
        wanted, "  ");
    expect_vector(page, "commit", frame.bytes, frame.byte_count);
    const struct mkv_native_result results[2] = {{.status = MKV_STATUS_OK},
                                                 {.status = MKV_STATUS_NOT_FOUND}};
    frame_answer(
        &frame,
        (struct mkv_native_header){.op = MKV_NATIVE_COMMIT, .request_id = 10, .item_count = 2},
        results);
    expect_vector(page, "commit-answer", frame.bytes, frame.byte_count);
}

static void test_protocol_page__get__is_what_the_encoders_make(void **state) {
    struct page *page = *state;
    struct frame frame;
    struct mkv_native_item items[2] = {{.offset = 0}, {.offset = 65536, .length = 4096}};
    frame_request(&frame,
                  (struct mkv_native_header){
                      .op = MKV_NATIVE_GET, .request_id = 4, .item_count = 2, .deadline_ms = 1000},
                  items, "model/a/0 model/a/1");
    expect_vector(page, "get", frame.bytes, frame.byte_count);

    struct mkv_trace_context trace = {.flags = 1};
    uint8_t trace_bytes[MKV_NATIVE_TRACE_BYTES];
    for (uint8_t index = 0; index < 16; index++) {
        trace.trace_id[index] = (uint8_t)(0x10 + index);
    }
    for (uint8_t index = 0; index < 8; index++) {
        trace.parent_id[index] = (uint8_t)(0xa0 + index);
    }
    frame_request(
        &frame,
        (struct mkv_native_header){
            .op = MKV_NATIVE_GET, .flags = MKV_NATIVE_FLAG_TRACE, .request_id = 4, .item_count = 1},
        items, "model/a/0");
    mkv_native_trace_encode(&trace, trace_bytes);
    frame_append(&frame, trace_bytes, sizeof trace_bytes);
    expect_vector(page, "get-with-trace", frame.bytes, frame.byte_count);

    const struct mkv_native_data data = {.item = 1,
                                         .offset = 65536,
                                         .length = 100000,
                                         .bytes = 4096,
                                         .root = root_of_pattern(100000)};
    uint8_t body[MKV_NATIVE_DATA_BYTES];
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_DATA,
                                                    .request_id = 4,
                                                    .body_bytes = MKV_NATIVE_DATA_BYTES,
                                                    .payload_bytes = 4096});
    mkv_native_data_encode(&data, body);
    frame_append(&frame, body, MKV_NATIVE_DATA_BYTES);
    expect_vector(page, "data-to-client", frame.bytes, frame.byte_count);

    const struct mkv_native_result results[2] = {
        {.status = MKV_STATUS_NOT_FOUND, .miss = MKV_MISS_EVICTED},
        {.status = MKV_STATUS_OK, .length = 100000, .root = data.root},
    };
    frame_answer(&frame,
                 (struct mkv_native_header){.op = MKV_NATIVE_GET, .request_id = 4, .item_count = 2},
                 results);
    expect_vector(page, "get-answer", frame.bytes, frame.byte_count);
}

static void test_protocol_page__connect__is_what_the_encoders_make(void **state) {
    struct page *page = *state;
    struct frame frame;
    uint8_t bytes[MKV_NATIVE_HELLO_BYTES];
    struct mkv_native_connect connect = {.gid = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 9},
                                         .queue_pair = 0x11,
                                         .packet_number = 0xabcdef,
                                         .mtu_bytes = 1024,
                                         .message_bytes = 16384,
                                         .receives = 32,
                                         .reads = 16,
                                         .link = MKV_NATIVE_LINK_ETHERNET,
                                         .fallback = 5};
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_CONNECT,
                                                    .request_id = 2,
                                                    .body_bytes = MKV_NATIVE_CONNECT_BYTES});
    mkv_native_connect_encode(&connect, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_CONNECT_BYTES);
    expect_vector(page, "connect", frame.bytes, frame.byte_count);

    connect = (struct mkv_native_connect){.gid = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 7},
                                          .queue_pair = 0x102,
                                          .packet_number = 0x123456,
                                          .epoch = 0xfeedbee5,
                                          .mtu_bytes = 4096,
                                          .message_bytes = 16384,
                                          .receives = 16,
                                          .link = MKV_NATIVE_LINK_ETHERNET,
                                          .traffic_class = 104};
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_CONNECT,
                                                    .flags = MKV_NATIVE_FLAG_ANSWER,
                                                    .request_id = 2,
                                                    .body_bytes = MKV_NATIVE_CONNECT_BYTES});
    mkv_native_connect_encode(&connect, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_CONNECT_BYTES);
    expect_vector(page, "connect-answer", frame.bytes, frame.byte_count);

    static const char text[] = "full: 256 connections have a lane already (rdma.connections_max)";
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_CONNECT,
                                                    .flags = MKV_NATIVE_FLAG_ANSWER,
                                                    .request_id = 2,
                                                    .body_bytes = sizeof text - 1,
                                                    .status = MKV_STATUS_UNAVAILABLE});
    frame_append(&frame, text, sizeof text - 1);
    expect_vector(page, "connect-refusal", frame.bytes, frame.byte_count);

    /* The connection that it goes on over. */
    const struct mkv_native_hello hello = {.version_min = 1,
                                           .version_max = 1,
                                           .features = MKV_NATIVE_FEATURE_ROOTS,
                                           .fallback = 5,
                                           .name = "example"};
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_HELLO,
                                                    .request_id = 1,
                                                    .body_bytes = MKV_NATIVE_HELLO_BYTES});
    mkv_native_hello_encode(&hello, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_HELLO_BYTES);
    expect_vector(page, "hello-after-a-lane", frame.bytes, frame.byte_count);
}

static void test_protocol_page__remote__is_what_the_encoders_make(void **state) {
    struct page *page = *state;
    struct frame frame;
    struct mkv_native_item items[2] = {
        {.length = 1048576, .remote = {.address = 0x00007f1200000000, .key = 0x1234}},
        {.offset = 65536, .length = 4096, .remote = {.address = 0x00007f1200100000, .key = 0x1234}},
    };
    uint8_t bytes[MKV_NATIVE_DATA_BYTES];
    struct mkv_native_header header = {.op = MKV_NATIVE_GET,
                                       .flags = MKV_NATIVE_FLAG_REMOTE,
                                       .request_id = 4,
                                       .item_count = 2,
                                       .body_bytes = 2 * 48 + 2 * 16 + 2 * 9,
                                       .deadline_ms = 1000};
    frame_begin(&frame, &header);
    for (uint32_t index = 0; index < 2; index++) {
        items[index].key_bytes = 9;
        mkv_native_item_encode(&items[index], bytes);
        frame_append(&frame, bytes, MKV_NATIVE_ITEM_BYTES);
    }
    for (uint32_t index = 0; index < 2; index++) {
        mkv_native_remote_encode(&items[index].remote, bytes);
        frame_append(&frame, bytes, MKV_NATIVE_REMOTE_BYTES);
    }
    frame_append(&frame, "model/a/0model/a/1", 18);
    expect_vector(page, "get-remote", frame.bytes, frame.byte_count);

    const struct mkv_native_data data = {.item = 1,
                                         .offset = 65536,
                                         .length = 100000,
                                         .bytes = 4096,
                                         .root = root_of_pattern(100000)};
    header = (struct mkv_native_header){.op = MKV_NATIVE_DATA,
                                        .flags = MKV_NATIVE_FLAG_REMOTE,
                                        .request_id = 4,
                                        .body_bytes = MKV_NATIVE_DATA_BYTES};
    frame_begin(&frame, &header);
    mkv_native_data_encode(&data, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_DATA_BYTES);
    expect_vector(page, "data-remote", frame.bytes, frame.byte_count);

    const struct mkv_native_data piece = {.offset = 33554432,
                                          .length = 100000000,
                                          .bytes = 100000,
                                          .root = root_of_pattern(100000),
                                          .remote = {.address = 0x00007f1200200000, .key = 0x1234}};
    header.request_id = 5;
    frame_begin(&frame, &header);
    mkv_native_data_encode(&piece, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_DATA_BYTES);
    expect_vector(page, "data-of-a-client-remote", frame.bytes, frame.byte_count);

    header =
        (struct mkv_native_header){.op = MKV_NATIVE_TAKEN, .body_bytes = MKV_NATIVE_TAKEN_BYTES};
    frame_begin(&frame, &header);
    mkv_native_taken_encode(1, bytes);
    frame_append(&frame, bytes, MKV_NATIVE_TAKEN_BYTES);
    expect_vector(page, "taken", frame.bytes, frame.byte_count);
}

static void test_protocol_page__other_ops__are_what_the_encoders_make(void **state) {
    struct page *page = *state;
    struct frame frame;
    struct mkv_native_item items[3] = {{.offset = 0}, {.offset = 0}, {.offset = 0}};
    frame_request(&frame,
                  (struct mkv_native_header){
                      .op = MKV_NATIVE_LOOKUP, .request_id = 5, .item_count = 3, .deadline_ms = 20},
                  items, "model/a/0 model/a/1 model/a/2");
    expect_vector(page, "lookup", frame.bytes, frame.byte_count);
    const struct mkv_native_result resident = {.miss = MKV_MISS_UNKNOWN, .length = 2};
    frame_answer(
        &frame,
        (struct mkv_native_header){.op = MKV_NATIVE_LOOKUP, .request_id = 5, .item_count = 1},
        &resident);
    expect_vector(page, "lookup-answer", frame.bytes, frame.byte_count);
    frame_request(
        &frame,
        (struct mkv_native_header){.op = MKV_NATIVE_DELETE, .request_id = 6, .item_count = 1},
        items, "model/a/1");
    expect_vector(page, "delete", frame.bytes, frame.byte_count);
    const struct mkv_native_item pin = {.seconds = 60};
    frame_request(
        &frame, (struct mkv_native_header){.op = MKV_NATIVE_PIN, .request_id = 6, .item_count = 1},
        (struct mkv_native_item[]){pin}, "model/a/1");
    expect_vector(page, "pin", frame.bytes, frame.byte_count);
    const struct mkv_native_result pinned = {.status = MKV_STATUS_OK, .leased = 1};
    frame_answer(&frame,
                 (struct mkv_native_header){.op = MKV_NATIVE_PIN, .request_id = 6, .item_count = 1},
                 &pinned);
    expect_vector(page, "pin-answer", frame.bytes, frame.byte_count);
    const struct mkv_native_item told[2] = {
        {.session = 7,
         .length = 4096,
         .action = MKV_SESSION_EXIT_THINK,
         .reason = MKV_THINK_CONVERGED},
        {.session = 8, .action = MKV_SESSION_END},
    };
    uint8_t told_bytes[2 * MKV_NATIVE_ITEM_BYTES];
    mkv_native_item_encode(&told[0], told_bytes);
    mkv_native_item_encode(&told[1], told_bytes + MKV_NATIVE_ITEM_BYTES);
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_SESSION,
                                                    .request_id = 6,
                                                    .item_count = 2,
                                                    .body_bytes = sizeof told_bytes});
    frame_append(&frame, told_bytes, sizeof told_bytes);
    expect_vector(page, "session", frame.bytes, frame.byte_count);
    const struct mkv_native_result heard[2] = {{.status = MKV_STATUS_OK},
                                               {.status = MKV_STATUS_NOT_FOUND}};
    frame_answer(
        &frame,
        (struct mkv_native_header){.op = MKV_NATIVE_SESSION, .request_id = 6, .item_count = 2},
        heard);
    expect_vector(page, "session-answer", frame.bytes, frame.byte_count);
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_PING, .request_id = 7});
    expect_vector(page, "ping", frame.bytes, frame.byte_count);

    const char *text =
        "the server has 64 requests of this connection in flight; send it fewer at a time";
    frame_begin(&frame, &(struct mkv_native_header){.op = MKV_NATIVE_GET,
                                                    .flags = MKV_NATIVE_FLAG_ANSWER,
                                                    .request_id = 8,
                                                    .body_bytes = (uint32_t)strlen(text),
                                                    .status = MKV_STATUS_BUSY});
    frame_append(&frame, text, strlen(text));
    expect_vector(page, "refusal", frame.bytes, frame.byte_count);
}

static void test_protocol_page__roots__are_what_the_hashes_make(void **state) {
    uint32_t row_count = 0;
    for (const char *line = vector_find(*state, "roots"); strncmp(line, "```", 3) != 0;
         line = strchr(line, '\n') + 1) {
        uint32_t length, chunk_bytes, chunk_count;
        char sum[32], root[64];
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(
            sscanf(line, "%u %u %u %31s %63s", &length, &chunk_bytes, &chunk_count, sum, root), 5);
        assert_int_equal(mkv_chunk_bytes(length), chunk_bytes);
        assert_int_equal(mkv_chunk_count(length), chunk_count);
        uint64_t sums[MKV_CHUNKS_MAX];
        uint8_t *payload = pattern_make(length);
        mkv_chunk_sums(payload, length, sums);
        free(payload);
        uint8_t expected[16];
        if (chunk_count > 0) {
            hex_read(sum, 16, expected);
            assert_int_equal(sums[chunk_count - 1], mkv_load_u64(expected));
        }
        hex_read(root, 32, expected);
        assert_memory_equal(mkv_root_of_sums(length, sums).bytes, expected, 16);
        row_count++;
    }
    assert_int_equal(row_count, 10);
}

static void test_protocol_page__placement__is_what_the_core_computes(void **state) {
    struct mkv_member members[4] = {{.weight = 1}, {.weight = 2}, {.weight = 4}, {.weight = 0}};
    for (int index = 0; index < 4; index++) {
        memset(members[index].uuid.bytes, 0x11 * (index + 1), 16);
    }
    uint32_t row_count = 0;
    for (const char *line = vector_find(*state, "placement"); strncmp(line, "```", 3) != 0;
         line = strchr(line, '\n') + 1) {
        char tenant[32], key[MKV_KEY_BYTES_MAX + 1], point_text[64], score[32];
        uint32_t owner;
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(
            sscanf(line, "%31s %31s %63s %31s %u", tenant, key, point_text, score, &owner), 5);
        if (strcmp(key, "k*1024") == 0) {
            memset(key, 'k', 1024);
            key[1024] = '\0';
        }
        uint8_t expected[16];
        hex_read(point_text, 32, expected);
        const struct mkv_root point =
            mkv_placement_point(tenant, (const uint8_t *)key, (uint32_t)strlen(key));
        assert_memory_equal(point.bytes, expected, 16);
        assert_int_equal(mkv_placement_owner(point, members, 4), owner);

        /* The core shows no scores, so the page's is found among the owner's draws. */
        uint8_t draw[16 + 16 + 4];
        memcpy(draw, point.bytes, 16);
        memcpy(draw + 16, members[owner].uuid.bytes, 16);
        uint64_t highest = 0;
        for (uint32_t index = 0; index < members[owner].weight; index++) {
            mkv_store_u32(draw + 32, index);
            const uint64_t value = mkv_hash_64(draw, sizeof draw);
            highest = value > highest ? value : highest;
        }
        assert_int_equal(strtoull(score, NULL, 16), highest);
        row_count++;
    }
    assert_int_equal(row_count, 8);
}

/* Whether the page's section `title` has a row that gives `number` the name `name`. */
static void expect_row(const struct page *page, const char *title, uint32_t number,
                       const char *name) {
    char row[128];
    snprintf(row, sizeof row, "\n| %u | %s |", number, name);
    const char *section = strstr(page->text, title);
    assert_non_null(section);
    const char *section_end = strstr(section + strlen(title), "\n## ");
    const char *found = strstr(section, row);
    if (found == NULL || found > section_end) {
        fail_msg("'%s' of docs/protocol.md has no row '%s'", title + 1, row + 1);
    }
}

static void test_protocol_page__servers__are_placed_by_their_names(void **state) {
    struct mkv_member members[4];
    uint32_t member_count = 0;
    uint32_t key_count = 0;
    for (const char *line = vector_find(*state, "servers"); strncmp(line, "```", 3) != 0;
         line = strchr(line, '\n') + 1) {
        char name[64], second[64], third[64];
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(sscanf(line, "%63s %63s %63s", name, second, third), 3);
        if (strlen(third) == 32) {
            const struct mkv_root uuid = mkv_hash_128(name, strlen(name));
            uint8_t expected[16];
            hex_read(third, 32, expected);
            assert_memory_equal(uuid.bytes, expected, 16);
            memcpy(members[member_count].uuid.bytes, uuid.bytes, 16);
            members[member_count++].weight = (uint32_t)strtoul(second, NULL, 10);
            continue;
        }
        const struct mkv_root point =
            mkv_placement_point(name, (const uint8_t *)second, (uint32_t)strlen(second));
        assert_int_equal(mkv_placement_owner(point, members, member_count),
                         strtoul(third, NULL, 10));
        key_count++;
    }
    assert_int_equal(member_count, 4);
    assert_int_equal(key_count, 7);
}

static void test_protocol_page__statuses_and_misses__have_the_names_of_the_code(void **state) {
    for (uint32_t status = 0; status < MKV_STATUS_COUNT; status++) {
        expect_row(*state, "\n## Statuses", status, mkv_status_name((enum mkv_status)status));
    }
    for (uint32_t miss = 0; miss < MKV_MISS_COUNT; miss++) {
        expect_row(*state, "\n## Miss reasons", miss, mkv_miss_name((enum mkv_miss)miss));
    }
}

static void test_protocol_page__every_vector__was_compared(void **state) {
    const struct page *page = *state;
    for (const char *at = strstr(page->text, fence); at != NULL; at = strstr(at + 1, fence)) {
        const char *title = at + strlen(fence);
        const size_t title_bytes = strcspn(title, "\n");
        bool is_compared = false;
        for (uint32_t index = 0; index < page->compared_count; index++) {
            is_compared = is_compared || (strlen(page->compared[index]) == title_bytes &&
                                          memcmp(page->compared[index], title, title_bytes) == 0);
        }
        if (!is_compared) {
            fail_msg("no test compares the vector '%.*s'", (int)title_bytes, title);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocol_page__hello__is_what_the_encoders_make),
        cmocka_unit_test(test_protocol_page__auth__is_what_the_encoders_make),
        cmocka_unit_test(test_protocol_page__put__is_what_the_encoders_make),
        cmocka_unit_test(test_protocol_page__get__is_what_the_encoders_make),
        cmocka_unit_test(test_protocol_page__allocate__is_what_the_encoders_make),
        cmocka_unit_test(test_protocol_page__connect__is_what_the_encoders_make),
        cmocka_unit_test(test_protocol_page__remote__is_what_the_encoders_make),
        cmocka_unit_test(test_protocol_page__other_ops__are_what_the_encoders_make),
        cmocka_unit_test(test_protocol_page__roots__are_what_the_hashes_make),
        cmocka_unit_test(test_protocol_page__placement__is_what_the_core_computes),
        cmocka_unit_test(test_protocol_page__servers__are_placed_by_their_names),
        cmocka_unit_test(test_protocol_page__statuses_and_misses__have_the_names_of_the_code),
        cmocka_unit_test(test_protocol_page__every_vector__was_compared),
    };
    return cmocka_run_group_tests(tests, page_open, page_close);
}
