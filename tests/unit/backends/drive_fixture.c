/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/drive_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "backends/drive_uring.h"
#include "core/slab.h"
#include "tests/unit/backends/loop_device.h"
#include "tests/unit/backends/temporary.h"

#define FILE_BYTES (128ull * MKV_MIB)
#define POLL_NS 1000000000ull

struct drive_fixture {
    struct drive_conformance target;
    struct drive_fixture_options options;
    struct mkv_arena *arena;
    struct mkv_ring *ring;
    struct mkv_arena_buffers *buffers;
    struct loop_device loop;
    bool has_loop;
    bool has_directory;
    char directory[TEMPORARY_PATH_BYTES];
    char path[TEMPORARY_PATH_BYTES]; /* of the medium */
};

static void poll_ring(void *context) {
    struct drive_fixture *fixture = context;
    mkv_ring_wait(fixture->ring, POLL_NS);
}

static void open_drive(struct drive_fixture *fixture) {
    struct mkv_backend_error error;
    struct mkv_drive_media media;
    const bool is_file = fixture->options.medium == DRIVE_FIXTURE_FILE;
    const struct mkv_drive_open_options open_options = {
        .name = "d00",
        .media = fixture->path,
        .size_bytes = is_file ? FILE_BYTES : 0,
        .mode = is_file ? MKV_DRIVE_MODE_FILE : MKV_DRIVE_MODE_DIRECT,
        /* Linux 6.1 lets go of a registered file a moment after it was told to. */
        .lock_wait_ms = MKV_DRIVE_LOCK_WAIT_MS_MAX,
    };
    if (!mkv_drive_open(&open_options, &media, &error)) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(media.block_device, !is_file);
    if (media.capacity_units < DRIVE_CONFORMANCE_CAPACITY_UNITS_MIN) {
        fail_msg("%s is smaller than the %u MiB that these tests use", fixture->path,
                 DRIVE_CONFORMANCE_CAPACITY_UNITS_MIN / 256u);
    }
    fixture->target.trims = media.trim_supported;
    const struct mkv_drive_uring_options options = {
        .ring = fixture->ring,
        .arena = fixture->arena,
        .buffers = fixture->buffers,
        .meta = fixture->target.meta,
        .meta_bytes = DRIVE_CONFORMANCE_META_BYTES,
        .trim = media.trim_supported,
        .queue_depth = fixture->options.queue_depth,
        .waiting_max = DRIVE_CONFORMANCE_OPERATIONS_MAX,
    };
    if (!mkv_drive_uring_create(&options, &media, &fixture->target.drive, &error)) {
        fail_msg("%s", error.text);
    }
}

static void reopen(void *context) {
    struct drive_fixture *fixture = context;
    drive_conformance_drain(&fixture->target);
    mkv_drive_close(fixture->target.drive);
    open_drive(fixture);
}

/* False: there is no loop device to be had. */
static bool make_medium(struct drive_fixture *fixture) {
    if (fixture->options.medium == DRIVE_FIXTURE_DEVICE) {
        snprintf(fixture->path, sizeof fixture->path, "%s", fixture->options.path);
        return true;
    }
    temporary_make(fixture->directory);
    fixture->has_directory = true;
    temporary_file(fixture->directory, "store.memkv", fixture->path);
    if (fixture->options.medium == DRIVE_FIXTURE_FILE) {
        return true;
    }
    FILE *file = fopen(fixture->path, "we");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)FILE_BYTES - 1, SEEK_SET), 0);
    assert_int_equal(fputc(0, file), 0);
    assert_int_equal(fclose(file), 0);
    fixture->has_loop = loop_device_make(fixture->path, &fixture->loop);
    if (!fixture->has_loop) {
        return false;
    }
    (void)loop_device_set_direct(&fixture->loop);
    snprintf(fixture->path, sizeof fixture->path, "%s", fixture->loop.path);
    return true;
}

static void free_medium(struct drive_fixture *fixture) {
    if (fixture->has_loop) {
        loop_device_remove(&fixture->loop);
    }
    if (fixture->has_directory) {
        temporary_remove(fixture->directory);
    }
    free(fixture);
}

struct drive_fixture *drive_fixture_make(const struct drive_fixture_options *options) {
    struct mkv_backend_error error;
    struct drive_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->options = *options;
    if (!make_medium(fixture)) {
        free_medium(fixture);
        return NULL;
    }
    const struct mkv_arena_options arena_options = {
        .bytes = (uint64_t)DRIVE_CONFORMANCE_SLAB_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES +
                 DRIVE_CONFORMANCE_META_BYTES,
        .metadata_bytes = DRIVE_CONFORMANCE_META_BYTES,
        .hugepages = MKV_HUGEPAGES_OFF,
    };
    assert_true(mkv_arena_create(&arena_options, &fixture->arena, &error));
    const struct mkv_ring_options ring_options = {
        .entries = 64,
        .files_max = options->plain ? 0 : 4,
        .buffers_max = options->plain ? 0 : mkv_arena_registration_count(fixture->arena),
    };
    assert_true(mkv_ring_create(&ring_options, &fixture->ring, &error));
    assert_true(mkv_arena_register(fixture->arena, fixture->ring, &fixture->buffers, &error));
    fixture->target = (struct drive_conformance){
        .slabs = mkv_arena_slab(fixture->arena, (struct mkv_slab){0}),
        .meta = mkv_arena_take(fixture->arena, DRIVE_CONFORMANCE_META_BYTES),
        .poll = poll_ring,
        .reopen = reopen,
        .context = fixture,
    };
    open_drive(fixture);
    return fixture;
}

struct drive_conformance *drive_fixture_target(struct drive_fixture *fixture) {
    return &fixture->target;
}

void drive_fixture_free(struct drive_fixture *fixture) {
    drive_conformance_drain(&fixture->target);
    mkv_drive_close(fixture->target.drive);
    mkv_ring_destroy(fixture->ring);
    mkv_arena_buffers_free(fixture->buffers);
    mkv_arena_destroy(fixture->arena);
    free_medium(fixture);
}
