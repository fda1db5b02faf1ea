/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, users and limits of clients: what fabrics are answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/auth.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
/* A descriptor that is no socket: its peer is from elsewhere. */
#define ELSEWHERE (-1)

static uint64_t now_ms = 1000000;
static uint32_t failures_told;

static uint64_t wall_ms(void) {
    return now_ms;
}

static void on_failed(void *context, enum mkv_fabric_listener listener, const char *address,
                      const char *name, enum mkv_auth_failure failure) {
    (void)context;
    (void)listener;
    (void)address;
    assert_true(strlen(mkv_auth_failure_text(failure)) > 0);
    assert_null(strchr(name, '\n'));
    failures_told++;
}

struct world {
    char directory[64];
    int local[2]; /* a Unix socket: this machine */
    struct mkv_config *config;
    struct mkv_auth *auth;
};

static void write_file(struct world *world, const char *name, const char *text, mode_t mode) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", world->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void path_set(struct world *world, char *target, const char *name) {
    snprintf(target, 160, "%s/%s", world->directory, name);
}

static void add_key(struct world *world, const char *id, const char *file) {
    struct mkv_config_auth_key *key = &world->config->auth.keys[world->config->auth.key_count];
    memset(key, 0, sizeof *key);
    snprintf(key->id, sizeof key->id, "%s", id);
    path_set(world, key->file, file);
    world->config->auth.key_count++;
}

static struct world *world_create(void) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    snprintf(world->directory, sizeof world->directory, "/tmp/memkv-auth-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, world->local), 0);
    world->config = calloc(1, sizeof *world->config);
    assert_non_null(world->config);
    write_file(world, "a", KEY_A "\n", 0600);
    write_file(world, "b", KEY_B "\r\n", 0400);
    write_file(world, "pass", "a good password", 0600);
    failures_told = 0;
    now_ms = 1000000;
    return world;
}

static void world_start_with(struct world *world, uint64_t connections_max) {
    struct mkv_backend_error error = {0};
    const struct mkv_auth_options options = {
        .connections_max = connections_max, .failed = on_failed, .wall_ms = wall_ms};
    if (!mkv_auth_create(world->config, &options, &world->auth, &error)) {
        fail_msg("%s", error.text);
    }
}

static void world_start(struct world *world) {
    world_start_with(world, 0);
}

static void world_destroy(struct world *world) {
    char command[96];
    mkv_auth_destroy(world->auth);
    close(world->local[0]);
    close(world->local[1]);
    snprintf(command, sizeof command, "rm -rf %s", world->directory);
    assert_int_equal(system(command), 0);
    free(world->config);
    free(world);
}

static enum mkv_fabric_admission open_session(struct world *world, int fd,
                                              struct mkv_fabric_session *session) {
    return mkv_fabric_auth_open(mkv_auth_fabric(world->auth), fd, MKV_FABRIC_LISTENER_NATIVE,
                                session);
}

static void close_session(struct world *world, struct mkv_fabric_session *session) {
    mkv_fabric_auth_close(mkv_auth_fabric(world->auth), session);
}

static uint64_t sessions_of(struct world *world, const char *key_id) {
    struct mkv_auth_figures figures;
    mkv_auth_figures(world->auth, &figures);
    for (uint32_t i = 0; i < figures.key_count; i++) {
        if (strcmp(figures.keys[i].key_id, key_id) == 0) {
            return figures.keys[i].sessions;
        }
    }
    return UINT64_MAX;
}

/* The frames of a conversation, as a client makes and gets them. */
struct frames {
    uint8_t hello[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES + MKV_NATIVE_AUTH_BLOCK_BYTES];
    uint8_t answer[MKV_NATIVE_HELLO_ANSWER_FRAME_BYTES_MAX];
};

static enum mkv_fabric_auth_result challenge(struct world *world, const char *key_id,
                                             struct mkv_fabric_session *session,
                                             struct frames *frames) {
    memset(frames, 7, sizeof *frames);
    const struct mkv_fabric_challenge asked = {
        .key_id = key_id,
        .client_nonce = frames->hello + sizeof frames->hello - MKV_NATIVE_NONCE_BYTES,
        .hello = frames->hello,
        .hello_bytes = sizeof frames->hello,
        .answer = frames->answer,
        .answer_bytes = sizeof frames->answer,
    };
    const struct mkv_fabric_auth *auth = mkv_auth_fabric(world->auth);
    return auth->challenge(auth->context, session, &asked);
}

static void proof_of(const struct frames *frames, const char *key_text, enum mkv_native_role role,
                     uint8_t proof[MKV_NATIVE_PROOF_BYTES]) {
    uint8_t key[MKV_NATIVE_KEY_BYTES];
    uint8_t text[MKV_NATIVE_PROOF_TEXT_BYTES_MAX];
    assert_true(mkv_auth_secret_key(key_text, key));
    const uint32_t bytes = mkv_native_proof_text(role, frames->hello, sizeof frames->hello,
                                                 frames->answer, sizeof frames->answer, text);
    mkv_auth_secret_hmac(key, text, bytes, proof);
}

static enum mkv_fabric_auth_result prove(struct world *world, const char *key_id,
                                         const char *key_text, struct mkv_fabric_session *session) {
    struct frames frames;
    uint8_t proof[MKV_NATIVE_PROOF_BYTES];
    const enum mkv_fabric_auth_result result = challenge(world, key_id, session, &frames);
    if (result != MKV_FABRIC_AUTH_OK) {
        return result;
    }
    proof_of(&frames, key_text, MKV_NATIVE_ROLE_CLIENT, proof);
    const struct mkv_fabric_auth *auth = mkv_auth_fabric(world->auth);
    return auth->prove(auth->context, session, proof);
}

static enum mkv_fabric_auth_result password(struct world *world, struct mkv_fabric_session *session,
                                            const char *user, const char *text) {
    return mkv_fabric_auth_password(mkv_auth_fabric(world->auth), session, user, strlen(user), text,
                                    strlen(text));
}

/* ---- who is served --------------------------------------------------------------------------- */

static void test_auth__no_key__this_machine_alone_is_served(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session session;
    world_start(world);
    assert_int_equal(open_session(world, world->local[0], &session), MKV_FABRIC_ADMITTED);
    assert_true(mkv_fabric_auth_may(&session, MKV_FABRIC_RIGHTS_ALL));
    assert_int_equal(password(world, &session, "default", "x"), MKV_FABRIC_AUTH_NOT_ASKED);
    struct frames frames;
    assert_int_equal(challenge(world, "a", &session, &frames), MKV_FABRIC_AUTH_NOT_ASKED);
    close_session(world, &session);
    assert_int_equal(open_session(world, ELSEWHERE, &session), MKV_FABRIC_PROTECTED);
    struct mkv_auth_figures figures;
    mkv_auth_figures(world->auth, &figures);
    assert_int_equal(figures.protected_total, 1);
    assert_int_equal(figures.key_count, 0);
    world_destroy(world);
}

static void test_auth__auth_none__everybody_is_served_and_keys_are_checked(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session session;
    world->config->network.auth = MKV_CONFIG_NETWORK_AUTH_NONE;
    add_key(world, "a", "a");
    snprintf(world->config->auth.keys[0].rights, 32, "get");
    world_start(world);
    assert_int_equal(open_session(world, ELSEWHERE, &session), MKV_FABRIC_ADMITTED);
    assert_true(mkv_fabric_auth_may(&session, MKV_FABRIC_RIGHT_PUT));
    assert_int_equal(prove(world, "a", KEY_A, &session), MKV_FABRIC_AUTH_OK);
    assert_false(mkv_fabric_auth_may(&session, MKV_FABRIC_RIGHT_PUT));
    close_session(world, &session);
    world_destroy(world);
}

static void test_auth__a_key__is_proven_by_both_sides(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session session;
    struct frames frames;
    uint8_t proof[MKV_NATIVE_PROOF_BYTES];
    add_key(world, "a", "a");
    world_start(world);
    assert_int_equal(open_session(world, world->local[0], &session), MKV_FABRIC_ADMITTED);
    assert_null(session.grant);
    assert_int_equal(challenge(world, "a", &session, &frames), MKV_FABRIC_AUTH_OK);
    assert_null(session.grant);
    proof_of(&frames, KEY_A, MKV_NATIVE_ROLE_SERVER, proof);
    assert_memory_equal(frames.answer + sizeof frames.answer - sizeof proof, proof, sizeof proof);
    /* The server's own proof is none of a client. */
    const struct mkv_fabric_auth *auth = mkv_auth_fabric(world->auth);
    assert_int_equal(auth->prove(auth->context, &session, proof), MKV_FABRIC_AUTH_FAILED);
    assert_int_equal(prove(world, "a", KEY_A, &session), MKV_FABRIC_AUTH_OK);
    assert_string_equal(session.user, "a");
    assert_int_equal(session.grant->rights, MKV_FABRIC_RIGHTS_DATA);
    assert_int_equal(sessions_of(world, "a"), 1);
    close_session(world, &session);
    assert_int_equal(sessions_of(world, "a"), 0);
    world_destroy(world);
}

static void test_auth__two_conversations__have_different_nonces(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session session;
    struct frames first;
    struct frames second;
    add_key(world, "a", "a");
    world_start(world);
    assert_int_equal(open_session(world, world->local[0], &session), MKV_FABRIC_ADMITTED);
    assert_int_equal(challenge(world, "a", &session, &first), MKV_FABRIC_AUTH_OK);
    assert_int_equal(challenge(world, "a", &session, &second), MKV_FABRIC_AUTH_OK);
    assert_memory_not_equal(first.answer, second.answer, sizeof first.answer);
    /* What was right for the first is wrong for the second. */
    uint8_t proof[MKV_NATIVE_PROOF_BYTES];
    proof_of(&first, KEY_A, MKV_NATIVE_ROLE_CLIENT, proof);
    const struct mkv_fabric_auth *auth = mkv_auth_fabric(world->auth);
    assert_int_equal(auth->prove(auth->context, &session, proof), MKV_FABRIC_AUTH_FAILED);
    close_session(world, &session);
    world_destroy(world);
}

/* The conversation of docs/protocol.md, whose frames tests/unit/wire/protocol_test.c compares. */
static void test_auth__the_vectors_of_the_page__are_what_proofs_are(void **state) {
    (void)state;
    struct frames frames;
    uint8_t *at = frames.hello;
    const struct mkv_native_hello hello = {.version_min = 1, .version_max = 1, .name = "example"};
    const struct mkv_native_hello_answer answer = {.version = 1,
                                                   .shard_count = 1,
                                                   .items_max = 256,
                                                   .body_bytes_max = MKV_NATIVE_BODY_BYTES_MAX,
                                                   .inline_bytes_max = MKV_NATIVE_INLINE_BYTES_MAX,
                                                   .block_bytes_max = MKV_BLOCK_BYTES_MAX,
                                                   .value_bytes_max = 1ull << 39,
                                                   .requests_max = 64,
                                                   .deadline_ms = 5000,
                                                   .server_version = "0.1.0"};
    const struct mkv_native_header headers[2] = {
        {.op = MKV_NATIVE_HELLO,
         .flags = MKV_NATIVE_FLAG_AUTH,
         .request_id = 1,
         .body_bytes = MKV_NATIVE_HELLO_BYTES + MKV_NATIVE_AUTH_BLOCK_BYTES},
        {.op = MKV_NATIVE_HELLO,
         .flags = MKV_NATIVE_FLAG_ANSWER | MKV_NATIVE_FLAG_AUTH,
         .request_id = 1,
         .body_bytes = MKV_NATIVE_HELLO_ANSWER_BYTES + MKV_NATIVE_AUTH_BLOCK_BYTES},
    };
    mkv_native_header_encode(&headers[0], at);
    mkv_native_hello_encode(&hello, at + MKV_NATIVE_HEADER_BYTES);
    mkv_native_key_id_encode("batch-1", at + MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES);
    mkv_native_header_encode(&headers[1], frames.answer);
    mkv_native_hello_answer_encode(&answer, frames.answer + MKV_NATIVE_HEADER_BYTES);
    for (uint8_t i = 0; i < 32; i++) {
        frames.hello[sizeof frames.hello - 32 + i] = (uint8_t)(32 + i);
        frames.answer[sizeof frames.answer - 64 + i] = (uint8_t)(64 + i);
    }
    static const char *const proofs[2] = {
        "d6c7f610ef6a02dc858f2dbf4fe763512bfc1100287fc4a2955fa181c56b1ac0",
        "4ca89d1741469bd014015a81fbc54c43f459e66a9fd5e7c123aedcff67101a9a"};
    for (uint32_t role = 0; role < 2; role++) {
        uint8_t proof[MKV_NATIVE_PROOF_BYTES];
        char text[2 * MKV_NATIVE_PROOF_BYTES + 1];
        proof_of(&frames, KEY_A, (enum mkv_native_role)role, proof);
        for (size_t i = 0; i < sizeof proof; i++) {
            snprintf(text + 2 * i, 3, "%02x", proof[i]);
        }
        assert_string_equal(text, proofs[role]);
    }
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_auth__failures__are_counted_told_and_delayed_more_and_more(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session session;
    add_key(world, "a", "a");
    world_start(world);
    assert_int_equal(open_session(world, world->local[0], &session), MKV_FABRIC_ADMITTED);
    uint64_t delay_ns = MKV_AUTH_DELAY_NS;
    for (uint32_t i = 1; i <= MKV_AUTH_FAILURES_OF_SESSION_MAX; i++) {
        const enum mkv_fabric_auth_result result = i % 2 == 0
                                                       ? prove(world, "nobody\n", KEY_A, &session)
                                                       : prove(world, "a", KEY_B, &session);
        assert_int_equal(result, i < MKV_AUTH_FAILURES_OF_SESSION_MAX
                                     ? MKV_FABRIC_AUTH_FAILED
                                     : MKV_FABRIC_AUTH_FAILED_LAST);
        assert_true(session.delay_ns == delay_ns);
        delay_ns *= 2;
        assert_null(session.grant);
    }
    close_session(world, &session);
    /* Another connection of the same client goes on where that one was, but not for ever longer. */
    assert_int_equal(open_session(world, world->local[0], &session), MKV_FABRIC_ADMITTED);
    assert_int_equal(prove(world, "a", KEY_B, &session), MKV_FABRIC_AUTH_FAILED);
    assert_true(session.delay_ns == MKV_AUTH_DELAY_NS << MKV_AUTH_DELAY_DOUBLINGS_MAX);
    assert_int_equal(prove(world, "a", KEY_A, &session), MKV_FABRIC_AUTH_OK);
    assert_int_equal(prove(world, "a", KEY_B, &session), MKV_FABRIC_AUTH_FAILED);
    assert_true(session.delay_ns == MKV_AUTH_DELAY_NS);
    close_session(world, &session);
    struct mkv_auth_figures figures;
    mkv_auth_figures(world->auth, &figures);
    assert_int_equal(figures.failures_total[MKV_FABRIC_LISTENER_NATIVE], 7);
    assert_int_equal(failures_told, 7);
    world_destroy(world);
}

static void test_auth__a_key_that_is_over__lets_nobody_in_and_nobody_out(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session before;
    struct mkv_fabric_session after;
    add_key(world, "a", "a");
    snprintf(world->config->auth.keys[0].not_after, 32, "2026-12-31");
    world_start(world);
    now_ms = 1798761599999; /* 2026-12-31T23:59:59.999Z */
    assert_int_equal(open_session(world, world->local[0], &before), MKV_FABRIC_ADMITTED);
    assert_int_equal(open_session(world, world->local[0], &after), MKV_FABRIC_ADMITTED);
    assert_int_equal(prove(world, "a", KEY_A, &before), MKV_FABRIC_AUTH_OK);
    now_ms++;
    assert_int_equal(prove(world, "a", KEY_A, &after), MKV_FABRIC_AUTH_FAILED);
    assert_true(mkv_fabric_auth_may(&before, MKV_FABRIC_RIGHT_GET));
    close_session(world, &before);
    close_session(world, &after);
    world_destroy(world);
}

/* ---- users ----------------------------------------------------------------------------------- */

static void test_auth__users__have_what_their_key_has(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session session;
    path_set(world, world->config->network.auth_key, "b");
    add_key(world, "a", "a");
    snprintf(world->config->auth.keys[0].tenants, 32, "batch, team-7");
    world->config->auth.user_count = 1;
    struct mkv_config_auth_user *user = &world->config->auth.users[0];
    snprintf(user->name, sizeof user->name, "lmcache");
    snprintf(user->key_id, sizeof user->key_id, "a");
    path_set(world, user->password_file, "pass");
    world_start(world);
    assert_int_equal(open_session(world, world->local[0], &session), MKV_FABRIC_ADMITTED);
    assert_int_equal(password(world, &session, "lmcache", "a good passwore"),
                     MKV_FABRIC_AUTH_FAILED);
    assert_int_equal(password(world, &session, "lmcache", ""), MKV_FABRIC_AUTH_FAILED);
    assert_int_equal(password(world, &session, "default", "a good password"),
                     MKV_FABRIC_AUTH_FAILED);
    assert_int_equal(password(world, &session, "lmcache", "a good password"), MKV_FABRIC_AUTH_OK);
    assert_string_equal(session.user, "lmcache");
    assert_string_equal(mkv_fabric_auth_tenant(mkv_auth_fabric(world->auth), &session, NULL, 0),
                        "batch");
    assert_false(mkv_fabric_auth_tenant_allowed(&session, "default"));
    assert_int_equal(sessions_of(world, "a"), 1);
    /* Another password on the same connection is another user. */
    assert_int_equal(password(world, &session, "default", KEY_B), MKV_FABRIC_AUTH_OK);
    assert_true(mkv_fabric_auth_may(&session, MKV_FABRIC_RIGHT_ADMIN));
    assert_int_equal(sessions_of(world, "a"), 0);
    assert_int_equal(sessions_of(world, "default"), 1);
    mkv_fabric_auth_forget(mkv_auth_fabric(world->auth), &session);
    assert_null(session.grant);
    assert_int_equal(sessions_of(world, "default"), 0);
    close_session(world, &session);
    world_destroy(world);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static void test_auth__reload__swaps_keys_and_drops_no_session(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session old;
    struct mkv_fabric_session new;
    struct mkv_backend_error error;
    add_key(world, "old", "a");
    snprintf(world->config->auth.keys[0].rights, 32, "get");
    world_start(world);
    assert_int_equal(open_session(world, world->local[0], &old), MKV_FABRIC_ADMITTED);
    assert_int_equal(open_session(world, world->local[0], &new), MKV_FABRIC_ADMITTED);
    assert_int_equal(prove(world, "old", KEY_A, &old), MKV_FABRIC_AUTH_OK);
    /* Both live at once. */
    add_key(world, "new", "b");
    assert_true(mkv_auth_reload(world->auth, world->config, &error));
    assert_int_equal(prove(world, "new", KEY_B, &new), MKV_FABRIC_AUTH_OK);
    close_session(world, &new);
    assert_int_equal(open_session(world, world->local[0], &new), MKV_FABRIC_ADMITTED);
    assert_int_equal(prove(world, "old", KEY_A, &new), MKV_FABRIC_AUTH_OK);
    assert_int_equal(sessions_of(world, "old"), 2);
    close_session(world, &new);
    /* A table that cannot be read changes nothing. */
    write_file(world, "b", "no key\n", 0400);
    world->config->auth.keys[0] = world->config->auth.keys[1];
    world->config->auth.key_count = 1;
    assert_false(mkv_auth_reload(world->auth, world->config, &error));
    assert_int_equal(mkv_auth_key_count(world->auth), 2);
    write_file(world, "b", KEY_B, 0400);
    assert_true(mkv_auth_reload(world->auth, world->config, &error));
    /* The old one lets nobody in, and who is in stays, with its rights, and is counted. */
    assert_int_equal(open_session(world, world->local[0], &new), MKV_FABRIC_ADMITTED);
    assert_int_equal(prove(world, "old", KEY_A, &new), MKV_FABRIC_AUTH_FAILED);
    assert_true(mkv_fabric_auth_may(&old, MKV_FABRIC_RIGHT_GET));
    assert_false(mkv_fabric_auth_may(&old, MKV_FABRIC_RIGHT_PUT));
    assert_int_equal(sessions_of(world, "old"), 1);
    close_session(world, &old);
    assert_true(sessions_of(world, "old") == UINT64_MAX);
    assert_int_equal(sessions_of(world, "new"), 0);
    close_session(world, &new);
    world_destroy(world);
}

static void test_auth__forget_when_the_last_key_is_gone__opens_to_this_machine_alone(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session local;
    struct mkv_fabric_session elsewhere;
    struct mkv_backend_error error;
    add_key(world, "a", "a");
    world_start(world);
    assert_int_equal(open_session(world, world->local[0], &local), MKV_FABRIC_ADMITTED);
    assert_int_equal(open_session(world, ELSEWHERE, &elsewhere), MKV_FABRIC_ADMITTED);
    assert_null(elsewhere.grant);
    world->config->auth.key_count = 0;
    assert_true(mkv_auth_reload(world->auth, world->config, &error));
    mkv_fabric_auth_forget(mkv_auth_fabric(world->auth), &local);
    mkv_fabric_auth_forget(mkv_auth_fabric(world->auth), &elsewhere);
    assert_true(mkv_fabric_auth_may(&local, MKV_FABRIC_RIGHTS_ALL));
    assert_null(elsewhere.grant);
    world->config->network.auth = MKV_CONFIG_NETWORK_AUTH_NONE;
    assert_true(mkv_auth_reload(world->auth, world->config, &error));
    mkv_fabric_auth_forget(mkv_auth_fabric(world->auth), &elsewhere);
    assert_true(mkv_fabric_auth_may(&elsewhere, MKV_FABRIC_RIGHTS_ALL));
    close_session(world, &local);
    close_session(world, &elsewhere);
    world_destroy(world);
}

static void test_auth__secrets_that_cannot_be_read__say_why(void **state) {
    (void)state;
    static const struct {
        const char *text;
        mode_t mode;
        const char *message;
    } cases[] = {
        {KEY_A "\n", 0644,
         "auth.keys[0]: %s may be read or written by others than its owner. Run: chmod 600 on it"},
        {"", 0600, "auth.keys[0]: %s holds no secret. Write one line of up to 256 characters"},
        {KEY_A "\n" KEY_B "\n", 0600,
         "auth.keys[0]: %s holds no secret. Write one line of up to 256 characters"},
        {"00ff", 0600,
         "auth.keys[0]: the file holds no key. Write one line of 64 hexadecimal digits: memkv auth "
         "keygen --output FILE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *world = world_create();
        struct mkv_auth_keys *table;
        struct mkv_backend_error error;
        char expected[MKV_CONFIG_PATH_BYTES + 512];
        add_key(world, "k", "wrong");
        write_file(world, "wrong", cases[i].text, cases[i].mode);
        assert_false(mkv_auth_keys_read(world->config, &table, &error));
        const char *place = strstr(cases[i].message, "%s");
        snprintf(expected, sizeof expected, "%.*s%s%s",
                 place == NULL ? (int)strlen(cases[i].message) : (int)(place - cases[i].message),
                 cases[i].message, place == NULL ? "" : world->config->auth.keys[0].file,
                 place == NULL ? "" : place + 2);
        assert_string_equal(error.text, expected);
        world_destroy(world);
    }
}

static void test_auth__credentials__are_found_in_the_directory_of_systemd(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_auth_keys *table;
    struct mkv_backend_error error;
    add_key(world, "k", "a");
    snprintf(world->config->auth.keys[0].file, 64, "credential:memkv-a");
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_false(mkv_auth_keys_read(world->config, &table, &error));
    assert_non_null(strstr(error.text, "$CREDENTIALS_DIRECTORY"));
    write_file(world, "memkv-a", KEY_A, 0440); /* as systemd makes them */
    setenv("CREDENTIALS_DIRECTORY", world->directory, 1);
    assert_true(mkv_auth_keys_read(world->config, &table, &error));
    assert_non_null(mkv_auth_keys_find(table, "k"));
    mkv_auth_keys_release(table);
    unsetenv("CREDENTIALS_DIRECTORY");
    world_destroy(world);
}

/* ---- limits and rules ------------------------------------------------------------------------ */

static void test_auth__connections_of_all__as_many_as_there_may_be(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session sessions[3];
    world_start_with(world, 2);
    assert_int_equal(open_session(world, world->local[0], &sessions[0]), MKV_FABRIC_ADMITTED);
    assert_int_equal(open_session(world, world->local[0], &sessions[1]), MKV_FABRIC_ADMITTED);
    assert_int_equal(open_session(world, world->local[0], &sessions[2]), MKV_FABRIC_FULL);
    struct mkv_auth_figures figures;
    mkv_auth_figures(world->auth, &figures);
    assert_int_equal(figures.client_limit_total, 0); /* it is not the client's limit */
    close_session(world, &sessions[0]);
    assert_int_equal(open_session(world, world->local[0], &sessions[2]), MKV_FABRIC_ADMITTED);
    close_session(world, &sessions[1]);
    close_session(world, &sessions[2]);
    world_destroy(world);
}

static void test_auth__limits_of_a_client__refuse_what_is_beyond(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session sessions[3];
    world->config->network.client_connections_max = 2;
    world->config->network.client_requests_max = 3;
    world->config->network.client_bytes_max = 1000;
    world_start(world);
    const struct mkv_fabric_auth *auth = mkv_auth_fabric(world->auth);
    assert_int_equal(open_session(world, world->local[0], &sessions[0]), MKV_FABRIC_ADMITTED);
    assert_int_equal(open_session(world, world->local[0], &sessions[1]), MKV_FABRIC_ADMITTED);
    assert_int_equal(open_session(world, world->local[0], &sessions[2]), MKV_FABRIC_CLIENT_FULL);
    /* The first may be as large as it is. */
    assert_true(mkv_fabric_auth_request_begin(auth, &sessions[0], 5000));
    assert_false(mkv_fabric_auth_request_begin(auth, &sessions[1], 1));
    assert_true(mkv_fabric_auth_request_begin(auth, &sessions[1], 0)); /* it names no bytes */
    mkv_fabric_auth_request_end(auth, &sessions[1], 0);
    mkv_fabric_auth_request_end(auth, &sessions[0], 5000);
    assert_true(mkv_fabric_auth_request_begin(auth, &sessions[0], 400));
    assert_true(mkv_fabric_auth_request_begin(auth, &sessions[1], 600));
    assert_true(mkv_fabric_auth_request_begin(auth, &sessions[1], 0));
    assert_false(mkv_fabric_auth_request_begin(auth, &sessions[1], 0));
    mkv_fabric_auth_request_end(auth, &sessions[0], 400);
    mkv_fabric_auth_request_end(auth, &sessions[1], 600);
    mkv_fabric_auth_request_end(auth, &sessions[1], 0);
    struct mkv_auth_figures figures;
    mkv_auth_figures(world->auth, &figures);
    assert_int_equal(figures.client_limit_total, 3);
    close_session(world, &sessions[0]);
    assert_int_equal(open_session(world, world->local[0], &sessions[2]), MKV_FABRIC_ADMITTED);
    close_session(world, &sessions[1]);
    close_session(world, &sessions[2]);
    world_destroy(world);
}

static void test_auth__rules__give_a_key_the_tenant_of_its_first_prefix(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_session session;
    world->config->tenants.rule_count = 2;
    world->config->tenants.rules[0] = (struct mkv_config_rule){"llama@7", "small"};
    world->config->tenants.rules[1] = (struct mkv_config_rule){"llama@", "llama"};
    world_start(world);
    const struct mkv_fabric_auth *auth = mkv_auth_fabric(world->auth);
    assert_int_equal(open_session(world, world->local[0], &session), MKV_FABRIC_ADMITTED);
    assert_string_equal(mkv_fabric_auth_tenant(auth, &session, (const uint8_t *)"llama@70", 8),
                        "small");
    assert_string_equal(mkv_fabric_auth_tenant(auth, &session, (const uint8_t *)"llama@8", 7),
                        "llama");
    assert_string_equal(mkv_fabric_auth_tenant(auth, &session, (const uint8_t *)"llama", 5),
                        "default");
    close_session(world, &session);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auth__no_key__this_machine_alone_is_served),
        cmocka_unit_test(test_auth__auth_none__everybody_is_served_and_keys_are_checked),
        cmocka_unit_test(test_auth__a_key__is_proven_by_both_sides),
        cmocka_unit_test(test_auth__the_vectors_of_the_page__are_what_proofs_are),
        cmocka_unit_test(test_auth__two_conversations__have_different_nonces),
        cmocka_unit_test(test_auth__failures__are_counted_told_and_delayed_more_and_more),
        cmocka_unit_test(test_auth__a_key_that_is_over__lets_nobody_in_and_nobody_out),
        cmocka_unit_test(test_auth__users__have_what_their_key_has),
        cmocka_unit_test(test_auth__reload__swaps_keys_and_drops_no_session),
        cmocka_unit_test(test_auth__forget_when_the_last_key_is_gone__opens_to_this_machine_alone),
        cmocka_unit_test(test_auth__secrets_that_cannot_be_read__say_why),
        cmocka_unit_test(test_auth__credentials__are_found_in_the_directory_of_systemd),
        cmocka_unit_test(test_auth__connections_of_all__as_many_as_there_may_be),
        cmocka_unit_test(test_auth__limits_of_a_client__refuse_what_is_beyond),
        cmocka_unit_test(test_auth__rules__give_a_key_the_tenant_of_its_first_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
