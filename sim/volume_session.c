/* SPDX-License-Identifier: Apache-2.0 */
/* The sessions of the volume world: they leave their reasoning phase, end, and begin again. */
#include "sim/failure.h"
#include "sim/volume_world.h"

void mkv_volume_session_start(struct volume_world *world, uint32_t index, uint32_t key) {
    struct mkv_random *random = mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
    struct client *client = &world->clients[index];
    const bool second = key_of_tenant(world, key);
    client->state = CLIENT_TELLING;
    client->generation++;
    client->due_ns = UINT64_MAX;
    client->key = key;
    client->tenant = second ? mkv_volume_tenant_id(world) : MKV_TENANT_DEFAULT;
    client->session = mkv_random_between(random, 1, world->lives.shape->session_count);
    client->action = mkv_tiers_draw_action(random);
    world->busy_count++;
    mkv_tiers_asked(&world->lives.tiers, client->action, client->session, second);
    struct mkv_message message = {
        .kind = MKV_MESSAGE_SESSION,
        .session = client->session,
        .action = client->action,
    };
    mkv_volume_client_send(world, index, &message, NULL, 0);
}

void mkv_volume_session_answered(struct volume_world *world, struct client *client,
                                 const struct mkv_message *message) {
    const bool begins = client->action == MKV_SESSION_BEGIN;
    const enum mkv_status none = begins ? MKV_STATUS_NO_SPACE : MKV_STATUS_NOT_FOUND;
    if (client->state != CLIENT_TELLING ||
        (message->status != MKV_STATUS_OK && message->status != none &&
         message->status != MKV_STATUS_UNAVAILABLE)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "session %llu is told %u, and the answer is status %u",
                 (unsigned long long)client->session, (unsigned)client->action,
                 (unsigned)message->status);
    }
    if (message->status == MKV_STATUS_OK) {
        mkv_tiers_told(&world->lives.tiers, world->lives.nodes[0].volume, client->action,
                       client->session, client->tenant);
    } else if (message->status == MKV_STATUS_UNAVAILABLE) {
        mkv_lives_error(&world->lives);
    }
    mkv_volume_client_end(world, client);
}
