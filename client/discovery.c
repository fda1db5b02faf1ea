/* SPDX-License-Identifier: Apache-2.0 */
#include "client/discovery.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "client/discovery_source.h"
#include "client/engine.h"

/* What reading a list may take. */
#define READ_MS_MAX 5000u
/* Until there has been a list, it is tried again sooner. */
#define FIRST_RETRY_MS 200u

static const struct mkv_discovery_source *const sources[] = {
    &mkv_discovery_static,
    &mkv_discovery_file,
    &mkv_discovery_dns,
    &mkv_discovery_etcd,
};
#define SOURCE_COUNT (sizeof sources / sizeof sources[0])

struct mkv_discovery {
    const struct mkv_discovery_source *source;
    void *context;
    uint32_t refresh_ms;
    struct mkv_metrics *metrics; /* NULL: nothing is counted */
    int stop;                    /* eventfd: readable when the thread is to end */
    bool has_thread;
    pthread_t thread;
    atomic_uint_fast64_t version;
    /* Of the thread alone. */
    struct mkv_server_list reading;
    /* Of both. */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a list is there, or could not be read */
    struct mkv_server_list list;
    struct mkv_discovery_counts counts;
    struct memkv_error failure; /* the last one; its text is empty when the last time went well */
};

/* ---- lists ---------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right) {
    const struct mkv_client_address *a = left;
    const struct mkv_client_address *b = right;
    return strcmp(a->text, b->text);
}

/* By name, each once. Of two of a name the first weight stands: which is the higher. */
static void list_order(struct mkv_server_list *list) {
    uint32_t kept = 0;
    qsort(list->servers, list->count, sizeof list->servers[0], compare);
    for (uint32_t index = 0; index < list->count; index++) {
        struct mkv_client_address *last = kept > 0 ? &list->servers[kept - 1] : NULL;
        if (last != NULL && strcmp(last->text, list->servers[index].text) == 0) {
            last->weight = last->weight > list->servers[index].weight ? last->weight
                                                                      : list->servers[index].weight;
        } else {
            list->servers[kept++] = list->servers[index];
        }
    }
    list->count = kept;
}

static bool list_is_same(const struct mkv_server_list *a, const struct mkv_server_list *b) {
    bool same = a->count == b->count;
    for (uint32_t index = 0; index < a->count && same; index++) {
        same = strcmp(a->servers[index].text, b->servers[index].text) == 0 &&
               a->servers[index].weight == b->servers[index].weight;
    }
    return same;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void publish(struct mkv_discovery *discovery, enum mkv_reading reading,
                    const struct memkv_error *failure) {
    struct mkv_server_list *list = &discovery->reading;
    if (discovery->metrics != NULL) {
        mkv_metrics_discovery(discovery->metrics, discovery->counts.is_failing,
                              reading == MKV_READING_FAILED);
    }
    pthread_mutex_lock(&discovery->mutex);
    discovery->counts.is_failing = reading == MKV_READING_FAILED;
    if (reading == MKV_READING_FAILED) {
        discovery->counts.failed_count++;
        discovery->failure = *failure;
    } else {
        discovery->counts.read_count++;
        mkv_client_succeed(&discovery->failure);
    }
    if (reading == MKV_READING_LIST && !list_is_same(list, &discovery->list)) {
        list->version = discovery->list.version + 1;
        discovery->list = *list;
        atomic_store_explicit(&discovery->version, list->version, memory_order_release);
    }
    pthread_cond_broadcast(&discovery->changed);
    pthread_mutex_unlock(&discovery->mutex);
}

static void read_once(struct mkv_discovery *discovery) {
    struct memkv_error failure;
    discovery->reading.count = 0;
    mkv_client_succeed(&failure);
    enum mkv_reading reading = discovery->source->read(discovery->context, discovery->stop,
                                                       READ_MS_MAX, &discovery->reading, &failure);
    MKV_ASSERT(discovery->reading.count <= MKV_CLIENT_SERVERS_MAX);
    if (reading == MKV_READING_LIST && discovery->reading.count == 0) {
        mkv_client_fail(&failure, MEMKV_UNAVAILABLE, "%sthere is no server in it",
                        discovery->source->scheme);
        reading = MKV_READING_FAILED;
    }
    if (reading == MKV_READING_LIST) {
        list_order(&discovery->reading);
    }
    publish(discovery, reading, &failure);
}

static void *run(void *context) {
    struct mkv_discovery *discovery = context;
    struct pollfd stop = {.fd = discovery->stop, .events = POLLIN};
    for (;;) {
        read_once(discovery);
        const bool has_list = mkv_discovery_version(discovery) > 0;
        const uint32_t wait_ms = has_list || discovery->refresh_ms < FIRST_RETRY_MS
                                     ? discovery->refresh_ms
                                     : FIRST_RETRY_MS;
        if (poll(&stop, 1, (int)wait_ms) > 0) {
            return NULL;
        }
    }
}

/* A thread that takes none of the program's signals. */
static bool start_thread(struct mkv_discovery *discovery) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failure = pthread_create(&discovery->thread, NULL, run, discovery);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    discovery->has_thread = failure == 0;
    if (discovery->has_thread) {
        (void)pthread_setname_np(discovery->thread, "memkv-servers");
    }
    errno = failure;
    return failure == 0;
}

/* ---- opening and closing -------------------------------------------------------------------- */

static const struct mkv_discovery_source *source_of(const char *text, const char **rest) {
    for (size_t index = 0; index < SOURCE_COUNT; index++) {
        const size_t scheme_bytes = strlen(sources[index]->scheme);
        if (strncmp(text, sources[index]->scheme, scheme_bytes) == 0) {
            *rest = text + scheme_bytes;
            return sources[index];
        }
    }
    return NULL;
}

/* The context of the text's kind, and the kind. */
static void *source_open(const char *text, const struct mkv_discovery_source **source,
                         struct memkv_error *error) {
    const char *rest = NULL;
    *source = source_of(text, &rest);
    if (*source == NULL) {
        mkv_client_fail(
            error, MEMKV_INVALID,
            "'%.100s' is no discovery; write static:SERVERS, file:PATH, dns:NAME:PORT or "
            "etcd:http://HOST:PORT/PREFIX",
            text);
        return NULL;
    }
    if (strlen(text) >= MKV_DISCOVERY_TEXT_BYTES) {
        mkv_client_fail(error, MEMKV_INVALID, "it has more than %u characters",
                        MKV_DISCOVERY_TEXT_BYTES - 1u);
        return NULL;
    }
    return (*source)->open(rest, error);
}

enum memkv_status mkv_discovery_check(const char *named, const char *text,
                                      struct memkv_error *error) {
    struct memkv_error inner;
    const struct mkv_discovery_source *source;
    void *context = source_open(text, &source, &inner);
    if (context == NULL) {
        return mkv_client_fail(error, inner.status, "%.100s: %s", named, inner.text);
    }
    source->close(context);
    return MEMKV_OK;
}

static bool waits_create(struct mkv_discovery *discovery) {
    pthread_condattr_t attributes;
    pthread_mutex_init(&discovery->mutex, NULL);
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    const int failure = pthread_cond_init(&discovery->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return failure == 0;
}

enum memkv_status mkv_discovery_open(const char *text, uint32_t refresh_ms,
                                     struct mkv_metrics *metrics, struct mkv_discovery **out,
                                     struct memkv_error *error) {
    *out = NULL;
    struct mkv_discovery *discovery = calloc(1, sizeof *discovery);
    if (discovery == NULL || !waits_create(discovery)) {
        free(discovery);
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a discovery");
    }
    atomic_init(&discovery->version, 0);
    discovery->metrics = metrics;
    discovery->stop = -1;
    struct memkv_error inner;
    discovery->context = source_open(text, &discovery->source, &inner);
    if (discovery->context == NULL) {
        mkv_discovery_close(discovery);
        return mkv_client_fail(error, inner.status, "discovery: %s", inner.text);
    }
    discovery->refresh_ms = refresh_ms > 0 ? refresh_ms : discovery->source->refresh_ms;
    if (discovery->refresh_ms == 0) {
        read_once(discovery); /* it never changes */
        *out = discovery;
        return MEMKV_OK;
    }
    discovery->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (discovery->stop < 0 || !start_thread(discovery)) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "discovery: no thread or descriptor: %s",
                        strerror(errno));
        mkv_discovery_close(discovery);
        return MEMKV_NO_MEMORY;
    }
    *out = discovery;
    return MEMKV_OK;
}

void mkv_discovery_close(struct mkv_discovery *discovery) {
    if (discovery == NULL) {
        return;
    }
    if (discovery->has_thread) {
        const uint64_t one = 1;
        ssize_t written;
        do {
            written = write(discovery->stop, &one, sizeof one);
        } while (written < 0 && errno == EINTR);
        pthread_join(discovery->thread, NULL);
    }
    if (discovery->metrics != NULL) {
        mkv_metrics_discovery_end(discovery->metrics, discovery->counts.is_failing);
    }
    if (discovery->stop >= 0) {
        close(discovery->stop);
    }
    if (discovery->context != NULL) {
        discovery->source->close(discovery->context);
    }
    pthread_cond_destroy(&discovery->changed);
    pthread_mutex_destroy(&discovery->mutex);
    free(discovery);
}

/* ---- looking at it -------------------------------------------------------------------------- */

enum memkv_status mkv_discovery_wait(struct mkv_discovery *discovery, uint64_t deadline_ns,
                                     struct memkv_error *error) {
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                                      .tv_nsec = (long)(deadline_ns % 1000000000u)};
    int result = 0;
    pthread_mutex_lock(&discovery->mutex);
    while (discovery->list.version == 0 && result == 0) {
        result = pthread_cond_timedwait(&discovery->changed, &discovery->mutex, &deadline);
    }
    const bool has_list = discovery->list.version > 0;
    const char *problem = discovery->failure.text;
    if (!has_list) {
        mkv_client_fail(error, MEMKV_UNAVAILABLE, "discovery: %s",
                        problem[0] != '\0' ? problem : "no list of servers was found in time");
    }
    pthread_mutex_unlock(&discovery->mutex);
    return has_list ? mkv_client_succeed(error) : MEMKV_UNAVAILABLE;
}

uint64_t mkv_discovery_version(const struct mkv_discovery *discovery) {
    return atomic_load_explicit(&discovery->version, memory_order_acquire);
}

void mkv_discovery_servers(struct mkv_discovery *discovery, struct mkv_server_list *list) {
    pthread_mutex_lock(&discovery->mutex);
    MKV_ASSERT(discovery->list.version > 0);
    *list = discovery->list;
    pthread_mutex_unlock(&discovery->mutex);
}

void mkv_discovery_state(struct mkv_discovery *discovery, struct mkv_discovery_counts *counts,
                         char problem[MEMKV_ERROR_TEXT_BYTES]) {
    pthread_mutex_lock(&discovery->mutex);
    *counts = discovery->counts;
    memcpy(problem, discovery->failure.text, MEMKV_ERROR_TEXT_BYTES);
    pthread_mutex_unlock(&discovery->mutex);
}
