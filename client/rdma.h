/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RDMA as a client has it: the ports that it uses, what of its memory servers may reach through
 * them, and the lanes that connections have there.
 *
 *   client ──▶ port ──▶ lane of a connection            made, connected, open; then it drains
 *                │
 *                ├──▶ memory that the caller has registered            until it unregisters it
 *                ├──▶ memory that a PUT named, kept registered         LRU, bounded
 *                ├──▶ memory that a GET names, until it is answered    bounded
 *                ├──▶ bounce buffers                                   where none of these can be
 *                └──▶ stages                                           pieces of large puts
 *
 * A port is opened when the first connection asks for a lane there, and again after its device has
 * failed; it is closed when there are as many as there may be, and another one is asked for. All
 * that is told of it comes from mkv_rdma_poll.
 *
 * Invariants
 *  I1  A lane that has been connected is let go of when it is drained, and not before: what the
 *      device may still do to its buffers is over then.
 *  I2  A place is given back when its request is answered, or behind the end of its lane: until
 *      then neither its registration ends nor is its bounce buffer used again.
 *  I3  What is kept registered is at most MKV_RDMA_CACHED_MAX ranges of together at most
 *      MKV_RDMA_CACHED_BYTES_MAX, and what is in no call leaves first.
 *  I4  What is kept registered may be read by servers, and not written: its caller may have given
 *      these pages another use without a word. The memory of a GET ends being registered before it
 *      is the caller's again.
 *
 * Not responsible for: when a server is asked for a lane (connection_rdma.c), when it is tried
 * again (remote_rdma.c), frames.
 */
#ifndef MKV_CLIENT_RDMA_H
#define MKV_CLIENT_RDMA_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "client/memkv.h"
#include "verbs/endpoint.h"
#include "wire/native.h"
#include "wire/spin.h"

/* Devices that a client may be told to use. */
#define MKV_RDMA_DEVICES_MAX 8u
#define MKV_RDMA_DEVICE_BYTES 64u
/* Ports that it uses at a time: those of its devices, or of the addresses that it connects from. */
#define MKV_RDMA_PORTS_MAX 8u
#define MKV_RDMA_LANES_MAX 128u
/* Of a text that says what to do. */
#define MKV_RDMA_PROBLEM_BYTES 512u
_Static_assert(MKV_RDMA_PROBLEM_BYTES >= MKV_VERBS_PROBLEM_BYTES, "a port's problem fits");
/* What goes through the stream of frames, not by READ and WRITE: about a message. */
#define MKV_RDMA_GET_STREAM_BYTES_MAX 8192u
#define MKV_RDMA_PUT_STREAM_BYTES_MAX 16384u
#define MKV_RDMA_MESSAGE_BYTES 16384u
#define MKV_RDMA_RECEIVES 32u
/* Memory that is kept registered, of one port. The range's limit is that of a GET's memory, too. */
#define MKV_RDMA_CACHED_MAX 256u
#define MKV_RDMA_CACHED_BYTES_MAX (256ull * 1024u * 1024u)
#define MKV_RDMA_CACHED_RANGE_BYTES_MAX (64ull * 1024u * 1024u)
/* Memory of GETs that is registered until they are answered, of one port. Less than the least is
 * copied: where the two cost the same was measured on no card. */
#define MKV_RDMA_CALL_BYTES_MAX (256ull * 1024u * 1024u)
#define MKV_RDMA_CALL_RANGE_BYTES_MIN (256ull * 1024u)
/* Bounce buffers of one port: blocks of memory, in steps. They are made as they are needed, each as
 * large as all before it, so that there are few, and this much in all. */
#define MKV_RDMA_BOUNCE_BYTES (16u * 1024u * 1024u)
#define MKV_RDMA_BOUNCE_BYTES_MIN (1024u * 1024u)
#define MKV_RDMA_BOUNCE_STEP_BYTES (64u * 1024u)
#define MKV_RDMA_BOUNCE_STEPS (MKV_RDMA_BOUNCE_BYTES / MKV_RDMA_BOUNCE_STEP_BYTES)
#define MKV_RDMA_BOUNCES (MKV_RDMA_BOUNCE_BYTES / MKV_RDMA_BOUNCE_BYTES_MIN)
/* Of a GET whose bytes come by way of slots that the server fills in turn: at most half of the
 * bounce buffers. Of a value whose size is not known it is a few, until there was a larger one. */
#define MKV_RDMA_SLOTS 8u
#define MKV_RDMA_SLOTS_FIRST 4u
_Static_assert(MKV_RDMA_SLOTS *MKV_NATIVE_SLOT_BYTES <= MKV_RDMA_BOUNCE_BYTES / 2, "see above");
/* Pieces of values above one block, of one port, that are not in registered memory: the next one is
 * filled while the server reads one. */
#define MKV_RDMA_STAGES 2u

struct mkv_connection;
struct mkv_rdma_port;
struct memkv_client;

/* How memory is reached; labels of memkv_client_rdma_value_bytes_total. */
enum mkv_rdma_kind {
    MKV_RDMA_REGISTERED = 0,
    MKV_RDMA_CACHED,
    MKV_RDMA_CALL, /* of one call */
    MKV_RDMA_BOUNCED,
};
#define MKV_RDMA_KINDS 4u

/* ---- lanes ---------------------------------------------------------------------------------- */

struct mkv_rdma_lane {
    LIST_ENTRY(mkv_rdma_lane) link;
    struct mkv_rdma_port *port;
    struct mkv_endpoint *endpoint;
    struct mkv_connection *connection; /* NULL: it has ended, and the lane drains */
    bool is_connected;
    bool is_open;
    bool is_broken; /* `reason` and `problem` say why */
    bool is_drained;
    bool is_lifeline_gone; /* the server has ended the connection that it was made over */
    enum mkv_lane_reason reason;
    char problem[MKV_RDMA_PROBLEM_BYTES];
    uint64_t open_ns; /* since when it is open */
};
LIST_HEAD(mkv_rdma_lane_list, mkv_rdma_lane);

/* ---- memory --------------------------------------------------------------------------------- */

/* A range of the caller's memory that is registered. */
struct mkv_rdma_range {
    TAILQ_ENTRY(mkv_rdma_range) link; /* CACHED: what was used last is the last */
    struct mkv_rdma_memory *memory;
    enum mkv_rdma_kind kind; /* not BOUNCED */
    uint8_t *address;
    uint64_t bytes;
    struct mkv_verbs_region *region;
    uint32_t use_count; /* places that have it */
    bool is_dropped;    /* it ends with the last of them, and is found no more */
};
TAILQ_HEAD(mkv_rdma_range_list, mkv_rdma_range);

/* Memory of the library for one piece. */
struct mkv_rdma_stage {
    uint8_t *memory; /* NULL: there is none yet */
    uint64_t bytes;
    struct mkv_verbs_region *region;
    bool is_used;
};

/* Bounce buffers that are registered as one: from MKV_RDMA_BOUNCE_BYTES_MIN on a power of two. */
struct mkv_rdma_bounce {
    uint8_t *memory; /* NULL: this place is free */
    uint64_t bytes;
    struct mkv_verbs_region *region;
    uint32_t use_count;                         /* places in it */
    uint64_t used[MKV_RDMA_BOUNCE_STEPS / 64u]; /* a bit for each step */
};

struct mkv_rdma_memory {
    struct mkv_rdma_range_list ranges; /* CACHED, but those that are dropped */
    uint32_t range_count;              /* CACHED, of all */
    uint64_t range_bytes;
    uint64_t call_bytes;  /* CALL */
    uint64_t refused_ns;  /* when the device last refused to register; 0: never */
    uint64_t distrust_ns; /* until when nothing is kept registered: what was, was stale ... */
    uint32_t stale_count; /* ... so often */
    struct mkv_rdma_bounce bounces[MKV_RDMA_BOUNCES];
    uint64_t bounce_bytes;         /* of all */
    uint64_t bounce_refused_ns;    /* when there was no block to be had; 0: never ... */
    uint64_t bounce_refused_bytes; /* ... with which so many were in use */
    uint32_t slots;                /* for a GET of unknown size */
    struct mkv_rdma_stage stages[MKV_RDMA_STAGES];
};

/* Where the server finds the memory of an item. */
struct mkv_rdma_place {
    enum mkv_rdma_kind kind;
    struct mkv_native_remote remote;
    struct mkv_rdma_range *range;  /* any but BOUNCED */
    uint8_t *bounce;               /* BOUNCED: where the bytes are instead ... */
    uint64_t bounce_bytes;         /* ... and how many */
    struct mkv_rdma_stage *stage;  /* BOUNCED: they are in this one; NULL: in bounce buffers ... */
    struct mkv_rdma_bounce *block; /* ... of this block */
};

/* ---- ports ---------------------------------------------------------------------------------- */

struct mkv_rdma_port {
    struct mkv_rdma *rdma;
    struct mkv_verbs *verbs;            /* NULL: this place is free */
    uint32_t place;                     /* of it in mkv_rdma.ports */
    char device[MKV_RDMA_DEVICE_BYTES]; /* that was asked for; "": any */
    char address[48];                   /* that connections came from */
    struct mkv_rdma_lane_list lanes;
    uint32_t lane_count;
    uint32_t draining_count; /* of them without a connection */
    uint32_t place_count;    /* of requests */
    uint64_t idle_ns;        /* since when it has no lane, where it has none */
    struct mkv_rdma_memory memory;
};

struct mkv_rdma {
    struct memkv_client *client;
    bool is_required; /* transport rdma: nothing goes on without */
    uint32_t device_count;
    char devices[MKV_RDMA_DEVICES_MAX][MKV_RDMA_DEVICE_BYTES];
    struct mkv_rdma_port ports[MKV_RDMA_PORTS_MAX];
    uint32_t port_count; /* that are open */
    bool had_port;       /* ever */
    bool is_told;        /* that there is no such device */
    /* Connections that try RDMA again beside others, and until when a call that is done waits for
     * them: between calls nothing goes on. */
    uint32_t candidate_count;
    uint64_t linger_ns;
    /* A host without a device is not looked through for each connection. */
    uint64_t absent_until_ns;
    char absent_problem[MKV_VERBS_PROBLEM_BYTES];
    struct mkv_spin spin; /* before answers are waited for (engine.c) */
};

/* What a client with these settings has. `devices`: names with commas between, "": any; `poll_ns`:
 * so long answers are polled for at most, before they are waited for. NULL: there is no memory. */
struct mkv_rdma *mkv_rdma_new(struct memkv_client *client, bool is_required, const char *devices,
                              uint64_t poll_ns);
/* When no connection has a lane and no request a place. Waits until the last lanes are drained, for
 * a bounded time; of a device that lets go of them later still, which is said on standard error,
 * the memory is never freed. NULL is allowed. */
void mkv_rdma_free(struct mkv_rdma *rdma);
/* What is wrong with a list of devices, in words; NULL: nothing. */
const char *mkv_rdma_devices_problem(const char *devices);

/* A lane of a connection whose socket has this local address ("10.0.0.7"; "" not known), not yet
 * connected. NULL: *problem says why not. */
struct mkv_rdma_lane *mkv_rdma_lane_new(struct mkv_rdma *rdma, struct mkv_connection *connection,
                                        const char *address, uint64_t now_ns, char *problem);
/* Whether there is a port for such a lane, which is opened then. False: *problem says why not. */
bool mkv_rdma_has_usable(struct mkv_rdma *rdma, const char *address, uint64_t now_ns,
                         char *problem);
/* The host has no device: said once on standard error where one was named. */
void mkv_rdma_tell_absent(struct mkv_rdma *rdma, const char *problem);
/* The connection has ended: behind the return no byte of the server's arrives in memory that it was
 * shown. Waits for a device that refuses, past any deadline, and says so on standard error. The
 * lane is let go of in its time. */
void mkv_rdma_lane_end(struct mkv_rdma_lane *lane);

/* Has the ports tell what has come; connections of lanes become readable and writable by it. What
 * was sent before is on its way then. Returns how much has come. */
uint32_t mkv_rdma_poll_ports(struct mkv_rdma *rdma, uint64_t now_ns);
/* In each round of a client: nothing where it has no port. */
static inline uint32_t mkv_rdma_poll(struct mkv_rdma *rdma, uint64_t now_ns) {
    return rdma->port_count == 0 ? 0 : mkv_rdma_poll_ports(rdma, now_ns);
}
/* Before the client waits: has the descriptors tell, and *due_ns become what the ports need. True:
 * something has come, and there is to be no waiting. */
bool mkv_rdma_arm(struct mkv_rdma *rdma, uint64_t *due_ns);
/* Whether that is one of its ports, which an event may name. */
bool mkv_rdma_has_port(const struct mkv_rdma *rdma, const void *pointer);

/* ---- rdma_memory.c -------------------------------------------------------------------------- */

void mkv_rdma_memory_init(struct mkv_rdma_memory *memory);
/* Ends all registrations of a port that has no lane and no place. */
void mkv_rdma_memory_end(struct mkv_rdma_port *port);
/* Has the server reach `bytes` bytes at `memory`; of a put the bytes are there already. False: it
 * cannot be done now, and they go through the stream. `may_register`: what the caller has not
 * registered may be, to be kept where it is a put, else for this place alone. */
bool mkv_rdma_place_take(struct mkv_rdma_port *port, void *memory, uint64_t bytes, bool is_put,
                         bool may_register, struct mkv_rdma_place *place);
/* The same in what the caller has registered, or not at all. */
bool mkv_rdma_place_find(struct mkv_rdma_port *port, const void *memory, uint64_t bytes,
                         struct mkv_rdma_place *place);
/* Slots that the server is to fill in turn, in bounce buffers; place->remote.slots of them. `bytes`
 * are to come; 0: it is not known how many. */
bool mkv_rdma_slots_take(struct mkv_rdma_port *port, uint64_t bytes, struct mkv_rdma_place *place);
/* A value whose size was not known has so many bytes: so may the next. */
void mkv_rdma_slots_learn(struct mkv_rdma_port *port, uint64_t bytes);
/* Whether there is a stage of so many bytes, in use or not; makes one. */
bool mkv_rdma_stage_prepare(struct mkv_rdma_port *port, uint64_t bytes);
/* A stage that is not in use; false: wait until one is given back, if that was prepared. */
bool mkv_rdma_stage_take(struct mkv_rdma_port *port, uint64_t bytes, struct mkv_rdma_place *place);
/* `is_stale`: the registration is of other memory than is there now: it is not used again. */
void mkv_rdma_place_give(struct mkv_rdma_port *port, struct mkv_rdma_place *place, bool is_stale);
/* What was kept registered for it ends with its last place, and is found by no other any more. */
void mkv_rdma_place_doubt(const struct mkv_rdma_place *place);
/* Nothing of this memory is kept registered any more, but by places. */
void mkv_rdma_forget(struct mkv_rdma *rdma, const void *address, uint64_t bytes);

#endif
