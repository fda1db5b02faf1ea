/* SPDX-License-Identifier: Apache-2.0 */
#include "server/observer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/client_list.h"

#define MS 1000000ull
#define CONNECTIONS 4u

struct world {
    struct mkv_fabric fabric;
    struct mkv_fabric_ops ops;
    uint8_t arena[4096];
    struct mkv_observer *observer;
};

static void describe(const struct mkv_fabric *fabric, struct mkv_connection_id id,
                     struct mkv_fabric_client *client) {
    (void)fabric;
    *client = (struct mkv_fabric_client){.connected_ns = 7, .tenant = "team", .name = "vllm-3"};
    snprintf(client->address, sizeof client->address, "10.0.0.%u:%u", id.index, id.generation);
}

static void tenant_name(void *context, uint32_t id, char name[MKV_ADMIN_TENANT_BYTES]) {
    (void)context;
    memset(name, 0, MKV_ADMIN_TENANT_BYTES);
    if (id != MKV_NONE_U32) {
        snprintf(name, MKV_ADMIN_TENANT_BYTES, "tenant-%u", id);
    }
}

static void world_make(struct world *world) {
    memset(world, 0, sizeof *world);
    world->ops.describe = describe;
    world->fabric.ops = &world->ops;
    const struct mkv_observer_options options = {
        .connections_max = CONNECTIONS,
        .hotkeys_decay_ns = 1000 * MS,
        .slow_ns = 100 * MS,
        .fabric = &world->fabric,
        .tenant_name = tenant_name,
    };
    world->observer = mkv_observer_create(&options);
    assert_non_null(world->observer);
}

static void begin(struct world *world, struct mkv_connection_id id, enum mkv_op op,
                  const char *key) {
    const struct mkv_request_item item = {.key_bytes = (uint32_t)strlen(key)};
    const struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST,
        .data = (const uint8_t *)key,
        .data_bytes = (uint32_t)strlen(key),
        .request = {.connection = id, .op = op, .tenant = 3, .item_count = 1, .items = &item},
    };
    mkv_observer_request_began(world->observer, &input);
}

static struct mkv_request_summary summary_of(struct mkv_connection_id id, enum mkv_op op,
                                             uint64_t total_ns) {
    return (struct mkv_request_summary){
        .connection = id,
        .op = op,
        .status = MKV_STATUS_OK,
        .tenant = 3,
        .volume = MKV_NONE_U32,
        .item_count = 1,
        .received_ns = 1000,
        .ended_ns = 1000 + total_ns,
    };
}

static uint64_t counted(const struct world *world, enum mkv_admin_latency_op op) {
    struct mkv_hdr *hdr = calloc(1, sizeof *hdr);
    mkv_observer_latency(world->observer, op, hdr);
    const uint64_t total = mkv_hdr_total(hdr);
    free(hdr);
    return total;
}

static void test_observer__answered_requests__count_under_their_operation_and_size(void **state) {
    (void)state;
    struct world world;
    world_make(&world);
    const struct mkv_connection_id id = {1, 1};
    static const struct {
        enum mkv_op op;
        uint64_t bytes;
        int counts_at; /* -1: nowhere */
    } cases[] = {
        {MKV_OP_GET, MKV_ADMIN_SMALL_BYTES, MKV_ADMIN_LATENCY_GET},
        {MKV_OP_GET, MKV_ADMIN_SMALL_BYTES - 1, MKV_ADMIN_LATENCY_GET_SMALL},
        {MKV_OP_PUT, MKV_ADMIN_SMALL_BYTES, MKV_ADMIN_LATENCY_PUT},
        {MKV_OP_PUT, 0, MKV_ADMIN_LATENCY_PUT_SMALL},
        {MKV_OP_EXISTS, 0, MKV_ADMIN_LATENCY_EXISTS},
        {MKV_OP_LOOKUP, 0, MKV_ADMIN_LATENCY_LOOKUP},
        {MKV_OP_DELETE, 0, MKV_ADMIN_LATENCY_DELETE},
        {MKV_OP_COMMIT, 0, MKV_ADMIN_LATENCY_COMMIT},
        {MKV_OP_ALLOCATE, 0, -1},
        {MKV_OP_PIN, 0, -1},
        {MKV_OP_UNPIN, 0, -1},
        {MKV_OP_SESSION, 0, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&world, id, cases[i].op, "key");
        struct mkv_request_summary summary = summary_of(id, cases[i].op, 1000);
        summary.bytes_in = cases[i].op == MKV_OP_PUT ? cases[i].bytes : 0;
        summary.bytes_out = cases[i].op == MKV_OP_GET ? cases[i].bytes : 0;
        mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
        summary.refused = true;
        mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
        for (uint32_t op = 0; op < MKV_ADMIN_LATENCY_OP_COUNT; op++) {
            const uint64_t before = (int)op < cases[i].counts_at || cases[i].counts_at < 0 ? 1 : 0;
            assert_int_equal(counted(&world, op), (int)op == cases[i].counts_at ? 1 : before);
        }
    }
    /* What it took to read the request is not in it, and one that was dropped took its time. */
    struct mkv_request_summary summary = summary_of(id, MKV_OP_EXISTS, 700);
    summary.stage_ns[MKV_STAGE_PARSE] = 600;
    summary.dropped = true;
    mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
    struct mkv_hdr *hdr = calloc(1, sizeof *hdr);
    mkv_observer_latency(world.observer, MKV_ADMIN_LATENCY_EXISTS, hdr);
    assert_int_equal(mkv_hdr_total(hdr), 2);
    assert_int_equal(mkv_hdr_quantile_ns(hdr, 0), 100);
    free(hdr);
    mkv_observer_destroy(world.observer);
}

static void test_observer__gets_and_puts__are_accesses_and_halve_in_time(void **state) {
    (void)state;
    struct world world;
    world_make(&world);
    const struct mkv_connection_id id = {0, 1};
    const struct mkv_hotkeys *hotkeys = mkv_observer_hotkeys(world.observer);
    for (uint32_t i = 0; i < 8; i++) {
        begin(&world, id, MKV_OP_GET, "hot");
    }
    begin(&world, id, MKV_OP_PUT, "other");
    begin(&world, id, MKV_OP_EXISTS, "other");
    begin(&world, id, MKV_OP_LOOKUP, "other");
    begin(&world, id, MKV_OP_DELETE, "other");
    assert_int_equal(mkv_hotkeys_counted(hotkeys), 9);
    struct mkv_hotkey hot[2];
    assert_int_equal(mkv_hotkeys_copy(hotkeys, hot, 2), 2);
    assert_int_equal(hot[0].count, 8);
    assert_int_equal(hot[0].tenant, 3);
    assert_memory_equal(hot[0].key, "hot", 3);
    mkv_observer_tick(world.observer, 5000 * MS);
    mkv_observer_tick(world.observer, 5999 * MS);
    assert_int_equal(mkv_hotkeys_halvings(hotkeys), 0);
    mkv_observer_tick(world.observer, 6000 * MS);
    mkv_observer_tick(world.observer, 6001 * MS);
    assert_int_equal(mkv_hotkeys_halvings(hotkeys), 1);
    assert_int_equal(mkv_hotkeys_copy(hotkeys, hot, 1), 1);
    assert_int_equal(hot[0].count, 4);
    mkv_observer_destroy(world.observer);
}

static void test_observer__slow_requests__the_last_are_kept_newest_first(void **state) {
    (void)state;
    struct world world;
    world_make(&world);
    const struct mkv_connection_id id = {2, 9};
    memcpy(world.arena + 100, "a/key", 5);
    begin(&world, id, MKV_OP_GET, "a/key");
    for (uint64_t i = 0; i < MKV_ADMIN_SLOW_MAX + 20; i++) {
        struct mkv_request_summary summary = summary_of(id, MKV_OP_GET, 100 * MS + i);
        summary.key_offset = 100;
        summary.key_bytes = 5;
        summary.stage_ns[MKV_STAGE_READ] = i;
        summary.dropped = i % 2 == 1;
        mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
    }
    static struct mkv_admin_slow slow[MKV_ADMIN_SLOW_MAX + 1];
    assert_int_equal(mkv_observer_slow(world.observer, slow, MKV_ADMIN_SLOW_MAX + 1),
                     MKV_ADMIN_SLOW_MAX);
    for (uint32_t i = 0; i < MKV_ADMIN_SLOW_MAX; i++) {
        assert_int_equal(slow[i].total_ns, 100 * MS + MKV_ADMIN_SLOW_MAX + 19 - i);
    }
    assert_int_equal(slow[0].stage_ns[MKV_STAGE_READ], MKV_ADMIN_SLOW_MAX + 19);
    assert_memory_equal(slow[0].key, "a/key", 5);
    assert_int_equal(slow[0].key_bytes, 5);
    assert_string_equal(slow[0].client, "10.0.0.2:9");
    assert_string_equal(slow[0].client_name, "vllm-3");
    assert_string_equal(slow[0].tenant, "tenant-3");
    assert_int_equal(slow[0].dropped, 1);
    assert_int_equal(mkv_observer_slow_ns(world.observer), 100 * MS);
    /* One that took exactly the threshold is not slow. */
    const struct mkv_request_summary fast = summary_of(id, MKV_OP_GET, 100 * MS);
    mkv_observer_request_ended(world.observer, &fast, world.arena + fast.key_offset);
    assert_int_equal(mkv_observer_slow(world.observer, slow, 1), 1);
    assert_int_equal(slow[0].total_ns, 100 * MS + MKV_ADMIN_SLOW_MAX + 19);
    mkv_observer_destroy(world.observer);
}

/* Such as one that asks for keys before it has stored any. */
static void test_observer__tenant_without_a_number__is_the_one_the_client_named(void **state) {
    (void)state;
    struct world world;
    world_make(&world);
    const struct mkv_connection_id id = {1, 5};
    begin(&world, id, MKV_OP_GET, "a/key");
    struct mkv_request_summary summary = summary_of(id, MKV_OP_GET, 200 * MS);
    summary.tenant = MKV_NONE_U32;
    mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
    /* Nobody knows who an earlier client of that place was. */
    summary.connection.generation = 4;
    mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
    struct mkv_admin_slow slow[2];
    assert_int_equal(mkv_observer_slow(world.observer, slow, 2), 2);
    assert_string_equal(slow[1].tenant, "team");
    assert_string_equal(slow[0].tenant, "");
    mkv_observer_destroy(world.observer);
}

static void test_observer__traced_requests__the_last_of_each_bound_is_the_example(void **state) {
    (void)state;
    struct world world;
    world_make(&world);
    struct mkv_admin_exemplars examples[MKV_ADMIN_COMMAND_COUNT];
    memset(examples, 0, sizeof examples);
    struct mkv_request_summary summary =
        summary_of((struct mkv_connection_id){0, 1}, MKV_OP_GET, 0);
    for (uint8_t i = 1; i <= 10; i++) {
        summary.ended_ns = summary.received_ns + (i % 2 == 0 ? 1500 : 1000);
        memset(summary.trace.trace_id, i, sizeof summary.trace.trace_id);
        summary.trace.flags = i <= 8; /* the last two are not sampled */
        mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
    }
    uint32_t there = 0;
    for (uint32_t command = 0; command < MKV_ADMIN_COMMAND_COUNT; command++) {
        mkv_observer_exemplars(world.observer, command, &examples[command]);
        for (uint32_t bound = 0; bound <= MKV_HISTOGRAM_BOUNDS; bound++) {
            there += examples[command].buckets[bound].trace_id[0] != 0;
        }
    }
    assert_int_equal(there, 2);
    struct mkv_admin_exemplars whole = {0};
    mkv_observer_request_exemplars(world.observer, &whole);
    assert_int_equal(whole.buckets[1].trace_id[3], 8);
    const struct mkv_admin_exemplar *small = examples[MKV_ADMIN_COMMAND_GET_SMALL].buckets;
    assert_int_equal(small[0].trace_id[15], 7); /* 1 us belongs to the bound of 1 us */
    assert_int_equal(small[0].value_ns, 1000);
    assert_true(small[0].wall_ms > 0);
    assert_int_equal(small[1].trace_id[0], 8);
    assert_int_equal(small[1].value_ns, 1500);
    mkv_observer_destroy(world.observer);
}

static void test_observer__clients__are_listed_while_open_with_what_they_did(void **state) {
    (void)state;
    struct world world;
    world_make(&world);
    const struct mkv_connection_id id = {1, 5};
    struct mkv_admin_client clients[CONNECTIONS];
    assert_int_equal(mkv_observer_clients(world.observer, clients, CONNECTIONS), 0);
    begin(&world, id, MKV_OP_GET, "llama@8b@0001");
    struct mkv_request_summary summary = summary_of(id, MKV_OP_GET, 1000);
    summary.item_count = 5;
    summary.keys_from_memory = 1;
    summary.keys_from_drive = 2;
    summary.bytes_out = 300;
    mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
    summary = summary_of(id, MKV_OP_PUT, 1000);
    summary.bytes_in = 70;
    mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
    assert_int_equal(mkv_observer_clients(world.observer, clients, CONNECTIONS), 1);
    assert_string_equal(clients[0].address, "10.0.0.1:5");
    assert_string_equal(clients[0].name, "vllm-3");
    assert_string_equal(clients[0].tenant, "team");
    assert_int_equal(clients[0].connected_ns, 7);
    assert_int_equal(clients[0].requests, 2);
    assert_int_equal(clients[0].puts, 1);
    assert_int_equal(clients[0].hits, 3);
    assert_int_equal(clients[0].misses, 2);
    assert_int_equal(clients[0].bytes_in, 70);
    assert_int_equal(clients[0].bytes_out, 300);
    assert_int_equal(clients[0].prefixes[0].byte_count, 9);
    assert_memory_equal(clients[0].prefixes[0].bytes, "llama@8b@", 9);

    mkv_observer_connection_closed(world.observer, id);
    assert_int_equal(mkv_observer_clients(world.observer, clients, CONNECTIONS), 0);
    summary.dropped = true;
    mkv_observer_request_ended(world.observer, &summary,
                               world.arena + summary.key_offset); /* counts nowhere */
    begin(&world, (struct mkv_connection_id){1, 6}, MKV_OP_GET, "x");
    mkv_observer_request_ended(world.observer, &summary, world.arena + summary.key_offset);
    assert_int_equal(mkv_observer_clients(world.observer, clients, CONNECTIONS), 1);
    assert_string_equal(clients[0].address, "10.0.0.1:6");
    assert_int_equal(clients[0].requests, 0);
    mkv_observer_destroy(world.observer);
}

static void test_client_list__many_prefixes__each_once_and_the_oldest_gives_way(void **state) {
    (void)state;
    struct mkv_client_list *list = mkv_client_list_create(1);
    const struct mkv_connection_id id = {0, 1};
    const struct mkv_fabric_client who = {.address = "a"};
    mkv_client_list_opened(list, id, &who);
    static const char *const keys[] = {
        "a/b/1", "a/b/2", "c:d:1", "e|f|", "g@h@", "a/b/3", "0123456789abcdef0123456789abcdef",
        "x/y"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        mkv_client_list_key(list, id, (const uint8_t *)keys[i], (uint32_t)strlen(keys[i]));
    }
    struct mkv_admin_client client;
    assert_int_equal(mkv_client_list_copy(list, &client, 1), 1);
    assert_memory_equal(client.prefixes[0].bytes, "0123456789abcdef", 16);
    assert_int_equal(client.prefixes[0].byte_count, 16);
    assert_memory_equal(client.prefixes[1].bytes, "x/y", 3);
    assert_int_equal(client.prefixes[1].byte_count, 3);
    assert_memory_equal(client.prefixes[2].bytes, "e|f|", 4);
    assert_memory_equal(client.prefixes[3].bytes, "g@h@", 4);
    mkv_client_list_destroy(list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_observer__answered_requests__count_under_their_operation_and_size),
        cmocka_unit_test(test_observer__gets_and_puts__are_accesses_and_halve_in_time),
        cmocka_unit_test(test_observer__slow_requests__the_last_are_kept_newest_first),
        cmocka_unit_test(test_observer__tenant_without_a_number__is_the_one_the_client_named),
        cmocka_unit_test(test_observer__traced_requests__the_last_of_each_bound_is_the_example),
        cmocka_unit_test(test_observer__clients__are_listed_while_open_with_what_they_did),
        cmocka_unit_test(test_client_list__many_prefixes__each_once_and_the_oldest_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
