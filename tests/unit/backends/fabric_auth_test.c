/* SPDX-License-Identifier: Apache-2.0 */
/* What a fabric asks about its clients: the parts that need no keys. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "backends/fabric_auth.h"

static bool is_local(const char *text) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        return mkv_fabric_peer_is_local((const struct sockaddr *)&v4);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return mkv_fabric_peer_is_local((const struct sockaddr *)&v6);
}

static void test_fabric_auth__peers__are_local_on_loopback_and_unix_alone(void **state) {
    (void)state;
    static const char *const local[] = {"127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"};
    static const char *const other[] = {
        "10.0.0.1", "128.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "fe80::1", "2001:db8::1"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        assert_true(is_local(local[i]));
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        assert_false(is_local(other[i]));
    }
    const struct sockaddr_un socket = {.sun_family = AF_UNIX};
    assert_true(mkv_fabric_peer_is_local((const struct sockaddr *)&socket));
    const struct sockaddr unknown = {.sa_family = AF_UNSPEC};
    assert_false(mkv_fabric_peer_is_local(&unknown));
}

static void test_fabric_auth__no_auth__admits_everybody_with_all_rights(void **state) {
    (void)state;
    struct mkv_fabric_session session;
    assert_int_equal(mkv_fabric_auth_open(NULL, -1, MKV_FABRIC_LISTENER_NATIVE, &session),
                     MKV_FABRIC_ADMITTED);
    assert_true(mkv_fabric_auth_may(&session, MKV_FABRIC_RIGHTS_ALL));
    assert_true(mkv_fabric_auth_tenant_allowed(&session, "batch"));
    assert_string_equal(mkv_fabric_auth_tenant(NULL, &session, (const uint8_t *)"k", 1), "default");
    assert_true(mkv_fabric_auth_request_begin(NULL, &session, UINT64_MAX));
    mkv_fabric_auth_request_end(NULL, &session, UINT64_MAX);
    assert_int_equal(mkv_fabric_auth_password(NULL, &session, "default", 7, "x", 1),
                     MKV_FABRIC_AUTH_NOT_ASKED);
    mkv_fabric_auth_forget(NULL, &session);
    assert_non_null(session.grant);
    mkv_fabric_auth_close(NULL, &session);
    assert_null(session.grant);
}

static void test_fabric_auth__rights__are_those_of_the_operation(void **state) {
    (void)state;
    const struct mkv_fabric_grant grant = {.rights = MKV_FABRIC_RIGHT_GET};
    const struct mkv_fabric_session reader = {.grant = &grant};
    const struct mkv_fabric_session nobody = {0};
    assert_true(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_GET)));
    assert_true(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_EXISTS)));
    assert_true(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_LOOKUP)));
    assert_true(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_PIN)));
    assert_false(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_PUT)));
    assert_false(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_ALLOCATE)));
    assert_false(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_COMMIT)));
    assert_false(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_SESSION)));
    assert_false(mkv_fabric_auth_may(&reader, mkv_fabric_right_of(MKV_OP_DELETE)));
    assert_false(mkv_fabric_auth_may(&reader, MKV_FABRIC_RIGHT_ADMIN));
    assert_false(mkv_fabric_auth_may(&nobody, MKV_FABRIC_RIGHT_GET));
}

static const char *rule_of_x(void *context, const struct mkv_fabric_session *session,
                             const uint8_t *key, uint32_t key_bytes) {
    (void)context;
    (void)session;
    return key_bytes > 0 && key[0] == 'x' ? "team-x" : NULL;
}

static void test_fabric_auth__tenants__of_the_grant_come_before_the_rules(void **state) {
    (void)state;
    const struct mkv_fabric_auth auth = {.rule = rule_of_x};
    const struct mkv_fabric_grant two = {.tenant_count = 2, .tenants = {"one", "two"}};
    const struct mkv_fabric_session bound = {.grant = &two};
    const struct mkv_fabric_session free_one = {.grant = &mkv_fabric_grant_all};
    const struct mkv_fabric_session nobody = {0};
    const uint8_t key[] = "xyz";
    assert_string_equal(mkv_fabric_auth_tenant(&auth, &bound, key, 3), "one");
    assert_string_equal(mkv_fabric_auth_tenant(&auth, &free_one, key, 3), "team-x");
    assert_string_equal(mkv_fabric_auth_tenant(&auth, &free_one, key + 1, 2), "default");
    assert_string_equal(mkv_fabric_auth_tenant(&auth, &free_one, NULL, 0), "default");
    assert_true(mkv_fabric_auth_tenant_allowed(&bound, "two"));
    assert_false(mkv_fabric_auth_tenant_allowed(&bound, "default"));
    assert_false(mkv_fabric_auth_tenant_allowed(&bound, "tw"));
    assert_true(mkv_fabric_auth_tenant_allowed(&free_one, "anything"));
    assert_false(mkv_fabric_auth_tenant_allowed(&nobody, "default"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_auth__peers__are_local_on_loopback_and_unix_alone),
        cmocka_unit_test(test_fabric_auth__no_auth__admits_everybody_with_all_rights),
        cmocka_unit_test(test_fabric_auth__rights__are_those_of_the_operation),
        cmocka_unit_test(test_fabric_auth__tenants__of_the_grant_come_before_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
