/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry_collect.h"

#include <string.h>

const char *const mkv_metric_fabrics[] = {"tcp", "rdma", "shm", NULL};

const struct mkv_metric_label mkv_no_labels[] = {LABELS_END};
const struct mkv_metric_label mkv_by_device[] = {LABEL_DEVICE, LABELS_END};
const struct mkv_metric_label mkv_by_fabric[] = {LABEL_CLOSED("fabric", mkv_metric_fabrics),
                                                 LABELS_END};

uint64_t mkv_metric_u64_at(const void *base, size_t offset) {
    uint64_t value;
    memcpy(&value, (const char *)base + offset, sizeof value);
    return value;
}

void mkv_metric_count0(struct mkv_exposition *out, uint64_t value) {
    mkv_exposition_count(out, NULL, value);
}

void mkv_metric_count1(struct mkv_exposition *out, const char *label, uint64_t value) {
    mkv_exposition_count(out, (const char *const[]){label}, value);
}

void mkv_metric_count2(struct mkv_exposition *out, const char *first, const char *second,
                       uint64_t value) {
    mkv_exposition_count(out, (const char *const[]){first, second}, value);
}

void mkv_metric_real1(struct mkv_exposition *out, const char *label, double value) {
    mkv_exposition_real(out, (const char *const[]){label}, value);
}

MKV_COLLECTOR(zero) {
    (void)sources;
    (void)argument;
    mkv_exposition_zero(out);
}

MKV_COLLECTOR(node) {
    mkv_metric_count0(out, mkv_metric_u64_at(sources->snapshot, argument));
}

MKV_COLLECTOR(drive) {
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_count1(out, drive->name, mkv_metric_u64_at(drive, argument));
    }
}

MKV_COLLECTOR(drives_sum) {
    uint64_t sum = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        sum += mkv_metric_u64_at(&sources->snapshot->drives[index], argument);
    }
    mkv_metric_count0(out, sum);
}

MKV_COLLECTOR(figures_sum) {
    uint64_t sum = 0;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive_figures figures =
            mkv_admin_drive_figures(sources->snapshot, index);
        sum += mkv_metric_u64_at(&figures, argument);
    }
    mkv_metric_count0(out, sum);
}

static const struct mkv_histogram *histogram_at(const struct mkv_admin_snapshot *snapshot,
                                                size_t offset) {
    return (const struct mkv_histogram *)((const char *)snapshot + offset);
}

MKV_COLLECTOR(timing_us) {
    mkv_exposition_ladder(out, NULL, MKV_LADDER_US, histogram_at(sources->snapshot, argument),
                          NULL);
}

MKV_COLLECTOR(timing_seconds) {
    mkv_exposition_ladder(out, NULL, MKV_LADDER_SECONDS, histogram_at(sources->snapshot, argument),
                          NULL);
}
