/* SPDX-License-Identifier: Apache-2.0 */
/* A port of a client whose device is this file: what is in its queues, and what its kernel says. */
#include "verbs/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECEIVES 4u
#define MESSAGE_BYTES 8192u
#define QP_NUMBER 17u
#define OTHER_QP_NUMBER 99u
#define EPOCH 0x1234567u
#define EXPOSED_TAG 7u
#define SECOND_NS 1000000000ull
#define COMPLETIONS_MAX 64u
#define EVENTS_MAX 4u

struct device {
    struct ibv_device device;
    struct ibv_context context;
    struct ibv_cq cq;
    struct ibv_qp qp;
    struct ibv_mr mr;
    struct ibv_wc completions[COMPLETIONS_MAX];
    uint32_t completion_first;
    uint32_t completion_count;
    struct ibv_async_event events[EVENTS_MAX];
    uint32_t event_first;
    uint32_t event_count;
    bool is_active;
    size_t gid_count;
    bool has_no_address; /* but what the kernel gives by itself */
    bool has_second;     /* one more address than 10.0.0.7: 10.0.0.8, before it */
    uint32_t acknowledged;
    enum ibv_mtu mtu; /* 0: 1024 */
    /* What it refuses, so many times. */
    uint32_t ports_refused;
    uint32_t tables_refused;
    uint32_t destroys_refused;
    bool is_removed;  /* the kernel knows it no more */
    bool is_in_error; /* its queue pair */
    uint32_t destroyed;
};

struct seen {
    uint32_t opened;
    uint32_t broken;
    enum mkv_lane_reason reason;
    uint32_t exposure_ends;
    uint32_t drained;
};

static struct device fake;
static struct seen seen;

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

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *work, struct ibv_recv_wr **bad) {
    (void)qp, (void)work, (void)bad;
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

static struct ibv_qp *create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attributes) {
    (void)pd;
    fake.qp.context = &fake.context;
    fake.qp.qp_context = attributes->qp_context;
    fake.qp.qp_num = QP_NUMBER;
    fake.is_in_error = false;
    return &fake.qp;
}

static int modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attributes, int mask) {
    (void)qp, (void)mask;
    fake.is_in_error = attributes->qp_state == IBV_QPS_ERR;
    return fake.is_removed ? EIO : 0;
}

static int destroy_qp(struct ibv_qp *qp) {
    assert_ptr_equal(qp, &fake.qp);
    assert_true(fake.is_in_error); /* also where this does not end it, no packet is let in */
    if (fake.is_removed || fake.destroys_refused > 0) {
        fake.destroys_refused -= fake.destroys_refused > 0;
        return fake.is_removed ? EIO : EBUSY;
    }
    fake.destroyed++;
    return 0;
}

static int get_async_event(struct ibv_context *context, struct ibv_async_event *event) {
    (void)context;
    if (fake.event_first == fake.event_count) {
        errno = EAGAIN;
        return -1;
    }
    *event = fake.events[fake.event_first++];
    return 0;
}

static void ack_async_event(struct ibv_async_event *event) {
    (void)event;
    fake.acknowledged++;
}

static int query_port(struct ibv_context *context, uint8_t port,
                      struct _compat_ibv_port_attr *attributes) {
    struct ibv_port_attr *answer = (struct ibv_port_attr *)attributes;
    (void)context, (void)port;
    if (fake.is_removed || fake.ports_refused > 0) {
        fake.ports_refused -= fake.ports_refused > 0;
        return EIO;
    }
    answer->state = fake.is_active ? IBV_PORT_ACTIVE : IBV_PORT_DOWN;
    answer->link_layer = IBV_LINK_LAYER_ETHERNET;
    answer->active_mtu = fake.mtu == 0 ? IBV_MTU_1024 : fake.mtu;
    return 0;
}

/* As the kernel does: all of them, or none. The last is an IPv4 address, and the first another
 * where there are two. */
static ssize_t query_gid_table(struct ibv_context *context, struct ibv_gid_entry *entries,
                               size_t entries_max, uint32_t flags, size_t entry_bytes) {
    (void)context, (void)flags;
    if (fake.tables_refused > 0) {
        fake.tables_refused--;
        return -ENOMEM;
    }
    if (entries_max * entry_bytes > UINT16_MAX || fake.gid_count > entries_max) {
        return -EINVAL;
    }
    for (size_t index = 0; index < fake.gid_count; index++) {
        entries[index] = (struct ibv_gid_entry){
            .gid_index = (uint32_t)index, .port_num = 1, .gid_type = IBV_GID_TYPE_ROCE_V2};
        entries[index].gid.raw[0] = 0xfe;
        entries[index].gid.raw[1] = 0x80;
    }
    if (fake.gid_count > 0 && !fake.has_no_address) {
        union ibv_gid *last = &entries[fake.gid_count - 1].gid;
        *last = (union ibv_gid){.raw = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 7}};
    }
    if (fake.has_second) {
        entries[0].gid = (union ibv_gid){.raw = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 8}};
    }
    return (ssize_t)fake.gid_count;
}

static const struct mkv_verbs_library library = {
    .reg_mr = reg_mr,
    .dereg_mr = dereg_mr,
    .create_qp = create_qp,
    .modify_qp = modify_qp,
    .destroy_qp = destroy_qp,
    .get_async_event = get_async_event,
    .ack_async_event = ack_async_event,
    .query_port = query_port,
    .query_gid_table = query_gid_table,
};

static void tell(enum ibv_event_type type) {
    fake.events[fake.event_count++] =
        (struct ibv_async_event){.event_type = type, .element = {.port_num = 1}};
}

static void tell_of_queue_pair(enum ibv_event_type type) {
    fake.events[fake.event_count++] =
        (struct ibv_async_event){.event_type = type, .element = {.qp = &fake.qp}};
}

/* ---- a port and an endpoint of it ------------------------------------------------------------ */

static struct mkv_verbs *make_verbs(void) {
    struct mkv_verbs *verbs = calloc(1, sizeof *verbs);
    assert_non_null(verbs);
    fake = (struct device){.is_active = true, .gid_count = 2};
    seen = (struct seen){0};
    fake.context.device = &fake.device;
    fake.context.ops.poll_cq = poll_cq;
    fake.context.ops.post_send = post_send;
    fake.context.ops.post_recv = post_recv;
    fake.cq.context = &fake.context;
    verbs->library = &library;
    verbs->options = (struct mkv_verbs_options){
        .gid_index = -1, .message_bytes = MESSAGE_BYTES, .receives_each = RECEIVES};
    verbs->facts.port = 1;
    verbs->facts.is_ethernet = true;
    verbs->facts.mtu = 1024;
    verbs->facts.reads_max = 4;
    verbs->context = &fake.context;
    verbs->cq = &fake.cq;
    verbs->epoll = -1;
    verbs->timer_ns = UINT64_MAX;
    verbs->sends_max = RECEIVES;
    verbs->endpoints_max = 1;
    verbs->table_mask = 15;
    verbs->table = calloc(16, sizeof(struct mkv_endpoint *));
    verbs->places = calloc(1, sizeof *verbs->places);
    assert_non_null(verbs->table);
    assert_non_null(verbs->places);
    return verbs;
}

static void opened(void *context) {
    (void)context;
    seen.opened++;
}

static void ignore(void *context) {
    (void)context;
}

static void broken(void *context, enum mkv_lane_reason reason, const char *problem) {
    (void)context, (void)problem;
    seen.broken++;
    seen.reason = reason;
}

static void exposure_end(void *context, uint64_t tag) {
    (void)context;
    assert_int_equal(tag, EXPOSED_TAG);
    seen.exposure_ends++;
}

static void drained(void *context) {
    (void)context;
    seen.drained++;
}

static struct mkv_endpoint *connect_endpoint(struct mkv_verbs *verbs, uint64_t now_ns) {
    static const struct mkv_endpoint_ops ops = {.opened = opened,
                                                .readable = ignore,
                                                .writable = ignore,
                                                .broken = broken,
                                                .exposure_end = exposure_end,
                                                .drained = drained};
    const struct mkv_native_connect peer = {
        .queue_pair = 5,
        .epoch = EPOCH,
        .mtu_bytes = 1024,
        .message_bytes = MESSAGE_BYTES,
        .receives = RECEIVES,
        .link = MKV_NATIVE_LINK_ETHERNET,
    };
    char problem[MKV_VERBS_PROBLEM_BYTES];
    struct mkv_endpoint *endpoint = NULL;
    assert_true(mkv_endpoint_create(verbs, &ops, NULL, &endpoint, problem));
    assert_true(mkv_endpoint_connect(endpoint, &peer, now_ns, problem));
    (void)mkv_verbs_poll(verbs, now_ns);
    return endpoint;
}

static void end_port(struct mkv_verbs *verbs) {
    if (verbs->places_made > 0) {
        mkv_verbs_place_remove(verbs, &verbs->places[0]);
    }
    free(verbs->table);
    free(verbs->places);
    free(verbs);
}

static void end(struct mkv_verbs *verbs, struct mkv_endpoint *endpoint, uint64_t now_ns) {
    assert_true(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_CLOSED, now_ns));
    (void)mkv_verbs_poll(verbs, now_ns);
    mkv_endpoint_destroy(endpoint);
    end_port(verbs);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* A completion of a queue pair that is gone. */
static void complete_other(void) {
    fake.completions[fake.completion_count++] = (struct ibv_wc){.qp_num = OTHER_QP_NUMBER};
}

/* The probe has been sent, and its answer has come. */
static void complete_probe(const struct mkv_verbs *verbs) {
    const struct mkv_lane_header header = {
        .epoch = EPOCH,
        .kind = MKV_LANE_MESSAGE_PROBE_ANSWER,
        .bytes = MESSAGE_BYTES - MKV_LANE_HEADER_BYTES,
    };
    uint8_t *memory = mkv_verbs_receive_memory(verbs, 0);
    mkv_lane_header_encode(&header, memory);
    mkv_lane_probe_fill(memory + MKV_LANE_HEADER_BYTES, header.bytes);
    fake.completions[fake.completion_count++] = (struct ibv_wc){.wr_id = 0, .qp_num = QP_NUMBER};
    fake.completions[fake.completion_count++] =
        (struct ibv_wc){.wr_id = RECEIVE_BIT, .qp_num = QP_NUMBER, .byte_len = MESSAGE_BYTES};
}

static void test_poll__long_not_called_and_much_came__time_is_looked_at_last(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = connect_endpoint(verbs, SECOND_NS);
    (void)state;
    for (uint32_t count = 0; count < 40; count++) {
        complete_other();
    }
    complete_probe(verbs);
    (void)mkv_verbs_poll(verbs, 60 * SECOND_NS);
    assert_int_equal(seen.broken, 0);
    assert_int_equal(seen.opened, 1);
    end(verbs, endpoint, 60 * SECOND_NS);
}

static void test_poll__port_goes_down_behind_its_gid__endpoints_break(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = connect_endpoint(verbs, SECOND_NS);
    (void)state;
    fake.is_active = false;
    tell(IBV_EVENT_GID_CHANGE);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_PORT_DOWN);
    tell(IBV_EVENT_PORT_ERR);
    (void)mkv_verbs_poll(verbs, 3 * SECOND_NS);
    assert_int_equal(seen.broken, 1);
    assert_int_equal(seen.reason, MKV_LANE_REASON_PORT_DOWN);
    end(verbs, endpoint, 3 * SECOND_NS);
}

/* What an event is of. */
enum event_of {
    OF_PORT,
    OF_OTHER_PORT, /* of the same device */
    OF_QUEUE_PAIR,
    OF_DEVICE, /* or of its completion queue, or of another queue: one lane does not show it */
};

static const struct event_case {
    enum ibv_event_type type;
    enum event_of of;
    enum mkv_verbs_state state;
    enum mkv_lane_reason reason; /* NONE: the lane goes on */
} event_cases[] = {
    {IBV_EVENT_CQ_ERR, OF_DEVICE, MKV_VERBS_GONE, MKV_LANE_REASON_DEVICE},
    {IBV_EVENT_QP_FATAL, OF_QUEUE_PAIR, MKV_VERBS_ACTIVE, MKV_LANE_REASON_LOCAL_ERROR},
    {IBV_EVENT_QP_REQ_ERR, OF_QUEUE_PAIR, MKV_VERBS_ACTIVE, MKV_LANE_REASON_LOCAL_ERROR},
    {IBV_EVENT_QP_ACCESS_ERR, OF_QUEUE_PAIR, MKV_VERBS_ACTIVE, MKV_LANE_REASON_LOCAL_ERROR},
    {IBV_EVENT_COMM_EST, OF_QUEUE_PAIR, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_SQ_DRAINED, OF_QUEUE_PAIR, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_PATH_MIG, OF_QUEUE_PAIR, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_PATH_MIG_ERR, OF_QUEUE_PAIR, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_DEVICE_FATAL, OF_DEVICE, MKV_VERBS_GONE, MKV_LANE_REASON_DEVICE},
    {IBV_EVENT_PORT_ACTIVE, OF_PORT, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_PORT_ERR, OF_PORT, MKV_VERBS_PORT_DOWN, MKV_LANE_REASON_PORT_DOWN},
    {IBV_EVENT_PORT_ERR, OF_OTHER_PORT, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_LID_CHANGE, OF_PORT, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_PKEY_CHANGE, OF_PORT, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_SM_CHANGE, OF_PORT, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_SRQ_ERR, OF_DEVICE, MKV_VERBS_GONE, MKV_LANE_REASON_DEVICE},
    {IBV_EVENT_SRQ_LIMIT_REACHED, OF_DEVICE, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_QP_LAST_WQE_REACHED, OF_QUEUE_PAIR, MKV_VERBS_ACTIVE, MKV_LANE_REASON_FLUSHED},
    {IBV_EVENT_CLIENT_REREGISTER, OF_PORT, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_GID_CHANGE, OF_PORT, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {IBV_EVENT_WQ_FATAL, OF_DEVICE, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE},
    {(enum ibv_event_type)40, OF_DEVICE, MKV_VERBS_ACTIVE, MKV_LANE_REASON_NONE}, /* not yet */
};
/* Each of verbs.h stands there, and PORT_ERR twice. */
_Static_assert(sizeof event_cases / sizeof event_cases[0] == IBV_EVENT_WQ_FATAL + 3,
               "an event of the header has no case");

static void tell_case(const struct event_case *one) {
    if (one->of == OF_QUEUE_PAIR) {
        tell_of_queue_pair(one->type);
    } else {
        tell(one->type);
        fake.is_active = one->state != MKV_VERBS_PORT_DOWN;
        fake.events[fake.event_count - 1].element.port_num = one->of == OF_OTHER_PORT ? 2 : 1;
    }
}

/* While the lane is made, and when it is open: it ends as the event says, or goes on. */
static void test_poll__each_event_of_a_device__ends_what_it_concerns_alone(void **state) {
    (void)state;
    for (size_t index = 0; index < sizeof event_cases / sizeof event_cases[0]; index++) {
        const struct event_case *one = &event_cases[index];
        for (uint32_t is_open = 0; is_open < 2; is_open++) {
            struct mkv_verbs *verbs = make_verbs();
            struct mkv_endpoint *endpoint = connect_endpoint(verbs, SECOND_NS);
            if (is_open == 1) {
                complete_probe(verbs);
                (void)mkv_verbs_poll(verbs, SECOND_NS);
                assert_int_equal(seen.opened, 1);
            }
            tell_case(one);
            (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
            (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
            if (mkv_verbs_state(verbs) != one->state || seen.reason != one->reason ||
                seen.broken != (one->reason != MKV_LANE_REASON_NONE) || fake.acknowledged != 1) {
                fail_msg("event %d, open %u: state %d, broken %u times for %d, acknowledged %u",
                         (int)one->type, is_open, (int)mkv_verbs_state(verbs), seen.broken,
                         (int)seen.reason, fake.acknowledged);
            }
            if (one->reason == MKV_LANE_REASON_NONE && is_open == 0) {
                complete_probe(verbs);
                (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
                assert_int_equal(seen.opened, 1);
            }
            end(verbs, endpoint, 2 * SECOND_NS);
        }
    }
}

/* An event may name a queue pair whose endpoint has no lane yet, or none any more. */
static void test_poll__event_of_a_queue_pair_without_a_lane__changes_nothing(void **state) {
    static const struct mkv_endpoint_ops none = {.opened = NULL};
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = NULL;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    (void)state;
    assert_true(mkv_endpoint_create(verbs, &none, NULL, &endpoint, problem));
    tell_of_queue_pair(IBV_EVENT_QP_FATAL);
    tell_of_queue_pair(IBV_EVENT_PATH_MIG);
    tell_of_queue_pair(IBV_EVENT_QP_LAST_WQE_REACHED);
    tell(IBV_EVENT_PORT_ERR);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(fake.acknowledged, 4);
    assert_int_equal(seen.broken, 0);
    assert_int_equal(endpoint->lane.state, MKV_LANE_IDLE);
    end(verbs, endpoint, 2 * SECOND_NS);
}

/* Events of a port are delivered in any order: after a short flap the last one may be PORT_ERR. */
static void test_poll__port_err_comes_behind_active__lanes_end_and_port_is_up(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = connect_endpoint(verbs, SECOND_NS);
    (void)state;
    tell(IBV_EVENT_PORT_ACTIVE);
    tell(IBV_EVENT_PORT_ERR);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    assert_int_equal(seen.broken, 1);
    assert_int_equal(seen.reason, MKV_LANE_REASON_PORT_DOWN);
    end(verbs, endpoint, 2 * SECOND_NS);
}

/* What it says may be older than the event: it is asked once more. */
static void test_poll__port_err_is_denied_too_early__port_is_down_a_second_later(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    (void)state;
    (void)mkv_verbs_poll(verbs, SECOND_NS);
    tell(IBV_EVENT_PORT_ERR);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    assert_int_equal(mkv_verbs_timer_ns(verbs), 3 * SECOND_NS);
    fake.is_active = false;
    (void)mkv_verbs_poll(verbs, 3 * SECOND_NS - 1);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    (void)mkv_verbs_poll(verbs, 3 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_PORT_DOWN);
    fake.is_active = true;
    (void)mkv_verbs_poll(verbs, 4 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    assert_int_equal(mkv_verbs_timer_ns(verbs), UINT64_MAX); /* nothing is to be asked any more */
    end_port(verbs);
}

/* The kernel drops events where it has no memory. */
static void test_poll__port_is_back_without_an_event__is_up_within_a_second(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    (void)state;
    fake.is_active = false;
    tell(IBV_EVENT_PORT_ERR);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_PORT_DOWN);
    for (uint64_t second = 3; second < 6; second++) {
        assert_int_equal(mkv_verbs_timer_ns(verbs), second * SECOND_NS);
        (void)mkv_verbs_poll(verbs, second * SECOND_NS);
        assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_PORT_DOWN);
    }
    fake.is_active = true;
    (void)mkv_verbs_poll(verbs, 6 * SECOND_NS - 1); /* its pace: a query is a system call */
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_PORT_DOWN);
    (void)mkv_verbs_poll(verbs, 6 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    assert_int_equal(mkv_verbs_timer_ns(verbs), UINT64_MAX);
    end_port(verbs);
}

static void test_refresh__kernel_does_not_answer_once__is_asked_again(void **state) {
    (void)state;
    for (uint32_t what = 0; what < 2; what++) {
        struct mkv_verbs *verbs = make_verbs();
        fake.ports_refused = what == 0;
        fake.tables_refused = what == 1;
        tell(IBV_EVENT_GID_CHANGE);
        (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
        assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_PORT_DOWN);
        (void)mkv_verbs_poll(verbs, 3 * SECOND_NS);
        assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
        end_port(verbs);
    }
}

static uint32_t mtu_of_the_next(struct mkv_verbs *verbs) {
    static const struct mkv_endpoint_ops none = {.opened = NULL};
    struct mkv_endpoint *endpoint = NULL;
    struct mkv_native_connect parameters = {0};
    char problem[MKV_VERBS_PROBLEM_BYTES];
    if (!mkv_endpoint_create(verbs, &none, NULL, &endpoint, problem)) {
        assert_non_null(strstr(problem, "is down"));
        return 0;
    }
    mkv_endpoint_parameters(endpoint, &parameters);
    assert_int_equal(mkv_verbs_facts(verbs)->mtu, parameters.mtu_bytes);
    mkv_endpoint_destroy(endpoint);
    return parameters.mtu_bytes;
}

/* `ip link set mtu` is told by no event. */
static void test_create__mtu_of_the_link_has_changed__endpoint_has_it(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    (void)state;
    assert_int_equal(mtu_of_the_next(verbs), 1024);
    fake.mtu = IBV_MTU_4096;
    assert_int_equal(mtu_of_the_next(verbs), 4096);
    verbs->options.mtu = 2048;
    assert_int_equal(mtu_of_the_next(verbs), 2048);
    fake.mtu = IBV_MTU_512;
    assert_int_equal(mtu_of_the_next(verbs), 512);
    fake.mtu = IBV_MTU_1024;
    fake.ports_refused = 1;
    assert_int_equal(mtu_of_the_next(verbs), 512);
    assert_int_equal(mtu_of_the_next(verbs), 1024);
    fake.is_active = false;
    assert_int_equal(mtu_of_the_next(verbs), 0);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_PORT_DOWN);
    end_port(verbs);
}

/* ---- a device that does not destroy ---------------------------------------------------------- */

static struct mkv_endpoint *expose_memory(struct mkv_verbs *verbs) {
    struct mkv_endpoint *endpoint = connect_endpoint(verbs, SECOND_NS);
    complete_probe(verbs);
    (void)mkv_verbs_poll(verbs, SECOND_NS);
    assert_true(mkv_endpoint_expose(endpoint, EXPOSED_TAG));
    return endpoint;
}

static void test_stop__queue_pair_is_not_destroyed__memory_is_not_given_back(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = expose_memory(verbs);
    (void)state;
    fake.destroys_refused = 3;
    assert_false(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_CLOSED, 2 * SECOND_NS));
    assert_true(fake.is_in_error);
    assert_false(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_CLOSED, 2 * SECOND_NS));
    (void)mkv_verbs_poll(verbs, 60 * SECOND_NS);
    (void)mkv_verbs_poll(verbs, 60 * SECOND_NS + 1);
    assert_int_equal(fake.destroys_refused, 0);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_GONE);
    assert_int_equal(seen.exposure_ends, 0);
    assert_int_equal(seen.drained, 0);
    assert_ptr_equal(mkv_verbs_table_find(verbs, QP_NUMBER), endpoint);
    assert_true(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_CLOSED, 60 * SECOND_NS + 2));
    (void)mkv_verbs_poll(verbs, 60 * SECOND_NS + 3);
    assert_int_equal(fake.destroyed, 1);
    assert_int_equal(seen.exposure_ends, 1);
    assert_int_equal(seen.drained, 1);
    end(verbs, endpoint, 61 * SECOND_NS);
}

static void test_break__queue_pair_is_not_destroyed__tried_again_each_second(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = expose_memory(verbs);
    (void)state;
    fake.destroys_refused = 2;
    tell_of_queue_pair(IBV_EVENT_QP_FATAL);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(seen.broken, 1);
    assert_int_equal(seen.reason, MKV_LANE_REASON_LOCAL_ERROR);
    (void)mkv_verbs_poll(verbs, 3 * SECOND_NS);
    assert_int_equal(fake.destroys_refused, 0);
    assert_int_equal(seen.exposure_ends, 0);
    assert_int_equal(mkv_verbs_timer_ns(verbs), 4 * SECOND_NS);
    (void)mkv_verbs_poll(verbs, 4 * SECOND_NS - 1);
    assert_int_equal(seen.exposure_ends, 0);
    (void)mkv_verbs_poll(verbs, 4 * SECOND_NS);
    assert_int_equal(fake.destroyed, 1);
    assert_int_equal(seen.exposure_ends, 1);
    assert_int_equal(seen.drained, 1);
    assert_int_equal(seen.broken, 1);
    end(verbs, endpoint, 5 * SECOND_NS);
}

/* The kernel tells of a removal behind the destruction of all that the device had; but no event is
 * read while a call waits for it. */
static void test_removed__queue_pair_went_with_its_device(void **state) {
    const struct timespec longer = {.tv_nsec = 600000000};
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = expose_memory(verbs);
    (void)state;
    fake.is_removed = true;
    tell(IBV_EVENT_DEVICE_FATAL);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(seen.exposure_ends, 1);
    assert_int_equal(seen.drained, 1);
    end(verbs, endpoint, 3 * SECOND_NS);
    verbs = make_verbs();
    endpoint = expose_memory(verbs);
    fake.is_removed = true;
    assert_false(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_CLOSED, 2 * SECOND_NS));
    assert_false(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_CLOSED, 2 * SECOND_NS));
    nanosleep(&longer, NULL);
    assert_true(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_CLOSED, 2 * SECOND_NS));
    end(verbs, endpoint, 4 * SECOND_NS);
}

/* Memory of nobody's is shown: there is nothing to wait for, but the endpoint's own buffers. */
static void test_stop__nothing_is_exposed__true_while_the_queue_pair_is_kept(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = connect_endpoint(verbs, SECOND_NS);
    (void)state;
    fake.destroys_refused = 1;
    assert_true(mkv_endpoint_stop(endpoint, MKV_LANE_REASON_CLOSED, 2 * SECOND_NS));
    assert_int_equal(fake.destroyed, 0);
    (void)mkv_verbs_poll(verbs, 3 * SECOND_NS);
    assert_int_equal(fake.destroyed, 1);
    assert_int_equal(seen.drained, 1);
    end(verbs, endpoint, 4 * SECOND_NS);
}

/* Its user has let go of it: events name it still, and its buffers are the device's. */
static void test_destroy__queue_pair_is_not_destroyed__endpoint_is_kept(void **state) {
    static const struct mkv_endpoint_ops none = {.opened = NULL};
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = NULL;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    (void)state;
    assert_true(mkv_endpoint_create(verbs, &none, NULL, &endpoint, problem));
    fake.destroys_refused = 5;
    mkv_endpoint_destroy(endpoint);
    assert_ptr_equal(verbs->places[0].endpoint, endpoint);
    tell_of_queue_pair(IBV_EVENT_QP_FATAL);
    tell_of_queue_pair(IBV_EVENT_QP_LAST_WQE_REACHED);
    fake.completions[fake.completion_count++] =
        (struct ibv_wc){.wr_id = RECEIVE_BIT, .qp_num = QP_NUMBER, .status = IBV_WC_WR_FLUSH_ERR};
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(fake.acknowledged, 2);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_GONE);
    assert_false(mkv_endpoint_create(verbs, &none, NULL, &endpoint, problem));
    mkv_verbs_close(verbs); /* leaves it all */
    (void)mkv_verbs_poll(verbs, 3 * SECOND_NS);
    assert_int_equal(fake.destroys_refused, 1);
    assert_non_null(verbs->places[0].endpoint);
    (void)mkv_verbs_poll(verbs, 4 * SECOND_NS);
    assert_non_null(verbs->places[0].endpoint);
    (void)mkv_verbs_poll(verbs, 5 * SECOND_NS);
    assert_null(verbs->places[0].endpoint);
    assert_int_equal(fake.destroyed, 1);
    end_port(verbs);
}

/* Each port that is left has memory that is locked: there is an end to it. */
static void test_close__again_and_again_nothing_is_destroyed__none_is_opened_any_more(
    void **state) {
    static const struct mkv_endpoint_ops none = {.opened = NULL};
    struct mkv_verbs_options options = {
        .gid_index = -1, .endpoints_max = 1, .message_bytes = 8192, .receives_each = 8};
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_verbs *other = NULL;
    struct mkv_endpoint *endpoint = NULL;
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    (void)state;
    options.device = "no_such_device";
    assert_true(mkv_endpoint_create(verbs, &none, NULL, &endpoint, problem));
    fake.destroys_refused = 17;
    mkv_endpoint_destroy(endpoint);
    assert_false(mkv_verbs_open(&options, &other, problem));
    assert_null(strstr(problem, "does not destroy queue pairs"));
    for (uint32_t count = 0; count < 16; count++) {
        mkv_verbs_close(verbs);
    }
    assert_false(mkv_verbs_open(&options, &other, problem));
    assert_non_null(strstr(problem, "does not destroy queue pairs"));
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_null(verbs->places[0].endpoint);
    end_port(verbs);
}

static void test_refresh__a_device_with_many_gids__one_is_found(void **state) {
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = connect_endpoint(verbs, SECOND_NS);
    (void)state;
    fake.gid_count = 250 * 8;
    tell(IBV_EVENT_GID_CHANGE);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    assert_string_equal(mkv_verbs_facts(verbs)->gid, "::ffff:10.0.0.7");
    end(verbs, endpoint, 2 * SECOND_NS);
}

/* The interface's address goes, and what the kernel gives each interface stays. */
static void test_refresh__link_local_address_alone_stays__port_is_down_until_it_is_back(
    void **state) {
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = connect_endpoint(verbs, SECOND_NS);
    (void)state;
    fake.gid_count = 3;
    tell(IBV_EVENT_GID_CHANGE);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    fake.has_no_address = true;
    tell(IBV_EVENT_GID_CHANGE);
    (void)mkv_verbs_poll(verbs, 3 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_PORT_DOWN);
    assert_string_equal(mkv_verbs_facts(verbs)->gid, "::ffff:10.0.0.7");
    fake.has_no_address = false;
    tell(IBV_EVENT_GID_CHANGE);
    (void)mkv_verbs_poll(verbs, 4 * SECOND_NS);
    assert_int_equal(mkv_verbs_state(verbs), MKV_VERBS_ACTIVE);
    end(verbs, endpoint, 4 * SECOND_NS);
}

static void test_address__a_second_of_the_port__is_what_an_endpoint_has(void **state) {
    static const uint8_t first[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 8};
    static const uint8_t second[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 7};
    static const uint8_t third[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 9};
    static const uint8_t local[16] = {0xfe, 0x80};
    static const struct mkv_endpoint_ops none = {.opened = NULL};
    struct mkv_verbs *verbs = make_verbs();
    struct mkv_endpoint *endpoint = NULL;
    struct mkv_native_connect parameters;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    (void)state;
    fake.gid_count = 3;
    fake.has_second = true;
    tell(IBV_EVENT_GID_CHANGE);
    (void)mkv_verbs_poll(verbs, 2 * SECOND_NS);
    assert_string_equal(mkv_verbs_facts(verbs)->gid, "::ffff:10.0.0.8");
    assert_true(mkv_verbs_has_address(verbs, first));
    assert_true(mkv_verbs_has_address(verbs, second));
    assert_false(mkv_verbs_has_address(verbs, third));
    assert_false(mkv_verbs_has_address(verbs, local));
    assert_true(mkv_endpoint_create(verbs, &none, NULL, &endpoint, problem));
    mkv_endpoint_parameters(endpoint, &parameters);
    assert_memory_equal(parameters.gid, first, 16);
    mkv_endpoint_set_address(endpoint, second);
    mkv_endpoint_set_address(endpoint, third); /* it has gone since */
    mkv_endpoint_parameters(endpoint, &parameters);
    assert_memory_equal(parameters.gid, second, 16);
    mkv_endpoint_qp_prepare(endpoint, 1024, 1);
    assert_int_equal(endpoint->to_receive.ah_attr.grh.sgid_index, 2);
    end(verbs, endpoint, 2 * SECOND_NS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poll__long_not_called_and_much_came__time_is_looked_at_last),
        cmocka_unit_test(test_poll__port_goes_down_behind_its_gid__endpoints_break),
        cmocka_unit_test(test_poll__each_event_of_a_device__ends_what_it_concerns_alone),
        cmocka_unit_test(test_poll__event_of_a_queue_pair_without_a_lane__changes_nothing),
        cmocka_unit_test(test_poll__port_err_comes_behind_active__lanes_end_and_port_is_up),
        cmocka_unit_test(test_poll__port_err_is_denied_too_early__port_is_down_a_second_later),
        cmocka_unit_test(test_poll__port_is_back_without_an_event__is_up_within_a_second),
        cmocka_unit_test(test_refresh__kernel_does_not_answer_once__is_asked_again),
        cmocka_unit_test(test_create__mtu_of_the_link_has_changed__endpoint_has_it),
        cmocka_unit_test(test_stop__queue_pair_is_not_destroyed__memory_is_not_given_back),
        cmocka_unit_test(test_break__queue_pair_is_not_destroyed__tried_again_each_second),
        cmocka_unit_test(test_removed__queue_pair_went_with_its_device),
        cmocka_unit_test(test_stop__nothing_is_exposed__true_while_the_queue_pair_is_kept),
        cmocka_unit_test(test_destroy__queue_pair_is_not_destroyed__endpoint_is_kept),
        cmocka_unit_test(test_refresh__a_device_with_many_gids__one_is_found),
        cmocka_unit_test(
            test_refresh__link_local_address_alone_stays__port_is_down_until_it_is_back),
        cmocka_unit_test(test_address__a_second_of_the_port__is_what_an_endpoint_has),
        /* The last one: it is of the whole process. */
        cmocka_unit_test(test_close__again_and_again_nothing_is_destroyed__none_is_opened_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
