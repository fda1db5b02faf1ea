/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drive set of a volume that serves: taking a new one into the superblock, and dropping the
 * blocks whose keys go to a drive that is about to join.
 *
 *   slot -> the lock of its tag -> its header is read -> its key goes elsewhere, or can't be told:
 *   DROP, durable -> the next slot
 *
 * A read that the drive fails is tried again a few times. A block whose key can't be told is
 * quarantined: it may be one that goes to the other drive, and must not come back from here later.
 *
 * Behind the lock of its tag a block is dropped by nobody else, so when the last op has ended, each
 * block that was there at the start has been looked at, or was dropped durably.
 *
 * And none comes behind that. From the PURGE on, mutations of keys that go elsewhere are refused
 * when they come, when they look and, of a put, before its record: whoever sent them did not know
 * of the drive that joins. Puts whose records were issued before are waited for first. The next
 * set that is durable says which keys go elsewhere from then on.
 */
#include <string.h>

#include "core/volume_internal.h"

/* Reads of a header that the drive fails before its block is given up. */
#define PURGE_READS_MAX 4u

/* ---- DRIVE_SET ------------------------------------------------------------------------------- */

enum mkv_err mkv_volume_drive_set(struct mkv_volume *volume, const struct mkv_drive_set *set) {
    if (volume->state != MKV_VOLUME_SERVING || mkv_volume_drive_set_pending(volume) ||
        mkv_drive_set_find(set, volume->config.drive_uuid) == MKV_NONE_U32 ||
        set->version_before != volume->superblock.drive_set.version) {
        return MKV_ERR_STATE;
    }
    volume->set_wanted = *set;
    volume->set_is_wanted = true;
    return MKV_OK;
}

bool mkv_volume_drive_set_pending(const struct mkv_volume *volume) {
    return volume->set_is_wanted || (volume->superblock_writer.step != SUPERBLOCK_IDLE &&
                                     volume->superblock_writer.purpose == SUPERBLOCK_DRIVE_SET);
}

void mkv_volume_drive_set_pump(struct mkv_volume *volume) {
    const bool serves = volume->state == MKV_VOLUME_SERVING || volume->state == MKV_VOLUME_CLOSING;
    if (!serves || !volume->set_is_wanted || volume->superblock_writer.step != SUPERBLOCK_IDLE) {
        return;
    }
    volume->set_is_wanted = false;
    mkv_volume_superblock_renew(volume);
    volume->superblock.drive_set = volume->set_wanted;
    mkv_volume_superblock_write(volume, SUPERBLOCK_DRIVE_SET, SUPERBLOCK_ALL_COPIES);
}

/* The drives by whose weights keys are judged from now on. */
static void members_take(struct mkv_volume *volume, const struct mkv_drive_set *set) {
    struct purge *purge = &volume->purge;
    purge->guards = true;
    purge->member_count = set->count;
    purge->member_own = mkv_drive_set_find(set, volume->config.drive_uuid);
    memcpy(purge->members, set->members, sizeof purge->members);
}

void mkv_volume_drive_set_durable(struct mkv_volume *volume) {
    if (volume->purge.guards && !volume->purge.active) {
        members_take(volume, &volume->superblock.drive_set);
    }
    mkv_volume_event(volume, MKV_EVENT_DRIVE_SET_DURABLE, MKV_OK,
                     volume->superblock.drive_set.version, 0, 0);
}

/* ---- PURGE ----------------------------------------------------------------------------------- */

enum mkv_err mkv_volume_purge(struct mkv_volume *volume, const struct mkv_drive_set *set) {
    struct purge *purge = &volume->purge;
    if (volume->state != MKV_VOLUME_SERVING || purge->active ||
        mkv_drive_set_find(set, volume->config.drive_uuid) == MKV_NONE_U32) {
        return MKV_ERR_STATE;
    }
    *purge = (struct purge){.active = true};
    members_take(volume, set);
    for (uint32_t index = 0; index < volume->op_total; index++) {
        struct op *op = &volume_ops(volume)[index];
        if (op->kind == OP_KIND_PUT && (op->state == OP_READY || op->state == OP_JOURNALED)) {
            op->before_purge = true;
            purge->before++;
        }
    }
    return MKV_OK;
}

static uint32_t slots_end(const struct mkv_volume *volume) {
    return volume_table(volume)->page_high * MKV_PAGE_SLOTS;
}

bool mkv_volume_purge_has_work(const struct mkv_volume *volume) {
    const struct purge *purge = &volume->purge;
    return purge->active && volume->state == MKV_VOLUME_SERVING && purge->before == 0 &&
           purge->in_flight < PURGE_OPS_MAX && purge->cursor < slots_end(volume);
}

/* Takes up the next slot. */
static void look_at(struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    if (mkv_slot_state_of(entry) != MKV_SLOT_LIVE) {
        return;
    }
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_PURGE);
    struct op *op = &volume_ops(volume)[index];
    op->tag = ((uint64_t)entry->tag_high << 32) | entry->tag_low;
    op->tenant = entry->tenant;
    op->old_slot = slot;
    op->generation_new = (struct mkv_generation){entry->generation_low};
    volume->purge.in_flight++;
    volume->purge.looked++;
    mkv_volume_lock_take(volume, index);
}

void mkv_volume_purge_pump(struct mkv_volume *volume) {
    struct purge *purge = &volume->purge;
    if (!purge->active || volume->state != MKV_VOLUME_SERVING || purge->before > 0) {
        return;
    }
    const uint32_t look_max = volume_step_slots(volume, PURGE_SLOTS_PER_STEP_MAX);
    for (uint32_t count = 0; count < look_max && mkv_volume_purge_has_work(volume); count++) {
        /* What a page holds that belongs to no extent is left over. */
        const struct mkv_slot slot =
            mkv_slot_table_next_owned(volume_table(volume), (struct mkv_slot){purge->cursor});
        purge->cursor = (uint32_t)mkv_min_u64(slot.index, slots_end(volume));
        if (slot.index == MKV_NONE_U32) {
            break;
        }
        look_at(volume, slot);
        purge->cursor++;
    }
    if (purge->in_flight == 0 && purge->cursor >= slots_end(volume)) {
        purge->active = false;
        mkv_volume_event(volume, MKV_EVENT_PURGED, MKV_OK, purge->looked, purge->dropped, 0);
    }
}

void mkv_volume_purge_op_ended(struct mkv_volume *volume, const struct op *op) {
    if (op->kind == OP_KIND_PURGE) {
        MKV_ASSERT(volume->purge.in_flight > 0);
        volume->purge.in_flight--;
    } else if (op->before_purge) {
        MKV_ASSERT(volume->purge.before > 0);
        volume->purge.before--;
    }
}

static void header_read(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    op->state = OP_CHECKING;
    op->purge_reads++;
    struct mkv_drive_effect *drive = mkv_volume_op_io(volume, index, MKV_EFFECT_DRIVE_READ);
    drive->memory = MKV_DRIVE_META;
    drive->lba = mkv_slot_table_lba(volume_table(volume), op->old_slot);
    drive->unit_count = 1;
    drive->meta_offset = meta_of_op(volume, index);
}

void mkv_volume_purge_start(struct mkv_volume *volume, uint32_t index) {
    const struct op *op = &volume_ops(volume)[index];
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), op->old_slot);
    /* Whoever had the lock before may have dropped it, durably. */
    if (mkv_slot_state_of(entry) != MKV_SLOT_LIVE || (entry->bits & MKV_SLOT_HIDDEN) != 0 ||
        entry->generation_low != (uint32_t)op->generation_new.value) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_OK);
        return;
    }
    header_read(volume, index);
}

/* Whether the key is this drive's under the set. */
static bool stays(const struct mkv_volume *volume, uint32_t tenant_id, const uint8_t *key,
                  uint32_t key_bytes) {
    const struct purge *purge = &volume->purge;
    const struct mkv_tenant_table *tenants = volume_tenants(volume);
    const uint32_t place = mkv_tenant_table_find(tenants, tenant_id);
    if (place == MKV_NONE_U32) {
        return false; /* dropped, so nobody may have it */
    }
    const struct mkv_tenant *tenant = mkv_tenant_table_at(tenants, place);
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1] = {0};
    memcpy(name, tenant->name, tenant->name_bytes);
    const struct mkv_root point = mkv_placement_point(name, key, key_bytes);
    return mkv_placement_owner(point, purge->members, purge->member_count) == purge->member_own;
}

bool mkv_volume_purge_takes(const struct mkv_volume *volume, const struct op *op) {
    const bool names_key =
        op->kind == OP_KIND_PUT || op->kind == OP_KIND_DELETE || op->kind == OP_KIND_EXPIRE;
    return !volume->purge.guards || !names_key || MKV_CANARY(MKV_CANARY_PUT_TAKEN_BEHIND_PURGE) ||
           stays(volume, op->tenant, op->key, op->key_bytes);
}

/* The block's key can't be told. */
static void give_up(struct mkv_volume *volume, uint32_t index, enum mkv_err err) {
    struct op *op = &volume_ops(volume)[index];
    mkv_volume_event(volume, MKV_EVENT_BLOCK_QUARANTINED, err, op->old_slot.index, 0, 0);
    volume->stats.quarantined_total++;
    volume->purge.dropped++;
    mkv_volume_drop_old(volume, index, MKV_DROP_QUARANTINE);
}

static void header_came(struct mkv_volume *volume, uint32_t index) {
    const struct op *op = &volume_ops(volume)[index];
    const uint8_t *unit = volume_meta(volume, meta_of_op(volume, index));
    struct mkv_slot_header header;
    if (mkv_volume_judge_header(volume, op, op->old_slot, unit, &header) == HEADER_CORRUPT) {
        volume->stats.checksum_failures_header_total++;
        give_up(volume, index, MKV_CORRUPT_SLOT_HEADER);
    } else if (stays(volume, header.tenant, header.key, header.key_bytes)) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_OK);
    } else {
        volume->purge.dropped++;
        mkv_volume_drop_old(volume, index, MKV_DROP_PURGE);
    }
}

void mkv_volume_purge_io_done(struct mkv_volume *volume, uint32_t index,
                              const struct mkv_drive_done *done) {
    struct op *op = &volume_ops(volume)[index];
    const uint64_t lba = mkv_slot_table_lba(volume_table(volume), op->old_slot).unit;
    if (done->result == MKV_IO_OK) {
        header_came(volume, index);
        return;
    }
    mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_READ, done->result, lba);
    if (mkv_io_result_is_final(done->result)) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_IO_ERROR);
        mkv_volume_fail(volume, done->result, lba);
    } else if (done->result != MKV_IO_MEDIUM && op->purge_reads < PURGE_READS_MAX) {
        header_read(volume, index);
    } else {
        op->retires = done->result == MKV_IO_MEDIUM;
        give_up(volume, index, MKV_ERR_DRIVE_IO);
    }
}
