/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/random.h"

#define GOLDEN_GAMMA 0x9e3779b97f4a7c15ull

uint64_t mkv_random_mix(uint64_t value) {
    value ^= value >> 30;
    value *= 0xbf58476d1ce4e5b9ull;
    value ^= value >> 27;
    value *= 0x94d049bb133111ebull;
    value ^= value >> 31;
    return value;
}

void mkv_random_seed(struct mkv_random *random, uint64_t seed, enum mkv_concern concern) {
    MKV_ASSERT((unsigned)concern < MKV_CONCERN_COUNT);
    random->decisions = NULL;
    /* Mixed before the concern is added, so that seed 1 of one is not seed 0 of the next. */
    uint64_t counter = mkv_random_mix(seed + GOLDEN_GAMMA) ^ mkv_random_mix((uint64_t)concern + 1);
    for (unsigned word = 0; word < 4; word++) {
        counter += GOLDEN_GAMMA;
        random->state[word] = mkv_random_mix(counter);
    }
    /* All zeros is the one state the generator never leaves. */
    if ((random->state[0] | random->state[1] | random->state[2] | random->state[3]) == 0) {
        random->state[0] = GOLDEN_GAMMA;
    }
}

uint64_t mkv_decisions_take(struct mkv_decisions *decisions, uint32_t count) {
    uint64_t value = 0;
    MKV_ASSERT(count <= 8);
    for (uint32_t byte = 0; byte < count && !mkv_decisions_exhausted(decisions); byte++) {
        value |= (uint64_t)decisions->bytes[decisions->taken++] << 8 * byte;
    }
    return value;
}
