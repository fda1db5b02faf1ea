/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP over TCP, on a shard's ring: the commands that move data become requests of the front, the
 * bytes of values go straight between sockets and slabs, and replies leave in the order of their
 * commands.
 *
 *   here             GET GETRANGE STRLEN SET SETEX PSETEX SETNX MGET MSET DEL UNLINK EXISTS TOUCH
 *                    TTL EXPIRE and their like, PERSIST TYPE; and of the connection HELLO AUTH PING
 *                    ECHO SELECT QUIT RESET
 *   by options.call  every other command
 *
 * The life of a connection
 *
 *   accepted --> OPEN ---- the client shut its side --> HALF_CLOSED -- all answered --+
 *                 |                                                                   |
 *                 +-- QUIT, a fault, draining --> LEAVING - replies sent, client gone -+
 *                 |                                                                   v
 *                 +-- reset, BREAK, stalled -------------------------------------> BROKEN --> free
 *
 *   LEAVING takes no further command. It sends what is owed, shuts its sending side and drops what
 *   still comes, so that the client's kernel does not throw the last reply away.
 *
 * What a connection has
 *   always       a struct of less than 1 KiB
 *   a workspace  from the first byte of a command until nothing is owed, but while a value is
 *                dropped: the bytes of commands, and short replies. They are of a bounded pool,
 *                70 KiB each; who finds none is not read from until there is one.
 *   entries      one for each key of a command that is under way; its reply is sent when those
 *                before it are.
 *
 *   While the drives are being opened (poll_opening) the commands of a connection itself are
 *   served, and those that `call` answers then; the others are errors that begin with LOADING.
 *
 * Invariants
 *  I1  At most one receive and one send of a connection are in the kernel, and an idle connection
 *      holds neither a workspace nor an entry.
 *  I2  Replies leave in the order of commands. A command that names a key of an entry under way
 *      waits when one of the two changes it.
 *  I3  An entry whose turn to reply has not come holds a slab only while fewer than ahead_max
 *      others do, so that entries that wait for theirs can't hold all slabs.
 *  I4  Whoever does not get to the end of a command is broken after stall_ns, and while others wait
 *      for a workspace after MKV_FABRIC_RESP_STALL_SHORT_NS. A receive of a value's bytes, refused
 *      or not, and a send have stall_ns each.
 *  I5  A value's bytes are taken even where the command has failed already: the connection stays
 *      in step. Only protocol errors end it.
 *  I6  A call is the only thing of its connection that is under way.
 *
 * Not responsible for: what administrative commands reply, deadlines of posted transfers (front:
 * BREAK), who may do what (fabric_auth.h).
 */
#ifndef MKV_BACKENDS_FABRIC_RESP_H
#define MKV_BACKENDS_FABRIC_RESP_H

#include "backends/arena.h"
#include "backends/error.h"
#include "backends/fabric.h"
#include "backends/fabric_auth.h"
#include "backends/ring.h"
#include "backends/tcp_listen.h"
#include "backends/tls.h"
#include "core/tenant_names.h"
#include "wire/resp.h"

#define MKV_FABRIC_RESP_CONNECTIONS_MAX 65536u
#define MKV_FABRIC_RESP_PIPELINE_MAX 1024u
/* Arguments of a command that has no more than a bounded number of them. */
#define MKV_FABRIC_RESP_ARGUMENTS_MAX 128u
/* The most that the reply of a call may have. */
#define MKV_FABRIC_RESP_REPLY_BYTES_MAX (256u * 1024u)
#define MKV_FABRIC_RESP_NAME_BYTES_MAX 64u
#define MKV_FABRIC_RESP_STALL_SHORT_NS (2ull * 1000000000u)

struct mkv_fabric_resp;

/* What a client says of itself. Printable ASCII without spaces; "" where it has said nothing. */
struct mkv_resp_identity {
    char name[MKV_FABRIC_RESP_NAME_BYTES_MAX + 1];
    char lib_name[MKV_FABRIC_RESP_NAME_BYTES_MAX + 1];
    char lib_version[MKV_FABRIC_RESP_NAME_BYTES_MAX + 1];
};

struct mkv_resp_argument {
    const uint8_t *bytes;
    uint32_t byte_count;
};

/* A command that somebody else answers. */
struct mkv_resp_call {
    struct mkv_connection_id connection;
    const struct mkv_fabric_session *session;  /* it has a grant: rights, tenants, user */
    struct mkv_resp_identity *identity;        /* the callee may change it */
    uint32_t argument_count;                   /* 1 ... MKV_FABRIC_RESP_ARGUMENTS_MAX */
    const struct mkv_resp_argument *arguments; /* the first is the command's name; good until the
                                                * call has ended */
    const char *loading; /* while the drives are being opened, what a command comes to that needs
                          * them; else NULL. Good until `call` returns */
    /* Empty, with room for MKV_FABRIC_RESP_REPLY_BYTES_MAX; its protocol is the connection's. One
     * that overflows becomes an error. */
    struct mkv_resp_writer reply;
    bool closes;  /* set by the callee: the connection is closed behind the reply */
    void *callee; /* the callee's own; NULL at first */
};

enum mkv_resp_called {
    MKV_RESP_CALL_UNKNOWN = 0, /* there is no such command: nothing was written */
    MKV_RESP_CALL_DONE,        /* the reply is written */
    MKV_RESP_CALL_LATER,       /* mkv_fabric_resp_complete ends it, or `gone` does */
};

/* What was asked for by one command, since creation. */
struct mkv_resp_command_figures {
    const char *name; /* "get" */
    uint64_t calls;
    uint64_t rejected; /* refused before they began: arguments, rights */
    uint64_t failed;   /* of those that began: answered with an error */
    uint64_t ns;       /* from the first byte of the command to its reply, all together */
};

/* The number that clients see of a connection, 1 and up: no two that are there at once have the
 * same, of whatever shard. */
static inline uint64_t mkv_resp_client_id(struct mkv_connection_id id) {
    return (uint64_t)id.generation << 24 | id.index;
}

/* A connection, for lists of clients. */
struct mkv_resp_client {
    struct mkv_connection_id id;
    char address[64]; /* "10.0.0.7:41234" */
    int fd;           /* for local_address; and clients see it, as with Redis */
    struct mkv_resp_identity identity;
    const char *user;
    const char *last_command; /* in small letters; "" before the first */
    uint32_t protocol;
    uint32_t under_way;      /* commands and keys of them */
    uint32_t received_bytes; /* of commands, not taken up yet */
    uint32_t reply_bytes;    /* not sent yet */
    uint64_t connected_ns;
    uint64_t last_ns; /* when it last sent something */
    uint64_t commands;
};

struct mkv_fabric_resp_options {
    struct mkv_ring *ring;
    const struct mkv_arena *arena;
    const char *host;         /* an IPv4 or IPv6 address */
    uint16_t port;            /* 0: any free one */
    const char *option;       /* what the user changes to move the listener; "--resp" */
    enum mkv_tcp_share share; /* whether the fabrics of other shards listen there too */
    struct mkv_tls *tls;      /* NULL: plain */
    uint32_t connections_max; /* more are told so and closed */
    uint32_t connection_base; /* the number of the first one: see fabric_set.h */
    uint32_t transfers_max;   /* PULL and PUSH that the front can have posted at once */
    uint32_t workspaces;      /* connections that can be busy at once */
    uint32_t entries;         /* requests that the front has, all connections together */
    uint32_t calls;           /* under way at once, 256 KiB each */
    uint32_t pipeline_max;    /* those of one connection */
    uint32_t ahead_max;       /* see I3 */
    uint64_t value_bytes_max; /* a longer value is refused, and its bytes dropped */
    uint64_t deadline_ns;     /* of each request; 0: 30 s */
    uint64_t handshake_ns;    /* what a handshake of TLS has; 0: 10 s */
    uint64_t stall_ns;        /* see I4; 0: 30 s */
    uint64_t close_ns;        /* what LEAVING has; 0: 2 s */
    uint32_t exists_lease_ms; /* of what EXISTS has found; 0: none */
    bool durable;             /* a SET is answered when it is durable, not when it is in memory */
    const char *version;      /* of the server, for HELLO */
    /* Keys are asked for over the native protocol, which has no words for NX, XX, and the times of
     * keys that are there: what takes these is refused. */
    bool is_proxy;
    /* What a client is told of these statuses; NULL: as of a server. */
    const char *unavailable_text;
    const char *unknown_text;
    /* Writes how far the opening of the drives has come, "1/2 drives, 50 %". NULL: nothing is said
     * of it. */
    void (*progress)(void *context, char *text, size_t text_bytes);
    void *progress_context;
    const struct mkv_fabric_auth *auth; /* NULL: everybody may do all */
    /* The number of a tenant's name; with `create` a new name is given one. When it is PENDING it
     * is asked again in the next round. NULL: there is the default tenant alone. */
    enum mkv_tenant_resolved (*tenant)(void *context, const char *name, bool create, uint32_t *id);
    void *tenant_context;
    /* Every command that is not answered here. It may not call the fabric but for complete, of
     * other calls. NULL: there is no other command. */
    enum mkv_resp_called (*call)(void *context, struct mkv_resp_call *call);
    /* The connection of a call that is LATER is gone: the call must not be touched any more. */
    void (*gone)(void *context, struct mkv_resp_call *call);
    void *call_context;
    /* A value above value_bytes_max was refused. NULL: nobody is told. */
    void (*too_large)(void *context, uint64_t value_bytes);
    void *too_large_context;
};

/* Listens from now on; accepts once the ring runs. The error names who holds a port in use. */
__attribute__((warn_unused_result)) bool mkv_fabric_resp_create(
    const struct mkv_fabric_resp_options *options, struct mkv_fabric_resp **fabric,
    struct mkv_backend_error *error);
/* As what the pump drives (fabric.h). Drained: no further connection, and a command that would
 * change something is refused as READONLY; a connection is closed when it owes nothing. */
struct mkv_fabric *mkv_fabric_resp_base(struct mkv_fabric_resp *fabric);
/* The port it listens on. */
uint16_t mkv_fabric_resp_port(const struct mkv_fabric_resp *fabric);

/* Ends a call that was LATER: its reply is written. On the shard's thread. */
void mkv_fabric_resp_complete(struct mkv_fabric_resp *fabric, struct mkv_resp_call *call);

/* Walks the connections: *cursor starts at 0; false at the end. */
bool mkv_fabric_resp_next_client(const struct mkv_fabric_resp *fabric, uint32_t *cursor,
                                 struct mkv_resp_client *client);
/* "127.0.0.1:9902": the address of the listener that the client found; "" where there is none. */
void mkv_fabric_resp_local_address(const struct mkv_resp_client *client, char text[64]);
/* Breaks a connection, in the next round; false when there is no such one. */
bool mkv_fabric_resp_kill(struct mkv_fabric_resp *fabric, struct mkv_connection_id id);
/* Walks the commands that are answered here; name and figures. */
bool mkv_fabric_resp_next_command(const struct mkv_fabric_resp *fabric, uint32_t *cursor,
                                  struct mkv_resp_command_figures *figures);
/* Commands of all kinds, answered or refused. */
uint64_t mkv_fabric_resp_commands(const struct mkv_fabric_resp *fabric);

#endif
