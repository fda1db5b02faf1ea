/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http_get_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "admin/http_get.h"

#define WHY_BYTES 256u

struct mkv_http_get_tls {
    BIO_METHOD *socket;
    SSL_CTX *context;
    SSL *ssl;
    int result; /* of the last call of the session that did not move anything */
    char why[WHY_BYTES];
};

/* ---- the socket: it never waits, and raises no signal ---------------------------------------- */

static int moved(BIO *bio, ssize_t count, int retry) {
    BIO_clear_retry_flags(bio);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
    }
    return (int)count;
}

static int socket_read(BIO *bio, char *bytes, int count) {
    const int fd = (int)(intptr_t)BIO_get_data(bio);
    return moved(bio, recv(fd, bytes, (size_t)count, MSG_DONTWAIT), BIO_FLAGS_READ);
}

static int socket_write(BIO *bio, const char *bytes, int count) {
    const int fd = (int)(intptr_t)BIO_get_data(bio);
    return moved(bio, send(fd, bytes, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

static long socket_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0; /* nothing is kept back */
}

/* ---- the session ----------------------------------------------------------------------------- */

static bool make(struct mkv_http_get_tls *tls, int fd) {
    tls->context = SSL_CTX_new(TLS_client_method());
    tls->socket = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of a request");
    if (tls->context == NULL || tls->socket == NULL ||
        BIO_meth_set_read(tls->socket, socket_read) != 1 ||
        BIO_meth_set_write(tls->socket, socket_write) != 1 ||
        BIO_meth_set_ctrl(tls->socket, socket_control) != 1) {
        return false;
    }
    SSL_CTX_set_mode(tls->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    /* Before the session, which takes over what the context says. */
    const bool has_min = SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) == 1;
    tls->ssl = SSL_new(tls->context);
    BIO *bio = BIO_new(tls->socket);
    if (tls->ssl == NULL || bio == NULL || !has_min) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_connect_state(tls->ssl);
    return true;
}

/* Certificates are for names or for addresses, and those are looked for in different places. */
static bool expect_name(SSL *ssl, const char *name) {
    struct in6_addr address;
    if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct mkv_http_get_tls *mkv_http_get_tls_begin(int fd, const char *ca, const char *name,
                                                char *why) {
    struct mkv_http_get_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL || !make(tls, fd) || !expect_name(tls->ssl, name)) {
        snprintf(why, MKV_HTTP_GET_ERROR_BYTES,
                 "no memory for TLS, or no name that certificates can have");
        mkv_http_get_tls_end(tls);
        return NULL;
    }
    ERR_clear_error();
    const bool is_trusting = ca[0] != '\0'
                                 ? SSL_CTX_load_verify_locations(tls->context, ca, NULL) == 1
                                 : SSL_CTX_set_default_verify_paths(tls->context) == 1;
    if (!is_trusting) {
        const unsigned long code = ERR_peek_error();
        const char *words =
            ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
        snprintf(why, MKV_HTTP_GET_ERROR_BYTES,
                 "--tls-ca %.256s cannot be used: %s; it is a PEM file with the certificates that "
                 "are trusted",
                 ca, words != NULL ? words : "it is not PEM");
        ERR_clear_error();
        mkv_http_get_tls_end(tls);
        return NULL;
    }
    return tls;
}

bool mkv_http_get_tls_establish(struct mkv_http_get_tls *tls) {
    ERR_clear_error();
    tls->result = SSL_do_handshake(tls->ssl);
    return tls->result == 1;
}

ssize_t mkv_http_get_tls_send(struct mkv_http_get_tls *tls, const void *bytes, size_t count) {
    if (count == 0) {
        return 0;
    }
    ERR_clear_error();
    size_t sent = 0;
    tls->result = SSL_write_ex(tls->ssl, bytes, count, &sent);
    return tls->result == 1 ? (ssize_t)sent : -1;
}

ssize_t mkv_http_get_tls_receive(struct mkv_http_get_tls *tls, void *bytes, size_t count) {
    ERR_clear_error();
    size_t received = 0;
    tls->result = SSL_read_ex(tls->ssl, bytes, count, &received);
    if (tls->result == 1) {
        return (ssize_t)received;
    }
    return SSL_get_error(tls->ssl, tls->result) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

const char *mkv_http_get_tls_problem(struct mkv_http_get_tls *tls, short *events) {
    const int error = SSL_get_error(tls->ssl, tls->result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        *events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        return NULL;
    }
    const unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    const long verified = SSL_get_verify_result(tls->ssl);
    if (verified != X509_V_OK) {
        snprintf(tls->why, sizeof tls->why,
                 "its certificate is not trusted: %s; see --tls-ca and --tls-name",
                 X509_verify_cert_error_string(verified));
    } else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
        snprintf(tls->why, sizeof tls->why, "it speaks no TLS; is admin.tls true there?");
    } else {
        snprintf(tls->why, sizeof tls->why, "TLS: %s",
                 reason != NULL ? reason : "it closed the connection");
    }
    ERR_clear_error();
    return tls->why;
}

void mkv_http_get_tls_end(struct mkv_http_get_tls *tls) {
    if (tls != NULL) {
        SSL_free(tls->ssl);
        SSL_CTX_free(tls->context);
        BIO_meth_free(tls->socket);
        ERR_clear_error();
        free(tls);
    }
}
