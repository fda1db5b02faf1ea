/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/clock.h"

#include <time.h>

static struct timespec read_clock(clockid_t clock) {
    struct timespec now;
    int result = clock_gettime(clock, &now);
    MKV_ASSERT(result == 0);
    MKV_ASSERT(now.tv_sec >= 0);
    return now;
}

uint64_t mkv_clock_monotonic_ns(void) {
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mkv_clock_wall_ms(void) {
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}
