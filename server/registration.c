/* SPDX-License-Identifier: Apache-2.0 */
#include "server/registration.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/engine.h"

/* What one call may take: a third of the lease, so that there is time for another one, within these
 * bounds. */
#define CALL_MS_MIN 1000u
#define CALL_MS_MAX 5000u
#define RETRY_MS 1000u
#define SCHEME "etcd:"

struct mkv_registration {
    struct mkv_registration_options options;
    struct mkv_etcd *etcd;
    int stop; /* eventfd: readable when it is to be taken back */
    pthread_t thread;
    /* Of the thread. */
    uint64_t lease; /* 0: none */
    bool was_put;   /* under that lease */
    bool is_told;   /* `is_away` has been */
    bool is_away;
};

static void tell(struct mkv_registration *registration, enum mkv_registration_event event,
                 const char *text) {
    registration->options.tell(registration->options.context, event, text);
}

static void tell_change(struct mkv_registration *registration, bool is_away, const char *text) {
    if (!registration->is_told || registration->is_away != is_away) {
        registration->is_told = true;
        registration->is_away = is_away;
        tell(registration, is_away ? MKV_REGISTRATION_AWAY : MKV_REGISTRATION_DONE, text);
    }
}

/* Whether the lease still stands, and the key under it. */
static bool look(struct mkv_registration *registration, const struct mkv_etcd_wait *wait,
                 struct memkv_error *error) {
    bool is_alive = false;
    bool is_there = false;
    if (registration->lease == 0) {
        return true;
    }
    if (!mkv_etcd_keep_alive(registration->etcd, wait, registration->lease, &is_alive, error)) {
        return false;
    }
    if (!is_alive) {
        registration->lease = 0;
        registration->was_put = false;
        return true;
    }
    if (!registration->was_put) {
        return true;
    }
    if (!mkv_etcd_look(registration->etcd, wait, &registration->options.server, registration->lease,
                       &is_there, error)) {
        return false;
    }
    registration->was_put = is_there;
    if (!is_there) {
        tell(registration, MKV_REGISTRATION_PUT_AGAIN, "");
    }
    return true;
}

static uint32_t third_ms(const struct mkv_registration *registration) {
    return registration->options.lease_ttl_s * 1000u / 3u;
}

/* Has the key stand for another while. */
static bool keep(struct mkv_registration *registration, struct memkv_error *error) {
    const struct mkv_etcd_wait wait = {
        .stop = registration->stop,
        .timeout_ms =
            (uint32_t)mkv_min_u64(mkv_max_u64(third_ms(registration), CALL_MS_MIN), CALL_MS_MAX)};
    if (!look(registration, &wait, error)) {
        return false;
    }
    if (registration->lease == 0 &&
        !mkv_etcd_grant(registration->etcd, &wait, registration->options.lease_ttl_s,
                        &registration->lease, error)) {
        registration->lease = 0;
        return false;
    }
    if (!registration->was_put) {
        registration->was_put = mkv_etcd_put(
            registration->etcd, &wait, &registration->options.server, registration->lease, error);
    }
    return registration->was_put;
}

static void take_back(struct mkv_registration *registration) {
    const struct mkv_etcd_wait wait = {.stop = -1, .timeout_ms = MKV_REGISTRATION_LEAVE_MS};
    struct memkv_error error;
    if (registration->lease == 0) {
        return;
    }
    if (mkv_etcd_revoke(registration->etcd, &wait, registration->lease, &error)) {
        tell(registration, MKV_REGISTRATION_LEFT, "");
    } else {
        tell(registration, MKV_REGISTRATION_AWAY, error.text);
    }
}

static void *run(void *context) {
    struct mkv_registration *registration = context;
    struct pollfd stop = {.fd = registration->stop, .events = POLLIN};
    for (;;) {
        struct memkv_error error;
        const bool is_kept = keep(registration, &error);
        const uint32_t wait_ms = is_kept ? third_ms(registration) : RETRY_MS;
        const bool is_over = poll(&stop, 1, 0) > 0;
        if (!is_over) {
            tell_change(registration, !is_kept, is_kept ? "" : error.text);
        }
        if (is_over || poll(&stop, 1, (int)wait_ms) > 0) {
            take_back(registration);
            return NULL;
        }
    }
}

/* A thread that takes none of the program's signals but that of a profiler. */
static bool start_thread(struct mkv_registration *registration) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failure = pthread_create(&registration->thread, NULL, run, registration);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0) {
        (void)pthread_setname_np(registration->thread, "memkv-cluster");
    }
    errno = failure;
    return failure == 0;
}

struct mkv_registration *mkv_registration_begin(const struct mkv_registration_options *options,
                                                struct memkv_error *error) {
    MKV_ASSERT(strncmp(options->discovery, SCHEME, sizeof SCHEME - 1u) == 0);
    struct mkv_registration *registration = calloc(1, sizeof *registration);
    if (registration == NULL) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory");
        return NULL;
    }
    registration->options = *options;
    registration->options.discovery = NULL; /* the caller's */
    registration->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    registration->etcd = mkv_etcd_open(options->discovery + sizeof SCHEME - 1u, error);
    if (registration->etcd != NULL && registration->stop >= 0 && start_thread(registration)) {
        return registration;
    }
    if (registration->etcd != NULL) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "no thread or descriptor: %s", strerror(errno));
    }
    mkv_etcd_close(registration->etcd);
    if (registration->stop >= 0) {
        close(registration->stop);
    }
    free(registration);
    return NULL;
}

void mkv_registration_leave(struct mkv_registration *registration) {
    const uint64_t one = 1;
    ssize_t written;
    do {
        written = write(registration->stop, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
}

void mkv_registration_end(struct mkv_registration *registration) {
    if (registration == NULL) {
        return;
    }
    mkv_registration_leave(registration);
    const int failure = pthread_join(registration->thread, NULL);
    MKV_ASSERT(failure == 0);
    mkv_etcd_close(registration->etcd);
    close(registration->stop);
    free(registration);
}
