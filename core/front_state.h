/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front keeps in its arena: bounds, lists, ops, items, residents, requests, connections.
 * How they change, and their invariants, stand in front_internal.h.
 *
 * Invariants
 *  I1  Nothing here is a pointer: a byte copy of the arena is a snapshot (front.h, I5).
 *
 * Not responsible for: anything outside core/front*.c.
 */
#ifndef MKV_CORE_FRONT_STATE_H
#define MKV_CORE_FRONT_STATE_H

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
    FRONT_OP_EXPIRE,  /* credit, EXPIRE */
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
    FRONT_OP_DELETE_POSTED, /* or EXPIRE */
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
    uint32_t arrivals; /* of drives, when it was placed there */
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
    uint32_t expiry_s;              /* PUT, EXPIRE: Unix time; 0 never */
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
    uint32_t arrivals;       /* of drives, when its key was placed */
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
    bool draining; /* it gets no new puts */
    uint32_t credit_max[FRONT_CREDIT_COUNT];
    uint32_t outages; /* how often it went offline: what is resident of it is gone then */
    uint32_t arrival; /* the number with which its drive came since init; 0: it was there */
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
    uint32_t arrivals;      /* drives that came into placement since init … */
    uint32_t arrivals_left; /* … and the last of these that has left it again */
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

#endif
