/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of drives while the node serves: one thread does what operators want, a step after the
 * other, and answers wait for it as long as they like.
 *
 *   offline   leave the set --> closed --> its medium is let go
 *   online    [let go] --> opened again, probed, admitted --> formatted, if it is blank
 *                      --> the shard has it --> joins: members purge, set, it opens empty
 *   replace   the new drive is opened, probed and admitted first; then as offline and online
 *   erase     [let go] --> what its medium holds is discarded
 *
 * Invariants
 *  I1  Whatever a drive does not answer, no shard's thread and no answer waits for: the steps that
 *      may, opening, probing, formatting, erasing, are this thread's.
 *  I2  One job at a time. An answer says when another is under way.
 *  I3  A job ends: each step of it has a bound.
 *
 * Not responsible for: who belongs to the set (core/drive_set_run.h).
 */
#ifndef MKV_SERVER_NODE_LIFE_H
#define MKV_SERVER_NODE_LIFE_H

#include "server/node_internal.h"

struct life_job {
    uint64_t number; /* 0: there was none */
    enum mkv_admin_drive_action action;
    uint32_t drive;
    char path[MKV_CONFIG_PATH_BYTES]; /* REPLACE */
    bool by_fence;                    /* OFFLINE */
    bool ended;
    bool done; /* else it has failed */
    char stage[MKV_ADMIN_DRIVE_STAGE_BYTES];
    char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES];
    double miss_share;
    uint64_t refill_s;
};

/* What had been written to each drive at a moment. */
struct life_sample {
    uint64_t ns; /* 0: there is none */
    uint64_t written[MKV_VOLUMES_MAX];
};

struct mkv_node_life {
    struct mkv_node *node;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    bool ending;
    bool ended;
    struct life_job job;           /* under way, or the last */
    struct life_sample samples[2]; /* the last, and the one before */
};

/* ---- node_life_steps.c ----------------------------------------------------------------------- */

/* Does a job, on the thread. True when it is done; `message` says what came of it, or why not. */
bool mkv_node_life_do(struct mkv_node_life *life, const struct life_job *job,
                      char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]);
/* Says what the job is at; false when the node ends. */
bool mkv_node_life_stage(struct mkv_node_life *life, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Waits a moment; false when the node ends. */
bool mkv_node_life_pause(struct mkv_node_life *life);
/* Whether the wish can be granted at all now; else `message` says why not. */
bool mkv_node_life_may(struct mkv_node *node, enum mkv_admin_drive_action action, uint32_t drive,
                       char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]);
/* What it costs: the share of all blocks that become misses, and how long it takes at the present
 * rate to write as much again. */
void mkv_node_life_cost(struct mkv_node *node, enum mkv_admin_drive_action action, uint32_t drive,
                        const struct life_sample *before, double *miss_share, uint64_t *refill_s);
void mkv_node_life_sample(struct mkv_node *node, struct life_sample *sample);

#endif
