/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <microhttpd.h>
#include <string.h>

#include "admin/text.h"

#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct mkv_exposition {
    struct mkv_text text;
    const struct mkv_metric_family *family;
};

static const char *type_name(enum mkv_metric_type type) {
    switch (type) {
    case MKV_METRIC_COUNTER:
        return "counter";
    case MKV_METRIC_GAUGE:
        return "gauge";
    case MKV_METRIC_HISTOGRAM:
        return "histogram";
    }
    MKV_ASSERT(false);
    return NULL;
}

/* Backslash and newline are escaped in every text, quotes in label values alone. */
static void append_escaped(struct mkv_text *text, const char *source, bool label) {
    for (; *source != '\0'; source++) {
        if (*source == '\\') {
            mkv_text_append(text, "\\\\", 2);
        } else if (*source == '\n') {
            mkv_text_append(text, "\\n", 2);
        } else if (*source == '"' && label) {
            mkv_text_append(text, "\\\"", 2);
        } else {
            mkv_text_append(text, source, 1);
        }
    }
}

static bool is_in_list(const char *const *values, const char *value) {
    for (; *values != NULL; values++) {
        if (strcmp(*values, value) == 0) {
            return true;
        }
    }
    return false;
}

static void append_series(struct mkv_exposition *out, const char *const *label_values) {
    mkv_text_string(&out->text, out->family->name);
    uint32_t count = 0;
    for (const struct mkv_metric_label *label = out->family->labels; label->name != NULL; label++) {
        char clean[MKV_ADMIN_PATH_BYTES];
        mkv_text_clean(label_values[count], clean, sizeof clean);
        MKV_ASSERT(label->values == NULL || is_in_list(label->values, clean));
        mkv_text_string(&out->text, count == 0 ? "{" : ",");
        mkv_text_string(&out->text, label->name);
        mkv_text_string(&out->text, "=\"");
        append_escaped(&out->text, clean, true);
        mkv_text_string(&out->text, "\"");
        count++;
    }
    if (count > 0) {
        mkv_text_string(&out->text, "}");
    }
}

void mkv_exposition_count(struct mkv_exposition *out, const char *const *label_values,
                          uint64_t value) {
    append_series(out, label_values);
    mkv_text_format(&out->text, " %" PRIu64 "\n", value);
}

void mkv_exposition_real(struct mkv_exposition *out, const char *const *label_values,
                         double value) {
    MKV_ASSERT(isfinite(value));
    append_series(out, label_values);
    mkv_text_format(&out->text, " %.9f\n", value);
}

void mkv_exposition_histogram(struct mkv_exposition *out, const uint64_t *bounds,
                              const uint64_t *counts, uint32_t bound_count, uint64_t sum) {
    const char *name = out->family->name;
    MKV_ASSERT(out->family->type == MKV_METRIC_HISTOGRAM);
    MKV_ASSERT(out->family->labels[0].name == NULL);
    uint64_t count = 0;
    for (uint32_t bound = 0; bound < bound_count; bound++) {
        count += counts[bound];
        mkv_text_format(&out->text, "%s_bucket{le=\"%" PRIu64 "\"} %" PRIu64 "\n", name,
                        bounds[bound], count);
    }
    count += counts[bound_count];
    mkv_text_format(&out->text, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    mkv_text_format(&out->text, "%s_sum %" PRIu64 "\n%s_count %" PRIu64 "\n", name, sum, name,
                    count);
}

static void append_family(struct mkv_exposition *out, const struct mkv_metric_sources *sources,
                          const struct mkv_metric_family *family) {
    out->family = family;
    mkv_text_format(&out->text, "# HELP %s ", family->name);
    append_escaped(&out->text, family->help, false);
    mkv_text_format(&out->text, "\n# TYPE %s %s\n", family->name, type_name(family->type));
    family->collect(sources, family->argument, out);
}

char *mkv_exposition_family(const struct mkv_metric_sources *sources,
                            const struct mkv_metric_family *family) {
    struct mkv_exposition out = {0};
    append_family(&out, sources, family);
    if (out.text.failed) {
        mkv_text_free(&out.text);
    }
    return out.text.bytes;
}

struct mkv_admin_reply mkv_admin_metrics(const struct mkv_metric_sources *sources) {
    struct mkv_exposition out = {0};
    for (size_t index = 0; index < mkv_metric_family_count; index++) {
        append_family(&out, sources, &mkv_metric_families[index]);
    }
    if (out.text.failed) {
        mkv_text_free(&out.text);
    }
    return (struct mkv_admin_reply){
        .status = MHD_HTTP_OK,
        .content_type = CONTENT_TYPE,
        .body = out.text.bytes,
        .body_bytes = out.text.count,
    };
}
