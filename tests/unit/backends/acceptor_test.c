/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/acceptor.h"
#include "backends/clock.h"

#define WAIT_NS 10000000000ull
#define TURN_NS 1000000ull
#define ACCEPTED_MAX 8u

struct fixture {
    struct mkv_ring *ring;
    struct mkv_acceptor acceptor;
    int accepted[ACCEPTED_MAX];
    uint32_t accepted_count;
};

static void on_accepted(void *context, int fd) {
    struct fixture *fixture = context;
    assert_true(fixture->accepted_count < ACCEPTED_MAX);
    fixture->accepted[fixture->accepted_count++] = fd;
}

static bool open_acceptor(struct fixture *fixture, struct mkv_acceptor *acceptor, uint16_t port,
                          struct mkv_backend_error *error) {
    const struct mkv_acceptor_options options = {
        .ring = fixture->ring,
        .listen = {.host = "127.0.0.1", .port = port, .backlog = 8, .option = "--listen"},
        .accepted = on_accepted,
        .context = fixture,
    };
    return mkv_acceptor_open(acceptor, &options, error);
}

static int set_up(void **state) {
    struct mkv_backend_error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    const struct mkv_ring_options options = {.entries = 8, .completions = 64};
    assert_true(mkv_ring_create(&options, &fixture->ring, &error));
    assert_true(open_acceptor(fixture, &fixture->acceptor, 0, &error));
    *state = fixture;
    return 0;
}

static void turn(struct fixture *fixture) {
    mkv_acceptor_poll(&fixture->acceptor, mkv_clock_monotonic_ns());
    (void)mkv_ring_wait(fixture->ring, TURN_NS);
}

static void drain(struct fixture *fixture) {
    const uint64_t deadline_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    mkv_acceptor_drain(&fixture->acceptor);
    while (!mkv_acceptor_is_idle(&fixture->acceptor)) {
        assert_true(mkv_clock_monotonic_ns() < deadline_ns);
        turn(fixture);
    }
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    drain(fixture);
    mkv_acceptor_close(&fixture->acceptor);
    for (uint32_t i = 0; i < fixture->accepted_count; i++) {
        close(fixture->accepted[i]);
    }
    mkv_ring_destroy(fixture->ring);
    free(fixture);
    return 0;
}

static void wait_for(struct fixture *fixture, uint32_t accepted_count) {
    const uint64_t deadline_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (fixture->accepted_count < accepted_count) {
        assert_true(mkv_clock_monotonic_ns() < deadline_ns);
        turn(fixture);
    }
}

static int new_socket(void) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static bool connect_to(int fd, uint16_t port) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    return connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

static int connect_new(const struct fixture *fixture) {
    const int fd = new_socket();
    assert_true(connect_to(fd, fixture->acceptor.port));
    return fd;
}

static void test_acceptor__clients_come__each_is_handed_out(void **state) {
    struct fixture *fixture = *state;
    int clients[3];
    turn(fixture);
    for (uint32_t i = 0; i < 3; i++) {
        clients[i] = connect_new(fixture);
        wait_for(fixture, i + 1);
        char told[64];
        char own[64];
        struct sockaddr_storage address;
        socklen_t address_bytes = sizeof address;
        mkv_acceptor_peer_text(fixture->accepted[i], told, sizeof told);
        assert_int_equal(getsockname(clients[i], (struct sockaddr *)&address, &address_bytes), 0);
        mkv_acceptor_address_text((const struct sockaddr *)&address, own, sizeof own);
        assert_string_equal(told, own);
        assert_memory_equal(own, "127.0.0.1:", 10);
    }
    for (uint32_t i = 0; i < 3; i++) {
        close(clients[i]);
    }
}

static void test_acceptor__accepted__has_the_options_of_the_listener(void **state) {
    struct fixture *fixture = *state;
    const int client = connect_new(fixture);
    wait_for(fixture, 1);
    int value = 0;
    socklen_t value_bytes = sizeof value;
    assert_int_equal(
        getsockopt(fixture->accepted[0], IPPROTO_TCP, TCP_NODELAY, &value, &value_bytes), 0);
    assert_int_not_equal(value, 0);
    value = 0;
    assert_int_equal(
        getsockopt(fixture->accepted[0], SOL_SOCKET, SO_KEEPALIVE, &value, &value_bytes), 0);
    assert_int_not_equal(value, 0);
    close(client);
}

static void test_acceptor__no_descriptor_left__accepts_when_there_is_one(void **state) {
    struct fixture *fixture = *state;
    const int client = new_socket();
    struct rlimit usual;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)client, .rlim_max = usual.rlim_max};
    /* The kernel notes the limit when the accept is posted. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    turn(fixture);
    const bool connected = connect_to(client, fixture->acceptor.port);
    const uint64_t deadline_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (fixture->acceptor.retry_ns == 0 && mkv_clock_monotonic_ns() < deadline_ns) {
        turn(fixture);
    }
    const uint64_t retry_ns = fixture->acceptor.retry_ns;
    const bool posted = fixture->acceptor.is_in_flight;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);

    assert_true(connected);
    assert_true(retry_ns > 0);
    assert_false(posted);
    assert_int_equal(fixture->accepted_count, 0);
    /* Not before its time, however often it is polled. */
    mkv_acceptor_poll(&fixture->acceptor, retry_ns - 1);
    assert_false(fixture->acceptor.is_in_flight);
    mkv_acceptor_poll(&fixture->acceptor, retry_ns);
    assert_true(fixture->acceptor.is_in_flight);
    wait_for(fixture, 1);
    close(client);
}

static void test_acceptor__kernel_without_multishot__accepts_one_after_another(void **state) {
    struct fixture *fixture = *state;
    /* As such a kernel refuses the first one. */
    fixture->acceptor.completion.done(&fixture->acceptor.completion, -EINVAL, 0);
    assert_false(fixture->acceptor.is_multishot);
    assert_int_equal(fixture->acceptor.retry_ns, 0);
    const int first = connect_new(fixture);
    wait_for(fixture, 1);
    const int second = connect_new(fixture);
    wait_for(fixture, 2);
    close(first);
    close(second);
}

static void test_acceptor__drained__frees_its_port(void **state) {
    struct fixture *fixture = *state;
    struct mkv_backend_error error;
    turn(fixture);
    const uint16_t port = fixture->acceptor.port;
    assert_false(mkv_acceptor_is_idle(&fixture->acceptor));
    drain(fixture);
    assert_false(fixture->acceptor.is_in_flight);
    mkv_acceptor_poll(&fixture->acceptor, mkv_clock_monotonic_ns());
    assert_false(fixture->acceptor.is_in_flight);
    const int client = new_socket();
    assert_false(connect_to(client, port));
    close(client);
    struct mkv_acceptor next;
    assert_true(open_acceptor(fixture, &next, port, &error));
    mkv_acceptor_close(&next);
}

static void test_acceptor__port_in_use__is_refused(void **state) {
    struct fixture *fixture = *state;
    struct mkv_backend_error error;
    struct mkv_acceptor second = {0};
    assert_false(open_acceptor(fixture, &second, fixture->acceptor.port, &error));
    assert_non_null(strstr(error.text, "in use"));
    mkv_acceptor_close(&second); /* one that was never opened may be closed */
}

/* What a client reads until the end. */
static size_t read_all(int fd, uint8_t *bytes, size_t room) {
    size_t count = 0;
    ssize_t got;
    while ((got = recv(fd, bytes + count, room - count, 0)) > 0) {
        count += (size_t)got;
    }
    return count;
}

static void test_acceptor__refused__tells_why_and_closes(void **state) {
    struct fixture *fixture = *state;
    uint8_t bytes[64];
    int client = connect_new(fixture);
    wait_for(fixture, 1);
    mkv_acceptor_refuse(fixture->accepted[--fixture->accepted_count], "-ERR no\r\n", 9);
    assert_int_equal(read_all(client, bytes, sizeof bytes), 9);
    assert_memory_equal(bytes, "-ERR no\r\n", 9);
    close(client);

    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 80};
    client = connect_new(fixture);
    wait_for(fixture, 1);
    mkv_acceptor_refuse_tls(fixture->accepted[--fixture->accepted_count],
                            MKV_TLS_ALERT_INTERNAL_ERROR);
    assert_int_equal(read_all(client, bytes, sizeof bytes), sizeof alert);
    assert_memory_equal(bytes, alert, sizeof alert);
    close(client);
}

static void test_acceptor__address_text__by_family(void **state) {
    (void)state;
    char text[64];
    const struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(4711),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
    mkv_acceptor_address_text((const struct sockaddr *)&v6, text, sizeof text);
    assert_string_equal(text, "[::1]:4711");
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    mkv_acceptor_address_text((const struct sockaddr *)&local, text, sizeof text);
    assert_string_equal(text, "unix");
    mkv_acceptor_peer_text(-1, text, sizeof text);
    assert_string_equal(text, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_acceptor__clients_come__each_is_handed_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_acceptor__accepted__has_the_options_of_the_listener,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_acceptor__no_descriptor_left__accepts_when_there_is_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_acceptor__kernel_without_multishot__accepts_one_after_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_acceptor__drained__frees_its_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_acceptor__port_in_use__is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_acceptor__refused__tells_why_and_closes, set_up,
                                        tear_down),
        cmocka_unit_test(test_acceptor__address_text__by_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
