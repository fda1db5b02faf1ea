/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with the standard headers it wants before it, and what the tests of this folder share. */
#ifndef MKV_TESTS_UNIT_SIM_TEST_H
#define MKV_TESTS_UNIT_SIM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/failure.h"
#include "sim/memory.h"

/* Runs the statement and expects that it ends the run with this oracle. */
#define EXPECT_FAILURE(expected, statement)                                                        \
    do {                                                                                           \
        struct mkv_trap expect_trap;                                                               \
        mkv_trap_set(&expect_trap);                                                                \
        if (setjmp(expect_trap.jump) == 0) {                                                       \
            statement;                                                                             \
            mkv_trap_set(NULL);                                                                    \
            fail_msg("no oracle fired at: %s", #statement);                                        \
        }                                                                                          \
        if (expect_trap.failure.oracle != (expected)) {                                            \
            fail_msg("oracle %d fired: %s", (int)expect_trap.failure.oracle,                       \
                     expect_trap.failure.text);                                                    \
        }                                                                                          \
    } while (0)

/* Memory of a test, whole and empty; the same for every test of a program. */
struct mkv_memory *test_memory(void);

#endif
