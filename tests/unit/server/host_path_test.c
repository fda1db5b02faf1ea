/* SPDX-License-Identifier: Apache-2.0 */
#include "server/host_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Somebody who answers, in a thread, as a way does that carries `bytes_max` bytes. */
struct answerer {
    int fd;
    uint32_t bytes_max;
    volatile sig_atomic_t stop;
    pthread_t thread;
    uint64_t answered;
    char peer[64];
};

static void *run(void *context) {
    struct answerer *answerer = context;
    answerer->answered =
        mkv_host_path_answer(answerer->fd, 0, answerer->bytes_max, &answerer->stop);
    return NULL;
}

static void begin(struct answerer *answerer, const char *listen, const char *host,
                  uint32_t bytes_max) {
    char problem[MKV_HOST_PATH_PROBLEM_BYTES];
    struct sockaddr_in6 own = {0};
    socklen_t own_bytes = sizeof own;
    *answerer = (struct answerer){.bytes_max = bytes_max};
    answerer->fd = mkv_host_path_listen(listen, problem);
    assert_true(answerer->fd >= 0);
    assert_int_equal(getsockname(answerer->fd, (struct sockaddr *)&own, &own_bytes), 0);
    snprintf(answerer->peer, sizeof answerer->peer, "%s:%u", host, ntohs(own.sin6_port));
    assert_int_equal(pthread_create(&answerer->thread, NULL, run, answerer), 0);
}

static void end(struct answerer *answerer) {
    answerer->stop = 1;
    assert_int_equal(pthread_join(answerer->thread, NULL), 0);
    close(answerer->fd);
}

static struct mkv_host_row check(const char *peer) {
    struct mkv_host_report *report = calloc(1, sizeof *report);
    assert_non_null(report);
    mkv_host_path_check(peer, report);
    assert_int_equal(report->count, 1);
    const struct mkv_host_row row = report->rows[0];
    free(report);
    assert_string_equal(row.check, "path_mtu");
    return row;
}

static void expect(const struct mkv_host_row *row, enum mkv_host_word word, const char *seen) {
    if (row->word != word || strstr(row->seen, seen) == NULL) {
        fail_msg("%s: %s", mkv_host_word_name(row->word), row->seen);
    }
}

static void test_path__that_carries_all__pass(void **state) {
    (void)state;
    struct answerer answerer;
    begin(&answerer, "127.0.0.1:0", "127.0.0.1", UINT32_MAX);
    const struct mkv_host_row row = check(answerer.peer);
    end(&answerer);
    expect(&row, MKV_HOST_PASS, "of 9000 bytes that must not be fragmented arrive, from lo");
    expect(&row, MKV_HOST_PASS, "both directions");
    assert_int_equal(answerer.answered, 2);
}

static void test_path__of_either_family__one_socket_answers(void **state) {
    (void)state;
    struct answerer answerer;
    begin(&answerer, "0", "127.0.0.1", UINT32_MAX);
    const struct mkv_host_row row = check(answerer.peer);
    char peer[80];
    snprintf(peer, sizeof peer, "[::1]%s", strrchr(answerer.peer, ':'));
    const struct mkv_host_row second = check(peer);
    end(&answerer);
    expect(&row, MKV_HOST_PASS, "both directions");
    expect(&second, MKV_HOST_PASS, "both directions");
}

/* Or an answer that does not fit would come in pieces, and the way back look as if it carried it. */
static void test_listen__for_either_family__fragments_answers_of_neither(void **state) {
    (void)state;
    char problem[MKV_HOST_PATH_PROBLEM_BYTES];
    int way = -1;
    int way6 = -1;
    socklen_t bytes = sizeof way;
    const int fd = mkv_host_path_listen("0", problem);
    assert_true(fd >= 0);
    assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &way, &bytes), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &way6, &bytes), 0);
    assert_int_equal(way, IP_PMTUDISC_PROBE);
    assert_int_equal(way6, IPV6_PMTUDISC_PROBE);
    close(fd);
}

static void test_path__that_loses_long_ones__fails_and_names_the_largest(void **state) {
    (void)state;
    struct answerer answerer;
    begin(&answerer, "127.0.0.1:0", "127.0.0.1", 1500);
    const struct mkv_host_row row = check(answerer.peer);
    end(&answerer);
    expect(&row, MKV_HOST_FAIL, "of 4192 bytes, as RoCE sends");
    expect(&row, MKV_HOST_FAIL, "at most such of 1500 do");
    assert_non_null(strstr(row.remedy, "MTU of every switch port"));
}

static void test_path__with_room_for_roce_alone__warned(void **state) {
    (void)state;
    struct answerer answerer;
    begin(&answerer, "127.0.0.1:0", "127.0.0.1", 4192);
    const struct mkv_host_row row = check(answerer.peer);
    end(&answerer);
    expect(&row, MKV_HOST_WARN, "of 4192 bytes, as RoCE sends, arrive, but none of 9000");
}

static void test_path__nobody_answers__the_refusals_tell_of_one_direction(void **state) {
    (void)state;
    char problem[MKV_HOST_PATH_PROBLEM_BYTES];
    char peer[64];
    struct sockaddr_in own = {0};
    socklen_t own_bytes = sizeof own;
    const int fd = mkv_host_path_listen("127.0.0.1:0", problem);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &own_bytes), 0);
    snprintf(peer, sizeof peer, "127.0.0.1:%u", ntohs(own.sin_port));
    /* Open, and silent: nothing can be said. */
    const struct mkv_host_row silent = check(peer);
    expect(&silent, MKV_HOST_WARN, "nothing answers");
    assert_non_null(strstr(silent.remedy, "memkv doctor --answer"));
    close(fd);
    const struct mkv_host_row refused = check(peer);
    expect(&refused, MKV_HOST_PASS, "this direction");
}

static void test_path__a_name_that_is_none__fails(void **state) {
    (void)state;
    static const char *const wrong[] = {"",      ":1",          "[::1",   "[::1]x",
                                        "h:1:x", "127.0.0.1:x", "h:70000"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const struct mkv_host_row row = check(wrong[i]);
        expect(&row, MKV_HOST_FAIL, "not tested: ");
    }
}

static void test_listen__wrong_or_taken__refused(void **state) {
    (void)state;
    char problem[MKV_HOST_PATH_PROBLEM_BYTES];
    char taken[64];
    struct sockaddr_in own = {0};
    socklen_t own_bytes = sizeof own;
    assert_int_equal(mkv_host_path_listen("", problem), -1);
    assert_int_equal(mkv_host_path_listen("70000", problem), -1);
    assert_int_equal(mkv_host_path_listen("127.0.0.1:x", problem), -1);
    const int fd = mkv_host_path_listen("127.0.0.1:0", problem);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &own_bytes), 0);
    snprintf(taken, sizeof taken, "127.0.0.1:%u", ntohs(own.sin_port));
    assert_int_equal(mkv_host_path_listen(taken, problem), -1);
    assert_non_null(strstr(problem, "in use"));
    close(fd);
}

static void test_answer__what_is_no_question__stays_without(void **state) {
    (void)state;
    struct answerer answerer;
    struct sockaddr_in own = {0};
    socklen_t own_bytes = sizeof own;
    uint8_t packet[64] = "mkvpath!";
    begin(&answerer, "127.0.0.1:0", "127.0.0.1", UINT32_MAX);
    assert_int_equal(getsockname(answerer.fd, (struct sockaddr *)&own, &own_bytes), 0);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&own, own_bytes), 0);
    assert_int_equal(send(fd, packet, sizeof packet, 0), sizeof packet);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_int_equal(send(fd, "", 0, 0), 0);
    memcpy(packet, "mkvpath?", 8);
    assert_int_equal(send(fd, packet, sizeof packet, 0), sizeof packet);
    assert_int_equal(recv(fd, packet, sizeof packet, 0), sizeof packet);
    assert_memory_equal(packet, "mkvpath!", 8);
    assert_int_equal(recv(fd, packet, sizeof packet, MSG_DONTWAIT), -1);
    close(fd);
    end(&answerer);
    assert_int_equal(answerer.answered, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path__that_carries_all__pass),
        cmocka_unit_test(test_path__of_either_family__one_socket_answers),
        cmocka_unit_test(test_listen__for_either_family__fragments_answers_of_neither),
        cmocka_unit_test(test_path__that_loses_long_ones__fails_and_names_the_largest),
        cmocka_unit_test(test_path__with_room_for_roce_alone__warned),
        cmocka_unit_test(test_path__nobody_answers__the_refusals_tell_of_one_direction),
        cmocka_unit_test(test_path__a_name_that_is_none__fails),
        cmocka_unit_test(test_listen__wrong_or_taken__refused),
        cmocka_unit_test(test_answer__what_is_no_question__stays_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
