/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_reserve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/backends/temporary.h"

#define FILE_BYTES (256ull * MKV_MIB)

struct fixture {
    char directory[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES];
    struct mkv_drive_media media;
    struct mkv_geometry geometry;
};

static int set_up(void **state) {
    static struct fixture fixture;
    struct mkv_backend_error error;
    temporary_make(fixture.directory);
    temporary_file(fixture.directory, "store.memkv", fixture.path);
    const struct mkv_drive_open_options options = {.name = "d00",
                                                   .media = fixture.path,
                                                   .size_bytes = FILE_BYTES,
                                                   .mode = MKV_DRIVE_MODE_FILE};
    assert_true(mkv_drive_open(&options, &fixture.media, &error));
    const struct mkv_geometry_options defaults = {0};
    assert_int_equal(mkv_geometry_plan(fixture.media.capacity_units, &defaults, &fixture.geometry),
                     MKV_OK);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    mkv_drive_media_close(&fixture->media);
    temporary_remove(fixture->directory);
    return 0;
}

static uint64_t taken_bytes(const struct fixture *fixture) {
    struct stat status;
    assert_int_equal(fstat(fixture->media.fd, &status), 0);
    assert_int_equal(status.st_size, FILE_BYTES);
    return (uint64_t)status.st_blocks * 512;
}

static bool cannot_reserve(int error_number) {
    if (error_number == EOPNOTSUPP) {
        print_message("skipped: the file system cannot allocate ahead\n");
    }
    return error_number == EOPNOTSUPP;
}

static void test_drive_reserve__new_file__has_room_for_metadata_and_no_more(void **state) {
    struct fixture *fixture = *state;
    const uint64_t wanted = mkv_drive_reserve_bytes(&fixture->geometry);
    assert_true(wanted < FILE_BYTES / 8);
    const int result = mkv_drive_reserve(&fixture->media, &fixture->geometry);
    if (cannot_reserve(result)) {
        skip();
    }
    assert_int_equal(result, 0);
    assert_true(taken_bytes(fixture) >= wanted);
    assert_true(taken_bytes(fixture) <= wanted + wanted / 8);
    /* Again: there is nothing to do. */
    const uint64_t before = taken_bytes(fixture);
    assert_int_equal(mkv_drive_reserve(&fixture->media, &fixture->geometry), 0);
    assert_int_equal(taken_bytes(fixture), before);
}

static void test_drive_reserve__store__all_that_was_written_stays(void **state) {
    struct fixture *fixture = *state;
    static _Alignas(MKV_UNIT_BYTES) uint8_t unit[MKV_UNIT_BYTES];
    const uint64_t places[] = {
        0,
        mkv_geometry_journal(&fixture->geometry, 1, 3).unit,
        mkv_geometry_data_start(&fixture->geometry).unit,
        mkv_geometry_superblock(fixture->geometry.capacity_units, 3).unit,
    };
    for (size_t index = 0; index < sizeof places / sizeof places[0]; index++) {
        memset(unit, (int)index + 1, sizeof unit);
        assert_int_equal(
            pwrite(fixture->media.fd, unit, sizeof unit, (off_t)(places[index] * MKV_UNIT_BYTES)),
            sizeof unit);
    }
    const int result = mkv_drive_reserve(&fixture->media, &fixture->geometry);
    if (cannot_reserve(result)) {
        skip();
    }
    assert_int_equal(result, 0);
    for (size_t index = 0; index < sizeof places / sizeof places[0]; index++) {
        assert_int_equal(
            pread(fixture->media.fd, unit, sizeof unit, (off_t)(places[index] * MKV_UNIT_BYTES)),
            sizeof unit);
        for (size_t at = 0; at < sizeof unit; at++) {
            assert_int_equal(unit[at], index + 1);
        }
    }
}

/* A descriptor that is for reading alone. */
static void test_drive_reserve__refused__says_which_errno(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_media reading = fixture->media;
    reading.fd = open(fixture->path, O_RDONLY | O_CLOEXEC);
    assert_true(reading.fd >= 0);
    assert_int_equal(mkv_drive_reserve(&reading, &fixture->geometry), EBADF);
    assert_int_equal(taken_bytes(fixture), 0);
    close(reading.fd);
}

static void test_drive_reserve__device__has_its_room(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_media device = fixture->media;
    device.block_device = true;
    assert_int_equal(mkv_drive_reserve(&device, &fixture->geometry), 0);
    assert_int_equal(taken_bytes(fixture), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_drive_reserve__new_file__has_room_for_metadata_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drive_reserve__store__all_that_was_written_stays,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drive_reserve__refused__says_which_errno, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_drive_reserve__device__has_its_room, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("drive_reserve", tests, NULL, NULL);
}
