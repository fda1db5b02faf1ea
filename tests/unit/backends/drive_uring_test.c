/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/drive_room.h"
#include "backends/drive_uring.h"
#include "tests/unit/backends/drive_conformance.h"
#include "tests/unit/backends/loop_device.h"
#include "tests/unit/backends/temporary.h"

#define FILE_BYTES (2 * MKV_DRIVE_ROOM_REGION_BYTES)
#define POLL_NS 1000000000ull
#define POLLS_MAX 1000u

/* How a drive is built. */
struct shape {
    bool registered; /* fixed buffers and files */
    bool buffered;   /* without O_DIRECT */
    bool skip_flush; /* as on a device without a volatile cache */
    bool no_trim;    /* though the medium takes them: so room is allocated ahead */
    bool device;     /* on a block device; where there is none, on the file behind it */
    uint32_t queue_depth;
};

struct fixture {
    struct drive_conformance target; /* first: the suite's state */
    struct mkv_arena *arena;
    struct mkv_ring *ring;
    struct mkv_arena_buffers *buffers;
    struct mkv_drive_media media;
    char directory[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES];
    bool has_device;
    struct loop_device device;
};

static void poll_ring(void *context) {
    struct fixture *fixture = context;
    mkv_ring_wait(fixture->ring, POLL_NS);
}

static struct fixture *fixture_make(struct shape shape) {
    struct mkv_backend_error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    temporary_make(fixture->directory);
    temporary_file(fixture->directory, "store.memkv", fixture->path);
    struct mkv_arena_options arena_options = {
        .bytes = (uint64_t)DRIVE_CONFORMANCE_SLAB_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES +
                 DRIVE_CONFORMANCE_META_BYTES,
        .metadata_bytes = DRIVE_CONFORMANCE_META_BYTES,
        .hugepages = MKV_HUGEPAGES_OFF,
    };
    assert_true(mkv_arena_create(&arena_options, &fixture->arena, &error));
    assert_int_equal(mkv_arena_unit_count(fixture->arena), DRIVE_CONFORMANCE_SLAB_UNITS);
    struct mkv_ring_options ring_options = {
        .entries = 64,
        .files_max = shape.registered ? 4 : 0,
        .buffers_max = shape.registered ? mkv_arena_registration_count(fixture->arena) : 0,
    };
    assert_true(mkv_ring_create(&ring_options, &fixture->ring, &error));
    assert_true(mkv_arena_register(fixture->arena, fixture->ring, &fixture->buffers, &error));

    struct mkv_drive_open_options open_options = {
        .name = "d00",
        .media = fixture->path,
        .size_bytes = FILE_BYTES,
        .mode = MKV_DRIVE_MODE_FILE,
    };
    assert_true(mkv_drive_open(&open_options, &fixture->media, &error));
    fixture->has_device = shape.device && loop_device_make(fixture->path, &fixture->device);
    if (fixture->has_device) {
        mkv_drive_media_close(&fixture->media);
        open_options.media = fixture->device.path;
        open_options.mode = MKV_DRIVE_MODE_DIRECT;
        assert_true(mkv_drive_open(&open_options, &fixture->media, &error));
        assert_true(fixture->media.block_device);
    }
    if (shape.buffered) {
        int flags = fcntl(fixture->media.fd, F_GETFL);
        assert_int_equal(fcntl(fixture->media.fd, F_SETFL, flags & ~O_DIRECT), 0);
    }
    fixture->media.flush_needed = !shape.skip_flush;
    fixture->target.trims = fixture->media.trim_supported && !shape.no_trim;
    fixture->target.meta = mkv_arena_take(fixture->arena, DRIVE_CONFORMANCE_META_BYTES);
    fixture->target.slabs = mkv_arena_slab(fixture->arena, (struct mkv_slab){0});
    fixture->target.poll = poll_ring;
    fixture->target.context = fixture;
    struct mkv_drive_uring_options options = {
        .ring = fixture->ring,
        .arena = fixture->arena,
        .buffers = fixture->buffers,
        .meta = fixture->target.meta,
        .meta_bytes = DRIVE_CONFORMANCE_META_BYTES,
        .trim = fixture->target.trims,
        .queue_depth = shape.queue_depth,
        .waiting_max = DRIVE_CONFORMANCE_OPERATIONS_MAX,
    };
    assert_true(mkv_drive_uring_create(&options, &fixture->media, &fixture->target.drive, &error));
    return fixture;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    mkv_drive_close(fixture->target.drive);
    mkv_ring_destroy(fixture->ring);
    mkv_arena_buffers_free(fixture->buffers);
    mkv_arena_destroy(fixture->arena);
    if (fixture->has_device) {
        loop_device_remove(&fixture->device);
    }
    temporary_remove(fixture->directory);
    free(fixture);
    return 0;
}

static int set_up(void **state) {
    *state = fixture_make((struct shape){.registered = true});
    return 0;
}
static int set_up_ahead(void **state) {
    *state = fixture_make((struct shape){.registered = true, .no_trim = true});
    return 0;
}
static int set_up_plain(void **state) {
    *state = fixture_make((struct shape){.queue_depth = 8});
    return 0;
}
static int set_up_buffered(void **state) {
    *state = fixture_make((struct shape){.registered = true, .buffered = true});
    return 0;
}
static int set_up_depth_one(void **state) {
    *state = fixture_make((struct shape){.registered = true, .queue_depth = 1});
    return 0;
}
static int set_up_skip_flush(void **state) {
    *state = fixture_make((struct shape){.skip_flush = true});
    return 0;
}
static int set_up_device(void **state) {
    *state = fixture_make((struct shape){.registered = true, .device = true});
    return 0;
}

/* ---- what only this drive can show ---------------------------------------------------------- */

static struct mkv_effect effect_of(enum mkv_effect_kind kind, uint64_t lba_unit, uint32_t units) {
    return drive_conformance_meta(kind, lba_unit, units, 0);
}

static void test_drive_uring__registered__fixed_buffers_and_file_are_used(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(mkv_arena_buffers_error(fixture->buffers), 0);
    assert_int_not_equal(mkv_arena_buffers_find(fixture->buffers, fixture->target.meta, 4096),
                         MKV_RING_NOT_REGISTERED);
    /* The first place of four went to the drive. */
    int32_t place = mkv_ring_file_add(fixture->ring, fixture->media.fd);
    assert_int_equal(place, 1);
    mkv_ring_file_remove(fixture->ring, place);
}

static void test_drive_uring__file_shrunk__read_says_so(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(ftruncate(fixture->media.fd, 10 * MKV_UNIT_BYTES), 0);
    static const struct {
        uint64_t lba_unit;
        uint32_t units;
        enum mkv_io_result result;
    } cases[] = {{9, 1, MKV_IO_OK}, {9, 2, MKV_IO_SHRUNK}, {10, 1, MKV_IO_SHRUNK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_effect read =
            effect_of(MKV_EFFECT_DRIVE_READ, cases[i].lba_unit, cases[i].units);
        assert_int_equal(drive_conformance_run(&fixture->target, &read).result, cases[i].result);
    }
    /* An end that is within a unit, too. */
    assert_int_equal(ftruncate(fixture->media.fd, 10 * MKV_UNIT_BYTES + 700), 0);
    struct mkv_effect read = effect_of(MKV_EFFECT_DRIVE_READ, 8, 4);
    assert_int_equal(drive_conformance_run(&fixture->target, &read).result, MKV_IO_SHRUNK);
}

static void note_result(void *context, const struct mkv_drive_done *done) {
    enum mkv_io_result *result = context;
    *result = done->result;
}

/* The file is short for the first try and has grown for the second, which must take up the read
 * where it stopped. */
static void test_drive_uring__short_read__is_continued(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive *drive = fixture->target.drive;
    struct mkv_effect write = effect_of(MKV_EFFECT_DRIVE_WRITE, 0, 3);
    memset(fixture->target.meta, 0x31, 3 * MKV_UNIT_BYTES);
    assert_int_equal(drive_conformance_run(&fixture->target, &write).result, MKV_IO_OK);
    assert_int_equal(ftruncate(fixture->media.fd, 3 * MKV_UNIT_BYTES), 0);
    memset(fixture->target.meta, 0x44, 9 * MKV_UNIT_BYTES);

    enum mkv_io_result result = MKV_IO_GONE;
    drive->complete = note_result;
    drive->complete_context = &result;
    struct mkv_effect read = effect_of(MKV_EFFECT_DRIVE_READ, 0, 8);
    uint64_t continued = drive->counters.continued;
    mkv_drive_submit(drive, &read);
    for (uint32_t i = 0; i < POLLS_MAX && drive->counters.continued == continued; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(drive->counters.continued, continued + 1);
    assert_int_equal(mkv_drive_in_flight(drive), 1);
    assert_int_equal(ftruncate(fixture->media.fd, FILE_BYTES), 0);
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(result, MKV_IO_OK);
    for (uint32_t at = 0; at < 9 * MKV_UNIT_BYTES; at++) {
        uint32_t unit = at / MKV_UNIT_BYTES;
        assert_int_equal(fixture->target.meta[at], unit < 3 ? 0x31 : unit < 8 ? 0 : 0x44);
    }
}

/* A limit on file size cuts a write short, then refuses the rest. */
static void test_drive_uring__write_cut_short__is_continued_then_device_error(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive *drive = fixture->target.drive;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {100 * MKV_UNIT_BYTES, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint64_t continued = drive->counters.continued;
    struct mkv_effect write = effect_of(MKV_EFFECT_DRIVE_WRITE, 98, 4);
    struct drive_conformance_done done = drive_conformance_run(&fixture->target, &write);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(done.result, MKV_IO_DEVICE);
    assert_int_equal(drive->counters.continued, continued + 1);
}

static void test_drive_uring__more_than_the_depth__waits_in_order(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive *drive = fixture->target.drive;
    enum mkv_io_result result = MKV_IO_GONE;
    drive->complete = note_result;
    drive->complete_context = &result;
    for (uint32_t i = 0; i < 5; i++) {
        struct mkv_effect write =
            drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 7, 1, (uint64_t)i * MKV_UNIT_BYTES);
        memset(fixture->target.meta + i * MKV_UNIT_BYTES, (int)(0x10 + i), MKV_UNIT_BYTES);
        mkv_drive_submit(drive, &write);
    }
    assert_int_equal(drive->counters.in_flight, 5);
    assert_int_equal(drive->counters.waiting, 4);
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(drive->counters.waiting, 0);
    struct mkv_effect read = effect_of(MKV_EFFECT_DRIVE_READ, 7, 1);
    assert_int_equal(drive_conformance_run(&fixture->target, &read).result, MKV_IO_OK);
    assert_int_equal(fixture->target.meta[0], 0x14);
}

/* The shard has much to do between what it asks for and when it hands that to the kernel. */
static void test_drive_uring__handed_over_late__is_no_time_in_the_device(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive *drive = fixture->target.drive;
    const struct mkv_histogram *device = &drive->counters.operations[MKV_DRIVE_OP_WRITE].device;
    const uint64_t before_ns = device->sum;
    struct mkv_effect write = effect_of(MKV_EFFECT_DRIVE_WRITE, 0, 1);
    enum mkv_io_result result = MKV_IO_GONE;
    drive->complete = note_result;
    drive->complete_context = &result;
    mkv_drive_submit(drive, &write);
    usleep(50000);
    const uint64_t wait_ns = mkv_clock_monotonic_ns();
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(result, MKV_IO_OK);
    assert_true(device->sum - before_ns > 0);
    assert_true(device->sum - before_ns <= mkv_clock_monotonic_ns() - wait_ns);
}

/* How many entries the ring has handed to the kernel once those in a hurry are. */
static uint64_t handed_over(struct fixture *fixture, enum mkv_effect_kind kind, uint32_t units,
                            enum mkv_drive_share share) {
    const struct mkv_ring_counters *counters = mkv_ring_counters(fixture->ring);
    struct mkv_drive *drive = fixture->target.drive;
    enum mkv_io_result result = MKV_IO_GONE;
    drive->complete = note_result;
    drive->complete_context = &result;
    struct mkv_effect effect = effect_of(kind, 64, units);
    effect.drive.share = share;
    mkv_ring_submit(fixture->ring);
    const uint64_t before = counters->submitted;
    mkv_drive_submit(drive, &effect);
    mkv_ring_submit_hurried(fixture->ring);
    const uint64_t count = counters->submitted - before;
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(result, MKV_IO_OK);
    return count;
}

static void test_drive_uring__large_stores__go_at_once_with_what_they_wait_for(void **state) {
    struct fixture *fixture = *state;
    const uint32_t large = MKV_DRIVE_URING_HELD_BYTES_MAX / MKV_UNIT_BYTES + 1;
    const enum mkv_effect_kind write = MKV_EFFECT_DRIVE_WRITE;
    const enum mkv_effect_kind flush = MKV_EFFECT_DRIVE_FLUSH;
    const enum mkv_drive_share commit = MKV_DRIVE_FOR_COMMIT;
    (void)handed_over(fixture, write, large, MKV_DRIVE_FOR_STORE); /* now there is room for it */
    assert_int_equal(handed_over(fixture, write, 1, MKV_DRIVE_FOR_STORE), 0);
    assert_int_equal(handed_over(fixture, write, 1, commit), 0);
    assert_int_equal(handed_over(fixture, flush, 1, commit), 0);
    assert_int_equal(handed_over(fixture, write, large, MKV_DRIVE_FOR_STORE), 1);
    assert_int_equal(handed_over(fixture, write, 1, commit), 1);
    assert_int_equal(handed_over(fixture, flush, 1, commit), 1);
    assert_int_equal(handed_over(fixture, MKV_EFFECT_DRIVE_READ, 1, MKV_DRIVE_FOR_LOAD), 0);
    assert_int_equal(handed_over(fixture, write, 1, MKV_DRIVE_FOR_BACKGROUND), 0);
    assert_int_equal(handed_over(fixture, write, 1, MKV_DRIVE_FOR_STORE), 0);
    assert_int_equal(handed_over(fixture, write, 1, commit), 0);
}

/* ---- writes side by side -------------------------------------------------------------------- */

#define SIDE_COUNT 6u

struct side_results {
    uint32_t count;
    enum mkv_io_result results[SIDE_COUNT];
};

static void note_side(void *context, const struct mkv_drive_done *done) {
    struct side_results *results = context;
    assert_true(done->op.index < SIDE_COUNT);
    results->results[done->op.index] = done->result;
    results->count++;
}

/* Submits writes of a unit each, out of order, and of one that stands alone: 40 ... 44 and 60. */
static uint64_t write_sides(struct fixture *fixture, struct side_results *results) {
    static const uint64_t units[SIDE_COUNT] = {42, 40, 44, 60, 41, 43};
    struct mkv_drive *drive = fixture->target.drive;
    drive->complete = note_side;
    drive->complete_context = results;
    const uint64_t before = mkv_ring_counters(fixture->ring)->submitted;
    for (uint32_t i = 0; i < SIDE_COUNT; i++) {
        struct mkv_effect write = drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, units[i], 1,
                                                         (uint64_t)i * MKV_UNIT_BYTES);
        write.op.index = i;
        memset(fixture->target.meta + (size_t)i * MKV_UNIT_BYTES, (int)units[i], MKV_UNIT_BYTES);
        mkv_drive_submit(drive, &write);
    }
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    return mkv_ring_counters(fixture->ring)->submitted - before;
}

static void test_drive_uring__writes_side_by_side__go_as_one(void **state) {
    struct fixture *fixture = *state;
    struct side_results results = {0};
    (void)write_sides(fixture, &results); /* now there is room for all of them */
    results.count = 0;
    assert_int_equal(write_sides(fixture, &results), 2);
    assert_int_equal(results.count, SIDE_COUNT);
    for (uint32_t i = 0; i < SIDE_COUNT; i++) {
        assert_int_equal(results.results[i], MKV_IO_OK);
    }
    struct mkv_effect read = effect_of(MKV_EFFECT_DRIVE_READ, 40, 5);
    assert_int_equal(drive_conformance_run(&fixture->target, &read).result, MKV_IO_OK);
    for (uint32_t at = 0; at < 5 * MKV_UNIT_BYTES; at++) {
        assert_int_equal(fixture->target.meta[at], 40 + at / MKV_UNIT_BYTES);
    }
}

/* The limit on file size lets the first three of five be written. */
static void test_drive_uring__writes_side_by_side_fail__each_has_its_own_result(void **state) {
    struct fixture *fixture = *state;
    struct side_results results = {0};
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {43 * MKV_UNIT_BYTES, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)write_sides(fixture, &results);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    static const enum mkv_io_result wanted[SIDE_COUNT] = {MKV_IO_OK,     MKV_IO_OK, MKV_IO_DEVICE,
                                                          MKV_IO_DEVICE, MKV_IO_OK, MKV_IO_DEVICE};
    assert_int_equal(results.count, SIDE_COUNT);
    for (uint32_t i = 0; i < SIDE_COUNT; i++) {
        assert_int_equal(results.results[i], wanted[i]);
    }
}

/* Slots one behind the other, each handed in while the one before it is under way. */
static void test_drive_uring__slots_in_a_row__wait_for_company(void **state) {
    struct fixture *fixture = *state;
    struct side_results results = {0};
    struct mkv_drive *drive = fixture->target.drive;
    struct mkv_effect first = effect_of(MKV_EFFECT_DRIVE_WRITE, 90, 1); /* asks for the room */
    assert_int_equal(drive_conformance_run(&fixture->target, &first).result, MKV_IO_OK);
    drive->complete = note_side;
    drive->complete_context = &results;
    const uint64_t before = mkv_ring_counters(fixture->ring)->submitted;
    for (uint32_t i = 0; i < SIDE_COUNT; i++) {
        struct mkv_effect write = drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 100 + i, 1,
                                                         (uint64_t)i * MKV_UNIT_BYTES);
        write.op.index = i;
        write.drive.memory = MKV_DRIVE_SLOT;
        write.drive.slab.index = i;
        mkv_drive_submit(drive, &write);
        if (i < 3) {
            mkv_ring_submit(fixture->ring); /* completions are seen by a wait alone */
        }
    }
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(results.count, SIDE_COUNT);
    for (uint32_t i = 0; i < SIDE_COUNT; i++) {
        assert_int_equal(results.results[i], MKV_IO_OK);
    }
    /* The first, and all others as one. */
    assert_int_equal(mkv_ring_counters(fixture->ring)->submitted - before, 2);
}

static void count_write(void *context, const struct mkv_drive_done *done) {
    assert_int_equal(done->result, MKV_IO_OK);
    (*(uint32_t *)context)++;
}

/* What so many writes of metadata, one behind the other, are to the kernel. */
static uint64_t rows_written(struct fixture *fixture, uint32_t count, uint32_t units,
                             bool submit_each) {
    struct mkv_drive *drive = fixture->target.drive;
    struct mkv_effect first = effect_of(MKV_EFFECT_DRIVE_WRITE, 90, 1); /* asks for the room */
    assert_int_equal(drive_conformance_run(&fixture->target, &first).result, MKV_IO_OK);
    uint32_t completed = 0;
    drive->complete = count_write;
    drive->complete_context = &completed;
    const uint64_t before = mkv_ring_counters(fixture->ring)->submitted;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t at = (uint64_t)i * units;
        struct mkv_effect write =
            drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 200 + at, units, at * MKV_UNIT_BYTES);
        memset(fixture->target.meta + at * MKV_UNIT_BYTES, (int)i + 1,
               (size_t)units * MKV_UNIT_BYTES);
        mkv_drive_submit(drive, &write);
        if (submit_each) {
            mkv_ring_submit(fixture->ring);
        }
    }
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    assert_int_equal(completed, count);
    const uint64_t submitted = mkv_ring_counters(fixture->ring)->submitted - before;
    for (uint32_t i = 0; i < count; i++) {
        struct mkv_effect read = effect_of(MKV_EFFECT_DRIVE_READ, 200 + (uint64_t)i * units, 1);
        assert_int_equal(drive_conformance_run(&fixture->target, &read).result, MKV_IO_OK);
        assert_int_equal(fixture->target.meta[0], i + 1);
    }
    return submitted;
}

static void test_drive_uring__writes_in_a_row__as_one_within_bounds(void **state) {
    struct fixture *fixture = *state;
    const uint32_t most_units = MKV_DRIVE_URING_HELD_BYTES_MAX / MKV_UNIT_BYTES;
    const uint32_t most = MKV_DRIVE_URING_MERGED_BYTES_MAX / (MKV_DRIVE_URING_HELD_BYTES_MAX);
    assert_int_equal(rows_written(fixture, MKV_DRIVE_URING_MERGED_MAX, 1, false), 1);
    assert_int_equal(rows_written(fixture, MKV_DRIVE_URING_MERGED_MAX + 1, 1, false), 2);
    assert_int_equal(rows_written(fixture, most, most_units, false), 1);
    assert_int_equal(rows_written(fixture, most + 1, most_units, false), 2);
    /* Longer ones go by themselves, and the journal's at once. */
    assert_int_equal(rows_written(fixture, 2, most_units + 1, false), 2);
    assert_int_equal(rows_written(fixture, 3, 1, true), 3);
}

/* A sparse file has room behind what was written to it. */
static void test_drive_uring__first_write__has_room_allocated_ahead(void **state) {
    struct fixture *fixture = *state;
    struct stat status;
    struct mkv_effect write = effect_of(MKV_EFFECT_DRIVE_WRITE, 3, 1);
    assert_int_equal(drive_conformance_run(&fixture->target, &write).result, MKV_IO_OK);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < POLLS_MAX && bytes < 2 * MKV_DRIVE_ROOM_REGION_BYTES; i++) {
        usleep(10000);
        assert_int_equal(fstat(fixture->media.fd, &status), 0);
        bytes = (uint64_t)status.st_blocks * 512;
    }
    assert_true(bytes >= 2 * MKV_DRIVE_ROOM_REGION_BYTES);
    assert_int_equal(status.st_size, FILE_BYTES);
}

static void test_drive_uring__no_volatile_cache__flush_is_skipped(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_counters before = fixture->target.drive->counters;
    struct mkv_effect flush = {.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {5, 6}};
    /* With the descriptor closed a real flush would fail. */
    int kept = dup(fixture->media.fd);
    assert_true(kept >= 0);
    close(fixture->media.fd);
    struct drive_conformance_done done = drive_conformance_run(&fixture->target, &flush);
    assert_int_equal(dup2(kept, fixture->media.fd), fixture->media.fd);
    close(kept);
    assert_int_equal(done.result, MKV_IO_OK);
    assert_int_equal(fixture->target.drive->counters.flushes_skipped, before.flushes_skipped + 1);
}

static void test_drive_uring__file__flush_is_not_skipped(void **state) {
    struct fixture *fixture = *state;
    struct mkv_effect flush = {.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {5, 6}};
    assert_int_equal(drive_conformance_run(&fixture->target, &flush).result, MKV_IO_OK);
    assert_int_equal(fixture->target.drive->counters.flushes_skipped, 0);
}

/* The descriptor names nothing any more: every operation fails, none hangs. */
static void test_drive_uring__descriptor_closed__drive_is_gone(void **state) {
    struct fixture *fixture = *state;
    int kept = dup(fixture->media.fd);
    assert_true(kept >= 0);
    close(fixture->media.fd);
    static const enum mkv_effect_kind kinds[] = {
        MKV_EFFECT_DRIVE_READ,
        MKV_EFFECT_DRIVE_WRITE,
        MKV_EFFECT_DRIVE_FLUSH,
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct mkv_effect effect = effect_of(kinds[i], 3, 2);
        assert_int_equal(drive_conformance_run(&fixture->target, &effect).result, MKV_IO_GONE);
    }
    if (fixture->target.trims) {
        struct mkv_effect trim = effect_of(MKV_EFFECT_DRIVE_TRIM, 3, 2);
        assert_int_equal(drive_conformance_run(&fixture->target, &trim).result, MKV_IO_GONE);
        const struct mkv_drive_operation_counters *counters =
            &fixture->target.drive->counters.operations[MKV_DRIVE_OP_TRIM];
        assert_int_equal(counters->results[MKV_IO_GONE], 1);
        assert_int_equal(counters->bytes, 0);
    }
    assert_int_equal(dup2(kept, fixture->media.fd), fixture->media.fd);
    close(kept);
}

/* The room that the store file takes on its file system, behind a device or not. */
static uint64_t file_bytes_taken(const struct fixture *fixture) {
    struct stat status;
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_size, FILE_BYTES);
    return (uint64_t)status.st_blocks * 512;
}

static void test_drive_uring__trimmed__room_is_given_back(void **state) {
    struct fixture *fixture = *state;
    if (!fixture->target.trims) {
        print_message("skipped: the file system or device takes no trims\n");
        skip();
    }
    const uint32_t bytes = 256 * MKV_UNIT_BYTES;
    memset(fixture->target.meta, 0x5a, bytes);
    struct mkv_effect write = effect_of(MKV_EFFECT_DRIVE_WRITE, 1024, 256);
    struct mkv_effect flush = {.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {5, 6}};
    struct mkv_effect trim = effect_of(MKV_EFFECT_DRIVE_TRIM, 1024, 256);
    assert_int_equal(drive_conformance_run(&fixture->target, &write).result, MKV_IO_OK);
    assert_int_equal(drive_conformance_run(&fixture->target, &flush).result, MKV_IO_OK);
    const uint64_t before = file_bytes_taken(fixture);
    assert_true(before >= bytes);
    assert_int_equal(drive_conformance_run(&fixture->target, &trim).result, MKV_IO_OK);
    assert_int_equal(drive_conformance_run(&fixture->target, &flush).result, MKV_IO_OK);
    assert_true(file_bytes_taken(fixture) + bytes <= before);
}

static void test_drive_uring__written_and_flushed__is_in_the_file(void **state) {
    struct fixture *fixture = *state;
    memset(fixture->target.meta, 0x5a, 2 * MKV_UNIT_BYTES);
    struct mkv_effect write = effect_of(MKV_EFFECT_DRIVE_WRITE, 21, 2);
    struct mkv_effect flush = {.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {5, 6}};
    assert_int_equal(drive_conformance_run(&fixture->target, &write).result, MKV_IO_OK);
    assert_int_equal(drive_conformance_run(&fixture->target, &flush).result, MKV_IO_OK);
    int fd = open(fixture->path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t bytes[4 * MKV_UNIT_BYTES];
    assert_int_equal(pread(fd, bytes, sizeof bytes, 20 * MKV_UNIT_BYTES), sizeof bytes);
    close(fd);
    assert_int_equal(bytes[MKV_UNIT_BYTES - 1], 0);
    assert_int_equal(bytes[MKV_UNIT_BYTES], 0x5a);
    assert_int_equal(bytes[3 * MKV_UNIT_BYTES - 1], 0x5a);
    assert_int_equal(bytes[3 * MKV_UNIT_BYTES], 0);
}

static void close_and_open(struct shape shape) {
    struct mkv_backend_error error;
    struct fixture *fixture = fixture_make(shape);
    struct mkv_drive_open_options options = {
        .name = "d00", .media = fixture->path, .mode = MKV_DRIVE_MODE_FILE};
    struct mkv_drive_media media;
    assert_false(mkv_drive_open(&options, &media, &error));
    struct mkv_effect write = effect_of(MKV_EFFECT_DRIVE_WRITE, 21, 2);
    assert_int_equal(drive_conformance_run(&fixture->target, &write).result, MKV_IO_OK);
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(fixture->target.drive) > 0; i++) {
        mkv_ring_wait(fixture->ring, POLL_NS);
    }
    mkv_drive_close(fixture->target.drive);
    assert_true(mkv_drive_open(&options, &media, &error));
    assert_false(media.created);
    assert_int_equal(media.capacity_units, FILE_BYTES / MKV_UNIT_BYTES);
    /* So is the drive's place in the ring. */
    assert_int_equal(mkv_ring_file_add(fixture->ring, media.fd), 0);
    mkv_ring_file_remove(fixture->ring, 0);
    mkv_drive_media_close(&media);
    mkv_ring_destroy(fixture->ring);
    mkv_arena_buffers_free(fixture->buffers);
    mkv_arena_destroy(fixture->arena);
    temporary_remove(fixture->directory);
    free(fixture);
}

static void test_drive_uring__closed__lock_and_place_are_free_at_once(void **state) {
    (void)state;
    close_and_open((struct shape){.registered = true});
}

/* Nor does the room that is asked for keep the file. */
static void test_drive_uring__closed_when_room_was_asked_for__lock_is_free_at_once(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        close_and_open((struct shape){.registered = true, .no_trim = true});
    }
}

int main(void) {
    static const struct CMUnitTest conformance[] = {DRIVE_CONFORMANCE_TESTS};
    static const struct CMUnitTest registered[] = {
        cmocka_unit_test(test_drive_uring__registered__fixed_buffers_and_file_are_used),
        cmocka_unit_test(test_drive_uring__file__flush_is_not_skipped),
        cmocka_unit_test(test_drive_uring__trimmed__room_is_given_back),
        cmocka_unit_test(test_drive_uring__written_and_flushed__is_in_the_file),
        cmocka_unit_test(test_drive_uring__handed_over_late__is_no_time_in_the_device),
        cmocka_unit_test(test_drive_uring__large_stores__go_at_once_with_what_they_wait_for),
        cmocka_unit_test(test_drive_uring__writes_side_by_side__go_as_one),
        cmocka_unit_test(test_drive_uring__writes_side_by_side_fail__each_has_its_own_result),
        cmocka_unit_test(test_drive_uring__slots_in_a_row__wait_for_company),
        cmocka_unit_test(test_drive_uring__writes_in_a_row__as_one_within_bounds),
        cmocka_unit_test(test_drive_uring__short_read__is_continued),
        cmocka_unit_test(test_drive_uring__write_cut_short__is_continued_then_device_error),
        cmocka_unit_test(test_drive_uring__file_shrunk__read_says_so),
        cmocka_unit_test(test_drive_uring__closed__lock_and_place_are_free_at_once),
        cmocka_unit_test(test_drive_uring__closed_when_room_was_asked_for__lock_is_free_at_once),
    };
    static const struct CMUnitTest ahead[] = {
        cmocka_unit_test(test_drive_uring__first_write__has_room_allocated_ahead),
        cmocka_unit_test(test_drive_uring__writes_side_by_side__go_as_one),
    };
    static const struct CMUnitTest plain[] = {
        cmocka_unit_test(test_drive_uring__written_and_flushed__is_in_the_file),
        cmocka_unit_test(test_drive_uring__short_read__is_continued),
        cmocka_unit_test(test_drive_uring__descriptor_closed__drive_is_gone),
    };
    static const struct CMUnitTest depth_one[] = {
        cmocka_unit_test(test_drive_uring__more_than_the_depth__waits_in_order),
    };
    static const struct CMUnitTest skip_flush[] = {
        cmocka_unit_test(test_drive_uring__no_volatile_cache__flush_is_skipped),
    };
    static const struct CMUnitTest device[] = {
        cmocka_unit_test(test_drive_uring__trimmed__room_is_given_back),
    };
    int failed = 0;
    failed += cmocka_run_group_tests_name("registered", conformance, set_up, tear_down);
    failed += cmocka_run_group_tests_name("plain operations", conformance, set_up_plain, tear_down);
    failed += cmocka_run_group_tests_name("buffered", conformance, set_up_buffered, tear_down);
    failed += cmocka_run_group_tests_name("depth 1", conformance, set_up_depth_one, tear_down);
    failed += cmocka_run_group_tests_name("no cache", conformance, set_up_skip_flush, tear_down);
    failed += cmocka_run_group_tests_name("block device", conformance, set_up_device, tear_down);
    failed += cmocka_run_group_tests_name("block device: own", device, set_up_device, tear_down);
    failed += cmocka_run_group_tests_name("registered: own", registered, set_up, tear_down);
    failed += cmocka_run_group_tests_name("room ahead", conformance, set_up_ahead, tear_down);
    failed += cmocka_run_group_tests_name("room ahead: own", ahead, set_up_ahead, tear_down);
    failed += cmocka_run_group_tests_name("plain: own", plain, set_up_plain, tear_down);
    failed += cmocka_run_group_tests_name("depth 1: own", depth_one, set_up_depth_one, tear_down);
    failed +=
        cmocka_run_group_tests_name("no cache: own", skip_flush, set_up_skip_flush, tear_down);
    return failed;
}
