/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/server/images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/node_format.h"

void images_make(char directory[IMAGES_PATH_BYTES]) {
    const char *parent = getenv("TMPDIR");
    snprintf(directory, IMAGES_PATH_BYTES, "%.400s/memkv-test-XXXXXX",
             parent != NULL && parent[0] != '\0' ? parent : "/var/tmp");
    assert_non_null(mkdtemp(directory));
}

void images_remove(const char *path) {
    DIR *directory = opendir(path);
    assert_non_null(directory);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
        }
    }
    closedir(directory);
    assert_int_equal(rmdir(path), 0);
}

void images_path(const char *directory, const char *name, char path[IMAGES_PATH_BYTES]) {
    int bytes = snprintf(path, IMAGES_PATH_BYTES, "%s/%s", directory, name);
    assert_in_range(bytes, 1, IMAGES_PATH_BYTES - 1);
}

void images_open(const char *path, uint64_t bytes, struct mkv_drive_media *media) {
    const struct mkv_drive_open_options options = {
        .name = "d00", .media = path, .size_bytes = bytes, .mode = MKV_DRIVE_MODE_FILE};
    struct mkv_backend_error error = {0};
    bool opened = mkv_drive_open(&options, media, &error);
    assert_string_equal(error.text, "");
    assert_true(opened);
}

void images_format(const struct mkv_drive_media *media, struct mkv_volume_config *config) {
    const struct mkv_geometry_options plan = {0};
    memset(config, 0, sizeof *config);
    config->capacity_units = media->capacity_units;
    assert_int_equal(mkv_geometry_plan(media->capacity_units, &plan, &config->geometry), MKV_OK);
    config->ops_max = 8;
    config->window_units = 8;
    memset(config->store_uuid.bytes, 'S', sizeof config->store_uuid.bytes);
    memset(config->drive_uuid.bytes, 'a', sizeof config->drive_uuid.bytes);
    config->drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    mkv_drive_set_add(&config->drive_set, (struct mkv_member){config->drive_uuid, 1});

    const size_t memory_bytes =
        mkv_round_up_u64(mkv_volume_memory_required(config), MKV_UNIT_BYTES);
    void *memory = aligned_alloc(MKV_UNIT_BYTES, memory_bytes);
    assert_non_null(memory);
    const struct mkv_node_format_options options = {
        .name = "d00",
        .path = "image",
        .media = media,
        .config = config,
        .memory = memory,
        .memory_bytes = memory_bytes,
    };
    struct mkv_backend_error error = {0};
    bool formatted = mkv_node_format(&options, &error);
    assert_string_equal(error.text, "");
    assert_true(formatted);
    free(memory);
}

void images_write_unit(const struct mkv_drive_media *media, uint64_t unit, const uint8_t *bytes) {
    uint8_t *aligned = aligned_alloc(MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    assert_non_null(aligned);
    memcpy(aligned, bytes, MKV_UNIT_BYTES);
    assert_int_equal(pwrite(media->fd, aligned, MKV_UNIT_BYTES, (off_t)(unit * MKV_UNIT_BYTES)),
                     MKV_UNIT_BYTES);
    free(aligned);
}

void images_fill_unit(const struct mkv_drive_media *media, uint64_t unit, uint8_t byte) {
    uint8_t bytes[MKV_UNIT_BYTES];
    memset(bytes, byte, sizeof bytes);
    images_write_unit(media, unit, bytes);
}
