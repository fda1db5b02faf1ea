/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the simulated verbs share: devices are verbs_sim.c, packets the other. */
#ifndef MKV_SIM_VERBS_SIM_INTERNAL_H
#define MKV_SIM_VERBS_SIM_INTERNAL_H

#include "sim/verbs_sim.h"

/* A completion that is a failure; `position` of the send queue, UINT64_MAX for a receive. */
void mkv_verbs_sim_fail_work(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair,
                             uint64_t work, enum mkv_lane_status status, uint64_t position);
void mkv_verbs_sim_complete(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair,
                            uint64_t work, enum mkv_verbs_sim_opcode opcode, uint32_t bytes,
                            uint64_t position);
/* An event of the node, at that time. */
void mkv_verbs_sim_tell(struct mkv_verbs_sim *sim, uint32_t at, enum mkv_lane_event event,
                        uint32_t number, uint64_t due_ns);
/* Where the fault strikes: a packet of the next WRITE that is posted to this pair, which is about to
 * be in its error state, lands in a moment. */
void mkv_verbs_sim_lands(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair);
/* Flushes both queues of the pair; nothing moves for it any more. */
void mkv_verbs_sim_to_error(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair);
/* Whether the key of the node gives these bytes to a peer. */
bool mkv_verbs_sim_covers(const struct mkv_verbs_sim *sim, uint32_t node, uint32_t key,
                          uint64_t address, uint64_t bytes);
/* Sends the next packet, if there is one and none is on its way. */
void mkv_verbs_sim_ask_on(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair);

#endif
