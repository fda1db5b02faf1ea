/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/record_replay.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim/memory.h"
#include "sim/trace.h"

/* As many as the pump takes in one call, so that calls are alike. */
#define EFFECTS_BATCH 64u
#define ALIGNMENT MKV_UNIT_BYTES
#define NOT_MADE "the configuration of a machine makes no sense"

struct machine {
    uint8_t *memory;
    size_t bytes;
    struct mkv_volume *volume; /* NULL: it is the front */
    enum mkv_err result;       /* of the last step */
    uint64_t input;            /* its number, and its times */
    uint64_t now_ns;
    uint64_t wall_ms;
};

struct replay {
    struct mkv_record_file *file;
    FILE *log;
    struct mkv_replay_outcome *outcome;
    struct mkv_front_config front_config;
    struct mkv_front *front;
    struct machine machines[MKV_REPLAY_MACHINES_MAX];
    struct mkv_memory memories[MKV_REPLAY_MACHINES_MAX];
    uint32_t machine_count;
    uint32_t stepping;   /* the machine that was called last */
    bool result_awaited; /* its step returned an error, which a RESULT must tell */
    bool over;           /* nothing is compared any more */
    struct mkv_trace trace;
    struct mkv_record_storage storage;
    struct mkv_effect effects[EFFECTS_BATCH];
    uint8_t bytes[MKV_RECORD_EFFECT_BYTES_MAX];
};

/* ---- the end -------------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static void stop(struct replay *replay,
                                                       enum mkv_replay_verdict verdict,
                                                       uint32_t machine, const char *format, ...) {
    struct mkv_replay_outcome *outcome = replay->outcome;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(outcome->text, sizeof outcome->text, format, arguments);
    va_end(arguments);
    outcome->verdict = verdict;
    outcome->machine = machine;
    outcome->input =
        verdict == MKV_REPLAY_MALFORMED ? outcome->inputs : replay->machines[machine].input;
    outcome->now_ns = replay->machines[machine].now_ns;
    outcome->wall_ms = replay->machines[machine].wall_ms;
    replay->over = true;
}

static void malformed(struct replay *replay, const char *what) {
    stop(replay, MKV_REPLAY_MALFORMED, replay->stepping, "%s", what);
}

/* ---- machines ------------------------------------------------------------------------------- */

static uint32_t trace_machine(uint32_t machine) {
    return machine == MKV_RECORD_MACHINE_FRONT ? MKV_TRACE_FRONT : machine - 1;
}

static bool machine_memory(struct replay *replay, size_t bytes) {
    struct machine *machine = &replay->machines[replay->machine_count];
    struct mkv_memory *memory = &replay->memories[replay->machine_count];
    if (!mkv_memory_create(memory, bytes + ALIGNMENT)) {
        malformed(replay, "there is no memory for its machines; raise ulimit -v");
        return false;
    }
    machine->memory = mkv_memory_take(memory, bytes, ALIGNMENT);
    machine->bytes = bytes;
    return true;
}

static void make_front(struct replay *replay, struct mkv_codec *codec) {
    struct mkv_front_config *config = &replay->front_config;
    mkv_record_front_config(codec, config);
    if (codec->failed || replay->machine_count != 0 || mkv_front_config_fault(config) != NULL) {
        malformed(replay, NOT_MADE);
        return;
    }
    const size_t bytes = mkv_front_memory_required(config);
    if (machine_memory(replay, bytes)) {
        replay->front = mkv_front_init(replay->machines[0].memory, bytes, config);
        replay->machine_count++;
    }
}

static void make_volume(struct replay *replay, struct mkv_codec *codec) {
    struct mkv_volume_config config = {0};
    mkv_record_volume_config(codec, &config);
    if (codec->failed || replay->machine_count == 0 ||
        replay->machine_count > replay->front_config.volume_count ||
        !mkv_geometry_valid(&config.geometry)) {
        malformed(replay, NOT_MADE);
        return;
    }
    const size_t bytes = mkv_volume_memory_required(&config);
    if (machine_memory(replay, bytes)) {
        struct machine *machine = &replay->machines[replay->machine_count];
        machine->volume = mkv_volume_init(machine->memory, bytes, &config);
        replay->machine_count++;
    }
}

static const uint8_t *arena_of(struct replay *replay, uint32_t machine) {
    return machine == MKV_RECORD_MACHINE_FRONT ? mkv_front_arena(replay->front)
                                               : mkv_volume_arena(replay->machines[machine].volume);
}

static uint32_t effects_of(struct replay *replay, uint32_t machine) {
    return machine == MKV_RECORD_MACHINE_FRONT
               ? mkv_front_effects(replay->front, replay->effects, EFFECTS_BATCH)
               : mkv_volume_effects(replay->machines[machine].volume, replay->effects,
                                    EFFECTS_BATCH);
}

/* The machine of an entry, or false when there is none of that number. */
static bool machine_read(struct replay *replay, struct mkv_codec *codec, uint32_t *machine) {
    mkv_codec_u32(codec, machine);
    if (codec->failed || *machine >= replay->machine_count ||
        replay->machine_count != 1 + replay->front_config.volume_count) {
        malformed(replay, "an entry names a machine that there is not");
        return false;
    }
    return true;
}

/* ---- effects -------------------------------------------------------------------------------- */

/* The replayed effect as bytes, and back to what a record would have of it. */
static size_t effect_bytes(struct replay *replay, uint32_t machine, uint32_t index,
                           struct mkv_record_effect *effect) {
    struct mkv_codec codec = mkv_codec_writer(replay->bytes, sizeof replay->bytes);
    mkv_record_effect_write(&codec, &replay->effects[index], arena_of(replay, machine));
    MKV_ASSERT(!codec.failed);
    if (effect != NULL) {
        struct mkv_codec reader = mkv_codec_reader(replay->bytes, codec.at);
        mkv_record_effect_read(&reader, effect);
    }
    return codec.at;
}

/* The machine handed out nothing more than was recorded. */
static bool drained(struct replay *replay, uint32_t machine) {
    if (effects_of(replay, machine) == 0) {
        return true;
    }
    (void)effect_bytes(replay, machine, 0, &replay->outcome->replayed);
    replay->outcome->has_replayed = true;
    stop(replay, MKV_REPLAY_DEPARTED, machine, "an effect that was not there");
    return false;
}

static void compare_effects(struct replay *replay, struct mkv_codec *codec) {
    struct mkv_replay_outcome *outcome = replay->outcome;
    uint32_t machine = 0;
    uint32_t count = 0;
    if (!machine_read(replay, codec, &machine)) {
        return;
    }
    mkv_codec_u32(codec, &count);
    if (codec->failed || count < 1 || count > EFFECTS_BATCH) {
        malformed(replay, "it has effects that cannot be read");
        return;
    }
    replay->stepping = machine;
    const uint32_t replayed_count = effects_of(replay, machine);
    for (uint32_t index = 0; index < count || index < replayed_count; index++) {
        const uint8_t *recorded = codec->source + codec->at;
        const size_t before = codec->at;
        const bool has_recorded = index < count;
        const bool has_replayed = index < replayed_count;
        if (has_recorded) {
            mkv_record_effect_read(codec, &outcome->recorded);
        }
        if (codec->failed) {
            malformed(replay, "it has effects that cannot be read");
            return;
        }
        const size_t bytes = has_replayed ? effect_bytes(replay, machine, index, NULL) : 0;
        if (bytes == codec->at - before && memcmp(recorded, replay->bytes, bytes) == 0) {
            outcome->effects++;
            if (replay->log != NULL) {
                mkv_trace_print_effect(&replay->trace, trace_machine(machine),
                                       &replay->effects[index]);
            }
            continue;
        }
        if (has_replayed) {
            (void)effect_bytes(replay, machine, index, &outcome->replayed);
        }
        outcome->has_recorded = has_recorded;
        outcome->has_replayed = has_replayed;
        stop(replay, MKV_REPLAY_DEPARTED, machine, "%s",
             !has_recorded   ? "an effect that was not there"
             : !has_replayed ? "an effect is missing"
                             : "an effect is another");
        return;
    }
}

/* ---- inputs --------------------------------------------------------------------------------- */

/* Puts the units of a read to where the drive had put them. */
static bool place_units(struct replay *replay, struct mkv_codec *codec, uint32_t machine) {
    bool has_units = false;
    mkv_codec_bool(codec, &has_units);
    if (!has_units) {
        return !codec->failed;
    }
    uint64_t offset = 0;
    uint32_t unit_count = 0;
    mkv_codec_u64(codec, &offset);
    mkv_codec_u32(codec, &unit_count);
    struct machine *owner = &replay->machines[machine];
    if (codec->failed || owner->volume == NULL) {
        return false;
    }
    uint8_t *arena = mkv_volume_arena(owner->volume);
    const uint64_t arena_bytes = owner->bytes - (size_t)(arena - owner->memory);
    if (offset > arena_bytes || (arena_bytes - offset) / MKV_UNIT_BYTES < unit_count) {
        return false;
    }
    mkv_codec_units(codec, arena + offset, unit_count);
    return !codec->failed;
}

static void step(struct replay *replay, struct mkv_codec *codec) {
    struct mkv_replay_outcome *outcome = replay->outcome;
    uint32_t machine = 0;
    if (!machine_read(replay, codec, &machine) || !drained(replay, machine)) {
        return;
    }
    struct mkv_input input;
    mkv_record_input_read(codec, &replay->storage, &input);
    const bool good = place_units(replay, codec, machine) && codec->at == codec->count;
    outcome->inputs++;
    outcome->inputs_of[machine]++;
    replay->stepping = machine;
    replay->machines[machine].input = outcome->inputs;
    replay->machines[machine].now_ns = input.now_ns;
    replay->machines[machine].wall_ms = input.wall_ms;
    if (!good) {
        malformed(replay, "it has an input that cannot be read");
        return;
    }
    replay->trace.now_ns = input.now_ns;
    if (replay->log != NULL) {
        mkv_trace_print_input(&replay->trace, trace_machine(machine), &input);
    }
    const enum mkv_err result = machine == MKV_RECORD_MACHINE_FRONT
                                    ? mkv_front_step(replay->front, &input)
                                    : mkv_volume_step(replay->machines[machine].volume, &input);
    replay->machines[machine].result = result;
    replay->result_awaited = result != MKV_OK;
}

static void compare_result(struct replay *replay, struct mkv_codec *codec) {
    uint32_t machine = 0;
    uint32_t recorded = 0;
    if (!machine_read(replay, codec, &machine)) {
        return;
    }
    mkv_codec_u32(codec, &recorded);
    const uint32_t replayed = (uint32_t)replay->machines[machine].result;
    replay->result_awaited = false;
    if (codec->failed || recorded != replayed) {
        stop(replay, MKV_REPLAY_DEPARTED, machine, "the step returned %u, and %u when recorded",
             replayed, recorded);
    }
}

static void route(struct replay *replay, struct mkv_codec *codec) {
    uint32_t volume = 0;
    uint32_t state = 0;
    mkv_codec_u32(codec, &volume);
    mkv_codec_u32(codec, &state);
    if (codec->failed || replay->front == NULL || volume >= replay->front_config.volume_count ||
        state > MKV_FRONT_VOLUME_ABSENT) {
        malformed(replay, "it tells the front of a volume or a state that there is not");
        return;
    }
    if (replay->log != NULL) {
        static const char *const names[] = {"offline", "online", "absent"};
        fprintf(replay->log, "%12llu  front    ** volume %u is %s\n",
                (unsigned long long)replay->trace.now_ns, volume, names[state]);
    }
    mkv_front_volume_set_state(replay->front, volume, (enum mkv_front_volume_state)state);
}

static void end(struct replay *replay, struct mkv_codec *codec) {
    uint32_t reason = 0;
    mkv_codec_u32(codec, &reason);
    if (codec->failed || reason < MKV_RECORD_END_CLOSED || reason > MKV_RECORD_END_MEMORY) {
        malformed(replay, "its end has a reason that there is not");
        return;
    }
    replay->outcome->end = (enum mkv_record_end)reason;
    /* Any other end may stand between an input and its effects. */
    if (reason == MKV_RECORD_END_CLOSED) {
        for (uint32_t machine = 0; machine < replay->machine_count && !replay->over; machine++) {
            (void)drained(replay, machine);
        }
    }
    replay->over = true;
}

/* ---- the run -------------------------------------------------------------------------------- */

static void take_entry(struct replay *replay, const uint8_t *entry, size_t bytes) {
    struct mkv_codec codec = mkv_codec_reader(entry + 1, bytes - 1);
    const enum mkv_record_entry kind = (enum mkv_record_entry)entry[0];
    if (replay->result_awaited && kind != MKV_RECORD_RESULT) {
        stop(replay, MKV_REPLAY_DEPARTED, replay->stepping,
             "the step returned %u, and 0 when recorded",
             (unsigned)replay->machines[replay->stepping].result);
        return;
    }
    switch (kind) {
    case MKV_RECORD_FRONT:
        make_front(replay, &codec);
        return;
    case MKV_RECORD_VOLUME:
        make_volume(replay, &codec);
        return;
    case MKV_RECORD_INPUT:
        step(replay, &codec);
        return;
    case MKV_RECORD_RESULT:
        compare_result(replay, &codec);
        return;
    case MKV_RECORD_EFFECTS:
        compare_effects(replay, &codec);
        return;
    case MKV_RECORD_ROUTE:
        route(replay, &codec);
        return;
    case MKV_RECORD_END:
        end(replay, &codec);
        return;
    }
    malformed(replay, "it has an entry of a kind that there is not");
}

static void take_entries(struct replay *replay) {
    const uint8_t *entry;
    size_t bytes;
    while (!replay->over && mkv_record_file_next(replay->file, &entry, &bytes)) {
        take_entry(replay, entry, bytes);
    }
}

/* Whether the record ends behind the input, with a program that ended itself. */
static bool crashed_next(struct mkv_record_file *file) {
    const uint8_t *entry;
    size_t bytes;
    return mkv_record_file_next(file, &entry, &bytes) && bytes == 2 && entry[0] == MKV_RECORD_END &&
           entry[1] == MKV_RECORD_END_CRASH;
}

void mkv_record_replay(struct mkv_record_file *file, FILE *log,
                       struct mkv_replay_outcome *outcome) {
    memset(outcome, 0, sizeof *outcome);
    struct replay *replay = calloc(1, sizeof *replay);
    MKV_ASSERT(replay != NULL);
    replay->file = file;
    replay->log = log;
    replay->outcome = outcome;
    replay->trace.log = log;
    mkv_record_file_rewind(file);
    struct mkv_trap *trap = calloc(1, sizeof *trap);
    MKV_ASSERT(trap != NULL);
    mkv_trap_set(trap);
    if (setjmp(trap->jump) == 0) {
        take_entries(replay);
        mkv_trap_set(NULL);
    } else {
        stop(replay, MKV_REPLAY_ASSERTED, replay->stepping, "%s", trap->failure.text);
        outcome->crashed_too = crashed_next(file);
    }
    outcome->machine_count = replay->machine_count;
    outcome->cut = file->cut;
    outcome->damaged = file->damaged;
    outcome->chunk_number = file->chunk_number;
    outcome->chunk_at = file->at;
    for (uint32_t index = 0; index < MKV_REPLAY_MACHINES_MAX; index++) {
        if (replay->memories[index].bytes != NULL) {
            mkv_memory_destroy(&replay->memories[index]);
        }
    }
    free(trap);
    free(replay);
}

/* ---- for people ----------------------------------------------------------------------------- */

bool mkv_record_replay_print_input(struct mkv_record_file *file, uint64_t number, FILE *out) {
    struct mkv_record_storage *storage = calloc(1, sizeof *storage);
    MKV_ASSERT(storage != NULL);
    const uint8_t *entry;
    size_t bytes;
    uint64_t count = 0;
    mkv_record_file_rewind(file);
    while (count < number && mkv_record_file_next(file, &entry, &bytes)) {
        count += entry[0] == MKV_RECORD_INPUT;
    }
    if (count == number && number > 0) {
        struct mkv_codec codec = mkv_codec_reader(entry + 1, bytes - 1);
        struct mkv_input input;
        uint32_t machine = 0;
        mkv_codec_u32(&codec, &machine);
        mkv_record_input_read(&codec, storage, &input);
        const struct mkv_trace trace = {.log = out, .now_ns = input.now_ns};
        mkv_trace_print_input(&trace, trace_machine(machine), &input);
    }
    free(storage);
    return count == number && number > 0;
}

static void print_sum(const struct mkv_root *sum, FILE *out) {
    for (size_t index = 0; index < sizeof sum->bytes; index++) {
        fprintf(out, "%02x", sum->bytes[index]);
    }
}

static void print_root(const char *name, const struct mkv_root *root, FILE *out) {
    fprintf(out, " %s ", name);
    print_sum(root, out);
}

/* What the line of the effect leaves out, so that no two that differ look the same. */
static void print_rest(const struct mkv_effect *effect, FILE *out) {
    switch (effect->kind) {
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
        fprintf(out, "             at %llu of the arena, chunks of %u bytes\n",
                (unsigned long long)effect->drive.meta_offset, effect->drive.chunk_bytes);
        return;
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
        fprintf(out, "             of %llu bytes", (unsigned long long)effect->transfer.length);
        print_root("root", &effect->transfer.root, out);
        fputc('\n', out);
        return;
    case MKV_EFFECT_MESSAGE:
        fprintf(
            out,
            "             volume %u tenant %u slab offset %u expiry %u lease %llu ns count %llu "
            "session %llu tier hint %u action %u data at %llu\n            ",
            effect->message.volume, effect->message.tenant, effect->message.slab_offset,
            effect->message.expiry_s, (unsigned long long)effect->message.lease_ns,
            (unsigned long long)effect->message.count, (unsigned long long)effect->message.session,
            effect->message.tier_hint, (unsigned)effect->message.action,
            (unsigned long long)effect->message.data_offset);
        print_root("root", &effect->message.root, out);
        print_root("replaces", &effect->message.replaces, out);
        fprintf(out, "\n             value of %llu bytes",
                (unsigned long long)effect->message.value_length);
        print_root("root", &effect->message.value_root, out);
        fputc('\n', out);
        return;
    case MKV_EFFECT_ANSWER:
        fprintf(out, "             op %u.%u results at %llu of the arena\n", effect->op.index,
                effect->op.generation, (unsigned long long)effect->answer.results_offset);
        return;
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM:
    case MKV_EFFECT_FAIL_DRIVE:
    case MKV_EFFECT_BREAK:
    case MKV_EFFECT_EVENT:
    case MKV_EFFECT_REQUEST_ENDED:
        return;
    }
}

void mkv_record_replay_print_effect(const struct mkv_record_effect *effect, uint32_t machine,
                                    uint64_t now_ns, FILE *out) {
    const struct mkv_trace trace = {.log = out, .now_ns = now_ns};
    mkv_trace_print_effect(&trace, trace_machine(machine), &effect->effect);
    print_rest(&effect->effect, out);
    if (effect->effect.kind == MKV_EFFECT_ANSWER) {
        for (uint32_t index = 0; index < effect->effect.answer.result_count; index++) {
            const struct mkv_item_result *result = &effect->results[index];
            fprintf(out, "             result %u: status %u miss %u length %llu leased %u", index,
                    (unsigned)result->status, (unsigned)result->miss,
                    (unsigned long long)result->length, result->leased);
            print_root("root", &result->root, out);
            fputc('\n', out);
        }
    }
    if (effect->byte_count > 0) {
        fprintf(out, "             names %u bytes with XXH3-128 ", effect->byte_count);
        print_sum(&effect->sum, out);
        fputc('\n', out);
    }
}
