/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/set_operator.h"

#include "core/base.h"

void mkv_set_operator_says(struct mkv_set_operator *word, uint32_t kept, uint32_t lost) {
    MKV_ASSERT((kept & lost) == 0);
    MKV_ASSERT((kept | lost) < 1u << MKV_SET_OPERATOR_DRIVES_MAX);
    const uint32_t given_up_before = word->given_up;
    word->given_up |= lost;
    for (uint32_t drive = 0; drive < MKV_SET_OPERATOR_DRIVES_MAX; drive++) {
        if ((kept & given_up_before) >> drive & 1u) {
            word->given_up |= word->kept_against[drive];
        }
    }
    word->given_up &= ~kept; /* I1 */
    for (uint32_t drive = 0; drive < MKV_SET_OPERATOR_DRIVES_MAX; drive++) {
        if (word->given_up >> drive & 1u) {
            word->kept_against[drive] = kept;
        }
    }
}

void mkv_set_operator_served(struct mkv_set_operator *word, uint32_t drives) {
    word->given_up &= ~drives;
}

bool mkv_set_operator_gave_up(const struct mkv_set_operator *word, uint32_t drives) {
    return (drives & ~word->given_up) == 0;
}
