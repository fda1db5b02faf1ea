/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin listener: HTTP/1.1 on a TCP socket, a Unix socket or both, each with a thread and
 * connections of its own, so that whoever fills up the one leaves the other to the operator, and
 * what has to wait on the one (routes.h) holds up no probe on the other. Which paths there are,
 * what they take and who may ask: routes.h.
 *
 *     TCP  ----thread--+
 *     Unix ----thread--+--mutex--> route --> role --> handler --> answer
 *     TCP  ----thread--+
 *     (metrics alone)
 *
 * Invariants
 *  I1  Connections, memory for each, the time one may be idle, and what is read of a request's body
 *      are bounded by the figures below. What is beyond them waits, is refused or is cut off, and
 *      the others go on.
 *  I2  The provider is called by two threads at a time at most, one of them in a handler that
 *      waits, and never after mkv_admin_http_stop has returned.
 *  I3  An answer with another status than 200 says in JSON what is wrong, unless the request was no
 *      HTTP, which the library answers.
 *  I4  A handler runs only for whom its route's role allows. Where everybody may do all
 *      (auth.open), the TCP socket is bound to loopback.
 *  I5  A request whose length could be read in two ways is refused and its connection closed, so
 *      that nobody can hide one behind another. The Host header decides nothing, and no answer
 *      invites pages of other origins.
 *  I6  An answer that takes its time (later.h) keeps nobody else waiting; a stop cuts it short.
 *  I7  With TLS the TCP sockets speak nothing else. Another certificate is met by whoever connects
 *      behind its reload; who is connected is served to the end under the one of before.
 *
 * Not responsible for: making the sockets.
 */
#ifndef MKV_ADMIN_HTTP_H
#define MKV_ADMIN_HTTP_H

#include "admin/auth.h"
#include "admin/http_files.h"
#include "admin/snapshot.h"

/* Of each socket. */
#define MKV_ADMIN_CONNECTIONS_MAX 64u
/* Of each connection: its headers must fit. */
#define MKV_ADMIN_CONNECTION_BYTES 16384u
/* A connection that sends or takes nothing for this long is closed. */
#define MKV_ADMIN_IDLE_S_MAX 10u
/* A body is read up to this size. */
#define MKV_ADMIN_BODY_BYTES_MAX 65536u

#define MKV_ADMIN_ERROR_BYTES 256u

struct mkv_admin_http;

struct mkv_admin_http_options {
    int tcp_fd; /* listening stream sockets; -1: none. At least one is there */
    int unix_fd;
    const struct mkv_admin_provider *provider; /* copied, as is this: */
    const struct mkv_admin_auth *auth;
    bool profiles_anywhere;         /* profiles are for operators on other machines, too */
    int metrics_fd;                 /* a listening stream socket for metrics alone; 0: none */
    bool metrics_off;               /* there are no metrics at any socket */
    const struct mkv_http_tls *tls; /* of the TCP sockets; NULL: plain. Its paths stay */
};

/*
 * Serves on the sockets. They belong to the listener after a successful start, which closes them at
 * its stop. A refusal writes one line that says what is wrong; the sockets are still the caller's
 * then.
 */
__attribute__((warn_unused_result)) bool mkv_admin_http_start(
    const struct mkv_admin_http_options *options, struct mkv_admin_http **http,
    char error[MKV_ADMIN_ERROR_BYTES]);

/* With TLS: reads its files again. False with one line that says what is wrong: then the
 * certificate stays the one of before. From any thread, but one at a time, and before the stop. */
__attribute__((warn_unused_result)) bool mkv_admin_http_reload(struct mkv_admin_http *http,
                                                               char error[MKV_ADMIN_ERROR_BYTES]);

/* Closes the sockets and every connection, and waits for the answer that is being made. NULL is
 * allowed. */
void mkv_admin_http_stop(struct mkv_admin_http *http);

#endif
