/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#define ENDPOINTS 8u
#define ROUNDS 20000u

/* Endpoints come and go with numbers that collide; each is found by its own, and no other is. */
static void test_table__queue_pairs_come_and_go__each_is_found_by_its_number(void **state) {
    struct mkv_endpoint *slots[2 * ENDPOINTS] = {NULL};
    struct mkv_verbs *verbs = calloc(1, sizeof *verbs);
    struct mkv_endpoint *endpoints = calloc(ENDPOINTS, sizeof *endpoints);
    bool is_in[ENDPOINTS] = {false};
    uint32_t random = 1;
    (void)state;
    assert_non_null(verbs);
    assert_non_null(endpoints);
    verbs->table = slots;
    verbs->table_mask = 2 * ENDPOINTS - 1;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        random = random * 1664525u + 1013904223u;
        const uint32_t at = (random >> 16) % ENDPOINTS;
        if (is_in[at]) {
            mkv_verbs_table_remove(verbs, &endpoints[at]);
        } else {
            endpoints[at].qp_number = (random >> 8 & 0xfff0u) + at;
            mkv_verbs_table_put(verbs, &endpoints[at]);
        }
        is_in[at] = !is_in[at];
        for (uint32_t index = 0; index < ENDPOINTS; index++) {
            assert_ptr_equal(mkv_verbs_table_find(verbs, endpoints[index].qp_number),
                             is_in[index] ? &endpoints[index] : NULL);
        }
    }
    free(endpoints);
    free(verbs);
}

static void test_status__each_of_the_library__is_told_apart(void **state) {
    static const struct {
        enum ibv_wc_status status;
        enum mkv_lane_status lane;
    } rows[] = {
        {IBV_WC_SUCCESS, MKV_LANE_SUCCESS},
        {IBV_WC_LOC_LEN_ERR, MKV_LANE_LOCAL_LENGTH},
        {IBV_WC_LOC_QP_OP_ERR, MKV_LANE_LOCAL_OPERATION},
        {IBV_WC_LOC_EEC_OP_ERR, MKV_LANE_GENERAL},
        {IBV_WC_LOC_PROT_ERR, MKV_LANE_LOCAL_PROTECTION},
        {IBV_WC_WR_FLUSH_ERR, MKV_LANE_FLUSHED},
        {IBV_WC_MW_BIND_ERR, MKV_LANE_MEMORY_WINDOW},
        {IBV_WC_BAD_RESP_ERR, MKV_LANE_BAD_RESPONSE},
        {IBV_WC_LOC_ACCESS_ERR, MKV_LANE_LOCAL_ACCESS},
        {IBV_WC_REM_INV_REQ_ERR, MKV_LANE_REMOTE_INVALID_REQUEST},
        {IBV_WC_REM_ACCESS_ERR, MKV_LANE_REMOTE_ACCESS},
        {IBV_WC_REM_OP_ERR, MKV_LANE_REMOTE_OPERATION},
        {IBV_WC_RETRY_EXC_ERR, MKV_LANE_RETRY_EXCEEDED},
        {IBV_WC_RNR_RETRY_EXC_ERR, MKV_LANE_RNR_RETRY_EXCEEDED},
        {IBV_WC_FATAL_ERR, MKV_LANE_FATAL},
        {IBV_WC_RESP_TIMEOUT_ERR, MKV_LANE_GENERAL},
        {IBV_WC_GENERAL_ERR, MKV_LANE_GENERAL},
        {(enum ibv_wc_status)77, MKV_LANE_GENERAL},
    };
    (void)state;
    for (uint32_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        assert_int_equal(mkv_verbs_status(rows[row].status), rows[row].lane);
    }
}

/* ---- rights of registered memory ------------------------------------------------------------ */

static struct {
    struct ibv_mr mr;
    int access;
} registered;

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *memory, size_t bytes, int access) {
    (void)pd;
    (void)memory;
    (void)bytes;
    registered.access = access;
    return &registered.mr;
}

static int dereg_mr(struct ibv_mr *mr) {
    assert_ptr_equal(mr, &registered.mr);
    return 0;
}

/* What peers may only read no device lets them write. */
static void test_register__rights__are_those_that_were_asked_for(void **state) {
    static const struct mkv_verbs_library library = {.reg_mr = reg_mr, .dereg_mr = dereg_mr};
    struct mkv_verbs *verbs = calloc(1, sizeof *verbs);
    struct mkv_verbs_region *region = NULL;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    char memory[16];
    (void)state;
    assert_non_null(verbs);
    verbs->library = &library;
    assert_true(mkv_verbs_register_readable(verbs, memory, sizeof memory, &region, problem));
    assert_int_equal(registered.access, IBV_ACCESS_REMOTE_READ);
    mkv_verbs_unregister(region);
    assert_true(mkv_verbs_register(verbs, memory, sizeof memory, false, &region, problem));
    assert_int_equal(registered.access, IBV_ACCESS_LOCAL_WRITE);
    mkv_verbs_unregister(region);
    assert_true(mkv_verbs_register(verbs, memory, sizeof memory, true, &region, problem));
    assert_int_equal(registered.access,
                     IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
    mkv_verbs_unregister(region);
    assert_int_equal(verbs->regions, 0);
    free(verbs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__queue_pairs_come_and_go__each_is_found_by_its_number),
        cmocka_unit_test(test_status__each_of_the_library__is_told_apart),
        cmocka_unit_test(test_register__rights__are_those_that_were_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
