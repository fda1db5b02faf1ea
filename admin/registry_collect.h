/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the families of the registry gather their samples. Most take the offset of a figure as their
 * argument, so that one function serves many families.
 *
 * Not responsible for: which family uses which function (registry_table.c).
 */
#ifndef MKV_ADMIN_REGISTRY_COLLECT_H
#define MKV_ADMIN_REGISTRY_COLLECT_H

#include "admin/registry.h"

#define MKV_COLLECTOR(name)                                                                        \
    void mkv_collect_##name(const struct mkv_metric_sources *sources, size_t argument,             \
                            struct mkv_exposition *out)

/* ---- by offset of a uint64_t ------------------------------------------------------------------
 */

MKV_COLLECTOR(node);         /* in struct mkv_admin_snapshot */
MKV_COLLECTOR(drive);        /* in struct mkv_admin_drive, by device */
MKV_COLLECTOR(drives_sum);   /* the same, summed over the drives */
MKV_COLLECTOR(leaf_miss);    /* a histogram, summed over the drives */
MKV_COLLECTOR(figure);       /* in struct mkv_admin_drive_figures, by device */
MKV_COLLECTOR(figures_sum);  /* the same, summed over the drives */
MKV_COLLECTOR(slab_figure);  /* in struct mkv_admin_slab_figures */
MKV_COLLECTOR(io);           /* in struct mkv_admin_io, by device and op */
MKV_COLLECTOR(fabric);       /* in struct mkv_admin_fabric, by fabric */
MKV_COLLECTOR(fabric_bytes); /* in struct mkv_admin_fabric, by fabric and listener */
MKV_COLLECTOR(process);      /* in struct mkv_admin_process; a uint64_t */
MKV_COLLECTOR(process_s);    /* in struct mkv_admin_process; a double */

/* ---- requests ---------------------------------------------------------------------------------
 */

MKV_COLLECTOR(requests_of);     /* enum mkv_op */
MKV_COLLECTOR(items_of_status); /* enum mkv_status */
MKV_COLLECTOR(invalid_requests);
MKV_COLLECTOR(requests);
MKV_COLLECTOR(requests_in_flight);
MKV_COLLECTOR(commands);
MKV_COLLECTOR(lookup_keys);
MKV_COLLECTOR(miss_keys);
MKV_COLLECTOR(drive_tier_lookups); /* true: hits alone */
MKV_COLLECTOR(drive_tier_loaded);
MKV_COLLECTOR(drive_tier_failures);
MKV_COLLECTOR(memory_tier_requests);
MKV_COLLECTOR(memory_tier_writes);
MKV_COLLECTOR(memory_tier_reserved);
MKV_COLLECTOR(memory_tier_refused);
MKV_COLLECTOR(memory_tier_lookups); /* true: hits; false: misses */
MKV_COLLECTOR(memory_tier_read);
MKV_COLLECTOR(memory_tier_written);
MKV_COLLECTOR(memory_tier_evicted);
MKV_COLLECTOR(unpersisted);
MKV_COLLECTOR(shard_commands);
MKV_COLLECTOR(shard_blocks);

/* ---- blocks and drives ------------------------------------------------------------------------
 */

MKV_COLLECTOR(blocks); /* true: with those in memory alone */
MKV_COLLECTOR(blocks_by_tier);
MKV_COLLECTOR(critical_evictions);
MKV_COLLECTOR(demotions);
MKV_COLLECTOR(sessions_tracked);
MKV_COLLECTOR(think_tokens);
MKV_COLLECTOR(think_exits);
MKV_COLLECTOR(evicted_seconds); /* true: lifetimes; false: times without use */
MKV_COLLECTOR(evictions_by_tier);
MKV_COLLECTOR(evictions_by_cause);
MKV_COLLECTOR(leases);
MKV_COLLECTOR(active_tenants);
MKV_COLLECTOR(of_tenants);
MKV_COLLECTOR(tenant_asked); /* true: bytes; false: keys */
MKV_COLLECTOR(tenant_quotas);
MKV_COLLECTOR(device_online);
MKV_COLLECTOR(device_state);
MKV_COLLECTOR(device_info);
MKV_COLLECTOR(checksum_failures);
MKV_COLLECTOR(repairs);
MKV_COLLECTOR(epoch);
MKV_COLLECTOR(journal_bytes); /* offset of a count of blocks in struct mkv_admin_drive */
MKV_COLLECTOR(journal_size);
MKV_COLLECTOR(journal_lag);
MKV_COLLECTOR(recovery_duration);
MKV_COLLECTOR(scrub_progress);

/* ---- the node ---------------------------------------------------------------------------------
 */

MKV_COLLECTOR(zero);
MKV_COLLECTOR(uptime);
MKV_COLLECTOR(node_state);
MKV_COLLECTOR(warning);
MKV_COLLECTOR(log_messages);
MKV_COLLECTOR(admin_requests);
MKV_COLLECTOR(scrape_duration);
MKV_COLLECTOR(build_info);

#endif
