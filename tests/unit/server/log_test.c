/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define THREADS 4u
#define LINES_OF_A_THREAD 50u

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

static uint32_t occurrences(const char *text, const char *word) {
    uint32_t count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}

static void test_limit__many_lines__admits_ten_a_second(void **state) {
    (void)state;
    struct mkv_log_limit limit = {0};
    uint64_t suppressed;
    const uint64_t start_ns = 5 * SECOND_NS;
    for (uint32_t i = 0; i < MKV_LOG_SITE_LINES_MAX; i++) {
        assert_true(mkv_log_limit_admit(&limit, start_ns + i, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(mkv_log_limit_admit(&limit, start_ns + SECOND_NS - 1, &suppressed));
    }
    /* The first line of the next second says what was lost, the one after it nothing. */
    assert_true(mkv_log_limit_admit(&limit, start_ns + SECOND_NS, &suppressed));
    assert_int_equal(suppressed, 3);
    assert_true(mkv_log_limit_admit(&limit, start_ns + SECOND_NS, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void test_write__level_not_wanted__nothing_written(void **state) {
    (void)state;
    int ends[2];
    char text[4096];
    assert_int_equal(pipe(ends), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_WARN, MKV_CONFIG_LOG_TEXT);
    const struct mkv_log_field field = {.name = "drive", .text = "d00"};
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "t", NULL, 0, "hidden");
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_WARN, "t", &field, 1, "shown %d", 7);
    uint64_t counts[MKV_LOG_LEVEL_COUNT];
    mkv_log_counts(log, counts);
    assert_int_equal(counts[MKV_CONFIG_LOG_WARN], 1);
    assert_int_equal(counts[MKV_CONFIG_LOG_INFO], 0);
    mkv_log_destroy(log);
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    assert_int_equal(occurrences(text, "\n"), 1);
    assert_non_null(strstr(text, "Z WARN t: shown 7 drive=d00\n"));
}

static void test_destroy__lines_suppressed__are_reported(void **state) {
    (void)state;
    int ends[2];
    char text[8192];
    assert_int_equal(pipe(ends), 0);
    struct mkv_log *log = mkv_log_create(ends[1], MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_TEXT);
    for (uint32_t i = 0; i < MKV_LOG_SITE_LINES_MAX + 5; i++) {
        mkv_log_write(log, MKV_LOG_SITE_DRIVE_ERROR, MKV_CONFIG_LOG_ERROR, "t", NULL, 0, "one");
    }
    /* Another site has lines of its own. */
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "t", NULL, 0, "two");
    mkv_log_destroy(log);
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    /* A second may have ended in between, and then more were written; none is lost uncounted. */
    assert_in_range(occurrences(text, ": one"), MKV_LOG_SITE_LINES_MAX, MKV_LOG_SITE_LINES_MAX + 5);
    assert_int_equal(occurrences(text, ": two"), 1);
    assert_non_null(strstr(text, "suppressed="));
}

static void test_write__reader_has_gone__caller_goes_on(void **state) {
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    struct mkv_log *log = mkv_log_create(full, MKV_CONFIG_LOG_INFO, MKV_CONFIG_LOG_JSON);
    mkv_log_write(log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "t", NULL, 0, "lost");
    mkv_log_destroy(log);
    close(full);
}

static void *write_lines(void *context) {
    for (uint32_t i = 0; i < LINES_OF_A_THREAD; i++) {
        mkv_log_write(context, (enum mkv_log_site)(i % MKV_LOG_SITE_COUNT), MKV_CONFIG_LOG_INFO,
                      "t", NULL, 0, "begin-%u-end", i);
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
    /* Every line but the last, which tells of those that were suppressed, is one of ours. */
    char *line = text;
    uint32_t line_count = 0;
    for (char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
        *end = '\0';
        bool ours = occurrences(line, "begin-") == 1 && occurrences(line, "-end") == 1;
        assert_true(ours || strstr(line, "server.log") != NULL);
        line_count++;
        line = end + 1;
    }
    assert_true(line_count > MKV_LOG_SITE_LINES_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit__many_lines__admits_ten_a_second),
        cmocka_unit_test(test_write__level_not_wanted__nothing_written),
        cmocka_unit_test(test_destroy__lines_suppressed__are_reported),
        cmocka_unit_test(test_write__reader_has_gone__caller_goes_on),
        cmocka_unit_test(test_write__many_threads__lines_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
