/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/trace.h"

#include "tests/unit/admin/test.h"

#define SPANS_MAX 64u
#define DRAWS 4000u

/* Keeps the spans that it is given; `room` says how many more it takes. */
struct collector {
    struct mkv_tracer *tracer;
    uint32_t count;
    uint32_t room;
    struct mkv_span spans[SPANS_MAX];
};

static struct mkv_span *reserve(void *context) {
    struct collector *collector = context;
    if (collector->room == 0) {
        return NULL;
    }
    assert_true(collector->count < SPANS_MAX);
    struct mkv_span *span = &collector->spans[collector->count];
    memset(span, 0, sizeof *span);
    return span;
}

static void commit(void *context) {
    struct collector *collector = context;
    collector->count++;
    collector->room--;
}

static void collector_begin(struct collector *collector, uint64_t ratio) {
    const struct mkv_trace_options options = {
        .sink = {.context = collector, .reserve = reserve, .commit = commit},
        .sampling_ratio = ratio,
        .seed = 42,
        .drive_count = 2,
        .drive_names = {"d00", "bay-2"},
        .now_ns = 1000,
    };
    memset(collector, 0, sizeof *collector);
    collector->room = SPANS_MAX;
    collector->tracer = mkv_tracer_create(&options);
    assert_non_null(collector->tracer);
}

static void collector_end(struct collector *collector) {
    mkv_tracer_destroy(collector->tracer);
}

static const struct mkv_span *span_named(const struct collector *collector, const char *name) {
    const struct mkv_span *found = NULL;
    for (uint32_t i = 0; i < collector->count; i++) {
        if (strcmp(collector->spans[i].name, name) == 0) {
            assert_null(found);
            found = &collector->spans[i];
        }
    }
    if (found == NULL) {
        fail_msg("there is no span %s", name);
    }
    return found;
}

static const struct mkv_span_attribute *attribute_named(const struct mkv_span *span,
                                                        const char *name) {
    for (uint32_t i = 0; i < span->attribute_count; i++) {
        if (strcmp(span->attributes[i].name, name) == 0) {
            return &span->attributes[i];
        }
    }
    return NULL;
}

static void assert_number(const struct mkv_span *span, const char *name, uint64_t number) {
    const struct mkv_span_attribute *attribute = attribute_named(span, name);
    assert_non_null(attribute);
    assert_int_equal(attribute->value, MKV_SPAN_NUMBER);
    assert_int_equal(attribute->number, number);
}

static void assert_text(const struct mkv_span *span, const char *name, const char *text) {
    const struct mkv_span_attribute *attribute = attribute_named(span, name);
    assert_non_null(attribute);
    assert_int_not_equal(attribute->value, MKV_SPAN_NUMBER);
    assert_string_equal(attribute->value == MKV_SPAN_TEXT ? attribute->text
                                                          : span->copied + attribute->number,
                        text);
}

/* The phase that the span tells as its event `place`. */
static void assert_phase(const struct mkv_span *span, uint32_t place, const char *name,
                         uint64_t after_start_ns, uint64_t duration_ns) {
    assert_true(place < span->event_count);
    assert_string_equal(span->events[place].name, name);
    assert_int_equal(span->events[place].time_ns - span->start_ns, after_start_ns);
    assert_int_equal(span->events[place].duration_ns, duration_ns);
}

/* As the observer does it. */
static bool trace(struct collector *collector, const struct mkv_request_summary *summary,
                  const char *tenant, uint8_t trace_id[MKV_TRACE_ID_BYTES]) {
    struct mkv_trace_context context = summary->trace;
    if (!mkv_trace_sample(collector->tracer, &context)) {
        return false;
    }
    mkv_trace_request(collector->tracer, summary, &context, tenant);
    memcpy(trace_id, context.trace_id, sizeof context.trace_id);
    return true;
}

static struct mkv_request_summary put_summary(void) {
    struct mkv_request_summary summary = {
        .op = MKV_OP_PUT,
        .status = MKV_STATUS_OK,
        .volume = 1,
        .item_count = 2,
        .bytes_in = 4096,
        .received_ns = 5000,
        .ended_ns = 5000 + 100,
        .drive_ns = 25,
        .session = 77,
        .trace = {.trace_id = {[15] = 9}, .parent_id = {[7] = 3}, .flags = 1},
    };
    summary.stage_ns[MKV_STAGE_PARSE] = 1;
    summary.stage_ns[MKV_STAGE_ROUTE] = 2;
    summary.stage_ns[MKV_STAGE_PULL] = 30;
    summary.stage_ns[MKV_STAGE_WRITE] = 40;
    summary.stage_ns[MKV_STAGE_FLUSH] = 20;
    summary.stage_ns[MKV_STAGE_REPLY] = 7;
    return summary;
}

static void test_trace_request__a_put_of_a_sampled_trace__its_spans_nest(void **state) {
    (void)state;
    struct collector collector;
    collector_begin(&collector, 0);
    const struct mkv_request_summary summary = put_summary();
    uint8_t trace_id[MKV_TRACE_ID_BYTES] = {0};
    assert_true(trace(&collector, &summary, "team-7", trace_id));
    assert_memory_equal(trace_id, summary.trace.trace_id, sizeof trace_id);
    assert_int_equal(collector.count, 3);

    const struct mkv_span *write = span_named(&collector, "memkv.write");
    assert_memory_equal(write->trace_id, summary.trace.trace_id, sizeof write->trace_id);
    assert_memory_equal(write->parent_id, summary.trace.parent_id, sizeof write->parent_id);
    assert_int_equal(write->kind, MKV_SPAN_SERVER);
    assert_int_equal(write->end_ns - write->start_ns, 100);
    assert_null(write->error);
    assert_text(write, "memkv.op", "put");
    assert_text(write, "memkv.status", "ok");
    assert_text(write, "memkv.tenant", "team-7");
    assert_text(write, "memkv.drive", "bay-2");
    assert_number(write, "memkv.keys", 2);
    assert_number(write, "memkv.bytes_in", 4096);
    assert_number(write, "memkv.bytes_out", 0);
    assert_number(write, "memkv.drive_ns", 25);
    assert_number(write, "memkv.session", 77);
    assert_null(attribute_named(write, "memkv.miss"));
    assert_null(attribute_named(write, "memkv.keys_from_memory"));
    assert_int_equal(write->event_count, 7);
    assert_phase(write, 0, "parse", 1, 1);
    assert_phase(write, 1, "route", 3, 2);
    assert_phase(write, 2, "alloc", 3, 0);
    assert_phase(write, 3, "pull", 33, 30);
    assert_phase(write, 4, "persist", 73, 40);
    assert_phase(write, 5, "commit", 93, 20);
    assert_phase(write, 6, "reply", 100, 7);

    const struct mkv_span *drive = span_named(&collector, "memkv.drive.write");
    assert_memory_equal(drive->parent_id, write->span_id, sizeof write->span_id);
    assert_int_equal(drive->start_ns - write->start_ns, 33);
    assert_int_equal(drive->end_ns - drive->start_ns, 25);
    assert_text(drive, "memkv.drive", "bay-2");
    const struct mkv_span *journal = span_named(&collector, "memkv.journal.commit");
    assert_memory_equal(journal->parent_id, write->span_id, sizeof write->span_id);
    assert_memory_equal(journal->trace_id, write->trace_id, sizeof write->trace_id);
    assert_int_equal(journal->start_ns - write->start_ns, 73);
    assert_int_equal(journal->end_ns - write->start_ns, 93);
    assert_memory_not_equal(journal->span_id, drive->span_id, sizeof drive->span_id);
    collector_end(&collector);
}

static void test_trace_request__a_get_that_misses_a_key__told_so(void **state) {
    (void)state;
    struct collector collector;
    collector_begin(&collector, MKV_TRACE_RATIO_ONE);
    struct mkv_request_summary summary = {
        .op = MKV_OP_GET,
        .status = MKV_STATUS_NOT_FOUND,
        .volume = MKV_NONE_U32,
        .item_count = 3,
        .keys_from_memory = 1,
        .keys_from_drive = 1,
        .miss = MKV_MISS_EVICTED,
        .received_ns = 10,
        .ended_ns = 10,
    };
    uint8_t trace_id[MKV_TRACE_ID_BYTES] = {0};
    assert_true(trace(&collector, &summary, "", trace_id));
    assert_int_equal(collector.count, 1);
    const struct mkv_span *read = span_named(&collector, "memkv.read");
    assert_memory_equal(read->trace_id, trace_id, sizeof trace_id);
    static const uint8_t none[MKV_SPAN_ID_BYTES];
    assert_memory_equal(read->parent_id, none, sizeof none);
    assert_memory_not_equal(read->span_id, none, sizeof none);
    assert_text(read, "memkv.miss", "evicted");
    assert_number(read, "memkv.keys_from_memory", 1);
    assert_number(read, "memkv.keys_from_drive", 1);
    assert_null(attribute_named(read, "memkv.tenant"));
    assert_null(attribute_named(read, "memkv.drive"));
    assert_null(read->error);
    assert_int_equal(read->event_count, 3);
    assert_phase(read, 0, "alloc", 0, 0);
    assert_phase(read, 1, "read", 0, 0);
    assert_phase(read, 2, "push", 0, 0);

    summary.status = MKV_STATUS_IO_ERROR;
    collector.count = 0;
    assert_true(trace(&collector, &summary, "", trace_id));
    assert_string_equal(collector.spans[0].error, "io_error");
    summary.status = MKV_STATUS_UNKNOWN;
    summary.dropped = true;
    collector.count = 0;
    assert_true(trace(&collector, &summary, "", trace_id));
    assert_null(collector.spans[0].error);
    assert_non_null(attribute_named(&collector.spans[0], "memkv.dropped"));
    collector_end(&collector);
}

static void test_trace_request__the_sampled_flag__decides_over_the_ratio(void **state) {
    (void)state;
    struct collector collector;
    uint8_t trace_id[MKV_TRACE_ID_BYTES] = {0};
    struct mkv_request_summary summary = put_summary();
    collector_begin(&collector, MKV_TRACE_RATIO_ONE);
    summary.trace.flags = 0;
    assert_false(trace(&collector, &summary, "", trace_id));
    summary.trace.flags = 0xfe;
    assert_false(trace(&collector, &summary, "", trace_id));
    assert_int_equal(collector.count, 0);
    summary.trace.flags = 0xff;
    assert_true(trace(&collector, &summary, "", trace_id));
    collector_end(&collector);

    /* One that brings no context is sampled by the ratio alone. */
    collector_begin(&collector, 0);
    summary.trace = (struct mkv_trace_context){.flags = 1};
    assert_false(trace(&collector, &summary, "", trace_id));
    collector_end(&collector);
}

static void test_trace_request__a_ratio__about_so_many_and_ids_of_their_own(void **state) {
    (void)state;
    struct collector collector;
    collector_begin(&collector, MKV_TRACE_RATIO_ONE / 4);
    struct mkv_request_summary summary = put_summary();
    summary.trace = (struct mkv_trace_context){0};
    uint32_t sampled = 0;
    uint8_t before[MKV_TRACE_ID_BYTES] = {0};
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint8_t trace_id[MKV_TRACE_ID_BYTES];
        collector.count = 0;
        collector.room = SPANS_MAX;
        if (trace(&collector, &summary, "", trace_id)) {
            assert_memory_not_equal(trace_id, before, sizeof before);
            memcpy(before, trace_id, sizeof before);
            assert_true(trace_id[8] < 0x40); /* what other samplers of this ratio take too */
            sampled++;
        }
    }
    /* The seed is fixed, and so is the count; a quarter, give or take four standard deviations. */
    assert_in_range(sampled, DRAWS / 4 - 110, DRAWS / 4 + 110);
    collector_end(&collector);
}

static void test_trace_request__no_room__lost_and_still_sampled(void **state) {
    (void)state;
    struct collector collector;
    collector_begin(&collector, MKV_TRACE_RATIO_ONE);
    collector.room = 0;
    const struct mkv_request_summary summary = put_summary();
    uint8_t trace_id[MKV_TRACE_ID_BYTES];
    assert_true(trace(&collector, &summary, "", trace_id));
    const struct mkv_event event = {.kind = MKV_EVENT_OPENED};
    mkv_trace_event(collector.tracer, 0, &event, 2000);
    mkv_trace_dispatch(collector.tracer, 1, 2, 3);
    assert_int_equal(collector.count, 0);
    collector_end(&collector);
}

static void test_trace_dispatch__a_batch__by_the_ratio(void **state) {
    (void)state;
    struct collector collector;
    collector_begin(&collector, 0);
    mkv_trace_dispatch(collector.tracer, 100, 150, 7);
    assert_int_equal(collector.count, 0);
    collector_end(&collector);
    collector_begin(&collector, MKV_TRACE_RATIO_ONE);
    mkv_trace_dispatch(collector.tracer, 100, 150, 7);
    const struct mkv_span *span = span_named(&collector, "memkv.dispatch");
    assert_int_equal(span->end_ns - span->start_ns, 50);
    assert_number(span, "memkv.requests", 7);
    collector_end(&collector);
}

static void tell(struct collector *collector, uint32_t volume, enum mkv_event_kind kind,
                 uint64_t first, uint64_t third, uint64_t now_ns) {
    const struct mkv_event event = {.kind = kind, .value = {first, 5, third}};
    collector->count = 0;
    mkv_trace_event(collector->tracer, volume, &event, now_ns);
}

static void test_trace_event__a_drive_s_life__transitions_repairs_checkpoints(void **state) {
    (void)state;
    struct collector collector;
    collector_begin(&collector, 0); /* they are told whatever the ratio is */
    tell(&collector, 1, MKV_EVENT_SUPERBLOCK_REPAIRED, 2, 0, 3000);
    const struct mkv_span *span = span_named(&collector, "memkv.repair");
    assert_text(span, "memkv.repair", "superblock");
    assert_text(span, "memkv.drive", "bay-2");
    assert_number(span, "memkv.copies", 2);
    assert_int_equal(span->start_ns, span->end_ns);

    tell(&collector, 1, MKV_EVENT_OPENED, 0, 0, 4000);
    span = span_named(&collector, "memkv.transition");
    assert_text(span, "memkv.from", "recovering");
    assert_text(span, "memkv.to", "online");
    assert_int_equal(span->end_ns - span->start_ns, 3000);
    assert_null(span->error);

    tell(&collector, 1, MKV_EVENT_CHECKPOINT_DONE, 88, 600, 9000);
    span = span_named(&collector, "memkv.checkpoint");
    assert_int_equal(span->end_ns - span->start_ns, 600);
    assert_number(span, "memkv.sequence", 88);
    assert_number(span, "memkv.pages", 5);

    tell(&collector, 1, MKV_EVENT_DIRECTORY_DAMAGED, 1, 0, 10000);
    assert_int_equal(collector.count, 0);
    tell(&collector, 1, MKV_EVENT_DIRECTORY_REBUILT, 12, 0, 10700);
    span = span_named(&collector, "memkv.repair");
    assert_text(span, "memkv.repair", "directory");
    assert_int_equal(span->end_ns - span->start_ns, 700);

    tell(&collector, 1, MKV_EVENT_DRIVE_RESUMED, 400, 0, 20000);
    span = span_named(&collector, "memkv.transition");
    assert_text(span, "memkv.from", "stalled");
    assert_text(span, "memkv.to", "online");
    assert_int_equal(span->end_ns - span->start_ns, 400);

    tell(&collector, 1, MKV_EVENT_DRIVE_FAILED, 0, 0, 30000);
    span = span_named(&collector, "memkv.transition");
    assert_text(span, "memkv.from", "online");
    assert_text(span, "memkv.to", "failed");
    assert_int_equal(span->start_ns, span->end_ns);
    assert_non_null(span->error);

    tell(&collector, 0, MKV_EVENT_OPEN_FAILED, 0, 0, 1500);
    span = span_named(&collector, "memkv.transition");
    assert_text(span, "memkv.drive", "d00");
    assert_text(span, "memkv.to", "offline");
    assert_int_equal(span->end_ns - span->start_ns, 500);
    tell(&collector, 0, MKV_EVENT_BLOCK_EVICTED, 0, 0, 1600);
    assert_int_equal(collector.count, 0);
    collector_end(&collector);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_request__a_put_of_a_sampled_trace__its_spans_nest),
        cmocka_unit_test(test_trace_request__a_get_that_misses_a_key__told_so),
        cmocka_unit_test(test_trace_request__the_sampled_flag__decides_over_the_ratio),
        cmocka_unit_test(test_trace_request__a_ratio__about_so_many_and_ids_of_their_own),
        cmocka_unit_test(test_trace_request__no_room__lost_and_still_sampled),
        cmocka_unit_test(test_trace_dispatch__a_batch__by_the_ratio),
        cmocka_unit_test(test_trace_event__a_drive_s_life__transitions_repairs_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
