/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define FLUSH_NS (60 * SECOND_NS)
#define THREADS 4u
#define LINES_OF_A_THREAD 50u
#define PATH_BYTES 64u

/* What was written to a pipe, whose writing end is closed. */
static void read_all(int fd, char *text, size_t bytes_max) {
    size_t count = 0;
    ssize_t bytes;
    while ((bytes = read(fd, text + count, bytes_max - 1 - count)) > 0) {
        count += (size_t)bytes;
    }
    text[count] = '\0';
    close(fd);
}

struct reader {
    int fd;
    char *text;
    size_t bytes_max;
};

static void *read_on(void *context) {
    const struct reader *reader = context;
    read_all(reader->fd, reader->text, reader->bytes_max);
    return NULL;
}

static uint32_t occurrences(const char *text, const char *word) {
    uint32_t count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}

static void test_write__level_not_wanted__nothing_written(void **state) {
    (void)state;
    int ends[2];
    char text[4096];
    assert_int_equal(pipe(ends), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_WARN, MKV_CONFIG_LOG_TEXT);
    const struct mkv_log_field field = {.name = "drive", .text = "d00"};
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "hidden");
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_WARN, "fabric", &field, 1, "shown %d", 7);
    uint64_t counts[MKV_LOG_LEVEL_COUNT];
    mkv_log_counts(log, counts);
    assert_int_equal(counts[MKV_CONFIG_LOG_WARN], 1);
    assert_int_equal(counts[MKV_CONFIG_LOG_INFO], 0);
    mkv_log_destroy(log);
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    assert_int_equal(occurrences(text, "\n"), 1);
    assert_non_null(strstr(text, "Z WARN fabric: shown 7 drive=d00\n"));
}

static void test_destroy__lines_suppressed__are_reported(void **state) {
    (void)state;
    int ends[2];
    char text[8192];
    const uint32_t lines_max = mkv_log_site_limits[MKV_LOG_SITE_DRIVE_ERROR].lines_max;
    assert_int_equal(pipe(ends), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    for (uint32_t i = 0; i < lines_max + 5; i++) {
        mkv_log_write(log, MKV_LOG_SITE_DRIVE_ERROR, MKV_CONFIG_LOG_ERROR, "drive", NULL, 0, "one");
    }
    /* Another site has lines of its own. */
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "two");
    mkv_log_destroy(log);
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    assert_int_equal(occurrences(text, ": one"), lines_max);
    assert_int_equal(occurrences(text, ": two"), 1);
    assert_non_null(strstr(text, "ERROR drive: 5 lines suppressed: more than 5 of this kind in 60 "
                                 "s kind=drive_error suppressed=5\n"));
}

/* Nobody reads the pipe, and more is written than it holds. */
static void test_write__reader_is_stuck__nobody_waits(void **state) {
    (void)state;
    int ends[2];
    static char text[1 << 22];
    const uint32_t lines = 1000;
    assert_int_equal(pipe(ends), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_TRACE, MKV_CONFIG_LOG_TEXT);
    for (uint32_t i = 0; i < lines; i++) {
        mkv_log_write(log, MKV_LOG_SITE_REQUEST, MKV_CONFIG_LOG_TRACE, "fabric", NULL, 0,
                      "line %u of many that nobody reads, %0100u", i, i);
        if (i % 100 == 0) {
            usleep(1000); /* for the thread of the log, on a machine with few cores */
        }
    }
    assert_false(mkv_log_flush(log, SECOND_NS / 100));
    /* The last lines can be read where they are. */
    uint32_t last_count = 0;
    for (uint32_t i = 0; i < 60000 && last_count < 10; i++) {
        size_t bytes;
        char *last = mkv_log_last(log, 10, &bytes);
        last_count = occurrences(last, "\n");
        free(last);
        usleep(1000);
    }
    assert_int_equal(last_count, 10);
    struct reader reader = {.fd = ends[0], .text = text, .bytes_max = sizeof text};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
    assert_true(mkv_log_flush(log, FLUSH_NS));
    const uint64_t lost = mkv_log_lost(log);
    mkv_log_destroy(log);
    close(ends[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(occurrences(text, "of many that nobody reads") + lost, lines);
}

/* What the log's thread waits for. */
static void wait_for(void *context, uint64_t now_ns) {
    (void)now_ns;
    while (sem_wait(context) != 0) {
    }
    sem_post(context);
}

/* The thread of the log is held up: lines beyond the queue are lost, and it says how many. */
static void test_write__queue_full__the_loss_is_told(void **state) {
    (void)state;
    int ends[2];
    static char text[1 << 20];
    sem_t gate;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_TRACE, MKV_CONFIG_LOG_TEXT);
    mkv_log_periodic(log, wait_for, &gate);
    usleep(1500000); /* it waits at its first tick, or is at it some time later */
    uint32_t written = 0;
    while (mkv_log_lost(log) == 0) {
        mkv_log_write(log, written % 2 == 0 ? MKV_LOG_SITE_REQUEST : MKV_LOG_SITE_TELEMETRY,
                      MKV_CONFIG_LOG_TRACE, "fabric", NULL, 0, "one");
        written++;
    }
    assert_true(written > MKV_LOG_QUEUE_LINES);
    sem_post(&gate);
    struct reader reader = {.fd = ends[0], .text = text, .bytes_max = sizeof text};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
    const uint64_t lost = mkv_log_lost(log);
    mkv_log_destroy(log);
    close(ends[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    char told[64];
    snprintf(told, sizeof told, "WARN server.log: %u lines lost", (unsigned)lost);
    assert_non_null(strstr(text, told));
    sem_destroy(&gate);
}

static void test_write__pipe_full_at_the_end__destroy_returns(void **state) {
    (void)state;
    int ends[2];
    char filler[4096];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    memset(filler, 'x', sizeof filler);
    while (write(ends[1], filler, sizeof filler) > 0) {
    }
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "stuck");
    mkv_log_destroy(log);
    close(ends[0]);
    close(ends[1]);
}

/* Under a new name, then with a new file under the old one: no line is lost, none is in both. */
static void test_reopen__file_renamed__lines_go_to_the_new_one(void **state) {
    (void)state;
    char directory[] = "/tmp/mkv-log-test-XXXXXX";
    char path[PATH_BYTES];
    char renamed[PATH_BYTES];
    char text[8192];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(renamed, sizeof renamed, "%s/log.1", directory);
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct mkv_log *log = mkv_log_create(null_fd, MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    assert_false(mkv_log_reopen(log)); /* there is no file yet */
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "first");
    assert_int_equal(mkv_log_file(log, path), 0);
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "second");
    assert_true(mkv_log_flush(log, FLUSH_NS));
    assert_int_equal(rename(path, renamed), 0);
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "third");
    assert_true(mkv_log_flush(log, FLUSH_NS));
    assert_true(mkv_log_reopen(log));
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "fourth");
    assert_true(mkv_log_flush(log, FLUSH_NS));
    read_all(open(renamed, O_RDONLY | O_CLOEXEC), text, sizeof text);
    assert_int_equal(occurrences(text, "\n"), 3);
    assert_int_equal(occurrences(text, "fourth"), 0);
    read_all(open(path, O_RDONLY | O_CLOEXEC), text, sizeof text);
    assert_int_equal(occurrences(text, "\n"), 1);
    assert_int_equal(occurrences(text, "fourth"), 1);
    /* Where it cannot be opened, the file before goes on, and says so. */
    assert_int_equal(rename(path, renamed), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(mkv_log_reopen(log));
    uint64_t counts[MKV_LOG_LEVEL_COUNT] = {0};
    for (uint32_t i = 0; i < 60000 && counts[MKV_CONFIG_LOG_WARN] == 0; i++) {
        usleep(1000);
        mkv_log_counts(log, counts);
    }
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "fifth");
    mkv_log_destroy(log);
    read_all(open(renamed, O_RDONLY | O_CLOEXEC), text, sizeof text);
    assert_int_equal(occurrences(text, "fifth"), 1);
    assert_non_null(strstr(text, "WARN server.log: the log's file cannot be opened again"));
    assert_int_equal(unlink(renamed), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(directory), 0);
    close(null_fd);
}

static void test_file__cannot_be_opened__says_why(void **state) {
    (void)state;
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct mkv_log *log = mkv_log_create(null_fd, MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    assert_int_equal(mkv_log_file(log, "/nowhere/log"), ENOENT);
    mkv_log_destroy(log);
    close(null_fd);
}

/* Opening a pipe waits for a reader, which would keep a start from being stopped. */
static void test_file__a_pipe_without_a_reader__refused_at_once(void **state) {
    (void)state;
    char directory[] = "/tmp/memkv-log-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/pipe", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    const int fd = open("/dev/null", O_WRONLY);
    assert_true(fd >= 0);
    struct mkv_log *log = mkv_log_create(fd, MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    assert_non_null(log);
    alarm(30); /* ends a test that waits */
    assert_int_equal(mkv_log_file(log, path), ENXIO);
    alarm(0);
    mkv_log_destroy(log);
    close(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void test_filter_set__at_run_time__takes_hold(void **state) {
    (void)state;
    int ends[2];
    char text[4096];
    struct mkv_log_filter filter;
    struct mkv_log_filter now;
    char problem[MKV_LOG_FILTER_PROBLEM_BYTES];
    assert_int_equal(pipe(ends), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    assert_false(mkv_log_wants(log, MKV_LOG_FABRIC, MKV_CONFIG_LOG_DEBUG));
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_DEBUG, "fabric", NULL, 0, "hidden");
    assert_true(mkv_log_filter_parse("error,fabric=debug", &filter, problem));
    mkv_log_filter_set(log, &filter);
    mkv_log_filter_get(log, &now);
    assert_memory_equal(&now, &filter, sizeof filter);
    assert_true(mkv_log_wants(log, MKV_LOG_FABRIC, MKV_CONFIG_LOG_DEBUG));
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_DEBUG, "fabric", NULL, 0, "shown");
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_WARN, "admin", NULL, 0, "hidden");
    mkv_log_destroy(log);
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    assert_int_equal(occurrences(text, "hidden"), 0);
    assert_int_equal(occurrences(text, "\n"), 1);
}

static void count_call(void *context, uint64_t now_ns) {
    (void)now_ns;
    atomic_fetch_add((atomic_uint *)context, 1);
}

static void test_periodic__set__is_called_until_it_is_not(void **state) {
    (void)state;
    atomic_uint calls = 0;
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct mkv_log *log = mkv_log_create(null_fd, MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    mkv_log_periodic(log, count_call, &calls);
    for (uint32_t i = 0; i < 6000 && atomic_load(&calls) == 0; i++) {
        usleep(10000);
    }
    assert_true(atomic_load(&calls) > 0);
    mkv_log_periodic(log, NULL, NULL);
    mkv_log_destroy(log);
    close(null_fd);
}

static void test_write__reader_has_gone__caller_goes_on(void **state) {
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    struct mkv_log *log = mkv_log_create(full, MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_JSON);
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "fabric", NULL, 0, "lost");
    mkv_log_destroy(log);
    close(full);
}

static void *write_lines(void *context) {
    for (uint32_t i = 0; i < LINES_OF_A_THREAD; i++) {
        mkv_log_write(context, (enum mkv_log_site)(i % MKV_LOG_SITE_COUNT), MKV_CONFIG_LOG_INFO,
                      "fabric", NULL, 0, "begin-%u-end", i);
    }
    return NULL;
}

static void test_write__many_threads__lines_stay_whole(void **state) {
    (void)state;
    int ends[2];
    static char text[65536];
    pthread_t threads[THREADS];
    assert_int_equal(pipe(ends), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, log), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    uint64_t counts[MKV_LOG_LEVEL_COUNT];
    mkv_log_counts(log, counts);
    assert_int_equal(counts[MKV_CONFIG_LOG_INFO], THREADS * LINES_OF_A_THREAD);
    mkv_log_destroy(log);
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    /* Every line but those that tell what was suppressed is one of ours. */
    char *line = text;
    uint32_t line_count = 0;
    for (char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
        *end = '\0';
        bool ours = occurrences(line, "begin-") == 1 && occurrences(line, "-end") == 1;
        assert_true(ours || strstr(line, " lines suppressed") != NULL);
        line_count++;
        line = end + 1;
    }
    assert_true(line_count > MKV_LOG_SITE_COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write__level_not_wanted__nothing_written),
        cmocka_unit_test(test_destroy__lines_suppressed__are_reported),
        cmocka_unit_test(test_write__reader_is_stuck__nobody_waits),
        cmocka_unit_test(test_write__queue_full__the_loss_is_told),
        cmocka_unit_test(test_write__pipe_full_at_the_end__destroy_returns),
        cmocka_unit_test(test_write__reader_has_gone__caller_goes_on),
        cmocka_unit_test(test_write__many_threads__lines_stay_whole),
        cmocka_unit_test(test_reopen__file_renamed__lines_go_to_the_new_one),
        cmocka_unit_test(test_file__cannot_be_opened__says_why),
        cmocka_unit_test(test_file__a_pipe_without_a_reader__refused_at_once),
        cmocka_unit_test(test_filter_set__at_run_time__takes_hold),
        cmocka_unit_test(test_periodic__set__is_called_until_it_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
