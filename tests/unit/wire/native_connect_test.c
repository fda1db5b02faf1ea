/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the native protocol has for RDMA: CONNECT, the memory of items, and DATA that was written
 * there. Bodies lie in heap blocks of exactly their size.
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
#include "wire/lane.h"
#include "wire/native.h"

static const struct mkv_native_header request = {.op = MKV_NATIVE_CONNECT,
                                                 .body_bytes = MKV_NATIVE_CONNECT_BYTES};
static const struct mkv_native_header answer = {.op = MKV_NATIVE_CONNECT,
                                                .flags = MKV_NATIVE_FLAG_ANSWER,
                                                .body_bytes = MKV_NATIVE_CONNECT_BYTES};

static struct mkv_native_connect connect_most(void) {
    return (struct mkv_native_connect){
        .gid = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 7},
        .queue_pair = 0xffffff,
        .packet_number = 0xffffff,
        .mtu_bytes = 4096,
        .message_bytes = MKV_LANE_MESSAGE_BYTES_MAX,
        .receives = MKV_LANE_CREDITS_MAX,
        .reads = 255,
        .lid = 0xbfff,
        .link = MKV_NATIVE_LINK_ETHERNET,
        .fallback = MKV_NATIVE_FALLBACK_REFUSED,
    };
}

static struct mkv_native_connect connect_least(void) {
    return (struct mkv_native_connect){
        .queue_pair = 2,
        .mtu_bytes = 256,
        .message_bytes = MKV_LANE_MESSAGE_BYTES_MIN,
        .receives = MKV_LANE_CREDITS_MIN,
        .reads = 1,
        .link = MKV_NATIVE_LINK_INFINIBAND,
    };
}

static void expect_round_trip(const struct mkv_native_header *header,
                              const struct mkv_native_connect *connect) {
    uint8_t *bytes = malloc(MKV_NATIVE_CONNECT_BYTES);
    assert_non_null(bytes);
    struct mkv_native_connect decoded;
    memset(&decoded, 0xa5, sizeof decoded);
    mkv_native_connect_encode(connect, bytes);
    assert_int_equal(mkv_native_connect_decode(header, bytes, &decoded), MKV_NATIVE_OK);
    assert_memory_equal(decoded.gid, connect->gid, sizeof decoded.gid);
    assert_int_equal(decoded.queue_pair, connect->queue_pair);
    assert_int_equal(decoded.packet_number, connect->packet_number);
    assert_int_equal(decoded.epoch, connect->epoch);
    assert_int_equal(decoded.mtu_bytes, connect->mtu_bytes);
    assert_int_equal(decoded.message_bytes, connect->message_bytes);
    assert_int_equal(decoded.receives, connect->receives);
    assert_int_equal(decoded.reads, connect->reads);
    assert_int_equal(decoded.lid, connect->lid);
    assert_int_equal(decoded.link, connect->link);
    assert_int_equal(decoded.fallback, connect->fallback);
    assert_int_equal(decoded.traffic_class, connect->traffic_class);
    assert_int_equal(decoded.service_level, connect->service_level);
    free(bytes);
}

static void test_native_connect__most_and_least__round_trip(void **state) {
    (void)state;
    struct mkv_native_connect connect = connect_most();
    expect_round_trip(&request, &connect);
    connect.fallback = 0;
    connect.epoch = UINT32_MAX;
    connect.traffic_class = 255;
    connect.service_level = 15;
    expect_round_trip(&answer, &connect);
    connect = connect_least();
    expect_round_trip(&request, &connect);
    connect.epoch = 1;
    connect.reads = 0; /* a client reads nothing */
    expect_round_trip(&answer, &connect);
    for (uint32_t mtu_bytes = 256; mtu_bytes <= 4096; mtu_bytes *= 2) {
        connect = connect_least();
        connect.mtu_bytes = mtu_bytes;
        expect_round_trip(&request, &connect);
    }
}

static void test_native_connect__one_field_wrong__is_refused(void **state) {
    (void)state;
    static const struct {
        const char *what;
        bool is_answer;
        uint32_t offset, width;
        uint64_t value;
        enum mkv_native_error error;
    } faults[] = {
        {"queue pair of management", false, 16, 4, 1, MKV_NATIVE_BAD_LANE},
        {"queue pair above 24 bits", false, 16, 4, 1u << 24, MKV_NATIVE_BAD_LANE},
        {"packet number above 24 bits", false, 20, 4, 1u << 24, MKV_NATIVE_BAD_LANE},
        {"epoch of a client", false, 24, 4, 1, MKV_NATIVE_NOT_ZERO},
        {"no epoch of a server", true, 24, 4, 0, MKV_NATIVE_BAD_LANE},
        {"MTU 0", false, 28, 4, 0, MKV_NATIVE_BAD_LANE},
        {"MTU 128", false, 28, 4, 128, MKV_NATIVE_BAD_LANE},
        {"MTU 1500", false, 28, 4, 1500, MKV_NATIVE_BAD_LANE},
        {"MTU 8192", false, 28, 4, 8192, MKV_NATIVE_BAD_LANE},
        {"messages too small", false, 32, 4, 8191, MKV_NATIVE_BAD_LANE},
        {"messages too large", false, 32, 4, 65537, MKV_NATIVE_BAD_LANE},
        {"no receives", false, 36, 2, 3, MKV_NATIVE_BAD_LANE},
        {"receives above the limit", true, 36, 2, 65, MKV_NATIVE_BAD_LANE},
        {"a client that cannot be read", false, 38, 2, 0, MKV_NATIVE_BAD_LANE},
        {"READs above a byte", true, 38, 2, 256, MKV_NATIVE_BAD_LANE},
        {"no link", false, 42, 1, 0, MKV_NATIVE_BAD_LANE},
        {"a link that there is not", false, 42, 1, 3, MKV_NATIVE_BAD_LANE},
        {"fallback of a server", true, 43, 1, 5, MKV_NATIVE_NOT_ZERO},
        {"traffic class of a client", false, 44, 1, 1, MKV_NATIVE_NOT_ZERO},
        {"service level of a client", false, 45, 1, 1, MKV_NATIVE_NOT_ZERO},
        {"service level above 4 bits", true, 45, 1, 16, MKV_NATIVE_BAD_LANE},
        {"first reserved byte", false, 46, 1, 1, MKV_NATIVE_NOT_ZERO},
        {"last reserved byte", true, 63, 1, 0x80, MKV_NATIVE_NOT_ZERO},
    };
    for (size_t index = 0; index < sizeof faults / sizeof faults[0]; index++) {
        struct mkv_native_connect connect = connect_most();
        connect.fallback = 0;
        connect.epoch = faults[index].is_answer ? 9 : 0;
        uint8_t bytes[MKV_NATIVE_CONNECT_BYTES];
        mkv_native_connect_encode(&connect, bytes);
        memcpy(bytes + faults[index].offset, &faults[index].value, faults[index].width);
        const enum mkv_native_error error = mkv_native_connect_decode(
            faults[index].is_answer ? &answer : &request, bytes, &connect);
        if (error != faults[index].error) {
            fail_msg("%s: %s", faults[index].what, mkv_native_error_text(error));
        }
    }
}

static void test_native_connect__ethernet_without_gid__is_refused(void **state) {
    (void)state;
    struct mkv_native_connect connect = connect_least();
    uint8_t bytes[MKV_NATIVE_CONNECT_BYTES];
    mkv_native_connect_encode(&connect, bytes);
    assert_int_equal(mkv_native_connect_decode(&request, bytes, &connect), MKV_NATIVE_OK);
    bytes[42] = MKV_NATIVE_LINK_ETHERNET;
    assert_int_equal(mkv_native_connect_decode(&request, bytes, &connect), MKV_NATIVE_BAD_LANE);
    bytes[15] = 1;
    assert_int_equal(mkv_native_connect_decode(&request, bytes, &connect), MKV_NATIVE_OK);
}

static void test_native_fallback__numbers_of_other_versions__are_other(void **state) {
    (void)state;
    for (uint32_t number = 0; number < MKV_LANE_REASON_COUNT; number++) {
        assert_int_equal(mkv_native_fallback_known(number), number);
    }
    for (uint32_t number = MKV_LANE_REASON_COUNT; number < 256; number++) {
        assert_int_equal(mkv_native_fallback_known(number),
                         number == MKV_NATIVE_FALLBACK_REFUSED ? number : MKV_LANE_REASON_OTHER);
    }
}

static void test_native_refusal__every_word__is_one_and_its_own(void **state) {
    (void)state;
    for (uint32_t index = 0; index <= MKV_NATIVE_REFUSAL_COUNT; index++) {
        const char *name = mkv_native_refusal_name((enum mkv_native_refusal)index);
        assert_int_equal(strchr(name, ' ') == NULL, index < MKV_NATIVE_REFUSAL_COUNT);
        assert_null(strchr(name, ':'));
        for (uint32_t other = 0; other < index; other++) {
            assert_string_not_equal(name, mkv_native_refusal_name((enum mkv_native_refusal)other));
        }
    }
}

/* ---- headers --------------------------------------------------------------------------------- */

static enum mkv_native_error decode_header(struct mkv_native_header header) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES] = {'M', 'K', 'V', '1', 1, (uint8_t)header.op};
    mkv_store_u16(bytes + 6, (uint16_t)header.flags);
    mkv_store_u32(bytes + 20, header.item_count);
    mkv_store_u32(bytes + 24, header.body_bytes);
    mkv_store_u64(bytes + 32, header.payload_bytes);
    mkv_store_u64(bytes + 56, mkv_hash_64(bytes, 56));
    struct mkv_native_header decoded;
    const enum mkv_native_error error = mkv_native_header_decode(bytes, &decoded);
    if (error == MKV_NATIVE_OK) {
        uint8_t again[MKV_NATIVE_HEADER_BYTES];
        mkv_native_header_encode(&decoded, again);
        assert_memory_equal(bytes, again, sizeof bytes);
    }
    return error;
}

static void test_native_connect__header__has_a_body_of_64_bytes(void **state) {
    (void)state;
    struct mkv_native_header header = request;
    assert_int_equal(decode_header(request), MKV_NATIVE_OK);
    assert_int_equal(decode_header(answer), MKV_NATIVE_OK);
    header.body_bytes = 63;
    assert_int_equal(decode_header(header), MKV_NATIVE_BAD_BODY_BYTES);
    header = request;
    header.item_count = 1;
    assert_int_equal(decode_header(header), MKV_NATIVE_BAD_ITEM_COUNT);
    header = request;
    header.payload_bytes = 1;
    assert_int_equal(decode_header(header), MKV_NATIVE_BAD_PAYLOAD_BYTES);
    header = request;
    header.flags = MKV_NATIVE_FLAG_TRACE;
    assert_int_equal(decode_header(header), MKV_NATIVE_BAD_FLAGS);
    header.flags = MKV_NATIVE_FLAG_REMOTE;
    assert_int_equal(decode_header(header), MKV_NATIVE_BAD_FLAGS);
}

#define REMOTE MKV_NATIVE_FLAG_REMOTE

static void test_native_remote__headers__one_more_block_of_16_bytes_an_item(void **state) {
    (void)state;
    static const struct {
        struct mkv_native_header header;
        enum mkv_native_error error;
    } cases[] = {
        {{MKV_NATIVE_PUT, REMOTE, 0, 0, 1, 65, 0, 0, 0}, MKV_NATIVE_OK},
        {{MKV_NATIVE_PUT, REMOTE, 0, 0, 1, 64, 0, 0, 0}, MKV_NATIVE_BAD_BODY_BYTES},
        {{MKV_NATIVE_PUT, REMOTE, 0, 0, 64, 64 * 1088, 0, 0, 0}, MKV_NATIVE_OK},
        {{MKV_NATIVE_PUT, REMOTE, 0, 0, 64, 64 * 1088 + 1, 0, 0, 0}, MKV_NATIVE_BAD_BODY_BYTES},
        {{MKV_NATIVE_PUT, REMOTE, 0, 0, 65, 65 * 65, 0, 0, 0}, MKV_NATIVE_BAD_ITEM_COUNT},
        {{MKV_NATIVE_PUT, REMOTE, 0, 0, 1, 65, 0, 1, 0}, MKV_NATIVE_BAD_PAYLOAD_BYTES},
        {{MKV_NATIVE_GET, REMOTE, 0, 0, 2, 130, 0, 0, 0}, MKV_NATIVE_OK},
        {{MKV_NATIVE_GET, REMOTE | MKV_NATIVE_FLAG_TRACE, 0, 0, 1, 97, 0, 0, 0}, MKV_NATIVE_OK},
        {{MKV_NATIVE_GET, REMOTE | MKV_NATIVE_FLAG_TRACE, 0, 0, 1, 96, 0, 0, 0},
         MKV_NATIVE_BAD_BODY_BYTES},
        {{MKV_NATIVE_COMMIT, REMOTE, 0, 0, 64, 64 * 64, 0, 0, 0}, MKV_NATIVE_OK},
        {{MKV_NATIVE_COMMIT, REMOTE, 0, 0, 1, 65, 0, 0, 0}, MKV_NATIVE_BAD_BODY_BYTES},
        {{MKV_NATIVE_COMMIT, REMOTE, 0, 0, 1, 48, 0, 0, 0}, MKV_NATIVE_BAD_BODY_BYTES},
        {{MKV_NATIVE_COMMIT, REMOTE, 0, 0, 65, 65 * 64, 0, 0, 0}, MKV_NATIVE_BAD_ITEM_COUNT},
        {{MKV_NATIVE_DATA, REMOTE, 0, 0, 0, 56, 0, 0, 0}, MKV_NATIVE_OK},
        {{MKV_NATIVE_DATA, REMOTE, 0, 0, 0, 56, 0, 1, 0}, MKV_NATIVE_BAD_PAYLOAD_BYTES},
        {{MKV_NATIVE_DATA, REMOTE | MKV_NATIVE_FLAG_WINDOW, 0, 0, 0, 56, 0, 0, 0},
         MKV_NATIVE_BAD_FLAGS},
        {{MKV_NATIVE_GET, REMOTE | MKV_NATIVE_FLAG_WINDOW, 0, 0, 1, 65, 0, 0, 0},
         MKV_NATIVE_BAD_FLAGS},
        {{MKV_NATIVE_PUT, REMOTE | MKV_NATIVE_FLAG_INLINE, 0, 0, 1, 65, 0, 0, 0},
         MKV_NATIVE_BAD_FLAGS},
        {{MKV_NATIVE_COMMIT, REMOTE | MKV_NATIVE_FLAG_INLINE, 0, 0, 1, 64, 0, 0, 0},
         MKV_NATIVE_BAD_FLAGS},
        {{MKV_NATIVE_GET, REMOTE | MKV_NATIVE_FLAG_ANSWER, 0, 0, 1, 40, 0, 0, 0},
         MKV_NATIVE_BAD_FLAGS},
        {{MKV_NATIVE_ALLOCATE, REMOTE, 0, 0, 1, 65, 0, 0, 0}, MKV_NATIVE_BAD_FLAGS},
        {{MKV_NATIVE_EXISTS, REMOTE, 0, 0, 1, 65, 0, 0, 0}, MKV_NATIVE_BAD_FLAGS},
        {{MKV_NATIVE_PING, REMOTE, 0, 0, 0, 0, 0, 0, 0}, MKV_NATIVE_BAD_FLAGS},
        {{MKV_NATIVE_READY, REMOTE, 0, 0, 0, 24, 0, 0, 0}, MKV_NATIVE_BAD_FLAGS},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const enum mkv_native_error error = decode_header(cases[index].header);
        if (error != cases[index].error) {
            fail_msg("case %zu: %s", index, mkv_native_error_text(error));
        }
    }
}

/* ---- items ----------------------------------------------------------------------------------- */

struct body {
    struct mkv_native_header header;
    uint8_t *bytes;
};

static struct body body_make(enum mkv_native_op op, const struct mkv_native_item *items,
                             uint32_t item_count) {
    struct body body = {.header = {.op = op, .flags = REMOTE, .item_count = item_count}};
    const uint32_t items_bytes = item_count * MKV_NATIVE_ITEM_BYTES;
    body.header.body_bytes = items_bytes + item_count * MKV_NATIVE_REMOTE_BYTES;
    for (uint32_t index = 0; index < item_count; index++) {
        body.header.body_bytes += items[index].key_bytes;
    }
    body.bytes = malloc(body.header.body_bytes);
    assert_non_null(body.bytes);
    memset(body.bytes, 'k', body.header.body_bytes);
    for (uint32_t index = 0; index < item_count; index++) {
        mkv_native_item_encode(&items[index], body.bytes + index * MKV_NATIVE_ITEM_BYTES);
        mkv_native_remote_encode(&items[index].remote,
                                 body.bytes + items_bytes + index * MKV_NATIVE_REMOTE_BYTES);
    }
    return body;
}

static void expect_items(enum mkv_native_op op, const struct mkv_native_item *items,
                         uint32_t item_count) {
    struct body body = body_make(op, items, item_count);
    struct mkv_native_item decoded[MKV_NATIVE_REMOTE_ITEMS_MAX];
    memset(decoded, 0xa5, sizeof decoded);
    uint32_t keys_offset = 0;
    assert_int_equal(mkv_native_items_decode(&body.header, body.bytes, decoded, &keys_offset),
                     MKV_NATIVE_OK);
    assert_int_equal(keys_offset, item_count * 64);
    for (uint32_t index = 0; index < item_count; index++) {
        assert_int_equal(decoded[index].remote.address, items[index].remote.address);
        assert_int_equal(decoded[index].remote.key, items[index].remote.key);
        assert_int_equal(decoded[index].length, items[index].length);
        assert_int_equal(decoded[index].offset, items[index].offset);
        assert_int_equal(decoded[index].key_bytes, items[index].key_bytes);
        assert_int_equal(decoded[index].window_offset, 0);
    }
    free(body.bytes);
}

static void test_native_remote__items_of_every_op__round_trip(void **state) {
    (void)state;
    const struct mkv_native_remote highest = {.address = UINT64_MAX - 5, .key = UINT32_MAX};
    const struct mkv_native_item puts[2] = {
        {.key_bytes = 1024, .length = 0},
        {.key_bytes = 1, .length = 5, .session = 7, .remote = highest},
    };
    expect_items(MKV_NATIVE_PUT, puts, 2);
    const struct mkv_native_item gets[2] = {
        {.key_bytes = 3, .offset = 9, .length = 5, .remote = highest},
        {.key_bytes = 3, .length = 1, .remote = {.address = 0, .key = 0}},
    };
    expect_items(MKV_NATIVE_GET, gets, 2);
    const struct mkv_native_item commits[2] = {
        {.reservation = 5, .flags = MKV_NATIVE_ITEM_ABANDON},
        {.reservation = 6, .length = 5, .remote = highest},
    };
    expect_items(MKV_NATIVE_COMMIT, commits, 2);
    struct mkv_native_item most[MKV_NATIVE_REMOTE_ITEMS_MAX];
    for (uint32_t index = 0; index < MKV_NATIVE_REMOTE_ITEMS_MAX; index++) {
        most[index] = (struct mkv_native_item){
            .key_bytes = 1 + index,
            .length = 1 + index,
            .remote = {.address = (uint64_t)index << 40, .key = index << 20},
        };
    }
    expect_items(MKV_NATIVE_PUT, most, MKV_NATIVE_REMOTE_ITEMS_MAX);
}

static void test_native_remote__one_field_wrong__names_it(void **state) {
    (void)state;
    static const struct {
        const char *what;
        enum mkv_native_op op;
        uint32_t item, offset, width;
        uint64_t value;
        enum mkv_native_error error;
    } faults[] = {
        {"memory beyond the last address", MKV_NATIVE_GET, 1, 0, 8, UINT64_MAX - 4,
         MKV_NATIVE_BAD_LENGTH},
        {"the last address", MKV_NATIVE_PUT, 1, 0, 8, UINT64_MAX, MKV_NATIVE_BAD_LENGTH},
        {"slots of one of two", MKV_NATIVE_GET, 1, 12, 1, 1, MKV_NATIVE_BAD_LENGTH},
        {"slots of a PUT", MKV_NATIVE_PUT, 1, 15, 1, 1, MKV_NATIVE_NOT_ZERO},
        {"slots of a COMMIT", MKV_NATIVE_COMMIT, 1, 12, 1, 1, MKV_NATIVE_NOT_ZERO},
        {"memory of nothing", MKV_NATIVE_PUT, 0, 0, 1, 1, MKV_NATIVE_NOT_ZERO},
        {"key of nothing", MKV_NATIVE_COMMIT, 0, 8, 1, 1, MKV_NATIVE_NOT_ZERO},
    };
    for (size_t index = 0; index < sizeof faults / sizeof faults[0]; index++) {
        const enum mkv_native_op op = faults[index].op;
        struct mkv_native_item items[2] = {{.key_bytes = 3}, {.key_bytes = 3, .length = 5}};
        items[0].length = op == MKV_NATIVE_GET ? 1 : 0;
        if (op == MKV_NATIVE_COMMIT) {
            items[0] = (struct mkv_native_item){.reservation = 1, .flags = MKV_NATIVE_ITEM_ABANDON};
            items[1] = (struct mkv_native_item){.reservation = 2, .length = 5};
        }
        struct body body = body_make(op, items, 2);
        memcpy(body.bytes + 2 * MKV_NATIVE_ITEM_BYTES +
                   faults[index].item * MKV_NATIVE_REMOTE_BYTES + faults[index].offset,
               &faults[index].value, faults[index].width);
        struct mkv_native_item decoded[2];
        uint32_t keys_offset = 0;
        const enum mkv_native_error error =
            mkv_native_items_decode(&body.header, body.bytes, decoded, &keys_offset);
        if (error != faults[index].error) {
            fail_msg("%s: %s", faults[index].what, mkv_native_error_text(error));
        }
        free(body.bytes);
    }
}

static void test_native_remote__get_of_no_length__is_refused(void **state) {
    (void)state;
    const struct mkv_native_item item = {.key_bytes = 3, .length = 0};
    struct body body = body_make(MKV_NATIVE_GET, &item, 1);
    struct mkv_native_item decoded;
    uint32_t keys_offset = 0;
    assert_int_equal(mkv_native_items_decode(&body.header, body.bytes, &decoded, &keys_offset),
                     MKV_NATIVE_BAD_LENGTH);
    body.header.op = MKV_NATIVE_PUT;
    assert_int_equal(mkv_native_items_decode(&body.header, body.bytes, &decoded, &keys_offset),
                     MKV_NATIVE_OK);
    free(body.bytes);
}

static void test_native_remote__slots__of_one_get_of_any_length(void **state) {
    (void)state;
    static const struct {
        uint64_t length, address;
        uint32_t slots;
        enum mkv_native_error error;
    } cases[] = {
        {0, 4096, 1, MKV_NATIVE_OK},
        {1, 4096, 8, MKV_NATIVE_OK},
        {MKV_NATIVE_VALUE_BYTES_MAX, UINT64_MAX - 64 * MKV_NATIVE_SLOT_BYTES, 64, MKV_NATIVE_OK},
        {0, UINT64_MAX - 64 * MKV_NATIVE_SLOT_BYTES + 1, 64, MKV_NATIVE_BAD_LENGTH},
        {0, 4096, 65, MKV_NATIVE_BAD_LENGTH},
        {0, 4096, UINT32_MAX, MKV_NATIVE_BAD_LENGTH},
        {0, 4096, 0, MKV_NATIVE_BAD_LENGTH},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const struct mkv_native_item item = {
            .key_bytes = 3,
            .length = cases[index].length,
            .remote = {.address = cases[index].address, .key = 9, .slots = cases[index].slots}};
        struct body body = body_make(MKV_NATIVE_GET, &item, 1);
        struct mkv_native_item decoded;
        uint32_t keys_offset = 0;
        const enum mkv_native_error error =
            mkv_native_items_decode(&body.header, body.bytes, &decoded, &keys_offset);
        if (error != cases[index].error) {
            fail_msg("case %zu: %s", index, mkv_native_error_text(error));
        }
        if (error == MKV_NATIVE_OK) {
            assert_int_equal(decoded.remote.slots, cases[index].slots);
            assert_true(decoded.remote.address == cases[index].address);
        }
        free(body.bytes);
    }
}

static void test_native_taken__count__round_trips(void **state) {
    (void)state;
    static const uint64_t counts[] = {0, 1, 1ull << 40, UINT64_MAX};
    uint8_t *bytes = malloc(MKV_NATIVE_TAKEN_BYTES);
    assert_non_null(bytes);
    uint64_t count = 7;
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        mkv_native_taken_encode(counts[index], bytes);
        assert_int_equal(mkv_native_taken_decode(bytes, &count), MKV_NATIVE_OK);
        assert_true(count == counts[index]);
    }
    bytes[15] = 1;
    assert_int_equal(mkv_native_taken_decode(bytes, &count), MKV_NATIVE_NOT_ZERO);
    free(bytes);
    const struct mkv_native_header sound = {.op = MKV_NATIVE_TAKEN,
                                            .body_bytes = MKV_NATIVE_TAKEN_BYTES};
    assert_int_equal(decode_header(sound), MKV_NATIVE_OK);
    struct mkv_native_header header = sound;
    header.body_bytes = 15;
    assert_int_equal(decode_header(header), MKV_NATIVE_BAD_BODY_BYTES);
    header = sound;
    header.flags = MKV_NATIVE_FLAG_ANSWER; /* it ends nothing */
    header.body_bytes = 0;
    assert_int_equal(decode_header(header), MKV_NATIVE_BAD_FLAGS);
    header = sound;
    header.flags = REMOTE;
    assert_int_equal(decode_header(header), MKV_NATIVE_BAD_FLAGS);
}

static void test_native_remote__data__has_bytes_and_no_payload(void **state) {
    (void)state;
    struct mkv_native_header header = {
        .op = MKV_NATIVE_DATA, .flags = REMOTE, .body_bytes = MKV_NATIVE_DATA_BYTES};
    const struct mkv_native_data data = {.item = 3, .offset = 7, .length = 100, .bytes = 90};
    uint8_t *bytes = malloc(MKV_NATIVE_DATA_BYTES);
    assert_non_null(bytes);
    struct mkv_native_data decoded;
    mkv_native_data_encode(&data, bytes);
    assert_int_equal(mkv_native_data_decode(&header, bytes, &decoded), MKV_NATIVE_OK);
    assert_int_equal(decoded.bytes, 90);
    header.flags = 0; /* then the payload is missing */
    assert_int_equal(mkv_native_data_decode(&header, bytes, &decoded),
                     MKV_NATIVE_BAD_PAYLOAD_BYTES);
    header.flags = REMOTE;
    const struct mkv_native_data where = {
        .length = 100, .bytes = 90, .remote = {.address = UINT64_MAX - 90, .key = 0x80000001u}};
    mkv_native_data_encode(&where, bytes);
    assert_int_equal(mkv_native_data_decode(&header, bytes, &decoded), MKV_NATIVE_OK);
    assert_true(decoded.remote.address == UINT64_MAX - 90);
    assert_int_equal(decoded.remote.key, 0x80000001u);
    assert_int_equal(decoded.window_offset, 0);
    bytes[48]++; /* it would end behind the last address */
    assert_int_equal(mkv_native_data_decode(&header, bytes, &decoded), MKV_NATIVE_BAD_LENGTH);
    header.flags = 0; /* then neither may be there */
    header.payload_bytes = 90;
    assert_int_equal(mkv_native_data_decode(&header, bytes, &decoded), MKV_NATIVE_NOT_ZERO);
    memset(bytes + 48, 0, 8);
    assert_int_equal(mkv_native_data_decode(&header, bytes, &decoded), MKV_NATIVE_NOT_ZERO);
    memset(bytes + 4, 0, 4);
    assert_int_equal(mkv_native_data_decode(&header, bytes, &decoded), MKV_NATIVE_OK);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native_connect__most_and_least__round_trip),
        cmocka_unit_test(test_native_connect__one_field_wrong__is_refused),
        cmocka_unit_test(test_native_connect__ethernet_without_gid__is_refused),
        cmocka_unit_test(test_native_fallback__numbers_of_other_versions__are_other),
        cmocka_unit_test(test_native_refusal__every_word__is_one_and_its_own),
        cmocka_unit_test(test_native_connect__header__has_a_body_of_64_bytes),
        cmocka_unit_test(test_native_remote__headers__one_more_block_of_16_bytes_an_item),
        cmocka_unit_test(test_native_remote__items_of_every_op__round_trip),
        cmocka_unit_test(test_native_remote__one_field_wrong__names_it),
        cmocka_unit_test(test_native_remote__get_of_no_length__is_refused),
        cmocka_unit_test(test_native_remote__slots__of_one_get_of_any_length),
        cmocka_unit_test(test_native_taken__count__round_trips),
        cmocka_unit_test(test_native_remote__data__has_bytes_and_no_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
