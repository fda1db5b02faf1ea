/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One lane against what its header says of it, input by input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/lane.h"

static const struct mkv_lane_config client_config = {
    .epoch = 7,
    .message_bytes = 8192,
    .sends_max = 8,
    .credits = 8,
    .receives = 8,
    .probe_ns = 1000,
    .silent_ns = 5000,
    .drain_ns = 2000,
};

static uint32_t effects_of(struct mkv_lane *lane, struct mkv_lane_effect *out) {
    return mkv_lane_effects(lane, out, MKV_LANE_EFFECTS_MAX);
}

static void answer_probe(struct mkv_lane *lane, uint64_t now_ns) {
    static uint8_t message[MKV_LANE_MESSAGE_BYTES_MAX];
    const struct mkv_lane_header header = {
        .epoch = lane->config.epoch,
        .kind = MKV_LANE_MESSAGE_PROBE_ANSWER,
        .credits = 1,
        .bytes = lane->config.message_bytes - MKV_LANE_HEADER_BYTES,
    };
    mkv_lane_header_encode(&header, message);
    mkv_lane_probe_fill(message + MKV_LANE_HEADER_BYTES, header.bytes);
    assert_false(mkv_lane_received(lane, message, lane->config.message_bytes, now_ns));
}

static void test_client__probe_answered__opens(void **state) {
    (void)state;
    static struct mkv_lane_effect out[MKV_LANE_EFFECTS_MAX];
    struct mkv_lane lane;
    mkv_lane_init(&lane, &client_config);
    assert_int_equal(effects_of(&lane, out), 0);
    mkv_lane_connected(&lane, 10);
    assert_int_equal(effects_of(&lane, out), 1);
    assert_int_equal(out[0].kind, MKV_LANE_EFFECT_SEND);
    assert_int_equal(out[0].header.kind, MKV_LANE_MESSAGE_PROBE);
    assert_int_equal(out[0].header.bytes, 8192 - 16);
    assert_true(out[0].is_signaled);
    assert_false(out[0].has_more);
    assert_int_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    mkv_lane_completed(&lane, &(struct mkv_lane_completion){.work = out[0].work}, 11);
    assert_int_equal(effects_of(&lane, out), 0);
    answer_probe(&lane, 12);
    assert_int_equal(effects_of(&lane, out), 1);
    assert_int_equal(out[0].kind, MKV_LANE_EFFECT_OPENED);
    assert_int_not_equal(mkv_lane_slot_take(&lane), MKV_NONE_U32);
    assert_int_equal(mkv_lane_timer_ns(&lane), UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client__probe_answered__opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
