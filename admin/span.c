/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/span.h"

#include <string.h>

static struct mkv_span_attribute *attribute(struct mkv_span *span, const char *name) {
    MKV_ASSERT(span->attribute_count < MKV_SPAN_ATTRIBUTES_MAX);
    struct mkv_span_attribute *added = &span->attributes[span->attribute_count];
    span->attribute_count++;
    *added = (struct mkv_span_attribute){.name = name};
    return added;
}

void mkv_span_number(struct mkv_span *span, const char *name, uint64_t number) {
    attribute(span, name)->number = number;
}

void mkv_span_real(struct mkv_span *span, const char *name, double real) {
    struct mkv_span_attribute *added = attribute(span, name);
    added->value = MKV_SPAN_REAL;
    added->real = real;
}

void mkv_span_truth(struct mkv_span *span, const char *name, bool truth) {
    struct mkv_span_attribute *added = attribute(span, name);
    added->value = MKV_SPAN_TRUTH;
    added->number = truth;
}

void mkv_span_text(struct mkv_span *span, const char *name, const char *text) {
    MKV_ASSERT(text != NULL);
    struct mkv_span_attribute *added = attribute(span, name);
    added->value = MKV_SPAN_TEXT;
    added->text = text;
}

void mkv_span_copy(struct mkv_span *span, const char *name, const char *text, size_t text_bytes) {
    MKV_ASSERT(span->copied_bytes <= MKV_SPAN_COPIED_BYTES);
    const size_t room = MKV_SPAN_COPIED_BYTES - span->copied_bytes;
    if (room == 0) {
        return;
    }
    const size_t bytes = text_bytes < room ? text_bytes : room - 1;
    struct mkv_span_attribute *added = attribute(span, name);
    added->value = MKV_SPAN_COPIED;
    added->number = span->copied_bytes;
    memcpy(span->copied + span->copied_bytes, text, bytes);
    span->copied[span->copied_bytes + bytes] = '\0';
    span->copied_bytes += (uint32_t)bytes + 1;
}

void mkv_span_event(struct mkv_span *span, const char *name, uint64_t time_ns,
                    uint64_t duration_ns) {
    MKV_ASSERT(span->event_count < MKV_SPAN_EVENTS_MAX);
    span->events[span->event_count] =
        (struct mkv_span_event){.name = name, .time_ns = time_ns, .duration_ns = duration_ns};
    span->event_count++;
}
