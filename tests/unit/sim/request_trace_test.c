/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/request_trace.h"

#include <lzma.h>
#include <unistd.h>

#include "sim/trace_replay.h"
#include "tests/unit/sim/test.h"

static struct mkv_request_trace trace;
static char error[MKV_TRACE_ERROR_BYTES];

static bool parse(const char *text) {
    return mkv_request_trace_parse(&trace, "file", text, strlen(text), error);
}

static void expect_refused(const char *text, const char *expected) {
    assert_false(parse(text));
    mkv_request_trace_free(&trace);
    if (strstr(error, expected) == NULL) {
        fail_msg("'%s' does not say '%s'", error, expected);
    }
}

static const char sample[] = "{\"timestamp\": 5, \"input_length\": 9, \"hash_ids\": [70, 7]}\n"
                             "\n"
                             "{\"timestamp\": 60005, \"hash_ids\": [70, 900000000000, 3]}\n"
                             "{\"timestamp\": 60005, \"hash_ids\": []}\n"
                             "{\"hash_ids\": [7], \"timestamp\": 100005}";

static void expect_sample(void) {
    const uint32_t expected[] = {0, 1, 0, 2, 3, 1};
    assert_int_equal(trace.request_count, 4);
    assert_int_equal(trace.reference_count, 6);
    assert_int_equal(trace.block_count, 4);
    assert_memory_equal(trace.blocks, expected, sizeof expected);
    assert_int_equal(trace.requests[1].timestamp_ms, 60005);
    assert_int_equal(trace.requests[1].first, 2);
    assert_int_equal(trace.requests[1].count, 3);
    assert_int_equal(trace.requests[2].count, 0);
}

static void test_request_trace__lines__number_blocks_by_first_use(void **state) {
    (void)state;
    assert_true(parse(sample));
    expect_sample();
    mkv_request_trace_free(&trace);
}

static void test_request_trace__wrong_lines__are_refused_with_their_number(void **state) {
    (void)state;
    expect_refused("{\"timestamp\": 1, \"hash_ids\": [1]}\nnonsense\n", "file:2: is no JSON");
    expect_refused("{\"hash_ids\": [1]}\n", "file:1: 'timestamp'");
    expect_refused("{\"timestamp\": -1, \"hash_ids\": [1]}\n", "'timestamp'");
    expect_refused("{\"timestamp\": 1}\n", "'hash_ids'");
    expect_refused("{\"timestamp\": 1, \"hash_ids\": [\"a\"]}\n", "'hash_ids'");
    expect_refused("{\"timestamp\": 2, \"hash_ids\": [1]}\n{\"timestamp\": 1, \"hash_ids\": [1]}\n",
                   "file:2: 'timestamp' falls");
    expect_refused("{\"timestamp\": 2, \"hash_ids\": [1, 2, 1]}\n", "names a block twice");
    expect_refused("", "names no block");
}

static void write_file(char *path, const void *bytes, size_t count) {
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, count), count);
    assert_int_equal(close(fd), 0);
}

static void test_request_trace__xz_file__is_decompressed(void **state) {
    (void)state;
    uint8_t packed[1024];
    size_t packed_bytes = 0;
    assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, (const uint8_t *)sample,
                                             strlen(sample), packed, &packed_bytes, sizeof packed),
                     LZMA_OK);
    char path[] = "/tmp/memkv-trace-XXXXXX";
    write_file(path, packed, packed_bytes);
    assert_true(mkv_request_trace_load(&trace, path, error));
    expect_sample();
    mkv_request_trace_free(&trace);
    assert_int_equal(unlink(path), 0);

    char cut[] = "/tmp/memkv-trace-XXXXXX";
    write_file(cut, packed, packed_bytes - 9);
    assert_false(mkv_request_trace_load(&trace, cut, error));
    assert_non_null(strstr(error, "damaged or cut off"));
    mkv_request_trace_free(&trace);
    assert_int_equal(unlink(cut), 0);
}

static void test_request_trace__no_file__is_an_error_with_its_name(void **state) {
    (void)state;
    assert_false(mkv_request_trace_load(&trace, "/nowhere/trace.jsonl", error));
    assert_non_null(strstr(error, "/nowhere/trace.jsonl: No such file"));
    mkv_request_trace_free(&trace);
}

static void test_replay__times__choose_what_counts(void **state) {
    (void)state;
    assert_true(parse(sample));
    assert_int_equal(mkv_replay_half_ms(&trace), 60000);
    struct mkv_replay_range range = mkv_replay_range_of(&trace, 60000, UINT64_MAX);
    assert_int_equal(range.first, 1);
    assert_int_equal(range.end, 4);
    range = mkv_replay_range_of(&trace, 60006, 60006);
    assert_int_equal(range.first, 3);
    assert_int_equal(range.end, 3);
    range = mkv_replay_range_of(&trace, 100000, 10);
    assert_int_equal(range.first, range.end);
    mkv_request_trace_free(&trace);
}

static void test_replay__resident_behind_a_miss__is_no_hit(void **state) {
    (void)state;
    assert_true(parse("{\"timestamp\": 0, \"hash_ids\": [1, 2]}\n"
                      "{\"timestamp\": 1, \"hash_ids\": [3, 1, 2]}\n"
                      "{\"timestamp\": 2, \"hash_ids\": [3, 1, 4]}\n"));
    const struct mkv_replay_count count =
        mkv_replay(&trace, &mkv_policy_lru, 10, (struct mkv_replay_range){1, 3},
                   MKV_ORDER_SUFFIX_FIRST, test_memory());
    assert_int_equal(count.requests, 2);
    assert_int_equal(count.references, 6);
    assert_int_equal(count.hits, 2);
    mkv_request_trace_free(&trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_trace__lines__number_blocks_by_first_use),
        cmocka_unit_test(test_request_trace__wrong_lines__are_refused_with_their_number),
        cmocka_unit_test(test_request_trace__xz_file__is_decompressed),
        cmocka_unit_test(test_request_trace__no_file__is_an_error_with_its_name),
        cmocka_unit_test(test_replay__times__choose_what_counts),
        cmocka_unit_test(test_replay__resident_behind_a_miss__is_no_hit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
