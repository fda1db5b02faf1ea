/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kind of discovery: how its text is taken apart, and how its list is read. The thread of
 * discovery.c alone calls `read`, one time after the other.
 *
 * Not responsible for: when it is read, and who is told.
 */
#ifndef MKV_CLIENT_DISCOVERY_SOURCE_H
#define MKV_CLIENT_DISCOVERY_SOURCE_H

#include "client/discovery.h"

enum mkv_reading {
    MKV_READING_LIST = 1, /* it was read */
    MKV_READING_SAME,     /* nothing has changed since it was read last */
    MKV_READING_FAILED,   /* *error tells why */
};

struct mkv_discovery_source {
    const char *scheme; /* "file:" */
    uint32_t refresh_ms;
    /* NULL, with *error: what stands behind the scheme is none, or there is no memory. */
    void *(*open)(const char *rest, struct memkv_error *error);
    /* Waits at most as long as `stop` is not readable, and no longer than so many milliseconds. The
     * servers may come in any order, and twice. */
    enum mkv_reading (*read)(void *context, int stop, uint32_t timeout_ms,
                             struct mkv_server_list *list, struct memkv_error *error);
    void (*close)(void *context);
};

extern const struct mkv_discovery_source mkv_discovery_static;
extern const struct mkv_discovery_source mkv_discovery_file;
extern const struct mkv_discovery_source mkv_discovery_dns;
extern const struct mkv_discovery_source mkv_discovery_etcd;

#endif
