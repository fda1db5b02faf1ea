/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the thread of a shard (shard_thread.c) and its other side (shard.c) share.
 *
 * Invariants
 *  I1  `mutex` guards what is listed behind it. The thread only ever tries to lock it for figures,
 *      and holds it for a copy.
 *
 * Not responsible for: anything outside these files.
 */
#ifndef MKV_SERVER_SHARD_INTERNAL_H
#define MKV_SERVER_SHARD_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/observer.h"
#include "server/pump.h"
#include "server/resp_calls.h"
#include "server/shard.h"

enum shard_volume_state {
    SHARD_VOLUME_NEW = 0, /* nothing was asked of it yet */
    SHARD_VOLUME_FORMATTING,
    SHARD_VOLUME_OPENING,
    SHARD_VOLUME_SERVING,
    SHARD_VOLUME_CLOSING,
    SHARD_VOLUME_CLOSED, /* its clean mark is durable */
    SHARD_VOLUME_FAILED, /* it did not open, or failed later */
};

struct shard_volume {
    struct mkv_volume *volume; /* NULL: it is another shard's */
    struct mkv_drive *drive;   /* NULL, too, while its drive was taken away */
    struct mkv_volume_config config;
    uint8_t *memory;
    size_t memory_bytes;
    uint32_t queue_depth;
    uint64_t read_timeout_ns;
    uint64_t write_timeout_ns;
    bool format;
    enum shard_volume_state state;
    bool opened;
    bool avoided; /* as the volume was told */
    enum mkv_err open_error;
    enum mkv_drive_set_route route; /* as the front was told */
};

/* Names whose numbers a shard has kept, by a hash of the name. */
#define SHARD_TENANTS_KEPT 256u

struct shard_tenant {
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint32_t id;
    bool everywhere;  /* on every volume: good for a put */
    uint64_t version; /* of the group's names; 0: none is kept */
};

enum shard_ask_state {
    SHARD_ASK_NONE = 0,
    SHARD_ASK_WANTED, /* the thread is to begin it */
    SHARD_ASK_BEGUN,
    SHARD_ASK_LEFT, /* begun, and whoever asked waits no more */
    SHARD_ASK_DONE,
};

enum shard_drive_state {
    SHARD_DRIVE_NONE = 0,
    SHARD_DRIVE_WANTED,
    SHARD_DRIVE_DONE,
};

/* What the drive of a volume is to become; see shard_drive.c. */
struct shard_drive_change {
    enum shard_drive_state state;
    uint32_t volume;
    bool gives; /* else it is taken away */
    struct mkv_volume_config config;
    struct mkv_drive_media media;
    bool given;
    struct mkv_backend_error error;
};

struct mkv_shard {
    struct mkv_ring *ring;
    struct mkv_arena *arena;
    struct mkv_arena_buffers *buffers;
    struct mkv_front *front;
    struct mkv_router *router; /* NULL with one shard, as are the next two */
    struct mkv_shard_relay *relay;
    struct mkv_shard_moves *moves;
    struct mkv_fabric *fabric;
    struct mkv_fabric_tcp *tcp;        /* one of the fabrics, or it; NULL: none */
    uint16_t port;                     /* where it listens, if it is TCP */
    struct mkv_fabric_tcp *shm;        /* in `fabric`, which has it; or NULL */
    struct mkv_lane_ports *lane_ports; /* of `tcp`; NULL: none */
    void (*rdma_event)(void *context, uint32_t shard, enum mkv_lane_port_event event,
                       const struct mkv_verbs_facts *facts, const char *text);
    void *rdma_event_context;
    struct mkv_fabric_resp *resp;      /* one of the fabrics; NULL: none */
    struct mkv_resp_calls *resp_calls; /* with it */
    struct mkv_pump *pump;
    struct mkv_recorder *recorder; /* NULL: none */
    uint32_t volume_count;
    struct shard_volume volumes[MKV_VOLUMES_MAX];
    struct mkv_shard_group *group;
    bool group_is_own; /* nobody else's */
    uint32_t index;    /* in the group */
    struct mkv_observer *observer;
    void (*event)(void *context, uint32_t volume, const struct mkv_event *event);
    void *event_context;
    uint32_t (*stats_text)(void *context, const struct mkv_shard_stats *stats, char *text,
                           uint32_t text_bytes_max);
    void *stats_text_context;

    /* The thread's own. */
    enum mkv_shard_state state;
    struct mkv_shard_stats *scratch; /* for STATS, which must not wait for the mutex */
    uint64_t published_ns;
    bool asked; /* `ask_answer` has come */
    struct shard_tenant tenants_kept[SHARD_TENANTS_KEPT];
    struct mkv_shard_answer *ask_answer;

    /* What other threads ask for; mkv_ring_wake makes the thread look. */
    atomic_bool close_wanted;
    atomic_uint_fast64_t drain_until_ns;
    atomic_bool checkpoint_wanted;
    atomic_uint_fast64_t avoid_wanted; /* volumes, by bit */
    atomic_bool ask_wanted;            /* a question is WANTED, BEGUN or LEFT */
    atomic_bool stats_wanted;
    atomic_uint_fast64_t round_ns;

    pthread_t thread;
    bool started;
    bool joined;
    bool clean; /* set by the thread before it ends: see mkv_shard_join */

    atomic_bool inspect_wanted;
    atomic_bool drive_wanted;
    atomic_uint_fast64_t drain_wanted; /* volumes, by bit */
    uint64_t draining;                 /* as the front was told */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool inspecting; /* somebody has a question about a key, one at a time */
    bool inspected;  /* and it is answered */
    char inspect_tenant[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint8_t inspect_key[MKV_KEY_BYTES_MAX];
    uint32_t inspect_key_bytes;
    struct mkv_shard_inspection inspection;
    bool all_opened;
    bool ended;
    uint32_t serving_count;
    struct mkv_shard_stats *published;
    enum shard_ask_state ask; /* one at a time */
    enum mkv_status ask_status;
    struct mkv_message ask_message;
    uint8_t ask_data[MKV_SHARD_QUESTION_BYTES_MAX];
    struct shard_drive_change drive_change; /* one at a time */
};

/* The body of the thread; `context` is the shard. */
void *mkv_shard_thread(void *context);
/* An event of a volume, from the pump. */
void mkv_shard_event(void *context, uint32_t volume, const struct mkv_event *event);
/* ---- shard_tenants.c ------------------------------------------------------------------------ */

/* An answer of a volume. */
void mkv_shard_tenants_done(void *context, const struct mkv_message *message);
/* For the fabric: `context` is the shard. */
enum mkv_tenant_resolved mkv_shard_tenants_resolve(void *context, const char *name, bool create,
                                                   uint32_t *id);
/* For the observer. */
void mkv_shard_tenants_name(void *context, uint32_t id, char name[MKV_ADMIN_TENANT_BYTES]);
void mkv_shard_tenants_collect(const struct mkv_shard *shard, struct mkv_shard_stats *stats);

/* ---- shard_ask.c ---------------------------------------------------------------------------- */

/* The answer of a volume, from the pump. */
void mkv_shard_asked(void *context, const struct mkv_message *answer, const uint8_t *data);
/* Begins and ends a question of another thread. */
void mkv_shard_ask_advance(struct mkv_shard *shard);

/* ---- shard_inspect.c ------------------------------------------------------------------------ */

/* Answers a question about a key, if there is one. */
void mkv_shard_inspect_advance(struct mkv_shard *shard);

/* ---- shard_drive.c -------------------------------------------------------------------------- */

/* Takes a drive away, or gives one, when somebody wants that. */
void mkv_shard_drive_advance(struct mkv_shard *shard);

/* ---- shard_rdma.c --------------------------------------------------------------------------- */

/* Opens the RDMA ports of the options, if they name some. */
__attribute__((warn_unused_result)) bool mkv_shard_rdma_make(
    struct mkv_shard *shard, const struct mkv_shard_options *options,
    struct mkv_backend_error *error);
/* Behind the end of the fabric. */
void mkv_shard_rdma_end(struct mkv_shard *shard);

/* ---- shard.c -------------------------------------------------------------------------------- */

/* Makes the drive of a volume, which is there and not open. Takes the medium over. */
__attribute__((warn_unused_result)) bool mkv_shard_volume_drive(
    struct mkv_shard *shard, uint32_t volume, const struct mkv_volume_config *config,
    const struct mkv_drive_media *media, struct mkv_backend_error *error);

/* ---- shard_thread.c ------------------------------------------------------------------------- */

/* Copies all figures. By the thread, or when none runs. */
void mkv_shard_collect(const struct mkv_shard *shard, struct mkv_shard_stats *stats);

#endif
