/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GET, or another method without a body, over HTTP/1.1, as much of it as a command needs to ask
 * an admin listener: one request on a connection of its own, all within one deadline.
 *
 * Invariants
 *  I1  A response is whole: as long as its Content-Length says, or the call fails.
 *  I2  No call takes longer than its deadline (the resolver's own time aside) or reads more than
 *      MKV_HTTP_GET_BYTES_MAX.
 *
 * Not responsible for: TLS, redirects, chunked bodies; memkv's listener sends none of them.
 */
#ifndef MKV_ADMIN_HTTP_GET_H
#define MKV_ADMIN_HTTP_GET_H

#include "core/base.h"

/* Headers and body. */
#define MKV_HTTP_GET_BYTES_MAX (16u * 1024u * 1024u)
#define MKV_HTTP_GET_ERROR_BYTES 256u

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

/* `host` is a name or an address without brackets. Unless the result is OK, `error` says what is
 * wrong, and `response` is untouched. */
__attribute__((warn_unused_result)) enum mkv_http_get_result mkv_http_request(
    const char *method, const char *host, uint16_t port, const char *path, uint32_t timeout_ms,
    struct mkv_http_response *response, char error[MKV_HTTP_GET_ERROR_BYTES]);
__attribute__((warn_unused_result)) enum mkv_http_get_result mkv_http_get(
    const char *host, uint16_t port, const char *path, uint32_t timeout_ms,
    struct mkv_http_response *response, char error[MKV_HTTP_GET_ERROR_BYTES]);

#endif
