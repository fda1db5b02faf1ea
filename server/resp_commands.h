/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of RESP clients that are no data: INFO, SCAN, DBSIZE, CONFIG, COMMAND, SLOWLOG,
 * LATENCY, OBJECT, MEMORY, HOTKEYS, STATS.*, and the errors for what there is not. docs/resp.md
 * lists them.
 *
 *   fabric --call--> at once? --yes--> run on the shard's thread; needs the client and constants
 *                        |
 *                        +----no---> server/resp_worker.h: run on a thread of its own, where it
 *                                    may ask the node, and wait
 *
 * Invariants
 *  I1  Each run writes one reply; one that does not fit is an error instead.
 *  I2  A client sees keys of its own tenant only, unless it has the right of an administrator.
 *  I3  What is run at once waits for nothing and does a bounded amount of work.
 *
 * Not responsible for: commands of data and of the connection, replies in order
 * (backends/fabric_resp.h); CLIENT (server/resp_clients.h).
 */
#ifndef MKV_SERVER_RESP_COMMANDS_H
#define MKV_SERVER_RESP_COMMANDS_H

#include "admin/observed.h"
#include "admin/snapshot.h"
#include "server/resp_command_table.h"
#include "server/resp_info.h"
#include "server/shard.h"

/* What the commands ask; each may wait, and is called on the worker's thread alone. */
struct mkv_resp_node {
    const struct mkv_admin_provider *provider; /* `observed`, `why` and `config` are set */
    void *context;
    uint32_t volume_count;
    uint16_t port; /* of the listener */
    uint64_t connections_max;
    uint64_t value_bytes_max;
    /* Asks a volume: mkv_shard_ask. */
    enum mkv_status (*ask)(void *context, const struct mkv_message *message, const uint8_t *data,
                           struct mkv_shard_answer *answer);
    /* Deletes these keys of the client's tenant; NULL: there is no way to. */
    enum mkv_status (*delete_keys)(void *context, uint32_t tenant, const char *tenant_name,
                                   const struct mkv_resp_word *keys, uint32_t key_count);
    /* Calls of commands since the start, on all shards. Returns how many there are. */
    uint32_t (*figures)(void *context, struct mkv_resp_info_command *out, uint32_t max);
};

/* Who sends a command. */
struct mkv_resp_who {
    uint32_t tenant; /* MKV_NONE_U32: nobody has stored anything under its name */
    const char *tenant_name;
    bool is_admin;
};

struct mkv_resp_commands;

/* `node` is copied; what it points to outlives the commands. NULL when there is no memory. */
struct mkv_resp_commands *mkv_resp_commands_create(const struct mkv_resp_node *node);
void mkv_resp_commands_destroy(struct mkv_resp_commands *commands);

/* Whether a command that was found is one of these; else it is CLIENT, or the fabric's. */
bool mkv_resp_commands_has(const struct mkv_resp_command_row *row);
/* Whether it may be run at once. */
bool mkv_resp_commands_is_quick(const struct mkv_resp_command_row *row);
/* Runs a command whose row was found and whose arity fits. */
void mkv_resp_commands_run(struct mkv_resp_commands *commands,
                           const struct mkv_resp_command_row *row, const struct mkv_resp_who *who,
                           const struct mkv_resp_word *words, uint32_t word_count,
                           struct mkv_resp_writer *writer);

#endif
