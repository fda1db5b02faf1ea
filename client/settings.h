/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client is told: by the options of memkv_open, the environment, and a file.
 *
 *   options of memkv_open   win over
 *   the environment         MEMKV_SERVERS, MEMKV_DISCOVERY, MEMKV_TRANSPORT,
 *                           MEMKV_RDMA_DEVICES, MEMKV_RDMA_POLL_US, MEMKV_AUTH_KEY,
 *                           MEMKV_AUTH_KEY_ID, MEMKV_TLS, MEMKV_TLS_CA, MEMKV_TLS_NAME,
 *                           MEMKV_OTEL_ENDPOINT, MEMKV_OTEL_SAMPLING_RATIO, which win over
 *   the file                that MEMKV_CONFIG names, whose keys win over
 *   OTEL_EXPORTER_OTLP_ENDPOINT, for otel_endpoint, which wins over
 *   what is built in
 *
 *   file (YAML)
 *     servers              HOST:PORT[*WEIGHT] with commas between, or a list of them, or a list of
 *                          {address, weight}
 *     discovery            where the list of servers comes from (discovery.h)
 *     discovery_refresh_ms
 *     transport            auto, rdma, shm or tcp
 *     rdma_devices         names with commas between, or a list of them
 *     rdma_poll_us         0 to MKV_CLIENT_RDMA_POLL_US_MAX
 *     tls                  true or false
 *     tls_ca, tls_name     as in struct memkv_options; either means tls: true
 *     otel_endpoint, otel_sampling_ratio (0 to 1)
 *     auth_key, auth_key_id, timeout_ms, connect_timeout_ms, connections, client_name, tenant: as
 *                          in struct memkv_options
 *
 * Invariants
 *  I1  A key, variable or value that is not known is refused by its name, never passed over.
 *  I2  An empty variable counts as unset.
 *  I3  No message shows a key.
 *  I4  There are servers or a discovery, whichever the highest layer names; none names both.
 *
 * Not responsible for: what the settings mean.
 */
#ifndef MKV_CLIENT_SETTINGS_H
#define MKV_CLIENT_SETTINGS_H

#include "client/address.h"
#include "client/discovery.h"
#include "client/greeting.h"

#define MKV_SETTINGS_FILE_BYTES_MAX (64u * 1024u)
#define MKV_CLIENT_CONNECTIONS_MAX 64u
#define MKV_CLIENT_SHARED_MIB 64u
#define MKV_CLIENT_SHARED_MIB_MAX 65536u
#define MKV_CLIENT_TLS_CA_BYTES_MAX 1023u
#define MKV_CLIENT_TLS_NAME_BYTES_MAX 253u
#define MKV_CLIENT_OTEL_BYTES_MAX 255u
#define MKV_CLIENT_RDMA_DEVICES_BYTES_MAX 519u
#define MKV_CLIENT_RDMA_POLL_US 50u
#define MKV_CLIENT_RDMA_POLL_US_MAX 10000u
#define MKV_SETTINGS_RATIO_ONE 1000000u

/* How servers are to be reached. */
enum mkv_transport_wish {
    MKV_TRANSPORT_WISH_AUTO = 0, /* shm by unix:/PATH; by HOST:PORT rdma where both sides have it */
    MKV_TRANSPORT_WISH_RDMA,     /* by nothing else */
    MKV_TRANSPORT_WISH_SHM,
    MKV_TRANSPORT_WISH_TCP,
};

struct mkv_settings {
    struct mkv_client_address servers[MKV_CLIENT_SERVERS_MAX];
    uint32_t server_count;
    char discovery[MKV_DISCOVERY_TEXT_BYTES]; /* "": the servers are those of the list */
    uint32_t discovery_refresh_ms;            /* 0: as its kind has it */
    uint32_t timeout_ms;
    uint32_t connect_timeout_ms;
    uint32_t connections;
    uint32_t shared_mib; /* with servers of this machine */
    enum mkv_transport_wish transport;
    char rdma_devices[MKV_CLIENT_RDMA_DEVICES_BYTES_MAX + 1u]; /* "": any */
    uint32_t rdma_poll_us; /* a call polls for its answer so long before it sleeps (wire/spin.h) */
    char name[MKV_CLIENT_NAME_BYTES_MAX + 1u];
    char tenant[MKV_CLIENT_TENANT_BYTES_MAX + 1u];
    bool has_key; /* auth_key is proven to servers, and asked of them */
    uint8_t auth_key[MKV_NATIVE_KEY_BYTES];
    char auth_key_id[MKV_NATIVE_KEY_ID_BYTES + 1u];
    bool has_tls;
    char tls_ca[MKV_CLIENT_TLS_CA_BYTES_MAX + 1u];      /* "": the system's */
    char tls_name[MKV_CLIENT_TLS_NAME_BYTES_MAX + 1u];  /* "": the host of each address */
    char otel_endpoint[MKV_CLIENT_OTEL_BYTES_MAX + 1u]; /* "": spans go nowhere */
    const char *otel_origin;                            /* what named it, for messages */
    bool otel_is_of_all;                                /* a variable that is not ours alone did */
    uint32_t otel_sampling_ratio;                       /* of MKV_SETTINGS_RATIO_ONE */
};

/* Fills *settings, all of it, from options (not NULL), environment and file. MEMKV_INVALID,
 * MEMKV_NO_MEMORY: *error tells what is wrong, and where it stands. */
enum memkv_status mkv_settings_read(const struct memkv_options *options,
                                    struct mkv_settings *settings, struct memkv_error *error);

/* ---- between its files ---------------------------------------------------------------------- */

/* One setting by its name in the file; `origin` is for messages: "FILE:LINE: " or "". */
enum memkv_status mkv_settings_set(struct mkv_settings *settings, const char *origin,
                                   const char *key, const char *value, struct memkv_error *error);
/* settings_file.c: the file's keys, through mkv_settings_set. */
enum memkv_status mkv_settings_read_file(struct mkv_settings *settings, const char *path,
                                         struct memkv_error *error);

#endif
