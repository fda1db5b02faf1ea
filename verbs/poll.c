/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "verbs/device.h"

#define COMPLETIONS_AT_ONCE 32
/* Of one poll: others of the thread want to go on. */
#define ROUNDS_MAX 8u
/* Where the completion queue does not become empty, time is put off for so long. */
#define TIME_LATE_NS 1000000000ull
/* A device whose driver tells no one that it is removed waits until all have closed it: its node is
 * looked for this often. */
#define NODE_EVERY_NS 1000000000ull
/* Events of a port come out of order, and get lost where the kernel has no memory: one that is
 * down, or was said to be, is asked this often. So is a device that does not destroy a queue pair.
 */
#define PORT_EVERY_NS 1000000000ull
#define KEPT_EVERY_NS NODE_EVERY_NS
/* Where nobody waits for the descriptor, the events of the device are asked for this often. */
#define EVENTS_EVERY_NS 1000000ull

void mkv_verbs_busy(struct mkv_endpoint *endpoint) {
    struct mkv_verbs *verbs = endpoint->verbs;
    if (endpoint->is_busy) {
        return;
    }
    endpoint->is_busy = true;
    endpoint->busy_next = NULL;
    if (verbs->busy_last == NULL) {
        verbs->busy_first = endpoint;
    } else {
        verbs->busy_last->busy_next = endpoint;
    }
    verbs->busy_last = endpoint;
}

void mkv_verbs_timer_note(struct mkv_endpoint *endpoint) {
    struct mkv_verbs *verbs = endpoint->verbs;
    verbs->timer_ns = mkv_min_u64(verbs->timer_ns, mkv_lane_timer_ns(&endpoint->lane));
    if (endpoint->drain_is_due) {
        verbs->timer_ns = mkv_min_u64(verbs->timer_ns, endpoint->drain_end_ns);
    }
}

/* ---- events of the device -------------------------------------------------------------------- */

static void tell_lane(struct mkv_endpoint *endpoint, enum mkv_lane_event event, uint64_t now_ns) {
    if (endpoint->is_connected) {
        mkv_lane_event(&endpoint->lane, event, now_ns);
        mkv_verbs_busy(endpoint);
    }
}

static void tell_lanes(struct mkv_verbs *verbs, enum mkv_lane_event event, uint64_t now_ns) {
    for (uint32_t index = 0; index < verbs->places_made; index++) {
        if (verbs->places[index].endpoint != NULL) {
            tell_lane(verbs->places[index].endpoint, event, now_ns);
        }
    }
}

static void device_is_gone(struct mkv_verbs *verbs, uint64_t now_ns) {
    if (verbs->state != MKV_VERBS_GONE) {
        verbs->state = MKV_VERBS_GONE;
        /* It may be readable for ever from now on, and tells no more than this. */
        (void)epoll_ctl(verbs->epoll, EPOLL_CTL_DEL, verbs->context->async_fd, NULL);
        tell_lanes(verbs, MKV_LANE_EVENT_DEVICE_FATAL, now_ns);
    }
}

static void ask_port(struct mkv_verbs *verbs, uint64_t now_ns) {
    verbs->port_asked_ns = now_ns;
    mkv_verbs_refresh(verbs);
}

static void take_event(struct mkv_verbs *verbs, const struct ibv_async_event *event,
                       uint64_t now_ns) {
    const int type = (int)event->event_type; /* devices have events of later versions, too */
    switch (type) {
    case IBV_EVENT_PORT_ERR:
        /* Its GID may have gone first, and the state with it: nobody was told then. */
        if (event->element.port_num == (int)verbs->facts.port && verbs->state != MKV_VERBS_GONE) {
            tell_lanes(verbs, MKV_LANE_EVENT_PORT_DOWN, now_ns);
            verbs->port_is_in_doubt = true;
            ask_port(verbs, now_ns);
        }
        break;
    case IBV_EVENT_PORT_ACTIVE:
    case IBV_EVENT_GID_CHANGE:
    case IBV_EVENT_LID_CHANGE:
        ask_port(verbs, now_ns);
        break;
    case IBV_EVENT_DEVICE_FATAL:
        verbs->is_removed = true;
        device_is_gone(verbs, now_ns);
        break;
    case IBV_EVENT_CQ_ERR:
    case IBV_EVENT_SRQ_ERR:
        device_is_gone(verbs, now_ns);
        break;
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
        tell_lane(event->element.qp->qp_context, MKV_LANE_EVENT_QP_FATAL, now_ns);
        break;
    case IBV_EVENT_PATH_MIG:
    case IBV_EVENT_PATH_MIG_ERR: /* it stays on the path that it has */
        tell_lane(event->element.qp->qp_context, MKV_LANE_EVENT_PATH, now_ns);
        break;
    case IBV_EVENT_QP_LAST_WQE_REACHED:
        ((struct mkv_endpoint *)event->element.qp->qp_context)->last_receive = true;
        break;
    case IBV_EVENT_COMM_EST:          /* the probe tells that the peer is there */
    case IBV_EVENT_SQ_DRAINED:        /* nobody asks for it */
    case IBV_EVENT_SRQ_LIMIT_REACHED: /* likewise: what was taken is posted again at once */
    case IBV_EVENT_WQ_FATAL:          /* there is none */
    case IBV_EVENT_PKEY_CHANGE:       /* of InfiniBand's subnet manager: queue pairs go on, and */
    case IBV_EVENT_SM_CHANGE:         /* what fails of them shows itself */
    case IBV_EVENT_CLIENT_REREGISTER:
    default: /* of later versions */
        break;
    }
}

static uint32_t take_events(struct mkv_verbs *verbs, uint64_t now_ns) {
    uint32_t count = 0;
    struct ibv_async_event event;
    verbs->events_seen_ns = now_ns;
    while (verbs->library->get_async_event(verbs->context, &event) == 0) {
        count++;
        /* First what it names is looked at: it may go once it is acknowledged. */
        take_event(verbs, &event, now_ns);
        verbs->library->ack_async_event(&event);
    }
    if (errno != EAGAIN && errno != EINTR && verbs->state != MKV_VERBS_GONE) {
        device_is_gone(verbs, now_ns);
        count++;
    }
    return count;
}

static void look_for_node(struct mkv_verbs *verbs, uint64_t now_ns) {
    const bool is_there = access(verbs->context->device->dev_path, F_OK) == 0;
    verbs->node_seen_ns = now_ns;
    if (verbs->has_node && !is_there) {
        device_is_gone(verbs, now_ns);
    }
    verbs->has_node = is_there;
}

/* ---- what comes without an event ------------------------------------------------------------- */

static bool port_is_asked(const struct mkv_verbs *verbs) {
    return verbs->state == MKV_VERBS_PORT_DOWN ||
           (verbs->state == MKV_VERBS_ACTIVE && verbs->port_is_in_doubt);
}

/* At its own pace, so that a port which goes while it says that it has not is asked later. */
static void look_at_port(struct mkv_verbs *verbs, uint64_t now_ns) {
    if (port_is_asked(verbs) && now_ns >= verbs->port_asked_ns + PORT_EVERY_NS) {
        verbs->port_is_in_doubt = false;
        ask_port(verbs, now_ns);
    }
}

static void try_kept(struct mkv_verbs *verbs, uint64_t now_ns) {
    if (verbs->kept_count == 0 || now_ns < verbs->kept_tried_ns + KEPT_EVERY_NS) {
        return;
    }
    verbs->kept_tried_ns = now_ns;
    for (uint32_t index = 0; index < verbs->places_made; index++) {
        if (verbs->places[index].endpoint != NULL) {
            mkv_endpoint_again(verbs->places[index].endpoint, now_ns);
        }
    }
}

static void disarm(struct mkv_verbs *verbs) {
    struct ibv_cq *cq = NULL;
    void *context = NULL;
    while (verbs->library->get_cq_event(verbs->channel, &cq, &context) == 0) {
        verbs->library->ack_cq_events(cq, 1);
        verbs->is_armed = false;
    }
}

/* ---- completions ----------------------------------------------------------------------------- */

static void take_completion(struct mkv_verbs *verbs, const struct ibv_wc *wc, uint64_t now_ns) {
    struct mkv_endpoint *endpoint = mkv_verbs_table_find(verbs, wc->qp_num);
    if ((wc->wr_id & RECEIVE_BIT) == 0) {
        if (endpoint != NULL) {
            mkv_endpoint_completed(endpoint, wc, now_ns);
        }
        return;
    }
    if (endpoint != NULL) {
        mkv_endpoint_received(endpoint, wc, now_ns);
    } else if (verbs->srq != NULL && !mkv_verbs_receive_post(verbs, NULL, (uint32_t)wc->wr_id)) {
        verbs->srq_is_in_doubt = true;
    }
}

/* True: there may be more. */
static bool take_completions(struct mkv_verbs *verbs, uint64_t now_ns, uint32_t *count) {
    struct ibv_wc done[COMPLETIONS_AT_ONCE];
    const int found = ibv_poll_cq(verbs->cq, COMPLETIONS_AT_ONCE, done);
    if (found < 0) {
        device_is_gone(verbs, now_ns);
        return false;
    }
    for (int index = 0; index < found; index++) {
        take_completion(verbs, &done[index], now_ns);
    }
    *count += (uint32_t)found;
    return found == COMPLETIONS_AT_ONCE;
}

/* The completion queue is empty: what came before the last receive's event has been seen. */
static void take_last_receives(struct mkv_verbs *verbs, uint64_t now_ns) {
    for (uint32_t index = 0; index < verbs->places_made; index++) {
        struct mkv_endpoint *endpoint = verbs->places[index].endpoint;
        if (endpoint != NULL && endpoint->last_receive) {
            endpoint->last_receive = false;
            tell_lane(endpoint, MKV_LANE_EVENT_LAST_RECEIVE, now_ns);
        }
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void take_time(struct mkv_verbs *verbs, uint64_t now_ns) {
    verbs->timer_ns = UINT64_MAX;
    for (uint32_t index = 0; index < verbs->places_made; index++) {
        struct mkv_endpoint *endpoint = verbs->places[index].endpoint;
        if (endpoint != NULL && endpoint->is_connected) {
            if (mkv_lane_timer_ns(&endpoint->lane) <= now_ns) {
                mkv_lane_time(&endpoint->lane, now_ns);
                mkv_verbs_busy(endpoint);
            }
            if (endpoint->drain_is_due && endpoint->drain_end_ns <= now_ns) {
                if (!mkv_endpoint_qp_destroy(endpoint)) {
                    endpoint->drain_end_ns = now_ns + KEPT_EVERY_NS;
                }
                mkv_verbs_busy(endpoint);
            }
            mkv_verbs_timer_note(endpoint);
        }
    }
}

/* Counted from when time was first put off, not from when it was due: whoever has not polled for
 * minutes finds the queue full of what came in time. */
static bool is_late(struct mkv_verbs *verbs, uint64_t now_ns) {
    if (verbs->late_ns == 0) {
        verbs->late_ns = now_ns;
    }
    return now_ns - verbs->late_ns >= TIME_LATE_NS;
}

/* Those that are in the list now; what they cause comes in the next round. */
static uint32_t work_busy(struct mkv_verbs *verbs, uint64_t now_ns) {
    uint32_t count = 0;
    struct mkv_endpoint *endpoint = verbs->busy_first;
    verbs->busy_first = verbs->busy_last = NULL;
    while (endpoint != NULL) {
        struct mkv_endpoint *next = endpoint->busy_next;
        endpoint->is_busy = false;
        mkv_endpoint_work(endpoint, now_ns);
        count += mkv_endpoint_tell(endpoint);
        endpoint = next;
    }
    return count;
}

uint32_t mkv_verbs_poll(struct mkv_verbs *verbs, uint64_t now_ns) {
    uint32_t count = 0;
    const bool has_events = verbs->is_armed || now_ns >= verbs->events_seen_ns + EVENTS_EVERY_NS;
    if (verbs->is_armed) {
        disarm(verbs);
    }
    if (has_events) {
        count += take_events(verbs, now_ns);
    }
    if (now_ns >= verbs->node_seen_ns + NODE_EVERY_NS) {
        look_for_node(verbs, now_ns);
    }
    look_at_port(verbs, now_ns);
    try_kept(verbs, now_ns);
    for (uint32_t round = 0; round < ROUNDS_MAX; round++) {
        const uint32_t before = count;
        const bool has_more = take_completions(verbs, now_ns, &count);
        if (!has_more && has_events) {
            take_last_receives(verbs, now_ns);
        }
        if (!has_more && !mkv_verbs_shared_renew(verbs)) {
            device_is_gone(verbs, now_ns);
        }
        /* What a lane waits for may lie in the queue still. */
        if (now_ns >= verbs->timer_ns && (!has_more || is_late(verbs, now_ns))) {
            verbs->late_ns = 0;
            take_time(verbs, now_ns);
        }
        count += work_busy(verbs, now_ns);
        if (verbs->kept_count > 0) {
            device_is_gone(verbs, now_ns);
        }
        if (count == before && verbs->busy_first == NULL) {
            break;
        }
    }
    return count;
}

void mkv_verbs_arm(struct mkv_verbs *verbs) {
    if (!verbs->is_armed) {
        verbs->is_armed = ibv_req_notify_cq(verbs->cq, 0) == 0;
    }
}

uint64_t mkv_verbs_timer_ns(const struct mkv_verbs *verbs) {
    if (verbs->busy_first != NULL) {
        return 0;
    }
    uint64_t timer_ns = verbs->timer_ns;
    if (verbs->has_node) {
        timer_ns = mkv_min_u64(timer_ns, verbs->node_seen_ns + NODE_EVERY_NS);
    }
    if (port_is_asked(verbs)) {
        timer_ns = mkv_min_u64(timer_ns, verbs->port_asked_ns + PORT_EVERY_NS);
    }
    if (verbs->kept_count > 0) {
        timer_ns = mkv_min_u64(timer_ns, verbs->kept_tried_ns + KEPT_EVERY_NS);
    }
    return timer_ns;
}
