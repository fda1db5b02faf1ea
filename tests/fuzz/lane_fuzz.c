/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a queue pair, wire/lane.h, under whatever order of inputs its header allows, and under
 * messages of a peer that keeps to nothing. What the lane says is held against a model that knows
 * of each work request, slot, transfer and exposure whose it is: everything ends once, nothing
 * early, within its bounds; and in the end every lane drains.
 *
 * A byte says what happens next, those behind it how; 0 and the end of the input are benign.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "wire/lane.h"

#define TAGS 48u /* of transfers, and of exposures */
#define BATCH_MAX 16u
#define MESSAGE_BYTES MKV_LANE_MESSAGE_BYTES_MIN
#define PAYLOAD_BYTES (MESSAGE_BYTES - MKV_LANE_HEADER_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum slot_state {
    SLOT_FREE = 0,
    SLOT_TAKEN,
    SLOT_SENT,
    SLOT_POSTED
};

/* A work request that was handed out and has not ended. */
struct posted {
    bool is_transfer;
    bool is_read;
    uint32_t slot;
    uint64_t tag;
};

struct model {
    struct mkv_lane *lane;
    const uint8_t *data;
    size_t size;
    size_t at;
    uint64_t now_ns;

    uint64_t first; /* ids of what is posted: first ... end - 1 */
    uint64_t end;
    struct posted posted[MKV_LANE_POSTED_MAX];
    enum slot_state slots[MKV_LANE_SENDS_MAX];
    bool transfer_is_under_way[TAGS]; /* from start to TRANSFER_DONE */
    bool transfer_is_posted[TAGS];
    bool transfer_is_ok[TAGS]; /* as it ended */
    bool has_failed;           /* a completion has */
    bool is_exposed[TAGS];

    uint32_t sends; /* numbers of messages, ours and the peer's */
    uint32_t receives;
    uint32_t receives_taken; /* of the stream, not given back */
    uint32_t receives_out;   /* came, and not told to the peer as given back */
    uint32_t sent_out;       /* sent, and not given back by the peer */
    uint32_t stops;
    bool is_stopped;
    bool last_receive_came;
    bool drain_is_over;
    uint32_t drains;
    uint32_t opens;
};

static uint8_t next(struct model *model) {
    return model->at < model->size ? model->data[model->at++] : 0;
}

static struct mkv_lane_config draw_config(struct model *model) {
    const bool is_server = next(model) % 2 == 1;
    const struct mkv_lane_config config = {
        .is_server = is_server,
        .epoch = 0x01020304,
        .message_bytes = MESSAGE_BYTES,
        .sends_max = MKV_LANE_SENDS_MIN + next(model) % (MKV_LANE_SENDS_MAX - 1),
        .credits = MKV_LANE_CREDITS_MIN + next(model) % 61,
        .receives = MKV_LANE_CREDITS_MIN + next(model) % 61,
        .transfers_max = is_server ? next(model) % (MKV_LANE_TRANSFERS_MAX + 1) : 0,
        .reads_max = is_server ? 1 + next(model) % MKV_LANE_READS_MAX : 0,
        .probe_ns = 1 + next(model) * 16ull,
        .silent_ns = 1 + next(model) * 64ull,
        .drain_ns = 1 + next(model) * 16ull,
        .awaits_last_receive = next(model) % 2 == 1,
    };
    return config;
}

/* ---- effects --------------------------------------------------------------------------------- */

/* What ends without ever having been posted, or with its completion. */
static void end_posted(struct model *model, const struct posted *posted, bool is_ok) {
    if (posted->is_transfer) {
        MKV_ASSERT(model->transfer_is_posted[posted->tag]);
        model->transfer_is_posted[posted->tag] = false;
        model->transfer_is_ok[posted->tag] = is_ok;
    } else {
        MKV_ASSERT(model->slots[posted->slot] == SLOT_POSTED);
        model->slots[posted->slot] = SLOT_FREE;
    }
}

static void end_below(struct model *model, uint64_t end, bool is_ok) {
    for (; model->first < end; model->first++) {
        end_posted(model, &model->posted[model->first % MKV_LANE_POSTED_MAX], is_ok);
    }
}

static void end_from(struct model *model, uint64_t from) {
    for (; model->end > from; model->end--) {
        end_posted(model, &model->posted[(model->end - 1) % MKV_LANE_POSTED_MAX], false);
    }
}

static void check_bounds(const struct model *model) {
    uint32_t reads = 0;
    uint32_t transfers = 0;
    for (uint64_t id = model->first; id < model->end; id++) {
        const struct posted *posted = &model->posted[id % MKV_LANE_POSTED_MAX];
        transfers += posted->is_transfer;
        reads += posted->is_transfer && posted->is_read;
    }
    const struct mkv_lane_config *config = &model->lane->config;
    MKV_ASSERT(reads <= config->reads_max);
    MKV_ASSERT(transfers <= config->transfers_max);
    MKV_ASSERT(model->end - model->first - transfers <= config->sends_max);
    MKV_ASSERT(model->sent_out <= config->credits);
    MKV_ASSERT(mkv_lane_posted_count(model->lane) == model->end - model->first);
}

static void take_send(struct model *model, const struct mkv_lane_effect *effect,
                      struct posted *posted) {
    const struct mkv_lane_header *header = &effect->header;
    MKV_ASSERT(effect->slot < model->lane->config.sends_max);
    posted->slot = effect->slot;
    /* The lane's own messages take a slot that nobody has. */
    const bool is_stream = header->kind == MKV_LANE_MESSAGE_STREAM;
    MKV_ASSERT(model->slots[effect->slot] == (is_stream ? SLOT_SENT : SLOT_FREE));
    model->slots[effect->slot] = SLOT_POSTED;
    MKV_ASSERT(header->number == model->sends);
    MKV_ASSERT(header->epoch == model->lane->config.epoch);
    MKV_ASSERT(header->bytes <= PAYLOAD_BYTES);
    MKV_ASSERT(header->credits <= model->receives_out - model->receives_taken);
    model->receives_out -= header->credits;
    model->sends++;
    model->sent_out++;
}

static void take_posted(struct model *model, const struct mkv_lane_effect *effect) {
    MKV_ASSERT(effect->work == model->end);
    MKV_ASSERT(effect->has_more || effect->is_signaled);
    struct posted *posted = &model->posted[model->end % MKV_LANE_POSTED_MAX];
    *posted = (struct posted){.is_transfer = effect->kind == MKV_LANE_EFFECT_TRANSFER};
    model->end++;
    if (posted->is_transfer) {
        posted->tag = effect->transfer.tag;
        posted->is_read = effect->transfer.is_read;
        MKV_ASSERT(model->transfer_is_under_way[posted->tag]);
        MKV_ASSERT(!model->transfer_is_posted[posted->tag]);
        MKV_ASSERT(!posted->is_read || effect->is_signaled);
        model->transfer_is_posted[posted->tag] = true;
    } else {
        take_send(model, effect, posted);
    }
}

static void take_effect(struct model *model, const struct mkv_lane_effect *effect) {
    MKV_ASSERT(model->drains == 0);
    switch (effect->kind) {
    case MKV_LANE_EFFECT_SEND:
    case MKV_LANE_EFFECT_TRANSFER:
        take_posted(model, effect);
        break;
    case MKV_LANE_EFFECT_OPENED:
        MKV_ASSERT(model->opens == 0);
        model->opens++;
        break;
    case MKV_LANE_EFFECT_TRANSFER_DONE:
        MKV_ASSERT(effect->tag < TAGS);
        MKV_ASSERT(model->transfer_is_under_way[effect->tag]);
        MKV_ASSERT(!model->transfer_is_posted[effect->tag]);
        MKV_ASSERT(effect->is_ok == model->transfer_is_ok[effect->tag]);
        model->transfer_is_under_way[effect->tag] = false;
        break;
    case MKV_LANE_EFFECT_STOP:
        MKV_ASSERT(model->stops == 0);
        MKV_ASSERT(effect->reason != MKV_LANE_REASON_NONE);
        model->stops++;
        break;
    case MKV_LANE_EFFECT_EXPOSURE_END:
        MKV_ASSERT(effect->tag < TAGS);
        MKV_ASSERT(model->is_stopped);
        MKV_ASSERT(model->is_exposed[effect->tag]);
        model->is_exposed[effect->tag] = false;
        break;
    case MKV_LANE_EFFECT_DESTROY:
        MKV_ASSERT(model->first < model->end);
        end_below(model, model->end, false);
        mkv_lane_destroyed(model->lane);
        break;
    case MKV_LANE_EFFECT_DRAINED:
        MKV_ASSERT(model->is_stopped);
        MKV_ASSERT(model->first == model->end);
        MKV_ASSERT(!model->lane->config.awaits_last_receive || model->last_receive_came ||
                   model->drain_is_over);
        model->drains++;
        break;
    }
}

static bool is_over(const struct model *model) {
    return model->lane->state == MKV_LANE_STOPPING || model->lane->state == MKV_LANE_DRAINED;
}

/* Those that are not used by a message on its way, waiting, or about to be written. */
static uint32_t credits(const struct model *model) {
    uint32_t used = model->sent_out;
    for (uint32_t slot = 0; slot < MKV_LANE_SENDS_MAX; slot++) {
        used += model->slots[slot] == SLOT_TAKEN || model->slots[slot] == SLOT_SENT;
    }
    MKV_ASSERT(used <= model->lane->config.credits);
    return model->lane->config.credits - used;
}

static void take_effects(struct model *model, uint32_t max) {
    struct mkv_lane_effect effects[BATCH_MAX];
    uint32_t count = 0;
    uint32_t total = 0;
    while ((count = mkv_lane_effects(model->lane, effects, max)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            const bool posts = effects[index].kind <= MKV_LANE_EFFECT_TRANSFER;
            MKV_ASSERT(!posts || !effects[index].has_more ||
                       (index + 1 < count && effects[index + 1].kind <= MKV_LANE_EFFECT_TRANSFER));
            take_effect(model, &effects[index]);
        }
        total += count;
    }
    MKV_ASSERT(total <= MKV_LANE_EFFECTS_MAX);
    check_bounds(model);
    /* The peer does not wait for what could be given back. */
    MKV_ASSERT(is_over(model) || model->lane->slots_free == 0 || credits(model) == 0 ||
               (model->receives_out - model->receives_taken) * 2 < model->lane->config.receives);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static void take_slot(struct model *model) {
    const uint32_t slot = mkv_lane_slot_take(model->lane);
    if (slot != MKV_NONE_U32) {
        MKV_ASSERT(slot < model->lane->config.sends_max);
        MKV_ASSERT(model->slots[slot] == SLOT_FREE);
        model->slots[slot] = SLOT_TAKEN;
        MKV_ASSERT(credits(model) >= 1);
        MKV_ASSERT(model->lane->slots_free >= 1);
    }
}

/* Those that wait to be handed out when a lane stops are free again. */
static void forget_waiting(struct model *model) {
    for (uint32_t slot = 0; slot < MKV_LANE_SENDS_MAX; slot++) {
        if (model->slots[slot] == SLOT_SENT) {
            model->slots[slot] = SLOT_FREE;
        }
    }
}

static void use_slot(struct model *model) {
    const uint32_t slot = next(model) % MKV_LANE_SENDS_MAX;
    const uint32_t bytes = next(model);
    if (model->slots[slot] != SLOT_TAKEN) {
        return;
    }
    if (bytes == 0) {
        mkv_lane_slot_give(model->lane, slot);
        model->slots[slot] = SLOT_FREE;
        return;
    }
    model->slots[slot] = is_over(model) ? SLOT_FREE : SLOT_SENT;
    mkv_lane_send(model->lane, slot, bytes * 32 > PAYLOAD_BYTES ? PAYLOAD_BYTES : bytes * 32,
                  model->now_ns);
}

static void start_transfer(struct model *model) {
    const uint8_t choice = next(model);
    const uint64_t tag = next(model) % TAGS;
    const bool is_read = choice % 2 == 0;
    if (model->transfer_is_under_way[tag] || !mkv_lane_transfer_room(model->lane, is_read)) {
        return;
    }
    model->transfer_is_under_way[tag] = true;
    model->transfer_is_ok[tag] = false;
    const struct mkv_lane_transfer transfer = {
        .is_read = is_read,
        .tag = tag,
        .remote_address = tag * 4096,
        .bytes = 1u + choice,
    };
    mkv_lane_transfer(model->lane, &transfer, model->now_ns);
}

static void expose(struct model *model) {
    const uint64_t tag = next(model) % TAGS;
    if (model->is_exposed[tag]) {
        /* False when its end is due, which then is told. */
        if (mkv_lane_unexpose(model->lane, tag)) {
            model->is_exposed[tag] = false;
        } else {
            MKV_ASSERT(model->is_stopped);
        }
        MKV_ASSERT(!mkv_lane_unexpose(model->lane, tag));
    } else {
        model->is_exposed[tag] = mkv_lane_expose(model->lane, tag);
        MKV_ASSERT(model->is_exposed[tag] == (model->lane->state == MKV_LANE_OPEN));
    }
}

static void complete(struct model *model) {
    const uint8_t choice = next(model);
    const uint8_t status = next(model);
    if (model->first == model->end) {
        return;
    }
    const struct mkv_lane_completion completion = {
        .work = model->first + choice % (model->end - model->first),
        .status = (enum mkv_lane_status)(status < 224 ? 0 : status % MKV_LANE_STATUS_COUNT),
        .vendor = choice,
    };
    const bool is_ok = completion.status == MKV_LANE_SUCCESS && !model->has_failed;
    const bool earlier_ok = completion.status != MKV_LANE_FLUSHED && !model->has_failed;
    end_below(model, completion.work, earlier_ok);
    end_below(model, completion.work + 1, is_ok);
    model->has_failed = model->has_failed || completion.status != MKV_LANE_SUCCESS;
    mkv_lane_completed(model->lane, &completion, model->now_ns);
}

static void refuse_posted(struct model *model) {
    const uint8_t choice = next(model);
    if (model->first == model->end) {
        return;
    }
    const uint64_t work = model->first + choice % (model->end - model->first);
    end_from(model, work);
    mkv_lane_not_posted(model->lane, work, model->now_ns);
}

/* In a block of exactly its size. */
static void receive(struct model *model, const uint8_t *bytes, uint32_t byte_count) {
    if (model->lane->state == MKV_LANE_IDLE) {
        return;
    }
    uint8_t *message = malloc(byte_count > 0 ? byte_count : 1);
    if (message == NULL) {
        abort();
    }
    memcpy(message, bytes, byte_count);
    const bool was_over = is_over(model);
    const bool is_stream = mkv_lane_received(model->lane, message, byte_count, model->now_ns);
    MKV_ASSERT(!was_over || !is_stream);
    if (!was_over && model->lane->reason != MKV_LANE_REASON_PROTOCOL) {
        /* It was taken for a right one. */
        MKV_ASSERT(byte_count >= MKV_LANE_HEADER_BYTES);
        MKV_ASSERT(byte_count <= MESSAGE_BYTES);
        MKV_ASSERT(mkv_load_u32(message) == model->lane->config.epoch);
        MKV_ASSERT(mkv_load_u32(message + 4) == model->receives);
        MKV_ASSERT(mkv_load_u16(message + 10) <= model->sent_out);
        model->sent_out -= mkv_load_u16(message + 10);
        model->receives++;
        model->receives_out++;
        model->receives_taken += is_stream;
        MKV_ASSERT(model->receives_out <= model->lane->config.receives);
    }
    free(message);
}

/* A message of the peer: right, but for what the input changes of it. */
static void receive_message(struct model *model) {
    static uint8_t message[MKV_LANE_MESSAGE_BYTES_MAX];
    const uint8_t kind = next(model);
    const uint8_t credits = next(model);
    const uint8_t length = next(model);
    const uint8_t change = next(model);
    struct mkv_lane_header header = {
        .epoch = model->lane->config.epoch,
        .number = model->receives,
        .kind = (enum mkv_lane_message)(1 + kind % 5),
        .credits = credits < 128 ? model->sent_out : credits % (MKV_LANE_CREDITS_MAX + 1),
    };
    const bool is_probe =
        header.kind == MKV_LANE_MESSAGE_PROBE || header.kind == MKV_LANE_MESSAGE_PROBE_ANSWER;
    if (is_probe) {
        header.bytes = PAYLOAD_BYTES;
    } else if (header.kind == MKV_LANE_MESSAGE_STREAM) {
        header.bytes = 1u + length * 32u;
    }
    uint32_t byte_count = MKV_LANE_HEADER_BYTES + header.bytes;
    mkv_lane_header_encode(&header, message);
    mkv_lane_probe_fill(message + MKV_LANE_HEADER_BYTES, header.bytes);
    if (change >= 192) {
        message[change % 64] ^= length;
    } else if (change >= 176) {
        byte_count = change % 16 * MKV_LANE_MESSAGE_BYTES_MAX / 16 + length;
    }
    receive(model, message, byte_count);
}

static void receive_bytes(struct model *model) {
    const size_t wanted = next(model);
    const size_t left = model->size - model->at;
    const uint32_t byte_count = (uint32_t)(wanted < left ? wanted : left);
    receive(model, model->data + model->at, byte_count);
    model->at += byte_count;
}

static void give_back(struct model *model) {
    if (model->receives_taken > 0) {
        model->receives_taken--;
        mkv_lane_given_back(model->lane, model->now_ns);
    }
}

static void fail_receive(struct model *model) {
    const struct mkv_lane_completion completion = {
        .status = (enum mkv_lane_status)(1 + next(model) % (MKV_LANE_STATUS_COUNT - 1)),
    };
    mkv_lane_receive_failed(model->lane, &completion, model->now_ns);
}

static void tell_event(struct model *model) {
    const enum mkv_lane_event event = (enum mkv_lane_event)(1 + next(model) % 5);
    model->last_receive_came = model->last_receive_came || event == MKV_LANE_EVENT_LAST_RECEIVE;
    mkv_lane_event(model->lane, event, model->now_ns);
}

static void stopped(struct model *model) {
    if (model->stops == 1 && !model->is_stopped) {
        model->is_stopped = true;
        mkv_lane_stopped(model->lane, model->now_ns);
    }
}

static void time_passes(struct model *model) {
    const uint64_t timer_ns = mkv_lane_timer_ns(model->lane);
    model->now_ns += next(model);
    const enum mkv_lane_state state = model->lane->state;
    model->drain_is_over = model->drain_is_over || (model->is_stopped && model->now_ns >= timer_ns);
    mkv_lane_time(model->lane, model->now_ns);
    MKV_ASSERT(model->now_ns >= timer_ns || model->lane->state == state);
    /* What was due is not due again. */
    MKV_ASSERT(mkv_lane_timer_ns(model->lane) > model->now_ns);
}

static void connect_lane(struct model *model) {
    if (model->lane->state == MKV_LANE_IDLE) {
        mkv_lane_connected(model->lane, model->now_ns);
    }
}

static void step(struct model *model) {
    switch (next(model) % 18) {
    case 0:
    case 1:
        take_effects(model, 1 + next(model) % BATCH_MAX);
        break;
    case 2:
        connect_lane(model);
        break;
    case 3:
        take_slot(model);
        break;
    case 4:
        use_slot(model);
        break;
    case 5:
        start_transfer(model);
        break;
    case 6:
        expose(model);
        break;
    case 7:
    case 8:
        complete(model);
        break;
    case 9:
    case 10:
        receive_message(model);
        break;
    case 11:
        give_back(model);
        break;
    case 12:
        time_passes(model);
        break;
    case 13:
        stopped(model);
        break;
    case 14:
        receive_bytes(model);
        break;
    case 15:
        fail_receive(model);
        break;
    case 16:
        tell_event(model);
        break;
    default:
        if (next(model) % 2 == 0) {
            refuse_posted(model);
        } else {
            mkv_lane_stop(model->lane,
                          next(model) % 2 == 0 ? MKV_LANE_REASON_CLOSED : MKV_LANE_REASON_PEER,
                          model->now_ns);
        }
        break;
    }
    if (is_over(model)) {
        forget_waiting(model);
    }
}

/* Whatever has happened, it drains. */
static void drain(struct model *model) {
    mkv_lane_stop(model->lane, MKV_LANE_REASON_PEER, model->now_ns);
    forget_waiting(model);
    take_effects(model, 1 + next(model) % BATCH_MAX);
    stopped(model);
    for (bool flushes = next(model) % 2 == 0; flushes && model->first < model->end;) {
        const struct mkv_lane_completion completion = {
            .work = model->first,
            .status = MKV_LANE_FLUSHED,
        };
        end_below(model, completion.work + 1, false);
        mkv_lane_completed(model->lane, &completion, model->now_ns);
    }
    take_effects(model, BATCH_MAX);
    if (model->drains == 0) {
        model->now_ns = mkv_lane_timer_ns(model->lane);
        MKV_ASSERT(model->now_ns != UINT64_MAX);
        model->drain_is_over = true;
        mkv_lane_time(model->lane, model->now_ns);
        take_effects(model, BATCH_MAX);
    }
    MKV_ASSERT(model->stops == 1);
    MKV_ASSERT(model->drains == 1);
    uint32_t slots = 0;
    for (uint32_t slot = 0; slot < MKV_LANE_SENDS_MAX; slot++) {
        MKV_ASSERT(model->slots[slot] == SLOT_FREE || model->slots[slot] == SLOT_TAKEN);
        slots += model->slots[slot] == SLOT_TAKEN;
    }
    MKV_ASSERT(model->lane->slots_free + slots == model->lane->config.sends_max);
    for (uint32_t tag = 0; tag < TAGS; tag++) {
        MKV_ASSERT(!model->transfer_is_under_way[tag]);
        MKV_ASSERT(!model->is_exposed[tag]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct model model;
    memset(&model, 0, sizeof model);
    model.data = data;
    model.size = size;
    model.lane = malloc(sizeof *model.lane);
    if (model.lane == NULL) {
        abort();
    }
    struct mkv_lane_config config = draw_config(&model);
    mkv_lane_init(model.lane, &config);
    connect_lane(&model);
    while (model.at < model.size) {
        step(&model);
    }
    drain(&model);
    free(model.lane);
    return 0;
}
