/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/verbs_sim.h"

#include <string.h>

#include "sim/failure.h"
#include "sim/verbs_sim_internal.h"

#define KEY_FIRST 0x100u
#define KEY_STEP 7u

void mkv_verbs_sim_init(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_ops *ops,
                        const struct mkv_random *random) {
    memset(sim, 0, sizeof *sim);
    sim->ops = *ops;
    sim->random = *random;
    sim->key_next = KEY_FIRST;
}

uint32_t mkv_verbs_sim_add(struct mkv_verbs_sim *sim, uint8_t *memory, uint64_t bytes) {
    MKV_ASSERT(sim->node_count < MKV_VERBS_SIM_NODES_MAX);
    struct mkv_verbs_sim_node *node = &sim->nodes[sim->node_count];
    node->memory = memory;
    node->bytes = bytes;
    node->is_alive = true;
    node->landing.due_ns = UINT64_MAX;
    return sim->node_count++;
}

/* ---- completions, events --------------------------------------------------------------------- */

static void queue(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair,
                  const struct mkv_verbs_sim_completion *completion, uint64_t position) {
    struct mkv_verbs_sim_node *node = &sim->nodes[pair->node];
    if (node->completion_tail - node->completion_head >= MKV_VERBS_SIM_COMPLETIONS_MAX) {
        mkv_fail(MKV_ORACLE_BOUNDS, "the completion queue of node %u overruns", pair->node);
    }
    struct mkv_verbs_sim_queued *queued =
        &node->completions[node->completion_tail++ % MKV_VERBS_SIM_COMPLETIONS_MAX];
    *queued = (struct mkv_verbs_sim_queued){
        .completion = *completion,
        .pair = (uint32_t)(pair - sim->pairs),
        .position = position,
        .serial = pair->serial,
        .is_shared = pair->is_shared,
    };
    queued->completion.number = pair->number;
}

void mkv_verbs_sim_fail_work(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair,
                             uint64_t work, enum mkv_lane_status status, uint64_t position) {
    const struct mkv_verbs_sim_completion completion = {
        .work = work,
        .status = status,
        .vendor = (uint32_t)status << 4 | 1u,
        .opcode = MKV_VERBS_SIM_POISON, /* I2 */
        .bytes = MKV_VERBS_SIM_POISON,
    };
    queue(sim, pair, &completion, position);
}

void mkv_verbs_sim_complete(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair,
                            uint64_t work, enum mkv_verbs_sim_opcode opcode, uint32_t bytes,
                            uint64_t position) {
    const struct mkv_verbs_sim_completion completion = {
        .work = work, .status = MKV_LANE_SUCCESS, .opcode = opcode, .bytes = bytes};
    queue(sim, pair, &completion, position);
}

void mkv_verbs_sim_tell(struct mkv_verbs_sim *sim, uint32_t at, enum mkv_lane_event event,
                        uint32_t number, uint64_t due_ns) {
    struct mkv_verbs_sim_node *node = &sim->nodes[at];
    MKV_ASSERT(node->event_count < MKV_VERBS_SIM_EVENTS_MAX);
    node->events[node->event_count++] =
        (struct mkv_verbs_sim_due){.event = {event, number}, .due_ns = due_ns};
}

bool mkv_verbs_sim_poll(struct mkv_verbs_sim *sim, uint32_t at,
                        struct mkv_verbs_sim_completion *completion) {
    struct mkv_verbs_sim_node *node = &sim->nodes[at];
    while (node->completion_head != node->completion_tail) {
        const struct mkv_verbs_sim_queued *queued =
            &node->completions[node->completion_head++ % MKV_VERBS_SIM_COMPLETIONS_MAX];
        struct mkv_verbs_sim_pair *pair = &sim->pairs[queued->pair];
        const bool is_gone = pair->state == MKV_VERBS_SIM_UNUSED || pair->serial != queued->serial;
        const bool is_receive = queued->position == UINT64_MAX;
        if (is_gone && !(is_receive && queued->is_shared)) {
            continue;
        }
        if (!is_receive) {
            pair->polled = queued->position + 1;
        }
        *completion = queued->completion;
        return true;
    }
    return false;
}

bool mkv_verbs_sim_event(struct mkv_verbs_sim *sim, uint32_t at,
                         struct mkv_verbs_sim_event *event) {
    struct mkv_verbs_sim_node *node = &sim->nodes[at];
    for (uint32_t index = 0; index < node->event_count; index++) {
        if (node->events[index].due_ns <= sim->now_ns) {
            *event = node->events[index].event;
            node->event_count--;
            memmove(&node->events[index], &node->events[index + 1],
                    (node->event_count - index) * sizeof node->events[0]);
            return true;
        }
    }
    return false;
}

/* ---- memory ---------------------------------------------------------------------------------- */

uint32_t mkv_verbs_sim_register(struct mkv_verbs_sim *sim, uint32_t node, uint64_t address,
                                uint64_t bytes) {
    MKV_ASSERT(bytes <= sim->nodes[node].bytes && address <= sim->nodes[node].bytes - bytes);
    for (uint32_t index = 0; index < MKV_VERBS_SIM_REGIONS_MAX; index++) {
        struct mkv_verbs_sim_region *region = &sim->regions[index];
        if (region->key == 0) {
            *region = (struct mkv_verbs_sim_region){sim->key_next, node, address, bytes};
            sim->key_next += KEY_STEP;
            return region->key;
        }
    }
    MKV_ASSERT(false); /* more regions than there is room for */
    return 0;
}

void mkv_verbs_sim_unregister(struct mkv_verbs_sim *sim, uint32_t node, uint32_t key) {
    for (uint32_t index = 0; index < MKV_VERBS_SIM_REGIONS_MAX; index++) {
        if (sim->regions[index].key == key && sim->regions[index].node == node) {
            sim->regions[index].key = 0;
        }
    }
}

bool mkv_verbs_sim_covers(const struct mkv_verbs_sim *sim, uint32_t node, uint32_t key,
                          uint64_t address, uint64_t bytes) {
    for (uint32_t index = 0; index < MKV_VERBS_SIM_REGIONS_MAX; index++) {
        const struct mkv_verbs_sim_region *region = &sim->regions[index];
        if (key != 0 && region->key == key && region->node == node) {
            return address >= region->address && bytes <= region->bytes &&
                   address - region->address <= region->bytes - bytes;
        }
    }
    return false;
}

/* ---- queue pairs ----------------------------------------------------------------------------- */

static bool number_is_used(const struct mkv_verbs_sim *sim, uint32_t node, uint32_t number) {
    for (uint32_t index = 0; index < MKV_VERBS_SIM_PAIRS_MAX; index++) {
        const struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
        if (pair->state != MKV_VERBS_SIM_UNUSED && pair->node == node && pair->number == number) {
            return true;
        }
    }
    return false;
}

uint32_t mkv_verbs_sim_create(struct mkv_verbs_sim *sim, uint32_t node, bool is_shared,
                              uint32_t sends_max, uint32_t reads_max) {
    MKV_ASSERT(sends_max >= 1 && sends_max <= MKV_VERBS_SIM_SENDS_MAX);
    uint32_t index = 0;
    while (index < MKV_VERBS_SIM_PAIRS_MAX && sim->pairs[index].state != MKV_VERBS_SIM_UNUSED) {
        index++;
    }
    if (index == MKV_VERBS_SIM_PAIRS_MAX || sim->nodes[node].device_gone_ns > sim->now_ns) {
        return MKV_NONE_U32;
    }
    uint32_t number = 1; /* I4 */
    while (number_is_used(sim, node, number)) {
        number++;
    }
    struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
    memset(pair, 0, sizeof *pair);
    pair->state = MKV_VERBS_SIM_MADE;
    pair->node = node;
    pair->number = number;
    pair->serial = ++sim->serial_next;
    pair->packet_number = 1 + mkv_random_below(&sim->random, 0xfffffe);
    pair->is_shared = is_shared;
    pair->sends_max = sends_max;
    pair->reads_max = reads_max;
    pair->ask_ns = UINT64_MAX;
    pair->answer_ns = UINT64_MAX;
    return index;
}

void mkv_verbs_sim_begin_with(struct mkv_verbs_sim *sim, uint32_t index, uint32_t packet_number) {
    MKV_ASSERT(sim->pairs[index].state == MKV_VERBS_SIM_MADE);
    MKV_ASSERT(packet_number <= MKV_VERBS_SIM_PACKET_NUMBER_MAX);
    sim->pairs[index].packet_number = packet_number;
}

void mkv_verbs_sim_connect(struct mkv_verbs_sim *sim, uint32_t index, uint32_t peer_node,
                           uint32_t peer_number, uint32_t peer_packet_number) {
    struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
    MKV_ASSERT(pair->state == MKV_VERBS_SIM_MADE || pair->state == MKV_VERBS_SIM_ERROR);
    MKV_ASSERT((pair->node == 0) != (peer_node == 0));
    pair->peer_node = peer_node;
    pair->peer_number = peer_number;
    pair->peer_packet_number = peer_packet_number;
    if (pair->state == MKV_VERBS_SIM_MADE) {
        pair->state = MKV_VERBS_SIM_READY;
    }
}

static void flush_receives(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair) {
    if (pair->has_taken) {
        pair->has_taken = false;
        mkv_verbs_sim_fail_work(sim, pair, pair->taken.work, MKV_LANE_FLUSHED, UINT64_MAX);
    }
    for (; pair->receive_head != pair->receive_tail; pair->receive_head++) {
        const struct mkv_verbs_sim_receive *receive =
            &pair->receives[pair->receive_head % MKV_VERBS_SIM_RECEIVES_MAX];
        mkv_verbs_sim_fail_work(sim, pair, receive->work, MKV_LANE_FLUSHED, UINT64_MAX);
    }
}

static void tell_last_receive(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_pair *pair) {
    if (!pair->is_shared || sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_LAST_MISSING)) {
        return;
    }
    const bool is_late = sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_LAST_LATE);
    const uint64_t after_ns = mkv_random_below(&sim->random, is_late ? 20000000u : 20000u);
    mkv_verbs_sim_tell(sim, pair->node, MKV_LANE_EVENT_LAST_RECEIVE, pair->number,
                       sim->now_ns + after_ns);
}

void mkv_verbs_sim_to_error(struct mkv_verbs_sim *sim, struct mkv_verbs_sim_pair *pair) {
    if (pair->state == MKV_VERBS_SIM_ERROR) {
        return;
    }
    mkv_verbs_sim_lands(sim, pair);
    pair->state = MKV_VERBS_SIM_ERROR;
    pair->ask_ns = UINT64_MAX;
    pair->answer_ns = UINT64_MAX;
    pair->fails = false;
    if (pair->is_dead) {
        flush_receives(sim, pair); /* the memory of a shared queue outlives the device */
        return;
    }
    for (; pair->head != pair->tail; pair->head++) {
        const struct mkv_verbs_sim_work *work =
            &pair->sent[pair->head % MKV_VERBS_SIM_SENDS_MAX].work;
        mkv_verbs_sim_fail_work(sim, pair, work->work, MKV_LANE_FLUSHED, pair->head);
    }
    pair->asked = pair->tail;
    flush_receives(sim, pair);
    tell_last_receive(sim, pair);
}

void mkv_verbs_sim_error(struct mkv_verbs_sim *sim, uint32_t index) {
    MKV_ASSERT(sim->pairs[index].state != MKV_VERBS_SIM_UNUSED);
    mkv_verbs_sim_to_error(sim, &sim->pairs[index]);
}

void mkv_verbs_sim_pair_fails(struct mkv_verbs_sim *sim, uint32_t index) {
    struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
    MKV_ASSERT(pair->state != MKV_VERBS_SIM_UNUSED);
    if (pair->state != MKV_VERBS_SIM_ERROR) {
        mkv_verbs_sim_to_error(sim, pair);
        mkv_verbs_sim_tell(sim, pair->node, MKV_LANE_EVENT_QP_FATAL, pair->number,
                           sim->now_ns + mkv_random_below(&sim->random, 20000));
    }
}

/* Events of a number that is given to another pair would be taken for its own. */
static void forget_events(struct mkv_verbs_sim *sim, uint32_t at, uint32_t number) {
    struct mkv_verbs_sim_node *node = &sim->nodes[at];
    uint32_t kept = 0;
    for (uint32_t index = 0; index < node->event_count; index++) {
        if (number != 0 && node->events[index].event.number == number) {
            continue;
        }
        node->events[kept++] = node->events[index];
    }
    node->event_count = kept;
}

void mkv_verbs_sim_destroy(struct mkv_verbs_sim *sim, uint32_t index) {
    struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
    MKV_ASSERT(pair->state != MKV_VERBS_SIM_UNUSED);
    mkv_verbs_sim_to_error(sim, pair);
    forget_events(sim, pair->node, pair->number);
    if (sim->nodes[pair->node].landing.serial == pair->serial) {
        sim->nodes[pair->node].landing.due_ns = UINT64_MAX;
    }
    pair->state = MKV_VERBS_SIM_UNUSED;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void forget_regions(struct mkv_verbs_sim *sim, uint32_t at) {
    for (uint32_t index = 0; index < MKV_VERBS_SIM_REGIONS_MAX; index++) {
        if (sim->regions[index].node == at) {
            sim->regions[index].key = 0;
        }
    }
}

void mkv_verbs_sim_die(struct mkv_verbs_sim *sim, uint32_t at) {
    struct mkv_verbs_sim_node *node = &sim->nodes[at];
    for (uint32_t index = 0; index < MKV_VERBS_SIM_PAIRS_MAX; index++) {
        if (sim->pairs[index].node == at) {
            sim->pairs[index].state = MKV_VERBS_SIM_UNUSED;
        }
    }
    forget_regions(sim, at);
    node->shared_head = node->shared_tail;
    node->completion_head = node->completion_tail;
    node->event_count = 0;
    node->landing.due_ns = UINT64_MAX;
}

void mkv_verbs_sim_device_fails(struct mkv_verbs_sim *sim, uint32_t at, uint64_t until_ns) {
    sim->nodes[at].device_gone_ns = until_ns;
    forget_regions(sim, at);
    mkv_verbs_sim_tell(sim, at, MKV_LANE_EVENT_DEVICE_FATAL, 0,
                       sim->now_ns + mkv_random_below(&sim->random, 20000));
    for (uint32_t index = 0; index < MKV_VERBS_SIM_PAIRS_MAX; index++) {
        struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
        if (pair->state != MKV_VERBS_SIM_UNUSED && pair->node == at) {
            /* Whether it still flushes is up to the device. */
            pair->is_dead = mkv_random_chance(&sim->random, 1, 2);
            mkv_verbs_sim_to_error(sim, pair);
        }
    }
}

void mkv_verbs_sim_port_down(struct mkv_verbs_sim *sim, uint32_t at, uint64_t until_ns) {
    sim->nodes[at].port_down_ns = until_ns;
    mkv_verbs_sim_tell(sim, at, MKV_LANE_EVENT_PORT_DOWN, 0,
                       sim->now_ns + mkv_random_below(&sim->random, 20000));
}

void mkv_verbs_sim_path_moves(struct mkv_verbs_sim *sim, uint32_t at, uint64_t until_ns) {
    MKV_ASSERT(at != 0);
    sim->nodes[at].cut_ns = mkv_max_u64(sim->nodes[at].cut_ns, until_ns);
    for (uint32_t index = 0; index < MKV_VERBS_SIM_PAIRS_MAX; index++) {
        const struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
        if (pair->state == MKV_VERBS_SIM_READY && (pair->node == at || pair->peer_node == at)) {
            mkv_verbs_sim_tell(sim, pair->node, MKV_LANE_EVENT_PATH, pair->number,
                               sim->now_ns + mkv_random_below(&sim->random, 20000));
        }
    }
}

void mkv_verbs_sim_heal(struct mkv_verbs_sim *sim) {
    for (uint32_t at = 0; at < sim->node_count; at++) {
        struct mkv_verbs_sim_node *node = &sim->nodes[at];
        node->cut_ns = 0;
        node->hole_ns[0] = 0;
        node->hole_ns[1] = 0;
        node->port_down_ns = 0;
        node->device_gone_ns = 0;
        node->not_ready_ns = 0;
    }
}

/* ---- posting --------------------------------------------------------------------------------- */

bool mkv_verbs_sim_post(struct mkv_verbs_sim *sim, uint32_t index,
                        const struct mkv_verbs_sim_work *work) {
    struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
    MKV_ASSERT(pair->state == MKV_VERBS_SIM_READY || pair->state == MKV_VERBS_SIM_ERROR);
    if (pair->tail - pair->polled >= pair->sends_max) {
        mkv_fail(MKV_ORACLE_BOUNDS, "the send queue of pair %u of node %u overruns", pair->number,
                 pair->node);
    }
    if (pair->state == MKV_VERBS_SIM_ERROR) {
        if (pair->is_dead) {
            return false;
        }
        mkv_verbs_sim_fail_work(sim, pair, work->work, MKV_LANE_FLUSHED, pair->tail);
        pair->tail++;
        pair->head = pair->tail;
        pair->asked = pair->tail;
        return true;
    }
    struct mkv_verbs_sim_sent sent = {.work = *work};
    if (sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_LOCAL)) {
        static const enum mkv_lane_status failures[] = {MKV_LANE_SUCCESS, MKV_LANE_LOCAL_PROTECTION,
                                                        MKV_LANE_LOCAL_OPERATION,
                                                        MKV_LANE_LOCAL_LENGTH};
        sent.local_failure = failures[mkv_random_below(&sim->random, 4)];
        if (sent.local_failure == MKV_LANE_SUCCESS) {
            return false;
        }
    }
    pair->hangs = pair->hangs || sim->ops.strikes(sim->ops.context, MKV_FAULT_LANE_HANG);
    pair->sent[pair->tail % MKV_VERBS_SIM_SENDS_MAX] = sent;
    pair->tail++;
    mkv_verbs_sim_ask_on(sim, pair);
    return true;
}

void mkv_verbs_sim_post_receive(struct mkv_verbs_sim *sim, uint32_t index,
                                const struct mkv_verbs_sim_receive *receive) {
    struct mkv_verbs_sim_pair *pair = &sim->pairs[index];
    MKV_ASSERT(pair->state != MKV_VERBS_SIM_UNUSED && !pair->is_shared);
    if (pair->state == MKV_VERBS_SIM_ERROR) {
        mkv_verbs_sim_fail_work(sim, pair, receive->work, MKV_LANE_FLUSHED, UINT64_MAX);
        return;
    }
    if (pair->receive_tail - pair->receive_head >= MKV_VERBS_SIM_RECEIVES_MAX) {
        mkv_fail(MKV_ORACLE_BOUNDS, "the receive queue of pair %u of node %u overruns",
                 pair->number, pair->node);
    }
    pair->receives[pair->receive_tail++ % MKV_VERBS_SIM_RECEIVES_MAX] = *receive;
}

void mkv_verbs_sim_post_shared(struct mkv_verbs_sim *sim, uint32_t at,
                               const struct mkv_verbs_sim_receive *receive) {
    struct mkv_verbs_sim_node *node = &sim->nodes[at];
    if (node->shared_tail - node->shared_head >= MKV_VERBS_SIM_SHARED_MAX) {
        mkv_fail(MKV_ORACLE_BOUNDS, "the shared receive queue of node %u overruns", at);
    }
    node->shared[node->shared_tail++ % MKV_VERBS_SIM_SHARED_MAX] = *receive;
}
