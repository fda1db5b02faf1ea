/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/test_rdma.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "client/engine.h"

const struct test_server_options test_with_rdma = {.has_rdma = true, .is_concurrent = true};

int test_rdma_begin(void **state) {
    (void)state;
    unsetenv("MEMKV_TRANSPORT");
    unsetenv("MEMKV_RDMA_DEVICES");
    test_verbs_reset();
    return 0;
}

struct test_server *test_rdma_server(void) {
    struct test_server_options options = test_with_rdma;
    options.limits = test_limits();
    options.limits.features = MKV_NATIVE_FEATURE_ROOTS;
    return test_server_start(&options);
}

void test_rdma_end(struct memkv_client *client, struct test_server *server) {
    memkv_close(client);
    assert_int_equal(test_verbs.endpoints, 0);
    assert_int_equal(test_verbs.regions, 0);
    assert_int_equal(test_verbs.ports, 0);
    assert_int_equal(test_verbs.exposures, 0);
    test_server_stop(server);
}

uint8_t *test_rdma_value(uint32_t seed, uint64_t byte_count) {
    uint8_t *bytes = malloc(byte_count);
    assert_non_null(bytes);
    test_pattern_fill(seed, bytes, byte_count);
    return bytes;
}

void test_rdma_put(struct memkv_client *client, const char *key, const uint8_t *bytes,
                   uint64_t byte_count) {
    struct memkv_error error;
    if (memkv_put(client, key, strlen(key), bytes, byte_count, MEMKV_REPLACE, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
}

void test_rdma_get(struct memkv_client *client, const char *key, const uint8_t *bytes,
                   uint64_t byte_count, uint8_t *buffer) {
    struct memkv_error error;
    uint64_t got_bytes = 0;
    memset(buffer, 0xee, byte_count);
    if (memkv_get(client, key, strlen(key), buffer, byte_count, &got_bytes, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(got_bytes, byte_count);
    assert_memory_equal(buffer, bytes, byte_count);
}

uint32_t test_rdma_bounced(const struct memkv_client *client) {
    const struct mkv_rdma_memory *memory = &client->rdma->ports[0].memory;
    uint32_t count = 0;
    for (uint32_t index = 0; index < MKV_RDMA_BOUNCES; index++) {
        count += memory->bounces[index].use_count;
    }
    return count;
}

uint32_t test_rdma_ready(const struct memkv_client *client, bool has_lane) {
    const struct mkv_remote *remote = client->remotes[0];
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        count += connection != NULL && connection->state == MKV_CONNECTION_READY &&
                         (connection->lane != NULL) == has_lane
                     ? 1
                     : 0;
    }
    return count;
}

static void call_on(struct memkv_client *client) {
    assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    for (uint32_t round = 0; round < 5000 && client->rdma->candidate_count > 0; round++) {
        usleep(1000);
        assert_int_equal(memkv_ping(client, NULL), MEMKV_OK);
    }
    assert_int_equal(client->rdma->candidate_count, 0);
}

void test_rdma_try_again(struct memkv_client *client) {
    assert_true(client->remotes[0]->rdma.failure_count > 0);
    client->remotes[0]->rdma.retry_ns = 1;
    call_on(client);
}

void test_rdma_expect_pause(const struct memkv_client *client, uint64_t then_ns,
                            uint64_t pause_ns) {
    assert_in_range(client->remotes[0]->rdma.retry_ns, then_ns + pause_ns / 2,
                    mkv_client_now_ns() + pause_ns);
}

void test_rdma_look_again(struct memkv_client *client) {
    assert_true(client->remotes[0]->rdma.look_ns > 0);
    client->remotes[0]->rdma.look_ns = 1;
    call_on(client);
}

void test_rdma_expect_look(const struct memkv_client *client) {
    const uint64_t now_ns = mkv_client_now_ns();
    const struct mkv_remote_rdma *rdma = &client->remotes[0]->rdma;
    assert_in_range(rdma->look_ns, now_ns + 20000000000u, now_ns + 60000000000u);
    assert_int_equal(rdma->failure_count, 0);
}

void test_rdma_key(const struct memkv_client *client, uint32_t remote, char *key,
                   size_t byte_count) {
    for (uint32_t index = 0; index < 1000; index++) {
        const int key_bytes = snprintf(key, byte_count, "key-%u", index);
        if (mkv_call_owner(client, key, (uint32_t)key_bytes) == remote) {
            return;
        }
    }
    fail_msg("%s", "no key");
}
