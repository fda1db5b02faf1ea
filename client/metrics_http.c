/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of HTTP as a scraper needs: one request a connection, one connection at a time, each
 * bounded in bytes and time.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "client/metrics.h"

#define REQUEST_BYTES_MAX 8192u
#define RECEIVES_MAX 64u
#define PEER_S_MAX 2
#define BACKLOG 16

struct server {
    struct mkv_metrics *metrics;
    int listener;
    char text[MKV_METRICS_TEXT_BYTES + MKV_METRICS_ALSO_BYTES];
    char request[REQUEST_BYTES_MAX + 1u];
};

static void send_all(int peer, const char *bytes, size_t byte_count) {
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t count = send(peer, bytes + done, byte_count - done, MSG_NOSIGNAL);
        if (count <= 0) {
            return;
        }
        done += (size_t)count;
    }
}

/* True: a whole head of a request is there. */
static bool receive_head(int peer, char *request) {
    size_t byte_count = 0;
    for (uint32_t round = 0; round < RECEIVES_MAX && byte_count < REQUEST_BYTES_MAX; round++) {
        const ssize_t count = recv(peer, request + byte_count, REQUEST_BYTES_MAX - byte_count, 0);
        if (count <= 0) {
            return false;
        }
        byte_count += (size_t)count;
        request[byte_count] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL) {
            return true;
        }
    }
    return false;
}

static void answer(struct server *server, int peer) {
    char head[200];
    const char *status = "404 Not Found";
    const char *type = "text/plain";
    size_t byte_count = 0;
    if (!receive_head(peer, server->request)) {
        return;
    }
    const bool is_get = strncmp(server->request, "GET ", 4) == 0;
    if (is_get && strncmp(server->request + 4, "/metrics", 8) == 0 &&
        strchr(" ?", server->request[12]) != NULL) {
        status = "200 OK";
        type = "text/plain; version=0.0.4; charset=utf-8";
        byte_count = mkv_metrics_text(server->metrics, server->text);
        byte_count += mkv_metrics_also_text(server->metrics, server->text + byte_count);
    } else {
        byte_count = (size_t)snprintf(server->text, sizeof server->text, "GET /metrics\n");
    }
    const int head_bytes = snprintf(head, sizeof head,
                                    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                                    "Connection: close\r\n\r\n",
                                    status, type, byte_count);
    send_all(peer, head, (size_t)head_bytes);
    send_all(peer, server->text, byte_count);
}

static void *serve(void *context) {
    struct server *server = context;
    for (;;) {
        const int peer = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0) {
            /* Out of descriptors, say: later it may go better. */
            usleep(100000);
            continue;
        }
        const struct timeval limit = {.tv_sec = PEER_S_MAX};
        setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        answer(server, peer);
        close(peer);
    }
    return NULL;
}

static int listen_on(const char *host, const char *port, int *failure) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    *failure = EADDRNOTAVAIL;
    if (getaddrinfo(host, port, &hints, &addresses) != 0) {
        return -1;
    }
    int listener = -1;
    for (const struct addrinfo *address = addresses; address != NULL && listener < 0;
         address = address->ai_next) {
        const int on = 1;
        listener = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (listener < 0) {
            *failure = errno;
            continue;
        }
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(listener, address->ai_addr, address->ai_addrlen) != 0 ||
            listen(listener, BACKLOG) != 0) {
            *failure = errno;
            close(listener);
            listener = -1;
        }
    }
    freeaddrinfo(addresses);
    return listener;
}

_Bool mkv_metrics_serve(struct mkv_metrics *metrics, const char *host, const char *port,
                        int *failure) {
    struct server *server = calloc(1, sizeof *server);
    *failure = ENOMEM;
    if (server == NULL) {
        return false;
    }
    server->metrics = metrics;
    server->listener = listen_on(host, port, failure);
    if (server->listener < 0) {
        free(server);
        return false;
    }
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* it takes none of the program's signals */
    *failure = pthread_create(&thread, NULL, serve, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (*failure != 0) {
        close(server->listener);
        free(server);
        return false;
    }
    pthread_detach(thread);
    return true;
}
