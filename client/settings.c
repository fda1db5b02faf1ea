/* SPDX-License-Identifier: Apache-2.0 */
#include "client/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"

#define CONFIG_VARIABLE "MEMKV_CONFIG"
#define TRANSPORT_VARIABLE "MEMKV_TRANSPORT"
#define KEY_VARIABLE "MEMKV_AUTH_KEY"
#define KEY_ID_VARIABLE "MEMKV_AUTH_KEY_ID"
#define KEY_ID_DEFAULT "default"
#define OTEL_VARIABLE "MEMKV_OTEL_ENDPOINT"
#define OTEL_VARIABLE_OF_ALL "OTEL_EXPORTER_OTLP_ENDPOINT"
#define SERVERS_DEFAULT "127.0.0.1:9900"
#define SHOWN_BYTES_MAX 100
#define TIMEOUT_MS_MAX 86400000u

/* The value of a variable, or NULL. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum memkv_status set_number(uint32_t *target, const char *origin, const char *key,
                                    const char *value, uint32_t max, struct memkv_error *error) {
    *target = mkv_client_number(value, max);
    if (*target == 0) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s%s '%.*s': a number from 1 to %u", origin,
                               key, SHOWN_BYTES_MAX, value, max);
    }
    return MEMKV_OK;
}

static const char *const transport_names[] = {
    [MKV_TRANSPORT_WISH_AUTO] = "auto",
    [MKV_TRANSPORT_WISH_RDMA] = "rdma",
    [MKV_TRANSPORT_WISH_SHM] = "shm",
    [MKV_TRANSPORT_WISH_TCP] = "tcp",
};

static enum memkv_status set_transport(struct mkv_settings *settings, const char *origin,
                                       const char *key, const char *value,
                                       struct memkv_error *error) {
    for (uint32_t index = 0; index < sizeof transport_names / sizeof transport_names[0]; index++) {
        if (strcmp(value, transport_names[index]) == 0) {
            settings->transport = (enum mkv_transport_wish)index;
            return MEMKV_OK;
        }
    }
    return mkv_client_fail(error, MEMKV_INVALID, "%s%s '%.*s': one of auto, rdma, shm and tcp",
                           origin, key, SHOWN_BYTES_MAX, value);
}

static enum memkv_status set_rdma_devices(struct mkv_settings *settings, const char *origin,
                                          const char *key, const char *value,
                                          struct memkv_error *error) {
    const char *problem = mkv_rdma_devices_problem(value);
    if (problem == NULL && strlen(value) > MKV_CLIENT_RDMA_DEVICES_BYTES_MAX) {
        problem = "too long";
    }
    if (problem != NULL) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s%s '%.*s': %s", origin, key,
                               SHOWN_BYTES_MAX, value, problem);
    }
    snprintf(settings->rdma_devices, sizeof settings->rdma_devices, "%s", value);
    return MEMKV_OK;
}

static enum memkv_status set_rdma_poll(struct mkv_settings *settings, const char *origin,
                                       const char *key, const char *value,
                                       struct memkv_error *error) {
    const uint32_t poll_us = mkv_client_number(value, MKV_CLIENT_RDMA_POLL_US_MAX);
    const bool is_zero = value[0] != '\0' && value[strspn(value, "0")] == '\0';
    if (poll_us == 0 && !is_zero) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s%s '%.*s': a number from 0 to %u", origin,
                               key, SHOWN_BYTES_MAX, value, MKV_CLIENT_RDMA_POLL_US_MAX);
    }
    settings->rdma_poll_us = poll_us;
    return MEMKV_OK;
}

static enum memkv_status set_tenant(struct mkv_settings *settings, const char *origin,
                                    const char *value, struct memkv_error *error) {
    const size_t byte_count = strnlen(value, sizeof settings->tenant);
    if (!mkv_tenant_name_is_valid(value, byte_count)) {
        char text[sizeof settings->tenant];
        mkv_client_key_text(value, byte_count, text, sizeof text);
        return mkv_client_fail(error, MEMKV_INVALID,
                               "%stenant '%s': a name has 1 to 79 characters of A-Z a-z 0-9 . _ -",
                               origin, text);
    }
    memset(settings->tenant, 0, sizeof settings->tenant);
    memcpy(settings->tenant, value, byte_count);
    return MEMKV_OK;
}

static int digit_of(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* The message does not show the key. */
static enum memkv_status set_key(struct mkv_settings *settings, const char *origin,
                                 const char *what, const char *value, struct memkv_error *error) {
    bool is_key = strnlen(value, 2u * MKV_NATIVE_KEY_BYTES + 1u) == 2u * MKV_NATIVE_KEY_BYTES;
    for (size_t index = 0; index < MKV_NATIVE_KEY_BYTES && is_key; index++) {
        const int high = digit_of(value[2 * index]);
        const int low = digit_of(value[2 * index + 1]);
        is_key = high >= 0 && low >= 0;
        settings->auth_key[index] = (uint8_t)(is_key ? high << 4 | low : 0);
    }
    if (!is_key) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "%sthe key (%s) is not 64 hexadecimal digits; memkv auth keygen "
                               "makes one",
                               origin, what);
    }
    settings->has_key = true;
    return MEMKV_OK;
}

static enum memkv_status set_key_id(struct mkv_settings *settings, const char *origin,
                                    const char *what, const char *value,
                                    struct memkv_error *error) {
    const size_t byte_count = strnlen(value, MKV_NATIVE_KEY_ID_BYTES + 1u);
    if (!mkv_native_key_id_is_valid(value, byte_count)) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "%sthe key id (%s) has 1 to 32 characters of A-Z a-z 0-9 . _ -",
                               origin, what);
    }
    memset(settings->auth_key_id, 0, sizeof settings->auth_key_id);
    memcpy(settings->auth_key_id, value, byte_count);
    return MEMKV_OK;
}

static enum memkv_status set_tls(struct mkv_settings *settings, const char *origin, const char *key,
                                 const char *value, struct memkv_error *error) {
    settings->has_tls = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!settings->has_tls && strcmp(value, "false") != 0 && strcmp(value, "0") != 0) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s%s '%.*s': true or false", origin, key,
                               SHOWN_BYTES_MAX, value);
    }
    return MEMKV_OK;
}

/* The file or the name of TLS, which is then wanted. */
static enum memkv_status set_tls_text(struct mkv_settings *settings, char *target,
                                      size_t target_bytes, const char *origin, const char *key,
                                      const char *value, struct memkv_error *error) {
    const size_t byte_count = strlen(value);
    if (byte_count == 0 || byte_count >= target_bytes) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s%s: 1 to %zu characters", origin, key,
                               target_bytes - 1);
    }
    settings->has_tls = true;
    memset(target, 0, target_bytes);
    memcpy(target, value, byte_count);
    return MEMKV_OK;
}

static enum memkv_status set_tls_ca(struct mkv_settings *settings, const char *origin,
                                    const char *key, const char *value, struct memkv_error *error) {
    return set_tls_text(settings, settings->tls_ca, sizeof settings->tls_ca, origin, key, value,
                        error);
}

static enum memkv_status set_tls_name(struct mkv_settings *settings, const char *origin,
                                      const char *key, const char *value,
                                      struct memkv_error *error) {
    return set_tls_text(settings, settings->tls_name, sizeof settings->tls_name, origin, key, value,
                        error);
}

static enum memkv_status set_otel_endpoint(struct mkv_settings *settings, const char *origin,
                                           const char *key, const char *value,
                                           struct memkv_error *error) {
    if (strlen(value) > MKV_CLIENT_OTEL_BYTES_MAX) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s%s: at most %u characters", origin, key,
                               MKV_CLIENT_OTEL_BYTES_MAX);
    }
    snprintf(settings->otel_endpoint, sizeof settings->otel_endpoint, "%s", value);
    /* In the file it is the key, which is a constant here. */
    settings->otel_origin = strcmp(key, "otel_endpoint") == 0 ? "otel_endpoint" : OTEL_VARIABLE;
    settings->otel_is_of_all = false;
    return MEMKV_OK;
}

static enum memkv_status set_otel_ratio(struct mkv_settings *settings, const char *origin,
                                        const char *key, const char *value,
                                        struct memkv_error *error) {
    char *end = NULL;
    const double ratio = strtod(value, &end);
    if (end == value || *end != '\0' || !(ratio >= 0 && ratio <= 1)) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s%s '%.*s': a number from 0 to 1", origin,
                               key, SHOWN_BYTES_MAX, value);
    }
    settings->otel_sampling_ratio = (uint32_t)(ratio * MKV_SETTINGS_RATIO_ONE + 0.5);
    return MEMKV_OK;
}

static void set_name(struct mkv_settings *settings, const char *value) {
    memset(settings->name, 0, sizeof settings->name);
    memcpy(settings->name, value, strnlen(value, MKV_CLIENT_NAME_BYTES_MAX));
}

/* `what` is where the list stands: "servers", or the variable's name. */
static enum memkv_status set_servers(struct mkv_settings *settings, const char *origin,
                                     const char *what, const char *value,
                                     struct memkv_error *error) {
    char named[MEMKV_ERROR_TEXT_BYTES];
    snprintf(named, sizeof named, "%s%s", origin, what);
    memset(settings->discovery, 0, sizeof settings->discovery);
    return mkv_client_servers_parse(named, value, settings->servers, &settings->server_count,
                                    error);
}

static enum memkv_status set_discovery(struct mkv_settings *settings, const char *origin,
                                       const char *what, const char *value,
                                       struct memkv_error *error) {
    char named[MEMKV_ERROR_TEXT_BYTES];
    snprintf(named, sizeof named, "%s%s", origin, what);
    const enum memkv_status status = mkv_discovery_check(named, value, error);
    if (status == MEMKV_OK) {
        memset(settings->discovery, 0, sizeof settings->discovery);
        memcpy(settings->discovery, value, strlen(value));
    }
    return status;
}

/* Which of the two holds would depend on chance. */
static enum memkv_status refuse_both(const char *servers, const char *discovery,
                                     struct memkv_error *error) {
    return mkv_client_fail(error, MEMKV_INVALID,
                           "%s and %s are both given; give the one where the servers come from",
                           servers, discovery);
}

enum memkv_status mkv_settings_set(struct mkv_settings *settings, const char *origin,
                                   const char *key, const char *value, struct memkv_error *error) {
    if (strcmp(key, "servers") == 0) {
        return set_servers(settings, origin, key, value, error);
    }
    if (strcmp(key, "discovery") == 0) {
        return set_discovery(settings, origin, key, value, error);
    }
    if (strcmp(key, "discovery_refresh_ms") == 0) {
        return set_number(&settings->discovery_refresh_ms, origin, key, value,
                          MKV_DISCOVERY_REFRESH_MS_MAX, error);
    }
    if (strcmp(key, "transport") == 0) {
        return set_transport(settings, origin, key, value, error);
    }
    if (strcmp(key, "rdma_devices") == 0) {
        return set_rdma_devices(settings, origin, key, value, error);
    }
    if (strcmp(key, "rdma_poll_us") == 0) {
        return set_rdma_poll(settings, origin, key, value, error);
    }
    if (strcmp(key, "timeout_ms") == 0) {
        return set_number(&settings->timeout_ms, origin, key, value, TIMEOUT_MS_MAX, error);
    }
    if (strcmp(key, "connect_timeout_ms") == 0) {
        return set_number(&settings->connect_timeout_ms, origin, key, value, TIMEOUT_MS_MAX, error);
    }
    if (strcmp(key, "connections") == 0) {
        return set_number(&settings->connections, origin, key, value, MKV_CLIENT_CONNECTIONS_MAX,
                          error);
    }
    if (strcmp(key, "shared_mib") == 0) {
        return set_number(&settings->shared_mib, origin, key, value, MKV_CLIENT_SHARED_MIB_MAX,
                          error);
    }
    if (strcmp(key, "tenant") == 0) {
        return set_tenant(settings, origin, value, error);
    }
    if (strcmp(key, "auth_key") == 0) {
        return set_key(settings, origin, key, value, error);
    }
    if (strcmp(key, "auth_key_id") == 0) {
        return set_key_id(settings, origin, key, value, error);
    }
    if (strcmp(key, "tls") == 0) {
        return set_tls(settings, origin, key, value, error);
    }
    if (strcmp(key, "tls_ca") == 0) {
        return set_tls_ca(settings, origin, key, value, error);
    }
    if (strcmp(key, "tls_name") == 0) {
        return set_tls_name(settings, origin, key, value, error);
    }
    if (strcmp(key, "otel_endpoint") == 0) {
        return set_otel_endpoint(settings, origin, key, value, error);
    }
    if (strcmp(key, "otel_sampling_ratio") == 0) {
        return set_otel_ratio(settings, origin, key, value, error);
    }
    if (strcmp(key, "client_name") == 0) {
        set_name(settings, value);
        return MEMKV_OK;
    }
    return mkv_client_fail(
        error, MEMKV_INVALID,
        "%skey '%.*s' is unknown; there are servers, discovery, "
        "discovery_refresh_ms, transport, rdma_devices, rdma_poll_us, auth_key, auth_key_id, "
        "tls, tls_ca, tls_name, timeout_ms, connect_timeout_ms, connections, shared_mib, "
        "client_name, tenant, otel_endpoint, otel_sampling_ratio",
        origin, SHOWN_BYTES_MAX, key);
}

static bool is_given(const char *option) {
    return option != NULL && option[0] != '\0';
}

static enum memkv_status read_environment(struct mkv_settings *settings,
                                          const struct memkv_options *options,
                                          struct memkv_error *error) {
    const bool has_servers = is_given(options->servers) || is_given(options->discovery);
    const char *servers = has_servers ? NULL : variable(MKV_CLIENT_SERVERS_VARIABLE);
    const char *discovery = has_servers ? NULL : variable(MKV_DISCOVERY_VARIABLE);
    const char *transport = is_given(options->transport) ? NULL : variable(TRANSPORT_VARIABLE);
    enum memkv_status status = MEMKV_OK;
    if (servers != NULL && discovery != NULL) {
        return refuse_both(MKV_CLIENT_SERVERS_VARIABLE, MKV_DISCOVERY_VARIABLE, error);
    }
    if (discovery != NULL) {
        status = set_discovery(settings, "", MKV_DISCOVERY_VARIABLE, discovery, error);
    }
    if (servers != NULL) {
        status = set_servers(settings, "", MKV_CLIENT_SERVERS_VARIABLE, servers, error);
    }
    if (status == MEMKV_OK && transport != NULL) {
        status = set_transport(settings, "", TRANSPORT_VARIABLE, transport, error);
    }
    const char *key = options->auth_key != NULL ? NULL : variable(KEY_VARIABLE);
    if (status == MEMKV_OK && key != NULL) {
        status = set_key(settings, "", KEY_VARIABLE, key, error);
    }
    const char *key_id = options->auth_key_id != NULL ? NULL : variable(KEY_ID_VARIABLE);
    if (status == MEMKV_OK && key_id != NULL) {
        status = set_key_id(settings, "", KEY_ID_VARIABLE, key_id, error);
    }
    static const struct {
        const char *name;
        enum memkv_status (*set)(struct mkv_settings *settings, const char *origin, const char *key,
                                 const char *value, struct memkv_error *error);
    } others[] = {{"MEMKV_RDMA_DEVICES", set_rdma_devices},
                  {"MEMKV_RDMA_POLL_US", set_rdma_poll},
                  {"MEMKV_TLS_CA", set_tls_ca},
                  {"MEMKV_TLS_NAME", set_tls_name},
                  {"MEMKV_TLS", set_tls},
                  {OTEL_VARIABLE, set_otel_endpoint},
                  {"MEMKV_OTEL_SAMPLING_RATIO", set_otel_ratio}};
    for (size_t i = 0; i < sizeof others / sizeof others[0] && status == MEMKV_OK; i++) {
        const char *value = variable(others[i].name);
        if (value != NULL) {
            status = others[i].set(settings, "", others[i].name, value, error);
        }
    }
    return status;
}

static enum memkv_status read_options(struct mkv_settings *settings,
                                      const struct memkv_options *options,
                                      struct memkv_error *error) {
    enum memkv_status status = MEMKV_OK;
    if (options->connections > MKV_CLIENT_CONNECTIONS_MAX) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "%u connections to a server; 1 to %u are allowed",
                               options->connections, MKV_CLIENT_CONNECTIONS_MAX);
    }
    settings->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : settings->timeout_ms;
    settings->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms
                                                                   : settings->connect_timeout_ms;
    settings->connections = options->connections > 0 ? options->connections : settings->connections;
    if (options->shared_mib > MKV_CLIENT_SHARED_MIB_MAX) {
        return mkv_client_fail(error, MEMKV_INVALID, "shared_mib %u; 1 to %u are allowed",
                               options->shared_mib, MKV_CLIENT_SHARED_MIB_MAX);
    }
    settings->shared_mib = options->shared_mib > 0 ? options->shared_mib : settings->shared_mib;
    if (options->client_name != NULL) {
        set_name(settings, options->client_name);
    }
    if (options->discovery_refresh_ms > MKV_DISCOVERY_REFRESH_MS_MAX) {
        return mkv_client_fail(error, MEMKV_INVALID, "discovery_refresh_ms %u: at most %u",
                               options->discovery_refresh_ms, MKV_DISCOVERY_REFRESH_MS_MAX);
    }
    settings->discovery_refresh_ms = options->discovery_refresh_ms > 0
                                         ? options->discovery_refresh_ms
                                         : settings->discovery_refresh_ms;
    if (is_given(options->servers) && is_given(options->discovery)) {
        return refuse_both("servers", "discovery", error);
    }
    if (is_given(options->servers)) {
        status = set_servers(settings, "", "servers", options->servers, error);
    }
    if (is_given(options->discovery)) {
        status = set_discovery(settings, "", "discovery", options->discovery, error);
    }
    if (status == MEMKV_OK && options->tenant != NULL) {
        status = set_tenant(settings, "", options->tenant, error);
    }
    if (status == MEMKV_OK && options->auth_key != NULL) {
        status = set_key(settings, "", "auth_key", options->auth_key, error);
    }
    if (status == MEMKV_OK && options->auth_key_id != NULL) {
        status = set_key_id(settings, "", "auth_key_id", options->auth_key_id, error);
    }
    if (status == MEMKV_OK && is_given(options->transport)) {
        status = set_transport(settings, "", "transport", options->transport, error);
    }
    if (status == MEMKV_OK && is_given(options->rdma_devices)) {
        status = set_rdma_devices(settings, "", "rdma_devices", options->rdma_devices, error);
    }
    settings->has_tls = settings->has_tls || options->tls != 0;
    if (status == MEMKV_OK && options->tls_ca != NULL) {
        status = set_tls_ca(settings, "", "tls_ca", options->tls_ca, error);
    }
    if (status == MEMKV_OK && options->tls_name != NULL) {
        status = set_tls_name(settings, "", "tls_name", options->tls_name, error);
    }
    if (status == MEMKV_OK && options->otel_endpoint != NULL) {
        status = set_otel_endpoint(settings, "", "otel_endpoint", options->otel_endpoint, error);
    }
    /* What others in the process send their spans to comes last of all, also behind the file. */
    const char *of_all = variable(OTEL_VARIABLE_OF_ALL);
    if (status == MEMKV_OK && settings->otel_endpoint[0] == '\0' &&
        options->otel_endpoint == NULL && of_all != NULL &&
        strlen(of_all) <= MKV_CLIENT_OTEL_BYTES_MAX) {
        snprintf(settings->otel_endpoint, sizeof settings->otel_endpoint, "%s", of_all);
        settings->otel_origin = OTEL_VARIABLE_OF_ALL;
        settings->otel_is_of_all = true;
    }
    return status;
}

/* What the transport is to be, against what the servers are reached by. */
static enum memkv_status check_transport(const struct mkv_settings *settings,
                                         struct memkv_error *error) {
    if (settings->transport == MKV_TRANSPORT_WISH_AUTO) {
        return MEMKV_OK;
    }
    if (settings->transport == MKV_TRANSPORT_WISH_RDMA && settings->has_tls) {
        return mkv_client_fail(
            error, MEMKV_INVALID,
            "transport rdma, and TLS: what goes by RDMA is not enciphered; take "
            "auto or tcp for TLS, or leave TLS out on a network that is trusted");
    }
    if (settings->transport == MKV_TRANSPORT_WISH_RDMA && !mkv_verbs_is_built()) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "transport rdma: this build of memkv has no RDMA (verbs); take auto "
                               "or tcp, or one that was built with libibverbs");
    }
    const bool is_local = settings->transport == MKV_TRANSPORT_WISH_SHM;
    for (uint32_t index = 0; index < settings->server_count; index++) {
        const struct mkv_client_address *server = &settings->servers[index];
        if (server->is_local != is_local) {
            return mkv_client_fail(error, MEMKV_INVALID,
                                   "transport %s, and server '%.*s': unix:/PATH is reached by shm, "
                                   "HOST:PORT by tcp and rdma; auto takes all",
                                   transport_names[settings->transport], SHOWN_BYTES_MAX,
                                   server->text);
        }
    }
    return MEMKV_OK;
}

enum memkv_status mkv_settings_read(const struct memkv_options *options,
                                    struct mkv_settings *settings, struct memkv_error *error) {
    memset(settings, 0, sizeof *settings);
    settings->timeout_ms = MKV_CLIENT_TIMEOUT_MS;
    settings->connect_timeout_ms = MKV_CLIENT_CONNECT_TIMEOUT_MS;
    settings->connections = 1;
    settings->otel_sampling_ratio = MKV_SETTINGS_RATIO_ONE;
    settings->shared_mib = MKV_CLIENT_SHARED_MIB;
    settings->rdma_poll_us = MKV_CLIENT_RDMA_POLL_US;
    set_name(settings, "libmemkv");
    enum memkv_status status = set_servers(settings, "", "servers", SERVERS_DEFAULT, error);
    if (status == MEMKV_OK) {
        status = set_tenant(settings, "", MKV_TENANT_DEFAULT_NAME, error);
    }
    if (status == MEMKV_OK) {
        status = set_key_id(settings, "", "auth_key_id", KEY_ID_DEFAULT, error);
    }
    const char *path = variable(CONFIG_VARIABLE);
    if (status == MEMKV_OK && path != NULL) {
        status = mkv_settings_read_file(settings, path, error);
    }
    if (status == MEMKV_OK) {
        status = read_environment(settings, options, error);
    }
    if (status == MEMKV_OK) {
        status = read_options(settings, options, error);
    }
    return status == MEMKV_OK ? check_transport(settings, error) : status;
}
