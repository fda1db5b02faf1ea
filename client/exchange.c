/* SPDX-License-Identifier: Apache-2.0 */
#include "client/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TEXT_BYTES 64u

void mkv_exchange_fail(struct mkv_exchange *exchange, enum memkv_status failure, const char *format,
                       ...) {
    if (exchange->is_failed) {
        return;
    }
    exchange->is_failed = true;
    exchange->failure = failure;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(exchange->failure_text, sizeof exchange->failure_text, format, arguments);
    va_end(arguments);
}

void mkv_exchange_note(struct mkv_exchange *exchange, uint32_t item, const char *format, ...) {
    if (exchange->noted_item <= item) {
        return;
    }
    exchange->noted_item = item;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(exchange->noted_text, sizeof exchange->noted_text, format, arguments);
    va_end(arguments);
}

bool mkv_exchange_stage_reserve(struct mkv_exchange *exchange, size_t byte_count) {
    if (exchange->stage_capacity >= byte_count) {
        return true;
    }
    free(exchange->stage);
    exchange->stage = malloc(byte_count);
    exchange->stage_capacity = exchange->stage != NULL ? byte_count : 0;
    if (exchange->stage == NULL) {
        mkv_exchange_fail(exchange, MEMKV_NO_MEMORY, "no memory for a block of %zu bytes",
                          byte_count);
    }
    return exchange->stage != NULL;
}

bool mkv_exchange_call_source(struct mkv_exchange *exchange, uint64_t offset, size_t byte_count) {
    const uint64_t begin_ns = mkv_client_now_ns();
    const int failure = exchange->source(exchange->context, offset, exchange->stage, byte_count);
    exchange->deadline_ns += mkv_client_now_ns() - begin_ns;
    if (failure != 0) {
        mkv_exchange_fail(exchange, MEMKV_CALLBACK,
                          "the caller's source failed with %d at byte %llu of the value", failure,
                          (unsigned long long)offset);
        return false;
    }
    exchange->stage_offset = offset;
    exchange->stage_bytes = byte_count;
    return true;
}

bool mkv_exchange_call_target(struct mkv_exchange *exchange, uint64_t offset, uint64_t value_bytes,
                              size_t byte_count) {
    const uint64_t begin_ns = mkv_client_now_ns();
    const int failure =
        exchange->target(exchange->context, offset, value_bytes, exchange->stage, byte_count);
    exchange->deadline_ns += mkv_client_now_ns() - begin_ns;
    if (failure != 0) {
        mkv_exchange_fail(exchange, MEMKV_CALLBACK,
                          "the caller's target failed with %d at byte %llu of the value", failure,
                          (unsigned long long)offset);
    }
    return failure == 0;
}

static bool is_finished(const struct mkv_exchange *exchange) {
    const bool is_all_made = exchange->single != 0 ? exchange->is_single_made
                                                   : exchange->order_next == exchange->order_count;
    return is_all_made && exchange->requests_used == 0;
}

static void fail_deadline(struct mkv_exchange *exchange) {
    mkv_exchange_fail(exchange, MEMKV_DEADLINE,
                      "server %s was not done within %u ms; raise the timeout, or see what it is "
                      "doing with: memkv admin status",
                      exchange->client->address.text, exchange->client->timeout_ms);
}

static void converse(struct mkv_exchange *exchange) {
    const struct mkv_transport *transport = exchange->client->transport;
    while (!exchange->is_failed && !is_finished(exchange)) {
        enum mkv_exchange_progress progress = mkv_exchange_make_request(exchange);
        if (exchange->sends_count > 0 && !exchange->is_failed &&
            mkv_exchange_send_some(exchange) == MKV_EXCHANGE_MOVED) {
            progress = MKV_EXCHANGE_MOVED;
        }
        if (!exchange->is_failed && mkv_exchange_receive_some(exchange) == MKV_EXCHANGE_MOVED) {
            progress = MKV_EXCHANGE_MOVED;
        }
        if (exchange->is_failed || is_finished(exchange)) {
            return;
        }
        if (progress == MKV_EXCHANGE_MOVED) {
            if (mkv_client_now_ns() >= exchange->deadline_ns) {
                fail_deadline(exchange);
            }
            continue;
        }
        const int events =
            transport->receive_events | (exchange->sends_count > 0 ? transport->send_events : 0);
        if (!mkv_client_wait(transport->descriptor, (short)events, exchange->deadline_ns)) {
            fail_deadline(exchange);
        }
    }
}

/* What is left without a status when the conversation has ended early. */
static void settle(struct mkv_exchange *exchange) {
    if (!exchange->is_failed) {
        return;
    }
    exchange->single_status = exchange->failure;
    for (uint32_t index = 0; index < exchange->item_count && exchange->single == 0; index++) {
        struct mkv_exchange_item *state = &exchange->states[index];
        struct memkv_item *item = &exchange->items[index];
        if (state->is_done) {
            continue;
        }
        const bool is_commit = item->op == MEMKV_OP_COMMIT && (item->flags & MEMKV_ABANDON) == 0;
        const bool is_mutation =
            item->op == MEMKV_OP_PUT || item->op == MEMKV_OP_DELETE || is_commit;
        /* A value that its source did not supply whole cannot have been stored. */
        const bool is_open =
            is_mutation && state->is_started && exchange->failure != MEMKV_CALLBACK;
        item->status = is_open ? MEMKV_UNKNOWN : exchange->failure;
        state->is_done = true;
        state->is_lost = true;
    }
}

static enum memkv_status report_item(const struct mkv_exchange *exchange, uint32_t index,
                                     struct memkv_error *error) {
    const struct memkv_item *item = &exchange->items[index];
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
    if (exchange->item_count > 1) {
        snprintf(place, sizeof place, "item %u, ", index);
    }
    if (exchange->noted_item == index) {
        return mkv_client_fail(error, item->status, "%s%s: %s", place, key, exchange->noted_text);
    }
    if (exchange->states[index].is_lost) {
        const char *outcome = item->status == MEMKV_UNKNOWN
                                  ? "; it may or may not have been done: repeat it, or look"
                                  : "";
        return mkv_client_fail(error, item->status, "%s%s: %s%s", place, key,
                               exchange->failure_text, outcome);
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

static enum memkv_status report(const struct mkv_exchange *exchange, struct memkv_error *error) {
    if (exchange->single != 0) {
        if (exchange->single_status == MEMKV_OK) {
            return mkv_client_succeed(error);
        }
        const char *text = exchange->is_failed ? exchange->failure_text
                           : exchange->noted_item != MKV_EXCHANGE_NOTE_NONE
                               ? exchange->noted_text
                               : mkv_client_status_text(exchange->single_status);
        return mkv_client_fail(error, exchange->single_status, "%s: %s",
                               mkv_native_op_name(exchange->single), text);
    }
    for (uint32_t index = 0; index < exchange->item_count; index++) {
        if (exchange->items[index].status != MEMKV_OK) {
            return report_item(exchange, index, error);
        }
    }
    return mkv_client_succeed(error);
}

enum memkv_status mkv_exchange_run(struct mkv_exchange *exchange, struct memkv_error *error) {
    struct memkv_client *client = exchange->client;
    exchange->noted_item = MKV_EXCHANGE_NOTE_NONE;
    exchange->states = calloc((size_t)exchange->item_count + 1u, sizeof *exchange->states);
    exchange->order = calloc((size_t)exchange->item_count + 1u, sizeof *exchange->order);
    for (uint32_t index = 0; index < exchange->item_count; index++) {
        struct memkv_item *item = &exchange->items[index];
        item->status = MEMKV_NO_MEMORY;
        item->miss = MEMKV_MISS_NONE;
        item->byte_count = 0;
        item->value_bytes = 0;
        item->reservation = item->op == MEMKV_OP_ALLOCATE ? 0 : item->reservation;
    }
    if (exchange->states == NULL || exchange->order == NULL) {
        free(exchange->states);
        free(exchange->order);
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a batch of %u items",
                               exchange->item_count);
    }
    struct memkv_error connect_error;
    const enum memkv_status connected = mkv_client_connect(client, &connect_error);
    if (connected != MEMKV_OK) {
        mkv_exchange_fail(exchange, connected, "%s", connect_error.text);
    } else {
        exchange->deadline_ns = mkv_client_now_ns() + (uint64_t)client->timeout_ms * 1000000u;
        mkv_exchange_group(exchange);
        converse(exchange);
    }
    if (exchange->is_failed || exchange->receive.state != MKV_EXCHANGE_HEADER) {
        mkv_client_disconnect(client);
    }
    settle(exchange);
    const enum memkv_status status = report(exchange, error);
    for (uint32_t index = 0; index < MKV_EXCHANGE_REQUESTS_MAX; index++) {
        free(exchange->requests[index].frame);
    }
    free(exchange->states);
    free(exchange->order);
    free(exchange->stage);
    return status;
}
