/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two lanes back to back, over queue pairs that do what those of a device do and nothing kinder:
 * what is independent happens in any order, completions of the same queue in theirs, an unsignalled
 * success is never told, a work request reads and writes memory when it is carried out and not
 * before, without a doorbell nothing is, and behind an error everything is flushed. The owner of
 * each byte of memory is known, so that a transfer into what is somebody else's is seen.
 *
 * A client exposes regions; the server reads and writes them and answers in the stream. Messages
 * are numbered, of any size, and may carry the answer to a request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "tests/unit/wire/random.h"
#include "wire/lane.h"

#define MESSAGE_BYTES 8192u
#define REGIONS 24u
#define REGION_BYTES 16u
#define SEEDS 600u
#define STEPS 1200u
/* Steps in which all that was begun ends, when nothing new is. */
#define STEPS_TO_END 6000u
/* Of the other side's news, and then of what is not told at all; a step is 1 ns. */
#define STEPS_TO_HEAR 2000u
#define DRAIN_NS 2000u

enum {
    CLIENT = 0,
    SERVER = 1
};

struct message {
    uint8_t bytes[MESSAGE_BYTES];
    uint32_t byte_count;
};

struct end {
    struct mkv_lane lane;
    uint8_t slots[MKV_LANE_SENDS_MAX][MESSAGE_BYTES];

    bool is_in_error;
    struct mkv_lane_effect queue[MKV_LANE_POSTED_MAX]; /* the send queue */
    uint32_t queue_count;
    uint32_t rung_count; /* of them those that the device knows of */
    struct mkv_lane_completion completions[MKV_LANE_POSTED_MAX];
    uint32_t completion_count;
    struct message messages[MKV_LANE_CREDITS_MAX]; /* received, not polled yet */
    uint32_t message_count;
    uint32_t receives_posted;
    uint32_t flushed_receives; /* to be polled */

    uint64_t sent;       /* messages of the stream */
    uint64_t taken_up;   /* of the peer's */
    uint32_t given_back; /* taken up, and not yet told */
    bool is_opened;
    uint32_t stops;
    uint32_t drains;
};

enum region_use {
    REGION_IDLE = 0,
    REGION_ASKED,   /* exposed, the server may transfer */
    REGION_WRITING, /* WRITEs are posted; the answer may go behind them */
    REGION_READING,
    REGION_ANSWERED, /* the answer is on its way */
};

struct region {
    enum region_use use;
    bool is_exposed; /* the peer's, as the client's lane has it */
    uint8_t memory[REGION_BYTES];
    uint8_t server_memory[REGION_BYTES];
    bool server_is_busy; /* a transfer of it has no end yet */
    uint8_t turn;
};

struct pair {
    uint64_t random;
    uint64_t now_ns;
    struct end ends[2];
    struct region regions[REGIONS];
    bool may_fail; /* devices do */
    bool has_failed;
    bool is_ending; /* nothing new begins */
    uint64_t transfers;
    uint32_t destroyed; /* queue pairs whose completions did not come */
};

static struct pair pair;

static uint64_t draw(uint64_t below) {
    return random_next(&pair.random) % below;
}

static bool strikes(uint64_t one_in) {
    return draw(one_in) == 0;
}

/* ---- devices --------------------------------------------------------------------------------- */

static void complete(struct end *end, const struct mkv_lane_effect *effect,
                     enum mkv_lane_status status) {
    if (effect->is_signaled || status != MKV_LANE_SUCCESS) {
        assert_true(end->completion_count < MKV_LANE_POSTED_MAX);
        end->completions[end->completion_count++] = (struct mkv_lane_completion){
            .work = effect->work,
            .status = status,
            .vendor = status == MKV_LANE_SUCCESS ? 0 : 0x81,
        };
    }
}

static struct mkv_lane_effect pop_work(struct end *end) {
    const struct mkv_lane_effect effect = end->queue[0];
    assert_true(end->rung_count > 0);
    end->queue_count--;
    end->rung_count--;
    memmove(end->queue, end->queue + 1, end->queue_count * sizeof end->queue[0]);
    return effect;
}

static void put_in_error(struct end *end) {
    if (!end->is_in_error) {
        end->is_in_error = true;
        end->flushed_receives = end->receives_posted;
        end->receives_posted = 0;
    }
}

static enum mkv_lane_status carry_out_send(struct end *end, struct end *peer,
                                           const struct mkv_lane_effect *effect) {
    const uint32_t byte_count = MKV_LANE_HEADER_BYTES + effect->header.bytes;
    assert_true(byte_count <= MESSAGE_BYTES);
    /* L3: no message without a receive, ever. */
    assert_true(peer->receives_posted > 0);
    peer->receives_posted--;
    struct message *message = &peer->messages[peer->message_count++];
    memcpy(message->bytes, end->slots[effect->slot], byte_count);
    message->byte_count = byte_count;
    return MKV_LANE_SUCCESS;
}

static enum mkv_lane_status carry_out_transfer(const struct mkv_lane_effect *effect) {
    const struct mkv_lane_transfer *transfer = &effect->transfer;
    struct region *region = &pair.regions[transfer->remote_address];
    assert_int_equal(transfer->tag, transfer->remote_address);
    assert_true(region->is_exposed);     /* L2 of the client */
    assert_true(region->server_is_busy); /* L2 of the server */
    if (transfer->is_read) {
        memcpy(region->server_memory, region->memory, REGION_BYTES);
    } else {
        memcpy(region->memory, region->server_memory, REGION_BYTES);
    }
    return MKV_LANE_SUCCESS;
}

static void carry_out(struct end *end, struct end *peer) {
    if (end->rung_count == 0) {
        return;
    }
    const struct mkv_lane_effect effect = pop_work(end);
    enum mkv_lane_status status = MKV_LANE_SUCCESS;
    if (end->is_in_error) {
        status = MKV_LANE_FLUSHED;
    } else if (peer->is_in_error || peer->lane.state == MKV_LANE_IDLE) {
        status = MKV_LANE_RETRY_EXCEEDED;
    } else if (pair.may_fail && strikes(150)) {
        status = (enum mkv_lane_status)(1 + draw(MKV_LANE_STATUS_COUNT - 1));
        pair.has_failed = true;
    } else if (effect.kind == MKV_LANE_EFFECT_SEND) {
        status = carry_out_send(end, peer, &effect);
    } else {
        status = carry_out_transfer(&effect);
    }
    if (status != MKV_LANE_SUCCESS) {
        put_in_error(end);
    }
    complete(end, &effect, status);
}

/* ---- the driver of an end -------------------------------------------------------------------- */

/* L4 */
static void check_bounds(const struct end *end) {
    uint32_t reads = 0;
    uint32_t sends = 0;
    for (uint32_t index = 0; index < end->queue_count; index++) {
        const struct mkv_lane_effect *effect = &end->queue[index];
        sends += effect->kind == MKV_LANE_EFFECT_SEND;
        reads += effect->kind == MKV_LANE_EFFECT_TRANSFER && effect->transfer.is_read;
    }
    assert_true(sends <= end->lane.config.sends_max);
    assert_true(end->queue_count - sends <= end->lane.config.transfers_max);
    assert_true(reads <= end->lane.config.reads_max);
}

static void post(struct end *end, const struct mkv_lane_effect *effect) {
    assert_true(end->queue_count < MKV_LANE_POSTED_MAX);
    end->queue[end->queue_count++] = *effect;
    check_bounds(end);
    if (effect->kind == MKV_LANE_EFFECT_SEND) {
        uint8_t *slot = end->slots[effect->slot];
        mkv_lane_header_encode(&effect->header, slot);
        if (effect->header.kind == MKV_LANE_MESSAGE_PROBE ||
            effect->header.kind == MKV_LANE_MESSAGE_PROBE_ANSWER) {
            mkv_lane_probe_fill(slot + MKV_LANE_HEADER_BYTES, effect->header.bytes);
        }
    }
    if (!effect->has_more) {
        assert_true(effect->is_signaled);
        end->rung_count = end->queue_count;
    }
}

static void end_transfer(const struct end *server, const struct mkv_lane_effect *effect) {
    struct region *region = &pair.regions[effect->tag];
    assert_true(region->server_is_busy);
    for (uint32_t index = 0; index < server->queue_count; index++) { /* L2 */
        const struct mkv_lane_effect *posted = &server->queue[index];
        assert_false(posted->kind == MKV_LANE_EFFECT_TRANSFER &&
                     posted->transfer.tag == effect->tag);
    }
    region->server_is_busy = false;
    if (effect->is_ok && region->use == REGION_READING) {
        assert_int_equal(region->server_memory[0], region->turn);
    }
}

static void end_exposure(const struct end *client, uint64_t tag) {
    struct region *region = &pair.regions[tag];
    assert_true(client->is_in_error); /* L2 */
    assert_true(region->is_exposed);
    region->is_exposed = false;
}

static void apply(struct end *end, const struct mkv_lane_effect *effect) {
    assert_int_equal(end->drains, 0); /* L5: nothing behind it */
    switch (effect->kind) {
    case MKV_LANE_EFFECT_SEND:
    case MKV_LANE_EFFECT_TRANSFER:
        post(end, effect);
        break;
    case MKV_LANE_EFFECT_OPENED:
        assert_false(end->is_opened);
        end->is_opened = true;
        break;
    case MKV_LANE_EFFECT_TRANSFER_DONE:
        end_transfer(end, effect);
        break;
    case MKV_LANE_EFFECT_STOP:
        end->stops++;
        put_in_error(end);
        mkv_lane_stopped(&end->lane, pair.now_ns);
        break;
    case MKV_LANE_EFFECT_EXPOSURE_END:
        end_exposure(end, effect->tag);
        break;
    case MKV_LANE_EFFECT_DESTROY:
        end->queue_count = 0;
        end->rung_count = 0;
        end->completion_count = 0;
        end->message_count = 0;
        end->flushed_receives = 0;
        mkv_lane_destroyed(&end->lane);
        pair.destroyed++;
        break;
    case MKV_LANE_EFFECT_DRAINED:
        end->drains++;
        assert_int_equal(end->queue_count, 0);
        assert_int_equal(end->completion_count, 0);
        assert_true(!end->lane.config.awaits_last_receive || end->lane.drain_is_over ||
                    (end->message_count == 0 && end->flushed_receives == 0));
        break;
    }
}

static bool is_posted(const struct mkv_lane_effect *effect) {
    return effect->kind == MKV_LANE_EFFECT_SEND || effect->kind == MKV_LANE_EFFECT_TRANSFER;
}

static void take_effects(struct end *end, struct end *peer) {
    struct mkv_lane_effect effects[8];
    uint32_t count = 0;
    bool is_refused = false;
    const uint32_t max = 1 + (uint32_t)draw(8);
    while ((count = mkv_lane_effects(&end->lane, effects, max)) > 0) {
        assert_true(count <= max);
        is_refused = false;
        for (uint32_t index = 0; index < count; index++) {
            const bool posts = is_posted(&effects[index]);
            /* What a doorbell waits for does come. */
            assert_true(!posts || !effects[index].has_more ||
                        (index + 1 < count && is_posted(&effects[index + 1])));
            if (posts && !is_refused && pair.may_fail && strikes(900)) {
                /* The device takes no more; what it took before is its own. */
                is_refused = true;
                pair.has_failed = true;
                end->rung_count = end->queue_count;
                mkv_lane_not_posted(&end->lane, effects[index].work, pair.now_ns);
                while (strikes(2)) {
                    carry_out(end, peer);
                }
            }
            if (!posts || !is_refused) {
                apply(end, &effects[index]);
            }
        }
    }
}

static void poll_completion(struct end *end) {
    if (end->completion_count > 0) {
        const struct mkv_lane_completion completion = end->completions[0];
        end->completion_count--;
        memmove(end->completions, end->completions + 1,
                end->completion_count * sizeof end->completions[0]);
        mkv_lane_completed(&end->lane, &completion, pair.now_ns);
    }
}

/* ---- the application ------------------------------------------------------------------------- */

/* A message: 8 its number | 4 region that is answered and 1, or 0 | bytes of its number. */
static void send_message(struct end *end, uint32_t slot, uint32_t answered) {
    uint8_t *payload = end->slots[slot] + MKV_LANE_HEADER_BYTES;
    const uint32_t byte_count =
        strikes(50) ? MESSAGE_BYTES - MKV_LANE_HEADER_BYTES : 12 + (uint32_t)draw(40);
    mkv_store_u64(payload, end->sent);
    mkv_store_u32(payload + 8, answered);
    memset(payload + 12, (int)(end->sent % 256), byte_count - 12);
    end->sent++;
    mkv_lane_send(&end->lane, slot, byte_count, pair.now_ns);
}

static void take_up(struct end *end, const uint8_t *payload, uint32_t byte_count) {
    assert_int_equal(mkv_load_u64(payload), end->taken_up);
    for (uint32_t offset = 12; offset < byte_count; offset++) {
        assert_int_equal(payload[offset], end->taken_up % 256);
    }
    end->taken_up++;
    const uint32_t answered = mkv_load_u32(payload + 8);
    if (answered > 0) {
        struct region *region = &pair.regions[answered - 1];
        assert_int_equal(region->use, REGION_ANSWERED);
        assert_int_equal(region->memory[0], region->turn);
        assert_true(mkv_lane_unexpose(&end->lane, answered - 1));
        assert_false(mkv_lane_unexpose(&end->lane, answered - 1));
        region->is_exposed = false;
        region->use = REGION_IDLE;
    }
}

static void poll_receive(struct end *end) {
    if (end->message_count > 0) {
        const struct message *message = &end->messages[0];
        if (mkv_lane_received(&end->lane, message->bytes, message->byte_count, pair.now_ns)) {
            take_up(end, message->bytes + MKV_LANE_HEADER_BYTES,
                    message->byte_count - MKV_LANE_HEADER_BYTES);
            end->given_back++;
        } else if (!end->is_in_error) {
            end->receives_posted++;
        }
        end->message_count--;
        memmove(end->messages, end->messages + 1, end->message_count * sizeof end->messages[0]);
    } else if (end->flushed_receives > 0) {
        end->flushed_receives--;
        const struct mkv_lane_completion completion = {
            .status = MKV_LANE_FLUSHED,
            .vendor = 0xdead,
        };
        mkv_lane_receive_failed(&end->lane, &completion, pair.now_ns);
    } else if (end->is_in_error && !end->lane.last_receive_came) {
        mkv_lane_event(&end->lane, MKV_LANE_EVENT_LAST_RECEIVE, pair.now_ns);
    }
}

static void give_back(struct end *end) {
    if (end->given_back > 0) {
        end->given_back--;
        end->receives_posted += !end->is_in_error;
        mkv_lane_given_back(&end->lane, pair.now_ns);
    }
}

static void begin_request(struct end *client) {
    const uint32_t index = (uint32_t)draw(REGIONS);
    struct region *region = &pair.regions[index];
    if (region->use == REGION_IDLE && mkv_lane_expose(&client->lane, index)) {
        region->use = REGION_ASKED;
        region->is_exposed = true;
        region->turn++;
        region->memory[0] = region->turn;
    }
}

static bool transfer(struct end *server, uint32_t index, bool is_read) {
    struct region *region = &pair.regions[index];
    if (region->server_is_busy || !mkv_lane_transfer_room(&server->lane, is_read)) {
        return false;
    }
    const struct mkv_lane_transfer transfer = {
        .is_read = is_read,
        .tag = index,
        .remote_address = index,
        .remote_key = 1,
        .local_offset = index,
        .bytes = REGION_BYTES,
    };
    region->server_is_busy = true;
    mkv_lane_transfer(&server->lane, &transfer, pair.now_ns);
    pair.transfers++;
    return true;
}

static void serve_request(struct end *server) {
    const uint32_t index = (uint32_t)draw(REGIONS);
    struct region *region = &pair.regions[index];
    if (region->use == REGION_ASKED) {
        const bool is_read = strikes(2);
        if (!is_read && !region->server_is_busy) {
            region->server_memory[0] = (uint8_t)(region->turn + 1);
        }
        if (transfer(server, index, is_read)) {
            region->use = is_read ? REGION_READING : REGION_WRITING;
            region->turn += !is_read;
        }
    }
    /* An answer may go behind a WRITE at once; behind a READ when its bytes are here. */
    const bool is_due =
        region->use == REGION_WRITING || (region->use == REGION_READING && !region->server_is_busy);
    if (is_due && (region->use == REGION_READING || strikes(2))) {
        const uint32_t slot = mkv_lane_slot_take(&server->lane);
        if (slot != MKV_NONE_U32) {
            region->use = REGION_ANSWERED;
            send_message(server, slot, index + 1);
        }
    }
}

static void say_something(struct end *end) {
    const uint32_t slot = mkv_lane_slot_take(&end->lane);
    if (slot != MKV_NONE_U32) {
        if (strikes(30)) {
            mkv_lane_slot_give(&end->lane, slot);
        } else {
            send_message(end, slot, 0);
        }
    }
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void begin(uint64_t seed, bool may_fail) {
    memset(&pair, 0, sizeof pair);
    pair.random = seed;
    pair.may_fail = may_fail;
    const uint32_t client_receives = 4 + (uint32_t)draw(12);
    const uint32_t server_receives = 4 + (uint32_t)draw(12);
    for (int side = CLIENT; side <= SERVER; side++) {
        struct end *end = &pair.ends[side];
        const bool is_server = side == SERVER;
        const struct mkv_lane_config config = {
            .is_server = is_server,
            .epoch = (uint32_t)seed,
            .message_bytes = MESSAGE_BYTES,
            .sends_max = 2 + (uint32_t)draw(15),
            .credits = is_server ? client_receives : server_receives,
            .receives = is_server ? server_receives : client_receives,
            .transfers_max = is_server ? 1 + (uint32_t)draw(16) : 0,
            .reads_max = is_server ? 1 + (uint32_t)draw(4) : 0,
            .probe_ns = UINT64_MAX,
            .silent_ns = UINT64_MAX,
            .drain_ns = DRAIN_NS,
            .awaits_last_receive = is_server,
        };
        end->receives_posted = config.receives;
        mkv_lane_init(&end->lane, &config);
    }
    mkv_lane_connected(&pair.ends[SERVER].lane, 0);
    mkv_lane_connected(&pair.ends[CLIENT].lane, 0);
}

static void step(void) {
    const uint64_t side = draw(2);
    struct end *end = &pair.ends[side];
    pair.now_ns++;
    mkv_lane_time(&end->lane, pair.now_ns);
    switch (draw(pair.is_ending ? 6 : 9)) {
    case 0:
        carry_out(end, &pair.ends[1 - side]);
        break;
    case 1:
        poll_completion(end);
        break;
    case 2:
        poll_receive(end);
        break;
    case 3:
        give_back(end);
        break;
    case 4:
        take_effects(end, &pair.ends[1 - side]);
        break;
    case 5:
        serve_request(&pair.ends[SERVER]);
        break;
    case 6:
        begin_request(&pair.ends[CLIENT]);
        break;
    default:
        say_something(end);
        break;
    }
    if (pair.may_fail && strikes(2500)) {
        pair.has_failed = true;
        mkv_lane_event(&end->lane, (enum mkv_lane_event)(1 + draw(4)), pair.now_ns);
    }
}

static bool has_work(const struct end *end) {
    return end->queue_count > 0 || end->completion_count > 0 || end->message_count > 0 ||
           end->given_back > 0 || end->lane.done_count > 0 || end->lane.handed < end->lane.tail;
}

static bool is_quiet(void) {
    for (uint32_t index = 0; index < REGIONS; index++) {
        if (pair.regions[index].use != REGION_IDLE || pair.regions[index].server_is_busy) {
            return false;
        }
    }
    return !has_work(&pair.ends[CLIENT]) && !has_work(&pair.ends[SERVER]);
}

static void check_end_of(const struct end *end, const struct end *peer) {
    const struct mkv_lane *lane = &end->lane;
    assert_int_equal(end->sent, peer->taken_up);
    assert_int_equal(lane->slots_free, lane->config.sends_max);
    assert_int_equal(lane->transfers_used, 0);
    assert_int_equal(lane->reads_posted, 0);
    assert_int_equal(lane->exposure_count, 0);
    /* Every receive is posted, given back, or told of soon. */
    assert_int_equal(lane->credits + lane->messages_out, lane->config.credits);
    assert_int_equal(lane->messages_out, peer->lane.receives_owed);
    assert_int_equal(peer->lane.receives_owed, peer->lane.receives_held);
    assert_int_equal(lane->counters.errors_total, 0);
}

static bool are_drained(void) {
    return pair.ends[CLIENT].drains + pair.ends[SERVER].drains == 2;
}

/* One side stops; the other hears of it from its peer, from its device, or from the connection that
 * both were made over. */
static void drain(int stopped, enum mkv_lane_reason reason) {
    pair.may_fail = false;
    pair.is_ending = true;
    mkv_lane_stop(&pair.ends[stopped].lane, reason, pair.now_ns);
    uint32_t steps = 0;
    while (!are_drained()) {
        assert_true(steps++ < STEPS_TO_END);
        if (steps == STEPS_TO_HEAR) {
            mkv_lane_event(&pair.ends[1 - stopped].lane, MKV_LANE_EVENT_PEER_GONE, pair.now_ns);
        }
        step();
    }
    for (int side = CLIENT; side <= SERVER; side++) {
        assert_int_equal(pair.ends[side].stops, 1);
        assert_int_equal(pair.ends[side].lane.slots_free, pair.ends[side].lane.config.sends_max);
    }
    for (uint32_t index = 0; index < REGIONS; index++) {
        assert_false(pair.regions[index].server_is_busy);
        assert_false(pair.regions[index].is_exposed);
    }
}

static void test_pair__any_order__all_arrives_in_order_and_all_comes_back(void **state) {
    (void)state;
    uint64_t sent = 0;
    uint64_t transfers = 0;
    uint64_t credit_messages = 0;
    uint64_t waits = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed, false);
        for (uint32_t count = 0; count < STEPS; count++) {
            step();
        }
        pair.is_ending = true;
        uint32_t steps = 0;
        while (!is_quiet()) {
            assert_true(steps++ < STEPS_TO_END);
            step();
        }
        const struct end *client = &pair.ends[CLIENT];
        const struct end *server = &pair.ends[SERVER];
        check_end_of(client, server);
        check_end_of(server, client);
        sent += client->sent + server->sent;
        transfers += pair.transfers;
        credit_messages += client->lane.counters.credit_messages_total;
        waits += client->lane.counters.credit_waits_total;
        drain((int)(seed % 2), MKV_LANE_REASON_CLOSED);
        assert_int_equal(pair.destroyed, 0);
        assert_int_equal(pair.ends[seed % 2].lane.reason, MKV_LANE_REASON_CLOSED);
    }
    /* It was tried. */
    assert_true(sent > SEEDS * 50);
    assert_true(transfers > SEEDS * 10);
    assert_true(credit_messages > SEEDS);
    assert_true(waits > SEEDS);
}

static void test_pair__devices_fail__each_buffer_comes_back_once_and_none_early(void **state) {
    (void)state;
    uint32_t failed = 0;
    uint32_t destroyed = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed, true);
        for (uint32_t count = 0; count < STEPS && !are_drained(); count++) {
            step();
        }
        failed += pair.has_failed;
        drain((int)(seed % 2), MKV_LANE_REASON_PEER);
        destroyed += pair.destroyed;
    }
    assert_true(failed > SEEDS / 2);
    assert_true(destroyed > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair__any_order__all_arrives_in_order_and_all_comes_back),
        cmocka_unit_test(test_pair__devices_fail__each_buffer_comes_back_once_and_none_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
