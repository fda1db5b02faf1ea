/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers and request items; the other bodies are in native_bodies.c, the words in native_names.c.
 */
#include "wire/native.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "wire/native_check.h"

#define CHECKSUM_OFFSET 56u

/* What a frame of one op may hold, as a request (or READY, DATA) and as an answer with status ok.
 */
struct shape {
    uint32_t item_count_min;
    uint32_t item_count_max;
    uint64_t body_bytes_min;
    uint64_t body_bytes_max;
    uint64_t payload_bytes_max;
};

/* The payload is not in the frame. */
#define FLAGS_ELSEWHERE (MKV_NATIVE_FLAG_WINDOW | MKV_NATIVE_FLAG_REMOTE)

_Static_assert(MKV_NATIVE_HEADER_BYTES == CHECKSUM_OFFSET + 8u, "the checksum ends a header");
_Static_assert(MKV_NATIVE_BODY_BYTES_MAX >= MKV_NATIVE_ITEMS_MAX * MKV_NATIVE_RESULT_BYTES,
               "the results of the largest request fit into a body");

static struct shape shape_of_request(const struct mkv_native_header *header) {
    switch (header->op) {
    case MKV_NATIVE_HELLO:
        return (struct shape){0, 0,
                              MKV_NATIVE_HELLO_BYTES + mkv_native_ring_bytes(header) +
                                  mkv_native_auth_bytes(header),
                              MKV_NATIVE_HELLO_BYTES + MKV_TENANT_STORED_NAME_BYTES_MAX +
                                  mkv_native_ring_bytes(header) + mkv_native_auth_bytes(header),
                              0};
    case MKV_NATIVE_AUTH:
        return (struct shape){0, 0, MKV_NATIVE_AUTH_BYTES, MKV_NATIVE_AUTH_BYTES, 0};
    case MKV_NATIVE_WINDOW:
        return (struct shape){0, 0, MKV_NATIVE_WINDOW_BYTES, MKV_NATIVE_WINDOW_BYTES, 0};
    case MKV_NATIVE_CONNECT:
        return (struct shape){0, 0, MKV_NATIVE_CONNECT_BYTES, MKV_NATIVE_CONNECT_BYTES, 0};
    case MKV_NATIVE_READY:
        return (struct shape){0, 0, MKV_NATIVE_READY_BYTES, MKV_NATIVE_READY_BYTES, 0};
    case MKV_NATIVE_DATA:
        return (struct shape){0, 0, MKV_NATIVE_DATA_BYTES, MKV_NATIVE_DATA_BYTES,
                              (header->flags & FLAGS_ELSEWHERE) != 0 ? 0 : MKV_BLOCK_BYTES_MAX};
    case MKV_NATIVE_TAKEN:
        return (struct shape){0, 0, MKV_NATIVE_TAKEN_BYTES, MKV_NATIVE_TAKEN_BYTES, 0};
    case MKV_NATIVE_PING:
        return (struct shape){0, 0, mkv_native_ring_bytes(header), mkv_native_ring_bytes(header),
                              0};
    case MKV_NATIVE_STATS:
    case MKV_NATIVE_SHARDS:
        return (struct shape){0, 0, 0, 0, 0};
    case MKV_NATIVE_PUT:
    case MKV_NATIVE_GET:
    case MKV_NATIVE_LOOKUP:
    case MKV_NATIVE_EXISTS:
    case MKV_NATIVE_DELETE:
    case MKV_NATIVE_PIN:
    case MKV_NATIVE_UNPIN:
    case MKV_NATIVE_SESSION:
    case MKV_NATIVE_ALLOCATE:
    case MKV_NATIVE_COMMIT:
        break;
    }
    const bool is_window = (header->flags & MKV_NATIVE_FLAG_WINDOW) != 0;
    const bool is_remote = (header->flags & MKV_NATIVE_FLAG_REMOTE) != 0;
    const uint32_t item_count_max = is_window   ? MKV_NATIVE_WINDOW_ITEMS_MAX
                                    : is_remote ? MKV_NATIVE_REMOTE_ITEMS_MAX
                                                : MKV_NATIVE_ITEMS_MAX;
    const uint64_t item_bytes = MKV_NATIVE_ITEM_BYTES + (is_remote ? MKV_NATIVE_REMOTE_BYTES : 0);
    const uint64_t fixed = header->item_count * item_bytes + mkv_native_trace_bytes(header);
    if (header->op == MKV_NATIVE_SESSION) {
        return (struct shape){1, MKV_NATIVE_ITEMS_MAX, fixed, fixed, 0};
    }
    const bool is_inline = (header->flags & MKV_NATIVE_FLAG_INLINE) != 0;
    if (header->op == MKV_NATIVE_COMMIT) {
        return (struct shape){1, item_count_max, fixed, fixed,
                              is_inline ? MKV_NATIVE_INLINE_BYTES_MAX : 0};
    }
    const uint64_t body_bytes_max = fixed + (uint64_t)header->item_count * MKV_KEY_BYTES_MAX;
    return (struct shape){1, item_count_max, fixed + header->item_count,
                          mkv_min_u64(body_bytes_max, MKV_NATIVE_BODY_BYTES_MAX),
                          is_inline ? MKV_NATIVE_INLINE_BYTES_MAX : 0};
}

static struct shape shape_of_answer(const struct mkv_native_header *header) {
    if (header->status != MKV_STATUS_OK) {
        return (struct shape){0, 0, 0, MKV_NATIVE_TEXT_BYTES_MAX, 0};
    }
    switch (header->op) {
    case MKV_NATIVE_HELLO:
        return (struct shape){0, 0, MKV_NATIVE_HELLO_ANSWER_BYTES + mkv_native_auth_bytes(header),
                              MKV_NATIVE_HELLO_ANSWER_BYTES + mkv_native_auth_bytes(header), 0};
    case MKV_NATIVE_STATS:
        return (struct shape){0, 0, 0, MKV_NATIVE_BODY_BYTES_MAX, 0};
    case MKV_NATIVE_SHARDS:
        return (struct shape){0, 0, MKV_NATIVE_SHARDS_BYTES, MKV_NATIVE_SHARDS_BYTES_MAX, 0};
    case MKV_NATIVE_WINDOW:
        return (struct shape){0, 0, MKV_NATIVE_WINDOW_BYTES, MKV_NATIVE_WINDOW_BYTES, 0};
    case MKV_NATIVE_CONNECT:
        return (struct shape){0, 0, MKV_NATIVE_CONNECT_BYTES, MKV_NATIVE_CONNECT_BYTES, 0};
    case MKV_NATIVE_LOOKUP:
        return (struct shape){1, 1, MKV_NATIVE_RESULT_BYTES, MKV_NATIVE_RESULT_BYTES, 0};
    case MKV_NATIVE_READY:
    case MKV_NATIVE_DATA:
    case MKV_NATIVE_TAKEN:
    case MKV_NATIVE_PING:
    case MKV_NATIVE_AUTH:
        return (struct shape){0, 0, 0, 0, 0};
    case MKV_NATIVE_PUT:
    case MKV_NATIVE_GET:
    case MKV_NATIVE_EXISTS:
    case MKV_NATIVE_DELETE:
    case MKV_NATIVE_PIN:
    case MKV_NATIVE_UNPIN:
    case MKV_NATIVE_SESSION:
    case MKV_NATIVE_ALLOCATE:
    case MKV_NATIVE_COMMIT:
        break;
    }
    const uint64_t results_bytes = (uint64_t)header->item_count * MKV_NATIVE_RESULT_BYTES;
    return (struct shape){1, MKV_NATIVE_ITEMS_MAX, results_bytes, results_bytes, 0};
}

static bool has_items(enum mkv_native_op op) {
    return op != MKV_NATIVE_HELLO && op != MKV_NATIVE_READY && op != MKV_NATIVE_DATA &&
           op != MKV_NATIVE_STATS && op != MKV_NATIVE_PING && op != MKV_NATIVE_AUTH &&
           op != MKV_NATIVE_SHARDS && op != MKV_NATIVE_WINDOW && op != MKV_NATIVE_CONNECT &&
           op != MKV_NATIVE_TAKEN;
}

static enum mkv_native_error check_flags(const struct mkv_native_header *header) {
    const uint32_t known = MKV_NATIVE_FLAG_ANSWER | MKV_NATIVE_FLAG_INLINE | MKV_NATIVE_FLAG_TRACE |
                           MKV_NATIVE_FLAG_AUTH | MKV_NATIVE_FLAG_RING | MKV_NATIVE_FLAG_WINDOW |
                           MKV_NATIVE_FLAG_REMOTE;
    if ((header->flags & ~known) != 0) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    const bool is_answer = (header->flags & MKV_NATIVE_FLAG_ANSWER) != 0;
    if ((header->flags & MKV_NATIVE_FLAG_TRACE) != 0 && (is_answer || !has_items(header->op))) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    if ((header->flags & MKV_NATIVE_FLAG_INLINE) != 0 &&
        (is_answer || (header->op != MKV_NATIVE_PUT && header->op != MKV_NATIVE_COMMIT))) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    if ((header->flags & MKV_NATIVE_FLAG_WINDOW) != 0 &&
        (is_answer || (header->op != MKV_NATIVE_GET && header->op != MKV_NATIVE_DATA))) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    const bool may_be_remote = header->op == MKV_NATIVE_PUT || header->op == MKV_NATIVE_COMMIT ||
                               header->op == MKV_NATIVE_GET || header->op == MKV_NATIVE_DATA;
    if ((header->flags & MKV_NATIVE_FLAG_REMOTE) != 0 &&
        (is_answer || !may_be_remote ||
         (header->flags & (MKV_NATIVE_FLAG_INLINE | MKV_NATIVE_FLAG_WINDOW)) != 0)) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    /* A refusal proves nothing. */
    if ((header->flags & MKV_NATIVE_FLAG_AUTH) != 0 &&
        (header->op != MKV_NATIVE_HELLO || header->status != MKV_STATUS_OK)) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    if ((header->flags & MKV_NATIVE_FLAG_RING) != 0 &&
        (is_answer || (header->op != MKV_NATIVE_HELLO && header->op != MKV_NATIVE_PING))) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    /* These end no request; their op stands in an answer only when one is refused. */
    const bool ends_nothing = header->op == MKV_NATIVE_READY || header->op == MKV_NATIVE_DATA ||
                              header->op == MKV_NATIVE_TAKEN;
    if (ends_nothing && is_answer && header->status == MKV_STATUS_OK) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    if (!is_answer && header->status != MKV_STATUS_OK) {
        return MKV_NATIVE_BAD_STATUS;
    }
    return MKV_NATIVE_OK;
}

/* Everything about a header whose numbers are known enumerators. */
static enum mkv_native_error check_header(const struct mkv_native_header *header) {
    const enum mkv_native_error error = check_flags(header);
    if (error != MKV_NATIVE_OK) {
        return error;
    }
    const bool is_answer = (header->flags & MKV_NATIVE_FLAG_ANSWER) != 0;
    const struct shape shape = is_answer ? shape_of_answer(header) : shape_of_request(header);
    if (header->item_count < shape.item_count_min || header->item_count > shape.item_count_max) {
        return MKV_NATIVE_BAD_ITEM_COUNT;
    }
    if (header->body_bytes < shape.body_bytes_min || header->body_bytes > shape.body_bytes_max) {
        return MKV_NATIVE_BAD_BODY_BYTES;
    }
    if (header->payload_bytes > shape.payload_bytes_max) {
        return MKV_NATIVE_BAD_PAYLOAD_BYTES;
    }
    return MKV_NATIVE_OK;
}

void mkv_native_header_encode(const struct mkv_native_header *header, uint8_t *bytes) {
    MKV_ASSERT(header->op >= MKV_NATIVE_HELLO);
    MKV_ASSERT(header->op <= MKV_NATIVE_OP_LAST);
    MKV_ASSERT((uint32_t)header->status < MKV_STATUS_COUNT);
    MKV_ASSERT(check_header(header) == MKV_NATIVE_OK);
    memset(bytes, 0, MKV_NATIVE_HEADER_BYTES);
    mkv_store_u32(bytes + 0, MKV_NATIVE_MAGIC);
    bytes[4] = MKV_NATIVE_VERSION;
    bytes[5] = (uint8_t)header->op;
    mkv_store_u16(bytes + 6, (uint16_t)header->flags);
    mkv_store_u64(bytes + 8, header->request_id);
    mkv_store_u32(bytes + 16, header->tenant);
    mkv_store_u32(bytes + 20, header->item_count);
    mkv_store_u32(bytes + 24, header->body_bytes);
    mkv_store_u32(bytes + 28, header->deadline_ms);
    mkv_store_u64(bytes + 32, header->payload_bytes);
    mkv_store_u32(bytes + 40, (uint32_t)header->status);
    mkv_store_u64(bytes + CHECKSUM_OFFSET, mkv_hash_64(bytes, CHECKSUM_OFFSET));
}

enum mkv_native_error mkv_native_header_decode(const uint8_t *bytes,
                                               struct mkv_native_header *header) {
    *header = (struct mkv_native_header){.op = MKV_NATIVE_PING};
    if (mkv_load_u32(bytes) != MKV_NATIVE_MAGIC) {
        return MKV_NATIVE_BAD_MAGIC;
    }
    /* Before the checksum: another version may keep it elsewhere, and is to be named as such. */
    if (bytes[4] != MKV_NATIVE_VERSION) {
        return MKV_NATIVE_BAD_VERSION;
    }
    if (mkv_load_u64(bytes + CHECKSUM_OFFSET) != mkv_hash_64(bytes, CHECKSUM_OFFSET)) {
        return MKV_NATIVE_BAD_CHECKSUM;
    }
    header->request_id = mkv_load_u64(bytes + 8);
    if (bytes[5] < MKV_NATIVE_HELLO || bytes[5] > MKV_NATIVE_OP_LAST) {
        return MKV_NATIVE_BAD_OP;
    }
    header->op = (enum mkv_native_op)bytes[5];
    header->flags = mkv_load_u16(bytes + 6);
    header->tenant = mkv_load_u32(bytes + 16);
    header->item_count = mkv_load_u32(bytes + 20);
    header->body_bytes = mkv_load_u32(bytes + 24);
    header->deadline_ms = mkv_load_u32(bytes + 28);
    header->payload_bytes = mkv_load_u64(bytes + 32);
    const uint32_t status = mkv_load_u32(bytes + 40);
    if (status >= MKV_STATUS_COUNT) {
        return MKV_NATIVE_BAD_STATUS;
    }
    header->status = (enum mkv_status)status;
    if (!mkv_native_is_zero(bytes + 44, 12)) {
        return MKV_NATIVE_NOT_ZERO;
    }
    return check_header(header);
}

/* Whether one item of a SESSION is well formed. */
static enum mkv_native_error check_session(const struct mkv_native_item *item) {
    const bool exits = item->action == MKV_SESSION_EXIT_THINK;
    if (item->key_bytes != 0) {
        return MKV_NATIVE_BAD_KEY_BYTES;
    }
    if (item->session == 0 || item->action < MKV_SESSION_BEGIN ||
        item->action > MKV_SESSION_ACTION_MAX || item->reason > MKV_THINK_EXIT_MAX ||
        (exits && item->reason == 0)) {
        return MKV_NATIVE_BAD_SESSION;
    }
    if (item->length > MKV_NATIVE_VALUE_BYTES_MAX) {
        return MKV_NATIVE_BAD_LENGTH;
    }
    if (item->flags != 0) {
        return MKV_NATIVE_BAD_ITEM_FLAGS;
    }
    const bool is_clean = item->seconds == 0 &&
                          (exits || (item->length == 0 && item->reason == 0)) &&
                          mkv_native_is_zero(item->root.bytes, sizeof item->root.bytes);
    return is_clean ? MKV_NATIVE_OK : MKV_NATIVE_NOT_ZERO;
}

/* Whether one item of a COMMIT is well formed. */
static enum mkv_native_error check_commit(const struct mkv_native_item *item) {
    if (item->key_bytes != 0) {
        return MKV_NATIVE_BAD_KEY_BYTES;
    }
    if (item->reservation < 1 || item->reservation > MKV_NATIVE_RESERVATION_MAX ||
        item->length > MKV_BLOCK_BYTES_MAX) {
        return MKV_NATIVE_BAD_LENGTH;
    }
    if ((item->flags & ~MKV_NATIVE_ITEM_ABANDON) != 0) {
        return MKV_NATIVE_BAD_ITEM_FLAGS;
    }
    const bool abandons = item->flags != 0;
    const bool is_clean = item->seconds == 0 && (!abandons || item->length == 0) &&
                          mkv_native_is_zero(item->root.bytes, sizeof item->root.bytes);
    return is_clean ? MKV_NATIVE_OK : MKV_NATIVE_NOT_ZERO;
}

/* Whether one item of a request is what `op` takes. */
static enum mkv_native_error check_item(enum mkv_native_op op, const struct mkv_native_item *item) {
    if (op == MKV_NATIVE_SESSION) {
        return check_session(item);
    }
    if (op == MKV_NATIVE_COMMIT) {
        return check_commit(item);
    }
    if (item->key_bytes < 1 || item->key_bytes > MKV_KEY_BYTES_MAX) {
        return MKV_NATIVE_BAD_KEY_BYTES;
    }
    if (item->offset > MKV_NATIVE_VALUE_BYTES_MAX ||
        item->length > MKV_NATIVE_VALUE_BYTES_MAX - item->offset) {
        return MKV_NATIVE_BAD_LENGTH;
    }
    const bool stores = op == MKV_NATIVE_PUT || op == MKV_NATIVE_ALLOCATE;
    const uint32_t flags = stores ? MKV_NATIVE_ITEM_FLAGS : 0;
    if ((item->flags & ~flags) != 0) {
        return MKV_NATIVE_BAD_ITEM_FLAGS;
    }
    if (item->tier_hint > MKV_TIER_HINT_MAX) {
        return MKV_NATIVE_BAD_SESSION;
    }
    const bool has_length = stores || op == MKV_NATIVE_GET;
    if ((op != MKV_NATIVE_GET && item->offset != 0) ||
        (!stores && op != MKV_NATIVE_PIN && item->seconds != 0) ||
        (!has_length && item->length != 0) ||
        (!stores && !mkv_native_is_zero(item->root.bytes, sizeof item->root.bytes))) {
        return MKV_NATIVE_NOT_ZERO;
    }
    return op == MKV_NATIVE_PIN && item->seconds == 0 ? MKV_NATIVE_BAD_SECONDS : MKV_NATIVE_OK;
}

void mkv_native_item_encode(const struct mkv_native_item *item, uint8_t *bytes) {
    if (item->action != 0) {
        MKV_ASSERT(check_session(item) == MKV_NATIVE_OK);
    } else if (item->reservation != 0) {
        MKV_ASSERT(check_commit(item) == MKV_NATIVE_OK);
    } else {
        MKV_ASSERT(item->key_bytes >= 1);
        MKV_ASSERT((item->flags & ~MKV_NATIVE_ITEM_FLAGS) == 0);
    }
    MKV_ASSERT(item->key_bytes <= MKV_KEY_BYTES_MAX);
    MKV_ASSERT(item->offset <= MKV_NATIVE_VALUE_BYTES_MAX);
    MKV_ASSERT(item->length <= MKV_NATIVE_VALUE_BYTES_MAX - item->offset);
    MKV_ASSERT(item->offset == 0 || item->session == 0);
    MKV_ASSERT(item->reservation == 0 || (item->offset == 0 && item->session == 0));
    MKV_ASSERT(item->tier_hint <= MKV_TIER_HINT_MAX);
    MKV_ASSERT(item->action == 0 || item->tier_hint == 0);
    memset(bytes, 0, MKV_NATIVE_ITEM_BYTES);
    mkv_store_u64(bytes + 0, item->offset | item->session | item->reservation);
    mkv_store_u64(bytes + 8, item->length);
    memcpy(bytes + 16, item->root.bytes, sizeof item->root.bytes);
    if (item->window_offset != 0) {
        MKV_ASSERT(mkv_native_is_zero(item->root.bytes, sizeof item->root.bytes));
        mkv_store_u64(bytes + 16, item->window_offset);
    }
    mkv_store_u32(bytes + 32, item->flags);
    mkv_store_u16(bytes + 36, (uint16_t)item->key_bytes);
    bytes[38] = (uint8_t)(item->action != 0 ? item->action : item->tier_hint);
    bytes[39] = (uint8_t)item->reason;
    mkv_store_u32(bytes + 40, item->seconds);
}

/* Of a GET into the window: where it goes stands in the place of the root, and it says how much it
 * is. What is left of the root has to be 0. */
static bool take_window_offset(struct mkv_native_item *item) {
    item->window_offset = mkv_load_u64(item->root.bytes);
    memset(item->root.bytes, 0, 8);
    return item->length > 0 && item->window_offset <= MKV_NATIVE_VALUE_BYTES_MAX;
}

void mkv_native_remote_encode(const struct mkv_native_remote *remote, uint8_t *bytes) {
    mkv_store_u64(bytes + 0, remote->address);
    mkv_store_u32(bytes + 8, remote->key);
    mkv_store_u32(bytes + 12, remote->slots);
}

/* The memory of an item, whose length is right. */
static enum mkv_native_error take_remote(const struct mkv_native_header *header,
                                         const uint8_t *bytes, struct mkv_native_item *item) {
    const bool is_get = header->op == MKV_NATIVE_GET;
    item->remote.address = mkv_load_u64(bytes + 0);
    item->remote.key = mkv_load_u32(bytes + 8);
    item->remote.slots = mkv_load_u32(bytes + 12);
    if (item->remote.slots > 0) {
        if (!is_get) {
            return MKV_NATIVE_NOT_ZERO;
        }
        const uint64_t room = (uint64_t)item->remote.slots * MKV_NATIVE_SLOT_BYTES;
        return header->item_count == 1 && item->remote.slots <= MKV_NATIVE_SLOTS_MAX &&
                       item->remote.address <= UINT64_MAX - room
                   ? MKV_NATIVE_OK
                   : MKV_NATIVE_BAD_LENGTH;
    }
    if (item->length == 0) {
        const bool is_clean = item->remote.address == 0 && item->remote.key == 0;
        return is_get ? MKV_NATIVE_BAD_LENGTH : is_clean ? MKV_NATIVE_OK : MKV_NATIVE_NOT_ZERO;
    }
    return item->remote.address <= UINT64_MAX - item->length ? MKV_NATIVE_OK
                                                             : MKV_NATIVE_BAD_LENGTH;
}

enum mkv_native_error mkv_native_items_decode(const struct mkv_native_header *header,
                                              const uint8_t *body, struct mkv_native_item *items,
                                              uint32_t *keys_offset) {
    MKV_ASSERT(header->item_count >= 1);
    MKV_ASSERT(header->item_count <= MKV_NATIVE_ITEMS_MAX);
    const uint32_t items_bytes = header->item_count * MKV_NATIVE_ITEM_BYTES;
    *keys_offset = items_bytes + mkv_native_remote_bytes(header);
    MKV_ASSERT(header->body_bytes >= *keys_offset);
    uint64_t body_bytes = *keys_offset;
    uint64_t length_sum = 0;
    const bool into_window = (header->flags & MKV_NATIVE_FLAG_WINDOW) != 0;
    const bool is_remote = (header->flags & MKV_NATIVE_FLAG_REMOTE) != 0;
    for (uint32_t index = 0; index < header->item_count; index++) {
        const uint8_t *bytes = body + (size_t)index * MKV_NATIVE_ITEM_BYTES;
        struct mkv_native_item *item = &items[index];
        const uint64_t first = mkv_load_u64(bytes + 0);
        const bool tells = header->op == MKV_NATIVE_SESSION;
        const bool puts = header->op == MKV_NATIVE_PUT || header->op == MKV_NATIVE_ALLOCATE;
        const bool commits = header->op == MKV_NATIVE_COMMIT;
        item->offset = tells || puts || commits ? 0 : first;
        item->session = tells || puts ? first : 0;
        item->reservation = commits ? first : 0;
        item->length = mkv_load_u64(bytes + 8);
        memcpy(item->root.bytes, bytes + 16, sizeof item->root.bytes);
        item->window_offset = 0;
        item->remote = (struct mkv_native_remote){0};
        item->flags = mkv_load_u32(bytes + 32);
        item->key_bytes = mkv_load_u16(bytes + 36);
        item->seconds = mkv_load_u32(bytes + 40);
        item->tier_hint = puts ? bytes[38] : 0;
        item->action = tells ? bytes[38] : 0;
        if (into_window && !take_window_offset(item)) {
            return MKV_NATIVE_BAD_LENGTH;
        }
        item->reason = tells ? bytes[39] : 0;
        enum mkv_native_error error = check_item(header->op, item);
        if (error == MKV_NATIVE_OK && is_remote) {
            error = take_remote(header,
                                body + items_bytes + (size_t)index * MKV_NATIVE_REMOTE_BYTES, item);
        }
        if (error != MKV_NATIVE_OK) {
            return error;
        }
        if ((!tells && !puts && bytes[38] != 0) || (!tells && bytes[39] != 0) ||
            !mkv_native_is_zero(bytes + 44, 4)) {
            return MKV_NATIVE_NOT_ZERO;
        }
        body_bytes += item->key_bytes;
        length_sum += item->length; /* at most 256 times 2^40: no wrap */
    }
    if (body_bytes + mkv_native_trace_bytes(header) != header->body_bytes) {
        return MKV_NATIVE_BAD_KEY_BYTES;
    }
    const bool is_inline = (header->flags & MKV_NATIVE_FLAG_INLINE) != 0;
    if (is_inline && length_sum != header->payload_bytes) {
        return MKV_NATIVE_BAD_PAYLOAD_BYTES;
    }
    return MKV_NATIVE_OK;
}
