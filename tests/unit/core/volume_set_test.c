/* SPDX-License-Identifier: Apache-2.0 */
/* The drive set of one volume: raised when it is opened, joined empty, changed while it serves, and
 * the purge of what goes to a drive that joins. */
#include "core/drive_set.h"
#include "core/placement.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define KEYS 60u
/* core/volume_set.c: reads of a header that fails before its block is dropped. */
#define PURGE_READS 4u

/* The rig's drive, and drive 3 with it. */
static struct mkv_drive_set two_drives(uint64_t version, uint64_t before) {
    return (struct mkv_drive_set){.version = version,
                                  .version_before = before,
                                  .count = 2,
                                  .members = {{{{2}}, 1}, {{{3}}, 1}}};
}

static void command(struct rig *rig, enum mkv_admin_command admin,
                    const struct mkv_drive_set *set) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN,
                              .admin = admin,
                              .data = (const uint8_t *)set,
                              .data_bytes = sizeof *set,
                              .now_ns = rig->now_ns};
    /* The rig keeps no error: a command that is refused changes nothing and reports nothing. */
    rig_step(rig, &input);
}

/* The set that the copies on the drive agree on. */
static struct mkv_superblock superblock_of(struct rig *rig) {
    static uint8_t units[MKV_SUPERBLOCK_COPIES * MKV_UNIT_BYTES];
    struct mkv_superblock_choice choice;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        memcpy(units + (size_t)copy * MKV_UNIT_BYTES,
               rig_unit(rig, mkv_geometry_superblock(rig->config.geometry.capacity_units, copy)),
               MKV_UNIT_BYTES);
    }
    mkv_superblock_choose(units, 0, &choice);
    assert_int_equal(choice.err, MKV_OK);
    return choice.superblock;
}

static void expect_set(struct rig *rig, const struct mkv_drive_set *set) {
    const struct mkv_superblock superblock = superblock_of(rig);
    assert_true(mkv_drive_set_equal(&superblock.drive_set, set));
}

/* Forgets the machine and tells a new one to open or join. */
static void restart(struct rig *rig, enum mkv_admin_command admin,
                    const struct mkv_drive_set *set) {
    rig->queue_count = 0;
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    command(rig, admin, set);
    rig_settle(rig);
}

static void test_open__the_set_that_follows__durable_before_the_epoch(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "a", 5000, 1, 0), MKV_STATUS_OK);
    const struct mkv_superblock before = superblock_of(rig);
    const struct mkv_drive_set set = two_drives(2, 1);
    rig->queue_count = 0;
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    command(rig, MKV_ADMIN_OPEN, &set);
    bool seen = false;
    while (rig->queue_count > 0) {
        rig_complete(rig, 0, MKV_IO_OK);
        const struct mkv_superblock now = superblock_of(rig);
        seen = seen || (now.drive_set.version == 2 && now.epoch == before.epoch);
        assert_true(now.epoch == before.epoch || now.drive_set.version == 2);
    }
    assert_true(seen);
    rig_settle(rig);
    expect_set(rig, &set);
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_open__a_set_that_does_not_follow__foreign_and_untouched(void **state) {
    (void)state;
    const struct mkv_drive_set sets[] = {two_drives(3, 2), two_drives(1, 0)};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct rig *rig = rig_create();
        const struct mkv_superblock before = superblock_of(rig);
        restart(rig, MKV_ADMIN_OPEN, &sets[i]);
        assert_non_null(rig_event(rig, MKV_EVENT_OPEN_FAILED));
        assert_int_equal(rig_event(rig, MKV_EVENT_OPEN_FAILED)->err, MKV_ERR_FOREIGN);
        assert_true(superblock_of(rig).sequence == before.sequence);
        rig_destroy(rig);
    }
}

static void test_join__holds_blocks__comes_up_empty_for_good(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "a", 5000, 1, 0), MKV_STATUS_OK);
    const struct mkv_superblock before = superblock_of(rig);
    const struct mkv_drive_set set = two_drives(7, 6);
    restart(rig, MKV_ADMIN_JOIN, &set);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_SERVING);
    assert_int_equal(rig_stats(rig).blocks, 0);
    assert_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY)); /* nothing went wrong */
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_NOT_FOUND);
    const struct mkv_superblock after = superblock_of(rig);
    assert_true(mkv_drive_set_equal(&after.drive_set, &set));
    assert_int_equal(after.epoch, before.epoch + 1);
    assert_int_equal(after.journal_sequence.value,
                     before.journal_sequence.value + rig->config.geometry.ring_blocks);
    assert_int_equal(rig_put(rig, "b", 5000, 2, 0), MKV_STATUS_OK);
    restart(rig, MKV_ADMIN_OPEN, &set);
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_get(rig, "b", 0, 0, 2), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_drive_set__during_a_checkpoint__behind_it_and_durable(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "a", 5000, 1, 0), MKV_STATUS_OK);
    const struct mkv_drive_set set = two_drives(2, 1);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    const uint64_t sequence = rig_stats(rig).superblock_sequence;
    while (rig_stats(rig).superblock_sequence == sequence) {
        rig_complete(rig, 0, MKV_IO_OK); /* up to the superblock that names the checkpoint */
    }
    command(rig, MKV_ADMIN_DRIVE_SET, &set);
    command(rig, MKV_ADMIN_DRIVE_SET, &set); /* one at a time: refused */
    assert_null(rig_event(rig, MKV_EVENT_DRIVE_SET_DURABLE));
    while (rig_event(rig, MKV_EVENT_DRIVE_SET_DURABLE) == NULL) {
        rig_complete(rig, 0, MKV_IO_OK);
    }
    assert_int_equal(rig_event(rig, MKV_EVENT_DRIVE_SET_DURABLE)->value[0], 2);
    expect_set(rig, &set);
    assert_int_equal(rig_stats(rig).superblock_sequence, sequence + 2);
    assert_int_equal(rig_stats(rig).checkpoints_total, 1);
    rig_settle(rig);
    rig_reopen(rig);
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

/* A checkpoint is through with its pages while a drive set is on its way to the superblock. */
static void test_drive_set__a_checkpoint_wants_the_superblock__waits(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    for (uint32_t round = 0; round < 5; round++) {
        assert_int_equal(rig_put(rig, "a", 5000, round, MKV_PUT_REPLACE), MKV_STATUS_OK);
        const uint64_t version = 2 + round;
        const struct mkv_drive_set set = two_drives(version, version - 1);
        assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
        for (uint32_t done = 0; done < round && rig->queue_count > 0; done++) {
            rig_complete(rig, 0, MKV_IO_OK);
        }
        command(rig, MKV_ADMIN_DRIVE_SET, &set);
        rig_settle(rig);
        assert_int_equal(superblock_of(rig).drive_set.version, version);
        assert_int_equal(rig_stats(rig).checkpoints_total, round + 1);
    }
    rig_destroy(rig);
}

static bool goes_elsewhere(const char *key, const struct mkv_drive_set *set) {
    const struct mkv_root point =
        mkv_placement_point(MKV_TENANT_DEFAULT_NAME, (const uint8_t *)key, (uint32_t)strlen(key));
    return mkv_placement_owner(point, set->members, set->count) != 0;
}

static void test_purge__keys_of_another_drive__dropped_durably_others_stay(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    const struct mkv_drive_set set = two_drives(2, 1);
    uint32_t elsewhere = 0;
    char key[16];
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        elsewhere += goes_elsewhere(key, &set);
        assert_int_equal(rig_put(rig, key, 100, i, 0), MKV_STATUS_OK);
    }
    assert_true(elsewhere > 10);
    assert_true(elsewhere < KEYS - 10);
    command(rig, MKV_ADMIN_PURGE, &set);
    rig_settle(rig);
    assert_non_null(rig_event(rig, MKV_EVENT_PURGED));
    assert_int_equal(rig_event(rig, MKV_EVENT_PURGED)->value[0], KEYS);
    assert_int_equal(rig_event(rig, MKV_EVENT_PURGED)->value[1], elsewhere);
    rig_reopen(rig);
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        assert_int_equal(rig_get(rig, key, 0, 0, i),
                         goes_elsewhere(key, &set) ? MKV_STATUS_NOT_FOUND : MKV_STATUS_OK);
    }
    rig_destroy(rig);
}

/* A header that can't be read says no key: then the block may be one that has to go. */
static void test_purge__header_unreadable__dropped(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    const struct mkv_drive_set alone = {
        .version = 2, .version_before = 1, .count = 1, .members = {{{{2}}, 1}}};
    assert_int_equal(rig_put(rig, "a", 100, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "b", 9000, 2, 0), MKV_STATUS_OK);
    rig_unit(rig, rig_block(rig, 3).lba)[200] ^= 1;
    command(rig, MKV_ADMIN_PURGE, &alone);
    rig_settle(rig);
    assert_int_equal(rig_event(rig, MKV_EVENT_PURGED)->value[1], 1);
    assert_non_null(rig_event(rig, MKV_EVENT_BLOCK_QUARANTINED));
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_OK);
    assert_int_equal(rig_exists(rig, "b"), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

/* What works when it is tried again gives nothing up; what never works is given up, and says so. */
static void test_purge__header_read_fails__read_again_before_it_is_dropped(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    const struct mkv_drive_set alone = {
        .version = 2, .version_before = 1, .count = 1, .members = {{{{2}}, 1}}};
    assert_int_equal(rig_put(rig, "a", 100, 1, 0), MKV_STATUS_OK);
    command(rig, MKV_ADMIN_PURGE, &alone);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_READ), 1);
    rig_complete(rig, 0, MKV_IO_DEVICE);
    rig_settle(rig);
    assert_int_equal(rig_event(rig, MKV_EVENT_PURGED)->value[1], 0);
    assert_null(rig_event(rig, MKV_EVENT_BLOCK_QUARANTINED));
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_OK);

    rig->event_count = 0;
    command(rig, MKV_ADMIN_PURGE, &alone);
    for (uint32_t reads = 0; reads < PURGE_READS; reads++) {
        assert_null(rig_event(rig, MKV_EVENT_BLOCK_QUARANTINED));
        assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_READ), 1);
        rig_complete(rig, 0, MKV_IO_DEVICE);
    }
    rig_settle(rig);
    assert_int_equal(rig_event(rig, MKV_EVENT_PURGED)->value[1], 1);
    assert_non_null(rig_event(rig, MKV_EVENT_BLOCK_QUARANTINED));
    assert_int_equal(rig_exists(rig, "a"), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

/* The next set says which keys go elsewhere; until then those of the joining drive do. */
static void test_purge__mutations_of_keys_that_go_elsewhere__refused_until_the_set_says_so(
    void **state) {
    (void)state;
    struct rig *rig = rig_create();
    const struct mkv_drive_set set = two_drives(2, 1);
    struct mkv_drive_set alone = {
        .version = 3, .version_before = 2, .count = 1, .members = {{{{2}}, 1}}};
    const char *own = NULL;
    const char *others = NULL;
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (goes_elsewhere(keys[i], &set)) {
            others = keys[i];
        } else {
            own = keys[i];
        }
    }
    assert_non_null(own);
    assert_non_null(others);
    assert_int_equal(rig_put(rig, others, 100, 1, 0), MKV_STATUS_OK);
    command(rig, MKV_ADMIN_PURGE, &set);
    rig_settle(rig);
    assert_int_equal(rig_event(rig, MKV_EVENT_PURGED)->value[1], 1);
    assert_int_equal(rig_put(rig, others, 100, 2, 0), MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig_remove(rig, others), MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig_put(rig, own, 100, 3, 0), MKV_STATUS_OK);
    command(rig, MKV_ADMIN_DRIVE_SET, &set);
    rig_settle(rig);
    assert_int_equal(rig_put(rig, others, 100, 4, 0), MKV_STATUS_UNAVAILABLE);
    command(rig, MKV_ADMIN_DRIVE_SET, &alone); /* the other drive has left again */
    rig_settle(rig);
    assert_int_equal(rig_put(rig, others, 100, 5, 0), MKV_STATUS_OK);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open__the_set_that_follows__durable_before_the_epoch),
        cmocka_unit_test(test_open__a_set_that_does_not_follow__foreign_and_untouched),
        cmocka_unit_test(test_join__holds_blocks__comes_up_empty_for_good),
        cmocka_unit_test(test_drive_set__during_a_checkpoint__behind_it_and_durable),
        cmocka_unit_test(test_drive_set__a_checkpoint_wants_the_superblock__waits),
        cmocka_unit_test(test_purge__keys_of_another_drive__dropped_durably_others_stay),
        cmocka_unit_test(test_purge__header_unreadable__dropped),
        cmocka_unit_test(test_purge__header_read_fails__read_again_before_it_is_dropped),
        cmocka_unit_test(
            test_purge__mutations_of_keys_that_go_elsewhere__refused_until_the_set_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
