/* SPDX-License-Identifier: Apache-2.0 */
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define SCRUB_RATE MKV_MIB

static struct rig *rig_that_scrubs(void) {
    struct rig *rig = rig_create();
    rig->config.scrub_rate = SCRUB_RATE;
    rig_reopen(rig);
    return rig;
}

/* Until the scrubber has been over all slots once more. */
static void pass(struct rig *rig) {
    const uint64_t passes = rig_stats(rig).scrub_passes_total;
    for (uint32_t turn = 0; rig_stats(rig).scrub_passes_total == passes; turn++) {
        assert_true(turn < 10000);
        rig_tick(rig, 10000000);
        rig_settle(rig);
    }
}

static void test_scrub__sound_blocks__are_read_and_kept(void **state) {
    (void)state;
    struct rig *rig = rig_that_scrubs();
    assert_int_equal(rig_put(rig, "long", 200000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "inline", 100, 2, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "empty", 0, 3, 0), MKV_STATUS_OK);
    pass(rig);
    const struct mkv_volume_stats before = rig_stats(rig);
    pass(rig);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_int_equal(stats.scrub_slots_total - before.scrub_slots_total, 3);
    assert_int_equal(stats.scrub_bytes_total - before.scrub_bytes_total,
                     3 * MKV_UNIT_BYTES + 200000);
    assert_int_equal(stats.scrub_damaged_total, 0);
    assert_int_equal(stats.blocks, 3);
    rig_destroy(rig);
}

/* Flips a bit of the only block, `unit` units and `byte` bytes behind its beginning. */
static void check_damage(uint32_t length, uint32_t unit, uint32_t byte) {
    struct rig *rig = rig_that_scrubs();
    assert_int_equal(rig_put(rig, "k", length, 1, 0), MKV_STATUS_OK);
    const struct mkv_volume_block block = rig_block(rig, (length - 1) / MKV_UNIT_BYTES + 1);
    rig_unit(rig, (struct mkv_lba){block.lba.unit + unit})[byte] ^= 0x10;
    pass(rig);
    pass(rig);
    assert_int_equal(rig_stats(rig).scrub_damaged_total, 1);
    assert_int_equal(rig_stats(rig).quarantined_total, 1);
    assert_int_equal(rig_stats(rig).blocks, 0);
    assert_non_null(rig_event(rig, MKV_EVENT_BLOCK_QUARANTINED));
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_put(rig, "k", length, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_scrub__damaged_block__is_quarantined_before_a_reader_meets_it(void **state) {
    (void)state;
    check_damage(200000, 0, 100);                  /* the header */
    check_damage(200000, 1, 0);                    /* the first chunk */
    check_damage(200000, 200000 / 4096 + 1, 1000); /* the last one, in a later piece */
}

static void test_scrub__medium_error__retires_the_slot(void **state) {
    (void)state;
    struct rig *rig = rig_that_scrubs();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    for (uint32_t turn = 0; rig_in_flight(rig, MKV_EFFECT_DRIVE_READ) == 0; turn++) {
        assert_true(turn < 10000);
        rig_tick(rig, 10000000);
    }
    assert_int_equal(rig->queue[0].kind, MKV_EFFECT_DRIVE_READ);
    rig_complete(rig, 0, MKV_IO_MEDIUM);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    assert_int_equal(rig_stats(rig).blocks, 0);
    rig_destroy(rig);
}

static void test_scrub__rate__bounds_what_is_read(void **state) {
    (void)state;
    struct rig *rig = rig_that_scrubs();
    for (uint32_t index = 0; index < 8; index++) {
        const char key[] = {'k', (char)('0' + index), 0};
        assert_int_equal(rig_put(rig, key, 100000, index, 0), MKV_STATUS_OK);
    }
    const uint64_t before = rig_stats(rig).scrub_bytes_total;
    const uint64_t begin_ns = rig->now_ns;
    for (uint32_t turn = 0; turn < 20000; turn++) {
        rig_tick(rig, 100000);
        rig_settle(rig);
    }
    const double seconds = (double)(rig->now_ns - begin_ns) / 1e9;
    const uint64_t read = rig_stats(rig).scrub_bytes_total - before;
    assert_true((double)read <= seconds * SCRUB_RATE + 110000);
    assert_true((double)read >= seconds * SCRUB_RATE / 4); /* looking for blocks costs, too */
    rig_destroy(rig);
}

static void test_scrub__volume_closes_while_a_block_is_read__closes(void **state) {
    (void)state;
    struct rig *rig = rig_that_scrubs();
    assert_int_equal(rig_put(rig, "k", 200000, 1, 0), MKV_STATUS_OK);
    for (uint32_t turn = 0; rig_in_flight(rig, MKV_EFFECT_DRIVE_READ) == 0; turn++) {
        assert_true(turn < 10000);
        rig_tick(rig, 10000000);
    }
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scrub__sound_blocks__are_read_and_kept),
        cmocka_unit_test(test_scrub__damaged_block__is_quarantined_before_a_reader_meets_it),
        cmocka_unit_test(test_scrub__medium_error__retires_the_slot),
        cmocka_unit_test(test_scrub__rate__bounds_what_is_read),
        cmocka_unit_test(test_scrub__volume_closes_while_a_block_is_read__closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
