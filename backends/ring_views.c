/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/ring_views.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"

struct member {
    uint64_t hash; /* 0: the place is free */
    char address[MKV_RING_ADDRESS_BYTES];
    char name[MKV_RING_NAME_BYTES];
};

struct mkv_ring_views {
    pthread_mutex_t mutex;
    uint32_t member_end; /* places from here on were never used */
    struct member members[MKV_RING_MEMBERS_MAX];
};

struct mkv_ring_views *mkv_ring_views_create(void) {
    struct mkv_ring_views *views = calloc(1, sizeof *views);
    if (views != NULL) {
        pthread_mutex_init(&views->mutex, NULL);
    }
    return views;
}

void mkv_ring_views_destroy(struct mkv_ring_views *views) {
    if (views != NULL) {
        pthread_mutex_destroy(&views->mutex);
        free(views);
    }
}

/* A free place, or MKV_RING_NO_MEMBER. */
static uint32_t place_find(struct mkv_ring_views *views) {
    for (uint32_t place = 0; place < views->member_end; place++) {
        if (views->members[place].hash == 0) {
            return place;
        }
    }
    return views->member_end < MKV_RING_MEMBERS_MAX ? views->member_end++ : MKV_RING_NO_MEMBER;
}

static void free_place(struct mkv_ring_views *views, uint32_t *member) {
    MKV_ASSERT(*member < views->member_end);
    MKV_ASSERT(views->members[*member].hash != 0);
    views->members[*member].hash = 0;
    *member = MKV_RING_NO_MEMBER;
}

void mkv_ring_views_told(struct mkv_ring_views *views, uint32_t *member, uint64_t hash,
                         const char *address, const char *name) {
    pthread_mutex_lock(&views->mutex);
    if (hash == 0 && *member != MKV_RING_NO_MEMBER) {
        free_place(views, member);
    } else if (hash != 0 && *member == MKV_RING_NO_MEMBER) {
        *member = place_find(views);
    }
    if (*member != MKV_RING_NO_MEMBER) {
        struct member *place = &views->members[*member];
        place->hash = hash;
        snprintf(place->address, sizeof place->address, "%s", address);
        snprintf(place->name, sizeof place->name, "%s", name);
    }
    pthread_mutex_unlock(&views->mutex);
}

void mkv_ring_views_gone(struct mkv_ring_views *views, uint32_t *member) {
    if (*member == MKV_RING_NO_MEMBER) {
        return;
    }
    pthread_mutex_lock(&views->mutex);
    free_place(views, member);
    pthread_mutex_unlock(&views->mutex);
}

static int hash_compare(const void *left, const void *right) {
    const uint64_t a = ((const struct mkv_ring_view *)left)->hash;
    const uint64_t b = ((const struct mkv_ring_view *)right)->hash;
    return a < b ? -1 : a > b;
}

/* Among those told it goes before what has fewer connections; the last may have to leave. */
static void tell(struct mkv_ring_told *out, const struct mkv_ring_view *view) {
    uint32_t place = out->told_count;
    while (place > 0 && out->views[place - 1].connection_count < view->connection_count) {
        place--;
    }
    if (place == MKV_RING_VIEWS_TOLD) {
        return;
    }
    out->told_count = (uint32_t)mkv_min_u64(out->told_count + 1, MKV_RING_VIEWS_TOLD);
    for (uint32_t index = out->told_count - 1; index > place; index--) {
        out->views[index] = out->views[index - 1];
    }
    out->views[place] = *view;
}

void mkv_ring_views_read(struct mkv_ring_views *views, struct mkv_ring_told *out) {
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&views->mutex);
    const uint32_t end = views->member_end;
    uint32_t count = 0;
    struct mkv_ring_view *all = end > 0 ? malloc(end * sizeof *all) : NULL;
    for (uint32_t place = 0; all != NULL && place < end; place++) {
        const struct member *member = &views->members[place];
        if (member->hash != 0) {
            struct mkv_ring_view *view = &all[count++];
            *view = (struct mkv_ring_view){.hash = member->hash, .connection_count = 1};
            memcpy(view->address, member->address, sizeof view->address);
            memcpy(view->name, member->name, sizeof view->name);
        }
    }
    pthread_mutex_unlock(&views->mutex);
    /* Equal hashes stand side by side then; the clients of a view are not told apart. */
    if (count > 0) {
        qsort(all, count, sizeof *all, hash_compare);
    }
    for (uint32_t begin = 0; begin < count;) {
        struct mkv_ring_view *view = &all[begin];
        uint32_t after = begin + 1;
        while (after < count && all[after].hash == view->hash) {
            after++;
        }
        view->connection_count = after - begin;
        tell(out, view);
        out->view_count++;
        begin = after;
    }
    free(all);
}
