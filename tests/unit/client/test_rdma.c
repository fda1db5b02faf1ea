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
