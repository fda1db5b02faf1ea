/* SPDX-License-Identifier: Apache-2.0 */
/* A tenant at its quota makes room for its own puts. */
#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define LENGTH 5000u
#define SLOT_UNITS 3u
#define BATCH 5u
#define QUOTA_BLOCKS 4u

static struct mkv_volume_tenant tenant_of(struct rig *rig, uint32_t id) {
    struct mkv_volume_tenant tenant = {0};
    uint32_t cursor = 0;
    while (mkv_volume_next_tenant(rig->volume, &cursor, &tenant)) {
        if (tenant.id == id) {
            return tenant;
        }
    }
    fail_msg("no tenant %u", id);
    return tenant;
}

static const char *key_of(uint32_t number) {
    static char key[16];
    snprintf(key, sizeof key, "k%u", number);
    return key;
}

/* A store that evicts; tenant BATCH has k0 ... k3 and no room for more, the default tenant k0. */
static struct rig *rig_at_quota(void) {
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, 68);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig->config.eviction = true;
    rig_reopen(rig);
    rig->tenant = MKV_TENANT_DEFAULT;
    assert_int_equal(rig_put(rig, key_of(0), LENGTH, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_tenant_quota(rig, BATCH, "batch", QUOTA_BLOCKS * SLOT_UNITS),
                     MKV_STATUS_OK);
    rig->tenant = BATCH;
    for (uint32_t number = 0; number < QUOTA_BLOCKS; number++) {
        assert_int_equal(rig_put(rig, key_of(number), LENGTH, number, 0), MKV_STATUS_OK);
    }
    assert_int_equal(tenant_of(rig, BATCH).bytes,
                     QUOTA_BLOCKS * SLOT_UNITS * (uint64_t)MKV_UNIT_BYTES);
    rig->answer_count = 0;
    rig->event_count = 0;
    return rig;
}

static bool has(struct rig *rig, const char *key, uint32_t seed) {
    const bool found = rig_get(rig, key, 0, 0, seed) == MKV_STATUS_OK;
    rig->answer_count = 0;
    return found;
}

static void test_volume_quota__put_at_the_quota__takes_the_coldest_own_blocks_place(void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    assert_true(has(rig, key_of(0), 0)); /* so the next one is the coldest */
    assert_int_equal(rig_put(rig, "new", LENGTH, 9, 0), MKV_STATUS_OK);
    assert_true(has(rig, "new", 9));
    assert_true(has(rig, key_of(0), 0));
    assert_false(has(rig, key_of(1), 1));
    assert_true(has(rig, key_of(2), 2));
    assert_true(has(rig, key_of(3), 3));
    const struct mkv_volume_tenant batch = tenant_of(rig, BATCH);
    assert_int_equal(batch.blocks, QUOTA_BLOCKS);
    assert_int_equal(batch.evicted_total, 1);
    assert_int_equal(batch.evictions_caused_total, 1);
    assert_int_equal(batch.quota_rejections_total, 0);
    assert_int_equal(tenant_of(rig, MKV_TENANT_DEFAULT).evicted_total, 0);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_int_equal(stats.evictions_total, 1);
    assert_int_equal(stats.evictions_quota_total, 1);
    assert_int_equal(stats.evictions_capacity_total, 0);
    rig->tenant = MKV_TENANT_DEFAULT;
    assert_true(has(rig, key_of(0), 1));
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

/* As a block that was read from memory. */
static void test_volume_quota__touched_block__is_not_the_coldest(void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    uint8_t entry[2 * MKV_TOUCH_ENTRY_BYTES] = {0};
    mkv_store_u64(entry, mkv_key_tag(BATCH, (const uint8_t *)key_of(0), 2));
    mkv_store_u32(entry + 8, BATCH);
    mkv_store_u64(entry + MKV_TOUCH_ENTRY_BYTES, 12345); /* of nobody */
    mkv_store_u32(entry + MKV_TOUCH_ENTRY_BYTES + 8, BATCH);
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE, .data = entry, .data_bytes = sizeof entry};
    input.message = (struct mkv_message){.kind = MKV_MESSAGE_TOUCH, .data_bytes = sizeof entry};
    rig_step(rig, &input);
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig_stats(rig).touches_total, 1);
    assert_int_equal(rig_put(rig, "new", LENGTH, 9, 0), MKV_STATUS_OK);
    assert_true(has(rig, key_of(0), 0));
    assert_false(has(rig, key_of(1), 1));
    rig_destroy(rig);
}

static void test_volume_quota__larger_put__takes_the_place_of_several(void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    assert_int_equal(rig_put(rig, "new", 2 * LENGTH, 9, 0), MKV_STATUS_OK);
    assert_true(has(rig, "new", 9));
    const struct mkv_volume_tenant batch = tenant_of(rig, BATCH);
    assert_true(batch.bytes <= batch.quota_bytes);
    assert_int_equal(batch.evicted_total, 2);
    rig_destroy(rig);
}

static void test_volume_quota__put_above_the_quota__is_refused_and_nothing_leaves(void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    assert_int_equal(rig_put(rig, "new", QUOTA_BLOCKS * SLOT_UNITS * MKV_UNIT_BYTES, 9, 0),
                     MKV_STATUS_QUOTA);
    const struct mkv_volume_tenant batch = tenant_of(rig, BATCH);
    assert_int_equal(batch.blocks, QUOTA_BLOCKS);
    assert_int_equal(batch.evicted_total, 0);
    assert_int_equal(batch.quota_rejections_total, 1);
    rig_destroy(rig);
}

static void test_volume_quota__all_blocks_pinned__is_refused_until_one_is_not(void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    for (uint32_t number = 0; number < QUOTA_BLOCKS; number++) {
        assert_int_equal(rig_lease(rig, MKV_MESSAGE_PIN, key_of(number), 1000000000000ull, 0),
                         MKV_STATUS_OK);
    }
    assert_int_equal(rig_put(rig, "new", LENGTH, 9, 0), MKV_STATUS_QUOTA);
    assert_int_equal(tenant_of(rig, BATCH).quota_rejections_total, 1);
    assert_int_equal(rig_lease(rig, MKV_MESSAGE_UNPIN, key_of(2), 0, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "new", LENGTH, 9, 0), MKV_STATUS_OK);
    assert_false(has(rig, key_of(2), 2));
    rig_destroy(rig);
}

static void test_volume_quota__several_puts_at_a_time__never_pass_it(void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    rig->answer_count = 0;
    for (uint32_t number = 10; number < 13; number++) {
        rig_put_begin(rig, key_of(number), LENGTH, number, 0);
    }
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 3);
    struct mkv_op_id begun[3];
    for (uint32_t index = 0; index < 3; index++) {
        assert_int_equal(rig->answers[index].kind, MKV_MESSAGE_PUT_READY);
        begun[index] = rig->answers[index].volume_op;
    }
    assert_int_equal(tenant_of(rig, BATCH).blocks, 1);
    for (uint32_t index = 0; index < 3; index++) {
        rig_put_write(rig, begun[index], index, LENGTH, 10 + index);
    }
    rig_settle(rig);
    assert_int_equal(tenant_of(rig, BATCH).blocks, QUOTA_BLOCKS);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

/* What takes an own block's place needs no other one's. */
static void test_volume_quota__replace_at_the_quota__evicts_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    assert_int_equal(rig_put(rig, key_of(3), LENGTH, 9, MKV_PUT_REPLACE), MKV_STATUS_OK);
    assert_int_equal(tenant_of(rig, BATCH).evicted_total, 0);
    assert_int_equal(tenant_of(rig, BATCH).blocks, QUOTA_BLOCKS);
    rig_destroy(rig);
}

/* A put as large as the quota: what has to leave leaves together, not one block a flush. */
static void test_volume_quota__put_larger_than_the_blocks__waits_for_their_drops_once(
    void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    const uint64_t flushes = rig_stats(rig).flushes_total;
    rig_put_begin(rig, "new", (QUOTA_BLOCKS * SLOT_UNITS - 1) * MKV_UNIT_BYTES, 9, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    assert_int_equal(tenant_of(rig, BATCH).evicted_total, QUOTA_BLOCKS);
    assert_true(rig_stats(rig).flushes_total - flushes <= 3);
    rig_destroy(rig);
}

/* Two tenants at their quotas put at the same time: each loses as many blocks as it puts. */
static void test_volume_quota__puts_of_another_tenant_wait_too__cost_the_first_nothing(
    void **state) {
    (void)state;
    struct rig *rig = rig_at_quota();
    assert_int_equal(rig_tenant_quota(rig, BATCH + 1, "other", QUOTA_BLOCKS * SLOT_UNITS),
                     MKV_STATUS_OK);
    rig->tenant = BATCH + 1;
    for (uint32_t number = 0; number < QUOTA_BLOCKS; number++) {
        assert_int_equal(rig_put(rig, key_of(number), LENGTH, number, 0), MKV_STATUS_OK);
    }
    rig->tenant = BATCH;
    rig_put_begin(rig, "new", LENGTH, 9, 0);
    rig->tenant = BATCH + 1;
    for (uint32_t number = 0; number < 3; number++) {
        rig_put_begin(rig, key_of(10 + number), LENGTH, number, 0);
    }
    rig_settle(rig);
    assert_int_equal(tenant_of(rig, BATCH).evicted_total, 1);
    assert_int_equal(tenant_of(rig, BATCH + 1).evicted_total, 3);
    rig_destroy(rig);
}

/* A slot of the next size, where its own has none, counts as what it is. */
static void test_volume_quota__slot_of_the_next_size__does_not_pass_it(void **state) {
    (void)state;
    struct rig *rig = rig_create_raw(64, MKV_PAGE_SLOTS, 68);
    rig->config.geometry.capacity_units -= (uint64_t)(rig->config.geometry.extent_count - 1) * 68;
    rig->config.geometry.extent_count = 1;
    rig->config.geometry.page_count = 1;
    assert_true(mkv_geometry_valid(&rig->config.geometry));
    rig->config.eviction = true;
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    rig->tenant = MKV_TENANT_DEFAULT;
    assert_int_equal(rig_put(rig, key_of(0), 4 * MKV_UNIT_BYTES, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_tenant_quota(rig, BATCH, "batch", 4), MKV_STATUS_OK);
    rig->tenant = BATCH;
    (void)rig_put(rig, key_of(1), 3 * MKV_UNIT_BYTES, 1, 0);
    const struct mkv_volume_tenant batch = tenant_of(rig, BATCH);
    assert_true(batch.bytes <= batch.quota_bytes);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume_quota__put_at_the_quota__takes_the_coldest_own_blocks_place),
        cmocka_unit_test(test_volume_quota__touched_block__is_not_the_coldest),
        cmocka_unit_test(test_volume_quota__larger_put__takes_the_place_of_several),
        cmocka_unit_test(test_volume_quota__put_above_the_quota__is_refused_and_nothing_leaves),
        cmocka_unit_test(test_volume_quota__all_blocks_pinned__is_refused_until_one_is_not),
        cmocka_unit_test(test_volume_quota__several_puts_at_a_time__never_pass_it),
        cmocka_unit_test(test_volume_quota__replace_at_the_quota__evicts_nothing),
        cmocka_unit_test(test_volume_quota__slot_of_the_next_size__does_not_pass_it),
        cmocka_unit_test(
            test_volume_quota__puts_of_another_tenant_wait_too__cost_the_first_nothing),
        cmocka_unit_test(test_volume_quota__put_larger_than_the_blocks__waits_for_their_drops_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
