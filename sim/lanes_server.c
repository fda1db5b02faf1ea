/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: it takes lanes, gives each GET and PUT a slab, moves its bytes in parts by WRITE and
 * READ, and answers. A slab is free again when all that was posted of it is over.
 */
#include <string.h>

#include "sim/failure.h"
#include "sim/lanes_world.h"

#define NOTICE_NS_MIN 5000u
#define NOTICE_NS_MAX 60000u

void mkv_lanes_server_start(struct lanes_world *world) {
    for (uint32_t index = 0; index < world->shared_count; index++) {
        mkv_lanes_repost(world, NULL, 0, world->shared_first + index);
    }
}

void mkv_lanes_server_notice(struct lanes_world *world, const struct lanes_notice *notice) {
    struct lanes_talk *talk = &world->talks[notice->talk];
    if (notice->kind == LANES_CLOSED) {
        talk->is_told[1] = true;
        if (talk->ends[1] != MKV_NONE_U32 && !world->ends[talk->ends[1]].is_drained) {
            mkv_lanes_end_event(world, &world->ends[talk->ends[1]], MKV_LANE_EVENT_PEER_GONE);
        }
        mkv_lanes_talk_over(world, notice->talk);
        return;
    }
    MKV_ASSERT(notice->kind == LANES_CONNECT);
    if (talk->is_told[1] || talk->is_closed[1]) {
        return;
    }
    struct lanes_end *end =
        talk->ends[0] == MKV_NONE_U32 ? NULL : mkv_lanes_end_make(world, notice->talk, 0);
    if (end == NULL) {
        mkv_lanes_talk_close(world, notice->talk, true); /* refused */
        return;
    }
    talk->accepted = true;
    mkv_lanes_notice(world, notice->talk, LANES_ACCEPTED, false,
                     mkv_random_between(&world->fabric, NOTICE_NS_MIN, NOTICE_NS_MAX));
    mkv_lanes_end_connect(world, end, &world->ends[talk->ends[0]]);
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static void free_slab(struct lanes_world *world, struct lanes_task *task) {
    if (task->has_slab) {
        mkv_lanes_memory_give(&world->nodes[0].memory, task->slab, MKV_LANES_NOBODY, 0);
        task->has_slab = false;
        world->slab_was_freed = true;
    }
}

static bool has_posted(const struct lanes_task *task) {
    for (uint32_t part = 0; part < task->part_count; part++) {
        if (task->parts[part] == LANES_PART_POSTED) {
            return true;
        }
    }
    return false;
}

static bool all_over(const struct lanes_task *task) {
    for (uint32_t part = 0; part < task->part_count; part++) {
        if (task->parts[part] != LANES_PART_OVER) {
            return false;
        }
    }
    return true;
}

/* Where the log has no room the answer is dropped, and the deadline ends the request. Clients that
 * wait for their answers never ask for so much. */
static bool answer(struct lanes_world *world, struct lanes_end *end,
                   const struct lanes_frame *asked, const uint8_t *payload) {
    const struct lanes_frame frame = {
        .op = LANES_ANSWER,
        .id = asked->id,
        .bytes = asked->op == LANES_ECHO ? asked->bytes : 0,
    };
    return mkv_lanes_end_write(world, end, &frame, payload);
}

void mkv_lanes_server_frame(struct lanes_world *world, struct lanes_end *end,
                            const struct lanes_frame *frame, const uint8_t *payload) {
    if (frame->op == LANES_ECHO) {
        (void)answer(world, end, frame, payload);
        return;
    }
    if ((frame->op != LANES_GET && frame->op != LANES_PUT) || frame->length == 0 ||
        frame->length > MKV_LANES_VALUE_BYTES_MAX) {
        mkv_fail(MKV_ORACLE_SAME_BYTES, "the server gets a frame of kind %u, length %u", frame->op,
                 frame->length);
    }
    uint32_t index = 0;
    while (index < MKV_LANES_TASKS_MAX && world->tasks[index].is_used) {
        index++;
    }
    MKV_ASSERT(index < MKV_LANES_TASKS_MAX); /* more than all clients may ask */
    struct lanes_task *task = &world->tasks[index];
    *task = (struct lanes_task){.is_used = true, .end_serial = end->serial, .frame = *frame};
    task->part_count = 1 + (uint32_t)(mkv_random_mix(frame->id) %
                                      mkv_min_u64(MKV_LANES_PARTS_MAX, 1 + frame->length / 2048));
}

static uint32_t part_offset(const struct lanes_task *task, uint32_t part) {
    return (uint32_t)((uint64_t)task->frame.length * part / task->part_count);
}

/* False: no slab, or no room on the lane, for now. */
static bool go_on(struct lanes_world *world, struct lanes_end *end, struct lanes_task *task) {
    struct mkv_lanes_memory *memory = &world->nodes[0].memory;
    const bool is_put = task->frame.op == LANES_PUT;
    if (!task->has_slab && task->parts[0] == LANES_PART_WAITS) {
        task->slab = mkv_lanes_memory_find(memory, world->slabs_first, MKV_LANES_SLABS);
        if (task->slab == MKV_NONE_U32) {
            return false;
        }
        task->has_slab = true;
        uint8_t *bytes = mkv_lanes_bytes(world, 0, task->slab);
        if (is_put) {
            memset(bytes, 0xdd, task->frame.length);
        } else {
            mkv_lanes_fill(bytes, task->frame.length, task->frame.id);
        }
        mkv_lanes_memory_give(memory, task->slab, is_put ? MKV_LANES_PULL : MKV_LANES_PUSH,
                              end->serial);
    }
    for (uint32_t part = 0; part < task->part_count; part++) {
        if (task->parts[part] != LANES_PART_WAITS) {
            continue;
        }
        if (!mkv_lane_transfer_room(&end->lane, is_put)) {
            return false;
        }
        const uint32_t offset = part_offset(task, part);
        const struct mkv_lane_transfer transfer = {
            .is_read = is_put,
            .tag = (uint64_t)(task - world->tasks) << 8 | part,
            .remote_address = task->frame.address + offset,
            .remote_key = task->frame.key,
            .local_offset = memory->buffers[task->slab].address + offset,
            .bytes = part_offset(task, part + 1) - offset,
        };
        task->parts[part] = LANES_PART_POSTED;
        task->works[part] = UINT64_MAX; /* not handed out yet */
        mkv_lane_transfer(&end->lane, &transfer, world->now_ns);
    }
    if (!is_put && !task->is_answered) {
        /* Behind the WRITEs, in one chain. */
        (void)answer(world, end, &task->frame, NULL);
        task->is_answered = true;
    }
    return true;
}

void mkv_lanes_server_work(struct lanes_world *world, struct lanes_end *end) {
    for (uint32_t index = 0; index < MKV_LANES_TASKS_MAX; index++) {
        struct lanes_task *task = &world->tasks[index];
        if (task->is_used && task->end_serial == end->serial && !task->failed) {
            (void)go_on(world, end, task);
        }
    }
}

void mkv_lanes_server_done(struct lanes_world *world, struct lanes_end *end, uint64_t tag,
                           bool is_ok) {
    struct lanes_task *task = &world->tasks[tag >> 8];
    const uint32_t part = tag & 0xff;
    if ((tag >> 8) >= MKV_LANES_TASKS_MAX || !task->is_used || task->end_serial != end->serial ||
        part >= task->part_count || task->parts[part] != LANES_PART_POSTED) {
        mkv_fail(MKV_ORACLE_ANSWERS, "lane %llu ends transfer %llx, which is not posted",
                 (unsigned long long)end->serial, (unsigned long long)tag);
    }
    const uint64_t work = task->works[part];
    if (work != UINT64_MAX && end->works[work % MKV_LANES_WORKS_MAX].is_posted &&
        end->works[work % MKV_LANES_WORKS_MAX].work == work) {
        mkv_fail(MKV_ORACLE_DMA, "lane %llu ends a transfer that has not completed",
                 (unsigned long long)end->serial);
    }
    task->parts[part] = LANES_PART_OVER;
    task->failed = task->failed || !is_ok;
    if (task->failed ? has_posted(task) : !all_over(task)) {
        return;
    }
    if (!task->failed && task->frame.op == LANES_PUT) {
        mkv_lanes_check(world, mkv_lanes_bytes(world, 0, task->slab), task->frame.length,
                        task->frame.id, "a value that was put");
        if (end->lane.state == MKV_LANE_OPEN) {
            (void)answer(world, end, &task->frame, NULL);
        }
    }
    free_slab(world, task);
    task->is_used = false;
}

void mkv_lanes_server_drained(struct lanes_world *world, struct lanes_end *end) {
    for (uint32_t index = 0; index < MKV_LANES_TASKS_MAX; index++) {
        struct lanes_task *task = &world->tasks[index];
        if (!task->is_used || task->end_serial != end->serial) {
            continue;
        }
        if (has_posted(task)) {
            mkv_fail(MKV_ORACLE_ANSWERS, "lane %llu is drained, and of a transfer no end was told",
                     (unsigned long long)end->serial);
        }
        free_slab(world, task);
        task->is_used = false;
    }
}

void mkv_lanes_server_die(struct lanes_world *world) {
    mkv_lanes_note(world, "server dies", 0, 0);
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        struct lanes_end *end = &world->ends[index];
        if (end->is_used && end->node == 0) {
            mkv_lanes_talk_close(world, end->talk, true);
            mkv_lanes_end_free(world, end, true);
        }
    }
    mkv_verbs_sim_die(world->verbs, 0);
    mkv_lanes_memory_reset(&world->nodes[0].memory);
    memset(world->tasks, 0, sizeof world->tasks);
    mkv_lanes_server_start(world);
}
