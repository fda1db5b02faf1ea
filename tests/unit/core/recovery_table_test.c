/* SPDX-License-Identifier: Apache-2.0 */
/* Every combination of the table's inputs matches exactly one row, and gives what the rule says. */
#include "core/recovery_table.h"

#include "tests/unit/core/test.h"

/* The rule in other words: a valid copy is applied; else a read error, or a later block's claim,
 * is a loss; else the tail was torn. */
static enum mkv_recovery_action expected(enum mkv_ring_copy a, enum mkv_ring_copy b, bool claim) {
    const bool a_valid = a == MKV_RING_COPY_VALID;
    const bool b_valid = b == MKV_RING_COPY_VALID;
    if (a_valid || b_valid) {
        return a_valid && b_valid ? MKV_RECOVERY_APPLY
               : a_valid          ? MKV_RECOVERY_APPLY_REPAIR_B
                                  : MKV_RECOVERY_APPLY_REPAIR_A;
    }
    const bool unread = a == MKV_RING_COPY_UNREAD || b == MKV_RING_COPY_UNREAD;
    return unread || claim ? MKV_RECOVERY_EMPTY : MKV_RECOVERY_CUT;
}

static void test_recovery_table__every_combination__matches_one_row(void **state) {
    (void)state;
    uint32_t combinations = 0;
    for (uint32_t a = 0; a < MKV_RING_COPY_COUNT; a++) {
        for (uint32_t b = 0; b < MKV_RING_COPY_COUNT; b++) {
            for (uint32_t claim = 0; claim < 2; claim++) {
                uint32_t matches = 0;
                for (uint32_t row = 0; row < MKV_RECOVERY_ROWS; row++) {
                    matches += mkv_recovery_row_matches(row, (enum mkv_ring_copy)a,
                                                        (enum mkv_ring_copy)b, claim != 0);
                }
                assert_int_equal(matches, 1);
                assert_int_equal(
                    mkv_recovery_row_action(
                        mkv_recovery_row((enum mkv_ring_copy)a, (enum mkv_ring_copy)b, claim != 0)),
                    expected((enum mkv_ring_copy)a, (enum mkv_ring_copy)b, claim != 0));
                combinations++;
            }
        }
    }
    assert_int_equal(combinations, 18);
}

static void test_recovery_table__every_row__is_reached(void **state) {
    (void)state;
    for (uint32_t row = 0; row < MKV_RECOVERY_ROWS; row++) {
        uint32_t reached = 0;
        for (uint32_t code = 0; code < 18; code++) {
            reached += mkv_recovery_row_matches(row, (enum mkv_ring_copy)(code % 3),
                                                (enum mkv_ring_copy)(code / 3 % 3), code >= 9);
        }
        assert_true(reached > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery_table__every_combination__matches_one_row),
        cmocka_unit_test(test_recovery_table__every_row__is_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
