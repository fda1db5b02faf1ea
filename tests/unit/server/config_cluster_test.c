/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of section cluster: what they take, and what follows from them. */
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

static void test_config_cluster__what_is_wrong__golden(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"cluster:\n  discovery: file:/etc/servers\n",
         "memkv.yaml:2: cluster.discovery: a node tells etcd alone that it is there; write "
         "etcd:http://HOST:PORT/PREFIX, or leave it out where a file, DNS or a list names the "
         "servers"},
        {"cluster:\n  discovery: etcd:http://a:2379\n",
         "memkv.yaml:2: cluster.discovery: etcd: the prefix of the keys is missing; write "
         "etcd:http://HOST:PORT/PREFIX, with several of http://HOST:PORT with commas between them"},
        {"cluster: {advertise: gpu-07}\n",
         "memkv.yaml:1: cluster.advertise: it is 'gpu-07': it has no port; write HOST:PORT, as in "
         "127.0.0.1:9900"},
        {"cluster: {advertise: 'a:1*2'}\n",
         "memkv.yaml:1: cluster.advertise: it is one HOST:PORT; the weight stands in "
         "cluster.weight"},
        {"cluster: {weight: 0}\n",
         "memkv.yaml:1: cluster.weight: '0' is not allowed; use 1 to 256"},
        {"cluster: {lease_ttl: 1s}\n",
         "memkv.yaml:1: cluster.lease_ttl: '1s' is not allowed; use 2s to 3600s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config config;
        struct mkv_config_error error;
        assert_false(config_load(&config, cases[i].text, &error));
        assert_string_equal(error.message, cases[i].message);
    }
}

#define ETCD "cluster: {discovery: 'etcd:http://127.0.0.1:2379/memkv'}\n"

static void test_config_cluster__address_that_clients_are_told__derived(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    assert_true(load_and_validate(&config, CONFIG_DRIVES, NULL, &error));
    assert_string_equal(config.cluster.advertise, "");
    assert_true(load_and_validate(&config, ETCD CONFIG_DRIVES, "[::1]:7000", &error));
    assert_string_equal(config.cluster.advertise, "[::1]:7000");
    /* Validating again, as after a flag, derives again. */
    assert_true(mkv_config_set(&config, "network.address", "127.0.0.9:7000", "--listen", &error));
    assert_true(mkv_config_validate(&config, &error));
    assert_string_equal(config.cluster.advertise, "127.0.0.9:7000");
    assert_true(mkv_config_set(&config, "cluster.advertise", "kv-0:1", "--set", &error));
    assert_true(mkv_config_set(&config, "network.address", "0.0.0.0:7000", "--listen", &error));
    assert_true(mkv_config_validate(&config, &error));
    assert_string_equal(config.cluster.advertise, "kv-0:1");
    static const char *const any[] = {"0.0.0.0:9900", "[::]:9900"};
    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++) {
        assert_false(load_and_validate(&config, ETCD CONFIG_DRIVES, any[i], &error));
        assert_non_null(strstr(error.message, "memkv.yaml:1: cluster.discovery is set, and clients "
                                              "cannot connect to network.address "));
    }
    assert_false(
        load_and_validate(&config, "cluster: {advertise: 'kv-0:1'}\n" CONFIG_DRIVES, NULL, &error));
    assert_string_equal(error.message,
                        "memkv.yaml:1: cluster.advertise is set and cluster.discovery is not: "
                        "nobody is told; set it, too, or leave both out");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_cluster__what_is_wrong__golden),
        cmocka_unit_test(test_config_cluster__address_that_clients_are_told__derived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
