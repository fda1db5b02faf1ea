/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that move data: each of their keys becomes an entry of the connection, and a request of
 * the front with one item.
 */
#include <stdio.h>
#include <string.h>

#include "backends/clock.h"
#include "backends/fabric_resp_internal.h"
#include "core/hash.h"

static bool op_changes(enum mkv_op op) {
    return op == MKV_OP_PUT || op == MKV_OP_DELETE || op == MKV_OP_EXPIRE;
}

/* I2 of fabric_resp.h */
static bool is_in_use(const struct mkv_resp_connection *connection, uint64_t key_hash,
                      bool changes) {
    for (const struct mkv_resp_entry *entry = connection->entries_head; entry != NULL;
         entry = entry->next) {
        if (entry->key_hash == key_hash && (changes || entry->changes)) {
            return true;
        }
    }
    return false;
}

/* The number of the tenant that a key belongs to. */
static enum mkv_tenant_resolved find_tenant(struct mkv_resp_connection *connection,
                                            const char *name, enum mkv_op op, uint32_t *id) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    if (strcmp(name, MKV_TENANT_DEFAULT_NAME) == 0) {
        *id = MKV_TENANT_DEFAULT;
        return MKV_TENANT_KNOWN;
    }
    if (fabric->options.tenant == NULL) {
        return MKV_TENANT_REFUSED;
    }
    const enum mkv_tenant_resolved resolved =
        fabric->options.tenant(fabric->options.tenant_context, name, op == MKV_OP_PUT, id);
    if (resolved == MKV_TENANT_PENDING) {
        fabric->tenants_wait = true;
        mkv_resp_await(connection);
    }
    return resolved;
}

/* Whether there is room for an entry more; if not the connection goes on when there is. */
static bool has_room(struct mkv_resp_connection *connection, enum mkv_op op) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    if (connection->requests >= fabric->options.pipeline_max) {
        return false; /* goes on when the first of them has ended */
    }
    if (op == MKV_OP_GET && connection->entries_head != NULL &&
        fabric->ahead_count >= fabric->options.ahead_max) {
        return false; /* I3: goes on when those before it have replied */
    }
    if (fabric->requests >= fabric->options.entries) {
        mkv_resp_await(connection);
        return false;
    }
    return true;
}

static void hand_in(struct mkv_resp_connection *connection, struct mkv_resp_entry *entry,
                    struct mkv_resp_argument key, const struct mkv_resp_wanted *wanted,
                    uint32_t tenant, const char *tenant_name) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    const struct mkv_request_item item = {
        .key_bytes = key.byte_count,
        .flags = wanted->flags,
        .length = wanted->length,
        .offset = wanted->offset,
        .expire_s = wanted->expire_s,
        .lease_ms = wanted->lease_ms,
    };
    struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST, .data = key.bytes, .data_bytes = key.byte_count};
    input.request = (struct mkv_request){
        .connection = connection->id,
        .request_id = (uint64_t)entry->generation << 32 | entry->index,
        .op = wanted->op,
        .tenant = tenant,
        .tenant_name = tenant_name,
        .deadline_ns = mkv_clock_monotonic_ns() + fabric->options.deadline_ns,
        .item_count = 1,
        .items = &item,
        .received_ns = connection->command_ns,
    };
    connection->known = true;
    connection->requests++;
    fabric->requests++;
    fabric->counters.received_frames_total++;
    fabric->base.sink.input(fabric->base.sink.context, &input);
}

enum mkv_resp_taken mkv_resp_start(struct mkv_resp_connection *connection,
                                   struct mkv_resp_argument key,
                                   const struct mkv_resp_wanted *wanted,
                                   struct mkv_resp_entry **entry_out) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    const uint64_t key_hash = mkv_hash_64(key.bytes, key.byte_count);
    const bool changes = op_changes(wanted->op);
    *entry_out = NULL;
    if (key.byte_count < 1 || key.byte_count > MKV_KEY_BYTES_MAX) {
        mkv_resp_refuse(connection, "ERR a key has 1 to %u bytes, this one has %u",
                        MKV_KEY_BYTES_MAX, key.byte_count);
        return MKV_RESP_TAKEN;
    }
    if (!has_room(connection, wanted->op) || is_in_use(connection, key_hash, changes)) {
        return MKV_RESP_WAITS;
    }
    const char *tenant_name = mkv_fabric_auth_tenant(fabric->options.auth, &connection->session,
                                                     key.bytes, key.byte_count);
    uint32_t tenant = MKV_NONE_U32;
    const enum mkv_tenant_resolved resolved =
        find_tenant(connection, tenant_name, wanted->op, &tenant);
    if (resolved == MKV_TENANT_PENDING) {
        return MKV_RESP_WAITS;
    }
    if (resolved == MKV_TENANT_REFUSED) {
        mkv_resp_refuse(connection, "OOM there is no room for another tenant");
        return MKV_RESP_TAKEN;
    }
    const uint64_t value_bytes = wanted->op == MKV_OP_PUT ? wanted->length : 0;
    if (!mkv_fabric_auth_request_begin(fabric->options.auth, &connection->session, value_bytes)) {
        mkv_resp_refuse(connection, "%s", mkv_resp_status_text(fabric, MKV_STATUS_BUSY));
        return MKV_RESP_TAKEN;
    }
    struct mkv_resp_entry *entry = mkv_resp_entry_take(connection);
    MKV_ASSERT(entry != NULL);
    entry->reply = wanted->reply;
    entry->op = wanted->op;
    entry->changes = changes;
    entry->last = wanted->last;
    entry->conditional = wanted->conditional;
    entry->key_hash = key_hash;
    entry->value_bytes = value_bytes;
    if (wanted->op == MKV_OP_GET) {
        entry->range_start = wanted->offset;
        entry->range_bytes = wanted->length;
        entry->ahead = connection->entries_head != entry;
        fabric->ahead_count += entry->ahead ? 1 : 0;
    }
    hand_in(connection, entry, key, wanted, tenant, tenant_name);
    *entry_out = entry;
    return MKV_RESP_TAKEN;
}

/* ---- values that come ------------------------------------------------------------------------ */

static void refuse_length(struct mkv_resp_connection *connection, uint64_t value_bytes) {
    const struct mkv_fabric_resp_options *options = &connection->fabric->options;
    mkv_resp_refuse(connection, "ERR value of %llu bytes exceeds resp.value_bytes_max (%llu)",
                    (unsigned long long)value_bytes, (unsigned long long)options->value_bytes_max);
    if (options->too_large != NULL) {
        options->too_large(options->too_large_context, value_bytes);
    }
}

enum mkv_resp_taken mkv_resp_put(struct mkv_resp_connection *connection,
                                 struct mkv_resp_argument key, uint64_t value_bytes,
                                 struct mkv_resp_wanted *wanted) {
    if (value_bytes > connection->fabric->options.value_bytes_max) {
        refuse_length(connection, value_bytes);
        return MKV_RESP_TAKEN;
    }
    struct mkv_resp_entry *entry;
    wanted->op = MKV_OP_PUT;
    wanted->length = value_bytes;
    wanted->flags |= MKV_PUT_ROOT_LATER | MKV_PUT_REPLACE;
    wanted->flags |= connection->fabric->options.durable ? 0 : MKV_PUT_RELAXED;
    if (mkv_resp_start(connection, key, wanted, &entry) == MKV_RESP_WAITS) {
        return MKV_RESP_WAITS;
    }
    if (entry != NULL) {
        connection->value = entry;
        connection->value_bytes = value_bytes;
        connection->value_taken = 0;
        connection->filled = 0;
        connection->value_held = false;
        connection->step = MKV_RESP_STEP_VALUE;
    }
    return MKV_RESP_TAKEN;
}

enum mkv_resp_taken mkv_resp_data_pair(struct mkv_resp_connection *connection,
                                       struct mkv_resp_argument key, uint64_t value_bytes) {
    struct mkv_resp_wanted wanted = {
        .reply = MKV_RESP_REPLY_OK_ALL,
        .last = connection->taken + 1 == connection->parser.argument_count,
    };
    return mkv_resp_put(connection, key, value_bytes, &wanted);
}

/* ---- keys, each taken up as it comes --------------------------------------------------------- */

bool mkv_resp_data_is_listing(const struct mkv_resp_connection *connection) {
    const struct mkv_resp_command *command = mkv_resp_command_of(connection);
    return command != NULL && command->shape == MKV_RESP_SHAPE_KEYS && command->op == MKV_OP_GET &&
           connection->taken > 1;
}

enum mkv_resp_taken mkv_resp_data_refuse_element(struct mkv_resp_connection *connection) {
    struct mkv_resp_writer writer;
    connection->refused = false;
    connection->rejected = false;
    if (connection->entries_head != NULL ||
        !mkv_resp_reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
        return MKV_RESP_WAITS;
    }
    mkv_resp_write_error(&writer, connection->verdict);
    mkv_resp_reply_end(connection, &writer);
    connection->fabric->figures[connection->command].failed++;
    return MKV_RESP_TAKEN;
}

enum mkv_resp_taken mkv_resp_data_key(struct mkv_resp_connection *connection, uint32_t offset,
                                      uint32_t byte_count) {
    const struct mkv_resp_command *command = mkv_resp_command_of(connection);
    const struct mkv_resp_argument key = {connection->work->input + connection->start + offset,
                                          byte_count};
    /* TOUCH is a use, and no more. */
    const uint32_t lease_ms = connection->fabric->options.exists_lease_ms;
    const bool leases = strcmp(command->name, "exists") == 0 && lease_ms != 0;
    const struct mkv_resp_wanted wanted = {
        .op = command->op,
        .reply = command->reply,
        .last = connection->taken + 1 == connection->parser.argument_count,
        .lease_ms = leases ? lease_ms : MKV_NONE_U32,
    };
    struct mkv_resp_entry *entry;
    const enum mkv_resp_taken taken = mkv_resp_start(connection, key, &wanted, &entry);
    if (entry != NULL && command->op == MKV_OP_GET && connection->taken == 1) {
        entry->has_array = true;
        entry->array_count = connection->parser.argument_count - 1;
    }
    if (connection->refused && mkv_resp_data_is_listing(connection)) {
        return mkv_resp_data_refuse_element(connection);
    }
    return taken;
}

/* ---- commands that are executed when they are whole ------------------------------------------ */

enum mkv_resp_taken mkv_resp_execute_get(struct mkv_resp_connection *connection) {
    const struct mkv_resp_wanted wanted = {
        .op = MKV_OP_GET, .reply = MKV_RESP_REPLY_VALUE, .last = true};
    struct mkv_resp_entry *entry;
    return mkv_resp_start(connection, mkv_resp_argument(connection, 1), &wanted, &entry);
}

/* A GET of one byte, which is not sent: its result has the exact length. */
enum mkv_resp_taken mkv_resp_execute_strlen(struct mkv_resp_connection *connection) {
    const struct mkv_resp_wanted wanted = {
        .op = MKV_OP_GET, .length = 1, .reply = MKV_RESP_REPLY_LENGTH, .last = true};
    struct mkv_resp_entry *entry;
    return mkv_resp_start(connection, mkv_resp_argument(connection, 1), &wanted, &entry);
}

enum mkv_resp_taken mkv_resp_execute_look(struct mkv_resp_connection *connection) {
    const struct mkv_resp_wanted wanted = {
        .op = MKV_OP_EXISTS,
        .flags = MKV_EXISTS_PLAIN,
        .reply = mkv_resp_command_of(connection)->reply,
        .last = true,
    };
    struct mkv_resp_entry *entry;
    return mkv_resp_start(connection, mkv_resp_argument(connection, 1), &wanted, &entry);
}

static enum mkv_resp_taken reply_empty(struct mkv_resp_connection *connection) {
    struct mkv_resp_writer writer;
    if (connection->entries_head != NULL ||
        !mkv_resp_reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
        return MKV_RESP_WAITS;
    }
    mkv_resp_write_bulk(&writer, "", 0);
    mkv_resp_reply_end(connection, &writer);
    return MKV_RESP_TAKEN;
}

/* Bytes first ... last of a value, neither of which is negative. */
static enum mkv_resp_taken get_range(struct mkv_resp_connection *connection, uint64_t first,
                                     uint64_t last) {
    if (first > last) {
        return reply_empty(connection);
    }
    const struct mkv_resp_wanted wanted = {
        .op = MKV_OP_GET,
        .reply = MKV_RESP_REPLY_VALUE,
        .last = true,
        .offset = first,
        .length = mkv_min_u64(last - first, INT64_MAX - 1) + 1,
    };
    struct mkv_resp_entry *entry;
    const enum mkv_resp_taken taken =
        mkv_resp_start(connection, mkv_resp_argument(connection, 1), &wanted, &entry);
    if (entry != NULL) {
        entry->null_is_empty = true;
    }
    return taken;
}

/* Where a range begins or ends, from the end of the value when it is negative. */
static uint64_t range_bound(int64_t bound, uint64_t length) {
    if (bound >= 0) {
        return (uint64_t)bound;
    }
    const uint64_t back = 0 - (uint64_t)bound;
    return back > length ? 0 : length - back;
}

/* Negative bounds count from the end, so the length is asked for first. */
enum mkv_resp_taken mkv_resp_execute_getrange(struct mkv_resp_connection *connection) {
    const struct mkv_resp_argument from = mkv_resp_argument(connection, 2);
    const struct mkv_resp_argument to = mkv_resp_argument(connection, 3);
    int64_t first;
    int64_t last;
    if (!mkv_resp_integer_parse(from.bytes, from.byte_count, &first) ||
        !mkv_resp_integer_parse(to.bytes, to.byte_count, &last)) {
        mkv_resp_refuse(connection, "ERR value is not an integer or out of range");
        return MKV_RESP_TAKEN;
    }
    if (first >= 0 && last >= 0) {
        return get_range(connection, (uint64_t)first, (uint64_t)last);
    }
    if (connection->phase == 0) {
        const struct mkv_resp_wanted wanted = {
            .op = MKV_OP_GET, .length = 1, .reply = MKV_RESP_REPLY_NONE, .last = false};
        struct mkv_resp_entry *entry;
        if (connection->entries_head == NULL) {
            (void)mkv_resp_start(connection, mkv_resp_argument(connection, 1), &wanted, &entry);
        }
        return connection->refused ? MKV_RESP_TAKEN : MKV_RESP_WAITS;
    }
    const enum mkv_status status = connection->result.status;
    const uint64_t length = connection->result.length;
    if (status != MKV_STATUS_OK && status != MKV_STATUS_NOT_FOUND) {
        mkv_resp_refuse(connection, "%s", mkv_resp_status_text(connection->fabric, status));
        return MKV_RESP_TAKEN;
    }
    if (status == MKV_STATUS_NOT_FOUND || length == 0 || (first < 0 && last < 0 && first > last)) {
        return reply_empty(connection);
    }
    return get_range(connection, range_bound(first, length), range_bound(last, length));
}
