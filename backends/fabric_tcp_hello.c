/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HELLO and AUTH: what a connection is for, and who is at its other end.
 *
 *   HELLO without a key   grant there (nobody is asked)  --> answered, served
 *                         none                           --> refused: a key is needed
 *   HELLO with a key      known                          --> answered with the server's proof
 *                         unknown                        --> refused, after a delay
 *   AUTH                  proof right                    --> grant, answered, served
 *                         wrong                          --> refused, after a delay
 */
#include <string.h>

#include "backends/acceptor.h"
#include "backends/fabric_tcp_internal.h"

static enum mkv_tcp_frame refuse(struct mkv_tcp_connection *connection, uint32_t fault) {
    mkv_tcp_connection_refuse(connection, fault);
    return MKV_TCP_FRAME_REFUSED;
}

/* The frame stays where it is, and is looked at again, until its delay is over. */
static enum mkv_tcp_frame refuse_later(struct mkv_tcp_connection *connection) {
    const uint64_t now_ns = connection->fabric->now_ns;
    if (connection->auth_refusal_ns == 0) {
        connection->auth_refusal_ns = now_ns + connection->session.delay_ns;
    }
    if (now_ns < connection->auth_refusal_ns) {
        return MKV_TCP_FRAME_PAUSED;
    }
    connection->auth_refusal_ns = 0;
    return refuse(connection, MKV_FABRIC_FAULT_KEY_WRONG);
}

/* Names go to screens and logs: what is no printable ASCII becomes '?'. */
static void take_name(struct mkv_tcp_connection *connection, const char *name) {
    size_t i = 0;
    for (; i + 1 < sizeof connection->client_name && name[i] != '\0'; i++) {
        const bool plain = name[i] >= ' ' && name[i] <= '~';
        connection->client_name[i] = plain ? name[i] : '?';
    }
    connection->client_name[i] = '\0';
}

void mkv_tcp_ring_take(struct mkv_tcp_connection *connection, uint64_t hash) {
    struct mkv_ring_views *views = connection->fabric->options.ring_views;
    char address[MKV_RING_ADDRESS_BYTES];
    if (views != NULL && (hash != 0 || connection->ring_member != MKV_RING_NO_MEMBER)) {
        mkv_acceptor_peer_text(connection->stream.fd, address, sizeof address);
        mkv_ring_views_told(views, &connection->ring_member, hash, address,
                            connection->client_name);
    }
}

/* The connection has its grant: 0, or the fault that its tenant is. */
static uint32_t take_tenant(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_session *session = &connection->session;
    if (!connection->names_tenant) {
        const char *name =
            mkv_fabric_auth_tenant(connection->fabric->options.auth, session, NULL, 0);
        memcpy(connection->tenant_name, name, strlen(name) + 1);
    }
    if (!mkv_fabric_auth_tenant_allowed(session, connection->tenant_name)) {
        return MKV_FABRIC_FAULT_KEY_TENANT;
    }
    mkv_tcp_ring_take(connection, connection->hello_ring);
    return MKV_NATIVE_OK;
}

static enum mkv_tcp_frame answer_plain(struct mkv_tcp_connection *connection,
                                       const struct mkv_native_hello_answer *answer) {
    if (connection->session.grant == NULL) {
        return refuse(connection, MKV_FABRIC_FAULT_KEY_MISSING);
    }
    const uint32_t fault = take_tenant(connection);
    if (fault != MKV_NATIVE_OK) {
        return refuse(connection, fault);
    }
    connection->greeted = true;
    mkv_native_hello_answer_encode(answer, connection->work->own_bytes);
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_OK, connection->work->own_bytes,
                         MKV_NATIVE_HELLO_ANSWER_BYTES);
    return MKV_TCP_FRAME_TAKEN;
}

/* Proves that the server has the key that the block at the end of the HELLO names. */
static enum mkv_tcp_frame answer_proof(struct mkv_tcp_connection *connection, const uint8_t *body,
                                       const struct mkv_native_hello_answer *answer) {
    const struct mkv_fabric_auth *auth = connection->fabric->options.auth;
    const uint8_t *block = body + connection->header.body_bytes - MKV_NATIVE_AUTH_BLOCK_BYTES;
    const uint32_t answer_body_bytes = MKV_NATIVE_HELLO_ANSWER_BYTES + MKV_NATIVE_AUTH_BLOCK_BYTES;
    char key_id[MKV_NATIVE_KEY_ID_BYTES + 1];
    const enum mkv_native_error error = mkv_native_key_id_decode(block, key_id);
    if (error != MKV_NATIVE_OK) {
        return refuse(connection, (uint32_t)error);
    }
    if (auth == NULL) {
        return refuse(connection, MKV_FABRIC_FAULT_KEY_UNASKED);
    }
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_HELLO,
        .flags = MKV_NATIVE_FLAG_ANSWER | MKV_NATIVE_FLAG_AUTH,
        .request_id = connection->header.request_id,
        .body_bytes = answer_body_bytes,
    };
    mkv_native_header_encode(&header, connection->work->own_bytes);
    mkv_native_hello_answer_encode(answer, connection->work->own_bytes + MKV_NATIVE_HEADER_BYTES);
    const struct mkv_fabric_challenge challenge = {
        .key_id = key_id,
        .client_nonce = block + MKV_NATIVE_KEY_ID_BYTES,
        .hello = body - MKV_NATIVE_HEADER_BYTES, /* the frame is in the control buffer as a whole */
        .hello_bytes = MKV_NATIVE_HEADER_BYTES + connection->header.body_bytes,
        .answer = connection->work->own_bytes,
        .answer_bytes = MKV_NATIVE_HEADER_BYTES + answer_body_bytes,
    };
    const enum mkv_fabric_auth_result result =
        auth->challenge(auth->context, &connection->session, &challenge);
    if (result == MKV_FABRIC_AUTH_NOT_ASKED) {
        return refuse(connection, MKV_FABRIC_FAULT_KEY_UNASKED);
    }
    if (result != MKV_FABRIC_AUTH_OK) {
        return refuse_later(connection);
    }
    connection->greeted = true;
    connection->awaits_auth = true;
    mkv_tcp_frame_answer(connection, MKV_NATIVE_FLAG_AUTH, MKV_STATUS_OK,
                         connection->work->own_bytes + MKV_NATIVE_HEADER_BYTES, answer_body_bytes);
    return MKV_TCP_FRAME_TAKEN;
}

/* Whether the HELLO, all that has come, went to the shard that it names. */
static bool moves(struct mkv_tcp_connection *connection, const struct mkv_native_hello *hello) {
    const struct mkv_fabric_tcp_options *options = &connection->fabric->options;
    const uint32_t byte_count = connection->control_end - connection->control_start;
    if (options->move == NULL || options->tls != NULL || hello->home == 0 ||
        (hello->features & MKV_NATIVE_FEATURE_SHARDS) == 0 ||
        byte_count != MKV_NATIVE_HEADER_BYTES + connection->header.body_bytes) {
        return false;
    }
    struct mkv_fabric_tcp_move move = {
        .fd = connection->stream.fd, .session = connection->session, .byte_count = byte_count};
    memcpy(move.bytes, connection->control + connection->control_start, byte_count);
    if (!options->move(options->shards_context, hello->home - 1, &move)) {
        return false;
    }
    mkv_tcp_connection_leave(connection);
    return true;
}

enum mkv_tcp_frame mkv_tcp_shards_take(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if ((connection->features & MKV_NATIVE_FEATURE_SHARDS) == 0) {
        return refuse(connection, MKV_NATIVE_BAD_OP);
    }
    MKV_ASSERT(connection->own_body == NULL);
    connection->own_body = mkv_tcp_pool_take(&fabric->bodies);
    if (connection->own_body == NULL) {
        mkv_tcp_connection_await_buffer(connection);
        return MKV_TCP_FRAME_PAUSED;
    }
    struct mkv_native_shards shards;
    fabric->options.shards(fabric->options.shards_context, &shards);
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_OK, connection->own_body->bytes,
                         mkv_native_shards_encode(&shards, connection->own_body->bytes));
    return MKV_TCP_FRAME_TAKEN;
}

enum mkv_tcp_frame mkv_tcp_hello_take(struct mkv_tcp_connection *connection, const uint8_t *body) {
    struct mkv_native_hello hello;
    if (connection->auth_refusal_ns != 0) {
        return refuse_later(connection);
    }
    const enum mkv_native_error error = mkv_native_hello_decode(body, &hello);
    if (error != MKV_NATIVE_OK) {
        return refuse(connection, (uint32_t)error);
    }
    if (moves(connection, &hello)) {
        return MKV_TCP_FRAME_REFUSED;
    }
    const uint32_t auth_bytes = mkv_native_auth_bytes(&connection->header);
    const uint32_t ring_bytes = mkv_native_ring_bytes(&connection->header);
    const uint32_t name_bytes =
        connection->header.body_bytes - MKV_NATIVE_HELLO_BYTES - ring_bytes - auth_bytes;
    const enum mkv_native_error tenant_error = mkv_native_tenant_decode(
        body + MKV_NATIVE_HELLO_BYTES, name_bytes, connection->tenant_name);
    if (tenant_error != MKV_NATIVE_OK) {
        return refuse(connection, (uint32_t)tenant_error);
    }
    connection->names_tenant = name_bytes > 0;
    take_name(connection, hello.name);
    connection->hello_ring =
        ring_bytes > 0 ? mkv_native_ring_decode(body + MKV_NATIVE_HELLO_BYTES + name_bytes) : 0;
    struct mkv_native_hello_answer answer = connection->fabric->options.hello;
    answer.features |= connection->fabric->options.is_local ? MKV_NATIVE_FEATURE_WINDOW : 0;
    if (connection->fabric->options.move != NULL && connection->fabric->options.tls == NULL) {
        answer.features |= MKV_NATIVE_FEATURE_SHARDS;
    }
    answer.features |= mkv_tcp_lane_is_granted(connection->fabric) ? MKV_NATIVE_FEATURE_RDMA : 0;
    answer.features &= hello.features;
    connection->features = answer.features;
    mkv_tcp_lane_count_fallback(connection->fabric, hello.fallback);
    return auth_bytes == 0 ? answer_plain(connection, &answer)
                           : answer_proof(connection, body, &answer);
}

enum mkv_tcp_frame mkv_tcp_auth_take(struct mkv_tcp_connection *connection, const uint8_t *body) {
    const struct mkv_fabric_auth *auth = connection->fabric->options.auth;
    if (connection->auth_refusal_ns != 0 ||
        auth->prove(auth->context, &connection->session, body) != MKV_FABRIC_AUTH_OK) {
        return refuse_later(connection);
    }
    connection->awaits_auth = false;
    const uint32_t fault = take_tenant(connection);
    if (fault != MKV_NATIVE_OK) {
        return refuse(connection, fault);
    }
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_OK, NULL, 0);
    return MKV_TCP_FRAME_TAKEN;
}
