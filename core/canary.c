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
    [MKV_CANARY_TENANT_DROP_NOT_IN_CHECKPOINT] =
        {"tenant-drop-not-in-checkpoint",
         "A checkpoint holds a tenant that is being dropped as if it were not."},
    [MKV_CANARY_PUT_JOURNALED_UNDER_TENANT_DROP] =
        {"put-journaled-under-tenant-drop",
         "A put whose tenant was dropped while its slot was written still gets a record."},
    [MKV_CANARY_SPAN_MEMBER_TAKEN] =
        {"span-member-taken",
         "An extent that is used as part of a group is given a class of its own."},
    [MKV_CANARY_EXTENT_CHANGE_BEFORE_DROPS_DURABLE] =
        {"extent-change-before-drops-durable",
         "An extent that is emptied gives its class back before the DROPs in it are durable."},
    [MKV_CANARY_EMPTIED_SLOT_REUSED_WHILE_HELD] =
        {"emptied-slot-reused-while-held",
         "A slot of an extent that is emptied counts as free while an operation still reads it."},
    [MKV_CANARY_TRIM_OVERLAPS_WRITE] =
        {"trim-overlaps-write",
         "An extent that is being trimmed is given to a class, and written, before the drive has "
         "answered."},
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
