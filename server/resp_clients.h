/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CLIENT: what a connection says of itself, and lists of connections, on the shard's thread.
 *
 *   id=65537 addr=10.0.0.7:41234 laddr= fd=0 name=worker age=7 idle=0 flags=N db=0 ... resp=2\n
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

/* The number of a connection, as HELLO, CLIENT ID and CLIENT LIST tell it. */
uint64_t mkv_resp_client_number(struct mkv_connection_id id);
/* A line of CLIENT LIST, with its \n. */
void mkv_resp_client_line(const struct mkv_resp_client *client, uint64_t now_ns,
                          struct mkv_text *out);
/* Runs a subcommand of CLIENT, whose row was found and checked. `fabric` has the connection. */
void mkv_resp_clients_run(struct mkv_fabric_resp *fabric, struct mkv_resp_call *call,
                          const struct mkv_resp_command_row *row, const struct mkv_resp_word *words,
                          uint32_t word_count, uint64_t now_ns);

#endif
