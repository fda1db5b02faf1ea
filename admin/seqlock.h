/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record that one thread writes and others copy, without either waiting: the writer makes the
 * sequence odd, stores, and makes it even again; a reader that saw it odd, or another one behind
 * its copy than before it, has a torn copy and tries again.
 *
 * Invariants
 *  I1  The writer never waits, and does the same few stores however many read.
 *  I2  A reader gives up after MKV_SEQLOCK_TRIES, so it is bounded, too; a record that is written
 *      all the time may be passed over.
 *  I3  Every access is an atomic one of a word, so there is no data race.
 *
 * Not responsible for: several writers.
 */
#ifndef MKV_ADMIN_SEQLOCK_H
#define MKV_ADMIN_SEQLOCK_H

#include "core/base.h"

#define MKV_SEQLOCK_TRIES 64u

/* `word_count` words of 8 bytes. */
static inline void mkv_seqlock_store(uint64_t *sequence, uint64_t *target, const uint64_t *source,
                                     uint32_t word_count) {
    const uint64_t before = *sequence;
    __atomic_store_n(sequence, before + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (uint32_t i = 0; i < word_count; i++) {
        __atomic_store_n(&target[i], source[i], __ATOMIC_RELAXED);
    }
    __atomic_store_n(sequence, before + 2, __ATOMIC_RELEASE);
}

/* False when the writer was in the way each time, or nothing was ever written. */
static inline bool mkv_seqlock_load(const uint64_t *sequence, uint64_t *target,
                                    const uint64_t *source, uint32_t word_count) {
    for (uint32_t tries = 0; tries < MKV_SEQLOCK_TRIES; tries++) {
        const uint64_t before = __atomic_load_n(sequence, __ATOMIC_ACQUIRE);
        if (before == 0) {
            return false;
        }
        for (uint32_t i = 0; i < word_count; i++) {
            target[i] = __atomic_load_n(&source[i], __ATOMIC_RELAXED);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (before % 2 == 0 && __atomic_load_n(sequence, __ATOMIC_RELAXED) == before) {
            return true;
        }
    }
    return false;
}

#endif
