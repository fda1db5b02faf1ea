/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/lanes_world.h"

#include "sim/bundle.h"
#include "sim/run.h"
#include "tests/unit/sim/test.h"

#define RUNS 60u

/* The next seed from `seed` on whose world has lanes. */
static uint64_t seed_with_lanes(uint64_t seed, struct mkv_shape *shape) {
    for (;; seed++) {
        mkv_shape_draw(shape, seed);
        if (shape->world == MKV_WORLD_LANES) {
            return seed;
        }
    }
}

static void run(uint64_t seed, const struct mkv_run_choice *choice,
                struct mkv_seed_outcome *outcome) {
    mkv_run_seed(seed, choice, test_memory(), NULL, NULL, 0, outcome);
    if (outcome->failed) {
        fail_msg("seed %u: %s", (unsigned)seed, outcome->failure.text);
    }
}

static void test_shape__many_seeds__draw_lanes_that_are_sound(void **state) {
    (void)state;
    uint32_t lanes = 0;
    uint32_t clients[MKV_LANES_CLIENTS_MAX + 1] = {0};
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct mkv_shape shape;
        mkv_shape_draw(&shape, seed);
        assert_null(mkv_lanes_shape_problem(&shape));
        assert_true(mkv_shape_sound(&shape));
        if (shape.world == MKV_WORLD_LANES) {
            lanes++;
            clients[shape.connections]++;
            assert_true(shape.faults.mask >> MKV_FAULT_DRIVE_COUNT << MKV_FAULT_DRIVE_COUNT ==
                        shape.faults.mask);
        }
    }
    assert_true(lanes > 60 && lanes < 240);
    assert_true(clients[1] > 10 && clients[2] > 10 && clients[3] > 10);
}

static void test_shape__figures_that_there_is_no_room_for__are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"lane_message_bytes", "lane_sends", "lane_receives",
                                        "lane_transfers",     "lane_reads", "lane_turns"};
    for (uint32_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        struct mkv_shape shape;
        (void)seed_with_lanes(1, &shape);
        const struct mkv_shape_field *field = mkv_shape_field_find(names[index]);
        assert_non_null(field);
        assert_true(mkv_shape_field_set(&shape, field, field->least));
        assert_true(mkv_shape_sound(&shape));
        assert_true(mkv_shape_field_set(&shape, field, 100000));
        assert_non_null(mkv_lanes_shape_problem(&shape));
        assert_false(mkv_shape_sound(&shape));
        assert_true(mkv_shape_field_set(&shape, field, field->least - 1));
        assert_false(mkv_shape_sound(&shape));
    }
}

/* Nothing breaks that nobody breaks, and each fault is met in a sweep over seeds. */
static void test_run_seed__many_lanes__meet_every_fault_of_the_fabric(void **state) {
    (void)state;
    uint64_t hits[MKV_FAULT_COUNT] = {0};
    struct mkv_world_report sum = {0};
    uint64_t seed = 0;
    for (uint32_t turn = 0; turn < RUNS; turn++) {
        struct mkv_shape shape;
        struct mkv_seed_outcome outcome;
        seed = seed_with_lanes(seed + 1, &shape);
        run(seed, NULL, &outcome);
        mkv_world_report_add(&sum, &outcome.report);
        for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
            assert_true(outcome.report.hits[fault] == 0 ||
                        (outcome.shape.faults.mask >> fault & 1u) != 0);
            hits[fault] += outcome.report.hits[fault];
        }
    }
    for (uint32_t fault = MKV_FAULT_DRIVE_COUNT; fault < MKV_FAULT_COUNT; fault++) {
        if (hits[fault] == 0) {
            fail_msg("%s never strikes", mkv_fault_info((enum mkv_fault)fault)->name);
        }
    }
    assert_true(sum.operations > RUNS * 50);
    assert_true(sum.crashes > RUNS * 4);
    assert_true(sum.evaluations > sum.operations * 4);
}

static void test_run_seed__lanes_again_in_other_memory__have_the_same_trace(void **state) {
    (void)state;
    uint64_t seed = 0;
    for (uint32_t turn = 0; turn < 12; turn++) {
        struct mkv_shape shape;
        struct mkv_seed_outcome first;
        struct mkv_seed_outcome again;
        seed = seed_with_lanes(seed + 1, &shape);
        run(seed, NULL, &first);
        struct mkv_memory *memory = test_memory();
        memset(memory->bytes, 0xc7, 64 * MKV_MIB); /* what is not written is not looked at */
        mkv_run_seed(seed, NULL, memory, NULL, NULL, 200, &again);
        assert_true(first.report.trace_hash == again.report.trace_hash);
        assert_true(first.report.entries > 0);
    }
}

static void test_run_seed__no_fault__breaks_no_lane_but_by_its_client(void **state) {
    (void)state;
    uint64_t seed = 0;
    for (uint32_t turn = 0; turn < 12; turn++) {
        const struct mkv_run_choice none = {.has_faults = true};
        struct mkv_shape shape;
        struct mkv_seed_outcome outcome;
        seed = seed_with_lanes(seed + 1, &shape);
        run(seed, &none, &outcome);
        for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
            assert_int_equal(outcome.report.hits[fault], 0);
        }
        assert_true(outcome.report.operations > 0);
    }
}

/* Requests that failed between a lane's stop for a failed device and the next connection. */
static uint32_t failed_with_device(FILE *log) {
    char line[256];
    uint32_t count = 0;
    bool is_gone = false;
    rewind(log);
    while (fgets(line, sizeof line, log) != NULL) {
        is_gone = strstr(line, "** connect ") == NULL &&
                  (is_gone || strstr(line, "** device ") != NULL);
        count += is_gone && strstr(line, "** failed ") != NULL;
    }
    return count;
}

static void test_run_seed__devices_that_fail__take_requests_with_them(void **state) {
    (void)state;
    const struct mkv_run_choice choice = {.has_faults = true,
                                          .fault_mask = 1ull << MKV_FAULT_LANE_DEVICE};
    uint64_t seed = 0;
    uint64_t devices = 0;
    uint32_t requests = 0;
    for (uint32_t turn = 0; turn < RUNS; turn++) {
        struct mkv_shape shape;
        struct mkv_seed_outcome outcome;
        FILE *log = tmpfile();
        assert_non_null(log);
        seed = seed_with_lanes(seed + 1, &shape);
        mkv_run_seed(seed, &choice, test_memory(), NULL, log, 0, &outcome);
        if (outcome.failed) {
            fail_msg("seed %u: %s", (unsigned)seed, outcome.failure.text);
        }
        devices += outcome.report.hits[MKV_FAULT_LANE_DEVICE];
        requests += failed_with_device(log);
        assert_int_equal(fclose(log), 0);
    }
    print_message("%u devices failed, %u requests with them\n", (unsigned)devices, requests);
    assert_true(devices > 5);
    assert_true(requests > 5);
}

static void test_run_seed__turns_left_out__leaves_the_others(void **state) {
    (void)state;
    struct mkv_shape shape;
    struct mkv_seed_outcome all;
    struct mkv_seed_outcome few;
    const uint64_t seed = seed_with_lanes(1, &shape);
    run(seed, NULL, &all);
    few.shape = shape;
    few.shape.turns_max = 5;
    mkv_run_shaped(seed, test_memory(), NULL, NULL, 0, &few);
    assert_false(few.failed);
    assert_true(few.report.operations < all.report.operations);
    assert_true(few.report.client_turns == all.report.client_turns);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape__many_seeds__draw_lanes_that_are_sound),
        cmocka_unit_test(test_shape__figures_that_there_is_no_room_for__are_refused),
        cmocka_unit_test(test_run_seed__many_lanes__meet_every_fault_of_the_fabric),
        cmocka_unit_test(test_run_seed__lanes_again_in_other_memory__have_the_same_trace),
        cmocka_unit_test(test_run_seed__no_fault__breaks_no_lane_but_by_its_client),
        cmocka_unit_test(test_run_seed__devices_that_fail__take_requests_with_them),
        cmocka_unit_test(test_run_seed__turns_left_out__leaves_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
