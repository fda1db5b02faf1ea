/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_deletes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"

enum state {
    STATE_NONE = 0,
    STATE_WANTED,
    STATE_BEGUN,
    STATE_ANSWERED,
    STATE_DONE
};

struct mkv_resp_deletes {
    struct mkv_fabric base;
    struct mkv_resp_deletes_options options;
    struct mkv_fabric_counters counters;
    uint32_t generation;
    bool known; /* the front has had a request of this generation */
    bool broken;
    bool draining;
    struct mkv_op_id answer_op;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    _Atomic(enum state) state; /* written behind the mutex */
    bool ended;
    enum mkv_status status;
    uint32_t tenant;
    const char *tenant_name;
    uint32_t item_count;
    struct mkv_request_item items[MKV_RESP_DELETES_KEYS_MAX];
    uint32_t keys_bytes;
    uint8_t keys[MKV_RESP_DELETES_KEYS_MAX * MKV_KEY_BYTES_MAX];
};

static struct mkv_resp_deletes *of(struct mkv_fabric *base) {
    return (struct mkv_resp_deletes *)base;
}

static const struct mkv_resp_deletes *const_of(const struct mkv_fabric *base) {
    return (const struct mkv_resp_deletes *)base;
}

static struct mkv_connection_id connection(const struct mkv_resp_deletes *deletes) {
    return (struct mkv_connection_id){deletes->options.connection_base, deletes->generation};
}

/* ---- the shard's thread ---------------------------------------------------------------------- */

static void set_state(struct mkv_resp_deletes *deletes, enum state state) {
    pthread_mutex_lock(&deletes->mutex);
    deletes->state = state;
    pthread_cond_signal(&deletes->changed);
    pthread_mutex_unlock(&deletes->mutex);
}

static void begin(struct mkv_resp_deletes *deletes) {
    if (deletes->draining || deletes->broken) {
        deletes->status = MKV_STATUS_UNAVAILABLE;
        set_state(deletes, STATE_DONE);
        return;
    }
    struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST, .data = deletes->keys, .data_bytes = deletes->keys_bytes};
    input.request = (struct mkv_request){
        .connection = connection(deletes),
        .op = MKV_OP_DELETE,
        .tenant = deletes->tenant,
        .tenant_name = deletes->tenant_name,
        .deadline_ns = mkv_clock_monotonic_ns() + MKV_RESP_DELETES_DEADLINE_NS,
        .item_count = deletes->item_count,
        .items = deletes->items,
    };
    deletes->known = true;
    set_state(deletes, STATE_BEGUN);
    deletes->base.sink.input(deletes->base.sink.context, &input);
}

/* What a DELETE of several keys came to: the first that is neither done nor needless. */
static enum mkv_status status_of(const struct mkv_answer_effect *answer,
                                 const uint8_t *front_arena) {
    enum mkv_status status = answer->status;
    for (uint32_t i = 0; i < answer->result_count && status == MKV_STATUS_OK; i++) {
        struct mkv_item_result result;
        memcpy(&result, front_arena + answer->results_offset + i * sizeof result, sizeof result);
        status = result.status == MKV_STATUS_NOT_FOUND ? MKV_STATUS_OK : result.status;
    }
    return status;
}

static void deletes_submit(struct mkv_fabric *base, const struct mkv_effect *effect,
                           const uint8_t *front_arena) {
    struct mkv_resp_deletes *deletes = of(base);
    if (effect->kind == MKV_EFFECT_BREAK) {
        deletes->broken = true;
        return;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_ANSWER);
    deletes->status = status_of(&effect->answer, front_arena);
    deletes->answer_op = effect->op;
    set_state(deletes, STATE_ANSWERED);
}

static void tell(struct mkv_resp_deletes *deletes, enum mkv_fabric_event event) {
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.event = event;
    input.fabric.transfer = deletes->broken ? MKV_TRANSFER_FAILED : MKV_TRANSFER_OK;
    input.fabric.op = deletes->answer_op;
    input.fabric.connection = connection(deletes);
    deletes->base.sink.input(deletes->base.sink.context, &input);
}

static void close_connection(struct mkv_resp_deletes *deletes, enum state state) {
    if (deletes->known) {
        tell(deletes, MKV_FABRIC_CONNECTION_CLOSED);
    }
    deletes->generation++;
    deletes->known = false;
    deletes->broken = false;
    if (state == STATE_BEGUN) {
        deletes->status = MKV_STATUS_UNAVAILABLE;
        set_state(deletes, STATE_DONE);
    }
}

static void deletes_poll(struct mkv_fabric *base, uint64_t now_ns) {
    struct mkv_resp_deletes *deletes = of(base);
    (void)now_ns;
    deletes->options.turn(deletes->options.context);
    const enum state state = deletes->state;
    if (state == STATE_ANSWERED) {
        tell(deletes, MKV_FABRIC_ANSWER_DONE);
        set_state(deletes, STATE_DONE);
    } else if (deletes->broken) {
        close_connection(deletes, state);
    } else if (state == STATE_WANTED) {
        begin(deletes);
    }
}

/* Calls end before the drives are open, too; nothing is deleted then. */
static void deletes_poll_opening(struct mkv_fabric *base, uint64_t now_ns) {
    struct mkv_resp_deletes *deletes = of(base);
    (void)now_ns;
    deletes->options.turn(deletes->options.context);
}

static bool deletes_has_work(const struct mkv_fabric *base) {
    const struct mkv_resp_deletes *deletes = const_of(base);
    return deletes->broken || deletes->state == STATE_ANSWERED ||
           deletes->options.turn_has_work(deletes->options.context);
}

static void deletes_drain(struct mkv_fabric *base) {
    of(base)->draining = true;
}

static void deletes_stop(struct mkv_fabric *base) {
    of(base)->draining = true;
    of(base)->broken = of(base)->known;
}

static bool deletes_is_idle(const struct mkv_fabric *base) {
    const struct mkv_resp_deletes *deletes = const_of(base);
    return deletes->draining && !deletes->broken && deletes->state != STATE_BEGUN &&
           deletes->state != STATE_ANSWERED;
}

static void deletes_destroy(struct mkv_fabric *base) {
    (void)base;
}

static const struct mkv_fabric_counters *deletes_counters(const struct mkv_fabric *base) {
    return &const_of(base)->counters;
}

static void deletes_describe(const struct mkv_fabric *base, struct mkv_connection_id id,
                             struct mkv_fabric_client *client) {
    const struct mkv_resp_deletes *deletes = const_of(base);
    (void)id;
    *client = (struct mkv_fabric_client){0};
    snprintf(client->name, sizeof client->name, "FLUSHDB");
    snprintf(client->tenant, sizeof client->tenant, "%s", deletes->tenant_name);
}

static const struct mkv_fabric_ops deletes_ops = {
    .submit = deletes_submit,
    .poll = deletes_poll,
    .poll_opening = deletes_poll_opening,
    .has_work = deletes_has_work,
    .drain = deletes_drain,
    .stop = deletes_stop,
    .is_idle = deletes_is_idle,
    .destroy = deletes_destroy,
    .counters = deletes_counters,
    .describe = deletes_describe,
};

/* ---- the other side -------------------------------------------------------------------------- */

struct mkv_resp_deletes *mkv_resp_deletes_create(const struct mkv_resp_deletes_options *options) {
    MKV_ASSERT(options->turn != NULL && options->turn_has_work != NULL && options->wake != NULL);
    struct mkv_resp_deletes *deletes = calloc(1, sizeof *deletes);
    if (deletes == NULL) {
        return NULL;
    }
    deletes->base.ops = &deletes_ops;
    deletes->options = *options;
    deletes->generation = 1;
    pthread_mutex_init(&deletes->mutex, NULL);
    pthread_cond_init(&deletes->changed, NULL);
    return deletes;
}

void mkv_resp_deletes_destroy(struct mkv_resp_deletes *deletes) {
    if (deletes != NULL) {
        pthread_cond_destroy(&deletes->changed);
        pthread_mutex_destroy(&deletes->mutex);
        free(deletes);
    }
}

struct mkv_fabric *mkv_resp_deletes_base(struct mkv_resp_deletes *deletes) {
    return &deletes->base;
}

/* The state is NONE: nobody else looks at what is set here. */
static void prepare(struct mkv_resp_deletes *deletes, uint32_t tenant, const char *tenant_name,
                    const struct mkv_resp_word *keys, uint32_t key_count) {
    deletes->tenant = tenant;
    deletes->tenant_name = tenant_name;
    deletes->item_count = key_count;
    deletes->keys_bytes = 0;
    for (uint32_t i = 0; i < key_count; i++) {
        MKV_ASSERT(keys[i].count >= 1 && keys[i].count <= MKV_KEY_BYTES_MAX);
        deletes->items[i] = (struct mkv_request_item){.key_offset = deletes->keys_bytes,
                                                      .key_bytes = keys[i].count};
        memcpy(deletes->keys + deletes->keys_bytes, keys[i].bytes, keys[i].count);
        deletes->keys_bytes += keys[i].count;
    }
}

enum mkv_status mkv_resp_deletes_ask(struct mkv_resp_deletes *deletes, uint32_t tenant,
                                     const char *tenant_name, const struct mkv_resp_word *keys,
                                     uint32_t key_count) {
    MKV_ASSERT(key_count >= 1 && key_count <= MKV_RESP_DELETES_KEYS_MAX);
    enum mkv_status status = MKV_STATUS_UNAVAILABLE;
    pthread_mutex_lock(&deletes->mutex);
    MKV_ASSERT(deletes->state == STATE_NONE);
    if (!deletes->ended) {
        prepare(deletes, tenant, tenant_name, keys, key_count);
        deletes->state = STATE_WANTED;
        deletes->options.wake(deletes->options.context);
        while (deletes->state != STATE_DONE && !deletes->ended) {
            pthread_cond_wait(&deletes->changed, &deletes->mutex);
        }
        if (deletes->state == STATE_DONE) {
            status = deletes->status;
        }
        deletes->state = STATE_NONE;
    }
    pthread_mutex_unlock(&deletes->mutex);
    return status;
}

void mkv_resp_deletes_end(struct mkv_resp_deletes *deletes) {
    pthread_mutex_lock(&deletes->mutex);
    deletes->ended = true;
    pthread_cond_signal(&deletes->changed);
    pthread_mutex_unlock(&deletes->mutex);
}
