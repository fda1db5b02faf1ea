/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/telemetry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3u
#define EVENTS_OF_A_THREAD 3000u

/* What the lines of a logging processor come to. */
struct taker {
    sem_t *gate; /* waited for before each line; NULL: none */
    atomic_uint lines;
    atomic_uint warnings;
    char warning[256];
    uint64_t last_serial; /* of the events, in the order in which they came */
    bool in_order;
};

static bool wants(void *context, enum mkv_telemetry_log_level level) {
    (void)context;
    (void)level;
    return true;
}

static void write_line(void *context, enum mkv_telemetry_log_level level, const char *line) {
    struct taker *taker = context;
    (void)level;
    if (taker->gate != NULL) {
        while (sem_wait(taker->gate) != 0) {
        }
        sem_post(taker->gate);
    }
    const uint64_t serial =
        strtoull(strstr(line, "session=req-") + strlen("session=req-"), NULL, 10);
    taker->in_order = taker->in_order && serial > taker->last_serial;
    taker->last_serial = serial;
    atomic_fetch_add(&taker->lines, 1);
}

static void warn(void *context, const char *text) {
    struct taker *taker = context;
    snprintf(taker->warning, sizeof taker->warning, "%s", text);
    atomic_fetch_add(&taker->warnings, 1);
}

static struct mkv_telemetry *create(struct taker *taker, uint32_t queue_max,
                                    const struct mkv_telemetry_processor_spec *specs,
                                    uint32_t count) {
    taker->in_order = true;
    const struct mkv_telemetry_options options = {
        .queue_max = queue_max,
        .processor_count = count,
        .processors = specs,
        .log = {.context = taker, .wants = wants, .write = write_line},
        .warn = warn,
        .context = taker,
    };
    return mkv_telemetry_create(&options);
}

static bool tell(struct mkv_telemetry *telemetry, uint64_t serial) {
    uint64_t ticket;
    struct mkv_telemetry_event *event = mkv_telemetry_reserve(telemetry, &ticket);
    if (event == NULL) {
        return false;
    }
    event->name = "store";
    event->serial = serial;
    mkv_telemetry_publish(telemetry, ticket);
    return true;
}

static void test_destroy__events_queued__all_were_given(void **state) {
    (void)state;
    struct taker taker = {0};
    const struct mkv_telemetry_processor_spec specs[2] = {{0}, {0}};
    struct mkv_telemetry *telemetry = create(&taker, 1000, specs, 2);
    for (uint64_t i = 1; i <= 500; i++) {
        assert_true(tell(telemetry, i));
    }
    uint64_t queued;
    uint64_t dropped;
    mkv_telemetry_counts(telemetry, &queued, &dropped);
    assert_int_equal(queued, 500);
    assert_int_equal(dropped, 0);
    mkv_telemetry_destroy(telemetry);
    assert_int_equal(atomic_load(&taker.lines), 2 * 500);
    assert_int_equal(atomic_load(&taker.warnings), 0);
}

/* The thread is held up: exactly queue_max events wait besides the one it is at, the next are
 * dropped and counted, and one warning says how many. */
static void test_reserve__queue_full__drops_the_newest_and_warns_once(void **state) {
    (void)state;
    sem_t gate;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    struct taker taker = {.gate = &gate};
    const struct mkv_telemetry_processor_spec spec = {0};
    struct mkv_telemetry *telemetry = create(&taker, 100, &spec, 1);
    uint64_t told = 0;
    while (told < 100 && tell(telemetry, told + 1)) {
        told++;
    }
    assert_int_equal(told, 100);
    for (uint32_t i = 0; i < 40; i++) {
        assert_false(tell(telemetry, 1000 + i));
    }
    uint64_t queued;
    uint64_t dropped;
    mkv_telemetry_counts(telemetry, &queued, &dropped);
    assert_int_equal(queued, 100);
    assert_int_equal(dropped, 40);
    sem_post(&gate);
    mkv_telemetry_destroy(telemetry);
    assert_int_equal(atomic_load(&taker.lines), 100);
    assert_true(taker.in_order);
    assert_int_equal(taker.last_serial, 100);
    assert_int_equal(atomic_load(&taker.warnings), 1);
    assert_non_null(strstr(taker.warning, "40 telemetry events dropped"));
    sem_destroy(&gate);
}

static void write_slowly(void *context, enum mkv_telemetry_log_level level, const char *line) {
    (void)context;
    (void)level;
    (void)line;
    usleep(1000);
}

/* The queue is full all the time, and yet the thread gets to what else it has to do. */
static void test_reserve__queue_full_for_long__warns_meanwhile(void **state) {
    (void)state;
    struct taker taker = {0};
    const struct mkv_telemetry_processor_spec spec = {0};
    const struct mkv_telemetry_options options = {
        .queue_max = 100,
        .processor_count = 1,
        .processors = &spec,
        .log = {.context = &taker, .wants = wants, .write = write_slowly},
        .warn = warn,
        .context = &taker,
    };
    struct mkv_telemetry *telemetry = mkv_telemetry_create(&options);
    assert_non_null(telemetry);
    const time_t deadline = time(NULL) + 20;
    uint64_t serial = 0;
    while (atomic_load(&taker.warnings) == 0 && time(NULL) < deadline) {
        while (tell(telemetry, serial + 1)) {
            serial++;
        }
        usleep(100);
    }
    const unsigned warnings = atomic_load(&taker.warnings);
    mkv_telemetry_destroy(telemetry);
    assert_true(warnings > 0);
}

static void test_processors__one_fails__the_other_gets_all(void **state) {
    (void)state;
    struct taker taker = {0};
    struct mkv_telemetry_processor_spec specs[2] = {{.type = MKV_TELEMETRY_JSONL},
                                                    {.type = MKV_TELEMETRY_LOGGING}};
    snprintf(specs[0].path, sizeof specs[0].path, "/nowhere/events");
    struct mkv_telemetry *telemetry = create(&taker, 1000, specs, 2);
    for (uint64_t i = 1; i <= 500; i++) {
        assert_true(tell(telemetry, i));
        if (i % 100 == 0) {
            usleep(50000); /* several rounds of the thread */
        }
    }
    mkv_telemetry_reopen(telemetry);
    mkv_telemetry_destroy(telemetry);
    assert_int_equal(atomic_load(&taker.lines), 500);
    assert_true(taker.in_order);
    assert_true(atomic_load(&taker.warnings) >= 1);
    assert_non_null(strstr(taker.warning, "jsonl /nowhere/events: No such file"));
}

struct teller {
    struct mkv_telemetry *telemetry;
    uint64_t told;
};

static void *tell_many(void *context) {
    struct teller *teller = context;
    for (uint64_t i = 1; i <= EVENTS_OF_A_THREAD; i++) {
        teller->told += tell(teller->telemetry, i);
    }
    return NULL;
}

static void test_threads__many_events__each_is_given_or_dropped(void **state) {
    (void)state;
    struct taker taker = {0};
    const struct mkv_telemetry_processor_spec spec = {0};
    struct mkv_telemetry *telemetry = create(&taker, 256, &spec, 1);
    struct teller tellers[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        tellers[i] = (struct teller){.telemetry = telemetry};
        assert_int_equal(pthread_create(&threads[i], NULL, tell_many, &tellers[i]), 0);
    }
    uint64_t told = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        told += tellers[i].told;
    }
    uint64_t queued;
    uint64_t dropped;
    mkv_telemetry_counts(telemetry, &queued, &dropped);
    assert_int_equal(queued, told);
    assert_int_equal(queued + dropped, THREADS * EVENTS_OF_A_THREAD);
    mkv_telemetry_destroy(telemetry);
    assert_int_equal(atomic_load(&taker.lines), told);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_destroy__events_queued__all_were_given),
        cmocka_unit_test(test_reserve__queue_full__drops_the_newest_and_warns_once),
        cmocka_unit_test(test_reserve__queue_full_for_long__warns_meanwhile),
        cmocka_unit_test(test_processors__one_fails__the_other_gets_all),
        cmocka_unit_test(test_threads__many_events__each_is_given_or_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
