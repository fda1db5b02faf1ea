/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second tenant of the volume world: created, dropped, created again under the next id. To the
 * model a drop is a purge of each of its keys, all at once.
 */
#include <string.h>

#include "sim/failure.h"
#include "sim/volume_world.h"

static void start(struct volume_world *world, uint32_t index, enum client_state state,
                  enum tenant_phase phase) {
    struct client *client = &world->clients[index];
    client->state = state;
    client->generation++;
    client->due_ns = UINT64_MAX;
    client->tenant = world->tenant_id;
    world->tenant_phase = phase;
    world->busy_count++;
    mkv_lives_mutated(&world->lives);
}

static void create(struct volume_world *world, uint32_t index) {
    static const uint8_t name[] = "second";
    struct mkv_message message = {.kind = MKV_MESSAGE_TENANT};
    start(world, index, CLIENT_CREATING, TENANT_CREATING);
    mkv_volume_client_send(world, index, &message, name, sizeof name - 1);
}

static void drop(struct volume_world *world, uint32_t index) {
    const uint32_t key_count = world->lives.shape->key_count;
    for (uint32_t key = 0; key < key_count; key++) {
        if (key_of_tenant(world, key) && !mkv_model_has_room(&world->lives.model, key)) {
            return;
        }
    }
    for (uint32_t key = 0; key < key_count; key++) {
        if (key_of_tenant(world, key)) {
            world->drop_places[key] =
                mkv_model_invoke(&world->lives.model, key, MKV_MODEL_PURGE, 0);
        }
    }
    struct mkv_message message = {.kind = MKV_MESSAGE_TENANT_DROP};
    start(world, index, CLIENT_DROPPING, TENANT_DROPPING);
    mkv_volume_client_send(world, index, &message, NULL, 0);
}

void mkv_volume_tenant_start(struct volume_world *world, uint32_t client) {
    switch (world->tenant_phase) {
    case TENANT_NONE:
        create(world, client);
        return;
    case TENANT_LIVE:
    case TENANT_UNCERTAIN:
        drop(world, client);
        return;
    case TENANT_CREATING:
    case TENANT_DROPPING:
        return;
    }
    MKV_ASSERT(false);
}

static void dropped(struct volume_world *world) {
    for (uint32_t key = 0; key < world->lives.shape->key_count; key++) {
        if (key_of_tenant(world, key)) {
            mkv_model_answer(&world->lives.model, key, world->drop_places[key], MKV_MODEL_OK);
        }
    }
    world->tenant_id++;
    world->tenant_phase = TENANT_NONE;
}

void mkv_volume_tenant_answered(struct volume_world *world, struct client *client,
                                const struct mkv_message *message) {
    if (message->kind == MKV_MESSAGE_TENANT_DONE) {
        if (client->state != CLIENT_CREATING || message->status != MKV_STATUS_OK) {
            mkv_fail(MKV_ORACLE_ANSWERS, "tenant %u cannot be created: status %u", client->tenant,
                     (unsigned)message->status);
        }
        world->tenant_phase = TENANT_LIVE;
    } else {
        /* After a crash it may be that the drop before was durable. */
        const bool known = message->status == MKV_STATUS_OK ||
                           (message->status == MKV_STATUS_NOT_FOUND && world->tenant_uncertain);
        if (client->state != CLIENT_DROPPING || !known) {
            mkv_fail(MKV_ORACLE_ANSWERS, "tenant %u cannot be dropped: status %u", client->tenant,
                     (unsigned)message->status);
        }
        if (message->status == MKV_STATUS_OK) {
            mkv_watch_tenant_drop_done(&world->lives.nodes[0].watch, client->tenant);
        }
        world->tenant_uncertain = false;
        dropped(world);
    }
    mkv_volume_client_end(world, client);
}

void mkv_volume_tenant_crash(struct volume_world *world) {
    if (world->tenant_phase == TENANT_CREATING) {
        world->tenant_phase = TENANT_NONE;
    } else if (world->tenant_phase == TENANT_DROPPING) {
        world->tenant_phase = TENANT_UNCERTAIN;
        world->tenant_uncertain = true;
    }
}
