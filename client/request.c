/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From items to requests: which items may share a request, and the bytes of its frame.
 */
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"
#include "core/hash.h"

/* Items of one group may share a request. */
enum group {
    GROUP_PUT_INLINE = 0,
    GROUP_PUT_BLOCK,
    GROUP_PUT_LARGE,
    GROUP_GET,
    GROUP_GET_WINDOW,
    GROUP_GET_REMOTE, /* worth it to be written by RDMA, where the connection has it */
    GROUP_EXISTS,
    GROUP_DELETE,
    GROUP_PIN,
    GROUP_UNPIN,
    GROUP_SESSION,
    GROUP_ALLOCATE,
    GROUP_COMMIT_INLINE,
    GROUP_COMMIT_BLOCK,
};

/* What a COMMIT moves. */
static uint64_t commit_bytes_of(const struct memkv_item *item) {
    return (item->flags & MEMKV_ABANDON) != 0 ? 0 : item->data_bytes;
}

/* Bytes that go behind the body of an item's request. */
static uint64_t inline_bytes_of(enum group group, const struct memkv_item *item) {
    if (group == GROUP_COMMIT_INLINE) {
        return commit_bytes_of(item);
    }
    return group == GROUP_PUT_INLINE ? item->data_bytes : 0;
}

static uint32_t key_bytes_of(const struct memkv_item *item) {
    return item->op == MEMKV_OP_COMMIT ? 0 : (uint32_t)item->key_bytes;
}

/* Whether a GET's buffer is memory that may be shared with the server. */
static bool is_shared(const struct memkv_client *client, const struct memkv_item *item) {
    const struct mkv_window *window = client->window;
    const uintptr_t buffer = (uintptr_t)item->buffer;
    return window != NULL && item->capacity > 0 && buffer >= (uintptr_t)window->base &&
           buffer - (uintptr_t)window->base < window->bytes;
}

static enum group group_of_get(const struct mkv_call *call, const struct memkv_item *item,
                               uint64_t ask_bytes) {
    if (is_shared(call->client, item)) {
        return GROUP_GET_WINDOW;
    }
    /* Of what goes to the call's target it is not known how much it is. */
    const bool is_large = item->capacity > 0 && ask_bytes > MKV_RDMA_GET_STREAM_BYTES_MAX;
    return call->client->rdma != NULL && (call->target != NULL || is_large) ? GROUP_GET_REMOTE
                                                                            : GROUP_GET;
}

/* What a PUT brings in its request at most. */
static uint64_t put_inline_bytes_max(const struct mkv_remote *remote) {
    const uint64_t allowed_bytes = remote->limits.inline_bytes_max;
    const bool has_lane = remote->rdma.had_lane && remote->rdma.failure_count == 0;
    return has_lane ? mkv_min_u64(allowed_bytes, MKV_RDMA_PUT_STREAM_BYTES_MAX) : allowed_bytes;
}

static enum group group_of(const struct mkv_share *share, const struct memkv_item *item,
                           uint64_t ask_bytes) {
    const struct mkv_native_hello_answer *limits = &share->remote->limits;
    switch (item->op) {
    case MEMKV_OP_GET:
        return group_of_get(share->call, item, ask_bytes);
    case MEMKV_OP_EXISTS:
        return GROUP_EXISTS;
    case MEMKV_OP_DELETE:
        return GROUP_DELETE;
    case MEMKV_OP_PIN:
        return GROUP_PIN;
    case MEMKV_OP_UNPIN:
        return GROUP_UNPIN;
    case MEMKV_OP_SESSION:
        return GROUP_SESSION;
    case MEMKV_OP_ALLOCATE:
        return GROUP_ALLOCATE;
    case MEMKV_OP_COMMIT:
        return commit_bytes_of(item) <= limits->inline_bytes_max ? GROUP_COMMIT_INLINE
                                                                 : GROUP_COMMIT_BLOCK;
    case MEMKV_OP_PUT:
        break;
    }
    if (item->data_bytes > limits->block_bytes_max) {
        return GROUP_PUT_LARGE;
    }
    return item->data_bytes <= put_inline_bytes_max(share->remote) ? GROUP_PUT_INLINE
                                                                   : GROUP_PUT_BLOCK;
}

static uint32_t group_items_max(const struct mkv_native_hello_answer *limits, enum group group) {
    const uint32_t items_max = limits->items_max;
    switch (group) {
    case GROUP_PUT_LARGE:
        return 1;
    case GROUP_PUT_BLOCK:
    case GROUP_COMMIT_BLOCK:
    case GROUP_GET:
    case GROUP_GET_WINDOW:
    case GROUP_GET_REMOTE:
        return (uint32_t)mkv_min_u64(items_max, MKV_REQUEST_TRANSFER_ITEMS_MAX);
    case GROUP_PUT_INLINE:
    case GROUP_EXISTS:
    case GROUP_DELETE:
    case GROUP_PIN:
    case GROUP_UNPIN:
    case GROUP_SESSION:
    case GROUP_ALLOCATE:
    case GROUP_COMMIT_INLINE:
        break;
    }
    return items_max;
}

static enum mkv_native_op op_of_group(enum group group) {
    switch (group) {
    case GROUP_PUT_INLINE:
    case GROUP_PUT_BLOCK:
    case GROUP_PUT_LARGE:
        return MKV_NATIVE_PUT;
    case GROUP_GET:
    case GROUP_GET_WINDOW:
    case GROUP_GET_REMOTE:
        return MKV_NATIVE_GET;
    case GROUP_EXISTS:
        return MKV_NATIVE_EXISTS;
    case GROUP_PIN:
        return MKV_NATIVE_PIN;
    case GROUP_UNPIN:
        return MKV_NATIVE_UNPIN;
    case GROUP_SESSION:
        return MKV_NATIVE_SESSION;
    case GROUP_ALLOCATE:
        return MKV_NATIVE_ALLOCATE;
    case GROUP_COMMIT_INLINE:
    case GROUP_COMMIT_BLOCK:
        return MKV_NATIVE_COMMIT;
    case GROUP_DELETE:
        break;
    }
    return MKV_NATIVE_DELETE;
}

/* By the limits of its server. */
static bool item_fits(struct mkv_call *call, const struct mkv_native_hello_answer *limits,
                      uint32_t index) {
    const struct memkv_item *item = &call->items[index];
    const unsigned long long data_bytes = item->data_bytes;
    const unsigned long long block_bytes_max = limits->block_bytes_max;
    if (item->op == MEMKV_OP_ALLOCATE || item->op == MEMKV_OP_COMMIT) {
        if (commit_bytes_of(item) > limits->block_bytes_max) {
            mkv_call_note(call, index,
                          "the value has %llu bytes; up to %llu can be reserved, more is put",
                          data_bytes, block_bytes_max);
            return false;
        }
        return true;
    }
    if (item->op != MEMKV_OP_PUT) {
        return true;
    }
    if (item->data_bytes > limits->value_bytes_max) {
        mkv_call_note(call, index, "the value has %llu bytes; the server takes at most %llu",
                      data_bytes, (unsigned long long)limits->value_bytes_max);
        return false;
    }
    if (item->data_bytes > limits->block_bytes_max &&
        item->key_bytes > MKV_NATIVE_LARGE_KEY_BYTES_MAX) {
        mkv_call_note(call, index,
                      "the key of a value above %llu bytes has at most %u bytes, not %zu",
                      block_bytes_max, MKV_NATIVE_LARGE_KEY_BYTES_MAX, item->key_bytes);
        return false;
    }
    /* A source supplies what is larger than a block; a block's root must go ahead of it. */
    if (item->data == NULL && item->data_bytes > 0 && item->data_bytes <= limits->block_bytes_max) {
        mkv_call_note(call, index, "the server's limits have just changed; try again");
        return false;
    }
    return true;
}

/* ---- grouping ------------------------------------------------------------------------------- */

/* The length that a GET asks for: never more than the buffer holds, so that no byte is moved in
 * vain; of an empty buffer one byte, which is dropped and brings the value's length with it. */
static uint64_t ask_bytes_of(const struct mkv_call *call, const struct memkv_item *item) {
    if (call->target != NULL) {
        return 0;
    }
    const uint64_t wanted = item->length > 0 ? item->length : MKV_NATIVE_VALUE_BYTES_MAX;
    const uint64_t held = mkv_max_u64(item->capacity, 1);
    return mkv_min_u64(mkv_min_u64(wanted, held), MKV_NATIVE_VALUE_BYTES_MAX - item->offset);
}

bool mkv_share_is_open(const struct mkv_share *share) {
    return share->part_count > 0 ? share->part_next < share->part_count : !share->is_single_made;
}

static bool moves_payload(enum group group) {
    return group == GROUP_GET || group == GROUP_GET_REMOTE || group == GROUP_PUT_INLINE ||
           group == GROUP_PUT_BLOCK || group == GROUP_PUT_LARGE || group == GROUP_ALLOCATE;
}

/* The shard of a server with several that has the item's key. Another one passes requests on, which
 * costs about as much as to serve them; requests of many keys without payloads are not torn apart
 * for that. */
static uint32_t shard_of(const struct mkv_share *share, const struct mkv_part *part, bool is_only) {
    const struct mkv_native_shards *shards = &share->remote->shards;
    const struct memkv_item *item = &share->call->items[part->item];
    if (shards->shard_count == 0 || part->serial != 0 || item->op == MEMKV_OP_SESSION ||
        !(is_only || moves_payload((enum group)part->group))) {
        return MKV_NONE_U32;
    }
    struct mkv_member members[MKV_VOLUMES_MAX];
    for (uint32_t index = 0; index < shards->drive_count; index++) {
        members[index] =
            (struct mkv_member){shards->drives[index].uuid, shards->drives[index].weight};
    }
    const struct mkv_root point =
        mkv_placement_point(share->call->client->tenant, item->key, (uint32_t)item->key_bytes);
    const uint32_t owner = mkv_placement_owner(point, members, shards->drive_count);
    return owner == MKV_NONE_U32 ? MKV_NONE_U32 : shards->drives[owner].shard;
}

/* By group, connection, shard and place. */
static int part_compare(const void *left, const void *right) {
    const struct mkv_part *a = left;
    const struct mkv_part *b = right;
    if (a->group != b->group) {
        return a->group < b->group ? -1 : 1;
    }
    if (a->serial != b->serial) {
        return a->serial < b->serial ? -1 : 1;
    }
    if (a->shard != b->shard) {
        return a->shard < b->shard ? -1 : 1;
    }
    return a->item < b->item ? -1 : a->item > b->item;
}

void mkv_share_group(struct mkv_share *share) {
    struct mkv_call *call = share->call;
    const struct mkv_native_hello_answer *limits = &share->remote->limits;
    struct mkv_part *open = share->parts + share->part_next;
    uint32_t open_count = share->part_count - share->part_next;
    uint32_t kept = 0;
    bool is_sorted = true;
    share->limits_version = share->remote->limits_version;
    for (uint32_t index = 0; index < open_count; index++) {
        struct mkv_part *part = &open[index];
        const struct memkv_item *item = &call->items[part->item];
        if (!item_fits(call, limits, part->item)) {
            mkv_call_part_done(call, part, MEMKV_INVALID);
            continue;
        }
        part->ask_bytes = ask_bytes_of(call, item);
        part->group = group_of(share, item, part->ask_bytes);
        part->shard = shard_of(share, part, open_count == 1);
        open[kept] = *part;
        is_sorted = is_sorted && (kept == 0 || part_compare(&open[kept - 1], &open[kept]) < 0);
        kept++;
    }
    share->part_count = share->part_next + kept;
    if (!is_sorted) {
        qsort(open, kept, sizeof *open, part_compare);
    }
}

/* ---- requests ------------------------------------------------------------------------------- */

/* Which items the next request takes: how many, and the bytes that their frame needs. */
struct extent_of_request {
    uint32_t item_count;
    uint32_t body_bytes;
    uint64_t inline_bytes;
};

/* Whether a GET may have to go by way of slots, which are for one item. */
static bool is_alone(const struct mkv_part *part) {
    return part->group == GROUP_GET_REMOTE && part->ask_bytes > MKV_RDMA_BOUNCE_BYTES;
}

static struct extent_of_request measure_request(const struct mkv_share *share) {
    const struct mkv_native_hello_answer *limits = &share->remote->limits;
    const struct memkv_item *items = share->call->items;
    const struct mkv_part *first = &share->parts[share->part_next];
    const enum group group = (enum group)first->group;
    const uint32_t items_max = group_items_max(limits, group);
    struct extent_of_request extent = {0};
    for (uint32_t next = share->part_next; next < share->part_count; next++) {
        const struct mkv_part *part = &share->parts[next];
        const struct memkv_item *item = &items[part->item];
        const uint32_t body_bytes = extent.body_bytes + MKV_NATIVE_ITEM_BYTES + key_bytes_of(item);
        const uint64_t inline_bytes = extent.inline_bytes + inline_bytes_of(group, item);
        if (group == GROUP_ALLOCATE && item->reserve_ms != items[first->item].reserve_ms) {
            break; /* a request has one deadline */
        }
        if (next > share->part_next && (is_alone(first) || is_alone(part))) {
            break;
        }
        if (extent.item_count == items_max || part->group != first->group ||
            part->serial != first->serial || part->shard != first->shard ||
            body_bytes > limits->body_bytes_max || inline_bytes > limits->inline_bytes_max) {
            break;
        }
        extent.item_count++;
        extent.body_bytes = body_bytes;
        extent.inline_bytes = inline_bytes;
    }
    MKV_ASSERT(extent.item_count >= 1);
    return extent;
}

static struct mkv_root root_of(const struct memkv_item *item) {
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_chunk_sums(item->data, (uint32_t)item->data_bytes, sums);
    return mkv_root_of_sums((uint32_t)item->data_bytes, sums);
}

/* What is left of the call's time less a little, so that the server's answer that time is up comes
 * before the client gives up on it. */
static uint32_t deadline_ms_of(const struct mkv_call *call) {
    const uint64_t now_ns = mkv_client_now_ns();
    const uint64_t left_ns = call->deadline_ns > now_ns ? call->deadline_ns - now_ns : 0;
    const uint64_t left_ms = left_ns / 1000000u;
    const uint64_t deadline_ms = left_ms - mkv_min_u64(left_ms / 10, 500);
    return (uint32_t)mkv_min_u64(mkv_max_u64(deadline_ms, 1), UINT32_MAX);
}

/* Where the bytes of a part go that `goes_into_window` was true of. */
static uint64_t window_offset_of(const struct mkv_connection *connection,
                                 const struct mkv_part *part, const struct memkv_item *item) {
    uint64_t offset = 0;
    const bool is_there = mkv_window_finds(connection->remote->client->window, connection,
                                           item->buffer, part->ask_bytes, &offset);
    MKV_ASSERT(is_there);
    return offset;
}

/* Whether all buffers of a share's next GET are in the connection's window. */
static bool goes_into_window(const struct mkv_connection *connection, const struct mkv_share *share,
                             uint32_t item_count) {
    const struct mkv_part *parts = share->parts + share->part_next;
    uint64_t offset = 0;
    if (item_count == 0 || parts[0].group != GROUP_GET_WINDOW || share->call->single != 0) {
        return false;
    }
    for (uint32_t index = 0; index < item_count; index++) {
        const struct memkv_item *item = &share->call->items[parts[index].item];
        if (!mkv_window_finds(connection->remote->client->window, connection, item->buffer,
                              parts[index].ask_bytes, &offset)) {
            return false;
        }
    }
    return true;
}

/* ---- places, by RDMA ------------------------------------------------------------------------- */

static uint64_t remote_bytes_of(const struct mkv_part *part, const struct memkv_item *item) {
    return part->group == GROUP_GET_REMOTE ? part->ask_bytes : item->data_bytes;
}

static void *remote_memory_of(const struct mkv_part *part, const struct memkv_item *item) {
    /* A server only reads what a PUT names, though devices are told of it as of the other. */
    union {
        const void *given;
        void *taken;
    } memory = {.given = part->group == GROUP_GET_REMOTE ? item->buffer : item->data};
    return memory.taken;
}

/* The place of a part; a GET that is the only one of its request goes by way of slots where there
 * is no other. */
static bool place_take(const struct mkv_request *request, uint32_t index) {
    const struct mkv_call *call = request->share->call;
    const struct mkv_part *part = &request->parts[index];
    const struct memkv_item *item = &call->items[part->item];
    const uint64_t features = request->connection->greeting.limits.features;
    const uint64_t bytes = remote_bytes_of(part, item);
    /* What is kept registered may be other memory than it was: so it is used only where its bytes
     * are compared, and can be moved once more: a COMMIT ends its reservation, whatever came. */
    const bool may_keep =
        (features & MKV_NATIVE_FEATURE_ROOTS) != 0 && request->op != MKV_NATIVE_COMMIT;
    /* To register less takes longer than to copy it. */
    const bool may_register = bytes > request->connection->greeting.limits.inline_bytes_max &&
                              (request->op == MKV_NATIVE_GET || may_keep);
    if (call->target == NULL &&
        mkv_rdma_place_take(request->port, remote_memory_of(part, item), bytes,
                            request->op != MKV_NATIVE_GET, may_register, &request->places[index])) {
        return true;
    }
    return request->op == MKV_NATIVE_GET && request->part_count == 1 &&
           (features & MKV_NATIVE_FEATURE_ROOTS) != 0 &&
           mkv_rdma_slots_take(request->port, part->ask_bytes, &request->places[index]);
}

static bool is_of_remote(uint32_t group) {
    return group == GROUP_GET_REMOTE || group == GROUP_PUT_BLOCK || group == GROUP_COMMIT_BLOCK;
}

static void places_give(struct mkv_request *request, bool is_stale) {
    for (uint32_t index = 0; index < request->place_count; index++) {
        mkv_rdma_place_give(request->port, &request->places[index], is_stale);
    }
    free(request->places);
    request->places = NULL;
    request->place_count = 0;
}

/* Has the server reach the memory of all parts, where the connection has a lane; else they go
 * through the stream. */
static void places_take(struct mkv_request *request, struct mkv_native_header *header) {
    const struct mkv_connection *connection = request->connection;
    const struct mkv_native_hello_answer *limits = &connection->greeting.limits;
    const uint32_t remote_bytes = request->part_count * MKV_NATIVE_REMOTE_BYTES;
    if (connection->lane == NULL || request->part_count == 0 ||
        !is_of_remote(request->parts[0].group) ||
        header->body_bytes + remote_bytes > limits->body_bytes_max) {
        return;
    }
    request->places = calloc(request->part_count, sizeof *request->places);
    if (request->places == NULL) {
        return;
    }
    request->port = connection->lane->port;
    for (uint32_t index = 0; index < request->part_count; index++) {
        if (!place_take(request, index)) {
            places_give(request, false);
            request->uses_remote = false;
            return;
        }
        request->place_count++;
        request->uses_remote =
            request->uses_remote || request->places[index].kind != MKV_RDMA_BOUNCED;
    }
    if (!mkv_endpoint_expose(connection->lane->endpoint, request->id)) {
        places_give(request, false);
        request->uses_remote = false;
        return;
    }
    header->flags |= MKV_NATIVE_FLAG_REMOTE;
    header->body_bytes += remote_bytes;
}

void mkv_request_conceal(struct mkv_request *request, bool is_stale) {
    const struct mkv_connection *connection = request->connection;
    if (request->place_count == 0) {
        return;
    }
    if (connection->lane != NULL) {
        (void)mkv_endpoint_unexpose(connection->lane->endpoint, request->id);
    }
    struct mkv_metrics *metrics = connection->remote->client->metrics;
    const bool is_counted =
        metrics != NULL && request->share != NULL && request->is_sent && !is_stale;
    for (uint32_t index = 0; is_counted && index < request->place_count; index++) {
        const struct mkv_part *part = &request->parts[index];
        mkv_metrics_rdma_moved(metrics, request->places[index].kind,
                               request->op == MKV_NATIVE_GET
                                   ? part->received_bytes
                                   : request->share->call->items[part->item].data_bytes);
    }
    places_give(request, is_stale);
    request->uses_remote = false;
}

void mkv_request_free(struct mkv_request *request) {
    /* Its lane has ended, maybe because of what was registered: so it is made anew when the memory
     * is named again. */
    for (uint32_t index = 0; index < request->place_count; index++) {
        mkv_rdma_place_doubt(&request->places[index]);
    }
    places_give(request, false);
    free(request);
}

static void encode_items(struct mkv_request *request, const struct mkv_trace_context *trace) {
    const struct memkv_item *items = request->share->call->items;
    const enum group group = request->part_count > 0 ? (enum group)request->parts[0].group : 0;
    uint8_t *descriptor = request->frame + MKV_NATIVE_HEADER_BYTES;
    uint8_t *remote = descriptor + (size_t)request->part_count * MKV_NATIVE_ITEM_BYTES;
    uint8_t *key = remote + (size_t)request->place_count * MKV_NATIVE_REMOTE_BYTES;
    for (uint32_t index = 0; index < request->part_count; index++) {
        const struct mkv_part *part = &request->parts[index];
        const struct memkv_item *item = &items[part->item];
        struct mkv_native_item native = {.key_bytes = key_bytes_of(item)};
        if (request->op == MKV_NATIVE_COMMIT) {
            native.reservation = item->reservation & MKV_RESERVATION_NAME_MASK;
            native.length = commit_bytes_of(item);
            native.flags = (item->flags & MEMKV_ABANDON) != 0 ? MKV_NATIVE_ITEM_ABANDON : 0;
        } else if (request->op == MKV_NATIVE_PUT || request->op == MKV_NATIVE_ALLOCATE) {
            native.length = item->data_bytes;
            native.seconds = item->expire_s;
            native.tier_hint = (uint32_t)item->tier;
            native.session = item->session;
            native.flags = ((item->flags & MEMKV_REPLACE) != 0 ? MKV_NATIVE_ITEM_REPLACE : 0) |
                           ((item->flags & MEMKV_RELAXED) != 0 ? MKV_NATIVE_ITEM_RELAXED : 0);
            if (group != GROUP_PUT_LARGE) {
                native.root = root_of(item);
            }
        } else if (request->op == MKV_NATIVE_PIN) {
            native.seconds = item->expire_s;
        } else if (request->op == MKV_NATIVE_SESSION) {
            const bool exits = item->action == MEMKV_SESSION_EXIT_THINK;
            native.session = item->session;
            native.action = (uint32_t)item->action;
            native.reason = exits ? (uint32_t)item->reason : 0;
            native.length = exits ? item->tokens : 0;
        } else if (request->op == MKV_NATIVE_GET) {
            native.offset = item->offset;
            native.length = part->ask_bytes;
            if (request->uses_window) {
                native.window_offset = window_offset_of(request->connection, part, item);
            }
        }
        mkv_native_item_encode(&native, descriptor);
        descriptor += MKV_NATIVE_ITEM_BYTES;
        if (request->place_count > 0) {
            mkv_native_remote_encode(&request->places[index].remote, remote);
            remote += MKV_NATIVE_REMOTE_BYTES;
        }
        if (native.key_bytes > 0) {
            memcpy(key, item->key, native.key_bytes);
            key += native.key_bytes;
        }
    }
    if (trace != NULL) {
        mkv_native_trace_encode(trace, key);
        key += MKV_NATIVE_TRACE_BYTES;
    }
    /* At most 64 KiB of payload: copying it costs less than sending it piece by piece. */
    for (uint32_t index = 0; request->is_inline && index < request->part_count; index++) {
        const struct memkv_item *item = &items[request->parts[index].item];
        const uint64_t inline_bytes = inline_bytes_of(group, item);
        if (inline_bytes > 0) {
            memcpy(key, item->data, inline_bytes);
            key += inline_bytes;
        }
    }
    MKV_ASSERT(key == request->frame + request->frame_bytes);
}

/* What a request with that header carries; NULL: nothing. One whose keys fill the body to its limit
 * goes without. */
static const struct mkv_trace_context *trace_of(const struct mkv_share *share,
                                                const struct mkv_native_header *header) {
    const struct mkv_native_hello_answer *limits = &share->remote->limits;
    const bool granted = (limits->features & MKV_NATIVE_FEATURE_TRACE) != 0;
    const bool fits = header->body_bytes + MKV_NATIVE_TRACE_BYTES <= limits->body_bytes_max;
    return share->call->has_trace && granted && fits && header->item_count > 0 ? &share->call->trace
                                                                               : NULL;
}

/* What the header of a share's next request says. */
static struct mkv_native_header header_of(const struct mkv_share *share,
                                          const struct mkv_trace_context **trace) {
    const struct mkv_call *call = share->call;
    struct mkv_native_header header = {.op = call->single, .deadline_ms = deadline_ms_of(call)};
    if (share->part_next < share->part_count) {
        const struct mkv_part *first = &share->parts[share->part_next];
        const enum group group = (enum group)first->group;
        const struct extent_of_request extent = measure_request(share);
        const bool is_inline = group == GROUP_PUT_INLINE || group == GROUP_COMMIT_INLINE;
        header.op = call->single != 0 ? call->single : op_of_group(group);
        header.item_count = extent.item_count;
        header.body_bytes = extent.body_bytes;
        header.payload_bytes = extent.inline_bytes;
        header.flags = is_inline ? MKV_NATIVE_FLAG_INLINE : 0;
        if (group == GROUP_ALLOCATE && call->items[first->item].reserve_ms > 0) {
            header.deadline_ms = call->items[first->item].reserve_ms;
        }
    }
    *trace = trace_of(share, &header);
    if (*trace != NULL) {
        header.flags |= MKV_NATIVE_FLAG_TRACE;
        header.body_bytes += MKV_NATIVE_TRACE_BYTES;
    }
    return header;
}

/* One of these parts, with that header but for its request id. NULL: there is no memory. */
static struct mkv_request *build(struct mkv_connection *connection, struct mkv_share *share,
                                 struct mkv_part *parts, struct mkv_native_header header,
                                 const struct mkv_trace_context *trace, bool may_be_remote) {
    header.request_id = connection->request_id_next++;
    struct mkv_request plan = {
        .connection = connection,
        .share = share,
        .parts = parts,
        .part_count = header.item_count,
        .op = header.op,
        .id = header.request_id,
        .is_inline = (header.flags & MKV_NATIVE_FLAG_INLINE) != 0,
        .uses_window = (header.flags & MKV_NATIVE_FLAG_WINDOW) != 0,
    };
    if (may_be_remote) {
        places_take(&plan, &header);
    }
    plan.frame_bytes = MKV_NATIVE_HEADER_BYTES + header.body_bytes + (size_t)header.payload_bytes;
    struct mkv_request *request = malloc(sizeof *request + plan.frame_bytes);
    if (request == NULL) {
        mkv_request_conceal(&plan, false);
        return NULL;
    }
    *request = plan;
    mkv_native_header_encode(&header, request->frame);
    encode_items(request, trace);
    share->requests_used++;
    share->call->requests_used++;
    TAILQ_INSERT_TAIL(&connection->requests, request, link);
    connection->requests_used++;
    connection->requests_live++;
    request->send = (struct mkv_send){
        .request = request, .head = request->frame, .head_bytes = request->frame_bytes};
    mkv_connection_append(connection, &request->send);
    return request;
}

struct mkv_request *mkv_request_make(struct mkv_connection *connection, struct mkv_share *share) {
    const struct mkv_trace_context *trace = NULL;
    struct mkv_native_header header = header_of(share, &trace);
    if (goes_into_window(connection, share, header.item_count)) {
        header.flags |= MKV_NATIVE_FLAG_WINDOW;
    }
    struct mkv_request *request =
        build(connection, share, share->parts + share->part_next, header, trace, true);
    if (request == NULL) {
        return NULL;
    }
    if (request->op == MKV_NATIVE_ALLOCATE) {
        connection->reserved_until_ns =
            mkv_max_u64(connection->reserved_until_ns,
                        mkv_client_now_ns() + (uint64_t)header.deadline_ms * 1000000u);
    }
    share->part_next += request->part_count;
    share->is_single_made = true;
    if (!mkv_share_is_open(share)) {
        share->call->shares_open--;
    }
    return request;
}

bool mkv_request_again(struct mkv_request *request) {
    struct mkv_native_header header;
    const enum mkv_native_error error = mkv_native_header_decode(request->frame, &header);
    MKV_ASSERT(error == MKV_NATIVE_OK);
    MKV_ASSERT((header.flags & MKV_NATIVE_FLAG_REMOTE) != 0);
    MKV_ASSERT(request->op != MKV_NATIVE_GET);
    const struct mkv_call *call = request->share->call;
    header.flags &= ~MKV_NATIVE_FLAG_REMOTE;
    header.body_bytes -= header.item_count * MKV_NATIVE_REMOTE_BYTES;
    header.deadline_ms = deadline_ms_of(call);
    return build(request->connection, request->share, request->parts, header,
                 (header.flags & MKV_NATIVE_FLAG_TRACE) != 0 ? &call->trace : NULL, false) != NULL;
}

bool mkv_request_tell_ring(struct mkv_connection *connection) {
    const size_t frame_bytes = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_RING_BYTES;
    struct mkv_request *request = malloc(sizeof *request + frame_bytes);
    if (request == NULL) {
        return false;
    }
    const struct mkv_native_header header = {.op = MKV_NATIVE_PING,
                                             .flags = MKV_NATIVE_FLAG_RING,
                                             .request_id = connection->request_id_next++,
                                             .body_bytes = MKV_NATIVE_RING_BYTES};
    *request = (struct mkv_request){.connection = connection,
                                    .op = header.op,
                                    .id = header.request_id,
                                    .frame_bytes = frame_bytes};
    mkv_native_header_encode(&header, request->frame);
    mkv_native_ring_encode(mkv_remotes_ring_hash(connection->remote->client),
                           request->frame + MKV_NATIVE_HEADER_BYTES);
    TAILQ_INSERT_TAIL(&connection->requests, request, link);
    connection->requests_used++;
    request->send = (struct mkv_send){
        .request = request, .head = request->frame, .head_bytes = request->frame_bytes};
    mkv_connection_append(connection, &request->send);
    return true;
}

void mkv_request_release(struct mkv_request *request) {
    if (!request->is_sent || !request->is_answered || request->ready_count > 0) {
        return;
    }
    struct mkv_connection *connection = request->connection;
    struct mkv_share *share = request->share;
    if (request->is_exposed && connection->lane != NULL) {
        (void)mkv_endpoint_unexpose(connection->lane->endpoint, request->id);
    }
    TAILQ_REMOVE(&connection->requests, request, link);
    connection->requests_used--;
    mkv_request_free(request);
    if (share != NULL) {
        connection->requests_live--;
        share->requests_used--;
        share->call->requests_used--;
        mkv_call_settle(share->call);
    }
}
