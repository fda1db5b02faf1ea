/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/spin.h"

/* How much less is polled for after each wait for which less would have done. */
#define LESS_PART 64u

void mkv_spin_init(struct mkv_spin *spin, uint64_t limit_ns) {
    *spin = (struct mkv_spin){.limit_ns = limit_ns, .spin_ns = limit_ns};
}

uint64_t mkv_spin_end_ns(struct mkv_spin *spin, uint64_t now_ns) {
    if (spin->is_waiting) {
        return spin->end_ns;
    }
    uint64_t spin_ns = spin->spin_ns;
    if (spin_ns == 0) {
        spin->unpolled_count++;
    }
    if (spin->unpolled_count == MKV_SPIN_TRIAL_EVERY) {
        spin->unpolled_count = 0;
        spin_ns = spin->limit_ns;
    }
    MKV_ASSERT(spin_ns <= spin->limit_ns);
    spin->is_waiting = true;
    spin->since_ns = now_ns;
    spin->end_ns = now_ns + spin_ns;
    return spin->end_ns;
}

void mkv_spin_came(struct mkv_spin *spin, uint64_t now_ns) {
    if (!spin->is_waiting) {
        return;
    }
    const uint64_t waited_ns = now_ns - mkv_min_u64(spin->since_ns, now_ns);
    spin->is_waiting = false;
    if (waited_ns <= spin->limit_ns) {
        const uint64_t kept_ns = spin->spin_ns - spin->spin_ns / LESS_PART;
        const uint64_t wanted_ns =
            mkv_max_u64(mkv_max_u64(2 * waited_ns, kept_ns), MKV_SPIN_NS_MIN);
        spin->spin_ns = mkv_min_u64(wanted_ns, spin->limit_ns);
        spin->unpolled_count = 0;
    } else {
        spin->spin_ns = spin->spin_ns / 2 >= MKV_SPIN_NS_MIN ? spin->spin_ns / 2 : 0;
    }
}

void mkv_spin_restart(struct mkv_spin *spin) {
    spin->is_waiting = false;
}
