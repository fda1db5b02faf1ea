/* SPDX-License-Identifier: Apache-2.0 */
#include "client/rdma.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "client/engine.h"

/* A host that had no device a moment ago is not looked through again at once. */
#define ABSENT_NS 1000000000ull
/* For the last lanes, when the client ends. */
#define END_NS_MAX 2000000000ull
#define END_WAIT_MS 10
/* A device that refuses to destroy a queue pair is asked again so often, and told of after so many
 * times. */
#define LET_GO_STEP_NS 10000000l
#define LET_GO_STEPS_TOLD 100u
/* How often an idle port is looked at. */
#define QUIET_NS 60000000000ull

/* ---- devices -------------------------------------------------------------------------------- */

/* Takes the next name of a list: its length, with *next behind it; NULL: there is none. */
static const char *name_next(const char **next, size_t *byte_count) {
    const char *name = *next;
    if (name == NULL) {
        return NULL;
    }
    *byte_count = strcspn(name, ",");
    *next = name[*byte_count] == ',' ? name + *byte_count + 1 : NULL;
    return name;
}

const char *mkv_rdma_devices_problem(const char *devices) {
    uint32_t count = 0;
    size_t byte_count = 0;
    const char *next = devices;
    for (const char *name; (name = name_next(&next, &byte_count)) != NULL; count++) {
        if (byte_count == 0 || byte_count >= MKV_RDMA_DEVICE_BYTES ||
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") <
                byte_count) {
            return "names of RDMA devices as `rdma link` shows them, with commas between";
        }
    }
    return count <= MKV_RDMA_DEVICES_MAX ? NULL : "at most 8 RDMA devices";
}

struct mkv_rdma *mkv_rdma_new(struct memkv_client *client, bool is_required, const char *devices,
                              uint64_t poll_ns) {
    struct mkv_rdma *rdma = calloc(1, sizeof *rdma);
    if (rdma == NULL) {
        return NULL;
    }
    rdma->client = client;
    rdma->is_required = is_required;
    mkv_spin_init(&rdma->spin, poll_ns);
    size_t byte_count = 0;
    const char *next = devices[0] != '\0' ? devices : NULL;
    for (const char *name; (name = name_next(&next, &byte_count)) != NULL;) {
        MKV_ASSERT(rdma->device_count < MKV_RDMA_DEVICES_MAX);
        MKV_ASSERT(byte_count < MKV_RDMA_DEVICE_BYTES);
        memcpy(rdma->devices[rdma->device_count++], name, byte_count);
    }
    return rdma;
}

/* ---- ports ---------------------------------------------------------------------------------- */

static void port_close(struct mkv_rdma_port *port) {
    MKV_ASSERT(port->lane_count == 0);
    mkv_rdma_memory_end(port);
    (void)epoll_ctl(port->rdma->client->epoll, EPOLL_CTL_DEL, mkv_verbs_descriptor(port->verbs),
                    NULL);
    mkv_verbs_close(port->verbs);
    port->verbs = NULL;
    port->rdma->port_count--;
}

/* A place for a port: one that is free, else that of the port which has had no lane for longest,
 * which is closed. MKV_RDMA_PORTS_MAX: all have lanes. */
static uint32_t place_make(struct mkv_rdma *rdma) {
    uint32_t idle = MKV_RDMA_PORTS_MAX;
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        const struct mkv_rdma_port *port = &rdma->ports[place];
        if (port->verbs == NULL) {
            return place;
        }
        if (port->lane_count == 0 && port->place_count == 0 &&
            (idle == MKV_RDMA_PORTS_MAX || port->idle_ns < rdma->ports[idle].idle_ns)) {
            idle = place;
        }
    }
    if (idle < MKV_RDMA_PORTS_MAX) {
        port_close(&rdma->ports[idle]);
    }
    return idle;
}

/* NULL: *problem says why not. */
static struct mkv_rdma_port *port_open(struct mkv_rdma *rdma, const char *device,
                                       const char *address, char *problem) {
    const uint32_t place = place_make(rdma);
    if (place == MKV_RDMA_PORTS_MAX) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "%u RDMA ports are in use already",
                 MKV_RDMA_PORTS_MAX);
        return NULL;
    }
    const struct mkv_verbs_options options = {
        .device = device[0] != '\0' ? device : NULL,
        .gid_index = -1,
        .address = address[0] != '\0' ? address : NULL,
        .endpoints_max = MKV_RDMA_LANES_MAX,
        .message_bytes = MKV_RDMA_MESSAGE_BYTES,
        .receives_each = MKV_RDMA_RECEIVES,
    };
    struct mkv_rdma_port *port = &rdma->ports[place];
    struct mkv_verbs *verbs = NULL;
    if (!mkv_verbs_open(&options, &verbs, problem)) {
        return NULL;
    }
    *port = (struct mkv_rdma_port){
        .rdma = rdma, .verbs = verbs, .place = place, .idle_ns = mkv_client_now_ns()};
    snprintf(port->device, sizeof port->device, "%s", device);
    snprintf(port->address, sizeof port->address, "%s", address);
    LIST_INIT(&port->lanes);
    mkv_rdma_memory_init(&port->memory);
    rdma->port_count++;
    rdma->had_port = true;
    /* Without it the client would wait for what nobody tells it: as good as no port. */
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = port};
    if (epoll_ctl(rdma->client->epoll, EPOLL_CTL_ADD, mkv_verbs_descriptor(verbs), &event) != 0) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "no memory to wait for an RDMA port");
        port_close(port);
        return NULL;
    }
    return port;
}

void mkv_rdma_tell_absent(struct mkv_rdma *rdma, const char *problem) {
    if (rdma->device_count > 0 && !rdma->is_told) {
        rdma->is_told = true;
        fprintf(stderr, "memkv: rdma_devices: %s; servers are reached over TCP\n", problem);
    }
}

static bool is_usable(const struct mkv_rdma_port *port) {
    return port->verbs != NULL && mkv_verbs_state(port->verbs) == MKV_VERBS_ACTIVE;
}

/* The port of a device that is open already, or of an address where any device will do. */
static struct mkv_rdma_port *port_find(struct mkv_rdma *rdma, const char *device,
                                       const char *address) {
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        struct mkv_rdma_port *port = &rdma->ports[place];
        if (port->verbs != NULL && strcmp(port->device, device) == 0 &&
            (device[0] != '\0' || strcmp(port->address, address) == 0)) {
            return port;
        }
    }
    return NULL;
}

/* An IPv4 address as ::ffff:…; of what is none, the address that nobody has. */
static struct in6_addr address_bytes(const char *text) {
    struct in6_addr address = IN6ADDR_ANY_INIT;
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        address.s6_addr[10] = 0xff;
        address.s6_addr[11] = 0xff;
        memcpy(&address.s6_addr[12], &v4, sizeof v4);
    } else if (inet_pton(AF_INET6, text, &address) != 1) {
        address = (struct in6_addr)IN6ADDR_ANY_INIT;
    }
    return address;
}

/* Whether a port has the address that a connection comes from. */
static bool is_near(const struct mkv_rdma_port *port, const char *address) {
    const struct in6_addr own = address_bytes(address);
    const struct in6_addr chosen = address_bytes(mkv_verbs_facts(port->verbs)->gid);
    return mkv_verbs_has_address(port->verbs, own.s6_addr) ||
           memcmp(&own, &chosen, sizeof own) == 0; /* where it has none but of its link */
}

/* Where a lane is made: at the port with the connection's own address, else at the one with the
 * fewest. NULL: *problem says why nowhere. */
static struct mkv_rdma_port *port_for(struct mkv_rdma *rdma, const char *address, uint64_t now_ns,
                                      char *problem) {
    struct mkv_rdma_port *chosen = NULL;
    const uint32_t count = rdma->device_count > 0 ? rdma->device_count : 1;
    const bool is_absent = now_ns < rdma->absent_until_ns;
    snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "%s",
             is_absent ? rdma->absent_problem : "the port of the RDMA device is down");
    for (uint32_t index = 0; index < count; index++) {
        const char *device = rdma->device_count > 0 ? rdma->devices[index] : "";
        struct mkv_rdma_port *port = port_find(rdma, device, address);
        if (port == NULL && !is_absent) {
            port = port_open(rdma, device, address, problem);
        }
        if (port == NULL || !is_usable(port)) {
            continue;
        }
        const bool is_nearer = chosen != NULL && is_near(port, address) != is_near(chosen, address);
        if (chosen == NULL ||
            (is_nearer ? is_near(port, address) : port->lane_count < chosen->lane_count)) {
            chosen = port;
        }
    }
    if (chosen == NULL && !is_absent) {
        snprintf(rdma->absent_problem, sizeof rdma->absent_problem, "%s", problem);
        rdma->absent_until_ns = now_ns + ABSENT_NS;
    }
    return chosen;
}

bool mkv_rdma_has_usable(struct mkv_rdma *rdma, const char *address, uint64_t now_ns,
                         char *problem) {
    return port_for(rdma, address, now_ns, problem) != NULL;
}

bool mkv_rdma_has_port(const struct mkv_rdma *rdma, const void *pointer) {
    const uintptr_t begin = (uintptr_t)rdma->ports;
    const uintptr_t at = (uintptr_t)pointer;
    return at >= begin && at < begin + sizeof rdma->ports;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static void wake(const struct mkv_rdma_lane *lane) {
    if (lane->connection != NULL) {
        lane->connection->is_readable = true;
        lane->connection->is_writable = true;
    }
}

static void on_opened(void *context) {
    struct mkv_rdma_lane *lane = context;
    lane->is_open = true;
    lane->open_ns = mkv_client_now_ns();
    wake(lane);
}

static void on_moved(void *context) {
    wake(context);
}

/* Only servers read and write. */
static void on_transfer_done(void *context, uint64_t tag, bool is_ok) {
    (void)context;
    (void)tag;
    (void)is_ok;
}

/* Only of a lane that breaks, which ends all requests of its connection. */
static void on_exposure_end(void *context, uint64_t tag) {
    (void)tag;
    wake(context);
}

static void on_broken(void *context, enum mkv_lane_reason reason, const char *problem) {
    struct mkv_rdma_lane *lane = context;
    lane->is_broken = true;
    lane->reason = reason;
    snprintf(lane->problem, sizeof lane->problem, "%s", problem);
    wake(lane);
}

static void on_drained(void *context) {
    struct mkv_rdma_lane *lane = context;
    lane->is_drained = true;
}

struct mkv_rdma_lane *mkv_rdma_lane_new(struct mkv_rdma *rdma, struct mkv_connection *connection,
                                        const char *address, uint64_t now_ns, char *problem) {
    static const struct mkv_endpoint_ops ops = {
        .opened = on_opened,
        .readable = on_moved,
        .writable = on_moved,
        .transfer_done = on_transfer_done,
        .exposure_end = on_exposure_end,
        .broken = on_broken,
        .drained = on_drained,
    };
    struct mkv_rdma_port *port = port_for(rdma, address, now_ns, problem);
    if (port == NULL) {
        return NULL;
    }
    if (port->lane_count == MKV_RDMA_LANES_MAX) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "%u connections over RDMA are all there may be",
                 MKV_RDMA_LANES_MAX);
        return NULL;
    }
    struct mkv_rdma_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "no memory for a lane");
        return NULL;
    }
    if (!mkv_endpoint_create(port->verbs, &ops, lane, &lane->endpoint, problem)) {
        free(lane);
        return NULL;
    }
    /* Of those that the port has: others may not lead to the server. */
    mkv_endpoint_set_address(lane->endpoint, address_bytes(address).s6_addr);
    lane->port = port;
    lane->connection = connection;
    LIST_INSERT_HEAD(&port->lanes, lane, link);
    port->lane_count++;
    return lane;
}

static void lane_free(struct mkv_rdma_lane *lane) {
    mkv_endpoint_destroy(lane->endpoint);
    LIST_REMOVE(lane, link);
    lane->port->lane_count--;
    lane->port->idle_ns = mkv_client_now_ns();
    free(lane);
}

/* The caller gets memory back that the server may write to: there is no safe way on before the
 * device has let go of it, however long that takes. */
static void stop(struct mkv_rdma_lane *lane) {
    const struct timespec step = {.tv_nsec = LET_GO_STEP_NS};
    uint32_t count = 0;
    while (!mkv_endpoint_stop(lane->endpoint, MKV_LANE_REASON_CLOSED, mkv_client_now_ns())) {
        if (++count == LET_GO_STEPS_TOLD) {
            fprintf(stderr,
                    "memkv: RDMA device %s does not let go of a connection whose server may still "
                    "write into memory of a call: the call waits until it does; see dmesg, or end "
                    "the process\n",
                    mkv_verbs_facts(lane->port->verbs)->device);
        }
        (void)nanosleep(&step, NULL);
    }
}

void mkv_rdma_lane_end(struct mkv_rdma_lane *lane) {
    MKV_ASSERT(lane->connection != NULL);
    lane->connection = NULL;
    if (lane->is_connected && !lane->is_drained) {
        stop(lane);
        lane->port->draining_count++;
    } else {
        lane_free(lane);
    }
}

/* Lets go of what has drained, and of a port whose device is gone. */
static void reap(struct mkv_rdma_port *port) {
    struct mkv_rdma_lane *next;
    for (struct mkv_rdma_lane *lane = port->draining_count > 0 ? LIST_FIRST(&port->lanes) : NULL;
         lane != NULL; lane = next) {
        next = LIST_NEXT(lane, link);
        if (lane->connection == NULL && lane->is_drained) {
            port->draining_count--;
            lane_free(lane);
        }
    }
    if (port->lane_count == 0 && port->place_count == 0 &&
        mkv_verbs_state(port->verbs) == MKV_VERBS_GONE) {
        port_close(port);
    }
}

/* ---- polling and waiting -------------------------------------------------------------------- */

uint32_t mkv_rdma_poll_ports(struct mkv_rdma *rdma, uint64_t now_ns) {
    uint32_t count = 0;
    for (uint32_t place = 0; rdma->port_count > 0 && place < MKV_RDMA_PORTS_MAX; place++) {
        struct mkv_rdma_port *port = &rdma->ports[place];
        if (port->verbs != NULL) {
            count += mkv_verbs_poll(port->verbs, now_ns);
            reap(port);
        }
    }
    if (count > 0) {
        mkv_spin_came(&rdma->spin, now_ns);
    }
    return count;
}

/* When a port is to be polled at the latest. Where nothing is under way it is for what its device
 * does not tell, and the next call finds that as well: whoever waits at a descriptor is not to be
 * woken again and again for it. */
static uint64_t port_due_ns(const struct mkv_rdma_port *port, bool is_busy) {
    const uint64_t due_ns = mkv_verbs_timer_ns(port->verbs);
    const uint64_t now_ns = mkv_client_now_ns();
    const struct mkv_rdma_lane *lane;
    bool is_quiet = !is_busy && port->draining_count == 0 && port->place_count == 0;
    LIST_FOREACH(lane, &port->lanes, link) {
        is_quiet = is_quiet && lane->is_open && !lane->is_broken;
    }
    return is_quiet && due_ns > now_ns ? mkv_max_u64(due_ns, now_ns + QUIET_NS) : due_ns;
}

bool mkv_rdma_arm(struct mkv_rdma *rdma, uint64_t *due_ns) {
    if (rdma->port_count == 0) {
        return false;
    }
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        if (rdma->ports[place].verbs != NULL) {
            mkv_verbs_arm(rdma->ports[place].verbs);
        }
    }
    /* What came before it was armed is told by no descriptor. */
    if (mkv_rdma_poll(rdma, mkv_client_now_ns()) > 0) {
        return true;
    }
    const bool is_busy = !TAILQ_EMPTY(&rdma->client->running) || rdma->candidate_count > 0;
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        if (rdma->ports[place].verbs != NULL) {
            *due_ns = mkv_min_u64(*due_ns, port_due_ns(&rdma->ports[place], is_busy));
        }
    }
    return false;
}

void mkv_rdma_free(struct mkv_rdma *rdma) {
    if (rdma == NULL) {
        return;
    }
    const uint64_t end_ns = mkv_client_now_ns() + END_NS_MAX;
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        struct mkv_rdma_port *port = &rdma->ports[place];
        while (port->verbs != NULL && port->lane_count > 0 && mkv_client_now_ns() < end_ns) {
            struct pollfd ready = {.fd = mkv_verbs_descriptor(port->verbs), .events = POLLIN};
            uint64_t due_ns = UINT64_MAX;
            if (!mkv_rdma_arm(rdma, &due_ns) && port->verbs != NULL && port->lane_count > 0) {
                (void)poll(&ready, 1, END_WAIT_MS);
            }
        }
    }
    bool is_left = false;
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        struct mkv_rdma_port *port = &rdma->ports[place];
        if (port->verbs != NULL && port->lane_count > 0) {
            fprintf(stderr,
                    "memkv: RDMA device %s does not let go of %u connection%s: their memory stays "
                    "its own until the process ends; see dmesg\n",
                    mkv_verbs_facts(port->verbs)->device, port->lane_count,
                    port->lane_count == 1 ? "" : "s");
            is_left = true;
        } else if (port->verbs != NULL) {
            port_close(port);
        }
    }
    /* What such a device has not said that it is done with stays where it is. */
    if (!is_left) {
        free(rdma);
    }
}
