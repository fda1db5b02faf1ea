/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder of a shard: it writes down what goes into the machines and what comes out, in the
 * format of record/format.h, while they serve.
 *
 *   shard's thread                                  recorder's thread
 *   input, result, effects, route -> entries -> ring of chunks -> write(2) -> file
 *
 *   create (makes the file) --> begin (configurations) --> entries --> ended, by itself or destroy
 *
 * Invariants
 *  I1  The shard never waits for the file. What it cannot take ends the recording: a ring that is
 *      full, the largest size, an error of a write. The node serves on.
 *  I2  However it ends, the file holds whole chunks, and replays to its end.
 *  I3  An entry is in the ring at most MKV_RECORDER_SEAL_NS before it goes to the file, and before
 *      the process ends by an assertion or a fault of memory of the shard's thread, it has gone.
 *  I4  The file is new, and its owner's alone.
 *
 * Not responsible for: what an end means for the node, nor for keeping the file when power fails.
 */
#ifndef MKV_SERVER_RECORDER_H
#define MKV_SERVER_RECORDER_H

#include "backends/error.h"
#include "core/front.h"
#include "core/volume.h"
#include "record/format.h"

/* Memory that bursts go to: 16 MiB. */
#define MKV_RECORDER_RING_CHUNKS 256u
#define MKV_RECORDER_SEAL_NS (100ull * 1000000u)
/* How long a process that ends itself waits for the file to take the ring. */
#define MKV_RECORDER_CRASH_NS (2000ull * 1000000u)
/* A file may be limited to no less than this. */
#define MKV_RECORDER_BYTES_MIN (1024ull * 1024u)

struct mkv_recorder;

/* How a recording ended. */
struct mkv_recorder_ended {
    int error_number; /* of a write that failed; else 0, and `reason` says why */
    enum mkv_record_end reason;
    uint64_t bytes;  /* of the file */
    uint64_t inputs; /* in it; 0 where a write failed */
};

struct mkv_recorder_options {
    const char *path;    /* copied; there must be nothing yet */
    uint64_t bytes_max;  /* of the file, at least MKV_RECORDER_BYTES_MIN */
    const char *core;    /* mkv_core_archive_sha256 */
    const char *program; /* for people; copied */
    /* Once, on the recorder's thread; never when the process ends itself. */
    void (*ended)(void *context, const struct mkv_recorder_ended *ended);
    void *ended_context;
};

__attribute__((warn_unused_result)) bool mkv_recorder_create(
    const struct mkv_recorder_options *options, struct mkv_recorder **recorder,
    struct mkv_backend_error *error);
/* Ends the recording and waits until the file has everything. A file that was never begun is
 * removed. NULL is allowed. */
void mkv_recorder_destroy(struct mkv_recorder *recorder);

/* The machines as they are made; nothing may have been asked of them yet. */
__attribute__((warn_unused_result)) bool mkv_recorder_begin(struct mkv_recorder *recorder,
                                                            const struct mkv_front_config *front,
                                                            uint32_t volume_count,
                                                            const struct mkv_volume_config *volumes,
                                                            struct mkv_backend_error *error);
/* By the thread that steps the machines, before it does: I3. */
void mkv_recorder_attach(struct mkv_recorder *recorder);

/* ---- by that thread; `machine` is 0 for the front and 1 + its index for a volume ------------- */

/* Before the step. `arena` is the machine's. */
void mkv_recorder_input(struct mkv_recorder *recorder, uint32_t machine,
                        const struct mkv_input *input, const uint8_t *arena);
/* Behind the step. */
void mkv_recorder_result(struct mkv_recorder *recorder, uint32_t machine, enum mkv_err error);
/* Behind each call that handed out effects, before any of them is carried out. */
void mkv_recorder_effects(struct mkv_recorder *recorder, uint32_t machine,
                          const struct mkv_effect *effects, uint32_t count, const uint8_t *arena);
/* Before mkv_front_volume_set_state. */
void mkv_recorder_route(struct mkv_recorder *recorder, uint32_t volume,
                        enum mkv_front_volume_state state);
/* Now and then, so that entries do not wait for others. */
void mkv_recorder_tick(struct mkv_recorder *recorder, uint64_t now_ns);

#endif
