/* SPDX-License-Identifier: Apache-2.0 */
/* What the message says is compared with what a collector decodes, in test_otlp.py of the
 * integration tests; here are bounds, and answers that no collector would give. */
#include "admin/otlp_encode.h"

#include "tests/unit/admin/test.h"

#define GUARD 0xa5

static const struct mkv_otlp_resource resource = {"service", "1.2.3", "node"};

/* A span that holds as much as one can. */
static void fill(struct mkv_span *span) {
    char text[2 * MKV_SPAN_COPIED_BYTES];
    memset(text, 'x', sizeof text);
    memset(span, 0, sizeof *span);
    memset(span->trace_id, 0xff, sizeof span->trace_id);
    memset(span->span_id, 0xff, sizeof span->span_id);
    memset(span->parent_id, 0xff, sizeof span->parent_id);
    span->name = "memkv.journal.commit";
    span->start_ns = UINT64_MAX;
    span->end_ns = UINT64_MAX;
    span->error = "drive_offline";
    mkv_span_copy(span, "memkv.a_name_of_an_attribute", text, sizeof text);
    while (span->attribute_count < MKV_SPAN_ATTRIBUTES_MAX) {
        mkv_span_text(span, "memkv.a_name_of_an_attribute",
                      "a-name-of-a-drive-or-of-a-status-as-long-as-one-can-be-1234567890");
    }
    while (span->event_count < MKV_SPAN_EVENTS_MAX) {
        mkv_span_event(span, "a phase of a request", UINT64_MAX, UINT64_MAX);
    }
}

static void test_otlp_encode__the_largest_batch__has_room(void **state) {
    (void)state;
    struct mkv_otlp_encoder *encoder = mkv_otlp_encoder_create(&resource);
    struct mkv_span *spans = calloc(MKV_OTLP_BATCH_SPANS_MAX, sizeof *spans);
    uint8_t *message = malloc(MKV_OTLP_MESSAGE_BYTES_MAX + 1);
    assert_non_null(encoder);
    assert_non_null(spans);
    assert_non_null(message);
    for (uint32_t i = 0; i < MKV_OTLP_BATCH_SPANS_MAX; i++) {
        fill(&spans[i]);
    }
    message[MKV_OTLP_MESSAGE_BYTES_MAX] = GUARD;
    const size_t bytes = mkv_otlp_encode_spans(encoder, spans, MKV_OTLP_BATCH_SPANS_MAX, message);
    assert_true(bytes > MKV_OTLP_BATCH_SPANS_MAX * 1000u);
    assert_true(bytes <= MKV_OTLP_MESSAGE_BYTES_MAX);
    assert_int_equal(message[MKV_OTLP_MESSAGE_BYTES_MAX], GUARD);
    const size_t records = mkv_otlp_encode_logs(encoder, spans, MKV_OTLP_BATCH_SPANS_MAX, message);
    assert_true(records > MKV_OTLP_BATCH_SPANS_MAX * 1000u);
    assert_true(records < bytes);
    /* The same encoder again: nothing is left of the spans before. */
    assert_true(mkv_otlp_encode_spans(encoder, spans, 1, message) < bytes / 100);
    free(message);
    free(spans);
    mkv_otlp_encoder_destroy(encoder);
}

static void test_span__a_text_without_room__is_cut(void **state) {
    (void)state;
    struct mkv_span span;
    fill(&span);
    assert_int_equal(span.copied_bytes, MKV_SPAN_COPIED_BYTES);
    assert_int_equal(strlen(span.copied), MKV_SPAN_COPIED_BYTES - 1);
    span.attribute_count = 1;
    mkv_span_copy(&span, "second", "text", 4);
    assert_int_equal(span.attribute_count, 1);
}

static void expect_rejected(const char *answer, size_t answer_bytes, uint64_t rejected) {
    assert_int_equal(mkv_otlp_rejected((const uint8_t *)answer, answer_bytes), rejected);
}

static void test_otlp_rejected__answers__counted_or_none(void **state) {
    (void)state;
    expect_rejected("", 0, 0);
    expect_rejected("\x0a\x02\x08\x05", 4, 5);
    expect_rejected("\x0a\x03\x08\x80\x02", 5, 256);
    /* With a message behind and before the number, and a field of the answer that is not known. */
    expect_rejected("\x12\x01q\x0a\x06\x12\x02no\x08\x07", 11, 7);
    expect_rejected("\x0a\x00", 2, 0);           /* partial success, of nothing */
    expect_rejected("\x0a\x04\x12\x02no", 6, 0); /* a warning only */
    expect_rejected("\x0a\x09\x08\x05", 4, 0);   /* longer than it is */
    expect_rejected("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, 0);
    expect_rejected("\x08\x05", 2, 0);
    expect_rejected("\x0d\x01\x02\x03\x04", 5, 0);
    expect_rejected("\xff\xff\xff", 3, 0);
    expect_rejected("<html>", 6, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_otlp_encode__the_largest_batch__has_room),
        cmocka_unit_test(test_span__a_text_without_room__is_cut),
        cmocka_unit_test(test_otlp_rejected__answers__counted_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
