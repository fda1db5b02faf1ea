/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracles on retention tiers and sessions, of the volume and the front world, there of the
 * first volume. What a put names follows from its key and content, so whoever meets a block knows
 * its tier and session. Parts of values above one block are passed over.
 *
 * Oracles
 *  O6   A block that recovery found is of the tier that its put named.
 *  O9   Sessions and what they have in mind stay in their bounds (mkv_volume_check).
 *       While the volume serves: a tier is that of the put, or think complete, and the latter only
 *       where the block's session gave a reason; and when a session has left its reasoning phase or
 *       ended, and there is no work left of that, its blocks are in think complete.
 *       A block leaves to make room for its class only when no block of a lower tier of the class
 *       may leave. That is held where the eviction was decided in the step that tells of it, and
 *       where nothing is leased: leases end by the clock.
 *
 * Not responsible for: which block of a tier leaves first; whether evicted blocks were leased
 * (evictions.h).
 */
#ifndef MKV_SIM_TIERS_H
#define MKV_SIM_TIERS_H

#include "core/volume.h"
#include "sim/memory.h"
#include "sim/random.h"
#include "sim/shape.h"
#include "sim/watch.h"

/* Tenants of the volume world that have sessions. */
#define MKV_TIERS_TENANTS 2u

struct mkv_tiers {
    const struct mkv_shape *shape;
    const struct mkv_watch *watch;
    uint64_t generation_served; /* of the newest block that there was when the volume began */
    /* What sessions were told in this life of the process. */
    uint32_t exits[MKV_TIERS_TENANTS][MKV_SHAPE_SESSIONS_MAX + 1];
    uint32_t ends[MKV_TIERS_TENANTS][MKV_SHAPE_SESSIONS_MAX + 1];
    uint32_t frees[MKV_TIERS_TENANTS][MKV_SHAPE_SESSIONS_MAX + 1]; /* of the ends */
    uint32_t slot_count;
    uint32_t *must; /* slot -> generation (low bits) of the block that is to be think complete */
    uint64_t evaluations;
};

/* What a put of this content under this key names: as in messages. */
uint32_t mkv_tiers_hint(const struct mkv_shape *shape, uint32_t key, struct mkv_root root);
uint64_t mkv_tiers_session_of(const struct mkv_shape *shape, uint32_t key, struct mkv_root root);

enum mkv_session_action mkv_tiers_draw_action(struct mkv_random *random);

void mkv_tiers_init(struct mkv_tiers *tiers, struct mkv_memory *memory,
                    const struct mkv_shape *shape, const struct mkv_watch *watch);
/* The volume has begun to serve, and the watch knows its blocks: O6. */
void mkv_tiers_serving(struct mkv_tiers *tiers, const struct mkv_volume *volume);
/* A SESSION is sent, and then answered OK; `second` says whose it is. */
void mkv_tiers_asked(struct mkv_tiers *tiers, enum mkv_session_action action, uint64_t session,
                     bool second);
void mkv_tiers_told(struct mkv_tiers *tiers, const struct mkv_volume *volume,
                    enum mkv_session_action action, uint64_t session, uint32_t tenant);
/* MKV_EVENT_BLOCK_EVICTED; `at_once`: no eviction had been decided before the step. */
void mkv_tiers_evicted(struct mkv_tiers *tiers, const struct mkv_volume *volume,
                       const struct mkv_event *event, bool at_once);
/* The volume serves, whatever it does. */
void mkv_tiers_check(struct mkv_tiers *tiers, const struct mkv_volume *volume);

#endif
