/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the set world, and what each key may hold. */
#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/placement.h"
#include "sim/failure.h"
#include "sim/set_world.h"

#define SUMS_MAX 4u
#define THINK_NS_MAX 5000u

/* ---- what keys may hold ---------------------------------------------------------------------- */

static void allow(struct set_key *key, uint32_t version, uint32_t drive) {
    for (uint32_t i = 0; i < key->count; i++) {
        if (key->candidates[i].version == version) {
            return; /* versions are put once, so to one drive */
        }
    }
    if (key->count == SET_CANDIDATES_MAX) {
        mkv_fail(MKV_ORACLE_ASSERTION, "a key has more than %u candidates", SET_CANDIDATES_MAX);
    }
    key->candidates[key->count++] = (struct set_candidate){version, drive};
}

static void settle(struct set_key *key, uint32_t version, uint32_t drive) {
    key->count = 0;
    key->evicted = false;
    allow(key, version, drive);
}

static bool allows(const struct set_key *key, uint32_t version) {
    for (uint32_t i = 0; i < key->count; i++) {
        if (key->candidates[i].version == version) {
            return true;
        }
    }
    return false;
}

/* The drive that the key goes to: as core/front_op.c finds it. */
static uint32_t owner(const struct set_world *world, uint32_t key) {
    struct mkv_member members[SET_DRIVES_MAX];
    for (uint32_t drive = 0; drive < world->drive_count; drive++) {
        const bool absent = mkv_drive_set_run_route(&world->run, drive) == MKV_DRIVE_SET_ABSENT;
        members[drive] = (struct mkv_member){world->plan.drive_uuids[drive],
                                             absent ? 0 : world->plan.weights[drive]};
    }
    const struct mkv_content_key *content = &world->content.keys[key];
    const struct mkv_root point =
        mkv_placement_point(MKV_TENANT_DEFAULT_NAME, content->bytes, content->byte_count);
    return mkv_placement_owner(point, members, world->drive_count);
}

/* The drive that the set which is routed gives the key to, joining ones left out. */
static uint32_t owner_routed(const struct set_world *world, uint32_t key) {
    const struct mkv_drive_set *routed = &world->run.routed;
    const struct mkv_content_key *content = &world->content.keys[key];
    const struct mkv_root point =
        mkv_placement_point(MKV_TENANT_DEFAULT_NAME, content->bytes, content->byte_count);
    const uint32_t place = mkv_placement_owner(point, routed->members, routed->count);
    for (uint32_t drive = 0; drive < world->drive_count; drive++) {
        if (mkv_uuid_equal(world->plan.drive_uuids[drive], routed->members[place].uuid)) {
            return drive;
        }
    }
    return MKV_NONE_U32;
}

void mkv_set_keys_routed(struct set_world *world) {
    for (uint32_t index = 0; index < world->content.key_count; index++) {
        struct set_key *key = &world->keys[index];
        const uint32_t drive = owner_routed(world, index);
        uint32_t kept = 0;
        bool dropped = false;
        for (uint32_t i = 0; i < key->count; i++) {
            if (key->candidates[i].version == 0 || key->candidates[i].drive == drive) {
                key->candidates[kept++] = key->candidates[i];
            } else {
                dropped = true;
            }
        }
        key->count = kept;
        if (dropped) {
            allow(key, 0, 0);
        }
    }
    for (uint32_t index = 0; index < SET_CLIENTS_MAX; index++) {
        struct set_client *client = &world->clients[index];
        client->strayed = client->strayed || (client->state != SET_CLIENT_FREE &&
                                              owner_routed(world, client->key) != client->drive);
    }
}

void mkv_set_keys_purged(struct set_world *world) {
    for (uint32_t index = 0; index < world->content.key_count; index++) {
        const uint32_t drive = owner(world, index);
        if (drive != MKV_NONE_U32 && world->run.volumes[drive].role == MKV_DRIVE_SET_JOINER) {
            allow(&world->keys[index], 0, 0);
        }
    }
}

void mkv_set_keys_evicted(struct set_world *world, uint64_t tag) {
    for (uint32_t index = 0; index < world->content.key_count; index++) {
        if (world->content.keys[index].tag == tag) {
            allow(&world->keys[index], 0, 0);
            world->keys[index].evicted = true;
        }
    }
}

/* ---- operations ------------------------------------------------------------------------------ */

static void send(struct set_world *world, uint32_t index, struct mkv_message *message,
                 const uint8_t *data, uint32_t data_bytes) {
    const struct set_client *client = &world->clients[index];
    message->volume = client->drive;
    message->front_op = (struct mkv_op_id){index, client->generation};
    message->tenant = MKV_TENANT_DEFAULT;
    message->slab = (struct mkv_slab){index};
    message->data_bytes = data_bytes;
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = data, .data_bytes = data_bytes, .message = *message};
    (void)mkv_set_drive_step(&world->drives[client->drive], &input);
}

static uint32_t payload(struct set_world *world, uint32_t index, uint64_t sums[SUMS_MAX],
                        struct mkv_root *root) {
    const struct set_client *client = &world->clients[index];
    const uint32_t length = mkv_content_length(&world->content, client->key, client->version);
    uint8_t *bytes = set_slab(world, index) + MKV_UNIT_BYTES;
    mkv_content_fill(&world->content, client->key, client->version, 0, bytes, length);
    MKV_ASSERT(mkv_chunk_count(length) <= SUMS_MAX);
    mkv_chunk_sums(bytes, length, sums);
    *root = mkv_root_of_sums(length, sums);
    return length;
}

static void start_put(struct set_world *world, uint32_t index) {
    struct set_client *client = &world->clients[index];
    uint64_t sums[SUMS_MAX];
    client->state = SET_CLIENT_PUTTING;
    client->version = ++world->keys[client->key].version_last;
    struct mkv_message message = {.kind = MKV_MESSAGE_PUT_BEGIN, .flags = MKV_PUT_REPLACE};
    message.length = payload(world, index, sums, &message.root);
    const struct mkv_content_key *key = &world->content.keys[client->key];
    send(world, index, &message, key->bytes, key->byte_count);
}

bool mkv_set_client_start(struct set_world *world, uint32_t key, bool get) {
    struct mkv_random *random = set_random(world, MKV_CONCERN_WORKLOAD);
    const struct mkv_shape *shape = world->shape;
    const uint32_t draw =
        mkv_random_below(random, shape->weight_put + shape->weight_get + shape->weight_delete + 1);
    uint32_t index = 0;
    while (index < SET_CLIENTS_MAX && world->clients[index].state != SET_CLIENT_FREE) {
        index++;
    }
    if (index == SET_CLIENTS_MAX || world->keys[key].busy) {
        return false;
    }
    const uint32_t drive = owner(world, key);
    if (drive == MKV_NONE_U32 ||
        mkv_drive_set_run_route(&world->run, drive) != MKV_DRIVE_SET_ONLINE) {
        return true; /* a miss, or UNAVAILABLE: nothing is learned, nothing changes */
    }
    struct set_client *client = &world->clients[index];
    client->generation++;
    client->key = key;
    client->drive = drive;
    client->strayed = false;
    client->due_ns = UINT64_MAX;
    world->keys[key].busy = true;
    world->clients_busy++;
    const struct mkv_content_key *content = &world->content.keys[key];
    struct mkv_message message = {.kind = MKV_MESSAGE_FIND};
    client->state = SET_CLIENT_GETTING;
    if (!get && draw < shape->weight_put) {
        start_put(world, index);
        return true;
    }
    if (!get && draw < shape->weight_put + shape->weight_delete) {
        client->state = SET_CLIENT_DELETING;
        message.kind = MKV_MESSAGE_DELETE;
    }
    send(world, index, &message, content->bytes, content->byte_count);
    return true;
}

static void end(struct set_world *world, struct set_client *client) {
    client->state = SET_CLIENT_FREE;
    world->keys[client->key].busy = false;
    world->clients_busy--;
    world->report->operations++;
    world->report->evaluations++;
}

/* The drive counts: one that was routed away has no part in what the key holds; one from which the
 * key is to go to a drive that joins has, until that has joined. */
static bool counts(const struct set_world *world, const struct set_client *client) {
    return owner_routed(world, client->key) == client->drive;
}

/* The read tells what the key holds now: not of a block that it found before the key went to
 * another drive, and holds while it is purged, also when the key is back by then. */
static bool tells(const struct set_world *world, const struct set_client *client) {
    return counts(world, client) && !client->strayed;
}

/* The key is on its way from the drive to one that joins: what it holds may be dropped. */
static bool is_leaving(const struct set_world *world, const struct set_client *client) {
    return owner(world, client->key) != client->drive;
}

/* An answer comes within a step of the volume: what follows it is sent in a step of its own. */
static void send_later(struct set_world *world, struct set_client *client,
                       enum mkv_message_kind kind, struct mkv_op_id volume_op) {
    client->next = (struct mkv_message){.kind = kind, .volume_op = volume_op};
    client->due_ns =
        world->now_ns + 1 + mkv_random_below(set_random(world, MKV_CONCERN_FABRIC), THINK_NS_MAX);
}

static void put_answered(struct set_world *world, struct set_client *client,
                         const struct mkv_message *message) {
    struct set_key *key = &world->keys[client->key];
    if (message->kind == MKV_MESSAGE_PUT_READY) {
        send_later(world, client, MKV_MESSAGE_PUT_WRITE, message->volume_op);
        return;
    }
    if (message->status == MKV_STATUS_OK) {
        if (counts(world, client)) {
            settle(key, client->version, client->drive);
        }
        if (is_leaving(world, client)) {
            allow(key, 0, 0);
        }
    } else if (message->status != MKV_STATUS_NO_SPACE && counts(world, client)) {
        allow(key, client->version, client->drive);
    }
    end(world, client);
}

static void delete_answered(struct set_world *world, struct set_client *client,
                            const struct mkv_message *message) {
    struct set_key *key = &world->keys[client->key];
    if (message->status == MKV_STATUS_NOT_FOUND && !allows(key, 0)) {
        mkv_fail(MKV_ORACLE_DURABLE, "drive %u has nothing to delete of key %u, which was put",
                 client->drive, client->key);
    }
    if (message->status == MKV_STATUS_OK || message->status == MKV_STATUS_NOT_FOUND) {
        settle(key, 0, 0);
    } else if (counts(world, client)) {
        allow(key, 0, 0);
    }
    end(world, client);
}

static void get_hit(struct set_world *world, struct set_client *client,
                    const struct mkv_message *message) {
    struct set_key *key = &world->keys[client->key];
    const uint8_t *bytes =
        set_slab(world, message->front_op.index) + MKV_UNIT_BYTES + message->slab_offset;
    uint32_t found = MKV_NONE_U32;
    bool allowed = false;
    for (uint32_t version = key->version_last; version > 0 && !allowed; version--) {
        if (mkv_content_length(&world->content, client->key, version) == message->length &&
            mkv_content_equal(&world->content, client->key, version, 0, bytes, message->bytes)) {
            found = version;
            allowed = allows(key, version);
        }
    }
    if (found == MKV_NONE_U32) {
        mkv_fail(MKV_ORACLE_DURABLE, "drive %u holds bytes of key %u that no put brought",
                 client->drive, client->key);
    }
    if (!tells(world, client)) {
        return;
    }
    if (!allowed) {
        mkv_fail(MKV_ORACLE_NO_RETURN, "drive %u returns version %u of key %u, which was gone",
                 client->drive, found, client->key);
    }
    const bool evicted = key->evicted;
    settle(key, found, client->drive);
    if (evicted || is_leaving(world, client)) { /* after it was found, maybe */
        key->evicted = evicted;
        allow(key, 0, 0);
    }
}

static void get_answered(struct set_world *world, struct set_client *client,
                         const struct mkv_message *message) {
    struct set_key *key = &world->keys[client->key];
    if (message->kind == MKV_MESSAGE_FOUND && message->status == MKV_STATUS_OK) {
        send_later(world, client, MKV_MESSAGE_READ, message->volume_op);
        return;
    }
    if (message->status == MKV_STATUS_OK) {
        get_hit(world, client, message);
    } else if (message->miss == MKV_MISS_UNKNOWN) {
        if (!allows(key, 0)) {
            mkv_fail(MKV_ORACLE_DURABLE, "drive %u misses key %u, which was put and is not lost",
                     client->drive, client->key);
        }
        if (!key->evicted && tells(world, client) && !is_leaving(world, client)) {
            settle(key, 0, 0);
        }
    } else if (message->miss != MKV_MISS_DRIVE_OFFLINE && message->miss != MKV_MISS_IO_ERROR) {
        mkv_fail(MKV_ORACLE_ANSWERS, "drive %u misses key %u for reason %u", client->drive,
                 client->key, (unsigned)message->miss);
    }
    end(world, client);
}

void mkv_set_client_answer(struct set_world *world, uint32_t drive,
                           const struct mkv_message *message) {
    const uint32_t index = message->front_op.index;
    MKV_ASSERT(index < SET_CLIENTS_MAX);
    struct set_client *client = &world->clients[index];
    if (client->state == SET_CLIENT_FREE || client->generation != message->front_op.generation ||
        client->drive != drive) {
        mkv_fail(MKV_ORACLE_ANSWERS, "message kind %u answers item %u, which is over",
                 (unsigned)message->kind, index);
    }
    if (client->state == SET_CLIENT_PUTTING) {
        put_answered(world, client, message);
    } else if (client->state == SET_CLIENT_DELETING) {
        delete_answered(world, client, message);
    } else {
        get_answered(world, client, message);
    }
}

static uint32_t first_due(const struct set_world *world) {
    uint32_t first = MKV_NONE_U32;
    for (uint32_t index = 0; index < SET_CLIENTS_MAX; index++) {
        const struct set_client *client = &world->clients[index];
        if (client->state != SET_CLIENT_FREE && client->due_ns != UINT64_MAX &&
            (first == MKV_NONE_U32 || client->due_ns < world->clients[first].due_ns)) {
            first = index;
        }
    }
    return first;
}

uint64_t mkv_set_clients_due_ns(const struct set_world *world) {
    const uint32_t first = first_due(world);
    return first == MKV_NONE_U32 ? UINT64_MAX : world->clients[first].due_ns;
}

void mkv_set_clients_act(struct set_world *world) {
    const uint32_t index = first_due(world);
    struct set_client *client = &world->clients[index];
    struct mkv_message message = client->next;
    uint64_t sums[SUMS_MAX];
    uint8_t data[8 * SUMS_MAX];
    uint32_t data_bytes = 0;
    client->due_ns = UINT64_MAX;
    if (message.kind == MKV_MESSAGE_PUT_WRITE) {
        const uint32_t length = payload(world, index, sums, &message.root);
        data_bytes = 8 * mkv_chunk_count(length);
        for (uint32_t sum = 0; sum < mkv_chunk_count(length); sum++) {
            mkv_store_u64(data + (size_t)8 * sum, sums[sum]);
        }
    }
    send(world, index, &message, data, data_bytes);
}

bool mkv_set_clients_idle(const struct set_world *world) {
    return world->clients_busy == 0;
}

void mkv_set_clients_crash(struct set_world *world) {
    for (uint32_t key = 0; key < world->content.key_count; key++) {
        world->keys[key].evicted = false;
    }
    for (uint32_t index = 0; index < SET_CLIENTS_MAX; index++) {
        struct set_client *client = &world->clients[index];
        if (client->state == SET_CLIENT_FREE) {
            continue;
        }
        struct set_key *key = &world->keys[client->key];
        if (client->state == SET_CLIENT_PUTTING && counts(world, client)) {
            allow(key, client->version, client->drive);
        } else if (client->state == SET_CLIENT_DELETING && counts(world, client)) {
            allow(key, 0, 0);
        }
        end(world, client);
    }
}
