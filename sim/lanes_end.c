/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of a lane, as the daemon and the library have one: it makes a queue pair, tells the
 * lane what completes and comes, and takes up and sends the bytes of its stream.
 */
#include <string.h>

#include "core/bytes.h"
#include "sim/failure.h"
#include "sim/lanes_world.h"

#define TAKE_LATER_ONE_IN 8u
#define TAKE_LATER_NS 40000u
#define GIVE_ONE_IN 16u
#define PUMP_LATER_ONE_IN 8u
#define PUMP_LATER_NS 10000u
#define SILENT_LATE_NS 1000000u

static uint8_t side_of(const struct lanes_end *end) {
    return end->node == 0 ? 1 : 0;
}

struct lanes_end *mkv_lanes_end_of(struct lanes_world *world, uint32_t node, uint32_t number) {
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        struct lanes_end *end = &world->ends[index];
        if (end->is_used && !end->is_dead_pair && end->node == node && end->number == number) {
            return end;
        }
    }
    return NULL;
}

struct lanes_end *mkv_lanes_end_of_serial(struct lanes_world *world, uint64_t serial) {
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        if (world->ends[index].is_used && world->ends[index].serial == serial) {
            return &world->ends[index];
        }
    }
    return NULL;
}

/* ---- making one ------------------------------------------------------------------------------ */

static bool take_area(struct lanes_world *world, struct lanes_end *end) {
    const struct mkv_shape *shape = world->shape;
    bool *used = world->server_area_is_used;
    uint32_t count = MKV_LANES_ENDS_EACH * world->client_count;
    if (end->node != 0) {
        used = world->clients[end->node - 1].area_is_used;
        count = MKV_LANES_ENDS_EACH;
    }
    uint32_t area = 0;
    while (area < count && used[area]) {
        area++;
    }
    if (area == count) {
        return false;
    }
    used[area] = true;
    end->area = area;
    if (end->node == 0) {
        end->slots_first = world->server_slots_first + area * shape->lane_sends;
    } else {
        const uint32_t first = world->clients[end->node - 1].area_first;
        end->slots_first = first + area * (shape->lane_sends + shape->lane_receives);
        end->receives_first = end->slots_first + shape->lane_sends;
    }
    return true;
}

static void give_area(struct lanes_world *world, const struct lanes_end *end) {
    bool *used =
        end->node == 0 ? world->server_area_is_used : world->clients[end->node - 1].area_is_used;
    MKV_ASSERT(used[end->area]);
    used[end->area] = false;
}

void mkv_lanes_repost(struct lanes_world *world, struct lanes_end *end, uint32_t node,
                      uint32_t buffer) {
    struct mkv_lanes_memory *memory = &world->nodes[node].memory;
    const struct mkv_verbs_sim_receive receive = {
        .work = 1ull << 63 | buffer,
        .address = memory->buffers[buffer].address,
        .bytes = memory->buffers[buffer].bytes,
    };
    if (node == 0) {
        mkv_lanes_memory_give(memory, buffer, MKV_LANES_RECEIVE, MKV_LANES_ANY);
        mkv_verbs_sim_post_shared(world->verbs, node, &receive);
    } else if (end == NULL || end->is_dead_pair || end->has_stopped) {
        mkv_lanes_memory_give(memory, buffer, MKV_LANES_NOBODY, 0);
    } else {
        mkv_lanes_memory_give(memory, buffer, MKV_LANES_RECEIVE, end->serial);
        mkv_verbs_sim_post_receive(world->verbs, end->pair, &receive);
    }
}

struct lanes_end *mkv_lanes_end_make(struct lanes_world *world, uint32_t talk, uint32_t node) {
    uint32_t index = 0;
    while (index < MKV_LANES_ENDS_MAX && world->ends[index].is_used) {
        index++;
    }
    if (index == MKV_LANES_ENDS_MAX) {
        return NULL;
    }
    struct lanes_end *end = &world->ends[index];
    const struct mkv_shape *shape = world->shape;
    const uint32_t transfers = node == 0 ? shape->lane_transfers : 0;
    memset(end, 0, sizeof *end);
    end->node = node;
    end->talk = talk;
    end->serial = world->talks[talk].serial * 2 + side_of(end);
    end->pair = mkv_verbs_sim_create(world->verbs, node, node == 0, shape->lane_sends + transfers,
                                     shape->lane_reads);
    if (end->pair == MKV_NONE_U32) {
        return NULL;
    }
    if (!take_area(world, end)) {
        mkv_verbs_sim_destroy(world->verbs, end->pair);
        return NULL;
    }
    end->is_used = true;
    end->number = world->verbs->pairs[end->pair].number;
    const uint32_t drawn = world->verbs->pairs[end->pair].packet_number;
    mkv_verbs_sim_begin_with(world->verbs, end->pair, mkv_lane_packet_number(drawn));
    end->stop_ns = UINT64_MAX;
    end->take_ns = UINT64_MAX;
    end->pump_ns = UINT64_MAX;
    for (uint32_t receive = 0; node != 0 && receive < shape->lane_receives; receive++) {
        mkv_lanes_repost(world, end, node, end->receives_first + receive);
    }
    const struct mkv_lane_config config = {
        .is_server = node == 0,
        .epoch = (uint32_t)world->talks[talk].serial,
        .message_bytes = shape->lane_message_bytes,
        .sends_max = shape->lane_sends,
        .credits = shape->lane_receives,
        .receives = shape->lane_receives,
        .transfers_max = transfers,
        .reads_max = node == 0 ? shape->lane_reads : 0,
        .probe_ns = MKV_LANES_PROBE_NS,
        .silent_ns = MKV_LANES_SILENT_NS,
        .drain_ns = MKV_LANES_DRAIN_NS,
        .awaits_last_receive = node == 0,
    };
    mkv_lane_init(&end->lane, &config);
    world->talks[talk].ends[side_of(end)] = index;
    return end;
}

void mkv_lanes_end_connect(struct lanes_world *world, struct lanes_end *end,
                           const struct lanes_end *peer) {
    const struct mkv_verbs_sim_pair *other = &world->verbs->pairs[peer->pair];
    mkv_verbs_sim_connect(world->verbs, end->pair, peer->node, other->number, other->packet_number);
    end->is_connected = true;
    mkv_lane_connected(&end->lane, world->now_ns);
    mkv_lanes_end_turn(world, end);
}

/* Its memory is back, and nothing of it is posted. */
static void check_buffers(const struct lanes_world *world, const struct lanes_end *end) {
    const struct mkv_lanes_memory *memory = &world->nodes[end->node].memory;
    const uint32_t count =
        world->shape->lane_sends + (end->node != 0 ? world->shape->lane_receives : 0);
    for (uint32_t index = 0; index < count; index++) {
        const struct mkv_lanes_buffer *buffer = &memory->buffers[end->slots_first + index];
        if (buffer->owner != MKV_LANES_NOBODY) {
            mkv_fail(MKV_ORACLE_BOUNDS,
                     "lane %llu is drained, and one of its buffers is of '%s' still",
                     (unsigned long long)end->serial, mkv_lanes_owner_name(buffer->owner));
        }
    }
}

void mkv_lanes_end_free(struct lanes_world *world, struct lanes_end *end, bool died) {
    struct mkv_lanes_memory *memory = &world->nodes[end->node].memory;
    if (!died && !end->is_dead_pair) {
        mkv_verbs_sim_destroy(world->verbs, end->pair);
    }
    end->is_dead_pair = true;
    for (; !died && end->held_count > 0; end->held_count--) {
        mkv_lanes_repost(world, end, end->node, end->held[end->held_first]);
        end->held_first = (end->held_first + 1) % MKV_LANES_RECEIVES_MAX;
    }
    /* Receives that were flushed and not polled, and a slot that was taken and given up. */
    for (uint32_t index = 0; end->node != 0 && index < world->shape->lane_receives; index++) {
        mkv_lanes_memory_give(memory, end->receives_first + index, MKV_LANES_NOBODY, 0);
    }
    if (!died && end->is_connected) {
        check_buffers(world, end);
    }
    give_area(world, end);
    world->talks[end->talk].ends[side_of(end)] = MKV_NONE_U32;
    world->report->crashes += end->was_open; /* I1 */
    end->is_used = false;
    mkv_lanes_talk_over(world, end->talk);
}

/* ---- what it is told ------------------------------------------------------------------------- */

/* L5: what it is told first decides why it stops. */
static void expect(struct lanes_end *end, enum mkv_lane_reason reason) {
    if (end->lane.state < MKV_LANE_STOPPING && end->expected == MKV_LANE_REASON_NONE) {
        end->expected = reason;
    }
}

static void expect_status(struct lanes_end *end, enum mkv_lane_status status) {
    const enum mkv_lane_reason reason = mkv_lane_reason_of(status);
    /* What cannot be delivered while the lane probes is the probe. */
    expect(end, end->lane.state == MKV_LANE_PROBING && reason == MKV_LANE_REASON_RETRY_EXCEEDED
                    ? MKV_LANE_REASON_PROBE
                    : reason);
}

void mkv_lanes_end_stop(struct lanes_world *world, struct lanes_end *end,
                        enum mkv_lane_reason reason) {
    expect(end, reason);
    mkv_lane_stop(&end->lane, reason, world->now_ns);
    mkv_lanes_end_turn(world, end);
}

void mkv_lanes_end_event(struct lanes_world *world, struct lanes_end *end,
                         enum mkv_lane_event event) {
    static const enum mkv_lane_reason reasons[] = {
        [MKV_LANE_EVENT_QP_FATAL] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_EVENT_PORT_DOWN] = MKV_LANE_REASON_PORT_DOWN,
        [MKV_LANE_EVENT_DEVICE_FATAL] = MKV_LANE_REASON_DEVICE,
        [MKV_LANE_EVENT_PEER_GONE] = MKV_LANE_REASON_PEER,
        [MKV_LANE_EVENT_LAST_RECEIVE] = MKV_LANE_REASON_FLUSHED,
        [MKV_LANE_EVENT_PATH] = MKV_LANE_REASON_NONE, /* it goes on */
    };
    if (end->is_drained) {
        return;
    }
    end->last_receive = end->last_receive || event == MKV_LANE_EVENT_LAST_RECEIVE;
    expect(end, reasons[event]);
    mkv_lane_event(&end->lane, event, world->now_ns);
    mkv_lanes_end_turn(world, end);
}

void mkv_lanes_work_over(struct lanes_world *world, struct lanes_end *end, uint64_t work) {
    struct lanes_work *posted = &end->works[work % MKV_LANES_WORKS_MAX];
    if (posted->is_posted) {
        posted->is_posted = false;
        if (posted->is_send) {
            mkv_lanes_memory_give(&world->nodes[end->node].memory, posted->buffer, MKV_LANES_NOBODY,
                                  0);
        }
    }
}

/* A completion says that all before it are over, too. */
static void works_over(struct lanes_world *world, struct lanes_end *end, uint64_t last) {
    for (uint32_t index = 0; index < MKV_LANES_WORKS_MAX; index++) {
        struct lanes_work *work = &end->works[index];
        if (work->is_posted && work->work <= last) {
            mkv_lanes_work_over(world, end, work->work);
        }
        work->waits_ns = world->now_ns; /* of those behind it */
    }
}

static void completed(struct lanes_world *world, const struct mkv_verbs_sim_completion *completion,
                      uint32_t node) {
    struct lanes_end *end = mkv_lanes_end_of(world, node, completion->number);
    if (end == NULL || end->is_drained) {
        mkv_fail(MKV_ORACLE_ANSWERS,
                 "a work request of node %u completes after its lane said that it was drained",
                 node);
    }
    const struct mkv_lane_completion told = {
        .work = completion->work, .status = completion->status, .vendor = completion->vendor};
    works_over(world, end, completion->work);
    if (told.status != MKV_LANE_SUCCESS) {
        expect_status(end, told.status);
    }
    mkv_lane_completed(&end->lane, &told, world->now_ns);
    mkv_lanes_end_turn(world, end);
}

/* ---- messages -------------------------------------------------------------------------------- */

bool mkv_lanes_log_room(const struct lanes_log *log, uint32_t bytes) {
    return log->written - log->come + bytes <= MKV_LANES_LOG_BYTES;
}

static void log_write(struct lanes_log *log, const uint8_t *bytes, uint32_t count) {
    for (uint32_t index = 0; index < count;) {
        const uint32_t at = (uint32_t)(log->written % MKV_LANES_LOG_BYTES);
        const uint32_t part = (uint32_t)mkv_min_u64(count - index, MKV_LANES_LOG_BYTES - at);
        memcpy(log->bytes + at, bytes + index, part);
        log->written += part;
        index += part;
    }
}

bool mkv_lanes_end_write(struct lanes_world *world, struct lanes_end *end,
                         const struct lanes_frame *frame, const uint8_t *payload) {
    struct lanes_log *log = &world->talks[end->talk].logs[side_of(end)];
    uint8_t header[MKV_LANES_FRAME_BYTES] = {0};
    if (!mkv_lanes_log_room(log, MKV_LANES_FRAME_BYTES + frame->bytes)) {
        return false;
    }
    mkv_store_u32(header, frame->op);
    mkv_store_u32(header + 4, frame->bytes);
    mkv_store_u64(header + 8, frame->id);
    mkv_store_u64(header + 16, frame->address);
    mkv_store_u32(header + 24, frame->key);
    mkv_store_u32(header + 28, frame->length);
    mkv_store_u32(header + 32, frame->status);
    log_write(log, header, MKV_LANES_FRAME_BYTES);
    log_write(log, payload, frame->bytes);
    if (mkv_random_chance(&world->schedule, 1, PUMP_LATER_ONE_IN)) {
        end->pump_ns = world->now_ns + mkv_random_below(&world->schedule, PUMP_LATER_NS);
    }
    return true;
}

void mkv_lanes_pump(struct lanes_world *world, struct lanes_end *end) {
    struct lanes_log *log = &world->talks[end->talk].logs[side_of(end)];
    struct mkv_lanes_memory *memory = &world->nodes[end->node].memory;
    const uint32_t room = world->shape->lane_message_bytes - MKV_LANE_HEADER_BYTES;
    while (log->sent != log->written && end->pump_ns == UINT64_MAX) {
        const uint32_t slot = mkv_lane_slot_take(&end->lane);
        if (slot == MKV_NONE_U32) {
            return;
        }
        if (mkv_random_chance(&world->schedule, 1, GIVE_ONE_IN)) {
            mkv_lane_slot_give(&end->lane, slot); /* its driver finds nothing to send after all */
            continue;
        }
        if (slot >= world->shape->lane_sends) {
            mkv_fail(MKV_ORACLE_BOUNDS, "lane %llu has no slot %u", (unsigned long long)end->serial,
                     slot);
        }
        const uint32_t buffer = end->slots_first + slot;
        if (memory->buffers[buffer].owner != MKV_LANES_NOBODY) {
            mkv_fail(MKV_ORACLE_DMA, "slot %u of lane %llu is given out, and it is of '%s'", slot,
                     (unsigned long long)end->serial,
                     mkv_lanes_owner_name(memory->buffers[buffer].owner));
        }
        mkv_lanes_memory_give(memory, buffer, MKV_LANES_SOFTWARE, 0);
        uint8_t *payload = mkv_lanes_bytes(world, end->node, buffer) + MKV_LANE_HEADER_BYTES;
        uint32_t bytes = 0;
        while (bytes < room && log->sent != log->written) {
            const uint32_t at = (uint32_t)(log->sent % MKV_LANES_LOG_BYTES);
            const uint64_t left = mkv_min_u64(log->written - log->sent, MKV_LANES_LOG_BYTES - at);
            const uint32_t part = (uint32_t)mkv_min_u64(room - bytes, left);
            memcpy(payload + bytes, log->bytes + at, part);
            bytes += part;
            log->sent += part;
        }
        mkv_lane_send(&end->lane, slot, bytes, world->now_ns);
    }
}

static void frame_came(struct lanes_world *world, struct lanes_end *end) {
    const uint8_t *header = end->frame;
    const struct lanes_frame frame = {
        .op = (enum lanes_op)mkv_load_u32(header),
        .bytes = mkv_load_u32(header + 4),
        .id = mkv_load_u64(header + 8),
        .address = mkv_load_u64(header + 16),
        .key = mkv_load_u32(header + 24),
        .length = mkv_load_u32(header + 28),
        .status = mkv_load_u32(header + 32),
    };
    const uint8_t *payload = end->frame + MKV_LANES_FRAME_BYTES;
    if (end->node == 0) {
        mkv_lanes_server_frame(world, end, &frame, payload);
    } else {
        mkv_lanes_client_frame(world, end, &frame, payload);
    }
}

/* Bytes of the stream: they are the next ones that the other side wrote. */
static void stream_came(struct lanes_world *world, struct lanes_end *end, const uint8_t *bytes,
                        uint32_t count) {
    struct lanes_log *log = &world->talks[end->talk].logs[1 - side_of(end)];
    world->report->evaluations++;
    for (uint32_t index = 0; index < count; index++) {
        if (log->come == log->sent || bytes[index] != log->bytes[log->come % MKV_LANES_LOG_BYTES]) {
            mkv_fail(MKV_ORACLE_SAME_BYTES,
                     "byte %llu of the stream of lane %llu is not the one that was written",
                     (unsigned long long)log->come, (unsigned long long)end->serial);
        }
        log->come++;
        end->frame[end->frame_bytes++] = bytes[index];
        if (end->frame_bytes >= MKV_LANES_FRAME_BYTES &&
            end->frame_bytes == MKV_LANES_FRAME_BYTES + mkv_load_u32(end->frame + 4)) {
            end->frame_bytes = 0;
            frame_came(world, end);
        }
    }
}

static void take_up(struct lanes_world *world, struct lanes_end *end) {
    while (end->held_count > 0 && end->is_used) {
        const uint32_t buffer = end->held[end->held_first];
        const uint32_t bytes = end->held_bytes[end->held_first];
        end->held_first = (end->held_first + 1) % MKV_LANES_RECEIVES_MAX;
        end->held_count--;
        stream_came(world, end, mkv_lanes_bytes(world, end->node, buffer) + MKV_LANE_HEADER_BYTES,
                    bytes - MKV_LANE_HEADER_BYTES);
        mkv_lanes_repost(world, end, end->node, buffer);
        mkv_lane_given_back(&end->lane, world->now_ns);
    }
    end->take_ns = UINT64_MAX;
}

/* L3, by what the header says. */
static void count_credits(struct lanes_end *end, const uint8_t *message, uint32_t bytes) {
    struct mkv_lane_header header;
    const bool is_running = end->lane.state == MKV_LANE_PROBING || end->lane.state == MKV_LANE_OPEN;
    if (is_running && bytes >= MKV_LANE_HEADER_BYTES && mkv_lane_header_decode(message, &header) &&
        header.epoch == end->lane.config.epoch) {
        end->messages_came++;
        end->credits_got += header.credits;
    }
}

static void message_came(struct lanes_world *world, struct lanes_end *end, uint32_t buffer,
                         uint32_t bytes) {
    const uint8_t *message = mkv_lanes_bytes(world, end->node, buffer);
    count_credits(end, message, bytes);
    if (!mkv_lane_received(&end->lane, message, bytes, world->now_ns)) {
        mkv_lanes_repost(world, end, end->node, buffer);
        return;
    }
    if (end->held_count == world->shape->lane_receives) {
        mkv_fail(MKV_ORACLE_BOUNDS, "lane %llu takes more messages than it has receives",
                 (unsigned long long)end->serial);
    }
    const uint32_t at = (end->held_first + end->held_count++) % MKV_LANES_RECEIVES_MAX;
    end->held[at] = buffer;
    end->held_bytes[at] = bytes;
    if (end->take_ns == UINT64_MAX) {
        const bool later = mkv_random_chance(&world->schedule, 1, TAKE_LATER_ONE_IN);
        end->take_ns =
            world->now_ns + (later ? mkv_random_below(&world->schedule, TAKE_LATER_NS) : 0);
    }
}

static void receive_completed(struct lanes_world *world,
                              const struct mkv_verbs_sim_completion *completion, uint32_t node) {
    struct mkv_lanes_memory *memory = &world->nodes[node].memory;
    struct lanes_end *end = mkv_lanes_end_of(world, node, completion->number);
    const uint32_t buffer = (uint32_t)completion->work;
    if (node != 0 && end == NULL) {
        return; /* with its lane this memory has gone back */
    }
    mkv_lanes_memory_give(memory, buffer, MKV_LANES_SOFTWARE, 0);
    if (end == NULL || end->is_drained) {
        mkv_lanes_repost(world, end, node, buffer);
        return;
    }
    if (completion->status == MKV_LANE_SUCCESS) {
        message_came(world, end, buffer, completion->bytes);
    } else {
        const struct mkv_lane_completion told = {
            .work = completion->work, .status = completion->status, .vendor = completion->vendor};
        expect_status(end, told.status);
        mkv_lanes_repost(world, end, node, buffer);
        mkv_lane_receive_failed(&end->lane, &told, world->now_ns);
    }
    if (end->take_ns <= world->now_ns) {
        take_up(world, end);
    }
    mkv_lanes_end_turn(world, end);
}

void mkv_lanes_poll(struct lanes_world *world, uint32_t node) {
    struct mkv_verbs_sim_completion completion;
    while (mkv_verbs_sim_poll(world->verbs, node, &completion)) {
        mkv_trace_word(&world->trace, completion.work << 8 ^ (uint64_t)completion.status << 40 ^
                                          (uint64_t)completion.number << 48 ^ node);
        if ((completion.work >> 63) != 0) {
            receive_completed(world, &completion, node);
        } else {
            completed(world, &completion, node);
        }
    }
}

void mkv_lanes_poll_events(struct lanes_world *world, uint32_t node) {
    struct mkv_verbs_sim_event event;
    while (mkv_verbs_sim_event(world->verbs, node, &event)) {
        mkv_lanes_note(world, "event", event.event, event.number);
        for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
            struct lanes_end *end = &world->ends[index];
            if (end->is_used && end->node == node && end->is_connected &&
                (event.number == 0 || (!end->is_dead_pair && end->number == event.number))) {
                mkv_lanes_end_event(world, end, event.event);
            }
        }
    }
}

/* A lane that runs has nothing posted for longer than it may be silent. */
static void check_silence(const struct lanes_world *world, const struct lanes_end *end) {
    for (uint32_t index = 0; !end->has_stopped && index < MKV_LANES_WORKS_MAX; index++) {
        const struct lanes_work *work = &end->works[index];
        if (work->is_posted &&
            world->now_ns > work->waits_ns + MKV_LANES_SILENT_NS + SILENT_LATE_NS) {
            mkv_fail(MKV_ORACLE_ANSWERS,
                     "work request %llu of lane %llu waits for too long, and it goes on",
                     (unsigned long long)work->work, (unsigned long long)end->serial);
        }
    }
}

void mkv_lanes_check_ends(const struct lanes_world *world) {
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        if (world->ends[index].is_used) {
            check_silence(world, &world->ends[index]);
        }
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

uint64_t mkv_lanes_end_next_ns(const struct lanes_end *end) {
    return mkv_min_u64(mkv_min_u64(end->stop_ns, end->take_ns),
                       mkv_min_u64(end->pump_ns, mkv_lane_timer_ns(&end->lane)));
}

static void stop_pair(struct lanes_world *world, struct lanes_end *end) {
    end->stop_ns = UINT64_MAX;
    end->stopped_ns = world->now_ns;
    if (!end->is_dead_pair && !end->stop_destroys) {
        mkv_verbs_sim_error(world->verbs, end->pair);
    } else if (!end->is_dead_pair) {
        mkv_verbs_sim_destroy(world->verbs, end->pair);
        end->is_dead_pair = true;
    }
    mkv_lane_stopped(&end->lane, world->now_ns);
    if (end->stop_destroys && mkv_lane_posted_count(&end->lane) > 0) {
        const struct mkv_lane_completion told = {.work = end->lane.handed - 1,
                                                 .status = MKV_LANE_FLUSHED};
        works_over(world, end, told.work);
        mkv_lane_completed(&end->lane, &told, world->now_ns);
    }
}

void mkv_lanes_end_time(struct lanes_world *world, struct lanes_end *end) {
    const uint64_t now_ns = world->now_ns;
    if (end->pump_ns <= now_ns) {
        end->pump_ns = UINT64_MAX;
    }
    if (end->take_ns <= now_ns) {
        take_up(world, end);
    }
    if (end->stop_ns <= now_ns) {
        stop_pair(world, end);
    }
    if (mkv_lane_timer_ns(&end->lane) <= now_ns) {
        mkv_lane_time(&end->lane, now_ns);
    }
    mkv_lanes_end_turn(world, end);
}
