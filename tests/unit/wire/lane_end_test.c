/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a lane ends: which failure counts, what each work request that was posted came to, when a
 * buffer and exposed memory are free, STOP and DRAINED once. How it works is lane_test.c.
 */
#include "tests/unit/wire/lane_tools.h"

/* Asks for the STOP of a lane of which nothing else is due. */
static void expect_stop(enum mkv_lane_reason reason) {
    expect_effect(MKV_LANE_EFFECT_STOP);
    assert_int_equal(out[0].reason, reason);
    assert_int_equal(out[0].destroys, !lane.config.is_server); /* the peer writes memory there */
    assert_int_equal(lane.reason, reason);
    assert_int_equal(lane.state, MKV_LANE_STOPPING);
}

/* The effects are ends of transfers, from this tag on, in order. */
static void expect_done(uint32_t first, uint32_t count, uint64_t tag, bool is_ok) {
    for (uint32_t index = 0; index < count; index++) {
        assert_int_equal(out[first + index].kind, MKV_LANE_EFFECT_TRANSFER_DONE);
        assert_int_equal(out[first + index].tag, tag + index);
        assert_int_equal(out[first + index].is_ok, is_ok);
    }
}

/* A server with `count` transfers posted, of tags and work requests from 1 on. */
static void begin_posted(uint32_t count) {
    begin_open(true);
    for (uint32_t tag = 1; tag <= count; tag++) {
        transfer(tag <= READS, tag, tag);
    }
    assert_int_equal(effects(), count);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_error__in_the_middle__earlier_succeeded_and_later_failed(void **state) {
    (void)state;
    begin_open(true);
    for (uint32_t tag = 1; tag <= 3; tag++) {
        transfer(false, tag, 1);
    }
    assert_int_equal(effects(), 3);
    complete(2, MKV_LANE_REMOTE_ACCESS, 2);
    assert_int_equal(lane.status, MKV_LANE_REMOTE_ACCESS);
    assert_int_equal(lane.vendor, 0x81);
    assert_int_equal(effects(), 3);
    expect_done(0, 1, 1, true);
    expect_done(1, 1, 2, false);
    assert_int_equal(out[2].kind, MKV_LANE_EFFECT_STOP);
    assert_int_equal(out[2].reason, MKV_LANE_REASON_REMOTE_ERROR);
    assert_int_equal(mkv_lane_posted_count(&lane), 1);
    complete(3, MKV_LANE_FLUSHED, 3);
    expect_effect(MKV_LANE_EFFECT_TRANSFER_DONE);
    expect_done(0, 1, 3, false);
    /* What failed first is what is told. */
    assert_int_equal(lane.status, MKV_LANE_REMOTE_ACCESS);
    assert_int_equal(lane.counters.errors_total, 2);
}

static void test_error__later_flush_leaves_one_out__that_one_failed(void **state) {
    (void)state;
    begin_posted(4);
    complete(1, MKV_LANE_RETRY_EXCEEDED, 5);
    complete(4, MKV_LANE_FLUSHED, 6);
    assert_int_equal(effects(), 5);
    expect_done(0, 4, 1, false);
    assert_int_equal(out[4].reason, MKV_LANE_REASON_RETRY_EXCEEDED);
}

static void test_flush__without_a_failure_that_was_seen__nothing_is_sure(void **state) {
    (void)state;
    begin_posted(3);
    complete(3, MKV_LANE_FLUSHED, 5);
    assert_int_equal(effects(), 4);
    expect_done(0, 3, 1, false);
    assert_int_equal(out[3].reason, MKV_LANE_REASON_FLUSHED);
}

static void test_success__behind_a_failure__does_not_count(void **state) {
    (void)state;
    begin_posted(3);
    complete(1, MKV_LANE_LOCAL_PROTECTION, 5);
    complete(3, MKV_LANE_SUCCESS, 6);
    assert_int_equal(effects(), 4);
    expect_done(0, 3, 1, false);
    assert_int_equal(out[3].reason, MKV_LANE_REASON_LOCAL_ERROR);
}

static void test_success__while_it_stops__counts(void **state) {
    (void)state;
    begin_posted(3);
    mkv_lane_event(&lane, MKV_LANE_EVENT_PORT_DOWN, 5);
    expect_stop(MKV_LANE_REASON_PORT_DOWN);
    mkv_lane_stopped(&lane, 6);
    complete(2, MKV_LANE_SUCCESS, 7);
    complete(3, MKV_LANE_FLUSHED, 8);
    assert_int_equal(effects(), 3);
    expect_done(0, 2, 1, true);
    expect_done(2, 1, 3, false);
    /* It was no completion that stopped it. */
    assert_int_equal(lane.status, MKV_LANE_SUCCESS);
}

static void test_statuses__first_failure__have_their_reasons(void **state) {
    (void)state;
    static const enum mkv_lane_reason reasons[MKV_LANE_STATUS_COUNT] = {
        [MKV_LANE_LOCAL_LENGTH] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_LOCAL_OPERATION] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_LOCAL_PROTECTION] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_LOCAL_ACCESS] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_FLUSHED] = MKV_LANE_REASON_FLUSHED,
        [MKV_LANE_MEMORY_WINDOW] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_BAD_RESPONSE] = MKV_LANE_REASON_REMOTE_ERROR,
        [MKV_LANE_REMOTE_INVALID_REQUEST] = MKV_LANE_REASON_REMOTE_ERROR,
        [MKV_LANE_REMOTE_ACCESS] = MKV_LANE_REASON_REMOTE_ERROR,
        [MKV_LANE_REMOTE_OPERATION] = MKV_LANE_REASON_REMOTE_ERROR,
        [MKV_LANE_RETRY_EXCEEDED] = MKV_LANE_REASON_RETRY_EXCEEDED,
        [MKV_LANE_RNR_RETRY_EXCEEDED] = MKV_LANE_REASON_RNR_EXCEEDED,
        [MKV_LANE_FATAL] = MKV_LANE_REASON_OTHER,
        [MKV_LANE_GENERAL] = MKV_LANE_REASON_OTHER,
    };
    for (uint32_t status = 1; status < MKV_LANE_STATUS_COUNT; status++) {
        begin_posted(1);
        complete(1, (enum mkv_lane_status)status, 2);
        assert_int_equal(effects(), 2);
        expect_done(0, 1, 1, false);
        assert_int_equal(out[1].reason, reasons[status]);

        begin_open(false);
        receive_fails((enum mkv_lane_status)status, 2);
        expect_stop(reasons[status]);
        assert_int_equal(lane.status, status);
        assert_int_equal(lane.vendor, 0x82);
        assert_int_equal(lane.counters.errors_total, 1);
    }
    EXPECT_ASSERTION(receive_fails(MKV_LANE_SUCCESS, 3));
    EXPECT_ASSERTION((void)mkv_lane_reason_of(MKV_LANE_STATUS_COUNT));
}

static void test_events__first_failure__have_their_reasons(void **state) {
    (void)state;
    static const enum mkv_lane_reason reasons[] = {
        [MKV_LANE_EVENT_QP_FATAL] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_EVENT_PORT_DOWN] = MKV_LANE_REASON_PORT_DOWN,
        [MKV_LANE_EVENT_DEVICE_FATAL] = MKV_LANE_REASON_DEVICE,
        [MKV_LANE_EVENT_PEER_GONE] = MKV_LANE_REASON_PEER,
        [MKV_LANE_EVENT_LAST_RECEIVE] = MKV_LANE_REASON_FLUSHED,
    };
    for (int event = MKV_LANE_EVENT_QP_FATAL; event <= MKV_LANE_EVENT_LAST_RECEIVE; event++) {
        begin_open(true);
        mkv_lane_event(&lane, (enum mkv_lane_event)event, 1);
        expect_stop(reasons[event]);
    }
    EXPECT_ASSERTION(mkv_lane_event(&lane, (enum mkv_lane_event)0, 1));
    EXPECT_ASSERTION(mkv_lane_event(&lane, (enum mkv_lane_event)7, 1));
}

static void test_path__another_one__the_lane_goes_on(void **state) {
    (void)state;
    begin_posted(2);
    mkv_lane_event(&lane, MKV_LANE_EVENT_PATH, 2);
    assert_int_equal(effects(), 0);
    assert_int_equal(lane.state, MKV_LANE_OPEN);
    complete(2, MKV_LANE_SUCCESS, 3);
    assert_int_equal(effects(), 2);
    expect_done(0, 2, 1, true);
    mkv_lane_event(&lane, MKV_LANE_EVENT_PORT_DOWN, 4);
    mkv_lane_event(&lane, MKV_LANE_EVENT_PATH, 5); /* of one that stops it is nothing either */
    expect_stop(MKV_LANE_REASON_PORT_DOWN);
}

static void test_packet_number__of_any_draw__is_its_own_and_has_24_bits(void **state) {
    (void)state;
    assert_int_equal(mkv_lane_packet_number(0), 0);
    assert_int_equal(mkv_lane_packet_number(0x00123456), 0x123456);
    assert_int_equal(mkv_lane_packet_number(UINT32_MAX), 0xffffff);
    assert_int_equal(mkv_lane_packet_number(0xab000001), 1);
}

static void test_reasons__each__has_a_word_of_its_own_and_a_sentence(void **state) {
    (void)state;
    for (uint32_t reason = 0; reason < MKV_LANE_REASON_COUNT; reason++) {
        const char *name = mkv_lane_reason_name((enum mkv_lane_reason)reason);
        const char *text = mkv_lane_reason_text((enum mkv_lane_reason)reason);
        for (const char *c = name; *c != 0; c++) {
            assert_true((*c >= 'a' && *c <= 'z') || *c == '_');
        }
        assert_true(text[0] >= 'A' && text[0] <= 'Z');
        assert_int_equal(text[strlen(text) - 1], '.');
        for (uint32_t other = 0; other < reason; other++) {
            assert_string_not_equal(name, mkv_lane_reason_name((enum mkv_lane_reason)other));
        }
    }
    for (uint32_t fault = 0; fault < MKV_LANE_FAULT_COUNT; fault++) {
        assert_true(strlen(mkv_lane_fault_text((enum mkv_lane_fault)fault)) > 0);
    }
    EXPECT_ASSERTION((void)mkv_lane_reason_name(MKV_LANE_REASON_COUNT));
    EXPECT_ASSERTION((void)mkv_lane_reason_text(MKV_LANE_REASON_COUNT));
    EXPECT_ASSERTION((void)mkv_lane_fault_text(MKV_LANE_FAULT_COUNT));
}

static void test_stop__more_failures_behind_the_first__is_handed_out_once(void **state) {
    (void)state;
    begin_posted(3);
    mkv_lane_event(&lane, MKV_LANE_EVENT_QP_FATAL, 2);
    mkv_lane_event(&lane, MKV_LANE_EVENT_PEER_GONE, 2);
    complete(1, MKV_LANE_RETRY_EXCEEDED, 3);
    assert_int_equal(effects(), 2);
    expect_done(0, 1, 1, false);
    assert_int_equal(out[1].kind, MKV_LANE_EFFECT_STOP);
    assert_int_equal(out[1].reason, MKV_LANE_REASON_LOCAL_ERROR);
    complete(2, MKV_LANE_REMOTE_ACCESS, 4);
    mkv_lane_stop(&lane, MKV_LANE_REASON_CLOSED, 4);
    mkv_lane_event(&lane, MKV_LANE_EVENT_DEVICE_FATAL, 4);
    receive_fails(MKV_LANE_FLUSHED, 4);
    mkv_lane_time(&lane, UINT64_MAX);
    expect_effect(MKV_LANE_EFFECT_TRANSFER_DONE);
    mkv_lane_stopped(&lane, 5);
    mkv_lane_event(&lane, MKV_LANE_EVENT_PORT_DOWN, 6);
    assert_int_equal(effects(), 0);
    assert_int_equal(lane.reason, MKV_LANE_REASON_LOCAL_ERROR);
    assert_int_equal(lane.status, MKV_LANE_SUCCESS);
}

static void test_stop__what_was_not_handed_out__is_withdrawn(void **state) {
    (void)state;
    begin_open(true);
    transfer(true, 1, 1);
    assert_int_equal(effects(), 1);
    transfer(true, 2, 1);
    transfer(false, 3, 1);
    send_stream(1, 1);
    const uint32_t taken = mkv_lane_slot_take(&lane);
    mkv_lane_event(&lane, MKV_LANE_EVENT_PORT_DOWN, 2);
    assert_int_equal(effects(), 3);
    expect_done(0, 2, 2, false);
    assert_int_equal(out[2].kind, MKV_LANE_EFFECT_STOP);
    assert_int_equal(lane.slots_free, SENDS - 1);
    /* The driver did not know: the slot is free, and nothing is sent. */
    mkv_lane_send(&lane, taken, 1, 3);
    assert_int_equal(lane.slots_free, SENDS);
    assert_int_equal(effects(), 0);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_false(mkv_lane_transfer_room(&lane, true));
    assert_false(mkv_lane_transfer_room(&lane, false));
    complete(1, MKV_LANE_FLUSHED, 4);
    expect_effect(MKV_LANE_EFFECT_TRANSFER_DONE);
    assert_int_equal(mkv_lane_posted_count(&lane), 0);
}

static void test_stop__before_opened_is_told__is_all_that_is_told(void **state) {
    (void)state;
    begin_connected(false);
    expect_effect(MKV_LANE_EFFECT_SEND);
    assert_false(receive(MKV_LANE_MESSAGE_PROBE_ANSWER, PAYLOAD_BYTES, 1, 1));
    mkv_lane_event(&lane, MKV_LANE_EVENT_PEER_GONE, 1);
    expect_stop(MKV_LANE_REASON_PEER);
}

static void test_stop__before_it_was_connected__drains(void **state) {
    (void)state;
    const struct mkv_lane_config config = config_of(false);
    mkv_lane_init(&lane, &config);
    mkv_lane_stop(&lane, MKV_LANE_REASON_CLOSED, 1);
    expect_stop(MKV_LANE_REASON_CLOSED);
    mkv_lane_connected(&lane, 2);
    assert_int_equal(effects(), 0);
    mkv_lane_stopped(&lane, 3);
    expect_effect(MKV_LANE_EFFECT_DRAINED);
}

static void test_messages__of_a_lane_that_stops__are_not_taken_up(void **state) {
    (void)state;
    begin_open(true);
    assert_true(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 1));
    mkv_lane_event(&lane, MKV_LANE_EVENT_PEER_GONE, 2);
    expect_stop(MKV_LANE_REASON_PEER);
    assert_false(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 3));
    const uint8_t rubbish[3] = {1, 2, 3};
    assert_false(mkv_lane_received(&lane, rubbish, sizeof rubbish, 3));
    assert_int_equal(lane.fault, MKV_LANE_FAULT_NONE);
    mkv_lane_given_back(&lane, 4);
    mkv_lane_given_back(&lane, 4);
    assert_int_equal(effects(), 0);
    assert_int_equal(lane.counters.receives_total, 2);
}

/* ---- work requests that the device does not take --------------------------------------------- */

static void test_not_posted__in_a_chain__earlier_ones_are_waited_for(void **state) {
    (void)state;
    begin_posted(4);
    transfer(false, 5, 5);
    mkv_lane_not_posted(&lane, 3, 5);
    assert_int_equal(effects(), 4);
    expect_done(0, 3, 3, false);
    assert_int_equal(out[3].kind, MKV_LANE_EFFECT_STOP);
    assert_int_equal(out[3].reason, MKV_LANE_REASON_LOCAL_ERROR);
    assert_int_equal(mkv_lane_posted_count(&lane), 2);
    mkv_lane_stopped(&lane, 6);
    mkv_lane_event(&lane, MKV_LANE_EVENT_LAST_RECEIVE, 7);
    assert_int_equal(effects(), 0);
    complete(1, MKV_LANE_SUCCESS, 8);
    complete(2, MKV_LANE_FLUSHED, 9);
    assert_int_equal(effects(), 3);
    expect_done(0, 1, 1, true);
    expect_done(1, 1, 2, false);
    assert_int_equal(out[2].kind, MKV_LANE_EFFECT_DRAINED);
}

static void test_not_posted__close_message_of_a_lane_that_stops__drains(void **state) {
    (void)state;
    begin_open(false);
    mkv_lane_stop(&lane, MKV_LANE_REASON_CLOSED, 1);
    assert_int_equal(effects(), 2);
    mkv_lane_not_posted(&lane, out[0].work, 1);
    mkv_lane_stopped(&lane, 2);
    expect_effect(MKV_LANE_EFFECT_DRAINED);
    assert_int_equal(lane.slots_free, SENDS);
    assert_int_equal(lane.reason, MKV_LANE_REASON_CLOSED);
}

static void test_not_posted__what_was_not_handed_out__asserts(void **state) {
    (void)state;
    begin_posted(2);
    transfer(false, 3, 3);
    EXPECT_ASSERTION(mkv_lane_not_posted(&lane, 0, 4));
    EXPECT_ASSERTION(mkv_lane_not_posted(&lane, 3, 4));
}

/* ---- drained --------------------------------------------------------------------------------- */

static void test_drained__stopped_and_completed_and_last_receive__is_handed_out_once(void **state) {
    (void)state;
    /* In any order of the three. */
    static const char *const orders[] = {"SCL", "SLC", "CSL", "CLS", "LSC", "LCS"};
    for (size_t index = 0; index < sizeof orders / sizeof orders[0]; index++) {
        begin_posted(1);
        mkv_lane_event(&lane, MKV_LANE_EVENT_PEER_GONE, 2);
        expect_stop(MKV_LANE_REASON_PEER);
        for (uint32_t at = 0; at < 3; at++) {
            assert_int_equal(lane.state, MKV_LANE_STOPPING);
            switch (orders[index][at]) {
            case 'S':
                mkv_lane_stopped(&lane, 3);
                break;
            case 'C':
                complete(1, MKV_LANE_FLUSHED, 3);
                break;
            default:
                mkv_lane_event(&lane, MKV_LANE_EVENT_LAST_RECEIVE, 3);
                break;
            }
            const uint32_t count = effects();
            const bool is_last = at == 2;
            assert_int_equal(count, (orders[index][at] == 'C') + is_last);
            assert_true(!is_last || out[count - 1].kind == MKV_LANE_EFFECT_DRAINED);
        }
        assert_int_equal(lane.state, MKV_LANE_DRAINED);
        assert_int_equal(effects(), 0);
        assert_int_equal(mkv_lane_timer_ns(&lane), UINT64_MAX);
    }
}

static void test_drained__receives_of_its_own__last_one_is_not_awaited(void **state) {
    (void)state;
    begin_open(false);
    mkv_lane_stop(&lane, MKV_LANE_REASON_PEER, 1);
    expect_stop(MKV_LANE_REASON_PEER);
    mkv_lane_stopped(&lane, 2);
    expect_effect(MKV_LANE_EFFECT_DRAINED);
}

static void test_drained__last_receive_does_not_come__is_in_drain_time(void **state) {
    (void)state;
    begin_open(true);
    mkv_lane_stop(&lane, MKV_LANE_REASON_PEER, 1);
    expect_stop(MKV_LANE_REASON_PEER);
    assert_int_equal(mkv_lane_timer_ns(&lane), UINT64_MAX);
    mkv_lane_time(&lane, UINT64_MAX - 1);
    assert_int_equal(effects(), 0);
    mkv_lane_stopped(&lane, 100);
    assert_int_equal(mkv_lane_timer_ns(&lane), 100 + DRAIN_NS);
    mkv_lane_time(&lane, 100 + DRAIN_NS - 1);
    assert_int_equal(effects(), 0);
    mkv_lane_time(&lane, 100 + DRAIN_NS);
    expect_effect(MKV_LANE_EFFECT_DRAINED);
}

static void test_drained__completions_do_not_come__queue_pair_is_destroyed_first(void **state) {
    (void)state;
    begin_posted(2);
    mkv_lane_event(&lane, MKV_LANE_EVENT_DEVICE_FATAL, 2);
    expect_stop(MKV_LANE_REASON_DEVICE);
    mkv_lane_stopped(&lane, 100);
    EXPECT_ASSERTION(mkv_lane_destroyed(&lane));
    mkv_lane_time(&lane, 100 + DRAIN_NS);
    expect_effect(MKV_LANE_EFFECT_DESTROY);
    /* The device may still write: nothing is free before it is destroyed. */
    mkv_lane_time(&lane, UINT64_MAX);
    assert_int_equal(effects(), 0);
    assert_int_equal(mkv_lane_timer_ns(&lane), UINT64_MAX);
    mkv_lane_destroyed(&lane);
    assert_int_equal(effects(), 3);
    expect_done(0, 2, 1, false);
    assert_int_equal(out[2].kind, MKV_LANE_EFFECT_DRAINED);
    EXPECT_ASSERTION(mkv_lane_destroyed(&lane));
}

static void test_drained__completions_come_at_the_last_moment__nothing_is_destroyed(void **state) {
    (void)state;
    begin_posted(1);
    mkv_lane_event(&lane, MKV_LANE_EVENT_DEVICE_FATAL, 2);
    expect_stop(MKV_LANE_REASON_DEVICE);
    mkv_lane_stopped(&lane, 100);
    mkv_lane_time(&lane, 100 + DRAIN_NS);
    complete(1, MKV_LANE_FLUSHED, 101 + DRAIN_NS);
    assert_int_equal(effects(), 2);
    expect_done(0, 1, 1, false);
    assert_int_equal(out[1].kind, MKV_LANE_EFFECT_DRAINED);
}

static void test_stopped__not_asked_for_or_twice__asserts(void **state) {
    (void)state;
    begin_open(true);
    EXPECT_ASSERTION(mkv_lane_stopped(&lane, 1));
    mkv_lane_event(&lane, MKV_LANE_EVENT_PEER_GONE, 1);
    EXPECT_ASSERTION(mkv_lane_stopped(&lane, 1));
    expect_stop(MKV_LANE_REASON_PEER);
    mkv_lane_stopped(&lane, 1);
    EXPECT_ASSERTION(mkv_lane_stopped(&lane, 1));
}

static void test_completion__not_posted_or_again_or_behind_drained__asserts(void **state) {
    (void)state;
    begin_posted(2);
    transfer(false, 3, 3);
    EXPECT_ASSERTION(complete(3, MKV_LANE_SUCCESS, 4)); /* not handed out yet */
    EXPECT_ASSERTION(complete(4, MKV_LANE_SUCCESS, 4)); /* never was */
    EXPECT_ASSERTION(complete(0, MKV_LANE_SUCCESS, 4)); /* the answer to the probe, again */
    complete(2, MKV_LANE_SUCCESS, 4);
    EXPECT_ASSERTION(complete(1, MKV_LANE_SUCCESS, 5)); /* over with the later one */
    EXPECT_ASSERTION(complete(2, MKV_LANE_FLUSHED, 5));

    begin_open(false);
    mkv_lane_stop(&lane, MKV_LANE_REASON_PEER, 1);
    expect_stop(MKV_LANE_REASON_PEER);
    mkv_lane_stopped(&lane, 2);
    expect_effect(MKV_LANE_EFFECT_DRAINED);
    EXPECT_ASSERTION(complete(0, MKV_LANE_FLUSHED, 3));
    EXPECT_ASSERTION(complete(1, MKV_LANE_FLUSHED, 3));
    /* What is late of its receives is nobody's, and no harm. */
    assert_false(receive(MKV_LANE_MESSAGE_STREAM, 1, 0, 3));
    receive_fails(MKV_LANE_FLUSHED, 3);
    mkv_lane_event(&lane, MKV_LANE_EVENT_LAST_RECEIVE, 3);
    mkv_lane_time(&lane, UINT64_MAX);
    assert_int_equal(effects(), 0);
}

/* ---- exposures ------------------------------------------------------------------------------- */

static void test_exposure__answered__ends_without_an_effect(void **state) {
    (void)state;
    begin_open(false);
    assert_true(mkv_lane_expose(&lane, 10));
    assert_true(mkv_lane_expose(&lane, 11));
    EXPECT_ASSERTION((void)mkv_lane_expose(&lane, 10));
    assert_false(mkv_lane_unexpose(&lane, 12));
    assert_true(mkv_lane_unexpose(&lane, 10));
    assert_false(mkv_lane_unexpose(&lane, 10));
    assert_true(mkv_lane_expose(&lane, 10));
    assert_int_equal(effects(), 0);
}

static void test_exposure__lane_stops__ends_once_and_only_behind_stopped(void **state) {
    (void)state;
    begin_open(false);
    for (uint64_t tag = 1; tag <= 4; tag++) {
        assert_true(mkv_lane_expose(&lane, tag));
    }
    receive_fails(MKV_LANE_FLUSHED, 1);
    expect_stop(MKV_LANE_REASON_FLUSHED);
    assert_false(mkv_lane_expose(&lane, 5));
    /* An answer that had come before is still taken up. */
    assert_true(mkv_lane_unexpose(&lane, 2));
    assert_int_equal(effects(), 0);
    mkv_lane_stopped(&lane, 2);
    assert_false(mkv_lane_unexpose(&lane, 3)); /* its end is due */
    assert_int_equal(effects(), 4);
    uint64_t ended = 0;
    for (uint32_t index = 0; index < 3; index++) {
        assert_int_equal(out[index].kind, MKV_LANE_EFFECT_EXPOSURE_END);
        ended |= 1u << out[index].tag;
    }
    assert_int_equal(ended, 1u << 1 | 1u << 3 | 1u << 4);
    assert_int_equal(out[3].kind, MKV_LANE_EFFECT_DRAINED);
    assert_false(mkv_lane_unexpose(&lane, 1));
}

static void test_exposure__lane_not_open__is_refused(void **state) {
    (void)state;
    const struct mkv_lane_config config = config_of(false);
    mkv_lane_init(&lane, &config);
    assert_false(mkv_lane_expose(&lane, 1));
    begin_connected(false);
    assert_false(mkv_lane_expose(&lane, 1));
}

static void test_exposures__as_many_as_there_may_be__all_end(void **state) {
    (void)state;
    begin_open(false);
    for (uint64_t tag = 0; tag < MKV_LANE_EXPOSURES_MAX; tag++) {
        assert_true(mkv_lane_expose(&lane, tag));
    }
    assert_false(mkv_lane_expose(&lane, MKV_LANE_EXPOSURES_MAX));
    mkv_lane_stop(&lane, MKV_LANE_REASON_PEER, 1);
    expect_stop(MKV_LANE_REASON_PEER);
    mkv_lane_stopped(&lane, 2);
    assert_int_equal(effects(), MKV_LANE_EXPOSURES_MAX + 1);
}

/* Everything that can be due at once is, and fits. */
static void test_effects__as_many_as_there_may_be__fit(void **state) {
    (void)state;
    struct mkv_lane_config config = config_of(true);
    config.sends_max = MKV_LANE_SENDS_MAX;
    config.credits = MKV_LANE_CREDITS_MAX;
    config.transfers_max = MKV_LANE_TRANSFERS_MAX;
    mkv_lane_init(&lane, &config);
    peer_number = 0;
    mkv_lane_connected(&lane, 0);
    assert_false(receive(MKV_LANE_MESSAGE_PROBE, PAYLOAD_BYTES, 0, 0));
    expect_effect(MKV_LANE_EFFECT_SEND);
    complete(0, MKV_LANE_SUCCESS, 0);
    expect_effect(MKV_LANE_EFFECT_OPENED);
    for (uint64_t tag = 0; tag < MKV_LANE_EXPOSURES_MAX; tag++) {
        assert_true(mkv_lane_expose(&lane, tag));
    }
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint64_t tag = 0; tag < MKV_LANE_TRANSFERS_MAX; tag++) {
            transfer(false, tag, 1);
        }
        for (uint32_t count = 0; count < MKV_LANE_SENDS_MAX - 1; count++) {
            if (turn == 0) {
                send_stream(1, 1);
            }
        }
        const uint32_t posts = MKV_LANE_TRANSFERS_MAX + (turn == 0 ? MKV_LANE_SENDS_MAX - 1 : 0);
        assert_int_equal(effects(), posts);
        assert_int_equal(mkv_lane_posted_count(&lane), posts);
        complete(out[posts - 1].work, MKV_LANE_SUCCESS, 2);
        /* Places are free when their ends are told; those of the second turn stay untold. */
        assert_true(turn == 1 || effects() == MKV_LANE_TRANSFERS_MAX);
    }
    assert_false(mkv_lane_transfer_room(&lane, false));
    mkv_lane_stop(&lane, MKV_LANE_REASON_CLOSED, 3);
    assert_int_equal(effects(), MKV_LANE_TRANSFERS_MAX + 2);
    assert_int_equal(out[MKV_LANE_TRANSFERS_MAX].header.kind, MKV_LANE_MESSAGE_CLOSE);
    complete(out[MKV_LANE_TRANSFERS_MAX].work, MKV_LANE_FLUSHED, 4);
    mkv_lane_stopped(&lane, 4);
    mkv_lane_event(&lane, MKV_LANE_EVENT_LAST_RECEIVE, 4);
    assert_int_equal(effects(), MKV_LANE_EXPOSURES_MAX + 1);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void test_close__told_to__tells_the_peer_before_it_stops(void **state) {
    (void)state;
    begin_open(true);
    send_stream(1, 1);
    mkv_lane_stop(&lane, MKV_LANE_REASON_CLOSED, 1);
    assert_int_equal(effects(), 2);
    assert_int_equal(out[0].kind, MKV_LANE_EFFECT_SEND);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_CLOSE);
    assert_int_equal(out[0].header.number, 1); /* the other was withdrawn */
    assert_true(out[0].is_signaled);
    assert_false(out[0].has_more);
    assert_int_equal(out[1].kind, MKV_LANE_EFFECT_STOP);
    assert_int_equal(out[1].reason, MKV_LANE_REASON_CLOSED);
    const uint64_t work = out[0].work;
    mkv_lane_stopped(&lane, 2);
    mkv_lane_event(&lane, MKV_LANE_EVENT_LAST_RECEIVE, 2);
    assert_int_equal(effects(), 0);
    complete(work, MKV_LANE_SUCCESS, 3);
    expect_effect(MKV_LANE_EFFECT_DRAINED);
}

static void test_close__what_it_flushes__is_no_error(void **state) {
    (void)state;
    for (int by_peer = 0; by_peer <= 1; by_peer++) {
        begin_posted(2);
        if (by_peer) {
            mkv_lane_event(&lane, MKV_LANE_EVENT_PEER_GONE, 3);
        } else {
            mkv_lane_stop(&lane, MKV_LANE_REASON_CLOSED, 3);
        }
        (void)effects();
        complete(1, MKV_LANE_FLUSHED, 4);
        complete(2, MKV_LANE_FLUSHED, 4);
        receive_fails(MKV_LANE_FLUSHED, 4);
        assert_int_equal(lane.counters.errors_total, 0);
    }
}

static void test_close__last_credit__is_used_for_it_and_without_one_it_stops(void **state) {
    (void)state;
    begin_open(false);
    for (uint32_t sent = 0; sent < CREDITS - 2; sent++) {
        send_stream(1, 1);
    }
    assert_int_equal(effects(), CREDITS - 2);
    assert_int_equal(lane.credits, 1);
    mkv_lane_stop(&lane, MKV_LANE_REASON_CLOSED, 2);
    assert_int_equal(effects(), 2);
    assert_int_equal(lane.credits, 0);

    begin_open(false);
    lane.credits = 0;
    mkv_lane_stop(&lane, MKV_LANE_REASON_CLOSED, 2);
    expect_stop(MKV_LANE_REASON_CLOSED);
}

static void test_close__of_the_peer__stops(void **state) {
    (void)state;
    begin_open(false);
    assert_false(receive(MKV_LANE_MESSAGE_CLOSE, 0, 1, 1));
    expect_stop(MKV_LANE_REASON_PEER);
    /* Also where it is the first that comes. */
    begin_connected(true);
    assert_false(receive(MKV_LANE_MESSAGE_CLOSE, 0, 0, 1));
    expect_stop(MKV_LANE_REASON_PEER);
}

static void test_stop__other_reason_than_closed_or_peer__asserts(void **state) {
    (void)state;
    begin_open(false);
    EXPECT_ASSERTION(mkv_lane_stop(&lane, MKV_LANE_REASON_SILENT, 1));
    EXPECT_ASSERTION(mkv_lane_stop(&lane, MKV_LANE_REASON_NONE, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error__in_the_middle__earlier_succeeded_and_later_failed),
        cmocka_unit_test(test_error__later_flush_leaves_one_out__that_one_failed),
        cmocka_unit_test(test_flush__without_a_failure_that_was_seen__nothing_is_sure),
        cmocka_unit_test(test_success__behind_a_failure__does_not_count),
        cmocka_unit_test(test_success__while_it_stops__counts),
        cmocka_unit_test(test_statuses__first_failure__have_their_reasons),
        cmocka_unit_test(test_events__first_failure__have_their_reasons),
        cmocka_unit_test(test_path__another_one__the_lane_goes_on),
        cmocka_unit_test(test_packet_number__of_any_draw__is_its_own_and_has_24_bits),
        cmocka_unit_test(test_reasons__each__has_a_word_of_its_own_and_a_sentence),
        cmocka_unit_test(test_stop__more_failures_behind_the_first__is_handed_out_once),
        cmocka_unit_test(test_stop__what_was_not_handed_out__is_withdrawn),
        cmocka_unit_test(test_stop__before_opened_is_told__is_all_that_is_told),
        cmocka_unit_test(test_stop__before_it_was_connected__drains),
        cmocka_unit_test(test_messages__of_a_lane_that_stops__are_not_taken_up),
        cmocka_unit_test(test_not_posted__in_a_chain__earlier_ones_are_waited_for),
        cmocka_unit_test(test_not_posted__close_message_of_a_lane_that_stops__drains),
        cmocka_unit_test(test_not_posted__what_was_not_handed_out__asserts),
        cmocka_unit_test(test_drained__stopped_and_completed_and_last_receive__is_handed_out_once),
        cmocka_unit_test(test_drained__receives_of_its_own__last_one_is_not_awaited),
        cmocka_unit_test(test_drained__last_receive_does_not_come__is_in_drain_time),
        cmocka_unit_test(test_drained__completions_do_not_come__queue_pair_is_destroyed_first),
        cmocka_unit_test(test_drained__completions_come_at_the_last_moment__nothing_is_destroyed),
        cmocka_unit_test(test_stopped__not_asked_for_or_twice__asserts),
        cmocka_unit_test(test_completion__not_posted_or_again_or_behind_drained__asserts),
        cmocka_unit_test(test_exposure__answered__ends_without_an_effect),
        cmocka_unit_test(test_exposure__lane_stops__ends_once_and_only_behind_stopped),
        cmocka_unit_test(test_exposure__lane_not_open__is_refused),
        cmocka_unit_test(test_exposures__as_many_as_there_may_be__all_end),
        cmocka_unit_test(test_effects__as_many_as_there_may_be__fit),
        cmocka_unit_test(test_close__told_to__tells_the_peer_before_it_stops),
        cmocka_unit_test(test_close__what_it_flushes__is_no_error),
        cmocka_unit_test(test_close__last_credit__is_used_for_it_and_without_one_it_stops),
        cmocka_unit_test(test_close__of_the_peer__stops),
        cmocka_unit_test(test_stop__other_reason_than_closed_or_peer__asserts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
