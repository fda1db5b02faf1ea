/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scenarios.h"

#include <string.h>

#include "sim/bundle.h"

/* Room for the largest block of a scenario that sets its geometry: three units behind a header. */
#define BLOCK_BYTES (3u * MKV_UNIT_BYTES)

static const struct mkv_scenario scenarios[] = {
    {"one-key",
     "eight clients on one key: the order of its mutations",
     MKV_WORLD_VOLUME,
     NULL,
     {{"key_count", 1},
      {"colliding", 0},
      {"clients", 8},
      {"share_replace", 8},
      {"tenants", 0},
      {"weight_tenant", 0}}},
    {"equal-tags",
     "all keys have the same tag, so that each meets the others' blocks",
     MKV_WORLD_VOLUME,
     NULL,
     {{"key_count", 6}, {"colliding", 6}, {"clients", 6}}},
    {"full",
     "more keys than the drive has room for, and nothing makes room",
     MKV_WORLD_VOLUME,
     NULL,
     {{"key_count", 10},
      {"length_max", BLOCK_BYTES},
      {"extent_units", 4},
      {"extent_count", 6},
      {"page_count", 6},
      {"eviction", 0},
      {"weight_delete", 2},
      {"weight_put", 16}}},
    {"evict",
     "more keys than the drive has room for, and the coldest make room",
     MKV_WORLD_VOLUME,
     NULL,
     {{"key_count", 10},
      {"length_max", BLOCK_BYTES},
      {"extent_units", 4},
      {"extent_count", 6},
      {"page_count", 6},
      {"eviction", 1},
      {"weight_delete", 0},
      {"weight_put", 16}}},
    {"expire",
     "every put expires within seconds",
     MKV_WORLD_VOLUME,
     NULL,
     {{"share_expiry", 16}, {"expiry_s_max", 4}, {"expiry_pass_ns", 1000}, {"share_repeat", 4}}},
    {"lease",
     "reads take leases and pins while blocks make room",
     MKV_WORLD_VOLUME,
     NULL,
     {{"share_lease", 16},
      {"lease_ns_max", 300000},
      {"weight_exists", 8},
      {"eviction", 1},
      {"key_count", 10}}},
    {"tenants",
     "a tenant is made and dropped again and again",
     MKV_WORLD_VOLUME,
     NULL,
     {{"tenants", 1}, {"weight_tenant", 6}, {"key_count", 6}}},
    {"lists",
     "SCAN, COUNT and PURGE beside everything",
     MKV_WORLD_VOLUME,
     NULL,
     {{"weight_list", 16}, {"key_count", 8}}},
    {"checkpoints",
     "a small ring and checkpoints all the time",
     MKV_WORLD_VOLUME,
     NULL,
     {{"ring_blocks", MKV_RING_BLOCKS_MIN}, {"weight_checkpoint", 16}}},
    {"power-cuts",
     "power is lost every few inputs, and in the recovery",
     MKV_WORLD_VOLUME,
     "none",
     {{"crash_span", 16}, {"share_cut", 12}, {"share_kill", 0}, {"keep_by_sector", 8}}},
    {"kills",
     "the process is killed; what was in flight lands now, later or never",
     MKV_WORLD_VOLUME,
     "slow,reordering",
     {{"share_kill", 16}, {"crash_span", 40}}},
    {"bad-drive",
     "a drive that rots, and cannot read what it has",
     MKV_WORLD_VOLUME,
     "rot,read-medium,stale-read,misdirected-read",
     {{"scrub_rate", 1ull << 30}}},
    {"front", "clients of the whole protocol, over a fabric", MKV_WORLD_FRONT, NULL, {{NULL, 0}}},
    {"routed",
     "requests whose keys belong to several fronts, which share clients and drives",
     MKV_WORLD_FRONT,
     NULL,
     {{"fronts", 3}, {"volume_count", 2}, {"connections", 4}, {"items_max", 6}}},
    {"shards",
     "several fronts with volumes of their own, in one process",
     MKV_WORLD_SHARDS,
     NULL,
     {{NULL, 0}}},
    {"lanes",
     "clients and a server over queue pairs that fail in every way",
     MKV_WORLD_LANES,
     NULL,
     {{NULL, 0}}},
    {"drive-set", "drives go away and come back", MKV_WORLD_SET, NULL, {{NULL, 0}}},
};
#define SCENARIOS ((uint32_t)(sizeof scenarios / sizeof scenarios[0]))

uint32_t mkv_scenario_count(void) {
    return SCENARIOS;
}

const struct mkv_scenario *mkv_scenario_at(uint32_t index) {
    MKV_ASSERT(index < SCENARIOS);
    return &scenarios[index];
}

const struct mkv_scenario *mkv_scenario_find(const char *name) {
    for (uint32_t index = 0; index < SCENARIOS; index++) {
        if (strcmp(scenarios[index].name, name) == 0) {
            return &scenarios[index];
        }
    }
    return NULL;
}

bool mkv_scenario_fits(const struct mkv_scenario *scenario, uint64_t seed) {
    struct mkv_shape shape;
    mkv_shape_draw(&shape, seed);
    return shape.world == scenario->world;
}

void mkv_scenario_apply(const struct mkv_scenario *scenario, struct mkv_shape *shape) {
    for (uint32_t index = 0;
         index < MKV_SCENARIO_FIGURES_MAX && scenario->figures[index].field != NULL; index++) {
        const struct mkv_scenario_figure *figure = &scenario->figures[index];
        const struct mkv_shape_field *field = mkv_shape_field_find(figure->field);
        MKV_ASSERT(field != NULL);
        const bool set = mkv_shape_field_set(shape, field, figure->value);
        MKV_ASSERT(set);
    }
    /* What others follow from. */
    shape->colliding = (uint32_t)mkv_min_u64(shape->colliding, shape->key_count);
    if (shape->world == MKV_WORLD_VOLUME) {
        shape->block_bytes_max = (uint32_t)mkv_round_up_u64(shape->length_max, MKV_CHUNK_BYTES_MIN);
    }
    if (scenario->faults != NULL) {
        char unknown[MKV_FAULT_NAME_BYTES];
        uint64_t mask = 0;
        const bool known = mkv_faults_parse(scenario->faults, &mask, unknown);
        MKV_ASSERT(known);
        mkv_fault_plan_set(&shape->faults, mask);
    }
    mkv_shape_fit(shape);
    MKV_ASSERT(mkv_shape_sound(shape));
}
