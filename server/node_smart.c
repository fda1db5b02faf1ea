/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drives say of their own health, for status: read every minute by a thread of its own, since
 * a drive that is dying may keep whoever asks it in the kernel, and kept for whoever wants to know.
 *
 *     every READ_NS, or when a drive came anew --> each drive by its path --> kept --> snapshots
 *
 * Invariants
 *  I1  The thread touches the node behind its own mutex, and not once the end was asked for: so a
 *      drive that keeps it then keeps nobody else.
 *  I2  The node's mutex is taken behind its own, never the other way round.
 *  I3  What is kept is of the drive that stands at the path now: one that came in its place was not
 *      read yet.
 */
#include "server/node_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/drive_smart.h"

#define NS_PER_S 1000000000ull
#define READ_NS (60ull * NS_PER_S)
/* How long the end of the node waits for a drive that does not answer. */
#define END_NS (2ull * NS_PER_S)

struct kept {
    struct mkv_admin_smart smart;
    uint64_t generation; /* of the drive; a reading of another one is dropped */
};

struct mkv_node_smart {
    struct mkv_node *node;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    bool ending;
    bool ended;
    bool wanted; /* a drive has come */
    struct kept drives[MKV_VOLUMES_MAX];
};

static struct timespec time_of(uint64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

static void forget(struct kept *kept) {
    kept->generation++;
    kept->smart = (struct mkv_admin_smart){.why = "it was not read yet"};
}

static void convert(const struct mkv_drive_smart *source, struct mkv_admin_smart *out) {
    char warning[MKV_DRIVE_SMART_WARNING_BYTES];
    mkv_drive_smart_warning(source->critical_warning, warning);
    *out = (struct mkv_admin_smart){
        .available = source->available,
        .temperature_celsius = source->temperature_celsius,
        .spare_percent = source->spare_percent,
        .spare_threshold_percent = source->spare_threshold_percent,
        .used_percent = source->used_percent,
        .read_bytes = source->read_bytes,
        .written_bytes = source->written_bytes,
        .power_cycles = source->power_cycles,
        .power_on_hours = source->power_on_hours,
        .unsafe_shutdowns = source->unsafe_shutdowns,
        .media_errors = source->media_errors,
        .error_log_entries = source->error_log_entries,
    };
    snprintf(out->why, sizeof out->why, "%s", source->why);
    snprintf(out->warning, sizeof out->warning, "%s", warning);
}

/* May take as long as the drive likes. The descriptor is its own: the shard may close its one. */
static void read_drive(const char *path, struct mkv_admin_smart *out) {
    struct mkv_drive_smart smart = {0};
    struct stat status;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        snprintf(smart.why, sizeof smart.why, "it cannot be opened: %s", strerror(errno));
    } else if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        snprintf(smart.why, sizeof smart.why, "it is a file");
    } else {
        mkv_drive_smart_read(fd, &smart);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    convert(&smart, out);
    out->read_ms = mkv_clock_wall_ms();
}

/* Reads one drive; behind the mutex, which is let go meanwhile. */
static void read_at(struct mkv_node_smart *self, uint32_t index) {
    struct mkv_config_drive own;
    struct mkv_admin_smart smart;
    mkv_node_drive_now(self->node, index, &own);
    const uint64_t generation = self->drives[index].generation;
    pthread_mutex_unlock(&self->mutex);
    read_drive(own.media, &smart);
    pthread_mutex_lock(&self->mutex);
    if (self->drives[index].generation == generation) {
        self->drives[index].smart = smart;
    }
}

static void *run(void *context) {
    struct mkv_node_smart *self = context;
    pthread_mutex_lock(&self->mutex);
    while (!self->ending) {
        self->wanted = false;
        for (uint32_t index = 0; !self->ending && index < self->node->drive_count; index++) {
            read_at(self, index);
        }
        const struct timespec until = time_of(mkv_clock_monotonic_ns() + READ_NS);
        while (!self->ending && !self->wanted &&
               pthread_cond_timedwait(&self->changed, &self->mutex, &until) != ETIMEDOUT) {
        }
    }
    self->ended = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

/* ---- others' threads ------------------------------------------------------------------------- */

void mkv_node_smart_fill(struct mkv_node *node, struct mkv_admin_snapshot *out) {
    struct mkv_node_smart *self = node->smart;
    if (self != NULL) {
        pthread_mutex_lock(&self->mutex);
    }
    for (uint32_t index = 0; index < out->drive_count; index++) {
        struct mkv_admin_smart *smart = &out->drives[index].smart;
        if (self != NULL && index < node->drive_count) {
            *smart = self->drives[index].smart;
        } else {
            snprintf(smart->why, sizeof smart->why, "it was not read");
        }
    }
    if (self != NULL) {
        pthread_mutex_unlock(&self->mutex);
    }
}

void mkv_node_smart_forget(struct mkv_node *node, uint32_t drive) {
    struct mkv_node_smart *self = node->smart;
    pthread_mutex_lock(&self->mutex);
    forget(&self->drives[drive]);
    self->wanted = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* ---- the step -------------------------------------------------------------------------------- */

static void smart_free(struct mkv_node_smart *self) {
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

bool mkv_node_smart_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_node_smart *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a node. Free memory on this machine");
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&self->mutex, NULL);
    self->node = node;
    for (uint32_t index = 0; index < MKV_VOLUMES_MAX; index++) {
        forget(&self->drives[index]);
    }
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        smart_free(self);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for the health of drives: %s. Raise the limit of "
                                  "threads",
                                  strerror(result));
    }
    (void)pthread_setname_np(self->thread, "memkv-smart");
    node->smart = self; /* nobody asks yet */
    return true;
}

void mkv_node_smart_end(struct mkv_node *node) {
    struct mkv_node_smart *self = node->smart;
    const struct timespec until = time_of(mkv_clock_monotonic_ns() + END_NS);
    int result = 0;
    node->smart = NULL; /* nobody asks any more */
    pthread_mutex_lock(&self->mutex);
    self->ending = true;
    pthread_cond_broadcast(&self->changed);
    while (!self->ended && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&self->changed, &self->mutex, &until);
    }
    const bool ended = self->ended;
    pthread_mutex_unlock(&self->mutex);
    if (!ended) {
        (void)pthread_detach(self->thread); /* I1: what it has goes with the process */
        return;
    }
    MKV_ASSERT(pthread_join(self->thread, NULL) == 0);
    smart_free(self);
}
