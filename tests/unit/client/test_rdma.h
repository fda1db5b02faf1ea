/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the client by RDMA have in common. */
#ifndef MKV_TESTS_CLIENT_TEST_RDMA_H
#define MKV_TESTS_CLIENT_TEST_RDMA_H

#include "tests/unit/client/test_client.h"
#include "tests/unit/client/test_verbs.h"

/* Of a value that goes by RDMA. */
#define TEST_RDMA_BYTES 300000u

/* A server that takes CONNECT, and serves connections side by side. */
extern const struct test_server_options test_with_rdma;

/* Before each test: a host with a device, and an environment that says nothing. */
int test_rdma_begin(void **state);
/* The same server, with roots of parts. */
struct test_server *test_rdma_server(void);
/* Closes both; nothing of the client's is left at the device. */
void test_rdma_end(struct memkv_client *client, struct test_server *server);
/* The pattern of a seed, on the heap. */
uint8_t *test_rdma_value(uint32_t seed, uint64_t byte_count);
/* Each succeeds, or fails the test. A get compares what came to `bytes`. */
void test_rdma_put(struct memkv_client *client, const char *key, const uint8_t *bytes,
                   uint64_t byte_count);
void test_rdma_get(struct memkv_client *client, const char *key, const uint8_t *bytes,
                   uint64_t byte_count, uint8_t *buffer);
/* Places in bounce buffers of the client's first port. */
uint32_t test_rdma_bounced(const struct memkv_client *client);
/* Connections to the first server that are READY, those with a lane or those without. */
uint32_t test_rdma_ready(const struct memkv_client *client, bool has_lane);
/* As if the time to try RDMA of the first server again had come: calls, until the connection that
 * does so is READY or has failed. */
void test_rdma_try_again(struct memkv_client *client);
/* It has failed after `then_ns`, and is tried again after half to all of this pause. */
void test_rdma_expect_pause(const struct memkv_client *client, uint64_t then_ns, uint64_t pause_ns);
/* The same two where one of the sides never had RDMA, which is no failure: it is looked at again in
 * half a minute to a minute. */
void test_rdma_look_again(struct memkv_client *client);
void test_rdma_expect_look(const struct memkv_client *client);
/* A key of that server of the client's, with its NUL. */
void test_rdma_key(const struct memkv_client *client, uint32_t remote, char *key,
                   size_t byte_count);

#endif
