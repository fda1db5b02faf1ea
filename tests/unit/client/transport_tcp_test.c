/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain transport against a socket of this process: what each call comes to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "client/transport.h"

struct pair {
    int listener;
    int peer;
    struct mkv_transport *transport;
};

static struct sockaddr_in listen_somewhere(int *listener) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(*listener, 4), 0);
    assert_int_equal(getsockname(*listener, (struct sockaddr *)&address, &address_bytes), 0);
    return address;
}

static void wait_for(const struct mkv_transport *transport, short events) {
    struct pollfd ready = {.fd = transport->descriptor, .events = events};
    assert_int_equal(poll(&ready, 1, 20000), 1);
}

/* Goes on until it stands or breaks. */
static enum mkv_transport_result establish(struct mkv_transport *transport) {
    enum mkv_transport_result result = transport->ops->establish(transport);
    while (result == MKV_TRANSPORT_BLOCKED) {
        wait_for(transport, transport->receive_events);
        result = transport->ops->establish(transport);
    }
    return result;
}

static struct pair pair_open(void) {
    struct pair pair;
    const struct sockaddr_in address = listen_somewhere(&pair.listener);
    pair.transport = mkv_transport_tcp_new();
    assert_non_null(pair.transport);
    assert_int_equal(pair.transport->ops->begin(pair.transport, (const struct sockaddr *)&address,
                                                sizeof address),
                     MKV_TRANSPORT_MOVED);
    assert_int_equal(establish(pair.transport), MKV_TRANSPORT_MOVED);
    pair.peer = accept(pair.listener, NULL, NULL);
    assert_true(pair.peer >= 0);
    return pair;
}

static void pair_close(struct pair *pair) {
    pair->transport->ops->close(pair->transport);
    close(pair->listener);
}

static enum mkv_transport_result receive(struct mkv_transport *transport, void *bytes,
                                         size_t byte_max, size_t *byte_count) {
    const struct iovec piece = {.iov_base = bytes, .iov_len = byte_max};
    return transport->ops->receive(transport, &piece, 1, byte_count);
}

static void test_transport_tcp__bytes_both_ways__come_whole_and_in_order(void **state) {
    (void)state;
    struct pair pair = pair_open();
    char bytes[16] = "";
    size_t byte_count = 0;
    assert_string_equal(pair.transport->ops->name, "tcp");
    assert_int_equal(receive(pair.transport, bytes, sizeof bytes, &byte_count),
                     MKV_TRANSPORT_BLOCKED);
    char first[] = "one ", second[] = "two";
    const struct iovec pieces[2] = {{first, 4}, {second, 3}};
    assert_int_equal(pair.transport->ops->send(pair.transport, pieces, 2, &byte_count),
                     MKV_TRANSPORT_MOVED);
    assert_int_equal(byte_count, 7);
    assert_int_equal(recv(pair.peer, bytes, 7, MSG_WAITALL), 7);
    assert_memory_equal(bytes, "one two", 7);
    assert_int_equal(send(pair.peer, "back", 4, 0), 4);
    wait_for(pair.transport, pair.transport->receive_events);
    assert_int_equal(receive(pair.transport, bytes, sizeof bytes, &byte_count),
                     MKV_TRANSPORT_MOVED);
    assert_int_equal(byte_count, 4);
    assert_memory_equal(bytes, "back", 4);
    close(pair.peer);
    wait_for(pair.transport, pair.transport->receive_events);
    assert_int_equal(receive(pair.transport, bytes, sizeof bytes, &byte_count),
                     MKV_TRANSPORT_ENDED);
    pair_close(&pair);
}

static void test_transport_tcp_send__peer_reads_nothing__is_blocked_and_goes_on(void **state) {
    (void)state;
    struct pair pair = pair_open();
    const size_t piece_bytes = 1u << 20;
    char *bytes = calloc(1, piece_bytes);
    assert_non_null(bytes);
    const struct iovec piece = {bytes, piece_bytes};
    size_t sent = 0;
    size_t byte_count = 0;
    while (pair.transport->ops->send(pair.transport, &piece, 1, &byte_count) ==
           MKV_TRANSPORT_MOVED) {
        sent += byte_count;
    }
    size_t taken = 0;
    while (taken < sent) {
        const ssize_t count = recv(pair.peer, bytes, piece_bytes, 0);
        assert_true(count > 0);
        taken += (size_t)count;
    }
    wait_for(pair.transport, pair.transport->send_events);
    assert_int_equal(pair.transport->ops->send(pair.transport, &piece, 1, &byte_count),
                     MKV_TRANSPORT_MOVED);
    free(bytes);
    close(pair.peer);
    pair_close(&pair);
}

static void test_transport_tcp_receive__peer_resets__is_broken_and_says_how(void **state) {
    (void)state;
    struct pair pair = pair_open();
    char byte;
    size_t byte_count = 0;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(pair.peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(pair.peer);
    wait_for(pair.transport, pair.transport->receive_events);
    assert_int_equal(receive(pair.transport, &byte, 1, &byte_count), MKV_TRANSPORT_BROKEN);
    assert_non_null(strstr(pair.transport->problem, "reset"));
    pair_close(&pair);
}

static void test_transport_tcp_establish__nobody_listens__is_broken_and_says_so(void **state) {
    (void)state;
    int listener;
    const struct sockaddr_in address = listen_somewhere(&listener);
    close(listener);
    struct mkv_transport *transport = mkv_transport_tcp_new();
    assert_non_null(transport);
    enum mkv_transport_result result =
        transport->ops->begin(transport, (const struct sockaddr *)&address, sizeof address);
    if (result == MKV_TRANSPORT_MOVED) {
        result = establish(transport);
    }
    assert_int_equal(result, MKV_TRANSPORT_BROKEN);
    assert_non_null(strstr(transport->problem, "refused"));
    transport->ops->close(transport);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transport_tcp__bytes_both_ways__come_whole_and_in_order),
        cmocka_unit_test(test_transport_tcp_send__peer_reads_nothing__is_blocked_and_goes_on),
        cmocka_unit_test(test_transport_tcp_receive__peer_resets__is_broken_and_says_how),
        cmocka_unit_test(test_transport_tcp_establish__nobody_listens__is_broken_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
