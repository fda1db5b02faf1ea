/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store for the tests of `memkv drive`, with something of everything in it: blocks of all kinds
 * and several classes, two tenants, expiries, a value in segments, a directory of several levels,
 * two checkpoints, and a journal that goes on behind the last of them, as a process leaves it that
 * is killed.
 */
#ifndef MKV_TESTS_TOOL_STORE_H
#define MKV_TESTS_TOOL_STORE_H

#include "server/drive_tool.h"
#include "server/drive_tool_report.h"
#include "server/drive_tool_volume.h"
#include "tests/unit/server/images.h"

#define TOOL_STORE_BYTES (16ull * MKV_MIB)
#define TOOL_STORE_TENANT "alpha"
/* An expiry that is far away. */
#define TOOL_STORE_EXPIRY_S 4000000000u

struct tool_store {
    char directory[IMAGES_PATH_BYTES];
    char path[IMAGES_PATH_BYTES];
    struct mkv_superblock superblock; /* as it was left */
};

/* Makes a directory and the store in it. */
void tool_store_make(struct tool_store *store);
void tool_store_remove(struct tool_store *store);

/* Opens what is at the path; nothing may go wrong. */
void tool_store_open(const char *path, enum mkv_drive_tool_access access,
                     struct mkv_drive_tool *drive);
/* Puts a block of bytes that its number tells, and waits until it is durable. */
void tool_store_put(struct mkv_drive_tool_volume *volume, uint32_t tenant, const char *key,
                    uint32_t number, uint32_t length, uint32_t expiry_s, uint32_t flags);
void tool_store_bytes(uint32_t number, uint32_t length, uint8_t *bytes);

/* Flips a bit in the unit. */
void tool_store_flip(const char *path, uint64_t unit, uint32_t offset);
/* Copies a file; and whether two have the same bytes. */
void tool_store_copy(const char *source, const char *target);
bool tool_store_same(const char *one, const char *other);

/* A report that keeps the first faults. */
#define TOOL_FAULTS_MAX 256u
struct tool_faults {
    struct mkv_drive_report report;
    uint32_t count;
    enum mkv_drive_fault kinds[TOOL_FAULTS_MAX];
    uint64_t units[TOOL_FAULTS_MAX];
    char texts[TOOL_FAULTS_MAX][MKV_DRIVE_FAULT_TEXT_BYTES];
};
void tool_faults_begin(struct tool_faults *faults);
bool tool_faults_has(const struct tool_faults *faults, enum mkv_drive_fault kind, uint64_t unit);
/* Prints them: before an assertion that fails. */
void tool_faults_print(const struct tool_faults *faults);

/* Calls `visit` for each live block, as recovery finds it. */
uint32_t tool_store_blocks(const char *path,
                           void (*visit)(void *context, const struct mkv_volume_block *block),
                           void *context);

#endif
