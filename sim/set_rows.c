/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows of the drive set's decision a run has met. */
#include "sim/set_world.h"

const char *mkv_set_row_name(enum mkv_set_row row) {
    static const char *const names[MKV_SET_ROW_COUNT] = {
        [MKV_SET_ROW_KEPT] = "kept",
        [MKV_SET_ROW_RAISED] = "raised",
        [MKV_SET_ROW_JOINS_EMPTY] = "joins-empty",
        [MKV_SET_ROW_NEW_STORE] = "new-store",
        [MKV_SET_ROW_FIRST_START_GOES_ON] = "first-start-goes-on",
        [MKV_SET_ROW_NEW_DRIVE_JOINS] = "new-drive-joins",
        [MKV_SET_ROW_LOST_MISSING] = "lost-missing",
        [MKV_SET_ROW_LOST_OF_TWO_SETS] = "lost-of-two-sets",
        [MKV_SET_ROW_INCOMPLETE] = "incomplete",
        [MKV_SET_ROW_FOREIGN] = "foreign",
        [MKV_SET_ROW_TWINS] = "twins",
        [MKV_SET_ROW_TORN] = "torn",
        [MKV_SET_ROW_NO_MEMBER] = "no-member",
        [MKV_SET_ROW_TWO_SETS] = "two-sets",
        [MKV_SET_ROW_MISSING] = "missing",
        [MKV_SET_ROW_TAKEN_OUT] = "taken-out",
        [MKV_SET_ROW_BROUGHT_BACK] = "brought-back",
    };
    return names[row];
}

static enum mkv_set_row row_of_refusal(enum mkv_drive_set_refusal refusal) {
    switch (refusal) {
    case MKV_DRIVE_SET_INCOMPLETE:
        return MKV_SET_ROW_INCOMPLETE;
    case MKV_DRIVE_SET_FOREIGN:
        return MKV_SET_ROW_FOREIGN;
    case MKV_DRIVE_SET_TWINS:
        return MKV_SET_ROW_TWINS;
    case MKV_DRIVE_SET_TORN:
        return MKV_SET_ROW_TORN;
    case MKV_DRIVE_SET_NO_MEMBER:
        return MKV_SET_ROW_NO_MEMBER;
    case MKV_DRIVE_SET_TWO_SETS:
        return MKV_SET_ROW_TWO_SETS;
    case MKV_DRIVE_SET_MISSING:
        return MKV_SET_ROW_MISSING;
    case MKV_DRIVE_SET_ACCEPTED:
        break;
    }
    MKV_ASSERT(false);
    return MKV_SET_ROW_COUNT;
}

void mkv_set_rows_count(const struct mkv_drive_set_plan *plan, uint32_t drive_count,
                        struct mkv_world_report *report) {
    if (plan->refusal != MKV_DRIVE_SET_ACCEPTED) {
        report->set_rows[row_of_refusal(plan->refusal)]++;
        return;
    }
    bool kept = false;
    for (uint32_t drive = 0; drive < drive_count; drive++) {
        kept = kept || plan->actions[drive] == MKV_DRIVE_KEEP;
    }
    for (uint32_t drive = 0; drive < drive_count; drive++) {
        const bool named =
            mkv_drive_set_find(&plan->newest, plan->drive_uuids[drive]) != MKV_NONE_U32;
        switch (plan->actions[drive]) {
        case MKV_DRIVE_KEEP:
            report->set_rows[MKV_SET_ROW_KEPT]++;
            break;
        case MKV_DRIVE_KEEP_AND_RAISE:
            report->set_rows[MKV_SET_ROW_RAISED]++;
            break;
        case MKV_DRIVE_JOIN_EMPTY:
            report->set_rows[MKV_SET_ROW_JOINS_EMPTY]++;
            break;
        case MKV_DRIVE_FORMAT:
            report->set_rows[!named ? MKV_SET_ROW_NEW_DRIVE_JOINS
                             : kept ? MKV_SET_ROW_FIRST_START_GOES_ON
                                    : MKV_SET_ROW_NEW_STORE]++;
            break;
        case MKV_DRIVE_ABSENT:
        case MKV_DRIVE_FOREIGN:
            break;
        }
    }
}
