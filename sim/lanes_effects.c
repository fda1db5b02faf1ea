/* SPDX-License-Identifier: Apache-2.0 */
/* What a lane's effects say is done here, and held against what is known apart from the lane. */
#include <string.h>

#include "sim/failure.h"
#include "sim/lanes_world.h"

#define EFFECTS_AT_ONCE 24u
/* How long putting a queue pair in its error state takes. */
#define STOP_NS 30000u
/* Half of the times it is so much shorter: packets are on their way then. */
#define STOP_SHORT 64u

/* Whether the lane stops for what it was told first (L5). */
static void check_reason(const struct lanes_world *world, const struct lanes_end *end,
                         enum mkv_lane_reason reason) {
    const bool by_itself = reason == MKV_LANE_REASON_PROBE || reason == MKV_LANE_REASON_SILENT ||
                           reason == MKV_LANE_REASON_PROTOCOL || reason == MKV_LANE_REASON_PEER;
    if (end->expected != MKV_LANE_REASON_NONE ? reason != end->expected : !by_itself) {
        mkv_fail(MKV_ORACLE_ENDS, "lane %llu stops for '%s', and what it was told first is '%s'",
                 (unsigned long long)end->serial, mkv_lane_reason_name(reason),
                 mkv_lane_reason_name(end->expected));
    }
    const bool is_wanted = reason == MKV_LANE_REASON_CLOSED || reason == MKV_LANE_REASON_PEER ||
                           end->expected == MKV_LANE_REASON_CLOSED;
    if (world->strikes == 0 && !is_wanted && !world->talks[end->talk].is_closed[0] &&
        !world->talks[end->talk].is_closed[1]) {
        mkv_fail(MKV_ORACLE_ANSWERS, "lane %llu stops for '%s', and nothing has gone wrong",
                 (unsigned long long)end->serial, mkv_lane_reason_name(reason));
    }
}

static void check_credits(const struct lanes_end *end, const struct mkv_lane_header *header) {
    const uint64_t out = end->messages_sent - end->credits_got;
    const uint32_t credits = end->lane.config.credits;
    if (out > credits || (header->kind == MKV_LANE_MESSAGE_STREAM && out > credits - 1)) {
        mkv_fail(MKV_ORACLE_BOUNDS, "lane %llu has sent %llu messages that were not given back",
                 (unsigned long long)end->serial, (unsigned long long)out);
    }
    if (end->credits_given > end->messages_came) {
        mkv_fail(MKV_ORACLE_BOUNDS, "lane %llu has given back %llu messages, and %llu have come",
                 (unsigned long long)end->serial, (unsigned long long)end->credits_given,
                 (unsigned long long)end->messages_came);
    }
}

static struct lanes_work *new_work(struct lanes_end *end, uint64_t work, uint64_t now_ns) {
    struct lanes_work *entry = &end->works[work % MKV_LANES_WORKS_MAX];
    if (entry->is_posted) {
        mkv_fail(MKV_ORACLE_BOUNDS, "lane %llu has more work requests posted than it may",
                 (unsigned long long)end->serial);
    }
    *entry = (struct lanes_work){.work = work, .is_posted = true, .waits_ns = now_ns};
    return entry;
}

static bool post(struct lanes_world *world, struct lanes_end *end,
                 const struct mkv_verbs_sim_work *work) {
    if (end->is_dead_pair || !mkv_verbs_sim_post(world->verbs, end->pair, work)) {
        mkv_lanes_work_over(world, end, work->work);
        mkv_lanes_note(world, "not posted", end->serial, work->work);
        if (end->lane.state == MKV_LANE_PROBING || end->lane.state == MKV_LANE_OPEN) {
            end->expected =
                end->expected == MKV_LANE_REASON_NONE ? MKV_LANE_REASON_LOCAL_ERROR : end->expected;
        }
        mkv_lane_not_posted(&end->lane, work->work, world->now_ns);
        return false;
    }
    return true;
}

static bool do_send(struct lanes_world *world, struct lanes_end *end,
                    const struct mkv_lane_effect *effect) {
    const struct mkv_lane_header *header = &effect->header;
    const uint32_t buffer = end->slots_first + effect->slot;
    struct mkv_lanes_memory *memory = &world->nodes[end->node].memory;
    uint8_t *message = mkv_lanes_bytes(world, end->node, buffer);
    if (header->kind != MKV_LANE_MESSAGE_STREAM) { /* of the lane's own */
        if (memory->buffers[buffer].owner != MKV_LANES_NOBODY) {
            mkv_fail(MKV_ORACLE_DMA, "lane %llu takes slot %u, and it is of '%s'",
                     (unsigned long long)end->serial, effect->slot,
                     mkv_lanes_owner_name(memory->buffers[buffer].owner));
        }
        if (header->kind == MKV_LANE_MESSAGE_PROBE ||
            header->kind == MKV_LANE_MESSAGE_PROBE_ANSWER) {
            mkv_lane_probe_fill(message + MKV_LANE_HEADER_BYTES, header->bytes);
        }
    }
    end->messages_sent++;
    end->credits_given += header->credits;
    check_credits(end, header);
    mkv_lane_header_encode(header, message);
    struct lanes_work *entry = new_work(end, effect->work, world->now_ns);
    entry->buffer = buffer;
    entry->is_send = true;
    mkv_lanes_memory_give(memory, buffer, MKV_LANES_SEND, end->serial);
    const struct mkv_verbs_sim_work work = {
        .work = effect->work,
        .opcode = MKV_VERBS_SIM_SEND,
        .is_signaled = effect->is_signaled,
        .address = memory->buffers[buffer].address,
        .bytes = MKV_LANE_HEADER_BYTES + header->bytes,
    };
    return post(world, end, &work);
}

static uint32_t count_reads(const struct lanes_end *end) {
    uint32_t reads = 0;
    for (uint32_t index = 0; index < MKV_LANES_WORKS_MAX; index++) {
        reads += end->works[index].is_posted && end->works[index].is_read;
    }
    return reads;
}

static bool do_transfer(struct lanes_world *world, struct lanes_end *end,
                        const struct mkv_lane_effect *effect) {
    const struct mkv_lane_transfer *transfer = &effect->transfer;
    struct lanes_work *entry = new_work(end, effect->work, world->now_ns);
    struct lanes_task *task = &world->tasks[transfer->tag >> 8];
    MKV_ASSERT(end->node == 0 && task->is_used && task->end_serial == end->serial);
    entry->is_read = transfer->is_read;
    task->works[transfer->tag & 0xff] = effect->work;
    task->parts[transfer->tag & 0xff] = LANES_PART_POSTED;
    if (count_reads(end) > end->lane.config.reads_max) {
        mkv_fail(MKV_ORACLE_BOUNDS, "lane %llu has %u READs posted, and the peer answers %u",
                 (unsigned long long)end->serial, count_reads(end), end->lane.config.reads_max);
    }
    const struct mkv_verbs_sim_work work = {
        .work = effect->work,
        .opcode = transfer->is_read ? MKV_VERBS_SIM_READ : MKV_VERBS_SIM_WRITE,
        .is_signaled = effect->is_signaled,
        .address = transfer->local_offset,
        .bytes = transfer->bytes,
        .remote_address = transfer->remote_address,
        .remote_key = transfer->remote_key,
    };
    return post(world, end, &work);
}

static void do_opened(struct lanes_world *world, struct lanes_end *end) {
    const struct mkv_verbs_sim_node *link =
        &world->verbs->nodes[end->node != 0 ? end->node : world->verbs->pairs[end->pair].peer_node];
    end->was_open = true;
    mkv_lanes_note(world, "open", end->serial, 0);
    /* A path that has let none of the full packets through since before it was made. */
    for (uint32_t way = 0; way < 2 && !end->is_dead_pair; way++) {
        if (link->hole_ns[way] > world->now_ns &&
            link->hole_since_ns[way] <= world->talks[end->talk].made_ns) {
            mkv_fail(MKV_ORACLE_ANSWERS,
                     "lane %llu is open over a path on which full packets vanish",
                     (unsigned long long)end->serial);
        }
    }
    if (end->node != 0) {
        mkv_lanes_client_opened(world, &world->clients[end->node - 1]);
    }
}

static void do_stop(struct lanes_world *world, struct lanes_end *end,
                    const struct mkv_lane_effect *effect) {
    if (end->has_stopped) {
        mkv_fail(MKV_ORACLE_ANSWERS, "lane %llu is to stop a second time",
                 (unsigned long long)end->serial);
    }
    mkv_lanes_note(world, mkv_lane_reason_name(effect->reason), end->serial, 0);
    check_reason(world, end, effect->reason);
    end->has_stopped = true;
    end->reason = effect->reason;
    const uint32_t stop_ns = mkv_random_below(&world->schedule, STOP_NS);
    end->stop_ns = world->now_ns + (stop_ns % 2 == 0 ? stop_ns : stop_ns / STOP_SHORT);
    end->stop_destroys = effect->destroys;
    if (end->node != 0) {
        mkv_lanes_client_broken(world, end);
    } else {
        mkv_lanes_talk_close(world, end->talk, true);
    }
}

static void do_drained(struct lanes_world *world, struct lanes_end *end) {
    if (end->is_drained) {
        mkv_fail(MKV_ORACLE_ANSWERS, "lane %llu is drained a second time",
                 (unsigned long long)end->serial);
    }
    if (end->lane.reason != end->reason) { /* L5 */
        mkv_fail(MKV_ORACLE_ENDS, "lane %llu stopped for '%s', and now says '%s'",
                 (unsigned long long)end->serial, mkv_lane_reason_name(end->reason),
                 mkv_lane_reason_name(end->lane.reason));
    }
    for (uint32_t index = 0; index < MKV_LANES_WORKS_MAX; index++) {
        if (end->works[index].is_posted && !end->destroy_came) {
            mkv_fail(MKV_ORACLE_DMA,
                     "lane %llu is drained, and work request %llu has not completed",
                     (unsigned long long)end->serial, (unsigned long long)end->works[index].work);
        }
    }
    if (end->node == 0 && !end->last_receive &&
        world->now_ns < end->stopped_ns + MKV_LANES_DRAIN_NS) {
        mkv_fail(MKV_ORACLE_DMA, "lane %llu is drained, and may still take a shared receive",
                 (unsigned long long)end->serial);
    }
    mkv_lanes_note(world, "drained", end->serial, 0);
    end->is_drained = true;
}

static void do_destroy(struct lanes_world *world, struct lanes_end *end) {
    if (world->now_ns < end->stopped_ns + MKV_LANES_DRAIN_NS) {
        mkv_fail(MKV_ORACLE_ANSWERS, "lane %llu is to be destroyed before its time",
                 (unsigned long long)end->serial);
    }
    mkv_lanes_note(world, "destroy", end->serial, 0);
    end->destroy_came = true;
    if (!end->is_dead_pair) {
        mkv_lanes_poll(world, end->node); /* what has come of it is not lost with it */
        mkv_verbs_sim_destroy(world->verbs, end->pair);
        end->is_dead_pair = true;
    }
    for (uint32_t index = 0; index < MKV_LANES_WORKS_MAX; index++) {
        mkv_lanes_work_over(world, end, end->works[index].work);
    }
    mkv_lane_destroyed(&end->lane);
}

/* False: what is still held of this call is not to be posted. */
static bool do_effect(struct lanes_world *world, struct lanes_end *end,
                      const struct mkv_lane_effect *effect) {
    mkv_trace_word(&world->trace, (uint64_t)effect->kind << 56 ^ effect->work << 8 ^
                                      (uint64_t)effect->slot << 40 ^ effect->tag);
    mkv_trace_word(&world->trace, end->serial << 8 ^ (uint64_t)effect->header.number << 32 ^
                                      (uint64_t)effect->header.bytes << 16 ^
                                      effect->header.credits);
    switch (effect->kind) {
    case MKV_LANE_EFFECT_SEND:
        return do_send(world, end, effect);
    case MKV_LANE_EFFECT_TRANSFER:
        return do_transfer(world, end, effect);
    case MKV_LANE_EFFECT_OPENED:
        do_opened(world, end);
        return true;
    case MKV_LANE_EFFECT_TRANSFER_DONE:
        mkv_lanes_server_done(world, end, effect->tag, effect->is_ok);
        return true;
    case MKV_LANE_EFFECT_STOP:
        do_stop(world, end, effect);
        return true;
    case MKV_LANE_EFFECT_EXPOSURE_END:
        mkv_lanes_client_exposure_end(world, end, effect->tag);
        return true;
    case MKV_LANE_EFFECT_DESTROY:
        do_destroy(world, end);
        return true;
    case MKV_LANE_EFFECT_DRAINED:
        do_drained(world, end);
        return true;
    }
    MKV_ASSERT(false);
    return false;
}

static void do_effects(struct lanes_world *world, struct lanes_end *end,
                       const struct mkv_lane_effect *effects, uint32_t count) {
    bool posts = true;
    bool has_more = false;
    for (uint32_t index = 0; index < count; index++) {
        const bool is_post = effects[index].kind == MKV_LANE_EFFECT_SEND ||
                             effects[index].kind == MKV_LANE_EFFECT_TRANSFER;
        if (has_more && !is_post) {
            break;
        }
        has_more = is_post && effects[index].has_more;
        if (is_post && !posts) {
            /* Withdrawn; a slot that was filled for it is free. */
            if (effects[index].kind == MKV_LANE_EFFECT_SEND) {
                mkv_lanes_memory_give(&world->nodes[end->node].memory,
                                      end->slots_first + effects[index].slot, MKV_LANES_NOBODY, 0);
            }
            continue;
        }
        posts = do_effect(world, end, &effects[index]) && posts;
    }
    if (has_more) {
        mkv_fail(MKV_ORACLE_ANSWERS,
                 "lane %llu says that another work request follows, and none does: nothing of the "
                 "chain is ever posted",
                 (unsigned long long)end->serial);
    }
}

/* Slots that were filled for messages which a stop has withdrawn are free. */
static void sweep_slots(struct lanes_world *world, const struct lanes_end *end) {
    struct mkv_lanes_memory *memory = &world->nodes[end->node].memory;
    for (uint32_t slot = 0; slot < world->shape->lane_sends; slot++) {
        if (memory->buffers[end->slots_first + slot].owner == MKV_LANES_SOFTWARE) {
            mkv_lanes_memory_give(memory, end->slots_first + slot, MKV_LANES_NOBODY, 0);
        }
    }
}

void mkv_lanes_end_turn(struct lanes_world *world, struct lanes_end *end) {
    struct mkv_lane_effect effects[EFFECTS_AT_ONCE];
    if (end->is_drained || end->in_turn) {
        return; /* the turn that goes on does all */
    }
    end->in_turn = true;
    for (;;) {
        mkv_lanes_pump(world, end);
        if (end->node == 0 && end->lane.state == MKV_LANE_OPEN) {
            mkv_lanes_server_work(world, end);
            mkv_lanes_pump(world, end);
        }
        if (end->lane.state == MKV_LANE_STOPPING) {
            sweep_slots(world, end);
        }
        const uint32_t count = mkv_lane_effects(&end->lane, effects, EFFECTS_AT_ONCE);
        if (count == 0) {
            break;
        }
        do_effects(world, end, effects, count);
    }
    end->in_turn = false;
}
