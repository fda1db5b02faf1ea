/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the kernel refused an io_uring, in words: the same error number comes from a seccomp profile,
 * from a sysctl or from a limit, and each has another remedy.
 *
 * Not responsible for: trying again, or for errors of single operations.
 */
#ifndef MKV_BACKENDS_RING_REFUSAL_H
#define MKV_BACKENDS_RING_REFUSAL_H

#include "backends/error.h"
#include "core/base.h"

/* What this machine and process say about themselves. */
struct mkv_ring_circumstances {
    int64_t disabled;       /* kernel.io_uring_disabled: 0 no, 1 but for a group, 2 for all; -1: the
                             * kernel has no such sysctl */
    int64_t group;          /* kernel.io_uring_group, -1: none */
    bool seccomp;           /* a seccomp filter is on this process */
    uint64_t memlock_bytes; /* RLIMIT_MEMLOCK; UINT64_MAX: no limit */
    uint64_t files_max;     /* RLIMIT_NOFILE */
    char release[64];       /* of the kernel: "6.1.0-18-amd64" */
};

/* Reads /proc and the limits of this process. */
void mkv_ring_circumstances_read(struct mkv_ring_circumstances *circumstances);

/* The error for `error_number` (positive) of io_uring_setup; always returns false. */
bool mkv_ring_refusal(int error_number, const struct mkv_ring_circumstances *circumstances,
                      struct mkv_backend_error *error);

#endif
