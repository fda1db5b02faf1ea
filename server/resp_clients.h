/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CLIENT: what a connection says of itself, on its shard's thread, and lists of the connections of
 * all shards, by another thread that has each shard's look.
 *
 *   id=16777217 addr=10.0.0.7:41234 laddr=10.0.0.1:9902 fd=9 name=worker age=7 ... resp=2\n
 *
 * Invariants
 *  I1  The lines have the fields of Redis in its order; what has no meaning here is what it is in
 *      Redis for a connection that has none of it.
 *  I2  A list has at most MKV_RESP_CLIENT_LINES_MAX lines; more connections are an error that says
 *      where they are listed.
 *
 * Not responsible for: connections of the native protocol (GET /v1/clients has all).
 */
#ifndef MKV_SERVER_RESP_CLIENTS_H
#define MKV_SERVER_RESP_CLIENTS_H

#include "admin/text.h"
#include "backends/fabric_resp.h"
#include "server/resp_command_table.h"

#define MKV_RESP_CLIENT_LINES_MAX 512u

/* A line of CLIENT LIST, with its \n. */
void mkv_resp_client_line(const struct mkv_resp_client *client, uint64_t now_ns,
                          struct mkv_text *out);
/* Whether a subcommand of CLIENT is about other connections, too: LIST, KILL. */
bool mkv_resp_clients_is_of_all(const struct mkv_resp_command_row *row);
/* Runs another one, whose row was found and checked. `fabric` has the connection. */
void mkv_resp_clients_run(struct mkv_fabric_resp *fabric, struct mkv_resp_call *call,
                          const struct mkv_resp_command_row *row, const struct mkv_resp_word *words,
                          uint64_t now_ns);

/* One that is about all. */
struct mkv_resp_clients_question {
    struct mkv_connection_id asker;
    const struct mkv_resp_word *words;
    uint32_t word_count;
    uint64_t now_ns;
    /* Has each shard's thread call `look`, one behind the other. */
    void (*each)(void *context, void (*look)(void *look_context, struct mkv_fabric_resp *fabric),
                 void *look_context);
    void *context;
};

/* Writes its reply; true when the asker is among those that are closed, which is up to the caller,
 * behind the reply. */
bool mkv_resp_clients_ask(const struct mkv_resp_clients_question *question,
                          const struct mkv_resp_command_row *row, struct mkv_resp_writer *writer);

#endif
