/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine knows of a drive before anybody opens it for writing: which piece of hardware
 * it is, what its sectors, cache and commands are, and who uses it. All of it is read from sysfs,
 * /proc and the links of /dev/disk/by-id, through roots that a test can set to a tree of its own.
 *
 *     path -- stat --+-- regular file: size, file system, loop devices and swap that use it
 *                    +-- block device: MAJOR:MINOR
 *                                         |
 *        sys/dev/block/MAJOR:MINOR/  size ro partition holders/ PARTITION/ uevent
 *                                    queue/ (of a partition: its disk's)  device/ (the same)
 *        proc/self/mountinfo  proc/swaps          dev/disk/by-id/
 *
 * Invariants
 *  I1  Nothing is written and no drive is opened: asking does no harm to whoever uses it.
 *  I2  What the kernel does not tell is 0, "" or UNKNOWN, never a guess.
 *  I3  Texts are printable ASCII, cut to fit.
 *  I4  What uses a partition counts as a use of its disk, too.
 *
 * Not responsible for: what stands on the drive (drive_signature.h), its health (drive_smart.h),
 * or for whether it may be used (server/setup_check.h).
 */
#ifndef MKV_BACKENDS_DRIVE_FACTS_H
#define MKV_BACKENDS_DRIVE_FACTS_H

#include <sys/types.h>

#include "core/base.h"

#define MKV_DRIVE_FACT_BYTES 64u
#define MKV_DRIVE_FACT_PATH_BYTES 256u
/* Names of uses that are told one by one; the counts tell all. */
#define MKV_DRIVE_FACT_LIST_BYTES 256u
/* Disks that are listed. */
#define MKV_DRIVE_LIST_MAX 256u

/* Where the three trees are. */
struct mkv_drive_roots {
    const char *sys;
    const char *proc;
    const char *dev;
};
/* Those of the running kernel. */
extern const struct mkv_drive_roots mkv_drive_roots_kernel;

enum mkv_drive_cache {
    MKV_DRIVE_CACHE_UNKNOWN = 0,
    MKV_DRIVE_CACHE_WRITE_BACK,    /* volatile: a write is durable only behind a flush */
    MKV_DRIVE_CACHE_WRITE_THROUGH, /* none, or one that survives a power cut */
};

struct mkv_drive_facts {
    bool block_device; /* else a regular file */
    bool partition;    /* the device is a partition of a disk */
    bool nvme;
    uint32_t device_major; /* of the device; of a file, its file system's */
    uint32_t device_minor;
    uint64_t size_bytes;
    bool read_only;

    /* Which one it is. Of a partition: its disk's. "" for files. */
    char kernel_name[MKV_DRIVE_FACT_BYTES]; /* "nvme0n1", of a partition "nvme0n1p2" */
    char by_id[MKV_DRIVE_FACT_PATH_BYTES];  /* "/dev/disk/by-id/…", which stays over restarts */
    char model[MKV_DRIVE_FACT_BYTES];       /* of a loop device, "" */
    char serial[MKV_DRIVE_FACT_BYTES];
    char firmware[MKV_DRIVE_FACT_BYTES];
    char wwid[MKV_DRIVE_FACT_BYTES];
    char address[MKV_DRIVE_FACT_BYTES]; /* on its bus: "0000:41:00.0" */
    char state[MKV_DRIVE_FACT_BYTES];   /* of an NVMe controller: "live", "dead", … */
    int32_t numa_node;                  /* -1: not known, or there is one only */

    /* Block devices: what its queue says. */
    uint32_t logical_sector_bytes;
    uint32_t physical_sector_bytes;
    bool rotational;
    bool zoned; /* host-managed: takes sequential writes only */
    enum mkv_drive_cache cache;
    bool fua;
    uint64_t discard_granularity_bytes;
    uint64_t discard_bytes_max; /* of one command; 0: none */
    uint64_t write_zeroes_bytes_max;
    uint64_t atomic_write_bytes_max; /* 0: the kernel does not tell (before 6.11) */

    /* Who uses it. */
    uint32_t mount_count;
    char mounted_device[MKV_DRIVE_FACT_BYTES]; /* of the first: it, or its partition */
    char mounted_at[MKV_DRIVE_FACT_PATH_BYTES];
    bool swap;
    uint32_t holder_count;                   /* dm, md, LVM, bcache; of a file: loop devices */
    char holders[MKV_DRIVE_FACT_LIST_BYTES]; /* "dm-0 (LVM vg0-data), md127" */
    uint32_t partition_count;
    char partitions[MKV_DRIVE_FACT_LIST_BYTES]; /* "nvme0n1p1, nvme0n1p2" */

    /* Files. */
    char file_system[MKV_DRIVE_FACT_BYTES]; /* "ext4" */
    uint64_t allocated_bytes;               /* what the file takes there by now */
};

/* Of what stands at the path. False with errno when nothing can be found out about it: it is not
 * there, or neither a regular file nor a block device (EINVAL). */
__attribute__((warn_unused_result)) bool mkv_drive_facts_read(const struct mkv_drive_roots *roots,
                                                              const char *path,
                                                              struct mkv_drive_facts *facts);
/* The same of what is open at `fd`. */
__attribute__((warn_unused_result)) bool mkv_drive_facts_read_fd(
    const struct mkv_drive_roots *roots, int fd, struct mkv_drive_facts *facts);
/* The same of a block device by its number. False with ENODEV when sysfs does not have it. */
__attribute__((warn_unused_result)) bool mkv_drive_facts_read_device(
    const struct mkv_drive_roots *roots, dev_t device, struct mkv_drive_facts *facts);
/* The same of a block device by the kernel's name for it, such as mkv_drive_list gives. */
__attribute__((warn_unused_result)) bool mkv_drive_facts_read_name(
    const struct mkv_drive_roots *roots, const char *name, struct mkv_drive_facts *facts);

/* The disks of this machine in the order of their names, without partitions, and without what is
 * no drive: empty loop devices, RAM disks, CD drives, device mapper and md. Returns their count. */
struct mkv_drive_name {
    char text[MKV_DRIVE_FACT_BYTES];
};
uint32_t mkv_drive_list(const struct mkv_drive_roots *roots, struct mkv_drive_name *out,
                        uint32_t out_max);

#endif
