/* SPDX-License-Identifier: Apache-2.0 */
/* Extents that are given to classes whose slots are used up: one change of a class at a time. */
#include "core/volume_internal.h"

/* Whether an extent for this slot size is on its way. */
static bool extent_is_coming(const struct mkv_volume *volume, uint32_t slot_units) {
    for (uint32_t index = 0; index < volume->extent_op_count; index++) {
        if (volume->extent_ops[index] == slot_units) {
            return true;
        }
    }
    return false;
}

void mkv_volume_extent_op_ended(struct mkv_volume *volume, uint32_t slot_units) {
    uint32_t index = 0;
    while (volume->extent_ops[index] != slot_units) {
        index++;
        MKV_ASSERT(index < volume->extent_op_count);
    }
    volume->extent_op_count--;
    volume->extent_ops[index] = volume->extent_ops[volume->extent_op_count];
}

bool mkv_volume_extent_op_room(const struct mkv_volume *volume) {
    return volume->extent_op_count < EXTENT_OPS_MAX;
}

void mkv_volume_extent_op_start(struct mkv_volume *volume, const struct mkv_record_extent *record,
                                uint32_t slot_units) {
    MKV_ASSERT(mkv_volume_extent_op_room(volume));
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_EXTENT);
    volume_ops(volume)[index].extent = *record;
    volume_ops(volume)[index].slot_units = slot_units;
    volume->extent_ops[volume->extent_op_count++] = slot_units;
    volume_ops(volume)[index].state = OP_READY;
    mkv_volume_list_push(volume, &volume->ready, index);
}

bool mkv_volume_extent_request(struct mkv_volume *volume, uint32_t slot_units) {
    if (extent_is_coming(volume, slot_units)) {
        return true;
    }
    if (!mkv_volume_extent_op_room(volume)) {
        return true; /* one of those that come wakes the waiter, which then asks again */
    }
    struct mkv_record_extent record;
    if (!mkv_slot_table_plan_extent(volume_table(volume), slot_units, &record)) {
        /* Its extents come free when the drive answers. */
        return mkv_volume_trim_is_awaited(volume);
    }
    mkv_volume_extent_op_start(volume, &record, slot_units);
    return true;
}
