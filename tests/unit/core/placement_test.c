/* SPDX-License-Identifier: Apache-2.0 */
#include "core/placement.h"

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/vectors.h"

#define VECTORS_PATH "tests/vectors/placement.txt"
#define MEMBERS_MAX 16u

static struct mkv_root point_of_number(uint64_t number) {
    uint8_t key[8];
    mkv_store_u64(key, number);
    return mkv_placement_point("default", key, sizeof key);
}

static void members_fill(struct mkv_member *members, uint32_t count, struct sample_random *source) {
    for (uint32_t index = 0; index < count; index++) {
        sample_random_fill(source, members[index].uuid.bytes, 16);
        members[index].weight = 1;
    }
}

/* I1 */
static void test_placement__members_in_any_order__same_owner(void **state) {
    (void)state;
    struct sample_random source = {.state = 18};
    struct mkv_member members[MEMBERS_MAX];
    for (uint32_t round = 0; round < 200; round++) {
        const uint32_t count = (uint32_t)(1 + sample_random_below(&source, MEMBERS_MAX));
        members_fill(members, count, &source);
        for (uint32_t index = 0; index < count; index++) {
            members[index].weight = (uint32_t)sample_random_below(&source, 5);
        }
        members[0].weight++;
        for (uint64_t number = 0; number < 50; number++) {
            const struct mkv_root point = point_of_number(number);
            const uint32_t owner = mkv_placement_owner(point, members, count);
            assert_true(owner < count);
            const struct mkv_uuid uuid = members[owner].uuid;
            const uint64_t a = sample_random_below(&source, count);
            const uint64_t b = sample_random_below(&source, count);
            const struct mkv_member swapped = members[a];
            members[a] = members[b];
            members[b] = swapped;
            const uint32_t again = mkv_placement_owner(point, members, count);
            assert_memory_equal(&members[again].uuid, &uuid, 16);
        }
    }
}

/* I2, for adding, removing, and changing a weight. */
static void test_placement__member_added__only_its_keys_move(void **state) {
    (void)state;
    struct sample_random source = {.state = 19};
    struct mkv_member members[9];
    members_fill(members, 9, &source);
    uint32_t moved = 0;
    const uint32_t keys = 20000;
    for (uint64_t number = 0; number < keys; number++) {
        const struct mkv_root point = point_of_number(number);
        const uint32_t before = mkv_placement_owner(point, members, 8);
        const uint32_t after = mkv_placement_owner(point, members, 9);
        if (after != before) {
            assert_int_equal(after, 8);
            moved++;
        }
    }
    /* A ninth of the keys, within 5 sigma: 2222 of 20000, sigma 44.4. */
    assert_in_range(moved, 2222 - 222, 2222 + 222);
}

static void test_placement__member_without_weight__only_its_keys_move(void **state) {
    (void)state;
    struct sample_random source = {.state = 20};
    struct mkv_member members[8];
    struct mkv_member fewer[8];
    members_fill(members, 8, &source);
    memcpy(fewer, members, sizeof fewer);
    fewer[3].weight = 0;
    for (uint64_t number = 0; number < 20000; number++) {
        const struct mkv_root point = point_of_number(number);
        const uint32_t before = mkv_placement_owner(point, members, 8);
        const uint32_t after = mkv_placement_owner(point, fewer, 8);
        assert_int_not_equal(after, 3);
        if (before != 3) {
            assert_int_equal(after, before);
        }
    }
}

static void test_placement__weight_raised__only_keys_to_it_move(void **state) {
    (void)state;
    struct sample_random source = {.state = 21};
    struct mkv_member members[4];
    struct mkv_member heavier[4];
    members_fill(members, 4, &source);
    memcpy(heavier, members, sizeof heavier);
    heavier[2].weight = 3;
    for (uint64_t number = 0; number < 20000; number++) {
        const struct mkv_root point = point_of_number(number);
        const uint32_t before = mkv_placement_owner(point, members, 4);
        const uint32_t after = mkv_placement_owner(point, heavier, 4);
        if (after != before) {
            assert_int_equal(after, 2);
        }
    }
}

/* |count - N p| <= 5 sqrt(N p (1 - p)), squared to stay in integers. */
static void check_balance(uint64_t count, uint64_t keys, uint64_t weight, uint64_t weight_total) {
    const int64_t off = (int64_t)(count * weight_total) - (int64_t)(keys * weight);
    const int64_t bound = (int64_t)(25 * keys * weight * (weight_total - weight));
    assert_true(off * off <= bound);
}

static void test_placement__many_keys__balanced_by_weight(void **state) {
    (void)state;
    static const uint32_t weights[][8] = {
        {1, 1, 1, 1, 1, 1, 1, 1},
        {1, 2, 3, 4, 5, 6, 7, 8},
        {100, 1, 0, 10, 0, 0, 50, 25},
        {256, 256, 0, 0, 0, 0, 0, 0},
    };
    struct sample_random source = {.state = 22};
    for (size_t round = 0; round < sizeof weights / sizeof weights[0]; round++) {
        struct mkv_member members[8];
        uint64_t counts[8] = {0};
        uint64_t weight_total = 0;
        const uint64_t keys = 40000;
        members_fill(members, 8, &source);
        for (uint32_t index = 0; index < 8; index++) {
            members[index].weight = weights[round][index];
            weight_total += weights[round][index];
        }
        for (uint64_t number = 0; number < keys; number++) {
            const uint32_t owner = mkv_placement_owner(point_of_number(number), members, 8);
            assert_true(owner < 8);
            counts[owner]++;
        }
        for (uint32_t index = 0; index < 8; index++) {
            check_balance(counts[index], keys, weights[round][index], weight_total);
        }
    }
}

static void test_placement__nobody_with_weight__none(void **state) {
    (void)state;
    struct mkv_member members[2] = {{.uuid = sample_uuid(1)}, {.uuid = sample_uuid(2)}};
    assert_int_equal(mkv_placement_owner(point_of_number(1), members, 2), MKV_NONE_U32);
    assert_int_equal(mkv_placement_owner(point_of_number(1), members, 0), MKV_NONE_U32);
    members[1].weight = 1;
    assert_int_equal(mkv_placement_owner(point_of_number(1), members, 2), 1);
}

static void test_placement__bounds_of_names_and_weights__held(void **state) {
    (void)state;
    char name[MKV_TENANT_NAME_BYTES_MAX + 2];
    uint8_t key[MKV_KEY_BYTES_MAX] = {0};
    memset(name, 'n', sizeof name);
    name[MKV_TENANT_NAME_BYTES_MAX] = '\0';
    const struct mkv_root longest = mkv_placement_point(name, key, sizeof key);
    assert_int_not_equal(longest.bytes[0] | longest.bytes[1] | longest.bytes[2], 0);
    name[MKV_TENANT_NAME_BYTES_MAX] = 'n';
    name[MKV_TENANT_NAME_BYTES_MAX + 1] = '\0';
    expect_assert_failure((void)mkv_placement_point(name, key, 1));
    expect_assert_failure((void)mkv_placement_point("default", key, 0));
    expect_assert_failure((void)mkv_placement_point("default", key, MKV_KEY_BYTES_MAX + 1));
    const struct mkv_member heavy = {.weight = MKV_PLACEMENT_WEIGHT_MAX + 1};
    expect_assert_failure((void)mkv_placement_owner(longest, &heavy, 1));
}

/* ---- the public vectors --------------------------------------------------------------------- */

#define FIELDS_MAX 24u

static void check_point_vector(char *fields[FIELDS_MAX], size_t count) {
    assert_int_equal(count, 5);
    uint8_t tenant[MKV_TENANT_NAME_BYTES_MAX + 1] = {0};
    uint8_t key[MKV_KEY_BYTES_MAX];
    uint8_t expected[16];
    vectors_parse_hex(fields[2], tenant, MKV_TENANT_NAME_BYTES_MAX);
    const size_t key_bytes = vectors_parse_hex(fields[3], key, sizeof key);
    assert_int_equal(vectors_parse_hex(fields[4], expected, sizeof expected), 16);
    const struct mkv_root point =
        mkv_placement_point((const char *)tenant, key, (uint32_t)key_bytes);
    assert_memory_equal(point.bytes, expected, 16);
}

/* The score is not a function of its own, so the rule is written out here once more. */
static void check_score_vector(char *fields[FIELDS_MAX], size_t count) {
    assert_int_equal(count, 6);
    uint8_t scored[36];
    assert_int_equal(vectors_parse_hex(fields[2], scored, 16), 16);
    assert_int_equal(vectors_parse_hex(fields[3], scored + 16, 16), 16);
    mkv_store_u32(scored + 32, (uint32_t)strtoul(fields[4], NULL, 10));
    assert_true(mkv_hash_64(scored, sizeof scored) == strtoull(fields[5], NULL, 16));
}

static void check_owner_vector(char *fields[FIELDS_MAX], size_t count) {
    assert_true(count >= 4);
    struct mkv_root point;
    struct mkv_member members[FIELDS_MAX];
    uint8_t expected[16];
    uint32_t member_count = 0;
    assert_int_equal(vectors_parse_hex(fields[2], point.bytes, 16), 16);
    for (size_t field = 4; field < count; field++) {
        char *weight = strchr(fields[field], ':');
        assert_non_null(weight);
        *weight = '\0';
        struct mkv_member *member = &members[member_count++];
        assert_int_equal(vectors_parse_hex(fields[field], member->uuid.bytes, 16), 16);
        member->weight = (uint32_t)strtoul(weight + 1, NULL, 10);
    }
    const uint32_t owner = mkv_placement_owner(point, members, member_count);
    if (strcmp(fields[3], "-") == 0) {
        assert_int_equal(owner, MKV_NONE_U32);
    } else {
        assert_int_equal(vectors_parse_hex(fields[3], expected, 16), 16);
        assert_true(owner < member_count);
        assert_memory_equal(members[owner].uuid.bytes, expected, 16);
    }
}

static void test_placement__public_vectors__computed_the_same(void **state) {
    (void)state;
    FILE *file = vectors_open(VECTORS_PATH);
    char line[8192];
    uint32_t points = 0;
    uint32_t scores = 0;
    uint32_t owners = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char *fields[FIELDS_MAX];
        size_t count = 0;
        char *rest = NULL;
        for (char *at = strtok_r(line, " \n", &rest); at != NULL;
             at = strtok_r(NULL, " \n", &rest)) {
            assert_true(count < FIELDS_MAX);
            fields[count++] = at;
        }
        if (count == 0 || fields[0][0] == '#') {
            continue;
        }
        if (strcmp(fields[0], "point") == 0) {
            check_point_vector(fields, count);
            points++;
        } else if (strcmp(fields[0], "score") == 0) {
            check_score_vector(fields, count);
            scores++;
        } else if (strcmp(fields[0], "owner") == 0) {
            check_owner_vector(fields, count);
            owners++;
        } else {
            fail_msg("%s: unknown kind of vector \"%s\".", VECTORS_PATH, fields[0]);
        }
    }
    fclose(file);
    assert_true(points >= 5);
    assert_true(scores >= 3);
    assert_true(owners >= 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_placement__members_in_any_order__same_owner),
        cmocka_unit_test(test_placement__member_added__only_its_keys_move),
        cmocka_unit_test(test_placement__member_without_weight__only_its_keys_move),
        cmocka_unit_test(test_placement__weight_raised__only_keys_to_it_move),
        cmocka_unit_test(test_placement__many_keys__balanced_by_weight),
        cmocka_unit_test(test_placement__nobody_with_weight__none),
        cmocka_unit_test(test_placement__bounds_of_names_and_weights__held),
        cmocka_unit_test(test_placement__public_vectors__computed_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
