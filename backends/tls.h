/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the listeners of a node show to clients over TLS: a certificate with its chain, its key and
 * the oldest version that is spoken. The files can be read anew while the node runs: whoever
 * connects from then on meets the new ones, whoever is connected stays.
 *
 * Invariants
 *  I1  A set of files is taken whole or not at all: a certificate and a key that belong together.
 *  I2  mkv_tls_reload may be called by any thread, at any time.
 *
 * Not responsible for: bytes (stream_tls.h), who the client is, and the admin listener, which has
 * another library but the same files.
 */
#ifndef MKV_BACKENDS_TLS_H
#define MKV_BACKENDS_TLS_H

#include "backends/error.h"

enum mkv_tls_version {
    MKV_TLS_1_2 = 0,
    MKV_TLS_1_3,
};

struct mkv_tls;
struct ssl_st; /* OpenSSL's SSL */

struct mkv_tls_options {
    const char *certificate; /* paths of PEM files; the certificate first, then its chain */
    const char *key;
    enum mkv_tls_version version_min;
};

/* The error names the file and what is wrong with it. */
__attribute__((warn_unused_result)) bool mkv_tls_create(const struct mkv_tls_options *options,
                                                        struct mkv_tls **tls,
                                                        struct mkv_backend_error *error);
/* Reads the files again. When they are no good it says why, and the old ones stay. */
__attribute__((warn_unused_result)) bool mkv_tls_reload(struct mkv_tls *tls,
                                                        struct mkv_backend_error *error);
/* Its sessions are gone. NULL is allowed. */
void mkv_tls_destroy(struct mkv_tls *tls);

/* A session for one new connection, as its server, which reads and writes the socket without ever
 * waiting; NULL when there is no memory. */
struct ssl_st *mkv_tls_session(struct mkv_tls *tls, int fd);

#endif
