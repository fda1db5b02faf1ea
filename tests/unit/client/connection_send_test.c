/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection sends, with a transport of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

#include "client/engine.h"

#define CALLS 2u

/* Says BLOCKED once, and holds so many bytes; then takes everything. */
struct slow_transport {
    struct mkv_transport base;
    size_t hold_bytes;
    size_t taken_bytes;
    uint8_t taken[4096];
};

struct rig {
    struct memkv_client client;
    struct mkv_remote remote;
    struct mkv_connection *slot;
    struct slow_transport transport;
    struct memkv_item items[CALLS];
    struct mkv_call *calls[CALLS];
    struct mkv_request *requests[CALLS];
};

static enum mkv_transport_result slow_send(struct mkv_transport *base, const struct iovec *iovecs,
                                           size_t iovec_count, size_t *byte_count) {
    struct slow_transport *transport = (struct slow_transport *)base;
    base->held_bytes = transport->hold_bytes;
    if (transport->hold_bytes > 0) {
        transport->hold_bytes = 0;
        return MKV_TRANSPORT_BLOCKED;
    }
    *byte_count = 0;
    for (size_t i = 0; i < iovec_count; i++) {
        assert_true(iovecs[i].iov_len <= sizeof transport->taken - transport->taken_bytes);
        memcpy(transport->taken + transport->taken_bytes, iovecs[i].iov_base, iovecs[i].iov_len);
        transport->taken_bytes += iovecs[i].iov_len;
        *byte_count += iovecs[i].iov_len;
    }
    return MKV_TRANSPORT_MOVED;
}

static void slow_close(struct mkv_transport *base) {
    (void)base;
}

static const struct mkv_transport_ops slow_ops = {
    .name = "slow", .send = slow_send, .close = slow_close};

/* A connection with a PUT of each call to send. */
static struct rig *rig_open(void) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->slot = calloc(1, sizeof *rig->slot);
    assert_non_null(rig->slot);
    rig->client.remotes[0] = &rig->remote;
    rig->client.remote_count = 1;
    rig->client.remote_all_count = 1;
    rig->client.connections_max = 1;
    rig->client.timeout_ms = 1000;
    TAILQ_INIT(&rig->client.running);
    rig->remote.client = &rig->client;
    rig->remote.connections = &rig->slot;
    rig->remote.limits = (struct mkv_native_hello_answer){
        .items_max = 16,
        .requests_max = 16,
        .body_bytes_max = 4096,
        .inline_bytes_max = 4096,
        .block_bytes_max = 4096,
        .value_bytes_max = 4096,
    };
    rig->transport.base =
        (struct mkv_transport){.ops = &slow_ops, .send_events = POLLOUT, .receive_events = POLLIN};
    struct mkv_connection *connection = rig->slot;
    connection->remote = &rig->remote;
    connection->state = MKV_CONNECTION_READY;
    connection->transport = &rig->transport.base;
    connection->is_writable = true;
    connection->request_id_next = 7;
    TAILQ_INIT(&connection->requests);
    TAILQ_INIT(&connection->sends);
    for (uint32_t i = 0; i < CALLS; i++) {
        struct memkv_error error;
        rig->items[i] = (struct memkv_item){
            .op = MEMKV_OP_PUT, .key = "key", .key_bytes = 3, .data = "value", .data_bytes = 5};
        rig->items[i].leased = 1; /* of a call before */
        rig->calls[i] = mkv_call_new(&rig->client, &rig->items[i], 1, NULL, &error);
        assert_non_null(rig->calls[i]);
        rig->calls[i]->is_running = true;
        TAILQ_INSERT_TAIL(&rig->client.running, rig->calls[i], link);
        mkv_share_group(&rig->calls[i]->shares[0]);
        rig->requests[i] = mkv_request_make(connection, &rig->calls[i]->shares[0]);
        assert_non_null(rig->requests[i]);
    }
    return rig;
}

static void rig_close(struct rig *rig) {
    mkv_connection_free(rig->slot);
    for (uint32_t i = 0; i < CALLS; i++) {
        mkv_call_free(rig->calls[i]);
    }
    free(rig);
}

/* What of the requests was taken by the transport when its time of BLOCKED was over. */
static void send_rest(struct rig *rig) {
    rig->slot->is_writable = true;
    assert_int_equal(mkv_connection_send_some(rig->slot), MKV_PROGRESS_MOVED);
    assert_true(TAILQ_EMPTY(&rig->slot->sends));
}

static void test_send__a_held_request_whose_call_ends__is_sent_all_the_same(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    const size_t frame_bytes = rig->requests[0]->frame_bytes;
    rig->transport.hold_bytes = frame_bytes / 2;
    assert_int_equal(mkv_connection_send_some(rig->slot), MKV_PROGRESS_BLOCKED);
    mkv_request_abandon(rig->requests[0], MEMKV_DEADLINE, "late");
    assert_int_equal(rig->items[0].status, MEMKV_UNKNOWN);
    send_rest(rig);
    assert_int_equal(rig->transport.taken_bytes, 2 * frame_bytes);
    assert_memory_equal(rig->transport.taken, rig->requests[0]->frame, frame_bytes);
    assert_memory_equal(rig->transport.taken + frame_bytes, rig->requests[1]->frame, frame_bytes);
    rig_close(rig);
}

static void test_send__a_request_that_nobody_holds__goes_with_its_call(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    const size_t frame_bytes = rig->requests[0]->frame_bytes;
    rig->transport.hold_bytes = frame_bytes;
    assert_int_equal(mkv_connection_send_some(rig->slot), MKV_PROGRESS_BLOCKED);
    mkv_request_abandon(rig->requests[1], MEMKV_DEADLINE, "late");
    assert_int_equal(rig->items[1].status, MEMKV_DEADLINE);
    assert_int_equal(rig->items[1].leased, 0);
    send_rest(rig);
    assert_int_equal(rig->transport.taken_bytes, frame_bytes);
    assert_memory_equal(rig->transport.taken, rig->requests[0]->frame, frame_bytes);
    rig_close(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send__a_held_request_whose_call_ends__is_sent_all_the_same),
        cmocka_unit_test(test_send__a_request_that_nobody_holds__goes_with_its_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
