/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include "sim/evictions.h"

void mkv_world_report_add(struct mkv_world_report *sum, const struct mkv_world_report *more) {
    sum->crashes += more->crashes;
    sum->recoveries_cut += more->recoveries_cut;
    sum->operations += more->operations;
    sum->entries += more->entries;
    sum->evaluations += more->evaluations;
    sum->losses += more->losses;
    mkv_changes_add(&sum->changes, &more->changes);
    mkv_diversity_add(&sum->diversity, &more->diversity);
    sum->memory.hits += more->memory.hits;
    sum->memory.reads_shared += more->memory.reads_shared;
    sum->memory.reads_not_kept += more->memory.reads_not_kept;
    sum->memory.taken += more->memory.taken;
    sum->memory.puts_early += more->memory.puts_early;
    sum->memory.puts_early_lost += more->memory.puts_early_lost;
    for (uint32_t row = 0; row < MKV_SET_ROW_COUNT; row++) {
        sum->set_rows[row] += more->set_rows[row];
    }
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        sum->hits[fault] += more->hits[fault];
    }
}
