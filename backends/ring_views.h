/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which lists of servers the clients of a node place keys by. A client of several servers tells the
 * hash of its list (docs/protocol.md, Ring block); clients with different lists look for the same
 * key at different servers, and lose hits without a word. So what live connections told is kept
 * here, once for all fabrics and shards of a node.
 *
 *   told(hash) ──▶ member, by connection ──▶ read: views, one for each hash that is told now
 *   gone       ──▶ none
 *
 * Invariants
 *  I1  A connection is a member from its telling until it is gone, and has one hash, its last one.
 *  I2  A view is there as long as some member has its hash.
 *  I3  At most MKV_RING_MEMBERS_MAX members are kept; who tells beyond that is none.
 *
 * Threads: all calls, from any thread, one after another behind a mutex. Connections come and go
 * seldom, compared to requests, which do not come here.
 *
 * Not responsible for: what is done about it.
 */
#ifndef MKV_BACKENDS_RING_VIEWS_H
#define MKV_BACKENDS_RING_VIEWS_H

#include <stdint.h>

#define MKV_RING_MEMBERS_MAX 4096u
/* Views that are told of one by one: those with the most connections. */
#define MKV_RING_VIEWS_TOLD 4u
#define MKV_RING_ADDRESS_BYTES 64u
#define MKV_RING_NAME_BYTES 49u
/* What a connection has that is no member. */
#define MKV_RING_NO_MEMBER UINT32_MAX

struct mkv_ring_views;

struct mkv_ring_view {
    uint64_t hash;
    uint32_t connection_count;
    /* One of its clients. */
    char address[MKV_RING_ADDRESS_BYTES];
    char name[MKV_RING_NAME_BYTES];
};

struct mkv_ring_told {
    uint32_t view_count; /* of all members; more than one is a mismatch */
    uint32_t told_count; /* of `views`, those with the most connections first */
    struct mkv_ring_view views[MKV_RING_VIEWS_TOLD];
};

/* NULL: there is no memory. */
struct mkv_ring_views *mkv_ring_views_create(void);
void mkv_ring_views_destroy(struct mkv_ring_views *views); /* NULL is allowed */

/* A connection told a hash, 0 for none. *member is its own: MKV_RING_NO_MEMBER at first. */
void mkv_ring_views_told(struct mkv_ring_views *views, uint32_t *member, uint64_t hash,
                         const char *address, const char *name);
/* It has closed; *member becomes MKV_RING_NO_MEMBER. */
void mkv_ring_views_gone(struct mkv_ring_views *views, uint32_t *member);

void mkv_ring_views_read(struct mkv_ring_views *views, struct mkv_ring_told *out);

#endif
