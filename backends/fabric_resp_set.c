/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SET and its like, with what they may ask for: an expiry, and only where the key is there, or only
 * where it is not.
 *
 *   What follows a value is known only when the value has come. A value of up to
 *   MKV_RESP_SMALL_BYTES waits in the workspace for it. Of a longer one the PUT has begun, and its
 *   last PULL is held until the command is whole: then it is let go on, and its expiry set behind
 *   it, or dropped.
 */
#include <string.h>
#include <time.h>

#include "backends/clock.h"
#include "backends/fabric_resp_internal.h"

#define MS_PER_S 1000
#define CONDITIONS (MKV_PUT_IF_ABSENT | MKV_PUT_IF_PRESENT)

struct options {
    uint32_t flags;    /* MKV_PUT_IF_… and MKV_EXPIRE_AT */
    uint32_t expire_s; /* from now on, or with EXPIRE_AT a Unix time; 0 never */
};

static bool refuse(struct mkv_resp_connection *connection, const char *text) {
    mkv_resp_refuse(connection, "%s", text);
    return false;
}

static bool refuse_expiry(struct mkv_resp_connection *connection) {
    mkv_resp_refuse(connection, "ERR invalid expire time in '%s' command",
                    mkv_resp_command_of(connection)->name);
    return false;
}

/* `unit` 1 for seconds, MS_PER_S for milliseconds, of which a part of a second counts as one. */
static bool take_expiry(struct mkv_resp_connection *connection, struct mkv_resp_argument argument,
                        int64_t unit, bool is_absolute, struct options *options) {
    int64_t value;
    if (!mkv_resp_integer_parse(argument.bytes, argument.byte_count, &value)) {
        return refuse(connection, "ERR value is not an integer or out of range");
    }
    if (value <= 0) {
        return refuse_expiry(connection);
    }
    const int64_t wall_s = (int64_t)(mkv_clock_wall_ms() / MS_PER_S);
    const int64_t seconds = value / unit + (value % unit != 0 ? 1 : 0);
    if (seconds > (int64_t)UINT32_MAX - (is_absolute ? 0 : wall_s)) {
        return refuse_expiry(connection);
    }
    options->flags |= is_absolute ? MKV_EXPIRE_AT : 0;
    options->expire_s = (uint32_t)seconds;
    return true;
}

static bool is(struct mkv_resp_argument argument, const char *word) {
    return mkv_resp_is_word(argument.bytes, argument.byte_count, word);
}

/* What follows the value of SET. False: the command is refused. */
static bool take_options(struct mkv_resp_connection *connection, struct options *options) {
    static const char syntax[] = "ERR syntax error";
    static const struct {
        const char *word;
        int64_t unit;
        bool is_absolute;
    } expiries[] = {
        {"EX", 1, false},
        {"PX", MS_PER_S, false},
        {"EXAT", 1, true},
        {"PXAT", MS_PER_S, true},
    };
    bool has_expiry = false;
    for (uint32_t at = 3; at < connection->argument_count; at++) {
        const struct mkv_resp_argument option = mkv_resp_argument(connection, at);
        bool taken = false;
        for (uint32_t i = 0; i < 4 && !taken; i++) {
            taken = is(option, expiries[i].word);
            if (!taken) {
                continue;
            }
            at++;
            if (has_expiry || at == connection->argument_count) {
                return refuse(connection, syntax);
            }
            has_expiry = true;
            if (!take_expiry(connection, mkv_resp_argument(connection, at), expiries[i].unit,
                             expiries[i].is_absolute, options)) {
                return false;
            }
        }
        if (!taken && (is(option, "NX") || is(option, "XX")) &&
            (options->flags & CONDITIONS) == 0) {
            options->flags |= is(option, "NX") ? MKV_PUT_IF_ABSENT : MKV_PUT_IF_PRESENT;
            taken = true;
        }
        if (!taken && (is(option, "GET") || is(option, "KEEPTTL"))) {
            return refuse(connection, "ERR SET does not take GET and KEEPTTL here");
        }
        if (!taken) {
            return refuse(connection, syntax);
        }
    }
    /* The expiry of a long value would be set behind it. */
    const bool is_late = connection->is_large && options->expire_s != 0;
    if (connection->fabric->options.is_proxy && (is_late || options->flags != 0)) {
        mkv_resp_refuse(connection,
                        "ERR behind a proxy SET takes EX and PX, with values of up to %u bytes, "
                        "and nothing else",
                        MKV_RESP_SMALL_BYTES);
        return false;
    }
    return true;
}

/* The PUT of a value in the workspace. */
static enum mkv_resp_taken put_small(struct mkv_resp_connection *connection, uint32_t value_at,
                                     enum mkv_resp_reply reply, const struct options *options) {
    const struct mkv_resp_argument key = mkv_resp_argument(connection, 1);
    const struct mkv_resp_place *value = &connection->work->arguments[value_at];
    struct mkv_resp_wanted wanted = {
        .reply = reply,
        .last = true,
        .conditional = (options->flags & CONDITIONS) != 0,
        .flags = options->flags,
        .expire_s = options->expire_s,
    };
    if (mkv_resp_put(connection, key, value->byte_count, &wanted) == MKV_RESP_WAITS) {
        return MKV_RESP_WAITS;
    }
    if (!connection->refused) {
        connection->value_kept = true;
        connection->value_offset = value->offset;
    }
    return MKV_RESP_TAKEN;
}

enum mkv_resp_taken mkv_resp_set_large(struct mkv_resp_connection *connection,
                                       uint64_t value_bytes) {
    const char *name = mkv_resp_command_of(connection)->name;
    const bool is_nx = strcmp(name, "setnx") == 0;
    const bool is_ex = strcmp(name, "setex") == 0;
    struct options options = {0};
    if ((is_ex || strcmp(name, "psetex") == 0) &&
        !take_expiry(connection, mkv_resp_argument(connection, 2), is_ex ? 1 : MS_PER_S, false,
                     &options)) {
        return MKV_RESP_TAKEN;
    }
    struct mkv_resp_wanted wanted = {
        .reply = is_nx ? MKV_RESP_REPLY_ADDED : MKV_RESP_REPLY_OK,
        .last = true,
        .conditional = is_nx,
        .flags = is_nx ? MKV_PUT_IF_ABSENT : 0,
        .expire_s = options.expire_s,
    };
    return mkv_resp_put(connection, mkv_resp_argument(connection, 1), value_bytes, &wanted);
}

/* A request without a value, of the key of the command. */
static enum mkv_resp_taken ask(struct mkv_resp_connection *connection,
                               const struct mkv_resp_wanted *wanted) {
    struct mkv_resp_entry *entry;
    return mkv_resp_start(connection, mkv_resp_argument(connection, 1), wanted, &entry);
}

/* A long value with options: its PUT ends, then its expiry is set. */
static enum mkv_resp_taken set_late(struct mkv_resp_connection *connection,
                                    const struct options *options) {
    if ((options->flags & CONDITIONS) != 0) {
        mkv_resp_refuse(connection, "ERR SET takes NX and XX for values of up to %u bytes",
                        MKV_RESP_SMALL_BYTES);
        return MKV_RESP_TAKEN;
    }
    if (connection->phase == 0) {
        if (connection->value != NULL) {
            mkv_resp_value_release(connection, MKV_TRANSFER_OK);
        }
        return MKV_RESP_WAITS;
    }
    const enum mkv_status status = connection->result.status;
    if (status != MKV_STATUS_OK) {
        mkv_resp_refuse(connection, "%s", mkv_resp_status_text(connection->fabric, status));
        return MKV_RESP_TAKEN;
    }
    const struct mkv_resp_wanted wanted = {
        .op = MKV_OP_EXPIRE,
        .reply = MKV_RESP_REPLY_OK,
        .last = true,
        .flags = options->flags,
        .expire_s = options->expire_s,
    };
    return ask(connection, &wanted);
}

enum mkv_resp_taken mkv_resp_execute_set(struct mkv_resp_connection *connection) {
    struct options options = {0};
    if (connection->is_large && connection->argument_count == 3) {
        return MKV_RESP_TAKEN; /* nothing follows its value: all has been done */
    }
    if (!take_options(connection, &options)) {
        return MKV_RESP_TAKEN;
    }
    return connection->is_large ? set_late(connection, &options)
                                : put_small(connection, 2, MKV_RESP_REPLY_OK, &options);
}

/* ---- the expiry of what is there ------------------------------------------------------------- */

/* Asks what the key holds, in phase 0; true when that is known. */
static bool look(struct mkv_resp_connection *connection) {
    const struct mkv_resp_wanted wanted = {
        .op = MKV_OP_EXISTS, .flags = MKV_EXISTS_PLAIN, .reply = MKV_RESP_REPLY_NONE};
    if (connection->phase == 0 && connection->entries_head == NULL) {
        (void)ask(connection, &wanted);
    }
    return connection->phase > 0;
}

static enum mkv_resp_taken reply_none_changed(struct mkv_resp_connection *connection) {
    struct mkv_resp_writer writer;
    if (connection->entries_head != NULL ||
        !mkv_resp_reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
        return MKV_RESP_WAITS;
    }
    mkv_resp_write_integer(&writer, 0);
    mkv_resp_reply_end(connection, &writer);
    return MKV_RESP_TAKEN;
}

/* Whether EXPIRE's option lets a key's expiry be changed; `now` is what it has, 0 none. */
static bool lets(struct mkv_resp_argument option, int64_t now, int64_t wanted) {
    if (is(option, "NX")) {
        return now == 0;
    }
    if (is(option, "XX")) {
        return now != 0;
    }
    if (is(option, "GT")) {
        return now != 0 && wanted > now;
    }
    return now == 0 || wanted < now; /* LT */
}

/* 0 when EXPIRE has an option of its own, and that is not met; 1 when it is; 2: not known yet. */
static uint32_t check_option(struct mkv_resp_connection *connection, int64_t expiry_s) {
    if (connection->argument_count == 3) {
        return 1;
    }
    const struct mkv_resp_argument option = mkv_resp_argument(connection, 3);
    if (connection->argument_count > 4 ||
        (!is(option, "NX") && !is(option, "XX") && !is(option, "GT") && !is(option, "LT"))) {
        mkv_resp_refuse(connection, "ERR Unsupported option %.*s",
                        (int)mkv_min_u64(option.byte_count, 32), (const char *)option.bytes);
        return 1;
    }
    if (!look(connection)) {
        return 2;
    }
    return connection->result.status == MKV_STATUS_OK &&
                   lets(option, connection->result.expiry_s, expiry_s)
               ? 1
               : 0;
}

enum mkv_resp_taken mkv_resp_execute_expire(struct mkv_resp_connection *connection) {
    const struct mkv_resp_argument argument = mkv_resp_argument(connection, 2);
    const char *name = mkv_resp_command_of(connection)->name;
    const int64_t unit = name[0] == 'p' ? MS_PER_S : 1;
    const int64_t wall_s = (int64_t)(mkv_clock_wall_ms() / MS_PER_S);
    const bool is_absolute = strcmp(name + strlen(name) - 2, "at") == 0;
    int64_t value;
    if (!mkv_resp_integer_parse(argument.bytes, argument.byte_count, &value)) {
        mkv_resp_refuse(connection, "ERR value is not an integer or out of range");
        return MKV_RESP_TAKEN;
    }
    const int64_t seconds = value / unit + (value > 0 && value % unit != 0 ? 1 : 0);
    if (seconds > (int64_t)UINT32_MAX - (is_absolute ? 0 : wall_s)) {
        (void)refuse_expiry(connection);
        return MKV_RESP_TAKEN;
    }
    const int64_t expiry_s = is_absolute ? seconds : seconds > -wall_s ? wall_s + seconds : 0;
    const uint32_t checked = check_option(connection, expiry_s);
    if (connection->refused) {
        return MKV_RESP_TAKEN;
    }
    if (checked != 1) {
        return checked == 2 ? MKV_RESP_WAITS : reply_none_changed(connection);
    }
    /* A time that is over deletes the key, as with Redis. */
    const bool is_over = expiry_s <= wall_s;
    const struct mkv_resp_wanted wanted = {
        .op = is_over ? MKV_OP_DELETE : MKV_OP_EXPIRE,
        .reply = MKV_RESP_REPLY_COUNT,
        .last = true,
        .flags = is_absolute && !is_over ? MKV_EXPIRE_AT : 0,
        .expire_s = is_over ? 0 : (uint32_t)seconds,
    };
    return ask(connection, &wanted);
}

enum mkv_resp_taken mkv_resp_execute_persist(struct mkv_resp_connection *connection) {
    if (!look(connection)) {
        return connection->refused ? MKV_RESP_TAKEN : MKV_RESP_WAITS;
    }
    if (connection->result.status != MKV_STATUS_OK || connection->result.expiry_s == 0) {
        return reply_none_changed(connection);
    }
    const struct mkv_resp_wanted wanted = {
        .op = MKV_OP_EXPIRE, .reply = MKV_RESP_REPLY_COUNT, .last = true};
    return ask(connection, &wanted);
}

/* ---- SETEX, PSETEX, SETNX -------------------------------------------------------------------- */

enum mkv_resp_taken mkv_resp_execute_setex(struct mkv_resp_connection *connection) {
    struct options options = {0};
    const bool is_ms = mkv_resp_command_of(connection)->name[0] == 'p';
    if (connection->is_large) {
        return MKV_RESP_TAKEN;
    }
    if (!take_expiry(connection, mkv_resp_argument(connection, 2), is_ms ? MS_PER_S : 1, false,
                     &options)) {
        return MKV_RESP_TAKEN;
    }
    return put_small(connection, 3, MKV_RESP_REPLY_OK, &options);
}

enum mkv_resp_taken mkv_resp_execute_setnx(struct mkv_resp_connection *connection) {
    const struct options options = {.flags = MKV_PUT_IF_ABSENT};
    return connection->is_large ? MKV_RESP_TAKEN
                                : put_small(connection, 2, MKV_RESP_REPLY_ADDED, &options);
}
