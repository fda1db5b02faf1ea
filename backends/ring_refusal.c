/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/ring_refusal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

/* The number in a file of /proc, or `missing` when there is none. */
static int64_t read_number(const char *path, int64_t missing) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return missing;
    }
    int64_t value = missing;
    if (fscanf(file, "%" SCNd64, &value) != 1) {
        value = missing;
    }
    fclose(file);
    return value;
}

static bool seccomp_filter_is_on(void) {
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL) {
        return false;
    }
    char line[256];
    int mode = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Seccomp: %d", &mode) == 1) {
            break;
        }
    }
    fclose(file);
    return mode == 2;
}

void mkv_ring_circumstances_read(struct mkv_ring_circumstances *circumstances) {
    *circumstances = (struct mkv_ring_circumstances){0};
    circumstances->disabled = read_number("/proc/sys/kernel/io_uring_disabled", -1);
    circumstances->group = read_number("/proc/sys/kernel/io_uring_group", -1);
    circumstances->seccomp = seccomp_filter_is_on();
    struct rlimit limit = {0};
    circumstances->memlock_bytes = UINT64_MAX;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        circumstances->memlock_bytes = limit.rlim_cur;
    }
    circumstances->files_max = UINT64_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        circumstances->files_max = limit.rlim_cur;
    }
    struct utsname name;
    if (uname(&name) == 0) {
        snprintf(circumstances->release, sizeof circumstances->release, "%.60s", name.release);
    }
}

#define SECCOMP_REMEDY                                                                             \
    "Allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp "       \
    "profile (docker run --security-opt seccomp=PROFILE.json; Kubernetes: "                        \
    "securityContext.seccompProfile)"

static bool refused_permission(const struct mkv_ring_circumstances *circumstances,
                               struct mkv_backend_error *error) {
    if (circumstances->disabled == 2) {
        return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                  "io_uring is switched off on this machine "
                                  "(kernel.io_uring_disabled is 2). "
                                  "Run: sysctl -w kernel.io_uring_disabled=0");
    }
    if (circumstances->disabled == 1 && circumstances->group >= 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                  "io_uring is kept for group %" PRId64 " on this machine "
                                  "(kernel.io_uring_disabled is 1). Run memkv in that group, or: "
                                  "sysctl -w kernel.io_uring_disabled=0",
                                  circumstances->group);
    }
    if (circumstances->disabled == 1) {
        return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                  "io_uring is kept for root on this machine "
                                  "(kernel.io_uring_disabled is 1). "
                                  "Run: sysctl -w kernel.io_uring_disabled=0");
    }
    if (circumstances->seccomp) {
        return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                  "io_uring is refused by the seccomp filter of this process, as "
                                  "container runtimes set one. " SECCOMP_REMEDY);
    }
    return mkv_backend_refuse(
        error, MKV_BACKEND_PERMISSION,
        "io_uring is refused by a security policy of this machine (EPERM, no "
        "seccomp filter, kernel.io_uring_disabled is not set). Allow this "
        "process to use io_uring in that policy (SELinux, AppArmor, BPF LSM)");
}

bool mkv_ring_refusal(int error_number, const struct mkv_ring_circumstances *circumstances,
                      struct mkv_backend_error *error) {
    MKV_ASSERT(error_number > 0);
    switch (error_number) {
    case EPERM:
    case EACCES:
        return refused_permission(circumstances, error);
    case ENOSYS:
        if (circumstances->seccomp) {
            return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                      "io_uring is hidden by the seccomp filter of this process, "
                                      "as container runtimes set one. " SECCOMP_REMEDY);
        }
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "kernel %s was built without io_uring. Boot a kernel 6.1 or "
                                  "later with CONFIG_IO_URING",
                                  circumstances->release);
    case ENOMEM:
        if (circumstances->memlock_bytes != UINT64_MAX) {
            return mkv_backend_refuse(
                error, MKV_BACKEND_UNAVAILABLE,
                "io_uring found no memory for its queues; this process may lock %llu "
                "KiB. Raise the limit: LimitMEMLOCK=infinity in the unit, ulimit -l unlimited, or "
                "docker run --ulimit memlock=-1",
                circumstances->memlock_bytes / MKV_KIB);
        }
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "io_uring found no memory for its queues, and no limit on locked "
                                  "memory is set. Free memory on this machine or raise the memory "
                                  "limit of this container");
    case EMFILE:
    case ENFILE:
        return mkv_backend_refuse(
            error, MKV_BACKEND_UNAVAILABLE,
            "io_uring needs a file descriptor and none is left (limit %" PRIu64
            "). Raise it: LimitNOFILE=65536 in the unit, or ulimit -n 65536",
            circumstances->files_max);
    case EINVAL:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "io_uring of kernel %s is too old for memkv. Boot a kernel 6.1 "
                                  "or later",
                                  circumstances->release);
    default:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "io_uring_setup failed on kernel %s: %s. memkv needs io_uring of "
                                  "kernel 6.1 or later",
                                  circumstances->release, strerror(error_number));
    }
}
