/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/otlp_endpoint.h"

#include <stdio.h>
#include <string.h>

#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
#define PATH_CHARACTERS HOST_CHARACTERS "/~%"
#define ADDRESS_CHARACTERS "0123456789abcdefABCDEF:."
#define DIGITS "0123456789"
/* What is put before and behind: "http://" and ":65535". */
#define ADDED_BYTES 16u

/* The bytes of the host that `text` begins with; 0: it begins with none. */
static size_t host_bytes(const char *text) {
    if (text[0] != '[') {
        return strspn(text, HOST_CHARACTERS);
    }
    const size_t inside = strspn(text + 1, ADDRESS_CHARACTERS);
    return inside > 0 && text[1 + inside] == ']' ? inside + 2 : 0;
}

/* Reads ":PORT" if there is one; returns its bytes, or -1 when it is no port. */
static int port_of(const char *text, unsigned *port) {
    if (text[0] != ':') {
        return 0;
    }
    const size_t digits = strspn(text + 1, DIGITS);
    if (digits == 0 || digits > 5) {
        return -1;
    }
    unsigned number = 0;
    for (size_t i = 0; i < digits; i++) {
        number = number * 10 + (unsigned)(text[1 + i] - '0');
    }
    if (number == 0 || number > 65535) {
        return -1;
    }
    *port = number;
    return (int)digits + 1;
}

const char *mkv_otlp_endpoint_parse(const char *text, struct mkv_otlp_endpoint *out) {
    static const char http[] = "http://";
    static const char grpc[] = "grpc://";
    _Static_assert(sizeof http == sizeof grpc, "both schemes are of one length");
    struct mkv_otlp_endpoint endpoint = {.grpc = strncmp(text, grpc, sizeof grpc - 1) == 0};
    if (!endpoint.grpc && strncmp(text, http, sizeof http - 1) != 0) {
        return "does not begin with http:// (OTLP/HTTP) or grpc:// (OTLP/gRPC); without TLS, so "
               "put a collector of this machine there";
    }
    if (strlen(text) + ADDED_BYTES > sizeof endpoint.base) {
        return "is too long; use at most 240 bytes";
    }
    const char *host = text + sizeof http - 1;
    const size_t bytes = host_bytes(host);
    if (bytes == 0) {
        return "names no host; write http://HOST:PORT or grpc://HOST:PORT";
    }
    unsigned port = endpoint.grpc ? MKV_OTLP_PORT_GRPC : MKV_OTLP_PORT_HTTP;
    const int port_bytes = port_of(host + bytes, &port);
    if (port_bytes < 0) {
        return "has no valid port; use 1 to 65535";
    }
    const char *path = host + bytes + port_bytes;
    size_t path_bytes = strlen(path);
    if (path_bytes > 0 && (path[0] != '/' || strspn(path, PATH_CHARACTERS) != path_bytes)) {
        return "is no endpoint; write http://HOST:PORT[/PATH] or grpc://HOST:PORT";
    }
    while (path_bytes > 0 && path[path_bytes - 1] == '/') {
        path_bytes--;
    }
    if (endpoint.grpc && path_bytes > 0) {
        return "has a path, which gRPC does not take; write grpc://HOST:PORT";
    }
    snprintf(endpoint.base, sizeof endpoint.base, "%s%.*s:%u%.*s", http, (int)bytes, host, port,
             (int)path_bytes, path);
    *out = endpoint;
    return NULL;
}
