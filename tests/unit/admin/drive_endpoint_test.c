/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/drive_endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/drive_life.h"
#include "tests/unit/admin/test.h"

/* A node that notes what it is asked, and answers what it is told to. */
struct fake_life {
    uint32_t calls;
    struct mkv_admin_drive_wish wish;
    char drive[64];
    char path[256];
    struct mkv_admin_drive_outcome outcome;
};

static void act(void *context, const struct mkv_admin_drive_wish *wish,
                struct mkv_admin_drive_outcome *outcome) {
    struct fake_life *life = context;
    life->calls++;
    life->wish = *wish;
    snprintf(life->drive, sizeof life->drive, "%s", wish->drive);
    snprintf(life->path, sizeof life->path, "%s", wish->path == NULL ? "" : wish->path);
    *outcome = life->outcome;
}

static struct mkv_admin_reply ask_with(struct fake_life *life, const char *rest,
                                       const struct mkv_admin_parameter *parameters,
                                       uint32_t count) {
    const struct mkv_admin_provider provider = {.context = life,
                                                .drive_act = life == NULL ? NULL : act};
    struct mkv_admin_request request = {
        .method = "POST", .rest = rest, .parameter_count = count, .provider = &provider};
    for (uint32_t i = 0; i < count; i++) {
        request.parameters[i] = parameters[i];
    }
    return mkv_endpoint_drive(&request);
}

static void expect(struct mkv_admin_reply reply, unsigned status, const char *words) {
    assert_int_equal(reply.status, status);
    assert_non_null(reply.body);
    char *body = strndup(reply.body, reply.body_bytes);
    assert_non_null(body);
    if (strstr(body, words) == NULL) {
        fail_msg("'%s' is not in %s", words, body);
    }
    free(body);
    free(reply.body);
}

static void test_drive_endpoint__each_outcome__has_its_status(void **state) {
    static const struct {
        enum mkv_admin_drive_end end;
        unsigned status;
        const char *words;
    } rows[] = {
        {MKV_ADMIN_DRIVE_END_DONE, 200, "\"done\":true"},
        {MKV_ADMIN_DRIVE_END_UNDER_WAY, 202, "\"stage\":\"it begins\""},
        {MKV_ADMIN_DRIVE_END_REFUSED, 409, "why not"},
        {MKV_ADMIN_DRIVE_END_NONE, 404, "there is no drive 'd03'"},
        {MKV_ADMIN_DRIVE_END_FAILED, 500, "why not"},
        {MKV_ADMIN_DRIVE_END_UNAVAILABLE, 503, "does not serve now"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fake_life life = {.outcome = {.end = rows[i].end,
                                             .job = 7,
                                             .stage = "it begins",
                                             .message = "why not",
                                             .refill_s = UINT64_MAX}};
        expect(ask_with(&life, "d03/offline", NULL, 0), rows[i].status, rows[i].words);
        assert_int_equal(life.calls, 1);
        assert_string_equal(life.drive, "d03");
        assert_int_equal(life.wish.action, MKV_ADMIN_DRIVE_ACT_OFFLINE);
    }
    expect(ask_with(NULL, "d03/offline", NULL, 0), 503, "does not serve now");
}

static void test_drive_endpoint__parameters__reach_the_node(void **state) {
    const struct mkv_admin_parameter parameters[] = {
        {"path", "/dev/disk/by-id/neu-\xc3\xbc"}, {"wait_ms", "5000"}, {"job", "3"}};
    struct fake_life life = {.outcome = {.end = MKV_ADMIN_DRIVE_END_DONE, .refill_s = 9}};
    (void)state;
    expect(ask_with(&life, "d03/replace", parameters, 3), 200, "\"refill_s\":9");
    assert_int_equal(life.wish.action, MKV_ADMIN_DRIVE_ACT_REPLACE);
    assert_string_equal(life.path, parameters[0].value);
    assert_int_equal(life.wish.wait_ns, 5000000000ull);
    assert_int_equal(life.wish.job, 3);
    assert_false(life.wish.only_cost);
}

static void test_drive_endpoint__names_and_parameters_that_are_none__never_reach_it(void **state) {
    static const struct {
        const char *rest;
        struct mkv_admin_parameter parameter;
        unsigned status;
    } rows[] = {
        {"", {NULL, NULL}, 404},
        {"offline", {NULL, NULL}, 404},
        {"/offline", {NULL, NULL}, 404},
        {"d03/", {NULL, NULL}, 404},
        {"d03/explode", {NULL, NULL}, 404},
        {"d03/offline/", {NULL, NULL}, 404},
        {"d03/replace", {NULL, NULL}, 400},
        {"d03/offline", {"path", "/dev/sda"}, 400},
        {"d03/erase", {"path", "/dev/sda"}, 400},
        {"d03/replace", {"path", ""}, 400},
        {"d03/replace", {"path", "new.memkv"}, 400},
        {"d03/replace", {"path", "/new\nname"}, 400},
        {"d03/replace", {"path", "/new\xff"}, 400},
        {"d03/offline", {"wait_ms", "5001"}, 400},
        {"d03/offline", {"job", "0"}, 400},
        {"d03/offline", {"job", "-1"}, 400},
    };
    struct fake_life life = {.outcome = {.end = MKV_ADMIN_DRIVE_END_DONE}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(ask_with(&life, rows[i].rest, &rows[i].parameter,
                        rows[i].parameter.name == NULL ? 0 : 1),
               rows[i].status, "\"error\"");
    }
    char longest[5000];
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    const struct mkv_admin_parameter path = {"path", longest};
    expect(ask_with(&life, "d03/replace", &path, 1), 400, "shorter than");
    memcpy(longest + sizeof longest - 9, "/offline", 9);
    expect(ask_with(&life, longest + 1, NULL, 0), 404, "\"error\"");
    assert_int_equal(life.calls, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drive_endpoint__each_outcome__has_its_status),
        cmocka_unit_test(test_drive_endpoint__parameters__reach_the_node),
        cmocka_unit_test(test_drive_endpoint__names_and_parameters_that_are_none__never_reach_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
