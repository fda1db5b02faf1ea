/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/drive_error.h"
#include "tests/unit/backends/loop_device.h"
#include "tests/unit/backends/temporary.h"

#define UNITS 256u

struct fixture {
    char directory[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES];
    struct mkv_drive drive;
    struct mkv_drive_media media;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    temporary_make(fixture->directory);
    temporary_file(fixture->directory, "store.memkv", fixture->path);
    const int fd = open(fixture->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, UNITS * MKV_UNIT_BYTES), 0);
    fixture->media = (struct mkv_drive_media){.fd = fd, .capacity_units = UNITS};
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    close(fixture->media.fd);
    temporary_remove(fixture->directory);
    free(fixture);
    return 0;
}

static enum mkv_io_result judge(struct fixture *fixture, enum mkv_drive_operation operation,
                                int error_number, uint64_t end_unit) {
    return mkv_drive_judge_error(&fixture->drive, &fixture->media, operation, error_number,
                                 end_unit);
}

static void test_judge__medium_as_ever__what_the_errno_says_and_it_is_kept(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_READ, EIO, UNITS), MKV_IO_DEVICE);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_READ, 0, UNITS), MKV_IO_DEVICE);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_WRITE, ENOSPC, 8), MKV_IO_NO_ROOM);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_WRITE, EROFS, 8), MKV_IO_READ_ONLY);
    const struct mkv_drive_last_error *last = &fixture->drive.counters.last_error;
    assert_int_equal(last->operation, MKV_DRIVE_OP_WRITE);
    assert_int_equal(last->error_number, EROFS);
    assert_int_equal(last->result, MKV_IO_READ_ONLY);
    assert_true(last->wall_ms > 0);
}

static void test_judge__file_was_cut_short__shrunk_beyond_its_end_alone(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(ftruncate(fixture->media.fd, 100 * MKV_UNIT_BYTES), 0);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_READ, 0, 101), MKV_IO_SHRUNK);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_READ, EIO, 100), MKV_IO_DEVICE);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_WRITE, ENOSPC, 101), MKV_IO_NO_ROOM);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_FLUSH, EIO, 0), MKV_IO_DEVICE);
}

/* As a namespace that was made smaller, and a drive that was pulled out. */
static void test_judge__device_lost_its_size__shrunk_then_gone(void **state) {
    struct fixture *fixture = *state;
    struct loop_device device;
    if (!loop_device_make(fixture->path, &device)) {
        skip();
    }
    close(fixture->media.fd);
    fixture->media.fd = open(device.path, O_RDWR | O_CLOEXEC);
    fixture->media.block_device = true;
    assert_true(fixture->media.fd >= 0);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_WRITE, ENOSPC, UNITS), MKV_IO_NO_ROOM);
    assert_int_equal(truncate(fixture->path, 100 * MKV_UNIT_BYTES), 0);
    assert_int_equal(ioctl(fixture->media.fd, LOOP_SET_CAPACITY, 0), 0);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_WRITE, ENOSPC, UNITS), MKV_IO_SHRUNK);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_READ, 0, 101), MKV_IO_SHRUNK);
    assert_int_equal(truncate(fixture->path, 0), 0);
    assert_int_equal(ioctl(fixture->media.fd, LOOP_SET_CAPACITY, 0), 0);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_READ, 0, 1), MKV_IO_GONE);
    assert_int_equal(judge(fixture, MKV_DRIVE_OP_FLUSH, EIO, 0), MKV_IO_GONE);
    loop_device_remove(&device);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_judge__medium_as_ever__what_the_errno_says_and_it_is_kept),
        FIXTURE_TEST(test_judge__file_was_cut_short__shrunk_beyond_its_end_alone),
        FIXTURE_TEST(test_judge__device_lost_its_size__shrunk_then_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
