/* SPDX-License-Identifier: Apache-2.0 */
#include "server/signals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

struct seen {
    sem_t any;
    atomic_int last;
};

static void on_signal(void *context, int number) {
    struct seen *seen = context;
    atomic_store(&seen->last, number);
    sem_post(&seen->any);
}

static void test_signals__each_of_them__reaches_the_callback(void **state) {
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGTERM};
    static struct seen seen;
    struct mkv_signals *signals;
    struct mkv_backend_error error;
    assert_int_equal(sem_init(&seen.any, 0, 0), 0);
    assert_true(mkv_signals_begin(on_signal, &seen, &signals, &error));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(kill(getpid(), numbers[i]), 0);
        assert_int_equal(sem_wait(&seen.any), 0);
        assert_int_equal(atomic_load(&seen.last), numbers[i]);
    }
    /* Ignored: the process goes on. */
    assert_int_equal(raise(SIGPIPE), 0);
    mkv_signals_end(signals);
    sem_destroy(&seen.any);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals__each_of_them__reaches_the_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
