/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/random.h"

uint64_t mkv_decisions_take(struct mkv_decisions *decisions, uint32_t count) {
    uint64_t value = 0;
    MKV_ASSERT(count <= 8);
    for (uint32_t byte = 0; byte < count && !mkv_decisions_exhausted(decisions); byte++) {
        value |= (uint64_t)decisions->bytes[decisions->taken++] << 8 * byte;
    }
    return value;
}

uint32_t mkv_decisions_below(struct mkv_decisions *decisions, uint32_t bound) {
    const uint32_t bytes = bound <= 1 ? 0 : bound <= 0x100 ? 1 : bound <= 0x10000 ? 2 : 4;
    MKV_ASSERT(bound > 0);
    return (uint32_t)(mkv_decisions_take(decisions, bytes) % bound);
}
