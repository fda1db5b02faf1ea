/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases and pins (volume_terms.h). They live in a table of bounded size, found by slot, and end by
 * the clock wherever they are asked about; a sweep at leisure gives their places back.
 */
#include <string.h>

#include "core/hash.h"
#include "core/volume_internal.h"

/* Leases that one sweep looks at, and the time between two sweeps. */
#define SWEEP_MAX 256u
#define SWEEP_NS 1000000ull
/* One lease for so many slots, unless that is few or many. */
#define SLOTS_OF_LEASE 16u
#define LEASES_MIN 64u
#define LEASES_MAX 65536u

static struct lease *leases_of(const struct mkv_volume *volume) {
    return (struct lease *)((uintptr_t)volume + volume->leases.offset);
}

static uint32_t *bucket_of(const struct mkv_volume *volume, struct mkv_slot slot) {
    uint32_t *heads = (uint32_t *)(void *)(leases_of(volume) + volume->leases.lease_max);
    return &heads[slot.index % volume->leases.lease_max];
}

uint32_t mkv_volume_lease_max(const struct mkv_volume_config *config) {
    const uint64_t slots = (uint64_t)config->geometry.page_count * MKV_PAGE_SLOTS;
    if (config->lease_max != 0) {
        return config->lease_max;
    }
    return (uint32_t)mkv_max_u64(LEASES_MIN, mkv_min_u64(LEASES_MAX, slots / SLOTS_OF_LEASE));
}

size_t mkv_volume_lease_memory_required(const struct mkv_volume_config *config) {
    return (size_t)mkv_volume_lease_max(config) * (sizeof(struct lease) + sizeof(uint32_t));
}

void mkv_volume_lease_open(struct mkv_volume *volume) {
    struct lease_state *state = &volume->leases;
    struct lease *leases = leases_of(volume);
    memset(leases, 0, (size_t)state->lease_max * sizeof *leases);
    for (uint32_t index = 0; index < state->lease_max; index++) {
        leases[index].next = index + 1 < state->lease_max ? index + 1 : MKV_NONE_U32;
        *bucket_of(volume, (struct mkv_slot){index}) = MKV_NONE_U32;
    }
    state->free_head = 0;
    state->taken = 0;
    state->units = 0;
}

static struct lease *lease_find(const struct mkv_volume *volume, struct mkv_slot slot) {
    struct lease *leases = leases_of(volume);
    if (volume->leases.taken == 0) {
        return NULL;
    }
    uint32_t index = *bucket_of(volume, slot);
    while (index != MKV_NONE_U32 && leases[index].slot != slot.index) {
        index = leases[index].next;
    }
    return index == MKV_NONE_U32 ? NULL : &leases[index];
}

static bool is_held(const struct mkv_volume *volume, const struct lease *lease) {
    return volume->now_ns < lease->lease_until_ns || volume->now_ns < lease->pin_until_ns;
}

bool mkv_volume_is_leased(const struct mkv_volume *volume, struct mkv_slot slot) {
    const struct lease *lease = lease_find(volume, slot);
    return lease != NULL && is_held(volume, lease);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void lease_free(struct mkv_volume *volume, struct lease *lease) {
    struct lease_state *state = &volume->leases;
    struct lease *leases = leases_of(volume);
    const uint32_t index = (uint32_t)(lease - leases);
    uint32_t *link = bucket_of(volume, (struct mkv_slot){lease->slot});
    while (*link != index) {
        MKV_ASSERT(*link != MKV_NONE_U32);
        link = &leases[*link].next;
    }
    *link = lease->next;
    MKV_ASSERT(state->taken > 0 && state->units >= lease->units);
    state->taken--;
    state->units -= lease->units;
    *lease = (struct lease){.next = state->free_head};
    state->free_head = index;
}

static void lease_over(struct mkv_volume *volume, struct lease *lease) {
    const struct mkv_slot slot = {lease->slot};
    if (lease->used) {
        volume->stats.leases_used_total++;
    } else {
        volume->stats.leases_expired_total++;
    }
    lease_free(volume, lease);
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE && (entry->bits & MKV_SLOT_HIDDEN) == 0) {
        mkv_volume_policy_released(volume, slot);
    }
}

static void sweep(struct mkv_volume *volume) {
    struct lease_state *state = &volume->leases;
    struct lease *leases = leases_of(volume);
    for (uint32_t turn = 0; turn < SWEEP_MAX && turn < state->lease_max; turn++) {
        struct lease *lease = &leases[state->sweep_cursor];
        state->sweep_cursor = (state->sweep_cursor + 1) % state->lease_max;
        if (lease->taken && !is_held(volume, lease)) {
            lease_over(volume, lease);
        }
    }
}

void mkv_volume_lease_pump(struct mkv_volume *volume) {
    struct lease_state *state = &volume->leases;
    if (state->taken > 0 && volume->now_ns >= state->sweep_due_ns) {
        state->sweep_due_ns = volume->now_ns + SWEEP_NS;
        sweep(volume);
    }
}

void mkv_volume_lease_used(struct mkv_volume *volume, struct mkv_slot slot) {
    struct lease *lease = lease_find(volume, slot);
    if (lease != NULL && is_held(volume, lease)) {
        lease->used = true;
    }
}

void mkv_volume_lease_dropped(struct mkv_volume *volume, struct mkv_slot slot) {
    struct lease *lease = lease_find(volume, slot);
    if (lease != NULL && is_held(volume, lease)) {
        volume->stats.leases_overridden_total++;
        lease_free(volume, lease);
    } else if (lease != NULL) {
        lease_over(volume, lease);
    }
}

/* ---- grants ---------------------------------------------------------------------------------- */

/* Whether the block is to be evicted when a mutation of its tag lets go of the lock. */
static bool is_being_evicted(const struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    const struct op *ops = volume_ops(volume);
    if (volume->evict_drops == 0 || MKV_CANARY(MKV_CANARY_LEASE_GRANTED_TO_VICTIM)) {
        return false;
    }
    const uint64_t tag = ((uint64_t)entry->tag_high << 32) | entry->tag_low;
    const uint32_t holder = mkv_volume_lock_holder(volume, entry->tenant, tag);
    if (holder == MKV_NONE_U32) {
        return false; /* what is past its lock has hidden the block */
    }
    uint32_t waiter = ops[holder].lock_waiters.head;
    for (uint32_t left = ops[holder].lock_waiters.count; left > 0; left--) {
        if (ops[waiter].of_eviction && ops[waiter].old_slot.index == slot.index) {
            return true;
        }
        waiter = ops[waiter].next;
    }
    return false;
}

/* How long it may be, for this block: 0 when not at all. */
static uint64_t term_of(const struct mkv_volume *volume, struct mkv_slot slot, uint64_t asked_ns) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    uint64_t term_ns = mkv_min_u64(asked_ns, LEASE_NS_MAX);
    if (entry->expiry_s != 0) {
        const uint64_t expiry_ms = (uint64_t)entry->expiry_s * 1000;
        const uint64_t left_ms = expiry_ms > volume->wall_ms ? expiry_ms - volume->wall_ms : 0;
        term_ns = mkv_min_u64(term_ns, mkv_min_u64(left_ms, LEASE_NS_MAX / 1000000) * 1000000);
    }
    return is_being_evicted(volume, slot) ? 0 : term_ns;
}

/* The block's entry, a new one if there is room for it (I2). */
static struct lease *lease_take(struct mkv_volume *volume, struct mkv_slot slot, uint32_t share) {
    struct lease_state *state = &volume->leases;
    const struct mkv_slot_table *table = volume_table(volume);
    struct lease *lease = lease_find(volume, slot);
    if (lease != NULL) {
        return lease;
    }
    const uint32_t units =
        mkv_slot_table_extent(table, mkv_slot_table_extent_of(table, slot))->slot_units;
    const uint64_t units_max =
        mkv_geometry_usable_units(&volume->config.geometry) * (uint64_t)share / 1000;
    if (state->free_head == MKV_NONE_U32 || state->units + units > units_max) {
        mkv_volume_lease_pump(volume); /* no more often than at leisure: lookups are many */
    }
    if (state->free_head == MKV_NONE_U32 || state->units + units > units_max) {
        return NULL;
    }
    struct lease *leases = leases_of(volume);
    const uint32_t index = state->free_head;
    lease = &leases[index];
    state->free_head = lease->next;
    uint32_t *head = bucket_of(volume, slot);
    *lease = (struct lease){.slot = slot.index, .next = *head, .units = units, .taken = true};
    *head = index;
    state->taken++;
    state->units += units;
    return lease;
}

/* What all leases may be on when EXISTS asks for one. */
static uint32_t share_of_exists(const struct mkv_volume *volume) {
    const uint32_t share = volume->config.lease_share;
    if (share == MKV_LEASE_SHARE_NONE) {
        return 0;
    }
    return share == 0 ? MKV_LEASE_SHARE : (uint32_t)mkv_min_u64(share, LEASED_SHARE);
}

uint64_t mkv_volume_lease(struct mkv_volume *volume, struct mkv_slot slot, uint64_t lease_ns,
                          bool is_short) {
    const uint64_t term_ns = term_of(volume, slot, lease_ns);
    struct lease *lease =
        term_ns == 0 ? NULL
                     : lease_take(volume, slot, is_short ? share_of_exists(volume) : LEASED_SHARE);
    if (lease == NULL) {
        volume->stats.leases_refused_total++;
        return 0;
    }
    lease->lease_until_ns = mkv_max_u64(lease->lease_until_ns, volume->now_ns + term_ns);
    return term_ns;
}

static enum mkv_status pin(struct mkv_volume *volume, struct mkv_slot slot, uint64_t *term_ns) {
    *term_ns = term_of(volume, slot, *term_ns);
    struct lease *lease = *term_ns == 0 ? NULL : lease_take(volume, slot, LEASED_SHARE);
    if (lease == NULL) {
        volume->stats.leases_refused_total++;
        *term_ns = 0;
        return MKV_STATUS_NO_SPACE;
    }
    lease->pins = volume->now_ns < lease->pin_until_ns ? lease->pins + 1 : 1;
    lease->pin_until_ns = mkv_max_u64(lease->pin_until_ns, volume->now_ns + *term_ns);
    return MKV_STATUS_OK;
}

static enum mkv_status unpin(struct mkv_volume *volume, struct mkv_slot slot) {
    struct lease *lease = lease_find(volume, slot);
    if (lease == NULL || volume->now_ns >= lease->pin_until_ns) {
        return MKV_STATUS_NOT_FOUND;
    }
    lease->pins--;
    if (lease->pins == 0) {
        lease->pin_until_ns = 0;
        if (!is_held(volume, lease)) {
            lease_over(volume, lease);
        }
    }
    return MKV_STATUS_OK;
}

void mkv_volume_pin(struct mkv_volume *volume, const struct mkv_input *input) {
    const struct mkv_message *message = &input->message;
    const bool pins = message->kind == MKV_MESSAGE_PIN;
    enum mkv_miss miss = MKV_MISS_NONE;
    const struct mkv_slot slot = mkv_volume_found(volume, input, &miss);
    struct mkv_effect *effect = mkv_volume_emit(volume, MKV_EFFECT_MESSAGE);
    effect->op = message->front_op;
    struct mkv_message *answer = &effect->message;
    answer->kind = pins ? MKV_MESSAGE_PIN_DONE : MKV_MESSAGE_UNPIN_DONE;
    answer->volume = volume->config.volume;
    answer->front_op = message->front_op;
    answer->status = MKV_STATUS_NOT_FOUND;
    answer->miss = miss;
    if (slot.index == MKV_NONE_U32) {
        return;
    }
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    answer->volume_op = (struct mkv_op_id){slot.index, entry->generation_low};
    if (pins) {
        answer->lease_ns = message->lease_ns;
        answer->status = pin(volume, slot, &answer->lease_ns);
    } else {
        answer->status = unpin(volume, slot);
    }
}
