/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/tcp_listen.h"

static bool listen_on(const char *host, uint16_t port, int *fd, uint16_t *bound,
                      struct mkv_backend_error *error) {
    const struct mkv_tcp_listen_options options = {
        .host = host, .port = port, .backlog = 8, .option = "--listen"};
    return mkv_tcp_listen(&options, fd, bound, error);
}

/* "tcp_listen_test", or what the build calls this program, as the kernel cuts it. */
static void own_name(char name[32]) {
    FILE *file = fopen("/proc/self/comm", "re");
    assert_non_null(file);
    assert_non_null(fgets(name, 32, file));
    name[strcspn(name, "\n")] = '\0';
    fclose(file);
}

static void test_tcp_listen__free_port__listens(void **state) {
    (void)state;
    struct mkv_backend_error error;
    int fd;
    uint16_t port = 0;
    assert_true(listen_on("127.0.0.1", 0, &fd, &port, &error));
    assert_true(port != 0);
    close(fd);
    /* At once again. */
    uint16_t again = 0;
    assert_true(listen_on("127.0.0.1", port, &fd, &again, &error));
    assert_int_equal(port, again);
    close(fd);
}

static void in_use(const char *holder, const char *host, const char *host_text) {
    struct mkv_backend_error error;
    int held;
    uint16_t port = 0;
    assert_true(listen_on(holder, 0, &held, &port, &error));
    int fd = -1;
    uint16_t bound = 0;
    assert_false(listen_on(host, port, &fd, &bound, &error));
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
    char name[32];
    own_name(name);
    char expected[256];
    snprintf(expected, sizeof expected,
             "%s:%u is in use by %s (pid %d). Stop it or choose another --listen", host_text, port,
             name, (int)getpid());
    assert_string_equal(error.text, expected);
    assert_int_equal(fd, -1);
    close(held);
}

static void test_tcp_listen__port_in_use__names_who_holds_it(void **state) {
    (void)state;
    in_use("127.0.0.1", "127.0.0.1", "127.0.0.1");
    in_use("0.0.0.0", "127.0.0.1", "127.0.0.1");
}

static void test_tcp_listen__port_in_use_on_ipv6__names_who_holds_it(void **state) {
    (void)state;
    struct mkv_backend_error error;
    int fd;
    uint16_t port;
    if (!listen_on("::1", 0, &fd, &port, &error)) {
        print_message("this machine has no IPv6 loopback: %s\n", error.text);
        skip();
        return;
    }
    close(fd);
    in_use("::1", "::1", "[::1]");
    in_use("::", "127.0.0.1", "127.0.0.1");
}

static void test_tcp_listen__address_of_no_interface__is_a_configuration_error(void **state) {
    (void)state;
    struct mkv_backend_error error;
    int fd;
    uint16_t port;
    assert_false(listen_on("192.0.2.1", 9900, &fd, &port, &error));
    assert_int_equal(error.failure, MKV_BACKEND_CONFIGURATION);
    assert_string_equal(error.text, "no interface of this machine has the address of "
                                    "192.0.2.1:9900. Choose another --listen");
}

static void test_tcp_listen__no_address__is_a_configuration_error(void **state) {
    (void)state;
    struct mkv_backend_error error;
    int fd;
    uint16_t port;
    assert_false(listen_on("example.org", 9900, &fd, &port, &error));
    assert_int_equal(error.failure, MKV_BACKEND_CONFIGURATION);
    assert_string_equal(error.text, "'example.org' is not an IPv4 or IPv6 address. Choose another "
                                    "--listen");
}

static void test_tcp_listen__shared__by_those_who_say_so_and_not_by_others(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_tcp_listen_options options = {
        .host = "127.0.0.1", .backlog = 8, .option = "--listen", .share = MKV_TCP_SHARED_FIRST};
    int fds[2];
    int other = -1;
    uint16_t ports[2];
    uint16_t port = 0;
    assert_true(mkv_tcp_listen(&options, &fds[0], &ports[0], &error));
    options.share = MKV_TCP_SHARED_NEXT;
    options.port = ports[0];
    assert_true(mkv_tcp_listen(&options, &fds[1], &ports[1], &error));
    assert_int_equal(ports[0], ports[1]);
    /* Another first one is another process: it is told, though the kernel would let it in. */
    options.share = MKV_TCP_SHARED_FIRST;
    assert_false(mkv_tcp_listen(&options, &other, &port, &error));
    assert_non_null(strstr(error.text, "is in use by "));
    assert_int_equal(other, -1);
    close(fds[0]);
    close(fds[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_listen__free_port__listens),
        cmocka_unit_test(test_tcp_listen__port_in_use__names_who_holds_it),
        cmocka_unit_test(test_tcp_listen__port_in_use_on_ipv6__names_who_holds_it),
        cmocka_unit_test(test_tcp_listen__shared__by_those_who_say_so_and_not_by_others),
        cmocka_unit_test(test_tcp_listen__address_of_no_interface__is_a_configuration_error),
        cmocka_unit_test(test_tcp_listen__no_address__is_a_configuration_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
