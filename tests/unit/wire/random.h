/* SPDX-License-Identifier: Apache-2.0 */
/* Repeatable random numbers for tests: splitmix64, by Vigna. */
#ifndef MKV_TESTS_WIRE_RANDOM_H
#define MKV_TESTS_WIRE_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15ull;
    uint64_t value = *state;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
}

#endif
