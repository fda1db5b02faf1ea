/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/verbs_world.h"

#include <poll.h>
#include <string.h>

#define WAIT_MS_MAX 50

struct world world;

uint64_t now_ns(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

void world_run(const char *command) {
    const int status = system(command);
    CHECK(status == 0, "%s: %d", command, status);
}

/* ---- what reaches a lane --------------------------------------------------------------------- */

static struct side *side_of(const struct mkv_lane *lane) {
    for (uint32_t side = 0; side < 2; side++) {
        struct side *found = &world.sides[side];
        if (found->endpoint != NULL && &found->endpoint->lane == lane) {
            return found;
        }
    }
    return NULL;
}

static void note(struct noted *noted, uint32_t value) {
    if (noted->count > 0 && noted->values[noted->count - 1] == value) {
        return;
    }
    if (noted->count < NOTED_MAX) {
        noted->values[noted->count++] = value;
    }
}

void __real_mkv_lane_completed(struct mkv_lane *, const struct mkv_lane_completion *, uint64_t);
void __wrap_mkv_lane_completed(struct mkv_lane *, const struct mkv_lane_completion *, uint64_t);
void __real_mkv_lane_receive_failed(struct mkv_lane *, const struct mkv_lane_completion *,
                                    uint64_t);
void __wrap_mkv_lane_receive_failed(struct mkv_lane *, const struct mkv_lane_completion *,
                                    uint64_t);
void __real_mkv_lane_event(struct mkv_lane *, enum mkv_lane_event, uint64_t);
void __wrap_mkv_lane_event(struct mkv_lane *, enum mkv_lane_event, uint64_t);

void __wrap_mkv_lane_completed(struct mkv_lane *lane, const struct mkv_lane_completion *completion,
                               uint64_t now) {
    struct side *side = side_of(lane);
    if (side != NULL && completion->status != MKV_LANE_SUCCESS) {
        note(&side->sends, completion->status);
    }
    __real_mkv_lane_completed(lane, completion, now);
}

void __wrap_mkv_lane_receive_failed(struct mkv_lane *lane,
                                    const struct mkv_lane_completion *completion, uint64_t now) {
    struct side *side = side_of(lane);
    if (side != NULL) {
        note(&side->receives, completion->status);
    }
    __real_mkv_lane_receive_failed(lane, completion, now);
}

void __wrap_mkv_lane_event(struct mkv_lane *lane, enum mkv_lane_event event, uint64_t now) {
    struct side *side = side_of(lane);
    if (side != NULL) {
        note(&side->events, event);
    }
    __real_mkv_lane_event(lane, event, now);
}

static const char *status_name(uint32_t status) {
    static const char *const NAMES[MKV_LANE_STATUS_COUNT] = {
        "success",        "local_length",  "local_operation",  "local_protection",
        "local_access",   "flushed",       "memory_window",    "bad_response",
        "remote_invalid", "remote_access", "remote_operation", "retry_exceeded",
        "rnr_exceeded",   "fatal",         "general",
    };
    return status < MKV_LANE_STATUS_COUNT ? NAMES[status] : "?";
}

static const char *event_name(uint32_t event) {
    static const char *const NAMES[] = {"?",         "qp_fatal",    "port_down", "device_fatal",
                                        "peer_gone", "last_receive"};
    return event < sizeof NAMES / sizeof NAMES[0] ? NAMES[event] : "?";
}

void noted_text(const struct noted *noted, const char *(*name)(uint32_t), char *out, size_t bytes) {
    size_t at = 0;
    snprintf(out, bytes, "-");
    for (uint32_t index = 0; index < noted->count && at < bytes; index++) {
        at += (size_t)snprintf(out + at, bytes - at, "%s%s", index == 0 ? "" : ",",
                               name(noted->values[index]));
    }
}

void world_tell(const char *fault, uint32_t number) {
    const struct side *side = &world.sides[number];
    char sends[128];
    char receives[128];
    char events[128];
    noted_text(&side->sends, status_name, sends, sizeof sends);
    noted_text(&side->receives, status_name, receives, sizeof receives);
    noted_text(&side->events, event_name, events, sizeof events);
    printf("row\t%s\t%s\t%s\t%s\t%s\t%s\n", fault, side->name, sends, receives, events,
           mkv_lane_reason_name(side->reason));
}

void world_show(void) {
    printf("\n");
    for (uint32_t number = 0; number < 2; number++) {
        const struct side *side = &world.sides[number];
        printf("%s: opened %d broken %d drained %d reason %s (%s) ok %u failed %u sent %llu "
               "received %llu state %d posted %u\n",
               side->name, side->is_opened, side->is_broken, side->is_drained,
               mkv_lane_reason_name(side->reason), side->problem, side->done_ok, side->done_failed,
               (unsigned long long)side->sent, (unsigned long long)side->received,
               side->endpoint == NULL ? -1 : (int)side->endpoint->lane.state,
               side->endpoint == NULL ? 0 : mkv_lane_posted_count(&side->endpoint->lane));
        world_tell("now", number);
    }
    (void)fflush(stdout);
}

/* ---- calls back ------------------------------------------------------------------------------ */

static void on_opened(void *context) {
    struct side *side = context;
    CHECK(!side->is_opened && !side->is_broken && !side->is_drained, "%s", side->name);
    side->is_opened = true;
}

static void on_readable(void *context) {
    const struct side *side = context;
    CHECK(side->is_opened && !side->is_drained, "%s", side->name);
    if (side->takes_up) {
        world_receive((uint32_t)(side - world.sides));
    }
}

static void on_writable(void *context) {
    struct side *side = context;
    CHECK(side->is_opened && !side->is_broken, "%s", side->name);
    side->times_writable++;
}

static void on_transfer_done(void *context, uint64_t tag, bool is_ok) {
    struct side *side = context;
    CHECK(tag < TAGS_MAX && !side->is_drained, "%s", side->name);
    side->done[tag]++;
    side->done_ok += is_ok ? 1 : 0;
    side->done_failed += is_ok ? 0 : 1;
}

static void on_exposure_end(void *context, uint64_t tag) {
    struct side *side = context;
    CHECK(tag < TAGS_MAX && !side->is_drained, "%s", side->name);
    side->exposures_ended++;
}

static void on_broken(void *context, enum mkv_lane_reason reason, const char *problem) {
    struct side *side = context;
    CHECK(!side->is_broken && !side->is_drained, "%s", side->name);
    side->is_broken = true;
    side->reason = reason;
    snprintf(side->problem, sizeof side->problem, "%s", problem);
    printf("%s is broken: %s: %s\n", side->name, mkv_lane_reason_name(reason), problem);
}

static void on_drained(void *context) {
    struct side *side = context;
    CHECK(!side->is_drained, "%s", side->name);
    side->is_drained = true;
}

static const struct mkv_endpoint_ops OPS = {
    .opened = on_opened,
    .readable = on_readable,
    .writable = on_writable,
    .transfer_done = on_transfer_done,
    .exposure_end = on_exposure_end,
    .broken = on_broken,
    .drained = on_drained,
};

/* ---- both ------------------------------------------------------------------------------------ */

void world_open(uint32_t endpoints_max, uint32_t receives_each) {
    for (uint32_t number = 0; number < 2; number++) {
        struct side *side = &world.sides[number];
        char problem[MKV_VERBS_PROBLEM_BYTES] = "";
        *side = (struct side){.name = number == SERVER ? "server" : "client", .takes_up = true};
        const struct mkv_verbs_options options = {
            .gid_index = -1,
            .address = number == SERVER ? "10.78.0.2" : "10.78.0.1",
            .endpoints_max = endpoints_max,
            .message_bytes = 8192,
            .receives_each = receives_each,
            .is_server = number == SERVER,
        };
        CHECK(mkv_verbs_open(&options, &side->verbs, problem), "%s", problem);
        side->memory = calloc(1, MEMORY_BYTES);
        CHECK(side->memory != NULL, "memory");
        CHECK(mkv_verbs_register(side->verbs, side->memory, MEMORY_BYTES, number == CLIENT,
                                 &side->region, problem),
              "%s", problem);
    }
}

void world_close(void) {
    for (uint32_t number = 0; number < 2; number++) {
        struct side *side = &world.sides[number];
        mkv_verbs_unregister(side->region);
        mkv_verbs_close(side->verbs);
        free(side->memory);
    }
}

static void begin(struct side *side) {
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    *side = (struct side){.name = side->name,
                          .verbs = side->verbs,
                          .memory = side->memory,
                          .region = side->region,
                          .takes_up = true};
    CHECK(mkv_endpoint_create(side->verbs, &OPS, side, &side->endpoint, problem), "%s", problem);
}

void world_connect(uint32_t receives) {
    struct side *server = &world.sides[SERVER];
    struct side *client = &world.sides[CLIENT];
    struct mkv_native_connect parameters;
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    begin(client);
    begin(server);
    mkv_endpoint_parameters(client->endpoint, &parameters);
    parameters.receives = receives == 0 ? parameters.receives : receives;
    CHECK(mkv_endpoint_connect(server->endpoint, &parameters, now_ns(), problem), "%s", problem);
    mkv_endpoint_parameters(server->endpoint, &parameters);
    CHECK(parameters.epoch != 0, "epoch");
    CHECK(mkv_endpoint_connect(client->endpoint, &parameters, now_ns(), problem), "%s", problem);
}

void world_connect_open(void) {
    world_connect(0);
    UNTIL(60, world.sides[SERVER].is_opened && world.sides[CLIENT].is_opened);
}

void world_disconnect(void) {
    for (uint32_t number = 0; number < 2; number++) {
        if (!world.sides[number].is_drained) {
            mkv_endpoint_stop(world.sides[number].endpoint, MKV_LANE_REASON_PEER, now_ns());
        }
    }
    UNTIL(60, world.sides[SERVER].is_drained && world.sides[CLIENT].is_drained);
    for (uint32_t number = 0; number < 2; number++) {
        mkv_endpoint_destroy(world.sides[number].endpoint);
        world.sides[number].endpoint = NULL;
    }
}

void world_step(void) {
    struct pollfd descriptors[2];
    uint64_t timer = UINT64_MAX;
    uint32_t count = 0;
    for (uint32_t number = 0; number < 2; number++) {
        count += mkv_verbs_poll(world.sides[number].verbs, now_ns());
    }
    if (count > 0) {
        return;
    }
    for (uint32_t number = 0; number < 2; number++) {
        mkv_verbs_arm(world.sides[number].verbs);
        count += mkv_verbs_poll(world.sides[number].verbs, now_ns());
    }
    for (uint32_t number = 0; number < 2; number++) {
        const struct mkv_verbs *verbs = world.sides[number].verbs;
        descriptors[number] = (struct pollfd){.fd = mkv_verbs_descriptor(verbs), .events = POLLIN};
        timer = mkv_min_u64(timer, mkv_verbs_timer_ns(verbs));
    }
    const uint64_t now = now_ns();
    const uint64_t wait_ms = timer <= now ? 0 : (timer - now) / 1000000 + 1;
    if (count == 0) {
        world.waits++;
        (void)poll(descriptors, 2, (int)mkv_min_u64(wait_ms, WAIT_MS_MAX));
    }
}

/* ---- streams --------------------------------------------------------------------------------- */

uint8_t stream_byte(uint32_t side, uint64_t offset) {
    return (uint8_t)((offset * 2654435761ull + side * 77u) >> 11);
}

void world_send(uint32_t number, uint64_t end) {
    struct side *side = &world.sides[number];
    static uint8_t bytes[20000];
    while (side->sent < end) {
        /* Of all lengths, in two pieces, the one of them now and then empty. */
        const size_t most = (size_t)(side->sent * 7919 % sizeof bytes) + 1;
        const size_t count = mkv_min_u64(end - side->sent, most);
        for (size_t index = 0; index < count; index++) {
            bytes[index] = stream_byte(number, side->sent + index);
        }
        const size_t first = count % 3 == 0 ? 0 : count / 2;
        const struct iovec pieces[2] = {{bytes, first}, {bytes + first, count - first}};
        const size_t taken = mkv_endpoint_send(side->endpoint, pieces, 2, now_ns());
        side->sent += taken;
        if (taken < count) {
            return;
        }
    }
}

void world_receive(uint32_t number) {
    struct side *side = &world.sides[number];
    uint8_t bytes[5000];
    size_t count;
    while ((count = mkv_endpoint_receive(side->endpoint, bytes, sizeof bytes, now_ns())) > 0) {
        for (size_t index = 0; index < count; index++) {
            CHECK(bytes[index] == stream_byte(1 - number, side->received + index), "%s: byte %llu",
                  side->name, (unsigned long long)(side->received + index));
        }
        side->received += count;
    }
}
