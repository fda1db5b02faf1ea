/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at the RESP connections of one shard for another thread: the shard's thread takes it in
 * one of its rounds.
 *
 *   another thread                        the shard's thread
 *   NONE --ask--> WANTED ----------------> turn: look(context, fabric) --> DONE --(taken)--> NONE
 *
 * Invariants
 *  I1  look runs on the shard's thread, once, and before ask returns true.
 *  I2  ask returns once it was taken, or nobody takes any more. One thread asks at a time.
 *
 * Not responsible for: what is looked at (server/resp_clients.h).
 */
#ifndef MKV_SERVER_RESP_VISITS_H
#define MKV_SERVER_RESP_VISITS_H

#include "backends/fabric_resp.h"

struct mkv_resp_visits;

/* `wake` has the shard's thread begin a round soon. NULL when there is no memory. */
struct mkv_resp_visits *mkv_resp_visits_create(void (*wake)(void *context), void *wake_context);
/* Behind the shard's end, and that of who asks. NULL is allowed. */
void mkv_resp_visits_destroy(struct mkv_resp_visits *visits);
/* Has the shard's thread call `look`; false: it takes no more rounds. */
bool mkv_resp_visits_ask(struct mkv_resp_visits *visits,
                         void (*look)(void *context, struct mkv_fabric_resp *fabric),
                         void *context);
/* On the shard's thread, in each round. */
void mkv_resp_visits_turn(struct mkv_resp_visits *visits, struct mkv_fabric_resp *fabric);
/* Nobody takes a turn any more: who asks is told so. */
void mkv_resp_visits_end(struct mkv_resp_visits *visits);

#endif
