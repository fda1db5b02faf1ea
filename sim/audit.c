/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/audit.h"

#include <string.h>

#include "core/hash.h"
#include "core/slot_header.h"
#include "sim/failure.h"

_Static_assert(MKV_CONTENT_KEYS_MAX <= 64, "a bit for each key");

static unsigned long long ull(uint64_t value) {
    return (unsigned long long)value;
}

void mkv_audit_init(struct mkv_audit *audit, struct mkv_memory *memory, struct mkv_node *node,
                    const struct mkv_content *content, const struct mkv_model *model,
                    struct mkv_faults *faults) {
    *audit = (struct mkv_audit){.node = node, .content = content, .model = model, .faults = faults};
    audit->units_total = mkv_geometry_usable_units(&node->config.geometry);
    audit->units = mkv_memory_take(memory, audit->units_total, 64);
}

/* ---- against the last time ------------------------------------------------------------------- */

static void grows(const char *name, uint64_t before, uint64_t after, bool strictly) {
    if (after < before || (strictly && after == before)) {
        mkv_fail(MKV_ORACLE_MONOTONIC, "the %s went from %llu to %llu", name, ull(before),
                 ull(after));
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static bool payload_is(const struct mkv_audit *audit, const struct mkv_volume_block *block,
                       const uint8_t *header_unit, uint32_t key, uint32_t version,
                       uint32_t length) {
    if (mkv_content_length(audit->content, key, version) != length) {
        return false;
    }
    if (mkv_slot_payload_units(length) == 0) {
        return mkv_content_equal(audit->content, key, version, 0,
                                 header_unit + MKV_SLOT_INLINE_OFFSET, length);
    }
    for (uint32_t offset = 0; offset < length; offset += MKV_UNIT_BYTES) {
        const uint8_t *unit =
            mkv_drive_sim_unit(audit->node->drive, block->lba.unit + 1 + offset / MKV_UNIT_BYTES);
        if (!mkv_content_equal(audit->content, key, version, offset, unit,
                               (size_t)mkv_min_u64(MKV_UNIT_BYTES, length - offset))) {
            return false;
        }
    }
    return true;
}

static bool holds_a_version(const struct mkv_audit *audit, const struct mkv_volume_block *block,
                            const uint8_t *header_unit, const struct mkv_slot_header *header,
                            uint32_t key) {
    uint32_t version = 0;
    for (uint32_t index = 0; mkv_model_version(audit->model, key, index, &version); index++) {
        if (version != MKV_MODEL_ABSENT &&
            payload_is(audit, block, header_unit, key, version, header->length)) {
            return true;
        }
    }
    return false;
}

/* Fails the run when the key of the block cannot hold what the block does. */
static void check_content(const struct mkv_audit *audit, const struct mkv_volume_block *block,
                          const uint8_t *header_unit, const struct mkv_slot_header *header,
                          uint32_t key) {
    if (holds_a_version(audit, block, header_unit, header, key)) {
        return;
    }
    /* Which older version it is makes the report readable. */
    for (uint32_t older = audit->model->keys[key].version_last; older > 0; older--) {
        if (payload_is(audit, block, header_unit, key, older, header->length)) {
            mkv_fail(MKV_ORACLE_NO_RETURN,
                     "slot %u holds version %u of key %u, which is not current", block->slot.index,
                     older, key);
        }
    }
    mkv_fail(MKV_ORACLE_DURABLE, "slot %u holds bytes of key %u that no put brought",
             block->slot.index, key);
}

static void check_units(struct mkv_audit *audit, const struct mkv_volume_block *block) {
    const uint64_t data_start = mkv_geometry_data_start(&audit->node->config.geometry).unit;
    const uint64_t first = block->lba.unit - data_start;
    if (block->lba.unit < data_start || first + block->slot_units > audit->units_total) {
        mkv_fail(MKV_ORACLE_SLOTS, "slot %u lies at unit %llu, outside of the data area",
                 block->slot.index, ull(block->lba.unit));
    }
    for (uint64_t unit = first; unit < first + block->slot_units; unit++) {
        if (audit->units[unit] != 0) {
            mkv_fail(MKV_ORACLE_SLOTS, "unit %llu belongs to slot %u and to another one",
                     ull(data_start + unit), block->slot.index);
        }
        audit->units[unit] = 1;
    }
}

/* The header is of another block than the table says. */
static bool is_other_block(const struct mkv_volume_block *block,
                           const struct mkv_slot_header *header, uint32_t key) {
    return key == MKV_NONE_U32 || header->tenant != block->tenant ||
           mkv_key_tag(block->tenant, header->key, header->key_bytes) != block->tag ||
           header->slot.index != block->slot.index ||
           (uint32_t)header->generation.value != block->generation_low;
}

/* Whether clients may not find it any more: its tenant was dropped, or its time is over. A volume
 * sees the time of its last input, and may have slept since; the model's is the time that it is. */
static bool is_over(const struct mkv_audit *audit, const struct mkv_volume_block *block) {
    const bool was_its_time = block->expiry_s != 0 && audit->model->wall_s >= block->expiry_s;
    return !block->served || block->expired || was_its_time;
}

/* A fault struck the block, or what stood under it: it may be whole all the same. */
static void check_struck_block(struct mkv_audit *audit, const struct mkv_volume_block *block,
                               const uint8_t *header_unit, const struct mkv_slot_header *header,
                               uint32_t key) {
    const uint32_t units = 1 + block->length_units;
    if (is_over(audit, block)) {
        return;
    }
    const bool whole =
        header != NULL && !is_other_block(block, header, key) &&
        !mkv_faults_any_flag(audit->faults, block->lba.unit, units, MKV_UNIT_UNREADABLE) &&
        (header->block_flags & (MKV_BLOCK_SEGMENT | MKV_BLOCK_MANIFEST)) == 0 &&
        holds_a_version(audit, block, header_unit, header, key);
    if (whole) {
        mkv_faults_unflag(audit->faults, block->lba.unit, units);
        audit->present |= 1ull << key;
        return;
    }
    /* The tag of a segment is none of the keys': then it may be anybody's. */
    uint64_t suspect = 0;
    for (uint32_t other = 0; other < audit->content->key_count; other++) {
        suspect |= audit->content->keys[other].tag == block->tag ? 1ull << other : 0;
    }
    audit->suspect |= suspect != 0 ? suspect : UINT64_MAX;
}

static void check_block(struct mkv_audit *audit, const struct mkv_volume_block *block,
                        bool tell_watch) {
    const uint8_t *header_unit = mkv_drive_sim_unit(audit->node->drive, block->lba.unit);
    struct mkv_slot_header header;
    audit->evaluations++;
    check_units(audit, block);
    const bool sound = mkv_slot_header_decode(header_unit, &header) == MKV_OK;
    const uint32_t key =
        sound ? mkv_content_find(audit->content, header.key, header.key_bytes) : MKV_NONE_U32;
    /* Of a header that is another block's the watch learns nothing. */
    const bool own = sound && (uint32_t)header.generation.value == block->generation_low &&
                     header.slot.index == block->slot.index;
    if (tell_watch) {
        mkv_watch_serve_block(&audit->node->watch, block, own ? &header : NULL,
                              own ? key : MKV_NONE_U32);
    }
    if (audit->model->lying) {
        return;
    }
    if (tell_watch) {
        mkv_ledger_block(&audit->node->watch.ledger, block, own ? &header : NULL);
    }
    if (mkv_faults_any_flag(audit->faults, block->lba.unit, 1 + block->length_units,
                            MKV_UNIT_DAMAGED | MKV_UNIT_UNREADABLE)) {
        check_struck_block(audit, block, header_unit, sound ? &header : NULL, key);
        return;
    }
    if (!sound) {
        mkv_fail(MKV_ORACLE_DURABLE, "the header of live slot %u does not decode",
                 block->slot.index);
    }
    if (own && header.tenant != block->tenant) {
        mkv_fail(MKV_ORACLE_TENANT, "slot %u is tenant %u's, and its block is of tenant %u",
                 block->slot.index, block->tenant, header.tenant);
    }
    if ((header.block_flags & MKV_BLOCK_SEGMENT) != 0) {
        return; /* what it belongs to is read back through its manifest */
    }
    if (is_other_block(block, &header, key)) {
        mkv_fail(MKV_ORACLE_DURABLE,
                 "the header of live slot %u is of another block (generation %llx, not %x)",
                 block->slot.index, ull(header.generation.value), block->generation_low);
    }
    if (is_over(audit, block)) {
        return;
    }
    if ((audit->present >> key & 1) != 0) {
        mkv_fail(MKV_ORACLE_SLOTS, "key %u is held by slot %u and by another one", key,
                 block->slot.index);
    }
    audit->present |= 1ull << key;
    if ((header.block_flags & MKV_BLOCK_MANIFEST) == 0) {
        check_content(audit, block, header_unit, &header, key);
    }
}

/* ---- tenants --------------------------------------------------------------------------------- */

/* Tenants with blocks on one drive: the world has two, and those that are being swept. */
#define WALKED_TENANTS_MAX 32u

struct walked_tenants {
    uint32_t count;
    struct walked_tenant {
        uint32_t id;
        uint64_t blocks;
        uint64_t units;
    } tenants[WALKED_TENANTS_MAX];
};

static void walk_tenant(struct walked_tenants *walked, const struct mkv_volume_block *block) {
    uint32_t index = 0;
    while (index < walked->count && walked->tenants[index].id != block->tenant) {
        index++;
    }
    if (index == walked->count) {
        MKV_ASSERT(index < WALKED_TENANTS_MAX);
        walked->tenants[index] = (struct walked_tenant){.id = block->tenant};
        walked->count++;
    }
    walked->tenants[index].blocks++;
    walked->tenants[index].units += block->slot_units;
}

/* What the volume counts for each tenant is what was walked, and no block is of another tenant. */
static void check_tenants(struct mkv_audit *audit, const struct walked_tenants *walked) {
    uint32_t found = 0;
    uint32_t cursor = 0;
    struct mkv_volume_tenant tenant;
    while (mkv_volume_next_tenant(audit->node->volume, &cursor, &tenant)) {
        uint32_t index = 0;
        while (index < walked->count && walked->tenants[index].id != tenant.id) {
            index++;
        }
        const bool has = index < walked->count;
        const uint64_t blocks = has ? walked->tenants[index].blocks : 0;
        const uint64_t bytes = has ? walked->tenants[index].units * MKV_UNIT_BYTES : 0;
        found += has ? 1u : 0u;
        audit->evaluations++;
        if (tenant.blocks != blocks || tenant.bytes != bytes) {
            mkv_fail(MKV_ORACLE_ACCOUNTING,
                     "tenant %u has %llu blocks of %llu bytes, and %llu of %llu are counted",
                     tenant.id, ull(blocks), ull(bytes), ull(tenant.blocks), ull(tenant.bytes));
        }
        if (tenant.quota_bytes > 0 && tenant.bytes > tenant.quota_bytes) {
            mkv_fail(MKV_ORACLE_ACCOUNTING, "tenant %u has %llu bytes and a quota of %llu",
                     tenant.id, ull(tenant.bytes), ull(tenant.quota_bytes));
        }
    }
    if (found != walked->count) {
        mkv_fail(MKV_ORACLE_ACCOUNTING, "%u tenants have blocks, and %u of them are known",
                 walked->count, found);
    }
}

static void walk_blocks(struct mkv_audit *audit, bool tell_watch) {
    const struct mkv_volume *volume = audit->node->volume;
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume, &stats);
    mkv_volume_check(volume);
    memset(audit->units, 0, audit->units_total);
    audit->present = 0;
    audit->suspect = 0;
    uint64_t blocks = 0;
    uint64_t units = 0;
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    struct walked_tenants walked = {0};
    while (mkv_volume_next_block(volume, &cursor, &block)) {
        check_block(audit, &block, tell_watch);
        walk_tenant(&walked, &block);
        blocks++;
        units += block.slot_units;
    }
    check_tenants(audit, &walked);
    audit->evaluations += 2;
    if (stats.blocks != blocks || stats.slots_used != blocks + stats.slots_retired) {
        mkv_fail(MKV_ORACLE_ACCOUNTING, "%llu blocks are walked, %llu counted, %llu slots in use",
                 ull(blocks), ull(stats.blocks), ull(stats.slots_used));
    }
    if (stats.slots_retired == 0 && stats.bytes_used != units * MKV_UNIT_BYTES) {
        mkv_fail(MKV_ORACLE_ACCOUNTING, "the blocks take %llu bytes, and %llu are counted",
                 ull(units * MKV_UNIT_BYTES), ull(stats.bytes_used));
    }
    if (stats.bytes_used > stats.bytes_usable || stats.extents_free > stats.extents_total) {
        mkv_fail(MKV_ORACLE_ACCOUNTING, "%llu bytes of %llu are used, %u extents of %u free",
                 ull(stats.bytes_used), ull(stats.bytes_usable), stats.extents_free,
                 stats.extents_total);
    }
}

void mkv_audit_blocks(struct mkv_audit *audit) {
    walk_blocks(audit, false);
}

/* A put that finds no room gives its slot back, so that puts go on when there is some. */
static void check_retired(const struct mkv_audit *audit) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(audit->node->volume, &stats);
    if (stats.slots_retired != 0 && audit->faults->errors == 0 &&
        audit->faults->content_hits == 0 && !audit->model->lying) {
        mkv_fail(MKV_ORACLE_ACCOUNTING, "%llu slots are retired of a drive that had no error",
                 ull(stats.slots_retired));
    }
}

void mkv_audit_tenants(struct mkv_audit *audit) {
    check_retired(audit);
    const struct mkv_volume *volume = audit->node->volume;
    struct walked_tenants walked = {0};
    struct mkv_volume_block block;
    uint32_t cursor = 0;
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume, &stats);
    /* The end of a flush may have got as far as the ledger, and no further. And a volume that came
     * up empty may serve before its event was taken, which tells the ledger; with a ring that was
     * full its journal then ends where the ledger does. */
    const struct mkv_watch *watch = &audit->node->watch;
    struct mkv_ledger *ledger = &audit->node->watch.ledger;
    const bool applied =
        !audit->model->lying && watch->serving && stats.journal_durable == ledger->head;
    while (mkv_volume_next_block(volume, &cursor, &block)) {
        walk_tenant(&walked, &block);
        if (applied) {
            mkv_ledger_block(ledger, &block, NULL);
        }
    }
    check_tenants(audit, &walked);
    if (applied) {
        mkv_ledger_volume(ledger, volume, &stats, true);
    }
}

void mkv_audit_present(const struct mkv_audit *audits, uint32_t count) {
    const struct mkv_model *model = audits[0].model;
    uint64_t present = 0;
    if (model->lying) {
        return;
    }
    for (uint32_t index = 0; index < count; index++) {
        if ((present & audits[index].present) != 0) {
            mkv_fail(MKV_ORACLE_SLOTS, "two volumes hold the same key (bits %llx)",
                     ull(present & audits[index].present));
        }
        present |= audits[index].present;
    }
    for (uint32_t key = 0; key < model->key_count; key++) {
        if ((present >> key & 1) == 0 && !mkv_model_allows(model, key, MKV_MODEL_ABSENT)) {
            mkv_fail(MKV_ORACLE_DURABLE, "key %u was acknowledged and is not there", key);
        }
    }
}

void mkv_audit_settle(const struct mkv_audit *audits, uint32_t count, struct mkv_model *model) {
    uint64_t present = 0;
    uint64_t suspect = 0;
    for (uint32_t index = 0; index < count; index++) {
        present |= audits[index].present;
        suspect |= audits[index].suspect;
    }
    for (uint32_t key = 0; key < model->key_count; key++) {
        if (model->keys[key].lossy && (suspect >> key & 1) == 0) {
            mkv_model_found(model, key, (present >> key & 1) != 0);
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

void mkv_audit_serving(struct mkv_audit *audit) {
    struct mkv_node *node = audit->node;
    struct mkv_volume_stats stats;
    mkv_volume_stats(node->volume, &stats);
    const uint64_t durable_hash = mkv_volume_durable_hash(node->volume);
    audit->evaluations++;
    if (stats.state != MKV_VOLUME_SERVING) {
        mkv_fail(MKV_ORACLE_DURABLE, "the volume says it is open but its state is %s",
                 mkv_volume_state_name(stats.state));
    }
    if (audit->served && !audit->model->lying) {
        grows("epoch", audit->stats.epoch, stats.epoch, true);
        grows("superblock sequence", audit->stats.superblock_sequence, stats.superblock_sequence,
              true);
        grows("journal sequence", audit->stats.journal_head, stats.journal_head, false);
        grows("generation counter", audit->stats.generation_counter, stats.generation_counter,
              false);
        audit->evaluations += 4;
        if (!audit->mutated && !node->watch.recorded) {
            audit->evaluations++;
            if (durable_hash != audit->durable_hash) {
                mkv_fail(MKV_ORACLE_IDEMPOTENT,
                         "recovered again with nothing written, the durable state is another");
            }
        }
    }
    if (!audit->model->lying) {
        mkv_ledger_serve(&node->watch.ledger, &stats, node->watch.sequence_durable);
        audit->evaluations++;
        if (stats.slots_retired < node->watch.retired_count) {
            mkv_fail(MKV_ORACLE_ACCOUNTING, "%u slots were retired for good, and %llu are",
                     node->watch.retired_count, ull(stats.slots_retired));
        }
    }
    audit->evaluations++;
    audit->served = true;
    audit->mutated = stats.tenants_dropped > 0; /* that a sweep ended is not recorded */
    audit->durable_hash = durable_hash;
    audit->stats = stats;
    mkv_watch_serve(&node->watch, stats.journal_head);
    walk_blocks(audit, true);
    if (!audit->model->lying) {
        mkv_ledger_volume(&node->watch.ledger, node->volume, &stats, false);
    }
}
