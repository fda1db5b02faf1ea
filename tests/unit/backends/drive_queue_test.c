/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/drive_queue.h"

#define DEPTH 16u
#define WAITING_MAX 512u
#define NOW_NS 1000000000ull
#define MIB_UNITS ((uint32_t)(MKV_MIB / MKV_UNIT_BYTES))

static int set_up(void **state) {
    *state = mkv_drive_queue_create(DEPTH, WAITING_MAX);
    return *state == NULL;
}

static int tear_down(void **state) {
    mkv_drive_queue_free(*state);
    return 0;
}

static void enter(struct mkv_drive_queue *queue, enum mkv_drive_share share, uint32_t index,
                  uint32_t units) {
    const bool reads = share == MKV_DRIVE_FOR_LOAD;
    const struct mkv_effect effect = {
        .kind = reads ? MKV_EFFECT_DRIVE_READ : MKV_EFFECT_DRIVE_WRITE,
        .op = {index, 0},
        .drive = {.share = share, .unit_count = units},
    };
    mkv_drive_queue_enter(queue, &effect, NOW_NS + index);
}

static void enter_many(struct mkv_drive_queue *queue, enum mkv_drive_share share, uint32_t count,
                       uint32_t units) {
    for (uint32_t index = 0; index < count; index++) {
        enter(queue, share, index, units);
    }
}

/* Starts all that may start; counts them by share. */
static uint32_t start_all(struct mkv_drive_queue *queue, uint64_t now_ns,
                          uint32_t counts[MKV_DRIVE_SHARE_COUNT]) {
    const struct mkv_drive_waiting *started;
    uint32_t count = 0;
    while ((started = mkv_drive_queue_start(queue, now_ns)) != NULL) {
        counts[started->effect.drive.share]++;
        count++;
    }
    return count;
}

static void end(struct mkv_drive_queue *queue, enum mkv_drive_share share, uint32_t units,
                uint64_t now_ns) {
    const struct mkv_drive_effect effect = {.share = share, .unit_count = units};
    mkv_drive_queue_ended(queue, &effect, now_ns);
}

static void test_drive_queue__one_share__starts_in_order_up_to_the_depth(void **state) {
    struct mkv_drive_queue *queue = *state;
    enter_many(queue, MKV_DRIVE_FOR_COMMIT, DEPTH + 3, 1);
    for (uint32_t index = 0; index < DEPTH; index++) {
        assert_int_equal(mkv_drive_queue_start(queue, NOW_NS)->effect.op.index, index);
    }
    assert_null(mkv_drive_queue_start(queue, NOW_NS));
    assert_int_equal(mkv_drive_queue_waiting(queue), 3);
    assert_int_equal(mkv_drive_queue_started(queue), DEPTH);
    end(queue, MKV_DRIVE_FOR_COMMIT, 1, NOW_NS);
    assert_int_equal(mkv_drive_queue_start(queue, NOW_NS)->effect.op.index, DEPTH);
}

/* The promise that a load does not wait behind all stores: the next place is its own. */
static void test_drive_queue__load_behind_many_stores__goes_next(void **state) {
    struct mkv_drive_queue *queue = *state;
    uint32_t counts[MKV_DRIVE_SHARE_COUNT] = {0};
    enter_many(queue, MKV_DRIVE_FOR_STORE, 100, 1);
    assert_int_equal(start_all(queue, NOW_NS, counts), DEPTH);
    enter(queue, MKV_DRIVE_FOR_LOAD, 7, 1);
    assert_null(mkv_drive_queue_start(queue, NOW_NS));
    end(queue, MKV_DRIVE_FOR_STORE, 1, NOW_NS);
    const struct mkv_drive_waiting *next = mkv_drive_queue_start(queue, NOW_NS);
    assert_int_equal(next->effect.drive.share, MKV_DRIVE_FOR_LOAD);
    assert_int_equal(next->effect.op.index, 7);
    assert_int_equal(mkv_drive_queue_waiting(queue), 100 - DEPTH);
}

static void test_drive_queue__loads_and_stores__both_have_their_places(void **state) {
    struct mkv_drive_queue *queue = *state;
    uint32_t counts[MKV_DRIVE_SHARE_COUNT] = {0};
    enter_many(queue, MKV_DRIVE_FOR_STORE, 100, 1);
    enter_many(queue, MKV_DRIVE_FOR_LOAD, 100, 1);
    assert_int_equal(start_all(queue, NOW_NS, counts), DEPTH);
    assert_true(counts[MKV_DRIVE_FOR_LOAD] >= DEPTH * 3 / 4);
    assert_true(counts[MKV_DRIVE_FOR_STORE] >= 2);
    assert_true(counts[MKV_DRIVE_FOR_STORE] <= DEPTH / 4);
}

/* Loads that come all the time, and one place alone. */
static void test_drive_queue__one_place__all_shares_go_on(void **state) {
    (void)state;
    struct mkv_drive_queue *queue = mkv_drive_queue_create(1, WAITING_MAX);
    uint32_t counts[MKV_DRIVE_SHARE_COUNT] = {0};
    enter_many(queue, MKV_DRIVE_FOR_STORE, 50, 2);
    enter_many(queue, MKV_DRIVE_FOR_BACKGROUND, 50, 3);
    enter(queue, MKV_DRIVE_FOR_LOAD, 0, 1);
    for (uint32_t turn = 0; turn < 200; turn++) {
        enter(queue, MKV_DRIVE_FOR_LOAD, turn, 1);
        const struct mkv_drive_waiting *started = mkv_drive_queue_start(queue, NOW_NS);
        assert_non_null(started);
        const struct mkv_drive_effect effect = started->effect.drive;
        counts[effect.share]++;
        mkv_drive_queue_ended(queue, &effect, NOW_NS);
    }
    assert_true(counts[MKV_DRIVE_FOR_STORE] >= 200 / (MKV_DRIVE_QUEUE_STORE_PASSED_MAX + 2));
    assert_true(counts[MKV_DRIVE_FOR_BACKGROUND] >=
                200 / (MKV_DRIVE_QUEUE_BACKGROUND_PASSED_MAX + 2));
    assert_true(counts[MKV_DRIVE_FOR_LOAD] > counts[MKV_DRIVE_FOR_STORE] * 3);
    mkv_drive_queue_free(queue);
}

static void test_drive_queue__stores__bounded_by_bytes_less_beside_loads(void **state) {
    struct mkv_drive_queue *queue = *state;
    uint32_t counts[MKV_DRIVE_SHARE_COUNT] = {0};
    enter_many(queue, MKV_DRIVE_FOR_STORE, 40, 8 * MIB_UNITS);
    assert_int_equal(start_all(queue, NOW_NS, counts),
                     MKV_DRIVE_QUEUE_STORE_BYTES_MAX / (8 * MKV_MIB));
    /* A load ends: more are expected, and only one of 8 MiB is within the bound beside them. */
    enter(queue, MKV_DRIVE_FOR_LOAD, 0, 1);
    assert_int_equal(start_all(queue, NOW_NS, counts), 1);
    end(queue, MKV_DRIVE_FOR_LOAD, 1, NOW_NS);
    for (uint32_t index = 0; index < 8; index++) {
        assert_null(mkv_drive_queue_start(queue, NOW_NS + MKV_DRIVE_QUEUE_LOADS_NS - 1));
        end(queue, MKV_DRIVE_FOR_STORE, 8 * MIB_UNITS, NOW_NS);
    }
    assert_int_equal(start_all(queue, NOW_NS + MKV_DRIVE_QUEUE_LOADS_NS - 1, counts), 1);
    assert_int_equal(start_all(queue, NOW_NS + MKV_DRIVE_QUEUE_LOADS_NS, counts), 7);
}

/* I5: a block that is larger than the bound is stored all the same. */
static void test_drive_queue__store_above_its_bound__goes_alone(void **state) {
    struct mkv_drive_queue *queue = *state;
    uint32_t counts[MKV_DRIVE_SHARE_COUNT] = {0};
    enter(queue, MKV_DRIVE_FOR_LOAD, 0, 1);
    enter_many(queue, MKV_DRIVE_FOR_STORE, 3, 32 * MIB_UNITS);
    assert_int_equal(start_all(queue, NOW_NS, counts), 2);
    assert_int_equal(counts[MKV_DRIVE_FOR_STORE], 1);
}

static void test_drive_queue__background__one_beside_others_few_alone(void **state) {
    struct mkv_drive_queue *queue = *state;
    uint32_t counts[MKV_DRIVE_SHARE_COUNT] = {0};
    enter_many(queue, MKV_DRIVE_FOR_BACKGROUND, 10, 1);
    assert_int_equal(start_all(queue, NOW_NS, counts), MKV_DRIVE_QUEUE_BACKGROUND_MAX);
    for (uint32_t index = 0; index < MKV_DRIVE_QUEUE_BACKGROUND_MAX; index++) {
        end(queue, MKV_DRIVE_FOR_BACKGROUND, 1, NOW_NS);
    }
    enter(queue, MKV_DRIVE_FOR_STORE, 0, 1);
    counts[MKV_DRIVE_FOR_BACKGROUND] = 0;
    assert_int_equal(start_all(queue, NOW_NS, counts), 2);
    assert_int_equal(counts[MKV_DRIVE_FOR_BACKGROUND], 1);
}

static void test_drive_queue__commit__goes_first(void **state) {
    struct mkv_drive_queue *queue = *state;
    enter(queue, MKV_DRIVE_FOR_BACKGROUND, 0, 1);
    enter(queue, MKV_DRIVE_FOR_STORE, 1, 1);
    enter(queue, MKV_DRIVE_FOR_LOAD, 2, 1);
    enter(queue, MKV_DRIVE_FOR_COMMIT, 3, 1);
    static const uint32_t order[] = {3, 2, 1, 0};
    for (uint32_t index = 0; index < 4; index++) {
        assert_int_equal(mkv_drive_queue_start(queue, NOW_NS)->effect.op.index, order[index]);
    }
}

static void test_drive_queue__waits_too_long__leaves_once(void **state) {
    struct mkv_drive_queue *queue = *state;
    enter(queue, MKV_DRIVE_FOR_STORE, 1, 1);
    enter(queue, MKV_DRIVE_FOR_LOAD, 2, 1);
    enter(queue, MKV_DRIVE_FOR_LOAD, 3, 1);
    assert_null(mkv_drive_queue_give_up(queue, NOW_NS + 1, NOW_NS));
    assert_int_equal(mkv_drive_queue_give_up(queue, NOW_NS + 2, NOW_NS)->effect.op.index, 2);
    assert_null(mkv_drive_queue_give_up(queue, NOW_NS + 2, NOW_NS));
    assert_int_equal(mkv_drive_queue_give_up(queue, NOW_NS, NOW_NS + 1)->effect.op.index, 1);
    assert_int_equal(mkv_drive_queue_waiting(queue), 1);
    assert_int_equal(mkv_drive_queue_started(queue), 0);
    assert_int_equal(mkv_drive_queue_start(queue, NOW_NS)->effect.op.index, 3);
}

static void test_drive_queue__paused__loads_alone_start(void **state) {
    struct mkv_drive_queue *queue = *state;
    uint32_t counts[MKV_DRIVE_SHARE_COUNT] = {0};
    for (uint32_t share = 0; share < MKV_DRIVE_SHARE_COUNT; share++) {
        enter_many(queue, (enum mkv_drive_share)share, 2, 1);
    }
    mkv_drive_queue_pause(queue, true);
    assert_int_equal(start_all(queue, NOW_NS, counts), 2);
    assert_int_equal(counts[MKV_DRIVE_FOR_LOAD], 2);
    mkv_drive_queue_pause(queue, false);
    assert_int_equal(start_all(queue, NOW_NS, counts), 5); /* of the background one */
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_drive_queue__one_share__starts_in_order_up_to_the_depth),
        T(test_drive_queue__load_behind_many_stores__goes_next),
        T(test_drive_queue__loads_and_stores__both_have_their_places),
        T(test_drive_queue__one_place__all_shares_go_on),
        T(test_drive_queue__stores__bounded_by_bytes_less_beside_loads),
        T(test_drive_queue__store_above_its_bound__goes_alone),
        T(test_drive_queue__background__one_beside_others_few_alone),
        T(test_drive_queue__commit__goes_first),
        T(test_drive_queue__paused__loads_alone_start),
        T(test_drive_queue__waits_too_long__leaves_once),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
