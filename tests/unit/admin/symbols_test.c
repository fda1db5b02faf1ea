/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/symbols.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/admin/test.h"

/* Has a name in the program's table alone: it is static. */
__attribute__((noinline)) static int a_static_function(int value) {
    return value * 3 + 1;
}

static uintptr_t address_of(int (*function)(int)) {
    uintptr_t address;
    memcpy(&address, &function, sizeof address);
    return address;
}

static void test_symbols__functions_of_the_program__found_at_each_of_their_bytes(void **state) {
    (void)state;
    struct mkv_symbols *symbols = mkv_symbols_open();
    assert_non_null(symbols);
    assert_true(mkv_symbols_count(symbols) > 10);
    const uintptr_t address = address_of(a_static_function);
    assert_int_equal(a_static_function(2), 7);
    assert_string_equal(mkv_symbols_find(symbols, address), "a_static_function");
    assert_string_equal(mkv_symbols_find(symbols, address + 1), "a_static_function");
    const char *before = mkv_symbols_find(symbols, address - 1);
    assert_true(before == NULL || strcmp(before, "a_static_function") != 0);
    mkv_symbols_close(symbols);
}

static void test_symbols__functions_of_a_library__found(void **state) {
    (void)state;
    struct mkv_symbols *symbols = mkv_symbols_open();
    const char *name = mkv_symbols_find(symbols, address_of(abs));
    assert_non_null(name);
    mkv_symbols_close(symbols);
}

static void test_symbols__addresses_of_nothing__have_no_name(void **state) {
    (void)state;
    struct mkv_symbols *symbols = mkv_symbols_open();
    assert_null(mkv_symbols_find(symbols, 0));
    assert_null(mkv_symbols_find(symbols, 1));
    assert_null(mkv_symbols_find(symbols, UINTPTR_MAX));
    assert_null(mkv_symbols_find(symbols, (uintptr_t)&symbols));
    mkv_symbols_close(symbols);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols__functions_of_the_program__found_at_each_of_their_bytes),
        cmocka_unit_test(test_symbols__functions_of_a_library__found),
        cmocka_unit_test(test_symbols__addresses_of_nothing__have_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
