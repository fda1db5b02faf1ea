/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of RDMA devices that come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/lane_ports.h"
#include "tests/unit/backends/fake_endpoint.h"
#include "tests/unit/backends/fake_machine.h"
#include "tests/unit/backends/lane_client.h"

#define PORT_PATH "sys/class/infiniband/%s/ports/1/%s"

static int set_up(void **state) {
    (void)state;
    fake_rdma_reset();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    assert_int_equal(fake_rdma_endpoints(), 0);
    assert_int_equal(fake_rdma_ports(), 0);
    return 0;
}

static void await_event(struct world *world, enum mkv_lane_port_event event, uint32_t count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (world->lane_events[event] < count) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
}

/* A round trip over a lane that is made for it. */
static void expect_served(struct world *world) {
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    lane_send(world, &lane, bytes, lane_request(&lane, bytes, MKV_NATIVE_PUT, 1, 1, MKV_MIB, 0));
    lane_expect(world, &lane, MKV_NATIVE_PUT, 1);
    lane_close(world, &lane);
}

static void test_ports__link_goes_down__lanes_end_and_come_back(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint64_t features;
    assert_int_equal(world->lane_events[MKV_LANE_PORT_UP], 1);
    lane_open(world, &lane);
    fake_rdma.devices[0].state = MKV_VERBS_PORT_DOWN;
    lane_await(world, &lane, &lane.is_broken);
    await_event(world, MKV_LANE_PORT_DOWN, 1);
    lane_close(world, &lane);
    /* A client that comes just now is to ask again. */
    struct client client = lane_greeted(world, MKV_NATIVE_FEATURE_RDMA, 0, &features);
    assert_true(features == MKV_NATIVE_FEATURE_RDMA);
    client_close(&client);
    fake_rdma.devices[0].state = MKV_VERBS_ACTIVE;
    await_event(world, MKV_LANE_PORT_UP, 2);
    expect_served(world);
    assert_int_equal(fake_rdma.opens, 3); /* the server's once, and each client's */
    world_destroy(world);
}

static void test_ports__device_is_gone__opened_again_when_it_is_back(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    lane_open(world, &lane);
    fake_rdma.devices[0].state = MKV_VERBS_GONE;
    await_event(world, MKV_LANE_PORT_GONE, 1);
    lane_await(world, &lane, &lane.is_broken);
    lane_close(world, &lane);
    await_event(world, MKV_LANE_PORT_NOT_OPENED, 1);
    for (uint32_t i = 0; i < 100; i++) {
        world_turn(world);
    }
    assert_int_equal(fake_rdma_ports(), 0);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_NOT_OPENED], 1); /* not again and again */
    fake_rdma.devices[0].state = MKV_VERBS_ACTIVE;
    await_event(world, MKV_LANE_PORT_UP, 2);
    expect_served(world);
    world_destroy(world);
}

static void test_ports__memory_is_refused__says_so_and_tries_again(void **state) {
    (void)state;
    fake_rdma.register_problem = "raise LimitMEMLOCK";
    struct world *world = world_create(&lane_world);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_NOT_OPENED], 1);
    assert_non_null(strstr(world->lane_text, "raise LimitMEMLOCK"));
    assert_int_equal(fake_rdma_ports(), 0);
    fake_rdma.register_problem = NULL;
    await_event(world, MKV_LANE_PORT_UP, 1);
    expect_served(world);
    world_destroy(world);
}

static void test_ports__required__refused_without(void **state) {
    (void)state;
    struct mkv_ring *ring;
    struct mkv_arena *arena;
    struct mkv_lane_ports *ports;
    struct mkv_backend_error error;
    const struct mkv_ring_options ring_options = {.entries = 16};
    const struct mkv_arena_options arena_options = {.bytes = 64 * MKV_MIB,
                                                    .hugepages = MKV_HUGEPAGES_OFF};
    assert_true(mkv_ring_create(&ring_options, &ring, &error));
    assert_true(mkv_arena_create(&arena_options, &arena, &error));
    struct mkv_lane_ports_options options = {
        .ring = ring, .arena = arena, .device = "other0", .is_required = true, .lanes_max = 1};
    assert_false(mkv_lane_ports_create(&options, &ports, &error));
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
    assert_non_null(strstr(error.text, "other0"));
    assert_non_null(strstr(error.text, "rdma.mode: auto"));
    options.arena = NULL;
    assert_false(mkv_lane_ports_check(&options, &error));
    assert_non_null(strstr(error.text, "other0"));
    options.device = "fake0";
    fake_rdma.register_problem = "raise LimitMEMLOCK";
    assert_true(mkv_lane_ports_check(&options, &error));
    options.arena = arena;
    assert_false(mkv_lane_ports_check(&options, &error));
    assert_non_null(strstr(error.text, "raise LimitMEMLOCK"));
    assert_int_equal(fake_rdma_ports(), 0);
    fake_rdma.register_problem = NULL;
    assert_true(mkv_lane_ports_check(&options, &error));
    assert_int_equal(fake_rdma_ports(), 0);
    assert_true(mkv_lane_ports_create(&options, &ports, &error));
    mkv_lane_ports_destroy(ports);
    mkv_ring_destroy(ring);
    mkv_arena_destroy(arena);
}

/* ---- found by themselves --------------------------------------------------------------------- */

static void add_device(const struct fake_machine *machine, const char *name, const char *state,
                       const char *gid) {
    const struct {
        const char *file;
        const char *text;
    } files[] = {
        {"state", state},
        {"link_layer", "Ethernet\n"},
        {"gids/0", gid},
        {"gid_attrs/types/0", "RoCE v2\n"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, PORT_PATH, name, files[i].file);
        fake_machine_write(machine, path, files[i].text);
    }
}

/* A socket that has come to an address of this machine. */
static int socket_at(const char *address) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t bytes = sizeof at;
    assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, bytes), 0);
    return listener;
}

static void test_ports__several_devices__each_for_its_address(void **state) {
    (void)state;
    struct fake_machine machine;
    fake_machine_make(&machine);
    add_device(&machine, "fake0", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0001\n");
    add_device(&machine, "fake1", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0002\n");
    add_device(&machine, "fake2", "1: DOWN\n", "0000:0000:0000:0000:0000:ffff:7f00:0003\n");
    fake_rdma.devices[1] = (struct fake_device){.name = "fake1", .gid = "::ffff:127.0.0.2"};
    fake_rdma.devices[2] = (struct fake_device){.name = "fake2", .gid = "::ffff:127.0.0.3"};
    const struct world_options options = {.lanes = true, .lane_roots = &machine.roots};
    struct world *world = world_create(&options);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_UP], 2);
    assert_non_null(strstr(world->lane_text, "fake2")); /* it is wanted, and told of */
    expect_served(world);
    /* The others are not of a loopback address; the fake says which. */
    fake_machine_write(&machine, "sys/class/infiniband/fake2/ports/1/state", "4: ACTIVE\n");
    await_event(world, MKV_LANE_PORT_UP, 3);
    const int fd = socket_at("127.0.0.1");
    struct in6_addr address;
    struct mkv_lane_port *port = mkv_lane_ports_choose(world->lane_ports, fd, &address);
    assert_non_null(port);
    assert_string_equal(mkv_verbs_facts(port->verbs)->device, "fake0");
    close(fd);
    world_destroy(world);
    fake_machine_remove(&machine);
}

static void test_ports__no_device_on_the_machine__looked_for_until_there_is(void **state) {
    (void)state;
    struct fake_machine machine;
    fake_machine_make(&machine);
    const struct world_options options = {.lanes = true, .lane_roots = &machine.roots};
    struct world *world = world_create(&options);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_NOT_OPENED], 1);
    assert_non_null(strstr(world->lane_text, "no RDMA device"));
    assert_false(mkv_lane_ports_is_configured(world->lane_ports)); /* it may be meant never */
    add_device(&machine, "fake0", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0001\n");
    await_event(world, MKV_LANE_PORT_UP, 1);
    expect_served(world);
    fake_rdma.devices[0].state = MKV_VERBS_GONE;
    await_event(world, MKV_LANE_PORT_GONE, 1);
    assert_true(mkv_lane_ports_is_configured(world->lane_ports)); /* from now on */
    world_destroy(world);
    fake_machine_remove(&machine);
}

static void test_ports__one_more_device__found_though_none_was_missing(void **state) {
    (void)state;
    struct fake_machine machine;
    fake_machine_make(&machine);
    add_device(&machine, "fake0", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0001\n");
    const struct world_options options = {.lanes = true, .lane_roots = &machine.roots};
    struct world *world = world_create(&options);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_UP], 1);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_NOT_OPENED], 0);
    fake_rdma.devices[1] = (struct fake_device){.name = "fake1", .gid = "::ffff:127.0.0.2"};
    add_device(&machine, "fake1", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0002\n");
    await_event(world, MKV_LANE_PORT_UP, 2);
    world_destroy(world);
    fake_machine_remove(&machine);
}

/* Ports alone, whose time is the test's: the clock is not asked. */
struct bare {
    struct mkv_ring *ring;
    struct mkv_arena *arena;
    struct mkv_lane_ports *ports;
    uint64_t now_ns;
    uint32_t events[MKV_LANE_PORT_LANE_BROKEN + 1];
};

static void note_event(void *context, enum mkv_lane_port_event event,
                       const struct mkv_verbs_facts *facts, const char *text) {
    struct bare *bare = context;
    (void)facts, (void)text;
    bare->events[event]++;
}

static void bare_create(struct bare *bare, const struct mkv_drive_roots *roots) {
    struct mkv_backend_error error;
    const struct mkv_ring_options ring = {.entries = 16};
    const struct mkv_arena_options arena = {.bytes = 64 * MKV_MIB, .hugepages = MKV_HUGEPAGES_OFF};
    *bare = (struct bare){0};
    assert_true(mkv_ring_create(&ring, &bare->ring, &error));
    assert_true(mkv_arena_create(&arena, &bare->arena, &error));
    const struct mkv_lane_ports_options options = {
        .ring = bare->ring,
        .arena = bare->arena,
        .roots = roots,
        .gid_index = -1,
        .lanes_max = 1,
        .event = note_event,
        .event_context = bare,
    };
    assert_true(mkv_lane_ports_create(&options, &bare->ports, &error));
    bare->now_ns = mkv_clock_monotonic_ns(); /* when it looked first */
}

static void bare_turn(struct bare *bare) {
    mkv_lane_ports_poll(bare->ports, bare->now_ns);
    mkv_lane_ports_flush(bare->ports, bare->now_ns);
    mkv_ring_wait(bare->ring, 1000000);
}

/* Turns until it was told so often, while no time goes by there. */
static void bare_await(struct bare *bare, enum mkv_lane_port_event event, uint32_t count) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (bare->events[event] < count) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        bare_turn(bare);
    }
}

/* A look that is due now; its thread wakes the ring when it has looked. */
static void bare_look(struct bare *bare) {
    const uint64_t before = mkv_ring_counters(bare->ring)->wakes;
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    mkv_lane_ports_poll(bare->ports, bare->now_ns);
    while (mkv_ring_counters(bare->ring)->wakes == before) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        mkv_ring_wait(bare->ring, 1000000);
    }
    mkv_lane_ports_poll(bare->ports, bare->now_ns);
}

static void bare_destroy(struct bare *bare) {
    mkv_lane_ports_stop(bare->ports);
    while (!mkv_lane_ports_is_idle(bare->ports)) {
        bare_turn(bare);
    }
    mkv_lane_ports_destroy(bare->ports);
    mkv_ring_destroy(bare->ring);
    mkv_arena_destroy(bare->arena);
}

/* However long one has been missing, another that is lost is looked for at once. */
static void test_ports__lost_while_another_is_missing__looked_for_at_once(void **state) {
    (void)state;
    struct fake_machine machine;
    struct bare bare;
    fake_machine_make(&machine);
    add_device(&machine, "fake0", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0001\n");
    add_device(&machine, "fake2", "1: DOWN\n", "0000:0000:0000:0000:0000:ffff:7f00:0003\n");
    fake_rdma.devices[2] = (struct fake_device){.name = "fake2", .gid = "::ffff:127.0.0.3"};
    bare_create(&bare, &machine.roots);
    assert_int_equal(bare.events[MKV_LANE_PORT_UP], 1);
    assert_int_equal(bare.events[MKV_LANE_PORT_NOT_OPENED], 1);
    for (uint32_t i = 0; i < 8; i++) { /* the pauses between looks double up to the longest */
        bare.now_ns += MKV_LANE_PORT_RETRY_NS_MAX;
        bare_look(&bare);
    }
    fake_rdma.devices[0].state = MKV_VERBS_GONE;
    bare.now_ns += MKV_LANE_PORT_RETRY_NS_MIN;
    bare_await(&bare, MKV_LANE_PORT_GONE, 1);
    while (fake_rdma_ports() > 0) {
        bare_turn(&bare); /* the ring still waits for its descriptor */
    }
    fake_rdma.devices[0].state = MKV_VERBS_ACTIVE;
    bare.now_ns += MKV_LANE_PORT_RETRY_NS_MIN;
    bare_await(&bare, MKV_LANE_PORT_UP, 2);
    bare_destroy(&bare);
    fake_machine_remove(&machine);
}

static void test_ports__another_address__is_told(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    for (uint32_t i = 0; i < 100; i++) {
        world_turn(world);
    }
    assert_int_equal(world->lane_events[MKV_LANE_PORT_UP], 1);
    fake_rdma.devices[0].gid = "::ffff:127.0.0.9";
    await_event(world, MKV_LANE_PORT_UP, 2);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_DOWN], 0);
    world_destroy(world);
}

/* Whoever comes to any address of a port goes on over it, and to that address. */
static void test_ports__second_address__is_chosen_by_it(void **state) {
    (void)state;
    struct fake_machine machine;
    struct in6_addr address;
    fake_machine_make(&machine);
    fake_rdma.devices[1] = (struct fake_device){
        .name = "fake1", .gid = "::ffff:127.0.0.2", .gid_second = "::ffff:127.0.0.7"};
    add_device(&machine, "fake0", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0001\n");
    add_device(&machine, "fake1", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0002\n");
    const struct world_options options = {.lanes = true, .lane_roots = &machine.roots};
    struct world *world = world_create(&options);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_UP], 2);
    const int fd = socket_at("127.0.0.7");
    struct mkv_lane_port *port = mkv_lane_ports_choose(world->lane_ports, fd, &address);
    assert_non_null(port);
    assert_string_equal(mkv_verbs_facts(port->verbs)->device, "fake1");
    assert_int_equal(address.s6_addr[15], 7);
    close(fd);
    world_destroy(world);
    fake_machine_remove(&machine);
}

/* Which device the lane of a client is over that connects to this address and is served. */
static const char *device_at(struct world *world, struct lane_client *lane, const char *address) {
    uint8_t bytes[LANE_FRAME_BYTES];
    world->connect_to = address;
    lane_open(world, lane);
    lane_send(world, lane, bytes, lane_request(lane, bytes, MKV_NATIVE_PUT, 1, 1, MKV_MIB, 0));
    lane_expect(world, lane, MKV_NATIVE_PUT, 1);
    return fake_rdma_device_of(fake_rdma_peer(lane->endpoint));
}

/* A machine with two ports, and clients with a device of their own, which stays. */
static struct world *two_ports_create(struct fake_machine *machine) {
    fake_machine_make(machine);
    add_device(machine, "fake0", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0001\n");
    add_device(machine, "fake1", "4: ACTIVE\n", "0000:0000:0000:0000:0000:ffff:7f00:0002\n");
    fake_rdma.devices[1] = (struct fake_device){.name = "fake1", .gid = "::ffff:127.0.0.2"};
    fake_rdma.devices[2] = (struct fake_device){.name = "client0", .gid = "::ffff:127.0.0.9"};
    fake_rdma.client_device = "client0";
    const struct world_options options = {
        .host = "0.0.0.0", .lanes = true, .lane_roots = &machine->roots};
    struct world *world = world_create(&options);
    assert_int_equal(world->lane_events[MKV_LANE_PORT_UP], 2);
    return world;
}

/* Lanes go over the port whose address their clients came to, however many there are. */
static void test_ports__two__lanes_are_spread_by_where_clients_come_to(void **state) {
    (void)state;
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.2"};
    static const char *const devices[] = {"fake0", "fake1"};
    struct fake_machine machine;
    struct lane_client lanes[6];
    struct world *world = two_ports_create(&machine);
    for (uint32_t i = 0; i < 6; i++) {
        assert_string_equal(device_at(world, &lanes[i], addresses[i % 2]), devices[i % 2]);
    }
    for (uint32_t i = 0; i < 6; i++) {
        lane_close(world, &lanes[i]);
    }
    world_destroy(world);
    fake_machine_remove(&machine);
}

/* Either may go: its lanes end, those of the other do not, and who comes to it goes over the other
 * until it is back. 127.0.0.1 and its like are of every port. */
static void test_ports__one_of_two_is_lost__the_other_serves_until_it_is_back(void **state) {
    (void)state;
    static const enum mkv_verbs_state losses[] = {MKV_VERBS_PORT_DOWN, MKV_VERBS_GONE};
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.2"};
    static const char *const devices[] = {"fake0", "fake1"};
    struct fake_machine machine;
    struct world *world = two_ports_create(&machine);
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t lost = i % 2;
        const enum mkv_verbs_state loss = losses[i / 2];
        const enum mkv_lane_port_event told =
            loss == MKV_VERBS_GONE ? MKV_LANE_PORT_GONE : MKV_LANE_PORT_DOWN;
        const uint32_t told_before = world->lane_events[told];
        const uint32_t up_before = world->lane_events[MKV_LANE_PORT_UP];
        struct lane_client lanes[3];
        uint8_t bytes[LANE_FRAME_BYTES];
        assert_string_equal(device_at(world, &lanes[0], addresses[lost]), devices[lost]);
        assert_string_equal(device_at(world, &lanes[1], addresses[1 - lost]), devices[1 - lost]);
        fake_rdma.devices[lost].state = loss;
        lane_await(world, &lanes[0], &lanes[0].is_broken);
        await_event(world, told, told_before + 1);
        lane_send(world, &lanes[1], bytes, frame_simple(bytes, MKV_NATIVE_PING, 2));
        lane_expect(world, &lanes[1], MKV_NATIVE_PING, 2);
        assert_false(lanes[1].is_broken);
        assert_string_equal(device_at(world, &lanes[2], addresses[lost]), devices[1 - lost]);
        for (uint32_t lane = 0; lane < 3; lane++) {
            lane_close(world, &lanes[lane]);
        }
        fake_rdma.devices[lost].state = MKV_VERBS_ACTIVE;
        await_event(world, MKV_LANE_PORT_UP, up_before + 1);
    }
    world_destroy(world);
    fake_machine_remove(&machine);
}

/* An address of the network, not of this machine alone: no other port's peers may reach it. */
static void test_ports__address_of_none__no_other_port_is_taken(void **state) {
    (void)state;
    static const uint8_t far[4] = {192, 0, 2, 1};
    struct fake_machine machine;
    struct in6_addr address;
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct world *world = two_ports_create(&machine);
    const int one = 1;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    memcpy(&at.sin_addr, far, sizeof far);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_null(mkv_lane_ports_choose(world->lane_ports, fd, &address));
    fake_rdma.devices[1].gid = "::ffff:192.0.2.1";
    await_event(world, MKV_LANE_PORT_UP, 3);
    struct mkv_lane_port *port = mkv_lane_ports_choose(world->lane_ports, fd, &address);
    assert_non_null(port);
    assert_string_equal(mkv_verbs_facts(port->verbs)->device, "fake1");
    close(fd);
    world_destroy(world);
    fake_machine_remove(&machine);
}

/* Nobody waits for a driver that hangs; what it opens after all is let go of. */
static void test_ports__driver_hangs__the_end_does_not_wait_for_it(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    fake_rdma.devices[0].state = MKV_VERBS_GONE;
    await_event(world, MKV_LANE_PORT_GONE, 1);
    atomic_store(&fake_rdma.hold_open, true);
    fake_rdma.devices[0].state = MKV_VERBS_ACTIVE;
    const uint32_t opens = __atomic_load_n(&fake_rdma.opens, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&fake_rdma.opens, __ATOMIC_SEQ_CST) == opens) {
        world_turn(world);
    }
    world_destroy(world); /* it hangs until this is over */
    atomic_store(&fake_rdma.hold_open, false);
    const struct timespec pause = {.tv_nsec = 20000000};
    (void)nanosleep(&pause, NULL);
    while (fake_rdma_ports() > 0) {
        (void)nanosleep(&pause, NULL);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void test_ports__nothing_to_do__the_ring_waits_until_something_comes(void **state) {
    (void)state;
    struct world *world = world_create(&lane_world);
    struct lane_client lane;
    uint8_t bytes[LANE_FRAME_BYTES];
    lane_open(world, &lane);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (mkv_fabric_tcp_has_work(world->fabric)) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    assert_true(fake_rdma.armed > 0);
    /* What comes now ends a wait that would be far longer. */
    const struct iovec iovec = {bytes, frame_simple(bytes, MKV_NATIVE_PING, 1)};
    assert_int_equal(mkv_endpoint_send(lane.endpoint, &iovec, 1, 0), iovec.iov_len);
    const uint64_t hour_ns = 3600ull * 1000000000u;
    const uint64_t before_ns = mkv_clock_monotonic_ns();
    mkv_ring_wait(world->ring, hour_ns);
    assert_true(mkv_clock_monotonic_ns() - before_ns < hour_ns);
    lane_expect(world, &lane, MKV_NATIVE_PING, 1);
    lane_close(world, &lane);
    world_destroy(world);
}

/* Until its time is over the shard comes round again at once, and asks for no event. */
static void test_ports__polling_is_worth_it__nothing_is_armed(void **state) {
    (void)state;
    struct world_options options = lane_world;
    options.lane_poll_ns = 1000ull * 1000000000u;
    struct world *world = world_create(&options);
    struct lane_client lane;
    lane_open(world, &lane);
    for (uint32_t i = 0; i < 50; i++) {
        world_turn(world);
        assert_true(mkv_fabric_tcp_has_work(world->fabric));
    }
    assert_int_equal(fake_rdma.armed, 0);
    lane_close(world, &lane);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define PORTS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        PORTS_TEST(test_ports__link_goes_down__lanes_end_and_come_back),
        PORTS_TEST(test_ports__device_is_gone__opened_again_when_it_is_back),
        PORTS_TEST(test_ports__memory_is_refused__says_so_and_tries_again),
        PORTS_TEST(test_ports__required__refused_without),
        PORTS_TEST(test_ports__several_devices__each_for_its_address),
        PORTS_TEST(test_ports__no_device_on_the_machine__looked_for_until_there_is),
        PORTS_TEST(test_ports__one_more_device__found_though_none_was_missing),
        PORTS_TEST(test_ports__lost_while_another_is_missing__looked_for_at_once),
        PORTS_TEST(test_ports__another_address__is_told),
        PORTS_TEST(test_ports__second_address__is_chosen_by_it),
        PORTS_TEST(test_ports__two__lanes_are_spread_by_where_clients_come_to),
        PORTS_TEST(test_ports__one_of_two_is_lost__the_other_serves_until_it_is_back),
        PORTS_TEST(test_ports__address_of_none__no_other_port_is_taken),
        PORTS_TEST(test_ports__driver_hangs__the_end_does_not_wait_for_it),
        PORTS_TEST(test_ports__nothing_to_do__the_ring_waits_until_something_comes),
        PORTS_TEST(test_ports__polling_is_worth_it__nothing_is_armed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
