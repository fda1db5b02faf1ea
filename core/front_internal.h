/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the front share. Three layers, each in files of its own:
 *
 *   request   an accepted REQUEST until its ANSWER and its last transfer are done
 *             (front_request.c)
 *   item      one key of a request; goes on behind the answer while it deletes segments
 *             (front_item.c; the phases of segmented values in front_segments.c)
 *   op        one block of an item: every conversation with a volume or a client is an op's
 *             (front_op.c; the waits for credits and slabs in front_wait.c)
 *
 *   step:  input -> the op it names -> mkv_front_item_advance() of that op's item
 *          due deadlines and closed requests -> their items become ready
 *          ready items -> mkv_front_item_advance(), until the effects have no room for one more
 *
 *   op     IDLE -> (WAITING -> GRANTED ->)* FIND_POSTED, EXISTS_POSTED, READ_POSTED, BEGIN_POSTED,
 *                  PULL_POSTED, WRITE_POSTED, DELETE_POSTED -> ... -> DONE -> IDLE
 *          BEGIN_POSTED -> RESERVED -> GRANTED    ALLOCATE, and COMMIT
 *          DONE -> PUSH_POSTED -> IDLE
 *
 *   item   START -> SINGLE -> ENDING                              GET, EXISTS, PUT of one block
 *          START -> LEARN -> SINGLE -> ENDING                     DELETE, EXPIRE, PUT with REPLACE
 *          START -> LEARN -> PLACE -> CHECK -> SINGLE -> ENDING   EXPIRE of a manifest
 *          START -> SINGLE -> PLACE -> CHECK -> STREAM -> ENDING  GET of a manifest
 *          START -> LEARN -> PLACE (-> CHECK) -> SEGMENTS -> COMMIT -> ENDING   large PUT
 *          START (-> LEARN) -> SINGLE -> RESERVED -> SINGLE or ENDING   ALLOCATE, and COMMIT
 *          ENDING (-> CLEAN_PLACE) -> CLEAN -> freed              segments to delete
 *
 *   resident   a block of the memory tier, or one that is being read into it (front_memory.c)
 *
 *          FREE -> READING (one op reads it, others may wait for that) -> RESIDENT -> FREE
 *          FREE -> RESIDENT                       a PUT's slab stays
 *
 * Invariants
 *  I1  A waiting op is in exactly one list: of its volume and credit kind, of its connection's cap,
 *      the slab queue of its side, or of the resident that it waits for. Any other op is in none.
 *  I2  An op that is cancelled while something of it is posted is `doomed`: its answer unwinds it.
 *  I3  A decided item has its result in its request; an item whose request closed has none.
 *  I4  Only items in RESERVED, PERSIST, CLEAN_PLACE and CLEAN have no request, and those in ENDING
 *      that were RESERVED. Of these only those in PERSIST, whose slab counts against no connection,
 *      and RESERVED, whose slab counts against that of their ALLOCATE, hold one.
 *  I5  A resident that is found by its key is what the key holds: whatever ends a mutation of the
 *      key takes it out of the index first. One that is read is kept only if nothing did meanwhile.
 *  I6  The slab of a resident is given back when no op uses it; a resident that is used, or not yet
 *      durable (which its PUT's op uses), is never taken for another block.
 *
 * Not responsible for: anything outside core/front*.c.
 */
#ifndef MKV_CORE_FRONT_INTERNAL_H
#define MKV_CORE_FRONT_INTERNAL_H

#include "core/front_state.h"

/* front.c */

/* The next effect, all zero but its kind. There is room: see FRONT_EFFECTS_PER_ITEM_MAX. */
struct mkv_effect *mkv_front_emit(struct mkv_front *front, enum mkv_effect_kind kind);
/* FRONT_DATA_BYTES for the data of that effect, which becomes its message's. */
uint8_t *mkv_front_emit_data(struct mkv_front *front, struct mkv_effect *effect);

/* The figures of the item's tenant. */
struct mkv_front_tenant *mkv_front_tenant_of(struct mkv_front *front, uint32_t tenant);

/* front_wait.c */

/* The op's connection, or NULL when that has closed. */
struct front_connection *mkv_front_connection_of(struct mkv_front *front,
                                                 const struct front_op *op);
bool mkv_front_volume_online(const struct mkv_front *front, uint32_t volume);
/* Whether it is the connection of that id, and open. */
bool mkv_front_connection_is(struct mkv_front *front, struct mkv_connection_id id);
/* True when the op holds a credit of its kind; else it waits for one. */
bool mkv_front_credit_take(struct mkv_front *front, uint32_t op);
void mkv_front_credit_give(struct mkv_front *front, uint32_t op);
/* Whether there can ever be a slab for the bytes: a block may be from a time when larger ones were
 * allowed. */
bool mkv_front_slab_fits(const struct mkv_front *front, uint32_t payload_bytes);
/* True when units for the bytes are counted against the connection's cap; else it waits for that.
 */
bool mkv_front_cap_take(struct mkv_front *front, uint32_t op, uint32_t payload_bytes);
/* Whether mkv_front_cap_take would be true. */
bool mkv_front_cap_has_room(struct mkv_front *front, uint32_t op, uint32_t payload_bytes);
void mkv_front_cap_give(struct mkv_front *front, uint32_t op);
/* True when the op holds a slab of the units counted; else it waits for one. */
bool mkv_front_slab_take(struct mkv_front *front, uint32_t op);
/* True when the op waits for a read of its block that another op does; false when too many do. */
bool mkv_front_read_wait(struct mkv_front *front, uint32_t op, uint32_t resident);
/* Frees the slab, or leaves it to those who use it too; its units no longer count. */
void mkv_front_slab_give(struct mkv_front *front, uint32_t op);
/* Takes a waiting op out of its list. */
void mkv_front_wait_cancel(struct mkv_front *front, uint32_t op);
/* Makes every op that waits for a credit of the volume run and find it offline. */
void mkv_front_wait_volume_gone(struct mkv_front *front, uint32_t volume);
/* Takes all ops out of the connection's own list; they stay without a slab until cancelled. */
void mkv_front_wait_connection_gone(struct mkv_front *front, struct front_connection *connection);
/* True when the item has a segmented entry; else it waits for one. */
bool mkv_front_segmented_take(struct mkv_front *front, uint32_t item);
void mkv_front_segmented_give(struct mkv_front *front, uint32_t item);
void mkv_front_segmented_cancel(struct mkv_front *front, uint32_t item);
/* The item is advanced in this step or a later one. */
void mkv_front_item_ready(struct mkv_front *front, uint32_t item);

/* Goes on to take back slabs where the last step stopped. */
void mkv_front_slabs_go_on(struct mkv_front *front);

/* front_memory.c */

void mkv_front_memory_init(struct mkv_front *front);
/* What is resident under the op's key, and online; MKV_NONE_U32. */
uint32_t mkv_front_memory_find(struct mkv_front *front, const struct front_op *op,
                               const uint8_t *key, uint32_t key_bytes);
const struct front_resident *mkv_front_memory_at(struct mkv_front *front, uint32_t resident);
/* The op's read becomes the one that others wait for, if there is a place. Nothing is found under
 * its key. */
void mkv_front_memory_read_begin(struct mkv_front *front, uint32_t op, const uint8_t *key,
                                 uint32_t key_bytes);
/* The op waits for a read; false when too many do. */
bool mkv_front_memory_read_join(struct mkv_front *front, uint32_t op, uint32_t resident);
/* The next op that waits for the op's read, taken off; MKV_NONE_U32 behind the last. */
uint32_t mkv_front_memory_read_waiter(struct mkv_front *front, uint32_t op);
/* The op does not wait for that read any more. */
void mkv_front_memory_read_cancel(struct mkv_front *front, uint32_t op);
/* What is held expires then. */
void mkv_front_memory_expire(struct mkv_front *front, uint32_t resident, uint32_t expiry_s);
/* Whether the op's read is one that others may wait for. */
bool mkv_front_memory_reads(struct mkv_front *front, const struct front_op *op, uint32_t op_index);
/* The op's slab holds the whole block, which stays; the op uses it. */
void mkv_front_memory_read_done(struct mkv_front *front, uint32_t op);
/* Nobody waits for the op's read any more, and its block does not stay. */
void mkv_front_memory_read_end(struct mkv_front *front, uint32_t op);
/* The op uses a resident that is HELD. */
void mkv_front_memory_use(struct mkv_front *front, uint32_t op, uint32_t resident);
/* The op no longer does. */
void mkv_front_memory_leave(struct mkv_front *front, uint32_t op);
/* The key may hold something else from now on: what is resident under it, or is being read, is not
 * found any more. */
void mkv_front_memory_forget(struct mkv_front *front, const struct front_op *op, const uint8_t *key,
                             uint32_t key_bytes);
/* The PUT's slab stays as what its key holds, and the op uses it. False when there is no place. */
bool mkv_front_memory_keep(struct mkv_front *front, uint32_t op, const uint8_t *key,
                           uint32_t key_bytes, bool unpersisted);
/* The value is durable, or (false) it never will be and is gone. */
void mkv_front_memory_persisted(struct mkv_front *front, uint32_t op, bool durable);
/* Takes back the coldest slabs, so that one of the order can be had. False when it could not; there
 * may be more to look at, see `reclaims_due`. */
bool mkv_front_memory_reclaim(struct mkv_front *front, uint32_t order);

/* front_op.c */

/* Resets an idle op and routes it; the caller sets what the kind needs and then runs it. */
struct front_op *mkv_front_op_prepare(struct mkv_front *front, uint32_t op, uint32_t item,
                                      enum front_op_kind kind, uint32_t segment,
                                      uint64_t segment_id);
/* Goes on with an op that waits for nothing: takes what is missing or posts what is next. */
void mkv_front_op_run(struct mkv_front *front, uint32_t op);
/* Ends the op as far as that is possible at once; what is posted is doomed. A WRITE or DELETE that
 * is posted goes on to DONE: what it does can no longer be taken back. */
void mkv_front_op_cancel(struct mkv_front *front, uint32_t op, enum mkv_status status);
/* A DONE op with a slab: its bytes go to the client. `value_offset` is of the first byte. */
void mkv_front_op_push(struct mkv_front *front, uint32_t op, uint64_t value_offset, uint64_t length,
                       struct mkv_root root);
/* A DONE op gives back what it still holds. */
void mkv_front_op_free(struct mkv_front *front, uint32_t op);
void mkv_front_op_message(struct mkv_front *front, const struct mkv_input *input);
void mkv_front_op_fabric(struct mkv_front *front, const struct mkv_fabric_done *done);

/* Writes the op's key, at most MKV_KEY_BYTES_MAX bytes, and returns its length. */
uint32_t mkv_front_op_key(struct mkv_front *front, const struct front_op *op, uint8_t *target);
/* The op is over: it keeps its slab only if there are bytes in it to be pushed. */
void mkv_front_op_done(struct mkv_front *front, uint32_t op, enum mkv_status status,
                       enum mkv_miss miss);

/* Sends a message without a key, whose answer is due in EXISTS_POSTED. */
struct mkv_effect *mkv_front_op_ask(struct mkv_front *front, uint32_t op,
                                    enum mkv_message_kind kind);

/* front_session.c */

/* SESSION: asks the next volume that is online, or ends the op with what they said. */
void mkv_front_session_run(struct mkv_front *front, uint32_t op);
/* The volume has answered. */
void mkv_front_session_done(struct mkv_front *front, uint32_t op, enum mkv_status status);

/* front_op_memory.c */

/* GET: whether the block is in memory, or on its way there, so that no volume is asked. The op is
 * then DONE, or waits. */
bool mkv_front_op_from_memory(struct mkv_front *front, uint32_t op);
/* EXISTS: whether the block is in memory, and no lease is asked for; then the op is DONE. */
bool mkv_front_op_exists_in_memory(struct mkv_front *front, uint32_t op);
/* EXISTS: the volume has answered, of which memory may know better. */
void mkv_front_op_exists_settle(struct mkv_front *front, uint32_t op, enum mkv_status status,
                                enum mkv_miss miss);
/* Tells the volumes which of their blocks were read from memory, when that is worth a message. */
void mkv_front_touches_send(struct mkv_front *front);
/* GET: a read of the whole block, as far as is known before FOUND, is about to begin, and others
 * may wait for it. */
void mkv_front_op_share_read(struct mkv_front *front, uint32_t op);
/* The op read for others, too, and no block came of it. They end as it did where the volume has
 * answered; where the reason is the op's own they look anew. */
void mkv_front_op_read_over(struct mkv_front *front, uint32_t op, enum mkv_status status,
                            enum mkv_miss miss);
void mkv_front_op_read_alone(struct mkv_front *front, uint32_t op);
/* Whether a PUT may be answered before it is durable, if its volume says so, too. */
bool mkv_front_op_is_relaxed(struct mkv_front *front, const struct front_op *op);
/* The volume says so. The item answers, if its value finds a place in memory until then. */
void mkv_front_op_put_taken(struct mkv_front *front, uint32_t op);
/* What a PUT that was posted means for memory, before it is over. */
void mkv_front_op_put_settle(struct mkv_front *front, uint32_t op, enum mkv_status status);
/* What a DELETE came to. A block that the drive has given up may still have been in memory. */
enum mkv_status mkv_front_op_delete_settle(struct mkv_front *front, uint32_t op,
                                           enum mkv_status status);
/* What an EXPIRE came to: what memory holds expires then, too. */
void mkv_front_op_expire_settle(struct mkv_front *front, uint32_t op, enum mkv_status status);

/* front_item.c */

/* The MKV_PUT_* with which the item's value takes its key. */
static inline uint32_t mkv_front_item_put_flags(const struct front_item *item) {
    return (item->replace ? MKV_PUT_REPLACE : 0) | (item->if_absent ? MKV_PUT_IF_ABSENT : 0) |
           (item->if_present ? MKV_PUT_IF_PRESENT : 0);
}

/* Looks whether the item's connection closed or a deadline passed, runs what was granted, and takes
 * the item as far as it goes. The item may be free afterwards. */
void mkv_front_item_advance(struct mkv_front *front, uint32_t item);
/* The first half of an advance alone: for inputs that are about to change an op of the item. */
void mkv_front_item_check(struct mkv_front *front, uint32_t item);
/* Settles the result unless there is one, cancels every op, and ends the item. */
void mkv_front_item_abandon(struct mkv_front *front, uint32_t item, enum mkv_status status,
                            enum mkv_miss miss);
/* EXPIRE: of the item's own key, behind those of its segments. */
void mkv_front_item_expire(struct mkv_front *front, uint32_t item);
/* Settles the result and counts it; the last one of a request makes its ANSWER. */
void mkv_front_item_decide(struct mkv_front *front, uint32_t item,
                           const struct mkv_item_result *result);

/* front_segments.c: each returns true when the item may go on at once */

bool mkv_front_segments_check(struct mkv_front *front, uint32_t item);
bool mkv_front_segments_stream(struct mkv_front *front, uint32_t item);
bool mkv_front_segments_put(struct mkv_front *front, uint32_t item);
bool mkv_front_segments_commit(struct mkv_front *front, uint32_t item);
bool mkv_front_segments_clean(struct mkv_front *front, uint32_t item);
/* Goes on with an item in PLACE or CLEAN_PLACE that has got its entry. */
void mkv_front_segments_begin(struct mkv_front *front, uint32_t item);

/* front_request.c */

void mkv_front_request_accept(struct mkv_front *front, const struct mkv_input *input);
void mkv_front_request_answer_done(struct mkv_front *front, const struct mkv_fabric_done *done);
void mkv_front_request_closed(struct mkv_front *front, struct mkv_connection_id connection);
/* The item is decided and no transfer of it is left: it leaves its request. */
void mkv_front_request_detach(struct mkv_front *front, uint32_t item);
/* Breaks the request's connection unless that is done. */
void mkv_front_request_break(struct mkv_front *front, uint32_t request);

/* Sets the result of the request's item `position`; the last one makes its ANSWER. */
void mkv_front_request_result(struct mkv_front *front, uint32_t request, uint32_t position,
                              const struct mkv_item_result *result);

/* Its end is told: its place is free when nothing else of it can come back. */
void mkv_front_request_told(struct mkv_front *front, uint32_t request);

/* front_summary.c */

/* An accepted request begins. */
void mkv_front_summary_begin(struct mkv_front *front, uint32_t request,
                             const struct mkv_input *input);
/* What the item's ops do may have changed. */
void mkv_front_summary_stage(struct mkv_front *front, uint32_t item);
/* The item leaves its request. */
void mkv_front_summary_leave(struct mkv_front *front, uint32_t item);
/* The request's ANSWER is handed out. */
void mkv_front_summary_answered(struct mkv_front *front, uint32_t request, enum mkv_status status);
/* A drive took so long for the op. */
void mkv_front_summary_drive(struct mkv_front *front, const struct front_op *op, uint64_t drive_ns);
/* The op's PUT_READY, and its PUT_DONE behind a PUT_WRITE. */
void mkv_front_summary_reserved(struct mkv_front *front, const struct front_op *op);
void mkv_front_summary_written(struct mkv_front *front, const struct front_op *op,
                               const struct mkv_message *message);
/* Counts payload that a PULL (`in`) or a PUSH has moved. */
void mkv_front_summary_moved(struct mkv_front *front, const struct front_op *op, uint32_t bytes,
                             bool in);
/* The request has ended, unless it had before: that is to be told. */
void mkv_front_summary_end(struct mkv_front *front, uint32_t request);
/* Tells of requests that have ended, of some in each step. */
void mkv_front_summaries_tell(struct mkv_front *front);
/* Tells of a request that was refused; its ANSWER is handed out. */
void mkv_front_summary_refused(struct mkv_front *front, const struct mkv_input *input,
                               enum mkv_status status);

/* front_reserve.c */

/* An ALLOCATE's op, prepared, with its length and a volume that is online, counts as a reservation
 * from now on; false when there may be no more. */
bool mkv_front_reservation_count(struct mkv_front *front, uint32_t item);
void mkv_front_reservation_uncount(struct mkv_front *front, uint32_t item);
/* The op of an ALLOCATE is RESERVED: so is the item, which leaves its request with a name. */
void mkv_front_reservation_hold(struct mkv_front *front, uint32_t item);
/* Ends the reservation if its time is over, or its connection or volume is gone. */
void mkv_front_reservation_check(struct mkv_front *front, uint32_t item);
/* Takes up what a COMMIT that was accepted names. */
void mkv_front_commit(struct mkv_front *front, uint32_t request, const struct mkv_request *source);
void mkv_front_reservations_closed(struct mkv_front *front, struct front_connection *connection);
void mkv_front_reservations_of_volume_gone(struct mkv_front *front, uint32_t volume);

/* front_timer.c */

/* Timers by their number: requests, then reserved items. */
static inline uint32_t front_timer_of_item(const struct mkv_front *front, uint32_t item) {
    return front->config.requests_max + item;
}
void mkv_front_timer_set(struct mkv_front *front, uint32_t timer, uint64_t timer_ns);
void mkv_front_timer_remove(struct mkv_front *front, uint32_t timer);
/* Makes the items of due requests, and due reservations, ready. */
void mkv_front_timers_run(struct mkv_front *front);

#endif
