/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planted bugs of the core. Each takes out one clause of the design; the simulator must find
 * what that costs. They exist only in the archive built with MKV_CANARIES, where
 * mkv_canary_is_on (core/base.h) asks the simulator; in what ships, MKV_CANARY is the constant
 * false and the names below are the only trace.
 *
 * Not responsible for: switching one on, nor for finding it (sim/).
 */
#ifndef MKV_CORE_CANARY_H
#define MKV_CORE_CANARY_H

#include "core/base.h"

enum mkv_canary {
    MKV_CANARY_RECORD_BEFORE_DATA,
    MKV_CANARY_ANSWER_BEFORE_FLUSH,
    MKV_CANARY_SLOT_REUSED_BEFORE_DROP,
    MKV_CANARY_GENERATION_WITHOUT_EPOCH,
    MKV_CANARY_JOURNAL_SEQUENCE_UNCHECKED,
    MKV_CANARY_HEADER_UNCHECKED,
    MKV_CANARY_SUPERBLOCK_ALL_AT_ONCE,
    MKV_CANARY_SUPERBLOCK_NOT_REPAIRED,
    MKV_CANARY_EPOCH_NOT_FLUSHED,
    MKV_CANARY_CHAIN_UNCHECKED,
    MKV_CANARY_RING_REUSED_BEFORE_FLIP,
    MKV_CANARY_FLIP_BEFORE_FLUSH,
    MKV_CANARY_SINGLE_COPY_NOT_REPAIRED,
    MKV_CANARY_SUPERBLOCK_SINGLE_COPY_TRUSTED,
    MKV_CANARY_STAMP_IGNORED,
    MKV_CANARY_DELETE_ANSWERED_EARLY,
    MKV_CANARY_SET_OPENED_WITH_MISSING_MEMBER,
    MKV_CANARY_OLDER_DRIVE_KEEPS_CONTENT,
    MKV_CANARY_SET_ROUTED_BEFORE_DURABLE,
    MKV_CANARY_TWO_SETS_NOT_REFUSED,
    MKV_CANARY_WORD_WITHOUT_STEP,
    MKV_CANARY_JOINED_WITHOUT_PURGE,
    MKV_CANARY_JOINED_BEFORE_MEMBERS,
    MKV_CANARY_TENANT_DROP_NOT_IN_CHECKPOINT,
    MKV_CANARY_PUT_JOURNALED_UNDER_TENANT_DROP,
    MKV_CANARY_SPAN_MEMBER_TAKEN,
    MKV_CANARY_EXTENT_CHANGE_BEFORE_DROPS_DURABLE,
    MKV_CANARY_EMPTIED_SLOT_REUSED_WHILE_HELD,
    MKV_CANARY_TRIM_OVERLAPS_WRITE,
    MKV_CANARY_COUNT
};

#ifdef MKV_CANARIES
/* The name by which memkv-sim reports and selects it, such as "record-before-data". */
const char *mkv_canary_name(unsigned canary);
/* One sentence: what the core then does wrong. */
const char *mkv_canary_description(unsigned canary);
#endif

#endif
