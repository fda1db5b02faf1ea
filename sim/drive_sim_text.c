/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash is about to choose from, for people.
 */
#include "sim/drive_sim_internal.h"

static void print_versions(const struct mkv_drive_sim *drive, uint32_t unit, FILE *log) {
    for (uint32_t at = drive->sectors[unit].newest; at != MKV_NONE_U32;
         at = drive->versions[at].next) {
        const struct version *version = &drive->versions[at];
        fprintf(log, " write %u %s%s", version->write,
                version->completed > 0 ? "in the cache" : "in flight",
                version->orphan ? " of a process that is gone" : "");
    }
}

void mkv_drive_sim_print_pending(const struct mkv_drive_sim *drive, FILE *log) {
    static const char *const names[] = {"?", "read", "write", "flush", "trim"};
    for (uint32_t index = 0; index < drive->io_count; index++) {
        const struct drive_io *io = &drive->ios[index];
        fprintf(log, "             pending: %s op %u.%u unit %llu count %u\n", names[io->kind],
                io->op.index, io->op.generation, (unsigned long long)io->drive.lba.unit,
                io->drive.unit_count);
    }
    for (uint32_t index = 0; index < drive->dirty_count; index++) {
        const uint32_t unit = drive->dirty[index];
        fprintf(log, "             pending: unit %u:", unit);
        print_versions(drive, unit, log);
        fputc('\n', log);
    }
}
