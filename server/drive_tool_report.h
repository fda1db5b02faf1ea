/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was found to be wrong with a drive: each fault has a kind, which scripts read, the unit
 * where it is, and a sentence. A note is what recovery takes care of by itself and that no fault of
 * the drive has caused, such as the torn tail of a journal.
 *
 * Not responsible for: where faults are told (the caller), nor for mending them.
 */
#ifndef MKV_SERVER_DRIVE_TOOL_REPORT_H
#define MKV_SERVER_DRIVE_TOOL_REPORT_H

#include "core/base.h"

#define MKV_DRIVE_FAULT_TEXT_BYTES 256u
/* Slots that are remembered because what they hold is to be dropped. */
#define MKV_DRIVE_REPORT_SLOTS_MAX (1u << 20)

enum mkv_drive_fault {
    MKV_DRIVE_FAULT_SUPERBLOCK_COPY = 0, /* a copy differs from the others */
    MKV_DRIVE_FAULT_SUPERBLOCK,          /* no two copies agree */
    MKV_DRIVE_FAULT_JOURNAL_COPY,        /* a flushed block, in one copy of the ring alone */
    MKV_DRIVE_FAULT_JOURNAL_BLOCK,       /* a flushed block, in neither copy */
    MKV_DRIVE_FAULT_JOURNAL_RECORD,      /* contradicts what was before it */
    MKV_DRIVE_FAULT_CHECKPOINT_HEAD,
    MKV_DRIVE_FAULT_CHECKPOINT_TENANTS,
    MKV_DRIVE_FAULT_CHECKPOINT_PAGE,
    MKV_DRIVE_FAULT_EXTENT_MAP,   /* groups overlap, or their pages are not in a row */
    MKV_DRIVE_FAULT_SLOT_TABLE,   /* two blocks of one key, no such tenant */
    MKV_DRIVE_FAULT_SLOT_HEADER,  /* unreadable, rotten, or another block's */
    MKV_DRIVE_FAULT_SLOT_PAYLOAD, /* a chunk is not what its sum says */
    MKV_DRIVE_FAULT_DIRECTORY_ROOT,
    MKV_DRIVE_FAULT_DIRECTORY_NODE,
    MKV_DRIVE_FAULT_DIRECTORY_ENTRY, /* a key that is not its block's, or that is missing */
    MKV_DRIVE_FAULT_COUNT_WRONG,     /* a stored count is not what was counted */
    MKV_DRIVE_FAULT_RECOVERY,        /* recovery does not come to what was read here */
};
#define MKV_DRIVE_FAULT_COUNT 17u
/* "slot_header" */
const char *mkv_drive_fault_name(enum mkv_drive_fault fault);

struct mkv_drive_report_slot {
    uint32_t slot;
    uint64_t unit; /* of its header */
};

struct mkv_drive_report {
    /* Each may be NULL. */
    void (*fault)(void *context, enum mkv_drive_fault fault, uint64_t unit, const char *text);
    void (*note)(void *context, const char *text);
    /* Bytes of blocks that were looked at, of so many. */
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *context;

    uint64_t counts[MKV_DRIVE_FAULT_COUNT];
    uint64_t total;
    uint64_t notes;
    /* Slots whose block cannot be right; more than there is room for are counted. */
    struct mkv_drive_report_slot *slots;
    uint32_t slot_count;
    uint32_t slot_capacity;
    uint64_t slots_left_out;
};

__attribute__((format(printf, 4, 5))) void mkv_drive_report_fault(struct mkv_drive_report *report,
                                                                  enum mkv_drive_fault fault,
                                                                  uint64_t unit, const char *format,
                                                                  ...);
__attribute__((format(printf, 2, 3))) void mkv_drive_report_note(struct mkv_drive_report *report,
                                                                 const char *format, ...);
/* The block in this slot, whose header is in this unit, is to go. */
void mkv_drive_report_slot(struct mkv_drive_report *report, uint32_t slot, uint64_t unit);
/* Frees the slots; the counts stay. */
void mkv_drive_report_end(struct mkv_drive_report *report);

#endif
