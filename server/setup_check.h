/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a drive may be formatted, and if not, why and what to do: first by who uses it, which is
 * known without opening it, then by what stands on it.
 *
 *     drive_facts --> check_use ------> opened --> probe, signature --> check_content --> format
 *                        |                                                  |
 *                        +--> refused, whatever was forced                  +--> keep, or refused
 *
 * Invariants
 *  I1  --force decides about stores of memkv alone: not about uses, nor about other content.
 *  I2  A refusal names the drive, what is wrong with it, and a command or a change that mends it.
 *
 * Not responsible for: whether drives belong together (drive_set.h).
 */
#ifndef MKV_SERVER_SETUP_CHECK_H
#define MKV_SERVER_SETUP_CHECK_H

#include "backends/drive_facts.h"
#include "backends/error.h"
#include "server/drive_probe.h"

/* A smaller drive holds hardly more than the room for one of the largest blocks. */
#define MKV_SETUP_DRIVE_BYTES_MIN (256ull * MKV_MIB)

/* Of a drive that is there. */
__attribute__((warn_unused_result)) bool mkv_setup_check_use(const char *name, const char *path,
                                                             const struct mkv_drive_facts *facts,
                                                             struct mkv_backend_error *error);
/* The same in a few words for a list, as "mounted at /data"; "" when it may be opened. */
#define MKV_SETUP_USE_BYTES (MKV_DRIVE_FACT_LIST_BYTES + 128u)
void mkv_setup_describe_use(const struct mkv_drive_facts *facts, char out[MKV_SETUP_USE_BYTES]);

enum mkv_setup_action {
    MKV_SETUP_FORMAT = 0, /* it is empty, or its store is given up */
    MKV_SETUP_KEEP,       /* it holds a store, which stays */
};

struct mkv_setup_content {
    const struct mkv_drive_facts *facts;
    const struct mkv_drive_probe *probe;
    bool force;
    bool idempotent;
};
__attribute__((warn_unused_result)) bool mkv_setup_check_content(
    const char *name, const char *path, const struct mkv_setup_content *content,
    enum mkv_setup_action *action, struct mkv_backend_error *error);

#endif
