/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/forged_drive.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/slot_header.h"

#define WINDOW_UNITS 8u
#define STEP_NS 1000u
#define QUEUE_FULL (MKV_FORGED_QUEUE_MAX / 2u)
/* What a volume does by and by is due after so long, so many times. */
#define LATER_NS 2000000000ull
#define LATER_TURNS 6u

void mkv_forged_drive_resize(struct mkv_forged_drive *drive) {
    free(drive->memory);
    drive->memory_bytes = mkv_volume_memory_required(&drive->config);
    drive->memory =
        aligned_alloc(MKV_UNIT_BYTES, mkv_round_up_u64(drive->memory_bytes, MKV_UNIT_BYTES));
    MKV_ASSERT(drive->memory != NULL);
}

void mkv_forged_drive_init(struct mkv_forged_drive *drive, struct mkv_forged_image *image,
                           const struct mkv_superblock *superblock) {
    *drive = (struct mkv_forged_drive){.image = image, .later_turns = LATER_TURNS, .wall_ms = 1};
    drive->config = (struct mkv_volume_config){
        .capacity_units = image->units,
        .geometry = superblock->geometry,
        .ops_max = MKV_FORGED_MESSAGES_MAX,
        .window_units = WINDOW_UNITS,
        .idle_ns = 1000000000,
        .trim = true,
        .trim_idle_ns = 1000000,
        .store_uuid = superblock->store_uuid,
        .drive_uuid = superblock->drive_uuid,
        .drive_set = superblock->drive_set,
    };
    mkv_forged_drive_resize(drive);
    drive->slab_bytes = (size_t)image->units * MKV_UNIT_BYTES + MKV_CHUNK_BYTES_MIN;
    drive->slab = calloc(1, drive->slab_bytes);
    MKV_ASSERT(drive->slab != NULL);
}

void mkv_forged_drive_free(struct mkv_forged_drive *drive) {
    free(drive->memory);
    free(drive->slab);
}

static void take_effects(struct mkv_forged_drive *drive) {
    struct mkv_effect effects[16];
    uint32_t count;
    while ((count = mkv_volume_effects(drive->volume, effects, 16)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            switch (effects[index].kind) {
            case MKV_EFFECT_MESSAGE:
                drive->answer = effects[index].message;
                drive->answer_count++;
                drive->messages_out -= drive->messages_out > 0 ? 1 : 0;
                break;
            case MKV_EFFECT_EVENT:
                break;
            case MKV_EFFECT_FAIL_DRIVE:
                drive->failed = true;
                break;
            case MKV_EFFECT_DRIVE_READ:
            case MKV_EFFECT_DRIVE_WRITE:
            case MKV_EFFECT_DRIVE_FLUSH:
            case MKV_EFFECT_DRIVE_TRIM:
                MKV_ASSERT(!drive->failed);
                MKV_ASSERT(drive->queue_count < MKV_FORGED_QUEUE_MAX);
                drive->queue[(drive->queue_first + drive->queue_count++) % MKV_FORGED_QUEUE_MAX] =
                    effects[index];
                break;
            case MKV_EFFECT_PULL:
            case MKV_EFFECT_PUSH:
            case MKV_EFFECT_ANSWER:
            case MKV_EFFECT_BREAK:
            case MKV_EFFECT_REQUEST_ENDED:
                mkv_assert_failed("an effect of the front", __FILE__, __LINE__);
            }
        }
    }
}

static enum mkv_err step(struct mkv_forged_drive *drive, struct mkv_input *input) {
    drive->now_ns += STEP_NS;
    input->now_ns = drive->now_ns;
    input->wall_ms = drive->wall_ms;
    if (input->kind == MKV_INPUT_MESSAGE) { /* as a driver may, before each step */
        mkv_volume_prefetch(drive->volume, &input->message, input->data, MKV_PREFETCH_BUCKET);
        mkv_volume_prefetch(drive->volume, &input->message, input->data, MKV_PREFETCH_ENTRY);
    }
    const enum mkv_err err = mkv_volume_step(drive->volume, input);
    take_effects(drive);
    return err;
}

static void carry_out_write(struct mkv_forged_drive *drive, const struct mkv_drive_effect *effect,
                            uint8_t *on_drive, size_t bytes) {
    const uint8_t *meta = mkv_volume_arena(drive->volume) + effect->meta_offset;
    uint8_t *payload = drive->slab + MKV_UNIT_BYTES;
    if (effect->memory == MKV_DRIVE_META) {
        memcpy(on_drive, meta, bytes);
        return;
    }
    memcpy(drive->slab, meta, MKV_UNIT_BYTES);
    if (effect->unit_count == 1 && effect->payload_bytes > 0) {
        mkv_slot_header_set_inline(drive->slab, payload, effect->payload_bytes);
    } else {
        memset(payload + effect->payload_bytes, 0, bytes - MKV_UNIT_BYTES - effect->payload_bytes);
    }
    memcpy(on_drive, drive->slab, bytes);
}

static void carry_out_read(struct mkv_forged_drive *drive, const struct mkv_drive_effect *effect,
                           const uint8_t *on_drive, size_t bytes, struct mkv_drive_done *done,
                           uint64_t *sums) {
    uint8_t *payload = drive->slab + MKV_UNIT_BYTES;
    done->sums = sums;
    if (effect->memory != MKV_DRIVE_SLOT) {
        if (effect->memory == MKV_DRIVE_META) {
            payload = mkv_volume_arena(drive->volume) + effect->meta_offset;
        }
        memcpy(payload, on_drive, bytes);
        for (uint32_t at = 0; at < effect->payload_bytes; at += effect->chunk_bytes) {
            sums[done->sum_count++] = mkv_hash_64(
                payload + at, mkv_min_u64(effect->chunk_bytes, effect->payload_bytes - at));
        }
        return;
    }
    memcpy(drive->slab, on_drive, bytes);
    uint32_t payload_bytes = (uint32_t)bytes - (uint32_t)MKV_UNIT_BYTES;
    const uint32_t inline_bytes = mkv_slot_header_inline_bytes(drive->slab);
    if (inline_bytes > 0) {
        memcpy(payload, drive->slab + MKV_SLOT_INLINE_OFFSET, inline_bytes);
        payload_bytes = inline_bytes;
    }
    done->header = drive->slab;
    done->sum_count = mkv_slot_read_sums(drive->slab, payload, payload_bytes, sums);
}

static enum mkv_io_result draw_result(struct mkv_forged_drive *drive) {
    static const enum mkv_io_result results[] = {MKV_IO_MEDIUM, MKV_IO_MEDIUM, MKV_IO_DEVICE,
                                                 MKV_IO_DEVICE, MKV_IO_DEVICE, MKV_IO_GONE};
    if (drive->faults == NULL || !mkv_random_chance(drive->faults, 1, drive->fault_one_in)) {
        return MKV_IO_OK;
    }
    return results[mkv_random_below(drive->faults, 6)];
}

static void complete_first(struct mkv_forged_drive *drive) {
    const struct mkv_effect effect = drive->queue[drive->queue_first];
    drive->queue_first = (drive->queue_first + 1) % MKV_FORGED_QUEUE_MAX;
    drive->queue_count--;
    struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE};
    uint64_t sums[MKV_CHUNKS_MAX];
    input.drive.op = effect.op;
    const struct mkv_drive_effect *act = &effect.drive;
    input.drive.result = draw_result(drive);
    if (effect.kind != MKV_EFFECT_DRIVE_FLUSH && input.drive.result == MKV_IO_OK) {
        MKV_ASSERT(act->lba.unit < drive->image->units);
        MKV_ASSERT(act->unit_count <= drive->image->units - act->lba.unit);
        uint8_t *on_drive = mkv_forged_image_unit(drive->image, act->lba.unit);
        const size_t bytes = (size_t)act->unit_count * MKV_UNIT_BYTES;
        if (effect.kind == MKV_EFFECT_DRIVE_TRIM) {
            memset(on_drive, 0xa5, bytes); /* anything, and nothing that would be right */
        } else if (effect.kind == MKV_EFFECT_DRIVE_WRITE) {
            carry_out_write(drive, act, on_drive, bytes);
        } else {
            carry_out_read(drive, act, on_drive, bytes, &input.drive, sums);
        }
    }
    (void)step(drive, &input);
}

static void tick(struct mkv_forged_drive *drive, uint64_t later_ns) {
    struct mkv_input input = {.kind = MKV_INPUT_TICK};
    drive->now_ns += later_ns;
    (void)step(drive, &input);
}

void mkv_forged_drive_settle(struct mkv_forged_drive *drive) {
    uint32_t later = 0;
    for (uint32_t turn = 0; turn < MKV_FORGED_TURNS_MAX; turn++) {
        /* Work comes first, so that as much as can be is under way at a time. */
        if (mkv_volume_has_work(drive->volume) && drive->queue_count < QUEUE_FULL) {
            tick(drive, 0);
        } else if (drive->queue_count > 0) {
            complete_first(drive);
        } else if (later++ < drive->later_turns) {
            tick(drive, LATER_NS);
        } else {
            return;
        }
    }
    mkv_assert_failed("the volume comes to rest", __FILE__, __LINE__);
}

bool mkv_forged_drive_serves(const struct mkv_forged_drive *drive) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(drive->volume, &stats);
    return stats.state == MKV_VOLUME_SERVING;
}

enum mkv_err mkv_forged_drive_command(struct mkv_forged_drive *drive,
                                      enum mkv_admin_command command,
                                      const struct mkv_drive_set *set) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = command};
    if (set != NULL) {
        input.data = (const uint8_t *)set;
        input.data_bytes = sizeof *set;
    }
    return step(drive, &input);
}

void mkv_forged_drive_send(struct mkv_forged_drive *drive, const struct mkv_message *message,
                           const uint8_t *data, uint32_t data_bytes) {
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = data, .data_bytes = data_bytes, .message = *message};
    MKV_ASSERT(drive->messages_out < MKV_FORGED_MESSAGES_MAX);
    input.message.data_bytes = data_bytes;
    drive->messages_out++;
    (void)step(drive, &input);
}

void mkv_forged_drive_admin(struct mkv_forged_drive *drive, enum mkv_admin_command command) {
    /* A state in which it is refused is as good. */
    (void)mkv_forged_drive_command(drive, command, NULL);
    mkv_forged_drive_settle(drive);
}

static void start(struct mkv_forged_drive *drive) {
    drive->queue_count = 0;
    drive->messages_out = 0;
    drive->failed = false;
    memset(drive->memory, 0xa5, drive->memory_bytes);
    drive->volume = mkv_volume_init(drive->memory, drive->memory_bytes, &drive->config);
}

void mkv_forged_drive_format(struct mkv_forged_drive *drive) {
    start(drive);
    mkv_forged_drive_admin(drive, MKV_ADMIN_FORMAT);
}

bool mkv_forged_drive_open(struct mkv_forged_drive *drive) {
    start(drive);
    mkv_forged_drive_admin(drive, MKV_ADMIN_OPEN);
    return mkv_forged_drive_serves(drive);
}

const struct mkv_message *mkv_forged_drive_ask(struct mkv_forged_drive *drive,
                                               const struct mkv_message *message,
                                               const uint8_t *data, uint32_t data_bytes) {
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = data, .data_bytes = data_bytes, .message = *message};
    input.message.data_bytes = data_bytes;
    drive->answer_count = 0;
    (void)step(drive, &input);
    mkv_forged_drive_settle(drive);
    MKV_ASSERT(drive->answer_count == 1);
    return &drive->answer;
}

enum mkv_status mkv_forged_drive_put(struct mkv_forged_drive *drive, uint32_t tenant,
                                     const char *key, uint32_t length, uint8_t fill) {
    uint64_t sums[MKV_CHUNKS_MAX];
    uint8_t *payload = drive->slab + MKV_UNIT_BYTES;
    memset(payload, fill, length);
    mkv_chunk_sums(payload, length, sums);
    struct mkv_message message = {
        .kind = MKV_MESSAGE_PUT_BEGIN,
        .tenant = tenant,
        .length = length,
        .flags = MKV_PUT_REPLACE,
        .root = mkv_root_of_sums(length, sums),
        .session = drive->session,
        .tier_hint = drive->tier_hint,
        .expiry_s = drive->expiry_s,
    };
    const struct mkv_message *answer =
        mkv_forged_drive_ask(drive, &message, (const uint8_t *)key, (uint32_t)strlen(key));
    if (answer->kind == MKV_MESSAGE_PUT_DONE) {
        return answer->status;
    }
    MKV_ASSERT(answer->kind == MKV_MESSAGE_PUT_READY);
    memset(payload, fill, length); /* the slab was another operation's meanwhile */
    uint8_t bytes[8 * MKV_CHUNKS_MAX];
    for (uint32_t sum = 0; sum < mkv_chunk_count(length); sum++) {
        mkv_store_u64(bytes + (size_t)8 * sum, sums[sum]);
    }
    message = (struct mkv_message){.kind = MKV_MESSAGE_PUT_WRITE, .volume_op = answer->volume_op};
    answer = mkv_forged_drive_ask(drive, &message, bytes, 8 * mkv_chunk_count(length));
    MKV_ASSERT(answer->kind == MKV_MESSAGE_PUT_DONE);
    return answer->status;
}

const struct mkv_message *mkv_forged_drive_get(struct mkv_forged_drive *drive, uint32_t tenant,
                                               const uint8_t *key, uint32_t key_bytes) {
    struct mkv_message message = {.kind = MKV_MESSAGE_FIND, .tenant = tenant};
    const struct mkv_message *answer = mkv_forged_drive_ask(drive, &message, key, key_bytes);
    MKV_ASSERT(answer->kind == MKV_MESSAGE_FOUND);
    if (answer->status != MKV_STATUS_OK) {
        return answer;
    }
    MKV_ASSERT(answer->length_units < drive->image->units);
    message = (struct mkv_message){.kind = MKV_MESSAGE_READ, .volume_op = answer->volume_op};
    answer = mkv_forged_drive_ask(drive, &message, (const uint8_t *)"", 0);
    MKV_ASSERT(answer->kind == MKV_MESSAGE_READ_DONE);
    if (answer->status == MKV_STATUS_OK && (answer->flags & MKV_BLOCK_MANIFEST) == 0) {
        uint64_t sums[MKV_CHUNKS_MAX];
        MKV_ASSERT(answer->offset == 0 && answer->bytes == answer->length);
        MKV_ASSERT(answer->bytes <= drive->slab_bytes - MKV_UNIT_BYTES - answer->slab_offset);
        mkv_chunk_sums(drive->slab + MKV_UNIT_BYTES + answer->slab_offset, answer->length, sums);
        MKV_ASSERT(mkv_root_equal(mkv_root_of_sums(answer->length, sums), answer->root));
    }
    return answer;
}
