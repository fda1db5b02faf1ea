/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the connection itself, and those that somebody else answers. They reply behind all
 * replies before them.
 */
#include <stdio.h>
#include <string.h>

#include "backends/fabric_resp_internal.h"

/* A writer for the reply of a command that has its turn; false: it has not yet. */
static bool reply_begin(struct mkv_resp_connection *connection, uint32_t byte_count,
                        struct mkv_resp_writer *writer) {
    return connection->entries_head == NULL && mkv_resp_reply_begin(connection, byte_count, writer);
}

static enum mkv_resp_taken reply_simple(struct mkv_resp_connection *connection, const char *text) {
    struct mkv_resp_writer writer;
    if (!reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
        return MKV_RESP_WAITS;
    }
    mkv_resp_write_simple(&writer, text);
    mkv_resp_reply_end(connection, &writer);
    return MKV_RESP_TAKEN;
}

static enum mkv_resp_taken reply_bulk(struct mkv_resp_connection *connection,
                                      struct mkv_resp_argument argument) {
    struct mkv_resp_writer writer;
    const uint32_t bytes = argument.byte_count + MKV_RESP_NUMBER_BYTES_MAX + 2;
    if (!reply_begin(connection, bytes, &writer)) {
        return MKV_RESP_WAITS;
    }
    mkv_resp_write_bulk(&writer, argument.bytes, argument.byte_count);
    mkv_resp_reply_end(connection, &writer);
    return MKV_RESP_TAKEN;
}

enum mkv_resp_taken mkv_resp_execute_ping(struct mkv_resp_connection *connection) {
    return connection->argument_count == 2
               ? reply_bulk(connection, mkv_resp_argument(connection, 1))
               : reply_simple(connection, "PONG");
}

enum mkv_resp_taken mkv_resp_execute_echo(struct mkv_resp_connection *connection) {
    return reply_bulk(connection, mkv_resp_argument(connection, 1));
}

enum mkv_resp_taken mkv_resp_execute_select(struct mkv_resp_connection *connection) {
    const struct mkv_resp_argument index = mkv_resp_argument(connection, 1);
    int64_t value;
    if (!mkv_resp_integer_parse(index.bytes, index.byte_count, &value)) {
        mkv_resp_refuse(connection, "ERR value is not an integer or out of range");
        return MKV_RESP_TAKEN;
    }
    if (value != 0) {
        mkv_resp_refuse(connection, "ERR DB index is out of range");
        return MKV_RESP_TAKEN;
    }
    return reply_simple(connection, "OK");
}

enum mkv_resp_taken mkv_resp_execute_quit(struct mkv_resp_connection *connection) {
    if (reply_simple(connection, "OK") == MKV_RESP_WAITS) {
        return MKV_RESP_WAITS;
    }
    mkv_resp_connection_leave(connection);
    return MKV_RESP_TAKEN;
}

enum mkv_resp_taken mkv_resp_execute_reset(struct mkv_resp_connection *connection) {
    if (reply_simple(connection, "RESET") == MKV_RESP_WAITS) {
        return MKV_RESP_WAITS;
    }
    connection->protocol = 2;
    connection->identity.name[0] = '\0';
    mkv_fabric_auth_forget(connection->fabric->options.auth, &connection->session);
    connection->parser.stranger = connection->session.grant == NULL;
    return MKV_RESP_TAKEN;
}

/* ---- who it is ------------------------------------------------------------------------------- */

/* A password leaves the workspace with the command that brought it. */
static void wipe(struct mkv_resp_connection *connection, uint32_t index) {
    const struct mkv_resp_place *place = &connection->work->arguments[index];
    volatile uint8_t *bytes = connection->work->input + connection->start + place->offset;
    for (uint32_t i = 0; i < place->byte_count; i++) {
        bytes[i] = 0;
    }
}

/*
 * Phase 0 asks; phase 1 waits with what a failure comes to until its time. True when the client is
 * who it says; else the command is refused, or waits where `*waits`.
 */
static bool prove(struct mkv_resp_connection *connection, struct mkv_resp_argument user,
                  uint32_t password_index, bool *waits) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    *waits = false;
    if (connection->phase == 0) {
        const struct mkv_resp_argument password = mkv_resp_argument(connection, password_index);
        const enum mkv_fabric_auth_result result = mkv_fabric_auth_password(
            fabric->options.auth, &connection->session, (const char *)user.bytes, user.byte_count,
            (const char *)password.bytes, password.byte_count);
        wipe(connection, password_index);
        if (result == MKV_FABRIC_AUTH_OK) {
            connection->phase = 2;
            connection->parser.stranger = false;
            return true;
        }
        if (result == MKV_FABRIC_AUTH_NOT_ASKED) {
            mkv_resp_refuse(connection, "%s", &MKV_FABRIC_AUTH_RESP_NO_PASSWORD[1]);
            return false;
        }
        connection->phase = 1;
        connection->closes = result == MKV_FABRIC_AUTH_FAILED_LAST;
        connection->delay_ns = fabric->now_ns + connection->session.delay_ns;
    }
    if (connection->phase == 2) {
        return true;
    }
    if (fabric->now_ns < connection->delay_ns) {
        connection->step = MKV_RESP_STEP_DELAY;
        *waits = true;
        return false;
    }
    mkv_resp_refuse(connection, "%s", &MKV_FABRIC_AUTH_RESP_WRONGPASS[1]);
    return false;
}

static const struct mkv_resp_argument user_default = {(const uint8_t *)"default", 7};

enum mkv_resp_taken mkv_resp_execute_auth(struct mkv_resp_connection *connection) {
    const bool has_user = connection->argument_count == 3;
    const struct mkv_resp_argument user =
        has_user ? mkv_resp_argument(connection, 1) : user_default;
    bool waits;
    if (connection->entries_head != NULL) {
        return MKV_RESP_WAITS;
    }
    if (!prove(connection, user, has_user ? 2 : 1, &waits)) {
        return waits ? MKV_RESP_WAITS : MKV_RESP_TAKEN;
    }
    return reply_simple(connection, "OK");
}

/* ---- HELLO ----------------------------------------------------------------------------------- */

/* What HELLO asks for. */
struct hello {
    uint32_t protocol;
    bool has_auth;
    uint32_t user; /* arguments */
    uint32_t password;
    bool has_name;
    struct mkv_resp_argument name;
};

static bool is_name(struct mkv_resp_argument name) {
    for (uint32_t i = 0; i < name.byte_count; i++) {
        if (name.bytes[i] < '!' || name.bytes[i] > '~') {
            return false;
        }
    }
    return true;
}

/* False when the command is refused. */
static bool hello_parse(struct mkv_resp_connection *connection, struct hello *hello) {
    *hello = (struct hello){.protocol = connection->protocol};
    uint32_t at = 1;
    if (at < connection->argument_count) {
        const struct mkv_resp_argument version = mkv_resp_argument(connection, at++);
        int64_t value;
        if (!mkv_resp_integer_parse(version.bytes, version.byte_count, &value)) {
            mkv_resp_refuse(connection, "ERR Protocol version is not an integer or out of range");
            return false;
        }
        if (value < 2 || value > 3) {
            mkv_resp_refuse(connection, "NOPROTO unsupported protocol version");
            return false;
        }
        hello->protocol = (uint32_t)value;
    }
    while (at < connection->argument_count) {
        const struct mkv_resp_argument option = mkv_resp_argument(connection, at);
        const uint32_t left = connection->argument_count - at - 1;
        if (mkv_resp_is_word(option.bytes, option.byte_count, "AUTH") && left >= 2) {
            hello->has_auth = true;
            hello->user = at + 1;
            hello->password = at + 2;
            at += 3;
        } else if (mkv_resp_is_word(option.bytes, option.byte_count, "SETNAME") && left >= 1) {
            hello->has_name = true;
            hello->name = mkv_resp_argument(connection, at + 1);
            at += 2;
        } else {
            mkv_resp_refuse(connection, "ERR Syntax error in HELLO option '%.*s'",
                            (int)mkv_min_u64(option.byte_count, 64), (const char *)option.bytes);
            return false;
        }
    }
    if (hello->has_name && !is_name(hello->name)) {
        mkv_resp_refuse(connection, "ERR Client names cannot contain spaces, newlines or special "
                                    "characters.");
        return false;
    }
    return true;
}

static void hello_reply(struct mkv_resp_connection *connection, struct mkv_resp_writer *writer) {
    mkv_resp_write_map(writer, 7);
    mkv_resp_write_text(writer, "server");
    mkv_resp_write_text(writer, "redis");
    mkv_resp_write_text(writer, "version");
    mkv_resp_write_text(writer, connection->fabric->options.version);
    mkv_resp_write_text(writer, "proto");
    mkv_resp_write_integer(writer, connection->protocol);
    mkv_resp_write_text(writer, "id");
    mkv_resp_write_integer(writer, (int64_t)mkv_resp_client_id(connection->id));
    mkv_resp_write_text(writer, "mode");
    mkv_resp_write_text(writer, "standalone");
    mkv_resp_write_text(writer, "role");
    mkv_resp_write_text(writer, "master");
    mkv_resp_write_text(writer, "modules");
    mkv_resp_write_array(writer, 0);
}

enum mkv_resp_taken mkv_resp_execute_hello(struct mkv_resp_connection *connection) {
    struct hello hello;
    struct mkv_resp_writer writer;
    bool waits;
    if (!hello_parse(connection, &hello)) {
        return MKV_RESP_TAKEN;
    }
    if (!reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
        return MKV_RESP_WAITS;
    }
    if (hello.has_auth &&
        !prove(connection, mkv_resp_argument(connection, hello.user), hello.password, &waits)) {
        return waits ? MKV_RESP_WAITS : MKV_RESP_TAKEN;
    }
    if (connection->session.grant == NULL) {
        mkv_resp_refuse(connection,
                        "NOAUTH HELLO must be called with the client already authenticated, "
                        "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to "
                        "authenticate the client and select the RESP protocol version at the same "
                        "time");
        return MKV_RESP_TAKEN;
    }
    if (hello.has_name) {
        const uint32_t bytes =
            (uint32_t)mkv_min_u64(hello.name.byte_count, MKV_FABRIC_RESP_NAME_BYTES_MAX);
        memcpy(connection->identity.name, hello.name.bytes, bytes);
        connection->identity.name[bytes] = '\0';
    }
    connection->protocol = hello.protocol;
    writer.protocol = hello.protocol;
    hello_reply(connection, &writer);
    mkv_resp_reply_end(connection, &writer);
    return MKV_RESP_TAKEN;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* As Redis says it: with the first arguments, up to 128 bytes of each kind. */
static void refuse_unknown(struct mkv_resp_connection *connection) {
    char text[MKV_RESP_VERDICT_BYTES];
    const struct mkv_resp_argument name = mkv_resp_argument(connection, 0);
    int bytes =
        snprintf(text, sizeof text, "ERR unknown command '%.*s', with args beginning with: ",
                 (int)mkv_min_u64(name.byte_count, 128), (const char *)name.bytes);
    MKV_ASSERT(bytes > 0);
    size_t used = strlen(text); /* a name may hold a 0 */
    const size_t begin = used;
    for (uint32_t i = 1; i < connection->argument_count && used - begin < 128; i++) {
        const struct mkv_resp_argument argument = mkv_resp_argument(connection, i);
        const uint64_t room = mkv_min_u64(128 - (used - begin), argument.byte_count);
        const int more = snprintf(text + used, sizeof text - used, "'%.*s' ", (int)room,
                                  (const char *)argument.bytes);
        MKV_ASSERT(more > 0);
        used = strlen(text);
    }
    mkv_resp_refuse(connection, "%s", text);
}

static void call_start(struct mkv_resp_connection *connection, struct mkv_resp_slot *slot) {
    for (uint32_t i = 0; i < connection->argument_count; i++) {
        slot->arguments[i] = mkv_resp_argument(connection, i);
    }
    slot->call = (struct mkv_resp_call){
        .connection = connection->id,
        .session = &connection->session,
        .identity = &connection->identity,
        .argument_count = connection->argument_count,
        .arguments = slot->arguments,
        .reply = {.bytes = slot->bytes,
                  .capacity = MKV_FABRIC_RESP_REPLY_BYTES_MAX,
                  .protocol = connection->protocol},
    };
}

/* The reply of a call goes to the output where it fits, else it is sent from where it is. False:
 * there is no room now. */
static bool call_reply(struct mkv_resp_connection *connection) {
    struct mkv_resp_slot *slot = connection->slot;
    struct mkv_resp_writer *reply = &slot->call.reply;
    struct mkv_resp_writer writer;
    if (reply->overflowed) {
        reply->length = 0;
        reply->overflowed = false;
        mkv_resp_write_error(reply, "ERR the reply has more bytes than this server sends");
    }
    const bool is_short = reply->length <= MKV_RESP_OUTPUT_BYTES / 2;
    if (!mkv_resp_reply_begin(connection, is_short ? reply->length : MKV_RESP_REPLY_BYTES,
                              &writer)) {
        return false;
    }
    if (is_short) {
        if (reply->length > 0) {
            memcpy(writer.bytes, reply->bytes, reply->length);
            writer.length = reply->length;
        }
        mkv_resp_reply_end(connection, &writer);
        mkv_resp_slot_give(connection);
        return true;
    }
    mkv_resp_reply_memory(connection, reply->bytes, reply->length);
    slot->end = connection->queued;
    slot->is_sent = true;
    return true;
}

enum mkv_resp_taken mkv_resp_execute_call(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    const struct mkv_fabric_resp_options *options = &fabric->options;
    if (connection->phase == 0) {
        if (connection->entries_head != NULL || connection->slot != NULL) {
            return MKV_RESP_WAITS; /* I6; or a long reply is still being sent */
        }
        if (options->call == NULL) {
            refuse_unknown(connection);
            return MKV_RESP_TAKEN;
        }
        struct mkv_resp_slot *slot = mkv_resp_slot_take(connection);
        if (slot == NULL) {
            mkv_resp_await(connection);
            return MKV_RESP_WAITS;
        }
        char loading[MKV_RESP_VERDICT_BYTES];
        call_start(connection, slot);
        if (fabric->opening) {
            mkv_resp_loading_text(fabric, loading);
            slot->call.loading = loading;
        }
        switch (options->call(options->call_context, &slot->call)) {
        case MKV_RESP_CALL_UNKNOWN:
            mkv_resp_slot_give(connection);
            refuse_unknown(connection);
            return MKV_RESP_TAKEN;
        case MKV_RESP_CALL_DONE:
            slot->is_done = true;
            break;
        case MKV_RESP_CALL_LATER:
            break;
        }
        slot->call.loading = NULL;
        connection->phase = 1;
    }
    if (!connection->slot->is_done) {
        connection->step = MKV_RESP_STEP_CALL;
        return MKV_RESP_WAITS;
    }
    connection->closes = connection->closes || connection->slot->call.closes;
    return call_reply(connection) ? MKV_RESP_TAKEN : MKV_RESP_WAITS;
}

void mkv_fabric_resp_complete(struct mkv_fabric_resp *fabric, struct mkv_resp_call *call) {
    struct mkv_resp_slot *slot =
        (struct mkv_resp_slot *)((char *)call - offsetof(struct mkv_resp_slot, call));
    MKV_ASSERT(slot >= fabric->slots);
    MKV_ASSERT(slot < fabric->slots + fabric->options.calls);
    MKV_ASSERT(slot->connection != NULL);
    MKV_ASSERT(!slot->is_done);
    slot->is_done = true;
    mkv_resp_connection_touch(slot->connection);
}

void mkv_resp_call_drop(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    struct mkv_resp_slot *slot = connection->slot;
    if (slot == NULL) {
        return;
    }
    if (!slot->is_done) {
        MKV_ASSERT(fabric->options.gone != NULL);
        fabric->options.gone(fabric->options.call_context, &slot->call);
    }
    mkv_resp_slot_give(connection);
}
