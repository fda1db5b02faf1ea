/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the simulated drive share: drive_sim.c carries operations out,
 * drive_sim_crash.c holds the versions and what a crash makes of them.
 *
 * Not responsible for: what others see (drive_sim.h).
 */
#ifndef MKV_SIM_DRIVE_SIM_INTERNAL_H
#define MKV_SIM_DRIVE_SIM_INTERNAL_H

#include "sim/drive_sim.h"

/* Page 0 is all zeros, is shared, and is never freed. */
#define PAGE_ZERO 0u

struct version {
    uint32_t page;
    uint32_t write;     /* serial of the write or trim that brought it */
    uint64_t completed; /* 0 while in flight */
    uint32_t next;      /* the next older one, MKV_NONE_U32 at the end */
    bool orphan;        /* in flight from a process that is gone */
};

struct sector {
    uint32_t page;   /* durable */
    uint32_t newest; /* version, MKV_NONE_U32 when the unit is clean */
};

struct drive_io {
    enum mkv_effect_kind kind;
    struct mkv_op_id op;
    struct mkv_drive_effect drive;
    uint32_t token;
    uint32_t write;       /* serial */
    uint64_t flush_stamp; /* completions up to here are covered */
    uint64_t due_ns;
};

struct mkv_drive_sim {
    struct mkv_drive_profile profile;
    struct mkv_random random;
    struct mkv_guard *guard;
    struct mkv_drive_memory_map map;

    struct drive_io ios[MKV_DRIVE_SIM_IO_MAX]; /* the first io_count, in no order */
    uint32_t io_count;
    uint32_t write_serial;
    uint64_t completion_stamp;
    uint64_t last_write_hash;
    uint64_t image_hash;
    uint32_t orphan_count; /* versions, all of them on dirty units */

    uint8_t *pages;
    uint64_t *page_hashes;
    uint32_t *pages_free;
    uint32_t pages_free_count;
    struct version *versions;
    uint32_t *versions_free;
    uint32_t versions_free_count;
    struct sector *sectors;
    uint32_t *dirty; /* units with versions, in the order they became so */
    uint32_t dirty_count;
    uint64_t *sums; /* of the read completed last */
};

static inline uint8_t *drive_page(const struct mkv_drive_sim *drive, uint32_t page) {
    return drive->pages + (size_t)page * MKV_UNIT_BYTES;
}

uint32_t mkv_drive_page_take(struct mkv_drive_sim *drive);
/* Puts a version in flight with these bytes on top of the unit; NULL: zeros. */
void mkv_drive_version_push(struct mkv_drive_sim *drive, uint64_t unit, uint32_t write,
                            const uint8_t *bytes);
/* The version that a read sees, or MKV_NONE_U32: the durable page. */
uint32_t mkv_drive_version_visible(const struct mkv_drive_sim *drive, uint64_t unit);
/* The write's, or trim's, versions on these units are completed. A trim left out some of them. */
void mkv_drive_versions_completed(struct mkv_drive_sim *drive, uint64_t unit, uint32_t unit_count,
                                  uint32_t write);
/* Makes durable what was completed up to the stamp. */
void mkv_drive_versions_flush(struct mkv_drive_sim *drive, uint64_t stamp);
/* What a dead process left in flight lands now, or never. */
void mkv_drive_versions_land(struct mkv_drive_sim *drive);

#endif
