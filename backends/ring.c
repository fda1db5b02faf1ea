/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/ring_refusal.h"

#define ENTRIES_DEFAULT 512u
#define ENTRIES_MAX 32768u
#define COMPLETIONS_FACTOR 8u
#define COMPLETIONS_MAX 65536u
#define BUFFERS_MAX 16384u
/* The kernel takes no entry only while it finds no memory for the request; each try makes room by
 * finishing what is done. */
#define SUBMIT_TRIES_MAX 10000u

struct ring_mode {
    unsigned flags;
    const char *name;
};

/* From the cheapest way of completing to the one that every kernel has. A kernel that does not know
 * a flag answers EINVAL, and the next one is tried. SINGLE_ISSUER binds the ring to a thread when
 * the ring is enabled, hence R_DISABLED: it may be set up by another thread (I1). */
static const struct ring_mode ring_modes[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN |
         IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
     "SINGLE_ISSUER|COOP_TASKRUN|DEFER_TASKRUN"},
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_SUBMIT_ALL,
     "SINGLE_ISSUER|COOP_TASKRUN"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
     "COOP_TASKRUN"},
    {0, "none"},
};

struct mkv_ring {
    struct io_uring uring;
    const struct ring_mode *mode;
    struct io_uring_probe *probe;
    bool enabled;
    uint32_t costly_count; /* of this round */
    bool dispatching;
    bool hurried; /* something is to be submitted before anything that takes long */

    int wake_fd;
    uint64_t wake_value; /* where the read of wake_fd goes; how often it was woken is of no use */
    struct mkv_ring_completion wake;
    void (*woken)(void *context);
    void *woken_context;
    struct mkv_ring_hook *hooks;

    /* Places of registered files: a stack of the free ones. */
    uint32_t files_max;
    uint32_t files_free;
    int32_t *file_places;

    uint32_t buffers_max;
    uint32_t buffers_used;
    bool memlock_raised;

    /* Of the entries that are prepared and not submitted, in order. */
    uint32_t prepared_count;
    struct mkv_ring_completion **prepared;

    struct mkv_ring_counters counters;
};

static void wake_arm(struct mkv_ring *ring) {
    struct io_uring_sqe *sqe = mkv_ring_sqe(ring, &ring->wake);
    io_uring_prep_read(sqe, ring->wake_fd, &ring->wake_value, sizeof ring->wake_value, 0);
}

static void wake_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_ring *ring =
        (struct mkv_ring *)((char *)completion - offsetof(struct mkv_ring, wake));
    (void)flags;
    MKV_ASSERT(result == (int32_t)sizeof ring->wake_value || result == -EINTR || result == -EAGAIN);
    wake_arm(ring);
    if (result == (int32_t)sizeof ring->wake_value) {
        ring->counters.wakes++;
        if (ring->woken != NULL) {
            ring->woken(ring->woken_context);
        }
    }
}

/* ---- creation ------------------------------------------------------------------------------- */

static bool is_power_of_two(uint32_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

/* Returns 0 or a positive error number. */
static int setup_queues(struct mkv_ring *ring, uint32_t entries, uint32_t completions) {
    for (size_t i = 0; i < sizeof ring_modes / sizeof ring_modes[0]; i++) {
        struct io_uring_params params = {0};
        params.flags = ring_modes[i].flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
        params.cq_entries = completions;
        int result = io_uring_queue_init_params(entries, &ring->uring, &params);
        if (result == 0) {
            ring->mode = &ring_modes[i];
            /* Without it a completion could be lost when the queue is full. Kernel 5.5. */
            if ((params.features & IORING_FEAT_NODROP) == 0 ||
                (params.features & IORING_FEAT_EXT_ARG) == 0) {
                io_uring_queue_exit(&ring->uring);
                return EINVAL;
            }
            ring->prepared = calloc(params.sq_entries, sizeof(struct mkv_ring_completion *));
            if (ring->prepared == NULL) {
                io_uring_queue_exit(&ring->uring);
                return ENOMEM;
            }
            return 0;
        }
        if (result != -EINVAL) {
            return -result;
        }
    }
    return EINVAL;
}

/* A table of `count` empty places. False when the kernel has no such table, or no room for it. */
static bool setup_files(struct mkv_ring *ring, uint32_t count) {
    ring->file_places = malloc(count * sizeof *ring->file_places);
    if (ring->file_places == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        ring->file_places[i] = -1;
    }
    if (io_uring_register_files(&ring->uring, ring->file_places, count) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        ring->file_places[i] = (int32_t)(count - 1 - i);
    }
    ring->files_max = count;
    ring->files_free = count;
    return true;
}

bool mkv_ring_create(const struct mkv_ring_options *options, struct mkv_ring **ring_out,
                     struct mkv_backend_error *error) {
    uint32_t entries = options->entries != 0 ? options->entries : ENTRIES_DEFAULT;
    uint32_t completions = options->completions;
    if (completions == 0) {
        completions =
            (uint32_t)mkv_min_u64((uint64_t)entries * COMPLETIONS_FACTOR, COMPLETIONS_MAX);
    }
    MKV_ASSERT(is_power_of_two(entries));
    MKV_ASSERT(entries <= ENTRIES_MAX);
    MKV_ASSERT(is_power_of_two(completions));
    MKV_ASSERT(completions >= entries);
    MKV_ASSERT(completions <= COMPLETIONS_MAX);
    MKV_ASSERT(options->buffers_max <= BUFFERS_MAX);

    struct mkv_ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for the io_uring of a shard. Free memory on this "
                                  "machine");
    }
    ring->wake.done = wake_done;
    ring->woken = options->woken;
    ring->woken_context = options->woken_context;

    int setup_error = setup_queues(ring, entries, completions);
    if (setup_error != 0) {
        free(ring);
        struct mkv_ring_circumstances circumstances;
        mkv_ring_circumstances_read(&circumstances);
        return mkv_ring_refusal(setup_error, &circumstances, error);
    }
    /* Not EFD_NONBLOCK: the read must wait in the kernel rather than come back with EAGAIN. */
    ring->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (ring->wake_fd < 0) {
        int eventfd_error = errno;
        io_uring_queue_exit(&ring->uring);
        free(ring->prepared);
        free(ring);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no eventfd to wake a shard: %s. Raise the limit of open files: "
                                  "LimitNOFILE=65536 in the unit, or ulimit -n 65536",
                                  strerror(eventfd_error));
    }
    /* Tables that cannot be had cost speed, not function: the places are then not given out. */
    if (options->files_max != 0 && !setup_files(ring, options->files_max)) {
        free(ring->file_places);
        ring->file_places = NULL;
    }
    if (options->buffers_max != 0 &&
        io_uring_register_buffers_sparse(&ring->uring, options->buffers_max) == 0) {
        ring->buffers_max = options->buffers_max;
    }
    ring->probe = io_uring_get_probe_ring(&ring->uring);
    *ring_out = ring;
    return true;
}

void mkv_ring_destroy(struct mkv_ring *ring) {
    if (ring == NULL) {
        return;
    }
    MKV_ASSERT(!ring->dispatching);
    io_uring_queue_exit(&ring->uring);
    close(ring->wake_fd);
    if (ring->probe != NULL) {
        io_uring_free_probe(ring->probe);
    }
    free(ring->file_places);
    free(ring->prepared);
    free(ring);
}

/* ---- submitting ----------------------------------------------------------------------------- */

/* The calling thread becomes the ring's thread (I1). */
static void start(struct mkv_ring *ring) {
    if (ring->enabled) {
        return;
    }
    /* liburing 2.3 declares io_uring_enable_rings but does not export it. */
    int result =
        io_uring_register((unsigned)ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    MKV_ASSERT(result == 0);
    ring->enabled = true;
    wake_arm(ring);
}

/* What is prepared goes to the kernel with the next system call; what that leaves, with another. */
static void note_submitted(struct mkv_ring *ring) {
    const uint64_t now_ns = ring->prepared_count > 0 ? mkv_clock_monotonic_ns() : 0;
    for (uint32_t i = 0; i < ring->prepared_count; i++) {
        if (ring->prepared[i] != NULL) {
            ring->prepared[i]->submitted_ns = now_ns;
        }
    }
}

/* Counts what one system call handed over. The errors that remain after what the caller handles
 * are wrong use of the ring: another thread, a closed descriptor, a bad address. */
static void account(struct mkv_ring *ring, unsigned ready_before, int result) {
    unsigned ready_after = io_uring_sq_ready(&ring->uring);
    MKV_ASSERT(ready_after <= ready_before);
    MKV_ASSERT(ready_before == ring->prepared_count);
    ring->prepared_count = ready_after;
    memmove(ring->prepared, ring->prepared + (ready_before - ready_after),
            ready_after * sizeof(struct mkv_ring_completion *));
    ring->counters.submitted += ready_before - ready_after;
    ring->counters.enters++;
    MKV_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
               result == -EBUSY || result == -ENOMEM);
}

void mkv_ring_hook_add(struct mkv_ring *ring, struct mkv_ring_hook *hook) {
    hook->next = ring->hooks;
    ring->hooks = hook;
}

void mkv_ring_hook_remove(struct mkv_ring *ring, struct mkv_ring_hook *hook) {
    struct mkv_ring_hook **link = &ring->hooks;
    while (*link != hook) {
        MKV_ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    *link = hook->next;
}

static void call_hooks(struct mkv_ring *ring) {
    for (struct mkv_ring_hook *hook = ring->hooks; hook != NULL; hook = hook->next) {
        hook->before(hook);
    }
}

void mkv_ring_submit(struct mkv_ring *ring) {
    start(ring);
    call_hooks(ring);
    ring->hurried = false;
    unsigned ready = io_uring_sq_ready(&ring->uring);
    if (ready == 0) {
        return;
    }
    note_submitted(ring);
    account(ring, ready, io_uring_submit(&ring->uring));
}

void mkv_ring_hurry(struct mkv_ring *ring) {
    ring->hurried = true;
}

void mkv_ring_submit_hurried(struct mkv_ring *ring) {
    if (ring->hurried) {
        mkv_ring_submit(ring);
    }
}

/* Submits until the queue has a place. Completions pile up meanwhile; no callback runs. */
static void make_room(struct mkv_ring *ring) {
    for (uint32_t tries = 0; io_uring_sq_space_left(&ring->uring) == 0; tries++) {
        MKV_ASSERT(tries < SUBMIT_TRIES_MAX);
        if (tries > 0) {
            ring->counters.submit_stalls++;
        }
        unsigned ready = io_uring_sq_ready(&ring->uring);
        note_submitted(ring);
        account(ring, ready, io_uring_submit_and_get_events(&ring->uring));
    }
}

struct io_uring_sqe *mkv_ring_sqe(struct mkv_ring *ring, struct mkv_ring_completion *completion) {
    start(ring);
    make_room(ring);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    MKV_ASSERT(sqe != NULL);
    io_uring_sqe_set_data(sqe, completion);
    ring->prepared[ring->prepared_count] = completion;
    ring->prepared_count++;
    return sqe;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static uint32_t dispatch(struct mkv_ring *ring) {
    uint32_t count = 0;
    uint32_t seen = 0; /* of those that are there, at arrived_ns */
    uint64_t arrived_ns = 0;
    ring->dispatching = true;
    while (count < MKV_RING_DISPATCH_MAX && io_uring_cq_ready(&ring->uring) > 0) {
        if (seen == 0) {
            seen = io_uring_cq_ready(&ring->uring);
            arrived_ns = mkv_clock_monotonic_ns();
        }
        seen--;
        unsigned head;
        struct io_uring_cqe *cqe = NULL;
        io_uring_for_each_cqe(&ring->uring, head, cqe) {
            break;
        }
        MKV_ASSERT(cqe != NULL);
        struct mkv_ring_completion *completion = io_uring_cqe_get_data(cqe);
        int32_t result = cqe->res;
        uint32_t flags = cqe->flags;
        /* The place goes back before the callback, which may submit and so need it. */
        io_uring_cqe_seen(&ring->uring, cqe);
        ring->counters.completed++;
        count++;
        if (completion != NULL) {
            completion->arrived_ns = arrived_ns;
            completion->done(completion, result, flags);
        }
    }
    ring->dispatching = false;
    return count;
}

bool mkv_ring_take_costly(struct mkv_ring *ring) {
    const bool may = ring->costly_count < MKV_RING_COSTLY_MAX;
    ring->costly_count += may ? 1 : 0;
    return may;
}

/* Whether the kernel has nothing to take, and nothing to give that it is to be called for. */
static bool is_kernel_idle(const struct mkv_ring *ring) {
    const unsigned flags = __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED);
    return io_uring_sq_ready(&ring->uring) == 0 &&
           (flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) == 0;
}

uint32_t mkv_ring_wait(struct mkv_ring *ring, uint64_t timeout_ns) {
    MKV_ASSERT(!ring->dispatching);
    ring->costly_count = 0;
    start(ring);
    call_hooks(ring);
    ring->hurried = false;
    if (timeout_ns == 0 && is_kernel_idle(ring)) {
        return dispatch(ring); /* whoever polls in a loop makes no system calls for it */
    }
    unsigned ready = io_uring_sq_ready(&ring->uring);
    note_submitted(ring);
    int result;
    if (timeout_ns == 0) {
        result = io_uring_submit_and_get_events(&ring->uring);
    } else if (timeout_ns == MKV_RING_WAIT_FOREVER) {
        result = io_uring_submit_and_wait(&ring->uring, 1);
    } else {
        struct __kernel_timespec timeout = {
            .tv_sec = (int64_t)(timeout_ns / 1000000000u),
            .tv_nsec = (int64_t)(timeout_ns % 1000000000u),
        };
        struct io_uring_cqe *first = NULL;
        result = io_uring_submit_and_wait_timeout(&ring->uring, &first, 1, &timeout, NULL);
    }
    account(ring, ready, result);
    return dispatch(ring);
}

void mkv_ring_wake(struct mkv_ring *ring) {
    int saved = errno;
    uint64_t one = 1;
    /* It cannot fail but by EINTR before anything was written, and the counter cannot overflow: it
     * would take 2^64 wakes between two reads. */
    while (write(ring->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
        continue;
    }
    errno = saved;
}

/* ---- registering ---------------------------------------------------------------------------- */

int32_t mkv_ring_file_add(struct mkv_ring *ring, int fd) {
    MKV_ASSERT(fd >= 0);
    if (ring->files_free == 0) {
        return MKV_RING_NOT_REGISTERED;
    }
    int32_t place = ring->file_places[ring->files_free - 1];
    if (io_uring_register_files_update(&ring->uring, (unsigned)place, &fd, 1) != 1) {
        return MKV_RING_NOT_REGISTERED;
    }
    ring->files_free--;
    return place;
}

void mkv_ring_file_remove(struct mkv_ring *ring, int32_t place) {
    if (place == MKV_RING_NOT_REGISTERED) {
        return;
    }
    MKV_ASSERT(place >= 0);
    MKV_ASSERT((uint32_t)place < ring->files_max);
    MKV_ASSERT(ring->files_free < ring->files_max);
    int none = -1;
    int result = io_uring_register_files_update(&ring->uring, (unsigned)place, &none, 1);
    MKV_ASSERT(result == 1);
    ring->file_places[ring->files_free] = place;
    ring->files_free++;
}

/* Registered memory counts against RLIMIT_MEMLOCK, which is 8 MiB on most systems. The soft limit
 * is ours to raise, the hard one that of a privileged process. */
static void raise_memlock(void) {
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &none) == 0) {
        return;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        /* Where this is refused too, the second registration says so. */
        (void)setrlimit(RLIMIT_MEMLOCK, &limit);
    }
}

int32_t mkv_ring_buffer_add(struct mkv_ring *ring, void *base, size_t byte_count,
                            int *error_number) {
    MKV_ASSERT(byte_count > 0);
    MKV_ASSERT(byte_count <= MKV_RING_BUFFER_BYTES_MAX);
    if (ring->buffers_used == ring->buffers_max) {
        *error_number = ENOSPC;
        return MKV_RING_NOT_REGISTERED;
    }
    __u64 tag = 0;
    struct iovec memory = {base, byte_count};
    int result =
        io_uring_register_buffers_update_tag(&ring->uring, ring->buffers_used, &memory, &tag, 1);
    if (result == -ENOMEM && !ring->memlock_raised) {
        ring->memlock_raised = true;
        raise_memlock();
        result = io_uring_register_buffers_update_tag(&ring->uring, ring->buffers_used, &memory,
                                                      &tag, 1);
    }
    if (result != 1) {
        *error_number = result < 0 ? -result : EINVAL;
        return MKV_RING_NOT_REGISTERED;
    }
    *error_number = 0;
    return (int32_t)ring->buffers_used++;
}

/* ---- reporting ------------------------------------------------------------------------------ */

bool mkv_ring_supports(const struct mkv_ring *ring, unsigned operation) {
    return ring->probe != NULL && operation <= ring->probe->last_op &&
           io_uring_opcode_supported(ring->probe, (int)operation) != 0;
}

const char *mkv_ring_mode(const struct mkv_ring *ring) {
    return ring->mode->name;
}

const struct mkv_ring_counters *mkv_ring_counters(const struct mkv_ring *ring) {
    return &ring->counters;
}
