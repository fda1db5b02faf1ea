/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/drive_open.h"

/* Of the flags in /proc/PID/stat: the process is on its way out (PF_EXITING). */
#define PROCESS_IS_EXITING 0x4u
/* Longer lines of /proc are of no interest here. */
#define LINE_BYTES 4096u
#define PATH_BYTES 1024u

static void sleep_step(void) {
    struct timespec step = {0, (long)MKV_DRIVE_LOCK_WAIT_STEP_MS * 1000000};
    /* A signal makes the step shorter, which does no harm. */
    (void)nanosleep(&step, NULL);
}

/* ---- files ---------------------------------------------------------------------------------- */

/* The process that /proc/locks names for a file, or 0: processes of other namespaces, and such as
 * have ended, are not listed. */
static pid_t flock_holder(int fd) {
    struct stat status;
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return 0;
    }
    pid_t holder = 0;
    char line[256];
    while (fstat(fd, &status) == 0 && fgets(line, sizeof line, locks) != NULL) {
        int pid;
        unsigned device_major;
        unsigned device_minor;
        unsigned long inode;
        /* "2: FLOCK  ADVISORY  WRITE 1234 fe:00:132073 0 EOF"; waiters have "->" before FLOCK. */
        if (sscanf(line, "%*s FLOCK %*s %*s %d %x:%x:%lu", &pid, &device_major, &device_minor,
                   &inode) == 4 &&
            inode == status.st_ino && device_major == major(status.st_dev) &&
            device_minor == minor(status.st_dev) && pid > 0) {
            holder = pid;
            break;
        }
    }
    fclose(locks);
    return holder;
}

/* Whether a process runs and is not about to end. */
static bool process_is_living(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    char line[LINE_BYTES];
    const char *read = fgets(line, sizeof line, file);
    fclose(file);
    /* "PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS"; NAME may hold anything but ends last.
     */
    const char *after_name = read == NULL ? NULL : strrchr(line, ')');
    char state;
    unsigned flags;
    if (after_name == NULL ||
        sscanf(after_name, ") %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2) {
        return false;
    }
    return state != 'Z' && state != 'X' && (flags & PROCESS_IS_EXITING) == 0;
}

bool mkv_drive_lock_file(int fd, const char *name, const char *path, uint32_t wait_ms,
                         struct mkv_backend_error *error) {
    MKV_ASSERT(wait_ms <= MKV_DRIVE_LOCK_WAIT_MS_MAX);
    uint64_t end_ns = mkv_clock_monotonic_ns() + (uint64_t)wait_ms * 1000000u;
    for (;;) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            return true;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                      "drive %s: store file %s cannot be locked: %s. Put it on a "
                                      "file system that has flock",
                                      name, path, strerror(errno));
        }
        pid_t holder = flock_holder(fd);
        bool living = holder != 0 && process_is_living(holder);
        if (living || mkv_clock_monotonic_ns() >= end_ns) {
            char who[32] = "";
            if (living) {
                snprintf(who, sizeof who, " (pid %d)", (int)holder);
            }
            return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                      "drive %s: store file %s is in use by another process%s. "
                                      "Stop that process, or give this node a file of its own",
                                      name, path, who);
        }
        sleep_step();
    }
}

/* ---- block devices -------------------------------------------------------------------------- */

/* Whether block device `part` is `whole` or one of its partitions. */
static bool device_is_within(dev_t part, dev_t whole) {
    if (part == whole) {
        return true;
    }
    char path[128];
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../dev", major(part), minor(part));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    unsigned parent_major = 0;
    unsigned parent_minor = 0;
    int fields = fscanf(file, "%u:%u", &parent_major, &parent_minor);
    fclose(file);
    return fields == 2 && makedev(parent_major, parent_minor) == whole;
}

/* Whether the device file at `path` is the device, or a partition of it. */
static bool path_is_within(const char *path, dev_t whole) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISBLK(status.st_mode) &&
           device_is_within(status.st_rdev, whole);
}

/* Where a file system of the device, or of a partition of it, is mounted. */
static bool mount_point_of(dev_t device, char point[PATH_BYTES]) {
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL) {
        return false;
    }
    bool found = false;
    char line[LINE_BYTES];
    while (!found && fgets(line, sizeof line, mounts) != NULL) {
        unsigned device_major;
        unsigned device_minor;
        char source[PATH_BYTES];
        const char *rest = strstr(line, " - ");
        if (rest == NULL ||
            sscanf(line, "%*d %*d %u:%u %*s %1023s", &device_major, &device_minor, point) != 3) {
            continue;
        }
        /* File systems with several devices have a number of their own; their source helps. */
        found = device_is_within(makedev(device_major, device_minor), device) ||
                (sscanf(rest, " - %*s %1023s", source) == 1 && path_is_within(source, device));
    }
    fclose(mounts);
    return found;
}

static bool is_swap(dev_t device) {
    FILE *swaps = fopen("/proc/swaps", "re");
    if (swaps == NULL) {
        return false;
    }
    bool found = false;
    char line[LINE_BYTES];
    char path[PATH_BYTES];
    while (!found && fgets(line, sizeof line, swaps) != NULL) {
        found = sscanf(line, "%1023s", path) == 1 && path_is_within(path, device);
    }
    fclose(swaps);
    return found;
}

/* The device that is built on this one: "md0", "dm-3". */
static bool device_built_on(dev_t device, char holder[64]) {
    char path[128];
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/holders", major(device), minor(device));
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return false;
    }
    bool found = false;
    const struct dirent *entry;
    while (!found && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.') {
            snprintf(holder, 64, "%.63s", entry->d_name);
            found = true;
        }
    }
    closedir(directory);
    return found;
}

/* True and an error when it is known what uses the device; such a use does not end by itself. */
static bool explain_use(const char *name, const char *path, dev_t device,
                        struct mkv_backend_error *error) {
    char point[PATH_BYTES];
    char holder[64];
    if (mount_point_of(device, point)) {
        mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                           "drive %s: %s holds a file system that is mounted at %s. Name another "
                           "device, or run: umount %s",
                           name, path, point, point);
        return true;
    }
    if (is_swap(device)) {
        mkv_backend_refuse(
            error, MKV_BACKEND_UNAVAILABLE,
            "drive %s: %s is in use as swap. Name another device, or run: swapoff %s", name, path,
            path);
        return true;
    }
    if (device_built_on(device, holder)) {
        mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                           "drive %s: %s is a part of %s (RAID, LVM or encryption). Name %s or "
                           "another device",
                           name, path, holder, holder);
        return true;
    }
    return false;
}

int mkv_drive_lock_device(const char *name, const char *path, dev_t device, uint32_t wait_ms,
                          bool read_only, struct mkv_backend_error *error) {
    MKV_ASSERT(wait_ms <= MKV_DRIVE_LOCK_WAIT_MS_MAX);
    uint64_t end_ns = mkv_clock_monotonic_ns() + (uint64_t)wait_ms * 1000000u;
    for (;;) {
        int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_EXCL | O_CLOEXEC);
        if (fd >= 0 || (errno != EBUSY && errno != EINTR)) {
            return fd;
        }
        if (explain_use(name, path, device, error)) {
            break;
        }
        if (mkv_clock_monotonic_ns() >= end_ns) {
            mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                               "drive %s: %s is in use by another process. Stop that process (find "
                               "it with: fuser -v %s), or name another device",
                               name, path, path);
            break;
        }
        sleep_step();
    }
    errno = 0;
    return -1;
}
