/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command does, as its arguments come:
 *
 *   BEGIN --> name --> arguments: kept ........................... --> END: executed
 *               |                 keys, each a request of its own --> END
 *               |                 a LARGE value, whose PUT begins --> END: what follows it
 *               +--> refused: arguments are dropped ............... --> END: the error is replied
 */
#include "backends/fabric_resp_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RIGHT_GET MKV_FABRIC_RIGHT_GET
#define RIGHT_PUT MKV_FABRIC_RIGHT_PUT
#define RIGHT_DELETE MKV_FABRIC_RIGHT_DELETE

#define KEYS(name_, min_, right_, op_, reply_)                                                     \
    {                                                                                              \
        .name = name_, .arguments_min = min_, .shape = MKV_RESP_SHAPE_KEYS, .right = right_,       \
        .op = op_, .reply = reply_                                                                 \
    }
#define VALUE(name_, count_, at_, execute_)                                                        \
    {                                                                                              \
        .name = name_, .arguments_min = count_, .arguments_max = count_,                           \
        .shape = MKV_RESP_SHAPE_VALUE, .value_at = at_, .right = RIGHT_PUT, .execute = execute_    \
    }
#define LOOK(name_, reply_)                                                                        \
    {                                                                                              \
        .name = name_, .arguments_min = 2, .arguments_max = 2, .right = RIGHT_GET,                 \
        .reply = reply_, .no_proxy = reply_ != MKV_RESP_REPLY_TYPE,                                \
        .execute = mkv_resp_execute_look                                                           \
    }
#define OF_KEY(name_, right_, execute_)                                                            \
    { .name = name_, .arguments_min = 2, .arguments_max = 2, .right = right_, .execute = execute_ }
#define EXPIRE(name_)                                                                              \
    {                                                                                              \
        .name = name_, .arguments_min = 3, .right = RIGHT_PUT, .no_proxy = true,                   \
        .execute = mkv_resp_execute_expire                                                         \
    }
#define OWN(name_, min_, max_, strangers_, execute_)                                               \
    {                                                                                              \
        .name = name_, .arguments_min = min_, .arguments_max = max_, .for_strangers = strangers_,  \
        .is_own = true, .execute = execute_                                                        \
    }

const struct mkv_resp_command mkv_resp_commands[] = {
    OF_KEY("get", RIGHT_GET, mkv_resp_execute_get),
    {.name = "set",
     .arguments_min = 3,
     .shape = MKV_RESP_SHAPE_VALUE,
     .value_at = 2,
     .right = RIGHT_PUT,
     .execute = mkv_resp_execute_set},
    VALUE("setex", 4, 3, mkv_resp_execute_setex),
    VALUE("psetex", 4, 3, mkv_resp_execute_setex),
    {.name = "setnx",
     .arguments_min = 3,
     .arguments_max = 3,
     .shape = MKV_RESP_SHAPE_VALUE,
     .value_at = 2,
     .right = RIGHT_PUT,
     .no_proxy = true,
     .execute = mkv_resp_execute_setnx},
    KEYS("exists", 2, RIGHT_GET, MKV_OP_EXISTS, MKV_RESP_REPLY_COUNT),
    KEYS("del", 2, RIGHT_DELETE, MKV_OP_DELETE, MKV_RESP_REPLY_COUNT),
    KEYS("unlink", 2, RIGHT_DELETE, MKV_OP_DELETE, MKV_RESP_REPLY_COUNT),
    KEYS("touch", 2, RIGHT_GET, MKV_OP_EXISTS, MKV_RESP_REPLY_COUNT),
    KEYS("mget", 2, RIGHT_GET, MKV_OP_GET, MKV_RESP_REPLY_VALUE),
    {.name = "mset", .arguments_min = 3, .shape = MKV_RESP_SHAPE_PAIRS, .right = RIGHT_PUT},
    OF_KEY("strlen", RIGHT_GET, mkv_resp_execute_strlen),
    {.name = "getrange",
     .arguments_min = 4,
     .arguments_max = 4,
     .right = RIGHT_GET,
     .execute = mkv_resp_execute_getrange},
    {.name = "substr",
     .arguments_min = 4,
     .arguments_max = 4,
     .right = RIGHT_GET,
     .execute = mkv_resp_execute_getrange},
    EXPIRE("expire"),
    EXPIRE("pexpire"),
    EXPIRE("expireat"),
    EXPIRE("pexpireat"),
    {.name = "persist",
     .arguments_min = 2,
     .arguments_max = 2,
     .right = RIGHT_PUT,
     .no_proxy = true,
     .execute = mkv_resp_execute_persist},
    LOOK("ttl", MKV_RESP_REPLY_TTL),
    LOOK("pttl", MKV_RESP_REPLY_PTTL),
    LOOK("expiretime", MKV_RESP_REPLY_EXPIRETIME),
    LOOK("pexpiretime", MKV_RESP_REPLY_PEXPIRETIME),
    LOOK("type", MKV_RESP_REPLY_TYPE),
    OWN("ping", 1, 2, false, mkv_resp_execute_ping),
    OWN("echo", 2, 2, false, mkv_resp_execute_echo),
    OWN("select", 2, 2, false, mkv_resp_execute_select),
    OWN("quit", 1, 0, true, mkv_resp_execute_quit),
    OWN("reset", 1, 1, true, mkv_resp_execute_reset),
    OWN("auth", 2, 3, true, mkv_resp_execute_auth),
    OWN("hello", 1, 0, true, mkv_resp_execute_hello),
};

_Static_assert(sizeof mkv_resp_commands / sizeof mkv_resp_commands[0] <= MKV_RESP_COMMANDS_MAX,
               "each has figures");

uint32_t mkv_resp_command_count(void) {
    return sizeof mkv_resp_commands / sizeof mkv_resp_commands[0];
}

const struct mkv_resp_command *mkv_resp_command_of(const struct mkv_resp_connection *connection) {
    return connection->command == MKV_RESP_COMMAND_OTHER ? NULL
                                                         : &mkv_resp_commands[connection->command];
}

struct mkv_resp_argument mkv_resp_argument(const struct mkv_resp_connection *connection,
                                           uint32_t index) {
    MKV_ASSERT(index < connection->argument_count);
    const struct mkv_resp_place *place = &connection->work->arguments[index];
    return (struct mkv_resp_argument){connection->work->input + connection->start + place->offset,
                                      place->byte_count};
}

void mkv_resp_refuse(struct mkv_resp_connection *connection, const char *format, ...) {
    if (connection->refused) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(connection->verdict, sizeof connection->verdict, format, arguments);
    va_end(arguments);
    /* A text of fabric_auth.h brings the end of its line. */
    connection->verdict[strcspn(connection->verdict, "\r\n")] = '\0';
    connection->refused = true;
    connection->keeps = false;
}

/* Refuses a command that has not begun to do anything. */
#define REJECT(connection, ...)                                                                    \
    do {                                                                                           \
        (connection)->rejected = !(connection)->refused;                                           \
        mkv_resp_refuse(connection, __VA_ARGS__);                                                  \
    } while (0)

void mkv_resp_command_begin(struct mkv_resp_connection *connection) {
    connection->taken = 0;
    connection->argument_count = 0;
    connection->keeps = true;
    connection->phase = 0;
    connection->is_large = false;
    connection->refused = false;
    connection->rejected = false;
    connection->commands++;
    connection->fabric->commands_total++;
}

/* ---- the name -------------------------------------------------------------------------------- */

static uint32_t find(const uint8_t *name, uint32_t name_bytes) {
    for (uint32_t i = 0; i < mkv_resp_command_count(); i++) {
        if (mkv_resp_is_word(name, name_bytes, mkv_resp_commands[i].name)) {
            return i;
        }
    }
    return MKV_RESP_COMMAND_OTHER;
}

/* For lists of clients: small letters, and nothing that is not printable. */
static void note_other(struct mkv_resp_connection *connection, const uint8_t *name,
                       uint32_t name_bytes) {
    const uint32_t bytes = (uint32_t)mkv_min_u64(name_bytes, sizeof connection->other_command - 1);
    for (uint32_t i = 0; i < bytes; i++) {
        const uint8_t byte = name[i];
        const bool is_capital = byte >= 'A' && byte <= 'Z';
        const bool is_plain = byte > ' ' && byte <= '~';
        connection->other_command[i] =
            (char)(is_capital ? byte - 'A' + 'a' : (is_plain ? byte : '?'));
    }
    connection->other_command[bytes] = '\0';
}

static void check_name(struct mkv_resp_connection *connection,
                       const struct mkv_resp_command *command) {
    const uint32_t count = connection->parser.argument_count;
    const char *name = command == NULL ? connection->other_command : command->name;
    if (connection->session.grant == NULL && (command == NULL || !command->for_strangers)) {
        REJECT(connection, "NOAUTH Authentication required.");
        return;
    }
    if (command == NULL) {
        if (count > MKV_FABRIC_RESP_ARGUMENTS_MAX) {
            REJECT(connection, "ERR '%s' takes at most %u arguments here", name,
                   MKV_FABRIC_RESP_ARGUMENTS_MAX);
        }
        return;
    }
    const bool is_odd = command->shape == MKV_RESP_SHAPE_PAIRS && count % 2 == 0;
    if (count < command->arguments_min || is_odd ||
        (command->arguments_max != 0 && count > command->arguments_max)) {
        REJECT(connection, "ERR wrong number of arguments for '%s' command", name);
        return;
    }
    if (command->right != 0 && !mkv_fabric_auth_may(&connection->session, command->right)) {
        REJECT(connection, "NOPERM User %s has no permissions to run the '%s' command",
               connection->session.user, name);
        return;
    }
    if (connection->fabric->opening && !command->is_own) {
        char text[MKV_RESP_VERDICT_BYTES];
        mkv_resp_loading_text(connection->fabric, text);
        REJECT(connection, "%s", text);
        return;
    }
    if (connection->fabric->options.is_proxy && command->no_proxy) {
        REJECT(connection, "ERR '%s' is not served by a proxy", name);
        return;
    }
    const bool changes = (command->right & (RIGHT_PUT | RIGHT_DELETE)) != 0;
    if (changes && connection->fabric->draining) {
        REJECT(connection, "READONLY the server is shutting down");
    }
}

/* The first words of what a browser sends. A page of anybody can make one send lines of its choice
 * to this machine: behind such a word no command is one of a client. */
static bool is_http(const uint8_t *name, uint32_t name_bytes) {
    return mkv_resp_is_word(name, name_bytes, "post") ||
           mkv_resp_is_word(name, name_bytes, "host:");
}

static void take_name(struct mkv_resp_connection *connection, const uint8_t *name,
                      uint32_t name_bytes) {
    if (is_http(name, name_bytes)) {
        connection->fabric->counters.faults_total[MKV_FABRIC_FAULT_NOT_A_REQUEST]++;
        mkv_resp_connection_break(connection);
    }
    connection->command = find(name, name_bytes);
    const struct mkv_resp_command *command = mkv_resp_command_of(connection);
    if (command == NULL) {
        note_other(connection, name, name_bytes);
    }
    check_name(connection, command);
    if (command != NULL &&
        (command->shape == MKV_RESP_SHAPE_KEYS || command->shape == MKV_RESP_SHAPE_PAIRS)) {
        connection->keeps = false;
    }
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void keep(struct mkv_resp_connection *connection, uint32_t offset, uint32_t byte_count) {
    if (connection->argument_count == MKV_FABRIC_RESP_ARGUMENTS_MAX) {
        REJECT(connection, "ERR too many arguments for '%s' command",
               mkv_resp_command_of(connection)->name);
        return;
    }
    connection->work->arguments[connection->argument_count] =
        (struct mkv_resp_place){offset, byte_count};
    connection->argument_count++;
}

/* Of MSET: a key is kept until its value comes. */
static enum mkv_resp_taken take_pair(struct mkv_resp_connection *connection, uint32_t offset,
                                     uint32_t byte_count) {
    if (connection->taken % 2 == 1) {
        connection->argument_count = 0;
        connection->keeps = true;
        keep(connection, offset, byte_count);
        return MKV_RESP_TAKEN;
    }
    const struct mkv_resp_argument key = mkv_resp_argument(connection, 0);
    if (mkv_resp_data_pair(connection, key, byte_count) == MKV_RESP_WAITS) {
        return MKV_RESP_WAITS;
    }
    connection->keeps = false;
    if (!connection->refused) {
        connection->value_kept = true;
        connection->value_offset = offset;
    }
    return MKV_RESP_TAKEN;
}

static enum mkv_resp_taken take(struct mkv_resp_connection *connection, uint32_t offset,
                                uint32_t byte_count) {
    const struct mkv_resp_command *command = mkv_resp_command_of(connection);
    const enum mkv_resp_shape shape = command == NULL ? MKV_RESP_SHAPE_OTHER : command->shape;
    switch (shape) {
    case MKV_RESP_SHAPE_KEYS:
        return mkv_resp_data_key(connection, offset, byte_count);
    case MKV_RESP_SHAPE_PAIRS:
        return take_pair(connection, offset, byte_count);
    case MKV_RESP_SHAPE_OTHER:
    case MKV_RESP_SHAPE_VALUE:
        break;
    }
    keep(connection, offset, byte_count);
    return MKV_RESP_TAKEN;
}

enum mkv_resp_taken mkv_resp_command_argument(struct mkv_resp_connection *connection,
                                              uint32_t offset, uint32_t byte_count) {
    if (connection->taken == 0) {
        const uint8_t *name = connection->work->input + connection->start + offset;
        keep(connection, offset, byte_count);
        take_name(connection, name, byte_count);
    } else if (!connection->refused && take(connection, offset, byte_count) == MKV_RESP_WAITS) {
        return MKV_RESP_WAITS;
    }
    connection->taken++;
    return MKV_RESP_TAKEN;
}

/* ---- LARGE ones ------------------------------------------------------------------------------ */

static void drop_large(struct mkv_resp_connection *connection) {
    connection->drop_bytes = connection->parser.argument_bytes;
    connection->step = MKV_RESP_STEP_DROP;
    connection->taken++;
}

static bool is_value(const struct mkv_resp_connection *connection,
                     const struct mkv_resp_command *command) {
    if (command == NULL || connection->taken == 0) {
        return false;
    }
    return command->shape == MKV_RESP_SHAPE_VALUE
               ? connection->taken == command->value_at
               : command->shape == MKV_RESP_SHAPE_PAIRS && connection->taken % 2 == 0;
}

enum mkv_resp_taken mkv_resp_command_large(struct mkv_resp_connection *connection) {
    const struct mkv_resp_command *command = mkv_resp_command_of(connection);
    if (connection->taken == 0) {
        REJECT(connection, "ERR unknown command");
    }
    if (!connection->refused && !is_value(connection, command)) {
        REJECT(connection, "ERR argument %u of '%s' is longer than %u bytes", connection->taken,
               command == NULL ? connection->other_command : command->name, MKV_RESP_SMALL_BYTES);
        if (mkv_resp_data_is_listing(connection) &&
            mkv_resp_data_refuse_element(connection) == MKV_RESP_WAITS) {
            return MKV_RESP_WAITS;
        }
        drop_large(connection);
        return MKV_RESP_TAKEN;
    }
    if (connection->refused) {
        drop_large(connection);
        return MKV_RESP_TAKEN;
    }
    const bool is_pair = command->shape == MKV_RESP_SHAPE_PAIRS;
    const uint64_t value_bytes = connection->parser.argument_bytes;
    const enum mkv_resp_taken taken =
        is_pair ? mkv_resp_data_pair(connection, mkv_resp_argument(connection, 0), value_bytes)
                : mkv_resp_set_large(connection, value_bytes);
    if (taken == MKV_RESP_WAITS) {
        return MKV_RESP_WAITS;
    }
    connection->large_before = true;
    if (connection->refused) {
        drop_large(connection);
        return MKV_RESP_TAKEN;
    }
    connection->is_large = true;
    connection->value_kept = false;
    connection->value_held = !is_pair && connection->parser.argument_count > connection->taken + 1;
    connection->keeps = connection->value_held;
    if (connection->value_held) {
        connection->value->reply = MKV_RESP_REPLY_NONE; /* its result is for what follows */
    }
    if (!is_pair) {
        keep(connection, 0, 0); /* in the place of the value */
    }
    connection->taken++;
    return MKV_RESP_TAKEN;
}

/* ---- the whole of it ------------------------------------------------------------------------- */

/* The error that the command has come to, behind all replies before it. */
static enum mkv_resp_taken reply_verdict(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    struct mkv_resp_writer writer;
    if (connection->entries_head != NULL ||
        !mkv_resp_reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
        return MKV_RESP_WAITS;
    }
    mkv_resp_write_error(&writer, connection->verdict);
    mkv_resp_reply_end(connection, &writer);
    connection->sum = 0;
    connection->sum_status = MKV_STATUS_OK;
    if (connection->command != MKV_RESP_COMMAND_OTHER) {
        struct mkv_resp_figures *figures = &fabric->figures[connection->command];
        figures->rejected += connection->rejected ? 1 : 0;
        figures->failed += connection->rejected ? 0 : 1;
    }
    return MKV_RESP_TAKEN;
}

enum mkv_resp_taken mkv_resp_command_execute(struct mkv_resp_connection *connection) {
    const struct mkv_resp_command *command = mkv_resp_command_of(connection);
    if (!connection->refused) {
        enum mkv_resp_taken taken = MKV_RESP_TAKEN;
        if (command == NULL) {
            taken = mkv_resp_execute_call(connection);
        } else if (command->execute != NULL) {
            taken = command->execute(connection);
        }
        if (taken == MKV_RESP_WAITS) {
            return taken;
        }
    }
    if (connection->refused) {
        mkv_resp_value_abandon(connection);
    }
    if (connection->refused && reply_verdict(connection) == MKV_RESP_WAITS) {
        return MKV_RESP_WAITS;
    }
    if (command != NULL && !connection->rejected) {
        connection->fabric->figures[connection->command].calls++;
    }
    if (connection->closes) {
        mkv_resp_connection_leave(connection);
    }
    return MKV_RESP_TAKEN;
}
