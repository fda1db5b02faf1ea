/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hash.h"
#include "sim/front_world.h"

#include "tests/unit/sim/test.h"

/* Answers as a front might give them, to requests that are put there by hand. */

#define REQUEST 7u

static struct front_world *world;
static uint8_t bytes[2 * MKV_UNIT_BYTES];

static void make(enum mkv_op op, uint32_t item_count) {
    struct mkv_memory *memory = test_memory();
    static struct mkv_shape shape;
    static struct mkv_world_report report;
    shape = (struct mkv_shape){.key_count = 2};
    report = (struct mkv_world_report){0};
    world = mkv_memory_take(memory, sizeof *world, 64);
    memset(world, 0, sizeof *world);
    world->lives.shape = &shape;
    world->lives.report = &report;
    world->config.block_bytes_max = MKV_CHUNK_BYTES_MIN;
    world->scratch = mkv_memory_take(memory, MKV_UNIT_BYTES, 64);
    mkv_content_init(&world->lives.content, memory, 1, 2, 0, MKV_KEY_BYTES_MAX, MKV_UNIT_BYTES);
    mkv_model_init(&world->lives.model, memory, 2, false);
    struct request *request = &world->requests[0];
    *request = (struct request){
        .used = true, .id = REQUEST, .connection = {1, 1}, .op = op, .item_count = item_count};
    const bool put = op == MKV_OP_PUT;
    for (uint32_t item = 0; item < item_count; item++) {
        request->items[item].version = 1;
        request->items[item].place = mkv_model_invoke(
            &world->lives.model, 0, put ? MKV_MODEL_REPLACE : MKV_MODEL_READ, put ? 1 : 0);
    }
    world->request_count = 1;
}

static void answer(uint64_t id, enum mkv_op op, const struct mkv_item_result *results,
                   uint32_t count) {
    const struct mkv_answer_effect effect = {
        .connection = {1, 1}, .request_id = id, .op = op, .result_count = count};
    mkv_sim_client_answered(world, &effect, results);
}

static void push(uint32_t version, uint32_t flip) {
    const uint32_t length = mkv_content_length(&world->lives.content, 0, version);
    mkv_content_fill(&world->lives.content, 0, version, 0, bytes, length);
    bytes[length / 2] ^= (uint8_t)flip;
    const struct mkv_transfer_effect effect = {
        .connection = {1, 1}, .request_id = REQUEST, .bytes = length, .length = length};
    mkv_sim_client_pushed(world, &effect, bytes);
}

/* Key 0 holds version 1, acknowledged. */
static void hold(uint32_t version) {
    mkv_model_answer(&world->lives.model, 0,
                     mkv_model_invoke(&world->lives.model, 0, MKV_MODEL_REPLACE, version),
                     MKV_MODEL_OK);
}

static void get_ok(uint32_t version, uint32_t pushed) {
    const uint32_t length = mkv_content_length(&world->lives.content, 0, version);
    uint64_t sum = 0;
    mkv_content_fill(&world->lives.content, 0, version, 0, bytes, length);
    mkv_chunk_sums(bytes, length, &sum);
    const struct mkv_item_result result = {
        .status = MKV_STATUS_OK, .length = length, .root = mkv_root_of_sums(length, &sum)};
    push(pushed, 0);
    answer(REQUEST, MKV_OP_GET, &result, 1);
}

static void test_answer__get_of_what_is_held__ends_the_request(void **state) {
    (void)state;
    make(MKV_OP_GET, 1);
    hold(1);
    get_ok(1, 1);
    assert_int_equal(world->request_count, 0);
    assert_true(world->lives.report->operations == 1);
}

static void test_answer__twice_or_to_nobody__fires_o10(void **state) {
    (void)state;
    const struct mkv_item_result miss = {.status = MKV_STATUS_NOT_FOUND, .miss = MKV_MISS_UNKNOWN};
    make(MKV_OP_GET, 1);
    answer(REQUEST, MKV_OP_GET, &miss, 1);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(REQUEST, MKV_OP_GET, &miss, 1));
    make(MKV_OP_GET, 1);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(REQUEST + 1, MKV_OP_GET, &miss, 1));
}

static void test_answer__other_op_or_count__fires_o10(void **state) {
    (void)state;
    const struct mkv_item_result misses[2] = {{.status = MKV_STATUS_NOT_FOUND},
                                              {.status = MKV_STATUS_NOT_FOUND}};
    make(MKV_OP_GET, 2);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(REQUEST, MKV_OP_GET, misses, 1));
    make(MKV_OP_GET, 2);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(REQUEST, MKV_OP_EXISTS, misses, 2));
}

static void test_answer__status_without_reason__fires_o10(void **state) {
    (void)state;
    const struct mkv_item_result result = {.status = MKV_STATUS_IO_ERROR};
    make(MKV_OP_PUT, 1);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(REQUEST, MKV_OP_PUT, &result, 1));
}

static void test_push__one_wrong_byte__fires_o1(void **state) {
    (void)state;
    make(MKV_OP_GET, 1);
    hold(1);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, push(1, 1));
}

static void test_answer__old_version_was_pushed__fires_o2(void **state) {
    (void)state;
    make(MKV_OP_GET, 1);
    mkv_model_cancel(&world->lives.model, 0, world->requests[0].items[0].place);
    hold(1);
    hold(3);
    world->requests[0].items[0].place = mkv_model_invoke(&world->lives.model, 0, MKV_MODEL_READ, 0);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, get_ok(1, 1));
}

static void test_answer__ok_with_bytes_missing__fires_o1(void **state) {
    (void)state;
    make(MKV_OP_GET, 1);
    hold(1);
    const struct mkv_item_result result = {
        .status = MKV_STATUS_OK, .length = mkv_content_length(&world->lives.content, 0, 1)};
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, answer(REQUEST, MKV_OP_GET, &result, 1));
}

static void test_pull__of_a_request_that_is_over__fires_o10(void **state) {
    (void)state;
    const struct mkv_item_result ok = {.status = MKV_STATUS_OK};
    const struct mkv_transfer_effect pull = {
        .connection = {1, 1}, .request_id = REQUEST, .bytes = 1};
    make(MKV_OP_PUT, 1);
    mkv_sim_client_pulled(world, &pull, bytes);
    answer(REQUEST, MKV_OP_PUT, &ok, 1);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, mkv_sim_client_pulled(world, &pull, bytes));
}

static void test_gone__connection_closed__abandons_its_requests(void **state) {
    (void)state;
    make(MKV_OP_PUT, 1);
    mkv_sim_client_gone(world, (struct mkv_connection_id){1, 1});
    assert_int_equal(world->request_count, 0);
    assert_int_equal(world->abandoned, 1);
    mkv_model_settle(&world->lives.model);
    assert_true(mkv_model_allows(&world->lives.model, 0, 1));
    assert_true(mkv_model_allows(&world->lives.model, 0, MKV_MODEL_ABSENT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer__get_of_what_is_held__ends_the_request),
        cmocka_unit_test(test_answer__twice_or_to_nobody__fires_o10),
        cmocka_unit_test(test_answer__other_op_or_count__fires_o10),
        cmocka_unit_test(test_answer__status_without_reason__fires_o10),
        cmocka_unit_test(test_push__one_wrong_byte__fires_o1),
        cmocka_unit_test(test_answer__old_version_was_pushed__fires_o2),
        cmocka_unit_test(test_answer__ok_with_bytes_missing__fires_o1),
        cmocka_unit_test(test_pull__of_a_request_that_is_over__fires_o10),
        cmocka_unit_test(test_gone__connection_closed__abandons_its_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
