/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_life.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"

#define NS_PER_S 1000000000ull
/* How often a job looks whether what it waits for has come. */
#define PAUSE_NS (10ull * 1000000u)
/* The present rate of writing is that of one to two of these. */
#define SAMPLE_NS (10ull * NS_PER_S)
/* How long the end of the node waits for a step that a drive does not answer. */
#define END_NS (5ull * NS_PER_S)

static struct timespec time_of(uint64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* ---- the thread ------------------------------------------------------------------------------ */

bool mkv_node_life_stage(struct mkv_node_life *life, const char *format, ...) {
    char stage[MKV_ADMIN_DRIVE_STAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(stage, sizeof stage, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&life->mutex);
    memcpy(life->job.stage, stage, sizeof stage);
    const bool goes_on = !life->ending;
    pthread_mutex_unlock(&life->mutex);
    return goes_on;
}

bool mkv_node_life_pause(struct mkv_node_life *life) {
    const struct timespec until = time_of(mkv_clock_monotonic_ns() + PAUSE_NS);
    pthread_mutex_lock(&life->mutex);
    while (!life->ending &&
           pthread_cond_timedwait(&life->changed, &life->mutex, &until) != ETIMEDOUT) {
    }
    const bool goes_on = !life->ending;
    pthread_mutex_unlock(&life->mutex);
    return goes_on;
}

static bool is_waiting(const struct mkv_node_life *life) {
    return life->job.number != 0 && !life->job.ended;
}

static void tell(struct mkv_node_life *life, const struct life_job *job, bool done,
                 const char *message) {
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = life->node->config.storage.drives[job->drive].name},
        {.name = "action", .text = mkv_admin_drive_actions[job->action]},
        {.name = "job", .number = job->number},
    };
    mkv_log_write(life->node->log, MKV_LOG_SITE_DRIVE,
                  done ? MKV_CONFIG_LOG_INFO : MKV_CONFIG_LOG_WARN, "server.node", fields, 3, "%s",
                  message);
}

/* Waits for a job; behind the mutex, which is let go while figures are taken. */
static void idle(struct mkv_node_life *life) {
    const uint64_t due_ns = life->samples[0].ns + SAMPLE_NS;
    if (mkv_clock_monotonic_ns() < due_ns) {
        const struct timespec until = time_of(due_ns);
        (void)pthread_cond_timedwait(&life->changed, &life->mutex, &until);
        return;
    }
    struct life_sample sample;
    pthread_mutex_unlock(&life->mutex);
    mkv_node_life_sample(life->node, &sample);
    pthread_mutex_lock(&life->mutex);
    sample.ns = sample.ns == 0 ? mkv_clock_monotonic_ns() : sample.ns;
    life->samples[1] = life->samples[0];
    life->samples[0] = sample;
}

static void *run(void *context) {
    struct mkv_node_life *life = context;
    pthread_mutex_lock(&life->mutex);
    while (!life->ending) {
        if (!is_waiting(life)) {
            idle(life);
            continue;
        }
        const struct life_job job = life->job;
        char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES] = "";
        pthread_mutex_unlock(&life->mutex);
        const bool done = mkv_node_life_do(life, &job, message);
        pthread_mutex_lock(&life->mutex);
        if (!life->ending) {
            tell(life, &job, done, message);
            if (job.by_fence) {
                mkv_node_fence_audit(life->node, job.drive, done ? "ok" : "failed", message);
            }
        }
        life->job.ended = true;
        life->job.done = done;
        memcpy(life->job.message, message, sizeof message);
        pthread_cond_broadcast(&life->changed);
    }
    life->ended = true;
    pthread_cond_broadcast(&life->changed);
    pthread_mutex_unlock(&life->mutex);
    return NULL;
}

/* ---- answers --------------------------------------------------------------------------------- */

static uint32_t find(const struct mkv_node *node, const char *name) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        if (strcmp(node->config.storage.drives[i].name, name) == 0) {
            return i;
        }
    }
    return MKV_NONE_U32;
}

static void refuse(struct mkv_admin_drive_outcome *outcome, enum mkv_admin_drive_end end,
                   const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    outcome->end = end;
    vsnprintf(outcome->message, sizeof outcome->message, format, arguments);
    va_end(arguments);
}

/* What the job has come to; behind the mutex. */
static void outcome_of(const struct life_job *job, struct mkv_admin_drive_outcome *outcome) {
    outcome->end = !job->ended ? MKV_ADMIN_DRIVE_END_UNDER_WAY
                   : job->done ? MKV_ADMIN_DRIVE_END_DONE
                               : MKV_ADMIN_DRIVE_END_FAILED;
    outcome->job = job->number;
    outcome->miss_share = job->miss_share;
    outcome->refill_s = job->refill_s;
    memcpy(outcome->stage, job->stage, sizeof outcome->stage);
    memcpy(outcome->message, job->message, sizeof outcome->message);
}

/* Waits for the job's end; behind the mutex. */
static void wait_for(struct mkv_node_life *life, uint64_t number, uint64_t wait_ns) {
    const struct timespec until = time_of(mkv_clock_monotonic_ns() + wait_ns);
    int result = 0;
    while (life->job.number == number && !life->job.ended && !life->ending && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&life->changed, &life->mutex, &until);
    }
}

static void look_after(struct mkv_node_life *life, const struct mkv_admin_drive_wish *wish,
                       uint32_t drive, struct mkv_admin_drive_outcome *outcome) {
    pthread_mutex_lock(&life->mutex);
    const struct life_job *job = &life->job;
    if (job->number == wish->job && (job->drive != drive || job->action != wish->action)) {
        refuse(outcome, MKV_ADMIN_DRIVE_END_REFUSED, "job %llu is %s of %s",
               (unsigned long long)wish->job, mkv_admin_drive_actions[job->action],
               life->node->config.storage.drives[job->drive].name);
        pthread_mutex_unlock(&life->mutex);
        return;
    }
    wait_for(life, wish->job, wish->wait_ns);
    if (life->job.number == wish->job) {
        outcome_of(&life->job, outcome);
    } else {
        refuse(outcome, MKV_ADMIN_DRIVE_END_REFUSED,
               "job %llu is not known any more: others came behind it. See the drive's state",
               (unsigned long long)wish->job);
    }
    pthread_mutex_unlock(&life->mutex);
}

static void begin(struct mkv_node_life *life, const struct mkv_admin_drive_wish *wish,
                  uint32_t drive, struct mkv_admin_drive_outcome *outcome) {
    const struct mkv_node *node = life->node;
    pthread_mutex_lock(&life->mutex);
    if (is_waiting(life)) {
        refuse(outcome, MKV_ADMIN_DRIVE_END_REFUSED,
               "drive %s: another drive is being changed: %s %s, job %llu: %s. Try again when that "
               "is over",
               wish->drive, mkv_admin_drive_actions[life->job.action],
               node->config.storage.drives[life->job.drive].name,
               (unsigned long long)life->job.number, life->job.stage);
    } else {
        struct life_job *job = &life->job;
        *job = (struct life_job){
            .number = job->number + 1,
            .action = wish->action,
            .drive = drive,
            .by_fence = wish->by_fence,
            .miss_share = outcome->miss_share,
            .refill_s = outcome->refill_s,
        };
        snprintf(job->path, sizeof job->path, "%s", wish->path == NULL ? "" : wish->path);
        snprintf(job->stage, sizeof job->stage, "it begins");
        pthread_cond_broadcast(&life->changed);
        wait_for(life, job->number, wish->wait_ns);
        outcome_of(job, outcome);
    }
    pthread_mutex_unlock(&life->mutex);
}

void mkv_node_drive_act(void *context, const struct mkv_admin_drive_wish *wish,
                        struct mkv_admin_drive_outcome *outcome) {
    struct mkv_node *node = context;
    pthread_mutex_lock(&node->mutex);
    struct mkv_node_life *life = node->life;
    pthread_mutex_unlock(&node->mutex);
    const uint32_t drive = find(node, wish->drive);
    outcome->end = MKV_ADMIN_DRIVE_END_UNAVAILABLE;
    if (life == NULL) {
        return;
    }
    if (drive == MKV_NONE_U32) {
        outcome->end = MKV_ADMIN_DRIVE_END_NONE;
        return;
    }
    if (wish->path != NULL && strlen(wish->path) >= MKV_CONFIG_PATH_BYTES) {
        refuse(outcome, MKV_ADMIN_DRIVE_END_REFUSED,
               "drive %s: the path of the new drive is too long", wish->drive);
        return;
    }
    if (wish->job != 0) {
        look_after(life, wish, drive, outcome);
        return;
    }
    if (!mkv_node_life_may(node, wish->action, drive, outcome->message)) {
        outcome->end = MKV_ADMIN_DRIVE_END_REFUSED;
        return;
    }
    pthread_mutex_lock(&life->mutex);
    const struct life_sample before = life->samples[life->samples[1].ns == 0 ? 0 : 1];
    pthread_mutex_unlock(&life->mutex);
    mkv_node_life_cost(node, wish->action, drive, &before, &outcome->miss_share,
                       &outcome->refill_s);
    if (wish->only_cost) {
        outcome->end = MKV_ADMIN_DRIVE_END_DONE;
        snprintf(outcome->message, sizeof outcome->message, "nothing was done");
        return;
    }
    begin(life, wish, drive, outcome);
}

/* ---- the step -------------------------------------------------------------------------------- */

bool mkv_node_life_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_node_life *life = calloc(1, sizeof *life);
    if (life == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a node. Free memory on this machine");
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&life->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&life->mutex, NULL);
    life->node = node;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&life->thread, NULL, run, life);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        pthread_cond_destroy(&life->changed);
        pthread_mutex_destroy(&life->mutex);
        free(life);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for the node's drives: %s. Raise the limit of threads",
                                  strerror(result));
    }
    (void)pthread_setname_np(life->thread, "memkv-drives");
    pthread_mutex_lock(&node->mutex);
    node->life = life;
    pthread_mutex_unlock(&node->mutex);
    return true;
}

void mkv_node_life_end(struct mkv_node *node) {
    struct mkv_node_life *life = node->life;
    const struct timespec until = time_of(mkv_clock_monotonic_ns() + END_NS);
    int result = 0;
    pthread_mutex_lock(&life->mutex);
    life->ending = true;
    pthread_cond_broadcast(&life->changed);
    while (!life->ended && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&life->changed, &life->mutex, &until);
    }
    const bool ended = life->ended;
    pthread_mutex_unlock(&life->mutex);
    node->life = NULL; /* nobody asks any more: the admin listener has ended */
    if (!ended) {
        /* A drive keeps it in the kernel; when it comes back it sees that the node has ended. */
        (void)pthread_detach(life->thread);
        return;
    }
    MKV_ASSERT(pthread_join(life->thread, NULL) == 0);
    pthread_cond_destroy(&life->changed);
    pthread_mutex_destroy(&life->mutex);
    free(life);
}
