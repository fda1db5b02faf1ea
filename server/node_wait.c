/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the drives of the set. As long as members are missing, nobody may be served: what is
 * deleted meanwhile could come back with them. So the node looks again every second, keeps hold of
 * no drive in between, and says on the admin listener and in the log what it waits for.
 */
#include "server/node_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"

#define LOOK_AGAIN_MS 1000u
/* How soon a signal is noticed. */
#define STEP_MS 50u

static void waiting_snapshot(void *context, struct mkv_admin_snapshot *out) {
    struct mkv_node *node = context;
    mkv_node_view_identity(node, out);
    out->state = MKV_ADMIN_NODE_WAITING;
    out->memory.block_bytes = node->config.memory.block_size_bytes;
    out->drive_count = node->config.storage.drive_count;
    for (uint32_t i = 0; i < out->drive_count; i++) {
        const struct mkv_config_drive *drive = &node->config.storage.drives[i];
        snprintf(out->drives[i].name, sizeof out->drives[i].name, "%s", drive->name);
        snprintf(out->drives[i].path, sizeof out->drives[i].path, "%s", drive->media);
        out->drives[i].state = MKV_DRIVE_STATE_OFFLINE;
    }
    mkv_log_counts(node->log, out->log_messages_total);
    pthread_mutex_lock(&node->mutex);
    out->warnings[0] = node->waiting;
    out->warning_count = 1;
    pthread_mutex_unlock(&node->mutex);
}

/* Says it once, and again when it changes. */
static void say_why(struct mkv_node *node, const char *text) {
    static const char action[] =
        "bring the drives back, the node then goes on by itself; or stop it, and start it with "
        "memkv start --lost as the message says";
    const bool known = strcmp(node->waiting.message, text) == 0;
    pthread_mutex_lock(&node->mutex);
    if (node->waiting.since_ms == 0) {
        node->waiting.since_ms = mkv_clock_wall_ms();
    }
    node->waiting.code = MKV_ADMIN_WARNING_DRIVES_MISSING;
    snprintf(node->waiting.message, sizeof node->waiting.message, "%.511s", text);
    snprintf(node->waiting.action, sizeof node->waiting.action, "%s", action);
    pthread_mutex_unlock(&node->mutex);
    if (!known) {
        const struct mkv_log_field field = {.name = "action", .text = action};
        mkv_log_write(node->log, MKV_LOG_SITE_WARNING, MKV_CONFIG_LOG_ERROR, "server.node", &field,
                      1, "not ready: %s", text);
    }
}

static bool admin_begin(struct mkv_node *node, struct mkv_admin_http **admin,
                        struct mkv_backend_error *error) {
    if (*admin != NULL) {
        return true;
    }
    struct mkv_admin_provider provider = {.context = node, .snapshot = waiting_snapshot};
    mkv_node_log_provide(node, &provider.log);
    if (!mkv_node_admin_listen(node, error)) {
        return false;
    }
    if (!mkv_node_admin_serve(node, &provider, admin, error)) {
        mkv_node_admin_unlisten(node);
        return false;
    }
    return true;
}

/* False when the node was told to stop. */
static bool sleep_a_while(const struct mkv_node *node) {
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000l};
    for (uint32_t slept_ms = 0; slept_ms < LOOK_AGAIN_MS; slept_ms += STEP_MS) {
        if (atomic_load(&node->stop_count) > 0) {
            return false;
        }
        (void)nanosleep(&step, NULL);
    }
    return atomic_load(&node->stop_count) == 0;
}

bool mkv_node_drives_wait(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_admin_http *admin = NULL;
    bool opened = mkv_node_drives_open(node, error);
    /* However long it takes: whoever runs the node is told, and ends it if he likes. */
    while (!opened && node->may_wait) {
        char why[MKV_BACKEND_ERROR_TEXT_BYTES];
        memcpy(why, error->text, sizeof why);
        if (!admin_begin(node, &admin, error)) {
            break;
        }
        say_why(node, why); /* behind the listener, so that whoever reads it can ask */
        if (!sleep_a_while(node)) {
            *error = (struct mkv_backend_error){0};
            break;
        }
        opened = mkv_node_drives_open(node, error);
    }
    if (admin != NULL) {
        mkv_admin_http_stop(admin);
        mkv_node_admin_unlisten(node);
    }
    node->waiting = (struct mkv_admin_warning){0};
    return opened;
}
