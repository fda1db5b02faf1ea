/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "admin/text.h"

#define NS_PER_US 1e3
#define NS_PER_S 1e9
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

/* The name, with a suffix, and the labels; `bound` is that of a bucket, NULL where it is none. */
static void append_series(struct mkv_exposition *out, const char *suffix,
                          const char *const *label_values, const char *bound) {
    mkv_text_string(&out->text, out->family->name);
    mkv_text_string(&out->text, suffix);
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
    if (bound != NULL) {
        mkv_text_string(&out->text, count == 0 ? "{" : ",");
        mkv_text_string(&out->text, "le=\"");
        mkv_text_string(&out->text, bound);
        mkv_text_string(&out->text, "\"");
        count++;
    }
    if (count > 0) {
        mkv_text_string(&out->text, "}");
    }
}

static void append_sample(struct mkv_exposition *out, const char *suffix,
                          const char *const *label_values, const char *bound, uint64_t value) {
    append_series(out, suffix, label_values, bound);
    mkv_text_format(&out->text, " %" PRIu64 "\n", value);
}

static void append_real(struct mkv_exposition *out, const char *suffix,
                        const char *const *label_values, double value) {
    MKV_ASSERT(isfinite(value));
    append_series(out, suffix, label_values, NULL);
    mkv_text_format(&out->text, " %.9f\n", value);
}

void mkv_exposition_count(struct mkv_exposition *out, const char *const *label_values,
                          uint64_t value) {
    append_sample(out, "", label_values, NULL, value);
}

void mkv_exposition_real(struct mkv_exposition *out, const char *const *label_values,
                         double value) {
    append_real(out, "", label_values, value);
}

void mkv_exposition_zero(struct mkv_exposition *out) {
    static const struct mkv_histogram nothing = {.sum = 0};
    const struct mkv_metric_label *labels = out->family->labels;
    const char *values[MKV_METRIC_LABELS_MAX];
    uint32_t places[MKV_METRIC_LABELS_MAX] = {0};
    uint32_t label_count = 0;
    for (; labels[label_count].name != NULL; label_count++) {
        if (labels[label_count].values == NULL) {
            return;
        }
        values[label_count] = labels[label_count].values[0];
    }
    /* Counts through all combinations like an odometer. */
    uint32_t turned = 0;
    while (turned < label_count || label_count == 0) {
        if (out->family->type == MKV_METRIC_HISTOGRAM) {
            mkv_exposition_ladder(out, values, MKV_LADDER_US, &nothing);
        } else {
            mkv_exposition_count(out, values, 0);
        }
        if (label_count == 0) {
            return;
        }
        for (turned = 0; turned < label_count; turned++) {
            places[turned]++;
            values[turned] = labels[turned].values[places[turned]];
            if (values[turned] != NULL) {
                break;
            }
            places[turned] = 0;
            values[turned] = labels[turned].values[0];
        }
    }
}

/* ---- histograms ------------------------------------------------------------------------------ */

#define BOUND_BYTES 32u

/* A whole number as OpenMetrics writes bounds: "16.0", "100000.0", "1e+06", "2.097152e+06". */
static void bound_text(uint64_t bound, char target[BOUND_BYTES]) {
    char digits[24];
    const int count = snprintf(digits, sizeof digits, "%" PRIu64, bound);
    if (count <= 6) {
        snprintf(target, BOUND_BYTES, "%s.0", digits);
        return;
    }
    int kept = count;
    while (kept > 1 && digits[kept - 1] == '0') {
        kept--;
    }
    snprintf(target, BOUND_BYTES, "%c%s%.*se+%02d", digits[0], kept > 1 ? "." : "", kept - 1,
             digits + 1, count - 1);
}

void mkv_exposition_histogram(struct mkv_exposition *out, const uint64_t *bounds,
                              const uint64_t *counts, uint32_t bound_count, uint64_t sum) {
    MKV_ASSERT(out->family->type == MKV_METRIC_HISTOGRAM);
    MKV_ASSERT(out->family->labels[0].name == NULL);
    uint64_t count = 0;
    for (uint32_t bound = 0; bound < bound_count; bound++) {
        char text[BOUND_BYTES];
        bound_text(bounds[bound], text);
        count += counts[bound];
        append_sample(out, "_bucket", NULL, text, count);
    }
    count += counts[bound_count];
    append_sample(out, "_bucket", NULL, "+Inf", count);
    append_sample(out, "_sum", NULL, NULL, sum);
    append_sample(out, "_count", NULL, NULL, count);
}

/* The bounds of core/histogram.h; a test compares them. */
static const char *const ladder_bounds[][MKV_HISTOGRAM_BOUNDS] = {
    [MKV_LADDER_US] = {"1.0",     "2.0",     "5.0",     "10.0",     "20.0",     "50.0",
                       "100.0",   "200.0",   "500.0",   "1000.0",   "2000.0",   "5000.0",
                       "10000.0", "20000.0", "50000.0", "100000.0", "200000.0", "500000.0",
                       "1e+06",   "2e+06",   "5e+06",   "1e+07",    "2e+07",    "5e+07"},
    [MKV_LADDER_SECONDS] = {"1e-06",  "2e-06",  "5e-06",  "1e-05", "2e-05", "5e-05",
                            "0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005",
                            "0.01",   "0.02",   "0.05",   "0.1",   "0.2",   "0.5",
                            "1.0",    "2.0",    "5.0",    "10.0",  "20.0",  "50.0"},
    [MKV_LADDER_SIZES] = {"1.0",          "2.0",          "4.0",          "8.0",         "16.0",
                          "32.0",         "64.0",         "128.0",        "256.0",       "512.0",
                          "1024.0",       "2048.0",       "4096.0",       "8192.0",      "16384.0",
                          "32768.0",      "65536.0",      "131072.0",     "262144.0",    "524288.0",
                          "1.048576e+06", "2.097152e+06", "4.194304e+06", "8.388608e+06"},
};

void mkv_exposition_ladder(struct mkv_exposition *out, const char *const *label_values,
                           enum mkv_ladder ladder, const struct mkv_histogram *histogram) {
    MKV_ASSERT(out->family->type == MKV_METRIC_HISTOGRAM);
    uint64_t count = 0;
    for (uint32_t bound = 0; bound < MKV_HISTOGRAM_BOUNDS; bound++) {
        count += histogram->counts[bound];
        append_sample(out, "_bucket", label_values, ladder_bounds[ladder][bound], count);
    }
    count += histogram->counts[MKV_HISTOGRAM_BOUNDS];
    append_sample(out, "_bucket", label_values, "+Inf", count);
    if (ladder == MKV_LADDER_SIZES) {
        append_sample(out, "_sum", label_values, NULL, histogram->sum);
    } else {
        append_real(out, "_sum", label_values,
                    (double)histogram->sum / (ladder == MKV_LADDER_US ? NS_PER_US : NS_PER_S));
    }
    append_sample(out, "_count", label_values, NULL, count);
}

/* ---- the text -------------------------------------------------------------------------------- */

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
    for (size_t group = 0; group < MKV_METRIC_GROUP_COUNT; group++) {
        for (size_t index = 0; index < mkv_metric_groups[group]->count; index++) {
            append_family(&out, sources, &mkv_metric_groups[group]->families[index]);
        }
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
