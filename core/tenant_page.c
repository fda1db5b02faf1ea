/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tenant_page.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/io.h"

/* Offsets of the fields, in the order of the tables in the header. */
enum {
    AT_MAGIC = 0,
    AT_CHECKSUM = 8,
    AT_CHECKED = 16,
    AT_DRIVE_UUID = 16,
    AT_CHECKPOINT_NUMBER = 32,
    AT_UNIT_INDEX = 40,
    AT_ID_MAX = 44,
    AT_STAMP = 56,
    AT_ENTRIES = 64,

    ENTRY_AT_ID = 0,
    ENTRY_AT_STATE = 4,
    ENTRY_AT_NAME_BYTES = 5,
    ENTRY_AT_NAME = 8,
    ENTRY_BYTES = 96,
};

_Static_assert(AT_ENTRIES + MKV_UNIT_TENANTS * ENTRY_BYTES == MKV_UNIT_BYTES, "a full unit");
_Static_assert(ENTRY_AT_NAME + MKV_TENANT_STORED_NAME_BYTES_MAX <= ENTRY_BYTES, "a name fits");

static const uint8_t magic[8] = {'M', 'E', 'M', 'K', 'V', 'C', 'T', 0};

static uint64_t unit_checksum(const uint8_t *unit) {
    return mkv_hash_64(unit + AT_CHECKED, MKV_UNIT_BYTES - AT_CHECKED);
}

void mkv_tenant_page_begin(const struct mkv_tenant_page *page, uint8_t *unit) {
    MKV_ASSERT(page->unit_index < MKV_TENANT_UNITS_MAX);
    memset(unit, 0, MKV_UNIT_BYTES);
    memcpy(unit + AT_MAGIC, magic, sizeof magic);
    memcpy(unit + AT_DRIVE_UUID, page->drive_uuid.bytes, sizeof page->drive_uuid.bytes);
    mkv_store_u64(unit + AT_CHECKPOINT_NUMBER, page->checkpoint_number);
    mkv_store_u32(unit + AT_UNIT_INDEX, page->unit_index);
    mkv_store_u32(unit + AT_ID_MAX, page->id_max);
    mkv_store_u64(unit + AT_STAMP, page->stamp.value);
}

void mkv_tenant_page_store(uint8_t *unit, uint32_t index, const struct mkv_tenant *tenant) {
    MKV_ASSERT(index < MKV_UNIT_TENANTS);
    uint8_t *target = unit + AT_ENTRIES + index * ENTRY_BYTES;
    memset(target, 0, ENTRY_BYTES);
    if (tenant->state == MKV_TENANT_FREE) {
        return;
    }
    MKV_ASSERT(tenant->state <= MKV_TENANT_DROPPED);
    MKV_ASSERT(tenant->name_bytes >= 1);
    MKV_ASSERT(tenant->name_bytes <= MKV_TENANT_STORED_NAME_BYTES_MAX);
    mkv_store_u32(target + ENTRY_AT_ID, tenant->id);
    target[ENTRY_AT_STATE] = tenant->state;
    target[ENTRY_AT_NAME_BYTES] = tenant->name_bytes;
    memcpy(target + ENTRY_AT_NAME, tenant->name, tenant->name_bytes);
}

void mkv_tenant_page_seal(uint8_t *unit) {
    MKV_ASSERT(memcmp(unit + AT_MAGIC, magic, sizeof magic) == 0);
    mkv_store_u64(unit + AT_CHECKSUM, unit_checksum(unit));
}

static bool entry_valid(const uint8_t *source, uint32_t id_max) {
    static const uint8_t zeros[ENTRY_BYTES] = {0};
    if (source[ENTRY_AT_STATE] == MKV_TENANT_FREE) {
        return memcmp(source, zeros, ENTRY_BYTES) == 0;
    }
    return source[ENTRY_AT_STATE] <= MKV_TENANT_DROPPED && source[ENTRY_AT_NAME_BYTES] >= 1 &&
           source[ENTRY_AT_NAME_BYTES] <= MKV_TENANT_STORED_NAME_BYTES_MAX &&
           mkv_load_u32(source + ENTRY_AT_ID) <= id_max;
}

enum mkv_err mkv_tenant_page_decode(const uint8_t *unit, struct mkv_tenant_page *page) {
    *page = (struct mkv_tenant_page){0};
    if (memcmp(unit + AT_MAGIC, magic, sizeof magic) != 0 ||
        mkv_load_u64(unit + AT_CHECKSUM) != unit_checksum(unit)) {
        return MKV_CORRUPT_CHECKPOINT_PAGE;
    }
    memcpy(page->drive_uuid.bytes, unit + AT_DRIVE_UUID, sizeof page->drive_uuid.bytes);
    page->checkpoint_number = mkv_load_u64(unit + AT_CHECKPOINT_NUMBER);
    page->unit_index = mkv_load_u32(unit + AT_UNIT_INDEX);
    page->id_max = mkv_load_u32(unit + AT_ID_MAX);
    page->stamp.value = mkv_load_u64(unit + AT_STAMP);
    for (uint32_t index = 0; index < MKV_UNIT_TENANTS; index++) {
        if (!entry_valid(unit + AT_ENTRIES + index * ENTRY_BYTES, page->id_max)) {
            return MKV_CORRUPT_CHECKPOINT_PAGE;
        }
    }
    return page->unit_index < MKV_TENANT_UNITS_MAX ? MKV_OK : MKV_CORRUPT_CHECKPOINT_PAGE;
}

void mkv_tenant_page_load(const uint8_t *unit, uint32_t index, struct mkv_tenant *tenant) {
    MKV_ASSERT(index < MKV_UNIT_TENANTS);
    const uint8_t *source = unit + AT_ENTRIES + index * ENTRY_BYTES;
    *tenant = (struct mkv_tenant){
        .id = mkv_load_u32(source + ENTRY_AT_ID),
        .state = source[ENTRY_AT_STATE],
        .name_bytes = source[ENTRY_AT_NAME_BYTES],
    };
    /* What lies behind the name is no part of it, whatever it is. */
    memcpy(tenant->name, source + ENTRY_AT_NAME,
           mkv_min_u64(tenant->name_bytes, sizeof tenant->name));
}
