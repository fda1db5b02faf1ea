/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of fixed size: results, READY, DATA and both sides of HELLO.
 */
#include "wire/native.h"

#include <string.h>

#include "core/bytes.h"
#include "wire/native_check.h"

/* It may be the name of a reservation. */
#define RESULT_LENGTH_MAX MKV_NATIVE_RESERVATION_MAX
_Static_assert(MKV_NATIVE_RESERVATION_MAX >= MKV_NATIVE_VALUE_BYTES_MAX, "or a value's length");

#define HELLO_NAME_BYTES (sizeof(((struct mkv_native_hello *)0)->name) - 1u)
#define SERVER_VERSION_BYTES (sizeof(((struct mkv_native_hello_answer *)0)->server_version) - 1u)

_Static_assert(16u + HELLO_NAME_BYTES == MKV_NATIVE_HELLO_BYTES, "the name ends a HELLO");
_Static_assert(72u + SERVER_VERSION_BYTES == MKV_NATIVE_HELLO_ANSWER_BYTES,
               "the server's version text ends a HELLO answer");

/* Text of a fixed field: `text` has one byte more than the field, for the closing NUL. */
static void text_encode(const char *text, uint8_t *bytes, size_t byte_count) {
    const char *end = memchr(text, '\0', byte_count + 1u);
    MKV_ASSERT(end != NULL);
    memset(bytes, 0, byte_count);
    memcpy(bytes, text, (size_t)(end - text));
}

static enum mkv_native_error text_decode(const uint8_t *bytes, size_t byte_count, char *text) {
    memcpy(text, bytes, byte_count);
    text[byte_count] = '\0';
    const size_t length = strlen(text);
    return mkv_native_is_zero(bytes + length, byte_count - length) ? MKV_NATIVE_OK
                                                                   : MKV_NATIVE_NOT_ZERO;
}

static bool trace_is_whole(const struct mkv_trace_context *trace) {
    return !mkv_native_is_zero(trace->trace_id, sizeof trace->trace_id) &&
           !mkv_native_is_zero(trace->parent_id, sizeof trace->parent_id);
}

void mkv_native_trace_encode(const struct mkv_trace_context *trace, uint8_t *bytes) {
    MKV_ASSERT(trace_is_whole(trace));
    memset(bytes, 0, MKV_NATIVE_TRACE_BYTES);
    memcpy(bytes + 0, trace->trace_id, sizeof trace->trace_id);
    memcpy(bytes + 16, trace->parent_id, sizeof trace->parent_id);
    bytes[24] = trace->flags;
}

enum mkv_native_error mkv_native_trace_decode(const uint8_t *bytes,
                                              struct mkv_trace_context *trace) {
    memcpy(trace->trace_id, bytes + 0, sizeof trace->trace_id);
    memcpy(trace->parent_id, bytes + 16, sizeof trace->parent_id);
    trace->flags = bytes[24];
    if (!mkv_native_is_zero(bytes + 25, 7)) {
        return MKV_NATIVE_NOT_ZERO;
    }
    return trace_is_whole(trace) ? MKV_NATIVE_OK : MKV_NATIVE_BAD_TRACE;
}

void mkv_native_result_encode(const struct mkv_native_result *result, uint8_t *bytes) {
    MKV_ASSERT((uint32_t)result->status < MKV_STATUS_COUNT);
    MKV_ASSERT((uint32_t)result->miss < MKV_MISS_COUNT);
    MKV_ASSERT(result->length <= RESULT_LENGTH_MAX);
    MKV_ASSERT(result->leased <= MKV_NATIVE_ITEMS_MAX);
    memset(bytes, 0, MKV_NATIVE_RESULT_BYTES);
    mkv_store_u32(bytes + 0, (uint32_t)result->status);
    mkv_store_u32(bytes + 4, (uint32_t)result->miss);
    mkv_store_u64(bytes + 8, result->length);
    memcpy(bytes + 16, result->root.bytes, sizeof result->root.bytes);
    mkv_store_u32(bytes + 32, result->leased);
}

enum mkv_native_error mkv_native_result_decode(const uint8_t *bytes,
                                               struct mkv_native_result *result) {
    const uint32_t status = mkv_load_u32(bytes + 0);
    const uint32_t miss = mkv_load_u32(bytes + 4);
    if (status >= MKV_STATUS_COUNT || miss >= MKV_MISS_COUNT) {
        return MKV_NATIVE_BAD_STATUS;
    }
    result->status = (enum mkv_status)status;
    result->miss = (enum mkv_miss)miss;
    result->length = mkv_load_u64(bytes + 8);
    memcpy(result->root.bytes, bytes + 16, sizeof result->root.bytes);
    result->leased = mkv_load_u32(bytes + 32);
    if (result->length > RESULT_LENGTH_MAX) {
        return MKV_NATIVE_BAD_LENGTH;
    }
    if (result->leased > MKV_NATIVE_ITEMS_MAX) {
        return MKV_NATIVE_BAD_ITEM_COUNT;
    }
    return mkv_native_is_zero(bytes + 36, 4) ? MKV_NATIVE_OK : MKV_NATIVE_NOT_ZERO;
}

static enum mkv_native_error check_ready(const struct mkv_native_ready *ready) {
    if (ready->item >= MKV_NATIVE_ITEMS_MAX) {
        return MKV_NATIVE_BAD_ITEM_COUNT;
    }
    if (ready->bytes < 1 || ready->bytes > MKV_BLOCK_BYTES_MAX ||
        ready->offset > MKV_NATIVE_VALUE_BYTES_MAX - ready->bytes) {
        return MKV_NATIVE_BAD_LENGTH;
    }
    return MKV_NATIVE_OK;
}

void mkv_native_ready_encode(const struct mkv_native_ready *ready, uint8_t *bytes) {
    MKV_ASSERT(check_ready(ready) == MKV_NATIVE_OK);
    memset(bytes, 0, MKV_NATIVE_READY_BYTES);
    mkv_store_u32(bytes + 0, ready->item);
    mkv_store_u64(bytes + 8, ready->offset);
    mkv_store_u64(bytes + 16, ready->bytes);
}

enum mkv_native_error mkv_native_ready_decode(const uint8_t *bytes,
                                              struct mkv_native_ready *ready) {
    ready->item = mkv_load_u32(bytes + 0);
    ready->offset = mkv_load_u64(bytes + 8);
    ready->bytes = mkv_load_u64(bytes + 16);
    if (!mkv_native_is_zero(bytes + 4, 4)) {
        return MKV_NATIVE_NOT_ZERO;
    }
    return check_ready(ready);
}

static enum mkv_native_error check_data(const struct mkv_native_data *data) {
    if (data->item >= MKV_NATIVE_ITEMS_MAX) {
        return MKV_NATIVE_BAD_ITEM_COUNT;
    }
    if (data->length > MKV_NATIVE_VALUE_BYTES_MAX || data->bytes > MKV_BLOCK_BYTES_MAX ||
        data->offset > MKV_NATIVE_VALUE_BYTES_MAX) {
        return MKV_NATIVE_BAD_LENGTH;
    }
    /* A range that begins behind the value's end has no bytes, and is no error. */
    if (data->bytes > 0 &&
        (data->offset > data->length || data->bytes > data->length - data->offset)) {
        return MKV_NATIVE_BAD_LENGTH;
    }
    return MKV_NATIVE_OK;
}

void mkv_native_data_encode(const struct mkv_native_data *data, uint8_t *bytes) {
    MKV_ASSERT(check_data(data) == MKV_NATIVE_OK);
    memset(bytes, 0, MKV_NATIVE_DATA_BYTES);
    mkv_store_u32(bytes + 0, data->item);
    mkv_store_u64(bytes + 8, data->offset);
    mkv_store_u64(bytes + 16, data->length);
    mkv_store_u64(bytes + 24, data->bytes);
    memcpy(bytes + 32, data->root.bytes, sizeof data->root.bytes);
}

enum mkv_native_error mkv_native_data_decode(const uint8_t *bytes, struct mkv_native_data *data) {
    data->item = mkv_load_u32(bytes + 0);
    data->offset = mkv_load_u64(bytes + 8);
    data->length = mkv_load_u64(bytes + 16);
    data->bytes = mkv_load_u64(bytes + 24);
    memcpy(data->root.bytes, bytes + 32, sizeof data->root.bytes);
    if (!mkv_native_is_zero(bytes + 4, 4) || !mkv_native_is_zero(bytes + 48, 8)) {
        return MKV_NATIVE_NOT_ZERO;
    }
    return check_data(data);
}

static bool versions_are_ours(uint16_t version_min, uint16_t version_max) {
    return version_min >= 1 && version_min <= MKV_NATIVE_VERSION &&
           version_max >= MKV_NATIVE_VERSION;
}

void mkv_native_hello_encode(const struct mkv_native_hello *hello, uint8_t *bytes) {
    MKV_ASSERT(versions_are_ours(hello->version_min, hello->version_max));
    memset(bytes, 0, MKV_NATIVE_HELLO_BYTES);
    mkv_store_u16(bytes + 0, hello->version_min);
    mkv_store_u16(bytes + 2, hello->version_max);
    mkv_store_u32(bytes + 4, hello->home);
    mkv_store_u64(bytes + 8, hello->features);
    text_encode(hello->name, bytes + 16, HELLO_NAME_BYTES);
}

enum mkv_native_error mkv_native_hello_decode(const uint8_t *bytes,
                                              struct mkv_native_hello *hello) {
    hello->version_min = mkv_load_u16(bytes + 0);
    hello->version_max = mkv_load_u16(bytes + 2);
    hello->home = mkv_load_u32(bytes + 4);
    hello->features = mkv_load_u64(bytes + 8);
    if (!versions_are_ours(hello->version_min, hello->version_max)) {
        return MKV_NATIVE_BAD_VERSION;
    }
    return text_decode(bytes + 16, HELLO_NAME_BYTES, hello->name);
}

void mkv_native_ring_encode(uint64_t hash, uint8_t *bytes) {
    mkv_store_u64(bytes, hash);
}

uint64_t mkv_native_ring_decode(const uint8_t *bytes) {
    return mkv_load_u64(bytes);
}

enum mkv_native_error mkv_native_tenant_decode(const uint8_t *bytes, uint32_t byte_count,
                                               char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1]) {
    if (byte_count == 0) {
        memcpy(name, MKV_TENANT_DEFAULT_NAME, sizeof MKV_TENANT_DEFAULT_NAME);
        return MKV_NATIVE_OK;
    }
    if (!mkv_tenant_name_is_valid((const char *)bytes, byte_count)) {
        return MKV_NATIVE_BAD_TENANT;
    }
    memcpy(name, bytes, byte_count);
    name[byte_count] = '\0';
    return MKV_NATIVE_OK;
}

static enum mkv_native_error check_hello_answer(const struct mkv_native_hello_answer *answer) {
    if (answer->version != MKV_NATIVE_VERSION) {
        return MKV_NATIVE_BAD_VERSION;
    }
    if (answer->shard_count < 1 || answer->items_max < 1 ||
        answer->items_max > MKV_NATIVE_ITEMS_MAX ||
        answer->body_bytes_max < MKV_NATIVE_ITEM_BYTES + MKV_KEY_BYTES_MAX ||
        answer->body_bytes_max > MKV_NATIVE_BODY_BYTES_MAX ||
        answer->inline_bytes_max > MKV_NATIVE_INLINE_BYTES_MAX || answer->block_bytes_max < 1 ||
        answer->block_bytes_max > MKV_BLOCK_BYTES_MAX ||
        answer->value_bytes_max < answer->block_bytes_max ||
        answer->value_bytes_max > MKV_NATIVE_VALUE_BYTES_MAX || answer->requests_max < 1) {
        return MKV_NATIVE_BAD_LIMIT;
    }
    return MKV_NATIVE_OK;
}

void mkv_native_hello_answer_encode(const struct mkv_native_hello_answer *answer, uint8_t *bytes) {
    MKV_ASSERT(check_hello_answer(answer) == MKV_NATIVE_OK);
    memset(bytes, 0, MKV_NATIVE_HELLO_ANSWER_BYTES);
    mkv_store_u16(bytes + 0, answer->version);
    mkv_store_u16(bytes + 2, answer->shard_count);
    mkv_store_u32(bytes + 4, answer->items_max);
    mkv_store_u32(bytes + 8, answer->body_bytes_max);
    mkv_store_u32(bytes + 12, answer->inline_bytes_max);
    mkv_store_u64(bytes + 16, answer->block_bytes_max);
    mkv_store_u64(bytes + 24, answer->value_bytes_max);
    mkv_store_u32(bytes + 32, answer->requests_max);
    mkv_store_u32(bytes + 36, answer->deadline_ms);
    memcpy(bytes + 40, answer->store_uuid.bytes, sizeof answer->store_uuid.bytes);
    mkv_store_u64(bytes + 56, answer->ring_hash);
    mkv_store_u64(bytes + 64, answer->features);
    text_encode(answer->server_version, bytes + 72, SERVER_VERSION_BYTES);
}

enum mkv_native_error mkv_native_hello_answer_decode(const uint8_t *bytes,
                                                     struct mkv_native_hello_answer *answer) {
    answer->version = mkv_load_u16(bytes + 0);
    answer->shard_count = mkv_load_u16(bytes + 2);
    answer->items_max = mkv_load_u32(bytes + 4);
    answer->body_bytes_max = mkv_load_u32(bytes + 8);
    answer->inline_bytes_max = mkv_load_u32(bytes + 12);
    answer->block_bytes_max = mkv_load_u64(bytes + 16);
    answer->value_bytes_max = mkv_load_u64(bytes + 24);
    answer->requests_max = mkv_load_u32(bytes + 32);
    answer->deadline_ms = mkv_load_u32(bytes + 36);
    memcpy(answer->store_uuid.bytes, bytes + 40, sizeof answer->store_uuid.bytes);
    answer->ring_hash = mkv_load_u64(bytes + 56);
    answer->features = mkv_load_u64(bytes + 64);
    const enum mkv_native_error error = check_hello_answer(answer);
    if (error != MKV_NATIVE_OK) {
        return error;
    }
    return text_decode(bytes + 72, SERVER_VERSION_BYTES, answer->server_version);
}

/* ---- SHARDS ---------------------------------------------------------------------------------- */

static bool shards_are_sound(const struct mkv_native_shards *shards) {
    bool sound = shards->shard_count >= 1 && shards->shard < shards->shard_count &&
                 shards->drive_count <= MKV_VOLUMES_MAX;
    for (uint32_t index = 0; sound && index < shards->drive_count; index++) {
        sound = shards->drives[index].weight >= 1 &&
                shards->drives[index].weight <= MKV_NATIVE_WEIGHT_MAX &&
                shards->drives[index].shard < shards->shard_count;
    }
    return sound;
}

uint32_t mkv_native_shards_encode(const struct mkv_native_shards *shards, uint8_t *bytes) {
    MKV_ASSERT(shards_are_sound(shards));
    mkv_store_u32(bytes, shards->shard);
    mkv_store_u32(bytes + 4, shards->shard_count);
    uint8_t *drive = bytes + MKV_NATIVE_SHARDS_BYTES;
    for (uint32_t index = 0; index < shards->drive_count; index++) {
        memcpy(drive, shards->drives[index].uuid.bytes, sizeof shards->drives[index].uuid.bytes);
        mkv_store_u32(drive + 16, shards->drives[index].weight);
        mkv_store_u32(drive + 20, shards->drives[index].shard);
        drive += MKV_NATIVE_SHARD_DRIVE_BYTES;
    }
    return (uint32_t)(drive - bytes);
}

enum mkv_native_error mkv_native_shards_decode(const uint8_t *bytes, uint32_t byte_count,
                                               struct mkv_native_shards *shards) {
    if (byte_count < MKV_NATIVE_SHARDS_BYTES || byte_count > MKV_NATIVE_SHARDS_BYTES_MAX ||
        (byte_count - MKV_NATIVE_SHARDS_BYTES) % MKV_NATIVE_SHARD_DRIVE_BYTES != 0) {
        return MKV_NATIVE_BAD_BODY_BYTES;
    }
    memset(shards, 0, sizeof *shards);
    shards->shard = mkv_load_u32(bytes);
    shards->shard_count = mkv_load_u32(bytes + 4);
    shards->drive_count = (byte_count - MKV_NATIVE_SHARDS_BYTES) / MKV_NATIVE_SHARD_DRIVE_BYTES;
    const uint8_t *drive = bytes + MKV_NATIVE_SHARDS_BYTES;
    for (uint32_t index = 0; index < shards->drive_count; index++) {
        memcpy(shards->drives[index].uuid.bytes, drive, sizeof shards->drives[index].uuid.bytes);
        shards->drives[index].weight = mkv_load_u32(drive + 16);
        shards->drives[index].shard = mkv_load_u32(drive + 20);
        drive += MKV_NATIVE_SHARD_DRIVE_BYTES;
    }
    return shards_are_sound(shards) ? MKV_NATIVE_OK : MKV_NATIVE_BAD_LIMIT;
}
