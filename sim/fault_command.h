/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of memkv-sim that are about faults alone: the list of them, and sweeps.
 *
 * Not responsible for: reading options (command.c).
 */
#ifndef MKV_SIM_FAULT_COMMAND_H
#define MKV_SIM_FAULT_COMMAND_H

#include "core/base.h"

/* Each prints its result and returns the exit status. */
int mkv_faults_command(bool json);
/* Lists the scenarios. */
int mkv_scenarios_command(bool json);
int mkv_sweep_command(uint64_t seed, uint64_t fault_mask, bool json);

#endif
