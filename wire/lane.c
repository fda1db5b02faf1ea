/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is posted is in the queue of lane_queue.h. Every other effect is a place, a flag or a count:
 * nothing can overflow, whatever comes before effects are asked for.
 */
#include "wire/lane.h"

#include <string.h>

#include "wire/lane_canary.h"
#include "wire/lane_queue.h"

/* The last credit and the last free slot are kept for messages of the lane's own. */
#define CREDITS_KEPT 1u
#define SLOTS_KEPT 1u
/* A probe's bytes are their offsets modulo this: a packet in the place of another is seen. */
#define PROBE_PERIOD 251u
#define PACKET_NUMBER_MASK 0xffffffu

_Static_assert(MKV_LANE_POSTED_MAX + MKV_LANE_TRANSFERS_MAX + MKV_LANE_EXPOSURES_MAX + 4 <=
                   MKV_LANE_EFFECTS_MAX,
               "posts, ends of transfers and of exposures, OPENED, STOP, DESTROY, DRAINED");
_Static_assert(MKV_LANE_TRANSFERS_MAX <= UINT8_MAX, "a place of a transfer is a byte");

void mkv_lane_probe_fill(uint8_t *payload, uint32_t bytes) {
    for (uint32_t offset = 0; offset < bytes; offset++) {
        payload[offset] = (uint8_t)(offset % PROBE_PERIOD);
    }
}

static bool probe_is_right(const uint8_t *payload, uint32_t bytes) {
    uint32_t wrong = 0;
    for (uint32_t offset = 0; offset < bytes; offset++) {
        wrong |= payload[offset] ^ (offset % PROBE_PERIOD);
    }
    return wrong == 0;
}

uint32_t mkv_lane_packet_number(uint32_t drawn) {
    return MKV_CANARY(MKV_LANE_CANARY_PACKET_NUMBER_KEPT) ? 0 : drawn & PACKET_NUMBER_MASK;
}

void mkv_lane_init(struct mkv_lane *lane, const struct mkv_lane_config *config) {
    MKV_ASSERT(mkv_lane_config_problem(config) == NULL);
    memset(lane, 0, sizeof *lane);
    lane->config = *config;
    lane->slots_free = config->sends_max;
    lane->credits = config->credits;
}

static bool is_running(const struct mkv_lane *lane) {
    return lane->state == MKV_LANE_PROBING || lane->state == MKV_LANE_OPEN;
}

static bool is_over(const struct mkv_lane *lane) {
    return lane->state == MKV_LANE_STOPPING || lane->state == MKV_LANE_DRAINED;
}

static uint32_t probe_bytes(const struct mkv_lane *lane) {
    return MKV_CANARY(MKV_LANE_CANARY_PROBE_SMALL) ? PROBE_PERIOD
                                                   : mkv_lane_payload_bytes_max(lane);
}

/* Effects are asked for without a time: it is that of the last input. */
static void see_time(struct mkv_lane *lane, uint64_t now_ns) {
    lane->now_ns = mkv_max_u64(lane->now_ns, now_ns);
}

/* ---- states ---------------------------------------------------------------------------------- */

/* L5. What was not handed out is withdrawn: nobody has seen it. */
static void stop(struct mkv_lane *lane, enum mkv_lane_reason reason) {
    MKV_ASSERT(reason != MKV_LANE_REASON_NONE);
    if (is_over(lane)) {
        if (MKV_CANARY(MKV_LANE_CANARY_LATER_FAILURE_DECIDES)) {
            lane->reason = reason;
        }
        if (MKV_CANARY(MKV_LANE_CANARY_STOPS_TWICE) && lane->state == MKV_LANE_STOPPING) {
            lane->stop_is_due = true;
        }
        return;
    }
    mkv_lane_withdraw_from(lane, lane->handed);
    lane->state = MKV_LANE_STOPPING;
    lane->reason = reason;
    lane->opened_is_due = false;
    lane->stop_is_due = true;
    for (uint64_t at = lane->head;
         MKV_CANARY(MKV_LANE_CANARY_FREE_WHEN_STOPPED) && at < lane->handed; at++) {
        mkv_lane_posted_end(lane, at, false);
        mkv_lane_posted_at(lane, at)->is_told = true;
    }
}

static void open_lane(struct mkv_lane *lane) {
    MKV_ASSERT(lane->state == MKV_LANE_PROBING);
    lane->state = MKV_LANE_OPEN;
    lane->opened_is_due = true;
}

void mkv_lane_connected(struct mkv_lane *lane, uint64_t now_ns) {
    see_time(lane, now_ns);
    if (is_over(lane)) {
        return;
    }
    MKV_ASSERT(lane->state == MKV_LANE_IDLE);
    lane->state = MKV_LANE_PROBING;
    lane->since_ns = now_ns;
    if (!lane->config.is_server) {
        mkv_lane_enqueue_own(lane, MKV_LANE_MESSAGE_PROBE, probe_bytes(lane));
    }
}

void mkv_lane_stop(struct mkv_lane *lane, enum mkv_lane_reason reason, uint64_t now_ns) {
    see_time(lane, now_ns);
    MKV_ASSERT(reason == MKV_LANE_REASON_CLOSED || reason == MKV_LANE_REASON_PEER);
    const bool tells = is_running(lane) && reason == MKV_LANE_REASON_CLOSED;
    stop(lane, reason);
    if (tells && mkv_lane_can_send_own(lane)) {
        mkv_lane_enqueue_own(lane, MKV_LANE_MESSAGE_CLOSE, 0);
    }
}

void mkv_lane_stopped(struct mkv_lane *lane, uint64_t now_ns) {
    see_time(lane, now_ns);
    MKV_ASSERT(lane->state == MKV_LANE_STOPPING);
    MKV_ASSERT(lane->stop_is_handed);
    MKV_ASSERT(!lane->is_stopped);
    lane->is_stopped = true;
    lane->since_ns = now_ns;
}

void mkv_lane_destroyed(struct mkv_lane *lane) {
    MKV_ASSERT(lane->destroy_is_handed);
    MKV_ASSERT(lane->state == MKV_LANE_STOPPING);
    lane->destroy_is_handed = false;
    mkv_lane_end_below(lane, lane->handed, false);
}

void mkv_lane_event(struct mkv_lane *lane, enum mkv_lane_event event, uint64_t now_ns) {
    MKV_ASSERT(event >= MKV_LANE_EVENT_QP_FATAL);
    MKV_ASSERT(event <= MKV_LANE_EVENT_PATH);
    see_time(lane, now_ns);
    switch (event) {
    case MKV_LANE_EVENT_QP_FATAL:
        stop(lane, MKV_LANE_REASON_LOCAL_ERROR);
        return;
    case MKV_LANE_EVENT_PORT_DOWN:
        stop(lane, MKV_LANE_REASON_PORT_DOWN);
        return;
    case MKV_LANE_EVENT_DEVICE_FATAL:
        stop(lane, MKV_LANE_REASON_DEVICE);
        return;
    case MKV_LANE_EVENT_PEER_GONE:
        stop(lane, MKV_LANE_REASON_PEER);
        return;
    case MKV_LANE_EVENT_LAST_RECEIVE:
        /* It comes of a queue pair in its error state alone: one that this side did not see. */
        lane->last_receive_came = true;
        stop(lane, MKV_LANE_REASON_FLUSHED);
        return;
    case MKV_LANE_EVENT_PATH:
        if (MKV_CANARY(MKV_LANE_CANARY_PATH_ENDS_LANE)) {
            stop(lane, MKV_LANE_REASON_PORT_DOWN);
        }
        return;
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t later(uint64_t from_ns, uint64_t by_ns) {
    return by_ns > UINT64_MAX - from_ns ? UINT64_MAX : from_ns + by_ns;
}

static uint64_t silent_at_ns(const struct mkv_lane *lane) {
    if (lane->head == lane->handed || MKV_CANARY(MKV_LANE_CANARY_SILENCE_UNNOTICED)) {
        return UINT64_MAX;
    }
    return later(lane->posted[lane->head % MKV_LANE_POSTED_MAX].posted_ns, lane->config.silent_ns);
}

uint64_t mkv_lane_timer_ns(const struct mkv_lane *lane) {
    switch (lane->state) {
    case MKV_LANE_PROBING:
        return later(lane->since_ns, lane->config.probe_ns); /* for what is posted, too */
    case MKV_LANE_OPEN:
        return silent_at_ns(lane);
    case MKV_LANE_STOPPING:
        if (lane->is_stopped && !lane->drain_is_over) {
            return later(lane->since_ns, lane->config.drain_ns);
        }
        return UINT64_MAX;
    case MKV_LANE_IDLE:
    case MKV_LANE_DRAINED:
        break;
    }
    return UINT64_MAX;
}

void mkv_lane_time(struct mkv_lane *lane, uint64_t now_ns) {
    see_time(lane, now_ns);
    if (now_ns < mkv_lane_timer_ns(lane)) {
        return;
    }
    if (lane->state == MKV_LANE_PROBING) {
        stop(lane, MKV_LANE_REASON_PROBE);
    } else if (lane->state == MKV_LANE_OPEN) {
        stop(lane, MKV_LANE_REASON_SILENT);
    } else if (lane->is_stopped && !lane->drain_is_over) {
        lane->drain_is_over = true;
        lane->destroy_is_due = true;
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

uint32_t mkv_lane_slot_take(struct mkv_lane *lane) {
    if (lane->state != MKV_LANE_OPEN || lane->slots_free <= SLOTS_KEPT) {
        return MKV_NONE_U32;
    }
    const uint32_t kept = MKV_CANARY(MKV_LANE_CANARY_LAST_CREDIT_USED) ? 0 : CREDITS_KEPT;
    if (lane->credits <= kept) {
        lane->counters.credit_waits_total += !lane->waits_for_credit;
        lane->waits_for_credit = true;
        return MKV_NONE_U32;
    }
    lane->waits_for_credit = false;
    return mkv_lane_take(lane);
}

void mkv_lane_slot_give(struct mkv_lane *lane, uint32_t slot) {
    MKV_ASSERT(slot < lane->config.sends_max);
    MKV_ASSERT(lane->slots[slot].use == MKV_LANE_SLOT_TAKEN);
    mkv_lane_slot_free(lane, slot);
    lane->credits++;
}

void mkv_lane_send(struct mkv_lane *lane, uint32_t slot, uint32_t bytes, uint64_t now_ns) {
    see_time(lane, now_ns);
    MKV_ASSERT(bytes >= 1);
    MKV_ASSERT(bytes <= mkv_lane_payload_bytes_max(lane));
    if (is_over(lane)) {
        mkv_lane_slot_give(lane, slot);
        return;
    }
    MKV_ASSERT(lane->state == MKV_LANE_OPEN);
    MKV_ASSERT(slot < lane->config.sends_max);
    mkv_lane_enqueue_send(lane, slot, MKV_LANE_MESSAGE_STREAM, bytes);
}

bool mkv_lane_transfer_room(const struct mkv_lane *lane, bool is_read) {
    return lane->state == MKV_LANE_OPEN && lane->transfers_used < lane->config.transfers_max &&
           (!is_read || lane->reads_posted < lane->config.reads_max ||
            MKV_CANARY(MKV_LANE_CANARY_READS_UNBOUNDED));
}

void mkv_lane_transfer(struct mkv_lane *lane, const struct mkv_lane_transfer *transfer,
                       uint64_t now_ns) {
    see_time(lane, now_ns);
    MKV_ASSERT(mkv_lane_transfer_room(lane, transfer->is_read));
    MKV_ASSERT(transfer->bytes > 0);
    uint32_t place = 0;
    while (lane->transfer_is_used[place]) {
        place++;
        MKV_ASSERT(place < lane->config.transfers_max);
    }
    lane->transfers[place] = *transfer;
    lane->transfer_is_used[place] = true;
    lane->transfers_used++;
    lane->reads_posted += transfer->is_read;
    mkv_lane_enqueue(lane, true, place);
}

uint32_t mkv_lane_posted_count(const struct mkv_lane *lane) {
    return (uint32_t)(lane->handed - lane->head);
}

/* ---- exposures ------------------------------------------------------------------------------- */

static uint32_t find_exposure(const struct mkv_lane *lane, uint64_t tag) {
    uint32_t at = 0;
    while (at < lane->exposure_count && lane->exposures[at] != tag) {
        at++;
    }
    return at;
}

bool mkv_lane_expose(struct mkv_lane *lane, uint64_t tag) {
    if (lane->state != MKV_LANE_OPEN || lane->exposure_count == MKV_LANE_EXPOSURES_MAX) {
        return false;
    }
    MKV_ASSERT(find_exposure(lane, tag) == lane->exposure_count);
    lane->exposures[lane->exposure_count] = tag;
    lane->exposure_count++;
    return true;
}

/* L2: whose memory is still the peer's when this side's queue pair has stopped ends then. */
static bool exposures_end(const struct mkv_lane *lane) {
    return lane->is_stopped ||
           (MKV_CANARY(MKV_LANE_CANARY_EXPOSURE_ENDS_EARLY) && lane->state == MKV_LANE_STOPPING);
}

bool mkv_lane_unexpose(struct mkv_lane *lane, uint64_t tag) {
    uint32_t at = find_exposure(lane, tag);
    if (at == lane->exposure_count || exposures_end(lane)) {
        return false;
    }
    if (MKV_CANARY(MKV_LANE_CANARY_OTHER_EXPOSURE_ENDS)) {
        at = 0;
    }
    lane->exposure_count--;
    lane->exposures[at] = lane->exposures[lane->exposure_count];
    return true;
}

/* ---- completions ----------------------------------------------------------------------------- */

/* The first failure, and what the device said of it. What fails because one of the sides has closed
 * is no error. */
static void stop_by(struct mkv_lane *lane, const struct mkv_lane_completion *completion) {
    enum mkv_lane_reason reason = mkv_lane_reason_of(completion->status);
    if (lane->state == MKV_LANE_PROBING && reason == MKV_LANE_REASON_RETRY_EXCEEDED) {
        /* What was sent up to here is the probe: packets of the full MTU. */
        reason = MKV_LANE_REASON_PROBE;
    }
    if (!is_over(lane)) {
        lane->status = completion->status;
        lane->vendor = completion->vendor;
    }
    stop(lane, reason);
    if (lane->reason != MKV_LANE_REASON_CLOSED && lane->reason != MKV_LANE_REASON_PEER) {
        lane->counters.errors_total++;
    }
}

void mkv_lane_completed(struct mkv_lane *lane, const struct mkv_lane_completion *completion,
                        uint64_t now_ns) {
    see_time(lane, now_ns);
    MKV_ASSERT(lane->state != MKV_LANE_DRAINED);
    MKV_ASSERT(completion->work >= lane->head);
    MKV_ASSERT(completion->work < lane->handed);
    const bool is_ok = completion->status == MKV_LANE_SUCCESS;
    /* The queue completes in order: what is before a failure without having failed itself has
     * succeeded. Where it is flushed without a failure that was seen nothing is sure. */
    const bool earlier_ok = !lane->has_failed && completion->status != MKV_LANE_FLUSHED;
    const bool counts_as_ok =
        MKV_CANARY(MKV_LANE_CANARY_FLUSHED_IS_OK) || (is_ok && !lane->has_failed);
    mkv_lane_end_below(lane, completion->work, earlier_ok);
    mkv_lane_end_below(lane, completion->work + 1, counts_as_ok);
    if (MKV_CANARY(MKV_LANE_CANARY_COMPLETES_ALL_POSTED)) {
        mkv_lane_end_below(lane, lane->handed, counts_as_ok);
    }
    if (!is_ok) {
        lane->has_failed = true;
        stop_by(lane, completion);
    } else if (lane->state == MKV_LANE_PROBING && lane->probe_is_answered &&
               lane->head > lane->probe_answer) {
        open_lane(lane);
    }
}

void mkv_lane_not_posted(struct mkv_lane *lane, uint64_t work, uint64_t now_ns) {
    see_time(lane, now_ns);
    MKV_ASSERT(lane->state != MKV_LANE_DRAINED);
    MKV_ASSERT(work >= lane->head);
    MKV_ASSERT(work < lane->handed);
    mkv_lane_withdraw_from(lane, work);
    stop(lane, MKV_LANE_REASON_LOCAL_ERROR);
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Whether the kind may come now: each side's first message is its probe, or says that it closes. */
static bool is_in_turn(const struct mkv_lane *lane, enum mkv_lane_message kind) {
    const bool is_first =
        lane->number_expected == 0 && lane->state == MKV_LANE_PROBING && !lane->probe_is_answered;
    switch (kind) {
    case MKV_LANE_MESSAGE_PROBE:
        return lane->config.is_server && is_first;
    case MKV_LANE_MESSAGE_PROBE_ANSWER:
        return !lane->config.is_server && is_first && lane->handed > 0;
    case MKV_LANE_MESSAGE_STREAM:
    case MKV_LANE_MESSAGE_CREDIT:
        return !is_first;
    case MKV_LANE_MESSAGE_CLOSE:
        break;
    }
    return true;
}

static bool length_is_right(const struct mkv_lane *lane, const struct mkv_lane_header *header) {
    switch (header->kind) {
    case MKV_LANE_MESSAGE_PROBE:
    case MKV_LANE_MESSAGE_PROBE_ANSWER:
        return header->bytes == probe_bytes(lane);
    case MKV_LANE_MESSAGE_STREAM:
        return header->bytes >= 1;
    case MKV_LANE_MESSAGE_CREDIT:
    case MKV_LANE_MESSAGE_CLOSE:
        break;
    }
    return header->bytes == 0;
}

/* L6 */
static enum mkv_lane_fault find_fault(const struct mkv_lane *lane, const uint8_t *message,
                                      uint32_t message_bytes, struct mkv_lane_header *header) {
    if (message_bytes < MKV_LANE_HEADER_BYTES || !mkv_lane_header_decode(message, header)) {
        return MKV_LANE_FAULT_HEADER;
    }
    if (header->epoch != lane->config.epoch && !MKV_CANARY(MKV_LANE_CANARY_EPOCH_UNCHECKED)) {
        return MKV_LANE_FAULT_EPOCH;
    }
    if (header->number != lane->number_expected && !MKV_CANARY(MKV_LANE_CANARY_NUMBER_UNCHECKED)) {
        return MKV_LANE_FAULT_NUMBER;
    }
    if (message_bytes > lane->config.message_bytes ||
        header->bytes != message_bytes - MKV_LANE_HEADER_BYTES || !length_is_right(lane, header)) {
        return MKV_LANE_FAULT_LENGTH;
    }
    if (!is_in_turn(lane, header->kind)) {
        return MKV_LANE_FAULT_TURN;
    }
    if (lane->receives_held == lane->config.receives || header->credits > lane->messages_out) {
        return MKV_LANE_FAULT_CREDIT;
    }
    const bool is_probe =
        header->kind == MKV_LANE_MESSAGE_PROBE || header->kind == MKV_LANE_MESSAGE_PROBE_ANSWER;
    if (is_probe && !probe_is_right(message + MKV_LANE_HEADER_BYTES, header->bytes)) {
        return MKV_LANE_FAULT_PROBE;
    }
    return MKV_LANE_FAULT_NONE;
}

/* L3: the peer says that it has posted receives again. */
static void take_credits(struct mkv_lane *lane, const struct mkv_lane_header *header) {
    MKV_ASSERT(header->credits <= lane->messages_out);
    lane->messages_out -= header->credits;
    lane->credits += header->credits;
    MKV_ASSERT(lane->credits <= lane->config.credits);
}

bool mkv_lane_received(struct mkv_lane *lane, const uint8_t *message, uint32_t message_bytes,
                       uint64_t now_ns) {
    see_time(lane, now_ns);
    MKV_ASSERT(lane->state != MKV_LANE_IDLE);
    if (is_over(lane)) {
        return false;
    }
    lane->counters.receives_total++;
    struct mkv_lane_header header = {0};
    const enum mkv_lane_fault fault = find_fault(lane, message, message_bytes, &header);
    if (fault != MKV_LANE_FAULT_NONE) {
        lane->fault = fault;
        stop(lane, MKV_LANE_REASON_PROTOCOL);
        return false;
    }
    take_credits(lane, &header);
    lane->receives_held++;
    lane->number_expected++;
    if (header.kind == MKV_LANE_MESSAGE_CLOSE) {
        stop(lane, MKV_LANE_REASON_PEER);
        return false;
    }
    if (header.kind == MKV_LANE_MESSAGE_PROBE) {
        MKV_ASSERT(mkv_lane_can_send_own(lane));
        lane->probe_is_answered = true;
        lane->probe_answer = lane->tail;
        mkv_lane_enqueue_own(lane, MKV_LANE_MESSAGE_PROBE_ANSWER, probe_bytes(lane));
    } else if (lane->state == MKV_LANE_PROBING) {
        /* The answer to the probe, or what the client says behind it. */
        open_lane(lane);
    }
    if (header.kind == MKV_LANE_MESSAGE_STREAM) {
        return true;
    }
    lane->receives_owed += MKV_CANARY(MKV_LANE_CANARY_CREDIT_COUNTED_TWICE) ? 2 : 1;
    return false;
}

void mkv_lane_receive_failed(struct mkv_lane *lane, const struct mkv_lane_completion *completion,
                             uint64_t now_ns) {
    see_time(lane, now_ns);
    MKV_ASSERT(completion->status != MKV_LANE_SUCCESS);
    stop_by(lane, completion);
}

void mkv_lane_given_back(struct mkv_lane *lane, uint64_t now_ns) {
    see_time(lane, now_ns);
    if (is_over(lane)) {
        return;
    }
    MKV_ASSERT(lane->receives_owed < lane->receives_held);
    lane->receives_owed++;
}

/* ---- effects --------------------------------------------------------------------------------- */

/* Half of the receives are to be given back, and no message is on its way out that could do it. */
static void send_credits(struct mkv_lane *lane) {
    if (is_running(lane) && lane->receives_owed * 2 >= lane->config.receives &&
        lane->sends_waiting == 0 && mkv_lane_can_send_own(lane) &&
        !MKV_CANARY(MKV_LANE_CANARY_CREDIT_KEPT)) {
        mkv_lane_enqueue_own(lane, MKV_LANE_MESSAGE_CREDIT, 0);
        lane->counters.credit_messages_total++;
    }
}

/* One that nobody waits for may leave its completion to a later one, but never so long that the
 * queue fills with such, and never at the end of a chain: nothing may come behind it. A READ is
 * waited for. */
static bool is_signaled(const struct mkv_lane *lane, const struct mkv_lane_posted *posted,
                        bool has_more) {
    const uint32_t quarter = (lane->config.sends_max + lane->config.transfers_max) / 4;
    if (posted->is_transfer && lane->transfers[posted->place].is_read) {
        return true;
    }
    return (!has_more && !MKV_CANARY(MKV_LANE_CANARY_CHAIN_END_UNSIGNALED)) ||
           lane->unsignaled_count + 1 >= quarter;
}

/* Credits leave with every message, at the last moment. */
static void hand_out_send(struct mkv_lane *lane, uint32_t slot, struct mkv_lane_effect *effect) {
    const struct mkv_lane_slot *message = &lane->slots[slot];
    MKV_ASSERT(lane->sends_waiting > 0);
    effect->kind = MKV_LANE_EFFECT_SEND;
    effect->slot = slot;
    effect->header = (struct mkv_lane_header){
        .epoch = lane->config.epoch,
        .number = lane->number_next,
        .kind = (enum mkv_lane_message)message->kind,
        .credits = lane->receives_owed,
        .bytes = message->bytes,
    };
    lane->number_next++;
    lane->sends_waiting--;
    lane->messages_out++;
    lane->receives_held -= lane->receives_owed;
    lane->receives_owed = 0;
    lane->counters.sends_total++;
    if (MKV_CANARY(MKV_LANE_CANARY_SLOT_FREE_WHEN_SENT)) {
        mkv_lane_slot_free(lane, slot);
    }
}

static void hand_out_transfer(struct mkv_lane *lane, uint32_t place,
                              struct mkv_lane_effect *effect) {
    effect->kind = MKV_LANE_EFFECT_TRANSFER;
    effect->transfer = lane->transfers[place];
    lane->counters.reads_total += effect->transfer.is_read;
    lane->counters.writes_total += !effect->transfer.is_read;
}

static void hand_out_posted(struct mkv_lane *lane, bool is_last_of_call,
                            struct mkv_lane_effect *effect) {
    const struct mkv_lane_posted *posted = mkv_lane_posted_at(lane, lane->handed);
    const bool has_more = lane->handed + 1 < lane->tail && !is_last_of_call;
    effect->work = lane->handed;
    effect->has_more = has_more || MKV_CANARY(MKV_LANE_CANARY_HAS_MORE_AT_END);
    effect->is_signaled = is_signaled(lane, posted, has_more);
    lane->unsignaled_count = effect->is_signaled ? 0 : lane->unsignaled_count + 1;
    if (posted->is_transfer) {
        hand_out_transfer(lane, posted->place, effect);
    } else {
        hand_out_send(lane, posted->place, effect);
    }
    lane->handed++;
}

static void hand_out_done(struct mkv_lane *lane, struct mkv_lane_effect *effect) {
    const uint32_t place = lane->done_places[lane->done_first];
    MKV_ASSERT(lane->transfer_is_used[place]);
    MKV_ASSERT(lane->transfers_used > 0);
    effect->kind = MKV_LANE_EFFECT_TRANSFER_DONE;
    effect->tag = lane->transfers[place].tag;
    effect->is_ok = lane->done_is_ok[lane->done_first];
    lane->transfer_is_used[place] = false;
    lane->transfers_used--;
    lane->done_first = (lane->done_first + 1) % MKV_LANE_TRANSFERS_MAX;
    lane->done_count--;
}

/* Nothing is posted, and no receive that may still come is waited for. */
static bool is_drained(const struct mkv_lane *lane) {
    const bool awaits_receive = lane->config.awaits_last_receive && !lane->last_receive_came &&
                                !lane->drain_is_over &&
                                !MKV_CANARY(MKV_LANE_CANARY_LAST_RECEIVE_NOT_AWAITED);
    const bool is_posted =
        lane->head != lane->tail && !MKV_CANARY(MKV_LANE_CANARY_DRAINED_WHILE_POSTED);
    return lane->state == MKV_LANE_STOPPING && lane->is_stopped && !is_posted && !awaits_receive;
}

/* What the end of a lane is made of. */
static bool next_of_end(struct mkv_lane *lane, struct mkv_lane_effect *effect) {
    if (exposures_end(lane) && lane->exposure_count > 0) {
        lane->exposure_count--;
        effect->kind = MKV_LANE_EFFECT_EXPOSURE_END;
        effect->tag = lane->exposures[lane->exposure_count];
        return true;
    }
    if (lane->stop_is_due) {
        lane->stop_is_due = false;
        lane->stop_is_handed = true;
        effect->kind = MKV_LANE_EFFECT_STOP;
        effect->destroys = !lane->config.is_server && !MKV_CANARY(MKV_LANE_CANARY_STOP_LEAVES_PAIR);
        effect->reason = lane->reason;
        return true;
    }
    if (lane->destroy_is_due && lane->head != lane->handed) {
        lane->destroy_is_due = false;
        lane->destroy_is_handed = true;
        effect->kind = MKV_LANE_EFFECT_DESTROY;
        return true;
    }
    if (is_drained(lane)) {
        lane->state = MKV_LANE_DRAINED;
        effect->kind = MKV_LANE_EFFECT_DRAINED;
        return true;
    }
    return false;
}

static bool next_effect(struct mkv_lane *lane, bool is_last_of_call,
                        struct mkv_lane_effect *effect) {
    if (lane->done_count > 0) {
        hand_out_done(lane, effect);
        return true;
    }
    if (lane->opened_is_due) {
        lane->opened_is_due = false;
        effect->kind = MKV_LANE_EFFECT_OPENED;
        return true;
    }
    if (lane->handed < lane->tail) {
        hand_out_posted(lane, is_last_of_call, effect);
        return true;
    }
    return next_of_end(lane, effect);
}

uint32_t mkv_lane_effects(struct mkv_lane *lane, struct mkv_lane_effect *out, uint32_t out_max) {
    MKV_ASSERT(out_max > 0);
    send_credits(lane);
    uint32_t count = 0;
    while (count < out_max) {
        memset(&out[count], 0, sizeof out[count]);
        if (!next_effect(lane, count + 1 == out_max, &out[count])) {
            break;
        }
        count++;
    }
    return count;
}
