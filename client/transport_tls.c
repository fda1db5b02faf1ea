/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over a plain TCP transport, which connects and closes; what goes through its socket is
 * OpenSSL's.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tls.h"
#include "client/transport.h"
#include "core/base.h"

/* What one record holds. */
#define RECORD_BYTES 16384u

struct transport_tls {
    struct mkv_transport base;
    struct mkv_transport *tcp;
    const struct mkv_client_tls *tls;
    const char *host; /* it stays */
    SSL *ssl;         /* NULL: not connected yet */
};

static struct transport_tls *of(struct mkv_transport *transport) {
    return (struct transport_tls *)transport;
}

static enum mkv_transport_result fail(struct transport_tls *transport, const char *problem) {
    snprintf(transport->base.problem, sizeof transport->base.problem, "%s", problem);
    return MKV_TRANSPORT_BROKEN;
}

/* What went wrong in the session, in words that say what to do where that is known. */
static enum mkv_transport_result fail_session(struct transport_tls *transport) {
    const unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    const long verified = SSL_get_verify_result(transport->ssl);
    if (verified != X509_V_OK) {
        snprintf(transport->base.problem, sizeof transport->base.problem,
                 "its certificate is not trusted: %s; see tls_ca and tls_name",
                 X509_verify_cert_error_string(verified));
    } else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
        (void)fail(transport, "it speaks no TLS; give it network.tls_cert, or leave out tls_ca");
    } else if (reason != NULL) {
        snprintf(transport->base.problem, sizeof transport->base.problem, "TLS: %s", reason);
    } else {
        (void)fail(transport, "it closed the connection");
    }
    ERR_clear_error();
    return MKV_TRANSPORT_BROKEN;
}

/* What a call of the session that returned `result` came to; `events` is what it waits for. */
static enum mkv_transport_result result_of(struct transport_tls *transport, int result,
                                           short *events) {
    if (result > 0) {
        return MKV_TRANSPORT_MOVED;
    }
    switch (SSL_get_error(transport->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *events = POLLIN;
        return MKV_TRANSPORT_BLOCKED;
    case SSL_ERROR_WANT_WRITE:
        *events = POLLOUT;
        return MKV_TRANSPORT_BLOCKED;
    case SSL_ERROR_ZERO_RETURN:
        return MKV_TRANSPORT_ENDED;
    default:
        return fail_session(transport);
    }
}

static enum mkv_transport_result tls_begin(struct mkv_transport *base,
                                           const struct sockaddr *address,
                                           socklen_t address_bytes) {
    struct transport_tls *transport = of(base);
    const enum mkv_transport_result result =
        transport->tcp->ops->begin(transport->tcp, address, address_bytes);
    base->descriptor = transport->tcp->descriptor;
    return result == MKV_TRANSPORT_BROKEN ? fail(transport, transport->tcp->problem) : result;
}

static enum mkv_transport_result tls_establish(struct mkv_transport *base) {
    struct transport_tls *transport = of(base);
    if (transport->ssl == NULL) {
        const enum mkv_transport_result result = transport->tcp->ops->establish(transport->tcp);
        base->receive_events = transport->tcp->receive_events;
        if (result != MKV_TRANSPORT_MOVED) {
            return result == MKV_TRANSPORT_BROKEN ? fail(transport, transport->tcp->problem)
                                                  : result;
        }
        transport->ssl = mkv_client_tls_session(transport->tls, base->descriptor, transport->host);
        if (transport->ssl == NULL) {
            return fail(transport, "no memory for TLS, or no name that certificates can have");
        }
    }
    ERR_clear_error();
    const enum mkv_transport_result result =
        result_of(transport, SSL_do_handshake(transport->ssl), &base->receive_events);
    return result == MKV_TRANSPORT_ENDED ? fail(transport, "it closed the connection") : result;
}

/* The begin of what is to be sent, as one piece of at most a record. */
static const uint8_t *gather(const struct iovec *iovecs, size_t iovec_count,
                             uint8_t record[RECORD_BYTES], size_t *byte_count) {
    if (iovec_count == 1 || iovecs->iov_len >= RECORD_BYTES) {
        *byte_count = mkv_min_u64(iovecs->iov_len, RECORD_BYTES);
        return iovecs->iov_base;
    }
    *byte_count = 0;
    for (size_t i = 0; i < iovec_count && *byte_count < RECORD_BYTES; i++) {
        const size_t count = mkv_min_u64(iovecs[i].iov_len, RECORD_BYTES - *byte_count);
        memcpy(record + *byte_count, iovecs[i].iov_base, count);
        *byte_count += count;
    }
    return record;
}

static enum mkv_transport_result tls_send(struct mkv_transport *base, const struct iovec *iovecs,
                                          size_t iovec_count, size_t *byte_count) {
    struct transport_tls *transport = of(base);
    uint8_t record[RECORD_BYTES];
    size_t given = 0;
    const uint8_t *bytes = gather(iovecs, iovec_count, record, &given);
    base->send_events = POLLOUT;
    ERR_clear_error();
    const enum mkv_transport_result result = result_of(
        transport, SSL_write_ex(transport->ssl, bytes, given, byte_count), &base->send_events);
    base->held_bytes = result == MKV_TRANSPORT_BLOCKED ? given : 0;
    return result;
}

static enum mkv_transport_result tls_receive(struct mkv_transport *base, const struct iovec *iovecs,
                                             size_t iovec_count, size_t *byte_count) {
    struct transport_tls *transport = of(base);
    enum mkv_transport_result result = MKV_TRANSPORT_BLOCKED;
    *byte_count = 0;
    base->receive_events = POLLIN;
    for (size_t i = 0; i < iovec_count; i++) {
        uint8_t *target = iovecs[i].iov_base;
        size_t filled = 0;
        while (filled < iovecs[i].iov_len) {
            size_t count = 0;
            ERR_clear_error();
            result = result_of(
                transport,
                SSL_read_ex(transport->ssl, target + filled, iovecs[i].iov_len - filled, &count),
                &base->receive_events);
            if (result != MKV_TRANSPORT_MOVED) {
                /* An end or a failure is met again by the next call. */
                return *byte_count > 0 ? MKV_TRANSPORT_MOVED : result;
            }
            filled += count;
            *byte_count += count;
        }
    }
    return result;
}

static void tls_close(struct mkv_transport *base) {
    struct transport_tls *transport = of(base);
    if (transport->ssl != NULL) {
        if (SSL_is_init_finished(transport->ssl) == 1) {
            ERR_clear_error();
            (void)SSL_shutdown(transport->ssl);
            ERR_clear_error();
        }
        SSL_free(transport->ssl);
    }
    transport->tcp->ops->close(transport->tcp);
    free(transport);
}

static const struct mkv_transport_ops tls_ops = {
    .name = "tls",
    .begin = tls_begin,
    .establish = tls_establish,
    .send = tls_send,
    .receive = tls_receive,
    .close = tls_close,
};

struct mkv_transport *mkv_transport_tls_new(const struct mkv_client_tls *tls, const char *host) {
    struct transport_tls *transport = calloc(1, sizeof *transport);
    struct mkv_transport *tcp = mkv_transport_tcp_new();
    if (transport == NULL || tcp == NULL) {
        free(transport);
        free(tcp);
        return NULL;
    }
    *transport = (struct transport_tls){
        .base = {.ops = &tls_ops,
                 .descriptor = -1,
                 .passed_descriptor = -1,
                 .send_events = POLLOUT,
                 .receive_events = POLLIN},
        .tcp = tcp,
        .tls = tls,
        .host = host,
    };
    return &transport->base;
}
