/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_quotas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEAST MKV_MIB
#define MOST (64ull * MKV_GIB)

static struct mkv_tenant_quota quotas[MKV_TENANT_QUOTAS_MAX];
static uint32_t count;
static char problem[MKV_CONFIG_QUOTAS_PROBLEM_BYTES];

static bool parse(const char *text) {
    return mkv_config_quotas_parse(text, LEAST, MOST, quotas, &count, problem);
}

static void refused(const char *text, const char *words) {
    assert_false(parse(text));
    if (strstr(problem, words) == NULL) {
        fail_msg("'%s' does not say '%s'", problem, words);
    }
}

static void test_config_quotas__list__names_and_bytes(void **state) {
    (void)state;
    assert_true(parse(""));
    assert_int_equal(count, 0);
    assert_true(parse("batch=1MiB"));
    assert_int_equal(count, 1);
    assert_true(parse("  batch=100MiB , team-7=2GiB,default=64GiB "));
    assert_int_equal(count, 3);
    assert_string_equal(quotas[0].name, "batch");
    assert_int_equal(quotas[0].bytes, 100 * MKV_MIB);
    assert_string_equal(quotas[1].name, "team-7");
    assert_int_equal(quotas[1].bytes, 2 * MKV_GIB);
    assert_string_equal(quotas[2].name, "default");
}

static void test_config_quotas__wrong_entry__named(void **state) {
    (void)state;
    refused("batch", "'batch' is no NAME=SIZE");
    refused("=1GiB", "name of a tenant");
    refused("a b=1GiB", "name of a tenant");
    refused("a=1GiB,,b=1GiB", "is no NAME=SIZE");
    refused("a=1GB", "'a=1GB': the size");
    refused("a=1KiB", "out of range; use 1MiB to 64GiB");
    refused("a=1TiB", "out of range");
    refused("a=1GiB, a=2GiB", "has two quotas");
    char longest[512];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    refused(longest, "longer than any");
}

static void test_config_quotas__more_than_there_may_be__refused(void **state) {
    (void)state;
    char text[MKV_TENANT_QUOTAS_MAX * 16u + 16u] = "";
    char *end = text;
    for (uint32_t index = 0; index <= MKV_TENANT_QUOTAS_MAX; index++) {
        memcpy(end, "t000=1MiB,", 10);
        end[1] = (char)('0' + index / 100);
        end[2] = (char)('0' + index / 10 % 10);
        end[3] = (char)('0' + index % 10);
        end += 10;
        *end = '\0';
    }
    refused(text, "more than 64 quotas");
    end[-10] = '\0';
    assert_true(parse(text));
    assert_int_equal(count, MKV_TENANT_QUOTAS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_quotas__list__names_and_bytes),
        cmocka_unit_test(test_config_quotas__wrong_entry__named),
        cmocka_unit_test(test_config_quotas__more_than_there_may_be__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
