/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of the slot table, against a plain list that says what it must find and in which order.
 */
#include <sys/mman.h>

#include "core/hash.h"
#include "core/slot_table_internal.h"
#include "tests/unit/core/table_rig.h"

#define UNITS 4u /* of a slot */
#define STEPS 30000u
#define CHECK_EVERY 500u
#define TENANTS 2u

/* ---- random numbers, and what the hash must know --------------------------------------------- */

/* xorshift64 (Marsaglia 2003). */
static uint32_t random_below(uint64_t *state, uint32_t bound) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 32) * bound >> 32);
}

struct known {
    uint32_t slot;
    uint32_t tenant;
    uint64_t tag;
    bool hidden;
};

/* Those put last come last. */
struct model {
    struct table_rig *rig;
    uint32_t count;
    uint32_t room;
    uint64_t generation;
    struct known *known;
};

/* A table of so many pages, each of an extent of its own, all with slots of one size. */
static struct model model_make(uint32_t pages) {
    struct model model = {.room = pages * MKV_PAGE_SLOTS};
    model.rig = table_rig_make(MKV_PAGE_SLOTS * UNITS, pages, pages);
    while (table_rig_give(model.rig, UNITS)) {
        continue;
    }
    assert_int_equal(model.rig->table->classed_slot_count, model.room);
    model.known = calloc(model.room, sizeof *model.known);
    assert_non_null(model.known);
    return model;
}

static void model_free(struct model *model) {
    table_rig_free(model->rig);
    free(model->known);
}

static void model_put(struct model *model, uint32_t tenant, uint64_t tag) {
    struct mkv_record_put put = {.tag = tag, .tenant = tenant};
    assert_true(mkv_slot_table_reserve(model->rig->table, UNITS, &put.slot));
    put.generation.value = ++model->generation;
    mkv_slot_table_apply_put(model->rig->table, &put);
    assert_true(model->count < model->room);
    model->known[model->count++] = (struct known){put.slot.index, tenant, tag, false};
}

static void model_hide(struct model *model, uint32_t index) {
    if (!model->known[index].hidden) {
        mkv_slot_table_hide(model->rig->table, (struct mkv_slot){model->known[index].slot});
        model->known[index].hidden = true;
    }
}

static void model_drop(struct model *model, uint32_t index) {
    const struct mkv_slot slot = {model->known[index].slot};
    const uint32_t low = mkv_slot_table_entry(model->rig->table, slot)->generation_low;
    const struct mkv_record_drop drop = {.slot = slot, .generation = {low}};
    mkv_slot_table_apply_drop(model->rig->table, &drop);
    memmove(&model->known[index], &model->known[index + 1],
            (model->count - index - 1) * sizeof *model->known);
    model->count--;
}

/* The slots of a tag are found by find and find_next, and by a walk, each once, the last put
 * first. */
static void assert_walk(const struct model *model, uint32_t tenant, uint64_t tag) {
    const struct mkv_slot_table *table = model->rig->table;
    struct mkv_slot found = mkv_slot_table_find(table, tenant, tag);
    struct mkv_slot_walk walk = mkv_slot_table_walk(table, tenant, tag);
    for (uint32_t index = model->count; index-- > 0;) {
        const struct known *known = &model->known[index];
        if (known->tenant == tenant && known->tag == tag && !known->hidden) {
            assert_int_equal(found.index, known->slot);
            assert_int_equal(mkv_slot_table_walk_next(table, &walk).index, known->slot);
            found = mkv_slot_table_find_next(table, found);
        }
    }
    assert_int_equal(found.index, MKV_NONE_U32);
    assert_int_equal(mkv_slot_table_walk_next(table, &walk).index, MKV_NONE_U32);
}

/* Nothing of a removed block stays: neither a mark nor a count. */
static void assert_buckets_empty(const struct mkv_slot_table *table) {
    for (uint32_t bucket = 0; bucket < table->bucket_count; bucket++) {
        const uint64_t *words = table_buckets(table)[bucket].words;
        assert_true(words[BUCKET_MARK_WORD_FIRST] == 0);
        assert_true(words[BUCKET_MARK_WORD_LAST] == 0);
    }
}

static uint32_t buckets_passed(const struct mkv_slot_table *table) {
    uint32_t passed = 0;
    for (uint32_t bucket = 0; bucket < table->bucket_count; bucket++) {
        passed += (uint32_t)(table_buckets(table)[bucket].words[BUCKET_MARK_WORD_LAST] >>
                             BUCKET_PASSED_SHIFT);
    }
    return passed;
}

/* ---- whole tables ---------------------------------------------------------------------------- */

/* Tags of few homes, the last bucket among them, so that blocks go on to other buckets, round the
 * end as well, and of few marks, so that other tags stand between those that are looked for. */
static uint64_t crowded_tag(uint64_t *random) {
    const uint64_t high[] = {0xffffffff, 0xfffffff0, 0x00000000, 0x80000000, 0x88000000};
    const uint64_t low[] = {1, 2, 0x80000000};
    return high[random_below(random, 5)] << 32 | low[random_below(random, 3)];
}

static void run_model(uint64_t seed, bool crowded) {
    struct model model = model_make(3);
    uint64_t random = seed;
    for (uint32_t step = 0; step < STEPS; step++) {
        /* Rises to a full table, and falls to an empty one, by turns. */
        const bool rises = step / 3000 % 2 == 0;
        const uint32_t dice = random_below(&random, 10);
        const uint64_t tag = crowded ? crowded_tag(&random)
                                     : ((uint64_t)random_below(&random, UINT32_MAX) << 32) |
                                           random_below(&random, 9);
        const uint32_t tenant = random_below(&random, TENANTS);
        if (dice < (rises ? 7u : 3u)) {
            if (model.count < model.room) {
                model_put(&model, tenant, tag);
            }
        } else if (model.count > 0) {
            const uint32_t index = random_below(&random, model.count);
            if (dice == 9) {
                model_hide(&model, index);
            } else {
                model_drop(&model, index);
            }
        }
        assert_walk(&model, tenant, tag);
        if (model.count > 0) {
            const struct known *known = &model.known[random_below(&random, model.count)];
            assert_walk(&model, known->tenant, known->tag);
        }
        if (step % CHECK_EVERY == 0) {
            mkv_slot_table_check(model.rig->table);
        }
    }
    while (model.count > 0) {
        model_drop(&model, random_below(&random, model.count));
    }
    mkv_slot_table_check(model.rig->table);
    assert_buckets_empty(model.rig->table);
    model_free(&model);
}

static void test_slot_table_buckets__random_tags__are_found_as_the_model_says(void **state) {
    (void)state;
    run_model(1, false);
    run_model(2, false);
}

static void test_slot_table_buckets__tags_of_few_homes__are_found_as_the_model_says(void **state) {
    (void)state;
    run_model(3, true);
    run_model(4, true);
}

static void test_slot_table_buckets__full_table__finds_all_and_few_away_from_home(void **state) {
    (void)state;
    struct model model = model_make(100);
    for (uint64_t number = 1; number <= model.room; number++) {
        model_put(&model, 0, mkv_hash_64(&number, sizeof number));
    }
    struct mkv_slot slot;
    assert_false(mkv_slot_table_reserve(model.rig->table, UNITS, &slot));
    for (uint32_t index = 0; index < model.count; index++) {
        const struct known *known = &model.known[index];
        assert_int_equal(mkv_slot_table_find(model.rig->table, 0, known->tag).index, known->slot);
        assert_int_equal(mkv_slot_table_find(model.rig->table, 1, known->tag).index, MKV_NONE_U32);
    }
    const uint32_t passed = buckets_passed(model.rig->table);
    print_message("%u of %u blocks away from home, by buckets\n", passed, model.count);
    assert_true(passed < model.count / 12);
    mkv_slot_table_check(model.rig->table);
    model_free(&model);
}

/* A cache that is full stays so, and its blocks change: what lookups cost must not grow. */
static void test_slot_table_buckets__full_table_after_much_change__is_as_a_new_one(void **state) {
    (void)state;
    struct model model = model_make(20);
    uint64_t random = 9;
    uint64_t number = 0;
    while (number < model.room) {
        number++;
        model_put(&model, 0, mkv_hash_64(&number, sizeof number));
    }
    for (uint32_t change = 0; change < 10 * model.room; change++) {
        model_drop(&model, random_below(&random, model.count));
        number++;
        model_put(&model, 0, mkv_hash_64(&number, sizeof number));
    }
    const uint32_t passed = buckets_passed(model.rig->table);
    print_message("%u of %u blocks away from home, by buckets\n", passed, model.count);
    assert_true(passed < model.count / 12);
    mkv_slot_table_check(model.rig->table);
    model_free(&model);
}

static void test_slot_table_buckets__thousand_equal_tags__keep_their_order(void **state) {
    (void)state;
    struct model model = model_make(9);
    uint64_t random = 5;
    const uint64_t equal = 0xfffffff000000007;
    for (uint32_t index = 0; index < 1500; index++) {
        model_put(&model, 0, index % 3 == 0 ? crowded_tag(&random) : equal);
    }
    assert_walk(&model, 0, equal);
    mkv_slot_table_check(model.rig->table);
    for (uint32_t turn = 0; turn < 700; turn++) {
        model_drop(&model, random_below(&random, model.count));
    }
    assert_walk(&model, 0, equal);
    mkv_slot_table_check(model.rig->table);
    while (model.count > 0) {
        model_drop(&model, random_below(&random, model.count));
    }
    assert_buckets_empty(model.rig->table);
    model_free(&model);
}

/* What the check is for: each of these would make lookups wrong or slow, and aborts. */
static void test_slot_table_buckets__check__sees_what_is_wrong_in_a_bucket(void **state) {
    (void)state;
    struct model model = model_make(1);
    struct mkv_slot_table *table = model.rig->table;
    for (uint32_t index = 0; index < table->cell_count + 3; index++) {
        model_put(&model, 0, index * 0x10000000ull);
    }
    uint64_t *words = table_buckets(table)[0].words;
    mkv_slot_table_check(table);
    const uint64_t marks = words[BUCKET_MARK_WORD_LAST];
    words[BUCKET_MARK_WORD_LAST] = marks + (1ull << BUCKET_PASSED_SHIFT);
    expect_assert_failure(mkv_slot_table_check(table));
    words[BUCKET_MARK_WORD_LAST] = marks - (3ull << BUCKET_PASSED_SHIFT);
    expect_assert_failure(mkv_slot_table_check(table));
    words[BUCKET_MARK_WORD_LAST] = marks ^ 1; /* another mark */
    expect_assert_failure(mkv_slot_table_check(table));
    words[BUCKET_MARK_WORD_LAST] = marks;
    const uint64_t slots = words[0];
    words[0] ^= 1; /* another slot, so that one stands there twice and one not at all */
    expect_assert_failure(mkv_slot_table_check(table));
    words[0] = slots;
    uint64_t *next = table_buckets(table)[1].words;
    next[BUCKET_MARK_WORD_FIRST] |= 7ull << 24; /* a free slot behind the three */
    expect_assert_failure(mkv_slot_table_check(table));
    next[BUCKET_MARK_WORD_FIRST] &= (1ull << 24) - 1;
    mkv_slot_table_check(table);
    model_free(&model);
}

/* ---- one bucket ------------------------------------------------------------------------------ */

static void set_passed(struct mkv_slot_table *table, uint32_t bucket, uint64_t passed) {
    uint64_t *word = &table_buckets(table)[bucket].words[BUCKET_MARK_WORD_LAST];
    *word = (*word & ((1ull << BUCKET_PASSED_SHIFT) - 1)) | passed << BUCKET_PASSED_SHIFT;
}

/* B4: at its largest value the count does not move, and is right again when none is behind. */
static void test_slot_table_buckets__passed_at_its_largest__holds_until_none_is(void **state) {
    (void)state;
    struct model model = model_make(1);
    struct mkv_slot_table *table = model.rig->table;
    const uint32_t cells = table->cell_count;
    for (uint32_t index = 0; index < cells + 3; index++) {
        model_put(&model, 0, index);
    }
    assert_int_equal(buckets_passed(table), 3);
    set_passed(table, 0, BUCKET_PASSED_MAX);
    model_put(&model, 0, 100);
    assert_int_equal(buckets_passed(table), BUCKET_PASSED_MAX);
    mkv_slot_table_check(table);
    for (uint32_t dropped = 0; dropped < 4; dropped++) {
        model_drop(&model, model.count - 1);
        assert_int_equal(buckets_passed(table), BUCKET_PASSED_MAX);
        assert_walk(&model, 0, 0);
        mkv_slot_table_check(table);
    }
    assert_int_equal(model.count, cells);
    model_drop(&model, model.count - 1);
    assert_int_equal(buckets_passed(table), 0);
    mkv_slot_table_check(table);
    model_free(&model);
}

static void test_slot_table_buckets__cells_of_a_mark__are_the_same_both_ways(void **state) {
    (void)state;
    uint64_t random = 7;
    const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff};
    for (uint32_t turn = 0; turn < 20000; turn++) {
        struct mkv_slot_bucket bucket = {{0}};
        uint8_t marks[16];
        for (uint32_t index = 0; index < sizeof marks; index++) {
            marks[index] = values[random_below(&random, sizeof values)];
        }
        memcpy(&bucket.words[BUCKET_MARK_WORD_FIRST], marks, sizeof marks);
        for (uint32_t index = 0; index < sizeof values; index++) {
            uint32_t expected = 0;
            for (uint32_t cell = 0; cell < BUCKET_CELLS_MAX; cell++) {
                expected |= (uint32_t)(marks[cell] == values[index]) << cell;
            }
            assert_int_equal(bucket_cells(&bucket, values[index]), expected);
            assert_int_equal(bucket_cells_by_words(&bucket, values[index]), expected);
        }
    }
}

/* A table of so many pages, of which only what is touched takes memory; NULL if there can be none.
 */
static struct mkv_slot_table *sparse_table(uint32_t pages, size_t *bytes) {
    const struct mkv_geometry geometry = {
        .page_count = pages, .extent_units = 4096, .extent_count = 1};
    *bytes = mkv_slot_table_memory_required(&geometry);
    void *memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    mkv_slot_table_init(memory, &geometry);
    return memory;
}

/* Slot numbers take as many bits as the table needs, up to 32, wherever they lie in a bucket. */
static void numbers_survive(uint32_t pages, uint32_t bits, uint32_t cells) {
    size_t bytes;
    struct mkv_slot_table *table = sparse_table(pages, &bytes);
    if (table == NULL) {
        skip(); /* the machine does not give away more than it has */
    }
    assert_int_equal(table->slot_bits, bits);
    assert_int_equal(table->cell_count, cells);
    uint64_t random = pages;
    uint32_t slots[300];
    const uint32_t count = sizeof slots / sizeof slots[0];
    const uint32_t stride = table->slot_total / count;
    for (uint32_t index = 0; index < count; index++) {
        slots[index] = index == 0 ? table->slot_total - 1
                                  : index * stride - random_below(&random, stride) + stride / 2;
        table_entries(table)[slots[index]] = (struct mkv_slot_entry){
            .tag_low = index * 0x01000193u,
            .tag_high = 0xffffffff, /* the last bucket: it and the first ones fill */
            .bits = MKV_SLOT_LIVE,
        };
        mkv_slot_buckets_insert(table, slots[index]);
    }
    for (uint32_t left = count; left > 0; left--) {
        for (uint32_t index = 0; index < left; index++) {
            const uint64_t tag = entry_tag(&table_entries(table)[slots[index]]);
            assert_int_equal(mkv_slot_table_find(table, 0, tag).index, slots[index]);
        }
        const uint32_t index = random_below(&random, left);
        const uint64_t tag = entry_tag(&table_entries(table)[slots[index]]);
        mkv_slot_buckets_remove(table, slots[index]);
        assert_int_equal(mkv_slot_table_find(table, 0, tag).index, MKV_NONE_U32);
        slots[index] = slots[left - 1];
    }
    assert_int_equal(munmap(table, bytes), 0);
}

static void test_slot_table_buckets__slot_numbers_of_27_bits__stand_14_in_a_bucket(void **state) {
    (void)state;
    numbers_survive((1u << 27) / MKV_PAGE_SLOTS, 27, 14);
}

static void test_slot_table_buckets__slot_numbers_of_28_bits__stand_13_in_a_bucket(void **state) {
    (void)state;
    numbers_survive((1u << 27) / MKV_PAGE_SLOTS + 1, 28, 13);
}

static void test_slot_table_buckets__slot_numbers_of_a_largest_table__are_kept(void **state) {
    (void)state;
    numbers_survive(MKV_PAGES_MAX, 32, 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_table_buckets__random_tags__are_found_as_the_model_says),
        cmocka_unit_test(test_slot_table_buckets__tags_of_few_homes__are_found_as_the_model_says),
        cmocka_unit_test(test_slot_table_buckets__full_table__finds_all_and_few_away_from_home),
        cmocka_unit_test(test_slot_table_buckets__full_table_after_much_change__is_as_a_new_one),
        cmocka_unit_test(test_slot_table_buckets__thousand_equal_tags__keep_their_order),
        cmocka_unit_test(test_slot_table_buckets__check__sees_what_is_wrong_in_a_bucket),
        cmocka_unit_test(test_slot_table_buckets__passed_at_its_largest__holds_until_none_is),
        cmocka_unit_test(test_slot_table_buckets__cells_of_a_mark__are_the_same_both_ways),
        cmocka_unit_test(test_slot_table_buckets__slot_numbers_of_27_bits__stand_14_in_a_bucket),
        cmocka_unit_test(test_slot_table_buckets__slot_numbers_of_28_bits__stand_13_in_a_bucket),
        cmocka_unit_test(test_slot_table_buckets__slot_numbers_of_a_largest_table__are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
