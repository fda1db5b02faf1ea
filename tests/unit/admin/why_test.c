/* SPDX-License-Identifier: Apache-2.0 */
/* Why a key is where it is: what the endpoint makes of what is known, and how it reads. */
#include "admin/why.h"

#include "tests/unit/admin/test.h"

static struct mkv_admin_why known;
static enum mkv_status known_status;
static char asked_tenant[128];
static uint8_t asked_key[MKV_KEY_BYTES_MAX];
static uint32_t asked_bytes;

static enum mkv_status provide(void *context, const char *tenant, const uint8_t *key,
                               uint32_t key_bytes, struct mkv_admin_why *out) {
    (void)context;
    snprintf(asked_tenant, sizeof asked_tenant, "%s", tenant);
    memcpy(asked_key, key, key_bytes);
    asked_bytes = key_bytes;
    *out = known;
    return known_status;
}

static struct mkv_admin_reply ask(const char *key, const char *tenant) {
    const struct mkv_admin_provider provider = {.why = provide};
    struct mkv_admin_request request = {.provider = &provider};
    if (key != NULL) {
        request.parameters[request.parameter_count++] = (struct mkv_admin_parameter){"key", key};
    }
    if (tenant != NULL) {
        request.parameters[request.parameter_count++] =
            (struct mkv_admin_parameter){"tenant", tenant};
    }
    return mkv_endpoint_why(&request);
}

/* The answer for people. */
static char *text_of(const struct mkv_admin_reply *reply) {
    json_t *answer = json_loadb(reply->body, reply->body_bytes, 0, NULL);
    assert_non_null(answer);
    struct mkv_text out = {0};
    mkv_why_text(answer, &out);
    json_decref(answer);
    assert_false(out.failed);
    return out.bytes;
}

static void assert_text(const char *key, const char *expected) {
    const struct mkv_admin_reply reply = ask(key, NULL);
    assert_int_equal(reply.status, 200);
    char *text = text_of(&reply);
    assert_string_equal(text, expected);
    free(text);
    free(reply.body);
}

static void test_why__on_the_drive_and_in_memory__golden(void **state) {
    (void)state;
    known_status = MKV_STATUS_OK;
    known = (struct mkv_admin_why){
        .tenant_known = true,
        .drive = "d03",
        .drive_serves = true,
        .in_memory = true,
        .memory_length = 5000,
        .on_drive = true,
        .length_units = 2,
        .tier = MKV_TIER_UNHINTED,
        .tier_put = MKV_TIER_THINK_ACTIVE,
        .expiry_s = 1767225600,
        .leased = true,
    };
    assert_text("k", "key       k\n"
                     "tenant    default\n"
                     "drive     d03\n"
                     "found     on the drive\n"
                     "memory    yes, 5000 bytes\n"
                     "block     up to 8192 bytes, tier unhinted\n"
                     "stored in think_active\n"
                     "expires   2026-01-01T00:00:00Z\n"
                     "leased    yes, or pinned: it is not evicted now\n"
                     "that is   it is on its drive, and in memory\n");
    assert_string_equal(asked_tenant, "default");
}

static void test_why__every_reason__explained(void **state) {
    (void)state;
    known_status = MKV_STATUS_OK;
    for (enum mkv_miss miss = MKV_MISS_UNKNOWN; miss < MKV_MISS_COUNT; miss++) {
        known = (struct mkv_admin_why){
            .tenant_known = true, .drive = "d00", .drive_serves = true, .miss = miss};
        const struct mkv_admin_reply reply = ask("k", "team-7");
        assert_int_equal(reply.status, 200);
        char *text = text_of(&reply);
        assert_non_null(strstr(text, "found     no\n"));
        assert_non_null(strstr(text, "\nreason    "));
        assert_non_null(strstr(text, "\nto do     "));
        assert_null(strstr(text, "that is   -"));
        assert_string_equal(asked_tenant, "team-7");
        free(text);
        free(reply.body);
    }
}

static void test_why__nobodys_tenant_or_no_drive__said(void **state) {
    (void)state;
    known_status = MKV_STATUS_OK;
    known = (struct mkv_admin_why){.drive = "d00", .drive_serves = true};
    struct mkv_admin_reply reply = ask("k", "nobody");
    assert_non_null(strstr(reply.body, "nobody has stored anything under this tenant"));
    assert_non_null(strstr(reply.body, "\"miss\":null"));
    free(reply.body);
    known = (struct mkv_admin_why){.tenant_known = true};
    reply = ask("k", NULL);
    assert_non_null(strstr(reply.body, "no drive takes keys"));
    assert_non_null(strstr(reply.body, "\"drive\":null"));
    free(reply.body);
}

static void test_why__keys__text_or_hexadecimal(void **state) {
    (void)state;
    known_status = MKV_STATUS_OK;
    known = (struct mkv_admin_why){.tenant_known = true, .drive = "d00"};
    struct mkv_admin_reply reply = ask("hex:00fFa0", NULL);
    assert_int_equal(reply.status, 200);
    assert_int_equal(asked_bytes, 3);
    assert_memory_equal(asked_key, "\x00\xff\xa0", 3);
    free(reply.body);
    static const char *const wrong[] = {"", "hex:", "hex:0", "hex:0g", "hex:0001 "};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        reply = ask(wrong[i], NULL);
        assert_int_equal(reply.status, 400);
        free(reply.body);
    }
    char longest[MKV_KEY_BYTES_MAX + 2];
    memset(longest, 'k', sizeof longest - 1);
    longest[MKV_KEY_BYTES_MAX + 1] = '\0';
    reply = ask(longest, NULL);
    assert_int_equal(reply.status, 400);
    free(reply.body);
    longest[MKV_KEY_BYTES_MAX] = '\0';
    reply = ask(longest, NULL);
    assert_int_equal(reply.status, 200);
    free(reply.body);
    reply = ask(NULL, NULL);
    assert_int_equal(reply.status, 400);
    free(reply.body);
    reply = ask("k", "no/tenant");
    assert_int_equal(reply.status, 400);
    free(reply.body);
}

static void test_why__node_that_cannot_tell__503(void **state) {
    (void)state;
    known_status = MKV_STATUS_UNAVAILABLE;
    const struct mkv_admin_reply reply = ask("k", NULL);
    assert_int_equal(reply.status, 503);
    free(reply.body);
}

static void test_why_text__an_answer_of_another_release__no_harm(void **state) {
    (void)state;
    static const char *const answers[] = {"{}", "{\"drive\":5,\"memory\":[],\"block\":{}}"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        json_t *answer = json_loads(answers[i], 0, NULL);
        struct mkv_text out = {0};
        mkv_why_text(answer, &out);
        assert_false(out.failed);
        mkv_text_free(&out);
        json_decref(answer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_why__on_the_drive_and_in_memory__golden),
        cmocka_unit_test(test_why__every_reason__explained),
        cmocka_unit_test(test_why__nobodys_tenant_or_no_drive__said),
        cmocka_unit_test(test_why__keys__text_or_hexadecimal),
        cmocka_unit_test(test_why__node_that_cannot_tell__503),
        cmocka_unit_test(test_why_text__an_answer_of_another_release__no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
