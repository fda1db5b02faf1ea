/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv setup`: from a list of drives to a formatted store and the configuration of its node.
 *
 *     look:   each drive: facts -> uses -> open, lock -> probe, signature -> content
 *     decide: all together: a new store, the same store again, or refused
 *     size:   memory for their index and for blocks
 *     make:   files that are not there, then superblocks
 *     print:  the configuration, which has been read back as memkv start would
 *
 * Invariants
 *  I1  Nothing is written before every drive has been looked at and all is decided; when making
 *      fails, files that were made are removed, and drives that were formatted are empty.
 *  I2  From looking to the end every drive is locked by this process.
 *  I3  The same drives on the same machine give the same configuration, byte for byte.
 *
 * Not responsible for: the command line (setup_options.h), for what may be formatted
 * (setup_check.h), nor for how drives become one store (drive_set.h).
 */
#ifndef MKV_SERVER_SETUP_H
#define MKV_SERVER_SETUP_H

#include <stdio.h>

#include "admin/text.h"
#include "backends/error.h"
#include "backends/rdma_facts.h"
#include "server/setup_memory.h"
#include "server/setup_options.h"

struct mkv_setup_run_options {
    const struct mkv_setup_options *options;
    const struct mkv_drive_roots *roots;
    FILE *log; /* what is found and done, a line each */
};

/* Makes the store and writes the configuration into `yaml`. */
__attribute__((warn_unused_result)) bool mkv_setup_run(const struct mkv_setup_run_options *run,
                                                       struct mkv_text *yaml,
                                                       struct mkv_backend_error *error);

/* Says which drives and RDMA ports there are, and which drives are free. */
void mkv_setup_list(const struct mkv_drive_roots *roots, FILE *log);

/* The address that clients reach an RDMA device at; refuses when it has none. */
__attribute__((warn_unused_result)) bool mkv_setup_choose_rdma(const struct mkv_rdma_port *ports,
                                                               uint32_t count, const char *device,
                                                               const struct mkv_rdma_port **chosen,
                                                               struct mkv_backend_error *error);

/* ---- the configuration (setup_config.c) ----------------------------------------------------- */

struct mkv_setup_config {
    struct mkv_uuid store_uuid;
    const struct mkv_rdma_port *rdma; /* NULL: clients of this machine */
    uint64_t memory_bytes;
    bool has_hugepages;
    bool has_files; /* drives that are files: storage.mode file */
    uint32_t drive_count;
    const struct mkv_config_drive *drives;
};

/* Writes it, and reads it back as a start would; refuses when that would not take it. */
__attribute__((warn_unused_result)) bool mkv_setup_config_write(
    const struct mkv_setup_config *config, struct mkv_text *yaml, struct mkv_backend_error *error);

/* `memkv setup`; argv[0] is "setup". */
int mkv_command_setup(int argc, char **argv);

#endif
