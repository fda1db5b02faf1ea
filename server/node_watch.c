/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that looks at the node every second, and what it says when something is wrong: it
 * raises warnings and takes them back, and has the fence look. It waits for no drive and no client.
 */
#include "server/node_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/watch.h"
#include "backends/clock.h"
#include "server/periodic.h"

#define LOOK_NS 1000000000ull
#define NS_PER_S 1000000000ull

struct mkv_node_watch {
    struct mkv_node *node;
    struct mkv_admin_snapshot *snapshot;                   /* the thread's own */
    struct mkv_watch_room rooms[MKV_VOLUMES_MAX];          /* likewise */
    struct mkv_watch_endurance endurance[MKV_VOLUMES_MAX]; /* likewise */
    struct mkv_watch_fence fence;                          /* likewise */
    struct mkv_periodic *periodic;                         /* while the thread runs */
    pthread_mutex_t mutex;                                 /* of what follows */
    struct mkv_watch *watch;
};

/* Those that come from looking, and so go by it. */
static bool is_watched(enum mkv_admin_warning_code code) {
    switch (code) {
    case MKV_ADMIN_WARNING_SHARD_STALLED:
    case MKV_ADMIN_WARNING_NO_SHARED_HITS:
    case MKV_ADMIN_WARNING_RING_MISMATCH:
    case MKV_ADMIN_WARNING_DRIVE_SLOW:
    case MKV_ADMIN_WARNING_DRIVE_STALLED:
    case MKV_ADMIN_WARNING_JOURNAL_NEARLY_FULL:
    case MKV_ADMIN_WARNING_SLOT_TABLE_FULL:
    case MKV_ADMIN_WARNING_DIRECTORY_OFF:
        return true;
    case MKV_ADMIN_WARNING_HUGEPAGES_FALLBACK:
    case MKV_ADMIN_WARNING_MEMLOCK_FALLBACK:
    case MKV_ADMIN_WARNING_DIRECT_IO_FALLBACK:
    case MKV_ADMIN_WARNING_DRIVE_OFFLINE:
    case MKV_ADMIN_WARNING_CAME_UP_EMPTY:
    case MKV_ADMIN_WARNING_DRIVES_MISSING:
    case MKV_ADMIN_WARNING_AUTH_DISABLED:
    case MKV_ADMIN_WARNING_VALUE_TOO_LARGE:
    case MKV_ADMIN_WARNING_NOT_REGISTERED:
    case MKV_ADMIN_WARNING_FILE_SYSTEM_SMALL: /* node_room.c looks for these */
    case MKV_ADMIN_WARNING_FILE_SYSTEM_FULL:
    case MKV_ADMIN_WARNING_ENDURANCE: /* node_endurance.c for this */
    case MKV_ADMIN_WARNING_RDMA_DOWN: /* node_rdma.c hears of this */
        return false;
    }
    MKV_ASSERT(false);
    return false;
}

/* ---- words ----------------------------------------------------------------------------------- */

static void raise_of_node(struct mkv_node *node, const struct mkv_admin_snapshot *snapshot,
                          const struct mkv_watch_finding *finding) {
    if (finding->code == MKV_ADMIN_WARNING_RING_MISMATCH) {
        mkv_node_ring_warn(node, &snapshot->ring);
        return;
    }
    if (finding->code == MKV_ADMIN_WARNING_SHARD_STALLED) {
        mkv_node_warn(node, finding->code, NULL,
                      "restart the node, as a liveness probe on /v1/live does; before that, gdb -p "
                      "PID -batch -ex 'thread apply all bt' shows where it is stuck",
                      "a shard has not finished a step for %" PRIu64 " s: nobody is served",
                      (uint64_t)(finding->figures[0] / NS_PER_S));
        return;
    }
    MKV_ASSERT(finding->code == MKV_ADMIN_WARNING_NO_SHARED_HITS);
    mkv_node_warn(node, finding->code, NULL,
                  "give all engines the same PYTHONHASHSEED, model and chunk size; /v1/clients "
                  "shows the beginnings of each client's keys side by side",
                  "in 10 minutes %" PRIu64 " blocks were stored and %" PRIu64
                  " keys asked for in vain, and not one was found: clients make different keys of "
                  "the same tokens",
                  finding->figures[0], finding->figures[1]);
}

static void raise_of_drive(struct mkv_node *node, const struct mkv_watch_finding *finding) {
    const struct mkv_config_drive *drive = &node->config.storage.drives[finding->drive];
    const uint64_t *figures = finding->figures;
    if (finding->code == MKV_ADMIN_WARNING_DRIVE_SLOW) {
        mkv_node_warn(node, finding->code, drive,
                      "follow docs/runbooks/drive-slow.md: its SMART data, temperature and link "
                      "(nvme smart-log, lspci -vv); replace it if it stays slow",
                      "drive %s is slow: p99 %.1f ms, its siblings %.1f ms", drive->name,
                      (double)figures[0] / 1e6, (double)figures[1] / 1e6);
    } else if (finding->code == MKV_ADMIN_WARNING_DRIVE_STALLED) {
        mkv_node_warn(node, finding->code, drive,
                      "it serves again by itself once it answers; else see dmesg and its SMART "
                      "data",
                      "drive %s does not answer: reads of it miss and its puts are refused",
                      drive->name);
    } else if (finding->code == MKV_ADMIN_WARNING_JOURNAL_NEARLY_FULL) {
        mkv_node_warn(node, finding->code, drive,
                      "a checkpoint makes room and begins at half a ring: find out why it does not "
                      "end, whether the drive is slow or its writes fail",
                      "the journal of drive %s has used %" PRIu64 " of %" PRIu64
                      " blocks: when it is full puts wait",
                      drive->name, figures[0], figures[1]);
    } else if (finding->code == MKV_ADMIN_WARNING_SLOT_TABLE_FULL) {
        mkv_node_warn(node, finding->code, drive,
                      "store larger blocks; small ones make room for each other meanwhile",
                      "drive %s has numbers for %" PRIu64 " more slots of %" PRIu64
                      ", so its smallest blocks get no further extents, though some are free",
                      drive->name, figures[0], figures[1]);
    } else {
        MKV_ASSERT(finding->code == MKV_ADMIN_WARNING_DIRECTORY_OFF);
        mkv_node_warn(node, finding->code, drive,
                      figures[0] == 1 ? "delete keys: it lists all again once it has room"
                                      : "restart the node; if it comes again, see dmesg for errors "
                                        "of the drive",
                      figures[0] == 1
                          ? "the directory of drive %s has no room for all keys: blocks "
                            "are served, keys cannot be listed"
                          : "the directory of drive %s is off: blocks are served, keys "
                            "cannot be listed",
                      drive->name);
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

static void take_back(struct mkv_node *node, const struct mkv_watch_finding *findings,
                      uint32_t count) {
    for (uint32_t code = 0; code < MKV_ADMIN_WARNING_CODE_COUNT; code++) {
        if (!is_watched((enum mkv_admin_warning_code)code)) {
            continue;
        }
        for (uint32_t place = 0; place <= node->drive_count; place++) {
            const uint32_t drive = place < node->drive_count ? place : MKV_NONE_U32;
            bool found = false;
            for (uint32_t index = 0; index < count; index++) {
                found = found ||
                        ((uint32_t)findings[index].code == code && findings[index].drive == drive);
            }
            if (!found) {
                mkv_node_warn_over(node, (enum mkv_admin_warning_code)code,
                                   drive == MKV_NONE_U32 ? NULL
                                                         : &node->config.storage.drives[drive]);
            }
        }
    }
}

static void look(void *context, struct mkv_periodic *periodic) {
    struct mkv_node_watch *self = context;
    (void)periodic;
    struct mkv_watch_finding findings[MKV_WATCH_FINDINGS_MAX];
    memset(self->snapshot, 0, sizeof *self->snapshot);
    mkv_node_snapshot(self->node, self->snapshot);
    pthread_mutex_lock(&self->mutex);
    mkv_watch_look(self->watch, self->snapshot, mkv_clock_monotonic_ns());
    const uint32_t count = mkv_watch_findings(self->watch, findings);
    uint64_t slow = 0;
    uint64_t slow_ns[MKV_VOLUMES_MAX];
    for (uint32_t index = 0; index < MKV_VOLUMES_MAX; index++) {
        slow |= (uint64_t)mkv_watch_drive_is_slow(self->watch, index) << index;
        slow_ns[index] = mkv_watch_drive_slow_ns(self->watch, index);
    }
    pthread_mutex_unlock(&self->mutex);
    MKV_ASSERT(count <= MKV_WATCH_FINDINGS_MAX);
    for (uint32_t index = 0; index < count; index++) {
        if (findings[index].drive == MKV_NONE_U32) {
            raise_of_node(self->node, self->snapshot, &findings[index]);
        } else {
            raise_of_drive(self->node, &findings[index]);
        }
    }
    take_back(self->node, findings, count);
    mkv_node_room_look(self->node, self->snapshot, self->rooms);
    mkv_node_endurance_look(self->node, self->snapshot, self->endurance);
    mkv_shards_avoid(self->node->shards, slow);
    mkv_node_fence_look(self->node, self->snapshot, &self->fence, slow_ns);
}

void mkv_node_watch_fill(const struct mkv_node *node, struct mkv_admin_snapshot *out) {
    struct mkv_node_watch *self = node->watch;
    out->recent.residency_s = UINT64_MAX;
    if (self == NULL) {
        return;
    }
    pthread_mutex_lock(&self->mutex);
    mkv_watch_recent(self->watch, out);
    for (uint32_t index = 0; index < out->drive_count; index++) {
        struct mkv_admin_drive *drive = &out->drives[index];
        drive->slow = mkv_watch_drive_is_slow(self->watch, index);
        if (drive->slow && drive->state == MKV_DRIVE_STATE_ONLINE) {
            drive->state = MKV_DRIVE_STATE_SLOW;
        }
    }
    out->transitions_total[MKV_ADMIN_TRANSITION_DRIVE_ONLINE] =
        mkv_watch_transitions(self->watch, true);
    out->transitions_total[MKV_ADMIN_TRANSITION_DRIVE_OFFLINE] =
        mkv_watch_transitions(self->watch, false);
    pthread_mutex_unlock(&self->mutex);
}

/* ---- the step -------------------------------------------------------------------------------- */

static void watch_free(struct mkv_node_watch *self) {
    if (self != NULL) {
        mkv_watch_destroy(self->watch);
        free(self->snapshot);
        pthread_mutex_destroy(&self->mutex);
        free(self);
    }
}

bool mkv_node_watch_create(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_watch_options options = {
        .watchdog_ns = node->config.node.watchdog_s * NS_PER_S,
        .slow_after_ns = node->config.storage.slow_after_s * NS_PER_S,
    };
    struct mkv_node_watch *self = calloc(1, sizeof *self);
    if (self != NULL) {
        pthread_mutex_init(&self->mutex, NULL);
        self->node = node;
        self->fence.after_ns = node->config.storage.slow_fence_s * NS_PER_S;
        self->snapshot = calloc(1, sizeof *self->snapshot);
        self->watch = mkv_watch_create(&options);
    }
    if (self == NULL || self->snapshot == NULL || self->watch == NULL) {
        watch_free(self);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a node. Free memory on this machine");
    }
    node->watch = self;
    return true;
}

void mkv_node_watch_destroy(struct mkv_node *node) {
    watch_free(node->watch);
    node->watch = NULL;
}

bool mkv_node_watch_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_periodic_options periodic = {
        .name = "memkv-watch",
        .purpose = "watching the node",
        .interval_ns = LOOK_NS,
        .end_ns = MKV_PERIODIC_JOINED, /* it waits for no drive and no client */
        .turn = look,
        .context = node->watch,
    };
    return mkv_periodic_begin(&periodic, &node->watch->periodic, error);
}

void mkv_node_watch_end(struct mkv_node *node) {
    mkv_periodic_end(node->watch->periodic);
}
