/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite, the same on every medium: the simulated drive, a file, a loop device, and
 * where MKV_TEST_DEVICE names a block device that alone. All that is on that device is lost.
 *
 *     MKV_TEST_DEVICE=/dev/nvme1n1 build/tests/unit/backends-drive_conformance_test
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/backends/drive_conformance.h"
#include "tests/unit/backends/drive_fixture.h"
#include "tests/unit/backends/drive_model.h"
#include "tests/unit/backends/drive_simulated.h"

#define DEVICE_VARIABLE "MKV_TEST_DEVICE"
#define MODEL_OPERATIONS 300u
#define MODEL_REOPENINGS 30u

/* ---- the media ------------------------------------------------------------------------------ */

/* The tests are given a struct drive_conformance, whose context is what made it. */
static int set_up_simulated(void **state, bool volatile_cache) {
    const struct drive_simulated_options options = {
        .volatile_cache = volatile_cache,
        .arbitrary_trims = volatile_cache,
        .fault = MKV_FAULT_NONE,
    };
    *state = drive_simulated_target(drive_simulated_make(&options));
    return 0;
}
static int set_up_cached(void **state) {
    return set_up_simulated(state, true);
}
static int set_up_uncached(void **state) {
    return set_up_simulated(state, false);
}
static int tear_down_simulated(void **state) {
    drive_simulated_free(((struct drive_conformance *)*state)->context);
    return 0;
}

static int set_up_fixture(void **state, const struct drive_fixture_options *options) {
    struct drive_fixture *fixture = drive_fixture_make(options);
    *state = fixture == NULL ? NULL : drive_fixture_target(fixture);
    return fixture == NULL ? -1 : 0;
}
static int set_up_file(void **state) {
    return set_up_fixture(state, &(struct drive_fixture_options){.medium = DRIVE_FIXTURE_FILE});
}
static int set_up_loop(void **state) {
    return set_up_fixture(state, &(struct drive_fixture_options){.medium = DRIVE_FIXTURE_LOOP});
}
static int set_up_device(void **state) {
    return set_up_fixture(state, &(struct drive_fixture_options){.medium = DRIVE_FIXTURE_DEVICE,
                                                                 .path = getenv(DEVICE_VARIABLE)});
}
static int set_up_device_plain(void **state) {
    return set_up_fixture(state, &(struct drive_fixture_options){.medium = DRIVE_FIXTURE_DEVICE,
                                                                 .path = getenv(DEVICE_VARIABLE),
                                                                 .plain = true,
                                                                 .queue_depth = 8});
}
static int tear_down_fixture(void **state) {
    drive_fixture_free(((struct drive_conformance *)*state)->context);
    return 0;
}

static bool has_loop_devices(void) {
    struct drive_fixture *fixture =
        drive_fixture_make(&(struct drive_fixture_options){.medium = DRIVE_FIXTURE_LOOP});
    if (fixture != NULL) {
        drive_fixture_free(fixture);
    }
    return fixture != NULL;
}

static void test_drive__loop_device__is_to_be_had(void **state) {
    (void)state;
    skip(); /* the line on why is out */
}

/* ---- whether the suite can fail ------------------------------------------------------------- */

static bool model_agrees_under(enum mkv_fault fault, char complaint[DRIVE_MODEL_COMPLAINT_BYTES]) {
    const struct drive_simulated_options options = {.volatile_cache = true, .fault = fault};
    const struct drive_model_options model_options = {
        .seed = 3, .operations = MODEL_OPERATIONS, .reopenings = MODEL_REOPENINGS};
    struct drive_simulated *simulated = drive_simulated_make(&options);
    const bool agrees =
        drive_model_agrees(drive_simulated_target(simulated), &model_options, complaint);
    drive_simulated_free(simulated);
    return agrees;
}

static void test_drive_model__drive_that_loses_or_lies__is_seen(void **state) {
    static const struct {
        enum mkv_fault fault;
        const char *complaint;
    } cases[] = {
        {MKV_FAULT_LOST_WRITE, "brings write"},       {MKV_FAULT_STALE_READ, "brings write"},
        {MKV_FAULT_MISDIRECTED_READ, "brings write"}, {MKV_FAULT_LYING_FLUSH, "was flushed"},
        {MKV_FAULT_WRITE_DEVICE, "came to"},          {MKV_FAULT_NO_ROOM, "came to"},
    };
    (void)state;
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        char complaint[DRIVE_MODEL_COMPLAINT_BYTES];
        assert_false(model_agrees_under(cases[index].fault, complaint));
        if (strstr(complaint, cases[index].complaint) == NULL) {
            fail_msg("%s: %s", mkv_fault_info(cases[index].fault)->name, complaint);
        }
    }
}

int main(void) {
    static const struct CMUnitTest suite[] = {DRIVE_CONFORMANCE_TESTS,
                                              DRIVE_CONFORMANCE_REOPENING_TESTS};
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(test_drive_model__drive_that_loses_or_lies__is_seen),
    };
    static const struct CMUnitTest no_loop[] = {
        cmocka_unit_test(test_drive__loop_device__is_to_be_had),
    };
    int failed = 0;
    if (getenv(DEVICE_VARIABLE) != NULL) {
        failed += cmocka_run_group_tests_name("device", suite, set_up_device, tear_down_fixture);
        failed += cmocka_run_group_tests_name("device: plain operations", suite,
                                              set_up_device_plain, tear_down_fixture);
        return failed;
    }
    failed += cmocka_run_group_tests_name("simulated", suite, set_up_cached, tear_down_simulated);
    failed += cmocka_run_group_tests_name("simulated, no cache", suite, set_up_uncached,
                                          tear_down_simulated);
    failed += cmocka_run_group_tests_name("model", own, NULL, NULL);
    failed += cmocka_run_group_tests_name("file", suite, set_up_file, tear_down_fixture);
    if (has_loop_devices()) {
        failed += cmocka_run_group_tests_name("loop device", suite, set_up_loop, tear_down_fixture);
    } else {
        failed += cmocka_run_group_tests_name("loop device", no_loop, NULL, NULL);
    }
    return failed;
}
