/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalog.h"

#include <microhttpd.h>

/* Of one histogram at most: buckets, the one of all values, sum and count. */
#define HISTOGRAM_SERIES_MAX (MKV_HISTOGRAM_BOUNDS + 3u)

const char *mkv_catalog_type(enum mkv_metric_type type) {
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

uint64_t mkv_catalog_series_max(const struct mkv_metric_family *family) {
    uint64_t closed = 1;
    uint64_t open = 1;
    for (const struct mkv_metric_label *label = family->labels; label->name != NULL; label++) {
        if (label->values == NULL) {
            open = mkv_max_u64(open, label->values_max);
            continue;
        }
        uint64_t count = 0;
        while (label->values[count] != NULL) {
            count++;
        }
        closed *= count;
    }
    return closed * open * (family->type == MKV_METRIC_HISTOGRAM ? HISTOGRAM_SERIES_MAX : 1);
}

static json_t *labels_json(const struct mkv_metric_family *family) {
    json_t *labels = json_array();
    for (const struct mkv_metric_label *label = family->labels; label->name != NULL; label++) {
        if (label->values == NULL) {
            json_array_append_new(labels, json_pack("{s:s, s:I}", "name", label->name, "max",
                                                    (json_int_t)label->values_max));
            continue;
        }
        json_t *values = json_array();
        for (const char *const *value = label->values; *value != NULL; value++) {
            json_array_append_new(values, json_string(*value));
        }
        json_array_append_new(labels,
                              json_pack("{s:s, s:o}", "name", label->name, "values", values));
    }
    return labels;
}

static json_t *family_json(const struct mkv_metric_group *group,
                           const struct mkv_metric_family *family) {
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:s, s:s?, s:s, s:s, s:s}", "name",
                     family->name, "group", group->title, "type", mkv_catalog_type(family->type),
                     "unit", family->unit, "labels", labels_json(family), "cardinality",
                     (json_int_t)mkv_catalog_series_max(family), "source", family->source,
                     "pending", family->pending, "help", family->help, "why", family->why, "action",
                     family->action);
}

struct mkv_admin_reply mkv_admin_catalog(void) {
    json_t *families = json_array();
    for (size_t place = 0; place < MKV_METRIC_GROUP_COUNT; place++) {
        const struct mkv_metric_group *group = mkv_metric_groups[place];
        for (size_t index = 0; index < group->count; index++) {
            json_array_append_new(families, family_json(group, &group->families[index]));
        }
    }
    return mkv_admin_reply_json(MHD_HTTP_OK, json_pack("{s:o}", "families", families));
}
