/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/lanes_memory.h"

#include "tests/unit/sim/test.h"

static struct mkv_lanes_memory memory;

static void make(void) {
    mkv_lanes_memory_init(&memory);
    assert_int_equal(mkv_lanes_memory_add(&memory, 3, 100), 0);
    assert_int_equal(mkv_lanes_memory_add(&memory, 2, 1000), 3);
    assert_int_equal(memory.bytes, 2300);
}

static struct mkv_verbs_sim_move move_of(enum mkv_verbs_sim_opcode opcode, bool by_peer,
                                         uint64_t address, uint32_t bytes) {
    return (struct mkv_verbs_sim_move){
        .opcode = opcode, .by_peer = by_peer, .address = address, .bytes = bytes};
}

static void test_check__each_owner__lets_in_its_own_moves_alone(void **state) {
    (void)state;
    static const struct {
        enum mkv_lanes_owner owner;
        enum mkv_verbs_sim_opcode opcode;
        bool by_peer;
    } rows[] = {
        {MKV_LANES_SEND, MKV_VERBS_SIM_SEND, false},
        {MKV_LANES_RECEIVE, MKV_VERBS_SIM_RECEIVE, false},
        {MKV_LANES_PULL, MKV_VERBS_SIM_READ, false},
        {MKV_LANES_PUSH, MKV_VERBS_SIM_WRITE, false},
        {MKV_LANES_PEER_READS, MKV_VERBS_SIM_READ, true},
        {MKV_LANES_PEER_WRITES, MKV_VERBS_SIM_WRITE, true},
    };
    make();
    for (uint32_t row = 0; row < 6; row++) {
        const struct mkv_verbs_sim_move move =
            move_of(rows[row].opcode, rows[row].by_peer, 300 + 17, 900);
        for (uint32_t owner = 0; owner <= MKV_LANES_PEER_WRITES; owner++) {
            mkv_lanes_memory_give(&memory, 3, (enum mkv_lanes_owner)owner, 7);
            if (owner == (uint32_t)rows[row].owner) {
                mkv_lanes_memory_check(&memory, &move, 7);
                EXPECT_FAILURE(MKV_ORACLE_DMA, mkv_lanes_memory_check(&memory, &move, 8));
                EXPECT_FAILURE(MKV_ORACLE_DMA, mkv_lanes_memory_check(&memory, &move, 0));
            } else {
                EXPECT_FAILURE(MKV_ORACLE_DMA, mkv_lanes_memory_check(&memory, &move, 7));
            }
        }
    }
}

static void test_check__beyond_a_buffer__fails(void **state) {
    (void)state;
    make();
    for (uint32_t buffer = 0; buffer < memory.count; buffer++) {
        mkv_lanes_memory_give(&memory, buffer, MKV_LANES_RECEIVE, MKV_LANES_ANY);
    }
    static const uint64_t bad[][2] = {{0, 101},  {99, 2},   {250, 100},
                                      {2299, 2}, {2300, 1}, {UINT64_MAX - 1, 1}};
    for (uint32_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        const struct mkv_verbs_sim_move move =
            move_of(MKV_VERBS_SIM_RECEIVE, false, bad[index][0], (uint32_t)bad[index][1]);
        EXPECT_FAILURE(MKV_ORACLE_DMA, mkv_lanes_memory_check(&memory, &move, 3));
    }
    const struct mkv_verbs_sim_move whole = move_of(MKV_VERBS_SIM_RECEIVE, false, 1300, 1000);
    mkv_lanes_memory_check(&memory, &whole, 3);
}

static void test_find__gives_what_is_nobodys(void **state) {
    (void)state;
    make();
    mkv_lanes_memory_give(&memory, 0, MKV_LANES_SOFTWARE, 0);
    assert_int_equal(mkv_lanes_memory_find(&memory, 0, 3), 1);
    mkv_lanes_memory_give(&memory, 1, MKV_LANES_SEND, 4);
    mkv_lanes_memory_give(&memory, 2, MKV_LANES_PULL, 4);
    assert_int_equal(mkv_lanes_memory_find(&memory, 0, 3), MKV_NONE_U32);
    mkv_lanes_memory_reset(&memory);
    assert_int_equal(mkv_lanes_memory_find(&memory, 0, 3), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__each_owner__lets_in_its_own_moves_alone),
        cmocka_unit_test(test_check__beyond_a_buffer__fails),
        cmocka_unit_test(test_find__gives_what_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
