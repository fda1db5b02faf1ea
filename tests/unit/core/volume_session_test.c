/* SPDX-License-Identifier: Apache-2.0 */
/* Retention tiers, and sessions that move blocks down. */
#include "core/volume_session.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define LENGTH 65536u
#define EXTENT_UNITS 68u
#define SECOND_NS 1000000000ull

static const char *key_of(uint32_t number) {
    static char key[16];
    snprintf(key, sizeof key, "k%u", number);
    return key;
}

/* A store that evicts, empty. */
static struct rig *rig_empty(uint32_t session_max, uint32_t block_max) {
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, EXTENT_UNITS);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig->config.eviction = true;
    rig->config.evict_ready_divisor = 1000;
    rig->config.session_max = session_max;
    rig->config.session_block_max = block_max;
    rig_reopen(rig);
    return rig;
}

/* A put of block `number` in a tier, and of a session. */
static void put(struct rig *rig, uint32_t number, enum mkv_tier tier, uint64_t session) {
    rig->tier_hint = tier + 1u;
    rig->session = session;
    assert_int_equal(rig_put(rig, key_of(number), LENGTH, number, 0), MKV_STATUS_OK);
    rig->tier_hint = 0;
    rig->session = 0;
    rig->event_count = 0;
}

static uint32_t slots_of(const struct rig *rig) {
    return rig_stats(rig).extents_total * (EXTENT_UNITS / (1 + LENGTH / MKV_UNIT_BYTES));
}

static bool has(struct rig *rig, uint32_t number) {
    rig->answer_count = 0;
    return rig_exists(rig, key_of(number)) == MKV_STATUS_OK;
}

static uint32_t in_tier(const struct rig *rig, enum mkv_tier tier) {
    return (uint32_t)rig_stats(rig).blocks_by_tier[tier];
}

static uint32_t demoted(const struct rig *rig, enum mkv_demotion cause) {
    return (uint32_t)rig_stats(rig).demotions_total[cause];
}

static void settle(struct rig *rig) {
    rig_settle(rig);
    mkv_volume_check(rig->volume);
}

static void test_volume_tiers__full_store__evicts_them_in_their_order(void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    const uint32_t slots = slots_of(rig);
    const uint32_t each = slots / 4;
    /* The highest first, so that age alone would evict them in the other order. */
    static const enum mkv_tier tiers[] = {MKV_TIER_OUTPUT_CRITICAL, MKV_TIER_THINK_ACTIVE,
                                          MKV_TIER_UNHINTED, MKV_TIER_THINK_COMPLETE};
    for (uint32_t number = 0; number < slots; number++) {
        put(rig, number, tiers[number * 4 / slots], 0);
    }
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_COMPLETE), each);
    for (uint32_t number = 0; number < 3 * each; number++) {
        put(rig, slots + number, MKV_TIER_OUTPUT_CRITICAL, 0);
        const struct mkv_volume_stats stats = rig_stats(rig);
        const uint32_t done = number + 1;
        assert_int_equal(stats.evictions_by_tier[0], mkv_min_u64(done, each));
        assert_int_equal(stats.evictions_by_tier[1],
                         done <= each ? 0 : mkv_min_u64(done - each, each));
        assert_int_equal(stats.evictions_by_tier[2], done <= 2 * each ? 0 : done - 2 * each);
        assert_int_equal(stats.evictions_by_tier[3], 0);
    }
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_session__exit_think__demotes_what_was_stored_while_thinking(void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    assert_int_equal(rig_session(rig, MKV_SESSION_EXIT_THINK, 7), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_session(rig, MKV_SESSION_BEGIN, 7), MKV_STATUS_OK);
    put(rig, 0, MKV_TIER_THINK_ACTIVE, 7);
    put(rig, 1, MKV_TIER_THINK_ACTIVE, 7);
    put(rig, 2, MKV_TIER_OUTPUT_CRITICAL, 7);
    put(rig, 3, MKV_TIER_UNHINTED, 7);
    put(rig, 4, MKV_TIER_THINK_ACTIVE, 8);
    put(rig, 5, MKV_TIER_THINK_ACTIVE, 0);
    assert_int_equal(rig_stats(rig).sessions, 2);
    assert_int_equal(rig_stats(rig).session_blocks, 5);
    assert_int_equal(rig_session(rig, MKV_SESSION_EXIT_THINK, 7), MKV_STATUS_OK);
    settle(rig);
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_COMPLETE), 2);
    assert_int_equal(in_tier(rig, MKV_TIER_UNHINTED), 1);
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_ACTIVE), 2);
    assert_int_equal(in_tier(rig, MKV_TIER_OUTPUT_CRITICAL), 1);
    assert_int_equal(demoted(rig, MKV_DEMOTION_EXIT_THINK), 2);
    /* What it stores behind that is of the tier that it names; touching promotes nothing. */
    put(rig, 6, MKV_TIER_THINK_ACTIVE, 7);
    put(rig, 0, MKV_TIER_THINK_ACTIVE, 7);
    assert_true(has(rig, 1));
    settle(rig);
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_ACTIVE), 3);
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_COMPLETE), 2);
    assert_int_equal(rig_stats(rig).session_blocks, 6);
    rig_destroy(rig);
}

static void test_volume_session__put_begun_before_exit__is_demoted_behind_it(void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    rig->tier_hint = MKV_TIER_THINK_ACTIVE + 1u;
    rig->session = 7;
    rig_put_begin(rig, "slow", LENGTH, 1, 0);
    rig_settle(rig);
    const struct mkv_op_id op = rig_last(rig)->volume_op;
    rig->session = 8;
    rig_put_begin(rig, "other", LENGTH, 2, 0);
    rig_settle(rig);
    const struct mkv_op_id other = rig_last(rig)->volume_op;
    assert_int_equal(rig_session(rig, MKV_SESSION_EXIT_THINK, 7), MKV_STATUS_OK);
    rig_put_write(rig, op, 0, LENGTH, 1);
    settle(rig);
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_COMPLETE), 1);
    assert_int_equal(rig_stats(rig).session_blocks, 1);
    /* And one whose session is over, and begun anew, belongs to none. */
    assert_int_equal(rig_session(rig, MKV_SESSION_END, 8), MKV_STATUS_OK);
    assert_int_equal(rig_session(rig, MKV_SESSION_BEGIN, 8), MKV_STATUS_OK);
    rig_put_write(rig, other, 0, LENGTH, 2);
    settle(rig);
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_COMPLETE), 2);
    assert_int_equal(demoted(rig, MKV_DEMOTION_SESSION_END), 1);
    assert_int_equal(rig_stats(rig).session_blocks, 1);
    rig_destroy(rig);
}

static void test_volume_session__end__demotes_all_its_blocks_and_no_others(void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    put(rig, 0, MKV_TIER_OUTPUT_CRITICAL, 7);
    put(rig, 1, MKV_TIER_UNHINTED, 7);
    put(rig, 2, MKV_TIER_THINK_COMPLETE, 7);
    put(rig, 3, MKV_TIER_OUTPUT_CRITICAL, 8);
    assert_int_equal(rig_session(rig, MKV_SESSION_END, 7), MKV_STATUS_OK);
    settle(rig);
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_COMPLETE), 3);
    assert_int_equal(in_tier(rig, MKV_TIER_OUTPUT_CRITICAL), 1);
    assert_int_equal(demoted(rig, MKV_DEMOTION_SESSION_END), 2);
    assert_int_equal(rig_stats(rig).sessions, 1);
    assert_int_equal(rig_stats(rig).session_blocks, 1);
    assert_int_equal(rig_session(rig, MKV_SESSION_END, 7), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

static void test_volume_session__tenants__have_sessions_of_their_own(void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    assert_int_equal(rig_tenant(rig, 5, "five"), MKV_STATUS_OK);
    put(rig, 0, MKV_TIER_OUTPUT_CRITICAL, 7);
    rig->tenant = 5;
    put(rig, 1, MKV_TIER_OUTPUT_CRITICAL, 7);
    assert_int_equal(rig_stats(rig).sessions, 2);
    assert_int_equal(rig_session(rig, MKV_SESSION_END, 7), MKV_STATUS_OK);
    settle(rig);
    assert_int_equal(in_tier(rig, MKV_TIER_OUTPUT_CRITICAL), 1);
    rig->tenant = MKV_NONE_U32; /* a name that nobody has put anything under */
    assert_int_equal(rig_session(rig, MKV_SESSION_BEGIN, 7), MKV_STATUS_OK);
    assert_int_equal(rig_session(rig, MKV_SESSION_END, 7), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_stats(rig).sessions, 1);
    rig_destroy(rig);
}

static void test_volume_session__freed__its_blocks_leave_durably_and_leased_ones_stay(
    void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    const uint32_t count = 40; /* more than evictions that are on their way at a time */
    for (uint32_t number = 0; number < count; number++) {
        put(rig, number, MKV_TIER_OUTPUT_CRITICAL, 7);
    }
    put(rig, count, MKV_TIER_OUTPUT_CRITICAL, 8);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, key_of(3), 9 * SECOND_NS, 0), MKV_STATUS_OK);
    assert_int_equal(rig_session(rig, MKV_SESSION_FREE, 7), MKV_STATUS_OK);
    settle(rig);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_int_equal(stats.blocks, 2);
    assert_int_equal(stats.session_blocks_freed_total, count - 1);
    assert_int_equal(stats.evictions_total, 0); /* nothing lacked room */
    assert_int_equal(stats.blocks_by_tier[MKV_TIER_THINK_COMPLETE], 1);
    assert_int_equal(stats.session_blocks, 1);
    assert_true(has(rig, 3));
    rig_reopen(rig);
    assert_false(has(rig, 0));
    assert_true(has(rig, 3));
    assert_true(has(rig, count));
    rig_destroy(rig);
}

static void test_volume_session__idle__ends_when_its_time_is_over(void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    put(rig, 0, MKV_TIER_OUTPUT_CRITICAL, 7);
    put(rig, 1, MKV_TIER_OUTPUT_CRITICAL, 8);
    rig_tick(rig, 40 * SECOND_NS);
    assert_int_equal(rig_session(rig, MKV_SESSION_BEGIN, 8), MKV_STATUS_OK); /* it is used */
    rig_tick(rig, 19 * SECOND_NS);
    assert_int_equal(rig_stats(rig).sessions, 2);
    rig_tick(rig, SECOND_NS);
    settle(rig);
    assert_int_equal(rig_stats(rig).sessions, 1);
    assert_int_equal(rig_stats(rig).sessions_reaped_total, 1);
    assert_int_equal(demoted(rig, MKV_DEMOTION_IDLE), 1);
    rig_tick(rig, 40 * SECOND_NS);
    settle(rig);
    assert_int_equal(rig_stats(rig).sessions, 0);
    assert_int_equal(demoted(rig, MKV_DEMOTION_IDLE), 2);
    rig_destroy(rig);
}

static void test_volume_session__no_room__is_not_tracked_and_counted(void **state) {
    (void)state;
    struct rig *rig = rig_empty(2, 3);
    put(rig, 0, MKV_TIER_OUTPUT_CRITICAL, 7);
    put(rig, 1, MKV_TIER_OUTPUT_CRITICAL, 7);
    put(rig, 2, MKV_TIER_OUTPUT_CRITICAL, 8);
    put(rig, 3, MKV_TIER_OUTPUT_CRITICAL, 8); /* no node */
    put(rig, 4, MKV_TIER_OUTPUT_CRITICAL, 9); /* no session */
    assert_int_equal(rig_session(rig, MKV_SESSION_BEGIN, 10), MKV_STATUS_NO_SPACE);
    assert_int_equal(rig_stats(rig).session_blocks_untracked_total, 1);
    assert_int_equal(rig_stats(rig).sessions_untracked_total, 2);
    /* Nodes of blocks that are gone are found when another one is wanted. */
    assert_int_equal(rig_remove(rig, key_of(2)), MKV_STATUS_OK);
    put(rig, 5, MKV_TIER_OUTPUT_CRITICAL, 8);
    assert_int_equal(rig_stats(rig).session_blocks, 3);
    assert_int_equal(rig_stats(rig).session_blocks_untracked_total, 1);
    /* The end of a session makes room for another. */
    assert_int_equal(rig_session(rig, MKV_SESSION_END, 7), MKV_STATUS_OK);
    settle(rig);
    assert_int_equal(rig_session(rig, MKV_SESSION_BEGIN, 10), MKV_STATUS_OK);
    assert_int_equal(demoted(rig, MKV_DEMOTION_SESSION_END), 2);
    settle(rig);
    rig_destroy(rig);
}

static void test_volume_session__slot_of_its_block_holds_another__leaves_that_alone(void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    put(rig, 0, MKV_TIER_OUTPUT_CRITICAL, 7);
    const struct mkv_slot slot = rig_block(rig, LENGTH / MKV_UNIT_BYTES).slot;
    assert_int_equal(rig_remove(rig, key_of(0)), MKV_STATUS_OK);
    put(rig, 1, MKV_TIER_OUTPUT_CRITICAL, 0);
    assert_int_equal(rig_block(rig, LENGTH / MKV_UNIT_BYTES).slot.index, slot.index);
    assert_int_equal(rig_session(rig, MKV_SESSION_FREE, 7), MKV_STATUS_OK);
    settle(rig);
    assert_true(has(rig, 1));
    assert_int_equal(in_tier(rig, MKV_TIER_OUTPUT_CRITICAL), 1);
    assert_int_equal(rig_stats(rig).session_blocks, 0);
    rig_destroy(rig);
}

/* The tier of a put survives, and a demotion does not, whether a checkpoint saw it or the journal
 * alone. */
static void test_volume_session__restart__tiers_are_those_of_the_puts(void **state) {
    (void)state;
    for (uint32_t with_checkpoint = 0; with_checkpoint < 2; with_checkpoint++) {
        struct rig *rig = rig_empty(0, 0);
        put(rig, 0, MKV_TIER_OUTPUT_CRITICAL, 7);
        put(rig, 1, MKV_TIER_THINK_ACTIVE, 7);
        put(rig, 2, MKV_TIER_THINK_COMPLETE, 0);
        put(rig, 3, MKV_TIER_UNHINTED, 0);
        assert_int_equal(rig_session(rig, MKV_SESSION_END, 7), MKV_STATUS_OK);
        settle(rig);
        assert_int_equal(in_tier(rig, MKV_TIER_THINK_COMPLETE), 3);
        const uint64_t hash = mkv_volume_durable_hash(rig->volume);
        if (with_checkpoint) {
            assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
            settle(rig);
        }
        rig_reopen(rig);
        for (uint32_t tier = 0; tier < MKV_TIER_COUNT; tier++) {
            assert_int_equal(in_tier(rig, (enum mkv_tier)tier), 1);
        }
        assert_int_equal(rig_stats(rig).sessions, 0);
        assert_true(mkv_volume_durable_hash(rig->volume) == hash);
        mkv_volume_check(rig->volume);
        rig_destroy(rig);
    }
}

static void test_volume_session__many_blocks__a_step_looks_at_a_bounded_number(void **state) {
    (void)state;
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, EXTENT_UNITS);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    rig->tier_hint = MKV_TIER_THINK_ACTIVE + 1u;
    rig->session = 7;
    for (uint32_t number = 0; number < 600; number++) {
        assert_int_equal(rig_put(rig, key_of(number), 100, number, 0), MKV_STATUS_OK);
    }
    assert_int_equal(rig_session(rig, MKV_SESSION_EXIT_THINK, 7), MKV_STATUS_OK);
    assert_int_equal(demoted(rig, MKV_DEMOTION_EXIT_THINK), 256);
    assert_true(mkv_volume_has_work(rig->volume));
    /* It ends in the middle: those that it has not come to are demoted all the same. */
    assert_int_equal(rig_session(rig, MKV_SESSION_END, 7), MKV_STATUS_OK);
    settle(rig);
    assert_int_equal(in_tier(rig, MKV_TIER_THINK_COMPLETE), 600);
    assert_int_equal(rig_stats(rig).session_blocks, 0);
    assert_false(mkv_volume_has_work(rig->volume));
    rig_destroy(rig);
}

/* A session that is told the same over and over keeps no other one waiting. */
static void test_volume_session__told_again_before_its_job_ends__others_go_on(void **state) {
    (void)state;
    struct rig *rig = rig_empty(0, 0);
    const uint32_t count = 600; /* more than two steps look at */
    for (uint32_t number = 0; number < count; number++) {
        rig->answer_count = 0;
        rig->session = 7;
        assert_int_equal(rig_put(rig, key_of(number), 100, number, 0), MKV_STATUS_OK);
    }
    put(rig, count, MKV_TIER_OUTPUT_CRITICAL, 8);
    rig->answer_count = 0;
    assert_int_equal(rig_session(rig, MKV_SESSION_EXIT_THINK, 7), MKV_STATUS_OK);
    assert_int_equal(rig_session(rig, MKV_SESSION_END, 8), MKV_STATUS_OK);
    for (uint32_t turn = 0; turn < 20; turn++) {
        assert_int_equal(rig_session(rig, MKV_SESSION_EXIT_THINK, 7), MKV_STATUS_OK);
    }
    assert_int_equal(demoted(rig, MKV_DEMOTION_SESSION_END), 1);
    settle(rig);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume_tiers__full_store__evicts_them_in_their_order),
        cmocka_unit_test(test_volume_session__exit_think__demotes_what_was_stored_while_thinking),
        cmocka_unit_test(test_volume_session__put_begun_before_exit__is_demoted_behind_it),
        cmocka_unit_test(test_volume_session__end__demotes_all_its_blocks_and_no_others),
        cmocka_unit_test(test_volume_session__tenants__have_sessions_of_their_own),
        cmocka_unit_test(test_volume_session__freed__its_blocks_leave_durably_and_leased_ones_stay),
        cmocka_unit_test(test_volume_session__idle__ends_when_its_time_is_over),
        cmocka_unit_test(test_volume_session__no_room__is_not_tracked_and_counted),
        cmocka_unit_test(test_volume_session__slot_of_its_block_holds_another__leaves_that_alone),
        cmocka_unit_test(test_volume_session__restart__tiers_are_those_of_the_puts),
        cmocka_unit_test(test_volume_session__many_blocks__a_step_looks_at_a_bounded_number),
        cmocka_unit_test(test_volume_session__told_again_before_its_job_ends__others_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
