/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/drive_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the model keeps of the drive: behind what other tests write, and in the data area of a
 * store, where the faults of a simulated drive strike. */
#define AREA_START 8192u
#define AREA_UNITS 512u
#define OPERATION_UNITS_MAX 16u
#define IN_FLIGHT_MAX 24u
#define POLLS_MAX 1000000u
/* Places that are tried for an operation before one in flight is waited for. */
#define TRIES_MAX 8u
#define WORDS (MKV_UNIT_BYTES / sizeof(uint64_t))

_Static_assert(IN_FLIGHT_MAX *OPERATION_UNITS_MAX *MKV_UNIT_BYTES <= DRIVE_CONFORMANCE_META_BYTES,
               "each operation has memory of its own");
_Static_assert(AREA_START + AREA_UNITS <= DRIVE_CONFORMANCE_CAPACITY_UNITS_MIN, "it is there");

struct unit {
    uint64_t written;
    uint64_t covering;
    uint64_t durable;
    uint32_t readers;
    bool changing;
};

struct operation {
    enum mkv_effect_kind kind;
    bool busy;
    uint32_t generation;
    uint32_t first;
    uint32_t count;
    uint64_t stamp; /* of a write */
};

struct model {
    struct drive_conformance *target;
    uint64_t random;
    uint64_t stamp;
    struct unit units[AREA_UNITS];
    struct operation operations[IN_FLIGHT_MAX];
    uint32_t in_flight;
    bool flushing;
    bool trimming;
    char *complaint; /* empty: none */
};

static uint64_t next_random(struct model *model, uint64_t below) {
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (model->random >> 24) % below;
}

/* The first complaint stays. */
__attribute__((format(printf, 2, 3))) static void complain(struct model *model, const char *format,
                                                           ...) {
    if (model->complaint[0] != 0) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(model->complaint, DRIVE_MODEL_COMPLAINT_BYTES, format, arguments);
    va_end(arguments);
}

/* ---- content -------------------------------------------------------------------------------- */

/* A unit says which it is and which write brought it, in every word of it. */
static uint64_t word_of(uint32_t unit, uint64_t stamp, uint32_t index) {
    return (stamp * 0x9e3779b97f4a7c15u ^ unit) * 0xbf58476d1ce4e5b9u + index;
}

static void fill_unit(uint8_t *bytes, uint32_t unit, uint64_t stamp) {
    uint64_t words[WORDS];
    words[0] = stamp;
    for (uint32_t index = 1; index < WORDS; index++) {
        words[index] = word_of(unit, stamp, index);
    }
    memcpy(bytes, words, sizeof words);
}

/* The stamp of a unit that is whole; 0 when it is none of ours, or a mixture. */
static uint64_t stamp_of(const uint8_t *bytes, uint32_t unit) {
    uint64_t words[WORDS];
    memcpy(words, bytes, sizeof words);
    for (uint32_t index = 1; index < WORDS; index++) {
        if (words[index] != word_of(unit, words[0], index)) {
            return 0;
        }
    }
    return words[0];
}

static uint8_t *memory_of(const struct model *model, uint32_t index) {
    return model->target->meta + (size_t)index * OPERATION_UNITS_MAX * MKV_UNIT_BYTES;
}

/* ---- completion ----------------------------------------------------------------------------- */

static void read_completed(struct model *model, uint32_t index) {
    const struct operation *operation = &model->operations[index];
    for (uint32_t at = 0; at < operation->count; at++) {
        struct unit *unit = &model->units[operation->first + at];
        unit->readers--;
        const uint8_t *bytes = memory_of(model, index) + (size_t)at * MKV_UNIT_BYTES;
        const uint64_t stamp = stamp_of(bytes, operation->first + at);
        if (unit->written != 0 && stamp != unit->written) {
            complain(model, "a read of unit %u brings write %" PRIu64 ", not %" PRIu64,
                     operation->first + at, stamp, unit->written);
        }
    }
}

static void change_completed(struct model *model, const struct operation *operation) {
    for (uint32_t at = 0; at < operation->count; at++) {
        struct unit *unit = &model->units[operation->first + at];
        unit->changing = false;
        unit->written = operation->stamp; /* of a trim: 0 */
    }
    model->trimming = model->trimming && operation->kind != MKV_EFFECT_DRIVE_TRIM;
}

static void flush_completed(struct model *model) {
    model->flushing = false;
    for (uint32_t index = 0; index < AREA_UNITS; index++) {
        struct unit *unit = &model->units[index];
        unit->durable = mkv_max_u64(unit->durable, unit->covering);
    }
}

static void completed(void *context, const struct mkv_drive_done *done) {
    struct model *model = context;
    if (done->op.index >= IN_FLIGHT_MAX || !model->operations[done->op.index].busy ||
        model->operations[done->op.index].generation != done->op.generation) {
        complain(model, "operation %u is completed, and is not under way", done->op.index);
        return;
    }
    struct operation *operation = &model->operations[done->op.index];
    if (done->result != MKV_IO_OK) {
        complain(model, "operation %d of units %u + %u came to %d", (int)operation->kind,
                 operation->first, operation->count, (int)done->result);
    }
    if (operation->kind == MKV_EFFECT_DRIVE_READ) {
        read_completed(model, done->op.index);
    } else if (operation->kind == MKV_EFFECT_DRIVE_FLUSH) {
        flush_completed(model);
    } else {
        change_completed(model, operation);
    }
    operation->busy = false;
    model->in_flight--;
}

/* ---- submission ----------------------------------------------------------------------------- */

static bool is_free(const struct model *model, enum mkv_effect_kind kind, uint32_t first,
                    uint32_t count) {
    for (uint32_t at = first; at < first + count; at++) {
        if (model->units[at].changing ||
            (kind != MKV_EFFECT_DRIVE_READ && model->units[at].readers > 0)) {
            return false;
        }
    }
    return true;
}

static enum mkv_effect_kind choose_kind(struct model *model) {
    const uint64_t drawn = next_random(model, 20);
    if (drawn < 1 && !model->flushing) {
        return MKV_EFFECT_DRIVE_FLUSH;
    }
    if (drawn < 3 && model->target->trims && !model->trimming) {
        return MKV_EFFECT_DRIVE_TRIM;
    }
    return drawn < 12 ? MKV_EFFECT_DRIVE_WRITE : MKV_EFFECT_DRIVE_READ;
}

/* What is known from the moment on that it is handed out. */
static void begin(struct model *model, struct operation *operation, uint8_t *memory) {
    if (operation->kind == MKV_EFFECT_DRIVE_FLUSH) {
        model->flushing = true;
        for (uint32_t index = 0; index < AREA_UNITS; index++) {
            model->units[index].covering = model->units[index].written;
        }
        return;
    }
    if (operation->kind == MKV_EFFECT_DRIVE_WRITE) {
        operation->stamp = ++model->stamp;
    }
    model->trimming = model->trimming || operation->kind == MKV_EFFECT_DRIVE_TRIM;
    for (uint32_t at = operation->first; at < operation->first + operation->count; at++) {
        struct unit *unit = &model->units[at];
        if (operation->kind == MKV_EFFECT_DRIVE_READ) {
            unit->readers++;
            continue;
        }
        unit->changing = true;
        if (operation->kind == MKV_EFFECT_DRIVE_TRIM) {
            *unit = (struct unit){.changing = true};
        } else {
            fill_unit(memory + (size_t)(at - operation->first) * MKV_UNIT_BYTES, at,
                      operation->stamp);
        }
    }
}

/* False: no place for it was found. */
static bool submit_one(struct model *model) {
    uint32_t index = 0;
    while (model->operations[index].busy) {
        index++;
    }
    struct operation wanted = {.kind = choose_kind(model), .busy = true};
    wanted.generation = model->operations[index].generation + 1;
    if (wanted.kind != MKV_EFFECT_DRIVE_FLUSH) {
        uint32_t tries = 0;
        do {
            if (tries++ == TRIES_MAX) {
                return false;
            }
            wanted.count = 1 + (uint32_t)next_random(model, OPERATION_UNITS_MAX);
            wanted.first = (uint32_t)next_random(model, AREA_UNITS - wanted.count + 1);
        } while (!is_free(model, wanted.kind, wanted.first, wanted.count));
    }
    model->operations[index] = wanted;
    begin(model, &model->operations[index], memory_of(model, index));
    const uint64_t meta_offset = (uint64_t)index * OPERATION_UNITS_MAX * MKV_UNIT_BYTES;
    struct mkv_effect effect =
        drive_conformance_meta(wanted.kind, AREA_START + wanted.first, wanted.count, meta_offset);
    effect.op = (struct mkv_op_id){index, wanted.generation};
    model->in_flight++;
    mkv_drive_submit(model->target->drive, &effect);
    return true;
}

static void run_round(struct model *model, uint32_t operations) {
    model->target->drive->complete = completed;
    model->target->drive->complete_context = model;
    uint32_t polls = 0;
    for (uint32_t count = 0; count < operations && model->complaint[0] == 0;) {
        if (model->in_flight < IN_FLIGHT_MAX && submit_one(model)) {
            count++;
        } else if (polls++ < POLLS_MAX) {
            model->target->poll(model->target->context);
        } else {
            complain(model, "%u operations do not end", model->in_flight);
        }
    }
    drive_conformance_drain(model->target);
    if (model->in_flight != 0) {
        complain(model, "%u operations were not completed, and none is under way",
                 model->in_flight);
    }
}

/* ---- what is left --------------------------------------------------------------------------- */

static void note_read(void *context, const struct mkv_drive_done *done) {
    enum mkv_io_result *result = context;
    *result = done->result;
}

static void check_what_is_left(struct model *model) {
    struct mkv_drive *drive = model->target->drive;
    for (uint32_t at = 0; at < AREA_UNITS; at++) {
        enum mkv_io_result result = MKV_IO_GONE;
        drive->complete = note_read;
        drive->complete_context = &result;
        const struct mkv_effect read =
            drive_conformance_meta(MKV_EFFECT_DRIVE_READ, AREA_START + at, 1, 0);
        mkv_drive_submit(drive, &read);
        drive_conformance_drain(model->target);
        struct unit *unit = &model->units[at];
        const uint64_t stamp = stamp_of(model->target->meta, at);
        if (result != MKV_IO_OK) {
            complain(model, "unit %u cannot be read when the drive was opened again: %d", at,
                     (int)result);
        } else if (unit->durable != 0 && (stamp < unit->durable || stamp > unit->written)) {
            complain(model,
                     "unit %u has write %" PRIu64 " when the drive was opened again: %" PRIu64
                     " was flushed, %" PRIu64 " the last",
                     at, stamp, unit->durable, unit->written);
        }
        /* Of what no flush covered nothing is known. */
        const uint64_t known = unit->durable != 0 ? stamp : 0;
        *unit = (struct unit){.written = known, .durable = known};
    }
}

bool drive_model_agrees(struct drive_conformance *target, const struct drive_model_options *options,
                        char complaint[DRIVE_MODEL_COMPLAINT_BYTES]) {
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    complaint[0] = 0;
    model->target = target;
    model->random = options->seed;
    model->complaint = complaint;
    run_round(model, options->operations);
    for (uint32_t count = 0; count < options->reopenings && complaint[0] == 0; count++) {
        target->reopen(target->context);
        check_what_is_left(model);
        run_round(model, options->operations);
    }
    free(model);
    return complaint[0] == 0;
}
