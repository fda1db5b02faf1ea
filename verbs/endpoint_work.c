/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>

#include "verbs/device.h"

#define EFFECTS_AT_ONCE 32u
/* What a client's own receives may take to come back from a queue pair in its error state. */
#define DRAIN_NS 500000000ull

enum mkv_lane_status mkv_verbs_status(enum ibv_wc_status status) {
    switch ((int)status) {
    case IBV_WC_SUCCESS:
        return MKV_LANE_SUCCESS;
    case IBV_WC_LOC_LEN_ERR:
        return MKV_LANE_LOCAL_LENGTH;
    case IBV_WC_LOC_QP_OP_ERR:
        return MKV_LANE_LOCAL_OPERATION;
    case IBV_WC_LOC_PROT_ERR:
        return MKV_LANE_LOCAL_PROTECTION;
    case IBV_WC_WR_FLUSH_ERR:
        return MKV_LANE_FLUSHED;
    case IBV_WC_MW_BIND_ERR:
        return MKV_LANE_MEMORY_WINDOW;
    case IBV_WC_BAD_RESP_ERR:
        return MKV_LANE_BAD_RESPONSE;
    case IBV_WC_LOC_ACCESS_ERR:
        return MKV_LANE_LOCAL_ACCESS;
    case IBV_WC_REM_INV_REQ_ERR:
        return MKV_LANE_REMOTE_INVALID_REQUEST;
    case IBV_WC_REM_ACCESS_ERR:
        return MKV_LANE_REMOTE_ACCESS;
    case IBV_WC_REM_OP_ERR:
        return MKV_LANE_REMOTE_OPERATION;
    case IBV_WC_RETRY_EXC_ERR:
        return MKV_LANE_RETRY_EXCEEDED;
    case IBV_WC_RNR_RETRY_EXC_ERR:
        return MKV_LANE_RNR_RETRY_EXCEEDED;
    case IBV_WC_FATAL_ERR:
        return MKV_LANE_FATAL;
    default: /* of other kinds of queue pairs, or of later versions */
        return MKV_LANE_GENERAL;
    }
}

/* ---- completions ----------------------------------------------------------------------------- */

static struct mkv_lane_completion completion_of(const struct ibv_wc *wc) {
    /* The rest of a failed one is not valid. */
    return (struct mkv_lane_completion){
        .work = wc->wr_id, .status = mkv_verbs_status(wc->status), .vendor = wc->vendor_err};
}

void mkv_endpoint_completed(struct mkv_endpoint *endpoint, const struct ibv_wc *wc,
                            uint64_t now_ns) {
    struct mkv_lane *lane = &endpoint->lane;
    const struct mkv_lane_completion completion = completion_of(wc);
    if (lane->state == MKV_LANE_DRAINED || completion.work < lane->head ||
        completion.work >= lane->handed) {
        return; /* a device that tells of one twice; it has been counted */
    }
    mkv_lane_completed(lane, &completion, now_ns);
    mkv_verbs_busy(endpoint);
}

static bool takes_receives(const struct mkv_endpoint *endpoint) {
    const bool is_running =
        endpoint->lane.state == MKV_LANE_PROBING || endpoint->lane.state == MKV_LANE_OPEN;
    return endpoint->verbs->srq != NULL || (endpoint->qp != NULL && is_running);
}

/* The buffer may take the next message; one of a queue pair that has stopped is kept. */
static void give_back(struct mkv_endpoint *endpoint, uint32_t receive, uint64_t now_ns) {
    if (takes_receives(endpoint) && !mkv_verbs_receive_post(endpoint->verbs, endpoint, receive)) {
        endpoint->verbs->srq_is_in_doubt = true;
        mkv_lane_event(&endpoint->lane, MKV_LANE_EVENT_QP_FATAL, now_ns);
    }
}

void mkv_endpoint_received(struct mkv_endpoint *endpoint, const struct ibv_wc *wc,
                           uint64_t now_ns) {
    const uint32_t receive = (uint32_t)wc->wr_id;
    struct mkv_lane *lane = &endpoint->lane;
    bool is_taken = false;
    if (endpoint->verbs->srq == NULL) {
        MKV_ASSERT(endpoint->receives_posted > 0);
        endpoint->receives_posted--;
    }
    mkv_verbs_busy(endpoint);
    if (endpoint->is_connected && lane->state != MKV_LANE_DRAINED) {
        if (wc->status == IBV_WC_SUCCESS) {
            is_taken = mkv_lane_received(lane, mkv_verbs_receive_memory(endpoint->verbs, receive),
                                         wc->byte_len, now_ns);
        } else {
            const struct mkv_lane_completion completion = completion_of(wc);
            mkv_lane_receive_failed(lane, &completion, now_ns);
        }
    }
    if (!is_taken) {
        give_back(endpoint, receive, now_ns);
        return;
    }
    MKV_ASSERT(endpoint->arrival_count < MKV_LANE_CREDITS_MAX);
    const uint32_t at = (endpoint->arrival_first + endpoint->arrival_count) % MKV_LANE_CREDITS_MAX;
    endpoint->arrivals[at] = (struct arrival){.receive = receive, .bytes = wc->byte_len};
    endpoint->arrival_count++;
    endpoint->has_news = true;
}

/* ---- work requests --------------------------------------------------------------------------- */

struct chain {
    uint32_t count;
    struct ibv_send_wr works[EFFECTS_AT_ONCE];
    struct ibv_sge pieces[EFFECTS_AT_ONCE];
};

static uint8_t *slot_memory(const struct mkv_endpoint *endpoint, uint32_t slot) {
    const struct mkv_verbs_options *options = &endpoint->verbs->options;
    return endpoint->verbs->places[endpoint->place].memory +
           ((size_t)options->receives_each + slot) * options->message_bytes;
}

static void chain_send(struct mkv_endpoint *endpoint, struct chain *chain,
                       const struct mkv_lane_effect *effect) {
    uint8_t *memory = slot_memory(endpoint, effect->slot);
    const uint32_t bytes = MKV_LANE_HEADER_BYTES + effect->header.bytes;
    if (effect->header.kind == MKV_LANE_MESSAGE_PROBE ||
        effect->header.kind == MKV_LANE_MESSAGE_PROBE_ANSWER) {
        mkv_lane_probe_fill(memory + MKV_LANE_HEADER_BYTES, effect->header.bytes);
    }
    mkv_lane_header_encode(&effect->header, memory);
    chain->pieces[chain->count] = (struct ibv_sge){
        .addr = (uintptr_t)memory,
        .length = bytes,
        .lkey = endpoint->verbs->places[endpoint->place].mr->lkey,
    };
    chain->works[chain->count] = (struct ibv_send_wr){
        .wr_id = effect->work,
        .opcode = IBV_WR_SEND,
        .send_flags = (effect->is_signaled ? (unsigned)IBV_SEND_SIGNALED : 0) |
                      (bytes <= endpoint->inline_bytes_max ? (unsigned)IBV_SEND_INLINE : 0),
    };
}

static void chain_transfer(const struct mkv_endpoint *endpoint, struct chain *chain,
                           const struct mkv_lane_effect *effect) {
    const struct transfer *transfer = &endpoint->transfers[effect->transfer.tag];
    chain->pieces[chain->count] = (struct ibv_sge){
        .addr = (uintptr_t)transfer->memory,
        .length = effect->transfer.bytes,
        .lkey = transfer->local_key,
    };
    chain->works[chain->count] = (struct ibv_send_wr){
        .wr_id = effect->work,
        .opcode = effect->transfer.is_read ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
        .send_flags = effect->is_signaled ? (unsigned)IBV_SEND_SIGNALED : 0,
        .wr.rdma = {.remote_addr = effect->transfer.remote_address,
                    .rkey = effect->transfer.remote_key},
    };
}

/* False: the device did not take them all. */
static bool chain_post(struct mkv_endpoint *endpoint, struct chain *chain, uint64_t now_ns) {
    struct ibv_send_wr *bad = NULL;
    for (uint32_t index = 0; index < chain->count; index++) {
        chain->works[index].sg_list = &chain->pieces[index];
        chain->works[index].num_sge = 1;
        chain->works[index].next = index + 1 < chain->count ? &chain->works[index + 1] : NULL;
    }
    const bool is_posted =
        chain->count == 0 ||
        (endpoint->qp != NULL && ibv_post_send(endpoint->qp, &chain->works[0], &bad) == 0);
    if (!is_posted) {
        mkv_lane_not_posted(&endpoint->lane, bad == NULL ? chain->works[0].wr_id : bad->wr_id,
                            now_ns);
    }
    chain->count = 0;
    return is_posted;
}

/* ---- what is to be told ---------------------------------------------------------------------- */

static void note(struct mkv_endpoint *endpoint, enum told_kind kind, uint64_t tag, bool is_ok) {
    MKV_ASSERT(endpoint->told_count < TOLD_MAX);
    endpoint->told[(endpoint->told_first + endpoint->told_count) % TOLD_MAX] =
        (struct told){.kind = kind, .is_ok = is_ok, .tag = tag};
    endpoint->told_count++;
}

static void note_transfer(struct mkv_endpoint *endpoint, const struct mkv_lane_effect *effect) {
    struct transfer *transfer = &endpoint->transfers[effect->tag];
    MKV_ASSERT(transfer->is_used);
    transfer->is_used = false;
    note(endpoint, TOLD_TRANSFER_DONE, transfer->tag, effect->is_ok);
}

static void describe(struct mkv_endpoint *endpoint) {
    const struct mkv_lane *lane = &endpoint->lane;
    const struct mkv_verbs *verbs = endpoint->verbs;
    char gid[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET6, endpoint->peer.gid, gid, sizeof gid);
    if (lane->reason == MKV_LANE_REASON_PROTOCOL) {
        mkv_verbs_say(endpoint->broken_problem, "the peer sent a message %s (%s)",
                      mkv_lane_fault_text(lane->fault), gid);
    } else if (lane->status != MKV_LANE_SUCCESS) {
        mkv_verbs_say(endpoint->broken_problem, "%s (status %u, vendor code %u, %s to %s)",
                      mkv_lane_reason_text(lane->reason), lane->status, lane->vendor,
                      verbs->facts.device, gid);
    } else {
        mkv_verbs_say(endpoint->broken_problem, "%s (%s to %s)", mkv_lane_reason_text(lane->reason),
                      verbs->facts.device, gid);
    }
}

void mkv_endpoint_stopped(struct mkv_endpoint *endpoint, uint64_t now_ns) {
    struct mkv_lane *lane = &endpoint->lane;
    endpoint->stop_is_due = false;
    mkv_lane_stopped(lane, now_ns);
    if (endpoint->qp == NULL && lane->config.transfers_max == 0 &&
        mkv_lane_posted_count(lane) > 0) {
        /* Messages are all that it had posted, and none of them is sent any more. */
        const struct mkv_lane_completion completion = {.work = lane->handed - 1,
                                                       .status = MKV_LANE_FLUSHED};
        mkv_lane_completed(lane, &completion, now_ns);
    }
}

/* Where the device refuses, the lane has not stopped: its memory is the device's, and the peer's,
 * until mkv_endpoint_again. */
static void stop_queue_pair(struct mkv_endpoint *endpoint, bool destroys, uint64_t now_ns) {
    if (destroys ? mkv_endpoint_qp_destroy(endpoint) : mkv_endpoint_qp_stop(endpoint)) {
        mkv_endpoint_stopped(endpoint, now_ns);
    } else {
        endpoint->stop_is_due = true;
    }
    if (!endpoint->is_stopped) {
        describe(endpoint);
        note(endpoint, TOLD_BROKEN, endpoint->lane.reason, false);
    }
}

static void drain_receives(struct mkv_endpoint *endpoint, uint64_t now_ns) {
    endpoint->drain_is_due = true;
    endpoint->drain_end_ns = now_ns + DRAIN_NS;
}

/* ---- effects --------------------------------------------------------------------------------- */

static void do_effect(struct mkv_endpoint *endpoint, struct chain *chain, bool *takes_work,
                      const struct mkv_lane_effect *effect, uint64_t now_ns) {
    switch (effect->kind) {
    case MKV_LANE_EFFECT_SEND:
    case MKV_LANE_EFFECT_TRANSFER:
        if (!*takes_work) {
            return; /* withdrawn with the one that the device did not take */
        }
        if (effect->kind == MKV_LANE_EFFECT_SEND) {
            chain_send(endpoint, chain, effect);
        } else {
            chain_transfer(endpoint, chain, effect);
        }
        chain->count++;
        if (!effect->has_more) {
            *takes_work = chain_post(endpoint, chain, now_ns);
        }
        break;
    case MKV_LANE_EFFECT_OPENED:
        note(endpoint, TOLD_OPENED, 0, true);
        break;
    case MKV_LANE_EFFECT_TRANSFER_DONE:
        note_transfer(endpoint, effect);
        break;
    case MKV_LANE_EFFECT_EXPOSURE_END:
        note(endpoint, TOLD_EXPOSURE_END, effect->tag, false);
        break;
    case MKV_LANE_EFFECT_STOP:
        stop_queue_pair(endpoint, effect->destroys, now_ns);
        break;
    case MKV_LANE_EFFECT_DESTROY:
        endpoint->destroy_is_due = !mkv_endpoint_qp_destroy(endpoint);
        if (!endpoint->destroy_is_due) {
            mkv_lane_destroyed(&endpoint->lane);
        }
        break;
    case MKV_LANE_EFFECT_DRAINED:
        drain_receives(endpoint, now_ns);
        break;
    }
}

void mkv_endpoint_work(struct mkv_endpoint *endpoint, uint64_t now_ns) {
    struct mkv_lane_effect effects[EFFECTS_AT_ONCE];
    struct chain chain; /* not cleared: it is as large as a page, and most of it is not used */
    uint32_t count;
    chain.count = 0;
    if (!endpoint->is_connected) {
        return;
    }
    if (endpoint->open_slot != MKV_NONE_U32) {
        mkv_lane_send(&endpoint->lane, endpoint->open_slot, endpoint->open_bytes, now_ns);
        endpoint->open_slot = MKV_NONE_U32;
    }
    while ((count = mkv_lane_effects(&endpoint->lane, effects, EFFECTS_AT_ONCE)) > 0) {
        bool takes_work = true;
        for (uint32_t index = 0; index < count; index++) {
            do_effect(endpoint, &chain, &takes_work, &effects[index], now_ns);
        }
        MKV_ASSERT(chain.count == 0);
    }
    if (endpoint->drain_is_due && endpoint->receives_posted == 0) {
        endpoint->drain_is_due = false;
        note(endpoint, TOLD_DRAINED, 0, true);
    }
    mkv_verbs_timer_note(endpoint);
}

static void tell_one(struct mkv_endpoint *endpoint) {
    const struct told told = endpoint->told[endpoint->told_first];
    endpoint->told_first = (endpoint->told_first + 1) % TOLD_MAX;
    endpoint->told_count--;
    switch (told.kind) {
    case TOLD_OPENED:
        endpoint->ops.opened(endpoint->context);
        break;
    case TOLD_TRANSFER_DONE:
        endpoint->ops.transfer_done(endpoint->context, told.tag, told.is_ok);
        break;
    case TOLD_EXPOSURE_END:
        endpoint->ops.exposure_end(endpoint->context, told.tag);
        break;
    case TOLD_BROKEN:
        endpoint->ops.broken(endpoint->context, (enum mkv_lane_reason)told.tag,
                             endpoint->broken_problem);
        break;
    case TOLD_DRAINED:
        endpoint->is_told_drained = true;
        endpoint->ops.drained(endpoint->context);
        break;
    }
}

uint32_t mkv_endpoint_tell(struct mkv_endpoint *endpoint) {
    uint32_t count = 0;
    if (endpoint->told_count > 0 && endpoint->told[endpoint->told_first].kind == TOLD_OPENED) {
        tell_one(endpoint);
        count++;
    }
    /* What has come is told before what has ended. */
    if (endpoint->has_news && !endpoint->is_stopped) {
        endpoint->has_news = false;
        endpoint->ops.readable(endpoint->context);
        count++;
    }
    while (endpoint->told_count > 0) {
        tell_one(endpoint);
        count++;
    }
    if (endpoint->wants_room && endpoint->open_slot == MKV_NONE_U32) {
        endpoint->open_slot = mkv_lane_slot_take(&endpoint->lane);
        if (endpoint->open_slot != MKV_NONE_U32) {
            mkv_lane_slot_give(&endpoint->lane, endpoint->open_slot);
            endpoint->open_slot = MKV_NONE_U32;
            endpoint->wants_room = false;
            endpoint->ops.writable(endpoint->context);
            count++;
        }
    }
    return count;
}

/* ---- bytes that have come -------------------------------------------------------------------- */

size_t mkv_endpoint_receive(struct mkv_endpoint *endpoint, void *bytes, size_t bytes_max,
                            uint64_t now_ns) {
    size_t taken = 0;
    while (taken < bytes_max && endpoint->arrival_count > 0) {
        const struct arrival *arrival = &endpoint->arrivals[endpoint->arrival_first];
        if (endpoint->arrival_offset == 0) {
            endpoint->arrival_offset = MKV_LANE_HEADER_BYTES;
        }
        const uint32_t rest = arrival->bytes - endpoint->arrival_offset;
        const size_t part = mkv_min_u64(rest, bytes_max - taken);
        memcpy((uint8_t *)bytes + taken,
               mkv_verbs_receive_memory(endpoint->verbs, arrival->receive) +
                   endpoint->arrival_offset,
               part);
        taken += part;
        endpoint->arrival_offset += (uint32_t)part;
        if (endpoint->arrival_offset == arrival->bytes) {
            endpoint->arrival_first = (endpoint->arrival_first + 1) % MKV_LANE_CREDITS_MAX;
            endpoint->arrival_count--;
            endpoint->arrival_offset = 0;
            give_back(endpoint, arrival->receive, now_ns);
            mkv_lane_given_back(&endpoint->lane, now_ns);
            mkv_verbs_busy(endpoint);
        }
    }
    return taken;
}
