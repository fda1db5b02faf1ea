/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct memkv_client *test_client_open(const struct test_server *server, uint32_t timeout_ms) {
    const struct memkv_options options = {
        .servers = server->address, .timeout_ms = timeout_ms, .client_name = "client_test"};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    if (memkv_open(&options, &client, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    assert_string_equal(error.text, "");
    return client;
}

void test_close_both(struct memkv_client *client, struct test_server *server) {
    memkv_close(client);
    test_server_stop(server);
}

void test_expect_text(const struct memkv_error *error, const char *part) {
    if (strstr(error->text, part) == NULL) {
        fail_msg("'%s' does not tell of '%s'", error->text, part);
    }
}
