/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive that was slow for storage.slow_fence is taken offline, in the way in which an operator
 * does it, by the thread of node_life.h; it comes back by `memkv admin drive online`.
 */
#include "server/node_internal.h"

#include <inttypes.h>

#include "admin/audit_record.h"
#include "admin/drive_life.h"
#include "backends/clock.h"

#define NS_PER_S 1000000000ull

void mkv_node_fence_audit(struct mkv_node *node, uint32_t drive, const char *outcome,
                          const char *detail) {
    const struct mkv_audit_entry entry =
        mkv_audit_entry_make(MKV_AUDIT_DRIVE_LIFE, node->config.storage.drives[drive].name, outcome,
                             "offline by storage.slow_fence: %.200s", detail);
    (void)mkv_audit_write(node->audit, &entry);
}

static void tell(struct mkv_node *node, uint32_t drive, uint64_t slow_ns,
                 const struct mkv_admin_drive_outcome *outcome) {
    const bool refused =
        outcome->end != MKV_ADMIN_DRIVE_END_UNDER_WAY && outcome->end != MKV_ADMIN_DRIVE_END_DONE;
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = node->config.storage.drives[drive].name},
        {.name = "slow_s", .number = slow_ns / NS_PER_S},
        {.name = "job", .number = outcome->job},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_WARN, "server.node", fields, 3,
                  refused ? "drive was slow for storage.slow_fence and cannot be taken offline: %s"
                          : "drive was slow for storage.slow_fence and is taken offline%s",
                  refused ? outcome->message : "");
    mkv_node_fence_audit(node, drive, refused ? "refused" : "begun",
                         refused ? outcome->message : "it was slow for so long");
}

void mkv_node_fence_look(struct mkv_node *node, const struct mkv_admin_snapshot *snapshot,
                         struct mkv_watch_fence *fence, const uint64_t slow_ns[MKV_VOLUMES_MAX]) {
    const uint32_t drive = mkv_watch_fence_look(fence, snapshot, slow_ns, mkv_clock_monotonic_ns());
    if (drive == MKV_NONE_U32) {
        return;
    }
    MKV_ASSERT(drive < node->drive_count); /* one that is absent is not slow */
    const struct mkv_admin_drive_wish wish = {
        .drive = node->config.storage.drives[drive].name,
        .action = MKV_ADMIN_DRIVE_ACT_OFFLINE,
        .by_fence = true,
    };
    struct mkv_admin_drive_outcome outcome = {.refill_s = UINT64_MAX};
    mkv_node_drive_act(node, &wish, &outcome);
    tell(node, drive, slow_ns[drive], &outcome);
}
