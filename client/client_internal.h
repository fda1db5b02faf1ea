/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the client library share.
 *
 *   memkv.c             the public calls, in terms of exchanges
 *   address.c           HOST:PORT
 *   transport.h         how bytes reach a server, and transport_*.c one kind each
 *   connection.c        connecting, greeting, is it still alive
 *   exchange.c          one call's items: grouped into requests, driven to their end, or failed
 *   exchange_send.c     requests and payloads to the transport
 *   exchange_receive.c  the transport to answers and payloads
 *   trace.c             the trace context of requests
 *   error.c             texts
 *
 * Not responsible for: anything outside these files.
 */
#ifndef MKV_CLIENT_INTERNAL_H
#define MKV_CLIENT_INTERNAL_H

#include <stdbool.h>

#include "client/address.h"
#include "client/memkv.h"
#include "client/transport.h"
#include "core/base.h"
#include "wire/native.h"

/* What one receive of headers asks for: small, because what it holds of a payload is copied. */
#define MKV_CLIENT_INPUT_BYTES (16u * 1024u)
#define MKV_CLIENT_NAME_BYTES_MAX 48u
#define MKV_CLIENT_TENANT_BYTES_MAX MKV_TENANT_STORED_NAME_BYTES_MAX
#define MKV_CLIENT_TIMEOUT_MS 30000u
#define MKV_CLIENT_CONNECT_TIMEOUT_MS 5000u

struct memkv_client {
    struct mkv_client_address address;
    char name[MKV_CLIENT_NAME_BYTES_MAX + 1u];
    char tenant[MKV_CLIENT_TENANT_BYTES_MAX + 1u];
    uint32_t timeout_ms;
    uint32_t connect_timeout_ms;
    struct mkv_transport *transport; /* NULL while not connected */
    uint64_t request_id_next;
    struct mkv_native_hello_answer limits;
    bool has_trace; /* requests carry `trace` to servers that take it */
    struct mkv_trace_context trace;
    /* Bytes that were received and not yet taken: input[input_begin .. input_end). */
    size_t input_begin;
    size_t input_end;
    uint8_t input[MKV_CLIENT_INPUT_BYTES];
    uint8_t body[MKV_NATIVE_BODY_BYTES_MAX];
};

/* ---- error.c -------------------------------------------------------------------------------- */

/* Fills *error, which may be NULL, and returns `status`. Longer texts are cut. */
__attribute__((format(printf, 3, 4))) enum memkv_status mkv_client_fail(struct memkv_error *error,
                                                                        enum memkv_status status,
                                                                        const char *format, ...);
/* *error, which may be NULL, becomes MEMKV_OK without a text. */
enum memkv_status mkv_client_succeed(struct memkv_error *error);
/* What a status means, as a clause. */
const char *mkv_client_status_text(enum memkv_status status);
/* Copies text of the server, control characters replaced, cut to `text_bytes` with its NUL. */
void mkv_client_text_copy(const uint8_t *bytes, size_t byte_count, char *text, size_t text_bytes);
/* The same of a key, which may be any bytes, with "…" where it was cut. */
void mkv_client_key_text(const void *key, size_t key_bytes, char *text, size_t text_bytes);

/* ---- connection.c --------------------------------------------------------------------------- */

/* Monotonic. */
uint64_t mkv_client_now_ns(void);
/* Waits until it is ready for `events` of poll, or the deadline. False: the deadline came. */
bool mkv_client_wait(int descriptor, short events, uint64_t deadline_ns);
/* Makes sure there is a connection that is alive as far as can be seen, within
 * connect_timeout_ms. */
enum memkv_status mkv_client_connect(struct memkv_client *client, struct memkv_error *error);
/* Closes the connection, if there is one. */
void mkv_client_disconnect(struct memkv_client *client);

#endif
