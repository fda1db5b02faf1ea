/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS_FIRST 64u

const char *mkv_drive_fault_name(enum mkv_drive_fault fault) {
    static const char *const names[MKV_DRIVE_FAULT_COUNT] = {
        [MKV_DRIVE_FAULT_SUPERBLOCK_COPY] = "superblock_copy",
        [MKV_DRIVE_FAULT_SUPERBLOCK] = "superblock",
        [MKV_DRIVE_FAULT_JOURNAL_COPY] = "journal_copy",
        [MKV_DRIVE_FAULT_JOURNAL_BLOCK] = "journal_block",
        [MKV_DRIVE_FAULT_JOURNAL_RECORD] = "journal_record",
        [MKV_DRIVE_FAULT_CHECKPOINT_HEAD] = "checkpoint_head",
        [MKV_DRIVE_FAULT_CHECKPOINT_TENANTS] = "checkpoint_tenants",
        [MKV_DRIVE_FAULT_CHECKPOINT_PAGE] = "checkpoint_page",
        [MKV_DRIVE_FAULT_EXTENT_MAP] = "extent_map",
        [MKV_DRIVE_FAULT_SLOT_TABLE] = "slot_table",
        [MKV_DRIVE_FAULT_SLOT_HEADER] = "slot_header",
        [MKV_DRIVE_FAULT_SLOT_PAYLOAD] = "slot_payload",
        [MKV_DRIVE_FAULT_DIRECTORY_ROOT] = "directory_root",
        [MKV_DRIVE_FAULT_DIRECTORY_NODE] = "directory_node",
        [MKV_DRIVE_FAULT_DIRECTORY_ENTRY] = "directory_entry",
        [MKV_DRIVE_FAULT_COUNT_WRONG] = "count",
        [MKV_DRIVE_FAULT_RECOVERY] = "recovery",
    };
    return names[fault];
}

void mkv_drive_report_fault(struct mkv_drive_report *report, enum mkv_drive_fault fault,
                            uint64_t unit, const char *format, ...) {
    char text[MKV_DRIVE_FAULT_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    report->counts[fault]++;
    report->total++;
    if (report->fault != NULL) {
        report->fault(report->context, fault, unit, text);
    }
}

void mkv_drive_report_note(struct mkv_drive_report *report, const char *format, ...) {
    char text[MKV_DRIVE_FAULT_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    report->notes++;
    if (report->note != NULL) {
        report->note(report->context, text);
    }
}

void mkv_drive_report_slot(struct mkv_drive_report *report, uint32_t slot, uint64_t unit) {
    if (report->slot_count > 0 && report->slots[report->slot_count - 1].slot == slot) {
        return;
    }
    if (report->slot_count == report->slot_capacity) {
        const uint32_t capacity =
            report->slot_capacity == 0 ? SLOTS_FIRST : 2 * report->slot_capacity;
        struct mkv_drive_report_slot *slots = capacity <= MKV_DRIVE_REPORT_SLOTS_MAX
                                                  ? realloc(report->slots, capacity * sizeof *slots)
                                                  : NULL;
        if (slots == NULL) {
            report->slots_left_out++;
            return;
        }
        report->slots = slots;
        report->slot_capacity = capacity;
    }
    report->slots[report->slot_count] = (struct mkv_drive_report_slot){slot, unit};
    report->slot_count++;
}

void mkv_drive_report_end(struct mkv_drive_report *report) {
    free(report->slots);
    report->slots = NULL;
    report->slot_count = 0;
    report->slot_capacity = 0;
}
