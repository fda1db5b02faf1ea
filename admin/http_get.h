/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request over HTTP/1.1, as much of it as a command needs to ask an admin listener: one on a
 * connection of its own, over TCP or a Unix socket, all within one deadline.
 *
 *     const struct mkv_http_call call = {.socket = "memkv-data/admin.sock", .method = "PUT",
 *         .path = "/v1/log-level", .body = text, .body_bytes = strlen(text), .timeout_ms = 5000};
 *     if (mkv_http_ask(&call, &response, error) == MKV_HTTP_GET_OK) { … free(response.body); }
 *
 * Commands of `memkv admin` find out whom to ask, and with what, by server/command_servers.h.
 *
 * Invariants
 *  I1  A response is whole: as long as its Content-Length says, or the call fails.
 *  I2  No call takes longer than its deadline (the resolver's own time aside) or reads more than
 *      MKV_HTTP_GET_BYTES_MAX.
 *
 * Not responsible for: redirects, chunked bodies; memkv's listener sends none of them.
 */
#ifndef MKV_ADMIN_HTTP_GET_H
#define MKV_ADMIN_HTTP_GET_H

#include "core/base.h"

/* Of a request: all but its body. */
#define MKV_HTTP_HEAD_BYTES 8192u
/* Headers and body of a response. */
#define MKV_HTTP_GET_BYTES_MAX (16u * 1024u * 1024u)
#define MKV_HTTP_GET_ERROR_BYTES 512u

enum mkv_http_get_result {
    MKV_HTTP_GET_OK = 0,      /* there is a response, of whatever status */
    MKV_HTTP_GET_UNREACHABLE, /* no such host, refused, or nothing within the deadline */
    MKV_HTTP_GET_FAILED,      /* something answers, but not as HTTP */
};

struct mkv_http_response {
    unsigned status;
    char *body; /* closed by a NUL behind body_bytes; the caller frees it */
    size_t body_bytes;
};

struct mkv_http_call {
    const char *socket; /* the path of a Unix socket; NULL: host and port */
    const char *host;   /* a name or an address without brackets */
    uint16_t port;
    /* Over TCP: TLS, and whose certificates are trusted, a PEM file or "" for those that the system
     * trusts; NULL: plain. The certificate is for `tls_name`, or the host. */
    const char *tls_ca;
    const char *tls_name; /* NULL: the host */
    const char *token;    /* sent as Authorization: Bearer; NULL: none */
    const char *method;   /* NULL: GET */
    const char *path;     /* with its query, escaped */
    const char *body;     /* of body_bytes; JSON */
    size_t body_bytes;
    uint32_t timeout_ms;
};

/* Unless the result is OK, `error` says what is
 * wrong, and `response` is untouched. */
__attribute__((warn_unused_result)) enum mkv_http_get_result mkv_http_ask(
    const struct mkv_http_call *call, struct mkv_http_response *response,
    char error[MKV_HTTP_GET_ERROR_BYTES]);
/* The same for a GET over TCP without a credential. */
__attribute__((warn_unused_result)) enum mkv_http_get_result mkv_http_get(
    const char *host, uint16_t port, const char *path, uint32_t timeout_ms,
    struct mkv_http_response *response, char error[MKV_HTTP_GET_ERROR_BYTES]);

/* Writes bytes as they stand in a path or query: all but letters, digits and -._~ as %XX. False
 * when they do not fit. */
__attribute__((warn_unused_result)) bool mkv_http_escape(const char *bytes, size_t count, char *out,
                                                         size_t out_bytes);

#endif
