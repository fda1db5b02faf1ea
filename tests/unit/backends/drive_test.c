/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "backends/drive.h"
#include "core/hash.h"
#include "core/slot_header.h"

static void test_drive_result_of_errno__each_kind__is_translated(void **state) {
    (void)state;
    static const struct {
        int error_number;
        enum mkv_io_result result;
    } cases[] = {
        {ENODATA, MKV_IO_MEDIUM},    {EILSEQ, MKV_IO_MEDIUM},   {EIO, MKV_IO_DEVICE},
        {ETIMEDOUT, MKV_IO_TIMEOUT}, {ENOLINK, MKV_IO_DEVICE},  {EBADF, MKV_IO_GONE},
        {EREMOTEIO, MKV_IO_DEVICE},  {EROFS, MKV_IO_READ_ONLY}, {EINVAL, MKV_IO_DEVICE},
        {EPERM, MKV_IO_READ_ONLY},   {ENOMEDIUM, MKV_IO_GONE},  {ESHUTDOWN, MKV_IO_GONE},
        {ENODEV, MKV_IO_GONE},       {ENXIO, MKV_IO_GONE},      {ENOSPC, MKV_IO_NO_ROOM},
        {EDQUOT, MKV_IO_NO_ROOM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mkv_drive_result_of_errno(cases[i].error_number), cases[i].result);
    }
}

static void test_drive_operation_of__drive_effects__are_told_apart(void **state) {
    (void)state;
    struct mkv_effect effect = {.kind = MKV_EFFECT_DRIVE_READ};
    assert_int_equal(mkv_drive_operation_of(&effect), MKV_DRIVE_OP_READ);
    effect.kind = MKV_EFFECT_DRIVE_WRITE;
    assert_int_equal(mkv_drive_operation_of(&effect), MKV_DRIVE_OP_WRITE);
    effect.kind = MKV_EFFECT_DRIVE_FLUSH;
    assert_int_equal(mkv_drive_operation_of(&effect), MKV_DRIVE_OP_FLUSH);
    effect.kind = MKV_EFFECT_DRIVE_TRIM;
    assert_int_equal(mkv_drive_operation_of(&effect), MKV_DRIVE_OP_TRIM);
}

static void test_drive_prepare_slot_write__payload__header_and_zeroed_tail(void **state) {
    (void)state;
    uint8_t header[MKV_UNIT_BYTES];
    uint8_t slab[4 * MKV_UNIT_BYTES];
    memset(header, 0x11, sizeof header);
    memset(slab, 0x22, sizeof slab);
    struct mkv_drive_effect effect = {
        .memory = MKV_DRIVE_SLOT, .unit_count = 3, .payload_bytes = 5000};
    mkv_drive_prepare_slot_write(&effect, header, slab);
    for (uint32_t at = 0; at < sizeof slab; at++) {
        uint32_t payload_at = at - MKV_UNIT_BYTES;
        int expected = at < MKV_UNIT_BYTES               ? 0x11
                       : payload_at < 5000               ? 0x22
                       : payload_at < 2 * MKV_UNIT_BYTES ? 0
                                                         : 0x22;
        assert_int_equal(slab[at], expected);
    }
}

static void test_drive_prepare_slot_write__one_unit__payload_is_inline(void **state) {
    (void)state;
    uint8_t header[MKV_UNIT_BYTES];
    uint8_t slab[2 * MKV_UNIT_BYTES];
    memset(header, 0x11, sizeof header);
    memset(slab, 0x22, sizeof slab);
    struct mkv_drive_effect effect = {
        .memory = MKV_DRIVE_SLOT, .unit_count = 1, .payload_bytes = MKV_INLINE_BYTES_MAX};
    mkv_drive_prepare_slot_write(&effect, header, slab);
    assert_int_equal(slab[MKV_SLOT_INLINE_OFFSET - 1], 0x11);
    assert_int_equal(slab[MKV_SLOT_INLINE_OFFSET], 0x22);
    assert_int_equal(slab[MKV_UNIT_BYTES - 1], 0x22);
}

static void test_drive_finish_read__payload_range__chunks_from_its_start(void **state) {
    (void)state;
    uint8_t slab[3 * MKV_UNIT_BYTES];
    for (uint32_t at = 0; at < sizeof slab; at++) {
        slab[at] = (uint8_t)(at * 7 / 3);
    }
    uint64_t sums[MKV_CHUNKS_MAX];
    struct mkv_drive_done done = {.result = MKV_IO_OK};
    struct mkv_drive_effect effect = {
        .memory = MKV_DRIVE_PAYLOAD, .unit_count = 2, .payload_bytes = 7000, .chunk_bytes = 3000};
    uint8_t *payload = slab + MKV_UNIT_BYTES;
    mkv_drive_finish_read(&effect, payload, sums, &done);
    assert_null(done.header);
    assert_ptr_equal(done.sums, sums);
    assert_int_equal(done.sum_count, 3);
    assert_int_equal(sums[0], mkv_hash_64(payload, 3000));
    assert_int_equal(sums[1], mkv_hash_64(payload + 3000, 3000));
    assert_int_equal(sums[2], mkv_hash_64(payload + 6000, 1000));
    /* The same into metadata, where it is none without the bytes of a payload. */
    effect.memory = MKV_DRIVE_META;
    struct mkv_drive_done meta = {.result = MKV_IO_OK};
    mkv_drive_finish_read(&effect, payload, sums, &meta);
    assert_int_equal(meta.sum_count, 3);
    assert_int_equal(sums[2], mkv_hash_64(payload + 6000, 1000));
    effect.payload_bytes = 0;
    meta = (struct mkv_drive_done){.result = MKV_IO_OK};
    mkv_drive_finish_read(&effect, payload, sums, &meta);
    assert_int_equal(meta.sum_count, 0);
    assert_null(meta.header);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drive_result_of_errno__each_kind__is_translated),
        cmocka_unit_test(test_drive_operation_of__drive_effects__are_told_apart),
        cmocka_unit_test(test_drive_prepare_slot_write__payload__header_and_zeroed_tail),
        cmocka_unit_test(test_drive_prepare_slot_write__one_unit__payload_is_inline),
        cmocka_unit_test(test_drive_finish_read__payload_range__chunks_from_its_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
