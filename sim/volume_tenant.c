/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second tenant of the volume world: created, dropped, created again under the next id. To the
 * model a drop is a purge of each of its keys, all at once.
 */
#include <string.h>

#include "sim/failure.h"
#include "sim/volume_world.h"

/* A few of the world's blocks; 0 is no quota. */
#define TENANT_QUOTA_UNITS_MAX 8u

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
    /* A quota holds until the process ends: nobody tells the next one. */
    struct mkv_message message = {
        .kind = MKV_MESSAGE_TENANT,
        .count = mkv_random_below(mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD),
                                  TENANT_QUOTA_UNITS_MAX),
    };
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
    world->tenant_uncertain = false;
}

static bool is_error(enum mkv_status status) {
    return status == MKV_STATUS_IO_ERROR || status == MKV_STATUS_UNAVAILABLE ||
           status == MKV_STATUS_UNKNOWN;
}

static void created(struct volume_world *world, enum mkv_status status) {
    if (status == MKV_STATUS_OK) {
        world->tenant_phase = TENANT_LIVE;
        return;
    }
    world->tenant_phase = TENANT_NONE;
    if (is_error(status)) {
        mkv_lives_error(&world->lives); /* if it took effect, the next try hears OK */
    } else if (world->lives.model.lying) {
        world->tenant_id++; /* the drive has gone back to when that id was another's */
    } else {
        mkv_fail(MKV_ORACLE_ANSWERS, "tenant %u cannot be created: status %u", world->tenant_id,
                 (unsigned)status);
    }
}

/* An error of the drive: the tenant is as it was, unless nobody can say. */
static void drop_failed(struct volume_world *world, enum mkv_status status) {
    mkv_lives_error(&world->lives);
    const bool unknown = status == MKV_STATUS_UNKNOWN;
    for (uint32_t key = 0; key < world->lives.shape->key_count; key++) {
        if (key_of_tenant(world, key) && unknown) {
            mkv_model_abandon(&world->lives.model, key, world->drop_places[key]);
        } else if (key_of_tenant(world, key)) {
            mkv_model_cancel(&world->lives.model, key, world->drop_places[key]);
        }
    }
    world->tenant_uncertain = world->tenant_uncertain || unknown;
    world->tenant_phase = world->tenant_uncertain ? TENANT_UNCERTAIN : TENANT_LIVE;
}

void mkv_volume_tenant_answered(struct volume_world *world, struct client *client,
                                const struct mkv_message *message) {
    const enum mkv_status status = message->status;
    const bool creates = message->kind == MKV_MESSAGE_TENANT_DONE;
    if (client->state != (creates ? CLIENT_CREATING : CLIENT_DROPPING)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "an answer about tenant %u to nobody who asked",
                 client->tenant);
    }
    /* After a crash it may be that the drop before was durable. */
    const bool may_be_gone = world->tenant_uncertain || world->lives.model.lying;
    if (creates) {
        created(world, status);
    } else if (status == MKV_STATUS_OK) {
        mkv_watch_tenant_drop_done(&world->lives.nodes[0].watch, client->tenant);
        dropped(world);
    } else if (status == MKV_STATUS_NOT_FOUND && may_be_gone) {
        dropped(world);
    } else if (is_error(status)) {
        drop_failed(world, status);
    } else {
        mkv_fail(MKV_ORACLE_ANSWERS, "tenant %u cannot be dropped: status %u", client->tenant,
                 (unsigned)status);
    }
    mkv_volume_client_end(world, client);
}

void mkv_volume_tenant_serving(struct volume_world *world) {
    if (world->lives.emptyings != world->emptyings_seen && world->tenant_phase == TENANT_LIVE) {
        world->tenant_phase = TENANT_UNCERTAIN;
        world->tenant_uncertain = true;
    }
    world->emptyings_seen = world->lives.emptyings;
}

void mkv_volume_tenant_crash(struct volume_world *world) {
    if (world->tenant_phase == TENANT_CREATING) {
        world->tenant_phase = TENANT_NONE;
    } else if (world->tenant_phase == TENANT_DROPPING) {
        world->tenant_phase = TENANT_UNCERTAIN;
        world->tenant_uncertain = true;
    }
}
