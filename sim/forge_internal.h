/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of forge.h share.
 *
 * Not responsible for: what others see (forge.h).
 */
#ifndef MKV_SIM_FORGE_INTERNAL_H
#define MKV_SIM_FORGE_INTERNAL_H

#include "sim/forge.h"
#include "sim/forged_drive.h"
#include "sim/random.h"

/* Requests of every kind, most of them wrong, to a front without drives: each is answered once,
 * and refused exactly when protocol.md says so; forge_front.c. */
void mkv_forge_requests(struct mkv_random *random, struct mkv_forge_report *report);
/* A front whose volumes answer anything that a volume may, in any order; forge_volumes.c. */
void mkv_forge_volumes(struct mkv_random *random, struct mkv_forge_report *report);
/* A store of that geometry on a drive of its own, formatted. Who calls frees the image. */
void mkv_forge_store(struct mkv_forged_drive *drive, struct mkv_forged_image *image,
                     const struct mkv_geometry *geometry);
/* The rest of a geometry, whose regions are given. */
void mkv_forge_fit(struct mkv_geometry *geometry);
/* A drive with so many and so long keys that its directory has three levels, as a kill leaves it:
 * built and thinned out, with as many keys listed as there are; forge_broad.c. */
void mkv_forge_broad(struct mkv_random *random, struct mkv_forged_image *image);
/* Commands in any state of a volume whose drive fails now and then; forge_admin.c. */
void mkv_forge_admin(struct mkv_random *random, uint64_t seed, struct mkv_forge_report *report);
/* Keys of one tag, and of few buckets, which the slot table has to keep apart; forge_crowd.c. */
void mkv_forge_crowd(struct mkv_random *random, struct mkv_forge_report *report);
/* Drives that say anything of their set, and manifests of any bytes; forge_sets.c. */
void mkv_forge_sets(struct mkv_random *random, struct mkv_forge_report *report);

#endif
