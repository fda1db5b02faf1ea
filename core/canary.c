/* SPDX-License-Identifier: Apache-2.0 */
#include "core/canary.h"

#ifdef MKV_CANARIES

struct canary_text {
    const char *name;
    const char *description;
};

static const struct canary_text texts[MKV_CANARY_COUNT] = {
    [MKV_CANARY_RECORD_BEFORE_DATA] =
        {"record-before-data",
         "The record of a put joins a journal block before the write of its slot has completed."},
    [MKV_CANARY_ANSWER_BEFORE_FLUSH] =
        {"answer-before-flush",
         "A put is answered when its journal block is written, before the flush that covers it."},
    [MKV_CANARY_SLOT_REUSED_BEFORE_DROP] =
        {"slot-reused-before-drop",
         "A slot is given to another block before the DROP of the last one is durable."},
    [MKV_CANARY_GENERATION_WITHOUT_EPOCH] =
        {"generation-without-epoch",
         "Generations carry no epoch and their counter starts again with each opening."},
    [MKV_CANARY_JOURNAL_SEQUENCE_UNCHECKED] =
        {"journal-sequence-unchecked",
         "Replay takes a journal block at its ring position whatever sequence it holds."},
    [MKV_CANARY_HEADER_UNCHECKED] =
        {"header-unchecked",
         "A read believes the header of a slot without comparing key, generation and sums."},
    [MKV_CANARY_SUPERBLOCK_ALL_AT_ONCE] =
        {"superblock-all-at-once",
         "The four copies of the superblock are written together, under one flush."},
    [MKV_CANARY_SUPERBLOCK_NOT_REPAIRED] =
        {"superblock-not-repaired",
         "Opening leaves superblock copies that differ from the chosen content as they are."},
    [MKV_CANARY_EPOCH_NOT_FLUSHED] =
        {"epoch-not-flushed",
         "Recovery writes journal blocks of the new epoch before that epoch is durable."},
    [MKV_CANARY_CHAIN_UNCHECKED] =
        {"chain-unchecked",
         "Replay does not compare a journal block with the checksum of the block before it."},
    [MKV_CANARY_RING_REUSED_BEFORE_FLIP] =
        {"ring-reused-before-flip",
         "Journal blocks are overwritten before the superblock that no longer needs them is "
         "durable."},
    [MKV_CANARY_FLIP_BEFORE_FLUSH] =
        {"flip-before-flush",
         "The superblock names a checkpoint side before a flush has covered all its pages."},
    [MKV_CANARY_SINGLE_COPY_NOT_REPAIRED] =
        {"single-copy-not-repaired",
         "A journal block found in one ring copy only is not written to the other before serving."},
    [MKV_CANARY_SUPERBLOCK_SINGLE_COPY_TRUSTED] =
        {"superblock-single-copy-trusted",
         "A single valid superblock copy with the highest sequence is taken for the superblock."},
    [MKV_CANARY_STAMP_IGNORED] =
        {"stamp-ignored", "Replay applies records to checkpoint pages that already contain them."},
    [MKV_CANARY_DELETE_ANSWERED_EARLY] = {"delete-answered-early",
                                          "A delete is answered before its DROP is durable."},
    [MKV_CANARY_SET_OPENED_WITH_MISSING_MEMBER] =
        {"set-opened-with-missing-member",
         "A drive set is opened although members of it are missing and nobody says they are lost."},
    [MKV_CANARY_OLDER_DRIVE_KEEPS_CONTENT] =
        {"older-drive-keeps-content",
         "A drive of any older set keeps its content under a newer one that names it."},
    [MKV_CANARY_SET_ROUTED_BEFORE_DURABLE] =
        {"set-routed-before-durable",
         "Keys go where a new drive set says before that set is durable on its members."},
    [MKV_CANARY_TWO_SETS_NOT_REFUSED] =
        {"two-sets-not-refused",
         "Of two drive sets with the newest version one is taken without the operator's word."},
    [MKV_CANARY_WORD_WITHOUT_STEP] =
        {"word-without-step",
         "A drive set made by the operator's word takes the next version, as any other."},
    [MKV_CANARY_JOINED_WITHOUT_PURGE] =
        {"joined-without-purge",
         "A drive joins a set although members still hold blocks of the keys that it takes."},
    [MKV_CANARY_JOINED_BEFORE_MEMBERS] =
        {"joined-before-members",
         "A drive that joins opens under the new set before the members have it."},
    [MKV_CANARY_PURGED_ONCE] =
        {"purged-once",
         "When a drive joins, members that have purged for an earlier one do not purge again."},
    [MKV_CANARY_PUT_TAKEN_BEHIND_PURGE] =
        {"put-taken-behind-purge",
         "A put that is under way when its key goes to a joining drive still gets a record."},
    [MKV_CANARY_RETURNED_DRIVE_KEEPS_CONTENT] =
        {"returned-drive-keeps-content",
         "A drive that is taken out and brought back while others serve keeps what it held."},
    [MKV_CANARY_TENANT_DROP_NOT_IN_CHECKPOINT] =
        {"tenant-drop-not-in-checkpoint",
         "A checkpoint holds a tenant that is being dropped as if it were not."},
    [MKV_CANARY_PUT_JOURNALED_UNDER_TENANT_DROP] =
        {"put-journaled-under-tenant-drop",
         "A put whose tenant was dropped while its slot was written still gets a record."},
    [MKV_CANARY_TENANT_COUNT_DRIFTS] =
        {"tenant-count-drifts",
         "A block that another content replaces stays in the count of its tenant."},
    [MKV_CANARY_TENANT_ID_FORGOTTEN] =
        {"tenant-id-forgotten",
         "A checkpoint knows the ids of those tenants alone that have a place."},
    [MKV_CANARY_TENANT_FALLS_BACK] =
        {"tenant-falls-back",
         "A read of a key that its tenant does not have finds that of the default tenant."},
    [MKV_CANARY_SPAN_MEMBER_TAKEN] =
        {"span-member-taken",
         "An extent that is used as part of a group is given a class of its own."},
    [MKV_CANARY_EXTENT_CHANGE_BEFORE_DROPS_DURABLE] =
        {"extent-change-before-drops-durable",
         "An extent that is emptied gives its class back before the DROPs in it are durable."},
    [MKV_CANARY_EMPTIED_SLOT_REUSED_WHILE_HELD] =
        {"emptied-slot-reused-while-held",
         "A slot of an extent that is emptied counts as free while an operation still reads it."},
    [MKV_CANARY_SCRUB_WITHOUT_HOLD] =
        {"scrub-without-hold", "The scrubber reads a slot that may be given out meanwhile."},
    [MKV_CANARY_TRIM_OVERLAPS_WRITE] =
        {"trim-overlaps-write",
         "An extent that is being trimmed is given to a class, and written, before the drive has "
         "answered."},
    [MKV_CANARY_DIRECTORY_ROOT_BEFORE_FLUSH] =
        {"directory-root-before-flush",
         "The directory's root unit names nodes that no flush has covered."},
    [MKV_CANARY_DIRECTORY_PAGES_REUSED_EARLY] =
        {"directory-pages-reused-early", "Pages of the directory's last tree are written again "
                                         "before the root unit of the next one is durable."},
    [MKV_CANARY_DIRECTORY_UNLISTED_FORGOTTEN] =
        {"directory-unlisted-forgotten",
         "Opening does not look for the blocks whose puts came after the directory's last commit."},
    [MKV_CANARY_DIRECTORY_FLOOR_AHEAD] =
        {"directory-floor-ahead",
         "A commit of the directory vouches for generations of puts that are still under way."},
    [MKV_CANARY_DIRECTORY_OVERFLOW_FORGOTTEN] =
        {"directory-overflow-forgotten",
         "A block for which the directory's queue has no room is not marked as unlisted."},
    [MKV_CANARY_DIRECTORY_GENERATION_UNCHECKED] =
        {"directory-generation-unchecked",
         "A listing shows an entry whose slot holds another block by now."},
    [MKV_CANARY_JOURNAL_ERROR_IGNORED] = {"journal-error-ignored",
                                          "A journal block whose write failed counts as written."},
    [MKV_CANARY_FLUSH_ERROR_IGNORED] = {"flush-error-ignored",
                                        "A flush that failed counts as completed."},
    [MKV_CANARY_SUPERBLOCK_ERROR_IGNORED] =
        {"superblock-error-ignored", "A superblock copy whose write failed counts as written."},
    [MKV_CANARY_CHECKPOINT_ERROR_IGNORED] =
        {"checkpoint-error-ignored",
         "A checkpoint some of whose pages could not be written is named by the superblock."},
    [MKV_CANARY_DATA_ERROR_IGNORED] =
        {"data-error-ignored", "A put whose data could not be written goes on as if it were."},
    [MKV_CANARY_NO_ROOM_RETIRES_SLOT] =
        {"no-room-retires-slot",
         "The slot of a put that found no room is not given out again until the restart."},
    [MKV_CANARY_FAILED_SLOT_REUSED] = {"failed-slot-reused",
                                       "A slot whose write failed is given to the next put, and "
                                       "the failed write may arrive late."},
    [MKV_CANARY_LATE_TRIM_IGNORED] =
        {"late-trim-ignored",
         "The volume goes on after a trim that was given up, and may have its effect later."},
    [MKV_CANARY_FAILURE_LEAVES_WAITING] =
        {"failure-leaves-waiting",
         "When the drive fails, operations that wait for it are not answered."},
    [MKV_CANARY_MEDIUM_READ_NOT_QUARANTINED] =
        {"medium-read-not-quarantined",
         "A block that the medium has lost stays, and is found again and again."},
    [MKV_CANARY_CORRUPT_READ_NOT_QUARANTINED] =
        {"corrupt-read-not-quarantined",
         "A block that failed its check stays, and is found again and again."},
    [MKV_CANARY_CORRUPT_CANDIDATE_PASSED_OVER] =
        {"corrupt-candidate-passed-over",
         "A mutation passes over a block that cannot be told, without dropping it first."},
    [MKV_CANARY_QUARANTINE_OF_WHAT_FOLLOWED] =
        {"quarantine-of-what-followed",
         "A quarantine drops what is in the slot by then, whatever its generation."},
    [MKV_CANARY_PAYLOAD_UNCHECKED] = {"payload-unchecked",
                                      "A read does not compare the sums of payload chunks."},
    [MKV_CANARY_RANGE_UNCHECKED] =
        {"range-unchecked", "A read of a range from the middle of a block does not compare sums."},
    [MKV_CANARY_GENERATION_UNCHECKED] =
        {"generation-unchecked",
         "A read does not compare the generation in the header with that of the table."},
    [MKV_CANARY_WALK_NOT_RESTARTED] =
        {"walk-not-restarted",
         "A read that walks the slots of a tag does not notice that they change under it."},
    [MKV_CANARY_LOCK_NOT_TAKEN] = {"lock-not-taken", "Two mutations of a key go on at a time."},
    [MKV_CANARY_OVERTAKEN_PUT_NOT_CHECKED] =
        {"overtaken-put-not-checked",
         "A slow put that others of its key have overtaken does not look again."},
    [MKV_CANARY_DEDUP_BY_LENGTH] =
        {"dedup-by-length", "A put of the length that is live counts as a put of what is live."},
    [MKV_CANARY_HOLD_IGNORED] =
        {"hold-ignored",
         "A slot is free as soon as its DROP is durable, though a read still uses it."},
    [MKV_CANARY_CHAIN_ANCHOR_KEPT] =
        {"chain-anchor-kept",
         "A superblock does not take over the checksum of the block before its journal sequence."},
    [MKV_CANARY_FLUSHED_OVER_CLAIMED] =
        {"flushed-over-claimed",
         "A journal block states that blocks were flushed which are only written."},
    [MKV_CANARY_STAMP_OLDER_THAN_APPLIED] =
        {"stamp-older-than-applied",
         "Pages are stamped with the block at which their checkpoint began."},
    [MKV_CANARY_CHECKPOINT_NUMBER_REUSED] =
        {"checkpoint-number-reused", "A checkpoint has the number of one that a crash cut off."},
    [MKV_CANARY_GENERATIONS_NOT_RESERVED] =
        {"generations-not-reserved",
         "Superblocks do not reserve generations: those without a record are given out again."},
    [MKV_CANARY_OPENED_WITHOUT_FLUSH] =
        {"opened-without-flush",
         "Recovery decides before a flush on what a killed process left in the cache."},
    [MKV_CANARY_SHRUNK_DRIVE_OPENED] =
        {"shrunk-drive-opened", "A drive is opened that is smaller than its superblock says."},
    [MKV_CANARY_SWAPPED_DRIVE_OPENED] = {"swapped-drive-opened",
                                         "A drive is opened that is another one of the store."},
    [MKV_CANARY_SCAN_IGNORES_STAMPS] =
        {"scan-ignores-stamps",
         "A hole in the journal is cut although the stamp of a page says that it was flushed."},
    [MKV_CANARY_HOLE_ALWAYS_CUT] = {"hole-always-cut",
                                    "A hole in the journal is always taken for a torn tail."},
    [MKV_CANARY_UNREADABLE_TAKEN_FOR_ABSENT] =
        {"unreadable-taken-for-absent",
         "A journal block that cannot be read is taken for one that was never written."},
    [MKV_CANARY_EMPTIED_JOURNAL_GOES_ON] =
        {"emptied-journal-goes-on",
         "Coming up empty keeps the place of the journal, so that its old blocks follow on."},
    [MKV_CANARY_DAMAGED_CHECKPOINT_KEPT] =
        {"damaged-checkpoint-kept", "Of a damaged checkpoint the pages that are sound are kept."},
    [MKV_CANARY_RESIDENT_KEPT_OVER_REPLACE] =
        {"resident-kept-over-replace",
         "A block stays in memory as what its key holds when another has taken its place."},
    [MKV_CANARY_RESIDENT_KEPT_OVER_DELETE] = {"resident-kept-over-delete",
                                              "A block stays in memory when it is deleted."},
    [MKV_CANARY_READ_KEPT_OVER_MUTATION] =
        {"read-kept-over-mutation",
         "A block that is being read while its key is mutated stays in memory."},
    [MKV_CANARY_SLAB_GIVEN_BY_FIRST_USER] =
        {"slab-given-by-first-user",
         "The slab of a block in memory is given back by the first of several transfers from it."},
    [MKV_CANARY_DURABLE_PUT_ANSWERED_EARLY] =
        {"durable-put-answered-early", "A put that is to be durable is answered as a relaxed one."},
    [MKV_CANARY_RELAXED_PUT_OVER_OLD_ANSWERED_EARLY] =
        {"relaxed-put-over-old-answered-early",
         "A relaxed put is answered before the DROP of what it replaces is durable."},
    [MKV_CANARY_UNWRITTEN_PUT_OVER_OLD] =
        {"unwritten-put-over-old",
         "A relaxed put that replaces a live block may not be written, and that block stays."},
    [MKV_CANARY_RESERVATION_OUTLIVES_CONNECTION] =
        {"reservation-outlives-connection",
         "A reservation is neither found nor given back when its connection is closed."},
    [MKV_CANARY_RESERVATION_TAKEN_FOR_ANOTHER] =
        {"reservation-taken-for-another",
         "A COMMIT that names a reservation which has ended takes up the one in its place."},
    [MKV_CANARY_EQUAL_VALUE_CONFLICTS] =
        {"equal-value-conflicts",
         "Of two puts of one value above a block at the same time the second is a conflict."},
    [MKV_CANARY_ROOT_LATER_PUT_REPLACES] =
        {"root-later-put-replaces",
         "A put whose root comes with its bytes takes the place of what is live, uncompared."},
    [MKV_CANARY_LIVE_SEGMENTS_DROPPED] =
        {"live-segments-dropped",
         "A replacing put of a value above one block drops the segments of its own."},
    [MKV_CANARY_ABSENCE_DECIDED_UNLOCKED] =
        {"absence-decided-unlocked",
         "A put for a key that holds nothing looks when it comes, not when it has the lock."},
    [MKV_CANARY_QUOTA_WITHOUT_RESERVED] =
        {"quota-without-reserved",
         "A put that asks for room in a quota does not count the puts that are under way."},
    [MKV_CANARY_RETIRED_SLOT_FORGOTTEN] =
        {"retired-slot-forgotten", "A checkpoint holds a slot that is retired as if it were free."},
    [MKV_CANARY_EXPIRED_BLOCK_SERVED] = {"expired-block-served",
                                         "A read finds a block whose time is over."},
    [MKV_CANARY_EXPIRED_BLOCK_TAKEN_FOR_LIVE] =
        {"expired-block-taken-for-live",
         "A put of what has expired counts as a put of what is live."},
    [MKV_CANARY_EXPIRY_NOT_RECORDED] =
        {"expiry-not-recorded", "A put that prolongs what is live does so in memory alone."},
    [MKV_CANARY_EXPIRY_DROP_NOT_CHECKED] =
        {"expiry-drop-not-checked",
         "The drop of an expired block does not notice that a put before it has prolonged it."},
    [MKV_CANARY_EXPIRE_ANSWERED_EARLY] = {"expire-answered-early",
                                          "An EXPIRE is answered before its record is durable."},
    [MKV_CANARY_EXPIRY_KEPT_IN_MEMORY] =
        {"expiry-kept-in-memory",
         "A block in memory keeps the expiry that it had when it came, whatever EXPIRE says."},
    [MKV_CANARY_LEASE_IGNORED_BY_EMPTYING] =
        {"lease-ignored-by-emptying", "An extent that runs empty takes leased blocks with it."},
    [MKV_CANARY_LEASE_GRANTED_TO_VICTIM] = {"lease-granted-to-victim",
                                            "A block whose eviction is on its way is leased."},
    [MKV_CANARY_EVICTED_SLOT_REUSED_BEFORE_DROP] =
        {"evicted-slot-reused-before-drop",
         "The slot of an evicted block is given out when its DROP is merely issued."},
    [MKV_CANARY_GHOST_TAG_IGNORED] =
        {"ghost-tag-ignored",
         "A miss is told as evicted because of another key that was evicted, whatever its tag."},
    [MKV_CANARY_TENANTS_COUNTED_EARLY] = {"tenants-counted-early",
                                          "Recovery counts a page's blocks by tenant when it has "
                                          "linked the page, and not when every "
                                          "extent is known."},
    [MKV_CANARY_DEMOTION_CAPTURED] =
        {"demotion-captured",
         "A checkpoint holds the tier that a block was moved to, and not the one of its put."},
    [MKV_CANARY_TIER_NOT_RECORDED] = {"tier-not-recorded",
                                      "The record of a put says that its block is unhinted."},
    [MKV_CANARY_EXIT_THINK_DEMOTES_ALL] =
        {"exit-think-demotes-all",
         "The end of a reasoning phase moves all blocks of its session, and not only those of it."},
    [MKV_CANARY_SESSION_NODE_UNCHECKED] =
        {"session-node-unchecked",
         "The end of a session also moves what its blocks have made room for since."},
    [MKV_CANARY_SESSION_NODES_LEAK] = {"session-nodes-leak",
                                       "A session that ends keeps the places of its blocks."},
    [MKV_CANARY_TIERS_IGNORED] = {"tiers-ignored",
                                  "A victim is looked for in the highest tier of its class."},
    [MKV_CANARY_DROPPED_REQUEST_NOT_TOLD] =
        {"dropped-request-not-told",
         "No end is told of a request whose connection closed before its answer."},
    [MKV_CANARY_ENDED_REQUEST_TOLD_AGAIN] =
        {"ended-request-told-again",
         "A request that was answered, and whose write goes on, ends again with its connection."},
    [MKV_CANARY_FLUSH_TIME_COUNTED_TWICE] =
        {"flush-time-counted-twice",
         "The time from data on the drive to a durable record counts as write, too."},
    [MKV_CANARY_PART_ANSWER_LOST] =
        {"part-answer-lost",
         "A request of several fronts waits for more answers than it has parts."},
    [MKV_CANARY_PART_ITEM_NOT_MAPPED] =
        {"part-item-not-mapped",
         "What a part moves is told to the client by the item of the part, not of the request."},
    [MKV_CANARY_LOOKUP_PARTS_SUMMED] =
        {"lookup-parts-summed",
         "A LOOKUP over shards counts what is there, not what is there as a prefix."},
    [MKV_CANARY_CLOSE_TOLD_TO_ONE_FRONT] =
        {"close-told-to-one-front",
         "Of the other shards with requests of a connection that closes, one is told."},
    [MKV_CANARY_GONE_CONNECTION_SERVED] =
        {"gone-connection-served",
         "What a front sent to a connection that is gone goes to the next one of its index."},
    [MKV_CANARY_ANSWERED_BY_FIRST_PART] =
        {"answered-by-first-part",
         "A request is answered when its first part is, before others have sent their bytes."},
};

const char *mkv_canary_name(unsigned canary) {
    MKV_ASSERT(canary < MKV_CANARY_COUNT);
    return texts[canary].name;
}

const char *mkv_canary_description(unsigned canary) {
    MKV_ASSERT(canary < MKV_CANARY_COUNT);
    return texts[canary].description;
}

#endif
