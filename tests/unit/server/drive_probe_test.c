/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/server/images.h"

/* A file of IMAGE_BYTES in a directory of its own; formatted but for fixture_blank. */
struct fixture {
    char directory[IMAGES_PATH_BYTES];
    char path[IMAGES_PATH_BYTES];
    struct mkv_drive_media media;
    struct mkv_volume_config config;
};

static int fixture_begin(void **state) {
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    images_make(fixture.directory);
    images_path(fixture.directory, "store.memkv", fixture.path);
    images_open(fixture.path, IMAGE_BYTES, &fixture.media);
    *state = &fixture;
    return 0;
}

static int fixture_end(void **state) {
    struct fixture *fixture = *state;
    if (fixture->media.fd >= 0) {
        mkv_drive_media_close(&fixture->media);
    }
    images_remove(fixture->directory);
    return 0;
}

/* Gives the file another size, as a node finds it that starts later. */
static void resize(struct fixture *fixture, uint64_t bytes) {
    mkv_drive_media_close(&fixture->media);
    assert_int_equal(truncate(fixture->path, (off_t)bytes), 0);
    images_open(fixture->path, 0, &fixture->media);
}

static enum mkv_drive_probe_kind probe(const struct fixture *fixture,
                                       struct mkv_drive_probe *found) {
    struct mkv_backend_error error = {0};
    bool probed = mkv_drive_probe(&fixture->media, "d00", fixture->path, found, &error);
    assert_string_equal(error.text, "");
    assert_true(probed);
    assert_int_equal(found->medium_capacity_units, fixture->media.capacity_units);
    return found->kind;
}

static uint64_t copy_unit(uint64_t capacity_units, uint32_t copy) {
    return mkv_geometry_superblock(capacity_units, copy).unit;
}

static void expect_store(const struct fixture *fixture, const struct mkv_drive_probe *found) {
    assert_memory_equal(&found->superblock.drive_uuid, &fixture->config.drive_uuid, 16);
    assert_memory_equal(&found->superblock.geometry, &fixture->config.geometry,
                        sizeof found->superblock.geometry);
    assert_int_equal(found->store_capacity_units, IMAGE_UNITS);
}

static void test_probe__new_file__blank(void **state) {
    struct mkv_drive_probe found;
    assert_int_equal(probe(*state, &found), MKV_DRIVE_PROBE_BLANK);
}

static void test_probe__formatted__store(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_probe found;
    images_format(&fixture->media, &fixture->config);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    expect_store(fixture, &found);
    assert_int_equal(found.superblock.epoch, 0);
    assert_int_equal(found.superblock.drive_set.count, 1);
}

static void test_probe__a_byte_at_either_end__other(void **state) {
    struct fixture *fixture = *state;
    static const uint64_t units[] = {0, 1, 255, IMAGE_UNITS - 256, IMAGE_UNITS - 1};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct mkv_drive_probe found;
        images_fill_unit(&fixture->media, units[i], 0x42);
        assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_OTHER);
        assert_int_equal(found.signature.kind, MKV_DRIVE_SIGNATURE_NONE);
        images_fill_unit(&fixture->media, units[i], 0);
        assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_BLANK);
    }
}

static void test_probe__a_partition_table__other_and_named(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_probe found;
    _Alignas(MKV_UNIT_BYTES) const uint8_t unit[MKV_UNIT_BYTES] = "EFI PART";
    assert_int_equal(pwrite(fixture->media.fd, unit, sizeof unit, MKV_UNIT_BYTES), sizeof unit);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_OTHER);
    assert_string_equal(found.signature.name, "a GPT partition table");
}

/* Every set of copies that is lost: as long as two are left there is a store. One alone that was
 * never rewritten, and at the start, is what a format leaves that was cut. */
static void test_probe__copies_zeroed__store_while_two_are_left(void **state) {
    struct fixture *fixture = *state;
    for (uint32_t lost = 0; lost < 1u << MKV_SUPERBLOCK_COPIES; lost++) {
        struct mkv_drive_probe found;
        uint32_t left = 0;
        images_format(&fixture->media, &fixture->config);
        for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
            if (lost & (1u << copy)) {
                images_fill_unit(&fixture->media, copy_unit(IMAGE_UNITS, copy), 0);
            } else {
                left++;
            }
        }
        enum mkv_drive_probe_kind kind = probe(fixture, &found);
        if (left >= 2) {
            assert_int_equal(kind, MKV_DRIVE_PROBE_STORE);
            expect_store(fixture, &found);
        } else {
            const bool at_end = lost == 0xb || lost == 0x7;
            assert_int_equal(kind, at_end ? MKV_DRIVE_PROBE_DAMAGED : MKV_DRIVE_PROBE_BLANK);
        }
    }
}

/* Copies of a first format, of which only the bytes from..to of copy 0 and none of the others came
 * to the medium. */
static void cut_format(struct fixture *fixture, size_t from, size_t to) {
    struct mkv_drive_probe found;
    uint8_t whole[MKV_UNIT_BYTES];
    uint8_t unit[MKV_UNIT_BYTES] = {0};
    images_format(&fixture->media, &fixture->config);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    mkv_superblock_encode(&found.superblock, 0, whole);
    memcpy(unit + from, whole + from, to - from);
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        images_fill_unit(&fixture->media, copy_unit(IMAGE_UNITS, copy), 0);
    }
    images_write_unit(&fixture->media, 0, unit);
}

static void test_probe__format_was_cut__blank_and_can_be_formatted(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_probe found;
    static const size_t ends[] = {MKV_UNIT_BYTES, 1536, 512, 64};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        cut_format(fixture, 0, ends[i]);
        assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_BLANK);
    }
    images_format(&fixture->media, &fixture->config);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    expect_store(fixture, &found);
}

/* Anything else beside that one copy may be of a store that was opened. */
static void test_probe__single_copy_and_more__damaged(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_probe found;
    static const uint64_t units[] = {1, 7, 9, 17, 255, IMAGE_UNITS - 256, IMAGE_UNITS - 1};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        cut_format(fixture, 0, MKV_UNIT_BYTES);
        images_fill_unit(&fixture->media, units[i], 0x42);
        assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_DAMAGED);
        images_fill_unit(&fixture->media, units[i], 0);
        assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_BLANK);
    }
}

static void test_probe__single_copy_of_an_opening__damaged(void **state) {
    struct fixture *fixture = *state;
    uint8_t unit[MKV_UNIT_BYTES];
    images_format(&fixture->media, &fixture->config);
    struct mkv_drive_probe found;
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    struct mkv_superblock opened = found.superblock;
    opened.sequence++;
    cut_format(fixture, 0, MKV_UNIT_BYTES);
    mkv_superblock_encode(&opened, 0, unit);
    images_write_unit(&fixture->media, 0, unit);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_DAMAGED);
    opened.sequence--;
    opened.epoch++;
    mkv_superblock_encode(&opened, 0, unit);
    images_write_unit(&fixture->media, 0, unit);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_DAMAGED);
}

static void test_probe__start_pair_half_written__end_pair_is_the_store(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_probe found;
    uint8_t unit[MKV_UNIT_BYTES];
    images_format(&fixture->media, &fixture->config);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    /* An interrupted write of the next superblock: one copy of it. */
    struct mkv_superblock next = found.superblock;
    next.sequence++;
    next.epoch++;
    mkv_superblock_encode(&next, 0, unit);
    images_write_unit(&fixture->media, copy_unit(IMAGE_UNITS, 0), unit);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    assert_int_equal(found.superblock.epoch, 0);
    mkv_superblock_encode(&next, 1, unit);
    images_write_unit(&fixture->media, copy_unit(IMAGE_UNITS, 1), unit);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    assert_int_equal(found.superblock.epoch, 1);
}

static void test_probe__grown__store_at_its_old_size(void **state) {
    struct fixture *fixture = *state;
    images_format(&fixture->media, &fixture->config);
    resize(fixture, 2 * IMAGE_BYTES);
    struct mkv_drive_probe found;
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    expect_store(fixture, &found);
    assert_int_equal(found.medium_capacity_units, 2 * IMAGE_UNITS);
    /* One copy at the start is enough to find those at the old end. */
    images_fill_unit(&fixture->media, copy_unit(IMAGE_UNITS, 0), 0);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    expect_store(fixture, &found);
}

static void test_probe__shrunk__both_sizes(void **state) {
    struct fixture *fixture = *state;
    images_format(&fixture->media, &fixture->config);
    for (uint32_t copies_lost = 0; copies_lost < 2; copies_lost++) {
        struct mkv_drive_probe found;
        resize(fixture, IMAGE_BYTES - MKV_UNIT_BYTES);
        assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_SHRUNK);
        assert_int_equal(found.store_capacity_units, IMAGE_UNITS);
        assert_int_equal(found.medium_capacity_units, IMAGE_UNITS - 1);
        /* A single copy says as much. */
        images_fill_unit(&fixture->media, copy_unit(IMAGE_UNITS, 1), 0);
    }
}

static void test_probe__newer_format__its_version(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_probe found;
    images_format(&fixture->media, &fixture->config);
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_STORE);
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        uint8_t unit[MKV_UNIT_BYTES];
        mkv_superblock_encode(&found.superblock, copy, unit);
        mkv_store_u32(unit + 24, MKV_FORMAT_VERSION + 1);
        mkv_store_u64(unit + 8, mkv_hash_64(unit + 24, MKV_UNIT_BYTES - 24));
        images_write_unit(&fixture->media, copy_unit(IMAGE_UNITS, copy), unit);
    }
    assert_int_equal(probe(fixture, &found), MKV_DRIVE_PROBE_NEWER);
    assert_int_equal(found.superblock.version, MKV_FORMAT_VERSION + 1);
}

static void test_probe__medium_that_cannot_be_read__io_error(void **state) {
    struct fixture *fixture = *state;
    struct mkv_drive_probe found;
    struct mkv_backend_error error = {0};
    /* A descriptor that can only be written. */
    struct mkv_drive_media media = fixture->media;
    media.fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
    assert_true(media.fd >= 0);
    assert_false(mkv_drive_probe(&media, "d00", "/dev/x", &found, &error));
    assert_int_equal(error.failure, MKV_BACKEND_IO);
    assert_string_equal(error.text,
                        "drive d00: none of the four superblocks of /dev/x can be read: Bad file "
                        "descriptor. See dmesg; the drive may need replacing");
    close(media.fd);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_begin, fixture_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_probe__new_file__blank),
        FIXTURE_TEST(test_probe__formatted__store),
        FIXTURE_TEST(test_probe__a_byte_at_either_end__other),
        FIXTURE_TEST(test_probe__a_partition_table__other_and_named),
        FIXTURE_TEST(test_probe__copies_zeroed__store_while_two_are_left),
        FIXTURE_TEST(test_probe__format_was_cut__blank_and_can_be_formatted),
        FIXTURE_TEST(test_probe__single_copy_and_more__damaged),
        FIXTURE_TEST(test_probe__single_copy_of_an_opening__damaged),
        FIXTURE_TEST(test_probe__start_pair_half_written__end_pair_is_the_store),
        FIXTURE_TEST(test_probe__grown__store_at_its_old_size),
        FIXTURE_TEST(test_probe__shrunk__both_sizes),
        FIXTURE_TEST(test_probe__newer_format__its_version),
        FIXTURE_TEST(test_probe__medium_that_cannot_be_read__io_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
