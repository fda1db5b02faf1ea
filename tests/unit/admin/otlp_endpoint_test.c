/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/otlp_endpoint.h"

#include "tests/unit/admin/test.h"

static void expect_base(const char *text, bool grpc, const char *base) {
    struct mkv_otlp_endpoint endpoint;
    assert_null(mkv_otlp_endpoint_parse(text, &endpoint));
    assert_int_equal(endpoint.grpc, grpc);
    assert_string_equal(endpoint.base, base);
}

static void expect_problem(const char *text, const char *part) {
    struct mkv_otlp_endpoint endpoint = {.base = "untouched"};
    const char *problem = mkv_otlp_endpoint_parse(text, &endpoint);
    assert_non_null(problem);
    assert_non_null(strstr(problem, part));
    assert_string_equal(endpoint.base, "untouched");
}

static void test_otlp_endpoint__what_users_write__host_port_and_path(void **state) {
    (void)state;
    expect_base("http://127.0.0.1:4318", false, "http://127.0.0.1:4318");
    expect_base("http://collector", false, "http://collector:4318");
    expect_base("http://collector/", false, "http://collector:4318");
    expect_base("http://otel.example.org:80/otlp/", false, "http://otel.example.org:80/otlp");
    expect_base("http://[::1]:9", false, "http://[::1]:9");
    expect_base("grpc://collector", true, "http://collector:4317");
    expect_base("grpc://collector:65535/", true, "http://collector:65535");
}

static void test_otlp_endpoint__no_endpoint__says_what_to_write(void **state) {
    (void)state;
    expect_problem("", "http://");
    expect_problem("collector:4318", "grpc://");
    expect_problem("https://collector", "without TLS");
    expect_problem("http://", "names no host");
    expect_problem("http://:4318", "names no host");
    expect_problem("http://[::1", "names no host");
    expect_problem("http://a:0", "port");
    expect_problem("http://a:65536", "port");
    expect_problem("http://a:123456", "port");
    expect_problem("http://a:/x", "port");
    expect_problem("http://a b", "is no endpoint");
    expect_problem("http://a/b c", "is no endpoint");
    expect_problem("http://user@a/", "is no endpoint");
    expect_problem("grpc://a/b", "has a path");
    char text[MKV_OTLP_ENDPOINT_BYTES];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, "http://", 7);
    expect_problem(text, "too long");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_otlp_endpoint__what_users_write__host_port_and_path),
        cmocka_unit_test(test_otlp_endpoint__no_endpoint__says_what_to_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
