/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/guard.h"

#include "sim/failure.h"

void mkv_guard_reset(struct mkv_guard *guard) {
    guard->count = 0;
}

void mkv_guard_take(struct mkv_guard *guard, const uint8_t *memory, size_t bytes, bool writes,
                    const char *holder) {
    if (bytes == 0) {
        return;
    }
    const uint8_t *end = memory + bytes;
    for (uint32_t index = 0; index < guard->count; index++) {
        const struct mkv_guard_hold *hold = &guard->holds[index];
        if (memory < hold->end && hold->begin < end && (writes || hold->writes)) {
            mkv_fail(MKV_ORACLE_BUFFERS, "a %s names memory that a %s in flight still uses", holder,
                     hold->holder);
        }
    }
    MKV_ASSERT(guard->count < MKV_GUARD_HOLDS_MAX);
    guard->holds[guard->count++] = (struct mkv_guard_hold){memory, end, holder, writes};
}

void mkv_guard_release(struct mkv_guard *guard, const uint8_t *memory, size_t bytes, bool writes) {
    if (bytes == 0) {
        return;
    }
    for (uint32_t index = 0; index < guard->count; index++) {
        const struct mkv_guard_hold *hold = &guard->holds[index];
        if (hold->begin == memory && hold->end == memory + bytes && hold->writes == writes) {
            guard->holds[index] = guard->holds[--guard->count];
            return;
        }
    }
    MKV_ASSERT(false); /* nobody took it */
}
