/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks whose time is over. */
#include <string.h>

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define LENGTH 8192u
#define SECOND_NS 1000000000ull
/* The wall clock of the first put. */
#define NOW_S 1000u

static struct rig *rig_at_now(void) {
    struct rig *rig = rig_create();
    rig->wall_ms = NOW_S * 1000;
    rig_tick(rig, 1);
    return rig;
}

static enum mkv_status put(struct rig *rig, const char *key, uint32_t seed, uint32_t flags,
                           uint32_t expiry_s) {
    rig->expiry_s = expiry_s;
    rig->answer_count = 0;
    const enum mkv_status status = rig_put(rig, key, LENGTH, seed, flags);
    rig->expiry_s = 0;
    return status;
}

static void wall_to(struct rig *rig, uint64_t wall_s) {
    rig->wall_ms = wall_s * 1000;
    rig_tick(rig, 1);
}

/* Lets the background job do what it has to. */
static void sweep(struct rig *rig) {
    rig_tick(rig, 100 * SECOND_NS);
    rig_settle(rig);
    rig_tick(rig, 100 * SECOND_NS);
    rig_settle(rig);
}

static enum mkv_status get(struct rig *rig, const char *key, uint32_t seed) {
    rig->answer_count = 0;
    return rig_get(rig, key, 0, 0, seed);
}

static void test_volume_expiry__time_is_over__is_a_miss_at_once_and_dropped_behind_it(
    void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "brief", 1, 0, NOW_S + 10), MKV_STATUS_OK);
    assert_int_equal(put(rig, "lasting", 2, 0, 0), MKV_STATUS_OK);
    wall_to(rig, NOW_S + 9);
    sweep(rig);
    assert_int_equal(get(rig, "brief", 1), MKV_STATUS_OK);
    assert_int_equal(rig_exists(rig, "brief"), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->expiry_s, NOW_S + 10);
    rig->wall_ms = (NOW_S + 10) * 1000;
    rig->answer_count = 0;
    rig_find(rig, "brief");
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_EXPIRED);
    assert_int_equal(rig_exists(rig, "lasting"), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->expiry_s, 0);
    assert_int_equal(rig_exists(rig, "brief"), MKV_STATUS_NOT_FOUND);
    sweep(rig);
    assert_int_equal(rig_stats(rig).expired_total, 1);
    assert_int_equal(rig_stats(rig).blocks, 1);
    assert_int_equal(get(rig, "lasting", 2), MKV_STATUS_OK);
    assert_null(rig_event(rig, MKV_EVENT_BLOCK_EVICTED));
    rig_destroy(rig);
}

static void test_volume_expiry__clock_set_back__brings_nothing_back(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "brief", 1, 0, NOW_S + 10), MKV_STATUS_OK);
    wall_to(rig, NOW_S + 10);
    wall_to(rig, NOW_S);
    assert_int_equal(get(rig, "brief", 1), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

static void test_volume_expiry__reopened__is_still_known(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "of-journal", 1, 0, NOW_S + 10), MKV_STATUS_OK);
    rig_reopen(rig);
    assert_int_equal(get(rig, "of-journal", 1), MKV_STATUS_OK);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    assert_int_equal(get(rig, "of-journal", 1), MKV_STATUS_OK);
    wall_to(rig, NOW_S + 10);
    assert_int_equal(get(rig, "of-journal", 1), MKV_STATUS_NOT_FOUND);
    sweep(rig);
    assert_int_equal(rig_stats(rig).blocks, 0);
    rig_destroy(rig);
}

static void test_volume_expiry__put_of_what_is_live__prolongs_and_never_shortens(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "key", 1, 0, NOW_S + 10), MKV_STATUS_OK);
    assert_int_equal(put(rig, "key", 1, 0, NOW_S + 5), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).prolonged_total, 0);
    assert_int_equal(put(rig, "key", 1, 0, NOW_S + 20), MKV_STATUS_OK);
    assert_int_equal(rig->answer_count, 1); /* nothing was transferred */
    assert_int_equal(rig_stats(rig).prolonged_total, 1);
    rig_reopen(rig);
    wall_to(rig, NOW_S + 19);
    sweep(rig);
    assert_int_equal(get(rig, "key", 1), MKV_STATUS_OK);
    assert_int_equal(put(rig, "key", 1, 0, 0), MKV_STATUS_OK);
    wall_to(rig, NOW_S + 100);
    sweep(rig);
    assert_int_equal(get(rig, "key", 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume_expiry__replacing_put_of_what_is_live__sets_its_expiry(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "key", 1, 0, 0), MKV_STATUS_OK);
    assert_int_equal(put(rig, "key", 1, MKV_PUT_REPLACE, NOW_S + 5), MKV_STATUS_OK);
    assert_int_equal(rig->answer_count, 1);
    rig_reopen(rig);
    wall_to(rig, NOW_S + 5);
    assert_int_equal(get(rig, "key", 1), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

static void test_volume_expiry__expired_but_on_the_drive__is_as_good_as_absent(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "same", 1, 0, NOW_S + 1), MKV_STATUS_OK);
    assert_int_equal(put(rig, "other", 1, 0, NOW_S + 1), MKV_STATUS_OK);
    assert_int_equal(put(rig, "gone", 1, 0, NOW_S + 1), MKV_STATUS_OK);
    sweep(rig); /* the next pass is a while away */
    rig->wall_ms = (NOW_S + 1) * 1000;
    /* The same content is stored anew, other content meets no conflict, DELETE finds nothing. */
    assert_int_equal(put(rig, "same", 1, 0, NOW_S + 9), MKV_STATUS_OK);
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(put(rig, "other", 2, 0, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    assert_int_equal(rig_remove(rig, "gone"), MKV_STATUS_NOT_FOUND);
    assert_true(rig_last(rig)->miss == MKV_MISS_EXPIRED || rig_last(rig)->miss == MKV_MISS_UNKNOWN);
    assert_int_equal(get(rig, "same", 1), MKV_STATUS_OK);
    assert_int_equal(get(rig, "other", 2), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).blocks, 2);
    rig_reopen(rig);
    assert_int_equal(get(rig, "same", 1), MKV_STATUS_OK);
    assert_int_equal(get(rig, "gone", 1), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

static void test_volume_expiry__prolonged_before_its_drop__stays(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "key", 1, 0, NOW_S + 1), MKV_STATUS_OK);
    rig->answer_count = 0;
    /* The put has found the block live, and its record is on the way, when its time comes. */
    rig->expiry_s = NOW_S + 50;
    rig_put_begin(rig, "key", LENGTH, 1, 0);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_READ), 1);
    rig_complete(rig, 0, MKV_IO_OK);
    rig->wall_ms = (NOW_S + 1) * 1000;
    rig_tick(rig, 100 * SECOND_NS); /* the pass meets it, and its drop waits for the put */
    rig_find(rig, "key");
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NOT_FOUND);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(get(rig, "key", 1), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).expired_total, 0);
    wall_to(rig, NOW_S + 50);
    sweep(rig);
    assert_int_equal(rig_stats(rig).expired_total, 1);
    rig_destroy(rig);
}

static void test_volume_expiry__expired__is_neither_listed_nor_counted(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "a", 1, 0, NOW_S + 1), MKV_STATUS_OK);
    assert_int_equal(put(rig, "b", 2, 0, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_COUNT, "", NULL, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->count, 2);
    rig->wall_ms = (NOW_S + 1) * 1000;
    rig_list(rig, MKV_MESSAGE_COUNT, "", NULL, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_COUNT_DONE);
    assert_int_equal(rig_last(rig)->count, 1);
    rig_destroy(rig);
}

static enum mkv_status expire(struct rig *rig, const char *key, uint32_t expiry_s) {
    rig->answer_count = 0;
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE,
        .data = (const uint8_t *)key,
        .data_bytes = (uint32_t)strlen(key),
        .message = {.kind = MKV_MESSAGE_EXPIRE,
                    .tenant = rig->tenant,
                    .data_bytes = (uint32_t)strlen(key),
                    .expiry_s = expiry_s},
    };
    rig_step(rig, &input);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_EXPIRE_DONE);
    return rig_last(rig)->status;
}

static void test_volume_expire__of_what_is_live__is_durable(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(expire(rig, "key", NOW_S + 5), MKV_STATUS_NOT_FOUND);
    assert_int_equal(put(rig, "key", 1, 0, NOW_S + 50), MKV_STATUS_OK);
    assert_int_equal(expire(rig, "key", NOW_S + 5), MKV_STATUS_OK); /* sooner */
    const uint32_t writes = rig->writes_total;
    assert_int_equal(expire(rig, "key", NOW_S + 5), MKV_STATUS_OK); /* which it has */
    assert_int_equal(rig->writes_total, writes);
    rig_reopen(rig);
    assert_int_equal(rig_exists(rig, "key"), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->expiry_s, NOW_S + 5);
    assert_int_equal(expire(rig, "key", 0), MKV_STATUS_OK);
    rig_reopen(rig);
    wall_to(rig, NOW_S + 100);
    sweep(rig);
    assert_int_equal(get(rig, "key", 1), MKV_STATUS_OK);
    assert_int_equal(expire(rig, "key", NOW_S + 100), MKV_STATUS_OK); /* now */
    assert_int_equal(get(rig, "key", 1), MKV_STATUS_NOT_FOUND);
    assert_int_equal(expire(rig, "key", 0), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

static void test_volume_expire__header_is_rotten__finds_nothing_and_drops_it(void **state) {
    (void)state;
    struct rig *rig = rig_at_now();
    assert_int_equal(put(rig, "key", 1, 0, 0), MKV_STATUS_OK);
    rig_unit(rig, rig_block(rig, LENGTH / 4096).lba)[100] ^= 1;
    assert_int_equal(expire(rig, "key", NOW_S + 5), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_stats(rig).blocks, 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume_expiry__time_is_over__is_a_miss_at_once_and_dropped_behind_it),
        cmocka_unit_test(test_volume_expiry__clock_set_back__brings_nothing_back),
        cmocka_unit_test(test_volume_expiry__reopened__is_still_known),
        cmocka_unit_test(test_volume_expiry__put_of_what_is_live__prolongs_and_never_shortens),
        cmocka_unit_test(test_volume_expiry__replacing_put_of_what_is_live__sets_its_expiry),
        cmocka_unit_test(test_volume_expiry__expired_but_on_the_drive__is_as_good_as_absent),
        cmocka_unit_test(test_volume_expiry__prolonged_before_its_drop__stays),
        cmocka_unit_test(test_volume_expiry__expired__is_neither_listed_nor_counted),
        cmocka_unit_test(test_volume_expire__of_what_is_live__is_durable),
        cmocka_unit_test(test_volume_expire__header_is_rotten__finds_nothing_and_drops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
