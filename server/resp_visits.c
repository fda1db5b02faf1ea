/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_visits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum state {
    STATE_NONE = 0,
    STATE_WANTED,
    STATE_DONE,
};

struct mkv_resp_visits {
    void (*wake)(void *context);
    void *wake_context;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    _Atomic(enum state) state; /* written behind the mutex */
    bool ended;
    void (*look)(void *context, struct mkv_fabric_resp *fabric);
    void *context;
};

struct mkv_resp_visits *mkv_resp_visits_create(void (*wake)(void *context), void *wake_context) {
    struct mkv_resp_visits *visits = calloc(1, sizeof *visits);
    if (visits == NULL) {
        return NULL;
    }
    visits->wake = wake;
    visits->wake_context = wake_context;
    atomic_init(&visits->state, STATE_NONE);
    pthread_mutex_init(&visits->mutex, NULL);
    pthread_cond_init(&visits->changed, NULL);
    return visits;
}

void mkv_resp_visits_destroy(struct mkv_resp_visits *visits) {
    if (visits != NULL) {
        pthread_cond_destroy(&visits->changed);
        pthread_mutex_destroy(&visits->mutex);
        free(visits);
    }
}

bool mkv_resp_visits_ask(struct mkv_resp_visits *visits,
                         void (*look)(void *context, struct mkv_fabric_resp *fabric),
                         void *context) {
    pthread_mutex_lock(&visits->mutex);
    MKV_ASSERT(visits->state == STATE_NONE);
    if (!visits->ended) {
        visits->look = look;
        visits->context = context;
        visits->state = STATE_WANTED;
        visits->wake(visits->wake_context);
    }
    while (visits->state == STATE_WANTED && !visits->ended) {
        pthread_cond_wait(&visits->changed, &visits->mutex);
    }
    const bool done = visits->state == STATE_DONE;
    visits->state = STATE_NONE;
    pthread_mutex_unlock(&visits->mutex);
    return done;
}

void mkv_resp_visits_turn(struct mkv_resp_visits *visits, struct mkv_fabric_resp *fabric) {
    if (atomic_load_explicit(&visits->state, memory_order_acquire) != STATE_WANTED) {
        return;
    }
    pthread_mutex_lock(&visits->mutex);
    /* Who asks waits for the mutex meanwhile, and for nothing else. */
    if (visits->state == STATE_WANTED) {
        visits->look(visits->context, fabric);
        visits->state = STATE_DONE;
        pthread_cond_signal(&visits->changed);
    }
    pthread_mutex_unlock(&visits->mutex);
}

void mkv_resp_visits_end(struct mkv_resp_visits *visits) {
    pthread_mutex_lock(&visits->mutex);
    visits->ended = true;
    pthread_cond_signal(&visits->changed);
    pthread_mutex_unlock(&visits->mutex);
}
