/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of forge.h share.
 *
 * Not responsible for: what others see (forge.h).
 */
#ifndef MKV_SIM_FORGE_INTERNAL_H
#define MKV_SIM_FORGE_INTERNAL_H

#include "sim/forge.h"
#include "sim/random.h"

/* Requests of every kind, most of them wrong, to a front without drives: each is answered once,
 * and refused exactly when protocol.md says so; forge_front.c. */
void mkv_forge_requests(struct mkv_random *random, struct mkv_forge_report *report);
/* A front whose volumes answer anything that a volume may, in any order; forge_volumes.c. */
void mkv_forge_volumes(struct mkv_random *random, struct mkv_forge_report *report);
/* Commands in any state of a volume whose drive fails now and then; forge_admin.c. */
void mkv_forge_admin(struct mkv_random *random, uint64_t seed, struct mkv_forge_report *report);
/* Drives that say anything of their set, and manifests of any bytes; forge_sets.c. */
void mkv_forge_sets(struct mkv_random *random, struct mkv_forge_report *report);

#endif
