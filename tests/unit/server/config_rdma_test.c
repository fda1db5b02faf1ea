/* SPDX-License-Identifier: Apache-2.0 */
/* The section rdma of the configuration: what its texts come to, and those that are refused. */
#include "server/config_rdma.h"
#include "tests/unit/server/config_helper.h"

#include <stdio.h>
#include <string.h>

static bool load(struct mkv_config *config, const char *section, struct mkv_config_error *error) {
    char text[512];
    snprintf(text, sizeof text, CONFIG_DRIVES "rdma: {%s}\n", section);
    return config_load(config, text, error) && mkv_config_validate(config, error);
}

static void test_rdma__nothing_said__is_automatic(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(load(&config, "", &error));
    assert_int_equal(config.rdma.mode, MKV_CONFIG_RDMA_AUTO);
    assert_string_equal(config.rdma.device, "");
    assert_int_equal(mkv_config_rdma_gid_index(&config), -1);
    assert_int_equal(mkv_config_rdma_mtu(&config), 0);
    assert_int_equal(config.rdma.traffic_class, 104); /* DSCP 26 */
    assert_int_equal(config.rdma.service_level, 0);
    assert_int_equal(config.rdma.poll_us, 50);
    assert_int_equal(config.rdma.connections_max, 256);
}

static void test_rdma__numbers_up_to_their_bounds__are_taken(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t mtu;
        int32_t gid_index;
    } cases[] = {
        {"mtu: auto, gid_index: auto", 0, -1},  {"mtu: 256, gid_index: 0", 256, 0},
        {"mtu: 512, gid_index: 9", 512, 9},     {"mtu: 1024, gid_index: 10", 1024, 10},
        {"mtu: 2048, gid_index: 99", 2048, 99}, {"mtu: 4096, gid_index: 255", 4096, 255},
    };
    struct mkv_config config;
    struct mkv_config_error error;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(load(&config, cases[i].text, &error));
        assert_int_equal(mkv_config_rdma_mtu(&config), cases[i].mtu);
        assert_int_equal(mkv_config_rdma_gid_index(&config), cases[i].gid_index);
    }
    assert_true(load(&config,
                     "traffic_class: 255, service_level: 15, poll_us: 10000, connections_max: 4096",
                     &error));
    assert_int_equal(config.rdma.traffic_class, 255);
    assert_int_equal(config.rdma.service_level, 15);
    assert_int_equal(config.rdma.poll_us, 10000);
    assert_int_equal(config.rdma.connections_max, 4096);
}

static void test_rdma__values_wrong__golden(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"mode: on", "memkv.yaml:2: rdma.mode: 'on' is not allowed; use auto, require or off"},
        {"mtu: 1500", "memkv.yaml:2: rdma.mtu: '1500' is not allowed; use auto, 256, 512, 1024, "
                      "2048 or 4096"},
        {"gid_index: 256", "memkv.yaml:2: rdma.gid_index: it is no place in a table of GIDs; use "
                           "auto or 0 to 255 (show_gids lists them)"},
        {"gid_index: -1", "memkv.yaml:2: rdma.gid_index: it is no place in a table of GIDs; use "
                          "auto or 0 to 255 (show_gids lists them)"},
        {"traffic_class: 256",
         "memkv.yaml:2: rdma.traffic_class: '256' is not allowed; use 0 to 255"},
        {"service_level: 16", "memkv.yaml:2: rdma.service_level: '16' is not allowed; use 0 to 15"},
        {"poll_us: 10001", "memkv.yaml:2: rdma.poll_us: '10001' is not allowed; use 0 to 10000"},
        {"connections_max: 0",
         "memkv.yaml:2: rdma.connections_max: '0' is not allowed; use 1 to 4096"},
        {"device: mlx5_0/1", "memkv.yaml:2: rdma.device: 'mlx5_0/1' is not allowed; use 1 to 63 "
                             "characters of A-Z a-z 0-9 . _ -"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error = {.message = ""};
        assert_false(load(&config, cases[i].text, &error));
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_CONFIGURATION);
    }
}

static void test_rdma__required_beside_tls__is_refused(void **state) {
    (void)state;
    static const char tls[] = CONFIG_DRIVES "network: {tls_cert: c, tls_key: k}\n"
                                            "rdma: {mode: %s}\n";
    char text[512];
    struct mkv_config config;
    struct mkv_config_error error;
    snprintf(text, sizeof text, tls, "require");
    assert_true(config_load(&config, text, &error));
    assert_false(mkv_config_validate(&config, &error));
    assert_string_equal(error.message,
                        "memkv.yaml:3: rdma.mode is require, and with network.tls_cert all native "
                        "clients speak TLS, which goes over TCP alone; set rdma.mode: auto, or "
                        "leave TLS out on a network that can be trusted");
    assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_CONFIGURATION);
    snprintf(text, sizeof text, tls, "auto");
    assert_true(config_load(&config, text, &error));
    assert_true(mkv_config_validate(&config, &error));
}

static void test_rdma__variables__are_those_of_the_keys(void **state) {
    (void)state;
    char mode[] = "MEMKV_RDMA_MODE=off";
    char index[] = "MEMKV_RDMA_GID_INDEX=5";
    char mtu[] = "MEMKV_RDMA_MTU=4096";
    char *const environment[] = {mode, index, mtu, NULL};
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    assert_true(mkv_config_load_environment(&config, environment, &error));
    assert_int_equal(config.rdma.mode, MKV_CONFIG_RDMA_OFF);
    assert_int_equal(mkv_config_rdma_gid_index(&config), 5);
    assert_int_equal(mkv_config_rdma_mtu(&config), 4096);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rdma__nothing_said__is_automatic),
        cmocka_unit_test(test_rdma__numbers_up_to_their_bounds__are_taken),
        cmocka_unit_test(test_rdma__values_wrong__golden),
        cmocka_unit_test(test_rdma__required_beside_tls__is_refused),
        cmocka_unit_test(test_rdma__variables__are_those_of_the_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
