/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/server/image_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/drive_uring.h"
#include "core/hash.h"
#include "server/drive_probe.h"
#include "server/drive_set.h"

#define WAIT_NS (5ull * 1000u * 1000u * 1000u)
#define WALL_MS 1700000000000ull
#define OPS_MAX 16u
#define WINDOW_UNITS 8u
#define PUT_SLAB 0u
#define GET_SLAB 2u

/* ---- the machine ---------------------------------------------------------------------------- */

static void note_event(struct rig *rig, const struct mkv_event *event) {
    if (event->kind == MKV_EVENT_CAME_UP_EMPTY) {
        rig->came_up_empty = true;
        rig->open_err = event->err;
    } else if (event->kind == MKV_EVENT_OPEN_FAILED) {
        rig->open_err = event->err;
    } else if (event->kind == MKV_EVENT_CLOSED) {
        rig->closed = true;
    }
}

static bool is_lost(const struct rig *rig, const struct mkv_effect *effect) {
    if (!rig->ring_copy_b_is_lost || effect->kind != MKV_EFFECT_DRIVE_WRITE) {
        return false;
    }
    const uint64_t first = mkv_geometry_journal(&rig->config.geometry, 1, 0).unit;
    return effect->drive.lba.unit >= first &&
           effect->drive.lba.unit < first + rig->config.geometry.ring_blocks;
}

static void submit(struct rig *rig, const struct mkv_effect *effect) {
    assert_false(rig->drive_failed);
    if (is_lost(rig, effect)) {
        rig->operations_lost++;
        return;
    }
    if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
        const struct mkv_drive_effect *drive = &effect->drive;
        assert_true(drive->lba.unit + drive->unit_count <= RIG_UNITS);
        for (uint32_t index = 0; index < drive->unit_count; index++) {
            rig->changed[drive->lba.unit + index] = true;
        }
        if (drive->memory == MKV_DRIVE_SLOT) {
            rig->slot_written = drive->lba;
        }
    }
    mkv_drive_submit(rig->drive, effect);
}

static void take_effects(struct rig *rig) {
    struct mkv_effect effects[16];
    uint32_t count;
    while ((count = mkv_volume_effects(rig->volume, effects, 16)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            const struct mkv_effect *effect = &effects[index];
            if (effect->kind == MKV_EFFECT_MESSAGE) {
                assert_false(rig->answered);
                rig->answered = true;
                rig->answer = effect->message;
            } else if (effect->kind == MKV_EFFECT_EVENT) {
                note_event(rig, &effect->event);
            } else if (effect->kind == MKV_EFFECT_FAIL_DRIVE) {
                rig->drive_failed = true;
            } else {
                submit(rig, effect);
            }
        }
    }
}

static enum mkv_err step(struct rig *rig, struct mkv_input *input) {
    rig->now_ns += 1000;
    input->now_ns = rig->now_ns;
    input->wall_ms = WALL_MS;
    const enum mkv_err err = mkv_volume_step(rig->volume, input);
    take_effects(rig);
    return err;
}

static void drive_done(void *context, const struct mkv_drive_done *done) {
    struct rig *rig = context;
    struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE};
    input.drive = *done;
    step(rig, &input);
}

/* Until nothing is in flight and no job has work. */
static void settle(struct rig *rig) {
    for (uint32_t steps = 0; steps < RIG_STEPS_MAX; steps++) {
        if (mkv_drive_in_flight(rig->drive) > 0) {
            if (mkv_ring_wait(rig->ring, WAIT_NS) == 0) {
                fail_msg("the drive completes nothing within %llu ns", WAIT_NS);
            }
        } else if (mkv_volume_has_work(rig->volume)) {
            struct mkv_input input = {.kind = MKV_INPUT_TICK};
            step(rig, &input);
        } else {
            return;
        }
    }
    fail_msg("the volume does not come to rest within %u steps", RIG_STEPS_MAX);
}

static void admin(struct rig *rig, enum mkv_admin_command command) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = command};
    assert_int_equal(step(rig, &input), MKV_OK);
    settle(rig);
}

/* ---- opening and closing -------------------------------------------------------------------- */

static bool open_media(struct rig *rig, struct mkv_drive_media *media) {
    struct mkv_backend_error error;
    const struct mkv_drive_open_options options = {
        .name = "d00",
        .media = rig->path,
        .mode = MKV_DRIVE_MODE_FILE,
    };
    if (!mkv_drive_open(&options, media, &error)) {
        snprintf(rig->refusal, sizeof rig->refusal, "%s", error.text);
        return false;
    }
    media->flush_needed = rig->flush_needed;
    return true;
}

/* Reads what stands on the medium and decides, as a start does. False: refused. */
static bool decide(struct rig *rig, const struct mkv_drive_media *media,
                   struct mkv_drive_probe *probe, struct mkv_drive_set_plan *plan) {
    struct mkv_backend_error error;
    const struct mkv_drive_set_candidate candidate = {"d00", rig->path, probe, 1000};
    if (!mkv_drive_probe(media, "d00", rig->path, probe, &error) ||
        !mkv_drive_set_judge(&candidate, 1, NULL, &mkv_drive_set_random_kernel, plan, &error)) {
        snprintf(rig->refusal, sizeof rig->refusal, "%s", error.text);
        return false;
    }
    return true;
}

static struct mkv_volume_config config_of(const struct mkv_drive_media *media,
                                          const struct mkv_drive_probe *probe,
                                          const struct mkv_drive_set_plan *plan) {
    struct mkv_volume_config config = {
        .capacity_units = media->capacity_units,
        .geometry = probe->superblock.geometry,
        .ops_max = OPS_MAX,
        .window_units = WINDOW_UNITS,
        .idle_ns = 1000000000,
        .store_uuid = plan->store_uuid,
        .drive_uuid = plan->drive_uuids[0],
        .drive_set = plan->newest,
    };
    if (plan->actions[0] == MKV_DRIVE_FORMAT) {
        const struct mkv_geometry_options options = {
            .ring_blocks = RIG_RING_BLOCKS,
            .slots_max = RIG_PAGES * MKV_PAGE_SLOTS,
            .extent_units = RIG_EXTENT_UNITS,
        };
        assert_int_equal(mkv_geometry_plan(media->capacity_units, &options, &config.geometry),
                         MKV_OK);
    }
    return config;
}

/* A machine and its drive on an opened medium; takes the medium over. */
static void start_volume(struct rig *rig, const struct mkv_drive_media *media,
                         const struct mkv_volume_config *config) {
    struct mkv_backend_error error;
    rig->config = *config;
    const size_t bytes = mkv_volume_memory_required(config);
    if (rig->memory == NULL) {
        const struct mkv_arena_options options = {
            .bytes = MKV_SLAB_GROUP_UNITS * (uint64_t)MKV_SLAB_UNIT_STRIDE_BYTES +
                     mkv_round_up_u64(bytes, 2 * MKV_MIB),
            .metadata_bytes = mkv_round_up_u64(bytes, MKV_UNIT_BYTES),
            .hugepages = MKV_HUGEPAGES_OFF,
        };
        assert_true(mkv_arena_create(&options, &rig->arena, &error));
        const struct mkv_ring_options ring_options = {
            .entries = 64,
            .files_max = 1,
            .buffers_max = mkv_arena_registration_count(rig->arena),
        };
        assert_true(mkv_ring_create(&ring_options, &rig->ring, &error));
        assert_true(mkv_arena_register(rig->arena, rig->ring, &rig->buffers, &error));
        rig->memory = mkv_arena_take(rig->arena, bytes);
        rig->memory_bytes = bytes;
    }
    assert_int_equal(bytes, rig->memory_bytes);
    memset(rig->memory, 0xa5, bytes);
    rig->volume = mkv_volume_init(rig->memory, bytes, config);
    const struct mkv_drive_uring_options options = {
        .ring = rig->ring,
        .arena = rig->arena,
        .buffers = rig->buffers,
        .meta = rig->memory,
        .meta_bytes = bytes,
        .waiting_max = mkv_volume_effects_max(config),
    };
    assert_true(mkv_drive_uring_create(&options, media, &rig->drive, &error));
    rig->drive->complete = drive_done;
    rig->drive->complete_context = rig;
}

static void stop_volume(struct rig *rig) {
    settle(rig);
    mkv_drive_close(rig->drive);
    rig->drive = NULL;
    rig->volume = NULL;
    rig->answered = false;
}

static enum rig_opened open_store(struct rig *rig, bool may_format) {
    struct mkv_drive_media media;
    struct mkv_drive_probe probe;
    struct mkv_drive_set_plan plan;
    assert_null(rig->volume);
    rig->came_up_empty = false;
    rig->drive_failed = false;
    rig->closed = false;
    rig->open_err = MKV_OK;
    rig->refusal[0] = '\0';
    if (!open_media(rig, &media)) {
        return RIG_REFUSED;
    }
    if (!decide(rig, &media, &probe, &plan)) {
        mkv_drive_media_close(&media);
        return RIG_REFUSED;
    }
    if (plan.actions[0] == MKV_DRIVE_FORMAT && !may_format) {
        snprintf(rig->refusal, sizeof rig->refusal, "blank: a new store would be made of it");
        mkv_drive_media_close(&media);
        return RIG_REFUSED;
    }
    const struct mkv_volume_config config = config_of(&media, &probe, &plan);
    start_volume(rig, &media, &config);
    if (plan.actions[0] == MKV_DRIVE_FORMAT) {
        admin(rig, MKV_ADMIN_FORMAT);
    }
    admin(rig, MKV_ADMIN_OPEN);
    struct mkv_volume_stats stats;
    mkv_volume_stats(rig->volume, &stats);
    if (stats.state != MKV_VOLUME_SERVING) {
        assert_int_not_equal(rig->open_err, MKV_OK);
        snprintf(rig->refusal, sizeof rig->refusal, "open failed: error %d", (int)rig->open_err);
        stop_volume(rig);
        return RIG_REFUSED;
    }
    mkv_volume_check(rig->volume);
    return rig->came_up_empty ? RIG_EMPTY : RIG_SERVES;
}

enum rig_opened rig_open(struct rig *rig) {
    return open_store(rig, false);
}

void rig_close(struct rig *rig) {
    admin(rig, MKV_ADMIN_CLOSE);
    assert_true(rig->closed);
    stop_volume(rig);
}

void rig_kill(struct rig *rig) {
    stop_volume(rig);
    rig->ring_copy_b_is_lost = false;
}

/* A file in memory where there is one: a sweep flushes some ten thousand times. On a drive flushes
 * are left out: nothing here cuts the power, so they cannot make a difference. */
static void make_directory(struct rig *rig) {
    const char *parent = "/dev/shm";
    rig->flush_needed = access(parent, W_OK | X_OK) == 0;
    if (!rig->flush_needed) {
        parent = getenv("TMPDIR");
    }
    if (parent == NULL || parent[0] == '\0') {
        parent = "/var/tmp";
    }
    snprintf(rig->directory, sizeof rig->directory, "%.200s/memkv-test-XXXXXX", parent);
    assert_non_null(mkdtemp(rig->directory));
    const int length = snprintf(rig->path, sizeof rig->path, "%.220s/store.memkv", rig->directory);
    assert_in_range(length, 1, sizeof rig->path - 1);
}

struct rig *rig_create(void) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    make_directory(rig);
    /* Not left to the drive: it creates no file below /dev. */
    rig->fd = open(rig->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(rig->fd >= 0);
    assert_int_equal(ftruncate(rig->fd, (off_t)RIG_UNITS * MKV_UNIT_BYTES), 0);
    if (open_store(rig, true) != RIG_SERVES) {
        fail_msg("a new store is refused: %s", rig->refusal);
    }
    rig->image = calloc(RIG_UNITS, MKV_UNIT_BYTES);
    assert_non_null(rig->image);
    return rig;
}

void rig_destroy(struct rig *rig) {
    if (rig->volume != NULL) {
        rig_kill(rig);
    }
    close(rig->fd);
    mkv_ring_destroy(rig->ring);
    mkv_arena_buffers_free(rig->buffers);
    mkv_arena_destroy(rig->arena);
    assert_int_equal(unlink(rig->path), 0);
    assert_int_equal(rmdir(rig->directory), 0);
    free(rig->image);
    free(rig);
}

void rig_remove_files(const struct rig *rig) {
    unlink(rig->path);
    rmdir(rig->directory);
}

/* ---- operations ----------------------------------------------------------------------------- */

static uint8_t byte_of(uint32_t seed, uint32_t offset) {
    return (uint8_t)(offset * 7 + seed * 31 + offset / 251);
}

/* The bytes of a value; those of seeds that have the same are made once, since a sweep reads every
 * block thousands of times. */
static const uint8_t *value_bytes(uint32_t seed) {
    static uint8_t made[256][RIG_PAYLOAD_BYTES_MAX];
    static bool is_made[256];
    const uint8_t first = byte_of(seed, 0); /* all others follow from it */
    if (!is_made[first]) {
        for (uint32_t at = 0; at < RIG_PAYLOAD_BYTES_MAX; at++) {
            made[first][at] = byte_of(seed, at);
        }
        is_made[first] = true;
    }
    return made[first];
}

static uint8_t *payload_of(const struct rig *rig, uint32_t slab) {
    return mkv_arena_slab(rig->arena, (struct mkv_slab){slab}) + MKV_UNIT_BYTES;
}

static void send_message(struct rig *rig, struct mkv_message message, const void *data,
                         uint32_t data_bytes) {
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    message.data_bytes = data_bytes;
    input.data = data;
    input.data_bytes = data_bytes;
    input.message = message;
    rig->answered = false;
    step(rig, &input);
}

static void send_key(struct rig *rig, struct mkv_message message, const char *key) {
    send_message(rig, message, key, (uint32_t)strlen(key));
}

/* Runs until everything is at rest; the answer must be there then, and be of that kind. */
static const struct mkv_message *await(struct rig *rig, enum mkv_message_kind kind) {
    settle(rig);
    assert_true(rig->answered);
    assert_int_equal(rig->answer.kind, kind);
    return &rig->answer;
}

bool rig_put_unfinished(struct rig *rig, const char *key, struct rig_value value) {
    assert_true(value.length <= RIG_PAYLOAD_BYTES_MAX);
    uint8_t *payload = payload_of(rig, PUT_SLAB);
    uint64_t sums[MKV_CHUNKS_MAX];
    memcpy(payload, value_bytes(value.seed), value.length);
    mkv_chunk_sums(payload, value.length, sums);
    send_key(rig,
             (struct mkv_message){.kind = MKV_MESSAGE_PUT_BEGIN,
                                  .length = value.length,
                                  .flags = MKV_PUT_REPLACE,
                                  .root = mkv_root_of_sums(value.length, sums)},
             key);
    settle(rig);
    assert_true(rig->answered);
    if (rig->answer.kind == MKV_MESSAGE_PUT_DONE) {
        return true;
    }
    assert_int_equal(rig->answer.kind, MKV_MESSAGE_PUT_READY);
    uint8_t stored[8 * MKV_CHUNKS_MAX];
    const uint32_t chunks = mkv_chunk_count(value.length);
    memcpy(stored, sums, 8 * (size_t)chunks);
    send_message(rig,
                 (struct mkv_message){.kind = MKV_MESSAGE_PUT_WRITE,
                                      .volume_op = rig->answer.volume_op,
                                      .slab = {PUT_SLAB}},
                 stored, 8 * chunks);
    settle(rig);
    return rig->answered;
}

enum mkv_status rig_put(struct rig *rig, const char *key, struct rig_value value) {
    assert_true(rig_put_unfinished(rig, key, value));
    assert_int_equal(rig->answer.kind, MKV_MESSAGE_PUT_DONE);
    return rig->answer.status;
}

enum mkv_status rig_remove(struct rig *rig, const char *key) {
    send_key(rig, (struct mkv_message){.kind = MKV_MESSAGE_DELETE}, key);
    return await(rig, MKV_MESSAGE_DELETE_DONE)->status;
}

bool rig_exists(struct rig *rig, const char *key) {
    send_key(rig, (struct mkv_message){.kind = MKV_MESSAGE_EXISTS}, key);
    return await(rig, MKV_MESSAGE_EXISTS_DONE)->status == MKV_STATUS_OK;
}

static enum rig_read missing(struct rig *rig) {
    assert_int_equal(rig->answer.status, MKV_STATUS_NOT_FOUND);
    assert_int_not_equal(rig->answer.miss, MKV_MISS_NONE);
    rig->miss = rig->answer.miss;
    return RIG_MISSING;
}

enum rig_read rig_read(struct rig *rig, const char *key, struct rig_value value, uint32_t offset,
                       uint32_t bytes) {
    send_key(rig, (struct mkv_message){.kind = MKV_MESSAGE_FIND}, key);
    if (await(rig, MKV_MESSAGE_FOUND)->status != MKV_STATUS_OK) {
        return missing(rig);
    }
    const uint32_t stored_bytes = rig->answer.length_units * MKV_UNIT_BYTES;
    assert_true(stored_bytes <= RIG_PAYLOAD_BYTES_MAX);
    uint8_t *payload = payload_of(rig, GET_SLAB);
    memset(payload, 0x5c, stored_bytes + MKV_UNIT_BYTES); /* a short one lies in its header */
    send_message(rig,
                 (struct mkv_message){.kind = MKV_MESSAGE_READ,
                                      .volume_op = rig->answer.volume_op,
                                      .slab = {GET_SLAB},
                                      .offset = offset,
                                      .length = bytes},
                 NULL, 0);
    const struct mkv_message *done = await(rig, MKV_MESSAGE_READ_DONE);
    if (done->status != MKV_STATUS_OK) {
        return missing(rig);
    }
    const uint32_t behind = value.length > offset ? value.length - offset : 0;
    const uint32_t wanted = bytes == 0 || bytes > behind ? behind : bytes;
    if (done->length != value.length || done->bytes != wanted) {
        return RIG_WRONG;
    }
    const uint8_t *expected = value_bytes(value.seed) + offset;
    return memcmp(payload + done->slab_offset, expected, wanted) == 0 ? RIG_IDENTICAL : RIG_WRONG;
}

bool rig_find_block(struct rig *rig, const char *key, struct mkv_volume_block *block) {
    const uint64_t tag =
        mkv_key_tag(MKV_TENANT_DEFAULT, (const uint8_t *)key, (uint32_t)strlen(key));
    uint32_t cursor = 0;
    while (mkv_volume_next_block(rig->volume, &cursor, block)) {
        if (block->tag == tag) {
            return true;
        }
    }
    return false;
}

/* ---- the file ------------------------------------------------------------------------------- */

static void write_unit(const struct rig *rig, uint64_t unit, const uint8_t *bytes) {
    assert_int_equal(pwrite(rig->fd, bytes, MKV_UNIT_BYTES, (off_t)(unit * MKV_UNIT_BYTES)),
                     MKV_UNIT_BYTES);
}

void rig_keep(struct rig *rig) {
    const size_t bytes = (size_t)RIG_UNITS * MKV_UNIT_BYTES;
    assert_int_equal(pread(rig->fd, rig->image, bytes, 0), bytes);
    memset(rig->changed, 0, sizeof rig->changed);
}

const uint8_t *rig_kept_unit(const struct rig *rig, uint64_t unit) {
    assert_true(unit < RIG_UNITS);
    return rig->image + unit * MKV_UNIT_BYTES;
}

void rig_damage(struct rig *rig, uint64_t unit, const uint8_t *bytes) {
    assert_true(unit < RIG_UNITS);
    write_unit(rig, unit, bytes);
    rig->changed[unit] = true;
}

void rig_truncate(struct rig *rig, uint64_t byte_count) {
    assert_int_equal(ftruncate(rig->fd, (off_t)byte_count), 0);
    for (uint64_t unit = byte_count / MKV_UNIT_BYTES; unit < RIG_UNITS; unit++) {
        rig->changed[unit] = true;
    }
}

void rig_restore(struct rig *rig) {
    assert_int_equal(ftruncate(rig->fd, (off_t)RIG_UNITS * MKV_UNIT_BYTES), 0);
    for (uint64_t unit = 0; unit < RIG_UNITS; unit++) {
        if (rig->changed[unit]) {
            write_unit(rig, unit, rig_kept_unit(rig, unit));
        }
    }
    memset(rig->changed, 0, sizeof rig->changed);
}
