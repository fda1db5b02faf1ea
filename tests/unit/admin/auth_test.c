/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, by itself and through the listener's two sockets. */
#include "admin/auth.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/http_get.h"
#include "admin/request.h"
#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

#define VIEWER_TOKEN "0123456789abcdef0123456789abcdeV"
#define OPERATOR_TOKEN "0123456789abcdef0123456789abcdeO"
#define BEARER(token) "Authorization: Bearer " token "\r\n"

static struct mkv_admin_auth two_tokens(void) {
    return (struct mkv_admin_auth){
        .uid = 500,
        .has_viewer_gid = true,
        .viewer_gid = 70,
        .token_count = 2,
        .tokens = {{MKV_ADMIN_ROLE_VIEWER, VIEWER_TOKEN},
                   {MKV_ADMIN_ROLE_OPERATOR, OPERATOR_TOKEN}},
    };
}

/* ---- by itself ------------------------------------------------------------------------------- */

static void test_auth__peers_of_the_socket__by_uid_and_group(void **state) {
    (void)state;
    const struct mkv_admin_auth auth = two_tokens();
    static const uint32_t groups[] = {5, 70};
    static const struct {
        uint32_t uid, gid, group_count;
        enum mkv_admin_role role;
    } cases[] = {
        {0, 1, 0, MKV_ADMIN_ROLE_OPERATOR},    {500, 1, 0, MKV_ADMIN_ROLE_OPERATOR},
        {501, 1, 0, MKV_ADMIN_ROLE_NONE},      {501, 70, 0, MKV_ADMIN_ROLE_VIEWER},
        {501, 1, 2, MKV_ADMIN_ROLE_VIEWER},    {501, 1, 1, MKV_ADMIN_ROLE_NONE},
        {500, 70, 2, MKV_ADMIN_ROLE_OPERATOR},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct mkv_admin_peer peer = {
            .over_socket = true, .uid = cases[index].uid, .gid = cases[index].gid};
        mkv_admin_auth_judge(&auth, NULL, groups, cases[index].group_count, &peer);
        assert_int_equal(peer.role, cases[index].role);
    }
    /* No group is configured: nobody is a viewer by number 0. */
    struct mkv_admin_auth none = auth;
    none.has_viewer_gid = false;
    none.viewer_gid = 0;
    struct mkv_admin_peer peer = {.over_socket = true, .uid = 501, .gid = 0};
    mkv_admin_auth_judge(&none, NULL, groups, 0, &peer);
    assert_int_equal(peer.role, MKV_ADMIN_ROLE_NONE);
    assert_string_equal(peer.name, "uid 501");
}

static void test_auth__headers__only_a_whole_token_counts(void **state) {
    (void)state;
    const struct mkv_admin_auth auth = two_tokens();
    static const struct {
        const char *authorization;
        enum mkv_admin_role role;
        const char *name;
    } cases[] = {
        {NULL, MKV_ADMIN_ROLE_NONE, "nobody"},
        {"", MKV_ADMIN_ROLE_NONE, "nobody"},
        {"Bearer " VIEWER_TOKEN, MKV_ADMIN_ROLE_VIEWER, "token 0"},
        {"bearer   " OPERATOR_TOKEN, MKV_ADMIN_ROLE_OPERATOR, "token 1"},
        {"Bearer" VIEWER_TOKEN, MKV_ADMIN_ROLE_NONE, "nobody"},
        {"Basic " VIEWER_TOKEN, MKV_ADMIN_ROLE_NONE, "nobody"},
        {VIEWER_TOKEN, MKV_ADMIN_ROLE_NONE, "nobody"},
        {"Bearer 0123456789abcdef0123456789abcde", MKV_ADMIN_ROLE_NONE, "nobody"},
        {"Bearer " VIEWER_TOKEN "x", MKV_ADMIN_ROLE_NONE, "nobody"},
        {"Bearer " VIEWER_TOKEN " ", MKV_ADMIN_ROLE_NONE, "nobody"},
        {"Bearer ", MKV_ADMIN_ROLE_NONE, "nobody"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct mkv_admin_peer peer = {0};
        mkv_admin_auth_judge(&auth, cases[index].authorization, NULL, 0, &peer);
        assert_int_equal(peer.role, cases[index].role);
        assert_string_equal(peer.name, cases[index].name);
    }
}

static void test_auth__no_tokens__an_empty_one_is_none(void **state) {
    (void)state;
    const struct mkv_admin_auth auth = {.uid = 500};
    struct mkv_admin_peer peer = {0};
    mkv_admin_auth_judge(&auth, "Bearer " VIEWER_TOKEN, NULL, 0, &peer);
    assert_int_equal(peer.role, MKV_ADMIN_ROLE_NONE);
    assert_false(mkv_admin_token_is_valid("", 0));
    assert_false(mkv_admin_token_is_valid(VIEWER_TOKEN, 31));
    assert_true(mkv_admin_token_is_valid(VIEWER_TOKEN, 32));
    assert_false(mkv_admin_token_is_valid("0123456789abcdef 123456789abcdef0", 33));
}

static void test_auth__open__everybody_is_an_operator(void **state) {
    (void)state;
    const struct mkv_admin_auth auth = {.open = true};
    struct mkv_admin_peer peer = {0};
    mkv_admin_auth_judge(&auth, NULL, NULL, 0, &peer);
    assert_int_equal(peer.role, MKV_ADMIN_ROLE_OPERATOR);
    assert_string_equal(peer.name, "nobody");
}

/* ---- every route ----------------------------------------------------------------------------- */

static const char *first_method(const struct mkv_admin_route *route) {
    return (route->methods & MKV_ADMIN_GET) != 0    ? "GET"
           : (route->methods & MKV_ADMIN_POST) != 0 ? "POST"
           : (route->methods & MKV_ADMIN_PUT) != 0  ? "PUT"
                                                    : "DELETE";
}

/* What a request for the route's path, or an alias of it, is answered with. */
static int status_of(const struct fake_node *node, const struct mkv_admin_route *route,
                     const char *path, const char *header) {
    char whole[128];
    const bool prefix = path[strlen(path) - 1] == '/';
    /* A profile that is let through would run, and its signals cut short what is waited for. */
    const bool profile = route->path == MKV_ADMIN_PATH_PROFILE;
    snprintf(whole, sizeof whole, "%s%s", path, prefix ? "x" : profile ? "?seconds=none" : "");
    struct fake_reply reply = fake_request_with(node->port, first_method(route), whole, header);
    const int status = reply.status;
    if (status == 401) {
        assert_true(fake_reply_has(&reply, "WWW-Authenticate: Bearer realm=\"memkv admin\""));
        assert_non_null(strstr(reply.body, "--token-file"));
    }
    fake_reply_free(&reply);
    return status;
}

static void test_http__every_route__lets_through_whom_its_role_allows(void **state) {
    (void)state;
    const struct mkv_admin_auth auth = two_tokens();
    struct fake_node *node = fake_node_start_with(&auth, -1);
    static const char *const headers[MKV_ADMIN_ROLE_COUNT] = {"", BEARER(VIEWER_TOKEN),
                                                              BEARER(OPERATOR_TOKEN)};
    for (uint32_t index = 0; index < mkv_admin_route_count; index++) {
        const struct mkv_admin_route *route = &mkv_admin_routes[index];
        for (uint32_t role = 0; role < MKV_ADMIN_ROLE_COUNT; role++) {
            const char *const names[] = {mkv_admin_paths[route->path], route->aliases[0],
                                         route->aliases[1], route->aliases[2]};
            for (size_t name = 0; name < 4 && names[name] != NULL; name++) {
                const int status = status_of(node, route, names[name], headers[role]);
                if (role >= (uint32_t)route->role) {
                    assert_true(status != 401 && status != 403);
                } else {
                    assert_int_equal(status, role == 0 ? 401 : 403);
                }
            }
        }
    }
    fake_node_stop(node);
}

static void test_http__nobody__only_health_and_metrics(void **state) {
    (void)state;
    for (uint32_t index = 0; index < mkv_admin_route_count; index++) {
        const struct mkv_admin_route *route = &mkv_admin_routes[index];
        const bool open =
            route->path == MKV_ADMIN_PATH_LIVE || route->path == MKV_ADMIN_PATH_READY ||
            route->path == MKV_ADMIN_PATH_HEALTH || route->path == MKV_ADMIN_PATH_METRICS;
        assert_int_equal(route->role == MKV_ADMIN_ROLE_NONE, open);
        /* Whoever may only see changes nothing. */
        assert_true(route->methods == MKV_ADMIN_GET || route->role == MKV_ADMIN_ROLE_OPERATOR);
    }
}

static void test_http__refused__counted_and_told_and_not_done(void **state) {
    (void)state;
    const struct mkv_admin_auth auth = two_tokens();
    struct fake_node *node = fake_node_start_with(&auth, -1);
    struct fake_reply reply = fake_request(node->port, "DELETE", "/v1/tenants/batch");
    assert_int_equal(reply.status, 401);
    fake_reply_free(&reply);
    assert_string_equal(node->refused, "401 DELETE /v1/tenants/batch operator nobody");
    reply = fake_request_with(node->port, "DELETE", "/v1/tenants/batch", BEARER(VIEWER_TOKEN));
    assert_int_equal(reply.status, 403);
    assert_non_null(strstr(reply.body, "this needs the role operator, and token 0 is viewer"));
    fake_reply_free(&reply);
    assert_string_equal(node->refused, "403 DELETE /v1/tenants/batch operator token 0");
    assert_int_equal(node->refusals, 2);
    assert_string_equal(node->dropped, "");
    assert_int_equal(node->calls, 0);
    reply = fake_request_with(node->port, "DELETE", "/v1/tenants/batch", BEARER(OPERATOR_TOKEN));
    assert_int_equal(reply.status, 200);
    fake_reply_free(&reply);
    assert_string_equal(node->dropped, "batch");
    assert_int_equal(node->refusals, 2);
    fake_node_stop(node);
}

static void test_http__other_origins__not_invited(void **state) {
    (void)state;
    const struct mkv_admin_auth auth = two_tokens();
    struct fake_node *node = fake_node_start_with(&auth, -1);
    static const char preflight[] = "Origin: http://evil.example\r\n"
                                    "Access-Control-Request-Method: DELETE\r\n";
    struct fake_reply reply =
        fake_request_with(node->port, "OPTIONS", "/v1/tenants/batch", preflight);
    assert_int_equal(reply.status, 405);
    assert_null(strstr(reply.text, "Access-Control"));
    fake_reply_free(&reply);
    reply = fake_request_with(node->port, "GET", "/v1/health", "Origin: http://evil.example\r\n");
    assert_int_equal(reply.status, 200);
    assert_null(strstr(reply.text, "Access-Control"));
    fake_reply_free(&reply);
    fake_node_stop(node);
}

static void test_http__length_told_twice__refused_and_nothing_behind_it_read(void **state) {
    (void)state;
    const struct mkv_admin_auth auth = {.open = true};
    static const char *const heads[] = {
        "GET /v1/live HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: "
        "chunked\r\n\r\n",
        "GET /v1/live HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\n",
        "GET /v1/live HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "GET /v1/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: identity\r\n\r\n",
    };
    for (size_t index = 0; index < sizeof heads / sizeof heads[0]; index++) {
        struct fake_node *node = fake_node_start_with(&auth, -1);
        char bytes[512];
        const int count = snprintf(bytes, sizeof bytes,
                                   "%s0\r\n\r\nDELETE /v1/tenants/hidden HTTP/1.1\r\nHost: x\r\n"
                                   "Connection: close\r\n\r\n",
                                   heads[index]);
        struct fake_reply reply = fake_exchange(node->port, bytes, (size_t)count);
        assert_true(reply.status == 400 || reply.status == 0);
        assert_string_equal(node->dropped, "");
        assert_int_equal(node->calls, 0);
        fake_reply_free(&reply);
        fake_node_stop(node);
    }
}

/* ---- the Unix socket ------------------------------------------------------------------------- */

struct local {
    char path[64];
    struct fake_node *node;
};

static struct local *local_start(const struct mkv_admin_auth *auth) {
    struct local *local = calloc(1, sizeof *local);
    assert_non_null(local);
    char directory[] = "/tmp/memkv-auth-XXXXXX";
    assert_non_null(mkdtemp(directory));
    snprintf(local->path, sizeof local->path, "%s/s", directory);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", local->path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    local->node = fake_node_start_with(auth, fd);
    return local;
}

static void local_stop(struct local *local) {
    fake_node_stop(local->node);
    unlink(local->path);
    local->path[strlen(local->path) - 2] = '\0';
    assert_int_equal(rmdir(local->path), 0);
    free(local);
}

static unsigned ask(const struct local *local, const char *method, const char *path,
                    const char *token) {
    const struct mkv_http_call call = {
        .socket = local->path, .method = method, .path = path, .token = token, .timeout_ms = 10000};
    struct mkv_http_response response = {0};
    char error[MKV_HTTP_GET_ERROR_BYTES] = "";
    if (mkv_http_ask(&call, &response, error) != MKV_HTTP_GET_OK) {
        fail_msg("%s", error);
    }
    free(response.body);
    return response.status;
}

static void test_http__the_socket__own_user_is_operator(void **state) {
    (void)state;
    struct mkv_admin_auth auth = two_tokens();
    auth.uid = (uint32_t)geteuid();
    struct local *local = local_start(&auth);
    assert_int_equal(ask(local, "GET", "/v1/status", NULL), 200);
    assert_int_equal(ask(local, "DELETE", "/v1/tenants/batch", NULL), 200);
    assert_string_equal(local->node->dropped, "batch");
    /* Over TCP the same user is nobody. */
    struct fake_reply reply = fake_request(local->node->port, "GET", "/v1/status");
    assert_int_equal(reply.status, 401);
    fake_reply_free(&reply);
    local_stop(local);
}

static void test_http__a_socket_whose_client_ends_early__others_go_on(void **state) {
    (void)state;
    struct mkv_admin_auth auth = two_tokens();
    auth.uid = (uint32_t)geteuid();
    struct local *local = local_start(&auth);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", local->path);
    for (int round = 0; round < 3; round++) {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
        assert_true(send(fd, "GET /v1/status HTTP/1.1\r\n\r\n", 27, MSG_NOSIGNAL) == 27);
        close(fd);
    }
    assert_int_equal(ask(local, "GET", "/v1/live", NULL), 200);
    local_stop(local);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void test_request__parameters__found_and_bounded(void **state) {
    (void)state;
    const struct mkv_admin_request request = {
        .parameter_count = 4,
        .parameters = {{"k", "20"}, {"k", "30"}, {"wrong", "2x"}, {"empty", ""}},
    };
    uint64_t number = 0;
    assert_string_equal(mkv_admin_request_parameter(&request, "k"), "20");
    assert_null(mkv_admin_request_parameter(&request, "K"));
    assert_true(mkv_admin_request_number(&request, "k", 1, 20, 5, &number));
    assert_int_equal(number, 20);
    assert_false(mkv_admin_request_number(&request, "k", 1, 19, 5, &number));
    assert_false(mkv_admin_request_number(&request, "k", 21, 30, 5, &number));
    assert_true(mkv_admin_request_number(&request, "none", 1, 20, 5, &number));
    assert_int_equal(number, 5);
    assert_false(mkv_admin_request_number(&request, "wrong", 0, 20, 5, &number));
    assert_false(mkv_admin_request_number(&request, "empty", 0, 20, 5, &number));
}

static void test_http__too_many_parameters__refused(void **state) {
    (void)state;
    struct fake_node *node = fake_node_start();
    struct fake_reply reply =
        fake_request(node->port, "GET", "/v1/live?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p");
    assert_int_equal(reply.status, 200);
    fake_reply_free(&reply);
    reply = fake_request(node->port, "GET", "/v1/live?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q");
    assert_int_equal(reply.status, 400);
    fake_reply_free(&reply);
    fake_node_stop(node);
}

static void test_http_escape__bytes__only_plain_ones_stay(void **state) {
    (void)state;
    char out[32];
    assert_true(mkv_http_escape("aZ9-._~", 7, out, sizeof out));
    assert_string_equal(out, "aZ9-._~");
    assert_true(mkv_http_escape("a b/\0\xff%", 7, out, sizeof out));
    assert_string_equal(out, "a%20b%2F%00%FF%25");
    assert_false(mkv_http_escape("aaaa", 4, out, 4));
    assert_true(mkv_http_escape("aaaa", 4, out, 5));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auth__peers_of_the_socket__by_uid_and_group),
        cmocka_unit_test(test_auth__headers__only_a_whole_token_counts),
        cmocka_unit_test(test_auth__no_tokens__an_empty_one_is_none),
        cmocka_unit_test(test_auth__open__everybody_is_an_operator),
        cmocka_unit_test(test_http__every_route__lets_through_whom_its_role_allows),
        cmocka_unit_test(test_http__nobody__only_health_and_metrics),
        cmocka_unit_test(test_http__refused__counted_and_told_and_not_done),
        cmocka_unit_test(test_http__other_origins__not_invited),
        cmocka_unit_test(test_http__length_told_twice__refused_and_nothing_behind_it_read),
        cmocka_unit_test(test_http__the_socket__own_user_is_operator),
        cmocka_unit_test(test_http__a_socket_whose_client_ends_early__others_go_on),
        cmocka_unit_test(test_request__parameters__found_and_bounded),
        cmocka_unit_test(test_http__too_many_parameters__refused),
        cmocka_unit_test(test_http_escape__bytes__only_plain_ones_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
