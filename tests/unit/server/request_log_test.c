/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define START_NS (100 * SECOND_NS)

struct fixture {
    int ends[2];
    struct mkv_log *log;
    struct mkv_request_log *requests;
    char text[16384];
};

static void begin(struct fixture *fixture, enum mkv_config_log_level level) {
    memset(fixture, 0, sizeof *fixture);
    assert_int_equal(pipe(fixture->ends), 0);
    fixture->log = mkv_log_create(fixture->ends[1], level, MKV_CONFIG_LOG_TEXT);
    fixture->requests = mkv_request_log_create(fixture->log, START_NS);
}

/* Ends the log; then `text` has its lines without the timestamps. */
static void end(struct fixture *fixture) {
    char all[16384];
    mkv_request_log_destroy(fixture->requests);
    mkv_log_destroy(fixture->log);
    close(fixture->ends[1]);
    const ssize_t bytes = read(fixture->ends[0], all, sizeof all - 1);
    assert_true(bytes >= 0);
    all[bytes] = '\0';
    close(fixture->ends[0]);
    size_t count = 0;
    for (char *line = all; *line != '\0';) {
        char *line_end = strchr(line, '\n') + 1;
        const char *rest = line + MKV_LOG_TIMESTAMP_BYTES;
        memcpy(fixture->text + count, rest, (size_t)(line_end - rest));
        count += (size_t)(line_end - rest);
        line = line_end;
    }
}

static struct mkv_request_summary summary_of(enum mkv_op op, uint64_t serial, uint32_t items) {
    return (struct mkv_request_summary){
        .connection = {4, 1},
        .serial = serial,
        .op = op,
        .status = MKV_STATUS_OK,
        .item_count = items,
        .volume = MKV_NONE_U32,
        .received_ns = START_NS,
        .ended_ns = START_NS + 2500000,
    };
}

static void test_ended__at_info__sums_of_each_kind_once(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture, MKV_CONFIG_LOG_INFO);
    for (uint32_t i = 0; i < 100; i++) {
        struct mkv_request_summary put = summary_of(MKV_OP_PUT, i, 3);
        put.bytes_in = 1000;
        mkv_request_log_ended(fixture.requests, &put);
        struct mkv_request_summary get = summary_of(MKV_OP_GET, i, 5);
        get.keys_from_memory = 1;
        get.keys_from_drive = 2;
        get.bytes_out = 10;
        mkv_request_log_ended(fixture.requests, &get);
        struct mkv_request_summary lookup = summary_of(MKV_OP_LOOKUP, i, 10);
        lookup.keys_from_memory = 4;
        lookup.keys_from_drive = 3;
        mkv_request_log_ended(fixture.requests, &lookup);
        /* These did not come to anything. */
        put.status = MKV_STATUS_NO_SPACE;
        mkv_request_log_ended(fixture.requests, &put);
        get.dropped = true;
        mkv_request_log_ended(fixture.requests, &get);
        lookup.refused = true;
        mkv_request_log_ended(fixture.requests, &lookup);
    }
    mkv_request_log_tick(fixture.requests, START_NS + 4 * SECOND_NS, false); /* too early */
    mkv_request_log_tick(fixture.requests, START_NS + 5 * SECOND_NS, false);
    mkv_request_log_tick(fixture.requests, START_NS + 11 * SECOND_NS, false); /* nothing new */
    const struct mkv_request_summary put = summary_of(MKV_OP_COMMIT, 1, 1);
    mkv_request_log_ended(fixture.requests, &put);
    mkv_request_log_tick(fixture.requests, START_NS + 12 * SECOND_NS, true);
    end(&fixture);
    assert_string_equal(
        fixture.text,
        "INFO core.front: Stored 300 blocks in 5.0 seconds requests=100 blocks=300 bytes=100000 "
        "request_us=250000\n"
        "INFO core.front: Retrieved 300 blocks in 5.0 seconds requests=100 blocks=300 misses=200 "
        "bytes=1000 request_us=250000\n"
        "INFO core.front: Prefetch request completed (L1+L2): 700/1000 prefix hits requests=100\n"
        "INFO core.front: Stored 1 blocks in 1.0 seconds requests=1 blocks=1 bytes=0 "
        "request_us=2500\n");
}

static void test_requests__at_debug__lines_of_each(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture, MKV_CONFIG_LOG_DEBUG);
    struct mkv_request request = {
        .connection = {4, 1}, .serial = 17, .op = MKV_OP_PUT, .item_count = 3};
    mkv_request_log_began(fixture.requests, &request);
    request.op = MKV_OP_EXISTS;
    mkv_request_log_began(fixture.requests, &request);
    struct mkv_request_summary summary = summary_of(MKV_OP_PUT, 17, 3);
    summary.volume = 0;
    mkv_request_log_ended(fixture.requests, &summary);
    summary = summary_of(MKV_OP_GET, 18, 3);
    summary.keys_from_memory = 2;
    mkv_request_log_ended(fixture.requests, &summary);
    summary = summary_of(MKV_OP_LOOKUP, 19, 8);
    summary.keys_from_memory = 2;
    summary.keys_from_drive = 3;
    mkv_request_log_ended(fixture.requests, &summary);
    summary = summary_of(MKV_OP_DELETE, 20, 8);
    summary.dropped = true;
    mkv_request_log_ended(fixture.requests, &summary);
    summary.dropped = false;
    summary.trace.trace_id[0] = 0x0a;
    summary.trace.trace_id[15] = 0xff;
    mkv_request_log_ended(fixture.requests, &summary);
    const struct mkv_fabric_client client = {.address = "10.0.0.7:1", .name = "vllm"};
    mkv_request_log_connected(fixture.requests, summary.connection, &client);
    mkv_request_log_closed(fixture.requests, summary.connection);
    end(&fixture);
#define REST " bytes_in=0 bytes_out=0 duration_us=2500\n"
    assert_string_equal(
        fixture.text,
        "DEBUG core.front: Submitted store task 17: 3 blocks request=req-17-4 op=put\n"
        "DEBUG core.front: Submitted exists of 3 items request=req-17-4 op=exists\n"
        "DEBUG core.front: L2 store task 17 completed: 3 blocks request=req-17-4 op=put "
        "status=ok" REST
        "DEBUG core.front: Stored 3 blocks in 0.002500 seconds request=req-17-4 op=put "
        "status=ok" REST
        "DEBUG core.front: Retrieved 2 of 3 blocks in 0.002500 seconds request=req-18-4 op=get "
        "status=ok" REST
        "DEBUG core.front: Prefetch request submitted: 8 total keys, 2 L1 prefix hits, 6 remaining "
        "for L2 request=req-19-4 op=lookup status=ok" REST
        "DEBUG core.front: Prefetch request completed (L1+L2): 5/8 prefix hits request=req-19-4 "
        "op=lookup status=ok" REST
        "DEBUG core.front: Request ended in 0.002500 seconds: its connection closed first "
        "request=req-20-4 op=delete status=ok" REST
        "DEBUG fabric: a connection closed before its request was answered request=req-20-4 "
        "op=delete\n"
        "DEBUG core.front: Request ended in 0.002500 seconds: ok request=req-20-4 op=delete "
        "status=ok bytes_in=0 bytes_out=0 duration_us=2500 "
        "trace_id=0a0000000000000000000000000000ff\n"
        "DEBUG fabric: a client sends its first request connection=4 address=10.0.0.7:1 "
        "client=vllm tenant=\"\"\n"
        "DEBUG fabric: a connection closed connection=4\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended__at_info__sums_of_each_kind_once),
        cmocka_unit_test(test_requests__at_debug__lines_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
