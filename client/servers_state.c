/* SPDX-License-Identifier: Apache-2.0 */
#include "client/servers_state.h"

#include <stdio.h>

#include "client/engine.h"

uint32_t mkv_client_servers(struct memkv_client *client, struct mkv_client_server *out,
                            uint32_t max) {
    for (uint32_t index = 0; index < client->remote_count && index < max; index++) {
        struct mkv_remote *remote = client->remotes[index];
        out[index] = (struct mkv_client_server){
            .weight = client->members[index].weight,
            .is_up = mkv_engine_is_connected(remote),
            .failure_count = remote->failure_count,
        };
        snprintf(out[index].address, sizeof out[index].address, "%s", remote->address.text);
    }
    return client->remote_count;
}

struct mkv_metrics *mkv_client_metrics(const struct memkv_client *client) {
    return client->metrics;
}
