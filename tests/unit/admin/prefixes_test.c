/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/prefixes.h"

#include "tests/unit/admin/test.h"

static void add(struct mkv_prefixes *prefixes, const char *tenant, const char *key,
                uint64_t block_bytes) {
    mkv_prefixes_add(prefixes, tenant, (const uint8_t *)key, (uint32_t)strlen(key), block_bytes,
                     block_bytes == 0);
}

static void test_prefix_bytes__keys_of_all_forms__end_at_a_delimiter(void **state) {
    (void)state;
    static const struct {
        const char *key;
        uint32_t bytes[4]; /* by depth */
    } cases[] = {
        {"a/b/c", {0, 2, 4, 4}}, {"a:b@c|d", {0, 2, 4, 6}},
        {"", {0, 0, 0, 0}},      {"0123456789abcdef", {0, 0, 0, 0}},
        {"//", {0, 1, 2, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint32_t depth = 0; depth < 4; depth++) {
            const uint32_t key_bytes = (uint32_t)strlen(cases[i].key);
            assert_int_equal(mkv_prefix_bytes(depth, (const uint8_t *)cases[i].key, key_bytes),
                             cases[i].bytes[depth]);
        }
    }
    uint8_t key[MKV_KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    key[9] = '/';
    key[MKV_PREFIX_BYTES_MAX] = '/'; /* too far behind */
    assert_int_equal(mkv_prefix_bytes(2, key, sizeof key), 10);
}

static void test_prefixes__blocks_of_two_tenants__counted_apart_and_largest_first(void **state) {
    (void)state;
    struct mkv_prefixes *prefixes = malloc(sizeof *prefixes);
    mkv_prefixes_init(prefixes, 1);
    add(prefixes, "a", "x/1", 10);
    add(prefixes, "a", "x/2", 10);
    add(prefixes, "b", "x/1", 5);
    add(prefixes, "a", "y/1", 100);
    add(prefixes, "a", "plain", 0);
    mkv_prefixes_sort(prefixes);
    assert_int_equal(prefixes->count, 4);
    assert_memory_equal(prefixes->rows[0].bytes, "y/", 2);
    assert_string_equal(prefixes->rows[1].tenant, "a");
    assert_int_equal(prefixes->rows[1].blocks, 2);
    assert_int_equal(prefixes->rows[1].block_bytes, 20);
    assert_string_equal(prefixes->rows[2].tenant, "b");
    assert_int_equal(prefixes->rows[3].byte_count, 0);
    assert_int_equal(prefixes->rows[3].segmented, 1);
    assert_int_equal(prefixes->other.blocks, 0);
    free(prefixes);
}

static void test_prefixes__more_than_there_is_room_for__sum_is_that_of_all(void **state) {
    (void)state;
    struct mkv_prefixes *prefixes = malloc(sizeof *prefixes);
    mkv_prefixes_init(prefixes, 2);
    uint64_t expected = 0;
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < MKV_PREFIXES_MAX + 500; i++) {
            char key[32];
            snprintf(key, sizeof key, "m/%u/x", i);
            add(prefixes, "t", key, i + 1);
            expected += i + 1;
        }
    }
    uint64_t blocks = prefixes->other.blocks;
    uint64_t bytes = prefixes->other.block_bytes;
    for (uint32_t i = 0; i < prefixes->count; i++) {
        assert_int_equal(prefixes->rows[i].blocks, 2);
        blocks += prefixes->rows[i].blocks;
        bytes += prefixes->rows[i].block_bytes;
    }
    assert_int_equal(prefixes->count, MKV_PREFIXES_MAX);
    assert_int_equal(prefixes->other.blocks, 1000);
    assert_int_equal(blocks, 2 * (MKV_PREFIXES_MAX + 500));
    assert_int_equal(bytes, expected);
    free(prefixes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix_bytes__keys_of_all_forms__end_at_a_delimiter),
        cmocka_unit_test(test_prefixes__blocks_of_two_tenants__counted_apart_and_largest_first),
        cmocka_unit_test(test_prefixes__more_than_there_is_room_for__sum_is_that_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
