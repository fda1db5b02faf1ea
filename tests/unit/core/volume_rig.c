/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/volume_rig.h"

#include "core/hash.h"
#include "core/slot_header.h"
#include "tests/unit/core/test.h"

#define SLAB_BYTES (MKV_UNIT_BYTES + RIG_PAYLOAD_MAX)

static uint8_t *slab_of(struct rig *rig, uint32_t slab) {
    assert_true(slab < RIG_SLABS);
    return rig->slabs + (size_t)slab * SLAB_BYTES;
}

static uint8_t byte_of(uint32_t seed, uint32_t offset) {
    return (uint8_t)(offset * 7 + seed * 31 + offset / 251);
}

static void take_effects(struct rig *rig) {
    struct mkv_effect effects[16];
    uint32_t count;
    while ((count = mkv_volume_effects(rig->volume, effects, 16)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            const struct mkv_effect *effect = &effects[index];
            if (effect->kind == MKV_EFFECT_MESSAGE) {
                assert_true(rig->answer_count < RIG_LOG_MAX);
                rig->answers[rig->answer_count] = effect->message;
                memcpy(rig->answer_data[rig->answer_count],
                       mkv_volume_arena(rig->volume) + effect->message.data_offset,
                       mkv_min_u64(effect->message.data_bytes, RIG_DATA_MAX));
                rig->answer_count++;
            } else if (effect->kind == MKV_EFFECT_EVENT) {
                rig->events[rig->event_count++ % RIG_LOG_MAX] = effect->event;
            } else if (effect->kind == MKV_EFFECT_FAIL_DRIVE) {
                rig->drive_failed = true;
            } else {
                assert_false(rig->drive_failed); /* volume.h I8 */
                assert_true(rig->queue_count < RIG_QUEUE_MAX);
                rig->queue[rig->queue_count++] = *effect;
            }
        }
    }
}

void rig_step(struct rig *rig, struct mkv_input *input) {
    rig->now_ns += 1000;
    input->now_ns = rig->now_ns;
    input->wall_ms = rig->wall_ms;
    mkv_volume_step(rig->volume, input);
    take_effects(rig);
}

void rig_tick(struct rig *rig, uint64_t later_ns) {
    rig->now_ns += later_ns;
    struct mkv_input input = {.kind = MKV_INPUT_TICK};
    rig_step(rig, &input);
}

enum mkv_err rig_admin(struct rig *rig, enum mkv_admin_command command) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = command};
    rig->now_ns += 1000;
    input.now_ns = rig->now_ns;
    input.wall_ms = rig->wall_ms;
    const enum mkv_err err = mkv_volume_step(rig->volume, &input);
    take_effects(rig);
    return err;
}

static void carry_out(struct rig *rig, const struct mkv_effect *effect, struct mkv_drive_done *done,
                      uint64_t *sums) {
    const struct mkv_drive_effect *drive = &effect->drive;
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
        return;
    }
    assert_true(drive->lba.unit + drive->unit_count <= RIG_UNITS);
    const size_t bytes = (size_t)drive->unit_count * MKV_UNIT_BYTES;
    uint8_t *on_drive = rig_unit(rig, drive->lba);
    if (effect->kind == MKV_EFFECT_DRIVE_TRIM) {
        memset(on_drive, 0xa5, bytes); /* anything, and nothing that a test would take for right */
        return;
    }
    uint8_t *arena = mkv_volume_arena(rig->volume);
    uint8_t *slab = slab_of(rig, drive->slab.index);
    uint8_t *payload = slab + MKV_UNIT_BYTES;
    if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
        rig->writes_total++;
        if (drive->memory == MKV_DRIVE_META) {
            memcpy(on_drive, arena + drive->meta_offset, bytes);
            return;
        }
        memcpy(slab, arena + drive->meta_offset, MKV_UNIT_BYTES);
        if (drive->unit_count == 1 && drive->payload_bytes > 0) {
            mkv_slot_header_set_inline(slab, payload, drive->payload_bytes);
        } else {
            memset(payload + drive->payload_bytes, 0,
                   bytes - MKV_UNIT_BYTES - drive->payload_bytes);
        }
        memcpy(on_drive, slab, bytes);
        return;
    }
    if (drive->memory != MKV_DRIVE_SLOT) {
        payload = drive->memory == MKV_DRIVE_META ? arena + drive->meta_offset : payload;
        memcpy(payload, on_drive, bytes);
        for (uint32_t at = 0; at < drive->payload_bytes; at += drive->chunk_bytes) {
            sums[done->sum_count++] = mkv_hash_64(
                payload + at, mkv_min_u64(drive->chunk_bytes, drive->payload_bytes - at));
        }
        done->sums = sums;
    } else {
        memcpy(slab, on_drive, bytes);
        uint32_t payload_bytes = (uint32_t)bytes - MKV_UNIT_BYTES;
        const uint32_t inline_bytes = mkv_slot_header_inline_bytes(slab);
        if (inline_bytes > 0) {
            memcpy(payload, slab + MKV_SLOT_INLINE_OFFSET, inline_bytes);
            payload_bytes = inline_bytes;
        }
        done->header = slab;
        done->sums = sums;
        done->sum_count = mkv_slot_read_sums(slab, payload, payload_bytes, sums);
    }
}

void rig_complete(struct rig *rig, uint32_t index, enum mkv_io_result result) {
    assert_true(index < rig->queue_count);
    const struct mkv_effect effect = rig->queue[index];
    rig->queue_count--;
    memmove(&rig->queue[index], &rig->queue[index + 1],
            (rig->queue_count - index) * sizeof rig->queue[0]);
    struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE};
    uint64_t sums[MKV_CHUNKS_MAX];
    input.drive.op = effect.op;
    input.drive.result = result;
    if (result == MKV_IO_OK) {
        carry_out(rig, &effect, &input.drive, sums);
    }
    rig_step(rig, &input);
}

void rig_settle(struct rig *rig) {
    for (uint32_t turns = 0; turns < 100000; turns++) {
        if (rig->queue_count > 0) {
            rig_complete(rig, 0, MKV_IO_OK);
        } else if (mkv_volume_has_work(rig->volume)) {
            rig_tick(rig, 0);
        } else {
            return;
        }
    }
    fail_msg("the volume does not come to rest");
}

struct rig *rig_create_raw(uint32_t ring_blocks, uint32_t slots_max, uint32_t extent_units) {
    struct rig *rig = calloc(1, sizeof *rig);
    rig->wall_ms = 1;
    const struct mkv_geometry_options options = {
        .ring_blocks = ring_blocks, .slots_max = slots_max, .extent_units = extent_units};
    rig->config = (struct mkv_volume_config){
        .capacity_units = RIG_UNITS,
        .ops_max = 16,
        .window_units = 8,
        .idle_ns = 1000000000,
        .store_uuid = {{1}},
        .drive_uuid = {{2}},
        .drive_set = {.version = 1, .count = 1, .members = {{{{2}}, 1}}},
    };
    assert_int_equal(mkv_geometry_plan(RIG_UNITS, &options, &rig->config.geometry), MKV_OK);
    /* There is room for these, should a test switch them on. */
    rig->config.eviction = true;
    rig->config.scrub_rate = 1;
    rig->memory_bytes = mkv_volume_memory_required(&rig->config);
    rig->config.eviction = false;
    rig->config.scrub_rate = 0;
    rig->memory =
        aligned_alloc(MKV_UNIT_BYTES, mkv_round_up_u64(rig->memory_bytes, MKV_UNIT_BYTES));
    rig->drive = calloc(RIG_UNITS, MKV_UNIT_BYTES);
    rig->slabs = calloc(RIG_SLABS, SLAB_BYTES);
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    return rig;
}

struct rig *rig_create(void) {
    struct rig *rig = rig_create_raw(16, 16 * MKV_PAGE_SLOTS, 96);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_SERVING);
    return rig;
}

void rig_destroy(struct rig *rig) {
    free(rig->memory);
    free(rig->drive);
    free(rig->slabs);
    free(rig);
}

void rig_reopen(struct rig *rig) {
    rig->queue_count = 0;
    rig->answer_count = 0;
    rig->event_count = 0;
    rig->drive_failed = false;
    memset(rig->memory, 0xa5, rig->memory_bytes);
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    rig_settle(rig);
}

static void send_key(struct rig *rig, enum mkv_message_kind kind, const char *key,
                     struct mkv_message message) {
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    message.kind = kind;
    message.tenant = rig->tenant;
    message.data_bytes = (uint32_t)strlen(key);
    input.data = (const uint8_t *)key;
    input.data_bytes = message.data_bytes;
    input.message = message;
    rig_step(rig, &input);
}

static void fill(uint8_t *payload, uint32_t length, uint32_t seed) {
    for (uint32_t offset = 0; offset < length; offset++) {
        payload[offset] = byte_of(seed, offset);
    }
}

void rig_put_begin(struct rig *rig, const char *key, uint32_t length, uint32_t seed,
                   uint32_t flags) {
    uint8_t *payload = malloc(length + 1u);
    uint64_t sums[MKV_CHUNKS_MAX];
    fill(payload, length, seed);
    mkv_chunk_sums(payload, length, sums);
    free(payload);
    send_key(rig, MKV_MESSAGE_PUT_BEGIN, key,
             (struct mkv_message){.length = length,
                                  .flags = flags,
                                  .root = mkv_root_of_sums(length, sums),
                                  .expiry_s = rig->expiry_s,
                                  .session = rig->session,
                                  .tier_hint = rig->tier_hint});
}

void rig_put_write(struct rig *rig, struct mkv_op_id volume_op, uint32_t slab, uint32_t length,
                   uint32_t seed) {
    uint8_t *payload = slab_of(rig, slab) + MKV_UNIT_BYTES;
    uint64_t sums[MKV_CHUNKS_MAX];
    fill(payload, length, seed);
    mkv_chunk_sums(payload, length, sums);
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    input.data = (const uint8_t *)sums;
    input.data_bytes = 8 * mkv_chunk_count(length);
    input.message = (struct mkv_message){.kind = MKV_MESSAGE_PUT_WRITE,
                                         .volume_op = volume_op,
                                         .flags = rig->put_write_flags,
                                         .slab = {slab},
                                         .data_bytes = input.data_bytes};
    rig_step(rig, &input);
}

void rig_find(struct rig *rig, const char *key) {
    send_key(rig, MKV_MESSAGE_FIND, key, (struct mkv_message){0});
}

void rig_read(struct rig *rig, struct mkv_op_id volume_op, uint32_t slab, uint32_t offset,
              uint32_t length) {
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    input.message = (struct mkv_message){.kind = MKV_MESSAGE_READ,
                                         .volume_op = volume_op,
                                         .slab = {slab},
                                         .offset = offset,
                                         .length = length};
    rig_step(rig, &input);
}

void rig_delete(struct rig *rig, const char *key) {
    send_key(rig, MKV_MESSAGE_DELETE, key, (struct mkv_message){0});
}

void rig_list(struct rig *rig, enum mkv_message_kind kind, const char *prefix, const char *after,
              uint32_t count_max) {
    char both[2 * MKV_KEY_BYTES_MAX + 1];
    (void)snprintf(both, sizeof both, "%s%s", prefix, after);
    send_key(rig, kind, both,
             (struct mkv_message){.length = (uint32_t)strlen(prefix), .count = count_max});
}

const struct mkv_message *rig_last(const struct rig *rig) {
    assert_true(rig->answer_count > 0);
    return &rig->answers[rig->answer_count - 1];
}

enum mkv_status rig_put(struct rig *rig, const char *key, uint32_t length, uint32_t seed,
                        uint32_t flags) {
    rig->answer_count = 0;
    rig_put_begin(rig, key, length, seed, flags);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1);
    if (rig_last(rig)->kind == MKV_MESSAGE_PUT_DONE) {
        return rig_last(rig)->status;
    }
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, length, seed);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    return rig_last(rig)->status;
}

enum mkv_status rig_get(struct rig *rig, const char *key, uint32_t offset, uint32_t length,
                        uint32_t seed) {
    rig->answer_count = 0;
    rig_find(rig, key);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_FOUND);
    if (rig_last(rig)->status != MKV_STATUS_OK) {
        return rig_last(rig)->status;
    }
    uint8_t *payload = slab_of(rig, 1) + MKV_UNIT_BYTES;
    memset(payload, 0x5c, RIG_PAYLOAD_MAX);
    rig_read(rig, rig_last(rig)->volume_op, 1, offset, length);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_READ_DONE);
    for (uint32_t at = 0; rig_last(rig)->status == MKV_STATUS_OK && at < rig_last(rig)->bytes;
         at++) {
        assert_int_equal(payload[rig_last(rig)->slab_offset + at], byte_of(seed, offset + at));
    }
    return rig_last(rig)->status;
}

enum mkv_status rig_exists(struct rig *rig, const char *key) {
    send_key(rig, MKV_MESSAGE_EXISTS, key, (struct mkv_message){0});
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_EXISTS_DONE);
    return rig_last(rig)->status;
}

enum mkv_status rig_lease(struct rig *rig, enum mkv_message_kind kind, const char *key,
                          uint64_t lease_ns, uint32_t flags) {
    rig->answer_count = 0;
    send_key(rig, kind, key, (struct mkv_message){.lease_ns = lease_ns, .flags = flags});
    assert_int_equal(rig->answer_count, 1);
    return rig_last(rig)->status;
}

enum mkv_status rig_session(struct rig *rig, enum mkv_session_action action, uint64_t session) {
    rig->answer_count = 0;
    send_key(rig, MKV_MESSAGE_SESSION, "",
             (struct mkv_message){.action = action, .session = session});
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_SESSION_DONE);
    return rig_last(rig)->status;
}

enum mkv_status rig_remove(struct rig *rig, const char *key) {
    rig->answer_count = 0;
    rig_delete(rig, key);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_DELETE_DONE);
    return rig_last(rig)->status;
}

enum mkv_status rig_tenant(struct rig *rig, uint32_t id, const char *name) {
    return rig_tenant_quota(rig, id, name, 0);
}

enum mkv_status rig_tenant_quota(struct rig *rig, uint32_t id, const char *name, uint64_t units) {
    const uint32_t tenant = rig->tenant;
    rig->tenant = id;
    send_key(rig, MKV_MESSAGE_TENANT, name, (struct mkv_message){.count = units});
    rig->tenant = tenant;
    rig_settle(rig);
    return rig_last(rig)->status;
}

void rig_tenant_drop_begin(struct rig *rig, uint32_t id) {
    const uint32_t tenant = rig->tenant;
    rig->tenant = id;
    send_key(rig, MKV_MESSAGE_TENANT_DROP, "", (struct mkv_message){0});
    rig->tenant = tenant;
}

const struct mkv_event *rig_event(const struct rig *rig, enum mkv_event_kind kind) {
    const struct mkv_event *found = NULL;
    for (uint32_t index = 0; index < rig->event_count && index < RIG_LOG_MAX; index++) {
        if (rig->events[index].kind == kind) {
            found = &rig->events[index];
        }
    }
    return found;
}

struct mkv_volume_stats rig_stats(const struct rig *rig) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(rig->volume, &stats);
    return stats;
}

uint32_t rig_in_flight(const struct rig *rig, enum mkv_effect_kind kind) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < rig->queue_count; index++) {
        count += rig->queue[index].kind == kind;
    }
    return count;
}

struct mkv_volume_block rig_block(const struct rig *rig, uint32_t length_units) {
    struct mkv_volume_block block;
    uint32_t cursor = 0;
    while (mkv_volume_next_block(rig->volume, &cursor, &block)) {
        if (block.length_units == length_units) {
            return block;
        }
    }
    fail_msg("no live block of %u units", length_units);
    return block;
}

uint8_t *rig_unit(struct rig *rig, struct mkv_lba lba) {
    assert_true(lba.unit < RIG_UNITS);
    return rig->drive + lba.unit * MKV_UNIT_BYTES;
}
