/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client needs for connections over TLS: whom it trusts. Each connection takes a session of
 * it (transport_tls.c).
 *
 * Invariants
 *  I1  A server is spoken to only when its certificate is signed by whom the client trusts, and is
 *      for the name, or the address, that the client knows the server by.
 *
 * Not responsible for: bytes, deadlines.
 */
#ifndef MKV_CLIENT_TLS_H
#define MKV_CLIENT_TLS_H

#include "client/memkv.h"

struct mkv_client_tls;
struct ssl_st; /* OpenSSL's SSL */

/* `ca` is the path of a PEM file; "": whom the system trusts. `name` is what certificates are for;
 * "": the host of each server's address. Both are copied. */
enum memkv_status mkv_client_tls_open(const char *ca, const char *name, struct mkv_client_tls **tls,
                                      struct memkv_error *error);
/* Sessions are gone. NULL is allowed. */
void mkv_client_tls_close(struct mkv_client_tls *tls);

/* A session with the server at `host` over a connected socket; NULL when there is no memory. */
struct ssl_st *mkv_client_tls_session(const struct mkv_client_tls *tls, int fd, const char *host);

#endif
