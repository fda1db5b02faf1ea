/* SPDX-License-Identifier: Apache-2.0 */
/* Extents that run empty for other classes. */
#include "core/journal_block.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

/* Extents of four slots for LARGE, and a size that has no class of its own yet. */
#define LARGE 65536u
#define SMALL 8192u
#define EXTENT_UNITS 68u
#define SLOTS 4u
#define SECOND_NS 1000000000ull

static const char *key_of(uint32_t number) {
    static char key[16];
    snprintf(key, sizeof key, "k%u", number);
    return key;
}

/* A store full of blocks k0, k1, ... of LARGE bytes; block n is in extent n / SLOTS, and every
 * extent is a second younger than the one before. */
static struct rig *rig_full(uint32_t *count) {
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, EXTENT_UNITS);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    rig_settle(rig);
    *count = 0;
    while (rig_put(rig, key_of(*count), LARGE, *count, 0) == MKV_STATUS_OK) {
        ++*count;
        rig->answer_count = 0;
        if (*count % SLOTS == 0) {
            rig_tick(rig, SECOND_NS);
        }
    }
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NO_SPACE);
    assert_true(*count >= 4 * SLOTS);
    assert_int_equal(*count % SLOTS, 0);
    rig->answer_count = 0;
    return rig;
}

static uint32_t present(struct rig *rig, uint32_t first, uint32_t count) {
    uint32_t found = 0;
    for (uint32_t number = first; number < first + count; number++) {
        found += rig_get(rig, key_of(number), 0, 0, number) == MKV_STATUS_OK;
        rig->answer_count = 0;
    }
    return found;
}

static void test_volume_empty__told_never_to__put_is_refused_and_all_stays(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    rig->config.never_empties = true;
    rig_reopen(rig);
    rig_tick(rig, 100 * SECOND_NS);
    assert_int_equal(rig_put(rig, "small", SMALL, 9, 0), MKV_STATUS_NO_SPACE);
    assert_int_equal(rig_stats(rig).evictions_total, 0);
    assert_int_equal(present(rig, 0, count), count);
    rig_destroy(rig);
}

static void test_volume_empty__class_without_extents__takes_the_coldest_one(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    /* Extent 0 was read since: extent 1 is the coldest. */
    assert_int_equal(present(rig, 0, 1), 1);
    assert_int_equal(rig_put(rig, "small", SMALL, 9, 0), MKV_STATUS_OK);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_int_equal(stats.evictions_total, SLOTS);
    assert_int_equal(stats.extents_emptied_total, 1);
    assert_int_equal(stats.extents_given_back_total, 1);
    assert_int_equal(stats.emptyings_given_up_total, 0);
    assert_int_equal(stats.class_count, 2);
    const struct mkv_event *event = rig_event(rig, MKV_EVENT_BLOCK_EVICTED);
    assert_non_null(event);
    assert_int_equal(event->value[2], MKV_EVICTION_FOR_CLASS);
    mkv_volume_check(rig->volume);
    rig_reopen(rig);
    mkv_volume_check(rig->volume);
    assert_int_equal(rig_get(rig, "small", 0, 0, 9), MKV_STATUS_OK);
    assert_int_equal(present(rig, 0, SLOTS), SLOTS);
    assert_int_equal(present(rig, SLOTS, SLOTS), 0);
    assert_int_equal(present(rig, 2 * SLOTS, count - 2 * SLOTS), count - 2 * SLOTS);
    rig_destroy(rig);
}

static void test_volume_empty__own_extents_as_cold__take_from_no_other_class(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    assert_int_equal(rig_put(rig, "small", SMALL, 9, 0), MKV_STATUS_OK);
    /* LARGE is full again, and its coldest extent is older than that of SMALL. */
    assert_int_equal(rig_put(rig, "more", LARGE, 1, 0), MKV_STATUS_NO_SPACE);
    /* Everything of LARGE is read, and SMALL grows old. */
    rig_tick(rig, 100 * SECOND_NS);
    assert_int_equal(present(rig, 0, count), count - SLOTS);
    rig_tick(rig, 2 * SECOND_NS);
    assert_int_equal(rig_put(rig, "more", LARGE, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_exists(rig, "small"), MKV_STATUS_NOT_FOUND);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_empty__only_extent_runs_empty_for_another__put_waits_for_its_own(
    void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    assert_int_equal(rig_put(rig, "small", SMALL, 9, 0), MKV_STATUS_OK);
    rig_tick(rig, 100 * SECOND_NS);
    assert_int_equal(present(rig, 0, count), count - SLOTS);
    rig_tick(rig, 2 * SECOND_NS);
    rig->answer_count = 0;
    rig_put_begin(rig, "more", LARGE, 1, 0);
    rig_put_begin(rig, "small too", SMALL, 2, 0);
    assert_int_equal(rig->answer_count, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 2);
    for (uint32_t index = 0; index < 2; index++) {
        assert_int_equal(rig->answers[index].kind, MKV_MESSAGE_PUT_READY);
    }
    assert_int_equal(rig_stats(rig).extents_emptied_total, 3);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

/* Makes extent 0 the coldest although an operation has held a slot of it since. */
static void read_all_but_the_first(struct rig *rig, uint32_t count) {
    rig_tick(rig, 5 * SECOND_NS);
    assert_int_equal(present(rig, SLOTS, count - SLOTS), count - SLOTS);
}

static void test_volume_empty__slot_that_stays_held__another_extent_is_taken(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    rig_find(rig, key_of(0));
    const struct mkv_op_id reader = rig_last(rig)->volume_op;
    read_all_but_the_first(rig, count);
    rig_put_begin(rig, "small", SMALL, 9, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 0); /* it waits for the reader */
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS);
    assert_int_equal(rig_stats(rig).slots_used, count - SLOTS + 1);
    rig_tick(rig, MKV_EMPTY_NS_MAX - 1000000);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 0);
    rig_tick(rig, 1000000);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    assert_int_equal(rig_stats(rig).emptyings_given_up_total, 1);
    assert_int_equal(rig_stats(rig).extents_emptied_total, 1);
    assert_int_equal(rig_stats(rig).evictions_total, 2 * SLOTS);
    /* What was given up is as it was, but for its blocks. */
    assert_int_equal(rig_put(rig, "more", LARGE, 1, 0), MKV_STATUS_OK);
    rig_read(rig, reader, 1, 0, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK); /* its slot was not used again */
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_empty__slot_that_is_let_go__is_waited_for(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    rig_find(rig, key_of(0));
    const struct mkv_op_id reader = rig_last(rig)->volume_op;
    read_all_but_the_first(rig, count);
    rig_put_begin(rig, "small", SMALL, 9, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 0);
    rig_read(rig, reader, 1, 0, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(rig->answers[0].kind, MKV_MESSAGE_READ_DONE);
    assert_int_equal(rig->answers[0].status, MKV_STATUS_OK);
    assert_int_equal(rig->answers[1].kind, MKV_MESSAGE_PUT_READY);
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_empty__put_in_the_extent__is_evicted_when_it_is_done(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    assert_int_equal(rig_remove(rig, key_of(1)), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_put_begin(rig, "late", LARGE, 5, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    const struct mkv_op_id late = rig_last(rig)->volume_op;
    read_all_but_the_first(rig, count);
    rig_put_begin(rig, "small", SMALL, 9, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS - 1);
    rig_put_write(rig, late, 1, LARGE, 5);
    rig_settle(rig);
    assert_int_equal(rig->answers[0].kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig->answers[0].status, MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS);
    assert_int_equal(rig_exists(rig, "late"), MKV_STATUS_NOT_FOUND);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_empty__put_that_waits_over_its_old_block__drops_it_first(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    /* The put holds the lock of k0, which is in the coldest extent. */
    assert_int_equal(rig_put(rig, key_of(0), SMALL, 9, MKV_PUT_REPLACE), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS);
    assert_int_equal(rig_stats(rig).emptyings_given_up_total, 0);
    assert_int_equal(rig_get(rig, key_of(0), 0, 0, 9), MKV_STATUS_OK);
    rig->answer_count = 0;
    assert_int_equal(present(rig, 1, count - 1), count - SLOTS);
    mkv_volume_check(rig->volume);
    rig_reopen(rig);
    assert_int_equal(rig_get(rig, key_of(0), 0, 0, 9), MKV_STATUS_OK);
    rig_destroy(rig);
}

/* The overtaken put has a slot of the extent that is to run empty for the one that has its lock. */
static void test_volume_empty__overtaken_put_in_the_extent__goes_first(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    rig->config.lock_yield_ns = 1000000;
    rig_reopen(rig);
    assert_int_equal(rig_remove(rig, key_of(0)), MKV_STATUS_OK);
    rig_put_begin(rig, "k", LARGE, 1, 0);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    const struct mkv_op_id slow = rig_last(rig)->volume_op;
    read_all_but_the_first(rig, count);
    rig->answer_count = 0;
    rig_put_begin(rig, "k", SMALL, 2, MKV_PUT_REPLACE);
    rig_tick(rig, 2000000);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS - 1);
    rig_put_write(rig, slow, 0, LARGE, 1);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(rig->answers[0].kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig->answers[0].status, MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 1, SMALL, 2);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).emptyings_given_up_total, 0);
    assert_int_equal(rig_get(rig, "k", 0, 0, 2), MKV_STATUS_OK);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

/* The drop waits for the lock of a put that asks for room only then. */
static void test_volume_empty__drop_behind_a_put_that_waits_then__goes_first(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    rig_put_begin(rig, key_of(0), SMALL, 8, MKV_PUT_REPLACE);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_READ),
                     1); /* the header of its old block */
    rig_put_begin(rig, "small", SMALL, 9, 0);
    assert_int_equal(rig->answer_count, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 2);
    for (uint32_t index = 0; index < 2; index++) {
        assert_int_equal(rig->answers[index].kind, MKV_MESSAGE_PUT_READY);
    }
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS);
    assert_int_equal(rig_stats(rig).emptyings_given_up_total, 0);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_empty__close__gives_up_and_answers(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(&count);
    rig_find(rig, key_of(0));
    const struct mkv_op_id reader = rig_last(rig)->volume_op;
    read_all_but_the_first(rig, count);
    rig_put_begin(rig, "small", SMALL, 9, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NO_SPACE);
    rig_read(rig, reader, 1, 0, 0);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume_empty__told_never_to__put_is_refused_and_all_stays),
        cmocka_unit_test(test_volume_empty__class_without_extents__takes_the_coldest_one),
        cmocka_unit_test(
            test_volume_empty__only_extent_runs_empty_for_another__put_waits_for_its_own),
        cmocka_unit_test(test_volume_empty__own_extents_as_cold__take_from_no_other_class),
        cmocka_unit_test(test_volume_empty__slot_that_stays_held__another_extent_is_taken),
        cmocka_unit_test(test_volume_empty__slot_that_is_let_go__is_waited_for),
        cmocka_unit_test(test_volume_empty__put_in_the_extent__is_evicted_when_it_is_done),
        cmocka_unit_test(test_volume_empty__put_that_waits_over_its_old_block__drops_it_first),
        cmocka_unit_test(test_volume_empty__overtaken_put_in_the_extent__goes_first),
        cmocka_unit_test(test_volume_empty__drop_behind_a_put_that_waits_then__goes_first),
        cmocka_unit_test(test_volume_empty__close__gives_up_and_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
