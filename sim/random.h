/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's randomness: one seed, split by concern, so that a change of what the workload
 * draws leaves the order of the drive's completions as it was.
 *
 * The generator is xoshiro256** of Blackman and Vigna (2018); its four words come from SplitMix64
 * over the seed and the concern, as its authors advise.
 *
 * Or somebody else decides: then numbers come from bytes, one after another for all concerns, and
 * are 0 once these are used up. 0 is always the benign decision: nothing unusual happens, nothing
 * takes long.
 *
 * Invariants
 *  I1  The same seed and concern give the same numbers on every machine and compiler.
 *  I2  The numbers of one concern do not depend on how many another one has drawn, unless they come
 *      from bytes.
 *
 * Not responsible for: entropy. Nothing here is secret or unpredictable.
 */
#ifndef MKV_SIM_RANDOM_H
#define MKV_SIM_RANDOM_H

#include "core/base.h"

enum mkv_concern {
    MKV_CONCERN_SHAPE = 0, /* what the run is: geometry, rates, modes */
    MKV_CONCERN_WORKLOAD,  /* keys, operations, payloads */
    MKV_CONCERN_DRIVE,     /* delays, what a crash leaves */
    MKV_CONCERN_FABRIC,    /* delays and breaks of connections */
    MKV_CONCERN_SCHEDULE,  /* when it crashes, memory between lives */
    MKV_CONCERN_FAULTS,    /* which operations the drive's faults strike, and where */
};
#define MKV_CONCERN_COUNT 6u

struct mkv_decisions {
    const uint8_t *bytes;
    size_t count;
    size_t taken;
};

struct mkv_random {
    uint64_t state[4];
    struct mkv_decisions *decisions; /* NULL: the generator decides */
};

/* The next so many bytes as a number, little end first; bytes that are not there are 0. */
uint64_t mkv_decisions_take(struct mkv_decisions *decisions, uint32_t count);
static inline bool mkv_decisions_exhausted(const struct mkv_decisions *decisions) {
    return decisions->taken >= decisions->count;
}
/* What mkv_random_below gives where bytes decide: of no more bytes than the bound needs, so that
 * each of them matters. */
uint32_t mkv_decisions_below(struct mkv_decisions *decisions, uint32_t bound);

/* A well-mixed function of one word, for numbers that belong to a thing and not to a moment. */
static inline uint64_t mkv_random_mix(uint64_t value) {
    value ^= value >> 30;
    value *= 0xbf58476d1ce4e5b9ull;
    value ^= value >> 27;
    value *= 0x94d049bb133111ebull;
    value ^= value >> 31;
    return value;
}

/* The step of the counter that makes a state of a seed. */
#define MKV_RANDOM_GAMMA 0x9e3779b97f4a7c15ull

static inline uint64_t mkv_random_counter(uint64_t seed, enum mkv_concern concern) {
    MKV_ASSERT((unsigned)concern < MKV_CONCERN_COUNT);
    /* Mixed before the concern is added, so that seed 1 of one is not seed 0 of the next. */
    return mkv_random_mix(seed + MKV_RANDOM_GAMMA) ^ mkv_random_mix((uint64_t)concern + 1);
}

static inline void mkv_random_seed(struct mkv_random *random, uint64_t seed,
                                   enum mkv_concern concern) {
    uint64_t counter = mkv_random_counter(seed, concern);
    random->decisions = NULL;
    for (unsigned word = 0; word < 4; word++) {
        counter += MKV_RANDOM_GAMMA;
        random->state[word] = mkv_random_mix(counter);
    }
    /* All zeros is the one state the generator never leaves. */
    if ((random->state[0] | random->state[1] | random->state[2] | random->state[3]) == 0) {
        random->state[0] = MKV_RANDOM_GAMMA;
    }
}

static inline uint64_t mkv_random_rotate(uint64_t value, unsigned bits) {
    return (value << bits) | (value >> (64 - bits));
}

static inline uint64_t mkv_random_scramble(uint64_t word) {
    return mkv_random_rotate(word * 5, 7) * 9;
}

static inline uint64_t mkv_random_next(struct mkv_random *random) {
    if (random->decisions != NULL) {
        return mkv_decisions_take(random->decisions, 8);
    }
    uint64_t *state = random->state;
    const uint64_t result = mkv_random_scramble(state[1]);
    const uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = mkv_random_rotate(state[3], 45);
    return result;
}

/* The first two numbers of the generator that this seed makes, without making it. */
static inline void mkv_random_first_two(uint64_t seed, enum mkv_concern concern,
                                        uint64_t numbers[2]) {
    const uint64_t counter = mkv_random_counter(seed, concern);
    const uint64_t word_0 = mkv_random_mix(counter + MKV_RANDOM_GAMMA);
    const uint64_t word_1 = mkv_random_mix(counter + 2 * MKV_RANDOM_GAMMA);
    const uint64_t word_2 = mkv_random_mix(counter + 3 * MKV_RANDOM_GAMMA);
    numbers[0] = mkv_random_scramble(word_1);
    numbers[1] = mkv_random_scramble(word_1 ^ word_2 ^ word_0);
}

static inline uint32_t mkv_random_scale(uint64_t number, uint32_t bound) {
    MKV_ASSERT(bound > 0);
    return (uint32_t)(((number >> 32) * bound) >> 32);
}

/* 0 ... bound - 1. The bias of the multiplication is below 2^-32 and of no matter here. */
static inline uint32_t mkv_random_below(struct mkv_random *random, uint32_t bound) {
    if (random->decisions != NULL) {
        return mkv_decisions_below(random->decisions, bound);
    }
    return mkv_random_scale(mkv_random_next(random), bound);
}

/* low ... high. */
static inline uint32_t mkv_random_between(struct mkv_random *random, uint32_t low, uint32_t high) {
    MKV_ASSERT(low <= high);
    return low + mkv_random_below(random, high - low + 1);
}

static inline bool mkv_random_chance(struct mkv_random *random, uint32_t part, uint32_t whole) {
    const uint32_t draw = mkv_random_below(random, whole);
    return (random->decisions != NULL ? whole - 1 - draw : draw) < part;
}

#endif
