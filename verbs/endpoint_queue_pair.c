/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "verbs/device.h"

/* 4.096 us * 2^17: 537 ms without an answer, seven times, and a peer that is silent is found out
 * after four seconds. Devices take up to four times as long. Seven retries would be for ever with
 * Soft-RoCE. */
#define TIMEOUT_EXPONENT 17
#define RETRIES 6
/* A peer without a receive has broken its word (credits); it is asked again six times, 20 ms apart
 * (code 22). Seven would be for ever. */
#define RECEIVER_RETRIES 6
#define RECEIVER_WAIT_CODE 22
#define HOPS_MAX 64
/* The kernel takes no longer to destroy what a removed device had; thousands of queue pairs take a
 * fraction of it. */
#define REMOVAL_NS_MAX 500000000u

static enum ibv_mtu mtu_code(uint32_t bytes) {
    switch (bytes) {
    case 256:
        return IBV_MTU_256;
    case 512:
        return IBV_MTU_512;
    case 1024:
        return IBV_MTU_1024;
    case 2048:
        return IBV_MTU_2048;
    default:
        return IBV_MTU_4096;
    }
}

bool mkv_endpoint_qp_make(struct mkv_endpoint *endpoint, char *problem) {
    struct mkv_verbs *verbs = endpoint->verbs;
    struct ibv_qp_init_attr attributes = {
        .qp_context = endpoint,
        .send_cq = verbs->cq,
        .recv_cq = verbs->cq,
        .srq = verbs->srq,
        .cap = {.max_send_wr = verbs->sends_max + verbs->transfers_max,
                .max_recv_wr = verbs->srq != NULL ? 0 : verbs->options.receives_each,
                .max_send_sge = 1,
                .max_recv_sge = verbs->srq != NULL ? 0 : 1,
                .max_inline_data = INLINE_BYTES_WANTED},
        .qp_type = IBV_QPT_RC,
    };
    const struct ibv_qp_init_attr asked = attributes;
    endpoint->qp = verbs->library->create_qp(verbs->pd, &attributes);
    if (endpoint->qp == NULL) {
        attributes = asked;
        attributes.cap.max_inline_data = 0;
        endpoint->qp = verbs->library->create_qp(verbs->pd, &attributes);
    }
    if (endpoint->qp == NULL) {
        mkv_verbs_say(problem,
                      "RDMA device %s gives no queue pair: %s; allow fewer connections, or "
                      "raise the limit of locked memory (LimitMEMLOCK=infinity)",
                      verbs->facts.device, strerror(errno));
        return false;
    }
    endpoint->inline_bytes_max = attributes.cap.max_inline_data;
    endpoint->qp_number = endpoint->qp->qp_num;
    mkv_verbs_table_put(verbs, endpoint);
    struct ibv_qp_attr init = {
        .qp_state = IBV_QPS_INIT,
        .pkey_index = 0,
        .port_num = (uint8_t)verbs->facts.port,
        /* A client's memory is read and written by the server, never the other way round. */
        .qp_access_flags =
            verbs->options.is_server ? 0 : IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE,
    };
    const int error = verbs->library->modify_qp(
        endpoint->qp, &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
    if (error != 0) {
        mkv_verbs_say(problem, "a queue pair of RDMA device %s cannot be set up: %s",
                      verbs->facts.device, strerror(error));
        return false;
    }
    return true;
}

static struct ibv_ah_attr address_of(const struct mkv_endpoint *endpoint) {
    const struct mkv_verbs *verbs = endpoint->verbs;
    /* What a PUT sends are packets of the client: they go as the server's do. */
    const bool is_server = verbs->options.is_server;
    const uint32_t service_level =
        is_server ? verbs->options.service_level : endpoint->peer.service_level;
    const uint32_t traffic_class =
        is_server ? verbs->options.traffic_class : endpoint->peer.traffic_class;
    struct ibv_ah_attr address = {
        .dlid = (uint16_t)endpoint->peer.lid,
        .sl = (uint8_t)service_level,
        .port_num = (uint8_t)verbs->facts.port,
        .is_global = verbs->facts.is_ethernet || endpoint->peer.lid == 0,
        .grh = {.sgid_index = (uint8_t)endpoint->address.index,
                .hop_limit = HOPS_MAX,
                .traffic_class = (uint8_t)traffic_class},
    };
    memcpy(address.grh.dgid.raw, endpoint->peer.gid, sizeof address.grh.dgid.raw);
    return address;
}

void mkv_endpoint_qp_prepare(struct mkv_endpoint *endpoint, uint32_t mtu, uint32_t reads) {
    const struct mkv_verbs *verbs = endpoint->verbs;
    endpoint->to_receive = (struct ibv_qp_attr){
        .qp_state = IBV_QPS_RTR,
        .path_mtu = mtu_code(mtu),
        .dest_qp_num = endpoint->peer.queue_pair,
        .rq_psn = endpoint->peer.packet_number,
        .max_dest_rd_atomic = (uint8_t)(verbs->options.is_server ? 0 : verbs->facts.reads_max),
        .min_rnr_timer = RECEIVER_WAIT_CODE,
        .ah_attr = address_of(endpoint),
    };
    endpoint->to_send = (struct ibv_qp_attr){
        .qp_state = IBV_QPS_RTS,
        .timeout = TIMEOUT_EXPONENT,
        .retry_cnt = RETRIES,
        .rnr_retry = RECEIVER_RETRIES,
        .sq_psn = endpoint->packet_number,
        .max_rd_atomic = (uint8_t)reads,
    };
}

int mkv_endpoint_qp_connect(struct mkv_endpoint *endpoint) {
    const struct mkv_verbs_library *library = endpoint->verbs->library;
    const int error =
        library->modify_qp(endpoint->qp, &endpoint->to_receive,
                           IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                               IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
    if (error != 0) {
        return error;
    }
    return library->modify_qp(endpoint->qp, &endpoint->to_send,
                              IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                                  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

void mkv_endpoint_qp_unreached(const struct mkv_endpoint *endpoint, int error, char *problem) {
    const struct mkv_verbs_facts *facts = &endpoint->verbs->facts;
    char gid[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET6, endpoint->peer.gid, gid, sizeof gid);
    mkv_verbs_say(problem,
                  "%s cannot be reached from %s, port %u of RDMA device %s: %s; see "
                  "`ip route` and the network of both",
                  gid, facts->gid, facts->port, facts->device, strerror(error));
}

/* ---- its end --------------------------------------------------------------------------------- */

static void keep(struct mkv_endpoint *endpoint) {
    endpoint->verbs->kept_count += !endpoint->is_kept;
    endpoint->is_kept = true;
}

static void let_go(struct mkv_endpoint *endpoint) {
    endpoint->verbs->kept_count -= endpoint->is_kept;
    endpoint->is_kept = false;
}

/* Behind the removal of a device the kernel has destroyed all that was its own, and answers each
 * call with EIO: at first while it does so still. It tells of the removal when it has. (Linux 6.1,
 * ib_uverbs_free_hw_resources.) */
static bool device_is_removed(struct mkv_verbs *verbs) {
    struct timespec now;
    if (!mkv_verbs_has_no_device(verbs)) {
        verbs->absent_ns = 0;
        return false;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    verbs->absent_ns = verbs->absent_ns == 0 ? now_ns : verbs->absent_ns;
    return verbs->is_removed || now_ns - verbs->absent_ns >= REMOVAL_NS_MAX;
}

static bool reach_error(struct mkv_endpoint *endpoint) {
    struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};
    endpoint->is_in_error =
        endpoint->is_in_error ||
        endpoint->verbs->library->modify_qp(endpoint->qp, &attributes, IBV_QP_STATE) == 0;
    return endpoint->is_in_error;
}

bool mkv_endpoint_qp_stop(struct mkv_endpoint *endpoint) {
    if (endpoint->qp != NULL && reach_error(endpoint)) {
        let_go(endpoint);
        return true;
    }
    return mkv_endpoint_qp_destroy(endpoint);
}

bool mkv_endpoint_qp_destroy(struct mkv_endpoint *endpoint) {
    struct mkv_verbs *verbs = endpoint->verbs;
    if (endpoint->qp == NULL) {
        return true;
    }
    /* What the peer sends is not let in any more, also where it cannot be destroyed. */
    (void)reach_error(endpoint);
    const int error = verbs->library->destroy_qp(endpoint->qp);
    if (error != 0 && !(error == EIO && device_is_removed(verbs))) {
        keep(endpoint);
        return false;
    }
    let_go(endpoint);
    mkv_verbs_table_remove(verbs, endpoint);
    endpoint->qp = NULL;
    endpoint->receives_posted = 0;
    return true;
}
