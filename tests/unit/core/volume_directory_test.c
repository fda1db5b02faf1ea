/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bytes.h"
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define COMMIT_NS 1000000000ull
/* core/volume_internal.h: listings under way at a time. */
#define LISTINGS 4u

/* The keys of the last answer, each behind a space. */
static const char *keys_of_last(const struct rig *rig, char text[RIG_DATA_MAX]) {
    const struct mkv_message *answer = rig_last(rig);
    const uint8_t *entry = rig->answer_data[rig->answer_count - 1];
    const uint8_t *end = entry + answer->data_bytes;
    char *target = text;
    uint64_t count = 0;
    for (; entry < end; count++) {
        const uint32_t bytes = mkv_load_u16(entry + 12);
        *target++ = ' ';
        memcpy(target, entry + MKV_SCAN_ENTRY_BYTES, bytes);
        target += bytes;
        entry += MKV_SCAN_ENTRY_BYTES + bytes;
    }
    *target = 0;
    assert_int_equal(count, answer->count);
    return text;
}

static enum mkv_status scan(struct rig *rig, const char *prefix, const char *after,
                            uint32_t count_max) {
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_SCAN, prefix, after, count_max);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_SCAN_DONE);
    return rig_last(rig)->status;
}

static void assert_scan(struct rig *rig, const char *prefix, const char *expected) {
    char text[RIG_DATA_MAX];
    assert_int_equal(scan(rig, prefix, "", 100), MKV_STATUS_OK);
    assert_string_equal(keys_of_last(rig, text), expected);
    assert_int_equal(rig_last(rig)->flags, 0);
}

static void assert_count(struct rig *rig, const char *prefix, uint64_t expected) {
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_COUNT, prefix, "", 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_COUNT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->count, expected);
}

static enum mkv_status purge(struct rig *rig, const char *prefix) {
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_PURGE, prefix, "", 0);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PURGE_DONE);
    return rig_last(rig)->status;
}

static void put_all(struct rig *rig, const char *const *keys, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        assert_int_equal(rig_put(rig, keys[index], 5000, index, 0), MKV_STATUS_OK);
    }
}

static const char *const fruit[] = {"pear", "apple", "fig", "apricot", "plum"};

static struct rig *rig_with_fruit(void) {
    struct rig *rig = rig_create();
    put_all(rig, fruit, 5);
    return rig;
}

/* Lets the directory make durable what it holds. */
static void commit(struct rig *rig) {
    rig_tick(rig, COMMIT_NS);
    rig_settle(rig);
    rig_tick(rig, COMMIT_NS);
    rig_settle(rig);
}

static uint64_t region_start(const struct rig *rig) {
    return mkv_geometry_directory(&rig->config.geometry).unit;
}

static bool in_region(const struct rig *rig, const struct mkv_effect *effect) {
    const uint64_t unit = effect->drive.lba.unit;
    return (effect->kind == MKV_EFFECT_DRIVE_READ || effect->kind == MKV_EFFECT_DRIVE_WRITE) &&
           unit >= region_start(rig) &&
           unit < region_start(rig) + rig->config.geometry.directory_units;
}

/* Completes what is in flight until an operation of the directory is, whose place this returns. */
static uint32_t next_of_region(struct rig *rig, enum mkv_effect_kind kind) {
    for (uint32_t turn = 0; turn < 1000; turn++) {
        for (uint32_t index = 0; index < rig->queue_count; index++) {
            if (in_region(rig, &rig->queue[index]) && rig->queue[index].kind == kind) {
                return index;
            }
        }
        if (rig->queue_count > 0) {
            rig_complete(rig, 0, MKV_IO_OK);
        } else {
            rig_tick(rig, 0);
        }
    }
    fail_msg("the directory asks for nothing of kind %d", (int)kind);
    return 0;
}

/* Forgets the machine, and opens up to the event. */
static void reopen_begin(struct rig *rig) {
    rig->queue_count = 0;
    rig->answer_count = 0;
    rig->event_count = 0;
    memset(rig->memory, 0xa5, rig->memory_bytes);
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    while (rig_event(rig, MKV_EVENT_OPENED) == NULL) {
        if (rig->queue_count > 0) {
            rig_complete(rig, 0, MKV_IO_OK);
        } else {
            rig_tick(rig, 0);
        }
    }
}

/* ---- what they answer ------------------------------------------------------------------------ */

static void test_volume__scan__lists_live_keys_in_order(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    assert_scan(rig, "", " apple apricot fig pear plum");
    assert_scan(rig, "ap", " apple apricot");
    assert_scan(rig, "q", "");
    assert_int_equal(rig_remove(rig, "apple"), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "fig", 9000, 9, MKV_PUT_REPLACE), MKV_STATUS_OK);
    assert_scan(rig, "", " apricot fig pear plum");
    const struct mkv_volume_block fig = rig_block(rig, 3);
    const uint8_t *entry = rig->answer_data[rig->answer_count - 1] + MKV_SCAN_ENTRY_BYTES + 7;
    assert_int_equal(mkv_load_u32(entry), fig.slot.index);
    assert_int_equal(mkv_load_u32(entry + 4), fig.generation_low);
    assert_int_equal(mkv_load_u16(entry + 8), 3);
    rig_destroy(rig);
}

static void test_volume__scan_in_pieces__goes_on_behind_the_last_key(void **state) {
    (void)state;
    char text[RIG_DATA_MAX];
    struct rig *rig = rig_with_fruit();
    assert_int_equal(scan(rig, "", "", 2), MKV_STATUS_OK);
    assert_string_equal(keys_of_last(rig, text), " apple apricot");
    assert_int_equal(rig_last(rig)->flags, MKV_SCAN_MORE);
    assert_int_equal(scan(rig, "", "apricot", 2), MKV_STATUS_OK);
    assert_string_equal(keys_of_last(rig, text), " fig pear");
    assert_int_equal(rig_last(rig)->flags, MKV_SCAN_MORE);
    assert_int_equal(scan(rig, "", "pear", 2), MKV_STATUS_OK);
    assert_string_equal(keys_of_last(rig, text), " plum");
    assert_int_equal(rig_last(rig)->flags, 0);
    rig_destroy(rig);
}

static void test_volume__parts_of_larger_values__are_not_listed_and_are_purged(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "big", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "big-0", 5000, 2, MKV_BLOCK_SEGMENT), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "big-1", 5000, 3, MKV_BLOCK_SEGMENT), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "small", 5000, 4, 0), MKV_STATUS_OK);
    assert_scan(rig, "", " big small");
    assert_count(rig, "", 2);
    assert_int_equal(purge(rig, "big"), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->count, 1);
    assert_int_equal(rig_stats(rig).blocks, 1);
    assert_scan(rig, "", " small");
    rig_destroy(rig);
}

static void test_volume__count__as_many_as_scan_lists(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    assert_count(rig, "", 5);
    assert_count(rig, "p", 2);
    assert_count(rig, "pearl", 0);
    rig_destroy(rig);
}

static void test_volume__purge__drops_durably_what_begins_with_the_prefix(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    assert_int_equal(purge(rig, "ap"), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->count, 2);
    assert_int_equal(rig_stats(rig).blocks, 3);
    rig_reopen(rig);
    assert_int_equal(rig_exists(rig, "apple"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_exists(rig, "fig"), MKV_STATUS_OK);
    assert_scan(rig, "", " fig pear plum");
    assert_int_equal(purge(rig, ""), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).blocks, 0);
    assert_int_equal(rig_stats(rig).slots_used, 0);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

/* More blocks than drops of jobs may be under way, and than a batch holds. */
static void test_volume__purge_of_many__is_answered_when_the_last_is_durable(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    char key[600];
    memset(key, 'x', sizeof key - 1);
    key[sizeof key - 1] = 0;
    for (uint32_t index = 0; index < 40; index++) {
        key[0] = (char)('a' + index % 20);
        key[1] = (char)('a' + index / 20);
        assert_int_equal(rig_put(rig, key, 100, index, 0), MKV_STATUS_OK);
    }
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_PURGE, "", "", 0);
    while (rig->answer_count == 0) {
        if (rig->queue_count > 0) {
            rig_complete(rig, 0, MKV_IO_OK);
        } else {
            rig_tick(rig, 0);
        }
    }
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->count, 40);
    rig_reopen(rig); /* at once: nothing is left to become durable */
    assert_int_equal(rig_stats(rig).blocks, 0);
    rig_destroy(rig);
}

static void test_volume__keys_of_two_tenants__are_listed_and_purged_apart(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    assert_int_equal(rig_tenant(rig, 5, "batch"), MKV_STATUS_OK);
    rig->tenant = 5;
    assert_scan(rig, "", "");
    assert_int_equal(rig_put(rig, "fig", 5000, 1, 0), MKV_STATUS_OK);
    assert_scan(rig, "", " fig");
    assert_int_equal(purge(rig, ""), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->count, 1);
    rig->tenant = MKV_TENANT_DEFAULT;
    assert_count(rig, "", 5);
    rig_destroy(rig);
}

static void test_volume__tenant_that_is_gone__has_an_empty_list_and_takes_no_purge(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_tenant(rig, 5, "batch"), MKV_STATUS_OK);
    rig->tenant = 5;
    assert_int_equal(rig_put(rig, "fig", 5000, 1, 0), MKV_STATUS_OK);
    rig_tenant_drop_begin(rig, 5);
    rig_settle(rig);
    assert_scan(rig, "", "");
    assert_count(rig, "", 0);
    assert_int_equal(purge(rig, ""), MKV_STATUS_FORBIDDEN);
    rig_destroy(rig);
}

/* ---- what they wait for ---------------------------------------------------------------------- */

static void test_volume__too_many_listings__the_last_is_busy(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    commit(rig);
    reopen_begin(rig); /* no leaf is in memory */
    rig->answer_count = 0;
    for (uint32_t index = 0; index <= LISTINGS; index++) {
        rig_list(rig, MKV_MESSAGE_COUNT, "", "", 0);
    }
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_BUSY);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1 + LISTINGS);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->count, 5);
    rig_destroy(rig);
}

static void test_volume__listings_of_a_volume_that_does_not_serve__are_unavailable(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_COUNT, "", "", 0);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_destroy(rig);
}

static void test_volume__close_under_listings__answers_them_and_ends(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    commit(rig);
    reopen_begin(rig);
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_COUNT, "", "", 0);
    rig_list(rig, MKV_MESSAGE_PURGE, "", "", 0);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(rig->answers[0].status, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig->answers[1].status, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_destroy(rig);
}

static void test_volume__close_under_the_drops_of_a_purge__answers_it_and_ends(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_PURGE, "", "", 0);
    assert_int_equal(rig->answer_count, 0);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_destroy(rig);
}

/* The directory's operations do not come back, and nobody waits for them. */
static void test_volume__directory_does_not_get_on__puts_gets_and_deletes_do(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    commit(rig);
    reopen_begin(rig);
    assert_true(in_region(rig, &rig->queue[next_of_region(rig, MKV_EFFECT_DRIVE_READ)]));
    rig->answer_count = 0;
    rig_put_begin(rig, "new", 5000, 1, 0);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    rig_delete(rig, "fig");
    for (uint32_t turn = 0; turn < 100 && rig->answer_count < 3; turn++) {
        uint32_t index = 0;
        while (index < rig->queue_count && in_region(rig, &rig->queue[index])) {
            index++;
        }
        assert_true(index < rig->queue_count);
        rig_complete(rig, index, MKV_IO_OK);
    }
    assert_int_equal(rig->answer_count, 3);
    assert_int_equal(rig->answers[1].status, MKV_STATUS_OK);
    assert_int_equal(rig->answers[2].status, MKV_STATUS_OK);
    assert_true(rig_in_flight(rig, MKV_EFFECT_DRIVE_READ) > 0);
    assert_true(rig_stats(rig).directory_lag > 0);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).directory_lag, 0);
    assert_scan(rig, "", " apple apricot new pear plum");
    rig_destroy(rig);
}

/* ---- crashes and damage ---------------------------------------------------------------------- */

static void test_volume__killed_before_the_directory_committed__headers_tell_the_keys(
    void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    commit(rig);
    assert_int_equal(rig_put(rig, "date", 5000, 7, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "fig", 9000, 9, MKV_PUT_REPLACE), MKV_STATUS_OK);
    assert_int_equal(rig_remove(rig, "plum"), MKV_STATUS_OK);
    reopen_begin(rig);
    assert_scan(rig, "", " apple apricot date fig pear");
    assert_true(mkv_volume_directory_complete(rig->volume));
    assert_int_equal(rig_stats(rig).directory.rebuilds_total, 0);
    rig_destroy(rig);
}

static void test_volume__closed_and_opened__has_nothing_to_catch_up(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    assert_int_equal(rig_stats(rig).directory.state, MKV_DIRECTORY_CLOSED);
    reopen_begin(rig);
    for (uint32_t turn = 0; turn < 10; turn++) {
        rig_tick(rig, 0);
        assert_int_equal(rig_stats(rig).directory.unlisted, 0);
    }
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).directory.entries, 5);
    assert_scan(rig, "", " apple apricot fig pear plum");
    rig_destroy(rig);
}

static void test_volume__rotten_node__directory_says_so_and_is_made_anew(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    commit(rig);
    for (uint32_t unit = MKV_DIRECTORY_ROOTS; unit < rig->config.geometry.directory_units; unit++) {
        rig_unit(rig, (struct mkv_lba){region_start(rig) + unit})[100] ^= 1;
    }
    rig_reopen(rig);
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_COUNT, "", "", 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    assert_non_null(rig_event(rig, MKV_EVENT_DIRECTORY_DAMAGED));
    assert_int_equal(rig_event(rig, MKV_EVENT_DIRECTORY_REBUILT)->value[0], 5);
    assert_scan(rig, "", " apple apricot fig pear plum");
    rig_destroy(rig);
}

static void test_volume__node_cannot_be_written__directory_is_made_anew_elsewhere(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    rig_tick(rig, COMMIT_NS);
    rig_complete(rig, next_of_region(rig, MKV_EFFECT_DRIVE_WRITE), MKV_IO_MEDIUM);
    rig_settle(rig);
    commit(rig);
    assert_false(rig->drive_failed);
    assert_int_equal(rig_stats(rig).io_errors_write_total, 1);
    assert_non_null(rig_event(rig, MKV_EVENT_DIRECTORY_REBUILT));
    assert_scan(rig, "", " apple apricot fig pear plum");
    rig_reopen(rig);
    assert_scan(rig, "", " apple apricot fig pear plum");
    rig_destroy(rig);
}

static void test_volume__region_cannot_be_written_at_all__blocks_are_served(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    rig_tick(rig, COMMIT_NS);
    while (rig_event(rig, MKV_EVENT_DIRECTORY_OFF) == NULL) {
        rig_complete(rig, next_of_region(rig, MKV_EFFECT_DRIVE_WRITE), MKV_IO_MEDIUM);
        rig_tick(rig, COMMIT_NS);
    }
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).directory.state, MKV_DIRECTORY_OFF);
    assert_int_equal(scan(rig, "", "", 10), MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig_put(rig, "new", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_get(rig, "new", 0, 0, 1), MKV_STATUS_OK);
    assert_int_equal(rig_remove(rig, "fig"), MKV_STATUS_OK);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_destroy(rig);
}

static void test_volume__header_of_an_unlisted_block_is_lost__block_is_quarantined(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_all(rig, fruit, 2);
    assert_int_equal(rig_put(rig, "odd", 9000, 9, 0), MKV_STATUS_OK);
    rig_unit(rig, rig_block(rig, 3).lba)[200] ^= 1;
    rig_reopen(rig);
    assert_non_null(rig_event(rig, MKV_EVENT_BLOCK_QUARANTINED));
    assert_int_equal(rig_stats(rig).quarantined_total, 1);
    assert_int_equal(rig_stats(rig).blocks, 2);
    assert_scan(rig, "", " apple pear");
    assert_int_equal(rig_stats(rig).directory_lag, 0);
    rig_destroy(rig);
}

/* A put that replaces the block has its lock: the drop of the block waits for it. */
static void test_volume__lost_header_of_a_locked_block__is_quarantined_once(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    const struct mkv_lba lba = rig_block(rig, 2).lba;
    reopen_begin(rig);
    rig->answer_count = 0;
    rig_put_begin(rig, "k", 5000, 2, MKV_PUT_REPLACE);
    bool ready = false;
    for (uint32_t turn = 0; turn < 1000 && !ready; turn++) {
        uint32_t index = 0; /* the header read of the put comes first */
        for (uint32_t other = 0; other < rig->queue_count; other++) {
            index = rig->queue[other].drive.lba.unit == lba.unit ? other : index;
        }
        if (rig->queue_count > 0) {
            rig_complete(rig, index, MKV_IO_OK);
        } else {
            rig_tick(rig, 0);
        }
        ready = rig->answer_count > 0;
    }
    assert_true(ready);
    const struct mkv_op_id op = rig_last(rig)->volume_op;
    rig_unit(rig, lba)[200] ^= 1;
    for (uint32_t turn = 0; turn < 1000; turn++) {
        if (rig->queue_count > 0) {
            rig_complete(rig, 0, MKV_IO_OK);
        } else {
            rig_tick(rig, 1000);
        }
    }
    assert_int_equal(rig_stats(rig).quarantined_total, 1);
    rig_put_write(rig, op, 0, 5000, 2);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    rig_tick(rig, 2 * COMMIT_NS);
    rig_settle(rig);
    assert_scan(rig, "", " k");
    rig_destroy(rig);
}

static void test_volume__header_of_an_unlisted_block_does_not_come__it_is_asked_for_again(
    void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_all(rig, fruit, 1);
    const uint64_t unit = rig_block(rig, 2).lba.unit;
    reopen_begin(rig);
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_COUNT, "", "", 0);
    bool failed = false;
    for (uint32_t turn = 0; turn < 1000 && !failed; turn++) {
        failed = rig->queue_count > 0 && rig->queue[0].drive.lba.unit == unit;
        if (rig->queue_count > 0) {
            rig_complete(rig, 0, failed ? MKV_IO_DEVICE : MKV_IO_OK);
        } else {
            rig_tick(rig, 0);
        }
    }
    assert_true(failed);
    rig_settle(rig);
    assert_false(rig->drive_failed);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig_stats(rig).blocks, 1);
    rig_tick(rig, 2 * COMMIT_NS);
    rig_settle(rig);
    assert_scan(rig, "", " pear");
    rig_destroy(rig);
}

static void test_volume__drive_is_gone_under_a_listing__volume_fails_and_answers(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    commit(rig);
    reopen_begin(rig);
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_SCAN, "", "", 10);
    rig_complete(rig, next_of_region(rig, MKV_EFFECT_DRIVE_READ), MKV_IO_GONE);
    rig_settle(rig);
    assert_true(rig->drive_failed);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(scan(rig, "", "", 10), MKV_STATUS_UNAVAILABLE);
    rig_destroy(rig);
}

static void test_volume__drive_fails_under_the_drops_of_a_purge__it_is_answered_once(void **state) {
    (void)state;
    struct rig *rig = rig_with_fruit();
    rig->answer_count = 0;
    rig_list(rig, MKV_MESSAGE_PURGE, "", "", 0);
    assert_true(rig->queue_count > 0);
    rig_complete(rig, 0, MKV_IO_DEVICE);
    rig_settle(rig);
    assert_true(rig->drive_failed);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    rig_destroy(rig);
}

static void test_volume__drive_is_stalled__directory_asks_for_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create_raw(16, 16 * MKV_PAGE_SLOTS, 96);
    rig->config.stall_ns = 1000000;
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    put_all(rig, fruit, 5);
    rig_find(rig, "pear");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_tick(rig, 2000000);
    assert_true(rig_stats(rig).stalled);
    rig_tick(rig, COMMIT_NS);
    for (uint32_t turn = 0; turn < 10; turn++) {
        rig_tick(rig, 0);
    }
    for (uint32_t index = 0; index < rig->queue_count; index++) {
        assert_false(in_region(rig, &rig->queue[index]));
    }
    rig_settle(rig);
    assert_false(rig_stats(rig).stalled);
    assert_true(rig_stats(rig).directory.commits_total > 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume__scan__lists_live_keys_in_order),
        cmocka_unit_test(test_volume__scan_in_pieces__goes_on_behind_the_last_key),
        cmocka_unit_test(test_volume__parts_of_larger_values__are_not_listed_and_are_purged),
        cmocka_unit_test(test_volume__count__as_many_as_scan_lists),
        cmocka_unit_test(test_volume__purge__drops_durably_what_begins_with_the_prefix),
        cmocka_unit_test(test_volume__purge_of_many__is_answered_when_the_last_is_durable),
        cmocka_unit_test(test_volume__keys_of_two_tenants__are_listed_and_purged_apart),
        cmocka_unit_test(test_volume__tenant_that_is_gone__has_an_empty_list_and_takes_no_purge),
        cmocka_unit_test(test_volume__too_many_listings__the_last_is_busy),
        cmocka_unit_test(test_volume__listings_of_a_volume_that_does_not_serve__are_unavailable),
        cmocka_unit_test(test_volume__close_under_listings__answers_them_and_ends),
        cmocka_unit_test(test_volume__close_under_the_drops_of_a_purge__answers_it_and_ends),
        cmocka_unit_test(test_volume__directory_does_not_get_on__puts_gets_and_deletes_do),
        cmocka_unit_test(test_volume__killed_before_the_directory_committed__headers_tell_the_keys),
        cmocka_unit_test(test_volume__closed_and_opened__has_nothing_to_catch_up),
        cmocka_unit_test(test_volume__rotten_node__directory_says_so_and_is_made_anew),
        cmocka_unit_test(test_volume__node_cannot_be_written__directory_is_made_anew_elsewhere),
        cmocka_unit_test(test_volume__region_cannot_be_written_at_all__blocks_are_served),
        cmocka_unit_test(test_volume__header_of_an_unlisted_block_is_lost__block_is_quarantined),
        cmocka_unit_test(test_volume__lost_header_of_a_locked_block__is_quarantined_once),
        cmocka_unit_test(
            test_volume__header_of_an_unlisted_block_does_not_come__it_is_asked_for_again),
        cmocka_unit_test(test_volume__drive_is_gone_under_a_listing__volume_fails_and_answers),
        cmocka_unit_test(test_volume__drive_fails_under_the_drops_of_a_purge__it_is_answered_once),
        cmocka_unit_test(test_volume__drive_is_stalled__directory_asks_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
