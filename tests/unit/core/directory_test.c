/* SPDX-License-Identifier: Apache-2.0 */
#include "core/directory.h"

#include <time.h>

#include "core/bytes.h"
#include "tests/unit/core/directory_rig.h"
#include "tests/unit/core/test.h"

static uint32_t random_key(struct dirig *rig, uint8_t *key) {
    uint32_t bytes = 1 + (uint32_t)sample_random_below(&rig->random, 12);
    const uint64_t kind = sample_random_below(&rig->random, 20);
    if (kind == 0) {
        bytes = MKV_KEY_BYTES_MAX - (uint32_t)sample_random_below(&rig->random, 3);
    } else if (kind < 4) {
        bytes = 200 + (uint32_t)sample_random_below(&rig->random, 40);
    }
    memset(key, 'k', bytes);
    for (uint32_t at = 0; at < 4; at++) {
        key[sample_random_below(&rig->random, bytes)] =
            (uint8_t)sample_random_below(&rig->random, 256);
    }
    return bytes;
}

static void random_change(struct dirig *rig, uint32_t target) {
    uint8_t key[MKV_KEY_BYTES_MAX];
    const uint32_t tenant = (uint32_t)sample_random_below(&rig->random, 3);
    const bool grow = rig->live_count < target;
    if (sample_random_below(&rig->random, 10) < (grow ? 7u : 3u) || rig->live_count == 0) {
        const uint32_t bytes = random_key(rig, key);
        const uint32_t flags = (uint32_t)sample_random_below(&rig->random, 8);
        (void)dirig_put(rig, tenant, key, bytes, flags < 4 ? flags : 0);
        return;
    }
    uint32_t slot = (uint32_t)sample_random_below(&rig->random, rig->slots);
    while (!rig->blocks[slot].live) {
        slot = slot + 1 == rig->slots ? 0 : slot + 1;
    }
    const struct dirig_block block = rig->blocks[slot];
    (void)dirig_drop(rig, block.tenant, block.key, block.key_bytes,
                     sample_random_below(&rig->random, 3) > 0);
}

static void check_all(struct dirig *rig) {
    for (uint32_t tenant = 0; tenant < 3; tenant++) {
        assert_int_equal(dirig_check_scan(rig, tenant, "", 0, 7 + tenant * 50), MKV_STATUS_OK);
    }
}

/* The same, where what a scan meets first may be damage: then it says so, and later lists all. */
static void check_all_in_the_end(struct dirig *rig) {
    for (uint32_t tenant = 0; tenant < 3; tenant++) {
        enum mkv_status status = dirig_check_scan(rig, tenant, "", 0, 40);
        if (status == MKV_STATUS_UNAVAILABLE) {
            dirig_settle(rig);
            status = dirig_check_scan(rig, tenant, "", 0, 40);
        }
        assert_int_equal(status, MKV_STATUS_OK);
    }
}

static void check_undamaged(const struct dirig *rig) {
    assert_int_equal(rig->events[MKV_DIRECTORY_EVENT_DAMAGED], 0);
    assert_int_equal(rig->events[MKV_DIRECTORY_EVENT_OFF], 0);
}

static void test_directory__first_opening__serves_an_empty_listing(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){MKV_DIRECTORY_UNITS_MIN, MKV_DIRECTORY_FRAMES_MIN, 100,
                                             1000000, 1});
    dirig_open(&rig, 0xa5);
    dirig_settle(&rig);
    assert_int_equal(dirig_stats(&rig).state, MKV_DIRECTORY_SERVING);
    assert_true(mkv_directory_is_complete(rig.directory));
    assert_int_equal(dirig_check_scan(&rig, 0, "", 0, 10), MKV_STATUS_OK);
    assert_int_equal(dirig_stats(&rig).commits_total, 0);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__random_changes__lists_what_is_live(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct dirig rig;
        dirig_init(&rig,
                   &(struct dirig_options){400, MKV_DIRECTORY_FRAMES_MIN, 1200, 300000, seed});
        dirig_open(&rig, 0);
        for (uint32_t round = 0; round < 3000; round++) {
            random_change(&rig, 300 + 300 * (round / 1000));
            if (sample_random_below(&rig.random, 3) > 0) {
                dirig_step(&rig);
            }
            if (round % 500 == 499) {
                check_all(&rig);
            }
        }
        dirig_settle(&rig);
        check_all(&rig);
        check_undamaged(&rig);
        const struct mkv_directory_stats stats = dirig_stats(&rig);
        assert_int_equal(stats.unlisted, 0);
        assert_true(stats.applied_sequence == rig.sequence);
        assert_true(stats.commits_total > 10);
        assert_true(stats.levels >= 2);
        while (rig.live_count > 0) {
            random_change(&rig, 0);
            dirig_step(&rig);
        }
        dirig_settle(&rig);
        check_all(&rig);
        dirig_close(&rig);
        dirig_free(&rig);
    }
}

static void test_directory__closed_and_opened__has_all_without_a_header_read(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){300, MKV_DIRECTORY_FRAMES_MIN, 1000, 1000000, 7});
    dirig_open(&rig, 0);
    for (uint32_t round = 0; round < 1500; round++) {
        random_change(&rig, 600);
        dirig_step(&rig);
    }
    dirig_settle(&rig);
    dirig_close(&rig);
    rig.catch_ups = 0;
    dirig_open(&rig, 0xff);
    check_all(&rig);
    assert_int_equal(rig.catch_ups, 0);
    assert_true(dirig_stats(&rig).listed_generation == rig.generation);
    check_undamaged(&rig);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__crashes_with_any_subset_of_writes__newest_root_is_whole(void **state) {
    (void)state;
    uint64_t catch_ups = 0;
    uint64_t opened_blocks = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct dirig rig;
        dirig_init(&rig, &(struct dirig_options){seed % 2 == 0 ? 150 : 60, MKV_DIRECTORY_FRAMES_MIN,
                                                 400, 100000, seed});
        for (uint32_t life = 0; life < 25; life++) {
            dirig_open(&rig, (uint8_t)life);
            const uint32_t steps = (uint32_t)sample_random_below(&rig.random, 400);
            for (uint32_t step = 0; step < steps; step++) {
                const bool burst = sample_random_below(&rig.random, 40) == 0;
                const uint64_t changes = sample_random_below(&rig.random, burst ? 150 : 2);
                for (uint64_t change = 0; change < changes; change++) {
                    random_change(&rig, 120);
                }
                dirig_step(&rig);
            }
            if (sample_random_below(&rig.random, 3) == 0) {
                check_all(&rig);
            }
            if (sample_random_below(&rig.random, 8) == 0) {
                dirig_close(&rig);
            }
            dirig_crash(&rig);
            rig.catch_ups = 0;
            dirig_open(&rig, 0x5a);
            opened_blocks += rig.live_count;
            dirig_settle(&rig);
            catch_ups += rig.catch_ups;
            check_all(&rig);
            check_undamaged(&rig);
            dirig_crash(&rig);
        }
        dirig_free(&rig);
    }
    /* What the root covers is not listed again: most blocks come from the tree. */
    assert_true(catch_ups < opened_blocks / 2);
}

static void test_directory__a_unit_changes_behind_it__rebuilds_and_lists_all(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){120, MKV_DIRECTORY_FRAMES_MIN, 600, 100000, 9});
    dirig_open(&rig, 0);
    for (uint32_t round = 0; round < 1000; round++) {
        random_change(&rig, 500);
        dirig_step(&rig);
    }
    dirig_settle(&rig);
    dirig_close(&rig);
    uint8_t *image = malloc((size_t)120 * MKV_UNIT_BYTES);
    memcpy(image, rig.durable, (size_t)120 * MKV_UNIT_BYTES);
    uint32_t damaged = 0;
    for (uint32_t unit = 0; unit < 120; unit++) {
        memcpy(rig.durable, image, (size_t)120 * MKV_UNIT_BYTES);
        rig.durable[(size_t)unit * MKV_UNIT_BYTES + 100 + unit] ^= 4;
        memset(rig.events, 0, sizeof rig.events);
        dirig_open(&rig, 0x11);
        enum mkv_status status = MKV_STATUS_OK;
        for (uint32_t tenant = 0; tenant < 3 && status == MKV_STATUS_OK; tenant++) {
            status = dirig_check_scan(&rig, tenant, "", 0, 40);
        }
        dirig_settle(&rig);
        damaged += rig.events[MKV_DIRECTORY_EVENT_DAMAGED];
        assert_true(rig.events[MKV_DIRECTORY_EVENT_DAMAGED] <= 1);
        assert_true(status == MKV_STATUS_OK || status == MKV_STATUS_UNAVAILABLE);
        check_all(&rig);
        assert_int_equal(rig.events[MKV_DIRECTORY_EVENT_OFF], 0);
        dirig_close(&rig);
    }
    assert_true(damaged >= 10);
    free(image);
    dirig_free(&rig);
}

static void test_directory__an_older_content_of_a_page__is_damage(void **state) {
    (void)state;
    struct dirig rig;
    uint32_t found = 0;
    dirig_init(&rig, &(struct dirig_options){30, MKV_DIRECTORY_FRAMES_MIN, 100, 1000, 10});
    dirig_open(&rig, 0);
    uint8_t *history = malloc((size_t)30 * MKV_UNIT_BYTES);
    for (uint32_t round = 0; round < 40; round++) {
        memcpy(history, rig.durable, (size_t)30 * MKV_UNIT_BYTES);
        for (uint32_t change = 0; change < 30; change++) {
            random_change(&rig, 60);
            dirig_step(&rig);
        }
        dirig_settle(&rig);
        dirig_close(&rig);
        /* A write that was lost: the page has what it had before, sound in itself. */
        const uint32_t unit = 2 + (uint32_t)sample_random_below(&rig.random, 28);
        memcpy(rig.durable + (size_t)unit * MKV_UNIT_BYTES, history + (size_t)unit * MKV_UNIT_BYTES,
               MKV_UNIT_BYTES);
        dirig_open(&rig, 0);
        for (uint32_t tenant = 0; tenant < 3; tenant++) {
            (void)dirig_check_scan(&rig, tenant, "", 0, 40);
        }
        dirig_settle(&rig);
        check_all(&rig);
    }
    found = rig.events[MKV_DIRECTORY_EVENT_DAMAGED];
    assert_true(found > 3);
    assert_int_equal(rig.events[MKV_DIRECTORY_EVENT_OFF], 0);
    free(history);
    dirig_free(&rig);
}

static void test_directory__an_older_leaf_of_the_very_page__is_damage(void **state) {
    (void)state;
    struct dirig rig;
    const size_t region_bytes = (size_t)MKV_DIRECTORY_UNITS_MIN * MKV_UNIT_BYTES;
    uint8_t *older = calloc(1, region_bytes);
    uint8_t *before = calloc(1, region_bytes);
    dirig_init(&rig, &(struct dirig_options){MKV_DIRECTORY_UNITS_MIN, MKV_DIRECTORY_FRAMES_MIN, 100,
                                             1000, 20});
    dirig_open(&rig, 0);
    dirig_settle(&rig);
    for (uint32_t number = 0; number < 20; number++) {
        memcpy(before, rig.durable, region_bytes);
        const uint8_t key = (uint8_t)number;
        assert_true(dirig_put(&rig, 0, &key, 1, 0));
        dirig_settle(&rig);
        for (size_t at = 0; at < region_bytes; at += MKV_UNIT_BYTES) {
            if (memcmp(before + at, rig.durable + at, MKV_UNIT_BYTES) != 0) {
                memcpy(older + at, before + at, MKV_UNIT_BYTES);
            }
        }
    }
    assert_int_equal(dirig_stats(&rig).levels, 1);
    dirig_close(&rig);
    struct mkv_directory_root roots[MKV_DIRECTORY_ROOTS];
    for (uint32_t which = 0; which < MKV_DIRECTORY_ROOTS; which++) {
        assert_true(
            mkv_directory_root_decode(rig.durable + (size_t)which * MKV_UNIT_BYTES, &roots[which]));
    }
    const uint32_t page = roots[roots[1].commit > roots[0].commit ? 1 : 0].root.page;
    memcpy(rig.durable + (size_t)page * MKV_UNIT_BYTES, older + (size_t)page * MKV_UNIT_BYTES,
           MKV_UNIT_BYTES);
    assert_true(mkv_directory_node_count(rig.durable + (size_t)page * MKV_UNIT_BYTES) > 0);
    dirig_open(&rig, 0);
    dirig_settle(&rig);
    check_all_in_the_end(&rig);
    assert_int_equal(rig.events[MKV_DIRECTORY_EVENT_DAMAGED], 1);
    dirig_close(&rig);
    dirig_free(&rig);
    free(older);
    free(before);
}

static void test_directory__root_counts_other_nodes__is_damage(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){60, MKV_DIRECTORY_FRAMES_MIN, 200, 1000, 21});
    dirig_open(&rig, 0);
    for (uint32_t round = 0; round < 200; round++) {
        random_change(&rig, 150);
        dirig_step(&rig);
    }
    dirig_settle(&rig);
    dirig_close(&rig);
    for (uint32_t which = 0; which < MKV_DIRECTORY_ROOTS; which++) {
        struct mkv_directory_root root;
        uint8_t *unit = rig.durable + (size_t)which * MKV_UNIT_BYTES;
        assert_true(mkv_directory_root_decode(unit, &root));
        root.node_count++;
        mkv_directory_root_encode(&root, unit);
    }
    dirig_open(&rig, 0);
    dirig_settle(&rig);
    assert_int_equal(rig.events[MKV_DIRECTORY_EVENT_DAMAGED], 1);
    assert_int_equal(rig.events[MKV_DIRECTORY_EVENT_REBUILT], 1);
    check_all(&rig);
    dirig_close(&rig);
    dirig_free(&rig);
}

/* Changes what both root units say, with sums that hold. */
static void roots_change(struct dirig *rig, void (*change)(struct mkv_directory_root *root)) {
    for (uint32_t which = 0; which < MKV_DIRECTORY_ROOTS; which++) {
        struct mkv_directory_root root;
        uint8_t *unit = rig->durable + (size_t)which * MKV_UNIT_BYTES;
        assert_true(mkv_directory_root_decode(unit, &root));
        change(&root);
        mkv_directory_root_encode(&root, unit);
    }
}

static void one_entry(struct mkv_directory_root *root) {
    root->entry_count = 1;
}
static void more_entries(struct mkv_directory_root *root) {
    root->entry_count += 100;
}
static void later_generation(struct mkv_directory_root *root) {
    root->listed_generation += 1000;
}

/* A closed directory of some changes, opened anew with other figures in its roots. */
static void open_changed(struct dirig *rig, void (*change)(struct mkv_directory_root *root)) {
    dirig_init(rig, &(struct dirig_options){60, MKV_DIRECTORY_FRAMES_MIN, 200, 1000, 21});
    dirig_open(rig, 0);
    for (uint32_t round = 0; round < 200; round++) {
        random_change(rig, 150);
        dirig_step(rig);
    }
    dirig_settle(rig);
    dirig_close(rig);
    roots_change(rig, change);
    dirig_open(rig, 0);
    dirig_settle(rig);
}

static void test_directory__root_counts_other_entries__is_damage_when_it_shows(void **state) {
    (void)state;
    static void (*const changes[])(struct mkv_directory_root *) = {one_entry, more_entries};
    for (uint32_t index = 0; index < 2; index++) {
        struct dirig rig;
        open_changed(&rig, changes[index]);
        for (uint32_t slot = 0; slot < rig.slots; slot++) {
            if (rig.blocks[slot].live) {
                dirig_drop_slot(&rig, slot, true);
                dirig_step(&rig);
            }
        }
        dirig_settle(&rig);
        assert_true(rig.events[MKV_DIRECTORY_EVENT_DAMAGED] > 0);
        assert_int_equal(dirig_stats(&rig).entries, 0);
        random_change(&rig, 150);
        dirig_settle(&rig);
        check_all(&rig);
        dirig_close(&rig);
        dirig_free(&rig);
    }
}

/* Generations that it has not seen must not seem to be listed when they are given out. */
static void test_directory__root_claims_later_generations__none_is_forgotten(void **state) {
    (void)state;
    struct dirig rig;
    open_changed(&rig, later_generation);
    for (uint32_t index = 0; index < 20; index++) {
        char key[16];
        const int bytes = snprintf(key, sizeof key, "late-%u", index);
        assert_true(dirig_put(&rig, 1, key, (uint32_t)bytes, 0));
    }
    dirig_crash(&rig);
    rig.generation += 2000; /* as an opening begins behind all that may have been given out */
    dirig_open(&rig, 0);
    dirig_settle(&rig);
    check_all(&rig);
    assert_int_equal(dirig_check_scan(&rig, 1, "late-", 5, 7), MKV_STATUS_OK);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__crash_while_it_rebuilds__is_no_damage_again(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct dirig rig;
        dirig_init(&rig, &(struct dirig_options){40, MKV_DIRECTORY_FRAMES_MIN, 200, 1000, seed});
        dirig_open(&rig, 0);
        for (uint32_t round = 0; round < 200; round++) {
            random_change(&rig, 150);
            dirig_step(&rig);
        }
        dirig_settle(&rig);
        dirig_close(&rig);
        for (size_t unit = 2; unit < 40; unit++) {
            rig.durable[unit * MKV_UNIT_BYTES + 2000] ^= 1;
        }
        dirig_open(&rig, 0);
        while (dirig_stats(&rig).commits_total == 0) {
            dirig_step(&rig); /* until the empty root is durable */
        }
        for (uint64_t step = 0; step < seed * 4; step++) {
            dirig_step(&rig);
            rig.now_ns += 1000;
        }
        dirig_crash(&rig);
        memset(rig.events, 0, sizeof rig.events);
        dirig_open(&rig, 0);
        dirig_settle(&rig);
        check_all(&rig);
        check_undamaged(&rig);
        dirig_close(&rig);
        dirig_free(&rig);
    }
}

static void test_directory__a_unit_that_takes_no_write__is_gone_round(void **state) {
    (void)state;
    for (uint32_t unit = 2; unit < 30; unit += 3) {
        struct dirig rig;
        dirig_init(&rig, &(struct dirig_options){60, MKV_DIRECTORY_FRAMES_MIN, 200, 1000, unit});
        rig.bad_unit = unit;
        dirig_open(&rig, 0);
        for (uint32_t round = 0; round < 400; round++) {
            random_change(&rig, 150);
            dirig_step(&rig);
        }
        dirig_settle(&rig);
        assert_int_equal(rig.events[MKV_DIRECTORY_EVENT_DAMAGED], 1);
        assert_int_equal(dirig_stats(&rig).state, MKV_DIRECTORY_SERVING);
        check_all(&rig);
        dirig_close(&rig);
        dirig_free(&rig);
    }
}

static void run_with_fault(uint64_t fail_read, uint64_t fail_write) {
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){100, MKV_DIRECTORY_FRAMES_MIN, 400, 50000, 11});
    dirig_open(&rig, 0);
    rig.fail_read = fail_read;
    rig.fail_write = fail_write;
    for (uint32_t round = 0; round < 600; round++) {
        random_change(&rig, 350);
        dirig_step(&rig);
    }
    dirig_settle(&rig);
    check_all_in_the_end(&rig);
    dirig_close(&rig);
    dirig_open(&rig, 0);
    check_all_in_the_end(&rig);
    assert_int_equal(rig.events[MKV_DIRECTORY_EVENT_OFF], 0);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__any_read_fails__lists_all_in_the_end(void **state) {
    (void)state;
    for (uint64_t number = 1; number <= 60; number++) {
        run_with_fault(number, 0);
    }
}

static void test_directory__any_write_fails__lists_all_in_the_end(void **state) {
    (void)state;
    for (uint64_t number = 1; number <= 90; number++) {
        run_with_fault(0, number);
    }
}

static void test_directory__every_write_fails__is_given_up_and_says_so(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){100, MKV_DIRECTORY_FRAMES_MIN, 400, 50000, 12});
    dirig_open(&rig, 0);
    rig.fail_write = 1;
    rig.sticky = true;
    for (uint32_t round = 0; round < 600; round++) {
        random_change(&rig, 350);
        dirig_step(&rig);
    }
    dirig_settle(&rig);
    assert_int_equal(dirig_stats(&rig).state, MKV_DIRECTORY_OFF);
    assert_int_equal(rig.events[MKV_DIRECTORY_EVENT_OFF], 1);
    assert_int_equal(dirig_check_scan(&rig, 0, "", 0, 10), MKV_STATUS_UNAVAILABLE);
    dirig_close(&rig);
    rig.fail_write = 0;
    dirig_open(&rig, 0);
    dirig_settle(&rig);
    check_all(&rig);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__region_full__says_so_and_recovers(void **state) {
    (void)state;
    for (uint32_t units = MKV_DIRECTORY_UNITS_MIN; units < 24; units += 3) {
        struct dirig rig;
        dirig_init(&rig,
                   &(struct dirig_options){units, MKV_DIRECTORY_FRAMES_MIN, 1000, 50000, units});
        dirig_open(&rig, 0);
        uint8_t key[300];
        memset(key, 'n', sizeof key);
        for (uint32_t number = 0; number < 400; number++) {
            mkv_store_u64(key, sample_random_next(&rig.random));
            assert_true(dirig_put(&rig, 0, key, 290, 0));
            dirig_step(&rig);
        }
        dirig_settle(&rig);
        assert_int_equal(dirig_stats(&rig).state, MKV_DIRECTORY_FULL);
        assert_int_equal(dirig_check_scan(&rig, 0, "", 0, 10), MKV_STATUS_NO_SPACE);
        assert_true(rig.events[MKV_DIRECTORY_EVENT_FULL] >= 1);
        for (uint32_t opening = 0; opening < 3; opening++) {
            dirig_close(&rig);
            dirig_open(&rig, 0);
            dirig_settle(&rig);
            assert_int_equal(dirig_stats(&rig).state, MKV_DIRECTORY_FULL);
        }
        for (uint32_t slot = 0; slot < rig.slots; slot++) {
            if (rig.blocks[slot].live && rig.live_count > 4) {
                dirig_drop_slot(&rig, slot, slot % 2 == 0);
                dirig_step(&rig);
            }
        }
        dirig_settle(&rig);
        assert_int_equal(dirig_stats(&rig).state, MKV_DIRECTORY_SERVING);
        check_all(&rig);
        assert_true(rig.events[MKV_DIRECTORY_EVENT_ROOM_AGAIN] >= 1);
        check_undamaged(&rig);
        dirig_close(&rig);
        dirig_free(&rig);
    }
}

static void test_directory__more_told_than_its_queue_holds__catches_up(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){400, MKV_DIRECTORY_FRAMES_MIN, 2000, 1000000, 13});
    dirig_open(&rig, 0);
    dirig_settle(&rig);
    uint8_t key[MKV_KEY_BYTES_MAX];
    for (uint32_t number = 0; number < 1500; number++) {
        const uint32_t bytes = random_key(&rig, key);
        (void)dirig_put(&rig, number % 3, key, bytes, 0);
    }
    const struct mkv_directory_stats before = dirig_stats(&rig);
    assert_true(before.unlisted > 1000);
    assert_true(before.applied_sequence < rig.sequence);
    check_all(&rig);
    assert_true(rig.catch_ups >= before.unlisted);
    dirig_settle(&rig);
    assert_int_equal(dirig_stats(&rig).unlisted, 0);
    assert_true(dirig_stats(&rig).applied_sequence == rig.sequence);
    check_undamaged(&rig);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__headers_unreadable__unavailable_not_incomplete(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){400, MKV_DIRECTORY_FRAMES_MIN, 1000, 1000000, 14});
    dirig_open(&rig, 0);
    dirig_settle(&rig);
    uint8_t key[MKV_KEY_BYTES_MAX];
    for (uint32_t number = 0; number < 800; number++) {
        const uint32_t bytes = random_key(&rig, key);
        (void)dirig_put(&rig, 0, key, bytes, 0);
    }
    rig.headers_unreadable = true;
    assert_int_equal(dirig_check_scan(&rig, 0, "", 0, 10), MKV_STATUS_UNAVAILABLE);
    rig.headers_unreadable = false;
    rig.now_ns += 2000000000ull;
    check_all(&rig);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__prefixes__scan_and_count_what_begins_with_them(void **state) {
    (void)state;
    struct dirig rig;
    static uint32_t slots[DIRIG_KEYS_MAX];
    dirig_init(&rig, &(struct dirig_options){400, MKV_DIRECTORY_FRAMES_MIN, 1500, 1000000, 15});
    dirig_open(&rig, 0);
    for (uint32_t round = 0; round < 2500; round++) {
        random_change(&rig, 1000);
        dirig_step(&rig);
    }
    for (uint32_t round = 0; round < 200; round++) {
        uint8_t prefix[MKV_KEY_BYTES_MAX];
        const uint32_t length = random_key(&rig, prefix);
        const uint32_t bytes = (uint32_t)sample_random_below(&rig.random, length < 6 ? length : 6);
        const uint32_t tenant = (uint32_t)sample_random_below(&rig.random, 4);
        assert_int_equal(dirig_check_scan(&rig, tenant, prefix, bytes, 1 + round), MKV_STATUS_OK);
        const struct mkv_directory_query query = {
            .kind = MKV_DIRECTORY_COUNT, .tenant = tenant, .prefix = prefix, .prefix_bytes = bytes};
        const struct mkv_directory_result result = dirig_query(&rig, &query);
        assert_int_equal(result.status, MKV_STATUS_OK);
        assert_int_equal(result.count, dirig_expected(&rig, tenant, prefix, bytes, false, slots));
    }
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__purge__names_every_block_in_batches(void **state) {
    (void)state;
    struct dirig rig;
    static uint32_t slots[DIRIG_KEYS_MAX];
    dirig_init(&rig, &(struct dirig_options){400, MKV_DIRECTORY_FRAMES_MIN, 1500, 1000000, 16});
    dirig_open(&rig, 0);
    for (uint32_t round = 0; round < 2500; round++) {
        random_change(&rig, 1000);
        dirig_step(&rig);
    }
    const uint32_t all = dirig_expected(&rig, 1, "k", 1, true, slots);
    const uint32_t visible = dirig_expected(&rig, 1, "k", 1, false, slots);
    assert_true(all > visible && visible > 100);
    const struct mkv_directory_query query = {.kind = MKV_DIRECTORY_PURGE,
                                              .tenant = 1,
                                              .prefix = (const uint8_t *)"k",
                                              .prefix_bytes = 1,
                                              .count_max = 16};
    struct mkv_directory_result result = dirig_query(&rig, &query);
    uint32_t dropped = 0;
    for (;;) {
        assert_int_equal(result.status, MKV_STATUS_OK);
        const uint8_t *entry = (const uint8_t *)rig.memory + result.data_offset;
        for (uint32_t index = 0; index < result.batch_count; index++) {
            dirig_drop_slot(&rig, mkv_load_u32(entry), true);
            dropped++;
            entry += MKV_DIRECTORY_RESULT_ENTRY_BYTES + mkv_load_u16(entry + 12);
        }
        if (!result.more) {
            mkv_directory_job_end(rig.directory, result.job);
            break;
        }
        mkv_directory_job_continue(rig.directory, result.job);
        while (!mkv_directory_take_result(rig.directory, &result)) {
            dirig_step(&rig);
        }
    }
    assert_int_equal(dropped, all);
    assert_int_equal(result.count, visible);
    assert_int_equal(dirig_expected(&rig, 1, "k", 1, true, slots), 0);
    check_all(&rig);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__many_stale_entries__are_swept_out(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){400, MKV_DIRECTORY_FRAMES_MIN, 1500, 1000000, 17});
    dirig_open(&rig, 0);
    for (uint32_t round = 0; round < 2500; round++) {
        random_change(&rig, 1000);
        dirig_step(&rig);
    }
    dirig_settle(&rig);
    for (uint32_t slot = 0; slot < rig.slots && rig.live_count > 100; slot++) {
        if (rig.blocks[slot].live) {
            dirig_drop_slot(&rig, slot, false);
        }
    }
    dirig_settle(&rig);
    const struct mkv_directory_stats stats = dirig_stats(&rig);
    assert_true(stats.swept_total > 500);
    assert_true(stats.entries_stale < 200);
    check_all(&rig);
    dirig_close(&rig);
    dirig_free(&rig);
}

static void test_directory__close_to_half_of_all_generations_behind__lists_all_anew(void **state) {
    (void)state;
    struct dirig rig;
    dirig_init(&rig, &(struct dirig_options){100, MKV_DIRECTORY_FRAMES_MIN, 300, 1000000, 18});
    rig.generation = 0xfffffff0u; /* the low bits wrap */
    dirig_open(&rig, 0);
    for (uint32_t round = 0; round < 300; round++) {
        random_change(&rig, 200);
        dirig_step(&rig);
    }
    dirig_settle(&rig);
    dirig_close(&rig);
    rig.catch_ups = 0;
    dirig_open(&rig, 0);
    check_all(&rig);
    assert_int_equal(rig.catch_ups, 0);
    dirig_close(&rig);
    rig.generation += 1ull << 31;
    dirig_open(&rig, 0);
    check_all(&rig);
    assert_int_equal(rig.catch_ups, rig.live_count);
    dirig_close(&rig);
    dirig_free(&rig);
}

/* Figures for the record: how fast, and how many bytes an entry takes. */
static void test_directory__keys_as_engines_make_them__figures(void **state) {
    (void)state;
    struct dirig rig;
    const uint32_t count = 8000;
    dirig_init(&rig, &(struct dirig_options){2048, 1024, DIRIG_KEYS_MAX, 100000000, 19});
    dirig_open(&rig, 0);
    dirig_settle(&rig);
    rig.in_order = 100;
    char key[100];
    struct timespec begin;
    struct timespec end;
    double seconds = 0;
    for (uint32_t number = 0; number < count; number++) {
        const int bytes = snprintf(key, sizeof key, "vllm@meta-llama/Llama-3.1-70B@8@0@%016llx",
                                   (unsigned long long)sample_random_next(&rig.random));
        assert_true(dirig_put(&rig, 0, key, (uint32_t)bytes, 0));
        clock_gettime(CLOCK_MONOTONIC, &begin);
        mkv_directory_pump(rig.directory, rig.table, rig.now_ns);
        clock_gettime(CLOCK_MONOTONIC, &end);
        seconds +=
            (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
        if (number % 16 == 0) {
            dirig_step(&rig);
        }
    }
    dirig_settle(&rig);
    const struct mkv_directory_stats stats = dirig_stats(&rig);
    assert_int_equal(stats.entries, count);
    print_message("%.0f insertions/s, %.1f bytes an entry, %u levels\n", count / seconds,
                  (stats.pages_used - 2.0) * MKV_UNIT_BYTES / count, stats.levels);
    assert_true((stats.pages_used - 2.0) * MKV_UNIT_BYTES / count < 64);
    dirig_close(&rig);
    dirig_free(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory__first_opening__serves_an_empty_listing),
        cmocka_unit_test(test_directory__random_changes__lists_what_is_live),
        cmocka_unit_test(test_directory__closed_and_opened__has_all_without_a_header_read),
        cmocka_unit_test(test_directory__crashes_with_any_subset_of_writes__newest_root_is_whole),
        cmocka_unit_test(test_directory__a_unit_changes_behind_it__rebuilds_and_lists_all),
        cmocka_unit_test(test_directory__an_older_content_of_a_page__is_damage),
        cmocka_unit_test(test_directory__an_older_leaf_of_the_very_page__is_damage),
        cmocka_unit_test(test_directory__root_counts_other_nodes__is_damage),
        cmocka_unit_test(test_directory__root_counts_other_entries__is_damage_when_it_shows),
        cmocka_unit_test(test_directory__root_claims_later_generations__none_is_forgotten),
        cmocka_unit_test(test_directory__crash_while_it_rebuilds__is_no_damage_again),
        cmocka_unit_test(test_directory__a_unit_that_takes_no_write__is_gone_round),
        cmocka_unit_test(test_directory__any_read_fails__lists_all_in_the_end),
        cmocka_unit_test(test_directory__any_write_fails__lists_all_in_the_end),
        cmocka_unit_test(test_directory__every_write_fails__is_given_up_and_says_so),
        cmocka_unit_test(test_directory__region_full__says_so_and_recovers),
        cmocka_unit_test(test_directory__more_told_than_its_queue_holds__catches_up),
        cmocka_unit_test(test_directory__headers_unreadable__unavailable_not_incomplete),
        cmocka_unit_test(test_directory__prefixes__scan_and_count_what_begins_with_them),
        cmocka_unit_test(test_directory__purge__names_every_block_in_batches),
        cmocka_unit_test(test_directory__many_stale_entries__are_swept_out),
        cmocka_unit_test(test_directory__close_to_half_of_all_generations_behind__lists_all_anew),
        cmocka_unit_test(test_directory__keys_as_engines_make_them__figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
