/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/watch_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S 1000000000ull

static void test_watch_room__needs_more_than_is_free__small_until_there_is_some_to_spare(
    void **state) {
    (void)state;
    struct mkv_watch_room room = {0};
    struct mkv_watch_room_facts facts = {.own_bytes = 64 * MKV_MIB, .needed_bytes = 640 * MKV_MIB};
    static const struct {
        uint64_t free_mib;
        bool small;
    } looks[] = {{640, false}, {639, true}, {640, true}, {649, true}, {650, false}, {645, false}};
    for (size_t index = 0; index < sizeof looks / sizeof looks[0]; index++) {
        facts.free_bytes = looks[index].free_mib * MKV_MIB;
        mkv_watch_room_look(&room, &facts, (index + 1) * S);
        assert_int_equal(room.small, looks[index].small);
        assert_false(room.full);
    }
}

static void test_watch_room__file_has_all_it_may_take__never_small(void **state) {
    (void)state;
    struct mkv_watch_room room = {0};
    const struct mkv_watch_room_facts facts = {0};
    mkv_watch_room_look(&room, &facts, S);
    assert_false(room.small);
}

static void test_watch_room__write_without_room__full_until_quiet_and_free(void **state) {
    (void)state;
    struct mkv_watch_room room = {0};
    struct mkv_watch_room_facts facts = {.own_bytes = 512 * MKV_MIB, .needed_bytes = 512 * MKV_MIB};
    mkv_watch_room_look(&room, &facts, S);
    assert_false(room.full);
    facts.no_room = 3;
    mkv_watch_room_look(&room, &facts, 2 * S);
    assert_true(room.full);
    /* Quiet, but nothing is free: nobody has tried. */
    mkv_watch_room_look(&room, &facts, 60 * S);
    assert_true(room.full);
    /* Free, but it has just been met again, as with a quota. */
    facts.free_bytes = MKV_WATCH_ROOM_FREE_BYTES;
    facts.no_room = 4;
    mkv_watch_room_look(&room, &facts, 61 * S);
    assert_true(room.full);
    mkv_watch_room_look(&room, &facts, 61 * S + MKV_WATCH_ROOM_QUIET_NS - 1);
    assert_true(room.full);
    mkv_watch_room_look(&room, &facts, 61 * S + MKV_WATCH_ROOM_QUIET_NS);
    assert_false(room.full);
    /* And it may come again. */
    facts.no_room = 5;
    mkv_watch_room_look(&room, &facts, 80 * S);
    assert_true(room.full);
}

static void test_watch_room__little_left_to_take__room_is_as_little(void **state) {
    (void)state;
    struct mkv_watch_room room = {0};
    const struct mkv_watch_room_facts facts = {
        .own_bytes = MKV_MIB, .needed_bytes = MKV_MIB, .free_bytes = MKV_MIB, .no_room = 1};
    mkv_watch_room_look(&room, &facts, S);
    assert_true(room.full);
    mkv_watch_room_look(&room, &facts, S + MKV_WATCH_ROOM_QUIET_NS);
    assert_false(room.full);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_watch_room__needs_more_than_is_free__small_until_there_is_some_to_spare),
        cmocka_unit_test(test_watch_room__file_has_all_it_may_take__never_small),
        cmocka_unit_test(test_watch_room__write_without_room__full_until_quiet_and_free),
        cmocka_unit_test(test_watch_room__little_left_to_take__room_is_as_little),
    };
    return cmocka_run_group_tests_name("watch_room", tests, NULL, NULL);
}
