/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's configuration: one plain struct that says all a node needs to start, and the layers
 * that fill it. A higher layer wins, whatever the order of the calls:
 *
 *     default  <  --dev  <  file  <  MEMKV_<SECTION>_<KEY>  <  flag
 *
 *     mkv_config_defaults | mkv_config_dev
 *       -> mkv_config_load_file -> mkv_config_load_environment -> mkv_config_set (each flag)
 *       -> mkv_config_validate
 *
 * Every key stands once in a table (config_schema.h), which drives the file, the variables, the
 * messages and docs/configuration.md.
 *
 * Invariants
 *  I1  The struct holds no pointer: a copy by assignment is a whole configuration.
 *  I2  A call that fails leaves the configuration as it was and writes one line of message that
 *      says where, what is wrong, and what to write instead, in printable ASCII.
 *  I3  Each key remembers the layer, and in the file the line, that its value came from.
 *  I4  After mkv_config_validate every host is a numeric address, that of the admin listener a
 *      loopback one where it asks nobody who he is; the listeners differ,
 *      drive names and paths are unique and set, and memory holds at least MKV_CONFIG_SLABS_MIN
 *      slabs of the largest block.
 *
 * Not responsible for: opening, creating or sizing drives, huge pages, or the command line.
 */
#ifndef MKV_SERVER_CONFIG_H
#define MKV_SERVER_CONFIG_H

#include "admin/otlp_endpoint.h"
#include "core/base.h"
#include "server/config_address.h"
#include "server/exit_codes.h"

#define MKV_CONFIG_DRIVES_MAX MKV_VOLUMES_MAX
#define MKV_CONFIG_PATH_BYTES 1024u
#define MKV_CONFIG_NAME_BYTES 32u
#define MKV_CONFIG_NODE_ID_BYTES 64u
#define MKV_CONFIG_SHARDS_MAX 32u
#define MKV_CONFIG_QUOTAS_BYTES 1024u
#define MKV_CONFIG_SHM_USERS_BYTES 512u
#define MKV_CONFIG_LOG_LEVEL_BYTES 256u
#define MKV_CONFIG_SERVICE_NAME_BYTES 64u
#define MKV_CONFIG_PROCESSORS_BYTES 1024u
#define MKV_CONFIG_FLAG_BYTES 32u
/* A ratio is kept in parts of so many. */
#define MKV_CONFIG_RATIO_ONE 1000000000u
#define MKV_CONFIG_DEVICE_BYTES 64u
#define MKV_CONFIG_GID_INDEX_BYTES 8u
#define MKV_CONFIG_GROUP_BYTES 33u
/* Of HOST:PORT, with its NUL: as libmemkv has it. */
#define MKV_CONFIG_ADVERTISE_BYTES 265u
#define MKV_CONFIG_TOKENS_MAX 16u
#define MKV_CONFIG_KEYS_MAX 32u
#define MKV_CONFIG_USERS_MAX 64u
#define MKV_CONFIG_RULES_MAX 64u
#define MKV_CONFIG_KEY_ID_BYTES 33u
#define MKV_CONFIG_USER_BYTES 65u
#define MKV_CONFIG_TENANT_BYTES 80u
#define MKV_CONFIG_PREFIX_BYTES 256u
#define MKV_CONFIG_WORDS_BYTES 512u
#define MKV_CONFIG_FILE_BYTES_MAX (1024u * 1024u)
/* Slabs of the largest block that memory must hold: fewer, and one reader could stop the node. */
#define MKV_CONFIG_SLABS_MIN 4u
/* What --dev makes: DIR/store.memkv, sparse, of this size. */
#define MKV_CONFIG_DEV_DIRECTORY "memkv-data"
#define MKV_CONFIG_DEV_STORE "store.memkv"
#define MKV_CONFIG_DEV_AUDIT "audit.log"
#define MKV_CONFIG_DEV_SOCKET "admin.sock"
#define MKV_CONFIG_DEV_STORE_BYTES (4ull * MKV_GIB)

/* Every key that a file may set, except the keys of one entry of a list. */
enum mkv_config_key_id {
    MKV_CONFIG_NETWORK_ADDRESS,
    MKV_CONFIG_NETWORK_CONNECTIONS_MAX,
    MKV_CONFIG_NETWORK_TLS_CERT,
    MKV_CONFIG_NETWORK_TLS_KEY,
    MKV_CONFIG_NETWORK_TLS_MIN,
    MKV_CONFIG_NETWORK_ADMIN_ADDRESS,
    MKV_CONFIG_NETWORK_RESP_ADDRESS,
    MKV_CONFIG_NETWORK_SHM_PATH,
    MKV_CONFIG_NETWORK_SHM_WINDOW_BYTES,
    MKV_CONFIG_NETWORK_SHM_USERS,
    MKV_CONFIG_RESP_VALUE_BYTES_MAX,
    MKV_CONFIG_RESP_DURABILITY,
    MKV_CONFIG_RESP_EXISTS_LEASE_MS,
    MKV_CONFIG_RESP_PIPELINE_MAX,
    MKV_CONFIG_NETWORK_AUTH,
    MKV_CONFIG_NETWORK_AUTH_KEY,
    MKV_CONFIG_NETWORK_CLIENT_CONNECTIONS_MAX,
    MKV_CONFIG_NETWORK_CLIENT_REQUESTS_MAX,
    MKV_CONFIG_NETWORK_CLIENT_BYTES_MAX,
    MKV_CONFIG_AUTH_KEYS,
    MKV_CONFIG_AUTH_USERS,
    MKV_CONFIG_TENANTS_RULES,
    MKV_CONFIG_MEMORY_MAX_SIZE,
    MKV_CONFIG_MEMORY_HUGEPAGES,
    MKV_CONFIG_MEMORY_BLOCK_SIZE,
    MKV_CONFIG_STORAGE_MODE,
    MKV_CONFIG_STORAGE_TRIM,
    MKV_CONFIG_STORAGE_EVICTION,
    MKV_CONFIG_STORAGE_SCRUB_RATE,
    MKV_CONFIG_STORAGE_LEASE_SHARE_MAX,
    MKV_CONFIG_STORAGE_SESSION_IDLE,
    MKV_CONFIG_STORAGE_SESSIONS_MAX,
    MKV_CONFIG_STORAGE_SESSION_BLOCKS_MAX,
    MKV_CONFIG_STORAGE_BLOCK_SIZE,
    MKV_CONFIG_STORAGE_BLOCK_BYTES_MAX,
    MKV_CONFIG_STORAGE_DRIVES,
    MKV_CONFIG_TENANTS_QUOTAS,
    MKV_CONFIG_NODE_ID,
    MKV_CONFIG_LOG_LEVEL,
    MKV_CONFIG_LOG_FORMAT,
    MKV_CONFIG_LOG_FILE,
    MKV_CONFIG_TELEMETRY_ENABLED,
    MKV_CONFIG_TELEMETRY_MAX_QUEUE_SIZE,
    MKV_CONFIG_TELEMETRY_PROCESSORS,
    MKV_CONFIG_PROMETHEUS_ENABLED,
    MKV_CONFIG_PROMETHEUS_PORT,
    MKV_CONFIG_METRICS_HOTKEYS_COLUMNS,
    MKV_CONFIG_METRICS_HOTKEYS_DECAY,
    MKV_CONFIG_METRICS_TENANTS_MAX,
    MKV_CONFIG_SLOWLOG_THRESHOLD_MS,
    MKV_CONFIG_AUDIT_FILE,
    MKV_CONFIG_AUDIT_MAX_SIZE,
    MKV_CONFIG_AUDIT_FILES_MAX,
    MKV_CONFIG_ADMIN_AUTH,
    MKV_CONFIG_ADMIN_SOCKET,
    MKV_CONFIG_ADMIN_VIEWER_GROUP,
    MKV_CONFIG_ADMIN_TOKENS,
    MKV_CONFIG_ADMIN_PROFILES,
    MKV_CONFIG_ADMIN_TLS,
    MKV_CONFIG_NODE_WATCHDOG,
    MKV_CONFIG_NODE_SHARDS,
    MKV_CONFIG_STORAGE_SLOW_AFTER,
    MKV_CONFIG_STORAGE_SLOW_FENCE,
    MKV_CONFIG_STORAGE_ADMISSION,
    MKV_CONFIG_STORAGE_WRITE_LIMIT_PER_DRIVE,
    MKV_CONFIG_CLUSTER_DISCOVERY,
    MKV_CONFIG_CLUSTER_ADVERTISE,
    MKV_CONFIG_CLUSTER_WEIGHT,
    MKV_CONFIG_CLUSTER_LEASE_TTL,
    MKV_CONFIG_TELEMETRY_TRACING_ENABLED,
    MKV_CONFIG_TELEMETRY_OTLP_ENDPOINT,
    MKV_CONFIG_TELEMETRY_SERVICE_NAME,
    MKV_CONFIG_TELEMETRY_SAMPLING_RATIO,
    MKV_CONFIG_RDMA_MODE,
    MKV_CONFIG_RDMA_DEVICE,
    MKV_CONFIG_RDMA_GID_INDEX,
    MKV_CONFIG_RDMA_TRAFFIC_CLASS,
    MKV_CONFIG_RDMA_SERVICE_LEVEL,
    MKV_CONFIG_RDMA_MTU,
    MKV_CONFIG_RDMA_POLL_US,
    MKV_CONFIG_RDMA_CONNECTIONS_MAX,
};
/* RDMA_CONNECTIONS_MAX is the last one. */
#define MKV_CONFIG_KEY_COUNT ((uint32_t)MKV_CONFIG_RDMA_CONNECTIONS_MAX + 1u)

/* The order is the order of precedence, lowest first. */
enum mkv_config_layer {
    MKV_CONFIG_LAYER_DEFAULT = 0,
    MKV_CONFIG_LAYER_DEV,
    MKV_CONFIG_LAYER_FILE,
    MKV_CONFIG_LAYER_ENVIRONMENT,
    MKV_CONFIG_LAYER_FLAG,
};

struct mkv_config_origin {
    enum mkv_config_layer layer;
    uint32_t line; /* counted from 1; only of LAYER_FILE */
    /* "--listen"; of LAYER_ENVIRONMENT "MEMKV_LOG", where it was not the key's usual variable. */
    char flag[MKV_CONFIG_FLAG_BYTES];
};

/* The values of the enums below are places in the schema's lists of words. */
enum mkv_config_hugepages {
    MKV_CONFIG_HUGEPAGES_AUTO = 0, /* huge pages if they can be had, else normal pages */
    MKV_CONFIG_HUGEPAGES_REQUIRE,
    MKV_CONFIG_HUGEPAGES_OFF,
};
enum mkv_config_rdma {
    MKV_CONFIG_RDMA_AUTO = 0, /* where a device can be had */
    MKV_CONFIG_RDMA_REQUIRE,
    MKV_CONFIG_RDMA_OFF,
};
enum mkv_config_tls_version {
    MKV_CONFIG_TLS_1_2 = 0,
    MKV_CONFIG_TLS_1_3,
};
enum mkv_config_storage_mode {
    MKV_CONFIG_STORAGE_DIRECT = 0, /* O_DIRECT or refuse */
    MKV_CONFIG_STORAGE_FILE,       /* O_DIRECT where the file system has it, else buffered */
};
enum mkv_config_storage_trim {
    MKV_CONFIG_TRIM_AUTO = 0, /* block devices that support it */
    MKV_CONFIG_TRIM_ON,       /* every drive, or refuse */
    MKV_CONFIG_TRIM_OFF,
};
enum mkv_config_storage_eviction {
    MKV_CONFIG_EVICTION_ON = 0, /* blocks leave to make room */
    MKV_CONFIG_EVICTION_OFF,    /* a full drive refuses puts */
};
enum mkv_config_storage_admission {
    MKV_CONFIG_ADMISSION_ALWAYS = 0, /* every put is written */
    MKV_CONFIG_ADMISSION_SECOND_TOUCH,
    MKV_CONFIG_ADMISSION_LIMIT,
};
enum mkv_config_network_auth {
    MKV_CONFIG_NETWORK_AUTH_REQUIRED = 0, /* keys are asked for where there are any */
    MKV_CONFIG_NETWORK_AUTH_NONE,         /* everybody may do all, from everywhere */
};
enum mkv_config_admin_auth {
    MKV_CONFIG_AUTH_REQUIRED = 0, /* who asks for more than health and metrics says who he is */
    MKV_CONFIG_AUTH_NONE,         /* everybody may do all, from this machine */
};
enum mkv_config_admin_profiles {
    MKV_CONFIG_PROFILES_LOCAL = 0, /* for operators on this machine */
    MKV_CONFIG_PROFILES_ANYWHERE,  /* for all of them */
};
enum mkv_config_admin_role {
    MKV_CONFIG_ROLE_VIEWER = 0,
    MKV_CONFIG_ROLE_OPERATOR,
};
enum mkv_config_log_level {
    MKV_CONFIG_LOG_ERROR = 0,
    MKV_CONFIG_LOG_WARN,
    MKV_CONFIG_LOG_INFO,
    MKV_CONFIG_LOG_DEBUG,
    MKV_CONFIG_LOG_TRACE,
};
enum mkv_config_log_format {
    MKV_CONFIG_LOG_JSON = 0,
    MKV_CONFIG_LOG_TEXT,
};

enum mkv_config_tracing {
    MKV_CONFIG_TRACING_OFF = 0,
    MKV_CONFIG_TRACING_ON,
};

enum mkv_config_durability {
    MKV_CONFIG_DURABILITY_RELAXED = 0, /* a put is answered when it is in memory */
    MKV_CONFIG_DURABILITY_DURABLE,     /* when it is durable */
};

struct mkv_config_drive {
    char media[MKV_CONFIG_PATH_BYTES]; /* relative to the process, not to the file any more */
    char name[MKV_CONFIG_NAME_BYTES];  /* stable: metrics and commands call the drive by it */
    uint64_t size_bytes;               /* 0: the file or device must exist and has its size */
    uint64_t rated_dwpd;               /* of MKV_CONFIG_RATIO_ONE; 0: not known */
    uint32_t line;                     /* where the drive begins in the file; 0: not in a file */
};

/* A file with a token of the admin listener, and what whoever sends it may do. */
struct mkv_config_token {
    enum mkv_config_admin_role role;
    char file[MKV_CONFIG_PATH_BYTES]; /* relative to the process, not to the file any more */
};

/* Texts as they were written; config_auth.h reads those of keys. A secret is a path, relative to
 * the process, or "credential:NAME"; auth_key may be the 64 digits themselves. */
struct mkv_config_auth_key {
    char id[MKV_CONFIG_KEY_ID_BYTES];
    char file[MKV_CONFIG_PATH_BYTES];
    char tenants[MKV_CONFIG_WORDS_BYTES];  /* "": all */
    char rights[MKV_CONFIG_WORDS_BYTES];   /* "": get, put, delete */
    char not_after[MKV_CONFIG_NAME_BYTES]; /* "": never */
};
struct mkv_config_auth_user {
    char name[MKV_CONFIG_USER_BYTES];
    char password_file[MKV_CONFIG_PATH_BYTES];
    char key_id[MKV_CONFIG_KEY_ID_BYTES]; /* whose tenants and rights it has */
};
struct mkv_config_rule {
    char key_prefix[MKV_CONFIG_PREFIX_BYTES];
    char tenant[MKV_CONFIG_TENANT_BYTES];
};

struct mkv_config {
    struct {
        struct mkv_config_address address;
        uint64_t connections_max;
        char tls_cert[MKV_CONFIG_PATH_BYTES]; /* "": plain, as is this: */
        char tls_key[MKV_CONFIG_PATH_BYTES];
        enum mkv_config_tls_version tls_min;
        struct mkv_config_address admin_address; /* set by mkv_config_validate unless configured */
        char shm_path[MKV_CONFIG_PATH_BYTES];    /* "": there is no listener for clients here */
        uint64_t shm_window_bytes;               /* of one client at most */
        char shm_users[MKV_CONFIG_SHM_USERS_BYTES];
        struct mkv_config_address resp_address; /* host "": there is no RESP listener */
        enum mkv_config_network_auth auth;
        char auth_key[MKV_CONFIG_PATH_BYTES]; /* "": none */
        /* Of one client address; 0: no limit. */
        uint64_t client_connections_max;
        uint64_t client_requests_max; /* in flight */
        uint64_t client_bytes_max;    /* in flight */
    } network;
    struct {
        enum mkv_config_rdma mode;
        char device[MKV_CONFIG_DEVICE_BYTES];       /* "": by the address */
        char gid_index[MKV_CONFIG_GID_INDEX_BYTES]; /* as written; config_rdma.h reads it, and */
        uint32_t mtu;                               /* this */
        uint64_t traffic_class;
        uint64_t service_level;
        uint64_t poll_us;
        uint64_t connections_max; /* of the node */
    } rdma;
    struct {
        uint64_t value_bytes_max;
        enum mkv_config_durability durability;
        uint64_t exists_lease_ms; /* 0: EXISTS takes no lease */
        uint64_t pipeline_max;    /* keys of one connection under way */
    } resp;
    struct {
        uint32_t key_count;
        uint32_t user_count;
        struct mkv_config_auth_key keys[MKV_CONFIG_KEYS_MAX];
        struct mkv_config_auth_user users[MKV_CONFIG_USERS_MAX];
    } auth;
    struct {
        uint64_t max_size_bytes;
        uint64_t block_size_bytes; /* the reporting unit */
        enum mkv_config_hugepages hugepages;
    } memory;
    struct {
        enum mkv_config_storage_mode mode;
        enum mkv_config_storage_trim trim;
        enum mkv_config_storage_eviction eviction;
        uint64_t scrub_rate;      /* bytes a second for each drive; 0: none */
        uint64_t lease_share_max; /* of MKV_CONFIG_RATIO_ONE */
        uint64_t session_idle_s;
        uint64_t slow_after_s; /* an outlier for so long is slow */
        uint64_t slow_fence_s; /* slow for so long is taken offline; 0: never */
        enum mkv_config_storage_admission admission;
        uint64_t write_limit;  /* bytes a second for each drive, of ADMISSION_LIMIT; 0: not set */
        uint64_t sessions_max; /* of each drive, as is this: */
        uint64_t session_blocks_max; /* 0: by its slots */
        uint32_t drive_count;
        uint64_t block_size_bytes; /* the reporting unit */
        uint64_t block_bytes_max;
        struct mkv_config_drive drives[MKV_CONFIG_DRIVES_MAX];
    } storage;
    struct {
        char quotas[MKV_CONFIG_QUOTAS_BYTES]; /* as written; config_quotas.h reads it */
        uint32_t rule_count;
        struct mkv_config_rule rules[MKV_CONFIG_RULES_MAX]; /* the first whose prefix a key has */
    } tenants;
    struct {
        char id[MKV_CONFIG_NODE_ID_BYTES];
        uint64_t shards;
        uint64_t watchdog_s; /* a shard without a finished step for so long is stuck */
    } node;
    struct {
        enum mkv_config_admin_auth auth;
        enum mkv_config_admin_profiles profiles;
        uint32_t tls;                              /* 1: with network.tls_cert and tls_key */
        char socket[MKV_CONFIG_PATH_BYTES];        /* "": none */
        char viewer_group[MKV_CONFIG_GROUP_BYTES]; /* a name or a number; "": none */
        uint32_t token_count;
        struct mkv_config_token tokens[MKV_CONFIG_TOKENS_MAX];
    } admin;
    struct {
        char level[MKV_CONFIG_LOG_LEVEL_BYTES]; /* as written; log_filter.h reads it */
        enum mkv_config_log_format format;
        char file[MKV_CONFIG_PATH_BYTES]; /* "": none, standard error alone */
    } log;
    struct {
        enum mkv_config_tracing tracing;
        char otlp_endpoint[MKV_OTLP_ENDPOINT_BYTES]; /* as written; otlp_endpoint.h reads it */
        char service_name[MKV_CONFIG_SERVICE_NAME_BYTES];
        uint64_t sampling_ratio; /* of MKV_CONFIG_RATIO_ONE */
        uint32_t enabled;        /* 1: events are told */
        uint64_t max_queue_size;
        char processors
            [MKV_CONFIG_PROCESSORS_BYTES]; /* as written; telemetry_processor.h reads it */
    } telemetry;
    struct {
        uint32_t enabled; /* 1: there are metrics */
        uint64_t port;    /* of a listener for metrics alone; 0: none */
    } prometheus;
    struct {
        uint64_t hotkeys_columns; /* rounded up to a power of two */
        uint64_t hotkeys_decay_s;
        uint64_t tenants_max; /* that have rows of their own */
    } metrics;
    struct {
        uint64_t threshold_ms;
    } slowlog;
    struct {
        char file[MKV_CONFIG_PATH_BYTES]; /* "": nothing is recorded */
        uint64_t max_size_bytes;          /* of one file */
        uint64_t files_max;
    } audit;
    struct {
        char discovery
            [MKV_CONFIG_PATH_BYTES]; /* as written; client/discovery.h reads it. "": none */
        char advertise[MKV_CONFIG_ADVERTISE_BYTES]; /* set by mkv_config_validate with discovery */
        uint64_t weight;
        uint64_t lease_ttl_s;
    } cluster;
    char file[MKV_CONFIG_PATH_BYTES]; /* as the user named it; "" when no file was loaded */
    struct mkv_config_origin origins[MKV_CONFIG_KEY_COUNT];
};

struct mkv_config_error {
    char message[512];              /* one line, no newline at its end */
    enum mkv_exit_daemon exit_code; /* what the process should exit with */
};

/* Sets every key to its default, or with `dev` to what it is under --dev; no drive in either. */
void mkv_config_defaults(struct mkv_config *config, bool dev);

/*
 * The configuration of `memkv start --dev [DIR]`: the defaults for it, one drive, DIR/store.memkv,
 * which is created sparse, and an audit in DIR. `directory` NULL is MKV_CONFIG_DEV_DIRECTORY.
 */
__attribute__((warn_unused_result)) bool mkv_config_dev(struct mkv_config *config,
                                                        const char *directory,
                                                        struct mkv_config_error *error);

/* Reads one YAML file of at most MKV_CONFIG_FILE_BYTES_MAX. A configuration takes one file. */
__attribute__((warn_unused_result)) bool mkv_config_load_file(struct mkv_config *config,
                                                              const char *path,
                                                              struct mkv_config_error *error);

/* The same for bytes in memory; messages and the paths of drives go by `path`. */
__attribute__((warn_unused_result)) bool mkv_config_load_text(struct mkv_config *config,
                                                              const char *path, const char *text,
                                                              size_t text_bytes,
                                                              struct mkv_config_error *error);

/*
 * Takes MEMKV_<SECTION>_<KEY> for each key with a single value. `environment` is an array like
 * environ, closed by NULL. An empty variable counts as unset. A variable within an edit or two of
 * a known one is refused as a slip; all others are someone else's and are left alone.
 */
__attribute__((warn_unused_result)) bool mkv_config_load_environment(
    struct mkv_config *config, char *const *environment, struct mkv_config_error *error);

/* Sets one key, "network.address", from the flag that the user wrote, "--listen". */
__attribute__((warn_unused_result)) bool mkv_config_set(struct mkv_config *config, const char *key,
                                                        const char *value, const char *flag,
                                                        struct mkv_config_error *error);

/* Derives what is derived (the admin address) and checks the keys against each other. */
__attribute__((warn_unused_result)) bool mkv_config_validate(struct mkv_config *config,
                                                             struct mkv_config_error *error);

/* Wipes secrets that stand in the configuration itself: from here on it only says that there are
 * some. */
void mkv_config_forget(struct mkv_config *config);

/* Room for the longest text of mkv_config_origin_format. */
#define MKV_CONFIG_ORIGIN_TEXT_BYTES 192u

/* Where a value came from: "default", "--dev", "memkv.yaml:3", "MEMKV_LOG_LEVEL", "--listen". */
void mkv_config_origin_format(const struct mkv_config *config, enum mkv_config_key_id key,
                              char out[MKV_CONFIG_ORIGIN_TEXT_BYTES]);

#endif
