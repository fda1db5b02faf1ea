/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the clients of the node are: its keys, their reload, and what is said about those that were
 * not let through.
 */
#include "server/node_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"

#define TARGET "server.auth"

static const char *const listeners[MKV_FABRIC_LISTENER_COUNT] = {"native", "resp"};

/* On the shard's thread. */
static void on_failed(void *context, enum mkv_fabric_listener listener, const char *address,
                      const char *name, enum mkv_auth_failure failure) {
    struct mkv_node *node = context;
    const struct mkv_log_field fields[] = {
        {.name = "listener", .text = listeners[listener]},
        {.name = "address", .text = address},
        {.name = "name", .text = name},
        {.name = "reason", .text = mkv_auth_failure_text(failure)},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_AUTH, MKV_CONFIG_LOG_WARN, TARGET, fields, 4,
                  "a client did not show who it is");
    struct mkv_audit_entry entry =
        mkv_audit_entry_make(MKV_AUDIT_AUTH_REFUSED, listeners[listener], "refused", "%s",
                             mkv_auth_failure_text(failure));
    snprintf(entry.client, sizeof entry.client, "%s", name);
    snprintf(entry.address, sizeof entry.address, "%s", address);
    mkv_audit_refuse(node->audit, &entry);
}

/* What a public address without keys means, for the log and the warnings. */
static void tell(struct mkv_node *node) {
    const struct mkv_config *config = &node->config;
    char address[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    const struct mkv_config_address *resp = &config->network.resp_address;
    const bool resp_is_public = resp->host[0] != '\0' && !mkv_config_address_is_loopback(resp);
    const bool is_public =
        resp_is_public || !mkv_config_address_is_loopback(&config->network.address);
    mkv_config_address_format(resp_is_public ? resp : &config->network.address, address);
    if (is_public && config->network.auth == MKV_CONFIG_NETWORK_AUTH_NONE) {
        mkv_node_warn(
            node, MKV_ADMIN_WARNING_AUTH_DISABLED, NULL,
            "set network.auth: required and network.auth_key (memkv auth keygen makes "
            "one), and restart",
            "network.auth is none and clients connect at %s: everybody who reaches it may "
            "read, write and delete all keys",
            address);
    } else if (is_public && mkv_auth_key_count(node->auth) == 0) {
        const struct mkv_log_field field = {.name = "clients", .text = address};
        mkv_log_write(node->log, MKV_LOG_SITE_AUTH, MKV_CONFIG_LOG_WARN, TARGET, &field, 1,
                      "protected mode: there is no key, so clients of this machine alone are "
                      "served. Set network.auth_key (memkv auth keygen makes one) and send SIGHUP");
    }
}

bool mkv_node_auth_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_auth_options options = {
        .connections_max = node->connections_max, .failed = on_failed, .context = node};
    struct mkv_auth *auth;
    if (!mkv_auth_create(&node->config, &options, &auth, error)) {
        return false;
    }
    mkv_config_forget(&node->config);
    pthread_mutex_lock(&node->mutex);
    node->auth = auth;
    pthread_mutex_unlock(&node->mutex);
    tell(node);
    return true;
}

void mkv_node_auth_end(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    struct mkv_auth *auth = node->auth;
    node->auth = NULL;
    pthread_mutex_unlock(&node->mutex);
    /* A fabric that could not be destroyed may still ask. */
    if (!node->shard_is_stuck) {
        mkv_auth_destroy(auth);
    }
}

/* The parts of the configuration that a reload applies. The mutex is held. */
static void take_over(struct mkv_node *node, const struct mkv_config *config) {
    node->config.network.auth = config->network.auth;
    memcpy(node->config.network.auth_key, config->network.auth_key,
           sizeof node->config.network.auth_key);
    node->config.auth = config->auth;
    node->config.tenants.rule_count = config->tenants.rule_count;
    memcpy(node->config.tenants.rules, config->tenants.rules, sizeof node->config.tenants.rules);
    static const enum mkv_config_key_id keys[] = {
        MKV_CONFIG_NETWORK_AUTH, MKV_CONFIG_NETWORK_AUTH_KEY, MKV_CONFIG_AUTH_KEYS,
        MKV_CONFIG_AUTH_USERS,   MKV_CONFIG_TENANTS_RULES,
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        node->config.origins[keys[i]] = config->origins[keys[i]];
    }
    mkv_config_forget(&node->config);
    node->config_read_ms = mkv_clock_wall_ms();
}

/* Reads the configuration again; false, and one line that says why. */
static bool read_again(struct mkv_node *node, struct mkv_config *config, char *problem,
                       size_t problem_bytes) {
    struct mkv_config_error wrong;
    struct mkv_backend_error error = {0};
    if (!node->options.configure(node->options.configure_context, config, &wrong)) {
        snprintf(problem, problem_bytes, "%s", wrong.message);
        return false;
    }
    if (!mkv_auth_reload(node->auth, config, &error)) {
        snprintf(problem, problem_bytes, "%s", error.text);
        return false;
    }
    return true;
}

bool mkv_node_auth_hash_rest(const struct mkv_config *config, char hash[MKV_CONFIG_HASH_BYTES]) {
    struct mkv_config *rest = malloc(sizeof *rest);
    if (rest == NULL) {
        return false;
    }
    *rest = *config;
    rest->network.auth = MKV_CONFIG_NETWORK_AUTH_REQUIRED;
    memset(rest->network.auth_key, 0, sizeof rest->network.auth_key);
    memset(&rest->auth, 0, sizeof rest->auth);
    rest->tenants.rule_count = 0;
    mkv_config_hash(rest, hash);
    free(rest);
    return true;
}

void mkv_node_auth_reload(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    const bool serves = node->auth != NULL && node->options.configure != NULL;
    pthread_mutex_unlock(&node->mutex);
    struct mkv_config *config = serves ? calloc(1, sizeof *config) : NULL;
    if (config == NULL) {
        mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, TARGET, NULL, 0,
                      "SIGHUP: keys are not read again: the node is starting or ending");
        return;
    }
    char problem[sizeof((struct mkv_backend_error *)0)->text] = "";
    const bool done = read_again(node, config, problem, sizeof problem);
    pthread_mutex_lock(&node->mutex);
    node->config_reload_failed = !done;
    mkv_config_forget(config);
    char rest[MKV_CONFIG_HASH_BYTES];
    const bool restart =
        !mkv_node_auth_hash_rest(config, rest) || strcmp(rest, node->config_rest_hash) != 0;
    if (done) {
        take_over(node, config);
    }
    if (done && !restart) {
        mkv_config_hash(config, node->config_hash);
    }
    pthread_mutex_unlock(&node->mutex);
    free(config);
    if (!done) {
        mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_ERROR, TARGET, NULL, 0,
                      "SIGHUP: the keys are those of before: %s", problem);
        return;
    }
    const struct mkv_log_field fields[] = {
        {.name = "keys", .number = mkv_auth_key_count(node->auth)},
        {.name = "users", .number = mkv_auth_user_count(node->auth)},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_AUTH, MKV_CONFIG_LOG_INFO, TARGET, fields, 2,
                  "SIGHUP: keys, users and tenants.rules are read again, connections stay%s",
                  restart ? "; other keys of the configuration take a restart" : "");
}

void mkv_node_auth_fill(struct mkv_node *node, struct mkv_admin_snapshot *out) {
    struct mkv_auth_figures figures;
    if (node->auth == NULL) {
        return;
    }
    mkv_auth_figures(node->auth, &figures);
    _Static_assert(MKV_ADMIN_AUTH_LISTENER_COUNT == MKV_FABRIC_LISTENER_COUNT, "the same");
    _Static_assert(MKV_ADMIN_AUTH_KEYS_MAX == MKV_AUTH_COUNTS_MAX, "all of them");
    memcpy(out->auth_failures_total, figures.failures_total, sizeof out->auth_failures_total);
    out->auth_key_count = figures.key_count;
    for (uint32_t i = 0; i < figures.key_count; i++) {
        snprintf(out->auth_keys[i].key_id, sizeof out->auth_keys[i].key_id, "%s",
                 figures.keys[i].key_id);
        out->auth_keys[i].sessions = figures.keys[i].sessions;
    }
}
