/* SPDX-License-Identifier: Apache-2.0 */
#include "client/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

struct mkv_resolver {
    struct mkv_client_address address;
    struct mkv_addresses *addresses;
    int event; /* readable: `addresses` is filled */
    atomic_uint holder_count;
};

static void let_go(struct mkv_resolver *resolver) {
    if (atomic_fetch_sub(&resolver->holder_count, 1) == 1) {
        close(resolver->event);
        free(resolver->addresses);
        free(resolver);
    }
}

static void resolve(const struct mkv_client_address *address, int flags,
                    struct mkv_addresses *addresses) {
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *found = NULL;
    const int failure = getaddrinfo(address->host, address->port, &hints, &found);
    if (failure != 0) {
        snprintf(addresses->problem, sizeof addresses->problem, "%s",
                 failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
        return;
    }
    for (const struct addrinfo *one = found; one != NULL && addresses->count < MKV_ADDRESSES_MAX;
         one = one->ai_next) {
        if (one->ai_addrlen <= sizeof addresses->all[0].bytes) {
            addresses->all[addresses->count].byte_count = one->ai_addrlen;
            memcpy(&addresses->all[addresses->count].bytes, one->ai_addr, one->ai_addrlen);
            addresses->count++;
        }
    }
    freeaddrinfo(found);
}

static void *resolve_apart(void *context) {
    struct mkv_resolver *resolver = context;
    resolve(&resolver->address, 0, resolver->addresses);
    const uint64_t one = 1;
    ssize_t written;
    do {
        written = write(resolver->event, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
    let_go(resolver);
    return NULL;
}

/* A thread that nobody joins and that takes none of the program's signals. */
static bool start_thread(struct mkv_resolver *resolver) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failure = pthread_create(&thread, &attributes, resolve_apart, resolver);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failure == 0;
}

static void local_address(const struct mkv_client_address *address,
                          struct mkv_addresses *addresses) {
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    MKV_ASSERT(strlen(address->host) < sizeof local.sun_path);
    memcpy(local.sun_path, address->host, strlen(address->host));
    memcpy(&addresses->all[0].bytes, &local, sizeof local);
    addresses->all[0].byte_count = sizeof local;
    addresses->count = 1;
}

struct mkv_resolver *mkv_resolver_begin(const struct mkv_client_address *address,
                                        struct mkv_addresses **addresses) {
    struct mkv_addresses *made = calloc(1, sizeof *made);
    *addresses = made;
    if (made == NULL) {
        return NULL;
    }
    if (address->is_local) {
        local_address(address, made);
        return NULL;
    }
    resolve(address, AI_NUMERICHOST, made);
    if (made->count > 0) {
        return NULL;
    }
    made->problem[0] = '\0';
    *addresses = NULL;
    struct mkv_resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL) {
        free(made);
        return NULL;
    }
    resolver->address = *address;
    resolver->addresses = made;
    resolver->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&resolver->holder_count, 2);
    if (resolver->event >= 0 && start_thread(resolver)) {
        return resolver;
    }
    snprintf(made->problem, sizeof made->problem, "no thread to resolve it: %s", strerror(errno));
    if (resolver->event >= 0) {
        close(resolver->event);
    }
    free(resolver);
    *addresses = made;
    return NULL;
}

int mkv_resolver_descriptor(const struct mkv_resolver *resolver) {
    return resolver->event;
}

struct mkv_addresses *mkv_resolver_finish(struct mkv_resolver *resolver) {
    uint64_t count;
    if (read(resolver->event, &count, sizeof count) != sizeof count) {
        return NULL;
    }
    struct mkv_addresses *addresses = resolver->addresses;
    resolver->addresses = NULL;
    let_go(resolver);
    return addresses;
}

void mkv_resolver_abandon(struct mkv_resolver *resolver) {
    let_go(resolver);
}
