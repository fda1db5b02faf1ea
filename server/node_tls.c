/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate and key that the listeners share. */
#include "server/node_internal.h"

#include <stdio.h>

#define TARGET "server.node"

bool mkv_node_tls_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_tls_options options = {
        .certificate = node->config.network.tls_cert,
        .key = node->config.network.tls_key,
        .version_min =
            node->config.network.tls_min == MKV_CONFIG_TLS_1_3 ? MKV_TLS_1_3 : MKV_TLS_1_2,
    };
    if (options.certificate[0] == '\0') {
        return true;
    }
    struct mkv_tls *tls = NULL;
    if (!mkv_tls_create(&options, &tls, error)) {
        return false;
    }
    pthread_mutex_lock(&node->mutex);
    node->tls = tls;
    pthread_mutex_unlock(&node->mutex);
    return true;
}

void mkv_node_tls_end(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    struct mkv_tls *tls = node->tls;
    node->tls = NULL;
    pthread_mutex_unlock(&node->mutex);
    mkv_tls_destroy(tls);
}

void mkv_node_tls_reload(struct mkv_node *node) {
    struct mkv_backend_error error = {0};
    pthread_mutex_lock(&node->mutex);
    const bool has_tls = node->tls != NULL;
    bool reloaded = has_tls && mkv_tls_reload(node->tls, &error);
    if (reloaded && node->config.admin.tls != 0 && node->admin != NULL) {
        char text[MKV_ADMIN_ERROR_BYTES];
        reloaded = mkv_admin_http_reload(node->admin, text) ||
                   mkv_backend_refuse(&error, MKV_BACKEND_UNAVAILABLE,
                                      "of the admin listener alone: %s", text);
    }
    pthread_mutex_unlock(&node->mutex);
    if (reloaded) {
        mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, TARGET, NULL, 0,
                      "SIGHUP: the certificate is read again; whoever connects from now on meets "
                      "it");
    } else if (has_tls) {
        mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_WARN, TARGET, NULL, 0,
                      "SIGHUP: the certificate stays the one of before: %s", error.text);
    }
}
