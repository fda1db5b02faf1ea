/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses, on a thread that may outlive who asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <unistd.h>

#include "client/resolver.h"

static struct mkv_client_address address_of(const char *text) {
    struct mkv_client_address all[MKV_CLIENT_SERVERS_MAX];
    uint32_t count = 0;
    assert_int_equal(mkv_client_servers_parse("servers", text, all, &count, NULL), MEMKV_OK);
    return all[0];
}

/* Waits for the answer; the caller frees it. */
static struct mkv_addresses *resolve(const char *text) {
    const struct mkv_client_address address = address_of(text);
    struct mkv_addresses *addresses = NULL;
    struct mkv_resolver *resolver = mkv_resolver_begin(&address, &addresses);
    while (resolver != NULL && addresses == NULL) {
        struct pollfd ready = {.fd = mkv_resolver_descriptor(resolver), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 60000), 1);
        addresses = mkv_resolver_finish(resolver);
    }
    assert_non_null(addresses);
    return addresses;
}

static void test_resolver__numeric_address__is_there_at_once(void **state) {
    (void)state;
    static const char *const all[] = {"127.0.0.1:9900", "[::1]:9900"};
    for (size_t index = 0; index < 2; index++) {
        const struct mkv_client_address address = address_of(all[index]);
        struct mkv_addresses *addresses = NULL;
        assert_null(mkv_resolver_begin(&address, &addresses));
        assert_non_null(addresses);
        assert_int_equal(addresses->count, 1);
        free(addresses);
    }
}

static void test_resolver__name__comes_by_its_thread(void **state) {
    (void)state;
    struct mkv_addresses *addresses = resolve("localhost:9900");
    assert_true(addresses->count >= 1);
    free(addresses);
}

static void test_resolver__no_such_name__says_why(void **state) {
    (void)state;
    struct mkv_addresses *addresses = resolve("no-such-host.invalid:9900");
    assert_int_equal(addresses->count, 0);
    assert_string_not_equal(addresses->problem, "");
    free(addresses);
}

static void test_resolver_abandon__before_and_after_the_answer__frees_all(void **state) {
    (void)state;
    const struct mkv_client_address address = address_of("localhost:9900");
    for (uint32_t round = 0; round < 20; round++) {
        struct mkv_addresses *addresses = NULL;
        struct mkv_resolver *resolver = mkv_resolver_begin(&address, &addresses);
        assert_non_null(resolver);
        if (round % 2 == 0) {
            struct pollfd ready = {.fd = mkv_resolver_descriptor(resolver), .events = POLLIN};
            assert_int_equal(poll(&ready, 1, 60000), 1);
        }
        mkv_resolver_abandon(resolver);
    }
    usleep(200000); /* for the threads; what they leave behind the sanitizer sees */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolver__numeric_address__is_there_at_once),
        cmocka_unit_test(test_resolver__name__comes_by_its_thread),
        cmocka_unit_test(test_resolver__no_such_name__says_why),
        cmocka_unit_test(test_resolver_abandon__before_and_after_the_answer__frees_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
