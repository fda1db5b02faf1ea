/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/server/images.h"

static void test_format__new_file__four_equal_copies_and_nothing_else(void **state) {
    (void)state;
    char directory[IMAGES_PATH_BYTES];
    char path[IMAGES_PATH_BYTES];
    struct mkv_drive_media media;
    struct mkv_volume_config config;
    images_make(directory);
    images_path(directory, "store.memkv", path);
    images_open(path, IMAGE_BYTES, &media);
    images_format(&media, &config);
    uint8_t *unit = aligned_alloc(MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    uint32_t copies = 0;
    for (uint64_t i = 0; i < IMAGE_UNITS; i++) {
        struct mkv_superblock superblock;
        assert_int_equal(pread(media.fd, unit, MKV_UNIT_BYTES, (off_t)(i * MKV_UNIT_BYTES)),
                         MKV_UNIT_BYTES);
        if (copies < MKV_SUPERBLOCK_COPIES &&
            i == mkv_geometry_superblock(IMAGE_UNITS, copies).unit) {
            assert_int_equal(mkv_superblock_decode(unit, copies, &superblock), MKV_OK);
            assert_int_equal(superblock.epoch, 0);
            assert_int_equal(superblock.sequence, 1);
            assert_memory_equal(&superblock.store_uuid, &config.store_uuid, 16);
            assert_memory_equal(&superblock.drive_set.members[0].uuid, &config.drive_uuid, 16);
            copies++;
            continue;
        }
        assert_true(unit[0] == 0 && memcmp(unit, unit + 1, MKV_UNIT_BYTES - 1) == 0);
    }
    assert_int_equal(copies, MKV_SUPERBLOCK_COPIES);
    free(unit);
    mkv_drive_media_close(&media);
    images_remove(directory);
}

static void test_format__medium_that_cannot_be_written__io_error(void **state) {
    (void)state;
    char directory[IMAGES_PATH_BYTES];
    char path[IMAGES_PATH_BYTES];
    struct mkv_drive_media media;
    struct mkv_volume_config config;
    images_make(directory);
    images_path(directory, "store.memkv", path);
    images_open(path, IMAGE_BYTES, &media);
    images_format(&media, &config);
    struct mkv_drive_media read_only = media;
    read_only.fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read_only.fd >= 0);
    const size_t memory_bytes =
        mkv_round_up_u64(mkv_volume_memory_required(&config), MKV_UNIT_BYTES);
    void *memory = aligned_alloc(MKV_UNIT_BYTES, memory_bytes);
    const struct mkv_node_format_options options = {
        .name = "d00",
        .path = "/dev/x",
        .media = &read_only,
        .config = &config,
        .memory = memory,
        .memory_bytes = memory_bytes,
    };
    struct mkv_backend_error error = {0};
    assert_false(mkv_node_format(&options, &error));
    assert_int_equal(error.failure, MKV_BACKEND_IO);
    assert_string_equal(error.text, "drive d00: /dev/x cannot be formatted: Bad file descriptor. "
                                    "See dmesg for the cause");
    free(memory);
    close(read_only.fd);
    mkv_drive_media_close(&media);
    images_remove(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format__new_file__four_equal_copies_and_nothing_else),
        cmocka_unit_test(test_format__medium_that_cannot_be_written__io_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
