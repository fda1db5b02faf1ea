/* SPDX-License-Identifier: Apache-2.0 */
#include "core/front.h"

#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES

/* Reserves, and checks that something is. */
static uint32_t reserve(struct world *world, const char *key, uint64_t seed, uint64_t length) {
    const uint32_t allocate = world_allocate(world, key, seed, length);
    world_run(world);
    world_expect(world, allocate, MKV_STATUS_OK);
    assert_true(world_result(world, allocate)->reservation > 0);
    assert_true(world_result(world, allocate)->reservation <= MKV_RESERVATION_MAX);
    return allocate;
}

static void abandon(struct world *world, uint32_t allocate, enum mkv_status status) {
    const struct world_item item = {.key = "",
                                    .flags = MKV_COMMIT_ABANDON,
                                    .reservation = world_result(world, allocate)->reservation};
    const uint32_t commit = world_send(world, 0, MKV_OP_COMMIT, &item, 1);
    world_run(world);
    world_expect(world, commit, status);
}

/* ---- the usual way --------------------------------------------------------------------------- */

static void test_front_reserve__committed__is_stored(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    static const uint64_t lengths[] = {0, 1, 5000, BLOCK};
    static const char *const keys[] = {"a", "b", "c", "d"};
    for (uint32_t index = 0; index < 4; index++) {
        const uint32_t allocate = reserve(world, keys[index], index + 1, lengths[index]);
        assert_int_equal(world->seen[GATE_PULL], index == 0 ? 0 : index - 1);
        const struct mkv_front_stats stats = world_stats(world);
        assert_int_equal(stats.reservations, 1);
        assert_int_equal(stats.requests_in_flight, 0);
        assert_true(stats.slab_units_free < 16);
        world_expect_miss(world, keys[index]);
        const uint32_t commit = world_commit(world, allocate, index + 1, lengths[index]);
        world_run(world);
        world_expect(world, commit, MKV_STATUS_OK);
        world_expect_get(world, keys[index], index + 1, lengths[index]);
        world_check_idle(world);
    }
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.reservations_made, 4);
    assert_int_equal(stats.reservations_committed, 4);
    assert_int_equal(stats.writes_reserved, 4);
    assert_int_equal(stats.items_finished[MKV_OP_ALLOCATE][MKV_STATUS_OK], 4);
    assert_int_equal(stats.items_finished[MKV_OP_COMMIT][MKV_STATUS_OK], 4);
    world_close(world);
}

static void test_front_reserve__what_is_there__reserves_nothing(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "a", 1, 5000);
    world_run(world);
    const uint32_t same = world_allocate(world, "a", 1, 5000);
    const uint32_t other = world_allocate(world, "a", 2, 5000);
    world_run(world);
    world_expect(world, same, MKV_STATUS_OK);
    assert_int_equal(world_result(world, same)->reservation, 0);
    world_expect(world, other, MKV_STATUS_CONFLICT);
    assert_int_equal(world_stats(world).reservations_made, 0);
    world_check_idle(world);
    world_close(world);
}

static void test_front_reserve__batch__is_answered_item_by_item(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "there", 9, 300);
    world_run(world);
    const struct world_item items[] = {
        {.key = "a", .seed = 1, .length = 100},
        {.key = "there", .seed = 9, .length = 300},
        {.key = "there", .seed = 8, .length = 300},
        {.key = "b", .seed = 2, .length = BLOCK},
    };
    const uint32_t allocate = world_send(world, 0, MKV_OP_ALLOCATE, items, 4);
    world_run(world);
    const struct mkv_item_result *results = world->requests[allocate].results;
    assert_int_equal(world->requests[allocate].result_count, 4);
    assert_true(results[0].reservation > 0);
    assert_int_equal(results[1].status, MKV_STATUS_OK);
    assert_int_equal(results[1].reservation, 0);
    assert_int_equal(results[2].status, MKV_STATUS_CONFLICT);
    assert_true(results[3].reservation > 0);
    /* In another order, with a name that nobody has, and one named twice. */
    const struct world_item wanted[] = {
        {.key = "", .seed = 2, .length = BLOCK, .reservation = results[3].reservation},
        {.key = "", .length = 1, .reservation = MKV_RESERVATION_MAX},
        {.key = "", .seed = 1, .length = 100, .reservation = results[0].reservation},
        {.key = "", .seed = 1, .length = 100, .reservation = results[0].reservation},
    };
    const uint32_t commit = world_send(world, 0, MKV_OP_COMMIT, wanted, 4);
    world_run(world);
    results = world->requests[commit].results;
    assert_int_equal(results[0].status, MKV_STATUS_OK);
    assert_int_equal(results[1].status, MKV_STATUS_NOT_FOUND);
    assert_int_equal(results[2].status, MKV_STATUS_OK);
    assert_int_equal(results[3].status, MKV_STATUS_NOT_FOUND);
    world_expect_get(world, "a", 1, 100);
    world_expect_get(world, "b", 2, BLOCK);
    world_check_idle(world);
    world_close(world);
}

static void test_front_reserve__over_segments_with_replace__drops_them(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "k", 3, 4 * BLOCK);
    world_run(world);
    const struct world_item item = {.key = "k", .seed = 4, .length = 900, .flags = MKV_PUT_REPLACE};
    const uint32_t first = world_send(world, 0, MKV_OP_ALLOCATE, &item, 1);
    world_run(world);
    abandon(world, first, MKV_STATUS_OK);
    world_expect_get(world, "k", 3, 4 * BLOCK);
    const uint32_t second = world_send(world, 0, MKV_OP_ALLOCATE, &item, 1);
    world_run(world);
    const uint32_t commit = world_commit(world, second, 4, 900);
    world_run(world);
    world_expect(world, commit, MKV_STATUS_OK);
    world_expect_get(world, "k", 4, 900);
    world_check_segments(world, false);
    world_close(world);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void test_front_reserve__abandoned__gives_all_back_and_stores_nothing(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t allocate = reserve(world, "a", 1, BLOCK);
    abandon(world, allocate, MKV_STATUS_OK);
    world_check_idle(world);
    abandon(world, allocate, MKV_STATUS_NOT_FOUND);
    world_expect_miss(world, "a");
    assert_int_equal(world_stats(world).reservations_abandoned, 1);
    world_close(world);
}

static void test_front_reserve__deadline__ends_it(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t allocate = reserve(world, "a", 1, 5000);
    assert_true(mkv_front_timer_ns(world->front) == 2 * WORLD_SECOND);
    world_wait(world, WORLD_SECOND - 1);
    assert_int_equal(world_stats(world).reservations, 1);
    world_wait(world, 1);
    world_check_idle(world);
    assert_int_equal(world_stats(world).reservations_expired, 1);
    const uint32_t commit = world_commit(world, allocate, 1, 5000);
    world_run(world);
    world_expect(world, commit, MKV_STATUS_NOT_FOUND);
    world_expect_miss(world, "a");
    world_close(world);
}

static void test_front_reserve__commit_at_the_deadline__finds_nothing(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t allocate = reserve(world, "a", 1, 5000);
    world->now_ns += WORLD_SECOND; /* nobody has told the front yet */
    const uint32_t commit = world_commit(world, allocate, 1, 5000);
    world_run(world);
    world_expect(world, commit, MKV_STATUS_NOT_FOUND);
    world_check_idle(world);
    world_close(world);
}

static void test_front_reserve__connection_closed__ends_its_own_only(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    (void)reserve(world, "a", 1, 5000);
    (void)reserve(world, "b", 1, 5000);
    const struct world_item item = {.key = "c", .seed = 2, .length = 70};
    const uint32_t others = world_send(world, 1, MKV_OP_ALLOCATE, &item, 1);
    world_run(world);
    world_close_connection(world, 0);
    world_run(world);
    assert_int_equal(world_stats(world).reservations, 1);
    assert_int_equal(world_stats(world).reservations_dropped, 2);
    const struct world_item wanted = {.key = "",
                                      .seed = 2,
                                      .length = 70,
                                      .reservation = world_result(world, others)->reservation};
    const uint32_t commit = world_send(world, 1, MKV_OP_COMMIT, &wanted, 1);
    world_run(world);
    world_expect(world, commit, MKV_STATUS_OK);
    world_check_idle(world);
    world_close(world);
}

static void test_front_reserve__volume_offline__ends_it(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t allocate = reserve(world, "a", 1, 5000);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_OFFLINE);
    }
    assert_true(mkv_front_has_work(world->front));
    world_run(world);
    world_check_idle(world);
    const uint32_t commit = world_commit(world, allocate, 1, 5000);
    const uint32_t again = world_allocate(world, "a", 1, 5000);
    world_run(world);
    world_expect(world, commit, MKV_STATUS_NOT_FOUND);
    world_expect(world, again, MKV_STATUS_UNAVAILABLE);
    world_close(world);
}

/* Asked for while its volume is away, it does not begin to wait for a slab: the volume may be back
 * before it has one. */
static void test_front_reserve__volume_back_before_its_slab__was_refused(void **state) {
    (void)state;
    static const char *const keys[] = {"p0", "p1", "p2", "p3", "p4", "p5"};
    struct world *world = world_open(NULL); /* 16 units, 12 for puts */
    world_hold(world, GATE_PULL);
    for (uint32_t index = 0; index < 6; index++) {
        const struct world_item item = {.key = keys[index], .seed = 1, .length = BLOCK};
        (void)world_send(world, 1 + index / 2, MKV_OP_PUT, &item, 1);
    }
    world_run(world);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_OFFLINE);
    }
    const uint32_t allocate = world_allocate(world, "a", 1, BLOCK);
    world_run(world);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_ONLINE);
    }
    world_release(world, GATE_PULL);
    world_expect(world, allocate, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(world_stats(world).reservations, 0);
    world_check_idle(world);
    world_close(world);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_front_reserve__name_of_another_connection__is_not_found(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t allocate = reserve(world, "a", 1, 5000);
    const struct world_item item = {.key = "",
                                    .seed = 1,
                                    .length = 5000,
                                    .reservation = world_result(world, allocate)->reservation};
    const uint32_t commit = world_send(world, 1, MKV_OP_COMMIT, &item, 1);
    world_run(world);
    world_expect(world, commit, MKV_STATUS_NOT_FOUND);
    assert_int_equal(world_stats(world).reservations, 1);
    world_close(world);
}

static void test_front_reserve__name_of_an_earlier_one_in_its_place__is_not_found(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t first = reserve(world, "a", 1, 5000);
    abandon(world, first, MKV_STATUS_OK);
    const uint64_t last = world_result(world, first)->reservation % world->config.items_max;
    for (uint32_t turn = 0; turn < 2 * world->config.items_max; turn++) {
        const uint32_t next = reserve(world, "a", 1, 5000);
        if (world_result(world, next)->reservation % world->config.items_max == last) {
            abandon(world, first, MKV_STATUS_NOT_FOUND);
        }
        abandon(world, next, MKV_STATUS_OK);
    }
    world_close(world);
}

static void test_front_reserve__other_length__is_invalid_and_leaves_it(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t allocate = reserve(world, "a", 1, 5000);
    const uint32_t wrong = world_commit(world, allocate, 1, 4999);
    world_run(world);
    world_expect(world, wrong, MKV_STATUS_INVALID);
    const uint32_t right = world_commit(world, allocate, 1, 5000);
    world_run(world);
    world_expect(world, right, MKV_STATUS_OK);
    world_close(world);
}

static void test_front_reserve__other_bytes__are_invalid(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t allocate = reserve(world, "a", 1, 5000);
    const uint32_t commit = world_commit(world, allocate, 2, 5000);
    world_run(world);
    world_expect(world, commit, MKV_STATUS_INVALID);
    world_expect_miss(world, "a");
    world_check_idle(world);
    world_close(world);
}

static void test_front_reserve__request_that_is_wrong__is_refused(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct world_item large = {.key = "a", .seed = 1, .length = BLOCK + 1};
    const struct world_item keyed = {.key = "a", .seed = 1, .length = 5, .reservation = 1};
    const struct world_item flagged = {.key = "", .flags = MKV_PUT_REPLACE, .reservation = 1};
    const uint32_t requests[] = {
        world_send(world, 0, MKV_OP_ALLOCATE, &large, 1),
        world_send(world, 0, MKV_OP_COMMIT, &keyed, 1),
        world_send(world, 0, MKV_OP_COMMIT, &flagged, 1),
    };
    world_run(world);
    for (uint32_t index = 0; index < 3; index++) {
        assert_int_equal(world->requests[requests[index]].status, MKV_STATUS_INVALID);
    }
    world_close(world);
}

/* ---- bounds and deadlines -------------------------------------------------------------------- */

static void test_front_reserve__half_of_the_slabs__is_all(void **state) {
    (void)state;
    struct world *world = world_open(NULL); /* 16 units, 12 for puts */
    (void)reserve(world, "a", 1, BLOCK);
    (void)reserve(world, "b", 1, BLOCK);
    (void)reserve(world, "c", 1, BLOCK);
    const uint32_t fourth = world_allocate(world, "d", 1, BLOCK);
    const uint32_t put = world_put(world, "e", 1, BLOCK);
    world_run(world);
    world_expect(world, fourth, MKV_STATUS_BUSY);
    world_expect(world, put, MKV_STATUS_OK);
    assert_int_equal(world_stats(world).writes_without_memory, 1);
    world_close(world);
}

static void test_front_reserve__half_of_a_volume__is_all(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.volume_count = 1;
    config.volume_ops_max = 16; /* six of them mutations */
    struct world *world = world_open(&config);
    (void)reserve(world, "a", 1, 10);
    (void)reserve(world, "b", 1, 10);
    const uint32_t third = reserve(world, "c", 1, 10);
    const uint32_t fourth = world_allocate(world, "d", 1, 10);
    world_run(world);
    world_expect(world, fourth, MKV_STATUS_BUSY);
    for (uint32_t index = 0; index < 5; index++) {
        const char key[] = {'p', (char)('0' + index), '\0'};
        world_store(world, key, 1, 10);
    }
    abandon(world, third, MKV_STATUS_OK);
    (void)reserve(world, "d", 1, 10);
    world_close(world);
}

static void test_front_reserve__as_many_as_a_connection_may_have__is_all(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.reservations_per_connection_max = 2;
    struct world *world = world_open(&config);
    (void)reserve(world, "a", 1, 10);
    const uint32_t second = reserve(world, "b", 1, 10);
    const uint32_t third = world_allocate(world, "c", 1, 10);
    world_run(world);
    world_expect(world, third, MKV_STATUS_BUSY);
    const struct world_item item = {.key = "c", .seed = 1, .length = 10};
    const uint32_t others = world_send(world, 1, MKV_OP_ALLOCATE, &item, 1);
    world_run(world);
    world_expect(world, others, MKV_STATUS_OK);
    const uint32_t commit = world_commit(world, second, 1, 10);
    world_run(world);
    world_expect(world, commit, MKV_STATUS_OK);
    (void)reserve(world, "d", 1, 10);
    world_close(world);
}

static void test_front_reserve__commit_whose_bytes_do_not_come__breaks_the_connection(
    void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t allocate = reserve(world, "a", 1, BLOCK);
    world_hold(world, GATE_PULL);
    (void)world_commit(world, allocate, 1, BLOCK);
    world_run(world);
    world_wait(world, WORLD_SECOND + 2 * WORLD_SECOND);
    assert_int_equal(world->breaks, 1);
    world_release(world, GATE_PULL);
    world_check_idle(world);
    world_close(world);
}

static void test_front_reserve__deadline_under_way__ends_it(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PUT_READY);
    const uint32_t allocate = world_allocate(world, "a", 1, BLOCK);
    world_run(world);
    world_wait(world, WORLD_SECOND);
    world_expect(world, allocate, MKV_STATUS_DEADLINE);
    world_release(world, GATE_PUT_READY);
    world_check_idle(world);
    world_close(world);
}

/* Connections close behind every event of a life of a few reservations. */
static void test_front_reserve__connection_closed_at_any_time__gives_all_back(void **state) {
    (void)state;
    for (uint32_t close_at = 1; close_at < 40; close_at++) {
        struct world *world = world_open(NULL);
        world->close_at = close_at;
        const struct world_item items[] = {
            {.key = "a", .seed = 1, .length = 100},
            {.key = "b", .seed = 2, .length = BLOCK},
            {.key = "c", .seed = 3, .length = 300, .flags = MKV_PUT_REPLACE},
        };
        const uint32_t allocate = world_send(world, 0, MKV_OP_ALLOCATE, items, 3);
        world_run(world);
        if (world->requests[allocate].answers == 1) {
            struct world_item wanted[3];
            for (uint32_t index = 0; index < 3; index++) {
                const struct mkv_item_result *result = &world->requests[allocate].results[index];
                wanted[index] = items[index];
                wanted[index].key = "";
                wanted[index].reservation = result->reservation;
                wanted[index].flags = 0;
            }
            (void)world_send(world, 0, MKV_OP_COMMIT, wanted, 2);
            world_run(world);
        }
        world_close(world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_front_reserve__committed__is_stored),
        cmocka_unit_test(test_front_reserve__what_is_there__reserves_nothing),
        cmocka_unit_test(test_front_reserve__batch__is_answered_item_by_item),
        cmocka_unit_test(test_front_reserve__over_segments_with_replace__drops_them),
        cmocka_unit_test(test_front_reserve__abandoned__gives_all_back_and_stores_nothing),
        cmocka_unit_test(test_front_reserve__deadline__ends_it),
        cmocka_unit_test(test_front_reserve__commit_at_the_deadline__finds_nothing),
        cmocka_unit_test(test_front_reserve__connection_closed__ends_its_own_only),
        cmocka_unit_test(test_front_reserve__volume_offline__ends_it),
        cmocka_unit_test(test_front_reserve__volume_back_before_its_slab__was_refused),
        cmocka_unit_test(test_front_reserve__name_of_another_connection__is_not_found),
        cmocka_unit_test(test_front_reserve__name_of_an_earlier_one_in_its_place__is_not_found),
        cmocka_unit_test(test_front_reserve__other_length__is_invalid_and_leaves_it),
        cmocka_unit_test(test_front_reserve__other_bytes__are_invalid),
        cmocka_unit_test(test_front_reserve__request_that_is_wrong__is_refused),
        cmocka_unit_test(test_front_reserve__half_of_the_slabs__is_all),
        cmocka_unit_test(test_front_reserve__half_of_a_volume__is_all),
        cmocka_unit_test(test_front_reserve__as_many_as_a_connection_may_have__is_all),
        cmocka_unit_test(test_front_reserve__commit_whose_bytes_do_not_come__breaks_the_connection),
        cmocka_unit_test(test_front_reserve__deadline_under_way__ends_it),
        cmocka_unit_test(test_front_reserve__connection_closed_at_any_time__gives_all_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
