/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS beneath one request of http_get.h, over a connected socket that never waits.
 *
 *     begin --> establish, until true --> send, receive --> end
 *
 * What could not go on now says by problem what it waits for, or why it never will.
 *
 * Invariants
 *  I1  Nothing is sent to whom the certificate does not show to be the server that was meant.
 *
 * Not responsible for: the socket, waiting, time.
 */
#ifndef MKV_ADMIN_HTTP_GET_TLS_H
#define MKV_ADMIN_HTTP_GET_TLS_H

#include <sys/types.h>

#include "core/base.h"

struct mkv_http_get_tls;

/* `ca` is a PEM file, or "" for what the system trusts; `name` a host's name or address that the
 * certificate has to be for. NULL: `why`, of MKV_HTTP_GET_ERROR_BYTES, says why. */
struct mkv_http_get_tls *mkv_http_get_tls_begin(int fd, const char *ca, const char *name,
                                                char *why);
/* Whether the handshake is done. */
bool mkv_http_get_tls_establish(struct mkv_http_get_tls *tls);
/* As send and recv; below 0: see problem. */
ssize_t mkv_http_get_tls_send(struct mkv_http_get_tls *tls, const void *bytes, size_t count);
ssize_t mkv_http_get_tls_receive(struct mkv_http_get_tls *tls, void *bytes, size_t count);
/* NULL: it goes on when the socket has *events; else why it has ended. */
const char *mkv_http_get_tls_problem(struct mkv_http_get_tls *tls, short *events);
/* NULL is allowed. */
void mkv_http_get_tls_end(struct mkv_http_get_tls *tls);

#endif
