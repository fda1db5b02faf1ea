/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a node is audited besides requests to the admin listener: its start and end, and what
 * happens to its drives.
 */
#include "server/node_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/text.h"
#include "server/version.h"

/* ---- positions ------------------------------------------------------------------------------- */

/* "d00:17 d01:9": the last durable sequence of each drive's journal; what does not fit ends in
 * "...". On the audit's thread. */
static void fill_position(void *context, char text[MKV_AUDIT_POSITION_BYTES]) {
    struct mkv_node *node = context;
    size_t used = 0;
    text[0] = '\0';
    pthread_mutex_lock(&node->mutex);
    const bool has_shard = node->shard_to_close != NULL && node->shard_started;
    pthread_mutex_unlock(&node->mutex);
    if (!has_shard) {
        return; /* the journals are not open yet */
    }
    pthread_mutex_lock(&node->view_mutex);
    mkv_shards_stats(node->shards, node->view_stats, node->view_briefs);
    for (uint32_t i = 0; i < node->view_stats->volume_count; i++) {
        char part[MKV_CONFIG_NAME_BYTES + 24];
        const int bytes = snprintf(part, sizeof part, "%s%s:%" PRIu64, i == 0 ? "" : " ",
                                   node->config.storage.drives[i].name,
                                   node->view_stats->volumes[i].volume.journal_durable);
        MKV_ASSERT(bytes > 0);
        if (used + (size_t)bytes + sizeof "..." > MKV_AUDIT_POSITION_BYTES) {
            memcpy(text + used, "...", sizeof "...");
            break;
        }
        memcpy(text + used, part, (size_t)bytes + 1);
        used += (size_t)bytes;
    }
    pthread_mutex_unlock(&node->view_mutex);
}

/* ---- the start and the end ------------------------------------------------------------------- */

static void record_start(struct mkv_node *node) {
    const struct mkv_config *config = &node->config;
    const char *entity = config->file[0] != '\0' ? config->file
                         : node->options.dev     ? "--dev"
                                                 : "the environment and flags";
    const struct mkv_audit_entry entry = mkv_audit_entry_make(
        MKV_AUDIT_START, entity, "ok", "memkv %s (%s), pid %ld, user %ld, quotas: %.300s",
        mkv_version(), mkv_version_commit(), (long)getpid(), (long)getuid(),
        config->tenants.quotas[0] == '\0' ? "none" : config->tenants.quotas);
    (void)mkv_audit_write(node->audit, &entry);
    if (node->options.lost != NULL) {
        const struct mkv_audit_entry lost =
            mkv_audit_entry_make(MKV_AUDIT_DRIVES_LOST, node->options.lost, "ok",
                                 "--lost: the node goes on without them and their blocks");
        (void)mkv_audit_write(node->audit, &lost);
    }
    for (uint32_t i = 0; i < node->drive_count; i++) {
        if (node->drives[i].formatted_now) {
            char uuid[MKV_TEXT_UUID_BYTES];
            mkv_text_uuid(&node->drives[i].volume.drive_uuid, uuid);
            const struct mkv_audit_entry format = mkv_audit_entry_make(
                MKV_AUDIT_FORMAT, config->storage.drives[i].name, "ok",
                "%.300s got a new, empty store, drive %s", config->storage.drives[i].media, uuid);
            (void)mkv_audit_write(node->audit, &format);
        }
    }
}

bool mkv_node_audit_open(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_config *config = &node->config;
    if (config->audit.file[0] == '\0') {
        return true;
    }
    const struct mkv_audit_options options = {
        .file =
            {
                .path = config->audit.file,
                .node = config->node.id,
                .bytes_max = config->audit.max_size_bytes,
                .files_max = (uint32_t)config->audit.files_max,
            },
        .position = fill_position,
        .context = node,
    };
    char text[MKV_AUDIT_ERROR_BYTES];
    if (!mkv_audit_open(&options, &node->audit, text)) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO, "%s", text);
    }
    record_start(node);
    return true;
}

void mkv_node_audit_close(struct mkv_node *node) {
    if (node->audit_end.count == 0) {
        node->audit_end =
            mkv_audit_entry_make(MKV_AUDIT_STOP, node->config.node.id, "failed",
                                 "the start was refused or given up; the log says why");
    }
    (void)mkv_audit_write(node->audit, &node->audit_end);
    mkv_audit_close(node->audit);
    node->audit = NULL;
}

void mkv_node_audit_drain(struct mkv_node *node, const char *signal) {
    const struct mkv_audit_entry entry = mkv_audit_entry_make(MKV_AUDIT_DRAIN, node->config.node.id,
                                                              "ok", "%s asked for the end", signal);
    pthread_mutex_lock(&node->mutex);
    /* Before the audit is open nobody was served. */
    if (node->shard_to_close != NULL) {
        (void)mkv_audit_write(node->audit, &entry);
    }
    pthread_mutex_unlock(&node->mutex);
}

void mkv_node_audit_stop(struct mkv_node *node, enum mkv_exit_daemon exit_code) {
    node->audit_end = mkv_audit_entry_make(MKV_AUDIT_STOP, node->config.node.id,
                                           exit_code == MKV_EXIT_DAEMON_DONE ? "ok" : "failed",
                                           "the process ends with exit code %d", (int)exit_code);
    fill_position(node, node->audit_end.log_position);
}

/* ---- drives ---------------------------------------------------------------------------------- */

void mkv_node_audit_event(struct mkv_node *node, const struct mkv_config_drive *drive,
                          const struct mkv_event *event) {
    struct mkv_audit_entry entry;
    if (event->kind == MKV_EVENT_CAME_UP_EMPTY) {
        entry = mkv_audit_entry_make(MKV_AUDIT_DRIVE_EMPTIED, drive->name, "ok",
                                     "its blocks are gone: %s", mkv_node_err_text(event->err));
    } else if (event->kind == MKV_EVENT_DRIVE_SET_DURABLE) {
        entry = mkv_audit_entry_make(MKV_AUDIT_DRIVE_SET, drive->name, "ok",
                                     "the drive set has version %" PRIu64, event->value[0]);
    } else if (event->kind == MKV_EVENT_PURGED) {
        entry = mkv_audit_entry_make(MKV_AUDIT_PURGE, drive->name, "ok",
                                     "blocks whose keys go to another drive now: %" PRIu64,
                                     event->value[1]);
        entry.count = mkv_max_u64(event->value[1], 1);
    } else if (event->kind == MKV_EVENT_CLOSED) {
        entry = mkv_audit_entry_make(MKV_AUDIT_CHECKPOINT, drive->name, "ok",
                                     "the last one, and the clean mark, are durable");
    } else {
        return;
    }
    (void)mkv_audit_write(node->audit, &entry);
}

/* ---- refusals -------------------------------------------------------------------------------- */

void mkv_node_audit_refused(struct mkv_node *node, const struct mkv_admin_refusal *refusal) {
    struct mkv_audit_entry entry = mkv_audit_entry_make(
        MKV_AUDIT_AUTH_REFUSED, "", "refused", "HTTP %u: the path takes the role %s",
        refusal->status, mkv_admin_roles[refusal->role]);
    snprintf(entry.entity, sizeof entry.entity, "%.16s %.200s", refusal->method, refusal->path);
    snprintf(entry.client, sizeof entry.client, "%s", refusal->peer->name);
    snprintf(entry.address, sizeof entry.address, "%s", refusal->peer->address);
    mkv_audit_refuse(node->audit, &entry);
}
