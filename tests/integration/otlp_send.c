/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hands spans with known fields to the exporter, for a test that compares what a collector got:
 *
 *     otlp_send ENDPOINT SPANS [RETRY_MS [WAIT_MS [TRY_MS]]]
 *     otlp_send logs ENDPOINT RECORDS …
 *
 * Waits up to WAIT_MS until each span is exported or dropped, ends the exporter, and prints
 * {"exported", "dropped", "stop_ms", "reports": […]}.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/otlp.h"

#define NS_PER_MS 1000000ull
#define LOOK_MS 5u

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / NS_PER_MS;
}

static void report(void *context, bool failing, const char *text) {
    unsigned *count = context;
    printf("{\"report\": \"%s\", \"failing\": %s}\n", text, failing ? "true" : "false");
    (*count)++;
}

static void fill(struct mkv_span *span, uint64_t number) {
    for (uint32_t i = 0; i < MKV_TRACE_ID_BYTES; i++) {
        span->trace_id[i] = (uint8_t)(0xa0 + i);
    }
    span->span_id[0] = 0xfe;
    span->span_id[6] = (uint8_t)(number >> 8);
    span->span_id[7] = (uint8_t)number;
    span->name = "memkv.write";
    span->kind = number % 2 == 0 ? MKV_SPAN_SERVER : MKV_SPAN_INTERNAL;
    span->start_ns = 1700000000000000000u + number;
    span->end_ns = span->start_ns + 12345;
    if (number % 2 == 1) {
        span->parent_id[0] = 0xfe;
        span->error = "no_space";
    }
    mkv_span_number(span, "memkv.number", number);
    mkv_span_number(span, "memkv.huge", UINT64_MAX);
    mkv_span_real(span, "memkv.real", 0.25);
    mkv_span_truth(span, "memkv.odd", number % 2 == 1);
    mkv_span_text(span, "memkv.op", "put");
    mkv_span_copy(span, "memkv.tenant", "team-7", 6);
    mkv_span_event(span, "alloc", span->start_ns + 5, 5);
    mkv_span_event(span, "commit", span->end_ns, 7000);
}

int main(int count, char **arguments) {
    static struct mkv_otlp_options options = MKV_OTLP_OPTIONS_DEFAULT;
    unsigned reports = 0;
    if (count > 1 && strcmp(arguments[1], "logs") == 0) {
        options.kind = MKV_OTLP_LOG_RECORDS;
        count--;
        arguments++;
    }
    const char *problem = count < 3
                              ? "usage: otlp_send ENDPOINT SPANS [RETRY_MS [WAIT_MS [TRY_MS]]]"
                              : mkv_otlp_endpoint_parse(arguments[1], &options.endpoint);
    if (problem != NULL) {
        fprintf(stderr, "otlp_send: %s\n", problem);
        return 2;
    }
    const uint64_t spans = strtoull(arguments[2], NULL, 10);
    const uint64_t wait_ms = count > 4 ? strtoull(arguments[4], NULL, 10) : 60000;
    options.resource = (struct mkv_otlp_resource){"memkv-test", "1.2.3", "node-1"};
    options.ring_spans = 1024;
    options.interval_ns = 10 * NS_PER_MS;
    options.pause_ns_first = 20 * NS_PER_MS;
    options.pause_ns_max = 100 * NS_PER_MS;
    options.timeout_ns = (count > 5 ? strtoull(arguments[5], NULL, 10) : 20000) * NS_PER_MS;
    options.retry_ns = (count > 3 ? strtoull(arguments[3], NULL, 10) : 30000) * NS_PER_MS;
    options.report = report;
    options.report_context = &reports;
    struct mkv_otlp *otlp = mkv_otlp_start(&options);
    if (otlp == NULL) {
        return 1;
    }
    for (uint64_t i = 0; i < spans; i++) {
        struct mkv_span *span = mkv_otlp_reserve(otlp, 0);
        if (span != NULL) {
            fill(span, i);
            mkv_otlp_commit(otlp, 0);
        }
    }
    struct mkv_otlp_counts counts;
    const uint64_t end_ms = now_ms() + wait_ms;
    mkv_otlp_counts(otlp, &counts);
    while (counts.exported + counts.dropped < spans && now_ms() < end_ms) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * NS_PER_MS}, NULL);
        mkv_otlp_counts(otlp, &counts);
    }
    const uint64_t stop_began_ms = now_ms();
    mkv_otlp_stop(otlp, &counts);
    printf("{\"exported\": %" PRIu64 ", \"dropped\": %" PRIu64 ", \"waiting\": %" PRIu64
           ", \"stop_ms\": %" PRIu64 ", \"reports\": %u}\n",
           counts.exported, counts.dropped, counts.waiting, now_ms() - stop_began_ms, reports);
    return 0;
}
