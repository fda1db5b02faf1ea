/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SESSION: blocks of one session lie on any volume, so what it is told goes to all of them, one
 * after another, and the answer is what they said together:
 *
 *   volume 0 -> SESSION -> SESSION_DONE -> volume 1 -> ... -> the end
 *
 * A volume that is not online has no sessions any more, or begins without any.
 */
#include "core/front_internal.h"
#include "core/request_rules.h"

/* no_space: some volume cannot keep it in mind. Else ok where any knows it. */
static enum mkv_status combined(uint32_t answers) {
    static const enum mkv_status order[] = {MKV_STATUS_NO_SPACE, MKV_STATUS_OK,
                                            MKV_STATUS_NOT_FOUND};
    for (size_t rank = 0; rank < sizeof order / sizeof order[0]; rank++) {
        if ((answers >> order[rank] & 1u) != 0) {
            return order[rank];
        }
    }
    return MKV_STATUS_UNAVAILABLE;
}

void mkv_request_count_exit(struct mkv_front_stats *stats, enum mkv_think_exit reason,
                            uint64_t tokens) {
    uint32_t bound = 0;
    while (bound < MKV_FRONT_THINK_BOUNDS && tokens > (uint64_t)MKV_FRONT_THINK_FIRST << bound) {
        bound++;
    }
    stats->think_exits[reason]++;
    stats->think_tokens[bound]++;
    stats->think_tokens_sum += tokens;
}

/* A volume of another shard is asked by the front of that. */
static bool is_asked(const struct mkv_front *front, uint32_t volume) {
    return !front->config.foreign[volume] && mkv_front_volume_online(front, volume);
}

void mkv_front_session_run(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    const struct front_item *item = front_item_at(front, op->item);
    while (!op->has_credit && op->volume < front->config.volume_count &&
           !is_asked(front, op->volume)) {
        op->volume++;
    }
    if (op->volume == front->config.volume_count) {
        const enum mkv_status status = combined(item->session_answers);
        const bool is_part =
            item->request != MKV_NONE_U32 && front_request_at(front, item->request)->part;
        if (status == MKV_STATUS_OK && item->action == MKV_SESSION_EXIT_THINK && !is_part) {
            mkv_request_count_exit(&front->stats, item->reason, item->length);
        }
        mkv_front_op_done(front, op_index, status, MKV_MISS_NONE);
        return;
    }
    if (!mkv_front_credit_take(front, op_index)) {
        return;
    }
    struct mkv_effect *effect = mkv_front_op_ask(front, op_index, MKV_MESSAGE_SESSION);
    effect->message.session = item->session;
    effect->message.action = item->action;
}

void mkv_front_session_done(struct mkv_front *front, uint32_t op_index, enum mkv_status status) {
    struct front_op *op = front_op_at(front, op_index);
    front_item_at(front, op->item)->session_answers |= 1u << status;
    mkv_front_credit_give(front, op_index);
    if (op->doomed) {
        mkv_front_op_done(front, op_index, MKV_STATUS_DEADLINE, MKV_MISS_NONE);
        return;
    }
    op->volume++;
    op->state = FRONT_OP_GRANTED;
    mkv_front_session_run(front, op_index);
}
