/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/admin/test.h"

static struct mkv_admin_peer peer_at(const char *address) {
    struct mkv_admin_peer peer = {.role = MKV_ADMIN_ROLE_OPERATOR};
    memcpy(peer.address, address, strlen(address));
    return peer;
}

static void test_profile__peers__are_local_over_the_socket_and_by_loopback(void **state) {
    (void)state;
    static const char *const local[] = {"127.0.0.1:40112", "127.7.7.7:1", "[::1]:40112",
                                        "[::ffff:127.0.0.1]:40112"};
    static const char *const remote[] = {
        "10.0.0.127:40112", "[2001:db8::1]:1", "[::12]:1", "[::ffff:10.0.0.1]:1", "?:0", "unix", "",
    };
    for (size_t index = 0; index < sizeof local / sizeof local[0]; index++) {
        const struct mkv_admin_peer peer = peer_at(local[index]);
        assert_true(mkv_profile_peer_is_local(&peer));
    }
    for (size_t index = 0; index < sizeof remote / sizeof remote[0]; index++) {
        const struct mkv_admin_peer peer = peer_at(remote[index]);
        assert_false(mkv_profile_peer_is_local(&peer));
    }
    struct mkv_admin_peer over_socket = peer_at("unix");
    over_socket.over_socket = true;
    assert_true(mkv_profile_peer_is_local(&over_socket));
}

static void expect_refused(mkv_admin_handler *handle, bool anywhere, unsigned status,
                           const char *text) {
    const struct mkv_admin_request request = {
        .method = "GET", .peer = peer_at("10.0.0.1:4"), .profiles_anywhere = anywhere};
    const struct mkv_admin_reply reply = handle(&request);
    assert_int_equal(reply.status, status);
    if (text != NULL) {
        assert_non_null(strstr(reply.body, text));
    }
    free(reply.body);
}

static void test_profile__peers_of_other_machines__refused_unless_configured(void **state) {
    (void)state;
    mkv_admin_handler *const handlers[] = {mkv_endpoint_profile, mkv_endpoint_heap,
                                           mkv_endpoint_symbol, mkv_endpoint_cmdline};
    for (size_t index = 0; index < sizeof handlers / sizeof handlers[0]; index++) {
        expect_refused(handlers[index], false, 403, "admin.profiles: anywhere");
    }
    expect_refused(mkv_endpoint_heap, true, 409, "--heap-profile");
    expect_refused(mkv_endpoint_cmdline, true, 200, "profile_test");
}

static void test_profile__symbols__named_in_order_as_far_as_they_are_known(void **state) {
    (void)state;
    bool (*function)(const struct mkv_admin_peer *) = mkv_profile_peer_is_local;
    uintptr_t address;
    memcpy(&address, &function, sizeof address);
    char body[64];
    snprintf(body, sizeof body, "0x1+0x%" PRIxPTR "+!", address);
    const struct mkv_admin_request request = {
        .method = "POST", .peer = peer_at("127.0.0.1:1"), .body = body, .body_bytes = strlen(body)};
    const struct mkv_admin_reply reply = mkv_endpoint_symbol(&request);
    char expected[96];
    snprintf(expected, sizeof expected, "0x%" PRIxPTR "\tmkv_profile_peer_is_local\n", address);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, expected);
    assert_int_equal(reply.body_bytes, strlen(expected));
    free(reply.body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile__peers__are_local_over_the_socket_and_by_loopback),
        cmocka_unit_test(test_profile__peers_of_other_machines__refused_unless_configured),
        cmocka_unit_test(test_profile__symbols__named_in_order_as_far_as_they_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
