/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define DRIVES_MAX 4u

/* Uuids are written as one letter: all bytes are it. */
static struct mkv_uuid uuid_of(char letter) {
    struct mkv_uuid uuid;
    memset(uuid.bytes, letter, sizeof uuid.bytes);
    return uuid;
}

/* One configured drive in a few characters:
 *   "-"      blank           "?" other data        "!" damaged    "v" newer    "s" shrunk
 *   "S:a=ab" of store S, drive a, set {a, b}; opened. "S:a=ab0": never opened; "S:a=ab2": version 2
 */
static void probe_of(const char *text, struct mkv_drive_probe *probe) {
    memset(probe, 0, sizeof *probe);
    probe->medium_capacity_units = 1024;
    switch (text[0]) {
    case '-':
        probe->kind = MKV_DRIVE_PROBE_BLANK;
        return;
    case '?':
        probe->kind = MKV_DRIVE_PROBE_OTHER;
        return;
    case '!':
        probe->kind = MKV_DRIVE_PROBE_DAMAGED;
        return;
    case 'v':
        probe->kind = MKV_DRIVE_PROBE_NEWER;
        probe->superblock.version = 7;
        return;
    case 's':
        probe->kind = MKV_DRIVE_PROBE_SHRUNK;
        probe->store_capacity_units = 2048;
        return;
    default:
        break;
    }
    struct mkv_superblock *superblock = &probe->superblock;
    probe->kind = MKV_DRIVE_PROBE_STORE;
    superblock->store_uuid = uuid_of(text[0]);
    superblock->drive_uuid = uuid_of(text[2]);
    superblock->epoch = 3;
    superblock->drive_set_version = 1;
    for (const char *member = text + 4; *member != '\0'; member++) {
        if (*member == '0') {
            superblock->epoch = 0;
        } else if (*member == '2') {
            superblock->drive_set_version = 2;
        } else {
            superblock->drive_set[superblock->drive_set_count] = uuid_of(*member);
            superblock->drive_set_count++;
        }
    }
}

/* Random bytes that are not: 1, 2, 3 … */
static void counting_fill(void *context, void *bytes, size_t byte_count) {
    uint8_t *next = context;
    for (size_t i = 0; i < byte_count; i++) {
        ((uint8_t *)bytes)[i] = (*next)++;
    }
}

static bool decide(const char *const *drives, struct mkv_drive_set_plan *plan,
                   struct mkv_backend_error *error) {
    static const char *const names[DRIVES_MAX] = {"d00", "d01", "d02", "d03"};
    static const char *const paths[DRIVES_MAX] = {"/a", "/b", "/c", "/d"};
    struct mkv_drive_probe probes[DRIVES_MAX];
    struct mkv_drive_set_candidate candidates[DRIVES_MAX];
    uint8_t next = 1;
    const struct mkv_drive_set_random random = {.context = &next, .fill = counting_fill};
    uint32_t count = 0;
    for (; count < DRIVES_MAX && drives[count] != NULL; count++) {
        probe_of(drives[count], &probes[count]);
        candidates[count] =
            (struct mkv_drive_set_candidate){names[count], paths[count], &probes[count]};
    }
    memset(error, 0, sizeof *error);
    return mkv_drive_set_decide(candidates, count, &random, plan, error);
}

static void test_decide__drives_that_belong_together__planned(void **state) {
    (void)state;
    static const struct {
        const char *drives[DRIVES_MAX];
        const char *uuids;  /* expected, in the order of the drives */
        const char *format; /* 'f' or '.', likewise */
    } cases[] = {
        {{"S:a=a"}, "a", "."},
        {{"S:a=ab", "S:b=ab"}, "ab", ".."},
        {{"S:b=ab", "S:a=ab"}, "ba", ".."},
        {{"S:a=abc", "S:c=abc", "S:b=abc"}, "acb", "..."},
        /* A first start that was cut short while it formatted. */
        {{"S:a=ab0", "-"}, "ab", ".f"},
        {{"-", "S:a=ab0"}, "ba", "f."},
        {{"-", "S:b=abc0", "-"}, "abc", "f.f"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_drive_set_plan plan;
        struct mkv_backend_error error;
        bool decided = decide(cases[i].drives, &plan, &error);
        assert_string_equal(error.text, "");
        assert_true(decided);
        assert_true(mkv_uuid_equal(plan.store_uuid, uuid_of('S')));
        assert_int_equal(plan.version, 1);
        assert_int_equal(plan.member_count, strlen(cases[i].uuids));
        for (uint32_t d = 0; d < plan.member_count; d++) {
            assert_true(mkv_uuid_equal(plan.drive_uuids[d], uuid_of(cases[i].uuids[d])));
            assert_int_equal(plan.format[d], cases[i].format[d] == 'f');
            assert_true(mkv_uuid_equal(plan.members[d], uuid_of((char)('a' + d))));
        }
    }
}

static void test_decide__all_blank__new_store_of_new_uuids(void **state) {
    (void)state;
    static const char *const drives[DRIVES_MAX] = {"-", "-", "-"};
    struct mkv_drive_set_plan plan;
    struct mkv_backend_error error;
    assert_true(decide(drives, &plan, &error));
    assert_int_equal(plan.version, MKV_DRIVE_SET_VERSION_FIRST);
    assert_int_equal(plan.member_count, 3);
    char text[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(plan.store_uuid, text);
    assert_string_equal(text, "01020304-0506-4708-890a-0b0c0d0e0f10");
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(plan.format[i]);
        assert_true(mkv_uuid_equal(plan.members[i], plan.drive_uuids[i]));
        assert_false(mkv_uuid_equal(plan.members[i], plan.store_uuid));
        assert_false(mkv_uuid_equal(plan.members[i], plan.members[(i + 1) % 3]));
    }
}

static void test_decide__drives_that_do_not__golden(void **state) {
    (void)state;
#define STORE_S "53535353-5353-5353-5353-535353535353"
#define STORE_T "54545454-5454-5454-5454-545454545454"
#define DRIVE_A "61616161-6161-6161-6161-616161616161"
#define DRIVE_B "62626262-6262-6262-6262-626262626262"
    static const struct {
        const char *drives[DRIVES_MAX];
        enum mkv_backend_failure failure;
        const char *text;
    } cases[] = {
        {{"?"},
         MKV_BACKEND_CONFIGURATION,
         "drive d00: /a holds data that is no memkv store, which is not overwritten. Name another "
         "path, or remove what is there first"},
        {{"S:a=a", "!"},
         MKV_BACKEND_IO,
         "drive d01: the store on /b is damaged: no two of its four superblocks agree. Name "
         "another path, or remove the store to start anew"},
        {{"v"},
         MKV_BACKEND_UNAVAILABLE,
         "drive d00: the store on /a has format version 7, and this release knows versions up to "
         "1. Start the release that wrote it, or a newer one"},
        {{"s"},
         MKV_BACKEND_IO,
         "drive d00: /a has shrunk: it has 4MiB, the store on it has 8MiB. Bring back the missing "
         "part, or name an empty path to start anew"},
        {{"S:a=a", "T:b=b"},
         MKV_BACKEND_CONFIGURATION,
         "drive d01: /b belongs to store " STORE_T ", but drive d00 (/a) to store " STORE_S
         ". Give each store a node of its own"},
        {{"S:a=ab", "S:b=abc"},
         MKV_BACKEND_CONFIGURATION,
         "drive d01: /b and drive d00 (/a) name different members of their store (versions 1 and "
         "1). One of them is an old copy: name the path of the right one"},
        {{"S:a=ab", "S:b=ab2"},
         MKV_BACKEND_CONFIGURATION,
         "drive d01: /b and drive d00 (/a) name different members of their store (versions 2 and "
         "1). One of them is an old copy: name the path of the right one"},
        {{"S:a=ab", "S:a=ab"},
         MKV_BACKEND_CONFIGURATION,
         "drive d01: /b is a copy of drive d00 (/a): both are drive " DRIVE_A
         ". Name one of them alone"},
        {{"S:a=b"},
         MKV_BACKEND_IO,
         "drive d00: the store on /a is damaged: its drive " DRIVE_A
         " is no member of its own store. Name another path, or remove the store to start anew"},
        {{"S:a=ab"},
         MKV_BACKEND_CONFIGURATION,
         "drive " DRIVE_B " is missing: the store of drive d00 (/a) has 2 drives, and no "
         "configured drive is this one. Add its path to storage.drives, or start anew on empty "
         "paths"},
        {{"S:a=ab", "-"},
         MKV_BACKEND_CONFIGURATION,
         "drive d01: /b is empty, but the store of drive d00 (/a) has 2 drives, and drive " DRIVE_B
         " is missing. Name its path, or start anew on empty paths"},
        {{"-", "S:a=a"},
         MKV_BACKEND_CONFIGURATION,
         "drive d00: /a is empty, and the store of drive d01 (/b) lacks no drive. A store keeps "
         "the "
         "drives it was made with: take this one out of storage.drives"},
        /* Never opened, but it is not the blank drives that are missing. */
        {{"S:a=a0", "-"},
         MKV_BACKEND_CONFIGURATION,
         "drive d01: /b is empty, and the store of drive d00 (/a) lacks no drive. A store keeps "
         "the "
         "drives it was made with: take this one out of storage.drives"},
        {{"S:a=abc0", "-"},
         MKV_BACKEND_CONFIGURATION,
         "drive d01: /b is empty, but the store of drive d00 (/a) has 3 drives, and drive " DRIVE_B
         " is missing. Name its path, or start anew on empty paths"},
        /* One drive was opened: then there was a whole store. */
        {{"S:a=abc0", "S:b=abc", "-"},
         MKV_BACKEND_CONFIGURATION,
         "drive d02: /c is empty, but the store of drive d00 (/a) has 3 drives, and drive "
         "63636363-6363-6363-6363-636363636363 is missing. Name its path, or start anew on empty "
         "paths"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_drive_set_plan plan;
        struct mkv_backend_error error;
        bool decided = decide(cases[i].drives, &plan, &error);
        assert_string_equal(error.text, cases[i].text);
        assert_int_equal(error.failure, cases[i].failure);
        assert_false(decided);
    }
}

/* A superblock is what a drive says, which may be nonsense with a valid checksum. */
static void test_decide__member_named_twice__no_crash(void **state) {
    (void)state;
    static const char *const alone[DRIVES_MAX] = {"S:a=aa"};
    static const char *const with_blanks[DRIVES_MAX] = {"-", "S:a=aab0", "-"};
    struct mkv_drive_set_plan plan;
    struct mkv_backend_error error;
    (void)decide(alone, &plan, &error);
    (void)decide(with_blanks, &plan, &error);
}

static void test_random_kernel__two_draws__differ(void **state) {
    (void)state;
    struct mkv_uuid a = {{0}};
    struct mkv_uuid b = {{0}};
    mkv_drive_set_random_kernel.fill(NULL, a.bytes, sizeof a.bytes);
    mkv_drive_set_random_kernel.fill(NULL, b.bytes, sizeof b.bytes);
    assert_false(mkv_uuid_equal(a, b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide__drives_that_belong_together__planned),
        cmocka_unit_test(test_decide__all_blank__new_store_of_new_uuids),
        cmocka_unit_test(test_decide__drives_that_do_not__golden),
        cmocka_unit_test(test_decide__member_named_twice__no_crash),
        cmocka_unit_test(test_random_kernel__two_draws__differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
