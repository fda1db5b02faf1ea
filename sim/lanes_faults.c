/* SPDX-License-Identifier: Apache-2.0 */
/* What fails around the lanes: links, ports, devices, processes. Packets are verbs_sim_wire.c's. */
#include "sim/lanes_world.h"

#define CUT_NS_MAX 30000000u
#define HOLE_NS_MAX 60000000u
#define HOLE_BYTES 1024u
#define PORT_NS_MAX 10000000u
#define DEVICE_NS_MAX 10000000u
#define NOT_READY_NS_MAX 2000000u
/* Less than all retries take: what is lost on the way to another path is sent again. */
#define PATH_NS_MAX 1000000u
/* Of so many other paths one is of a smaller MTU. */
#define PATH_HOLE_ONE_IN 4u
/* Of so many things that happen to a client or to the server, one happens to the server. */
#define SERVER_ONE_IN 4u

bool mkv_lanes_strikes(struct lanes_world *world, enum mkv_fault fault) {
    const struct mkv_fault_plan *plan = &world->shape->faults;
    if (world->calm || (plan->mask >> fault & 1u) == 0 ||
        !mkv_random_chance(&world->faults, 1, plan->one_in[fault])) {
        return false;
    }
    world->strikes++;
    world->report->hits[fault]++;
    return true;
}

/* As mkv_lanes_strikes, within the bound on such moments (I2). */
static bool moment(struct lanes_world *world, enum mkv_fault fault) {
    if (world->moments >= world->shape->crashes_max || !mkv_lanes_strikes(world, fault)) {
        return false;
    }
    world->moments++;
    mkv_lanes_note(world, mkv_fault_info(fault)->name, world->moments, 0);
    return true;
}

static uint64_t until(struct lanes_world *world, uint32_t ns_max) {
    return world->now_ns + 1 + mkv_random_below(&world->faults, ns_max);
}

static uint32_t node_drawn(struct lanes_world *world, const struct lanes_client *client) {
    return mkv_random_chance(&world->faults, 1, SERVER_ONE_IN) ? 0 : client->index + 1;
}

static void dig_hole(struct lanes_world *world, uint32_t at) {
    struct mkv_verbs_sim_node *node = &world->verbs->nodes[at];
    const uint32_t way = mkv_random_below(&world->faults, 2);
    if (node->hole_ns[way] <= world->now_ns) {
        node->hole_since_ns[way] = world->now_ns;
    }
    node->hole_bytes = HOLE_BYTES;
    node->hole_ns[way] = until(world, HOLE_NS_MAX);
}

static void move_path(struct lanes_world *world, uint32_t at) {
    mkv_verbs_sim_path_moves(world->verbs, at, until(world, PATH_NS_MAX));
    if (mkv_random_chance(&world->faults, 1, PATH_HOLE_ONE_IN)) {
        dig_hole(world, at);
    }
}

static void fail_device(struct lanes_world *world, uint32_t at) {
    mkv_verbs_sim_device_fails(world->verbs, at, until(world, DEVICE_NS_MAX));
    if (at != 0) {
        world->clients[at - 1].key = 0; /* it went with the device */
    }
}

static void fail_pair(struct lanes_world *world, const struct lanes_client *client) {
    const uint32_t side = mkv_random_below(&world->faults, 2);
    if (client->talk == MKV_NONE_U32 || world->talks[client->talk].ends[side] == MKV_NONE_U32) {
        return;
    }
    const struct lanes_end *end = &world->ends[world->talks[client->talk].ends[side]];
    if (!end->is_dead_pair) {
        mkv_verbs_sim_pair_fails(world->verbs, end->pair);
    }
}

void mkv_lanes_disturb(struct lanes_world *world, struct lanes_client *client) {
    const uint32_t own = client->index + 1;
    if (moment(world, MKV_FAULT_LANE_PARTITION)) {
        world->verbs->nodes[own].cut_ns = until(world, CUT_NS_MAX);
    }
    if (moment(world, MKV_FAULT_LANE_MTU)) {
        dig_hole(world, own);
    }
    if (moment(world, MKV_FAULT_LANE_RNR)) {
        world->verbs->nodes[node_drawn(world, client)].not_ready_ns =
            until(world, NOT_READY_NS_MAX);
    }
    if (moment(world, MKV_FAULT_LANE_PORT)) {
        mkv_verbs_sim_port_down(world->verbs, node_drawn(world, client), until(world, PORT_NS_MAX));
    }
    if (moment(world, MKV_FAULT_LANE_DEVICE)) {
        fail_device(world, node_drawn(world, client));
    }
    if (moment(world, MKV_FAULT_LANE_PAIR)) {
        fail_pair(world, client);
    }
    if (moment(world, MKV_FAULT_LANE_PATH)) {
        move_path(world, own);
    }
    if (moment(world, MKV_FAULT_LANE_KEY)) {
        mkv_lanes_client_revoke(world, client);
    }
    if (moment(world, MKV_FAULT_LANE_DEATH)) {
        if (node_drawn(world, client) == 0) {
            mkv_lanes_server_die(world);
        } else {
            mkv_lanes_client_die(world, client);
        }
    }
}
