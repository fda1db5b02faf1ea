/* SPDX-License-Identifier: Apache-2.0 */
#include "server/setup_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define PATH "/dev/nvme1n1"

/* An empty NVMe drive that nobody uses. */
static struct mkv_drive_facts free_drive(void) {
    return (struct mkv_drive_facts){
        .block_device = true,
        .nvme = true,
        .size_bytes = 3840755982336ull,
        .kernel_name = "nvme1n1",
        .state = "live",
    };
}

static void assert_refused(const struct mkv_drive_facts *facts, enum mkv_backend_failure failure,
                           const char *text) {
    struct mkv_backend_error error = {0};
    assert_false(mkv_setup_check_use("d01", PATH, facts, &error));
    assert_string_equal(error.text, text);
    assert_int_equal(error.failure, failure);
}

static void assert_described(const struct mkv_drive_facts *facts, const char *text) {
    char use[MKV_SETUP_USE_BYTES];
    mkv_setup_describe_use(facts, use);
    assert_string_equal(use, text);
}

static void test_use__a_free_drive__taken(void **state) {
    (void)state;
    const struct mkv_drive_facts facts = free_drive();
    struct mkv_backend_error error = {0};
    assert_true(mkv_setup_check_use("d01", PATH, &facts, &error));
    assert_described(&facts, "");
}

static void test_use__mounted__never_overridden(void **state) {
    (void)state;
    struct mkv_drive_facts facts = free_drive();
    facts.mount_count = 1;
    snprintf(facts.mounted_device, sizeof facts.mounted_device, "nvme1n1");
    snprintf(facts.mounted_at, sizeof facts.mounted_at, "/data");
    assert_refused(&facts, MKV_BACKEND_UNAVAILABLE,
                   "drive d01: /dev/nvme1n1 is mounted at /data, which --force does not override. "
                   "Name another drive; or, if nothing there is needed, run: umount /data");
    assert_described(&facts, "nvme1n1 mounted at /data");
    snprintf(facts.mounted_device, sizeof facts.mounted_device, "nvme1n1p2");
    facts.partition_count = 2;
    assert_refused(&facts, MKV_BACKEND_UNAVAILABLE,
                   "drive d01: nvme1n1p2, a partition of /dev/nvme1n1, is mounted at /data, which "
                   "--force does not override. Name another drive");
}

static void test_use__swap_and_holders__never_overridden(void **state) {
    (void)state;
    struct mkv_drive_facts facts = free_drive();
    facts.swap = true;
    assert_refused(&facts, MKV_BACKEND_UNAVAILABLE,
                   "drive d01: /dev/nvme1n1 is in use as swap space, which --force does not "
                   "override. Name another drive; or run: swapoff, and take it out of /etc/fstab");
    assert_described(&facts, "swap space");
    facts = free_drive();
    facts.holder_count = 1;
    snprintf(facts.holders, sizeof facts.holders, "dm-0 (LVM vg0-data)");
    assert_refused(&facts, MKV_BACKEND_UNAVAILABLE,
                   "drive d01: /dev/nvme1n1 is held by dm-0 (LVM vg0-data), which --force does not "
                   "override. Name another drive; or take it out of what holds it (lsblk "
                   "/dev/nvme1n1)");
    assert_described(&facts, "held by dm-0 (LVM vg0-data)");
    facts.block_device = false;
    snprintf(facts.holders, sizeof facts.holders, "loop3");
    assert_refused(&facts, MKV_BACKEND_UNAVAILABLE,
                   "drive d01: file /dev/nvme1n1 is attached to loop3. Name the device instead, or "
                   "run: losetup --detach /dev/loop3");
}

static void test_use__what_cannot_be_written__refused(void **state) {
    (void)state;
    struct mkv_drive_facts facts = free_drive();
    facts.read_only = true;
    assert_refused(&facts, MKV_BACKEND_PERMISSION,
                   "drive d01: /dev/nvme1n1 can only be read. Run: blockdev --setrw /dev/nvme1n1; "
                   "a drive that has worn out stays so and needs replacing");
    assert_described(&facts, "read-only");
    facts = free_drive();
    snprintf(facts.state, sizeof facts.state, "dead");
    assert_refused(&facts, MKV_BACKEND_UNAVAILABLE,
                   "drive d01: the controller of /dev/nvme1n1 is dead. See dmesg; the drive may "
                   "need replacing");
    facts = free_drive();
    facts.zoned = true;
    assert_refused(&facts, MKV_BACKEND_CONFIGURATION,
                   "drive d01: /dev/nvme1n1 takes sequential writes only (host-managed zones), "
                   "which a store cannot do. Name another drive");
}

static void test_use__partitioned_and_small__refused(void **state) {
    (void)state;
    struct mkv_drive_facts facts = free_drive();
    facts.partition_count = 2;
    snprintf(facts.partitions, sizeof facts.partitions, "nvme1n1p1, nvme1n1p2");
    assert_refused(&facts, MKV_BACKEND_CONFIGURATION,
                   "drive d01: /dev/nvme1n1 has 2 partitions: nvme1n1p1, nvme1n1p2. Name a "
                   "partition, or another drive; or, if nothing on any of them is needed, run: "
                   "wipefs --all --force /dev/nvme1n1");
    assert_described(&facts, "partitions: nvme1n1p1, nvme1n1p2");
    facts = free_drive();
    facts.size_bytes = MKV_SETUP_DRIVE_BYTES_MIN - 1;
    assert_refused(&facts, MKV_BACKEND_CONFIGURATION,
                   "drive d01: /dev/nvme1n1 has 256.00 MiB, and a drive of a store has 256.00 MiB "
                   "at least. Name a larger one");
    assert_described(&facts, "too small");
}

/* ---- content -------------------------------------------------------------------------------- */

struct contents {
    struct mkv_drive_facts facts;
    struct mkv_drive_probe probe;
};

static struct contents contents_of(enum mkv_drive_probe_kind kind) {
    struct contents contents = {.facts = free_drive(), .probe.kind = kind};
    for (uint8_t i = 0; i < 16; i++) {
        contents.probe.superblock.store_uuid.bytes[i] = i;
    }
    contents.probe.superblock.version = 7;
    contents.probe.store_capacity_units = 4 * MKV_GIB / MKV_UNIT_BYTES;
    contents.probe.medium_capacity_units = 3 * MKV_GIB / MKV_UNIT_BYTES;
    return contents;
}

/* With none of the two, --force and --idempotent: 'F' formatted, 'K' kept, '.' refused. */
static void check(const struct contents *contents, const char *verdicts, const char *text) {
    for (uint32_t i = 0; i < 3; i++) {
        const struct mkv_setup_content content = {
            .facts = &contents->facts,
            .probe = &contents->probe,
            .force = i == 1,
            .idempotent = i == 2,
        };
        enum mkv_setup_action action;
        struct mkv_backend_error error = {0};
        const bool good = mkv_setup_check_content("d01", PATH, &content, &action, &error);
        assert_int_equal(good ? (action == MKV_SETUP_KEEP ? 'K' : 'F') : '.', verdicts[i]);
        if (!good) {
            assert_string_equal(error.text, text);
        }
    }
}

static void test_content__blank__formatted(void **state) {
    (void)state;
    const struct contents contents = contents_of(MKV_DRIVE_PROBE_BLANK);
    check(&contents, "FFF", "");
}

static void test_content__a_store__kept_or_given_up_only_if_asked_for(void **state) {
    (void)state;
    const struct contents contents = contents_of(MKV_DRIVE_PROBE_STORE);
    check(&contents, ".FK",
          "drive d01: /dev/nvme1n1 belongs to memkv store 00010203-0405-0607-0809-0a0b0c0d0e0f. "
          "Run memkv setup with --idempotent to leave it as it is, or with --force to format it "
          "anew, which loses its blocks");
}

static void test_content__a_store_that_cannot_be_opened__forced_alone(void **state) {
    (void)state;
    struct contents contents = contents_of(MKV_DRIVE_PROBE_DAMAGED);
    check(&contents, ".F.",
          "drive d01: the memkv store on /dev/nvme1n1 is damaged: no two of its four superblocks "
          "agree. Run memkv setup with --force to format it anew, which loses its blocks");
    contents = contents_of(MKV_DRIVE_PROBE_NEWER);
    check(&contents, ".F.",
          "drive d01: the memkv store on /dev/nvme1n1 has format version 7, and this release knows "
          "versions up to 1. Start the release that wrote it, or run memkv setup with --force to "
          "format it anew, which loses its blocks");
    contents = contents_of(MKV_DRIVE_PROBE_SHRUNK);
    check(&contents, ".F.",
          "drive d01: /dev/nvme1n1 has shrunk: it has 3.00 GiB, the memkv store on it has 4.00 "
          "GiB. Bring back the missing part, or run memkv setup with --force to format it anew, "
          "which loses its blocks");
}

static void test_content__others_data__never_overwritten(void **state) {
    (void)state;
    struct contents contents = contents_of(MKV_DRIVE_PROBE_OTHER);
    contents.probe.signature.kind = MKV_DRIVE_SIGNATURE_FILE_SYSTEM;
    snprintf(contents.probe.signature.name, sizeof contents.probe.signature.name,
             "an ext4 file system named data");
    check(&contents, "...",
          "drive d01: /dev/nvme1n1 holds an ext4 file system named data, which is not overwritten, "
          "by --force neither. Name another drive; or, if nothing on it is needed, run: for at in "
          "0 937684310; do dd if=/dev/zero of=/dev/nvme1n1 bs=4k count=256 seek=$at conv=fsync; "
          "done");
    contents.probe.signature = (struct mkv_drive_signature){0};
    contents.facts.block_device = false;
    check(&contents, "...",
          "drive d01: /dev/nvme1n1 holds data of no known kind, which is not overwritten, by "
          "--force neither. Name another drive; or, if nothing on it is needed, run: rm "
          "/dev/nvme1n1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_use__a_free_drive__taken),
        cmocka_unit_test(test_use__mounted__never_overridden),
        cmocka_unit_test(test_use__swap_and_holders__never_overridden),
        cmocka_unit_test(test_use__what_cannot_be_written__refused),
        cmocka_unit_test(test_use__partitioned_and_small__refused),
        cmocka_unit_test(test_content__blank__formatted),
        cmocka_unit_test(test_content__a_store__kept_or_given_up_only_if_asked_for),
        cmocka_unit_test(test_content__a_store_that_cannot_be_opened__forced_alone),
        cmocka_unit_test(test_content__others_data__never_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
