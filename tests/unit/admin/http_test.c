/* SPDX-License-Identifier: Apache-2.0 */
/* The listener as its clients see it: every path in every state, and what it bounds. */
#include "admin/http.h"

#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/health.h"
#include "admin/routes.h"
#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

static const char content_json[] = "Content-Type: application/json";

static int setup(void **state) {
    *state = fake_node_start();
    return 0;
}

static int teardown(void **state) {
    fake_node_stop(*state);
    return 0;
}

/* GETs a path, expects the status and the body, and the same headers without a body for HEAD. */
static void expect(struct fake_node *node, const char *path, int status, const char *body) {
    struct fake_reply get = fake_request(node->port, "GET", path);
    struct fake_reply head = fake_request(node->port, "HEAD", path);
    assert_int_equal(get.status, status);
    assert_string_equal(get.body, body);
    assert_int_equal(head.status, status);
    assert_string_equal(head.body, "");
    char length[64];
    snprintf(length, sizeof length, "Content-Length: %zu", strlen(body));
    assert_true(fake_reply_has(&get, length));
    assert_true(fake_reply_has(&head, length));
    const char *type = body[0] == '{' ? content_json : "Content-Type: text/plain; charset=utf-8";
    assert_true(fake_reply_has(&get, type));
    assert_true(fake_reply_has(&head, type));
    assert_true(fake_reply_has(&get, "Cache-Control: no-store"));
    fake_reply_free(&get);
    fake_reply_free(&head);
}

static void test_http__live_in_every_state__ok(void **state) {
    struct fake_node *node = *state;
    static const char *const paths[] = {"/v1/live", "/livez", "/health/live"};
    for (int node_state = 0; node_state < (int)MKV_ADMIN_NODE_STATE_COUNT; node_state++) {
        fake_snapshot_state(&node->snapshot, (enum mkv_admin_node_state)node_state);
        for (size_t index = 0; index < 3; index++) {
            expect(node, paths[index], 200, "ok");
        }
    }
}

static void test_http__health_in_every_state__status_and_drives(void **state) {
    struct fake_node *node = *state;
    static const struct {
        enum mkv_admin_node_state state;
        int status;
        const char *body;
    } cases[] = {
        {MKV_ADMIN_NODE_RECOVERING, 200,
         "{\"status\":\"recovering\",\"rdma_active\":true,\"drives_online\":1,"
         "\"drives_offline\":1,\"drives_total\":2}"},
        {MKV_ADMIN_NODE_SERVING, 200,
         "{\"status\":\"healthy\",\"rdma_active\":true,\"drives_online\":2,"
         "\"drives_offline\":0,\"drives_total\":2}"},
        {MKV_ADMIN_NODE_DEGRADED, 200,
         "{\"status\":\"degraded\",\"rdma_active\":true,\"drives_online\":1,"
         "\"drives_offline\":1,\"drives_total\":2}"},
        {MKV_ADMIN_NODE_DRAINING, 200,
         "{\"status\":\"draining\",\"rdma_active\":true,\"drives_online\":2,"
         "\"drives_offline\":0,\"drives_total\":2}"},
        {MKV_ADMIN_NODE_UNHEALTHY, 503,
         "{\"status\":\"unhealthy\",\"rdma_active\":true,\"drives_online\":0,"
         "\"drives_offline\":2,\"drives_total\":2}"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        fake_snapshot_state(&node->snapshot, cases[index].state);
        expect(node, "/v1/health", cases[index].status, cases[index].body);
    }
    fake_snapshot_state(&node->snapshot, MKV_ADMIN_NODE_SERVING);
    node->snapshot.rdma.is_active = false;
    expect(node, "/v1/health", 200,
           "{\"status\":\"healthy\",\"rdma_active\":false,\"drives_online\":2,"
           "\"drives_offline\":0,\"drives_total\":2}");
}

static void test_http__ready_in_every_state__ok_or_reason(void **state) {
    struct fake_node *node = *state;
    static const char *const paths[] = {"/v1/ready", "/health/ready", "/readyz"};
    static const struct {
        enum mkv_admin_node_state state;
        int status;
        const char *body;
    } cases[] = {
        {MKV_ADMIN_NODE_RECOVERING, 503,
         "{\"reason\":\"recovering\",\"progress\":0.5,\"drives_done\":1,\"drives_total\":2}"},
        {MKV_ADMIN_NODE_SERVING, 200, "ok"},
        {MKV_ADMIN_NODE_DEGRADED, 200, "ok"},
        {MKV_ADMIN_NODE_DRAINING, 503, "{\"reason\":\"draining\",\"in_flight\":37}"},
        {MKV_ADMIN_NODE_UNHEALTHY, 503, "{\"reason\":\"no_writable_drive\"}"},
        {MKV_ADMIN_NODE_WAITING, 503,
         "{\"reason\":\"drives_missing\",\"message\":\"drive 62… is missing\",\"action\":\"bring "
         "it back\"}"},
    };
    node->snapshot.warnings[1] = (struct mkv_admin_warning){
        .code = MKV_ADMIN_WARNING_DRIVES_MISSING,
        .message = "drive 62… is missing",
        .action = "bring it back",
    };
    node->snapshot.warning_count = 2;
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        fake_snapshot_state(&node->snapshot, cases[index].state);
        for (size_t path = 0; path < 3; path++) {
            expect(node, paths[path], cases[index].status, cases[index].body);
        }
    }
}

static void test_http__a_shard_is_stuck__not_live(void **state) {
    struct fake_node *node = *state;
    node->snapshot.shard_quiet_ns = node->snapshot.watchdog_ns - 1;
    expect(node, "/v1/live", 200, "ok");
    expect(node, "/v1/ready", 200, "ok");
    for (int node_state = 0; node_state < (int)MKV_ADMIN_NODE_STATE_COUNT; node_state++) {
        fake_snapshot_state(&node->snapshot, (enum mkv_admin_node_state)node_state);
        node->snapshot.shard_quiet_ns = node->snapshot.watchdog_ns + 1500000000;
        expect(node, "/v1/live", 503, "{\"reason\":\"stalled\",\"quiet_seconds\":31}");
        expect(node, "/v1/ready", 503, "{\"reason\":\"stalled\",\"quiet_seconds\":31}");
    }
    fake_snapshot_state(&node->snapshot, MKV_ADMIN_NODE_SERVING);
    node->snapshot.shard_quiet_ns = node->snapshot.watchdog_ns;
    expect(node, "/v1/health", 503,
           "{\"status\":\"unhealthy\",\"rdma_active\":true,\"drives_online\":2,"
           "\"drives_offline\":0,\"drives_total\":2}");
}

static void test_http__status_in_every_state__named_in_it(void **state) {
    struct fake_node *node = *state;
    static const char *const paths[] = {"/v1/status", "/status"};
    static const char *const names[] = {"recovering", "serving",   "degraded",
                                        "draining",   "unhealthy", "waiting"};
    for (int node_state = 0; node_state < (int)MKV_ADMIN_NODE_STATE_COUNT; node_state++) {
        fake_snapshot_state(&node->snapshot, (enum mkv_admin_node_state)node_state);
        for (size_t index = 0; index < 2; index++) {
            struct fake_reply reply = fake_request(node->port, "GET", paths[index]);
            assert_int_equal(reply.status, 200);
            assert_true(fake_reply_has(&reply, content_json));
            json_t *status = json_loads(reply.body, 0, NULL);
            const json_t *object = json_object_get(status, "node");
            assert_string_equal(json_string_value(json_object_get(object, "state")),
                                names[node_state]);
            json_decref(status);
            fake_reply_free(&reply);
        }
    }
}

static void test_http__metrics__text_of_version_0_0_4(void **state) {
    struct fake_node *node = *state;
    static const char *const paths[] = {"/v1/metrics", "/metrics"};
    for (int node_state = 0; node_state < (int)MKV_ADMIN_NODE_STATE_COUNT; node_state++) {
        fake_snapshot_state(&node->snapshot, (enum mkv_admin_node_state)node_state);
        for (size_t index = 0; index < 2; index++) {
            struct fake_reply reply = fake_request(node->port, "GET", paths[index]);
            assert_int_equal(reply.status, 200);
            assert_true(
                fake_reply_has(&reply, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
            assert_non_null(strstr(reply.body, "\nmemkv_requests_in_flight 37\n"));
            fake_reply_free(&reply);
        }
    }
}

static void test_http__metrics_asked_for_as_openmetrics__openmetrics(void **state) {
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n"
                                  "Accept: application/openmetrics-text;version=1.0.0,"
                                  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n\r\n";
    struct fake_node *node = *state;
    struct fake_reply reply = fake_exchange(node->port, request, sizeof request - 1);
    assert_int_equal(reply.status, 200);
    assert_true(fake_reply_has(
        &reply, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    static const char end[] = "\n# EOF\n";
    assert_string_equal(reply.body + strlen(reply.body) - strlen(end), end);
    fake_reply_free(&reply);
}

static void test_http__a_query_behind_the_path__ignored(void **state) {
    struct fake_node *node = *state;
    expect(node, "/v1/live?verbose=1", 200, "ok");
}

static void test_http__no_such_path__404_with_the_paths(void **state) {
    struct fake_node *node = *state;
    static const char *const paths[] = {"/",           "/v1",     "/v1/",   "/v1/live/", "/V1/live",
                                        "/v1/statusx", "/health", "/a%0Ab", "/%ff"};
    for (size_t index = 0; index < sizeof paths / sizeof paths[0]; index++) {
        struct fake_reply reply = fake_request(node->port, "GET", paths[index]);
        assert_int_equal(reply.status, 404);
        assert_true(fake_reply_has(&reply, content_json));
        json_t *body = json_loads(reply.body, 0, NULL);
        assert_non_null(json_string_value(json_object_get(body, "error")));
        const json_t *listed = json_object_get(body, "paths");
        assert_int_equal(json_array_size(listed), MKV_ADMIN_PATH_COUNT);
        assert_string_equal(json_string_value(json_array_get(listed, 0)), "/v1/live");
        json_decref(body);
        fake_reply_free(&reply);
    }
    assert_int_equal(node->calls, 0);
}

/* What is behind a NUL is not seen, so such a path would be another one than was asked for. */
static void test_http__a_nul_in_path_or_query__refused(void **state) {
    struct fake_node *node = *state;
    static const struct {
        const char *method;
        const char *path;
    } requests[] = {
        {"DELETE", "/v1/tenants/team-7%00x"},
        {"GET", "/v1/live%00x"},
        {"GET", "/v1/why?key=a%00b"},
        {"GET", "/v1/status?a%00=b"},
    };
    node->drop_status = MKV_STATUS_OK;
    for (size_t index = 0; index < sizeof requests / sizeof requests[0]; index++) {
        struct fake_reply reply =
            fake_request(node->port, requests[index].method, requests[index].path);
        assert_int_equal(reply.status, 400);
        assert_non_null(strstr(reply.body, "NUL (%00)"));
        fake_reply_free(&reply);
    }
    assert_string_equal(node->dropped, "");
    assert_int_equal(node->calls, 0);
    expect(node, "/v1/live?text=%2500", 200, "ok");
}

static void test_http__other_methods__405_and_what_is_allowed(void **state) {
    struct fake_node *node = *state;
    static const char *const methods[] = {"POST",    "PUT",   "DELETE", "PATCH",
                                          "OPTIONS", "TRACE", "BREW"};
    for (size_t index = 0; index < sizeof methods / sizeof methods[0]; index++) {
        struct fake_reply reply = fake_request(node->port, methods[index], "/v1/status");
        assert_int_equal(reply.status, 405);
        assert_true(fake_reply_has(&reply, "Allow: GET, HEAD"));
        json_t *body = json_loads(reply.body, 0, NULL);
        assert_non_null(strstr(json_string_value(json_object_get(body, "error")), methods[index]));
        assert_int_equal(json_array_size(json_object_get(body, "paths")), MKV_ADMIN_PATH_COUNT);
        json_decref(body);
        fake_reply_free(&reply);
    }
    assert_int_equal(node->calls, 0);
}

static void test_http__delete_of_a_tenant__each_outcome_has_its_status(void **state) {
    struct fake_node *node = *state;
    static const struct {
        enum mkv_status status;
        int http;
        const char *words;
    } outcomes[] = {
        {MKV_STATUS_OK, 200, "\"dropped\""},
        {MKV_STATUS_NOT_FOUND, 404, "there is no tenant 'team-7'"},
        {MKV_STATUS_FORBIDDEN, 409, "cannot be dropped"},
        {MKV_STATUS_UNAVAILABLE, 503, "does not serve now"},
        {MKV_STATUS_UNKNOWN, 500, "not every drive has answered"},
    };
    for (size_t index = 0; index < sizeof outcomes / sizeof outcomes[0]; index++) {
        node->drop_status = outcomes[index].status;
        struct fake_reply reply = fake_request(node->port, "DELETE", "/v1/tenants/team-7");
        assert_int_equal(reply.status, outcomes[index].http);
        assert_non_null(strstr(reply.body, outcomes[index].words));
        assert_string_equal(node->dropped, "team-7");
        node->dropped[0] = '\0';
        fake_reply_free(&reply);
    }
    struct fake_reply bad = fake_request(node->port, "DELETE", "/v1/tenants/no~name");
    assert_int_equal(bad.status, 400);
    fake_reply_free(&bad);
    struct fake_reply get = fake_request(node->port, "GET", "/v1/tenants/team-7");
    assert_int_equal(get.status, 405);
    assert_true(fake_reply_has(&get, "Allow: DELETE"));
    fake_reply_free(&get);
    assert_string_equal(node->dropped, "");
    assert_int_equal(node->calls, 0);
}

static void test_http__tenants__lists_all_of_them(void **state) {
    struct fake_node *node = *state;
    struct fake_reply reply = fake_request(node->port, "GET", "/v1/tenants");
    assert_int_equal(reply.status, 200);
    json_t *body = json_loads(reply.body, 0, NULL);
    const json_t *tenants = json_object_get(body, "tenants");
    assert_int_equal(json_array_size(tenants), 2);
    const json_t *second = json_array_get(tenants, 1);
    assert_string_equal(json_string_value(json_object_get(second, "tenant")), "batch");
    assert_int_equal(json_integer_value(json_object_get(second, "quota_bytes")), 1048576);
    json_decref(body);
    fake_reply_free(&reply);
}

/* A GET of /v1/live with a body of `body_bytes`, all of which is sent. */
static struct fake_reply request_with_body(struct fake_node *node, size_t body_bytes,
                                           bool chunked) {
    char *request = malloc(body_bytes + 256);
    assert_non_null(request);
    int head;
    if (chunked) {
        head = snprintf(request, 256,
                        "GET /v1/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                        body_bytes);
    } else {
        head = snprintf(request, 256,
                        "GET /v1/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        body_bytes);
    }
    memset(request + head, 'x', body_bytes);
    size_t count = (size_t)head + body_bytes;
    if (chunked) {
        memcpy(request + count, "\r\n0\r\n\r\n", 7);
        count += 7;
    }
    struct fake_reply reply = fake_exchange(node->port, request, count);
    free(request);
    return reply;
}

static void test_http__a_body_within_the_bound__ignored(void **state) {
    struct fake_node *node = *state;
    static const size_t sizes[] = {1, 4096, MKV_ADMIN_BODY_BYTES_MAX};
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            struct fake_reply reply = request_with_body(node, sizes[index], chunked == 1);
            assert_int_equal(reply.status, 200);
            assert_string_equal(reply.body, "ok");
            fake_reply_free(&reply);
        }
    }
}

static void test_http__a_longer_body__refused(void **state) {
    struct fake_node *node = *state;
    struct fake_reply reply = request_with_body(node, MKV_ADMIN_BODY_BYTES_MAX + 1, false);
    /* The close may overtake the answer, as the rest of the body was not read. */
    assert_true(reply.status == 413 || reply.status == 0);
    fake_reply_free(&reply);
    reply = request_with_body(node, MKV_ADMIN_BODY_BYTES_MAX + 1, true);
    assert_int_not_equal(reply.status, 200);
    fake_reply_free(&reply);
    assert_int_equal(node->calls, 0);
    expect(node, "/v1/live", 200, "ok");
}

static void test_http__announced_length_too_large__413_before_the_body(void **state) {
    struct fake_node *node = *state;
    static const char request[] = "GET /v1/live HTTP/1.1\r\nHost: x\r\n"
                                  "Content-Length: 99999999999\r\n\r\n";
    struct fake_reply reply = fake_exchange(node->port, request, sizeof request - 1);
    assert_int_equal(reply.status, 413);
    json_t *body = json_loads(reply.body, 0, NULL);
    assert_non_null(json_object_get(body, "error"));
    json_decref(body);
    fake_reply_free(&reply);
    assert_int_equal(node->calls, 0);
}

static void test_http__headers_beyond_the_bound__refused(void **state) {
    struct fake_node *node = *state;
    const size_t bytes = 4 * MKV_ADMIN_CONNECTION_BYTES;
    char *request = malloc(bytes);
    assert_non_null(request);
    memset(request, 'a', bytes);
    static const char start[] = "GET /v1/live HTTP/1.1\r\nHost: x\r\nX-Long: ";
    memcpy(request, start, sizeof start - 1);
    memcpy(request + bytes - 4, "\r\n\r\n", 4);
    struct fake_reply reply = fake_exchange(node->port, request, bytes);
    assert_true(reply.status == 0 || (reply.status >= 400 && reply.status < 500));
    fake_reply_free(&reply);
    free(request);
    expect(node, "/v1/live", 200, "ok");
}

static void test_http__no_http__refused_and_others_go_on(void **state) {
    struct fake_node *node = *state;
    static const char hello[64] = "MKV1 what a native client would send\r\n\r\n";
    struct fake_reply reply = fake_exchange(node->port, hello, sizeof hello);
    assert_int_not_equal(reply.status, 200);
    fake_reply_free(&reply);
    expect(node, "/v1/live", 200, "ok");
}

static void test_http__one_connection__several_requests(void **state) {
    struct fake_node *node = *state;
    static const char requests[] = "GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "GET /v1/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct fake_reply reply = fake_exchange(node->port, requests, sizeof requests - 1);
    const char *second = strstr(reply.text + 1, "HTTP/1.1 404 ");
    assert_non_null(second);
    assert_non_null(strstr(second, "HTTP/1.1 200 "));
    fake_reply_free(&reply);
}

/* Sends a request for /v1/live and leaves the connection open. */
static int start_request(struct fake_node *node) {
    static const char request[] = "GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n";
    const int fd = fake_connect(node->port);
    assert_true(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0);
    return fd;
}

static bool has_answer(int fd, int wait_ms) {
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, wait_ms) == 1;
}

static void test_http__more_connections_than_allowed__one_waits_until_another_ends(void **state) {
    struct fake_node *node = *state;
    int fds[MKV_ADMIN_CONNECTIONS_MAX];
    for (size_t index = 0; index < MKV_ADMIN_CONNECTIONS_MAX; index++) {
        fds[index] = start_request(node);
        assert_true(has_answer(fds[index], 5000));
    }
    const int beyond = start_request(node);
    assert_false(has_answer(beyond, 200));
    close(fds[0]);
    assert_true(has_answer(beyond, 5000));
    close(beyond);
    for (size_t index = 1; index < MKV_ADMIN_CONNECTIONS_MAX; index++) {
        close(fds[index]);
    }
}

static void expect_counted(struct fake_node *node, const char *path, uint32_t count) {
    char line[128];
    snprintf(line, sizeof line, "\nmemkv_admin_requests_total{path=\"%s\"} %u\n", path, count);
    struct fake_reply reply = fake_request(node->port, "GET", "/v1/metrics");
    assert_non_null(strstr(reply.body, line));
    fake_reply_free(&reply);
}

static void test_http__requests__counted_by_path(void **state) {
    struct fake_node *node = *state;
    expect_counted(node, "/v1/live", 0);
    expect(node, "/v1/live", 200, "ok");
    expect_counted(node, "/v1/live", 2);
    expect(node, "/livez", 200, "ok");
    expect_counted(node, "/v1/live", 4);
    struct fake_reply reply = fake_request(node->port, "GET", "/nothing");
    fake_reply_free(&reply);
    expect_counted(node, "other", 1);
    expect_counted(node, "/v1/metrics", 5);
}

static void test_http__one_request__one_snapshot(void **state) {
    struct fake_node *node = *state;
    static const char *const paths[] = {"/v1/live", "/v1/health", "/v1/ready", "/v1/status",
                                        "/v1/metrics"};
    for (uint32_t index = 0; index < 5; index++) {
        struct fake_reply reply = fake_request(node->port, "GET", paths[index]);
        assert_int_equal(reply.status, 200);
        fake_reply_free(&reply);
        assert_int_equal(node->calls, index + 1);
    }
}

/* One socket's thread waits for the shard: those who probe and scrape on another are answered. */
static void test_http__a_handler_waits__other_sockets_go_on(void **state) {
    (void)state;
    static const char request[] = "DELETE /v1/tenants/team-7 HTTP/1.1\r\nHost: x\r\n\r\n";
    const struct mkv_admin_auth auth = {.open = true};
    uint16_t other_port;
    struct fake_node *node = fake_node_start_with(&auth, fake_listen(INADDR_LOOPBACK, &other_port));
    sem_t begun;
    sem_t gate;
    assert_int_equal(sem_init(&begun, 0, 0), 0);
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    node->drop_status = MKV_STATUS_OK;
    node->drop_gate = &gate;
    node->drop_begun = &begun;
    const int fd = fake_connect(other_port);
    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
    while (sem_wait(&begun) != 0) {
    }
    static const char *const paths[] = {"/v1/live", "/v1/ready", "/v1/metrics", "/v1/status"};
    for (size_t index = 0; index < sizeof paths / sizeof paths[0]; index++) {
        struct fake_reply reply = fake_request(node->port, "GET", paths[index]);
        assert_int_equal(reply.status, 200);
        fake_reply_free(&reply);
    }
    assert_false(has_answer(fd, 0));
    sem_post(&gate);
    assert_true(has_answer(fd, 5000));
    close(fd);
    fake_node_stop(node);
    sem_destroy(&gate);
    sem_destroy(&begun);
}

static void never_called(void *context, struct mkv_admin_snapshot *out) {
    (void)context;
    (void)out;
    MKV_ASSERT(false); /* on the listener's thread */
}

static void test_http_start__open_and_not_loopback__refused(void **state) {
    (void)state;
    uint16_t port;
    const int fd = fake_listen(INADDR_ANY, &port);
    const struct mkv_admin_provider provider = {.snapshot = never_called};
    const struct mkv_admin_auth auth = {.open = true};
    const struct mkv_admin_http_options options = {
        .tcp_fd = fd, .unix_fd = -1, .provider = &provider, .auth = &auth};
    struct mkv_admin_http *http = NULL;
    char error[MKV_ADMIN_ERROR_BYTES] = "";
    assert_false(mkv_admin_http_start(&options, &http, error));
    assert_null(http);
    assert_string_equal(error,
                        "an admin listener that authenticates nobody serves loopback only; set "
                        "network.admin_address to 127.0.0.1:PORT, or admin.auth to required");
    /* The socket is still the caller's. */
    assert_int_equal(close(fd), 0);
}

static void test_http_start__ipv6_loopback__served(void **state) {
    (void)state;
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0) {
        close(fd);
        skip(); /* a machine without IPv6 */
    }
    assert_int_equal(listen(fd, 4), 0);
    const struct mkv_admin_provider provider = {.snapshot = never_called};
    const struct mkv_admin_auth auth = {.open = true};
    const struct mkv_admin_http_options options = {
        .tcp_fd = fd, .unix_fd = -1, .provider = &provider, .auth = &auth};
    struct mkv_admin_http *http = NULL;
    char error[MKV_ADMIN_ERROR_BYTES] = "";
    assert_true(mkv_admin_http_start(&options, &http, error));
    mkv_admin_http_stop(http);
}

static void test_http_stop__idle_connections__closed(void **state) {
    (void)state;
    struct fake_node *node = fake_node_start();
    const int fd = fake_connect(node->port);
    static const char request[] = "GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[1024];
    assert_true(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0);
    assert_true(recv(fd, answer, sizeof answer, 0) > 0);
    const uint16_t port = node->port;
    fake_node_stop(node);
    assert_int_equal(recv(fd, answer, sizeof answer, 0), 0);
    close(fd);
    const int again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(port)};
    assert_int_equal(connect(again, (const struct sockaddr *)&name, sizeof name), -1);
    close(again);
    mkv_admin_http_stop(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http__a_handler_waits__other_sockets_go_on),
        cmocka_unit_test_setup_teardown(test_http__live_in_every_state__ok, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__health_in_every_state__status_and_drives, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__ready_in_every_state__ok_or_reason, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__a_shard_is_stuck__not_live, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__status_in_every_state__named_in_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__metrics__text_of_version_0_0_4, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__metrics_asked_for_as_openmetrics__openmetrics,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__a_query_behind_the_path__ignored, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__no_such_path__404_with_the_paths, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__delete_of_a_tenant__each_outcome_has_its_status,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__tenants__lists_all_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__a_nul_in_path_or_query__refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__other_methods__405_and_what_is_allowed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__a_body_within_the_bound__ignored, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__a_longer_body__refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__announced_length_too_large__413_before_the_body,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__headers_beyond_the_bound__refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__no_http__refused_and_others_go_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http__one_connection__several_requests, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_http__more_connections_than_allowed__one_waits_until_another_ends, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_http__requests__counted_by_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http__one_request__one_snapshot, setup, teardown),
        cmocka_unit_test(test_http_start__open_and_not_loopback__refused),
        cmocka_unit_test(test_http_start__ipv6_loopback__served),
        cmocka_unit_test(test_http_stop__idle_connections__closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
