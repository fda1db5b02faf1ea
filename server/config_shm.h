/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of the configuration about clients of this machine, and the users that they name.
 *
 * Not responsible for: what the listener does (backends/fabric_shm.h).
 */
#ifndef MKV_SERVER_CONFIG_SHM_H
#define MKV_SERVER_CONFIG_SHM_H

#include <sys/types.h>

#include "server/config_schema.h"

#define MKV_CONFIG_SHM_USERS_MAX 16u

/* Reads users, names or numbers with commas or blanks between them. False: `problem` is the end of
 * a sentence. `users` has room for MKV_CONFIG_SHM_USERS_MAX. */
__attribute__((warn_unused_result)) bool mkv_config_shm_users(
    const char *text, uid_t *users, uint32_t *count, char problem[MKV_CONFIG_PROBLEM_BYTES]);
/* The same as a check of the schema. */
bool mkv_config_shm_users_check(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]);

/* The rows, for config_keys.c, which has FIELD. */
#define MKV_CONFIG_SHM_ROWS                                                                        \
    [MKV_CONFIG_NETWORK_SHM_PATH] =                                                                \
        {                                                                                          \
            .path = "network.shm_path",                                                            \
            .type = MKV_CONFIG_TYPE_PATH,                                                          \
            FIELD(network.shm_path),                                                               \
            .default_note = "none",                                                                \
            .meaning = "A Unix socket, of up to 107 bytes, where native clients of this machine "  \
                       "connect, who share memory with the server: [shm.md](shm.md). Unset, "      \
                       "there is no such listener.",                                               \
    },                                                                                             \
    [MKV_CONFIG_NETWORK_SHM_WINDOW_BYTES] =                                                        \
        {                                                                                          \
            .path = "network.shm_window_bytes",                                                    \
            .type = MKV_CONFIG_TYPE_SIZE,                                                          \
            FIELD(network.shm_window_bytes),                                                       \
            .size_min = MKV_MIB,                                                                   \
            .size_max = 64 * MKV_GIB,                                                              \
            .size_step = MKV_MIB,                                                                  \
            .default_text = "64MiB",                                                               \
            .meaning = "The most memory that one of these clients shares with the server. It is "  \
                       "beside `memory.max_size`, and there are 64 of them for each shard.",       \
    },                                                                                             \
    [MKV_CONFIG_NETWORK_SHM_USERS] = {                                                             \
        .path = "network.shm_users",                                                               \
        .type = MKV_CONFIG_TYPE_TEXT,                                                              \
        FIELD(network.shm_users),                                                                  \
        .check = mkv_config_shm_users_check,                                                       \
        .allowed = "USER, USER, ...",                                                              \
        .default_note = "none",                                                                    \
        .meaning = "Users of this machine, names or numbers, whom that listener serves without "   \
                   "a key, as it does root and the server's own. All others prove one, and are "   \
                   "refused where there is none.",                                                 \
    }

#endif
