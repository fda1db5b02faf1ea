/* SPDX-License-Identifier: Apache-2.0 */
/* A stream with TLS against OpenSSL's own client, turned by one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/stream.h"
#include "backends/tls.h"
#include "tests/unit/backends/certificate.h"
#include "tests/unit/backends/temporary.h"

#define WAIT_NS 10000000000ull
#define TURN_NS 1000000ull
#define LARGE_BYTES (5u * 1024u * 1024u + 77u)
#define PLAIN_TEXT "this port speaks TLS"

struct operation {
    struct mkv_ring_completion completion;
    uint32_t done_count;
    int32_t result;
};

static void operation_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct operation *operation = (struct operation *)completion;
    (void)flags;
    operation->done_count++;
    operation->result = result;
}

struct fixture {
    char directory[TEMPORARY_PATH_BYTES];
    char certificate[TEMPORARY_PATH_BYTES];
    char key[TEMPORARY_PATH_BYTES];
    struct mkv_ring *ring;
    struct mkv_tls *tls;
    struct mkv_stream stream;
    struct operation receive;
    struct operation send;
    int peer;
    SSL_CTX *context;
    SSL *ssl;
};

static void client_make(struct fixture *fixture) {
    fixture->context = SSL_CTX_new(TLS_client_method());
    assert_non_null(fixture->context);
    assert_int_equal(SSL_CTX_load_verify_locations(fixture->context, fixture->certificate, NULL),
                     1);
    SSL_CTX_set_verify(fixture->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(fixture->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    fixture->ssl = SSL_new(fixture->context);
    assert_non_null(fixture->ssl);
    assert_int_equal(SSL_set1_host(fixture->ssl, "node"), 1);
    assert_int_equal(SSL_set_fd(fixture->ssl, fixture->peer), 1);
    SSL_set_connect_state(fixture->ssl);
}

static void connect_anew(struct fixture *fixture) {
    static const struct mkv_stream_plain_answer plain_answer = {(const uint8_t *)PLAIN_TEXT,
                                                                sizeof PLAIN_TEXT - 1};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    assert_true(
        mkv_stream_open_tls(&fixture->stream, fixture->ring, ends[0], fixture->tls, plain_answer));
    fixture->peer = ends[1];
    client_make(fixture);
}

static int set_up(void **state) {
    struct mkv_backend_error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    temporary_make(fixture->directory);
    temporary_file(fixture->directory, "cert", fixture->certificate);
    temporary_file(fixture->directory, "key", fixture->key);
    certificate_make("node", fixture->certificate, fixture->key);
    const struct mkv_ring_options options = {.entries = 16};
    const struct mkv_tls_options tls_options = {fixture->certificate, fixture->key, MKV_TLS_1_2};
    assert_true(mkv_ring_create(&options, &fixture->ring, &error));
    assert_true(mkv_tls_create(&tls_options, &fixture->tls, &error));
    fixture->receive.completion.done = operation_done;
    fixture->send.completion.done = operation_done;
    connect_anew(fixture);
    *state = fixture;
    return 0;
}

static void disconnect(struct fixture *fixture) {
    mkv_stream_close(&fixture->stream);
    SSL_free(fixture->ssl);
    SSL_CTX_free(fixture->context);
    if (fixture->peer >= 0) {
        close(fixture->peer);
    }
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    disconnect(fixture);
    mkv_tls_destroy(fixture->tls);
    mkv_ring_destroy(fixture->ring);
    temporary_remove(fixture->directory);
    free(fixture);
    return 0;
}

static void turn(struct fixture *fixture) {
    (void)mkv_ring_wait(fixture->ring, TURN_NS);
}

/* Result of an OpenSSL call that would wait: turns the ring. False: it failed or ended. */
static bool client_waits(struct fixture *fixture, int result) {
    const int problem = SSL_get_error(fixture->ssl, result);
    if (problem != SSL_ERROR_WANT_READ && problem != SSL_ERROR_WANT_WRITE) {
        return false;
    }
    turn(fixture);
    return true;
}

static void client_write(struct fixture *fixture, const void *bytes, size_t byte_count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    size_t done = 0;
    while (done < byte_count) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        const int result =
            SSL_write(fixture->ssl, (const uint8_t *)bytes + done, (int)(byte_count - done));
        if (result > 0) {
            done += (size_t)result;
        } else {
            assert_true(client_waits(fixture, result));
        }
    }
}

static void client_read(struct fixture *fixture, void *bytes, size_t byte_count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    size_t done = 0;
    while (done < byte_count) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        const int result =
            SSL_read(fixture->ssl, (uint8_t *)bytes + done, (int)(byte_count - done));
        if (result > 0) {
            done += (size_t)result;
        } else {
            assert_true(client_waits(fixture, result));
        }
    }
}

static int32_t await(struct fixture *fixture, struct operation *operation) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (operation->done_count == 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        turn(fixture);
    }
    assert_int_equal(operation->done_count, 1);
    operation->done_count = 0;
    return operation->result;
}

/* The handshake, and five bytes in each direction. */
static void greet(struct fixture *fixture) {
    char bytes[8] = {0};
    mkv_stream_receive(&fixture->stream, bytes, 5, true, &fixture->receive.completion);
    assert_false(mkv_stream_is_established(&fixture->stream));
    client_write(fixture, "hello", 5);
    assert_int_equal(await(fixture, &fixture->receive), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_true(mkv_stream_is_established(&fixture->stream));
    struct iovec iovec = {"there", 5};
    struct msghdr message = {.msg_iov = &iovec, .msg_iovlen = 1};
    mkv_stream_send(&fixture->stream, &message, &fixture->send.completion);
    assert_int_equal(await(fixture, &fixture->send), 5);
    client_read(fixture, bytes, 5);
    assert_memory_equal(bytes, "there", 5);
}

static void test_stream_tls__handshake__bytes_go_both_ways(void **state) {
    struct fixture *fixture = *state;
    greet(fixture);
    assert_string_equal(SSL_get_version(fixture->ssl), "TLSv1.3");
    assert_int_equal(SSL_get_verify_result(fixture->ssl), X509_V_OK);
}

static void test_stream_tls__tls_1_2_client__is_served(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(SSL_set_max_proto_version(fixture->ssl, TLS1_2_VERSION), 1);
    greet(fixture);
    assert_string_equal(SSL_get_version(fixture->ssl), "TLSv1.2");
}

static void test_stream_tls__old_client__is_refused(void **state) {
    struct fixture *fixture = *state;
    struct mkv_backend_error error;
    const struct mkv_tls_options options = {fixture->certificate, fixture->key, MKV_TLS_1_3};
    char byte;
    disconnect(fixture);
    mkv_tls_destroy(fixture->tls);
    assert_true(mkv_tls_create(&options, &fixture->tls, &error));
    connect_anew(fixture);
    assert_int_equal(SSL_set_max_proto_version(fixture->ssl, TLS1_2_VERSION), 1);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    while (client_waits(fixture, SSL_do_handshake(fixture->ssl))) {
    }
    ERR_clear_error();
    assert_int_equal(await(fixture, &fixture->receive), -EPROTO);
    assert_false(mkv_stream_is_established(&fixture->stream));
}

static void fill(uint8_t *bytes, size_t byte_count) {
    for (size_t i = 0; i < byte_count; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    }
}

static void test_stream_tls__large_messages__arrive_whole(void **state) {
    struct fixture *fixture = *state;
    uint8_t *sent = malloc(LARGE_BYTES);
    uint8_t *come = calloc(1, LARGE_BYTES);
    assert_non_null(sent);
    assert_non_null(come);
    fill(sent, LARGE_BYTES);
    greet(fixture);
    /* Pieces of all sizes, in records and across them. */
    struct iovec iovecs[] = {{sent, 100},
                             {sent + 100, 20000},
                             {sent + 20100, 1},
                             {sent + 20101, 16384},
                             {sent + 36485, LARGE_BYTES - 36485 - 3},
                             {sent + LARGE_BYTES - 3, 3}};
    struct msghdr message = {.msg_iov = iovecs, .msg_iovlen = 6};
    mkv_stream_send(&fixture->stream, &message, &fixture->send.completion);
    client_read(fixture, come, LARGE_BYTES);
    assert_int_equal(await(fixture, &fixture->send), LARGE_BYTES);
    assert_memory_equal(come, sent, LARGE_BYTES);
    memset(come, 0, LARGE_BYTES);
    mkv_stream_receive(&fixture->stream, come, LARGE_BYTES, true, &fixture->receive.completion);
    client_write(fixture, sent, LARGE_BYTES);
    assert_int_equal(await(fixture, &fixture->receive), LARGE_BYTES);
    assert_memory_equal(come, sent, LARGE_BYTES);
    free(sent);
    free(come);
}

static void test_stream_tls__more_in_a_record_than_asked_for__stays_there(void **state) {
    struct fixture *fixture = *state;
    char bytes[8];
    greet(fixture);
    client_write(fixture, "abcdefgh", 8);
    for (uint32_t i = 0; i < 4; i++) {
        mkv_stream_wait_readable(&fixture->stream, &fixture->receive.completion);
        assert_true(await(fixture, &fixture->receive) > 0);
        mkv_stream_receive(&fixture->stream, bytes + 2 * i, 2, false, &fixture->receive.completion);
        assert_int_equal(await(fixture, &fixture->receive), 2);
    }
    assert_memory_equal(bytes, "abcdefgh", 8);
}

static void test_stream_tls__wait_and_receive__can_be_cancelled(void **state) {
    struct fixture *fixture = *state;
    char byte;
    greet(fixture);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    turn(fixture);
    mkv_stream_receive_cancel(&fixture->stream, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), -ECANCELED);
    mkv_stream_wait_readable(&fixture->stream, &fixture->receive.completion);
    for (uint32_t i = 0; i < 20; i++) {
        turn(fixture);
    }
    assert_int_equal(fixture->receive.done_count, 0);
    mkv_stream_receive_cancel(&fixture->stream, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), -ECANCELED);
    client_write(fixture, "b", 1);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 1);
}

static void test_stream_tls__close_notify__is_the_end_in_each_direction(void **state) {
    struct fixture *fixture = *state;
    char byte;
    greet(fixture);
    mkv_stream_shutdown_send(&fixture->stream);
    int result;
    do {
        result = SSL_read(fixture->ssl, &byte, 1);
    } while (result <= 0 && client_waits(fixture, result));
    assert_int_equal(SSL_get_error(fixture->ssl, result), SSL_ERROR_ZERO_RETURN);
    client_write(fixture, "x", 1); /* it still may */
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 1);
    (void)SSL_shutdown(fixture->ssl);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 0);
}

/* The end is taken from the socket by the wait, and the client keeps the socket open. */
static void test_stream_tls__close_notify_while_waited__is_the_end_of_the_receive(void **state) {
    struct fixture *fixture = *state;
    char bytes[8];
    greet(fixture);
    mkv_stream_wait_readable(&fixture->stream, &fixture->receive.completion);
    assert_int_equal(SSL_shutdown(fixture->ssl), 0);
    assert_int_equal(await(fixture, &fixture->receive), 1);
    mkv_stream_receive(&fixture->stream, bytes, sizeof bytes, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 0);
}

static void test_stream_tls__cut_off__is_no_end(void **state) {
    struct fixture *fixture = *state;
    char byte;
    greet(fixture);
    close(fixture->peer);
    fixture->peer = -1;
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), -ECONNRESET);
}

static void test_stream_tls__abort__ends_what_is_in_flight(void **state) {
    struct fixture *fixture = *state;
    char byte;
    uint8_t *many = calloc(1, LARGE_BYTES);
    assert_non_null(many);
    struct iovec iovec = {many, LARGE_BYTES};
    struct msghdr message = {.msg_iov = &iovec, .msg_iovlen = 1};
    greet(fixture);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    mkv_stream_send(&fixture->stream, &message, &fixture->send.completion);
    for (uint32_t i = 0; i < 20; i++) {
        turn(fixture);
    }
    assert_int_equal(fixture->send.done_count, 0); /* nobody reads */
    mkv_stream_abort(&fixture->stream);
    assert_true(await(fixture, &fixture->receive) <= 0);
    assert_true(await(fixture, &fixture->send) < 0);
    free(many);
}

static void test_stream_tls__plain_client__is_told(void **state) {
    struct fixture *fixture = *state;
    char bytes[64] = {0};
    assert_int_equal(write(fixture->peer, "*1\r\n$4\r\nPING\r\n", 14), 14);
    mkv_stream_receive(&fixture->stream, bytes, sizeof bytes, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), -EPROTO);
    assert_int_equal(read(fixture->peer, bytes, sizeof bytes), sizeof PLAIN_TEXT - 1);
    assert_string_equal(bytes, PLAIN_TEXT);
    assert_int_equal(read(fixture->peer, bytes, sizeof bytes), 0);
}

static void test_stream_tls__broken_record__is_an_error(void **state) {
    struct fixture *fixture = *state;
    char byte;
    greet(fixture);
    static const char record[] = "\x17\x03\x03\x00\x20 what nobody has ever enciphered.";
    assert_int_equal(write(fixture->peer, record, sizeof record - 1), sizeof record - 1);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), -EPROTO);
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), -EPROTO);
}

static void test_tls__reload__new_connections_meet_the_new_files(void **state) {
    struct fixture *fixture = *state;
    struct mkv_backend_error error;
    greet(fixture);
    certificate_make("node", fixture->certificate, fixture->key);
    assert_true(mkv_tls_reload(fixture->tls, &error));
    char byte;
    client_write(fixture, "s", 1); /* who is connected stays */
    mkv_stream_receive(&fixture->stream, &byte, 1, false, &fixture->receive.completion);
    assert_int_equal(await(fixture, &fixture->receive), 1);
    disconnect(fixture);
    connect_anew(fixture); /* trusts the new certificate alone */
    greet(fixture);
}

static void expect_refusal(struct fixture *fixture, const char *words) {
    struct mkv_backend_error error = {0};
    assert_false(mkv_tls_reload(fixture->tls, &error));
    assert_int_equal(error.failure, MKV_BACKEND_CONFIGURATION);
    if (strstr(error.text, words) == NULL) {
        fail_msg("'%s' does not say '%s'", error.text, words);
    }
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_tls__files_that_are_no_good__are_refused_and_the_old_stay(void **state) {
    struct fixture *fixture = *state;
    char other[TEMPORARY_PATH_BYTES];
    temporary_file(fixture->directory, "other", other);
    certificate_make("node", other, fixture->key);
    expect_refusal(fixture, "network.tls_key");
    (void)unlink(other);
    assert_int_equal(chmod(fixture->key, 0644), 0);
    expect_refusal(fixture, "chmod o=");
    assert_int_equal(chmod(fixture->key, 0600), 0);
    write_text(fixture->key, "no key");
    expect_refusal(fixture, "network.tls_key");
    write_text(fixture->certificate, "no certificate");
    expect_refusal(fixture, "network.tls_cert");
    assert_int_equal(unlink(fixture->certificate), 0);
    expect_refusal(fixture, "No such file");
    assert_int_equal(unlink(fixture->key), 0);
    expect_refusal(fixture, "No such file");
    greet(fixture); /* its client read the certificate when it began */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_stream_tls__handshake__bytes_go_both_ways),
        TEST(test_stream_tls__tls_1_2_client__is_served),
        TEST(test_stream_tls__old_client__is_refused),
        TEST(test_stream_tls__large_messages__arrive_whole),
        TEST(test_stream_tls__more_in_a_record_than_asked_for__stays_there),
        TEST(test_stream_tls__wait_and_receive__can_be_cancelled),
        TEST(test_stream_tls__close_notify__is_the_end_in_each_direction),
        TEST(test_stream_tls__close_notify_while_waited__is_the_end_of_the_receive),
        TEST(test_stream_tls__cut_off__is_no_end),
        TEST(test_stream_tls__abort__ends_what_is_in_flight),
        TEST(test_stream_tls__plain_client__is_told),
        TEST(test_stream_tls__broken_record__is_an_error),
        TEST(test_tls__reload__new_connections_meet_the_new_files),
        TEST(test_tls__files_that_are_no_good__are_refused_and_the_old_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
