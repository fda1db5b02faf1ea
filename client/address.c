/* SPDX-License-Identifier: Apache-2.0 */
#include "client/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"
#include "core/hash.h"

/* Texts that are shown are cut here. */
#define SHOWN_BYTES_MAX 100
/* A name, "*", a weight of up to 3 digits, a newline, and the closing NUL. */
#define LINE_BYTES (MKV_CLIENT_ADDRESS_BYTES + 5u)

uint32_t mkv_client_number(const char *text, uint32_t max) {
    const size_t digit_count = strspn(text, "0123456789");
    if (digit_count < 1 || digit_count > 9 || text[digit_count] != '\0') {
        return 0;
    }
    const unsigned long number = strtoul(text, NULL, 10);
    return number <= max ? (uint32_t)number : 0;
}

/* What is wrong with `text`, which is one server, or NULL. It is cut at its weight. */
static const char *parse(char *text, struct mkv_client_address *out) {
    if (strpbrk(text, "; ") != NULL) {
        return "servers of a list have commas between them, and nothing else";
    }
    char *star = strchr(text, '*');
    out->weight = 1;
    if (star != NULL) {
        *star = '\0';
        out->weight = mkv_client_number(star + 1, MKV_PLACEMENT_WEIGHT_MAX);
        if (out->weight == 0) {
            return "its weight is not a number from 1 to 256";
        }
    }
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
    if (strlen(colon + 1) >= sizeof out->port || mkv_client_number(colon + 1, 65535) == 0) {
        return "its port is not a number from 1 to 65535";
    }
    memcpy(out->host, host, host_bytes);
    out->host[host_bytes] = '\0';
    memcpy(out->port, colon + 1, strlen(colon + 1) + 1);
    const bool is_ipv6 = strchr(out->host, ':') != NULL;
    snprintf(out->text, sizeof out->text, is_ipv6 ? "[%s]:%s" : "%s:%s", out->host, out->port);
    return NULL;
}

/* Takes the list apart; `text` is written to. What is wrong with the server at *culprit, or NULL.
 */
static const char *parse_all(char *text, struct mkv_client_address *out, uint32_t *count,
                             const char **culprit) {
    *count = 0;
    for (char *next = text; next != NULL;) {
        *culprit = next;
        char *comma = strchr(next, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        if (*count == MKV_CLIENT_SERVERS_MAX) {
            return "it is one more than the 64 servers that a client may have";
        }
        const char *problem = parse(next, &out[*count]);
        if (problem != NULL) {
            return problem;
        }
        for (uint32_t index = 0; index < *count; index++) {
            if (strcmp(out[index].text, out[*count].text) == 0) {
                return "it is in the list twice";
            }
        }
        ++*count;
        next = comma != NULL ? comma + 1 : NULL;
    }
    return NULL;
}

enum memkv_status mkv_client_servers_parse(const char *named, const char *servers,
                                           struct mkv_client_address *out, uint32_t *count,
                                           struct memkv_error *error) {
    char *text = strdup(servers);
    if (text == NULL) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a list of servers");
    }
    const char *culprit = "";
    const char *problem = parse_all(text, out, count, &culprit);
    enum memkv_status status = MEMKV_OK;
    if (problem != NULL) {
        status = mkv_client_fail(error, MEMKV_INVALID, "%s '%.*s': %s", named, SHOWN_BYTES_MAX,
                                 culprit, problem);
    }
    free(text);
    return status;
}

static int line_compare(const void *left, const void *right) {
    const struct mkv_client_address *const *a = left;
    const struct mkv_client_address *const *b = right;
    char texts[2][LINE_BYTES];
    snprintf(texts[0], LINE_BYTES, "%s*%u\n", (*a)->text, (*a)->weight);
    snprintf(texts[1], LINE_BYTES, "%s*%u\n", (*b)->text, (*b)->weight);
    return strcmp(texts[0], texts[1]);
}

uint64_t mkv_client_ring_hash(const struct mkv_client_address **addresses, uint32_t count) {
    char text[MKV_CLIENT_SERVERS_MAX * LINE_BYTES];
    size_t byte_count = 0;
    MKV_ASSERT(count <= MKV_CLIENT_SERVERS_MAX);
    qsort(addresses, count, sizeof addresses[0], line_compare);
    for (uint32_t index = 0; index < count; index++) {
        byte_count += (size_t)snprintf(text + byte_count, LINE_BYTES, "%s*%u\n",
                                       addresses[index]->text, addresses[index]->weight);
    }
    const uint64_t hash = mkv_hash_64(text, byte_count);
    return hash != 0 ? hash : 1;
}

struct mkv_member mkv_client_member(const struct mkv_client_address *address) {
    const struct mkv_root hash = mkv_hash_128(address->text, strlen(address->text));
    struct mkv_member member = {.weight = address->weight};
    _Static_assert(sizeof member.uuid.bytes == sizeof hash.bytes, "a uuid has 128 bits");
    memcpy(member.uuid.bytes, hash.bytes, sizeof hash.bytes);
    return member;
}
