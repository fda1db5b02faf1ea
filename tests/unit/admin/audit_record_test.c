/* SPDX-License-Identifier: Apache-2.0 */
/* One record of the audit: what a line looks like, and that no byte of it can change unseen. */
#include "admin/audit_record.h"

#include "tests/unit/admin/test.h"

static struct mkv_audit_entry example(void) {
    struct mkv_audit_entry entry = {
        .operation = MKV_AUDIT_TENANT_DROP,
        .entity = "tenant team-7",
        .outcome = "ok",
        .count = 1,
        .log_position = "d00:17 d01:9",
        .tenant = "team-7",
        .client = "uid 0",
        .session = UINT64_MAX,
        .address = "unix",
        .reason = "asked for",
    };
    return entry;
}

static void test_audit_line__an_entry__every_field_in_order(void **state) {
    (void)state;
    const struct mkv_audit_entry entry = example();
    struct mkv_audit_head head = {0};
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
    const uint32_t bytes = mkv_audit_line(&entry, 1763715600123, &head, line);
    assert_int_equal(strlen(line), bytes);
    static const char expected[] =
        "{\"sequence\":0,\"time\":\"2025-11-21T09:00:00.123Z\",\"operation\":\"tenant_drop\","
        "\"entity\":\"tenant team-7\",\"outcome\":\"ok\",\"count\":1,"
        "\"log_position\":\"d00:17 d01:9\",\"tenant\":\"team-7\",\"client\":\"uid 0\","
        "\"session\":\"18446744073709551615\",\"address\":\"unix\",\"reason\":\"asked for\","
        "\"previous_hash\":"
        "\"0000000000000000000000000000000000000000000000000000000000000000\",\"hash\":\"";
    assert_memory_equal(line, expected, strlen(expected));
    assert_int_equal(head.next_sequence, 1);
    struct mkv_audit_record record;
    assert_int_equal(mkv_audit_line_read(line, bytes, &record, NULL), MKV_AUDIT_FITS);
    assert_int_equal(record.time_ms, 1763715600123);
    assert_int_equal(record.operation, MKV_AUDIT_TENANT_DROP);
    assert_memory_equal(record.hash, head.hash, sizeof head.hash);
}

/* The hash of a fixed line, made by sha256sum: the format may not change by accident. */
static void test_audit_line__a_fixed_entry__its_published_hash(void **state) {
    (void)state;
    const struct mkv_audit_entry entry = {
        .operation = MKV_AUDIT_GENESIS, .entity = "n", .outcome = "ok", .count = 1};
    struct mkv_audit_head head = {0};
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
    char text[MKV_AUDIT_HASH_TEXT_BYTES];
    assert_true(mkv_audit_line(&entry, 0, &head, line) > 0);
    mkv_audit_hash_text(head.hash, text);
    assert_string_equal(text, "1103f50f775587570481ab9ad79280c5d2b187b980b60f3eb885d73364f657fc");
}

static void test_audit_line__longest_and_hostile_texts__fit_and_stay_one_line(void **state) {
    (void)state;
    struct mkv_audit_entry entry = example();
    memset(entry.entity, '"', sizeof entry.entity - 1);
    memset(entry.outcome, '\\', sizeof entry.outcome - 1);
    memset(entry.log_position, '"', sizeof entry.log_position - 1);
    memset(entry.client, '\n', sizeof entry.client - 1);
    memset(entry.address, 0xff, sizeof entry.address - 1);
    memset(entry.reason, '"', sizeof entry.reason - 1);
    entry.count = INT64_MAX;
    struct mkv_audit_head head = {.next_sequence = INT64_MAX};
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
    const uint32_t bytes = mkv_audit_line(&entry, UINT64_MAX, &head, line);
    assert_in_range(bytes, 1, MKV_AUDIT_LINE_BYTES_MAX);
    assert_ptr_equal(strchr(line, '\n'), line + bytes - 1);
    struct mkv_audit_record record;
    assert_int_equal(mkv_audit_line_read(line, bytes, &record, NULL), MKV_AUDIT_FITS);
}

static void test_audit_line_read__any_byte_altered_or_taken_out__found(void **state) {
    (void)state;
    const struct mkv_audit_entry entry = example();
    struct mkv_audit_head head = {0};
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
    char other[MKV_AUDIT_LINE_BYTES_MAX + 1];
    const uint32_t bytes = mkv_audit_line(&entry, 1763715600123, &head, line);
    struct mkv_audit_record record;
    for (uint32_t at = 0; at < bytes; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(other, line, sizeof other);
            other[at] = (char)(other[at] ^ (1 << bit));
            assert_int_not_equal(mkv_audit_line_read(other, bytes, &record, NULL), MKV_AUDIT_FITS);
        }
        memcpy(other, line, at);
        memcpy(other + at, line + at + 1, bytes - at - 1);
        assert_int_not_equal(mkv_audit_line_read(other, bytes - 1, &record, NULL), MKV_AUDIT_FITS);
        assert_int_not_equal(mkv_audit_line_read(line, at, &record, NULL), MKV_AUDIT_FITS);
    }
}

static void test_audit_follows__other_orders__each_named(void **state) {
    (void)state;
    struct mkv_audit_head head = {.next_sequence = 5, .hash = {1}};
    struct mkv_audit_record record = {.sequence = 6, .previous = {1}, .hash = {2}};
    assert_int_equal(mkv_audit_follows(&record, &head), MKV_AUDIT_MISSING);
    record.sequence = 4;
    assert_int_equal(mkv_audit_follows(&record, &head), MKV_AUDIT_REPEATED);
    record.sequence = 5;
    record.previous[31] = 1;
    assert_int_equal(mkv_audit_follows(&record, &head), MKV_AUDIT_UNCHAINED);
    record.previous[31] = 0;
    assert_int_equal(head.next_sequence, 5);
    assert_int_equal(mkv_audit_follows(&record, &head), MKV_AUDIT_FITS);
    assert_int_equal(head.next_sequence, 6);
    assert_int_equal(head.hash[0], 2);
}

static void test_audit_time_parse__texts__moments_or_refusals(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool end;
        uint64_t time_ms; /* 0: refused */
    } cases[] = {
        {"2026-01-01", false, 1767225600000},
        {"2026-01-01", true, 1767311999999},
        {"2026-01-01T12:30", false, 1767270600000},
        {"2026-01-01T12:30:05Z", true, 1767270605999},
        {"2026-01-01T12:30:05.007Z", true, 1767270605007},
        {"2024-02-29", false, 1709164800000},
        {"2026-02-29", false, 0},
        {"2026-13-01", false, 0},
        {"2026-1-1", false, 0},
        {"2026-01-01T24:00", false, 0},
        {"2026-01-01 12:00", false, 0},
        {"", false, 0},
        {"2026-01-01T12:30:05.007Zx", false, 0},
        {"today", false, 0},
        {"2026-00-10", false, 0},
        {"1969-12-31", true, 0},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        uint64_t time_ms = 0;
        const bool parsed = mkv_audit_time_parse(cases[index].text, cases[index].end, &time_ms);
        assert_int_equal(parsed, cases[index].time_ms != 0);
        assert_true(time_ms == cases[index].time_ms);
    }
}

static void test_audit_hash_parse__one_spelling__others_refused(void **state) {
    (void)state;
    uint8_t hash[MKV_AUDIT_HASH_BYTES];
    char text[MKV_AUDIT_HASH_TEXT_BYTES];
    memset(hash, 0xa5, sizeof hash);
    mkv_audit_hash_text(hash, text);
    assert_true(mkv_audit_hash_parse(text, hash));
    text[0] = 'A';
    assert_false(mkv_audit_hash_parse(text, hash));
    text[0] = 'a';
    text[63] = '\0';
    assert_false(mkv_audit_hash_parse(text, hash));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audit_line__an_entry__every_field_in_order),
        cmocka_unit_test(test_audit_line__a_fixed_entry__its_published_hash),
        cmocka_unit_test(test_audit_line__longest_and_hostile_texts__fit_and_stay_one_line),
        cmocka_unit_test(test_audit_line_read__any_byte_altered_or_taken_out__found),
        cmocka_unit_test(test_audit_follows__other_orders__each_named),
        cmocka_unit_test(test_audit_time_parse__texts__moments_or_refusals),
        cmocka_unit_test(test_audit_hash_parse__one_spelling__others_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
