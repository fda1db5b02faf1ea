/* SPDX-License-Identifier: Apache-2.0 */
#include "server/periodic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"

#define MS 1000000ull
#define SECOND_NS (1000u * MS)
/* Nothing here takes so long, however busy the machine is. */
#define LONG_NS (3600u * SECOND_NS)
#define WAIT_NS (100u * SECOND_NS)

/* What a thread does, and has done. */
struct work {
    atomic_uint turns; /* begun */
    atomic_uint releases;
    atomic_bool hold;       /* the turn hangs */
    atomic_bool was_let_in; /* behind that */
    atomic_bool takes_others;
    atomic_bool takes_profiler;
    char name[16];
};

static void pause_shortly(void) {
    const struct timespec pause = {.tv_nsec = (long)MS};
    (void)nanosleep(&pause, NULL);
}

static void turn(void *context, struct mkv_periodic *periodic) {
    struct work *work = context;
    sigset_t blocked;
    MKV_ASSERT(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0);
    atomic_store(&work->takes_others,
                 sigismember(&blocked, SIGTERM) == 0 || sigismember(&blocked, SIGUSR1) == 0);
    atomic_store(&work->takes_profiler, sigismember(&blocked, SIGPROF) == 0);
    atomic_fetch_add(&work->turns, 1);
    while (atomic_load(&work->hold)) {
        pause_shortly();
    }
    const bool is_let_in = mkv_periodic_enter(periodic);
    if (is_let_in) {
        MKV_ASSERT(pthread_getname_np(pthread_self(), work->name, sizeof work->name) == 0);
        mkv_periodic_leave(periodic);
    }
    atomic_store(&work->was_let_in, is_let_in);
}

static void release(void *context) {
    atomic_fetch_add(&((struct work *)context)->releases, 1);
}

static struct mkv_periodic *begin(struct work *work, uint64_t interval_ns, uint64_t end_ns) {
    struct mkv_periodic *periodic = NULL;
    struct mkv_backend_error error;
    const struct mkv_periodic_options options = {
        .name = "memkv-turns",
        .purpose = "turns",
        .interval_ns = interval_ns,
        .end_ns = end_ns,
        .turn = turn,
        .release = release,
        .context = work,
    };
    assert_true(mkv_periodic_begin(&options, &periodic, &error));
    return periodic;
}

static void await(const atomic_uint *figure, uint32_t least) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (atomic_load(figure) < least) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        pause_shortly();
    }
}

static void test_turns__interval_is_over__the_next_comes(void **state) {
    struct work work = {0};
    (void)state;
    const uint64_t begin_ns = mkv_clock_monotonic_ns();
    struct mkv_periodic *periodic = begin(&work, 20 * MS, MKV_PERIODIC_JOINED);
    await(&work.turns, 4);
    assert_true(mkv_clock_monotonic_ns() - begin_ns >= 3 * 20 * MS);
    mkv_periodic_end(periodic);
    assert_int_equal(work.releases, 1);
    assert_string_equal(work.name, "memkv-turns");
    assert_false(work.takes_others);
    assert_true(work.takes_profiler);
}

static void test_wake__in_the_interval__the_next_turn_comes_at_once(void **state) {
    struct work work = {0};
    (void)state;
    struct mkv_periodic *periodic = begin(&work, LONG_NS, MKV_PERIODIC_JOINED);
    await(&work.turns, 1);
    mkv_periodic_wake(periodic);
    await(&work.turns, 2);
    mkv_periodic_end(periodic);
    assert_int_equal(work.turns, 2);
    assert_int_equal(work.releases, 1);
}

static void test_wake__in_a_turn__another_follows_it(void **state) {
    struct work work = {.hold = true};
    (void)state;
    struct mkv_periodic *periodic = begin(&work, LONG_NS, MKV_PERIODIC_JOINED);
    await(&work.turns, 1);
    mkv_periodic_wake(periodic);
    mkv_periodic_wake(periodic);
    atomic_store(&work.hold, false);
    await(&work.turns, 2);
    mkv_periodic_end(periodic);
    assert_int_equal(work.turns, 2);
}

static void test_enter__another_is_in__waits_for_it_to_leave(void **state) {
    struct work work = {.hold = true};
    const struct timespec pause = {.tv_nsec = (long)(30 * MS)};
    (void)state;
    struct mkv_periodic *periodic = begin(&work, LONG_NS, MKV_PERIODIC_JOINED);
    await(&work.turns, 1);
    assert_true(mkv_periodic_enter(periodic));
    atomic_store(&work.hold, false);
    (void)nanosleep(&pause, NULL);
    assert_false(atomic_load(&work.was_let_in));
    mkv_periodic_leave(periodic);
    mkv_periodic_end(periodic);
}

static void *let_go_soon(void *context) {
    const struct timespec pause = {.tv_nsec = (long)(30 * MS)};
    (void)nanosleep(&pause, NULL);
    atomic_store(&((struct work *)context)->hold, false);
    return NULL;
}

static void test_end__a_turn_is_under_way__waits_for_it(void **state) {
    struct work work = {.hold = true};
    pthread_t thread;
    (void)state;
    struct mkv_periodic *periodic = begin(&work, LONG_NS, MKV_PERIODIC_JOINED);
    await(&work.turns, 1);
    assert_int_equal(pthread_create(&thread, NULL, let_go_soon, &work), 0);
    mkv_periodic_end(periodic);
    assert_int_equal(work.releases, 1);
    assert_false(work.hold);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* What the thread has stays its own until it comes back, and then it touches nothing of others. */
static void test_end__a_turn_hangs__is_left_and_lets_go_of_what_it_has(void **state) {
    struct work work = {.hold = true, .was_let_in = true};
    (void)state;
    struct mkv_periodic *periodic = begin(&work, LONG_NS, 10 * MS);
    await(&work.turns, 1);
    mkv_periodic_end(periodic);
    assert_int_equal(work.releases, 0);
    atomic_store(&work.hold, false);
    await(&work.releases, 1);
    assert_false(work.was_let_in);
    assert_int_equal(work.turns, 1);
}

static void test_end__none_was_begun__nothing_happens(void **state) {
    (void)state;
    mkv_periodic_end(NULL);
}

static void test_begin__no_thread_to_be_had__says_so_and_keeps_nothing(void **state) {
    struct work work = {0};
    struct mkv_periodic *periodic = NULL;
    struct mkv_backend_error error;
    const struct mkv_periodic_options options = {
        .name = "memkv-turns",
        .purpose = "turns",
        .interval_ns = LONG_NS,
        .turn = turn,
        .release = release,
        .context = &work,
    };
    pthread_attr_t before;
    pthread_attr_t huge;
    (void)state;
    assert_int_equal(pthread_getattr_default_np(&before), 0);
    assert_int_equal(pthread_attr_init(&huge), 0);
    assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 60), 0);
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    assert_false(mkv_periodic_begin(&options, &periodic, &error));
    assert_int_equal(pthread_setattr_default_np(&before), 0);
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
    assert_non_null(strstr(error.text, "no thread for turns: "));
    assert_non_null(strstr(error.text, "Raise the limit of threads"));
    assert_null(periodic);
    assert_int_equal(work.turns, 0);
    assert_int_equal(work.releases, 0);
    pthread_attr_destroy(&before);
    pthread_attr_destroy(&huge);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns__interval_is_over__the_next_comes),
        cmocka_unit_test(test_wake__in_the_interval__the_next_turn_comes_at_once),
        cmocka_unit_test(test_wake__in_a_turn__another_follows_it),
        cmocka_unit_test(test_enter__another_is_in__waits_for_it_to_leave),
        cmocka_unit_test(test_end__a_turn_is_under_way__waits_for_it),
        cmocka_unit_test(test_end__a_turn_hangs__is_left_and_lets_go_of_what_it_has),
        cmocka_unit_test(test_end__none_was_begun__nothing_happens),
        cmocka_unit_test(test_begin__no_thread_to_be_had__says_so_and_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
