/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/request_trace.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim/trace_text_file.h"

/* A name as the trace has it, and the reference where it stands. */
struct name {
    uint64_t value;
    uint32_t reference;
};

struct parser {
    struct mkv_request_trace *trace;
    const char *path;
    uint32_t line;
    char *error;
    struct name *names; /* by reference */
    uint32_t request_max;
    uint32_t reference_max;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct parser *parser, const char *format,
                                                        ...) {
    char text[MKV_TRACE_ERROR_BYTES / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(parser->error, MKV_TRACE_ERROR_BYTES, "%.100s:%u: %s", parser->path, parser->line,
             text);
    return false;
}

/* Makes room for `count` more, doubling. */
static bool grow(void **array, uint32_t *count_max, uint32_t needed, size_t bytes) {
    if (needed <= *count_max) {
        return true;
    }
    const uint32_t wanted = needed > UINT32_MAX / 2 ? needed : needed * 2;
    void *larger = realloc(*array, (size_t)wanted * bytes);
    if (larger == NULL) {
        return false;
    }
    *array = larger;
    *count_max = wanted;
    return true;
}

static bool add_request(struct parser *parser, const json_t *object) {
    struct mkv_request_trace *trace = parser->trace;
    const json_t *timestamp = json_object_get(object, "timestamp");
    const json_t *ids = json_object_get(object, "hash_ids");
    if (!json_is_number(timestamp) || json_number_value(timestamp) < 0) {
        return wrong(parser, "'timestamp' is no number of milliseconds from 0 on");
    }
    if (!json_is_array(ids)) {
        return wrong(parser, "'hash_ids' is no list of numbers");
    }
    const size_t count = json_array_size(ids);
    if (trace->request_count == MKV_TRACE_REQUESTS_MAX ||
        count > MKV_TRACE_REFERENCES_MAX - trace->reference_count) {
        return wrong(parser, "there are more than %u requests or %u blocks in them; cut the trace",
                     MKV_TRACE_REQUESTS_MAX, MKV_TRACE_REFERENCES_MAX);
    }
    if (!grow((void **)&trace->requests, &parser->request_max, trace->request_count + 1,
              sizeof(struct mkv_trace_request)) ||
        !grow((void **)&parser->names, &parser->reference_max,
              trace->reference_count + (uint32_t)count, sizeof(struct name))) {
        return wrong(parser, "there is no memory for so long a trace");
    }
    const uint64_t time_ms = (uint64_t)json_number_value(timestamp);
    if (trace->request_count > 0 &&
        time_ms < trace->requests[trace->request_count - 1].timestamp_ms) {
        return wrong(parser, "'timestamp' falls; sort the lines by it");
    }
    trace->requests[trace->request_count++] =
        (struct mkv_trace_request){time_ms, trace->reference_count, (uint32_t)count};
    for (size_t index = 0; index < count; index++) {
        const json_t *id = json_array_get(ids, index);
        if (!json_is_integer(id)) {
            return wrong(parser, "'hash_ids' is no list of whole numbers below 2^63");
        }
        parser->names[trace->reference_count] =
            (struct name){(uint64_t)json_integer_value(id), trace->reference_count};
        trace->reference_count++;
    }
    return true;
}

static bool parse_lines(struct parser *parser, const char *text, size_t text_bytes) {
    const char *end = text + text_bytes;
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const size_t line_bytes = (size_t)((stop != NULL ? stop : end) - text);
        parser->line++;
        if (line_bytes > 0) {
            json_error_t json_error;
            json_t *object = json_loadb(text, line_bytes, 0, &json_error);
            if (object == NULL) {
                return wrong(parser, "is no JSON object: %.80s", json_error.text);
            }
            const bool added = add_request(parser, object);
            json_decref(object);
            if (!added) {
                return false;
            }
        }
        text += line_bytes + 1;
    }
    return parser->trace->reference_count > 0 || wrong(parser, "the trace names no block");
}

static int compare_names(const void *left, const void *right) {
    const struct name *a = left;
    const struct name *b = right;
    if (a->value != b->value) {
        return a->value < b->value ? -1 : 1;
    }
    return a->reference < b->reference ? -1 : a->reference > b->reference;
}

/* Gives each name a number, in the order of first use. */
static bool number_blocks(struct parser *parser) {
    struct mkv_request_trace *trace = parser->trace;
    trace->blocks = malloc(trace->reference_count * sizeof *trace->blocks);
    if (trace->blocks == NULL) {
        return wrong(parser, "there is no memory for so long a trace");
    }
    qsort(parser->names, trace->reference_count, sizeof *parser->names, compare_names);
    /* First each reference learns where its name was used first. */
    uint32_t first = 0;
    for (uint32_t index = 0; index < trace->reference_count; index++) {
        const struct name *name = &parser->names[index];
        if (index == 0 || name->value != parser->names[index - 1].value) {
            first = name->reference;
        }
        trace->blocks[name->reference] = first;
    }
    for (uint32_t reference = 0; reference < trace->reference_count; reference++) {
        const uint32_t known = trace->blocks[reference];
        trace->blocks[reference] = known == reference ? trace->block_count++ : trace->blocks[known];
    }
    return true;
}

static bool names_once(struct parser *parser) {
    const struct mkv_request_trace *trace = parser->trace;
    uint32_t *seen = calloc(trace->block_count, sizeof *seen);
    if (seen == NULL) {
        return wrong(parser, "there is no memory for so long a trace");
    }
    bool once = true;
    for (uint32_t index = 0; once && index < trace->request_count; index++) {
        const struct mkv_trace_request *request = &trace->requests[index];
        for (uint32_t at = 0; at < request->count; at++) {
            uint32_t *last = &seen[trace->blocks[request->first + at]];
            once = once && *last != index + 1;
            *last = index + 1;
        }
        parser->line = index + 1;
    }
    free(seen);
    return once || wrong(parser, "a request names a block twice; a prefix has each block once");
}

bool mkv_request_trace_parse(struct mkv_request_trace *trace, const char *name, const char *text,
                             size_t text_bytes, char error[MKV_TRACE_ERROR_BYTES]) {
    *trace = (struct mkv_request_trace){0};
    struct parser parser = {.trace = trace, .path = name, .error = error};
    const bool parsed =
        parse_lines(&parser, text, text_bytes) && number_blocks(&parser) && names_once(&parser);
    free(parser.names);
    return parsed;
}

bool mkv_request_trace_load(struct mkv_request_trace *trace, const char *path,
                            char error[MKV_TRACE_ERROR_BYTES]) {
    *trace = (struct mkv_request_trace){0};
    struct mkv_trace_text text;
    if (!mkv_trace_text_read(&text, path, error)) {
        return false;
    }
    const bool parsed =
        mkv_request_trace_parse(trace, path, (const char *)text.bytes, text.count, error);
    mkv_trace_text_free(&text);
    return parsed;
}

void mkv_request_trace_free(struct mkv_request_trace *trace) {
    free(trace->requests);
    free(trace->blocks);
    *trace = (struct mkv_request_trace){0};
}
