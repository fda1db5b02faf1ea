/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ledger.h"

#include "tests/unit/sim/test.h"

/* Records by hand, a crash, and the heads that a volume may and may not recover with. */

static const struct mkv_geometry geometry = {
    .capacity_units = 16 + 2 * 8 + 2 * 4 + 16 + 4 * 4 + 9,
    .ring_blocks = 8,
    .tenant_units = 1,
    .page_count = 2,
    .directory_units = 16,
    .extent_units = 4,
    .extent_count = 4,
};

static struct mkv_ledger *ledger;
static uint8_t unit[MKV_UNIT_BYTES];

static struct mkv_record extent_record(void) {
    return (struct mkv_record){
        .kind = MKV_RECORD_EXTENT,
        .extent = {.extent = {1}, .span = 1, .slot_units = 2, .page_count = 1},
    };
}
static struct mkv_record put_record(uint32_t slot, uint64_t generation) {
    return (struct mkv_record){
        .kind = MKV_RECORD_PUT,
        .put = {.tier = 2,
                .tag = 77,
                .slot = {slot},
                .length = MKV_UNIT_BYTES,
                .generation = {generation},
                .expiry_s = 50},
    };
}
static struct mkv_record drop_record(uint32_t slot, uint64_t generation) {
    return (struct mkv_record){
        .kind = MKV_RECORD_DROP,
        .drop = {.cause = MKV_DROP_DELETE, .slot = {slot}, .generation = {generation}},
    };
}

static void durable(uint64_t sequence, struct mkv_record record) {
    mkv_ledger_record(ledger, &record);
    mkv_ledger_durable(ledger, sequence);
}

static void keep(uint64_t sequence, struct mkv_record record) {
    mkv_journal_block_begin(unit);
    assert_true(mkv_journal_block_append(unit, &record));
    const struct mkv_journal_header header = {.sequence = {sequence}, .epoch = 1};
    (void)mkv_journal_block_seal(unit, &header);
    mkv_ledger_keep(ledger, sequence, unit);
}

static void serve(uint64_t head, uint64_t blocks) {
    const struct mkv_volume_stats stats = {
        .journal_head = head, .blocks = blocks, .tenants = 1, .extents_total = 4};
    mkv_ledger_serve(ledger, &stats, 0);
}

/* Slot 0 of extent 1 is live by two durable blocks. */
static void make(void) {
    struct mkv_memory *memory = test_memory();
    assert_true(mkv_geometry_valid(&geometry));
    ledger = mkv_memory_take(memory, sizeof *ledger, 64);
    mkv_ledger_init(ledger, memory, &geometry);
    serve(0, 0);
    durable(1, extent_record());
    durable(2, put_record(0, 10));
}

static struct mkv_volume_block block_of(uint32_t slot) {
    return (struct mkv_volume_block){
        .slot = {slot},
        .tag = 77,
        .generation_low = 10,
        .length_units = 1,
        .lba = {mkv_geometry_extent(&geometry, (struct mkv_extent){1}).unit + 2ull * slot},
        .slot_units = 2,
        .tier_put = 2,
        .expiry_s = 50,
    };
}

static void test_ledger_serve__head_within_what_was_issued__takes_over_blocks_up_to_it(
    void **state) {
    (void)state;
    make();
    keep(4, drop_record(0, 10));
    keep(3, put_record(1, 11));
    serve(3, 2);
    assert_true(ledger->live == 2);
    assert_int_equal(ledger->slots[1].state, MKV_LEDGER_LIVE);
    /* Block 4 did not recover, and another one has its sequence. */
    durable(4, drop_record(1, 11));
    mkv_ledger_crash(ledger);
    serve(4, 1);
    assert_true(ledger->live == 1);
}

static void test_ledger_serve__head_that_is_no_prefix__fires_o3(void **state) {
    (void)state;
    make();
    EXPECT_FAILURE(MKV_ORACLE_PREFIX, serve(1, 1));
    make();
    EXPECT_FAILURE(MKV_ORACLE_PREFIX, serve(3, 1));
    make();
    keep(4, drop_record(0, 10));
    EXPECT_FAILURE(MKV_ORACLE_PREFIX, serve(4, 0));
}

static void test_ledger_serve__came_up_empty__forgets_all(void **state) {
    (void)state;
    const struct mkv_volume_stats empty = {
        .journal_head = 8, .tenants = 1, .extents_total = 4, .extents_free = 4};
    make();
    keep(3, put_record(1, 11));
    mkv_ledger_emptied(ledger);
    mkv_ledger_serve(ledger, &empty, 0);
    assert_true(ledger->live == 0);
    assert_true(ledger->head == 8);
    assert_int_equal(ledger->extents, 0);
    /* By an opening that was cut: it may be so, or as it was. */
    make();
    mkv_ledger_emptied(ledger);
    mkv_ledger_crash(ledger);
    serve(2, 1);
    assert_true(ledger->live == 1);
    mkv_ledger_emptied(ledger);
    mkv_ledger_crash(ledger);
    mkv_ledger_serve(ledger, &empty, 0);
    assert_true(ledger->live == 0);
    /* Without a reason it may not. */
    make();
    EXPECT_FAILURE(MKV_ORACLE_PREFIX, mkv_ledger_serve(ledger, &empty, 0));
}

static void test_ledger_record__contradicts_those_before__fires_o4(void **state) {
    (void)state;
    make();
    EXPECT_FAILURE(MKV_ORACLE_SLOTS, durable(3, put_record(0, 11)));
    make();
    EXPECT_FAILURE(MKV_ORACLE_SLOTS, durable(3, drop_record(0, 11)));
    make();
    EXPECT_FAILURE(MKV_ORACLE_SLOTS, durable(3, drop_record(1, 10)));
    make();
    EXPECT_FAILURE(MKV_ORACLE_SLOTS, durable(3, extent_record()));
}

static void test_ledger_block__field_that_differs__fires_o6(void **state) {
    (void)state;
    make();
    struct mkv_volume_block block = block_of(0);
    mkv_ledger_block(ledger, &block, NULL);
#define EXPECT_OTHER(field)                                                                        \
    do {                                                                                           \
        struct mkv_volume_block other = block_of(0);                                               \
        other.field++;                                                                             \
        EXPECT_FAILURE(MKV_ORACLE_STATE, mkv_ledger_block(ledger, &other, NULL));                  \
    } while (0)
    EXPECT_OTHER(slot.index);
    EXPECT_OTHER(tag);
    EXPECT_OTHER(tenant);
    EXPECT_OTHER(generation_low);
    EXPECT_OTHER(length_units);
    EXPECT_OTHER(block_flags);
    EXPECT_OTHER(lba.unit);
    EXPECT_OTHER(slot_units);
    EXPECT_OTHER(tier_put);
    EXPECT_OTHER(expiry_s);
#undef EXPECT_OTHER
    const struct mkv_slot_header header = {.generation = {10}, .length = MKV_UNIT_BYTES};
    mkv_ledger_block(ledger, &block, &header);
    struct mkv_slot_header other = header;
    other.root.bytes[0] = 1;
    EXPECT_FAILURE(MKV_ORACLE_STATE, mkv_ledger_block(ledger, &block, &other));
    other = header;
    other.length--;
    EXPECT_FAILURE(MKV_ORACLE_STATE, mkv_ledger_block(ledger, &block, &other));
    other = header;
    other.generation.value += 1ull << 32;
    EXPECT_FAILURE(MKV_ORACLE_STATE, mkv_ledger_block(ledger, &block, &other));
}

static void test_ledger_block__expiry_record__is_the_expiry_from_then_on(void **state) {
    (void)state;
    make();
    durable(3, (struct mkv_record){.kind = MKV_RECORD_EXPIRY, .expiry = {{0}, {10}, 60}});
    struct mkv_volume_block block = block_of(0);
    EXPECT_FAILURE(MKV_ORACLE_STATE, mkv_ledger_block(ledger, &block, NULL));
    block.expiry_s = 60;
    mkv_ledger_block(ledger, &block, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_ledger_serve__head_within_what_was_issued__takes_over_blocks_up_to_it),
        cmocka_unit_test(test_ledger_serve__head_that_is_no_prefix__fires_o3),
        cmocka_unit_test(test_ledger_serve__came_up_empty__forgets_all),
        cmocka_unit_test(test_ledger_record__contradicts_those_before__fires_o4),
        cmocka_unit_test(test_ledger_block__field_that_differs__fires_o6),
        cmocka_unit_test(test_ledger_block__expiry_record__is_the_expiry_from_then_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
