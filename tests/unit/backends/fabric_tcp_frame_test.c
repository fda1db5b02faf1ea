/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that break the protocol: each gets an answer that names the fault, and then the end; what
 * it had in flight fails, and nobody else notices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/backends/fabric_world.h"

#define HEADER MKV_NATIVE_HEADER_BYTES

/* Makes the checksum of a header right again that was changed by hand. */
static void seal(uint8_t *bytes) {
    mkv_store_u64(bytes + 56, mkv_hash_64(bytes, 56));
}

static void expect_fault(const struct world *world, uint32_t fault) {
    for (uint32_t i = 0; i < MKV_FABRIC_FAULT_COUNT; i++) {
        assert_int_equal(world_counters(world)->faults_total[i], i == fault);
    }
}

/* Sends one frame on a connection that said HELLO, and expects the fault. */
static void refused(const uint8_t *bytes, size_t byte_count, uint32_t fault) {
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    client_send(world, &client, bytes, byte_count);
    client_expect_refusal(world, &client, mkv_fabric_fault_text(fault));
    expect_fault(world, fault);
    assert_int_equal(world->request_count, 0);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__garbage__is_bad_magic(void **state) {
    (void)state;
    uint8_t bytes[1000];
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
    }
    refused(bytes, sizeof bytes, MKV_NATIVE_BAD_MAGIC);
}

static void test_fabric_tcp_frame__another_version__is_named(void **state) {
    (void)state;
    uint8_t bytes[HEADER];
    frame_simple(bytes, MKV_NATIVE_PING, 1);
    bytes[4] = 2;
    seal(bytes);
    refused(bytes, sizeof bytes, MKV_NATIVE_BAD_VERSION);
}

static void test_fabric_tcp_frame__flipped_bit__is_a_checksum_failure(void **state) {
    (void)state;
    uint8_t bytes[HEADER];
    frame_simple(bytes, MKV_NATIVE_PING, 1);
    bytes[9] ^= 0x10;
    refused(bytes, sizeof bytes, MKV_NATIVE_BAD_CHECKSUM);
}

static void test_fabric_tcp_frame__oversized_figures__are_refused_before_their_bytes(void **state) {
    (void)state;
    uint8_t bytes[4096];
    frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false);
    mkv_store_u32(bytes + 20, MKV_NATIVE_ITEMS_MAX + 1);
    seal(bytes);
    refused(bytes, HEADER, MKV_NATIVE_BAD_ITEM_COUNT);

    frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false);
    mkv_store_u32(bytes + 24, 0xffffffffu);
    seal(bytes);
    refused(bytes, HEADER, MKV_NATIVE_BAD_BODY_BYTES);

    frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 100, true);
    mkv_store_u64(bytes + 32, MKV_NATIVE_INLINE_BYTES_MAX + 1);
    seal(bytes);
    refused(bytes, HEADER, MKV_NATIVE_BAD_PAYLOAD_BYTES);
}

static void test_fabric_tcp_frame__bad_items__are_named(void **state) {
    (void)state;
    uint8_t bytes[4096];
    size_t size = frame_request(bytes, MKV_NATIVE_EXISTS, 1, 2, 0, false);
    mkv_store_u16(bytes + HEADER + 36, 0); /* key bytes of the first item */
    refused(bytes, size, MKV_NATIVE_BAD_KEY_BYTES);

    size = frame_request(bytes, MKV_NATIVE_PUT, 1, 2, 100, true);
    mkv_store_u64(bytes + HEADER + 8, 101); /* the lengths are no longer the payload */
    refused(bytes, size, MKV_NATIVE_BAD_PAYLOAD_BYTES);

    size = frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 100, false);
    mkv_store_u64(bytes + HEADER + 8, MKV_NATIVE_VALUE_BYTES_MAX + 1);
    refused(bytes, size, MKV_NATIVE_BAD_LENGTH);
}

static void test_fabric_tcp_frame__frames_of_servers__are_refused(void **state) {
    (void)state;
    uint8_t bytes[256];
    struct mkv_native_header header = {.op = MKV_NATIVE_PING, .flags = MKV_NATIVE_FLAG_ANSWER};
    mkv_native_header_encode(&header, bytes);
    refused(bytes, HEADER, MKV_FABRIC_FAULT_NOT_A_REQUEST);

    header =
        (struct mkv_native_header){.op = MKV_NATIVE_READY, .body_bytes = MKV_NATIVE_READY_BYTES};
    mkv_native_header_encode(&header, bytes);
    refused(bytes, HEADER, MKV_FABRIC_FAULT_NOT_A_REQUEST);
}

static void test_fabric_tcp_frame__second_hello__is_refused(void **state) {
    (void)state;
    uint8_t bytes[256];
    refused(bytes, frame_hello(bytes), MKV_FABRIC_FAULT_HELLO_TWICE);
}

static void test_fabric_tcp_frame__data_without_ready__is_refused(void **state) {
    (void)state;
    uint8_t bytes[512] = {0};
    const size_t size = frame_data(bytes, 1, 0, 0, 100) + 100;
    refused(bytes, size, MKV_FABRIC_FAULT_DATA_UNASKED);
}

#define TRACE_ID_BYTE 0x5a

/* A request with a trace context behind its keys; `bytes` has room for it. */
static size_t frame_traced(uint8_t *bytes, enum mkv_native_op op, uint64_t length, bool is_inline) {
    uint8_t plain[4096];
    const size_t plain_bytes = frame_request(plain, op, 1, 1, length, is_inline);
    struct mkv_native_header header;
    assert_int_equal(mkv_native_header_decode(plain, &header), MKV_NATIVE_OK);
    const size_t body_end = HEADER + header.body_bytes;
    struct mkv_trace_context trace = {.flags = 1};
    memset(trace.trace_id, TRACE_ID_BYTE, sizeof trace.trace_id);
    memset(trace.parent_id, 7, sizeof trace.parent_id);
    memcpy(bytes, plain, body_end);
    mkv_native_trace_encode(&trace, bytes + body_end);
    memcpy(bytes + body_end + MKV_NATIVE_TRACE_BYTES, plain + body_end, plain_bytes - body_end);
    header.flags |= MKV_NATIVE_FLAG_TRACE;
    header.body_bytes += MKV_NATIVE_TRACE_BYTES;
    mkv_native_header_encode(&header, bytes);
    return plain_bytes + MKV_NATIVE_TRACE_BYTES;
}

/* Says HELLO with these features wanted, and returns those granted. */
static uint64_t hello_with(struct world *world, struct client *client, uint64_t features) {
    uint8_t bytes[256];
    const size_t byte_count = frame_hello(bytes);
    mkv_store_u64(bytes + HEADER + 8, features);
    client_send(world, client, bytes, byte_count);
    struct frame frame = client_frame(world, client);
    struct mkv_native_hello_answer answer;
    assert_int_equal(mkv_native_hello_answer_decode(frame.body, &answer), MKV_NATIVE_OK);
    world_frame_free(&frame);
    return answer.features;
}

static void test_fabric_tcp_frame__trace_that_was_not_agreed__is_refused(void **state) {
    (void)state;
    uint8_t bytes[4096];
    refused(bytes, frame_traced(bytes, MKV_NATIVE_EXISTS, 0, false), MKV_NATIVE_BAD_FLAGS);
}

static void test_fabric_tcp_frame__trace__is_in_the_request(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    assert_int_equal(hello_with(world, &client, UINT64_MAX),
                     MKV_NATIVE_FEATURE_TRACE | MKV_NATIVE_FEATURE_ROOTS);
    uint8_t bytes[4096];
    client_send(world, &client, bytes, frame_traced(bytes, MKV_NATIVE_EXISTS, 0, false));
    struct frame frame = client_frame(world, &client);
    world_frame_free(&frame);
    client_send(world, &client, bytes, frame_traced(bytes, MKV_NATIVE_PUT, 100, true));
    frame = client_frame(world, &client);
    world_frame_free(&frame);
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 1, 1, 0, false));
    frame = client_frame(world, &client);
    world_frame_free(&frame);
    for (uint32_t index = 0; index < 3; index++) {
        const struct mkv_request *request = &world->requests[index].request;
        const bool traced = index < 2;
        assert_int_equal(request->trace.trace_id[15], traced ? TRACE_ID_BYTE : 0);
        assert_int_equal(request->trace.parent_id[0], traced ? 7 : 0);
        assert_int_equal(request->trace.flags, traced ? 1 : 0);
        assert_int_equal(world->requests[index].keys_bytes, 4); /* the key alone */
        assert_true(request->received_ns > 0);
    }
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__trace_without_ids__is_refused(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    (void)hello_with(world, &client, MKV_NATIVE_FEATURE_TRACE);
    uint8_t bytes[4096];
    const size_t byte_count = frame_traced(bytes, MKV_NATIVE_EXISTS, 0, false);
    memset(bytes + byte_count - MKV_NATIVE_TRACE_BYTES, 0, 16);
    client_send(world, &client, bytes, byte_count);
    client_expect_refusal(world, &client, mkv_fabric_fault_text(MKV_NATIVE_BAD_TRACE));
    expect_fault(world, MKV_NATIVE_BAD_TRACE);
    client_close(&client);
    world_destroy(world);
}

static struct frame exchange(struct world *world, struct client *client, enum mkv_native_op op,
                             uint64_t request_id) {
    uint8_t bytes[512];
    client_send(world, client, bytes, frame_request(bytes, op, request_id, 1, 0, false));
    return client_frame(world, client);
}

static void test_fabric_tcp_frame__tenant_of_hello__its_number_is_in_requests(void **state) {
    (void)state;
    const struct world_options options = {.tenants = true};
    struct world *world = world_create(&options);
    world->resolved = MKV_TENANT_KNOWN;
    struct client client = world_greeted_as(world, "batch");
    struct frame frame = exchange(world, &client, MKV_NATIVE_EXISTS, 1);
    assert_int_equal(frame.header.status, MKV_STATUS_OK);
    assert_int_equal(world->requests[0].request.tenant, 7);
    assert_string_equal(world->requests[0].request.tenant_name, "batch");
    assert_false(world->resolved_create);
    world_frame_free(&frame);
    world->resolved = MKV_TENANT_ABSENT;
    frame = exchange(world, &client, MKV_NATIVE_DELETE, 2);
    assert_int_equal(world->requests[1].request.tenant, MKV_NONE_U32);
    world_frame_free(&frame);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__put_of_a_new_tenant__waits_for_its_number(void **state) {
    (void)state;
    const struct world_options options = {.tenants = true};
    struct world *world = world_create(&options);
    world->resolved = MKV_TENANT_PENDING;
    struct client client = world_greeted_as(world, "batch");
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 0, false));
    for (uint32_t turn = 0; turn < 20; turn++) {
        world_turn(world);
    }
    assert_int_equal(world->request_count, 0);
    assert_true(world->resolved_create);
    world->resolved = MKV_TENANT_KNOWN;
    struct frame frame = client_frame(world, &client);
    assert_int_equal(frame.header.op, MKV_NATIVE_PUT);
    assert_int_equal(world->requests[0].request.tenant, 7);
    world_frame_free(&frame);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__no_room_for_a_tenant__the_put_is_refused(void **state) {
    (void)state;
    const struct world_options options = {.tenants = true};
    struct world *world = world_create(&options);
    world->resolved = MKV_TENANT_REFUSED;
    struct client client = world_greeted_as(world, "batch");
    struct frame frame = exchange(world, &client, MKV_NATIVE_PUT, 1);
    assert_int_equal(frame.header.status, MKV_STATUS_NO_SPACE);
    assert_non_null(strstr((const char *)frame.body, "another tenant"));
    world_frame_free(&frame);
    uint8_t bytes[512] = {0};
    const size_t size = frame_request(bytes, MKV_NATIVE_PUT, 2, 1, 100, true);
    client_send(world, &client, bytes, size);
    client_expect_refusal(world, &client, "another tenant");
    assert_int_equal(world->request_count, 0);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__bad_name_of_a_tenant__is_refused(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    uint8_t bytes[256];
    client_send(world, &client, bytes, frame_hello_as(bytes, "no spaces"));
    client_expect_refusal(world, &client, "1 to 79 characters");
    expect_fault(world, MKV_NATIVE_BAD_TENANT);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__anything_before_hello__is_refused(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_GET, 77, 1, 0, false));
    struct frame frame = client_frame(world, &client);
    assert_int_equal(frame.header.op, MKV_NATIVE_GET);
    assert_int_equal(frame.header.request_id, 77);
    assert_int_equal(frame.header.status, MKV_STATUS_INVALID);
    assert_non_null(strstr((const char *)frame.body, "HELLO"));
    world_frame_free(&frame);
    client_await_end(world, &client);
    expect_fault(world, MKV_FABRIC_FAULT_NO_HELLO);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__hello_of_another_version__is_named(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    uint8_t bytes[256];
    const size_t size = frame_hello(bytes);
    mkv_store_u16(bytes + HEADER, 2); /* lowest and highest version */
    mkv_store_u16(bytes + HEADER + 2, 3);
    client_send(world, &client, bytes, size);
    client_expect_refusal(world, &client, "version");
    expect_fault(world, MKV_NATIVE_BAD_VERSION);
    client_close(&client);
    world_destroy(world);
}

/* ---- DATA that is not what READY asked for -------------------------------------------------- */

/* A PUT of two items of 5000 bytes is ready for its payloads; `size` bytes of a frame follow. */
static void data_refused(const uint8_t *bytes, size_t size, uint32_t fault) {
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t request[512];
    client_send(world, &client, request, frame_request(request, MKV_NATIVE_PUT, 1, 2, 5000, false));
    for (uint32_t i = 0; i < 2; i++) {
        struct frame ready = client_frame(world, &client);
        assert_int_equal(ready.header.op, MKV_NATIVE_READY);
        world_frame_free(&ready);
    }
    client_send(world, &client, bytes, size);
    client_expect_refusal(world, &client, mkv_fabric_fault_text(fault));
    expect_fault(world, fault);
    client_close(&client);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_count(world, WORLD_PULL_FAILED), 2);
    assert_int_equal(world->log[world->log_count - 1].event, WORLD_CLOSED);
    world_destroy(world);
}

static void test_fabric_tcp_frame__data_out_of_order__is_refused_and_pulls_fail(void **state) {
    (void)state;
    uint8_t bytes[6000] = {0};
    data_refused(bytes, frame_data(bytes, 1, 1, 0, 5000) + 5000, MKV_FABRIC_FAULT_DATA_MISMATCH);
}

static void test_fabric_tcp_frame__data_of_other_figures__is_refused(void **state) {
    (void)state;
    uint8_t bytes[256] = {0};
    data_refused(bytes, frame_data(bytes, 2, 0, 0, 5000), MKV_FABRIC_FAULT_DATA_MISMATCH);
    data_refused(bytes, frame_data(bytes, 1, 0, 1, 5000), MKV_FABRIC_FAULT_DATA_MISMATCH);
    data_refused(bytes, frame_data(bytes, 1, 0, 0, 5001), MKV_FABRIC_FAULT_DATA_MISMATCH);
    const size_t size = frame_data(bytes, 1, 0, 0, 5000);
    mkv_store_u64(bytes + 32, 4999); /* the header's payload bytes */
    seal(bytes);
    data_refused(bytes, size, MKV_NATIVE_BAD_PAYLOAD_BYTES);
}

/* ---- requests ------------------------------------------------------------------------------- */

static void test_fabric_tcp_frame__request_id_in_flight__is_refused(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    world->hold_answers = true;
    uint8_t bytes[512];
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 5, 1, 0, false));
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_DELETE, 5, 1, 0, false));
    client_expect_refusal(world, &client, "request id");
    expect_fault(world, MKV_FABRIC_FAULT_REQUEST_ID);
    assert_int_equal(world->request_count, 1);
    client_close(&client);
    world_await(world, WORLD_CLOSED, 1);
    world_destroy(world);
}

static void test_fabric_tcp_frame__request_id_answered__may_be_used_again(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t bytes[512];
    const size_t size = frame_request(bytes, MKV_NATIVE_EXISTS, 5, 1, 0, false);
    for (uint32_t i = 0; i < 3; i++) {
        client_send(world, &client, bytes, size);
        struct frame frame = client_frame(world, &client);
        assert_int_equal(frame.header.status, MKV_STATUS_OK);
        world_frame_free(&frame);
    }
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__more_requests_than_allowed__are_refused(void **state) {
    (void)state;
    const struct world_options options = {.requests_max = 4};
    struct world *world = world_create(&options);
    struct client client = world_greeted(world);
    world->hold_answers = true;
    uint8_t bytes[512];
    /* The fifth reaches the front, which would refuse it as busy; the sixth does not. */
    for (uint32_t i = 0; i < 6; i++) {
        client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, i, 1, 0, false));
    }
    client_expect_refusal(world, &client, "in flight");
    expect_fault(world, MKV_FABRIC_FAULT_REQUESTS);
    assert_int_equal(world->request_count, 5);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__answers_queued_before_a_fault__still_leave(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t bytes[1024];
    size_t size = frame_request(bytes, MKV_NATIVE_GET, 1, 1, 3000, false);
    size += frame_request(bytes + size, MKV_NATIVE_EXISTS, 2, 1, 0, false);
    memset(bytes + size, 'x', 100);
    client_send(world, &client, bytes, size + 100);
    struct frame data = client_frame(world, &client);
    assert_int_equal(data.header.op, MKV_NATIVE_DATA);
    struct frame get = client_frame(world, &client);
    assert_int_equal(get.header.op, MKV_NATIVE_GET);
    struct frame exists = client_frame(world, &client);
    assert_int_equal(exists.header.op, MKV_NATIVE_EXISTS);
    client_expect_refusal(world, &client, mkv_fabric_fault_text(MKV_NATIVE_BAD_MAGIC));
    world_frame_free(&data);
    world_frame_free(&get);
    world_frame_free(&exists);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__answers_after_a_fault__do_not_leave(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    world->hold_answers = true;
    uint8_t bytes[1024];
    const size_t size = frame_request(bytes, MKV_NATIVE_EXISTS, 2, 1, 0, false);
    memset(bytes + size, 'x', 100);
    client_send(world, &client, bytes, size + 100);
    while (world_counters(world)->faults_total[MKV_NATIVE_BAD_MAGIC] == 0) {
        world_turn(world);
    }
    /* The refusal is queued and not sent yet; the answer comes to stand behind it. */
    world_answer(world, 0);
    client_expect_refusal(world, &client, mkv_fabric_fault_text(MKV_NATIVE_BAD_MAGIC));
    client_close(&client);
    world_await(world, WORLD_ANSWER_FAILED, 1);
    world_await(world, WORLD_CLOSED, 1);
    world_destroy(world);
}

static void test_fabric_tcp_frame__bytes_behind_a_fault__do_not_reset_the_connection(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    struct client client = world_greeted(world);
    uint8_t *bytes = malloc(1000000);
    assert_non_null(bytes);
    memset(bytes, 'x', 1000000);
    client_send(world, &client, bytes, 1000000);
    client_expect_refusal(world, &client, mkv_fabric_fault_text(MKV_NATIVE_BAD_MAGIC));
    /* An end, not a reset: with some kernels a reset takes the refusal with it. */
    client_send(world, &client, bytes, 100000);
    int socket_error = -1;
    socklen_t error_bytes = sizeof socket_error;
    assert_int_equal(getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &socket_error, &error_bytes), 0);
    assert_int_equal(socket_error, 0);
    free(bytes);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__refused_client_that_stays__is_closed_in_time(void **state) {
    (void)state;
    const uint64_t close_ns = 20ull * 1000000000u;
    const struct world_options options = {.counts_time = true, .close_ns = close_ns};
    struct world *world = world_create(&options);
    struct client client = world_greeted(world);
    struct client other = world_greeted(world);
    client_send(world, &client, "junk, and nothing of use behind it, but enough for one header....",
                HEADER);
    client_expect_refusal(world, &client, mkv_fabric_fault_text(MKV_NATIVE_BAD_MAGIC));
    /* It neither closes nor reads; its place comes back all the same. */
    const uint64_t active = 1;
    assert_int_equal(world_counters(world)->connections_active, active + 1);
    world_pass(world, close_ns);
    for (uint32_t i = 0; i < 5000 && world_counters(world)->connections_active > active; i++) {
        world_turn(world);
    }
    assert_int_equal(world_counters(world)->connections_active, active);
    uint8_t bytes[HEADER];
    client_send(world, &other, bytes, frame_simple(bytes, MKV_NATIVE_PING, 1));
    struct frame frame = client_frame(world, &other);
    assert_int_equal(frame.header.op, MKV_NATIVE_PING);
    world_frame_free(&frame);
    client_close(&client);
    client_close(&other);
    world_destroy(world);
}

static void test_fabric_tcp_frame__random_bytes_behind_hello__never_do_harm(void **state) {
    (void)state;
    struct world *world = world_create(NULL);
    uint64_t random = 88172645463325252ull;
    for (uint32_t round = 0; round < 100; round++) {
        struct client client = world_greeted(world);
        uint8_t bytes[2048];
        const size_t size = frame_request(bytes, MKV_NATIVE_PUT, round, 2, 300, true);
        /* A few bytes of a good frame are changed; the header may be made right again. */
        for (uint32_t i = 0; i < 3; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes[random % size] = (uint8_t)(random >> 40);
        }
        if (round % 2 == 0) {
            seal(bytes);
        }
        client_send(world, &client, bytes, size);
        client_close(&client);
        for (uint32_t i = 0; i < 3; i++) {
            world_turn(world);
        }
    }
    struct client client = world_greeted(world);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_fault__all__have_words(void **state) {
    (void)state;
    for (uint32_t i = 1; i < MKV_FABRIC_FAULT_COUNT; i++) {
        assert_true(strlen(mkv_fabric_fault_name(i)) > 0);
        assert_true(strlen(mkv_fabric_fault_text(i)) > 0);
        assert_true(strlen(mkv_fabric_fault_text(i)) <= MKV_NATIVE_TEXT_BYTES_MAX);
    }
}

static size_t frame_hello_home(uint8_t *bytes, uint32_t home) {
    const size_t byte_count = frame_hello(bytes);
    mkv_store_u32(bytes + HEADER + 4, home);
    mkv_store_u64(bytes + HEADER + 8, MKV_NATIVE_FEATURE_SHARDS);
    return byte_count;
}

static void expect_granted(struct world *world, struct client *client) {
    struct frame frame = client_frame(world, client);
    struct mkv_native_hello_answer answer;
    assert_int_equal(mkv_native_hello_answer_decode(frame.body, &answer), MKV_NATIVE_OK);
    assert_int_equal(answer.features, MKV_NATIVE_FEATURE_SHARDS);
    world_frame_free(&frame);
}

static void test_fabric_tcp_frame__hello_that_names_a_shard__is_answered_there(void **state) {
    (void)state;
    const struct world_options options = {.shards = true};
    struct world *world = world_create(&options);
    world->moves_max = 1;
    struct client client = world_connect(world);
    uint8_t bytes[4096];
    client_send(world, &client, bytes, frame_hello_home(bytes, 2));
    while (world->moves == 0 || world_counters(world)->connections_active > 0) {
        world_turn(world);
    }
    assert_int_equal(world->move.byte_count, frame_hello_home(bytes, 2));
    assert_memory_equal(world->move.bytes, bytes, world->move.byte_count);

    /* This fabric is the other shard's, too: it may not be moved again. */
    mkv_fabric_tcp_adopt(world->fabric, &world->move);
    expect_granted(world, &client);
    client_send(world, &client, bytes, frame_simple(bytes, MKV_NATIVE_SHARDS, 3));
    struct frame frame = client_frame(world, &client);
    struct mkv_native_shards shards;
    assert_int_equal(frame.header.op, MKV_NATIVE_SHARDS);
    assert_int_equal(mkv_native_shards_decode(frame.body, frame.header.body_bytes, &shards),
                     MKV_NATIVE_OK);
    assert_int_equal(shards.shard_count, 2);
    assert_int_equal(shards.drive_count, 1);
    world_frame_free(&frame);
    client_send(world, &client, bytes, frame_request(bytes, MKV_NATIVE_EXISTS, 4, 1, 0, false));
    frame = client_frame(world, &client);
    assert_int_equal(frame.header.request_id, 4);
    world_frame_free(&frame);
    assert_int_equal(world_counters(world)->connections_accepted_total, 1);
    assert_int_equal(world_counters(world)->connections_active, 1);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_tcp_frame__no_way_to_the_shard__is_answered_here(void **state) {
    (void)state;
    const struct world_options options = {.shards = true};
    struct world *world = world_create(&options);
    uint8_t bytes[256];
    for (uint32_t home = 0; home < 4; home++) {
        struct client client = world_connect(world);
        client_send(world, &client, bytes, frame_hello_home(bytes, home));
        expect_granted(world, &client);
        client_close(&client);
    }
    assert_int_equal(world->moves, 0);
    world_destroy(world);
}

static void test_fabric_tcp_frame__moved_where_all_places_are_taken__is_told_so(void **state) {
    (void)state;
    const struct world_options options = {.shards = true, .connections_max = 1};
    struct world *world = world_create(&options);
    world->moves_max = 1;
    struct client client = world_connect(world);
    uint8_t bytes[256];
    client_send(world, &client, bytes, frame_hello_home(bytes, 2));
    while (world->moves == 0 || world_counters(world)->connections_active > 0) {
        world_turn(world);
    }
    struct client other = world_greeted(world);
    mkv_fabric_tcp_adopt(world->fabric, &world->move);
    struct frame frame = client_frame(world, &client);
    assert_int_equal(frame.header.status, MKV_STATUS_BUSY);
    world_frame_free(&frame);
    client_await_end(world, &client);
    client_close(&client);
    client_close(&other);
    world_destroy(world);
}

static void test_fabric_tcp_frame__half_of_the_places__is_not_for_those_of_others(void **state) {
    (void)state;
    const struct world_options options = {.shards = true, .connections_max = 4};
    struct world *world = world_create(&options);
    struct client clients[3];
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(mkv_fabric_tcp_adopts_max(world->fabric), 2 - i);
        clients[i] = world_greeted(world);
    }
    assert_int_equal(mkv_fabric_tcp_adopts_max(world->fabric), 0);
    client_close(&clients[0]);
    client_close(&clients[1]);
    while (world_counters(world)->connections_active > 1) {
        world_turn(world);
    }
    assert_int_equal(mkv_fabric_tcp_adopts_max(world->fabric), 1);
    mkv_fabric_tcp_drain(world->fabric);
    assert_int_equal(mkv_fabric_tcp_adopts_max(world->fabric), 0);
    client_close(&clients[2]);
    world_destroy(world);
}

static void test_fabric_tcp_frame__shards_that_were_not_agreed__are_refused(void **state) {
    (void)state;
    uint8_t bytes[256];
    refused(bytes, frame_simple(bytes, MKV_NATIVE_SHARDS, 5), MKV_NATIVE_BAD_OP);
}

static void test_fabric_tcp_frame__rdma_that_was_not_granted__is_refused(void **state) {
    (void)state;
    uint8_t bytes[512];
    struct world *world = world_create(NULL);
    struct client client = world_connect(world);
    const uint64_t wanted = MKV_NATIVE_FEATURE_RDMA | MKV_NATIVE_FEATURE_ROOTS;
    assert_int_equal(hello_with(world, &client, wanted), MKV_NATIVE_FEATURE_ROOTS);
    client_close(&client);
    world_destroy(world);

    struct mkv_native_header header = {
        .op = MKV_NATIVE_CONNECT, .request_id = 1, .body_bytes = MKV_NATIVE_CONNECT_BYTES};
    const struct mkv_native_connect connect = {.queue_pair = 2,
                                               .mtu_bytes = 1024,
                                               .message_bytes = 8192,
                                               .receives = 4,
                                               .reads = 1,
                                               .link = MKV_NATIVE_LINK_INFINIBAND};
    mkv_native_header_encode(&header, bytes);
    mkv_native_connect_encode(&connect, bytes + HEADER);
    refused(bytes, HEADER + MKV_NATIVE_CONNECT_BYTES, MKV_FABRIC_FAULT_RDMA);

    header = (struct mkv_native_header){.op = MKV_NATIVE_GET,
                                        .flags = MKV_NATIVE_FLAG_REMOTE,
                                        .request_id = 1,
                                        .item_count = 1,
                                        .body_bytes = 48 + 16 + 1};
    const struct mkv_native_item item = {.key_bytes = 1, .length = 5};
    mkv_native_header_encode(&header, bytes);
    mkv_native_item_encode(&item, bytes + HEADER);
    mkv_native_remote_encode(&item.remote, bytes + HEADER + MKV_NATIVE_ITEM_BYTES);
    bytes[HEADER + 48 + 16] = 'k';
    refused(bytes, HEADER + 65, MKV_FABRIC_FAULT_RDMA);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_tcp_frame__garbage__is_bad_magic),
        cmocka_unit_test(test_fabric_tcp_frame__another_version__is_named),
        cmocka_unit_test(test_fabric_tcp_frame__flipped_bit__is_a_checksum_failure),
        cmocka_unit_test(test_fabric_tcp_frame__oversized_figures__are_refused_before_their_bytes),
        cmocka_unit_test(test_fabric_tcp_frame__bad_items__are_named),
        cmocka_unit_test(test_fabric_tcp_frame__frames_of_servers__are_refused),
        cmocka_unit_test(test_fabric_tcp_frame__second_hello__is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__trace_that_was_not_agreed__is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__trace__is_in_the_request),
        cmocka_unit_test(test_fabric_tcp_frame__trace_without_ids__is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__data_without_ready__is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__tenant_of_hello__its_number_is_in_requests),
        cmocka_unit_test(test_fabric_tcp_frame__put_of_a_new_tenant__waits_for_its_number),
        cmocka_unit_test(test_fabric_tcp_frame__no_room_for_a_tenant__the_put_is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__bad_name_of_a_tenant__is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__anything_before_hello__is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__hello_of_another_version__is_named),
        cmocka_unit_test(test_fabric_tcp_frame__data_out_of_order__is_refused_and_pulls_fail),
        cmocka_unit_test(test_fabric_tcp_frame__data_of_other_figures__is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__request_id_in_flight__is_refused),
        cmocka_unit_test(test_fabric_tcp_frame__request_id_answered__may_be_used_again),
        cmocka_unit_test(test_fabric_tcp_frame__more_requests_than_allowed__are_refused),
        cmocka_unit_test(test_fabric_tcp_frame__answers_queued_before_a_fault__still_leave),
        cmocka_unit_test(test_fabric_tcp_frame__answers_after_a_fault__do_not_leave),
        cmocka_unit_test(test_fabric_tcp_frame__bytes_behind_a_fault__do_not_reset_the_connection),
        cmocka_unit_test(test_fabric_tcp_frame__refused_client_that_stays__is_closed_in_time),
        cmocka_unit_test(test_fabric_tcp_frame__random_bytes_behind_hello__never_do_harm),
        cmocka_unit_test(test_fabric_tcp_frame__hello_that_names_a_shard__is_answered_there),
        cmocka_unit_test(test_fabric_tcp_frame__no_way_to_the_shard__is_answered_here),
        cmocka_unit_test(test_fabric_tcp_frame__moved_where_all_places_are_taken__is_told_so),
        cmocka_unit_test(test_fabric_tcp_frame__half_of_the_places__is_not_for_those_of_others),
        cmocka_unit_test(test_fabric_tcp_frame__shards_that_were_not_agreed__are_refused),
        cmocka_unit_test(test_fabric_tcp_frame__rdma_that_was_not_granted__is_refused),
        cmocka_unit_test(test_fabric_fault__all__have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
