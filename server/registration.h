/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's own key in etcd, under a lease that a thread keeps alive while the server serves:
 *
 *            grant, put                    keep alive, look (every third of the lease)
 *   AWAY ───────────────────▶ REGISTERED ──┐
 *    ▲ ▲                         │  ▲      │
 *    │ └── etcd does not answer ─┘  └──────┘
 *    │     (tried again every second: the lease may still stand)
 *   begin                     leave ──▶ revoke ──▶ the end
 *
 * Whoever dies without a word is out of the list when the lease is over.
 *
 * Invariants
 *  I1  Nobody waits for etcd but the thread; the end waits for MKV_REGISTRATION_LEAVE_MS at most.
 *  I2  A key that somebody has changed or deleted is put again, and that is told.
 *
 * Not responsible for: what is told of it (node_cluster.c), how etcd is asked (client/etcd.h).
 */
#ifndef MKV_SERVER_REGISTRATION_H
#define MKV_SERVER_REGISTRATION_H

#include "client/etcd.h"

#define MKV_REGISTRATION_LEAVE_MS 5000u

enum mkv_registration_event {
    MKV_REGISTRATION_DONE = 0,  /* clients find the server */
    MKV_REGISTRATION_AWAY,      /* etcd does not answer; `text` says why */
    MKV_REGISTRATION_PUT_AGAIN, /* somebody had changed the key */
    MKV_REGISTRATION_LEFT,      /* the key is gone */
};

struct mkv_registration_options {
    const char *discovery; /* that mkv_discovery_check has taken: etcd:... */
    struct mkv_etcd_server server;
    uint32_t lease_ttl_s;
    /* On the thread; of DONE and AWAY only changes are told. */
    void (*tell)(void *context, enum mkv_registration_event event, const char *text);
    void *context;
};

struct mkv_registration;

/* NULL, with *error: there is no memory or thread. */
struct mkv_registration *mkv_registration_begin(const struct mkv_registration_options *options,
                                                struct memkv_error *error);
/* Has it taken back; does not wait. From any thread, and again. */
void mkv_registration_leave(struct mkv_registration *registration);
/* The same, and waits. NULL is allowed. */
void mkv_registration_end(struct mkv_registration *registration);

#endif
