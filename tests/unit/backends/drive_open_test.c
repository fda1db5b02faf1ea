/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/drive_open.h"
#include "tests/unit/backends/loop_device.h"
#include "tests/unit/backends/temporary.h"

#define STORE_BYTES (8ull * MKV_MIB)

struct fixture {
    char directory[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES];
    struct mkv_drive_open_options options;
    struct mkv_drive_media media;
    struct mkv_backend_error error;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    temporary_make(fixture->directory);
    temporary_file(fixture->directory, "store.memkv", fixture->path);
    fixture->options = (struct mkv_drive_open_options){
        .name = "d03",
        .media = fixture->path,
        .size_bytes = STORE_BYTES,
        .mode = MKV_DRIVE_MODE_FILE,
    };
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    temporary_remove(fixture->directory);
    free(fixture);
    return 0;
}

static void open_good(struct fixture *fixture) {
    if (!mkv_drive_open(&fixture->options, &fixture->media, &fixture->error)) {
        fail_msg("%s", fixture->error.text);
    }
}

static void open_refused(struct fixture *fixture, enum mkv_backend_failure failure,
                         const char *text) {
    assert_false(mkv_drive_open(&fixture->options, &fixture->media, &fixture->error));
    assert_string_equal(fixture->error.text, text);
    assert_int_equal(fixture->error.failure, failure);
}

static void write_file(const char *path, uint64_t bytes) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    close(fd);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void test_drive_open__missing_with_size__is_created_sparse(void **state) {
    struct fixture *fixture = *state;
    fixture->options.size_bytes = STORE_BYTES + 5000;
    open_good(fixture);
    assert_true(fixture->media.created);
    assert_false(fixture->media.block_device);
    assert_true(fixture->media.flush_needed);
    assert_int_equal(fixture->media.capacity_units, STORE_BYTES / MKV_UNIT_BYTES + 1);
    struct stat status;
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_size, STORE_BYTES + MKV_UNIT_BYTES);
    assert_true(status.st_blocks * 512 < (off_t)MKV_MIB);
    assert_int_equal(status.st_mode & 0777, 0600);
    mkv_drive_media_close(&fixture->media);
}

static void test_drive_open__existing__keeps_its_size_and_content(void **state) {
    struct fixture *fixture = *state;
    open_good(fixture);
    uint8_t *unit = aligned_alloc(MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    assert_non_null(unit);
    memset(unit, 0x66, MKV_UNIT_BYTES);
    assert_int_equal(pwrite(fixture->media.fd, unit, MKV_UNIT_BYTES, 0), MKV_UNIT_BYTES);
    mkv_drive_media_close(&fixture->media);
    fixture->options.size_bytes = 3 * STORE_BYTES;
    open_good(fixture);
    assert_false(fixture->media.created);
    assert_int_equal(fixture->media.capacity_units, STORE_BYTES / MKV_UNIT_BYTES);
    memset(unit, 0, MKV_UNIT_BYTES);
    assert_int_equal(pread(fixture->media.fd, unit, MKV_UNIT_BYTES, 0), MKV_UNIT_BYTES);
    assert_int_equal(unit[17], 0x66);
    mkv_drive_media_close(&fixture->media);
    free(unit);
}

/* The probe leaves size and content, and says what a hole in the middle comes to. */
static void test_drive_open__file__trim_is_supported_where_holes_are(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture->path, STORE_BYTES + 700);
    open_good(fixture);
    struct stat status;
    assert_int_equal(fstat(fixture->media.fd, &status), 0);
    assert_int_equal(status.st_size, STORE_BYTES + 700);
    const bool holes = fallocate(fixture->media.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 MKV_MIB, MKV_MIB) == 0;
    assert_int_equal(fixture->media.trim_supported, holes);
    mkv_drive_media_close(&fixture->media);
}

static void test_drive_open__size_not_in_units__capacity_is_rounded_down(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture->path, STORE_BYTES + MKV_UNIT_BYTES - 1);
    open_good(fixture);
    assert_int_equal(fixture->media.capacity_units, STORE_BYTES / MKV_UNIT_BYTES);
    mkv_drive_media_close(&fixture->media);
}

/* A creation that was cut short leaves an empty file. */
static void test_drive_open__empty_file__is_filled_in(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture->path, 0);
    open_good(fixture);
    assert_true(fixture->media.created);
    assert_int_equal(fixture->media.capacity_units, STORE_BYTES / MKV_UNIT_BYTES);
    mkv_drive_media_close(&fixture->media);
}

/* A child process has every descriptor until it becomes another program. */
static void test_drive_media_close__inherited_descriptor__lock_is_free_at_once(void **state) {
    struct fixture *fixture = *state;
    int end[2];
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    open_good(fixture);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        close(end[1]);
        _exit(read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    mkv_drive_media_close(&fixture->media);
    bool opened = mkv_drive_open(&fixture->options, &fixture->media, &fixture->error);
    close(end[1]);
    close(end[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(opened);
    mkv_drive_media_close(&fixture->media);
}

static void test_drive_open__missing_without_size__says_what_to_set(void **state) {
    struct fixture *fixture = *state;
    char text[2 * TEMPORARY_PATH_BYTES];
    fixture->options.size_bytes = 0;
    snprintf(text, sizeof text,
             "drive d03: store file %s does not exist. Give the drive a size to have it created, "
             "or correct its media in storage.drives",
             fixture->path);
    open_refused(fixture, MKV_BACKEND_CONFIGURATION, text);
    assert_int_not_equal(access(fixture->path, F_OK), 0);
}

static void test_drive_open__no_directory__says_mkdir(void **state) {
    struct fixture *fixture = *state;
    char path[TEMPORARY_PATH_BYTES + 16];
    char text[4 * TEMPORARY_PATH_BYTES];
    snprintf(path, sizeof path, "%s/a/b/store", fixture->directory);
    fixture->options.media = path;
    snprintf(text, sizeof text,
             "drive d03: directory %s/a/b of store file %s does not exist. Run: mkdir -p %s/a/b",
             fixture->directory, path, fixture->directory);
    open_refused(fixture, MKV_BACKEND_CONFIGURATION, text);
    fixture->options.size_bytes = 0;
    open_refused(fixture, MKV_BACKEND_CONFIGURATION, text);
}

static void test_drive_open__missing_device__is_not_created_as_a_file(void **state) {
    struct fixture *fixture = *state;
    fixture->options.media = "/dev/memkv-test-no-such-device";
    open_refused(fixture, MKV_BACKEND_UNAVAILABLE,
                 "drive d03: device /dev/memkv-test-no-such-device does not exist. Correct "
                 "storage.drives, or see whether the drive is there: lsblk");
    assert_int_not_equal(access("/dev/memkv-test-no-such-device", F_OK), 0);
}

static void test_drive_open__too_small__refused_and_nothing_left(void **state) {
    struct fixture *fixture = *state;
    char text[2 * TEMPORARY_PATH_BYTES];
    fixture->options.size_bytes = MKV_DRIVE_BYTES_MIN - 1;
    snprintf(text, sizeof text,
             "drive d03: a size of 1048575 bytes is too small for store file %s. Set it to at "
             "least 1MiB",
             fixture->path);
    open_refused(fixture, MKV_BACKEND_CONFIGURATION, text);
    assert_int_not_equal(access(fixture->path, F_OK), 0);

    write_file(fixture->path, 4096);
    snprintf(text, sizeof text,
             "drive d03: store file %s has 4096 bytes, too few for a store (1MiB). Remove it and "
             "give the drive a size, or correct its media",
             fixture->path);
    open_refused(fixture, MKV_BACKEND_CONFIGURATION, text);
    assert_int_equal(access(fixture->path, F_OK), 0);
    fixture->options.size_bytes = MKV_DRIVE_BYTES_MIN;
    write_file(fixture->path, MKV_DRIVE_BYTES_MIN);
    open_good(fixture);
    mkv_drive_media_close(&fixture->media);
}

static void test_drive_open__neither_file_nor_device__refused(void **state) {
    struct fixture *fixture = *state;
    char text[2 * TEMPORARY_PATH_BYTES];
    fixture->options.media = fixture->directory;
    snprintf(text, sizeof text,
             "drive d03: %s is a directory. Name a block device or the path of a store file in "
             "storage.drives",
             fixture->directory);
    open_refused(fixture, MKV_BACKEND_CONFIGURATION, text);
    fixture->options.media = "/dev/null";
    open_refused(fixture, MKV_BACKEND_CONFIGURATION,
                 "drive d03: /dev/null is neither a file nor a block device. Name a block device "
                 "or the path of a store file in storage.drives");
}

static void test_drive_open__path_through_a_file__refused(void **state) {
    struct fixture *fixture = *state;
    char path[TEMPORARY_PATH_BYTES + 16];
    write_file(fixture->path, 10);
    snprintf(path, sizeof path, "%s/x", fixture->path);
    fixture->options.media = path;
    assert_false(mkv_drive_open(&fixture->options, &fixture->media, &fixture->error));
    assert_int_equal(fixture->error.failure, MKV_BACKEND_CONFIGURATION);
    assert_non_null(strstr(fixture->error.text, "is not a path that can be opened"));
}

#define CHILD_GOOD 3

static void child_unprivileged(void *context) {
    struct fixture *fixture = context;
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresuid(65534, 65534, 65534) != 0)) {
        _exit(1);
    }
    if (mkv_drive_open(&fixture->options, &fixture->media, &fixture->error)) {
        _exit(2);
    }
    bool right = fixture->error.failure == MKV_BACKEND_PERMISSION &&
                 strstr(fixture->error.text, "may not read and write /") != NULL &&
                 strstr(fixture->error.text, "Run: chown ") != NULL;
    _exit(right ? CHILD_GOOD : 4);
}

static void test_drive_open__no_permission__names_user_and_command(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture->path, STORE_BYTES);
    assert_int_equal(chmod(fixture->directory, 0755), 0);
    assert_int_equal(chmod(fixture->path, 0400), 0);
    assert_int_equal(temporary_child(child_unprivileged, fixture), CHILD_GOOD);
}

static void test_drive_open__file_size_limit__is_named_and_nothing_left(void **state) {
    struct fixture *fixture = *state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {4 * MKV_MIB, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    bool opened = mkv_drive_open(&fixture->options, &fixture->media, &fixture->error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_false(opened);
    assert_int_equal(fixture->error.failure, MKV_BACKEND_CONFIGURATION);
    assert_non_null(strstr(fixture->error.text, "Give the drive a smaller size"));
    assert_int_not_equal(access(fixture->path, F_OK), 0);
}

static void test_drive_open__mode_direct__direct_or_refused(void **state) {
    struct fixture *fixture = *state;
    fixture->options.mode = MKV_DRIVE_MODE_DIRECT;
    if (mkv_drive_open(&fixture->options, &fixture->media, &fixture->error)) {
        assert_true(fixture->media.direct);
        assert_int_not_equal(fcntl(fixture->media.fd, F_GETFL) & O_DIRECT, 0);
        mkv_drive_media_close(&fixture->media);
    } else {
        assert_non_null(strstr(fixture->error.text, "or set storage.mode: file"));
        assert_int_equal(fixture->error.failure, MKV_BACKEND_CONFIGURATION);
        assert_int_not_equal(access(fixture->path, F_OK), 0);
    }
}

/* /proc has files that open for writing and do not take O_DIRECT; mounting needs root. A file
 * system without O_DIRECT is rare today: ramfs has none. */
static void test_drive_open__no_direct_io__file_falls_back_direct_refuses(void **state) {
    struct fixture *fixture = *state;
    char point[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES + 16];
    temporary_file(fixture->directory, "point", point);
    assert_int_equal(mkdir(point, 0700), 0);
    if (mount("memkv-test", point, "ramfs", 0, NULL) != 0) {
        assert_int_equal(rmdir(point), 0);
        print_message("skipped: this user cannot mount a ramfs\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/store", point);
    fixture->options.media = path;
    fixture->options.mode = MKV_DRIVE_MODE_DIRECT;
    bool opened = mkv_drive_open(&fixture->options, &fixture->media, &fixture->error);
    bool left = access(path, F_OK) == 0;
    fixture->options.mode = MKV_DRIVE_MODE_FILE;
    struct mkv_backend_error file_error = {0};
    struct mkv_drive_media media;
    bool fell_back = mkv_drive_open(&fixture->options, &media, &file_error);
    bool direct = fell_back && media.direct;
    if (fell_back) {
        mkv_drive_media_close(&media);
    }
    assert_int_equal(umount(point), 0);
    assert_int_equal(rmdir(point), 0);
    assert_false(opened);
    assert_false(left);
    assert_non_null(strstr(fixture->error.text, "does not take O_DIRECT in units of 4 KiB"));
    assert_non_null(strstr(fixture->error.text, "or set storage.mode: file"));
    assert_true(fell_back);
    assert_false(direct);
}

/* ---- what is on it -------------------------------------------------------------------------- */

static void test_drive_media_blank__first_and_last_mib__decide(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        uint64_t offset;
        bool blank;
    } cases[] = {
        {0, false},
        {MKV_MIB - 1, false},
        {MKV_MIB, true},
        {STORE_BYTES / 2, true},
        {STORE_BYTES - MKV_MIB - 1, true},
        {STORE_BYTES - MKV_MIB, false},
        {STORE_BYTES - 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool blank = !cases[i].blank;
        write_file(fixture->path, STORE_BYTES);
        int fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "x", 1, (off_t)cases[i].offset), 1);
        close(fd);
        open_good(fixture);
        assert_true(mkv_drive_media_blank(&fixture->media, "d03", &blank, &fixture->error));
        assert_int_equal(blank, cases[i].blank);
        mkv_drive_media_close(&fixture->media);
    }
}

/* ---- block devices -------------------------------------------------------------------------- */

static void test_drive_open__block_device__size_cache_and_exclusion(void **state) {
    struct fixture *fixture = *state;
    struct loop_device device;
    write_file(fixture->path, STORE_BYTES);
    if (!loop_device_make(fixture->path, &device)) {
        skip();
    }
    fixture->options.media = device.path;
    fixture->options.size_bytes = 0;
    fixture->options.mode = MKV_DRIVE_MODE_DIRECT;
    open_good(fixture);
    assert_true(fixture->media.block_device);
    assert_true(fixture->media.direct);
    assert_int_equal(fixture->media.capacity_units, STORE_BYTES / MKV_UNIT_BYTES);
    bool blank = false;
    assert_true(mkv_drive_media_blank(&fixture->media, "d03", &blank, &fixture->error));
    assert_true(blank);

    struct mkv_drive_media second;
    struct mkv_backend_error error;
    assert_false(mkv_drive_open(&fixture->options, &second, &error));
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
    assert_non_null(strstr(error.text, "is in use by another process. Stop that process"));
    mkv_drive_media_close(&fixture->media);

    if (loop_device_set_cache(&device, "write through")) {
        open_good(fixture);
        assert_false(fixture->media.flush_needed);
        mkv_drive_media_close(&fixture->media);
        assert_true(loop_device_set_cache(&device, "write back"));
        open_good(fixture);
        assert_true(fixture->media.flush_needed);
        mkv_drive_media_close(&fixture->media);
    }
    if (loop_device_without_discard(&device)) {
        open_good(fixture);
        assert_false(fixture->media.trim_supported);
        mkv_drive_media_close(&fixture->media);
    }
    loop_device_remove(&device);
}

static void test_drive_open__block_device_too_small__refused(void **state) {
    struct fixture *fixture = *state;
    struct loop_device device;
    write_file(fixture->path, MKV_DRIVE_BYTES_MIN - 4096);
    if (!loop_device_make(fixture->path, &device)) {
        skip();
    }
    fixture->options.media = device.path;
    assert_false(mkv_drive_open(&fixture->options, &fixture->media, &fixture->error));
    assert_non_null(strstr(fixture->error.text, "has 1044480 bytes, too few for a store (1MiB)"));
    loop_device_remove(&device);
}

/* Its lock is free, and somebody may have mounted what is on the device. */
static void test_drive_open__file_of_a_loop_device__refused_but_for_reading(void **state) {
    struct fixture *fixture = *state;
    struct loop_device device;
    char text[4 * TEMPORARY_PATH_BYTES];
    write_file(fixture->path, STORE_BYTES);
    if (!loop_device_make(fixture->path, &device)) {
        skip();
    }
    const char *name = device.path + strlen("/dev/");
    snprintf(text, sizeof text,
             "file %s is attached to %s, through which somebody may use it. Name the device "
             "instead, or run: losetup --detach /dev/%s",
             fixture->path, name, name);
    open_refused(fixture, MKV_BACKEND_UNAVAILABLE, text);
    fixture->options.read_only = true;
    open_good(fixture);
    mkv_drive_media_close(&fixture->media);
    loop_device_remove(&device);
    fixture->options.read_only = false;
    open_good(fixture);
    mkv_drive_media_close(&fixture->media);
}

#define OPEN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    static const struct CMUnitTest tests[] = {
        OPEN_TEST(test_drive_open__missing_with_size__is_created_sparse),
        OPEN_TEST(test_drive_open__existing__keeps_its_size_and_content),
        OPEN_TEST(test_drive_open__file__trim_is_supported_where_holes_are),
        OPEN_TEST(test_drive_open__size_not_in_units__capacity_is_rounded_down),
        OPEN_TEST(test_drive_open__empty_file__is_filled_in),
        OPEN_TEST(test_drive_media_close__inherited_descriptor__lock_is_free_at_once),
        OPEN_TEST(test_drive_open__missing_without_size__says_what_to_set),
        OPEN_TEST(test_drive_open__no_directory__says_mkdir),
        OPEN_TEST(test_drive_open__missing_device__is_not_created_as_a_file),
        OPEN_TEST(test_drive_open__too_small__refused_and_nothing_left),
        OPEN_TEST(test_drive_open__neither_file_nor_device__refused),
        OPEN_TEST(test_drive_open__path_through_a_file__refused),
        OPEN_TEST(test_drive_open__no_permission__names_user_and_command),
        OPEN_TEST(test_drive_open__file_size_limit__is_named_and_nothing_left),
        OPEN_TEST(test_drive_open__mode_direct__direct_or_refused),
        OPEN_TEST(test_drive_open__no_direct_io__file_falls_back_direct_refuses),
        OPEN_TEST(test_drive_media_blank__first_and_last_mib__decide),
        OPEN_TEST(test_drive_open__block_device__size_cache_and_exclusion),
        OPEN_TEST(test_drive_open__block_device_too_small__refused),
        OPEN_TEST(test_drive_open__file_of_a_loop_device__refused_but_for_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
