/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_signature.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"

/* ---- marks ---------------------------------------------------------------------------------- */

struct mark {
    uint32_t offset;
    uint32_t byte_count;
    const char *bytes;
    enum mkv_drive_signature_kind kind;
    const char *name;
    /* Where its name for people stands; 0 bytes: it has none. */
    uint32_t label_offset;
    uint32_t label_bytes;
};

/* In the order in which they are looked for: what lies inside something larger comes behind it, and
 * a boot sector that has a mark of its own before the partition table that it looks like. */
static const struct mark marks[] = {
    {512, 8, "EFI PART", MKV_DRIVE_SIGNATURE_PARTITION_TABLE, "a GPT partition table", 0, 0},
    {4096, 8, "EFI PART", MKV_DRIVE_SIGNATURE_PARTITION_TABLE, "a GPT partition table", 0, 0},
    {0, 6, "LUKS\xba\xbe", MKV_DRIVE_SIGNATURE_VOLUME, "a LUKS volume", 0, 0},
    {536, 8, "LVM2 001", MKV_DRIVE_SIGNATURE_VOLUME, "an LVM physical volume", 0, 0},
    {24, 8, "LVM2 001", MKV_DRIVE_SIGNATURE_VOLUME, "an LVM physical volume", 0, 0},
    {4096, 4, "\xfc\x4e\x2b\xa9", MKV_DRIVE_SIGNATURE_VOLUME, "a part of a Linux RAID", 4128, 32},
    {0, 4, "\xfc\x4e\x2b\xa9", MKV_DRIVE_SIGNATURE_VOLUME, "a part of a Linux RAID", 32, 32},
    {0x1018, 16, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
     MKV_DRIVE_SIGNATURE_VOLUME, "a bcache device", 0, 0},
    {0, 22, "bluestore block device", MKV_DRIVE_SIGNATURE_VOLUME, "a Ceph OSD", 0, 0},
    {4086, 10, "SWAPSPACE2", MKV_DRIVE_SIGNATURE_VOLUME, "swap space", 1052, 16},
    {0, 4, "XFSB", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "an XFS file system", 108, 12},
    {65600, 8, "_BHRfS_M", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "a btrfs file system", 65835, 128},
    {1024, 4, "\x10\x20\xf5\xf2", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "an F2FS file system", 0, 0},
    {1024, 4, "\xe2\xe1\xf5\xe0", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "an EROFS file system", 0, 0},
    {0, 4, "hsqs", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "a squashfs file system", 0, 0},
    {32769, 5, "CD001", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "an ISO 9660 file system", 32808, 32},
    {3, 8, "NTFS    ", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "an NTFS file system", 0, 0},
    {3, 8, "EXFAT   ", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "an exFAT file system", 0, 0},
    {82, 5, "FAT32", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "a FAT32 file system", 71, 11},
    {54, 5, "FAT16", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "a FAT16 file system", 43, 11},
    {54, 5, "FAT12", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "a FAT12 file system", 43, 11},
    {0, 4, "QFI\xfb", MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "a QCOW image", 0, 0},
};

/* Says what it is, and how people call it where that can be printed. */
static void name_it(struct mkv_drive_signature *signature, enum mkv_drive_signature_kind kind,
                    const char *name, const uint8_t *label, uint32_t label_bytes) {
    char text[33];
    uint32_t count = 0;
    while (count < label_bytes && count < sizeof text - 1 && label[count] >= ' ' &&
           label[count] <= '~') {
        text[count] = (char)label[count];
        count++;
    }
    while (count > 0 && text[count - 1] == ' ') {
        count--;
    }
    text[count] = '\0';
    signature->kind = kind;
    snprintf(signature->name, sizeof signature->name, "%s%s%s", name, count > 0 ? " named " : "",
             text);
}

static bool find_mark(const uint8_t *start, uint64_t start_bytes,
                      struct mkv_drive_signature *signature) {
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const struct mark *mark = &marks[i];
        if (start_bytes >= (uint64_t)mark->offset + mark->byte_count &&
            memcmp(start + mark->offset, mark->bytes, mark->byte_count) == 0) {
            const bool has_label = start_bytes >= (uint64_t)mark->label_offset + mark->label_bytes;
            name_it(signature, mark->kind, mark->name, start + mark->label_offset,
                    has_label ? mark->label_bytes : 0);
            return true;
        }
    }
    return false;
}

/* ---- formats that take more than a mark ------------------------------------------------------ */

#define EXT_SUPERBLOCK 1024u
#define EXT_MAGIC 0xef53u
#define EXT_HAS_JOURNAL 0x4u
/* Extents, 64 bits, flexible groups: what ext3 does not have. */
#define EXT4_INCOMPATIBLE 0x2c0u

static bool find_ext(const uint8_t *start, uint64_t start_bytes,
                     struct mkv_drive_signature *signature) {
    const uint8_t *superblock = start + EXT_SUPERBLOCK;
    if (start_bytes < EXT_SUPERBLOCK + 1024 || mkv_load_u16(superblock + 56) != EXT_MAGIC) {
        return false;
    }
    const char *name = "an ext2 file system";
    if ((mkv_load_u32(superblock + 96) & EXT4_INCOMPATIBLE) != 0) {
        name = "an ext4 file system";
    } else if ((mkv_load_u32(superblock + 92) & EXT_HAS_JOURNAL) != 0) {
        name = "an ext3 file system";
    }
    name_it(signature, MKV_DRIVE_SIGNATURE_FILE_SYSTEM, name, superblock + 120, 16);
    return true;
}

#define ZFS_UBERBLOCKS (128u * 1024u)
#define ZFS_UBERBLOCK_STEP 1024u
#define ZFS_MAGIC 0x00bab10cull

/* Its ring of uberblocks, of which some may not be written yet. */
static bool find_zfs(const uint8_t *start, uint64_t start_bytes,
                     struct mkv_drive_signature *signature) {
    for (uint64_t at = ZFS_UBERBLOCKS; at + 8 <= start_bytes; at += ZFS_UBERBLOCK_STEP) {
        if (mkv_load_u64(start + at) == ZFS_MAGIC) {
            name_it(signature, MKV_DRIVE_SIGNATURE_VOLUME, "a part of a ZFS pool", NULL, 0);
            return true;
        }
    }
    return false;
}

#define MBR_ENTRIES 446u
#define MBR_ENTRY_BYTES 16u
#define MBR_ENTRY_COUNT 4u

/* A boot sector's mark alone is no partition table: an entry must say where it begins. */
static bool find_mbr(const uint8_t *start, uint64_t start_bytes,
                     struct mkv_drive_signature *signature) {
    if (start_bytes < 512 || start[510] != 0x55 || start[511] != 0xaa) {
        return false;
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < MBR_ENTRY_COUNT; i++) {
        const uint8_t *entry = start + MBR_ENTRIES + i * MBR_ENTRY_BYTES;
        const bool flag_is_sane = (entry[0] & 0x7f) == 0;
        if (!flag_is_sane) {
            return false;
        }
        used += entry[4] != 0 && mkv_load_u32(entry + 12) != 0;
    }
    if (used == 0) {
        return false;
    }
    name_it(signature, MKV_DRIVE_SIGNATURE_PARTITION_TABLE, "an MBR partition table", NULL, 0);
    return true;
}

#define RAID_MAGIC 0xa92b4efcu

/* md 1.0 stands 8 KiB before the end, on a border of 4 KiB, md 0.90 in the last whole 64 KiB; and
 * the copy of a GPT, in the last sector. All of them are sought where they may be. */
static bool find_at_end(const uint8_t *end, uint64_t end_bytes,
                        struct mkv_drive_signature *signature) {
    for (uint64_t at = 0; at + 512 <= end_bytes; at += 512) {
        if (at % 4096 == 0 && mkv_load_u32(end + at) == RAID_MAGIC) {
            name_it(signature, MKV_DRIVE_SIGNATURE_VOLUME, "a part of a Linux RAID", NULL, 0);
            return true;
        }
        if (memcmp(end + at, "EFI PART", 8) == 0) {
            name_it(signature, MKV_DRIVE_SIGNATURE_PARTITION_TABLE,
                    "the copy of a GPT partition table at its end", NULL, 0);
            return true;
        }
    }
    return false;
}

/* ---- calls ---------------------------------------------------------------------------------- */

void mkv_drive_signature_find(const uint8_t *start, uint64_t start_bytes, const uint8_t *end,
                              uint64_t end_bytes, struct mkv_drive_signature *signature) {
    *signature = (struct mkv_drive_signature){0};
    if (find_mark(start, start_bytes, signature) || find_ext(start, start_bytes, signature) ||
        find_zfs(start, start_bytes, signature) || find_mbr(start, start_bytes, signature) ||
        find_at_end(end, end_bytes, signature)) {
        return;
    }
}

static bool read_range(int fd, uint64_t offset, uint8_t *bytes, uint64_t byte_count) {
    for (uint64_t done = 0; done < byte_count;) {
        const ssize_t got = pread(fd, bytes + done, byte_count - done, (off_t)(offset + done));
        if (got <= 0) {
            errno = got == 0 ? EIO : errno;
            return false;
        }
        done += (uint64_t)got;
    }
    return true;
}

bool mkv_drive_signature_read(int fd, uint64_t size_bytes, struct mkv_drive_signature *signature) {
    /* Whole units at whole units, as direct reading wants them. */
    const uint64_t size = size_bytes / MKV_UNIT_BYTES * MKV_UNIT_BYTES;
    const uint64_t start_bytes = mkv_min_u64(size, MKV_DRIVE_SIGNATURE_START_BYTES);
    const uint64_t end_bytes = mkv_min_u64(size, MKV_DRIVE_SIGNATURE_END_BYTES);
    *signature = (struct mkv_drive_signature){0};
    uint8_t *bytes = aligned_alloc(MKV_UNIT_BYTES,
                                   MKV_DRIVE_SIGNATURE_START_BYTES + MKV_DRIVE_SIGNATURE_END_BYTES);
    if (bytes == NULL) {
        return false;
    }
    uint8_t *end = bytes + MKV_DRIVE_SIGNATURE_START_BYTES;
    const bool done =
        read_range(fd, 0, bytes, start_bytes) && read_range(fd, size - end_bytes, end, end_bytes);
    const int error_number = errno;
    if (done) {
        mkv_drive_signature_find(bytes, start_bytes, end, end_bytes, signature);
    }
    free(bytes);
    errno = error_number;
    return done;
}
