/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX 65535u

/* Decimal digits only: no sign, no space, no leading zero that could be read as octal. */
static bool parse_port(const char *text, uint16_t *out) {
    uint32_t port = 0;
    if (text[0] == '\0' || text[0] == '0') {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
        port = port * 10 + (uint32_t)(*c - '0');
        if (port > PORT_MAX) {
            return false;
        }
    }
    *out = (uint16_t)port;
    return true;
}

static bool is_ipv6(const char *host) {
    struct in6_addr address;
    return inet_pton(AF_INET6, host, &address) == 1;
}

static bool is_ipv4(const char *host, uint32_t *address_out) {
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) != 1) {
        return false;
    }
    *address_out = ntohl(address.s_addr);
    return true;
}

static bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

/* A name, or an IPv4 address. Digits and dots alone must be an IPv4 address: 127.0.0.300 and 127.1
 * are slips, not names. */
static bool is_host(const char *host) {
    bool numeric = true;
    for (const char *c = host; *c != '\0'; c++) {
        if (!is_name_character(*c)) {
            return false;
        }
        numeric = numeric && ((*c >= '0' && *c <= '9') || *c == '.');
    }
    uint32_t address = 0;
    return host[0] != '\0' && (!numeric || is_ipv4(host, &address));
}

enum mkv_config_address_problem mkv_config_address_parse(const char *text,
                                                         struct mkv_config_address *out) {
    MKV_ASSERT(text != NULL);
    MKV_ASSERT(out != NULL);

    const char *host = text;
    const char *host_end = NULL;
    const char *colon = NULL;
    bool bracketed = text[0] == '[';
    if (bracketed) {
        host = text + 1;
        host_end = strchr(host, ']');
        if (host_end == NULL) {
            return MKV_CONFIG_ADDRESS_BRACKETS;
        }
        colon = host_end + 1;
        if (*colon != ':') {
            return *colon == '\0' ? MKV_CONFIG_ADDRESS_NO_PORT : MKV_CONFIG_ADDRESS_BRACKETS;
        }
    } else {
        colon = strrchr(text, ':');
        if (colon == NULL) {
            return MKV_CONFIG_ADDRESS_NO_PORT;
        }
        host_end = colon;
        if (memchr(host, ':', (size_t)(host_end - host)) != NULL) {
            return MKV_CONFIG_ADDRESS_BRACKETS;
        }
    }

    struct mkv_config_address address = {0};
    size_t host_bytes = (size_t)(host_end - host);
    if (host_bytes >= sizeof address.host) {
        return MKV_CONFIG_ADDRESS_HOST;
    }
    memcpy(address.host, host, host_bytes);
    if (bracketed ? !is_ipv6(address.host) : !is_host(address.host)) {
        return MKV_CONFIG_ADDRESS_HOST;
    }
    if (!parse_port(colon + 1, &address.port)) {
        return MKV_CONFIG_ADDRESS_PORT;
    }
    *out = address;
    return MKV_CONFIG_ADDRESS_OK;
}

const char *mkv_config_address_explain(enum mkv_config_address_problem problem) {
    switch (problem) {
    case MKV_CONFIG_ADDRESS_OK:
        break;
    case MKV_CONFIG_ADDRESS_NO_PORT:
        return "has no port; use HOST:PORT, like 127.0.0.1:9900";
    case MKV_CONFIG_ADDRESS_BRACKETS:
        return "has colons in its host; write an IPv6 address in brackets, like [::1]:9900";
    case MKV_CONFIG_ADDRESS_HOST:
        return "has no valid host; use HOST:PORT, like 127.0.0.1:9900 or [::1]:9900";
    case MKV_CONFIG_ADDRESS_PORT:
        return "has no valid port; use HOST:PORT with a port from 1 to 65535, like 127.0.0.1:9900";
    }
    MKV_ASSERT(problem != MKV_CONFIG_ADDRESS_OK);
    return "";
}

void mkv_config_address_format(const struct mkv_config_address *address,
                               char out[MKV_CONFIG_ADDRESS_TEXT_BYTES]) {
    MKV_ASSERT(address->host[0] != '\0');
    bool brackets = is_ipv6(address->host);
    int bytes = snprintf(out, MKV_CONFIG_ADDRESS_TEXT_BYTES, "%s%s%s:%u", brackets ? "[" : "",
                         address->host, brackets ? "]" : "", (unsigned)address->port);
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT((unsigned)bytes < MKV_CONFIG_ADDRESS_TEXT_BYTES);
}

bool mkv_config_address_is_loopback(const struct mkv_config_address *address) {
    uint32_t ipv4 = 0;
    if (is_ipv4(address->host, &ipv4)) {
        return (ipv4 >> 24) == 127;
    }
    struct in6_addr ipv6;
    if (inet_pton(AF_INET6, address->host, &ipv6) == 1) {
        return memcmp(&ipv6, &in6addr_loopback, sizeof ipv6) == 0;
    }
    return strcmp(address->host, "localhost") == 0;
}

static bool hosts_equal(const char *a, const char *b) {
    struct in6_addr ipv6_a;
    struct in6_addr ipv6_b;
    if (inet_pton(AF_INET6, a, &ipv6_a) == 1 && inet_pton(AF_INET6, b, &ipv6_b) == 1) {
        return memcmp(&ipv6_a, &ipv6_b, sizeof ipv6_a) == 0;
    }
    return strcmp(a, b) == 0;
}

bool mkv_config_address_collides(const struct mkv_config_address *a,
                                 const struct mkv_config_address *b) {
    return a->port == b->port && hosts_equal(a->host, b->host);
}
