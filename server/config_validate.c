/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold between the keys of a configuration, whatever layer each value came from. */
#include "server/config_schema.h"
#include "server/config_text.h"
#include "server/size.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX 65535u
/* Memory comes in huge pages; a slab is a power of two of at least 64 KiB, and a header unit. */
#define HUGE_PAGE_BYTES (2ull * MKV_MIB)
#define SLAB_BYTES_MIN (64ull * MKV_KIB)

/* ---- listeners ------------------------------------------------------------------------------ */

/* The name localhost becomes its address, which needs no resolver; other names are refused. */
static bool check_host(const struct mkv_config *config, enum mkv_config_key_id key,
                       struct mkv_config_address *address, struct mkv_config_error *error) {
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    char text[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    struct in6_addr binary;
    if (strcmp(address->host, "localhost") == 0) {
        memset(address->host, 0, sizeof address->host);
        memcpy(address->host, "127.0.0.1", sizeof "127.0.0.1");
        return true;
    }
    if (inet_pton(AF_INET, address->host, &binary) == 1 ||
        inet_pton(AF_INET6, address->host, &binary) == 1) {
        return true;
    }
    mkv_config_address_format(address, text);
    mkv_config_origin_format(config, key, where);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                           "%s %s is a name; use an address, 0.0.0.0:%u for all of this machine",
                           mkv_config_keys[key].path, text, (unsigned)address->port);
}

/* The key whose value came from the higher layer is the one that the user changed last. */
static enum mkv_config_key_id culprit(const struct mkv_config *config, enum mkv_config_key_id a,
                                      enum mkv_config_key_id b) {
    return config->origins[a].layer >= config->origins[b].layer ? a : b;
}

/* Where nobody says who he is, nobody from elsewhere may ask. */
static bool check_admin(const struct mkv_config *config, struct mkv_config_address *admin,
                        struct mkv_config_error *error) {
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    char text[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    if (!check_host(config, MKV_CONFIG_NETWORK_ADMIN_ADDRESS, admin, error)) {
        return false;
    }
    mkv_config_address_format(admin, text);
    if (config->admin.auth == MKV_CONFIG_AUTH_NONE && !mkv_config_address_is_loopback(admin)) {
        mkv_config_origin_format(
            config, culprit(config, MKV_CONFIG_ADMIN_AUTH, MKV_CONFIG_NETWORK_ADMIN_ADDRESS),
            where);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "admin.auth none lets everybody do all, so network.admin_address "
                               "must be loopback, not %s; use 127.0.0.1:%u, or admin.auth required",
                               text, (unsigned)admin->port);
    }
    return true;
}

static bool check_listeners(struct mkv_config *config, struct mkv_config_error *error) {
    struct mkv_config_address *address = &config->network.address;
    struct mkv_config_address *admin = &config->network.admin_address;
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    char other[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    char text[MKV_CONFIG_ADDRESS_TEXT_BYTES];

    if (!check_host(config, MKV_CONFIG_NETWORK_ADDRESS, address, error)) {
        return false;
    }
    if (config->origins[MKV_CONFIG_NETWORK_ADMIN_ADDRESS].layer == MKV_CONFIG_LAYER_DEFAULT) {
        if (address->port == PORT_MAX) {
            mkv_config_origin_format(config, MKV_CONFIG_NETWORK_ADDRESS, where);
            mkv_config_address_format(address, text);
            return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                                   "network.address %s leaves no port + 1 for the admin listener; "
                                   "use a port up to 65534, or set network.admin_address",
                                   text);
        }
        *admin = *address;
        admin->port = (uint16_t)(address->port + 1);
        return check_admin(config, admin, error);
    }
    if (!check_admin(config, admin, error)) {
        return false;
    }
    if (mkv_config_address_collides(address, admin)) {
        enum mkv_config_key_id blamed =
            culprit(config, MKV_CONFIG_NETWORK_ADDRESS, MKV_CONFIG_NETWORK_ADMIN_ADDRESS);
        bool admin_blamed = blamed == MKV_CONFIG_NETWORK_ADMIN_ADDRESS;
        mkv_config_origin_format(config, blamed, where);
        mkv_config_origin_format(
            config, admin_blamed ? MKV_CONFIG_NETWORK_ADDRESS : MKV_CONFIG_NETWORK_ADMIN_ADDRESS,
            other);
        mkv_config_address_format(address, text);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "%s %s is also %s (%s); give each listener a port of its own",
                               admin_blamed ? "network.admin_address" : "network.address", text,
                               admin_blamed ? "network.address" : "network.admin_address", other);
    }
    return true;
}

static const struct {
    enum mkv_config_key_id key;
    const char *label;
    size_t offset;
} others[] = {
    {MKV_CONFIG_NETWORK_ADDRESS, "network.address", offsetof(struct mkv_config, network.address)},
    {MKV_CONFIG_NETWORK_ADMIN_ADDRESS, "network.admin_address",
     offsetof(struct mkv_config, network.admin_address)},
};

/* The listener for RESP, if there is one. That of --dev gives way to an address that somebody has
 * chosen for the native one: who runs several nodes chooses ports. */
static bool check_resp(struct mkv_config *config, struct mkv_config_error *error) {
    struct mkv_config_address *resp = &config->network.resp_address;
    const enum mkv_config_layer layer = config->origins[MKV_CONFIG_NETWORK_RESP_ADDRESS].layer;
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    char text[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    if (layer <= MKV_CONFIG_LAYER_DEV &&
        config->origins[MKV_CONFIG_NETWORK_ADDRESS].layer > MKV_CONFIG_LAYER_DEV) {
        memset(resp, 0, sizeof *resp);
    }
    if (resp->host[0] == '\0') {
        return true;
    }
    if (!check_host(config, MKV_CONFIG_NETWORK_RESP_ADDRESS, resp, error)) {
        return false;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct mkv_config_address *other =
            (const struct mkv_config_address *)(const void *)((const char *)config +
                                                              others[i].offset);
        if (mkv_config_address_collides(resp, other)) {
            mkv_config_origin_format(
                config, culprit(config, MKV_CONFIG_NETWORK_RESP_ADDRESS, others[i].key), where);
            mkv_config_address_format(resp, text);
            return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                                   "network.resp_address %s is also %s; give each listener a port "
                                   "of its own",
                                   text, others[i].label);
        }
    }
    return true;
}

/* ---- memory --------------------------------------------------------------------------------- */

static uint64_t slab_bytes(uint64_t block_bytes_max) {
    uint64_t bytes = SLAB_BYTES_MIN;
    while (bytes < block_bytes_max) {
        bytes *= 2;
    }
    return bytes + MKV_UNIT_BYTES;
}

static bool check_memory(const struct mkv_config *config, struct mkv_config_error *error) {
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    char memory[MKV_SIZE_TEXT_BYTES];
    char block[MKV_SIZE_TEXT_BYTES];
    char needed[MKV_SIZE_TEXT_BYTES];
    mkv_size_format(config->memory.max_size_bytes, memory);

    uint64_t required = mkv_round_up_u64(
        MKV_CONFIG_SLABS_MIN * slab_bytes(config->storage.block_bytes_max), HUGE_PAGE_BYTES);
    if (config->memory.max_size_bytes < required) {
        mkv_config_origin_format(
            config, culprit(config, MKV_CONFIG_MEMORY_MAX_SIZE, MKV_CONFIG_STORAGE_BLOCK_BYTES_MAX),
            where);
        mkv_size_format(config->storage.block_bytes_max, block);
        mkv_size_format(required, needed);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "memory.max_size %s holds fewer than %u blocks of "
                               "storage.block_bytes_max %s; use at least %s, or a smaller "
                               "storage.block_bytes_max",
                               memory, MKV_CONFIG_SLABS_MIN, block, needed);
    }
    if (config->memory.block_size_bytes > config->memory.max_size_bytes) {
        mkv_config_origin_format(
            config, culprit(config, MKV_CONFIG_MEMORY_BLOCK_SIZE, MKV_CONFIG_MEMORY_MAX_SIZE),
            where);
        mkv_size_format(config->memory.block_size_bytes, block);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "memory.block_size %s is larger than memory.max_size %s; use a "
                               "smaller memory.block_size",
                               block, memory);
    }
    return true;
}

/* ---- drives --------------------------------------------------------------------------------- */

static bool fail_no_drives(const struct mkv_config *config, struct mkv_config_error *error) {
    char where[MKV_CONFIG_WHERE_BYTES];
    if (config->file[0] == '\0') {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, "configuration",
                               "no drive is named; start with --config FILE that has "
                               "storage.drives, or with --dev");
    }
    mkv_config_where(config->file, config->origins[MKV_CONFIG_STORAGE_DRIVES].line, where);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                           "storage.drives names no drive; add one, like drives: [{media: "
                           "/dev/nvme0n1}]");
}

/* Where a drive was configured; the lines are those of the drive, not of its list. */
static void where_of_drive(const struct mkv_config *config, uint32_t index,
                           char out[MKV_CONFIG_ORIGIN_TEXT_BYTES]) {
    uint32_t line = config->storage.drives[index].line;
    if (line == 0) {
        mkv_config_origin_format(config, MKV_CONFIG_STORAGE_DRIVES, out);
    } else {
        mkv_config_where(config->file, line, out);
    }
}

static bool check_drives(const struct mkv_config *config, struct mkv_config_error *error) {
    const struct mkv_config_drive *drives = config->storage.drives;
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    MKV_ASSERT(config->storage.drive_count <= MKV_CONFIG_DRIVES_MAX);
    if (config->storage.drive_count == 0) {
        return fail_no_drives(config, error);
    }
    for (uint32_t i = 1; i < config->storage.drive_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            bool same_name = strcmp(drives[i].name, drives[j].name) == 0;
            if (!same_name && strcmp(drives[i].media, drives[j].media) != 0) {
                continue;
            }
            where_of_drive(config, i, where);
            mkv_config_quote(same_name ? drives[i].name : drives[i].media, quoted);
            return mkv_config_fail(
                error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                "storage.drives[%u]: %s '%s' is also that of storage.drives[%u] (line %u); %s",
                (unsigned)i, same_name ? "the name" : "the media", quoted, (unsigned)j,
                (unsigned)drives[j].line,
                same_name ? "give each drive a name of its own" : "list each drive once");
        }
    }
    return true;
}

/* A port for what there is not. */
static bool check_admission(const struct mkv_config *config, struct mkv_config_error *error) {
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    mkv_config_origin_format(config, MKV_CONFIG_STORAGE_ADMISSION, where);
    if (config->storage.admission == MKV_CONFIG_ADMISSION_LIMIT &&
        config->storage.write_limit == 0) {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "storage.admission limit needs storage.write_limit_per_drive; set "
                               "it to the bytes a second that a drive may take, or admission to "
                               "always");
    }
    if (config->storage.admission == MKV_CONFIG_ADMISSION_SECOND_TOUCH &&
        config->storage.eviction == MKV_CONFIG_EVICTION_OFF) {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "storage.admission second_touch needs storage.eviction on, which "
                               "remembers keys; set one or the other");
    }
    return true;
}

static bool check_prometheus(const struct mkv_config *config, struct mkv_config_error *error) {
    if (config->prometheus.enabled != 0 || config->prometheus.port == 0) {
        return true;
    }
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    mkv_config_origin_format(
        config, culprit(config, MKV_CONFIG_PROMETHEUS_PORT, MKV_CONFIG_PROMETHEUS_ENABLED), where);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                           "prometheus.port is %u and prometheus.enabled is false; leave one of "
                           "them out",
                           (unsigned)config->prometheus.port);
}

/* ---- keys ----------------------------------------------------------------------------------- */

static bool is_key(const struct mkv_config *config, const char *id) {
    bool found = config->network.auth_key[0] != '\0' && strcmp(id, "default") == 0;
    for (uint32_t i = 0; i < config->auth.key_count && !found; i++) {
        found = strcmp(config->auth.keys[i].id, id) == 0;
    }
    return found;
}

static bool fail_auth(const struct mkv_config *config, enum mkv_config_key_id key, uint32_t index,
                      const char *what, struct mkv_config_error *error) {
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    mkv_config_origin_format(config, key, where);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where, "%s[%u]: %s",
                           mkv_config_keys[key].path, (unsigned)index, what);
}

static bool check_auth(const struct mkv_config *config, struct mkv_config_error *error) {
    for (uint32_t i = 0; i < config->auth.key_count; i++) {
        const char *id = config->auth.keys[i].id;
        bool is_twice = config->network.auth_key[0] != '\0' && strcmp(id, "default") == 0;
        for (uint32_t j = 0; j < i && !is_twice; j++) {
            is_twice = strcmp(id, config->auth.keys[j].id) == 0;
        }
        if (is_twice) {
            return fail_auth(config, MKV_CONFIG_AUTH_KEYS, i,
                             "its id is that of another key, and network.auth_key has the id "
                             "default; give each key an id of its own",
                             error);
        }
    }
    for (uint32_t i = 0; i < config->auth.user_count; i++) {
        const struct mkv_config_auth_user *user = &config->auth.users[i];
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(user->name, config->auth.users[j].name) == 0) {
                return fail_auth(config, MKV_CONFIG_AUTH_USERS, i,
                                 "its name is that of another user; list each user once", error);
            }
        }
        if (!is_key(config, user->key_id)) {
            return fail_auth(config, MKV_CONFIG_AUTH_USERS, i,
                             "its key_id is no id of auth.keys, nor default with a "
                             "network.auth_key; name one of them",
                             error);
        }
    }
    for (uint32_t i = 0; i < config->tenants.rule_count; i++) {
        const char *tenant = config->tenants.rules[i].tenant;
        if (!mkv_tenant_name_is_valid(tenant, strlen(tenant))) {
            return fail_auth(config, MKV_CONFIG_TENANTS_RULES, i, "its tenant has no valid name",
                             error);
        }
    }
    return true;
}

/* Half of a pair says that TLS is wanted: a listener in plain would be a surprise. */
static bool check_tls(const struct mkv_config *config, struct mkv_config_error *error) {
    const bool has_cert = config->network.tls_cert[0] != '\0';
    const bool has_key = config->network.tls_key[0] != '\0';
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    if (has_cert == has_key) {
        if (config->admin.tls == 0 || has_cert) {
            return true;
        }
        mkv_config_origin_format(config, MKV_CONFIG_ADMIN_TLS, where);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "admin.tls is true and there is no certificate; set "
                               "network.tls_cert and network.tls_key");
    }
    mkv_config_origin_format(
        config, has_cert ? MKV_CONFIG_NETWORK_TLS_CERT : MKV_CONFIG_NETWORK_TLS_KEY, where);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                           "%s is set and %s is not; TLS takes both, or neither",
                           has_cert ? "network.tls_cert" : "network.tls_key",
                           has_cert ? "network.tls_key" : "network.tls_cert");
}

/* Whoever speaks TLS gets no RDMA, which is not encrypted. */
static bool check_rdma(const struct mkv_config *config, struct mkv_config_error *error) {
    if (config->rdma.mode != MKV_CONFIG_RDMA_REQUIRE || config->network.tls_cert[0] == '\0') {
        return true;
    }
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    mkv_config_origin_format(
        config, culprit(config, MKV_CONFIG_RDMA_MODE, MKV_CONFIG_NETWORK_TLS_CERT), where);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                           "rdma.mode is require, and with network.tls_cert all native clients "
                           "speak TLS, which goes over TCP alone; set rdma.mode: auto, or leave "
                           "TLS out on a network that can be trusted");
}

/* All of the machine's addresses, of which none is a place to connect to. */
static bool is_any_address(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    return (inet_pton(AF_INET, host, &v4) == 1 && v4.s_addr == 0) ||
           (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6));
}

/* Derives the address that clients are told. */
static bool check_cluster(struct mkv_config *config, struct mkv_config_error *error) {
    const struct mkv_config_address *address = &config->network.address;
    const bool has_discovery = config->cluster.discovery[0] != '\0';
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    if (config->origins[MKV_CONFIG_CLUSTER_ADVERTISE].layer != MKV_CONFIG_LAYER_DEFAULT) {
        if (has_discovery) {
            return true;
        }
        mkv_config_origin_format(config, MKV_CONFIG_CLUSTER_ADVERTISE, where);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "cluster.advertise is set and cluster.discovery is not: nobody is "
                               "told; set it, too, or leave both out");
    }
    if (!has_discovery) {
        return true;
    }
    if (is_any_address(address->host)) {
        mkv_config_origin_format(config, MKV_CONFIG_CLUSTER_DISCOVERY, where);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, where,
                               "cluster.discovery is set, and clients cannot connect to "
                               "network.address %s; set cluster.advertise to the HOST:PORT that "
                               "they can",
                               address->host);
    }
    char text[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    mkv_config_address_format(address, text);
    snprintf(config->cluster.advertise, sizeof config->cluster.advertise, "%s", text);
    return true;
}

bool mkv_config_validate(struct mkv_config *config, struct mkv_config_error *error) {
    struct mkv_config checked = *config;
    if (!check_listeners(&checked, error) || !check_resp(&checked, error) ||
        !check_memory(&checked, error) || !check_drives(&checked, error) ||
        !check_auth(&checked, error) || !check_prometheus(&checked, error) ||
        !check_tls(&checked, error) || !check_rdma(&checked, error) ||
        !check_cluster(&checked, error) || !check_admission(&checked, error)) {
        return false;
    }
    *config = checked;
    return true;
}
