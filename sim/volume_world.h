/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the volume world share. The world plays the front: it sends the messages of
 * core/io.h to one volume and holds its answers against the model.
 *
 *   volume_world.c   the clients as lives.h wants them
 *   volume_client.c  the life of one operation
 *   volume_tenant.c  the second tenant
 *   volume_listing.c SCAN, COUNT, PURGE
 *   volume_session.c SESSION
 *
 * Not responsible for: what others see (world.h).
 */
#ifndef MKV_SIM_VOLUME_WORLD_H
#define MKV_SIM_VOLUME_WORLD_H

#include "sim/lives.h"

#define MKV_CLIENTS_MAX 12u
/* Chunks of the longest payload. */
#define SUMS_MAX 4u

enum client_state {
    CLIENT_FREE = 0,
    CLIENT_BEGUN,   /* PUT_BEGIN sent */
    CLIENT_PULLING, /* PUT_READY came; PUT_WRITE or PUT_ABORT at due_ns */
    CLIENT_WRITING, /* PUT_WRITE sent */
    CLIENT_DELETING,
    CLIENT_FINDING,  /* FIND sent */
    CLIENT_FOUND,    /* FOUND came; READ or RELEASE at due_ns */
    CLIENT_READING,  /* READ sent */
    CLIENT_ASKING,   /* EXISTS sent */
    CLIENT_CREATING, /* TENANT sent */
    CLIENT_DROPPING, /* TENANT_DROP sent */
    CLIENT_SCANNING, /* SCAN sent */
    CLIENT_COUNTING,
    CLIENT_PURGING,
    CLIENT_TELLING,  /* SESSION sent */
    CLIENT_EXPIRING, /* EXPIRE sent */
};

/* The second tenant, which is dropped and comes again under the next id. */
enum tenant_phase {
    TENANT_NONE = 0, /* the id is the next one to be created; the one before is dropped */
    TENANT_CREATING,
    TENANT_LIVE,
    TENANT_DROPPING,
    TENANT_UNCERTAIN, /* a crash came before the drop was answered */
};

struct client {
    enum client_state state;
    uint32_t generation;
    uint64_t due_ns; /* of its next act; UINT64_MAX while it waits for an answer */
    uint32_t key;
    uint32_t version;
    uint32_t tenant;
    uint32_t place; /* in the model */
    struct mkv_op_id volume_op;
    uint64_t sums[SUMS_MAX];
    uint32_t sum_count;
    struct mkv_root root;
    uint32_t range_offset;
    uint32_t range_bytes;
    bool aborts;
    bool if_present; /* PUT: it replaces, and only what there is */
    bool
        strays; /* it names the tenant that the key does not belong to, and no place in the model */
    enum mkv_session_action action; /* SESSION */
    uint64_t session;
    uint64_t listed_keys;                  /* SCAN, COUNT, PURGE: bit k: it covers key k, */
    uint32_t places[MKV_CONTENT_KEYS_MAX]; /* which has this place in the model */
};

struct volume_world {
    struct mkv_lives lives;
    struct client clients[MKV_CLIENTS_MAX];
    uint32_t busy_count; /* clients that are not free */
    enum tenant_phase tenant_phase;
    uint32_t tenant_id;
    bool tenant_uncertain; /* of a drop under way: an earlier try may have done it */
    uint64_t emptyings_seen;
    uint32_t drop_places[MKV_CONTENT_KEYS_MAX]; /* in the model, while the tenant is dropped */
    uint8_t *slabs;
    size_t slab_stride;
    uint8_t *scratch;
};

static inline uint8_t *client_slab(const struct volume_world *world, uint32_t client) {
    return world->slabs + client * world->slab_stride;
}

/* What clients do that draw their operations. */
extern const struct mkv_lives_clients mkv_volume_world_clients;
/* Makes the world, with these clients; lives.h has what runs it. */
void mkv_volume_world_init(struct volume_world *world, const struct mkv_world_options *options,
                           struct mkv_world_report *report,
                           const struct mkv_lives_clients *clients);

/* Starts a drawn operation in a free client, if there is one. */
void mkv_volume_client_start(struct volume_world *world);
/* Starts to read a key back, whole. False when no client is free. */
bool mkv_volume_client_start_get(struct volume_world *world, uint32_t key);
/* Start an operation that is named; false when no client is free, or the model has no room. An
 * expiry of 0 is never. */
bool mkv_volume_client_start_put(struct volume_world *world, uint32_t key, uint32_t version,
                                 bool replace, uint32_t expiry_s);
bool mkv_volume_client_start_delete(struct volume_world *world, uint32_t key);
/* Whether the key belongs to the second tenant. */
static inline bool key_of_tenant(const struct volume_world *world, uint32_t key) {
    return world->lives.shape->tenants && key % 2 == 1;
}
/* The id that an operation on a key of the second tenant names: while there is none, that of the
 * one before, which must stay gone. */
static inline uint32_t mkv_volume_tenant_id(const struct volume_world *world) {
    const bool gone = world->tenant_phase == TENANT_NONE && world->tenant_id > 1;
    return gone ? world->tenant_id - 1 : world->tenant_id;
}
/* Starts a SCAN, COUNT or PURGE by a prefix of the key, if its keys have room in the model;
 * volume_listing.c. */
void mkv_volume_listing_start(struct volume_world *world, uint32_t client, uint32_t key);
void mkv_volume_listing_answered(struct volume_world *world, struct client *client,
                                 const struct mkv_message *message, const uint8_t *data);
/* Tells a session something, of the tenant of that key; volume_session.c. */
void mkv_volume_session_start(struct volume_world *world, uint32_t client, uint32_t key);
void mkv_volume_session_answered(struct volume_world *world, struct client *client,
                                 const struct mkv_message *message);
/* Creates or drops the second tenant, if it can be done now; volume_tenant.c. */
void mkv_volume_tenant_start(struct volume_world *world, uint32_t client);
void mkv_volume_tenant_answered(struct volume_world *world, struct client *client,
                                const struct mkv_message *message);
/* The process is gone. */
void mkv_volume_tenant_crash(struct volume_world *world);
/* The volume serves: had it to give its content up, then the tenant with it. */
void mkv_volume_tenant_serving(struct volume_world *world);
/* Sends a message of this client; volume_client.c. */
void mkv_volume_client_send(struct volume_world *world, uint32_t client,
                            struct mkv_message *message, const uint8_t *data, uint32_t data_bytes);
/* The operation is over; whoever called has told the model how it ended. */
void mkv_volume_client_end(struct volume_world *world, struct client *client);
/* The client's next act is due. */
void mkv_volume_client_act(struct volume_world *world, uint32_t client);
void mkv_volume_client_answer(struct volume_world *world, const struct mkv_message *message,
                              const uint8_t *data);

#endif
