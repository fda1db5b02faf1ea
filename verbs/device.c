/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Of ports that were closed and are not (V4): with this many, a driver will not come round. */
#define PORTS_LEFT_MAX 16u
static atomic_uint ports_left;

void mkv_verbs_say(char *problem, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(problem, MKV_VERBS_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
}

bool mkv_verbs_is_built(void) {
    return true;
}

static bool check_options(const struct mkv_verbs_options *options, char *problem) {
    const char *wrong = NULL;
    if (options->endpoints_max == 0) {
        wrong = "endpoints_max is 0";
    } else if (options->message_bytes < MKV_LANE_MESSAGE_BYTES_MIN ||
               options->message_bytes > MKV_LANE_MESSAGE_BYTES_MAX) {
        wrong = "message_bytes is not within 8192 and 65536";
    } else if (options->receives_each < MKV_LANE_CREDITS_MIN ||
               options->receives_each > MKV_LANE_CREDITS_MAX) {
        wrong = "receives_each is not within 4 and 64";
    } else if (options->traffic_class > 255 || options->service_level > 15) {
        wrong = "the traffic class is at most 255, the service level at most 15";
    } else if (options->mtu != 0 && (options->mtu < 256 || options->mtu > 4096 ||
                                     (options->mtu & (options->mtu - 1)) != 0)) {
        wrong = "the MTU of RDMA is 256, 512, 1024, 2048 or 4096";
    }
    if (wrong != NULL) {
        mkv_verbs_say(problem, "%s", wrong);
    }
    return wrong == NULL;
}

static uint32_t at_most(uint64_t value, int limit) {
    return (uint32_t)mkv_min_u64(value, limit < 0 ? 0 : (uint32_t)limit);
}

/* What of the device bounds how many endpoints there may be. */
static bool bound(struct mkv_verbs *verbs, char *problem) {
    const struct mkv_verbs_options *options = &verbs->options;
    const struct ibv_device_attr *device = &verbs->attributes;
    verbs->sends_max = (uint32_t)mkv_min_u64(options->receives_each, MKV_LANE_SENDS_MAX);
    verbs->transfers_max = options->is_server ? MKV_LANE_TRANSFERS_MAX : 0;
    const uint32_t needed = verbs->sends_max + verbs->transfers_max;
    if (device->max_qp_wr < (int)needed) {
        mkv_verbs_say(problem,
                      "RDMA device %s has room for %d work requests of a connection; memkv "
                      "needs %u",
                      verbs->facts.device, device->max_qp_wr, needed);
        return false;
    }
    const uint32_t each = options->receives_each + needed;
    uint32_t most = at_most(options->endpoints_max, device->max_qp);
    most = at_most(most, device->max_cqe / (int)each);
    most = at_most(most, device->max_mr);
    if (options->is_server) {
        most = at_most(most, device->max_srq_wr / (int)options->receives_each);
    }
    if (most == 0) {
        mkv_verbs_say(problem,
                      "RDMA device %s has no room for one connection (%d queue pairs, %d "
                      "completions, %d shared receives)",
                      verbs->facts.device, device->max_qp, device->max_cqe, device->max_srq_wr);
        return false;
    }
    verbs->endpoints_max = most;
    verbs->facts.endpoints_max = most;
    verbs->facts.reads_max = options->is_server
                                 ? at_most(MKV_LANE_READS_MAX, device->max_qp_init_rd_atom)
                                 : at_most(MKV_LANE_READS_MAX, device->max_qp_rd_atom);
    if (verbs->facts.reads_max == 0) {
        mkv_verbs_say(problem, "RDMA device %s has no RDMA READ, which memkv needs",
                      verbs->facts.device);
        return false;
    }
    return true;
}

static bool make_queues(struct mkv_verbs *verbs, char *problem) {
    const struct mkv_verbs_library *library = verbs->library;
    const uint32_t each = verbs->options.receives_each + verbs->sends_max + verbs->transfers_max;
    verbs->pd = library->alloc_pd(verbs->context);
    verbs->channel = library->create_comp_channel(verbs->context);
    if (verbs->pd != NULL && verbs->channel != NULL) {
        verbs->cq = library->create_cq(verbs->context, (int)(verbs->endpoints_max * each), verbs,
                                       verbs->channel, 0);
    }
    if (verbs->cq == NULL || (verbs->options.is_server && !mkv_verbs_shared_make(verbs))) {
        mkv_verbs_say(problem,
                      "RDMA device %s gives no queues for %u connections: %s; allow fewer, "
                      "or raise the limit of locked memory (LimitMEMLOCK=infinity)",
                      verbs->facts.device, verbs->endpoints_max, strerror(errno));
        return false;
    }
    return true;
}

static bool watch(const struct mkv_verbs *verbs, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = descriptor}};
    const int flags = fcntl(descriptor, F_GETFL);
    return flags >= 0 && fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 &&
           epoll_ctl(verbs->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

static bool make_descriptor(struct mkv_verbs *verbs, char *problem) {
    verbs->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (verbs->epoll < 0 || !watch(verbs, verbs->channel->fd) ||
        !watch(verbs, verbs->context->async_fd)) {
        mkv_verbs_say(problem, "the events of RDMA device %s cannot be waited for: %s",
                      verbs->facts.device, strerror(errno));
        return false;
    }
    return true;
}

static bool make_tables(struct mkv_verbs *verbs, char *problem) {
    uint32_t size = 16;
    while (size < 2 * verbs->endpoints_max) {
        size *= 2;
    }
    verbs->table_mask = size - 1;
    verbs->table = calloc(size, sizeof(struct mkv_endpoint *));
    verbs->places = calloc(verbs->endpoints_max, sizeof *verbs->places);
    if (verbs->table == NULL || verbs->places == NULL) {
        mkv_verbs_say(problem, "there is no memory for %u connections over RDMA",
                      verbs->endpoints_max);
        return false;
    }
    return true;
}

bool mkv_verbs_open(const struct mkv_verbs_options *options, struct mkv_verbs **out,
                    char *problem) {
    *out = NULL;
    if (!check_options(options, problem)) {
        return false;
    }
    if (atomic_load(&ports_left) >= PORTS_LEFT_MAX) {
        mkv_verbs_say(problem, "the driver of the RDMA device does not destroy queue pairs; see "
                               "dmesg, have it reset, and restart this process");
        return false;
    }
    struct mkv_verbs *verbs = calloc(1, sizeof *verbs);
    if (verbs == NULL) {
        mkv_verbs_say(problem, "there is no memory to open an RDMA device");
        return false;
    }
    verbs->options = *options;
    verbs->options.device = options->device == NULL ? NULL : strdup(options->device);
    verbs->options.address = options->address == NULL ? NULL : strdup(options->address);
    verbs->epoll = -1;
    verbs->timer_ns = UINT64_MAX;
    if ((options->device != NULL && verbs->options.device == NULL) ||
        (options->address != NULL && verbs->options.address == NULL)) {
        mkv_verbs_say(problem, "there is no memory to open an RDMA device");
        mkv_verbs_close(verbs);
        return false;
    }
    verbs->library = mkv_verbs_library(problem);
    if (verbs->library == NULL || !mkv_verbs_find(verbs, problem) || !bound(verbs, problem) ||
        !make_tables(verbs, problem) || !make_queues(verbs, problem) ||
        !make_descriptor(verbs, problem)) {
        mkv_verbs_close(verbs);
        return false;
    }
    verbs->facts.traffic_class = options->traffic_class;
    verbs->facts.service_level = options->service_level;
    verbs->facts.has_dmabuf = verbs->library->reg_dmabuf_mr != NULL;
    *out = verbs;
    return true;
}

static bool pairs_are_gone(struct mkv_verbs *verbs) {
    for (uint32_t place = 0; verbs->kept_count > 0 && place < verbs->places_made; place++) {
        struct mkv_endpoint *endpoint = verbs->places[place].endpoint;
        if (endpoint != NULL) {
            MKV_ASSERT(endpoint->is_forsaken);
            mkv_endpoint_again(endpoint, 0);
        }
    }
    return verbs->kept_count == 0;
}

void mkv_verbs_close(struct mkv_verbs *verbs) {
    if (verbs == NULL) {
        return;
    }
    MKV_ASSERT(atomic_load(&verbs->regions) == 0);
    const struct mkv_verbs_library *library = verbs->library;
    /* Of queue pairs that the device still does not destroy, everything stays where it is (V4). */
    if (!pairs_are_gone(verbs)) {
        (void)close(verbs->epoll);
        atomic_fetch_add(&ports_left, 1);
        return;
    }
    if (verbs->srq != NULL) {
        (void)library->destroy_srq(verbs->srq);
    }
    if (verbs->cq != NULL) {
        (void)library->destroy_cq(verbs->cq);
    }
    for (uint32_t index = 0; index < verbs->places_made; index++) {
        mkv_verbs_place_remove(verbs, &verbs->places[index]);
    }
    if (verbs->epoll >= 0) {
        (void)close(verbs->epoll);
    }
    if (verbs->channel != NULL) {
        (void)library->destroy_comp_channel(verbs->channel);
    }
    if (verbs->pd != NULL) {
        (void)library->dealloc_pd(verbs->pd);
    }
    if (verbs->context != NULL) {
        (void)library->close_device(verbs->context);
    }
    free(verbs->places);
    free(verbs->table);
    free((void *)(uintptr_t)verbs->options.device);
    free((void *)(uintptr_t)verbs->options.address);
    free(verbs);
}

const struct mkv_verbs_facts *mkv_verbs_facts(const struct mkv_verbs *verbs) {
    return &verbs->facts;
}

enum mkv_verbs_state mkv_verbs_state(const struct mkv_verbs *verbs) {
    return verbs->state;
}

int mkv_verbs_descriptor(const struct mkv_verbs *verbs) {
    return verbs->epoll;
}

/* ---- registered memory ----------------------------------------------------------------------- */

static bool finish_region(struct mkv_verbs *verbs, struct ibv_mr *mr, const char *what,
                          size_t bytes, struct mkv_verbs_region **out, char *problem) {
    const int error = errno;
    struct mkv_verbs_region *region = mr == NULL ? NULL : calloc(1, sizeof *region);
    *out = region;
    if (mr == NULL) {
        const bool is_limit = error == ENOMEM || error == EAGAIN;
        mkv_verbs_say(problem, "%s of %zu bytes cannot be registered with RDMA device %s: %s%s",
                      what, bytes, verbs->facts.device, strerror(error),
                      is_limit ? "; raise the limit of locked memory (LimitMEMLOCK=infinity, "
                                 "ulimit -l)"
                               : "");
        return false;
    }
    if (region == NULL) {
        (void)verbs->library->dereg_mr(mr);
        mkv_verbs_say(problem, "there is no memory to register %s", what);
        return false;
    }
    *region = (struct mkv_verbs_region){.verbs = verbs, .mr = mr};
    atomic_fetch_add(&verbs->regions, 1);
    return true;
}

bool mkv_verbs_register(struct mkv_verbs *verbs, void *memory, size_t bytes, bool remote,
                        struct mkv_verbs_region **region, char *problem) {
    const int all =
        IBV_ACCESS_LOCAL_WRITE | (remote ? IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE : 0);
    struct ibv_mr *mr = verbs->library->reg_mr(verbs->pd, memory, bytes, all);
    if (mr == NULL && remote && (errno == EFAULT || errno == EACCES)) {
        /* The process itself cannot write there. */
        mr = verbs->library->reg_mr(verbs->pd, memory, bytes, IBV_ACCESS_REMOTE_READ);
    }
    return finish_region(verbs, mr, "memory", bytes, region, problem);
}

bool mkv_verbs_register_readable(struct mkv_verbs *verbs, void *memory, size_t bytes,
                                 struct mkv_verbs_region **region, char *problem) {
    struct ibv_mr *mr = verbs->library->reg_mr(verbs->pd, memory, bytes, IBV_ACCESS_REMOTE_READ);
    return finish_region(verbs, mr, "memory", bytes, region, problem);
}

bool mkv_verbs_register_dmabuf(struct mkv_verbs *verbs, int descriptor, uint64_t offset,
                               size_t bytes, uint64_t address, bool remote,
                               struct mkv_verbs_region **region, char *problem) {
    if (verbs->library->reg_dmabuf_mr == NULL) {
        *region = NULL;
        mkv_verbs_say(problem, "libibverbs is too old to register memory of another device by its "
                               "dma-buf; install rdma-core 34 or newer");
        return false;
    }
    const int all =
        IBV_ACCESS_LOCAL_WRITE | (remote ? IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE : 0);
    struct ibv_mr *mr =
        verbs->library->reg_dmabuf_mr(verbs->pd, offset, bytes, address, descriptor, all);
    return finish_region(verbs, mr, "a dma-buf", bytes, region, problem);
}

void mkv_verbs_unregister(struct mkv_verbs_region *region) {
    struct mkv_verbs *verbs = region->verbs;
    (void)verbs->library->dereg_mr(region->mr);
    free(region);
    atomic_fetch_sub(&verbs->regions, 1);
}

uint32_t mkv_verbs_region_key(const struct mkv_verbs_region *region) {
    return region->mr->rkey;
}
