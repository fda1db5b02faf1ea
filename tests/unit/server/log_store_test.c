/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct mkv_log_store *store, uint32_t number, uint32_t bytes) {
    char line[MKV_LOG_LINE_BYTES_MAX];
    memset(line, 'a' + (int)(number % 26), sizeof line);
    const int digits = snprintf(line, sizeof line, "%u", number);
    line[digits] = ' ';
    line[bytes - 1] = '\n';
    mkv_log_store_add(store, line, bytes);
}

/* The line's number, and that it is as it was added. */
static uint32_t number_of(const char *line, uint32_t bytes) {
    const uint32_t number = (uint32_t)strtoul(line, NULL, 10);
    assert_int_equal(line[bytes - 1], '\n');
    for (uint32_t i = 12; i + 1 < bytes; i++) {
        assert_int_equal(line[i], 'a' + (int)(number % 26));
    }
    return number;
}

static void test_take__lines_in_order__then_closed(void **state) {
    (void)state;
    static char line[MKV_LOG_LINE_BYTES_MAX + 1];
    struct mkv_log_store *store = mkv_log_store_create();
    uint64_t next = 0;
    uint64_t lost = 0;
    uint64_t calls = 0;
    uint32_t bytes;
    for (uint32_t i = 0; i < 10; i++) {
        add(store, i, 20 + i);
    }
    mkv_log_store_wake(store);
    mkv_log_store_close(store);
    assert_int_equal(mkv_log_store_end(store), 10);
    assert_int_equal(mkv_log_store_take(store, &next, &lost, &calls, line, &bytes),
                     MKV_LOG_STORE_WOKEN);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(mkv_log_store_take(store, &next, &lost, &calls, line, &bytes),
                         MKV_LOG_STORE_LINE);
        assert_int_equal(bytes, 20 + i);
        assert_int_equal(number_of(line, bytes), i);
    }
    assert_int_equal(mkv_log_store_take(store, &next, &lost, &calls, line, &bytes),
                     MKV_LOG_STORE_CLOSED);
    assert_int_equal(lost, 0);
    mkv_log_store_destroy(store);
}

/* Lines of all sizes over many rounds of the ring: whatever is still there is whole, and a reader
 * who is late learns how many went by. */
static void test_add__beyond_the_room__forgets_the_oldest(void **state) {
    (void)state;
    static char line[MKV_LOG_LINE_BYTES_MAX + 1];
    struct mkv_log_store *store = mkv_log_store_create();
    uint64_t next = 0;
    uint64_t lost = 0;
    uint64_t calls = 0;
    uint64_t taken = 0;
    uint32_t bytes;
    uint32_t added = 0;
    for (uint32_t round = 0; round < 200; round++) {
        /* Small lines reach the bound of lines, large ones that of bytes. */
        const uint32_t count = round % 3 == 0 ? 6000 : 400;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t size = round % 3 == 0
                                      ? 20 + added % 17
                                      : 20 + (added * 7919u) % (MKV_LOG_LINE_BYTES_MAX - 20);
            add(store, added, size);
            added++;
        }
        const uint32_t wanted = round % 2 == 0 ? 50 : 5000;
        for (uint32_t i = 0; i < wanted && next < added; i++) {
            assert_int_equal(mkv_log_store_take(store, &next, &lost, &calls, line, &bytes),
                             MKV_LOG_STORE_LINE);
            assert_int_equal(number_of(line, bytes), next - 1);
            taken++;
        }
        assert_int_equal(taken + lost, next);
    }
    assert_true(lost > 0);
    size_t total;
    char *text = mkv_log_store_last(store, 3, &total);
    assert_int_equal(strlen(text), total);
    assert_int_equal(strtoul(text, NULL, 10), added - 3);
    free(text);
    text = mkv_log_store_last(store, UINT32_MAX, &total);
    assert_true(total <= MKV_LOG_STORE_BYTES);
    assert_true(total > MKV_LOG_STORE_BYTES / 2);
    free(text);
    mkv_log_store_destroy(store);
}

static void test_last__nothing_there__is_empty(void **state) {
    (void)state;
    struct mkv_log_store *store = mkv_log_store_create();
    size_t total = 1;
    char *text = mkv_log_store_last(store, 10, &total);
    assert_string_equal(text, "");
    assert_int_equal(total, 0);
    free(text);
    mkv_log_store_destroy(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take__lines_in_order__then_closed),
        cmocka_unit_test(test_add__beyond_the_room__forgets_the_oldest),
        cmocka_unit_test(test_last__nothing_there__is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
