/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tables of the registry (registry_requests.c and its siblings) are written with: the
 * shape of a row, labels that several groups have, and functions that gather samples. Most of these
 * take the offset of a figure as their argument, so that one serves many families.
 *
 *     COUNTER("memkv_x_total", "requests", mkv_by_device, "volume", drive, OF_VOLUME(x_total),
 *             "help", "why", "action"),
 *
 * Not responsible for: which families there are.
 */
#ifndef MKV_ADMIN_REGISTRY_COLLECT_H
#define MKV_ADMIN_REGISTRY_COLLECT_H

#include "admin/exposition.h"
#include "admin/figures.h"
#include "admin/registry.h"
#include "admin/words.h"

/* ---- rows ------------------------------------------------------------------------------------ */

#define MKV_METRIC_ROW(type, name, unit, labels, source, collect, argument, pending, help, why,    \
                       action)                                                                     \
    {                                                                                              \
        name, type, unit, labels, source, mkv_collect_##collect, argument, pending, help, why,     \
            action                                                                                 \
    }
#define COUNTER(name, unit, labels, source, collect, argument, help, why, action)                  \
    MKV_METRIC_ROW(MKV_METRIC_COUNTER, name, unit, labels, source, collect, argument, NULL, help,  \
                   why, action)
#define GAUGE(name, unit, labels, source, collect, argument, help, why, action)                    \
    MKV_METRIC_ROW(MKV_METRIC_GAUGE, name, unit, labels, source, collect, argument, NULL, help,    \
                   why, action)
#define HISTOGRAM(name, unit, labels, source, collect, argument, help, why, action)                \
    MKV_METRIC_ROW(MKV_METRIC_HISTOGRAM, name, unit, labels, source, collect, argument, NULL,      \
                   help, why, action)
/* A family that is 0 in this release; `pending` says why. */
#define PENDING(type, name, unit, labels, pending, help, why, action)                              \
    MKV_METRIC_ROW(MKV_METRIC_##type, name, unit, labels, "none", zero, 0, pending, help, why,     \
                   action)

/* A group of the families in that array. */
#define MKV_METRIC_GROUP(group, group_title, group_families)                                       \
    const struct mkv_metric_group mkv_metric_group_##group = {                                     \
        group_title, group_families, sizeof(group_families) / sizeof(group_families)[0]}

extern const struct mkv_metric_group mkv_metric_group_requests, mkv_metric_group_transport,
    mkv_metric_group_drives, mkv_metric_group_memory, mkv_metric_group_tiers,
    mkv_metric_group_retention, mkv_metric_group_tenants, mkv_metric_group_pipeline,
    mkv_metric_group_shards, mkv_metric_group_node;

/* ---- labels ---------------------------------------------------------------------------------- */

#define LABELS_END                                                                                 \
    { 0 }
#define LABEL_DEVICE                                                                               \
    { "device", NULL, MKV_VOLUMES_MAX }
#define LABEL_OPEN(name, values_max)                                                               \
    { name, NULL, values_max }
#define LABEL_CLOSED(name, values)                                                                 \
    { name, values, 0 }

extern const char *const mkv_metric_fabrics[];

extern const struct mkv_metric_label mkv_no_labels[];
extern const struct mkv_metric_label mkv_by_device[];
extern const struct mkv_metric_label mkv_by_fabric[];

/* ---- how samples are gathered ---------------------------------------------------------------- */

#define OF_NODE(field) offsetof(struct mkv_admin_snapshot, field)
#define OF_TIMING(field) offsetof(struct mkv_admin_snapshot, timing.field)
#define OF_DRIVE(field) offsetof(struct mkv_admin_drive, field)
#define OF_VOLUME(field) offsetof(struct mkv_admin_drive, volume.field)

#define MKV_COLLECTOR(name)                                                                        \
    void mkv_collect_##name(const struct mkv_metric_sources *sources, size_t argument,             \
                            struct mkv_exposition *out)

MKV_COLLECTOR(zero); /* 0 for every value of closed labels; nothing where a label is open */
/* By the offset of a uint64_t … */
MKV_COLLECTOR(node);        /* in struct mkv_admin_snapshot */
MKV_COLLECTOR(drive);       /* in struct mkv_admin_drive, by device */
MKV_COLLECTOR(drives_sum);  /* the same, summed over the drives */
MKV_COLLECTOR(figures_sum); /* in struct mkv_admin_drive_figures, summed over the drives */
/* … and by that of a struct mkv_histogram of nanoseconds in struct mkv_admin_snapshot. */
MKV_COLLECTOR(timing_us);
MKV_COLLECTOR(timing_seconds);

/* ---- for the functions of the tables --------------------------------------------------------- */

uint64_t mkv_metric_u64_at(const void *base, size_t offset);

/* A sample of a family with no, one or two labels. */
void mkv_metric_count0(struct mkv_exposition *out, uint64_t value);
void mkv_metric_count1(struct mkv_exposition *out, const char *label, uint64_t value);
void mkv_metric_count2(struct mkv_exposition *out, const char *first, const char *second,
                       uint64_t value);
void mkv_metric_real1(struct mkv_exposition *out, const char *label, double value);

#define MKV_METRIC_NS_PER_S 1e9

#endif
