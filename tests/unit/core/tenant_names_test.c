/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tenant_names.h"

#include "tests/unit/core/test.h"

static struct mkv_tenant_names *names_new(uint32_t volume_count) {
    const uint64_t bytes[4] = {3 * MKV_GIB, MKV_GIB, 2 * MKV_GIB, 2 * MKV_GIB};
    struct mkv_tenant_names *names = malloc(sizeof *names);
    assert_non_null(names);
    mkv_tenant_names_init(names, volume_count, bytes);
    return names;
}

struct had {
    uint32_t id;
    const char *name;
};

static void learn(struct mkv_tenant_names *names, uint32_t volume, const char *name, uint32_t id) {
    mkv_tenant_names_learn(names, volume, id, name, (uint32_t)strlen(name));
}

/* The volume opens with the default tenant and one more, unless its name is NULL. */
static void opens(struct mkv_tenant_names *names, uint32_t volume, struct had had,
                  uint32_t id_max) {
    mkv_tenant_names_volume_begin(names, volume);
    learn(names, volume, "default", 0);
    if (had.name != NULL) {
        learn(names, volume, had.name, had.id);
    }
    mkv_tenant_names_volume_serves(names, volume, id_max);
}

static struct mkv_message expect(struct mkv_tenant_names *names, enum mkv_message_kind kind,
                                 uint32_t volume, uint32_t id) {
    struct mkv_message message;
    const char *name = NULL;
    assert_true(mkv_tenant_names_next(names, &message, &name));
    assert_int_equal(message.kind, kind);
    assert_int_equal(message.volume, volume);
    assert_int_equal(message.tenant, id);
    assert_int_equal(message.data_bytes, kind == MKV_MESSAGE_TENANT ? strlen(name) : 0);
    return message;
}

static void expect_none(struct mkv_tenant_names *names) {
    struct mkv_message message;
    const char *name;
    assert_false(mkv_tenant_names_next(names, &message, &name));
}

static void answer(struct mkv_tenant_names *names, uint32_t volume, enum mkv_message_kind kind,
                   enum mkv_status status) {
    const struct mkv_message message = {.kind = kind, .volume = volume, .status = status};
    mkv_tenant_names_done(names, &message);
}

static enum mkv_tenant_resolved resolve(struct mkv_tenant_names *names, const char *name,
                                        bool create, uint32_t id) {
    uint32_t found = 0;
    const enum mkv_tenant_resolved resolved = mkv_tenant_names_resolve(names, name, create, &found);
    if (resolved == MKV_TENANT_KNOWN) {
        assert_int_equal(found, id);
    }
    return resolved;
}

static const struct had nothing = {0, NULL};

static void test_tenant_names__new_name__known_when_all_volumes_have_it(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(2);
    opens(names, 0, nothing, 0);
    opens(names, 1, nothing, 4); /* numbers up to 4 were given there */
    expect_none(names);
    assert_true(mkv_tenant_names_settled(names));
    assert_int_equal(resolve(names, "default", true, 0), MKV_TENANT_KNOWN);
    assert_int_equal(resolve(names, "a", false, 0), MKV_TENANT_ABSENT);
    assert_int_equal(resolve(names, "a", true, 0), MKV_TENANT_PENDING);
    assert_false(mkv_tenant_names_settled(names));
    expect(names, MKV_MESSAGE_TENANT, 0, 5);
    expect(names, MKV_MESSAGE_TENANT, 1, 5);
    assert_int_equal(resolve(names, "b", true, 0), MKV_TENANT_PENDING);
    expect_none(names); /* one message of a volume at a time */
    answer(names, 0, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_OK);
    assert_int_equal(resolve(names, "a", true, 0), MKV_TENANT_PENDING);
    expect(names, MKV_MESSAGE_TENANT, 0, 6);
    answer(names, 1, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_OK);
    assert_int_equal(resolve(names, "a", true, 5), MKV_TENANT_KNOWN);
    assert_int_equal(resolve(names, "b", true, 0), MKV_TENANT_PENDING);
    free(names);
}

/* A crash came between the two volumes. */
static void test_tenant_names__name_on_one_volume_only__completed(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(2);
    opens(names, 0, (struct had){3, "a"}, 3);
    opens(names, 1, nothing, 2);
    expect(names, MKV_MESSAGE_TENANT, 1, 3);
    assert_false(mkv_tenant_names_settled(names));
    answer(names, 1, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_OK);
    expect_none(names);
    assert_true(mkv_tenant_names_settled(names));
    assert_int_equal(resolve(names, "a", true, 3), MKV_TENANT_KNOWN);
    free(names);
}

static void test_tenant_names__dropped_on_one_volume_only__dropped_on_the_other(void **state) {
    (void)state;
    for (uint32_t first = 0; first < 2; first++) {
        struct mkv_tenant_names *names = names_new(2);
        const struct had had = {3, "a"};
        opens(names, first, first == 0 ? had : nothing, 3);
        opens(names, 1 - first, first == 0 ? nothing : had, 3);
        const uint32_t holder = 0;
        expect(names, MKV_MESSAGE_TENANT_DROP, holder, 3);
        assert_int_equal(resolve(names, "a", false, 0), MKV_TENANT_ABSENT);
        assert_int_equal(resolve(names, "a", true, 0), MKV_TENANT_PENDING); /* a new number */
        answer(names, holder, MKV_MESSAGE_TENANT_DROP_DONE, MKV_STATUS_OK);
        expect(names, MKV_MESSAGE_TENANT, 0, 4);
        free(names);
    }
}

static void test_tenant_names__two_numbers_of_a_name__the_higher_lives(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(2);
    opens(names, 0, (struct had){3, "a"}, 3); /* it was away when 3 was dropped and 7 given */
    opens(names, 1, (struct had){7, "a"}, 7);
    expect(names, MKV_MESSAGE_TENANT_DROP, 0, 3);
    answer(names, 0, MKV_MESSAGE_TENANT_DROP_DONE, MKV_STATUS_OK);
    expect(names, MKV_MESSAGE_TENANT, 0, 7);
    answer(names, 0, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_OK);
    assert_int_equal(resolve(names, "a", true, 7), MKV_TENANT_KNOWN);
    free(names);
}

static void test_tenant_names__two_names_of_a_number__dropped(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(2);
    opens(names, 0, (struct had){3, "a"}, 3);
    opens(names, 1, (struct had){3, "b"}, 3);
    expect(names, MKV_MESSAGE_TENANT_DROP, 0, 3);
    expect(names, MKV_MESSAGE_TENANT_DROP, 1, 3);
    assert_int_equal(resolve(names, "a", false, 0), MKV_TENANT_ABSENT);
    assert_int_equal(resolve(names, "b", false, 0), MKV_TENANT_ABSENT);
    free(names);
}

static void test_tenant_names__drop__over_when_every_volume_has_answered(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(2);
    enum mkv_status status = MKV_STATUS_INVALID;
    opens(names, 0, (struct had){3, "a"}, 3);
    opens(names, 1, (struct had){3, "a"}, 3);
    assert_int_equal(mkv_tenant_names_drop(names, "default"), MKV_STATUS_FORBIDDEN);
    assert_int_equal(mkv_tenant_names_drop(names, "b"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(mkv_tenant_names_drop(names, "a"), MKV_STATUS_OK);
    expect(names, MKV_MESSAGE_TENANT_DROP, 0, 3);
    expect(names, MKV_MESSAGE_TENANT_DROP, 1, 3);
    answer(names, 0, MKV_MESSAGE_TENANT_DROP_DONE, MKV_STATUS_OK);
    assert_false(mkv_tenant_names_dropped(names, &status));
    answer(names, 1, MKV_MESSAGE_TENANT_DROP_DONE, MKV_STATUS_OK);
    assert_true(mkv_tenant_names_dropped(names, &status));
    assert_int_equal(status, MKV_STATUS_OK);
    assert_int_equal(mkv_tenant_names_drop(names, "a"), MKV_STATUS_NOT_FOUND);
    free(names);
}

static void test_tenant_names__volume_fails_under_a_drop__nobody_says_ok(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(2);
    enum mkv_status status = MKV_STATUS_INVALID;
    opens(names, 0, (struct had){3, "a"}, 3);
    opens(names, 1, (struct had){3, "a"}, 3);
    assert_int_equal(mkv_tenant_names_drop(names, "a"), MKV_STATUS_OK);
    expect(names, MKV_MESSAGE_TENANT_DROP, 0, 3);
    expect(names, MKV_MESSAGE_TENANT_DROP, 1, 3);
    answer(names, 0, MKV_MESSAGE_TENANT_DROP_DONE, MKV_STATUS_OK);
    mkv_tenant_names_volume_lost(names, 1);
    answer(names, 1, MKV_MESSAGE_TENANT_DROP_DONE, MKV_STATUS_UNKNOWN);
    assert_true(mkv_tenant_names_dropped(names, &status));
    assert_int_equal(status, MKV_STATUS_UNKNOWN);
    /* It still had it when it comes back. */
    opens(names, 1, (struct had){3, "a"}, 3);
    expect(names, MKV_MESSAGE_TENANT_DROP, 1, 3);
    free(names);
}

static void test_tenant_names__drop_while_it_is_being_created__dropped_where_it_came(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(1);
    enum mkv_status status = MKV_STATUS_INVALID;
    opens(names, 0, nothing, 0);
    assert_int_equal(resolve(names, "a", true, 0), MKV_TENANT_PENDING);
    expect(names, MKV_MESSAGE_TENANT, 0, 1);
    assert_int_equal(mkv_tenant_names_drop(names, "a"), MKV_STATUS_OK);
    assert_false(mkv_tenant_names_dropped(names, &status));
    answer(names, 0, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_OK);
    expect(names, MKV_MESSAGE_TENANT_DROP, 0, 1);
    answer(names, 0, MKV_MESSAGE_TENANT_DROP_DONE, MKV_STATUS_OK);
    assert_true(mkv_tenant_names_dropped(names, &status));
    assert_int_equal(status, MKV_STATUS_OK);
    free(names);
}

static void test_tenant_names__no_place_on_a_volume__refused_until_a_sweep(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(1);
    opens(names, 0, nothing, 0);
    assert_int_equal(resolve(names, "a", true, 0), MKV_TENANT_PENDING);
    expect(names, MKV_MESSAGE_TENANT, 0, 1);
    answer(names, 0, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_NO_SPACE);
    assert_int_equal(resolve(names, "a", true, 0), MKV_TENANT_REFUSED);
    assert_int_equal(resolve(names, "b", true, 0), MKV_TENANT_PENDING);
    expect_none(names); /* a higher number may not come before a lower one */
    mkv_tenant_names_volume_swept(names, 0);
    expect(names, MKV_MESSAGE_TENANT, 0, 1);
    answer(names, 0, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_OK);
    expect(names, MKV_MESSAGE_TENANT, 0, 2);
    assert_int_equal(resolve(names, "a", true, 1), MKV_TENANT_KNOWN);
    free(names);
}

static void test_tenant_names__as_many_as_there_can_be__the_next_is_refused(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(1);
    opens(names, 0, nothing, 0);
    char name[8];
    for (uint32_t index = 1; index < MKV_TENANT_NAMES_MAX; index++) {
        snprintf(name, sizeof name, "t%u", index);
        assert_int_equal(resolve(names, name, true, 0), MKV_TENANT_PENDING);
    }
    assert_int_equal(resolve(names, "more", true, 0), MKV_TENANT_REFUSED);
    free(names);
}

static void test_tenant_names__quota__shared_out_by_size_and_told_anew(void **state) {
    (void)state;
    struct mkv_tenant_names *names = names_new(2);
    assert_true(mkv_tenant_names_quota(names, "a", 64 * MKV_MIB));
    opens(names, 0, (struct had){3, "a"}, 3);
    opens(names, 1, (struct had){3, "a"}, 3);
    assert_int_equal(expect(names, MKV_MESSAGE_TENANT, 0, 3).count, 48 * MKV_MIB / MKV_UNIT_BYTES);
    assert_int_equal(expect(names, MKV_MESSAGE_TENANT, 1, 3).count, 16 * MKV_MIB / MKV_UNIT_BYTES);
    answer(names, 0, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_OK);
    answer(names, 1, MKV_MESSAGE_TENANT_DONE, MKV_STATUS_OK);
    assert_true(mkv_tenant_names_settled(names));
    assert_int_equal(mkv_tenant_names_quota_of(names, "a"), 64 * MKV_MIB);
    assert_true(mkv_tenant_names_quota_of(names, "b") == UINT64_MAX);
    assert_int_equal(resolve(names, "b", true, 0), MKV_TENANT_PENDING);
    assert_int_equal(expect(names, MKV_MESSAGE_TENANT, 0, 4).count, 0);
    free(names);
}

static void test_tenant_name__characters_and_length__checked(void **state) {
    (void)state;
    char longest[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_true(mkv_tenant_name_is_valid("a", 1));
    assert_true(mkv_tenant_name_is_valid("A-z_0.9", 7));
    assert_true(mkv_tenant_name_is_valid(longest, sizeof longest - 1));
    assert_false(mkv_tenant_name_is_valid(longest, sizeof longest));
    assert_false(mkv_tenant_name_is_valid("", 0));
    assert_false(mkv_tenant_name_is_valid("a b", 3));
    assert_false(mkv_tenant_name_is_valid("a\0b", 3));
    assert_false(mkv_tenant_name_is_valid("\xc3\xa9", 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tenant_names__new_name__known_when_all_volumes_have_it),
        cmocka_unit_test(test_tenant_names__name_on_one_volume_only__completed),
        cmocka_unit_test(test_tenant_names__dropped_on_one_volume_only__dropped_on_the_other),
        cmocka_unit_test(test_tenant_names__two_numbers_of_a_name__the_higher_lives),
        cmocka_unit_test(test_tenant_names__two_names_of_a_number__dropped),
        cmocka_unit_test(test_tenant_names__drop__over_when_every_volume_has_answered),
        cmocka_unit_test(test_tenant_names__volume_fails_under_a_drop__nobody_says_ok),
        cmocka_unit_test(test_tenant_names__drop_while_it_is_being_created__dropped_where_it_came),
        cmocka_unit_test(test_tenant_names__no_place_on_a_volume__refused_until_a_sweep),
        cmocka_unit_test(test_tenant_names__as_many_as_there_can_be__the_next_is_refused),
        cmocka_unit_test(test_tenant_names__quota__shared_out_by_size_and_told_anew),
        cmocka_unit_test(test_tenant_name__characters_and_length__checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
