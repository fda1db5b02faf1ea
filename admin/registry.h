/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of metrics: an entry for each family that there is. The exposition, the catalog and
 * docs/metrics.md are made from it, and nothing else names a metric.
 *
 *   registry_requests.c  registry_transport.c registry_drives.c   a group or two of families each,
 *   registry_memory.c    registry_retention.c registry_pipeline.c with how they gather samples
 *   registry_node.c
 *   registry_collect.c   what most of them gather samples with
 *   registry_table.c     the groups, in the order of the contract
 *   exposition.c         the text that scrapers read
 *
 * Invariants
 *  I1  Names, types, units and label names are those of the contract (tests/contract/metrics.tsv),
 *      and its families are all there, in its order; a test compares them. A rename or a change of
 *      meaning is a break for whoever has a dashboard.
 *  I2  A family is there from the first scrape: where nothing has happened its value is 0. Where
 *      that cannot change in this release, `pending` says why.
 *  I3  Every label is bounded, by a closed list of values or by a count.
 *  I4  Collecting reads the sources, changes nothing, and takes time linear in drives and tenants.
 *
 * Not responsible for: counting. The sources do.
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
    const char *source;                    /* who counts: one of mkv_metric_source_names */
    /* Hands one sample after another to the exposition (exposition.h). What `argument` means is the
     * function's own. */
    void (*collect)(const struct mkv_metric_sources *sources, size_t argument,
                    struct mkv_exposition *out);
    size_t argument;
    const char *pending; /* why it is always 0 in this release; NULL where it is not */
    const char *help;    /* what is counted; one sentence without its point */
    const char *why;     /* when one looks at it */
    const char *action;  /* what an operator does about it */
};

/* front, volume, drive, fabric, arena, observer, node, admin, log, telemetry, traces, process; and
 * none, of a family whose feature is not there. Closed by NULL. */
extern const char *const mkv_metric_source_names[];

struct mkv_metric_group {
    const char *title;
    const struct mkv_metric_family *families;
    size_t count;
};
#define MKV_METRIC_GROUP_COUNT 10u
/* In the order of the contract. */
extern const struct mkv_metric_group *const mkv_metric_groups[MKV_METRIC_GROUP_COUNT];

/* Families of all groups. */
size_t mkv_metric_family_count(void);
/* One of them, in the order of the contract. */
const struct mkv_metric_family *mkv_metric_family(size_t index);

#endif
