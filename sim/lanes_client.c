/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client: requests with deadlines over the lane that it has, and another lane when that breaks.
 * Memory that a request exposes is its own again when it is answered, or when the lane says so.
 */
#include <string.h>

#include "sim/failure.h"
#include "sim/lanes_world.h"

#define CONNECT_NS 3000000u
#define NOTICE_NS_MIN 5000u
#define NOTICE_NS_MAX 60000u
#define BACK_OFF_NS_MIN 100000u
#define BACK_OFF_NS_MAX 10000000u
#define RESTART_NS_MAX 2000000u
/* A request ends so long after its deadline at the latest: its lane has to stop first. */
#define LATE_NS_MAX 200000u
/* What is patient waits so long: longer than any lane takes to notice that it is broken. */
#define PATIENT_NS 1000000000u
#define CANCEL_ONE_IN 24u

static struct lanes_end *end_of(struct lanes_world *world, const struct lanes_client *client) {
    if (client->talk == MKV_NONE_U32) {
        return NULL;
    }
    const uint32_t end = world->talks[client->talk].ends[0];
    return end == MKV_NONE_U32 ? NULL : &world->ends[end];
}

static uint32_t node_of(const struct lanes_client *client) {
    return client->index + 1;
}

static void register_values(struct lanes_world *world, struct lanes_client *client) {
    const struct mkv_lanes_memory *memory = &world->nodes[node_of(client)].memory;
    const struct mkv_lanes_buffer *first = &memory->buffers[client->values_first];
    client->key = mkv_verbs_sim_register(world->verbs, node_of(client), first->address,
                                         (uint64_t)MKV_LANES_VALUES * first->bytes);
}

void mkv_lanes_client_revoke(struct lanes_world *world, struct lanes_client *client) {
    if (client->key != 0) {
        mkv_verbs_sim_unregister(world->verbs, node_of(client), client->key);
        register_values(world, client);
    }
}

void mkv_lanes_client_start(struct lanes_world *world, struct lanes_client *client) {
    register_values(world, client);
    client->link = LANES_DOWN;
    client->link_ns = world->now_ns;
    client->back_off_ns = BACK_OFF_NS_MIN;
    client->talk = MKV_NONE_U32;
}

/* ---- the lane -------------------------------------------------------------------------------- */

static void back_off(struct lanes_world *world, struct lanes_client *client) {
    client->link = LANES_DOWN;
    client->talk = MKV_NONE_U32;
    client->link_ns =
        world->now_ns + 1 + mkv_random_below(&world->schedule, (uint32_t)client->back_off_ns);
    client->back_off_ns = mkv_min_u64(client->back_off_ns * 2, BACK_OFF_NS_MAX);
}

static void connect(struct lanes_world *world, struct lanes_client *client) {
    uint32_t talk = 0;
    while (talk < MKV_LANES_TALKS_MAX && world->talks[talk].is_used) {
        talk++;
    }
    if (talk == MKV_LANES_TALKS_MAX) {
        back_off(world, client);
        return;
    }
    struct lanes_talk *made = &world->talks[talk];
    made->is_used = true;
    made->serial = world->epoch_next++;
    made->client = client->index;
    made->made_ns = world->now_ns;
    made->accepted = false;
    for (uint32_t side = 0; side < 2; side++) {
        made->ends[side] = MKV_NONE_U32;
        made->is_closed[side] = false;
        made->is_told[side] = false;
        made->logs[side].written = 0;
        made->logs[side].sent = 0;
        made->logs[side].come = 0;
    }
    if (mkv_lanes_end_make(world, talk, node_of(client)) == NULL) {
        made->is_used = false;
        back_off(world, client);
        return;
    }
    if (client->key == 0) {
        register_values(world, client); /* with the device that is back */
    }
    mkv_lanes_note(world, "connect", client->index, made->serial);
    client->talk = talk;
    client->link = LANES_CONNECTING;
    client->link_ns = world->now_ns + CONNECT_NS;
    mkv_lanes_notice(world, talk, LANES_CONNECT, true,
                     mkv_random_between(&world->fabric, NOTICE_NS_MIN, NOTICE_NS_MAX));
}

void mkv_lanes_client_notice(struct lanes_world *world, const struct lanes_notice *notice) {
    struct lanes_talk *talk = &world->talks[notice->talk];
    struct lanes_client *client = &world->clients[talk->client];
    struct lanes_end *end = talk->ends[0] == MKV_NONE_U32 ? NULL : &world->ends[talk->ends[0]];
    if (notice->kind == LANES_CLOSED) {
        talk->is_told[0] = true;
        if (end != NULL && !end->is_drained) {
            mkv_lanes_end_event(world, end, MKV_LANE_EVENT_PEER_GONE);
        }
        mkv_lanes_talk_over(world, notice->talk);
        return;
    }
    MKV_ASSERT(notice->kind == LANES_ACCEPTED);
    if (client->talk != notice->talk || client->link != LANES_CONNECTING || end == NULL ||
        talk->ends[1] == MKV_NONE_U32 || end->lane.state != MKV_LANE_IDLE) {
        return;
    }
    client->link = LANES_UP;
    mkv_lanes_end_connect(world, end, &world->ends[talk->ends[1]]);
}

void mkv_lanes_client_broken(struct lanes_world *world, struct lanes_end *end) {
    struct lanes_client *client = &world->clients[end->node - 1];
    mkv_lanes_talk_close(world, end->talk, false);
    if (client->talk == end->talk) {
        back_off(world, client);
    }
    /* What has exposed nothing fails at once; the others when the queue pair has stopped. */
    for (uint32_t index = 0; index < MKV_LANES_REQUESTS_MAX; index++) {
        struct lanes_request *request = &client->requests[index];
        if (request->phase == LANES_SENT && request->end_serial == end->serial &&
            !request->is_exposed) {
            mkv_lanes_note(world, "failed", request->id, 0);
            request->phase = LANES_FREE;
        }
    }
}

void mkv_lanes_client_drained(struct lanes_world *world, struct lanes_end *end) {
    const struct lanes_client *client = &world->clients[end->node - 1];
    for (uint32_t index = 0; index < MKV_LANES_REQUESTS_MAX; index++) {
        const struct lanes_request *request = &client->requests[index];
        if (request->phase == LANES_SENT && request->end_serial == end->serial) {
            mkv_fail(MKV_ORACLE_ANSWERS, "lane %llu is drained, and request %llu has no end",
                     (unsigned long long)end->serial, (unsigned long long)request->id);
        }
    }
}

void mkv_lanes_client_close(struct lanes_world *world, struct lanes_client *client) {
    struct lanes_end *end = end_of(world, client);
    if (end != NULL && end->lane.state < MKV_LANE_STOPPING) {
        mkv_lanes_end_stop(world, end, MKV_LANE_REASON_CLOSED);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void give_value(struct lanes_world *world, const struct lanes_client *client,
                       struct lanes_request *request) {
    if (request->value != MKV_NONE_U32) {
        mkv_lanes_memory_give(&world->nodes[node_of(client)].memory, request->value,
                              MKV_LANES_NOBODY, 0);
        request->value = MKV_NONE_U32;
    }
}

static void fail(struct lanes_world *world, const struct lanes_client *client,
                 struct lanes_request *request) {
    MKV_ASSERT(!request->is_exposed);
    mkv_lanes_note(world, "failed", request->id, 1);
    give_value(world, client, request);
    request->phase = LANES_FREE;
}

void mkv_lanes_client_ask(struct lanes_world *world, struct lanes_client *client, enum lanes_op op,
                          uint32_t length, uint64_t deadline_ns, bool is_patient) {
    uint32_t index = 0;
    while (index < MKV_LANES_REQUESTS_MAX && client->requests[index].phase != LANES_FREE) {
        index++;
    }
    struct mkv_lanes_memory *memory = &world->nodes[node_of(client)].memory;
    const uint32_t value =
        op == LANES_ECHO ? MKV_NONE_U32
                         : mkv_lanes_memory_find(memory, client->values_first, MKV_LANES_VALUES);
    if (index == MKV_LANES_REQUESTS_MAX || (op != LANES_ECHO && value == MKV_NONE_U32)) {
        return;
    }
    struct lanes_request *request = &client->requests[index];
    *request = (struct lanes_request){
        .phase = LANES_WAITS,
        .op = op,
        .id = ++world->request_next,
        .length = length,
        .value = value,
        .begun_ns = world->now_ns,
        .deadline_ns = world->now_ns + deadline_ns,
        .is_patient = is_patient,
        .is_bad = op != LANES_ECHO && mkv_lanes_strikes(world, MKV_FAULT_LANE_ACCESS),
    };
    mkv_lanes_note(world,
                   op == LANES_GET   ? "get"
                   : op == LANES_PUT ? "put"
                                     : "echo",
                   request->id, length);
    if (value != MKV_NONE_U32) {
        mkv_lanes_memory_give(memory, value, MKV_LANES_SOFTWARE, 0);
        uint8_t *bytes = mkv_lanes_bytes(world, node_of(client), value);
        if (op == LANES_PUT) {
            mkv_lanes_fill(bytes, length, request->id);
        } else {
            memset(bytes, 0xee, length);
        }
    }
}

/* The frame of a request; memory that it names is exposed first. */
static bool send(struct lanes_world *world, struct lanes_client *client, struct lanes_end *end,
                 struct lanes_request *request) {
    struct mkv_lanes_memory *memory = &world->nodes[node_of(client)].memory;
    uint8_t payload[MKV_LANES_ECHO_BYTES_MAX];
    struct lanes_frame frame = {.op = request->op, .id = request->id, .length = request->length};
    const struct lanes_log *log = &world->talks[end->talk].logs[0];
    if (request->op == LANES_ECHO) {
        frame.bytes = request->length;
        mkv_lanes_fill(payload, frame.bytes, request->id);
    }
    if (!mkv_lanes_log_room(log, MKV_LANES_FRAME_BYTES + frame.bytes)) {
        return false;
    }
    if (request->op != LANES_ECHO) {
        if (!mkv_lane_expose(&end->lane, request->id)) {
            return false;
        }
        request->is_exposed = true;
        mkv_lanes_memory_give(
            memory, request->value,
            request->op == LANES_GET ? MKV_LANES_PEER_WRITES : MKV_LANES_PEER_READS, end->serial);
        frame.address = memory->buffers[request->value].address;
        frame.key = client->key;
        if (request->is_bad) {
            const bool is_far = request->id % 2 == 0;
            frame.address += is_far ? memory->bytes : 0;
            frame.key += is_far ? 0 : 1;
        }
    }
    const bool written = mkv_lanes_end_write(world, end, &frame, payload);
    MKV_ASSERT(written);
    request->phase = LANES_SENT;
    request->end_serial = end->serial;
    return true;
}

static void send_waiting(struct lanes_world *world, struct lanes_client *client) {
    struct lanes_end *end = end_of(world, client);
    bool any = false;
    for (uint32_t index = 0; index < MKV_LANES_REQUESTS_MAX; index++) {
        if (end == NULL || end->lane.state != MKV_LANE_OPEN) {
            return;
        }
        if (client->requests[index].phase == LANES_WAITS) {
            any = send(world, client, end, &client->requests[index]) || any;
        }
    }
    if (any) {
        mkv_lanes_end_turn(world, end);
    }
}

void mkv_lanes_client_opened(struct lanes_world *world, struct lanes_client *client) {
    client->back_off_ns = BACK_OFF_NS_MIN;
    send_waiting(world, client);
}

static struct lanes_request *request_of(struct lanes_client *client, uint64_t id) {
    for (uint32_t index = 0; index < MKV_LANES_REQUESTS_MAX; index++) {
        if (client->requests[index].phase != LANES_FREE && client->requests[index].id == id) {
            return &client->requests[index];
        }
    }
    return NULL;
}

void mkv_lanes_client_frame(struct lanes_world *world, struct lanes_end *end,
                            const struct lanes_frame *frame, const uint8_t *payload) {
    struct lanes_client *client = &world->clients[end->node - 1];
    struct lanes_request *request = request_of(client, frame->id);
    if (frame->op != LANES_ANSWER) {
        mkv_fail(MKV_ORACLE_SAME_BYTES, "client %u gets a frame of kind %u", client->index,
                 frame->op);
    }
    if (request == NULL || request->end_serial != end->serial || request->phase != LANES_SENT) {
        return; /* it has failed by its deadline */
    }
    if (request->is_exposed && !mkv_lane_unexpose(&end->lane, request->id)) {
        return; /* its end is on the way */
    }
    request->is_exposed = false;
    if (request->op == LANES_ECHO) {
        if (frame->bytes != request->length) {
            mkv_fail(MKV_ORACLE_SAME_BYTES, "echo %llu comes back with %u bytes of %u",
                     (unsigned long long)request->id, frame->bytes, request->length);
        }
        mkv_lanes_check(world, payload, frame->bytes, request->id, "an echo");
    } else if (request->op == LANES_GET) {
        mkv_lanes_check(world, mkv_lanes_bytes(world, node_of(client), request->value),
                        request->length, request->id, "a value that was got");
    }
    mkv_lanes_note(world, "answered", request->id, world->now_ns - request->begun_ns);
    give_value(world, client, request);
    request->phase = LANES_FREE;
    client->answered++;
    world->report->operations++;
    world->report->evaluations++;
}

void mkv_lanes_client_exposure_end(struct lanes_world *world, struct lanes_end *end, uint64_t tag) {
    struct lanes_client *client = &world->clients[end->node - 1];
    struct lanes_request *request = request_of(client, tag);
    if (end->node == 0 || request == NULL || !request->is_exposed ||
        request->end_serial != end->serial) {
        mkv_fail(MKV_ORACLE_ANSWERS,
                 "lane %llu ends the exposure of request %llu, which exposes nothing",
                 (unsigned long long)end->serial, (unsigned long long)tag);
    }
    request->is_exposed = false;
    fail(world, client, request);
}

/* A request ends early: what is exposed first has its lane stopped (L2). */
static void give_up(struct lanes_world *world, struct lanes_client *client,
                    struct lanes_request *request) {
    if (!request->is_exposed) {
        fail(world, client, request);
        return;
    }
    struct lanes_end *end = mkv_lanes_end_of_serial(world, request->end_serial);
    MKV_ASSERT(end != NULL);
    if (end->lane.state < MKV_LANE_STOPPING) {
        mkv_lanes_end_stop(world, end, MKV_LANE_REASON_CLOSED);
    }
}

static void check_deadlines(struct lanes_world *world, struct lanes_client *client) {
    for (uint32_t index = 0; index < MKV_LANES_REQUESTS_MAX; index++) {
        struct lanes_request *request = &client->requests[index];
        if (request->phase == LANES_FREE || request->deadline_ns > world->now_ns) {
            continue;
        }
        if (request->is_patient && world->strikes == 0) {
            mkv_fail(MKV_ORACLE_ANSWERS,
                     "request %llu is not answered in time, and nothing is wrong",
                     (unsigned long long)request->id);
        }
        if (request->deadline_ns + LATE_NS_MAX < world->now_ns) {
            mkv_fail(MKV_ORACLE_ANSWERS, "request %llu goes on %llu ns after its deadline",
                     (unsigned long long)request->id,
                     (unsigned long long)(world->now_ns - request->deadline_ns));
        }
        request->is_given_up = true;
        give_up(world, client, request);
    }
}

/* ---- turns ----------------------------------------------------------------------------------- */

static uint32_t requests_open(const struct lanes_client *client) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < MKV_LANES_REQUESTS_MAX; index++) {
        count += client->requests[index].phase != LANES_FREE;
    }
    return count;
}

static void cancel_one(struct lanes_world *world, struct lanes_client *client,
                       struct mkv_random *random) {
    struct lanes_request *request =
        &client->requests[mkv_random_below(random, MKV_LANES_REQUESTS_MAX)];
    if (request->phase != LANES_FREE) {
        mkv_lanes_note(world, "cancel", request->id, 0);
        give_up(world, client, request);
    }
}

static void take_turn(struct lanes_world *world, struct lanes_client *client) {
    const struct mkv_shape *shape = world->shape;
    struct mkv_random random;
    const uint64_t turn = world->turns++;
    world->report->client_turns = world->turns;
    /* What is asked at a turn depends on nothing that came before (shape.h). */
    mkv_random_seed(&random, mkv_random_mix(shape->seed + turn), MKV_CONCERN_WORKLOAD);
    mkv_lanes_disturb(world, client);
    if (!mkv_shape_has_turn(shape, turn)) {
        return;
    }
    if (mkv_random_chance(&random, shape->share_close, 1024)) {
        mkv_lanes_client_close(world, client);
        return;
    }
    if (mkv_random_chance(&random, 1, CANCEL_ONE_IN)) {
        cancel_one(world, client, &random);
        return;
    }
    const uint32_t weights = shape->weight_put + shape->weight_get + shape->weight_exists;
    const uint32_t draw = mkv_random_below(&random, weights);
    const enum lanes_op op = draw < shape->weight_put                       ? LANES_PUT
                             : draw < shape->weight_put + shape->weight_get ? LANES_GET
                                                                            : LANES_ECHO;
    const uint32_t most = (uint32_t)mkv_min_u64(
        shape->length_max, op == LANES_ECHO ? MKV_LANES_ECHO_BYTES_MAX : MKV_LANES_VALUE_BYTES_MAX);
    const bool is_small = mkv_random_chance(&random, 1, 3);
    const uint32_t length = mkv_random_between(&random, 1, is_small ? 200 : most);
    const bool is_patient = mkv_random_chance(&random, 3, 4);
    const uint64_t deadline_ns =
        is_patient
            ? PATIENT_NS
            : 1 + mkv_random_below(&random, (uint32_t)mkv_min_u64(shape->deadline_ns, UINT32_MAX));
    if (requests_open(client) < shape->clients) {
        mkv_lanes_client_ask(world, client, op, length, deadline_ns, is_patient);
    }
}

uint64_t mkv_lanes_client_next_ns(const struct lanes_world *world,
                                  const struct lanes_client *client) {
    uint64_t next_ns = client->turn_ns;
    if (client->link == LANES_CONNECTING || (client->link == LANES_DOWN && !world->closing)) {
        next_ns = mkv_min_u64(next_ns, client->link_ns);
    }
    for (uint32_t index = 0; index < MKV_LANES_REQUESTS_MAX; index++) {
        const struct lanes_request *request = &client->requests[index];
        if (request->phase != LANES_FREE) {
            next_ns = mkv_min_u64(next_ns, request->deadline_ns +
                                               (request->is_given_up ? LATE_NS_MAX + 1 : 0));
        }
    }
    return next_ns;
}

void mkv_lanes_client_time(struct lanes_world *world, struct lanes_client *client) {
    if (client->link == LANES_CONNECTING && client->link_ns <= world->now_ns) {
        mkv_lanes_client_close(world, client); /* backs off */
    } else if (client->link == LANES_DOWN && !world->closing && client->link_ns <= world->now_ns) {
        connect(world, client);
    }
    check_deadlines(world, client);
    if (client->turn_ns <= world->now_ns) {
        const uint64_t turns_max = world->shape->lane_turns;
        client->turn_ns = world->turns + 1 >= turns_max
                              ? UINT64_MAX
                              : world->now_ns + 1 +
                                    mkv_random_below(&world->schedule, world->shape->think_ns * 8);
        if (world->turns < turns_max) {
            take_turn(world, client);
        }
    }
    send_waiting(world, client);
}

bool mkv_lanes_client_is_idle(const struct lanes_client *client) {
    return requests_open(client) == 0;
}

void mkv_lanes_client_die(struct lanes_world *world, struct lanes_client *client) {
    mkv_lanes_note(world, "client dies", client->index, 0);
    for (uint32_t index = 0; index < MKV_LANES_ENDS_MAX; index++) {
        struct lanes_end *end = &world->ends[index];
        if (end->is_used && end->node == node_of(client)) {
            mkv_lanes_talk_close(world, end->talk, false);
            mkv_lanes_end_free(world, end, true);
        }
    }
    mkv_verbs_sim_die(world->verbs, node_of(client));
    mkv_lanes_memory_reset(&world->nodes[node_of(client)].memory);
    memset(client->requests, 0, sizeof client->requests);
    mkv_lanes_client_start(world, client);
    client->link_ns = world->now_ns + mkv_random_below(&world->schedule, RESTART_NS_MAX);
}
