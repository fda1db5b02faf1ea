/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the client do with one against a test server. */
#ifndef MKV_TESTS_CLIENT_TEST_CLIENT_H
#define MKV_TESTS_CLIENT_TEST_CLIENT_H

#include "client/memkv.h"
#include "tests/unit/client/test_server.h"

/* Connects, or fails the test. */
struct memkv_client *test_client_open(const struct test_server *server, uint32_t timeout_ms);
/* Closes the client, then stops the server, which fails the test if it has a complaint. */
void test_close_both(struct memkv_client *client, struct test_server *server);
/* Ends the connection of this socket of a server's, and returns when the client's side has the
 * end. */
void test_hang_up(int peer);
/* Fails the test if the error's text has no such part. */
void test_expect_text(const struct memkv_error *error, const char *part);

#endif
