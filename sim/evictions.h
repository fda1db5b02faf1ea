/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the model is told of blocks that make room: from the event on the block is not found, and
 * when the watch has seen its DROP durable no crash brings it back.
 *
 * Not responsible for: which blocks those are, which is the volume's choice.
 */
#ifndef MKV_SIM_EVICTIONS_H
#define MKV_SIM_EVICTIONS_H

#include "core/io.h"
#include "sim/model.h"
#include "sim/watch.h"
#include "sim/world.h"

/* DROPs on their way at a time: more than the operations that all volumes of a world have. */
#define MKV_EVICTIONS_MAX 256u

/* Different tags, as far as ghosts tell them apart, that are kept. */
#define MKV_EVICTED_TAGS_MAX 512u

/* Leases and pins that are kept in mind; of more, the oldest is forgotten. */
#define MKV_EVICTIONS_LEASES_MAX 64u

/* A promise that a block is not evicted until then. */
struct mkv_evictions_lease {
    uint32_t slot;
    uint32_t generation_low;
    uint64_t until_ns;
    bool pin;
};

struct mkv_evictions {
    uint32_t count;
    uint32_t
        tag_count; /* above MKV_EVICTED_TAGS_MAX: there were more, and nothing is said of them */
    uint32_t tags[MKV_EVICTED_TAGS_MAX];
    struct mkv_eviction {
        const struct mkv_watch *watch;
        uint32_t slot;
        uint64_t generation;
        uint32_t key;
    } list[MKV_EVICTIONS_MAX];
    uint32_t lease_next;
    struct mkv_evictions_lease leases[MKV_EVICTIONS_LEASES_MAX];
};

/* An answer says that the block is leased or pinned, or pinned no longer. */
void mkv_evictions_leased(struct mkv_evictions *evictions, const struct mkv_evictions_lease *lease);
void mkv_evictions_unpinned(struct mkv_evictions *evictions, uint32_t slot);
/* The process is gone, and with it all leases. */
void mkv_evictions_crash(struct mkv_evictions *evictions);
/* MKV_EVENT_BLOCK_EVICTED of the volume that `watch` watches. Fails the run when the block was
 * leased or pinned. */
void mkv_evictions_event(struct mkv_evictions *evictions, struct mkv_model *model,
                         const struct mkv_watch *watch, const struct mkv_event *event,
                         uint64_t now_ns);
/* Tells the model of the DROPs that are durable by now. */
void mkv_evictions_turn(struct mkv_evictions *evictions, struct mkv_model *model);

/* Whether a miss of this tag may be told as evicted: a block of it was, or of
 * one that is the same to the ghosts. */
bool mkv_evictions_had(const struct mkv_evictions *evictions, uint64_t tag);

/* Adds what the volume did since it was started. */
void mkv_changes_of(struct mkv_world_changes *sum, const struct mkv_volume_stats *stats);
void mkv_changes_add(struct mkv_world_changes *sum, const struct mkv_world_changes *more);

#endif
