/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fabric asks about the clients that connect to it: whether they are served, who they are,
 * and what they may do. Whoever makes a fabric hands it a struct mkv_fabric_auth; without one (NULL
 * in the options) everybody is served and may do all.
 *
 *   accept --> open --> ADMITTED, grant set: nobody is asked who he is (no key, or auth: none)
 *                |          |
 *                |          +-- grant NULL: he has to say it first
 *                |                 native: challenge (HELLO) --> prove (AUTH) --+
 *                |                 RESP:   password (AUTH, HELLO .. AUTH) ------+--> grant set
 *                |                                                              +--> failed
 *                +----> PROTECTED, FULL, CLIENT_FULL: the refusal is sent, the socket closed
 *
 *   a request   may(session, op) and tenant_allowed(session, name)
 *               --> request_begin --> OK: handed in, and request_end when it is answered
 *                                 --> BUSY: refused, nothing to end
 *   the end     close, once for each ADMITTED, behind the last request_end
 *
 * What RESP does with it:
 *   accept      PROTECTED: send MKV_FABRIC_AUTH_RESP_DENIED, close. FULL, CLIENT_FULL: send
 *               "-ERR max number of clients reached\r\n", close.
 *   before each command but AUTH, HELLO, QUIT and RESET, where session.grant is NULL:
 *               "-NOAUTH Authentication required.\r\n"
 *   AUTH pass, AUTH user pass, HELLO n AUTH user pass
 *               password(); without a user the user is "default", whose password is the text of
 *               network.auth_key (64 hexadecimal digits), unless auth.users has a user of that
 *               name. OK: +OK, or the map of HELLO. FAILED: MKV_FABRIC_AUTH_RESP_WRONGPASS, not
 *               before session.delay_ns have passed since the call; the connection takes no further
 *               command until then, and others go on. FAILED_LAST: the same, then close.
 *               NOT_ASKED (there is no key, and no user): MKV_FABRIC_AUTH_RESP_NO_PASSWORD.
 *   RESET       forget(): as after accept; where it would have been PROTECTED, without a grant.
 *   a command   !may(): "-NOPERM User %s has no permissions to run the '%s' command\r\n" with
 *               session.user; administrative ones (FLUSHDB, CLIENT KILL, CONFIG SET ...) want
 *               MKV_FABRIC_RIGHT_ADMIN.
 *   a key       tenant(session, key): its tenant's name; keys of one command may have several, so
 *               group them. It is always one that is allowed, and good until the next call.
 *   CLIENT LIST, logs: session.user; "default" where nobody was asked.
 *
 * Invariants
 *  I1  A grant that a session has does not change while it has it, whatever becomes of keys: a
 *      reload drops no session. `forget` and a new password end it.
 *  I2  Every function may be called on any shard's thread, at once for different sessions; none
 *      blocks, but for a mutex that is held for the look at a table.
 *  I3  No secret is in a session longer than from challenge to prove, and no function keeps what a
 *      pointer showed it. Whoever received a password wipes its buffer.
 *
 * Not responsible for: where keys come from (server/auth_keys.h), sockets, frames.
 */
#ifndef MKV_BACKENDS_FABRIC_AUTH_H
#define MKV_BACKENDS_FABRIC_AUTH_H

#include <sys/socket.h>

#include "core/io.h"

#define MKV_FABRIC_KEY_ID_BYTES_MAX 32u
#define MKV_FABRIC_USER_BYTES_MAX 64u
#define MKV_FABRIC_NONCE_BYTES 32u
#define MKV_FABRIC_PROOF_BYTES 32u
#define MKV_FABRIC_GRANT_TENANTS_MAX 16u
/* Passwords are compared over so many bytes, so longer ones are wrong. */
#define MKV_FABRIC_PASSWORD_BYTES_MAX 256u

#define MKV_FABRIC_AUTH_RESP_DENIED                                                                \
    "-DENIED memkv is in protected mode: no key is set, so it serves clients of its own machine "  \
    "alone. Set network.auth_key (memkv auth keygen makes one) or auth.users and reload, or "      \
    "network.auth: none to serve everybody\r\n"
#define MKV_FABRIC_AUTH_RESP_WRONGPASS                                                             \
    "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
#define MKV_FABRIC_AUTH_RESP_NO_PASSWORD                                                           \
    "-ERR AUTH <password> called without any password configured for the default user. Are you "   \
    "sure your configuration is correct?\r\n"

#define MKV_FABRIC_RIGHT_GET 0x1u    /* GET EXISTS LOOKUP PIN UNPIN */
#define MKV_FABRIC_RIGHT_PUT 0x2u    /* PUT ALLOCATE COMMIT SESSION, and changes of an expiry */
#define MKV_FABRIC_RIGHT_DELETE 0x4u /* DELETE */
#define MKV_FABRIC_RIGHT_ADMIN 0x8u
#define MKV_FABRIC_RIGHTS_DATA                                                                     \
    (MKV_FABRIC_RIGHT_GET | MKV_FABRIC_RIGHT_PUT | MKV_FABRIC_RIGHT_DELETE)
#define MKV_FABRIC_RIGHTS_ALL (MKV_FABRIC_RIGHTS_DATA | MKV_FABRIC_RIGHT_ADMIN)

/* What a key lets do. */
struct mkv_fabric_grant {
    char key_id[MKV_FABRIC_KEY_ID_BYTES_MAX + 1]; /* "" where nobody was asked */
    uint32_t rights;
    uint32_t tenant_count; /* 0: all tenants */
    /* The first one is the tenant of connections that name none. */
    char tenants[MKV_FABRIC_GRANT_TENANTS_MAX][MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
};

enum mkv_fabric_listener {
    MKV_FABRIC_LISTENER_NATIVE = 0,
    MKV_FABRIC_LISTENER_RESP,
};
#define MKV_FABRIC_LISTENER_COUNT 2u

struct mkv_fabric_auth_client;

/* One in each connection; zeroed before open, and the auth's own from there to close, but for
 * reading. */
struct mkv_fabric_session {
    const struct mkv_fabric_grant *grant; /* NULL: it has not said who it is */
    char user[MKV_FABRIC_USER_BYTES_MAX + 1];
    uint64_t delay_ns; /* of the failure that was returned last */
    enum mkv_fabric_listener listener;
    bool is_local; /* its peer is on this machine */
    uint32_t failures;
    struct mkv_fabric_auth_client *client; /* whose limits it counts for */
    char address[64];                      /* "10.0.0.7:41234", for logs */
    /* Between challenge and prove. */
    const struct mkv_fabric_grant *challenge_grant;
    uint8_t challenge_proof[MKV_FABRIC_PROOF_BYTES];
};

enum mkv_fabric_admission {
    MKV_FABRIC_ADMITTED = 0,
    MKV_FABRIC_PROTECTED,   /* no key is set, and the peer is on another machine */
    MKV_FABRIC_FULL,        /* there are as many connections as there may be, of all fabrics */
    MKV_FABRIC_CLIENT_FULL, /* its address has as many connections as one may have */
};

enum mkv_fabric_auth_result {
    MKV_FABRIC_AUTH_OK = 0,
    MKV_FABRIC_AUTH_FAILED,      /* tell it so when session.delay_ns have passed */
    MKV_FABRIC_AUTH_FAILED_LAST, /* the same, and close */
    MKV_FABRIC_AUTH_NOT_ASKED,   /* there is nothing that it could prove */
};

/* A HELLO with a key id. `answer` is the frame that goes back, whole but for its last NONCE_BYTES +
 * PROOF_BYTES, which the callee fills: nonce, then proof over all before the proof. */
struct mkv_fabric_challenge {
    const char *key_id;
    const uint8_t *client_nonce; /* in the HELLO too */
    const uint8_t *hello;
    uint32_t hello_bytes;
    uint8_t *answer;
    uint32_t answer_bytes;
};

struct mkv_fabric_auth {
    void *context;
    /* `fd` is the accepted socket. */
    enum mkv_fabric_admission (*open)(void *context, int fd, enum mkv_fabric_listener listener,
                                      struct mkv_fabric_session *session);
    void (*close)(void *context, struct mkv_fabric_session *session);
    enum mkv_fabric_auth_result (*challenge)(void *context, struct mkv_fabric_session *session,
                                             const struct mkv_fabric_challenge *challenge);
    enum mkv_fabric_auth_result (*prove)(void *context, struct mkv_fabric_session *session,
                                         const uint8_t proof[MKV_FABRIC_PROOF_BYTES]);
    enum mkv_fabric_auth_result (*password)(void *context, struct mkv_fabric_session *session,
                                            const char *user, size_t user_bytes,
                                            const char *password, size_t password_bytes);
    void (*forget)(void *context, struct mkv_fabric_session *session);
    /* The tenant of a key by tenants.rules, or NULL: none has its prefix. Good until the session is
     * closed. */
    const char *(*rule)(void *context, const struct mkv_fabric_session *session, const uint8_t *key,
                        uint32_t key_bytes);
    /* Whether the session's client may have one more request of `bytes` in flight: its payload
     * where that is known, else 0. */
    bool (*request_begin)(void *context, struct mkv_fabric_session *session, uint64_t bytes);
    void (*request_end)(void *context, struct mkv_fabric_session *session, uint64_t bytes);
};

/* ---- the calls, for `auth` NULL too ---------------------------------------------------------- */

enum mkv_fabric_admission mkv_fabric_auth_open(const struct mkv_fabric_auth *auth, int fd,
                                               enum mkv_fabric_listener listener,
                                               struct mkv_fabric_session *session);
void mkv_fabric_auth_close(const struct mkv_fabric_auth *auth, struct mkv_fabric_session *session);
enum mkv_fabric_auth_result mkv_fabric_auth_password(const struct mkv_fabric_auth *auth,
                                                     struct mkv_fabric_session *session,
                                                     const char *user, size_t user_bytes,
                                                     const char *password, size_t password_bytes);
void mkv_fabric_auth_forget(const struct mkv_fabric_auth *auth, struct mkv_fabric_session *session);
bool mkv_fabric_auth_request_begin(const struct mkv_fabric_auth *auth,
                                   struct mkv_fabric_session *session, uint64_t bytes);
void mkv_fabric_auth_request_end(const struct mkv_fabric_auth *auth,
                                 struct mkv_fabric_session *session, uint64_t bytes);

/* The right that an operation takes. */
uint32_t mkv_fabric_right_of(enum mkv_op op);
/* Whether the session has a grant with that right. */
bool mkv_fabric_auth_may(const struct mkv_fabric_session *session, uint32_t right);
/* Whether the session may name the tenant. */
bool mkv_fabric_auth_tenant_allowed(const struct mkv_fabric_session *session, const char *name);
/* The tenant of a session that names none: that of its key, else by the rules, else the default
 * one. `key` NULL: without the rules. The session has a grant. */
const char *mkv_fabric_auth_tenant(const struct mkv_fabric_auth *auth,
                                   const struct mkv_fabric_session *session, const uint8_t *key,
                                   uint32_t key_bytes);

/* A grant of everything, without a key. */
extern const struct mkv_fabric_grant mkv_fabric_grant_all;

/* Whether the peer of a socket is on this machine: a loopback address, or a Unix socket. */
bool mkv_fabric_peer_is_local(const struct sockaddr *address);

#endif
