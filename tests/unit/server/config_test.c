/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/server/config_helper.h"

static void assert_origin(const struct mkv_config *config, enum mkv_config_key_id key,
                          const char *expected) {
    char text[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    mkv_config_origin_format(config, key, text);
    assert_string_equal(text, expected);
}

static bool load_one_variable(struct mkv_config *config, char *variable,
                              struct mkv_config_error *error) {
    char *environment[] = {(char *)"PATH=/bin", variable, NULL};
    memset(error, 0, sizeof *error);
    return mkv_config_load_environment(config, environment, error);
}

/* ---- defaults and --dev ---------------------------------------------------------------------- */

static void test_defaults__plain__values_of_a_node(void **state) {
    (void)state;
    struct mkv_config config;
    mkv_config_defaults(&config, false);
    assert_string_equal(config.network.address.host, "127.0.0.1");
    assert_int_equal(config.network.address.port, 9900);
    assert_true(config.memory.max_size_bytes == MKV_GIB);
    assert_true(config.memory.block_size_bytes == 2 * MKV_MIB);
    assert_int_equal(config.memory.hugepages, MKV_CONFIG_HUGEPAGES_AUTO);
    assert_int_equal(config.storage.mode, MKV_CONFIG_STORAGE_DIRECT);
    assert_int_equal(config.storage.trim, MKV_CONFIG_TRIM_AUTO);
    assert_int_equal(config.storage.eviction, MKV_CONFIG_EVICTION_ON);
    assert_true(config.storage.block_size_bytes == 4 * MKV_MIB);
    assert_true(config.storage.block_bytes_max == 32 * MKV_MIB);
    assert_int_equal(config.storage.drive_count, 0);
    assert_true(strlen(config.node.id) > 0);
    assert_string_equal(config.log.level, "info");
    assert_int_equal(config.log.format, MKV_CONFIG_LOG_JSON);
    assert_int_equal(config.telemetry.tracing, MKV_CONFIG_TRACING_OFF);
    assert_int_equal(config.telemetry.sampling_ratio, MKV_CONFIG_RATIO_ONE);
    assert_string_equal(config.file, "");
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        assert_origin(&config, (enum mkv_config_key_id)i, "default");
    }
}

static void test_dev__no_directory__one_sparse_drive_and_small_memory(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(mkv_config_dev(&config, NULL, &error));
    assert_true(mkv_config_validate(&config, &error));
    assert_int_equal(config.storage.drive_count, 1);
    assert_string_equal(config.storage.drives[0].media, "memkv-data/store.memkv");
    assert_string_equal(config.storage.drives[0].name, "d00");
    assert_true(config.storage.drives[0].size_bytes == 4 * MKV_GIB);
    assert_true(config.memory.max_size_bytes == 256 * MKV_MIB);
    assert_int_equal(config.memory.hugepages, MKV_CONFIG_HUGEPAGES_AUTO);
    assert_int_equal(config.storage.mode, MKV_CONFIG_STORAGE_FILE);
    assert_int_equal(config.log.format, MKV_CONFIG_LOG_TEXT);
    assert_string_equal(config.network.address.host, "127.0.0.1");
    assert_int_equal(config.network.address.port, 9900);
    assert_int_equal(config.network.admin_address.port, 9901);
    assert_origin(&config, MKV_CONFIG_STORAGE_DRIVES, "--dev");
    assert_origin(&config, MKV_CONFIG_MEMORY_MAX_SIZE, "--dev");
    assert_origin(&config, MKV_CONFIG_MEMORY_HUGEPAGES, "default");
}

static void test_dev__directory__store_inside_it(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(mkv_config_dev(&config, "/srv/kv/", &error));
    assert_string_equal(config.storage.drives[0].media, "/srv/kv/store.memkv");
    assert_true(mkv_config_dev(&config, "here", &error));
    assert_string_equal(config.storage.drives[0].media, "here/store.memkv");
}

static void test_dev__bad_directory__usage_error(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    char directory[MKV_CONFIG_PATH_BYTES];
    memset(directory, 'x', sizeof directory);
    directory[sizeof directory - 1] = '\0';
    assert_false(mkv_config_dev(&config, directory, &error));
    assert_string_equal(error.message, "--dev: the directory: the path is too long; use at most "
                                       "1023 bytes, with the directory that it is relative to");
    assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_USAGE);
    assert_false(mkv_config_dev(&config, "", &error));
    assert_string_equal(error.message,
                        "--dev: the directory: the path is empty; name a block device or a file");
    assert_false(mkv_config_dev(&config, "a\nb", &error));
    assert_string_equal(error.message,
                        "--dev: the directory: the path contains a control character; remove it");
}

/* ---- layers -----------------------------------------------------------------------------------
 */

static const char layered_file[] = "network:\n"
                                   "  address: 127.0.0.1:1001\n"
                                   "log:\n"
                                   "  level: warn\n"
                                   "  format: text\n" CONFIG_DRIVES;

static void test_layers__each_higher_than_the_last__highest_wins(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    config_load_good(&config, layered_file);
    char *environment[] = {(char *)"MEMKV_NETWORK_ADDRESS=127.0.0.1:1002",
                           (char *)"MEMKV_LOG_LEVEL=debug", NULL};
    assert_true(mkv_config_load_environment(&config, environment, &error));
    assert_true(mkv_config_set(&config, "network.address", "127.0.0.1:1003", "--listen", &error));

    assert_int_equal(config.network.address.port, 1003);
    assert_string_equal(config.log.level, "debug");
    assert_int_equal(config.log.format, MKV_CONFIG_LOG_TEXT);
    assert_int_equal(config.storage.mode, MKV_CONFIG_STORAGE_DIRECT);
    assert_origin(&config, MKV_CONFIG_NETWORK_ADDRESS, "--listen");
    assert_origin(&config, MKV_CONFIG_LOG_LEVEL, "MEMKV_LOG_LEVEL");
    assert_origin(&config, MKV_CONFIG_LOG_FORMAT, "memkv.yaml:5");
    assert_origin(&config, MKV_CONFIG_STORAGE_DRIVES, "memkv.yaml:6");
    assert_origin(&config, MKV_CONFIG_STORAGE_MODE, "default");
}

static void test_layers__lower_comes_later__higher_stays(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    assert_true(mkv_config_set(&config, "network.address", "127.0.0.1:1003", "--listen", &error));
    assert_true(load_one_variable(&config, (char *)"MEMKV_NETWORK_ADDRESS=127.0.0.1:1002", &error));
    assert_true(load_one_variable(&config, (char *)"MEMKV_LOG_LEVEL=debug", &error));
    assert_true(
        mkv_config_load_text(&config, "memkv.yaml", layered_file, strlen(layered_file), &error));
    assert_int_equal(config.network.address.port, 1003);
    assert_string_equal(config.log.level, "debug");
    assert_int_equal(config.log.format, MKV_CONFIG_LOG_TEXT);
}

static void test_layers__file_over_dev__drives_of_the_file(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    const char *text = "storage: {drives: [{media: /dev/a}, {media: /dev/b}]}";
    assert_true(mkv_config_dev(&config, NULL, &error));
    assert_true(mkv_config_load_text(&config, "/etc/memkv.yaml", text, strlen(text), &error));
    assert_int_equal(config.storage.drive_count, 2);
    assert_string_equal(config.storage.drives[0].media, "/dev/a");
    assert_int_equal(config.storage.drives[0].size_bytes, 0);
    assert_true(config.memory.max_size_bytes == 256 * MKV_MIB);
}

static void test_layers__a_call_fails__configuration_unchanged(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    config_load_good(&config, layered_file);
    struct mkv_config before = config;
    char *environment[] = {(char *)"MEMKV_LOG_LEVEL=trace", (char *)"MEMKV_STORAGE_MODE=dirct",
                           NULL};
    assert_false(mkv_config_load_environment(&config, environment, &error));
    assert_memory_equal(&config, &before, sizeof config);
    assert_false(mkv_config_set(&config, "log.level", "loud", "--log-level", &error));
    assert_memory_equal(&config, &before, sizeof config);

    const char *text = "log: {level: trace}\nstorage: {drives: [{media: b}], mode: dirct}\n";
    mkv_config_defaults(&config, false);
    before = config;
    assert_false(mkv_config_load_text(&config, "memkv.yaml", text, strlen(text), &error));
    assert_memory_equal(&config, &before, sizeof config);
}

/* ---- variables --------------------------------------------------------------------------------
 */

static void test_environment__every_scalar_key__taken(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    char *environment[] = {
        (char *)"MEMKV_NETWORK_ADDRESS=[::1]:7000",
        (char *)"MEMKV_NETWORK_ADMIN_ADDRESS=localhost:7100",
        (char *)"MEMKV_MEMORY_MAX_SIZE=2GiB",
        (char *)"MEMKV_MEMORY_HUGEPAGES=off",
        (char *)"MEMKV_MEMORY_BLOCK_SIZE=1MiB",
        (char *)"MEMKV_STORAGE_MODE=file",
        (char *)"MEMKV_STORAGE_TRIM=on",
        (char *)"MEMKV_STORAGE_EVICTION=off",
        (char *)"MEMKV_STORAGE_BLOCK_SIZE=8MiB",
        (char *)"MEMKV_STORAGE_BLOCK_BYTES_MAX=16MiB",
        (char *)"MEMKV_NODE_ID=gpu-07",
        (char *)"MEMKV_LOG_LEVEL=error",
        (char *)"MEMKV_LOG_FORMAT=text",
        NULL,
    };
    mkv_config_defaults(&config, false);
    assert_true(mkv_config_load_environment(&config, environment, &error));
    assert_string_equal(config.network.address.host, "::1");
    assert_int_equal(config.network.admin_address.port, 7100);
    assert_true(config.memory.max_size_bytes == 2 * MKV_GIB);
    assert_int_equal(config.memory.hugepages, MKV_CONFIG_HUGEPAGES_OFF);
    assert_true(config.memory.block_size_bytes == MKV_MIB);
    assert_int_equal(config.storage.mode, MKV_CONFIG_STORAGE_FILE);
    assert_int_equal(config.storage.trim, MKV_CONFIG_TRIM_ON);
    assert_int_equal(config.storage.eviction, MKV_CONFIG_EVICTION_OFF);
    assert_true(config.storage.block_size_bytes == 8 * MKV_MIB);
    assert_true(config.storage.block_bytes_max == 16 * MKV_MIB);
    assert_string_equal(config.node.id, "gpu-07");
    assert_string_equal(config.log.level, "error");
    assert_int_equal(config.log.format, MKV_CONFIG_LOG_TEXT);
}

static void test_environment__both_names_of_a_variable__refused(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    char *short_name[] = {(char *)"MEMKV_LOG=info,core.journal=debug", NULL};
    mkv_config_defaults(&config, false);
    assert_true(mkv_config_load_environment(&config, short_name, &error));
    assert_string_equal(config.log.level, "info,core.journal=debug");
    assert_origin(&config, MKV_CONFIG_LOG_LEVEL, "MEMKV_LOG");
    char *wrong[] = {(char *)"MEMKV_LOG=loud", NULL};
    assert_false(mkv_config_load_environment(&config, wrong, &error));
    assert_string_equal(error.message, "MEMKV_LOG: log.level: 'loud' names no level; use error, "
                                       "warn, info, debug or trace");
    char *both[][3] = {{(char *)"MEMKV_LOG=info", (char *)"MEMKV_LOG_LEVEL=debug", NULL},
                       {(char *)"MEMKV_LOG_LEVEL=debug", (char *)"MEMKV_LOG=info", NULL}};
    for (size_t i = 0; i < 2; i++) {
        mkv_config_defaults(&config, false);
        assert_false(mkv_config_load_environment(&config, both[i], &error));
        assert_string_equal(error.message,
                            "MEMKV_LOG: MEMKV_LOG_LEVEL sets log.level too; keep one of them");
    }
}

static void test_environment__bad_value__names_the_variable(void **state) {
    (void)state;
    static const struct {
        const char *variable;
        const char *message;
    } cases[] = {
        {"MEMKV_MEMORY_MAX_SIZE=lots",
         "MEMKV_MEMORY_MAX_SIZE: memory.max_size: 'lots' is not a size; use a number with KiB, "
         "MiB, GiB or TiB, like 64GiB"},
        {"MEMKV_STORAGE_MODE=dirct",
         "MEMKV_STORAGE_MODE: storage.mode: 'dirct' is not allowed; use direct or file"},
        {"MEMKV_NETWORK_ADDRESS=9900", "MEMKV_NETWORK_ADDRESS: network.address: '9900' has no "
                                       "port; use HOST:PORT, like 127.0.0.1:9900"},
        {"MEMKV_NODE_ID=a b", "MEMKV_NODE_ID: node.id: 'a b' is not allowed; use 1 to 63 "
                              "characters of A-Z a-z 0-9 . _ -"},
        {"MEMKV_STORAGE_DRIVES=/dev/a", "MEMKV_STORAGE_DRIVES: storage.drives is a list and can "
                                        "only be set in the configuration file"},
        {"MEMKV_NETWORK_ADRESS=127.0.0.1:1",
         "MEMKV_NETWORK_ADRESS: unknown variable, did you mean 'MEMKV_NETWORK_ADDRESS'?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error;
        mkv_config_defaults(&config, false);
        assert_false(load_one_variable(&config, (char *)cases[i].variable, &error));
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_CONFIGURATION);
    }
}

static void test_environment__empty_or_foreign__left_alone(void **state) {
    (void)state;
    static const char *const variables[] = {
        "MEMKV_NETWORK_ADDRESS=",
        "MEMKV_NETWORK_ADRESS=",
        "MEMKV_NETWORK_ADDRESS",
        "XMEMKV_NETWORK_ADDRESS=x",
        "MEMKV_SERVERS=127.0.0.1:9900",
        "MEMKV_DISCOVERY=file:/etc/servers",
        "MEMKV_CONFIG=/etc/memkv.yaml",
        "MEMKV_AUTH_KEY=00",
        "MEMKV_AUTH_KEY_ID=batch-1",
        "MEMKV_TRANSPORT=tcp",
        "MEMKV_RDMA_DEVICES=mlx5_0",
        "MEMKV_STORAGE_SERVICE_HOST=10.0.0.1",
        "MEMKV_STORAGE_PORT_9900_TCP_ADDR=10.0.0.1",
        "MEMKV_PORT=tcp://10.0.0.1:9900",
        "MEMKV_A_NAME_THAT_IS_LONGER_THAN_ALL_OF_THE_KNOWN_NAMES_TOGETHER_WITH_ROOM=1",
    };
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error;
        mkv_config_defaults(&config, false);
        struct mkv_config before = config;
        assert_true(load_one_variable(&config, (char *)variables[i], &error));
        assert_memory_equal(&config, &before, sizeof config);
    }
}

/* ---- flags and exit codes ---------------------------------------------------------------------
 */

static void test_set__bad_value_or_key__names_the_flag(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    assert_false(mkv_config_set(&config, "network.address", "9900", "--listen", &error));
    assert_string_equal(
        error.message,
        "--listen: network.address: '9900' has no port; use HOST:PORT, like 127.0.0.1:9900");
    assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_USAGE);
    assert_false(mkv_config_set(&config, "network.adress", "x", "--set", &error));
    assert_string_equal(error.message, "--set: unknown key 'network.adress'; "
                                       "docs/configuration.md lists the keys");
    assert_false(mkv_config_set(&config, "storage.drives", "x", "--set", &error));
    assert_string_equal(error.message, "--set: storage.drives is a list and can only be set in "
                                       "the configuration file");
}

static void test_exit_codes__all__as_published(void **state) {
    (void)state;
    assert_int_equal(MKV_EXIT_DAEMON_DONE, 0);
    assert_int_equal(MKV_EXIT_DAEMON_USAGE, 64);
    assert_int_equal(MKV_EXIT_DAEMON_UNAVAILABLE, 69);
    assert_int_equal(MKV_EXIT_DAEMON_IO, 74);
    assert_int_equal(MKV_EXIT_DAEMON_PERMISSION, 77);
    assert_int_equal(MKV_EXIT_DAEMON_CONFIGURATION, 78);
    assert_int_equal(MKV_EXIT_CLIENT_DONE, 0);
    assert_int_equal(MKV_EXIT_CLIENT_NOT_FOUND, 1);
    assert_int_equal(MKV_EXIT_CLIENT_USAGE, 2);
    assert_int_equal(MKV_EXIT_CLIENT_NO_CONNECTION, 3);
    assert_int_equal(MKV_EXIT_CLIENT_SERVER_ERROR, 4);
    assert_int_equal(MKV_EXIT_CHECK_HEALTHY, 0);
    assert_int_equal(MKV_EXIT_CHECK_DEGRADED, 1);
    assert_int_equal(MKV_EXIT_CHECK_UNHEALTHY, 2);
    assert_int_equal(MKV_EXIT_CHECK_UNREACHABLE, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults__plain__values_of_a_node),
        cmocka_unit_test(test_dev__no_directory__one_sparse_drive_and_small_memory),
        cmocka_unit_test(test_dev__directory__store_inside_it),
        cmocka_unit_test(test_dev__bad_directory__usage_error),
        cmocka_unit_test(test_layers__each_higher_than_the_last__highest_wins),
        cmocka_unit_test(test_layers__lower_comes_later__higher_stays),
        cmocka_unit_test(test_layers__file_over_dev__drives_of_the_file),
        cmocka_unit_test(test_layers__a_call_fails__configuration_unchanged),
        cmocka_unit_test(test_environment__every_scalar_key__taken),
        cmocka_unit_test(test_environment__both_names_of_a_variable__refused),
        cmocka_unit_test(test_environment__bad_value__names_the_variable),
        cmocka_unit_test(test_environment__empty_or_foreign__left_alone),
        cmocka_unit_test(test_set__bad_value_or_key__names_the_flag),
        cmocka_unit_test(test_exit_codes__all__as_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
