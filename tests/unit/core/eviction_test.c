/* SPDX-License-Identifier: Apache-2.0 */
#include "core/eviction.h"

#include "tests/unit/core/test.h"

#define EXTENTS 4u
#define EXTENT_SLOTS 64u
#define SLOTS (EXTENTS * EXTENT_SLOTS)
#define HELD 0x40u

/* What the policy sees of an entry, and more between, as in the owner's. */
struct entry {
    uint64_t tag;
    uint32_t order;
    uint16_t length;
    uint16_t bits;
};

struct rig {
    struct mkv_eviction *eviction;
    struct mkv_eviction_slots slots;
    struct entry entries[SLOTS];
    uint32_t order;
    bool kept[SLOTS];
};

static bool is_kept(const void *context, struct mkv_slot slot) {
    return ((const struct rig *)context)->kept[slot.index];
}

/* Extents 0 and 1 are of class 3, the others of class 5. */
static struct rig *rig_make(void) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    const struct mkv_eviction_config config = {
        .extent_count = EXTENTS,
        .class_count = 6,
        .ghost_count = 64,
    };
    const size_t bytes = mkv_eviction_memory_required(&config);
    rig->eviction = malloc(bytes);
    assert_non_null(rig->eviction);
    memset((void *)rig->eviction, 0xa5, bytes);
    mkv_eviction_init(rig->eviction, &config);
    for (uint32_t extent = 0; extent < EXTENTS; extent++) {
        mkv_eviction_add_extent(rig->eviction, (struct mkv_extent){extent}, extent < 2 ? 3 : 5,
                                (struct mkv_slot){extent * EXTENT_SLOTS}, EXTENT_SLOTS);
    }
    rig->slots = (struct mkv_eviction_slots){
        .entries = (uint8_t *)rig->entries,
        .stride_bytes = sizeof(struct entry),
        .bits_offset = offsetof(struct entry, bits),
        .order_offset = offsetof(struct entry, order),
        .skip_mask = HELD,
        .is_kept = is_kept,
        .context = rig,
    };
    rig->order = UINT32_MAX - 40; /* it wraps */
    return rig;
}

static void rig_free(struct rig *rig) {
    mkv_eviction_check(rig->eviction, &rig->slots);
    free(rig->eviction);
    free(rig);
}

static uint64_t tag_of(uint32_t key) {
    uint64_t mixed = (key + 1) * 0x9e3779b97f4a7c15ull;
    mixed ^= mixed >> 29;
    return mixed * 0xbf58476d1ce4e5b9ull;
}

static struct mkv_extent extent_of(uint32_t slot) {
    return (struct mkv_extent){slot / EXTENT_SLOTS};
}

static void put_as(struct rig *rig, uint32_t slot, uint32_t key, enum mkv_tier tier,
                   enum mkv_eviction_entry entry) {
    rig->entries[slot] = (struct entry){
        .tag = tag_of(key),
        .order = rig->order++,
        .bits = (uint16_t)(tier << MKV_EVICTION_TIER_SHIFT),
    };
    mkv_eviction_insert(rig->eviction, &rig->slots, extent_of(slot), (struct mkv_slot){slot},
                        tag_of(key), entry);
}

static void put(struct rig *rig, uint32_t slot, uint32_t key) {
    put_as(rig, slot, key, MKV_TIER_UNHINTED, MKV_EVICTION_NEW);
}

static void touch(struct rig *rig, uint32_t slot) {
    mkv_eviction_touch(rig->eviction, &rig->slots, extent_of(slot), (struct mkv_slot){slot});
}

static void drop(struct rig *rig, uint32_t slot, bool evicted) {
    mkv_eviction_drop(rig->eviction, &rig->slots, extent_of(slot), (struct mkv_slot){slot},
                      rig->entries[slot].tag, evicted);
}

static uint32_t victim(struct rig *rig, uint32_t class_index) {
    return mkv_eviction_victim(rig->eviction, &rig->slots, class_index).index;
}

static void fill(struct rig *rig, uint32_t slot_first, uint32_t count) {
    for (uint32_t slot = slot_first; slot < slot_first + count; slot++) {
        put(rig, slot, slot);
    }
}

static void test_eviction__nothing_was_used__the_oldest_leaves_first(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 10, 6);
    for (uint32_t slot = 10; slot < 16; slot++) {
        assert_int_equal(victim(rig, 3), slot);
        assert_int_equal(victim(rig, 3), slot); /* it stays until it is dropped */
        drop(rig, slot, true);
    }
    assert_int_equal(victim(rig, 3), MKV_NONE_U32);
    assert_true(mkv_eviction_is_exhausted(rig->eviction, 3));
    rig_free(rig);
}

static void test_eviction__a_class__gives_victims_of_its_own(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 4);
    fill(rig, 3 * EXTENT_SLOTS, 4);
    for (uint32_t count = 0; count < 4; count++) {
        const uint32_t slot = victim(rig, 5);
        assert_true(slot >= 3 * EXTENT_SLOTS && slot != MKV_NONE_U32);
        drop(rig, slot, true);
    }
    assert_int_equal(victim(rig, 5), MKV_NONE_U32);
    assert_int_equal(victim(rig, 4), MKV_NONE_U32);
    assert_int_equal(victim(rig, 3), 0);
    rig_free(rig);
}

static void test_eviction__used_blocks__outlive_those_that_were_not(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 32);
    for (uint32_t slot = 0; slot < 32; slot += 2) {
        touch(rig, slot);
    }
    for (uint32_t count = 0; count < 16; count++) {
        const uint32_t slot = victim(rig, 3);
        assert_int_equal(slot % 2, 1);
        drop(rig, slot, true);
    }
    assert_int_equal(victim(rig, 3) % 2, 0);
    rig_free(rig);
}

static void test_eviction__tail_and_restored__leave_before_new_ones(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 8);
    put_as(rig, 8, 8, MKV_TIER_UNHINTED, MKV_EVICTION_TAIL);
    assert_int_equal(victim(rig, 3), 8);
    drop(rig, 8, true);
    put_as(rig, 9, 9, MKV_TIER_UNHINTED, MKV_EVICTION_RESTORED);
    assert_int_equal(victim(rig, 3), 9);
    touch(rig, 9);
    assert_int_not_equal(victim(rig, 3), 9);
    rig_free(rig);
}

static void test_eviction__tiers__the_lowest_leaves_first(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    put_as(rig, 0, 0, MKV_TIER_OUTPUT_CRITICAL, MKV_EVICTION_NEW);
    put_as(rig, 1, 1, MKV_TIER_THINK_ACTIVE, MKV_EVICTION_NEW);
    put_as(rig, 2, 2, MKV_TIER_UNHINTED, MKV_EVICTION_NEW);
    put_as(rig, 3, 3, MKV_TIER_THINK_COMPLETE, MKV_EVICTION_NEW);
    touch(rig, 3); /* I3: and stays in its tier */
    for (uint32_t left = 4; left-- > 0;) {
        assert_int_equal(victim(rig, 3), left);
        drop(rig, left, true);
    }
    rig_free(rig);
}

static void test_eviction__demotion__only_lowers(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 4);
    assert_int_equal(victim(rig, 3), 0);
    const struct mkv_slot slot = {2};
    mkv_eviction_demote(rig->eviction, &rig->slots, extent_of(2), slot, MKV_TIER_OUTPUT_CRITICAL);
    assert_int_equal(victim(rig, 3), 0);
    mkv_eviction_demote(rig->eviction, &rig->slots, extent_of(2), slot, MKV_TIER_THINK_COMPLETE);
    assert_int_equal(victim(rig, 3), 2);
    rig_free(rig);
}

static void test_eviction__held_and_kept_slots__are_no_victims(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 3);
    rig->entries[0].bits |= HELD;
    rig->kept[1] = true;
    assert_int_equal(victim(rig, 3), 2);
    rig->entries[2].bits |= HELD;
    for (uint32_t call = 0; call < 8; call++) {
        assert_int_equal(victim(rig, 3), MKV_NONE_U32);
    }
    assert_true(mkv_eviction_is_exhausted(rig->eviction, 3));
    rig->entries[0].bits &= (uint16_t)~HELD;
    mkv_eviction_unskip(rig->eviction, &rig->slots, extent_of(0), (struct mkv_slot){0});
    assert_false(mkv_eviction_is_exhausted(rig->eviction, 3));
    uint32_t found = MKV_NONE_U32;
    for (uint32_t call = 0; call < 4 && found == MKV_NONE_U32; call++) {
        found = victim(rig, 3);
    }
    assert_int_equal(found, 0);
    rig_free(rig);
}

static void test_eviction__held_lower_tier__the_next_one_gives_the_victim(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    put_as(rig, 0, 0, MKV_TIER_THINK_COMPLETE, MKV_EVICTION_NEW);
    rig->entries[0].bits |= HELD;
    put_as(rig, 1, 1, MKV_TIER_THINK_ACTIVE, MKV_EVICTION_NEW);
    uint32_t found = MKV_NONE_U32;
    for (uint32_t call = 0; call < 8 && found == MKV_NONE_U32; call++) {
        found = victim(rig, 3);
    }
    assert_int_equal(found, 1);
    rig_free(rig);
}

static void test_eviction__ghosts__tell_evicted_blocks_until_they_return(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 3);
    assert_false(mkv_eviction_was_evicted(rig->eviction, tag_of(0)));
    drop(rig, 0, true);
    drop(rig, 1, false);
    assert_true(mkv_eviction_was_evicted(rig->eviction, tag_of(0)));
    assert_false(mkv_eviction_was_evicted(rig->eviction, tag_of(1)));
    put(rig, 0, 0);
    assert_false(mkv_eviction_was_evicted(rig->eviction, tag_of(0)));
    rig_free(rig);
}

static void test_eviction__returned_block__counts_as_used(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 2);
    drop(rig, 0, true);
    put(rig, 0, 0);
    put(rig, 5, 5);
    assert_true(mkv_eviction_used_lately(&rig->slots, (struct mkv_slot){0}));
    assert_false(mkv_eviction_used_lately(&rig->slots, (struct mkv_slot){5}));
    assert_int_equal(victim(rig, 3), 1);
    drop(rig, 1, true);
    assert_int_equal(victim(rig, 3), 5); /* younger than the one that returned */
    rig_free(rig);
}

static void test_eviction__many_evicted__ghosts_are_bounded(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    for (uint32_t key = 0; key < 1000; key++) {
        put(rig, 0, key);
        drop(rig, 0, true);
    }
    uint32_t known = 0;
    for (uint32_t key = 0; key < 1000; key++) {
        known += mkv_eviction_was_evicted(rig->eviction, tag_of(key));
    }
    assert_in_range(known, 32, 64);
    rig_free(rig);
}

static void test_eviction__extent_leaves__its_slots_are_no_victims(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 2);
    fill(rig, EXTENT_SLOTS, 2);
    assert_int_equal(victim(rig, 3), 0);
    expect_assert_failure(mkv_eviction_remove_extent(rig->eviction, (struct mkv_extent){0}));
    drop(rig, 0, false);
    drop(rig, 1, false);
    mkv_eviction_remove_extent(rig->eviction, (struct mkv_extent){0});
    assert_int_equal(victim(rig, 3), EXTENT_SLOTS);
    mkv_eviction_add_extent(rig->eviction, (struct mkv_extent){0}, 5, (struct mkv_slot){0},
                            EXTENT_SLOTS);
    put(rig, 7, 7);
    assert_int_equal(victim(rig, 5), 7);
    rig_free(rig);
}

/* A small model: what is where. Invariants hold all the while, and there is always a victim. */
static void random_run(struct rig *rig, uint32_t *victims, uint32_t count) {
    uint64_t random = 88172645463325252ull;
    uint32_t key = SLOTS;
    fill(rig, 0, SLOTS);
    for (uint32_t turn = 0; turn < count; turn++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if (random % 3 > 0) {
            touch(rig, (uint32_t)(random >> 20) % SLOTS);
        }
        const uint32_t class_index = random % 5 > 2 ? 3 : 5;
        uint32_t slot = MKV_NONE_U32;
        for (uint32_t call = 0; call < 3 && slot == MKV_NONE_U32; call++) {
            slot = victim(rig, class_index);
        }
        assert_int_not_equal(slot, MKV_NONE_U32);
        victims[turn] = slot;
        drop(rig, slot, true);
        /* Now and then one that was evicted not long ago comes back. */
        put(rig, slot, random % 7 == 0 ? key - (uint32_t)(random >> 40) % 64 : key++);
        if (turn % 256 == 0) {
            mkv_eviction_check(rig->eviction, &rig->slots);
        }
    }
}

static void test_eviction__same_calls__give_the_same_victims(void **state) {
    (void)state;
    static uint32_t first[20000];
    static uint32_t second[20000];
    struct rig *rig = rig_make();
    random_run(rig, first, 20000);
    rig_free(rig);
    rig = rig_make();
    random_run(rig, second, 20000);
    rig_free(rig);
    assert_memory_equal(first, second, sizeof first);
}

static void test_eviction__a_loop_and_hot_blocks__the_hot_ones_stay(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 128);
    uint32_t key = 1000;
    for (uint32_t turn = 0; turn < 4000; turn++) {
        touch(rig, turn % 16);
        const uint32_t slot = victim(rig, 3);
        assert_int_not_equal(slot, MKV_NONE_U32);
        assert_true(turn < 200 || slot >= 16);
        drop(rig, slot, true);
        put(rig, slot, key++);
    }
    rig_free(rig);
}

static void test_eviction__nothing_is_ever_used__the_newest_stay(void **state) {
    (void)state;
    struct rig *rig = rig_make();
    fill(rig, 0, 128);
    for (uint32_t turn = 0; turn < 4000; turn++) {
        const uint32_t slot = victim(rig, 3);
        assert_int_not_equal(slot, MKV_NONE_U32);
        assert_true(rig->order - rig->entries[slot].order > 64);
        drop(rig, slot, true);
        put(rig, slot, 1000 + turn);
    }
    rig_free(rig);
}

static void test_eviction_ghosts_for__slots__an_eighth_within_bounds(void **state) {
    (void)state;
    assert_int_equal(mkv_eviction_ghosts_for(1), 8192);
    assert_int_equal(mkv_eviction_ghosts_for(1u << 20), 1u << 17);
    assert_int_equal(mkv_eviction_ghosts_for(100000000), 1u << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eviction__nothing_was_used__the_oldest_leaves_first),
        cmocka_unit_test(test_eviction__a_class__gives_victims_of_its_own),
        cmocka_unit_test(test_eviction__used_blocks__outlive_those_that_were_not),
        cmocka_unit_test(test_eviction__tail_and_restored__leave_before_new_ones),
        cmocka_unit_test(test_eviction__tiers__the_lowest_leaves_first),
        cmocka_unit_test(test_eviction__demotion__only_lowers),
        cmocka_unit_test(test_eviction__held_and_kept_slots__are_no_victims),
        cmocka_unit_test(test_eviction__held_lower_tier__the_next_one_gives_the_victim),
        cmocka_unit_test(test_eviction__ghosts__tell_evicted_blocks_until_they_return),
        cmocka_unit_test(test_eviction__returned_block__counts_as_used),
        cmocka_unit_test(test_eviction__many_evicted__ghosts_are_bounded),
        cmocka_unit_test(test_eviction__extent_leaves__its_slots_are_no_victims),
        cmocka_unit_test(test_eviction__same_calls__give_the_same_victims),
        cmocka_unit_test(test_eviction__a_loop_and_hot_blocks__the_hot_ones_stay),
        cmocka_unit_test(test_eviction__nothing_is_ever_used__the_newest_stay),
        cmocka_unit_test(test_eviction_ghosts_for__slots__an_eighth_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
