/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One lane that works: its header, how it opens, credits, slots, chains and their signals, room,
 * time, and every way a message of the peer can be wrong. How it ends is lane_end_test.c.
 */
#include "tests/unit/wire/lane_tools.h"

/* ---- header, configuration ------------------------------------------------------------------- */

static void test_header__encoded__is_as_documented_and_decodes(void **state) {
    (void)state;
    const struct mkv_lane_header header = {
        .epoch = 0x04030201,
        .number = 0x08070605,
        .kind = MKV_LANE_MESSAGE_CREDIT,
        .credits = 0x0b,
        .bytes = 0x0f0e0d0c,
    };
    const uint8_t expected[MKV_LANE_HEADER_BYTES] = {1, 2, 3,    4, 5,    6,    7,    8,
                                                     2, 0, 0x0b, 0, 0x0c, 0x0d, 0x0e, 0x0f};
    uint8_t bytes[MKV_LANE_HEADER_BYTES];
    struct mkv_lane_header again;
    mkv_lane_header_encode(&header, bytes);
    assert_memory_equal(bytes, expected, sizeof bytes);
    assert_true(mkv_lane_header_decode(bytes, &again));
    assert_int_equal(again.epoch, header.epoch);
    assert_int_equal(again.number, header.number);
    assert_int_equal(again.kind, header.kind);
    assert_int_equal(again.credits, header.credits);
    assert_int_equal(again.bytes, header.bytes);
}

static void test_header__other_kind_or_byte_9__is_none(void **state) {
    (void)state;
    const struct mkv_lane_header header = {.kind = MKV_LANE_MESSAGE_STREAM, .bytes = 1};
    uint8_t bytes[MKV_LANE_HEADER_BYTES];
    struct mkv_lane_header again;
    for (uint32_t kind = 0; kind < 256; kind++) {
        mkv_lane_header_encode(&header, bytes);
        bytes[8] = (uint8_t)kind;
        assert_int_equal(mkv_lane_header_decode(bytes, &again), kind >= 1 && kind <= 5);
    }
    mkv_lane_header_encode(&header, bytes);
    bytes[9] = 1;
    assert_false(mkv_lane_header_decode(bytes, &again));
}

#define EXPECT_PROBLEM(is_server, member, value, word)                                             \
    do {                                                                                           \
        struct mkv_lane_config config = config_of(is_server);                                      \
        assert_null(mkv_lane_config_problem(&config));                                             \
        config.member = (value);                                                                   \
        assert_non_null(mkv_lane_config_problem(&config));                                         \
        assert_non_null(strstr(mkv_lane_config_problem(&config), word));                           \
        EXPECT_ASSERTION(mkv_lane_init(&lane, &config));                                           \
    } while (0)

static void test_config__outside_of_its_bounds__has_a_problem(void **state) {
    (void)state;
    EXPECT_PROBLEM(false, message_bytes, MKV_LANE_MESSAGE_BYTES_MIN - 1, "message");
    EXPECT_PROBLEM(false, message_bytes, MKV_LANE_MESSAGE_BYTES_MAX + 1, "message");
    EXPECT_PROBLEM(false, sends_max, MKV_LANE_SENDS_MIN - 1, "slots");
    EXPECT_PROBLEM(false, sends_max, MKV_LANE_SENDS_MAX + 1, "slots");
    EXPECT_PROBLEM(false, credits, MKV_LANE_CREDITS_MIN - 1, "peer");
    EXPECT_PROBLEM(false, credits, MKV_LANE_CREDITS_MAX + 1, "peer");
    EXPECT_PROBLEM(false, receives, MKV_LANE_CREDITS_MIN - 1, "this side");
    EXPECT_PROBLEM(false, receives, MKV_LANE_CREDITS_MAX + 1, "this side");
    EXPECT_PROBLEM(true, transfers_max, MKV_LANE_TRANSFERS_MAX + 1, "64 transfers");
    EXPECT_PROBLEM(false, transfers_max, 1, "client");
    EXPECT_PROBLEM(true, reads_max, 0, "READs");
    EXPECT_PROBLEM(true, reads_max, MKV_LANE_READS_MAX + 1, "READs");
    EXPECT_PROBLEM(true, probe_ns, 0, "time");
    EXPECT_PROBLEM(true, silent_ns, 0, "time");
    EXPECT_PROBLEM(true, drain_ns, 0, "time");
}

/* ---- opening --------------------------------------------------------------------------------- */

static void test_client__probe_answered__opens(void **state) {
    (void)state;
    begin_connected(false);
    assert_int_equal(effects(), 1);
    assert_int_equal(out[0].kind, MKV_LANE_EFFECT_SEND);
    assert_int_equal(out[0].header.epoch, EPOCH);
    assert_int_equal(out[0].header.number, 0);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_PROBE);
    assert_int_equal(out[0].header.bytes, PAYLOAD_BYTES);
    assert_true(out[0].is_signaled);
    assert_false(out[0].has_more);
    /* Nothing else before it is open. */
    complete(out[0].work, MKV_LANE_SUCCESS, 1);
    assert_int_equal(effects(), 0);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_false(mkv_lane_expose(&lane, 1));
    assert_int_equal(mkv_lane_timer_ns(&lane), PROBE_NS);
    assert_false(receive(MKV_LANE_MESSAGE_PROBE_ANSWER, PAYLOAD_BYTES, 1, 2));
    expect_effect(MKV_LANE_EFFECT_OPENED);
    assert_int_equal(lane.credits, CREDITS);
    assert_int_not_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_int_equal(mkv_lane_timer_ns(&lane), UINT64_MAX);
}

static void test_client__answer_before_own_completion__opens(void **state) {
    (void)state;
    begin_connected(false);
    expect_effect(MKV_LANE_EFFECT_SEND);
    assert_false(receive(MKV_LANE_MESSAGE_PROBE_ANSWER, PAYLOAD_BYTES, 1, 2));
    expect_effect(MKV_LANE_EFFECT_OPENED);
    assert_int_equal(mkv_lane_posted_count(&lane), 1);
}

static void test_server__its_answer_arrived__opens(void **state) {
    (void)state;
    begin_connected(true);
    assert_int_equal(effects(), 0);
    assert_false(receive(MKV_LANE_MESSAGE_PROBE, PAYLOAD_BYTES, 0, 1));
    assert_int_equal(effects(), 1);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_PROBE_ANSWER);
    assert_int_equal(out[0].header.bytes, PAYLOAD_BYTES);
    assert_int_equal(out[0].header.credits, 1);
    /* The probe came, but whether a full packet goes the other way is not known yet. */
    assert_int_equal(lane.state, MKV_LANE_PROBING);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_false(mkv_lane_transfer_room(&lane, false));
    complete(out[0].work, MKV_LANE_SUCCESS, 2);
    expect_effect(MKV_LANE_EFFECT_OPENED);
    assert_true(mkv_lane_transfer_room(&lane, false));
}

static void test_server__client_goes_on__opens_before_its_own_completion(void **state) {
    (void)state;
    begin_connected(true);
    assert_false(receive(MKV_LANE_MESSAGE_PROBE, PAYLOAD_BYTES, 0, 1));
    expect_effect(MKV_LANE_EFFECT_SEND);
    const uint64_t answer = out[0].work;
    assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 1, 2));
    expect_effect(MKV_LANE_EFFECT_OPENED);
    complete(answer, MKV_LANE_SUCCESS, 3);
    assert_int_equal(effects(), 0);
}

static void test_probe__not_answered_in_time__names_the_mtu_and_the_remedy(void **state) {
    (void)state;
    for (int is_server = 0; is_server <= 1; is_server++) {
        begin_connected(is_server);
        (void)effects();
        mkv_lane_time(&lane, PROBE_NS - 1);
        assert_int_equal(effects(), 0);
        mkv_lane_time(&lane, PROBE_NS);
        expect_effect(MKV_LANE_EFFECT_STOP);
        assert_int_equal(out[0].reason, MKV_LANE_REASON_PROBE);
        assert_string_equal(mkv_lane_reason_name(out[0].reason), "probe");
        assert_non_null(strstr(mkv_lane_reason_text(out[0].reason), "MTU"));
        assert_non_null(strstr(mkv_lane_reason_text(out[0].reason), "rdma.mtu"));
    }
}

static void test_probe__device_gives_up_first__is_the_same_reason(void **state) {
    (void)state;
    begin_connected(false);
    expect_effect(MKV_LANE_EFFECT_SEND);
    complete(out[0].work, MKV_LANE_RETRY_EXCEEDED, 1);
    expect_effect(MKV_LANE_EFFECT_STOP);
    assert_int_equal(out[0].reason, MKV_LANE_REASON_PROBE);
    assert_int_equal(lane.status, MKV_LANE_RETRY_EXCEEDED);
    assert_int_equal(lane.vendor, 0x81);
}

static void test_probe__bytes_changed_on_the_way__stops(void **state) {
    (void)state;
    for (int is_server = 0; is_server <= 1; is_server++) {
        begin_connected(is_server);
        (void)effects();
        uint8_t message[MKV_LANE_MESSAGE_BYTES_MIN];
        const struct mkv_lane_header header = header_of(
            is_server ? MKV_LANE_MESSAGE_PROBE : MKV_LANE_MESSAGE_PROBE_ANSWER, PAYLOAD_BYTES, 0);
        mkv_lane_header_encode(&header, message);
        mkv_lane_probe_fill(message + MKV_LANE_HEADER_BYTES, PAYLOAD_BYTES);
        /* One packet in the place of another. */
        memmove(message + 4096, message + 5120, 1024);
        assert_false(mkv_lane_received(&lane, message, sizeof message, 1));
        assert_int_equal(lane.reason, MKV_LANE_REASON_PROTOCOL);
        assert_int_equal(lane.fault, MKV_LANE_FAULT_PROBE);
    }
}

/* ---- credits and slots ----------------------------------------------------------------------- */

static void test_credits__used_up__last_is_kept_and_waits_are_counted(void **state) {
    (void)state;
    begin_open(false);
    /* One is with the probe, one is kept; slots are enough. */
    for (uint32_t sent = 0; sent < CREDITS - 2; sent++) {
        send_stream(1, 1);
    }
    assert_int_equal(effects(), CREDITS - 2);
    complete(out[CREDITS - 3].work, MKV_LANE_SUCCESS, 2);
    assert_int_equal(lane.slots_free, SENDS);
    assert_int_equal(lane.counters.credit_waits_total, 0);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_int_equal(lane.counters.credit_waits_total, 1);
    assert_false(receive(MKV_LANE_MESSAGE_CREDIT, 0, 1, 3));
    const uint32_t slot = mkv_lane_slot_take(&lane);
    assert_int_not_equal(slot, MKV_NONE_U32);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_int_equal(lane.counters.credit_waits_total, 2);
    /* One that is given unused has its credit again. */
    mkv_lane_slot_give(&lane, slot);
    assert_int_not_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    EXPECT_ASSERTION(mkv_lane_slot_give(&lane, SENDS));
    EXPECT_ASSERTION(mkv_lane_slot_give(&lane, 7));
}

static void test_credits__taken_from_the_peer__leave_with_the_next_message(void **state) {
    (void)state;
    begin_open(false);
    assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 1, 1));
    assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
    /* The answer to the probe, and no more: the driver still has the others. */
    send_stream(100, 2);
    send_stream(100, 2);
    mkv_lane_given_back(&lane, 3);
    assert_int_equal(effects(), 2);
    assert_int_equal(out[0].header.credits, 2);
    assert_int_equal(out[0].header.number, 1);
    assert_int_equal(out[0].header.bytes, 100);
    assert_int_equal(out[1].header.credits, 0);
    assert_int_equal(out[1].header.number, 2);
    mkv_lane_given_back(&lane, 4);
    EXPECT_ASSERTION(mkv_lane_given_back(&lane, 4));
}

static void test_credits__half_is_owed_and_nothing_goes_out__have_a_message(void **state) {
    (void)state;
    begin_open(false);
    for (uint32_t count = 0; count < CREDITS / 2 - 2; count++) {
        assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
        mkv_lane_given_back(&lane, 1);
    }
    assert_int_equal(effects(), 0);
    assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
    assert_int_equal(effects(), 0);
    mkv_lane_given_back(&lane, 1);
    assert_int_equal(effects(), 1);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_CREDIT);
    assert_int_equal(out[0].header.credits, CREDITS / 2);
    assert_int_equal(out[0].header.bytes, 0);
    assert_true(out[0].is_signaled);
    assert_int_equal(lane.counters.credit_messages_total, 1);
    assert_int_equal(effects(), 0);
}

static void test_credits__half_is_owed_and_a_message_goes_out__have_none(void **state) {
    (void)state;
    begin_open(false);
    for (uint32_t count = 0; count < CREDITS - 2; count++) {
        assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
        mkv_lane_given_back(&lane, 1);
    }
    send_stream(1, 2);
    expect_effect(MKV_LANE_EFFECT_SEND);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_STREAM);
    assert_int_equal(lane.counters.credit_messages_total, 0);
}

/* Both sides have sent all they may, at once: each gives back with its last credit. */
static void test_credits__all_used_on_both_sides__last_one_gives_back(void **state) {
    (void)state;
    begin_open(false);
    for (uint32_t sent = 0; sent < CREDITS - 2; sent++) {
        send_stream(1, 1);
        assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
    }
    /* The chain carries the one of the probe's answer, and nothing is given back behind it. */
    assert_int_equal(effects(), CREDITS - 2);
    complete(out[CREDITS - 3].work, MKV_LANE_SUCCESS, 2);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    for (uint32_t count = 0; count < CREDITS - 2; count++) {
        mkv_lane_given_back(&lane, 3);
    }
    expect_effect(MKV_LANE_EFFECT_SEND);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_CREDIT);
    assert_int_equal(out[0].header.credits, CREDITS - 2);
    assert_int_equal(lane.credits, 0);
    complete(out[0].work, MKV_LANE_SUCCESS, 4);
    /* Without one it says nothing, whatever it owes, until the peer's last one gives back. */
    for (uint32_t count = 0; count < CREDITS - 2; count++) {
        assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 5));
        mkv_lane_given_back(&lane, 5);
    }
    assert_int_equal(effects(), 0);
    assert_false(receive(MKV_LANE_MESSAGE_CREDIT, 0, CREDITS - 2, 6));
    expect_effect(MKV_LANE_EFFECT_SEND);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_CREDIT);
    assert_int_not_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
}

static void test_slots__all_but_one_taken__last_is_the_lanes_own(void **state) {
    (void)state;
    struct mkv_lane_config config = config_of(true);
    config.credits = 32;
    config.sends_max = 3;
    mkv_lane_init(&lane, &config);
    peer_number = 0;
    mkv_lane_connected(&lane, 0);
    assert_false(receive(MKV_LANE_MESSAGE_PROBE, PAYLOAD_BYTES, 0, 0));
    expect_effect(MKV_LANE_EFFECT_SEND);
    complete(0, MKV_LANE_SUCCESS, 0);
    expect_effect(MKV_LANE_EFFECT_OPENED);
    const uint32_t first = mkv_lane_slot_take(&lane);
    const uint32_t second = mkv_lane_slot_take(&lane);
    assert_int_not_equal(first, second);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_int_equal(lane.counters.credit_waits_total, 0);
    for (uint32_t count = 0; count < CREDITS / 2; count++) {
        assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
        mkv_lane_given_back(&lane, 1);
    }
    expect_effect(MKV_LANE_EFFECT_SEND);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_CREDIT);
    const uint64_t work = out[0].work;
    /* It is posted: no second one, and the slot comes back with its completion. */
    for (uint32_t count = 0; count < CREDITS / 2; count++) {
        assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
        mkv_lane_given_back(&lane, 1);
    }
    assert_int_equal(effects(), 0);
    complete(work, MKV_LANE_SUCCESS, 2);
    expect_effect(MKV_LANE_EFFECT_SEND);
}

static void test_send__no_bytes_or_too_many_or_not_taken__asserts(void **state) {
    (void)state;
    begin_open(false);
    const uint32_t slot = mkv_lane_slot_take(&lane);
    EXPECT_ASSERTION(mkv_lane_send(&lane, slot, 0, 1));
    EXPECT_ASSERTION(mkv_lane_send(&lane, slot, PAYLOAD_BYTES + 1, 1));
    EXPECT_ASSERTION(mkv_lane_send(&lane, slot + 1, 1, 1));
    EXPECT_ASSERTION(mkv_lane_send(&lane, SENDS, 1, 1));
    mkv_lane_send(&lane, slot, PAYLOAD_BYTES, 1);
    EXPECT_ASSERTION(mkv_lane_send(&lane, slot, 1, 1));
}

/* ---- chains ---------------------------------------------------------------------------------- */

static void test_chain__writes_and_message__have_one_doorbell_and_one_signal(void **state) {
    (void)state;
    begin_open(true);
    transfer(false, 1, 1);
    transfer(false, 2, 1);
    send_stream(64, 1);
    assert_int_equal(effects(), 3);
    for (uint32_t index = 0; index < 3; index++) {
        assert_int_equal(out[index].kind,
                         index < 2 ? MKV_LANE_EFFECT_TRANSFER : MKV_LANE_EFFECT_SEND);
        assert_int_equal(out[index].work, 1 + index);
        assert_int_equal(out[index].has_more, index < 2);
        assert_int_equal(out[index].is_signaled, index == 2);
    }
    assert_int_equal(out[0].transfer.tag, 1);
    assert_int_equal(out[0].transfer.remote_address, 0x1001);
    assert_int_equal(out[0].transfer.remote_key, 5);
    assert_int_equal(out[0].transfer.local_offset, 0x2001);
    assert_int_equal(out[0].transfer.bytes, 4096);
    assert_int_equal(mkv_lane_posted_count(&lane), 3);
    /* The unsignalled ones are over with the last. */
    complete(out[2].work, MKV_LANE_SUCCESS, 2);
    assert_int_equal(mkv_lane_posted_count(&lane), 0);
    assert_int_equal(effects(), 2);
    for (uint32_t index = 0; index < 2; index++) {
        assert_int_equal(out[index].kind, MKV_LANE_EFFECT_TRANSFER_DONE);
        assert_int_equal(out[index].tag, 1 + index);
        assert_true(out[index].is_ok);
    }
    assert_int_equal(lane.slots_free, SENDS);
    assert_int_equal(lane.counters.writes_total, 2);
}

static void test_chain__middle_completes__later_ones_are_still_posted(void **state) {
    (void)state;
    begin_open(true);
    transfer(false, 1, 1);
    transfer(true, 2, 1);
    transfer(false, 3, 1);
    assert_int_equal(effects(), 3);
    assert_false(out[0].is_signaled);
    assert_true(out[1].is_signaled); /* a READ is waited for */
    assert_true(out[2].is_signaled);
    complete(out[1].work, MKV_LANE_SUCCESS, 2);
    assert_int_equal(effects(), 2);
    assert_int_equal(out[0].tag, 1);
    assert_int_equal(out[1].tag, 2);
    assert_int_equal(lane.transfers_used, 1);
    assert_int_equal(mkv_lane_posted_count(&lane), 1);
}

static void test_chain__longer_than_a_quarter_of_the_queue__is_signalled_within(void **state) {
    (void)state;
    begin_open(true);
    for (uint64_t tag = 0; tag < TRANSFERS; tag++) {
        transfer(false, tag, 1);
    }
    for (uint32_t count = 0; count < 5; count++) {
        send_stream(1, 1);
    }
    assert_int_equal(effects(), TRANSFERS + 5);
    uint32_t unsignaled = 0;
    for (uint32_t index = 0; index < TRANSFERS + 5; index++) {
        unsignaled = out[index].is_signaled ? 0 : unsignaled + 1;
        assert_true(unsignaled < (SENDS + TRANSFERS) / 4);
    }
    assert_int_equal(unsignaled, 0);
}

static void test_chain__asked_for_in_parts__ends_with_each_part(void **state) {
    (void)state;
    begin_open(true);
    for (uint64_t tag = 0; tag < 5; tag++) {
        transfer(false, tag, 1);
    }
    assert_int_equal(mkv_lane_effects(&lane, out, 2), 2);
    assert_true(out[0].has_more);
    assert_false(out[1].has_more);
    assert_true(out[1].is_signaled);
    assert_int_equal(mkv_lane_effects(&lane, out, 2), 2);
    assert_int_equal(mkv_lane_effects(&lane, out, 2), 1);
    assert_false(out[0].has_more);
    assert_true(out[0].is_signaled);
    assert_int_equal(mkv_lane_effects(&lane, out, 2), 0);
    EXPECT_ASSERTION((void)mkv_lane_effects(&lane, out, 0));
}

/* ---- room ------------------------------------------------------------------------------------ */

static void test_room__reads_and_transfers_at_their_bounds__is_none(void **state) {
    (void)state;
    begin_open(true);
    for (uint64_t tag = 0; tag < READS; tag++) {
        assert_true(mkv_lane_transfer_room(&lane, true));
        transfer(true, tag, 1);
    }
    assert_false(mkv_lane_transfer_room(&lane, true));
    EXPECT_ASSERTION(transfer(true, 99, 1));
    for (uint64_t tag = READS; tag < TRANSFERS; tag++) {
        assert_true(mkv_lane_transfer_room(&lane, false));
        transfer(false, tag, 1);
    }
    assert_false(mkv_lane_transfer_room(&lane, false));
    EXPECT_ASSERTION(transfer(false, 99, 1));
    assert_int_equal(effects(), TRANSFERS);
    complete(out[0].work, MKV_LANE_SUCCESS, 2);
    /* The place is free when its end is told. */
    assert_false(mkv_lane_transfer_room(&lane, true));
    expect_effect(MKV_LANE_EFFECT_TRANSFER_DONE);
    assert_true(mkv_lane_transfer_room(&lane, true));
    transfer(true, 100, 3);
    assert_false(mkv_lane_transfer_room(&lane, true));
    assert_int_equal(lane.counters.reads_total, READS);
}

static void test_room__client__is_none(void **state) {
    (void)state;
    begin_open(false);
    assert_false(mkv_lane_transfer_room(&lane, true));
    assert_false(mkv_lane_transfer_room(&lane, false));
}

static void test_transfer__no_bytes__asserts(void **state) {
    (void)state;
    begin_open(true);
    const struct mkv_lane_transfer nothing = {.tag = 1};
    EXPECT_ASSERTION(mkv_lane_transfer(&lane, &nothing, 1));
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_silence__oldest_does_not_complete_in_time__stops(void **state) {
    (void)state;
    begin_open(true);
    assert_int_equal(mkv_lane_timer_ns(&lane), UINT64_MAX);
    transfer(true, 1, 100);
    assert_int_equal(effects(), 1);
    transfer(true, 2, 300);
    assert_int_equal(effects(), 1);
    assert_int_equal(mkv_lane_timer_ns(&lane), 100 + SILENT_NS);
    /* The second has waited for the first: a slow path is not a silent one. */
    complete(1, MKV_LANE_SUCCESS, 400);
    assert_int_equal(mkv_lane_timer_ns(&lane), 400 + SILENT_NS);
    expect_effect(MKV_LANE_EFFECT_TRANSFER_DONE);
    mkv_lane_time(&lane, 400 + SILENT_NS - 1);
    assert_int_equal(effects(), 0);
    mkv_lane_time(&lane, 400 + SILENT_NS);
    expect_effect(MKV_LANE_EFFECT_STOP);
    assert_int_equal(out[0].reason, MKV_LANE_REASON_SILENT);
}

/* ---- wrong messages -------------------------------------------------------------------------- */

static void expect_fault(enum mkv_lane_fault fault) {
    assert_int_equal(lane.fault, fault);
    assert_int_equal(lane.reason, MKV_LANE_REASON_PROTOCOL);
    expect_effect(MKV_LANE_EFFECT_STOP);
    assert_int_equal(out[0].reason, MKV_LANE_REASON_PROTOCOL);
    assert_non_null(mkv_lane_fault_text(fault));
}

static void test_message__shorter_than_its_header_or_none__stops(void **state) {
    (void)state;
    for (uint32_t bytes = 0; bytes < MKV_LANE_HEADER_BYTES; bytes++) {
        begin_open(true);
        const uint8_t message[MKV_LANE_HEADER_BYTES] = {EPOCH, 0, 0, 0, 1, 0, 0, 0, 2};
        uint8_t *exact = malloc(bytes + 1);
        assert_non_null(exact);
        memcpy(exact, message, bytes);
        assert_false(mkv_lane_received(&lane, exact, bytes, 1));
        expect_fault(MKV_LANE_FAULT_HEADER);
        free(exact);
    }
    begin_open(true);
    struct mkv_lane_header header = header_of((enum mkv_lane_message)6, 0, 0);
    assert_false(receive_header(&header, 1));
    expect_fault(MKV_LANE_FAULT_HEADER);
}

struct wrong {
    struct mkv_lane_header change; /* added to a message of the stream of 4 bytes */
    enum mkv_lane_fault fault;
};

static void test_message__a_member_is_wrong__stops(void **state) {
    (void)state;
    static const struct wrong wrongs[] = {
        {{.epoch = 1}, MKV_LANE_FAULT_EPOCH},
        {{.epoch = UINT32_MAX}, MKV_LANE_FAULT_EPOCH},
        {{.number = 1}, MKV_LANE_FAULT_NUMBER},
        {{.number = UINT32_MAX}, MKV_LANE_FAULT_NUMBER},
        {{.bytes = UINT32_MAX - 3}, MKV_LANE_FAULT_LENGTH}, /* none at all */
        {{.kind = MKV_LANE_MESSAGE_CREDIT - 1}, MKV_LANE_FAULT_LENGTH},
        {{.kind = MKV_LANE_MESSAGE_CLOSE - 1}, MKV_LANE_FAULT_LENGTH},
        {{.kind = MKV_LANE_MESSAGE_PROBE - 1}, MKV_LANE_FAULT_LENGTH},
        {{.kind = MKV_LANE_MESSAGE_PROBE - 1, .bytes = PAYLOAD_BYTES - 4}, MKV_LANE_FAULT_TURN},
        {{.kind = MKV_LANE_MESSAGE_PROBE_ANSWER - 1, .bytes = PAYLOAD_BYTES - 4},
         MKV_LANE_FAULT_TURN},
        {{.credits = 2}, MKV_LANE_FAULT_CREDIT}, /* one message is out */
        {{.bytes = PAYLOAD_BYTES - 3}, MKV_LANE_FAULT_LENGTH},
    };
    for (int is_server = 0; is_server <= 1; is_server++) {
        for (size_t index = 0; index < sizeof wrongs / sizeof wrongs[0]; index++) {
            const struct mkv_lane_header *change = &wrongs[index].change;
            begin_open(is_server);
            struct mkv_lane_header header = header_of(MKV_LANE_MESSAGE_STREAM, 4, 0);
            header.epoch += change->epoch;
            header.number += change->number;
            header.kind = (enum mkv_lane_message)(header.kind + change->kind);
            header.credits += change->credits;
            header.bytes += change->bytes;
            assert_false(receive_header(&header, 1));
            expect_fault(wrongs[index].fault);
            assert_int_equal(lane.counters.receives_total, 2);
        }
    }
}

static void test_message__other_bytes_than_it_says__stops(void **state) {
    (void)state;
    for (uint32_t bytes = 3; bytes <= 5; bytes++) {
        begin_open(true);
        uint8_t message[MKV_LANE_HEADER_BYTES + 5] = {0};
        const struct mkv_lane_header header = header_of(MKV_LANE_MESSAGE_STREAM, 4, 0);
        mkv_lane_header_encode(&header, message);
        const bool is_right = bytes == 4;
        assert_int_equal(mkv_lane_received(&lane, message, MKV_LANE_HEADER_BYTES + bytes, 1),
                         is_right);
        assert_int_equal(lane.fault, is_right ? MKV_LANE_FAULT_NONE : MKV_LANE_FAULT_LENGTH);
    }
}

static void test_message__before_the_probe__stops(void **state) {
    (void)state;
    for (int is_server = 0; is_server <= 1; is_server++) {
        const enum mkv_lane_message first[] = {
            MKV_LANE_MESSAGE_STREAM,
            MKV_LANE_MESSAGE_CREDIT,
            is_server ? MKV_LANE_MESSAGE_PROBE_ANSWER : MKV_LANE_MESSAGE_PROBE,
        };
        for (size_t index = 0; index < sizeof first / sizeof first[0]; index++) {
            begin_connected(is_server);
            (void)effects();
            const uint32_t bytes = index == 0 ? 1 : index == 1 ? 0 : PAYLOAD_BYTES;
            assert_false(receive(first[index], bytes, 0, 1));
            expect_fault(MKV_LANE_FAULT_TURN);
        }
    }
}

static void test_message__beyond_the_receives__stops(void **state) {
    (void)state;
    begin_open(true);
    for (uint32_t count = 0; count < CREDITS; count++) {
        assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
    }
    assert_false(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
    expect_fault(MKV_LANE_FAULT_CREDIT);
}

static void test_message__numbers_wrap__goes_on(void **state) {
    (void)state;
    begin_open(true);
    lane.number_next = UINT32_MAX;
    lane.number_expected = UINT32_MAX;
    peer_number = UINT32_MAX;
    send_stream(1, 1);
    send_stream(1, 1);
    assert_int_equal(effects(), 2);
    assert_int_equal(out[0].header.number, UINT32_MAX);
    assert_int_equal(out[1].header.number, 0);
    assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
    assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
}

static void test_snapshot__copied_in_the_middle__goes_on_alike(void **state) {
    (void)state;
    static struct mkv_lane copy;
    static struct mkv_lane_effect other[MKV_LANE_EFFECTS_MAX];
    begin_open(true);
    transfer(true, 1, 1);
    send_stream(9, 1);
    assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
    memcpy(&copy, &lane, sizeof copy);
    const uint32_t count = effects();
    assert_int_equal(mkv_lane_effects(&copy, other, MKV_LANE_EFFECTS_MAX), count);
    for (uint32_t index = 0; index < count; index++) {
        assert_int_equal(out[index].kind, other[index].kind);
        assert_int_equal(out[index].work, other[index].work);
        assert_int_equal(out[index].header.credits, other[index].header.credits);
    }
    assert_memory_equal(&copy, &lane, sizeof copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header__encoded__is_as_documented_and_decodes),
        cmocka_unit_test(test_header__other_kind_or_byte_9__is_none),
        cmocka_unit_test(test_config__outside_of_its_bounds__has_a_problem),
        cmocka_unit_test(test_client__probe_answered__opens),
        cmocka_unit_test(test_client__answer_before_own_completion__opens),
        cmocka_unit_test(test_server__its_answer_arrived__opens),
        cmocka_unit_test(test_server__client_goes_on__opens_before_its_own_completion),
        cmocka_unit_test(test_probe__not_answered_in_time__names_the_mtu_and_the_remedy),
        cmocka_unit_test(test_probe__device_gives_up_first__is_the_same_reason),
        cmocka_unit_test(test_probe__bytes_changed_on_the_way__stops),
        cmocka_unit_test(test_credits__used_up__last_is_kept_and_waits_are_counted),
        cmocka_unit_test(test_credits__taken_from_the_peer__leave_with_the_next_message),
        cmocka_unit_test(test_credits__half_is_owed_and_nothing_goes_out__have_a_message),
        cmocka_unit_test(test_credits__half_is_owed_and_a_message_goes_out__have_none),
        cmocka_unit_test(test_credits__all_used_on_both_sides__last_one_gives_back),
        cmocka_unit_test(test_slots__all_but_one_taken__last_is_the_lanes_own),
        cmocka_unit_test(test_send__no_bytes_or_too_many_or_not_taken__asserts),
        cmocka_unit_test(test_chain__writes_and_message__have_one_doorbell_and_one_signal),
        cmocka_unit_test(test_chain__middle_completes__later_ones_are_still_posted),
        cmocka_unit_test(test_chain__longer_than_a_quarter_of_the_queue__is_signalled_within),
        cmocka_unit_test(test_chain__asked_for_in_parts__ends_with_each_part),
        cmocka_unit_test(test_room__reads_and_transfers_at_their_bounds__is_none),
        cmocka_unit_test(test_room__client__is_none),
        cmocka_unit_test(test_transfer__no_bytes__asserts),
        cmocka_unit_test(test_silence__oldest_does_not_complete_in_time__stops),
        cmocka_unit_test(test_message__shorter_than_its_header_or_none__stops),
        cmocka_unit_test(test_message__a_member_is_wrong__stops),
        cmocka_unit_test(test_message__other_bytes_than_it_says__stops),
        cmocka_unit_test(test_message__before_the_probe__stops),
        cmocka_unit_test(test_message__beyond_the_receives__stops),
        cmocka_unit_test(test_message__numbers_wrap__goes_on),
        cmocka_unit_test(test_snapshot__copied_in_the_middle__goes_on_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
