/* SPDX-License-Identifier: Apache-2.0 */
/* The exporter without a collector, and against one that answers whatever the test wants. What
 * arrives is compared field by field in test_otlp.py of the integration tests. */
#include "admin/otlp.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

#define MS 1000000ull
#define RING_SPANS 64u
#define WAIT_MS 60000u

/* Takes connections one after another, reads a request of each, and answers; until it is told to
 * stop. With NULL it says nothing at all. */
struct collector {
    pthread_t thread;
    int listen_fd;
    uint16_t port;
    const char *answer;
    atomic_uint requests;
    char last[1024]; /* the last request's beginning, closed by NUL */
};

static void *collect(void *context) {
    struct collector *collector = context;
    for (;;) {
        const int fd = accept(collector->listen_fd, NULL, NULL);
        if (fd < 0) {
            return NULL; /* stopped */
        }
        const ssize_t count = recv(fd, collector->last, sizeof collector->last - 1, 0);
        collector->last[count > 0 ? count : 0] = '\0';
        atomic_fetch_add(&collector->requests, 1);
        char rest[4096];
        if (collector->answer != NULL) {
            (void)!send(fd, collector->answer, strlen(collector->answer), MSG_NOSIGNAL);
            (void)shutdown(fd, SHUT_WR);
        }
        while (recv(fd, rest, sizeof rest, 0) > 0) {
        }
        close(fd);
    }
}

static void collector_start(struct collector *collector, const char *answer) {
    memset(collector, 0, sizeof *collector);
    collector->answer = answer;
    collector->listen_fd = fake_listen(INADDR_LOOPBACK, &collector->port);
    assert_int_equal(pthread_create(&collector->thread, NULL, collect, collector), 0);
}

static void collector_stop(struct collector *collector) {
    (void)shutdown(collector->listen_fd, SHUT_RDWR);
    pthread_join(collector->thread, NULL);
    close(collector->listen_fd);
}

struct reports {
    unsigned failing;
    unsigned well;
    char last[MKV_OTLP_REPORT_BYTES];
};

static void report(void *context, bool failing, const char *text) {
    struct reports *reports = context;
    reports->failing += failing;
    reports->well += !failing;
    snprintf(reports->last, sizeof reports->last, "%s", text);
}

static struct mkv_otlp *start(uint16_t port, struct reports *reports, uint64_t retry_ns) {
    struct mkv_otlp_options options = MKV_OTLP_OPTIONS_DEFAULT;
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
    assert_null(mkv_otlp_endpoint_parse(endpoint, &options.endpoint));
    options.resource = (struct mkv_otlp_resource){"service", "1.2.3", "node"};
    options.ring_spans = RING_SPANS;
    options.interval_ns = 5 * MS;
    options.pause_ns_first = 2 * MS;
    options.pause_ns_max = 10 * MS;
    options.retry_ns = retry_ns;
    options.report = report;
    options.report_context = reports;
    memset(reports, 0, sizeof *reports);
    struct mkv_otlp *otlp = mkv_otlp_start(&options);
    assert_non_null(otlp);
    return otlp;
}

/* Hands in a span; whether there was room. */
static bool hand_in(struct mkv_otlp *otlp) {
    struct mkv_span *span = mkv_otlp_reserve(otlp, 0);
    if (span == NULL) {
        return false;
    }
    span->trace_id[0] = 1;
    span->span_id[0] = 1;
    span->name = "memkv.read";
    mkv_otlp_commit(otlp, 0);
    return true;
}

static void wait_until_settled(struct mkv_otlp *otlp, uint64_t spans) {
    struct mkv_otlp_counts counts = {0};
    for (uint32_t i = 0; i < WAIT_MS && counts.exported + counts.dropped < spans; i++) {
        nanosleep(&(struct timespec){.tv_nsec = (long)MS}, NULL);
        mkv_otlp_counts(otlp, &counts);
    }
    assert_int_equal(counts.exported + counts.dropped, spans);
}

static void test_otlp__more_spans_than_room__each_is_counted_in_the_end(void **state) {
    (void)state;
    struct collector collector;
    struct reports reports;
    struct mkv_otlp_counts counts;
    collector_start(&collector, NULL);
    struct mkv_otlp *otlp = start(collector.port, &reports, 60000 * MS);
    /* The first batch waits for an answer that does not come, so the ring fills up behind it. */
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 10 * RING_SPANS; i++) {
        refused += !hand_in(otlp);
    }
    assert_in_range(refused, 1, 9 * RING_SPANS);
    mkv_otlp_counts(otlp, &counts);
    assert_int_equal(counts.dropped, refused);
    assert_int_equal(counts.exported, 0);
    mkv_otlp_stop(otlp, &counts);
    collector_stop(&collector);
    assert_int_equal(counts.dropped, 10 * RING_SPANS);
    assert_int_equal(counts.exported, 0);
    assert_int_equal(counts.waiting, 0);
}

static void test_otlp__a_collector_that_takes_spans__exported(void **state) {
    (void)state;
    struct collector collector;
    struct reports reports;
    struct mkv_otlp_counts counts;
    collector_start(&collector, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct mkv_otlp *otlp = start(collector.port, &reports, 60000 * MS);
    assert_true(hand_in(otlp));
    wait_until_settled(otlp, 1);
    assert_true(hand_in(otlp)); /* left over at the end: it is still delivered */
    mkv_otlp_stop(otlp, &counts);
    collector_stop(&collector);
    assert_int_equal(counts.exported, 2);
    assert_int_equal(counts.dropped, 0);
    assert_int_equal(reports.failing + reports.well, 0);
    assert_non_null(strstr(collector.last, "POST /v1/traces HTTP/1.1\r\n"));
    assert_non_null(strstr(collector.last, "User-Agent: memkv/1.2.3\r\n"));
    assert_non_null(strstr(collector.last, "Content-Type: application/x-protobuf\r\n"));
    assert_null(strstr(collector.last, "Expect"));
}

static void expect_lost(const char *answer, uint64_t retry_ns, unsigned requests_min,
                        unsigned requests_max, const char *words) {
    struct collector collector;
    struct reports reports;
    struct mkv_otlp_counts counts;
    collector_start(&collector, answer);
    struct mkv_otlp *otlp = start(collector.port, &reports, retry_ns);
    assert_true(hand_in(otlp));
    wait_until_settled(otlp, 1);
    mkv_otlp_stop(otlp, &counts);
    collector_stop(&collector);
    assert_int_equal(counts.dropped, 1);
    assert_int_equal(reports.failing, 1);
    if (strstr(reports.last, words) == NULL) {
        fail_msg("'%s' does not tell of '%s'", reports.last, words);
    }
    assert_in_range(collector.requests, requests_min, requests_max);
}

static void test_otlp__answers_that_are_no_success__tried_again_or_not(void **state) {
    (void)state;
    expect_lost("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 1000 * MS, 2, UINT32_MAX,
                "HTTP status 503");
    expect_lost("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", 60000 * MS, 1, 1,
                "HTTP status 400");
    /* A pause that is longer than what is left ends it. */
    expect_lost("HTTP/1.1 429 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n", 30000 * MS,
                1, 1, "HTTP status 429");
    expect_lost("hello\r\n\r\n", 1000 * MS, 2, UINT32_MAX, "HTTP/0.9");
    expect_lost("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", 1000 * MS, 2, UINT32_MAX,
                "remaining");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_otlp__more_spans_than_room__each_is_counted_in_the_end),
        cmocka_unit_test(test_otlp__a_collector_that_takes_spans__exported),
        cmocka_unit_test(test_otlp__answers_that_are_no_success__tried_again_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
