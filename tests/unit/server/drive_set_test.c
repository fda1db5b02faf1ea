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
 *   "."      not there
 *   "-"      blank           "?" other data        "!" damaged    "v" newer    "s" shrunk
 *   "x"      a file system
 *   "S:a=ab" of store S, drive a, set {a, b}; opened. "S:a=ab0": never opened; "S:a=ab2": version 2
 */
static void probe_of(const char *text, struct mkv_drive_probe *probe) {
    memset(probe, 0, sizeof *probe);
    probe->medium_capacity_units = 1024;
    switch (text[0]) {
    case '.':
        return;
    case '-':
        probe->kind = MKV_DRIVE_PROBE_BLANK;
        return;
    case '?':
        probe->kind = MKV_DRIVE_PROBE_OTHER;
        return;
    case 'x':
        probe->kind = MKV_DRIVE_PROBE_OTHER;
        probe->signature.kind = MKV_DRIVE_SIGNATURE_FILE_SYSTEM;
        snprintf(probe->signature.name, sizeof probe->signature.name, "an XFS file system");
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
    superblock->drive_set.version = 1;
    for (const char *member = text + 4; *member != '\0'; member++) {
        if (*member == '0') {
            superblock->epoch = 0;
        } else if (*member == '2') {
            superblock->drive_set.version = 2;
            superblock->drive_set.version_before = 1;
        } else {
            superblock->drive_set.members[superblock->drive_set.count] =
                (struct mkv_member){uuid_of(*member), 1};
            superblock->drive_set.count++;
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

static bool decide_with(const char *const *drives, const char *lost,
                        struct mkv_drive_set_plan *plan, struct mkv_backend_error *error) {
    static const char *const names[DRIVES_MAX] = {"d00", "d01", "d02", "d03"};
    static const char *const paths[DRIVES_MAX] = {"/a", "/b", "/c", "/d"};
    struct mkv_drive_probe probes[DRIVES_MAX];
    struct mkv_drive_set_candidate candidates[DRIVES_MAX];
    uint8_t next = 1;
    const struct mkv_drive_set_random random = {.context = &next, .fill = counting_fill};
    uint32_t count = 0;
    for (; count < DRIVES_MAX && drives[count] != NULL; count++) {
        probe_of(drives[count], &probes[count]);
        candidates[count] = (struct mkv_drive_set_candidate){
            names[count], paths[count], drives[count][0] == '.' ? NULL : &probes[count], 1000};
    }
    memset(error, 0, sizeof *error);
    return mkv_drive_set_judge(candidates, count, lost, &random, plan, error);
}

static bool decide(const char *const *drives, struct mkv_drive_set_plan *plan,
                   struct mkv_backend_error *error) {
    return decide_with(drives, NULL, plan, error);
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
        assert_int_equal(plan.newest.version, 1);
        assert_int_equal(plan.newest.count, strlen(cases[i].uuids));
        for (uint32_t d = 0; d < plan.newest.count; d++) {
            assert_true(mkv_uuid_equal(plan.drive_uuids[d], uuid_of(cases[i].uuids[d])));
            assert_int_equal(plan.actions[d],
                             cases[i].format[d] == 'f' ? MKV_DRIVE_FORMAT : MKV_DRIVE_KEEP);
            assert_true(mkv_uuid_equal(plan.newest.members[d].uuid, uuid_of((char)('a' + d))));
        }
    }
}

static void test_decide__all_blank__new_store_of_new_uuids(void **state) {
    (void)state;
    static const char *const drives[DRIVES_MAX] = {"-", "-", "-"};
    struct mkv_drive_set_plan plan;
    struct mkv_backend_error error;
    assert_true(decide(drives, &plan, &error));
    assert_int_equal(plan.newest.version, MKV_DRIVE_SET_VERSION_FIRST);
    assert_int_equal(plan.newest.count, 3);
    char text[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(plan.store_uuid, text);
    assert_string_equal(text, "01020304-0506-4708-890a-0b0c0d0e0f10");
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(plan.actions[i], MKV_DRIVE_FORMAT);
        assert_true(mkv_uuid_equal(plan.newest.members[i].uuid, plan.drive_uuids[i]));
        assert_false(mkv_uuid_equal(plan.drive_uuids[i], plan.store_uuid));
        assert_false(mkv_uuid_equal(plan.drive_uuids[i], plan.drive_uuids[(i + 1) % 3]));
    }
}

static void test_decide__drives_that_do_not__golden(void **state) {
    (void)state;
#define STORE_S "53535353-5353-5353-5353-535353535353"
#define STORE_T "54545454-5454-5454-5454-545454545454"
#define DRIVE_A "61616161-6161-6161-6161-616161616161"
#define DRIVE_B "62626262-6262-6262-6262-626262626262"
#define DRIVE_C "63636363-6363-6363-6363-636363636363"
#define DRIVE_D "64646464-6464-6464-6464-646464646464"
    static const struct {
        const char *drives[DRIVES_MAX];
        enum mkv_backend_failure failure;
        const char *text;
    } cases[] = {
        {{"?"},
         MKV_BACKEND_CONFIGURATION,
         "drive d00: /a holds data that is no memkv store, which is not overwritten. Name another "
         "path, or remove what is there first"},
        {{"x"},
         MKV_BACKEND_CONFIGURATION,
         "drive d00: /a holds an XFS file system, which is not overwritten. Name another path, or "
         "remove what is there first"},
        {{"S:a=a", "!"},
         MKV_BACKEND_IO,
         "drive d01: the store on /b is damaged: no two of its four superblocks agree. Run: "
         "memkv drive repair --to FILE /b; or, to start anew without its blocks: memkv drive wipe "
         "--yes /b"},
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
        {{"S:a=ab", "S:a=ab"},
         MKV_BACKEND_CONFIGURATION,
         "drive d01: /b is a copy of drive d00 (/a): both are drive " DRIVE_A
         ". Name one of them alone"},
        {{"S:a=b"},
         MKV_BACKEND_IO,
         "drive d00: the store on /a is damaged: its drive " DRIVE_A
         " is no member of its own store. Name another path, or remove the store to start anew"},
        {{"S:a=ab", "S:b=bc"},
         MKV_BACKEND_UNAVAILABLE,
         "drive d01 (/b) and drive d00 (/a) say that their store is made of different drives: each "
         "went on without the other. Say whose blocks are to go: memkv start --lost d01, or --lost "
         "d00"},
        {{"S:a=ab"},
         MKV_BACKEND_UNAVAILABLE,
         "1 of the store's 2 drives is missing: " DRIVE_B ". Bring them back; or, if they are lost "
         "and with them their blocks, run: memkv start --lost " DRIVE_B},
        {{"S:a=ab", "."},
         MKV_BACKEND_UNAVAILABLE,
         "1 of the store's 2 drives is missing: " DRIVE_B ". Drive d01 (/b) is not there. Bring "
         "them back; or, if they are lost and with them their blocks, run: memkv start "
         "--lost " DRIVE_B},
        {{"S:a=abcde", "-"},
         MKV_BACKEND_UNAVAILABLE,
         "4 of the store's 5 drives are missing: " DRIVE_B "," DRIVE_C "," DRIVE_D ",.... Drive "
         "d01 (/b) is empty. Bring them back; or, if they are lost and with them their blocks, "
         "run: memkv start --lost " DRIVE_B "," DRIVE_C "," DRIVE_D ",..."},
        /* One drive was opened: then there was a whole store. */
        {{"S:a=abc0", "S:b=abc", "-"},
         MKV_BACKEND_UNAVAILABLE,
         "1 of the store's 3 drives is missing: " DRIVE_C ". Drive d02 (/c) is empty. Bring them "
         "back; or, if they are lost and with them their blocks, run: memkv start --lost " DRIVE_C},
        {{"-", "."},
         MKV_BACKEND_UNAVAILABLE,
         "drive d01: /b is not there, and the other drives are empty: a new store is made of all "
         "its drives. Bring it, or take it out of storage.drives"},
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

static void test_judge__lost_drives__by_name_and_uuid(void **state) {
    (void)state;
    static const char *const gone[DRIVES_MAX] = {"S:a=abc", ".", "."};
    static const char *const two_sets[DRIVES_MAX] = {"S:a=ab", "S:b=bc"};
    struct mkv_drive_set_plan plan;
    struct mkv_backend_error error;
    assert_false(decide_with(gone, DRIVE_B, &plan, &error));
    assert_true(mkv_drive_set_may_wait(&plan));
    assert_int_equal(plan.missing_count, 1);
    assert_true(mkv_uuid_equal(plan.missing[0], uuid_of('c')));
    assert_true(decide_with(gone, DRIVE_B "," DRIVE_C, &plan, &error));
    assert_int_equal(plan.first.count, 1);
    assert_int_equal(plan.actions[0], MKV_DRIVE_KEEP);
    assert_false(decide_with(two_sets, "d00", &plan, &error)); /* then c is missing */
    assert_true(decide_with(two_sets, "d00," DRIVE_C, &plan, &error));
    assert_int_equal(plan.actions[0], MKV_DRIVE_JOIN_EMPTY);
    assert_int_equal(plan.actions[1], MKV_DRIVE_KEEP);
}

static void test_judge__a_word_for_no_drive__refused_and_not_waited_for(void **state) {
    (void)state;
    static const char *const drives[DRIVES_MAX] = {"S:a=ab", "."};
    struct mkv_drive_set_plan plan;
    struct mkv_backend_error error;
    assert_false(decide_with(drives, "d07", &plan, &error));
    assert_string_equal(error.text,
                        "--lost: 'd07' is neither the name of a drive in storage.drives nor a "
                        "uuid. Give the uuid that the node names as missing");
    assert_false(mkv_drive_set_may_wait(&plan));
    assert_false(decide_with(drives, "d01", &plan, &error));
    assert_string_equal(error.text, "--lost d01: nothing on /b says which drive it was. Give the "
                                    "uuid that the node names as missing");
    assert_false(mkv_drive_set_may_wait(&plan));
}

static void test_uuid__text__read_back_or_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "61616161-6161-6161-6161-61616161616",
        "61616161-6161-6161-6161-6161616161611",
        "61616161061616161616161610616161616161",
        "6161616g-6161-6161-6161-616161616161",
    };
    struct mkv_uuid uuid;
    char text[MKV_UUID_TEXT_BYTES];
    assert_true(mkv_uuid_parse("0123aBcd-4567-89ab-CDEF-001122334455", &uuid));
    mkv_uuid_format(uuid, text);
    assert_string_equal(text, "0123abcd-4567-89ab-cdef-001122334455");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(mkv_uuid_parse(wrong[i], &uuid));
    }
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
        cmocka_unit_test(test_judge__lost_drives__by_name_and_uuid),
        cmocka_unit_test(test_judge__a_word_for_no_drive__refused_and_not_waited_for),
        cmocka_unit_test(test_uuid__text__read_back_or_refused),
        cmocka_unit_test(test_random_kernel__two_draws__differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
