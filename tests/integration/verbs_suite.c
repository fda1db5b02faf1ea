/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs_suite TEST [TIMES]: verbs/ over two devices at the ends of ci/lab/soft_roce_wire.sh, a wire
 * that it cuts and mends itself. Prints `row` lines for the table of what real verbs say to each
 * fault (tests/fixtures/verbs_statuses.tsv), and exits with 0 when all was as it has to be.
 */
#include <string.h>

#include "tests/integration/verbs_world.h"

#define IP "/usr/bin/ip "
#define WIRE_CUT IP "link set dev right_middle nomaster"
#define WIRE_MENDED IP "link set dev right_middle master middle"
#define TRANSFER_BYTES 200000u
#define SERVER_PORT "/sys/class/infiniband/rxe_right/ports/1/"
#define SERVER_GID "0000:0000:0000:0000:0000:ffff:0a4e:0002"
#define ENDPOINTS_MAX 4u
#define RECEIVES_EACH 8u
/* The shell repeats it until it succeeds, for twenty seconds. */
#define SHELL_UNTIL(condition)                                                                     \
    "step=0; until " condition "; do step=$((step + 1)); [ $step -lt 100 ] || exit 1; "            \
    "sleep 0.2; done"

static struct side *const server = &world.sides[SERVER];
static struct side *const client = &world.sides[CLIENT];

static uint64_t remote(uint64_t offset) {
    return (uintptr_t)client->memory + offset;
}

static bool transfer(bool is_read, uint64_t remote_offset, uint64_t local_offset, uint32_t bytes,
                     uint64_t tag) {
    return mkv_endpoint_transfer(server->endpoint, is_read, remote(remote_offset),
                                 mkv_verbs_region_key(client->region), server->region,
                                 server->memory + local_offset, bytes, tag, now_ns());
}

static void fill(uint8_t *memory, uint64_t bytes, uint32_t seed) {
    for (uint64_t index = 0; index < bytes; index++) {
        memory[index] = (uint8_t)((index * 2654435761ull + seed) >> 13);
    }
}

/* What failed did so once, and nothing is left of it: the same devices carry the next lane. */
static void works_again(void) {
    world_disconnect();
    world_connect_open();
    world_send(SERVER, 30000);
    world_send(CLIENT, 30000);
    CHECK(transfer(false, 0, 0, TRANSFER_BYTES, 0), "room");
    UNTIL(60, server->received == 30000 && client->received == 30000 && server->done_ok == 1);
    world_disconnect();
}

/* ---- without faults -------------------------------------------------------------------------- */

static void test_open(void) {
    const struct mkv_verbs_facts *facts = mkv_verbs_facts(server->verbs);
    printf("%s port %u gid %s index %d mtu %u reads %u endpoints %u\n", facts->device, facts->port,
           facts->gid, facts->gid_index, facts->mtu, facts->reads_max, facts->endpoints_max);
    CHECK(strcmp(facts->device, "rxe_right") == 0, "%s", facts->device);
    CHECK(strcmp(mkv_verbs_facts(client->verbs)->device, "rxe_left") == 0, "by its address");
    CHECK(strcmp(facts->gid, "::ffff:10.78.0.2") == 0, "%s", facts->gid);
    CHECK(facts->mtu == 4096 && facts->is_ethernet && facts->reads_max > 0, "facts");
    const struct {
        struct mkv_verbs_options options;
        const char *says;
    } refused[] = {
        {{.device = "mlx5_7", .gid_index = -1}, "no RDMA device mlx5_7"},
        {{.device = "rxe_left", .gid_index = 99}, "GID 99 of port 1 of RDMA device rxe_left"},
        {{.device = "rxe_left", .gid_index = -1, .port = 3}, "no RDMA device rxe_left"},
        {{.device = "rxe_left", .gid_index = -1, .mtu = 1500}, "MTU"},
    };
    CHECK(mkv_verbs_has_device(), "there are two");
    for (size_t index = 0; index < sizeof refused / sizeof refused[0]; index++) {
        struct mkv_verbs_options options = refused[index].options;
        struct mkv_verbs *verbs = NULL;
        char problem[MKV_VERBS_PROBLEM_BYTES] = "";
        options.endpoints_max = 1;
        options.message_bytes = 8192;
        options.receives_each = 8;
        CHECK(!mkv_verbs_open(&options, &verbs, problem), "%zu opens", index);
        CHECK(verbs == NULL && strstr(problem, refused[index].says) != NULL, "%s", problem);
    }
    struct mkv_verbs_options smaller = {.device = "rxe_left",
                                        .gid_index = 1,
                                        .mtu = 1024,
                                        .endpoints_max = 100000,
                                        .message_bytes = 8192,
                                        .receives_each = 64};
    struct mkv_verbs *verbs = NULL;
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    CHECK(mkv_verbs_open(&smaller, &verbs, problem), "%s", problem);
    CHECK(mkv_verbs_facts(verbs)->mtu == 1024, "mtu");
    CHECK(mkv_verbs_facts(verbs)->endpoints_max < 100000, "bounded by the device");
    mkv_verbs_close(verbs);
}

static void test_full(void) {
    struct mkv_endpoint *more[3] = {NULL};
    struct mkv_endpoint *none = NULL;
    const struct mkv_endpoint_ops ops = {.opened = NULL};
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    world_connect_open();
    for (uint32_t index = 0; index < 3; index++) {
        CHECK(mkv_endpoint_create(server->verbs, &ops, NULL, &more[index], problem), "%s", problem);
    }
    CHECK(!mkv_endpoint_create(server->verbs, &ops, NULL, &none, problem), "a fifth");
    CHECK(strstr(problem, "all 4 connections") != NULL, "%s", problem);
    for (uint32_t index = 0; index < 3; index++) {
        mkv_endpoint_destroy(more[index]);
    }
    works_again();
}

static void test_stream(void) {
    const uint64_t end = 2u << 20;
    world_connect_open();
    UNTIL(200, (world_send(SERVER, end), world_send(CLIENT, end),
                server->received == end && client->received == end));
    printf("%u waits, %llu messages of the server\n", world.waits,
           (unsigned long long)mkv_endpoint_counters(server->endpoint)->sends_total);
    works_again();
}

static void test_transfers(void) {
    /* Up to the largest that a server posts (MKV_LANE_PIECE_BYTES). Of a READ of 32 MiB Soft-RoCE of
     * Linux 6.1 loses so many packets between its devices that it gives up now and then. */
    static const uint32_t SIZES[] = {1,    2,     15,    255,    4095,  4096,    4097,
                                     8193, 65536, 65537, 300001, 12345, 1u << 20};
    world_connect_open();
    for (uint32_t index = 0; index < sizeof SIZES / sizeof SIZES[0]; index++) {
        for (uint32_t is_read = 0; is_read < 2; is_read++) {
            const uint32_t bytes = SIZES[index];
            uint8_t *source = is_read == 1 ? client->memory : server->memory;
            uint8_t *target = is_read == 1 ? server->memory : client->memory;
            const uint64_t source_offset = 3 + index;
            const uint64_t target_offset = 64 + index * 5;
            const uint32_t done = server->done_ok;
            memset(target, 0xee, target_offset + bytes + 64);
            fill(source + source_offset, bytes, index * 2 + is_read);
            CHECK(mkv_endpoint_expose(client->endpoint, 7), "exposed");
            CHECK(transfer(is_read == 1, is_read == 1 ? source_offset : target_offset,
                           is_read == 1 ? target_offset : source_offset, bytes, 1),
                  "room");
            UNTIL(200, server->done_ok == done + 1);
            CHECK(mkv_endpoint_unexpose(client->endpoint, 7), "once");
            CHECK(!mkv_endpoint_unexpose(client->endpoint, 7), "twice");
            CHECK(memcmp(source + source_offset, target + target_offset, bytes) == 0, "%u bytes",
                  bytes);
            CHECK(target[target_offset - 1] == 0xee && target[target_offset + bytes] == 0xee,
                  "beyond %u bytes", bytes);
        }
    }
    works_again();
}

/* A WRITE and the message behind it: whoever has the message sees the bytes. */
static void test_order(void) {
    world_connect_open();
    for (uint32_t round = 0; round < 100; round++) {
        const uint32_t bytes = 1000 + round * 97;
        fill(server->memory, bytes, round);
        const uint64_t before = client->received;
        CHECK(transfer(false, 0, 0, bytes, 1), "room");
        world_send(SERVER, server->sent + 100);
        UNTIL(60, client->received == before + 100);
        CHECK(memcmp(server->memory, client->memory, bytes) == 0, "round %u", round);
    }
    UNTIL(60, server->done_ok == 100);
    works_again();
}

static void test_credits(void) {
    const uint64_t end = 1u << 20;
    world_connect_open();
    server->takes_up = client->takes_up = false;
    for (uint32_t step = 0; step < 200; step++) {
        world_send(SERVER, end);
        world_send(CLIENT, end);
        world_step();
    }
    CHECK(server->sent < end / 2 && client->sent < end / 2, "nothing holds them back");
    CHECK(mkv_endpoint_counters(server->endpoint)->credit_waits_total > 0, "waits are counted");
    CHECK(server->times_writable < 20, "it is told of room that there is not");
    server->takes_up = client->takes_up = true;
    world_receive(SERVER);
    world_receive(CLIENT);
    UNTIL(200, (world_send(SERVER, end), world_send(CLIENT, end),
                server->received == end && client->received == end));
    CHECK(server->times_writable > 0 && client->times_writable > 0, "told of room");
    world_run("[ $(cat /sys/class/infiniband/rxe_right/ports/1/hw_counters/send_rnr_err) = 0 ]");
    works_again();
}

static void test_lossy(void) {
    const uint64_t end = 500000;
    world_connect_open();
    world_run("/usr/bin/tc qdisc add dev right_middle root netem loss 2%");
    UNTIL(300, (world_send(SERVER, end), world_send(CLIENT, end),
                server->received == end && client->received == end));
    fill(client->memory, 500000, 1);
    CHECK(transfer(true, 0, 0, 500000, 1), "room");
    UNTIL(200, server->done_ok == 1);
    CHECK(memcmp(server->memory, client->memory, 500000) == 0, "what was read");
    world_run("/usr/bin/tc qdisc delete dev right_middle root");
    works_again();
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void post_many(uint32_t count) {
    for (uint32_t tag = 0; tag < count; tag++) {
        const bool is_read = tag % 4 == 3;
        CHECK(transfer(is_read, tag * TRANSFER_BYTES, tag * TRANSFER_BYTES, TRANSFER_BYTES, tag),
              "room for %u", tag);
    }
}

static void all_told_once(uint32_t count) {
    UNTIL(60, server->is_drained);
    for (uint32_t tag = 0; tag < count; tag++) {
        CHECK(server->done[tag] == 1, "transfer %u was told %u times", tag, server->done[tag]);
    }
}

static void test_wrong_key(void) {
    for (uint32_t is_read = 0; is_read < 2; is_read++) {
        world_connect_open();
        CHECK(mkv_endpoint_expose(client->endpoint, 3), "exposed");
        CHECK(mkv_endpoint_transfer(server->endpoint, is_read == 1, remote(0),
                                    mkv_verbs_region_key(client->region) ^ 0x55, server->region,
                                    server->memory, 100, 0, now_ns()),
              "room");
        CHECK(transfer(false, 0, 0, TRANSFER_BYTES, 1), "room");
        UNTIL(60, server->is_broken);
        all_told_once(2);
        CHECK(server->done_failed == 2, "both fail");
        CHECK(server->reason == MKV_LANE_REASON_REMOTE_ERROR, "reason");
        mkv_endpoint_stop(client->endpoint, MKV_LANE_REASON_PEER, now_ns());
        UNTIL(60, client->is_drained);
        CHECK(client->exposures_ended == 1, "its request has failed");
        world_tell(is_read == 1 ? "wrong_key_read" : "wrong_key_write", SERVER);
        world_tell(is_read == 1 ? "wrong_key_read" : "wrong_key_write", CLIENT);
        works_again();
    }
}

static void test_beyond(void) {
    world_connect_open();
    CHECK(transfer(false, MEMORY_BYTES - 50, 0, 100, 0), "room");
    UNTIL(60, server->is_broken);
    all_told_once(1);
    mkv_endpoint_stop(client->endpoint, MKV_LANE_REASON_PEER, now_ns());
    UNTIL(60, client->is_drained);
    world_tell("beyond_memory", SERVER);
    world_tell("beyond_memory", CLIENT);
    works_again();
}

static void test_own_memory(void) {
    world_connect_open();
    CHECK(mkv_endpoint_transfer(server->endpoint, false, remote(0),
                                mkv_verbs_region_key(client->region), server->region,
                                server->memory + MEMORY_BYTES - 50, 100, 0, now_ns()),
          "room");
    UNTIL(60, server->is_broken);
    all_told_once(1);
    CHECK(server->reason == MKV_LANE_REASON_LOCAL_ERROR, "reason");
    world_tell("own_memory", SERVER);
    works_again();
}

static void test_peer_stops(void) {
    world_connect_open();
    CHECK(mkv_endpoint_expose(client->endpoint, 3), "exposed");
    post_many(8);
    world_send(SERVER, 20000);
    (void)mkv_verbs_poll(server->verbs, now_ns());
    mkv_endpoint_stop(client->endpoint, MKV_LANE_REASON_CLOSED, now_ns());
    /* From here on it is the client's again, whatever the server has posted. */
    memset(client->memory, 0x77, 8 * TRANSFER_BYTES);
    UNTIL(60, server->is_broken && client->is_drained);
    all_told_once(8);
    CHECK(client->exposures_ended == 1, "its request has failed");
    for (uint32_t index = 0; index < 8 * TRANSFER_BYTES; index++) {
        CHECK(client->memory[index] == 0x77, "byte %u was written behind the stop", index);
    }
    world_tell("peer_stopped", SERVER);
    world_tell("peer_stopped", CLIENT);
    works_again();
}

static void test_stops_itself(void) {
    world_connect_open();
    post_many(8);
    world_send(SERVER, 20000);
    (void)mkv_verbs_poll(server->verbs, now_ns());
    mkv_endpoint_stop(server->endpoint, MKV_LANE_REASON_CLOSED, now_ns());
    all_told_once(8);
    CHECK(!server->is_broken, "who stops is not told that it broke");
    world_tell("stopped", SERVER);
    works_again();
}

static void test_wire_cut(void) {
    world_connect_open();
    world_run(WIRE_CUT);
    post_many(3);
    world_send(SERVER, 20000);
    UNTIL(100, server->is_broken);
    CHECK(server->reason == MKV_LANE_REASON_RETRY_EXCEEDED, "reason");
    all_told_once(3);
    CHECK(server->done_failed == 3, "all fail");
    world_tell("wire_cut", SERVER);
    world_run(WIRE_MENDED);
    works_again();
}

static void test_port_down(void) {
    struct mkv_endpoint *endpoint = NULL;
    const struct mkv_endpoint_ops ops = {.opened = NULL};
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    world_connect_open();
    world_run(IP "link set dev right down");
    UNTIL(60, server->is_broken && server->is_drained);
    CHECK(server->reason == MKV_LANE_REASON_PORT_DOWN, "reason");
    CHECK(mkv_verbs_state(server->verbs) == MKV_VERBS_PORT_DOWN, "state");
    CHECK(!mkv_endpoint_create(server->verbs, &ops, NULL, &endpoint, problem), "created");
    CHECK(strstr(problem, "is down") != NULL, "%s", problem);
    world_tell("port_down", SERVER);
    world_run(IP "link set dev right up");
    /* What the kernel forgets of an interface that is down. */
    world_run("soft_roce_wire routes");
    UNTIL(60, mkv_verbs_state(server->verbs) == MKV_VERBS_ACTIVE);
    works_again();
}

static void test_mtu(void) {
    world_run(IP "link set dev right_middle mtu 1500");
    world_connect(0);
    UNTIL(60, client->is_broken);
    CHECK(client->reason == MKV_LANE_REASON_PROBE, "reason");
    CHECK(!client->is_opened && !server->is_opened, "it opens all the same");
    world_tell("small_mtu", CLIENT);
    world_run(IP "link set dev right_middle mtu 9000");
    works_again();
}

/* The peer has fewer receives than it says. */
static void test_no_receive(void) {
    world_connect(32);
    client->endpoint->lane.config.receives = 32; /* else it takes the ninth for a breach */
    UNTIL(60, server->is_opened && client->is_opened);
    client->takes_up = false;
    UNTIL(100, (world_send(SERVER, 1u << 20), server->is_broken));
    CHECK(server->reason == MKV_LANE_REASON_RNR_EXCEEDED, "reason");
    world_tell("no_receive", SERVER);
    client->takes_up = true;
    works_again();
}

static void test_device_removed(void) {
    world_connect_open();
    post_many(3);
    world_run("timeout 20 rdma link delete rxe_right >/tmp/deleted 2>&1 & sleep 1");
    UNTIL(100, server->is_broken && server->is_drained);
    printf("state %d\n", (int)mkv_verbs_state(server->verbs));
    all_told_once(3);
    world_tell("device_removed", SERVER);
    mkv_endpoint_stop(client->endpoint, MKV_LANE_REASON_PEER, now_ns());
    UNTIL(60, client->is_drained);
    mkv_endpoint_destroy(server->endpoint);
    mkv_endpoint_destroy(client->endpoint);
    /* The kernel waits for the last who has it open; then there may be another of that name. */
    world_close();
    world_run(SHELL_UNTIL("! rdma link | grep -q rxe_right"));
    world_run("rdma link add rxe_right type rxe netdev right");
    world_run(SHELL_UNTIL("grep -q ACTIVE " SERVER_PORT "state && grep -q " SERVER_GID
                          " " SERVER_PORT "gids/[0-3]"));
    world_open(ENDPOINTS_MAX, RECEIVES_EACH);
    world_connect_open();
    works_again();
}

/* ---- figures, beside those of perftest on the same wire -------------------------------------- */

#define BENCH_BYTES (1u << 20)
#define BENCH_TRANSFERS 40u
#define BENCH_DEPTH 5u
#define BENCH_ROUND_TRIPS 300u

static double bench_transfers(bool is_read) {
    const uint32_t before = server->done_ok;
    const uint64_t start_ns = now_ns();
    for (uint32_t posted = 0; server->done_ok < before + BENCH_TRANSFERS;) {
        while (posted < BENCH_TRANSFERS && posted < server->done_ok - before + BENCH_DEPTH &&
               transfer(is_read, (uint64_t)(posted % 16) << 20, (uint64_t)(posted % 16) << 20,
                        BENCH_BYTES, posted % TAGS_MAX)) {
            posted++;
        }
        world_step();
    }
    return (double)BENCH_TRANSFERS * BENCH_BYTES * 1e3 / (double)(now_ns() - start_ns);
}

static void run_bench(void) {
    world_connect_open();
    for (uint32_t round = 0; round < 3; round++) {
        const double write_mb = bench_transfers(false);
        const double read_mb = bench_transfers(true);
        const uint64_t start_ns = now_ns();
        for (uint32_t trip = 0; trip < BENCH_ROUND_TRIPS; trip++) {
            world_send(CLIENT, client->sent + 64);
            UNTIL(60, server->received == client->sent);
            world_send(SERVER, server->sent + 64);
            UNTIL(60, client->received == server->sent);
        }
        printf("figures\twrite_mb_s %.2f\tread_mb_s %.2f\thalf_trip_us %.1f\n", write_mb, read_mb,
               (double)(now_ns() - start_ns) / 2e3 / BENCH_ROUND_TRIPS);
    }
    world_disconnect();
}

static const struct test {
    const char *name;
    void (*run)(void);
} TESTS[] = {
    {"open", test_open},
    {"full", test_full},
    {"stream", test_stream},
    {"transfers", test_transfers},
    {"order", test_order},
    {"credits", test_credits},
    {"lossy", test_lossy},
    {"wrong_key", test_wrong_key},
    {"beyond", test_beyond},
    {"own_memory", test_own_memory},
    {"peer_stops", test_peer_stops},
    {"stops_itself", test_stops_itself},
    {"wire_cut", test_wire_cut},
    {"port_down", test_port_down},
    {"mtu", test_mtu},
    {"no_receive", test_no_receive},
    {"device_removed", test_device_removed},
    {"bench", run_bench},
};

int main(int count, char **arguments) {
    const char *name = count > 1 ? arguments[1] : "";
    const long times = count > 2 ? strtol(arguments[2], NULL, 10) : 1;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t index = 0; index < sizeof TESTS / sizeof TESTS[0]; index++) {
        if (strcmp(name, TESTS[index].name) == 0) {
            world_open(ENDPOINTS_MAX, RECEIVES_EACH);
            for (long time = 0; time < times; time++) {
                TESTS[index].run();
            }
            world_close();
            printf("passed %s %ld times\n", name, times);
            return 0;
        }
    }
    fprintf(stderr, "usage: verbs_suite TEST [TIMES]\n");
    return 2;
}
