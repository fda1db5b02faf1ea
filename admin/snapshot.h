/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the admin listener knows of the node it speaks for: one plain struct that whoever runs the
 * node fills in whenever the listener asks, and from which health, readiness, status and metrics
 * are made. One request is answered from one snapshot, so that its figures never contradict each
 * other.
 *
 *   HTTP request ---> listener ---> provider.snapshot(context, out) ---> node
 *                        |                                                |
 *                        +<------------- every field of `out` <-----------+
 *
 * Invariants
 *  I1  A snapshot holds no pointer: it stays good after the node has gone, and is copied as it is.
 *  I2  `out` is all zeroes before the call. A text that is not known stays "", a count 0.
 *  I3  drives[i] is volume i of the front, and those that are not there come last; names are unique
 * and never change while the node runs. I4  A warning is in the snapshot exactly as long as what it
 * says is true.
 *
 * Not responsible for: how the figures are gathered (the provider), nor how they are shown
 * (health.c, status_json.c, exposition.c).
 */
#ifndef MKV_ADMIN_SNAPSHOT_H
#define MKV_ADMIN_SNAPSHOT_H

#include "admin/auth.h"
#include "admin/drive_life.h"
#include "core/base.h"
#include "core/drive_state.h"
#include "core/front.h"
#include "core/histogram.h"
#include "core/tenant_names.h"
#include "core/volume.h"

/* The values of the enums below are places in the lists of words.h. */
enum mkv_admin_node_state {
    MKV_ADMIN_NODE_RECOVERING = 0, /* some drive is still being opened */
    MKV_ADMIN_NODE_SERVING,        /* every drive serves */
    MKV_ADMIN_NODE_DEGRADED,       /* at least one drive serves, and at least one does not; or
                                    * clients have lost RDMA */
    MKV_ADMIN_NODE_DRAINING,       /* finishes what it has; takes no put */
    MKV_ADMIN_NODE_UNHEALTHY,      /* no drive serves */
    MKV_ADMIN_NODE_WAITING, /* for drives of its set: nothing is opened before they are there */
};
#define MKV_ADMIN_NODE_STATE_COUNT 6u

/* Warnings are a closed list; a code never changes its meaning. */
enum mkv_admin_warning_code {
    MKV_ADMIN_WARNING_HUGEPAGES_FALLBACK = 0, /* memory is on normal pages */
    MKV_ADMIN_WARNING_MEMLOCK_FALLBACK,       /* the kernel refused to register all of the memory */
    MKV_ADMIN_WARNING_DIRECT_IO_FALLBACK,     /* of a drive: goes through the page cache */
    MKV_ADMIN_WARNING_DRIVE_OFFLINE,          /* of a drive: its keys are misses */
    MKV_ADMIN_WARNING_CAME_UP_EMPTY,       /* of a drive: what stood on it could not be trusted */
    MKV_ADMIN_WARNING_DRIVES_MISSING,      /* of the drive set: the node waits for them */
    MKV_ADMIN_WARNING_AUTH_DISABLED,       /* a listener asks nobody who he is */
    MKV_ADMIN_WARNING_SHARD_STALLED,       /* a shard has not finished a step for long */
    MKV_ADMIN_WARNING_NO_SHARED_HITS,      /* blocks are stored, and none is ever found */
    MKV_ADMIN_WARNING_DRIVE_SLOW,          /* of a drive: an outlier against its siblings */
    MKV_ADMIN_WARNING_DRIVE_STALLED,       /* of a drive: does not answer */
    MKV_ADMIN_WARNING_JOURNAL_NEARLY_FULL, /* of a drive: puts may have to wait */
    MKV_ADMIN_WARNING_SLOT_TABLE_FULL,     /* of a drive: no numbers for more slots */
    MKV_ADMIN_WARNING_DIRECTORY_OFF,       /* of a drive: keys cannot be listed */
    MKV_ADMIN_WARNING_VALUE_TOO_LARGE,     /* a client of RESP sends values above the limit */
    MKV_ADMIN_WARNING_NOT_REGISTERED,      /* clients do not find the node in the list of servers */
    MKV_ADMIN_WARNING_RING_MISMATCH,       /* clients place keys by different lists of servers */
    MKV_ADMIN_WARNING_FILE_SYSTEM_SMALL,   /* of a drive: its file may come to find no room */
    MKV_ADMIN_WARNING_FILE_SYSTEM_FULL,    /* of a drive: its file has found no room */
    MKV_ADMIN_WARNING_ENDURANCE,           /* of a drive: it is written more than it is rated for */
    MKV_ADMIN_WARNING_RDMA_DOWN,           /* clients go on over TCP */
};
#define MKV_ADMIN_WARNING_CODE_COUNT 21u

/* The operations of a drive that are counted. */
enum mkv_admin_io_op {
    MKV_ADMIN_IO_READ = 0,
    MKV_ADMIN_IO_WRITE,
    MKV_ADMIN_IO_FLUSH,
    MKV_ADMIN_IO_TRIM,
};
#define MKV_ADMIN_IO_OP_COUNT 4u

/* Operations as memkv_command_duration_seconds tells them apart: the values of enum mkv_op, and
 * behind them PUTs and GETs of a value below 64 KiB, which do not count at their op. */
#define MKV_ADMIN_COMMAND_PUT_SMALL MKV_OP_COUNT
#define MKV_ADMIN_COMMAND_GET_SMALL (MKV_OP_COUNT + 1u)
#define MKV_ADMIN_COMMAND_COUNT (MKV_OP_COUNT + 2u)

/* What waits: items of GET, EXISTS and LOOKUP, other items, and work behind them. */
enum mkv_admin_queue {
    MKV_ADMIN_QUEUE_READ = 0,
    MKV_ADMIN_QUEUE_WRITE,
    MKV_ADMIN_QUEUE_BACKGROUND,
};
#define MKV_ADMIN_QUEUE_COUNT 3u

/* What the daemon's memory is for. */
enum mkv_admin_memory_kind {
    MKV_ADMIN_MEMORY_INDEX = 0, /* the front's index of blocks in memory */
    MKV_ADMIN_MEMORY_SLOT_TABLE,
    MKV_ADMIN_MEMORY_LEAF_CACHE,
    MKV_ADMIN_MEMORY_SLABS,
    MKV_ADMIN_MEMORY_JOURNAL,
    MKV_ADMIN_MEMORY_CONNECTIONS,
};
#define MKV_ADMIN_MEMORY_KIND_COUNT 6u

enum mkv_admin_transition {
    MKV_ADMIN_TRANSITION_RDMA_UP = 0,
    MKV_ADMIN_TRANSITION_RDMA_DOWN,
    MKV_ADMIN_TRANSITION_DRIVE_ONLINE,
    MKV_ADMIN_TRANSITION_DRIVE_OFFLINE,
};
#define MKV_ADMIN_TRANSITION_COUNT 4u

/* Levels of log messages: error, warn, info, debug, trace. */
#define MKV_ADMIN_LOG_LEVEL_COUNT 5u

/* Room for texts, with the closing NUL. */
#define MKV_ADMIN_NAME_BYTES 64u
#define MKV_ADMIN_PATH_BYTES 1024u
#define MKV_ADMIN_TEXT_BYTES 512u
/* Those of the node, and nine of each drive. */
#define MKV_ADMIN_WARNINGS_MAX (8u + 9u * MKV_VOLUMES_MAX)

struct mkv_admin_warning {
    enum mkv_admin_warning_code code;
    uint64_t since_ms;                /* Unix time */
    char drive[MKV_ADMIN_NAME_BYTES]; /* the drive it is about, or "" for the node */
    char message[MKV_ADMIN_TEXT_BYTES];
    char action[MKV_ADMIN_TEXT_BYTES]; /* what to do about it */
};

/* Counts since the drive was opened, and what is in flight now. */
struct mkv_admin_io {
    uint64_t operations;           /* completed, with any result */
    uint64_t bytes;                /* of those that succeeded */
    uint64_t errors;               /* completed with a failure */
    uint64_t in_flight;            /* submitted, not completed */
    struct mkv_histogram duration; /* of those that completed, in ns */
    uint64_t no_room;              /* of the errors: the file system had no room */
};

/* Of the last minute; 0: there were none. */
struct mkv_admin_drive_recent {
    uint64_t read_bytes_s, write_bytes_s;
    uint64_t read_p99_ns, write_p99_ns;
    uint64_t p50_ns[MKV_ADMIN_IO_OP_COUNT];
    uint64_t p99_ns[MKV_ADMIN_IO_OP_COUNT];
    uint64_t siblings_p99_ns[MKV_ADMIN_IO_OP_COUNT]; /* the median of the other drives' */
};

/* The last operation of a drive that failed. */
struct mkv_admin_drive_error {
    uint64_t wall_ms; /* Unix time; 0: none has failed */
    enum mkv_admin_io_op op;
    enum mkv_io_result result;
    int error_number; /* 0: it ended before all of its bytes were moved */
};

#define MKV_ADMIN_SMART_TEXT_BYTES 192u
/* What a drive says of its own health, read every minute, on a thread that may wait for it. Where
 * it is not available all figures are 0. */
struct mkv_admin_smart {
    bool available;
    char why[MKV_ADMIN_SMART_TEXT_BYTES];     /* why it is not */
    char warning[MKV_ADMIN_SMART_TEXT_BYTES]; /* "spare blocks are low", …, or "" */
    uint64_t read_ms;                         /* Unix time; 0: it was not read yet */
    int32_t temperature_celsius;
    uint32_t spare_percent, spare_threshold_percent;
    uint32_t used_percent; /* of its rated life; may go above 100 */
    uint64_t read_bytes, written_bytes;
    uint64_t power_cycles, power_on_hours, unsafe_shutdowns;
    uint64_t media_errors, error_log_entries;
};

struct mkv_admin_drive {
    char name[MKV_ADMIN_NAME_BYTES]; /* the configured name: `device` of metrics, `device_id` */
    char path[MKV_ADMIN_PATH_BYTES]; /* as configured */
    char model[MKV_ADMIN_NAME_BYTES];
    char serial[MKV_ADMIN_NAME_BYTES];
    char firmware[MKV_ADMIN_NAME_BYTES];
    struct mkv_uuid uuid; /* the drive's own; zeroes: not known */
    enum mkv_drive_state state;
    enum mkv_drive_failure failure; /* what is wrong with it */
    uint64_t state_since_ms;        /* Unix time; 0: not known yet */
    struct mkv_admin_drive_error last_error;
    struct mkv_admin_smart smart;
    bool write_cache;       /* what was written may lie in a volatile cache until it is flushed */
    bool slow;              /* an outlier against its siblings */
    uint64_t slots_max;     /* numbers for slots that it was formatted with; 0: not known */
    uint64_t checkpoint_ms; /* Unix time of the last checkpoint since the start; 0: none */
    struct mkv_admin_drive_recent recent;
    struct mkv_volume_stats volume;
    struct mkv_admin_io io[MKV_ADMIN_IO_OP_COUNT];
    uint64_t io_busy_ns;                 /* with at least one operation in flight */
    struct mkv_histogram flush_writes;   /* data writes that a flush covered */
    struct mkv_volume_seconds reuse_gap; /* of a sample of blocks, between two accesses */
};

/* A request of each bucket of a histogram, the last one that had a trace. A trace_id of zeroes:
 * there was none. */
struct mkv_admin_exemplar {
    uint8_t trace_id[16];
    uint64_t value_ns;
    uint64_t wall_ms; /* Unix time at its end */
};
struct mkv_admin_exemplars {
    struct mkv_admin_exemplar buckets[MKV_HISTOGRAM_BOUNDS + 1];
};

/* What things took, in ns, and how many they were. */
struct mkv_admin_timing {
    struct mkv_histogram request;
    struct mkv_histogram commands[MKV_ADMIN_COMMAND_COUNT];
    struct mkv_histogram stages[MKV_STAGE_COUNT];
    struct mkv_histogram batch_items[MKV_OP_COUNT]; /* items of a request; no ns */
    struct mkv_histogram dispatch;
    /* Of a block that is written; the three parts add up to the first. */
    struct mkv_histogram persist, persist_pre_wait, writer_wait, persist_post_wait;
    struct mkv_histogram allocate;
    struct mkv_histogram journal_flush;
    struct mkv_histogram checkpoint;
    struct mkv_admin_exemplars request_exemplars;
    struct mkv_admin_exemplars command_exemplars[MKV_ADMIN_COMMAND_COUNT];
};

/* A fabric: TCP, with the listener of RESP, RDMA, or shm. Bytes are payload without framing. A
 * connection over RDMA was accepted over TCP, and counts there until it goes on over RDMA. */
struct mkv_admin_fabric {
    uint64_t connections_active;
    uint64_t connections_accepted_total;
    uint64_t connections_rejected_total; /* told so and closed */
    uint64_t bytes_in_total;             /* from clients */
    uint64_t bytes_out_total;            /* to clients */
    uint64_t faults_total;            /* connections closed on a client that broke the protocol */
    uint64_t checksum_failures_total; /* of these: a frame whose checksum is wrong */
};

/* Why a queue pair failed first, and why connections go on over TCP: the places of these in their
 * lists of words. */
#define MKV_ADMIN_RDMA_FAILURE_COUNT 11u
#define MKV_ADMIN_RDMA_FALLBACK_COUNT 18u
/* What a port counts of itself, likewise. */
#define MKV_ADMIN_RDMA_TROUBLE_COUNT 8u
/* Ports that status tells apart. */
#define MKV_ADMIN_RDMA_PORTS_MAX 16u

struct mkv_admin_rdma_port {
    char device[MKV_ADMIN_NAME_BYTES];
    uint32_t port;
    char address[MKV_ADMIN_NAME_BYTES]; /* its GID, as an IP address where it is one */
    int32_t gid_index;
    uint32_t mtu; /* bytes */
    bool is_up;
    uint64_t since_ms; /* Unix time: up or not since then */
    /* What its transport has counted, for all processes: see mkv_admin_rdma_troubles. By bit, which
     * of them its driver tells. */
    uint32_t troubles_told;
    uint64_t troubles_total[MKV_ADMIN_RDMA_TROUBLE_COUNT];
};

struct mkv_admin_rdma {
    bool is_configured; /* it is wanted, and not only taken where it happens to be */
    bool is_active;     /* a client could get it now */
    bool is_lost;       /* it was active, or must be, and is not: the node is degraded */
    uint32_t port_count;
    struct mkv_admin_rdma_port ports[MKV_ADMIN_RDMA_PORTS_MAX];
    struct mkv_admin_fabric fabric;
    uint64_t connects_total; /* CONNECT requests, refused ones too */
    uint64_t errors_total;   /* posts and completions that failed */
    uint64_t failures_total[MKV_ADMIN_RDMA_FAILURE_COUNT];
    uint64_t fallbacks_total[MKV_ADMIN_RDMA_FALLBACK_COUNT];
    uint64_t recoveries_total;
    struct mkv_histogram read, write; /* from post to completion, ns */
};

/* The lists of servers by which clients of several servers place keys, each by its hash. More than
 * one is a mismatch: the same key is looked for at different servers. */
#define MKV_ADMIN_RING_VIEWS 4u
struct mkv_admin_ring_view {
    uint64_t hash;
    uint64_t connection_count;
    /* One of its clients. */
    char address[MKV_ADMIN_NAME_BYTES];
    char name[MKV_ADMIN_NAME_BYTES];
};
struct mkv_admin_ring {
    uint32_t view_count; /* of live connections that told one */
    uint32_t told_count; /* of `views`: those with the most connections first */
    struct mkv_admin_ring_view views[MKV_ADMIN_RING_VIEWS];
};

/* The arena. `slabs` are counted in the reporting unit, memory.block_size, since slabs have several
 * sizes: used ones are rounded up. */
struct mkv_admin_memory {
    uint64_t bytes_total; /* payload room of all slabs */
    uint64_t bytes_used;  /* of it, in slabs that are allocated; at most bytes_total */
    uint64_t block_bytes; /* memory.block_size of the configuration; not 0 */
    bool huge_pages;      /* the arena is on huge pages of 2 MiB */
};

/* Of the window of struct mkv_admin_recent. */
struct mkv_admin_tenant_recent {
    uint64_t keys_found, keys_missed;
    uint64_t evicted, caused;
};

/* On all drives that serve. */
struct mkv_admin_tenant {
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint64_t blocks;
    uint64_t bytes;       /* of the slots that they take */
    uint64_t quota_bytes; /* UINT64_MAX: none */
    uint64_t writes_total;
    uint64_t quota_rejections_total;
    uint64_t evicted_total, evictions_caused_total;
    struct mkv_front_tenant asked; /* its id is not set */
    bool asked_apart; /* false: the front counts what its clients ask for with tenants_other */
    struct mkv_admin_tenant_recent recent;
};
/* Tenants that status tells apart: the oldest. */
#define MKV_ADMIN_TENANTS_TOLD 64u
/* Tenants that metrics may be told to tell apart; metrics.tenants_max of the configuration. */
#define MKV_ADMIN_TENANT_ROWS_MAX 1000u

/* What happened in the last 10 minutes, or since the start. */
struct mkv_admin_recent {
    uint64_t window_ns; /* 0: nothing is known yet */
    uint64_t keys_memory, keys_drive, keys_miss;
    uint64_t keys_by_miss[MKV_MISS_COUNT];
    uint64_t residency_s; /* median age of the blocks that were evicted; UINT64_MAX: none was */
};

/* Listeners of data, as failed authentications are told apart: native, resp. */
#define MKV_ADMIN_AUTH_LISTENER_COUNT 2u
/* Key ids whose sessions are told apart. */
#define MKV_ADMIN_AUTH_KEYS_MAX 132u

struct mkv_admin_auth_key {
    char key_id[MKV_ADMIN_NAME_BYTES];
    uint64_t sessions;
};

/* What is told apart by shard. */
#define MKV_ADMIN_SHARDS_MAX 32u
struct mkv_admin_shard {
    uint64_t requests; /* accepted */
    uint64_t blocks;
};

#define MKV_ADMIN_CLUSTER_BYTES 256u
/* How clients find the node, where it tells that it is there. */
struct mkv_admin_cluster {
    bool is_configured; /* else all is zero */
    bool is_registered;
    uint32_t weight;
    uint64_t since_ms;                       /* Unix time: registered or not since then */
    char discovery[MKV_ADMIN_CLUSTER_BYTES]; /* cut, where it is longer */
    char advertise[MKV_ADMIN_CLUSTER_BYTES]; /* the address */
    char problem[MKV_ADMIN_CLUSTER_BYTES];   /* why it is not, or "" */
};

struct mkv_admin_snapshot {
    char node_id[MKV_ADMIN_NAME_BYTES];
    char version[MKV_ADMIN_NAME_BYTES]; /* "0.1.0" */
    char commit[MKV_ADMIN_NAME_BYTES];  /* "3fa9c02"; "" where it is not known */
    enum mkv_admin_node_state state;
    uint32_t epoch;    /* the highest of all drives */
    uint64_t taken_ms; /* Unix time of this snapshot */
    uint64_t uptime_ns;
    /* The longest time that a shard has not finished a step. A shard with nothing to do finishes
     * one every second all the same. */
    uint64_t shard_quiet_ns;
    uint64_t watchdog_ns; /* then it is stuck; 0: never */
    uint32_t shard_count;
    struct mkv_admin_shard shards[MKV_ADMIN_SHARDS_MAX];
    struct mkv_admin_recent recent;
    uint64_t storage_block_bytes; /* storage.block_size of the configuration; not 0 */

    uint64_t drive_set_version; /* 0 before it is known */
    uint32_t drive_set_members;
    uint32_t drive_count; /* at most MKV_VOLUMES_MAX */
    struct mkv_admin_drive drives[MKV_VOLUMES_MAX];
    struct mkv_front_stats front;
    struct mkv_admin_timing timing;
    uint64_t deadlines[MKV_OP_COUNT][MKV_FRONT_STAGE_COUNT];
    uint64_t lookup_prefix_asked, lookup_prefix_hit; /* keys */
    uint64_t queue_depth[MKV_ADMIN_QUEUE_COUNT];
    uint64_t blocks_in;     /* whose bytes came from clients */
    uint64_t payload_bytes; /* of live blocks, inside of their slots */
    uint64_t memory_bytes[MKV_ADMIN_MEMORY_KIND_COUNT];
    uint64_t transitions_total[MKV_ADMIN_TRANSITION_COUNT];
    uint64_t hotkey_accesses_total, hotkey_decays_total;
    uint64_t telemetry_events_total, telemetry_dropped_total;
    uint64_t trace_spans_exported_total, trace_spans_dropped_total;
    /* The configuration in force: its hash, and when it was read. */
    char config_hash[MKV_ADMIN_NAME_BYTES];
    uint64_t config_read_ms;   /* Unix time */
    bool config_reload_failed; /* the last that was asked for is not in force */
    uint64_t auth_failures_total[MKV_ADMIN_AUTH_LISTENER_COUNT];
    uint32_t auth_key_count; /* at most MKV_ADMIN_AUTH_KEYS_MAX */
    struct mkv_admin_auth_key auth_keys[MKV_ADMIN_AUTH_KEYS_MAX];
    struct mkv_admin_fabric fabric;
    bool has_shm; /* there is a listener for clients of this machine: */
    struct mkv_admin_fabric shm;
    struct mkv_admin_rdma rdma;
    struct mkv_admin_ring ring;
    struct mkv_admin_memory memory;
    uint64_t log_messages_total[MKV_ADMIN_LOG_LEVEL_COUNT];

    uint32_t tenant_rows_max;              /* tenants that metrics tell apart: the oldest */
    struct mkv_front_tenant tenants_other; /* what clients asked for under other names */
    uint32_t tenant_count; /* at most MKV_TENANT_NAMES_MAX; the default one first, then by age */
    struct mkv_admin_tenant tenants[MKV_TENANT_NAMES_MAX];

    struct mkv_admin_cluster cluster;

    uint32_t warning_count; /* at most MKV_ADMIN_WARNINGS_MAX; oldest first */
    struct mkv_admin_warning warnings[MKV_ADMIN_WARNINGS_MAX];
};

struct mkv_admin_observed_ops;
struct mkv_admin_why;
struct mkv_audit;

/* A request that was not let through. */
struct mkv_admin_refusal {
    unsigned status; /* of HTTP: 401 nobody knows who asks, 403 he may not */
    const char *method;
    const char *path;         /* any bytes; show it by mkv_text_clean */
    enum mkv_admin_role role; /* that it takes */
    const struct mkv_admin_peer *peer;
};

#define MKV_ADMIN_LOG_LEVEL_BYTES 256u
#define MKV_ADMIN_LOG_PROBLEM_BYTES 192u

/* The log of the node: its last lines, and which it writes. Each may be called at any time. */
struct mkv_admin_log {
    void *context;
    /* The last lines as they stand in the log, with a closing NUL; the caller frees them. NULL when
     * there is no memory. `*json`: each is a JSON object, else text. */
    char *(*last)(void *context, uint32_t line_count, size_t *bytes, bool *json);
    void (*level)(void *context, char out[MKV_ADMIN_LOG_LEVEL_BYTES]);
    /* False where the text is no level, and then why. */
    bool (*level_set)(void *context, const char *text, char problem[MKV_ADMIN_LOG_PROBLEM_BYTES]);
};

/* Whoever answers for the node. The functions are called on the listener's threads, from its start
 * to its stop: one at a time, and beside it one of those that wait (routes.h). No wait is long. */
struct mkv_admin_provider {
    void *context;
    void (*snapshot)(void *context, struct mkv_admin_snapshot *out);
    /* Drops the tenant of a valid name, waiting for its drives a few seconds at most: OK when that
     * is durable; NOT_FOUND; FORBIDDEN for the default one; UNKNOWN when nobody can say; or
     * UNAVAILABLE. NULL: tenants cannot be dropped now. */
    enum mkv_status (*tenant_drop)(void *context, const char *name);
    struct mkv_admin_log log; /* `last` NULL: the node has none to show */
    /* What is known of single requests, keys and clients: observed.h. NULL: the node does not serve
     * yet. */
    const struct mkv_admin_observed_ops *observed;
    /* Hears of every request that is answered 401 or 403. May be NULL. */
    void (*refused)(void *context, const struct mkv_admin_refusal *refusal);
    struct mkv_audit *audit; /* where operations are recorded; NULL: nowhere */
    /* What is known of a key, without changing anything. Not OK: the node cannot tell now. */
    enum mkv_status (*why)(void *context, const char *tenant, const uint8_t *key,
                           uint32_t key_bytes, struct mkv_admin_why *out);
    /* The configuration in force as JSON, without secrets; the caller frees it. */
    char *(*config)(void *context);
    /* Checks of the machine that the node runs on, as JSON; the caller frees it. NULL: none. */
    char *(*host)(void *context);
    /* What an operator wants of a drive: drive_life.h. NULL: the node does not serve yet. */
    void (*drive_act)(void *context, const struct mkv_admin_drive_wish *wish,
                      struct mkv_admin_drive_outcome *outcome);
};

#endif
