/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one operation of the volume world: the front's part of the message protocol in
 * core/io.h, with every answer held against the model and, where it says "durable", the watch.
 */
#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/slot_header.h"
#include "sim/failure.h"
#include "sim/volume_world.h"

#define PULL_NS_MAX 20000u
#define READ_NS_MAX 5000u
/* One GET in this many asks for a range; one in this many releases what it found; of one in this
 * many the root is computed anew. */
#define RANGE_ONE_IN 4u
#define RELEASE_ONE_IN 16u
#define ROOT_ONE_IN 4u
/* Where there are two tenants, one request in this many that is no put names the wrong one. */
#define STRAY_ONE_IN 8u

static uint32_t free_client(const struct volume_world *world) {
    for (uint32_t index = 0; index < MKV_CLIENTS_MAX; index++) {
        if (world->clients[index].state == CLIENT_FREE) {
            return index;
        }
    }
    return MKV_NONE_U32;
}

static void begin(struct volume_world *world, uint32_t index, enum client_state state, uint32_t key,
                  enum mkv_model_kind kind, uint32_t version) {
    struct client *client = &world->clients[index];
    client->state = state;
    client->generation++;
    client->due_ns = UINT64_MAX;
    client->key = key;
    client->version = version;
    client->aborts = false;
    client->tenant = key_of_tenant(world, key) ? mkv_volume_tenant_id(world) : MKV_TENANT_DEFAULT;
    client->place = mkv_model_invoke(&world->lives.model, key, kind, version);
    world->busy_count++;
    if (kind != MKV_MODEL_READ) {
        mkv_lives_mutated(&world->lives);
    }
}

void mkv_volume_client_end(struct volume_world *world, struct client *client) {
    client->state = CLIENT_FREE;
    client->strays = false;
    client->due_ns = UINT64_MAX;
    world->busy_count--;
    world->lives.report->operations++;
}

void mkv_volume_client_send(struct volume_world *world, uint32_t index, struct mkv_message *message,
                            const uint8_t *data, uint32_t data_bytes) {
    message->volume = 0;
    message->front_op = (struct mkv_op_id){index, world->clients[index].generation};
    message->tenant = world->clients[index].tenant;
    message->data_bytes = data_bytes;
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = data, .data_bytes = data_bytes, .message = *message};
    (void)mkv_node_step(&world->lives.nodes[0], &input, world->lives.now_ns);
}

static void send_key(struct volume_world *world, uint32_t index, struct mkv_message *message) {
    const struct mkv_content_key *key = &world->lives.content.keys[world->clients[index].key];
    mkv_volume_client_send(world, index, message, key->bytes, key->byte_count);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* What begin() has begun: the payload is in the client's slab, and its put is asked for. */
static void send_put(struct volume_world *world, uint32_t index, uint32_t flags,
                     uint32_t expiry_s) {
    struct client *client = &world->clients[index];
    if (expiry_s > 0) {
        mkv_model_expires(&world->lives.model, client->key, client->place, expiry_s);
    }
    const uint32_t length = mkv_content_length(&world->lives.content, client->key, client->version);
    uint8_t *payload = client_slab(world, index) + MKV_UNIT_BYTES;
    mkv_content_fill(&world->lives.content, client->key, client->version, 0, payload, length);
    client->sum_count = mkv_chunk_count(length);
    MKV_ASSERT(client->sum_count <= SUMS_MAX);
    mkv_chunk_sums(payload, length, client->sums);
    client->root = mkv_root_of_sums(length, client->sums);
    struct mkv_message message = {
        .kind = MKV_MESSAGE_PUT_BEGIN,
        .flags = flags,
        .length = length,
        .root = client->root,
        .expiry_s = expiry_s,
        .session = mkv_tiers_session_of(world->lives.shape, client->key, client->root),
        .tier_hint = mkv_tiers_hint(world->lives.shape, client->key, client->root),
    };
    send_key(world, index, &message);
}

static void start_put(struct volume_world *world, uint32_t index, uint32_t key) {
    struct mkv_random *random = mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
    const struct mkv_shape *shape = world->lives.shape;
    const bool replace = mkv_random_chance(random, shape->share_replace, 16);
    uint32_t version = world->lives.model.keys[key].version_last + 1;
    if (version > 1 && mkv_random_chance(random, shape->share_repeat, 16)) {
        const bool newest = shape->share_expiry > 0 && mkv_random_chance(random, 1, 2);
        version = newest ? version - 1 : mkv_random_between(random, 1, version - 1);
    }
    begin(world, index, CLIENT_BEGUN, key, replace ? MKV_MODEL_REPLACE : MKV_MODEL_PUT, version);
    struct client *client = &world->clients[index];
    client->aborts = mkv_random_chance(random, shape->share_abort, 16);
    uint32_t expiry_s = 0;
    if (shape->share_expiry > 0 && mkv_random_chance(random, shape->share_expiry, 16)) {
        expiry_s = (uint32_t)(world->lives.model.wall_s +
                              mkv_random_between(random, 1, shape->expiry_s_max));
    }
    uint32_t flags = replace ? MKV_PUT_REPLACE : 0;
    if (shape->share_condition > 0 && mkv_random_chance(random, shape->share_condition, 16)) {
        flags |= replace ? MKV_PUT_IF_PRESENT : MKV_PUT_IF_ABSENT;
        mkv_model_condition(&world->lives.model, key, client->place);
    }
    client->if_present = (flags & MKV_PUT_IF_PRESENT) != 0;
    send_put(world, index, flags, expiry_s);
}

static void start_delete(struct volume_world *world, uint32_t index, uint32_t key) {
    begin(world, index, CLIENT_DELETING, key, MKV_MODEL_DELETE, 0);
    struct mkv_message message = {.kind = MKV_MESSAGE_DELETE};
    send_key(world, index, &message);
}

static void start_expire(struct volume_world *world, uint32_t index, uint32_t key) {
    struct mkv_random *random = mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
    const uint32_t ahead_s = mkv_random_below(random, 2 * world->lives.shape->expiry_s_max);
    begin(world, index, CLIENT_EXPIRING, key, MKV_MODEL_EXPIRE, 0);
    struct mkv_message message = {.kind = MKV_MESSAGE_EXPIRE};
    message.expiry_s = ahead_s == 0 ? 0 : (uint32_t)world->lives.model.wall_s + ahead_s;
    mkv_model_expires(&world->lives.model, key, world->clients[index].place, message.expiry_s);
    send_key(world, index, &message);
}

static void start_exists(struct volume_world *world, uint32_t index, uint32_t key) {
    begin(world, index, CLIENT_ASKING, key, MKV_MODEL_READ, 0);
    struct mkv_message message = {.kind = MKV_MESSAGE_EXISTS};
    const struct mkv_shape *shape = world->lives.shape;
    if (shape->share_lease > 0) {
        struct mkv_random *random = mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
        static const enum mkv_message_kind kinds[] = {MKV_MESSAGE_EXISTS, MKV_MESSAGE_EXISTS,
                                                      MKV_MESSAGE_PIN, MKV_MESSAGE_UNPIN};
        if (mkv_random_chance(random, shape->share_lease, 16)) {
            message.kind = kinds[mkv_random_below(random, 4)];
            message.lease_ns = mkv_random_between(random, 1, (uint32_t)shape->lease_ns_max);
            message.flags = mkv_random_chance(random, 1, 2) ? MKV_LEASE_SHORT : 0;
        }
    }
    send_key(world, index, &message);
}

static void start_get(struct volume_world *world, uint32_t index, uint32_t key, bool whole) {
    struct mkv_random *random = mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
    begin(world, index, CLIENT_FINDING, key, MKV_MODEL_READ, 0);
    struct client *client = &world->clients[index];
    client->range_offset = 0;
    client->range_bytes = 0;
    if (!whole && mkv_random_chance(random, 1, RANGE_ONE_IN)) {
        client->range_offset = mkv_random_below(random, world->lives.content.length_max + 1);
        client->range_bytes = mkv_random_below(random, world->lives.content.length_max);
    }
    client->aborts = !whole && mkv_random_chance(random, 1, RELEASE_ONE_IN);
    struct mkv_message message = {.kind = MKV_MESSAGE_FIND};
    send_key(world, index, &message);
}

/* Asks for the key under the tenant that it does not belong to. */
static void start_stray(struct volume_world *world, uint32_t index, uint32_t key,
                        enum client_state state, enum mkv_message_kind kind) {
    struct client *client = &world->clients[index];
    client->state = state;
    client->generation++;
    client->due_ns = UINT64_MAX;
    client->key = key;
    client->strays = true;
    client->tenant = key_of_tenant(world, key) ? MKV_TENANT_DEFAULT : mkv_volume_tenant_id(world);
    world->busy_count++;
    struct mkv_message message = {.kind = kind};
    send_key(world, index, &message);
}

bool mkv_volume_client_start_get(struct volume_world *world, uint32_t key) {
    const uint32_t index = free_client(world);
    if (index == MKV_NONE_U32 || !mkv_model_has_room(&world->lives.model, key)) {
        return false;
    }
    start_get(world, index, key, true);
    return true;
}

static uint32_t client_for(const struct volume_world *world, uint32_t key) {
    return mkv_model_has_room(&world->lives.model, key) ? free_client(world) : MKV_NONE_U32;
}

bool mkv_volume_client_start_put(struct volume_world *world, uint32_t key, uint32_t version,
                                 bool replace, uint32_t expiry_s) {
    const uint32_t index = client_for(world, key);
    if (index != MKV_NONE_U32) {
        begin(world, index, CLIENT_BEGUN, key, replace ? MKV_MODEL_REPLACE : MKV_MODEL_PUT,
              version);
        world->clients[index].if_present = false;
        send_put(world, index, replace ? MKV_PUT_REPLACE : 0, expiry_s);
    }
    return index != MKV_NONE_U32;
}

bool mkv_volume_client_start_delete(struct volume_world *world, uint32_t key) {
    const uint32_t index = client_for(world, key);
    if (index != MKV_NONE_U32) {
        start_delete(world, index, key);
    }
    return index != MKV_NONE_U32;
}

/* Whether a mutation of the second tenant's key may start. The model has the mutations of a key in
 * order, and those under an id that is gone stand in no order with those under the next. */
static bool tenant_takes(const struct volume_world *world, uint32_t key) {
    for (uint32_t index = 0; index < MKV_CLIENTS_MAX; index++) {
        const struct client *client = &world->clients[index];
        if (client->state != CLIENT_FREE && client->state != CLIENT_CREATING && !client->strays &&
            client->key == key && client->tenant != world->tenant_id) {
            return false;
        }
    }
    return world->tenant_phase == TENANT_LIVE;
}

void mkv_volume_client_start(struct volume_world *world) {
    struct mkv_random *random = mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
    const struct mkv_shape *shape = world->lives.shape;
    const uint32_t key = mkv_random_below(random, shape->key_count);
    uint32_t draw = mkv_random_below(random, shape->weight_put + shape->weight_get +
                                                 shape->weight_exists + shape->weight_delete +
                                                 shape->weight_tenant + shape->weight_list +
                                                 shape->weight_session + shape->weight_expire);
    const uint32_t index = free_client(world);
    if (index == MKV_NONE_U32 || !mkv_model_has_room(&world->lives.model, key)) {
        return;
    }
    if (draw < shape->weight_tenant) {
        mkv_volume_tenant_start(world, index);
        return;
    }
    draw -= shape->weight_tenant;
    if (draw < shape->weight_list) {
        mkv_volume_listing_start(world, index, key);
        return;
    }
    draw -= shape->weight_list;
    if (draw < shape->weight_session) {
        mkv_volume_session_start(world, index, key);
        return;
    }
    draw -= shape->weight_session;
    const bool no_mutation = key_of_tenant(world, key) && !tenant_takes(world, key);
    if (draw < shape->weight_expire) {
        if (!no_mutation) {
            start_expire(world, index, key);
        }
        return;
    }
    draw -= shape->weight_expire;
    if (draw < shape->weight_put) {
        if (!no_mutation) {
            start_put(world, index, key);
        }
        return;
    }
    draw -= shape->weight_put;
    /* Of keys with equal tags memory alone cannot tell whose one is. */
    const bool strays =
        shape->tenants && key >= shape->colliding && mkv_random_chance(random, 1, STRAY_ONE_IN);
    if (draw < shape->weight_get) {
        if (strays) {
            start_stray(world, index, key, CLIENT_FINDING, MKV_MESSAGE_FIND);
        } else {
            start_get(world, index, key, false);
        }
        return;
    }
    draw -= shape->weight_get;
    if (draw < shape->weight_exists) {
        if (strays) {
            start_stray(world, index, key, CLIENT_ASKING, MKV_MESSAGE_EXISTS);
        } else {
            start_exists(world, index, key);
        }
        return;
    }
    if (strays) {
        start_stray(world, index, key, CLIENT_DELETING, MKV_MESSAGE_DELETE);
    } else if (!no_mutation) {
        start_delete(world, index, key);
    }
}

/* ---- going on -------------------------------------------------------------------------------- */

void mkv_volume_client_act(struct volume_world *world, uint32_t index) {
    struct client *client = &world->clients[index];
    struct mkv_message message = {.volume_op = client->volume_op, .slab = {index}};
    client->due_ns = UINT64_MAX;
    if (client->state == CLIENT_PULLING) {
        if (client->aborts) {
            message.kind = MKV_MESSAGE_PUT_ABORT;
            mkv_model_cancel(&world->lives.model, client->key, client->place);
            mkv_volume_client_send(world, index, &message, NULL, 0);
            mkv_volume_client_end(world, client);
            return;
        }
        client->state = CLIENT_WRITING;
        message.kind = MKV_MESSAGE_PUT_WRITE;
        uint8_t sums[8 * SUMS_MAX];
        for (uint32_t sum = 0; sum < client->sum_count; sum++) {
            mkv_store_u64(sums + (size_t)8 * sum, client->sums[sum]);
        }
        mkv_volume_client_send(world, index, &message, sums, 8 * client->sum_count);
        return;
    }
    MKV_ASSERT(client->state == CLIENT_FOUND);
    if (client->aborts) {
        message.kind = MKV_MESSAGE_RELEASE;
        mkv_model_cancel(&world->lives.model, client->key, client->place);
        mkv_volume_client_send(world, index, &message, NULL, 0);
        mkv_volume_client_end(world, client);
        return;
    }
    client->state = CLIENT_READING;
    message.kind = MKV_MESSAGE_READ;
    message.offset = client->range_offset;
    message.length = client->range_bytes;
    mkv_volume_client_send(world, index, &message, NULL, 0);
}

/* ---- answers --------------------------------------------------------------------------------- */

static _Noreturn void unexpected(const struct volume_world *world,
                                 const struct mkv_message *message, const char *what) {
    const struct client *client = &world->clients[message->front_op.index];
    mkv_fail(MKV_ORACLE_ANSWERS,
             "%s: message kind %u, status %u, miss %u for item %u.%u, which is at state %u of %u",
             what, (unsigned)message->kind, (unsigned)message->status, (unsigned)message->miss,
             message->front_op.index, message->front_op.generation, (unsigned)client->state,
             client->generation);
}

/* An error of the drive: nothing has taken effect, unless nobody can say. */
static void mutation_failed(struct volume_world *world, struct client *client,
                            enum mkv_status status) {
    mkv_lives_error(&world->lives);
    if (status == MKV_STATUS_UNKNOWN) {
        mkv_model_abandon(&world->lives.model, client->key, client->place);
    } else {
        mkv_model_cancel(&world->lives.model, client->key, client->place);
    }
}

static void put_answered(struct volume_world *world, struct client *client,
                         const struct mkv_message *message) {
    if (message->kind == MKV_MESSAGE_PUT_READY) {
        if (client->state != CLIENT_BEGUN) {
            unexpected(world, message, "PUT_READY comes at the wrong time");
        }
        client->state = CLIENT_PULLING;
        client->volume_op = message->volume_op;
        client->due_ns =
            world->lives.now_ns + 1 +
            mkv_random_below(mkv_lives_random(&world->lives, MKV_CONCERN_FABRIC), PULL_NS_MAX);
        return;
    }
    if (client->state != CLIENT_BEGUN && client->state != CLIENT_WRITING) {
        unexpected(world, message, "PUT_DONE comes at the wrong time");
    }
    switch (message->status) {
    case MKV_STATUS_OK:
        mkv_watch_put_done(&world->lives.nodes[0].watch, client->key, client->tenant, client->root);
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_OK);
        break;
    case MKV_STATUS_CONFLICT:
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_CONFLICT);
        break;
    case MKV_STATUS_NO_SPACE:
        mkv_model_cancel(&world->lives.model, client->key, client->place);
        break;
    case MKV_STATUS_QUOTA:
    case MKV_STATUS_FORBIDDEN: /* its tenant was dropped under way */
        if (client->tenant == MKV_TENANT_DEFAULT) {
            unexpected(world, message, "a put is refused for its tenant");
        }
        mkv_model_cancel(&world->lives.model, client->key, client->place);
        break;
    case MKV_STATUS_IO_ERROR:
    case MKV_STATUS_UNAVAILABLE:
    case MKV_STATUS_UNKNOWN:
        mutation_failed(world, client, message->status);
        break;
    case MKV_STATUS_NOT_FOUND:
        if (!client->if_present) {
            unexpected(world, message, "a put finds nothing to replace, and need not");
        }
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_MISS);
        break;
    case MKV_STATUS_DEADLINE:
    case MKV_STATUS_INVALID:
    case MKV_STATUS_BUSY:
        unexpected(world, message, "a put fails for no reason");
    }
    mkv_volume_client_end(world, client);
}

static void delete_answered(struct volume_world *world, struct client *client,
                            const struct mkv_message *message) {
    const bool deletes = message->kind == MKV_MESSAGE_DELETE_DONE;
    if (client->state != (deletes ? CLIENT_DELETING : CLIENT_EXPIRING)) {
        unexpected(world, message, "DELETE_DONE or EXPIRE_DONE comes at the wrong time");
    }
    if (message->status == MKV_STATUS_OK && !deletes) {
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_OK);
    } else if (message->status == MKV_STATUS_OK) {
        mkv_watch_delete_done(&world->lives.nodes[0].watch, client->key);
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_OK);
    } else if (message->status == MKV_STATUS_NOT_FOUND) {
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_MISS);
    } else if (message->status == MKV_STATUS_FORBIDDEN && client->tenant != MKV_TENANT_DEFAULT) {
        mkv_model_cancel(&world->lives.model, client->key, client->place);
    } else if (message->status == MKV_STATUS_IO_ERROR ||
               message->status == MKV_STATUS_UNAVAILABLE || message->status == MKV_STATUS_UNKNOWN) {
        mutation_failed(world, client, message->status);
    } else {
        unexpected(world, message, "a DELETE or EXPIRE fails for no reason");
    }
    mkv_volume_client_end(world, client);
}

/* Whether the bytes in the slab are those of the version. */
static bool read_is(struct volume_world *world, const struct client *client,
                    const struct mkv_message *message, uint32_t version, const uint8_t *bytes) {
    return mkv_content_length(&world->lives.content, client->key, version) == message->length &&
           mkv_content_equal(&world->lives.content, client->key, version, message->offset, bytes,
                             message->bytes);
}

/* The version that was read, or MKV_NONE_U32 when no put of this key brought these bytes. */
static uint32_t version_read(struct volume_world *world, const struct client *client,
                             const struct mkv_message *message, const uint8_t *bytes) {
    uint32_t version = 0;
    for (uint32_t index = 0; mkv_model_version(&world->lives.model, client->key, index, &version);
         index++) {
        if (version != MKV_MODEL_ABSENT && read_is(world, client, message, version, bytes)) {
            return version;
        }
    }
    for (version = world->lives.model.keys[client->key].version_last; version > 0; version--) {
        if (read_is(world, client, message, version, bytes)) {
            return version;
        }
    }
    return MKV_NONE_U32;
}

/* Whose bytes they are makes the report readable. */
static _Noreturn void fail_unknown(struct volume_world *world, const struct client *client,
                                   const struct mkv_message *message, const uint8_t *bytes) {
    for (uint32_t key = 0; key < world->lives.shape->key_count; key++) {
        const struct client other = {.key = key};
        if (key_of_tenant(world, key) != key_of_tenant(world, client->key) && message->bytes >= 8 &&
            version_read(world, &other, message, bytes) != MKV_NONE_U32) {
            mkv_fail(MKV_ORACLE_TENANT,
                     "a read of key %u returned bytes of key %u, which is another tenant's",
                     client->key, key);
        }
    }
    mkv_fail(MKV_ORACLE_DURABLE, "a read of key %u returned bytes that no put brought",
             client->key);
}

static void check_root(struct volume_world *world, const struct client *client,
                       const struct mkv_message *message, uint32_t version) {
    uint64_t sums[SUMS_MAX];
    mkv_content_fill(&world->lives.content, client->key, version, 0, world->scratch,
                     message->length);
    mkv_chunk_sums(world->scratch, message->length, sums);
    if (!mkv_root_equal(mkv_root_of_sums(message->length, sums), message->root)) {
        mkv_fail(MKV_ORACLE_DURABLE, "a read of key %u, version %u, names another root",
                 client->key, version);
    }
}

static void read_succeeded(struct volume_world *world, uint32_t index,
                           const struct mkv_message *message) {
    struct client *client = &world->clients[index];
    const uint32_t behind =
        message->length > client->range_offset ? message->length - client->range_offset : 0;
    const uint32_t wanted =
        client->range_bytes == 0 || client->range_bytes > behind ? behind : client->range_bytes;
    if (message->offset != client->range_offset || message->bytes != wanted ||
        message->length > world->lives.content.length_max) {
        mkv_fail(MKV_ORACLE_DURABLE,
                 "a read of key %u asks for %u bytes at %u and gets %u at %u of %u", client->key,
                 client->range_bytes, client->range_offset, message->bytes, message->offset,
                 message->length);
    }
    const uint8_t *bytes = client_slab(world, index) + MKV_UNIT_BYTES + message->slab_offset;
    const uint32_t version = version_read(world, client, message, bytes);
    if (version == MKV_NONE_U32) {
        fail_unknown(world, client, message, bytes);
    }
    if (message->bytes < 8) {
        /* Too few to tell the versions apart. */
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_PRESENT);
        return;
    }
    mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_VERSION + version);
    if (mkv_random_chance(mkv_lives_random(&world->lives, MKV_CONCERN_FABRIC), 1, ROOT_ONE_IN)) {
        check_root(world, client, message, version);
    }
}

/* A key that was never evicted is not told as such. */
static void check_miss(const struct volume_world *world, const struct client *client,
                       const struct mkv_message *message) {
    const struct mkv_content_key *key = &world->lives.content.keys[client->key];
    const uint64_t tag = mkv_key_tag(client->tenant, key->bytes, key->byte_count);
    if (message->miss == MKV_MISS_EVICTED && !mkv_evictions_had(&world->lives.evictions, tag)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "a miss of key %u is told as evicted, and it never was",
                 client->key);
    }
}

static void read_missed(struct volume_world *world, struct client *client,
                        const struct mkv_message *message) {
    const bool failed = message->miss == MKV_MISS_IO_ERROR;
    check_miss(world, client, message);
    if (message->status != MKV_STATUS_NOT_FOUND &&
        !(failed && message->status == MKV_STATUS_IO_ERROR)) {
        unexpected(world, message, "a read fails for no reason");
    }
    if (failed || message->miss == MKV_MISS_CHECKSUM) {
        mkv_lives_damage(&world->lives, client->key);
    }
    if (failed || message->miss == MKV_MISS_DRIVE_OFFLINE) {
        mkv_lives_error(&world->lives);
        mkv_model_cancel(&world->lives.model, client->key, client->place);
    } else if (message->miss == MKV_MISS_OVERLOADED) {
        /* The slab was taken for a shorter block with the same tag. */
        mkv_model_cancel(&world->lives.model, client->key, client->place);
    } else {
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_MISS);
    }
}

static void get_answered(struct volume_world *world, uint32_t index,
                         const struct mkv_message *message) {
    struct client *client = &world->clients[index];
    if (message->kind == MKV_MESSAGE_FOUND) {
        if (client->state != CLIENT_FINDING) {
            unexpected(world, message, "FOUND comes at the wrong time");
        }
        if (message->status == MKV_STATUS_OK) {
            client->state = CLIENT_FOUND;
            client->volume_op = message->volume_op;
            client->due_ns =
                world->lives.now_ns + 1 +
                mkv_random_below(mkv_lives_random(&world->lives, MKV_CONCERN_FABRIC), READ_NS_MAX);
            return;
        }
        read_missed(world, client, message);
    } else {
        if (client->state != CLIENT_READING) {
            unexpected(world, message, "READ_DONE comes at the wrong time");
        }
        if (message->status == MKV_STATUS_OK) {
            read_succeeded(world, index, message);
        } else {
            read_missed(world, client, message);
        }
    }
    mkv_volume_client_end(world, client);
}

static void exists_answered(struct volume_world *world, struct client *client,
                            const struct mkv_message *message) {
    if (client->state != CLIENT_ASKING) {
        unexpected(world, message, "EXISTS_DONE comes at the wrong time");
    }
    check_miss(world, client, message);
    const bool shares_tag = client->key < world->lives.shape->colliding;
    const bool pin = message->kind == MKV_MESSAGE_PIN_DONE;
    if (message->lease_ns > 0) {
        const struct mkv_evictions_lease lease = {message->volume_op.index,
                                                  message->volume_op.generation,
                                                  world->lives.now_ns + message->lease_ns, pin};
        mkv_evictions_leased(&world->lives.evictions, &lease);
    }
    if (message->kind == MKV_MESSAGE_UNPIN_DONE) {
        if (message->status == MKV_STATUS_OK) {
            mkv_evictions_unpinned(&world->lives.evictions, message->volume_op.index);
        } else if (message->status != MKV_STATUS_NOT_FOUND) {
            unexpected(world, message, "an UNPIN fails for no reason");
        }
        mkv_model_cancel(&world->lives.model, client->key, client->place);
    } else if (message->status == MKV_STATUS_NOT_FOUND && message->miss == MKV_MISS_DRIVE_OFFLINE) {
        mkv_lives_error(&world->lives);
        mkv_model_cancel(&world->lives.model, client->key, client->place);
    } else if (message->status == MKV_STATUS_NOT_FOUND) {
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_MISS);
    } else if (message->status != MKV_STATUS_OK &&
               !(pin && message->status == MKV_STATUS_NO_SPACE)) {
        unexpected(world, message, "an EXISTS fails for no reason");
    } else if (shares_tag) {
        /* It is answered from memory, by the tag alone. */
        mkv_model_cancel(&world->lives.model, client->key, client->place);
    } else {
        if (!pin) {
            mkv_model_told_expiry(&world->lives.model, client->key, client->place,
                                  message->expiry_s);
        }
        mkv_model_answer(&world->lives.model, client->key, client->place, MKV_MODEL_PRESENT);
    }
    mkv_volume_client_end(world, client);
}

/* The answer to a request for another tenant's key: there is none (O15). */
static void stray_answered(struct volume_world *world, struct client *client,
                           const struct mkv_message *message) {
    const bool deletes = client->state == CLIENT_DELETING;
    const enum mkv_message_kind kind = client->state == CLIENT_FINDING  ? MKV_MESSAGE_FOUND
                                       : client->state == CLIENT_ASKING ? MKV_MESSAGE_EXISTS_DONE
                                                                        : MKV_MESSAGE_DELETE_DONE;
    if (message->kind != kind) {
        unexpected(world, message, "an answer comes to another question");
    }
    world->lives.model.evaluations++;
    if (message->status == MKV_STATUS_OK) {
        mkv_fail(MKV_ORACLE_TENANT, "tenant %u %s key %u, which is another tenant's",
                 client->tenant, deletes ? "deletes" : "finds", client->key);
    }
    check_miss(world, client, message);
    const bool failed =
        message->miss == MKV_MISS_DRIVE_OFFLINE || message->status == MKV_STATUS_UNAVAILABLE;
    if (failed) {
        mkv_lives_error(&world->lives);
    } else if (message->status != MKV_STATUS_NOT_FOUND &&
               !(deletes && message->status == MKV_STATUS_FORBIDDEN &&
                 client->tenant != MKV_TENANT_DEFAULT)) {
        unexpected(world, message, "a request for another tenant's key fails for no reason");
    }
    mkv_volume_client_end(world, client);
}

void mkv_volume_client_answer(struct volume_world *world, const struct mkv_message *message,
                              const uint8_t *data) {
    const uint32_t index = message->front_op.index;
    if (index >= MKV_CLIENTS_MAX ||
        world->clients[index].generation != message->front_op.generation ||
        world->clients[index].state == CLIENT_FREE) {
        mkv_fail(MKV_ORACLE_ANSWERS, "message kind %u answers item %u.%u, which is over",
                 (unsigned)message->kind, index, message->front_op.generation);
    }
    struct client *client = &world->clients[index];
    if (client->strays) {
        stray_answered(world, client, message);
        return;
    }
    switch (message->kind) {
    case MKV_MESSAGE_PUT_READY:
    case MKV_MESSAGE_PUT_TAKEN:
    case MKV_MESSAGE_PUT_DONE:
        put_answered(world, client, message);
        return;
    case MKV_MESSAGE_DELETE_DONE:
    case MKV_MESSAGE_EXPIRE_DONE:
        delete_answered(world, client, message);
        return;
    case MKV_MESSAGE_TENANT_DONE:
    case MKV_MESSAGE_TENANT_DROP_DONE:
        mkv_volume_tenant_answered(world, client, message);
        return;
    case MKV_MESSAGE_FOUND:
    case MKV_MESSAGE_READ_DONE:
        get_answered(world, index, message);
        return;
    case MKV_MESSAGE_EXISTS_DONE:
    case MKV_MESSAGE_PIN_DONE:
    case MKV_MESSAGE_UNPIN_DONE:
        exists_answered(world, client, message);
        return;
    case MKV_MESSAGE_SESSION_DONE:
        mkv_volume_session_answered(world, client, message);
        return;
    case MKV_MESSAGE_SCAN_DONE:
    case MKV_MESSAGE_COUNT_DONE:
    case MKV_MESSAGE_PURGE_DONE:
        mkv_volume_listing_answered(world, client, message, data);
        return;
    case MKV_MESSAGE_FIND:
    case MKV_MESSAGE_READ:
    case MKV_MESSAGE_RELEASE:
    case MKV_MESSAGE_EXISTS:
    case MKV_MESSAGE_PIN:
    case MKV_MESSAGE_UNPIN:
    case MKV_MESSAGE_SESSION:
    case MKV_MESSAGE_PUT_BEGIN:
    case MKV_MESSAGE_PUT_WRITE:
    case MKV_MESSAGE_PUT_ABORT:
    case MKV_MESSAGE_DELETE:
    case MKV_MESSAGE_EXPIRE:
    case MKV_MESSAGE_TENANT:
    case MKV_MESSAGE_TENANT_DROP:
    case MKV_MESSAGE_TOUCH:
    case MKV_MESSAGE_SCAN:
    case MKV_MESSAGE_COUNT:
    case MKV_MESSAGE_PURGE:
        break;
    }
    unexpected(world, message, "the volume sends a message that is the front's to send");
}
