/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span: what one thing that the node did is told as to a collector of traces. A plain record of
 * a fixed size, so that it can be filled in where it waits to be sent. A log record is told in the
 * same form: of it name, start, attributes and, where there is one, the trace count.
 *
 *   trace_id ── parent_id ── span_id     name, kind, from start to end, how it ended
 *                                          ├─ attributes   what it was about
 *                                          └─ events       its phases, each when it ended
 *
 * Invariants
 *  I1  `name`, names of attributes and of events, and texts that are not copied are texts of the
 *      program, or of the configuration: they outlive every span.
 *  I2  attribute_count, event_count and copied_bytes are within their bounds.
 *  I3  trace_id and span_id of a span are not 0; parent_id is 0 for the first one of a trace.
 *
 * Not responsible for: which spans there are (trace.h), how they are sent (otlp.h).
 */
#ifndef MKV_ADMIN_SPAN_H
#define MKV_ADMIN_SPAN_H

#include "core/base.h"

#define MKV_SPAN_ATTRIBUTES_MAX 16u
#define MKV_SPAN_EVENTS_MAX 9u
/* Texts that a span brings along. */
#define MKV_SPAN_COPIED_BYTES 128u

#define MKV_TRACE_ID_BYTES 16u
#define MKV_SPAN_ID_BYTES 8u

enum mkv_span_kind {
    MKV_SPAN_INTERNAL = 0,
    MKV_SPAN_SERVER, /* a client's request */
    MKV_SPAN_CLIENT, /* a call of libmemkv */
};

enum mkv_span_value {
    MKV_SPAN_NUMBER = 0,
    MKV_SPAN_REAL,
    MKV_SPAN_TRUTH,  /* whether `number` is not 0 */
    MKV_SPAN_TEXT,   /* of I1 */
    MKV_SPAN_COPIED, /* in `copied`, from `number` on, closed by NUL */
};

struct mkv_span_attribute {
    const char *name;
    enum mkv_span_value value;
    union {
        uint64_t number;
        double real;
        const char *text;
    };
};

struct mkv_span_event {
    const char *name;
    uint64_t time_ns;     /* Unix time */
    uint64_t duration_ns; /* of the phase that ends here; an attribute of the event */
};

struct mkv_span {
    uint8_t trace_id[MKV_TRACE_ID_BYTES];
    uint8_t span_id[MKV_SPAN_ID_BYTES];
    uint8_t parent_id[MKV_SPAN_ID_BYTES];
    const char *name;
    enum mkv_span_kind kind;
    uint64_t start_ns; /* Unix time */
    uint64_t end_ns;
    const char *error; /* what went wrong; NULL: nothing did */
    uint32_t attribute_count;
    uint32_t event_count;
    uint32_t copied_bytes;
    struct mkv_span_attribute attributes[MKV_SPAN_ATTRIBUTES_MAX];
    struct mkv_span_event events[MKV_SPAN_EVENTS_MAX];
    char copied[MKV_SPAN_COPIED_BYTES];
};

/* These add to a span that is being filled in. A text that has no room any more is cut. */
void mkv_span_number(struct mkv_span *span, const char *name, uint64_t number);
void mkv_span_real(struct mkv_span *span, const char *name, double real);
void mkv_span_truth(struct mkv_span *span, const char *name, bool truth);
void mkv_span_text(struct mkv_span *span, const char *name, const char *text);
void mkv_span_copy(struct mkv_span *span, const char *name, const char *text, size_t text_bytes);
void mkv_span_event(struct mkv_span *span, const char *name, uint64_t time_ns,
                    uint64_t duration_ns);

#endif
