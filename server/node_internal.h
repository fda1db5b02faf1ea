/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the node share.
 *
 *   node.c           the run from start to end, and what it says about it
 *   node_start.c     the table of steps
 *   node_drives.c    opening, judging and formatting drives
 *   node_room.c      store files and the room of their file systems
 *   node_wait.c      waiting for drives that are missing
 *   node_limits.c    what the process may use, and how the shard's limits follow from it
 *   node_events.c    what volumes report: log lines and warnings
 *   node_log.c       the log, and what administrators see of it
 *   node_record.c    the record of --record
 *   node_telemetry.c telemetry events
 *   node_traces.c    the tracer and its exporter
 *   node_audit.c     what of it all is audited
 *   node_ask.c       why a key is where it is, and the configuration
 *   node_resp.c      commands of RESP clients that ask the node
 *   node_ring.c      which lists of servers clients have
 *   node_view.c      snapshots
 *   node_observed.c  what the shard's observer keeps
 *   node_watch.c     the thread that looks at them, and raises warnings
 *   node_smart.c     the thread that asks drives for their health
 *   node_rdma.c      ports of RDMA devices
 *   node_rdma_reader.c  the thread that reads their counters
 *   node_life.c      drives that come and go while it serves; node_life_steps.c
 *   node_admin.c     the sockets of the admin listener, and who may ask
 *   node_auth.c      the keys of clients, and their reload
 *   node_cluster.c   how clients find the node
 *
 * Invariants
 *  I1  `mutex` guards what stands behind it; all else is written before the shard's thread starts
 *      and read only from then on.
 *
 * Not responsible for: anything outside these files.
 */
#ifndef MKV_SERVER_NODE_INTERNAL_H
#define MKV_SERVER_NODE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "admin/audit.h"
#include "admin/http.h"
#include "admin/otlp.h"
#include "admin/trace.h"
#include "admin/watch_endurance.h"
#include "admin/watch_fence.h"
#include "admin/watch_room.h"
#include "backends/arena.h"
#include "backends/drive_open.h"
#include "backends/lane_ports.h"
#include "backends/rdma_facts.h"
#include "server/auth.h"
#include "server/config_hash.h"
#include "server/drive_identity.h"
#include "server/drive_probe.h"
#include "server/drive_set.h"
#include "server/log.h"
#include "server/node.h"
#include "server/registration.h"
#include "server/request_events.h"
#include "server/request_log.h"
#include "server/resp_calls.h"
#include "server/shards.h"

struct node_drive {
    struct mkv_drive_media media; /* the shard's from its creation on */
    bool media_is_ours;
    bool absent;        /* it is configured and not there */
    bool to_make;       /* a file that is made when the decision has been taken */
    bool file_created;  /* by this start, and not formatted yet: removed if the start is refused */
    bool formatted_now; /* by this start */
    bool block_device;
    bool direct;
    bool flush_needed;
    struct mkv_drive_identity identity;
    struct mkv_drive_probe probe;
    struct mkv_volume_config volume;
    /* Behind the mutex: what its volume has reported. */
    bool failed; /* to open, or later */
    bool closed; /* its clean mark is durable */
    enum mkv_err failed_err;
    enum mkv_drive_failure failure;
    uint64_t checkpoint_ms; /* when its last checkpoint became durable; 0: none did */
    bool came_up_empty;
};

struct node_rdma_port {
    char device[MKV_ADMIN_NAME_BYTES];
    char address[MKV_ADMIN_NAME_BYTES];
    uint32_t port;
    int32_t gid_index;
    uint32_t mtu;
    uint64_t shards_up; /* by bit: it is up for them */
    uint64_t since_ms;  /* up or not since then */
    struct mkv_rdma_troubles troubles;
};

/* Behind its mutex, which may be held where the node's is taken, and not the other way round. */
struct node_rdma {
    pthread_mutex_t mutex;
    uint32_t port_count;
    struct node_rdma_port ports[MKV_ADMIN_RDMA_PORTS_MAX];
    bool has_been_up;
    const struct mkv_drive_roots *roots; /* of what is read of ports; NULL: the running kernel's */
    uint64_t ups_total;
    uint64_t downs_total;
};

struct mkv_node_life;
struct mkv_node_rdma_reader;
struct mkv_node_smart;
struct mkv_node_watch;

struct mkv_node {
    struct mkv_config config;
    struct mkv_node_options options;
    struct mkv_log *log;
    uint64_t started_ns;
    bool directory_created;        /* of --dev, by this start */
    uint32_t connections_max;      /* of all listeners together */
    struct mkv_tls *tls;           /* NULL: plain */
    int shm_fd;                    /* -1: no listener for clients of this machine */
    uint32_t resp_connections_max; /* as many; 0: there is no listener for RESP */

    uint32_t drive_count;
    struct node_drive drives[MKV_VOLUMES_MAX];
    struct mkv_drive_set_plan plan;
    bool may_wait; /* what the last judgement refused may mend itself */
    /* Drives of the configuration that are not there, and whose absence keeps nobody waiting. They
     * are in `config` and `drives` no more. */
    uint32_t absent_count;
    struct mkv_config_drive absent[MKV_VOLUMES_MAX];
    enum mkv_drive_failure absent_failures[MKV_VOLUMES_MAX];

    struct mkv_arena *arena;
    uint64_t metadata_bytes;
    uint32_t quota_count;
    struct mkv_tenant_quota quotas[MKV_TENANT_QUOTAS_MAX];
    struct mkv_shard_volume_options *volume_options; /* until the shard has them */
    struct mkv_recorder *recorder;                   /* NULL: nothing is recorded */
    struct mkv_request_log *requests;
    struct mkv_request_events events; /* `telemetry` NULL: none are told; set behind the mutex */
    struct mkv_otlp *otlp;            /* NULL: no traces; then there is no tracer either */
    struct mkv_tracer *tracer;        /* the shard's thread's, while that runs */
    struct mkv_audit *audit;          /* NULL: nothing is audited */
    /* Of RESP's commands, where there is a listener; else NULL. */
    struct mkv_admin_provider resp_provider;
    struct mkv_resp_commands *resp_commands;
    struct mkv_resp_worker *resp_worker;
    struct mkv_audit_entry audit_end;      /* what is recorded as the end */
    struct mkv_auth *auth;                 /* set behind the mutex */
    struct mkv_registration *registration; /* NULL: nobody is told; set behind the mutex */
    struct mkv_shards *shards;
    /* The shard's thread ended with operations of a drive in the kernel: their memory must stay. */
    bool shard_is_stuck;
    struct mkv_admin_snapshot *stats_snapshot; /* of STATS, on a shard's thread */
    struct mkv_shard_stats *stats_sum;         /* of STATS too */
    struct mkv_shards_brief stats_briefs[MKV_SHARDS_MAX];
    pthread_mutex_t stats_mutex;        /* of these three: one shard at a time */
    struct mkv_shard_stats *view_stats; /* of snapshots, behind view_mutex */
    struct mkv_shards_brief view_briefs[MKV_SHARDS_MAX];
    pthread_mutex_t view_mutex;
    struct node_rdma rdma;
    struct mkv_ring_views *ring_views; /* of all shards */
    struct mkv_node_life *life;        /* NULL while drives do not come and go; behind the mutex */
    struct mkv_node_watch *watch;      /* NULL before the step that makes it */
    struct mkv_node_smart *smart;      /* likewise */
    struct mkv_node_rdma_reader *rdma_reader; /* likewise; NULL: there is no RDMA */
    int admin_fd;                             /* -1 as soon as they are the listener's */
    int admin_unix_fd;
    int admin_metrics_fd;      /* 0: none */
    dev_t admin_socket_device; /* of the socket's file, while it is there: */
    ino_t admin_socket_inode;  /* 0 else */
    uint32_t admin_viewer_gid;
    struct mkv_admin_http *admin;

    atomic_uint_fast64_t draining; /* drives that get no new puts, by bit */
    /* Drives that an operator or the fence has taken offline, by bit: as long as they stay so. */
    atomic_uint_fast64_t taken_off;
    atomic_uint stop_count; /* signals that asked for the end */

    pthread_mutex_t mutex;
    char config_hash[MKV_CONFIG_HASH_BYTES];      /* of the configuration as it was read … */
    uint64_t config_read_ms;                      /* … and when, in Unix time */
    bool config_reload_failed;                    /* the last that was asked for */
    char config_rest_hash[MKV_CONFIG_HASH_BYTES]; /* of what a reload does not apply */
    struct mkv_shards *shard_to_close;            /* set as soon as there is one to be told */
    bool shard_started;
    struct mkv_admin_cluster cluster; /* what the registration came to */
    uint32_t warning_count;
    struct mkv_admin_warning warnings[MKV_ADMIN_WARNINGS_MAX];
    struct mkv_admin_warning waiting; /* what the node waits for, while it does */
};

/* ---- node_start.c --------------------------------------------------------------------------- */

/* Performs all steps, or undoes those that were done. Stops between steps when asked to: then the
 * error's failure is MKV_BACKEND_OK. */
__attribute__((warn_unused_result)) bool mkv_node_bring_up(struct mkv_node *node,
                                                           struct mkv_backend_error *error);
/* Undoes all steps. The shard's thread, if it was started, has been joined. */
void mkv_node_take_down(struct mkv_node *node);

/* ---- node_admin.c --------------------------------------------------------------------------- */

/* Listens at the admin address and on the Unix socket, and ends that. */
__attribute__((warn_unused_result)) bool mkv_node_admin_listen(struct mkv_node *node,
                                                               struct mkv_backend_error *error);
void mkv_node_admin_unlisten(struct mkv_node *node);
/* Serves on both, which are the listener's from then on. The provider's `refused` is set here. */
__attribute__((warn_unused_result)) bool mkv_node_admin_serve(struct mkv_node *node,
                                                              struct mkv_admin_provider *provider,
                                                              struct mkv_admin_http **http,
                                                              struct mkv_backend_error *error);

/* ---- node_auth.c --------------------------------------------------------------------------- */

/* Step of the table: reads the keys of clients; and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_auth_begin(struct mkv_node *node,
                                                             struct mkv_backend_error *error);
void mkv_node_auth_end(struct mkv_node *node);
/* Reads them again, all or none, and logs what came of it. On the signals' thread, which alone
 * writes to `config` from then on, behind the mutex. */
void mkv_node_auth_reload(struct mkv_node *node);
/* The hash of what a reload does not apply; false when there is no memory. */
bool mkv_node_auth_hash_rest(const struct mkv_config *config, char hash[MKV_CONFIG_HASH_BYTES]);
void mkv_node_auth_fill(struct mkv_node *node, struct mkv_admin_snapshot *out);

/* ---- node_cluster.c ------------------------------------------------------------------------- */

/* Tells etcd that the node serves, where the configuration says so. False: it cannot begin to. */
__attribute__((warn_unused_result)) bool mkv_node_cluster_begin(struct mkv_node *node,
                                                                struct mkv_backend_error *error);
/* Has that taken back, and does not wait. From any thread. */
void mkv_node_cluster_leave(struct mkv_node *node);
/* The same, and waits, for a bounded time. */
void mkv_node_cluster_end(struct mkv_node *node);
void mkv_node_cluster_fill(struct mkv_node *node, struct mkv_admin_snapshot *out);

/* ---- node_wait.c ---------------------------------------------------------------------------- */

/* Step of the table: opens the drives, and waits while members of their set are missing, with the
 * admin listener up to say so. When it was told to stop, the error's failure is MKV_BACKEND_OK. */
__attribute__((warn_unused_result)) bool mkv_node_drives_wait(struct mkv_node *node,
                                                              struct mkv_backend_error *error);

/* ---- node_drives.c -------------------------------------------------------------------------- */

/* Opens the drives and judges them. When it refuses, `may_wait` says whether to try again. */
__attribute__((warn_unused_result)) bool mkv_node_drives_open(struct mkv_node *node,
                                                              struct mkv_backend_error *error);
/* Steps of the table, and what undoes them. */
void mkv_node_drives_close(struct mkv_node *node);
__attribute__((warn_unused_result)) bool mkv_node_drives_format(struct mkv_node *node,
                                                                struct mkv_backend_error *error);
/* Whether that will change any drive. */
bool mkv_node_drives_to_format(const struct mkv_node *node);

/* The drive as it is configured, with the place where it is now: another one may come in its place
 * while the node serves, and then `media` changes, behind the mutex, which the caller does not
 * hold. Its name never does. */
void mkv_node_drive_now(struct mkv_node *node, uint32_t index, struct mkv_config_drive *out);
/* One more drive while the node serves, of a configuration that need not be the node's: opened,
 * probed, and its volume configured but for who it is; without a geometry where it holds neither a
 * store nor nothing. What it holds is not changed. */
__attribute__((warn_unused_result)) bool mkv_node_drive_look(const struct mkv_node *node,
                                                             const struct mkv_config_drive *own,
                                                             uint32_t index,
                                                             struct node_drive *drive,
                                                             struct mkv_backend_error *error);
/* Lets it go again; a file that was made for it goes, too. */
void mkv_node_drive_leave(const struct mkv_config_drive *own, struct node_drive *drive);
/* Formats it, which is blank, as its volume is configured. */
__attribute__((warn_unused_result)) bool mkv_node_drive_format(const struct mkv_node *node,
                                                               const struct mkv_config_drive *own,
                                                               struct node_drive *drive,
                                                               struct mkv_backend_error *error);

/* ---- node_life.c ---------------------------------------------------------------------------- */

/* Step of the table: drives may come and go from now on; and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_life_begin(struct mkv_node *node,
                                                             struct mkv_backend_error *error);
void mkv_node_life_end(struct mkv_node *node);

/* ---- node_smart.c ---------------------------------------------------------------------------- */

__attribute__((warn_unused_result)) bool mkv_node_smart_begin(struct mkv_node *node,
                                                              struct mkv_backend_error *error);
void mkv_node_smart_end(struct mkv_node *node);
/* What was read last; waits for no drive. */
void mkv_node_smart_fill(struct mkv_node *node, struct mkv_admin_snapshot *out);
/* Another drive stands in its place: not behind the node's mutex. */
void mkv_node_smart_forget(struct mkv_node *node, uint32_t drive);

/* ---- node_endurance.c ------------------------------------------------------------------------ */

/* Warns of drives that are written more than they are rated for; on the thread that watches. */
void mkv_node_endurance_look(struct mkv_node *node, const struct mkv_admin_snapshot *snapshot,
                             struct mkv_watch_endurance endurance[MKV_VOLUMES_MAX]);

/* ---- node_fence.c ---------------------------------------------------------------------------- */

/* Has the drive taken offline that was slow for too long, if there is one; waits for nothing. On
 * the thread that watches. `slow_ns`: of each drive of the snapshot, how long it was slow. */
void mkv_node_fence_look(struct mkv_node *node, const struct mkv_admin_snapshot *snapshot,
                         struct mkv_watch_fence *fence, const uint64_t slow_ns[MKV_VOLUMES_MAX]);
void mkv_node_fence_audit(struct mkv_node *node, uint32_t drive, const char *outcome,
                          const char *detail);
/* The provider's. */
void mkv_node_drive_act(void *context, const struct mkv_admin_drive_wish *wish,
                        struct mkv_admin_drive_outcome *outcome);

/* ---- node_room.c ---------------------------------------------------------------------------- */

/* Refuses a store that is larger than the size that its drive is given. */
__attribute__((warn_unused_result)) bool mkv_node_room_check_size(
    const struct mkv_node *node, const struct mkv_config_drive *own, const struct node_drive *drive,
    struct mkv_backend_error *error);
/* Allocates what a store cannot do without. */
__attribute__((warn_unused_result)) bool mkv_node_room_reserve(const struct mkv_config_drive *own,
                                                               const struct node_drive *drive,
                                                               struct mkv_backend_error *error);
/* Looks at the file systems, and raises warnings and takes them back. */
void mkv_node_room_look(struct mkv_node *node, const struct mkv_admin_snapshot *snapshot,
                        struct mkv_watch_room rooms[MKV_VOLUMES_MAX]);

/* ---- node_shm.c ----------------------------------------------------------------------------- */

/* Step of the table: listens for clients of this machine; and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_shm_begin(struct mkv_node *node,
                                                            struct mkv_backend_error *error);
void mkv_node_shm_end(struct mkv_node *node);
/* Connections of each shard; 0: there is no such listener. */
uint32_t mkv_node_shm_connections(const struct mkv_node *node);
/* The options of each shard's fabric, made of those of its TCP. */
void mkv_node_shm_options(const struct mkv_node *node, const struct mkv_fabric_tcp_options *tcp,
                          struct mkv_fabric_tcp_options *shm);

/* ---- node_tls.c ----------------------------------------------------------------------------- */

__attribute__((warn_unused_result)) bool mkv_node_tls_begin(struct mkv_node *node,
                                                            struct mkv_backend_error *error);
void mkv_node_tls_end(struct mkv_node *node);
/* Reads the files again, on another thread; says how that went. */
void mkv_node_tls_reload(struct mkv_node *node);

/* ---- node_limits.c -------------------------------------------------------------------------- */

/* A read that its drive keeps longer is a miss, and its memory is taken back: twice as long as a
 * volume waits before it sends nobody to that drive any more. */
#define MKV_NODE_READ_TIMEOUT_NS (10ull * 1000000000u)
/* A write or flush that takes longer than the kernel's own timeout, and its reset of the drive,
 * fails the drive: nobody knows what it will still write. */
#define MKV_NODE_WRITE_TIMEOUT_NS (60ull * 1000000000u)

__attribute__((warn_unused_result)) bool mkv_node_limits_raise(struct mkv_node *node,
                                                               struct mkv_backend_error *error);
/* What a volume is configured with besides what its superblock says. */
void mkv_node_volume_limits(uint64_t memory_bytes, uint32_t drive_count,
                            struct mkv_volume_config *volume);
/* What a front is configured with that does not depend on the rest of the configuration. */
void mkv_node_front_limits(uint64_t memory_bytes, uint32_t drive_count, uint32_t slab_unit_count,
                           struct mkv_front_config *front);
/* The figures of a shard's front; `slab_unit_count` may be a bound. `context` is the node. */
void mkv_node_front_config(void *context, uint32_t slab_unit_count, struct mkv_front_config *front);
void mkv_node_tcp_options(const struct mkv_node *node, const struct mkv_front_config *front,
                          struct mkv_fabric_tcp_options *tcp);
/* Where there is a listener for RESP. */
void mkv_node_resp_options(struct mkv_node *node, const struct mkv_front_config *front,
                           struct mkv_fabric_resp_options *resp);

/* ---- node_log.c ----------------------------------------------------------------------------- */

#define MKV_NODE_LOG_PROBLEM_BYTES 1536u
/* Levels and file as configured; false when the file cannot be had, with one line that says why. */
__attribute__((warn_unused_result)) bool mkv_node_log_begin(
    struct mkv_node *node, char problem[MKV_NODE_LOG_PROBLEM_BYTES]);
void mkv_node_log_provide(struct mkv_node *node, struct mkv_admin_log *out);
/* Step of the table: lines about requests, and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_requests_begin(struct mkv_node *node,
                                                                 struct mkv_backend_error *error);
void mkv_node_requests_end(struct mkv_node *node);
/* Says what requests came to since the last time; no further one will come. */
void mkv_node_requests_tell(struct mkv_node *node);

/* ---- node_record.c -------------------------------------------------------------------------- */

/* Step of the table: makes the file of --record; and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_record_create(struct mkv_node *node,
                                                                struct mkv_backend_error *error);
void mkv_node_record_end(struct mkv_node *node);

/* ---- node_telemetry.c ----------------------------------------------------------------------- */

/* Step of the table: where the configuration wants telemetry; and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_telemetry_begin(struct mkv_node *node,
                                                                  struct mkv_backend_error *error);
void mkv_node_telemetry_end(struct mkv_node *node);
/* Has its files opened again; false when it is off. */
bool mkv_node_telemetry_reopen(struct mkv_node *node);
void mkv_node_telemetry_fill(struct mkv_node *node, struct mkv_admin_snapshot *out);

/* ---- node_traces.c -------------------------------------------------------------------------- */

/* Step of the table: where the configuration wants traces; and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_traces_start(struct mkv_node *node,
                                                               struct mkv_backend_error *error);
void mkv_node_traces_end(struct mkv_node *node);
/* ---- node_audit.c --------------------------------------------------------------------------- */

/* Step of the table: opens the audit and records the start; and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_audit_open(struct mkv_node *node,
                                                             struct mkv_backend_error *error);
void mkv_node_audit_close(struct mkv_node *node);
/* Records a signal that asked for the end; and keeps what close will record as the last. */
void mkv_node_audit_drain(struct mkv_node *node, const char *signal);
void mkv_node_audit_stop(struct mkv_node *node, enum mkv_exit_daemon exit_code);
/* Records an event of a drive, if it is one that changes what the drive holds. */
void mkv_node_audit_event(struct mkv_node *node, const struct mkv_config_drive *drive,
                          const struct mkv_event *event);
/* Records a request to the admin listener that was not let through. */
void mkv_node_audit_refused(struct mkv_node *node, const struct mkv_admin_refusal *refusal);

/* ---- node_ask.c ----------------------------------------------------------------------------- */

/* The provider's: what is known of a key, the configuration in force, and the checks of the machine
 * by this process; `context` is the node. */
enum mkv_status mkv_node_why(void *context, const char *tenant, const uint8_t *key,
                             uint32_t key_bytes, struct mkv_admin_why *out);
char *mkv_node_config_text(void *context);
char *mkv_node_host_text(void *context);

/* ---- node_resp.c ---------------------------------------------------------------------------- */

/* Step of the table: where there is a listener for RESP; and what undoes it. */
__attribute__((warn_unused_result)) bool mkv_node_resp_begin(struct mkv_node *node,
                                                             struct mkv_backend_error *error);
void mkv_node_resp_end(struct mkv_node *node);
/* Nothing is asked of the shard from then on. Its thread has ended; a second call does nothing. */
void mkv_node_resp_stop(struct mkv_node *node);
/* `each` of the shards' options; the context is the node. */
void mkv_node_resp_each(void *context,
                        void (*look)(void *look_context, struct mkv_fabric_resp *fabric),
                        void *look_context);

/* ---- node_events.c -------------------------------------------------------------------------- */

/* An event of a volume, on the shard's thread; `context` is the node. */
void mkv_node_event(void *context, uint32_t volume, const struct mkv_event *event);
/* Raises a warning, once; `drive` is NULL for one of the node. */
__attribute__((format(printf, 5, 6))) void mkv_node_warn(struct mkv_node *node,
                                                         enum mkv_admin_warning_code code,
                                                         const struct mkv_config_drive *drive,
                                                         const char *action, const char *format,
                                                         ...);
/* Why a volume cannot serve, as the end of a sentence. */
const char *mkv_node_err_text(enum mkv_err err);

/* ---- node_observed.c ------------------------------------------------------------------------ */

/* Whose context is the node. */
extern const struct mkv_admin_observed_ops mkv_node_observed;
/* What observer, pump and drives keep; `stats` as the snapshot's own. */
void mkv_node_observed_fill(const struct mkv_node *node, const struct mkv_shard_stats *stats,
                            struct mkv_admin_snapshot *out);
/* Takes a warning back, if it was raised. */
void mkv_node_warn_over(struct mkv_node *node, enum mkv_admin_warning_code code,
                        const struct mkv_config_drive *drive);

/* ---- node_watch.c --------------------------------------------------------------------------- */

/* Steps of the table, and what undoes them: what is kept, and the thread that looks. */
__attribute__((warn_unused_result)) bool mkv_node_watch_create(struct mkv_node *node,
                                                               struct mkv_backend_error *error);
void mkv_node_watch_destroy(struct mkv_node *node);
__attribute__((warn_unused_result)) bool mkv_node_watch_begin(struct mkv_node *node,
                                                              struct mkv_backend_error *error);
void mkv_node_watch_end(struct mkv_node *node);
/* Adds what was seen over time to a snapshot. From any thread. */
void mkv_node_watch_fill(const struct mkv_node *node, struct mkv_admin_snapshot *out);

/* ---- node_rdma.c ---------------------------------------------------------------------------- */

/* Steps of the table: where rdma.mode is require, whether there is a port, and, before drives are
 * formatted, whether the memory for blocks can be registered there. */
__attribute__((warn_unused_result)) bool mkv_node_rdma_check_ports(struct mkv_node *node,
                                                                   struct mkv_backend_error *error);
__attribute__((warn_unused_result)) bool mkv_node_rdma_check_memory(
    struct mkv_node *node, struct mkv_backend_error *error);
/* An event of a shard's ports (lane_ports.h), from any thread; `context` is the node. */
void mkv_node_rdma_event(void *context, uint32_t shard, enum mkv_lane_port_event event,
                         const struct mkv_verbs_facts *facts, const char *text);
/* The options of each shard's ports, of which `lanes_max` is what all may have together; false: the
 * configuration wants none. */
bool mkv_node_rdma_options(const struct mkv_node *node, struct mkv_lane_ports_options *rdma);
/* `lanes` of all shards together. */
void mkv_node_rdma_fill(struct mkv_node *node, const struct mkv_fabric_lane_counters *lanes,
                        struct mkv_admin_snapshot *out);

/* ---- node_rdma_reader.c --------------------------------------------------------------------- */

/* Step of the table, of shard. */
__attribute__((warn_unused_result)) bool mkv_node_rdma_reader_begin(
    struct mkv_node *node, struct mkv_backend_error *error);
void mkv_node_rdma_reader_end(struct mkv_node *node);

/* ---- node_ring.c ---------------------------------------------------------------------------- */

bool mkv_node_ring_begin(struct mkv_node *node, struct mkv_backend_error *error);
void mkv_node_ring_end(struct mkv_node *node);
void mkv_node_ring_fill(const struct mkv_node *node, struct mkv_admin_ring *out);
/* Raises RING_MISMATCH, with a client of each list. */
void mkv_node_ring_warn(struct mkv_node *node, const struct mkv_admin_ring *ring);

/* ---- node_view.c ---------------------------------------------------------------------------- */

/* What the node knows of itself at any time: who and what it is, and its configuration. */
void mkv_node_view_identity(struct mkv_node *node, struct mkv_admin_snapshot *out);

/* node_times.c: behind the memory and the drives of a snapshot that was all zeroes. */
void mkv_node_view_times(const struct mkv_shard_stats *stats, struct mkv_admin_snapshot *out);

/* STATS, on the shard's thread; `context` is the node. */
uint32_t mkv_node_stats_text(void *context, const struct mkv_shard_stats *stats, char *text,
                             uint32_t text_bytes_max);

#endif
