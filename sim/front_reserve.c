/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations of the front world: clients reserve, and commit, give up or forget what they have
 * reserved; and they name reservations that have ended.
 *
 *   ALLOCATE   to the model a put, that has no effect when it reserves; one that finds its version
 *              there may prolong it
 *   COMMIT     to the model a put, from the COMMIT on
 */
#include <string.h>

#include "sim/failure.h"
#include "sim/front_world.h"

#define COMMIT_ONE_IN 3u
#define ENDED_ONE_IN 6u
#define ABANDON_ONE_IN 6u
/* One item of a COMMIT in this many has a name that nobody was given, of the same place. */
#define FORGED_ONE_IN 8u

static struct mkv_random *client_random(struct front_world *world) {
    return mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
}

static bool is_of(const struct front_world *world, const struct reservation *reservation) {
    const struct connection *connection = &world->connections[reservation->connection.index];
    return connection->state == CONNECTION_OPEN &&
           connection->generation == reservation->connection.generation;
}

/* ---- remembering ----------------------------------------------------------------------------- */

static struct reservation *place_of(struct front_world *world) {
    struct reservation *place = NULL;
    for (uint32_t index = 0; index < MKV_RESERVATIONS_MAX; index++) {
        struct reservation *reservation = &world->reservations[index];
        if (reservation->name == 0) {
            return reservation;
        }
        place = reservation->ended ? reservation : place;
    }
    return place;
}

static void reserved(struct front_world *world, const struct request *request,
                     const struct request_item *item, uint64_t name) {
    const uint64_t own = name & ((1ull << MKV_ROUTER_RESERVATION_SHIFT) - 1);
    if (own > MKV_RESERVATION_MAX ||
        name >> MKV_ROUTER_RESERVATION_SHIFT > (world->shard_count > 1 ? world->shard_count : 0)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "an ALLOCATE names reservation %llu, above all",
                 (unsigned long long)name);
    }
    for (uint32_t index = 0; index < MKV_RESERVATIONS_MAX; index++) {
        if (world->reservations[index].name == name &&
            mkv_sim_shard_of(world, world->reservations[index].connection.index) ==
                mkv_sim_shard_of(world, request->connection.index)) {
            mkv_fail(MKV_ORACLE_ANSWERS, "two ALLOCATEs name the reservation %llu",
                     (unsigned long long)name);
        }
    }
    struct reservation *place = place_of(world);
    if (place == NULL) {
        return; /* its client forgets it */
    }
    *place = (struct reservation){
        .name = name,
        .connection = request->connection,
        .key = item->key,
        .version = item->version,
        .replaces = item->replaces,
        .relaxed = item->relaxed,
        .failures = request->failures,
        .deadline_ns = request->deadline_ns,
    };
}

void mkv_sim_reserve_forget(struct front_world *world, uint64_t name) {
    for (uint32_t index = 0; index < MKV_RESERVATIONS_MAX; index++) {
        if (world->reservations[index].name == name) {
            world->reservations[index].name = 0;
        }
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

void mkv_sim_reserve_draw(struct front_world *world, struct request_item *item,
                          struct mkv_request_item *wire) {
    struct mkv_random *random = client_random(world);
    const struct mkv_shape *shape = world->lives.shape;
    item->version = world->lives.model.keys[item->key].version_last + 1;
    if (item->version > 1 && mkv_random_chance(random, 1 + shape->share_repeat, 16)) {
        item->version = mkv_random_between(random, 1, item->version - 1);
    }
    item->replaces = mkv_random_chance(random, shape->share_replace, 16);
    item->relaxed = shape->share_relaxed > 0 && mkv_random_chance(random, shape->share_relaxed, 16);
    wire->flags = (item->replaces ? MKV_PUT_REPLACE : 0) | (item->relaxed ? MKV_PUT_RELAXED : 0);
    wire->length = mkv_content_length(&world->lives.content, item->key, item->version);
    wire->root = mkv_sim_client_root(world, item->key, item->version);
    wire->session = mkv_tiers_session_of(shape, item->key, wire->root);
    wire->tier_hint = mkv_tiers_hint(shape, item->key, wire->root);
    item->place =
        mkv_model_invoke(&world->lives.model, item->key,
                         item->replaces ? MKV_MODEL_REPLACE : MKV_MODEL_PUT, item->version);
}

/* A name that nobody has. */
static void draw_forged(struct front_world *world, const struct reservation *reservation,
                        struct request_item *item, struct mkv_request_item *wire) {
    *item = (struct request_item){
        .key = reservation->key,
        .version = reservation->version,
        .reservation = reservation->name + world->config.items_max,
        .ended = true,
    };
    *wire = (struct mkv_request_item){
        .reservation = item->reservation,
        .length = mkv_content_length(&world->lives.content, item->key, item->version),
    };
}

/* One item of a COMMIT. False: not of this one. */
static bool draw_commit(struct front_world *world, struct reservation *reservation,
                        struct request_item *item, struct mkv_request_item *wire) {
    struct mkv_model *model = &world->lives.model;
    struct mkv_random *random = client_random(world);
    if (mkv_random_chance(random, 1, FORGED_ONE_IN)) {
        draw_forged(world, reservation, item, wire);
        return true;
    }
    /* Its front may hear of it that late. */
    const uint64_t way_ns = world->shard_count > 1 ? 2 * MKV_RECORD_NS_MAX : 0;
    *item = (struct request_item){
        .key = reservation->key,
        .version = reservation->version,
        .reservation = reservation->name,
        .ended = reservation->ended,
        .abandons = mkv_random_chance(random, 1, ABANDON_ONE_IN),
        .due = !reservation->ended && reservation->failures == world->failures &&
               world->lives.now_ns + way_ns < reservation->deadline_ns,
    };
    *wire = (struct mkv_request_item){.reservation = reservation->name};
    wire->flags = item->abandons ? MKV_COMMIT_ABANDON : 0;
    wire->length =
        item->abandons ? 0 : mkv_content_length(&world->lives.content, item->key, item->version);
    if (!item->abandons && !item->ended) {
        if (!mkv_model_has_room(model, item->key)) {
            return false;
        }
        item->place = mkv_model_invoke(model, item->key,
                                       reservation->replaces ? MKV_MODEL_REPLACE : MKV_MODEL_PUT,
                                       item->version);
        if (reservation->relaxed) {
            mkv_model_relax(model, item->key, item->place);
        }
    }
    reservation->ended = true;
    return true;
}

uint32_t mkv_sim_reserve_commit(struct front_world *world, struct request *request,
                                struct mkv_request_item *wire) {
    struct mkv_random *random = client_random(world);
    const uint32_t first = mkv_random_below(random, MKV_RESERVATIONS_MAX);
    const uint32_t wanted = mkv_random_between(random, 1, world->lives.shape->items_max);
    request->item_count = 0;
    for (uint32_t turn = 0; turn < MKV_RESERVATIONS_MAX && request->item_count < wanted; turn++) {
        struct reservation *reservation =
            &world->reservations[(first + turn) % MKV_RESERVATIONS_MAX];
        const bool mine = reservation->connection.index == request->connection.index &&
                          reservation->connection.generation == request->connection.generation;
        const bool wants = reservation->ended || !mine
                               ? mkv_random_chance(random, 1, ENDED_ONE_IN) && reservation->ended
                               : true;
        if (reservation->name != 0 && wants &&
            draw_commit(world, reservation, &request->items[request->item_count],
                        &wire[request->item_count])) {
            request->item_count++;
        }
    }
    return request->item_count;
}

bool mkv_sim_reserve_wants_commit(struct front_world *world, struct mkv_connection_id *connection) {
    struct mkv_random *random = client_random(world);
    if (world->lives.shape->share_reserve == 0 || !mkv_random_chance(random, 1, COMMIT_ONE_IN)) {
        return false;
    }
    const uint32_t first = mkv_random_below(random, MKV_RESERVATIONS_MAX);
    for (uint32_t turn = 0; turn < MKV_RESERVATIONS_MAX; turn++) {
        const struct reservation *reservation =
            &world->reservations[(first + turn) % MKV_RESERVATIONS_MAX];
        if (reservation->name != 0 && !reservation->ended && is_of(world, reservation)) {
            *connection = reservation->connection;
            return true;
        }
    }
    return false;
}

/* ---- what comes back ------------------------------------------------------------------------- */

uint32_t mkv_sim_reserve_judge(struct front_world *world, const struct request *request,
                               const struct request_item *item,
                               const struct mkv_item_result *result) {
    if (request->op == MKV_OP_COMMIT && result->status == MKV_STATUS_BUSY) {
        mkv_sim_reserve_forget(world, item->reservation);
        return MKV_MODEL_NOTHING; /* the front that has it took no request */
    }
    if (request->op == MKV_OP_COMMIT) {
        if (result->status == MKV_STATUS_NOT_FOUND && item->due &&
            request->failures == world->failures) {
            mkv_fail(MKV_ORACLE_ANSWERS,
                     "reservation %llu of key %u is not found, before it was to end",
                     (unsigned long long)item->reservation, item->key);
        }
        if (item->ended && result->status != MKV_STATUS_NOT_FOUND) {
            mkv_fail(MKV_ORACLE_ANSWERS,
                     "reservation %llu of key %u has ended, and its COMMIT has status %u",
                     (unsigned long long)item->reservation, item->key, (unsigned)result->status);
        }
        return MKV_MODEL_NOTHING;
    }
    if (result->status == MKV_STATUS_CONFLICT) {
        return MKV_MODEL_CONFLICT;
    }
    if (result->status == MKV_STATUS_OK && result->reservation == 0) {
        return MKV_MODEL_OK;
    }
    if (result->status == MKV_STATUS_OK) {
        reserved(world, request, item, result->reservation);
    }
    return MKV_MODEL_NOTHING;
}

void mkv_sim_reserve_gone(struct front_world *world, struct mkv_connection_id connection) {
    for (uint32_t index = 0; index < MKV_RESERVATIONS_MAX; index++) {
        struct reservation *reservation = &world->reservations[index];
        if (reservation->connection.index == connection.index &&
            reservation->connection.generation == connection.generation) {
            reservation->ended = true;
        }
    }
}
