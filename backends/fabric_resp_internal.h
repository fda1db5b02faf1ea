/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the RESP fabric share: its connections, their workspaces, entries, operations.
 *
 *   fabric_resp.c             listener, rounds
 *   fabric_resp_connection.c  the life of a connection from accept to reap; timeouts
 *   fabric_resp_receive.c     bytes of a connection to events of the parser, and values to slabs
 *   fabric_resp_command.c     what a command does, as its arguments come
 *   fabric_resp_data.c        commands that move data: entries and requests
 *   fabric_resp_set.c         SET and its like, with what they may ask for
 *   fabric_resp_own.c         commands of the connection itself, and calls
 *   fabric_resp_submit.c      effects of the front to operations; their completion
 *   fabric_resp_reply.c       entries whose turn has come to replies, and replies to the socket
 *   fabric_resp_pool.c        what connections share
 *
 * A connection's entries stand in the order of their commands. Only the first one replies:
 *
 *   entries --> [GET a] [SET b] [GET c]      at most pipeline_max
 *                 |        |       +-- pushes [PUSH]          (it waits for its turn)
 *                 |        +-- pulls [PULL], answer
 *                 +-- pushes [PUSH] ...  --> iovecs --> socket --> sent [PUSH] [ANSWER] complete
 *
 * Invariants
 *  I1  An operation is with its entry, or among the sent ones of its connection until its last byte
 *      is with the kernel, or in the fabric's list of completed ones, or free.
 *  I2  Nothing frees a connection but mkv_resp_connection_advance, which only poll calls: so a
 *      connection stays valid across a call of the sink.
 *  I3  What arguments, and the bytes of a value, point at stays in the workspace until the command
 *      is done with.
 *
 * Not responsible for: anything outside these files.
 */
#ifndef MKV_BACKENDS_FABRIC_RESP_INTERNAL_H
#define MKV_BACKENDS_FABRIC_RESP_INTERNAL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "backends/acceptor.h"
#include "backends/fabric_resp.h"
#include "backends/stream.h"

/* Bytes of commands. A value of up to MKV_RESP_SMALL_BYTES is received with its command, so it
 * takes one receive. */
#define MKV_RESP_INPUT_BYTES (40u * 1024u)
#define MKV_RESP_SMALL_BYTES (18u * 1024u)
/* Replies but for the bytes of values; a call's reply that does not fit has a buffer of its own. */
#define MKV_RESP_OUTPUT_BYTES (24u * 1024u)
/* What an entry's reply may take of it, and of iovecs. */
#define MKV_RESP_REPLY_BYTES 512u
#define MKV_RESP_IOVECS_MAX 64u
#define MKV_RESP_REPLY_IOVECS 4u
/* The most that one receive of a value asks for; see MKV_TCP_RECEIVE_BYTES_MAX. */
#define MKV_RESP_RECEIVE_BYTES_MAX (4u * 1024u * 1024u)
/* What a receive asks for when the last value did not fit into a workspace: little of the next one
 * is then copied twice. */
#define MKV_RESP_RECEIVE_BYTES_BEFORE_VALUE 2048u
/* The same for bytes that nobody wants. */
#define MKV_RESP_DROP_BYTES (64u * 1024u)
#define MKV_RESP_SWEEP_NS (100ull * 1000000u)
/* A workspace that waits for bytes goes back after it. */
#define MKV_RESP_IDLE_NS (1000ull * 1000000u)
/* Refusals of a command. */
#define MKV_RESP_VERDICT_BYTES 320u
/* How far the drives are. */
#define MKV_RESP_PROGRESS_BYTES 64u

_Static_assert(MKV_RESP_INPUT_BYTES >= MKV_RESP_SMALL_BYTES + MKV_RESP_LINE_BYTES_MAX + 4096u,
               "what the parser may ask for in a row fits behind the arguments of a SET");
_Static_assert(MKV_RESP_OUTPUT_BYTES >= MKV_RESP_SMALL_BYTES + MKV_RESP_REPLY_BYTES,
               "ECHO of the longest argument fits");
_Static_assert(MKV_RESP_RECEIVE_BYTES_MAX % (MKV_BLOCK_BYTES_MAX / MKV_CHUNKS_MAX) == 0,
               "a receive ends at the end of a chunk");

struct mkv_resp_connection;
struct mkv_resp_entry;

/* ---- operations and entries ----------------------------------------------------------------- */

enum mkv_resp_op_kind {
    MKV_RESP_OP_PULL = 1,
    MKV_RESP_OP_PUSH,
    MKV_RESP_OP_ANSWER,
};

/* An effect of the front that is not completed yet. */
struct mkv_resp_op {
    enum mkv_resp_op_kind kind;
    enum mkv_transfer result; /* in the list of completed operations */
    struct mkv_resp_op *next;
    struct mkv_op_id id;
    uint64_t end; /* PUSH, ANSWER that are among the sent: the position behind their last byte */
    union {
        struct mkv_transfer_effect transfer;
        struct {
            struct mkv_resp_connection *connection; /* NULL: it is gone */
            enum mkv_status status;
            uint32_t result_count;
            const struct mkv_item_result *results; /* in the front's arena, until ANSWER_DONE */
        } answer;
    };
};

struct mkv_resp_op_list {
    struct mkv_resp_op *head;
    struct mkv_resp_op *tail;
};

/* What an entry writes when its turn has come. */
enum mkv_resp_reply {
    MKV_RESP_REPLY_VALUE = 1, /* GET, GETRANGE, an element of MGET */
    MKV_RESP_REPLY_OK,        /* SET; nil where a condition was not met */
    MKV_RESP_REPLY_OK_ALL,    /* MSET: the last one writes it, for all */
    MKV_RESP_REPLY_ADDED,     /* SETNX */
    MKV_RESP_REPLY_COUNT,     /* DEL, EXISTS ...: the last one writes the sum */
    MKV_RESP_REPLY_LENGTH,    /* STRLEN */
    MKV_RESP_REPLY_TTL,       /* -2 where there is no key, -1 where it does not expire */
    MKV_RESP_REPLY_PTTL,
    MKV_RESP_REPLY_EXPIRETIME,
    MKV_RESP_REPLY_PEXPIRETIME,
    MKV_RESP_REPLY_TYPE,
    MKV_RESP_REPLY_NONE, /* its result is for the command, which goes on */
};

/* A key of a command under way: a request of the front. */
struct mkv_resp_entry {
    struct mkv_resp_connection *connection; /* NULL: free */
    struct mkv_resp_entry *next;            /* of its connection, or free */
    uint32_t index;
    uint32_t generation;
    uint32_t command; /* place in the table, for figures */
    enum mkv_resp_reply reply;
    enum mkv_op op;
    bool changes;       /* it is a mutation */
    bool last;          /* of its command */
    bool ahead;         /* it counts among those ahead of their turn */
    bool has_array;     /* the first of an MGET: it writes the array's line too */
    bool has_begun;     /* some of its reply is written */
    bool answered;      /* the front has ended it */
    bool conditional;   /* PUT: only where the key is there, or only where it is not */
    bool null_is_empty; /* VALUE: of no value the reply is an empty one */
    uint32_t array_count;
    uint64_t key_hash;
    uint64_t began_ns;
    uint64_t value_bytes; /* PUT: of the value */
    uint64_t range_start; /* VALUE: what of the value is wanted; range_bytes 0: all behind */
    uint64_t range_bytes;
    uint64_t reply_left;       /* VALUE: bytes of the value that are still to be written */
    uint64_t next_offset;      /* VALUE: where the next PUSH begins */
    struct mkv_resp_op *pulls; /* in the order of offsets, as are these: */
    struct mkv_resp_op *pushes;
    struct mkv_resp_op *answer; /* NULL until it is there */
};

/* ---- workspaces ----------------------------------------------------------------------------- */

struct mkv_resp_place {
    uint32_t offset; /* from the start of the command in `input` */
    uint32_t byte_count;
};

struct mkv_resp_work {
    struct mkv_resp_work *next_free;
    struct msghdr message;
    struct iovec iovecs[MKV_RESP_IOVECS_MAX];
    struct mkv_resp_place arguments[MKV_FABRIC_RESP_ARGUMENTS_MAX];
    uint64_t sums[MKV_CHUNKS_MAX];
    uint8_t output[MKV_RESP_OUTPUT_BYTES];
    uint8_t input[MKV_RESP_INPUT_BYTES];
};

/* A call under way, until its reply is sent. */
struct mkv_resp_slot {
    struct mkv_resp_call call;
    struct mkv_resp_connection *connection; /* NULL: free */
    struct mkv_resp_slot *next_free;
    uint64_t end; /* position behind its reply */
    bool is_done; /* the reply is written … */
    bool is_sent; /* … and among what is sent */
    uint8_t *bytes;
    struct mkv_resp_argument arguments[MKV_FABRIC_RESP_ARGUMENTS_MAX];
};

/* ---- connections ----------------------------------------------------------------------------- */

enum mkv_resp_state {
    MKV_RESP_FREE = 0,
    MKV_RESP_OPEN,
    MKV_RESP_HALF_CLOSED,
    MKV_RESP_LEAVING,
    MKV_RESP_LINGERING, /* of LEAVING: everything is sent */
    MKV_RESP_BROKEN,
};

/* What the bytes that come are for. */
enum mkv_resp_step {
    MKV_RESP_STEP_PARSE = 0,
    MKV_RESP_STEP_KEY,     /* an argument that is a key waits to be taken up */
    MKV_RESP_STEP_LARGE,   /* a LARGE argument waits to be taken up */
    MKV_RESP_STEP_VALUE,   /* bytes of a value go to the entry `value` */
    MKV_RESP_STEP_DROP,    /* bytes of an argument that nobody wants */
    MKV_RESP_STEP_EXECUTE, /* the command is whole, and waits to be executed */
    MKV_RESP_STEP_CALL,    /* a call is under way */
    MKV_RESP_STEP_DELAY,   /* the reply of a failed AUTH waits for its time */
    MKV_RESP_STEP_FAULT,   /* a protocol error waits for the replies before it */
};

/* What receives in the kernel are for. */
enum mkv_resp_receiving {
    MKV_RESP_RECEIVING_NOTHING = 0,
    MKV_RESP_RECEIVING_WAIT,   /* until there is something to receive */
    MKV_RESP_RECEIVING_INPUT,  /* into the workspace */
    MKV_RESP_RECEIVING_DIRECT, /* into the slab of the PULL that `value` needs next */
    MKV_RESP_RECEIVING_DROP,   /* into memory that nobody looks at: no workspace is needed */
};

struct mkv_resp_connection {
    struct mkv_fabric_resp *fabric;
    struct mkv_connection_id id;
    enum mkv_resp_state state;
    struct mkv_stream stream;
    struct mkv_fabric_session session;
    struct mkv_resp_identity identity;
    uint32_t protocol;
    bool known; /* the front has had a request of it */
    uint64_t connected_ns;
    uint64_t last_ns;
    uint64_t commands;
    uint32_t command; /* the last one, as a place in the table; of others their number */
    char other_command[24];

    bool touched; /* in the fabric's list of those with something to do in the next poll */
    struct mkv_resp_connection *touched_next;
    bool waiting; /* in the fabric's list of those that wait for something that all share */
    struct mkv_resp_connection *waiting_next;

    struct mkv_resp_work *work; /* NULL while it is idle */

    /* Receiving. input[start ... end) of the workspace is not done with, and up to `at` parsed. */
    struct mkv_ring_completion receive;
    enum mkv_resp_receiving receiving;
    bool cancelled; /* the receive in flight is to end */
    bool readable;  /* there is something to receive, but no workspace yet */
    uint64_t received_ns;
    uint64_t command_ns; /* when the first byte of the command that has begun came … */
    uint64_t resumed_ns; /* … and when it last went on after waiting for us, or behind a value */
    uint32_t start, at, end;
    bool large_before; /* the last value did not fit into a workspace */
    struct mkv_resp_parser parser;
    enum mkv_resp_step step;

    /* The command that has begun. */
    uint32_t taken; /* arguments that were taken up; those that are kept: */
    uint32_t argument_count;
    bool keeps;               /* the bytes of arguments stay until the command is done with */
    uint32_t argument_offset; /* STEP_KEY: of the one that waits */
    uint32_t phase;           /* of a command that needs several requests, one behind the other */
    struct mkv_item_result result; /* of the last of these, and its status */
    bool is_large;                 /* its value came as LARGE */
    bool refused;                  /* `verdict` is what it comes to */
    bool rejected;                 /* … before it began */
    uint64_t drop_bytes;           /* STEP_DROP: that are still to come */
    uint32_t large_at;             /* where in the input the bytes of a LARGE argument begin */
    uint64_t delay_ns;             /* STEP_DELAY: until then */
    bool closes;                   /* behind its reply */
    struct mkv_resp_entry *value;  /* the entry that takes a value's bytes, until all have come */
    uint64_t value_bytes;          /* of that value, and how many have come */
    uint64_t value_taken;
    bool value_kept; /* they are an argument in the workspace, at value_offset */
    bool value_held; /* its last PULL is not completed before the command is whole */
    uint32_t value_offset;
    uint32_t chunk_bytes; /* of the PULL being filled */
    uint32_t sum_count;
    uint32_t filled;

    /* Entries, and what those of one command come to. */
    struct mkv_resp_entry *entries_head;
    struct mkv_resp_entry *entries_tail;
    uint32_t entry_count;
    uint32_t requests; /* that the front has: entries, and those whose reply is being sent */
    uint64_t sum;
    enum mkv_status sum_status;
    struct mkv_resp_slot *slot;

    /* Sending: iovecs[head ... tail) of the workspace, of which the first are in flight. */
    struct mkv_ring_completion send;
    bool send_in_flight;
    uint64_t send_ns;
    uint32_t iovec_head, iovec_tail;
    uint32_t iovec_sending; /* those before it are in flight */
    uint32_t output_used;
    uint64_t queued; /* positions in all that was ever replied */
    uint64_t sent;
    struct mkv_resp_op_list sent_ops;
    uint32_t answers_owed; /* among those */
    uint64_t timeout_ns;   /* LEAVING, LINGERING */
    char verdict[MKV_RESP_VERDICT_BYTES];
};

struct mkv_resp_figures {
    uint64_t calls, rejected, failed, ns;
};

#define MKV_RESP_COMMANDS_MAX 48u
/* The place of commands that are not in the table. */
#define MKV_RESP_COMMAND_OTHER MKV_NONE_U32

struct mkv_fabric_resp {
    struct mkv_fabric base;
    struct mkv_fabric_resp_options options;
    struct mkv_fabric_counters counters;
    struct mkv_resp_figures figures[MKV_RESP_COMMANDS_MAX];
    uint64_t commands_total;
    uint64_t now_ns; /* of the last poll */
    uint64_t sweep_ns;
    bool is_hurried; /* somebody waits for a workspace: as of the last sweep */

    struct mkv_acceptor acceptor;
    bool opening; /* the drives are not open: as of the last poll */
    bool draining;

    struct mkv_resp_connection *connections;
    uint32_t connections_used;  /* of `connections`, ever */
    uint32_t *free_connections; /* a stack, the last used on top */
    uint32_t free_connection_count;
    struct mkv_resp_connection *touched_head;
    struct mkv_resp_connection *touched_tail;
    struct mkv_resp_connection *waiting_head;
    struct mkv_resp_connection *waiting_tail;
    bool tenants_wait;

    struct mkv_resp_op *ops;
    uint32_t ops_max;
    uint32_t ops_used; /* of `ops`, ever */
    struct mkv_resp_op *free_ops;
    struct mkv_resp_op_list completed; /* handed to the sink by the next poll */
    struct mkv_resp_entry *entries;
    struct mkv_resp_entry *free_entries;
    uint32_t requests; /* of all connections */
    uint32_t ahead_count;

    struct mkv_resp_work *works;
    size_t works_bytes;
    uint32_t works_used; /* of `works`, ever */
    struct mkv_resp_work *free_works;
    uint32_t free_work_count;
    struct mkv_resp_slot *slots;
    struct mkv_resp_slot *free_slots;
    uint8_t *slot_memory;
    size_t slot_bytes;
    uint8_t dropped[MKV_RESP_DROP_BYTES]; /* what nobody wants */
};

static inline struct mkv_fabric_resp *mkv_resp_fabric(struct mkv_fabric *base) {
    return (struct mkv_fabric_resp *)base;
}

/* ---- fabric_resp_pool.c --------------------------------------------------------------------- */

bool mkv_resp_pools_create(struct mkv_fabric_resp *fabric);
void mkv_resp_pools_destroy(struct mkv_fabric_resp *fabric);
/* There is always one, for the front's own bounds hold. */
struct mkv_resp_op *mkv_resp_op_take(struct mkv_fabric_resp *fabric);
void mkv_resp_op_give(struct mkv_fabric_resp *fabric, struct mkv_resp_op *op);
void mkv_resp_list_append(struct mkv_resp_op_list *list, struct mkv_resp_op *op);
struct mkv_resp_op *mkv_resp_list_pop(struct mkv_resp_op_list *list);
/* An entry at the end of the connection's; NULL when none is free. */
struct mkv_resp_entry *mkv_resp_entry_take(struct mkv_resp_connection *connection);
/* The connection's first one; nothing of it is outstanding. */
void mkv_resp_entry_give(struct mkv_resp_connection *connection);
/* Makes sure that the connection has a workspace; false when there is none. */
bool mkv_resp_work_take(struct mkv_resp_connection *connection);
void mkv_resp_work_give(struct mkv_resp_connection *connection);
/* The same where it has one, and no bytes come into it. */
void mkv_resp_work_give_unused(struct mkv_resp_connection *connection);
struct mkv_resp_slot *mkv_resp_slot_take(struct mkv_resp_connection *connection);
void mkv_resp_slot_give(struct mkv_resp_connection *connection);
/* The connection goes on when something that all share comes back. */
void mkv_resp_await(struct mkv_resp_connection *connection);
void mkv_resp_await_leave(struct mkv_resp_connection *connection);
/* Lets all that wait try again. */
void mkv_resp_retry(struct mkv_fabric_resp *fabric);

/* ---- fabric_resp_connection.c --------------------------------------------------------------- */

/* Takes an accepted socket; false, with the socket still the caller's, when there is no memory. */
bool mkv_resp_connection_start(struct mkv_fabric_resp *fabric, int fd);
void mkv_resp_connection_touch(struct mkv_resp_connection *connection);
void mkv_resp_connection_break(struct mkv_resp_connection *connection);
/* Takes no further command; closes when all is sent. */
void mkv_resp_connection_leave(struct mkv_resp_connection *connection);
void mkv_resp_connection_advance(struct mkv_resp_connection *connection);
void mkv_resp_connection_sweep(struct mkv_resp_connection *connection);

/* ---- fabric_resp_receive.c ------------------------------------------------------------------ */

void mkv_resp_receive_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags);
/* Takes up commands as far as that can be done now, then asks for more bytes. */
void mkv_resp_receive_continue(struct mkv_resp_connection *connection);
/* Completes the last PULL of a value that was held. FAILED: nothing is stored. */
void mkv_resp_value_release(struct mkv_resp_connection *connection, enum mkv_transfer transfer);
/* Such a value is not stored, and its entry replies nothing. */
void mkv_resp_value_abandon(struct mkv_resp_connection *connection);
/* Asks for bytes that nobody will look at, to learn when the client closes. */
void mkv_resp_receive_drop(struct mkv_resp_connection *connection);
/* Whether the client is in the middle of a command. */
bool mkv_resp_receive_is_within(const struct mkv_resp_connection *connection);

/* ---- fabric_resp_command.c ------------------------------------------------------------------ */

enum mkv_resp_taken {
    MKV_RESP_TAKEN = 0, /* it is done with */
    MKV_RESP_WAITS,     /* it cannot be taken up yet */
};

/* What a command's arguments are to the fabric. */
enum mkv_resp_shape {
    MKV_RESP_SHAPE_OTHER = 0, /* kept, and executed when all are there */
    MKV_RESP_SHAPE_KEYS,      /* keys, each taken up as it comes */
    MKV_RESP_SHAPE_PAIRS,     /* MSET: keys and values */
    MKV_RESP_SHAPE_VALUE,     /* kept, but for the value, when that is LARGE */
};

struct mkv_resp_command {
    const char *name;       /* in small letters */
    uint32_t arguments_min; /* with the name */
    uint32_t arguments_max; /* 0: any number */
    enum mkv_resp_shape shape;
    uint32_t value_at;         /* SHAPE_VALUE: which argument */
    uint32_t right;            /* MKV_FABRIC_RIGHT_…; 0: none is needed */
    enum mkv_op op;            /* SHAPE_KEYS */
    enum mkv_resp_reply reply; /* SHAPE_KEYS, and of those that look at one */
    bool for_strangers;        /* who has not said who he is may send it */
    bool no_proxy;             /* it is about times or conditions: see is_proxy of the options */
    bool is_own;               /* it is about the connection, and needs no drive */
    enum mkv_resp_taken (*execute)(struct mkv_resp_connection *connection);
};

extern const struct mkv_resp_command mkv_resp_commands[];
uint32_t mkv_resp_command_count(void);
/* The command that has begun, or NULL: another one. */
const struct mkv_resp_command *mkv_resp_command_of(const struct mkv_resp_connection *connection);

/* The events of the parser. */
void mkv_resp_command_begin(struct mkv_resp_connection *connection);
/* An argument is there whole, at input[offset ...) from the start of the command. */
enum mkv_resp_taken mkv_resp_command_argument(struct mkv_resp_connection *connection,
                                              uint32_t offset, uint32_t byte_count);
/* An argument of more than MKV_RESP_SMALL_BYTES begins: sets the step that takes its bytes. */
enum mkv_resp_taken mkv_resp_command_large(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_command_execute(struct mkv_resp_connection *connection);
/* The command comes to an error; the first one stays. What of it is still to come is dropped. */
__attribute__((format(printf, 2, 3))) void mkv_resp_refuse(struct mkv_resp_connection *connection,
                                                           const char *format, ...);
/* An argument that is kept. */
struct mkv_resp_argument mkv_resp_argument(const struct mkv_resp_connection *connection,
                                           uint32_t index);

/* ---- fabric_resp_data.c --------------------------------------------------------------------- */

enum mkv_resp_taken mkv_resp_data_key(struct mkv_resp_connection *connection, uint32_t offset,
                                      uint32_t byte_count);
/* What a request is, but for its key. */
struct mkv_resp_wanted {
    enum mkv_op op;
    enum mkv_resp_reply reply;
    bool last;
    bool conditional;
    uint32_t flags;
    uint64_t length; /* PUT: of the value. GET: bytes wanted, 0 for all */
    uint64_t offset;
    uint32_t expire_s;
    uint32_t lease_ms;
};

/* Makes an entry and hands its request in. TAKEN without one: the command is refused. */
enum mkv_resp_taken mkv_resp_start(struct mkv_resp_connection *connection,
                                   struct mkv_resp_argument key,
                                   const struct mkv_resp_wanted *wanted,
                                   struct mkv_resp_entry **entry);
/* The same for a PUT, whose bytes are taken next. */
enum mkv_resp_taken mkv_resp_put(struct mkv_resp_connection *connection,
                                 struct mkv_resp_argument key, uint64_t value_bytes,
                                 struct mkv_resp_wanted *wanted);
/* The PUT of a value of MSET. */
enum mkv_resp_taken mkv_resp_data_pair(struct mkv_resp_connection *connection,
                                       struct mkv_resp_argument key, uint64_t value_bytes);
/* Whether the command is an MGET whose array has begun. It goes on behind a key that is refused, so
 * that the array has as many elements as its line says: */
bool mkv_resp_data_is_listing(const struct mkv_resp_connection *connection);
/* The refusal stands in the place of the key's value. */
enum mkv_resp_taken mkv_resp_data_refuse_element(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_get(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_getrange(struct mkv_resp_connection *connection);
/* Commands that only look at a key: without a lease, and without a use. */
enum mkv_resp_taken mkv_resp_execute_look(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_strlen(struct mkv_resp_connection *connection);

/* ---- fabric_resp_set.c ---------------------------------------------------------------------- */

/* The value begins, and the arguments before it are there. */
enum mkv_resp_taken mkv_resp_set_large(struct mkv_resp_connection *connection,
                                       uint64_t value_bytes);
enum mkv_resp_taken mkv_resp_execute_set(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_expire(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_persist(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_setex(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_setnx(struct mkv_resp_connection *connection);

/* ---- fabric_resp_own.c ----------------------------------------------------------------------- */

enum mkv_resp_taken mkv_resp_execute_ping(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_echo(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_select(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_quit(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_reset(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_auth(struct mkv_resp_connection *connection);
enum mkv_resp_taken mkv_resp_execute_hello(struct mkv_resp_connection *connection);
/* A command that is not in the table. */
enum mkv_resp_taken mkv_resp_execute_call(struct mkv_resp_connection *connection);
/* The connection of a call is reaped. */
void mkv_resp_call_drop(struct mkv_resp_connection *connection);

/* ---- fabric_resp_submit.c ------------------------------------------------------------------- */

void mkv_fabric_resp_submit(struct mkv_fabric_resp *fabric, const struct mkv_effect *effect,
                            const uint8_t *front_arena);
/* Hands a PULL_DONE, PUSH_DONE or ANSWER_DONE to the sink and gives the operation back. */
void mkv_resp_op_complete(struct mkv_fabric_resp *fabric, struct mkv_resp_op *op,
                          enum mkv_transfer transfer, const uint64_t *sums, uint32_t sum_count);
/* The next poll does it. */
void mkv_resp_op_complete_later(struct mkv_fabric_resp *fabric, struct mkv_resp_op *op,
                                enum mkv_transfer transfer);
/* Hands out what was completed since the last poll. */
void mkv_resp_ops_deliver(struct mkv_fabric_resp *fabric);
/* Completes as FAILED whatever the connection still has. Its kernel operations have ended. */
void mkv_resp_ops_fail(struct mkv_resp_connection *connection);

/* ---- fabric_resp_reply.c -------------------------------------------------------------------- */

void mkv_resp_send_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags);
/* Writes what the first entries have to say; true when one has ended. */
bool mkv_resp_emit(struct mkv_resp_connection *connection);
/* Posts a send when there is something to send and none in flight. */
void mkv_resp_send_continue(struct mkv_resp_connection *connection);
/* A writer for a reply of up to `byte_count` bytes behind those before; false when there is no room
 * now. What was written is queued by the second. */
bool mkv_resp_reply_begin(struct mkv_resp_connection *connection, uint32_t byte_count,
                          struct mkv_resp_writer *writer);
void mkv_resp_reply_end(struct mkv_resp_connection *connection,
                        const struct mkv_resp_writer *writer);
/* Queues bytes that stay where they are until they are sent. */
void mkv_resp_reply_memory(struct mkv_resp_connection *connection, const uint8_t *bytes,
                           uint64_t byte_count);
/* What a command comes to that needs the drives while they are being opened. */
void mkv_resp_loading_text(const struct mkv_fabric_resp *fabric, char text[MKV_RESP_VERDICT_BYTES]);
/* What a client is told of a request that came to that. */
const char *mkv_resp_status_text(const struct mkv_fabric_resp *fabric, enum mkv_status status);

#endif
