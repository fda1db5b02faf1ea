/* SPDX-License-Identifier: Apache-2.0 */
/* What the observer keeps of a request that is traced. */
#include "server/observer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SPANS_MAX 4u

struct world {
    struct mkv_fabric fabric;
    uint8_t arena[64];
    uint32_t span_count;
    struct mkv_span spans[SPANS_MAX];
    struct mkv_tracer *tracer;
    struct mkv_observer *observer;
};

static struct mkv_span *reserve(void *context) {
    struct world *world = context;
    assert_true(world->span_count < SPANS_MAX);
    return &world->spans[world->span_count];
}

static void commit(void *context) {
    struct world *world = context;
    world->span_count++;
}

static void tenant_name(void *context, uint32_t id, char name[MKV_ADMIN_TENANT_BYTES]) {
    (void)context;
    snprintf(name, MKV_ADMIN_TENANT_BYTES, "tenant-%u", id);
}

static void world_make(struct world *world, uint64_t ratio) {
    memset(world, 0, sizeof *world);
    const struct mkv_trace_options trace = {
        .sink = {.context = world, .reserve = reserve, .commit = commit},
        .sampling_ratio = ratio,
        .seed = 1,
    };
    world->tracer = mkv_tracer_create(&trace);
    assert_non_null(world->tracer);
    const struct mkv_observer_options options = {
        .connections_max = 1,
        .slow_ns = 0, /* everything is slow */
        .fabric = &world->fabric,
        .tenant_name = tenant_name,
        .tracer = world->tracer,
    };
    world->observer = mkv_observer_create(&options);
    assert_non_null(world->observer);
}

static void world_end(struct world *world) {
    mkv_observer_destroy(world->observer);
    mkv_tracer_destroy(world->tracer);
}

/* Ends a get with this context; what the slow requests and the examples then name, zeroes for
 * none. */
static void end_get(struct world *world, const struct mkv_trace_context *context,
                    struct mkv_trace_context *slow_out, uint8_t example_out[MKV_TRACE_ID_BYTES]) {
    const struct mkv_request_summary summary = {
        .op = MKV_OP_GET,
        .tenant = 3,
        .volume = MKV_NONE_U32,
        .item_count = 1,
        .bytes_out = MKV_ADMIN_SMALL_BYTES,
        .received_ns = 1000,
        .ended_ns = 2000,
        .trace = *context,
    };
    mkv_observer_request_ended(world->observer, &summary, world->arena + summary.key_offset);
    struct mkv_admin_slow *slow = calloc(1, sizeof *slow);
    struct mkv_admin_exemplars *exemplars = calloc(1, sizeof *exemplars);
    assert_non_null(slow);
    assert_non_null(exemplars);
    assert_int_equal(mkv_observer_slow(world->observer, slow, 1), 1);
    *slow_out = slow->trace;
    mkv_observer_exemplars(world->observer, MKV_OP_GET, exemplars);
    memset(example_out, 0, MKV_TRACE_ID_BYTES);
    for (uint32_t i = 0; i <= MKV_HISTOGRAM_BOUNDS; i++) {
        const struct mkv_admin_exemplar *found = &exemplars->buckets[i];
        if (found->value_ns != 0) {
            memcpy(example_out, found->trace_id, MKV_TRACE_ID_BYTES);
        }
    }
    free(exemplars);
    free(slow);
}

static void test_observer__a_trace_that_the_node_begins__is_named(void **state) {
    (void)state;
    struct world world;
    struct mkv_trace_context slow;
    uint8_t example[MKV_TRACE_ID_BYTES];
    const struct mkv_trace_context none = {0};
    world_make(&world, MKV_TRACE_RATIO_ONE);
    end_get(&world, &none, &slow, example);
    assert_int_equal(world.span_count, 1);
    assert_memory_equal(slow.trace_id, world.spans[0].trace_id, MKV_TRACE_ID_BYTES);
    assert_memory_equal(example, world.spans[0].trace_id, MKV_TRACE_ID_BYTES);
    assert_memory_not_equal(example, none.trace_id, MKV_TRACE_ID_BYTES);
    assert_memory_equal(slow.parent_id, none.parent_id, sizeof none.parent_id);
    assert_string_equal(world.spans[0].copied, "tenant-3");
    world_end(&world);
}

static void test_observer__a_trace_that_is_not_sampled__no_span_and_no_example(void **state) {
    (void)state;
    struct world world;
    struct mkv_trace_context slow;
    uint8_t example[MKV_TRACE_ID_BYTES];
    const struct mkv_trace_context none = {0};
    const struct mkv_trace_context unsampled = {.trace_id = {7}, .parent_id = {8}, .flags = 0};
    world_make(&world, 0);
    end_get(&world, &none, &slow, example);
    assert_memory_equal(&slow, &none, sizeof none);
    assert_memory_equal(example, none.trace_id, sizeof example);
    /* What the client brought is told all the same. */
    end_get(&world, &unsampled, &slow, example);
    assert_memory_equal(&slow, &unsampled, sizeof unsampled);
    assert_memory_equal(example, none.trace_id, sizeof example);
    assert_int_equal(world.span_count, 0);
    world_end(&world);
}

static void test_observer__a_sampled_trace_of_the_client__is_gone_on_with(void **state) {
    (void)state;
    struct world world;
    struct mkv_trace_context slow;
    uint8_t example[MKV_TRACE_ID_BYTES];
    const struct mkv_trace_context sampled = {.trace_id = {7}, .parent_id = {8}, .flags = 1};
    world_make(&world, 0);
    end_get(&world, &sampled, &slow, example);
    assert_memory_equal(&slow, &sampled, sizeof sampled);
    assert_memory_equal(example, sampled.trace_id, sizeof example);
    assert_int_equal(world.span_count, 1);
    assert_memory_equal(world.spans[0].trace_id, sampled.trace_id, sizeof example);
    assert_memory_equal(world.spans[0].parent_id, sampled.parent_id, sizeof sampled.parent_id);
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_observer__a_trace_that_the_node_begins__is_named),
        cmocka_unit_test(test_observer__a_trace_that_is_not_sampled__no_span_and_no_example),
        cmocka_unit_test(test_observer__a_sampled_trace_of_the_client__is_gone_on_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
