/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole status of a node as one JSON object, which `memkv admin status` reads too.
 *
 * Invariants, so that its figures can be added up
 *  I1  Of a device, and so of the sums: usable = raw − metadata; used_bytes is the sum over its
 *      slots that are not free of their size.
 *  I2  total_slots = slots of the extents that have a class + free extents × slots of the default
 *      class that one holds. allocated_slots and used_bytes are the sums over `classes`.
 *  I3  The totals of `storage` are the sums over its devices.
 *  I4  used ≤ total of memory, and slabs_allocated ≤ slabs_total.
 *
 * Not responsible for: where the figures come from (snapshot.h).
 */
#ifndef MKV_ADMIN_STATUS_JSON_H
#define MKV_ADMIN_STATUS_JSON_H

#include "admin/reply.h"
#include "admin/snapshot.h"

struct mkv_admin_reply mkv_admin_status(const struct mkv_admin_snapshot *snapshot);

/* A drive as it stands in the status. */
json_t *mkv_admin_device_json(const struct mkv_admin_snapshot *snapshot, uint32_t drive);
/* "2026-01-01T02:14:07Z". */
void mkv_admin_json_time(json_t *object, const char *name, uint64_t unix_ms);

/* GET /v1/tenants: every tenant, the default one first, then by age. */
struct mkv_admin_reply mkv_admin_tenants(const struct mkv_admin_snapshot *snapshot);

#endif
