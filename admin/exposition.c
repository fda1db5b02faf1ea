/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "admin/text.h"

#define CONTENT_TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define CONTENT_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
/* The first room of the text: that of a node with few drives and tenants. */
#define FIRST_BYTES (256u * 1024u)
#define NS_PER_US 1e3
#define NS_PER_S 1e9
#define MS_PER_S 1e3
#define TOTAL "_total"

struct mkv_exposition {
    struct mkv_text text;
    const struct mkv_metric_family *family;
    enum mkv_exposition_format format;
};

/* Backslash and newline are escaped in every text, quotes where `quotes` says so. */
static void append_escaped(struct mkv_text *text, const char *source, bool quotes) {
    while (*source != '\0') {
        const size_t plain = strcspn(source, quotes ? "\\\n\"" : "\\\n");
        mkv_text_append(text, source, plain);
        source += plain;
        if (*source != '\0') {
            const char escaped[2] = {'\\', *source == '\n' ? 'n' : *source};
            mkv_text_append(text, escaped, sizeof escaped);
            source++;
        }
    }
}

/* Collectors take most values from the lists themselves. */
static bool is_in_list(const char *const *values, const char *value) {
    for (const char *const *at = values; *at != NULL; at++) {
        if (*at == value) {
            return true;
        }
    }
    for (; *values != NULL; values++) {
        if (strcmp(*values, value) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- series ---------------------------------------------------------------------------------- */

/* The labels without braces; returns how many there are. */
static uint32_t append_labels(struct mkv_exposition *out, const char *const *label_values) {
    uint32_t count = 0;
    for (const struct mkv_metric_label *label = out->family->labels; label->name != NULL; label++) {
        if (count > 0) {
            mkv_text_append(&out->text, ",", 1);
        }
        mkv_text_string(&out->text, label->name);
        mkv_text_append(&out->text, "=\"", 2);
        if (label->values != NULL) {
            MKV_ASSERT(is_in_list(label->values, label_values[count]));
            mkv_text_string(&out->text, label_values[count]);
        } else {
            char clean[MKV_ADMIN_PATH_BYTES];
            mkv_text_clean(label_values[count], clean, sizeof clean);
            append_escaped(&out->text, clean, true);
        }
        mkv_text_append(&out->text, "\"", 1);
        count++;
    }
    return count;
}

/* The name, with a suffix, and the labels. */
static void append_series(struct mkv_exposition *out, const char *suffix,
                          const char *const *label_values) {
    mkv_text_string(&out->text, out->family->name);
    mkv_text_string(&out->text, suffix);
    if (out->family->labels[0].name != NULL) {
        mkv_text_append(&out->text, "{", 1);
        append_labels(out, label_values);
        mkv_text_append(&out->text, "}", 1);
    }
    mkv_text_append(&out->text, " ", 1);
}

static void append_count(struct mkv_exposition *out, const char *suffix,
                         const char *const *label_values, uint64_t value) {
    append_series(out, suffix, label_values);
    mkv_text_u64(&out->text, value);
    mkv_text_append(&out->text, "\n", 1);
}

static void append_real(struct mkv_exposition *out, const char *suffix,
                        const char *const *label_values, double value) {
    MKV_ASSERT(isfinite(value));
    append_series(out, suffix, label_values);
    mkv_text_format(&out->text, "%.9f\n", value);
}

void mkv_exposition_count(struct mkv_exposition *out, const char *const *label_values,
                          uint64_t value) {
    append_count(out, "", label_values, value);
}

void mkv_exposition_real(struct mkv_exposition *out, const char *const *label_values,
                         double value) {
    append_real(out, "", label_values, value);
}

/* Turns the values of closed labels to the next combination, like an odometer; false behind the
 * last one. */
static bool next_values(const struct mkv_metric_label *labels, uint32_t places[],
                        const char *values[]) {
    for (uint32_t label = 0; labels[label].name != NULL; label++) {
        places[label]++;
        values[label] = labels[label].values[places[label]];
        if (values[label] != NULL) {
            return true;
        }
        places[label] = 0;
        values[label] = labels[label].values[0];
    }
    return false;
}

void mkv_exposition_zero(struct mkv_exposition *out) {
    static const struct mkv_histogram nothing = {.sum = 0};
    const struct mkv_metric_label *labels = out->family->labels;
    const char *values[MKV_METRIC_LABELS_MAX];
    uint32_t places[MKV_METRIC_LABELS_MAX] = {0};
    for (uint32_t label = 0; labels[label].name != NULL; label++) {
        if (labels[label].values == NULL) {
            return;
        }
        values[label] = labels[label].values[0];
    }
    do {
        if (out->family->type == MKV_METRIC_HISTOGRAM) {
            mkv_exposition_ladder(out, values, MKV_LADDER_US, &nothing, NULL);
        } else {
            mkv_exposition_count(out, values, 0);
        }
    } while (next_values(labels, places, values));
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

/* NAME_bucket{LABELS,le=" of one histogram: where it stands in the text, to be copied for each of
 * its buckets. */
struct bucket_prefix {
    size_t offset;
    size_t bytes;
};

static struct bucket_prefix append_bucket_prefix(struct mkv_exposition *out,
                                                 const char *const *label_values) {
    struct bucket_prefix prefix = {.offset = out->text.count};
    mkv_text_string(&out->text, out->family->name);
    mkv_text_string(&out->text, "_bucket{");
    if (append_labels(out, label_values) > 0) {
        mkv_text_append(&out->text, ",", 1);
    }
    mkv_text_string(&out->text, "le=\"");
    prefix.bytes = out->text.count - prefix.offset;
    return prefix;
}

/* What stands behind the prefix, without the line's end. */
static void append_bucket(struct mkv_exposition *out, const char *bound, uint64_t count) {
    mkv_text_string(&out->text, bound);
    mkv_text_append(&out->text, "\"} ", 3);
    mkv_text_u64(&out->text, count);
}

void mkv_exposition_histogram(struct mkv_exposition *out, const uint64_t *bounds,
                              const uint64_t *counts, uint32_t bound_count, uint64_t sum) {
    MKV_ASSERT(out->family->type == MKV_METRIC_HISTOGRAM);
    MKV_ASSERT(out->family->labels[0].name == NULL);
    uint64_t count = 0;
    for (uint32_t bound = 0; bound <= bound_count; bound++) {
        char text[BOUND_BYTES] = "+Inf";
        if (bound < bound_count) {
            bound_text(bounds[bound], text);
        }
        count += counts[bound];
        append_bucket_prefix(out, NULL);
        append_bucket(out, text, count);
        mkv_text_append(&out->text, "\n", 1);
    }
    append_count(out, "_sum", NULL, sum);
    append_count(out, "_count", NULL, count);
}

/* The bounds of core/histogram.h; a test compares them. */
static const char *const ladder_bounds[][MKV_HISTOGRAM_BOUNDS + 1] = {
    [MKV_LADDER_US] = {"1.0",      "2.0",      "5.0",      "10.0",    "20.0",
                       "50.0",     "100.0",    "200.0",    "500.0",   "1000.0",
                       "2000.0",   "5000.0",   "10000.0",  "20000.0", "50000.0",
                       "100000.0", "200000.0", "500000.0", "1e+06",   "2e+06",
                       "5e+06",    "1e+07",    "2e+07",    "5e+07",   "+Inf"},
    [MKV_LADDER_SECONDS] = {"1e-06",  "2e-06",  "5e-06", "1e-05", "2e-05", "5e-05", "0.0001",
                            "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01",  "0.02",
                            "0.05",   "0.1",    "0.2",   "0.5",   "1.0",   "2.0",   "5.0",
                            "10.0",   "20.0",   "50.0",  "+Inf"},
    [MKV_LADDER_SIZES] = {"1.0",          "2.0",          "4.0",          "8.0",
                          "16.0",         "32.0",         "64.0",         "128.0",
                          "256.0",        "512.0",        "1024.0",       "2048.0",
                          "4096.0",       "8192.0",       "16384.0",      "32768.0",
                          "65536.0",      "131072.0",     "262144.0",     "524288.0",
                          "1.048576e+06", "2.097152e+06", "4.194304e+06", "8.388608e+06",
                          "+Inf"},
};

static double in_unit(uint64_t value, enum mkv_ladder ladder) {
    return (double)value / (ladder == MKV_LADDER_US ? NS_PER_US : NS_PER_S);
}

/* A value of the bucket, and the trace that it belongs to. */
static void append_exemplar(struct mkv_exposition *out, enum mkv_ladder ladder,
                            const struct mkv_admin_exemplar *exemplar) {
    static const uint8_t none[sizeof exemplar->trace_id] = {0};
    if (memcmp(exemplar->trace_id, none, sizeof none) == 0) {
        return;
    }
    char trace_id[2 * sizeof exemplar->trace_id + 1];
    for (size_t index = 0; index < sizeof exemplar->trace_id; index++) {
        snprintf(trace_id + 2 * index, 3, "%02x", exemplar->trace_id[index]);
    }
    mkv_text_format(&out->text, " # {trace_id=\"%s\"} %.9f %.3f", trace_id,
                    in_unit(exemplar->value_ns, ladder), (double)exemplar->wall_ms / MS_PER_S);
}

void mkv_exposition_ladder(struct mkv_exposition *out, const char *const *label_values,
                           enum mkv_ladder ladder, const struct mkv_histogram *histogram,
                           const struct mkv_admin_exemplars *exemplars) {
    MKV_ASSERT(out->family->type == MKV_METRIC_HISTOGRAM);
    MKV_ASSERT(exemplars == NULL || ladder != MKV_LADDER_SIZES);
    const struct bucket_prefix prefix = append_bucket_prefix(out, label_values);
    uint64_t count = 0;
    for (uint32_t bound = 0; bound <= MKV_HISTOGRAM_BOUNDS; bound++) {
        if (bound > 0) {
            mkv_text_again(&out->text, prefix.offset, prefix.bytes);
        }
        count += histogram->counts[bound];
        append_bucket(out, ladder_bounds[ladder][bound], count);
        if (exemplars != NULL && out->format == MKV_EXPOSITION_OPENMETRICS) {
            append_exemplar(out, ladder, &exemplars->buckets[bound]);
        }
        mkv_text_append(&out->text, "\n", 1);
    }
    if (ladder == MKV_LADDER_SIZES) {
        append_count(out, "_sum", label_values, histogram->sum);
    } else {
        append_real(out, "_sum", label_values, in_unit(histogram->sum, ladder));
    }
    append_count(out, "_count", label_values, count);
}

/* ---- families -------------------------------------------------------------------------------- */

static bool ends_with(const char *name, size_t name_bytes, const char *end) {
    const size_t end_bytes = strlen(end);
    return name_bytes >= end_bytes && memcmp(name + name_bytes - end_bytes, end, end_bytes) == 0;
}

/* Whether the first bytes of a name are the whole name of a family. */
static bool is_family(const char *name, size_t name_bytes) {
    const size_t count = mkv_metric_family_count();
    for (size_t index = 0; index < count; index++) {
        const char *other = mkv_metric_family(index)->name;
        if (strncmp(other, name, name_bytes) == 0 && other[name_bytes] == '\0') {
            return true;
        }
    }
    return false;
}

/* How a family is called in the lines about it, and its type: I4. */
static size_t describe(const struct mkv_exposition *out, const char **type) {
    static const char *const types[] = {[MKV_METRIC_COUNTER] = "counter",
                                        [MKV_METRIC_GAUGE] = "gauge",
                                        [MKV_METRIC_HISTOGRAM] = "histogram"};
    const struct mkv_metric_family *family = out->family;
    const size_t bytes = strlen(family->name);
    *type = types[family->type];
    if (out->format != MKV_EXPOSITION_OPENMETRICS || family->type != MKV_METRIC_COUNTER) {
        return bytes;
    }
    MKV_ASSERT(ends_with(family->name, bytes, TOTAL));
    if (is_family(family->name, bytes - strlen(TOTAL))) {
        *type = "unknown";
        return bytes;
    }
    return bytes - strlen(TOTAL);
}

static void append_unit(struct mkv_exposition *out, size_t name_bytes) {
    static const char *const units[] = {"seconds", "bytes", "ratio"};
    const struct mkv_metric_family *family = out->family;
    for (size_t place = 0; place < sizeof units / sizeof units[0]; place++) {
        const size_t unit_bytes = strlen(units[place]);
        if (strcmp(family->unit, units[place]) == 0 &&
            ends_with(family->name, name_bytes, units[place]) &&
            family->name[name_bytes - unit_bytes - 1] == '_') {
            mkv_text_format(&out->text, "# UNIT %.*s %s\n", (int)name_bytes, family->name,
                            units[place]);
        }
    }
}

static void append_family(struct mkv_exposition *out, const struct mkv_metric_sources *sources,
                          const struct mkv_metric_family *family) {
    out->family = family;
    const bool openmetrics = out->format == MKV_EXPOSITION_OPENMETRICS;
    const char *type;
    const size_t name_bytes = describe(out, &type);
    mkv_text_string(&out->text, "# HELP ");
    mkv_text_append(&out->text, family->name, name_bytes);
    mkv_text_append(&out->text, " ", 1);
    append_escaped(&out->text, family->help, openmetrics);
    mkv_text_string(&out->text, "\n# TYPE ");
    mkv_text_append(&out->text, family->name, name_bytes);
    mkv_text_append(&out->text, " ", 1);
    mkv_text_string(&out->text, type);
    mkv_text_append(&out->text, "\n", 1);
    if (openmetrics) {
        append_unit(out, name_bytes);
    }
    family->collect(sources, family->argument, out);
}

char *mkv_exposition_family(const struct mkv_metric_sources *sources,
                            const struct mkv_metric_family *family,
                            enum mkv_exposition_format format) {
    struct mkv_exposition out = {.format = format};
    append_family(&out, sources, family);
    if (out.text.failed) {
        mkv_text_free(&out.text);
    }
    return out.text.bytes;
}

struct mkv_admin_reply mkv_admin_metrics(const struct mkv_metric_sources *sources,
                                         enum mkv_exposition_format format) {
    struct mkv_exposition out = {.format = format};
    mkv_text_room(&out.text, FIRST_BYTES);
    for (size_t group = 0; group < MKV_METRIC_GROUP_COUNT; group++) {
        for (size_t index = 0; index < mkv_metric_groups[group]->count; index++) {
            append_family(&out, sources, &mkv_metric_groups[group]->families[index]);
        }
    }
    if (format == MKV_EXPOSITION_OPENMETRICS) {
        mkv_text_string(&out.text, "# EOF\n");
    }
    if (out.text.failed) {
        mkv_text_free(&out.text);
    }
    return (struct mkv_admin_reply){
        .status = MHD_HTTP_OK,
        .content_type =
            format == MKV_EXPOSITION_OPENMETRICS ? CONTENT_TYPE_OPENMETRICS : CONTENT_TYPE_TEXT,
        .body = out.text.bytes,
        .body_bytes = out.text.count,
    };
}
