/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCAN, COUNT and PURGE beside everything else, by prefixes of keys that there are. To the model a
 * SCAN is a read of each key that it covers, all at once; a PURGE is a purge of each.
 */
#include <string.h>

#include "core/bytes.h"
#include "sim/failure.h"
#include "sim/volume_world.h"

/* One SCAN in this many begins behind a key; one has a small bound of bytes. */
#define AFTER_ONE_IN 3u
#define BYTES_ONE_IN 4u

_Static_assert(MKV_CONTENT_KEYS_MAX <= 64, "a bit for each key");

/* ---- asking ---------------------------------------------------------------------------------- */

static int compare(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes) {
    const int order = memcmp(a, b, (size_t)mkv_min_u64(a_bytes, b_bytes));
    if (order != 0) {
        return order;
    }
    return a_bytes < b_bytes ? -1 : (a_bytes > b_bytes ? 1 : 0);
}

/* The keys of the asker's tenant that begin with the prefix and lie behind `after`. */
static uint64_t covered(const struct volume_world *world, bool of_tenant, const uint8_t *prefix,
                        uint32_t prefix_bytes, const struct mkv_content_key *after) {
    uint64_t keys = 0;
    for (uint32_t key = 0; key < world->lives.content.key_count; key++) {
        const struct mkv_content_key *candidate = &world->lives.content.keys[key];
        const bool begins =
            candidate->byte_count >= prefix_bytes &&
            (prefix_bytes == 0 || memcmp(candidate->bytes, prefix, prefix_bytes) == 0);
        const bool behind = after == NULL || compare(candidate->bytes, candidate->byte_count,
                                                     after->bytes, after->byte_count) > 0;
        if (key_of_tenant(world, key) == of_tenant && begins && behind) {
            keys |= 1ull << key;
        }
    }
    return keys;
}

static bool all_have_room(const struct volume_world *world, uint64_t keys) {
    for (uint32_t key = 0; key < world->lives.content.key_count; key++) {
        if ((keys >> key & 1) != 0 && !mkv_model_has_room(&world->lives.model, key)) {
            return false;
        }
    }
    return true;
}

static void invoke(struct volume_world *world, struct client *client, bool purge) {
    struct mkv_model *model = &world->lives.model;
    for (uint32_t key = 0; key < model->key_count; key++) {
        if ((client->listed_keys >> key & 1) != 0) {
            client->places[key] =
                mkv_model_invoke(model, key, purge ? MKV_MODEL_PURGE : MKV_MODEL_READ, 0);
            if (!purge) {
                mkv_model_lists(model, key, client->places[key]);
            }
        }
    }
}

void mkv_volume_listing_start(struct volume_world *world, uint32_t index, uint32_t key) {
    struct mkv_random *random = mkv_lives_random(&world->lives, MKV_CONCERN_WORKLOAD);
    struct client *client = &world->clients[index];
    const struct mkv_content_key *like = &world->lives.content.keys[key];
    const bool of_tenant = key_of_tenant(world, key);
    const uint32_t draw = mkv_random_below(random, 4);
    const bool scan = draw < 2;
    const bool purge = draw == 3;
    const uint32_t prefix_bytes =
        mkv_random_chance(random, 1, 2) ? 0 : mkv_random_below(random, like->byte_count + 1);
    const struct mkv_content_key *after = NULL;
    if (scan && mkv_random_chance(random, 1, AFTER_ONE_IN)) {
        after =
            &world->lives.content.keys[mkv_random_below(random, world->lives.content.key_count)];
    }
    const uint64_t keys = covered(world, of_tenant, like->bytes, prefix_bytes, after);
    if (!all_have_room(world, keys) || (purge && of_tenant && world->tenant_phase != TENANT_LIVE)) {
        return;
    }
    struct mkv_message message = {
        .kind = scan ? MKV_MESSAGE_SCAN : (purge ? MKV_MESSAGE_PURGE : MKV_MESSAGE_COUNT),
        .length = prefix_bytes,
        .bytes = mkv_random_chance(random, 1, BYTES_ONE_IN) ? 100 : 0,
        .count = mkv_random_between(random, 1, world->lives.content.key_count + 1),
    };
    client->state = scan ? CLIENT_SCANNING : (purge ? CLIENT_PURGING : CLIENT_COUNTING);
    client->generation++;
    client->due_ns = UINT64_MAX;
    client->key = key;
    client->tenant = of_tenant ? mkv_volume_tenant_id(world) : MKV_TENANT_DEFAULT;
    client->listed_keys = keys;
    world->busy_count++;
    invoke(world, client, purge);
    if (purge) {
        mkv_lives_mutated(&world->lives);
    }
    uint8_t both[2 * MKV_KEY_BYTES_MAX];
    uint32_t bytes = prefix_bytes;
    memcpy(both, like->bytes, prefix_bytes);
    if (after != NULL) {
        memcpy(both + bytes, after->bytes, after->byte_count);
        bytes += after->byte_count;
    }
    mkv_volume_client_send(world, index, &message, both, bytes);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Ends the model's part of it for these keys. */
static void cancel(struct volume_world *world, const struct client *client, uint64_t keys) {
    for (uint32_t key = 0; key < world->lives.model.key_count; key++) {
        if ((client->listed_keys & keys) >> key & 1) {
            mkv_model_cancel(&world->lives.model, key, client->places[key]);
        }
    }
}

static void answer(struct volume_world *world, const struct client *client, uint64_t keys,
                   uint32_t result) {
    for (uint32_t key = 0; key < world->lives.model.key_count; key++) {
        if ((client->listed_keys & keys) >> key & 1) {
            mkv_model_answer(&world->lives.model, key, client->places[key], result);
        }
    }
}

static void scan_succeeded(struct volume_world *world, const struct client *client,
                           const struct mkv_message *message, const uint8_t *data) {
    uint64_t listed = 0;
    uint32_t last = MKV_NONE_U32;
    for (const uint8_t *entry = data; entry < data + message->data_bytes;) {
        const uint32_t key_bytes = mkv_load_u16(entry + 12);
        last = mkv_content_find(&world->lives.content, entry + MKV_SCAN_ENTRY_BYTES, key_bytes);
        if (last == MKV_NONE_U32 || (client->listed_keys >> last & 1) == 0 ||
            (listed >> last & 1) != 0) {
            mkv_fail(MKV_ORACLE_NO_RETURN, "a SCAN lists a key that it does not cover, or twice");
        }
        listed |= 1ull << last;
        entry += MKV_SCAN_ENTRY_BYTES + key_bytes;
    }
    /* What lies behind the last key is not listed yet. */
    uint64_t behind = 0;
    if ((message->flags & MKV_SCAN_MORE) != 0) {
        if (last == MKV_NONE_U32) {
            mkv_fail(MKV_ORACLE_ANSWERS, "a SCAN lists nothing and says that there is more");
        }
        behind =
            covered(world, key_of_tenant(world, last), NULL, 0, &world->lives.content.keys[last]);
    }
    answer(world, client, listed, MKV_MODEL_PRESENT);
    cancel(world, client, behind & ~listed);
    answer(world, client, ~(behind | listed), MKV_MODEL_MISS);
}

static void count_succeeded(struct volume_world *world, const struct client *client,
                            const struct mkv_message *message) {
    uint32_t least = 0;
    uint32_t most = 0;
    for (uint32_t key = 0; key < world->lives.model.key_count; key++) {
        if ((client->listed_keys >> key & 1) != 0) {
            const uint32_t place = client->places[key];
            least += !mkv_model_may_answer(&world->lives.model, key, place, MKV_MODEL_MISS);
            most += mkv_model_may_answer(&world->lives.model, key, place, MKV_MODEL_PRESENT);
        }
    }
    if (message->count < least || message->count > most) {
        mkv_fail(message->count < least ? MKV_ORACLE_DURABLE : MKV_ORACLE_NO_RETURN,
                 "a COUNT says %llu keys, and there are %u to %u",
                 (unsigned long long)message->count, least, most);
    }
    cancel(world, client, UINT64_MAX);
}

static void abandon(struct volume_world *world, const struct client *client) {
    for (uint32_t key = 0; key < world->lives.model.key_count; key++) {
        if ((client->listed_keys >> key & 1) != 0) {
            mkv_model_abandon(&world->lives.model, key, client->places[key]);
        }
    }
}

static bool state_fits(enum client_state state, enum mkv_message_kind kind) {
    return (state == CLIENT_SCANNING && kind == MKV_MESSAGE_SCAN_DONE) ||
           (state == CLIENT_COUNTING && kind == MKV_MESSAGE_COUNT_DONE) ||
           (state == CLIENT_PURGING && kind == MKV_MESSAGE_PURGE_DONE);
}

void mkv_volume_listing_answered(struct volume_world *world, struct client *client,
                                 const struct mkv_message *message, const uint8_t *data) {
    if (!state_fits(client->state, message->kind)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "message kind %u answers a client in state %u",
                 (unsigned)message->kind, (unsigned)client->state);
    }
    if (message->status == MKV_STATUS_OK) {
        if (client->state == CLIENT_SCANNING) {
            scan_succeeded(world, client, message, data);
        } else if (client->state == CLIENT_COUNTING) {
            count_succeeded(world, client, message);
        } else {
            answer(world, client, UINT64_MAX, MKV_MODEL_OK);
        }
    } else if (message->status == MKV_STATUS_UNAVAILABLE ||
               message->status == MKV_STATUS_NO_SPACE) {
        abandon(world, client); /* a PURGE may have dropped some of it */
    } else if (message->status == MKV_STATUS_BUSY ||
               (message->status == MKV_STATUS_FORBIDDEN && client->state == CLIENT_PURGING &&
                client->tenant != MKV_TENANT_DEFAULT)) {
        cancel(world, client, UINT64_MAX);
    } else {
        mkv_fail(MKV_ORACLE_ANSWERS, "message kind %u ends with status %u", (unsigned)message->kind,
                 (unsigned)message->status);
    }
    mkv_volume_client_end(world, client);
}
