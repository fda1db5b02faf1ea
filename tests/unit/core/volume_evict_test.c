/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that make room for puts. */
#include "core/journal_block.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define LENGTH 65536u
#define EXTENT_UNITS 68u
#define HELD_MAX 15u

static const char *key_of(uint32_t number) {
    static char key[16];
    snprintf(key, sizeof key, "k%u", number);
    return key;
}

/* A store that evicts, filled with k0, k1, ... of one size, of which none was evicted yet. */
static struct rig *rig_full(uint32_t ready_divisor, uint32_t *count) {
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, EXTENT_UNITS);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig->config.eviction = true;
    rig->config.evict_ready_divisor = ready_divisor;
    rig_reopen(rig);
    const struct mkv_volume_stats stats = rig_stats(rig);
    const uint32_t slots = stats.extents_total * (EXTENT_UNITS / (1 + LENGTH / MKV_UNIT_BYTES));
    assert_true(slots > HELD_MAX);
    for (*count = 0; *count < slots; ++*count) {
        assert_int_equal(rig_put(rig, key_of(*count), LENGTH, *count, 0), MKV_STATUS_OK);
        rig->answer_count = 0;
        rig->event_count = 0;
    }
    assert_int_equal(rig_stats(rig).evictions_total, 0);
    assert_int_equal(rig_stats(rig).blocks, slots);
    return rig;
}

static bool has(struct rig *rig, uint32_t number) {
    const bool found = rig_get(rig, key_of(number), 0, 0, number) == MKV_STATUS_OK;
    rig->answer_count = 0;
    return found;
}

/* Holds a block, and says by which operation. */
static struct mkv_op_id hold(struct rig *rig, uint32_t number) {
    rig_find(rig, key_of(number));
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    return rig_last(rig)->volume_op;
}

static void release(struct rig *rig, struct mkv_op_id op) {
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    input.message = (struct mkv_message){.kind = MKV_MESSAGE_RELEASE, .volume_op = op};
    rig_step(rig, &input);
}

static void test_volume_evict__full_store__a_put_takes_the_oldest_blocks_place(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(1000, &count);
    assert_int_equal(rig_put(rig, "new", LENGTH, 7, 0), MKV_STATUS_OK);
    const struct mkv_event *event = rig_event(rig, MKV_EVENT_BLOCK_EVICTED);
    assert_non_null(event);
    assert_int_equal(event->value[2], MKV_EVICTION_FOR_ROOM);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_int_equal(stats.evictions_total, 1);
    assert_int_equal(stats.evictions_capacity_total, 1);
    assert_int_equal(stats.evictions_rebalance_total, 0);
    assert_int_equal(stats.evictions_by_tier[1], 1);
    assert_int_equal(rig_get(rig, "new", 0, 0, 7), MKV_STATUS_OK);
    assert_false(has(rig, 0));
    for (uint32_t number = 1; number < count; number++) {
        assert_true(has(rig, number));
    }
    mkv_volume_check(rig->volume);
    rig_reopen(rig);
    mkv_volume_check(rig->volume);
    assert_int_equal(rig_get(rig, "new", 0, 0, 7), MKV_STATUS_OK);
    assert_false(has(rig, 0));
    rig_destroy(rig);
}

static void test_volume_evict__three_times_what_fits__every_put_succeeds(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(8, &count);
    for (uint32_t number = count; number < 4 * count; number++) {
        assert_int_equal(rig_put(rig, key_of(number), LENGTH, number, 0), MKV_STATUS_OK);
        assert_true(has(rig, number));
        rig->event_count = 0;
    }
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_in_range(stats.blocks, count - count / 4, count);
    assert_int_equal(stats.evictions_total, 4 * count - stats.blocks);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_evict__ready_slots__a_put_does_not_wait(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(8, &count);
    assert_int_equal(rig_put(rig, "a", LENGTH, 1, 0), MKV_STATUS_OK);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).slots_free, count / 8);
    rig_put_begin(rig, "b", LENGTH, 2, 0);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_destroy(rig);
}

#define SMALL_LENGTH 4096u
#define WAITING 10u

/* Both sizes have half of the extents, are full, and keep nothing ready. */
static struct rig *rig_of_two_sizes(void) {
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, EXTENT_UNITS);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig->config.eviction = true;
    rig->config.never_empties = true;
    rig->config.evict_ready_divisor = 1000;
    rig_reopen(rig);
    const uint32_t extents = rig_stats(rig).extents_total;
    const uint32_t large = extents / 2 * (EXTENT_UNITS / (1 + LENGTH / MKV_UNIT_BYTES));
    const uint32_t small = (extents - extents / 2) * (EXTENT_UNITS / 2);
    for (uint32_t number = 0; number < large + small; number++) {
        assert_int_equal(
            rig_put(rig, key_of(number), number < large ? LENGTH : SMALL_LENGTH, number, 0),
            MKV_STATUS_OK);
        rig->answer_count = 0;
        rig->event_count = 0;
    }
    assert_int_equal(rig_stats(rig).evictions_total, 0);
    assert_int_equal(rig_put(rig, "large", LENGTH, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "small", SMALL_LENGTH, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).evictions_total, 2);
    return rig;
}

/* Drops that make room for one size are none for another, which would wait until there is a moment
 * without any. */
static void test_volume_evict__drops_of_another_size_on_their_way__a_put_has_its_own(void **state) {
    (void)state;
    struct rig *rig = rig_of_two_sizes();
    for (uint32_t number = 0; number < WAITING; number++) {
        rig_put_begin(rig, key_of(10000 + number), LENGTH, number, 0);
    }
    assert_int_equal(rig_stats(rig).evictions_pending, WAITING);
    rig_put_begin(rig, "s", SMALL_LENGTH, 1, 0);
    assert_int_equal(rig_stats(rig).evictions_pending, WAITING + 1);
    rig->answer_count = 0;
    rig_settle(rig);
    assert_int_equal(rig->answer_count, WAITING + 1);
    assert_int_equal(rig_stats(rig).evictions_total, 2 + WAITING + 1);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_evict__evicted_key__its_miss_says_so(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(1000, &count);
    assert_int_equal(rig_put(rig, "new", LENGTH, 7, 0), MKV_STATUS_OK);
    rig_find(rig, key_of(0));
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_EVICTED);
    assert_int_equal(rig_exists(rig, key_of(0)), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_EVICTED);
    rig_find(rig, "never stored");
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_UNKNOWN);
    /* It is back, and then removed by whoever wanted that. */
    assert_int_equal(rig_put(rig, key_of(0), LENGTH, 0, 0), MKV_STATUS_OK);
    assert_int_equal(rig_remove(rig, key_of(0)), MKV_STATUS_OK);
    rig_find(rig, key_of(0));
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_UNKNOWN);
    rig_destroy(rig);
}

static void test_volume_evict__block_in_use__stays_while_others_go(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(1000, &count);
    for (uint32_t number = count; number < 3 * count; number++) {
        assert_int_equal(rig_exists(rig, key_of(3)), MKV_STATUS_OK);
        assert_int_equal(rig_put(rig, key_of(number), LENGTH, number, 0), MKV_STATUS_OK);
        rig->answer_count = 0;
        rig->event_count = 0;
    }
    assert_true(has(rig, 3));
    assert_false(has(rig, 4));
    rig_destroy(rig);
}

static void test_volume_evict__drop_not_durable__its_slot_is_not_given_out(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(1000, &count);
    rig_put_begin(rig, "new", LENGTH, 7, 0);
    assert_int_equal(rig->answer_count, 0);
    /* The journal block, its other copy, the flush. */
    for (uint32_t done = 0; done < 3; done++) {
        assert_int_equal(rig->answer_count, 0);
        assert_true(rig->queue_count > 0);
        rig_complete(rig, 0, MKV_IO_OK);
    }
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_destroy(rig);
}

static void test_volume_evict__held_blocks__are_no_victims(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(1000, &count);
    struct mkv_op_id held[HELD_MAX - 1];
    for (uint32_t number = 0; number < HELD_MAX - 1; number++) {
        held[number] = hold(rig, number);
    }
    assert_int_equal(rig_put(rig, "new", LENGTH, 7, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "newer", LENGTH, 8, 0), MKV_STATUS_OK);
    for (uint32_t number = 0; number < HELD_MAX - 1; number++) {
        release(rig, held[number]);
    }
    for (uint32_t number = 0; number < HELD_MAX - 1; number++) {
        assert_true(has(rig, number));
    }
    assert_false(has(rig, HELD_MAX - 1));
    rig_destroy(rig);
}

/* Four slots only: one extent is all that the store has. */
static struct rig *rig_tiny(void) {
    struct rig *rig = rig_create_raw(64, MKV_PAGE_SLOTS, EXTENT_UNITS);
    rig->config.geometry.capacity_units -=
        (uint64_t)(rig->config.geometry.extent_count - 1) * EXTENT_UNITS;
    rig->config.geometry.extent_count = 1;
    rig->config.geometry.page_count = 1;
    assert_true(mkv_geometry_valid(&rig->config.geometry));
    rig->config.eviction = true;
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    for (uint32_t number = 0; number < 4; number++) {
        assert_int_equal(rig_put(rig, key_of(number), LENGTH, number, 0), MKV_STATUS_OK);
    }
    return rig;
}

static void test_volume_evict__all_held__a_put_waits_for_the_first_release(void **state) {
    (void)state;
    struct rig *rig = rig_tiny();
    struct mkv_op_id held[4];
    for (uint32_t number = 0; number < 4; number++) {
        held[number] = hold(rig, number);
    }
    rig->answer_count = 0;
    rig_put_begin(rig, "new", LENGTH, 7, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig_stats(rig).evictions_total, 0);
    release(rig, held[2]);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, LENGTH, 7);
    rig_settle(rig);
    for (uint32_t number = 0; number < 4; number++) {
        if (number != 2) {
            release(rig, held[number]);
        }
        assert_int_equal(has(rig, number), number != 2);
    }
    rig_destroy(rig);
}

static void test_volume_evict__only_its_own_block_may_leave__a_replacement_goes_on(void **state) {
    (void)state;
    struct rig *rig = rig_tiny();
    for (uint32_t number = 1; number < 4; number++) {
        (void)hold(rig, number);
    }
    rig->answer_count = 0;
    rig_put_begin(rig, key_of(0), LENGTH, 99, MKV_PUT_REPLACE);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, LENGTH, 99);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_get(rig, key_of(0), 0, 0, 99), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).evictions_total, 1);
    rig_destroy(rig);
}

/* The drop of k0 waits for the lock of the put that replaces k0, which comes to wait for room. */
static void test_volume_evict__drop_behind_the_put_that_waits__both_go_on(void **state) {
    (void)state;
    struct rig *rig = rig_tiny();
    for (uint32_t number = 1; number < 4; number++) {
        (void)hold(rig, number);
    }
    rig->answer_count = 0;
    rig_put_begin(rig, key_of(0), LENGTH, 7, MKV_PUT_REPLACE); /* reads the header of k0 */
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_READ), 1);
    rig_put_begin(rig, "new", LENGTH, 7, 0); /* has k0 evicted */
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, LENGTH, 7);
    rig_settle(rig);
    assert_true(rig->answer_count >= 2);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume_evict__many_puts_at_once__one_block_leaves_for_each(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(1000, &count);
    for (uint32_t number = 0; number < 8; number++) {
        rig_put_begin(rig, key_of(count + number), LENGTH, number, 0);
    }
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 8);
    for (uint32_t number = 0; number < 8; number++) {
        assert_int_equal(rig->answers[number].kind, MKV_MESSAGE_PUT_READY);
    }
    assert_int_equal(rig_stats(rig).evictions_total, 8);
    rig_destroy(rig);
}

static void test_volume_evict__switched_off__a_put_finds_no_space(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(1000, &count);
    rig->config.eviction = false;
    rig_reopen(rig);
    assert_int_equal(rig_put(rig, "new", LENGTH, 7, 0), MKV_STATUS_NO_SPACE);
    assert_int_equal(rig_stats(rig).evictions_total, 0);
    rig_destroy(rig);
}

static void test_volume_evict__last_of_a_request__leaves_first(void **state) {
    (void)state;
    struct rig *rig = rig_tiny();
    assert_int_equal(rig_put(rig, "tail", LENGTH, 7, MKV_PUT_LAST), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "next", LENGTH, 8, 0), MKV_STATUS_OK);
    assert_int_equal(rig_exists(rig, "tail"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_EVICTED);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume_evict__full_store__a_put_takes_the_oldest_blocks_place),
        cmocka_unit_test(test_volume_evict__three_times_what_fits__every_put_succeeds),
        cmocka_unit_test(test_volume_evict__ready_slots__a_put_does_not_wait),
        cmocka_unit_test(test_volume_evict__drops_of_another_size_on_their_way__a_put_has_its_own),
        cmocka_unit_test(test_volume_evict__evicted_key__its_miss_says_so),
        cmocka_unit_test(test_volume_evict__block_in_use__stays_while_others_go),
        cmocka_unit_test(test_volume_evict__drop_not_durable__its_slot_is_not_given_out),
        cmocka_unit_test(test_volume_evict__held_blocks__are_no_victims),
        cmocka_unit_test(test_volume_evict__all_held__a_put_waits_for_the_first_release),
        cmocka_unit_test(test_volume_evict__only_its_own_block_may_leave__a_replacement_goes_on),
        cmocka_unit_test(test_volume_evict__drop_behind_the_put_that_waits__both_go_on),
        cmocka_unit_test(test_volume_evict__many_puts_at_once__one_block_leaves_for_each),
        cmocka_unit_test(test_volume_evict__switched_off__a_put_finds_no_space),
        cmocka_unit_test(test_volume_evict__last_of_a_request__leaves_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
