/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct mkv_resp_worker {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct mkv_resp_job *first;
    struct mkv_resp_job *last;
    bool stopping;
};

/* The next job; NULL when there is none. The mutex is held. */
static struct mkv_resp_job *take(struct mkv_resp_worker *worker) {
    struct mkv_resp_job *job = worker->first;
    if (job != NULL) {
        worker->first = job->next;
        worker->last = worker->first == NULL ? NULL : worker->last;
        job->next = NULL;
    }
    return job;
}

static void *thread(void *context) {
    struct mkv_resp_worker *worker = context;
    pthread_setname_np(pthread_self(), "mkv-resp");
    pthread_mutex_lock(&worker->mutex);
    while (!worker->stopping) {
        struct mkv_resp_job *job = take(worker);
        if (job == NULL) {
            pthread_cond_wait(&worker->changed, &worker->mutex);
            continue;
        }
        pthread_mutex_unlock(&worker->mutex);
        job->run(job);
        job->done(job);
        pthread_mutex_lock(&worker->mutex);
    }
    pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

bool mkv_resp_worker_start(struct mkv_resp_worker **out, struct mkv_backend_error *error) {
    struct mkv_resp_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for RESP's commands. Free memory on this machine");
    }
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->changed, NULL);
    /* Signals are for the thread that waits for them, but for the one of the profiler. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&worker->thread, NULL, thread, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        pthread_cond_destroy(&worker->changed);
        pthread_mutex_destroy(&worker->mutex);
        free(worker);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for RESP's commands: %s. Raise the limit of processes "
                                  "(ulimit -u, TasksMax)",
                                  strerror(result));
    }
    *out = worker;
    return true;
}

void mkv_resp_worker_stop(struct mkv_resp_worker *worker) {
    if (worker == NULL) {
        return;
    }
    pthread_mutex_lock(&worker->mutex);
    worker->stopping = true;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
    pthread_join(worker->thread, NULL);
    for (struct mkv_resp_job *job = take(worker); job != NULL; job = take(worker)) {
        job->done(job);
    }
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}

void mkv_resp_worker_submit(struct mkv_resp_worker *worker, struct mkv_resp_job *job) {
    job->next = NULL;
    pthread_mutex_lock(&worker->mutex);
    if (worker->last == NULL) {
        worker->first = job;
    } else {
        worker->last->next = job;
    }
    worker->last = job;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
}
