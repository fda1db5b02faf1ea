/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on a drive that is no store of ours, by the marks that file systems, partition tables
 * and volume managers leave near its start and end: so that a refusal names what would be lost.
 *
 *     0                     256 KiB                           size - 128 KiB        size
 *     |------ looked at ------|             not looked at            |--- looked at ---|
 *      GPT MBR ext xfs LVM ...                                        md 1.0, md 0.90, GPT's copy
 *
 * Marks and their places are those of the formats' own documents, and of magic(5).
 *
 * Invariants
 *  I1  What has no mark that is known here has no name; that does not make it empty.
 *
 * Not responsible for: stores of memkv (server/drive_probe.h), nor for overwriting anything.
 */
#ifndef MKV_BACKENDS_DRIVE_SIGNATURE_H
#define MKV_BACKENDS_DRIVE_SIGNATURE_H

#include "core/base.h"

#define MKV_DRIVE_SIGNATURE_START_BYTES (256u * 1024u)
#define MKV_DRIVE_SIGNATURE_END_BYTES (128u * 1024u)
#define MKV_DRIVE_SIGNATURE_NAME_BYTES 96u

enum mkv_drive_signature_kind {
    MKV_DRIVE_SIGNATURE_NONE = 0,
    MKV_DRIVE_SIGNATURE_PARTITION_TABLE,
    MKV_DRIVE_SIGNATURE_FILE_SYSTEM,
    MKV_DRIVE_SIGNATURE_VOLUME, /* a part of something larger: LVM, RAID, dm-crypt, swap */
};

struct mkv_drive_signature {
    enum mkv_drive_signature_kind kind;
    /* "an ext4 file system named data", to stand behind "holds"; "" without a kind. */
    char name[MKV_DRIVE_SIGNATURE_NAME_BYTES];
};

/* Of what is open at `fd`, for direct reading or not. False with errno when it cannot be read. */
__attribute__((warn_unused_result)) bool mkv_drive_signature_read(
    int fd, uint64_t size_bytes, struct mkv_drive_signature *signature);

/* Of bytes in memory: the first of a drive and the last of it, each at most as many as above. */
void mkv_drive_signature_find(const uint8_t *start, uint64_t start_bytes, const uint8_t *end,
                              uint64_t end_bytes, struct mkv_drive_signature *signature);

#endif
