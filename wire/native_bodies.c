/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of fixed size: results, READY, DATA, TAKEN, and both sides of WINDOW, CONNECT and HELLO.
 */
#include "wire/native.h"

#include <string.h>

#include "core/bytes.h"
#include "wire/lane.h"
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
    MKV_ASSERT(data->window_offset == 0 || data->remote.address == 0);
    memset(bytes, 0, MKV_NATIVE_DATA_BYTES);
    mkv_store_u32(bytes + 0, data->item);
    mkv_store_u32(bytes + 4, data->remote.key);
    mkv_store_u64(bytes + 8, data->offset);
    mkv_store_u64(bytes + 16, data->length);
    mkv_store_u64(bytes + 24, data->bytes);
    memcpy(bytes + 32, data->root.bytes, sizeof data->root.bytes);
    mkv_store_u64(bytes + 48, data->window_offset | data->remote.address);
}

enum mkv_native_error mkv_native_data_decode(const struct mkv_native_header *header,
                                             const uint8_t *bytes, struct mkv_native_data *data) {
    const bool is_window = (header->flags & MKV_NATIVE_FLAG_WINDOW) != 0;
    const bool is_remote = (header->flags & MKV_NATIVE_FLAG_REMOTE) != 0;
    const uint64_t place = mkv_load_u64(bytes + 48);
    data->item = mkv_load_u32(bytes + 0);
    data->offset = mkv_load_u64(bytes + 8);
    data->length = mkv_load_u64(bytes + 16);
    data->bytes = mkv_load_u64(bytes + 24);
    memcpy(data->root.bytes, bytes + 32, sizeof data->root.bytes);
    data->window_offset = is_window ? place : 0;
    data->remote = (struct mkv_native_remote){.address = is_remote ? place : 0,
                                              .key = is_remote ? mkv_load_u32(bytes + 4) : 0};
    if ((!is_remote && !mkv_native_is_zero(bytes + 4, 4)) ||
        (!is_window && !is_remote && place != 0)) {
        return MKV_NATIVE_NOT_ZERO;
    }
    const enum mkv_native_error error = check_data(data);
    if (error != MKV_NATIVE_OK) {
        return error;
    }
    if (is_remote && data->remote.address > UINT64_MAX - data->bytes) {
        return MKV_NATIVE_BAD_LENGTH;
    }
    return header->payload_bytes == (is_window || is_remote ? 0 : data->bytes)
               ? MKV_NATIVE_OK
               : MKV_NATIVE_BAD_PAYLOAD_BYTES;
}

void mkv_native_taken_encode(uint64_t count, uint8_t *bytes) {
    memset(bytes, 0, MKV_NATIVE_TAKEN_BYTES);
    mkv_store_u64(bytes, count);
}

enum mkv_native_error mkv_native_taken_decode(const uint8_t *bytes, uint64_t *count) {
    *count = mkv_load_u64(bytes);
    return mkv_native_is_zero(bytes + 8, 8) ? MKV_NATIVE_OK : MKV_NATIVE_NOT_ZERO;
}

void mkv_native_window_encode(uint64_t window_bytes, uint8_t *bytes) {
    memset(bytes, 0, MKV_NATIVE_WINDOW_BYTES);
    mkv_store_u64(bytes, window_bytes);
}

enum mkv_native_error mkv_native_window_decode(const uint8_t *bytes, uint64_t *window_bytes) {
    *window_bytes = mkv_load_u64(bytes);
    return mkv_native_is_zero(bytes + 8, 8) ? MKV_NATIVE_OK : MKV_NATIVE_NOT_ZERO;
}

/* ---- CONNECT --------------------------------------------------------------------------------- */

#define CONNECT_24_BITS 0xffffffu
#define CONNECT_READS_MAX 255u
#define CONNECT_SERVICE_LEVEL_MAX 15u
#define CONNECT_RESERVED_AT 46u

_Static_assert(MKV_LANE_REASON_COUNT <= MKV_NATIVE_FALLBACK_REFUSED, "reasons have numbers below");
/* These numbers are the protocol's: they do not change, and others come behind them. */
_Static_assert(MKV_LANE_REASON_CLOSED == 1, "");
_Static_assert(MKV_LANE_REASON_PEER == 2, "");
_Static_assert(MKV_LANE_REASON_LOCAL_ERROR == 3, "");
_Static_assert(MKV_LANE_REASON_REMOTE_ERROR == 4, "");
_Static_assert(MKV_LANE_REASON_RETRY_EXCEEDED == 5, "");
_Static_assert(MKV_LANE_REASON_RNR_EXCEEDED == 6, "");
_Static_assert(MKV_LANE_REASON_FLUSHED == 7, "");
_Static_assert(MKV_LANE_REASON_OTHER == 8, "");
_Static_assert(MKV_LANE_REASON_PROBE == 9, "");
_Static_assert(MKV_LANE_REASON_SILENT == 10, "");
_Static_assert(MKV_LANE_REASON_PROTOCOL == 11, "");
_Static_assert(MKV_LANE_REASON_PORT_DOWN == 12, "");
_Static_assert(MKV_LANE_REASON_DEVICE == 13, "");

uint32_t mkv_native_fallback_known(uint32_t fallback) {
    const bool is_known =
        fallback < MKV_LANE_REASON_COUNT || fallback == MKV_NATIVE_FALLBACK_REFUSED;
    return is_known ? fallback : MKV_LANE_REASON_OTHER;
}

static bool is_mtu(uint32_t bytes) {
    return bytes >= 256 && bytes <= 4096 && (bytes & (bytes - 1)) == 0;
}

static enum mkv_native_error check_connect(bool is_answer,
                                           const struct mkv_native_connect *connect) {
    const bool needs_gid = connect->link == MKV_NATIVE_LINK_ETHERNET;
    if (connect->queue_pair < 2 || connect->queue_pair > CONNECT_24_BITS ||
        connect->packet_number > CONNECT_24_BITS || !is_mtu(connect->mtu_bytes) ||
        connect->message_bytes < MKV_LANE_MESSAGE_BYTES_MIN ||
        connect->message_bytes > MKV_LANE_MESSAGE_BYTES_MAX ||
        connect->receives < MKV_LANE_CREDITS_MIN || connect->receives > MKV_LANE_CREDITS_MAX ||
        connect->reads > CONNECT_READS_MAX || connect->service_level > CONNECT_SERVICE_LEVEL_MAX ||
        (needs_gid && mkv_native_is_zero(connect->gid, sizeof connect->gid))) {
        return MKV_NATIVE_BAD_LANE;
    }
    if (is_answer ? connect->epoch == 0 : connect->reads == 0) {
        return MKV_NATIVE_BAD_LANE;
    }
    const bool is_clean = is_answer ? connect->fallback == 0
                                    : connect->epoch == 0 && connect->traffic_class == 0 &&
                                          connect->service_level == 0;
    return is_clean ? MKV_NATIVE_OK : MKV_NATIVE_NOT_ZERO;
}

void mkv_native_connect_encode(const struct mkv_native_connect *connect, uint8_t *bytes) {
    MKV_ASSERT(connect->link == MKV_NATIVE_LINK_ETHERNET ||
               connect->link == MKV_NATIVE_LINK_INFINIBAND);
    MKV_ASSERT(connect->lid <= UINT16_MAX);
    MKV_ASSERT(connect->fallback <= UINT8_MAX);
    MKV_ASSERT(connect->traffic_class <= UINT8_MAX);
    MKV_ASSERT(check_connect(connect->epoch != 0, connect) == MKV_NATIVE_OK);
    memset(bytes, 0, MKV_NATIVE_CONNECT_BYTES);
    memcpy(bytes + 0, connect->gid, sizeof connect->gid);
    mkv_store_u32(bytes + 16, connect->queue_pair);
    mkv_store_u32(bytes + 20, connect->packet_number);
    mkv_store_u32(bytes + 24, connect->epoch);
    mkv_store_u32(bytes + 28, connect->mtu_bytes);
    mkv_store_u32(bytes + 32, connect->message_bytes);
    mkv_store_u16(bytes + 36, (uint16_t)connect->receives);
    mkv_store_u16(bytes + 38, (uint16_t)connect->reads);
    mkv_store_u16(bytes + 40, (uint16_t)connect->lid);
    bytes[42] = (uint8_t)connect->link;
    bytes[43] = (uint8_t)connect->fallback;
    bytes[44] = (uint8_t)connect->traffic_class;
    bytes[45] = (uint8_t)connect->service_level;
}

enum mkv_native_error mkv_native_connect_decode(const struct mkv_native_header *header,
                                                const uint8_t *bytes,
                                                struct mkv_native_connect *connect) {
    if (bytes[42] != MKV_NATIVE_LINK_ETHERNET && bytes[42] != MKV_NATIVE_LINK_INFINIBAND) {
        return MKV_NATIVE_BAD_LANE;
    }
    memcpy(connect->gid, bytes + 0, sizeof connect->gid);
    connect->queue_pair = mkv_load_u32(bytes + 16);
    connect->packet_number = mkv_load_u32(bytes + 20);
    connect->epoch = mkv_load_u32(bytes + 24);
    connect->mtu_bytes = mkv_load_u32(bytes + 28);
    connect->message_bytes = mkv_load_u32(bytes + 32);
    connect->receives = mkv_load_u16(bytes + 36);
    connect->reads = mkv_load_u16(bytes + 38);
    connect->lid = mkv_load_u16(bytes + 40);
    connect->link = (enum mkv_native_link)bytes[42];
    connect->fallback = bytes[43];
    connect->traffic_class = bytes[44];
    connect->service_level = bytes[45];
    if (!mkv_native_is_zero(bytes + CONNECT_RESERVED_AT,
                            MKV_NATIVE_CONNECT_BYTES - CONNECT_RESERVED_AT)) {
        return MKV_NATIVE_NOT_ZERO;
    }
    return check_connect((header->flags & MKV_NATIVE_FLAG_ANSWER) != 0, connect);
}

/* ---- HELLO ----------------------------------------------------------------------------------- */

static bool versions_are_ours(uint16_t version_min, uint16_t version_max) {
    return version_min >= 1 && version_min <= MKV_NATIVE_VERSION &&
           version_max >= MKV_NATIVE_VERSION;
}

void mkv_native_hello_encode(const struct mkv_native_hello *hello, uint8_t *bytes) {
    MKV_ASSERT(versions_are_ours(hello->version_min, hello->version_max));
    MKV_ASSERT(hello->features <= MKV_NATIVE_FEATURES_MAX);
    MKV_ASSERT(hello->fallback <= UINT8_MAX);
    memset(bytes, 0, MKV_NATIVE_HELLO_BYTES);
    mkv_store_u16(bytes + 0, hello->version_min);
    mkv_store_u16(bytes + 2, hello->version_max);
    mkv_store_u32(bytes + 4, hello->home);
    mkv_store_u64(bytes + 8, hello->features);
    bytes[15] = (uint8_t)hello->fallback;
    text_encode(hello->name, bytes + 16, HELLO_NAME_BYTES);
}

enum mkv_native_error mkv_native_hello_decode(const uint8_t *bytes,
                                              struct mkv_native_hello *hello) {
    hello->version_min = mkv_load_u16(bytes + 0);
    hello->version_max = mkv_load_u16(bytes + 2);
    hello->home = mkv_load_u32(bytes + 4);
    hello->features = mkv_load_u64(bytes + 8) & MKV_NATIVE_FEATURES_MAX;
    hello->fallback = bytes[15];
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
