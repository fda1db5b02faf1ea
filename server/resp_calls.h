/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of one shard's RESP fabric that are not the fabric's: they are checked here, and
 * run at once or by the worker, whose reply goes back to the fabric in a later round.
 *
 *   fabric --call--> unknown, arity, rights --> an error
 *                    CLIENT ID, COMMAND ... --> run at once
 *                    the rest               --> job --> worker --> done list --> turn --> complete
 *
 * Invariants
 *  I1  A call whose connection is gone is not touched: its job goes on with copies, and its reply
 *      is dropped.
 *  I2  Whoever needs the right of an administrator and has it not gets NOPERM, before anything is
 *      looked at.
 *
 * Not responsible for: what commands reply (resp_commands.h, resp_clients.h).
 */
#ifndef MKV_SERVER_RESP_CALLS_H
#define MKV_SERVER_RESP_CALLS_H

#include "backends/fabric_resp.h"
#include "server/resp_commands.h"
#include "server/resp_deletes.h"
#include "server/resp_visits.h"
#include "server/resp_worker.h"

struct mkv_resp_calls;

struct mkv_resp_calls_options {
    struct mkv_resp_worker *worker;
    struct mkv_resp_commands *commands;
    const struct mkv_fabric_auth *auth; /* as the fabric's */
    /* As those of the fabric's options: on the shard's thread. */
    enum mkv_tenant_resolved (*tenant)(void *context, const char *name, bool create, uint32_t *id);
    void *tenant_context;
    /* Has the shard's thread begin a round soon; from any thread. */
    void (*wake)(void *context);
    void *wake_context;
    uint32_t connection_base; /* of the connection by which keys are deleted */
    /* For the worker: has the thread of each shard call `look` with its RESP fabric. */
    void (*each)(void *context, void (*look)(void *look_context, struct mkv_fabric_resp *fabric),
                 void *look_context);
    void *each_context;
};

/* NULL when there is no memory. */
struct mkv_resp_calls *mkv_resp_calls_create(const struct mkv_resp_calls_options *options);
/* Behind the shard's end and the worker's. */
void mkv_resp_calls_destroy(struct mkv_resp_calls *calls);
/* The fabric whose calls these are. Before the first of them. */
void mkv_resp_calls_bind(struct mkv_resp_calls *calls, struct mkv_fabric_resp *fabric);
/* For the fabric's options, whose call_context is the calls. */
enum mkv_resp_called mkv_resp_calls_call(void *context, struct mkv_resp_call *call);
void mkv_resp_calls_gone(void *context, struct mkv_resp_call *call);
/* A fabric of one connection that has to be polled with the other one: it ends calls, and deletes
 * keys. */
struct mkv_resp_deletes *mkv_resp_calls_deletes(struct mkv_resp_calls *calls);
/* The calls of commands since the start: first those that the fabric answers, then `own`, which has
 * a row for each of mkv_resp_command_rows. Returns how many there are; `out` has room for
 * MKV_RESP_INFO_COMMANDS_MAX. */
uint32_t mkv_resp_calls_gather(struct mkv_fabric_resp *fabric,
                               const struct mkv_resp_info_command *own,
                               struct mkv_resp_info_command *out);
/* Publishes the calls of commands since the start, for mkv_resp_calls_figures. On the shard's
 * thread, with its other figures. */
void mkv_resp_calls_publish(struct mkv_resp_calls *calls);
/* From any thread: adds what was published last to `out`, by name; returns how many there are. */
uint32_t mkv_resp_calls_figures(struct mkv_resp_calls *calls, struct mkv_resp_info_command *out,
                                uint32_t count, uint32_t max);
/* Has the shard's thread call `look`, unless it has ended. On the worker's thread. */
void mkv_resp_calls_visit(struct mkv_resp_calls *calls,
                          void (*look)(void *context, struct mkv_fabric_resp *fabric),
                          void *context);
/* The shard's thread takes no further round: nobody waits for it any more. */
void mkv_resp_calls_end(struct mkv_resp_calls *calls);

#endif
