/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process fabric under a scripted sink: one request at a time, its effects by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/fabric_local.h"
#include "core/hash.h"

#define LENGTH 200000u

struct world {
    struct mkv_arena *arena;
    struct mkv_fabric_local *fabric;
    struct mkv_fabric *base;
    struct mkv_input inputs[16];
    uint64_t sums[16][4];
    uint32_t input_count;
    uint32_t done_count;
    struct mkv_item_result results[1]; /* the front's arena begins at the world */
};

static void sink(void *context, struct mkv_input *input) {
    struct world *world = context;
    assert_true(world->input_count < 16);
    world->inputs[world->input_count] = *input;
    if (input->kind == MKV_INPUT_FABRIC_DONE && input->fabric.sum_count > 0) {
        memcpy(world->sums[world->input_count], input->fabric.sums,
               input->fabric.sum_count * sizeof(uint64_t));
    }
    world->input_count++;
}

static void done(void *context, struct mkv_fabric_local_request *request) {
    struct world *world = context;
    (void)request;
    world->done_count++;
}

static struct world *world_create(void) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    struct mkv_backend_error error;
    const struct mkv_arena_options arena_options = {.bytes = 48 * MKV_MIB,
                                                    .hugepages = MKV_HUGEPAGES_AUTO};
    assert_true(mkv_arena_create(&arena_options, &world->arena, &error));
    const struct mkv_fabric_local_options options = {
        .arena = world->arena, .connections_max = 2, .requests_max = 2, .transfers_max = 8};
    world->fabric = mkv_fabric_local_create(&options);
    assert_non_null(world->fabric);
    world->base = mkv_fabric_local_base(world->fabric);
    world->base->sink = (struct mkv_fabric_sink){world, sink};
    return world;
}

static void world_destroy(struct world *world) {
    world->base->ops->stop(world->base);
    for (uint32_t i = 0; i < 4; i++) {
        world->base->ops->poll(world->base, 0);
    }
    assert_true(world->base->ops->is_idle(world->base));
    world->base->ops->destroy(world->base);
    mkv_arena_destroy(world->arena);
    free(world);
}

static void poll(struct world *world) {
    world->base->ops->poll(world->base, 0);
}

static void submit(struct world *world, enum mkv_effect_kind kind,
                   const struct mkv_fabric_local_request *request, uint64_t offset,
                   uint32_t bytes) {
    struct mkv_effect effect = {.kind = kind, .op = {7, 1}};
    const struct mkv_connection_id connection = world->inputs[0].request.connection;
    if (kind == MKV_EFFECT_ANSWER) {
        effect.answer = (struct mkv_answer_effect){
            .connection = connection,
            .request_id = request->place,
            .op = request->op,
            .result_count = 1,
            .results_offset = offsetof(struct world, results),
        };
    } else {
        effect.transfer = (struct mkv_transfer_effect){
            .connection = connection,
            .request_id = request->place,
            .offset = offset,
            .bytes = bytes,
            .slab = {4},
        };
    }
    const uint32_t inputs = world->input_count;
    world->base->ops->submit(world->base, &effect, (const uint8_t *)world);
    assert_int_equal(world->input_count, inputs); /* never from within submit */
}

static void test_fabric_local__put__pulls_from_the_caller_with_sums(void **state) {
    (void)state;
    struct world *world = world_create();
    uint8_t *bytes = malloc(LENGTH);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < LENGTH; i++) {
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    const struct mkv_request_item item = {.key_bytes = 3, .length = LENGTH};
    const struct mkv_fabric_local_payload payload = {.bytes = bytes};
    struct mkv_item_result result = {0};
    struct mkv_fabric_local_request request = {
        .connection = 1,
        .op = MKV_OP_PUT,
        .item_count = 1,
        .items = &item,
        .keys = (const uint8_t *)"key",
        .keys_bytes = 3,
        .payloads = &payload,
        .results = &result,
        .done = done,
        .context = world,
    };
    assert_true(mkv_fabric_local_start(world->fabric, &request));
    assert_int_equal(world->inputs[0].kind, MKV_INPUT_REQUEST);
    assert_int_equal(world->inputs[0].request.connection.index, 1);
    submit(world, MKV_EFFECT_PULL, &request, 0, LENGTH);
    poll(world);
    assert_int_equal(world->inputs[1].fabric.event, MKV_FABRIC_PULL_DONE);
    uint64_t sums[4];
    mkv_chunk_sums(bytes, LENGTH, sums);
    assert_memory_equal(world->sums[1], sums, sizeof sums);
    assert_memory_equal(mkv_arena_slab(world->arena, (struct mkv_slab){4}) + MKV_UNIT_BYTES, bytes,
                        LENGTH);
    /* A part, as of a value in segments. */
    submit(world, MKV_EFFECT_PULL, &request, 100000, 50000);
    poll(world);
    assert_int_equal(world->sums[2][0], mkv_hash_64(bytes + 100000, 50000));
    world->results[0].length = 77;
    submit(world, MKV_EFFECT_ANSWER, &request, 0, 0);
    assert_int_equal(world->done_count, 0);
    poll(world);
    assert_int_equal(world->inputs[3].fabric.event, MKV_FABRIC_ANSWER_DONE);
    assert_int_equal(world->done_count, 1);
    assert_int_equal(result.length, 77);
    assert_int_equal(mkv_fabric_local_in_flight(world->fabric), 0);
    free(bytes);
    world_destroy(world);
}

static void test_fabric_local__known_sums__are_not_computed_again(void **state) {
    (void)state;
    struct world *world = world_create();
    const uint64_t sums[4] = {1, 2, 3, 4};
    const struct mkv_request_item item = {.key_bytes = 3, .length = LENGTH};
    const struct mkv_fabric_local_payload payload = {.sums = sums};
    struct mkv_item_result result;
    struct mkv_fabric_local_request request = {
        .op = MKV_OP_PUT,
        .item_count = 1,
        .items = &item,
        .keys = (const uint8_t *)"key",
        .keys_bytes = 3,
        .payloads = &payload,
        .results = &result,
        .done = done,
        .context = world,
    };
    assert_true(mkv_fabric_local_start(world->fabric, &request));
    submit(world, MKV_EFFECT_PULL, &request, 0, LENGTH);
    poll(world);
    assert_memory_equal(world->sums[1], sums, sizeof sums);
    submit(world, MKV_EFFECT_ANSWER, &request, 0, 0);
    poll(world);
    world_destroy(world);
}

static void test_fabric_local__range_of_a_get__lands_at_the_start_of_the_buffer(void **state) {
    (void)state;
    struct world *world = world_create();
    uint8_t bytes[1000] = {0};
    const struct mkv_request_item item = {.key_bytes = 3, .offset = 5000, .length = 1000};
    const struct mkv_fabric_local_payload payload = {.bytes = bytes};
    struct mkv_item_result result;
    struct mkv_fabric_local_request request = {
        .op = MKV_OP_GET,
        .item_count = 1,
        .items = &item,
        .keys = (const uint8_t *)"key",
        .keys_bytes = 3,
        .payloads = &payload,
        .results = &result,
        .done = done,
        .context = world,
    };
    assert_true(mkv_fabric_local_start(world->fabric, &request));
    uint8_t *slab = mkv_arena_slab(world->arena, (struct mkv_slab){4}) + MKV_UNIT_BYTES;
    memset(slab, 0x42, 600);
    submit(world, MKV_EFFECT_PUSH, &request, 5000, 600);
    memset(slab, 0x43, 400);
    submit(world, MKV_EFFECT_PUSH, &request, 5600, 400);
    submit(world, MKV_EFFECT_ANSWER, &request, 0, 0);
    poll(world);
    assert_int_equal(bytes[0], 0x42);
    assert_int_equal(bytes[599], 0x42);
    assert_int_equal(bytes[600], 0x43);
    assert_int_equal(bytes[999], 0x43);
    assert_int_equal(world->inputs[3].fabric.event, MKV_FABRIC_ANSWER_DONE);
    world_destroy(world);
}

static void test_fabric_local__break__fails_then_closes_then_calls_back(void **state) {
    (void)state;
    struct world *world = world_create();
    const struct mkv_request_item item = {.key_bytes = 3, .length = 100};
    const struct mkv_fabric_local_payload payload = {0};
    struct mkv_item_result result;
    struct mkv_fabric_local_request request = {
        .op = MKV_OP_GET,
        .item_count = 1,
        .items = &item,
        .keys = (const uint8_t *)"key",
        .keys_bytes = 3,
        .payloads = &payload,
        .results = &result,
        .done = done,
        .context = world,
    };
    assert_true(mkv_fabric_local_start(world->fabric, &request));
    submit(world, MKV_EFFECT_PUSH, &request, 0, 100);
    submit(world, MKV_EFFECT_BREAK, &request, 0, 0);
    assert_false(mkv_fabric_local_start(world->fabric, &request));
    poll(world);
    assert_int_equal(world->inputs[1].fabric.event, MKV_FABRIC_PUSH_DONE);
    assert_int_equal(world->inputs[1].fabric.transfer, MKV_TRANSFER_FAILED);
    assert_int_equal(world->inputs[2].fabric.event, MKV_FABRIC_CONNECTION_CLOSED);
    assert_int_equal(world->done_count, 1);
    assert_int_equal(request.status, MKV_STATUS_UNAVAILABLE);
    /* The next one is another connection to the front. */
    assert_true(mkv_fabric_local_start(world->fabric, &request));
    assert_int_equal(world->inputs[3].request.connection.generation,
                     world->inputs[0].request.connection.generation + 1);
    world_destroy(world);
}

static void test_fabric_local__no_place__start_refuses(void **state) {
    (void)state;
    struct world *world = world_create();
    const struct mkv_request_item item = {.key_bytes = 3};
    struct mkv_item_result result;
    struct mkv_fabric_local_request requests[3];
    for (uint32_t i = 0; i < 3; i++) {
        requests[i] = (struct mkv_fabric_local_request){
            .op = MKV_OP_EXISTS,
            .item_count = 1,
            .items = &item,
            .keys = (const uint8_t *)"key",
            .keys_bytes = 3,
            .results = &result,
            .done = done,
            .context = world,
        };
        assert_int_equal(mkv_fabric_local_start(world->fabric, &requests[i]), i < 2);
    }
    assert_int_equal(mkv_fabric_local_in_flight(world->fabric), 2);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_local__put__pulls_from_the_caller_with_sums),
        cmocka_unit_test(test_fabric_local__known_sums__are_not_computed_again),
        cmocka_unit_test(test_fabric_local__range_of_a_get__lands_at_the_start_of_the_buffer),
        cmocka_unit_test(test_fabric_local__break__fails_then_closes_then_calls_back),
        cmocka_unit_test(test_fabric_local__no_place__start_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
