/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit of a checkpoint side that holds tenants: who may own blocks of this drive, and who is
 * being dropped. Place p of the tenant table stands in unit p / MKV_UNIT_TENANTS.
 *
 *   offset bytes  field                          entry (96 bytes)
 *        0     8  magic "MEMKVCT\0"              offset bytes  field
 *        8     8  checksum of 16 .. 4095              0     4  id
 *       16    16  drive uuid                          4     1  state: 0 free, 1 live, 2 dropped
 *       32     8  checkpoint number                   5     1  bytes of the name, 1 ... 79
 *       40     4  index of the unit                   6     2  0
 *       44     4  the highest id ever given           8    79  name, then 0
 *       48     8  0                                  87     9  0
 *       56     8  stamp: sequence last applied
 *       64  4032  42 entries of 96 bytes
 *   A free entry is all 0.
 *
 * Not responsible for: what is captured when (volume), nor for what a drop hides (tenant_table.h).
 */
#ifndef MKV_CORE_TENANT_PAGE_H
#define MKV_CORE_TENANT_PAGE_H

#include "core/base.h"
#include "core/geometry.h"

enum mkv_tenant_state {
    MKV_TENANT_FREE = 0,    /* the place holds no tenant */
    MKV_TENANT_LIVE = 1,    /* its blocks are served */
    MKV_TENANT_DROPPED = 2, /* hidden at once; its blocks are being dropped one by one */
};

struct mkv_tenant {
    uint32_t id;
    uint8_t state; /* enum mkv_tenant_state */
    uint8_t name_bytes;
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX];
};

struct mkv_tenant_page {
    struct mkv_uuid drive_uuid;
    uint64_t checkpoint_number;
    uint32_t unit_index;
    uint32_t id_max;
    struct mkv_sequence stamp;
};

/* Starts a unit with all places free; tenants are stored next, then the unit is sealed. */
void mkv_tenant_page_begin(const struct mkv_tenant_page *page, uint8_t *unit);
/* A free one is stored as all 0, whatever its other fields hold. */
void mkv_tenant_page_store(uint8_t *unit, uint32_t index, const struct mkv_tenant *tenant);
void mkv_tenant_page_seal(uint8_t *unit);
/* MKV_OK or MKV_CORRUPT_CHECKPOINT_PAGE (magic, checksum, a figure or an entry out of bounds).
 * Safe on any bytes. */
enum mkv_err mkv_tenant_page_decode(const uint8_t *unit, struct mkv_tenant_page *page);
/* Reads an entry of a unit that is decoded, or begun. */
void mkv_tenant_page_load(const uint8_t *unit, uint32_t index, struct mkv_tenant *tenant);

#endif
