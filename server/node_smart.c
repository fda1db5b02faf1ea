/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drives say of their own health, for status: read every minute by a thread of its own, since
 * a drive that is dying may keep whoever asks it in the kernel, and kept for whoever wants to know.
 *
 *     every READ_NS, or when a drive came anew --> each drive by its path --> kept --> snapshots
 *
 * Invariants
 *  I1  The thread touches the node between enter and leave alone (periodic.h): so a drive that
 *      keeps it when the node ends keeps nobody else.
 *  I2  The node's mutex is taken behind that of the thread, never the other way round.
 *  I3  What is kept is of the drive that stands at the path now: one that came in its place was not
 *      read yet.
 */
#include "server/node_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/drive_smart.h"
#include "server/periodic.h"

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
    struct mkv_periodic *periodic;
    struct kept drives[MKV_VOLUMES_MAX]; /* between enter and leave */
};

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

static void read_all(void *context, struct mkv_periodic *periodic) {
    struct mkv_node_smart *self = context;
    struct mkv_config_drive own;
    struct mkv_admin_smart smart;
    for (uint32_t index = 0; mkv_periodic_enter(periodic); index++) {
        const bool is_there = index < self->node->drive_count;
        if (is_there) {
            mkv_node_drive_now(self->node, index, &own);
        }
        const uint64_t generation = is_there ? self->drives[index].generation : 0;
        mkv_periodic_leave(periodic);
        if (!is_there) {
            return;
        }
        read_drive(own.media, &smart);
        if (!mkv_periodic_enter(periodic)) {
            return;
        }
        if (self->drives[index].generation == generation) {
            self->drives[index].smart = smart;
        }
        mkv_periodic_leave(periodic);
    }
}

/* ---- others' threads ------------------------------------------------------------------------- */

void mkv_node_smart_fill(struct mkv_node *node, struct mkv_admin_snapshot *out) {
    struct mkv_node_smart *self = node->smart;
    const bool is_read = self != NULL && mkv_periodic_enter(self->periodic);
    for (uint32_t index = 0; index < out->drive_count; index++) {
        struct mkv_admin_smart *smart = &out->drives[index].smart;
        if (is_read && index < node->drive_count) {
            *smart = self->drives[index].smart;
        } else {
            snprintf(smart->why, sizeof smart->why, "it was not read");
        }
    }
    if (is_read) {
        mkv_periodic_leave(self->periodic);
    }
}

void mkv_node_smart_forget(struct mkv_node *node, uint32_t drive) {
    struct mkv_node_smart *self = node->smart;
    if (mkv_periodic_enter(self->periodic)) {
        forget(&self->drives[drive]);
        mkv_periodic_leave(self->periodic);
        mkv_periodic_wake(self->periodic);
    }
}

/* ---- the step -------------------------------------------------------------------------------- */

bool mkv_node_smart_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_node_smart *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a node. Free memory on this machine");
    }
    self->node = node;
    for (uint32_t index = 0; index < MKV_VOLUMES_MAX; index++) {
        forget(&self->drives[index]);
    }
    const struct mkv_periodic_options periodic = {
        .name = "memkv-smart",
        .purpose = "the health of drives",
        .interval_ns = READ_NS,
        .end_ns = END_NS,
        .turn = read_all,
        .release = free,
        .context = self,
    };
    if (!mkv_periodic_begin(&periodic, &self->periodic, error)) {
        free(self);
        return false;
    }
    node->smart = self; /* nobody asks yet */
    return true;
}

void mkv_node_smart_end(struct mkv_node *node) {
    struct mkv_node_smart *self = node->smart;
    node->smart = NULL; /* nobody asks any more */
    mkv_periodic_end(self->periodic);
}
