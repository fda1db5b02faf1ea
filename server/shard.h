/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard: one thread with one ring, one front, its volumes with their drives, and one fabric,
 * moved by a pump. Other threads start it, ask it for figures, and close it.
 *
 *   create --> start --> wait_opened --> ... --> close --> join --> destroy
 *
 *   the thread:  OPENING   each volume is formatted if it is new, then opened as the drive set's
 *                          plan says; no client is served
 *                SERVING   rounds of the pump
 *                DRAINING  no new connection or request; what is in flight ends, or drain_ns does
 *                CLOSING   each volume that serves is closed, which leaves its clean mark
 *                ENDED     drives and fabric are closed
 *
 * Invariants
 *  I1  Only the shard's thread touches machines, drives, fabric and ring, from start to ENDED.
 *      Others get copies: figures are published by the thread when someone asks, at most every
 *      MKV_SHARD_STATS_NS, and without ever waiting for whoever reads them.
 *  I2  A volume that fails to open, or fails later, leaves the others as they are.
 *  I3  join returns true only when every volume that served has left its clean mark.
 *  I4  Keys go to volumes as the run of the drive set says (core/drive_set_run.h), from the first
 *      request on.
 *  I5  ENDED is reached within drain_ns + MKV_SHARD_CLOSE_NS of close once all volumes are open.
 *
 * Not responsible for: the configuration, logs, and what a failure means for the process.
 */
#ifndef MKV_SERVER_SHARD_H
#define MKV_SERVER_SHARD_H

#include "backends/arena.h"
#include "backends/drive_uring.h"
#include "backends/error.h"
#include "backends/fabric_resp.h"
#include "backends/fabric_tcp.h"
#include "backends/lane_ports.h"
#include "core/drive_set_run.h"
#include "core/front.h"
#include "core/tenant_names.h"
#include "core/volume.h"
#include "server/recorder.h"
#include "server/shard_group.h"
#include "server/shard_moves.h"
#include "server/shard_relay.h"

/* At most this often, whoever asks: a copy takes some 0.1 ms of the shard. */
#define MKV_SHARD_STATS_NS (20ull * 1000000u)
/* How long figures are waited for before an old copy has to do. */
#define MKV_SHARD_STATS_WAIT_NS (1000ull * 1000000u)
/* What the volumes have to close. */
#define MKV_SHARD_CLOSE_NS (60ull * 1000000000u)

/* Data of a question: a prefix, and a key behind it. Data of an answer: entries of a SCAN. */
#define MKV_SHARD_QUESTION_BYTES_MAX (2u * MKV_KEY_BYTES_MAX)
#define MKV_SHARD_ANSWER_BYTES_MAX 65536u

struct mkv_audit;
struct mkv_observer;
struct mkv_request_events;
struct mkv_request_log;
struct mkv_tracer;
struct mkv_resp_calls;
struct mkv_resp_commands;
struct mkv_resp_worker;
struct mkv_shard;
struct mkv_shard_stats;

struct mkv_shard_volume_options {
    struct mkv_volume_config config; /* .volume is its place in the list */
    struct mkv_drive_media media; /* taken over by the create of its shard, also when that fails */
    bool format;                  /* write a new store before opening */
    uint32_t queue_depth;         /* 0: MKV_DRIVE_URING_DEPTH_DEFAULT */
    uint64_t read_timeout_ns;     /* as in drive_uring.h; 0: none … */
    uint64_t write_timeout_ns;    /* … the same */
};

struct mkv_shard_options {
    struct mkv_arena *arena; /* or the shard's part of it */
    /* One of several shards: what it has in common with the others, whose volumes are those of the
     * node, and its place there. NULL: it is alone. */
    struct mkv_shard_group *group;
    uint32_t index;
    struct mkv_shard_relay *relay; /* to the others; NULL with one shard */
    struct mkv_shard_moves *moves; /* of connections, the same */
    /* volume_count and slab_unit_count are set by the shard; volume_ops_max is at most the ops_max
     * of every volume, which gets one more for tenants. */
    struct mkv_front_config front;
    uint32_t volume_count; /* of the node; it makes those that the group says are its own */
    const struct mkv_shard_volume_options *volumes;
    /* When it is alone; else the group's. */
    uint32_t quota_count; /* at most MKV_TENANT_QUOTAS_MAX */
    const struct mkv_tenant_quota *quotas;
    /* What the drives are to each other: volume i is drive i. Copied. */
    const struct mkv_drive_set_plan *plan;
    /* The fabric: TCP with these options, of which ring, arena, transfers_max, stats and
     * stats_context are set by the shard … */
    const struct mkv_fabric_tcp_options *tcp;
    /* Beside it the same for clients of this machine (`is_local`), or NULL; connections_max are of
     * each shard, and have their numbers behind all others. */
    const struct mkv_fabric_tcp_options *shm;
    /* What its native clients may go on over by RDMA: of which ring, arena and event are set by the
     * shard. NULL: it has none. */
    const struct mkv_lane_ports_options *rdma;
    /* What happens to its ports; on the shard's thread, or on that of create. May be NULL. */
    void (*rdma_event)(void *context, uint32_t shard, enum mkv_lane_port_event event,
                       const struct mkv_verbs_facts *facts, const char *text);
    void *rdma_event_context;
    /* Beside it RESP, of which the same is set by the shard, and the tenants: or NULL. */
    const struct mkv_fabric_resp_options *resp;
    /* With it: who runs the commands that are not the fabric's. They outlive the shard's thread. */
    struct mkv_resp_worker *resp_worker;
    struct mkv_resp_commands *resp_commands;
    /* Has the thread of each shard call `look` with its RESP fabric; for that worker. */
    void (*resp_each)(void *context,
                      void (*look)(void *look_context, struct mkv_fabric_resp *fabric),
                      void *look_context);
    void *resp_each_context;
    /* … or when `tcp` is NULL this one, which the shard destroys, also when create fails. */
    struct mkv_fabric *fabric;
    /* Created and not begun; the caller's, and used until the shard is joined. NULL: nothing is
     * recorded. */
    struct mkv_recorder *recorder;
    struct mkv_audit *audit; /* for deleted keys; used until the shard is destroyed. NULL: none */
    /* For the observer, as are those behind; they outlive the shard. */
    struct mkv_request_log *requests;
    const struct mkv_request_events *events;
    /* What the observer keeps, whose other options the shard sets; see observer.h. */
    uint32_t hotkeys_columns;
    uint64_t hotkeys_decay_ns;
    uint64_t slow_ns;
    struct mkv_tracer *tracer; /* the shard's thread's; NULL: there are no traces */
    /* An event of a volume, on the shard's thread. */
    void (*event)(void *context, uint32_t volume, const struct mkv_event *event);
    void *event_context;
    /* Writes the JSON text of STATS, on the shard's thread; returns its bytes, at most
     * text_bytes_max. Only with `tcp`. */
    uint32_t (*stats_text)(void *context, const struct mkv_shard_stats *stats, char *text,
                           uint32_t text_bytes_max);
    void *stats_text_context;
};

enum mkv_shard_state {
    MKV_SHARD_OPENING = 0,
    MKV_SHARD_SERVING,
    MKV_SHARD_DRAINING,
    MKV_SHARD_CLOSING,
    MKV_SHARD_ENDED,
};

struct mkv_shard_volume_stats {
    bool own; /* else all is zero: it is another shard's */
    struct mkv_volume_stats volume;
    struct mkv_volume_times times;
    struct mkv_volume_memory memory;
    struct mkv_drive_counters drive;
    bool drive_failed;
    bool opened;             /* it serves, or has served */
    enum mkv_err open_error; /* why it does not; MKV_OK while it is being opened */
    enum mkv_drive_set_route route;
};

/* A tenant that lives, on all volumes that serve. */
struct mkv_shard_tenant_stats {
    uint32_t id;
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint64_t blocks;
    uint64_t bytes;       /* of the slots that they take */
    uint64_t quota_bytes; /* UINT64_MAX: none */
    uint64_t writes_total;
    uint64_t quota_rejections_total;
    uint64_t evicted_total, evictions_caused_total;
    struct mkv_front_tenant asked; /* its id is not set */
    bool asked_apart; /* false: the front counts what its clients ask for with tenants_other */
};

/* A copy of every figure of a shard, all taken at one moment. */
struct mkv_shard_stats {
    uint32_t shard;    /* its index */
    uint64_t taken_ns; /* on the clock of mkv_clock_monotonic_ns */
    enum mkv_shard_state state;
    struct mkv_front_stats front;
    struct mkv_front_times front_times;
    struct mkv_front_memory_parts front_memory;
    struct mkv_router_stats router; /* all zero with one shard */
    struct mkv_fabric_counters fabric;
    struct mkv_fabric_counters shm;        /* of these */
    struct mkv_fabric_lane_counters lanes; /* of `fabric`, too */
    struct mkv_ring_counters ring;
    struct mkv_histogram dispatch; /* of the pump */
    uint32_t volume_count;
    struct mkv_shard_volume_stats volumes[MKV_VOLUMES_MAX];
    uint64_t drive_set_version;
    uint32_t drive_set_members;
    struct mkv_front_tenant tenants_other; /* what clients asked for under other names */
    uint32_t tenant_count;                 /* 0 until the volumes are open */
    struct mkv_shard_tenant_stats tenants[MKV_TENANT_NAMES_MAX];
};

/* The metadata that create takes from an arena of `arena_bytes`: for mkv_arena_options. `arena`,
 * media and fabrics in the options are not looked at. */
uint64_t mkv_shard_metadata_bytes(const struct mkv_shard_options *options, uint64_t arena_bytes);

/* Of one of several shards, whose arena is there: for mkv_shard_relay_create. */
void mkv_shard_router_config(const struct mkv_shard_options *options,
                             struct mkv_router_config *config);

/* Makes the machines, opens the ring and listens; nothing runs yet. */
__attribute__((warn_unused_result)) bool mkv_shard_create(const struct mkv_shard_options *options,
                                                          struct mkv_shard **shard,
                                                          struct mkv_backend_error *error);
__attribute__((warn_unused_result)) bool mkv_shard_start(struct mkv_shard *shard,
                                                         struct mkv_backend_error *error);
/* Waits until requests may be taken, or will never be. Returns how many volumes serve: 0 when the
 * drive set cannot be served, also where single volumes could. */
uint32_t mkv_shard_wait_opened(struct mkv_shard *shard);
/* Starts the end; returns at once. A second call may only shorten drain_ns. */
void mkv_shard_close(struct mkv_shard *shard, uint64_t drain_ns);
/* Waits for the thread to end: true when all is closed and clean (I3). When a drive still has
 * operations in the kernel it is false, and destroy then leaves them their memory: end the
 * process. */
bool mkv_shard_join(struct mkv_shard *shard);
/* Never started, or joined. NULL is allowed. The arena may be destroyed behind it if join returned
 * true, or it was never started. */
void mkv_shard_destroy(struct mkv_shard *shard);

/* Drops a tenant: OK when that is durable on every volume that serves; NOT_FOUND; FORBIDDEN for the
 * default one; UNKNOWN when a volume failed meanwhile or did not answer within wait_ns: it is gone
 * there too when the volume opens again, or later; UNAVAILABLE when the shard does not serve. From
 * any thread but the shard's. */
enum mkv_status mkv_shard_tenant_drop(struct mkv_shard *shard, const char *name, uint64_t wait_ns);
/* What came of mkv_shard_ask. */
struct mkv_shard_answer {
    struct mkv_message message;
    uint8_t data[MKV_SHARD_ANSWER_BYTES_MAX]; /* message.data_bytes of it */
};

/*
 * Asks a volume something that changes none of its blocks: EXISTS with lease_ns 0, which then is no
 * use of the block, SCAN or COUNT. `data` is that of the message; front_op and bytes need not be
 * set. OK: `answer` has what the volume says, whose status may be any. UNAVAILABLE: the volume does
 * not serve. DEADLINE: it has not answered within wait_ns, or others were asking all that time.
 * Questions wait for each other, and none keeps the shard's thread for longer than a request of a
 * client does. From any thread but the shard's.
 */
enum mkv_status mkv_shard_ask(struct mkv_shard *shard, const struct mkv_message *message,
                              const uint8_t *data, uint64_t wait_ns,
                              struct mkv_shard_answer *answer);
/* All that is known of a key, without changing anything. */
struct mkv_shard_inspection {
    bool tenant_known;
    struct mkv_front_inspection front;
    bool serves; /* its volume; else `volume` is not set */
    struct mkv_volume_inspection volume;
};
/* OK, UNAVAILABLE when the shard does not serve, DEADLINE as above. */
enum mkv_status mkv_shard_inspect(struct mkv_shard *shard, const char *tenant, const uint8_t *key,
                                  uint32_t key_bytes, uint64_t wait_ns,
                                  struct mkv_shard_inspection *inspection);
/* Which volumes of the node, by bit, get no new puts from now on. Not of a shard with a recorder.
 * From any thread. */
void mkv_shard_drain(struct mkv_shard *shard, uint64_t volumes);
/* Which volumes' drives are slow, by bit: relaxed puts are not written to them. From any thread. */
void mkv_shard_avoid(struct mkv_shard *shard, uint64_t volumes);
/* Its group, which may be its own. */
struct mkv_shard_group *mkv_shard_group_of(const struct mkv_shard *shard);
/* Takes the drive of an own volume away, which has left the drive set, or failed: closes its medium
 * once nothing is under way there. False: that was not so within wait_ns. From one other thread. */
__attribute__((warn_unused_result)) bool mkv_shard_drive_release(struct mkv_shard *shard,
                                                                 uint32_t volume, uint64_t wait_ns);
/* Gives a released volume a drive, whose volume is then made anew and not open yet: for
 * mkv_shard_group_join. Takes the medium over, also when it refuses. */
__attribute__((warn_unused_result)) bool mkv_shard_drive_give(
    struct mkv_shard *shard, uint32_t volume, const struct mkv_volume_config *config,
    const struct mkv_drive_media *media, uint64_t wait_ns, struct mkv_backend_error *error);
/* The memory that there is for the volume, and what it would need with this configuration. */
uint64_t mkv_shard_drive_room(const struct mkv_shard *shard, uint32_t volume,
                              const struct mkv_volume_config *config, uint64_t *needed);
/* Starts a checkpoint of every volume that serves. From any thread. */
void mkv_shard_checkpoint(struct mkv_shard *shard);
/* Figures that were taken behind the call, so what a client was told before it is in them; older
 * ones when the shard is stuck for longer than MKV_SHARD_STATS_WAIT_NS (taken_ns says so). From any
 * thread but the shard's. */
void mkv_shard_stats(struct mkv_shard *shard, struct mkv_shard_stats *stats);
/* The figures that were published last. From any thread, and no thread is waited for. */
void mkv_shard_published(struct mkv_shard *shard, struct mkv_shard_stats *stats);
/* What its observer keeps, which may be read from any thread until the shard is destroyed. */
const struct mkv_observer *mkv_shard_observer(const struct mkv_shard *shard);
/* When the last round ended, on the clock of mkv_clock_monotonic_ns. From any thread. */
uint64_t mkv_shard_round_ns(const struct mkv_shard *shard);
/* "SINGLE_ISSUER|…": how the ring runs, for the log. */
const char *mkv_shard_ring_mode(const struct mkv_shard *shard);
/* 0 when all memory is registered with the ring, else the error number of the first refusal. */
int mkv_shard_registration_error(const struct mkv_shard *shard);
/* Where the TCP fabric listens, and the one for RESP; 0 when there is none. */
uint16_t mkv_shard_port(const struct mkv_shard *shard);
uint16_t mkv_shard_resp_port(const struct mkv_shard *shard);
/* NULL when there is no RESP. */
struct mkv_resp_calls *mkv_shard_resp_calls(const struct mkv_shard *shard);

#endif
