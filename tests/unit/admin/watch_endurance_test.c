/* SPDX-License-Identifier: Apache-2.0 */
/* Days of writes to a drive, on a clock of the test's. */
#include "admin/watch_endurance.h"

#include "tests/unit/admin/test.h"

#define MINUTE_NS (60ull * 1000000000u)
#define DAY_MINUTES (24u * 60u)
#define RATED_BYTES (1440ull * 1000) /* 1000 a minute */

struct world {
    struct mkv_watch_endurance endurance;
    struct mkv_watch_endurance_facts facts;
    uint64_t now_ns;
};

static struct world begin(void) {
    return (struct world){.facts = {.rated_bytes = RATED_BYTES, .written_bytes = 999999999},
                          .now_ns = MINUTE_NS};
}

static void look(struct world *world) {
    mkv_watch_endurance_look(&world->endurance, &world->facts, world->now_ns);
}

/* So many minutes in which so much is written each, and a look at the end of each. */
static void write_for(struct world *world, uint32_t minutes, uint64_t bytes) {
    for (uint32_t minute = 0; minute < minutes; minute++) {
        world->now_ns += MINUTE_NS;
        world->facts.written_bytes += bytes;
        look(world);
    }
}

static void test_endurance__more_than_rated__over_from_the_first_hour_on(void **state) {
    (void)state;
    struct world world = begin();
    look(&world); /* what was written before counts for nothing */
    write_for(&world, 59, 1100);
    assert_false(world.endurance.over);
    assert_int_equal(world.endurance.day_bytes, 0);
    write_for(&world, 1, 1100);
    assert_true(world.endurance.over);
    assert_in_range(world.endurance.day_bytes, 1100 * DAY_MINUTES - 9, 1100 * DAY_MINUTES + 9);
    write_for(&world, 3 * DAY_MINUTES, 1100);
    assert_true(world.endurance.over);
    assert_in_range(world.endurance.day_bytes, 1100 * DAY_MINUTES - 9, 1100 * DAY_MINUTES + 9);
}

static void test_endurance__as_much_as_rated__not_over(void **state) {
    (void)state;
    struct world world = begin();
    look(&world);
    write_for(&world, 2 * DAY_MINUTES, 1000);
    assert_false(world.endurance.over);
    assert_false(world.endurance.worn);
}

static void test_endurance__a_busy_hour_of_a_day__is_one_of_its_hours(void **state) {
    (void)state;
    struct world world = begin();
    look(&world);
    write_for(&world, DAY_MINUTES, 500);
    write_for(&world, 60, 5000);
    assert_false(world.endurance.over);
    write_for(&world, 8 * 60, 5000);
    assert_true(world.endurance.over);
    write_for(&world, 25 * 60, 500); /* a day later that is past */
    assert_false(world.endurance.over);
}

static void test_endurance__just_below_what_is_rated__over_until_well_below(void **state) {
    (void)state;
    struct world world = begin();
    look(&world);
    write_for(&world, DAY_MINUTES, 1001);
    assert_true(world.endurance.over);
    write_for(&world, 2 * DAY_MINUTES, 960);
    assert_true(world.endurance.over);
    write_for(&world, 2 * DAY_MINUTES, 940);
    assert_false(world.endurance.over);
}

static void test_endurance__drive_is_opened_again__its_count_begins_anew(void **state) {
    (void)state;
    struct world world = begin();
    look(&world);
    write_for(&world, 120, 900);
    world.facts.written_bytes = 0;
    write_for(&world, 120, 900);
    assert_in_range(world.endurance.day_bytes, 890 * DAY_MINUTES, 910 * DAY_MINUTES);
    assert_false(world.endurance.over);
}

static void test_endurance__no_rating__never_over(void **state) {
    (void)state;
    struct world world = begin();
    world.facts.rated_bytes = 0;
    look(&world);
    write_for(&world, DAY_MINUTES, 1000000);
    assert_false(world.endurance.over);
}

static void test_endurance__life_used_up__worn_as_the_drive_says(void **state) {
    (void)state;
    struct world world = begin();
    world.facts.used_percent = 99;
    look(&world);
    assert_false(world.endurance.worn);
    world.facts.used_percent = 100;
    look(&world);
    assert_true(world.endurance.worn);
    assert_false(world.endurance.over);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endurance__more_than_rated__over_from_the_first_hour_on),
        cmocka_unit_test(test_endurance__as_much_as_rated__not_over),
        cmocka_unit_test(test_endurance__a_busy_hour_of_a_day__is_one_of_its_hours),
        cmocka_unit_test(test_endurance__just_below_what_is_rated__over_until_well_below),
        cmocka_unit_test(test_endurance__drive_is_opened_again__its_count_begins_anew),
        cmocka_unit_test(test_endurance__no_rating__never_over),
        cmocka_unit_test(test_endurance__life_used_up__worn_as_the_drive_says),
    };
    return cmocka_run_group_tests_name("watch_endurance", tests, NULL, NULL);
}
