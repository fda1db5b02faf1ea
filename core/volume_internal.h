/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the volume share. A block's life goes through them in this order:
 *
 *   volume.c             arena, operations, dispatch of inputs, failing
 *   volume_mutate.c      PUT_BEGIN, PUT_WRITE, DELETE, drops of slots: up to "record ready"
 *   volume_lock.c        the order of the mutations of a tag
 *   volume_empty.c       extents run empty for other classes
 *   volume_expiry.c      blocks whose time is over (volume_terms.h)
 *   volume_lease.c       blocks that may not be evicted for a while (volume_terms.h)
 *   volume_evict.c       blocks leave to make room
 *   volume_sample.c      how old blocks are when they are evicted
 *   volume_session.c     blocks of one session go to a lower tier, or leave (volume_session.h)
 *   volume_tenant.c      TENANT, TENANT_DROP, and the sweep behind a drop
 *   volume_directory.c   names: telling the directory, its I/O, SCAN, COUNT, PURGE
 *   volume_admission.c   puts that are not written
 *   volume_error.c       a drive that fails one operation after another
 *   volume_stall.c       a drive that does not answer
 *   volume_trim.c        empty extents, and telling the drive
 *   volume_journal.c     batches of records, flushes, applying what is durable, answers
 *   volume_get.c         FIND, READ, EXISTS
 *   volume_checkpoint.c  superblock writes, checkpoints, close
 *   volume_recover.c     OPEN, JOIN
 *   volume_derive.c      their steps without I/O, up to SERVING
 *   volume_set.c         DRIVE_SET, PURGE
 *
 *   Operation of a mutation:
 *
 *     LOCK_WAIT -> CHECKING -> EXTENT_WAIT -> RESERVED -> WRITING -> WRITTEN -> FLUSHING -> READY
 *                     \________________ (delete, drop of a slot, tenant) __________________/  |
 *                                                                              JOURNALED <----+
 *
 * Not responsible for: what others see of the volume (volume.h).
 */
#ifndef MKV_CORE_VOLUME_INTERNAL_H
#define MKV_CORE_VOLUME_INTERNAL_H

#include "core/volume_state.h"

/* ---- volume.c -------------------------------------------------------------------------------- */

void mkv_volume_list_push(struct mkv_volume *volume, struct op_list *list, uint32_t op);
uint32_t mkv_volume_list_pop(struct mkv_volume *volume, struct op_list *list);
struct mkv_effect *mkv_volume_emit(struct mkv_volume *volume, enum mkv_effect_kind kind);
void mkv_volume_event(struct mkv_volume *volume, enum mkv_event_kind kind, enum mkv_err err,
                      uint64_t value_0, uint64_t value_1, uint64_t value_2);
/* An operation for a message of the front, or for the volume itself; never fails: the pool has room
 * for all that the front may have outstanding, and `internal` ones are checked by the caller. */
uint32_t mkv_volume_op_take(struct mkv_volume *volume, enum op_kind kind);
/* Lets go of the slot and the lock, and frees the operation. */
void mkv_volume_op_free(struct mkv_volume *volume, uint32_t op);
/* Whether a drop of the volume's own may take an op: those of the class changes are kept back. */
bool mkv_volume_drop_room(const struct mkv_volume *volume);
void mkv_volume_hold(struct mkv_volume *volume, uint32_t op, struct mkv_slot slot);
void mkv_volume_release(struct mkv_volume *volume, uint32_t op);
/* Starts an answer to the front; the caller fills in the rest. */
struct mkv_message *mkv_volume_answer(struct mkv_volume *volume, uint32_t op,
                                      enum mkv_message_kind kind, enum mkv_status status);
/* A drive operation of an op, or of the volume itself (which = enum internal_io). */
struct mkv_drive_effect *mkv_volume_op_io(struct mkv_volume *volume, uint32_t op,
                                          enum mkv_effect_kind kind);
struct mkv_drive_effect *mkv_volume_internal_io(struct mkv_volume *volume, uint32_t which,
                                                enum mkv_effect_kind kind, struct mkv_lba lba,
                                                uint32_t unit_count, uint64_t meta_offset);
/* The drive can't be trusted any more: fails the volume, answers what can be answered. */
void mkv_volume_fail(struct mkv_volume *volume, enum mkv_io_result result, uint64_t lba);
static inline bool volume_writes_clean_mark(const struct mkv_volume *volume) {
    return volume->superblock_writer.step != SUPERBLOCK_IDLE &&
           volume->superblock_writer.purpose == SUPERBLOCK_CLEAN;
}
/* What a superblock states beyond the generations given out when it is written. None above it is
 * given out before the next superblock is durable, recorded or not: an opening begins there, and so
 * never gives out the low 32 bits of one whose record it does not see. The ring fills, and so
 * brings the next superblock, long before; puts that fail without a record are why it is held all
 * the same. */
static inline uint64_t volume_generation_reserve(const struct mkv_volume *volume) {
    const uint64_t puts = MKV_JOURNAL_RECORD_BYTES_MAX / MKV_RECORD_PUT_BYTES;
    return volume->config.geometry.ring_blocks * puts + GENERATION_GAP;
}
/* A superblock should be written for the sake of generations: few are left below its bound. */
static inline bool volume_generations_short(const struct mkv_volume *volume) {
    return volume->generation_counter + GENERATION_GAP / 2 > volume->generation_bound;
}
static inline void volume_want_flush(struct mkv_volume *volume, uint64_t *ticket) {
    *ticket = volume->flush_issued + 1;
    volume->flush_wanted = *ticket;
}

/* ---- volume_get.c ---------------------------------------------------------------------------- */

void mkv_volume_find(struct mkv_volume *volume, const struct mkv_input *input);
void mkv_volume_exists(struct mkv_volume *volume, const struct mkv_input *input);
void mkv_volume_touch(struct mkv_volume *volume, const struct mkv_input *input);
/* The live block of the message's key, as far as memory tells, or MKV_NONE_U32 and why. */
struct mkv_slot mkv_volume_found(const struct mkv_volume *volume, const struct mkv_input *input,
                                 enum mkv_miss *miss);
void mkv_volume_read(struct mkv_volume *volume, const struct mkv_message *message);
void mkv_volume_get_io_done(struct mkv_volume *volume, uint32_t op,
                            const struct mkv_drive_done *done);
enum header_verdict {
    HEADER_MATCH = 1, /* the op's key */
    HEADER_OTHER_KEY, /* sound, but of another key with the same tag */
    HEADER_CORRUPT,
};
/* Checks a header unit read from `slot` against the table and the op's key. */
enum header_verdict mkv_volume_judge_header(struct mkv_volume *volume, const struct op *op,
                                            struct mkv_slot slot, const uint8_t *unit,
                                            struct mkv_slot_header *header);
/* The op's n-th candidate (op->candidate) in the table, or MKV_NONE_U32. */
struct mkv_slot mkv_volume_candidate(const struct mkv_volume *volume, const struct op *op);

/* ---- volume_lock.c --------------------------------------------------------------------------- */

/* The op goes past the lock of its tag at once (mkv_volume_mutation_start), or waits behind. */
void mkv_volume_lock_take(struct mkv_volume *volume, uint32_t op);
/* Takes the op out of its bucket; the first waiter, if any, goes past the lock and takes over the
 * rest of the queue. Returns it, for the caller to start, or MKV_NONE_U32. */
uint32_t mkv_volume_lock_pass_on(struct mkv_volume *volume, uint32_t op);
/* The mutation of a tag that is past its lock, or MKV_NONE_U32. */
uint32_t mkv_volume_lock_holder(const struct mkv_volume *volume, uint32_t tenant, uint64_t tag);
/* A put that waits for room, or is about to, lets the first of those behind it go that may have to
 * end before there is any. False: there is none. */
bool mkv_volume_lock_step_back(struct mkv_volume *volume, uint32_t op);
/* Lets those go first that have waited for a slow put of their tag. */
void mkv_volume_yield_pump(struct mkv_volume *volume);

/* ---- volume_mutate.c ------------------------------------------------------------------------- */

/* A mutation is past its lock. */
void mkv_volume_mutation_start(struct mkv_volume *volume, uint32_t op);
void mkv_volume_put_begin(struct mkv_volume *volume, const struct mkv_input *input);
/* The put's data is durable: its record may follow, unless it was overtaken and has to look again.
 */
void mkv_volume_put_flushed(struct mkv_volume *volume, uint32_t index);
void mkv_volume_put_write(struct mkv_volume *volume, const struct mkv_input *input);
void mkv_volume_put_abort(struct mkv_volume *volume, const struct mkv_message *message);
void mkv_volume_delete(struct mkv_volume *volume, const struct mkv_input *input);
/* Drops a slot whose content failed its check, behind the lock of its tag. With MKV_ERR_DRIVE_IO
 * the medium lost it, and the slot is retired. */
void mkv_volume_quarantine(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_err err);
/* The same for the catch-up, which is told by mkv_directory_catch_up_gone when the drop has ended.
 * False when there is no drop: the slot is to be looked at again. */
bool mkv_volume_catch_up_drop(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_err err);
/* Drops a live slot for a background job, behind the lock of its tag. False when enough of them are
 * under way: ask again later. */
bool mkv_volume_job_drop(struct mkv_volume *volume, struct mkv_slot slot,
                         enum mkv_drop_cause cause);
/* The same for a PURGE, whose listing counts those under way. */
bool mkv_volume_purge_drop(struct mkv_volume *volume, struct mkv_slot slot, uint32_t listing);
/* Evicts a live block that is not hidden: drops it behind the lock of its tag, after the
 * mutations that are waiting there. The caller has asked mkv_volume_evict_room. */
void mkv_volume_evict(struct mkv_volume *volume, struct mkv_slot slot,
                      enum mkv_eviction_reason reason);
bool mkv_volume_evict_room(const struct mkv_volume *volume);
/* The same for what no put waits for yet. */
bool mkv_volume_evict_room_beside(const struct mkv_volume *volume);
/* Takes the slot of a put that will have no record back; its write has ended, or never began. */
void mkv_volume_put_refused(struct mkv_volume *volume, uint32_t op, enum mkv_status status);
void mkv_volume_mutate_io_done(struct mkv_volume *volume, uint32_t op,
                               const struct mkv_drive_done *done);
/* The drop of a slot that could not be told is durable and applied. */
void mkv_volume_mutation_cleared(struct mkv_volume *volume, uint32_t op);
/* A class change for the sake of this slot size is durable. */
void mkv_volume_extent_op_ended(struct mkv_volume *volume, uint32_t slot_units);
/* Whether another class change may be on its way. */
bool mkv_volume_extent_op_room(const struct mkv_volume *volume);
/* Starts giving the class an extent, unless one is on its way. False: there will be none. */
bool mkv_volume_extent_request(struct mkv_volume *volume, uint32_t slot_units);
/* A planned class change, for the sake of slot_units, gets an operation. */
void mkv_volume_extent_op_start(struct mkv_volume *volume, const struct mkv_record_extent *record,
                                uint32_t slot_units);
/* Slots or extents may have become free: puts that wait for a slot try again. */
void mkv_volume_extent_applied(struct mkv_volume *volume);
/* Drops the live block in the op's old_slot, behind the lock. */
void mkv_volume_drop_old(struct mkv_volume *volume, uint32_t op, enum mkv_drop_cause cause);
/* Ends a mutation: answers the front where there is one, passes the lock on, frees the op. */
void mkv_volume_mutation_end(struct mkv_volume *volume, uint32_t op, enum mkv_status status);
/* The same before it has a record; a put that has its slot gives it back. */
void mkv_volume_mutation_refuse(struct mkv_volume *volume, uint32_t op, enum mkv_status status);

/* ---- volume_empty.c -------------------------------------------------------------------------- */

/* A class without free slots, which can be given no extent, asks for one of another class. True
 * when it is worth waiting: an extent is being emptied, for it or for others. */
bool mkv_volume_empty_request(struct mkv_volume *volume, uint32_t slot_units);
/* A put was applied; the job may have passed its slot when that was merely reserved. */
void mkv_volume_empty_put_applied(struct mkv_volume *volume, struct mkv_slot slot);
void mkv_volume_empty_pump(struct mkv_volume *volume);
bool mkv_volume_empty_has_work(const struct mkv_volume *volume);

/* ---- volume_evict.c -------------------------------------------------------------------------- */

struct mkv_eviction_config mkv_volume_eviction_config(const struct mkv_volume_config *config);
/* What the policy is told; nothing comes of it when the configuration has no eviction. */
void mkv_volume_policy_init(struct mkv_volume *volume);
/* Tells it what recovery found, so many pages a call; *page starts at 0. True when done. */
bool mkv_volume_policy_restore(struct mkv_volume *volume, uint32_t *page, uint32_t page_max);
/* A class change: after an extent was taken, before one is given back. */
void mkv_volume_policy_extent(struct mkv_volume *volume, const struct mkv_record_extent *record);
/* A block was stored; the last one of several that a request named, or not. */
void mkv_volume_policy_put(struct mkv_volume *volume, struct mkv_slot slot, bool is_last);
/* A request asked for the block; perhaps a read that a lookup may have announced. */
void mkv_volume_policy_used(struct mkv_volume *volume, struct mkv_slot slot, bool was_looked_up);
/* The block's DROP is decided. */
void mkv_volume_policy_dropped(struct mkv_volume *volume, struct mkv_slot slot, bool evicted);
/* The same in two parts: a DROP is sent behind the lock, and when it has its turn the block is
 * there. What goes between is MKV_NONE_U32 for a block that the policy does not have. */
uint32_t mkv_volume_policy_take_out(struct mkv_volume *volume, struct mkv_slot slot);
void mkv_volume_policy_remember(struct mkv_volume *volume, uint64_t tag, uint32_t state);
/* A live block goes to a lower tier. False: it was not of a higher one. */
bool mkv_volume_policy_demote(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_tier tier);
/* Nobody holds the slot any more. */
void mkv_volume_policy_released(struct mkv_volume *volume, struct mkv_slot slot);
bool mkv_volume_was_evicted(const struct mkv_volume *volume, uint64_t tag);
void mkv_volume_policy_check(const struct mkv_volume *volume);
/* A put finds no slot of this size, and there will be no extent for it. True when blocks of its
 * class make room: the put waits until it is tried again (mkv_volume_evict_wait_ended). */
bool mkv_volume_evict_request(struct mkv_volume *volume, uint32_t op, uint32_t slot_units);
void mkv_volume_evict_wait_ended(struct mkv_volume *volume, uint32_t op);
/* A DROP that makes room is on its way, and has ended. */
void mkv_volume_evict_drop_begun(struct mkv_volume *volume, struct op *drop);
void mkv_volume_evict_drop_ended(struct mkv_volume *volume, const struct op *drop);
/* Whether the block may be evicted now; and of two that may, whether the first one should be. */
bool mkv_volume_policy_may_leave(const struct mkv_volume *volume, struct mkv_slot slot);
bool mkv_volume_policy_leaves_before(const struct mkv_volume *volume, struct mkv_slot slot,
                                     struct mkv_slot other);
void mkv_volume_evict_pump(struct mkv_volume *volume);
bool mkv_volume_evict_has_work(const struct mkv_volume *volume);

/* ---- volume_quota.c -------------------------------------------------------------------------- */

/* A put would pass its tenant's quota. True when blocks of the tenant make room: it waits until it
 * is tried again (mkv_volume_evict_wait_ended). */
bool mkv_volume_quota_request(struct mkv_volume *volume, uint32_t op, uint32_t slot_units);
void mkv_volume_quota_wait_ended(struct mkv_volume *volume, uint32_t op);
/* A DROP that makes room for a quota, and knows its slot, has begun; it has ended. */
void mkv_volume_quota_drop_begun(struct mkv_volume *volume, struct op *drop);
void mkv_volume_quota_drop_ended(struct mkv_volume *volume, const struct op *drop);
void mkv_volume_quota_pump(struct mkv_volume *volume);
bool mkv_volume_quota_has_work(const struct mkv_volume *volume);

/* ---- volume_sample.c ------------------------------------------------------------------------- */

size_t mkv_volume_sample_memory_required(const struct mkv_volume_config *config);
/* The volume begins to serve: nothing is in the sample. */
void mkv_volume_sample_open(struct mkv_volume *volume);
/* A block was stored, used (`again`: and that is not the use that was told of last), is evicted, is
 * about to be dropped. */
void mkv_volume_sample_put(struct mkv_volume *volume, struct mkv_slot slot);
void mkv_volume_sample_used(struct mkv_volume *volume, struct mkv_slot slot, bool again);
void mkv_volume_sample_evicted(struct mkv_volume *volume, struct mkv_slot slot);
void mkv_volume_sample_dropped(struct mkv_volume *volume, struct mkv_slot slot);

/* ---- volume_tenant.c ------------------------------------------------------------------------- */

void mkv_volume_tenant(struct mkv_volume *volume, const struct mkv_input *input);
/* The TENANT or TENANT_DROP under way has ended: the next one begins. */
void mkv_volume_tenant_ended(struct mkv_volume *volume);
/* A TENANT_DROP entered a journal block: puts of the tenant that have no record get none. */
void mkv_volume_tenant_drop_issued(struct mkv_volume *volume, uint32_t op);
/* Whether a put of this tenant may still get a record. */
bool mkv_volume_tenant_takes(const struct mkv_volume *volume, uint32_t tenant);
/* Why a read of this tenant finds nothing. */
enum mkv_miss mkv_volume_tenant_miss(const struct mkv_volume *volume, uint32_t tenant);
/* Units of a slot, which counts whole. */
uint32_t mkv_volume_slot_units(const struct mkv_volume *volume, struct mkv_slot slot);
/* The block in the slot has become live; it is about to be live no more. */
void mkv_volume_tenant_count(struct mkv_volume *volume, struct mkv_slot slot);
void mkv_volume_tenant_uncount(struct mkv_volume *volume, struct mkv_slot slot);
/* Whether the put may have a slot of so many units, besides what it replaces. */
bool mkv_volume_tenant_has_room(struct mkv_volume *volume, const struct op *op,
                                uint32_t slot_units);
void mkv_volume_tenant_rejected(struct mkv_volume *volume, const struct op *op);
/* A block of the first tenant leaves because the other one needs room. */
void mkv_volume_tenant_evicted(struct mkv_volume *volume, uint32_t tenant, uint32_t for_tenant);
/* The put has got its slot; it has it no more, or it holds a block now. */
void mkv_volume_tenant_reserve(struct mkv_volume *volume, const struct op *op);
void mkv_volume_tenant_unreserve(struct mkv_volume *volume, const struct op *op);
/* A TENANT is durable. */
void mkv_volume_tenant_applied(struct mkv_volume *volume, const struct op *op);
/* Recovery: counts the blocks in these pages. False: one is of a tenant that there is not. */
bool mkv_volume_tenant_derive(struct mkv_volume *volume, uint32_t page, uint32_t page_end);
/* Goes on dropping the blocks of dropped tenants. */
void mkv_volume_tenant_pump(struct mkv_volume *volume);
bool mkv_volume_tenant_has_work(const struct mkv_volume *volume);

/* ---- volume_directory.c ---------------------------------------------------------------------- */

struct mkv_directory_config mkv_volume_directory_config(const struct mkv_volume_config *config);
/* A put was given its generation; its operation has ended. */
void mkv_volume_put_numbered(struct mkv_volume *volume, uint32_t op);
void mkv_volume_put_unnumbered(struct mkv_volume *volume, uint32_t op);
/* The op's PUT was applied to the table; the DROP of its old slot is about to be. */
void mkv_volume_directory_put(struct mkv_volume *volume, const struct op *op);
void mkv_volume_directory_drop(struct mkv_volume *volume, const struct op *op);
/* All records up to the flushed sequence have been applied. */
void mkv_volume_directory_applied(struct mkv_volume *volume);
void mkv_volume_directory_open(struct mkv_volume *volume);
/* Whether nothing of the directory is in flight, or left to do. */
bool mkv_volume_directory_closed(struct mkv_volume *volume);
void mkv_volume_directory_fail(struct mkv_volume *volume);
void mkv_volume_list(struct mkv_volume *volume, const struct mkv_input *input);
enum mkv_message_kind mkv_volume_listing_answer_kind(const struct op *op);
/* ---- volume_scrub.c -------------------------------------------------------------------------- */

void mkv_volume_scrub_pump(struct mkv_volume *volume);
/* How far the pass has come, 0 to 1. */
double mkv_volume_scrub_progress(const struct mkv_volume *volume);
void mkv_volume_scrub_io_done(struct mkv_volume *volume, uint32_t op,
                              const struct mkv_drive_done *done);

void mkv_volume_catch_up_done(struct mkv_volume *volume, uint32_t op,
                              const struct mkv_drive_done *done);
void mkv_volume_directory_io_done(struct mkv_volume *volume, uint32_t which,
                                  const struct mkv_drive_done *done);
void mkv_volume_directory_pump(struct mkv_volume *volume);

/* ---- volume_admission.c ---------------------------------------------------------------------- */

/* At each opening. */
void mkv_volume_admission_init(struct mkv_volume *volume);
void mkv_volume_avoid(struct mkv_volume *volume, bool avoid);
/* Whether a put whose bytes have come, with the flags of its PUT_WRITE, is not to be written. */
bool mkv_volume_admission_refuses(struct mkv_volume *volume, const struct op *op, uint32_t flags);

/* ---- volume_error.c -------------------------------------------------------------------------- */

/* Counts and reports a failed operation that does not fail the drive. */
void mkv_volume_note_error(struct mkv_volume *volume, enum mkv_effect_kind kind,
                           enum mkv_io_result result, uint64_t lba);
/* An operation on a slot ended, which ends a run of errors if it succeeded. */
void mkv_volume_error_run_end(struct mkv_volume *volume, enum mkv_io_result result, bool write);
/* Fails the volume when a run is long enough. */
void mkv_volume_error_pump(struct mkv_volume *volume);

/* ---- volume_stall.c -------------------------------------------------------------------------- */

/* Looks at the age of what is in flight, now and then. */
void mkv_volume_stall_pump(struct mkv_volume *volume);

/* ---- volume_trim.c --------------------------------------------------------------------------- */

/* Goes on giving empty extents back and trimming them. */
void mkv_volume_trim_pump(struct mkv_volume *volume);
void mkv_volume_trim_done(struct mkv_volume *volume, const struct mkv_drive_done *done);
/* Whether extents come free soon by the trim in flight. */
bool mkv_volume_trim_is_awaited(const struct mkv_volume *volume);
uint64_t mkv_volume_trims_pending(const struct mkv_volume *volume);

/* ---- volume_journal.c ------------------------------------------------------------------------ */

/* Hands out what can be handed out now: a batch, a flush, an empty block when idle. */
void mkv_volume_journal_pump(struct mkv_volume *volume);
void mkv_volume_journal_io_done(struct mkv_volume *volume, uint32_t which,
                                const struct mkv_drive_done *done);
/* The op's data write is about to be handed out. */
void mkv_volume_data_write_issued(struct mkv_volume *volume, struct op *op);
/* A data write has come back, whatever it came to. */
void mkv_volume_data_write_done(struct mkv_volume *volume, const struct op *op);
void mkv_volume_flush_done(struct mkv_volume *volume, const struct mkv_drive_done *done);
uint64_t mkv_volume_ring_used(const struct mkv_volume *volume);

/* ---- volume_checkpoint.c --------------------------------------------------------------------- */

void mkv_volume_superblock_write(struct mkv_volume *volume, enum superblock_purpose purpose,
                                 uint32_t copies);
/* Brings what every superblock states up to now. */
void mkv_volume_superblock_renew(struct mkv_volume *volume);
void mkv_volume_superblock_io_done(struct mkv_volume *volume, const struct mkv_drive_done *done);
void mkv_volume_checkpoint_io_done(struct mkv_volume *volume, const struct mkv_drive_done *done);
void mkv_volume_checkpoint_pump(struct mkv_volume *volume);
enum mkv_err mkv_volume_format(struct mkv_volume *volume);
/* A chain value that no block of an earlier epoch can have been built on. */
uint64_t mkv_volume_fresh_chain(const struct mkv_volume *volume, uint32_t epoch);
#define SUPERBLOCK_ALL_COPIES 0xfu

/* ---- volume_recover.c ------------------------------------------------------------------------ */

/* `set` is NULL, or the set to be under. */
enum mkv_err mkv_volume_open(struct mkv_volume *volume, const struct mkv_drive_set *set,
                             bool joins);
void mkv_volume_recover_pump(struct mkv_volume *volume);
void mkv_volume_recover_io_done(struct mkv_volume *volume, uint32_t which,
                                const struct mkv_drive_done *done);
/* A superblock write of recovery is durable. */
void mkv_volume_recover_superblock_durable(struct mkv_volume *volume);
bool mkv_volume_recover_has_work(const struct mkv_volume *volume);
/* What was read is worthless from `sequence` on, so nothing of it is kept. */
void mkv_volume_recover_empty(struct mkv_volume *volume, enum mkv_err err, uint64_t sequence);

/* ---- volume_derive.c ------------------------------------------------------------------------- */

/* Clears a piece of the table. */
void mkv_volume_recover_clear_pump(struct mkv_volume *volume);
/* All is read: what memory holds beside the table is derived from it, piece by piece. */
void mkv_volume_recover_derive(struct mkv_volume *volume);
void mkv_volume_recover_derive_pump(struct mkv_volume *volume);
void mkv_volume_recover_serve(struct mkv_volume *volume);

/* ---- volume_set.c ---------------------------------------------------------------------------- */

enum mkv_err mkv_volume_drive_set(struct mkv_volume *volume, const struct mkv_drive_set *set);
/* Whether a set waits to be written, or is being written. */
bool mkv_volume_drive_set_pending(const struct mkv_volume *volume);
/* Writes the set that waits, if the superblock's writer is free. */
void mkv_volume_drive_set_pump(struct mkv_volume *volume);
void mkv_volume_drive_set_durable(struct mkv_volume *volume);

enum mkv_err mkv_volume_purge(struct mkv_volume *volume, const struct mkv_drive_set *set);
void mkv_volume_purge_pump(struct mkv_volume *volume);
bool mkv_volume_purge_has_work(const struct mkv_volume *volume);
/* The op is past its lock; its read came back; it is over. */
void mkv_volume_purge_start(struct mkv_volume *volume, uint32_t op);
void mkv_volume_purge_io_done(struct mkv_volume *volume, uint32_t op,
                              const struct mkv_drive_done *done);
/* Of every operation. */
void mkv_volume_purge_op_ended(struct mkv_volume *volume, const struct op *op);
/* Whether keys may be mutated here: not when one goes to a drive that joins, or has joined. */
bool mkv_volume_purge_takes(const struct mkv_volume *volume, const struct op *op);

#endif
