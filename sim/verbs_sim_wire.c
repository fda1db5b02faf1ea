/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets between simulated queue pairs: what a pair asks its peer, packet by packet and in order,
 * and what comes back. Both are one chain of steps each; a step that is lost is made again.
 */
#include <string.h>

#include "sim/failure.h"
#include "sim/verbs_sim_internal.h"

#define PACKET_NS_MIN 300u
#define PACKET_NS_MAX 2000u
#define PACKET_NS_SLOW 2000000u
/* Times that a step is made again. */
#define LOST_MAX MKV_VERBS_SIM_RETRIES
/* How late a packet lands at most. */
#define LANDING_NS 100000u

static struct mkv_verbs_sim_sent *sent_at(struct mkv_verbs_sim_pair *pair, uint64_t position) {
    return &pair->sent[position % MKV_VERBS_SIM_SENDS_MAX];
}

static uint64_t packet_ns(struct mkv_verbs_sim *sim) {
    const bool is_slow = sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_SLOW);
    return mkv_random_between(&sim->random, PACKET_NS_MIN,
                              is_slow ? PACKET_NS_SLOW : PACKET_NS_MAX);
}

static uint32_t next_packet_number(const struct mkv_verbs_sim_pair *pair) {
    return (pair->packet_number + pair->packets_done) & MKV_VERBS_SIM_PACKET_NUMBER_MAX;
}

static uint32_t packet_of(uint32_t bytes, uint32_t done_bytes) {
    return (uint32_t)mkv_min_u64(bytes - done_bytes, MKV_VERBS_SIM_MTU);
}

static uint32_t reads_asked(struct mkv_verbs_sim_pair *pair) {
    uint32_t reads = 0;
    for (uint64_t position = pair->head; position != pair->asked; position++) {
        reads += sent_at(pair, position)->work.opcode == MKV_VERBS_SIM_READ;
    }
    return reads;
}

void mkv_verbs_sim_ask_on(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair) {
    if (pair->state != MKV_VERBS_SIM_READY || pair->ask_ns != UINT64_MAX || pair->fails ||
        pair->asked == pair->tail) {
        return;
    }
    const bool is_read = sent_at(pair, pair->asked)->work.opcode == MKV_VERBS_SIM_READ;
    if (!is_read || reads_asked(pair) < pair->reads_max) {
        pair->ask_ns = sim->now_ns + packet_ns(sim);
    }
}

static void answer_on(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair) {
    if (pair->answer_ns == UINT64_MAX && pair->head != pair->asked) {
        pair->answer_ns = sim->now_ns + packet_ns(sim);
    }
}

/* ---- whether a packet gets there ------------------------------------------------------------- */

/* The peer that takes packets of the pair, or NULL. */
static struct mkv_verbs_sim_pair *peer_of(struct mkv_verbs_sim *sim,
                                          const struct mkv_verbs_sim_pair *pair) {
    for (uint32_t index = 0; index < MKV_VERBS_SIM_PAIRS_MAX; index++) {
        struct mkv_verbs_sim_pair *peer = &sim->pairs[index];
        if (peer->state == MKV_VERBS_SIM_READY && peer->node == pair->peer_node &&
            peer->number == pair->peer_number && peer->packet_number == pair->peer_packet_number &&
            peer->peer_node == pair->node && peer->peer_number == pair->number &&
            peer->peer_packet_number == pair->packet_number) {
            return peer;
        }
    }
    return NULL;
}

static bool port_is_down(const struct mkv_verbs_sim_node *node, uint64_t now_ns) {
    return node->port_down_ns > now_ns || node->device_gone_ns > now_ns;
}

static bool passes(struct mkv_verbs_sim *sim, uint32_t source, uint32_t target, uint32_t bytes) {
    /* A link is the client's. */
    struct mkv_verbs_sim_node *link = &sim->nodes[source != 0 ? source : target];
    const uint32_t way = source != 0 ? 0 : 1;
    sim->packets++;
    const bool is_lost = link->cut_ns > sim->now_ns ||
                         port_is_down(&sim->nodes[source], sim->now_ns) ||
                         port_is_down(&sim->nodes[target], sim->now_ns) ||
                         (link->hole_ns[way] > sim->now_ns && bytes > link->hole_bytes) ||
                         sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_LOSS);
    sim->lost += is_lost;
    return !is_lost;
}

/* The work request at `position` fails, and with it all behind it; those before it are done. */
static void fail_at(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair, uint64_t position,
                    enum mkv_lane_status status) {
    mkv_verbs_sim_fail_work(sim, pair, sent_at(pair, position)->work.work, status, position);
    pair->head = position + 1;
    if (pair->asked < pair->head) {
        pair->asked = pair->head;
    }
    mkv_verbs_sim_to_error(sim, pair);
}

/* Whether the step is made again, after its time. */
static bool tries_again(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair,
                        uint64_t position, uint64_t *due_ns) {
    if (++sent_at(pair, position)->lost > LOST_MAX) {
        fail_at(sim, pair, pair->head, MKV_LANE_RETRY_EXCEEDED);
        return false;
    }
    *due_ns = sim->now_ns + MKV_VERBS_SIM_RETRY_NS;
    return true;
}

/* A pair that has refused is in error; some devices tell of it by an event, others do not. */
static void refuse(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *peer) {
    mkv_verbs_sim_to_error(sim, peer);
    if (mkv_random_chance(&sim->random, 1, 2)) {
        mkv_verbs_sim_tell(sim, peer->node, MKV_LANE_EVENT_QP_FATAL, peer->number,
                           sim->now_ns + mkv_random_below(&sim->random, 20000));
    }
}

/* What the peer refuses counts when all before it has been answered. */
static void fail_asked(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair,
                       enum mkv_lane_status status, bool peer_fails) {
    pair->fails = true;
    pair->failure = status;
    pair->peer_fails = peer_fails;
    if (pair->head != pair->asked) {
        return;
    }
    struct mkv_verbs_sim_pair *peer = peer_fails ? peer_of(sim, pair) : NULL;
    fail_at(sim, pair, pair->asked, status);
    if (peer != NULL) {
        refuse(sim, peer);
    }
}

/* ---- what a packet does ---------------------------------------------------------------------- */

static void move(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *source,
                 const struct mkv_verbs_sim_move *from, const struct mkv_verbs_sim_pair *target,
                 const struct mkv_verbs_sim_move *to) {
    MKV_ASSERT(from->bytes == to->bytes && source->node == from->node && target->node == to->node);
    sim->ops.moves(sim->ops.context, from); /* I3 */
    sim->ops.moves(sim->ops.context, to);
    memcpy(sim->nodes[to->node].memory + to->address, sim->nodes[from->node].memory + from->address,
           to->bytes);
}

static bool take_receive(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *peer) {
    struct mkv_verbs_sim_node *node = &sim->nodes[peer->node];
    if (peer->is_shared ? node->shared_head == node->shared_tail
                        : peer->receive_head == peer->receive_tail) {
        sim->not_ready += node->not_ready_ns <= sim->now_ns;
        return false;
    }
    if (node->not_ready_ns > sim->now_ns) {
        return false;
    }
    peer->taken = peer->is_shared
                      ? node->shared[node->shared_head++ % MKV_VERBS_SIM_SHARED_MAX]
                      : peer->receives[peer->receive_head++ % MKV_VERBS_SIM_RECEIVES_MAX];
    peer->has_taken = true;
    return true;
}

/* A message that came to an earlier pair of this number, as the same one in order. */
static struct mkv_verbs_sim_stale *stale_of(struct mkv_verbs_sim *sim,
                                            const struct mkv_verbs_sim_pair *peer) {
    if (peer->number > MKV_VERBS_SIM_STALE_NUMBERS ||
        peer->messages >= MKV_VERBS_SIM_STALE_MESSAGES) {
        return NULL;
    }
    return &sim->nodes[peer->node].stale[peer->number - 1][peer->messages];
}

/* Bytes that are in no memory any more arrive in the receive that was taken. */
static void arrive(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *peer,
                   const uint8_t *message, uint32_t bytes) {
    const struct mkv_verbs_sim_move to = {
        .node = peer->node,
        .number = peer->number,
        .opcode = MKV_VERBS_SIM_RECEIVE,
        .writes = true,
        .work = peer->taken.work,
        .address = peer->taken.address,
        .bytes = bytes,
    };
    sim->ops.moves(sim->ops.context, &to);
    memcpy(sim->nodes[peer->node].memory + to.address, message, bytes);
    peer->has_taken = false;
    mkv_verbs_sim_complete(sim, peer, peer->taken.work, MKV_VERBS_SIM_RECEIVE, bytes, UINT64_MAX);
}

/* Another message arrives before the one whose receive is taken: the one of an earlier pair. */
static void maybe_stale(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *peer) {
    const struct mkv_verbs_sim_stale *stale = stale_of(sim, peer);
    if (stale != NULL && stale->serial != 0 && stale->serial != peer->serial &&
        stale->bytes <= peer->taken.bytes &&
        sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_STALE)) {
        arrive(sim, peer, stale->message, stale->bytes);
    }
}

static void message_came(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *peer,
                         uint32_t bytes) {
    const uint8_t *message = sim->nodes[peer->node].memory + peer->taken.address;
    struct mkv_verbs_sim_stale *stale = stale_of(sim, peer);
    if (stale != NULL && bytes <= MKV_VERBS_SIM_STALE_BYTES) {
        stale->serial = peer->serial;
        stale->bytes = bytes;
        memcpy(stale->message, message, bytes);
    }
    peer->messages++;
    peer->has_taken = false;
    mkv_verbs_sim_complete(sim, peer, peer->taken.work, MKV_VERBS_SIM_RECEIVE, bytes, UINT64_MAX);
    if (bytes <= MKV_VERBS_SIM_STALE_BYTES &&
        sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_DUPLICATE)) {
        uint8_t copy[MKV_VERBS_SIM_STALE_BYTES];
        memcpy(copy, message, bytes);
        if (take_receive(sim, peer)) {
            arrive(sim, peer, copy, bytes);
        }
    }
}

/* False: it is not done; when it is made again is set. */
static bool ask_send(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair,
                     struct mkv_verbs_sim_pair *peer, struct mkv_verbs_sim_sent *sent,
                     uint32_t bytes) {
    if (sent->done_bytes == 0 && !peer->has_taken) {
        if (take_receive(sim, peer)) {
            maybe_stale(sim, peer);
        }
        /* Behind a late message another receive is needed. */
        if (!peer->has_taken && !take_receive(sim, peer)) {
            if (++sent->not_ready > MKV_VERBS_SIM_RETRIES) {
                fail_asked(sim, pair, MKV_LANE_RNR_RETRY_EXCEEDED, false);
            } else {
                pair->ask_ns = sim->now_ns + MKV_VERBS_SIM_RNR_NS;
            }
            return false;
        }
    }
    if (sent->work.bytes > peer->taken.bytes) {
        peer->has_taken = false;
        mkv_verbs_sim_fail_work(sim, peer, peer->taken.work, MKV_LANE_LOCAL_LENGTH, UINT64_MAX);
        fail_asked(sim, pair, MKV_LANE_REMOTE_INVALID_REQUEST, true);
        return false;
    }
    const struct mkv_verbs_sim_move from = {
        .node = pair->node,
        .number = pair->number,
        .opcode = MKV_VERBS_SIM_SEND,
        .work = sent->work.work,
        .address = sent->work.address + sent->done_bytes,
        .bytes = bytes,
    };
    const struct mkv_verbs_sim_move to = {
        .node = peer->node,
        .number = peer->number,
        .opcode = MKV_VERBS_SIM_RECEIVE,
        .writes = true,
        .work = peer->taken.work,
        .address = peer->taken.address + sent->done_bytes,
        .bytes = bytes,
    };
    move(sim, pair, &from, peer, &to);
    sent->done_bytes += bytes;
    if (sent->done_bytes == sent->work.bytes) {
        message_came(sim, peer, sent->work.bytes);
    }
    return true;
}

/* A packet of a WRITE is kept, for when its pair's number is another one's. */
static void keep(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair,
                 struct mkv_verbs_sim_pair *peer, const struct mkv_verbs_sim_sent *sent,
                 uint32_t bytes) {
    if (peer->number > MKV_VERBS_SIM_STALE_NUMBERS ||
        peer->late_kept == MKV_VERBS_SIM_LATE_PACKETS) {
        return;
    }
    struct mkv_verbs_sim_late *late =
        &sim->nodes[peer->node].late[peer->number - 1][peer->late_kept++];
    late->serial = peer->serial;
    late->packet_number = next_packet_number(pair);
    late->remote_key = sent->work.remote_key;
    late->bytes = bytes;
    late->remote_address = sent->work.remote_address + sent->done_bytes;
    memcpy(late->payload, sim->nodes[pair->node].memory + sent->work.address + sent->done_bytes,
           bytes);
}

/* The one that would be let in, if there is one: whatever comes late is most harmful then. */
static const struct mkv_verbs_sim_late *late_of(const struct mkv_verbs_sim *sim,
                                                const struct mkv_verbs_sim_pair *pair,
                                                const struct mkv_verbs_sim_pair *peer) {
    const struct mkv_verbs_sim_late *found = NULL;
    for (uint32_t index = 0;
         peer->number <= MKV_VERBS_SIM_STALE_NUMBERS && index < MKV_VERBS_SIM_LATE_PACKETS;
         index++) {
        const struct mkv_verbs_sim_late *late =
            &sim->nodes[peer->node].late[peer->number - 1][index];
        const bool is_of_earlier = late->serial != 0 && late->serial != peer->serial;
        if (is_of_earlier && (found == NULL || late->packet_number == next_packet_number(pair))) {
            found = late;
        }
    }
    return found;
}

/* A packet of a WRITE to an earlier pair of the peer's number arrives before the one that is on its
 * way. It is let in by its number alone. */
static void maybe_late(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair,
                       const struct mkv_verbs_sim_pair *peer) {
    const struct mkv_verbs_sim_late *late = late_of(sim, pair, peer);
    if (late == NULL || !sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_WRITE_LATE) ||
        late->packet_number != next_packet_number(pair) ||
        !mkv_verbs_sim_covers(sim, peer->node, late->remote_key, late->remote_address,
                              late->bytes)) {
        return;
    }
    const struct mkv_verbs_sim_move to = {
        .node = peer->node,
        .number = peer->number,
        .opcode = MKV_VERBS_SIM_WRITE,
        .by_peer = true,
        .writes = true,
        .address = late->remote_address,
        .bytes = late->bytes,
    };
    sim->ops.moves(sim->ops.context, &to);
    memcpy(sim->nodes[peer->node].memory + to.address, late->payload, late->bytes);
}

/* One packet of a READ's answer, or of a WRITE. False: the peer refuses. */
static bool remote(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair,
                   struct mkv_verbs_sim_pair *peer, const struct mkv_verbs_sim_sent *sent,
                   uint32_t done_bytes, uint32_t bytes) {
    const struct mkv_verbs_sim_work *work = &sent->work;
    if (!mkv_verbs_sim_covers(sim, peer->node, work->remote_key, work->remote_address,
                              work->bytes)) {
        return false;
    }
    const bool is_write = work->opcode == MKV_VERBS_SIM_WRITE;
    const struct mkv_verbs_sim_move here = {
        .node = pair->node,
        .number = pair->number,
        .opcode = work->opcode,
        .writes = !is_write,
        .work = work->work,
        .address = work->address + done_bytes,
        .bytes = bytes,
    };
    const struct mkv_verbs_sim_move there = {
        .node = peer->node,
        .number = peer->number,
        .opcode = work->opcode,
        .by_peer = true,
        .writes = is_write,
        .address = work->remote_address + done_bytes,
        .bytes = bytes,
    };
    if (is_write) {
        move(sim, pair, &here, peer, &there);
    } else {
        move(sim, peer, &there, pair, &here);
    }
    return true;
}

void mkv_verbs_sim_lands(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair) {
    struct mkv_verbs_sim_node *node = &sim->nodes[pair->node];
    struct mkv_verbs_sim_pair *peer =
        pair->state == MKV_VERBS_SIM_READY ? peer_of(sim, pair) : NULL;
    if (peer == NULL || node->landing.due_ns != UINT64_MAX) {
        return;
    }
    uint64_t position = peer->asked;
    while (position != peer->tail && sent_at(peer, position)->work.opcode != MKV_VERBS_SIM_WRITE) {
        position++;
    }
    const struct mkv_verbs_sim_sent *sent = sent_at(peer, position);
    const struct mkv_verbs_sim_work *work = &sent->work;
    if (position == peer->tail ||
        !mkv_verbs_sim_covers(sim, pair->node, work->remote_key, work->remote_address,
                              work->bytes) ||
        !sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_LANDING)) {
        return;
    }
    node->landing.pair = (uint32_t)(pair - sim->pairs);
    node->landing.serial = pair->serial;
    node->landing.due_ns = sim->now_ns + 1 + mkv_random_below(&sim->random, LANDING_NS);
    node->landing.address = work->remote_address + sent->done_bytes;
    node->landing.bytes = packet_of(work->bytes, sent->done_bytes);
    memcpy(node->landing.payload, sim->nodes[peer->node].memory + work->address + sent->done_bytes,
           node->landing.bytes);
}

static void land(struct mkv_verbs_sim *sim, uint32_t at) {
    struct mkv_verbs_sim_node *node = &sim->nodes[at];
    const struct mkv_verbs_sim_pair *pair = &sim->pairs[node->landing.pair];
    MKV_ASSERT(pair->state == MKV_VERBS_SIM_ERROR && pair->serial == node->landing.serial);
    const struct mkv_verbs_sim_move to = {
        .node = at,
        .number = pair->number,
        .opcode = MKV_VERBS_SIM_WRITE,
        .by_peer = true,
        .writes = true,
        .address = node->landing.address,
        .bytes = node->landing.bytes,
    };
    node->landing.due_ns = UINT64_MAX;
    sim->ops.moves(sim->ops.context, &to);
    memcpy(node->memory + to.address, node->landing.payload, to.bytes);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void ask(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair) {
    struct mkv_verbs_sim_sent *sent = sent_at(pair, pair->asked);
    const bool is_read = sent->work.opcode == MKV_VERBS_SIM_READ;
    const uint32_t bytes = is_read ? 0 : packet_of(sent->work.bytes, sent->done_bytes);
    pair->ask_ns = UINT64_MAX;
    if (pair->hangs) {
        return;
    }
    if (sent->local_failure != MKV_LANE_SUCCESS) {
        fail_asked(sim, pair, sent->local_failure, false);
        return;
    }
    struct mkv_verbs_sim_pair *peer = peer_of(sim, pair);
    if (!passes(sim, pair->node, pair->peer_node, bytes) || peer == NULL) {
        (void)tries_again(sim, pair, pair->asked, &pair->ask_ns);
        return;
    }
    sent->lost = 0;
    maybe_late(sim, pair, peer);
    if (sent->work.opcode == MKV_VERBS_SIM_SEND) {
        if (!ask_send(sim, pair, peer, sent, bytes)) {
            return;
        }
    } else if (!is_read) {
        if (!remote(sim, pair, peer, sent, sent->done_bytes, bytes)) {
            fail_asked(sim, pair, MKV_LANE_REMOTE_ACCESS, true);
            return;
        }
        keep(sim, pair, peer, sent, bytes);
        sent->done_bytes += bytes;
    } else if (!mkv_verbs_sim_covers(sim, peer->node, sent->work.remote_key,
                                     sent->work.remote_address, sent->work.bytes)) {
        fail_asked(sim, pair, MKV_LANE_REMOTE_ACCESS, true);
        return;
    }
    pair->packets_done++;
    if (is_read || sent->done_bytes == sent->work.bytes) {
        pair->asked++;
        answer_on(sim, pair);
    }
    mkv_verbs_sim_ask_on(sim, pair);
}

static void answer(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair) {
    struct mkv_verbs_sim_sent *sent = sent_at(pair, pair->head);
    const bool is_read = sent->work.opcode == MKV_VERBS_SIM_READ;
    const uint32_t bytes = is_read ? packet_of(sent->work.bytes, sent->answered_bytes) : 0;
    pair->answer_ns = UINT64_MAX;
    if (pair->hangs) {
        return;
    }
    struct mkv_verbs_sim_pair *peer = peer_of(sim, pair);
    if (!passes(sim, pair->peer_node, pair->node, bytes) || peer == NULL) {
        (void)tries_again(sim, pair, pair->head, &pair->answer_ns);
        return;
    }
    sent->lost = 0;
    if (is_read) {
        if (!remote(sim, pair, peer, sent, sent->answered_bytes, bytes)) {
            fail_at(sim, pair, pair->head, MKV_LANE_REMOTE_ACCESS);
            refuse(sim, peer);
            return;
        }
        sent->answered_bytes += bytes;
    }
    if (!is_read || sent->answered_bytes == sent->work.bytes) {
        if (sent->work.is_signaled) {
            mkv_verbs_sim_complete(sim, pair, sent->work.work, sent->work.opcode, 0, pair->head);
        }
        pair->head++;
        if (pair->fails && pair->head == pair->asked) {
            fail_asked(sim, pair, pair->failure, pair->peer_fails);
            return;
        }
    }
    answer_on(sim, pair);
    mkv_verbs_sim_ask_on(sim, pair); /* a READ may have waited for this one */
}

/* ---- time ------------------------------------------------------------------------------------ */

uint64_t mkv_verbs_sim_next_ns(const struct mkv_verbs_sim *sim) {
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t index = 0; index < MKV_VERBS_SIM_PAIRS_MAX; index++) {
        const struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
        if (pair->state == MKV_VERBS_SIM_READY) {
            next_ns = mkv_min_u64(next_ns, mkv_min_u64(pair->ask_ns, pair->answer_ns));
        }
    }
    for (uint32_t at = 0; at < sim->node_count; at++) {
        for (uint32_t index = 0; index < sim->nodes[at].event_count; index++) {
            next_ns = mkv_min_u64(next_ns, sim->nodes[at].events[index].due_ns);
        }
        next_ns = mkv_min_u64(next_ns, sim->nodes[at].landing.due_ns);
    }
    return next_ns;
}

void mkv_verbs_sim_run(struct mkv_verbs_sim *sim, uint64_t now_ns) {
    MKV_ASSERT(now_ns >= sim->now_ns);
    sim->now_ns = now_ns;
    for (uint32_t at = 0; at < sim->node_count; at++) {
        if (sim->nodes[at].landing.due_ns <= now_ns) {
            land(sim, at);
        }
    }
    for (uint32_t index = 0; index < MKV_VERBS_SIM_PAIRS_MAX; index++) {
        struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
        if (pair->state == MKV_VERBS_SIM_READY && pair->answer_ns <= now_ns) {
            answer(sim, pair);
        }
        if (pair->state == MKV_VERBS_SIM_READY && pair->ask_ns <= now_ns) {
            ask(sim, pair);
        }
    }
}
