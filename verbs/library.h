/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libibverbs, loaded when the first device is opened: whoever uses no RDMA needs no library for it,
 * and loads none. What posts and polls is in the headers, calls of the provider's through the
 * device's context; what is here only opens, makes and destroys.
 *
 * Invariants
 *  I1  It is loaded once, and stays. Each function is of the version that the headers describe.
 */
#ifndef MKV_VERBS_LIBRARY_H
#define MKV_VERBS_LIBRARY_H

#include <infiniband/verbs.h>

#include "verbs/endpoint.h"

/* The member's name, the symbol, and since which version of the interface it is what it is. */
#define MKV_VERBS_FUNCTIONS(X)                                                                     \
    X(get_device_list, ibv_get_device_list, "IBVERBS_1.1")                                         \
    X(free_device_list, ibv_free_device_list, "IBVERBS_1.1")                                       \
    X(get_device_name, ibv_get_device_name, "IBVERBS_1.1")                                         \
    X(open_device, ibv_open_device, "IBVERBS_1.1")                                                 \
    X(close_device, ibv_close_device, "IBVERBS_1.1")                                               \
    X(query_device, ibv_query_device, "IBVERBS_1.1")                                               \
    X(query_port, ibv_query_port, "IBVERBS_1.1")                                                   \
    X(query_gid_table, _ibv_query_gid_table, "IBVERBS_1.11")                                       \
    X(alloc_pd, ibv_alloc_pd, "IBVERBS_1.1")                                                       \
    X(dealloc_pd, ibv_dealloc_pd, "IBVERBS_1.1")                                                   \
    X(reg_mr, ibv_reg_mr, "IBVERBS_1.1")                                                           \
    X(dereg_mr, ibv_dereg_mr, "IBVERBS_1.1")                                                       \
    X(create_comp_channel, ibv_create_comp_channel, "IBVERBS_1.0")                                 \
    X(destroy_comp_channel, ibv_destroy_comp_channel, "IBVERBS_1.0")                               \
    X(create_cq, ibv_create_cq, "IBVERBS_1.1")                                                     \
    X(destroy_cq, ibv_destroy_cq, "IBVERBS_1.1")                                                   \
    X(get_cq_event, ibv_get_cq_event, "IBVERBS_1.1")                                               \
    X(ack_cq_events, ibv_ack_cq_events, "IBVERBS_1.1")                                             \
    X(create_srq, ibv_create_srq, "IBVERBS_1.1")                                                   \
    X(destroy_srq, ibv_destroy_srq, "IBVERBS_1.1")                                                 \
    X(create_qp, ibv_create_qp, "IBVERBS_1.1")                                                     \
    X(modify_qp, ibv_modify_qp, "IBVERBS_1.1")                                                     \
    X(destroy_qp, ibv_destroy_qp, "IBVERBS_1.1")                                                   \
    X(get_async_event, ibv_get_async_event, "IBVERBS_1.1")                                         \
    X(ack_async_event, ibv_ack_async_event, "IBVERBS_1.1")                                         \
    X(wc_status_str, ibv_wc_status_str, "IBVERBS_1.1")

struct mkv_verbs_library {
#define MKV_VERBS_MEMBER(name, symbol, version) __typeof__(symbol) *name;
    MKV_VERBS_FUNCTIONS(MKV_VERBS_MEMBER)
#undef MKV_VERBS_MEMBER
    __typeof__(ibv_reg_dmabuf_mr) *reg_dmabuf_mr; /* NULL: the library is older */
};

/* NULL: `problem` says what to install. Any thread. */
const struct mkv_verbs_library *mkv_verbs_library(char problem[MKV_VERBS_PROBLEM_BYTES]);

#endif
