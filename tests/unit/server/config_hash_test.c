/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_hash.h"

#include "tests/unit/server/config_helper.h"

static void hash_of(const char *text, char out[MKV_CONFIG_HASH_BYTES]) {
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    assert_true(mkv_config_load_text(&config, "memkv.yaml", text, strlen(text), &error));
    mkv_config_hash(&config, out);
    assert_int_equal(strlen(out), MKV_CONFIG_HASH_BYTES - 1);
}

#define DRIVES "storage:\n  drives:\n    - media: /dev/nvme0n1\n"

static void test_config_hash__same_values__same_text(void **state) {
    (void)state;
    char one[MKV_CONFIG_HASH_BYTES];
    char other[MKV_CONFIG_HASH_BYTES];
    hash_of("memory:\n  max_size: 1GiB\n" DRIVES, one);
    hash_of("# the default, in other words\nmemory: {max_size: 1024MiB}\n" DRIVES, other);
    assert_string_equal(one, other);
    hash_of("node: {id: gpu-07}\n" DRIVES, other);
    assert_string_equal(one, other);
}

static void test_config_hash__any_other_value__another_text(void **state) {
    (void)state;
    static const char *const others[] = {
        "memory:\n  max_size: 2GiB\n" DRIVES,
        "storage:\n  trim: off\n  drives:\n    - media: /dev/nvme0n1\n",
        "storage:\n  drives:\n    - media: /dev/nvme1n1\n",
        DRIVES "      name: fast\n",
        DRIVES "    - media: /dev/nvme1n1\n",
        "tenants: {quotas: 'a=1GiB'}\n" DRIVES,
    };
    char one[MKV_CONFIG_HASH_BYTES];
    hash_of(DRIVES, one);
    for (size_t index = 0; index < sizeof others / sizeof others[0]; index++) {
        char other[MKV_CONFIG_HASH_BYTES];
        hash_of(others[index], other);
        assert_string_not_equal(one, other);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_hash__same_values__same_text),
        cmocka_unit_test(test_config_hash__any_other_value__another_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
