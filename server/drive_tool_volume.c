/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/clock.h"
#include "backends/drive.h"
#include "core/hash.h"
#include "core/manifest.h"
#include "server/drive_tool_overlay.h"

#define OPS_MAX MKV_DRIVE_TOOL_PUTS_MAX
#define WINDOW_UNITS 64u
#define IDLE_NS 100000000u
#define EFFECTS_AT_ONCE 64u
#define STEP_NS 1000u
/* How far the clock goes when there is nothing to do, and how often in a row. */
#define IDLE_TICK_NS 10000000u
#define IDLE_TICKS_MAX 100000u

/* A put that was begun and not answered. */
struct tool_put {
    bool busy;
    struct mkv_drive_tool_put put;
    uint8_t key[MKV_KEY_BYTES_MAX];
    uint64_t slab; /* where its slab begins in the memory of slabs */
    uint64_t sums[MKV_CHUNKS_MAX];
};

struct mkv_drive_tool_volume {
    struct mkv_drive_tool_volume_options options;
    struct mkv_volume *core;
    void *memory;
    size_t memory_bytes;
    struct mkv_drive_tool_overlay overlay;
    uint64_t now_ns;
    /* What the volume has handed out and was not carried out yet, first in, first out. */
    struct mkv_effect *queue;
    uint32_t queue_max;
    uint32_t queue_head;
    uint32_t queue_count;
    bool drive_failed;
    enum mkv_io_result result_bad; /* of the last operation that failed */
    int error_number;
    enum mkv_err open_err;
    bool closed;
    struct mkv_message tenant_answer;
    bool tenant_answered;
    uint8_t *slabs;
    uint64_t slab_used;
    uint32_t put_count;
    struct tool_put puts[MKV_DRIVE_TOOL_PUTS_MAX];
    /* Puts that have their slot, in the order in which they got it. */
    uint32_t ready_count;
    struct {
        uint32_t index;
        struct mkv_op_id op;
    } ready[MKV_DRIVE_TOOL_PUTS_MAX];
};

void mkv_drive_tool_volume_config(const struct mkv_superblock *superblock, uint64_t capacity_units,
                                  struct mkv_volume_config *config) {
    *config = (struct mkv_volume_config){
        .capacity_units = capacity_units,
        .geometry = superblock->geometry,
        .ops_max = OPS_MAX,
        .window_units = WINDOW_UNITS,
        .idle_ns = IDLE_NS,
        .never_empties = true,
        .store_uuid = superblock->store_uuid,
        .drive_uuid = superblock->drive_uuid,
        .drive_set = superblock->drive_set,
    };
}

bool mkv_drive_tool_volume_create(const struct mkv_drive_tool_volume_options *options,
                                  struct mkv_drive_tool_volume **out,
                                  struct mkv_backend_error *error) {
    struct mkv_drive_tool_volume *volume = calloc(1, sizeof *volume);
    *out = volume;
    if (volume == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
    }
    volume->options = *options;
    volume->queue_max = OPS_MAX + mkv_volume_effects_max(options->config);
    volume->memory_bytes = mkv_volume_memory_required(options->config);
    volume->queue = malloc(volume->queue_max * sizeof *volume->queue);
    /* Only what is touched becomes memory. */
    volume->memory = mmap(NULL, volume->memory_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    volume->slabs = options->puts ? aligned_alloc(MKV_UNIT_BYTES, MKV_DRIVE_TOOL_SLAB_BYTES) : NULL;
    if (volume->queue == NULL || volume->memory == MAP_FAILED ||
        (options->puts && volume->slabs == NULL)) {
        volume->memory = volume->memory == MAP_FAILED ? NULL : volume->memory;
        mkv_drive_tool_volume_destroy(volume);
        *out = NULL;
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s: there is no memory for its slot table. Free some",
                                  options->drive->path);
    }
    volume->core = mkv_volume_init(volume->memory, volume->memory_bytes, options->config);
    return true;
}

void mkv_drive_tool_volume_destroy(struct mkv_drive_tool_volume *volume) {
    if (volume == NULL) {
        return;
    }
    if (volume->memory != NULL) {
        munmap(volume->memory, volume->memory_bytes);
    }
    mkv_drive_tool_overlay_free(&volume->overlay);
    free(volume->queue);
    free(volume->slabs);
    free(volume);
}

struct mkv_volume *mkv_drive_tool_volume_core(struct mkv_drive_tool_volume *volume) {
    return volume->core;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void put_ended(struct mkv_drive_tool_volume *volume, const struct mkv_message *message) {
    struct tool_put *put = &volume->puts[message->front_op.index];
    MKV_ASSERT(put->busy);
    put->busy = false;
    MKV_ASSERT(volume->put_count > 0);
    volume->put_count--;
    if (volume->put_count == 0) {
        volume->slab_used = 0;
    }
    if (volume->options.put_done != NULL) {
        volume->options.put_done(volume->options.context, put->put.index, message->status,
                                 (message->flags & MKV_PUT_THERE) != 0);
    }
}

static void take_message(struct mkv_drive_tool_volume *volume, const struct mkv_message *message) {
    if (message->kind == MKV_MESSAGE_PUT_READY) {
        MKV_ASSERT(volume->ready_count < MKV_DRIVE_TOOL_PUTS_MAX);
        volume->ready[volume->ready_count].index = message->front_op.index;
        volume->ready[volume->ready_count].op = message->volume_op;
        volume->ready_count++;
    } else if (message->kind == MKV_MESSAGE_PUT_DONE) {
        put_ended(volume, message);
    } else {
        MKV_ASSERT(message->kind == MKV_MESSAGE_TENANT_DONE ||
                   message->kind == MKV_MESSAGE_TENANT_DROP_DONE);
        volume->tenant_answer = *message;
        volume->tenant_answered = true;
    }
}

static void take_event(struct mkv_drive_tool_volume *volume, const struct mkv_event *event) {
    if (event->kind == MKV_EVENT_OPEN_FAILED) {
        volume->open_err = event->err;
    }
    volume->closed = volume->closed || event->kind == MKV_EVENT_CLOSED;
    if (volume->options.event != NULL) {
        volume->options.event(volume->options.context, event);
    }
}

static void take_effects(struct mkv_drive_tool_volume *volume) {
    struct mkv_effect effects[EFFECTS_AT_ONCE];
    uint32_t count;
    while ((count = mkv_volume_effects(volume->core, effects, EFFECTS_AT_ONCE)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            if (effects[i].kind == MKV_EFFECT_MESSAGE) {
                take_message(volume, &effects[i].message);
            } else if (effects[i].kind == MKV_EFFECT_EVENT) {
                take_event(volume, &effects[i].event);
            } else if (effects[i].kind == MKV_EFFECT_FAIL_DRIVE) {
                volume->drive_failed = true;
            } else {
                MKV_ASSERT(volume->queue_count < volume->queue_max);
                const uint32_t place =
                    (volume->queue_head + volume->queue_count) % volume->queue_max;
                volume->queue[place] = effects[i];
                volume->queue_count++;
            }
        }
    }
}

static enum mkv_err step(struct mkv_drive_tool_volume *volume, struct mkv_input *input) {
    volume->now_ns += STEP_NS;
    input->now_ns = volume->now_ns;
    input->wall_ms = mkv_clock_wall_ms();
    const enum mkv_err err = mkv_volume_step(volume->core, input);
    take_effects(volume);
    return err;
}

/* ---- operations of the drive ----------------------------------------------------------------- */

static uint8_t *memory_of(const struct mkv_drive_tool_volume *volume,
                          const struct mkv_effect *effect) {
    return mkv_volume_arena(volume->core) + effect->drive.meta_offset;
}

static int do_read(struct mkv_drive_tool_volume *volume, const struct mkv_effect *effect) {
    MKV_ASSERT(effect->drive.memory == MKV_DRIVE_META);
    uint8_t *memory = memory_of(volume, effect);
    const struct mkv_drive_effect *drive = &effect->drive;
    const int number =
        mkv_drive_tool_read(volume->options.drive, drive->lba.unit, drive->unit_count, memory);
    if (number == 0) {
        mkv_drive_tool_overlay_read(&volume->overlay, drive->lba.unit, drive->unit_count, memory);
    }
    return number;
}

static int do_write(struct mkv_drive_tool_volume *volume, const struct mkv_effect *effect) {
    const struct mkv_drive_effect *drive = &effect->drive;
    uint8_t *memory = memory_of(volume, effect);
    if (drive->memory == MKV_DRIVE_SLOT) {
        MKV_ASSERT(drive->slab.index < MKV_DRIVE_TOOL_PUTS_MAX);
        uint8_t *slab = volume->slabs + volume->puts[drive->slab.index].slab;
        mkv_drive_prepare_slot_write(drive, memory, slab);
        memory = slab;
    }
    if (volume->options.dry) {
        return mkv_drive_tool_overlay_write(&volume->overlay, drive->lba.unit, drive->unit_count,
                                            memory)
                   ? 0
                   : ENOMEM;
    }
    return mkv_drive_tool_write(volume->options.drive, drive->lba.unit, drive->unit_count, memory);
}

static int carry_out(struct mkv_drive_tool_volume *volume, const struct mkv_effect *effect) {
    if (effect->kind == MKV_EFFECT_DRIVE_READ) {
        return do_read(volume, effect);
    }
    if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
        return do_write(volume, effect);
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_DRIVE_FLUSH); /* trims are not asked for */
    return volume->options.dry ? 0 : mkv_drive_tool_flush(volume->options.drive);
}

static void complete_one(struct mkv_drive_tool_volume *volume) {
    const struct mkv_effect effect = volume->queue[volume->queue_head];
    volume->queue_head = (volume->queue_head + 1) % volume->queue_max;
    volume->queue_count--;
    uint64_t sums[MKV_CHUNKS_MAX];
    struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE};
    input.drive.op = effect.op;
    const int number = carry_out(volume, &effect);
    if (number != 0) {
        volume->error_number = number;
        input.drive.result = mkv_drive_result_of_errno(number);
    } else if (effect.kind == MKV_EFFECT_DRIVE_READ) {
        mkv_drive_finish_read(&effect.drive, memory_of(volume, &effect), sums, &input.drive);
    }
    (void)step(volume, &input);
}

/* ---- puts ------------------------------------------------------------------------------------ */

static uint64_t slab_bytes(uint32_t length) {
    return MKV_UNIT_BYTES + mkv_round_up_u64(length, MKV_UNIT_BYTES);
}

bool mkv_drive_tool_volume_put_fits(const struct mkv_drive_tool_volume *volume, uint32_t length) {
    MKV_ASSERT(length <= MKV_BLOCK_BYTES_MAX);
    return volume->put_count < MKV_DRIVE_TOOL_PUTS_MAX &&
           volume->slab_used + slab_bytes(length) <= MKV_DRIVE_TOOL_SLAB_BYTES;
}

static uint32_t put_place(const struct mkv_drive_tool_volume *volume) {
    uint32_t place = 0;
    while (volume->puts[place].busy) {
        place++;
        MKV_ASSERT(place < MKV_DRIVE_TOOL_PUTS_MAX);
    }
    return place;
}

void mkv_drive_tool_volume_put(struct mkv_drive_tool_volume *volume,
                               const struct mkv_drive_tool_put *source) {
    MKV_ASSERT(mkv_drive_tool_volume_put_fits(volume, source->length));
    const uint32_t place = put_place(volume);
    struct tool_put *put = &volume->puts[place];
    put->put = *source;
    put->busy = true;
    put->slab = volume->slab_used;
    volume->slab_used += slab_bytes(source->length);
    volume->put_count++;
    memcpy(put->key, source->key, source->key_bytes);
    memcpy(volume->slabs + put->slab + MKV_UNIT_BYTES, source->payload, source->length);
    mkv_chunk_sums(source->payload, source->length, put->sums);
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = put->key, .data_bytes = source->key_bytes};
    input.message = (struct mkv_message){
        .kind = MKV_MESSAGE_PUT_BEGIN,
        .front_op = {place, 1},
        .tenant = source->tenant,
        .flags = source->flags | MKV_PUT_LAST,
        .length = source->length,
        .root = source->root,
        .expiry_s = source->expiry_s,
        .tier_hint = (uint32_t)source->tier + 1,
        .data_bytes = source->key_bytes,
    };
    if ((source->flags & MKV_BLOCK_MANIFEST) != 0) {
        struct mkv_manifest manifest;
        const bool sound = mkv_manifest_decode(source->payload, &manifest);
        MKV_ASSERT(sound);
        input.message.value_length = manifest.length;
        input.message.value_root = manifest.root;
    }
    (void)step(volume, &input);
}

/* The first put that has a slot gets its bytes written. */
static void write_ready(struct mkv_drive_tool_volume *volume) {
    const uint32_t place = volume->ready[0].index;
    const struct mkv_op_id op = volume->ready[0].op;
    volume->ready_count--;
    memmove(volume->ready, volume->ready + 1, volume->ready_count * sizeof volume->ready[0]);
    struct tool_put *put = &volume->puts[place];
    const bool manifest = (put->put.flags & MKV_BLOCK_MANIFEST) != 0;
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    input.data = manifest ? volume->slabs + put->slab + MKV_UNIT_BYTES : (uint8_t *)put->sums;
    input.data_bytes = manifest ? put->put.length : 8 * mkv_chunk_count(put->put.length);
    input.message = (struct mkv_message){
        .kind = MKV_MESSAGE_PUT_WRITE,
        .front_op = {place, 1},
        .volume_op = op,
        .flags = put->put.flags,
        .slab = {place},
        .data_bytes = input.data_bytes,
    };
    (void)step(volume, &input);
}

/* ---- running --------------------------------------------------------------------------------- */

/* False: there is nothing to do but to wait. */
static bool turn(struct mkv_drive_tool_volume *volume) {
    if (volume->ready_count > 0) {
        write_ready(volume);
    } else if (volume->queue_count > 0) {
        complete_one(volume);
    } else if (mkv_volume_has_work(volume->core)) {
        struct mkv_input input = {.kind = MKV_INPUT_TICK};
        (void)step(volume, &input);
    } else {
        return false;
    }
    return true;
}

static bool refuse_failed(const struct mkv_drive_tool_volume *volume,
                          struct mkv_backend_error *error) {
    const int number = volume->error_number;
    if (number == ENOMEM && volume->options.dry) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s: there is no memory for what recovery would write. Free some",
                                  volume->options.drive->path);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_IO,
                              "%s: an operation that must not fail has failed: %s. See dmesg",
                              volume->options.drive->path, strerror(number));
}

bool mkv_drive_tool_volume_run(struct mkv_drive_tool_volume *volume,
                               bool (*ended)(struct mkv_drive_tool_volume *volume),
                               struct mkv_backend_error *error) {
    uint32_t idle = 0;
    while (!ended(volume)) {
        if (volume->drive_failed) {
            return refuse_failed(volume, error);
        }
        if (turn(volume)) {
            idle = 0;
            continue;
        }
        if (idle == IDLE_TICKS_MAX) {
            return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                      "%s: the volume does not come to an end",
                                      volume->options.drive->path);
        }
        idle++;
        volume->now_ns += IDLE_TICK_NS;
        struct mkv_input input = {.kind = MKV_INPUT_TICK};
        (void)step(volume, &input);
    }
    return true;
}

static bool is_not_recovering(struct mkv_drive_tool_volume *volume) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume->core, &stats);
    return stats.state != MKV_VOLUME_RECOVERING;
}

static const char *open_failure(enum mkv_err err) {
    switch (err) {
    case MKV_ERR_FOREIGN:
        return "its superblock is another store's, or has changed meanwhile";
    case MKV_ERR_SHRUNK:
        return "it has become smaller than its store";
    case MKV_ERR_TOO_LARGE:
        return "a counter of its superblock is near its end";
    case MKV_CORRUPT_SUPERBLOCK:
        return "no two of its superblocks agree";
    case MKV_OK:
    case MKV_ERR_TOO_SMALL:
    case MKV_ERR_NOT_FORMATTED:
    case MKV_ERR_VERSION:
    case MKV_ERR_DRIVE_IO:
    case MKV_ERR_STATE:
    case MKV_CORRUPT_CHECKPOINT_PAGE:
    case MKV_CORRUPT_JOURNAL_BLOCK:
    case MKV_CORRUPT_JOURNAL_RECORD:
    case MKV_CORRUPT_SLOT_HEADER:
    case MKV_CORRUPT_PAYLOAD:
        break;
    }
    return "it holds no store that can be opened";
}

bool mkv_drive_tool_volume_open(struct mkv_drive_tool_volume *volume,
                                const struct mkv_drive_set *set, bool joins,
                                struct mkv_backend_error *error) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN,
                              .admin = joins ? MKV_ADMIN_JOIN : MKV_ADMIN_OPEN};
    if (set != NULL) {
        input.data = (const uint8_t *)set;
        input.data_bytes = sizeof *set;
    }
    const enum mkv_err err = step(volume, &input);
    MKV_ASSERT(err == MKV_OK);
    if (!mkv_drive_tool_volume_run(volume, is_not_recovering, error)) {
        return false;
    }
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume->core, &stats);
    if (stats.state == MKV_VOLUME_SERVING) {
        return true;
    }
    if (volume->drive_failed) {
        return refuse_failed(volume, error);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_IO, "%s cannot be opened: %s",
                              volume->options.drive->path, open_failure(volume->open_err));
}

static bool is_listed(struct mkv_drive_tool_volume *volume) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume->core, &stats);
    const enum mkv_directory_state state = stats.directory.state;
    return mkv_volume_directory_complete(volume->core) || state == MKV_DIRECTORY_FULL ||
           state == MKV_DIRECTORY_OFF;
}

bool mkv_drive_tool_volume_list_all(struct mkv_drive_tool_volume *volume,
                                    struct mkv_backend_error *error) {
    return mkv_drive_tool_volume_run(volume, is_listed, error);
}

static bool is_closed(struct mkv_drive_tool_volume *volume) {
    return volume->closed;
}

bool mkv_drive_tool_volume_close(struct mkv_drive_tool_volume *volume,
                                 struct mkv_backend_error *error) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = MKV_ADMIN_CLOSE};
    const enum mkv_err err = step(volume, &input);
    MKV_ASSERT(err == MKV_OK || volume->drive_failed);
    return mkv_drive_tool_volume_run(volume, is_closed, error);
}

static bool is_told(struct mkv_drive_tool_volume *volume) {
    return volume->tenant_answered;
}

bool mkv_drive_tool_volume_tenant(struct mkv_drive_tool_volume *volume, struct mkv_message *message,
                                  const char *name, struct mkv_backend_error *error) {
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE, .message = *message};
    input.data = (const uint8_t *)name;
    input.data_bytes = message->data_bytes;
    input.message.volume = 0; /* each volume is the first of a node of its own */
    volume->tenant_answered = false;
    (void)step(volume, &input);
    if (!mkv_drive_tool_volume_run(volume, is_told, error)) {
        return false;
    }
    const uint32_t number = message->volume;
    *message = volume->tenant_answer;
    message->volume = number;
    return true;
}

static bool is_without_puts(struct mkv_drive_tool_volume *volume) {
    return volume->put_count == 0;
}

bool mkv_drive_tool_volume_puts_end(struct mkv_drive_tool_volume *volume,
                                    struct mkv_backend_error *error) {
    return mkv_drive_tool_volume_run(volume, is_without_puts, error);
}
