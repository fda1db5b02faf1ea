/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory tier: blocks whose slabs stay after a PUT or a read, until the slab is needed.
 *
 *   index:   tag of (tenant, key) -> bucket -> residents, compared by their whole key
 *
 *   queues:  new     (first use)  coldest ... warmest     taken first while it has more than a
 * tenth proven  (used again) coldest ... warmest
 *
 * A resident that was used since it came moves from `new` to `proven` when its turn comes, and one
 * in `proven` is passed over as often as it was used, at most FRONT_HEAT_MAX times. So a stream of
 * blocks that nobody reads again takes its own room only (after S3-FIFO, Yang and others 2023).
 *
 * A slab that is larger than the coldest resident's needs the whole run around that one: all
 * residents in it go, or, when an op uses any of its slabs, the next coldest is looked at.
 */
#include <string.h>

#include "core/canary.h"
#include "core/front_internal.h"
#include "core/hash.h"

/* Slab units in a hundred that blocks may take which were not used again. */
#define NEW_PERCENT 10u

static struct front_resident *resident_at(struct mkv_front *front, uint32_t index) {
    return (struct front_resident *)front_at(front, front->layout.residents) + index;
}

const struct front_resident *mkv_front_memory_at(struct mkv_front *front, uint32_t resident) {
    return resident_at(front, resident);
}

static struct front_link *resident_links(struct mkv_front *front) {
    return front_links(front, front->layout.resident_links);
}

static uint8_t *resident_key(struct mkv_front *front, uint32_t index) {
    return (uint8_t *)front_at(front, front->layout.resident_keys) +
           (size_t)index * MKV_KEY_BYTES_MAX;
}

static uint32_t *owners(struct mkv_front *front) {
    return front_at(front, front->layout.resident_owners);
}

static uint32_t *bucket_of(struct mkv_front *front, uint64_t tag) {
    uint32_t *heads = front_at(front, front->layout.resident_heads);
    return &heads[tag % front->config.memory_blocks_max];
}

void mkv_front_memory_init(struct mkv_front *front) {
    const uint32_t count = front->config.memory_blocks_max;
    mkv_front_list_init(&front->residents_free);
    mkv_front_list_init(&front->residents_new);
    mkv_front_list_init(&front->residents_proven);
    uint32_t *heads = front_at(front, front->layout.resident_heads);
    for (uint32_t index = 0; index < count; index++) {
        mkv_front_list_push(&front->residents_free, resident_links(front), index);
        heads[index] = MKV_NONE_U32;
    }
    for (uint32_t unit = 0; count > 0 && unit < front->config.slab_unit_count; unit++) {
        owners(front)[unit] = MKV_NONE_U32;
    }
}

/* ---- queues and slabs ------------------------------------------------------------------------ */

static void queue_push(struct mkv_front *front, uint32_t index, bool proven) {
    struct front_resident *resident = resident_at(front, index);
    resident->proven = proven;
    front->resident_units_new += proven ? 0 : resident->slab_units;
    mkv_front_list_push(proven ? &front->residents_proven : &front->residents_new,
                        resident_links(front), index);
}

static void queue_remove(struct mkv_front *front, uint32_t index) {
    const struct front_resident *resident = resident_at(front, index);
    front->resident_units_new -= resident->proven ? 0 : resident->slab_units;
    mkv_front_list_remove(resident->proven ? &front->residents_proven : &front->residents_new,
                          resident_links(front), index);
}

static void slab_attach(struct mkv_front *front, uint32_t index, struct mkv_slab slab,
                        uint32_t units) {
    struct front_resident *resident = resident_at(front, index);
    resident->state = FRONT_RESIDENT_HELD;
    resident->slab = slab;
    resident->slab_units = units;
    owners(front)[slab.index] = index;
    front->resident_units += units;
}

static void resident_free(struct mkv_front *front, uint32_t index) {
    struct front_resident *resident = resident_at(front, index);
    MKV_ASSERT(!resident->indexed);
    MKV_ASSERT(resident->users == 0);
    if (resident->state == FRONT_RESIDENT_HELD) {
        MKV_ASSERT(front->resident_units >= resident->slab_units);
        owners(front)[resident->slab.index] = MKV_NONE_U32;
        front->resident_units -= resident->slab_units;
        mkv_slab_free(front_slabs(front), resident->slab);
    }
    memset(resident, 0, sizeof *resident);
    mkv_front_list_push(&front->residents_free, resident_links(front), index);
}

static void users_add(struct mkv_front *front, struct front_resident *resident) {
    front->resident_units_used += resident->users == 0 ? resident->slab_units : 0;
    resident->users++;
}

/* ---- the index ------------------------------------------------------------------------------- */

static void index_remove(struct mkv_front *front, uint32_t index) {
    struct front_resident *resident = resident_at(front, index);
    uint32_t *link = bucket_of(front, resident->tag);
    while (*link != index) {
        MKV_ASSERT(*link != MKV_NONE_U32);
        link = &resident_at(front, *link)->hash_next;
    }
    *link = resident->hash_next;
    resident->indexed = false;
    if (resident->state == FRONT_RESIDENT_HELD) {
        queue_remove(front, index);
    }
}

/* It is not found any more, and gone as soon as nobody uses it. */
static void drop(struct mkv_front *front, uint32_t index) {
    index_remove(front, index);
    if (resident_at(front, index)->users == 0) {
        resident_free(front, index);
    }
}

static uint32_t tenant_of(struct mkv_front *front, const struct front_op *op) {
    return front_item_at(front, op->item)->tenant;
}

/* Of one tenant: equal keys of others are other blocks. */
static uint32_t lookup_of(struct mkv_front *front, uint32_t tenant, const uint8_t *key,
                          uint32_t key_bytes) {
    const uint64_t tag = mkv_key_tag(tenant, key, key_bytes);
    uint32_t index = *bucket_of(front, tag);
    while (index != MKV_NONE_U32) {
        const struct front_resident *resident = resident_at(front, index);
        if (resident->tag == tag && resident->tenant == tenant &&
            resident->key_bytes == key_bytes &&
            memcmp(resident_key(front, index), key, key_bytes) == 0) {
            return index;
        }
        index = resident->hash_next;
    }
    return MKV_NONE_U32;
}

static uint32_t lookup(struct mkv_front *front, const struct front_op *op, const uint8_t *key,
                       uint32_t key_bytes) {
    return lookup_of(front, tenant_of(front, op), key, key_bytes);
}

/* The coldest of a queue that nobody uses; MKV_NONE_U32. Those in use move behind the others. */
static uint32_t coldest(struct mkv_front *front) {
    while (front->reclaims_left > 0 && front->reclaims_due > 0 &&
           front->residents_new.count + front->residents_proven.count > 0) {
        front->reclaims_left--;
        front->reclaims_due--;
        const bool take_new =
            front->residents_proven.count == 0 ||
            (front->residents_new.count > 0 && (uint64_t)front->resident_units_new * 100 >
                                                   (uint64_t)front->resident_units * NEW_PERCENT);
        const uint32_t index =
            take_new ? front->residents_new.first : front->residents_proven.first;
        struct front_resident *resident = resident_at(front, index);
        queue_remove(front, index);
        const bool is_warm = resident->heat > 0;
        queue_push(front, index, resident->proven || is_warm);
        if (is_warm) {
            resident->heat--;
        } else if (resident->users == 0) {
            return index;
        }
    }
    return MKV_NONE_U32;
}

/* A free place, or that of the coldest; MKV_NONE_U32 when those that were looked at are in use. */
static uint32_t take_free(struct mkv_front *front) {
    uint32_t index = mkv_front_list_pop(&front->residents_free, resident_links(front));
    for (uint32_t turn = 0; turn < FRONT_PLACES_LOOKED_AT_MAX && index == MKV_NONE_U32; turn++) {
        const uint32_t first = front->residents_new.count > 0 ? front->residents_new.first
                                                              : front->residents_proven.first;
        if (first == MKV_NONE_U32) {
            return MKV_NONE_U32; /* all are being read */
        }
        if (resident_at(front, first)->users == 0) {
            front->stats.memory_taken++;
            drop(front, first);
            index = mkv_front_list_pop(&front->residents_free, resident_links(front));
        } else {
            queue_remove(front, first);
            queue_push(front, first, true);
        }
    }
    return index;
}

static uint32_t index_add(struct mkv_front *front, const struct front_op *op, const uint8_t *key,
                          uint32_t key_bytes) {
    const uint64_t tag = mkv_key_tag(tenant_of(front, op), key, key_bytes);
    MKV_ASSERT(lookup(front, op, key, key_bytes) == MKV_NONE_U32);
    const uint32_t index = take_free(front);
    if (index == MKV_NONE_U32) {
        return MKV_NONE_U32;
    }
    struct front_resident *resident = resident_at(front, index);
    uint32_t *head = bucket_of(front, tag);
    *resident = (struct front_resident){
        .indexed = true,
        .reader = MKV_NONE_U32,
        .hash_next = *head,
        .volume = op->volume,
        .volume_outages = front->volumes[op->volume].outages,
        .arrivals = op->arrivals,
        .tenant = tenant_of(front, op),
        .key_bytes = key_bytes,
        .tag = tag,
        .slab = {MKV_NONE_U32},
    };
    *head = index;
    mkv_front_list_init(&resident->waiters);
    memcpy(resident_key(front, index), key, key_bytes);
    return index;
}

/* Takes the read's resident away from its op, and wakes those that wait for it: they look anew. */
static void read_unlink(struct mkv_front *front, uint32_t index) {
    struct front_resident *resident = resident_at(front, index);
    MKV_ASSERT(resident->state == FRONT_RESIDENT_READING);
    const uint32_t reader = resident->reader;
    uint32_t waiter;
    while ((waiter = mkv_front_memory_read_waiter(front, reader)) != MKV_NONE_U32) {
        front_op_at(front, waiter)->state = FRONT_OP_GRANTED;
        mkv_front_item_ready(front, front_op_at(front, waiter)->item);
    }
    front_op_at(front, reader)->resident = MKV_NONE_U32;
    index_remove(front, index);
    resident_free(front, index);
}

static void forget(struct mkv_front *front, uint32_t index) {
    front->stats.memory_forgotten++;
    if (resident_at(front, index)->state == FRONT_RESIDENT_READING) {
        front->stats.reads_not_kept++;
        read_unlink(front, index);
    } else {
        drop(front, index);
    }
}

uint32_t mkv_front_memory_find(struct mkv_front *front, const struct front_op *op,
                               const uint8_t *key, uint32_t key_bytes) {
    if (!front_has_memory(front) || op->volume == MKV_NONE_U32) {
        return MKV_NONE_U32;
    }
    const uint32_t index = lookup(front, op, key, key_bytes);
    if (index == MKV_NONE_U32) {
        return MKV_NONE_U32;
    }
    const struct front_volume *volume = &front->volumes[op->volume];
    const uint32_t expiry_s = resident_at(front, index)->expiry_s;
    if (expiry_s != 0 && front->wall_s >= expiry_s) {
        forget(front, index);
        return MKV_NONE_U32;
    }
    if (resident_at(front, index)->volume != op->volume ||
        volume->state != MKV_FRONT_VOLUME_ONLINE ||
        volume->outages != resident_at(front, index)->volume_outages ||
        resident_at(front, index)->arrivals < front->arrivals_left) {
        forget(front, index);
        return MKV_NONE_U32;
    }
    return index;
}

void mkv_front_memory_expire(struct mkv_front *front, uint32_t index, uint32_t expiry_s) {
    MKV_ASSERT(resident_at(front, index)->state == FRONT_RESIDENT_HELD);
    resident_at(front, index)->expiry_s = expiry_s;
}

void mkv_front_memory_forget(struct mkv_front *front, const struct front_op *op, const uint8_t *key,
                             uint32_t key_bytes) {
    if (!front_has_memory(front) || op->volume == MKV_NONE_U32) {
        return;
    }
    const uint32_t index = lookup(front, op, key, key_bytes);
    if (index == MKV_NONE_U32) {
        return;
    }
    forget(front, index);
}

void mkv_front_inspect(struct mkv_front *front, uint32_t tenant, const char *tenant_name,
                       const uint8_t *key, uint32_t key_bytes,
                       struct mkv_front_inspection *inspection) {
    const struct mkv_root point = mkv_placement_point(tenant_name, key, key_bytes);
    *inspection = (struct mkv_front_inspection){
        .volume = mkv_placement_owner(point, front->members, front->config.volume_count),
    };
    const uint32_t index =
        front_has_memory(front) ? lookup_of(front, tenant, key, key_bytes) : MKV_NONE_U32;
    if (index != MKV_NONE_U32) {
        const struct front_resident *resident = resident_at(front, index);
        inspection->in_memory = resident->state == FRONT_RESIDENT_HELD;
        inspection->unpersisted = resident->unpersisted;
        inspection->length = resident->length;
        inspection->expiry_s = resident->expiry_s;
        inspection->used_again = resident->proven;
    }
}

/* ---- reads that are shared ------------------------------------------------------------------- */

void mkv_front_memory_read_begin(struct mkv_front *front, uint32_t op_index, const uint8_t *key,
                                 uint32_t key_bytes) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->resident == MKV_NONE_U32);
    const uint32_t index = index_add(front, op, key, key_bytes);
    if (index != MKV_NONE_U32) {
        resident_at(front, index)->state = FRONT_RESIDENT_READING;
        resident_at(front, index)->reader = op_index;
        op->resident = index;
    }
}

bool mkv_front_memory_reads(struct mkv_front *front, const struct front_op *op, uint32_t op_index) {
    return op->resident != MKV_NONE_U32 &&
           resident_at(front, op->resident)->state == FRONT_RESIDENT_READING &&
           resident_at(front, op->resident)->reader == op_index;
}

bool mkv_front_memory_read_join(struct mkv_front *front, uint32_t op_index, uint32_t index) {
    struct front_resident *resident = resident_at(front, index);
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(resident->state == FRONT_RESIDENT_READING);
    MKV_ASSERT(op->resident == MKV_NONE_U32);
    if (resident->waiters.count >= FRONT_READ_WAITERS_MAX) {
        return false;
    }
    op->resident = index;
    mkv_front_list_push(&resident->waiters, front_links(front, front->layout.op_links), op_index);
    return true;
}

uint32_t mkv_front_memory_read_waiter(struct mkv_front *front, uint32_t op_index) {
    struct front_resident *resident = resident_at(front, front_op_at(front, op_index)->resident);
    const uint32_t waiter =
        mkv_front_list_pop(&resident->waiters, front_links(front, front->layout.op_links));
    if (waiter != MKV_NONE_U32) {
        struct front_op *op = front_op_at(front, waiter);
        MKV_ASSERT(op->state == FRONT_OP_WAITING);
        MKV_ASSERT(op->wait == FRONT_WAIT_READ);
        op->wait = FRONT_WAIT_NONE;
        op->resident = MKV_NONE_U32;
    }
    return waiter;
}

void mkv_front_memory_read_cancel(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    mkv_front_list_remove(&resident_at(front, op->resident)->waiters,
                          front_links(front, front->layout.op_links), op_index);
    op->resident = MKV_NONE_U32;
}

void mkv_front_memory_read_done(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    const uint32_t index = op->resident;
    struct front_resident *resident = resident_at(front, index);
    MKV_ASSERT(op->has_slab);
    uint32_t waiter;
    while ((waiter = mkv_front_memory_read_waiter(front, op_index)) != MKV_NONE_U32) {
        front_op_at(front, waiter)->joined = true;
        front_op_at(front, waiter)->state = FRONT_OP_GRANTED;
        mkv_front_item_ready(front, front_op_at(front, waiter)->item);
    }
    slab_attach(front, index, op->slab, op->slab_units);
    resident->length = op->result_length;
    resident->expiry_s = op->expiry_s;
    resident->root = op->root;
    queue_push(front, index, false);
    users_add(front, resident);
    front->stats.memory_kept_reads++;
}

void mkv_front_memory_read_end(struct mkv_front *front, uint32_t op_index) {
    read_unlink(front, front_op_at(front, op_index)->resident);
}

/* ---- users ----------------------------------------------------------------------------------- */

void mkv_front_memory_use(struct mkv_front *front, uint32_t op_index, uint32_t index) {
    struct front_op *op = front_op_at(front, op_index);
    struct front_resident *resident = resident_at(front, index);
    MKV_ASSERT(resident->state == FRONT_RESIDENT_HELD);
    MKV_ASSERT(op->resident == MKV_NONE_U32);
    MKV_ASSERT(!op->has_slab);
    op->resident = index;
    op->has_slab = true;
    op->slab = resident->slab;
    op->slab_units = resident->slab_units;
    resident->heat = (uint32_t)mkv_min_u64(resident->heat + 1, FRONT_HEAT_MAX);
    users_add(front, resident);
}

/* A planted bug: the slab goes with the first op that is done with it. */
static void give_under_users(struct mkv_front *front, uint32_t index) {
    struct front_resident *resident = resident_at(front, index);
    if (resident->indexed) {
        index_remove(front, index);
    }
    owners(front)[resident->slab.index] = MKV_NONE_U32;
    front->resident_units -= resident->slab_units;
    mkv_slab_free(front_slabs(front), resident->slab);
    resident->state = FRONT_RESIDENT_FREE;
}

void mkv_front_memory_leave(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    const uint32_t index = op->resident;
    struct front_resident *resident = resident_at(front, index);
    op->resident = MKV_NONE_U32;
    MKV_ASSERT(resident->users > 0);
    resident->users--;
    if (resident->users > 0) {
        if (MKV_CANARY(MKV_CANARY_SLAB_GIVEN_BY_FIRST_USER) &&
            resident->state == FRONT_RESIDENT_HELD) {
            give_under_users(front, index);
        }
        return;
    }
    MKV_ASSERT(front->resident_units_used >= resident->slab_units);
    front->resident_units_used -= resident->slab_units;
    if (!resident->indexed) {
        resident_free(front, index);
    }
}

bool mkv_front_memory_keep(struct mkv_front *front, uint32_t op_index, const uint8_t *key,
                           uint32_t key_bytes, bool unpersisted) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->has_slab);
    MKV_ASSERT(op->resident == MKV_NONE_U32);
    const uint32_t index = index_add(front, op, key, key_bytes);
    if (index == MKV_NONE_U32) {
        return false;
    }
    struct front_resident *resident = resident_at(front, index);
    slab_attach(front, index, op->slab, op->slab_units);
    resident->length = op->length;
    resident->expiry_s = front_item_at(front, op->item)->expiry_s;
    resident->root = op->root;
    resident->unpersisted = unpersisted;
    front->residents_unpersisted += unpersisted ? 1 : 0;
    queue_push(front, index, false);
    op->resident = index;
    users_add(front, resident);
    front->stats.memory_kept_puts++;
    return true;
}

void mkv_front_memory_persisted(struct mkv_front *front, uint32_t op_index, bool durable) {
    struct front_op *op = front_op_at(front, op_index);
    struct front_resident *resident = resident_at(front, op->resident);
    MKV_ASSERT(resident->unpersisted);
    resident->unpersisted = false;
    front->residents_unpersisted--;
    if (durable) {
        return;
    }
    front->stats.puts_early_lost++;
    if (resident->indexed) {
        drop(front, op->resident);
    }
}

/* ---- slabs for others ------------------------------------------------------------------------ */

/* Whether all of the run of 2^order units around a unit is free, or of residents nobody uses. */
static bool run_is_idle(struct mkv_front *front, uint32_t first, uint32_t order) {
    const uint32_t end = first + (1u << order);
    if (end > front->config.slab_unit_count) {
        return false;
    }
    for (uint32_t unit = first; unit < end;) {
        bool is_allocated = false;
        const uint32_t units = mkv_slab_run_units(front_slabs(front), unit, &is_allocated);
        const uint32_t owner = owners(front)[unit];
        if (is_allocated && (owner == MKV_NONE_U32 || resident_at(front, owner)->users > 0)) {
            return false;
        }
        unit += units;
    }
    return true;
}

static void run_take(struct mkv_front *front, uint32_t first, uint32_t order) {
    const uint32_t end = first + (1u << order);
    for (uint32_t unit = first; unit < end; unit++) {
        const uint32_t owner = owners(front)[unit];
        if (owner != MKV_NONE_U32) {
            front->stats.memory_taken++;
            drop(front, owner);
        }
    }
}

bool mkv_front_memory_reclaim(struct mkv_front *front, uint32_t order) {
    uint32_t index;
    while ((index = coldest(front)) != MKV_NONE_U32) {
        const struct front_resident *resident = resident_at(front, index);
        if (resident->slab_units >= 1u << order) {
            front->stats.memory_taken++;
            drop(front, index);
            return true;
        }
        const uint32_t first = resident->slab.index & ~((1u << order) - 1);
        if (run_is_idle(front, first, order)) {
            run_take(front, first, order);
            return true;
        }
    }
    return false;
}
