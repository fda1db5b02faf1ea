/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection to a server of the same machine does behind its greeting: it gets a window.
 *
 *   greeted --> WINDOW {bytes} --> answer with a descriptor --> mapped --> WINDOW {0} --> READY
 *                     |                     |                     |            |
 *                     +---------------------+---------------------+------------+--> READY without
 *
 * Without one all goes through the socket: what can't be shared is slower and nothing else.
 */
#include <unistd.h>

#include "client/engine.h"

static void send_frame(struct mkv_connection *connection, enum mkv_window_step step,
                       uint64_t bytes) {
    struct mkv_greeting *greeting = &connection->greeting;
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_WINDOW,
        .request_id = MKV_GREETING_REQUEST_ID,
        .body_bytes = MKV_NATIVE_WINDOW_BYTES,
    };
    connection->window_step = step;
    mkv_native_header_encode(&header, greeting->out);
    mkv_native_window_encode(bytes, greeting->out + MKV_NATIVE_HEADER_BYTES);
    greeting->out_bytes = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_WINDOW_BYTES;
    mkv_connection_greet(connection);
}

bool mkv_connection_window_begin(struct mkv_connection *connection) {
    const struct mkv_window *window = connection->remote->client->window;
    const uint64_t features = connection->greeting.limits.features;
    if (window == NULL || window->mapped_bytes > 0 || (features & MKV_NATIVE_FEATURE_WINDOW) == 0) {
        return false;
    }
    send_frame(connection, MKV_WINDOW_ASKED, window->bytes);
    return true;
}

void mkv_connection_window_end(struct mkv_connection *connection) {
    struct memkv_client *client = connection->remote->client;
    if (connection->window_step != MKV_WINDOW_NONE) {
        const uint64_t mapped_bytes = client->window->mapped_bytes;
        connection->window_step = MKV_WINDOW_NONE;
        mkv_window_detach(client->window);
        mkv_buffers_moved(client, client->window->base, mapped_bytes);
    }
}

/* Maps what the server has passed. False: then it goes without. */
static bool map(struct mkv_connection *connection, uint64_t bytes) {
    struct mkv_window *window = connection->remote->client->window;
    const int descriptor = connection->transport->passed_descriptor;
    bool is_mapped = false;
    if (descriptor >= 0 && bytes > 0 && bytes <= window->bytes &&
        bytes % MKV_WINDOW_ALIGN_BYTES == 0) {
        is_mapped = mkv_window_attach(window, descriptor, bytes);
    }
    if (is_mapped) {
        mkv_buffers_moved(connection->remote->client, window->base, bytes);
    }
    if (descriptor >= 0) {
        close(descriptor);
        connection->transport->passed_descriptor = -1;
    }
    return is_mapped;
}

void mkv_connection_window_frame(struct mkv_connection *connection) {
    const struct mkv_native_header *header = &connection->receive.header;
    uint64_t bytes = 0;
    const bool is_answer =
        (header->flags & MKV_NATIVE_FLAG_ANSWER) != 0 && header->op == MKV_NATIVE_WINDOW;
    if (!is_answer) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "server %s broke the protocol: another frame where a WINDOW is "
                            "answered; this is a bug, please report it",
                            connection->remote->address.text);
        return;
    }
    const bool is_granted = header->status == MKV_STATUS_OK &&
                            mkv_native_window_decode(connection->body, &bytes) == MKV_NATIVE_OK;
    if (is_granted && connection->window_step == MKV_WINDOW_ASKED && map(connection, bytes)) {
        send_frame(connection, MKV_WINDOW_MAPPED, 0);
        return;
    }
    if (is_granted && connection->window_step == MKV_WINDOW_MAPPED) {
        connection->remote->client->window->owner = connection;
    } else {
        mkv_connection_window_end(connection);
    }
    mkv_connection_ready(connection);
}
