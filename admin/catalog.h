/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry as JSON, for GET /v1/metrics/catalog:
 *
 *     {"families": [{"name": "memkv_miss_keys_total", "group": "Requests", "type": "counter",
 *       "unit": "keys", "labels": [{"name": "reason", "values": ["unknown", …]}],
 *       "cardinality": 9, "source": "front", "pending": null, "help": "…", "why": "…",
 *       "action": "…"}, …]}
 *
 * A label with an open set of values has "max", how many there are at a time, in place of
 * "values". "cardinality" bounds the series that a scrape has of the family: buckets, sum and count
 * of a histogram are series of their own. "pending" says why a family is always 0 in this release.
 *
 * Not responsible for: the page docs/metrics.md, which a test makes from the same registry.
 */
#ifndef MKV_ADMIN_CATALOG_H
#define MKV_ADMIN_CATALOG_H

#include "admin/registry.h"
#include "admin/reply.h"

struct mkv_admin_reply mkv_admin_catalog(void);

const char *mkv_catalog_type(enum mkv_metric_type type);

/* Series of a family at most. Open labels tell of one thing (a drive and its path): they vary
 * together. */
uint64_t mkv_catalog_series_max(const struct mkv_metric_family *family);

#endif
