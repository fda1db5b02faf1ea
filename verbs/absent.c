/* SPDX-License-Identifier: Apache-2.0 */
/* The whole room where memkv is built without libibverbs: a port never opens, so nothing else is
 * ever reached (I3). */
#include <stdio.h>

#include "core/base.h"
#include "verbs/endpoint.h"

bool mkv_verbs_is_built(void) {
    return false;
}

bool mkv_verbs_has_device(void) {
    return false;
}

bool mkv_verbs_open(const struct mkv_verbs_options *options, struct mkv_verbs **verbs,
                    char *problem) {
    (void)options;
    *verbs = NULL;
    (void)snprintf(problem, MKV_VERBS_PROBLEM_BYTES,
                   "this memkv was built without RDMA; build it where libibverbs-dev is installed "
                   "(-Dverbs=enabled)");
    return false;
}

void mkv_verbs_close(struct mkv_verbs *verbs) {
    MKV_ASSERT(verbs == NULL);
}

/* Never returns: there is no port to ask. */
static _Noreturn void unreachable(void) {
    mkv_assert_failed("memkv was built with RDMA", __FILE__, __LINE__);
}

const struct mkv_verbs_facts *mkv_verbs_facts(const struct mkv_verbs *verbs) {
    (void)verbs;
    unreachable();
}

enum mkv_verbs_state mkv_verbs_state(const struct mkv_verbs *verbs) {
    (void)verbs;
    unreachable();
}

bool mkv_verbs_register(struct mkv_verbs *verbs, void *memory, size_t bytes, bool remote,
                        struct mkv_verbs_region **region, char *problem) {
    (void)verbs, (void)memory, (void)bytes, (void)remote, (void)region, (void)problem;
    unreachable();
}

bool mkv_verbs_register_readable(struct mkv_verbs *verbs, void *memory, size_t bytes,
                                 struct mkv_verbs_region **region, char *problem) {
    (void)verbs, (void)memory, (void)bytes, (void)region, (void)problem;
    unreachable();
}

bool mkv_verbs_register_dmabuf(struct mkv_verbs *verbs, int descriptor, uint64_t offset,
                               size_t bytes, uint64_t address, bool remote,
                               struct mkv_verbs_region **region, char *problem) {
    (void)verbs, (void)descriptor, (void)offset, (void)bytes, (void)address, (void)remote;
    (void)region, (void)problem;
    unreachable();
}

void mkv_verbs_unregister(struct mkv_verbs_region *region) {
    (void)region;
    unreachable();
}

uint32_t mkv_verbs_region_key(const struct mkv_verbs_region *region) {
    (void)region;
    unreachable();
}

uint32_t mkv_verbs_poll(struct mkv_verbs *verbs, uint64_t now_ns) {
    (void)verbs, (void)now_ns;
    unreachable();
}

int mkv_verbs_descriptor(const struct mkv_verbs *verbs) {
    (void)verbs;
    unreachable();
}

void mkv_verbs_arm(struct mkv_verbs *verbs) {
    (void)verbs;
    unreachable();
}

uint64_t mkv_verbs_timer_ns(const struct mkv_verbs *verbs) {
    (void)verbs;
    unreachable();
}

bool mkv_endpoint_create(struct mkv_verbs *verbs, const struct mkv_endpoint_ops *ops, void *context,
                         struct mkv_endpoint **endpoint, char *problem) {
    (void)verbs, (void)ops, (void)context, (void)endpoint, (void)problem;
    unreachable();
}

bool mkv_verbs_has_address(const struct mkv_verbs *verbs, const uint8_t *address) {
    (void)verbs, (void)address;
    unreachable();
}

void mkv_endpoint_set_address(struct mkv_endpoint *endpoint, const uint8_t *address) {
    (void)endpoint, (void)address;
    unreachable();
}

void mkv_endpoint_parameters(const struct mkv_endpoint *endpoint, struct mkv_native_connect *out) {
    (void)endpoint, (void)out;
    unreachable();
}

bool mkv_endpoint_connect(struct mkv_endpoint *endpoint, const struct mkv_native_connect *peer,
                          uint64_t now_ns, char *problem) {
    (void)endpoint, (void)peer, (void)now_ns, (void)problem;
    unreachable();
}

bool mkv_endpoint_connect_begin(struct mkv_endpoint *endpoint,
                                const struct mkv_native_connect *peer, char *problem) {
    (void)endpoint, (void)peer, (void)problem;
    unreachable();
}

int mkv_endpoint_connect_reach(struct mkv_endpoint *endpoint) {
    (void)endpoint;
    unreachable();
}

bool mkv_endpoint_connect_end(struct mkv_endpoint *endpoint, int reached, uint64_t now_ns,
                              char *problem) {
    (void)endpoint, (void)reached, (void)now_ns, (void)problem;
    unreachable();
}

bool mkv_endpoint_is_open(const struct mkv_endpoint *endpoint) {
    (void)endpoint;
    unreachable();
}

size_t mkv_endpoint_send(struct mkv_endpoint *endpoint, const struct iovec *iovecs,
                         size_t iovec_count, uint64_t now_ns) {
    (void)endpoint, (void)iovecs, (void)iovec_count, (void)now_ns;
    unreachable();
}

bool mkv_endpoint_has_sent(const struct mkv_endpoint *endpoint) {
    (void)endpoint;
    unreachable();
}

size_t mkv_endpoint_receive(struct mkv_endpoint *endpoint, void *bytes, size_t bytes_max,
                            uint64_t now_ns) {
    (void)endpoint, (void)bytes, (void)bytes_max, (void)now_ns;
    unreachable();
}

bool mkv_endpoint_transfer(struct mkv_endpoint *endpoint, bool is_read, uint64_t remote_address,
                           uint32_t remote_key, const struct mkv_verbs_region *region, void *memory,
                           uint32_t bytes, uint64_t tag, uint64_t now_ns) {
    (void)endpoint, (void)is_read, (void)remote_address, (void)remote_key, (void)region;
    (void)memory, (void)bytes, (void)tag, (void)now_ns;
    unreachable();
}

bool mkv_endpoint_expose(struct mkv_endpoint *endpoint, uint64_t tag) {
    (void)endpoint, (void)tag;
    unreachable();
}

bool mkv_endpoint_unexpose(struct mkv_endpoint *endpoint, uint64_t tag) {
    (void)endpoint, (void)tag;
    unreachable();
}

bool mkv_endpoint_stop(struct mkv_endpoint *endpoint, enum mkv_lane_reason reason,
                       uint64_t now_ns) {
    (void)endpoint, (void)reason, (void)now_ns;
    unreachable();
}

const struct mkv_lane_counters *mkv_endpoint_counters(const struct mkv_endpoint *endpoint) {
    (void)endpoint;
    unreachable();
}

void mkv_endpoint_destroy(struct mkv_endpoint *endpoint) {
    (void)endpoint;
    unreachable();
}
