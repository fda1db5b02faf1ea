/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry_collect.h"

const char *const mkv_metric_source_names[] = {
    "front", "volume", "drive",  "fabric",    "arena",   "observer", "node",
    "admin", "log",    "traces", "telemetry", "process", "none",     NULL,
};

const struct mkv_metric_group *const mkv_metric_groups[MKV_METRIC_GROUP_COUNT] = {
    &mkv_metric_group_requests, &mkv_metric_group_transport, &mkv_metric_group_drives,
    &mkv_metric_group_memory,   &mkv_metric_group_tiers,     &mkv_metric_group_retention,
    &mkv_metric_group_tenants,  &mkv_metric_group_pipeline,  &mkv_metric_group_shards,
    &mkv_metric_group_node,
};

size_t mkv_metric_family_count(void) {
    size_t count = 0;
    for (size_t group = 0; group < MKV_METRIC_GROUP_COUNT; group++) {
        count += mkv_metric_groups[group]->count;
    }
    return count;
}

const struct mkv_metric_family *mkv_metric_family(size_t index) {
    for (size_t group = 0; group < MKV_METRIC_GROUP_COUNT; group++) {
        if (index < mkv_metric_groups[group]->count) {
            return &mkv_metric_groups[group]->families[index];
        }
        index -= mkv_metric_groups[group]->count;
    }
    MKV_ASSERT(false);
    return NULL;
}
