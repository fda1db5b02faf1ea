/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/lanes_world.h"

#include <string.h>

#include "sim/failure.h"

#define LANES_SALT 0x1a9e5ull
#define STEPS_MAX 4000000u
/* Steps between looks at what is posted. */
#define CHECK_EVERY 16u
#define POLL_NS_MIN 100u
#define POLL_NS_MAX 1500u
#define POLL_LATE_NS 3000000u
#define CLOSED_NS_MIN 5000u
#define CLOSED_NS_MAX 60000u
/* A connection whose end is not told is found to be over after so long. */
#define CLOSED_LOST_NS 200000000u
/* When all is well again each client has so many requests answered, and then all is closed. */
#define HEALED_ANSWERS 4u
#define HEALED_BYTES 9000u
#define HEALED_NS 3000000000u
#define HEALED_ASK_NS 500000u
#define CLOSED_ALL_NS 1000000000u

void mkv_lanes_note(struct lanes_world *world, const char *name, uint64_t value_0,
                    uint64_t value_1) {
    world->trace.now_ns = world->now_ns;
    mkv_trace_note(&world->trace, name, value_0, value_1);
    if (world->trace.entries > world->trace.entries_max) {
        mkv_fail(MKV_ORACLE_NONE, "the run is longer than it may be");
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

static uint8_t value_byte(uint64_t id, uint32_t index) {
    return (uint8_t)(mkv_random_mix(id * MKV_RANDOM_GAMMA + index / 8) >> index % 8 * 8);
}

void mkv_lanes_fill(uint8_t *bytes, uint32_t count, uint64_t id) {
    for (uint32_t index = 0; index < count; index += 8) {
        const uint64_t word = mkv_random_mix(id * MKV_RANDOM_GAMMA + index / 8);
        memcpy(bytes + index, &word, mkv_min_u64(8, count - index));
    }
}

void mkv_lanes_check(const struct lanes_world *world, const uint8_t *bytes, uint32_t count,
                     uint64_t id, const char *what) {
    for (uint32_t index = 0; index < count; index += 8) {
        const uint64_t word = mkv_random_mix(id * MKV_RANDOM_GAMMA + index / 8);
        if (memcmp(bytes + index, &word, mkv_min_u64(8, count - index)) != 0) {
            mkv_fail(MKV_ORACLE_SAME_BYTES,
                     "%s, request %llu, has %02x and not %02x near byte %u of %u, at %llu ns", what,
                     (unsigned long long)id, bytes[index], value_byte(id, index), index, count,
                     (unsigned long long)world->now_ns);
        }
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

void mkv_lanes_notice(struct lanes_world *world, uint32_t talk, enum lanes_notice_kind kind,
                      bool to_server, uint64_t after_ns) {
    MKV_ASSERT(world->notice_count < MKV_LANES_NOTICES_MAX);
    world->notices[world->notice_count++] = (struct lanes_notice){
        .due_ns = world->now_ns + after_ns,
        .serial = world->talks[talk].serial,
        .kind = kind,
        .talk = talk,
        .to_server = to_server,
    };
}

void mkv_lanes_talk_close(struct lanes_world *world, uint32_t talk, bool by_server) {
    struct lanes_talk *closed = &world->talks[talk];
    const uint32_t side = by_server ? 1 : 0;
    if (closed->is_closed[side]) {
        return;
    }
    closed->is_closed[side] = true;
    const bool is_lost = mkv_lanes_strikes(world, MKV_FAULT_LANE_CLOSE_LOST);
    mkv_lanes_notice(world, talk, LANES_CLOSED, !by_server,
                     mkv_random_between(&world->fabric, CLOSED_NS_MIN,
                                        is_lost ? CLOSED_LOST_NS : CLOSED_NS_MAX));
}

void mkv_lanes_talk_over(struct lanes_world *world, uint32_t talk) {
    struct lanes_talk *over = &world->talks[talk];
    if (over->ends[0] == MKV_NONE_U32 && over->ends[1] == MKV_NONE_U32) {
        over->is_used = false;
        struct lanes_client *client = &world->clients[over->client];
        if (client->talk == talk) {
            client->talk = MKV_NONE_U32;
        }
    }
}

static void deliver(struct lanes_world *world, struct lanes_notice *notice) {
    const struct lanes_talk *talk = &world->talks[notice->talk];
    if (!talk->is_used || talk->serial != notice->serial) {
        return;
    }
    if (notice->to_server) {
        mkv_lanes_server_notice(world, notice);
    } else {
        mkv_lanes_client_notice(world, notice);
    }
}

/* A link that is cut loses what makes a connection, and holds back that one is over. */
static void deliver_due(struct lanes_world *world) {
    for (uint32_t index = 0; index < world->notice_count;) {
        struct lanes_notice notice = world->notices[index];
        if (notice.due_ns > world->now_ns) {
            index++;
            continue;
        }
        const uint64_t cut_ns = world->verbs->nodes[world->talks[notice.talk].client + 1].cut_ns;
        if (cut_ns > world->now_ns && notice.kind == LANES_CLOSED) {
            world->notices[index].due_ns = cut_ns + CLOSED_NS_MAX;
            index++;
            continue;
        }
        world->notices[index] = world->notices[--world->notice_count];
        if (cut_ns <= world->now_ns) {
            deliver(world, &notice);
        }
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint64_t next_ns(const struct lanes_world *world) {
    uint64_t next = mkv_verbs_sim_next_ns(world->verbs);
    for (uint32_t node = 0; node <= world->client_count; node++) {
        next = mkv_min_u64(next, world->nodes[node].poll_ns);
    }
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        if (world->ends[index].is_used) {
            next = mkv_min_u64(next, mkv_lanes_end_next_ns(&world->ends[index]));
        }
    }
    for (uint32_t index = 0; index < world->client_count; index++) {
        next = mkv_min_u64(next, mkv_lanes_client_next_ns(world, &world->clients[index]));
    }
    for (uint32_t index = 0; index < world->notice_count; index++) {
        next = mkv_min_u64(next, world->notices[index].due_ns);
    }
    return mkv_max_u64(next, world->now_ns);
}

static void poll_nodes(struct lanes_world *world) {
    for (uint32_t at = 0; at <= world->client_count; at++) {
        struct lanes_node *node = &world->nodes[at];
        mkv_lanes_poll_events(world, at);
        if (node->poll_ns <= world->now_ns) {
            node->poll_ns = UINT64_MAX;
            mkv_lanes_poll(world, at);
        }
    }
}

static void free_drained(struct lanes_world *world) {
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        struct lanes_end *end = &world->ends[index];
        if (!end->is_used || !end->is_drained) {
            continue;
        }
        mkv_lanes_poll(world, end->node);
        if (end->node == 0) {
            mkv_lanes_server_drained(world, end);
        } else {
            mkv_lanes_client_drained(world, end);
        }
        mkv_lanes_end_free(world, end, false);
    }
}

static void wake_servers(struct lanes_world *world) {
    if (!world->slab_was_freed) {
        return;
    }
    world->slab_was_freed = false;
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        struct lanes_end *end = &world->ends[index];
        if (end->is_used && end->node == 0) {
            mkv_lanes_end_turn(world, end);
        }
    }
}

static void plan_polls(struct lanes_world *world) {
    for (uint32_t at = 0; at <= world->client_count; at++) {
        struct lanes_node *node = &world->nodes[at];
        if (node->poll_ns == UINT64_MAX && mkv_verbs_sim_has_completion(world->verbs, at)) {
            const bool is_late = mkv_lanes_strikes(world, MKV_FAULT_LANE_LATE);
            node->poll_ns =
                world->now_ns + mkv_random_between(&world->schedule, POLL_NS_MIN,
                                                   is_late ? POLL_LATE_NS : POLL_NS_MAX);
        }
    }
}

/* A receive that finds none although no fault took it: credits were wrong (O9). */
static void check_ready(const struct lanes_world *world) {
    const uint64_t more = (1ull << MKV_FAULT_LANE_STALE | 1ull << MKV_FAULT_LANE_DUPLICATE) &
                          world->shape->faults.mask;
    if (world->verbs->not_ready > 0 && more == 0) {
        mkv_fail(MKV_ORACLE_BOUNDS, "a message finds no receive, and nothing holds them back");
    }
}

static void step(struct lanes_world *world) {
    const uint64_t at_ns = next_ns(world);
    if (at_ns == UINT64_MAX || ++world->steps > STEPS_MAX) {
        mkv_fail(MKV_ORACLE_ANSWERS, "the run does not come to its end: %s",
                 at_ns == UINT64_MAX ? "nothing happens any more" : "something goes on and on");
    }
    world->now_ns = at_ns;
    mkv_verbs_sim_run(world->verbs, at_ns);
    check_ready(world);
    poll_nodes(world);
    deliver_due(world);
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        struct lanes_end *end = &world->ends[index];
        if (end->is_used && mkv_lanes_end_next_ns(end) <= at_ns) {
            mkv_lanes_end_time(world, end);
        }
    }
    for (uint32_t index = 0; index < world->client_count; index++) {
        if (mkv_lanes_client_next_ns(world, &world->clients[index]) <= at_ns) {
            mkv_lanes_client_time(world, &world->clients[index]);
        }
    }
    free_drained(world);
    if (world->steps % CHECK_EVERY == 0) {
        mkv_lanes_check_ends(world);
    }
    wake_servers(world);
    plan_polls(world);
    world->report->trace_hash = world->trace.hash;
    world->report->entries = world->trace.entries;
    world->report->begun = world->trace.entries;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void heal(struct lanes_world *world) {
    world->calm = true;
    mkv_verbs_sim_heal(world->verbs);
    mkv_lanes_note(world, "heal", 0, 0);
    const uint64_t end_ns = world->now_ns + HEALED_NS;
    uint64_t ask_ns = world->now_ns;
    for (uint32_t index = 0; index < world->client_count; index++) {
        world->clients[index].answered = 0;
        world->clients[index].turn_ns = UINT64_MAX;
    }
    for (uint32_t op = 0;; op++) {
        bool is_well = true;
        for (uint32_t index = 0; index < world->client_count; index++) {
            struct lanes_client *client = &world->clients[index];
            if (client->answered >= HEALED_ANSWERS) {
                continue;
            }
            is_well = false;
            if (mkv_lanes_client_is_idle(client)) {
                if (world->now_ns >= ask_ns) {
                    mkv_lanes_client_ask(world, client, (enum lanes_op)(LANES_GET + op % 3),
                                         HEALED_BYTES, HEALED_NS, true);
                }
                client->turn_ns = mkv_max_u64(world->now_ns, ask_ns); /* it sends what waits */
            }
        }
        if (is_well) {
            return;
        }
        if (world->now_ns > end_ns) {
            mkv_fail(MKV_ORACLE_ANSWERS, "all is well, and requests are not answered any more");
        }
        ask_ns = world->now_ns >= ask_ns ? world->now_ns + HEALED_ASK_NS : ask_ns;
        step(world);
    }
}

static bool has_ends(const struct lanes_world *world) {
    bool any = false;
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        any = any || world->ends[index].is_used;
    }
    return any;
}

/* Everything has come back. */
static void check_empty(const struct lanes_world *world) {
    for (uint32_t index = 0; index < MKV_VERBS_SIM_PAIRS_MAX; index++) {
        if (world->verbs->pairs[index].state != MKV_VERBS_SIM_UNUSED) {
            mkv_fail(MKV_ORACLE_BOUNDS, "a queue pair of node %u is left behind",
                     world->verbs->pairs[index].node);
        }
    }
    for (uint32_t node = 0; node <= world->client_count; node++) {
        const struct mkv_lanes_memory *memory = &world->nodes[node].memory;
        for (uint32_t index = 0; index < memory->count; index++) {
            const bool is_shared = node == 0 && index >= world->shared_first &&
                                   index < world->shared_first + world->shared_count;
            const enum mkv_lanes_owner owner = memory->buffers[index].owner;
            if (owner != (is_shared ? MKV_LANES_RECEIVE : MKV_LANES_NOBODY)) {
                mkv_fail(MKV_ORACLE_BOUNDS, "all is closed, and a buffer of node %u is of '%s'",
                         node, mkv_lanes_owner_name(owner));
            }
        }
    }
    const struct mkv_verbs_sim_node *server = &world->verbs->nodes[0];
    if (server->shared_tail - server->shared_head != world->shared_count) {
        mkv_fail(MKV_ORACLE_BOUNDS, "of %u shared receives %llu are posted", world->shared_count,
                 (unsigned long long)(server->shared_tail - server->shared_head));
    }
    for (uint32_t index = 0; index < MKV_LANES_TASKS_MAX; index++) {
        if (world->tasks[index].is_used) {
            mkv_fail(MKV_ORACLE_BOUNDS, "all is closed, and the server still has a request");
        }
    }
}

static void close_all(struct lanes_world *world) {
    const uint64_t end_ns = world->now_ns + CLOSED_ALL_NS;
    world->closing = true;
    while (has_ends(world)) {
        for (uint32_t index = 0; index < world->client_count; index++) {
            if (mkv_lanes_client_is_idle(&world->clients[index])) {
                mkv_lanes_client_close(world, &world->clients[index]);
            }
        }
        if (world->now_ns > end_ns) {
            mkv_fail(MKV_ORACLE_ANSWERS, "all is closed, and lanes do not come to their end");
        }
        step(world);
    }
    for (uint32_t node = 0; node <= world->client_count; node++) {
        mkv_lanes_poll(world, node);
    }
    check_empty(world);
    world->report->evaluations++;
}

/* ---- making it ------------------------------------------------------------------------------- */

static void moves(void *context, const struct mkv_verbs_sim_move *move) {
    struct lanes_world *world = context;
    const struct lanes_end *end = mkv_lanes_end_of(world, move->node, move->number);
    mkv_lanes_memory_check(&world->nodes[move->node].memory, move, end == NULL ? 0 : end->serial);
    world->report->evaluations++;
    mkv_trace_word(&world->trace, move->address << 8 ^ (uint64_t)move->bytes << 40 ^ move->node);
}

static bool strikes(void *context, enum mkv_fault fault) {
    return mkv_lanes_strikes(context, fault);
}

static void make_node(struct lanes_world *world, uint32_t node) {
    struct lanes_node *made = &world->nodes[node];
    made->bytes = mkv_memory_take(world->options->memory, made->memory.bytes, 64);
    made->poll_ns = UINT64_MAX;
    const uint32_t number = mkv_verbs_sim_add(world->verbs, made->bytes, made->memory.bytes);
    MKV_ASSERT(number == node);
}

static void make_server(struct lanes_world *world) {
    const struct mkv_shape *shape = world->shape;
    struct mkv_lanes_memory *memory = &world->nodes[0].memory;
    const uint32_t ends = world->client_count * MKV_LANES_ENDS_EACH;
    mkv_lanes_memory_init(memory);
    world->server_slots_first =
        mkv_lanes_memory_add(memory, ends * shape->lane_sends, shape->lane_message_bytes);
    world->shared_count = ends * shape->lane_receives + MKV_LANES_SHARED_MORE;
    world->shared_first =
        mkv_lanes_memory_add(memory, world->shared_count, shape->lane_message_bytes);
    world->slabs_first = mkv_lanes_memory_add(memory, MKV_LANES_SLABS, MKV_LANES_VALUE_BYTES_MAX);
    make_node(world, 0);
}

static void make_client(struct lanes_world *world, uint32_t index) {
    const struct mkv_shape *shape = world->shape;
    struct lanes_client *client = &world->clients[index];
    struct mkv_lanes_memory *memory = &world->nodes[index + 1].memory;
    client->index = index;
    mkv_lanes_memory_init(memory);
    client->area_first = mkv_lanes_memory_add(
        memory, MKV_LANES_ENDS_EACH * (shape->lane_sends + shape->lane_receives),
        shape->lane_message_bytes);
    client->values_first =
        mkv_lanes_memory_add(memory, MKV_LANES_VALUES, MKV_LANES_VALUE_BYTES_MAX);
    make_node(world, index + 1);
}

static struct lanes_world *make(const struct mkv_world_options *options,
                                struct mkv_world_report *report) {
    const struct mkv_shape *shape = options->shape;
    struct lanes_world *world = mkv_memory_take(options->memory, sizeof *world, 64);
    memset(world, 0, sizeof *world);
    world->options = options;
    world->shape = shape;
    world->report = report;
    world->epoch_next = 1;
    world->client_count = (uint32_t)mkv_min_u64(shape->connections, MKV_LANES_CLIENTS_MAX);
    mkv_trace_init(&world->trace, shape->seed, options->log, options->entries_max);
    mkv_random_seed(&world->fabric, shape->seed ^ LANES_SALT, MKV_CONCERN_FABRIC);
    mkv_random_seed(&world->faults, shape->seed ^ LANES_SALT, MKV_CONCERN_FAULTS);
    mkv_random_seed(&world->schedule, shape->seed ^ LANES_SALT, MKV_CONCERN_SCHEDULE);
    const struct mkv_verbs_sim_ops ops = {.context = world, .moves = moves, .strikes = strikes};
    world->verbs = mkv_memory_take(options->memory, sizeof *world->verbs, 64);
    mkv_verbs_sim_init(world->verbs, &ops, &world->fabric);
    for (uint32_t talk = 0; talk < MKV_LANES_TALKS_MAX; talk++) {
        for (uint32_t side = 0; side < 2; side++) {
            world->talks[talk].logs[side].bytes =
                mkv_memory_take(options->memory, MKV_LANES_LOG_BYTES, 64);
        }
    }
    make_server(world);
    for (uint32_t index = 0; index < world->client_count; index++) {
        make_client(world, index);
    }
    return world;
}

const char *mkv_lanes_shape_problem(const struct mkv_shape *shape) {
    const struct mkv_lane_config config = {
        .is_server = true,
        .epoch = 1,
        .message_bytes = shape->lane_message_bytes,
        .sends_max = shape->lane_sends,
        .credits = shape->lane_receives,
        .receives = shape->lane_receives,
        .transfers_max = shape->lane_transfers,
        .reads_max = shape->lane_reads,
        .probe_ns = MKV_LANES_PROBE_NS,
        .silent_ns = MKV_LANES_SILENT_NS,
        .drain_ns = MKV_LANES_DRAIN_NS,
        .awaits_last_receive = true,
    };
    if (shape->lane_message_bytes > MKV_LANES_MESSAGE_BYTES_MAX ||
        shape->lane_sends > MKV_LANES_SENDS_MAX || shape->lane_receives > MKV_LANES_RECEIVES_MAX ||
        shape->lane_transfers > MKV_LANES_TRANSFERS_MAX ||
        shape->lane_reads > MKV_LANES_READS_MAX || shape->lane_turns > MKV_LANES_TURNS_MAX) {
        return "a figure of its lanes is above what the world has room for";
    }
    return mkv_lane_config_problem(&config);
}

void mkv_lanes_world_run(const struct mkv_world_options *options, struct mkv_world_report *report) {
    struct lanes_world *world = make(options, report);
    mkv_lanes_server_start(world);
    for (uint32_t index = 0; index < world->client_count; index++) {
        mkv_lanes_client_start(world, &world->clients[index]);
        world->clients[index].turn_ns = 1 + index;
    }
    while (world->turns < options->shape->lane_turns) {
        step(world);
    }
    heal(world);
    close_all(world);
}
