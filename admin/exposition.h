/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics as scrapers read them, in one of two formats. The text format of Prometheus, version
 * 0.0.4, for all who do not ask for another:
 *
 *     # HELP memkv_miss_keys_total Keys that were not found, by reason
 *     # TYPE memkv_miss_keys_total counter
 *     memkv_miss_keys_total{reason="unknown"} 12
 *
 * and OpenMetrics 1.0 (https://openmetrics.io) for those who do:
 *
 *     # HELP memkv_miss_keys Keys that were not found, by reason
 *     # TYPE memkv_miss_keys counter
 *     memkv_miss_keys_total{reason="unknown"} 12
 *     # HELP memkv_dispatch_duration_seconds Time of one step …
 *     # TYPE memkv_dispatch_duration_seconds histogram
 *     # UNIT memkv_dispatch_duration_seconds seconds
 *     memkv_dispatch_duration_seconds_bucket{le="2e-06"} 4 # {trace_id="0af7…"} 0.0000015 17672336
 *     # EOF
 *
 * A histogram's samples are NAME_bucket{le="BOUND"}, which count all values up to the bound,
 * NAME_sum and NAME_count. Bounds are written as OpenMetrics wants them ("1.0", "1e+06") in both
 * formats, so that the names of series do not depend on the format.
 *
 * Invariants
 *  I1  A family's lines stand together: HELP, TYPE, UNIT, samples.
 *  I2  A sample has every label of its family, in the table's order, and values of closed lists
 *      come from them; anything else is a programmer's error.
 *  I3  Label values are UTF-8 with backslash, quote and newline escaped, whatever a drive is named.
 *  I4  In OpenMetrics a counter's family has its name without _total. Where that is the name of
 *      another family (memkv_tenant_bytes), it is of type unknown and keeps its name. UNIT is there
 *      only where the family's name ends in that very word, since Prometheus refuses the whole
 *      scrape otherwise.
 *  I5  Making the text allocates for the text as a whole, not for samples.
 *
 * Not responsible for: which samples there are (registry.h), what a client asked for (accept.h).
 */
#ifndef MKV_ADMIN_EXPOSITION_H
#define MKV_ADMIN_EXPOSITION_H

#include "admin/registry.h"
#include "admin/reply.h"

enum mkv_exposition_format {
    MKV_EXPOSITION_TEXT = 0,
    MKV_EXPOSITION_OPENMETRICS,
};

/* One sample of the family being collected. `label_values` has one text for each label, and is
 * ignored where the family has none. */
void mkv_exposition_count(struct mkv_exposition *out, const char *const *label_values,
                          uint64_t value);
/* A finite number. */
void mkv_exposition_real(struct mkv_exposition *out, const char *const *label_values, double value);

/* 0 for every combination of the values of closed labels. Nothing of a family with an open one. */
void mkv_exposition_zero(struct mkv_exposition *out);

/* All samples of a histogram without labels: the values that each bound takes and the one before
 * does not, then those above the last bound; and the sum of all values. */
void mkv_exposition_histogram(struct mkv_exposition *out, const uint64_t *bounds,
                              const uint64_t *counts, uint32_t bound_count, uint64_t sum);

/* What the values of a histogram are, and what their bounds are written in. */
enum mkv_ladder {
    MKV_LADDER_US = 0,  /* nanoseconds, in microseconds */
    MKV_LADDER_SECONDS, /* nanoseconds, in seconds */
    MKV_LADDER_SIZES,   /* counts */
};
/* All samples of a histogram of core/histogram.h with these values of the family's labels. Its
 * buckets show `exemplars` in OpenMetrics; NULL for none. */
void mkv_exposition_ladder(struct mkv_exposition *out, const char *const *label_values,
                           enum mkv_ladder ladder, const struct mkv_histogram *histogram,
                           const struct mkv_admin_exemplars *exemplars);

/* Every family of the registry. */
struct mkv_admin_reply mkv_admin_metrics(const struct mkv_metric_sources *sources,
                                         enum mkv_exposition_format format);

/* The lines of one family; the caller frees them. NULL when there is no memory. */
char *mkv_exposition_family(const struct mkv_metric_sources *sources,
                            const struct mkv_metric_family *family,
                            enum mkv_exposition_format format);

#endif
