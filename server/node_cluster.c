/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How clients find the node: its key in etcd while it serves, and what is said of that.
 */
#include "server/node_internal.h"

#include <stdio.h>
#include <string.h>

#include "backends/clock.h"

#define TARGET "server.cluster"

static void note(struct mkv_node *node, bool is_registered, const char *problem) {
    pthread_mutex_lock(&node->mutex);
    node->cluster.is_registered = is_registered;
    node->cluster.since_ms = mkv_clock_wall_ms();
    snprintf(node->cluster.problem, sizeof node->cluster.problem, "%s", problem);
    pthread_mutex_unlock(&node->mutex);
}

/* On the thread of the registration. */
static void tell(void *context, enum mkv_registration_event event, const char *text) {
    struct mkv_node *node = context;
    const struct mkv_log_field address = {.name = "address",
                                          .text = node->config.cluster.advertise};
    switch (event) {
    case MKV_REGISTRATION_DONE:
        note(node, true, "");
        mkv_node_warn_over(node, MKV_ADMIN_WARNING_NOT_REGISTERED, NULL);
        mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, TARGET, &address, 1,
                      "registered as %s, weight %u, at %.150s", node->config.cluster.advertise,
                      (unsigned)node->config.cluster.weight, node->config.cluster.discovery);
        break;
    case MKV_REGISTRATION_AWAY:
        note(node, false, text);
        mkv_node_warn(node, MKV_ADMIN_WARNING_NOT_REGISTERED, NULL,
                      "see whether etcd runs and can be reached from here; the node registers by "
                      "itself when it answers",
                      "clients may not find this node: %s", text);
        break;
    case MKV_REGISTRATION_PUT_AGAIN:
        mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_WARN, TARGET, &address, 1,
                      "somebody has changed or deleted the key of %s in etcd, and it is put again; "
                      "does another node advertise this address?",
                      node->config.cluster.advertise);
        break;
    case MKV_REGISTRATION_LEFT:
        note(node, false, "");
        mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, TARGET, &address, 1,
                      "%s is in the list of servers no more", node->config.cluster.advertise);
        break;
    }
}

bool mkv_node_cluster_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_config *config = &node->config;
    if (config->cluster.discovery[0] == '\0') {
        return true;
    }
    struct mkv_registration_options options = {
        .discovery = config->cluster.discovery,
        .server = {.weight = (uint32_t)config->cluster.weight},
        .lease_ttl_s = (uint32_t)config->cluster.lease_ttl_s,
        .tell = tell,
        .context = node,
    };
    _Static_assert(sizeof options.server.address == sizeof config->cluster.advertise, "it fits");
    _Static_assert(sizeof options.server.node == sizeof config->node.id, "it fits");
    memcpy(options.server.address, config->cluster.advertise, sizeof options.server.address);
    memcpy(options.server.node, config->node.id, sizeof options.server.node);
    note(node, false, "etcd has not answered yet");
    struct memkv_error problem;
    struct mkv_registration *registration = mkv_registration_begin(&options, &problem);
    if (registration == NULL) {
        note(node, false, problem.text);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "the node cannot register itself: %s. Raise the limits of "
                                  "threads and open files, and restart",
                                  problem.text);
    }
    pthread_mutex_lock(&node->mutex);
    node->registration = registration;
    pthread_mutex_unlock(&node->mutex);
    if (atomic_load(&node->stop_count) > 0) {
        mkv_node_cluster_leave(node); /* the signal came before there was anything to take back */
    }
    return true;
}

void mkv_node_cluster_leave(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    if (node->registration != NULL) {
        mkv_registration_leave(node->registration);
    }
    pthread_mutex_unlock(&node->mutex);
}

void mkv_node_cluster_end(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    struct mkv_registration *registration = node->registration;
    node->registration = NULL;
    pthread_mutex_unlock(&node->mutex);
    mkv_registration_end(registration);
}

void mkv_node_cluster_fill(struct mkv_node *node, struct mkv_admin_snapshot *out) {
    const struct mkv_config *config = &node->config;
    if (config->cluster.discovery[0] == '\0') {
        return;
    }
    pthread_mutex_lock(&node->mutex);
    out->cluster = node->cluster;
    pthread_mutex_unlock(&node->mutex);
    out->cluster.is_configured = true;
    out->cluster.weight = (uint32_t)config->cluster.weight;
    snprintf(out->cluster.discovery, sizeof out->cluster.discovery, "%.250s",
             config->cluster.discovery);
    snprintf(out->cluster.advertise, sizeof out->cluster.advertise, "%.250s",
             config->cluster.advertise);
}
