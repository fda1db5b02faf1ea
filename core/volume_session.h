/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: which blocks a client's inference request has stored, so that they can be moved to a
 * lower retention tier, or let go of, together and at the cost of these blocks alone.
 *
 *   bucket of (tenant, id) -> session -> node -> node -> ...   in the order in which they are
 *                               |                              stored; a node is {slot, generation}
 *                               +-- list of all, the one used least lately first
 *
 *   nothing --BEGIN, a put that names it--> tracked --END, FREE, or idle_ns pass--> ending --> over
 *
 *     EXIT_THINK  its blocks of tier think active go to think complete
 *     END, idle   all its blocks go to think complete
 *     FREE        all its blocks are evicted; those that are leased or pinned go to think complete
 *
 * What is to be done to the blocks of a session is a job: a step looks at a bounded number of them.
 * A put that was begun before an EXIT_THINK, and is applied behind it, counts as stored before; one
 * whose session is over by then goes to think complete and belongs to none.
 *
 * Invariants
 *  I1  A block belongs to one session at most: the one that its put named. A put of content that is
 *      there already stores nothing, and changes neither the block's tier nor its session.
 *  I2  There are at most session_max sessions, those that are ending included, and
 *      session_block_max nodes. A session or block beyond them is not tracked, and counted; its
 *      put is as good as any other.
 *  I3  A node may name a block that is gone: generations tell. Such nodes are given back, two for
 *      each one that is added, or when their session's job comes to them.
 *  I4  A demotion only lowers a tier. It is volatile: the tier is that of the put again after a
 *      restart, and there are no sessions.
 *  I5  Tracked sessions are in the list of all in the order of their last use.
 *
 * Memory: 84 bytes a session, its bucket among them, and 12 bytes a node.
 *
 * Not responsible for: which sessions there are on other drives (front), the order of eviction.
 */
#ifndef MKV_CORE_VOLUME_SESSION_H
#define MKV_CORE_VOLUME_SESSION_H

#include "core/base.h"
#include "core/io.h"
#include "core/volume.h"

struct op;

enum session_work {
    SESSION_REST = 0,
    SESSION_LEAVES_THINKING,
    SESSION_ENDS,
    SESSION_FREES,
};

struct session_node {
    uint32_t slot;
    uint32_t generation_low;
    uint32_t next; /* of its session, or of the free ones */
};
_Static_assert(sizeof(struct session_node) == 12, "a node takes 12 bytes");

struct session {
    uint64_t id;
    uint64_t used_ns; /* when a message or a put last named it */
    uint64_t begun;   /* both from the count of begins and exits: when it began, ... */
    uint64_t exited;  /* ... and when it last left its reasoning phase, 0 if never */
    uint32_t tenant;
    uint32_t next;     /* in its bucket, or of the free ones */
    uint32_t older;    /* in the list of all */
    uint32_t newer;    /* in the list of all */
    uint32_t job_next; /* of those that have work */
    uint32_t head;     /* its nodes */
    uint32_t tail;
    uint32_t block_count; /* of them */
    uint32_t left;        /* of them, those that the job has not come to */
    enum session_work work;
    enum mkv_demotion cause;
};
_Static_assert(sizeof(struct session) == 80, "see Memory");

struct session_state {
    uint64_t sessions_offset; /* in the arena: sessions, the heads of as many buckets, nodes */
    uint32_t session_max;
    uint32_t block_max;
    uint32_t tracked; /* sessions in the list of all */
    uint32_t ending;  /* sessions that are only in the list of work */
    uint32_t free_session;
    uint32_t fresh_session; /* from here on none was ever taken */
    uint32_t free_node;
    uint32_t fresh_node;
    uint32_t node_count; /* taken */
    uint32_t oldest;
    uint32_t newest;
    uint32_t job_head;
    uint32_t job_tail;
    uint64_t count; /* of begins and exits */
};

uint32_t mkv_volume_session_max(const struct mkv_volume_config *config);
uint32_t mkv_volume_session_block_max(const struct mkv_volume_config *config);
size_t mkv_volume_session_memory_required(const struct mkv_volume_config *config);
/* The volume begins to serve: there are none. */
void mkv_volume_session_open(struct mkv_volume *volume);
/* SESSION. */
void mkv_volume_session(struct mkv_volume *volume, const struct mkv_message *message);
/* A put that names a session begins: the session is used, and begins with it if there is none. */
void mkv_volume_session_put_begin(struct mkv_volume *volume, struct op *op);
/* Its block is stored. */
void mkv_volume_session_put_applied(struct mkv_volume *volume, const struct op *op);
/* Ends those that are idle, and goes on with what is to be done. */
void mkv_volume_session_pump(struct mkv_volume *volume);
bool mkv_volume_session_has_work(const struct mkv_volume *volume);
void mkv_volume_session_check(const struct mkv_volume *volume);

#endif
