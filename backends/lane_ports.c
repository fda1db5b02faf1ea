/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/lane_ports.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "backends/clock.h"
#include "backends/rdma_facts.h"

/* Of wire/lane.h: control frames are small, and a peer has some of them on their way. */
#define MESSAGE_BYTES 8192u
#define RECEIVES_EACH 16u
/* Of a port that is armed: a timer of its lanes may be due (verbs/endpoint.h). */
#define LOOK_NS (10ull * 1000000u)
#define TEXT_BYTES 512u
#define DEVICE_BYTES 64u
/* A driver that hangs is not waited for longer, when all ends. */
#define LEAVE_NS (2ull * 1000000000u)
#define LEAVE_STEP_NS 1000000
#define ROUNDS_BYTES ((size_t)MKV_LANE_ROUNDS * MKV_LANE_PIECE_BYTES)
/* Times the shortest time between looks: when to look for devices that nobody misses yet. */
#define RESCAN_TIMES (MKV_LANE_PORT_RETRY_NS_MAX / MKV_LANE_PORT_RETRY_NS_MIN)

_Static_assert(MKV_LANE_PIECE_BYTES % (MKV_BLOCK_BYTES_MAX / MKV_CHUNKS_MAX) == 0,
               "a piece ends at the end of a chunk");

enum look_stage {
    LOOK_RUNNING = 0, /* it is its thread's */
    LOOK_DONE,        /* it is the shard's thread's again */
    LOOK_LEFT,        /* nobody waits for it any more: its thread tidies up */
};

/* A port whose driver hangs at the end of all: it belongs to the threads that are in there. */
struct mkv_lane_remains {
    pthread_mutex_t mutex;
    struct mkv_lane_port port;
};

/* What a look has opened, or why it has not. */
struct look {
    pthread_t thread;
    bool is_under_way; /* the thread is to be joined */
    atomic_int stage;  /* enum look_stage, of all below */
    uint8_t *slabs;    /* to be registered; NULL: nothing is */
    size_t slab_bytes;
    uint32_t count;
    struct mkv_lane_port found[MKV_LANE_PORTS_MAX];
    uint32_t known_count; /* those that are open already */
    struct {
        char device[DEVICE_BYTES];
        uint32_t port;
    } known[MKV_LANE_PORTS_MAX];
    bool is_missing; /* one is wanted that is not open */
    char problem[TEXT_BYTES];
};

struct mkv_lane_ports {
    struct mkv_lane_ports_options options;
    char device[DEVICE_BYTES]; /* of the options: a look that was left outlives theirs */
    char address[INET6_ADDRSTRLEN];
    struct mkv_lane_port all[MKV_LANE_PORTS_MAX];
    struct look look;
    char told[TEXT_BYTES]; /* the problem that was last told */
    uint64_t retry_ns;     /* between looks */
    uint64_t next_ns;      /* no look before it; UINT64_MAX: none is due */
    bool is_one_lost;      /* closed since the last look began */
    bool had_port;         /* ever */
    bool is_stopping;
};

/* ---- opening --------------------------------------------------------------------------------- */

static void note(struct look *look, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct look *look, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(look->problem, sizeof look->problem, format, arguments);
    va_end(arguments);
}

static void port_close(struct mkv_lane_port *port) {
    MKV_ASSERT(port->lane_count == 0);
    MKV_ASSERT(port->left == NULL);
    if (port->slabs != NULL) {
        mkv_verbs_unregister(port->slabs);
    }
    if (port->rounds_region != NULL) {
        mkv_verbs_unregister(port->rounds_region);
    }
    if (port->rounds != NULL) {
        munmap(port->rounds, ROUNDS_BYTES);
    }
    mkv_verbs_close(port->verbs);
    struct mkv_lane_remains *remains = port->remains;
    *port = (struct mkv_lane_port){.state = MKV_LANE_PORT_EMPTY};
    free(remains); /* the port may be in there */
}

static bool is_left(struct look *look) {
    return atomic_load_explicit(&look->stage, memory_order_acquire) == LOOK_LEFT;
}

static bool register_memory(struct look *look, struct mkv_lane_port *port, char *problem) {
    if (is_left(look)) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "it is not wanted any more");
        return false;
    }
    void *rounds =
        mmap(NULL, ROUNDS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (rounds == MAP_FAILED) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "no memory; free memory on this machine");
        return false;
    }
    port->rounds = rounds;
    /* The peer reaches none of it: it is this side that reads and writes. */
    return mkv_verbs_register(port->verbs, look->slabs, look->slab_bytes, false, &port->slabs,
                              problem) &&
           mkv_verbs_register(port->verbs, rounds, ROUNDS_BYTES, false, &port->rounds_region,
                              problem);
}

/* "::ffff:10.0.0.7" and "10.0.0.7" are one address. False: it is none. */
static bool address_parse(const char *text, struct in6_addr *address) {
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        memset(address, 0, sizeof *address);
        address->s6_addr[10] = 0xff;
        address->s6_addr[11] = 0xff;
        memcpy(&address->s6_addr[12], &v4, sizeof v4);
        return true;
    }
    return inet_pton(AF_INET6, text, address) == 1;
}

static bool is_same_address(const char *left, const char *right) {
    struct in6_addr a;
    struct in6_addr b;
    return address_parse(left, &a) && address_parse(right, &b) && memcmp(&a, &b, sizeof a) == 0;
}

static bool is_known(const struct look *look, const char *device, uint32_t port) {
    for (uint32_t i = 0; i < look->known_count; i++) {
        if (strcmp(look->known[i].device, device) == 0 &&
            (port == 0 || look->known[i].port == port)) {
            return true;
        }
    }
    return false;
}

/* Opens one port, 0 for the first active one, and registers the slabs. */
static void open_one(const struct mkv_lane_ports_options *options, struct look *look,
                     const char *device, uint32_t number, int32_t gid_index) {
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    struct mkv_lane_port port = {.state = MKV_LANE_PORT_OPEN};
    const struct mkv_verbs_options verbs_options = {
        .device = device,
        .port = number,
        .gid_index = gid_index,
        .address = options->address,
        .traffic_class = options->traffic_class,
        .service_level = options->service_level,
        .mtu = options->mtu,
        .endpoints_max = options->lanes_max,
        .message_bytes = MESSAGE_BYTES,
        .receives_each = RECEIVES_EACH,
        .is_server = true,
    };
    look->is_missing = true;
    if (!mkv_verbs_open(&verbs_options, &port.verbs, problem)) {
        note(look, "RDMA device %s cannot be used: %s", device, problem);
        return;
    }
    const struct mkv_verbs_facts *facts = mkv_verbs_facts(port.verbs);
    if (options->device == NULL && options->address != NULL &&
        !is_same_address(facts->gid, options->address)) {
        look->is_missing = false; /* it is for another network than the listener's */
        port_close(&port);
        return;
    }
    if (look->slabs != NULL && !register_memory(look, &port, problem)) {
        note(look, "RDMA device %s cannot be used: the memory for blocks cannot be registered: %s",
             device, problem);
        port_close(&port);
        return;
    }
    port.remains = calloc(1, sizeof *port.remains);
    if (port.remains == NULL) {
        note(look, "RDMA device %s cannot be used: no memory; free memory on this machine", device);
        port_close(&port);
        return;
    }
    look->is_missing = false;
    look->found[look->count] = port;
    look->count++;
}

/* Opens what is wanted and not known. On any thread. */
static void look_around(const struct mkv_lane_ports_options *options, struct look *look) {
    struct mkv_rdma_port ports[MKV_RDMA_PORTS_MAX];
    look->count = 0;
    look->is_missing = false;
    look->problem[0] = '\0';
    if (options->device == NULL && !mkv_verbs_is_built()) {
        look->is_missing = true;
        note(look, "this memkv was built without RDMA (-Dverbs=enabled builds it with)");
        return;
    }
    if (options->device != NULL) {
        if (!is_known(look, options->device, 0)) {
            open_one(options, look, options->device, 0, options->gid_index);
        }
        return;
    }
    const struct mkv_drive_roots *roots =
        options->roots != NULL ? options->roots : &mkv_drive_roots_kernel;
    const uint32_t port_count = mkv_rdma_list(roots, ports, MKV_RDMA_PORTS_MAX);
    bool is_missing = false;
    for (uint32_t i = 0; i < port_count; i++) {
        const struct mkv_rdma_port *port = &ports[i];
        if (port->gid_index < 0 || is_known(look, port->device, port->port) ||
            look->known_count + look->count == MKV_LANE_PORTS_MAX) {
            continue;
        }
        if (port->active) {
            open_one(options, look, port->device, port->port, options->gid_index);
        } else {
            look->is_missing = true;
            note(look, "RDMA device %s port %u is %s: bring its link up (rdma link)", port->device,
                 port->port, port->state);
        }
        is_missing = is_missing || look->is_missing;
    }
    look->is_missing = is_missing;
    if (look->known_count + look->count == 0 && !is_missing) {
        look->is_missing = true;
        note(look, port_count == 0 ? "this machine has no RDMA device (rdma link)"
                                   : "no RDMA device of this machine has a RoCE v2 address that "
                                     "clients come to: set rdma.device, or network.address");
    }
}

static void close_found(struct look *look) {
    for (uint32_t i = 0; i < look->count; i++) {
        port_close(&look->found[i]); /* nobody has taken it over */
    }
    look->count = 0;
}

static void *look_thread(void *context) {
    struct mkv_lane_ports *ports = context;
    struct look *look = &ports->look;
    (void)pthread_setname_np(pthread_self(), "memkv-rdma");
    look_around(&ports->options, look);
    if (atomic_exchange_explicit(&look->stage, LOOK_DONE, memory_order_acq_rel) == LOOK_LEFT) {
        close_found(look);
        free(ports);
        return NULL;
    }
    mkv_ring_wake(ports->options.ring);
    return NULL;
}

static void look_begin(struct mkv_lane_ports *ports) {
    struct look *look = &ports->look;
    look->known_count = 0;
    ports->is_one_lost = false;
    for (uint32_t i = 0; i < MKV_LANE_PORTS_MAX; i++) {
        if (ports->all[i].state == MKV_LANE_PORT_EMPTY) {
            continue;
        }
        const struct mkv_verbs_facts *facts = mkv_verbs_facts(ports->all[i].verbs);
        memcpy(look->known[look->known_count].device, facts->device, sizeof facts->device);
        look->known[look->known_count].port = facts->port;
        look->known_count++;
    }
    atomic_store_explicit(&look->stage, LOOK_RUNNING, memory_order_relaxed);
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    look->is_under_way = pthread_create(&look->thread, NULL, look_thread, ports) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void tell(const struct mkv_lane_ports *ports, enum mkv_lane_port_event event,
                 const struct mkv_verbs_facts *facts, const char *text) {
    if (ports->options.event != NULL) {
        ports->options.event(ports->options.event_context, event, facts, text);
    }
}

void mkv_lane_ports_tell(const struct mkv_lane_port *port, enum mkv_lane_port_event event,
                         const char *text) {
    tell(port->ports, event, mkv_verbs_facts(port->verbs), text);
}

static void tell_up(struct mkv_lane_port *port) {
    port->told = *mkv_verbs_facts(port->verbs);
    tell(port->ports, MKV_LANE_PORT_UP, &port->told, "");
}

static bool is_told(const struct mkv_lane_port *port) {
    const struct mkv_verbs_facts *facts = mkv_verbs_facts(port->verbs);
    return strcmp(port->told.gid, facts->gid) == 0 && port->told.gid_index == facts->gid_index &&
           port->told.mtu == facts->mtu;
}

/* The problem of a look, unless it is the one that was told last. */
static void tell_problem(struct mkv_lane_ports *ports) {
    const struct look *look = &ports->look;
    if (!look->is_missing) {
        ports->told[0] = '\0';
    } else if (strcmp(ports->told, look->problem) != 0) {
        memcpy(ports->told, look->problem, sizeof ports->told);
        tell(ports, MKV_LANE_PORT_NOT_OPENED, NULL, ports->told);
    }
}

/* ---- the shard's thread ---------------------------------------------------------------------- */

static void watched(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_lane_port *port =
        (struct mkv_lane_port *)((char *)completion - offsetof(struct mkv_lane_port, watch));
    (void)result;
    (void)flags;
    port->is_watched = false;
    port->has_fired = true;
}

/* Takes over what a look has opened, and says when to look again. */
static void look_end(struct mkv_lane_ports *ports, uint64_t now_ns) {
    struct look *look = &ports->look;
    uint32_t place = 0;
    for (uint32_t i = 0; i < look->count; i++) {
        while (ports->all[place].state != MKV_LANE_PORT_EMPTY) {
            place++;
            MKV_ASSERT(place < MKV_LANE_PORTS_MAX);
        }
        struct mkv_lane_port *port = &ports->all[place];
        *port = look->found[i];
        ports->had_port = true;
        port->ports = ports;
        port->watch.done = watched;
        port->was_up = true;
        mkv_spin_init(&port->spin, ports->options.poll_ns);
        tell_up(port);
    }
    tell_problem(ports);
    if (look->is_missing) {
        ports->next_ns = now_ns + ports->retry_ns;
        ports->retry_ns = mkv_min_u64(2 * ports->retry_ns, MKV_LANE_PORT_RETRY_NS_MAX);
    } else {
        ports->retry_ns = ports->options.retry_ns;
        ports->next_ns = ports->is_one_lost              ? now_ns + ports->retry_ns
                         : ports->options.device == NULL ? now_ns + RESCAN_TIMES * ports->retry_ns
                                                         : UINT64_MAX;
    }
    look->count = 0;
}

static bool is_done(struct look *look) {
    return atomic_load_explicit(&look->stage, memory_order_acquire) == LOOK_DONE;
}

static void looks_advance(struct mkv_lane_ports *ports, uint64_t now_ns) {
    struct look *look = &ports->look;
    if (look->is_under_way && is_done(look)) {
        MKV_ASSERT(pthread_join(look->thread, NULL) == 0);
        look->is_under_way = false;
        look_end(ports, now_ns);
    }
    if (!look->is_under_way && !ports->is_stopping && now_ns >= ports->next_ns) {
        look_begin(ports);
        if (!look->is_under_way) {
            ports->next_ns = now_ns + ports->retry_ns;
        }
    }
}

static void port_end(struct mkv_lane_port *port) {
    port->state = MKV_LANE_PORT_ENDING;
    if (port->is_watched) {
        io_uring_prep_cancel(mkv_ring_sqe(port->ports->options.ring, NULL), &port->watch, 0);
    }
}

/* Whether a lane could be made over it. */
static bool is_usable(const struct mkv_lane_port *port) {
    return port->state == MKV_LANE_PORT_OPEN && port->left_count == 0 &&
           mkv_verbs_state(port->verbs) == MKV_VERBS_ACTIVE;
}

/* Tells of a port that went or came, and leaves one that is gone. */
static void port_look(struct mkv_lane_port *port) {
    const struct mkv_verbs_facts *facts = mkv_verbs_facts(port->verbs);
    const enum mkv_verbs_state state = mkv_verbs_state(port->verbs);
    const bool is_up = is_usable(port);
    if (state == MKV_VERBS_GONE) {
        tell(port->ports, MKV_LANE_PORT_GONE, facts,
             "the RDMA device failed or was removed: clients go on over TCP until it is back; see "
             "dmesg and rdma link");
        port_end(port);
    } else if (is_up && !(port->was_up && is_told(port))) {
        tell_up(port);
    } else if (!is_up && port->was_up) {
        tell(port->ports, MKV_LANE_PORT_DOWN, facts,
             state == MKV_VERBS_ACTIVE
                 ? "the driver of the RDMA device does not answer: a connection was not made in "
                   "time, and no other is tried until the driver is back from it; clients go on "
                   "over TCP; see dmesg"
                 : "the RDMA port has no link or no address any more: clients go on over TCP until "
                   "it is back; look at the cable, the switch, ip link and ip address");
    }
    port->was_up = is_up;
}

/* Takes back endpoints that were left to the driver and are its no more. */
static void port_collect(struct mkv_lane_port *port) {
    struct mkv_lane_reach **link = &port->left;
    while (*link != NULL) {
        struct mkv_lane_reach *reach = *link;
        if (!mkv_lane_reach_is_done(reach)) {
            link = &reach->next;
            continue;
        }
        *link = reach->next;
        struct mkv_endpoint *endpoint = reach->endpoint;
        (void)mkv_lane_reach_end(reach);
        mkv_endpoint_destroy(endpoint);
        port->left_count--;
        port->lane_count--;
        port->is_dirty = true; /* looked at in this round */
    }
}

/* Hands out what there is. */
static void port_take(struct mkv_lane_port *port, uint64_t now_ns) {
    port->is_dirty = false;
    port->has_fired = false;
    port->may_be_more = mkv_verbs_poll(port->verbs, now_ns) > 0;
    port->look_ns = now_ns + LOOK_NS;
    if (port->may_be_more) {
        mkv_spin_came(&port->spin, now_ns);
        port->is_armed = false;
    }
    if (port->state == MKV_LANE_PORT_OPEN) {
        port_look(port);
    }
}

/* Polling is not worth it any more: the next completion ends the wait of the ring. */
static void port_arm(struct mkv_lane_port *port, uint64_t now_ns) {
    mkv_verbs_arm(port->verbs);
    port->is_armed = true;
    if (!port->is_watched) {
        port->is_watched = true;
        struct io_uring_sqe *sqe = mkv_ring_sqe(port->ports->options.ring, &port->watch);
        io_uring_prep_poll_add(sqe, mkv_verbs_descriptor(port->verbs), POLLIN);
    }
    port_take(port, now_ns); /* what came before it was armed */
}

static void port_poll(struct mkv_lane_port *port, uint64_t now_ns) {
    if (port->is_armed && !port->has_fired && now_ns < port->look_ns) {
        return;
    }
    if (port->has_fired) {
        port->is_armed = false;
    }
    port_take(port, now_ns);
}

void mkv_lane_ports_poll(struct mkv_lane_ports *ports, uint64_t now_ns) {
    looks_advance(ports, now_ns);
    for (uint32_t i = 0; i < MKV_LANE_PORTS_MAX; i++) {
        struct mkv_lane_port *port = &ports->all[i];
        if (port->state == MKV_LANE_PORT_EMPTY) {
            continue;
        }
        port_collect(port);
        port_poll(port, now_ns);
        if (ports->is_stopping && port->state == MKV_LANE_PORT_OPEN &&
            port->lane_count == port->left_count) {
            port_end(port);
        }
        if (port->state == MKV_LANE_PORT_ENDING && port->lane_count == 0 && !port->is_watched) {
            port_close(port);
            ports->is_one_lost = true;
            ports->retry_ns = ports->options.retry_ns; /* however long another is missing */
            ports->next_ns = now_ns + ports->retry_ns;
        }
    }
}

void mkv_lane_ports_flush(struct mkv_lane_ports *ports, uint64_t now_ns) {
    for (uint32_t i = 0; i < MKV_LANE_PORTS_MAX; i++) {
        struct mkv_lane_port *port = &ports->all[i];
        if (port->state != MKV_LANE_PORT_EMPTY && port->is_dirty) {
            mkv_spin_restart(&port->spin); /* what was posted now is what is waited for */
            port->is_armed = false;
            port_take(port, now_ns);
        }
        if (port->state == MKV_LANE_PORT_OPEN && !port->is_armed && !port->is_dirty &&
            !port->may_be_more && now_ns >= mkv_spin_end_ns(&port->spin, now_ns)) {
            port_arm(port, now_ns);
        }
    }
}

bool mkv_lane_ports_has_work(const struct mkv_lane_ports *ports) {
    for (uint32_t i = 0; i < MKV_LANE_PORTS_MAX; i++) {
        const struct mkv_lane_port *port = &ports->all[i];
        const bool is_open = port->state == MKV_LANE_PORT_OPEN;
        if ((is_open && !port->is_armed) || (is_open && port->may_be_more) ||
            (port->state != MKV_LANE_PORT_EMPTY && port->is_dirty)) {
            return true;
        }
    }
    return false;
}

/* ---- choosing -------------------------------------------------------------------------------- */

bool mkv_lane_ports_is_configured(const struct mkv_lane_ports *ports) {
    const struct mkv_lane_ports_options *options = &ports->options;
    return !ports->is_stopping && mkv_verbs_is_built() &&
           (options->is_required || options->device != NULL || ports->had_port);
}

/* The address that a client came to; false: it is no IP address. */
static bool local_address(int fd, struct in6_addr *address) {
    struct sockaddr_storage local;
    socklen_t bytes = sizeof local;
    if (getsockname(fd, (struct sockaddr *)&local, &bytes) != 0) {
        return false;
    }
    if (local.ss_family == AF_INET6) {
        *address = ((const struct sockaddr_in6 *)(const void *)&local)->sin6_addr;
        return true;
    }
    if (local.ss_family != AF_INET) {
        return false;
    }
    memset(address, 0, sizeof *address);
    address->s6_addr[10] = 0xff;
    address->s6_addr[11] = 0xff;
    memcpy(&address->s6_addr[12],
           &((const struct sockaddr_in *)(const void *)&local)->sin_addr.s_addr, 4);
    return true;
}

static bool is_loopback(const struct in6_addr *address) {
    return IN6_IS_ADDR_LOOPBACK(address) ||
           (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

struct mkv_lane_port *mkv_lane_ports_choose(struct mkv_lane_ports *ports, int fd,
                                            struct in6_addr *address) {
    if (ports->is_stopping || !local_address(fd, address)) {
        return NULL;
    }
    struct mkv_lane_port *chosen = NULL;
    const bool any = ports->options.device != NULL || is_loopback(address);
    for (uint32_t i = 0; i < MKV_LANE_PORTS_MAX; i++) {
        struct mkv_lane_port *port = &ports->all[i];
        if (!is_usable(port)) {
            continue;
        }
        if (mkv_verbs_has_address(port->verbs, address->s6_addr)) {
            return port;
        }
        chosen = chosen == NULL && any ? port : chosen;
    }
    return chosen;
}

const char *mkv_lane_ports_reason(const struct mkv_lane_ports *ports) {
    for (uint32_t i = 0; i < MKV_LANE_PORTS_MAX; i++) {
        if (ports->all[i].left_count > 0) {
            return MKV_LANE_STUCK_TEXT;
        }
    }
    return "the server has no RDMA port that is up with the address that this connection came to; "
           "its rdma.device names one for all addresses";
}

/* ---- connects -------------------------------------------------------------------------------- */

struct mkv_lane_reach *mkv_lane_ports_reach(const struct mkv_lane_port *port,
                                            struct mkv_endpoint *endpoint, uint64_t now_ns) {
    const struct mkv_lane_ports_options *options = &port->ports->options;
    return mkv_lane_reach_begin(endpoint, options->ring, now_ns + options->reach_ns);
}

void mkv_lane_ports_leave(struct mkv_lane_port *port, struct mkv_lane_reach *reach) {
    MKV_ASSERT(port->left_count < port->lane_count);
    reach->next = port->left;
    port->left = reach;
    port->left_count++;
    port->is_dirty = true; /* looked at in this round: it is not up any more */
}

/* One of those that hung is back, and its endpoint goes; with the last one the port. */
static void remains_end(void *context, struct mkv_endpoint *endpoint) {
    struct mkv_lane_remains *remains = context;
    pthread_mutex_lock(&remains->mutex);
    mkv_endpoint_destroy(endpoint);
    remains->port.lane_count--;
    const bool is_last = remains->port.lane_count == 0;
    pthread_mutex_unlock(&remains->mutex);
    if (is_last) {
        pthread_mutex_destroy(&remains->mutex);
        port_close(&remains->port); /* and what the port becomes with it */
    }
}

/* Closes the port, or leaves it to the threads that hang in its driver. */
static void port_forsake(struct mkv_lane_port *port) {
    struct mkv_lane_reach *reach = port->left;
    struct mkv_lane_remains *remains = port->remains;
    if (reach == NULL) {
        port_close(port);
        return;
    }
    MKV_ASSERT(port->lane_count == port->left_count);
    pthread_mutex_init(&remains->mutex, NULL);
    remains->port = *port;
    remains->port.left = NULL;
    *port = (struct mkv_lane_port){.state = MKV_LANE_PORT_EMPTY};
    while (reach != NULL) {
        struct mkv_lane_reach *next = reach->next;
        struct mkv_endpoint *endpoint = reach->endpoint;
        if (!mkv_lane_reach_forsake(reach, remains_end, remains)) {
            (void)mkv_lane_reach_end(reach);
            remains_end(remains, endpoint);
        }
        reach = next;
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

void mkv_lane_ports_stop(struct mkv_lane_ports *ports) {
    ports->is_stopping = true;
}

bool mkv_lane_ports_is_idle(const struct mkv_lane_ports *ports) {
    for (uint32_t i = 0; i < MKV_LANE_PORTS_MAX; i++) {
        const struct mkv_lane_port *port = &ports->all[i];
        const bool is_left = port->state == MKV_LANE_PORT_ENDING && !port->is_watched &&
                             port->lane_count > 0 && port->lane_count == port->left_count;
        if (port->state != MKV_LANE_PORT_EMPTY && !is_left) {
            return false;
        }
    }
    return ports->is_stopping;
}

/* Ends a look that is under way. False: it hangs in the kernel, and `ports` is its thread's. */
static bool look_leave(struct look *look) {
    const struct timespec step = {.tv_nsec = LEAVE_STEP_NS};
    const uint64_t end_ns = mkv_clock_monotonic_ns() + LEAVE_NS;
    while (!is_done(look) && mkv_clock_monotonic_ns() < end_ns) {
        (void)nanosleep(&step, NULL);
    }
    const pthread_t thread = look->thread;
    if (atomic_exchange_explicit(&look->stage, LOOK_LEFT, memory_order_acq_rel) == LOOK_RUNNING) {
        MKV_ASSERT(pthread_detach(thread) == 0);
        return false;
    }
    MKV_ASSERT(pthread_join(thread, NULL) == 0);
    return true;
}

void mkv_lane_ports_destroy(struct mkv_lane_ports *ports) {
    if (ports == NULL) {
        return;
    }
    for (uint32_t i = 0; i < MKV_LANE_PORTS_MAX; i++) {
        if (ports->all[i].state != MKV_LANE_PORT_EMPTY) {
            MKV_ASSERT(!ports->all[i].is_watched);
            port_forsake(&ports->all[i]);
        }
    }
    if (!ports->look.is_under_way || look_leave(&ports->look)) {
        close_found(&ports->look);
        free(ports);
    }
}

static bool refuse(const struct look *look, struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "rdma.mode is require, and %s. Or set rdma.mode: auto, which "
                              "serves over TCP until there is one",
                              look->problem);
}

bool mkv_lane_ports_check(const struct mkv_lane_ports_options *options,
                          struct mkv_backend_error *error) {
    struct look look = {0};
    if (options->arena != NULL) {
        look.slabs = mkv_arena_slabs(options->arena, &look.slab_bytes);
    }
    look_around(options, &look);
    const bool is_found = look.count > 0;
    close_found(&look);
    return is_found || refuse(&look, error);
}

static void keep_texts(struct mkv_lane_ports *ports) {
    struct mkv_lane_ports_options *options = &ports->options;
    if (options->device != NULL) {
        snprintf(ports->device, sizeof ports->device, "%s", options->device);
        options->device = ports->device;
    }
    if (options->address != NULL) {
        snprintf(ports->address, sizeof ports->address, "%s", options->address);
        options->address = ports->address;
    }
}

bool mkv_lane_ports_create(const struct mkv_lane_ports_options *options,
                           struct mkv_lane_ports **ports_out, struct mkv_backend_error *error) {
    MKV_ASSERT(options->lanes_max >= 1);
    struct mkv_lane_ports *ports = calloc(1, sizeof *ports);
    if (ports == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for RDMA. Free memory on this machine");
    }
    ports->options = *options;
    if (ports->options.retry_ns == 0) {
        ports->options.retry_ns = MKV_LANE_PORT_RETRY_NS_MIN;
    }
    if (ports->options.reach_ns == 0) {
        ports->options.reach_ns = MKV_LANE_REACH_NS;
    }
    ports->retry_ns = ports->options.retry_ns;
    keep_texts(ports);
    ports->look.slabs = mkv_arena_slabs(options->arena, &ports->look.slab_bytes);
    look_around(&ports->options, &ports->look);
    if (options->is_required && ports->look.count == 0) {
        (void)refuse(&ports->look, error);
        mkv_lane_ports_destroy(ports);
        return false;
    }
    look_end(ports, mkv_clock_monotonic_ns());
    if (!mkv_verbs_is_built()) {
        ports->next_ns = UINT64_MAX; /* that does not change */
    }
    *ports_out = ports;
    return true;
}
