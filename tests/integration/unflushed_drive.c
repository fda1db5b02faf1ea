/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon without its flush: the program memkv-unflushed is memkv that takes every medium for one
 * without a volatile cache, so its drives answer flushes without doing them. What it acknowledges
 * as durable is not, and the power cut test (test_power_cut.py) has to see that. The shipped
 * program does not have this.
 */
#include "backends/drive_open.h"

/* The linker puts these in the place of the one that is named (--wrap). */
bool __real_mkv_drive_open(const struct mkv_drive_open_options *options,
                           struct mkv_drive_media *media, struct mkv_backend_error *error);
bool __wrap_mkv_drive_open(const struct mkv_drive_open_options *options,
                           struct mkv_drive_media *media, struct mkv_backend_error *error);

bool __wrap_mkv_drive_open(const struct mkv_drive_open_options *options,
                           struct mkv_drive_media *media, struct mkv_backend_error *error) {
    if (!__real_mkv_drive_open(options, media, error)) {
        return false;
    }
    media->flush_needed = false;
    return true;
}
