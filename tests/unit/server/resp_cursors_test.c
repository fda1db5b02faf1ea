/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_cursors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct mkv_resp_cursor at(uint32_t volume, const char *key) {
    struct mkv_resp_cursor cursor = {.tenant = 7, .volume = volume};
    cursor.key_bytes = (uint32_t)strlen(key);
    memcpy(cursor.key, key, cursor.key_bytes);
    return cursor;
}

static void test_resp_cursors__a_number__stands_for_its_place_again_and_again(void **state) {
    (void)state;
    struct mkv_resp_cursors *cursors = mkv_resp_cursors_create();
    const struct mkv_resp_cursor kept = at(3, "some key");
    const uint64_t number = mkv_resp_cursors_keep(cursors, &kept);
    assert_int_not_equal(number, 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct mkv_resp_cursor found;
        assert_true(mkv_resp_cursors_find(cursors, number, 7, &found));
        assert_int_equal(found.volume, 3);
        assert_int_equal(found.key_bytes, 8);
        assert_memory_equal(found.key, "some key", 8);
    }
    mkv_resp_cursors_destroy(cursors);
}

static void test_resp_cursors__numbers_of_nobody__are_not_found(void **state) {
    (void)state;
    struct mkv_resp_cursors *cursors = mkv_resp_cursors_create();
    struct mkv_resp_cursor found;
    const struct mkv_resp_cursor kept = at(0, "k");
    const uint64_t number = mkv_resp_cursors_keep(cursors, &kept);
    assert_false(mkv_resp_cursors_find(cursors, 0, 7, &found));
    assert_false(mkv_resp_cursors_find(cursors, number + 1, 7, &found));
    assert_false(mkv_resp_cursors_find(cursors, UINT64_MAX, 7, &found));
    assert_false(mkv_resp_cursors_find(cursors, number, 8, &found)); /* another tenant's */
    mkv_resp_cursors_destroy(cursors);
}

static void test_resp_cursors__too_many__the_one_used_longest_ago_gives_way(void **state) {
    (void)state;
    struct mkv_resp_cursors *cursors = mkv_resp_cursors_create();
    struct mkv_resp_cursor found;
    const struct mkv_resp_cursor kept = at(1, "k");
    const uint64_t first = mkv_resp_cursors_keep(cursors, &kept);
    const uint64_t second = mkv_resp_cursors_keep(cursors, &kept);
    for (uint32_t i = 2; i < MKV_RESP_CURSORS_MAX; i++) {
        mkv_resp_cursors_keep(cursors, &kept);
    }
    assert_true(mkv_resp_cursors_find(cursors, first, 7, &found));
    const uint64_t last = mkv_resp_cursors_keep(cursors, &kept);
    assert_true(mkv_resp_cursors_find(cursors, first, 7, &found));
    assert_true(mkv_resp_cursors_find(cursors, last, 7, &found));
    assert_false(mkv_resp_cursors_find(cursors, second, 7, &found));
    mkv_resp_cursors_destroy(cursors);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_cursors__a_number__stands_for_its_place_again_and_again),
        cmocka_unit_test(test_resp_cursors__numbers_of_nobody__are_not_found),
        cmocka_unit_test(test_resp_cursors__too_many__the_one_used_longest_ago_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
