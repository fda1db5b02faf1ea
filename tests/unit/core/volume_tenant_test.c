/* SPDX-License-Identifier: Apache-2.0 */
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

/* A rig with tenant 5, which the messages then name. */
static struct rig *rig_with_tenant(void) {
    struct rig *rig = rig_create();
    assert_int_equal(rig_tenant(rig, 5, "batch"), MKV_STATUS_OK);
    rig->tenant = 5;
    return rig;
}

static enum mkv_status drop(struct rig *rig, uint32_t id) {
    rig_tenant_drop_begin(rig, id);
    rig_settle(rig);
    return rig_last(rig)->status;
}

static void test_volume__tenant_that_was_never_created__has_and_takes_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->tenant = 5;
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_FORBIDDEN);
    assert_int_equal(rig_remove(rig, "k"), MKV_STATUS_FORBIDDEN);
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_UNKNOWN);
    rig_destroy(rig);
}

static void test_volume__same_key_of_two_tenants__two_blocks(void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig->tenant = MKV_TENANT_DEFAULT;
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_put(rig, "k", 6000, 2, 0), MKV_STATUS_OK);
    assert_int_equal(rig_get(rig, "k", 0, 0, 2), MKV_STATUS_OK);
    rig->tenant = 5;
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__tenant_created_again__ok_with_its_name_only(void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    assert_int_equal(rig_tenant(rig, 5, "batch"), MKV_STATUS_OK);
    assert_int_equal(rig_tenant(rig, 5, "other"), MKV_STATUS_CONFLICT);
    assert_int_equal(rig_tenant(rig, 4, "late"), MKV_STATUS_CONFLICT); /* below one given before */
    assert_int_equal(rig_stats(rig).tenants, 2);
    rig_destroy(rig);
}

static void test_volume__tenant_dropped__hidden_at_once_swept_and_never_back(void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    char key[8] = "k0";
    for (uint32_t index = 0; index < 6; index++) {
        key[1] = (char)('0' + index);
        assert_int_equal(rig_put(rig, key, 5000, index, 0), MKV_STATUS_OK);
    }
    rig->tenant = MKV_TENANT_DEFAULT;
    assert_int_equal(rig_put(rig, "k0", 5000, 9, 0), MKV_STATUS_OK);
    assert_int_equal(drop(rig, 5), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).tenants_dropped, 0); /* swept */
    assert_int_equal(rig_stats(rig).blocks, 1);
    assert_int_equal(rig_event(rig, MKV_EVENT_TENANT_SWEPT)->value[0], 5);
    assert_int_equal(rig_get(rig, "k0", 0, 0, 9), MKV_STATUS_OK);
    rig->tenant = 5;
    assert_int_equal(rig_exists(rig, "k0"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_DELETED);
    assert_int_equal(rig_put(rig, "k0", 5000, 1, 0), MKV_STATUS_FORBIDDEN);
    assert_int_equal(drop(rig, 5), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_tenant(rig, 5, "batch"), MKV_STATUS_CONFLICT);
    assert_int_equal(rig_tenant(rig, 6, "batch"), MKV_STATUS_OK);
    rig_reopen(rig);
    assert_int_equal(rig_exists(rig, "k0"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_stats(rig).blocks, 1);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static struct mkv_volume_tenant tenant_of(struct rig *rig, uint32_t id) {
    struct mkv_volume_tenant tenant = {0};
    uint32_t cursor = 0;
    while (mkv_volume_next_tenant(rig->volume, &cursor, &tenant) && tenant.id != id) {
    }
    assert_int_equal(tenant.id, id);
    return tenant;
}

static void test_volume__blocks_of_two_tenants__counted_apart_and_again_after_a_restart(
    void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    assert_int_equal(rig_put(rig, "a", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "b", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "a", 5000, 2, MKV_PUT_REPLACE), MKV_STATUS_OK);
    rig->tenant = MKV_TENANT_DEFAULT;
    assert_int_equal(rig_put(rig, "a", 5000, 3, 0), MKV_STATUS_OK);
    for (uint32_t opening = 0; opening < 2; opening++) {
        const struct mkv_volume_tenant first = tenant_of(rig, MKV_TENANT_DEFAULT);
        const struct mkv_volume_tenant batch = tenant_of(rig, 5);
        assert_int_equal(first.blocks, 1);
        assert_int_equal(batch.blocks, 2);
        assert_true(batch.live);
        assert_int_equal(batch.bytes, 2 * first.bytes);
        assert_int_equal(first.bytes + batch.bytes, rig_stats(rig).bytes_used);
        assert_int_equal(batch.name_bytes, 5);
        assert_memory_equal(batch.name, "batch", 5);
        rig_reopen(rig);
    }
    rig->tenant = 5;
    assert_int_equal(rig_remove(rig, "a"), MKV_STATUS_OK);
    assert_int_equal(tenant_of(rig, 5).blocks, 1);
    assert_int_equal(mkv_volume_tenant_id_max(rig->volume), 5);
    rig_destroy(rig);
}

static void test_volume__quota_of_a_tenant__puts_that_would_pass_it_are_refused(void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    assert_int_equal(rig_put(rig, "a", 5000, 1, 0), MKV_STATUS_OK);
    const uint64_t one = tenant_of(rig, 5).bytes;
    assert_int_equal(rig_tenant_quota(rig, 5, "batch", 2 * one / MKV_UNIT_BYTES), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "b", 5000, 2, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "c", 5000, 3, 0), MKV_STATUS_QUOTA);
    assert_int_equal(tenant_of(rig, 5).quota_rejections_total, 1);
    assert_int_equal(tenant_of(rig, 5).quota_bytes, 2 * one);
    assert_int_equal(tenant_of(rig, 5).writes_total, 2);
    /* What is there already needs no room, and what takes its place no more than it. */
    assert_int_equal(rig_put(rig, "b", 5000, 2, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "b", 5000, 4, MKV_PUT_REPLACE), MKV_STATUS_OK);
    /* Other tenants have their own. */
    rig->tenant = MKV_TENANT_DEFAULT;
    assert_int_equal(rig_put(rig, "c", 5000, 3, 0), MKV_STATUS_OK);
    rig->tenant = 5;
    assert_int_equal(rig_remove(rig, "a"), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "c", 5000, 3, 0), MKV_STATUS_OK);
    assert_int_equal(rig_tenant_quota(rig, 5, "batch", 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "d", 5000, 3, 0), MKV_STATUS_OK);
    rig_destroy(rig);
}

/* The process dies when the drop is durable and nothing is swept: the next one goes on. */
static void test_volume__killed_before_the_sweep__hidden_and_swept_after_the_restart(void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_tenant_drop_begin(rig, 5);
    while (rig->answer_count == 0) {
        rig_complete(rig, 0, MKV_IO_OK);
    }
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).blocks, 1);
    rig_reopen(rig);
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).blocks, 0);
    assert_int_equal(rig_stats(rig).tenants_dropped, 0);
    rig_destroy(rig);
}

static void test_volume__checkpoint_while_a_tenant_is_dropped__keeps_it_dropped(void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_tenant_drop_begin(rig, 5);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_DELETED);
    assert_int_equal(rig_stats(rig).tenants, 1);
    rig_destroy(rig);
}

static void test_volume__put_in_flight_under_a_drop__is_refused_and_gives_its_slot_back(
    void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    assert_int_equal(rig_put(rig, "first", 5000, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_put_begin(rig, "k", 5000, 1, 0);
    rig_put_begin(rig, "k", 5000, 2, MKV_PUT_REPLACE); /* waits behind it */
    rig_settle(rig);
    rig_put_write(rig, rig->answers[0].volume_op, 0, 5000, 1);
    rig_tenant_drop_begin(rig, 5);
    rig->answer_count = 0;
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 3);
    uint32_t forbidden = 0;
    for (uint32_t index = 0; index < rig->answer_count; index++) {
        const bool put = rig->answers[index].kind == MKV_MESSAGE_PUT_DONE;
        forbidden += put && rig->answers[index].status == MKV_STATUS_FORBIDDEN;
    }
    assert_int_equal(forbidden, 2);
    assert_int_equal(rig_stats(rig).slots_used, 0);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume__drops_of_two_tenants__one_after_the_other(void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    assert_int_equal(rig_tenant(rig, 6, "other"), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_tenant_drop_begin(rig, 5);
    rig_tenant_drop_begin(rig, 6);
    rig_tenant_drop_begin(rig, 5);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 3);
    assert_int_equal(rig->answers[0].status, MKV_STATUS_OK);
    assert_int_equal(rig->answers[1].status, MKV_STATUS_OK);
    assert_int_equal(rig->answers[2].status, MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_stats(rig).blocks, 0);
    assert_int_equal(rig_stats(rig).tenants, 1);
    rig_destroy(rig);
}

static void test_volume__drive_fails_under_a_tenant_drop__both_waiters_answered(void **state) {
    (void)state;
    struct rig *rig = rig_with_tenant();
    rig->answer_count = 0;
    rig_tenant_drop_begin(rig, 5);
    rig_tenant_drop_begin(rig, 5);
    rig_complete(rig, 0, MKV_IO_DEVICE);
    rig_settle(rig);
    assert_true(rig->drive_failed);
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(rig->answers[0].status, MKV_STATUS_UNKNOWN);
    assert_int_equal(rig->answers[1].status, MKV_STATUS_UNAVAILABLE);
    rig_destroy(rig);
}

/* So many extents have a class that recovery takes several steps over their pages. */
static void test_open__more_pages_than_a_step_takes__counts_every_block(void **state) {
    (void)state;
    struct rig *rig = rig_create_raw(16, 128 * MKV_PAGE_SLOTS, 16);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    rig_settle(rig);
    char key[16];
    uint32_t count = 0;
    for (; rig_stats(rig).extents_free > 2; count++) {
        snprintf(key, sizeof key, "k%u", (unsigned)count);
        assert_int_equal(rig_put(rig, key, 12288, count, 0), MKV_STATUS_OK);
        rig->event_count = 0;
    }
    assert_true(rig_stats(rig).extents_total > 64);
    struct mkv_volume_tenant before;
    struct mkv_volume_tenant after;
    uint32_t cursor = 0;
    assert_true(mkv_volume_next_tenant(rig->volume, &cursor, &before));
    /* From pages alone: a replayed EXTENT would say what an extent is. */
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig).blocks, count);
    cursor = 0;
    assert_true(mkv_volume_next_tenant(rig->volume, &cursor, &after));
    assert_int_equal(after.blocks, count);
    assert_int_equal(after.blocks, before.blocks);
    rig_destroy(rig);
}

/* Ticks that an opening takes, with steps that do so little. */
static uint32_t ticks_to_open(struct rig *rig, uint32_t pages, uint32_t slots, uint32_t bytes) {
    rig->config.step_pages = pages;
    rig->config.step_slots = slots;
    rig->config.step_clear_bytes = bytes;
    rig->queue_count = 0;
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    uint32_t ticks = 0;
    while (rig->queue_count > 0 || mkv_volume_has_work(rig->volume)) {
        if (rig->queue_count > 0) {
            rig_complete(rig, 0, MKV_IO_OK);
        } else {
            rig_tick(rig, 0);
            ticks++;
        }
        assert_true(ticks < 100000);
    }
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_SERVING);
    return ticks;
}

static void test_open__steps_of_one_page_and_slot__take_more_and_end_the_same(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "a", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "b", 9000, 2, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "c", 200, 3, 0), MKV_STATUS_OK);
    const uint32_t usual = ticks_to_open(rig, 0, 0, 0);
    const uint64_t hash = mkv_volume_durable_hash(rig->volume);
    /* Each of the three classes has a page, which is linked, then counted. */
    assert_true(ticks_to_open(rig, 1, 0, 0) >= usual + 4);
    assert_int_equal(rig_stats(rig).blocks, 3);
    assert_true(mkv_volume_durable_hash(rig->volume) == hash);
    assert_true(ticks_to_open(rig, 0, 1, 0) > usual);
    assert_true(ticks_to_open(rig, 0, 0, 64) > usual + 16);
    assert_true(mkv_volume_durable_hash(rig->volume) == hash);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume__tenant_that_was_never_created__has_and_takes_nothing),
        cmocka_unit_test(test_volume__same_key_of_two_tenants__two_blocks),
        cmocka_unit_test(test_volume__tenant_created_again__ok_with_its_name_only),
        cmocka_unit_test(
            test_volume__blocks_of_two_tenants__counted_apart_and_again_after_a_restart),
        cmocka_unit_test(test_volume__quota_of_a_tenant__puts_that_would_pass_it_are_refused),
        cmocka_unit_test(test_volume__tenant_dropped__hidden_at_once_swept_and_never_back),
        cmocka_unit_test(test_volume__killed_before_the_sweep__hidden_and_swept_after_the_restart),
        cmocka_unit_test(test_volume__checkpoint_while_a_tenant_is_dropped__keeps_it_dropped),
        cmocka_unit_test(
            test_volume__put_in_flight_under_a_drop__is_refused_and_gives_its_slot_back),
        cmocka_unit_test(test_volume__drops_of_two_tenants__one_after_the_other),
        cmocka_unit_test(test_volume__drive_fails_under_a_tenant_drop__both_waiters_answered),
        cmocka_unit_test(test_open__more_pages_than_a_step_takes__counts_every_block),
        cmocka_unit_test(test_open__steps_of_one_page_and_slot__take_more_and_end_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
