/* SPDX-License-Identifier: Apache-2.0 */
/* The shared queue of a server, whose device is this file: queue pairs that end may keep receives
 * of it for themselves. */
#include "verbs/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVES 4u
#define ENDPOINTS 2u
#define MESSAGE_BYTES 8192u
#define QP_NUMBER 17u
#define SECOND_NS 1000000000ull

struct device {
    struct ibv_device device;
    struct ibv_context context;
    struct ibv_cq cq;
    struct ibv_srq srq;
    struct ibv_qp qps[ENDPOINTS];
    struct ibv_mr mr;
    struct ibv_wc completions[8];
    uint32_t completion_first;
    uint32_t completion_count;
    struct ibv_async_event event;
    bool has_event;
    uint32_t qp_count;
    uint32_t queues;   /* shared ones, made */
    uint32_t receives; /* in the one there is */
    bool is_busy;      /* it does not let go of its queue */
    bool is_out;       /* it makes no more */
    bool keeps_state;  /* queue pairs do not come to their error state */
    bool keeps_pairs;  /* it destroys none */
    uint32_t destroyed;
};

static struct device fake;
static uint32_t drained_count;
static uint32_t done_count; /* transfers */
static uint64_t now_ns;

/* ---- the device ------------------------------------------------------------------------------ */

static int poll_cq(struct ibv_cq *cq, int max, struct ibv_wc *out) {
    int count = 0;
    (void)cq;
    while (count < max && fake.completion_first < fake.completion_count) {
        out[count++] = fake.completions[fake.completion_first++];
    }
    return count;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *work, struct ibv_send_wr **bad) {
    (void)qp, (void)work, (void)bad;
    return 0;
}

static int post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *work, struct ibv_recv_wr **bad) {
    (void)work, (void)bad;
    assert_ptr_equal(srq, &fake.srq);
    fake.receives++;
    return 0;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *memory, size_t bytes, int access) {
    (void)pd, (void)memory, (void)bytes, (void)access;
    return &fake.mr;
}

static int dereg_mr(struct ibv_mr *mr) {
    (void)mr;
    return 0;
}

static struct ibv_srq *create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *attributes) {
    (void)pd;
    assert_int_equal(attributes->attr.max_wr, ENDPOINTS * RECEIVES);
    fake.srq.context = &fake.context;
    fake.queues++;
    return fake.is_out ? NULL : &fake.srq;
}

static int destroy_srq(struct ibv_srq *srq) {
    assert_ptr_equal(srq, &fake.srq);
    if (fake.is_busy) {
        return EBUSY;
    }
    fake.receives = 0;
    return 0;
}

static struct ibv_qp *create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attributes) {
    struct ibv_qp *qp = &fake.qps[fake.qp_count % ENDPOINTS];
    (void)pd;
    assert_ptr_equal(attributes->srq, &fake.srq);
    qp->context = &fake.context;
    qp->qp_context = attributes->qp_context;
    qp->qp_num = QP_NUMBER + fake.qp_count++;
    return qp;
}

static int modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attributes, int mask) {
    (void)qp, (void)mask;
    return attributes->qp_state == IBV_QPS_ERR && fake.keeps_state ? EIO : 0;
}

static int destroy_qp(struct ibv_qp *qp) {
    (void)qp;
    fake.destroyed += !fake.keeps_pairs;
    return fake.keeps_pairs ? EBUSY : 0;
}

static int query_port(struct ibv_context *context, uint8_t port,
                      struct _compat_ibv_port_attr *attributes) {
    struct ibv_port_attr *answer = (struct ibv_port_attr *)attributes;
    (void)context, (void)port;
    answer->state = IBV_PORT_ACTIVE;
    answer->active_mtu = IBV_MTU_1024;
    return 0;
}

static int get_async_event(struct ibv_context *context, struct ibv_async_event *event) {
    (void)context;
    if (!fake.has_event) {
        errno = EAGAIN;
        return -1;
    }
    fake.has_event = false;
    *event = fake.event;
    return 0;
}

static void ack_async_event(struct ibv_async_event *event) {
    (void)event;
}

static const struct mkv_verbs_library library = {
    .reg_mr = reg_mr,
    .dereg_mr = dereg_mr,
    .create_srq = create_srq,
    .destroy_srq = destroy_srq,
    .create_qp = create_qp,
    .modify_qp = modify_qp,
    .destroy_qp = destroy_qp,
    .get_async_event = get_async_event,
    .ack_async_event = ack_async_event,
    .query_port = query_port,
};

/* A second has passed. */
static uint64_t later(void) {
    now_ns += SECOND_NS;
    return now_ns;
}

/* ---- a port and endpoints of it -------------------------------------------------------------- */

static int begin(void **state) {
    struct mkv_verbs *verbs = calloc(1, sizeof *verbs);
    fake = (struct device){.context.device = &fake.device};
    drained_count = 0;
    done_count = 0;
    now_ns = SECOND_NS;
    fake.context.ops.poll_cq = poll_cq;
    fake.context.ops.post_send = post_send;
    fake.context.ops.post_srq_recv = post_srq_recv;
    fake.context.async_fd = -1;
    fake.cq.context = &fake.context;
    if (verbs == NULL) {
        return 1;
    }
    verbs->library = &library;
    verbs->options = (struct mkv_verbs_options){
        .gid_index = -1, .message_bytes = MESSAGE_BYTES, .receives_each = RECEIVES, .is_server = 1};
    verbs->facts.port = 1;
    verbs->facts.is_ethernet = true;
    verbs->facts.mtu = 1024;
    verbs->facts.reads_max = 4;
    verbs->context = &fake.context;
    verbs->cq = &fake.cq;
    verbs->epoll = -1;
    verbs->timer_ns = UINT64_MAX;
    verbs->sends_max = RECEIVES;
    verbs->transfers_max = 4;
    verbs->endpoints_max = ENDPOINTS;
    verbs->table_mask = 15;
    verbs->table = calloc(16, sizeof(struct mkv_endpoint *));
    verbs->places = calloc(ENDPOINTS, sizeof *verbs->places);
    *state = verbs;
    return verbs->table != NULL && verbs->places != NULL && mkv_verbs_shared_make(verbs) ? 0 : 1;
}

static int end(void **state) {
    struct mkv_verbs *verbs = *state;
    for (uint32_t place = 0; place < verbs->places_made; place++) {
        mkv_verbs_place_remove(verbs, &verbs->places[place]);
    }
    free(verbs->table);
    free(verbs->places);
    free(verbs);
    return 0;
}

static void ignore(void *context) {
    (void)context;
}

static void drained(void *context) {
    (void)context;
    drained_count++;
}

static void transfer_done(void *context, uint64_t tag, bool is_ok) {
    (void)context, (void)tag;
    assert_false(is_ok);
    done_count++;
}

static struct mkv_endpoint *connect_endpoint(struct mkv_verbs *verbs) {
    static const struct mkv_endpoint_ops ops = {.opened = ignore,
                                                .readable = ignore,
                                                .writable = ignore,
                                                .transfer_done = transfer_done,
                                                .drained = drained};
    const struct mkv_native_connect peer = {
        .queue_pair = 5,
        .mtu_bytes = 1024,
        .message_bytes = MESSAGE_BYTES,
        .receives = RECEIVES,
        .reads = 4,
        .link = MKV_NATIVE_LINK_ETHERNET,
    };
    char problem[MKV_VERBS_PROBLEM_BYTES];
    struct mkv_endpoint *endpoint = NULL;
    assert_true(mkv_endpoint_create(verbs, &ops, NULL, &endpoint, problem));
    assert_true(mkv_endpoint_connect(endpoint, &peer, now_ns, problem));
    (void)mkv_verbs_poll(verbs, later());
    return endpoint;
}

/* The peer's connection has ended; `says`: the device tells of the last receive. */
static void finish(struct mkv_verbs *verbs, struct mkv_endpoint *endpoint, bool says) {
    const uint32_t before = drained_count;
    mkv_endpoint_stop(endpoint, MKV_LANE_REASON_PEER, now_ns);
    if (says) {
        fake.has_event = true;
        fake.event = (struct ibv_async_event){.event_type = IBV_EVENT_QP_LAST_WQE_REACHED,
                                              .element = {.qp = endpoint->qp}};
    }
    (void)mkv_verbs_poll(verbs, later());
    (void)mkv_verbs_poll(verbs, later());
    assert_int_equal(drained_count, before + 1);
    mkv_endpoint_destroy(endpoint);
    (void)mkv_verbs_poll(verbs, later());
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_shared__each_end_is_told_of__queue_is_kept(void **state) {
    struct mkv_verbs *verbs = *state;
    for (uint32_t i = 0; i < 3; i++) {
        finish(verbs, connect_endpoint(verbs), true);
    }
    assert_int_equal(fake.queues, 1);
    assert_int_equal(fake.receives, RECEIVES);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
}

/* Each that ends keeps one: without a new queue there would soon be none. */
static void test_shared__ends_without_word_of_the_last__made_anew_with_all(void **state) {
    struct mkv_verbs *verbs = *state;
    for (uint32_t i = 1; i <= 2 * RECEIVES; i++) {
        struct mkv_endpoint *endpoint = connect_endpoint(verbs);
        assert_int_equal(fake.receives, RECEIVES);
        fake.receives--;
        finish(verbs, endpoint, false);
        assert_int_equal(fake.queues, 1 + i);
        assert_int_equal(fake.receives, RECEIVES);
    }
}

static void test_shared__another_endpoint_is_there__made_anew_behind_it(void **state) {
    struct mkv_verbs *verbs = *state;
    struct mkv_endpoint *first = connect_endpoint(verbs);
    struct mkv_endpoint *second = connect_endpoint(verbs);
    assert_int_equal(fake.receives, 2 * RECEIVES);
    finish(verbs, first, false);
    assert_int_equal(fake.queues, 1);
    fake.receives--;
    finish(verbs, second, true);
    assert_int_equal(fake.queues, 2);
    assert_int_equal(fake.receives, 2 * RECEIVES);
}

/* A message that came in time, of a queue pair that is gone since, lies in the completion queue. */
static void test_shared__completions_are_left__taken_before_it_is_made_anew(void **state) {
    struct mkv_verbs *verbs = *state;
    struct mkv_endpoint *endpoint = connect_endpoint(verbs);
    mkv_endpoint_stop(endpoint, MKV_LANE_REASON_PEER, now_ns);
    (void)mkv_verbs_poll(verbs, later());
    mkv_endpoint_destroy(endpoint);
    fake.completions[fake.completion_count++] =
        (struct ibv_wc){.wr_id = RECEIVE_BIT | 1, .qp_num = QP_NUMBER, .byte_len = 16};
    fake.receives--;
    (void)mkv_verbs_poll(verbs, later());
    assert_int_equal(fake.completion_first, fake.completion_count);
    assert_int_equal(fake.queues, 2);
    assert_int_equal(fake.receives, RECEIVES); /* each once */
}

static void test_shared__device_keeps_its_queue__so_does_the_port(void **state) {
    struct mkv_verbs *verbs = *state;
    fake.is_busy = true;
    finish(verbs, connect_endpoint(verbs), false);
    assert_int_equal(fake.queues, 1);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    fake.is_busy = false;
    finish(verbs, connect_endpoint(verbs), false);
    assert_int_equal(fake.queues, 2);
}

/* Without a queue the port is closed and opened again. */
static void test_shared__device_makes_no_other__port_is_gone(void **state) {
    struct mkv_verbs *verbs = *state;
    struct mkv_endpoint *endpoint = connect_endpoint(verbs);
    fake.is_out = true;
    finish(verbs, endpoint, false);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_GONE);
    (void)mkv_verbs_poll(verbs, later());
    assert_int_equal(fake.queues, 2);
}

/* ---- a device that does not let go ----------------------------------------------------------- */

/* An open lane with a READ on its way into memory of the server's. */
static struct mkv_endpoint *begin_read(struct mkv_verbs *verbs) {
    static uint8_t memory[64];
    struct mkv_verbs_region region = {.verbs = verbs, .mr = &fake.mr};
    struct mkv_endpoint *endpoint = connect_endpoint(verbs);
    const struct mkv_lane_header header = {
        .epoch = endpoint->epoch,
        .kind = MKV_LANE_MESSAGE_PROBE,
        .bytes = MESSAGE_BYTES - MKV_LANE_HEADER_BYTES,
    };
    uint8_t *message = mkv_verbs_receive_memory(verbs, 0);
    mkv_lane_header_encode(&header, message);
    mkv_lane_probe_fill(message + MKV_LANE_HEADER_BYTES, header.bytes);
    fake.completions[0] = (struct ibv_wc){
        .wr_id = RECEIVE_BIT, .qp_num = endpoint->qp_number, .byte_len = MESSAGE_BYTES};
    fake.completion_first = 0;
    fake.completion_count = 1;
    (void)mkv_verbs_poll(verbs, later());
    fake.completions[fake.completion_count++] =
        (struct ibv_wc){.wr_id = 0, .qp_num = endpoint->qp_number}; /* the answer has gone */
    (void)mkv_verbs_poll(verbs, later());
    assert_true(mkv_endpoint_is_open(endpoint));
    assert_true(
        mkv_endpoint_transfer(endpoint, true, 4096, 1, &region, memory, sizeof memory, 5, now_ns));
    (void)mkv_verbs_poll(verbs, later());
    return endpoint;
}

/* Neither its error state nor its end: the READ may still go on. */
static void test_stop__device_does_neither__transfers_do_not_end(void **state) {
    struct mkv_verbs *verbs = *state;
    struct mkv_endpoint *endpoint = begin_read(verbs);
    fake.keeps_state = true;
    fake.keeps_pairs = true;
    assert_true(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_PEER, now_ns));
    for (uint32_t i = 0; i < 40; i++) {
        (void)mkv_verbs_poll(verbs, later());
    }
    assert_int_equal(done_count, 0);
    assert_int_equal(drained_count, 0);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_GONE);
    fake.keeps_state = false; /* which is enough, as its completions come or are given up */
    fake.keeps_pairs = false;
    (void)mkv_verbs_poll(verbs, later());
    assert_int_equal(fake.destroyed, 0);
    (void)mkv_verbs_poll(verbs, later());
    (void)mkv_verbs_poll(verbs, later());
    assert_int_equal(done_count, 1);
    assert_int_equal(drained_count, 1);
    mkv_endpoint_destroy(endpoint);
    assert_int_equal(fake.destroyed, 1);
}

/* Its completions do not come in time, and then it is not destroyed. */
static void test_drain__queue_pair_is_not_destroyed__transfers_do_not_end(void **state) {
    struct mkv_verbs *verbs = *state;
    struct mkv_endpoint *endpoint = begin_read(verbs);
    fake.keeps_pairs = true;
    assert_true(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_PEER, now_ns));
    for (uint32_t i = 0; i < 40; i++) {
        (void)mkv_verbs_poll(verbs, later());
    }
    assert_int_equal(done_count, 0);
    assert_int_equal(drained_count, 0);
    fake.keeps_pairs = false;
    (void)mkv_verbs_poll(verbs, later());
    assert_int_equal(fake.destroyed, 1);
    assert_int_equal(done_count, 1);
    assert_int_equal(drained_count, 1);
    mkv_endpoint_destroy(endpoint);
}

/* The shared queue has receives that such a queue pair has taken: it is not made anew. */
static void test_destroy__queue_pair_is_not_destroyed__shared_queue_stays(void **state) {
    struct mkv_verbs *verbs = *state;
    fake.keeps_pairs = true;
    finish(verbs, connect_endpoint(verbs), false);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_GONE);
    assert_non_null(verbs->places[0].endpoint);
    assert_int_equal(fake.queues, 1);
    fake.keeps_pairs = false;
    (void)mkv_verbs_poll(verbs, later());
    assert_null(verbs->places[0].endpoint);
    assert_int_equal(fake.queues, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define SHARED_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        SHARED_TEST(test_shared__each_end_is_told_of__queue_is_kept),
        SHARED_TEST(test_shared__ends_without_word_of_the_last__made_anew_with_all),
        SHARED_TEST(test_shared__another_endpoint_is_there__made_anew_behind_it),
        SHARED_TEST(test_shared__completions_are_left__taken_before_it_is_made_anew),
        SHARED_TEST(test_shared__device_keeps_its_queue__so_does_the_port),
        SHARED_TEST(test_shared__device_makes_no_other__port_is_gone),
        SHARED_TEST(test_stop__device_does_neither__transfers_do_not_end),
        SHARED_TEST(test_drain__queue_pair_is_not_destroyed__transfers_do_not_end),
        SHARED_TEST(test_destroy__queue_pair_is_not_destroyed__shared_queue_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
