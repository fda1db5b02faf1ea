/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"

struct drive {
    uint8_t start[MKV_DRIVE_SIGNATURE_START_BYTES];
    uint8_t end[MKV_DRIVE_SIGNATURE_END_BYTES];
};

static int set_up(void **state) {
    *state = calloc(1, sizeof(struct drive));
    assert_non_null(*state);
    return 0;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

static struct mkv_drive_signature signature_of(const struct drive *drive) {
    struct mkv_drive_signature signature;
    memset(&signature, 0x42, sizeof signature);
    mkv_drive_signature_find(drive->start, sizeof drive->start, drive->end, sizeof drive->end,
                             &signature);
    return signature;
}

static void test_find__marks__each_by_its_name(void **state) {
    struct drive *drive = *state;
    static const struct {
        uint32_t offset;
        const char *mark;
        uint32_t label_offset;
        const char *label;
        enum mkv_drive_signature_kind kind;
        const char *name;
    } cases[] = {
        {512, "EFI PART", 0, NULL, MKV_DRIVE_SIGNATURE_PARTITION_TABLE, "a GPT partition table"},
        {4096, "EFI PART", 0, NULL, MKV_DRIVE_SIGNATURE_PARTITION_TABLE, "a GPT partition table"},
        {0, "LUKS\xba\xbe", 0, NULL, MKV_DRIVE_SIGNATURE_VOLUME, "a LUKS volume"},
        {536, "LVM2 001", 0, NULL, MKV_DRIVE_SIGNATURE_VOLUME, "an LVM physical volume"},
        {4096, "\xfc\x4e\x2b\xa9", 4128, "host:0", MKV_DRIVE_SIGNATURE_VOLUME,
         "a part of a Linux RAID named host:0"},
        {0, "bluestore block device\n", 0, NULL, MKV_DRIVE_SIGNATURE_VOLUME, "a Ceph OSD"},
        {4086, "SWAPSPACE2", 1052, "swap0", MKV_DRIVE_SIGNATURE_VOLUME, "swap space named swap0"},
        {0, "XFSB", 108, "scratch", MKV_DRIVE_SIGNATURE_FILE_SYSTEM,
         "an XFS file system named scratch"},
        {65600, "_BHRfS_M", 65835, "pool", MKV_DRIVE_SIGNATURE_FILE_SYSTEM,
         "a btrfs file system named pool"},
        {3, "NTFS    ", 0, NULL, MKV_DRIVE_SIGNATURE_FILE_SYSTEM, "an NTFS file system"},
        {82, "FAT32", 71, "EFI        ", MKV_DRIVE_SIGNATURE_FILE_SYSTEM,
         "a FAT32 file system named EFI"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(drive, 0, sizeof *drive);
        memcpy(drive->start + cases[i].offset, cases[i].mark, strlen(cases[i].mark));
        if (cases[i].label != NULL) {
            memcpy(drive->start + cases[i].label_offset, cases[i].label, strlen(cases[i].label));
        }
        const struct mkv_drive_signature signature = signature_of(drive);
        assert_string_equal(signature.name, cases[i].name);
        assert_int_equal(signature.kind, cases[i].kind);
    }
}

static void test_find__ext__its_generation_and_label(void **state) {
    struct drive *drive = *state;
    uint8_t *superblock = drive->start + 1024;
    mkv_store_u16(superblock + 56, 0xef53);
    assert_string_equal(signature_of(drive).name, "an ext2 file system");
    mkv_store_u32(superblock + 92, 0x4);
    assert_string_equal(signature_of(drive).name, "an ext3 file system");
    mkv_store_u32(superblock + 96, 0x40);
    memcpy(superblock + 120, "data\x01", 5);
    assert_string_equal(signature_of(drive).name, "an ext4 file system named data");
}

static void test_find__mbr__only_with_an_entry(void **state) {
    struct drive *drive = *state;
    drive->start[510] = 0x55;
    drive->start[511] = 0xaa;
    assert_int_equal(signature_of(drive).kind, MKV_DRIVE_SIGNATURE_NONE);
    drive->start[446 + 16 + 4] = 0x83;
    mkv_store_u32(drive->start + 446 + 16 + 12, 2048);
    assert_string_equal(signature_of(drive).name, "an MBR partition table");
    drive->start[446] = 0x17; /* code, where a flag would stand */
    assert_int_equal(signature_of(drive).kind, MKV_DRIVE_SIGNATURE_NONE);
}

static void test_find__zfs_and_the_end__found(void **state) {
    struct drive *drive = *state;
    mkv_store_u64(drive->start + 128 * 1024 + 5 * 1024, 0x00bab10c);
    assert_string_equal(signature_of(drive).name, "a part of a ZFS pool");
    memset(drive, 0, sizeof *drive);
    mkv_store_u32(drive->end + sizeof drive->end - 8192, 0xa92b4efc);
    assert_string_equal(signature_of(drive).name, "a part of a Linux RAID");
    memset(drive, 0, sizeof *drive);
    memcpy(drive->end + sizeof drive->end - 512, "EFI PART", 8);
    assert_string_equal(signature_of(drive).name, "the copy of a GPT partition table at its end");
}

static void test_find__zeroes_noise_and_little__nothing(void **state) {
    struct drive *drive = *state;
    struct mkv_drive_signature signature;
    assert_int_equal(signature_of(drive).kind, MKV_DRIVE_SIGNATURE_NONE);
    assert_string_equal(signature_of(drive).name, "");
    memset(drive, 0xa5, sizeof *drive);
    assert_int_equal(signature_of(drive).kind, MKV_DRIVE_SIGNATURE_NONE);
    for (uint64_t bytes = 0; bytes < 5000; bytes += 7) {
        uint8_t *exact = malloc(bytes + 1); /* an overrun is the sanitizer's */
        assert_non_null(exact);
        memset(exact, 0xff, bytes + 1);
        mkv_drive_signature_find(exact, bytes, exact, bytes, &signature);
        free(exact);
    }
}

static void test_read__a_file__start_and_end(void **state) {
    (void)state;
    struct mkv_drive_signature signature;
    FILE *file = tmpfile();
    assert_non_null(file);
    const int fd = fileno(file);
    assert_int_equal(ftruncate(fd, 8 * (off_t)MKV_MIB + 100), 0);
    assert_true(mkv_drive_signature_read(fd, 8 * MKV_MIB + 100, &signature));
    assert_int_equal(signature.kind, MKV_DRIVE_SIGNATURE_NONE);
    assert_int_equal(pwrite(fd, "EFI PART", 8, 8 * (off_t)MKV_MIB - 512), 8);
    assert_true(mkv_drive_signature_read(fd, 8 * MKV_MIB, &signature));
    assert_int_equal(signature.kind, MKV_DRIVE_SIGNATURE_PARTITION_TABLE);
    assert_int_equal(pwrite(fd, "XFSB", 4, 0), 4);
    assert_true(mkv_drive_signature_read(fd, 8 * MKV_MIB, &signature));
    assert_string_equal(signature.name, "an XFS file system");
    assert_true(mkv_drive_signature_read(fd, 5000, &signature));
    errno = 0;
    assert_false(mkv_drive_signature_read(fd, 64 * MKV_MIB, &signature));
    assert_int_equal(errno, EIO);
    fclose(file);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_find__marks__each_by_its_name),
        CASE(test_find__ext__its_generation_and_label),
        CASE(test_find__mbr__only_with_an_entry),
        CASE(test_find__zfs_and_the_end__found),
        CASE(test_find__zeroes_noise_and_little__nothing),
        CASE(test_read__a_file__start_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
