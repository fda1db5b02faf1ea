/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side, against servers that answer whatever the test wants. */
#include "admin/http_get.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

#define TIMEOUT_MS 5000u

/* Takes one connection, reads a request, answers, and closes. */
struct server {
    pthread_t thread;
    int listen_fd;
    uint16_t port;
    const char *answer;
    size_t answer_bytes;
    bool silent; /* waits for the client to close */
    char request[2048];
};

static void *serve(void *context) {
    struct server *server = context;
    const int fd = accept(server->listen_fd, NULL, NULL);
    size_t count = 0;
    while (strstr(server->request, "\r\n\r\n") == NULL) {
        const ssize_t step =
            recv(fd, server->request + count, sizeof server->request - 1 - count, 0);
        if (step <= 0) {
            break;
        }
        count += (size_t)step;
    }
    if (server->silent) {
        char byte;
        (void)!recv(fd, &byte, 1, 0);
    }
    size_t sent = 0;
    while (sent < server->answer_bytes) {
        const ssize_t step =
            send(fd, server->answer + sent, server->answer_bytes - sent, MSG_NOSIGNAL);
        if (step <= 0) {
            break;
        }
        sent += (size_t)step;
    }
    close(fd);
    return NULL;
}

static void server_start(struct server *server, const char *answer, size_t answer_bytes,
                         bool silent) {
    *server = (struct server){.answer = answer, .answer_bytes = answer_bytes, .silent = silent};
    server->listen_fd = fake_listen(INADDR_LOOPBACK, &server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server) {
    pthread_join(server->thread, NULL);
    close(server->listen_fd);
}

static void expect_result(const char *answer, enum mkv_http_get_result result, unsigned status,
                          const char *body_or_error) {
    struct server server;
    server_start(&server, answer, strlen(answer), false);
    struct mkv_http_response response = {0};
    char error[MKV_HTTP_GET_ERROR_BYTES] = "";
    const enum mkv_http_get_result got =
        mkv_http_get("127.0.0.1", server.port, "/v1/x", TIMEOUT_MS, &response, error);
    server_stop(&server);
    assert_int_equal(got, result);
    assert_int_equal(response.status, status);
    assert_string_equal(result == MKV_HTTP_GET_OK ? response.body : error, body_or_error);
    free(response.body);
}

static void test_http_get__a_response__status_and_body(void **state) {
    (void)state;
    expect_result("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", MKV_HTTP_GET_OK, 200,
                  "hello");
    expect_result("HTTP/1.0 503 No\r\n\r\nuntil the end", MKV_HTTP_GET_OK, 503, "until the end");
    expect_result("HTTP/1.1 204 None\r\nX: y\r\ncontent-length: 0\r\n\r\n", MKV_HTTP_GET_OK, 204,
                  "");
}

static void test_http_get__the_request__one_that_ends(void **state) {
    (void)state;
    static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct server server;
    server_start(&server, answer, sizeof answer - 1, false);
    struct mkv_http_response response = {0};
    char error[MKV_HTTP_GET_ERROR_BYTES];
    assert_int_equal(
        mkv_http_get("127.0.0.1", server.port, "/v1/status", TIMEOUT_MS, &response, error),
        MKV_HTTP_GET_OK);
    server_stop(&server);
    free(response.body);
    char expected[256];
    snprintf(expected, sizeof expected,
             "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: */*\r\n"
             "Connection: close\r\n\r\n",
             server.port);
    assert_string_equal(server.request, expected);
}

static void test_http_get__no_http__failed(void **state) {
    (void)state;
    static const char error[] = "the answer is no HTTP; is it the admin port?";
    expect_result("", MKV_HTTP_GET_FAILED, 0, error);
    expect_result("MKV1 no web here", MKV_HTTP_GET_FAILED, 0, error);
    expect_result("HTTP/1.1 200 OK\r\nX: y\r\n", MKV_HTTP_GET_FAILED, 0, error);
    expect_result("HTTP/1.1 OK\r\n\r\n", MKV_HTTP_GET_FAILED, 0, error);
    expect_result("HTTP/1.1 7 OK\r\n\r\n", MKV_HTTP_GET_FAILED, 0, error);
    expect_result("x HTTP/1.1 200 OK\r\n\r\n", MKV_HTTP_GET_FAILED, 0, error);
}

static void test_http_get__another_length_than_announced__failed(void **state) {
    (void)state;
    static const char error[] = "the answer is cut off; is it the admin port?";
    expect_result("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", MKV_HTTP_GET_FAILED, 0,
                  error);
    expect_result("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", MKV_HTTP_GET_FAILED, 0,
                  error);
}

static void test_http_get__chunks__failed(void **state) {
    (void)state;
    expect_result("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                  MKV_HTTP_GET_FAILED, 0,
                  "the answer is in chunks, which memkv never sends; is it the admin port?");
}

static void test_http_get__beyond_the_bound__failed(void **state) {
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    const size_t bytes = MKV_HTTP_GET_BYTES_MAX + 65536;
    char *answer = malloc(bytes);
    assert_non_null(answer);
    memset(answer, 'x', bytes);
    memcpy(answer, head, sizeof head - 1);
    struct server server;
    server_start(&server, answer, bytes, false);
    struct mkv_http_response response = {0};
    char error[MKV_HTTP_GET_ERROR_BYTES] = "";
    assert_int_equal(mkv_http_get("127.0.0.1", server.port, "/", TIMEOUT_MS, &response, error),
                     MKV_HTTP_GET_FAILED);
    assert_string_equal(error, "the answer is too long; is it the admin port?");
    server_stop(&server);
    free(answer);
}

static void test_http_get__nobody_there__unreachable(void **state) {
    (void)state;
    uint16_t port;
    close(fake_listen(INADDR_LOOPBACK, &port));
    struct mkv_http_response response = {0};
    char error[MKV_HTTP_GET_ERROR_BYTES] = "";
    assert_int_equal(mkv_http_get("127.0.0.1", port, "/", TIMEOUT_MS, &response, error),
                     MKV_HTTP_GET_UNREACHABLE);
    assert_string_equal(error, "Connection refused");
    assert_null(response.body);
}

static void test_http_get__no_such_name__unreachable(void **state) {
    (void)state;
    struct mkv_http_response response = {0};
    char error[MKV_HTTP_GET_ERROR_BYTES] = "";
    assert_int_equal(mkv_http_get("256.1.1.1", 9901, "/", TIMEOUT_MS, &response, error),
                     MKV_HTTP_GET_UNREACHABLE);
    assert_true(error[0] != '\0');
}

static void test_http_get__a_server_that_says_nothing__unreachable_in_time(void **state) {
    (void)state;
    struct server server;
    server_start(&server, "", 0, true);
    struct mkv_http_response response = {0};
    char error[MKV_HTTP_GET_ERROR_BYTES] = "";
    assert_int_equal(mkv_http_get("127.0.0.1", server.port, "/", 100, &response, error),
                     MKV_HTTP_GET_UNREACHABLE);
    assert_string_equal(error, "no answer in time");
    server_stop(&server);
}

static void test_http_get__the_listener__its_answer(void **state) {
    (void)state;
    struct fake_node *node = fake_node_start();
    struct mkv_http_response response = {0};
    char error[MKV_HTTP_GET_ERROR_BYTES] = "";
    assert_int_equal(
        mkv_http_get("127.0.0.1", node->port, "/v1/live", TIMEOUT_MS, &response, error),
        MKV_HTTP_GET_OK);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body_bytes, 2);
    assert_string_equal(response.body, "ok");
    free(response.body);
    fake_node_stop(node);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_get__a_response__status_and_body),
        cmocka_unit_test(test_http_get__the_request__one_that_ends),
        cmocka_unit_test(test_http_get__no_http__failed),
        cmocka_unit_test(test_http_get__another_length_than_announced__failed),
        cmocka_unit_test(test_http_get__chunks__failed),
        cmocka_unit_test(test_http_get__beyond_the_bound__failed),
        cmocka_unit_test(test_http_get__nobody_there__unreachable),
        cmocka_unit_test(test_http_get__no_such_name__unreachable),
        cmocka_unit_test(test_http_get__a_server_that_says_nothing__unreachable_in_time),
        cmocka_unit_test(test_http_get__the_listener__its_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
