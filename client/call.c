/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call: its items, dealt out to the servers that own their keys, and what became of them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"

#define KEY_TEXT_BYTES 64u

/* For the owner of an item that has all servers, or none. */
#define OWNER_ALL 0xffffffffu
#define OWNER_NONE 0xfffffffeu

/* ---- texts ---------------------------------------------------------------------------------- */

void mkv_call_note(struct mkv_call *call, uint32_t item, const char *format, ...) {
    if (call->noted_item <= item) {
        return;
    }
    call->noted_item = item;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->noted_text, sizeof call->noted_text, format, arguments);
    va_end(arguments);
}

static enum memkv_status report_item(const struct mkv_call *call, uint32_t index,
                                     struct memkv_error *error) {
    const struct memkv_item *item = &call->items[index];
    char text[KEY_TEXT_BYTES] = "";
    char key[KEY_TEXT_BYTES + sizeof "key ''"];
    if (item->key != NULL) {
        mkv_client_key_text(item->key, item->key_bytes, text, sizeof text);
    }
    snprintf(key, sizeof key, "key '%s'", text);
    if (item->op == MEMKV_OP_SESSION) {
        snprintf(key, sizeof key, "session %llu", (unsigned long long)item->session);
    }
    char place[32] = "";
    if (call->item_count > 1) {
        snprintf(place, sizeof place, "item %u, ", index);
    }
    if (call->noted_item == index) {
        const char *outcome = item->status == MEMKV_UNKNOWN
                                  ? "; it may or may not have been done: repeat it, or look"
                                  : "";
        return mkv_client_fail(error, item->status, "%s%s: %s%s", place, key, call->noted_text,
                               outcome);
    }
    if (item->status == MEMKV_TOO_SMALL) {
        return mkv_client_fail(error, item->status, "%s%s: it has %llu bytes, the buffer %llu",
                               place, key, (unsigned long long)item->byte_count,
                               (unsigned long long)item->capacity);
    }
    const bool is_miss = item->status == MEMKV_NOT_FOUND && item->miss != MEMKV_MISS_NONE &&
                         item->miss != MEMKV_MISS_UNKNOWN;
    return mkv_client_fail(error, item->status, is_miss ? "%s%s: %s (%s)" : "%s%s: %s", place, key,
                           mkv_client_status_text(item->status), memkv_miss_name(item->miss));
}

enum memkv_status mkv_call_report(const struct mkv_call *call, struct memkv_error *error) {
    if (call->single != 0) {
        if (call->single_status == MEMKV_OK) {
            return mkv_client_succeed(error);
        }
        const char *text = call->noted_item != MKV_CALL_NOTE_NONE
                               ? call->noted_text
                               : mkv_client_status_text(call->single_status);
        return mkv_client_fail(error, call->single_status, "%s: %s",
                               mkv_native_op_name(call->single), text);
    }
    for (uint32_t index = 0; index < call->item_count; index++) {
        if (call->items[index].status != MEMKV_OK) {
            return report_item(call, index, error);
        }
    }
    return mkv_client_succeed(error);
}

/* ---- statuses ------------------------------------------------------------------------------- */

/* Of two answers of servers about one session, the one that tells more is the item's. */
static uint32_t rank_of(enum memkv_status status) {
    switch (status) {
    case MEMKV_NOT_FOUND:
        return 0;
    case MEMKV_OK:
        return 1;
    case MEMKV_NO_SPACE:
        return 2;
    case MEMKV_DEADLINE:
    case MEMKV_IO_ERROR:
    case MEMKV_INVALID:
    case MEMKV_FORBIDDEN:
    case MEMKV_BUSY:
    case MEMKV_UNKNOWN:
    case MEMKV_UNAVAILABLE:
    case MEMKV_CONFLICT:
    case MEMKV_QUOTA:
    case MEMKV_CORRUPT:
    case MEMKV_TOO_SMALL:
    case MEMKV_CALLBACK:
    case MEMKV_NO_MEMORY:
    case MEMKV_CANCELLED:
        break;
    }
    return 3;
}

void mkv_call_part_done(struct mkv_call *call, struct mkv_part *part, enum memkv_status status) {
    MKV_ASSERT(!part->is_done);
    part->is_done = true;
    struct memkv_item *item = &call->items[part->item];
    if (item->op == MEMKV_OP_DELETE && call->ring_version != call->client->ring_version) {
        status = mkv_servers_deleted(call, part, status);
    }
    if (item->op != MEMKV_OP_SESSION || rank_of(status) > rank_of(item->status)) {
        item->status = status;
    }
}

/* Of a call without items, and of LOOKUP. */
static void single_fail(struct mkv_call *call, enum memkv_status failure, const char *text) {
    if (call->single_status == MEMKV_OK) {
        call->single_status = failure;
        mkv_call_note(call, 0, "%s", text);
    }
}

void mkv_call_part_fail(struct mkv_call *call, struct mkv_part *part, enum memkv_status failure,
                        const char *text) {
    const bool has_others = call->client->has_ring;
    if (part == NULL) {
        single_fail(call, failure, text);
        return;
    }
    if (part->is_done) {
        return;
    }
    if (call->single != 0) {
        part->is_done = true;
        if (has_others && failure != MEMKV_CANCELLED) {
            call->lookup_gap = mkv_min_u64(call->lookup_gap, part->item);
        } else {
            single_fail(call, failure, text);
        }
        return;
    }
    struct memkv_item *item = &call->items[part->item];
    const bool is_commit = item->op == MEMKV_OP_COMMIT && (item->flags & MEMKV_ABANDON) == 0;
    const bool is_mutation = item->op == MEMKV_OP_PUT || item->op == MEMKV_OP_DELETE || is_commit;
    /* A value that its source did not supply whole cannot have been stored. */
    const bool is_open = is_mutation && part->is_started && failure != MEMKV_CALLBACK;
    const bool is_read = item->op == MEMKV_OP_GET || item->op == MEMKV_OP_EXISTS;
    const bool is_away = failure == MEMKV_UNAVAILABLE || failure == MEMKV_DEADLINE;
    mkv_call_note(call, part->item, "%s", text);
    if (has_others && is_read && is_away) {
        item->miss = failure == MEMKV_DEADLINE ? MEMKV_MISS_DEADLINE : MEMKV_MISS_SERVER_DOWN;
        failure = MEMKV_NOT_FOUND;
    }
    mkv_call_part_done(call, part, is_open ? MEMKV_UNKNOWN : failure);
}

void mkv_share_fail(struct mkv_share *share, enum memkv_status failure, const char *text) {
    struct mkv_call *call = share->call;
    if (!mkv_share_is_open(share)) {
        return;
    }
    mkv_remote_dequeue(share);
    if (share->part_count == 0) {
        share->is_single_made = true;
        mkv_call_part_fail(call, NULL, failure, text);
    }
    while (share->part_next < share->part_count) {
        mkv_call_part_fail(call, &share->parts[share->part_next++], failure, text);
    }
    MKV_ASSERT(call->shares_open > 0);
    call->shares_open--;
    mkv_call_settle(call);
}

void mkv_call_settle(struct mkv_call *call) {
    if (call->is_running && call->shares_open == 0 && call->requests_used == 0) {
        mkv_engine_done(call);
    }
}

/* What is said of it; `failure` is the library's to fill. */
static void cut_text(const struct mkv_call *call, const struct mkv_remote *remote,
                     enum memkv_status status, struct memkv_error *failure) {
    if (status == MEMKV_CANCELLED) {
        mkv_client_fail(failure, status, "it was cancelled before server %s was done",
                        remote->address.text);
    } else {
        mkv_client_fail(failure, status,
                        "server %s was not done within %u ms; raise the timeout, or see what it is "
                        "doing with: memkv admin status",
                        remote->address.text, call->timeout_ms);
    }
}

void mkv_call_cut(struct mkv_call *call, enum memkv_status status) {
    struct memkv_error failure;
    for (uint32_t index = 0; index < call->share_count && call->is_running; index++) {
        struct mkv_share *share = &call->shares[index];
        if (!mkv_share_is_open(share) && share->requests_used == 0) {
            continue;
        }
        struct mkv_remote *remote = share->remote;
        cut_text(call, remote, status, &failure);
        /* First what is in flight: the call may be gone with the last of it. */
        for (uint32_t slot = 0; slot < remote->slots; slot++) {
            struct mkv_connection *connection = remote->connections[slot];
            struct mkv_request *next;
            for (struct mkv_request *request =
                     connection != NULL ? TAILQ_FIRST(&connection->requests) : NULL;
                 request != NULL && share->requests_used > 0; request = next) {
                next = TAILQ_NEXT(request, link);
                if (request->share == share) {
                    mkv_request_abandon(request, status, failure.text);
                    if (connection->requests_used == 0) {
                        break; /* the connection has gone with it */
                    }
                }
            }
        }
        mkv_share_fail(share, status, failure.text);
    }
    mkv_call_settle(call);
    MKV_ASSERT(!call->is_running);
}

/* ---- values that are not in memory ---------------------------------------------------------- */

bool mkv_call_stage_reserve(struct mkv_call *call, size_t byte_count) {
    if (call->stage_capacity < byte_count) {
        free(call->stage);
        call->stage = malloc(byte_count);
        call->stage_capacity = call->stage != NULL ? byte_count : 0;
        call->stage_bytes = 0;
    }
    return call->stage != NULL;
}

bool mkv_call_source_to(struct mkv_call *call, uint64_t offset, void *bytes, size_t byte_count) {
    const uint64_t begin_ns = mkv_client_now_ns();
    const int failure = call->source(call->context, offset, bytes, byte_count);
    mkv_engine_extend(call, mkv_client_now_ns() - begin_ns);
    if (failure != 0) {
        mkv_call_note(call, 0, "the caller's source failed with %d at byte %llu of the value",
                      failure, (unsigned long long)offset);
    }
    return failure == 0;
}

bool mkv_call_source(struct mkv_call *call, uint64_t offset, size_t byte_count) {
    if (!mkv_call_source_to(call, offset, call->stage, byte_count)) {
        return false;
    }
    call->stage_offset = offset;
    call->stage_bytes = byte_count;
    return true;
}

bool mkv_call_target(struct mkv_call *call, uint64_t offset, uint64_t value_bytes,
                     const void *bytes, size_t byte_count) {
    const uint64_t begin_ns = mkv_client_now_ns();
    const int failure = call->target(call->context, offset, value_bytes, bytes, byte_count);
    mkv_engine_extend(call, mkv_client_now_ns() - begin_ns);
    if (failure != 0) {
        mkv_call_note(call, 0, "the caller's target failed with %d at byte %llu of the value",
                      failure, (unsigned long long)offset);
    }
    return failure == 0;
}

/* ---- dealing out ---------------------------------------------------------------------------- */

uint32_t mkv_call_owner(const struct memkv_client *client, const void *key, uint32_t key_bytes) {
    if (client->remote_count == 1) {
        return 0;
    }
    const struct mkv_root point = mkv_placement_point(client->tenant, key, key_bytes);
    return mkv_placement_owner(point, client->members, client->remote_count);
}

/* The server whose connection made a reservation. */
static uint32_t owner_of_reservation(struct mkv_call *call, uint32_t index) {
    const uint32_t serial = (uint32_t)(call->items[index].reservation >> MKV_RESERVATION_BITS);
    const struct memkv_client *client = call->client;
    for (uint32_t remote = 0; remote < client->remote_all_count; remote++) {
        for (uint32_t slot = 0; slot < client->remotes[remote]->slots; slot++) {
            const struct mkv_connection *connection = client->remotes[remote]->connections[slot];
            if (connection != NULL && connection->state == MKV_CONNECTION_READY &&
                connection->serial == serial) {
                return remote;
            }
        }
    }
    mkv_call_note(call, index,
                  "the connection that the reservation was made over has ended, and it with it");
    call->items[index].status = MEMKV_NOT_FOUND;
    return OWNER_NONE;
}

/* Which server has an item; one that no server is asked for has its status. */
static uint32_t owner_of(struct mkv_call *call, uint32_t index) {
    const struct memkv_client *client = call->client;
    struct memkv_item *item = &call->items[index];
    if (!mkv_item_is_sound(call, index)) {
        item->status = MEMKV_INVALID;
        return OWNER_NONE;
    }
    if (item->op == MEMKV_OP_COMMIT) {
        return owner_of_reservation(call, index);
    }
    if (item->op == MEMKV_OP_SESSION) {
        item->status = MEMKV_NOT_FOUND; /* of all answers the lowest: see rank_of */
        return OWNER_ALL;
    }
    return mkv_call_owner(client, item->key, (uint32_t)item->key_bytes);
}

static void items_begin(struct memkv_item *items, size_t item_count) {
    for (size_t index = 0; index < item_count; index++) {
        struct memkv_item *item = &items[index];
        item->status = MEMKV_NO_MEMORY;
        item->miss = MEMKV_MISS_NONE;
        item->byte_count = 0;
        item->value_bytes = 0;
        item->leased = 0;
        item->reservation = item->op == MEMKV_OP_ALLOCATE ? 0 : item->reservation;
    }
}

/* Counts the parts of each server in client->scratch. Returns how many there are in all. */
static uint64_t count_parts(struct mkv_call *call, uint32_t *owners) {
    struct memkv_client *client = call->client;
    uint64_t part_count = 0;
    memset(client->scratch, 0, client->remote_all_count * sizeof *client->scratch);
    for (uint32_t index = 0; index < call->item_count; index++) {
        const uint32_t owner = owner_of(call, index);
        owners[index] = owner;
        const uint32_t first = owner == OWNER_ALL ? 0 : owner;
        const uint32_t end = owner == OWNER_ALL    ? client->remote_count
                             : owner == OWNER_NONE ? 0
                                                   : owner + 1;
        for (uint32_t remote = first; remote < end; remote++) {
            client->scratch[remote]++;
            part_count++;
        }
    }
    return part_count;
}

/* Whether a call without items goes to this server. */
static bool is_asked(const struct memkv_client *client, const struct mkv_call_kind *kind,
                     uint32_t remote) {
    return kind->is_of_all ? remote < client->remote_count : remote == kind->remote;
}

/* Makes the shares, and fills in their parts. False: no memory. */
static bool deal(struct mkv_call *call, const struct mkv_call_kind *kind, const uint32_t *owners,
                 uint64_t part_count) {
    struct memkv_client *client = call->client;
    const bool is_plain = kind->single != 0 && kind->single != MKV_NATIVE_LOOKUP;
    uint32_t share_count = 0;
    for (uint32_t remote = 0; remote < client->remote_all_count; remote++) {
        const bool is_plain_of = is_plain && is_asked(client, kind, remote);
        share_count += client->scratch[remote] > 0 || is_plain_of ? 1 : 0;
    }
    if (share_count == 0) {
        return true;
    }
    call->shares =
        calloc(1, share_count * sizeof *call->shares + part_count * sizeof(struct mkv_part));
    if (call->shares == NULL) {
        return false;
    }
    struct mkv_part *parts = (struct mkv_part *)(void *)(call->shares + share_count);
    for (uint32_t remote = 0; remote < client->remote_all_count; remote++) {
        const uint32_t count = client->scratch[remote];
        const bool is_plain_of = is_plain && is_asked(client, kind, remote);
        if (count == 0 && !is_plain_of) {
            continue;
        }
        struct mkv_share *share = &call->shares[call->share_count++];
        share->call = call;
        share->remote = client->remotes[remote];
        share->parts = parts;
        for (uint32_t index = 0; count > 0 && index < call->item_count; index++) {
            if (owners[index] == remote || owners[index] == OWNER_ALL) {
                struct mkv_part *part = &share->parts[share->part_count++];
                part->item = index;
                if (call->items[index].op == MEMKV_OP_COMMIT) {
                    part->serial =
                        (uint32_t)(call->items[index].reservation >> MKV_RESERVATION_BITS);
                }
            }
        }
        parts += count;
    }
    MKV_ASSERT(call->share_count == share_count);
    call->shares_open = share_count;
    return true;
}

struct mkv_call *mkv_call_new(struct memkv_client *client, struct memkv_item *items,
                              size_t item_count, const struct mkv_call_kind *kind,
                              struct memkv_error *error) {
    static const struct mkv_call_kind plain;
    kind = kind != NULL ? kind : &plain;
    items_begin(items, item_count);
    uint32_t owners_here[64];
    uint32_t *owners = owners_here;
    struct mkv_call *call = calloc(1, sizeof *call);
    if (item_count > sizeof owners_here / sizeof owners_here[0]) {
        owners = malloc(item_count * sizeof *owners);
    }
    bool is_made = call != NULL && owners != NULL;
    if (is_made) {
        call->client = client;
        call->items = items;
        call->item_count = (uint32_t)item_count;
        call->single = kind->single;
        call->source = kind->source;
        call->target = kind->target;
        call->context = kind->context;
        call->lookup_gap = item_count;
        call->noted_item = MKV_CALL_NOTE_NONE;
        call->timeout_ms = client->timeout_ms;
        call->ring_version = client->ring_version;
        call->has_trace = client->has_trace;
        call->trace = client->trace;
        if (MKV_CLIENT_EXPORTERS != 0 && client->exporter != NULL) {
            mkv_exporter_begin(client->exporter, call);
        }
        is_made = deal(call, kind, owners, count_parts(call, owners));
    }
    if (owners != owners_here) {
        free(owners);
    }
    if (!is_made) {
        items_begin(items, item_count);
        free(call);
        mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a call of %zu items", item_count);
        return NULL;
    }
    return call;
}

void mkv_call_free(struct mkv_call *call) {
    free(call->own_items);
    free(call->shares);
    free(call->stage);
    free(call->text);
    free(call);
}
