/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_store.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(MKV_LOG_STORE_BYTES >= 2 * MKV_LOG_LINE_BYTES_MAX, "the newest line has room");

struct place {
    uint32_t offset;
    uint32_t bytes;
};

struct mkv_log_store {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closed;
    uint64_t calls;
    uint64_t first; /* the oldest line that is here */
    uint64_t end;
    uint32_t next_offset;
    struct place places[MKV_LOG_LINES_MAX]; /* of line n: n % MKV_LOG_LINES_MAX */
    char bytes[MKV_LOG_STORE_BYTES];
};

struct mkv_log_store *mkv_log_store_create(void) {
    struct mkv_log_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return NULL;
    }
    int result = pthread_mutex_init(&store->mutex, NULL);
    MKV_ASSERT(result == 0);
    result = pthread_cond_init(&store->changed, NULL);
    MKV_ASSERT(result == 0);
    return store;
}

void mkv_log_store_destroy(struct mkv_log_store *store) {
    if (store != NULL) {
        pthread_cond_destroy(&store->changed);
        pthread_mutex_destroy(&store->mutex);
        free(store);
    }
}

static struct place *place_of(struct mkv_log_store *store, uint64_t line) {
    return &store->places[line % MKV_LOG_LINES_MAX];
}

/* Forgets the oldest lines as far as they are in the way of bytes at `offset`. */
static void make_room(struct mkv_log_store *store, uint32_t offset, uint32_t bytes) {
    while (store->first < store->end) {
        const struct place *oldest = place_of(store, store->first);
        const bool in_the_way =
            oldest->offset < offset + bytes && offset < oldest->offset + oldest->bytes;
        if (!in_the_way && store->end - store->first < MKV_LOG_LINES_MAX) {
            return;
        }
        store->first++;
    }
}

void mkv_log_store_add(struct mkv_log_store *store, const char *line, uint32_t bytes) {
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT(bytes <= MKV_LOG_LINE_BYTES_MAX);
    pthread_mutex_lock(&store->mutex);
    uint32_t offset = store->next_offset;
    if (offset + bytes > MKV_LOG_STORE_BYTES) {
        /* The lines that lie from here to the end are the oldest, and the next round goes over
         * them before it comes to those at the beginning. */
        make_room(store, offset, MKV_LOG_STORE_BYTES - offset);
        offset = 0;
    }
    make_room(store, offset, bytes);
    memcpy(store->bytes + offset, line, bytes);
    *place_of(store, store->end) = (struct place){offset, bytes};
    store->end++;
    store->next_offset = offset + bytes;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
}

void mkv_log_store_close(struct mkv_log_store *store) {
    pthread_mutex_lock(&store->mutex);
    store->closed = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
}

void mkv_log_store_wake(struct mkv_log_store *store) {
    pthread_mutex_lock(&store->mutex);
    store->calls++;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
}

enum mkv_log_store_wait mkv_log_store_take(struct mkv_log_store *store, uint64_t *next,
                                           uint64_t *lost, uint64_t *calls,
                                           char out[MKV_LOG_LINE_BYTES_MAX + 1], uint32_t *bytes) {
    enum mkv_log_store_wait result;
    pthread_mutex_lock(&store->mutex);
    while (*next == store->end && !store->closed && *calls == store->calls) {
        pthread_cond_wait(&store->changed, &store->mutex);
    }
    /* A call goes before lines, so that a file is opened anew before more goes to the old one. */
    if (*calls != store->calls) {
        *calls = store->calls;
        result = MKV_LOG_STORE_WOKEN;
    } else if (*next < store->end) {
        if (*next < store->first) {
            *lost += store->first - *next;
            *next = store->first;
        }
        const struct place *place = place_of(store, *next);
        memcpy(out, store->bytes + place->offset, place->bytes);
        out[place->bytes] = '\0';
        *bytes = place->bytes;
        (*next)++;
        result = MKV_LOG_STORE_LINE;
    } else {
        result = MKV_LOG_STORE_CLOSED;
    }
    pthread_mutex_unlock(&store->mutex);
    return result;
}

uint64_t mkv_log_store_end(struct mkv_log_store *store) {
    pthread_mutex_lock(&store->mutex);
    const uint64_t end = store->end;
    pthread_mutex_unlock(&store->mutex);
    return end;
}

char *mkv_log_store_last(struct mkv_log_store *store, uint32_t line_count, size_t *bytes) {
    pthread_mutex_lock(&store->mutex);
    const uint64_t count = mkv_min_u64(line_count, store->end - store->first);
    size_t total = 0;
    for (uint64_t line = store->end - count; line < store->end; line++) {
        total += place_of(store, line)->bytes;
    }
    char *text = malloc(total + 1);
    if (text != NULL) {
        size_t at = 0;
        for (uint64_t line = store->end - count; line < store->end; line++) {
            const struct place *place = place_of(store, line);
            memcpy(text + at, store->bytes + place->offset, place->bytes);
            at += place->bytes;
        }
        text[at] = '\0';
        *bytes = at;
    }
    pthread_mutex_unlock(&store->mutex);
    return text;
}
