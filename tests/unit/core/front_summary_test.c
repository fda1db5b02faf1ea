/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a request when it has ended. That each ends once, behind all of its effects, and
 * that its stages add up, the world checks for every request of every test. */
#include <string.h>

#include "tests/unit/core/front_world.h"

static const struct mkv_request_summary *ended(struct world *world, uint32_t request) {
    assert_int_equal(world->requests[request].ends, 1);
    return &world->requests[request].summary;
}

static void test_summary__get__has_key_times_bytes_and_trace(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, 1000);
    world_run(world);
    world_hold(world, GATE_PUSH);
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    assert_int_equal(world->requests[get].ends, 0);
    world_wait(world, 300);
    world_release(world, GATE_PUSH);
    const struct mkv_request_summary *summary = ended(world, get);
    assert_string_equal(world->requests[get].ended_key, "key");
    assert_int_equal(summary->op, MKV_OP_GET);
    assert_int_equal(summary->status, MKV_STATUS_OK);
    assert_false(summary->refused);
    assert_int_equal(summary->item_count, 1);
    assert_int_equal(summary->keys_from_drive, 1);
    assert_int_equal(summary->keys_from_memory, 0);
    assert_int_equal(summary->bytes_in, 0);
    assert_int_equal(summary->bytes_out, 1000);
    assert_int_equal(summary->trace.trace_id[0], (uint8_t)get);
    assert_int_equal(summary->stage_ns[MKV_STAGE_PARSE], WORLD_PARSE_NS);
    assert_int_equal(summary->stage_ns[MKV_STAGE_PUSH], 300);
    assert_int_equal(summary->ended_ns - summary->received_ns, WORLD_PARSE_NS + 300);
    world_close(world);
}

static void test_summary__put_waits_everywhere__each_stage_has_its_time(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PUT_READY);
    world_hold(world, GATE_PULL);
    world_hold(world, GATE_PUT_DONE);
    world_hold(world, GATE_ANSWER);
    const uint32_t put = world_put(world, "key", 5, 1000);
    world_wait(world, 100);
    world_release(world, GATE_PUT_READY);
    world_wait(world, 200);
    world_release(world, GATE_PULL);
    world_wait(world, 1000);
    world->drive_ns = 400;
    world->flush_ns = 600;
    world_release(world, GATE_PUT_DONE);
    world_wait(world, 50);
    world_release(world, GATE_ANSWER);
    const struct mkv_request_summary *summary = ended(world, put);
    assert_int_equal(summary->stage_ns[MKV_STAGE_ROUTE], 100);
    assert_int_equal(summary->stage_ns[MKV_STAGE_PULL], 200);
    assert_int_equal(summary->stage_ns[MKV_STAGE_WRITE], 400);
    assert_int_equal(summary->stage_ns[MKV_STAGE_FLUSH], 600);
    assert_int_equal(summary->stage_ns[MKV_STAGE_REPLY], 50);
    assert_int_equal(summary->drive_ns, 400);
    assert_true(summary->volume < WORLD_VOLUMES);
    assert_int_equal(summary->bytes_in, 1000);
    world_close(world);
}

static void test_summary__several_items__moment_counts_for_the_last_stage(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "there", 5, 1000);
    world_run(world);
    world_hold(world, GATE_READ_DONE);
    world_hold(world, GATE_ANSWER);
    const struct world_item items[] = {{.key = "there"}, {.key = "missing"}};
    const uint32_t get = world_send(world, 0, MKV_OP_GET, items, 2);
    world_run(world);
    world_wait(world, 700);
    world->drive_ns = 650;
    world_release(world, GATE_READ_DONE);
    world_wait(world, 10);
    world_release(world, GATE_ANSWER);
    const struct mkv_request_summary *summary = ended(world, get);
    assert_int_equal(summary->stage_ns[MKV_STAGE_READ], 700);
    assert_int_equal(summary->stage_ns[MKV_STAGE_REPLY], 10);
    assert_int_equal(summary->drive_ns, 650);
    assert_int_equal(summary->keys_from_drive, 1);
    assert_int_equal(summary->miss, MKV_MISS_UNKNOWN);
    assert_int_equal(summary->status, MKV_STATUS_OK);
    world_close(world);
}

/* Two puts of one request: until the last data is on the drive it is written, then flushed. */
static void test_summary__puts_end_one_after_another__cut_behind_the_last_data(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PUT_DONE);
    const struct world_item items[] = {{.key = "a", .seed = 5, .length = 100},
                                       {.key = "b", .seed = 6, .length = 100}};
    const uint32_t put = world_send(world, 0, MKV_OP_PUT, items, 2);
    world_run(world);
    world_wait(world, 1000);
    world->drive_ns = 800;
    world->flush_ns = 200;
    world_let_one(world, GATE_PUT_DONE);
    world_wait(world, 500);
    world->drive_ns = 900; /* at 900 of 1500: flushed with the first, or later, for 600 */
    world->flush_ns = 600;
    world_release(world, GATE_PUT_DONE);
    const struct mkv_request_summary *summary = ended(world, put);
    assert_int_equal(summary->stage_ns[MKV_STAGE_WRITE], 900);
    assert_int_equal(summary->stage_ns[MKV_STAGE_FLUSH], 600);
    assert_int_equal(summary->drive_ns, 900);
    world_close(world);
}

static void test_summary__waits_for_a_slab__counts_apart(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PULL);
    uint32_t put = 0;
    for (uint32_t count = 0; count < 16; count++) {
        char key[] = "a";
        key[0] = (char)('a' + count);
        put = world_put(world, key, 5, 1000);
    }
    world_run(world);
    world_wait(world, 250);
    world_release(world, GATE_PULL);
    assert_int_equal(ended(world, put)->stage_ns[MKV_STAGE_WAIT_SLAB], 250);
    world_close(world);
}

static void test_summary__refused__is_told_with_its_answer(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_ANSWER);
    const struct world_item item = {.key = "key", .flags = MKV_PUT_REPLACE};
    const uint32_t get = world_send(world, 0, MKV_OP_GET, &item, 1);
    const struct mkv_request_summary *summary = ended(world, get);
    assert_true(summary->refused);
    assert_int_equal(summary->status, MKV_STATUS_INVALID);
    assert_string_equal(world->requests[get].ended_key, "key");
    assert_int_equal(summary->volume, MKV_NONE_U32);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.requests_refused[MKV_OP_GET], 1);
    assert_int_equal(stats.requests_in_flight, 0);
    world_close(world);
}

static void test_summary__connection_closes__is_dropped(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_FOUND);
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    world_wait(world, 90);
    world_close_connection(world, 0);
    const struct mkv_request_summary *summary = ended(world, get);
    assert_true(summary->dropped);
    assert_int_equal(summary->status, MKV_STATUS_UNKNOWN);
    assert_int_equal(summary->stage_ns[MKV_STAGE_ROUTE], 90);
    world_release(world, GATE_FOUND);
    world_close(world);
}

/* More ends at once than one step tells of. */
static void test_summary__connection_closes_with_many__told_in_several_steps(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.requests_max = 200;
    config.requests_per_connection_max = 150;
    config.items_max = 200;
    struct world *world = world_open(&config);
    world_hold(world, GATE_EXISTS_DONE);
    uint32_t last = 0;
    for (uint32_t count = 0; count < 150; count++) {
        last = world_exists(world, "key");
    }
    world_close_connection(world, 0);
    world_release(world, GATE_EXISTS_DONE);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.requests_dropped[MKV_OP_EXISTS], 150);
    assert_int_equal(stats.requests_ended[MKV_OP_EXISTS], 150);
    assert_int_equal(stats.requests_in_flight, 0);
    assert_true(ended(world, last)->dropped);
    world_close(world);
}

/* The drive hangs: what is known of its time then is that it was at least so long. */
static void test_summary__deadline_in_the_drive__drive_time_is_what_has_passed(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PUT_DONE);
    const uint32_t put = world_put(world, "key", 5, 1000);
    world_run(world);
    world_wait(world, WORLD_SECOND);
    const struct mkv_request_summary *summary = ended(world, put);
    assert_int_equal(summary->status, MKV_STATUS_UNKNOWN);
    assert_false(summary->dropped);
    assert_true(summary->drive_ns >= WORLD_SECOND);
    assert_true(summary->stage_ns[MKV_STAGE_WRITE] >= WORLD_SECOND);
    /* It ends once, though its write goes on, and its connection closes first. */
    world_close_connection(world, 0);
    world_release(world, GATE_PUT_DONE);
    world_close(world);
}

static void test_summary__relaxed_put__write_is_not_waited_for(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.memory_blocks_max = 8;
    struct world *world = world_open(&config);
    world_hold(world, GATE_PUT_DONE);
    const struct world_item item = {
        .key = "key", .seed = 5, .length = 1000, .flags = MKV_PUT_RELAXED};
    const uint32_t put = world_send(world, 0, MKV_OP_PUT, &item, 1);
    world_run(world);
    const struct mkv_request_summary *summary = ended(world, put);
    assert_int_equal(summary->status, MKV_STATUS_OK);
    assert_int_equal(summary->drive_ns, 0);
    world_release(world, GATE_PUT_DONE);
    world_close(world);
}

static void test_times__put_and_get__count_by_size_and_add_up(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PULL);
    world_hold(world, GATE_PUT_DONE);
    world_put(world, "small", 5, 1000);
    world_put(world, "large", 5, 100000);
    world_run(world);
    world_wait(world, 60);
    world_release(world, GATE_PULL);
    world_wait(world, 500);
    world->drive_ns = 300;
    world->flush_ns = 200;
    world_release(world, GATE_PUT_DONE);
    world_get(world, "small", 0, 0);
    world_get(world, "large", 0, 0);
    world_run(world);
    const struct mkv_front_times *times = mkv_front_times(world->front);
    assert_int_equal(mkv_histogram_total(&times->request), 4);
    assert_int_equal(mkv_histogram_total(&times->commands[MKV_FRONT_COMMAND_PUT_SMALL]), 1);
    assert_int_equal(mkv_histogram_total(&times->commands[MKV_FRONT_COMMAND_GET_SMALL]), 1);
    assert_int_equal(mkv_histogram_total(&times->commands[MKV_OP_PUT]), 1);
    assert_int_equal(mkv_histogram_total(&times->commands[MKV_OP_GET]), 1);
    assert_int_equal(times->commands[MKV_OP_PUT].sum, 560);
    assert_int_equal(times->batch_items[MKV_OP_PUT].sum, 2);
    assert_int_equal(mkv_histogram_total(&times->allocate), 2);
    assert_int_equal(mkv_histogram_total(&times->persist), 2);
    assert_int_equal(times->persist_before.sum, 2 * (WORLD_PARSE_NS + 60));
    assert_int_equal(times->persist_write.sum, 2 * 300);
    assert_int_equal(times->persist_behind.sum, 2 * 200);
    assert_int_equal(times->persist.sum, 2 * (WORLD_PARSE_NS + 560));
    assert_int_equal(times->stages[MKV_STAGE_WRITE].sum, 2 * 300);
    assert_int_equal(world_stats(world).blocks_in, 2);
    world_close(world);
}

static void test_times__lookup__prefix_is_counted(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "a", 5, 1000);
    world_put(world, "c", 5, 1000);
    world_run(world);
    const struct world_item items[] = {{.key = "a"}, {.key = "b"}, {.key = "c"}};
    world_send(world, 0, MKV_OP_LOOKUP, items, 3);
    world_run(world);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.lookup_keys_asked, 3);
    assert_int_equal(stats.lookup_keys_hit, 1);
    assert_int_equal(mkv_front_times(world->front)->batch_items[MKV_OP_LOOKUP].sum, 3);
    world_close(world);
}

static void test_stats__ops_wait__counted_by_side(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PULL);
    for (uint32_t count = 0; count < 16; count++) {
        char key[] = "a";
        key[0] = (char)('a' + count);
        world_put(world, key, 5, 1000);
    }
    world_run(world);
    const struct mkv_front_stats stats = world_stats(world);
    assert_true(stats.ops_waiting[1] > 0);
    assert_int_equal(stats.ops_waiting[0], 0);
    assert_int_equal(stats.ops_waiting[1], stats.ops_waiting_slab + stats.ops_waiting_credit);
    world_release(world, GATE_PULL);
    world_close(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary__get__has_key_times_bytes_and_trace),
        cmocka_unit_test(test_summary__put_waits_everywhere__each_stage_has_its_time),
        cmocka_unit_test(test_summary__several_items__moment_counts_for_the_last_stage),
        cmocka_unit_test(test_summary__puts_end_one_after_another__cut_behind_the_last_data),
        cmocka_unit_test(test_summary__waits_for_a_slab__counts_apart),
        cmocka_unit_test(test_summary__refused__is_told_with_its_answer),
        cmocka_unit_test(test_summary__connection_closes__is_dropped),
        cmocka_unit_test(test_summary__connection_closes_with_many__told_in_several_steps),
        cmocka_unit_test(test_summary__deadline_in_the_drive__drive_time_is_what_has_passed),
        cmocka_unit_test(test_summary__relaxed_put__write_is_not_waited_for),
        cmocka_unit_test(test_times__put_and_get__count_by_size_and_add_up),
        cmocka_unit_test(test_times__lookup__prefix_is_counted),
        cmocka_unit_test(test_stats__ops_wait__counted_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
