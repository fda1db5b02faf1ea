/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of RESP clients that are no data: the thread that runs them, and what they may ask
 * of the node.
 */
#include <stdlib.h>
#include <string.h>

#include "server/node_internal.h"

/* How long a volume is waited for. A client sees an error behind it, and asks again. */
#define ASK_WAIT_NS (5ull * 1000000000u)

static enum mkv_status ask(void *context, const struct mkv_message *message, const uint8_t *data,
                           struct mkv_shard_answer *answer) {
    const struct mkv_node *node = context;
    return mkv_shards_ask(node->shards, message, data, ASK_WAIT_NS, answer);
}

static enum mkv_status delete_keys(void *context, uint32_t tenant, const char *tenant_name,
                                   const struct mkv_resp_word *keys, uint32_t key_count) {
    const struct mkv_node *node = context;
    return mkv_resp_deletes_ask(mkv_resp_calls_deletes(mkv_shards_resp_calls(node->shards, 0)),
                                tenant, tenant_name, keys, key_count);
}

static uint32_t figures(void *context, struct mkv_resp_info_command *out, uint32_t max) {
    const struct mkv_node *node = context;
    uint32_t count = 0;
    for (uint32_t i = 0; i < mkv_shards_count(node->shards); i++) {
        count = mkv_resp_calls_figures(mkv_shards_resp_calls(node->shards, i), out, count, max);
    }
    return count;
}

void mkv_node_resp_each(void *context,
                        void (*look)(void *look_context, struct mkv_fabric_resp *fabric),
                        void *look_context) {
    const struct mkv_node *node = context;
    for (uint32_t i = 0; i < mkv_shards_count(node->shards); i++) {
        mkv_resp_calls_visit(mkv_shards_resp_calls(node->shards, i), look, look_context);
    }
}

bool mkv_node_resp_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    if (node->resp_connections_max == 0) {
        return true;
    }
    node->resp_provider = (struct mkv_admin_provider){
        .context = node,
        .snapshot = mkv_node_snapshot,
        .observed = &mkv_node_observed,
        .why = mkv_node_why,
        .config = mkv_node_config_text,
    };
    const struct mkv_resp_node options = {
        .provider = &node->resp_provider,
        .context = node,
        .volume_count = node->drive_count,
        .port = node->config.network.resp_address.port,
        .connections_max = node->resp_connections_max,
        .value_bytes_max = node->config.resp.value_bytes_max,
        .ask = ask,
        .delete_keys = delete_keys,
        .figures = figures,
    };
    node->resp_commands = mkv_resp_commands_create(&options);
    if (node->resp_commands == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for RESP's commands. Free memory on this machine");
    }
    if (!mkv_resp_worker_start(&node->resp_worker, error)) {
        mkv_node_resp_end(node);
        return false;
    }
    return true;
}

void mkv_node_resp_stop(struct mkv_node *node) {
    for (uint32_t i = 0;
         node->resp_worker != NULL && node->shards != NULL && i < mkv_shards_count(node->shards);
         i++) {
        mkv_resp_calls_end(mkv_shards_resp_calls(node->shards, i));
    }
    mkv_resp_worker_stop(node->resp_worker);
    node->resp_worker = NULL;
}

void mkv_node_resp_end(struct mkv_node *node) {
    mkv_node_resp_stop(node);
    mkv_resp_commands_destroy(node->resp_commands);
    node->resp_commands = NULL;
}
