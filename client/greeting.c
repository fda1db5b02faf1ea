/* SPDX-License-Identifier: Apache-2.0 */
#include "client/greeting.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/random.h>

#include "client/engine.h"

/* False when the kernel gives no random bytes. */
static bool fill_random(uint8_t *bytes, size_t count) {
    size_t done = 0;
    while (done < count) {
        const ssize_t got = getrandom(bytes + done, count - done, 0);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

void mkv_greeting_begin(struct mkv_greeting *greeting, const struct mkv_greeting_options *options) {
    memset(greeting, 0, sizeof *greeting);
    greeting->server = options->server;
    greeting->key = options->key;
    greeting->awaits = MKV_NATIVE_HELLO;
    const bool named = strcmp(options->tenant, MKV_TENANT_DEFAULT_NAME) != 0;
    const uint32_t tenant_bytes = named ? (uint32_t)strlen(options->tenant) : 0;
    struct mkv_native_hello hello = {.version_min = MKV_NATIVE_VERSION,
                                     .version_max = MKV_NATIVE_VERSION,
                                     .home = options->home,
                                     .features = MKV_NATIVE_FEATURE_TRACE |
                                                 MKV_NATIVE_FEATURE_ROOTS |
                                                 MKV_NATIVE_FEATURE_SHARDS};
    hello.features |= options->wants_window ? MKV_NATIVE_FEATURE_WINDOW : 0;
    hello.features |= options->wants_rdma ? MKV_NATIVE_FEATURE_RDMA : 0;
    hello.fallback = options->fallback;
    _Static_assert(sizeof hello.name == MKV_CLIENT_NAME_BYTES_MAX + 1u, "a name is HELLO's");
    memcpy(hello.name, options->name, strnlen(options->name, MKV_CLIENT_NAME_BYTES_MAX));
    const uint32_t auth_bytes = options->key == NULL ? 0 : MKV_NATIVE_AUTH_BLOCK_BYTES;
    const uint32_t ring_bytes = options->ring_hash == 0 ? 0 : MKV_NATIVE_RING_BYTES;
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_HELLO,
        .flags = (auth_bytes > 0 ? MKV_NATIVE_FLAG_AUTH : 0) |
                 (ring_bytes > 0 ? MKV_NATIVE_FLAG_RING : 0),
        .request_id = MKV_GREETING_REQUEST_ID,
        .body_bytes = MKV_NATIVE_HELLO_BYTES + tenant_bytes + ring_bytes + auth_bytes,
    };
    mkv_native_header_encode(&header, greeting->out);
    mkv_native_hello_encode(&hello, greeting->out + MKV_NATIVE_HEADER_BYTES);
    memcpy(greeting->out + MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES, options->tenant,
           tenant_bytes);
    greeting->out_bytes = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES + tenant_bytes;
    if (ring_bytes > 0) {
        mkv_native_ring_encode(options->ring_hash, greeting->out + greeting->out_bytes);
        greeting->out_bytes += ring_bytes;
    }
    if (options->key != NULL) {
        uint8_t *block = greeting->out + greeting->out_bytes;
        mkv_native_key_id_encode(options->key_id, block);
        /* Without one the proofs could be those of another conversation: there is none then. */
        greeting->is_random = fill_random(block + MKV_NATIVE_KEY_ID_BYTES, MKV_NATIVE_NONCE_BYTES);
        greeting->out_bytes += MKV_NATIVE_AUTH_BLOCK_BYTES;
    }
}

static enum mkv_greeting_result fail_frame(struct mkv_greeting *greeting,
                                           enum mkv_native_error problem) {
    mkv_client_fail(&greeting->failure, MEMKV_UNAVAILABLE,
                    "server %s: what came is no answer to the greeting: %s; is this the port of "
                    "memkv's native listener?",
                    greeting->server, mkv_native_error_text(problem));
    return MKV_GREETING_FAILED;
}

/* Both sides' proofs, of the HELLO in `out` and its answer. */
static void make_proof(const struct mkv_greeting *greeting, enum mkv_native_role role,
                       const uint8_t answer[MKV_NATIVE_HELLO_ANSWER_FRAME_BYTES_MAX],
                       uint8_t proof[MKV_NATIVE_PROOF_BYTES]) {
    uint8_t text[MKV_NATIVE_PROOF_TEXT_BYTES_MAX];
    unsigned proof_bytes = 0;
    const uint32_t bytes =
        mkv_native_proof_text(role, greeting->out, (uint32_t)greeting->out_bytes, answer,
                              MKV_NATIVE_HELLO_ANSWER_FRAME_BYTES_MAX, text);
    const unsigned char *made = HMAC(EVP_sha256(), greeting->key, (int)MKV_NATIVE_KEY_BYTES, text,
                                     bytes, proof, &proof_bytes);
    MKV_ASSERT(made != NULL);
    MKV_ASSERT(proof_bytes == MKV_NATIVE_PROOF_BYTES);
}

/* Checks the server's proof, and makes an AUTH of the client's. */
static enum mkv_greeting_result prove(struct mkv_greeting *greeting,
                                      const struct mkv_native_header *header, const uint8_t *body) {
    uint8_t answer[MKV_NATIVE_HELLO_ANSWER_FRAME_BYTES_MAX];
    uint8_t proof[MKV_NATIVE_PROOF_BYTES];
    const uint8_t *theirs = body + header->body_bytes - MKV_NATIVE_PROOF_BYTES;
    mkv_native_header_encode(header, answer);
    memcpy(answer + MKV_NATIVE_HEADER_BYTES, body, header->body_bytes);
    make_proof(greeting, MKV_NATIVE_ROLE_SERVER, answer, proof);
    if (!greeting->is_random || CRYPTO_memcmp(proof, theirs, sizeof proof) != 0) {
        mkv_client_fail(&greeting->failure, MEMKV_FORBIDDEN,
                        "server %s does not prove that it has the key: it has another one under "
                        "this key id, or is not the server that it should be",
                        greeting->server);
        return MKV_GREETING_FAILED;
    }
    make_proof(greeting, MKV_NATIVE_ROLE_CLIENT, answer, proof);
    const struct mkv_native_header auth = {
        .op = MKV_NATIVE_AUTH,
        .request_id = MKV_GREETING_REQUEST_ID,
        .body_bytes = MKV_NATIVE_AUTH_BYTES,
    };
    mkv_native_header_encode(&auth, greeting->out);
    memcpy(greeting->out + MKV_NATIVE_HEADER_BYTES, proof, sizeof proof);
    greeting->out_bytes = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_AUTH_BYTES;
    greeting->awaits = MKV_NATIVE_AUTH;
    return MKV_GREETING_SEND;
}

/* Both know each other: that is all, but for the shards where there are several. */
static enum mkv_greeting_result know(struct mkv_greeting *greeting) {
    if ((greeting->limits.features & MKV_NATIVE_FEATURE_SHARDS) == 0) {
        return MKV_GREETING_DONE;
    }
    const struct mkv_native_header shards = {.op = MKV_NATIVE_SHARDS,
                                             .request_id = MKV_GREETING_REQUEST_ID};
    mkv_native_header_encode(&shards, greeting->out);
    greeting->out_bytes = MKV_NATIVE_HEADER_BYTES;
    greeting->awaits = MKV_NATIVE_SHARDS;
    return MKV_GREETING_SEND;
}

static enum mkv_greeting_result take_shards(struct mkv_greeting *greeting,
                                            const struct mkv_native_header *header,
                                            const uint8_t *body) {
    const enum mkv_native_error problem =
        mkv_native_shards_decode(body, header->body_bytes, &greeting->shards);
    return problem == MKV_NATIVE_OK ? MKV_GREETING_DONE : fail_frame(greeting, problem);
}

enum mkv_greeting_result mkv_greeting_frame(struct mkv_greeting *greeting,
                                            const struct mkv_native_header *header,
                                            const uint8_t *body) {
    if ((header->flags & MKV_NATIVE_FLAG_ANSWER) == 0 ||
        (header->op != greeting->awaits && header->status == MKV_STATUS_OK)) {
        return fail_frame(greeting, MKV_NATIVE_BAD_OP);
    }
    if (header->status != MKV_STATUS_OK) {
        char text[MEMKV_ERROR_TEXT_BYTES];
        mkv_client_text_copy(body, header->body_bytes, text, sizeof text);
        /* Nothing that the caller gave can be wrong here, so "invalid" would blame the caller. */
        const enum memkv_status status = header->status == MKV_STATUS_INVALID
                                             ? MEMKV_UNAVAILABLE
                                             : (enum memkv_status)header->status;
        mkv_client_fail(&greeting->failure, status, "server %s refused the connection: %s",
                        greeting->server, text);
        return MKV_GREETING_FAILED;
    }
    if (greeting->awaits == MKV_NATIVE_SHARDS) {
        return take_shards(greeting, header, body);
    }
    if (greeting->awaits == MKV_NATIVE_AUTH) {
        return know(greeting);
    }
    const bool proves = (header->flags & MKV_NATIVE_FLAG_AUTH) != 0;
    if (proves != (greeting->key != NULL)) {
        return fail_frame(greeting, MKV_NATIVE_BAD_FLAGS);
    }
    const enum mkv_native_error problem = mkv_native_hello_answer_decode(body, &greeting->limits);
    if (problem != MKV_NATIVE_OK) {
        return fail_frame(greeting, problem);
    }
    return greeting->key == NULL ? know(greeting) : prove(greeting, header, body);
}
