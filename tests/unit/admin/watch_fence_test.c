/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the fence takes, and whom it never does. */
#include "admin/watch_fence.h"

#include <stdlib.h>

#include "tests/unit/admin/test.h"

#define S 1000000000ull
#define AFTER_NS (300 * S)
#define DRIVES 3u

struct world {
    struct mkv_watch_fence fence;
    struct mkv_admin_snapshot *snapshot;
    uint64_t slow_ns[DRIVES];
    uint64_t now_ns;
};

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->snapshot = calloc(1, sizeof *world->snapshot);
    assert_non_null(world->snapshot);
    world->fence.after_ns = AFTER_NS;
    world->now_ns = 1000 * S;
    world->snapshot->state = MKV_ADMIN_NODE_SERVING;
    world->snapshot->drive_count = DRIVES;
    for (uint32_t index = 0; index < DRIVES; index++) {
        world->snapshot->drives[index].state = MKV_DRIVE_STATE_ONLINE;
    }
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    free(world->snapshot);
    free(world);
    return 0;
}

static void slow_for(struct world *world, uint32_t drive, uint64_t ns) {
    world->snapshot->drives[drive].state = MKV_DRIVE_STATE_SLOW;
    world->slow_ns[drive] = ns;
}

static uint32_t look(struct world *world) {
    world->now_ns += S;
    return mkv_watch_fence_look(&world->fence, world->snapshot, world->slow_ns, world->now_ns);
}

static void test_fence__slow_for_as_long__taken_and_not_before(void **state) {
    struct world *world = *state;
    assert_int_equal(look(world), MKV_NONE_U32);
    slow_for(world, 1, AFTER_NS - 1);
    assert_int_equal(look(world), MKV_NONE_U32);
    slow_for(world, 1, AFTER_NS);
    assert_int_equal(look(world), 1);
}

static void test_fence__is_off__nobody_however_slow(void **state) {
    struct world *world = *state;
    world->fence.after_ns = 0;
    slow_for(world, 1, 100 * AFTER_NS);
    assert_int_equal(look(world), MKV_NONE_U32);
}

static void test_fence__another_is_not_online__nobody(void **state) {
    static const enum mkv_drive_state others[] = {
        MKV_DRIVE_STATE_NEW,     MKV_DRIVE_STATE_RECOVERING, MKV_DRIVE_STATE_SLOW,
        MKV_DRIVE_STATE_OFFLINE, MKV_DRIVE_STATE_DRAINING,   MKV_DRIVE_STATE_FAILED,
        MKV_DRIVE_STATE_FOREIGN,
    };
    struct world *world = *state;
    slow_for(world, 0, 2 * AFTER_NS);
    for (size_t place = 0; place < sizeof others / sizeof others[0]; place++) {
        world->snapshot->drives[2].state = others[place];
        assert_int_equal(look(world), MKV_NONE_U32);
    }
    world->snapshot->drives[2].state = MKV_DRIVE_STATE_ONLINE;
    assert_int_equal(look(world), 0);
}

static void test_fence__the_only_drive__never(void **state) {
    struct world *world = *state;
    world->snapshot->drive_count = 1;
    slow_for(world, 0, 2 * AFTER_NS);
    assert_int_equal(look(world), MKV_NONE_U32);
}

static void test_fence__node_does_not_serve__nobody(void **state) {
    struct world *world = *state;
    slow_for(world, 0, 2 * AFTER_NS);
    world->snapshot->state = MKV_ADMIN_NODE_DRAINING;
    assert_int_equal(look(world), MKV_NONE_U32);
    world->snapshot->state = MKV_ADMIN_NODE_UNHEALTHY;
    assert_int_equal(look(world), MKV_NONE_U32);
}

static void test_fence__was_asked__not_again_before_the_pause_is_over(void **state) {
    struct world *world = *state;
    slow_for(world, 1, AFTER_NS);
    assert_int_equal(look(world), 1);
    for (uint64_t second = 1; second < MKV_WATCH_FENCE_PAUSE_NS / S; second++) {
        assert_int_equal(look(world), MKV_NONE_U32);
    }
    assert_int_equal(look(world), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fence__slow_for_as_long__taken_and_not_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fence__is_off__nobody_however_slow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fence__another_is_not_online__nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fence__the_only_drive__never, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fence__node_does_not_serve__nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fence__was_asked__not_again_before_the_pause_is_over,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
