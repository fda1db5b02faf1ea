/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/volume_world.h"

#include "tests/unit/sim/test.h"

/* Answers as a volume might give them, to clients that are put into a state by hand. */

static struct volume_world *world;

static void make(enum client_state client_state, enum mkv_model_kind kind) {
    struct mkv_memory *memory = test_memory();
    static struct mkv_shape shape;
    static struct mkv_world_report report;
    shape = (struct mkv_shape){.key_count = 2};
    report = (struct mkv_world_report){0};
    world = mkv_memory_take(memory, sizeof *world, 64);
    memset(world, 0, sizeof *world);
    world->lives.shape = &shape;
    world->lives.report = &report;
    mkv_random_seed(&world->lives.randoms[MKV_CONCERN_FABRIC], 1, MKV_CONCERN_FABRIC);
    mkv_content_init(&world->lives.content, memory, 1, 2, 0, MKV_KEY_BYTES_MAX, MKV_UNIT_BYTES);
    mkv_model_init(&world->lives.model, memory, 2, true);
    world->slab_stride = 2 * MKV_UNIT_BYTES;
    world->slabs = mkv_memory_take(memory, MKV_CLIENTS_MAX * world->slab_stride, MKV_UNIT_BYTES);
    world->clients[0] = (struct client){
        .state = client_state,
        .generation = 3,
        .version = 1,
        .place = mkv_model_invoke(&world->lives.model, 0, kind, 1),
    };
    world->busy_count = 1;
}

static void answer(enum mkv_message_kind kind, enum mkv_status status, uint32_t generation) {
    const struct mkv_message message = {
        .kind = kind, .status = status, .front_op = {0, generation}, .miss = MKV_MISS_UNKNOWN};
    mkv_volume_client_answer(world, &message, NULL);
}

static void test_answer__once__ends_the_operation(void **state) {
    (void)state;
    make(CLIENT_FINDING, MKV_MODEL_READ);
    answer(MKV_MESSAGE_FOUND, MKV_STATUS_NOT_FOUND, 3);
    assert_int_equal(world->busy_count, 0);
    assert_int_equal(world->clients[0].state, CLIENT_FREE);
    assert_true(world->lives.report->operations == 1);
}

static void test_answer__twice_or_to_nobody__fires_o10(void **state) {
    (void)state;
    make(CLIENT_FINDING, MKV_MODEL_READ);
    answer(MKV_MESSAGE_FOUND, MKV_STATUS_NOT_FOUND, 3);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_FOUND, MKV_STATUS_NOT_FOUND, 3));
    make(CLIENT_FINDING, MKV_MODEL_READ);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_FOUND, MKV_STATUS_NOT_FOUND, 2));
}

static void test_answer__of_another_kind_or_without_reason__fires_o10(void **state) {
    (void)state;
    make(CLIENT_FINDING, MKV_MODEL_READ);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_READ_DONE, MKV_STATUS_OK, 3));
    make(CLIENT_DELETING, MKV_MODEL_DELETE);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_PUT_READY, MKV_STATUS_OK, 3));
    make(CLIENT_BEGUN, MKV_MODEL_PUT);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_PUT_DONE, MKV_STATUS_UNAVAILABLE, 3));
    make(CLIENT_BEGUN, MKV_MODEL_PUT);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_PUT_BEGIN, MKV_STATUS_OK, 3));
}

static void read_done(uint32_t version, uint32_t flip) {
    const uint32_t length = mkv_content_length(&world->lives.content, 0, version);
    uint8_t *payload = client_slab(world, 0) + MKV_UNIT_BYTES;
    mkv_content_fill(&world->lives.content, 0, version, 0, payload, length);
    payload[length / 2] ^= (uint8_t)flip;
    const struct mkv_message message = {
        .kind = MKV_MESSAGE_READ_DONE, .front_op = {0, 3}, .length = length, .bytes = length};
    mkv_volume_client_answer(world, &message, NULL);
}

static void test_read__one_wrong_byte__fires_o1(void **state) {
    (void)state;
    make(CLIENT_READING, MKV_MODEL_READ);
    mkv_model_answer(&world->lives.model, 0,
                     mkv_model_invoke(&world->lives.model, 0, MKV_MODEL_PUT, 1), MKV_MODEL_OK);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, read_done(1, 1));
}

static void test_read__other_range_than_asked_for__fires_o1(void **state) {
    (void)state;
    make(CLIENT_READING, MKV_MODEL_READ);
    const struct mkv_message message = {
        .kind = MKV_MESSAGE_READ_DONE, .front_op = {0, 3}, .length = 100, .bytes = 50};
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, mkv_volume_client_answer(world, &message, NULL));
}

static void make_stray(enum client_state client_state) {
    make(client_state, MKV_MODEL_READ);
    world->clients[0].strays = true;
    world->clients[0].tenant = 1;
}

static void test_answer__to_another_tenants_key__is_not_found_or_fires_o15(void **state) {
    (void)state;
    make_stray(CLIENT_FINDING);
    answer(MKV_MESSAGE_FOUND, MKV_STATUS_NOT_FOUND, 3);
    assert_int_equal(world->clients[0].state, CLIENT_FREE);
    assert_false(world->clients[0].strays);
    make_stray(CLIENT_DELETING); /* of a tenant that was dropped */
    answer(MKV_MESSAGE_DELETE_DONE, MKV_STATUS_FORBIDDEN, 3);
    make_stray(CLIENT_FINDING);
    EXPECT_FAILURE(MKV_ORACLE_TENANT, answer(MKV_MESSAGE_FOUND, MKV_STATUS_OK, 3));
    make_stray(CLIENT_ASKING);
    EXPECT_FAILURE(MKV_ORACLE_TENANT, answer(MKV_MESSAGE_EXISTS_DONE, MKV_STATUS_OK, 3));
    make_stray(CLIENT_DELETING);
    EXPECT_FAILURE(MKV_ORACLE_TENANT, answer(MKV_MESSAGE_DELETE_DONE, MKV_STATUS_OK, 3));
    make_stray(CLIENT_ASKING);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_FOUND, MKV_STATUS_NOT_FOUND, 3));
    make_stray(CLIENT_FINDING);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_FOUND, MKV_STATUS_FORBIDDEN, 3));
}

static void test_read__bytes_of_another_tenants_key__fires_o15(void **state) {
    (void)state;
    make(CLIENT_READING, MKV_MODEL_READ);
    struct mkv_shape shape = *world->lives.shape;
    shape.tenants = true; /* key 1 is the second one's */
    world->lives.shape = &shape;
    mkv_model_answer(&world->lives.model, 1,
                     mkv_model_invoke(&world->lives.model, 1, MKV_MODEL_PUT, 1), MKV_MODEL_OK);
    const uint32_t length = mkv_content_length(&world->lives.content, 1, 1);
    mkv_content_fill(&world->lives.content, 1, 1, 0, client_slab(world, 0) + MKV_UNIT_BYTES,
                     length);
    const struct mkv_message message = {
        .kind = MKV_MESSAGE_READ_DONE, .front_op = {0, 3}, .length = length, .bytes = length};
    EXPECT_FAILURE(MKV_ORACLE_TENANT, mkv_volume_client_answer(world, &message, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer__once__ends_the_operation),
        cmocka_unit_test(test_answer__twice_or_to_nobody__fires_o10),
        cmocka_unit_test(test_answer__of_another_kind_or_without_reason__fires_o10),
        cmocka_unit_test(test_read__one_wrong_byte__fires_o1),
        cmocka_unit_test(test_read__other_range_than_asked_for__fires_o1),
        cmocka_unit_test(test_answer__to_another_tenants_key__is_not_found_or_fires_o15),
        cmocka_unit_test(test_read__bytes_of_another_tenants_key__fires_o15),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
