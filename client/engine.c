/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: what has become ready, what can be done, what is over, and then waiting.
 */
#include "client/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull
/* What one wait brings. */
#define EVENTS_MAX 64
#define WAIT_MS_MAX 60000u
/* Rounds of one memkv_poll: what is left then is done by the next. */
#define POLL_ROUNDS_MAX 16u
/* While bytes move over lanes, which are polled, other descriptors are looked at this often ... */
#define LOOK_NS 1000000u
/* ... and while lanes are polled for what does not come yet, this often. */
#define LOOK_SPIN_NS 20000u

uint64_t mkv_client_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* ---- opening and closing -------------------------------------------------------------------- */

enum memkv_status mkv_engine_open(struct memkv_client *client, struct memkv_error *error) {
    TAILQ_INIT(&client->running);
    TAILQ_INIT(&client->done);
    client->wake = -1;
    client->timer = -1;
    client->timer_ns = UINT64_MAX;
    client->random = mkv_client_now_ns();
    uint64_t drawn;
    if (getrandom(&drawn, sizeof drawn, GRND_NONBLOCK) == sizeof drawn) {
        client->random ^= drawn;
    }
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (client->epoll < 0) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY,
                               "no descriptor for the client: %s; raise the limit of open files",
                               strerror(errno));
    }
    return MEMKV_OK;
}

static void descriptor_close(int descriptor) {
    if (descriptor >= 0) {
        close(descriptor);
    }
}

void mkv_engine_close(struct memkv_client *client) {
    mkv_servers_free(client);
    struct mkv_call *call;
    while ((call = TAILQ_FIRST(&client->running)) != NULL) {
        TAILQ_REMOVE(&client->running, call, link);
        mkv_call_free(call);
    }
    while ((call = TAILQ_FIRST(&client->done)) != NULL) {
        TAILQ_REMOVE(&client->done, call, link);
        mkv_call_free(call);
    }
    mkv_rdma_free(client->rdma);
    client->rdma = NULL;
    descriptor_close(client->epoll);
    descriptor_close(client->wake);
    descriptor_close(client->timer);
}

/* ---- descriptors ---------------------------------------------------------------------------- */

void mkv_engine_watch(struct mkv_connection *connection, int descriptor, uint32_t events) {
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = connection};
    /* It can fail for want of memory alone; then the connection's deadline ends it. */
    (void)epoll_ctl(connection->remote->client->epoll, EPOLL_CTL_ADD, descriptor, &event);
}

void mkv_engine_unwatch(struct mkv_connection *connection, int descriptor) {
    /* It fails for what was never watched. */
    (void)epoll_ctl(connection->remote->client->epoll, EPOLL_CTL_DEL, descriptor, NULL);
}

static void take_event(struct memkv_client *client, const struct epoll_event *event) {
    uint64_t count;
    if (event->data.ptr == &client->timer) {
        /* Nobody else reads it; what is due is found by the clock. */
        if (read(client->timer, &count, sizeof count) == sizeof count) {
            client->timer_ns = UINT64_MAX;
        }
        return;
    }
    if (event->data.ptr == &client->wake) {
        /* So that it wakes nobody twice; mkv_engine_arm has it tell again. */
        client->is_awake = read(client->wake, &count, sizeof count) != sizeof count;
        return;
    }
    if (client->rdma != NULL && mkv_rdma_has_port(client->rdma, event->data.ptr)) {
        return; /* the next poll finds what it is */
    }
    struct mkv_connection *connection = event->data.ptr;
    if (connection->transport != NULL) {
        connection->transport->is_woken = true;
    }
    if ((event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        connection->is_readable = true;
    }
    if ((event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        connection->is_writable = true;
    }
}

/* Takes the events that come within so many milliseconds. False: none did. */
static bool take_events(struct memkv_client *client, uint64_t wait_ms) {
    struct epoll_event events[EVENTS_MAX];
    const int count = epoll_wait(client->epoll, events, EVENTS_MAX, (int)wait_ms);
    for (int index = 0; index < count; index++) {
        take_event(client, &events[index]);
    }
    return count > 0;
}

/* Whether descriptors were looked at within the last `period_ns`, in a client that polls its lanes
 * anyway; else they are now. */
static bool has_looked(struct memkv_client *client, uint64_t now_ns, uint64_t period_ns) {
    if (client->rdma == NULL || client->rdma->port_count == 0) {
        return false;
    }
    if (now_ns - mkv_min_u64(client->look_ns, now_ns) < period_ns) {
        return true;
    }
    client->look_ns = now_ns;
    return false;
}

/* Polls lanes for as long as what is waited for is likely to come any moment, until `due_ns` at
 * most, and looks at other descriptors as well. True: something has come. */
static bool spin(struct memkv_client *client, uint64_t due_ns) {
    uint64_t now_ns = mkv_client_now_ns();
    const uint64_t end_ns = mkv_min_u64(mkv_spin_end_ns(&client->rdma->spin, now_ns), due_ns);
    while (now_ns < end_ns) {
        if (mkv_rdma_poll(client->rdma, now_ns) > 0 ||
            (!has_looked(client, now_ns, LOOK_SPIN_NS) && take_events(client, 0))) {
            return true;
        }
        now_ns = mkv_client_now_ns();
    }
    return false;
}

/* Before a client with lanes waits: polls them a little longer where answers are due; has their
 * descriptors tell, and *due_ns become what they need. True: something has come. */
static bool rest(struct memkv_client *client, uint64_t *due_ns) {
    if (client->rdma == NULL || client->rdma->port_count == 0) {
        return false;
    }
    if (TAILQ_EMPTY(&client->running)) {
        mkv_spin_restart(&client->rdma->spin);
    } else if (spin(client, *due_ns)) {
        return true;
    }
    return mkv_rdma_arm(client->rdma, due_ns);
}

/* Waits for events until `due_ns`, and for none of them if that is over. */
static void wait_events(struct memkv_client *client, uint64_t due_ns, uint64_t now_ns) {
    uint64_t wait_ms = 0;
    if (due_ns > now_ns) {
        if (rest(client, &due_ns)) {
            if (has_looked(client, now_ns, LOOK_NS)) {
                return;
            }
            due_ns = 0;
        }
        now_ns = mkv_client_now_ns(); /* the rest of the time, which polling has taken some of */
    }
    if (due_ns > now_ns) {
        /* Rounded up, so that the last round does not spin. */
        wait_ms = due_ns - now_ns < WAIT_MS_MAX * NS_PER_MS
                      ? (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS
                      : WAIT_MS_MAX;
    }
    (void)take_events(client, wait_ms);
}

static void look_at_events(struct memkv_client *client, uint64_t now_ns) {
    if (!has_looked(client, now_ns, LOOK_NS)) {
        (void)take_events(client, 0);
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void running_insert(struct mkv_call *call) {
    struct mkv_call_list *running = &call->client->running;
    struct mkv_call *before = TAILQ_LAST(running, mkv_call_list);
    while (before != NULL && before->deadline_ns > call->deadline_ns) {
        before = TAILQ_PREV(before, mkv_call_list, link);
    }
    if (before != NULL) {
        TAILQ_INSERT_AFTER(running, before, call, link);
    } else {
        TAILQ_INSERT_HEAD(running, call, link);
    }
}

void mkv_engine_extend(struct mkv_call *call, uint64_t time_ns) {
    TAILQ_REMOVE(&call->client->running, call, link);
    call->deadline_ns += time_ns;
    running_insert(call);
}

void mkv_engine_done(struct mkv_call *call) {
    struct memkv_client *client = call->client;
    MKV_ASSERT(call->is_running);
    TAILQ_REMOVE(&client->running, call, link);
    call->is_running = false;
    if (MKV_CLIENT_EXPORTERS != 0 && client->metrics != NULL) {
        mkv_metrics_call(client->metrics, call);
    }
    if (MKV_CLIENT_EXPORTERS != 0 && client->exporter != NULL) {
        mkv_exporter_end(client->exporter, call);
    }
    if (call->is_async) {
        TAILQ_INSERT_TAIL(&client->done, call, link);
        client->done_count++;
    } else {
        client->call_count--;
    }
}

/* Connections that nobody waits for may have ended meanwhile: so that no request goes to one that
 * is known to be gone. */
static void look_at_idle(struct memkv_client *client, uint64_t now_ns) {
    look_at_events(client, now_ns);
    if (client->rdma != NULL) {
        (void)mkv_rdma_poll(client->rdma, now_ns);
    }
    for (uint32_t index = 0; index < client->remote_all_count; index++) {
        for (uint32_t slot = 0; slot < client->remotes[index]->slots; slot++) {
            struct mkv_connection *connection = client->remotes[index]->connections[slot];
            if (connection != NULL && connection->state == MKV_CONNECTION_READY &&
                connection->requests_live == 0) {
                (void)mkv_connection_receive_some(connection);
            }
        }
    }
}

bool mkv_engine_is_connected(struct mkv_remote *remote) {
    struct memkv_client *client = remote->client;
    look_at_idle(client, mkv_client_now_ns());
    /* What it has heard of others is not told again. */
    client->has_more = client->has_more || !TAILQ_EMPTY(&client->running);
    mkv_engine_arm(client);
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (connection != NULL && connection->state == MKV_CONNECTION_READY) {
            return true;
        }
    }
    return false;
}

/* One round over all servers, with those that have left the list. */
static enum mkv_progress work(struct memkv_client *client, uint64_t now_ns) {
    enum mkv_progress progress = MKV_PROGRESS_BLOCKED;
    if (client->rdma != NULL) {
        (void)mkv_rdma_poll(client->rdma, now_ns);
    }
    for (uint32_t index = 0; index < client->remote_all_count; index++) {
        struct mkv_remote *remote = client->remotes[index];
        if (client->rdma != NULL && index < client->remote_count) {
            mkv_remote_rdma_tend(remote, now_ns);
        }
        if (mkv_remote_dispatch(remote, now_ns) == MKV_PROGRESS_MOVED) {
            progress = MKV_PROGRESS_MOVED;
        }
        for (uint32_t slot = 0; slot < remote->slots; slot++) {
            struct mkv_connection *connection = remote->connections[slot];
            if (connection != NULL && connection->state != MKV_CONNECTION_CLOSED &&
                mkv_connection_step(connection, now_ns) == MKV_PROGRESS_MOVED) {
                progress = MKV_PROGRESS_MOVED;
            }
        }
    }
    return progress;
}

/* True: there was such a call. What it leaves, its place on a connection or memory, say, may be
 * what others wait for, and no event tells of it. */
static bool expire(struct memkv_client *client, uint64_t now_ns) {
    bool is_any = false;
    struct mkv_call *call;
    while ((call = TAILQ_FIRST(&client->running)) != NULL && call->deadline_ns <= now_ns) {
        mkv_call_cut(call, MEMKV_DEADLINE);
        is_any = true;
    }
    return is_any;
}

static uint64_t due_ns_of(const struct memkv_client *client) {
    const struct mkv_call *first = TAILQ_FIRST(&client->running);
    uint64_t due_ns = first != NULL ? first->deadline_ns : UINT64_MAX;
    for (uint32_t index = 0; index < client->remote_all_count; index++) {
        due_ns = mkv_min_u64(due_ns, mkv_remote_due_ns(client->remotes[index]));
    }
    return due_ns;
}

void mkv_engine_begin(struct mkv_call *call) {
    struct memkv_client *client = call->client;
    const uint64_t now_ns = mkv_client_now_ns();
    if (TAILQ_EMPTY(&client->running)) {
        look_at_idle(client, now_ns);
        if (client->rdma != NULL) {
            /* What was waited for before was cut off, or came another way. */
            mkv_spin_restart(&client->rdma->spin);
        }
    }
    call->begin_ns = now_ns;
    call->deadline_ns = now_ns + (uint64_t)call->timeout_ms * NS_PER_MS;
    call->is_running = true;
    client->call_count++;
    running_insert(call);
    for (uint32_t index = 0; index < call->share_count; index++) {
        mkv_remote_enqueue(&call->shares[index]);
    }
    mkv_call_settle(call);
    if (call->is_async) {
        client->has_more = work(client, now_ns) == MKV_PROGRESS_MOVED;
        if (client->rdma != NULL && mkv_rdma_poll(client->rdma, now_ns) > 0) {
            client->has_more = true; /* it also has what was sent leave */
        }
    }
}

/* A call that is done gives a connection that tries RDMA again a little time, within its own. */
static void linger(struct memkv_client *client, const struct mkv_call *call) {
    while (client->rdma != NULL && client->rdma->candidate_count > 0) {
        const uint64_t now_ns = mkv_client_now_ns();
        const uint64_t end_ns = mkv_min_u64(client->rdma->linger_ns, call->deadline_ns);
        if (now_ns >= end_ns) {
            return;
        }
        const bool is_moved = work(client, now_ns) == MKV_PROGRESS_MOVED;
        wait_events(client, is_moved ? 0 : mkv_min_u64(end_ns, due_ns_of(client)), now_ns);
        client->has_more = true; /* no event tells again of what has come now */
    }
}

/* What there is to wait for. */
static bool is_reached(const struct memkv_client *client, const struct mkv_call *call) {
    return call != NULL ? !call->is_running : client->done_count > 0;
}

void mkv_engine_run(struct memkv_client *client, const struct mkv_call *call,
                    uint64_t deadline_ns) {
    while (!is_reached(client, call)) {
        const uint64_t now_ns = mkv_client_now_ns();
        const bool is_moved = work(client, now_ns) == MKV_PROGRESS_MOVED;
        client->has_more = expire(client, now_ns) || is_moved;
        if (is_reached(client, call) || now_ns >= deadline_ns) {
            break;
        }
        if (client->has_more) {
            look_at_events(client, now_ns);
        } else {
            wait_events(client, mkv_min_u64(deadline_ns, due_ns_of(client)), now_ns);
        }
    }
    if (call != NULL) {
        linger(client, call);
    }
}

void mkv_engine_poll(struct memkv_client *client) {
    uint64_t now_ns = mkv_client_now_ns();
    wait_events(client, 0, now_ns);
    for (uint32_t round = 0; round < POLL_ROUNDS_MAX; round++) {
        client->has_more = work(client, now_ns) == MKV_PROGRESS_MOVED;
        if (!client->has_more) {
            break;
        }
    }
    now_ns = mkv_client_now_ns();
    client->has_more = expire(client, now_ns) || client->has_more;
}

bool mkv_engine_fd_open(struct memkv_client *client) {
    if (client->wake >= 0) {
        return true;
    }
    client->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    client->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &client->wake};
    struct epoll_event timer = {.events = EPOLLIN, .data.ptr = &client->timer};
    const bool is_made = client->wake >= 0 && client->timer >= 0 &&
                         epoll_ctl(client->epoll, EPOLL_CTL_ADD, client->wake, &wake) == 0 &&
                         epoll_ctl(client->epoll, EPOLL_CTL_ADD, client->timer, &timer) == 0;
    if (!is_made) {
        const int failure = errno;
        descriptor_close(client->wake);
        descriptor_close(client->timer);
        client->wake = -1;
        client->timer = -1;
        errno = failure;
    }
    return is_made;
}

void mkv_engine_arm(struct memkv_client *client) {
    if (client->wake < 0) {
        return;
    }
    uint64_t due_ns = due_ns_of(client);
    if (client->rdma != NULL && mkv_rdma_arm(client->rdma, &due_ns)) {
        client->has_more = true;
    }
    const bool is_awake = client->has_more || client->done_count > 0;
    uint64_t count = 1;
    if (is_awake && !client->is_awake) {
        client->is_awake = write(client->wake, &count, sizeof count) == sizeof count;
    } else if (!is_awake && client->is_awake) {
        client->is_awake = read(client->wake, &count, sizeof count) != sizeof count;
    }
    /* One that comes too early costs a look, so it is not put off. */
    if (due_ns < client->timer_ns) {
        const struct itimerspec at = {
            .it_value = {.tv_sec = (time_t)(due_ns / 1000000000u),
                         .tv_nsec = (long)(due_ns % 1000000000u)},
        };
        if (timerfd_settime(client->timer, TFD_TIMER_ABSTIME, &at, NULL) == 0) {
            client->timer_ns = due_ns;
        }
    }
}

enum memkv_status mkv_engine_connect(struct memkv_client *client, struct memkv_error *error) {
    const uint64_t begin_ns = mkv_client_now_ns();
    for (uint32_t index = 0; index < client->remote_count; index++) {
        mkv_remote_open_one(client->remotes[index], begin_ns);
    }
    for (;;) {
        const uint64_t now_ns = mkv_client_now_ns();
        const enum mkv_progress progress = work(client, now_ns);
        const struct mkv_remote *failed = NULL;
        uint32_t settled_count = 0;
        bool is_any_ready = false;
        for (uint32_t index = 0; index < client->remote_count; index++) {
            const struct mkv_remote *remote = client->remotes[index];
            const struct mkv_connection *connection = remote->connections[0];
            const bool is_ready = remote->limits_version > 0;
            is_any_ready = is_any_ready || is_ready;
            if (!is_ready && remote->failure_count > 0 &&
                (connection == NULL || connection->state == MKV_CONNECTION_CLOSED)) {
                failed = failed != NULL ? failed : remote;
                settled_count++;
            }
            settled_count += is_ready ? 1 : 0;
        }
        if (settled_count == client->remote_count) {
            if (is_any_ready) {
                return MEMKV_OK;
            }
            return mkv_client_fail(error, failed->failure.status, "%s", failed->failure.text);
        }
        wait_events(client, progress == MKV_PROGRESS_MOVED ? 0 : due_ns_of(client), now_ns);
    }
}
