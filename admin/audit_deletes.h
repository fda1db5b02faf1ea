/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that clients delete, summed up for the audit: a client may delete more of them in a
 * second than an audit can hold, and nobody would read that. One record for each connection and
 * tenant in MKV_AUDIT_DELETES_NS at most.
 *
 *   note: a request deleted keys --> sum of its connection and tenant, else of all others
 *   flush: time over, or connection ended --offer--> audit; no room: it goes on summing
 *
 * Invariants
 *  I1  No deletion is left out: it stands in exactly one sum, and a sum goes only when the audit
 *      has taken it or, at the end, counted it as lost.
 *  I2  Bounded work, and no waiting: it runs on a shard's thread.
 *
 * Not responsible for: who a connection is.
 */
#ifndef MKV_ADMIN_AUDIT_DELETES_H
#define MKV_ADMIN_AUDIT_DELETES_H

#include "admin/audit.h"
#include "core/io.h"

#define MKV_AUDIT_DELETERS_MAX 64u
#define MKV_AUDIT_DELETES_NS (10ull * 1000000000u)
#define MKV_AUDIT_DELETER_BYTES 64u

/* A request that deleted keys. */
struct mkv_audit_delete {
    struct mkv_connection_id connection;
    uint64_t keys; /* that it named, found or not */
    uint64_t session;
    bool failed; /* some of them may still be there */
    const char *tenant;
    const char *client;  /* what it called itself, or NULL */
    const char *address; /* or NULL */
};

/* A sum. */
struct mkv_audit_deleter {
    bool used;
    bool ended; /* its connection is closed */
    struct mkv_connection_id connection;
    uint64_t since_ns;
    uint64_t requests;
    uint64_t failed; /* requests */
    uint64_t keys;
    uint64_t session;
    char tenant[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    char client[MKV_AUDIT_DELETER_BYTES];
    char address[MKV_AUDIT_DELETER_BYTES];
};

/* All zeroes, but for the audit, is empty. */
struct mkv_audit_deletes {
    struct mkv_audit *audit; /* NULL: nothing is summed */
    uint32_t used;
    struct mkv_audit_deleter deleters[MKV_AUDIT_DELETERS_MAX];
    struct mkv_audit_deleter others;
};

void mkv_audit_deletes_note(struct mkv_audit_deletes *deletes,
                            const struct mkv_audit_delete *request, uint64_t now_ns);
/* The connection is closed: its sums are recorded at the next flush. */
void mkv_audit_deletes_ended(struct mkv_audit_deletes *deletes,
                             struct mkv_connection_id connection);
/* Hands over the sums whose time is over. */
void mkv_audit_deletes_flush(struct mkv_audit_deletes *deletes, uint64_t now_ns);
/* Hands over every sum, and waits for that: when the shard has ended. */
void mkv_audit_deletes_finish(struct mkv_audit_deletes *deletes);

#endif
