/* SPDX-License-Identifier: Apache-2.0 */
/* Which puts are written, and which stay in the front's memory. */
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

static struct rig *rig_with(enum mkv_admission admission, uint64_t write_limit) {
    struct rig *rig = rig_create();
    rig->config.eviction = true;
    rig->config.admission = admission;
    rig->config.write_limit = write_limit;
    rig_reopen(rig);
    rig->put_write_flags = MKV_PUT_RELAXED;
    return rig;
}

/* A put of `key`; whether it was written. Its answer is OK either way. */
static bool is_written(struct rig *rig, const char *key, uint32_t seed, uint32_t flags) {
    const uint32_t writes = rig->writes_total;
    rig->answer_count = 0;
    rig_put_begin(rig, key, 5000, seed, flags);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, seed);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    const bool unwritten = (rig_last(rig)->flags & MKV_PUT_UNWRITTEN) != 0;
    assert_true(unwritten || rig->writes_total > writes);
    assert_int_equal(rig_exists(rig, key), unwritten ? MKV_STATUS_NOT_FOUND : MKV_STATUS_OK);
    return !unwritten;
}

static void test_admission__always__all_are_written(void **state) {
    (void)state;
    struct rig *rig = rig_with(MKV_ADMISSION_ALWAYS, 0);
    assert_true(is_written(rig, "a", 1, 0));
    rig_destroy(rig);
}

static void test_admission__drive_is_avoided__durable_puts_and_live_keys_are_written(void **state) {
    (void)state;
    struct rig *rig = rig_with(MKV_ADMISSION_ALWAYS, 0);
    assert_true(is_written(rig, "old", 1, 0));
    const uint64_t used = rig_stats(rig).slots_used;
    assert_int_equal(rig_admin(rig, MKV_ADMIN_AVOID), MKV_OK);
    assert_false(is_written(rig, "a", 1, 0));
    assert_int_equal(rig_stats(rig).slots_used, used); /* its slot came back */
    assert_int_equal(rig_stats(rig).admission_refused[MKV_ADMISSION_DRIVE_SLOW], 1);
    /* What its key holds on the drive has to give way durably. */
    assert_true(is_written(rig, "old", 2, MKV_PUT_REPLACE));
    rig->put_write_flags = 0;
    assert_true(is_written(rig, "b", 1, 0));
    rig->put_write_flags = MKV_PUT_RELAXED;
    assert_int_equal(rig_admin(rig, MKV_ADMIN_AVOID_OVER), MKV_OK);
    assert_true(is_written(rig, "a", 1, 0));
    assert_int_equal(rig_admin(rig, MKV_ADMIN_AVOID), MKV_OK);
    rig_reopen(rig);
    assert_true(is_written(rig, "c", 1, 0));
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_admission__second_touch__the_second_put_is_written(void **state) {
    (void)state;
    struct rig *rig = rig_with(MKV_ADMISSION_SECOND_TOUCH, 0);
    assert_false(is_written(rig, "a", 1, 0));
    assert_false(is_written(rig, "b", 1, 0));
    assert_true(is_written(rig, "a", 1, 0));
    assert_int_equal(rig_stats(rig).admission_refused[MKV_ADMISSION_FIRST_TOUCH], 2);
    rig->put_write_flags = 0;
    assert_true(is_written(rig, "c", 1, 0));
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_admission__limit__as_much_as_a_minute_allows_and_then_a_second_each(void **state) {
    (void)state;
    struct rig *rig = rig_with(MKV_ADMISSION_LIMIT, 1000);
    char key[16];
    uint32_t number = 0;
    uint32_t written = 0;
    for (; number < 14; number++) { /* 60000 bytes are 12 puts of 5000 */
        snprintf(key, sizeof key, "k%u", number);
        written += is_written(rig, key, 1, 0) ? 1 : 0;
    }
    assert_int_equal(written, 12);
    assert_int_equal(rig_stats(rig).admission_refused[MKV_ADMISSION_WRITE_LIMIT], 2);
    /* A durable one is written, and counts: the next 5 s are its. */
    rig->put_write_flags = 0;
    assert_true(is_written(rig, "durable", 1, 0));
    rig->put_write_flags = MKV_PUT_RELAXED;
    rig_tick(rig, 4000000000ull);
    assert_false(is_written(rig, "early", 1, 0));
    rig_tick(rig, 1000000000ull);
    assert_true(is_written(rig, "late", 1, 0));
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admission__always__all_are_written),
        cmocka_unit_test(test_admission__drive_is_avoided__durable_puts_and_live_keys_are_written),
        cmocka_unit_test(test_admission__second_touch__the_second_put_is_written),
        cmocka_unit_test(test_admission__limit__as_much_as_a_minute_allows_and_then_a_second_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
