/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options, environment and file: which one holds, and what is said of those that are wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "client/settings.h"
#include "tests/unit/client/test_client.h"

static char path[64];

/* MEMKV_CONFIG names a file with that text from now on. */
static void write_file(const char *text) {
    snprintf(path, sizeof path, "/tmp/memkv-settings-test-%d.yaml", (int)getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    setenv("MEMKV_CONFIG", path, 1);
}

static int forget(void **state) {
    (void)state;
    unsetenv("MEMKV_CONFIG");
    unsetenv("MEMKV_SERVERS");
    unsetenv("MEMKV_DISCOVERY");
    unsetenv("MEMKV_TRANSPORT");
    unsetenv("MEMKV_RDMA_DEVICES");
    unsetenv("MEMKV_RDMA_POLL_US");
    unsetenv("MEMKV_TLS");
    unsetenv("MEMKV_AUTH_KEY");
    unsetenv("MEMKV_AUTH_KEY_ID");
    if (path[0] != '\0') {
        unlink(path);
        path[0] = '\0';
    }
    return 0;
}

/* With these options, which may be NULL. */
static struct mkv_settings *read_all(const struct memkv_options *options) {
    static struct mkv_settings settings;
    static const struct memkv_options none;
    struct memkv_error error = {0};
    if (mkv_settings_read(options != NULL ? options : &none, &settings, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    return &settings;
}

static void expect_fault(const char *part) {
    static struct mkv_settings settings;
    static const struct memkv_options none;
    struct memkv_error error = {0};
    assert_int_equal(mkv_settings_read(&none, &settings, &error), MEMKV_INVALID);
    test_expect_text(&error, part);
}

static const char full[] = "servers:\n"
                           "  - kv-0:9900\n"
                           "  - kv-1:9900*3\n"
                           "  - {address: 'kv-2:9901', weight: 2}\n"
                           "transport: tcp\n"
                           "timeout_ms: 700\n"
                           "connect_timeout_ms: 70\n"
                           "connections: 4\n"
                           "auth_key_id: blue\n"
                           "auth_key: "
                           "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n"
                           "client_name: engine\n"
                           "tenant: team-7\n";

static void test_settings__nothing_is_said__has_the_defaults(void **state) {
    (void)state;
    setenv("MEMKV_SERVERS", "", 1); /* empty is unset */
    const struct mkv_settings *settings = read_all(NULL);
    assert_int_equal(settings->server_count, 1);
    assert_string_equal(settings->servers[0].text, "127.0.0.1:9900");
    assert_int_equal(settings->servers[0].weight, 1);
    assert_int_equal(settings->timeout_ms, 30000);
    assert_int_equal(settings->connect_timeout_ms, 5000);
    assert_int_equal(settings->connections, 1);
    assert_string_equal(settings->name, "libmemkv");
    assert_string_equal(settings->tenant, "default");
    assert_false(settings->has_key);
    assert_string_equal(settings->auth_key_id, "default");
}

static void test_settings__file__says_all_of_it(void **state) {
    (void)state;
    write_file(full);
    const struct mkv_settings *settings = read_all(NULL);
    assert_int_equal(settings->server_count, 3);
    assert_string_equal(settings->servers[1].text, "kv-1:9900");
    assert_int_equal(settings->servers[1].weight, 3);
    assert_string_equal(settings->servers[2].text, "kv-2:9901");
    assert_int_equal(settings->servers[2].weight, 2);
    assert_int_equal(settings->timeout_ms, 700);
    assert_int_equal(settings->connect_timeout_ms, 70);
    assert_int_equal(settings->connections, 4);
    assert_string_equal(settings->name, "engine");
    assert_string_equal(settings->tenant, "team-7");
    assert_true(settings->has_key);
    assert_int_equal(settings->auth_key[1], 0x11);
    assert_int_equal(settings->auth_key[31], 0xff);
    assert_string_equal(settings->auth_key_id, "blue");
    write_file("servers: a:1,b:2*5\n");
    settings = read_all(NULL);
    assert_int_equal(settings->server_count, 2);
    assert_int_equal(settings->servers[1].weight, 5);
    write_file("");
    assert_int_equal(read_all(NULL)->server_count, 1);
}

static void test_settings__environment__wins_over_the_file(void **state) {
    (void)state;
    write_file(full);
    setenv("MEMKV_SERVERS", "x:1", 1);
    setenv("MEMKV_TRANSPORT", "auto", 1);
    setenv("MEMKV_AUTH_KEY", "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 1);
    setenv("MEMKV_AUTH_KEY_ID", "green", 1);
    const struct mkv_settings *settings = read_all(NULL);
    assert_int_equal(settings->server_count, 1);
    assert_string_equal(settings->servers[0].text, "x:1");
    assert_int_equal(settings->timeout_ms, 700);
    assert_int_equal(settings->auth_key[0], 0xff);
    assert_string_equal(settings->auth_key_id, "green");
}

static void test_settings__options__win_over_all(void **state) {
    (void)state;
    write_file(full);
    setenv("MEMKV_SERVERS", "is not: a server", 1);
    const struct memkv_options options = {.servers = "y:2",
                                          .timeout_ms = 5,
                                          .connect_timeout_ms = 6,
                                          .client_name = "mine",
                                          .tenant = "other",
                                          .connections = 7};
    const struct mkv_settings *settings = read_all(&options);
    assert_string_equal(settings->servers[0].text, "y:2");
    assert_int_equal(settings->server_count, 1);
    assert_int_equal(settings->timeout_ms, 5);
    assert_int_equal(settings->connect_timeout_ms, 6);
    assert_string_equal(settings->name, "mine");
    assert_string_equal(settings->tenant, "other");
    assert_int_equal(settings->connections, 7);
}

static void test_settings__otel_endpoint__of_all_comes_last(void **state) {
    (void)state;
    struct memkv_options options = {0};
    struct mkv_settings *settings = malloc(sizeof *settings);
    struct memkv_error error;
    assert_non_null(settings);
    assert_int_equal(mkv_settings_read(&options, settings, &error), MEMKV_OK);
    assert_string_equal(settings->otel_endpoint, "");
    assert_int_equal(settings->otel_sampling_ratio, MKV_SETTINGS_RATIO_ONE);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318", 1);
    assert_int_equal(mkv_settings_read(&options, settings, &error), MEMKV_OK);
    assert_string_equal(settings->otel_endpoint, "http://all:4318");
    assert_true(settings->otel_is_of_all);
    setenv("MEMKV_OTEL_ENDPOINT", "grpc://ours", 1);
    setenv("MEMKV_OTEL_SAMPLING_RATIO", "0.25", 1);
    assert_int_equal(mkv_settings_read(&options, settings, &error), MEMKV_OK);
    assert_string_equal(settings->otel_endpoint, "grpc://ours");
    assert_string_equal(settings->otel_origin, "MEMKV_OTEL_ENDPOINT");
    assert_false(settings->otel_is_of_all);
    assert_int_equal(settings->otel_sampling_ratio, MKV_SETTINGS_RATIO_ONE / 4);
    options.otel_endpoint = ""; /* none, whatever the environment says */
    assert_int_equal(mkv_settings_read(&options, settings, &error), MEMKV_OK);
    assert_string_equal(settings->otel_endpoint, "");
    unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
    unsetenv("MEMKV_OTEL_ENDPOINT");
    unsetenv("MEMKV_OTEL_SAMPLING_RATIO");
    free(settings);
}

static void test_settings__what_is_wrong__is_named_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"servers: [a:1]\nserver: b:2\n", ":2: key 'server' is unknown"},
        {"servers: [a:1, a:1]\n", ":1: servers 'a:1': it is in the list twice"},
        {"servers: []\n", ":1: servers is empty"},
        {"servers: ['a:1,b:2']\n", ":1: a server is HOST:PORT"},
        {"servers: [{address: a:1, weigth: 2}]\n", ":1: a server has an address and a weight"},
        {"servers: [{weight: 2}]\n", ":1: a server's address is HOST:PORT"},
        {"servers: [{address: 'a:1', weight: [2]}]\n", "plain values"},
        {"servers: [{address: 'a:1', weight: 500}]\n", "its weight"},
        {"servers: {a: 1}\n", "no port"},
        {"transport: udp\n", ":1: transport 'udp': one of auto, rdma, shm and tcp"},
        {"\n\ntimeout_ms: 0\n", ":3: timeout_ms '0': a number from 1 to 86400000"},
        {"connections: 65\n", "a number from 1 to 64"},
        {"connections: many\n", "connections 'many'"},
        {"otel_sampling_ratio: 1.5\n", ":1: otel_sampling_ratio '1.5': a number from 0 to 1"},
        {"otel_sampling_ratio: nan\n", "a number from 0 to 1"},
        {"tenant: 'no spaces'\n", "tenant 'no spaces'"},
        {"auth_key: 0011\n", ":1: the key (auth_key) is not 64 hexadecimal digits"},
        {"auth_key_id: 'a b'\n", ":1: the key id (auth_key_id) has 1 to 32"},
        {"timeout_ms: 5\ntimeout_ms: 6\n", ":2: this key stands in the file twice"},
        {"- a\n- b\n", "keys and values"},
        {"servers: [a:1\n", "not valid YAML"},
        {"\tservers: a:1\n", "not valid YAML"},
        {"[a]: b\n", "a key is a plain word"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        write_file(cases[index].text);
        expect_fault(cases[index].part);
        expect_fault(index < 10 ? path : "");
    }
    forget(NULL);
    setenv("MEMKV_CONFIG", "/no/such/file", 1);
    expect_fault("MEMKV_CONFIG: /no/such/file cannot be read: No such file");
    forget(NULL);
    setenv("MEMKV_TRANSPORT", "RDMA", 1);
    expect_fault("MEMKV_TRANSPORT 'RDMA': one of auto, rdma, shm and tcp");
    forget(NULL);
    setenv("MEMKV_RDMA_DEVICES", "mlx5_0,,mlx5_1", 1);
    expect_fault("MEMKV_RDMA_DEVICES 'mlx5_0,,mlx5_1': names of RDMA devices");
    setenv("MEMKV_RDMA_DEVICES", "a,b,c,d,e,f,g,h,i", 1);
    expect_fault("at most 8 RDMA devices");
    forget(NULL);
    setenv("MEMKV_SERVERS", "a:1,b", 1);
    expect_fault("MEMKV_SERVERS 'b': it has no port");
}

static void test_settings__transport__says_what_it_rules_out(void **state) {
    (void)state;
    const struct memkv_options local = {.servers = "unix:/run/memkv.sock"};
    static struct mkv_settings settings;
    struct memkv_error error;
    assert_int_equal(read_all(NULL)->transport, MKV_TRANSPORT_WISH_AUTO);
    write_file("transport: rdma\nrdma_devices: [mlx5_0, mlx5_1]\n");
    assert_int_equal(read_all(NULL)->transport, MKV_TRANSPORT_WISH_RDMA);
    assert_string_equal(read_all(NULL)->rdma_devices, "mlx5_0,mlx5_1");
    assert_int_equal(mkv_settings_read(&local, &settings, &error), MEMKV_INVALID);
    test_expect_text(&error, "transport rdma, and server 'unix:/run/memkv.sock'");
    setenv("MEMKV_TLS", "true", 1);
    expect_fault("transport rdma, and TLS");
    forget(NULL);
    setenv("MEMKV_TRANSPORT", "rdma", 1);
    assert_int_equal(read_all(NULL)->rdma_poll_us, MKV_CLIENT_RDMA_POLL_US);
    setenv("MEMKV_RDMA_POLL_US", "0", 1);
    assert_int_equal(read_all(NULL)->rdma_poll_us, 0);
    setenv("MEMKV_RDMA_POLL_US", "00", 1);
    assert_int_equal(read_all(NULL)->rdma_poll_us, 0);
    setenv("MEMKV_RDMA_POLL_US", "0x", 1);
    expect_fault("MEMKV_RDMA_POLL_US '0x': a number from 0 to 10000");
    setenv("MEMKV_RDMA_POLL_US", "10000", 1);
    assert_int_equal(read_all(NULL)->rdma_poll_us, 10000);
    setenv("MEMKV_RDMA_POLL_US", "10001", 1);
    expect_fault("MEMKV_RDMA_POLL_US '10001': a number from 0 to 10000");
    unsetenv("MEMKV_RDMA_POLL_US");
    setenv("MEMKV_RDMA_DEVICES", "rxe0", 1);
    assert_string_equal(read_all(NULL)->rdma_devices, "rxe0");
    const struct memkv_options tcp = {.transport = "tcp", .rdma_devices = "rxe1"};
    assert_int_equal(read_all(&tcp)->transport, MKV_TRANSPORT_WISH_TCP);
    assert_string_equal(read_all(&tcp)->rdma_devices, "rxe1");
    const struct memkv_options shm = {.transport = "shm"};
    assert_int_equal(mkv_settings_read(&shm, &settings, &error), MEMKV_INVALID);
    test_expect_text(&error, "transport shm, and server '127.0.0.1:9900'");
}

static void test_settings__discovery__holds_where_the_highest_layer_names_it(void **state) {
    (void)state;
    write_file("discovery: static:a:1\ndiscovery_refresh_ms: 50\n");
    const struct mkv_settings *settings = read_all(NULL);
    assert_string_equal(settings->discovery, "static:a:1");
    assert_int_equal(settings->discovery_refresh_ms, 50);
    setenv("MEMKV_SERVERS", "x:1", 1);
    settings = read_all(NULL);
    assert_string_equal(settings->discovery, "");
    assert_string_equal(settings->servers[0].text, "x:1");
    const struct memkv_options options = {.discovery = "file:/servers", .discovery_refresh_ms = 9};
    settings = read_all(&options);
    assert_string_equal(settings->discovery, "file:/servers");
    assert_int_equal(settings->discovery_refresh_ms, 9);
    unsetenv("MEMKV_SERVERS");
    setenv("MEMKV_DISCOVERY", "static:b:2", 1);
    assert_string_equal(read_all(NULL)->discovery, "static:b:2");
    const struct memkv_options servers = {.servers = "y:2"};
    assert_string_equal(read_all(&servers)->discovery, "");
}

static void test_settings__servers_and_discovery_in_one_place__are_refused(void **state) {
    (void)state;
    static struct mkv_settings settings;
    struct memkv_error error;
    const struct memkv_options both = {.servers = "a:1", .discovery = "static:b:2"};
    assert_int_equal(mkv_settings_read(&both, &settings, &error), MEMKV_INVALID);
    test_expect_text(&error, "servers and discovery are both given");
    write_file("servers: a:1\ndiscovery: static:b:2\n");
    expect_fault("servers and discovery are both given");
    expect_fault(path);
    write_file("discovery: b:2\n");
    expect_fault(":1: discovery: 'b:2' is no discovery");
    forget(NULL);
    setenv("MEMKV_SERVERS", "a:1", 1);
    setenv("MEMKV_DISCOVERY", "static:b:2", 1);
    expect_fault("MEMKV_SERVERS and MEMKV_DISCOVERY are both given");
    unsetenv("MEMKV_SERVERS");
    setenv("MEMKV_DISCOVERY", "static:b", 1);
    expect_fault("MEMKV_DISCOVERY: static 'b': it has no port");
}

static void test_settings__file_is_too_long__is_refused(void **state) {
    (void)state;
    char *text = malloc(MKV_SETTINGS_FILE_BYTES_MAX + 2u);
    assert_non_null(text);
    memset(text, '#', MKV_SETTINGS_FILE_BYTES_MAX + 1u);
    text[MKV_SETTINGS_FILE_BYTES_MAX + 1u] = '\0';
    write_file(text);
    expect_fault("has more than 65536 bytes");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_settings__nothing_is_said__has_the_defaults, forget),
        cmocka_unit_test_teardown(test_settings__file__says_all_of_it, forget),
        cmocka_unit_test_teardown(test_settings__environment__wins_over_the_file, forget),
        cmocka_unit_test_teardown(test_settings__options__win_over_all, forget),
        cmocka_unit_test(test_settings__otel_endpoint__of_all_comes_last),
        cmocka_unit_test_teardown(test_settings__what_is_wrong__is_named_with_its_place, forget),
        cmocka_unit_test_teardown(test_settings__file_is_too_long__is_refused, forget),
        cmocka_unit_test_teardown(test_settings__transport__says_what_it_rules_out, forget),
        cmocka_unit_test_teardown(test_settings__discovery__holds_where_the_highest_layer_names_it,
                                  forget),
        cmocka_unit_test_teardown(test_settings__servers_and_discovery_in_one_place__are_refused,
                                  forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
