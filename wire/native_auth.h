/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mutual proof of a native connection: that both sides have the same key, without showing it.
 *
 *   client                                                    server
 *     HELLO, flag auth: … | key id, client nonce         ->
 *                                     <- HELLO answer, flag auth: … | server nonce, server proof
 *     AUTH: client proof                                 ->     (the client has checked the server)
 *                                     <- AUTH answer            (the server has checked the client)
 *
 *   proof = HMAC-SHA256(key, role (16) ‖ client nonce (32) ‖ server nonce (32) ‖
 *                            HELLO frame ‖ HELLO answer frame without the server proof)
 *
 *   role: "memkv server 1" or "memkv client 1", filled up with 0 to 16 bytes. So a proof of one
 * side is none of the other, and one of another conversation is none of this.
 *
 * Both blocks stand at the end of their bodies:
 *
 *   HELLO          0 32 key id, text padded with 0 | 32 32 client nonce
 *   HELLO answer   0 32 server nonce               | 32 32 server proof
 *   AUTH           0 32 client proof
 *
 * Invariants
 *  I1  What a proof is made of is all of both frames: version, features, tenant and limits too.
 *
 * Not responsible for: HMAC, random numbers, and whose keys there are.
 */
#ifndef MKV_WIRE_NATIVE_AUTH_H
#define MKV_WIRE_NATIVE_AUTH_H

#include "wire/native.h"

#define MKV_NATIVE_KEY_BYTES 32u
#define MKV_NATIVE_KEY_ID_BYTES 32u
#define MKV_NATIVE_NONCE_BYTES 32u
#define MKV_NATIVE_PROOF_BYTES 32u
#define MKV_NATIVE_ROLE_BYTES 16u

_Static_assert(MKV_NATIVE_AUTH_BLOCK_BYTES == MKV_NATIVE_KEY_ID_BYTES + MKV_NATIVE_NONCE_BYTES,
               "the block of a HELLO");
_Static_assert(MKV_NATIVE_AUTH_BLOCK_BYTES == MKV_NATIVE_NONCE_BYTES + MKV_NATIVE_PROOF_BYTES,
               "the block of its answer");

/* The frames of a conversation without an authentication block are smaller than this. */
#define MKV_NATIVE_HELLO_FRAME_BYTES_MAX                                                           \
    (MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES + MKV_TENANT_STORED_NAME_BYTES_MAX +         \
     MKV_NATIVE_RING_BYTES + MKV_NATIVE_AUTH_BLOCK_BYTES)
#define MKV_NATIVE_HELLO_ANSWER_FRAME_BYTES_MAX                                                    \
    (MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_ANSWER_BYTES + MKV_NATIVE_AUTH_BLOCK_BYTES)
#define MKV_NATIVE_PROOF_TEXT_BYTES_MAX                                                            \
    (MKV_NATIVE_ROLE_BYTES + 2u * MKV_NATIVE_NONCE_BYTES + MKV_NATIVE_HELLO_FRAME_BYTES_MAX +      \
     MKV_NATIVE_HELLO_ANSWER_FRAME_BYTES_MAX)

enum mkv_native_role {
    MKV_NATIVE_ROLE_SERVER = 0,
    MKV_NATIVE_ROLE_CLIENT,
};

/* Whether a text can be a key id: 1 to 32 characters of A-Z a-z 0-9 . _ - */
bool mkv_native_key_id_is_valid(const char *text, size_t text_bytes);

/* The id as its block has it. */
void mkv_native_key_id_encode(const char *key_id, uint8_t bytes[MKV_NATIVE_KEY_ID_BYTES]);
enum mkv_native_error mkv_native_key_id_decode(const uint8_t bytes[MKV_NATIVE_KEY_ID_BYTES],
                                               char key_id[MKV_NATIVE_KEY_ID_BYTES + 1]);

/*
 * What is put through HMAC; returns its bytes. `hello` and `answer` are whole frames, header and
 * body, with their blocks; the answer's proof is not looked at.
 */
uint32_t mkv_native_proof_text(enum mkv_native_role role, const uint8_t *hello,
                               uint32_t hello_bytes, const uint8_t *answer, uint32_t answer_bytes,
                               uint8_t text[MKV_NATIVE_PROOF_TEXT_BYTES_MAX]);

#endif
