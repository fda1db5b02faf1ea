/* SPDX-License-Identifier: Apache-2.0 */
#include "core/drive_state.h"

const char *const mkv_drive_state_words[] = {
    [MKV_DRIVE_STATE_NEW] = "new",           [MKV_DRIVE_STATE_RECOVERING] = "recovering",
    [MKV_DRIVE_STATE_ONLINE] = "online",     [MKV_DRIVE_STATE_SLOW] = "slow",
    [MKV_DRIVE_STATE_DRAINING] = "draining", [MKV_DRIVE_STATE_OFFLINE] = "offline",
    [MKV_DRIVE_STATE_FAILED] = "failed",     [MKV_DRIVE_STATE_FOREIGN] = "foreign",
    [MKV_DRIVE_STATE_COUNT] = NULL,
};

const char *const mkv_drive_failure_words[] = {
    [MKV_DRIVE_FAILURE_NONE] = "none",           [MKV_DRIVE_FAILURE_IO_ERROR] = "io_error",
    [MKV_DRIVE_FAILURE_TIMEOUT] = "timeout",     [MKV_DRIVE_FAILURE_GONE] = "gone",
    [MKV_DRIVE_FAILURE_READ_ONLY] = "read_only", [MKV_DRIVE_FAILURE_SHRUNK] = "shrunk",
    [MKV_DRIVE_FAILURE_FOREIGN] = "foreign",     [MKV_DRIVE_FAILURE_COUNT] = NULL,
};

enum mkv_drive_state mkv_drive_state_of(const struct mkv_drive_situation *situation) {
    const bool serving = situation->volume == MKV_VOLUME_SERVING;
    if (situation->failure == MKV_DRIVE_FAILURE_FOREIGN && !serving) {
        return MKV_DRIVE_STATE_FOREIGN;
    }
    if (situation->absent ||
        (situation->taken_off && !serving && situation->volume != MKV_VOLUME_CLOSING)) {
        return MKV_DRIVE_STATE_OFFLINE;
    }
    const bool opens = !situation->opened && !situation->refused;
    switch (situation->volume) {
    case MKV_VOLUME_FAILED:
        return situation->opened ? MKV_DRIVE_STATE_FAILED : MKV_DRIVE_STATE_OFFLINE;
    case MKV_VOLUME_CLOSED:
        if (!opens) {
            return MKV_DRIVE_STATE_OFFLINE; /* closed again, or refused */
        }
        return situation->node_serves ? MKV_DRIVE_STATE_NEW : MKV_DRIVE_STATE_RECOVERING;
    case MKV_VOLUME_FORMATTING:
        return MKV_DRIVE_STATE_NEW;
    case MKV_VOLUME_RECOVERING:
        return situation->node_serves && opens ? MKV_DRIVE_STATE_NEW : MKV_DRIVE_STATE_RECOVERING;
    case MKV_VOLUME_CLOSING:
        return MKV_DRIVE_STATE_DRAINING;
    case MKV_VOLUME_SERVING:
        break;
    }
    MKV_ASSERT(serving);
    if (situation->drains) {
        return MKV_DRIVE_STATE_DRAINING;
    }
    if (situation->stalled) {
        return MKV_DRIVE_STATE_OFFLINE;
    }
    return situation->slow ? MKV_DRIVE_STATE_SLOW : MKV_DRIVE_STATE_ONLINE;
}

bool mkv_drive_state_serves(enum mkv_drive_state state) {
    return state == MKV_DRIVE_STATE_ONLINE || state == MKV_DRIVE_STATE_SLOW;
}

enum mkv_drive_failure mkv_drive_failure_of_result(enum mkv_io_result result) {
    switch (result) {
    case MKV_IO_OK:
        return MKV_DRIVE_FAILURE_NONE;
    case MKV_IO_MEDIUM:
    case MKV_IO_DEVICE:
    case MKV_IO_NO_ROOM: /* of what has its room since it was formatted */
        return MKV_DRIVE_FAILURE_IO_ERROR;
    case MKV_IO_GONE:
        return MKV_DRIVE_FAILURE_GONE;
    case MKV_IO_TIMEOUT:
        return MKV_DRIVE_FAILURE_TIMEOUT;
    case MKV_IO_READ_ONLY:
        return MKV_DRIVE_FAILURE_READ_ONLY;
    case MKV_IO_SHRUNK:
        return MKV_DRIVE_FAILURE_SHRUNK;
    }
    MKV_ASSERT(false);
    return MKV_DRIVE_FAILURE_IO_ERROR;
}

enum mkv_drive_failure mkv_drive_failure_of_err(enum mkv_err err) {
    switch (err) {
    case MKV_ERR_DRIVE_IO:
        return MKV_DRIVE_FAILURE_IO_ERROR;
    case MKV_ERR_SHRUNK:
        return MKV_DRIVE_FAILURE_SHRUNK;
    case MKV_ERR_FOREIGN:
    case MKV_ERR_NOT_FORMATTED:
        return MKV_DRIVE_FAILURE_FOREIGN;
    case MKV_OK:
    case MKV_ERR_TOO_SMALL:
    case MKV_ERR_TOO_LARGE:
    case MKV_ERR_VERSION:
    case MKV_ERR_STATE:
    case MKV_CORRUPT_SUPERBLOCK:
    case MKV_CORRUPT_CHECKPOINT_PAGE:
    case MKV_CORRUPT_JOURNAL_BLOCK:
    case MKV_CORRUPT_JOURNAL_RECORD:
    case MKV_CORRUPT_SLOT_HEADER:
    case MKV_CORRUPT_PAYLOAD:
        return MKV_DRIVE_FAILURE_NONE;
    }
    MKV_ASSERT(false);
    return MKV_DRIVE_FAILURE_NONE;
}

const char *mkv_drive_failure_text(enum mkv_drive_failure failure) {
    static const char *const texts[MKV_DRIVE_FAILURE_COUNT] = {
        [MKV_DRIVE_FAILURE_NONE] = "nothing is wrong with the drive",
        [MKV_DRIVE_FAILURE_IO_ERROR] = "it failed an operation",
        [MKV_DRIVE_FAILURE_TIMEOUT] = "it does not answer",
        [MKV_DRIVE_FAILURE_GONE] = "it is not there any more",
        [MKV_DRIVE_FAILURE_READ_ONLY] = "it takes no writes",
        [MKV_DRIVE_FAILURE_SHRUNK] = "it has become smaller than its store",
        [MKV_DRIVE_FAILURE_FOREIGN] = "what stands on it is not this node's store",
    };
    MKV_ASSERT((uint32_t)failure < MKV_DRIVE_FAILURE_COUNT);
    return texts[failure];
}
