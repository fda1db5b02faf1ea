/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/server/tool_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/manifest.h"

#define LONG_KEYS 40u
#define LONG_KEY_BYTES 900u

static const uint32_t lengths[] = {0, 1, 2048, 2049, 5000, 70000, 300000};
#define LENGTH_COUNT (sizeof lengths / sizeof lengths[0])

void tool_store_bytes(uint32_t number, uint32_t length, uint8_t *bytes) {
    uint64_t state = 88172645463325252u + number;
    for (uint32_t at = 0; at < length; at++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        bytes[at] = (uint8_t)(state >> 56);
    }
}

void tool_store_open(const char *path, enum mkv_drive_tool_access access,
                     struct mkv_drive_tool *drive) {
    struct mkv_backend_error error = {0};
    const bool opened = mkv_drive_tool_open(drive, path, access, &error);
    assert_string_equal(error.text, "");
    assert_true(opened);
}

void tool_store_put(struct mkv_drive_tool_volume *volume, uint32_t tenant, const char *key,
                    uint32_t number, uint32_t length, uint32_t expiry_s, uint32_t flags) {
    uint8_t *bytes = malloc((size_t)length + 1);
    uint64_t sums[MKV_CHUNKS_MAX];
    struct mkv_backend_error error = {0};
    assert_non_null(bytes);
    tool_store_bytes(number, length, bytes);
    if ((flags & MKV_BLOCK_MANIFEST) != 0) {
        const struct mkv_manifest manifest = {
            .length = 2ull * 5000, .segment_bytes = 5000, .segment_count = 2, .id = number};
        mkv_manifest_encode(&manifest, bytes);
    }
    mkv_chunk_sums(bytes, length, sums);
    const struct mkv_drive_tool_put put = {
        .index = number,
        .tenant = tenant,
        .flags = flags,
        .tier = (enum mkv_tier)(number % MKV_TIER_COUNT),
        .expiry_s = expiry_s,
        .key = (const uint8_t *)key,
        .key_bytes = (uint32_t)strlen(key),
        .payload = bytes,
        .length = length,
        .root = mkv_root_of_sums(length, sums),
    };
    mkv_drive_tool_volume_put(volume, &put);
    assert_true(mkv_drive_tool_volume_puts_end(volume, &error));
    free(bytes);
}

static void on_put(void *context, uint32_t index, enum mkv_status status, bool there) {
    (void)context;
    (void)index;
    (void)there;
    assert_int_equal(status, MKV_STATUS_OK);
}

static struct mkv_drive_tool_volume *volume_open(struct mkv_drive_tool *drive) {
    struct mkv_backend_error error = {0};
    struct mkv_volume_config config;
    struct mkv_drive_tool_volume *volume;
    mkv_drive_tool_volume_config(&drive->probe.superblock, drive->media.capacity_units, &config);
    const struct mkv_drive_tool_volume_options options = {
        .drive = drive, .config = &config, .puts = true, .put_done = on_put};
    assert_true(mkv_drive_tool_volume_create(&options, &volume, &error));
    const bool opened = mkv_drive_tool_volume_open(volume, NULL, false, &error);
    assert_string_equal(error.text, "");
    assert_true(opened);
    return volume;
}

static void volume_end(struct mkv_drive_tool_volume *volume, bool closes) {
    struct mkv_backend_error error = {0};
    if (closes) {
        assert_true(mkv_drive_tool_volume_list_all(volume, &error));
        assert_true(mkv_drive_tool_volume_close(volume, &error));
    }
    mkv_drive_tool_volume_destroy(volume);
}

static void put_kinds(struct mkv_drive_tool_volume *volume, uint32_t tenant, const char *prefix,
                      uint32_t first) {
    for (uint32_t i = 0; i < LENGTH_COUNT; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s-%u", prefix, i);
        tool_store_put(volume, tenant, key, first + i, lengths[i],
                       i % 2 == 0 ? 0 : TOOL_STORE_EXPIRY_S, 0);
    }
}

static void put_segmented(struct mkv_drive_tool_volume *volume) {
    char key[64];
    for (uint32_t i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "large-segment-%u", i);
        tool_store_put(volume, 0, key, 500 + i, 5000, 0, MKV_BLOCK_SEGMENT);
    }
    tool_store_put(volume, 0, "large", 502, MKV_MANIFEST_BYTES, 0, MKV_BLOCK_MANIFEST);
}

static void put_long_keys(struct mkv_drive_tool_volume *volume) {
    char key[LONG_KEY_BYTES + 1];
    for (uint32_t i = 0; i < LONG_KEYS; i++) {
        memset(key, 'x', sizeof key);
        snprintf(key, 16, "long-%04u", i * 7919 % 10000);
        key[strlen(key)] = 'y';
        key[LONG_KEY_BYTES] = '\0';
        tool_store_put(volume, 0, key, 600 + i, 100, 0, 0);
    }
}

static void make_tenant(struct mkv_drive_tool_volume *volume) {
    struct mkv_backend_error error = {0};
    struct mkv_message message = {
        .kind = MKV_MESSAGE_TENANT, .tenant = 1, .data_bytes = sizeof TOOL_STORE_TENANT - 1};
    assert_true(mkv_drive_tool_volume_tenant(volume, &message, TOOL_STORE_TENANT, &error));
    assert_int_equal(message.status, MKV_STATUS_OK);
}

void tool_store_make(struct tool_store *store) {
    struct mkv_drive_media media;
    struct mkv_volume_config config;
    struct mkv_drive_tool drive;
    memset(store, 0, sizeof *store);
    images_make(store->directory);
    images_path(store->directory, "store.memkv", store->path);
    images_open(store->path, TOOL_STORE_BYTES, &media);
    images_format(&media, &config);
    mkv_drive_media_close(&media);
    for (uint32_t opening = 0; opening < 3; opening++) {
        tool_store_open(store->path, MKV_DRIVE_TOOL_WRITE, &drive);
        struct mkv_drive_tool_volume *volume = volume_open(&drive);
        if (opening == 0) {
            make_tenant(volume);
            put_kinds(volume, 0, "first", 0);
            put_long_keys(volume);
        } else if (opening == 1) {
            put_kinds(volume, 1, "second", 100);
            put_segmented(volume);
        } else {
            put_kinds(volume, 0, "third", 200);
            /* The same keys again, replaced. */
            tool_store_put(volume, 0, "first-3", 300, 2500, 0, MKV_PUT_REPLACE);
        }
        volume_end(volume, opening < 2);
        mkv_drive_tool_close(&drive);
    }
    tool_store_open(store->path, MKV_DRIVE_TOOL_READ, &drive);
    store->superblock = drive.probe.superblock;
    mkv_drive_tool_close(&drive);
}

void tool_store_remove(struct tool_store *store) {
    images_remove(store->directory);
}

void tool_store_flip(const char *path, uint64_t unit, uint32_t offset) {
    uint8_t byte;
    const off_t at = (off_t)(unit * MKV_UNIT_BYTES + offset);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static uint8_t *file_read(const char *path, size_t *count) {
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *count = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*count + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *count, file), *count);
    fclose(file);
    return bytes;
}

void tool_store_copy(const char *source, const char *target) {
    size_t count;
    uint8_t *bytes = file_read(source, &count);
    FILE *file = fopen(target, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
    free(bytes);
}

bool tool_store_same(const char *one, const char *other) {
    size_t counts[2];
    uint8_t *bytes[2] = {file_read(one, &counts[0]), file_read(other, &counts[1])};
    const bool same = counts[0] == counts[1] && memcmp(bytes[0], bytes[1], counts[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

static void on_fault(void *context, enum mkv_drive_fault fault, uint64_t unit, const char *text) {
    struct tool_faults *faults = context;
    if (faults->count < TOOL_FAULTS_MAX) {
        faults->kinds[faults->count] = fault;
        faults->units[faults->count] = unit;
        snprintf(faults->texts[faults->count], MKV_DRIVE_FAULT_TEXT_BYTES, "%s", text);
        faults->count++;
    }
}

void tool_faults_begin(struct tool_faults *faults) {
    memset(faults, 0, sizeof *faults);
    faults->report.fault = on_fault;
    faults->report.context = faults;
}

bool tool_faults_has(const struct tool_faults *faults, enum mkv_drive_fault kind, uint64_t unit) {
    for (uint32_t i = 0; i < faults->count; i++) {
        if (faults->kinds[i] == kind && faults->units[i] == unit) {
            return true;
        }
    }
    return false;
}

void tool_faults_print(const struct tool_faults *faults) {
    for (uint32_t i = 0; i < faults->count; i++) {
        print_message("%s at unit %llu: %s\n", mkv_drive_fault_name(faults->kinds[i]),
                      (unsigned long long)faults->units[i], faults->texts[i]);
    }
}

uint32_t tool_store_blocks(const char *path,
                           void (*visit)(void *context, const struct mkv_volume_block *block),
                           void *context) {
    struct mkv_drive_tool drive;
    struct mkv_backend_error error = {0};
    struct mkv_volume_config config;
    struct mkv_drive_tool_volume *volume;
    tool_store_open(path, MKV_DRIVE_TOOL_READ, &drive);
    mkv_drive_tool_volume_config(&drive.probe.superblock, drive.media.capacity_units, &config);
    const struct mkv_drive_tool_volume_options options = {
        .drive = &drive, .config = &config, .dry = true};
    assert_true(mkv_drive_tool_volume_create(&options, &volume, &error));
    assert_true(mkv_drive_tool_volume_open(volume, NULL, false, &error));
    uint32_t count = 0;
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    while (mkv_volume_next_block(mkv_drive_tool_volume_core(volume), &cursor, &block)) {
        count++;
        if (visit != NULL) {
            visit(context, &block);
        }
    }
    mkv_drive_tool_volume_destroy(volume);
    mkv_drive_tool_close(&drive);
    return count;
}
