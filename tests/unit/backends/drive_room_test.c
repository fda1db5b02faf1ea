/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/backends/temporary.h"

#define REGION_BYTES MKV_DRIVE_ROOM_REGION_BYTES
/* The last region is a short one. */
#define FILE_BYTES (4 * REGION_BYTES + 65536)
#define POLL_NS 10000000ull
#define POLLS_MAX 1000u

struct fixture {
    char directory[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES];
    struct mkv_ring *ring;
    struct mkv_drive_room *room;
    int fd;
};

static int set_up(void **state) {
    static struct fixture fixture;
    struct mkv_backend_error error;
    temporary_make(fixture.directory);
    temporary_file(fixture.directory, "store.memkv", fixture.path);
    fixture.fd = open(fixture.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fixture.fd >= 0);
    assert_int_equal(ftruncate(fixture.fd, FILE_BYTES), 0);
    assert_true(mkv_ring_create(&(struct mkv_ring_options){.entries = 64}, &fixture.ring, &error));
    fixture.room = mkv_drive_room_create(fixture.ring, FILE_BYTES);
    assert_non_null(fixture.room);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    mkv_drive_room_free(fixture->room);
    mkv_ring_destroy(fixture->ring);
    close(fixture->fd);
    temporary_remove(fixture->directory);
    return 0;
}

static void drain(struct fixture *fixture) {
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_room_in_flight(fixture->room) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(mkv_drive_room_in_flight(fixture->room), 0);
}

static void on_answered(void *context) {
    (*(uint32_t *)context)++;
}

/* How many regions a write has asked for. */
static uint32_t asked(struct fixture *fixture, uint64_t offset, uint64_t byte_count) {
    uint32_t answered = 0;
    const bool wanted = mkv_drive_room_write(fixture->room, offset, byte_count);
    assert_int_equal(mkv_drive_room_in_flight(fixture->room), 0);
    mkv_drive_room_ask(fixture->room, fixture->fd, false, on_answered, &answered);
    const uint32_t count = mkv_drive_room_in_flight(fixture->room);
    assert_int_equal(wanted, count > 0);
    drain(fixture);
    assert_int_equal(answered, wanted);
    return count;
}

static bool is_allocated(const struct fixture *fixture, uint64_t offset) {
    struct stat status;
    assert_int_equal(fstat(fixture->fd, &status), 0);
    assert_int_equal(status.st_size, FILE_BYTES);
    return (uint64_t)status.st_blocks * 512 > offset;
}

static void test_drive_room__writes__each_region_is_asked_for_once_and_ahead(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(asked(fixture, 0, 4096), 2);
    assert_int_equal(asked(fixture, 8192, 4096), 0);
    assert_true(is_allocated(fixture, REGION_BYTES));
    assert_int_equal(asked(fixture, REGION_BYTES, 4096), 1);
    assert_int_equal(asked(fixture, 0, 4096), 0);
}

static void test_drive_room__write_over_a_boundary__both_and_the_next(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(asked(fixture, REGION_BYTES - 4096, 8192), 3);
}

/* The file does not grow, in size or on the drive. */
static void test_drive_room__last_region__ends_with_the_file(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(asked(fixture, FILE_BYTES - 4096, 4096), 1);
    assert_true(is_allocated(fixture, 0));
    assert_false(is_allocated(fixture, 1024 * 1024));
}

/* What is no file has no room to give. */
static void test_drive_room__refused__is_over_all_the_same(void **state) {
    struct fixture *fixture = *state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    uint32_t answered = 0;
    assert_true(mkv_drive_room_write(fixture->room, 0, 4096));
    mkv_drive_room_ask(fixture->room, pipe_fds[1], false, on_answered, &answered);
    assert_int_equal(mkv_drive_room_in_flight(fixture->room), 2);
    drain(fixture);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_false(is_allocated(fixture, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_drive_room__writes__each_region_is_asked_for_once_and_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drive_room__write_over_a_boundary__both_and_the_next,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drive_room__last_region__ends_with_the_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_drive_room__refused__is_over_all_the_same, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
