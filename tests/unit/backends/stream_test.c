/* SPDX-License-Identifier: Apache-2.0 */
/* The plain stream: what io_uring makes of its calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backends/stream.h"

#define WAIT_NS 5000000000ull
#define BRIEF_NS 20000000ull
#define LARGE_BYTES (8u << 20)

struct operation {
    struct mkv_ring_completion completion;
    uint32_t done_count;
    int32_t result;
};

static void operation_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct operation *operation = (struct operation *)completion;
    assert_int_equal(flags & IORING_CQE_F_MORE, 0);
    operation->done_count++;
    operation->result = result;
}

struct fixture {
    struct mkv_ring *ring;
    struct mkv_stream stream;
    struct operation receive;
    struct operation send;
    int peer;
};

static int set_up(void **state) {
    struct mkv_backend_error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    const struct mkv_ring_options options = {.entries = 16};
    assert_true(mkv_ring_create(&options, &fixture->ring, &error));
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    mkv_stream_open(&fixture->stream, fixture->ring, ends[0]);
    fixture->peer = ends[1];
    fixture->receive.completion.done = operation_done;
    fixture->send.completion.done = operation_done;
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    mkv_stream_close(&fixture->stream);
    if (fixture->peer >= 0) {
        close(fixture->peer);
    }
    mkv_ring_destroy(fixture->ring);
    free(fixture);
    return 0;
}

static int32_t await(struct fixture *fixture, struct operation *operation) {
    while (operation->done_count == 0) {
        assert_int_not_equal(mkv_ring_wait(fixture->ring, WAIT_NS), 0);
    }
    assert_int_equal(operation->done_count, 1);
    operation->done_count = 0;
    return operation->result;
}

static void test_stream__receive__takes_what_is_there(void **state) {
    struct fixture *fixture = *state;
    char bytes[16] = {0};
    assert_int_equal(write(fixture->peer, "five!", 5), 5);
    mkv_stream_receive(&fixture->stream, bytes, sizeof bytes, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 5);
    assert_memory_equal(bytes, "five!", 5);
}

static void test_stream__receive_all__waits_for_the_last_byte(void **state) {
    struct fixture *fixture = *state;
    char bytes[8] = {0};
    assert_int_equal(write(fixture->peer, "five!", 5), 5);
    mkv_stream_receive(&fixture->stream, bytes, sizeof bytes, true, &fixture->receive.completion);
    (void)mkv_ring_wait(fixture->ring, BRIEF_NS);
    assert_int_equal(fixture->receive.done_count, 0);
    assert_int_equal(write(fixture->peer, "678", 3), 3);
    assert_int_equal(await(fixture, &fixture->receive), 8);
    assert_memory_equal(bytes, "five!678", 8);
}

static void test_stream__peer_closed__ends_receive_and_wait(void **state) {
    struct fixture *fixture = *state;
    char byte;
    close(fixture->peer);
    fixture->peer = -1;
    mkv_stream_wait_readable(&fixture->stream, &fixture->receive.completion);
    assert_true(await(fixture, &fixture->receive) > 0);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 0);
}

static void test_stream__wait_readable__leaves_the_bytes_there(void **state) {
    struct fixture *fixture = *state;
    char bytes[4];
    mkv_stream_wait_readable(&fixture->stream, &fixture->receive.completion);
    (void)mkv_ring_wait(fixture->ring, BRIEF_NS);
    assert_int_equal(fixture->receive.done_count, 0);
    assert_int_equal(write(fixture->peer, "byte", 4), 4);
    assert_true(await(fixture, &fixture->receive) > 0);
    mkv_stream_receive(&fixture->stream, bytes, sizeof bytes, true, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 4);
    assert_memory_equal(bytes, "byte", 4);
}

static void test_stream__cancel__ends_a_receive_and_a_wait(void **state) {
    struct fixture *fixture = *state;
    char byte;
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    mkv_stream_receive_cancel(&fixture->stream, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), -ECANCELED);
    mkv_stream_wait_readable(&fixture->stream, &fixture->receive.completion);
    mkv_stream_receive_cancel(&fixture->stream, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), -ECANCELED);
    assert_int_equal(write(fixture->peer, "b", 1), 1);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 1);
}

/* Turns the ring while the peer reads, so that a send larger than the socket's buffer ends. */
static void test_stream__send_of_iovecs__arrives_in_order(void **state) {
    struct fixture *fixture = *state;
    uint8_t *sent = malloc(LARGE_BYTES);
    uint8_t *come = malloc(LARGE_BYTES);
    assert_non_null(sent);
    assert_non_null(come);
    for (uint32_t i = 0; i < LARGE_BYTES; i++) {
        sent[i] = (uint8_t)(i * 2654435761u >> 16);
    }
    struct iovec iovecs[] = {
        {sent, 3}, {sent + 3, LARGE_BYTES - 103}, {sent + LARGE_BYTES - 100, 100}};
    struct msghdr message = {.msg_iov = iovecs, .msg_iovlen = 3};
    mkv_stream_send(&fixture->stream, &message, &fixture->send.completion);
    for (size_t count = 0; count < LARGE_BYTES;) {
        (void)mkv_ring_wait(fixture->ring, 0);
        const ssize_t got = recv(fixture->peer, come + count, LARGE_BYTES - count, MSG_DONTWAIT);
        assert_true(got > 0 || errno == EAGAIN);
        count += got > 0 ? (size_t)got : 0;
    }
    assert_int_equal(await(fixture, &fixture->send), LARGE_BYTES);
    assert_memory_equal(come, sent, LARGE_BYTES);
    free(sent);
    free(come);
}

static void test_stream__shutdown_send__still_receives(void **state) {
    struct fixture *fixture = *state;
    char bytes[4];
    struct iovec iovec = {"last", 4};
    struct msghdr message = {.msg_iov = &iovec, .msg_iovlen = 1};
    mkv_stream_send(&fixture->stream, &message, &fixture->send.completion);
    assert_int_equal(await(fixture, &fixture->send), 4);
    mkv_stream_shutdown_send(&fixture->stream);
    assert_int_equal(read(fixture->peer, bytes, 4), 4);
    assert_int_equal(read(fixture->peer, bytes, 4), 0);
    assert_int_equal(write(fixture->peer, "more", 4), 4);
    mkv_stream_receive(&fixture->stream, bytes, 4, true, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 4);
}

static void test_stream__abort__ends_what_is_in_flight(void **state) {
    struct fixture *fixture = *state;
    char byte;
    uint8_t *many = calloc(1, LARGE_BYTES);
    assert_non_null(many);
    struct iovec iovec = {many, LARGE_BYTES};
    struct msghdr message = {.msg_iov = &iovec, .msg_iovlen = 1};
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    mkv_stream_send(&fixture->stream, &message, &fixture->send.completion);
    (void)mkv_ring_wait(fixture->ring, BRIEF_NS);
    assert_int_equal(fixture->send.done_count, 0);
    mkv_stream_abort(&fixture->stream);
    assert_true(await(fixture, &fixture->receive) <= 0);
    assert_true(await(fixture, &fixture->send) < (int32_t)LARGE_BYTES);
    free(many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stream__receive__takes_what_is_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stream__receive_all__waits_for_the_last_byte, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stream__peer_closed__ends_receive_and_wait, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stream__wait_readable__leaves_the_bytes_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stream__cancel__ends_a_receive_and_a_wait, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stream__send_of_iovecs__arrives_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stream__shutdown_send__still_receives, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stream__abort__ends_what_is_in_flight, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
