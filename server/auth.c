/* SPDX-License-Identifier: Apache-2.0 */
#include "server/auth.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "admin/text.h"
#include "backends/acceptor.h"
#include "backends/clock.h"

/* The sessions of a key id. */
struct count {
    char key_id[MKV_FABRIC_KEY_ID_BYTES_MAX + 1]; /* "": free */
    uint64_t sessions;
};

struct mkv_auth {
    struct mkv_auth_options options;
    struct mkv_fabric_auth fabric;
    struct mkv_auth_clients *clients;
    atomic_uint_least64_t failures_total[MKV_FABRIC_LISTENER_COUNT];
    atomic_uint_least64_t protected_total;
    atomic_uint_least64_t client_limit_total;
    pthread_mutex_t mutex; /* of what stands behind it */
    struct mkv_auth_keys *keys;
    struct count counts[MKV_AUTH_COUNTS_MAX];
};

const char *mkv_auth_failure_text(enum mkv_auth_failure failure) {
    switch (failure) {
    case MKV_AUTH_FAILURE_UNKNOWN_KEY:
        return "its key id is unknown";
    case MKV_AUTH_FAILURE_OVER:
        return "its key is behind its not_after";
    case MKV_AUTH_FAILURE_PROOF:
        return "its proof is wrong";
    case MKV_AUTH_FAILURE_PASSWORD:
        return "its user or password is wrong";
    }
    return "";
}

static uint64_t wall_ms(const struct mkv_auth *auth) {
    return auth->options.wall_ms != NULL ? auth->options.wall_ms() : mkv_clock_wall_ms();
}

/* ---- grants of sessions ---------------------------------------------------------------------- */

static struct mkv_auth_keys *hold_keys(struct mkv_auth *auth) {
    pthread_mutex_lock(&auth->mutex);
    struct mkv_auth_keys *keys = auth->keys;
    mkv_auth_keys_hold(keys);
    pthread_mutex_unlock(&auth->mutex);
    return keys;
}

/* The place of a key id, which gets one if there is room; NULL: its sessions are not told. The
 * mutex is held. */
static struct count *count_of(struct mkv_auth *auth, const char *key_id) {
    struct count *unused = NULL;
    for (uint32_t i = 0; i < MKV_AUTH_COUNTS_MAX; i++) {
        struct count *count = &auth->counts[i];
        if (strcmp(count->key_id, key_id) == 0) {
            return count;
        }
        if (unused == NULL &&
            (count->key_id[0] == '\0' ||
             (count->sessions == 0 && mkv_auth_keys_find(auth->keys, count->key_id) == NULL))) {
            unused = count;
        }
    }
    if (unused != NULL) {
        snprintf(unused->key_id, sizeof unused->key_id, "%s", key_id);
        unused->sessions = 0;
    }
    return unused;
}

static void count_session(struct mkv_auth *auth, const struct mkv_fabric_grant *grant,
                          bool begins) {
    if (grant->key_id[0] == '\0') {
        return;
    }
    pthread_mutex_lock(&auth->mutex);
    struct count *count = count_of(auth, grant->key_id);
    if (count != NULL && begins) {
        count->sessions++;
    } else if (count != NULL && count->sessions > 0) {
        count->sessions--;
    }
    pthread_mutex_unlock(&auth->mutex);
}

/* The session has the grant, whose table it holds. */
static void grant_give(struct mkv_auth *auth, struct mkv_fabric_session *session,
                       const struct mkv_fabric_grant *grant) {
    session->grant = grant;
    count_session(auth, grant, true);
}

static void grant_drop(struct mkv_auth *auth, struct mkv_fabric_session *session) {
    if (session->grant != NULL) {
        count_session(auth, session->grant, false);
        mkv_auth_keys_release(mkv_auth_keys_of(session->grant));
        session->grant = NULL;
    }
}

static void challenge_drop(struct mkv_fabric_session *session) {
    if (session->challenge_grant != NULL) {
        mkv_auth_keys_release(mkv_auth_keys_of(session->challenge_grant));
        session->challenge_grant = NULL;
    }
    explicit_bzero(session->challenge_proof, sizeof session->challenge_proof);
}

/* Whether clients of this machine alone are served. */
static bool is_protected(const struct mkv_auth_keys *keys) {
    return mkv_auth_keys_count(keys) == 0 && !mkv_auth_keys_is_open(keys);
}

/* The grant of a client that nobody has asked yet, or none. Takes over the hold of the table. */
static void grant_begin(struct mkv_auth *auth, struct mkv_fabric_session *session,
                        struct mkv_auth_keys *keys) {
    const bool asks = mkv_auth_keys_count(keys) > 0 && !mkv_auth_keys_is_open(keys);
    /* A client of another machine that a key let in may be here when the last one is gone. */
    const bool is_stranger = is_protected(keys) && !session->is_local;
    snprintf(session->user, sizeof session->user, "default");
    if (asks || is_stranger) {
        mkv_auth_keys_release(keys);
    } else {
        grant_give(auth, session, mkv_auth_keys_open_grant(keys));
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

static enum mkv_fabric_admission on_open(void *context, int fd, enum mkv_fabric_listener listener,
                                         struct mkv_fabric_session *session) {
    struct mkv_auth *auth = context;
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t address_bytes = sizeof address;
    /* A peer that is gone already is from nowhere, and served as somebody from elsewhere. */
    (void)getpeername(fd, (struct sockaddr *)&address, &address_bytes);
    struct mkv_auth_keys *keys = hold_keys(auth);
    session->is_local = mkv_fabric_peer_is_local((const struct sockaddr *)&address);
    if (is_protected(keys) && !session->is_local) {
        mkv_auth_keys_release(keys);
        atomic_fetch_add(&auth->protected_total, 1);
        return MKV_FABRIC_PROTECTED;
    }
    const enum mkv_fabric_admission admission =
        mkv_auth_clients_enter(auth->clients, (const struct sockaddr *)&address, &session->client);
    if (admission != MKV_FABRIC_ADMITTED) {
        mkv_auth_keys_release(keys);
        atomic_fetch_add(&auth->client_limit_total, admission == MKV_FABRIC_CLIENT_FULL ? 1 : 0);
        return admission;
    }
    session->listener = listener;
    mkv_acceptor_address_text((const struct sockaddr *)&address, session->address,
                              sizeof session->address);
    grant_begin(auth, session, keys);
    return MKV_FABRIC_ADMITTED;
}

static void on_close(void *context, struct mkv_fabric_session *session) {
    struct mkv_auth *auth = context;
    challenge_drop(session);
    grant_drop(auth, session);
    mkv_auth_clients_leave(auth->clients, session->client);
}

static void on_forget(void *context, struct mkv_fabric_session *session) {
    struct mkv_auth *auth = context;
    challenge_drop(session);
    grant_drop(auth, session);
    grant_begin(auth, session, hold_keys(auth));
}

/* ---- proofs ---------------------------------------------------------------------------------- */

static enum mkv_fabric_auth_result fail(struct mkv_auth *auth, struct mkv_fabric_session *session,
                                        const char *name, enum mkv_auth_failure failure) {
    char clean[MKV_FABRIC_USER_BYTES_MAX + 1];
    mkv_text_clean(name, clean, sizeof clean);
    session->failures++;
    session->delay_ns =
        mkv_auth_clients_failed(auth->clients, session->client, mkv_clock_monotonic_ns());
    atomic_fetch_add(&auth->failures_total[session->listener], 1);
    if (auth->options.failed != NULL) {
        auth->options.failed(auth->options.context, session->listener, session->address, clean,
                             failure);
    }
    return session->failures < MKV_AUTH_FAILURES_OF_SESSION_MAX ? MKV_FABRIC_AUTH_FAILED
                                                                : MKV_FABRIC_AUTH_FAILED_LAST;
}

static void fill_random(uint8_t *bytes, size_t count) {
    size_t done = 0;
    while (done < count) {
        const ssize_t got = getrandom(bytes + done, count - done, 0);
        MKV_ASSERT(got > 0 || errno == EINTR);
        done += got > 0 ? (size_t)got : 0;
    }
}

/* Writes nonce and proof behind the answer, and keeps what the client has to answer. */
static void make_proofs(const struct mkv_auth_key *key, struct mkv_fabric_session *session,
                        const struct mkv_fabric_challenge *challenge) {
    uint8_t text[MKV_NATIVE_PROOF_TEXT_BYTES_MAX];
    uint8_t *proof = challenge->answer + challenge->answer_bytes - MKV_NATIVE_PROOF_BYTES;
    fill_random(proof - MKV_NATIVE_NONCE_BYTES, MKV_NATIVE_NONCE_BYTES);
    uint32_t bytes =
        mkv_native_proof_text(MKV_NATIVE_ROLE_SERVER, challenge->hello, challenge->hello_bytes,
                              challenge->answer, challenge->answer_bytes, text);
    mkv_auth_secret_hmac(key->secret, text, bytes, proof);
    bytes = mkv_native_proof_text(MKV_NATIVE_ROLE_CLIENT, challenge->hello, challenge->hello_bytes,
                                  challenge->answer, challenge->answer_bytes, text);
    mkv_auth_secret_hmac(key->secret, text, bytes, session->challenge_proof);
}

static enum mkv_fabric_auth_result on_challenge(void *context, struct mkv_fabric_session *session,
                                                const struct mkv_fabric_challenge *challenge) {
    struct mkv_auth *auth = context;
    struct mkv_auth_keys *keys = hold_keys(auth);
    const struct mkv_auth_key *key = mkv_auth_keys_find(keys, challenge->key_id);
    challenge_drop(session);
    if (key != NULL && wall_ms(auth) < key->over_ms) {
        session->challenge_grant = &key->grant; /* with the hold of its table */
        make_proofs(key, session, challenge);
        return MKV_FABRIC_AUTH_OK;
    }
    const bool has_keys = mkv_auth_keys_count(keys) > 0;
    mkv_auth_keys_release(keys);
    if (!has_keys) {
        return MKV_FABRIC_AUTH_NOT_ASKED;
    }
    return fail(auth, session, challenge->key_id,
                key == NULL ? MKV_AUTH_FAILURE_UNKNOWN_KEY : MKV_AUTH_FAILURE_OVER);
}

static enum mkv_fabric_auth_result on_prove(void *context, struct mkv_fabric_session *session,
                                            const uint8_t proof[MKV_FABRIC_PROOF_BYTES]) {
    struct mkv_auth *auth = context;
    const struct mkv_fabric_grant *grant = session->challenge_grant;
    MKV_ASSERT(grant != NULL);
    const bool is_right =
        mkv_auth_secret_equal(session->challenge_proof, proof, MKV_FABRIC_PROOF_BYTES);
    if (!is_right) {
        char key_id[MKV_FABRIC_KEY_ID_BYTES_MAX + 1];
        memcpy(key_id, grant->key_id, sizeof key_id);
        challenge_drop(session);
        return fail(auth, session, key_id, MKV_AUTH_FAILURE_PROOF);
    }
    session->challenge_grant = NULL; /* its hold is the grant's from here on */
    challenge_drop(session);
    grant_drop(auth, session);
    grant_give(auth, session, grant);
    snprintf(session->user, sizeof session->user, "%s", grant->key_id);
    mkv_auth_clients_succeeded(auth->clients, session->client);
    return MKV_FABRIC_AUTH_OK;
}

static enum mkv_fabric_auth_result on_password(void *context, struct mkv_fabric_session *session,
                                               const char *user, size_t user_bytes,
                                               const char *password, size_t password_bytes) {
    struct mkv_auth *auth = context;
    char name[MKV_FABRIC_USER_BYTES_MAX + 1];
    const size_t name_bytes =
        user_bytes < MKV_FABRIC_USER_BYTES_MAX ? user_bytes : MKV_FABRIC_USER_BYTES_MAX;
    struct mkv_auth_keys *keys = hold_keys(auth);
    memcpy(name, user, name_bytes);
    name[name_bytes] = '\0';
    if (mkv_auth_keys_count(keys) == 0) {
        mkv_auth_keys_release(keys);
        return MKV_FABRIC_AUTH_NOT_ASKED;
    }
    const struct mkv_auth_key *key =
        mkv_auth_keys_user(keys, user, user_bytes, password, password_bytes);
    if (key == NULL || wall_ms(auth) >= key->over_ms) {
        mkv_auth_keys_release(keys);
        return fail(auth, session, name,
                    key == NULL ? MKV_AUTH_FAILURE_PASSWORD : MKV_AUTH_FAILURE_OVER);
    }
    grant_drop(auth, session);
    grant_give(auth, session, &key->grant);
    memcpy(session->user, name, name_bytes + 1);
    mkv_auth_clients_succeeded(auth->clients, session->client);
    return MKV_FABRIC_AUTH_OK;
}

/* ---- requests -------------------------------------------------------------------------------- */

static const char *on_rule(void *context, const struct mkv_fabric_session *session,
                           const uint8_t *key, uint32_t key_bytes) {
    (void)context;
    return mkv_auth_keys_rule(mkv_auth_keys_of(session->grant), key, key_bytes);
}

static bool on_request_begin(void *context, struct mkv_fabric_session *session, uint64_t bytes) {
    struct mkv_auth *auth = context;
    const bool may = mkv_auth_clients_begin(auth->clients, session->client, bytes);
    if (!may) {
        atomic_fetch_add(&auth->client_limit_total, 1);
    }
    return may;
}

static void on_request_end(void *context, struct mkv_fabric_session *session, uint64_t bytes) {
    (void)context;
    mkv_auth_clients_end(session->client, bytes);
}

/* ---- the whole ------------------------------------------------------------------------------- */

bool mkv_auth_create(const struct mkv_config *config, const struct mkv_auth_options *options,
                     struct mkv_auth **auth_out, struct mkv_backend_error *error) {
    const struct mkv_auth_limits limits = {
        .all_connections_max = options->connections_max,
        .connections_max = config->network.client_connections_max,
        .requests_max = config->network.client_requests_max,
        .bytes_max = config->network.client_bytes_max,
    };
    struct mkv_auth *auth = calloc(1, sizeof *auth);
    if (auth != NULL) {
        auth->clients = mkv_auth_clients_create(&limits);
    }
    if (auth == NULL || auth->clients == NULL) {
        free(auth);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for clients. Free memory on this machine");
    }
    auth->options = *options;
    pthread_mutex_init(&auth->mutex, NULL);
    auth->fabric = (struct mkv_fabric_auth){
        .context = auth,
        .open = on_open,
        .close = on_close,
        .challenge = on_challenge,
        .prove = on_prove,
        .password = on_password,
        .forget = on_forget,
        .rule = on_rule,
        .request_begin = on_request_begin,
        .request_end = on_request_end,
    };
    if (!mkv_auth_keys_read(config, &auth->keys, error)) {
        mkv_auth_destroy(auth);
        return false;
    }
    *auth_out = auth;
    return true;
}

void mkv_auth_destroy(struct mkv_auth *auth) {
    if (auth == NULL) {
        return;
    }
    mkv_auth_keys_release(auth->keys);
    mkv_auth_clients_destroy(auth->clients);
    pthread_mutex_destroy(&auth->mutex);
    free(auth);
}

bool mkv_auth_reload(struct mkv_auth *auth, const struct mkv_config *config,
                     struct mkv_backend_error *error) {
    struct mkv_auth_keys *keys;
    if (!mkv_auth_keys_read(config, &keys, error)) {
        return false;
    }
    pthread_mutex_lock(&auth->mutex);
    struct mkv_auth_keys *before = auth->keys;
    auth->keys = keys;
    pthread_mutex_unlock(&auth->mutex);
    mkv_auth_keys_release(before);
    return true;
}

const struct mkv_fabric_auth *mkv_auth_fabric(const struct mkv_auth *auth) {
    return &auth->fabric;
}

void mkv_auth_figures(struct mkv_auth *auth, struct mkv_auth_figures *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < MKV_FABRIC_LISTENER_COUNT; i++) {
        out->failures_total[i] = atomic_load(&auth->failures_total[i]);
    }
    out->protected_total = atomic_load(&auth->protected_total);
    out->client_limit_total = atomic_load(&auth->client_limit_total);
    pthread_mutex_lock(&auth->mutex);
    /* Keys that nobody uses are told too: a 0 is what shows that one may go. */
    for (uint32_t i = 0; i < mkv_auth_keys_count(auth->keys); i++) {
        (void)count_of(auth, mkv_auth_keys_at(auth->keys, i)->grant.key_id);
    }
    for (uint32_t i = 0; i < MKV_AUTH_COUNTS_MAX; i++) {
        const struct count *count = &auth->counts[i];
        if (count->key_id[0] != '\0' &&
            (count->sessions > 0 || mkv_auth_keys_find(auth->keys, count->key_id) != NULL)) {
            memcpy(out->keys[out->key_count].key_id, count->key_id, sizeof count->key_id);
            out->keys[out->key_count].sessions = count->sessions;
            out->key_count++;
        }
    }
    pthread_mutex_unlock(&auth->mutex);
}

uint32_t mkv_auth_key_count(struct mkv_auth *auth) {
    struct mkv_auth_keys *keys = hold_keys(auth);
    const uint32_t count = mkv_auth_keys_count(keys);
    mkv_auth_keys_release(keys);
    return count;
}

uint32_t mkv_auth_user_count(struct mkv_auth *auth) {
    struct mkv_auth_keys *keys = hold_keys(auth);
    const uint32_t count = mkv_auth_keys_user_count(keys);
    mkv_auth_keys_release(keys);
    return count;
}
