/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/text.h"

#include "tests/unit/admin/test.h"

static void test_text_clean__well_formed__unchanged(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",         "plain ~",      "Grüße",        "\xe2\x86\x92",    "\xf0\x9f\x98\x80",
        "\xc2\xa0", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"};
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        char clean[32];
        mkv_text_clean(texts[index], clean, sizeof clean);
        assert_string_equal(clean, texts[index]);
    }
}

static void test_text_clean__other_bytes__question_marks(void **state) {
    (void)state;
    static const struct {
        const char *source;
        const char *expected;
    } cases[] = {
        {"a\nb\tc\x7f", "a?b?c?"},    {"\x1b[31m", "?[31m"},
        {"\xc2\x9b", "??"},           /* a control character of one code point */
        {"\xc0\xaf", "??"},           /* overlong */
        {"\xe0\x80\xaf", "???"},      /* overlong */
        {"\xed\xa0\x80", "???"},      /* half of a surrogate pair */
        {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
        {"\xff\xfe", "??"},           {"\xe2\x86", "??"}, /* cut off */
        {"\xf0\x9f\x98x", "???x"},    {"\x80", "?"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        char clean[32];
        mkv_text_clean(cases[index].source, clean, sizeof clean);
        assert_string_equal(clean, cases[index].expected);
    }
}

static void test_text_clean__little_room__cut_between_characters(void **state) {
    (void)state;
    char clean[5];
    mkv_text_clean("abc\xe2\x86\x92", clean, sizeof clean);
    assert_string_equal(clean, "abc");
    mkv_text_clean("abcd", clean, sizeof clean);
    assert_string_equal(clean, "abcd");
    mkv_text_clean("abcde", clean, sizeof clean);
    assert_string_equal(clean, "abcd");
    mkv_text_clean("x", clean, 1);
    assert_string_equal(clean, "");
}

static void test_text_append__beyond_the_bound__failed_and_as_it_was(void **state) {
    (void)state;
    struct mkv_text text = {0};
    mkv_text_format(&text, "%s %d", "seven", 7);
    assert_string_equal(text.bytes, "seven 7");
    static const char block[65536];
    while (!text.failed && text.count <= MKV_TEXT_BYTES_MAX) {
        const size_t before = text.count;
        mkv_text_append(&text, block, sizeof block);
        assert_int_equal(text.count, text.failed ? before : before + sizeof block);
    }
    assert_true(text.failed);
    assert_true(text.count < MKV_TEXT_BYTES_MAX);
    const size_t count = text.count;
    mkv_text_string(&text, "x");
    assert_int_equal(text.count, count);
    mkv_text_free(&text);
    assert_null(text.bytes);
    assert_false(text.failed);
}

static void test_text_format__long__whole(void **state) {
    (void)state;
    struct mkv_text text = {0};
    mkv_text_format(&text, "%5000d|", 1);
    assert_int_equal(text.count, 5001);
    assert_string_equal(text.bytes + 4999, "1|");
    mkv_text_free(&text);
}

static void test_text_uuid__bytes__groups(void **state) {
    (void)state;
    char text[MKV_TEXT_UUID_BYTES];
    const struct mkv_uuid uuid = {{0x0c, 0x1d, 0x2e, 0x3f, 0x40, 0x51, 0x62, 0x73, 0x84, 0x95, 0xa6,
                                   0xb7, 0xc8, 0xd9, 0xea, 0xfb}};
    mkv_text_uuid(&uuid, text);
    assert_string_equal(text, "0c1d2e3f-4051-6273-8495-a6b7c8d9eafb");
    mkv_text_uuid(&(struct mkv_uuid){{0}}, text);
    assert_string_equal(text, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_clean__well_formed__unchanged),
        cmocka_unit_test(test_text_clean__other_bytes__question_marks),
        cmocka_unit_test(test_text_clean__little_room__cut_between_characters),
        cmocka_unit_test(test_text_append__beyond_the_bound__failed_and_as_it_was),
        cmocka_unit_test(test_text_format__long__whole),
        cmocka_unit_test(test_text_uuid__bytes__groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
