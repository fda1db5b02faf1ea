/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_format.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/clock.h"

/* Two pairs of superblocks, each with a flush: six operations and room to spare. */
#define OPERATIONS_MAX 64u
#define EFFECTS_AT_ONCE 16u

struct format {
    const struct mkv_node_format_options *options;
    struct mkv_volume *volume;
    bool formatted;
    int error_number; /* of the operation that failed */
    /* What the volume has handed out and was not carried out yet. */
    struct mkv_effect pending[OPERATIONS_MAX];
    uint32_t pending_count;
    uint32_t pending_next;
};

static void take_effects(struct format *format) {
    struct mkv_effect effects[EFFECTS_AT_ONCE];
    uint32_t count;
    while ((count = mkv_volume_effects(format->volume, effects, EFFECTS_AT_ONCE)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            if (effects[i].kind == MKV_EFFECT_EVENT) {
                format->formatted =
                    format->formatted || effects[i].event.kind == MKV_EVENT_FORMATTED;
            } else if (effects[i].kind != MKV_EFFECT_FAIL_DRIVE) {
                MKV_ASSERT(format->pending_count < OPERATIONS_MAX);
                format->pending[format->pending_count] = effects[i];
                format->pending_count++;
            }
        }
    }
}

static void step(struct format *format, struct mkv_input *input) {
    input->now_ns = mkv_clock_monotonic_ns();
    input->wall_ms = mkv_clock_wall_ms();
    enum mkv_err err = mkv_volume_step(format->volume, input);
    MKV_ASSERT(err == MKV_OK);
    take_effects(format);
}

static bool carry_out(struct format *format, const struct mkv_effect *effect) {
    const struct mkv_drive_media *media = format->options->media;
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
        if (fdatasync(media->fd) != 0) {
            format->error_number = errno;
            return false;
        }
        return true;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_DRIVE_WRITE);
    MKV_ASSERT(effect->drive.memory == MKV_DRIVE_META);
    const uint8_t *bytes = mkv_volume_arena(format->volume) + effect->drive.meta_offset;
    const size_t count = effect->drive.unit_count * (size_t)MKV_UNIT_BYTES;
    const off_t offset = (off_t)(effect->drive.lba.unit * MKV_UNIT_BYTES);
    ssize_t written = pwrite(media->fd, bytes, count, offset);
    if (written != (ssize_t)count) {
        format->error_number = written < 0 ? errno : ENOSPC;
        return false;
    }
    return true;
}

bool mkv_node_format(const struct mkv_node_format_options *options,
                     struct mkv_backend_error *error) {
    struct format format = {.options = options};
    format.volume = mkv_volume_init(options->memory, options->memory_bytes, options->config);
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = MKV_ADMIN_FORMAT};
    step(&format, &input);
    while (format.pending_next < format.pending_count) {
        const struct mkv_effect *effect = &format.pending[format.pending_next];
        format.pending_next++;
        if (!carry_out(&format, effect)) {
            return mkv_backend_refuse(
                error, MKV_BACKEND_IO, "drive %s: %s cannot be formatted: %s. %s", options->name,
                options->path, strerror(format.error_number),
                format.error_number == ENOSPC ? "Free space on its file system"
                                              : "See dmesg for the cause");
        }
        struct mkv_input done = {.kind = MKV_INPUT_DRIVE_DONE};
        done.drive.op = effect->op;
        done.drive.result = MKV_IO_OK;
        step(&format, &done);
    }
    MKV_ASSERT(format.formatted);
    return true;
}

bool mkv_node_format_alone(const struct mkv_node_format_options *options,
                           struct mkv_backend_error *error) {
    struct mkv_node_format_options own = *options;
    own.memory_bytes = mkv_volume_memory_required(options->config);
    own.memory = mmap(NULL, own.memory_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (own.memory == MAP_FAILED) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: no memory to format %s: %s. Free memory on this "
                                  "machine",
                                  options->name, options->path, strerror(errno));
    }
    const bool formatted = mkv_node_format(&own, error);
    munmap(own.memory, own.memory_bytes);
    return formatted;
}
