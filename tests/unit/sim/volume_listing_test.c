/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bytes.h"
#include "sim/volume_world.h"

#include "tests/unit/sim/test.h"

/* Answers to a client whose listing covers two keys, of which key 0 holds a block. */

static struct volume_world *world;
static uint8_t data[4096];
static uint32_t data_bytes;

static void make(enum client_state client_state) {
    struct mkv_memory *memory = test_memory();
    static struct mkv_shape shape;
    static struct mkv_world_report report;
    shape = (struct mkv_shape){.key_count = 2};
    report = (struct mkv_world_report){0};
    world = mkv_memory_take(memory, sizeof *world, 64);
    memset(world, 0, sizeof *world);
    world->lives.shape = &shape;
    world->lives.report = &report;
    mkv_content_init(&world->lives.content, memory, 1, 2, 0, MKV_KEY_BYTES_MAX, MKV_UNIT_BYTES);
    struct mkv_model *model = &world->lives.model;
    mkv_model_init(model, memory, 2, true);
    mkv_model_answer(model, 0, mkv_model_invoke(model, 0, MKV_MODEL_PUT, 1), MKV_MODEL_OK);
    struct client *client = &world->clients[0];
    *client = (struct client){.state = client_state, .generation = 3, .listed_keys = 3};
    for (uint32_t key = 0; key < 2; key++) {
        client->places[key] = mkv_model_invoke(
            model, key, client_state == CLIENT_PURGING ? MKV_MODEL_PURGE : MKV_MODEL_READ, 0);
    }
    world->busy_count = 1;
    data_bytes = 0;
}

static void entry(uint32_t key) {
    const struct mkv_content_key *content = &world->lives.content.keys[key];
    uint8_t *target = data + data_bytes;
    memset(target, 0, MKV_SCAN_ENTRY_BYTES);
    mkv_store_u16(target + 12, (uint16_t)content->byte_count);
    memcpy(target + MKV_SCAN_ENTRY_BYTES, content->bytes, content->byte_count);
    data_bytes += MKV_SCAN_ENTRY_BYTES + content->byte_count;
}

static void answer(enum mkv_message_kind kind, enum mkv_status status, uint64_t count,
                   uint32_t flags) {
    const struct mkv_message message = {
        .kind = kind,
        .status = status,
        .front_op = {0, 3},
        .count = count,
        .flags = flags,
        .data_bytes = data_bytes,
    };
    mkv_volume_client_answer(world, &message, data);
}

static void test_scan__lists_what_there_is__ends_the_operation(void **state) {
    (void)state;
    make(CLIENT_SCANNING);
    entry(0);
    answer(MKV_MESSAGE_SCAN_DONE, MKV_STATUS_OK, 1, 0);
    assert_int_equal(world->busy_count, 0);
    assert_int_equal(world->lives.model.keys[0].op_count, 0);
    assert_int_equal(world->lives.model.keys[1].op_count, 0);
}

static void test_scan__lacks_a_key__fires_o1(void **state) {
    (void)state;
    make(CLIENT_SCANNING);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, answer(MKV_MESSAGE_SCAN_DONE, MKV_STATUS_OK, 0, 0));
}

static void test_scan__lists_what_is_not_there_or_twice__fires_o2(void **state) {
    (void)state;
    make(CLIENT_SCANNING);
    entry(0);
    entry(1);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, answer(MKV_MESSAGE_SCAN_DONE, MKV_STATUS_OK, 2, 0));
    make(CLIENT_SCANNING);
    entry(0);
    entry(0);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, answer(MKV_MESSAGE_SCAN_DONE, MKV_STATUS_OK, 2, 0));
    make(CLIENT_SCANNING);
    world->clients[0].listed_keys = 2;
    entry(0);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, answer(MKV_MESSAGE_SCAN_DONE, MKV_STATUS_OK, 1, 0));
}

static void test_scan__more_behind_nothing__fires_o10(void **state) {
    (void)state;
    make(CLIENT_SCANNING);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS,
                   answer(MKV_MESSAGE_SCAN_DONE, MKV_STATUS_OK, 0, MKV_SCAN_MORE));
}

static void test_count__of_another_number_of_keys__fires_o1_or_o2(void **state) {
    (void)state;
    make(CLIENT_COUNTING);
    answer(MKV_MESSAGE_COUNT_DONE, MKV_STATUS_OK, 1, 0);
    make(CLIENT_COUNTING);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, answer(MKV_MESSAGE_COUNT_DONE, MKV_STATUS_OK, 0, 0));
    make(CLIENT_COUNTING);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, answer(MKV_MESSAGE_COUNT_DONE, MKV_STATUS_OK, 2, 0));
}

static void test_purge__ok__the_keys_hold_nothing(void **state) {
    (void)state;
    make(CLIENT_PURGING);
    answer(MKV_MESSAGE_PURGE_DONE, MKV_STATUS_OK, 1, 0);
    assert_false(mkv_model_allows(&world->lives.model, 0, 1));
    assert_true(mkv_model_allows(&world->lives.model, 0, MKV_MODEL_ABSENT));
}

static void test_purge__busy_or_unavailable__nothing_or_some_of_it_has_happened(void **state) {
    (void)state;
    make(CLIENT_PURGING);
    answer(MKV_MESSAGE_PURGE_DONE, MKV_STATUS_BUSY, 0, 0);
    assert_false(mkv_model_allows(&world->lives.model, 0, MKV_MODEL_ABSENT));
    make(CLIENT_PURGING);
    answer(MKV_MESSAGE_PURGE_DONE, MKV_STATUS_UNAVAILABLE, 0, 0);
    mkv_model_settle(&world->lives.model);
    assert_true(mkv_model_allows(&world->lives.model, 0, MKV_MODEL_ABSENT));
    assert_true(mkv_model_allows(&world->lives.model, 0, 1));
}

static void test_listing__answer_of_another_kind_or_without_reason__fires_o10(void **state) {
    (void)state;
    make(CLIENT_SCANNING);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_COUNT_DONE, MKV_STATUS_OK, 1, 0));
    make(CLIENT_PURGING);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, answer(MKV_MESSAGE_PURGE_DONE, MKV_STATUS_FORBIDDEN, 0, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan__lists_what_there_is__ends_the_operation),
        cmocka_unit_test(test_scan__lacks_a_key__fires_o1),
        cmocka_unit_test(test_scan__lists_what_is_not_there_or_twice__fires_o2),
        cmocka_unit_test(test_scan__more_behind_nothing__fires_o10),
        cmocka_unit_test(test_count__of_another_number_of_keys__fires_o1_or_o2),
        cmocka_unit_test(test_purge__ok__the_keys_hold_nothing),
        cmocka_unit_test(test_purge__busy_or_unavailable__nothing_or_some_of_it_has_happened),
        cmocka_unit_test(test_listing__answer_of_another_kind_or_without_reason__fires_o10),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
