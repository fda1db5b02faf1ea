/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists that others keep: the addresses of a name, and the keys below a prefix of etcd.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/discovery_source.h"
#include "client/engine.h"
#include "client/etcd.h"
#include "client/resolver.h"

/* ---- dns ------------------------------------------------------------------------------------ */

_Static_assert(MKV_ADDRESSES_MAX > MKV_CLIENT_SERVERS_MAX, "one too many is seen");

static void *dns_open(const char *rest, struct memkv_error *error) {
    struct mkv_client_address all[MKV_CLIENT_SERVERS_MAX];
    uint32_t count = 0;
    if (mkv_client_servers_parse("dns", rest, all, &count, error) != MEMKV_OK) {
        return NULL;
    }
    if (count != 1 || strchr(rest, '*') != NULL) {
        mkv_client_fail(error, MEMKV_INVALID,
                        "dns '%.100s': write dns:NAME:PORT; all its addresses have the same weight",
                        rest);
        return NULL;
    }
    struct mkv_client_address *name = malloc(sizeof *name);
    if (name == NULL) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a name");
        return NULL;
    }
    *name = all[0];
    return name;
}

/* Waits for the resolver. NULL: not in time, or not waited for any more; it is gone then, too. */
static struct mkv_addresses *resolve(struct mkv_resolver *resolver, int stop, uint32_t timeout_ms) {
    struct pollfd waits[2] = {
        {.fd = mkv_resolver_descriptor(resolver), .events = POLLIN},
        {.fd = stop, .events = POLLIN},
    };
    int count;
    do {
        count = poll(waits, 2, (int)timeout_ms);
    } while (count < 0 && errno == EINTR);
    struct mkv_addresses *addresses = mkv_resolver_finish(resolver);
    if (addresses == NULL) {
        mkv_resolver_abandon(resolver);
    }
    return addresses;
}

static bool take_addresses(const struct mkv_client_address *name,
                           const struct mkv_addresses *addresses, struct mkv_server_list *list) {
    for (uint32_t index = 0; index < addresses->count; index++) {
        struct mkv_client_address one[MKV_CLIENT_SERVERS_MAX];
        uint32_t count = 0;
        char host[NI_MAXHOST];
        char text[NI_MAXHOST + 16];
        if (getnameinfo((const struct sockaddr *)&addresses->all[index].bytes,
                        addresses->all[index].byte_count, host, sizeof host, NULL, 0,
                        NI_NUMERICHOST) != 0) {
            return false;
        }
        snprintf(text, sizeof text, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host,
                 name->port);
        if (mkv_client_servers_parse("address", text, one, &count, NULL) != MEMKV_OK) {
            return false;
        }
        list->servers[list->count++] = one[0];
    }
    return true;
}

static enum mkv_reading dns_read(void *context, int stop, uint32_t timeout_ms,
                                 struct mkv_server_list *list, struct memkv_error *error) {
    const struct mkv_client_address *name = context;
    struct mkv_addresses *addresses = NULL;
    struct mkv_resolver *resolver = mkv_resolver_begin(name, &addresses);
    const char *problem = "it is not resolved in time";
    if (resolver != NULL) {
        addresses = resolve(resolver, stop, timeout_ms);
    } else if (addresses == NULL) {
        problem = "no memory to resolve it";
    }
    bool is_taken = false;
    if (addresses != NULL && addresses->count == 0) {
        problem = addresses->problem;
    } else if (addresses != NULL && addresses->count > MKV_CLIENT_SERVERS_MAX) {
        problem = "it has more than the 64 addresses that a client may have servers";
    } else if (addresses != NULL) {
        is_taken = take_addresses(name, addresses, list);
        problem = "it has an address that is none";
    }
    if (!is_taken) {
        mkv_client_fail(error, MEMKV_UNAVAILABLE, "dns %.100s: %s", name->text, problem);
    }
    free(addresses);
    return is_taken ? MKV_READING_LIST : MKV_READING_FAILED;
}

const struct mkv_discovery_source mkv_discovery_dns = {.scheme = "dns:",
                                                       .refresh_ms = MKV_DISCOVERY_DNS_MS,
                                                       .open = dns_open,
                                                       .read = dns_read,
                                                       .close = free};

/* ---- etcd ----------------------------------------------------------------------------------- */

static void *etcd_open(const char *rest, struct memkv_error *error) {
    return mkv_etcd_open(rest, error);
}

static enum mkv_reading etcd_read(void *context, int stop, uint32_t timeout_ms,
                                  struct mkv_server_list *list, struct memkv_error *error) {
    const struct mkv_etcd_wait wait = {.stop = stop, .timeout_ms = timeout_ms};
    return mkv_etcd_list(context, &wait, list, error) ? MKV_READING_LIST : MKV_READING_FAILED;
}

static void etcd_close(void *context) {
    mkv_etcd_close(context);
}

const struct mkv_discovery_source mkv_discovery_etcd = {.scheme = "etcd:",
                                                        .refresh_ms = MKV_DISCOVERY_ETCD_MS,
                                                        .open = etcd_open,
                                                        .read = etcd_read,
                                                        .close = etcd_close};
