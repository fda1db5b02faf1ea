/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

/* Somebody who was refused in this window. */
struct refuser {
    bool used;
    uint64_t window_start_ns;
    uint32_t written;
    uint64_t suppressed;
    struct mkv_audit_entry last; /* of those that were suppressed */
};

struct waiting {
    uint64_t time_ms;
    struct mkv_audit_entry entry;
};

struct mkv_audit {
    pthread_mutex_t file_mutex;  /* alone, or before nothing else */
    struct mkv_audit_file *file; /* behind it; the thread's */
    char path[MKV_AUDIT_PATH_BYTES];
    uint64_t refusal_window_ns;
    pthread_t thread;

    /* Held while `position` runs, and to take it away. Before `mutex`. */
    pthread_mutex_t position_mutex;
    void (*position)(void *context, char text[MKV_AUDIT_POSITION_BYTES]);
    void *context;

    pthread_mutex_t mutex;
    pthread_cond_t arrived; /* for the thread */
    pthread_cond_t written; /* for those who wait */
    bool closing;
    uint64_t closing_ns; /* when the thread gives up */
    struct waiting queue[MKV_AUDIT_QUEUE_MAX];
    uint32_t queue_head;
    uint32_t queue_count;
    uint64_t taken_total;   /* entries that found room: the ticket of the last */
    uint64_t written_total; /* of these, durable */
    uint64_t lost_total;
    uint64_t lost_told; /* of these, a record says */
    struct refuser refusers[MKV_AUDIT_REFUSERS_MAX];
    struct mkv_audit_head head;
    bool broken;
    bool failing;
    char error[MKV_AUDIT_ERROR_BYTES];
};

static uint64_t now_ns(void) {
    struct timespec now;
    MKV_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t now_ms(void) {
    struct timespec now;
    MKV_ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

/* Waits on a condition until a moment of now_ns at most. */
static void wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t until_ns) {
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                   .tv_nsec = (long)(until_ns % NS_PER_S)};
    (void)pthread_cond_timedwait(condition, mutex, &until);
}

struct mkv_audit_entry mkv_audit_entry_make(enum mkv_audit_operation operation, const char *entity,
                                            const char *outcome, const char *reason_format, ...) {
    struct mkv_audit_entry entry = {.operation = operation, .count = 1};
    snprintf(entry.entity, sizeof entry.entity, "%s", entity);
    snprintf(entry.outcome, sizeof entry.outcome, "%s", outcome);
    va_list arguments;
    va_start(arguments, reason_format);
    vsnprintf(entry.reason, sizeof entry.reason, reason_format, arguments);
    va_end(arguments);
    return entry;
}

/* ---- handing in: behind the mutex ------------------------------------------------------------ */

static bool push(struct mkv_audit *audit, const struct mkv_audit_entry *entry) {
    if (audit->queue_count == MKV_AUDIT_QUEUE_MAX || audit->closing) {
        return false;
    }
    struct waiting *place =
        &audit->queue[(audit->queue_head + audit->queue_count) % MKV_AUDIT_QUEUE_MAX];
    place->time_ms = now_ms();
    place->entry = *entry;
    audit->queue_count++;
    audit->taken_total++;
    pthread_cond_signal(&audit->arrived);
    return true;
}

uint64_t mkv_audit_write(struct mkv_audit *audit, const struct mkv_audit_entry *entry) {
    if (audit == NULL) {
        return 0;
    }
    pthread_mutex_lock(&audit->mutex);
    uint64_t ticket = 0;
    if (push(audit, entry)) {
        ticket = audit->taken_total;
    } else {
        audit->lost_total += entry->count;
    }
    pthread_mutex_unlock(&audit->mutex);
    return ticket;
}

bool mkv_audit_wait(struct mkv_audit *audit, uint64_t ticket) {
    if (audit == NULL || ticket == 0) {
        return audit == NULL;
    }
    const uint64_t until_ns = now_ns() + MKV_AUDIT_WAIT_NS;
    pthread_mutex_lock(&audit->mutex);
    while (audit->written_total < ticket && now_ns() < until_ns) {
        wait_until(&audit->written, &audit->mutex, until_ns);
    }
    const bool durable = audit->written_total >= ticket;
    pthread_mutex_unlock(&audit->mutex);
    return durable;
}

bool mkv_audit_offer(struct mkv_audit *audit, const struct mkv_audit_entry *entry) {
    if (audit == NULL) {
        return true;
    }
    if (pthread_mutex_trylock(&audit->mutex) != 0) {
        return false;
    }
    const bool taken = push(audit, entry);
    pthread_mutex_unlock(&audit->mutex);
    return taken;
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Whether two addresses are of one host: each connection has a port of its own. */
static bool same_host(const char *a, const char *b) {
    const char *a_port = strrchr(a, ':');
    const char *b_port = strrchr(b, ':');
    const size_t a_bytes = a_port == NULL ? strlen(a) : (size_t)(a_port - a);
    const size_t b_bytes = b_port == NULL ? strlen(b) : (size_t)(b_port - b);
    return a_bytes == b_bytes && memcmp(a, b, a_bytes) == 0;
}

static bool same_refuser(const struct refuser *refuser, const struct mkv_audit_entry *entry) {
    return refuser->used && refuser->last.operation == entry->operation &&
           same_host(refuser->last.address, entry->address) &&
           strcmp(refuser->last.client, entry->client) == 0;
}

/* Says how many were not told of, once the window is over. True: it is free again. */
static bool end_window(struct mkv_audit *audit, struct refuser *refuser) {
    if (refuser->suppressed > 0) {
        struct mkv_audit_entry entry = refuser->last;
        entry.count = refuser->suppressed;
        snprintf(entry.reason, sizeof entry.reason,
                 "%" PRIu64 " more of these since the last record, the last one: %.300s",
                 refuser->suppressed, refuser->last.reason);
        if (!push(audit, &entry)) {
            return false;
        }
    }
    *refuser = (struct refuser){0};
    return true;
}

static void end_windows(struct mkv_audit *audit, bool all) {
    const uint64_t now = now_ns();
    for (uint32_t index = 0; index < MKV_AUDIT_REFUSERS_MAX; index++) {
        struct refuser *refuser = &audit->refusers[index];
        if (refuser->used && (all || now - refuser->window_start_ns >= audit->refusal_window_ns)) {
            (void)end_window(audit, refuser);
        }
    }
}

/* The place of this refuser, or one that it gets. When there is none left, all that are new share
 * the last. */
static struct refuser *refuser_of(struct mkv_audit *audit, const struct mkv_audit_entry *entry) {
    struct refuser *unused = NULL;
    for (uint32_t index = 0; index < MKV_AUDIT_REFUSERS_MAX; index++) {
        struct refuser *refuser = &audit->refusers[index];
        if (same_refuser(refuser, entry)) {
            return refuser;
        }
        if (!refuser->used && unused == NULL) {
            unused = refuser;
        }
    }
    if (unused == NULL) {
        return &audit->refusers[MKV_AUDIT_REFUSERS_MAX - 1];
    }
    *unused = (struct refuser){.used = true, .window_start_ns = now_ns(), .last = *entry};
    return unused;
}

void mkv_audit_refuse(struct mkv_audit *audit, const struct mkv_audit_entry *entry) {
    if (audit == NULL) {
        return;
    }
    pthread_mutex_lock(&audit->mutex);
    end_windows(audit, false);
    struct refuser *refuser = refuser_of(audit, entry);
    if (refuser->written < MKV_AUDIT_REFUSALS_MAX && push(audit, entry)) {
        refuser->written++;
    } else {
        refuser->suppressed++;
        refuser->last = *entry;
        pthread_cond_signal(&audit->arrived); /* the thread knows when the window ends */
    }
    pthread_mutex_unlock(&audit->mutex);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void fill_position(struct mkv_audit *audit, struct mkv_audit_entry *entry) {
    pthread_mutex_lock(&audit->position_mutex);
    if (audit->position != NULL && entry->log_position[0] == '\0') {
        audit->position(audit->context, entry->log_position);
    }
    pthread_mutex_unlock(&audit->position_mutex);
}

/* Makes one record durable, without the mutex. */
static bool write_record(struct mkv_audit *audit, struct mkv_audit_entry *entry, uint64_t time_ms,
                         char error[MKV_AUDIT_ERROR_BYTES]) {
    fill_position(audit, entry);
    pthread_mutex_lock(&audit->file_mutex);
    const bool written = mkv_audit_file_append(audit->file, entry, time_ms, error) &&
                         mkv_audit_file_sync(audit->file, error);
    pthread_mutex_unlock(&audit->file_mutex);
    return written;
}

/* Takes what is next: the first of the queue, or what is to be said of lost ones. */
static bool take_next(const struct mkv_audit *audit, struct waiting *next, bool *of_queue) {
    const uint64_t lost = audit->lost_total - audit->lost_told;
    *of_queue = lost == 0;
    if (lost > 0) {
        next->time_ms = now_ms();
        next->entry = mkv_audit_entry_make(MKV_AUDIT_LOST, "", "failed",
                                           "%" PRIu64 " records found no room", lost);
        next->entry.count = lost;
        return true;
    }
    if (audit->queue_count == 0) {
        return false;
    }
    *next = audit->queue[audit->queue_head];
    return true;
}

static void note_written(struct mkv_audit *audit, const struct waiting *done, bool of_queue) {
    audit->failing = false;
    audit->head = mkv_audit_file_head(audit->file);
    if (!of_queue) {
        audit->lost_told += done->entry.count;
        return;
    }
    audit->queue_head = (audit->queue_head + 1) % MKV_AUDIT_QUEUE_MAX;
    audit->queue_count--;
    audit->written_total++;
    pthread_cond_broadcast(&audit->written);
}

/* When the thread has to look again though nothing arrived. */
static uint64_t next_look_ns(const struct mkv_audit *audit) {
    uint64_t next_ns = now_ns() + audit->refusal_window_ns;
    for (uint32_t index = 0; index < MKV_AUDIT_REFUSERS_MAX; index++) {
        const struct refuser *refuser = &audit->refusers[index];
        if (refuser->used) {
            next_ns = mkv_min_u64(next_ns, refuser->window_start_ns + audit->refusal_window_ns);
        }
    }
    return next_ns;
}

static void *run(void *context) {
    struct mkv_audit *audit = context;
    char error[MKV_AUDIT_ERROR_BYTES];
    struct waiting next;
    bool of_queue;
    pthread_mutex_lock(&audit->mutex);
    for (;;) {
        end_windows(audit, false);
        if (!take_next(audit, &next, &of_queue)) {
            if (audit->closing) {
                break;
            }
            wait_until(&audit->arrived, &audit->mutex, next_look_ns(audit));
            continue;
        }
        pthread_mutex_unlock(&audit->mutex);
        const bool written = write_record(audit, &next.entry, next.time_ms, error);
        pthread_mutex_lock(&audit->mutex);
        if (written) {
            note_written(audit, &next, of_queue);
            continue;
        }
        audit->failing = true;
        memcpy(audit->error, error, sizeof audit->error);
        if (audit->closing && now_ns() >= audit->closing_ns) {
            break;
        }
        const uint64_t retry_ns = now_ns() + MKV_AUDIT_RETRY_NS;
        while (now_ns() < retry_ns && !audit->closing) {
            wait_until(&audit->arrived, &audit->mutex, retry_ns);
        }
        if (audit->closing) {
            wait_until(&audit->arrived, &audit->mutex, now_ns() + MKV_AUDIT_RETRY_NS / 10);
        }
    }
    pthread_mutex_unlock(&audit->mutex);
    return NULL;
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* Signals are for the daemon's main thread. */
static bool start_thread(struct mkv_audit *audit) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    MKV_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    const int result = pthread_create(&audit->thread, NULL, run, audit);
    MKV_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (result == 0) {
        (void)pthread_setname_np(audit->thread, "memkv-audit");
    }
    return result == 0;
}

static void make_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    MKV_ASSERT(pthread_condattr_init(&attributes) == 0);
    MKV_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    MKV_ASSERT(pthread_cond_init(condition, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

static void destroy(struct mkv_audit *audit) {
    mkv_audit_file_close(audit->file);
    pthread_cond_destroy(&audit->written);
    pthread_cond_destroy(&audit->arrived);
    pthread_mutex_destroy(&audit->mutex);
    pthread_mutex_destroy(&audit->position_mutex);
    pthread_mutex_destroy(&audit->file_mutex);
    free(audit);
}

bool mkv_audit_open(const struct mkv_audit_options *options, struct mkv_audit **audit,
                    char error[MKV_AUDIT_ERROR_BYTES]) {
    struct mkv_audit *made = calloc(1, sizeof *made);
    if (made == NULL) {
        snprintf(error, MKV_AUDIT_ERROR_BYTES, "no memory for the audit. Free memory");
        return false;
    }
    snprintf(made->path, sizeof made->path, "%s", options->file.path);
    made->position = options->position;
    made->context = options->context;
    made->refusal_window_ns =
        options->refusal_window_ns == 0 ? MKV_AUDIT_REFUSAL_WINDOW_NS : options->refusal_window_ns;
    MKV_ASSERT(pthread_mutex_init(&made->file_mutex, NULL) == 0);
    MKV_ASSERT(pthread_mutex_init(&made->position_mutex, NULL) == 0);
    MKV_ASSERT(pthread_mutex_init(&made->mutex, NULL) == 0);
    make_condition(&made->arrived);
    make_condition(&made->written);
    if (!mkv_audit_file_open(&options->file, now_ms(), &made->file, error)) {
        destroy(made);
        return false;
    }
    made->head = mkv_audit_file_head(made->file);
    made->broken = mkv_audit_file_was_broken(made->file);
    if (!start_thread(made)) {
        snprintf(error, MKV_AUDIT_ERROR_BYTES, "no thread for the audit: %s. Free threads",
                 strerror(errno));
        destroy(made);
        return false;
    }
    *audit = made;
    return true;
}

void mkv_audit_detach(struct mkv_audit *audit) {
    if (audit == NULL) {
        return;
    }
    pthread_mutex_lock(&audit->position_mutex);
    audit->position = NULL;
    pthread_mutex_unlock(&audit->position_mutex);
}

void mkv_audit_close(struct mkv_audit *audit) {
    if (audit == NULL) {
        return;
    }
    pthread_mutex_lock(&audit->mutex);
    end_windows(audit, true);
    audit->closing = true;
    audit->closing_ns = now_ns() + MKV_AUDIT_WAIT_NS;
    pthread_cond_broadcast(&audit->arrived);
    pthread_mutex_unlock(&audit->mutex);
    pthread_join(audit->thread, NULL);
    destroy(audit);
}

void mkv_audit_status(struct mkv_audit *audit, struct mkv_audit_status *status) {
    pthread_mutex_lock(&audit->mutex);
    memset(status, 0, sizeof *status);
    memcpy(status->path, audit->path, sizeof status->path);
    status->head = audit->head;
    status->records = audit->written_total;
    status->lost = audit->lost_total;
    status->waiting = audit->queue_count;
    status->broken = audit->broken;
    status->failing = audit->failing;
    if (audit->failing) {
        memcpy(status->error, audit->error, sizeof status->error);
    }
    pthread_mutex_unlock(&audit->mutex);
}

void mkv_audit_hold(struct mkv_audit *audit) {
    pthread_mutex_lock(&audit->file_mutex);
}

void mkv_audit_release(struct mkv_audit *audit) {
    pthread_mutex_unlock(&audit->file_mutex);
}
