/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/words.h"

const char *const mkv_admin_node_states[] = {
    [MKV_ADMIN_NODE_RECOVERING] = "recovering", [MKV_ADMIN_NODE_SERVING] = "serving",
    [MKV_ADMIN_NODE_DEGRADED] = "degraded",     [MKV_ADMIN_NODE_DRAINING] = "draining",
    [MKV_ADMIN_NODE_UNHEALTHY] = "unhealthy",   [MKV_ADMIN_NODE_WAITING] = "waiting",
    [MKV_ADMIN_NODE_STATE_COUNT] = NULL,
};

const char *const mkv_admin_warning_codes[] = {
    [MKV_ADMIN_WARNING_HUGEPAGES_FALLBACK] = "HUGEPAGES_FALLBACK",
    [MKV_ADMIN_WARNING_MEMLOCK_FALLBACK] = "MEMLOCK_FALLBACK",
    [MKV_ADMIN_WARNING_DIRECT_IO_FALLBACK] = "DIRECT_IO_FALLBACK",
    [MKV_ADMIN_WARNING_DRIVE_OFFLINE] = "DRIVE_OFFLINE",
    [MKV_ADMIN_WARNING_CAME_UP_EMPTY] = "CAME_UP_EMPTY",
    [MKV_ADMIN_WARNING_DRIVES_MISSING] = "DRIVES_MISSING",
    [MKV_ADMIN_WARNING_AUTH_DISABLED] = "AUTH_DISABLED",
    [MKV_ADMIN_WARNING_SHARD_STALLED] = "SHARD_STALLED",
    [MKV_ADMIN_WARNING_NO_SHARED_HITS] = "NO_SHARED_HITS",
    [MKV_ADMIN_WARNING_DRIVE_SLOW] = "DRIVE_SLOW",
    [MKV_ADMIN_WARNING_DRIVE_STALLED] = "DRIVE_STALLED",
    [MKV_ADMIN_WARNING_JOURNAL_NEARLY_FULL] = "JOURNAL_NEARLY_FULL",
    [MKV_ADMIN_WARNING_SLOT_TABLE_FULL] = "SLOT_TABLE_FULL",
    [MKV_ADMIN_WARNING_DIRECTORY_OFF] = "DIRECTORY_OFF",
    [MKV_ADMIN_WARNING_VALUE_TOO_LARGE] = "VALUE_TOO_LARGE",
    [MKV_ADMIN_WARNING_NOT_REGISTERED] = "NOT_REGISTERED",
    [MKV_ADMIN_WARNING_RING_MISMATCH] = "RING_MISMATCH",
    [MKV_ADMIN_WARNING_FILE_SYSTEM_SMALL] = "FILE_SYSTEM_SMALL",
    [MKV_ADMIN_WARNING_FILE_SYSTEM_FULL] = "FILE_SYSTEM_FULL",
    [MKV_ADMIN_WARNING_ENDURANCE] = "ENDURANCE",
    [MKV_ADMIN_WARNING_RDMA_DOWN] = "RDMA_DOWN",
    [MKV_ADMIN_WARNING_CODE_COUNT] = NULL,
};

const char *const mkv_admin_io_ops[] = {
    [MKV_ADMIN_IO_READ] = "read", [MKV_ADMIN_IO_WRITE] = "write", [MKV_ADMIN_IO_FLUSH] = "flush",
    [MKV_ADMIN_IO_TRIM] = "trim", [MKV_ADMIN_IO_OP_COUNT] = NULL,
};

const char *const mkv_admin_io_results[] = {
    [MKV_IO_OK] = "ok",
    [MKV_IO_MEDIUM] = "medium",
    [MKV_IO_DEVICE] = "device",
    [MKV_IO_GONE] = "gone",
    [MKV_IO_NO_ROOM] = "no_room",
    [MKV_IO_TIMEOUT] = "timeout",
    [MKV_IO_READ_ONLY] = "read_only",
    [MKV_IO_SHRUNK] = "shrunk",
    [MKV_IO_RESULT_COUNT] = NULL,
};

const char *const mkv_admin_log_levels[] = {"error", "warn", "info", "debug", "trace", NULL};

/* The words of operations, and of what is no operation. */
#define OPS                                                                                        \
    [0] = "other", [MKV_OP_PUT] = "put", [MKV_OP_GET] = "get", [MKV_OP_EXISTS] = "exists",         \
    [MKV_OP_LOOKUP] = "lookup", [MKV_OP_DELETE] = "delete", [MKV_OP_PIN] = "pin",                  \
    [MKV_OP_UNPIN] = "unpin", [MKV_OP_SESSION] = "session", [MKV_OP_ALLOCATE] = "allocate",        \
    [MKV_OP_COMMIT] = "commit", [MKV_OP_EXPIRE] = "expire"

const char *const mkv_admin_ops[] = {
    OPS,
    [MKV_OP_COUNT] = NULL,
};

const char *const mkv_admin_statuses[] = {
    [MKV_STATUS_OK] = "ok",
    [MKV_STATUS_NOT_FOUND] = "not_found",
    [MKV_STATUS_NO_SPACE] = "no_space",
    [MKV_STATUS_DEADLINE] = "deadline",
    [MKV_STATUS_IO_ERROR] = "io_error",
    [MKV_STATUS_INVALID] = "invalid",
    [MKV_STATUS_FORBIDDEN] = "forbidden",
    [MKV_STATUS_BUSY] = "busy",
    [MKV_STATUS_UNKNOWN] = "unknown",
    [MKV_STATUS_UNAVAILABLE] = "unavailable",
    [MKV_STATUS_CONFLICT] = "conflict",
    [MKV_STATUS_QUOTA] = "quota",
    [MKV_STATUS_COUNT] = NULL,
};

/* Shifted by one: a hit is no reason. */
const char *const mkv_admin_misses[] = {
    [MKV_MISS_UNKNOWN - 1] = "unknown",       [MKV_MISS_EVICTED - 1] = "evicted",
    [MKV_MISS_EXPIRED - 1] = "expired",       [MKV_MISS_DELETED - 1] = "deleted",
    [MKV_MISS_DEADLINE - 1] = "deadline",     [MKV_MISS_IO_ERROR - 1] = "io_error",
    [MKV_MISS_CHECKSUM - 1] = "checksum",     [MKV_MISS_DRIVE_OFFLINE - 1] = "drive_offline",
    [MKV_MISS_OVERLOADED - 1] = "overloaded", [MKV_MISS_COUNT - 1] = NULL,
};

const char *const mkv_admin_commands[] = {
    OPS,
    [MKV_ADMIN_COMMAND_PUT_SMALL] = "put_small",
    [MKV_ADMIN_COMMAND_GET_SMALL] = "get_small",
    [MKV_ADMIN_COMMAND_COUNT] = NULL,
};

const char *const mkv_admin_stages[] = {
    [MKV_STAGE_PARSE] = "parse", [MKV_STAGE_ROUTE] = "route", [MKV_STAGE_WAIT_SLAB] = "wait_slab",
    [MKV_STAGE_REPLY] = "reply", [MKV_STAGE_PULL] = "pull",   [MKV_STAGE_PUSH] = "push",
    [MKV_STAGE_FLUSH] = "flush", [MKV_STAGE_WRITE] = "write", [MKV_STAGE_READ] = "read",
    [MKV_STAGE_COUNT] = NULL,
};

const char *const mkv_admin_waits[] = {
    [MKV_FRONT_STAGE_START] = "start",   [MKV_FRONT_STAGE_CREDIT] = "credit",
    [MKV_FRONT_STAGE_SLAB] = "slab",     [MKV_FRONT_STAGE_SEGMENTED] = "segmented",
    [MKV_FRONT_STAGE_VOLUME] = "volume", [MKV_FRONT_STAGE_TRANSFER] = "transfer",
    [MKV_FRONT_STAGE_COUNT] = NULL,
};

const char *const mkv_admin_queues[] = {"read", "write", "background", NULL};
const char *const mkv_admin_memory_kinds[] = {"index",   "slot_table",  "leaf_cache", "slabs",
                                              "journal", "connections", NULL};
const char *const mkv_admin_transitions[] = {"rdma_up", "rdma_down", "drive_online",
                                             "drive_offline", NULL};

#define LANE_FAILURES                                                                              \
    "local_error", "remote_error", "retry_exceeded", "rnr_exceeded", "flushed", "other", "probe",  \
        "silent", "protocol", "port_down", "device"
const char *const mkv_admin_rdma_failures[] = {LANE_FAILURES, NULL};
const char *const mkv_admin_rdma_fallbacks[] = {
    "closed", "peer", LANE_FAILURES, "refused", "no_device", "full", "off", "parameters", NULL};
_Static_assert(sizeof mkv_admin_rdma_failures / sizeof mkv_admin_rdma_failures[0] ==
                   MKV_ADMIN_RDMA_FAILURE_COUNT + 1,
               "each has its word");
_Static_assert(sizeof mkv_admin_rdma_fallbacks / sizeof mkv_admin_rdma_fallbacks[0] ==
                   MKV_ADMIN_RDMA_FALLBACK_COUNT + 1,
               "each has its word");

const char *const mkv_admin_rdma_troubles[] = {
    "rnr_received",    "rnr_sent",         "rnr_exceeded", "retried", "retry_exceeded",
    "out_of_sequence", "sequence_refused", "duplicate",    NULL};

const char *const mkv_admin_lookup_ops[] = {"lookup", "exists", "get", NULL};
const char *const mkv_admin_lookup_results[] = {"memory", "drive", "miss", NULL};

const char *const mkv_admin_tiers[] = {"think_complete", "unhinted", "think_active",
                                       "output_critical", NULL};
