/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One io_uring for all that a shard's thread does with the kernel: drives and fabric share it, so
 * that one call submits and waits for both. An owner embeds a mkv_ring_completion in its operation,
 * takes a submission entry for it, prepares the entry with liburing, and is called back:
 *
 *     sqe = mkv_ring_sqe(ring, &operation->completion);
 *     io_uring_prep_recv(sqe, fd, bytes, byte_count, 0);     (flags such as IOSQE_FIXED_FILE after)
 *       …
 *     mkv_ring_wait(ring, timeout_ns)  ->  operation->completion.done(&operation->completion, …)
 *
 *     create --> register files and buffers --> first entry or wait: this thread owns the ring
 *                                                 |
 *                        wait <-> done callbacks -+--> destroy (nothing in flight)
 *
 * Invariants
 *  I1  The thread that first takes an entry, submits or waits owns the ring from then on; every
 * call but mkv_ring_wake is made by it. Before that any one thread may set the ring up. I2  A
 * completion stays where it is until its last callback: the one without IORING_CQE_F_MORE. In that
 * callback the owner may reuse or free it. I3  Callbacks run inside mkv_ring_wait and nowhere else;
 * they may take and submit entries but not wait. I4  A prepared entry is submitted at the latest by
 * the next mkv_ring_wait. I5  An entry is prepared in full before the next call of this module,
 * which may submit it.
 *
 * Not responsible for: what an entry does, nor for its errors: `result` is passed as it came,
 * negative errno values included.
 */
#ifndef MKV_BACKENDS_RING_H
#define MKV_BACKENDS_RING_H

#include <liburing.h>

#include "backends/error.h"
#include "core/base.h"

struct mkv_ring;

struct mkv_ring_completion {
    void (*done)(struct mkv_ring_completion *completion, int32_t result, uint32_t flags);
    /* Set by the ring: when it handed the last entry to the kernel and, in the callback, when it
     * saw the completion, which may have waited behind the callbacks of others since. */
    uint64_t submitted_ns;
    uint64_t arrived_ns;
};

/* What somebody wants to be called for before entries go to the kernel, to prepare what it has held
 * back so far. It is its owner's memory. */
struct mkv_ring_hook {
    void (*before)(struct mkv_ring_hook *hook);
    struct mkv_ring_hook *next; /* the ring's */
};

/* A place that a caller could not get in the table of registered files or buffers. */
#define MKV_RING_NOT_REGISTERED (-1)
/* io_uring refuses a larger registered buffer. */
#define MKV_RING_BUFFER_BYTES_MAX (1ull * MKV_GIB)
/* One callback round of mkv_ring_wait handles at most this many completions. */
#define MKV_RING_DISPATCH_MAX 1024u
/* … and lets so many of them do what takes a core milliseconds. */
#define MKV_RING_COSTLY_MAX 4u
#define MKV_RING_WAIT_FOREVER UINT64_MAX

struct mkv_ring_options {
    uint32_t entries;     /* of the submission queue, a power of two up to 32768; 0: 512 */
    uint32_t completions; /* of the completion queue, at least the operations that can be in flight
                           * at once; a power of two up to 65536; 0: 8 times `entries` */
    uint32_t files_max;   /* places for registered files; 0: none */
    uint32_t buffers_max; /* places for registered buffers, at most 16384; 0: none */
    /* Called by mkv_ring_wait after one or more mkv_ring_wake; may be NULL. */
    void (*woken)(void *context);
    void *woken_context;
};

struct mkv_ring_counters {
    uint64_t submitted;     /* entries handed to the kernel */
    uint64_t completed;     /* completions dispatched */
    uint64_t enters;        /* system calls that submit or wait */
    uint64_t submit_stalls; /* times that the queue was full and the kernel took nothing */
    uint64_t wakes;         /* times that mkv_ring_wake ended a wait */
};

/*
 * Makes a ring with the cheapest way of completing that this kernel offers. When io_uring is
 * refused the error says by whom (seccomp, kernel.io_uring_disabled, a limit) and the remedy.
 */
__attribute__((warn_unused_result)) bool mkv_ring_create(const struct mkv_ring_options *options,
                                                         struct mkv_ring **ring,
                                                         struct mkv_backend_error *error);
/* Closes the ring. Owners have seen all their completions before. NULL is allowed. */
void mkv_ring_destroy(struct mkv_ring *ring);

/*
 * The next submission entry, whose completions go to `completion` (NULL: to nobody). Never NULL:
 * when the queue is full it is submitted first. Take it, prepare it, set its flags; user_data is
 * set already and liburing's io_uring_prep_… leave it alone.
 */
struct io_uring_sqe *mkv_ring_sqe(struct mkv_ring *ring, struct mkv_ring_completion *completion);

/* Calls `hook->before` at the begin of each mkv_ring_submit and mkv_ring_wait, until it is removed.
 * It may take entries, and not wait or submit. */
void mkv_ring_hook_add(struct mkv_ring *ring, struct mkv_ring_hook *hook);
void mkv_ring_hook_remove(struct mkv_ring *ring, struct mkv_ring_hook *hook);

/* Hands the prepared entries to the kernel now rather than with the next wait. */
void mkv_ring_submit(struct mkv_ring *ring);

/* Others wait for what is prepared, or is about to be by a hook: it is to be handed over before
 * anything that takes long. mkv_ring_submit_hurried does that, and nothing where nobody asked. */
void mkv_ring_hurry(struct mkv_ring *ring);
void mkv_ring_submit_hurried(struct mkv_ring *ring);

/*
 * Submits, waits until there is a completion, a wake or the timeout (0: does not wait), then calls
 * back for what has completed, at most MKV_RING_DISPATCH_MAX. Returns the number of callbacks and
 * wakes; 0 after a timeout or a signal. With a timeout of 0, nothing prepared, and nothing for the
 * kernel to do it is no system call.
 */
uint32_t mkv_ring_wait(struct mkv_ring *ring, uint64_t timeout_ns);

/* Whether a callback of this round may do something costly, which counts; else it comes back in
 * the next one, so that others have their turn. */
bool mkv_ring_take_costly(struct mkv_ring *ring);

/* Ends the current or next wait. Safe from any thread and from a signal handler. */
void mkv_ring_wake(struct mkv_ring *ring);

/*
 * Registers an open file for entries with IOSQE_FIXED_FILE, whose `fd` is then the place returned;
 * MKV_RING_NOT_REGISTERED when there is no place: use the file descriptor itself. The ring holds
 * the file open until mkv_ring_file_remove, and that until its operations in flight have ended.
 */
int32_t mkv_ring_file_add(struct mkv_ring *ring, int fd);
/* Gives a place back; MKV_RING_NOT_REGISTERED is allowed. */
void mkv_ring_file_remove(struct mkv_ring *ring, int32_t place);

/*
 * Registers up to 1 GiB of memory for READ_FIXED, WRITE_FIXED and SEND_ZC, whose buf_index is then
 * the place returned. MKV_RING_NOT_REGISTERED when that is refused (`*error_number` says why, most
 * often ENOMEM for RLIMIT_MEMLOCK): use plain operations. The memory outlives the ring.
 */
int32_t mkv_ring_buffer_add(struct mkv_ring *ring, void *base, size_t byte_count,
                            int *error_number);

/* Whether this kernel knows the operation, an IORING_OP_…. */
bool mkv_ring_supports(const struct mkv_ring *ring, unsigned operation);

/* "SINGLE_ISSUER|COOP_TASKRUN|DEFER_TASKRUN", "COOP_TASKRUN" or "none": for the log. */
const char *mkv_ring_mode(const struct mkv_ring *ring);
const struct mkv_ring_counters *mkv_ring_counters(const struct mkv_ring *ring);

#endif
