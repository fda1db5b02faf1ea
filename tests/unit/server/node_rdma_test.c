/* SPDX-License-Identifier: Apache-2.0 */
/* What the node makes of the events of its shards' ports, and of their lanes' counts. */
#include "server/node_internal.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/words.h"
#include "tests/unit/server/images.h"

/* A node with nothing but a log, which goes to a pipe. */
struct fixture {
    struct mkv_node node;
    struct mkv_admin_snapshot snapshot;
    struct mkv_fabric_lane_counters lanes;
    int log_ends[2];
    char text[8192]; /* of the log since the last look, without timestamps */
};

static const struct mkv_verbs_facts left = {.device = "rxe0",
                                            .port = 1,
                                            .gid = "::ffff:10.0.0.7",
                                            .gid_index = 1,
                                            .is_ethernet = true,
                                            .mtu = 1024,
                                            .reads_max = 16,
                                            .traffic_class = 106,
                                            .service_level = 3,
                                            .numa_node = 1};
static const struct mkv_verbs_facts right = {.device = "mlx5_0",
                                             .port = 2,
                                             .gid = "fe80::1",
                                             .gid_index = 0,
                                             .mtu = 4096,
                                             .reads_max = 8,
                                             .numa_node = -1};

static int fixture_begin(void **state) {
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    struct mkv_node *node = &fixture.node;
    assert_int_equal(pipe(fixture.log_ends), 0);
    node->log = mkv_log_create(fixture.log_ends[1], MKV_CONFIG_LOG_DEBUG, MKV_CONFIG_LOG_TEXT);
    pthread_mutex_init(&node->mutex, NULL);
    pthread_mutex_init(&node->rdma.mutex, NULL);
    *state = &fixture;
    return 0;
}

static int fixture_end(void **state) {
    struct fixture *fixture = *state;
    mkv_log_destroy(fixture->node.log);
    pthread_mutex_destroy(&fixture->node.rdma.mutex);
    pthread_mutex_destroy(&fixture->node.mutex);
    close(fixture->log_ends[0]);
    close(fixture->log_ends[1]);
    return 0;
}

static void tell(struct fixture *fixture, uint32_t shard, enum mkv_lane_port_event event,
                 const struct mkv_verbs_facts *facts, const char *text) {
    mkv_node_rdma_event(&fixture->node, shard, event, facts, text);
}

static const struct mkv_admin_rdma *look(struct fixture *fixture) {
    memset(&fixture->snapshot, 0, sizeof fixture->snapshot);
    mkv_node_rdma_fill(&fixture->node, &fixture->lanes, &fixture->snapshot);
    return &fixture->snapshot.rdma;
}

static void expect_log(struct fixture *fixture, const char *expected) {
    static const char mark[] = "the end of what is looked at";
    char bytes[8192];
    mkv_log_write(fixture->node.log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "server.node", NULL, 0,
                  mark);
    assert_true(mkv_log_flush(fixture->node.log, 60000000000ull));
    const ssize_t count = read(fixture->log_ends[0], bytes, sizeof bytes - 1);
    assert_true(count > 0);
    bytes[count] = '\0';
    fixture->text[0] = '\0';
    for (char *line = bytes; *line != '\0';) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        const char *plain = line + MKV_LOG_TIMESTAMP_BYTES;
        if (memmem(plain, (size_t)(end - plain), mark, sizeof mark - 1) == NULL) {
            strncat(fixture->text, plain, (size_t)(end + 1 - plain));
        }
        line = end + 1;
    }
    assert_string_equal(fixture->text, expected);
}

static void expect_transitions(struct fixture *fixture, uint64_t ups, uint64_t downs) {
    look(fixture);
    assert_int_equal(fixture->snapshot.transitions_total[MKV_ADMIN_TRANSITION_RDMA_UP], ups);
    assert_int_equal(fixture->snapshot.transitions_total[MKV_ADMIN_TRANSITION_RDMA_DOWN], downs);
}

static void test_node_rdma__never_there__neither_meant_nor_lost(void **state) {
    struct fixture *fixture = *state;
    tell(fixture, 0, MKV_LANE_PORT_NOT_OPENED, NULL, "there is no device");
    tell(fixture, 1, MKV_LANE_PORT_NOT_OPENED, NULL, "there is no device");
    expect_log(fixture, "INFO fabric.rdma: RDMA: there is no device\n");
    const struct mkv_admin_rdma *rdma = look(fixture);
    assert_false(rdma->is_active);
    assert_false(rdma->is_configured);
    assert_false(rdma->is_lost);
    assert_int_equal(rdma->port_count, 0);
    assert_int_equal(fixture->node.warning_count, 0);
}

/* What is told of a device that the configuration names, up to what is to be done. */
#define ABSENT                                                                                     \
    "WARN fabric.rdma: RDMA: there is no rxe0\n"                                                   \
    "WARN server.node: there is no rxe0; native clients are served over TCP code=RDMA_DOWN "       \
    "action=\""

static void test_node_rdma__device_that_is_named__is_missed_in_a_warning(void **state) {
    struct fixture *fixture = *state;
    memcpy(fixture->node.config.rdma.device, "rxe0", sizeof "rxe0");
    tell(fixture, 0, MKV_LANE_PORT_NOT_OPENED, NULL, "there is no rxe0");
    tell(fixture, 1, MKV_LANE_PORT_NOT_OPENED, NULL, "there is no rxe0");
    expect_log(fixture, mkv_verbs_is_built() ? ABSENT "run memkv doctor, or set rdma.device to "
                                                      "what rdma link lists; it is tried again, "
                                                      "and clients go over to RDMA by themselves "
                                                      "when it is there\"\n"
                                             : ABSENT "take a memkv with RDMA, or leave "
                                                      "rdma.device out\"\n");
    assert_true(look(fixture)->is_configured);
    assert_false(look(fixture)->is_lost);
    assert_int_equal(fixture->node.warning_count, 1);
    tell(fixture, 0, MKV_LANE_PORT_NOT_OPENED, NULL, "rxe0 has no address");
    assert_int_equal(fixture->node.warning_count, 1);
    assert_non_null(strstr(fixture->node.warnings[0].message, "rxe0 has no address"));
    tell(fixture, 0, MKV_LANE_PORT_UP, &left, "");
    assert_int_equal(fixture->node.warning_count, 0);
    expect_transitions(fixture, 0, 0);
    /* What it loses from here on is told as a loss. */
    tell(fixture, 0, MKV_LANE_PORT_DOWN, &left, "no link");
    tell(fixture, 0, MKV_LANE_PORT_NOT_OPENED, NULL, "there is no rxe0");
    assert_non_null(strstr(fixture->node.warnings[0].message, "no RDMA port is up"));
    fixture->node.config.rdma.mode = MKV_CONFIG_RDMA_OFF;
    assert_false(look(fixture)->is_configured);
}

static void test_node_rdma__port_of_three_shards__is_told_once_and_is_up_until_the_last(
    void **state) {
    struct fixture *fixture = *state;
    for (uint32_t shard = 0; shard < 3; shard++) {
        tell(fixture, shard, MKV_LANE_PORT_UP, &left, "");
    }
    expect_log(fixture,
               "INFO fabric.rdma: RDMA: rxe0 port 1 is up, RoCE v2 at 10.0.0.7, GID index 1, "
               "packets of 1024 bytes device=rxe0 port=1 address=10.0.0.7 gid_index=1 mtu=1024 "
               "reads_max=16 traffic_class=106 service_level=3 numa_node=1\n");
    const struct mkv_admin_rdma *rdma = look(fixture);
    assert_true(rdma->is_active);
    assert_true(rdma->is_configured);
    assert_int_equal(rdma->port_count, 1);
    assert_string_equal(rdma->ports[0].device, "rxe0");
    assert_string_equal(rdma->ports[0].address, "10.0.0.7");
    assert_int_equal(rdma->ports[0].mtu, 1024);
    assert_true(rdma->ports[0].is_up);
    tell(fixture, 1, MKV_LANE_PORT_DOWN, &left, "the link of rxe0 is down");
    tell(fixture, 0, MKV_LANE_PORT_DOWN, &left, "the link of rxe0 is down");
    assert_true(look(fixture)->is_active);
    assert_int_equal(fixture->node.warning_count, 0);
    expect_transitions(fixture, 0, 0); /* being up at the start is no transition */
    tell(fixture, 2, MKV_LANE_PORT_DOWN, &left, "the link of rxe0 is down");
    rdma = look(fixture);
    assert_false(rdma->is_active);
    assert_true(rdma->is_lost);
    assert_false(rdma->ports[0].is_up);
    expect_transitions(fixture, 0, 1);
    assert_int_equal(fixture->node.warning_count, 1);
    assert_int_equal(fixture->node.warnings[0].code, MKV_ADMIN_WARNING_RDMA_DOWN);
    assert_string_equal(fixture->node.warnings[0].message,
                        "no RDMA port is up, the last was rxe0 port 1 (10.0.0.7): native clients "
                        "go on over TCP");
}

static void test_node_rdma__port_that_is_back__takes_the_warning_back(void **state) {
    struct fixture *fixture = *state;
    tell(fixture, 0, MKV_LANE_PORT_UP, &left, "");
    for (uint64_t round = 1; round <= 3; round++) {
        tell(fixture, 0, MKV_LANE_PORT_DOWN, &left, "down");
        tell(fixture, 0, MKV_LANE_PORT_GONE, &left, "and gone"); /* it was down already */
        assert_int_equal(fixture->node.warning_count, 1);
        assert_true(look(fixture)->is_lost);
        tell(fixture, 0, MKV_LANE_PORT_UP, &left, "");
        assert_int_equal(fixture->node.warning_count, 0);
        assert_false(look(fixture)->is_lost);
        assert_int_equal(look(fixture)->port_count, 1);
        expect_transitions(fixture, round, round);
    }
}

static void test_node_rdma__two_ports__one_that_is_left_is_enough(void **state) {
    struct fixture *fixture = *state;
    tell(fixture, 0, MKV_LANE_PORT_UP, &left, "");
    tell(fixture, 0, MKV_LANE_PORT_UP, &right, "");
    assert_int_equal(look(fixture)->port_count, 2);
    assert_string_equal(look(fixture)->ports[1].address, "fe80::1");
    tell(fixture, 0, MKV_LANE_PORT_GONE, &left, "rxe0 was removed");
    assert_true(look(fixture)->is_active);
    assert_false(look(fixture)->ports[0].is_up);
    assert_int_equal(fixture->node.warning_count, 0);
    tell(fixture, 0, MKV_LANE_PORT_DOWN, &right, "down");
    assert_int_equal(fixture->node.warning_count, 1);
    expect_transitions(fixture, 0, 1);
}

static void test_node_rdma__node_that_stops__loses_nothing(void **state) {
    struct fixture *fixture = *state;
    tell(fixture, 0, MKV_LANE_PORT_UP, &left, "");
    atomic_store(&fixture->node.stop_count, 1);
    tell(fixture, 0, MKV_LANE_PORT_GONE, &left, "closed");
    assert_int_equal(fixture->node.warning_count, 0);
    expect_transitions(fixture, 0, 0);
}

static void test_node_rdma__more_ports_than_are_told_apart__those_that_are_down_give_way(
    void **state) {
    struct fixture *fixture = *state;
    struct mkv_verbs_facts facts = left;
    for (uint32_t i = 0; i < MKV_ADMIN_RDMA_PORTS_MAX; i++) {
        facts.port = i;
        tell(fixture, 0, MKV_LANE_PORT_UP, &facts, "");
    }
    facts.port = 100;
    tell(fixture, 0, MKV_LANE_PORT_UP, &facts, "");
    assert_int_equal(look(fixture)->port_count, MKV_ADMIN_RDMA_PORTS_MAX);
    facts.port = 5;
    tell(fixture, 0, MKV_LANE_PORT_DOWN, &facts, "down");
    facts.port = 101;
    tell(fixture, 0, MKV_LANE_PORT_UP, &facts, "");
    assert_int_equal(look(fixture)->ports[5].port, 101);
}

/* A device lists its addresses at other places when one of them has come or gone. */
static void test_node_rdma__port_with_another_address__is_the_same_port(void **state) {
    struct fixture *fixture = *state;
    struct mkv_verbs_facts moved = left;
    memcpy(moved.gid, "::ffff:10.0.0.8", sizeof "::ffff:10.0.0.8");
    moved.gid_index = 3;
    tell(fixture, 0, MKV_LANE_PORT_UP, &left, "");
    tell(fixture, 1, MKV_LANE_PORT_UP, &left, "");
    tell(fixture, 0, MKV_LANE_PORT_UP, &moved, "");
    tell(fixture, 1, MKV_LANE_PORT_UP, &moved, "");
    const struct mkv_admin_rdma *rdma = look(fixture);
    assert_int_equal(rdma->port_count, 1);
    assert_string_equal(rdma->ports[0].address, "10.0.0.8");
    assert_int_equal(rdma->ports[0].gid_index, 3);
    expect_transitions(fixture, 0, 0);
    moved.gid_index = 2; /* moved again, and down before that was told */
    tell(fixture, 0, MKV_LANE_PORT_DOWN, &moved, "down");
    tell(fixture, 1, MKV_LANE_PORT_DOWN, &moved, "down");
    assert_false(look(fixture)->is_active);
    assert_int_equal(fixture->node.warning_count, 1);
}

static void test_node_rdma__lane_that_broke__is_in_the_log(void **state) {
    struct fixture *fixture = *state;
    tell(fixture, 3, MKV_LANE_PORT_LANE_BROKEN, &left, "10.0.0.9:4711: retry_exceeded. Look there");
    expect_log(fixture, "WARN fabric.rdma: RDMA: 10.0.0.9:4711: retry_exceeded. Look there\n");
}

/* Each count of the lanes is under the word that wire/ has for it. */
static void test_node_rdma__counts__are_under_their_words(void **state) {
    struct fixture *fixture = *state;
    struct mkv_fabric_lane_counters *lanes = &fixture->lanes;
    lanes->connections_active = 3;
    lanes->connects_total = 9;
    lanes->received_bytes_total = 10;
    lanes->sent_bytes_total = 11;
    lanes->errors_total = 12;
    lanes->recoveries_total = 13;
    mkv_histogram_record_ns(&lanes->read, 5000);
    for (uint32_t reason = 0; reason < MKV_LANE_REASON_COUNT; reason++) {
        lanes->failures_total[reason] = 100 + reason;
        lanes->fallbacks_total[reason] = 200 + reason;
    }
    lanes->fallbacks_total[MKV_NATIVE_FALLBACK_REFUSED] = 300;
    for (uint32_t refusal = 0; refusal < MKV_NATIVE_REFUSAL_COUNT; refusal++) {
        lanes->refusals_total[refusal] = 400 + refusal;
    }
    const struct mkv_admin_rdma *rdma = look(fixture);
    assert_int_equal(rdma->fabric.connections_active, 3);
    assert_int_equal(rdma->fabric.bytes_in_total, 10);
    assert_int_equal(rdma->fabric.bytes_out_total, 11);
    assert_int_equal(rdma->connects_total, 9);
    assert_int_equal(rdma->errors_total, 12);
    assert_int_equal(rdma->recoveries_total, 13);
    assert_int_equal(mkv_histogram_total(&rdma->read), 1);
    assert_int_equal(mkv_histogram_total(&rdma->write), 0);
    for (uint32_t reason = MKV_LANE_REASON_CLOSED; reason < MKV_LANE_REASON_COUNT; reason++) {
        const char *word = mkv_lane_reason_name((enum mkv_lane_reason)reason);
        const uint32_t fallback = reason - MKV_LANE_REASON_CLOSED;
        assert_string_equal(mkv_admin_rdma_fallbacks[fallback], word);
        assert_int_equal(rdma->fallbacks_total[fallback], 200 + reason);
        if (reason >= MKV_LANE_REASON_LOCAL_ERROR) {
            const uint32_t failure = reason - MKV_LANE_REASON_LOCAL_ERROR;
            assert_string_equal(mkv_admin_rdma_failures[failure], word);
            assert_int_equal(rdma->failures_total[failure], 100 + reason);
        }
    }
    uint32_t place = MKV_LANE_REASON_COUNT - MKV_LANE_REASON_CLOSED;
    assert_string_equal(mkv_admin_rdma_fallbacks[place], "refused");
    assert_int_equal(rdma->fallbacks_total[place], 300);
    for (uint32_t refusal = 0; refusal < MKV_NATIVE_REFUSAL_COUNT; refusal++) {
        place++;
        assert_string_equal(mkv_admin_rdma_fallbacks[place],
                            mkv_native_refusal_name((enum mkv_native_refusal)refusal));
        assert_int_equal(rdma->fallbacks_total[place], 400 + refusal);
    }
}

/* A file of a port's counters, with the folders above it. */
static void put_counter(const char *root, const char *name, const char *text) {
    static const char *const folders[] = {"class", "infiniband", "rxe0",
                                          "ports", "1",          "hw_counters"};
    char path[2 * IMAGES_PATH_BYTES];
    snprintf(path, sizeof path, "%s", root);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const size_t bytes = strlen(path);
        snprintf(path + bytes, sizeof path - bytes, "/%s", folders[i]);
        (void)mkdir(path, 0700);
    }
    const size_t bytes = strlen(path);
    snprintf(path + bytes, sizeof path - bytes, "/%s", name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

static void test_node_rdma__counters_of_a_port__are_read_while_the_node_serves(void **state) {
    struct fixture *fixture = *state;
    char root[IMAGES_PATH_BYTES];
    struct mkv_backend_error error;
    if (!mkv_verbs_is_built()) {
        print_message("skipped: this build has no RDMA\n");
        skip();
    }
    images_make(root);
    const struct mkv_drive_roots roots = {.sys = root};
    fixture->node.rdma.roots = &roots;
    memcpy(fixture->node.config.rdma.gid_index, "auto", sizeof "auto");
    put_counter(root, "rcvd_rnr_err", "5\n");
    tell(fixture, 0, MKV_LANE_PORT_UP, &left, "");
    tell(fixture, 0, MKV_LANE_PORT_UP, &right, ""); /* which tells nothing */
    assert_true(mkv_node_rdma_reader_begin(&fixture->node, &error));
    const struct mkv_admin_rdma_port *port = &look(fixture)->ports[0];
    for (uint32_t tries = 0; port->troubles_told == 0; tries++) {
        assert_true(tries < 60000);
        usleep(1000);
        port = &look(fixture)->ports[0];
    }
    mkv_node_rdma_reader_end(&fixture->node);
    assert_null(fixture->node.rdma_reader);
    assert_string_equal(mkv_admin_rdma_troubles[0], "rnr_received");
    assert_int_equal(port->troubles_told, 1u << MKV_RDMA_RNR_RECEIVED);
    assert_true(port->troubles_total[0] == 5);
    assert_int_equal(look(fixture)->ports[1].troubles_told, 0);
    assert_int_equal(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    /* Nothing is read where nothing is wanted. */
    fixture->node.config.rdma.mode = MKV_CONFIG_RDMA_OFF;
    assert_true(mkv_node_rdma_reader_begin(&fixture->node, &error));
    assert_null(fixture->node.rdma_reader);
    mkv_node_rdma_reader_end(&fixture->node);
}

/* All memory is registered once more before a format alone, which a start that is refused must not
 * leave behind; else the shards find out. */
static void test_node_rdma__required__memory_is_tried_before_a_format_alone(void **state) {
    struct fixture *fixture = *state;
    struct mkv_node *node = &fixture->node;
    struct mkv_backend_error error = {0};
    node->config.rdma.mode = MKV_CONFIG_RDMA_REQUIRE;
    memcpy(node->config.rdma.gid_index, "auto", sizeof "auto");
    snprintf(node->config.rdma.device, sizeof node->config.rdma.device, "nowhere0");
    node->drive_count = 2;
    node->plan.actions[0] = MKV_DRIVE_KEEP;
    node->plan.actions[1] = MKV_DRIVE_KEEP;
    assert_true(mkv_node_rdma_check_memory(node, &error));
    node->plan.actions[1] = MKV_DRIVE_FORMAT;
    assert_false(mkv_node_rdma_check_memory(node, &error));
    assert_non_null(strstr(error.text, "nowhere0"));
    assert_false(mkv_node_rdma_check_ports(node, &error));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_node_rdma__never_there__neither_meant_nor_lost),
        TEST(test_node_rdma__device_that_is_named__is_missed_in_a_warning),
        TEST(test_node_rdma__port_of_three_shards__is_told_once_and_is_up_until_the_last),
        TEST(test_node_rdma__port_that_is_back__takes_the_warning_back),
        TEST(test_node_rdma__two_ports__one_that_is_left_is_enough),
        TEST(test_node_rdma__node_that_stops__loses_nothing),
        TEST(test_node_rdma__more_ports_than_are_told_apart__those_that_are_down_give_way),
        TEST(test_node_rdma__port_with_another_address__is_the_same_port),
        TEST(test_node_rdma__lane_that_broke__is_in_the_log),
        TEST(test_node_rdma__counters_of_a_port__are_read_while_the_node_serves),
        TEST(test_node_rdma__counts__are_under_their_words),
        TEST(test_node_rdma__required__memory_is_tried_before_a_format_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
