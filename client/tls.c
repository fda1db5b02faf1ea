/* SPDX-License-Identifier: Apache-2.0 */
#include "client/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/engine.h"

struct mkv_client_tls {
    SSL_CTX *context;
    BIO_METHOD *socket;
    char name[MKV_CLIENT_TLS_NAME_BYTES_MAX + 1u];
};

/* ---- the socket of a session: it never waits, and raises no signal -------------------------- */

static int socket_of(BIO *bio) {
    return (int)(intptr_t)BIO_get_data(bio);
}

static int moved(BIO *bio, ssize_t count, int retry) {
    BIO_clear_retry_flags(bio);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
    }
    return (int)count;
}

static int socket_read(BIO *bio, char *bytes, int byte_count) {
    const ssize_t count = recv(socket_of(bio), bytes, (size_t)byte_count, MSG_DONTWAIT);
    return moved(bio, count, BIO_FLAGS_READ);
}

static int socket_write(BIO *bio, const char *bytes, int byte_count) {
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    return moved(bio, send(socket_of(bio), bytes, (size_t)byte_count, flags), BIO_FLAGS_WRITE);
}

static long socket_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0; /* nothing is kept back */
}

/* ---- */

static bool make_context(struct mkv_client_tls *tls) {
    tls->context = SSL_CTX_new(TLS_client_method());
    tls->socket = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of a client");
    if (tls->context == NULL || tls->socket == NULL) {
        return false;
    }
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) == 1 &&
           BIO_meth_set_read(tls->socket, socket_read) == 1 &&
           BIO_meth_set_write(tls->socket, socket_write) == 1 &&
           BIO_meth_set_ctrl(tls->socket, socket_control) == 1;
}

enum memkv_status mkv_client_tls_open(const char *ca, const char *name, struct mkv_client_tls **out,
                                      struct memkv_error *error) {
    struct mkv_client_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL || !make_context(tls)) {
        mkv_client_tls_close(tls);
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for TLS");
    }
    MKV_ASSERT(strlen(name) < sizeof tls->name);
    memcpy(tls->name, name, strlen(name));
    ERR_clear_error();
    const bool is_trusting = ca[0] != '\0'
                                 ? SSL_CTX_load_verify_locations(tls->context, ca, NULL) == 1
                                 : SSL_CTX_set_default_verify_paths(tls->context) == 1;
    if (!is_trusting) {
        const unsigned long code = ERR_peek_error();
        const char *words =
            ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
        mkv_client_fail(error, MEMKV_INVALID,
                        "tls_ca '%s' cannot be used: %s; it is a PEM file with the certificates "
                        "that are trusted",
                        ca, words != NULL ? words : "it is not PEM");
        ERR_clear_error();
        mkv_client_tls_close(tls);
        return MEMKV_INVALID;
    }
    *out = tls;
    return MEMKV_OK;
}

void mkv_client_tls_close(struct mkv_client_tls *tls) {
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        BIO_meth_free(tls->socket);
        free(tls);
    }
}

/* Certificates are for names or for addresses, and those are looked for in different places. */
static bool expect_name(SSL *ssl, const char *name) {
    struct in6_addr address;
    const bool is_address =
        inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
    if (is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct ssl_st *mkv_client_tls_session(const struct mkv_client_tls *tls, int fd, const char *host) {
    BIO *bio = BIO_new(tls->socket);
    SSL *ssl = SSL_new(tls->context);
    if (bio == NULL || ssl == NULL || !expect_name(ssl, tls->name[0] != '\0' ? tls->name : host)) {
        BIO_free(bio);
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_connect_state(ssl);
    return ssl;
}
