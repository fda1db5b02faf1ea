/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/otlp_encode.h"

#include <opentelemetry/proto/collector/logs/v1/logs_service.pb-c.h>
#include <opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h>
#include <stdlib.h>
#include <string.h>

#define RESOURCE_ATTRIBUTES 3u
/* Each event has one. */
#define ATTRIBUTES_MAX (MKV_SPAN_ATTRIBUTES_MAX + MKV_SPAN_EVENTS_MAX)
#define SCOPE_NAME "memkv"

typedef Opentelemetry__Proto__Common__V1__KeyValue key_value;
typedef Opentelemetry__Proto__Common__V1__AnyValue any_value;
typedef Opentelemetry__Proto__Trace__V1__Span proto_span;
typedef Opentelemetry__Proto__Trace__V1__Span__Event proto_event;
typedef Opentelemetry__Proto__Trace__V1__Status proto_status;
typedef Opentelemetry__Proto__Logs__V1__LogRecord proto_record;

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest trace_request;
typedef Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceRequest logs_request;

/* An attribute, its value, and the pointer that a list wants. */
struct attribute {
    key_value pair;
    any_value value;
};

/* A span, or a log record. */
struct span_room {
    union {
        proto_span span;
        struct {
            proto_record record;
            any_value body;
        };
    };
    proto_status status;
    proto_event events[MKV_SPAN_EVENTS_MAX];
    proto_event *event_list[MKV_SPAN_EVENTS_MAX];
    struct attribute attributes[ATTRIBUTES_MAX];
    key_value *attribute_list[ATTRIBUTES_MAX];
};

struct mkv_otlp_encoder {
    struct mkv_otlp_resource of;
    struct attribute resource_attributes[RESOURCE_ATTRIBUTES];
    key_value *resource_list[RESOURCE_ATTRIBUTES];
    Opentelemetry__Proto__Resource__V1__Resource resource;
    Opentelemetry__Proto__Common__V1__InstrumentationScope scope;
    struct span_room spans[MKV_OTLP_BATCH_SPANS_MAX];
    union {
        proto_span *span_list[MKV_OTLP_BATCH_SPANS_MAX];
        proto_record *record_list[MKV_OTLP_BATCH_SPANS_MAX];
    };
};

/* protobuf-c takes texts that may be written to, and writes to none of them. */
static char *text_of(const char *text) {
    union {
        const char *given;
        char *taken;
    } same = {.given = text};
    return same.taken;
}

static uint8_t *bytes_of(const uint8_t *bytes) {
    union {
        const uint8_t *given;
        uint8_t *taken;
    } same = {.given = bytes};
    return same.taken;
}

static key_value *set_attribute(struct attribute *attribute, const char *name) {
    opentelemetry__proto__common__v1__key_value__init(&attribute->pair);
    opentelemetry__proto__common__v1__any_value__init(&attribute->value);
    attribute->pair.key = text_of(name);
    attribute->pair.value = &attribute->value;
    return &attribute->pair;
}

static key_value *set_text(struct attribute *attribute, const char *name, const char *text) {
    key_value *pair = set_attribute(attribute, name);
    attribute->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
    attribute->value.string_value = text_of(text);
    return pair;
}

static key_value *set_number(struct attribute *attribute, const char *name, uint64_t number) {
    key_value *pair = set_attribute(attribute, name);
    attribute->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
    attribute->value.int_value = number <= INT64_MAX ? (int64_t)number : INT64_MAX;
    return pair;
}

/* ---- creation ------------------------------------------------------------------------------- */

struct mkv_otlp_encoder *mkv_otlp_encoder_create(const struct mkv_otlp_resource *resource) {
    MKV_ASSERT(strlen(resource->service_name) <= MKV_OTLP_NAME_BYTES_MAX);
    MKV_ASSERT(strlen(resource->service_version) <= MKV_OTLP_NAME_BYTES_MAX);
    MKV_ASSERT(strlen(resource->instance_id) <= MKV_OTLP_NAME_BYTES_MAX);
    struct mkv_otlp_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL) {
        return NULL;
    }
    encoder->of = *resource;
    struct attribute *attributes = encoder->resource_attributes;
    encoder->resource_list[0] = set_text(&attributes[0], "service.name", encoder->of.service_name);
    encoder->resource_list[1] =
        set_text(&attributes[1], "service.instance.id", encoder->of.instance_id);
    encoder->resource_list[2] =
        set_text(&attributes[2], "service.version", encoder->of.service_version);
    opentelemetry__proto__resource__v1__resource__init(&encoder->resource);
    encoder->resource.n_attributes = RESOURCE_ATTRIBUTES;
    encoder->resource.attributes = encoder->resource_list;
    opentelemetry__proto__common__v1__instrumentation_scope__init(&encoder->scope);
    encoder->scope.name = text_of(SCOPE_NAME);
    encoder->scope.version = text_of(encoder->of.service_version);
    return encoder;
}

void mkv_otlp_encoder_destroy(struct mkv_otlp_encoder *encoder) {
    free(encoder);
}

/* ---- encoding ------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void set_attributes(struct span_room *room, const struct mkv_span *span) {
    MKV_ASSERT(span->attribute_count <= MKV_SPAN_ATTRIBUTES_MAX);
    for (uint32_t i = 0; i < span->attribute_count; i++) {
        const struct mkv_span_attribute *source = &span->attributes[i];
        struct attribute *target = &room->attributes[i];
        switch (source->value) {
        case MKV_SPAN_NUMBER:
            room->attribute_list[i] = set_number(target, source->name, source->number);
            break;
        case MKV_SPAN_REAL:
            room->attribute_list[i] = set_attribute(target, source->name);
            target->value.value_case =
                OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE;
            target->value.double_value = source->real;
            break;
        case MKV_SPAN_TRUTH:
            room->attribute_list[i] = set_attribute(target, source->name);
            target->value.value_case =
                OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE;
            target->value.bool_value = source->number != 0;
            break;
        case MKV_SPAN_TEXT:
            room->attribute_list[i] = set_text(target, source->name, source->text);
            break;
        case MKV_SPAN_COPIED:
            MKV_ASSERT(source->number < MKV_SPAN_COPIED_BYTES);
            room->attribute_list[i] = set_text(target, source->name, span->copied + source->number);
            break;
        }
    }
}

/* Behind those of the span. */
static void set_events(struct span_room *room, const struct mkv_span *span) {
    MKV_ASSERT(span->event_count <= MKV_SPAN_EVENTS_MAX);
    for (uint32_t i = 0; i < span->event_count; i++) {
        const struct mkv_span_event *source = &span->events[i];
        const uint32_t place = MKV_SPAN_ATTRIBUTES_MAX + i;
        proto_event *target = &room->events[i];
        opentelemetry__proto__trace__v1__span__event__init(target);
        target->name = text_of(source->name);
        target->time_unix_nano = source->time_ns;
        room->attribute_list[place] =
            set_number(&room->attributes[place], "duration_ns", source->duration_ns);
        target->n_attributes = 1;
        target->attributes = &room->attribute_list[place];
        room->event_list[i] = target;
    }
    room->span.n_events = span->event_count;
    room->span.events = room->event_list;
}

static proto_span *set_span(struct span_room *room, const struct mkv_span *span) {
    MKV_ASSERT(!is_zero(span->trace_id, sizeof span->trace_id));
    MKV_ASSERT(!is_zero(span->span_id, sizeof span->span_id));
    proto_span *target = &room->span;
    opentelemetry__proto__trace__v1__span__init(target);
    target->trace_id = (ProtobufCBinaryData){sizeof span->trace_id, bytes_of(span->trace_id)};
    target->span_id = (ProtobufCBinaryData){sizeof span->span_id, bytes_of(span->span_id)};
    if (!is_zero(span->parent_id, sizeof span->parent_id)) {
        target->parent_span_id =
            (ProtobufCBinaryData){sizeof span->parent_id, bytes_of(span->parent_id)};
    }
    target->name = text_of(span->name);
    target->kind = span->kind == MKV_SPAN_SERVER
                       ? OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_SERVER
                   : span->kind == MKV_SPAN_CLIENT
                       ? OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_CLIENT
                       : OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_INTERNAL;
    target->start_time_unix_nano = span->start_ns;
    target->end_time_unix_nano = span->end_ns;
    set_attributes(room, span);
    target->n_attributes = span->attribute_count;
    target->attributes = room->attribute_list;
    set_events(room, span);
    if (span->error != NULL) {
        opentelemetry__proto__trace__v1__status__init(&room->status);
        room->status.code = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
        room->status.message = text_of(span->error);
        target->status = &room->status;
    }
    return target;
}

size_t mkv_otlp_encode_spans(struct mkv_otlp_encoder *encoder, const struct mkv_span *spans,
                             uint32_t count, uint8_t target[MKV_OTLP_MESSAGE_BYTES_MAX]) {
    MKV_ASSERT(count >= 1);
    MKV_ASSERT(count <= MKV_OTLP_BATCH_SPANS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        encoder->span_list[i] = set_span(&encoder->spans[i], &spans[i]);
    }
    Opentelemetry__Proto__Trace__V1__ScopeSpans of_scope;
    opentelemetry__proto__trace__v1__scope_spans__init(&of_scope);
    of_scope.scope = &encoder->scope;
    of_scope.n_spans = count;
    of_scope.spans = encoder->span_list;
    Opentelemetry__Proto__Trace__V1__ScopeSpans *scopes[] = {&of_scope};
    Opentelemetry__Proto__Trace__V1__ResourceSpans of_resource;
    opentelemetry__proto__trace__v1__resource_spans__init(&of_resource);
    of_resource.resource = &encoder->resource;
    of_resource.n_scope_spans = 1;
    of_resource.scope_spans = scopes;
    Opentelemetry__Proto__Trace__V1__ResourceSpans *resources[] = {&of_resource};
    trace_request request;
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__init(&request);
    request.n_resource_spans = 1;
    request.resource_spans = resources;
    const size_t bytes =
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__get_packed_size(
            &request);
    MKV_ASSERT(bytes <= MKV_OTLP_MESSAGE_BYTES_MAX);
    const size_t packed =
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__pack(&request,
                                                                                       target);
    MKV_ASSERT(packed == bytes);
    return bytes;
}

static proto_record *set_record(struct span_room *room, const struct mkv_span *span) {
    proto_record *target = &room->record;
    opentelemetry__proto__logs__v1__log_record__init(target);
    opentelemetry__proto__common__v1__any_value__init(&room->body);
    room->body.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
    room->body.string_value = text_of(span->name);
    target->body = &room->body;
    target->time_unix_nano = span->start_ns;
    target->observed_time_unix_nano = span->start_ns;
    target->severity_number = OPENTELEMETRY__PROTO__LOGS__V1__SEVERITY_NUMBER__SEVERITY_NUMBER_INFO;
    target->severity_text = text_of("INFO");
    if (!is_zero(span->trace_id, sizeof span->trace_id)) {
        target->trace_id = (ProtobufCBinaryData){sizeof span->trace_id, bytes_of(span->trace_id)};
    }
    set_attributes(room, span);
    target->n_attributes = span->attribute_count;
    target->attributes = room->attribute_list;
    return target;
}

size_t mkv_otlp_encode_logs(struct mkv_otlp_encoder *encoder, const struct mkv_span *records,
                            uint32_t count, uint8_t target[MKV_OTLP_MESSAGE_BYTES_MAX]) {
    MKV_ASSERT(count >= 1);
    MKV_ASSERT(count <= MKV_OTLP_BATCH_SPANS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        encoder->record_list[i] = set_record(&encoder->spans[i], &records[i]);
    }
    Opentelemetry__Proto__Logs__V1__ScopeLogs of_scope;
    opentelemetry__proto__logs__v1__scope_logs__init(&of_scope);
    of_scope.scope = &encoder->scope;
    of_scope.n_log_records = count;
    of_scope.log_records = encoder->record_list;
    Opentelemetry__Proto__Logs__V1__ScopeLogs *scopes[] = {&of_scope};
    Opentelemetry__Proto__Logs__V1__ResourceLogs of_resource;
    opentelemetry__proto__logs__v1__resource_logs__init(&of_resource);
    of_resource.resource = &encoder->resource;
    of_resource.n_scope_logs = 1;
    of_resource.scope_logs = scopes;
    Opentelemetry__Proto__Logs__V1__ResourceLogs *resources[] = {&of_resource};
    logs_request request;
    opentelemetry__proto__collector__logs__v1__export_logs_service_request__init(&request);
    request.n_resource_logs = 1;
    request.resource_logs = resources;
    const size_t bytes =
        opentelemetry__proto__collector__logs__v1__export_logs_service_request__get_packed_size(
            &request);
    MKV_ASSERT(bytes <= MKV_OTLP_MESSAGE_BYTES_MAX);
    const size_t packed =
        opentelemetry__proto__collector__logs__v1__export_logs_service_request__pack(&request,
                                                                                     target);
    MKV_ASSERT(packed == bytes);
    return bytes;
}

/* ---- answers -------------------------------------------------------------------------------- */

struct reader {
    const uint8_t *next;
    const uint8_t *end;
};

static bool read_varint(struct reader *reader, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && reader->next < reader->end; shift += 7) {
        const uint8_t byte = *reader->next;
        reader->next++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

/* The fields of messages that these .proto files do not have yet, since they are of an older
 * release than partial success, which every collector sends. Of field 1: `value` is the number, or
 * `inner` the bytes. */
static bool read_field_1(struct reader message, uint64_t *value, struct reader *inner) {
    uint64_t tag;
    while (read_varint(&message, &tag)) {
        const uint64_t type = tag & 7;
        if (type == 0 && read_varint(&message, value)) {
            if (tag >> 3 == 1) {
                return true;
            }
            continue;
        }
        uint64_t bytes;
        if (type != 2 || !read_varint(&message, &bytes) ||
            bytes > (uint64_t)(message.end - message.next)) {
            return false;
        }
        if (tag >> 3 == 1) {
            *inner = (struct reader){message.next, message.next + bytes};
            return true;
        }
        message.next += bytes;
    }
    return false;
}

uint64_t mkv_otlp_rejected(const uint8_t *answer, size_t answer_bytes) {
    uint64_t rejected = 0;
    uint64_t none = 0;
    struct reader partial = {NULL, NULL};
    struct reader unused = {NULL, NULL};
    if (answer_bytes == 0 ||
        !read_field_1((struct reader){answer, answer + answer_bytes}, &none, &partial) ||
        partial.next == NULL || !read_field_1(partial, &rejected, &unused) || unused.next != NULL) {
        return 0;
    }
    return rejected;
}
