/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the front share. Three layers, each in files of its own:
 *
 *   request   an accepted REQUEST until its ANSWER and its last transfer are done
 *             (front_request.c)
 *   item      one key of a request; goes on behind the answer while it deletes segments
 *             (front_item.c; the phases of segmented values in front_segments.c)
 *   op        one block of an item: every conversation with a volume or a client is an op's
 *             (front_op.c; the waits for credits and slabs in front_wait.c)
 *
 *   step:  input -> the op it names -> mkv_front_item_advance() of that op's item
 *          due deadlines and closed requests -> their items become ready
 *          ready items -> mkv_front_item_advance(), until the effects have no room for one more
 *
 *   op     IDLE -> (WAITING -> GRANTED ->)* FIND_POSTED, EXISTS_POSTED, READ_POSTED, BEGIN_POSTED,
 *                  PULL_POSTED, WRITE_POSTED, DELETE_POSTED -> ... -> DONE -> IDLE
 *          BEGIN_POSTED -> RESERVED -> GRANTED    ALLOCATE, and COMMIT
 *          DONE -> PUSH_POSTED -> IDLE
 *
 *   item   START -> SINGLE -> ENDING                              GET, EXISTS, PUT of one block
 *          START -> LEARN -> SINGLE -> ENDING                     DELETE, PUT with REPLACE
 *          START -> SINGLE -> PLACE -> CHECK -> STREAM -> ENDING  GET of a manifest
 *          START -> LEARN -> PLACE (-> CHECK) -> SEGMENTS -> COMMIT -> ENDING   large PUT
 *          START (-> LEARN) -> SINGLE -> RESERVED -> SINGLE or ENDING   ALLOCATE, and COMMIT
 *          ENDING (-> CLEAN_PLACE) -> CLEAN -> freed              segments to delete
 *
 *   resident   a block of the memory tier, or one that is being read into it (front_memory.c)
 *
 *          FREE -> READING (one op reads it, others may wait for that) -> RESIDENT -> FREE
 *          FREE -> RESIDENT                       a PUT's slab stays
 *
 * Invariants
 *  I1  A waiting op is in exactly one list: of its volume and credit kind, of its connection's cap,
 *      the slab queue of its side, or of the resident that it waits for. Any other op is in none.
 *  I2  An op that is cancelled while something of it is posted is `doomed`: its answer unwinds it.
 *  I3  A decided item has its result in its request; an item whose request closed has none.
 *  I4  Only items in RESERVED, PERSIST, CLEAN_PLACE and CLEAN have no request, and those in ENDING
 *      that were RESERVED. Of these only those in PERSIST, whose slab counts against no connection,
 *      and RESERVED, whose slab counts against that of their ALLOCATE, hold one.
 *  I5  A resident that is found by its key is what the key holds: whatever ends a mutation of the
 *      key takes it out of the index first. One that is read is kept only if nothing did meanwhile.
 *  I6  The slab of a resident is given back when no op uses it; a resident that is used, or not yet
 *      durable (which its PUT's op uses), is never taken for another block.
 *
 * Not responsible for: anything outside core/front*.c.
 */
#ifndef MKV_CORE_FRONT_INTERNAL_H
#define MKV_CORE_FRONT_INTERNAL_H

#include "core/front.h"
#include "core/manifest.h"
#include "core/slab.h"

/* Room for the data of one message: a key, or the sums of one block. */
#define FRONT_DATA_BYTES (8u * MKV_CHUNKS_MAX)
/* What one item may emit in one advance: for each op of its own and its window the end of one
 * conversation and the start of the next, a PUSH each, one BREAK and one ANSWER. */
#define FRONT_EFFECTS_PER_ITEM_MAX 24u
/* Changes of phase or window of one item in one advance; then it is ready again. */
#define FRONT_ITEM_TURNS_MAX 8u
/* Requests whose end is told in one step; a connection may close with more. */
#define FRONT_ENDS_PER_STEP_MAX 64u
/* Requests whose timer is taken up in one step. */
#define FRONT_TIMERS_PER_STEP_MAX 16u
/* Residents that one step looks at for slabs to take back; then it goes on in the next. */
#define FRONT_RECLAIMS_PER_STEP_MAX 128u
/* Ops that wait for one read; further ones read for themselves. */
#define FRONT_READ_WAITERS_MAX 64u
/* Residents in use that are passed over to find a place for another; then that one does not stay.
 */
#define FRONT_PLACES_LOOKED_AT_MAX 32u
/* How often a resident is passed over, at most, because it was used meanwhile. */
#define FRONT_HEAT_MAX 3u

/* How long a volume is not told of a block that was read from memory. */
#define FRONT_TOUCH_NS 10000000ull

#define FRONT_TENANT_NAME_BYTES (MKV_TENANT_STORED_NAME_BYTES_MAX + 1u)

_Static_assert(FRONT_DATA_BYTES >= MKV_KEY_BYTES_MAX, "message data holds a key");
_Static_assert(FRONT_DATA_BYTES >= MKV_MANIFEST_BYTES, "message data holds a manifest");
_Static_assert(FRONT_EFFECTS_PER_ITEM_MAX >= 3 * (MKV_FRONT_WINDOW + 1) + 2, "see above");
_Static_assert(MKV_FRONT_EFFECTS_MAX >= 4 * FRONT_EFFECTS_PER_ITEM_MAX + FRONT_ENDS_PER_STEP_MAX,
               "a step makes progress");

/* ---- lists of indexes, linked through an array of links -------------------------------------- */

struct front_link {
    uint32_t previous;
    uint32_t next;
};

struct front_list {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

void mkv_front_list_init(struct front_list *list);
void mkv_front_list_push(struct front_list *list, struct front_link *links, uint32_t index);
void mkv_front_list_remove(struct front_list *list, struct front_link *links, uint32_t index);
/* The first index, taken off; MKV_NONE_U32 when the list is empty. */
uint32_t mkv_front_list_pop(struct front_list *list, struct front_link *links);

/* ---- ops ------------------------------------------------------------------------------------- */

enum front_op_kind {
    FRONT_OP_GET =
        1,          /* credit, FIND, slab, READ; a segment: slab before FIND. DONE holds the slab */
    FRONT_OP_LEARN, /* as GET, but a block that is no manifest is released after FOUND */
    FRONT_OP_EXISTS, /* credit, EXISTS */
    FRONT_OP_PUT, /* slab, credit, PUT_BEGIN, PULL, PUT_WRITE; root_later: PULL before the credit */
    FRONT_OP_COMMIT,  /* slab, credit, PUT_BEGIN, PUT_WRITE of the manifest */
    FRONT_OP_DELETE,  /* credit, DELETE */
    FRONT_OP_SESSION, /* credit, SESSION; and so on to the next volume */
};

enum front_op_state {
    FRONT_OP_IDLE = 0,
    FRONT_OP_WAITING,
    FRONT_OP_GRANTED, /* what it waited for has come, or will not: run it */
    FRONT_OP_FIND_POSTED,
    FRONT_OP_EXISTS_POSTED,
    FRONT_OP_READ_POSTED,
    FRONT_OP_BEGIN_POSTED,
    FRONT_OP_RESERVED, /* PUT_READY came, and the client says when it goes on */
    FRONT_OP_PULL_POSTED,
    FRONT_OP_WRITE_POSTED,
    FRONT_OP_DELETE_POSTED,
    FRONT_OP_DONE,
    FRONT_OP_PUSH_POSTED,
};

enum front_wait {
    FRONT_WAIT_NONE = 0,
    FRONT_WAIT_CREDIT,
    FRONT_WAIT_CAP, /* its connection holds as many slab units as it may */
    FRONT_WAIT_SLAB,
    FRONT_WAIT_READ, /* another op reads the same block */
};

enum front_credit {
    FRONT_CREDIT_FIND = 0,
    FRONT_CREDIT_MUTATION,
    FRONT_CREDIT_EXISTS,
};
#define FRONT_CREDIT_COUNT 3u

enum front_side {
    FRONT_SIDE_READ = 0,
    FRONT_SIDE_WRITE,
};
#define FRONT_SIDE_COUNT 2u

struct front_op {
    uint32_t generation;
    uint32_t item;
    enum front_op_kind kind;
    enum front_op_state state;
    enum front_wait wait;
    enum front_credit credit; /* the kind it needs */
    bool has_credit;
    bool has_slab;
    bool doomed;       /* cancelled while posted */
    bool found;        /* the volume holds a slot for it: READ or RELEASE is due */
    bool begun;        /* PUT_READY came: PUT_WRITE or PUT_ABORT is due */
    bool pulled;       /* the payload is in the slab */
    bool root_later;   /* PUT: `root` is known when it is pulled, before PUT_BEGIN */
    bool alone;        /* GET: shares no read with others any more */
    bool joined;       /* GET: has waited for the read of another */
    bool looked;       /* it counts as looked up in memory */
    bool from_memory;  /* GET, EXISTS: no volume was asked */
    bool in_memory;    /* EXISTS: the block was in memory when the volume was asked */
    bool was_there;    /* PUT, COMMIT: OK, and nothing was stored */
    bool early;        /* PUT: the client has its OK before the value is durable */
    uint32_t resident; /* that it reads, waits for or uses; MKV_NONE_U32 */
    uint32_t volume;   /* MKV_NONE_U32: no volume owns the key */
    struct mkv_op_id volume_op;
    uint64_t since_ns; /* of the present state */
    uint64_t ticket;   /* order of arrival in the slab queues */
    struct mkv_slab slab;
    uint32_t slab_units;    /* held, or asked for */
    uint32_t units_counted; /* of these, against its connection's cap: all or none */
    uint32_t segment;       /* MKV_NONE_U32: the value's own key */
    uint64_t segment_id;
    uint32_t length;         /* PUT, COMMIT: payload bytes. A segment's GET: as the manifest says */
    uint32_t flags;          /* of PUT_BEGIN */
    uint32_t offset, wanted; /* GET: as in MKV_MESSAGE_READ */
    /* What it came to. */
    enum mkv_status status;
    enum mkv_miss miss;
    uint32_t block_flags;
    uint32_t length_units;
    bool leased;       /* EXISTS and PIN: what was found is not evicted for a while */
    uint32_t expiry_s; /* GET, EXISTS: of the block that was read, or is there */
    uint32_t result_length;
    uint32_t result_offset;
    uint32_t result_bytes;
    uint32_t slab_offset;
    struct mkv_root root; /* PUT: of the bytes to be written. GET: of the block */
};

/* ---- items ----------------------------------------------------------------------------------- */

enum front_phase {
    FRONT_PHASE_FREE = 0,
    FRONT_PHASE_START,
    FRONT_PHASE_SINGLE,
    FRONT_PHASE_LEARN,
    FRONT_PHASE_PLACE, /* waits for an entry of the segmented values */
    FRONT_PHASE_CHECK,
    FRONT_PHASE_STREAM,
    FRONT_PHASE_SEGMENTS,
    FRONT_PHASE_COMMIT,
    FRONT_PHASE_ENDING, /* nothing new is started; ends when all ops are idle */
    FRONT_PHASE_RESERVED,
    FRONT_PHASE_PERSIST, /* answered; its value is on its way to the drive */
    FRONT_PHASE_CLEAN_PLACE,
    FRONT_PHASE_CLEAN,
};

/* An entry of the heap of deadlines. */
struct front_timer {
    uint32_t heap_position; /* MKV_NONE_U32: it is in none */
    uint64_t timer_ns;
};

enum front_clean {
    FRONT_CLEAN_NONE = 0,
    FRONT_CLEAN_OLD, /* the value that was replaced or deleted */
    FRONT_CLEAN_OWN, /* what was written of a value that did not come to be */
};

struct front_item {
    enum front_phase phase;
    enum mkv_op op;
    enum front_clean clean;
    bool replace;
    bool if_absent;  /* PUT: only where the key holds nothing … */
    bool if_present; /* … or only where it holds something, which it then replaces */
    bool relaxed;    /* PUT: may be answered before it is durable */
    bool root_later; /* PUT: its root is that of the bytes that come */
    bool decided;    /* its result stands, or its request closed */
    bool withheld;   /* abandoned: decided with these when no PULL of it is posted any more */
    enum mkv_status withheld_status;
    enum mkv_miss withheld_miss;
    bool ready;      /* in the ready list */
    bool moving;     /* a segmented value whose first transfer was posted: waits are bounded anew */
    bool has_old;    /* `old` is the manifest under its key */
    bool keeps_old;  /* large PUT without REPLACE over a value that is all there: never committed */
    uint32_t tenant; /* its name stands beside the key */
    uint32_t request; /* MKV_NONE_U32: I4 */
    uint32_t position;
    uint32_t key_bytes;
    uint32_t segmented; /* its entry, or MKV_NONE_U32 */
    uint64_t length;
    uint64_t offset;
    uint64_t deadline_ns;
    enum mkv_stage stage; /* as its request counts it */
    uint64_t received_ns; /* of its request, which it may outlast */
    struct mkv_root root;
    struct mkv_manifest old;
    struct mkv_root old_root;       /* of the block that holds `old` */
    uint32_t old_expiry_s;          /* of `old`, as it was when it was read */
    uint32_t expiry_s;              /* PUT: Unix time; 0 never */
    uint64_t lease_ns;              /* EXISTS, LOOKUP, PIN: that is asked for; 0 none */
    bool plain;                     /* EXISTS: it is not used */
    uint64_t session;               /* PUT, SESSION */
    uint32_t tier_hint;             /* PUT */
    enum mkv_session_action action; /* SESSION */
    enum mkv_think_exit reason;     /* SESSION */
    uint32_t session_answers;       /* SESSION: bit s: a volume answered with status s */
    /* ALLOCATE, until its COMMIT */
    bool reserving;           /* counts against the bounds of reservations */
    bool abandoned;           /* COMMIT: it is to end */
    uint32_t reserving_units; /* of slabs */
    uint64_t reservation;     /* its name */
    struct mkv_connection_id connection;
    struct front_timer timer; /* RESERVED: when it ends */
};

/* The place of an item that moves, checks or deletes segments; its lanes are ops of their own. */
struct front_segmented {
    uint32_t item;  /* MKV_NONE_U32: free */
    uint32_t first; /* segments [first .. end) are to be moved, checked or deleted */
    uint32_t end;
    uint32_t next; /* the next one to start */
    uint32_t turn; /* the next one to push, to chain or to count; segment i is lane i % window */
    bool missing;  /* CHECK: a segment is not resident */
    enum mkv_miss miss;
    struct mkv_root chain;
    struct mkv_manifest put; /* of the value being written */
};

/* ---- residents ------------------------------------------------------------------------------- */

enum front_resident_state {
    FRONT_RESIDENT_FREE = 0,
    FRONT_RESIDENT_READING, /* by `reader`; has no slab yet, and is found by its key */
    FRONT_RESIDENT_HELD,    /* has a slab with the whole block */
};

struct front_resident {
    enum front_resident_state state;
    bool indexed; /* found by its key; else gone when `users` is 0 */
    bool proven;  /* in the second queue: it was used since it came */
    bool unpersisted;
    uint32_t heat;   /* uses since it was looked at last, at most FRONT_HEAT_MAX */
    uint32_t users;  /* ops that need its slab */
    uint32_t reader; /* READING */
    uint32_t hash_next;
    uint32_t volume;
    uint32_t volume_outages; /* of the volume, when it came */
    uint32_t tenant;
    uint32_t key_bytes;
    uint32_t length;
    uint32_t expiry_s; /* 0: never */
    uint32_t slab_units;
    uint64_t tag;
    struct mkv_root root;
    struct mkv_slab slab;
    struct front_list waiters; /* READING: ops */
};

/* ---- requests and connections ---------------------------------------------------------------- */

struct front_request {
    bool in_use;
    bool closed; /* its connection is gone: nothing may be sent */
    bool answer_posted;
    bool answer_done;
    uint32_t generation;
    struct mkv_connection_id connection;
    uint64_t request_id;
    enum mkv_op op;
    uint32_t route;
    bool part; /* counts as no request */
    uint32_t item_count;
    uint32_t undecided;
    uint64_t deadline_ns;
    struct front_timer timer;
    struct front_list items;
    /* What its summary tells: see front_summary.c. */
    bool ended;
    bool told; /* its REQUEST_ENDED is handed out */
    bool dropped;
    enum mkv_status status;
    enum mkv_stage stage;
    enum mkv_miss miss;
    uint32_t stage_items[MKV_STAGE_COUNT]; /* items in each */
    uint32_t stage_mask;                   /* bit s: there are items in stage s */
    uint32_t tenant;
    uint32_t drive_volume;
    uint32_t keys_from_memory;
    uint32_t keys_from_drive;
    uint32_t key_bytes;
    bool key_cut;
    struct mkv_trace_context trace;
    uint64_t serial;
    uint64_t received_ns;
    uint64_t ended_ns;
    uint64_t stage_since_ns;
    uint64_t written_ns; /* WRITE: when the last data of this time in it was on the drive; 0 */
    uint64_t stage_ns[MKV_STAGE_COUNT];
    uint64_t drive_ns;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t session;
};

struct front_connection {
    uint32_t generation;
    bool open;
    bool broken;
    uint32_t slab_units; /* held by its ops, or counted for those on their way to a slab */
    uint32_t reserving;  /* its reservations, and those on their way to be */
    struct front_list requests;
    struct front_list reserved; /* items in RESERVED */
    struct front_list capped;   /* ops that wait for slab_units to fall */
};

/* A block that was read from memory, which its volume is told with others. */
struct front_touch {
    uint64_t tag;
    uint32_t tenant;
};

struct front_volume {
    enum mkv_front_volume_state state;
    uint32_t credit_max[FRONT_CREDIT_COUNT];
    uint32_t outages; /* how often it went offline: what is resident of it is gone then */
    uint32_t used[FRONT_CREDIT_COUNT];
    uint32_t reserving; /* reservations of it, and those on their way to be */
    uint32_t touch_count;
    uint64_t touch_ns; /* when the first of them came */
    struct front_touch touches[MKV_TOUCH_ENTRIES_MAX];
    struct front_list waiting[FRONT_CREDIT_COUNT];
};

/* ---- the front ------------------------------------------------------------------------------- */

/* Offsets of the arena's parts from its start. */
struct front_layout {
    size_t connections;
    size_t requests;
    size_t request_links;
    size_t request_end_links; /* of the requests whose end is to be told */
    size_t request_keys;      /* of their first items, MKV_SUMMARY_KEY_BYTES_MAX each */
    size_t timer_heap;
    size_t results;
    size_t items;
    size_t item_links; /* of the request's or the connection's list, or of the free list */
    size_t item_ready_links;
    size_t item_place_links; /* of the items that wait for a segmented entry */
    size_t keys;
    size_t tenant_names; /* of items */
    size_t ops;
    size_t op_links;
    size_t segmented;
    size_t segmented_links;
    size_t sums; /* by slab unit: of the payload whose slab begins there */
    size_t effects;
    size_t data;
    size_t slabs;
    size_t residents;
    size_t resident_links; /* of the free list, or of its queue */
    size_t resident_keys;
    size_t resident_heads;  /* of the index's buckets */
    size_t resident_owners; /* by slab unit: whose slab begins there */
    size_t bytes;
};

struct mkv_front {
    struct mkv_front_config config;
    struct front_layout layout;
    uint64_t now_ns;
    uint64_t wall_s; /* never goes back */
    uint64_t ticket_last;
    uint64_t segment_ids_drawn;
    uint64_t reservations_drawn;
    uint32_t effect_count;
    uint32_t effects_taken;
    uint32_t heap_count;
    uint32_t ops_capped[FRONT_SIDE_COUNT]; /* in the lists of all connections */
    uint32_t write_units;                  /* held by puts */
    uint32_t write_units_max;
    uint32_t reserving_units; /* of slabs, of all reservations and those on their way to be */
    uint32_t reserved_count;
    struct front_list requests_free;
    struct front_list requests_ended; /* that are to be told of */
    struct front_list items_free;
    struct front_list items_ready;
    struct front_list items_placing;
    struct front_list segmented_free;
    struct front_list slab_queue[FRONT_SIDE_COUNT];
    struct front_list residents_free;
    struct front_list residents_new;    /* coldest first, as far as is known */
    struct front_list residents_proven; /* the same */
    uint32_t resident_units;            /* slab units of all that have a slab */
    uint32_t resident_units_new;        /* of those in residents_new */
    uint32_t resident_units_used;       /* of those that ops use */
    uint32_t residents_unpersisted;
    uint32_t reclaims_left; /* residents that may still be looked at in this step … */
    uint64_t reclaims_due;  /* … and until all were seen cold */
    bool reclaiming;        /* someone waits for a slab, and the next step looks on */
    struct front_volume volumes[MKV_VOLUMES_MAX];
    struct mkv_member members[MKV_VOLUMES_MAX]; /* of placement; an absent one has no weight */
    struct mkv_front_stats stats;               /* the counts; states are filled in when asked */
    struct mkv_front_times times;
    /* The last row is that of all the others. */
    struct mkv_front_tenant tenants[MKV_FRONT_TENANTS_MAX + 1];
    uint32_t tenant_heads[MKV_FRONT_TENANTS_MAX]; /* by id: 1 + the first row to look at */
    uint32_t tenant_nexts[MKV_FRONT_TENANTS_MAX];
    uint32_t tenant_count;
};

static inline bool front_has_memory(const struct mkv_front *front) {
    return front->config.memory_blocks_max > 0;
}
static inline void *front_at(struct mkv_front *front, size_t offset) {
    return (uint8_t *)front + offset;
}
static inline struct front_op *front_op_at(struct mkv_front *front, uint32_t index) {
    return (struct front_op *)front_at(front, front->layout.ops) + index;
}
static inline struct front_item *front_item_at(struct mkv_front *front, uint32_t index) {
    MKV_ASSERT(index < front->config.items_max);
    return (struct front_item *)front_at(front, front->layout.items) + index;
}
static inline struct front_request *front_request_at(struct mkv_front *front, uint32_t index) {
    MKV_ASSERT(index < front->config.requests_max);
    return (struct front_request *)front_at(front, front->layout.requests) + index;
}
static inline struct front_connection *front_connection_at(struct mkv_front *front,
                                                           uint32_t index) {
    MKV_ASSERT(index < front->config.connections_max);
    return (struct front_connection *)front_at(front, front->layout.connections) + index;
}
static inline struct front_segmented *front_segmented_at(struct mkv_front *front, uint32_t index) {
    MKV_ASSERT(index < front->config.segmented_max);
    return (struct front_segmented *)front_at(front, front->layout.segmented) + index;
}
/* The name of the item's tenant. */
static inline char *front_tenant_name_at(struct mkv_front *front, uint32_t item) {
    return (char *)front_at(front, front->layout.tenant_names) +
           (size_t)item * FRONT_TENANT_NAME_BYTES;
}
static inline uint8_t *front_key_at(struct mkv_front *front, uint32_t item) {
    return (uint8_t *)front_at(front, front->layout.keys) +
           (size_t)item * front->config.key_bytes_max;
}
static inline struct front_link *front_links(struct mkv_front *front, size_t offset) {
    return front_at(front, offset);
}
static inline struct mkv_slab_pool *front_slabs(struct mkv_front *front) {
    return front_at(front, front->layout.slabs);
}

/* The ops of items come first, each at its item's index, then the lanes of segmented entries. */
static inline uint32_t front_op_count(const struct mkv_front_config *config) {
    return config->items_max + config->segmented_max * MKV_FRONT_WINDOW;
}
static inline uint32_t front_lane(const struct mkv_front *front, uint32_t segmented,
                                  uint32_t segment) {
    return front->config.items_max + segmented * MKV_FRONT_WINDOW + segment % MKV_FRONT_WINDOW;
}
/* Units that FOUND reports for a block of `length` bytes. */
static inline uint32_t front_found_units(uint32_t length) {
    return length <= MKV_INLINE_BYTES_MAX ? 0 : (uint32_t)mkv_divide_up_u64(length, MKV_UNIT_BYTES);
}

static inline uint64_t front_add_ns(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* front.c */

/* The next effect, all zero but its kind. There is room: see FRONT_EFFECTS_PER_ITEM_MAX. */
struct mkv_effect *mkv_front_emit(struct mkv_front *front, enum mkv_effect_kind kind);
/* FRONT_DATA_BYTES for the data of that effect, which becomes its message's. */
uint8_t *mkv_front_emit_data(struct mkv_front *front, struct mkv_effect *effect);

/* The figures of the item's tenant. */
struct mkv_front_tenant *mkv_front_tenant_of(struct mkv_front *front, uint32_t tenant);

/* front_wait.c */

/* The op's connection, or NULL when that has closed. */
struct front_connection *mkv_front_connection_of(struct mkv_front *front,
                                                 const struct front_op *op);
bool mkv_front_volume_online(const struct mkv_front *front, uint32_t volume);
/* Whether it is the connection of that id, and open. */
bool mkv_front_connection_is(struct mkv_front *front, struct mkv_connection_id id);
/* True when the op holds a credit of its kind; else it waits for one. */
bool mkv_front_credit_take(struct mkv_front *front, uint32_t op);
void mkv_front_credit_give(struct mkv_front *front, uint32_t op);
/* Whether there can ever be a slab for the bytes: a block may be from a time when larger ones were
 * allowed. */
bool mkv_front_slab_fits(const struct mkv_front *front, uint32_t payload_bytes);
/* True when units for the bytes are counted against the connection's cap; else it waits for that.
 */
bool mkv_front_cap_take(struct mkv_front *front, uint32_t op, uint32_t payload_bytes);
/* Whether mkv_front_cap_take would be true. */
bool mkv_front_cap_has_room(struct mkv_front *front, uint32_t op, uint32_t payload_bytes);
void mkv_front_cap_give(struct mkv_front *front, uint32_t op);
/* True when the op holds a slab of the units counted; else it waits for one. */
bool mkv_front_slab_take(struct mkv_front *front, uint32_t op);
/* True when the op waits for a read of its block that another op does; false when too many do. */
bool mkv_front_read_wait(struct mkv_front *front, uint32_t op, uint32_t resident);
/* Frees the slab, or leaves it to those who use it too; its units no longer count. */
void mkv_front_slab_give(struct mkv_front *front, uint32_t op);
/* Takes a waiting op out of its list. */
void mkv_front_wait_cancel(struct mkv_front *front, uint32_t op);
/* Makes every op that waits for a credit of the volume run and find it offline. */
void mkv_front_wait_volume_gone(struct mkv_front *front, uint32_t volume);
/* Takes all ops out of the connection's own list; they stay without a slab until cancelled. */
void mkv_front_wait_connection_gone(struct mkv_front *front, struct front_connection *connection);
/* True when the item has a segmented entry; else it waits for one. */
bool mkv_front_segmented_take(struct mkv_front *front, uint32_t item);
void mkv_front_segmented_give(struct mkv_front *front, uint32_t item);
void mkv_front_segmented_cancel(struct mkv_front *front, uint32_t item);
/* The item is advanced in this step or a later one. */
void mkv_front_item_ready(struct mkv_front *front, uint32_t item);

/* Goes on to take back slabs where the last step stopped. */
void mkv_front_slabs_go_on(struct mkv_front *front);

/* front_memory.c */

void mkv_front_memory_init(struct mkv_front *front);
/* What is resident under the op's key, and online; MKV_NONE_U32. */
uint32_t mkv_front_memory_find(struct mkv_front *front, const struct front_op *op,
                               const uint8_t *key, uint32_t key_bytes);
const struct front_resident *mkv_front_memory_at(struct mkv_front *front, uint32_t resident);
/* The op's read becomes the one that others wait for, if there is a place. Nothing is found under
 * its key. */
void mkv_front_memory_read_begin(struct mkv_front *front, uint32_t op, const uint8_t *key,
                                 uint32_t key_bytes);
/* The op waits for a read; false when too many do. */
bool mkv_front_memory_read_join(struct mkv_front *front, uint32_t op, uint32_t resident);
/* The next op that waits for the op's read, taken off; MKV_NONE_U32 behind the last. */
uint32_t mkv_front_memory_read_waiter(struct mkv_front *front, uint32_t op);
/* The op does not wait for that read any more. */
void mkv_front_memory_read_cancel(struct mkv_front *front, uint32_t op);
/* Whether the op's read is one that others may wait for. */
bool mkv_front_memory_reads(struct mkv_front *front, const struct front_op *op, uint32_t op_index);
/* The op's slab holds the whole block, which stays; the op uses it. */
void mkv_front_memory_read_done(struct mkv_front *front, uint32_t op);
/* Nobody waits for the op's read any more, and its block does not stay. */
void mkv_front_memory_read_end(struct mkv_front *front, uint32_t op);
/* The op uses a resident that is HELD. */
void mkv_front_memory_use(struct mkv_front *front, uint32_t op, uint32_t resident);
/* The op no longer does. */
void mkv_front_memory_leave(struct mkv_front *front, uint32_t op);
/* The key may hold something else from now on: what is resident under it, or is being read, is not
 * found any more. */
void mkv_front_memory_forget(struct mkv_front *front, const struct front_op *op, const uint8_t *key,
                             uint32_t key_bytes);
/* The PUT's slab stays as what its key holds, and the op uses it. False when there is no place. */
bool mkv_front_memory_keep(struct mkv_front *front, uint32_t op, const uint8_t *key,
                           uint32_t key_bytes, bool unpersisted);
/* The value is durable, or (false) it never will be and is gone. */
void mkv_front_memory_persisted(struct mkv_front *front, uint32_t op, bool durable);
/* Takes back the coldest slabs, so that one of the order can be had. False when it could not; there
 * may be more to look at, see `reclaims_due`. */
bool mkv_front_memory_reclaim(struct mkv_front *front, uint32_t order);

/* front_op.c */

/* Resets an idle op and routes it; the caller sets what the kind needs and then runs it. */
struct front_op *mkv_front_op_prepare(struct mkv_front *front, uint32_t op, uint32_t item,
                                      enum front_op_kind kind, uint32_t segment,
                                      uint64_t segment_id);
/* Goes on with an op that waits for nothing: takes what is missing or posts what is next. */
void mkv_front_op_run(struct mkv_front *front, uint32_t op);
/* Ends the op as far as that is possible at once; what is posted is doomed. A WRITE or DELETE that
 * is posted goes on to DONE: what it does can no longer be taken back. */
void mkv_front_op_cancel(struct mkv_front *front, uint32_t op, enum mkv_status status);
/* A DONE op with a slab: its bytes go to the client. `value_offset` is of the first byte. */
void mkv_front_op_push(struct mkv_front *front, uint32_t op, uint64_t value_offset, uint64_t length,
                       struct mkv_root root);
/* A DONE op gives back what it still holds. */
void mkv_front_op_free(struct mkv_front *front, uint32_t op);
void mkv_front_op_message(struct mkv_front *front, const struct mkv_input *input);
void mkv_front_op_fabric(struct mkv_front *front, const struct mkv_fabric_done *done);

/* Writes the op's key, at most MKV_KEY_BYTES_MAX bytes, and returns its length. */
uint32_t mkv_front_op_key(struct mkv_front *front, const struct front_op *op, uint8_t *target);
/* The op is over: it keeps its slab only if there are bytes in it to be pushed. */
void mkv_front_op_done(struct mkv_front *front, uint32_t op, enum mkv_status status,
                       enum mkv_miss miss);

/* Sends a message without a key, whose answer is due in EXISTS_POSTED. */
struct mkv_effect *mkv_front_op_ask(struct mkv_front *front, uint32_t op,
                                    enum mkv_message_kind kind);

/* front_session.c */

/* SESSION: asks the next volume that is online, or ends the op with what they said. */
void mkv_front_session_run(struct mkv_front *front, uint32_t op);
/* The volume has answered. */
void mkv_front_session_done(struct mkv_front *front, uint32_t op, enum mkv_status status);

/* front_op_memory.c */

/* GET: whether the block is in memory, or on its way there, so that no volume is asked. The op is
 * then DONE, or waits. */
bool mkv_front_op_from_memory(struct mkv_front *front, uint32_t op);
/* EXISTS: whether the block is in memory, and no lease is asked for; then the op is DONE. */
bool mkv_front_op_exists_in_memory(struct mkv_front *front, uint32_t op);
/* EXISTS: the volume has answered, of which memory may know better. */
void mkv_front_op_exists_settle(struct mkv_front *front, uint32_t op, enum mkv_status status,
                                enum mkv_miss miss);
/* Tells the volumes which of their blocks were read from memory, when that is worth a message. */
void mkv_front_touches_send(struct mkv_front *front);
/* GET: a read of the whole block is about to begin, and others may wait for it. */
void mkv_front_op_share_read(struct mkv_front *front, uint32_t op);
/* The op read for others, too, and no block came of it. They end as it did where the volume has
 * answered; where the reason is the op's own they look anew. */
void mkv_front_op_read_over(struct mkv_front *front, uint32_t op, enum mkv_status status,
                            enum mkv_miss miss);
void mkv_front_op_read_alone(struct mkv_front *front, uint32_t op);
/* Whether a PUT may be answered before it is durable, if its volume says so, too. */
bool mkv_front_op_is_relaxed(struct mkv_front *front, const struct front_op *op);
/* The volume says so. The item answers, if its value finds a place in memory until then. */
void mkv_front_op_put_taken(struct mkv_front *front, uint32_t op);
/* What a PUT that was posted means for memory, before it is over. */
void mkv_front_op_put_settle(struct mkv_front *front, uint32_t op, enum mkv_status status);
/* What a DELETE came to. A block that the drive has given up may still have been in memory. */
enum mkv_status mkv_front_op_delete_settle(struct mkv_front *front, uint32_t op,
                                           enum mkv_status status);

/* front_item.c */

/* The MKV_PUT_* with which the item's value takes its key. */
static inline uint32_t mkv_front_item_put_flags(const struct front_item *item) {
    return (item->replace ? MKV_PUT_REPLACE : 0) | (item->if_absent ? MKV_PUT_IF_ABSENT : 0) |
           (item->if_present ? MKV_PUT_IF_PRESENT : 0);
}

/* Looks whether the item's connection closed or a deadline passed, runs what was granted, and takes
 * the item as far as it goes. The item may be free afterwards. */
void mkv_front_item_advance(struct mkv_front *front, uint32_t item);
/* The first half of an advance alone: for inputs that are about to change an op of the item. */
void mkv_front_item_check(struct mkv_front *front, uint32_t item);
/* Settles the result unless there is one, cancels every op, and ends the item. */
void mkv_front_item_abandon(struct mkv_front *front, uint32_t item, enum mkv_status status,
                            enum mkv_miss miss);
/* Settles the result and counts it; the last one of a request makes its ANSWER. */
void mkv_front_item_decide(struct mkv_front *front, uint32_t item,
                           const struct mkv_item_result *result);

/* front_segments.c: each returns true when the item may go on at once */

bool mkv_front_segments_check(struct mkv_front *front, uint32_t item);
bool mkv_front_segments_stream(struct mkv_front *front, uint32_t item);
bool mkv_front_segments_put(struct mkv_front *front, uint32_t item);
bool mkv_front_segments_commit(struct mkv_front *front, uint32_t item);
bool mkv_front_segments_clean(struct mkv_front *front, uint32_t item);
/* Goes on with an item in PLACE or CLEAN_PLACE that has got its entry. */
void mkv_front_segments_begin(struct mkv_front *front, uint32_t item);

/* front_request.c */

void mkv_front_request_accept(struct mkv_front *front, const struct mkv_input *input);
void mkv_front_request_answer_done(struct mkv_front *front, const struct mkv_fabric_done *done);
void mkv_front_request_closed(struct mkv_front *front, struct mkv_connection_id connection);
/* The item is decided and no transfer of it is left: it leaves its request. */
void mkv_front_request_detach(struct mkv_front *front, uint32_t item);
/* Breaks the request's connection unless that is done. */
void mkv_front_request_break(struct mkv_front *front, uint32_t request);

/* Sets the result of the request's item `position`; the last one makes its ANSWER. */
void mkv_front_request_result(struct mkv_front *front, uint32_t request, uint32_t position,
                              const struct mkv_item_result *result);

/* Its end is told: its place is free when nothing else of it can come back. */
void mkv_front_request_told(struct mkv_front *front, uint32_t request);

/* front_summary.c */

/* An accepted request begins. */
void mkv_front_summary_begin(struct mkv_front *front, uint32_t request,
                             const struct mkv_input *input);
/* What the item's ops do may have changed. */
void mkv_front_summary_stage(struct mkv_front *front, uint32_t item);
/* The item leaves its request. */
void mkv_front_summary_leave(struct mkv_front *front, uint32_t item);
/* The request's ANSWER is handed out. */
void mkv_front_summary_answered(struct mkv_front *front, uint32_t request, enum mkv_status status);
/* A drive took so long for the op. */
void mkv_front_summary_drive(struct mkv_front *front, const struct front_op *op, uint64_t drive_ns);
/* The op's PUT_READY, and its PUT_DONE behind a PUT_WRITE. */
void mkv_front_summary_reserved(struct mkv_front *front, const struct front_op *op);
void mkv_front_summary_written(struct mkv_front *front, const struct front_op *op,
                               const struct mkv_message *message);
/* Counts payload that a PULL (`in`) or a PUSH has moved. */
void mkv_front_summary_moved(struct mkv_front *front, const struct front_op *op, uint32_t bytes,
                             bool in);
/* The request has ended, unless it had before: that is to be told. */
void mkv_front_summary_end(struct mkv_front *front, uint32_t request);
/* Tells of requests that have ended, of some in each step. */
void mkv_front_summaries_tell(struct mkv_front *front);
/* Tells of a request that was refused; its ANSWER is handed out. */
void mkv_front_summary_refused(struct mkv_front *front, const struct mkv_input *input,
                               enum mkv_status status);

/* front_reserve.c */

/* An ALLOCATE's op, prepared, with its length and a volume that is online, counts as a reservation
 * from now on; false when there may be no more. */
bool mkv_front_reservation_count(struct mkv_front *front, uint32_t item);
void mkv_front_reservation_uncount(struct mkv_front *front, uint32_t item);
/* The op of an ALLOCATE is RESERVED: so is the item, which leaves its request with a name. */
void mkv_front_reservation_hold(struct mkv_front *front, uint32_t item);
/* Ends the reservation if its time is over, or its connection or volume is gone. */
void mkv_front_reservation_check(struct mkv_front *front, uint32_t item);
/* Takes up what a COMMIT that was accepted names. */
void mkv_front_commit(struct mkv_front *front, uint32_t request, const struct mkv_request *source);
void mkv_front_reservations_closed(struct mkv_front *front, struct front_connection *connection);
void mkv_front_reservations_of_volume_gone(struct mkv_front *front, uint32_t volume);

/* front_timer.c */

/* Timers by their number: requests, then reserved items. */
static inline uint32_t front_timer_of_item(const struct mkv_front *front, uint32_t item) {
    return front->config.requests_max + item;
}
void mkv_front_timer_set(struct mkv_front *front, uint32_t timer, uint64_t timer_ns);
void mkv_front_timer_remove(struct mkv_front *front, uint32_t timer);
/* Makes the items of due requests, and due reservations, ready. */
void mkv_front_timers_run(struct mkv_front *front);

#endif
