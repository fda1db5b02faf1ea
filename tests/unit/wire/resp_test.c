/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to events, whole and cut at every byte; replies to the byte. A trace of events reads
 * "B2 A:GET A:k E": BEGIN of two, two ARGUMENTs, END; "L5" is a LARGE one, "F:" a fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/resp.h"

#define LARGE_ABOVE 16u

struct trace {
    char text[4096];
    size_t bytes;
};

__attribute__((format(printf, 2, 3))) static void tell(struct trace *trace, const char *format,
                                                       ...) {
    va_list arguments;
    va_start(arguments, format);
    const int bytes =
        vsnprintf(trace->text + trace->bytes, sizeof trace->text - trace->bytes, format, arguments);
    va_end(arguments);
    assert_true(bytes >= 0);
    trace->bytes += (size_t)bytes;
    assert_true(trace->bytes < sizeof trace->text);
}

/* Parses what a client sends, of which `first` bytes come first and then `each` at a time. */
static void parse(const void *input, size_t input_bytes, size_t first, size_t each, bool stranger,
                  struct trace *trace) {
    struct mkv_resp_parser parser = {
        .large_above = stranger ? MKV_RESP_STRANGER_BULK_BYTES_MAX : LARGE_ABOVE,
        .stranger = stranger,
    };
    uint8_t *bytes = malloc(input_bytes + 1);
    assert_non_null(bytes);
    memcpy(bytes, input, input_bytes);
    size_t at = 0;
    size_t there = first < input_bytes ? first : input_bytes;
    uint64_t skip = 0;
    *trace = (struct trace){0};
    for (;;) {
        const size_t skipped = skip < there - at ? (size_t)skip : there - at;
        at += skipped;
        skip -= skipped;
        uint32_t consumed = 0;
        /* A copy that ends where the bytes end, so that a sanitizer sees what reads beyond. */
        uint8_t *copy = malloc(there - at + 1);
        assert_non_null(copy);
        memcpy(copy, bytes + at, there - at);
        const enum mkv_resp_event event =
            skip > 0 ? MKV_RESP_MORE
                     : mkv_resp_parse(&parser, copy, (uint32_t)(there - at), &consumed);
        switch (event) {
        case MKV_RESP_MORE:
            break;
        case MKV_RESP_BEGIN:
            tell(trace, "B%u ", parser.argument_count);
            break;
        case MKV_RESP_ARGUMENT:
            tell(trace, "A:%.*s ", (int)parser.argument_bytes, (const char *)parser.argument);
            break;
        case MKV_RESP_LARGE:
            tell(trace, "L%llu ", (unsigned long long)parser.argument_bytes);
            skip = parser.argument_bytes;
            break;
        case MKV_RESP_END:
            tell(trace, "E ");
            break;
        case MKV_RESP_FAULT: {
            char text[MKV_RESP_FAULT_TEXT_BYTES];
            mkv_resp_fault_text(&parser, text);
            tell(trace, "F:%s ", text);
            break;
        }
        }
        /* What an inline argument was decoded into stays where it stands. */
        memcpy(bytes + at, copy, there - at);
        free(copy);
        at += consumed;
        if (event == MKV_RESP_FAULT || (event == MKV_RESP_MORE && there == input_bytes)) {
            break;
        }
        if (event == MKV_RESP_MORE) {
            there = there + each < input_bytes ? there + each : input_bytes;
        }
    }
    free(bytes);
}

static void expect(const void *input, size_t input_bytes, bool stranger, const char *expected) {
    struct trace trace;
    for (size_t first = 0; first <= input_bytes; first++) {
        parse(input, input_bytes, first, input_bytes, stranger, &trace);
        assert_string_equal(trace.text, expected);
    }
    parse(input, input_bytes, 1, 1, stranger, &trace);
    assert_string_equal(trace.text, expected);
}

#define EXPECT(input, expected) expect(input, sizeof(input) - 1, false, expected)

static void test_resp__multibulk_commands__are_events(void **state) {
    (void)state;
    EXPECT("*1\r\n$4\r\nPING\r\n", "B1 A:PING E ");
    EXPECT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n", "B2 A:GET A:k E B1 A:PING E ");
    EXPECT("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "B2 A:ECHO A: E ");
    EXPECT("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\r\n\r\n", "B3 A:SET A:k A:\r\n\r\n E ");
    EXPECT("*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", "B1 A:PING E ");
}

static void test_resp__long_argument__is_told_before_its_bytes(void **state) {
    (void)state;
    EXPECT("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$17\r\n0123456789abcdefg\r\n*1\r\n$4\r\nPING\r\n",
           "B3 A:SET A:k L17 E B1 A:PING E ");
    EXPECT("*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$17\r\n0123456789abcdefg\r\n$2\r\nEX\r\n$2\r\n10\r\n",
           "B5 A:SET A:k L17 A:EX A:10 E ");
    EXPECT("*1\r\n$16\r\n0123456789abcdef\r\n", "B1 A:0123456789abcdef E ");
}

static void test_resp__inline_commands__are_split_as_redis_does(void **state) {
    (void)state;
    EXPECT("PING\r\n", "B1 A:PING E ");
    EXPECT("PING\n\r\n\n  \r\nGET  k \r\n", "B1 A:PING E B2 A:GET A:k E ");
    EXPECT("SET \"a b\" 'c d'\r\n", "B3 A:SET A:a b A:c d E ");
    EXPECT("SET \"\\x41\\n\\\"\\q\" '\\'x\\n'\r\n", "B3 A:SET A:A\n\"q A:'x\\n E ");
    EXPECT("SET a\"b\" \"\"\r\nPING\r\n", "B3 A:SET A:ab A: E B1 A:PING E ");
    EXPECT("*1\r\n$4\r\nPING\r\nECHO x\r\n*1\r\n$4\r\nPING\r\n",
           "B1 A:PING E B2 A:ECHO A:x E B1 A:PING E ");
}

static void test_resp__faults__are_told_as_redis_does(void **state) {
    (void)state;
    EXPECT("*x\r\n", "F:Protocol error: invalid multibulk length ");
    EXPECT("*1048577\r\n", "F:Protocol error: invalid multibulk length ");
    EXPECT("*99999999999999999999999\r\n", "F:Protocol error: invalid multibulk length ");
    EXPECT("*01\r\n", "F:Protocol error: invalid multibulk length ");
    EXPECT("*1\rx", "F:Protocol error: invalid multibulk length ");
    EXPECT("*1\r\nx", "B1 F:Protocol error: expected '$', got 'x' ");
    EXPECT("*1\r\n\x01", "B1 F:Protocol error: expected '$', got '?' ");
    EXPECT("*1\r\n$-1\r\n", "B1 F:Protocol error: invalid bulk length ");
    EXPECT("*1\r\n$4294967297\r\n", "B1 F:Protocol error: invalid bulk length ");
    EXPECT("*1\r\n$9223372036854775808\r\n", "B1 F:Protocol error: invalid bulk length ");
    EXPECT("*1\r\n$4294967296\r\n", "B1 L4294967296 ");
    EXPECT("*1\r\n$1\r\nabc", "B1 F:Protocol error: expected CRLF behind a bulk ");
    EXPECT("*1\r\n$17\r\n0123456789abcdefgxy",
           "B1 L17 F:Protocol error: expected CRLF behind a bulk ");
    EXPECT("SET \"a\r\n", "F:Protocol error: unbalanced quotes in request ");
    EXPECT("SET \"a\"b\r\n", "F:Protocol error: unbalanced quotes in request ");
}

static void test_resp__lines_without_end__are_faults(void **state) {
    (void)state;
    static const struct {
        const char *begin;
        const char *expected;
    } rows[] = {
        {"*1", "F:Protocol error: too big mbulk count string "},
        {"*1\r\n$1", "B1 F:Protocol error: too big bulk count string "},
        {"PING ", "F:Protocol error: too big inline request "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t bytes = strlen(rows[i].begin) + MKV_RESP_LINE_BYTES_MAX;
        char *input = malloc(bytes + 1);
        assert_non_null(input);
        memset(input, '1', bytes);
        memcpy(input, rows[i].begin, strlen(rows[i].begin));
        struct trace trace;
        parse(input, bytes, bytes, 1, false, &trace);
        assert_string_equal(trace.text, rows[i].expected);
        parse(input, bytes, 7, 1009, false, &trace);
        assert_string_equal(trace.text, rows[i].expected);
        free(input);
    }
}

static void test_resp__strangers__have_tighter_limits(void **state) {
    (void)state;
#define EXPECT_OF_STRANGER(input, expected) expect(input, sizeof(input) - 1, true, expected)
    EXPECT_OF_STRANGER("*10\r\n$16384\r\n", "B10 ");
    EXPECT_OF_STRANGER("*11\r\n", "F:Protocol error: unauthenticated multibulk length ");
    EXPECT_OF_STRANGER("*1\r\n$16385\r\n", "B1 F:Protocol error: unauthenticated bulk length ");
}

static void test_resp__integers__are_those_that_redis_takes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551617", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"-0", false, 0},
        {"+1", false, 0},
        {"01", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t value = 0;
        const bool valid =
            mkv_resp_integer_parse((const uint8_t *)rows[i].text, strlen(rows[i].text), &value);
        assert_int_equal(valid, rows[i].valid);
        assert_true(!valid || value == rows[i].value);
    }
}

static void test_resp__words__are_the_same_in_any_case(void **state) {
    (void)state;
    assert_true(mkv_resp_is_word((const uint8_t *)"gEt", 3, "GET"));
    assert_true(mkv_resp_is_word((const uint8_t *)"", 0, ""));
    assert_false(mkv_resp_is_word((const uint8_t *)"get", 3, "GETRANGE"));
    assert_false(mkv_resp_is_word((const uint8_t *)"getx", 4, "GET"));
    assert_false(mkv_resp_is_word((const uint8_t *)"g\0t", 3, "GET"));
}

static void write_all(struct mkv_resp_writer *writer) {
    mkv_resp_write_simple(writer, "OK");
    mkv_resp_write_error(writer, "ERR a\r\nb");
    mkv_resp_write_integer(writer, 0);
    mkv_resp_write_integer(writer, INT64_MIN);
    mkv_resp_write_bulk(writer, "a\r\nb", 4);
    mkv_resp_write_text(writer, "");
    mkv_resp_write_bulk_header(writer, 4294967296u);
    mkv_resp_write_bulk_end(writer);
    mkv_resp_write_null(writer);
    mkv_resp_write_null_array(writer);
    mkv_resp_write_array(writer, 2);
    mkv_resp_write_map(writer, 3);
    mkv_resp_write_set(writer, 4);
    mkv_resp_write_bool(writer, true);
    mkv_resp_write_bool(writer, false);
    mkv_resp_write_verbatim(writer, "x\ny", 3);
}

#define REPLIES_BEGIN                                                                              \
    "+OK\r\n-ERR a  b\r\n:0\r\n:-9223372036854775808\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$4294967296\r\n" \
    "\r\n"

static void test_resp__replies__are_right_to_the_byte(void **state) {
    (void)state;
    static const char *const expected[2] = {
        REPLIES_BEGIN "$-1\r\n*-1\r\n*2\r\n*6\r\n*4\r\n:1\r\n:0\r\n$3\r\nx\ny\r\n",
        REPLIES_BEGIN "_\r\n_\r\n*2\r\n%3\r\n~4\r\n#t\r\n#f\r\n=7\r\ntxt:x\ny\r\n",
    };
    for (uint32_t i = 0; i < 2; i++) {
        char bytes[512] = {0};
        struct mkv_resp_writer writer = {
            .bytes = (uint8_t *)bytes, .capacity = sizeof bytes, .protocol = 2 + i};
        write_all(&writer);
        assert_false(writer.overflowed);
        assert_int_equal(writer.length, strlen(expected[i]));
        assert_string_equal(bytes, expected[i]);
    }
}

static void test_resp__replies_that_do_not_fit__are_not_begun(void **state) {
    (void)state;
    for (uint32_t capacity = 0; capacity < 160; capacity++) {
        uint8_t *bytes = malloc(capacity + 1);
        uint8_t whole[512];
        assert_non_null(bytes);
        struct mkv_resp_writer writer = {.bytes = bytes, .capacity = capacity, .protocol = 3};
        struct mkv_resp_writer other = {.bytes = whole, .capacity = sizeof whole, .protocol = 3};
        write_all(&writer);
        write_all(&other);
        assert_int_equal(writer.overflowed, capacity < other.length);
        assert_true(writer.length <= capacity);
        if (writer.length > 0) {
            assert_memory_equal(bytes, whole, writer.length);
            assert_int_equal(whole[writer.length - 1], '\n');
        }
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp__multibulk_commands__are_events),
        cmocka_unit_test(test_resp__long_argument__is_told_before_its_bytes),
        cmocka_unit_test(test_resp__inline_commands__are_split_as_redis_does),
        cmocka_unit_test(test_resp__faults__are_told_as_redis_does),
        cmocka_unit_test(test_resp__lines_without_end__are_faults),
        cmocka_unit_test(test_resp__strangers__have_tighter_limits),
        cmocka_unit_test(test_resp__integers__are_those_that_redis_takes),
        cmocka_unit_test(test_resp__words__are_the_same_in_any_case),
        cmocka_unit_test(test_resp__replies__are_right_to_the_byte),
        cmocka_unit_test(test_resp__replies_that_do_not_fit__are_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
