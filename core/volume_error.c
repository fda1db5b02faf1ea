/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive that fails one operation on slots after another. One bad spot is a miss, however often it
 * is asked for; many different ones in a row, and nothing that succeeds between, are the drive:
 * then its keys are better stored, and looked for, elsewhere.
 */
#include "core/volume_internal.h"

static void run_add(struct mkv_volume *volume, enum mkv_effect_kind kind, enum mkv_io_result result,
                    uint64_t lba) {
    const bool counts = kind == MKV_EFFECT_DRIVE_READ || kind == MKV_EFFECT_DRIVE_WRITE;
    if (!counts || (result != MKV_IO_DEVICE && result != MKV_IO_TIMEOUT)) {
        return; /* MEDIUM retires its place, NO_ROOM is the file system's */
    }
    struct error_run *run = &volume->error_runs[kind == MKV_EFFECT_DRIVE_WRITE];
    for (uint32_t index = 0; index < run->count; index++) {
        if (run->places[index] == lba) {
            return;
        }
    }
    if (run->count < ERROR_PLACES_MAX) {
        run->places[run->count] = lba;
        run->count++;
        run->result = result;
    }
}

void mkv_volume_note_error(struct mkv_volume *volume, enum mkv_effect_kind kind,
                           enum mkv_io_result result, uint64_t lba) {
    if (kind == MKV_EFFECT_DRIVE_READ) {
        volume->stats.io_errors_read_total++;
    } else if (kind == MKV_EFFECT_DRIVE_WRITE) {
        volume->stats.io_errors_write_total++;
    } else if (kind == MKV_EFFECT_DRIVE_FLUSH) {
        volume->stats.io_errors_flush_total++;
    } else {
        MKV_ASSERT(kind == MKV_EFFECT_DRIVE_TRIM);
        volume->stats.trim_errors_total++;
    }
    run_add(volume, kind, result, lba);
    mkv_volume_event(volume, MKV_EVENT_DRIVE_ERROR, MKV_ERR_DRIVE_IO, (uint64_t)result, lba, 0);
}

void mkv_volume_error_run_end(struct mkv_volume *volume, enum mkv_io_result result, bool write) {
    if (result == MKV_IO_OK) {
        volume->error_runs[write].count = 0;
    }
}

void mkv_volume_error_pump(struct mkv_volume *volume) {
    if (volume->state != MKV_VOLUME_SERVING && volume->state != MKV_VOLUME_CLOSING) {
        return;
    }
    for (uint32_t index = 0; index < 2; index++) {
        const struct error_run *run = &volume->error_runs[index];
        if (run->count == ERROR_PLACES_MAX) {
            mkv_volume_fail(volume, run->result, run->places[ERROR_PLACES_MAX - 1]);
            return;
        }
    }
}
