/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/proxy.h"
#include "server/proxy_options.h"

#define WORDS_MAX 24

/* Parses the words, of which the last is NULL. */
static bool parse(struct mkv_proxy_command *command, struct mkv_config_error *error,
                  const char *const *words) {
    char *argv[WORDS_MAX + 2] = {"proxy"};
    int argc = 1;
    while (words[argc - 1] != NULL) {
        assert_true(argc < WORDS_MAX);
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
        argc++;
    }
    return mkv_proxy_options_parse(argc, argv, command, error);
}
#define PARSE(command, error, ...)                                                                 \
    parse((command), (error), (const char *const[]){__VA_ARGS__, NULL})

static void test_proxy_options__nothing__is_the_defaults(void **state) {
    (void)state;
    struct mkv_proxy_command command;
    struct mkv_config_error error;
    assert_true(parse(&command, &error, (const char *const[]){NULL}));
    assert_string_equal(command.listen.host, "127.0.0.1");
    assert_int_equal(command.listen.port, 9902);
    assert_int_equal(command.memory_bytes, MKV_PROXY_MEMORY_BYTES_DEFAULT);
    assert_int_equal(command.timeout_ms, MKV_PROXY_TIMEOUT_MS_DEFAULT);
    assert_false(command.durable);
    assert_null(command.servers.servers);
    assert_null(command.auth_key_file);
}

static void test_proxy_options__all_of_them__are_taken(void **state) {
    (void)state;
    struct mkv_proxy_command command;
    struct mkv_config_error error;
    assert_true(PARSE(&command, &error, "--listen", "[::1]:77", "--servers=a:1,b:2", "--tenant",
                      "t", "--connections", "4", "--timeout-ms", "250", "--memory=1GiB",
                      "--durability", "durable", "--auth=none", "--log-format", "json", "--metrics",
                      "localhost:1"));
    assert_string_equal(command.listen.host, "::1");
    assert_int_equal(command.listen.port, 77);
    assert_string_equal(command.servers.servers, "a:1,b:2");
    assert_string_equal(command.servers.tenant, "t");
    assert_int_equal(command.servers.connections, 4);
    assert_int_equal(command.timeout_ms, 250);
    assert_int_equal(command.memory_bytes, MKV_GIB);
    assert_true(command.durable);
    assert_true(command.is_open);
    assert_int_equal(command.log_format, MKV_CONFIG_LOG_JSON);
    assert_string_equal(command.metrics, "localhost:1");
}

static void test_proxy_options__what_is_wrong__is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *words[3];
        const char *text;
    } rows[] = {
        {{"--listen", "x"}, "--listen"},
        {{"--listen"}, "--listen needs a value"},
        {{"--servrs"}, "did you mean '--servers'"},
        {{"--connections", "65"}, "no number from 1 to 64"},
        {{"--connections", "-1"}, "no number from 1 to 64"},
        {{"--timeout-ms", "1x"}, "no number"},
        {{"--memory", "63MiB"}, "64MiB or more"},
        {{"--memory", "5TiB"}, "4TiB or less"},
        {{"--auth=none", "--auth-key-file=k"}, "both given"},
        {{"--memory", "1GB"}, "--memory: '1GB'"},
        {{"--durability", "fast"}, "relaxed or durable"},
        {{"--auth", "all"}, "is not none"},
        {{"--auth=none", "--auth=none"}, "given twice"},
        {{"--metrics", "9"}, "--metrics"},
        {{"extra"}, "unexpected argument 'extra'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mkv_proxy_command command;
        struct mkv_config_error error;
        assert_false(parse(&command, &error, rows[i].words));
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_USAGE);
        assert_non_null(strstr(error.message, rows[i].text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_options__nothing__is_the_defaults),
        cmocka_unit_test(test_proxy_options__all_of_them__are_taken),
        cmocka_unit_test(test_proxy_options__what_is_wrong__is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
