/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes at all are given to the decoders of the native protocol, frame by frame, as both sides
 * of a connection do. Whatever they are: no assertion, no crash, no read beyond what was given;
 * and what is taken is encoded again as the very same bytes, so that nothing is understood in two
 * ways.
 *
 *   tests/corpus/wire   frames behind one another
 */
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "sim/random.h"
#include "wire/native_auth.h"

#define CHECKSUM_AT 56u
#define BODY_BYTES_AT 24u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);

/* Makes the sums of all headers right that can be found. */
static void reseal(uint8_t *data, size_t size) {
    size_t at = 0;
    while (size - at >= MKV_NATIVE_HEADER_BYTES) {
        mkv_store_u32(data + at, MKV_NATIVE_MAGIC);
        mkv_store_u64(data + at + CHECKSUM_AT, mkv_hash_64(data + at, CHECKSUM_AT));
        at += MKV_NATIVE_HEADER_BYTES;
        const uint32_t body_bytes =
            mkv_load_u32(data + at - MKV_NATIVE_HEADER_BYTES + BODY_BYTES_AT);
        if (body_bytes > size - at) {
            return;
        }
        at += body_bytes;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed, MKV_CONCERN_FAULTS);
    const size_t bytes = LLVMFuzzerMutate(data, size, size_max);
    if (mkv_random_chance(&random, 15, 16)) {
        reseal(data, bytes);
    }
    return bytes;
}

/* A copy that ends where the bytes end, so that a read beyond them is seen. */
static uint8_t *copy_of(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    MKV_ASSERT(copy != NULL);
    memcpy(copy, bytes, size);
    return copy;
}

static void check_remote(const struct mkv_native_remote *remote, const uint8_t *bytes) {
    uint8_t again[MKV_NATIVE_REMOTE_BYTES];
    mkv_native_remote_encode(remote, again);
    MKV_ASSERT(memcmp(again, bytes, sizeof again) == 0);
}

static void decode_items(const struct mkv_native_header *header, const uint8_t *body) {
    struct mkv_native_item *items = malloc(header->item_count * sizeof *items);
    uint32_t keys_offset = 0;
    MKV_ASSERT(items != NULL);
    if (mkv_native_items_decode(header, body, items, &keys_offset) == MKV_NATIVE_OK) {
        uint64_t end = keys_offset;
        for (uint32_t item = 0; item < header->item_count; item++) {
            uint8_t again[MKV_NATIVE_ITEM_BYTES];
            mkv_native_item_encode(&items[item], again);
            MKV_ASSERT(memcmp(again, body + (size_t)item * sizeof again, sizeof again) == 0);
            if (mkv_native_remote_bytes(header) > 0) {
                check_remote(&items[item].remote, body +
                                                      header->item_count * MKV_NATIVE_ITEM_BYTES +
                                                      (size_t)item * MKV_NATIVE_REMOTE_BYTES);
            }
            end += items[item].key_bytes;
        }
        const uint32_t trace_bytes = mkv_native_trace_bytes(header);
        struct mkv_trace_context trace;
        MKV_ASSERT(end + trace_bytes == header->body_bytes);
        if (trace_bytes > 0 && mkv_native_trace_decode(body + end, &trace) == MKV_NATIVE_OK) {
            uint8_t again[MKV_NATIVE_TRACE_BYTES];
            mkv_native_trace_encode(&trace, again);
            MKV_ASSERT(memcmp(again, body + end, sizeof again) == 0);
        }
    }
    free(items);
}

static void decode_results(const struct mkv_native_header *header, const uint8_t *body) {
    MKV_ASSERT(header->body_bytes >= header->item_count * MKV_NATIVE_RESULT_BYTES);
    for (uint32_t item = 0; item < header->item_count; item++) {
        const uint8_t *bytes = body + (size_t)item * MKV_NATIVE_RESULT_BYTES;
        uint8_t again[MKV_NATIVE_RESULT_BYTES];
        struct mkv_native_result result;
        if (mkv_native_result_decode(bytes, &result) == MKV_NATIVE_OK) {
            mkv_native_result_encode(&result, again);
            MKV_ASSERT(memcmp(again, bytes, sizeof again) == 0);
        }
    }
}

static void decode_ready(const uint8_t *body) {
    uint8_t again[MKV_NATIVE_READY_BYTES];
    struct mkv_native_ready ready;
    if (mkv_native_ready_decode(body, &ready) == MKV_NATIVE_OK) {
        mkv_native_ready_encode(&ready, again);
        MKV_ASSERT(memcmp(again, body, sizeof again) == 0);
    }
}

static void decode_data(const struct mkv_native_header *header, const uint8_t *body) {
    uint8_t again[MKV_NATIVE_DATA_BYTES];
    struct mkv_native_data data;
    if (mkv_native_data_decode(header, body, &data) == MKV_NATIVE_OK) {
        mkv_native_data_encode(&data, again);
        MKV_ASSERT(memcmp(again, body, sizeof again) == 0);
    }
}

static void decode_hello(const uint8_t *body) {
    uint8_t again[MKV_NATIVE_HELLO_BYTES];
    struct mkv_native_hello hello;
    if (mkv_native_hello_decode(body, &hello) == MKV_NATIVE_OK) {
        mkv_native_hello_encode(&hello, again);
        MKV_ASSERT(memcmp(again, body, sizeof again) == 0);
    }
}

static void decode_taken(const uint8_t *body) {
    uint8_t again[MKV_NATIVE_TAKEN_BYTES];
    uint64_t count;
    if (mkv_native_taken_decode(body, &count) == MKV_NATIVE_OK) {
        mkv_native_taken_encode(count, again);
        MKV_ASSERT(memcmp(again, body, sizeof again) == 0);
    }
}

static void decode_window(const uint8_t *body) {
    uint8_t again[MKV_NATIVE_WINDOW_BYTES];
    uint64_t window_bytes;
    if (mkv_native_window_decode(body, &window_bytes) == MKV_NATIVE_OK) {
        mkv_native_window_encode(window_bytes, again);
        MKV_ASSERT(memcmp(again, body, sizeof again) == 0);
    }
}

static void decode_connect(const struct mkv_native_header *header, const uint8_t *body) {
    uint8_t again[MKV_NATIVE_CONNECT_BYTES];
    struct mkv_native_connect connect;
    if (mkv_native_connect_decode(header, body, &connect) == MKV_NATIVE_OK) {
        mkv_native_connect_encode(&connect, again);
        MKV_ASSERT(memcmp(again, body, sizeof again) == 0);
        MKV_ASSERT(mkv_native_fallback_known(connect.fallback) < MKV_NATIVE_FALLBACK_COUNT);
    }
}

static void decode_shards(const uint8_t *body, uint32_t byte_count) {
    uint8_t again[MKV_NATIVE_SHARDS_BYTES_MAX];
    struct mkv_native_shards shards;
    if (mkv_native_shards_decode(body, byte_count, &shards) == MKV_NATIVE_OK) {
        MKV_ASSERT(mkv_native_shards_encode(&shards, again) == byte_count);
        MKV_ASSERT(memcmp(again, body, byte_count) == 0);
    }
}

static void decode_key_id(const uint8_t *block) {
    uint8_t again[MKV_NATIVE_KEY_ID_BYTES];
    char key_id[MKV_NATIVE_KEY_ID_BYTES + 1];
    if (mkv_native_key_id_decode(block, key_id) == MKV_NATIVE_OK) {
        mkv_native_key_id_encode(key_id, again);
        MKV_ASSERT(memcmp(again, block, sizeof again) == 0);
    }
}

static void decode_hello_answer(const uint8_t *body) {
    uint8_t again[MKV_NATIVE_HELLO_ANSWER_BYTES];
    struct mkv_native_hello_answer answer;
    if (mkv_native_hello_answer_decode(body, &answer) == MKV_NATIVE_OK) {
        mkv_native_hello_answer_encode(&answer, again);
        MKV_ASSERT(memcmp(again, body, sizeof again) == 0);
    }
}

/* What stands in the body follows from the header, which has passed. */
static void decode_body(const struct mkv_native_header *header, const uint8_t *body) {
    const bool answer = (header->flags & MKV_NATIVE_FLAG_ANSWER) != 0;
    if (answer && header->status != MKV_STATUS_OK) {
        MKV_ASSERT(header->body_bytes <= MKV_NATIVE_TEXT_BYTES_MAX);
    } else if (header->op == MKV_NATIVE_READY) {
        MKV_ASSERT(header->body_bytes == MKV_NATIVE_READY_BYTES);
        decode_ready(body);
    } else if (header->op == MKV_NATIVE_DATA) {
        MKV_ASSERT(header->body_bytes == MKV_NATIVE_DATA_BYTES);
        decode_data(header, body);
    } else if (header->op == MKV_NATIVE_WINDOW) {
        MKV_ASSERT(header->body_bytes == MKV_NATIVE_WINDOW_BYTES);
        decode_window(body);
    } else if (header->op == MKV_NATIVE_TAKEN) {
        MKV_ASSERT(header->body_bytes == (answer ? 0 : MKV_NATIVE_TAKEN_BYTES));
        if (!answer) {
            decode_taken(body);
        }
    } else if (header->op == MKV_NATIVE_CONNECT) {
        MKV_ASSERT(header->body_bytes == MKV_NATIVE_CONNECT_BYTES);
        decode_connect(header, body);
    } else if (header->op == MKV_NATIVE_SHARDS && answer) {
        decode_shards(body, header->body_bytes);
    } else if (header->op == MKV_NATIVE_HELLO) {
        if (answer) {
            MKV_ASSERT(header->body_bytes ==
                       MKV_NATIVE_HELLO_ANSWER_BYTES + mkv_native_auth_bytes(header));
            decode_hello_answer(body);
        } else {
            char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
            const uint32_t auth_bytes = mkv_native_auth_bytes(header);
            MKV_ASSERT(header->body_bytes >= MKV_NATIVE_HELLO_BYTES + auth_bytes);
            decode_hello(body);
            if (mkv_native_tenant_decode(body + MKV_NATIVE_HELLO_BYTES,
                                         header->body_bytes - MKV_NATIVE_HELLO_BYTES - auth_bytes,
                                         name) == MKV_NATIVE_OK) {
                MKV_ASSERT(mkv_tenant_name_bytes(name) >= 1);
            }
            if (auth_bytes > 0) {
                decode_key_id(body + header->body_bytes - auth_bytes);
            }
        }
    } else if (header->item_count > 0) {
        if (answer) {
            decode_results(header, body);
        } else {
            decode_items(header, body);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t at = 0;
    while (size - at >= MKV_NATIVE_HEADER_BYTES) {
        struct mkv_native_header header;
        uint8_t *bytes = copy_of(data + at, MKV_NATIVE_HEADER_BYTES);
        const enum mkv_native_error error = mkv_native_header_decode(bytes, &header);
        MKV_ASSERT(mkv_native_error_text(error)[0] != 0);
        MKV_ASSERT(mkv_native_op_name(header.op)[0] != 0);
        if (error == MKV_NATIVE_OK) {
            uint8_t again[MKV_NATIVE_HEADER_BYTES];
            mkv_native_header_encode(&header, again);
            MKV_ASSERT(memcmp(again, bytes, sizeof again) == 0);
            MKV_ASSERT(header.body_bytes <= MKV_NATIVE_BODY_BYTES_MAX);
        }
        free(bytes);
        at += MKV_NATIVE_HEADER_BYTES;
        if (error != MKV_NATIVE_OK || header.body_bytes > size - at) {
            return 0;
        }
        bytes = copy_of(data + at, header.body_bytes);
        decode_body(&header, bytes);
        free(bytes);
        at += header.body_bytes;
        if (header.payload_bytes > size - at) {
            return 0;
        }
        at += (size_t)header.payload_bytes;
    }
    return 0;
}
