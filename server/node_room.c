/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store files and the file systems that they lie on. The size of a store file is the most that it
 * ever takes there; what this sees to is that it is told when a file system has not as much, and
 * that what a store cannot do without has its room from the start.
 *
 * A file system that is too small is a warning and never a refusal: running out of room costs puts
 * and no block, file systems grow, and a restart beside a neighbour that has filled the disk would
 * turn a lack of room into an outage.
 */
#include "server/node_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/drive_reserve.h"
#include "server/size.h"

#define STAT_BLOCK_BYTES 512u

/* ---- at the start --------------------------------------------------------------------------- */

/* In MiB, which people read: upwards or downwards. */
static void mebibytes(uint64_t bytes, bool up, char out[MKV_SIZE_TEXT_BYTES]) {
    mkv_size_format((up ? mkv_divide_up_u64(bytes, MKV_MIB) : bytes / MKV_MIB) * MKV_MIB, out);
}

bool mkv_node_room_check_size(const struct mkv_node *node, const struct mkv_config_drive *own,
                              const struct node_drive *drive, struct mkv_backend_error *error) {
    /* A file may be longer than its store, which takes nothing of the rest. */
    const uint64_t bytes = drive->volume.geometry.capacity_units * MKV_UNIT_BYTES;
    /* The size of --dev is nobody's wish. */
    if (drive->media.block_device || own->size_bytes == 0 || bytes <= own->size_bytes ||
        node->config.origins[MKV_CONFIG_STORAGE_DRIVES].layer == MKV_CONFIG_LAYER_DEV) {
        return true;
    }
    char has[MKV_SIZE_TEXT_BYTES];
    char may[MKV_SIZE_TEXT_BYTES];
    mkv_size_format(bytes, has);
    mkv_size_format(own->size_bytes, may);
    return mkv_backend_refuse(
        error, MKV_BACKEND_CONFIGURATION,
        "drive %s: store file %s has %s, and its size, which is the most that "
        "it may take, is %s. A store keeps the size that it was made with: "
        "set size: %s, or remove the file, and all that it holds, to begin "
        "with a smaller one",
        own->name, own->media, has, may, has);
}

bool mkv_node_room_reserve(const struct mkv_config_drive *own, const struct node_drive *drive,
                           struct mkv_backend_error *error) {
    const struct mkv_geometry *geometry = &drive->volume.geometry;
    const int error_number = mkv_drive_reserve(&drive->media, geometry);
    if (error_number == 0 || error_number == EOPNOTSUPP || error_number == ENOSYS) {
        return true;
    }
    char needed[MKV_SIZE_TEXT_BYTES];
    mebibytes(mkv_drive_reserve_bytes(geometry), true, needed);
    return mkv_backend_refuse(
        error, MKV_BACKEND_IO,
        "drive %s: there is no room for the %s of journal and tables of store "
        "file %s: %s. Free space on its file system, or give a store that is "
        "to be made a smaller size",
        own->name, needed, own->media, strerror(error_number));
}

/* ---- while it runs -------------------------------------------------------------------------- */

struct place {
    bool is_file;
    dev_t device;
    uint64_t own_bytes;
    uint64_t free_bytes;
};

/* By name: the descriptor is the shard's, which may close it at any time. */
static struct place look_at_place(const struct mkv_admin_drive *drive, uint64_t capacity_bytes) {
    struct place place = {0};
    struct stat status;
    struct statvfs file_system;
    if (stat(drive->path, &status) != 0 || !S_ISREG(status.st_mode) ||
        statvfs(drive->path, &file_system) != 0) {
        return place;
    }
    const uint64_t taken_bytes = (uint64_t)status.st_blocks * STAT_BLOCK_BYTES;
    const uint64_t blocks = geteuid() == 0 ? file_system.f_bfree : file_system.f_bavail;
    place.is_file = true;
    place.device = status.st_dev;
    place.own_bytes = capacity_bytes > taken_bytes ? capacity_bytes - taken_bytes : 0;
    place.free_bytes = blocks * file_system.f_frsize;
    return place;
}

static void tell_small(struct mkv_node *node, const struct mkv_config_drive *own, bool small,
                       const struct mkv_watch_room_facts *facts) {
    if (!small) {
        mkv_node_warn_over(node, MKV_ADMIN_WARNING_FILE_SYSTEM_SMALL, own);
        return;
    }
    char grows[MKV_SIZE_TEXT_BYTES];
    char needed[MKV_SIZE_TEXT_BYTES];
    char has[MKV_SIZE_TEXT_BYTES];
    mebibytes(facts->own_bytes, true, grows);
    mebibytes(facts->needed_bytes, true, needed);
    mebibytes(facts->free_bytes, false, has);
    mkv_node_warn(node, MKV_ADMIN_WARNING_FILE_SYSTEM_SMALL, own,
                  "free space there or make the file system larger; or make the store anew with a "
                  "smaller size. When it is full puts are refused, and what is stored stays",
                  "drive %s may take %s more of the file system of %s, which has %s free for the "
                  "%s that its drives may take",
                  own->name, grows, own->media, has, needed);
}

static void tell_full(struct mkv_node *node, const struct mkv_config_drive *own, bool full) {
    if (!full) {
        mkv_node_warn_over(node, MKV_ADMIN_WARNING_FILE_SYSTEM_FULL, own);
        return;
    }
    mkv_node_warn(node, MKV_ADMIN_WARNING_FILE_SYSTEM_FULL, own,
                  "free space on its file system, or raise the quota of the user that memkv runs "
                  "as: puts go on by themselves when there is room",
                  "drive %s: a write to %s found no room on its file system: such puts are refused "
                  "with no_space, and what is stored stays",
                  own->name, own->media);
}

void mkv_node_room_look(struct mkv_node *node, const struct mkv_admin_snapshot *snapshot,
                        struct mkv_watch_room rooms[MKV_VOLUMES_MAX]) {
    struct place places[MKV_VOLUMES_MAX];
    const uint32_t count = (uint32_t)mkv_min_u64(snapshot->drive_count, node->drive_count);
    for (uint32_t index = 0; index < count; index++) {
        pthread_mutex_lock(&node->mutex); /* another drive may come in its place */
        const uint64_t units = node->drives[index].volume.geometry.capacity_units;
        pthread_mutex_unlock(&node->mutex);
        places[index] = look_at_place(&snapshot->drives[index], units * MKV_UNIT_BYTES);
    }
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    for (uint32_t index = 0; index < count; index++) {
        if (!places[index].is_file) {
            continue;
        }
        struct mkv_watch_room_facts facts = {
            .own_bytes = places[index].own_bytes,
            .free_bytes = places[index].free_bytes,
            .no_room = snapshot->drives[index].io[MKV_ADMIN_IO_WRITE].no_room,
        };
        for (uint32_t other = 0; other < count; other++) {
            if (places[other].is_file && places[other].device == places[index].device) {
                facts.needed_bytes += places[other].own_bytes;
            }
        }
        struct mkv_config_drive own;
        mkv_node_drive_now(node, index, &own);
        mkv_watch_room_look(&rooms[index], &facts, now_ns);
        tell_small(node, &own, rooms[index].small, &facts);
        tell_full(node, &own, rooms[index].full);
    }
}
