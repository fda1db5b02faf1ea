/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/promise.h"

#include "sim/failure.h"

enum mkv_promise mkv_promise_of(uint64_t fault_mask) {
    const uint32_t relaxes = mkv_faults_relax(fault_mask);
    if ((relaxes & MKV_RELAX_LYING) != 0) {
        return MKV_PROMISE_LYING;
    }
    const bool outage = (relaxes & MKV_RELAX_OUTAGE) != 0;
    if ((relaxes & MKV_RELAX_MEDIA) != 0) {
        return outage ? MKV_PROMISE_MEDIA_AND_OUTAGE : MKV_PROMISE_MEDIA;
    }
    return outage ? MKV_PROMISE_OUTAGE : MKV_PROMISE_CRASH_ONLY;
}

const char *mkv_promise_name(enum mkv_promise promise) {
    static const char *const names[] = {"crash-only", "outage", "media", "media-and-outage",
                                        "lying"};
    MKV_ASSERT(promise < MKV_PROMISE_COUNT);
    return names[promise];
}

static bool lies(const struct mkv_faults *faults) {
    return (mkv_faults_relax(faults->plan.mask) & MKV_RELAX_LYING) != 0;
}

bool mkv_promise_excuses_error(const struct mkv_faults *faults) {
    return faults->errors_life > 0 || faults->stalls_life > 0 || lies(faults);
}

static bool explains_open_failure(const struct mkv_faults *faults, enum mkv_fault_opening opening,
                                  enum mkv_err err) {
    switch ((unsigned)err) {
    case MKV_ERR_DRIVE_IO:
        return faults->errors_life > 0;
    case MKV_CORRUPT_SUPERBLOCK:
        return faults->superblock_errors_life > 0; /* too few copies could be read to have a pair */
    case MKV_ERR_SHRUNK:
        return opening == MKV_OPENING_SHRUNK;
    case MKV_ERR_FOREIGN:
        return opening == MKV_OPENING_SWAPPED;
    default:
        return false;
    }
}

void mkv_promise_judge(const struct mkv_faults *faults, enum mkv_fault_opening opening,
                       uint32_t volume, const struct mkv_event *event) {
    if (lies(faults)) {
        return;
    }
    switch (event->kind) {
    case MKV_EVENT_OPEN_FAILED:
        if (!explains_open_failure(faults, opening, event->err)) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u cannot be opened: error %u", volume,
                     (unsigned)event->err);
        }
        break;
    case MKV_EVENT_OPENED:
        if (opening == MKV_OPENING_SHRUNK || opening == MKV_OPENING_SWAPPED) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u opens a drive that is %s", volume,
                     opening == MKV_OPENING_SHRUNK ? "too small" : "another one");
        }
        break;
    case MKV_EVENT_CAME_UP_EMPTY:
        if (!mkv_faults_explain_empty(faults, event->err)) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u gives up its content: error %u at block %llu",
                     volume, (unsigned)event->err, (unsigned long long)event->value[0]);
        }
        break;
    case MKV_EVENT_DRIVE_ERROR:
        if (faults->errors_life == 0 && faults->no_room_life == 0) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u reports an error of a drive that had none",
                     volume);
        }
        break;
    case MKV_EVENT_DRIVE_FAILED:
        /* A file system without room is no error of the drive, which goes on. */
        if (faults->errors_life == 0) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u gives up a drive that had no error", volume);
        }
        break;
    case MKV_EVENT_BLOCK_QUARANTINED:
        if (faults->content_hits == 0) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u drops slot %llu of a drive that has lost none",
                     volume, (unsigned long long)event->value[0]);
        }
        break;
    case MKV_EVENT_DRIVE_STALLED:
        if (faults->stalls_life == 0) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u waits for a drive that answers", volume);
        }
        break;
    case MKV_EVENT_DIRECTORY_DAMAGED:
    case MKV_EVENT_DIRECTORY_OFF:
        if (faults->directory_hits == 0) {
            mkv_fail(MKV_ORACLE_DURABLE, "the directory of volume %u is damaged at unit %llu",
                     volume, (unsigned long long)event->value[0]);
        }
        break;
    case MKV_EVENT_DIRECTORY_REBUILT:
    case MKV_EVENT_DIRECTORY_FULL:
    case MKV_EVENT_DIRECTORY_ROOM_AGAIN:
    case MKV_EVENT_DRIVE_RESUMED:
    case MKV_EVENT_FORMATTED:
    case MKV_EVENT_CLOSED:
    case MKV_EVENT_TORN_TAIL:
    case MKV_EVENT_SUPERBLOCK_REPAIRED:
    case MKV_EVENT_JOURNAL_COPY_REPAIRED:
    case MKV_EVENT_TENANT_SWEPT:
    case MKV_EVENT_DRIVE_SET_DURABLE:
    case MKV_EVENT_PURGED:
    case MKV_EVENT_CHECKPOINT_DONE:
    case MKV_EVENT_BLOCK_EVICTED:
        break;
    }
}
