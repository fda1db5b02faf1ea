/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two clocks that the pump reads for the machines, which read none.
 *
 * Not responsible for: keeping wall time above the persisted maximum (volume).
 */
#ifndef MKV_BACKENDS_CLOCK_H
#define MKV_BACKENDS_CLOCK_H

#include "core/base.h"

/* Never goes back; its zero is of no meaning. CLOCK_MONOTONIC. */
uint64_t mkv_clock_monotonic_ns(void);
/* Unix time in milliseconds; may jump in both directions. */
uint64_t mkv_clock_wall_ms(void);

#endif
