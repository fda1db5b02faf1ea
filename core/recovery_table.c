/* SPDX-License-Identifier: Apache-2.0 */
#include "core/recovery_table.h"

/* Sets of values, one bit each. */
#define VALID (1u << MKV_RING_COPY_VALID)
#define ABSENT (1u << MKV_RING_COPY_ABSENT)
#define UNREAD (1u << MKV_RING_COPY_UNREAD)
#define NO 1u
#define YES 2u
#define ANY (NO | YES)

struct row {
    uint8_t a;
    uint8_t b;
    uint8_t claim;
    enum mkv_recovery_action action;
};

static const struct row rows[MKV_RECOVERY_ROWS] = {
    {VALID, VALID, ANY, MKV_RECOVERY_APPLY},
    {VALID, ABSENT | UNREAD, ANY, MKV_RECOVERY_APPLY_REPAIR_B},
    {ABSENT | UNREAD, VALID, ANY, MKV_RECOVERY_APPLY_REPAIR_A},
    {ABSENT, ABSENT, NO, MKV_RECOVERY_CUT},
    {ABSENT, ABSENT, YES, MKV_RECOVERY_EMPTY},
    {UNREAD, ABSENT | UNREAD, ANY, MKV_RECOVERY_EMPTY},
    {ABSENT, UNREAD, ANY, MKV_RECOVERY_EMPTY},
};

bool mkv_recovery_row_matches(uint32_t row, enum mkv_ring_copy a, enum mkv_ring_copy b,
                              bool flushed_claim) {
    MKV_ASSERT(row < MKV_RECOVERY_ROWS);
    return (rows[row].a & (1u << a)) != 0 && (rows[row].b & (1u << b)) != 0 &&
           (rows[row].claim & (flushed_claim ? YES : NO)) != 0;
}

uint32_t mkv_recovery_row(enum mkv_ring_copy a, enum mkv_ring_copy b, bool flushed_claim) {
    uint32_t row = 0;
    while (!mkv_recovery_row_matches(row, a, b, flushed_claim)) {
        row++; /* the rows cover everything */
    }
    return row;
}

enum mkv_recovery_action mkv_recovery_row_action(uint32_t row) {
    MKV_ASSERT(row < MKV_RECOVERY_ROWS);
    return rows[row].action;
}
