/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/watch.h"

#include <string.h>

#include "core/hash.h"
#include "core/slot_header.h"
#include "sim/failure.h"

/* Tokens: slots, then journal blocks with their copy, then superblock copies. */
#define TOKEN_BLOCK 0x40000000u
#define TOKEN_SUPERBLOCK 0x50000000u
#define TOKEN_KIND_MASK 0x70000000u
#define TOKEN_VALUE_MASK 0x0fffffffu
/* Behind the index of a superblock copy. */
#define SUPERBLOCK_CONTENT_OFFSET 24u

static unsigned long long ull(uint64_t value) {
    return (unsigned long long)value;
}

void mkv_watch_init(struct mkv_watch *watch, struct mkv_memory *memory,
                    const struct mkv_content *content, const struct mkv_geometry *geometry) {
    memset(watch, 0, offsetof(struct mkv_watch, blocks));
    for (uint32_t index = 0; index < MKV_WATCH_BLOCKS_MAX; index++) {
        watch->blocks[index].used = false;
    }
    watch->content = content;
    watch->geometry = *geometry;
    watch->data_start = mkv_geometry_data_start(geometry).unit;
    watch->slot_count = geometry->page_count * MKV_PAGE_SLOTS;
    watch->slots = mkv_memory_take(memory, watch->slot_count * sizeof *watch->slots, 64);
    memset(watch->slots, 0, watch->slot_count * sizeof *watch->slots);
    watch->touched = mkv_memory_take(memory, watch->slot_count * sizeof *watch->touched, 64);
    watch->retired = mkv_memory_take(memory, watch->slot_count * sizeof *watch->retired, 64);
    memset(watch->retired, 0, watch->slot_count * sizeof *watch->retired);
    const uint64_t units = mkv_geometry_usable_units(geometry);
    watch->owners = mkv_memory_take(memory, units * sizeof *watch->owners, 64);
    memset(watch->owners, 0xff, units * sizeof *watch->owners);
    watch->ring = mkv_memory_take(memory, geometry->ring_blocks * sizeof *watch->ring, 64);
    memset(watch->ring, 0, geometry->ring_blocks * sizeof *watch->ring);
    watch->superblock.side = MKV_NONE_U32;
    watch->superblock_durable.side = MKV_NONE_U32;
    mkv_ledger_init(&watch->ledger, memory, geometry);
}

void mkv_watch_emptied(struct mkv_watch *watch) {
    memset(watch->retired, 0, watch->slot_count * sizeof *watch->retired);
    watch->retired_count = 0;
    mkv_ledger_emptied(&watch->ledger);
}

static void forget_slots(struct mkv_watch *watch) {
    for (uint32_t index = 0; index < watch->touched_count; index++) {
        struct mkv_watch_slot *slot = &watch->slots[watch->touched[index]];
        for (uint32_t unit = 0; unit < slot->unit_count; unit++) {
            watch->owners[slot->unit - watch->data_start + unit] = MKV_NONE_U32;
        }
        *slot = (struct mkv_watch_slot){0};
    }
    watch->touched_count = 0;
    memset(watch->key_slot_count, 0, sizeof watch->key_slot_count);
}

void mkv_watch_crash(struct mkv_watch *watch) {
    watch->serving = false;
    watch->flush_stamp = 0;
    forget_slots(watch);
    mkv_ledger_crash(&watch->ledger);
    for (uint32_t index = 0; index < MKV_WATCH_BLOCKS_MAX; index++) {
        struct mkv_watch_block *block = &watch->blocks[index];
        if (block->used && block->serving) {
            mkv_ledger_keep(&watch->ledger, block->sequence, block->unit);
        }
        block->used = false;
    }
    watch->tenant_dropped_issued = watch->tenant_dropped_durable;
    watch->superblock = watch->superblock_durable;
    watch->superblock.copies_done = 0;
    memset(watch->superblock_content, 0, sizeof watch->superblock_content);
}

static struct mkv_watch_slot *touch(struct mkv_watch *watch, struct mkv_slot slot) {
    MKV_ASSERT(slot.index < watch->slot_count);
    struct mkv_watch_slot *state = &watch->slots[slot.index];
    if (!state->touched) {
        state->touched = true;
        watch->touched[watch->touched_count++] = slot.index;
    }
    return state;
}

/* ---- who references what --------------------------------------------------------------------- */

static void reference(struct mkv_watch *watch, struct mkv_slot slot) {
    const struct mkv_watch_slot *state = &watch->slots[slot.index];
    for (uint32_t unit = 0; unit < state->unit_count; unit++) {
        watch->owners[state->unit - watch->data_start + unit] = slot.index;
    }
    if (state->key != MKV_NONE_U32) {
        MKV_ASSERT(watch->key_slot_count[state->key] < MKV_WATCH_KEY_SLOTS_MAX);
        watch->key_slots[state->key][watch->key_slot_count[state->key]++] = slot.index;
    }
}

/* The slot no longer stands for its key. */
static void leave_key(struct mkv_watch *watch, uint32_t slot) {
    struct mkv_watch_slot *state = &watch->slots[slot];
    if (state->key == MKV_NONE_U32) {
        return;
    }
    uint32_t *slots = watch->key_slots[state->key];
    uint32_t *count = &watch->key_slot_count[state->key];
    for (uint32_t index = 0; index < *count; index++) {
        if (slots[index] == slot) {
            slots[index] = slots[--*count];
            break;
        }
    }
    state->key = MKV_NONE_U32;
}

static void dereference(struct mkv_watch *watch, struct mkv_slot slot) {
    struct mkv_watch_slot *state = &watch->slots[slot.index];
    state->record = MKV_WATCH_RECORD_NONE;
    for (uint32_t unit = 0; unit < state->unit_count; unit++) {
        uint32_t *owner = &watch->owners[state->unit - watch->data_start + unit];
        if (*owner == slot.index) {
            *owner = MKV_NONE_U32;
        }
    }
    leave_key(watch, slot.index);
}

/* A TENANT_DROP is durable: its blocks keep their slots for a while, but no key. */
static void tenant_dropped(struct mkv_watch *watch, uint32_t tenant) {
    watch->tenant_dropped_durable = tenant;
    for (uint32_t index = 0; index < watch->touched_count; index++) {
        const struct mkv_watch_slot *state = &watch->slots[watch->touched[index]];
        if (state->tenant == tenant && state->record != MKV_WATCH_RECORD_NONE) {
            leave_key(watch, watch->touched[index]);
        }
    }
}

void mkv_watch_serve(struct mkv_watch *watch, uint64_t journal_head) {
    forget_slots(watch);
    watch->serving = true;
    watch->recorded = false;
    watch->sequence_last = journal_head;
}

void mkv_watch_serve_block(struct mkv_watch *watch, const struct mkv_volume_block *block,
                           const struct mkv_slot_header *header, uint32_t key) {
    if (watch->blind) {
        return;
    }
    struct mkv_watch_slot *state = touch(watch, block->slot);
    state->unit = block->lba.unit;
    state->unit_count = 1 + block->length_units;
    state->data = MKV_WATCH_DATA_DURABLE;
    state->record = MKV_WATCH_RECORD_DURABLE;
    state->key = block->served ? key : MKV_NONE_U32;
    state->tenant = block->tenant;
    state->generation = block->generation_low;
    if (header != NULL) {
        state->generation = header->generation.value;
        state->root = header->root;
    }
    reference(watch, block->slot);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static uint32_t slot_write(struct mkv_watch *watch, const struct mkv_drive_effect *effect,
                           const uint8_t *unit) {
    struct mkv_slot_header header;
    watch->evaluations++;
    if (mkv_slot_header_decode(unit, &header) != MKV_OK) {
        mkv_fail(MKV_ORACLE_OVERWRITE, "the header written to unit %llu does not decode",
                 ull(effect->lba.unit));
    }
    const uint64_t usable = mkv_geometry_usable_units(&watch->geometry);
    if (effect->lba.unit < watch->data_start ||
        effect->lba.unit + effect->unit_count > watch->data_start + usable) {
        mkv_fail(MKV_ORACLE_OVERWRITE, "slot %u is written to unit %llu, outside of the data area",
                 header.slot.index, ull(effect->lba.unit));
    }
    for (uint32_t index = 0; index < effect->unit_count; index++) {
        const uint32_t owner = watch->owners[effect->lba.unit - watch->data_start + index];
        if (owner != MKV_NONE_U32) {
            mkv_fail(MKV_ORACLE_OVERWRITE,
                     "slot %u is written to unit %llu, which slot %u holds by a record that may be "
                     "durable",
                     header.slot.index, ull(effect->lba.unit + index), owner);
        }
    }
    if (header.generation.value <= watch->generation_last) {
        mkv_fail(MKV_ORACLE_MONOTONIC, "slot %u is written with generation %llx after %llx",
                 header.slot.index, ull(header.generation.value), ull(watch->generation_last));
    }
    watch->generation_last = header.generation.value;
    struct mkv_watch_slot *state = touch(watch, header.slot);
    if (watch->retired[header.slot.index]) {
        mkv_fail(MKV_ORACLE_OVERWRITE, "slot %u is written, which a durable record retired",
                 header.slot.index);
    }
    if (state->record != MKV_WATCH_RECORD_NONE) {
        mkv_fail(MKV_ORACLE_OVERWRITE, "slot %u is written while a record references it",
                 header.slot.index);
    }
    state->generation = header.generation.value;
    state->root = header.root;
    state->unit = effect->lba.unit;
    state->unit_count = effect->unit_count;
    state->key = mkv_content_find(watch->content, header.key, header.key_bytes);
    state->tenant = header.tenant;
    state->data = MKV_WATCH_DATA_WRITING;
    return header.slot.index;
}

/* Nothing that a record references, or may come to reference, is left to the drive to forget. */
static void slots_trimmed(struct mkv_watch *watch, const struct mkv_drive_effect *effect) {
    const uint64_t start = effect->lba.unit;
    const uint64_t end = start + effect->unit_count;
    watch->evaluations++;
    if (start < watch->data_start ||
        end > watch->data_start + mkv_geometry_usable_units(&watch->geometry)) {
        mkv_fail(MKV_ORACLE_OVERWRITE, "units %llu to %llu are trimmed, outside of the data area",
                 ull(start), ull(end));
    }
    for (uint64_t unit = start; unit < end; unit++) {
        const uint32_t owner = watch->owners[unit - watch->data_start];
        if (owner != MKV_NONE_U32) {
            mkv_fail(MKV_ORACLE_OVERWRITE,
                     "unit %llu is trimmed, which slot %u holds by a record that may be durable",
                     ull(unit), owner);
        }
    }
    for (uint32_t index = 0; index < watch->touched_count; index++) {
        struct mkv_watch_slot *slot = &watch->slots[watch->touched[index]];
        /* One that is being written is left to the drive, which fails two that overlap. */
        if (slot->unit < end && start < slot->unit + slot->unit_count &&
            slot->data != MKV_WATCH_DATA_WRITING) {
            slot->data = MKV_WATCH_DATA_NONE;
        }
    }
}

/* ---- the journal ----------------------------------------------------------------------------- */

static void put_record_issued(struct mkv_watch *watch, const struct mkv_record_put *put) {
    MKV_ASSERT(put->slot.index < watch->slot_count);
    struct mkv_watch_slot *state = &watch->slots[put->slot.index];
    watch->evaluations++;
    if (state->data != MKV_WATCH_DATA_DURABLE || state->generation != put->generation.value) {
        mkv_fail(
            MKV_ORACLE_FLUSH,
            "the record of slot %u, generation %llx, is written before a flush covers its data",
            put->slot.index, ull(put->generation.value));
    }
    if (put->tenant != MKV_TENANT_DEFAULT && put->tenant <= watch->tenant_dropped_issued) {
        mkv_fail(MKV_ORACLE_NO_RETURN, "slot %u gets a record for tenant %u, which was dropped",
                 put->slot.index, put->tenant);
    }
    if (!mkv_root_equal(state->root, put->root)) {
        mkv_fail(MKV_ORACLE_DURABLE, "the record of slot %u has another root than its header",
                 put->slot.index);
    }
    state->record = MKV_WATCH_RECORD_ISSUED;
    reference(watch, put->slot);
}

static void drop_record_issued(struct mkv_watch *watch, const struct mkv_record_drop *drop) {
    MKV_ASSERT(drop->slot.index < watch->slot_count);
    const struct mkv_watch_slot *state = &watch->slots[drop->slot.index];
    if (state->record == MKV_WATCH_RECORD_NONE) {
        mkv_fail(MKV_ORACLE_SLOTS, "a DROP names slot %u, which no record references",
                 drop->slot.index);
    }
    if ((uint32_t)state->generation != (uint32_t)drop->generation.value) {
        mkv_fail(MKV_ORACLE_SLOTS, "a DROP names generation %llx of slot %u, which has %llx",
                 ull(drop->generation.value), drop->slot.index, ull(state->generation));
    }
}

static void retired(struct mkv_watch *watch, struct mkv_slot slot) {
    MKV_ASSERT(slot.index < watch->slot_count);
    watch->retired_count += watch->retired[slot.index] ? 0 : 1;
    watch->retired[slot.index] = true;
}

static void each_record(struct mkv_watch *watch, const struct mkv_watch_block *block,
                        bool durable) {
    struct mkv_record record;
    enum mkv_err err = MKV_OK;
    uint32_t cursor = 0;
    while (mkv_journal_block_next(block->unit, &cursor, &record, &err)) {
        watch->recorded = true;
        if (durable) {
            mkv_ledger_record(&watch->ledger, &record);
        }
        switch (record.kind) {
        case MKV_RECORD_PUT:
            if (durable) {
                /* It may have been dropped by a later record of the same flush, not before. */
                watch->slots[record.put.slot.index].record = MKV_WATCH_RECORD_DURABLE;
            } else {
                put_record_issued(watch, &record.put);
            }
            break;
        case MKV_RECORD_DROP:
            if (durable) {
                dereference(watch, record.drop.slot);
                if (record.drop.retired) {
                    retired(watch, record.drop.slot);
                }
            } else {
                drop_record_issued(watch, &record.drop);
            }
            break;
        case MKV_RECORD_RETIRE:
            if (durable) {
                retired(watch, record.retire.slot);
            }
            break;
        case MKV_RECORD_EXTENT:
        case MKV_RECORD_EXPIRY:
        case MKV_RECORD_TENANT:
            break;
        case MKV_RECORD_TENANT_DROP:
            watch->tenant_dropped_issued = record.tenant_drop.id;
            if (durable) {
                tenant_dropped(watch, record.tenant_drop.id);
            }
            break;
        }
    }
    if (err != MKV_OK) {
        mkv_fail(MKV_ORACLE_FLUSH, "journal block %llu is written with a malformed record",
                 ull(block->sequence));
    }
}

static void check_sequence(struct mkv_watch *watch, const struct mkv_journal_header *header) {
    const uint64_t sequence = header->sequence.value;
    const uint64_t position = sequence % watch->geometry.ring_blocks;
    const struct mkv_watch_ring_state *ring = &watch->ring[position];
    watch->evaluations++;
    if (header->ring_position != position) {
        mkv_fail(MKV_ORACLE_MONOTONIC, "journal block %llu says ring position %u", ull(sequence),
                 header->ring_position);
    }
    if (ring->sequence > sequence) {
        mkv_fail(MKV_ORACLE_MONOTONIC, "journal block %llu is written over block %llu",
                 ull(sequence), ull(ring->sequence));
    }
    if (ring->sequence == sequence && ring->hash != header->checksum) {
        mkv_fail(MKV_ORACLE_MONOTONIC, "durable journal block %llu is written with other content",
                 ull(sequence));
    }
    if (ring->sequence != 0 && ring->sequence < sequence &&
        ring->sequence >= watch->superblock_durable.journal_sequence) {
        mkv_fail(MKV_ORACLE_OVERWRITE,
                 "journal block %llu is written over block %llu, but replay still starts at %llu",
                 ull(sequence), ull(ring->sequence),
                 ull(watch->superblock_durable.journal_sequence));
    }
    if (watch->serving && sequence > watch->sequence_last + 1 && watch->sequence_last != 0) {
        mkv_fail(MKV_ORACLE_MONOTONIC, "journal block %llu follows block %llu", ull(sequence),
                 ull(watch->sequence_last));
    }
}

/* The other copy of a block whose first one has been looked at, or MKV_NONE_U32. */
static uint32_t journal_twin(const struct mkv_watch *watch, const uint8_t *unit) {
    for (uint32_t index = 0; index < MKV_WATCH_BLOCKS_MAX; index++) {
        const struct mkv_watch_block *block = &watch->blocks[index];
        if (block->used && memcmp(block->unit, unit, MKV_UNIT_BYTES) == 0) {
            return index;
        }
    }
    return MKV_NONE_U32;
}

static uint32_t journal_write(struct mkv_watch *watch, uint32_t copy, const uint8_t *unit) {
    struct mkv_journal_header header;
    const uint32_t twin = journal_twin(watch, unit);
    if (twin != MKV_NONE_U32) {
        watch->blocks[twin].copies_issued |= 1u << copy;
        return TOKEN_BLOCK | (twin * MKV_JOURNAL_COPIES + copy);
    }
    if (mkv_journal_block_decode(unit, &header) != MKV_OK) {
        /* Recovery may clear a position; a block that is served from is always whole. */
        if (watch->serving) {
            mkv_fail(MKV_ORACLE_FLUSH, "a journal block is written that does not decode");
        }
        return MKV_WATCH_TOKEN_NONE;
    }
    check_sequence(watch, &header);
    uint32_t place = MKV_NONE_U32;
    for (uint32_t index = 0; index < MKV_WATCH_BLOCKS_MAX; index++) {
        struct mkv_watch_block *block = &watch->blocks[index];
        if (block->used && block->sequence == header.sequence.value) {
            mkv_fail(MKV_ORACLE_MONOTONIC, "the copies of journal block %llu differ",
                     ull(block->sequence));
        }
        if (!block->used && place == MKV_NONE_U32) {
            place = index;
        }
    }
    MKV_ASSERT(place != MKV_NONE_U32);
    struct mkv_watch_block *block = &watch->blocks[place];
    block->used = true;
    block->sequence = header.sequence.value;
    block->hash = header.checksum;
    block->copies_issued = 1u << copy;
    block->copies_done = 0;
    block->written_stamp = 0;
    block->serving = watch->serving;
    memcpy(block->unit, unit, MKV_UNIT_BYTES);
    if (block->serving) {
        each_record(watch, block, false);
        watch->sequence_last = mkv_max_u64(watch->sequence_last, block->sequence);
    }
    return TOKEN_BLOCK | (place * MKV_JOURNAL_COPIES + copy);
}

static void block_durable(struct mkv_watch *watch, struct mkv_watch_block *block) {
    if (block->serving) {
        each_record(watch, block, true);
        mkv_ledger_durable(&watch->ledger, block->sequence);
    }
    struct mkv_watch_ring_state *ring = &watch->ring[block->sequence % watch->geometry.ring_blocks];
    ring->sequence = block->sequence;
    ring->hash = block->hash;
    watch->sequence_durable = mkv_max_u64(watch->sequence_durable, block->sequence);
    watch->sequence_last = mkv_max_u64(watch->sequence_last, block->sequence);
    block->used = false;
}

/* Blocks become durable in the order of their sequence, as one flush may cover several. */
static void blocks_flushed(struct mkv_watch *watch, uint64_t stamp) {
    for (uint32_t turn = 0; turn < MKV_WATCH_BLOCKS_MAX; turn++) {
        struct mkv_watch_block *first = NULL;
        for (uint32_t index = 0; index < MKV_WATCH_BLOCKS_MAX; index++) {
            struct mkv_watch_block *block = &watch->blocks[index];
            if (block->used && block->copies_done == block->copies_issued &&
                block->written_stamp < stamp &&
                (block->copies_done == (1u << MKV_JOURNAL_COPIES) - 1 || !block->serving) &&
                (first == NULL || block->sequence < first->sequence)) {
                first = block;
            }
        }
        if (first == NULL) {
            return;
        }
        block_durable(watch, first);
    }
}

/* ---- superblock and checkpoint --------------------------------------------------------------- */

static void check_drive_set(struct mkv_watch *watch, const struct mkv_superblock *superblock) {
    if (watch->drive_set.version == 0) {
        watch->drive_set = superblock->drive_set;
    } else if (!mkv_drive_set_equal(&watch->drive_set, &superblock->drive_set)) {
        mkv_fail(MKV_ORACLE_STATE, "superblock %llu names drive set %llu, and it is %llu",
                 ull(superblock->sequence), ull(superblock->drive_set.version),
                 ull(watch->drive_set.version));
    }
}

static uint32_t superblock_write(struct mkv_watch *watch, uint32_t copy, const uint8_t *unit) {
    struct mkv_superblock superblock;
    watch->evaluations++;
    /* The four copies of one content differ in their index alone. */
    if (watch->superblock.sequence != 0 &&
        memcmp(watch->superblock_content + SUPERBLOCK_CONTENT_OFFSET,
               unit + SUPERBLOCK_CONTENT_OFFSET, MKV_UNIT_BYTES - SUPERBLOCK_CONTENT_OFFSET) == 0) {
        return TOKEN_SUPERBLOCK | copy;
    }
    memcpy(watch->superblock_content, unit, MKV_UNIT_BYTES);
    if (mkv_superblock_decode(unit, copy, &superblock) != MKV_OK) {
        mkv_fail(MKV_ORACLE_MONOTONIC, "superblock copy %u is written and does not decode", copy);
    }
    check_drive_set(watch, &superblock);
    const uint64_t durable =
        watch->faulty ? watch->superblock_durable.sequence : watch->superblock_paired;
    if (superblock.sequence < durable) {
        mkv_fail(MKV_ORACLE_MONOTONIC, "superblock %llu is written after %llu was durable",
                 ull(superblock.sequence), ull(durable));
    }
    if (superblock.sequence != watch->superblock.sequence) {
        const bool names_side = (superblock.flags & MKV_SUPERBLOCK_NO_CHECKPOINT) == 0;
        watch->superblock = (struct mkv_watch_superblock){
            .sequence = superblock.sequence,
            .journal_sequence = superblock.journal_sequence.value,
            .side = names_side ? superblock.checkpoint_side : MKV_NONE_U32,
        };
    }
    return TOKEN_SUPERBLOCK | copy;
}

static void superblock_flushed(struct mkv_watch *watch, uint64_t stamp) {
    struct mkv_watch_superblock *superblock = &watch->superblock;
    uint32_t durable_count = 0;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        if ((superblock->copies_done >> copy & 1u) != 0 &&
            superblock->written_stamp[copy] < stamp) {
            superblock->copies_durable |= 1u << copy;
        }
        durable_count += superblock->copies_durable >> copy & 1u;
    }
    if (durable_count >= 2) {
        watch->superblock_paired = mkv_max_u64(watch->superblock_paired, superblock->sequence);
    }
    if (durable_count == MKV_SUPERBLOCK_COPIES &&
        superblock->sequence >= watch->superblock_durable.sequence) {
        watch->superblock_durable = *superblock;
    }
}

static void checkpoint_write(struct mkv_watch *watch, const struct mkv_drive_effect *effect) {
    watch->evaluations++;
    for (uint32_t side = 0; side < MKV_CHECKPOINT_SIDES; side++) {
        const uint64_t start = mkv_geometry_checkpoint(&watch->geometry, side).unit;
        const uint64_t end = start + 1 + watch->geometry.tenant_units + watch->geometry.page_count;
        if (effect->lba.unit < end && start < effect->lba.unit + effect->unit_count &&
            watch->superblock_durable.side == side) {
            mkv_fail(MKV_ORACLE_OVERWRITE,
                     "unit %llu of checkpoint side %u is written, which the superblock names",
                     ull(effect->lba.unit), side);
        }
    }
}

/* ---- effects and completions ----------------------------------------------------------------- */

static uint32_t meta_write(struct mkv_watch *watch, const struct mkv_drive_effect *effect,
                           const uint8_t *memory) {
    const struct mkv_geometry *geometry = &watch->geometry;
    const uint64_t unit = effect->lba.unit;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        if (unit == mkv_geometry_superblock(geometry->capacity_units, copy).unit) {
            MKV_ASSERT(effect->unit_count == 1);
            return superblock_write(watch, copy, memory);
        }
    }
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        const uint64_t start = mkv_geometry_journal(geometry, copy, 0).unit;
        if (unit >= start && unit + effect->unit_count <= start + geometry->ring_blocks) {
            uint32_t token = MKV_WATCH_TOKEN_NONE;
            for (uint32_t index = 0; index < effect->unit_count; index++) {
                token = journal_write(watch, copy, memory + (size_t)index * MKV_UNIT_BYTES);
            }
            /* A write of several blocks happens in recovery alone, and repeats durable content. */
            return effect->unit_count == 1 ? token : MKV_WATCH_TOKEN_NONE;
        }
    }
    if (unit + effect->unit_count > watch->data_start) {
        mkv_fail(MKV_ORACLE_OVERWRITE, "metadata is written to unit %llu, in the data area",
                 ull(unit));
    }
    checkpoint_write(watch, effect);
    return MKV_WATCH_TOKEN_NONE;
}

static bool is_manifest(const struct mkv_drive_effect *effect, const uint8_t *memory) {
    struct mkv_slot_header header;
    return effect->unit_count == 1 && mkv_slot_header_decode(memory, &header) == MKV_OK &&
           (header.block_flags & MKV_BLOCK_MANIFEST) != 0;
}

uint32_t mkv_watch_effect(struct mkv_watch *watch, const struct mkv_effect *effect,
                          const uint8_t *arena) {
    if (watch->blind) {
        return MKV_WATCH_TOKEN_NONE;
    }
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
        MKV_ASSERT(watch->flush_stamp == 0); /* the volume has one flush in flight at a time */
        watch->flush_stamp = ++watch->stamp;
        return MKV_WATCH_TOKEN_NONE;
    }
    if (effect->kind == MKV_EFFECT_DRIVE_TRIM) {
        slots_trimmed(watch, &effect->drive);
        return MKV_WATCH_TOKEN_NONE;
    }
    if (effect->kind != MKV_EFFECT_DRIVE_WRITE) {
        return MKV_WATCH_TOKEN_NONE;
    }
    const uint8_t *memory = arena + effect->drive.meta_offset;
    /* A manifest needs no slab: its header unit, payload included, is metadata on its way. */
    const bool slot = effect->drive.memory == MKV_DRIVE_SLOT || is_manifest(&effect->drive, memory);
    return slot ? slot_write(watch, &effect->drive, memory)
                : meta_write(watch, &effect->drive, memory);
}

static void flush_completed(struct mkv_watch *watch) {
    const uint64_t stamp = watch->flush_stamp;
    MKV_ASSERT(stamp != 0);
    watch->flush_stamp = 0;
    for (uint32_t index = 0; index < watch->touched_count; index++) {
        struct mkv_watch_slot *slot = &watch->slots[watch->touched[index]];
        if (slot->data == MKV_WATCH_DATA_WRITTEN && slot->written_stamp < stamp) {
            slot->data = MKV_WATCH_DATA_DURABLE;
        }
    }
    blocks_flushed(watch, stamp);
    superblock_flushed(watch, stamp);
}

void mkv_watch_completed(struct mkv_watch *watch, enum mkv_effect_kind kind, uint32_t token,
                         bool succeeded) {
    if (watch->blind) {
        return;
    }
    if (kind == MKV_EFFECT_DRIVE_FLUSH) {
        if (succeeded) {
            flush_completed(watch);
        }
        watch->flush_stamp = 0;
        return;
    }
    if (kind != MKV_EFFECT_DRIVE_WRITE || token == MKV_WATCH_TOKEN_NONE) {
        return;
    }
    const uint64_t stamp = ++watch->stamp;
    const uint32_t value = token & TOKEN_VALUE_MASK;
    if (!succeeded) {
        if ((token & TOKEN_KIND_MASK) == 0) {
            watch->slots[value].data = MKV_WATCH_DATA_NONE;
        }
        return;
    }
    switch (token & TOKEN_KIND_MASK) {
    case TOKEN_BLOCK: {
        struct mkv_watch_block *block = &watch->blocks[value / MKV_JOURNAL_COPIES];
        block->copies_done |= 1u << value % MKV_JOURNAL_COPIES;
        block->written_stamp = stamp;
        break;
    }
    case TOKEN_SUPERBLOCK:
        watch->superblock.copies_done |= 1u << value;
        watch->superblock.written_stamp[value] = stamp;
        break;
    default:
        MKV_ASSERT(watch->slots[value].data == MKV_WATCH_DATA_WRITING);
        watch->slots[value].data = MKV_WATCH_DATA_WRITTEN;
        watch->slots[value].written_stamp = stamp;
        break;
    }
}

static bool overlaps(const struct mkv_watch_slot *slot, uint64_t unit, uint32_t count) {
    return slot->data != MKV_WATCH_DATA_NONE && slot->unit < unit + count &&
           unit < slot->unit + slot->unit_count;
}

uint64_t mkv_watch_keys_at(const struct mkv_watch *watch, uint64_t unit, uint32_t count) {
    uint64_t keys = 0;
    const uint64_t end = watch->data_start + mkv_geometry_usable_units(&watch->geometry);
    if (unit + count <= watch->data_start || unit >= end) {
        return 0;
    }
    if (!watch->serving) {
        return UINT64_MAX;
    }
    for (uint32_t index = 0; index < watch->touched_count; index++) {
        const struct mkv_watch_slot *slot = &watch->slots[watch->touched[index]];
        if (overlaps(slot, unit, count)) {
            keys |= slot->key == MKV_NONE_U32 ? UINT64_MAX : 1ull << slot->key;
        }
    }
    return keys;
}

/* Whether a durable record names a slot of the key; with `root`, one of that content. */
static bool has_durable(const struct mkv_watch *watch, uint32_t key, const struct mkv_root *root) {
    for (uint32_t index = 0; index < watch->key_slot_count[key]; index++) {
        const struct mkv_watch_slot *slot = &watch->slots[watch->key_slots[key][index]];
        if (slot->record == MKV_WATCH_RECORD_DURABLE &&
            (root == NULL || mkv_root_equal(slot->root, *root))) {
            return true;
        }
    }
    return false;
}

void mkv_watch_put_done(struct mkv_watch *watch, uint32_t key, uint32_t tenant,
                        struct mkv_root root) {
    if (watch->blind) {
        return;
    }
    watch->evaluations++;
    if (tenant != MKV_TENANT_DEFAULT && tenant <= watch->tenant_dropped_durable) {
        return; /* its record and the drop behind it became durable by one flush */
    }
    if (has_durable(watch, key, &root)) {
        return;
    }
    mkv_fail(MKV_ORACLE_FLUSH, "a put of key %u is answered before its record is durable", key);
}

void mkv_watch_put_was_there(struct mkv_watch *watch, uint32_t key) {
    if (watch->blind) {
        return;
    }
    watch->evaluations++;
    if (!has_durable(watch, key, NULL)) {
        mkv_fail(MKV_ORACLE_FLUSH, "a put of key %u is answered as if it were there", key);
    }
}

void mkv_watch_delete_done(struct mkv_watch *watch, uint32_t key) {
    if (watch->blind) {
        return;
    }
    watch->evaluations++;
    if (watch->key_slot_count[key] != 0) {
        mkv_fail(MKV_ORACLE_FLUSH, "a delete of key %u is answered while slot %u still holds it",
                 key, watch->key_slots[key][0]);
    }
}

void mkv_watch_tenant_drop_done(struct mkv_watch *watch, uint32_t tenant) {
    if (watch->blind) {
        return;
    }
    watch->evaluations++;
    if (watch->tenant_dropped_durable != tenant) {
        mkv_fail(MKV_ORACLE_FLUSH, "a drop of tenant %u is answered before its record is durable",
                 tenant);
    }
}
