/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/drive_lock.h"
#include "backends/drive_open.h"
#include "tests/unit/backends/loop_device.h"
#include "tests/unit/backends/temporary.h"

#define SECOND_NS 1000000000ull

struct fixture {
    char directory[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES];
    int fd;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    temporary_make(fixture->directory);
    temporary_file(fixture->directory, "store.memkv", fixture->path);
    fixture->fd = open(fixture->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fixture->fd >= 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    close(fixture->fd);
    temporary_remove(fixture->directory);
    free(fixture);
    return 0;
}

/* A process that locks the file, says so, and then waits to be told to end. */
struct holder {
    pid_t pid;
    int end; /* closing it ends the process */
};

static struct holder holder_start(const char *path) {
    int told[2];
    int end[2];
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char byte = 1;
        close(end[1]);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) != 0 || write(told[1], &byte, 1) != 1) {
            _exit(1);
        }
        _exit(read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    char byte = 0;
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
    close(told[1]);
    close(end[0]);
    return (struct holder){pid, end[1]};
}

static void holder_end(struct holder holder) {
    close(holder.end);
    assert_int_equal(waitpid(holder.pid, NULL, 0), holder.pid);
}

static void test_drive_lock_file__free__is_locked(void **state) {
    struct fixture *fixture = *state;
    struct mkv_backend_error error;
    assert_true(mkv_drive_lock_file(fixture->fd, "d03", fixture->path, 0, &error));
    int other = open(fixture->path, O_RDWR | O_CLOEXEC);
    assert_true(other >= 0);
    assert_int_not_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    close(other);
}

static void test_drive_lock_file__living_holder__refused_at_once_with_its_pid(void **state) {
    struct fixture *fixture = *state;
    struct mkv_backend_error error;
    struct holder holder = holder_start(fixture->path);
    uint64_t before_ns = mkv_clock_monotonic_ns();
    bool locked =
        mkv_drive_lock_file(fixture->fd, "d03", fixture->path, MKV_DRIVE_LOCK_WAIT_MS_MAX, &error);
    uint64_t waited_ns = mkv_clock_monotonic_ns() - before_ns;
    char text[2 * TEMPORARY_PATH_BYTES];
    snprintf(text, sizeof text,
             "drive d03: store file %s is in use by another process (pid %d). Stop that process, "
             "or give this node a file of its own",
             fixture->path, (int)holder.pid);
    holder_end(holder);
    assert_false(locked);
    assert_string_equal(error.text, text);
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
    assert_true(waited_ns < SECOND_NS);
}

/* As a daemon that is started again right after kill -9 finds it: the process is gone, its lock is
 * not yet. Here a descriptor that was inherited keeps it. */
static void test_drive_lock_file__holder_is_gone__waits_until_the_lock_is_free(void **state) {
    struct fixture *fixture = *state;
    struct mkv_backend_error error;
    int release[2];
    assert_int_equal(pipe2(release, O_CLOEXEC), 0);
    fflush(NULL);
    /* The middle process takes the lock and ends; its child keeps the descriptor for a while. */
    pid_t middle = fork();
    assert_true(middle >= 0);
    if (middle == 0) {
        int fd = open(fixture->path, O_RDWR);
        if (fd < 0 || flock(fd, LOCK_EX) != 0) {
            _exit(1);
        }
        if (fork() == 0) {
            char byte;
            struct timespec pause = {0, 100000000};
            close(release[1]);
            ssize_t count = read(release[0], &byte, 1);
            nanosleep(&pause, NULL);
            _exit(count == 0 ? 0 : 1);
        }
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(middle, &status, 0), middle);
    assert_int_equal(status, 0);
    assert_false(mkv_drive_lock_file(fixture->fd, "d03", fixture->path, 0, &error));
    assert_non_null(strstr(error.text, "is in use by another process. Stop that process"));
    close(release[1]);
    uint64_t before_ns = mkv_clock_monotonic_ns();
    assert_true(
        mkv_drive_lock_file(fixture->fd, "d03", fixture->path, MKV_DRIVE_LOCK_WAIT_MS_MAX, &error));
    assert_true(mkv_clock_monotonic_ns() - before_ns > SECOND_NS / 20);
    close(release[0]);
}

static void test_drive_lock_device__not_there__errno_is_passed(void **state) {
    (void)state;
    struct mkv_backend_error error;
    errno = 0;
    assert_int_equal(mkv_drive_lock_device("d03", "/dev/memkv-test-no-such", 0, 0, false, &error),
                     -1);
    assert_int_equal(errno, ENOENT);
}

static void child_make_file_system(void *context) {
    const char *path = context;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execlp("mke2fs", "mke2fs", "-q", "-F", path, (char *)NULL);
    _exit(127);
}

/* Mounted, a device is refused at once, with the place where it is mounted. */
static void test_drive_lock_device__mounted__refused_with_the_mount_point(void **state) {
    struct fixture *fixture = *state;
    struct mkv_backend_error error = {0};
    struct loop_device device;
    struct stat status;
    char point[TEMPORARY_PATH_BYTES];
    assert_int_equal(ftruncate(fixture->fd, 4 * MKV_MIB), 0);
    if (temporary_child(child_make_file_system, fixture->path) != 0) {
        print_message("skipped: mke2fs (e2fsprogs) is not installed\n");
        skip();
    }
    if (!loop_device_make(fixture->path, &device)) {
        skip();
    }
    temporary_file(fixture->directory, "point", point);
    assert_int_equal(mkdir(point, 0700), 0);
    int mounted = mount(device.path, point, "ext2", MS_RDONLY, NULL);
    if (mounted != 0) {
        mounted = mount(device.path, point, "ext4", MS_RDONLY, NULL);
    }
    assert_int_equal(stat(device.path, &status), 0);
    int fd = -2;
    int error_number = -1;
    uint64_t before_ns = mkv_clock_monotonic_ns();
    if (mounted == 0) {
        fd = mkv_drive_lock_device("d03", device.path, status.st_rdev, MKV_DRIVE_LOCK_WAIT_MS_MAX,
                                   false, &error);
        error_number = errno;
        assert_int_equal(umount(point), 0);
    }
    uint64_t waited_ns = mkv_clock_monotonic_ns() - before_ns;
    assert_int_equal(rmdir(point), 0);
    loop_device_remove(&device);
    if (mounted != 0) {
        print_message("skipped: this user or kernel cannot mount an ext4\n");
        skip();
    }
    char text[3 * TEMPORARY_PATH_BYTES];
    snprintf(text, sizeof text,
             "drive d03: %s holds a file system that is mounted at %s. Name another device, or "
             "run: umount %s",
             device.path, point, point);
    assert_int_equal(fd, -1);
    assert_int_equal(error_number, 0);
    assert_string_equal(error.text, text);
    assert_true(waited_ns < SECOND_NS);
}

#define LOCK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    static const struct CMUnitTest tests[] = {
        LOCK_TEST(test_drive_lock_file__free__is_locked),
        LOCK_TEST(test_drive_lock_file__living_holder__refused_at_once_with_its_pid),
        LOCK_TEST(test_drive_lock_file__holder_is_gone__waits_until_the_lock_is_free),
        LOCK_TEST(test_drive_lock_device__mounted__refused_with_the_mount_point),
        cmocka_unit_test(test_drive_lock_device__not_there__errno_is_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
