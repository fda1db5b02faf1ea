/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_smart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/bytes.h"

/* A drive that answers as told, and keeps what it was asked. */
struct fake_drive {
    uint8_t page[MKV_DRIVE_IDENTIFY_BYTES];
    int result;
    int error_number;
    uint8_t opcode;
    uint32_t namespace_id;
    uint32_t dword10;
    uint32_t byte_count;
};

static int answer(void *context, uint8_t opcode, uint32_t namespace_id, uint32_t dword10,
                  uint8_t *bytes, uint32_t byte_count) {
    struct fake_drive *drive = context;
    drive->opcode = opcode;
    drive->namespace_id = namespace_id;
    drive->dword10 = dword10;
    drive->byte_count = byte_count;
    assert_true(byte_count <= sizeof drive->page);
    if (drive->result == 0) {
        memcpy(bytes, drive->page, byte_count);
    }
    errno = drive->error_number;
    return drive->result;
}

static struct mkv_drive_smart smart_of(struct fake_drive *drive) {
    const struct mkv_drive_admin admin = {.context = drive, .read = answer};
    struct mkv_drive_smart smart;
    memset(&smart, 0x42, sizeof smart);
    mkv_drive_smart_ask(&admin, &smart);
    return smart;
}

static void test_smart__a_worn_drive__every_figure(void **state) {
    (void)state;
    struct fake_drive drive = {0};
    drive.page[0] = MKV_DRIVE_SMART_SPARE_LOW | MKV_DRIVE_SMART_READ_ONLY;
    mkv_store_u16(drive.page + 1, 273 + 41);
    drive.page[3] = 7;
    drive.page[4] = 10;
    drive.page[5] = 103;
    mkv_store_u64(drive.page + 32, 2000);
    mkv_store_u64(drive.page + 48, 3000000000ull);
    mkv_store_u64(drive.page + 112, 12);
    mkv_store_u64(drive.page + 128, 26280);
    mkv_store_u64(drive.page + 144, 3);
    mkv_store_u64(drive.page + 160, 5);
    mkv_store_u64(drive.page + 168, 1); /* the upper half: more than 64 bits hold */
    mkv_store_u64(drive.page + 176, 9);
    const struct mkv_drive_smart smart = smart_of(&drive);
    assert_int_equal(drive.opcode, 0x02);
    assert_int_equal(drive.namespace_id, 0xffffffffu);
    assert_int_equal(drive.dword10, 0x007f0002);
    assert_int_equal(drive.byte_count, 512);
    assert_true(smart.available);
    assert_string_equal(smart.why, "");
    assert_int_equal(smart.critical_warning, 0x09);
    assert_int_equal(smart.temperature_celsius, 41);
    assert_int_equal(smart.spare_percent, 7);
    assert_int_equal(smart.spare_threshold_percent, 10);
    assert_int_equal(smart.used_percent, 103);
    assert_int_equal(smart.read_bytes, 2000ull * 512000);
    assert_int_equal(smart.written_bytes, 3000000000ull * 512000);
    assert_int_equal(smart.power_cycles, 12);
    assert_int_equal(smart.power_on_hours, 26280);
    assert_int_equal(smart.unsafe_shutdowns, 3);
    assert_true(smart.media_errors == UINT64_MAX);
    assert_int_equal(smart.error_log_entries, 9);
}

static void test_smart__extremes__cold_unmeasured_and_saturated(void **state) {
    (void)state;
    struct fake_drive drive = {0};
    assert_int_equal(smart_of(&drive).temperature_celsius, 0);
    mkv_store_u16(drive.page + 1, 263);
    mkv_store_u64(drive.page + 48, UINT64_MAX / 512000 + 1);
    const struct mkv_drive_smart smart = smart_of(&drive);
    assert_int_equal(smart.temperature_celsius, -10);
    assert_true(smart.written_bytes == UINT64_MAX);
}

static void test_smart__no_answer__says_why_and_tells_no_figure(void **state) {
    (void)state;
    static const struct {
        int result;
        int error_number;
        const char *why;
    } cases[] = {
        {-1, ENOTTY, "not an NVMe drive"},
        {-1, EINVAL, "not an NVMe drive"},
        {-1, EACCES, "asking an NVMe drive needs CAP_SYS_ADMIN, which root has"},
        {-1, ENODEV, "the drive does not answer: No such device"},
        {0x109, 0, "the drive refused with NVMe status 0x109"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_drive drive = {.result = cases[i].result,
                                   .error_number = cases[i].error_number};
        memset(drive.page, 0xff, sizeof drive.page);
        const struct mkv_drive_smart smart = smart_of(&drive);
        assert_false(smart.available);
        assert_string_equal(smart.why, cases[i].why);
        assert_int_equal(smart.used_percent, 0);
        assert_int_equal(smart.written_bytes, 0);
    }
}

static void test_smart__a_file__not_an_nvme_drive(void **state) {
    (void)state;
    struct mkv_drive_smart smart;
    struct mkv_drive_controller controller;
    FILE *file = tmpfile();
    assert_non_null(file);
    mkv_drive_smart_read(fileno(file), &smart);
    assert_false(smart.available);
    assert_string_equal(smart.why, "not an NVMe drive");
    mkv_drive_controller_read(fileno(file), &controller);
    assert_false(controller.available);
    assert_string_equal(controller.why, "not an NVMe drive");
    fclose(file);
}

static void test_warning__bits__their_words(void **state) {
    (void)state;
    char text[MKV_DRIVE_SMART_WARNING_BYTES];
    mkv_drive_smart_warning(0, text);
    assert_string_equal(text, "");
    mkv_drive_smart_warning(MKV_DRIVE_SMART_SPARE_LOW | MKV_DRIVE_SMART_READ_ONLY, text);
    assert_string_equal(text, "spare blocks are low, drive is read-only now");
    mkv_drive_smart_warning(0xff, text);
    assert_non_null(strstr(text, "backup of volatile memory has failed"));
}

static void test_controller__identify__what_it_can_do(void **state) {
    (void)state;
    struct fake_drive drive = {0};
    const struct mkv_drive_admin admin = {.context = &drive, .read = answer};
    struct mkv_drive_controller controller;
    mkv_store_u32(drive.page + 328, 0x3);
    mkv_store_u16(drive.page + 520, 0x0c);
    drive.page[525] = 1;
    mkv_store_u16(drive.page + 528, 15);
    mkv_drive_controller_ask(&admin, &controller);
    assert_int_equal(drive.opcode, 0x06);
    assert_int_equal(drive.dword10, 1);
    assert_int_equal(drive.byte_count, 4096);
    assert_true(controller.available);
    assert_true(controller.volatile_cache);
    assert_true(controller.deallocate);
    assert_true(controller.write_zeroes);
    assert_true(controller.sanitize_crypto);
    assert_true(controller.sanitize_block);
    assert_false(controller.sanitize_overwrite);
    assert_int_equal(controller.atomic_write_blocks, 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smart__a_worn_drive__every_figure),
        cmocka_unit_test(test_smart__extremes__cold_unmeasured_and_saturated),
        cmocka_unit_test(test_smart__no_answer__says_why_and_tells_no_figure),
        cmocka_unit_test(test_smart__a_file__not_an_nvme_drive),
        cmocka_unit_test(test_warning__bits__their_words),
        cmocka_unit_test(test_controller__identify__what_it_can_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
