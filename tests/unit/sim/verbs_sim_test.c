/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/verbs_sim_internal.h"

#include "tests/unit/sim/test.h"

#define NODE_BYTES 65536u
#define SERVER 0u
#define CLIENT 1u
#define MOVES_MAX 256u

static struct mkv_verbs_sim sim;
static uint8_t memories[2][NODE_BYTES];
static enum mkv_fault strike; /* that strikes the next `strikes_left` times it could */
static uint32_t strikes_left;
static struct mkv_verbs_sim_move moved[MOVES_MAX];
static uint32_t moved_count;
static uint32_t pairs[2]; /* of server and client */

static void on_move(void *context, const struct mkv_verbs_sim_move *move) {
    (void)context;
    assert_true(moved_count < MOVES_MAX);
    moved[moved_count++] = *move;
}

static bool on_strike(void *context, enum mkv_fault fault) {
    (void)context;
    if (fault != strike || strikes_left == 0) {
        return false;
    }
    strikes_left--;
    return true;
}

static void strikes(enum mkv_fault fault, uint32_t times) {
    strike = fault;
    strikes_left = times;
}

static void make_pairs(uint32_t sends_max, uint32_t reads_max) {
    pairs[SERVER] = mkv_verbs_sim_create(&sim, SERVER, true, sends_max, reads_max);
    pairs[CLIENT] = mkv_verbs_sim_create(&sim, CLIENT, false, sends_max, reads_max);
    for (uint32_t at = 0; at < 2; at++) {
        const struct mkv_verbs_sim_pair *peer = &sim.pairs[pairs[1 - at]];
        mkv_verbs_sim_connect(&sim, pairs[at], 1 - at, peer->number, peer->packet_number);
    }
}

static void make(uint32_t sends_max, uint32_t reads_max) {
    const struct mkv_verbs_sim_ops ops = {.moves = on_move, .strikes = on_strike};
    struct mkv_random random;
    mkv_random_seed(&random, 1, MKV_CONCERN_FABRIC);
    mkv_verbs_sim_init(&sim, &ops, &random);
    strikes(MKV_FAULT_NONE, 0);
    moved_count = 0;
    for (uint32_t at = 0; at < 2; at++) {
        for (uint32_t index = 0; index < NODE_BYTES; index++) {
            memories[at][index] = (uint8_t)(index * 7 + at * 3 + index / 256);
        }
        assert_int_equal(mkv_verbs_sim_add(&sim, memories[at], NODE_BYTES), at);
    }
    make_pairs(sends_max, reads_max);
}

/* Until nothing more happens by itself, or until then; what is told by an event is left there. */
static void run_until(uint64_t end_ns) {
    struct mkv_verbs_sim_due events[2][MKV_VERBS_SIM_EVENTS_MAX];
    uint32_t counts[2] = {0};
    uint64_t next_ns = 0;
    while ((next_ns = mkv_verbs_sim_next_ns(&sim)) <= end_ns) {
        mkv_verbs_sim_run(&sim, next_ns);
        for (uint32_t at = 0; at < 2; at++) {
            struct mkv_verbs_sim_event event;
            while (mkv_verbs_sim_event(&sim, at, &event)) {
                events[at][counts[at]++] = (struct mkv_verbs_sim_due){.event = event};
            }
        }
    }
    for (uint32_t at = 0; at < 2; at++) {
        memcpy(sim.nodes[at].events, events[at], sizeof events[at][0] * counts[at]);
        sim.nodes[at].event_count = counts[at];
    }
}

static void run_all(void) {
    run_until(UINT64_MAX - 1);
}

static struct mkv_verbs_sim_work work_of(uint64_t work, enum mkv_verbs_sim_opcode opcode,
                                         uint64_t address, uint32_t bytes) {
    return (struct mkv_verbs_sim_work){
        .work = work, .opcode = opcode, .is_signaled = true, .address = address, .bytes = bytes};
}

static void post(uint32_t at, uint64_t work, uint32_t bytes, bool is_signaled) {
    struct mkv_verbs_sim_work send = work_of(work, MKV_VERBS_SIM_SEND, 0, bytes);
    send.is_signaled = is_signaled;
    assert_true(mkv_verbs_sim_post(&sim, pairs[at], &send));
}

static void post_receives(uint32_t at, uint32_t count, uint32_t bytes) {
    for (uint32_t index = 0; index < count; index++) {
        const struct mkv_verbs_sim_receive receive = {
            .work = 100 + index, .address = 16384 + index * 8192ull, .bytes = bytes};
        if (at == SERVER) {
            mkv_verbs_sim_post_shared(&sim, SERVER, &receive);
        } else {
            mkv_verbs_sim_post_receive(&sim, pairs[CLIENT], &receive);
        }
    }
}

static void expect_ok(uint32_t at, uint64_t work, enum mkv_verbs_sim_opcode opcode) {
    struct mkv_verbs_sim_completion completion;
    assert_true(mkv_verbs_sim_poll(&sim, at, &completion));
    assert_int_equal(completion.status, MKV_LANE_SUCCESS);
    assert_int_equal(completion.work, work);
    assert_int_equal(completion.opcode, opcode);
    assert_int_equal(completion.number, sim.pairs[pairs[at]].number);
}

/* I2 */
static void expect_failed(uint32_t at, uint64_t work, enum mkv_lane_status status) {
    struct mkv_verbs_sim_completion completion;
    assert_true(mkv_verbs_sim_poll(&sim, at, &completion));
    assert_int_equal(completion.status, status);
    assert_int_equal(completion.work, work);
    assert_int_equal(completion.opcode, MKV_VERBS_SIM_POISON);
    assert_int_equal(completion.bytes, MKV_VERBS_SIM_POISON);
    assert_int_equal(completion.number, sim.pairs[pairs[at]].number);
}

static void expect_none(uint32_t at) {
    struct mkv_verbs_sim_completion completion;
    assert_false(mkv_verbs_sim_poll(&sim, at, &completion));
}

static void expect_event(uint32_t at, enum mkv_lane_event wanted) {
    struct mkv_verbs_sim_event event;
    assert_true(mkv_verbs_sim_event(&sim, at, &event));
    assert_int_equal(event.event, wanted);
}

/* ---- what goes well -------------------------------------------------------------------------- */

static void test_send__of_several_packets__arrives_whole_and_in_order(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 3, 8192);
    post(CLIENT, 1, 8000, true);
    post(CLIENT, 2, 1, true);
    run_all();
    expect_ok(CLIENT, 1, MKV_VERBS_SIM_SEND);
    expect_ok(CLIENT, 2, MKV_VERBS_SIM_SEND);
    expect_ok(SERVER, 100, MKV_VERBS_SIM_RECEIVE);
    expect_ok(SERVER, 101, MKV_VERBS_SIM_RECEIVE);
    expect_none(SERVER);
    assert_memory_equal(memories[SERVER] + 16384, memories[CLIENT], 8000);
    assert_int_equal(moved_count, 6); /* two packets and one, each told on both sides (I3) */
    assert_int_equal(moved[0].opcode, MKV_VERBS_SIM_SEND);
    assert_false(moved[0].writes);
    assert_int_equal(moved[1].opcode, MKV_VERBS_SIM_RECEIVE);
    assert_true(moved[1].writes);
    assert_int_equal(moved[1].bytes, MKV_VERBS_SIM_MTU);
}

static void test_send__not_signaled__has_no_completion_of_its_own(void **state) {
    (void)state;
    make(8, 2);
    post_receives(CLIENT, 3, 64);
    post(SERVER, 1, 10, false);
    post(SERVER, 2, 10, false);
    post(SERVER, 3, 10, true);
    run_all();
    expect_ok(SERVER, 3, MKV_VERBS_SIM_SEND);
    expect_none(SERVER);
    assert_int_equal(sim.pairs[pairs[SERVER]].polled, 3);
}

static void test_write_and_read__within_a_region__move_bytes_there_and_back(void **state) {
    (void)state;
    make(8, 1);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 32768, 16384);
    struct mkv_verbs_sim_work write = work_of(1, MKV_VERBS_SIM_WRITE, 0, 10000);
    write.remote_address = 32768;
    write.remote_key = key;
    struct mkv_verbs_sim_work read = work_of(2, MKV_VERBS_SIM_READ, 20000, 9000);
    read.remote_address = 33000;
    read.remote_key = key;
    assert_true(mkv_verbs_sim_post(&sim, pairs[SERVER], &write));
    assert_true(mkv_verbs_sim_post(&sim, pairs[SERVER], &read));
    run_all();
    expect_ok(SERVER, 1, MKV_VERBS_SIM_WRITE);
    expect_ok(SERVER, 2, MKV_VERBS_SIM_READ);
    expect_none(CLIENT); /* one-sided */
    assert_memory_equal(memories[CLIENT] + 32768, memories[SERVER], 10000);
    assert_memory_equal(memories[SERVER] + 20000, memories[CLIENT] + 33000, 9000);
}

static void test_reads__more_than_the_limit__go_one_behind_the_other(void **state) {
    (void)state;
    make(8, 2);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 0, NODE_BYTES);
    for (uint32_t index = 0; index < 5; index++) {
        struct mkv_verbs_sim_work read =
            work_of(index, MKV_VERBS_SIM_READ, 20000 + index * 5000, 5000);
        read.remote_key = key;
        assert_true(mkv_verbs_sim_post(&sim, pairs[SERVER], &read));
    }
    const struct mkv_verbs_sim_pair *pair = &sim.pairs[pairs[SERVER]];
    while (mkv_verbs_sim_next_ns(&sim) != UINT64_MAX) {
        mkv_verbs_sim_run(&sim, mkv_verbs_sim_next_ns(&sim));
        assert_true(pair->asked - pair->head <= 2);
    }
    for (uint32_t index = 0; index < 5; index++) {
        expect_ok(SERVER, index, MKV_VERBS_SIM_READ);
    }
}

/* ---- what fails ------------------------------------------------------------------------------ */

static void test_send__without_a_receive__is_tried_again_and_fails(void **state) {
    (void)state;
    make(8, 2);
    post(CLIENT, 1, 10, false);
    post(CLIENT, 2, 10, false);
    run_until(MKV_VERBS_SIM_RNR_NS * 3);
    expect_none(CLIENT);
    post_receives(SERVER, 1, 64); /* in time for the first, not for the second */
    run_all();
    expect_failed(CLIENT, 2, MKV_LANE_RNR_RETRY_EXCEEDED);
    expect_none(CLIENT);
    expect_ok(SERVER, 100, MKV_VERBS_SIM_RECEIVE);
    assert_int_equal(sim.pairs[pairs[CLIENT]].state, MKV_VERBS_SIM_ERROR);
    assert_int_equal(sim.pairs[pairs[SERVER]].state, MKV_VERBS_SIM_READY); /* it sees nothing */
    assert_true(sim.not_ready > 0);
}

static void test_link__cut_for_good__fails_the_oldest_and_flushes_the_others_in_order(
    void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 3, 64);
    post_receives(CLIENT, 2, 64);
    sim.nodes[CLIENT].cut_ns = UINT64_MAX;
    for (uint32_t work = 1; work <= 3; work++) {
        post(CLIENT, work, 10, work == 3);
    }
    run_all();
    assert_true(sim.now_ns >= (uint64_t)MKV_VERBS_SIM_RETRIES * MKV_VERBS_SIM_RETRY_NS);
    expect_failed(CLIENT, 1, MKV_LANE_RETRY_EXCEEDED);
    expect_failed(CLIENT, 2, MKV_LANE_FLUSHED);
    expect_failed(CLIENT, 3, MKV_LANE_FLUSHED);
    expect_failed(CLIENT, 100, MKV_LANE_FLUSHED);
    expect_failed(CLIENT, 101, MKV_LANE_FLUSHED);
    expect_none(CLIENT);
    post(CLIENT, 4, 10, false); /* what is posted now is flushed, too */
    expect_failed(CLIENT, 4, MKV_LANE_FLUSHED);
}

static void test_link__cut_and_healed_in_time__loses_nothing(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 3, 8192);
    sim.nodes[CLIENT].cut_ns = 3ull * MKV_VERBS_SIM_RETRY_NS;
    post(CLIENT, 1, 8000, true);
    run_all();
    expect_ok(CLIENT, 1, MKV_VERBS_SIM_SEND);
    assert_true(sim.lost > 0);
    assert_memory_equal(memories[SERVER] + 16384, memories[CLIENT], 8000);
}

static void test_answer__that_is_lost__fails_what_the_peer_has_got(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 1, 64);
    post(CLIENT, 1, 10, true);
    while (!mkv_verbs_sim_has_completion(&sim, SERVER)) {
        mkv_verbs_sim_run(&sim, mkv_verbs_sim_next_ns(&sim));
    }
    sim.nodes[CLIENT].cut_ns = UINT64_MAX;
    run_all();
    expect_ok(SERVER, 100, MKV_VERBS_SIM_RECEIVE);
    expect_failed(CLIENT, 1, MKV_LANE_RETRY_EXCEEDED);
}

static void test_hole__of_large_packets__lets_small_ones_pass(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 4, 8192);
    sim.nodes[CLIENT].hole_ns[0] = UINT64_MAX; /* from the client */
    sim.nodes[CLIENT].hole_bytes = 1024;
    post(CLIENT, 1, 1024, true);
    post(CLIENT, 2, 1025, true);
    run_all();
    expect_ok(CLIENT, 1, MKV_VERBS_SIM_SEND);
    expect_failed(CLIENT, 2, MKV_LANE_RETRY_EXCEEDED);
}

static void access_fails(uint64_t address, uint32_t key, enum mkv_verbs_sim_opcode opcode) {
    struct mkv_verbs_sim_work work = work_of(2, opcode, 0, 100);
    work.remote_address = address;
    work.remote_key = key;
    post_receives(CLIENT, 1, 64);
    moved_count = 0;
    post(SERVER, 1, 10, false); /* what is before it has arrived */
    assert_true(mkv_verbs_sim_post(&sim, pairs[SERVER], &work));
    post(SERVER, 3, 10, false);
    run_all();
    expect_failed(SERVER, 2, MKV_LANE_REMOTE_ACCESS);
    expect_failed(SERVER, 3, MKV_LANE_FLUSHED);
    expect_ok(CLIENT, 100, MKV_VERBS_SIM_RECEIVE);
    assert_int_equal(moved_count, 2);
    assert_int_equal(sim.pairs[pairs[CLIENT]].state, MKV_VERBS_SIM_ERROR);
    MKV_MAYBE(sim.nodes[CLIENT].event_count > 0); /* as the device has it */
}

static void test_access__revoked_or_out_of_range__fails_both_pairs(void **state) {
    (void)state;
    make(8, 2);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 1000, 1000);
    access_fails(1901, key, MKV_VERBS_SIM_WRITE); /* one byte too far */
    make(8, 2);
    access_fails(999, mkv_verbs_sim_register(&sim, CLIENT, 1000, 1000), MKV_VERBS_SIM_READ);
    make(8, 2);
    const uint32_t revoked = mkv_verbs_sim_register(&sim, CLIENT, 0, 4096);
    mkv_verbs_sim_unregister(&sim, CLIENT, revoked);
    access_fails(0, revoked, MKV_VERBS_SIM_WRITE);
    make(8, 2);
    const uint32_t own = mkv_verbs_sim_register(&sim, SERVER, 0, 4096);
    access_fails(0, own, MKV_VERBS_SIM_READ); /* of another node */
}

static void test_send__longer_than_the_receive__fails_both_sides(void **state) {
    (void)state;
    make(8, 2);
    post_receives(CLIENT, 1, 64);
    post(SERVER, 1, 65, true);
    run_all();
    expect_failed(CLIENT, 100, MKV_LANE_LOCAL_LENGTH);
    expect_failed(SERVER, 1, MKV_LANE_REMOTE_INVALID_REQUEST);
    assert_int_equal(moved_count, 0);
}

static void test_error__of_the_target__lets_no_byte_in_any_more(void **state) {
    (void)state;
    make(8, 2);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 0, NODE_BYTES);
    struct mkv_verbs_sim_work write = work_of(1, MKV_VERBS_SIM_WRITE, 0, 20000);
    write.remote_key = key;
    assert_true(mkv_verbs_sim_post(&sim, pairs[SERVER], &write));
    while (moved_count < 4) {
        mkv_verbs_sim_run(&sim, mkv_verbs_sim_next_ns(&sim));
    }
    mkv_verbs_sim_error(&sim, pairs[CLIENT]);
    run_all();
    assert_int_equal(moved_count, 4);
    expect_failed(SERVER, 1, MKV_LANE_RETRY_EXCEEDED);
}

static void test_error__of_a_shared_queue__flushes_what_was_taken_and_tells_the_last(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 2, 8192);
    post(CLIENT, 1, 8000, true);
    while (moved_count < 2) {
        mkv_verbs_sim_run(&sim, mkv_verbs_sim_next_ns(&sim));
    }
    mkv_verbs_sim_error(&sim, pairs[SERVER]);
    expect_failed(SERVER, 100, MKV_LANE_FLUSHED);
    expect_none(SERVER); /* the other receive stays for other pairs */
    assert_int_equal(sim.nodes[SERVER].shared_tail - sim.nodes[SERVER].shared_head, 1);
    run_all();
    expect_event(SERVER, MKV_LANE_EVENT_LAST_RECEIVE);

    make(8, 2);
    strikes(MKV_FAULT_LANE_LAST_MISSING, 1);
    mkv_verbs_sim_error(&sim, pairs[SERVER]);
    assert_int_equal(sim.nodes[SERVER].event_count, 0);
}

static void test_hang__completes_nothing_until_the_pair_is_in_error(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 2, 64);
    strikes(MKV_FAULT_LANE_HANG, 1);
    post(CLIENT, 1, 10, true);
    run_all();
    expect_none(CLIENT);
    assert_int_equal(moved_count, 0);
    mkv_verbs_sim_error(&sim, pairs[CLIENT]);
    expect_failed(CLIENT, 1, MKV_LANE_FLUSHED);
}

static void test_device__that_fails__tells_it_and_makes_no_pair_until_it_is_back(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 1, 64);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 0, 4096);
    mkv_verbs_sim_device_fails(&sim, CLIENT, 1000000);
    assert_false(mkv_verbs_sim_covers(&sim, CLIENT, key, 0, 1));
    run_all();
    expect_event(CLIENT, MKV_LANE_EVENT_DEVICE_FATAL);
    assert_int_equal(sim.pairs[pairs[CLIENT]].state, MKV_VERBS_SIM_ERROR);
    assert_int_equal(mkv_verbs_sim_create(&sim, CLIENT, false, 4, 1), MKV_NONE_U32);
    post(SERVER, 1, 10, false);
    run_all();
    expect_failed(SERVER, 1, MKV_LANE_RETRY_EXCEEDED);
    mkv_verbs_sim_run(&sim, mkv_max_u64(sim.now_ns, 1000000));
    assert_int_not_equal(mkv_verbs_sim_create(&sim, CLIENT, false, 4, 1), MKV_NONE_U32);
}

static void test_death__leaves_nothing_and_the_peer_without_answers(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 2, 64);
    (void)mkv_verbs_sim_register(&sim, CLIENT, 0, 4096);
    post(CLIENT, 1, 10, true);
    mkv_verbs_sim_die(&sim, CLIENT);
    expect_none(CLIENT);
    post(SERVER, 7, 10, false);
    run_all();
    expect_failed(SERVER, 7, MKV_LANE_RETRY_EXCEEDED);
    for (uint32_t index = 0; index < MKV_VERBS_SIM_REGIONS_MAX; index++) {
        assert_int_equal(sim.regions[index].key, 0);
    }
}

static void test_post__that_the_device_does_not_take_or_do__fails(void **state) {
    (void)state;
    uint32_t refused = 0;
    uint32_t failed = 0;
    for (uint32_t turn = 0; turn < 32; turn++) {
        make(8, 2);
        mkv_random_seed(&sim.random, turn, MKV_CONCERN_FABRIC);
        post_receives(SERVER, 2, 64);
        strikes(MKV_FAULT_LANE_LOCAL, 1);
        const struct mkv_verbs_sim_work send = work_of(5, MKV_VERBS_SIM_SEND, 0, 10);
        if (!mkv_verbs_sim_post(&sim, pairs[CLIENT], &send)) {
            refused++;
            continue;
        }
        run_all();
        struct mkv_verbs_sim_completion completion;
        assert_true(mkv_verbs_sim_poll(&sim, CLIENT, &completion));
        assert_int_equal(mkv_lane_reason_of(completion.status), MKV_LANE_REASON_LOCAL_ERROR);
        assert_int_equal(moved_count, 0);
        failed++;
    }
    assert_true(refused > 4 && failed > 4);
}

static void test_send_queue__with_no_completion_polled__overruns(void **state) {
    (void)state;
    make(4, 2);
    post_receives(SERVER, 4, 64);
    for (uint32_t work = 0; work < 4; work++) {
        post(CLIENT, work, 1, false);
    }
    run_all();
    const struct mkv_verbs_sim_work more = work_of(9, MKV_VERBS_SIM_SEND, 0, 1);
    EXPECT_FAILURE(MKV_ORACLE_BOUNDS, (void)mkv_verbs_sim_post(&sim, pairs[CLIENT], &more));
}

/* ---- numbers that are used again ------------------------------------------------------------- */

static void test_number__used_again__lets_no_packet_of_the_earlier_pair_in(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 4, 64);
    const uint32_t number = sim.pairs[pairs[SERVER]].number;
    post(CLIENT, 1, 10, true);
    mkv_verbs_sim_destroy(&sim, pairs[SERVER]);
    const uint32_t next = mkv_verbs_sim_create(&sim, SERVER, true, 8, 2);
    assert_int_equal(sim.pairs[next].number, number); /* I4 */
    mkv_verbs_sim_connect(&sim, next, CLIENT, sim.pairs[pairs[CLIENT]].number, 1);
    run_all();
    expect_failed(CLIENT, 1, MKV_LANE_RETRY_EXCEEDED);
    expect_none(SERVER);
}

static void test_stale__message_of_the_earlier_pair_comes_before_that_of_the_later(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 4, 64);
    post(CLIENT, 1, 10, true);
    run_all();
    expect_ok(SERVER, 100, MKV_VERBS_SIM_RECEIVE);
    mkv_verbs_sim_destroy(&sim, pairs[SERVER]);
    mkv_verbs_sim_destroy(&sim, pairs[CLIENT]);
    make_pairs(8, 2);
    uint8_t old[10];
    memcpy(old, memories[CLIENT], sizeof old);
    memset(memories[CLIENT], 0x77, 10);
    strikes(MKV_FAULT_LANE_STALE, 1);
    post(CLIENT, 2, 10, true);
    run_all();
    expect_ok(SERVER, 101, MKV_VERBS_SIM_RECEIVE);
    expect_ok(SERVER, 102, MKV_VERBS_SIM_RECEIVE);
    expect_none(SERVER);
    assert_memory_equal(memories[SERVER] + 16384 + 8192, old, sizeof old);
    assert_int_equal(memories[SERVER][16384 + 2 * 8192], 0x77);
}

/* WRITEs 100 bytes of the server's to the client's 40000. */
static void write_100(uint64_t work, uint32_t key) {
    struct mkv_verbs_sim_work write = work_of(work, MKV_VERBS_SIM_WRITE, 0, 100);
    write.remote_address = 40000;
    write.remote_key = key;
    assert_true(mkv_verbs_sim_post(&sim, pairs[SERVER], &write));
    run_all();
    expect_ok(SERVER, work, MKV_VERBS_SIM_WRITE);
}

/* Whether a WRITE to the earlier pair is let in by the later one of the client's number, whose
 * packets begin with `begin`. */
static bool late_write_is_let_in(uint32_t begin) {
    make(8, 2);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 0, NODE_BYTES);
    write_100(1, key);
    const uint32_t before = sim.pairs[pairs[SERVER]].packet_number;
    mkv_verbs_sim_destroy(&sim, pairs[SERVER]);
    mkv_verbs_sim_destroy(&sim, pairs[CLIENT]);
    pairs[SERVER] = mkv_verbs_sim_create(&sim, SERVER, true, 8, 2);
    pairs[CLIENT] = mkv_verbs_sim_create(&sim, CLIENT, false, 8, 2);
    mkv_verbs_sim_begin_with(&sim, pairs[SERVER], (before + begin) & 0xffffff);
    for (uint32_t at = 0; at < 2; at++) {
        const struct mkv_verbs_sim_pair *peer = &sim.pairs[pairs[1 - at]];
        mkv_verbs_sim_connect(&sim, pairs[at], 1 - at, peer->number, peer->packet_number);
    }
    uint8_t written[100];
    memcpy(written, memories[CLIENT] + 40000, sizeof written);
    memset(memories[CLIENT] + 40000, 0x77, sizeof written);
    post_receives(CLIENT, 1, 64);
    strikes(MKV_FAULT_LANE_WRITE_LATE, 1);
    moved_count = 0;
    post(SERVER, 2, 10, true);
    run_all();
    expect_ok(SERVER, 2, MKV_VERBS_SIM_SEND);
    assert_int_equal(strikes_left, 0);
    if (memories[CLIENT][40000] == 0x77) {
        assert_int_equal(moved_count, 2); /* of the message */
        return false;
    }
    assert_memory_equal(memories[CLIENT] + 40000, written, sizeof written);
    assert_int_equal(moved_count, 3);
    assert_true(moved[0].writes && moved[0].by_peer && moved[0].opcode == MKV_VERBS_SIM_WRITE);
    assert_int_equal(moved[0].address, 40000);
    assert_int_equal(moved[0].bytes, 100);
    return true;
}

static void test_late_write__is_let_in_by_its_number_alone(void **state) {
    (void)state;
    assert_true(late_write_is_let_in(0));
    assert_false(late_write_is_let_in(1));
    assert_false(late_write_is_let_in(0xffffff));
    assert_false(late_write_is_let_in(77777));
}

static void test_late_write__without_an_earlier_pair__there_is_none(void **state) {
    (void)state;
    make(8, 2);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 0, NODE_BYTES);
    strikes(MKV_FAULT_LANE_WRITE_LATE, 1);
    write_100(1, key);
    write_100(2, key);
    assert_int_equal(strikes_left, 1);
}

/* Whether a packet that was about to land when its pair went to its error state did. */
static bool lands(bool is_destroyed) {
    make(8, 2);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 0, NODE_BYTES);
    struct mkv_verbs_sim_work write = work_of(1, MKV_VERBS_SIM_WRITE, 0, 100);
    write.remote_address = 40000;
    write.remote_key = key;
    assert_true(mkv_verbs_sim_post(&sim, pairs[SERVER], &write));
    strikes(MKV_FAULT_LANE_LANDING, 1);
    mkv_verbs_sim_error(&sim, pairs[CLIENT]);
    assert_int_equal(strikes_left, 0);
    assert_int_equal(moved_count, 0);
    if (is_destroyed) {
        mkv_verbs_sim_destroy(&sim, pairs[CLIENT]);
    }
    run_all();
    expect_failed(SERVER, 1, MKV_LANE_RETRY_EXCEEDED);
    assert_int_equal(moved_count, is_destroyed ? 0 : 1);
    return memcmp(memories[CLIENT] + 40000, memories[SERVER], 100) == 0;
}

static void test_landing__behind_the_error_state__until_it_is_destroyed(void **state) {
    (void)state;
    assert_true(lands(false));
    assert_false(lands(true));
}

static void test_path__moves__tells_both_ends_and_loses_nothing(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 1, 8192);
    post(CLIENT, 1, 8000, true);
    mkv_verbs_sim_path_moves(&sim, CLIENT, 1000000);
    run_all();
    for (uint32_t at = 0; at < 2; at++) {
        expect_event(at, MKV_LANE_EVENT_PATH);
        struct mkv_verbs_sim_event none;
        assert_false(mkv_verbs_sim_event(&sim, at, &none));
    }
    assert_true(sim.lost > 0);
    assert_true(sim.now_ns >= 1000000);
    expect_ok(CLIENT, 1, MKV_VERBS_SIM_SEND);
    assert_memory_equal(memories[SERVER] + 16384, memories[CLIENT], 8000);
}

static void test_key__revoked_under_a_write__lets_no_further_byte_in(void **state) {
    (void)state;
    make(8, 2);
    const uint32_t key = mkv_verbs_sim_register(&sim, CLIENT, 0, NODE_BYTES);
    struct mkv_verbs_sim_work write = work_of(1, MKV_VERBS_SIM_WRITE, 0, 3 * MKV_VERBS_SIM_MTU);
    write.remote_address = 40000;
    write.remote_key = key;
    assert_true(mkv_verbs_sim_post(&sim, pairs[SERVER], &write));
    while (moved_count == 0) {
        mkv_verbs_sim_run(&sim, mkv_verbs_sim_next_ns(&sim));
    }
    const uint32_t moved_before = moved_count;
    mkv_verbs_sim_unregister(&sim, CLIENT, key);
    (void)mkv_verbs_sim_register(&sim, CLIENT, 0, NODE_BYTES);
    run_all();
    assert_int_equal(moved_count, moved_before);
    expect_failed(SERVER, 1, MKV_LANE_REMOTE_ACCESS);
    assert_int_equal(sim.pairs[pairs[CLIENT]].state, MKV_VERBS_SIM_ERROR);
}

static void test_duplicate__arrives_twice(void **state) {
    (void)state;
    make(8, 2);
    post_receives(SERVER, 3, 64);
    strikes(MKV_FAULT_LANE_DUPLICATE, 1);
    post(CLIENT, 1, 10, true);
    run_all();
    expect_ok(SERVER, 100, MKV_VERBS_SIM_RECEIVE);
    expect_ok(SERVER, 101, MKV_VERBS_SIM_RECEIVE);
    expect_none(SERVER);
    assert_memory_equal(memories[SERVER] + 16384, memories[SERVER] + 16384 + 8192, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send__of_several_packets__arrives_whole_and_in_order),
        cmocka_unit_test(test_send__not_signaled__has_no_completion_of_its_own),
        cmocka_unit_test(test_write_and_read__within_a_region__move_bytes_there_and_back),
        cmocka_unit_test(test_reads__more_than_the_limit__go_one_behind_the_other),
        cmocka_unit_test(test_send__without_a_receive__is_tried_again_and_fails),
        cmocka_unit_test(test_link__cut_for_good__fails_the_oldest_and_flushes_the_others_in_order),
        cmocka_unit_test(test_link__cut_and_healed_in_time__loses_nothing),
        cmocka_unit_test(test_answer__that_is_lost__fails_what_the_peer_has_got),
        cmocka_unit_test(test_hole__of_large_packets__lets_small_ones_pass),
        cmocka_unit_test(test_access__revoked_or_out_of_range__fails_both_pairs),
        cmocka_unit_test(test_send__longer_than_the_receive__fails_both_sides),
        cmocka_unit_test(test_error__of_the_target__lets_no_byte_in_any_more),
        cmocka_unit_test(test_error__of_a_shared_queue__flushes_what_was_taken_and_tells_the_last),
        cmocka_unit_test(test_hang__completes_nothing_until_the_pair_is_in_error),
        cmocka_unit_test(test_device__that_fails__tells_it_and_makes_no_pair_until_it_is_back),
        cmocka_unit_test(test_death__leaves_nothing_and_the_peer_without_answers),
        cmocka_unit_test(test_post__that_the_device_does_not_take_or_do__fails),
        cmocka_unit_test(test_send_queue__with_no_completion_polled__overruns),
        cmocka_unit_test(test_number__used_again__lets_no_packet_of_the_earlier_pair_in),
        cmocka_unit_test(test_stale__message_of_the_earlier_pair_comes_before_that_of_the_later),
        cmocka_unit_test(test_late_write__is_let_in_by_its_number_alone),
        cmocka_unit_test(test_late_write__without_an_earlier_pair__there_is_none),
        cmocka_unit_test(test_landing__behind_the_error_state__until_it_is_destroyed),
        cmocka_unit_test(test_path__moves__tells_both_ends_and_loses_nothing),
        cmocka_unit_test(test_key__revoked_under_a_write__lets_no_further_byte_in),
        cmocka_unit_test(test_duplicate__arrives_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
