/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume without a node: the core's own state machine, driven one operation at a time on a drive
 * that nobody else has. Recovery, puts, the scrubber and the close are the core's here as in the
 * daemon, so what the tool does to a store is what a node would have done.
 *
 *     create --> open --> turn ... (puts, passes of the scrubber) --> close --> destroy
 *                  |
 *                  +-- dry: what the volume writes stays in memory, and is read from there. The
 * drive                      is as it was; the volume is what a start would find
 *
 * Time does not pass by itself: a turn without anything to do moves the volume's clock on, so that
 * what waits for a time is done at once.
 *
 * Invariants
 *  I1  With `dry` nothing is written to the drive.
 *  I2  Operations are carried out in the order in which they were handed out, each to its end
 *      before the next: what a flush covers is what was written before it.
 *  I3  Events and answers are told while the effects of a step are taken: nothing may be begun from
 *      there.
 *
 * Not responsible for: what is to be done with a volume (drive_tool_repair.h, drive_tool_import.h).
 */
#ifndef MKV_SERVER_DRIVE_TOOL_VOLUME_H
#define MKV_SERVER_DRIVE_TOOL_VOLUME_H

#include "core/volume.h"
#include "server/drive_tool.h"

/* Puts that may be under way, and the bytes of their slabs. */
#define MKV_DRIVE_TOOL_PUTS_MAX 64u
#define MKV_DRIVE_TOOL_SLAB_BYTES (64u * 1024u * 1024u)

struct mkv_drive_tool_volume;

struct mkv_drive_tool_volume_options {
    const struct mkv_drive_tool *drive; /* outlives the volume */
    const struct mkv_volume_config *config;
    bool dry;
    bool puts; /* puts will be made: there is memory for their bytes */
    /* Each may be NULL. `index` is what the put was begun with. */
    void (*event)(void *context, const struct mkv_event *event);
    void (*put_done)(void *context, uint32_t index, enum mkv_status status, bool there);
    void *context;
};

/* What a volume on this drive is configured with; its store and its geometry are the
 * superblock's. */
void mkv_drive_tool_volume_config(const struct mkv_superblock *superblock, uint64_t capacity_units,
                                  struct mkv_volume_config *config);

__attribute__((warn_unused_result)) bool mkv_drive_tool_volume_create(
    const struct mkv_drive_tool_volume_options *options, struct mkv_drive_tool_volume **volume,
    struct mkv_backend_error *error);
/* NULL is ignored. */
void mkv_drive_tool_volume_destroy(struct mkv_drive_tool_volume *volume);
struct mkv_volume *mkv_drive_tool_volume_core(struct mkv_drive_tool_volume *volume);

/* Opens it, with a set as MKV_ADMIN_OPEN takes it or none; with `joins` it comes up empty under the
 * set. Returns when it serves. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_volume_open(
    struct mkv_drive_tool_volume *volume, const struct mkv_drive_set *set, bool joins,
    struct mkv_backend_error *error);
/* Until `ended` says so. False when the drive failed, or when nothing more happens. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_volume_run(
    struct mkv_drive_tool_volume *volume, bool (*ended)(struct mkv_drive_tool_volume *volume),
    struct mkv_backend_error *error);
/* Until the directory has every block. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_volume_list_all(
    struct mkv_drive_tool_volume *volume, struct mkv_backend_error *error);
/* Checkpoint, clean mark, closed. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_volume_close(
    struct mkv_drive_tool_volume *volume, struct mkv_backend_error *error);

/* ---- tenants and puts, while it serves
 * -------------------------------------------------------- */

/* Carries one TENANT message and its answer. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_volume_tenant(
    struct mkv_drive_tool_volume *volume, struct mkv_message *message, const char *name,
    struct mkv_backend_error *error);

struct mkv_drive_tool_put {
    uint32_t index; /* for put_done */
    uint32_t tenant;
    uint32_t flags; /* MKV_BLOCK_*, MKV_PUT_REPLACE */
    enum mkv_tier tier;
    uint32_t expiry_s;
    const uint8_t *key;
    uint32_t key_bytes;
    const uint8_t *payload;
    uint32_t length;
    struct mkv_root root;
};
/* Whether there is room for one more put of this length. */
bool mkv_drive_tool_volume_put_fits(const struct mkv_drive_tool_volume *volume, uint32_t length);
/* Begins a put; key and payload are copied. */
void mkv_drive_tool_volume_put(struct mkv_drive_tool_volume *volume,
                               const struct mkv_drive_tool_put *put);
/* Until every put was answered. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_volume_puts_end(
    struct mkv_drive_tool_volume *volume, struct mkv_backend_error *error);

#endif
