/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/native_auth.h"

#include <string.h>

#include "wire/native_check.h"

bool mkv_native_key_id_is_valid(const char *text, size_t text_bytes) {
    if (text_bytes < 1 || text_bytes > MKV_NATIVE_KEY_ID_BYTES) {
        return false;
    }
    /* The same characters as in a tenant's name, which may be longer. */
    return mkv_tenant_name_is_valid(text, text_bytes);
}

void mkv_native_key_id_encode(const char *key_id, uint8_t bytes[MKV_NATIVE_KEY_ID_BYTES]) {
    const size_t count = strlen(key_id);
    MKV_ASSERT(mkv_native_key_id_is_valid(key_id, count));
    memset(bytes, 0, MKV_NATIVE_KEY_ID_BYTES);
    memcpy(bytes, key_id, count);
}

enum mkv_native_error mkv_native_key_id_decode(const uint8_t bytes[MKV_NATIVE_KEY_ID_BYTES],
                                               char key_id[MKV_NATIVE_KEY_ID_BYTES + 1]) {
    memcpy(key_id, bytes, MKV_NATIVE_KEY_ID_BYTES);
    key_id[MKV_NATIVE_KEY_ID_BYTES] = '\0';
    const size_t count = strlen(key_id);
    if (!mkv_native_key_id_is_valid(key_id, count)) {
        return MKV_NATIVE_BAD_KEY_ID;
    }
    return mkv_native_is_zero(bytes + count, MKV_NATIVE_KEY_ID_BYTES - count) ? MKV_NATIVE_OK
                                                                              : MKV_NATIVE_NOT_ZERO;
}

static uint8_t *append(uint8_t *at, const uint8_t *bytes, uint32_t byte_count) {
    memcpy(at, bytes, byte_count);
    return at + byte_count;
}

uint32_t mkv_native_proof_text(enum mkv_native_role role, const uint8_t *hello,
                               uint32_t hello_bytes, const uint8_t *answer, uint32_t answer_bytes,
                               uint8_t text[MKV_NATIVE_PROOF_TEXT_BYTES_MAX]) {
    static const uint8_t roles[2][MKV_NATIVE_ROLE_BYTES] = {"memkv server 1", "memkv client 1"};
    MKV_ASSERT(hello_bytes >= MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_AUTH_BLOCK_BYTES);
    MKV_ASSERT(hello_bytes <= MKV_NATIVE_HELLO_FRAME_BYTES_MAX);
    MKV_ASSERT(answer_bytes == MKV_NATIVE_HELLO_ANSWER_FRAME_BYTES_MAX);
    const uint32_t answer_count = answer_bytes - MKV_NATIVE_PROOF_BYTES;
    uint8_t *at = append(text, roles[role], MKV_NATIVE_ROLE_BYTES);
    at = append(at, hello + hello_bytes - MKV_NATIVE_NONCE_BYTES, MKV_NATIVE_NONCE_BYTES);
    at = append(at, answer + answer_count - MKV_NATIVE_NONCE_BYTES, MKV_NATIVE_NONCE_BYTES);
    at = append(at, hello, hello_bytes);
    at = append(at, answer, answer_count);
    return (uint32_t)(at - text);
}
