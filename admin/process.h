/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of this process: the conventional metrics that dashboards of any service
 * read.
 */
#ifndef MKV_ADMIN_PROCESS_H
#define MKV_ADMIN_PROCESS_H

#include "core/base.h"

struct mkv_admin_process {
    double cpu_s; /* user and system */
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t open_fds;
    uint64_t max_fds;
    double start_time_s; /* Unix time */
};

/* Reads /proc/self; a figure that cannot be read is 0. */
void mkv_admin_process_read(struct mkv_admin_process *process);

#endif
