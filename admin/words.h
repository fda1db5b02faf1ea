/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words that stand for the values of closed lists in JSON, in labels and on the screen. Each
 * list is in the order of its enum and closed by NULL, so that the registry can publish it as the
 * bound of a label.
 *
 * Not responsible for: the words of the native protocol's own messages.
 */
#ifndef MKV_ADMIN_WORDS_H
#define MKV_ADMIN_WORDS_H

#include "admin/snapshot.h"

extern const char *const mkv_admin_node_states[MKV_ADMIN_NODE_STATE_COUNT + 1];
extern const char *const mkv_admin_warning_codes[MKV_ADMIN_WARNING_CODE_COUNT + 1];
extern const char *const mkv_admin_io_ops[MKV_ADMIN_IO_OP_COUNT + 1];
/* What an operation of a drive came to. */
extern const char *const mkv_admin_io_results[MKV_IO_RESULT_COUNT + 1];
extern const char *const mkv_admin_log_levels[MKV_ADMIN_LOG_LEVEL_COUNT + 1];

/* Of the core: enum mkv_op, whose place 0 stands for every op that there is not; enum mkv_status;
 * and the reasons of enum mkv_miss from MKV_MISS_UNKNOWN on, since a hit has none. */
extern const char *const mkv_admin_ops[MKV_OP_COUNT + 1];
extern const char *const mkv_admin_statuses[MKV_STATUS_COUNT + 1];
extern const char *const mkv_admin_misses[MKV_MISS_COUNT];

extern const char *const mkv_admin_commands[MKV_ADMIN_COMMAND_COUNT + 1];
extern const char *const mkv_admin_stages[MKV_STAGE_COUNT + 1];
/* What a deadline ended the wait for. */
extern const char *const mkv_admin_waits[MKV_FRONT_STAGE_COUNT + 1];
extern const char *const mkv_admin_queues[MKV_ADMIN_QUEUE_COUNT + 1];
extern const char *const mkv_admin_memory_kinds[MKV_ADMIN_MEMORY_KIND_COUNT + 1];
extern const char *const mkv_admin_transitions[MKV_ADMIN_TRANSITION_COUNT + 1];

/* Why a queue pair failed first, in the words of the native protocol for the end of a lane; and why
 * connections go on over TCP: those words, then those of a CONNECT that is refused. */
extern const char *const mkv_admin_rdma_failures[MKV_ADMIN_RDMA_FAILURE_COUNT + 1];
extern const char *const mkv_admin_rdma_fallbacks[MKV_ADMIN_RDMA_FALLBACK_COUNT + 1];
/* What the transport of a port counts of itself, in the order of enum mkv_rdma_trouble. */
extern const char *const mkv_admin_rdma_troubles[MKV_ADMIN_RDMA_TROUBLE_COUNT + 1];

/* The operations that ask for keys, and where keys were found. */
extern const char *const mkv_admin_lookup_ops[4];
extern const char *const mkv_admin_lookup_results[4];

/* Retention tiers in the order of eviction. */
#define MKV_ADMIN_TIER_COUNT 4u
extern const char *const mkv_admin_tiers[MKV_ADMIN_TIER_COUNT + 1];

#endif
