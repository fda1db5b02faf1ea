/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds nothing any more: groups of extents that stay empty give their class back, and
 * classless extents are trimmed, neighbours together, one DRIVE_TRIM at a time and with a gap
 * between them.
 *
 *   empty for trim_idle_ns --EXTENT without a class, durable--> classless --DRIVE_TRIM--> trimmed
 *
 * An extent that is being trimmed can be taken by no class until the drive has answered, so a trim
 * never meets other I/O on its extents. A failed trim is counted, and is no loss; one that was
 * given up is the end of the volume, as any other operation that may yet change what the drive
 * holds.
 */
#include "core/volume_internal.h"

/* The longest trim: 1 GiB, or one extent where that is larger. */
#define TRIM_UNITS_MAX (MKV_GIB / MKV_UNIT_BYTES)
/* Between the end of a trim and the start of the next lies this share of trim_idle_ns. */
#define TRIM_GAP_SHARE 100u
/* Extents that a step looks at. */
#define TRIM_LOOKS_MAX 256u

/* One empty group gives its class back. */
static void give_back(struct mkv_volume *volume, struct mkv_extent extent) {
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_EXTENT);
    struct op *op = &volume_ops(volume)[index];
    mkv_slot_table_plan_give_back(volume_table(volume), extent, &op->extent);
    op->slot_units = 0; /* for no class */
    volume->extent_ops[volume->extent_op_count++] = 0;
    op->state = OP_READY;
    mkv_volume_list_push(volume, &volume->ready, index);
}

static bool is_giving_back(const struct mkv_volume *volume) {
    for (uint32_t index = 0; index < volume->extent_op_count; index++) {
        if (volume->extent_ops[index] == 0) {
            return true;
        }
    }
    return false;
}

static void look_for_idle(struct mkv_volume *volume) {
    struct trim *trim = &volume->trim;
    struct mkv_slot_table *table = volume_table(volume);
    struct mkv_extent extent;
    if (table->empty_count == 0 || is_giving_back(volume) ||
        volume->extent_op_count + 1 >= EXTENT_OPS_MAX) {
        return;
    }
    if (mkv_slot_table_next_idle(table, &trim->idle_cursor, TRIM_LOOKS_MAX,
                                 volume->config.trim_idle_ns, &extent)) {
        give_back(volume, extent);
    } else if (trim->idle_cursor >= table->geometry.extent_count) {
        trim->idle_cursor = 0;
    }
}

static void trim_start(struct mkv_volume *volume) {
    struct trim *trim = &volume->trim;
    const struct mkv_geometry *geometry = &volume->config.geometry;
    mkv_slot_table_trim_begin(volume_table(volume), trim->first, trim->count);
    trim->in_flight = true;
    trim->is_slow = false;
    (void)mkv_volume_internal_io(volume, IO_TRIM, MKV_EFFECT_DRIVE_TRIM,
                                 mkv_geometry_extent(geometry, trim->first),
                                 trim->count * geometry->extent_units, 0);
}

void mkv_volume_trim_done(struct mkv_volume *volume, const struct mkv_drive_done *done) {
    struct trim *trim = &volume->trim;
    const struct mkv_geometry *geometry = &volume->config.geometry;
    MKV_ASSERT(trim->in_flight);
    trim->in_flight = false;
    trim->due_ns = volume->now_ns + volume->config.trim_idle_ns / TRIM_GAP_SHARE;
    volume->stats.trims_total++;
    volume->stats.trim_extents_total += trim->count;
    const uint64_t lba = mkv_geometry_extent(geometry, trim->first).unit;
    mkv_slot_table_trim_end(volume_table(volume), trim->first, trim->count);
    if (done->result == MKV_IO_OK) {
        volume->stats.trim_bytes_total +=
            (uint64_t)trim->count * geometry->extent_units * MKV_UNIT_BYTES;
    } else {
        mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_TRIM, done->result, lba);
    }
    /* One that was given up may have its effect later, on what puts have written there by then. */
    const bool may_be_late =
        done->result == MKV_IO_TIMEOUT && !MKV_CANARY(MKV_CANARY_LATE_TRIM_IGNORED);
    if (mkv_io_result_is_final(done->result) || may_be_late) {
        mkv_volume_fail(volume, done->result, lba);
        return;
    }
    mkv_volume_extent_applied(volume); /* a class may have waited for these extents */
}

bool mkv_volume_trim_is_awaited(const struct mkv_volume *volume) {
    return volume->trim.in_flight && !volume->trim.is_slow;
}

/* Puts that wait for the extents of a trim do so no longer than for any other operation. */
static void look_at_age(struct mkv_volume *volume) {
    const uint64_t stall_ns = volume->config.stall_ns;
    if (mkv_volume_trim_is_awaited(volume) && stall_ns != 0 &&
        volume->now_ns - volume->io[IO_TRIM].issued_ns >= stall_ns) {
        volume->trim.is_slow = true;
        mkv_volume_extent_applied(volume);
    }
}

void mkv_volume_trim_pump(struct mkv_volume *volume) {
    struct trim *trim = &volume->trim;
    struct mkv_slot_table *table = volume_table(volume);
    if (!volume->config.trim) {
        return;
    }
    look_at_age(volume);
    look_for_idle(volume);
    if (trim->in_flight || table->untrimmed_count == 0 || volume->now_ns < trim->due_ns) {
        return;
    }
    const uint32_t extent_units = volume->config.geometry.extent_units;
    const uint32_t count_max = (uint32_t)mkv_max_u64(1, TRIM_UNITS_MAX / extent_units);
    if (mkv_slot_table_next_untrimmed(table, &trim->cursor, TRIM_LOOKS_MAX, count_max, &trim->first,
                                      &trim->count)) {
        trim_start(volume);
    } else if (trim->cursor >= table->geometry.extent_count) {
        trim->cursor = 0;
    }
}

uint64_t mkv_volume_trims_pending(const struct mkv_volume *volume) {
    return volume_table(volume)->untrimmed_count + (volume->trim.in_flight ? 1 : 0);
}
