/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host_check.h asks of the running system.
 */
#include <dlfcn.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>

#include "server/host_check_internal.h"
#include "verbs/endpoint.h"

#define LIBRARY "libibverbs.so.1"
#define RING_ENTRIES 8u

static bool has_filter(const struct mkv_host_sources *sources) {
    char line[MKV_HOST_LINE_BYTES];
    return mkv_host_line_of(sources->roots.proc, "self/status", "Seccomp:", line) && line[0] != '0';
}

static void ask_clock(struct mkv_host_sources *sources) {
    struct timex timex = {.modes = 0};
    const int state = adjtimex(&timex);
    sources->clock.is_known = state >= 0;
    sources->clock.is_synchronised =
        state >= 0 && state != TIME_ERROR && (timex.status & STA_UNSYNC) == 0;
    sources->clock.error_us = timex.maxerror < 0 ? 0 : (uint64_t)timex.maxerror;
}

static int try_ring(void) {
    struct io_uring ring;
    const int result = io_uring_queue_init(RING_ENTRIES, &ring, 0);
    if (result == 0) {
        io_uring_queue_exit(&ring);
    }
    return -result;
}

/* The library is opened by name, so that a memkv that was built without it can tell, too. */
static void ask_library(struct mkv_host_sources *sources) {
    typedef struct ibv_device **list_fn(int *count);
    typedef void free_fn(struct ibv_device * *list);
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *problem = dlerror();
        snprintf(sources->rdma_library.problem, sizeof sources->rdma_library.problem, "%.127s",
                 problem == NULL ? LIBRARY : problem);
        return;
    }
    sources->rdma_library.is_there = true;
    sources->rdma_library.has_dmabuf = dlsym(library, "ibv_reg_dmabuf_mr") != NULL;
    list_fn *list = NULL;
    free_fn *free_list = NULL;
    /* As POSIX has it: a function's address comes as one of data. */
    *(void **)&list = dlsym(library, "ibv_get_device_list");
    *(void **)&free_list = dlsym(library, "ibv_free_device_list");
    int count = 0;
    struct ibv_device **devices = list == NULL || free_list == NULL ? NULL : list(&count);
    if (devices != NULL) {
        sources->rdma_library.device_count = count < 0 ? 0 : (uint32_t)count;
        free_list(devices);
    }
    dlclose(library);
}

static bool ask_dcb(void *context, const char *interface, struct mkv_dcb *dcb) {
    (void)context;
    return mkv_dcb_read(interface, dcb);
}

void mkv_host_sources_read(struct mkv_host_sources *sources, bool is_guarded) {
    *sources = (struct mkv_host_sources){
        .roots = mkv_drive_roots_kernel,
        .dcb = ask_dcb,
        .traffic_class = MKV_HOST_TRAFFIC_CLASS,
        .memory_bytes = MKV_HOST_MEMORY_BYTES,
        .shards = 1,
    };
    if (!is_guarded || !has_filter(sources)) {
        ask_clock(sources);
    }
    sources->is_built_without_rdma = !mkv_verbs_is_built();
    sources->ring_error = try_ring();
    ask_library(sources);
}
