/* SPDX-License-Identifier: Apache-2.0 */
#include "server/setup_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/memory_map.h"

#define DRIVES_MAX 24u

struct fixture {
    char directory[64];
    char proc[128];
    char sys[128];
    struct mkv_drive_roots roots;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->directory, sizeof fixture->directory, "/var/tmp/memkv-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->proc, sizeof fixture->proc, "%s/proc", fixture->directory);
    snprintf(fixture->sys, sizeof fixture->sys, "%s/sys", fixture->directory);
    fixture->roots = (struct mkv_drive_roots){fixture->sys, fixture->proc, "/nowhere"};
    *state = fixture;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(nftw(fixture->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(fixture);
    return 0;
}

/* Writes a file with the directories above it. */
static void put(const struct fixture *fixture, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, S_IRWXU);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

static void test_machine__total_and_huge_pages__as_told(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_setup_machine machine;
    assert_false(mkv_setup_machine_read(&fixture->roots, &machine));
    put(fixture, "proc/meminfo", "MemTotal:       24684084 kB\nMemFree: 1 kB\n");
    assert_true(mkv_setup_machine_read(&fixture->roots, &machine));
    assert_int_equal(machine.memory_bytes, 24684084 * MKV_KIB);
    assert_false(machine.has_hugepages);
    put(fixture, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
    assert_true(mkv_setup_machine_read(&fixture->roots, &machine));
    assert_true(machine.has_hugepages);
    assert_int_equal(machine.hugepages, 512);
}

static void test_machine__control_groups__the_least_limit_of_all_above(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_setup_machine machine;
    put(fixture, "proc/meminfo", "MemTotal: 24684084 kB\n");
    put(fixture, "proc/self/cgroup", "12:cpu:/other\n0::/pod/container\n");
    put(fixture, "sys/fs/cgroup/pod/container/memory.max", "max\n");
    assert_true(mkv_setup_machine_read(&fixture->roots, &machine));
    assert_int_equal(machine.memory_bytes, 24684084 * MKV_KIB);
    put(fixture, "sys/fs/cgroup/pod/memory.max", "4294967296\n");
    assert_true(mkv_setup_machine_read(&fixture->roots, &machine));
    assert_int_equal(machine.memory_bytes, 4 * MKV_GIB);
    put(fixture, "sys/fs/cgroup/pod/container/memory.max", "1073741824\n");
    assert_true(mkv_setup_machine_read(&fixture->roots, &machine));
    assert_int_equal(machine.memory_bytes, MKV_GIB);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

static void plan(struct mkv_geometry geometries[DRIVES_MAX], uint32_t count, uint64_t bytes) {
    const struct mkv_geometry_options defaults = {0};
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(mkv_geometry_plan(bytes / MKV_UNIT_BYTES, &defaults, &geometries[i]),
                         MKV_OK);
    }
}

static bool size(uint32_t count, uint64_t drive_bytes, uint64_t machine_bytes,
                 struct mkv_setup_memory *memory, struct mkv_backend_error *error) {
    struct mkv_geometry geometries[DRIVES_MAX];
    const struct mkv_setup_machine machine = {.memory_bytes = machine_bytes};
    plan(geometries, count, drive_bytes);
    return mkv_setup_memory_size(geometries, count, &machine, memory, error);
}

static void test_size__a_small_node__half_of_the_machine(void **state) {
    (void)state;
    struct mkv_setup_memory memory;
    struct mkv_backend_error error = {0};
    assert_true(size(2, 64 * MKV_GIB, 24684084 * MKV_KIB, &memory, &error));
    assert_int_equal(memory.max_size_bytes, 11 * MKV_GIB);
    assert_true(memory.index_bytes < memory.max_size_bytes / 4);
    assert_true(size(1, MKV_GIB, 4 * MKV_GIB + 12345, &memory, &error));
    assert_int_equal(memory.max_size_bytes, 2 * MKV_GIB);
}

static void test_size__24_drives_of_16_tb__room_for_the_index(void **state) {
    (void)state;
    struct mkv_setup_memory memory;
    struct mkv_backend_error error = {0};
    assert_true(size(24, 16000000000000ull, 512 * MKV_GIB, &memory, &error));
    assert_int_equal(memory.max_size_bytes, 256 * MKV_GIB);
    /* 61 million slots a drive, and what belongs to them. */
    assert_true(memory.index_bytes > 24ull * 61000000 * 24);
    assert_true(memory.index_bytes < 24ull * 61000000 * 40);
    assert_true(memory.index_bytes + MKV_SETUP_TIER_BYTES_MIN <= memory.max_size_bytes);
}

static void test_size__an_index_of_more_than_half__gets_more_than_half(void **state) {
    (void)state;
    struct mkv_setup_memory memory;
    struct mkv_backend_error error = {0};
    assert_true(size(1, 16000000000000ull, 4 * MKV_GIB, &memory, &error));
    assert_true(memory.max_size_bytes > 2 * MKV_GIB);
    assert_true(memory.max_size_bytes <= 3 * MKV_GIB);
    assert_int_equal(memory.max_size_bytes % MKV_HUGEPAGE_BYTES, 0);
    assert_true(memory.max_size_bytes - memory.index_bytes >= MKV_SETUP_TIER_BYTES_MIN);
}

static void test_size__too_little__refused_with_what_it_takes(void **state) {
    (void)state;
    struct mkv_setup_memory memory;
    struct mkv_backend_error error = {0};
    assert_false(size(24, 16000000000000ull, 32 * MKV_GIB, &memory, &error));
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
    assert_non_null(strstr(error.text, "the index of these drives takes "));
    assert_non_null(strstr(error.text, "and this one has 32.00 GiB"));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_machine__total_and_huge_pages__as_told),
        CASE(test_machine__control_groups__the_least_limit_of_all_above),
        cmocka_unit_test(test_size__a_small_node__half_of_the_machine),
        cmocka_unit_test(test_size__24_drives_of_16_tb__room_for_the_index),
        cmocka_unit_test(test_size__an_index_of_more_than_half__gets_more_than_half),
        cmocka_unit_test(test_size__too_little__refused_with_what_it_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
