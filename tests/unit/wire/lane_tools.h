/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of one lane share: lanes that are open, messages of a peer, completions, and an
 * assertion that is expected. Each of them is one program, so that the functions may lie here.
 */
#ifndef MKV_TESTS_WIRE_LANE_TOOLS_H
#define MKV_TESTS_WIRE_LANE_TOOLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/lane.h"

#define EPOCH 7u
#define CREDITS 8u
#define SENDS 8u
#define TRANSFERS 8u
#define READS 2u
#define PROBE_NS 1000u
#define SILENT_NS 5000u
#define DRAIN_NS 2000u
#define PAYLOAD_BYTES (MKV_LANE_MESSAGE_BYTES_MIN - MKV_LANE_HEADER_BYTES)

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

/* The lane of a test, what it last said, and the number of the peer's next message. */
static struct mkv_lane lane;
static struct mkv_lane_effect out[MKV_LANE_EFFECTS_MAX];
static uint32_t peer_number;

static inline struct mkv_lane_config config_of(bool is_server) {
    return (struct mkv_lane_config){
        .is_server = is_server,
        .epoch = EPOCH,
        .message_bytes = MKV_LANE_MESSAGE_BYTES_MIN,
        .sends_max = SENDS,
        .credits = CREDITS,
        .receives = CREDITS,
        .transfers_max = is_server ? TRANSFERS : 0,
        .reads_max = is_server ? READS : 0,
        .probe_ns = PROBE_NS,
        .silent_ns = SILENT_NS,
        .drain_ns = DRAIN_NS,
        .awaits_last_receive = is_server,
    };
}

static inline uint32_t effects(void) {
    return mkv_lane_effects(&lane, out, MKV_LANE_EFFECTS_MAX);
}

/* Asks for effects and expects this one alone. */
static inline void expect_effect(enum mkv_lane_effect_kind kind) {
    struct mkv_lane_effect more;
    assert_int_equal(effects(), 1);
    assert_int_equal(out[0].kind, kind);
    assert_int_equal(mkv_lane_effects(&lane, &more, 1), 0);
}

static inline void complete(uint64_t work, enum mkv_lane_status status, uint64_t now_ns) {
    const struct mkv_lane_completion completion = {
        .work = work,
        .status = status,
        .vendor = status == MKV_LANE_SUCCESS ? 0 : 0x81,
    };
    mkv_lane_completed(&lane, &completion, now_ns);
}

static inline void receive_fails(enum mkv_lane_status status, uint64_t now_ns) {
    const struct mkv_lane_completion completion = {.status = status, .vendor = 0x82};
    mkv_lane_receive_failed(&lane, &completion, now_ns);
}

/* Gives the lane the message of this header, which lies in a block of exactly its size. */
static inline bool receive_header(const struct mkv_lane_header *header, uint64_t now_ns) {
    const uint32_t message_bytes = MKV_LANE_HEADER_BYTES + header->bytes;
    uint8_t *message = calloc(1, message_bytes);
    assert_non_null(message);
    mkv_lane_header_encode(header, message);
    if (header->kind == MKV_LANE_MESSAGE_PROBE || header->kind == MKV_LANE_MESSAGE_PROBE_ANSWER) {
        mkv_lane_probe_fill(message + MKV_LANE_HEADER_BYTES, header->bytes);
    }
    const bool is_stream = mkv_lane_received(&lane, message, message_bytes, now_ns);
    free(message);
    return is_stream;
}

static inline struct mkv_lane_header header_of(enum mkv_lane_message kind, uint32_t bytes,
                                               uint32_t credits) {
    return (struct mkv_lane_header){
        .epoch = EPOCH,
        .number = peer_number,
        .kind = kind,
        .credits = credits,
        .bytes = bytes,
    };
}

static inline bool receive(enum mkv_lane_message kind, uint32_t bytes, uint32_t credits,
                           uint64_t now_ns) {
    const struct mkv_lane_header header = header_of(kind, bytes, credits);
    peer_number++;
    return receive_header(&header, now_ns);
}

static inline void begin_connected(bool is_server) {
    const struct mkv_lane_config config = config_of(is_server);
    mkv_lane_init(&lane, &config);
    peer_number = 0;
    mkv_lane_connected(&lane, 0);
}

/* An open lane of which nothing is posted; the next work request is 1. All credits are there but
 * one: that of the probe, or of the answer, is not given back. A client owes one. */
static inline void begin_open(bool is_server) {
    begin_connected(is_server);
    if (is_server) {
        assert_int_equal(effects(), 0);
        assert_false(receive(MKV_LANE_MESSAGE_PROBE, PAYLOAD_BYTES, 0, 0));
    }
    expect_effect(MKV_LANE_EFFECT_SEND);
    complete(out[0].work, MKV_LANE_SUCCESS, 0);
    if (!is_server) {
        assert_false(receive(MKV_LANE_MESSAGE_PROBE_ANSWER, PAYLOAD_BYTES, 0, 0));
    }
    expect_effect(MKV_LANE_EFFECT_OPENED);
    assert_int_equal(lane.state, MKV_LANE_OPEN);
}

static inline void send_stream(uint32_t bytes, uint64_t now_ns) {
    const uint32_t slot = mkv_lane_slot_take(&lane);
    assert_int_not_equal(slot, MKV_NONE_U32);
    mkv_lane_send(&lane, slot, bytes, now_ns);
}

static inline void transfer(bool is_read, uint64_t tag, uint64_t now_ns) {
    const struct mkv_lane_transfer request = {
        .is_read = is_read,
        .tag = tag,
        .remote_address = 0x1000 + tag,
        .remote_key = 5,
        .local_offset = 0x2000 + tag,
        .bytes = 4096,
    };
    mkv_lane_transfer(&lane, &request, now_ns);
}

#endif
