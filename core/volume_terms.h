/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks with a term: an expiry, from which on a block is gone, and leases and pins, until which it
 * is not evicted.
 *
 *   EXISTS, with lease_ns --> leased until then  --\
 *   PIN --> pinned until then, or until UNPIN     --+--> eviction and emptying pass the block over
 *
 * Invariants
 *  I1  A leased or pinned block is not evicted. Everything else that ends a block overrides both:
 *      DELETE, replacement, PURGE, a tenant's drop, expiry, damage.
 *  I2  Together they are on at most LEASED_SHARE of the drive's bytes; those of EXISTS are granted
 *      only as long as all are on less than the configuration's lease_share of them.
 *  I3  None outlives its block's expiry, nor LEASE_NS_MAX; a restart ends all.
 *  I4  A block whose eviction is on its way is granted nothing.
 *
 * Not responsible for: who asks for how long (front), nor for the wire.
 */
#ifndef MKV_CORE_VOLUME_TERMS_H
#define MKV_CORE_VOLUME_TERMS_H

#include "core/base.h"
#include "core/io.h"
#include "core/volume.h"

struct op;

/* Of 1000. */
#define LEASED_SHARE 250u
#define LEASE_NS_MAX 3600000000000ull

/* See volume_expiry.c. */
struct expiry_job {
    bool passing;
    uint32_t cursor;
    uint64_t next_s;  /* no block expires before; UINT64_MAX: none does */
    uint64_t found_s; /* the same of what this pass has looked at */
    uint64_t started_ns;
    uint64_t due_ns; /* no pass begins before */
};

/* See volume_lease.c. A block has one entry, whoever leased or pinned it. */
struct lease {
    uint32_t slot;
    uint32_t next; /* in its bucket, or of the free ones */
    uint32_t units;
    uint32_t pins;           /* PINs less UNPINs */
    uint64_t lease_until_ns; /* 0: none was granted */
    uint64_t pin_until_ns;
    bool used; /* a GET found the block meanwhile */
    bool taken;
};

struct lease_state {
    uint64_t offset; /* in the arena: leases, then the heads of as many buckets */
    uint32_t lease_max;
    uint32_t taken;
    uint32_t free_head;
    uint32_t sweep_cursor;
    uint64_t sweep_due_ns;
    uint64_t units; /* of the slots of those that are taken */
};

/* ---- volume_expiry.c ------------------------------------------------------------------------- */

/* Of the slots of a tag from `slot` on, the first one whose block is not expired. */
struct mkv_slot mkv_volume_unexpired(const struct mkv_volume *volume, struct mkv_slot slot);
/* Whether the block in the op's old_slot counts as gone. */
bool mkv_volume_old_is_expired(const struct mkv_volume *volume, const struct op *op);
/* Whether that would change how long what is live in old_slot stays. */
bool mkv_volume_put_prolongs(const struct mkv_volume *volume, const struct op *op);
/* The put's content is live in old_slot: there is nothing to store but, perhaps, an expiry. */
void mkv_volume_prolong(struct mkv_volume *volume, uint32_t op);
/* An EXPIRE's block is in old_slot, or was, and is expired. */
void mkv_volume_expire_found(struct mkv_volume *volume, uint32_t op, bool expired);
/* A block has this expiry from now on. */
void mkv_volume_expiry_noted(struct mkv_volume *volume, uint32_t expiry_s);
/* The volume serves: whatever the table holds may expire. */
void mkv_volume_expiry_open(struct mkv_volume *volume);
void mkv_volume_expiry_pump(struct mkv_volume *volume);
bool mkv_volume_expiry_has_work(const struct mkv_volume *volume);

/* ---- volume_lease.c -------------------------------------------------------------------------- */

uint32_t mkv_volume_lease_max(const struct mkv_volume_config *config);
size_t mkv_volume_lease_memory_required(const struct mkv_volume_config *config);
/* Whether the block may not be evicted now. */
bool mkv_volume_is_leased(const struct mkv_volume *volume, struct mkv_slot slot);
/* Leases a live block that an EXISTS reports. Returns for how long: 0 when it is not granted. */
uint64_t mkv_volume_lease(struct mkv_volume *volume, struct mkv_slot slot, uint64_t lease_ns,
                          bool is_short);
/* PIN and UNPIN. */
void mkv_volume_pin(struct mkv_volume *volume, const struct mkv_input *input);
/* A GET found the block. */
void mkv_volume_lease_used(struct mkv_volume *volume, struct mkv_slot slot);
/* The block's DROP is being applied. */
void mkv_volume_lease_dropped(struct mkv_volume *volume, struct mkv_slot slot);
/* The volume begins to serve: there are none. */
void mkv_volume_lease_open(struct mkv_volume *volume);
/* Lets go of those whose time is over. */
void mkv_volume_lease_pump(struct mkv_volume *volume);

#endif
