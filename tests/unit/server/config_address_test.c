/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "server/config_address.h"

static struct mkv_config_address parse_good(const char *text) {
    struct mkv_config_address address;
    assert_int_equal(mkv_config_address_parse(text, &address), MKV_CONFIG_ADDRESS_OK);
    return address;
}

static void test_address_parse__good_text__host_and_port_and_same_text(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:9900", "127.0.0.1", 9900},
        {"localhost:1", "localhost", 1},
        {"[::1]:65535", "::1", 65535},
        {"[fe80::1:2]:80", "fe80::1:2", 80},
        {"gpu-07.rack_3.example:9900", "gpu-07.rack_3.example", 9900},
        {"0.0.0.0:9900", "0.0.0.0", 9900},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[MKV_CONFIG_ADDRESS_TEXT_BYTES];
        struct mkv_config_address address = parse_good(cases[i].text);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        mkv_config_address_format(&address, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_address_parse__bad_text__problem_and_no_change(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum mkv_config_address_problem problem;
    } cases[] = {
        {"", MKV_CONFIG_ADDRESS_NO_PORT},
        {"127.0.0.1", MKV_CONFIG_ADDRESS_NO_PORT},
        {"9900", MKV_CONFIG_ADDRESS_NO_PORT},
        {"[::1]", MKV_CONFIG_ADDRESS_NO_PORT},
        {"::1:9900", MKV_CONFIG_ADDRESS_BRACKETS},
        {"::1", MKV_CONFIG_ADDRESS_BRACKETS},
        {"[::1:9900", MKV_CONFIG_ADDRESS_BRACKETS},
        {"[::1]9900", MKV_CONFIG_ADDRESS_BRACKETS},
        {"[", MKV_CONFIG_ADDRESS_BRACKETS},
        {":9900", MKV_CONFIG_ADDRESS_HOST},
        {"*:9900", MKV_CONFIG_ADDRESS_HOST},
        {"a b:9900", MKV_CONFIG_ADDRESS_HOST},
        {"127.0.0.256:9900", MKV_CONFIG_ADDRESS_HOST},
        {"127.1:9900", MKV_CONFIG_ADDRESS_HOST},
        {"[127.0.0.1]:9900", MKV_CONFIG_ADDRESS_HOST},
        {"[]:9900", MKV_CONFIG_ADDRESS_HOST},
        {"a234567890123456789012345678901234567890123456789012345678901234:1",
         MKV_CONFIG_ADDRESS_HOST},
        {"127.0.0.1:", MKV_CONFIG_ADDRESS_PORT},
        {"127.0.0.1:0", MKV_CONFIG_ADDRESS_PORT},
        {"127.0.0.1:09900", MKV_CONFIG_ADDRESS_PORT},
        {"127.0.0.1:65536", MKV_CONFIG_ADDRESS_PORT},
        {"127.0.0.1:4294977196", MKV_CONFIG_ADDRESS_PORT},
        {"127.0.0.1:-1", MKV_CONFIG_ADDRESS_PORT},
        {"127.0.0.1:http", MKV_CONFIG_ADDRESS_PORT},
        {"127.0.0.1:99 ", MKV_CONFIG_ADDRESS_PORT},
        {"[::1]:", MKV_CONFIG_ADDRESS_PORT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config_address address = {.host = "kept", .port = 7};
        assert_int_equal(mkv_config_address_parse(cases[i].text, &address), cases[i].problem);
        assert_string_equal(address.host, "kept");
        assert_int_equal(address.port, 7);
        assert_true(strlen(mkv_config_address_explain(cases[i].problem)) > 0);
    }
}

static void test_address_is_loopback__both_sides_of_each_border__told_apart(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.0:1", true},
        {"127.255.255.255:1", true},
        {"126.255.255.255:1", false},
        {"128.0.0.0:1", false},
        {"0.0.0.0:1", false},
        {"[::1]:1", true},
        {"[0:0:0:0:0:0:0:1]:1", true},
        {"[::]:1", false},
        {"[::2]:1", false},
        {"[::ffff:127.0.0.1]:1", false},
        {"localhost:1", true},
        {"localhost.evil.example:1", false},
        {"gpu-07:1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config_address address = parse_good(cases[i].text);
        assert_int_equal(mkv_config_address_is_loopback(&address), cases[i].loopback);
    }
}

static void test_address_collides__equal_host_and_port_only__true(void **state) {
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool collides;
    } cases[] = {
        {"127.0.0.1:9900", "127.0.0.1:9900", true},     {"127.0.0.1:9900", "127.0.0.1:9901", false},
        {"127.0.0.1:9900", "127.0.0.2:9900", false},    {"127.0.0.1:9900", "[::1]:9900", false},
        {"[::1]:9900", "[0:0:0:0:0:0:0:1]:9900", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config_address a = parse_good(cases[i].a);
        struct mkv_config_address b = parse_good(cases[i].b);
        assert_int_equal(mkv_config_address_collides(&a, &b), cases[i].collides);
        assert_int_equal(mkv_config_address_collides(&b, &a), cases[i].collides);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_parse__good_text__host_and_port_and_same_text),
        cmocka_unit_test(test_address_parse__bad_text__problem_and_no_change),
        cmocka_unit_test(test_address_is_loopback__both_sides_of_each_border__told_apart),
        cmocka_unit_test(test_address_collides__equal_host_and_port_only__true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
