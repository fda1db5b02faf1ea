/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv on a host with several RDMA devices: which one a lane is over, and what becomes of lanes
 * when the port of one is down. Connections come from 127.0.0.1, which is fake0's.
 */
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
#include "tests/unit/client/test_rdma.h"

#define SERVERS 4u

/* A client of four servers with a lane to each. */
struct rig {
    struct test_server *servers[SERVERS];
    struct memkv_client *client;
};

/* A call to that server. */
static void call(const struct rig *rig, uint32_t remote) {
    char key[32];
    struct memkv_error error;
    test_rdma_key(rig->client, remote, key, sizeof key);
    const enum memkv_status status = memkv_exists(rig->client, key, strlen(key), &error);
    if (status != MEMKV_NOT_FOUND) {
        fail_msg("%s", error.text);
    }
}

static uint32_t lanes_over(const struct rig *rig, const char *device) {
    uint32_t count = 0;
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        const struct mkv_rdma_port *port = &rig->client->rdma->ports[place];
        if (port->verbs != NULL && strcmp(port->device, device) == 0) {
            count += port->lane_count;
        }
    }
    return count;
}

static struct rig rig_open(const char *devices) {
    struct rig rig;
    char list[SERVERS * 40] = "";
    struct memkv_error error;
    for (uint32_t index = 0; index < SERVERS; index++) {
        rig.servers[index] = test_rdma_server();
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", index == 0 ? "" : ",",
                 rig.servers[index]->address);
    }
    const struct memkv_options options = {
        .servers = list, .rdma_devices = devices, .timeout_ms = 20000};
    if (memkv_open(&options, &rig.client, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    for (uint32_t remote = 0; remote < SERVERS; remote++) {
        call(&rig, remote);
    }
    return rig;
}

static void rig_close(const struct rig *rig) {
    test_rdma_end(rig->client, rig->servers[0]);
    for (uint32_t index = 1; index < SERVERS; index++) {
        test_server_stop(rig->servers[index]);
    }
}

static void test_devices__one_has_the_connections_address__all_lanes_are_over_it(void **state) {
    (void)state;
    struct rig rig = rig_open("fake1,fake0,fake2");
    assert_int_equal(lanes_over(&rig, "fake0"), SERVERS);
    assert_int_equal(test_verbs.endpoints, SERVERS);
    rig_close(&rig);
}

static void test_devices__none_has_it__lanes_are_spread(void **state) {
    (void)state;
    struct rig rig = rig_open("fake1,fake2");
    assert_int_equal(lanes_over(&rig, "fake1"), SERVERS / 2);
    assert_int_equal(lanes_over(&rig, "fake2"), SERVERS / 2);
    rig_close(&rig);
}

/* A port may have several, on networks of their own: the lane goes by that of its connection. */
static void test_devices__it_is_the_second_of_one__lanes_are_over_it_and_come_from_it(
    void **state) {
    (void)state;
    struct rig rig = rig_open("fake1,fake3");
    struct mkv_native_connect parameters;
    assert_int_equal(lanes_over(&rig, "fake3"), SERVERS);
    const struct mkv_connection *connection = rig.client->remotes[0]->connections[0];
    assert_non_null(connection);
    assert_non_null(connection->lane);
    mkv_endpoint_parameters(connection->lane->endpoint, &parameters);
    assert_int_equal(parameters.gid[15], 1);
    rig_close(&rig);
}

/* As if the time to try again had come, for each server, and calls until it is over. */
static void try_again(const struct rig *rig) {
    for (uint32_t remote = 0; remote < SERVERS; remote++) {
        if (rig->client->remotes[remote]->rdma.failure_count > 0) {
            rig->client->remotes[remote]->rdma.retry_ns = 1;
        }
    }
    for (uint32_t round = 0; round < 2 || rig->client->rdma->candidate_count > 0; round++) {
        assert_true(round < 20000);
        for (uint32_t remote = 0; remote < SERVERS; remote++) {
            call(rig, remote);
        }
        usleep(1000);
    }
}

/* Both ways: calls go on over TCP, then by the device that is left. */
static void test_devices__port_of_one_is_lost__its_lanes_go_over_to_the_other(void **state) {
    (void)state;
    static const char *const devices[] = {"fake1", "fake2"};
    for (uint32_t lost = 0; lost < 2; lost++) {
        test_rdma_begin(NULL);
        struct rig rig = rig_open("fake1,fake2");
        const char *left = devices[1 - lost];
        test_device_lose(lost + 1);
        for (uint32_t remote = 0; remote < SERVERS; remote++) {
            call(&rig, remote);
        }
        assert_int_equal(lanes_over(&rig, left), SERVERS / 2); /* untouched */
        try_again(&rig);
        assert_int_equal(lanes_over(&rig, devices[lost]), 0);
        assert_int_equal(lanes_over(&rig, left), SERVERS);
        rig_close(&rig);
    }
}

static void test_devices__nearest_is_lost_and_comes_back__lanes_made_then_are_over_it(
    void **state) {
    (void)state;
    struct rig rig = rig_open("fake0,fake1");
    test_device_lose(0);
    try_again(&rig);
    try_again(&rig);
    assert_int_equal(lanes_over(&rig, "fake1"), SERVERS);
    test_verbs.devices_lost = 0;
    test_device_lose(1);
    try_again(&rig);
    try_again(&rig);
    assert_int_equal(lanes_over(&rig, "fake0"), SERVERS);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define DEVICES_TEST(name) cmocka_unit_test_setup(name, test_rdma_begin)
        DEVICES_TEST(test_devices__one_has_the_connections_address__all_lanes_are_over_it),
        DEVICES_TEST(test_devices__none_has_it__lanes_are_spread),
        DEVICES_TEST(test_devices__it_is_the_second_of_one__lanes_are_over_it_and_come_from_it),
        DEVICES_TEST(test_devices__port_of_one_is_lost__its_lanes_go_over_to_the_other),
        DEVICES_TEST(test_devices__nearest_is_lost_and_comes_back__lanes_made_then_are_over_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
