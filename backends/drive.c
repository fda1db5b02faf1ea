/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive.h"

#include <errno.h>
#include <string.h>

#include "backends/clock.h"
#include "core/hash.h"
#include "core/slot_header.h"

enum mkv_drive_operation mkv_drive_operation_of(const struct mkv_effect *effect) {
    if (effect->kind == MKV_EFFECT_DRIVE_READ) {
        return MKV_DRIVE_OP_READ;
    }
    if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
        return MKV_DRIVE_OP_WRITE;
    }
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
        return MKV_DRIVE_OP_FLUSH;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_DRIVE_TRIM);
    return MKV_DRIVE_OP_TRIM;
}

enum mkv_io_result mkv_drive_result_of_errno(int error_number) {
    MKV_ASSERT(error_number > 0);
    switch (error_number) {
    case ENODATA:
    case EILSEQ:
        return MKV_IO_MEDIUM;
    case ENODEV:
    case ENXIO:
    case ENOMEDIUM:
    case ESHUTDOWN:
    case EBADF: /* of a descriptor that was opened and works: what it names was taken away */
        return MKV_IO_GONE;
    case EROFS:
    case EPERM: /* a block device that was set read-only */
        return MKV_IO_READ_ONLY;
    case ETIMEDOUT:
        return MKV_IO_TIMEOUT;
    case ENOSPC:
    case EDQUOT:
        return MKV_IO_NO_ROOM;
    default:
        /* EIO, ENOLINK, EREMOTEIO …: whatever it is, the drive did not do it. */
        return MKV_IO_DEVICE;
    }
}

void mkv_drive_prepare_slot_write(const struct mkv_drive_effect *effect, const uint8_t *header_unit,
                                  uint8_t *slab) {
    MKV_ASSERT(effect->memory == MKV_DRIVE_SLOT);
    MKV_ASSERT(effect->unit_count >= 1);
    memcpy(slab, header_unit, MKV_UNIT_BYTES);
    uint8_t *payload = slab + MKV_UNIT_BYTES;
    if (effect->unit_count > 1) {
        uint32_t area_bytes = (effect->unit_count - 1) * MKV_UNIT_BYTES;
        MKV_ASSERT(effect->payload_bytes <= area_bytes);
        memset(payload + effect->payload_bytes, 0, area_bytes - effect->payload_bytes);
    } else if (effect->payload_bytes > 0) {
        MKV_ASSERT(effect->payload_bytes <= MKV_INLINE_BYTES_MAX);
        memcpy(slab + MKV_SLOT_INLINE_OFFSET, payload, effect->payload_bytes);
    }
}

static void finish_slot_read(const struct mkv_drive_effect *effect, uint8_t *slab, uint64_t *sums,
                             struct mkv_drive_done *done) {
    uint8_t *payload = slab + MKV_UNIT_BYTES;
    uint32_t payload_bytes = (effect->unit_count - 1) * MKV_UNIT_BYTES;
    uint32_t inline_bytes = mkv_slot_header_inline_bytes(slab);
    if (inline_bytes > 0) {
        memcpy(payload, slab + MKV_SLOT_INLINE_OFFSET, inline_bytes);
        payload_bytes = inline_bytes;
    }
    done->header = slab;
    done->sums = sums;
    done->sum_count = mkv_slot_read_sums(slab, payload, payload_bytes, sums);
}

static void finish_payload_read(const struct mkv_drive_effect *effect, const uint8_t *payload,
                                uint64_t *sums, struct mkv_drive_done *done) {
    MKV_ASSERT(effect->chunk_bytes > 0);
    MKV_ASSERT(effect->payload_bytes <= effect->unit_count * MKV_UNIT_BYTES);
    uint32_t count = (uint32_t)mkv_divide_up_u64(effect->payload_bytes, effect->chunk_bytes);
    MKV_ASSERT(count <= MKV_CHUNKS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t offset = i * effect->chunk_bytes;
        uint64_t bytes = mkv_min_u64(effect->chunk_bytes, effect->payload_bytes - offset);
        sums[i] = mkv_hash_64(payload + offset, bytes);
    }
    done->sums = sums;
    done->sum_count = count;
}

void mkv_drive_finish_read(const struct mkv_drive_effect *effect, uint8_t *memory, uint64_t *sums,
                           struct mkv_drive_done *done) {
    MKV_ASSERT(done->result == MKV_IO_OK);
    MKV_ASSERT(effect->unit_count >= 1);
    switch (effect->memory) {
    case MKV_DRIVE_META:
        if (effect->payload_bytes > 0) {
            finish_payload_read(effect, memory, sums, done);
        }
        return;
    case MKV_DRIVE_SLOT:
        finish_slot_read(effect, memory, sums, done);
        return;
    case MKV_DRIVE_PAYLOAD:
        finish_payload_read(effect, memory, sums, done);
        return;
    }
    MKV_ASSERT(false);
}

void mkv_drive_count_submitted(struct mkv_drive *drive, enum mkv_drive_operation operation,
                               uint64_t now_ns) {
    struct mkv_drive_counters *counters = &drive->counters;
    if (counters->in_flight == 0) {
        counters->busy_since_ns = now_ns;
    }
    mkv_drive_counter_add(&counters->operations[operation].submitted, 1);
    mkv_drive_counter_add(&counters->in_flight, 1);
    if (counters->in_flight > counters->in_flight_max) {
        __atomic_store_n(&counters->in_flight_max, counters->in_flight, __ATOMIC_RELAXED);
    }
}

void mkv_drive_count_completed(struct mkv_drive *drive, enum mkv_drive_operation operation,
                               enum mkv_io_result result, uint64_t bytes,
                               const struct mkv_drive_times *times) {
    const uint64_t latency_ns = times->now_ns - times->submitted_ns;
    struct mkv_drive_counters *counters = &drive->counters;
    struct mkv_drive_operation_counters *kind = &counters->operations[operation];
    MKV_ASSERT(counters->in_flight > 0);
    MKV_ASSERT((uint32_t)result < MKV_IO_RESULT_COUNT);
    if (counters->in_flight == 1) {
        mkv_drive_counter_add(&counters->busy_ns, times->now_ns - counters->busy_since_ns);
    }
    if (times->device_ns > 0) {
        mkv_histogram_record_ns(&kind->device, times->device_ns);
    }
    if (result == MKV_IO_TIMEOUT) { /* nobody has said so: it was not waited for any longer */
        mkv_drive_note_error(drive, operation, result, ETIMEDOUT, mkv_clock_wall_ms());
    }
    __atomic_store_n(&counters->in_flight, counters->in_flight - 1, __ATOMIC_RELAXED);
    mkv_drive_counter_add(&kind->completed, 1);
    mkv_drive_counter_add(&kind->results[result], 1);
    mkv_drive_counter_add(&kind->bytes, result == MKV_IO_OK ? bytes : 0);
    mkv_drive_counter_add(&kind->latency_ns, latency_ns);
    if (latency_ns > kind->latency_ns_max) {
        __atomic_store_n(&kind->latency_ns_max, latency_ns, __ATOMIC_RELAXED);
    }
}
