/* SPDX-License-Identifier: Apache-2.0 */
#include "server/start_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define ARGUMENTS_MAX 16u

/* Parses the words of a command line that follow "start"; the list ends with NULL. */
static bool parse(const char *const *words, struct mkv_start_options *options,
                  struct mkv_config_error *error) {
    char *argv[ARGUMENTS_MAX + 2];
    int argc = 1;
    argv[0] = (char *)(uintptr_t) "start";
    for (; words[argc - 1] != NULL; argc++) {
        assert_true(argc <= (int)ARGUMENTS_MAX);
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    argv[argc] = NULL;
    memset(error, 0, sizeof *error);
    return mkv_start_options_parse(argc, argv, options, error);
}

static void test_parse__every_option__taken(void **state) {
    (void)state;
    static const char *const spaced[] = {"--config",     "a.yaml", "--listen", "127.0.0.1:1",
                                         "--log-format", "json",   "--record", "r",
                                         "--rdma",       "off",    "--dev",    NULL};
    static const char *const joined[] = {"--config=a.yaml", "--listen=127.0.0.1:1",
                                         "--log-format=json", "--dev=dir", NULL};
    struct mkv_start_options options;
    struct mkv_config_error error;
    assert_true(parse(spaced, &options, &error));
    assert_string_equal(options.config_file, "a.yaml");
    assert_string_equal(options.listen, "127.0.0.1:1");
    assert_string_equal(options.log_format, "json");
    assert_string_equal(options.rdma, "off");
    assert_string_equal(options.record, "r");
    assert_int_equal(options.record_bytes_max, 1024ull * MKV_MIB);
    assert_true(options.dev);
    assert_null(options.dev_directory);
    assert_true(parse(joined, &options, &error));
    assert_string_equal(options.config_file, "a.yaml");
    assert_string_equal(options.listen, "127.0.0.1:1");
    assert_string_equal(options.log_format, "json");
    assert_true(options.dev);
    assert_string_equal(options.dev_directory, "dir");
}

static void test_parse__dev__takes_what_is_no_option_as_its_directory(void **state) {
    (void)state;
    static const char *const with[] = {"--dev", "dir", "--listen", "127.0.0.1:1", NULL};
    static const char *const without[] = {"--dev", "--listen", "127.0.0.1:1", NULL};
    static const char *const nothing[] = {NULL};
    struct mkv_start_options options;
    struct mkv_config_error error;
    assert_true(parse(with, &options, &error));
    assert_string_equal(options.dev_directory, "dir");
    assert_true(parse(without, &options, &error));
    assert_true(options.dev);
    assert_null(options.dev_directory);
    assert_string_equal(options.listen, "127.0.0.1:1");
    assert_true(parse(nothing, &options, &error));
    assert_false(options.dev);
}

static void test_parse__help__wins_over_what_follows(void **state) {
    (void)state;
    static const char *const words[] = {"--help", "--nonsense", NULL};
    struct mkv_start_options options;
    struct mkv_config_error error;
    assert_true(parse(words, &options, &error));
    assert_true(options.help);
}

static void test_parse__wrong_words__golden(void **state) {
    (void)state;
    static const struct {
        const char *words[ARGUMENTS_MAX];
        const char *message;
    } cases[] = {
        {{"--lissten", "127.0.0.1:1"},
         "memkv start: unknown option '--lissten', did you mean '--listen'?"},
        {{"--deb"}, "memkv start: unknown option '--deb', did you mean '--dev'?"},
        {{"--daemonize"}, "memkv start: unknown option '--daemonize'; see memkv start --help"},
        {{"--configuration=x"},
         "memkv start: unknown option '--configuration=x'; see memkv start --help"},
        {{"memkv.yaml"}, "memkv start: unexpected argument 'memkv.yaml'; see memkv start --help"},
        {{"--dev", "a", "b"}, "memkv start: unexpected argument 'b'; see memkv start --help"},
        {{"--listen"}, "memkv start: --listen needs a value: --listen HOST:PORT"},
        {{"--config="}, "memkv start: --config needs a value: --config FILE"},
        {{"--rdma"}, "memkv start: --rdma needs a value: --rdma auto, require or off"},
        {{"--log-format"}, "memkv start: --log-format needs a value: --log-format json or text"},
        {{"--dev", "--dev"}, "memkv start: --dev is given twice; give it once"},
        {{"--heap-profile", "--heap-profile"},
         "memkv start: --heap-profile is given twice; give it once"},
        {{"--config", "a", "--config=b"}, "memkv start: --config is given twice; give it once"},
        {{"--recrod", "a"}, "memkv start: unknown option '--recrod', did you mean '--record'?"},
        {{"--record"}, "memkv start: --record needs a value: --record FILE"},
        {{"--record-max-size", "2GiB"}, "memkv start: --record-max-size needs --record FILE"},
        {{"--record", "a", "--record-max-size", "much"},
         "memkv start: --record-max-size: 'much' is not a size; use a number with KiB, MiB, GiB "
         "or TiB, like 64GiB"},
        {{"--record", "a", "--record-max-size", "1023KiB"},
         "memkv start: --record-max-size: '1023KiB' is below 1MiB; use 1MiB or more"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_start_options options;
        struct mkv_config_error error;
        assert_false(parse(cases[i].words, &options, &error));
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_USAGE);
    }
}

static void test_parse__record_max_size__in_bytes(void **state) {
    (void)state;
    static const char *const words[] = {"--record-max-size=1MiB", "--record=r", NULL};
    struct mkv_start_options options;
    struct mkv_config_error error;
    assert_true(parse(words, &options, &error));
    assert_int_equal(options.record_bytes_max, MKV_MIB);
}

static void test_configure__flags_over_variables__in_order(void **state) {
    (void)state;
    char variable[] = "MEMKV_LOG_FORMAT=json";
    char address[] = "MEMKV_NETWORK_ADDRESS=127.0.0.1:7000";
    char *environment[] = {variable, address, NULL};
    struct mkv_start_options options = {.dev = true, .dev_directory = "d"};
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(mkv_start_options_configure(&options, environment, &config, &error));
    assert_int_equal(config.log.format, MKV_CONFIG_LOG_JSON);
    assert_int_equal(config.network.address.port, 7000);
    assert_int_equal(config.network.admin_address.port, 7001);
    assert_string_equal(config.storage.drives[0].media, "d/store.memkv");
    assert_int_equal(config.rdma.mode, MKV_CONFIG_RDMA_AUTO);
    options.listen = "127.0.0.1:8000";
    options.rdma = "require";
    options.log_format = "text";
    assert_true(mkv_start_options_configure(&options, environment, &config, &error));
    assert_int_equal(config.log.format, MKV_CONFIG_LOG_TEXT);
    assert_int_equal(config.network.address.port, 8000);
    assert_int_equal(config.network.admin_address.port, 8001);
    assert_int_equal(config.rdma.mode, MKV_CONFIG_RDMA_REQUIRE);
}

static void test_configure__values_wrong__golden(void **state) {
    (void)state;
    static const struct {
        struct mkv_start_options options;
        enum mkv_exit_daemon exit_code;
        const char *message;
    } cases[] = {
        {{.dev = true, .listen = "gpu-07:9900"},
         MKV_EXIT_DAEMON_CONFIGURATION,
         "--listen: network.address gpu-07:9900 is a name; use an address, 0.0.0.0:9900 for all of "
         "this machine"},
        {{.dev = true, .listen = "9900"},
         MKV_EXIT_DAEMON_USAGE,
         "--listen: network.address: '9900' has no port; use HOST:PORT, like 127.0.0.1:9900"},
        {{.dev = true, .log_format = "xml"},
         MKV_EXIT_DAEMON_USAGE,
         "--log-format: log.format: 'xml' is not allowed; use json or text"},
        {{.dev = true, .rdma = "on"},
         MKV_EXIT_DAEMON_USAGE,
         "--rdma: rdma.mode: 'on' is not allowed; use auto, require or off"},
        {{.dev = false},
         MKV_EXIT_DAEMON_CONFIGURATION,
         "configuration: no drive is named; start with --config FILE that has storage.drives, or "
         "with --dev"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *environment[] = {NULL};
        struct mkv_config config;
        struct mkv_config_error error;
        bool configured =
            mkv_start_options_configure(&cases[i].options, environment, &config, &error);
        assert_false(configured);
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.exit_code, cases[i].exit_code);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__every_option__taken),
        cmocka_unit_test(test_parse__dev__takes_what_is_no_option_as_its_directory),
        cmocka_unit_test(test_parse__help__wins_over_what_follows),
        cmocka_unit_test(test_parse__wrong_words__golden),
        cmocka_unit_test(test_parse__record_max_size__in_bytes),
        cmocka_unit_test(test_configure__flags_over_variables__in_order),
        cmocka_unit_test(test_configure__values_wrong__golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
