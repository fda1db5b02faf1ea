/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's name to its addresses, without waiting: the system's resolver knows no deadline, so it
 * runs on a thread of its own, and who asked may go away before it is done. Numeric addresses need
 * no thread.
 *
 *   begin ──▶ descriptor becomes readable ──▶ finish
 *        └──────────────────────────────────▶ abandon (the thread frees what is left)
 *
 * Invariants
 *  I1  No call waits.
 *  I2  What the thread and who asked share is freed by whoever is the last to let go of it.
 *
 * Not responsible for: which address is taken, and how long one waits.
 */
#ifndef MKV_CLIENT_RESOLVER_H
#define MKV_CLIENT_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "client/address.h"

/* Addresses of one name that are kept: one more than a discovery takes servers. */
#define MKV_ADDRESSES_MAX 65u
#define MKV_RESOLVER_PROBLEM_BYTES 128u

struct mkv_addresses {
    uint32_t count; /* 0: `problem` says why */
    struct {
        socklen_t byte_count;
        struct sockaddr_storage bytes;
    } all[MKV_ADDRESSES_MAX];
    char problem[MKV_RESOLVER_PROBLEM_BYTES];
};

struct mkv_resolver;

/* *addresses is set at once, if the address is numeric or no thread is to be had; the caller frees
 * it. Else it is NULL, and a resolver is returned. Both NULL: there is no memory. */
struct mkv_resolver *mkv_resolver_begin(const struct mkv_client_address *address,
                                        struct mkv_addresses **addresses);
/* Becomes readable when the answer is there. */
int mkv_resolver_descriptor(const struct mkv_resolver *resolver);
/* The answer, which the caller frees, and the resolver is gone; NULL: not yet. */
struct mkv_addresses *mkv_resolver_finish(struct mkv_resolver *resolver);
/* Nobody wants the answer any more. */
void mkv_resolver_abandon(struct mkv_resolver *resolver);

#endif
