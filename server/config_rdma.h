/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The section rdma of the configuration: its keys, which are rows of the table in config_keys.c,
 * and what their texts come to.
 *
 * Not responsible for: devices. Whether there is one is found out at the start.
 */
#ifndef MKV_SERVER_CONFIG_RDMA_H
#define MKV_SERVER_CONFIG_RDMA_H

#include "server/config_schema.h"

#define MKV_CONFIG_RDMA_GID_INDEX_LIMIT 255
#define MKV_CONFIG_RDMA_CONNECTIONS_LIMIT 4096u
#define MKV_CONFIG_RDMA_POLL_US_LIMIT 10000u

extern const char *const mkv_config_rdma_mode_words[];
extern const char *const mkv_config_rdma_mtu_words[];

/* "auto", or 0 to MKV_CONFIG_RDMA_GID_INDEX_LIMIT. */
bool mkv_config_check_gid_index(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]);

/* -1: by the address. */
int32_t mkv_config_rdma_gid_index(const struct mkv_config *config);
/* Bytes; 0: what the port has. */
uint32_t mkv_config_rdma_mtu(const struct mkv_config *config);

#define MKV_CONFIG_RDMA_FIELD(member)                                                              \
    .field_offset = offsetof(struct mkv_config, rdma.member),                                      \
    .field_bytes = sizeof(((struct mkv_config *)0)->rdma.member)

/* Rows of mkv_config_keys. */
#define MKV_CONFIG_RDMA_KEYS                                                                       \
    [MKV_CONFIG_RDMA_MODE] =                                                                       \
        {                                                                                          \
            .path = "rdma.mode",                                                                   \
            .type = MKV_CONFIG_TYPE_WORD,                                                          \
            MKV_CONFIG_RDMA_FIELD(mode),                                                           \
            .words = mkv_config_rdma_mode_words,                                                   \
            .default_text = "auto",                                                                \
            .meaning = "Whether native clients get RDMA (`docs/rocev2.md`): where a device can "   \
                       "be had, always (or the start is refused), never. TCP stays beside it.",    \
    },                                                                                             \
    [MKV_CONFIG_RDMA_DEVICE] =                                                                     \
        {                                                                                          \
            .path = "rdma.device",                                                                 \
            .type = MKV_CONFIG_TYPE_NAME,                                                          \
            MKV_CONFIG_RDMA_FIELD(device),                                                         \
            .characters = "A-Z a-z 0-9 . _ -",                                                     \
            .default_note = "those that have the addresses that clients come to",                  \
            .meaning = "The one RDMA device that is used, as `rdma link` calls it.",               \
    },                                                                                             \
    [MKV_CONFIG_RDMA_GID_INDEX] =                                                                  \
        {                                                                                          \
            .path = "rdma.gid_index",                                                              \
            .type = MKV_CONFIG_TYPE_TEXT,                                                          \
            MKV_CONFIG_RDMA_FIELD(gid_index),                                                      \
            .check = mkv_config_check_gid_index,                                                   \
            .allowed = "auto or 0 to 255",                                                         \
            .default_text = "auto",                                                                \
            .meaning = "The place in the port's table of GIDs. `auto`: of RoCE v2, by the "        \
                       "address.",                                                                 \
    },                                                                                             \
    [MKV_CONFIG_RDMA_TRAFFIC_CLASS] =                                                              \
        {                                                                                          \
            .path = "rdma.traffic_class",                                                          \
            .type = MKV_CONFIG_TYPE_COUNT,                                                         \
            MKV_CONFIG_RDMA_FIELD(traffic_class),                                                  \
            .size_max = 255,                                                                       \
            .default_text = "104",                                                                 \
            .meaning = "Of packets both ways: four times the DSCP by which "                       \
                       "switches tell them apart, and the two bits of ECN.",                       \
    },                                                                                             \
    [MKV_CONFIG_RDMA_SERVICE_LEVEL] =                                                              \
        {                                                                                          \
            .path = "rdma.service_level",                                                          \
            .type = MKV_CONFIG_TYPE_COUNT,                                                         \
            MKV_CONFIG_RDMA_FIELD(service_level),                                                  \
            .size_max = 15,                                                                        \
            .default_text = "0",                                                                   \
            .meaning = "Of the same packets: over RoCE their priority where there are VLANs, "     \
                       "over InfiniBand the virtual lane's.",                                      \
    },                                                                                             \
    [MKV_CONFIG_RDMA_MTU] =                                                                        \
        {                                                                                          \
            .path = "rdma.mtu",                                                                    \
            .type = MKV_CONFIG_TYPE_WORD,                                                          \
            MKV_CONFIG_RDMA_FIELD(mtu),                                                            \
            .words = mkv_config_rdma_mtu_words,                                                    \
            .default_text = "auto",                                                                \
            .meaning =                                                                             \
                "Payload bytes of a packet at most. `auto`: what the port's link has. Say less "   \
                "where a switch on the way takes smaller packets.",                                \
    },                                                                                             \
    [MKV_CONFIG_RDMA_POLL_US] =                                                                    \
        {                                                                                          \
            .path = "rdma.poll_us",                                                                \
            .type = MKV_CONFIG_TYPE_COUNT,                                                         \
            MKV_CONFIG_RDMA_FIELD(poll_us),                                                        \
            .size_max = MKV_CONFIG_RDMA_POLL_US_LIMIT,                                             \
            .default_text = "50",                                                                  \
            .meaning = "Microseconds for which a shard polls for the next completion at most, "    \
                       "where the last ones came as soon, before it sleeps until there is one. "   \
                       "0: it always sleeps.",                                                     \
    },                                                                                             \
    [MKV_CONFIG_RDMA_CONNECTIONS_MAX] = {                                                          \
        .path = "rdma.connections_max",                                                            \
        .type = MKV_CONFIG_TYPE_COUNT,                                                             \
        MKV_CONFIG_RDMA_FIELD(connections_max),                                                    \
        .size_min = 1,                                                                             \
        .size_max = MKV_CONFIG_RDMA_CONNECTIONS_LIMIT,                                             \
        .default_text = "256",                                                                     \
        .meaning = "Connections over RDMA of a port at a time. Each of several shards takes its "  \
                   "share and some more; further ones go on over TCP.",                            \
    }

#endif
