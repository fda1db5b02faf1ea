/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public calls that do not wait for what they begin.
 */
#include <stdlib.h>

#include "client/engine.h"
#include "client/memkv.h"

/* Whether one more of so many items can be taken. */
static enum memkv_status submission_check(const struct memkv_client *client, size_t item_count,
                                          struct memkv_error *error) {
    if (item_count == 0 || item_count >= MKV_CALL_NOTE_NONE) {
        return mkv_client_fail(error, MEMKV_INVALID, "%zu items: a submission has 1 to %u",
                               item_count, MKV_CALL_NOTE_NONE - 1u);
    }
    if (client->call_count >= MKV_CLIENT_CALLS_MAX) {
        return mkv_client_fail(error, MEMKV_BUSY,
                               "%u submissions have not been completed and taken; take "
                               "completions with memkv_wait",
                               client->call_count);
    }
    return MEMKV_OK;
}

static enum memkv_status submit(struct mkv_call *call, uint64_t cookie, uint32_t timeout_ms,
                                struct memkv_error *error) {
    call->is_async = true;
    call->cookie = cookie;
    call->timeout_ms = timeout_ms > 0 ? timeout_ms : call->timeout_ms;
    mkv_engine_begin(call);
    mkv_engine_arm(call->client);
    return mkv_client_succeed(error);
}

enum memkv_status memkv_submit(struct memkv_client *client, struct memkv_item *items,
                               size_t item_count, uint64_t cookie, uint32_t timeout_ms,
                               struct memkv_error *error) {
    const enum memkv_status status = submission_check(client, item_count, error);
    if (status != MEMKV_OK) {
        return status;
    }
    mkv_servers_refresh(client);
    struct mkv_call *call = mkv_call_new(client, items, item_count, NULL, error);
    return call != NULL ? submit(call, cookie, timeout_ms, error) : MEMKV_NO_MEMORY;
}

enum memkv_status memkv_submit_lookup(struct memkv_client *client, const struct memkv_key *keys,
                                      size_t key_count, uint64_t cookie, uint32_t timeout_ms,
                                      struct memkv_error *error) {
    const struct mkv_call_kind kind = {.single = MKV_NATIVE_LOOKUP};
    struct mkv_call *call = NULL;
    enum memkv_status status = submission_check(client, key_count, error);
    if (status == MEMKV_OK) {
        status = mkv_client_keys_check(keys, key_count, error);
    }
    if (status != MEMKV_OK) {
        return status;
    }
    struct memkv_item *items = calloc(key_count, sizeof *items);
    if (items == NULL) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a lookup of %zu keys",
                               key_count);
    }
    for (size_t index = 0; index < key_count; index++) {
        items[index] = (struct memkv_item){
            .op = MEMKV_OP_EXISTS, .key = keys[index].bytes, .key_bytes = keys[index].byte_count};
    }
    mkv_servers_refresh(client);
    call = mkv_call_new(client, items, key_count, &kind, error);
    if (call == NULL) {
        free(items);
        return MEMKV_NO_MEMORY;
    }
    call->own_items = items;
    return submit(call, cookie, timeout_ms, error);
}

enum memkv_status memkv_cancel(struct memkv_client *client, uint64_t cookie,
                               struct memkv_error *error) {
    uint32_t count = 0;
    struct mkv_call *next;
    for (struct mkv_call *call = TAILQ_FIRST(&client->running); call != NULL; call = next) {
        next = TAILQ_NEXT(call, link);
        if (call->is_async && call->cookie == cookie) {
            mkv_call_cut(call, MEMKV_CANCELLED);
            count++;
            /* A connection that went with it may have ended others. */
            next = TAILQ_FIRST(&client->running);
        }
    }
    client->has_more = client->has_more || count > 0; /* others may go on with what they left */
    mkv_engine_arm(client);
    if (count == 0) {
        return mkv_client_fail(error, MEMKV_NOT_FOUND,
                               "no submission with cookie %llu is under way",
                               (unsigned long long)cookie);
    }
    return mkv_client_succeed(error);
}

static size_t take(struct memkv_client *client, struct memkv_completion *completions,
                   size_t completion_max) {
    size_t count = 0;
    struct mkv_call *call;
    while (count < completion_max && (call = TAILQ_FIRST(&client->done)) != NULL) {
        TAILQ_REMOVE(&client->done, call, link);
        client->done_count--;
        client->call_count--;
        struct memkv_completion *completion = &completions[count++];
        completion->cookie = call->cookie;
        completion->items = call->own_items == NULL ? call->items : NULL;
        completion->item_count = call->own_items == NULL ? call->item_count : 0;
        const enum memkv_status status = mkv_call_report(call, &completion->error);
        const bool has_prefix = call->single == MKV_NATIVE_LOOKUP && status == MEMKV_OK;
        completion->resident_count = has_prefix ? (size_t)call->lookup_gap : 0;
        mkv_call_free(call);
    }
    mkv_engine_arm(client);
    return count;
}

size_t memkv_poll(struct memkv_client *client, struct memkv_completion *completions,
                  size_t completion_max) {
    mkv_servers_refresh(client);
    mkv_engine_poll(client);
    return take(client, completions, completion_max);
}

size_t memkv_wait(struct memkv_client *client, struct memkv_completion *completions,
                  size_t completion_max, uint32_t timeout_ms) {
    mkv_servers_refresh(client);
    mkv_engine_poll(client);
    if (client->done_count == 0 && client->call_count > 0) {
        mkv_engine_run(client, NULL, mkv_client_now_ns() + (uint64_t)timeout_ms * 1000000u);
    }
    return take(client, completions, completion_max);
}

size_t memkv_in_flight(const struct memkv_client *client) {
    return client->call_count;
}

int memkv_fd(struct memkv_client *client) {
    if (!mkv_engine_fd_open(client)) {
        return -1;
    }
    mkv_engine_arm(client);
    return client->epoll;
}
