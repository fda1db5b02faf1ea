/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public calls that do not wait for what they begin.
 */
#include "client/engine.h"
#include "client/memkv.h"

enum memkv_status memkv_submit(struct memkv_client *client, struct memkv_item *items,
                               size_t item_count, uint64_t cookie, uint32_t timeout_ms,
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
    struct mkv_call *call = mkv_call_new(client, items, item_count, NULL, error);
    if (call == NULL) {
        return MEMKV_NO_MEMORY;
    }
    call->is_async = true;
    call->cookie = cookie;
    call->timeout_ms = timeout_ms > 0 ? timeout_ms : call->timeout_ms;
    mkv_engine_begin(call);
    mkv_engine_arm(client);
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
        completion->items = call->items;
        completion->item_count = call->item_count;
        mkv_call_report(call, &completion->error);
        mkv_call_free(call);
    }
    mkv_engine_arm(client);
    return count;
}

size_t memkv_poll(struct memkv_client *client, struct memkv_completion *completions,
                  size_t completion_max) {
    mkv_engine_poll(client);
    return take(client, completions, completion_max);
}

size_t memkv_wait(struct memkv_client *client, struct memkv_completion *completions,
                  size_t completion_max, uint32_t timeout_ms) {
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
