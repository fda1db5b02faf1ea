/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys: config_schema.h says what its members mean. */
#include "server/config_schema.h"
#include "server/config_shm.h"

#include "admin/snapshot.h"
#include "backends/fabric_tcp.h"
#include "core/placement.h"
#include "server/config_checks.h"
#include "server/config_cluster.h"
#include "server/config_rdma.h"
#include "server/config_telemetry.h"

#define TIB (1024ull * MKV_GIB)

/* The unit that memory is reserved in: one huge page. */
#define HUGE_PAGE_BYTES (2ull * MKV_MIB)

static const char *const hugepages_words[] = {"auto", "require", "off", NULL};
static const char *const tls_words[] = {"1.2", "1.3", NULL};
static const char *const trim_words[] = {"auto", "on", "off", NULL};
static const char *const eviction_words[] = {"on", "off", NULL};
static const char *const admission_words[] = {"always", "second_touch", "limit", NULL};
static const char *const mode_words[] = {"direct", "file", NULL};
static const char *const format_words[] = {"json", "text", NULL};
static const char *const auth_words[] = {"required", "none", NULL};
static const char *const network_auth_words[] = {"required", "none", NULL};
static const char *const profiles_words[] = {"local", "anywhere", NULL};
static const char *const durability_words[] = {"relaxed", "durable", NULL};

_Static_assert(sizeof(enum mkv_config_hugepages) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_storage_mode) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_storage_trim) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_storage_eviction) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_log_format) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_admin_auth) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_admin_profiles) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_durability) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_tracing) == sizeof(uint32_t), "a word's index fits");

const char *const mkv_config_sections[MKV_CONFIG_SECTION_COUNT] = {
    "network", "memory",  "storage", "tenants", "node", "log",  "telemetry", "prometheus",
    "metrics", "slowlog", "audit",   "admin",   "auth", "resp", "cluster",   "rdma",
};

#define FIELD(member)                                                                              \
    .field_offset = offsetof(struct mkv_config, member),                                           \
    .field_bytes = sizeof(((struct mkv_config *)0)->member)

const struct mkv_config_key mkv_config_keys[MKV_CONFIG_KEY_COUNT] = {
    [MKV_CONFIG_NETWORK_ADDRESS] =
        {
            .path = "network.address",
            .type = MKV_CONFIG_TYPE_ADDRESS,
            FIELD(network.address),
            .default_text = "127.0.0.1:9900",
            .meaning = "Where clients connect. On a public address without a key only clients of "
                       "this machine are served.",
        },
    [MKV_CONFIG_NETWORK_AUTH] =
        {
            .path = "network.auth",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(network.auth),
            .words = network_auth_words,
            .default_text = "required",
            .meaning = "Whether clients say who they are: all of them where there is a key or a "
                       "user, else none, on this machine alone; `none` serves everybody from "
                       "everywhere, on a public address under warning AUTH_DISABLED.",
        },
    [MKV_CONFIG_NETWORK_AUTH_KEY] =
        {
            .path = "network.auth_key",
            .type = MKV_CONFIG_TYPE_SECRET,
            FIELD(network.auth_key),
            .takes_inline = true,
            .default_note = "none",
            .meaning = "The key `default`, which has all rights: a file with 64 hexadecimal digits "
                       "that its owner alone may read (`memkv auth keygen --output FILE`), a "
                       "systemd credential, or the digits. Over RESP the password of user "
                       "`default`. SIGHUP reads it again.",
        },
    [MKV_CONFIG_NETWORK_CLIENT_CONNECTIONS_MAX] =
        {
            .path = "network.client_connections_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(network.client_connections_max),
            .size_min = 0,
            .size_max = 65536,
            .default_text = "0",
            .meaning = "Connections that one client address may have; more are told so and closed. "
                       "`0`: no limit.",
        },
    [MKV_CONFIG_NETWORK_CLIENT_REQUESTS_MAX] =
        {
            .path = "network.client_requests_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(network.client_requests_max),
            .size_min = 0,
            .size_max = 65536,
            .default_text = "0",
            .meaning = "Requests that one client address may have in flight, on all of its "
                       "connections; more are answered BUSY. `0`: no limit.",
        },
    [MKV_CONFIG_NETWORK_CLIENT_BYTES_MAX] =
        {
            .path = "network.client_bytes_max",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(network.client_bytes_max),
            .size_min = 0,
            .size_max = 16 * TIB,
            .size_step = 1,
            .default_text = "0",
            .meaning = "Bytes of values that these requests may name together; a request beyond it "
                       "is answered BUSY, unless it is the only one. `0`: no limit.",
        },
    [MKV_CONFIG_AUTH_KEYS] =
        {
            .path = "auth.keys",
            .type = MKV_CONFIG_TYPE_LIST,
            .list = &mkv_config_auth_keys_list,
            .default_note = "none",
            .meaning = "Keys of clients, in the file only. As many as there are live at once, and "
                       "SIGHUP reads them again. Each has the keys of a table below.",
        },
    [MKV_CONFIG_AUTH_USERS] =
        {
            .path = "auth.users",
            .type = MKV_CONFIG_TYPE_LIST,
            .list = &mkv_config_auth_users_list,
            .default_note = "none",
            .meaning = "Users of RESP, who have the tenants and rights of a key, in the file only. "
                       "SIGHUP reads them again.",
        },
    [MKV_CONFIG_TENANTS_RULES] =
        {
            .path = "tenants.rules",
            .type = MKV_CONFIG_TYPE_LIST,
            .list = &mkv_config_rules_list,
            .default_note = "none",
            .meaning = "The tenants of keys that come over RESP from a client whose key has all "
                       "tenants, in the file only: the first rule whose prefix a key has.",
        },
    [MKV_CONFIG_NETWORK_CONNECTIONS_MAX] =
        {
            .path = "network.connections_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(network.connections_max),
            .size_min = 16,
            .size_max = MKV_FABRIC_TCP_CONNECTIONS_MAX,
            .default_text = "16384",
            .meaning = "Connections of clients at a time, native ones and those of RESP together, "
                       "as far as the limit of open files allows, which is raised. Further ones "
                       "are told so and closed. Those that have nothing to do take next to no "
                       "memory.",
        },
    [MKV_CONFIG_NETWORK_TLS_CERT] =
        {
            .path = "network.tls_cert",
            .type = MKV_CONFIG_TYPE_PATH,
            FIELD(network.tls_cert),
            .default_note = "none: no TLS",
            .meaning = "The certificate of the native and the RESP listener, a PEM file with its "
                       "chain behind it. SIGHUP reads it again.",
        },
    [MKV_CONFIG_NETWORK_TLS_KEY] =
        {
            .path = "network.tls_key",
            .type = MKV_CONFIG_TYPE_PATH,
            FIELD(network.tls_key),
            .default_note = "none: no TLS",
            .meaning = "The key of `network.tls_cert`, a PEM file without a password, which not "
                       "every user of the machine can read. One of the two alone is refused.",
        },
    [MKV_CONFIG_NETWORK_TLS_MIN] =
        {
            .path = "network.tls_min",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(network.tls_min),
            .words = tls_words,
            .default_text = "1.2",
            .meaning = "The oldest version of TLS that is spoken. The newest is 1.3.",
        },
    [MKV_CONFIG_NETWORK_ADMIN_ADDRESS] =
        {
            .path = "network.admin_address",
            .type = MKV_CONFIG_TYPE_ADDRESS,
            FIELD(network.admin_address),
            .default_note = "the host of `network.address`, its port + 1",
            .meaning = "Where health, status and metrics are served over HTTP. Live, ready, health "
                       "and metrics answer to everybody, all else to whoever has a token.",
        },
    [MKV_CONFIG_NETWORK_RESP_ADDRESS] =
        {
            .path = "network.resp_address",
            .type = MKV_CONFIG_TYPE_ADDRESS,
            FIELD(network.resp_address),
            .default_dev_text = "127.0.0.1:9902",
            .default_note = "none; with `--dev` and no `network.address` `127.0.0.1:9902`",
            .meaning = "Where clients connect that speak RESP, the protocol of Redis: "
                       "[resp.md](resp.md). Unset, there is no such listener.",
        },
    MKV_CONFIG_SHM_ROWS,
    [MKV_CONFIG_RESP_VALUE_BYTES_MAX] =
        {
            .path = "resp.value_bytes_max",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(resp.value_bytes_max),
            .size_min = MKV_UNIT_BYTES,
            .size_max = 4 * MKV_GIB,
            .size_step = 1,
            .default_text = "512MiB",
            .meaning = "A longer value is refused over RESP; its bytes are dropped, and the "
                       "connection goes on.",
        },
    [MKV_CONFIG_RESP_DURABILITY] =
        {
            .path = "resp.durability",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(resp.durability),
            .words = durability_words,
            .default_text = "relaxed",
            .meaning = "When a SET is answered: `relaxed` when its value is in memory and goes to "
                       "the drive, `durable` when it is durable. RESP cannot ask for either.",
        },
    [MKV_CONFIG_RESP_EXISTS_LEASE_MS] =
        {
            .path = "resp.exists_lease_ms",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(resp.exists_lease_ms),
            .size_min = 0,
            .size_max = 3600000,
            .default_text = "10000",
            .meaning = "So many milliseconds a block is not evicted that EXISTS over RESP has "
                       "found. `0`: it may be at once.",
        },
    [MKV_CONFIG_RESP_PIPELINE_MAX] =
        {
            .path = "resp.pipeline_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(resp.pipeline_max),
            .size_min = 1,
            .size_max = 1024,
            .default_text = "64",
            .meaning = "Keys of one RESP connection that are under way at a time; what a client "
                       "sends beyond waits.",
        },
    [MKV_CONFIG_MEMORY_MAX_SIZE] =
        {
            .path = "memory.max_size",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(memory.max_size_bytes),
            .size_min = 16 * MKV_MIB,
            .size_max = 16 * TIB,
            .size_step = HUGE_PAGE_BYTES,
            .default_text = "1GiB",
            .default_dev_text = "256MiB",
            .meaning = "Memory for blocks: the memory tier and all transfers in flight. Reserved "
                       "at start.",
        },
    [MKV_CONFIG_MEMORY_HUGEPAGES] =
        {
            .path = "memory.hugepages",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(memory.hugepages),
            .words = hugepages_words,
            .default_text = "auto",
            .meaning = "Whether that memory is in huge pages: where they can be had, always (or "
                       "the start is refused), never.",
        },
    [MKV_CONFIG_MEMORY_BLOCK_SIZE] =
        {
            .path = "memory.block_size",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(memory.block_size_bytes),
            .size_min = 64 * MKV_KIB,
            .size_max = MKV_GIB,
            .size_step = MKV_UNIT_BYTES,
            .default_text = "2MiB",
            .meaning = "The unit in which status counts memory. Not a limit.",
        },
    [MKV_CONFIG_STORAGE_MODE] =
        {
            .path = "storage.mode",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(storage.mode),
            .words = mode_words,
            .default_text = "direct",
            .default_dev_text = "file",
            .meaning = "`direct` opens drives with O_DIRECT or refuses to start; `file` falls back "
                       "to buffered I/O with a warning.",
        },
    [MKV_CONFIG_STORAGE_TRIM] =
        {
            .path = "storage.trim",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(storage.trim),
            .words = trim_words,
            .default_text = "auto",
            .meaning = "Whether drives are told of room that holds nothing any more: `auto` tells "
                       "block devices that support it; `on` files too, and refuses to start where "
                       "one does not support it; `off` none.",
        },
    [MKV_CONFIG_STORAGE_EVICTION] =
        {
            .path = "storage.eviction",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(storage.eviction),
            .words = eviction_words,
            .default_text = "on",
            .meaning = "Whether a full drive makes room for a put: `on` evicts the blocks that are "
                       "worth least; `off` answers it NO_SPACE.",
        },
    [MKV_CONFIG_STORAGE_SCRUB_RATE] =
        {
            .path = "storage.scrub_rate",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(storage.scrub_rate),
            .size_max = 64 * MKV_GIB,
            .size_step = 1,
            .default_text = "16MiB",
            .meaning = "Bytes a second at which each drive's blocks are read again and compared "
                       "with their checksums; what is damaged is dropped. `0` reads none.",
        },
    [MKV_CONFIG_STORAGE_LEASE_SHARE_MAX] =
        {
            .path = "storage.lease_share_max",
            .type = MKV_CONFIG_TYPE_RATIO,
            FIELD(storage.lease_share_max),
            .default_text = "0.1",
            .meaning =
                "EXISTS leases the blocks that it finds, so that they stay for a while, only "
                "as long as leases and pins are on less than this part of a drive's bytes; "
                "beyond it, it says what it found and leases nothing. More than 0.25 is "
                "0.25, what all of them may be on.",
        },
    [MKV_CONFIG_STORAGE_SESSION_IDLE] =
        {
            .path = "storage.session_idle",
            .type = MKV_CONFIG_TYPE_SECONDS,
            FIELD(storage.session_idle_s),
            .size_min = 1,
            .size_max = 86400,
            .default_text = "60s",
            .meaning = "A session that no put and no SESSION names for so long ends by itself.",
        },
    [MKV_CONFIG_STORAGE_SESSIONS_MAX] =
        {
            .path = "storage.sessions_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(storage.sessions_max),
            .size_min = 1,
            .size_max = 1u << 20,
            .default_text = "4096",
            .meaning = "Sessions that each drive keeps in mind, at 84 bytes of memory; more are "
                       "not tracked.",
        },
    [MKV_CONFIG_STORAGE_SESSION_BLOCKS_MAX] =
        {
            .path = "storage.session_blocks_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(storage.session_blocks_max),
            .size_min = 1,
            .size_max = 1u << 26,
            .default_note = "a quarter of the drive's slots, 1024 to 1048576",
            .meaning = "Blocks of all sessions together that each drive keeps in mind, at 12 bytes "
                       "of memory; more stay in their tier until they leave.",
        },
    [MKV_CONFIG_STORAGE_BLOCK_SIZE] =
        {
            .path = "storage.block_size",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(storage.block_size_bytes),
            .size_min = 64 * MKV_KIB,
            .size_max = MKV_GIB,
            .size_step = MKV_UNIT_BYTES,
            .default_text = "4MiB",
            .meaning = "The unit in which status counts storage. Not a limit.",
        },
    [MKV_CONFIG_STORAGE_BLOCK_BYTES_MAX] =
        {
            .path = "storage.block_bytes_max",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(storage.block_bytes_max),
            .size_min = 64 * MKV_KIB,
            .size_max = MKV_BLOCK_BYTES_MAX,
            .size_step = 64 * MKV_KIB, /* the front's: slabs have steps of it */
            .default_text = "32MiB",
            .meaning = "The largest block. A larger value is stored as segments.",
        },
    [MKV_CONFIG_STORAGE_DRIVES] =
        {
            .path = "storage.drives",
            .type = MKV_CONFIG_TYPE_DRIVES,
            .default_note = "none; `--dev` makes one",
            .meaning = "The drives that hold blocks, in the file only. Each has the keys of the "
                       "next table.",
        },
    [MKV_CONFIG_TENANTS_QUOTAS] =
        {
            .path = "tenants.quotas",
            .type = MKV_CONFIG_TYPE_QUOTAS,
            FIELD(tenants.quotas),
            .size_min = MKV_MIB,
            .size_max = 1024 * TIB,
            .size_step = MKV_UNIT_BYTES,
            .default_note = "none",
            .meaning = "What tenants may take of the drives, each: `batch=100GiB, team-7=1TiB`. A "
                       "put that would pass it takes the place of the tenant's own coldest "
                       "blocks; it is refused with status quota where none may leave.",
        },
    [MKV_CONFIG_NODE_ID] =
        {
            .path = "node.id",
            .type = MKV_CONFIG_TYPE_NAME,
            FIELD(node.id),
            .characters = "A-Z a-z 0-9 . _ -",
            .default_note = "the host's name",
            .meaning = "What status and logs call this node.",
        },
    [MKV_CONFIG_LOG_LEVEL] =
        {
            .path = "log.level",
            .type = MKV_CONFIG_TYPE_TEXT,
            FIELD(log.level),
            .check = mkv_config_check_log_level,
            .allowed = "LEVEL, TARGET=LEVEL, ...",
            .short_variable = "MEMKV_LOG",
            .default_text = "info",
            .meaning = "The least important messages that are still logged: error, warn, info, "
                       "debug or trace, for all or by target, as in `info,core.journal=debug` "
                       "(`docs/logs.md`). Also by the variable `MEMKV_LOG`.",
        },
    [MKV_CONFIG_LOG_FORMAT] =
        {
            .path = "log.format",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(log.format),
            .words = format_words,
            .default_text = "json",
            .default_dev_text = "text",
            .meaning = "One JSON object a line, or lines for people.",
        },
    [MKV_CONFIG_LOG_FILE] =
        {
            .path = "log.file",
            .type = MKV_CONFIG_TYPE_PATH,
            FIELD(log.file),
            .default_note = "none",
            .meaning = "A file that lines are appended to, besides standard error. SIGHUP opens it "
                       "again.",
        },
    [MKV_CONFIG_CLUSTER_DISCOVERY] =
        {
            .path = "cluster.discovery",
            .type = MKV_CONFIG_TYPE_TEXT,
            FIELD(cluster.discovery),
            .check = mkv_config_check_discovery,
            .allowed = "etcd:http://HOST:PORT/PREFIX",
            .default_note = "none",
            .meaning = "Where the node tells that it is there while it serves, with a lease that "
                       "it keeps alive; clients with the same `discovery` find it "
                       "(`docs/discovery.md`). Several `http://HOST:PORT` have commas between "
                       "them.",
        },
    [MKV_CONFIG_CLUSTER_ADVERTISE] =
        {
            .path = "cluster.advertise",
            .type = MKV_CONFIG_TYPE_TEXT,
            FIELD(cluster.advertise),
            .check = mkv_config_check_advertise,
            .allowed = "HOST:PORT",
            .default_note = "`network.address`",
            .meaning = "The address that the node tells: where clients connect, and its name among "
                       "the servers that keys are placed on.",
        },
    [MKV_CONFIG_CLUSTER_WEIGHT] =
        {
            .path = "cluster.weight",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(cluster.weight),
            .size_min = 1,
            .size_max = MKV_PLACEMENT_WEIGHT_MAX,
            .default_text = "1",
            .meaning = "How many times the keys of a server of weight 1 the node takes.",
        },
    [MKV_CONFIG_CLUSTER_LEASE_TTL] =
        {
            .path = "cluster.lease_ttl",
            .type = MKV_CONFIG_TYPE_SECONDS,
            FIELD(cluster.lease_ttl_s),
            .size_min = 2,
            .size_max = 3600,
            .default_text = "10s",
            .meaning = "After so long without a word of the node it is in the list no more.",
        },
    [MKV_CONFIG_METRICS_HOTKEYS_COLUMNS] =
        {
            .path = "metrics.hotkeys_columns",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(metrics.hotkeys_columns),
            .size_min = 64,
            .size_max = 1u << 20,
            .default_text = "4096",
            .meaning = "Columns of the sketch that finds hot keys, rounded up to a power of two, "
                       "at 32 bytes of memory; with more its counts are closer to the truth.",
        },
    [MKV_CONFIG_METRICS_HOTKEYS_DECAY] =
        {
            .path = "metrics.hotkeys_decay",
            .type = MKV_CONFIG_TYPE_SECONDS,
            FIELD(metrics.hotkeys_decay_s),
            .size_min = 1,
            .size_max = 86400,
            .default_text = "60s",
            .meaning = "How often the counts of hot keys are halved, so that what is hot is what "
                       "was asked for lately.",
        },
    [MKV_CONFIG_METRICS_TENANTS_MAX] =
        {
            .path = "metrics.tenants_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(metrics.tenants_max),
            .size_min = 1,
            .size_max = MKV_ADMIN_TENANT_ROWS_MAX,
            .size_step = 1,
            .default_text = "100",
            .meaning = "How many tenants, the oldest, have rows of their own in `/v1/metrics`; the "
                       "others count together as `tenant=\"other\"`.",
        },
    [MKV_CONFIG_SLOWLOG_THRESHOLD_MS] =
        {
            .path = "slowlog.threshold_ms",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(slowlog.threshold_ms),
            .size_min = 0,
            .size_max = 3600000,
            .default_text = "100",
            .meaning = "A request that took more milliseconds is slow: the last 128 of them are "
                       "kept for `/v1/slow`. `0` keeps all.",
        },
    [MKV_CONFIG_AUDIT_FILE] =
        {
            .path = "audit.file",
            .type = MKV_CONFIG_TYPE_PATH,
            FIELD(audit.file),
            .default_note = "none; with `--dev` `DIR/audit.log`",
            .meaning = "Where what administrators do, what destroys data and who was refused is "
                       "recorded, in a chain of hashes. Without it, nowhere.",
        },
    [MKV_CONFIG_AUDIT_MAX_SIZE] =
        {
            .path = "audit.max_size",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(audit.max_size_bytes),
            .size_min = 64 * MKV_KIB,
            .size_max = MKV_GIB,
            .size_step = 1,
            .default_text = "16MiB",
            .meaning = "A file of the audit that has this size is rotated away; the chain goes on "
                       "in the next.",
        },
    [MKV_CONFIG_AUDIT_FILES_MAX] =
        {
            .path = "audit.files_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(audit.files_max),
            .size_min = 2,
            .size_max = 1000,
            .default_text = "8",
            .meaning = "Files of the audit that stay; when one more is begun the oldest is "
                       "removed, and a record says so.",
        },
    [MKV_CONFIG_ADMIN_AUTH] =
        {
            .path = "admin.auth",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(admin.auth),
            .words = auth_words,
            .default_text = "required",
            .meaning = "Whether the admin listener asks who somebody is: `none` lets everybody on "
                       "this machine do all, under warning AUTH_DISABLED, on loopback only.",
        },
    [MKV_CONFIG_ADMIN_SOCKET] =
        {
            .path = "admin.socket",
            .type = MKV_CONFIG_TYPE_PATH,
            FIELD(admin.socket),
            .default_note = "none; with `--dev` `admin.sock` in its directory",
            .meaning = "A Unix socket, made at the start, where the admin listener knows people by "
                       "their uid: root and the daemon's own user are operators.",
        },
    [MKV_CONFIG_ADMIN_VIEWER_GROUP] =
        {
            .path = "admin.viewer_group",
            .type = MKV_CONFIG_TYPE_NAME,
            FIELD(admin.viewer_group),
            .characters = "A-Z a-z 0-9 . _ -",
            .default_note = "none",
            .meaning = "The group of that socket, a name or a number; its members are viewers.",
        },
    [MKV_CONFIG_ADMIN_TOKENS] =
        {
            .path = "admin.tokens",
            .type = MKV_CONFIG_TYPE_TOKENS,
            .default_note = "none",
            .meaning = "Tokens that the admin listener takes as `Authorization: Bearer TOKEN`, in "
                       "the file only. Each has the keys of the last table.",
        },
    [MKV_CONFIG_ADMIN_PROFILES] =
        {
            .path = "admin.profiles",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(admin.profiles),
            .words = profiles_words,
            .default_text = "local",
            .meaning = "Which operators get profiles (`/debug/pprof/`): those on this machine, or "
                       "`anywhere`.",
        },
    [MKV_CONFIG_ADMIN_TLS] =
        {
            .path = "admin.tls",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(admin.tls),
            .words = mkv_config_truth_words,
            .default_text = "false",
            .meaning = "Whether the TCP listeners of `network.admin_address` and "
                       "`prometheus.port` speak TLS, and nothing else, with `network.tls_cert`, "
                       "`tls_key` and `tls_min`. The Unix socket stays plain.",
        },
    [MKV_CONFIG_NODE_WATCHDOG] =
        {
            .path = "node.watchdog",
            .type = MKV_CONFIG_TYPE_SECONDS,
            FIELD(node.watchdog_s),
            .size_min = 2,
            .size_max = 3600,
            .default_text = "30s",
            .meaning = "A shard that has not finished a step for so long is stuck: `/v1/live` "
                       "answers 503.",
        },
    [MKV_CONFIG_NODE_SHARDS] =
        {
            .path = "node.shards",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(node.shards),
            .size_min = 1,
            .size_max = MKV_CONFIG_SHARDS_MAX,
            .default_text = "1",
            .meaning = "Threads that serve: each has its share of the drives and of the memory, "
                       "and its own connections. See [shards](shards.md).",
        },
    [MKV_CONFIG_STORAGE_ADMISSION] =
        {
            .path = "storage.admission",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(storage.admission),
            .words = admission_words,
            .default_text = "always",
            .meaning =
                "Relaxed puts that are written and not kept in memory alone. `second_touch`: "
                "keys put before or evicted lately; `limit`: as `write_limit_per_drive`.",
        },
    [MKV_CONFIG_STORAGE_WRITE_LIMIT_PER_DRIVE] =
        {
            .path = "storage.write_limit_per_drive",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(storage.write_limit),
            .size_max = 64 * MKV_GIB,
            .size_step = 1,
            .default_text = "0B",
            .meaning = "Of `storage.admission: limit`: bytes a second, in a minute's mean.",
        },
    [MKV_CONFIG_STORAGE_SLOW_AFTER] =
        {
            .path = "storage.slow_after",
            .type = MKV_CONFIG_TYPE_SECONDS,
            FIELD(storage.slow_after_s),
            .size_min = 6,
            .size_max = 86400,
            .default_text = "60s",
            .meaning = "How long a drive's p99 must be more than 4 times the median of its "
                       "siblings' for warning DRIVE_SLOW, and well again for its end.",
        },
    [MKV_CONFIG_STORAGE_SLOW_FENCE] =
        {
            .path = "storage.slow_fence",
            .type = MKV_CONFIG_TYPE_SECONDS,
            FIELD(storage.slow_fence_s),
            .size_min = 1,
            .size_max = 604800,
            .zero_word = "off",
            .default_text = "off",
            .meaning = "How long a drive must be slow to be taken offline, as `memkv admin drive "
                       "offline` does: one at a time, and only while all others are online.",
        },
    MKV_CONFIG_TELEMETRY_KEYS,
    MKV_CONFIG_RDMA_KEYS,
};
