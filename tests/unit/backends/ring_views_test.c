/* SPDX-License-Identifier: Apache-2.0 */
/* Which lists of servers are told: each as long as a connection has it, the largest first. */
#include "backends/ring_views.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_ring_views__connections_come_and_go__views_follow(void **state) {
    (void)state;
    struct mkv_ring_views *views = mkv_ring_views_create();
    assert_non_null(views);
    struct mkv_ring_told told;
    uint32_t members[3] = {MKV_RING_NO_MEMBER, MKV_RING_NO_MEMBER, MKV_RING_NO_MEMBER};
    mkv_ring_views_read(views, &told);
    assert_int_equal(told.view_count, 0);

    mkv_ring_views_told(views, &members[0], 7, "10.0.0.1:1", "one");
    mkv_ring_views_told(views, &members[1], 5, "10.0.0.2:1", "two");
    mkv_ring_views_told(views, &members[2], 5, "10.0.0.3:1", "two");
    mkv_ring_views_read(views, &told);
    assert_int_equal(told.view_count, 2);
    assert_int_equal(told.told_count, 2);
    assert_int_equal(told.views[0].hash, 5);
    assert_int_equal(told.views[0].connection_count, 2);
    assert_string_equal(told.views[0].name, "two");
    assert_int_equal(told.views[1].hash, 7);
    assert_string_equal(told.views[1].address, "10.0.0.1:1");

    /* Another list in the place of the first, and then none. */
    mkv_ring_views_told(views, &members[0], 5, "10.0.0.1:1", "one");
    mkv_ring_views_read(views, &told);
    assert_int_equal(told.view_count, 1);
    assert_int_equal(told.views[0].connection_count, 3);
    mkv_ring_views_told(views, &members[0], 0, "10.0.0.1:1", "one");
    assert_int_equal(members[0], MKV_RING_NO_MEMBER);
    mkv_ring_views_gone(views, &members[0]); /* which is none any more */
    mkv_ring_views_gone(views, &members[1]);
    mkv_ring_views_gone(views, &members[2]);
    mkv_ring_views_read(views, &told);
    assert_int_equal(told.view_count, 0);
    assert_int_equal(told.told_count, 0);
    mkv_ring_views_destroy(views);
}

static void test_ring_views__more_than_are_told__the_largest_are(void **state) {
    (void)state;
    struct mkv_ring_views *views = mkv_ring_views_create();
    assert_non_null(views);
    uint32_t members[36];
    uint32_t count = 0;
    for (uint64_t hash = 1; hash <= 8; hash++) {
        for (uint64_t copy = 0; copy < hash; copy++) {
            members[count] = MKV_RING_NO_MEMBER;
            mkv_ring_views_told(views, &members[count++], hash, "a", "b");
        }
    }
    struct mkv_ring_told told;
    mkv_ring_views_read(views, &told);
    assert_int_equal(told.view_count, 8);
    assert_int_equal(told.told_count, MKV_RING_VIEWS_TOLD);
    for (uint32_t place = 0; place < MKV_RING_VIEWS_TOLD; place++) {
        assert_int_equal(told.views[place].hash, 8 - place);
        assert_int_equal(told.views[place].connection_count, 8 - place);
    }
    mkv_ring_views_destroy(views);
}

static void test_ring_views__more_members_than_there_is_room_for__are_passed_over(void **state) {
    (void)state;
    struct mkv_ring_views *views = mkv_ring_views_create();
    uint32_t *members = malloc((MKV_RING_MEMBERS_MAX + 1) * sizeof *members);
    assert_non_null(views);
    assert_non_null(members);
    for (uint32_t index = 0; index <= MKV_RING_MEMBERS_MAX; index++) {
        members[index] = MKV_RING_NO_MEMBER;
        mkv_ring_views_told(views, &members[index], 3, "a", "b");
    }
    assert_int_equal(members[MKV_RING_MEMBERS_MAX], MKV_RING_NO_MEMBER);
    struct mkv_ring_told told;
    mkv_ring_views_read(views, &told);
    assert_int_equal(told.views[0].connection_count, MKV_RING_MEMBERS_MAX);
    mkv_ring_views_gone(views, &members[17]);
    mkv_ring_views_told(views, &members[MKV_RING_MEMBERS_MAX], 4, "a", "b");
    assert_int_equal(members[MKV_RING_MEMBERS_MAX], 17);
    free(members);
    mkv_ring_views_destroy(views);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_views__connections_come_and_go__views_follow),
        cmocka_unit_test(test_ring_views__more_than_are_told__the_largest_are),
        cmocka_unit_test(test_ring_views__more_members_than_there_is_room_for__are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
