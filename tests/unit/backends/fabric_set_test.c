/* SPDX-License-Identifier: Apache-2.0 */
/* Scripted fabrics under a set: what goes to which of them, and what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/fabric_set.h"

struct scripted {
    struct mkv_fabric base;
    struct mkv_fabric_counters counters;
    uint32_t submits, polls, drains, stops, destroys;
    struct mkv_connection_id last; /* that submit named */
    bool has_work, idle;
};

static struct scripted *scripted_of(const struct mkv_fabric *base) {
    return (struct scripted *)(uintptr_t)base;
}

static void scripted_submit(struct mkv_fabric *base, const struct mkv_effect *effect,
                            const uint8_t *front_arena) {
    struct scripted *scripted = scripted_of(base);
    assert_non_null(front_arena);
    scripted->submits++;
    scripted->last =
        effect->kind == MKV_EFFECT_ANSWER ? effect->answer.connection : effect->transfer.connection;
}

/* Each poll hands in one input that names the fabric. */
static void scripted_poll(struct mkv_fabric *base, uint64_t now_ns) {
    struct scripted *scripted = scripted_of(base);
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE, .now_ns = now_ns};
    input.fabric.connection.index = (uint32_t)scripted->counters.connections_active;
    scripted->polls++;
    base->sink.input(base->sink.context, &input);
}

static bool scripted_has_work(const struct mkv_fabric *base) {
    return scripted_of(base)->has_work;
}

static void scripted_drain(struct mkv_fabric *base) {
    scripted_of(base)->drains++;
}

static void scripted_stop(struct mkv_fabric *base) {
    scripted_of(base)->stops++;
}

static bool scripted_is_idle(const struct mkv_fabric *base) {
    return scripted_of(base)->idle;
}

static void scripted_destroy(struct mkv_fabric *base) {
    scripted_of(base)->destroys++;
}

static const struct mkv_fabric_counters *scripted_counters(const struct mkv_fabric *base) {
    return &scripted_of(base)->counters;
}

static void scripted_describe(const struct mkv_fabric *base, struct mkv_connection_id id,
                              struct mkv_fabric_client *client) {
    *client = (struct mkv_fabric_client){
        .connected_ns = 1000 * scripted_of(base)->counters.connections_active + id.index};
}

static const struct mkv_fabric_ops scripted_ops = {
    .submit = scripted_submit,
    .poll = scripted_poll,
    .has_work = scripted_has_work,
    .drain = scripted_drain,
    .stop = scripted_stop,
    .is_idle = scripted_is_idle,
    .destroy = scripted_destroy,
    .counters = scripted_counters,
    .describe = scripted_describe,
};

struct world {
    struct scripted fabrics[3];
    struct mkv_fabric *set;
    uint32_t seen[8];
    uint32_t seen_count;
};

static void sink(void *context, struct mkv_input *input) {
    struct world *world = context;
    assert_true(world->seen_count < 8);
    world->seen[world->seen_count++] = input->fabric.connection.index;
}

/* Connections 0 … 15, 16 … 19 and 32 … 63. */
static struct world *world_create(void) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    static const uint32_t bases[3] = {0, 16, 32};
    static const uint32_t counts[3] = {16, 4, 32};
    struct mkv_fabric_set_member members[3];
    for (uint32_t i = 0; i < 3; i++) {
        world->fabrics[i].base.ops = &scripted_ops;
        world->fabrics[i].counters.connections_active = i + 1;
        members[i] = (struct mkv_fabric_set_member){&world->fabrics[i].base, bases[i], counts[i]};
    }
    struct mkv_fabric_set *set = mkv_fabric_set_create(members, 3);
    assert_non_null(set);
    world->set = mkv_fabric_set_base(set);
    world->set->sink = (struct mkv_fabric_sink){world, sink};
    return world;
}

static void world_destroy(struct world *world) {
    world->set->ops->destroy(world->set);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(world->fabrics[i].destroys, 1);
    }
    free(world);
}

static void test_fabric_set__effect__goes_to_the_fabric_of_its_connection(void **state) {
    (void)state;
    static const struct {
        enum mkv_effect_kind kind;
        uint32_t index;
        uint32_t fabric;
    } rows[] = {
        {MKV_EFFECT_PULL, 0, 0},   {MKV_EFFECT_PUSH, 15, 0},   {MKV_EFFECT_ANSWER, 16, 1},
        {MKV_EFFECT_BREAK, 19, 1}, {MKV_EFFECT_ANSWER, 32, 2}, {MKV_EFFECT_BREAK, 63, 2},
    };
    struct world *world = world_create();
    uint32_t submits[3] = {0};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mkv_effect effect = {.kind = rows[i].kind};
        const struct mkv_connection_id id = {rows[i].index, 5 + i};
        if (rows[i].kind == MKV_EFFECT_ANSWER) {
            effect.answer.connection = id;
        } else {
            effect.transfer.connection = id;
        }
        world->set->ops->submit(world->set, &effect, (const uint8_t *)world);
        submits[rows[i].fabric]++;
        assert_int_equal(world->fabrics[rows[i].fabric].last.index, rows[i].index);
        assert_int_equal(world->fabrics[rows[i].fabric].last.generation, 5 + i);
        for (uint32_t j = 0; j < 3; j++) {
            assert_int_equal(world->fabrics[j].submits, submits[j]);
        }
    }
    world_destroy(world);
}

static void test_fabric_set__poll_drain_stop__reach_every_fabric(void **state) {
    (void)state;
    struct world *world = world_create();
    world->set->ops->poll(world->set, 7);
    world->set->ops->drain(world->set);
    world->set->ops->stop(world->set);
    assert_int_equal(world->seen_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(world->seen[i], i + 1);
        assert_int_equal(world->fabrics[i].polls, 1);
        assert_int_equal(world->fabrics[i].drains, 1);
        assert_int_equal(world->fabrics[i].stops, 1);
    }
    world_destroy(world);
}

static void test_fabric_set__work__is_there_when_one_has_it_and_idle_when_all_are(void **state) {
    (void)state;
    struct world *world = world_create();
    assert_false(world->set->ops->has_work(world->set));
    world->fabrics[2].has_work = true;
    assert_true(world->set->ops->has_work(world->set));
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(world->set->ops->is_idle(world->set));
        world->fabrics[i].idle = true;
    }
    assert_true(world->set->ops->is_idle(world->set));
    world_destroy(world);
}

static void test_fabric_set__counters__are_sums_of_all_fields(void **state) {
    (void)state;
    struct world *world = world_create();
    const uint32_t fields = sizeof(struct mkv_fabric_counters) / sizeof(uint64_t);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t values[sizeof(struct mkv_fabric_counters) / sizeof(uint64_t)];
        for (uint32_t j = 0; j < fields; j++) {
            values[j] = (i + 1) * (100 + j);
        }
        memcpy(&world->fabrics[i].counters, values, sizeof values);
    }
    for (uint32_t turn = 0; turn < 2; turn++) {
        uint64_t sums[sizeof(struct mkv_fabric_counters) / sizeof(uint64_t)];
        memcpy(sums, world->set->ops->counters(world->set), sizeof sums);
        for (uint32_t j = 0; j < fields; j++) {
            assert_int_equal(sums[j], 6 * (100 + j));
        }
    }
    world_destroy(world);
}

static void test_fabric_set__describe__asks_the_fabric_of_the_connection(void **state) {
    (void)state;
    struct world *world = world_create();
    struct mkv_fabric_client client;
    world->set->ops->describe(world->set, (struct mkv_connection_id){17, 1}, &client);
    assert_int_equal(client.connected_ns, 2017);
    world->set->ops->describe(world->set, (struct mkv_connection_id){40, 1}, &client);
    assert_int_equal(client.connected_ns, 3040);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_set__effect__goes_to_the_fabric_of_its_connection),
        cmocka_unit_test(test_fabric_set__poll_drain_stop__reach_every_fabric),
        cmocka_unit_test(test_fabric_set__work__is_there_when_one_has_it_and_idle_when_all_are),
        cmocka_unit_test(test_fabric_set__counters__are_sums_of_all_fields),
        cmocka_unit_test(test_fabric_set__describe__asks_the_fabric_of_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
