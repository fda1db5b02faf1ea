/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What warning ENDURANCE says: a drive is written more than it is rated for (rated_dwpd of its
 * configuration), or says of itself that its rated life is used up.
 */
#include "server/node_internal.h"

#include "backends/clock.h"

#define GB 1e9

static void tell(struct mkv_node *node, const struct mkv_config_drive *own,
                 const struct mkv_watch_endurance *endurance,
                 const struct mkv_watch_endurance_facts *facts) {
    if (endurance->worn) {
        mkv_node_warn(node, MKV_ADMIN_WARNING_ENDURANCE, own,
                      "plan to replace it (docs/runbooks/drive-replace.md): its maker vouches for "
                      "it no more",
                      "drive %s has used up its rated life, as it says itself", own->name);
    } else if (endurance->over) {
        mkv_node_warn(node, MKV_ADMIN_WARNING_ENDURANCE, own,
                      "write less to it: storage.admission second_touch or limit, "
                      "storage.write_limit_per_drive; or more drives",
                      "drive %s was written %.1f GB a day, and is rated for %.1f GB a day "
                      "(rated_dwpd)",
                      own->name, (double)endurance->day_bytes / GB,
                      (double)facts->rated_bytes / GB);
    } else {
        mkv_node_warn_over(node, MKV_ADMIN_WARNING_ENDURANCE, own);
    }
}

void mkv_node_endurance_look(struct mkv_node *node, const struct mkv_admin_snapshot *snapshot,
                             struct mkv_watch_endurance endurance[MKV_VOLUMES_MAX]) {
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    const uint32_t count = (uint32_t)mkv_min_u64(snapshot->drive_count, node->drive_count);
    for (uint32_t index = 0; index < count; index++) {
        const struct mkv_config_drive *own = &node->config.storage.drives[index];
        const struct mkv_admin_drive *drive = &snapshot->drives[index];
        pthread_mutex_lock(&node->mutex); /* another drive may come in its place */
        const uint64_t units = node->drives[index].volume.geometry.capacity_units;
        pthread_mutex_unlock(&node->mutex);
        const double capacity_bytes = (double)(units * MKV_UNIT_BYTES);
        const struct mkv_watch_endurance_facts facts = {
            .written_bytes = drive->io[MKV_ADMIN_IO_WRITE].bytes,
            .rated_bytes =
                (uint64_t)(capacity_bytes * (double)own->rated_dwpd / (double)MKV_CONFIG_RATIO_ONE),
            .used_percent = drive->smart.used_percent,
        };
        const bool worn = endurance[index].worn;
        mkv_watch_endurance_look(&endurance[index], &facts, now_ns);
        if (worn != endurance[index].worn) {
            mkv_node_warn_over(node, MKV_ADMIN_WARNING_ENDURANCE, own); /* it says another thing */
        }
        tell(node, own, &endurance[index], &facts);
    }
}
