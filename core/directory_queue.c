/* SPDX-License-Identifier: Apache-2.0 */
#include "core/directory_queue.h"

#include <string.h>

#include "core/bytes.h"

enum {
    AT_KIND = 0, /* 0: the rest of the ring is passed over */
    AT_KEY_BYTES = 2,
    AT_TENANT = 4,
    AT_SLOT = 8,
    AT_GENERATION_LOW = 12,
    AT_LENGTH_UNITS = 16,
    AT_BLOCK_FLAGS = 20,
    AT_KEY = 24,
};
_Static_assert(AT_KEY + MKV_KEY_BYTES_MAX <= MKV_DIRECTORY_NOTE_BYTES_MAX, "the longest note fits");
_Static_assert(MKV_DIRECTORY_NOTE_BYTES_MAX % 8 == 0, "notes are multiples of 8 bytes");

static uint8_t *ring_of(const struct mkv_directory_queue *queue) {
    return (uint8_t *)((uintptr_t)queue + queue->ring_offset);
}

void mkv_directory_queue_init(struct mkv_directory_queue *queue, uint64_t ring_offset,
                              uint32_t ring_bytes) {
    MKV_ASSERT(ring_bytes % 8 == 0);
    MKV_ASSERT(ring_bytes >= 4 * MKV_DIRECTORY_NOTE_BYTES_MAX);
    *queue = (struct mkv_directory_queue){.ring_offset = ring_offset, .ring_bytes = ring_bytes};
}

static uint32_t note_bytes(uint32_t key_bytes) {
    return (uint32_t)mkv_round_up_u64(AT_KEY + (uint64_t)key_bytes, 8);
}

bool mkv_directory_queue_has_room(const struct mkv_directory_queue *queue, uint32_t count) {
    /* At the ring's end less than one note is passed over. */
    return (uint64_t)queue->used_bytes + (count + 1ull) * MKV_DIRECTORY_NOTE_BYTES_MAX <=
           queue->ring_bytes;
}

bool mkv_directory_queue_push(struct mkv_directory_queue *queue,
                              const struct mkv_directory_note *note, uint32_t reserve) {
    MKV_ASSERT(note->key_bytes >= 1);
    MKV_ASSERT(note->key_bytes <= MKV_KEY_BYTES_MAX);
    const uint32_t bytes = note_bytes(note->key_bytes);
    const uint32_t rest = queue->ring_bytes - queue->tail;
    const uint32_t passed = rest < bytes ? rest : 0;
    const uint64_t kept = reserve == 0 ? 0 : (reserve + 1ull) * MKV_DIRECTORY_NOTE_BYTES_MAX;
    if ((uint64_t)queue->used_bytes + passed + bytes + kept > queue->ring_bytes) {
        return false;
    }
    uint8_t *ring = ring_of(queue);
    if (passed > 0) {
        ring[queue->tail + AT_KIND] = 0;
        queue->tail = 0;
    }
    uint8_t *target = ring + queue->tail;
    memset(target, 0, bytes);
    target[AT_KIND] = (uint8_t)note->kind;
    mkv_store_u16(target + AT_KEY_BYTES, (uint16_t)note->key_bytes);
    mkv_store_u32(target + AT_TENANT, note->tenant);
    mkv_store_u32(target + AT_SLOT, note->value.slot.index);
    mkv_store_u32(target + AT_GENERATION_LOW, note->value.generation_low);
    mkv_store_u32(target + AT_LENGTH_UNITS, note->value.length_units);
    mkv_store_u32(target + AT_BLOCK_FLAGS, note->value.block_flags);
    memcpy(target + AT_KEY, note->key, note->key_bytes);
    queue->tail += bytes;
    if (queue->tail == queue->ring_bytes) {
        queue->tail = 0;
    }
    queue->used_bytes += passed + bytes;
    queue->pushed++;
    return true;
}

bool mkv_directory_queue_peek(const struct mkv_directory_queue *queue, uint32_t ahead,
                              struct mkv_directory_note *note) {
    if (queue->pushed - queue->popped <= ahead) {
        return false;
    }
    const uint8_t *ring = ring_of(queue);
    uint32_t at = queue->head;
    for (uint32_t passed = 0;; passed++) {
        if (at == queue->ring_bytes || ring[at + AT_KIND] == 0) {
            at = 0;
        }
        if (passed == ahead) {
            break;
        }
        at += note_bytes(mkv_load_u16(ring + at + AT_KEY_BYTES));
    }
    const uint8_t *source = ring + at;
    *note = (struct mkv_directory_note){
        .kind = (enum mkv_directory_note_kind)source[AT_KIND],
        .tenant = mkv_load_u32(source + AT_TENANT),
        .key_bytes = mkv_load_u16(source + AT_KEY_BYTES),
        .key = source + AT_KEY,
        .value =
            {
                .slot = {mkv_load_u32(source + AT_SLOT)},
                .generation_low = mkv_load_u32(source + AT_GENERATION_LOW),
                .length_units = mkv_load_u32(source + AT_LENGTH_UNITS),
                .block_flags = mkv_load_u32(source + AT_BLOCK_FLAGS),
            },
    };
    return true;
}

void mkv_directory_queue_pop(struct mkv_directory_queue *queue) {
    MKV_ASSERT(queue->pushed > queue->popped);
    const uint8_t *ring = ring_of(queue);
    if (ring[queue->head + AT_KIND] == 0) {
        queue->used_bytes -= queue->ring_bytes - queue->head;
        queue->head = 0;
    }
    const uint32_t bytes = note_bytes(mkv_load_u16(ring + queue->head + AT_KEY_BYTES));
    MKV_ASSERT(queue->used_bytes >= bytes);
    queue->used_bytes -= bytes;
    queue->head += bytes;
    if (queue->head == queue->ring_bytes) {
        queue->head = 0;
    }
    queue->popped++;
    if (queue->popped == queue->pushed) {
        queue->head = 0;
        queue->tail = 0;
        MKV_ASSERT(queue->used_bytes == 0);
    }
}
