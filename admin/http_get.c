/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http_get.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "admin/http_get_tls.h"
#include "admin/text.h"
#include "admin/unix_path.h"

/* Addresses of one name that are tried. */
#define ADDRESSES_MAX 8u
#define READ_BYTES 16384u

struct exchange {
    int fd;
    uint64_t deadline_ms;
    char *error;
    struct mkv_http_get_tls *tls; /* NULL: plain */
};

static uint64_t now_ms(void) {
    struct timespec now;
    MKV_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static enum mkv_http_get_result unreachable(const struct exchange *exchange, const char *why) {
    snprintf(exchange->error, MKV_HTTP_GET_ERROR_BYTES, "%s", why);
    return MKV_HTTP_GET_UNREACHABLE;
}

static enum mkv_http_get_result failed(const struct exchange *exchange, const char *why) {
    snprintf(exchange->error, MKV_HTTP_GET_ERROR_BYTES, "%s; is it the admin port?", why);
    return MKV_HTTP_GET_FAILED;
}

/* False at the deadline. */
static bool wait_for(const struct exchange *exchange, short events) {
    for (;;) {
        const uint64_t now = now_ms();
        if (now >= exchange->deadline_ms) {
            return false;
        }
        struct pollfd wanted = {.fd = exchange->fd, .events = events};
        const uint64_t left_ms = mkv_min_u64(exchange->deadline_ms - now, INT32_MAX);
        const int count = poll(&wanted, 1, (int)left_ms);
        if (count > 0) {
            return true;
        }
        if (count < 0 && errno != EINTR) {
            return false;
        }
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* 0, or why there is no connection. */
static int connect_to(struct exchange *exchange, const struct addrinfo *address) {
    exchange->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (exchange->fd < 0) {
        return errno;
    }
    int problem = 0;
    if (connect(exchange->fd, address->ai_addr, address->ai_addrlen) != 0) {
        problem = errno;
        socklen_t bytes = sizeof problem;
        if (problem == EINPROGRESS) {
            if (!wait_for(exchange, POLLOUT)) {
                problem = ETIMEDOUT;
            } else if (getsockopt(exchange->fd, SOL_SOCKET, SO_ERROR, &problem, &bytes) != 0) {
                problem = errno;
            }
        }
    }
    if (problem != 0) {
        close(exchange->fd);
        exchange->fd = -1;
    }
    return problem;
}

static enum mkv_http_get_result connect_any(struct exchange *exchange, const char *host,
                                            uint16_t port) {
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    const int refusal = getaddrinfo(host, service, &hints, &addresses);
    if (refusal != 0) {
        return unreachable(exchange, gai_strerror(refusal));
    }
    int problem = EHOSTUNREACH;
    uint32_t tried = 0;
    for (const struct addrinfo *address = addresses; address != NULL && tried < ADDRESSES_MAX;
         address = address->ai_next) {
        tried++;
        problem = connect_to(exchange, address);
        if (problem == 0) {
            break;
        }
    }
    freeaddrinfo(addresses);
    return problem == 0 ? MKV_HTTP_GET_OK : unreachable(exchange, strerror(problem));
}

static enum mkv_http_get_result connect_socket(struct exchange *exchange, const char *path) {
    struct sockaddr_un address;
    int directory_fd;
    if (!mkv_unix_path(path, &address, &directory_fd)) {
        return unreachable(exchange, strerror(errno));
    }
    int problem = 0;
    exchange->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (exchange->fd < 0 ||
        connect(exchange->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        problem = errno;
    }
    if (directory_fd >= 0) {
        close(directory_fd);
    }
    return problem == 0 ? MKV_HTTP_GET_OK : unreachable(exchange, strerror(problem));
}

/* ---- the exchange ---------------------------------------------------------------------------- */

/* Waits for what a session waits for, or says why it has ended. */
static enum mkv_http_get_result wait_tls(const struct exchange *exchange) {
    short events;
    const char *why = mkv_http_get_tls_problem(exchange->tls, &events);
    if (why != NULL) {
        return unreachable(exchange, why);
    }
    return wait_for(exchange, events) ? MKV_HTTP_GET_OK
                                      : unreachable(exchange, "no answer in time");
}

static enum mkv_http_get_result begin_tls(struct exchange *exchange,
                                          const struct mkv_http_call *call) {
    char why[MKV_HTTP_GET_ERROR_BYTES];
    exchange->tls = mkv_http_get_tls_begin(
        exchange->fd, call->tls_ca, call->tls_name != NULL ? call->tls_name : call->host, why);
    if (exchange->tls == NULL) {
        return unreachable(exchange, why);
    }
    enum mkv_http_get_result result = MKV_HTTP_GET_OK;
    while (result == MKV_HTTP_GET_OK && !mkv_http_get_tls_establish(exchange->tls)) {
        result = wait_tls(exchange);
    }
    return result;
}

static ssize_t send_some(const struct exchange *exchange, const char *bytes, size_t count) {
    return exchange->tls != NULL ? mkv_http_get_tls_send(exchange->tls, bytes, count)
                                 : send(exchange->fd, bytes, count, MSG_NOSIGNAL);
}

static ssize_t receive_some(const struct exchange *exchange, char *bytes, size_t count) {
    return exchange->tls != NULL ? mkv_http_get_tls_receive(exchange->tls, bytes, count)
                                 : recv(exchange->fd, bytes, count, 0);
}

static enum mkv_http_get_result send_all(const struct exchange *exchange, const char *bytes,
                                         size_t count) {
    size_t sent = 0;
    while (sent < count) {
        const ssize_t step = send_some(exchange, bytes + sent, count - sent);
        if (step > 0) {
            sent += (size_t)step;
        } else if (exchange->tls != NULL) {
            const enum mkv_http_get_result result = wait_tls(exchange);
            if (result != MKV_HTTP_GET_OK) {
                return result;
            }
        } else if (errno != EAGAIN && errno != EINTR) {
            return unreachable(exchange, strerror(errno));
        } else if (!wait_for(exchange, POLLOUT)) {
            return unreachable(exchange, "no answer in time");
        }
    }
    return MKV_HTTP_GET_OK;
}

static enum mkv_http_get_result send_request(const struct exchange *exchange,
                                             const struct mkv_http_call *call) {
    char head[MKV_HTTP_HEAD_BYTES];
    char host[MKV_HTTP_GET_ERROR_BYTES];
    char length[96] = "";
    if (call->socket != NULL) {
        snprintf(host, sizeof host, "localhost");
    } else {
        const bool brackets = strchr(call->host, ':') != NULL;
        snprintf(host, sizeof host, "%s%s%s:%u", brackets ? "[" : "", call->host,
                 brackets ? "]" : "", call->port);
    }
    if (call->body_bytes > 0) {
        snprintf(length, sizeof length, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                 call->body_bytes);
    }
    const int count =
        snprintf(head, sizeof head,
                 "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n%s%s%s%sConnection: close\r\n\r\n",
                 call->method == NULL ? "GET" : call->method, call->path, host, length,
                 call->token == NULL ? "" : "Authorization: Bearer ",
                 call->token == NULL ? "" : call->token, call->token == NULL ? "" : "\r\n");
    MKV_ASSERT(count > 0);
    if ((size_t)count >= sizeof head) {
        return failed(exchange, "the request is too long");
    }
    const enum mkv_http_get_result result = send_all(exchange, head, (size_t)count);
    return result == MKV_HTTP_GET_OK ? send_all(exchange, call->body, call->body_bytes) : result;
}

/* Reads until the server closes. */
static enum mkv_http_get_result receive_all(const struct exchange *exchange,
                                            struct mkv_text *text) {
    char bytes[READ_BYTES];
    for (;;) {
        const ssize_t step = receive_some(exchange, bytes, sizeof bytes);
        if (step == 0) {
            return MKV_HTTP_GET_OK;
        }
        if (step > 0) {
            if (text->count + (size_t)step >= MKV_HTTP_GET_BYTES_MAX) {
                return failed(exchange, "the answer is too long");
            }
            mkv_text_append(text, bytes, (size_t)step);
            if (text->failed) {
                return failed(exchange, "no memory for the answer");
            }
        } else if (exchange->tls != NULL) {
            const enum mkv_http_get_result result = wait_tls(exchange);
            if (result != MKV_HTTP_GET_OK) {
                return result;
            }
        } else if (errno != EAGAIN && errno != EINTR) {
            return unreachable(exchange, strerror(errno));
        } else if (!wait_for(exchange, POLLIN)) {
            return unreachable(exchange, "no answer in time");
        }
    }
}

/* The value of a header among `headers`, lines up to an empty one, or NULL. */
static const char *header_value(const char *headers, const char *name) {
    const size_t name_bytes = strlen(name);
    for (const char *line = strstr(headers, "\r\n"); line != NULL && line[2] != '\r';
         line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, name_bytes) == 0 && line[2 + name_bytes] == ':') {
            return line + 2 + name_bytes + 1;
        }
    }
    return NULL;
}

static enum mkv_http_get_result parse(const struct exchange *exchange, struct mkv_text *text,
                                      struct mkv_http_response *response) {
    unsigned status = 0;
    const char *end = text->bytes == NULL ? NULL : strstr(text->bytes, "\r\n\r\n");
    if (end == NULL || sscanf(text->bytes, "HTTP/1.%*1u %3u", &status) != 1 || status < 100) {
        return failed(exchange, "the answer is no HTTP");
    }
    if (header_value(text->bytes, "Transfer-Encoding") != NULL) {
        return failed(exchange, "the answer is in chunks, which memkv never sends");
    }
    const size_t head_bytes = (size_t)(end - text->bytes) + 4;
    const size_t body_bytes = text->count - head_bytes;
    const char *length = header_value(text->bytes, "Content-Length");
    if (length != NULL && strtoull(length, NULL, 10) != body_bytes) {
        return failed(exchange, "the answer is cut off");
    }
    memmove(text->bytes, text->bytes + head_bytes, body_bytes + 1);
    *response = (struct mkv_http_response){status, text->bytes, body_bytes};
    *text = (struct mkv_text){0};
    return MKV_HTTP_GET_OK;
}

enum mkv_http_get_result mkv_http_get(const char *host, uint16_t port, const char *path,
                                      uint32_t timeout_ms, struct mkv_http_response *response,
                                      char error[MKV_HTTP_GET_ERROR_BYTES]) {
    const struct mkv_http_call call = {
        .host = host, .port = port, .path = path, .timeout_ms = timeout_ms};
    return mkv_http_ask(&call, response, error);
}

enum mkv_http_get_result mkv_http_ask(const struct mkv_http_call *call,
                                      struct mkv_http_response *response,
                                      char error[MKV_HTTP_GET_ERROR_BYTES]) {
    struct exchange exchange = {
        .fd = -1,
        .deadline_ms = now_ms() + call->timeout_ms,
        .error = error,
    };
    struct mkv_text text = {0};
    enum mkv_http_get_result result = call->socket != NULL
                                          ? connect_socket(&exchange, call->socket)
                                          : connect_any(&exchange, call->host, call->port);
    if (result == MKV_HTTP_GET_OK && call->socket == NULL && call->tls_ca != NULL) {
        result = begin_tls(&exchange, call);
    }
    if (result == MKV_HTTP_GET_OK) {
        result = send_request(&exchange, call);
    }
    if (result == MKV_HTTP_GET_OK) {
        result = receive_all(&exchange, &text);
    }
    if (result == MKV_HTTP_GET_OK) {
        result = parse(&exchange, &text, response);
    }
    mkv_http_get_tls_end(exchange.tls);
    if (exchange.fd >= 0) {
        close(exchange.fd);
    }
    mkv_text_free(&text);
    return result;
}

bool mkv_http_escape(const char *bytes, size_t count, char *out, size_t out_bytes) {
    static const char hex[] = "0123456789ABCDEF";
    size_t used = 0;
    MKV_ASSERT(out_bytes > 0);
    for (size_t index = 0; index < count; index++) {
        const unsigned char byte = (unsigned char)bytes[index];
        const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                           (byte >= '0' && byte <= '9') ||
                           (byte != '\0' && strchr("-._~", byte) != NULL);
        if (used + (plain ? 1u : 3u) >= out_bytes) {
            return false;
        }
        if (plain) {
            out[used++] = (char)byte;
        } else {
            out[used++] = '%';
            out[used++] = hex[byte >> 4];
            out[used++] = hex[byte & 15];
        }
    }
    out[used] = '\0';
    return true;
}
