/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eviction: a put into a full drive takes the place of the block that is worth least. The policy
 * (eviction.h) says which; here it is told what is stored and used, and asked.
 *
 *   a put finds no slot, and its class can get no extent -> the class is full, the put waits
 *          -> as many blocks are evicted as puts wait, by ordinary DROPs -> durable: the puts go on
 *   a full class that has few ready slots -> blocks are evicted until it has enough: so that the
 *          next puts need not wait
 *
 * A class is full no more when an extent loses its class: whoever needs slots may ask for that.
 */
#include "core/volume_internal.h"

/* The most slots that a class keeps ready: what the largest queue of puts takes at a time. */
#define READY_MAX 256u
/* Searches of one step; each looks at no more slots than the policy's bound. */
#define STEP_SEARCHES_MAX 8u

_Static_assert(MKV_EVICTION_CLASSES_MAX >= MKV_CLASSES_MAX, "a class of the table is one here");
_Static_assert(MKV_EVICTION_TIER_SHIFT == MKV_SLOT_TIER_SHIFT, "the entry's tier is the policy's");
_Static_assert(MKV_EVICTION_STATE_SHIFT == MKV_SLOT_POLICY_SHIFT, "the policy has its bits");
_Static_assert(MKV_EVICTION_TIERS == MKV_VOLUME_TIERS, "stats have room for every tier");

static struct mkv_eviction *policy_of(const struct mkv_volume *volume) {
    return (struct mkv_eviction *)((uintptr_t)volume + volume->eviction_offset);
}

static bool is_leased(const void *context, struct mkv_slot slot) {
    return mkv_volume_is_leased(context, slot);
}

static struct mkv_eviction_slots slots_of(const struct mkv_volume *volume) {
    return (struct mkv_eviction_slots){
        .entries = (uint8_t *)mkv_slot_table_entry(volume_table(volume), (struct mkv_slot){0}),
        .stride_bytes = sizeof(struct mkv_slot_entry),
        .bits_offset = offsetof(struct mkv_slot_entry, bits),
        .order_offset = offsetof(struct mkv_slot_entry, generation_low),
        .skip_mask = MKV_SLOT_HELD | MKV_SLOT_HIDDEN,
        .is_kept = is_leased,
        .context = volume,
    };
}

static uint64_t tag_of(const struct mkv_slot_entry *entry) {
    return ((uint64_t)entry->tag_high << 32) | entry->tag_low;
}

static bool is_in_policy(const struct mkv_volume *volume, struct mkv_slot slot) {
    return mkv_slot_policy_of(mkv_slot_table_entry(volume_table(volume), slot)) != 0;
}

struct mkv_eviction_config mkv_volume_eviction_config(const struct mkv_volume_config *config) {
    const uint64_t slots = (uint64_t)config->geometry.page_count * MKV_PAGE_SLOTS;
    return (struct mkv_eviction_config){
        .extent_count = config->geometry.extent_count,
        /* A class has an extent at least, and takes the first place that is free. */
        .class_count = (uint32_t)mkv_min_u64(config->geometry.extent_count, MKV_CLASSES_MAX),
        .ghost_count =
            config->ghost_count != 0 ? config->ghost_count : mkv_eviction_ghosts_for(slots),
    };
}

/* ---- what the policy is told ----------------------------------------------------------------- */

void mkv_volume_policy_init(struct mkv_volume *volume) {
    volume->evict = (struct evict_job){0};
    volume->quota = (struct quota_job){.tenant = MKV_NONE_U32, .best = {MKV_NONE_U32}};
    if (volume->config.eviction) {
        const struct mkv_eviction_config config = mkv_volume_eviction_config(&volume->config);
        mkv_eviction_init(policy_of(volume), &config);
    }
}

static void add_extent(struct mkv_volume *volume, struct mkv_extent extent) {
    const struct mkv_extent_state *state = mkv_slot_table_extent(volume_table(volume), extent);
    mkv_eviction_add_extent(policy_of(volume), extent, state->class_index,
                            (struct mkv_slot){state->page_first * MKV_PAGE_SLOTS},
                            state->slot_count);
}

static void restore_page(struct mkv_volume *volume, uint32_t page) {
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_page_state *page_state = mkv_slot_table_page(table, page);
    const struct mkv_extent extent = {page_state->extent};
    if (extent.index == MKV_NONE_U32) {
        return;
    }
    if (page_state->page_in_extent == 0) {
        add_extent(volume, extent);
    }
    const struct mkv_eviction_slots slots = slots_of(volume);
    const struct mkv_extent_state *state = mkv_slot_table_extent(table, extent);
    const uint32_t end = state->page_first * MKV_PAGE_SLOTS + state->slot_count;
    for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
        const struct mkv_slot slot = {page * MKV_PAGE_SLOTS + index};
        if (slot.index >= end) {
            break;
        }
        const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
        if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE) {
            mkv_eviction_insert(policy_of(volume), &slots, extent, slot, tag_of(entry),
                                MKV_EVICTION_RESTORED);
        }
    }
}

bool mkv_volume_policy_restore(struct mkv_volume *volume, uint32_t *page, uint32_t page_max) {
    const uint32_t end = volume_table(volume)->page_high;
    for (uint32_t count = 0; volume->config.eviction && *page < end; count++, ++*page) {
        if (count == page_max) {
            return false;
        }
        restore_page(volume, *page);
    }
    return true;
}

void mkv_volume_policy_extent(struct mkv_volume *volume, const struct mkv_record_extent *record) {
    if (!volume->config.eviction) {
        return;
    }
    if (record->slot_units != 0) {
        add_extent(volume, record->extent);
        return;
    }
    mkv_eviction_remove_extent(policy_of(volume), record->extent);
    memset(volume->evict.full, 0, sizeof volume->evict.full);
}

void mkv_volume_policy_put(struct mkv_volume *volume, struct mkv_slot slot, bool is_last) {
    if (!volume->config.eviction) {
        return;
    }
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_eviction_slots slots = slots_of(volume);
    const uint64_t tag = tag_of(mkv_slot_table_entry(table, slot));
    mkv_eviction_insert(policy_of(volume), &slots, mkv_slot_table_extent_of(table, slot), slot, tag,
                        is_last ? MKV_EVICTION_TAIL : MKV_EVICTION_NEW);
}

void mkv_volume_policy_used(struct mkv_volume *volume, struct mkv_slot slot, bool was_looked_up) {
    if (!volume->config.eviction || !is_in_policy(volume, slot)) {
        return;
    }
    const struct mkv_eviction_slots slots = slots_of(volume);
    const bool same_use = was_looked_up && mkv_eviction_used_lately(&slots, slot);
    mkv_volume_sample_used(volume, slot, !same_use);
    if (same_use) {
        return;
    }
    mkv_eviction_touch(policy_of(volume), &slots,
                       mkv_slot_table_extent_of(volume_table(volume), slot), slot);
}

void mkv_volume_policy_dropped(struct mkv_volume *volume, struct mkv_slot slot, bool evicted) {
    if (!volume->config.eviction || !is_in_policy(volume, slot)) {
        return;
    }
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_eviction_slots slots = slots_of(volume);
    mkv_eviction_drop(policy_of(volume), &slots, mkv_slot_table_extent_of(table, slot), slot,
                      tag_of(mkv_slot_table_entry(table, slot)), evicted);
}

uint32_t mkv_volume_policy_take_out(struct mkv_volume *volume, struct mkv_slot slot) {
    if (!volume->config.eviction || !is_in_policy(volume, slot)) {
        return MKV_NONE_U32;
    }
    const struct mkv_eviction_slots slots = slots_of(volume);
    return mkv_eviction_take_out(policy_of(volume), &slots,
                                 mkv_slot_table_extent_of(volume_table(volume), slot), slot);
}

void mkv_volume_policy_remember(struct mkv_volume *volume, uint64_t tag, uint32_t state) {
    if (state != MKV_NONE_U32) {
        mkv_eviction_remember(policy_of(volume), tag, state);
    }
}

bool mkv_volume_policy_demote(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_tier tier) {
    struct mkv_slot_table *table = volume_table(volume);
    const enum mkv_tier before = mkv_slot_tier_of(mkv_slot_table_entry(table, slot));
    if (tier >= before) {
        return false;
    }
    if (volume->config.eviction && is_in_policy(volume, slot)) {
        const struct mkv_eviction_slots slots = slots_of(volume);
        mkv_eviction_demote(policy_of(volume), &slots, mkv_slot_table_extent_of(table, slot), slot,
                            tier);
    }
    mkv_slot_table_set_tier(table, slot, before, tier);
    return true;
}

void mkv_volume_policy_released(struct mkv_volume *volume, struct mkv_slot slot) {
    if (!volume->config.eviction || !is_in_policy(volume, slot)) {
        return;
    }
    const struct mkv_eviction_slots slots = slots_of(volume);
    mkv_eviction_unskip(policy_of(volume), &slots,
                        mkv_slot_table_extent_of(volume_table(volume), slot), slot);
}

bool mkv_volume_policy_may_leave(const struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_eviction_slots slots = slots_of(volume);
    return volume->config.eviction && mkv_eviction_may_leave(&slots, slot);
}

bool mkv_volume_policy_leaves_before(const struct mkv_volume *volume, struct mkv_slot slot,
                                     struct mkv_slot other) {
    const struct mkv_eviction_slots slots = slots_of(volume);
    return mkv_eviction_leaves_before(policy_of(volume), &slots, slot, other);
}

bool mkv_volume_was_evicted(const struct mkv_volume *volume, uint64_t tag) {
    return volume->config.eviction && mkv_eviction_was_evicted(policy_of(volume), tag);
}

void mkv_volume_policy_check(const struct mkv_volume *volume) {
    if (volume->config.eviction && volume->state == MKV_VOLUME_SERVING) {
        const struct mkv_eviction_slots slots = slots_of(volume);
        mkv_eviction_check(policy_of(volume), &slots);
    }
}

/* ---- making room ----------------------------------------------------------------------------- */

static uint64_t *full_word(struct evict_job *job, uint32_t class_index) {
    return &job->full[class_index / 64];
}

bool mkv_volume_evict_request(struct mkv_volume *volume, uint32_t op_index, uint32_t slot_units) {
    if (!volume->config.eviction) {
        return false;
    }
    const uint32_t class_index = mkv_slot_table_class_of(volume_table(volume), slot_units);
    if (class_index == MKV_NONE_U32) {
        return false;
    }
    const struct mkv_class_state *class_state = &volume_table(volume)->classes[class_index];
    /* What is reserved or being freed comes free, or becomes a block that can be evicted. */
    if (class_state->used_count == class_state->retired_count) {
        return false;
    }
    struct evict_job *job = &volume->evict;
    *full_word(job, class_index) |= 1ull << (class_index % 64);
    job->waiting[class_index]++;
    struct op *op = &volume_ops(volume)[op_index];
    op->waits_for_slot = true;
    op->wait_class = (uint8_t)class_index;
    return true;
}

void mkv_volume_evict_wait_ended(struct mkv_volume *volume, uint32_t op_index) {
    mkv_volume_quota_wait_ended(volume, op_index);
    struct op *op = &volume_ops(volume)[op_index];
    if (op->waits_for_slot) {
        MKV_ASSERT(volume->evict.waiting[op->wait_class] > 0);
        volume->evict.waiting[op->wait_class]--;
        op->waits_for_slot = false;
    }
}

/* Slots of the class that a put can have now. */
static uint32_t ready_count(const struct mkv_volume *volume, uint32_t class_index) {
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_class_state *class_state = &table->classes[class_index];
    uint32_t ready = class_state->slot_count - class_state->used_count;
    if (volume->empty_job.active) {
        const struct mkv_extent_state *emptied =
            mkv_slot_table_extent(table, volume->empty_job.extent);
        if (emptied->class_index == class_index) {
            ready -= emptied->slot_count - emptied->used;
        }
    }
    return ready;
}

/* Slots that the class should have ready: from half of what it wants down, it asks for all. */
static uint32_t ready_wanted(struct mkv_volume *volume, uint32_t class_index, uint32_t ready) {
    struct evict_job *job = &volume->evict;
    const struct mkv_class_state *class_state = &volume_table(volume)->classes[class_index];
    const uint32_t high = (uint32_t)mkv_min_u64(
        class_state->slot_count / volume->config.evict_ready_divisor, READY_MAX);
    const uint64_t bit = 1ull << (class_index % 64);
    if (volume->state != MKV_VOLUME_SERVING || ready >= high) {
        job->filling[class_index / 64] &= ~bit;
    } else if (ready <= high / 2 && (job->filling[class_index / 64] & bit) == 0) {
        job->filling[class_index / 64] |= bit;
        /* It may take an extent of a class that is used less. */
        (void)mkv_volume_empty_request(volume, class_state->slot_units);
    }
    return (job->filling[class_index / 64] & bit) != 0 ? high : 0;
}

/* Evicts what the class needs for the puts that wait, or beyond that for those to come; takes the
 * searches for it off *searches. */
static void evict_for(struct mkv_volume *volume, uint32_t class_index, bool for_coming,
                      uint32_t *searches) {
    struct evict_job *job = &volume->evict;
    const struct mkv_eviction_slots slots = slots_of(volume);
    const uint32_t ready = ready_count(volume, class_index);
    const uint32_t wanted =
        job->waiting[class_index] + (for_coming ? ready_wanted(volume, class_index, ready) : 0);
    while (wanted > ready + job->drops[class_index] &&
           (for_coming ? mkv_volume_evict_room_beside(volume) : mkv_volume_evict_room(volume)) &&
           !mkv_eviction_is_exhausted(policy_of(volume), class_index)) {
        if (*searches == 0) {
            job->more = true;
            return;
        }
        --*searches;
        const struct mkv_slot victim = mkv_eviction_victim(policy_of(volume), &slots, class_index);
        if (victim.index != MKV_NONE_U32) {
            mkv_volume_evict(volume, victim, MKV_EVICTION_FOR_ROOM);
        }
    }
}

/* The first full class from this one on; MKV_CLASSES_MAX: there is none. */
static uint32_t full_class_from(const struct evict_job *job, uint32_t class_index) {
    while (class_index < MKV_CLASSES_MAX) {
        const uint64_t bits = job->full[class_index / 64] >> (class_index % 64);
        if (bits != 0) {
            return class_index + (uint32_t)__builtin_ctzll(bits);
        }
        class_index = (class_index / 64 + 1) * 64;
    }
    return MKV_CLASSES_MAX;
}

/* Every full class has its turn, and each time another one is first: what all share, the drops on
 * their way and the searches of a step, goes round. */
static void evict_for_all(struct mkv_volume *volume, bool for_coming, uint32_t *searches) {
    const struct evict_job *job = &volume->evict;
    const uint32_t first = job->class_first;
    for (uint32_t class_index = full_class_from(job, first); class_index < MKV_CLASSES_MAX;
         class_index = full_class_from(job, class_index + 1)) {
        evict_for(volume, class_index, for_coming, searches);
    }
    for (uint32_t class_index = full_class_from(job, 0); class_index < first;
         class_index = full_class_from(job, class_index + 1)) {
        evict_for(volume, class_index, for_coming, searches);
    }
}

void mkv_volume_evict_pump(struct mkv_volume *volume) {
    struct evict_job *job = &volume->evict;
    uint32_t searches = STEP_SEARCHES_MAX;
    job->more = false;
    if (!volume->config.eviction || volume->stall.active ||
        full_class_from(job, 0) == MKV_CLASSES_MAX) {
        return;
    }
    evict_for_all(volume, false, &searches);
    evict_for_all(volume, true, &searches);
    const uint32_t next = full_class_from(job, job->class_first + 1);
    job->class_first = next < MKV_CLASSES_MAX ? next : 0;
}

void mkv_volume_evict_drop_begun(struct mkv_volume *volume, struct op *drop) {
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_extent extent = mkv_slot_table_extent_of(table, drop->old_slot);
    volume->evict_drops++;
    /* What leaves an extent that runs empty makes no room for puts of its class. */
    drop->wait_class = mkv_slot_table_extent(table, extent)->class_index;
    if (drop->evict_reason == MKV_EVICTION_FOR_CLASS) {
        drop->wait_class = MKV_CLASSES_MAX;
    }
    if (drop->wait_class < MKV_CLASSES_MAX) {
        volume->evict.drops[drop->wait_class]++;
    }
}

void mkv_volume_evict_drop_ended(struct mkv_volume *volume, const struct op *drop) {
    MKV_ASSERT(volume->evict_drops > 0);
    volume->evict_drops--;
    if (drop->wait_class < MKV_CLASSES_MAX) {
        MKV_ASSERT(volume->evict.drops[drop->wait_class] > 0);
        volume->evict.drops[drop->wait_class]--;
    }
}

uint32_t mkv_volume_evictions_waiting(const struct mkv_volume *volume) {
    const struct op *ops = volume_ops(volume);
    uint32_t count = 0;
    for (uint32_t index = 0; index < volume->op_total && volume->evict_drops > 0; index++) {
        count += ops[index].of_eviction && ops[index].state == OP_LOCK_WAIT;
    }
    return count;
}

bool mkv_volume_evict_has_work(const struct mkv_volume *volume) {
    return volume->evict.more;
}
