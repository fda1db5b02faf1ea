/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store of one volume in a real file, opened as the daemon opens it (lock, probe, drive set,
 * recovery on io_uring), whose bytes can be ruined and put back: what opening and serving wrote is
 * noted, so that putting back rewrites those units alone.
 *
 *   create --> put, remove --> close or kill --> keep --> [ damage --> open --> read, put --> close
 *                                                  ^        or kill --> restore ]  again and again
 *
 * Every wait is bounded: what does not come to rest within RIG_STEPS_MAX steps fails the test.
 *
 * Not responsible for: several drives, or clients: messages go straight to the volume.
 */
#ifndef MKV_TESTS_UNIT_SERVER_IMAGE_RIG_H
#define MKV_TESTS_UNIT_SERVER_IMAGE_RIG_H

#include "backends/arena.h"
#include "backends/drive.h"
#include "backends/drive_open.h"
#include "backends/ring.h"
#include "core/volume.h"

/* The capacity: 27 extents of 21 units, and what is needed to find them. */
#define RIG_UNITS 720u
#define RIG_RING_BLOCKS 20u
#define RIG_EXTENT_UNITS 21u
#define RIG_PAGES 32u
#define RIG_STEPS_MAX 20000u
/* The largest payload that a test may put. */
#define RIG_PAYLOAD_BYTES_MAX (20u * MKV_UNIT_BYTES)
#define RIG_PATH_BYTES 256u

enum rig_opened {
    RIG_SERVES = 0,
    RIG_EMPTY,   /* serves, but keeps nothing of what stood there */
    RIG_REFUSED, /* rig.refusal says why */
};

enum rig_read {
    RIG_IDENTICAL = 0,
    RIG_MISSING, /* with a reason: rig.miss */
    RIG_WRONG,
};

/* Content that follows from two figures. */
struct rig_value {
    uint32_t length;
    uint32_t seed;
};

struct rig {
    char directory[RIG_PATH_BYTES];
    char path[RIG_PATH_BYTES];
    int fd; /* the test's own, for damage and restoring */
    bool flush_needed;
    struct mkv_ring *ring;
    struct mkv_arena *arena;
    struct mkv_arena_buffers *buffers;
    void *memory; /* of the volume */
    size_t memory_bytes;
    struct mkv_volume_config config;
    struct mkv_volume *volume; /* NULL: not open */
    struct mkv_drive *drive;
    uint64_t now_ns;

    struct mkv_message answer;
    bool answered;
    enum mkv_miss miss;
    char refusal[MKV_BACKEND_ERROR_TEXT_BYTES];
    enum mkv_err open_err; /* of OPEN_FAILED and CAME_UP_EMPTY */
    bool came_up_empty;
    bool drive_failed;
    bool closed;

    /* A kill between the two copies: writes to copy B of the ring get lost and never complete. */
    bool ring_copy_b_is_lost;
    uint32_t operations_lost;
    struct mkv_lba slot_written; /* where the last slot was written */

    uint8_t *image; /* what `keep` found */
    bool changed[RIG_UNITS];
};

/* A formatted and opened store in a directory of its own. */
struct rig *rig_create(void);
void rig_destroy(struct rig *rig);
/* Of a rig that nobody will use or destroy any more: a test failed. */
void rig_remove_files(const struct rig *rig);

enum rig_opened rig_open(struct rig *rig);
/* Drains, writes the clean mark, and closes the medium. */
void rig_close(struct rig *rig);
/* Forgets the machine. I/O that was issued still ends, as it does under a killed process. */
void rig_kill(struct rig *rig);

enum mkv_status rig_put(struct rig *rig, const char *key, struct rig_value value);
/* Starts the put of a value and lets it come as far as it can; true when it was answered. */
bool rig_put_unfinished(struct rig *rig, const char *key, struct rig_value value);
enum mkv_status rig_remove(struct rig *rig, const char *key);
/* Reads `bytes` from `offset` on, all behind it when 0, and compares them with the value's. */
enum rig_read rig_read(struct rig *rig, const char *key, struct rig_value value, uint32_t offset,
                       uint32_t bytes);
bool rig_exists(struct rig *rig, const char *key);
/* Where the live block of a key lies; false when there is none. */
bool rig_find_block(struct rig *rig, const char *key, struct mkv_volume_block *block);

/* Remembers the file as it is. */
void rig_keep(struct rig *rig);
/* Overwrites a unit. */
void rig_damage(struct rig *rig, uint64_t unit, const uint8_t *bytes);
/* Makes the file shorter or longer. */
void rig_truncate(struct rig *rig, uint64_t byte_count);
/* Puts back what damage, opening and serving have changed since `keep`. */
void rig_restore(struct rig *rig);
const uint8_t *rig_kept_unit(const struct rig *rig, uint64_t unit);

#endif
