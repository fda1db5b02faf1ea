/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time of a simulated machine: which thing is due first, and that it happens.
 */
#include "sim/lives.h"

/* Between ticks there is at most this and the idle time. */
#define TICK_NS_MAX 100000u
/* Numbers that each turn of the clients draws before anything else: when the next one comes, and
 * whether it is a checkpoint's. */
#define TURN_DRAWS 2u

/* Whether the clients' next turn goes by like the last one: nothing comes before it, not even
 * another second of the wall clock. */
static bool next_turn_is_due(const struct mkv_lives *lives, uint64_t others_ns) {
    return lives->phase == MKV_PHASE_WORKING && lives->work_due_ns < others_ns &&
           mkv_wall_ms(lives->work_due_ns) / 1000 == lives->model.wall_s;
}

/* With checkpoints, so that no draw is another one for it. */
static void avoid_or_not(struct mkv_lives *lives, uint32_t node) {
    if (lives->shape->avoids) {
        const bool avoid = lives->client_turns % 2 == 0;
        (void)mkv_node_admin(&lives->nodes[node], avoid ? MKV_ADMIN_AVOID : MKV_ADMIN_AVOID_OVER,
                             lives->now_ns);
    }
}

/* The clients have their turn, and bytes decide what they do with it. */
static void work_decided(struct mkv_lives *lives, struct mkv_random *random) {
    const uint64_t number = lives->client_turns++;
    lives->report->client_turns = lives->client_turns;
    lives->work_due_ns = lives->now_ns + 1 + mkv_random_below(random, lives->shape->think_ns);
    lives->outage_work -= lives->phase == MKV_PHASE_OUTAGE;
    if (!mkv_shape_has_turn(lives->shape, number)) {
        return;
    }
    if (mkv_random_chance(random, lives->shape->weight_checkpoint, 64)) {
        const uint32_t node = mkv_random_below(random, lives->node_count);
        (void)mkv_node_admin(&lives->nodes[node], MKV_ADMIN_CHECKPOINT, lives->now_ns);
        avoid_or_not(lives, node);
    } else {
        lives->clients->work(lives->world);
    }
}

/* The clients have their turn. While none of them can start anything, their turns go by one after
 * another up to the next thing that is due: between them nothing changes. */
static void work(struct mkv_lives *lives, uint64_t others_ns) {
    const struct mkv_shape *shape = lives->shape;
    const bool can_start = lives->clients->can_start(lives->world);
    bool checkpoint = false;
    bool starts = false;
    uint64_t turn_seed = 0;
    for (;;) {
        const uint64_t number = lives->client_turns++;
        uint64_t draws[TURN_DRAWS];
        turn_seed = shape->seed ^ mkv_random_mix(number);
        mkv_random_first_two(turn_seed, MKV_CONCERN_WORKLOAD, draws);
        lives->work_due_ns = lives->now_ns + 1 + mkv_random_scale(draws[0], shape->think_ns);
        if (mkv_shape_has_turn(shape, number)) {
            checkpoint = mkv_random_scale(draws[1], 64) < shape->weight_checkpoint;
            starts = can_start && !checkpoint;
        }
        if (checkpoint || starts || !next_turn_is_due(lives, others_ns)) {
            break;
        }
        lives->now_ns = lives->work_due_ns;
        lives->turns++;
    }
    lives->outage_work -= lives->phase == MKV_PHASE_OUTAGE;
    lives->report->client_turns = lives->client_turns;
    struct mkv_random *random = mkv_lives_random(lives, MKV_CONCERN_WORKLOAD);
    mkv_random_seed(random, turn_seed, MKV_CONCERN_WORKLOAD);
    for (uint32_t draw = 0; draw < TURN_DRAWS; draw++) {
        (void)mkv_random_next(random);
    }
    if (checkpoint) {
        const uint32_t node = mkv_random_below(random, lives->node_count);
        (void)mkv_node_admin(&lives->nodes[node], MKV_ADMIN_CHECKPOINT, lives->now_ns);
        avoid_or_not(lives, node);
    } else if (starts) {
        lives->clients->work(lives->world);
    }
}

static void tick(struct mkv_lives *lives) {
    const uint32_t span = (uint32_t)lives->shape->idle_ns + TICK_NS_MAX;
    struct mkv_random *random = mkv_lives_random(lives, MKV_CONCERN_SCHEDULE);
    const uint32_t draw = mkv_random_below(random, span);
    /* Where bytes decide, the benign tick is a late one: time is to pass. */
    lives->tick_due_ns = lives->now_ns + (random->decisions != NULL ? span - draw : 1 + draw);
    for (uint32_t node = 0; node < lives->node_count; node++) {
        mkv_node_tick(&lives->nodes[node], lives->now_ns);
    }
}

void mkv_lives_turn(struct mkv_lives *lives) {
    uint64_t drive_ns = UINT64_MAX;
    uint32_t drive = 0;
    for (uint32_t node = 0; node < lives->node_count; node++) {
        const uint64_t due_ns = mkv_drive_sim_due_ns(lives->nodes[node].drive);
        if (due_ns < drive_ns) {
            drive_ns = due_ns;
            drive = node;
        }
    }
    const uint64_t client_ns = lives->clients->due_ns(lives->world);
    const bool works = lives->phase == MKV_PHASE_WORKING ||
                       (lives->phase == MKV_PHASE_OUTAGE && lives->outage_work > 0);
    const uint64_t work_ns = works ? lives->work_due_ns : UINT64_MAX;
    uint64_t due_ns = mkv_min_u64(mkv_min_u64(drive_ns, client_ns), work_ns);
    due_ns = mkv_min_u64(due_ns, lives->tick_due_ns);
    lives->now_ns = mkv_max_u64(lives->now_ns, due_ns);
    mkv_model_time(&lives->model, mkv_wall_ms(lives->now_ns) / 1000);
    if (due_ns == drive_ns) {
        mkv_node_complete(&lives->nodes[drive], lives->now_ns);
    } else if (due_ns == client_ns) {
        lives->clients->act(lives->world);
    } else if (due_ns == work_ns) {
        struct mkv_random *random = mkv_lives_random(lives, MKV_CONCERN_WORKLOAD);
        const uint64_t others_ns = mkv_min_u64(drive_ns, client_ns);
        if (random->decisions != NULL) {
            work_decided(lives, random);
        } else {
            work(lives, mkv_min_u64(others_ns, lives->tick_due_ns));
        }
    } else {
        tick(lives);
    }
    for (uint32_t node = 0; node < lives->node_count; node++) {
        while (!lives->fuse.blown && mkv_volume_has_work(lives->nodes[node].volume)) {
            mkv_node_tick(&lives->nodes[node], lives->now_ns);
        }
    }
    mkv_evictions_turn(&lives->evictions, &lives->model);
    lives->clients->settle(lives->world);
}
