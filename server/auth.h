/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the clients of the data listeners are: the answers to what fabrics ask (fabric_auth.h), from
 * the keys of the configuration.
 *
 *   network.auth   keys or users   a client on this machine   any other
 *   required       none            served, not asked          protected mode: refused
 *   required       some            asked                      asked
 *   none           none or some    served; a key that it      served, as there
 *                                  brings is checked
 *
 * Invariants
 *  I1  reload is all or nothing: where a secret cannot be read, the keys are those of before.
 *  I2  A failure is counted, told to `failed`, and answered after a delay that grows with those of
 *      its client; the connection is closed behind the fifth.
 *  I3  The sessions of a key id count together, whichever table let them in.
 *  I4  Without keys no client of another machine gets a grant, also not by forget, unless auth is
 *      none.
 *
 * Not responsible for: frames and sockets, the log, the audit.
 */
#ifndef MKV_SERVER_AUTH_H
#define MKV_SERVER_AUTH_H

#include "server/auth_clients.h"
#include "server/auth_keys.h"

#define MKV_AUTH_FAILURES_OF_SESSION_MAX 5u
/* Key ids whose sessions are told apart: those of the table, and older ones that have sessions. */
#define MKV_AUTH_COUNTS_MAX (4u * MKV_AUTH_KEYS_MAX)

enum mkv_auth_failure {
    MKV_AUTH_FAILURE_UNKNOWN_KEY = 0,
    MKV_AUTH_FAILURE_OVER, /* behind its not_after */
    MKV_AUTH_FAILURE_PROOF,
    MKV_AUTH_FAILURE_PASSWORD,
};
/* "its key id is unknown", …: what a client did wrong, as the end of a sentence. */
const char *mkv_auth_failure_text(enum mkv_auth_failure failure);

struct mkv_auth;

struct mkv_auth_options {
    uint64_t connections_max; /* of all clients, on all listeners; 0: no limit */
    /* Called on the thread of the listener, which may not wait. `name` is the key's id or the
     * user, cleaned for people. May be NULL. */
    void (*failed)(void *context, enum mkv_fabric_listener listener, const char *address,
                   const char *name, enum mkv_auth_failure failure);
    void *context;
    uint64_t (*wall_ms)(void); /* NULL: the clock of this machine */
};

struct mkv_auth_figures {
    uint64_t failures_total[MKV_FABRIC_LISTENER_COUNT];
    uint64_t protected_total;    /* connections that were refused since there is no key */
    uint64_t client_limit_total; /* connections and requests beyond a limit of one client */
    uint32_t key_count;
    struct {
        char key_id[MKV_FABRIC_KEY_ID_BYTES_MAX + 1];
        uint64_t sessions;
    } keys[MKV_AUTH_COUNTS_MAX];
};

/* Reads the keys of the configuration, which is not kept. */
__attribute__((warn_unused_result)) bool mkv_auth_create(const struct mkv_config *config,
                                                         const struct mkv_auth_options *options,
                                                         struct mkv_auth **auth,
                                                         struct mkv_backend_error *error);
/* When no session is left. NULL is allowed. */
void mkv_auth_destroy(struct mkv_auth *auth);
/* The keys, users and rules of another configuration from now on; limits stay. From any thread. */
__attribute__((warn_unused_result)) bool mkv_auth_reload(struct mkv_auth *auth,
                                                         const struct mkv_config *config,
                                                         struct mkv_backend_error *error);

/* For the options of fabrics; it lives as long as `auth`. */
const struct mkv_fabric_auth *mkv_auth_fabric(const struct mkv_auth *auth);
/* From any thread. */
void mkv_auth_figures(struct mkv_auth *auth, struct mkv_auth_figures *out);
uint32_t mkv_auth_key_count(struct mkv_auth *auth);
uint32_t mkv_auth_user_count(struct mkv_auth *auth);

#endif
