/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock of a tag: one mutation is past it at a time (I7), the others wait behind it in order,
 * and there are never more than operations. Two exceptions to the order: a put that is slow to
 * bring its bytes is overtaken, and one that waits for room lets those go first that may have to
 * make it.
 */
#include "core/volume_internal.h"

/* Waiting mutations are looked at so many times within lock_yield_ns. */
#define LOOKS_OF_YIELD 4u

static uint32_t bucket_index(uint32_t tenant, uint64_t tag) {
    return (uint32_t)((tag ^ tenant) % LOCK_BUCKETS);
}

static uint32_t *lock_bucket(struct mkv_volume *volume, uint32_t tenant, uint64_t tag) {
    return &volume->lock_heads[bucket_index(tenant, tag)];
}

void mkv_volume_lock_take(struct mkv_volume *volume, uint32_t index) {
    struct op *ops = volume_ops(volume);
    struct op *op = &ops[index];
    uint32_t *head = lock_bucket(volume, op->tenant, op->tag);
    const bool ignored = MKV_CANARY(MKV_CANARY_LOCK_NOT_TAKEN);
    for (uint32_t other = ignored ? MKV_NONE_U32 : *head; other != MKV_NONE_U32;
         other = ops[other].lock_next) {
        if (ops[other].tag == op->tag && ops[other].tenant == op->tenant) {
            op->state = OP_LOCK_WAIT;
            mkv_volume_list_push(volume, &ops[other].lock_waiters, index);
            volume->lock_waiting++;
            return;
        }
    }
    op->past_lock = true;
    op->lock_next = *head;
    *head = index;
    mkv_volume_mutation_start(volume, index);
}

uint32_t mkv_volume_lock_pass_on(struct mkv_volume *volume, uint32_t index) {
    struct op *ops = volume_ops(volume);
    struct op *op = &ops[index];
    MKV_ASSERT(op->past_lock);
    uint32_t *link = lock_bucket(volume, op->tenant, op->tag);
    while (*link != index) {
        MKV_ASSERT(*link != MKV_NONE_U32);
        link = &ops[*link].lock_next;
    }
    *link = op->lock_next;
    op->past_lock = false;
    if (op->lock_waiters.count == 0) {
        return MKV_NONE_U32;
    }
    const uint32_t next = mkv_volume_list_pop(volume, &op->lock_waiters);
    MKV_ASSERT(volume->lock_waiting > 0);
    volume->lock_waiting--;
    uint32_t *head = lock_bucket(volume, op->tenant, op->tag);
    ops[next].lock_waiters = op->lock_waiters;
    op->lock_waiters = (struct op_list){MKV_NONE_U32, MKV_NONE_U32, 0};
    ops[next].past_lock = true;
    ops[next].lock_next = *head;
    *head = next;
    return next;
}

uint32_t mkv_volume_lock_holder(const struct mkv_volume *volume, uint32_t tenant, uint64_t tag) {
    const struct op *ops = volume_ops(volume);
    uint32_t index = volume->lock_heads[bucket_index(tenant, tag)];
    while (index != MKV_NONE_U32 && (ops[index].tag != tag || ops[index].tenant != tenant)) {
        index = ops[index].lock_next;
    }
    return index;
}

/* A put that has its slot and waits for its client's bytes lets the mutations behind it go first
 * when they have waited for too long. It looks again, under the lock, when its data is durable. */
static void lock_yield(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(op->state == OP_RESERVED && op->past_lock);
    op->overtaken = true;
    op->has_old = false;
    volume->stats.puts_overtaken_total++;
    mkv_volume_mutation_start(volume, mkv_volume_lock_pass_on(volume, index));
}

void mkv_volume_yield_pump(struct mkv_volume *volume) {
    const uint64_t yield_ns = volume->config.lock_yield_ns;
    if (yield_ns == 0 || volume->lock_waiting == 0 || volume->now_ns < volume->yield_look_ns) {
        return;
    }
    volume->yield_look_ns = volume->now_ns + yield_ns / LOOKS_OF_YIELD;
    for (uint32_t index = 0; index < volume->op_total; index++) {
        const struct op *op = &volume_ops(volume)[index];
        if (op->state == OP_RESERVED && op->past_lock && op->lock_waiters.count > 0 &&
            volume->now_ns - op->reserved_ns >= yield_ns) {
            lock_yield(volume, index);
        }
    }
}

/* A put that waits for room, or is about to, steps behind the first of those that wait for it and
 * may have to end before there is room: a drop, which the emptying of an extent may wait for, or an
 * overtaken put, whose slot may be in that extent. Else each would wait for the other. The put has
 * done nothing yet; past the lock again, it looks and asks anew. */
bool mkv_volume_lock_step_back(struct mkv_volume *volume, uint32_t index) {
    struct op *ops = volume_ops(volume);
    uint32_t first = ops[index].lock_waiters.head;
    while (first != MKV_NONE_U32 && !ops[first].overtaken && ops[first].kind != OP_KIND_DROP) {
        first = ops[first].next;
    }
    if (first == MKV_NONE_U32) {
        return false;
    }
    const struct op_list none = {MKV_NONE_U32, MKV_NONE_U32, 0};
    struct op_list others = none;
    while (ops[index].lock_waiters.count > 0) {
        const uint32_t waiter = mkv_volume_list_pop(volume, &ops[index].lock_waiters);
        if (waiter != first) {
            mkv_volume_list_push(volume, &others, waiter);
        }
    }
    struct op_list queue = none;
    mkv_volume_list_push(volume, &queue, first);
    mkv_volume_list_push(volume, &queue, index);
    while (others.count > 0) {
        mkv_volume_list_push(volume, &queue, mkv_volume_list_pop(volume, &others));
    }
    ops[index].lock_waiters = queue;
    ops[index].state = OP_LOCK_WAIT;
    ops[index].has_old = false;
    ops[index].candidate = 0;
    mkv_volume_evict_wait_ended(volume, index);
    volume->lock_waiting++;
    mkv_volume_mutation_start(volume, mkv_volume_lock_pass_on(volume, index));
    return true;
}
