/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recovery does at a position of the journal ring, as a table: every combination of its inputs
 * matches exactly one row. The test enumerates them all.
 *
 *   copy A    copy B    a later block states that    action
 *                       this one was flushed
 *   valid     valid     -                            APPLY
 *   valid     other     -                            APPLY_REPAIR_B
 *   other     valid     -                            APPLY_REPAIR_A
 *   absent    absent    no                           CUT       never durable: a torn tail
 *   absent    absent    yes                          EMPTY     durable once, and lost
 *   unread    any *     any                          EMPTY     a read error at the tail is a loss
 *   any *     unread    any                          EMPTY     (* not valid)
 *
 *   valid: checksum, drive, position, sequence and chain agree. absent: it was read and is
 * something else. unread: the drive could not read it. other: absent or unread.
 *
 * Invariants
 *  I1  A block whose loss could hide a DROP is never cut off in silence.
 *
 * Not responsible for: finding out the inputs (volume_recover.c).
 */
#ifndef MKV_CORE_RECOVERY_TABLE_H
#define MKV_CORE_RECOVERY_TABLE_H

#include "core/base.h"

enum mkv_ring_copy {
    MKV_RING_COPY_VALID = 0,
    MKV_RING_COPY_ABSENT = 1,
    MKV_RING_COPY_UNREAD = 2,
};
#define MKV_RING_COPY_COUNT 3u

enum mkv_recovery_action {
    MKV_RECOVERY_APPLY = 1,
    MKV_RECOVERY_APPLY_REPAIR_A,
    MKV_RECOVERY_APPLY_REPAIR_B,
    MKV_RECOVERY_CUT,
    MKV_RECOVERY_EMPTY,
};

#define MKV_RECOVERY_ROWS 7u
/* The row that a combination matches, and what it says. */
uint32_t mkv_recovery_row(enum mkv_ring_copy a, enum mkv_ring_copy b, bool flushed_claim);
enum mkv_recovery_action mkv_recovery_row_action(uint32_t row);
/* Whether a row matches a combination; for the test. */
bool mkv_recovery_row_matches(uint32_t row, enum mkv_ring_copy a, enum mkv_ring_copy b,
                              bool flushed_claim);

#endif
