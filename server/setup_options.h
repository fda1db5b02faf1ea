/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of `memkv setup`, taken apart.
 *
 *     --drives PATH[=SIZE][,PATH[=SIZE]...]      a device, a file, or a file to be made
 *
 * Invariants
 *  I1  An option is given at most once; --force and --idempotent, which answer one question in two
 *      ways, are not given together.
 *
 * Not responsible for: what stands at the paths (setup.h).
 */
#ifndef MKV_SERVER_SETUP_OPTIONS_H
#define MKV_SERVER_SETUP_OPTIONS_H

#include "server/config.h"

struct mkv_setup_path {
    char path[MKV_CONFIG_PATH_BYTES];
    uint64_t size_bytes; /* of a file to be made; 0: none was given */
};

struct mkv_setup_options {
    bool help;
    bool force;
    bool idempotent;
    const char *rdma; /* NULL: not given */
    uint32_t path_count;
    struct mkv_setup_path paths[MKV_CONFIG_DRIVES_MAX];
};

/* All of `memkv setup --help`. */
extern const char mkv_setup_help[];

/* argv[0] is the command's name. */
__attribute__((warn_unused_result)) bool mkv_setup_options_parse(int argc, char *const *argv,
                                                                 struct mkv_setup_options *options,
                                                                 struct mkv_config_error *error);

#endif
