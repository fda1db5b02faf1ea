/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of the placement of keys on servers, key by key: whatever happens to one server, only
 * its own keys move, and each has its share. Names and keys are fixed, so what holds once holds
 * always.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/address.h"

#define KEYS 100000u
#define RANDOM_KEYS 4000u
#define RANDOM_ROUNDS 60u
/* How far a server may be from its share of KEYS, in parts of a hundred. */
#define BALANCE_PERCENT 3u

struct ring {
    struct mkv_member members[MKV_CLIENT_SERVERS_MAX];
    uint32_t count;
};

static struct mkv_member member_of(uint32_t number, uint32_t weight) {
    struct mkv_client_address all[MKV_CLIENT_SERVERS_MAX];
    char text[64];
    uint32_t count = 0;
    snprintf(text, sizeof text, "kv-%u.example:9900*%u", number, weight);
    assert_int_equal(mkv_client_servers_parse("servers", text, all, &count, NULL), MEMKV_OK);
    return mkv_client_member(&all[0]);
}

static struct mkv_root point_of(uint32_t number) {
    char key[24];
    const int key_bytes = snprintf(key, sizeof key, "block/%u", number);
    return mkv_placement_point("default", (const uint8_t *)key, (uint32_t)key_bytes);
}

/* Which server each key has, by its uuid's place in `ring`. */
static void place(const struct ring *ring, uint32_t key_count, uint8_t *owners) {
    for (uint32_t key = 0; key < key_count; key++) {
        owners[key] = (uint8_t)mkv_placement_owner(point_of(key), ring->members, ring->count);
    }
}

static uint32_t weight_of_all(const struct ring *ring) {
    uint32_t weight = 0;
    for (uint32_t index = 0; index < ring->count; index++) {
        weight += ring->members[index].weight;
    }
    return weight;
}

/* Each server has its part of the weights of KEYS, so far off at most. */
static void check_balance(const struct ring *ring, const uint8_t *owners) {
    uint64_t counts[MKV_CLIENT_SERVERS_MAX] = {0};
    const uint64_t weight_all = weight_of_all(ring);
    for (uint32_t key = 0; key < KEYS; key++) {
        counts[owners[key]]++;
    }
    for (uint32_t index = 0; index < ring->count; index++) {
        const uint64_t scaled = counts[index] * weight_all * 100u;
        const uint64_t share = (uint64_t)KEYS * ring->members[index].weight;
        if (scaled < share * (100u - BALANCE_PERCENT) ||
            scaled > share * (100u + BALANCE_PERCENT)) {
            fail_msg("server %u of %u has %u keys, %u parts of %u of the weights", index,
                     ring->count, (unsigned)counts[index], ring->members[index].weight,
                     (unsigned)weight_all);
        }
    }
}

static void test_placement_servers__one_of_n_is_added_or_lost__moves_its_keys_exactly(
    void **state) {
    (void)state;
    uint8_t *before = malloc(KEYS);
    uint8_t *after = malloc(KEYS);
    assert_non_null(before);
    assert_non_null(after);
    struct ring ring = {.members = {member_of(0, 1)}, .count = 1};
    place(&ring, KEYS, before);
    for (uint32_t number = 1; number < 10; number++) {
        ring.members[ring.count++] = member_of(number, 1);
        place(&ring, KEYS, after);
        uint32_t moved = 0;
        uint32_t taken = 0;
        for (uint32_t key = 0; key < KEYS; key++) {
            moved += after[key] != before[key] ? 1 : 0;
            taken += after[key] == number ? 1 : 0;
        }
        /* What moved is what the new one has: read backwards, what the lost one had. */
        assert_int_equal(moved, taken);
        check_balance(&ring, after);
        memcpy(before, after, KEYS);
    }
    free(before);
    free(after);
}

static void test_placement_servers__weights__are_shares_of_the_keys(void **state) {
    (void)state;
    static const uint32_t weights[][6] = {
        {1, 2, 3, 4, 0, 0}, {8, 8, 1, 0, 0, 0}, {5, 5, 5, 5, 5, 7}};
    uint8_t *owners = malloc(KEYS);
    assert_non_null(owners);
    for (size_t round = 0; round < sizeof weights / sizeof weights[0]; round++) {
        struct ring ring = {.count = 0};
        for (uint32_t number = 0; number < 6 && weights[round][number] > 0; number++) {
            ring.members[ring.count++] = member_of(number, weights[round][number]);
        }
        place(&ring, KEYS, owners);
        check_balance(&ring, owners);
    }
    free(owners);
}

/* ---- anything that can happen to one server ------------------------------------------------- */

/* After Knuth's MMIX. */
static uint32_t draw(uint64_t *random, uint32_t below) {
    *random = *random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*random >> 33) % below;
}

/* The servers' order, too, is drawn anew: it is no part of it. */
static void shuffle(struct ring *ring, uint64_t *random) {
    for (uint32_t index = ring->count; index > 1; index--) {
        const uint32_t other = draw(random, index);
        const struct mkv_member member = ring->members[index - 1];
        ring->members[index - 1] = ring->members[other];
        ring->members[other] = member;
    }
}

static bool is_at(const struct ring *ring, uint8_t owner, const struct mkv_member *member) {
    return memcmp(&ring->members[owner].uuid, &member->uuid, sizeof member->uuid) == 0;
}

static void test_placement_servers__random_changes__move_only_keys_of_the_changed(void **state) {
    (void)state;
    uint8_t before[RANDOM_KEYS];
    uint8_t after[RANDOM_KEYS];
    uint64_t random = 5;
    uint32_t number_next = 0;
    struct ring ring = {.count = 0};
    while (ring.count < 3) {
        ring.members[ring.count++] = member_of(number_next++, 1 + draw(&random, 4));
    }
    for (uint32_t round = 0; round < RANDOM_ROUNDS; round++) {
        const struct ring old = ring;
        place(&old, RANDOM_KEYS, before);
        const uint32_t choice = draw(&random, 3);
        const uint32_t place_of = draw(&random, ring.count);
        struct mkv_member changed = ring.members[place_of];
        uint32_t weight_before = changed.weight;
        uint32_t weight_after = 0;
        if (choice == 0 || ring.count < 2) {
            weight_before = 0;
            weight_after = 1 + draw(&random, 6);
            changed = member_of(number_next++, weight_after);
            ring.members[ring.count++] = changed;
        } else if (choice == 1) {
            ring.members[place_of] = ring.members[--ring.count];
        } else {
            weight_after = 1 + draw(&random, 6);
            ring.members[place_of].weight = weight_after;
        }
        shuffle(&ring, &random);
        place(&ring, RANDOM_KEYS, after);
        for (uint32_t key = 0; key < RANDOM_KEYS; key++) {
            const bool was_there = is_at(&old, before[key], &changed);
            const bool is_there = is_at(&ring, after[key], &changed);
            if (was_there && is_there) {
                continue;
            }
            if (was_there) {
                assert_true(weight_after < weight_before);
            } else if (is_there) {
                assert_true(weight_after > weight_before);
            } else {
                assert_true(is_at(&ring, after[key], &old.members[before[key]]));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_placement_servers__one_of_n_is_added_or_lost__moves_its_keys_exactly),
        cmocka_unit_test(test_placement_servers__weights__are_shares_of_the_keys),
        cmocka_unit_test(test_placement_servers__random_changes__move_only_keys_of_the_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
