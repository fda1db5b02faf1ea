/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which lines of the log are wanted: a level for each target, from a text like
 *
 *     info                                  all targets
 *     core.journal=debug,fabric=trace       these; the others at info
 *     warn,core=debug,core.volume=error     the longest name that fits a target decides
 *
 * A name fits the target it is and those that begin with it and a dot: `core` fits `core.journal`.
 * Targets are a closed list, told in docs/logs.md, so that a slip in a filter is an error and not a
 * filter that does nothing.
 *
 * Invariants
 *  I1  A filter is taken whole or refused whole, with a line that names what is wrong.
 *  I2  The order of a filter's entries is of no meaning: no name stands there twice.
 *  I3  What mkv_log_filter_format writes is a filter that gives the same levels.
 *
 * Not responsible for: writing lines (log.h).
 */
#ifndef MKV_SERVER_LOG_FILTER_H
#define MKV_SERVER_LOG_FILTER_H

#include "core/base.h"
#include "server/config.h"

enum mkv_log_target {
    MKV_LOG_ADMIN = 0,      /* what administrators ask for */
    MKV_LOG_ADMIN_OTLP,     /* the exporter of traces */
    MKV_LOG_CORE_DIRECTORY, /* the directory of keys */
    MKV_LOG_CORE_FRONT,     /* requests of clients */
    MKV_LOG_CORE_JOURNAL,   /* the journal, its checkpoints and superblocks */
    MKV_LOG_CORE_VOLUME,    /* what a drive holds: opened, closed, failed, damaged */
    MKV_LOG_DRIVE,          /* operations of drives */
    MKV_LOG_FABRIC,         /* connections of clients */
    MKV_LOG_FABRIC_RDMA,    /* ports of RDMA devices, and connections that lose them */
    MKV_LOG_SERVER_AUTH,    /* keys of clients */
    MKV_LOG_SERVER_CLUSTER, /* how the node announces itself */
    MKV_LOG_SERVER_LOG,     /* the log about itself */
    MKV_LOG_SERVER_NODE,    /* start, warnings, end */
    MKV_LOG_SERVER_RECORD,  /* the record of --record */
    MKV_LOG_TELEMETRY,      /* telemetry events, and who takes them */
};
#define MKV_LOG_TARGET_COUNT 15u
extern const char *const mkv_log_targets[MKV_LOG_TARGET_COUNT];

/* The target of this name, MKV_LOG_SERVER_NODE where there is none. */
enum mkv_log_target mkv_log_target_find(const char *name);

struct mkv_log_filter {
    enum mkv_config_log_level levels[MKV_LOG_TARGET_COUNT];
};

#define MKV_LOG_FILTER_PROBLEM_BYTES 192u
/* Reads a filter; what it does not name is at info. `problem` is the end of a sentence that begins
 * with where the filter stands. */
__attribute__((warn_unused_result)) bool mkv_log_filter_parse(
    const char *text, struct mkv_log_filter *filter, char problem[MKV_LOG_FILTER_PROBLEM_BYTES]);

#define MKV_LOG_FILTER_TEXT_BYTES 256u
/* The shortest filter that says these levels one by one: "info,core.journal=debug". */
void mkv_log_filter_format(const struct mkv_log_filter *filter,
                           char out[MKV_LOG_FILTER_TEXT_BYTES]);

#endif
