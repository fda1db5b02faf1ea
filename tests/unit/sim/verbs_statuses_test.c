/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated verbs say to each fault what real ones said in the lab (verbs_statuses.tsv). */
#include <stdlib.h>

#include "sim/verbs_sim.h"

#include "tests/unit/sim/test.h"

#define NODE_BYTES 65536u
#define SERVER 0u
#define CLIENT 1u
#define DRAWS 48u
#define TEXT_BYTES 128u
#define ROWS_MIN 14u

static struct mkv_verbs_sim sim;
static uint8_t memories[2][NODE_BYTES];
static uint32_t pairs[2];
static bool local_fails;

static void on_move(void *context, const struct mkv_verbs_sim_move *move) {
    (void)context;
    (void)move;
}

static bool on_strike(void *context, enum mkv_fault fault) {
    (void)context;
    return fault == MKV_FAULT_LANE_LOCAL && local_fails;
}

static void make(uint64_t seed) {
    const struct mkv_verbs_sim_ops ops = {.moves = on_move, .strikes = on_strike};
    struct mkv_random random;
    mkv_random_seed(&random, seed, MKV_CONCERN_FABRIC);
    mkv_verbs_sim_init(&sim, &ops, &random);
    local_fails = false;
    for (uint32_t at = 0; at < 2; at++) {
        (void)mkv_verbs_sim_add(&sim, memories[at], NODE_BYTES);
        pairs[at] = mkv_verbs_sim_create(&sim, at, at == SERVER, 8, 2);
    }
    for (uint32_t at = 0; at < 2; at++) {
        const struct mkv_verbs_sim_pair *peer = &sim.pairs[pairs[1 - at]];
        mkv_verbs_sim_connect(&sim, pairs[at], 1 - at, peer->number, peer->packet_number);
        for (uint32_t index = 0; index < 3; index++) {
            const struct mkv_verbs_sim_receive receive = {
                .work = 1ull << 63 | index, .address = 16384 + index * 8192ull, .bytes = 8192};
            if (at == SERVER) {
                mkv_verbs_sim_post_shared(&sim, SERVER, &receive);
            } else {
                mkv_verbs_sim_post_receive(&sim, pairs[at], &receive);
            }
        }
    }
}

static bool post(uint32_t at, enum mkv_verbs_sim_opcode opcode, uint32_t key, uint64_t address,
                 uint32_t bytes) {
    const struct mkv_verbs_sim_work work = {
        .work = sim.pairs[pairs[at]].tail,
        .opcode = opcode,
        .bytes = bytes,
        .remote_address = address,
        .remote_key = key,
    };
    return mkv_verbs_sim_post(&sim, pairs[at], &work);
}

static bool transfer_and_send(enum mkv_verbs_sim_opcode opcode, uint32_t key, uint64_t address,
                              bool has_more) {
    return post(SERVER, opcode, key, address, 100) &&
           (!has_more || post(SERVER, MKV_VERBS_SIM_SEND, 0, 0, 100));
}

static bool sends(uint32_t at, uint32_t bytes) {
    return post(at, MKV_VERBS_SIM_SEND, 0, 0, bytes) && post(at, MKV_VERBS_SIM_SEND, 0, 0, bytes);
}

/* False: the device took nothing, which has no completion. */
static bool bring_about(const char *fault) {
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 4096, 4096);
    if (strcmp(fault, "wrong_key_write") == 0) {
        return transfer_and_send(MKV_VERBS_SIM_WRITE, key + 1, 4096, true);
    }
    if (strcmp(fault, "wrong_key_read") == 0) {
        return transfer_and_send(MKV_VERBS_SIM_READ, key + 1, 4096, true);
    }
    if (strcmp(fault, "beyond_memory") == 0) {
        return transfer_and_send(MKV_VERBS_SIM_WRITE, key, 8192 - 99, false);
    }
    if (strcmp(fault, "own_memory") == 0) {
        local_fails = true;
        return post(SERVER, MKV_VERBS_SIM_SEND, 0, 0, 100);
    }
    if (strcmp(fault, "peer_stopped") == 0) {
        mkv_verbs_sim_destroy(&sim, pairs[CLIENT]); /* what a client does that stops */
        return sends(SERVER, 100);
    }
    if (strcmp(fault, "stopped") == 0) {
        const bool is_posted = sends(SERVER, 100);
        mkv_verbs_sim_error(&sim, pairs[SERVER]);
        return is_posted;
    }
    if (strcmp(fault, "wire_cut") == 0) {
        sim.nodes[CLIENT].cut_ns = UINT64_MAX;
        return sends(SERVER, 100);
    }
    if (strcmp(fault, "port_down") == 0) {
        mkv_verbs_sim_port_down(&sim, SERVER, 1000000);
        return true;
    }
    if (strcmp(fault, "small_mtu") == 0) {
        sim.nodes[CLIENT].hole_ns[0] = UINT64_MAX;
        sim.nodes[CLIENT].hole_bytes = 1024;
        return post(CLIENT, MKV_VERBS_SIM_SEND, 0, 0, 8192);
    }
    if (strcmp(fault, "no_receive") == 0) {
        sim.nodes[CLIENT].not_ready_ns = UINT64_MAX;
        return sends(SERVER, 100);
    }
    if (strcmp(fault, "device_removed") == 0) {
        const bool is_posted = sends(SERVER, 100);
        mkv_verbs_sim_device_fails(&sim, SERVER, UINT64_MAX);
        return is_posted;
    }
    fail_msg("the simulated verbs are not asked for '%s'", fault);
    return false;
}

static const char *status_name(enum mkv_lane_status status) {
    static const char *const names[MKV_LANE_STATUS_COUNT] = {
        [MKV_LANE_LOCAL_LENGTH] = "local_length",
        [MKV_LANE_LOCAL_OPERATION] = "local_operation",
        [MKV_LANE_LOCAL_PROTECTION] = "local_protection",
        [MKV_LANE_FLUSHED] = "flushed",
        [MKV_LANE_REMOTE_ACCESS] = "remote_access",
        [MKV_LANE_RETRY_EXCEEDED] = "retry_exceeded",
        [MKV_LANE_RNR_RETRY_EXCEEDED] = "rnr_exceeded",
    };
    return names[status] != NULL ? names[status] : "other";
}

/* Behind the others, unless it is the last of them. */
static void add(char *text, const char *name) {
    const char *comma = strrchr(text, ',');
    if (strcmp(comma != NULL ? comma + 1 : text, name) != 0) {
        (void)snprintf(text + strlen(text), TEXT_BYTES - strlen(text), "%s%s",
                       text[0] != 0 ? "," : "", name);
    }
}

struct said {
    char sends[TEXT_BYTES];
    char receives[TEXT_BYTES];
    char events[TEXT_BYTES];
};

static void take_events(uint32_t at, struct said *said) {
    struct mkv_verbs_sim_event event;
    for (uint32_t node = 0; node < 2; node++) {
        while (mkv_verbs_sim_event(&sim, node, &event)) {
            if (node == at && event.event != MKV_LANE_EVENT_LAST_RECEIVE) {
                add(said->events, event.event == MKV_LANE_EVENT_PORT_DOWN      ? "port_down"
                                  : event.event == MKV_LANE_EVENT_DEVICE_FATAL ? "device_fatal"
                                                                               : "qp_fatal");
            }
        }
    }
}

static void listen(uint32_t at, struct said *said) {
    struct mkv_verbs_sim_completion completion;
    *said = (struct said){0};
    while (mkv_verbs_sim_next_ns(&sim) != UINT64_MAX) {
        mkv_verbs_sim_run(&sim, mkv_verbs_sim_next_ns(&sim));
        take_events(at, said);
    }
    while (mkv_verbs_sim_poll(&sim, at, &completion)) {
        if (completion.status != MKV_LANE_SUCCESS) {
            add((completion.work >> 63) != 0 ? said->receives : said->sends,
                status_name(completion.status));
        }
    }
}

/* Whether it is one of those with | between them. */
static bool is_one_of(const char *text, const char *wanted) {
    const size_t bytes = strlen(text[0] != 0 ? text : "-");
    while (true) {
        const size_t length = strcspn(wanted, "|");
        if (length == bytes && memcmp(wanted, text[0] != 0 ? text : "-", bytes) == 0) {
            return true;
        }
        if (wanted[length] == 0) {
            return false;
        }
        wanted += length + 1;
    }
}

static void check_row(char *fields[5]) {
    const char *fault = fields[0];
    const uint32_t at = strcmp(fields[1], "server") == 0 ? SERVER : CLIENT;
    const bool is_drawn = strcmp(fault, "own_memory") == 0; /* one local error of several */
    uint32_t same = 0;
    for (uint64_t seed = 1; seed <= DRAWS; seed++) {
        struct said said;
        make(seed);
        if (!bring_about(fault)) {
            continue;
        }
        listen(at, &said);
        const bool agrees = is_one_of(said.sends, fields[2]) && is_one_of(said.receives, fields[3]);
        if (!agrees && !is_drawn) {
            fail_msg("%s at the %s: sends %s, receives %s; real ones: %s, %s", fault, fields[1],
                     said.sends, said.receives, fields[2], fields[3]);
        }
        same += agrees && is_one_of(said.events, fields[4]);
    }
    if (same == 0) {
        fail_msg("%s at the %s never says what real verbs say", fault, fields[1]);
    }
}

static void test_statuses__of_each_fault__are_those_of_real_verbs(void **state) {
    (void)state;
    char path[512];
    char line[512];
    uint32_t rows = 0;
    const char *source = getenv("MKV_SOURCE_DIR");
    (void)snprintf(path, sizeof path, "%s/tests/fixtures/verbs_statuses.tsv",
                   source != NULL ? source : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        char *fields[5];
        char *rest = line;
        if (line[0] == '#') {
            continue;
        }
        for (uint32_t field = 0; field < 5; field++) {
            fields[field] = strsep(&rest, "\t\n");
            assert_non_null(fields[field]);
        }
        check_row(fields);
        rows++;
    }
    (void)fclose(file);
    assert_true(rows >= ROWS_MIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses__of_each_fault__are_those_of_real_verbs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
