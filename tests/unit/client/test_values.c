/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>

#include "core/hash.h"
#include "tests/unit/client/test_server.h"

struct mkv_native_hello_answer test_limits(void) {
    return (struct mkv_native_hello_answer){.version = 1,
                                            .shard_count = 1,
                                            .items_max = MKV_NATIVE_ITEMS_MAX,
                                            .body_bytes_max = MKV_NATIVE_BODY_BYTES_MAX,
                                            .inline_bytes_max = MKV_NATIVE_INLINE_BYTES_MAX,
                                            .block_bytes_max = 1024 * 1024,
                                            .value_bytes_max = 1ull << 30,
                                            .requests_max = 64,
                                            .deadline_ms = 5000,
                                            .server_version = "test"};
}

uint8_t test_pattern(uint32_t seed, uint64_t index) {
    return (uint8_t)((((index + 1) * 0x9e3779b97f4a7c15ull) >> 56) + seed);
}

void test_pattern_fill(uint32_t seed, uint8_t *bytes, uint64_t byte_count) {
    for (uint64_t index = 0; index < byte_count; index++) {
        bytes[index] = test_pattern(seed, index);
    }
}

bool test_receive(int peer, void *bytes, size_t byte_count) {
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t count = recv(peer, (uint8_t *)bytes + done, byte_count - done, 0);
        if (count <= 0) {
            return false;
        }
        done += (size_t)count;
    }
    return true;
}

bool test_send(int peer, const void *bytes, size_t byte_count) {
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t count =
            send(peer, (const uint8_t *)bytes + done, byte_count - done, MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        done += (size_t)count;
    }
    return true;
}

bool test_receive_frame(int peer, struct mkv_native_header *header, uint8_t *body) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    return test_receive(peer, bytes, sizeof bytes) &&
           mkv_native_header_decode(bytes, header) == MKV_NATIVE_OK &&
           test_receive(peer, body, header->body_bytes);
}

bool test_send_frame(int peer, const struct mkv_native_header *header, const void *body,
                     const void *payload) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    mkv_native_header_encode(header, bytes);
    return test_send(peer, bytes, sizeof bytes) && test_send(peer, body, header->body_bytes) &&
           test_send(peer, payload, (size_t)header->payload_bytes);
}

struct mkv_root test_root(const uint8_t *bytes, uint64_t length) {
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_chunk_sums(bytes, (uint32_t)length, sums);
    return mkv_root_of_sums((uint32_t)length, sums);
}

/* ---- values --------------------------------------------------------------------------------- */

struct test_value *test_value_find(struct test_value *values, const uint8_t *key,
                                   uint32_t key_bytes) {
    for (uint32_t index = 0; index < TEST_VALUES_MAX; index++) {
        struct test_value *value = &values[index];
        if (value->is_used && value->key_bytes == key_bytes &&
            memcmp(value->key, key, key_bytes) == 0) {
            return value;
        }
    }
    return NULL;
}

void test_value_drop(struct test_value *value) {
    free(value->bytes);
    memset(value, 0, sizeof *value);
}

bool test_value_store(struct test_value *values, const uint8_t *key, uint32_t key_bytes,
                      uint8_t *bytes, uint64_t length) {
    struct test_value *value = test_value_find(values, key, key_bytes);
    if (value != NULL) {
        test_value_drop(value);
    }
    for (uint32_t index = 0; index < TEST_VALUES_MAX; index++) {
        value = &values[index];
        if (!value->is_used) {
            value->is_used = true;
            value->key_bytes = key_bytes;
            memcpy(value->key, key, key_bytes);
            value->bytes = bytes;
            value->length = length;
            return true;
        }
    }
    free(bytes);
    return false;
}
