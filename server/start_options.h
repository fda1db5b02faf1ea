/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of `memkv start`, taken apart, and the configuration that it makes with the file
 * and the environment.
 *
 * Invariants
 *  I1  An option is given at most once, but for --telemetry-processor, and all that is not an
 *      option is refused.
 *
 * Not responsible for: what keys mean and allow (config.h).
 */
#ifndef MKV_SERVER_START_OPTIONS_H
#define MKV_SERVER_START_OPTIONS_H

#include "admin/telemetry_processor.h"
#include "server/config.h"

#define MKV_START_RECORD_BYTES_DEFAULT (1024ull * MKV_MIB)

struct mkv_start_options {
    bool help;
    bool dev;
    bool heap_profile;
    const char *dev_directory;   /* NULL: not given */
    const char *config_file;     /* NULL: not given */
    const char *listen;          /* NULL: not given */
    const char *resp;            /* NULL: not given */
    const char *rdma;            /* NULL: not given */
    const char *log_format;      /* NULL: not given */
    const char *shards;          /* NULL: not given */
    bool telemetry;              /* --enable-telemetry */
    bool no_prometheus;          /* --disable-prometheus */
    const char *prometheus_port; /* NULL: not given */
    const char *telemetry_queue; /* NULL: not given */
    const char *telemetry_processors[MKV_TELEMETRY_PROCESSORS_MAX];
    uint32_t telemetry_processor_count;
    const char *lost;          /* names and uuids with commas between them; NULL: not given */
    const char *record;        /* NULL: not given */
    const char *record_size;   /* as it was given; NULL: not given */
    uint64_t record_bytes_max; /* of --record-max-size, or the default */
};

/* All of `memkv start --help`. */
extern const char mkv_start_help[];

/* argv[0] is the command's name. The texts of the options are those of argv. */
__attribute__((warn_unused_result)) bool mkv_start_options_parse(int argc, char *const *argv,
                                                                 struct mkv_start_options *options,
                                                                 struct mkv_config_error *error);

/* Default, --dev, file, environment, flags, and validation. `environment` is like environ. */
__attribute__((warn_unused_result)) bool mkv_start_options_configure(
    const struct mkv_start_options *options, char *const *environment, struct mkv_config *config,
    struct mkv_config_error *error);

#endif
