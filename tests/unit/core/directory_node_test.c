/* SPDX-License-Identifier: Apache-2.0 */
#include "core/directory_node.h"

#include "core/bytes.h"
#include "core/directory_root.h"
#include "core/hash.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

#define PAGE 17u
#define COMMIT 5u

static struct mkv_directory_key key_of(uint32_t tenant, const void *bytes, uint32_t count) {
    struct mkv_directory_key key;
    memset(&key, 0xee, sizeof key);
    mkv_directory_key_make(&key, tenant, bytes, count);
    return key;
}

static struct mkv_directory_key key_of_text(const char *text) {
    return key_of(7, text, (uint32_t)strlen(text));
}

static struct mkv_directory_value value_of(uint32_t number) {
    return (struct mkv_directory_value){
        .slot = {number},
        .generation_low = number * 3u,
        .length_units = number % 8193u,
        .block_flags = number % 4u,
    };
}

static void check_value(struct mkv_directory_value value, uint32_t number) {
    const struct mkv_directory_value wanted = value_of(number);
    assert_int_equal(value.slot.index, wanted.slot.index);
    assert_int_equal(value.generation_low, wanted.generation_low);
    assert_int_equal(value.length_units, wanted.length_units);
    assert_int_equal(value.block_flags, wanted.block_flags);
}

static bool put(uint8_t *unit, const struct mkv_directory_key *key, uint32_t number) {
    uint8_t *scratch = sample_unit_new();
    bool equal;
    const uint32_t index = mkv_directory_node_find(unit, key, &equal);
    assert_false(equal);
    const struct mkv_directory_item item = {.key = key, .value = value_of(number)};
    const bool fits = mkv_directory_node_fits(unit, index, &item);
    const bool done = mkv_directory_node_insert(unit, index, &item, scratch);
    assert_true(fits == done);
    free(scratch);
    return done;
}

static bool seal_and_check(uint8_t *unit) {
    const struct mkv_uuid uuid = sample_uuid(20);
    const uint64_t checksum = mkv_directory_node_seal(unit, &uuid, COMMIT, PAGE);
    return mkv_directory_node_sound(unit, &uuid, PAGE, mkv_directory_node_level(unit),
                                    (uint32_t)checksum);
}

/* Checks after its bytes were changed and the sum was put right. */
static bool sound_resealed(uint8_t *unit, uint32_t level) {
    const struct mkv_uuid uuid = sample_uuid(20);
    const uint64_t checksum = mkv_hash_64(unit + 16, MKV_UNIT_BYTES - 16);
    mkv_store_u64(unit + 8, checksum);
    return mkv_directory_node_sound(unit, &uuid, PAGE, level, (uint32_t)checksum);
}

static void test_key__made__orders_by_tenant_then_bytes(void **state) {
    (void)state;
    const struct mkv_directory_key ordered[] = {
        key_of(0, "", 0),  key_of(0, "\0", 1),    key_of(0, "\0\0", 2),
        key_of(0, "a", 1), key_of(0, "a\xff", 2), key_of(0, "b", 1),
        key_of(1, "a", 1), key_of(256, "a", 1),   key_of(0xffffffffu, "a", 1),
    };
    for (uint32_t a = 0; a < sizeof ordered / sizeof ordered[0]; a++) {
        for (uint32_t b = 0; b < sizeof ordered / sizeof ordered[0]; b++) {
            const int order = mkv_directory_key_compare(&ordered[a], &ordered[b]);
            assert_true(a < b ? order < 0 : (a > b ? order > 0 : order == 0));
        }
    }
    assert_int_equal(mkv_directory_key_tenant(&ordered[7]), 256);
}

static void test_node__least_and_longest_keys__all_found(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    uint8_t longest[MKV_KEY_BYTES_MAX];
    memset(longest, 'x', sizeof longest);
    const struct mkv_directory_key keys[] = {
        key_of(3, "", 1),
        key_of(3, "x", 1),
        key_of(3, longest, MKV_KEY_BYTES_MAX - 1),
        key_of(3, longest, MKV_KEY_BYTES_MAX),
        key_of(3, "y", 1),
        key_of(3, "y\0", 2),
    };
    mkv_directory_node_begin(unit, 0);
    for (uint32_t at = 6; at-- > 0;) {
        assert_true(put(unit, &keys[at], at));
    }
    assert_true(seal_and_check(unit));
    assert_int_equal(mkv_directory_node_count(unit), 6);
    for (uint32_t at = 0; at < 6; at++) {
        struct mkv_directory_key read;
        bool equal;
        assert_int_equal(mkv_directory_node_find(unit, &keys[at], &equal), at);
        assert_true(equal);
        mkv_directory_node_key(unit, at, &read);
        assert_int_equal(mkv_directory_key_compare(&read, &keys[at]), 0);
        check_value(mkv_directory_node_value(unit, at), at);
    }
    const struct mkv_directory_key absent = key_of(3, longest, MKV_KEY_BYTES_MAX - 2);
    bool equal;
    assert_int_equal(mkv_directory_node_find(unit, &absent, &equal), 2);
    assert_false(equal);
    free(unit);
}

static void test_node__keys_with_a_long_prefix__store_it_once(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    char text[600];
    memset(text, 'p', sizeof text);
    mkv_directory_node_begin(unit, 0);
    uint32_t count = 0;
    for (; count < 1000; count++) {
        snprintf(text + 500, 9, "%08u", (count * 7919u) % 100003u);
        const struct mkv_directory_key key = key_of(7, text, 508);
        if (!put(unit, &key, count)) {
            break;
        }
    }
    /* The prefix and the first digits are shared: 14 bytes and at most 8 digits an entry. */
    assert_true(count >= (MKV_DIRECTORY_NODE_ROOM - 508) / (MKV_DIRECTORY_ENTRY_BYTES + 8));
    assert_true(seal_and_check(unit));
    free(unit);
}

static void test_node__key_of_another_prefix__node_splits_at_it(void **state) {
    (void)state;
    char text[600];
    memset(text, 'p', sizeof text);
    const char *const strangers[] = {"a", "z"};
    for (uint32_t side = 0; side < 2; side++) {
        uint8_t *unit = sample_unit_new();
        uint8_t *right = sample_unit_new();
        uint8_t *scratch = sample_unit_new();
        mkv_directory_node_begin(unit, 0);
        for (uint32_t number = 0; number < 80; number++) {
            snprintf(text + 500, 9, "%08u", number);
            const struct mkv_directory_key key = key_of(7, text, 508);
            assert_true(put(unit, &key, number));
        }
        const struct mkv_directory_key stranger = key_of_text(strangers[side]);
        assert_false(put(unit, &stranger, 999));
        bool equal;
        const struct mkv_directory_item item = {.key = &stranger, .value = value_of(999)};
        const uint32_t index = mkv_directory_node_find(unit, &stranger, &equal);
        struct mkv_directory_key separator;
        mkv_directory_node_split(unit, right, index, &item, &separator, scratch);
        assert_true(seal_and_check(unit));
        assert_true(seal_and_check(right));
        const uint32_t count = mkv_directory_node_count(unit);
        assert_int_equal(count + mkv_directory_node_count(right), 81);
        /* With the stranger the long prefix is lost, and few can be where it is. */
        assert_true((side == 0 ? count : 81 - count) < 8);
        free(unit);
        free(right);
        free(scratch);
    }
}

/* Random keys out of few bytes and lengths, so that many begin alike and some are others' starts.
 */
static struct mkv_directory_key random_key(struct sample_random *source) {
    uint8_t bytes[MKV_KEY_BYTES_MAX];
    uint32_t count = 1 + (uint32_t)sample_random_below(source, 6);
    if (sample_random_below(source, 12) == 0) {
        count = MKV_KEY_BYTES_MAX - (uint32_t)sample_random_below(source, 300);
    }
    const uint8_t filler = (uint8_t)sample_random_below(source, 2);
    memset(bytes, filler * 0xff, sizeof bytes);
    for (uint32_t at = 0; at < 3 && at < count; at++) {
        bytes[sample_random_below(source, count)] = (uint8_t)sample_random_below(source, 256);
    }
    return key_of((uint32_t)sample_random_below(source, 3), bytes, count);
}

#define MODEL_MAX 600u
struct model {
    struct mkv_directory_key keys[MODEL_MAX];
    uint32_t numbers[MODEL_MAX];
    uint32_t count;
};

static uint32_t model_find(const struct model *model, const struct mkv_directory_key *key,
                           bool *equal) {
    uint32_t index = 0;
    while (index < model->count && mkv_directory_key_compare(&model->keys[index], key) < 0) {
        index++;
    }
    *equal = index < model->count && mkv_directory_key_compare(&model->keys[index], key) == 0;
    return index;
}

static void model_put(struct model *model, uint32_t index, const struct mkv_directory_key *key,
                      uint32_t number) {
    memmove(&model->keys[index + 1], &model->keys[index],
            (model->count - index) * sizeof model->keys[0]);
    memmove(&model->numbers[index + 1], &model->numbers[index],
            (model->count - index) * sizeof model->numbers[0]);
    model->keys[index] = *key;
    model->numbers[index] = number;
    model->count++;
}

static void model_remove(struct model *model, uint32_t index) {
    model->count--;
    memmove(&model->keys[index], &model->keys[index + 1],
            (model->count - index) * sizeof model->keys[0]);
    memmove(&model->numbers[index], &model->numbers[index + 1],
            (model->count - index) * sizeof model->numbers[0]);
}

/* Compares a leaf with a part of the model. */
static void check_leaf(uint8_t *unit, const struct model *model, uint32_t from) {
    const uint32_t count = mkv_directory_node_count(unit);
    assert_true(from + count <= model->count);
    assert_true(mkv_directory_node_used(unit) <= MKV_DIRECTORY_NODE_ROOM);
    for (uint32_t index = 0; index < count; index++) {
        struct mkv_directory_key key;
        mkv_directory_node_key(unit, index, &key);
        assert_int_equal(mkv_directory_key_compare(&key, &model->keys[from + index]), 0);
        check_value(mkv_directory_node_value(unit, index), model->numbers[from + index]);
    }
    if (count > 0) {
        assert_true(seal_and_check(unit));
    }
}

static void split_and_check(uint8_t *unit, const struct model *model, uint32_t index,
                            const struct mkv_directory_item *item) {
    uint8_t *right = sample_unit_new();
    uint8_t *scratch = sample_unit_new();
    struct mkv_directory_key separator;
    mkv_directory_node_split(unit, right, index, item, &separator, scratch);
    const uint32_t place = mkv_directory_node_count(unit);
    assert_true(place > 0 && place < model->count);
    assert_int_equal(place + mkv_directory_node_count(right), model->count);
    check_leaf(unit, model, 0);
    check_leaf(right, model, place);
    assert_true(mkv_directory_key_compare(&model->keys[place - 1], &separator) < 0);
    assert_true(mkv_directory_key_compare(&separator, &model->keys[place]) <= 0);
    if (mkv_directory_node_merged_used(unit, right, &separator) <= MKV_DIRECTORY_NODE_ROOM) {
        mkv_directory_node_merge(scratch, unit, right, &separator);
        check_leaf(scratch, model, 0);
    }
    free(right);
    free(scratch);
}

static void test_node__random_changes__equal_to_the_model(void **state) {
    (void)state;
    struct sample_random source = {.state = 31};
    struct model *model = calloc(1, sizeof *model);
    uint8_t *unit = sample_unit_new();
    uint8_t *scratch = sample_unit_new();
    uint32_t splits = 0;
    mkv_directory_node_begin(unit, 0);
    for (uint32_t round = 0; round < 60000; round++) {
        bool equal;
        bool found;
        const struct mkv_directory_key key = random_key(&source);
        const uint32_t index = model_find(model, &key, &equal);
        assert_int_equal(mkv_directory_node_find(unit, &key, &found), index);
        assert_true(found == equal);
        if (equal && sample_random_below(&source, 2) == 0) {
            const struct mkv_directory_value value = value_of(round);
            mkv_directory_node_set_value(unit, index, &value);
            model->numbers[index] = round;
        } else if (equal) {
            mkv_directory_node_remove(unit, index, scratch);
            model_remove(model, index);
        } else {
            const struct mkv_directory_item item = {.key = &key, .value = value_of(round)};
            const bool done = put(unit, &key, round);
            model_put(model, index, &key, round);
            if (!done) {
                splits++;
                split_and_check(unit, model, index, &item);
                mkv_directory_node_begin(unit, 0);
                model->count = 0;
            }
        }
        if (sample_random_below(&source, 4) == 0) {
            check_leaf(unit, model, 0);
        }
    }
    assert_true(splits > 100);
    free(model);
    free(unit);
    free(scratch);
}

/* An inner node: child i stands for the keys from model.keys[i] on, and has the number as page. */
static void check_inner(uint8_t *unit, const struct model *model, uint32_t from) {
    const uint32_t count = mkv_directory_node_count(unit);
    for (uint32_t index = 0; index < count; index++) {
        const struct mkv_directory_child child = mkv_directory_node_child(unit, index);
        assert_int_equal(child.page, model->numbers[from + index]);
        assert_int_equal(child.checksum_low, ~model->numbers[from + index]);
        if (index > 0) {
            struct mkv_directory_key key;
            mkv_directory_node_key(unit, index, &key);
            assert_int_equal(mkv_directory_key_compare(&key, &model->keys[from + index]), 0);
        }
    }
    assert_true(seal_and_check(unit));
}

static uint32_t model_child(const struct model *model, const struct mkv_directory_key *key) {
    uint32_t index = 0;
    while (index + 1 < model->count &&
           mkv_directory_key_compare(&model->keys[index + 1], key) <= 0) {
        index++;
    }
    return index;
}

static void test_inner_node__random_changes__equal_to_the_model(void **state) {
    (void)state;
    struct sample_random source = {.state = 32};
    struct model *model = calloc(1, sizeof *model);
    uint8_t *unit = sample_unit_new();
    uint8_t *right = sample_unit_new();
    uint8_t *scratch = sample_unit_new();
    uint32_t splits = 0;
    mkv_directory_node_begin(unit, 1);
    const struct mkv_directory_item first = {.child = {.page = 1, .checksum_low = ~1u}};
    assert_true(mkv_directory_node_insert(unit, 0, &first, scratch));
    model->count = 1;
    model->numbers[0] = 1;
    for (uint32_t round = 2; round < 40000; round++) {
        const struct mkv_directory_key key = random_key(&source);
        const uint32_t index = model_child(model, &key);
        assert_int_equal(mkv_directory_node_find_child(unit, &key), index);
        const bool equal = index > 0 && mkv_directory_key_compare(&key, &model->keys[index]) == 0;
        if (equal || (model->count > 1 && sample_random_below(&source, 8) == 0)) {
            const uint32_t gone = (uint32_t)sample_random_below(&source, model->count);
            mkv_directory_node_remove(unit, gone, scratch);
            model_remove(model, gone);
        } else {
            const struct mkv_directory_item item = {
                .key = &key, .child = {.page = round, .checksum_low = ~round}};
            const bool done = mkv_directory_node_insert(unit, index + 1, &item, scratch);
            model_put(model, index + 1, &key, round);
            if (!done) {
                struct mkv_directory_key separator;
                mkv_directory_node_split(unit, right, index + 1, &item, &separator, scratch);
                splits++;
                const uint32_t place = mkv_directory_node_count(unit);
                assert_true(place >= 2 && place + 2 <= model->count);
                check_inner(unit, model, 0);
                check_inner(right, model, place);
                assert_int_equal(mkv_directory_key_compare(&separator, &model->keys[place]), 0);
                if (mkv_directory_node_merged_used(unit, right, &separator) <=
                    MKV_DIRECTORY_NODE_ROOM) {
                    mkv_directory_node_merge(scratch, unit, right, &separator);
                    check_inner(scratch, model, 0);
                }
                model->count = place;
            }
        }
        check_inner(unit, model, 0);
    }
    assert_true(splits > 50);
    free(model);
    free(unit);
    free(right);
    free(scratch);
}

static void sample_leaf(uint8_t *unit, uint32_t count) {
    mkv_directory_node_begin(unit, 0);
    for (uint32_t number = 0; number < count; number++) {
        char text[32];
        snprintf(text, sizeof text, "block-%04u", number * 3);
        const struct mkv_directory_key key = key_of_text(text);
        assert_true(put(unit, &key, number));
    }
}

static void test_node__any_byte_flipped__not_sound(void **state) {
    (void)state;
    const struct mkv_uuid uuid = sample_uuid(20);
    uint8_t *unit = sample_unit_new();
    sample_leaf(unit, 50);
    const uint64_t checksum = mkv_directory_node_seal(unit, &uuid, COMMIT, PAGE);
    for (uint32_t at = 0; at < MKV_UNIT_BYTES; at++) {
        unit[at] ^= 0x10;
        assert_false(mkv_directory_node_sound(unit, &uuid, PAGE, 0, (uint32_t)checksum));
        unit[at] ^= 0x10;
    }
    assert_true(mkv_directory_node_sound(unit, &uuid, PAGE, 0, (uint32_t)checksum));
    free(unit);
}

static void test_node__another_place_level_or_content__not_sound(void **state) {
    (void)state;
    const struct mkv_uuid uuid = sample_uuid(20);
    const struct mkv_uuid other = sample_uuid(21);
    uint8_t *unit = sample_unit_new();
    sample_leaf(unit, 5);
    const uint32_t sum = (uint32_t)mkv_directory_node_seal(unit, &uuid, COMMIT, PAGE);
    assert_true(mkv_directory_node_sound(unit, &uuid, PAGE, 0, sum));
    assert_false(mkv_directory_node_sound(unit, &other, PAGE, 0, sum));
    assert_false(mkv_directory_node_sound(unit, &uuid, PAGE + 1, 0, sum));
    assert_false(mkv_directory_node_sound(unit, &uuid, PAGE, 1, sum));
    /* A sound node of this very page, but not the one that its parent means. */
    assert_false(mkv_directory_node_sound(unit, &uuid, PAGE, 0, sum + 1));
    free(unit);
}

static void expect_refused(const uint8_t *good, uint32_t offset, uint32_t value) {
    uint8_t *unit = sample_unit_new();
    memcpy(unit, good, MKV_UNIT_BYTES);
    mkv_store_u16(unit + offset, (uint16_t)value);
    assert_false(sound_resealed(unit, mkv_directory_node_level(unit)));
    free(unit);
}

static void test_node__figures_out_of_bounds__not_sound_though_the_sum_holds(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    sample_leaf(unit, 20);
    assert_true(seal_and_check(unit));
    assert_true(sound_resealed(unit, 0));
    const uint32_t prefix = mkv_load_u16(unit + 48);
    const uint32_t first = mkv_load_u16(unit + 64 + prefix);
    const uint32_t second = mkv_load_u16(unit + 64 + prefix + 2);
    expect_refused(unit, 44, MKV_DIRECTORY_LEVELS_MAX); /* level */
    expect_refused(unit, 46, 0);                        /* count */
    expect_refused(unit, 46, 19);
    expect_refused(unit, 46, 21);
    expect_refused(unit, 46, 0xffff);
    expect_refused(unit, 48, prefix + 2); /* prefix bytes */
    expect_refused(unit, 48, 0xffff);
    expect_refused(unit, 50, 100); /* heap: into the offsets */
    expect_refused(unit, 50, MKV_UNIT_BYTES);
    expect_refused(unit, 50, MKV_UNIT_BYTES + 1);
    expect_refused(unit, 52, mkv_load_u16(unit + 52) + 1u); /* bytes of entries */
    expect_refused(unit, 54, 1);                            /* what is 0 */
    expect_refused(unit, 62, 1);
    expect_refused(unit, 64 + prefix, second); /* two equal keys */
    expect_refused(unit, 64 + prefix, MKV_UNIT_BYTES - 4);
    expect_refused(unit, 64 + prefix, 0xffff);
    expect_refused(unit, first + 8, 8193);    /* length in units */
    expect_refused(unit, first + 10, 0xffff); /* bytes of the key */
    expect_refused(unit, first + 10, mkv_load_u16(unit + first + 10) + 1u);
    mkv_store_u64(unit + 32, 0); /* commit */
    assert_false(sound_resealed(unit, 0));
    free(unit);
}

/* A change of the one in its place would change the key of the other. */
static void test_node__entry_within_another__not_sound_though_the_sum_holds(void **state) {
    (void)state;
    /* In the first key stands an entry: slot, generation, length in units, 2 bytes of key, "zz". */
    static const uint8_t around[] = {'a', 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 2, 0, 'z', 'z'};
    uint8_t *unit = sample_unit_new();
    uint8_t *scratch = sample_unit_new();
    struct mkv_directory_key keys[2];
    mkv_directory_key_make(&keys[0], 7, around, sizeof around);
    mkv_directory_key_make(&keys[1], 7, (const uint8_t *)"zz", 2);
    mkv_directory_node_begin(unit, 0);
    for (uint32_t index = 0; index < 2; index++) {
        const struct mkv_directory_item item = {.key = &keys[index]};
        assert_true(mkv_directory_node_insert(unit, index, &item, scratch));
    }
    assert_true(seal_and_check(unit));
    const uint32_t offsets = 64 + MKV_DIRECTORY_TENANT_BYTES;
    mkv_store_u16(unit + offsets + 2, (uint16_t)(mkv_load_u16(unit + offsets) + 12 + 1));
    assert_int_equal(mkv_directory_node_value(unit, 1).generation_low, 5);
    assert_false(sound_resealed(unit, 0));
    free(scratch);
    free(unit);
}

static void test_node__random_bytes_behind_a_good_sum__never_read_outside(void **state) {
    (void)state;
    struct sample_random source = {.state = 33};
    uint8_t *good = sample_unit_new();
    sample_leaf(good, 60);
    assert_true(seal_and_check(good));
    uint32_t sound = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        uint8_t *unit = sample_unit_new();
        memcpy(unit, good, MKV_UNIT_BYTES);
        for (uint32_t change = 0; change < 3; change++) {
            const uint32_t at = sample_random_below(&source, 2) == 0
                                    ? 44 + (uint32_t)sample_random_below(&source, 200)
                                    : 44 + (uint32_t)sample_random_below(&source, 4052);
            unit[at] = (uint8_t)sample_random_next(&source);
        }
        const uint32_t level = (uint32_t)sample_random_below(&source, 2);
        mkv_store_u16(unit + 44, (uint16_t)level);
        if (sound_resealed(unit, level)) {
            sound++;
            const struct mkv_directory_key key = random_key(&source);
            bool equal;
            if (level == 0) {
                (void)mkv_directory_node_find(unit, &key, &equal);
                (void)put(unit, &key, 1);
            } else {
                (void)mkv_directory_node_find_child(unit, &key);
            }
        }
        free(unit);
    }
    assert_true(sound > 0);
    free(good);
}

static struct mkv_directory_root sample_root(void) {
    return (struct mkv_directory_root){
        .drive_uuid = sample_uuid(20),
        .commit = 12,
        .root = {.page = 40, .checksum_low = 0x89abcdefu},
        .applied_sequence = 1234,
        .listed_generation = 9876,
        .entry_count = 55,
        .node_count = 6,
        .level_count = 2,
        .region_units = 64,
    };
}

static void test_root__encoded__decodes_to_the_same(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_directory_root root = sample_root();
    struct mkv_directory_root read;
    mkv_directory_root_encode(&root, unit);
    assert_true(mkv_directory_root_decode(unit, &read));
    assert_memory_equal(&read.drive_uuid, &root.drive_uuid, 16);
    assert_true(read.commit == root.commit);
    assert_int_equal(read.root.page, root.root.page);
    assert_int_equal(read.root.checksum_low, root.root.checksum_low);
    assert_true(read.applied_sequence == root.applied_sequence);
    assert_true(read.listed_generation == root.listed_generation);
    assert_true(read.entry_count == root.entry_count);
    assert_int_equal(read.node_count, root.node_count);
    assert_int_equal(read.level_count, root.level_count);
    assert_int_equal(read.region_units, root.region_units);
    for (uint32_t at = 0; at < MKV_UNIT_BYTES; at++) {
        unit[at] ^= 1;
        assert_false(mkv_directory_root_decode(unit, &read));
        unit[at] ^= 1;
    }
    free(unit);
}

static void expect_root_refused(uint32_t offset, uint32_t value) {
    uint8_t *unit = sample_unit_new();
    const struct mkv_directory_root root = sample_root();
    struct mkv_directory_root read;
    mkv_directory_root_encode(&root, unit);
    mkv_store_u32(unit + offset, value);
    mkv_store_u64(unit + 8, mkv_hash_64(unit + 16, MKV_UNIT_BYTES - 16));
    assert_false(mkv_directory_root_decode(unit, &read));
    free(unit);
}

static void test_root__figures_out_of_bounds__refused_though_the_sum_holds(void **state) {
    (void)state;
    expect_root_refused(32, 0); /* commit */
    expect_root_refused(36, 1u << 31);
    expect_root_refused(40, 1);       /* the root node on a root unit */
    expect_root_refused(40, 64);      /* behind the region */
    expect_root_refused(60, 1u << 8); /* generation above 40 bits */
    expect_root_refused(64, 0);       /* levels without entries */
    expect_root_refused(68, 1);       /* more entries than nodes hold */
    expect_root_refused(72, 1);       /* fewer nodes than levels */
    expect_root_refused(72, 63);      /* more nodes than units */
    expect_root_refused(76, 0);       /* entries without levels */
    expect_root_refused(76, MKV_DIRECTORY_LEVELS_MAX + 1);
    expect_root_refused(80, MKV_DIRECTORY_UNITS_MIN - 1); /* region below the least */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key__made__orders_by_tenant_then_bytes),
        cmocka_unit_test(test_node__least_and_longest_keys__all_found),
        cmocka_unit_test(test_node__keys_with_a_long_prefix__store_it_once),
        cmocka_unit_test(test_node__key_of_another_prefix__node_splits_at_it),
        cmocka_unit_test(test_node__random_changes__equal_to_the_model),
        cmocka_unit_test(test_inner_node__random_changes__equal_to_the_model),
        cmocka_unit_test(test_node__any_byte_flipped__not_sound),
        cmocka_unit_test(test_node__another_place_level_or_content__not_sound),
        cmocka_unit_test(test_node__figures_out_of_bounds__not_sound_though_the_sum_holds),
        cmocka_unit_test(test_node__entry_within_another__not_sound_though_the_sum_holds),
        cmocka_unit_test(test_node__random_bytes_behind_a_good_sum__never_read_outside),
        cmocka_unit_test(test_root__encoded__decodes_to_the_same),
        cmocka_unit_test(test_root__figures_out_of_bounds__refused_though_the_sum_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
