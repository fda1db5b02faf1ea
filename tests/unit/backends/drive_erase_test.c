/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/drive_erase.h"
#include "core/geometry.h"
#include "tests/unit/backends/loop_device.h"
#include "tests/unit/backends/temporary.h"

#define STORE_BYTES (8ull * MKV_MIB)

struct fixture {
    char directory[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES];
};

/* Bytes that are no zeroes, all over. */
static void fill(const char *path) {
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint8_t *bytes = malloc(MKV_MIB);
    assert_true(fd >= 0);
    assert_non_null(bytes);
    memset(bytes, 0xa5, MKV_MIB);
    for (uint64_t offset = 0; offset < STORE_BYTES; offset += MKV_MIB) {
        assert_int_equal(pwrite(fd, bytes, MKV_MIB, (off_t)offset), MKV_MIB);
    }
    assert_int_equal(fsync(fd), 0);
    free(bytes);
    close(fd);
}

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    temporary_make(fixture->directory);
    temporary_file(fixture->directory, "store.memkv", fixture->path);
    fill(fixture->path);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    temporary_remove(fixture->directory);
    free(fixture);
    return 0;
}

static bool is_zero(const struct mkv_drive_media *media, uint64_t offset) {
    _Alignas(MKV_UNIT_BYTES) uint8_t unit[MKV_UNIT_BYTES];
    assert_int_equal(pread(media->fd, unit, sizeof unit, (off_t)offset), sizeof unit);
    return unit[0] == 0 && memcmp(unit, unit + 1, sizeof unit - 1) == 0;
}

/* Erases it, and looks at its ends and at every copy of a superblock. */
static void erase(const char *path) {
    const struct mkv_drive_open_options options = {
        .name = "d03", .media = path, .mode = MKV_DRIVE_MODE_FILE};
    struct mkv_drive_media media;
    struct mkv_backend_error error = {0};
    bool blank = false;
    if (!mkv_drive_open(&options, &media, &error) ||
        !mkv_drive_erase("d03", path, &media, &error) ||
        !mkv_drive_media_blank(&media, "d03", &blank, &error)) {
        fail_msg("%s", error.text);
    }
    assert_true(blank);
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        assert_true(is_zero(&media, mkv_geometry_superblock(media.capacity_units, copy).unit *
                                        MKV_UNIT_BYTES));
    }
    assert_int_equal(is_zero(&media, STORE_BYTES / 2), media.trim_supported);
    mkv_drive_media_close(&media);
}

static void test_drive_erase__file__is_blank_and_takes_no_room_but_its_ends(void **state) {
    struct fixture *fixture = *state;
    struct stat status;
    erase(fixture->path);
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_size, STORE_BYTES);
    assert_true(status.st_blocks * 512 < (off_t)STORE_BYTES / 2);
}

static void test_drive_erase__device__is_blank_with_discard_and_without(void **state) {
    struct fixture *fixture = *state;
    struct loop_device device;
    if (!loop_device_make(fixture->path, &device)) {
        skip();
    }
    erase(device.path);
    fill(device.path);
    if (loop_device_without_discard(&device)) {
        erase(device.path);
    }
    loop_device_remove(&device);
}

static void test_drive_erase__medium_takes_no_writes__says_so(void **state) {
    struct fixture *fixture = *state;
    const struct mkv_drive_open_options options = {
        .name = "d03", .media = fixture->path, .mode = MKV_DRIVE_MODE_FILE, .read_only = true};
    struct mkv_drive_media media;
    struct mkv_backend_error error = {0};
    assert_true(mkv_drive_open(&options, &media, &error));
    assert_false(mkv_drive_erase("d03", fixture->path, &media, &error));
    assert_int_equal(error.failure, MKV_BACKEND_IO);
    assert_non_null(strstr(error.text, "drive d03"));
    assert_non_null(strstr(error.text, "cannot be erased"));
    mkv_drive_media_close(&media);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_drive_erase__file__is_blank_and_takes_no_room_but_its_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drive_erase__device__is_blank_with_discard_and_without,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drive_erase__medium_takes_no_writes__says_so, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
