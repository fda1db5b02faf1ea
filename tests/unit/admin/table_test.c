/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as tables: golden texts, and answers that are not as they should be. */
#include "admin/table.h"

#include "tests/unit/admin/test.h"

static const struct mkv_table_shape shape = {
    .rows = "rows",
    .columns = {{"NAME", "name", MKV_TABLE_TEXT},
                {"COUNT", "count", MKV_TABLE_COUNT},
                {"BYTES", "bytes", MKV_TABLE_BYTES},
                {"MS", "ms", MKV_TABLE_REAL},
                {"MOST", "stages", MKV_TABLE_TOP},
                {"LIST", "list", MKV_TABLE_LIST},
                {.title = NULL}},
};

static void print(bool with_node, const char *const *answers, uint32_t count,
                  struct mkv_text *out) {
    struct mkv_table *table = mkv_table_create(&shape, with_node);
    assert_non_null(table);
    for (uint32_t i = 0; i < count; i++) {
        json_t *answer = json_loads(answers[i], JSON_DECODE_ANY, NULL);
        assert_non_null(answer);
        mkv_table_add(table, i == 0 ? "a:1" : "bb:2", answer);
        json_decref(answer);
    }
    mkv_table_print(table, out);
    mkv_table_destroy(table);
    assert_false(out->failed);
}

static const char full[] =
    "{\"rows\":[{\"name\":\"get\",\"count\":12345,\"bytes\":3145728,\"ms\":1.25,"
    "\"stages\":{\"read\":1.0,\"push\":0.2},\"list\":[\"a\",\"b\"]},"
    "{\"name\":\"put\",\"count\":1,\"bytes\":12,\"ms\":100,\"stages\":{},\"list\":[]}]}";

static void test_table__one_node__golden(void **state) {
    (void)state;
    const char *const answers[] = {full};
    struct mkv_text out = {0};
    print(false, answers, 1, &out);
    assert_string_equal(out.bytes, "NAME  COUNT     BYTES     MS  MOST      LIST\n"
                                   "get   12345  3.00 MiB    1.2  read 1.0  a b\n"
                                   "put       1      12 B  100.0  -         -\n");
    mkv_text_free(&out);
}

static void test_table__several_nodes__a_column_for_the_node(void **state) {
    (void)state;
    const char *const answers[] = {"{\"rows\":[{\"name\":\"x\",\"count\":1}]}",
                                   "{\"rows\":[{\"name\":\"yy\",\"count\":22}]}"};
    struct mkv_text out = {0};
    print(true, answers, 2, &out);
    assert_string_equal(out.bytes, "NODE  NAME  COUNT  BYTES  MS  MOST  LIST\n"
                                   "a:1   x         1      -   -  -     -\n"
                                   "bb:2  yy       22      -   -  -     -\n");
    mkv_text_free(&out);
}

static void test_table__wrong_types_and_hostile_texts__one_clean_line_each(void **state) {
    (void)state;
    const char *const answers[] = {
        "{\"rows\":[{\"name\":\"a\\u001b[31m\\nb\",\"count\":\"7\",\"bytes\":-1,\"ms\":\"x\","
        "\"stages\":[1],\"list\":{\"a\":1}},{\"name\":true,\"count\":1.5,\"bytes\":null},"
        "5,[],{\"name\":\"\\u00e9\\u00e9\\u00e9\\u00e9\"}]}"};
    struct mkv_text out = {0};
    print(false, answers, 1, &out);
    assert_string_equal(out.bytes,
                        "NAME      COUNT  BYTES  MS  MOST  LIST\n"
                        "a?[31m?b      -      -   -  -     -\n"
                        "yes           -      -   -  -     -\n"
                        "-             -      -   -  -     -\n"
                        "-             -      -   -  -     -\n"
                        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9          -      -   -  -     -\n");
    mkv_text_free(&out);
}

static void test_table__no_rows__the_header(void **state) {
    (void)state;
    const char *const answers[] = {"{\"rows\":[]}", "{}", "[]", "5", "{\"rows\":7}"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct mkv_text out = {0};
        print(false, &answers[i], 1, &out);
        assert_string_equal(out.bytes, "NAME  COUNT  BYTES  MS  MOST  LIST\n");
        mkv_text_free(&out);
    }
}

static void test_table_size__figures__units(void **state) {
    (void)state;
    char text[MKV_TABLE_SIZE_BYTES];
    mkv_table_size(0, text);
    assert_string_equal(text, "0 B");
    mkv_table_size(1023, text);
    assert_string_equal(text, "1023 B");
    mkv_table_size(1536, text);
    assert_string_equal(text, "1.50 KiB");
    mkv_table_size(UINT64_MAX, text);
    assert_string_equal(text, "16384.00 PiB");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__one_node__golden),
        cmocka_unit_test(test_table__several_nodes__a_column_for_the_node),
        cmocka_unit_test(test_table__wrong_types_and_hostile_texts__one_clean_line_each),
        cmocka_unit_test(test_table__no_rows__the_header),
        cmocka_unit_test(test_table_size__figures__units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
