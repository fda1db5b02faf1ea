/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/memory_map.h"

static void test_memory_map__hugepages_fall_short__text_says_how_many(void **state) {
    (void)state;
    struct mkv_backend_error error;
    assert_false(mkv_memory_refuse_hugepages("memory.max_size", 64 * MKV_GIB, 0, &error));
    assert_string_equal(error.text,
                        "memory.max_size 64GiB needs 32768 huge pages of 2 MiB, 0 are free. Run: "
                        "sysctl -w vm.nr_hugepages=32768, or set memory.hugepages: auto");
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
    assert_false(mkv_memory_refuse_hugepages("memory.max_size", 1537 * MKV_MIB, 700, &error));
    assert_string_equal(error.text,
                        "memory.max_size 1537MiB needs 769 huge pages of 2 MiB, 700 are free. Run: "
                        "sysctl -w vm.nr_hugepages=769, or set memory.hugepages: auto");
}

static void test_memory_map__more_than_there_is__text_says_how_much(void **state) {
    (void)state;
    struct mkv_backend_error error;
    assert_false(mkv_memory_refuse_bytes("memory.max_size", 64 * MKV_GIB,
                                         23 * MKV_GIB + MKV_MIB - 1, &error));
    assert_string_equal(error.text, "memory.max_size 64GiB is more memory than there is: 23552MiB "
                                    "are available here. Set memory.max_size below that");
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
}

static uint64_t free_hugepages(void) {
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
    uint64_t count = 0;
    if (file != NULL) {
        if (fscanf(file, "%" SCNu64, &count) != 1) {
            count = 0;
        }
        fclose(file);
    }
    return count;
}

static void test_memory_map__require_without_huge_pages__refuses(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_memory_map map;
    uint64_t bytes = (free_hugepages() + 100) * MKV_HUGEPAGE_BYTES;
    assert_false(mkv_memory_map(bytes, MKV_HUGEPAGES_REQUIRE, "memory.max_size", &map, &error));
    assert_non_null(strstr(error.text, "huge pages of 2 MiB"));
    assert_null(map.base);
    mkv_memory_unmap(&map);
}

static void test_memory_map__auto_without_huge_pages__falls_back_and_says_so(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_memory_map map;
    uint64_t free_count = free_hugepages();
    if (free_count > 64) {
        print_message("skipped: this machine has %" PRIu64 " huge pages free\n", free_count);
        skip();
    }
    uint64_t bytes = (free_count + 2) * MKV_HUGEPAGE_BYTES - 5000;
    assert_true(mkv_memory_map(bytes, MKV_HUGEPAGES_AUTO, "memory.max_size", &map, &error));
    assert_false(map.huge);
    assert_int_equal(map.hugepages_needed, free_count + 2);
    assert_true(map.hugepages_free <= free_count);
    mkv_memory_unmap(&map);
}

static void test_memory_map__huge_pages_there__are_used(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_memory_map map;
    if (free_hugepages() < 2) {
        print_message("skipped: this machine has no huge pages (sysctl -w vm.nr_hugepages=2)\n");
        skip();
    }
    assert_true(mkv_memory_map(MKV_HUGEPAGE_BYTES + 1, MKV_HUGEPAGES_REQUIRE, "memory.max_size",
                               &map, &error));
    assert_true(map.huge);
    assert_int_equal(map.bytes, 2 * MKV_HUGEPAGE_BYTES);
    assert_int_equal((uintptr_t)map.base % MKV_HUGEPAGE_BYTES, 0);
    memset(map.base, 1, map.bytes);
    mkv_memory_unmap(&map);
}

static void test_memory_map__any_mode__every_page_is_there_and_zero(void **state) {
    (void)state;
    static const enum mkv_hugepages modes[] = {MKV_HUGEPAGES_OFF, MKV_HUGEPAGES_AUTO};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct mkv_backend_error error;
        struct mkv_memory_map map;
        assert_true(mkv_memory_map(3 * MKV_MIB + 1, modes[i], "memory.max_size", &map, &error));
        if (!map.huge) {
            uint8_t resident[3 * 256 + 1];
            assert_int_equal(map.bytes, 3 * MKV_MIB + MKV_UNIT_BYTES);
            assert_int_equal(mincore(map.base, map.bytes, resident), 0);
            for (size_t page = 0; page < sizeof resident; page++) {
                assert_int_equal(resident[page] & 1, 1);
            }
        }
        for (uint64_t at = 0; at < map.bytes; at++) {
            assert_int_equal(map.base[at], 0);
        }
        mkv_memory_unmap(&map);
        assert_null(map.base);
    }
}

static void test_memory_map__more_than_the_machine_has__refuses_before_touching(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_memory_map map;
    assert_false(
        mkv_memory_map(100000 * MKV_GIB, MKV_HUGEPAGES_OFF, "memory.max_size", &map, &error));
    assert_non_null(strstr(error.text, "memory.max_size 100000GiB is more memory than there is: "));
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_map__hugepages_fall_short__text_says_how_many),
        cmocka_unit_test(test_memory_map__more_than_there_is__text_says_how_much),
        cmocka_unit_test(test_memory_map__require_without_huge_pages__refuses),
        cmocka_unit_test(test_memory_map__auto_without_huge_pages__falls_back_and_says_so),
        cmocka_unit_test(test_memory_map__huge_pages_there__are_used),
        cmocka_unit_test(test_memory_map__any_mode__every_page_is_there_and_zero),
        cmocka_unit_test(test_memory_map__more_than_the_machine_has__refuses_before_touching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
