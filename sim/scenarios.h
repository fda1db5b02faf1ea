/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs with a name: figures of the shape that stand in the place of what a seed draws, so that a
 * run dwells on one matter. All else is drawn.
 *
 * Not responsible for: what the figures mean (shape.h).
 */
#ifndef MKV_SIM_SCENARIOS_H
#define MKV_SIM_SCENARIOS_H

#include "sim/shape.h"

#define MKV_SCENARIO_FIGURES_MAX 12u

struct mkv_scenario {
    const char *name;
    const char *description;
    enum mkv_world_kind world; /* only seeds that draw it */
    const char *faults;        /* NULL: as drawn */
    struct mkv_scenario_figure {
        const char *field; /* shape_fields.c; NULL behind the last */
        uint64_t value;
    } figures[MKV_SCENARIO_FIGURES_MAX];
};

uint32_t mkv_scenario_count(void);
const struct mkv_scenario *mkv_scenario_at(uint32_t index);
/* NULL: there is none of the name. */
const struct mkv_scenario *mkv_scenario_find(const char *name);
/* Whether the seed draws the scenario's world. */
bool mkv_scenario_fits(const struct mkv_scenario *scenario, uint64_t seed);
void mkv_scenario_apply(const struct mkv_scenario *scenario, struct mkv_shape *shape);

#endif
