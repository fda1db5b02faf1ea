/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/server/config_helper.h"

#include <stdio.h>

/* Loads `text`, lays one variable or flag over it where there is one, and validates. */
static bool load_and_validate(struct mkv_config *config, const char *text, const char *listen,
                              struct mkv_config_error *error) {
    config_load_good(config, text);
    if (listen != NULL) {
        assert_true(mkv_config_set(config, "network.address", listen, "--listen", error));
    }
    return mkv_config_validate(config, error);
}

static void test_validate__no_admin_address__port_plus_1(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(load_and_validate(&config, CONFIG_DRIVES, "[::1]:65534", &error));
    assert_string_equal(config.network.admin_address.host, "::1");
    assert_int_equal(config.network.admin_address.port, 65535);
    /* Validating again, as after a flag, derives again. */
    assert_true(mkv_config_set(&config, "network.address", "127.0.0.9:7000", "--listen", &error));
    assert_true(mkv_config_validate(&config, &error));
    assert_string_equal(config.network.admin_address.host, "127.0.0.9");
    assert_int_equal(config.network.admin_address.port, 7001);
}

static void test_validate__localhost__numeric_after(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(load_and_validate(&config, CONFIG_DRIVES, "localhost:7000", &error));
    assert_string_equal(config.network.address.host, "127.0.0.1");
    assert_string_equal(config.network.admin_address.host, "127.0.0.1");
}

static void test_validate__listeners_wrong__golden(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *listen;
        const char *message;
    } cases[] = {
        {"# 1\nnetwork:\n  address: 0.0.0.0:9900\nadmin: {auth: none}\n" CONFIG_DRIVES, NULL,
         "memkv.yaml:4: admin.auth none lets everybody do all, so network.admin_address must be "
         "loopback, not 0.0.0.0:9901; use 127.0.0.1:9901, or admin.auth required"},
        {"network:\n  admin_address: '[::]:9000'\nadmin: {auth: none}\n" CONFIG_DRIVES, NULL,
         "memkv.yaml:3: admin.auth none lets everybody do all, so network.admin_address must be "
         "loopback, not [::]:9000; use 127.0.0.1:9000, or admin.auth required"},
        {"network: {admin_address: 'gpu-07:9000'}\n" CONFIG_DRIVES, NULL,
         "memkv.yaml:1: network.admin_address gpu-07:9000 is a name; use an address, 0.0.0.0:9000 "
         "for all of this machine"},
        {CONFIG_DRIVES, "gpu-07:9900",
         "--listen: network.address gpu-07:9900 is a name; use an address, 0.0.0.0:9900 for all of "
         "this machine"},
        {CONFIG_DRIVES, "127.0.0.1:65535",
         "--listen: network.address 127.0.0.1:65535 leaves no port + 1 for the admin listener; use "
         "a port up to 65534, or set network.admin_address"},
        {"network: {admin_address: '127.0.0.1:9901'}\n" CONFIG_DRIVES, "127.0.0.1:9901",
         "--listen: network.address 127.0.0.1:9901 is also network.admin_address (memkv.yaml:1); "
         "give each listener a port of its own"},
        {"network:\n  tls_cert: /etc/memkv/cert.pem\n" CONFIG_DRIVES, NULL,
         "memkv.yaml:2: network.tls_cert is set and network.tls_key is not; TLS takes both, or "
         "neither"},
        {"network: {tls_key: key.pem}\n" CONFIG_DRIVES, NULL,
         "memkv.yaml:1: network.tls_key is set and network.tls_cert is not; TLS takes both, or "
         "neither"},
        {"network: {admin_address: 'localhost:9900'}\n" CONFIG_DRIVES, NULL,
         "memkv.yaml:1: network.admin_address 127.0.0.1:9900 is also network.address (default); "
         "give each listener a port of its own"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error = {.message = ""};
        bool valid = load_and_validate(&config, cases[i].text, cases[i].listen, &error);
        assert_string_equal(error.message, cases[i].message);
        assert_false(valid);
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_CONFIGURATION);
    }
}

static void test_validate__clients_on_a_public_address__accepted(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(load_and_validate(&config, CONFIG_DRIVES, "0.0.0.0:9900", &error));
    assert_string_equal(config.network.admin_address.host, "0.0.0.0");
}

static void test_validate__keys_and_users_wrong__golden(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"auth: {keys: [{id: a, file: x}, {id: a, file: y}]}\n",
         "memkv.yaml:1: auth.keys[1]: its id is that of another key, and network.auth_key has the "
         "id default; give each key an id of its own"},
        {"network: {auth_key: k}\nauth: {keys: [{id: default, file: x}]}\n",
         "memkv.yaml:2: auth.keys[0]: its id is that of another key, and network.auth_key has the "
         "id default; give each key an id of its own"},
        {"auth: {users: [{name: u, password_file: p, key_id: a}]}\n",
         "memkv.yaml:1: auth.users[0]: its key_id is no id of auth.keys, nor default with a "
         "network.auth_key; name one of them"},
        {"auth:\n  keys: [{id: a, file: x}]\n"
         "  users: [{name: u, password_file: p, key_id: a}, {name: u, password_file: q, key_id: "
         "a}]\n",
         "memkv.yaml:3: auth.users[1]: its name is that of another user; list each user once"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error = {.message = ""};
        char text[1024];
        snprintf(text, sizeof text, "%s" CONFIG_DRIVES, cases[i].text);
        assert_false(load_and_validate(&config, text, NULL, &error));
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_CONFIGURATION);
    }
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(load_and_validate(&config,
                                  "network: {auth_key: k}\n"
                                  "auth: {users: [{name: u, password_file: p, key_id: "
                                  "default}]}\n" CONFIG_DRIVES,
                                  NULL, &error));
}

static void test_validate__admin_on_a_public_address__accepted(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(load_and_validate(
        &config, "network: {admin_address: '0.0.0.0:9901'}\n" CONFIG_DRIVES, NULL, &error));
    assert_string_equal(config.network.admin_address.host, "0.0.0.0");
}

static void test_validate__bad_file_address_under_a_good_flag__accepted(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(load_and_validate(&config, "network: {address: '0.0.0.0:9900'}\n" CONFIG_DRIVES,
                                  "127.0.0.1:9900", &error));
    assert_true(load_and_validate(
        &config, "network: {address: '[::1]:65535', admin_address: '[::1]:1'}\n" CONFIG_DRIVES,
        NULL, &error));
    assert_int_equal(config.network.admin_address.port, 1);
}

static void test_validate__memory_for_four_blocks__exact_border(void **state) {
    (void)state;
    static const struct {
        const char *memory;
        const char *block;
        const char *message; /* NULL: valid */
    } cases[] = {
        {"130MiB", "32MiB", NULL},
        {"128MiB", "32MiB",
         "memkv.yaml:1: memory.max_size 128MiB holds fewer than 4 blocks of "
         "storage.block_bytes_max 32MiB; use at least 130MiB, or a smaller "
         "storage.block_bytes_max"},
        {"66MiB", "16MiB", NULL},
        {"128MiB", "20MiB",
         "memkv.yaml:1: memory.max_size 128MiB holds fewer than 4 blocks of "
         "storage.block_bytes_max 20MiB; use at least 130MiB, or a smaller "
         "storage.block_bytes_max"},
        {"16MiB", "64KiB", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error = {.message = ""};
        char text[256];
        snprintf(text, sizeof text,
                 "memory: {max_size: %s}\n"
                 "storage: {block_bytes_max: %s, drives: [{media: a}]}\n",
                 cases[i].memory, cases[i].block);
        bool valid = load_and_validate(&config, text, NULL, &error);
        assert_string_equal(error.message, cases[i].message == NULL ? "" : cases[i].message);
        assert_int_equal(valid, cases[i].message == NULL);
    }
}

static void test_validate__memory_from_a_variable__variable_is_blamed(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    char *environment[] = {(char *)"MEMKV_STORAGE_BLOCK_BYTES_MAX=32MiB", NULL};
    config_load_good(&config, "memory: {max_size: 64MiB}\n" CONFIG_DRIVES);
    assert_true(mkv_config_load_environment(&config, environment, &error));
    assert_false(mkv_config_validate(&config, &error));
    assert_string_equal(error.message,
                        "MEMKV_STORAGE_BLOCK_BYTES_MAX: memory.max_size 64MiB holds fewer than 4 "
                        "blocks of storage.block_bytes_max 32MiB; use at least 130MiB, or a "
                        "smaller storage.block_bytes_max");
}

static void test_validate__reporting_unit_larger_than_memory__refused(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_false(load_and_validate(
        &config, "memory: {max_size: 256MiB,\n block_size: 512MiB}\n" CONFIG_DRIVES, NULL, &error));
    assert_string_equal(error.message, "memkv.yaml:2: memory.block_size 512MiB is larger than "
                                       "memory.max_size 256MiB; use a smaller memory.block_size");
}

static void test_validate__drives_wrong__golden(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"log: {level: info}\n", "memkv.yaml: storage.drives names no drive; add one, like drives: "
                                 "[{media: /dev/nvme0n1}]"},
        {"storage:\n  drives: []\n", "memkv.yaml:2: storage.drives names no drive; add one, like "
                                     "drives: [{media: /dev/nvme0n1}]"},
        {"storage:\n  drives:\n", "memkv.yaml:2: storage.drives names no drive; add one, like "
                                  "drives: [{media: /dev/nvme0n1}]"},
        {"storage:\n  drives:\n  - media: a\n    name: x\n  - media: b\n    name: x\n",
         "memkv.yaml:5: storage.drives[1]: the name 'x' is also that of storage.drives[0] (line "
         "3); give each drive a name of its own"},
        {"storage:\n  drives:\n  - {media: a, name: d01}\n  - {media: b}\n",
         "memkv.yaml:4: storage.drives[1]: the name 'd01' is also that of storage.drives[0] (line "
         "3); give each drive a name of its own"},
        {"storage:\n  drives:\n  - media: a\n  - media: b\n  - media: a\n",
         "memkv.yaml:5: storage.drives[2]: the media 'a' is also that of storage.drives[0] (line "
         "3); list each drive once"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error = {.message = ""};
        bool valid = load_and_validate(&config, cases[i].text, NULL, &error);
        assert_string_equal(error.message, cases[i].message);
        assert_false(valid);
    }
}

static void test_validate__nothing_configured__says_how_to_start(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    struct mkv_config before = config;
    assert_false(mkv_config_validate(&config, &error));
    assert_string_equal(error.message, "configuration: no drive is named; start with --config FILE "
                                       "that has storage.drives, or with --dev");
    assert_memory_equal(&config, &before, sizeof config);
}

static void test_file__ratio__its_parts_or_golden(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ratio;
    } good[] = {{"0", 0},           {"1", 1000000000},
                {"0.5", 500000000}, {"1.000", 1000000000},
                {"0.000000001", 1}, {"0.999999999", 999999999}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct mkv_config config;
        char text[64];
        snprintf(text, sizeof text, "telemetry: {sampling_ratio: %s}\n", good[i].text);
        config_load_good(&config, text);
        assert_int_equal(config.telemetry.sampling_ratio, good[i].ratio);
    }
    static const char *const bad[] = {"2", "-1", "1.1", ".5", "0.", "1.0000000000", "0.5x", "01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error;
        char text[64];
        char message[128];
        snprintf(text, sizeof text, "telemetry: {sampling_ratio: %s}\n", bad[i]);
        snprintf(message, sizeof message,
                 "memkv.yaml:1: telemetry.sampling_ratio: '%s' is not allowed; use 0 to 1 with up "
                 "to 9 decimals",
                 bad[i]);
        assert_false(config_load(&config, text, &error));
        assert_string_equal(error.message, message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file__ratio__its_parts_or_golden),
        cmocka_unit_test(test_validate__no_admin_address__port_plus_1),
        cmocka_unit_test(test_validate__clients_on_a_public_address__accepted),
        cmocka_unit_test(test_validate__keys_and_users_wrong__golden),
        cmocka_unit_test(test_validate__admin_on_a_public_address__accepted),
        cmocka_unit_test(test_validate__localhost__numeric_after),
        cmocka_unit_test(test_validate__listeners_wrong__golden),
        cmocka_unit_test(test_validate__bad_file_address_under_a_good_flag__accepted),
        cmocka_unit_test(test_validate__memory_for_four_blocks__exact_border),
        cmocka_unit_test(test_validate__memory_from_a_variable__variable_is_blamed),
        cmocka_unit_test(test_validate__reporting_unit_larger_than_memory__refused),
        cmocka_unit_test(test_validate__drives_wrong__golden),
        cmocka_unit_test(test_validate__nothing_configured__says_how_to_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
