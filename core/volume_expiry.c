/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expiry: a block may have a time, on the wall clock, from which on nobody finds it. That is so at
 * once, whatever is on the drive; the drop behind it is a matter of room alone:
 *
 *   waiting --the first expiry is reached--> a pass over all slots --expired ones: DROP--> waiting
 *
 * The volume's wall clock is the highest that any input, journal block or superblock has shown, so
 * a clock that was set back brings nothing back. Passes leave far more time between them than they
 * take, and a step of one is bounded.
 *
 * A drop waits behind the lock of its tag. When its turn comes it looks again: a put of the same
 * content, or an EXPIRE, may have prolonged the block.
 */
#include "core/volume_internal.h"

/* Passes take at most one part in so many of the time. */
#define PASS_REST_FACTOR 16u

struct mkv_slot mkv_volume_unexpired(const struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_slot_table *table = volume_table(volume);
    if (slot.index == MKV_NONE_U32 || MKV_CANARY(MKV_CANARY_EXPIRED_BLOCK_SERVED) ||
        !mkv_slot_is_expired(table, mkv_slot_table_entry(table, slot))) {
        return slot;
    }
    struct mkv_slot_walk walk = mkv_slot_table_walk_behind(table, slot);
    do {
        slot = mkv_slot_table_walk_next(table, &walk);
    } while (slot.index != MKV_NONE_U32 &&
             mkv_slot_is_expired(table, mkv_slot_table_entry(table, slot)));
    return slot;
}

bool mkv_volume_old_is_expired(const struct mkv_volume *volume, const struct op *op) {
    const struct mkv_slot_table *table = volume_table(volume);
    if (MKV_CANARY(MKV_CANARY_EXPIRED_BLOCK_TAKEN_FOR_LIVE) && op->kind == OP_KIND_PUT) {
        return false;
    }
    return mkv_slot_is_expired(table, mkv_slot_table_entry(table, op->old_slot));
}

/* The expiry that a put of what is live in old_slot leaves there. */
static uint32_t expiry_of_put(const struct mkv_volume *volume, const struct op *op) {
    const uint32_t has_s = mkv_slot_table_entry(volume_table(volume), op->old_slot)->expiry_s;
    if ((op->flags & MKV_PUT_REPLACE) != 0) {
        return op->expiry_s;
    }
    /* Others may count on what is there: it lives as long as any of them asked for. */
    return has_s == 0 || op->expiry_s == 0 ? 0 : (uint32_t)mkv_max_u64(has_s, op->expiry_s);
}

bool mkv_volume_put_prolongs(const struct mkv_volume *volume, const struct op *op) {
    return expiry_of_put(volume, op) !=
           mkv_slot_table_entry(volume_table(volume), op->old_slot)->expiry_s;
}

void mkv_volume_prolong(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    const uint32_t expiry_s = expiry_of_put(volume, op);
    struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), op->old_slot);
    if (MKV_CANARY(MKV_CANARY_EXPIRY_NOT_RECORDED)) {
        entry->expiry_s = expiry_s;
    }
    if (expiry_s == entry->expiry_s) {
        mkv_volume_mutation_refuse(volume, index, MKV_STATUS_OK);
        return;
    }
    if (op->overtaken) {
        mkv_volume_tenant_unreserve(volume, op);
        mkv_slot_table_unreserve(volume_table(volume), op->slot);
        op->overtaken = false;
    }
    op->prolongs = true;
    op->expiry_s = expiry_s;
    op->state = OP_READY;
    mkv_volume_list_push(volume, &volume->ready, index);
}

void mkv_volume_expire_found(struct mkv_volume *volume, uint32_t index, bool expired) {
    struct op *op = &volume_ops(volume)[index];
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), op->old_slot);
    MKV_ASSERT(op->kind == OP_KIND_EXPIRE);
    if (expired) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_NOT_FOUND);
    } else if (op->expiry_s == entry->expiry_s) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_OK);
    } else {
        op->prolongs = true;
        op->state = OP_READY;
        mkv_volume_list_push(volume, &volume->ready, index);
    }
}

void mkv_volume_expiry_noted(struct mkv_volume *volume, uint32_t expiry_s) {
    struct expiry_job *job = &volume->expiry_job;
    if (expiry_s != 0) {
        job->next_s = mkv_min_u64(job->next_s, expiry_s);
        job->found_s = mkv_min_u64(job->found_s, expiry_s); /* the pass may be past its slot */
    }
}

void mkv_volume_expiry_open(struct mkv_volume *volume) {
    volume->expiry_job = (struct expiry_job){.next_s = 0};
}

/* Looks at one slot. False when its drop has to wait. */
static bool look(struct mkv_volume *volume, struct mkv_slot slot) {
    struct expiry_job *job = &volume->expiry_job;
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    if (mkv_slot_state_of(entry) != MKV_SLOT_LIVE || entry->expiry_s == 0 ||
        (entry->bits & MKV_SLOT_HIDDEN) != 0) {
        return true;
    }
    if (!mkv_slot_is_expired(table, entry)) {
        job->found_s = mkv_min_u64(job->found_s, entry->expiry_s);
        return true;
    }
    return mkv_volume_job_drop(volume, slot, MKV_DROP_EXPIRE);
}

static void pass_step(struct mkv_volume *volume) {
    struct expiry_job *job = &volume->expiry_job;
    const struct mkv_slot_table *table = volume_table(volume);
    const uint32_t end = table->page_high * MKV_PAGE_SLOTS;
    const uint32_t look_max = volume_step_slots(volume, JOB_SLOTS_MAX);
    for (uint32_t looked = 0; job->cursor < end && looked < look_max; looked++) {
        const struct mkv_slot slot =
            mkv_slot_table_next_owned(table, (struct mkv_slot){job->cursor});
        job->cursor = (uint32_t)mkv_min_u64(slot.index, end);
        if (job->cursor == end) {
            break;
        }
        if (!look(volume, slot)) {
            return;
        }
        job->cursor++;
    }
    if (job->cursor >= end) {
        const uint64_t rest_ns = PASS_REST_FACTOR * (volume->now_ns - job->started_ns);
        job->passing = false;
        job->next_s = job->found_s;
        job->due_ns = volume->now_ns + mkv_max_u64(volume->config.expiry_pass_ns, rest_ns);
    }
}

void mkv_volume_expiry_pump(struct mkv_volume *volume) {
    struct expiry_job *job = &volume->expiry_job;
    if (!job->passing) {
        if (volume_table(volume)->wall_s < job->next_s || volume->now_ns < job->due_ns) {
            return;
        }
        job->passing = true;
        job->cursor = 0;
        job->found_s = UINT64_MAX;
        job->started_ns = volume->now_ns;
    }
    pass_step(volume);
}

bool mkv_volume_expiry_has_work(const struct mkv_volume *volume) {
    return volume->expiry_job.passing && volume->job_drops < JOB_DROPS_MAX &&
           mkv_volume_drop_room(volume);
}
