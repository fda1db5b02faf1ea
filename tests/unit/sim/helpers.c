/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/sim/test.h"

#define MEMORY_BYTES (256ull * MKV_MIB)

struct mkv_memory *test_memory(void) {
    static struct mkv_memory memory;
    if (memory.bytes == NULL) {
        assert_true(mkv_memory_create(&memory, MEMORY_BYTES));
    }
    mkv_memory_reset(&memory);
    return &memory;
}
