/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told without a device; the rest is tests/integration/verbs_suite.c, in the lab. */
#include "verbs/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const struct mkv_verbs_options GOOD = {
    .device = "no_such_device",
    .gid_index = -1,
    .endpoints_max = 4,
    .message_bytes = 8192,
    .receives_each = 8,
};

static void refused(struct mkv_verbs_options options, const char *says) {
    struct mkv_verbs *verbs = NULL;
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    assert_false(mkv_verbs_open(&options, &verbs, problem));
    assert_null(verbs);
    assert_non_null(strstr(problem, mkv_verbs_is_built() ? says : "built without RDMA"));
}

static void test_open__a_figure_out_of_bounds__is_named(void **state) {
    struct mkv_verbs_options options = GOOD;
    (void)state;
    options.endpoints_max = 0;
    refused(options, "endpoints_max is 0");
    options = GOOD;
    options.message_bytes = 4096;
    refused(options, "message_bytes is not within 8192 and 65536");
    options.message_bytes = 65537;
    refused(options, "message_bytes is not within 8192 and 65536");
    options = GOOD;
    options.receives_each = 3;
    refused(options, "receives_each is not within 4 and 64");
    options.receives_each = 65;
    refused(options, "receives_each is not within 4 and 64");
    options = GOOD;
    options.traffic_class = 256;
    refused(options, "the traffic class is at most 255");
    options = GOOD;
    options.service_level = 16;
    refused(options, "the service level at most 15");
    options = GOOD;
    options.mtu = 1500;
    refused(options, "the MTU of RDMA is 256, 512, 1024, 2048 or 4096");
    options.mtu = 128;
    refused(options, "the MTU of RDMA is 256, 512, 1024, 2048 or 4096");
}

/* Here is no such device, and mostly none at all, or no library of RDMA. */
static void test_open__no_such_device__says_what_to_look_at(void **state) {
    (void)state;
    refused(GOOD, "RDMA");
    mkv_verbs_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open__a_figure_out_of_bounds__is_named),
        cmocka_unit_test(test_open__no_such_device__says_what_to_look_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
