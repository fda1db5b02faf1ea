/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several servers: where keys go, and what becomes of those whose server is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/address.h"
#include "client/memkv.h"
#include "tests/unit/client/test_client.h"
#include "tests/unit/client/test_server.h"

#define SERVERS 3u
#define KEYS 300u

struct rig {
    struct test_server *servers[SERVERS];
    struct memkv_client *client;
    char list[128];
    char keys[KEYS][16];
    uint32_t owners[KEYS];
    struct memkv_item items[KEYS];
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* Greets, then reads all and says nothing. */
static void script_silent(struct test_server *server, int peer) {
    char bytes[4096];
    if (test_greet(server, peer)) {
        while (recv(peer, bytes, sizeof bytes, 0) > 0) {
        }
    }
}

/* Which server of the list has a key, by the public function. */
static uint32_t owner_of(const char *list, const char *tenant, const char *key) {
    struct mkv_client_address addresses[MKV_CLIENT_SERVERS_MAX];
    struct mkv_member members[MKV_CLIENT_SERVERS_MAX];
    uint32_t count = 0;
    assert_int_equal(mkv_client_servers_parse("servers", list, addresses, &count, NULL), MEMKV_OK);
    for (uint32_t index = 0; index < count; index++) {
        members[index] = mkv_client_member(&addresses[index]);
    }
    const struct mkv_root point =
        mkv_placement_point(tenant, (const uint8_t *)key, (uint32_t)strlen(key));
    return mkv_placement_owner(point, members, count);
}

static void list_append(char *list, size_t list_bytes, const char *server) {
    const size_t used = strlen(list);
    snprintf(list + used, list_bytes - used, "%s%s", used > 0 ? "," : "", server);
}

/* Servers, of which the one at `silent` says nothing (SERVERS: none), and a client of all. */
static struct rig *rig_open(uint32_t silent, uint32_t timeout_ms) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    for (uint32_t index = 0; index < SERVERS; index++) {
        const struct test_server_options options = {.script =
                                                        index == silent ? script_silent : NULL};
        rig->servers[index] = test_server_start(&options);
        list_append(rig->list, sizeof rig->list, rig->servers[index]->address);
    }
    const struct memkv_options options = {
        .servers = rig->list, .timeout_ms = timeout_ms, .connect_timeout_ms = 2000};
    struct memkv_error error;
    if (memkv_open(&options, &rig->client, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    for (uint32_t index = 0; index < KEYS; index++) {
        snprintf(rig->keys[index], sizeof rig->keys[index], "key-%u", index);
        rig->owners[index] = owner_of(rig->list, "default", rig->keys[index]);
    }
    return rig;
}

static struct memkv_item *items_of(struct rig *rig, enum memkv_op op) {
    for (uint32_t index = 0; index < KEYS; index++) {
        rig->items[index] = (struct memkv_item){.op = op,
                                                .key = rig->keys[index],
                                                .key_bytes = strlen(rig->keys[index]),
                                                .data = rig->keys[index],
                                                .data_bytes = strlen(rig->keys[index])};
    }
    return rig->items;
}

/* The server's listener and connection are gone; its memory stays. */
static void server_down(struct test_server *server) {
    server->is_stopping = true;
    shutdown(server->listener, SHUT_RDWR);
    if (server->peer > 0) {
        shutdown(server->peer, SHUT_RDWR);
    }
    pthread_join(server->thread, NULL);
    close(server->listener);
}

static void rig_close(struct rig *rig, uint32_t down) {
    memkv_close(rig->client);
    for (uint32_t index = 0; index < SERVERS; index++) {
        if (index == down) {
            assert_string_equal(rig->servers[index]->problem, "");
            for (uint32_t value = 0; value < TEST_VALUES_MAX; value++) {
                free(rig->servers[index]->values[value].bytes);
            }
            free(rig->servers[index]->pending);
            free(rig->servers[index]->body);
            free(rig->servers[index]);
        } else {
            test_server_stop(rig->servers[index]);
        }
    }
    free(rig);
}

static bool holds(const struct test_server *server, const char *key) {
    for (uint32_t index = 0; index < TEST_VALUES_MAX; index++) {
        const struct test_value *value = &server->values[index];
        if (value->is_used && value->key_bytes == strlen(key) &&
            memcmp(value->key, key, value->key_bytes) == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t ring_of(const char *list) {
    struct mkv_client_address all[MKV_CLIENT_SERVERS_MAX];
    const struct mkv_client_address *places[MKV_CLIENT_SERVERS_MAX];
    uint32_t count = 0;
    assert_int_equal(mkv_client_servers_parse("servers", list, all, &count, NULL), MEMKV_OK);
    for (uint32_t index = 0; index < count; index++) {
        places[index] = &all[index];
    }
    return mkv_client_ring_hash(places, count);
}

static void test_servers__their_list__is_told_by_its_hash(void **state) {
    (void)state;
    struct rig *rig = rig_open(SERVERS, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_ping(rig->client, &error), MEMKV_OK);
    for (uint32_t index = 0; index < SERVERS; index++) {
        assert_int_equal(rig->servers[index]->ring_hash, ring_of(rig->list));
    }
    rig_close(rig, SERVERS);

    /* The vector of the protocol page. */
    assert_int_equal(ring_of("kv-0.example:9900,[2001:db8::7]:9900*4"), 0x967903da47d7491full);
    assert_int_equal(ring_of("a:1,b:2,c:3*2"), ring_of("c:3*2,a:1*1,b:2"));
    assert_int_not_equal(ring_of("a:1,b:2,c:3*2"), ring_of("a:1,b:2,c:3"));
    assert_int_not_equal(ring_of("a:1,b:2"), ring_of("a:1,b:2,c:3"));
}

static void test_servers__keys_of_a_batch__are_at_their_owners_and_nowhere_else(void **state) {
    (void)state;
    struct rig *rig = rig_open(SERVERS, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_batch(rig->client, items_of(rig, MEMKV_OP_PUT), KEYS, &error), MEMKV_OK);
    assert_int_equal(memkv_batch(rig->client, items_of(rig, MEMKV_OP_EXISTS), KEYS, &error),
                     MEMKV_OK);
    uint32_t counts[SERVERS] = {0};
    for (uint32_t index = 0; index < KEYS; index++) {
        counts[rig->owners[index]]++;
        for (uint32_t server = 0; server < SERVERS; server++) {
            assert_int_equal(holds(rig->servers[server], rig->keys[index]),
                             server == rig->owners[index]);
        }
        char value[16];
        uint64_t value_bytes = 0;
        assert_int_equal(memkv_get(rig->client, rig->keys[index], strlen(rig->keys[index]), value,
                                   sizeof value, &value_bytes, &error),
                         MEMKV_OK);
        assert_memory_equal(value, rig->keys[index], value_bytes);
    }
    for (uint32_t server = 0; server < SERVERS; server++) {
        assert_in_range(counts[server], KEYS / SERVERS / 2, KEYS / SERVERS * 2);
    }
    assert_int_equal(memkv_ping(rig->client, &error), MEMKV_OK);
    rig_close(rig, SERVERS);
}

static void test_servers_lookup__keys_of_several__is_the_prefix_over_all(void **state) {
    (void)state;
    struct rig *rig = rig_open(SERVERS, 20000);
    struct memkv_key keys[KEYS];
    struct memkv_error error;
    size_t count = 0;
    assert_int_equal(memkv_batch(rig->client, items_of(rig, MEMKV_OP_PUT), KEYS, &error), MEMKV_OK);
    for (uint32_t index = 0; index < KEYS; index++) {
        keys[index] = (struct memkv_key){rig->keys[index], strlen(rig->keys[index])};
    }
    assert_int_equal(memkv_lookup(rig->client, keys, KEYS, &count, &error), MEMKV_OK);
    assert_int_equal(count, KEYS);
    /* Gaps from behind, so that the first one is always the one that was made last. */
    static const uint32_t gaps[] = {290, 257, 256, 255, 100, 2, 1, 0};
    for (size_t index = 0; index < sizeof gaps / sizeof gaps[0]; index++) {
        const struct memkv_key *key = &keys[gaps[index]];
        assert_int_equal(memkv_delete(rig->client, key->bytes, key->byte_count, &error), MEMKV_OK);
        assert_int_equal(memkv_lookup(rig->client, keys, KEYS, &count, &error), MEMKV_OK);
        assert_int_equal(count, gaps[index]);
    }
    rig_close(rig, SERVERS);
}

static void test_servers__session__goes_to_all_of_them(void **state) {
    (void)state;
    struct rig *rig = rig_open(SERVERS, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_session_begin(rig->client, 77, &error), MEMKV_OK);
    for (uint32_t index = 0; index < SERVERS; index++) {
        assert_int_equal(rig->servers[index]->session_item.session, 77);
    }
    /* The test's servers know of no session 404. */
    assert_int_equal(memkv_session_end(rig->client, 404, 0, &error), MEMKV_NOT_FOUND);
    rig_close(rig, SERVERS);
}

static void test_servers_submit_lookup__keys_of_several__is_the_prefix_over_all(void **state) {
    (void)state;
    struct rig *rig = rig_open(SERVERS, 20000);
    struct memkv_key keys[KEYS];
    struct memkv_error error;
    struct memkv_completion completions[4];
    assert_int_equal(memkv_batch(rig->client, items_of(rig, MEMKV_OP_PUT), KEYS, &error), MEMKV_OK);
    for (uint32_t index = 0; index < KEYS; index++) {
        keys[index] = (struct memkv_key){rig->keys[index], strlen(rig->keys[index])};
    }
    assert_int_equal(memkv_delete(rig->client, keys[271].bytes, keys[271].byte_count, &error),
                     MEMKV_OK);
    assert_int_equal(memkv_submit_lookup(rig->client, keys, KEYS, 1, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_submit_lookup(rig->client, keys, 100, 2, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_submit_lookup(rig->client, keys + 271, 1, 3, 0, &error), MEMKV_OK);
    assert_int_equal(memkv_submit_lookup(rig->client, keys, 0, 4, 0, &error), MEMKV_INVALID);
    const struct memkv_key none = {NULL, 0};
    assert_int_equal(memkv_submit_lookup(rig->client, &none, 1, 4, 0, &error), MEMKV_INVALID);
    size_t expected[4] = {0, 271, 100, 0};
    size_t taken = 0;
    while (memkv_in_flight(rig->client) > 0) {
        const size_t count = memkv_wait(rig->client, completions, 4, 20000);
        for (size_t index = 0; index < count; index++) {
            assert_int_equal(completions[index].error.status, MEMKV_OK);
            assert_null(completions[index].items);
            assert_int_equal(completions[index].resident_count,
                             expected[completions[index].cookie]);
        }
        taken += count;
    }
    assert_int_equal(taken, 3);
    rig_close(rig, SERVERS);
}

/* All keys of the server at `away` have that status and miss, all others are OK. */
static void expect_away(struct rig *rig, enum memkv_op op, uint32_t away, enum memkv_status status,
                        enum memkv_miss miss) {
    struct memkv_error error;
    memkv_batch(rig->client, items_of(rig, op), KEYS, &error);
    for (uint32_t index = 0; index < KEYS; index++) {
        const bool is_away = rig->owners[index] == away;
        assert_int_equal(rig->items[index].status, is_away ? status : MEMKV_OK);
        assert_int_equal(rig->items[index].miss, is_away ? miss : MEMKV_MISS_NONE);
    }
}

static uint32_t first_of(const struct rig *rig, uint32_t server) {
    uint32_t first = 0;
    while (rig->owners[first] != server) {
        first++;
    }
    return first;
}

static void test_servers__one_is_down__its_keys_are_misses_and_the_others_go_on(void **state) {
    (void)state;
    struct rig *rig = rig_open(SERVERS, 20000);
    struct memkv_error error;
    assert_int_equal(memkv_batch(rig->client, items_of(rig, MEMKV_OP_PUT), KEYS, &error), MEMKV_OK);
    server_down(rig->servers[1]);
    const uint64_t begin_ms = now_ms();
    for (uint32_t round = 0; round < 20; round++) {
        expect_away(rig, MEMKV_OP_EXISTS, 1, MEMKV_NOT_FOUND, MEMKV_MISS_SERVER_DOWN);
        expect_away(rig, MEMKV_OP_PUT, 1, MEMKV_UNAVAILABLE, MEMKV_MISS_NONE);
    }
    /* No call waited for its deadline, of 20 s each. */
    assert_in_range(now_ms() - begin_ms, 0, 15000);
    struct memkv_key keys[KEYS];
    size_t count = KEYS;
    for (uint32_t index = 0; index < KEYS; index++) {
        keys[index] = (struct memkv_key){rig->keys[index], strlen(rig->keys[index])};
    }
    assert_int_equal(memkv_lookup(rig->client, keys, KEYS, &count, &error), MEMKV_OK);
    assert_int_equal(count, first_of(rig, 1));
    const char *away = rig->keys[first_of(rig, 1)];
    assert_int_equal(memkv_delete(rig->client, away, strlen(away), &error), MEMKV_UNAVAILABLE);
    test_expect_text(&error, rig->servers[1]->address);
    assert_int_equal(memkv_get(rig->client, away, strlen(away), NULL, 0, NULL, &error),
                     MEMKV_NOT_FOUND);
    assert_int_equal(memkv_session_begin(rig->client, 5, &error), MEMKV_UNAVAILABLE);
    rig_close(rig, 1);
}

static void test_servers__one_hangs__is_missed_in_time_and_then_at_once(void **state) {
    (void)state;
    struct rig *rig = rig_open(2, 300);
    const uint64_t begin_ms = now_ms();
    expect_away(rig, MEMKV_OP_PUT, 2, MEMKV_UNKNOWN, MEMKV_MISS_NONE);
    /* The test's server greets again, so that each call waits for its own deadline; while nobody
     * takes the next connection it is down. */
    assert_in_range(now_ms() - begin_ms, 290, 20000);
    const uint64_t second_ms = now_ms();
    expect_away(rig, MEMKV_OP_EXISTS, 2, MEMKV_NOT_FOUND, MEMKV_MISS_DEADLINE);
    assert_in_range(now_ms() - second_ms, 290, 20000);
    rig_close(rig, SERVERS);
}

static void test_servers_open__none_answers__says_of_one_why(void **state) {
    (void)state;
    struct rig *rig = rig_open(SERVERS, 20000);
    char list[sizeof rig->list];
    memcpy(list, rig->list, sizeof list);
    char first[32];
    memcpy(first, rig->servers[0]->address, sizeof first);
    rig_close(rig, SERVERS);
    struct memkv_client *client = NULL;
    struct memkv_error error;
    const struct memkv_options options = {.servers = list};
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_UNAVAILABLE);
    test_expect_text(&error, first);
    assert_null(client);
}

/* ---- placement ------------------------------------------------------------------------------ */

#define PLACED 20000u

/* Where keys go among servers of those weights, of which the last ones of a longer list are new. */
static void place(const char *list, uint32_t *owners, uint32_t *counts) {
    memset(counts, 0, MKV_CLIENT_SERVERS_MAX * sizeof *counts);
    struct mkv_client_address addresses[MKV_CLIENT_SERVERS_MAX];
    struct mkv_member members[MKV_CLIENT_SERVERS_MAX];
    uint32_t count = 0;
    assert_int_equal(mkv_client_servers_parse("servers", list, addresses, &count, NULL), MEMKV_OK);
    for (uint32_t index = 0; index < count; index++) {
        members[index] = mkv_client_member(&addresses[index]);
    }
    for (uint32_t index = 0; index < PLACED; index++) {
        char key[24];
        const int key_bytes = snprintf(key, sizeof key, "block/%u", index);
        owners[index] = mkv_placement_owner(
            mkv_placement_point("default", (const uint8_t *)key, (uint32_t)key_bytes), members,
            count);
        counts[owners[index]]++;
    }
}

static void test_servers_placement__one_is_added_or_lost__moves_only_its_keys(void **state) {
    (void)state;
    static uint32_t before[PLACED], after[PLACED];
    uint32_t counts[MKV_CLIENT_SERVERS_MAX];
    char list[512] = "kv-0.example:9900";
    for (uint32_t count = 1; count < 12; count++) {
        place(list, before, counts);
        char next[40];
        snprintf(next, sizeof next, "kv-%u.example:9900", count);
        list_append(list, sizeof list, next);
        place(list, after, counts);
        uint32_t moved = 0;
        for (uint32_t index = 0; index < PLACED; index++) {
            /* Read forwards one is added, backwards the last one is lost. */
            assert_true(after[index] == before[index] || after[index] == count);
            moved += after[index] != before[index] ? 1 : 0;
        }
        const uint32_t share = PLACED / (count + 1);
        assert_in_range(moved, share * 9 / 10, share * 11 / 10);
        for (uint32_t server = 0; server <= count; server++) {
            assert_in_range(counts[server], share * 9 / 10, share * 11 / 10);
        }
    }
}

static void test_servers_placement__names_of_the_protocol_page__have_its_uuids(void **state) {
    (void)state;
    struct mkv_client_address addresses[MKV_CLIENT_SERVERS_MAX];
    uint32_t count = 0;
    static const uint8_t expected[2][4] = {{0x4e, 0x77, 0x27, 0x28}, {0x6a, 0xf1, 0x4b, 0xea}};
    assert_int_equal(mkv_client_servers_parse("servers", "kv-0.example:9900,[2001:db8::7]:9900*4",
                                              addresses, &count, NULL),
                     MEMKV_OK);
    for (uint32_t index = 0; index < 2; index++) {
        const struct mkv_member member = mkv_client_member(&addresses[index]);
        assert_memory_equal(member.uuid.bytes, expected[index], 4);
        assert_int_equal(member.weight, index == 0 ? 1 : 4);
    }
}

static void test_servers_placement__weights__are_shares_of_the_keys(void **state) {
    (void)state;
    static uint32_t owners[PLACED];
    uint32_t counts[MKV_CLIENT_SERVERS_MAX];
    place("a:1*1,b:1*3,c:1*4", owners, counts);
    assert_in_range(counts[0], PLACED / 8 * 9 / 10, PLACED / 8 * 11 / 10);
    assert_in_range(counts[1], PLACED * 3 / 8 * 9 / 10, PLACED * 3 / 8 * 11 / 10);
    assert_in_range(counts[2], PLACED / 2 * 9 / 10, PLACED / 2 * 11 / 10);
    /* The order of the list is no part of it. */
    static uint32_t other[PLACED];
    place("c:1*4,a:1,b:1*3", other, counts);
    for (uint32_t index = 0; index < PLACED; index++) {
        assert_int_equal((other[index] + 2) % 3, owners[index]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers__their_list__is_told_by_its_hash),
        cmocka_unit_test(test_servers__keys_of_a_batch__are_at_their_owners_and_nowhere_else),
        cmocka_unit_test(test_servers_lookup__keys_of_several__is_the_prefix_over_all),
        cmocka_unit_test(test_servers_submit_lookup__keys_of_several__is_the_prefix_over_all),
        cmocka_unit_test(test_servers__session__goes_to_all_of_them),
        cmocka_unit_test(test_servers__one_is_down__its_keys_are_misses_and_the_others_go_on),
        cmocka_unit_test(test_servers__one_hangs__is_missed_in_time_and_then_at_once),
        cmocka_unit_test(test_servers_open__none_answers__says_of_one_why),
        cmocka_unit_test(test_servers_placement__one_is_added_or_lost__moves_only_its_keys),
        cmocka_unit_test(test_servers_placement__names_of_the_protocol_page__have_its_uuids),
        cmocka_unit_test(test_servers_placement__weights__are_shares_of_the_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
