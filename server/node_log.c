/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of the node: as it is configured, and what administrators see and change of it.
 */
#include "server/node_internal.h"

#include <stdio.h>
#include <string.h>

#include "backends/clock.h"

_Static_assert(MKV_ADMIN_LOG_LEVEL_BYTES == MKV_LOG_FILTER_TEXT_BYTES, "levels fit");
_Static_assert(MKV_ADMIN_LOG_PROBLEM_BYTES == MKV_LOG_FILTER_PROBLEM_BYTES, "problems fit");

bool mkv_node_log_begin(struct mkv_node *node, char problem[MKV_NODE_LOG_PROBLEM_BYTES]) {
    const struct mkv_config *config = &node->config;
    struct mkv_log_filter filter;
    char unused[MKV_LOG_FILTER_PROBLEM_BYTES];
    const bool parsed = mkv_log_filter_parse(config->log.level, &filter, unused);
    MKV_ASSERT(parsed); /* by the configuration */
    mkv_log_filter_set(node->log, &filter);
    if (config->log.file[0] == '\0') {
        return true;
    }
    const int error_number = mkv_log_file(node->log, config->log.file);
    if (error_number == 0) {
        return true;
    }
    char where[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    mkv_config_origin_format(config, MKV_CONFIG_LOG_FILE, where);
    snprintf(problem, MKV_NODE_LOG_PROBLEM_BYTES,
             "%s: log.file %s cannot be opened: %s. Make its directory, and let this user write "
             "there",
             where, config->log.file, strerror(error_number));
    return false;
}

static char *last(void *context, uint32_t line_count, size_t *bytes, bool *json) {
    const struct mkv_node *node = context;
    *json = node->config.log.format == MKV_CONFIG_LOG_JSON;
    return mkv_log_last(node->log, line_count, bytes);
}

static void level(void *context, char out[MKV_ADMIN_LOG_LEVEL_BYTES]) {
    const struct mkv_node *node = context;
    struct mkv_log_filter filter;
    mkv_log_filter_get(node->log, &filter);
    mkv_log_filter_format(&filter, out);
}

static bool level_set(void *context, const char *text, char problem[MKV_ADMIN_LOG_PROBLEM_BYTES]) {
    const struct mkv_node *node = context;
    struct mkv_log_filter filter;
    if (!mkv_log_filter_parse(text, &filter, problem)) {
        return false;
    }
    mkv_log_filter_set(node->log, &filter);
    char now[MKV_LOG_FILTER_TEXT_BYTES];
    mkv_log_filter_format(&filter, now);
    const struct mkv_log_field field = {.name = "level", .text = now};
    mkv_log_write(node->log, MKV_LOG_SITE_ADMIN, MKV_CONFIG_LOG_INFO, "admin", &field, 1,
                  "the level of the log was changed, as an administrator asked, until the node "
                  "ends");
    return true;
}

void mkv_node_log_provide(struct mkv_node *node, struct mkv_admin_log *out) {
    *out = (struct mkv_admin_log){
        .context = node, .last = last, .level = level, .level_set = level_set};
}

/* ---- requests -------------------------------------------------------------------------------- */

/* On the log's thread. */
static void requests_tick(void *context, uint64_t now_ns) {
    const struct mkv_node *node = context;
    mkv_request_log_tick(node->requests, now_ns, false);
}

bool mkv_node_requests_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    node->requests = mkv_request_log_create(node->log, mkv_clock_monotonic_ns());
    if (node->requests == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a node. Free memory on this machine");
    }
    mkv_log_periodic(node->log, requests_tick, node);
    return true;
}

void mkv_node_requests_tell(struct mkv_node *node) {
    mkv_log_periodic(node->log, NULL, NULL);
    mkv_request_log_tick(node->requests, mkv_clock_monotonic_ns(), true);
}

void mkv_node_requests_end(struct mkv_node *node) {
    mkv_log_periodic(node->log, NULL, NULL);
    mkv_request_log_destroy(node->requests);
    node->requests = NULL;
}
