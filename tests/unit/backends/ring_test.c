/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/ring.h"
#include "tests/unit/backends/temporary.h"

#define ENTRIES 8u
#define WAIT_NS 5000000000ull
#define MILLISECOND_NS 1000000ull

struct probe {
    struct mkv_ring_completion completion;
    struct mkv_ring *ring;
    uint32_t count;
    uint32_t more_count; /* callbacks that announced another one */
    int32_t result;
    uint32_t resubmit; /* callbacks that submit again */
};

static void probe_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct probe *probe = (struct probe *)completion;
    probe->count++;
    probe->more_count += (flags & IORING_CQE_F_MORE) != 0 ? 1 : 0;
    probe->result = result;
    if (probe->resubmit > 0) {
        probe->resubmit--;
        io_uring_prep_nop(mkv_ring_sqe(probe->ring, completion));
    }
}

static struct probe probe_make(struct mkv_ring *ring) {
    return (struct probe){.completion = {.done = probe_done}, .ring = ring, .result = INT32_MIN};
}

static void count_woken(void *context) {
    (*(uint32_t *)context)++;
}

struct fixture {
    struct mkv_ring *ring;
    uint32_t woken;
};

static int set_up(void **state) {
    struct mkv_backend_error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    struct mkv_ring_options options = {
        .entries = ENTRIES,
        .completions = 4096,
        .files_max = 2,
        .buffers_max = 2,
        .woken = count_woken,
        .woken_context = &fixture->woken,
    };
    assert_true(mkv_ring_create(&options, &fixture->ring, &error));
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    mkv_ring_destroy(fixture->ring);
    free(fixture);
    return 0;
}

/* ---- submitting and dispatching ------------------------------------------------------------- */

static void test_ring__nop__calls_back_in_wait_only(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = probe_make(fixture->ring);
    io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
    mkv_ring_submit(fixture->ring);
    assert_int_equal(probe.count, 0);
    assert_int_equal(mkv_ring_wait(fixture->ring, WAIT_NS), 1);
    assert_int_equal(probe.count, 1);
    assert_int_equal(probe.result, 0);
}

static void test_ring__hurried__is_handed_over_once(void **state) {
    struct fixture *fixture = *state;
    const struct mkv_ring_counters *counters = mkv_ring_counters(fixture->ring);
    struct probe probe = probe_make(fixture->ring);
    mkv_ring_submit(fixture->ring);
    const uint64_t before = counters->submitted;
    io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
    mkv_ring_submit_hurried(fixture->ring); /* nobody is in a hurry */
    assert_int_equal(counters->submitted, before);
    mkv_ring_hurry(fixture->ring);
    assert_int_equal(counters->submitted, before);
    mkv_ring_submit_hurried(fixture->ring);
    assert_int_equal(counters->submitted, before + 1);
    io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
    mkv_ring_submit_hurried(fixture->ring); /* that is over */
    assert_int_equal(counters->submitted, before + 1);
    mkv_ring_hurry(fixture->ring);
    while (probe.count < 2) {
        assert_true(mkv_ring_wait(fixture->ring, WAIT_NS) > 0);
    }
    io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
    mkv_ring_submit_hurried(fixture->ring); /* a wait ends it, too */
    assert_int_equal(counters->submitted, before + 2);
    assert_int_equal(mkv_ring_wait(fixture->ring, WAIT_NS), 1);
}

/* The two are done at once; the callback of the first takes long. */
struct slow_probe {
    struct probe probe;
    uint64_t began_ns;
};

static void slow_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct slow_probe *slow = (struct slow_probe *)completion;
    slow->began_ns = mkv_clock_monotonic_ns();
    usleep(2000);
    probe_done(completion, result, flags);
}

static void test_ring__callback_takes_long__is_not_in_the_next_ones_time(void **state) {
    struct fixture *fixture = *state;
    struct slow_probe slow[2] = {{.probe = probe_make(fixture->ring)},
                                 {.probe = probe_make(fixture->ring)}};
    for (uint32_t i = 0; i < 2; i++) {
        slow[i].probe.completion.done = slow_done;
        io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &slow[i].probe.completion));
    }
    usleep(2000);
    const uint64_t wait_ns = mkv_clock_monotonic_ns();
    while (slow[0].probe.count + slow[1].probe.count < 2) {
        assert_true(mkv_ring_wait(fixture->ring, WAIT_NS) > 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        const struct mkv_ring_completion *completion = &slow[i].probe.completion;
        assert_true(completion->submitted_ns >= wait_ns); /* not when it was prepared */
        assert_true(completion->arrived_ns >= completion->submitted_ns);
        assert_true(completion->arrived_ns <= slow[0].began_ns);
    }
}

/* The first of more entries than the queue has places is handed over while others are prepared. */
static void test_ring__entries_submitted_to_make_room__each_has_its_time(void **state) {
    struct fixture *fixture = *state;
    struct probe probes[2 * ENTRIES];
    for (uint32_t i = 0; i < 2 * ENTRIES; i++) {
        probes[i] = probe_make(fixture->ring);
        io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probes[i].completion));
    }
    const uint64_t wait_ns = mkv_clock_monotonic_ns();
    while (probes[2 * ENTRIES - 1].count == 0) {
        assert_true(mkv_ring_wait(fixture->ring, WAIT_NS) > 0);
    }
    assert_true(probes[0].completion.submitted_ns < wait_ns);
    assert_true(probes[0].completion.submitted_ns > 0);
    assert_true(probes[2 * ENTRIES - 1].completion.submitted_ns >= wait_ns);
}

static void test_ring__more_entries_than_the_queue__all_complete(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = probe_make(fixture->ring);
    uint32_t total = 20 * ENTRIES;
    for (uint32_t i = 0; i < total; i++) {
        io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
    }
    while (probe.count < total) {
        assert_true(mkv_ring_wait(fixture->ring, WAIT_NS) > 0);
    }
    assert_int_equal(probe.count, total);
    const struct mkv_ring_counters *counters = mkv_ring_counters(fixture->ring);
    assert_int_equal(counters->completed, total);
    assert_int_equal(counters->submitted, total + 1); /* and the read that wakes */
}

static void test_ring__many_completions__one_wait_is_bounded(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = probe_make(fixture->ring);
    uint32_t total = MKV_RING_DISPATCH_MAX + 100;
    for (uint32_t i = 0; i < total; i++) {
        io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
    }
    assert_int_equal(mkv_ring_wait(fixture->ring, 0), MKV_RING_DISPATCH_MAX);
    assert_int_equal(mkv_ring_wait(fixture->ring, WAIT_NS), 100);
    assert_int_equal(probe.count, total);
}

/* More completions than the kernel's queue has places: none is lost. */
static void test_ring__completion_queue_full__nothing_is_lost(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_ring *ring;
    struct mkv_ring_options options = {.entries = 8, .completions = 8};
    assert_true(mkv_ring_create(&options, &ring, &error));
    struct probe probe = probe_make(ring);
    for (uint32_t i = 0; i < 100; i++) {
        io_uring_prep_nop(mkv_ring_sqe(ring, &probe.completion));
    }
    for (uint32_t i = 0; i < 100 && probe.count < 100; i++) {
        mkv_ring_wait(ring, WAIT_NS);
    }
    assert_int_equal(probe.count, 100);
    mkv_ring_destroy(ring);
}

static void test_ring__callback_submits__goes_on(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = probe_make(fixture->ring);
    probe.resubmit = 30;
    io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
    while (probe.count < 31) {
        assert_true(mkv_ring_wait(fixture->ring, WAIT_NS) > 0);
    }
    assert_int_equal(mkv_ring_wait(fixture->ring, 0), 0);
}

/* Takes all that its round lets it, and counts that. */
static void costly_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct probe *probe = (struct probe *)completion;
    (void)result;
    (void)flags;
    while (mkv_ring_take_costly(probe->ring)) {
        probe->count++;
    }
}

static void test_ring__costly_callbacks__each_round_has_so_many(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = probe_make(fixture->ring);
    probe.completion.done = costly_done;
    for (uint32_t round = 1; round <= 2; round++) {
        io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
        io_uring_prep_nop(mkv_ring_sqe(fixture->ring, &probe.completion));
        assert_int_equal(mkv_ring_wait(fixture->ring, WAIT_NS), 2);
        assert_int_equal(probe.count, round * MKV_RING_COSTLY_MAX);
    }
}

static void test_ring__no_owner__completion_is_dropped(void **state) {
    struct fixture *fixture = *state;
    io_uring_prep_nop(mkv_ring_sqe(fixture->ring, NULL));
    assert_int_equal(mkv_ring_wait(fixture->ring, WAIT_NS), 1);
}

static void test_ring__multishot__owner_sees_more_until_the_last(void **state) {
    struct fixture *fixture = *state;
    struct probe poll_probe = probe_make(fixture->ring);
    struct probe cancel_probe = probe_make(fixture->ring);
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_true(fd >= 0);
    struct io_uring_sqe *sqe = mkv_ring_sqe(fixture->ring, &poll_probe.completion);
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    for (uint32_t i = 1; i <= 3; i++) {
        mkv_ring_submit(fixture->ring);
        assert_int_equal(eventfd_write(fd, 1), 0);
        while (poll_probe.count < i) {
            assert_true(mkv_ring_wait(fixture->ring, WAIT_NS) > 0);
        }
    }
    assert_int_equal(poll_probe.more_count, 3);
    sqe = mkv_ring_sqe(fixture->ring, &cancel_probe.completion);
    io_uring_prep_cancel(sqe, &poll_probe.completion, 0);
    while (poll_probe.count < 4 || cancel_probe.count < 1) {
        assert_true(mkv_ring_wait(fixture->ring, WAIT_NS) > 0);
    }
    assert_int_equal(poll_probe.more_count, 3);
    assert_int_equal(poll_probe.result, -ECANCELED);
    close(fd);
}

/* ---- waiting and waking --------------------------------------------------------------------- */

static void test_ring__nothing_to_do__wait_ends_at_its_timeout(void **state) {
    struct fixture *fixture = *state;
    uint64_t before_ns = mkv_clock_monotonic_ns();
    assert_int_equal(mkv_ring_wait(fixture->ring, 20 * MILLISECOND_NS), 0);
    uint64_t waited_ns = mkv_clock_monotonic_ns() - before_ns;
    assert_in_range(waited_ns, 19 * MILLISECOND_NS, WAIT_NS);
    before_ns = mkv_clock_monotonic_ns();
    assert_int_equal(mkv_ring_wait(fixture->ring, 0), 0);
    assert_true(mkv_clock_monotonic_ns() - before_ns < WAIT_NS);
}

/* Whoever polls something else comes by again and again. */
static void test_ring__polled_with_nothing_to_do__is_no_system_call(void **state) {
    struct mkv_ring *ring = ((struct fixture *)*state)->ring;
    mkv_ring_wait(ring, 0); /* the read of what wakes it leaves */
    const uint64_t enters = mkv_ring_counters(ring)->enters;
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(mkv_ring_wait(ring, 0), 0);
    }
    assert_int_equal(mkv_ring_counters(ring)->enters, enters);
    /* What comes is seen all the same. */
    mkv_ring_wake(ring);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + 5000000000u;
    while (mkv_ring_wait(ring, 0) == 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
    }
}

static void test_ring__woken_before_the_wait__wait_ends(void **state) {
    struct fixture *fixture = *state;
    mkv_ring_wake(fixture->ring);
    mkv_ring_wake(fixture->ring);
    assert_int_equal(mkv_ring_wait(fixture->ring, MKV_RING_WAIT_FOREVER), 1);
    assert_int_equal(fixture->woken, 1);
    assert_int_equal(mkv_ring_wait(fixture->ring, 0), 0);
    mkv_ring_wake(fixture->ring);
    assert_int_equal(mkv_ring_wait(fixture->ring, MKV_RING_WAIT_FOREVER), 1);
    assert_int_equal(fixture->woken, 2);
    assert_int_equal(mkv_ring_counters(fixture->ring)->wakes, 2);
}

static void *wake_soon(void *context) {
    struct timespec pause = {0, 10 * (long)MILLISECOND_NS};
    nanosleep(&pause, NULL);
    mkv_ring_wake(context);
    return NULL;
}

static void test_ring__woken_by_another_thread__wait_ends(void **state) {
    struct fixture *fixture = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_soon, fixture->ring), 0);
    assert_int_equal(mkv_ring_wait(fixture->ring, MKV_RING_WAIT_FOREVER), 1);
    assert_int_equal(fixture->woken, 1);
    pthread_join(thread, NULL);
}

static void *use_ring(void *context) {
    struct mkv_ring *ring = context;
    struct probe probe = probe_make(ring);
    io_uring_prep_nop(mkv_ring_sqe(ring, &probe.completion));
    mkv_ring_wait(ring, WAIT_NS);
    mkv_ring_destroy(ring);
    return (void *)(uintptr_t)probe.count;
}

static void test_ring__set_up_by_another_thread__belongs_to_its_user(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_ring *ring;
    struct mkv_ring_options options = {.files_max = 1};
    assert_true(mkv_ring_create(&options, &ring, &error));
    assert_int_equal(mkv_ring_file_add(ring, STDERR_FILENO), 0);
    pthread_t thread;
    void *count = NULL;
    assert_int_equal(pthread_create(&thread, NULL, use_ring, ring), 0);
    pthread_join(thread, &count);
    assert_int_equal((uintptr_t)count, 1);
}

/* ---- registering ---------------------------------------------------------------------------- */

static void test_ring__files__places_are_given_and_taken_back(void **state) {
    struct fixture *fixture = *state;
    int fd = eventfd(5, EFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(mkv_ring_file_add(fixture->ring, STDERR_FILENO), 0);
    int32_t place = mkv_ring_file_add(fixture->ring, fd);
    assert_int_equal(place, 1);
    assert_int_equal(mkv_ring_file_add(fixture->ring, fd), MKV_RING_NOT_REGISTERED);
    /* The ring holds the file open by itself. */
    close(fd);
    uint64_t value = 0;
    struct probe probe = probe_make(fixture->ring);
    struct io_uring_sqe *sqe = mkv_ring_sqe(fixture->ring, &probe.completion);
    io_uring_prep_read(sqe, place, &value, sizeof value, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    assert_int_equal(mkv_ring_wait(fixture->ring, WAIT_NS), 1);
    assert_int_equal(probe.result, sizeof value);
    assert_int_equal(value, 5);
    mkv_ring_file_remove(fixture->ring, place);
    mkv_ring_file_remove(fixture->ring, MKV_RING_NOT_REGISTERED);
    assert_int_equal(mkv_ring_file_add(fixture->ring, STDERR_FILENO), place);
}

static void test_ring__buffers__fixed_transfer_or_not_registered(void **state) {
    struct fixture *fixture = *state;
    int error_number = -1;
    uint8_t *memory = aligned_alloc(4096, 16384);
    assert_non_null(memory);
    assert_int_equal(mkv_ring_buffer_add(fixture->ring, memory, 4096, &error_number), 0);
    assert_int_equal(error_number, 0);
    int32_t place = mkv_ring_buffer_add(fixture->ring, memory + 8192, 8192, &error_number);
    assert_int_equal(place, 1);
    assert_int_equal(mkv_ring_buffer_add(fixture->ring, memory, 4096, &error_number),
                     MKV_RING_NOT_REGISTERED);
    assert_int_equal(error_number, ENOSPC);

    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(write(pipe_fds[1], "memkv", 5), 5);
    struct probe probe = probe_make(fixture->ring);
    struct io_uring_sqe *sqe = mkv_ring_sqe(fixture->ring, &probe.completion);
    io_uring_prep_read_fixed(sqe, pipe_fds[0], memory + 8192, 5, 0, place);
    assert_int_equal(mkv_ring_wait(fixture->ring, WAIT_NS), 1);
    assert_int_equal(probe.result, 5);
    assert_memory_equal(memory + 8192, "memkv", 5);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    mkv_ring_destroy(fixture->ring);
    fixture->ring = NULL;
    free(memory);
}

static void test_ring__supports__knows_this_kernel(void **state) {
    struct fixture *fixture = *state;
    assert_true(mkv_ring_supports(fixture->ring, IORING_OP_NOP));
    assert_true(mkv_ring_supports(fixture->ring, IORING_OP_READ_FIXED));
    assert_false(mkv_ring_supports(fixture->ring, 250));
    assert_non_null(mkv_ring_mode(fixture->ring));
}

/* ---- limits and refusals, in a process of their own ----------------------------------------- */

#define CHILD_GOOD 3

/* The limit binds only whoever has no privilege over it. */
static bool become_unprivileged(rlim_t soft_bytes, rlim_t hard_bytes) {
    struct rlimit limit = {soft_bytes, hard_bytes};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        return false;
    }
    return geteuid() != 0 || (setgroups(0, NULL) == 0 && setresuid(65534, 65534, 65534) == 0);
}

static void child_memlock(void *context) {
    (void)context;
    struct mkv_backend_error error;
    struct mkv_ring *ring;
    struct mkv_ring_options options = {.entries = 8, .buffers_max = 4};
    uint8_t *memory = aligned_alloc(4096, 8 * MKV_MIB);
    int error_number = 0;
    if (memory == NULL || !become_unprivileged(64 * MKV_KIB, 2 * MKV_MIB) ||
        !mkv_ring_create(&options, &ring, &error)) {
        _exit(1);
    }
    memset(memory, 1, 8 * MKV_MIB);
    /* Above the soft limit, below the hard one: raised and registered. */
    if (mkv_ring_buffer_add(ring, memory, MKV_MIB, &error_number) != 0) {
        _exit(2);
    }
    /* Above the hard limit: refused with the reason, and the ring goes on. */
    if (mkv_ring_buffer_add(ring, memory, 8 * MKV_MIB, &error_number) != MKV_RING_NOT_REGISTERED ||
        error_number != ENOMEM) {
        _exit(4);
    }
    struct probe probe = probe_make(ring);
    io_uring_prep_nop(mkv_ring_sqe(ring, &probe.completion));
    _exit(mkv_ring_wait(ring, WAIT_NS) == 1 && probe.count == 1 ? CHILD_GOOD : 5);
}

static void test_ring__memlock_limit__soft_is_raised_hard_is_reported(void **state) {
    (void)state;
    assert_int_equal(temporary_child(child_memlock, NULL), CHILD_GOOD);
}

struct refusal {
    uint32_t error_number;
    const char *text;
};

/* As a container's seccomp profile does it. */
static void child_seccomp(void *context) {
    const struct refusal *refusal = context;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | refusal->error_number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(1);
    }
    struct mkv_backend_error error = {0};
    struct mkv_ring *ring;
    struct mkv_ring_options options = {0};
    if (mkv_ring_create(&options, &ring, &error)) {
        _exit(2);
    }
    bool right = error.failure == MKV_BACKEND_PERMISSION &&
                 strncmp(error.text, refusal->text, strlen(refusal->text)) == 0;
    _exit(right ? CHILD_GOOD : 4);
}

static void test_ring__refused_by_seccomp__error_names_it(void **state) {
    (void)state;
    struct refusal cases[] = {
        {EPERM, "io_uring is refused by the seccomp filter of this process"},
        {ENOSYS, "io_uring is hidden by the seccomp filter of this process"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(temporary_child(child_seccomp, &cases[i]), CHILD_GOOD);
    }
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    static const struct CMUnitTest tests[] = {
        RING_TEST(test_ring__nop__calls_back_in_wait_only),
        RING_TEST(test_ring__hurried__is_handed_over_once),
        RING_TEST(test_ring__costly_callbacks__each_round_has_so_many),
        RING_TEST(test_ring__callback_takes_long__is_not_in_the_next_ones_time),
        RING_TEST(test_ring__entries_submitted_to_make_room__each_has_its_time),
        RING_TEST(test_ring__more_entries_than_the_queue__all_complete),
        RING_TEST(test_ring__many_completions__one_wait_is_bounded),
        cmocka_unit_test(test_ring__completion_queue_full__nothing_is_lost),
        RING_TEST(test_ring__callback_submits__goes_on),
        RING_TEST(test_ring__no_owner__completion_is_dropped),
        RING_TEST(test_ring__multishot__owner_sees_more_until_the_last),
        RING_TEST(test_ring__nothing_to_do__wait_ends_at_its_timeout),
        RING_TEST(test_ring__polled_with_nothing_to_do__is_no_system_call),
        RING_TEST(test_ring__woken_before_the_wait__wait_ends),
        RING_TEST(test_ring__woken_by_another_thread__wait_ends),
        cmocka_unit_test(test_ring__set_up_by_another_thread__belongs_to_its_user),
        RING_TEST(test_ring__files__places_are_given_and_taken_back),
        RING_TEST(test_ring__buffers__fixed_transfer_or_not_registered),
        RING_TEST(test_ring__supports__knows_this_kernel),
        cmocka_unit_test(test_ring__memlock_limit__soft_is_raised_hard_is_reported),
        cmocka_unit_test(test_ring__refused_by_seccomp__error_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
