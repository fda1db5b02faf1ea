/* SPDX-License-Identifier: Apache-2.0 */
/* The screen, letter by letter: people and their scripts get used to it. */
#include "admin/status_screen.h"

#include "admin/status_json.h"
#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

static int setup(void **state) {
    struct mkv_admin_snapshot *snapshot = calloc(1, sizeof *snapshot);
    assert_non_null(snapshot);
    fake_snapshot(snapshot);
    *state = snapshot;
    return 0;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

static void expect_screen(const char *json, const char *expected) {
    json_t *status = json_loads(json, 0, NULL);
    assert_non_null(status);
    struct mkv_text screen = {0};
    mkv_status_screen(status, &screen);
    assert_false(screen.failed);
    assert_string_equal(screen.bytes, expected);
    mkv_text_free(&screen);
    json_decref(status);
}

static void expect_snapshot(const struct mkv_admin_snapshot *snapshot, const char *expected) {
    struct mkv_admin_reply reply = mkv_admin_status(snapshot);
    assert_non_null(reply.body);
    expect_screen(reply.body, expected);
    free(reply.body);
}

static void test_screen__a_node_under_load__golden(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    fake_snapshot_state(snapshot, MKV_ADMIN_NODE_DEGRADED);
    snapshot->payload_bytes = 29000000;
    expect_snapshot(
        snapshot,
        "node gpu-07  DEGRADED  ready  up 6d 04:11  memkv 0.4.1 (3fa9c02)  epoch 12  config 9f3c\n"
        "! DIRECT_IO_FALLBACK  d01  memkv-data/store.memkv goes through the page cache, "
        "since 2026-01-01T02:14:07Z → put the file on ext4 or xfs\n"
        "\n"
        "capacity  28.23 MiB / 2.53 GiB    [....................] 1.1 %   payload 97.98 % of used\n"
        "          1 234 576 blocks · 1 234 567 persisted · residency 5 h 08 m\n"
        "memory    61.00 / 64.00 GiB       [###################.] 95.3 %   huge pages 2 MiB\n"
        "hit 10m   memory 22.0 % · drive 51.0 % · miss 27.0 % of 1 000 keys\n"
        "misses    unknown 70 % · evicted 24 % · drive offline 6 %\n"
        "fabric    rdma 3 connections · in 134 B · out 135 B · tcp 62 connections · in 2.00 GiB · "
        "out 3.00 TiB · 3033 fallbacks: parameters · 37 requests in flight\n"
        "journal   fullest d00 31.1 % · checkpoint 12 s ago\n"
        "\n"
        "DRIVE  STATE              USED/USABLE          "
        "READ MB/s WRITE MB/s  READ p99 WRITE p99  ERR  MODEL (SERIAL) OR PATH\n"
        "d00    slow        28.23 MiB/2.50 GiB   1.1 %  "
        "     1175        191    3.0 ms    800 us   24  Fast 9000 (S1)\n"
        "d01    failed          0.00/32.00 MiB   0.0 %  "
        "        0          0         -         -    0  memkv-data/store.memkv\n"
        "\n"
        "TENANT                      BYTES        QUOTA        BLOCKS    HIT  EVICTED/s  CAUSED/s\n"
        "default                 28.03 MiB            -     1 234 567      -        0.0       0.0\n"
        "batch                         0 B     1.00 MiB             0   38 %      159.0     188.0"
        "  ← evicts others\n");
}

static void test_screen__a_new_node__golden(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    snapshot->state = MKV_ADMIN_NODE_RECOVERING;
    snapshot->uptime_ns = 3725000000000ull;
    snapshot->commit[0] = '\0';
    snapshot->epoch = 1;
    snapshot->warning_count = 0;
    snapshot->drives[0] = snapshot->drives[1];
    snprintf(snapshot->drives[0].name, sizeof snapshot->drives[0].name, "a-long-name");
    snapshot->drives[0].state = MKV_DRIVE_STATE_RECOVERING;
    snapshot->drive_count = 1;
    snapshot->memory = (struct mkv_admin_memory){.bytes_total = 200 << 20, .block_bytes = 2 << 20};
    memset(&snapshot->front, 0, sizeof snapshot->front);
    memset(&snapshot->fabric, 0, sizeof snapshot->fabric);
    memset(&snapshot->rdma, 0, sizeof snapshot->rdma);
    snapshot->recent =
        (struct mkv_admin_recent){.window_ns = 45999999999ull, .residency_s = UINT64_MAX};
    snapshot->config_hash[0] = '\0';
    snapshot->tenant_count = 0;
    expect_snapshot(
        snapshot,
        "node gpu-07  RECOVERING  not ready: recovering  up 01:02:05  memkv 0.4.1  epoch 1\n"
        "\n"
        "capacity  0.00 / 32.00 MiB        [....................] 0.0 %\n"
        "          0 blocks · 0 persisted\n"
        "memory    0.00 / 200.00 MiB       [....................] 0.0 %   normal pages\n"
        "hit 45s   no keys were asked for\n"
        "misses    none\n"
        "fabric    tcp 0 connections · in 0 B · out 0 B · 0 requests in flight\n"
        "journal   fullest a-long-name 0.0 % · no checkpoint since the start\n"
        "\n"
        "DRIVE        STATE              USED/USABLE          "
        "READ MB/s WRITE MB/s  READ p99 WRITE p99  ERR  MODEL (SERIAL) OR PATH\n"
        "a-long-name  recovering      0.00/32.00 MiB   0.0 %  "
        "        0          0         -         -    0  memkv-data/store.memkv\n");
}

static void test_screen__nothing_in_it__zeroes_and_dashes(void **state) {
    (void)state;
    static const char expected[] =
        "node -  -  not ready: -  up 00:00:00  memkv -  epoch 0\n"
        "\n"
        "capacity  0 / 0 B                 [....................] 0.0 %\n"
        "          0 blocks · 0 persisted\n"
        "memory    0 / 0 B                 [....................] 0.0 %   normal pages\n"
        "hit 0s    no keys were asked for\n"
        "misses    none\n"
        "fabric    tcp 0 connections · in 0 B · out 0 B · 0 requests in flight\n"
        "journal   fullest - 0.0 % · no checkpoint since the start\n"
        "\n"
        "DRIVE  STATE              USED/USABLE          "
        "READ MB/s WRITE MB/s  READ p99 WRITE p99  ERR  MODEL (SERIAL) OR PATH\n";
    expect_screen("{}", expected);
    expect_screen("{\"node\":7,\"warnings\":{},\"storage\":[],\"lookups\":\"\",\"journal\":{},"
                  "\"uptime_seconds\":-1,\"memory\":null}",
                  expected);
}

static void test_screen__rdma_is_lost__says_so_and_why(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    snapshot->rdma.is_active = false;
    snapshot->rdma.fabric.connections_active = 0;
    memset(snapshot->rdma.fallbacks_total, 0, sizeof snapshot->rdma.fallbacks_total);
    snapshot->rdma.fallbacks_total[11] = 1;
    struct mkv_admin_reply reply = mkv_admin_status(snapshot);
    assert_non_null(reply.body);
    json_t *status = json_loads(reply.body, 0, NULL);
    struct mkv_text screen = {0};
    mkv_status_screen(status, &screen);
    assert_false(screen.failed);
    assert_non_null(strstr(screen.bytes,
                           "\nfabric    rdma down, 0 connections · in 134 B · out 135 B · tcp "
                           "62 connections · in 2.00 GiB · out 3.00 TiB · 1 fallback: "
                           "port_down · 37 requests in flight\n"));
    mkv_text_free(&screen);
    json_decref(status);
    free(reply.body);
}

/* A server is not trusted with the terminal. */
static void test_screen__control_characters__question_marks(void **state) {
    (void)state;
    json_t *status =
        json_pack("{s:{s:s},s:{s:{s:i}},s:{s:[{s:s}]}}", "node", "id", "\x1b[2Jx", "recent",
                  "misses", "\x1b[31m", 1, "storage", "devices", "device_id", "d\n\x1b");
    assert_non_null(status);
    struct mkv_text screen = {0};
    mkv_status_screen(status, &screen);
    assert_null(strchr(screen.bytes, '\x1b'));
    assert_non_null(strstr(screen.bytes, "node ?[2Jx  "));
    assert_non_null(strstr(screen.bytes, "\nd??  "));
    mkv_text_free(&screen);
    json_decref(status);
}

/* Texts far longer than memkv has must not overrun anything. */
static void test_screen__very_long_texts__cut(void **state) {
    (void)state;
    char *text = malloc(100001);
    assert_non_null(text);
    memset(text, 'x', 100000);
    text[100000] = '\0';
    json_t *status = json_pack(
        "{s:{s:s,s:s,s:s,s:s,s:s},s:[{s:s,s:s,s:s,s:s,s:s}],s:{s:[{s:s,s:s,s:s,s:s,s:s}]},"
        "s:[{s:s,s:i,s:i}],s:{s:i,s:{s:i}}}",
        "node", "id", text, "state", text, "version", text, "commit", text, "unready_reason", text,
        "warnings", "code", text, "device_id", text, "since", text, "message", text, "action", text,
        "storage", "devices", "device_id", text, "state", text, "path", text, "model", text,
        "serial", text, "journal", "device_id", text, "lag", 1, "ring_blocks", 2, "recent",
        "miss_keys", 1, "misses", text, 1);
    assert_non_null(status);
    struct mkv_text screen = {0};
    mkv_status_screen(status, &screen);
    assert_false(screen.failed);
    assert_true(screen.count < 20000);
    mkv_text_free(&screen);
    json_decref(status);
    free(text);
}

static void expect_line(const struct mkv_admin_snapshot *snapshot, const char *line) {
    struct mkv_admin_reply reply = mkv_admin_status(snapshot);
    json_t *status = json_loads(reply.body, 0, NULL);
    struct mkv_text screen = {0};
    mkv_status_screen(status, &screen);
    assert_false(screen.failed);
    if (strstr(screen.bytes, line) == NULL) {
        fail_msg("no line '%s' in:\n%s", line, screen.bytes);
    }
    mkv_text_free(&screen);
    json_decref(status);
    free(reply.body);
}

static void test_screen__node_of_a_cluster__whether_clients_find_it(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    snapshot->cluster = (struct mkv_admin_cluster){.is_configured = true,
                                                   .is_registered = true,
                                                   .weight = 2,
                                                   .since_ms = 1767233647000,
                                                   .discovery = "etcd:http://a:2379/memkv",
                                                   .advertise = "kv-0:9900"};
    expect_line(snapshot,
                "\ncluster  registered as kv-0:9900  weight 2  etcd:http://a:2379/memkv\n");
    snapshot->cluster.is_registered = false;
    expect_line(snapshot,
                "\ncluster  not registered as kv-0:9900  weight 2  etcd:http://a:2379/memkv\n");
    snprintf(snapshot->cluster.problem, sizeof snapshot->cluster.problem, "it is away");
    expect_line(snapshot, "  etcd:http://a:2379/memkv: it is away\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_screen__a_node_under_load__golden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_screen__rdma_is_lost__says_so_and_why, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_screen__node_of_a_cluster__whether_clients_find_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_screen__a_new_node__golden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_screen__nothing_in_it__zeroes_and_dashes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_screen__control_characters__question_marks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_screen__very_long_texts__cut, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
