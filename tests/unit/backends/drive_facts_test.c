/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backends/drive_facts.h"
#include "tests/unit/backends/fake_machine.h"
#include "tests/unit/backends/loop_device.h"

#define DRIVE_BYTES 3840755982336ull

static int set_up(void **state) {
    struct fake_machine *machine = calloc(1, sizeof *machine);
    assert_non_null(machine);
    fake_machine_make(machine);
    fake_machine_add_nvme(machine, "nvme0n1", 0);
    *state = machine;
    return 0;
}

static int tear_down(void **state) {
    struct fake_machine *machine = *state;
    fake_machine_remove(machine);
    free(machine);
    return 0;
}

static struct mkv_drive_facts facts_of(const struct fake_machine *machine, unsigned minor_number) {
    struct mkv_drive_facts facts;
    memset(&facts, 0x42, sizeof facts);
    assert_true(mkv_drive_facts_read_device(&machine->roots, makedev(259, minor_number), &facts));
    return facts;
}

static void test_facts__nvme_drive__all_that_sysfs_tells(void **state) {
    const struct fake_machine *machine = *state;
    const struct mkv_drive_facts facts = facts_of(machine, 0);
    assert_true(facts.block_device);
    assert_true(facts.nvme);
    assert_false(facts.partition);
    assert_false(facts.read_only);
    assert_int_equal(facts.size_bytes, DRIVE_BYTES);
    assert_string_equal(facts.kernel_name, "nvme0n1");
    assert_string_equal(facts.model, "SAMSUNG MZQL23T8HCLS-00A07");
    assert_string_equal(facts.serial, "S64HNE0R502113");
    assert_string_equal(facts.firmware, "GDC5602Q");
    assert_string_equal(facts.wwid, "eui.36344830525021130025384500000001");
    assert_string_equal(facts.address, "0000:41:00.0");
    assert_string_equal(facts.state, "live");
    assert_int_equal(facts.numa_node, 1);
    assert_int_equal(facts.logical_sector_bytes, 512);
    assert_int_equal(facts.physical_sector_bytes, 4096);
    assert_false(facts.rotational);
    assert_false(facts.zoned);
    assert_int_equal(facts.cache, MKV_DRIVE_CACHE_WRITE_THROUGH);
    assert_true(facts.fua);
    assert_int_equal(facts.discard_granularity_bytes, 512);
    assert_int_equal(facts.discard_bytes_max, 2199023255040ull);
    assert_int_equal(facts.write_zeroes_bytes_max, 131072);
    assert_int_equal(facts.atomic_write_bytes_max, 65536);
    assert_int_equal(facts.mount_count + facts.holder_count + facts.partition_count, 0);
    assert_false(facts.swap);
}

static void test_facts__old_kernel_and_bare_disk__unknown_and_zero(void **state) {
    const struct fake_machine *machine = *state;
    fake_machine_write(machine, "sys/block/sda/size", "1024\n");
    fake_machine_write(machine, "sys/block/sda/dev", "259:7\n");
    fake_machine_write(machine, "sys/block/sda/queue/rotational", "1\n");
    fake_machine_write(machine, "sys/block/sda/queue/zoned", "host-managed\n");
    fake_machine_link(machine, "sys/dev/block/259:7", "../../block/sda");
    const struct mkv_drive_facts facts = facts_of(machine, 7);
    assert_int_equal(facts.size_bytes, 1024 * 512);
    assert_int_equal(facts.cache, MKV_DRIVE_CACHE_UNKNOWN);
    assert_int_equal(facts.numa_node, -1);
    assert_int_equal(facts.atomic_write_bytes_max, 0);
    assert_true(facts.rotational);
    assert_true(facts.zoned);
    assert_string_equal(facts.model, "");
    assert_string_equal(facts.by_id, "");
}

static void test_facts__attributes_in_odd_forms__trimmed_cut_and_printable(void **state) {
    const struct fake_machine *machine = *state;
    fake_machine_write(machine, "sys/block/nvme0n1/device/model", "  bad\x01\xff name\nsecond\n");
    fake_machine_write(machine, "sys/block/nvme0n1/device/serial",
                       "0123456789012345678901234567890123456789012345678901234567890123456789");
    fake_machine_write(machine, "sys/block/nvme0n1/device/firmware_rev", "\n");
    fake_machine_write(machine, "sys/block/nvme0n1/queue/write_cache", "write back\n");
    fake_machine_write(machine, "sys/block/nvme0n1/ro", "1\n");
    const struct mkv_drive_facts facts = facts_of(machine, 0);
    assert_string_equal(facts.model, "bad?? name");
    assert_string_equal(facts.serial,
                        "012345678901234567890123456789012345678901234567890123456789012");
    assert_string_equal(facts.firmware, "");
    assert_int_equal(facts.cache, MKV_DRIVE_CACHE_WRITE_BACK);
    assert_true(facts.read_only);
}

static void test_facts__several_names_by_id__the_readable_one(void **state) {
    const struct fake_machine *machine = *state;
    static const char *const names[] = {
        "nvme-eui.36344830525021130025384500000001",
        "nvme-SAMSUNG_MZQL23T8HCLS-00A07_S64HNE0R502113_1",
        "nvme-SAMSUNG_MZQL23T8HCLS-00A07_S64HNE0R502113",
        "wwn-0x1",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "dev/disk/by-id/%s", names[i]);
        fake_machine_link(machine, path, "../../nvme0n1");
    }
    fake_machine_link(machine, "dev/disk/by-id/nvme-A", "../../nvme0n10");
    assert_string_equal(facts_of(machine, 0).by_id,
                        "/dev/disk/by-id/nvme-SAMSUNG_MZQL23T8HCLS-00A07_S64HNE0R502113");
}

static void test_facts__mounted_by_number_and_by_source__both_seen(void **state) {
    const struct fake_machine *machine = *state;
    fake_machine_write(machine, "proc/self/mountinfo",
                       "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n"
                       "30 27 259:0 / /data rw - xfs /dev/nvme0n1 rw\n"
                       "31 27 0:44 /@ /more rw shared:7 master:2 - btrfs /dev/nvme0n1 rw\n"
                       "32 27 0:45 / /else rw - btrfs /dev/nvme0n10 rw\n"
                       "33 nonsense\n");
    const struct mkv_drive_facts facts = facts_of(machine, 0);
    assert_int_equal(facts.mount_count, 2);
    assert_string_equal(facts.mounted_device, "nvme0n1");
    assert_string_equal(facts.mounted_at, "/data");
}

static void test_facts__partition_in_use__counts_for_its_disk(void **state) {
    const struct fake_machine *machine = *state;
    fake_machine_add_partition(machine, "nvme0n1", "nvme0n1p1", 1);
    fake_machine_add_partition(machine, "nvme0n1", "nvme0n1p2", 2);
    fake_machine_write(machine, "proc/self/mountinfo",
                       "30 27 259:1 / /boot rw - vfat /dev/nvme0n1p1 rw\n");
    fake_machine_write(machine, "proc/swaps",
                       "Filename\tType\tSize\tUsed\tPriority\n/dev/nvme0n1p2 partition 1 0 -2\n");
    struct mkv_drive_facts facts = facts_of(machine, 0);
    assert_int_equal(facts.partition_count, 2);
    assert_non_null(strstr(facts.partitions, "nvme0n1p1"));
    assert_non_null(strstr(facts.partitions, "nvme0n1p2"));
    assert_int_equal(facts.mount_count, 1);
    assert_string_equal(facts.mounted_device, "nvme0n1p1");
    assert_true(facts.swap);
    facts = facts_of(machine, 1);
    assert_true(facts.partition);
    assert_int_equal(facts.size_bytes, 1024 * MKV_MIB);
    assert_int_equal(facts.physical_sector_bytes, 4096);
    assert_string_equal(facts.serial, "S64HNE0R502113");
    assert_int_equal(facts.mount_count, 1);
    assert_false(facts.swap);
    facts = facts_of(machine, 2);
    assert_int_equal(facts.mount_count, 0);
    assert_true(facts.swap);
}

static void test_facts__held_by_dm_and_md__named(void **state) {
    const struct fake_machine *machine = *state;
    fake_machine_add_partition(machine, "nvme0n1", "nvme0n1p1", 1);
    fake_machine_link(machine, "sys/block/nvme0n1/holders/dm-0", "../../dm-0");
    fake_machine_write(machine, "sys/block/dm-0/dm/name", "vg0-data\n");
    fake_machine_write(machine, "sys/block/dm-0/dm/uuid", "LVM-3V9qpB4\n");
    struct mkv_drive_facts facts = facts_of(machine, 0);
    assert_int_equal(facts.holder_count, 1);
    assert_string_equal(facts.holders, "dm-0 (LVM vg0-data)");
    fake_machine_link(machine, "sys/block/nvme0n1/nvme0n1p1/holders/md127", "../../../md127");
    facts = facts_of(machine, 0);
    assert_int_equal(facts.holder_count, 2);
    assert_string_equal(facts.holders, "dm-0 (LVM vg0-data), md127");
}

static void test_facts__many_partitions__list_is_cut_and_says_so(void **state) {
    const struct fake_machine *machine = *state;
    for (unsigned i = 1; i <= 60; i++) {
        char name[32];
        snprintf(name, sizeof name, "nvme0n1p%u", i);
        fake_machine_add_partition(machine, "nvme0n1", name, i);
    }
    const struct mkv_drive_facts facts = facts_of(machine, 0);
    assert_int_equal(facts.partition_count, 60);
    const size_t bytes = strlen(facts.partitions);
    assert_true(bytes > 5 && bytes < sizeof facts.partitions);
    assert_string_equal(facts.partitions + bytes - 5, ", ...");
    assert_null(strstr(facts.partitions, "..., ..."));
}

static void test_facts__no_such_device_or_path__false_and_errno(void **state) {
    const struct fake_machine *machine = *state;
    struct mkv_drive_facts facts;
    errno = 0;
    assert_false(mkv_drive_facts_read_device(&machine->roots, makedev(259, 99), &facts));
    assert_int_equal(errno, ENODEV);
    assert_false(mkv_drive_facts_read(&machine->roots, "/dev/no-such-thing", &facts));
    assert_int_equal(errno, ENOENT);
    assert_false(mkv_drive_facts_read(&machine->roots, "/dev/null", &facts));
    assert_int_equal(errno, EINVAL);
}

static void test_facts__file__size_file_system_and_loop_device(void **state) {
    const struct fake_machine *machine = *state;
    char path[TEMPORARY_PATH_BYTES];
    char line[2 * TEMPORARY_PATH_BYTES];
    struct stat status;
    struct mkv_drive_facts facts;
    temporary_file(machine->root, "store.memkv", path);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, MKV_MIB), 0);
    assert_int_equal(fstat(fd, &status), 0);
    snprintf(line, sizeof line, "30 27 %u:%u / /mnt rw - zfs tank rw\n", major(status.st_dev),
             minor(status.st_dev));
    fake_machine_write(machine, "proc/self/mountinfo", line);
    assert_true(mkv_drive_facts_read(&machine->roots, path, &facts));
    assert_false(facts.block_device);
    assert_int_equal(facts.size_bytes, MKV_MIB);
    assert_int_equal(facts.allocated_bytes, (uint64_t)status.st_blocks * 512);
    assert_string_equal(facts.file_system, "zfs");
    assert_int_equal(facts.holder_count, 0);
    assert_int_equal(facts.mount_count, 0);
    assert_false(facts.swap);
    snprintf(line, sizeof line, "%s\n", path);
    fake_machine_write(machine, "sys/block/loop3/loop/backing_file", line);
    snprintf(line, sizeof line, "Filename Type\n%s file 1 0 -2\n", path);
    fake_machine_write(machine, "proc/swaps", line);
    assert_true(mkv_drive_facts_read_fd(&machine->roots, fd, &facts));
    assert_int_equal(facts.holder_count, 1);
    assert_string_equal(facts.holders, "loop3");
    assert_true(facts.swap);
    close(fd);
}

static void test_list__drives_and_what_is_none__drives_in_order(void **state) {
    const struct fake_machine *machine = *state;
    static const struct {
        const char *path;
        const char *text;
    } others[] = {
        {"sys/block/dm-0/size", "8\n"},         {"sys/block/md127/size", "8\n"},
        {"sys/block/zram0/size", "8\n"},        {"sys/block/sr0/size", "8\n"},
        {"sys/block/loop0/size", "0\n"},        {"sys/block/loop1/size", "2048\n"},
        {"sys/block/nvme0c0n1/size", "2048\n"}, {"sys/block/nvme0c0n1/hidden", "1\n"},
    };
    static const char *const expected[] = {"loop1", "nvme0n1", "nvme2n1", "nvme10n1"};
    struct mkv_drive_name names[MKV_DRIVE_LIST_MAX];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        fake_machine_write(machine, others[i].path, others[i].text);
    }
    fake_machine_add_nvme(machine, "nvme10n1", 10);
    fake_machine_add_nvme(machine, "nvme2n1", 2);
    assert_int_equal(mkv_drive_list(&machine->roots, names, MKV_DRIVE_LIST_MAX), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(names[i].text, expected[i]);
    }
    assert_int_equal(mkv_drive_list(&machine->roots, names, 2), 2);
    struct mkv_drive_facts facts;
    assert_true(mkv_drive_facts_read_name(&machine->roots, "nvme10n1", &facts));
    assert_int_equal(facts.device_minor, 10);
    assert_string_equal(facts.kernel_name, "nvme10n1");
    assert_false(mkv_drive_facts_read_name(&machine->roots, "nvme11n1", &facts));
}

static void test_facts__loop_device_of_this_kernel__as_it_is(void **state) {
    const struct fake_machine *machine = *state;
    char path[TEMPORARY_PATH_BYTES];
    struct loop_device device;
    struct mkv_drive_facts facts;
    temporary_file(machine->root, "backing", path);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 16 * MKV_MIB), 0);
    close(fd);
    if (!loop_device_make(path, &device)) {
        skip();
    }
    assert_true(mkv_drive_facts_read(&mkv_drive_roots_kernel, device.path, &facts));
    assert_true(facts.block_device);
    assert_false(facts.nvme);
    assert_int_equal(facts.size_bytes, 16 * MKV_MIB);
    assert_string_equal(facts.kernel_name, device.path + strlen("/dev/"));
    assert_int_equal(facts.logical_sector_bytes, 512);
    assert_int_equal(facts.mount_count, 0);
    assert_true(mkv_drive_facts_read(&mkv_drive_roots_kernel, path, &facts));
    assert_string_equal(facts.holders, device.path + strlen("/dev/"));
    loop_device_remove(&device);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_facts__nvme_drive__all_that_sysfs_tells),
        CASE(test_facts__old_kernel_and_bare_disk__unknown_and_zero),
        CASE(test_facts__attributes_in_odd_forms__trimmed_cut_and_printable),
        CASE(test_facts__several_names_by_id__the_readable_one),
        CASE(test_facts__mounted_by_number_and_by_source__both_seen),
        CASE(test_facts__partition_in_use__counts_for_its_disk),
        CASE(test_facts__held_by_dm_and_md__named),
        CASE(test_facts__many_partitions__list_is_cut_and_says_so),
        CASE(test_facts__no_such_device_or_path__false_and_errno),
        CASE(test_facts__file__size_file_system_and_loop_device),
        CASE(test_list__drives_and_what_is_none__drives_in_order),
        CASE(test_facts__loop_device_of_this_kernel__as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
