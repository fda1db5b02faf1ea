/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between a volume's pump and what carries out its drive operations: io_uring on a file or
 * block device here, a simulated drive or a test's wrapper elsewhere. An implementation embeds
 * struct mkv_drive as its first member and fills in `ops`; whoever makes the drive sets `complete`.
 *
 *     volume --DRIVE_READ, _WRITE, _FLUSH, _TRIM--> mkv_drive_submit
 *     volume <--DRIVE_DONE------------------------- complete(complete_context, done)
 *
 * Invariants
 *  I1  Every submitted effect is completed exactly once, with its op, and never inside submit.
 *  I2  Completions come in any order. A flush covers the writes that were *completed* before it was
 *      submitted, and promises nothing about others.
 *  I3  MKV_IO_OK means that all of the units were moved. After another result of a read the memory
 *      holds anything; after one of a write, the drive may hold any mixture of old and new sectors;
 *      after any result of a trim, it may hold anything.
 *  I4  What `done` points to is valid during the callback only. The callback may submit.
 *  I5  Nothing of the drive is touched, and no memory of an effect, after close.
 *
 * Not responsible for: the order of operations, which is the volume's, or for what a failure means.
 */
#ifndef MKV_BACKENDS_DRIVE_H
#define MKV_BACKENDS_DRIVE_H

#include "core/base.h"
#include "core/histogram.h"
#include "core/io.h"

enum mkv_drive_operation {
    MKV_DRIVE_OP_READ = 0,
    MKV_DRIVE_OP_WRITE,
    MKV_DRIVE_OP_FLUSH,
    MKV_DRIVE_OP_TRIM,
};
#define MKV_DRIVE_OP_COUNT 4u

/* One writer, the drive's thread; other threads read single fields, but the histograms, with
 * relaxed atomic loads. */
struct mkv_drive_operation_counters {
    uint64_t submitted;                    /* less completed: in flight */
    uint64_t completed;                    /* with any result */
    uint64_t results[MKV_IO_RESULT_COUNT]; /* by enum mkv_io_result */
    uint64_t bytes;                        /* of those that completed with MKV_IO_OK */
    uint64_t latency_ns;                   /* sum, from submit to just before the callback */
    uint64_t latency_ns_max;
    /* Of each that the medium was asked for: from when the kernel got it to when it said that it
     * was done. Neither the wait for a place in the queue nor the making of sums is in it. */
    struct mkv_histogram device;
};
/* Of the last operation that failed. */
struct mkv_drive_last_error {
    uint64_t wall_ms; /* Unix time; 0: none has failed */
    enum mkv_drive_operation operation;
    enum mkv_io_result result;
    int error_number; /* 0: a transfer ended before all of its units were moved */
};
struct mkv_drive_counters {
    struct mkv_drive_operation_counters operations[MKV_DRIVE_OP_COUNT];
    uint64_t in_flight; /* submitted, not completed */
    uint64_t in_flight_max;
    uint64_t waiting;         /* of these, not yet handed to the kernel: beyond the queue depth */
    uint64_t continued;       /* short, interrupted or refused transfers that were taken up again */
    uint64_t flushes_skipped; /* on a device without a volatile cache */
    uint64_t busy_ns;         /* with at least one in flight, up to busy_since_ns … */
    uint64_t busy_since_ns;   /* … and from then on, while there is one */
    struct mkv_drive_last_error last_error; /* the thread's own: others get copies */
};
/* All of it, up to now. */
static inline uint64_t mkv_drive_busy_ns(const struct mkv_drive_counters *counters,
                                         uint64_t now_ns) {
    const bool busy = counters->in_flight > 0 && now_ns > counters->busy_since_ns;
    return counters->busy_ns + (busy ? now_ns - counters->busy_since_ns : 0);
}

struct mkv_drive;

struct mkv_drive_ops {
    /* DRIVE_READ, DRIVE_WRITE, DRIVE_FLUSH or DRIVE_TRIM; the effect is copied. */
    void (*submit)(struct mkv_drive *drive, const struct mkv_effect *effect);
    /* Effects submitted and not yet completed, and what the drive does for itself. */
    uint32_t (*in_flight)(const struct mkv_drive *drive);
    /* Asserts that nothing is in flight; releases the medium, its lock and the drive itself. */
    void (*close)(struct mkv_drive *drive);
};

struct mkv_drive {
    const struct mkv_drive_ops *ops;
    void (*complete)(void *context, const struct mkv_drive_done *done);
    void *complete_context;
    uint64_t capacity_units;
    struct mkv_drive_counters counters;
};

static inline void mkv_drive_submit(struct mkv_drive *drive, const struct mkv_effect *effect) {
    MKV_ASSERT(drive->complete != NULL);
    drive->ops->submit(drive, effect);
}
static inline uint32_t mkv_drive_in_flight(const struct mkv_drive *drive) {
    return drive->ops->in_flight(drive);
}
static inline void mkv_drive_close(struct mkv_drive *drive) {
    drive->ops->close(drive);
}

/* Which of the four an effect is; asserts that it is one. */
enum mkv_drive_operation mkv_drive_operation_of(const struct mkv_effect *effect);

/* What an errno value (positive) of a drive operation means; the one place where that is said. */
enum mkv_io_result mkv_drive_result_of_errno(int error_number);

/*
 * Memory work that every implementation owes around its I/O, so that all do the same.
 *
 * `slab` is the header unit of the effect's slab. Before a write of MKV_DRIVE_SLOT: header from
 * `header_unit` (in the volume's arena), inline payload, zeroes behind the payload. After a read
 * that succeeded, into `memory`, the first of the units that were moved: inline payload, header and
 * sums into `done`; `sums` has room for MKV_CHUNKS_MAX.
 */
void mkv_drive_prepare_slot_write(const struct mkv_drive_effect *effect, const uint8_t *header_unit,
                                  uint8_t *slab);
void mkv_drive_finish_read(const struct mkv_drive_effect *effect, uint8_t *memory, uint64_t *sums,
                           struct mkv_drive_done *done);

/* ---- counting, for implementations ------------------------------------------------------------
 */

static inline void mkv_drive_counter_add(uint64_t *counter, uint64_t amount) {
    __atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}
/* When what happened to an effect, on the clock of mkv_clock_monotonic_ns. */
struct mkv_drive_times {
    uint64_t submitted_ns;
    uint64_t device_ns; /* how long the medium took; 0: it was not asked */
    uint64_t now_ns;
};
/* An effect came in, and one was completed. */
void mkv_drive_count_submitted(struct mkv_drive *drive, enum mkv_drive_operation operation,
                               uint64_t now_ns);
void mkv_drive_count_completed(struct mkv_drive *drive, enum mkv_drive_operation operation,
                               enum mkv_io_result result, uint64_t bytes,
                               const struct mkv_drive_times *times);

/* An operation has failed. */
static inline void mkv_drive_note_error(struct mkv_drive *drive, enum mkv_drive_operation operation,
                                        enum mkv_io_result result, int error_number,
                                        uint64_t wall_ms) {
    drive->counters.last_error = (struct mkv_drive_last_error){
        .wall_ms = wall_ms,
        .operation = operation,
        .result = result,
        .error_number = error_number,
    };
}

#endif
