/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What administrators ask of a node besides its figures: why a key is where it is, with what
 * configuration it runs, and whether its machine is fit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/why.h"
#include "server/config_rdma.h"
#include "server/config_show.h"
#include "server/host_check.h"
#include "server/node_internal.h"

/* Other requests on the same socket wait behind this. */
#define WHY_WAIT_NS (1000ull * 1000000u)

enum mkv_status mkv_node_why(void *context, const char *tenant, const uint8_t *key,
                             uint32_t key_bytes, struct mkv_admin_why *out) {
    struct mkv_node *node = context;
    struct mkv_shard_inspection found;
    const enum mkv_status status =
        mkv_shards_inspect(node->shards, tenant, key, key_bytes, WHY_WAIT_NS, &found);
    if (status != MKV_STATUS_OK) {
        return status;
    }
    *out = (struct mkv_admin_why){
        .tenant_known = found.tenant_known,
        .drive_serves = found.serves,
        .in_memory = found.front.in_memory,
        .unpersisted = found.front.unpersisted,
        .used_again = found.front.used_again,
        .memory_length = found.front.length,
        .on_drive = found.volume.found,
        .miss = found.serves ? found.volume.miss : MKV_MISS_DRIVE_OFFLINE,
        .length_units = found.volume.length_units,
        .segmented = (found.volume.block_flags & MKV_BLOCK_MANIFEST) != 0,
        .tier = found.volume.tier,
        .tier_put = found.volume.tier_put,
        .expiry_s = found.volume.found ? found.volume.expiry_s : found.front.expiry_s,
        .leased = found.volume.leased,
        .leaving = found.volume.leaving,
    };
    if (found.front.volume != MKV_NONE_U32) {
        snprintf(out->drive, sizeof out->drive, "%s",
                 node->config.storage.drives[found.front.volume].name);
    }
    return MKV_STATUS_OK;
}

char *mkv_node_config_text(void *context) {
    struct mkv_node *node = context;
    pthread_mutex_lock(&node->mutex);
    json_t *object = mkv_config_json(&node->config);
    pthread_mutex_unlock(&node->mutex);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

char *mkv_node_host_text(void *context) {
    const struct mkv_node *node = context;
    struct mkv_lane_ports_options rdma;
    struct mkv_host_sources sources;
    struct mkv_host_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        return NULL;
    }
    mkv_host_sources_read(&sources, true);
    sources.is_rdma_required = node->config.rdma.mode == MKV_CONFIG_RDMA_REQUIRE;
    sources.is_rdma_off = !mkv_node_rdma_options(node, &rdma);
    sources.rdma_mtu_bytes = mkv_config_rdma_mtu(&node->config);
    sources.traffic_class = (uint32_t)node->config.rdma.traffic_class;
    sources.memory_bytes = node->config.memory.max_size_bytes;
    sources.shards = (uint32_t)node->config.node.shards;
    mkv_host_check(&sources, report);
    json_t *object = mkv_host_json(report);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    free(report);
    return text;
}
