/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of a drive that do not come back: from a pipe that nobody writes to, which the kernel
 * gives back when asked, and from a frozen file system, which keeps them until it thaws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backends/drive_uring.h"
#include "tests/unit/backends/loop_device.h"
#include "tests/unit/backends/temporary.h"

#define META_UNITS 8u
#define META_BYTES ((uint64_t)META_UNITS * MKV_UNIT_BYTES)
#define TIMEOUT_NS 40000000ull
/* Of drives whose first write has to come in time, on a machine that is busy. */
#define FILE_TIMEOUT_NS 1000000000ull
#define AWAY_NS 2000000000ull
#define POLL_NS 10000000ull
#define POLLS_MAX 3000u
#define FILE_BYTES (64ull * MKV_MIB)
#define OPERATIONS 4u

struct fixture {
    struct mkv_arena *arena;
    struct mkv_ring *ring;
    struct mkv_arena_buffers *buffers;
    uint8_t *meta;
    struct mkv_drive *drive;
    int pipe_end;
    uint64_t read_timeout_ns;
    uint64_t write_timeout_ns;
    enum mkv_io_result results[OPERATIONS];
    uint32_t counts[OPERATIONS];
    /* A file system of its own. */
    char directory[TEMPORARY_PATH_BYTES];
    char mount_point[TEMPORARY_PATH_BYTES];
    struct loop_device device;
    bool has_device;
    bool is_mounted;
    int frozen_fd;
};

static void on_done(void *context, const struct mkv_drive_done *done) {
    struct fixture *fixture = context;
    assert_true(done->op.index < OPERATIONS);
    fixture->results[done->op.index] = done->result;
    fixture->counts[done->op.index]++;
}

static void make_drive(struct fixture *fixture, const struct mkv_drive_media *media,
                       uint32_t depth) {
    struct mkv_backend_error error;
    const struct mkv_drive_uring_options options = {
        .ring = fixture->ring,
        .arena = fixture->arena,
        .buffers = fixture->buffers,
        .meta = fixture->meta,
        .meta_bytes = META_BYTES,
        .queue_depth = depth,
        .waiting_max = OPERATIONS,
        .read_timeout_ns = fixture->read_timeout_ns,
        .write_timeout_ns = fixture->write_timeout_ns,
    };
    assert_true(mkv_drive_uring_create(&options, media, &fixture->drive, &error));
    fixture->drive->complete = on_done;
    fixture->drive->complete_context = fixture;
}

static void use_pipe(struct fixture *fixture, uint32_t depth) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fixture->pipe_end = ends[1];
    const struct mkv_drive_media media = {
        .fd = ends[0], .block_device = true, .direct = true, .capacity_units = META_UNITS};
    make_drive(fixture, &media, depth);
}

static int set_up(void **state) {
    struct mkv_backend_error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->pipe_end = -1;
    fixture->read_timeout_ns = TIMEOUT_NS;
    fixture->write_timeout_ns = TIMEOUT_NS;
    fixture->frozen_fd = -1;
    const struct mkv_arena_options arena_options = {
        .bytes = (uint64_t)MKV_SLAB_GROUP_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES + META_BYTES,
        .metadata_bytes = META_BYTES,
        .hugepages = MKV_HUGEPAGES_OFF,
    };
    assert_true(mkv_arena_create(&arena_options, &fixture->arena, &error));
    const struct mkv_ring_options ring_options = {
        .entries = 64,
        .files_max = 2,
        .buffers_max = mkv_arena_registration_count(fixture->arena),
    };
    assert_true(mkv_ring_create(&ring_options, &fixture->ring, &error));
    assert_true(mkv_arena_register(fixture->arena, fixture->ring, &fixture->buffers, &error));
    fixture->meta = mkv_arena_take(fixture->arena, META_BYTES);
    *state = fixture;
    return 0;
}

static void thaw(struct fixture *fixture) {
    if (fixture->frozen_fd >= 0) {
        (void)ioctl(fixture->frozen_fd, FITHAW, 0);
        close(fixture->frozen_fd);
        fixture->frozen_fd = -1;
    }
}

static void poll_until_idle(struct fixture *fixture) {
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(fixture->drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(mkv_drive_in_flight(fixture->drive), 0);
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    thaw(fixture);
    if (fixture->pipe_end >= 0) {
        close(fixture->pipe_end); /* ends what still reads from it */
    }
    if (fixture->drive != NULL) {
        poll_until_idle(fixture);
        mkv_drive_close(fixture->drive);
    }
    mkv_ring_destroy(fixture->ring);
    mkv_arena_buffers_free(fixture->buffers);
    mkv_arena_destroy(fixture->arena);
    if (fixture->is_mounted) {
        (void)umount2(fixture->mount_point, MNT_DETACH);
        (void)rmdir(fixture->mount_point);
    }
    if (fixture->has_device) {
        loop_device_remove(&fixture->device);
    }
    if (fixture->directory[0] != '\0') {
        temporary_remove(fixture->directory);
    }
    free(fixture);
    return 0;
}

static void submit_for(struct fixture *fixture, enum mkv_effect_kind kind, uint32_t index,
                       enum mkv_drive_share share) {
    const struct mkv_effect effect = {
        .kind = kind,
        .op = {index, 1},
        .drive = {.memory = MKV_DRIVE_META,
                  .share = share,
                  .lba = {index},
                  .unit_count = 1,
                  .meta_offset = (uint64_t)index * MKV_UNIT_BYTES},
    };
    mkv_drive_submit(fixture->drive, &effect);
}

static void submit(struct fixture *fixture, enum mkv_effect_kind kind, uint32_t index) {
    const bool reads = kind == MKV_EFFECT_DRIVE_READ;
    submit_for(fixture, kind, index, reads ? MKV_DRIVE_FOR_LOAD : MKV_DRIVE_FOR_STORE);
}

static void poll_until_answered(struct fixture *fixture, uint32_t index) {
    for (uint32_t i = 0; i < POLLS_MAX && fixture->counts[index] == 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(fixture->counts[index], 1);
}

static void test_drive_late__read_never_comes__is_taken_back_and_answered_once(void **state) {
    struct fixture *fixture = *state;
    use_pipe(fixture, 4);
    memset(fixture->meta, 0x11, MKV_UNIT_BYTES);
    submit(fixture, MKV_EFFECT_DRIVE_READ, 0);
    poll_until_answered(fixture, 0);
    assert_int_equal(fixture->results[0], MKV_IO_TIMEOUT);
    poll_until_idle(fixture);
    /* What comes now finds nobody. */
    uint8_t late[MKV_UNIT_BYTES];
    memset(late, 0x22, sizeof late);
    assert_int_equal(write(fixture->pipe_end, late, sizeof late), sizeof late);
    for (uint32_t i = 0; i < 3; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(fixture->counts[0], 1);
    assert_int_equal(fixture->meta[0], 0x11);
    const struct mkv_drive_operation_counters *reads =
        &fixture->drive->counters.operations[MKV_DRIVE_OP_READ];
    assert_int_equal(reads->results[MKV_IO_TIMEOUT], 1);
    assert_int_equal(reads->completed, 1);
}

static void test_drive_late__comes_in_time__is_whole(void **state) {
    struct fixture *fixture = *state;
    use_pipe(fixture, 4);
    uint8_t bytes[MKV_UNIT_BYTES];
    memset(bytes, 0x33, sizeof bytes);
    submit(fixture, MKV_EFFECT_DRIVE_READ, 0);
    mkv_ring_submit(fixture->ring);
    assert_int_equal(write(fixture->pipe_end, bytes, sizeof bytes), sizeof bytes);
    poll_until_answered(fixture, 0);
    assert_int_equal(fixture->results[0], MKV_IO_OK);
    assert_memory_equal(fixture->meta, bytes, sizeof bytes);
}

/* Recovery has the longer time, in which what it reads may still come. */
static void test_drive_late__recovery_reads__has_more_time_than_a_load(void **state) {
    struct fixture *fixture = *state;
    uint8_t bytes[MKV_UNIT_BYTES] = {0x55};
    fixture->write_timeout_ns = 1000 * 1000000000ull;
    use_pipe(fixture, 4);
    submit_for(fixture, MKV_EFFECT_DRIVE_READ, 0, MKV_DRIVE_FOR_COMMIT);
    submit_for(fixture, MKV_EFFECT_DRIVE_READ, 1, MKV_DRIVE_FOR_LOAD);
    poll_until_answered(fixture, 1);
    assert_int_equal(fixture->results[1], MKV_IO_TIMEOUT);
    assert_int_equal(fixture->counts[0], 0);
    assert_int_equal(write(fixture->pipe_end, bytes, sizeof bytes), sizeof bytes);
    poll_until_answered(fixture, 0);
    assert_int_equal(fixture->results[0], MKV_IO_OK);
}

/* The queue has one place: what waits for it has its time, too. */
static void test_drive_late__waits_behind_one_that_never_comes__all_are_answered(void **state) {
    struct fixture *fixture = *state;
    use_pipe(fixture, 1);
    for (uint32_t index = 0; index < OPERATIONS; index++) {
        submit(fixture, MKV_EFFECT_DRIVE_READ, index);
    }
    for (uint32_t index = 0; index < OPERATIONS; index++) {
        poll_until_answered(fixture, index);
        assert_int_equal(fixture->results[index], MKV_IO_TIMEOUT);
    }
    poll_until_idle(fixture);
    for (uint32_t index = 0; index < OPERATIONS; index++) {
        assert_int_equal(fixture->counts[index], 1);
    }
    assert_int_equal(fixture->drive->counters.waiting, 0);
}

/* A process that was stopped, or paused with its machine, finds everything overdue: nobody asked
 * meanwhile, and what is there by now is taken. */
static void test_drive_late__thread_was_away__takes_what_came_meanwhile(void **state) {
    struct fixture *fixture = *state;
    uint8_t bytes[2 * MKV_UNIT_BYTES];
    memset(bytes, 0x66, sizeof bytes);
    fixture->read_timeout_ns = AWAY_NS; /* long enough that an eighth suffices for two reads */
    use_pipe(fixture, 1);
    submit(fixture, MKV_EFFECT_DRIVE_READ, 0); /* with the kernel */
    submit(fixture, MKV_EFFECT_DRIVE_READ, 1); /* waits */
    mkv_ring_submit(fixture->ring);
    const struct timespec away = {.tv_sec = AWAY_NS / 1000000000ull + 1};
    assert_int_equal(nanosleep(&away, NULL), 0);
    assert_int_equal(write(fixture->pipe_end, bytes, sizeof bytes), sizeof bytes);
    for (uint32_t index = 0; index < 2; index++) {
        poll_until_answered(fixture, index);
        assert_int_equal(fixture->results[index], MKV_IO_OK);
    }
}

/* ---- the kernel keeps it -------------------------------------------------------------------- */

static bool run(const char *const *words) {
    const pid_t child = fork();
    if (child == 0) {
        const int nowhere = open("/dev/null", O_RDWR);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        execvp(words[0], (char *const *)words);
        _exit(127);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* A new file system with a file in it, which is the drive. */
static bool use_file_system(struct fixture *fixture) {
    char image[TEMPORARY_PATH_BYTES];
    char path[2 * TEMPORARY_PATH_BYTES];
    struct mkv_backend_error error;
    temporary_make(fixture->directory);
    temporary_file(fixture->directory, "image", image);
    temporary_file(fixture->directory, "mounted", fixture->mount_point);
    const int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 2 * FILE_BYTES), 0);
    close(fd);
    const char *const make[] = {"mkfs.ext4", "-q", "-F", image, NULL};
    if (!run(make) || !loop_device_make(image, &fixture->device)) {
        return false;
    }
    fixture->has_device = true;
    assert_int_equal(mkdir(fixture->mount_point, S_IRWXU), 0);
    fixture->is_mounted = mount(fixture->device.path, fixture->mount_point, "ext4", 0, NULL) == 0;
    if (!fixture->is_mounted) {
        return false;
    }
    snprintf(path, sizeof path, "%s/store", fixture->mount_point);
    const struct mkv_drive_open_options options = {
        .name = "d00", .media = path, .size_bytes = FILE_BYTES, .mode = MKV_DRIVE_MODE_DIRECT};
    struct mkv_drive_media media;
    if (!mkv_drive_open(&options, &media, &error)) {
        return false;
    }
    fixture->write_timeout_ns = FILE_TIMEOUT_NS;
    make_drive(fixture, &media, 4);
    return true;
}

/* A drive that has served, on a file system that does nothing any more until it thaws. */
static void use_frozen_file_system(struct fixture *fixture) {
    if (!use_file_system(fixture)) {
        print_message("skipped: no loop device, or no ext4 on it, can be had here\n");
        skip();
    }
    memset(fixture->meta, 0x44, META_BYTES);
    submit(fixture, MKV_EFFECT_DRIVE_WRITE, 0); /* has its room made */
    poll_until_answered(fixture, 0);
    assert_int_equal(fixture->results[0], MKV_IO_OK);
    poll_until_idle(fixture);
    const int frozen_fd = open(fixture->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(frozen_fd >= 0);
    assert_int_equal(ioctl(frozen_fd, FIFREEZE, 0), 0);
    fixture->frozen_fd = frozen_fd;
}

static void test_drive_late__kernel_keeps_it__is_answered_once_and_memory_is_other(void **state) {
    struct fixture *fixture = *state;
    use_frozen_file_system(fixture);
    submit(fixture, MKV_EFFECT_DRIVE_WRITE, 1);
    poll_until_answered(fixture, 1);
    assert_int_equal(fixture->results[1], MKV_IO_TIMEOUT);
    /* The drive is not let go of before the kernel has let go. */
    assert_int_equal(fixture->drive->counters.in_flight, 0);
    assert_true(mkv_drive_in_flight(fixture->drive) > 0);
    const uint8_t *unit = fixture->meta + MKV_UNIT_BYTES;
    assert_int_equal(unit[0], 0x44);
    assert_int_equal(unit[MKV_UNIT_BYTES - 1], 0x44);
    assert_int_equal(mkv_arena_buffers_find(fixture->buffers, unit, MKV_UNIT_BYTES),
                     MKV_RING_NOT_REGISTERED);
    assert_int_not_equal(mkv_arena_buffers_find(fixture->buffers, fixture->meta, MKV_UNIT_BYTES),
                         MKV_RING_NOT_REGISTERED);
    thaw(fixture);
    poll_until_idle(fixture);
    assert_int_equal(fixture->counts[1], 1);
    /* The place serves on, with plain operations. */
    submit(fixture, MKV_EFFECT_DRIVE_READ, 0);
    fixture->counts[0] = 0;
    poll_until_answered(fixture, 0);
    assert_int_equal(fixture->results[0], MKV_IO_OK);
}

static void submit_slot(struct fixture *fixture, uint32_t index, uint64_t unit, uint32_t slab) {
    const struct mkv_effect effect = {
        .kind = MKV_EFFECT_DRIVE_WRITE,
        .op = {index, 1},
        .drive = {.memory = MKV_DRIVE_SLOT,
                  .share = MKV_DRIVE_FOR_STORE,
                  .lba = {unit},
                  .unit_count = 2,
                  .payload_bytes = MKV_UNIT_BYTES,
                  .slab = {slab}},
    };
    memset(mkv_arena_slab(fixture->arena, effect.drive.slab) + MKV_UNIT_BYTES, 0x55,
           MKV_UNIT_BYTES);
    mkv_drive_submit(fixture->drive, &effect);
}

/* None of the units has what came into the memory after it was given up. */
static void assert_never_written(struct fixture *fixture, uint64_t unit, uint32_t unit_count,
                                 uint8_t byte) {
    char path[2 * TEMPORARY_PATH_BYTES];
    uint8_t bytes[MKV_UNIT_BYTES];
    snprintf(path, sizeof path, "%s/store", fixture->mount_point);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (uint32_t i = 0; i < unit_count; i++) {
        const off_t offset = (off_t)((unit + i) * MKV_UNIT_BYTES);
        assert_int_equal(pread(fd, bytes, sizeof bytes, offset), sizeof bytes);
        assert_int_not_equal(bytes[0], byte);
        assert_int_not_equal(bytes[sizeof bytes - 1], byte);
    }
    close(fd);
}

/* Those that are held for one that never comes back were never the kernel's. */
static void test_drive_late__held_behind_one_that_is_kept__is_answered_and_not_written(
    void **state) {
    struct fixture *fixture = *state;
    use_frozen_file_system(fixture);
    submit_slot(fixture, 1, 16, 1);
    mkv_ring_submit(fixture->ring);
    submit_slot(fixture, 2, 18, 2);
    submit_slot(fixture, 3, 20, 3);
    for (uint32_t index = 1; index < OPERATIONS; index++) {
        poll_until_answered(fixture, index);
        assert_int_equal(fixture->results[index], MKV_IO_TIMEOUT);
    }
    const struct mkv_slab slab = {2};
    assert_int_not_equal(mkv_arena_buffers_find(fixture->buffers,
                                                mkv_arena_slab(fixture->arena, slab),
                                                MKV_UNIT_BYTES),
                         MKV_RING_NOT_REGISTERED);
    for (uint32_t index = 1; index < OPERATIONS; index++) {
        const struct mkv_slab other = {index};
        memset(mkv_arena_slab(fixture->arena, other), 0x77, 2 * MKV_UNIT_BYTES);
    }
    thaw(fixture);
    poll_until_idle(fixture);
    for (uint32_t index = 1; index < OPERATIONS; index++) {
        assert_int_equal(fixture->counts[index], 1);
    }
    assert_never_written(fixture, 16, 6, 0x77);
}

/* A write of several pieces has no pages before the file system lets it begin: it would take those
 * that come in their place. */
static void test_drive_late__kernel_keeps_several_as_one__nothing_else_is_written(void **state) {
    struct fixture *fixture = *state;
    use_frozen_file_system(fixture);
    submit_slot(fixture, 1, 16, 1);
    submit_slot(fixture, 2, 18, 2);
    for (uint32_t i = 0; i < 2 * FILE_TIMEOUT_NS / POLL_NS && fixture->counts[1] == 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    for (uint32_t index = 1; index < 3; index++) {
        const struct mkv_slab slab = {index};
        if (fixture->counts[index] > 0) { /* it may be used again */
            memset(mkv_arena_slab(fixture->arena, slab), 0x77, 2 * MKV_UNIT_BYTES);
        }
    }
    thaw(fixture);
    poll_until_idle(fixture);
    assert_int_equal(fixture->counts[1], 1);
    assert_int_equal(fixture->counts[2], 1);
    assert_never_written(fixture, 16, 4, 0x77);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_drive_late__read_never_comes__is_taken_back_and_answered_once),
        T(test_drive_late__comes_in_time__is_whole),
        T(test_drive_late__recovery_reads__has_more_time_than_a_load),
        T(test_drive_late__waits_behind_one_that_never_comes__all_are_answered),
        T(test_drive_late__thread_was_away__takes_what_came_meanwhile),
        T(test_drive_late__kernel_keeps_it__is_answered_once_and_memory_is_other),
        T(test_drive_late__held_behind_one_that_is_kept__is_answered_and_not_written),
        T(test_drive_late__kernel_keeps_several_as_one__nothing_else_is_written),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
