/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

struct memkv_client *test_client_open(const struct test_server *server, uint32_t timeout_ms) {
    const struct memkv_options options = {
        .servers = server->address, .timeout_ms = timeout_ms, .client_name = "client_test"};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    if (memkv_open(&options, &client, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    assert_string_equal(error.text, "");
    return client;
}

void test_close_both(struct memkv_client *client, struct test_server *server) {
    memkv_close(client);
    test_server_stop(server);
}

void test_hang_up(int peer) {
    struct tcp_info info;
    socklen_t bytes = sizeof info;
    const int own = dup(peer); /* its thread closes the other one as soon as it sees the end */
    assert_true(own >= 0);
    assert_int_equal(shutdown(own, SHUT_RDWR), 0);
    do {
        usleep(1000);
        assert_int_equal(getsockopt(own, IPPROTO_TCP, TCP_INFO, &info, &bytes), 0);
    } while (info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_FIN_WAIT1);
    close(own);
}

void test_expect_text(const struct memkv_error *error, const char *part) {
    if (strstr(error->text, part) == NULL) {
        fail_msg("'%s' does not tell of '%s'", error->text, part);
    }
}
