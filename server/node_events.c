/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What volumes report, as lines of the log and as warnings.
 */
#include "server/node_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/words.h"
#include "backends/clock.h"

#define TARGET "core.volume"
#define ACTION_EMPTY                                                                               \
    "nothing to do for the node: it fills again; check the drive's health if this was no power "   \
    "cut"

const char *mkv_node_err_text(enum mkv_err err) {
    switch (err) {
    case MKV_OK:
        return "no error";
    case MKV_ERR_TOO_SMALL:
        return "it is too small";
    case MKV_ERR_TOO_LARGE:
        return "a figure of it is above what the format can hold";
    case MKV_ERR_NOT_FORMATTED:
        return "it holds no store any more";
    case MKV_ERR_FOREIGN:
        return "it holds another store than a moment ago";
    case MKV_ERR_VERSION:
        return "its format is newer than this release";
    case MKV_ERR_SHRUNK:
        return "it is smaller than its store";
    case MKV_ERR_DRIVE_IO:
        return "the drive failed an operation";
    case MKV_ERR_STATE:
        return "it is not in a state for this";
    case MKV_CORRUPT_SUPERBLOCK:
        return "its superblocks are damaged";
    case MKV_CORRUPT_CHECKPOINT_PAGE:
        return "its checkpoint is damaged";
    case MKV_CORRUPT_JOURNAL_BLOCK:
        return "its journal is damaged";
    case MKV_CORRUPT_JOURNAL_RECORD:
        return "a record of its journal is damaged";
    case MKV_CORRUPT_SLOT_HEADER:
        return "the header of a block is damaged";
    case MKV_CORRUPT_PAYLOAD:
        return "the payload of a block is damaged";
    }
    MKV_ASSERT(false);
    return "";
}

static const char *io_result_text(uint64_t result) {
    switch ((enum mkv_io_result)result) {
    case MKV_IO_OK:
        return "ok";
    case MKV_IO_MEDIUM:
        return "medium error";
    case MKV_IO_DEVICE:
        return "device error";
    case MKV_IO_GONE:
        return "drive is gone";
    case MKV_IO_NO_ROOM:
        return "file system is full";
    case MKV_IO_TIMEOUT:
        return "not done in time";
    case MKV_IO_READ_ONLY:
        return "drive takes no writes";
    case MKV_IO_SHRUNK:
        return "drive has become smaller";
    }
    return "unknown";
}

/* What to do about a drive that does not serve. */
static const char *failure_action(enum mkv_drive_failure failure) {
    static const char *const actions[MKV_DRIVE_FAILURE_COUNT] = {
        [MKV_DRIVE_FAILURE_NONE] =
            "look at dmesg and the drive's health, "
            "then bring it back with memkv admin drive online, or replace it",
        [MKV_DRIVE_FAILURE_IO_ERROR] =
            "look at dmesg and the drive's health, "
            "then bring it back with memkv admin drive online, or replace it",
        [MKV_DRIVE_FAILURE_TIMEOUT] = "look at dmesg for resets of the drive, then bring it back "
                                      "with memkv admin drive online, or replace it",
        [MKV_DRIVE_FAILURE_GONE] = "look at dmesg, the drive's slot and its link; bring it back, "
                                   "then memkv admin drive online",
        [MKV_DRIVE_FAILURE_READ_ONLY] =
            "see blockdev --getro and the drive's health: worn out drives take no writes; set it "
            "writable, then memkv admin drive online, or replace it",
        [MKV_DRIVE_FAILURE_SHRUNK] = "give the drive, partition or file back the size that it had, "
                                     "then memkv admin drive online; or replace it",
        [MKV_DRIVE_FAILURE_FOREIGN] = "see what wrote to the drive; bring the right one back, then "
                                      "memkv admin drive online, or replace it",
    };
    MKV_ASSERT((uint32_t)failure < MKV_DRIVE_FAILURE_COUNT);
    return actions[failure];
}

/* ---- warnings ------------------------------------------------------------------------------- */

static bool same_warning(const struct mkv_admin_warning *warning, enum mkv_admin_warning_code code,
                         const char *drive) {
    return warning->code == code && strcmp(warning->drive, drive) == 0;
}

void mkv_node_warn(struct mkv_node *node, enum mkv_admin_warning_code code,
                   const struct mkv_config_drive *drive, const char *action, const char *format,
                   ...) {
    const char *name = drive == NULL ? "" : drive->name;
    struct mkv_admin_warning warning = {.code = code, .since_ms = mkv_clock_wall_ms()};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(warning.message, sizeof warning.message, format, arguments);
    va_end(arguments);
    snprintf(warning.drive, sizeof warning.drive, "%s", name);
    snprintf(warning.action, sizeof warning.action, "%s", action);

    pthread_mutex_lock(&node->mutex);
    bool known = false;
    for (uint32_t i = 0; i < node->warning_count; i++) {
        if (same_warning(&node->warnings[i], code, name)) {
            /* Since when stays; its figures are those of now. */
            known = true;
            memcpy(node->warnings[i].message, warning.message, sizeof warning.message);
        }
    }
    if (!known) {
        MKV_ASSERT(node->warning_count < MKV_ADMIN_WARNINGS_MAX);
        node->warnings[node->warning_count] = warning;
        node->warning_count++;
    }
    pthread_mutex_unlock(&node->mutex);
    if (known) {
        return;
    }
    const struct mkv_log_field fields[] = {
        {.name = "code", .text = mkv_admin_warning_codes[code]},
        {.name = "action", .text = action},
        {.name = "drive", .text = name},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_WARNING, MKV_CONFIG_LOG_WARN, "server.node", fields,
                  drive == NULL ? 2 : 3, "%s", warning.message);
}

void mkv_node_warn_over(struct mkv_node *node, enum mkv_admin_warning_code code,
                        const struct mkv_config_drive *drive) {
    const char *name = drive == NULL ? "" : drive->name;
    uint64_t since_ms = 0;
    pthread_mutex_lock(&node->mutex);
    for (uint32_t i = 0; i < node->warning_count; i++) {
        if (same_warning(&node->warnings[i], code, name)) {
            since_ms = node->warnings[i].since_ms;
            node->warning_count--;
            memmove(&node->warnings[i], &node->warnings[i + 1],
                    (node->warning_count - i) * sizeof node->warnings[0]);
            break;
        }
    }
    pthread_mutex_unlock(&node->mutex);
    if (since_ms == 0) {
        return;
    }
    const uint64_t now_ms = mkv_clock_wall_ms();
    const struct mkv_log_field fields[] = {
        {.name = "code", .text = mkv_admin_warning_codes[code]},
        {.name = "lasted_ms", .number = now_ms > since_ms ? now_ms - since_ms : 0},
        {.name = "drive", .text = name},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_WARNING, MKV_CONFIG_LOG_INFO, "server.node", fields,
                  drive == NULL ? 2 : 3, "warning is over");
}

/* ---- events --------------------------------------------------------------------------------- */

/* The class of what an event tells, which the drive has from now on. */
static enum mkv_drive_failure note_failure(struct mkv_node *node, uint32_t index,
                                           const struct mkv_event *event) {
    const enum mkv_drive_failure failure =
        event->err == MKV_ERR_DRIVE_IO
            ? mkv_drive_failure_of_result((enum mkv_io_result)event->value[0])
            : mkv_drive_failure_of_err(event->err);
    pthread_mutex_lock(&node->mutex);
    node->drives[index].failed = true;
    node->drives[index].failed_err = event->err;
    node->drives[index].failure = failure;
    pthread_mutex_unlock(&node->mutex);
    return failure;
}

static void on_opened(struct mkv_node *node, uint32_t index, const struct mkv_config_drive *drive,
                      const struct mkv_event *event) {
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = drive->name},
        {.name = "blocks", .number = event->value[0]},
        {.name = "journal_entries", .number = event->value[1]},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_INFO, TARGET, fields, 3,
                  "drive serves");
    pthread_mutex_lock(&node->mutex);
    node->drives[index].failed = false;
    node->drives[index].failure = MKV_DRIVE_FAILURE_NONE;
    pthread_mutex_unlock(&node->mutex);
    mkv_node_warn_over(node, MKV_ADMIN_WARNING_DRIVE_OFFLINE, drive);
}

static void on_open_failed(struct mkv_node *node, uint32_t index,
                           const struct mkv_config_drive *drive, const struct mkv_event *event) {
    const enum mkv_drive_failure failure = note_failure(node, index, event);
    const char *class_word = mkv_drive_failure_words[failure];
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = drive->name},
        {.name = "path", .text = drive->media},
        {.name = "error", .text = mkv_node_err_text(event->err)},
        {.name = "class", .text = class_word},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_ERROR, TARGET, fields, 4,
                  "drive cannot be opened, its keys are misses");
    mkv_node_warn(node, MKV_ADMIN_WARNING_DRIVE_OFFLINE, drive, failure_action(failure),
                  "drive %s is offline since its opening (%s): %s; its keys are misses",
                  drive->name, class_word, mkv_node_err_text(event->err));
}

static void on_drive_failed(struct mkv_node *node, uint32_t index,
                            const struct mkv_config_drive *drive, const struct mkv_event *event) {
    const enum mkv_drive_failure failure = note_failure(node, index, event);
    const char *class_word = mkv_drive_failure_words[failure];
    const char *why = io_result_text(event->value[0]);
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = drive->name},
        {.name = "path", .text = drive->media},
        {.name = "error", .text = why},
        {.name = "class", .text = class_word},
        {.name = "unit", .number = event->value[1]},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_ERROR, TARGET, fields, 5,
                  "drive failed and is taken out of service, its keys are misses");
    mkv_node_warn(node, MKV_ADMIN_WARNING_DRIVE_OFFLINE, drive, failure_action(failure),
                  "drive %s failed and is offline (%s): %s; its keys are misses", drive->name,
                  class_word, why);
}

static void on_came_up_empty(struct mkv_node *node, uint32_t index,
                             const struct mkv_config_drive *drive, const struct mkv_event *event) {
    pthread_mutex_lock(&node->mutex);
    node->drives[index].came_up_empty = true;
    pthread_mutex_unlock(&node->mutex);
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = drive->name},
        {.name = "path", .text = drive->media},
        {.name = "error", .text = mkv_node_err_text(event->err)},
        {.name = "sequence", .number = event->value[0]},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_ERROR, TARGET, fields, 4,
                  "drive came up empty: what stood on it cannot be trusted");
    mkv_node_warn(node, MKV_ADMIN_WARNING_CAME_UP_EMPTY, drive, ACTION_EMPTY,
                  "drive %s came up empty: %s, so none of its blocks can be trusted", drive->name,
                  mkv_node_err_text(event->err));
}

static void on_checkpoint(struct mkv_node *node, uint32_t index,
                          const struct mkv_config_drive *drive, const struct mkv_event *event) {
    pthread_mutex_lock(&node->mutex);
    node->drives[index].checkpoint_ms = mkv_clock_wall_ms();
    pthread_mutex_unlock(&node->mutex);
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = drive->name},
        {.name = "sequence", .number = event->value[0]},
        {.name = "pages", .number = event->value[1]},
        {.name = "duration_ms", .number = event->value[2] / 1000000},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_CHECKPOINT, MKV_CONFIG_LOG_DEBUG, "core.journal", fields,
                  4, "checkpoint is durable");
}

/* Which part of the core a kind of line tells of. */
static const char *target_of(enum mkv_log_site site) {
    if (site == MKV_LOG_SITE_DRIVE_ERROR) {
        return "drive";
    }
    if (site == MKV_LOG_SITE_DIRECTORY) {
        return "core.directory";
    }
    return site == MKV_LOG_SITE_REPAIR ? "core.journal" : TARGET;
}

/* Events that say one figure of one drive. */
static void on_figure(struct mkv_node *node, const struct mkv_config_drive *drive,
                      enum mkv_log_site site, enum mkv_config_log_level level, const char *name,
                      uint64_t figure, const char *message) {
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = drive->name},
        {.name = name, .number = figure},
    };
    mkv_log_write(node->log, site, level, target_of(site), fields, 2, "%s", message);
}

static void on_quarantined(struct mkv_node *node, const struct mkv_config_drive *drive,
                           const struct mkv_event *event) {
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = drive->name},
        {.name = "slot", .number = event->value[0]},
        {.name = "error", .text = mkv_node_err_text(event->err)},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_QUARANTINE, MKV_CONFIG_LOG_ERROR, TARGET, fields, 3,
                  "block failed its check and is dropped");
}

static void on_drive_error(struct mkv_node *node, const struct mkv_config_drive *drive,
                           const struct mkv_event *event) {
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = drive->name},
        {.name = "error", .text = io_result_text(event->value[0])},
        {.name = "unit", .number = event->value[1]},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_DRIVE_ERROR, MKV_CONFIG_LOG_WARN, "drive", fields, 3,
                  "operation of a drive failed");
}

static void on_closed(struct mkv_node *node, uint32_t index, const struct mkv_config_drive *drive) {
    pthread_mutex_lock(&node->mutex);
    node->drives[index].closed = true;
    pthread_mutex_unlock(&node->mutex);
    const struct mkv_log_field field = {.name = "drive", .text = drive->name};
    mkv_log_write(node->log, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_INFO, TARGET, &field, 1,
                  "drive closed, its clean mark is durable");
}

void mkv_node_event(void *context, uint32_t index, const struct mkv_event *event) {
    struct mkv_node *node = context;
    MKV_ASSERT(index < node->drive_count);
    struct mkv_config_drive own;
    mkv_node_drive_now(node, index, &own);
    const struct mkv_config_drive *drive = &own;
    if (node->tracer != NULL) {
        mkv_trace_event(node->tracer, index, event, mkv_clock_monotonic_ns());
    }
    mkv_node_audit_event(node, drive, event);
    switch (event->kind) {
    case MKV_EVENT_FORMATTED:
        return; /* drives are formatted before there is a shard */
    case MKV_EVENT_OPENED:
        on_opened(node, index, drive, event);
        return;
    case MKV_EVENT_OPEN_FAILED:
        on_open_failed(node, index, drive, event);
        return;
    case MKV_EVENT_CAME_UP_EMPTY:
        on_came_up_empty(node, index, drive, event);
        return;
    case MKV_EVENT_TORN_TAIL:
        on_figure(node, drive, MKV_LOG_SITE_REPAIR, MKV_CONFIG_LOG_INFO, "sequence",
                  event->value[0],
                  "the journal ends with what was being written, which is cut off");
        return;
    case MKV_EVENT_SUPERBLOCK_REPAIRED:
        on_figure(node, drive, MKV_LOG_SITE_REPAIR, MKV_CONFIG_LOG_WARN, "copies", event->value[0],
                  "copies of the superblock differed and were rewritten");
        return;
    case MKV_EVENT_JOURNAL_COPY_REPAIRED:
        on_figure(node, drive, MKV_LOG_SITE_REPAIR, MKV_CONFIG_LOG_INFO, "blocks", event->value[0],
                  "journal blocks stood in one copy only and were rewritten");
        return;
    case MKV_EVENT_CHECKPOINT_DONE:
        on_checkpoint(node, index, drive, event);
        return;
    case MKV_EVENT_BLOCK_QUARANTINED:
        on_quarantined(node, drive, event);
        return;
    case MKV_EVENT_BLOCK_EVICTED:
        return; /* the pump keeps it to itself */
    case MKV_EVENT_DRIVE_ERROR:
        on_drive_error(node, drive, event);
        return;
    case MKV_EVENT_DRIVE_FAILED:
        on_drive_failed(node, index, drive, event);
        return;
    case MKV_EVENT_DRIVE_STALLED:
        on_figure(
            node, drive, MKV_LOG_SITE_DRIVE_ERROR, MKV_CONFIG_LOG_WARN, "age_ms",
            event->value[0] / 1000000u,
            "the drive does not answer: reads of it miss and its puts are refused until it does");
        return;
    case MKV_EVENT_DRIVE_RESUMED:
        on_figure(node, drive, MKV_LOG_SITE_DRIVE_ERROR, MKV_CONFIG_LOG_WARN, "stalled_ms",
                  event->value[0] / 1000000u, "the drive answers again and is served from");
        return;
    case MKV_EVENT_TENANT_SWEPT:
        on_figure(node, drive, MKV_LOG_SITE_TENANT, MKV_CONFIG_LOG_INFO, "tenant", event->value[0],
                  "no block of a dropped tenant is left");
        return;
    case MKV_EVENT_DIRECTORY_DAMAGED:
        on_figure(node, drive, MKV_LOG_SITE_DIRECTORY, MKV_CONFIG_LOG_WARN, "unit", event->value[0],
                  "the directory of keys is damaged and is made anew: no block is lost, and keys "
                  "cannot be listed until then");
        return;
    case MKV_EVENT_DIRECTORY_REBUILT:
        on_figure(node, drive, MKV_LOG_SITE_DIRECTORY, MKV_CONFIG_LOG_INFO, "keys", event->value[0],
                  "the directory of keys has been made anew");
        return;
    case MKV_EVENT_DIRECTORY_FULL:
        on_figure(node, drive, MKV_LOG_SITE_DIRECTORY, MKV_CONFIG_LOG_WARN, "units",
                  event->value[0],
                  "the directory has no room for all keys: blocks are served, and keys cannot be "
                  "listed until some are deleted");
        return;
    case MKV_EVENT_DIRECTORY_ROOM_AGAIN:
        on_figure(node, drive, MKV_LOG_SITE_DIRECTORY, MKV_CONFIG_LOG_INFO, "units",
                  event->value[0], "the directory has room again and takes the keys it lacks");
        return;
    case MKV_EVENT_DIRECTORY_OFF:
        on_figure(node, drive, MKV_LOG_SITE_DIRECTORY, MKV_CONFIG_LOG_ERROR, "tries",
                  event->value[0],
                  "the directory of keys cannot be kept on this drive: blocks are served, and keys "
                  "cannot be listed until a restart");
        return;
    case MKV_EVENT_CLOSED:
        on_closed(node, index, drive);
        return;
    case MKV_EVENT_DRIVE_SET_DURABLE:
        on_figure(node, drive, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_INFO, "drive_set",
                  event->value[0], "drive names the new drive set, durably");
        return;
    case MKV_EVENT_PURGED:
        on_figure(node, drive, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_INFO, "blocks_dropped",
                  event->value[1], "drive dropped the blocks that a joining drive takes over");
        return;
    }
    MKV_ASSERT(false);
}
