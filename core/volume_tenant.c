/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants come, and go with one record. A TENANT_DROP hides every block of the tenant at once; the
 * sweep behind it drops them one by one, with ordinary DROP records, and only then does the tenant
 * leave the table.
 *
 * A put of the tenant that has a slot but no record when the TENANT_DROP enters the journal gets
 * none: its record would stand behind the drop, and the sweep might have passed its slot.
 */
#include <string.h>

#include "core/canary.h"
#include "core/volume_internal.h"

/* ---- TENANT and TENANT_DROP, one at a time --------------------------------------------------- */

static void tenant_begin(struct mkv_volume *volume, uint32_t index);

/* A name for an id: new, known already, or not to be had. */
static void tenant_create(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    const struct mkv_tenant_table *table = volume_tenants(volume);
    const uint32_t place = mkv_tenant_table_find(table, op->tenant);
    if (place != MKV_NONE_U32) {
        const struct mkv_tenant *tenant = mkv_tenant_table_at(table, place);
        const bool same = tenant->state == MKV_TENANT_LIVE && tenant->name_bytes == op->key_bytes &&
                          memcmp(tenant->name, op->key, op->key_bytes) == 0;
        if (same) {
            mkv_volume_tenant_applied(volume, op);
        }
        mkv_volume_mutation_end(volume, index, same ? MKV_STATUS_OK : MKV_STATUS_CONFLICT);
        return;
    }
    if (op->tenant <= table->id_max) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_CONFLICT); /* it was given, and dropped */
        return;
    }
    op->tenant_place = mkv_tenant_table_free_place(table);
    if (op->tenant_place == MKV_NONE_U32) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_NO_SPACE);
        return;
    }
    op->state = OP_READY;
    mkv_volume_list_push(volume, &volume->ready, index);
}

static void tenant_drop(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    op->tenant_place = mkv_tenant_table_find(volume_tenants(volume), op->tenant);
    if (!mkv_tenant_table_serves(volume_tenants(volume), op->tenant)) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_NOT_FOUND);
        return;
    }
    op->state = OP_READY;
    mkv_volume_list_push(volume, &volume->ready, index);
}

static void tenant_begin(struct mkv_volume *volume, uint32_t index) {
    MKV_ASSERT(volume->tenant_op == MKV_NONE_U32);
    volume->tenant_op = index;
    if (volume_ops(volume)[index].kind == OP_KIND_TENANT) {
        tenant_create(volume, index);
    } else {
        tenant_drop(volume, index);
    }
}

void mkv_volume_tenant(struct mkv_volume *volume, const struct mkv_input *input) {
    const struct mkv_message *message = &input->message;
    const bool create = message->kind == MKV_MESSAGE_TENANT;
    MKV_ASSERT(!create || message->data_bytes >= 1);
    MKV_ASSERT(message->data_bytes <= MKV_TENANT_STORED_NAME_BYTES_MAX);
    const uint32_t index =
        mkv_volume_op_take(volume, create ? OP_KIND_TENANT : OP_KIND_TENANT_DROP);
    struct op *op = &volume_ops(volume)[index];
    op->front_op = message->front_op;
    op->tenant = message->tenant;
    if (create) {
        op->quota_units = message->count;
        op->key_bytes = message->data_bytes;
        memcpy(op->key, input->data, message->data_bytes);
    }
    if (volume->state != MKV_VOLUME_SERVING || volume->stall.active) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_UNAVAILABLE);
    } else if (volume->tenant_op != MKV_NONE_U32) {
        op->state = OP_LOCK_WAIT;
        mkv_volume_list_push(volume, &volume->tenant_waiters, index);
    } else {
        tenant_begin(volume, index);
    }
}

void mkv_volume_tenant_ended(struct mkv_volume *volume) {
    MKV_ASSERT(volume->tenant_op == MKV_NONE_U32);
    if (volume->tenant_waiters.count > 0) {
        tenant_begin(volume, mkv_volume_list_pop(volume, &volume->tenant_waiters));
    }
}

/* ---- what a drop means for those under way --------------------------------------------------- */

/* A TENANT_DROP for this tenant is in the journal and not applied yet. */
static bool drop_is_issued(const struct mkv_volume *volume, uint32_t tenant) {
    if (volume->tenant_op == MKV_NONE_U32) {
        return false;
    }
    const struct op *op = &volume_ops(volume)[volume->tenant_op];
    return op->kind == OP_KIND_TENANT_DROP && op->state == OP_JOURNALED && op->tenant == tenant;
}

bool mkv_volume_tenant_takes(const struct mkv_volume *volume, uint32_t tenant) {
    return mkv_tenant_table_serves(volume_tenants(volume), tenant) &&
           !drop_is_issued(volume, tenant);
}

enum mkv_miss mkv_volume_tenant_miss(const struct mkv_volume *volume, uint32_t tenant) {
    const struct mkv_tenant_table *table = volume_tenants(volume);
    const bool dropped = !mkv_tenant_table_serves(table, tenant) && tenant <= table->id_max;
    return dropped ? MKV_MISS_DELETED : MKV_MISS_UNKNOWN;
}

void mkv_volume_tenant_drop_issued(struct mkv_volume *volume, uint32_t index) {
    struct op *ops = volume_ops(volume);
    const uint32_t tenant = ops[index].tenant;
    struct op_list refused = {MKV_NONE_U32, MKV_NONE_U32, 0};
    const uint32_t count = volume->ready.count;
    for (uint32_t turn = 0; turn < count; turn++) {
        const uint32_t ready = mkv_volume_list_pop(volume, &volume->ready);
        const bool put = (ops[ready].kind == OP_KIND_PUT || ops[ready].kind == OP_KIND_EXPIRE) &&
                         !ops[ready].clearing;
        const bool hit = put && ops[ready].tenant == tenant &&
                         !MKV_CANARY(MKV_CANARY_PUT_JOURNALED_UNDER_TENANT_DROP);
        mkv_volume_list_push(volume, hit ? &refused : &volume->ready, ready);
    }
    while (refused.count > 0) {
        mkv_volume_put_refused(volume, mkv_volume_list_pop(volume, &refused), MKV_STATUS_FORBIDDEN);
    }
}

/* ---- counts ---------------------------------------------------------------------------------- */

uint32_t mkv_volume_slot_units(const struct mkv_volume *volume, struct mkv_slot slot) {
    struct mkv_slot_table *table = volume_table(volume);
    return mkv_slot_table_extent(table, mkv_slot_table_extent_of(table, slot))->slot_units;
}

void mkv_volume_tenant_count(struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    mkv_tenant_table_count(volume_tenants(volume), entry->tenant,
                           mkv_volume_slot_units(volume, slot));
    mkv_tenant_table_usage_of(volume_tenants(volume), entry->tenant)->writes_total++;
}

void mkv_volume_tenant_uncount(struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    mkv_tenant_table_uncount(volume_tenants(volume), entry->tenant,
                             mkv_volume_slot_units(volume, slot));
}

void mkv_volume_tenant_applied(struct mkv_volume *volume, const struct op *op) {
    struct mkv_tenant_usage *usage = mkv_tenant_table_usage_of(volume_tenants(volume), op->tenant);
    MKV_ASSERT(usage != NULL);
    usage->quota_units = op->quota_units;
}

bool mkv_volume_tenant_has_room(struct mkv_volume *volume, const struct op *op,
                                uint32_t slot_units) {
    struct mkv_tenant_usage *usage = mkv_tenant_table_usage_of(volume_tenants(volume), op->tenant);
    if (usage == NULL || usage->quota_units == 0) {
        return true;
    }
    const uint64_t given_up = op->has_old ? mkv_volume_slot_units(volume, op->old_slot) : 0;
    MKV_ASSERT(usage->units >= given_up);
    const uint64_t reserved =
        MKV_CANARY(MKV_CANARY_QUOTA_WITHOUT_RESERVED) ? 0 : usage->reserved_units;
    if (usage->units - given_up + reserved + slot_units <= usage->quota_units) {
        return true;
    }
    return false;
}

void mkv_volume_tenant_rejected(struct mkv_volume *volume, const struct op *op) {
    struct mkv_tenant_usage *usage = mkv_tenant_table_usage_of(volume_tenants(volume), op->tenant);
    MKV_ASSERT(usage != NULL);
    usage->rejections_total++;
}

void mkv_volume_tenant_evicted(struct mkv_volume *volume, uint32_t tenant, uint32_t for_tenant) {
    struct mkv_tenant_usage *loser = mkv_tenant_table_usage_of(volume_tenants(volume), tenant);
    struct mkv_tenant_usage *taker = mkv_tenant_table_usage_of(volume_tenants(volume), for_tenant);
    if (loser != NULL) {
        loser->evicted_total++;
    }
    if (taker != NULL) {
        taker->evictions_caused_total++;
    }
}

/* Its tenant may be gone by now: then nobody counts it. */
void mkv_volume_tenant_reserve(struct mkv_volume *volume, const struct op *op) {
    struct mkv_tenant_usage *usage = mkv_tenant_table_usage_of(volume_tenants(volume), op->tenant);
    if (usage != NULL) {
        usage->reserved_units += mkv_volume_slot_units(volume, op->slot);
    }
}

void mkv_volume_tenant_unreserve(struct mkv_volume *volume, const struct op *op) {
    struct mkv_tenant_usage *usage = mkv_tenant_table_usage_of(volume_tenants(volume), op->tenant);
    if (usage != NULL) {
        const uint32_t slot_units = mkv_volume_slot_units(volume, op->slot);
        MKV_ASSERT(usage->reserved_units >= slot_units);
        usage->reserved_units -= slot_units;
    }
}

bool mkv_volume_tenant_derive(struct mkv_volume *volume, uint32_t page, uint32_t page_end) {
    const struct mkv_slot_table *table = volume_table(volume);
    const uint32_t end = page_end * MKV_PAGE_SLOTS;
    struct mkv_slot slot =
        mkv_slot_table_next_owned(table, (struct mkv_slot){page * MKV_PAGE_SLOTS});
    while (slot.index < end) {
        const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
        if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE) {
            if (mkv_tenant_table_find(volume_tenants(volume), entry->tenant) == MKV_NONE_U32) {
                return false;
            }
            mkv_tenant_table_count(volume_tenants(volume), entry->tenant,
                                   mkv_volume_slot_units(volume, slot));
        }
        slot = mkv_slot_table_next_owned(table, (struct mkv_slot){slot.index + 1});
    }
    return true;
}

uint32_t mkv_volume_tenant_id_max(const struct mkv_volume *volume) {
    return volume_tenants(volume)->id_max;
}

bool mkv_volume_next_tenant(const struct mkv_volume *volume, uint32_t *cursor,
                            struct mkv_volume_tenant *tenant) {
    const struct mkv_tenant_table *table = volume_tenants(volume);
    for (; *cursor < table->capacity; ++*cursor) {
        const struct mkv_tenant *place = mkv_tenant_table_at(table, *cursor);
        if (place->state == MKV_TENANT_FREE) {
            continue;
        }
        const struct mkv_tenant_usage *usage = mkv_tenant_table_usage(table, *cursor);
        *tenant = (struct mkv_volume_tenant){
            .id = place->id,
            .live = place->state == MKV_TENANT_LIVE,
            .name_bytes = place->name_bytes,
            .name = place->name,
            .blocks = usage->blocks,
            .bytes = usage->units * MKV_UNIT_BYTES,
            .quota_bytes = usage->quota_units * MKV_UNIT_BYTES,
            .writes_total = usage->writes_total,
            .evicted_total = usage->evicted_total,
            .evictions_caused_total = usage->evictions_caused_total,
            .quota_rejections_total = usage->rejections_total,
        };
        ++*cursor;
        return true;
    }
    return false;
}

/* ---- the sweep ------------------------------------------------------------------------------- */

static bool sweep_waits(const struct mkv_volume *volume) {
    return volume->job_drops > 0 || volume->flush_completed < volume->tenant_sweep.ticket;
}

/* A pass is over. What it dropped, or what another operation is dropping, has to be durable before
 * the next pass may say that there is nothing left. */
static void sweep_pass_ended(struct mkv_volume *volume) {
    struct tenant_sweep *sweep = &volume->tenant_sweep;
    if (sweep->found) {
        sweep->cursor = 0;
        sweep->found = false;
        volume_want_flush(volume, &sweep->ticket);
        return;
    }
    const uint32_t id = mkv_tenant_table_at(volume_tenants(volume), sweep->place)->id;
    mkv_tenant_table_swept(volume_tenants(volume), sweep->place);
    sweep->place = MKV_NONE_U32;
    mkv_volume_event(volume, MKV_EVENT_TENANT_SWEPT, MKV_OK, id, 0, 0);
}

static void sweep_step(struct mkv_volume *volume) {
    struct tenant_sweep *sweep = &volume->tenant_sweep;
    const struct mkv_slot_table *table = volume_table(volume);
    const uint32_t id = mkv_tenant_table_at(volume_tenants(volume), sweep->place)->id;
    const uint32_t end = table->page_high * MKV_PAGE_SLOTS;
    const uint32_t look_max = volume_step_slots(volume, JOB_SLOTS_MAX);
    for (uint32_t looked = 0; sweep->cursor < end && looked < look_max; looked++) {
        const struct mkv_slot slot =
            mkv_slot_table_next_owned(table, (struct mkv_slot){sweep->cursor});
        sweep->cursor = (uint32_t)mkv_min_u64(slot.index, end);
        if (sweep->cursor == end) {
            break;
        }
        const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
        if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE && entry->tenant == id) {
            sweep->found = true;
            const bool hidden = (entry->bits & MKV_SLOT_HIDDEN) != 0;
            if (!hidden && !mkv_volume_job_drop(volume, slot, MKV_DROP_PURGE)) {
                return;
            }
        }
        sweep->cursor++;
    }
    if (sweep->cursor >= end) {
        sweep_pass_ended(volume);
    }
}

void mkv_volume_tenant_pump(struct mkv_volume *volume) {
    struct tenant_sweep *sweep = &volume->tenant_sweep;
    if (sweep->place == MKV_NONE_U32) {
        sweep->place = mkv_tenant_table_dropped_place(volume_tenants(volume));
        if (sweep->place == MKV_NONE_U32) {
            return;
        }
        sweep->cursor = 0;
        sweep->found = false;
        sweep->ticket = 0;
    }
    if (sweep->cursor == 0 && sweep_waits(volume)) {
        return;
    }
    sweep_step(volume);
}

bool mkv_volume_tenant_has_work(const struct mkv_volume *volume) {
    return volume->tenant_sweep.place != MKV_NONE_U32 && volume->job_drops < JOB_DROPS_MAX &&
           mkv_volume_drop_room(volume) &&
           !(volume->tenant_sweep.cursor == 0 && sweep_waits(volume));
}
