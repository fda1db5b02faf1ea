/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant at its quota makes room for its own puts: its coldest blocks leave, as far as a bounded
 * search finds them, and nobody else's.
 *
 *   a put would pass the quota -> it waits -> the job looks for blocks of the tenant, so many slots
 *          a step -> the best of a few is evicted, by an ordinary DROP, and so on until what leaves
 *          is enough -> durable: the puts that wait ask anew
 *   QUOTA_LOOKS_MAX slots, or all of them, without one that may leave -> the puts are refused
 *
 * Room counts when the DROP is durable, not before: a quota holds at every moment.
 *
 * The job serves one tenant at a time, that of the put that has waited longest.
 */
#include "core/canary.h"
#include "core/volume_internal.h"

/* Of so many blocks that may leave the one that should leave first does. */
#define QUOTA_SAMPLE 16u
/* Slots that are looked at in vain until the puts are refused. */
#define QUOTA_LOOKS_MAX (1u << 17)

/* ---- who waits ------------------------------------------------------------------------------- */

bool mkv_volume_quota_request(struct mkv_volume *volume, uint32_t index, uint32_t slot_units) {
    struct op *op = &volume_ops(volume)[index];
    const struct mkv_tenant_usage *usage =
        mkv_tenant_table_usage_of(volume_tenants(volume), op->tenant);
    MKV_ASSERT(usage != NULL);
    const bool fits = slot_units + usage->reserved_units <= usage->quota_units;
    if (!volume->config.eviction || !fits || usage->blocks == 0) {
        return false;
    }
    MKV_ASSERT(!op->waits_for_quota);
    op->waits_for_quota = true;
    volume->quota.waiting++;
    return true;
}

void mkv_volume_quota_wait_ended(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    if (op->waits_for_quota) {
        MKV_ASSERT(volume->quota.waiting > 0);
        op->waits_for_quota = false;
        volume->quota.waiting--;
    }
}

void mkv_volume_quota_drop_begun(struct mkv_volume *volume, struct op *drop) {
    drop->slot_units = mkv_volume_slot_units(volume, drop->old_slot);
    volume->quota.drops++;
    volume->quota.drop_units += drop->slot_units;
}

void mkv_volume_quota_drop_ended(struct mkv_volume *volume, const struct op *drop) {
    MKV_ASSERT(volume->quota.drops > 0);
    MKV_ASSERT(volume->quota.drop_units >= drop->slot_units);
    volume->quota.drops--;
    volume->quota.drop_units -= drop->slot_units;
    volume->quota.retry = true;
}

/* The first put that waits; MKV_NONE_U32. There are no more than operations. */
static uint32_t first_waiter(const struct mkv_volume *volume) {
    uint32_t index = volume->extent_waiters.head;
    while (index != MKV_NONE_U32 && !volume_ops(volume)[index].waits_for_quota) {
        index = volume_ops(volume)[index].next;
    }
    return index;
}

/* Units that have to leave until all puts of the job's tenant that wait have room. 0: each has. */
static uint64_t units_wanted(const struct mkv_volume *volume) {
    const uint32_t tenant = volume->quota.tenant;
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_tenant_usage *usage =
        mkv_tenant_table_usage_of(volume_tenants(volume), tenant);
    if (usage == NULL || usage->quota_units == 0) {
        return 0;
    }
    uint64_t units = usage->units + usage->reserved_units;
    for (uint32_t index = volume->extent_waiters.head; index != MKV_NONE_U32;
         index = volume_ops(volume)[index].next) {
        const struct op *op = &volume_ops(volume)[index];
        if (op->waits_for_quota && op->tenant == tenant) {
            const uint32_t slot_units = mkv_slot_table_class_for(table, op->length);
            const uint32_t old = op->has_old ? mkv_volume_slot_units(volume, op->old_slot) : 0;
            units += slot_units > old ? slot_units - old : 0;
        }
    }
    return units > usage->quota_units ? units - usage->quota_units : 0;
}

/* Nothing of the tenant may leave: its puts are refused, the others wait on. */
static void refuse(struct mkv_volume *volume) {
    struct mkv_tenant_usage *usage =
        mkv_tenant_table_usage_of(volume_tenants(volume), volume->quota.tenant);
    const uint32_t count = volume->extent_waiters.count;
    for (uint32_t turn = 0; turn < count && volume->extent_waiters.count > 0; turn++) {
        const uint32_t index = mkv_volume_list_pop(volume, &volume->extent_waiters);
        const struct op *op = &volume_ops(volume)[index];
        if (!op->waits_for_quota || op->tenant != volume->quota.tenant) {
            mkv_volume_list_push(volume, &volume->extent_waiters, index);
            continue;
        }
        mkv_volume_evict_wait_ended(volume, index);
        if (usage != NULL) {
            usage->rejections_total++;
        }
        mkv_volume_mutation_end(volume, index, MKV_STATUS_QUOTA);
    }
}

/* ---- the search ------------------------------------------------------------------------------ */

static void search_begin(struct mkv_volume *volume, uint32_t tenant) {
    struct quota_job *job = &volume->quota;
    job->tenant = tenant;
    job->looked = 0;
    job->sampled = 0;
    job->best = (struct mkv_slot){MKV_NONE_U32};
}

static void look_at(struct mkv_volume *volume, struct mkv_slot slot) {
    struct quota_job *job = &volume->quota;
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    if (entry->tenant != job->tenant || mkv_slot_state_of(entry) != MKV_SLOT_LIVE ||
        !mkv_volume_policy_may_leave(volume, slot)) {
        return;
    }
    job->sampled++;
    if (job->best.index == MKV_NONE_U32 || !mkv_volume_policy_may_leave(volume, job->best) ||
        mkv_volume_policy_leaves_before(volume, slot, job->best)) {
        job->best = slot;
        job->best_generation = entry->generation_low;
    }
}

/* The block that was found may have gone since, and its slot have another. */
static bool best_is_there(const struct mkv_volume *volume) {
    const struct quota_job *job = &volume->quota;
    if (job->best.index == MKV_NONE_U32) {
        return false;
    }
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), job->best);
    return mkv_slot_state_of(entry) == MKV_SLOT_LIVE && entry->tenant == job->tenant &&
           entry->generation_low == job->best_generation &&
           mkv_volume_policy_may_leave(volume, job->best);
}

/* Looks on for a victim, at *looks slots at most. True when the search has come to an end. */
static bool search(struct mkv_volume *volume, uint32_t *looks) {
    struct quota_job *job = &volume->quota;
    const struct mkv_slot_table *table = volume_table(volume);
    const uint32_t end = table->page_high * MKV_PAGE_SLOTS;
    const uint32_t looks_max = (uint32_t)mkv_min_u64(end, QUOTA_LOOKS_MAX);
    while (job->looked < looks_max && job->sampled < QUOTA_SAMPLE) {
        if (*looks == 0) {
            return false;
        }
        --*looks;
        job->looked++;
        job->cursor = job->cursor < end ? job->cursor : 0;
        const struct mkv_slot slot = {job->cursor++};
        if (mkv_slot_table_page(table, slot.index / MKV_PAGE_SLOTS)->extent != MKV_NONE_U32) {
            look_at(volume, slot);
        }
    }
    return true;
}

void mkv_volume_quota_pump(struct mkv_volume *volume) {
    struct quota_job *job = &volume->quota;
    job->more = false;
    if (job->retry) {
        job->retry = false;
        mkv_volume_extent_applied(volume);
    }
    if (volume->stall.active || job->waiting == 0) {
        return;
    }
    const uint32_t first = first_waiter(volume);
    if (first == MKV_NONE_U32) {
        return; /* they wait for a lock, and ask anew behind it */
    }
    if (job->tenant != volume_ops(volume)[first].tenant) {
        search_begin(volume, volume_ops(volume)[first].tenant);
    }
    uint32_t looks = volume_step_slots(volume, JOB_SLOTS_MAX);
    uint64_t wanted = units_wanted(volume);
    while (wanted > job->drop_units && mkv_volume_evict_room(volume)) {
        if (!search(volume, &looks)) {
            job->more = true;
            return;
        }
        const bool found = best_is_there(volume);
        const struct mkv_slot victim = job->best;
        const bool nothing = job->sampled == 0;
        search_begin(volume, job->tenant);
        if (found) {
            const uint32_t waiting = job->waiting;
            mkv_volume_evict(volume, victim, MKV_EVICTION_FOR_QUOTA);
            /* The block's own put may have waited, and does it. */
            wanted = job->waiting == waiting ? wanted : units_wanted(volume);
        } else if (nothing && job->drops == 0) {
            refuse(volume);
            job->tenant = MKV_NONE_U32;
            job->more = job->waiting > 0;
            return;
        } else if (nothing) {
            return; /* what is on its way may be enough */
        }
    }
    /* There is room that no drop of this job has made. */
    job->retry = wanted == 0 && first_waiter(volume) != MKV_NONE_U32;
}

bool mkv_volume_quota_has_work(const struct mkv_volume *volume) {
    return volume->quota.more || volume->quota.retry;
}
