/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which servers there are, from something that can change while a client lives.
 *
 *   static:SERVERS                       a list as in `servers`, that stays as it is
 *   file:PATH                            a file with a server a line, looked at for changes
 *   dns:NAME:PORT                        all addresses of a name, resolved again and again
 *   etcd:http://HOST:PORT[,...]/PREFIX   the keys below a prefix (etcd.h), read again and again
 *
 * All but a static one have a thread of their own, which reads the list and puts it where the
 * client finds it when it looks for its version, which costs one load:
 *
 *   thread:  read ──▶ list, version + 1 ──▶ wait for `refresh` ──▶ read ...
 *                └──▶ it cannot be read: the list stays, and that is counted
 *
 * Invariants
 *  I1  A list is taken whole or not at all: one that cannot be read, is empty, or names something
 *      that is no server leaves the list as it was.
 *  I2  Lists are in the order of their servers' names and have each once; equal ones have one
 *      version.
 *  I3  mkv_discovery_close waits for no host: what the thread waits for can be cut off.
 *
 * Not responsible for: which server has a key (core/placement.h), connections (servers.c).
 */
#ifndef MKV_CLIENT_DISCOVERY_H
#define MKV_CLIENT_DISCOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "client/address.h"
#include "client/memkv.h"

#define MKV_DISCOVERY_VARIABLE "MEMKV_DISCOVERY"
/* Of its text, with the closing NUL. */
#define MKV_DISCOVERY_TEXT_BYTES 1024u
#define MKV_DISCOVERY_REFRESH_MS_MAX 3600000u
/* How often a list is read again, where the client was told nothing. */
#define MKV_DISCOVERY_FILE_MS 1000u
#define MKV_DISCOVERY_DNS_MS 10000u
#define MKV_DISCOVERY_ETCD_MS 2000u

struct mkv_server_list {
    uint64_t version; /* 1, 2, ...: grows with each change */
    uint32_t count;   /* 1 ... MKV_CLIENT_SERVERS_MAX */
    struct mkv_client_address servers[MKV_CLIENT_SERVERS_MAX];
};

/* What became of reading it. */
struct mkv_discovery_counts {
    uint64_t read_count;   /* the list was read */
    uint64_t failed_count; /* it could not be */
    bool is_failing;       /* the last time */
};

struct mkv_discovery;

/* Whether `text` is a discovery, which messages call `named`: MEMKV_OK, or MEMKV_INVALID. */
enum memkv_status mkv_discovery_check(const char *named, const char *text,
                                      struct memkv_error *error);
/* Begins to read; does not wait for the first list. `refresh_ms` 0: as the kind has it; `metrics`
 * may be NULL, and else counts what becomes of it.
 * MEMKV_INVALID, MEMKV_NO_MEMORY: *error tells what is wrong. */
struct mkv_metrics;
enum memkv_status mkv_discovery_open(const char *text, uint32_t refresh_ms,
                                     struct mkv_metrics *metrics, struct mkv_discovery **discovery,
                                     struct memkv_error *error);
/* Waits for the first list, until `deadline_ns` of CLOCK_MONOTONIC. MEMKV_UNAVAILABLE: *error tells
 * why there is none. */
enum memkv_status mkv_discovery_wait(struct mkv_discovery *discovery, uint64_t deadline_ns,
                                     struct memkv_error *error);
/* Of the list that is there now; 0: there is none yet. */
uint64_t mkv_discovery_version(const struct mkv_discovery *discovery);
/* Copies the list that is there now, which mkv_discovery_wait has seen. */
void mkv_discovery_servers(struct mkv_discovery *discovery, struct mkv_server_list *list);
/* What became of reading it so far; the text of the last failure, or "". */
void mkv_discovery_state(struct mkv_discovery *discovery, struct mkv_discovery_counts *counts,
                         char problem[MEMKV_ERROR_TEXT_BYTES]);
/* Ends the thread. NULL is allowed. */
void mkv_discovery_close(struct mkv_discovery *discovery);

#endif
