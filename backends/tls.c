/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/base.h"

#define PATH_BYTES 1024u
#define REASON_BYTES 160u
/* What is asked of the kernel at a time while records come; held only until they are taken. */
#define READ_BYTES (64u * 1024u)
/* Of TLS 1.2: forward secrecy and authenticated encryption, nothing else. */
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

struct mkv_tls {
    char certificate[PATH_BYTES];
    char key[PATH_BYTES];
    enum mkv_tls_version version_min;
    BIO_METHOD *socket;
    pthread_mutex_t mutex; /* of what follows */
    SSL_CTX *context;
};

/* ---- the socket of a session ---------------------------------------------------------------- */

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
    return moved(bio, recv(socket_of(bio), bytes, (size_t)byte_count, MSG_DONTWAIT),
                 BIO_FLAGS_READ);
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

static bool make_method(struct mkv_tls *tls) {
    tls->socket = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of a stream");
    return tls->socket != NULL && BIO_meth_set_read(tls->socket, socket_read) == 1 &&
           BIO_meth_set_write(tls->socket, socket_write) == 1 &&
           BIO_meth_set_ctrl(tls->socket, socket_control) == 1;
}

/* ---- the files ------------------------------------------------------------------------------ */

/* Why OpenSSL refused: the oldest of its errors, which is the cause of the others. */
static void reason(char text[REASON_BYTES]) {
    const unsigned long code = ERR_peek_error();
    const char *words = code == 0 ? NULL : ERR_reason_error_string(code);
    if (words == NULL && code != 0 && ERR_SYSTEM_ERROR(code)) {
        words = strerror(ERR_GET_REASON(code));
    }
    snprintf(text, REASON_BYTES, "%s", words == NULL ? "it is not PEM" : words);
    ERR_clear_error();
}

/* A key that everybody on the machine can read is no secret. */
static bool check_key_file(const char *path, struct mkv_backend_error *error) {
    struct stat file;
    if (stat(path, &file) != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "network.tls_key %s cannot be read: %s", path, strerror(errno));
    }
    if ((file.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "network.tls_key %s is open to every user of this machine. Run: "
                                  "chmod o= %s",
                                  path, path);
    }
    return true;
}

static void tune(SSL_CTX *context, enum mkv_tls_version version_min) {
    /* Memory of a connection that does nothing goes back; a write may end with any record. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Connections live long: what a resumed handshake saves is not worth keys that stay around. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BYTES);
    const int version = version_min == MKV_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    MKV_ASSERT(SSL_CTX_set_min_proto_version(context, version) == 1);
    MKV_ASSERT(SSL_CTX_set_cipher_list(context, CIPHERS_1_2) == 1);
}

/* Reads both files; NULL and the error when they are no good. */
static SSL_CTX *load(const struct mkv_tls *tls, struct mkv_backend_error *error) {
    char why[REASON_BYTES];
    if (!check_key_file(tls->key, error)) {
        return NULL;
    }
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        (void)mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                 "no memory for TLS. Free memory on this machine");
        return NULL;
    }
    tune(context, tls->version_min);
    if (SSL_CTX_use_certificate_chain_file(context, tls->certificate) != 1) {
        reason(why);
        (void)mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                 "network.tls_cert %s cannot be used: %s. It is a PEM file with "
                                 "the certificate, and its chain behind it",
                                 tls->certificate, why);
    } else if (SSL_CTX_use_PrivateKey_file(context, tls->key, SSL_FILETYPE_PEM) != 1) {
        reason(why);
        (void)mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                 "network.tls_key %s cannot be used: %s. It is the PEM file with "
                                 "the key of network.tls_cert, without a password",
                                 tls->key, why);
    } else {
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}

bool mkv_tls_create(const struct mkv_tls_options *options, struct mkv_tls **tls_out,
                    struct mkv_backend_error *error) {
    MKV_ASSERT(strlen(options->certificate) < PATH_BYTES);
    MKV_ASSERT(strlen(options->key) < PATH_BYTES);
    struct mkv_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL || !make_method(tls)) {
        free(tls);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for TLS. Free memory on this machine");
    }
    pthread_mutex_init(&tls->mutex, NULL);
    memcpy(tls->certificate, options->certificate, strlen(options->certificate));
    memcpy(tls->key, options->key, strlen(options->key));
    tls->version_min = options->version_min;
    tls->context = load(tls, error);
    if (tls->context == NULL) {
        mkv_tls_destroy(tls);
        return false;
    }
    *tls_out = tls;
    return true;
}

bool mkv_tls_reload(struct mkv_tls *tls, struct mkv_backend_error *error) {
    SSL_CTX *context = load(tls, error);
    if (context == NULL) {
        return false;
    }
    pthread_mutex_lock(&tls->mutex);
    SSL_CTX *old = tls->context;
    tls->context = context;
    pthread_mutex_unlock(&tls->mutex);
    SSL_CTX_free(old); /* sessions hold what they use of it */
    return true;
}

void mkv_tls_destroy(struct mkv_tls *tls) {
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->socket);
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}

struct ssl_st *mkv_tls_session(struct mkv_tls *tls, int fd) {
    BIO *bio = BIO_new(tls->socket);
    if (bio == NULL) {
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    pthread_mutex_lock(&tls->mutex);
    SSL *ssl = SSL_new(tls->context);
    pthread_mutex_unlock(&tls->mutex);
    if (ssl == NULL) {
        BIO_free(bio);
        return NULL;
    }
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return ssl;
}
