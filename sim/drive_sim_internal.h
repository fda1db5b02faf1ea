/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the simulated drive share: drive_sim.c carries operations out,
 * drive_sim_crash.c holds the versions and what a crash makes of them, drive_sim_fault.c does to
 * them what faults do.
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
    uint32_t write;      /* serial of the write or trim that brought it */
    uint64_t completed;  /* 0 while in flight */
    uint32_t next;       /* the next older one, MKV_NONE_U32 at the end */
    bool orphan;         /* of a process that is gone, or an operation that failed; may yet land */
    bool atomic;         /* of a write that is kept whole or not at all */
    uint64_t image_part; /* what it would add to image_hash; for drive_sim_ends.c alone */
};

struct sector {
    uint64_t image_part; /* what the unit adds to image_hash */
    uint32_t page;       /* durable */
    uint32_t newest;     /* version, MKV_NONE_U32 when the unit is clean */
    uint32_t older;      /* durable before; MKV_NONE_U32: none, or not kept */
    bool image_stale;    /* its durable content changed since image_part was computed */
};

struct drive_io {
    enum mkv_effect_kind kind;
    struct mkv_op_id op;
    struct mkv_drive_effect drive;
    uint32_t token;
    uint32_t write;       /* serial */
    uint64_t flush_stamp; /* completions up to here are covered */
    uint64_t due_ns;
    uint32_t serial; /* grows with every operation */
    struct mkv_fault_act act;
};

struct mkv_drive_sim {
    struct mkv_drive_profile profile;
    struct mkv_random random;
    struct mkv_guard *guard;
    struct mkv_drive_memory_map map;
    struct mkv_faults *faults; /* NULL: none */
    bool keeps_older;
    uint8_t *image; /* durable pages at some time, behind one another; NULL where none is kept */
    bool image_kept;

    uint32_t io_count;
    uint32_t write_serial;
    uint32_t io_serial;
    uint64_t due_last_ns; /* of the operation submitted last */
    uint64_t completion_stamp;
    uint64_t last_write_hash;
    uint64_t image_hash;   /* the sum of all parts, those of stale units included */
    uint32_t orphan_count; /* versions, all of them on dirty units */

    bool choosing;   /* the next crash has the end that was chosen */
    bool lands;      /* what it leaves for later lands */
    bool is_gone;    /* a process crashed, and no flush was handed out since */
    uint64_t chosen; /* what is left of its number, as digits of the units and versions to come */
    struct mkv_drive_ends *ends; /* NULL, or they are listed */

    /* Of pages and versions, those below `used` were taken once, and what came back of them is
     * listed as free and taken first, last ahead: most runs touch few of those that there are. */
    uint8_t *pages;
    uint32_t page_count;
    uint32_t pages_used;
    uint32_t *pages_free;
    uint32_t pages_free_count;
    struct version *versions;
    uint32_t versions_used;
    uint32_t *versions_free;
    uint32_t versions_free_count;
    struct sector *sectors;
    uint32_t *dirty; /* units with versions, in the order they became so */
    uint32_t dirty_count;
    uint32_t *image_stale; /* units that are stale in the hash of the image */
    uint32_t image_stale_count;
    uint64_t *sums; /* of the read completed last */
    /* Last, since it is not cleared: the first io_count, in no order. */
    struct drive_io ios[MKV_DRIVE_SIM_IO_MAX];
};

static inline uint8_t *drive_page(const struct mkv_drive_sim *drive, uint32_t page) {
    return drive->pages + (size_t)page * MKV_UNIT_BYTES;
}

/* Copies units; a call of its own, for which the C library's copy is taken. */
void mkv_drive_copy(uint8_t *target, const uint8_t *source, uint32_t unit_count);
uint32_t mkv_drive_page_take(struct mkv_drive_sim *drive);
/* Puts a version in flight with these bytes on top of the unit; NULL: zeros. */
void mkv_drive_version_push(struct mkv_drive_sim *drive, uint64_t unit, uint32_t write,
                            const uint8_t *bytes);
/* The version that a read sees, or MKV_NONE_U32: the durable page. */
uint32_t mkv_drive_version_visible(const struct mkv_drive_sim *drive, uint64_t unit);
/* The version that the write or trim brought to the unit, or MKV_NONE_U32: it left it out. */
uint32_t mkv_drive_version_of(const struct mkv_drive_sim *drive, uint64_t unit, uint32_t write);
/* The write's, or trim's, versions on these units are completed. Some of them may be left out. */
void mkv_drive_versions_completed(struct mkv_drive_sim *drive, uint64_t unit, uint32_t unit_count,
                                  uint32_t write);
/* The write has failed: of its units those before `kept` have it, and each of the others has it,
 * gets it later (where `late`), or never does, as drawn, unless `never`. */
void mkv_drive_versions_failed(struct mkv_drive_sim *drive, uint64_t unit, uint32_t unit_count,
                               uint32_t write, uint32_t kept, bool late, bool never);
/* A flush that covers what was completed up to the stamp fails: some of that is durable, some stays
 * in the cache, some is lost. */
void mkv_drive_versions_flush_failed(struct mkv_drive_sim *drive, uint64_t stamp);
/* Puts a durable page in the place of another. */
void mkv_drive_set_durable(struct mkv_drive_sim *drive, uint64_t unit, uint32_t page);
/* Makes durable what was completed up to the stamp. */
void mkv_drive_versions_flush(struct mkv_drive_sim *drive, uint64_t stamp);
/* A flush is handed out. What a dead process left in flight lands now, or never; what is late of an
 * operation that failed lands, stays, or never does. */
void mkv_drive_versions_land(struct mkv_drive_sim *drive);

/* ---- drive_sim_ends.c ------------------------------------------------------------------------ */

/* A crash comes whose end was chosen: lists the ends, and says of which kind it is. */
enum mkv_crash_kind mkv_drive_end_begin(struct mkv_drive_sim *drive);
/* The version whose content the chosen end has in the unit, or MKV_NONE_U32. */
uint32_t mkv_drive_end_version(struct mkv_drive_sim *drive, uint32_t unit);
/* What becomes of the next version in flight: 0 it lands, 1 it lands later, 2 it never does. */
uint32_t mkv_drive_end_fate(struct mkv_drive_sim *drive);
/* What a unit adds to the hash of the image. Units of the zero page add nothing. */
uint64_t mkv_drive_image_part(const struct mkv_drive_sim *drive, uint64_t unit, uint32_t page);

/* ---- drive_sim_fault.c ----------------------------------------------------------------------- */

/* Where unit `index` of the write goes; false: nowhere. */
bool mkv_drive_fault_target(const struct drive_io *io, uint32_t index, uint64_t *unit);
/* Says what a write that goes astray, or is lost, does to the flags of its units, and tells. */
void mkv_drive_fault_written(struct mkv_drive_sim *drive, const struct drive_io *io);
/* Ends an operation that a fault struck, or that the drive fails as it is; false: it ends well. */
bool mkv_drive_fault_complete(struct mkv_drive_sim *drive, const struct drive_io *io,
                              enum mkv_io_result *result);
/* The bytes that a read gets of unit `index`. */
const uint8_t *mkv_drive_fault_read_unit(struct mkv_drive_sim *drive, const struct drive_io *io,
                                         uint32_t index);
/* Puts versions in flight on the units that the trim changes. */
void mkv_drive_trim_submit(struct mkv_drive_sim *drive, struct drive_io *io);
/* How the operation is delayed; counts what faults do to that. */
uint64_t mkv_drive_fault_due(struct mkv_drive_sim *drive, const struct drive_io *io,
                             uint64_t now_ns, uint64_t delay_ns);

#endif
