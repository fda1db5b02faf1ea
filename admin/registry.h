/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of metrics: one table with an entry for each family that this release tells the
 * truth about. The exposition is made from it, and nothing else names a metric.
 *
 *   registry_table.c    the table            registry_collect.c    how samples are gathered
 *   exposition.c        the text that scrapers read
 *
 * Invariants
 *  I1  Names, types, units and label names are those of the contract (tests/contract/metrics.tsv);
 *      a test compares them. A rename or a change of meaning is a break for whoever has a
 * dashboard. I2  A family is there from the first scrape: where nothing has happened its value is
 * 0. I3  Every label is bounded, by a closed list of values or by a count. I4  Collecting reads the
 * sources, changes nothing, and takes time linear in the drives.
 *
 * Not responsible for: families whose figures nobody counts yet. They have no entry.
 */
#ifndef MKV_ADMIN_REGISTRY_H
#define MKV_ADMIN_REGISTRY_H

#include "admin/process.h"
#include "admin/routes.h"
#include "admin/snapshot.h"

enum mkv_metric_type {
    MKV_METRIC_COUNTER,
    MKV_METRIC_GAUGE,
    MKV_METRIC_HISTOGRAM,
};

struct mkv_metric_label {
    const char *name;
    const char *const *values; /* closed by NULL; NULL where the set is open */
    uint32_t values_max;       /* of an open set: values at a time */
};
#define MKV_METRIC_LABELS_MAX 7u

/* What samples are made from. */
struct mkv_metric_sources {
    const struct mkv_admin_snapshot *snapshot;
    const struct mkv_admin_counters *counters;
    const struct mkv_admin_process *process;
};

struct mkv_exposition;

struct mkv_metric_family {
    const char *name;
    enum mkv_metric_type type;
    const char *unit;
    const struct mkv_metric_label *labels; /* closed by one without a name */
    /* Hands one sample after another to the exposition (exposition.h). What `argument` means is the
     * function's own. */
    void (*collect)(const struct mkv_metric_sources *sources, size_t argument,
                    struct mkv_exposition *out);
    size_t argument;
    const char *help;   /* what is counted; one sentence without its point */
    const char *why;    /* when one looks at it */
    const char *action; /* what an operator does about it */
};

extern const struct mkv_metric_family mkv_metric_families[];
extern const size_t mkv_metric_family_count;

#endif
