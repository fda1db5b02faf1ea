/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions of other threads to a volume of a running shard.
 *
 *            mkv_shard_ask                            the shard's thread, in its rounds
 *   NONE ------------------> WANTED ------------------> BEGUN --(answer)--> DONE --(taken)--> NONE
 *                              |                          |
 *                              +--(time is over)--> NONE  +--(time is over)--> LEFT
 *                                                                              --(answer)--> NONE
 *
 * The answer comes to the thread's own memory first, since it may come while the mutex is held, and
 * at any other time, too.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"
#include "server/shard_internal.h"

#define NS_PER_S 1000000000ull

/* ---- the shard's thread --------------------------------------------------------------------- */

void mkv_shard_asked(void *context, const struct mkv_message *answer, const uint8_t *data) {
    struct mkv_shard *shard = context;
    MKV_ASSERT(!shard->asked);
    MKV_ASSERT(answer->data_bytes <= MKV_SHARD_ANSWER_BYTES_MAX);
    shard->asked = true;
    shard->ask_answer->message = *answer;
    if (answer->data_bytes > 0) {
        memcpy(shard->ask_answer->data, data, answer->data_bytes);
    }
}

static void begin(struct mkv_shard *shard) {
    const struct shard_volume *volume = &shard->volumes[shard->ask_message.volume];
    if (volume->state != SHARD_VOLUME_SERVING) {
        shard->ask = SHARD_ASK_DONE;
        shard->ask_status = MKV_STATUS_UNAVAILABLE;
        return;
    }
    shard->asked = false;
    shard->ask = SHARD_ASK_BEGUN;
    shard->ask_status = MKV_STATUS_OK;
    mkv_pump_ask(shard->pump, &shard->ask_message, shard->ask_data);
}

void mkv_shard_ask_advance(struct mkv_shard *shard) {
    if (!atomic_load_explicit(&shard->ask_wanted, memory_order_acquire) ||
        pthread_mutex_trylock(&shard->mutex) != 0) {
        return; /* in a later round: there is one at every tick */
    }
    if (shard->ask == SHARD_ASK_WANTED) {
        begin(shard);
    }
    if (shard->ask == SHARD_ASK_BEGUN && shard->asked) {
        shard->ask = SHARD_ASK_DONE;
    } else if (shard->ask == SHARD_ASK_LEFT && shard->asked) {
        shard->ask = SHARD_ASK_NONE;
    }
    if (shard->ask == SHARD_ASK_DONE || shard->ask == SHARD_ASK_NONE) {
        atomic_store_explicit(&shard->ask_wanted, false, memory_order_release);
        pthread_cond_broadcast(&shard->changed);
    }
    pthread_mutex_unlock(&shard->mutex);
}

/* ---- the other side ------------------------------------------------------------------------- */

/* Waits until the question is in `state` or the time is over. The mutex is held. */
static bool await(struct mkv_shard *shard, enum shard_ask_state state,
                  const struct timespec *until) {
    int result = 0;
    while (shard->ask != state && !shard->ended && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&shard->changed, &shard->mutex, until);
    }
    return shard->ask == state && !shard->ended;
}

static enum mkv_status take(struct mkv_shard *shard, struct mkv_shard_answer *answer) {
    if (shard->ask_status == MKV_STATUS_OK) {
        answer->message = shard->ask_answer->message;
        memcpy(answer->data, shard->ask_answer->data, answer->message.data_bytes);
    }
    return shard->ask_status;
}

/* The question has waited long enough, or the shard has ended. */
static enum mkv_status leave(struct mkv_shard *shard) {
    shard->ask = shard->ask == SHARD_ASK_BEGUN ? SHARD_ASK_LEFT : SHARD_ASK_NONE;
    return shard->ended ? MKV_STATUS_UNAVAILABLE : MKV_STATUS_DEADLINE;
}

static void want(struct mkv_shard *shard, const struct mkv_message *message, const uint8_t *data) {
    shard->ask_message = *message;
    if (message->kind == MKV_MESSAGE_EXISTS) {
        shard->ask_message.flags |= MKV_EXISTS_NO_USE;
    }
    if (message->kind == MKV_MESSAGE_SCAN) {
        shard->ask_message.bytes = MKV_SHARD_ANSWER_BYTES_MAX;
    }
    if (message->data_bytes > 0) {
        memcpy(shard->ask_data, data, message->data_bytes);
    }
    shard->ask = SHARD_ASK_WANTED;
    atomic_store_explicit(&shard->ask_wanted, true, memory_order_release);
    mkv_ring_wake(shard->ring);
}

enum mkv_status mkv_shard_ask(struct mkv_shard *shard, const struct mkv_message *message,
                              const uint8_t *data, uint64_t wait_ns,
                              struct mkv_shard_answer *answer) {
    MKV_ASSERT(message->volume < shard->volume_count);
    MKV_ASSERT(message->lease_ns == 0);
    MKV_ASSERT(message->data_bytes <= MKV_SHARD_QUESTION_BYTES_MAX);
    const uint64_t until_ns = mkv_clock_monotonic_ns() + wait_ns;
    const struct timespec until = {
        .tv_sec = (time_t)(until_ns / NS_PER_S),
        .tv_nsec = (long)(until_ns % NS_PER_S),
    };
    enum mkv_status status = MKV_STATUS_UNAVAILABLE;
    pthread_mutex_lock(&shard->mutex);
    if (shard->all_opened && !shard->ended) {
        if (!await(shard, SHARD_ASK_NONE, &until)) {
            status = shard->ended ? MKV_STATUS_UNAVAILABLE : MKV_STATUS_DEADLINE;
        } else {
            want(shard, message, data);
            if (await(shard, SHARD_ASK_DONE, &until)) {
                status = take(shard, answer);
                shard->ask = SHARD_ASK_NONE;
            } else {
                status = leave(shard);
            }
            pthread_cond_broadcast(&shard->changed);
        }
    }
    pthread_mutex_unlock(&shard->mutex);
    return status;
}
