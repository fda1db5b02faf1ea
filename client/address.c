/* SPDX-License-Identifier: Apache-2.0 */
#include "client/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"

/* Texts that are shown are cut here. */
#define SHOWN_BYTES_MAX 100

static bool port_is_valid(const char *port) {
    const size_t digit_count = strspn(port, "0123456789");
    if (digit_count < 1 || digit_count > 5 || port[digit_count] != '\0') {
        return false;
    }
    const unsigned long number = strtoul(port, NULL, 10);
    return number >= 1 && number <= 65535;
}

/* What is wrong with `text`, or NULL. */
static const char *parse(const char *text, struct mkv_client_address *out) {
    const char *host = text;
    const char *host_end = NULL;
    const char *colon = NULL;
    if (text[0] == '[') {
        host = text + 1;
        host_end = strchr(host, ']');
        if (host_end == NULL) {
            return "the bracket of its IPv6 address is not closed";
        }
        colon = host_end[1] == ':' ? host_end + 1 : NULL;
    } else {
        colon = strchr(text, ':');
        host_end = colon;
        if (colon != NULL && strchr(colon + 1, ':') != NULL) {
            return "an IPv6 address stands in brackets, as in [::1]:9900";
        }
    }
    if (colon == NULL) {
        return "it has no port; write HOST:PORT, as in 127.0.0.1:9900";
    }
    const size_t host_bytes = (size_t)(host_end - host);
    if (host_bytes < 1 || host_bytes >= MKV_CLIENT_HOST_BYTES) {
        return "its host is empty or too long";
    }
    for (size_t index = 0; index < host_bytes; index++) {
        if (host[index] <= ' ' || host[index] > '~') {
            return "its host has a character that no host has";
        }
    }
    if (!port_is_valid(colon + 1)) {
        return "its port is not a number from 1 to 65535";
    }
    memcpy(out->host, host, host_bytes);
    out->host[host_bytes] = '\0';
    memcpy(out->port, colon + 1, strlen(colon + 1) + 1);
    const bool is_ipv6 = strchr(out->host, ':') != NULL;
    snprintf(out->text, sizeof out->text, is_ipv6 ? "[%s]:%s" : "%s:%s", out->host, out->port);
    return NULL;
}

enum memkv_status mkv_client_address_parse(const char *servers, struct mkv_client_address *out,
                                           struct memkv_error *error) {
    const char *origin = "servers";
    if (servers == NULL) {
        origin = MKV_CLIENT_SERVERS_VARIABLE;
        servers = getenv(MKV_CLIENT_SERVERS_VARIABLE);
    }
    if (servers == NULL || servers[0] == '\0') {
        servers = MKV_CLIENT_SERVERS_DEFAULT;
    }
    if (strpbrk(servers, ",; ") != NULL) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "%s '%.*s' is a list; this release of memkv uses exactly one "
                               "server: give one HOST:PORT",
                               origin, SHOWN_BYTES_MAX, servers);
    }
    const char *problem = parse(servers, out);
    if (problem != NULL) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s '%.*s': %s", origin, SHOWN_BYTES_MAX,
                               servers, problem);
    }
    return MEMKV_OK;
}
