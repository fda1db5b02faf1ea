/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_open.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <linux/fs.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backends/drive_facts.h"
#include "backends/drive_lock.h"

#define PATH_BYTES 1024u
/* What is read at a time when looking for zeroes. */
#define BLANK_STEP_BYTES (64u * 1024u)

/* ---- refusals ------------------------------------------------------------------------------- */

static void directory_of(const char *path, char out[PATH_BYTES]) {
    char copy[PATH_BYTES];
    snprintf(copy, sizeof copy, "%.1023s", path);
    snprintf(out, PATH_BYTES, "%.1023s", dirname(copy));
}

static bool refuse_permission(const char *name, const char *path, struct mkv_backend_error *error) {
    char user[64];
    const struct passwd *entry = getpwuid(geteuid());
    snprintf(user, sizeof user, "%.40s", entry != NULL ? entry->pw_name : "of this process");
    return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                              "drive %s: user %s (uid %u) may not read and write %s. Run: chown %u "
                              "%s (for a device: a udev rule that gives it to that user)",
                              name, user, (unsigned)geteuid(), path, (unsigned)geteuid(), path);
}

/* What an errno of opening or creating comes to, for the person who configured the drive. */
static bool refuse_open(const char *name, const char *path, int error_number,
                        struct mkv_backend_error *error) {
    switch (error_number) {
    case EACCES:
    case EPERM:
        return refuse_permission(name, path, error);
    case EROFS:
        return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                  "drive %s: %s can only be read. Mount its file system for "
                                  "writing, or run: blockdev --setrw on the device",
                                  name, path);
    case ENOSPC:
    case EDQUOT:
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: the file system of %s is full. Free space there, or "
                                  "name a path on another file system",
                                  name, path);
    case EFBIG:
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s would be larger than its file system or the limit "
                                  "of this process (ulimit -f) allows. Give the drive a smaller "
                                  "size",
                                  name, path);
    case ENXIO:
    case ENODEV:
    case ENOMEDIUM:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: device %s does not answer. See whether the drive is "
                                  "still there: lsblk, dmesg",
                                  name, path);
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s is not a path that can be opened: %s. Correct "
                                  "storage.drives",
                                  name, path, strerror(error_number));
    default:
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: %s cannot be opened: %s. See dmesg for the cause",
                                  name, path, strerror(error_number));
    }
}

static bool refuse_missing(const struct mkv_drive_open_options *options,
                           struct mkv_backend_error *error) {
    char directory[PATH_BYTES];
    directory_of(options->media, directory);
    bool device = strncmp(options->media, "/dev/", 5) == 0;
    if (device) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: device %s does not exist. Correct storage.drives, or "
                                  "see whether the drive is there: lsblk",
                                  options->name, options->media);
    }
    if (access(directory, F_OK) != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: directory %s of store file %s does not exist. Run: "
                                  "mkdir -p %s",
                                  options->name, directory, options->media, directory);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: store file %s does not exist. Give the drive a size to "
                              "have it created, or correct its media in storage.drives",
                              options->name, options->media);
}

/* ---- O_DIRECT ------------------------------------------------------------------------------- */

/* Switches to O_DIRECT and tries one unit. False with errno when the medium cannot do it. Errors of
 * the medium itself are left to whoever reads for content. */
static bool direct_probe(int fd) {
    _Alignas(MKV_UNIT_BYTES) uint8_t unit[MKV_UNIT_BYTES];
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) {
        return false;
    }
    if (pread(fd, unit, sizeof unit, 0) >= 0 || errno != EINVAL) {
        return true;
    }
    int result = fcntl(fd, F_SETFL, flags);
    MKV_ASSERT(result == 0);
    errno = EINVAL;
    return false;
}

static bool use_direct(const struct mkv_drive_open_options *options, struct mkv_drive_media *media,
                       struct mkv_backend_error *error) {
    media->direct = direct_probe(media->fd);
    if (media->direct || options->mode == MKV_DRIVE_MODE_FILE) {
        return true;
    }
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s does not take O_DIRECT in units of 4 KiB, which "
                              "storage.mode direct needs. Name a drive or file system that does, "
                              "or set storage.mode: file",
                              options->name, options->media);
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Makes the directory entry durable: fsync of a file does not promise that (I3). */
bool mkv_drive_directory_sync(const char *path) {
    char directory[PATH_BYTES];
    directory_of(path, directory);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool synced = fsync(fd) == 0;
    int error_number = errno;
    close(fd);
    errno = error_number;
    return synced;
}

/* Gives an empty file its size. No space is taken until it is written. */
static bool fill_in_size(const struct mkv_drive_open_options *options,
                         struct mkv_drive_media *media, struct mkv_backend_error *error) {
    if (options->size_bytes < MKV_DRIVE_BYTES_MIN) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: a size of %" PRIu64 " bytes is too small for store "
                                  "file %s. Set it to at least 1MiB",
                                  options->name, options->size_bytes, options->media);
    }
    uint64_t bytes = options->size_bytes / MKV_UNIT_BYTES * MKV_UNIT_BYTES;
    if (bytes > INT64_MAX) {
        return refuse_open(options->name, options->media, EFBIG, error);
    }
    if (ftruncate(media->fd, (off_t)bytes) != 0 || fsync(media->fd) != 0 ||
        !mkv_drive_directory_sync(options->media)) {
        return refuse_open(options->name, options->media, errno, error);
    }
    return true;
}

/* Tried behind the end of the file, where there is nothing to lose. */
static bool file_takes_holes(int fd, off_t size) {
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, size, MKV_UNIT_BYTES) == 0;
}

/* A file that is attached to a loop device may be mounted there, or have a daemon: its lock does
 * not say so. */
static bool is_nobodys(const struct mkv_drive_open_options *options,
                       const struct mkv_drive_media *media, struct mkv_backend_error *error) {
    struct mkv_drive_facts facts;
    return !mkv_drive_facts_read_fd(&mkv_drive_roots_kernel, media->fd, &facts) ||
           facts.holder_count == 0 ||
           mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "file %s is attached to %s, through which somebody may use it. Name "
                              "the device instead, or run: losetup --detach /dev/%s",
                              options->media, facts.holders, facts.holders);
}

/* Everything between having the descriptor and having the medium. */
static bool set_up_file(const struct mkv_drive_open_options *options, struct mkv_drive_media *media,
                        struct mkv_backend_error *error) {
    struct stat status;
    if (!mkv_drive_lock_file(media->fd, options->name, options->media, options->lock_wait_ms,
                             error)) {
        return false;
    }
    if (!options->read_only && !is_nobodys(options, media, error)) {
        return false;
    }
    /* Only now: another process may have been creating it until it let go of the lock. */
    if (fstat(media->fd, &status) != 0) {
        return refuse_open(options->name, options->media, errno, error);
    }
    if (status.st_nlink == 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: store file %s was removed while it was being opened. "
                                  "Start again, and see that no other process uses it",
                                  options->name, options->media);
    }
    if (status.st_size == 0 && options->size_bytes != 0) {
        media->created = true;
        if (!fill_in_size(options, media, error)) {
            return false;
        }
        if (fstat(media->fd, &status) != 0) {
            return refuse_open(options->name, options->media, errno, error);
        }
    }
    if ((uint64_t)status.st_size < MKV_DRIVE_BYTES_MIN) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: store file %s has %" PRIu64 " bytes, too few for a "
                                  "store (1MiB). Remove it and give the drive a size, or correct "
                                  "its media",
                                  options->name, options->media, (uint64_t)status.st_size);
    }
    media->capacity_units = (uint64_t)status.st_size / MKV_UNIT_BYTES;
    media->flush_needed = true;
    media->trim_supported = !options->read_only && file_takes_holes(media->fd, status.st_size);
    media->queue_depth = MKV_DRIVE_DEPTH_MAX;
    return use_direct(options, media, error);
}

static bool open_file(const struct mkv_drive_open_options *options, bool exists,
                      struct mkv_drive_media *media, struct mkv_backend_error *error) {
    MKV_ASSERT(exists || !options->read_only);
    int flags = (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (exists ? 0 : O_CREAT);
    media->fd = open(options->media, flags, S_IRUSR | S_IWUSR);
    if (media->fd < 0 && errno == ENOENT) {
        return refuse_missing(options, error);
    }
    if (media->fd < 0) {
        return refuse_open(options->name, options->media, errno, error);
    }
    if (set_up_file(options, media, error)) {
        return true;
    }
    /* What this call made and could not finish leaves no trace. */
    if (media->created && !exists) {
        (void)unlink(options->media);
    }
    mkv_drive_media_close(media);
    return false;
}

/* ---- block devices -------------------------------------------------------------------------- */

/* Reads what the kernel reports in this file about the device's queue or, for a partition, about
 * that of its disk. False when it reports nothing. */
static bool device_queue_read(dev_t device, const char *name, char text[32]) {
    static const char *const places[] = {"queue", "../queue"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/%s", major(device), minor(device),
                 places[i], name);
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            continue;
        }
        const char *read = fgets(text, 32, file);
        fclose(file);
        return read != NULL;
    }
    return false;
}

/* Whether the kernel reports a volatile cache, or nothing at all. */
static bool device_needs_flush(dev_t device) {
    char text[32];
    return !device_queue_read(device, "write_cache", text) || strcmp(text, "write through\n") != 0;
}

static bool device_takes_discard(dev_t device) {
    char text[32];
    return device_queue_read(device, "discard_max_bytes", text) && strtoull(text, NULL, 10) > 0;
}

/* What the device's queue takes; a device that says nothing is taken for one that takes all. */
static uint32_t device_depth(dev_t device) {
    char text[32];
    uint64_t depth = MKV_DRIVE_DEPTH_MAX;
    if (device_queue_read(device, "nr_requests", text)) {
        depth = strtoull(text, NULL, 10);
    }
    return (uint32_t)mkv_max_u64(mkv_min_u64(depth, MKV_DRIVE_DEPTH_MAX), MKV_DRIVE_DEPTH_MIN);
}

static bool set_up_device(const struct mkv_drive_open_options *options, dev_t device,
                          struct mkv_drive_media *media, struct mkv_backend_error *error) {
    uint64_t bytes = 0;
    if (ioctl(media->fd, BLKGETSIZE64, &bytes) != 0) {
        return refuse_open(options->name, options->media, errno, error);
    }
    if (bytes < MKV_DRIVE_BYTES_MIN) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: device %s has %" PRIu64 " bytes, too few for a store "
                                  "(1MiB). Name another device",
                                  options->name, options->media, bytes);
    }
    media->capacity_units = bytes / MKV_UNIT_BYTES;
    media->flush_needed = device_needs_flush(device);
    media->trim_supported = device_takes_discard(device);
    media->queue_depth = device_depth(device);
    return use_direct(options, media, error);
}

static bool open_device(const struct mkv_drive_open_options *options, dev_t device,
                        struct mkv_drive_media *media, struct mkv_backend_error *error) {
    media->block_device = true;
    media->fd = mkv_drive_lock_device(options->name, options->media, device, options->lock_wait_ms,
                                      options->read_only, error);
    if (media->fd < 0) {
        return errno == 0 ? false : refuse_open(options->name, options->media, errno, error);
    }
    if (set_up_device(options, device, media, error)) {
        return true;
    }
    mkv_drive_media_close(media);
    return false;
}

/* ---- calls ---------------------------------------------------------------------------------- */

bool mkv_drive_open(const struct mkv_drive_open_options *options, struct mkv_drive_media *media,
                    struct mkv_backend_error *error) {
    MKV_ASSERT(options->name != NULL);
    MKV_ASSERT(options->media != NULL);
    *media = (struct mkv_drive_media){.fd = -1};
    struct stat status;
    if (stat(options->media, &status) != 0) {
        if (errno != ENOENT) {
            return refuse_open(options->name, options->media, errno, error);
        }
        /* A file under /dev would be made in memory, of all places. */
        if (options->size_bytes == 0 || strncmp(options->media, "/dev/", 5) == 0) {
            return refuse_missing(options, error);
        }
        return open_file(options, false, media, error);
    }
    if (S_ISREG(status.st_mode)) {
        return open_file(options, true, media, error);
    }
    if (S_ISBLK(status.st_mode)) {
        return open_device(options, status.st_rdev, media, error);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s is %s. Name a block device or the path of a store file "
                              "in storage.drives",
                              options->name, options->media,
                              S_ISDIR(status.st_mode) ? "a directory"
                                                      : "neither a file nor a block device");
}

void mkv_drive_media_close(struct mkv_drive_media *media) {
    MKV_ASSERT(media->fd >= 0);
    /* Unlocked by name: a descriptor that a child process inherited, or that the kernel is still
     * letting go of, would otherwise keep the lock. */
    if (!media->block_device) {
        (void)flock(media->fd, LOCK_UN);
    }
    close(media->fd);
    media->fd = -1;
}

static void pass_over(uint64_t passed_over, uint64_t offset, size_t bytes, uint8_t *buffer) {
    for (uint64_t unit = 0; unit < 64; unit++) {
        const uint64_t at = unit * MKV_UNIT_BYTES;
        if ((passed_over >> unit & 1) != 0 && at >= offset && at < offset + bytes) {
            memset(buffer + (at - offset), 0, MKV_UNIT_BYTES);
        }
    }
}

static bool range_is_blank(int fd, uint64_t start, uint64_t end, uint64_t passed_over,
                           uint8_t *buffer, bool *blank) {
    for (uint64_t offset = start; offset < end; offset += BLANK_STEP_BYTES) {
        size_t bytes = mkv_min_u64(BLANK_STEP_BYTES, end - offset);
        if (pread(fd, buffer, bytes, (off_t)offset) != (ssize_t)bytes) {
            return false;
        }
        pass_over(passed_over, offset, bytes, buffer);
        if (buffer[0] != 0 || memcmp(buffer, buffer + 1, bytes - 1) != 0) {
            *blank = false;
            return true;
        }
    }
    return true;
}

bool mkv_drive_media_blank(const struct mkv_drive_media *media, const char *name, bool *blank,
                           struct mkv_backend_error *error) {
    return mkv_drive_media_blank_but(media, name, 0, blank, error);
}

bool mkv_drive_media_blank_but(const struct mkv_drive_media *media, const char *name,
                               uint64_t passed_over, bool *blank, struct mkv_backend_error *error) {
    uint64_t capacity_bytes = media->capacity_units * MKV_UNIT_BYTES;
    MKV_ASSERT(capacity_bytes >= MKV_DRIVE_BYTES_MIN);
    *blank = true;
    uint8_t *buffer = aligned_alloc(MKV_UNIT_BYTES, BLANK_STEP_BYTES);
    bool done =
        buffer != NULL && range_is_blank(media->fd, 0, MKV_MIB, passed_over, buffer, blank) &&
        (!*blank ||
         range_is_blank(media->fd, capacity_bytes - MKV_MIB, capacity_bytes, 0, buffer, blank));
    int error_number = errno;
    free(buffer);
    if (!done) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: the first or last MiB cannot be read: %s. See dmesg; "
                                  "the drive may need replacing",
                                  name, strerror(error_number));
    }
    return true;
}
