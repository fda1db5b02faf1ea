/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a flush waits for further puts, on a drive whose operations take their time: writes go
 * one after the other, a flush takes a time of its own beside them.
 */
#include "core/volume_state.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define DEPTH 8u
#define BYTES 100u
#define US 1000ull
#define MS 1000000ull

/* Times in ns. A write is under way for write_ns, and comes back base_ns after that. */
struct times {
    uint64_t write_ns;
    uint64_t base_ns;
    uint64_t flush_ns;
};

struct timed {
    struct rig *rig;
    struct times times;
    uint64_t due_ns[RIG_QUEUE_MAX]; /* of the operations in the rig's queue */
    uint32_t due_count;
    uint64_t free_ns; /* when the drive is done with the writes that it has */
    uint32_t put_count;
    uint32_t done_count;
    uint32_t depth; /* puts that are kept under way */
    uint32_t under_way;
    uint64_t longest_ns; /* from the end of a data write to the answer */
};

static void timed_create(struct timed *timed, struct times times) {
    *timed = (struct timed){.times = times, .depth = DEPTH};
    timed->rig = rig_create_raw(256, 16 * MKV_PAGE_SLOTS, 96);
    assert_int_equal(rig_admin(timed->rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(timed->rig);
    assert_int_equal(rig_admin(timed->rig, MKV_ADMIN_OPEN), MKV_OK);
    rig_settle(timed->rig);
    assert_int_equal(rig_put(timed->rig, "first", BYTES, 1, 0), MKV_STATUS_OK); /* its extent */
    timed->rig->answer_count = 0;
}

/* Says of what was handed out since when it comes back. */
static void set_due(struct timed *timed) {
    struct rig *rig = timed->rig;
    for (; timed->due_count < rig->queue_count; timed->due_count++) {
        const struct mkv_effect *effect = &rig->queue[timed->due_count];
        uint64_t due_ns = rig->now_ns + timed->times.flush_ns;
        if (effect->kind != MKV_EFFECT_DRIVE_FLUSH) {
            const bool data = effect->drive.share == MKV_DRIVE_FOR_STORE;
            timed->free_ns = mkv_max_u64(timed->free_ns, rig->now_ns) +
                             (data ? timed->times.write_ns : timed->times.write_ns / 100);
            due_ns = timed->free_ns + timed->times.base_ns;
        }
        timed->due_ns[timed->due_count] = due_ns;
    }
}

static void take_answers(struct timed *timed) {
    struct rig *rig = timed->rig;
    for (uint32_t index = 0; index < rig->answer_count; index++) {
        const struct mkv_message answer = rig->answers[index];
        if (answer.kind == MKV_MESSAGE_PUT_READY) {
            rig_put_write(rig, answer.volume_op, answer.volume_op.index % RIG_SLABS, BYTES, 1);
        } else if (answer.kind == MKV_MESSAGE_PUT_DONE) {
            assert_int_equal(answer.status, MKV_STATUS_OK);
            timed->longest_ns = mkv_max_u64(timed->longest_ns, answer.flush_ns);
            timed->done_count++;
            timed->under_way--;
        }
        set_due(timed);
    }
    rig->answer_count = 0;
}

static void begin_puts(struct timed *timed) {
    while (timed->under_way < timed->depth) {
        char key[32];
        (void)snprintf(key, sizeof key, "block-%u", timed->put_count++);
        timed->under_way++;
        rig_put_begin(timed->rig, key, BYTES, 1, 0);
        set_due(timed);
        take_answers(timed);
    }
}

/* The next thing that happens: an operation comes back, or the volume's timer is due. */
static void go_on(struct timed *timed) {
    struct rig *rig = timed->rig;
    uint32_t first = 0;
    assert_true(timed->due_count > 0);
    for (uint32_t index = 1; index < timed->due_count; index++) {
        first = timed->due_ns[index] < timed->due_ns[first] ? index : first;
    }
    const uint64_t timer_ns = mkv_volume_timer_ns(rig->volume);
    if (timer_ns < timed->due_ns[first]) {
        rig_tick(rig, timer_ns > rig->now_ns ? timer_ns - rig->now_ns : 0);
    } else {
        rig->now_ns = mkv_max_u64(rig->now_ns, timed->due_ns[first]);
        timed->due_count--;
        memmove(&timed->due_ns[first], &timed->due_ns[first + 1],
                (timed->due_count - first) * sizeof timed->due_ns[0]);
        rig_complete(rig, first, MKV_IO_OK);
    }
    set_due(timed);
    take_answers(timed);
}

struct outcome {
    uint64_t put_ns; /* of the drive's time, for a put */
    double flushes;  /* for a put */
};

static struct outcome run(struct timed *timed, uint32_t puts) {
    const uint32_t until = timed->done_count + puts;
    const uint64_t begun_ns = timed->rig->now_ns;
    const uint64_t flushes = rig_stats(timed->rig).flushes_total;
    timed->longest_ns = 0;
    while (timed->done_count < until) {
        begin_puts(timed);
        go_on(timed);
    }
    return (struct outcome){
        .put_ns = (timed->rig->now_ns - begun_ns) / puts,
        .flushes = (double)(rig_stats(timed->rig).flushes_total - flushes) / puts,
    };
}

static void test_flush__cheap__drive_is_kept_busy(void **state) {
    (void)state;
    struct timed timed;
    timed_create(&timed, (struct times){600 * US, 200 * US, 100 * US});
    (void)run(&timed, 32);
    const struct outcome outcome = run(&timed, 200);
    /* What the drive takes for a put, and little more. */
    assert_in_range(outcome.put_ns, 600 * US, 675 * US);
    rig_destroy(timed.rig);
}

static void test_flush__dear__half_of_the_puts_share_it(void **state) {
    (void)state;
    struct timed timed;
    timed_create(&timed, (struct times){40 * US, 40 * US, 5 * MS});
    (void)run(&timed, 32);
    const struct outcome outcome = run(&timed, 200);
    assert_true(outcome.flushes < 0.27); /* two for eight puts */
    assert_in_range(outcome.put_ns, 2 * 5 * MS / DEPTH, 5500 * US / 4);
    rig_destroy(timed.rig);
}

static void test_flush__becomes_dear_and_cheap_again__follows(void **state) {
    (void)state;
    struct timed timed;
    timed_create(&timed, (struct times){40 * US, 40 * US, 20 * US});
    (void)run(&timed, 32);
    assert_in_range(run(&timed, 100).put_ns, 40 * US, 60 * US);
    timed.times.flush_ns = 5 * MS;
    (void)run(&timed, 64);
    assert_true(run(&timed, 100).flushes < 0.27);
    timed.times.flush_ns = 20 * US;
    (void)run(&timed, 200);
    assert_in_range(run(&timed, 100).put_ns, 40 * US, 60 * US);
    rig_destroy(timed.rig);
}

static void test_flush__put_is_alone__waits_for_nothing(void **state) {
    (void)state;
    struct timed timed;
    timed_create(&timed, (struct times){600 * US, 200 * US, 5 * MS});
    timed.depth = 1;
    (void)run(&timed, 8);
    const uint64_t journal_ns = 2 * 600 * US / 100 + 200 * US;
    assert_in_range(timed.longest_ns, 2 * 5 * MS + journal_ns, 2 * 5 * MS + journal_ns + 50 * US);
    rig_destroy(timed.rig);
}

/* Two puts under way; the data of the first is durable, its record is written, and the write of the
 * second has not come back. The flush that makes the record durable is wanted now. */
static void begin_two(struct timed *timed, uint64_t second_ns) {
    struct rig *rig = timed->rig;
    timed->depth = 1;
    begin_puts(timed);
    timed->times.write_ns = second_ns;
    timed->depth = 2;
    while (rig_in_flight(rig, MKV_EFFECT_DRIVE_FLUSH) == 0) {
        go_on(timed);
    }
    begin_puts(timed);
    timed->free_ns = rig->now_ns; /* what comes after it passes it by */
    timed->times.write_ns = 40 * US;
    const uint64_t flushes = rig_stats(rig).flushes_total;
    while (rig_stats(rig).flushes_total == flushes ||
           rig_in_flight(rig, MKV_EFFECT_DRIVE_WRITE) > 1) {
        go_on(timed);
    }
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_WRITE), 1);
}

static void test_flush__write_hangs__waits_as_long_as_a_flush_takes(void **state) {
    (void)state;
    struct timed timed;
    timed_create(&timed, (struct times){40 * US, 40 * US, 5 * MS});
    (void)run(&timed, 200);
    timed.depth = 0;
    while (timed.under_way > 0) {
        go_on(&timed);
    }
    begin_two(&timed, 3000 * MS);
    struct rig *rig = timed.rig;
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_FLUSH), 0);
    const uint64_t timer_ns = mkv_volume_timer_ns(rig->volume);
    assert_in_range(timer_ns, rig->now_ns + 4500 * US, rig->now_ns + 5 * MS);
    rig_tick(rig, timer_ns - rig->now_ns - 2 * US);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_FLUSH), 0);
    rig_tick(rig, 2 * US);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_FLUSH), 1);
    assert_int_equal(mkv_volume_timer_ns(rig->volume), UINT64_MAX);
    rig_destroy(timed.rig);
}

static void test_flush__takes_a_second__waits_no_longer_than_its_bound(void **state) {
    (void)state;
    struct timed timed;
    timed_create(&timed, (struct times){40 * US, 40 * US, 1000 * MS});
    (void)run(&timed, 200);
    timed.depth = 0;
    while (timed.under_way > 0) {
        go_on(&timed);
    }
    begin_two(&timed, 3000 * MS);
    struct rig *rig = timed.rig;
    assert_in_range(mkv_volume_timer_ns(rig->volume), rig->now_ns + 19 * MS, rig->now_ns + 20 * MS);
    rig_tick(rig, 20 * MS);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_FLUSH), 1);
    rig_destroy(timed.rig);
}

static void test_flush__writes_are_slow__does_not_wait_at_all(void **state) {
    (void)state;
    struct timed timed;
    timed_create(&timed, (struct times){10 * MS, 40 * US, 1 * MS});
    (void)run(&timed, 200);
    timed.depth = 0;
    while (timed.under_way > 0) {
        go_on(&timed);
    }
    begin_two(&timed, 10 * MS);
    assert_int_equal(rig_in_flight(timed.rig, MKV_EFFECT_DRIVE_FLUSH), 1);
    rig_destroy(timed.rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flush__cheap__drive_is_kept_busy),
        cmocka_unit_test(test_flush__dear__half_of_the_puts_share_it),
        cmocka_unit_test(test_flush__becomes_dear_and_cheap_again__follows),
        cmocka_unit_test(test_flush__put_is_alone__waits_for_nothing),
        cmocka_unit_test(test_flush__write_hangs__waits_as_long_as_a_flush_takes),
        cmocka_unit_test(test_flush__takes_a_second__waits_no_longer_than_its_bound),
        cmocka_unit_test(test_flush__writes_are_slow__does_not_wait_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
