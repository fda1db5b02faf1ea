/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the drives of the configuration to drives that are open, known and formatted.
 *
 * All drives are opened and looked at before any is changed, and all new ones are formatted before
 * the shard opens any: so a store that was opened once is whole, and a drive that is missing from
 * it is a drive that is missing. A drive that is not there and that nobody misses is left out.
 */
#include "server/node_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/node_format.h"
#include "server/size.h"

#define NS_PER_S 1000000000ull

/* Of the process that was killed a moment ago and whose last I/O still runs. */
#define LOCK_WAIT_MS 5000u

static const struct mkv_config_drive *configured(const struct mkv_node *node, uint32_t index) {
    return &node->config.storage.drives[index];
}

/* ---- the directory of --dev ----------------------------------------------------------------- */

/* DIR of DIR/store.memkv. */
static void dev_directory(const struct mkv_node *node, char out[MKV_CONFIG_PATH_BYTES]) {
    const char *media = configured(node, 0)->media;
    const char *slash = strrchr(media, '/');
    snprintf(out, MKV_CONFIG_PATH_BYTES, "%.*s", slash == NULL ? 0 : (int)(slash - media), media);
}

static bool refuse_directory(const char *directory, int error_number,
                             struct mkv_backend_error *error) {
    switch (error_number) {
    case EACCES:
    case EPERM:
    case EROFS:
        return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                  "--dev: directory %s cannot be made: %s. Name one that this user "
                                  "may make: --dev DIR",
                                  directory, strerror(error_number));
    case ENOENT:
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "--dev: directory %s cannot be made: the one above it does not "
                                  "exist. Run: mkdir -p %s",
                                  directory, directory);
    case ENOTDIR:
    case EEXIST:
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "--dev: %s is, or lies below, something that is no directory. "
                                  "Name a directory: --dev DIR",
                                  directory);
    default:
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "--dev: directory %s cannot be made: %s. Name another: --dev DIR",
                                  directory, strerror(error_number));
    }
}

static bool make_dev_directory(struct mkv_node *node, struct mkv_backend_error *error) {
    /* A file may have named other drives than the one that --dev makes. */
    if (node->config.origins[MKV_CONFIG_STORAGE_DRIVES].layer != MKV_CONFIG_LAYER_DEV) {
        return true;
    }
    char directory[MKV_CONFIG_PATH_BYTES];
    dev_directory(node, directory);
    if (directory[0] == '\0' || mkdir(directory, S_IRWXU) == 0) {
        node->directory_created = directory[0] != '\0';
        return true;
    }
    const int error_number = errno;
    struct stat status;
    if (error_number == EEXIST && stat(directory, &status) == 0 && S_ISDIR(status.st_mode)) {
        return true;
    }
    return refuse_directory(directory, error_number, error);
}

/* ---- opening -------------------------------------------------------------------------------- */

/* Two paths may lead to one file, which its own lock would then keep from us. */
static bool check_distinct(const struct mkv_node *node, uint32_t index,
                           struct mkv_backend_error *error) {
    struct stat own;
    if (stat(configured(node, index)->media, &own) != 0) {
        return true; /* opening it says why, or makes it */
    }
    for (uint32_t i = 0; i < index; i++) {
        struct stat other;
        if (fstat(node->drives[i].media.fd, &other) != 0) {
            continue;
        }
        const bool same = S_ISBLK(own.st_mode)
                              ? S_ISBLK(other.st_mode) && own.st_rdev == other.st_rdev
                              : own.st_dev == other.st_dev && own.st_ino == other.st_ino;
        if (same) {
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "drive %s: %s is the same as drive %s (%s). List each drive "
                                      "once in storage.drives",
                                      configured(node, index)->name, configured(node, index)->media,
                                      configured(node, i)->name, configured(node, i)->media);
        }
    }
    return true;
}

/* Whether the medium is a file that does not exist and is to be made. */
static bool is_to_be_made(const struct mkv_config_drive *own) {
    struct stat status;
    return own->size_bytes >= MKV_DRIVE_BYTES_MIN && strncmp(own->media, "/dev/", 5) != 0 &&
           stat(own->media, &status) != 0 && errno == ENOENT;
}

/* Whether the medium is not there at all: as a drive that was pulled, or a file that was moved away
 * and is not to be made anew. */
static bool is_absent(const struct mkv_config_drive *own) {
    struct stat status;
    if (stat(own->media, &status) != 0) {
        return errno == ENXIO || errno == ENODEV || (errno == ENOENT && own->size_bytes == 0);
    }
    if (!S_ISBLK(status.st_mode)) {
        return false;
    }
    const int fd = open(own->media, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENXIO || errno == ENODEV || errno == ENOMEDIUM;
    }
    close(fd);
    return false;
}

/* Opens the medium; what it holds is not looked at. */
static bool open_as(const struct mkv_node *node, const struct mkv_config_drive *own,
                    struct node_drive *drive, struct mkv_backend_error *error) {
    const struct mkv_drive_open_options options = {
        .name = own->name,
        .media = own->media,
        .size_bytes = own->size_bytes,
        .mode = node->config.storage.mode == MKV_CONFIG_STORAGE_DIRECT ? MKV_DRIVE_MODE_DIRECT
                                                                       : MKV_DRIVE_MODE_FILE,
        .lock_wait_ms = LOCK_WAIT_MS,
    };
    if (!mkv_drive_open(&options, &drive->media, error)) {
        drive->media.fd = -1;
        return false;
    }
    drive->media_is_ours = true;
    drive->file_created = drive->media.created;
    drive->block_device = drive->media.block_device;
    drive->direct = drive->media.direct;
    drive->flush_needed = drive->media.flush_needed;
    mkv_drive_identity_read(drive->media.fd, &drive->identity);
    return true;
}

static bool open_medium(struct mkv_node *node, uint32_t index, struct mkv_backend_error *error) {
    struct node_drive *drive = &node->drives[index];
    drive->media.fd = -1;
    return check_distinct(node, index, error) &&
           open_as(node, configured(node, index), drive, error);
}

/* A drive that is not there, or none of whose superblocks can be read, is absent, and `error` says
 * why; what else is wrong with it refuses the start. A file that is to be made is blank: making it
 * before anything is decided would stand in the way of the one that was there. */
static bool look_at_drive(struct mkv_node *node, uint32_t index, struct mkv_backend_error *error) {
    struct node_drive *drive = &node->drives[index];
    const struct mkv_config_drive *own = configured(node, index);
    *drive = (struct node_drive){.media.fd = -1};
    drive->to_make = is_to_be_made(own);
    node->drive_count = index + 1;
    if (drive->to_make) {
        drive->media.capacity_units = own->size_bytes / MKV_UNIT_BYTES;
        return true;
    }
    if (!open_medium(node, index, error)) {
        drive->absent = is_absent(own);
        drive->failure = MKV_DRIVE_FAILURE_GONE;
        return drive->absent;
    }
    drive->absent = !mkv_drive_probe(&drive->media, own->name, own->media, &drive->probe, error);
    drive->failure = drive->absent ? MKV_DRIVE_FAILURE_IO_ERROR : MKV_DRIVE_FAILURE_NONE;
    return true;
}

/* Makes the files that were waiting for the decision. Another process may have been faster. */
static bool make_drive(struct mkv_node *node, uint32_t index, struct mkv_backend_error *error) {
    struct node_drive *drive = &node->drives[index];
    const struct mkv_config_drive *own = configured(node, index);
    if (!open_medium(node, index, error) ||
        !mkv_drive_probe(&drive->media, own->name, own->media, &drive->probe, error)) {
        return false;
    }
    if (drive->probe.kind == MKV_DRIVE_PROBE_BLANK) {
        return true;
    }
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "drive %s: store file %s came while the node started. Start again, "
                              "and see that no other process uses it",
                              own->name, own->media);
}

/* What a drive gets that holds nothing yet. */
static bool plan_geometry(const struct mkv_config_drive *own, uint64_t units,
                          struct mkv_geometry *geometry, struct mkv_backend_error *error) {
    const struct mkv_geometry_options defaults = {0};
    const enum mkv_err err = mkv_geometry_plan(units, &defaults, geometry);
    if (err == MKV_OK) {
        return true;
    }
    char size[MKV_SIZE_TEXT_BYTES];
    mkv_size_format(units * MKV_UNIT_BYTES, size);
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s has %s, which is too %s for a store. Name a %s one",
                              own->name, own->media, size,
                              err == MKV_ERR_TOO_SMALL ? "small" : "large",
                              err == MKV_ERR_TOO_SMALL ? "larger" : "smaller");
}

/* What is known of each drive, for the decision. */
static bool make_candidates(const struct mkv_node *node,
                            struct mkv_drive_set_candidate candidates[MKV_VOLUMES_MAX],
                            struct mkv_backend_error *error) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        const struct node_drive *drive = &node->drives[i];
        struct mkv_geometry geometry = drive->probe.superblock.geometry;
        candidates[i] = (struct mkv_drive_set_candidate){
            .name = configured(node, i)->name,
            .path = configured(node, i)->media,
            .probe = drive->absent ? NULL : &drive->probe,
        };
        if (drive->absent) {
            continue;
        }
        if (drive->probe.kind == MKV_DRIVE_PROBE_BLANK &&
            !plan_geometry(configured(node, i), drive->media.capacity_units, &geometry, error)) {
            return false;
        }
        candidates[i].usable_units = mkv_geometry_usable_units(&geometry);
    }
    return true;
}

/* The drives that are not there leave the configuration of this run. */
static void leave_out_absent(struct mkv_node *node) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < node->drive_count; i++) {
        struct mkv_config_drive *own = &node->config.storage.drives[i];
        if (node->drives[i].absent) {
            if (node->drives[i].media_is_ours) {
                mkv_drive_media_close(&node->drives[i].media);
            }
            node->absent[node->absent_count] = *own;
            node->absent_failures[node->absent_count] = node->drives[i].failure;
            node->absent_count++;
            continue;
        }
        if (kept != i) {
            node->config.storage.drives[kept] = *own;
            node->drives[kept] = node->drives[i];
            node->drives[i] = (struct node_drive){.media.fd = -1};
        }
        kept++;
    }
    node->drive_count = kept;
    node->config.storage.drive_count = kept;
}

static bool judge_set(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_drive_set_candidate candidates[MKV_VOLUMES_MAX];
    return make_candidates(node, candidates, error) &&
           mkv_drive_set_judge(candidates, node->drive_count, node->options.lost,
                               &mkv_drive_set_random_kernel, &node->plan, error);
}

/* `absent_error` says why the first absent drive is. */
static bool decide_set(struct mkv_node *node, const struct mkv_backend_error *absent_error,
                       struct mkv_backend_error *error) {
    bool any_store = false;
    bool any_absent = false;
    for (uint32_t i = 0; i < node->drive_count; i++) {
        any_absent = any_absent || node->drives[i].absent;
        any_store = any_store || (!node->drives[i].absent &&
                                  node->drives[i].probe.kind == MKV_DRIVE_PROBE_STORE);
    }
    if (any_absent && !any_store) {
        *error = *absent_error; /* there is no store that it could be missing from */
        return false;
    }
    if (!judge_set(node, error)) {
        node->may_wait = mkv_drive_set_may_wait(&node->plan);
        return false;
    }
    if (!any_absent) {
        return true;
    }
    leave_out_absent(node);
    return judge_set(node, error);
}

static void warn_of_absent(struct mkv_node *node) {
    for (uint32_t i = 0; i < node->absent_count; i++) {
        const struct mkv_config_drive *drive = &node->absent[i];
        mkv_node_warn(node, MKV_ADMIN_WARNING_DRIVE_OFFLINE, drive,
                      "look at dmesg; bring the drive back and restart, when it joins empty; or "
                      "take it out of storage.drives",
                      node->absent_failures[i] == MKV_DRIVE_FAILURE_GONE
                          ? "drive %s (%s) is not there; the node goes on without it"
                          : "drive %s (%s) cannot be read; the node goes on without it",
                      drive->name, drive->media);
    }
}

/* Says of each drive what the decision does to what it holds. */
static void say_actions(struct mkv_node *node) {
    static const char *const words[] = {
        [MKV_DRIVE_KEEP_AND_RAISE] = "drive was one drive set behind, keeps its blocks",
        [MKV_DRIVE_JOIN_EMPTY] = "drive was away while the others went on, joins empty",
        [MKV_DRIVE_FOREIGN] = NULL,
    };
    for (uint32_t i = 0; i < node->drive_count; i++) {
        const char *text = words[node->plan.actions[i]];
        const struct mkv_log_field fields[] = {
            {.name = "drive", .text = configured(node, i)->name},
            {.name = "drive_set", .number = node->plan.first.version},
        };
        if (text != NULL) {
            mkv_log_write(node->log, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_WARN, "server.node", fields,
                          2, "%s", text);
        }
    }
}

static bool choose_trim(const struct mkv_node *node, const struct mkv_config_drive *own,
                        const struct mkv_drive_media *media, bool *trim,
                        struct mkv_backend_error *error) {
    const enum mkv_config_storage_trim setting = node->config.storage.trim;
    *trim = media->trim_supported && (setting == MKV_CONFIG_TRIM_ON ||
                                      (setting == MKV_CONFIG_TRIM_AUTO && media->block_device));
    if (setting != MKV_CONFIG_TRIM_ON || *trim) {
        return true;
    }
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s cannot be trimmed, which storage.trim on needs: %s. "
                              "Set storage.trim: auto",
                              own->name, own->media,
                              media->block_device ? "the kernel reports no discard for the device"
                                                  : "its file system does not punch holes");
}

/* All that is configured of a volume, but for who its drive is and its geometry. */
static bool configure_common(const struct mkv_node *node, const struct mkv_config_drive *own,
                             uint32_t index, const struct mkv_drive_media *media,
                             struct mkv_volume_config *volume, struct mkv_backend_error *error) {
    mkv_node_volume_limits(node->config.memory.max_size_bytes, node->drive_count, volume);
    volume->volume = index;
    volume->capacity_units = media->capacity_units;
    volume->store_uuid = node->plan.store_uuid;
    volume->eviction = node->config.storage.eviction == MKV_CONFIG_EVICTION_ON;
    volume->never_empties = !volume->eviction;
    volume->scrub_rate = node->config.storage.scrub_rate;
    volume->admission = (enum mkv_admission)node->config.storage.admission;
    volume->write_limit = node->config.storage.write_limit;
    /* Of 1000; less than one of them is none. */
    volume->lease_share =
        (uint32_t)(node->config.storage.lease_share_max / (MKV_CONFIG_RATIO_ONE / 1000));
    volume->lease_share = volume->lease_share == 0 ? MKV_LEASE_SHARE_NONE : volume->lease_share;
    volume->session_idle_ns = node->config.storage.session_idle_s * NS_PER_S;
    volume->session_max = (uint32_t)node->config.storage.sessions_max;
    volume->session_block_max = (uint32_t)node->config.storage.session_blocks_max;
    return choose_trim(node, own, media, &volume->trim, error);
}

static bool configure_volume(struct mkv_node *node, uint32_t index,
                             struct mkv_backend_error *error) {
    struct node_drive *drive = &node->drives[index];
    struct mkv_volume_config *volume = &drive->volume;
    const struct mkv_config_drive *own = configured(node, index);
    if (!configure_common(node, own, index, &drive->media, volume, error)) {
        return false;
    }
    volume->drive_uuid = node->plan.drive_uuids[index];
    volume->drive_set = node->plan.newest;
    if (mkv_drive_set_find(&node->plan.newest, volume->drive_uuid) == MKV_NONE_U32) {
        mkv_drive_set_outside(volume->drive_uuid, &volume->drive_set); /* it joins, if it is new */
    }
    if (node->plan.actions[index] == MKV_DRIVE_FORMAT) {
        return plan_geometry(own, drive->media.capacity_units, &volume->geometry, error);
    }
    volume->geometry = drive->probe.superblock.geometry;
    return true;
}

bool mkv_node_drives_open(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_backend_error absent_error = {0};
    bool done = make_dev_directory(node, error);
    node->may_wait = false;
    for (uint32_t i = 0; i < node->config.storage.drive_count && done; i++) {
        done = look_at_drive(node, i, error);
        if (done && node->drives[i].absent && absent_error.failure == MKV_BACKEND_OK) {
            absent_error = *error;
        }
    }
    done = done && decide_set(node, &absent_error, error);
    for (uint32_t i = 0; i < node->drive_count && done; i++) {
        done = (!node->drives[i].to_make || make_drive(node, i, error)) &&
               configure_volume(node, i, error) &&
               mkv_node_room_check_size(node, configured(node, i), &node->drives[i], error) &&
               mkv_node_room_reserve(configured(node, i), &node->drives[i], error);
    }
    if (!done) {
        mkv_node_drives_close(node);
        return false;
    }
    *error = (struct mkv_backend_error){0};
    warn_of_absent(node);
    say_actions(node);
    return true;
}

void mkv_node_drives_close(struct mkv_node *node) {
    for (uint32_t i = node->drive_count; i > 0; i--) {
        struct node_drive *drive = &node->drives[i - 1];
        /* Before the lock is let go, so that nobody else has the file meanwhile. */
        if (drive->file_created) {
            (void)unlink(configured(node, i - 1)->media);
        }
        if (drive->media_is_ours) {
            mkv_drive_media_close(&drive->media);
        }
        drive->media_is_ours = false;
        drive->file_created = false;
    }
    if (node->directory_created) {
        char directory[MKV_CONFIG_PATH_BYTES];
        dev_directory(node, directory);
        (void)rmdir(directory); /* stays when there is something in it */
        node->directory_created = false;
    }
    node->drive_count = 0;
}

/* ---- formatting ----------------------------------------------------------------------------- */

static bool format_as(const struct mkv_node *node, const struct mkv_config_drive *own,
                      struct node_drive *drive, struct mkv_backend_error *error) {
    const struct mkv_node_format_options options = {
        .name = own->name,
        .path = own->media,
        .media = &drive->media,
        .config = &drive->volume,
    };
    if (!mkv_node_format_alone(&options, error)) {
        return false;
    }
    drive->file_created = false;
    drive->formatted_now = true;
    const struct mkv_log_field fields[] = {
        {.name = "drive", .text = own->name},
        {.name = "path", .text = own->media},
        {.name = "bytes", .number = drive->media.capacity_units * MKV_UNIT_BYTES},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_DRIVE, MKV_CONFIG_LOG_INFO, "server.node", fields, 3,
                  "formatted a new drive");
    return true;
}

static bool format_drive(struct mkv_node *node, uint32_t index, struct mkv_backend_error *error) {
    return format_as(node, configured(node, index), &node->drives[index], error);
}

bool mkv_node_drives_to_format(const struct mkv_node *node) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        if (node->plan.actions[i] == MKV_DRIVE_FORMAT) {
            return true;
        }
    }
    return false;
}

bool mkv_node_drives_format(struct mkv_node *node, struct mkv_backend_error *error) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        if (node->plan.actions[i] == MKV_DRIVE_FORMAT && !format_drive(node, i, error)) {
            return false;
        }
    }
    /* The store that is in the directory now is the user's. */
    node->directory_created = false;
    return true;
}

/* ---- while it serves ------------------------------------------------------------------------- */

void mkv_node_drive_now(struct mkv_node *node, uint32_t index, struct mkv_config_drive *out) {
    pthread_mutex_lock(&node->mutex);
    *out = *configured(node, index);
    pthread_mutex_unlock(&node->mutex);
}

bool mkv_node_drive_look(const struct mkv_node *node, const struct mkv_config_drive *own,
                         uint32_t index, struct node_drive *drive,
                         struct mkv_backend_error *error) {
    *drive = (struct node_drive){.media.fd = -1};
    if (!open_as(node, own, drive, error)) {
        return false;
    }
    struct mkv_volume_config *volume = &drive->volume;
    bool done = mkv_drive_probe(&drive->media, own->name, own->media, &drive->probe, error) &&
                configure_common(node, own, index, &drive->media, volume, error);
    if (done && drive->probe.kind == MKV_DRIVE_PROBE_BLANK) {
        done = plan_geometry(own, drive->media.capacity_units, &volume->geometry, error);
    } else if (done && drive->probe.kind == MKV_DRIVE_PROBE_STORE) {
        volume->geometry = drive->probe.superblock.geometry;
    }
    done = done && mkv_node_room_check_size(node, own, drive, error);
    if (!done) {
        mkv_node_drive_leave(own, drive);
    }
    return done;
}

void mkv_node_drive_leave(const struct mkv_config_drive *own, struct node_drive *drive) {
    if (drive->file_created) {
        (void)unlink(own->media);
    }
    if (drive->media_is_ours) {
        mkv_drive_media_close(&drive->media);
    }
    *drive = (struct node_drive){.media.fd = -1};
}

bool mkv_node_drive_format(const struct mkv_node *node, const struct mkv_config_drive *own,
                           struct node_drive *drive, struct mkv_backend_error *error) {
    MKV_ASSERT(drive->probe.kind == MKV_DRIVE_PROBE_BLANK);
    return format_as(node, own, drive, error);
}
