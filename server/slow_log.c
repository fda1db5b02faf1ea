/* SPDX-License-Identifier: Apache-2.0 */
#include "server/slow_log.h"

#include <stdlib.h>
#include <string.h>

#include "admin/seqlock.h"

#define SLOW_WORDS ((uint32_t)((sizeof(struct mkv_admin_slow) + 7) / 8))

union words {
    struct mkv_admin_slow slow;
    uint64_t words[SLOW_WORDS];
};

struct place {
    uint64_t sequence;
    union words content;
};

struct mkv_slow_log {
    uint64_t added; /* ever */
    struct place places[MKV_ADMIN_SLOW_MAX];
};

struct mkv_slow_log *mkv_slow_log_create(void) {
    return calloc(1, sizeof(struct mkv_slow_log));
}

void mkv_slow_log_destroy(struct mkv_slow_log *log) {
    free(log);
}

void mkv_slow_log_add(struct mkv_slow_log *log, const struct mkv_admin_slow *slow) {
    struct place *place = &log->places[log->added % MKV_ADMIN_SLOW_MAX];
    const union words source = {.slow = *slow};
    mkv_seqlock_store(&place->sequence, place->content.words, source.words, SLOW_WORDS);
    __atomic_store_n(&log->added, log->added + 1, __ATOMIC_RELEASE);
}

uint32_t mkv_slow_log_copy(const struct mkv_slow_log *log, struct mkv_admin_slow *out,
                           uint32_t max) {
    const uint64_t added = __atomic_load_n(&log->added, __ATOMIC_ACQUIRE);
    const uint64_t there = mkv_min_u64(added, MKV_ADMIN_SLOW_MAX);
    uint32_t count = 0;
    for (uint64_t age = 0; age < there && count < max; age++) {
        const struct place *place = &log->places[(added - 1 - age) % MKV_ADMIN_SLOW_MAX];
        union words copy;
        if (mkv_seqlock_load(&place->sequence, copy.words, place->content.words, SLOW_WORDS)) {
            out[count++] = copy.slow;
        }
    }
    return count;
}
