/* SPDX-License-Identifier: Apache-2.0 */
/* `memkv admin` as its users see it: command line, exit status, and both of its streams. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/http.h"
#include "server/command_admin.h"

#define OUTPUT_BYTES (256u * 1024u)

struct node {
    struct mkv_admin_snapshot snapshot;
    struct mkv_admin_http *http;
    char address[32];
    uint16_t port;
};

static void provide(void *context, struct mkv_admin_snapshot *out) {
    const struct node *node = context;
    *out = node->snapshot;
}

static int listen_on_loopback(uint16_t *port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof name;
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, bytes), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &bytes), 0);
    *port = ntohs(name.sin_port);
    return fd;
}

static struct node *node_start(const char *id, enum mkv_admin_node_state state) {
    struct node *node = calloc(1, sizeof *node);
    assert_non_null(node);
    snprintf(node->snapshot.node_id, sizeof node->snapshot.node_id, "%s", id);
    node->snapshot.state = state;
    node->snapshot.memory.block_bytes = 1;
    node->snapshot.storage_block_bytes = 1;
    const int fd = listen_on_loopback(&node->port);
    snprintf(node->address, sizeof node->address, "127.0.0.1:%u", node->port);
    const struct mkv_admin_provider provider = {.context = node, .snapshot = provide};
    char error[MKV_ADMIN_ERROR_BYTES];
    const struct mkv_admin_auth auth = {.open = true};
    const struct mkv_admin_http_options options = {
        .tcp_fd = fd, .unix_fd = -1, .provider = &provider, .auth = &auth};
    assert_true(mkv_admin_http_start(&options, &node->http, error));
    return node;
}

static void node_stop(struct node *node) {
    mkv_admin_http_stop(node->http);
    free(node);
}

/* An address that nobody listens on. */
static void dead_address(char address[32]) {
    uint16_t port;
    close(listen_on_loopback(&port));
    snprintf(address, 32, "127.0.0.1:%u", port);
}

struct outcome {
    int exit_code;
    char out[OUTPUT_BYTES];
    char err[OUTPUT_BYTES];
};

/* Puts a file in place of a stream; returns the descriptor that brings the stream back. */
static int divert(FILE *stream, int *file) {
    fflush(stream);
    const int kept = dup(fileno(stream));
    *file = memfd_create("stream", MFD_CLOEXEC);
    assert_true(kept >= 0 && *file >= 0);
    assert_true(dup2(*file, fileno(stream)) >= 0);
    return kept;
}

static void bring_back(FILE *stream, int kept, int file, char text[OUTPUT_BYTES]) {
    fflush(stream);
    assert_true(dup2(kept, fileno(stream)) >= 0);
    close(kept);
    const ssize_t bytes = pread(file, text, OUTPUT_BYTES - 1, 0);
    assert_true(bytes >= 0);
    text[bytes] = '\0';
    close(file);
}

static struct outcome *run(const char *const *arguments) {
    char *argv[16];
    int argc = 0;
    argv[argc++] = strdup("admin");
    for (; *arguments != NULL; arguments++) {
        argv[argc++] = strdup(*arguments);
    }
    argv[argc] = NULL;
    struct outcome *outcome = calloc(1, sizeof *outcome);
    assert_non_null(outcome);
    int out_file;
    int err_file;
    const int out_kept = divert(stdout, &out_file);
    const int err_kept = divert(stderr, &err_file);
    outcome->exit_code = mkv_command_admin(argc, argv);
    bring_back(stdout, out_kept, out_file, outcome->out);
    bring_back(stderr, err_kept, err_file, outcome->err);
    for (int index = 0; index < argc; index++) {
        free(argv[index]);
    }
    return outcome;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static void test_admin__help__on_standard_output(void **state) {
    (void)state;
    struct outcome *outcome = RUN("--help");
    assert_int_equal(outcome->exit_code, 0);
    assert_true(starts_with(outcome->out, "usage: memkv admin COMMAND [OPTIONS]\n"));
    assert_string_equal(outcome->err, "");
    free(outcome);
    outcome = RUN("status", "--json", "-h");
    assert_int_equal(outcome->exit_code, 0);
    assert_true(starts_with(outcome->out, "usage: memkv admin status [OPTIONS]\n"));
    assert_string_equal(outcome->err, "");
    free(outcome);
}

static void expect_usage(struct outcome *outcome, const char *error) {
    assert_int_equal(outcome->exit_code, 2);
    assert_string_equal(outcome->out, "");
    assert_string_equal(outcome->err, error);
    free(outcome);
}

static void test_admin__a_wrong_command_line__exit_2_and_what_is_wrong(void **state) {
    (void)state;
    struct outcome *outcome = run((const char *const[]){NULL});
    assert_int_equal(outcome->exit_code, 2);
    assert_true(starts_with(outcome->err, "usage: memkv admin"));
    free(outcome);
    expect_usage(RUN("stats"),
                 "memkv admin: there is no command 'stats'; see memkv admin --help\n");
    expect_usage(RUN("status", "--jsn"),
                 "memkv admin: status takes no '--jsn'; see memkv admin status --help\n");
    expect_usage(RUN("status", "--server"), "memkv admin: --server needs HOST:PORT behind it\n");
    outcome = RUN("status", "--server", "127.0.0.1");
    assert_int_equal(outcome->exit_code, 2);
    assert_true(starts_with(outcome->err, "memkv admin: --server: '127.0.0.1' "));
    free(outcome);
    outcome = RUN("status", "--server=127.0.0.1:1,,");
    assert_int_equal(outcome->exit_code, 2);
    assert_true(starts_with(outcome->err, "memkv admin: --server: '' "));
    free(outcome);
}

static void test_admin_status__a_node__its_screen(void **state) {
    (void)state;
    struct node *node = node_start("n1", MKV_ADMIN_NODE_UNHEALTHY);
    struct outcome *outcome = RUN("status", "--server", node->address);
    assert_int_equal(outcome->exit_code, 0);
    assert_true(starts_with(outcome->out, "node n1  UNHEALTHY  not ready: no_writable_drive  "));
    assert_string_equal(outcome->err, "");
    free(outcome);
    node_stop(node);
}

static void test_admin_status__json__the_status_whole(void **state) {
    (void)state;
    struct node *node = node_start("n1", MKV_ADMIN_NODE_SERVING);
    struct outcome *outcome = RUN("status", "--json", "--server", node->address);
    assert_int_equal(outcome->exit_code, 0);
    json_t *status = json_loads(outcome->out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json_object_get(status, "node"), "id")),
                        "n1");
    assert_non_null(json_object_get(status, "storage"));
    json_decref(status);
    free(outcome);
    node_stop(node);
}

static void test_admin_status__several_nodes__each_in_order(void **state) {
    (void)state;
    struct node *first = node_start("n1", MKV_ADMIN_NODE_SERVING);
    struct node *second = node_start("n2", MKV_ADMIN_NODE_SERVING);
    char dead[32];
    char list[128];
    dead_address(dead);
    snprintf(list, sizeof list, "%s,%s", first->address, dead);
    struct outcome *outcome = RUN("status", "--server", list, "--server", second->address);
    assert_int_equal(outcome->exit_code, 3);
    const char *at_first = strstr(outcome->out, "node n1  SERVING");
    const char *at_second = strstr(outcome->out, "node n2  SERVING");
    assert_true(starts_with(outcome->out, first->address));
    assert_true(at_first != NULL && at_second != NULL && at_first < at_second);
    assert_non_null(strstr(outcome->err, "Connection refused; does memkv run there?"));
    assert_non_null(strstr(outcome->err, dead));
    free(outcome);
    outcome = RUN("status", "--json", "--server", list, "--server", second->address);
    assert_int_equal(outcome->exit_code, 3);
    json_t *array = json_loads(outcome->out, 0, NULL);
    assert_int_equal(json_array_size(array), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(array, 0), "server")),
                        first->address);
    assert_true(json_is_object(json_object_get(json_array_get(array, 0), "status")));
    assert_true(json_is_string(json_object_get(json_array_get(array, 1), "error")));
    assert_null(json_object_get(json_array_get(array, 1), "status"));
    assert_true(json_is_object(json_object_get(json_array_get(array, 2), "status")));
    json_decref(array);
    free(outcome);
    node_stop(first);
    node_stop(second);
}

static void test_admin_status__nobody_there__exit_3(void **state) {
    (void)state;
    char dead[32];
    char expected[256];
    dead_address(dead);
    snprintf(expected, sizeof expected,
             "memkv admin: %s: Connection refused; does memkv run there? --server or --socket "
             "names another\n",
             dead);
    struct outcome *outcome = RUN("status", "--server", dead);
    assert_int_equal(outcome->exit_code, 3);
    assert_string_equal(outcome->out, "");
    assert_string_equal(outcome->err, expected);
    free(outcome);
    outcome = RUN("status", "--json", "--server", dead);
    assert_int_equal(outcome->exit_code, 3);
    assert_string_equal(outcome->out, "");
    assert_string_equal(outcome->err, expected);
    free(outcome);
}

static void test_admin_status__check__exit_by_the_state(void **state) {
    (void)state;
    static const struct {
        enum mkv_admin_node_state state;
        int exit_code;
        const char *words;
    } cases[] = {
        {MKV_ADMIN_NODE_SERVING, 0, "healthy (serving)"},
        {MKV_ADMIN_NODE_DEGRADED, 1, "degraded (degraded)"},
        {MKV_ADMIN_NODE_RECOVERING, 1, "degraded (recovering)"},
        {MKV_ADMIN_NODE_DRAINING, 1, "degraded (draining)"},
        {MKV_ADMIN_NODE_UNHEALTHY, 2, "unhealthy (unhealthy)"},
    };
    struct node *node = node_start("n1", MKV_ADMIN_NODE_SERVING);
    char expected[128];
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        node->snapshot.state = cases[index].state;
        struct outcome *outcome = RUN("status", "--check", "--server", node->address);
        assert_int_equal(outcome->exit_code, cases[index].exit_code);
        snprintf(expected, sizeof expected, "%s %s\n", node->address, cases[index].words);
        assert_string_equal(outcome->out, expected);
        free(outcome);
        outcome = RUN("status", "--check", "--json", "--server", node->address);
        assert_int_equal(outcome->exit_code, cases[index].exit_code);
        assert_int_equal(outcome->out[0], '{');
        free(outcome);
    }
    char dead[32];
    char list[128];
    dead_address(dead);
    snprintf(list, sizeof list, "%s,%s", dead, node->address);
    struct outcome *outcome = RUN("status", "--check", "--server", list);
    assert_int_equal(outcome->exit_code, 3);
    assert_non_null(strstr(outcome->out, " unreachable (Connection refused; "));
    free(outcome);
    node_stop(node);
}

static void test_admin_status__environment__its_servers_at_port_plus_one(void **state) {
    (void)state;
    struct node *node = node_start("n1", MKV_ADMIN_NODE_SERVING);
    char servers[64];
    snprintf(servers, sizeof servers, "127.0.0.1:%u", node->port - 1);
    assert_int_equal(setenv("MEMKV_SERVERS", servers, 1), 0);
    struct outcome *outcome = RUN("status", "--check");
    assert_int_equal(outcome->exit_code, 0);
    assert_true(starts_with(outcome->out, node->address));
    free(outcome);
    /* The option wins. */
    char dead[32];
    dead_address(dead);
    outcome = RUN("status", "--check", "--server", dead);
    assert_int_equal(outcome->exit_code, 3);
    free(outcome);
    assert_int_equal(setenv("MEMKV_SERVERS", "127.0.0.1:65535", 1), 0);
    expect_usage(RUN("status"), "memkv admin: MEMKV_SERVERS: '127.0.0.1:65535' has no admin port: "
                                "it would be the port + 1; use --server\n");
    assert_int_equal(unsetenv("MEMKV_SERVERS"), 0);
    node_stop(node);
}

/* A server that is no memkv, or the native port. */
static void test_admin_status__another_answer__exit_3_and_a_hint(void **state) {
    (void)state;
    uint16_t port;
    const int fd = listen_on_loopback(&port);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int connection = accept(fd, NULL, NULL);
        char request[1024];
        (void)!recv(connection, request, sizeof request, 0);
        static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[1]\n";
        (void)!send(connection, answer, sizeof answer - 1, MSG_NOSIGNAL);
        _exit(0);
    }
    close(fd);
    struct outcome *outcome = RUN("status", "--server", address);
    assert_int_equal(outcome->exit_code, 3);
    assert_non_null(strstr(outcome->err, "GET /v1/status gives HTTP 200 and no status; "
                                         "is it the admin port?"));
    free(outcome);
    assert_true(waitpid(child, NULL, 0) == child);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admin__help__on_standard_output),
        cmocka_unit_test(test_admin__a_wrong_command_line__exit_2_and_what_is_wrong),
        cmocka_unit_test(test_admin_status__a_node__its_screen),
        cmocka_unit_test(test_admin_status__json__the_status_whole),
        cmocka_unit_test(test_admin_status__several_nodes__each_in_order),
        cmocka_unit_test(test_admin_status__nobody_there__exit_3),
        cmocka_unit_test(test_admin_status__check__exit_by_the_state),
        cmocka_unit_test(test_admin_status__environment__its_servers_at_port_plus_one),
        cmocka_unit_test(test_admin_status__another_answer__exit_3_and_a_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
