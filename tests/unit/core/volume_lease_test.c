/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are leased or pinned. */
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

/* Extents of four slots for LARGE, and a size that has no class of its own yet. */
#define LARGE 65536u
#define SMALL 8192u
#define EXTENT_UNITS 68u
#define SLOTS 4u
#define SECOND_NS 1000000000ull

static const char *key_of(uint32_t number) {
    static char key[16];
    snprintf(key, sizeof key, "k%u", number);
    return key;
}

/* A store full of blocks k0, k1, ...; block n is in extent n / SLOTS, each a second younger than
 * the one before. */
static struct rig *rig_full(bool evicts, uint32_t *count) {
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, EXTENT_UNITS);
    rig->config.eviction = evicts;
    rig->config.evict_ready_divisor = 1000;
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    const uint32_t slots = rig_stats(rig).extents_total * SLOTS;
    for (*count = 0; *count < slots; ++*count) {
        assert_int_equal(rig_put(rig, key_of(*count), LARGE, *count, 0), MKV_STATUS_OK);
        rig->answer_count = 0;
        rig->event_count = 0;
        if (*count % SLOTS == SLOTS - 1) {
            rig_tick(rig, SECOND_NS);
        }
    }
    assert_int_equal(rig_stats(rig).evictions_total, 0);
    return rig;
}

static bool lease(struct rig *rig, uint32_t number, uint64_t lease_ns, uint32_t flags) {
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_EXISTS, key_of(number), lease_ns, flags),
                     MKV_STATUS_OK);
    return rig_last(rig)->lease_ns > 0;
}

static bool has(struct rig *rig, uint32_t number) {
    rig->answer_count = 0;
    return rig_get(rig, key_of(number), 0, 0, number) == MKV_STATUS_OK;
}

static void test_volume_lease__extent_runs_empty__waits_for_the_lease(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(false, &count);
    assert_true(lease(rig, 0, 3 * SECOND_NS, 0)); /* of the coldest extent */
    assert_int_equal(rig_last(rig)->lease_ns, 3 * SECOND_NS);
    rig->answer_count = 0;
    rig_put_begin(rig, "small", SMALL, 9, 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS - 1);
    rig_tick(rig, 2 * SECOND_NS);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS - 1);
    rig_tick(rig, SECOND_NS);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    assert_int_equal(rig_stats(rig).evictions_total, SLOTS);
    assert_int_equal(rig_stats(rig).leases_expired_total, 1);
    rig_destroy(rig);
}

static void test_volume_lease__longer_than_emptying_may_take__another_extent_is_taken(
    void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(false, &count);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, key_of(0), 100 * SECOND_NS, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_put_begin(rig, "small", SMALL, 9, 0);
    rig_settle(rig);
    rig_tick(rig, MKV_EMPTY_NS_MAX);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    assert_int_equal(rig_stats(rig).emptyings_given_up_total, 1);
    assert_true(has(rig, 0));
    rig_destroy(rig);
}

static void test_volume_lease__store_evicts__passes_leased_blocks_over(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(true, &count);
    assert_true(lease(rig, 0, 5 * SECOND_NS, 0));
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, key_of(1), 5 * SECOND_NS, 0), MKV_STATUS_OK);
    for (uint32_t number = 0; number < 2 * count; number++) {
        rig->answer_count = 0;
        rig->event_count = 0;
        char key[16];
        snprintf(key, sizeof key, "new%u", number);
        assert_int_equal(rig_put(rig, key, LARGE, number, 0), MKV_STATUS_OK);
    }
    assert_true(has(rig, 0));
    assert_true(has(rig, 1));
    assert_false(has(rig, 2));
    rig_tick(rig, 6 * SECOND_NS);
    rig_settle(rig);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_int_equal(stats.leases, 0);
    assert_int_equal(stats.leases_used_total, 2); /* a read found each */
    assert_int_equal(stats.leases_expired_total, 0);
    rig_destroy(rig);
}

static void test_volume_lease__share_of_the_drive__is_not_exceeded(void **state) {
    (void)state;
    uint32_t count;
    struct rig *rig = rig_full(false, &count);
    const uint64_t bytes = (1 + LARGE / MKV_UNIT_BYTES) * (uint64_t)MKV_UNIT_BYTES;
    const uint32_t short_max = (uint32_t)(rig_stats(rig).bytes_usable / 10 / bytes);
    const uint32_t all_max = (uint32_t)(rig_stats(rig).bytes_usable / 4 / bytes);
    uint32_t granted = 0;
    while (lease(rig, granted, SECOND_NS, MKV_LEASE_SHORT)) {
        granted++;
    }
    assert_int_equal(granted, short_max);
    while (lease(rig, granted, SECOND_NS, 0)) {
        granted++;
    }
    assert_int_equal(granted, all_max);
    assert_true(lease(rig, 0, SECOND_NS, 0)); /* that one has its share already */
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, key_of(granted), SECOND_NS, 0),
                     MKV_STATUS_NO_SPACE);
    assert_int_equal(rig_last(rig)->lease_ns, 0);
    assert_int_equal(rig_stats(rig).leases_refused_total, 3);
    assert_int_equal(rig_stats(rig).leases, all_max);
    /* DELETE overrides a lease, and makes room for another. */
    assert_int_equal(rig_remove(rig, key_of(0)), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).leases_overridden_total, 1);
    assert_true(lease(rig, granted, SECOND_NS, 0));
    /* All are over: others are granted at once, swept or not. */
    rig_tick(rig, SECOND_NS);
    assert_true(lease(rig, granted + 1, SECOND_NS, 0));
    rig_destroy(rig);
}

static void test_volume_lease__share_of_exists__is_as_configured(void **state) {
    (void)state;
    static const struct {
        uint32_t share;
        uint32_t of_1000;
    } rows[] = {{0, 100}, {50, 50}, {1000, 250}, {MKV_LEASE_SHARE_NONE, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t count;
        struct rig *rig = rig_full(false, &count);
        const uint64_t bytes = (1 + LARGE / MKV_UNIT_BYTES) * (uint64_t)MKV_UNIT_BYTES;
        rig->config.lease_share = rows[i].share;
        rig_reopen(rig);
        uint32_t granted = 0;
        while (lease(rig, granted, SECOND_NS, MKV_LEASE_SHORT)) {
            granted++;
        }
        assert_int_equal(granted, rig_stats(rig).bytes_usable * rows[i].of_1000 / 1000 / bytes);
        rig_destroy(rig);
    }
}

static void test_volume_pin__counts__and_ends_by_itself(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, "k0", SECOND_NS, 0), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_UNKNOWN);
    rig->answer_count = 0;
    assert_int_equal(rig_put(rig, "k0", SMALL, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_UNPIN, "k0", 0, 0), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, "k0", SECOND_NS, 0), MKV_STATUS_OK);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, "k0", SECOND_NS, 0), MKV_STATUS_OK);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_UNPIN, "k0", 0, 0), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).leases, 1);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_UNPIN, "k0", 0, 0), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).leases, 0);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_UNPIN, "k0", 0, 0), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, "k0", SECOND_NS, 0), MKV_STATUS_OK);
    rig_tick(rig, SECOND_NS);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_UNPIN, "k0", 0, 0), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_stats(rig).leases, 0);
    rig_destroy(rig);
}

static void test_volume_lease__block_that_expires__is_leased_until_then(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->wall_ms = 1000000;
    rig_tick(rig, 1);
    rig->expiry_s = 1002;
    rig->answer_count = 0;
    assert_int_equal(rig_put(rig, "k0", SMALL, 1, 0), MKV_STATUS_OK);
    assert_true(lease(rig, 0, 10 * SECOND_NS, 0));
    assert_int_equal(rig_last(rig)->lease_ns, 2 * SECOND_NS);
    rig_destroy(rig);
}

static void test_volume_lease__table_is_full__is_refused(void **state) {
    (void)state;
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, EXTENT_UNITS);
    rig->config.lease_max = 2;
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    for (uint32_t number = 0; number < 3; number++) {
        rig->answer_count = 0;
        assert_int_equal(rig_put(rig, key_of(number), SMALL, number, 0), MKV_STATUS_OK);
    }
    assert_true(lease(rig, 0, SECOND_NS, 0));
    assert_true(lease(rig, 1, SECOND_NS, 0));
    assert_false(lease(rig, 2, SECOND_NS, 0));
    rig_reopen(rig); /* which ends all */
    assert_true(lease(rig, 2, SECOND_NS, 0));
    rig_destroy(rig);
}

static void test_volume_lease__leased_block_is_damaged__is_a_broken_promise(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k0", SMALL, 1, 0), MKV_STATUS_OK);
    assert_true(lease(rig, 0, SECOND_NS, 0));
    rig_unit(rig, rig_block(rig, SMALL / MKV_UNIT_BYTES).lba)[MKV_UNIT_BYTES] ^= 1;
    rig->answer_count = 0;
    assert_int_equal(rig_get(rig, "k0", 0, 0, 1), MKV_STATUS_NOT_FOUND);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).promises_broken_total, 1);
    assert_int_equal(rig_stats(rig).leases_overridden_total, 1);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume_lease__extent_runs_empty__waits_for_the_lease),
        cmocka_unit_test(test_volume_lease__longer_than_emptying_may_take__another_extent_is_taken),
        cmocka_unit_test(test_volume_lease__store_evicts__passes_leased_blocks_over),
        cmocka_unit_test(test_volume_lease__share_of_the_drive__is_not_exceeded),
        cmocka_unit_test(test_volume_lease__share_of_exists__is_as_configured),
        cmocka_unit_test(test_volume_pin__counts__and_ends_by_itself),
        cmocka_unit_test(test_volume_lease__block_that_expires__is_leased_until_then),
        cmocka_unit_test(test_volume_lease__table_is_full__is_refused),
        cmocka_unit_test(test_volume_lease__leased_block_is_damaged__is_a_broken_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
