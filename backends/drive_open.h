/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what a drive is made of, a file or a block device, for this process alone, and finding
 * out what can be done with it. Every refusal says which drive, what is wrong, and what to do.
 *
 *     file:    missing and size given? create sparse -> O_DIRECT? -> flock -> size
 *     device:  O_EXCL (nothing mounted on it, nobody else has it) -> O_DIRECT -> size -> cache?
 *     both:    trim?
 *
 * Invariants
 *  I1  A medium that was opened is this process's alone until it is closed: files by flock, which
 *      the kernel keeps until the last I/O of a killed process has ended; devices by O_EXCL.
 *  I2  An existing file is never resized, but for an empty one, which is what a creation leaves
 *      that was cut short.
 *  I3  A created file survives a power cut as soon as the call returns.
 *
 * Not responsible for: what stands on the medium (superblock.h), or for formatting it.
 */
#ifndef MKV_BACKENDS_DRIVE_OPEN_H
#define MKV_BACKENDS_DRIVE_OPEN_H

#include "backends/error.h"
#include "core/base.h"

/* The least medium: fewer units do not hold a superblock, a journal and a block. */
#define MKV_DRIVE_BYTES_MIN MKV_MIB
/* How long the lock of a process that is dying is waited for, and how often it is looked at. */
#define MKV_DRIVE_LOCK_WAIT_MS_MAX 10000u
#define MKV_DRIVE_LOCK_WAIT_STEP_MS 20u

/* Bounds of mkv_drive_media.queue_depth. */
#define MKV_DRIVE_DEPTH_MIN 8u
#define MKV_DRIVE_DEPTH_MAX 256u

enum mkv_drive_mode {
    MKV_DRIVE_MODE_DIRECT = 0, /* O_DIRECT or refuse */
    MKV_DRIVE_MODE_FILE,       /* O_DIRECT where the file system has it, else buffered */
};

struct mkv_drive_open_options {
    const char *name;    /* the drive's configured name, for messages */
    const char *media;   /* path */
    uint64_t size_bytes; /* of a file to create; 0: it must exist. Ignored where it does */
    enum mkv_drive_mode mode;
    uint32_t lock_wait_ms; /* at most MKV_DRIVE_LOCK_WAIT_MS_MAX; 0: refuse at once */
    bool read_only; /* nothing is written: what can only be read is opened, too; size_bytes is 0 */
};

struct mkv_drive_media {
    int fd;
    bool block_device;
    bool created;      /* the file is new: nothing was on it */
    bool direct;       /* O_DIRECT. When false: warning DIRECT_IO_FALLBACK */
    bool flush_needed; /* false only on block devices that report no volatile cache */
    /* Block devices: the kernel reports discard. Files: the file system punches holes. */
    bool trim_supported;
    uint64_t capacity_units;
    /* Operations that the device is to have at a time: as many as its queue takes, within
     * MKV_DRIVE_DEPTH_MIN and MKV_DRIVE_DEPTH_MAX. Files: the latter. */
    uint32_t queue_depth;
};

__attribute__((warn_unused_result)) bool mkv_drive_open(
    const struct mkv_drive_open_options *options, struct mkv_drive_media *media,
    struct mkv_backend_error *error);
/* Releases the lock and the descriptor. */
void mkv_drive_media_close(struct mkv_drive_media *media);

/* Makes the entry of a new file in its directory durable. False: errno says why. */
__attribute__((warn_unused_result)) bool mkv_drive_directory_sync(const char *path);
/* Whether the first and last MiB hold zeroes only: what formatting may overwrite without asking. */
__attribute__((warn_unused_result)) bool mkv_drive_media_blank(const struct mkv_drive_media *media,
                                                               const char *name, bool *blank,
                                                               struct mkv_backend_error *error);
/* The same, but for units of the first 64, bit u of `passed_over` for unit u. */
__attribute__((warn_unused_result)) bool mkv_drive_media_blank_but(
    const struct mkv_drive_media *media, const char *name, uint64_t passed_over, bool *blank,
    struct mkv_backend_error *error);

#endif
