/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/diversity.h"

#define THOUSANDTHS 1000u

const char *mkv_diversity_name(enum mkv_input_figure figure) {
    static const char *const names[MKV_INPUTS_COUNT] = {
        [MKV_INPUTS_READS] = "reads",
        [MKV_INPUTS_PUTS] = "puts",
        [MKV_INPUTS_REPLACES] = "replaces",
        [MKV_INPUTS_DELETES] = "deletes",
        [MKV_INPUTS_PURGES] = "purges",
        [MKV_INPUTS_EXPIRES] = "expires",
        [MKV_INPUTS_REUSES] = "key_reuses",
        [MKV_INPUTS_REPEATS] = "versions_repeated",
        [MKV_INPUTS_OVERLAPS] = "overlaps",
        [MKV_INPUTS_PLAIN] = "exists_plain",
        [MKV_INPUTS_IF_ABSENT] = "puts_if_absent",
        [MKV_INPUTS_IF_PRESENT] = "puts_if_present",
        [MKV_INPUTS_ROOTS_LATER] = "puts_root_later",
        [MKV_INPUTS_DEDUPLICATED] = "puts_deduplicated",
        [MKV_INPUTS_CHECKPOINTS] = "checkpoints",
        [MKV_INPUTS_RING_WRAPS] = "ring_wraps",
        [MKV_INPUTS_EVICTIONS] = "evictions",
        [MKV_INPUTS_EXTENTS_EMPTIED] = "extents_emptied",
        [MKV_INPUTS_TRIMS] = "trims",
        [MKV_INPUTS_REQUESTS_DIRECT] = "requests_direct",
        [MKV_INPUTS_REQUESTS_WHOLE] = "requests_whole",
        [MKV_INPUTS_REQUESTS_SPLIT] = "requests_split",
        [MKV_INPUTS_PARTS_REFUSED] = "parts_refused",
        [MKV_INPUTS_EFFECTS_DROPPED] = "effects_dropped",
        [MKV_INPUTS_TRANSFERS_FAILED] = "transfers_failed",
        [MKV_INPUTS_SEGMENTS_ABROAD] = "segments_abroad",
        [MKV_INPUTS_RECOVERY_ROWS] = "recovery_both_valid",
        [MKV_INPUTS_RECOVERY_ROWS + 1] = "recovery_b_mended",
        [MKV_INPUTS_RECOVERY_ROWS + 2] = "recovery_a_mended",
        [MKV_INPUTS_RECOVERY_ROWS + 3] = "recovery_torn_tail",
        [MKV_INPUTS_RECOVERY_ROWS + 4] = "recovery_flushed_and_lost",
        [MKV_INPUTS_RECOVERY_ROWS + 5] = "recovery_a_unread",
        [MKV_INPUTS_RECOVERY_ROWS + 6] = "recovery_b_unread",
    };
    return names[figure];
}

void mkv_diversity_of(struct mkv_diversity *diversity, const struct mkv_volume_stats *stats) {
    uint64_t *figures = diversity->figures;
    figures[MKV_INPUTS_DEDUPLICATED] += stats->puts_deduplicated_total;
    figures[MKV_INPUTS_CHECKPOINTS] += stats->checkpoints_total;
    figures[MKV_INPUTS_EVICTIONS] += stats->evictions_total;
    figures[MKV_INPUTS_EXTENTS_EMPTIED] += stats->extents_emptied_total;
    figures[MKV_INPUTS_TRIMS] += stats->trims_total;
    for (uint32_t row = 0; row < MKV_RECOVERY_ROWS; row++) {
        figures[MKV_INPUTS_RECOVERY_ROWS + row] += stats->recovery_rows[row];
    }
    if (stats->journal_ring_blocks > 0) {
        diversity->ring_thousandths +=
            THOUSANDTHS * stats->journal_blocks_total / stats->journal_ring_blocks;
    }
    figures[MKV_INPUTS_RING_WRAPS] = diversity->ring_thousandths / THOUSANDTHS;
}

void mkv_diversity_add(struct mkv_diversity *sum, const struct mkv_diversity *more) {
    for (uint32_t figure = 0; figure < MKV_INPUTS_COUNT; figure++) {
        sum->figures[figure] += more->figures[figure];
    }
}

void mkv_diversity_print(const struct mkv_diversity *diversity, struct mkv_json *json) {
    for (uint32_t figure = 0; figure < MKV_INPUTS_COUNT; figure++) {
        const char *name = mkv_diversity_name((enum mkv_input_figure)figure);
        if (json != NULL) {
            mkv_json_u64(json, name, diversity->figures[figure]);
        } else {
            printf("%-26s %12llu\n", name, (unsigned long long)diversity->figures[figure]);
        }
    }
}
