/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"
#include "core/bytes.h"
#include "record/machine_codec.h"
#include "server/recorder_ring.h"

/* What the END entry may take of room that others leave. */
#define END_BYTES 64u
/* An entry without units that were read; effects come in batches, each of bounded size. */
#define ENTRY_BYTES_MIN (MKV_RECORD_INPUT_BYTES_MAX + 64u * MKV_RECORD_EFFECT_BYTES_MAX)
#define CRASH_POLL_NS (1000l * 1000l)

/* A read of metadata that is in flight: the machine will look at its units. Of a payload it
 * has the sums alone. */
struct meta_read {
    uint32_t machine;
    struct mkv_op_id op;
    uint64_t offset;
    uint32_t unit_count;
};

struct mkv_recorder {
    struct mkv_recorder_options options;
    char *path;
    char program[MKV_RECORD_PROGRAM_BYTES + 1];
    int fd;
    bool begun;
    bool open;      /* entries are taken */
    bool appending; /* an entry is on its way into the ring: a crash now leaves a piece of it */
    enum mkv_record_end reason;
    uint64_t inputs;
    uint64_t tick_ns; /* of the last seal by time */
    uint8_t *entry;
    size_t entry_bytes;
    struct meta_read *reads;
    uint32_t read_count;
    uint32_t read_max;
    struct mkv_recorder_ring ring;
};

/* A fault of the core knows no context, so the way to the record has to be found from here. */
static _Thread_local struct mkv_recorder *recorder_of_thread;

/* ---- entries -------------------------------------------------------------------------------- */

static struct mkv_codec entry_begin(struct mkv_recorder *recorder, enum mkv_record_entry kind) {
    struct mkv_codec codec = mkv_codec_writer(recorder->entry + MKV_RECORD_LENGTH_BYTES,
                                              recorder->entry_bytes - MKV_RECORD_LENGTH_BYTES);
    uint8_t byte = (uint8_t)kind;
    mkv_codec_raw(&codec, &byte, 1);
    return codec;
}

/* Puts the entry into the ring, where there is room. */
static void entry_put(struct mkv_recorder *recorder, const struct mkv_codec *codec) {
    mkv_store_u32(recorder->entry, (uint32_t)codec->at);
    recorder->appending = true;
    mkv_recorder_ring_append(&recorder->ring, recorder->entry, MKV_RECORD_LENGTH_BYTES + codec->at);
    recorder->appending = false;
}

/* The last entry; whoever appends leaves room for it. Safe in a signal handler. */
static void end(struct mkv_recorder *recorder, enum mkv_record_end reason) {
    recorder->open = false;
    recorder->reason = reason;
    uint32_t number = (uint32_t)reason;
    struct mkv_codec codec = entry_begin(recorder, MKV_RECORD_END);
    mkv_codec_u32(&codec, &number);
    MKV_ASSERT(!codec.failed);
    if (!recorder->appending) {
        entry_put(recorder, &codec);
    }
    mkv_recorder_ring_finish(&recorder->ring);
}

static void entry_end(struct mkv_recorder *recorder, const struct mkv_codec *codec) {
    const struct mkv_recorder_ring *ring = &recorder->ring;
    const uint64_t bytes = MKV_RECORD_LENGTH_BYTES + codec->at;
    if (atomic_load(&ring->error_number) != 0) {
        recorder->open = false; /* its thread has told */
    } else if (codec->failed) {
        end(recorder, MKV_RECORD_END_MEMORY);
    } else if (mkv_recorder_ring_bytes(ring, bytes + END_BYTES) > recorder->options.bytes_max) {
        end(recorder, MKV_RECORD_END_SIZE);
    } else if (mkv_recorder_ring_room(ring) < bytes + END_BYTES) {
        end(recorder, MKV_RECORD_END_SLOW);
    } else {
        entry_put(recorder, codec);
    }
}

/* Room for an entry with so many units; false when there is no memory. */
static bool entry_reserve(struct mkv_recorder *recorder, uint32_t unit_count) {
    const size_t bytes = ENTRY_BYTES_MIN + (size_t)unit_count * MKV_CODEC_UNIT_BYTES_MAX;
    if (bytes <= recorder->entry_bytes) {
        return true;
    }
    uint8_t *larger = realloc(recorder->entry, bytes);
    if (larger == NULL) {
        return false;
    }
    recorder->entry = larger;
    recorder->entry_bytes = bytes;
    return true;
}

/* ---- reads of metadata ---------------------------------------------------------------------- */

static bool is_meta_read(const struct mkv_effect *effect) {
    return effect->kind == MKV_EFFECT_DRIVE_READ && effect->drive.memory == MKV_DRIVE_META &&
           effect->drive.payload_bytes == 0;
}

static bool reads_add(struct mkv_recorder *recorder, uint32_t machine,
                      const struct mkv_effect *effect) {
    if (recorder->read_count == recorder->read_max) {
        const uint32_t max = recorder->read_max * 2 + 64;
        struct meta_read *larger = realloc(recorder->reads, max * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        recorder->reads = larger;
        recorder->read_max = max;
    }
    recorder->reads[recorder->read_count++] = (struct meta_read){
        .machine = machine,
        .op = effect->op,
        .offset = effect->drive.meta_offset,
        .unit_count = effect->drive.unit_count,
    };
    return true;
}

/* Whether the completion is one of them; then takes it out. */
static bool reads_take(struct mkv_recorder *recorder, uint32_t machine, struct mkv_op_id op,
                       struct meta_read *read) {
    for (uint32_t index = 0; index < recorder->read_count; index++) {
        *read = recorder->reads[index];
        if (read->machine == machine && read->op.index == op.index &&
            read->op.generation == op.generation) {
            recorder->reads[index] = recorder->reads[--recorder->read_count];
            return true;
        }
    }
    return false;
}

/* ---- what the pump tells -------------------------------------------------------------------- */

void mkv_recorder_input(struct mkv_recorder *recorder, uint32_t machine,
                        const struct mkv_input *input, const uint8_t *arena) {
    if (!recorder->open) {
        return;
    }
    struct meta_read read;
    bool has_units = machine != MKV_RECORD_MACHINE_FRONT && input->kind == MKV_INPUT_DRIVE_DONE &&
                     reads_take(recorder, machine, input->drive.op, &read);
    if (has_units && !entry_reserve(recorder, read.unit_count)) {
        end(recorder, MKV_RECORD_END_MEMORY);
        return;
    }
    struct mkv_codec codec = entry_begin(recorder, MKV_RECORD_INPUT);
    mkv_codec_u32(&codec, &machine);
    mkv_record_input_write(&codec, input);
    mkv_codec_bool(&codec, &has_units);
    if (has_units) {
        /* Whatever the result: the machine may look at what it asked for. */
        mkv_codec_u64(&codec, &read.offset);
        mkv_codec_u32(&codec, &read.unit_count);
        mkv_codec_units(&codec, (uint8_t *)(uintptr_t)(arena + read.offset), read.unit_count);
    }
    entry_end(recorder, &codec);
    if (recorder->open) { /* else the other thread may be reading it */
        recorder->inputs++;
    }
}

void mkv_recorder_result(struct mkv_recorder *recorder, uint32_t machine, enum mkv_err error) {
    if (!recorder->open || error == MKV_OK) {
        return;
    }
    struct mkv_codec codec = entry_begin(recorder, MKV_RECORD_RESULT);
    mkv_codec_u32(&codec, &machine);
    MKV_CODEC_ENUM(&codec, mkv_err, error);
    entry_end(recorder, &codec);
}

void mkv_recorder_effects(struct mkv_recorder *recorder, uint32_t machine,
                          const struct mkv_effect *effects, uint32_t count, const uint8_t *arena) {
    if (!recorder->open) {
        return;
    }
    struct mkv_codec codec = entry_begin(recorder, MKV_RECORD_EFFECTS);
    mkv_codec_u32(&codec, &machine);
    mkv_codec_u32(&codec, &count);
    for (uint32_t index = 0; index < count; index++) {
        const struct mkv_effect *effect = &effects[index];
        mkv_record_effect_write(&codec, effect, arena);
        if (is_meta_read(effect) && !reads_add(recorder, machine, effect)) {
            end(recorder, MKV_RECORD_END_MEMORY);
            return;
        }
    }
    entry_end(recorder, &codec);
}

void mkv_recorder_route(struct mkv_recorder *recorder, uint32_t volume,
                        enum mkv_front_volume_state state) {
    if (!recorder->open) {
        return;
    }
    struct mkv_codec codec = entry_begin(recorder, MKV_RECORD_ROUTE);
    mkv_codec_u32(&codec, &volume);
    MKV_CODEC_ENUM(&codec, mkv_front_volume_state, state);
    entry_end(recorder, &codec);
}

void mkv_recorder_tick(struct mkv_recorder *recorder, uint64_t now_ns) {
    if (recorder->open && now_ns >= recorder->tick_ns + MKV_RECORDER_SEAL_NS &&
        mkv_recorder_ring_room(&recorder->ring) > MKV_RECORD_BODY_BYTES_MAX) {
        /* A chunk is left behind the one that is sealed short: the END entry has its room there. */
        recorder->tick_ns = now_ns;
        mkv_recorder_ring_seal(&recorder->ring);
    }
}

/* ---- the end of the process ----------------------------------------------------------------- */

/* Only what is safe in a handler. It is taken off by then: behind it the fault strikes again. */
static void on_crash(int number) {
    (void)number;
    struct mkv_recorder *recorder = recorder_of_thread;
    recorder_of_thread = NULL;
    if (recorder == NULL || !recorder->open) {
        return;
    }
    end(recorder, MKV_RECORD_END_CRASH);
    struct mkv_recorder_ring *ring = &recorder->ring;
    const struct timespec pause = {.tv_nsec = CRASH_POLL_NS};
    for (uint64_t waited_ns = 0; waited_ns < MKV_RECORDER_CRASH_NS; waited_ns += CRASH_POLL_NS) {
        if (atomic_load(&ring->written) == atomic_load(&ring->sealed) ||
            atomic_load(&ring->error_number) != 0) {
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
}

void mkv_recorder_attach(struct mkv_recorder *recorder) {
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    recorder_of_thread = recorder;
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    sigset_t set;
    sigemptyset(&action.sa_mask);
    sigemptyset(&set);
    for (size_t index = 0; index < sizeof numbers / sizeof numbers[0]; index++) {
        sigaddset(&set, numbers[index]);
        const int result = sigaction(numbers[index], &action, NULL);
        MKV_ASSERT(result == 0);
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- making and ending ---------------------------------------------------------------------- */

static void ring_drained(void *context) {
    struct mkv_recorder *recorder = context;
    struct mkv_recorder_ring *ring = &recorder->ring;
    const int error_number = atomic_load(&ring->error_number);
    if (error_number == 0 && recorder->reason == MKV_RECORD_END_CRASH) {
        return; /* the other thread may hold any lock */
    }
    const struct mkv_recorder_ended ended = {
        .error_number = error_number,
        .reason = error_number == 0 ? recorder->reason : (enum mkv_record_end)0,
        .bytes = atomic_load(&ring->file_bytes),
        .inputs = error_number == 0 ? recorder->inputs : 0,
    };
    recorder->options.ended(recorder->options.ended_context, &ended);
}

static bool refuse_file(const char *path, int error_number, struct mkv_backend_error *error) {
    if (error_number == EEXIST) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "--record: %s exists, and a record is never written over. Name "
                                  "another file, or move this one away",
                                  path);
    }
    const bool permission = error_number == EACCES || error_number == EPERM;
    return mkv_backend_refuse(error, permission ? MKV_BACKEND_PERMISSION : MKV_BACKEND_IO,
                              "--record: cannot create %s: %s. Name a file in a folder that this "
                              "user may write to",
                              path, strerror(error_number));
}

bool mkv_recorder_create(const struct mkv_recorder_options *options,
                         struct mkv_recorder **recorder_out, struct mkv_backend_error *error) {
    MKV_ASSERT(options->bytes_max >= MKV_RECORDER_BYTES_MIN);
    MKV_ASSERT(strlen(options->core) == MKV_RECORD_CORE_BYTES);
    struct mkv_recorder *recorder = calloc(1, sizeof *recorder);
    char *path = strdup(options->path);
    if (recorder == NULL || path == NULL) {
        free(recorder);
        free(path);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for --record. Free memory on this machine");
    }
    recorder->options = *options;
    recorder->path = path;
    memcpy(recorder->program, options->program,
           mkv_min_u64(strlen(options->program), MKV_RECORD_PROGRAM_BYTES));
    recorder->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (recorder->fd < 0) {
        const int error_number = errno;
        refuse_file(path, error_number, error);
        free(path);
        free(recorder);
        return false;
    }
    *recorder_out = recorder;
    return true;
}

static bool write_header(struct mkv_recorder *recorder, struct mkv_backend_error *error) {
    struct mkv_record_header header = {.wall_ms = mkv_clock_wall_ms()};
    memcpy(header.core, recorder->options.core, MKV_RECORD_CORE_BYTES);
    memcpy(header.program, recorder->program, sizeof header.program);
    uint8_t bytes[MKV_RECORD_HEADER_BYTES];
    mkv_record_header_encode(&header, bytes);
    if (write(recorder->fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes) {
        return mkv_backend_refuse(
            error, MKV_BACKEND_IO,
            "--record: cannot write %s: %s. Name a file on a file system with "
            "room",
            recorder->path, strerror(errno));
    }
    return true;
}

bool mkv_recorder_begin(struct mkv_recorder *recorder, const struct mkv_front_config *front,
                        uint32_t volume_count, const struct mkv_volume_config *volumes,
                        struct mkv_backend_error *error) {
    MKV_ASSERT(!recorder->begun);
    recorder->ring.drained = ring_drained;
    recorder->ring.context = recorder;
    if (!entry_reserve(recorder, 0)) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for --record. Free memory on this machine");
    }
    if (!write_header(recorder, error) ||
        !mkv_recorder_ring_start(&recorder->ring, recorder->fd, MKV_RECORD_HEADER_BYTES, error)) {
        return false;
    }
    recorder->begun = true;
    recorder->open = true;
    struct mkv_front_config front_copy = *front;
    struct mkv_codec codec = entry_begin(recorder, MKV_RECORD_FRONT);
    mkv_record_front_config(&codec, &front_copy);
    entry_end(recorder, &codec);
    for (uint32_t index = 0; index < volume_count; index++) {
        struct mkv_volume_config copy = volumes[index];
        codec = entry_begin(recorder, MKV_RECORD_VOLUME);
        mkv_record_volume_config(&codec, &copy);
        entry_end(recorder, &codec);
    }
    MKV_ASSERT(recorder->open); /* MKV_RECORDER_BYTES_MIN has room for them */
    return true;
}

void mkv_recorder_destroy(struct mkv_recorder *recorder) {
    if (recorder == NULL) {
        return;
    }
    if (recorder->open) {
        end(recorder, MKV_RECORD_END_CLOSED);
    }
    mkv_recorder_ring_end(&recorder->ring);
    if (!recorder->begun) {
        (void)unlink(recorder->path);
    }
    (void)close(recorder->fd);
    free(recorder->reads);
    free(recorder->entry);
    free(recorder->path);
    free(recorder);
}
