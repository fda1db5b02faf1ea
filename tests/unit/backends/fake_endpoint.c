/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/fake_endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/hash.h"
#include "wire/native.h"

#define ENDPOINTS_MAX 64u
#define PORTS_MAX 32u
#define REGIONS_MAX 64u
#define TRANSFERS_MAX 64u
#define INBOX_BYTES (8u * 1024u * 1024u)

struct mkv_verbs_region {
    struct mkv_verbs *verbs; /* NULL: it is free */
    uint8_t *memory;
    size_t bytes;
    uint32_t key;
    bool remote;
};

struct mkv_verbs {
    bool is_used;
    uint32_t device;
    int event_fd;
    bool armed;
    bool has_posted; /* since the last poll */
    bool is_server;
    uint32_t region_count;
    uint32_t endpoint_count;
    enum mkv_verbs_state state; /* as of the last poll */
    struct mkv_verbs_facts facts;
};

struct transfer {
    bool is_posted;
    bool is_read;
    bool is_late; /* a READ that failed: a packet of it lands until the queue pair is gone */
    uint8_t *memory;
    uint64_t remote_address;
    uint32_t remote_key;
    uint32_t bytes;
    uint64_t tag;
    uint64_t hash; /* of a WRITE's source when it was posted */
    uint64_t order;
};

struct mkv_endpoint {
    struct mkv_verbs *verbs;
    const struct mkv_endpoint_ops *ops;
    void *context;
    uint32_t queue_pair;
    uint8_t address[16];
    uint32_t coming_queue_pair; /* of the peer that is looked for */
    uint32_t peer_queue_pair;   /* 0: it is not connected */
    bool is_open;
    bool is_stopping;
    bool is_drained;
    enum mkv_lane_reason to_break; /* with the next poll */
    bool was_full;                 /* a send found no room */
    bool told_readable;
    uint8_t *inbox;
    size_t inbox_begin, inbox_end;
    struct transfer transfers[TRANSFERS_MAX];
    uint64_t order;
    struct mkv_lane_counters counters;
};

struct fake_machine_rdma fake_rdma;
static struct mkv_verbs ports[PORTS_MAX];
static struct mkv_verbs_region regions[REGIONS_MAX];
static struct mkv_endpoint *endpoints[ENDPOINTS_MAX];
static uint32_t next_queue_pair = 2;
static uint32_t next_key = 77;

void fake_rdma_reset(void) {
    MKV_ASSERT(fake_rdma_endpoints() == 0);
    fake_rdma = (struct fake_machine_rdma){
        .devices = {{.name = "fake0", .gid = "::ffff:127.0.0.1"}},
        .client_device = "fake0",
        .transfers_room = 32,
        .stream_room = 65536,
        .endpoints_max = 16,
    };
}

/* ---- ports ----------------------------------------------------------------------------------- */

bool mkv_verbs_is_built(void) {
    return true;
}

static void notify(struct mkv_verbs *verbs) {
    const uint64_t one = 1;
    if (verbs->armed) {
        verbs->armed = false;
        MKV_ASSERT(write(verbs->event_fd, &one, sizeof one) == sizeof one);
    }
}

bool mkv_verbs_open(const struct mkv_verbs_options *options, struct mkv_verbs **verbs,
                    char *problem) {
    const struct timespec pause = {.tv_nsec = 1000000};
    MKV_ASSERT(options->device != NULL);
    __atomic_fetch_add(&fake_rdma.opens, 1, __ATOMIC_SEQ_CST);
    while (atomic_load(&fake_rdma.hold_open)) {
        (void)nanosleep(&pause, NULL);
    }
    for (uint32_t i = 0; i < FAKE_DEVICES_MAX; i++) {
        const struct fake_device *device = &fake_rdma.devices[i];
        if (device->name == NULL || strcmp(device->name, options->device) != 0 ||
            device->state == MKV_VERBS_GONE) {
            continue;
        }
        for (uint32_t place = 0; place < PORTS_MAX; place++) {
            if (!ports[place].is_used) {
                struct mkv_verbs *port = &ports[place];
                *port = (struct mkv_verbs){.is_used = true,
                                           .device = i,
                                           .is_server = options->is_server,
                                           .event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
                snprintf(port->facts.device, sizeof port->facts.device, "%s", device->name);
                snprintf(port->facts.gid, sizeof port->facts.gid, "%s", device->gid);
                port->facts.port = 1;
                port->facts.mtu = 1024;
                *verbs = port;
                return true;
            }
        }
    }
    snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "there is no %s", options->device);
    return false;
}

void mkv_verbs_close(struct mkv_verbs *verbs) {
    if (verbs != NULL) {
        MKV_ASSERT(verbs->is_used);
        MKV_ASSERT(verbs->region_count == 0);
        MKV_ASSERT(verbs->endpoint_count == 0);
        close(verbs->event_fd);
        verbs->is_used = false;
    }
}

const struct mkv_verbs_facts *mkv_verbs_facts(const struct mkv_verbs *verbs) {
    return &verbs->facts;
}

enum mkv_verbs_state mkv_verbs_state(const struct mkv_verbs *verbs) {
    return verbs->state;
}

bool mkv_verbs_register(struct mkv_verbs *verbs, void *memory, size_t bytes, bool remote,
                        struct mkv_verbs_region **region, char *problem) {
    if (fake_rdma.register_problem != NULL && verbs->is_server) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "%s", fake_rdma.register_problem);
        return false;
    }
    for (uint32_t i = 0; i < REGIONS_MAX; i++) {
        if (regions[i].verbs == NULL) {
            regions[i] = (struct mkv_verbs_region){verbs, memory, bytes, next_key++, remote};
            verbs->region_count++;
            fake_rdma.registered_bytes += verbs->is_server ? bytes : 0;
            *region = &regions[i];
            return true;
        }
    }
    return false;
}

void mkv_verbs_unregister(struct mkv_verbs_region *region) {
    MKV_ASSERT(!fake_rdma_is_posted(region->memory, region->bytes));
    region->verbs->region_count--;
    fake_rdma.registered_bytes -= region->verbs->is_server ? region->bytes : 0;
    region->verbs = NULL;
}

uint32_t mkv_verbs_region_key(const struct mkv_verbs_region *region) {
    return region->key;
}

int mkv_verbs_descriptor(const struct mkv_verbs *verbs) {
    return verbs->event_fd;
}

uint64_t mkv_verbs_timer_ns(const struct mkv_verbs *verbs) {
    (void)verbs;
    return UINT64_MAX;
}

/* ---- what happens ---------------------------------------------------------------------------- */

static struct mkv_endpoint *by_queue_pair(uint32_t queue_pair) {
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
        if (endpoints[i] != NULL && endpoints[i]->queue_pair == queue_pair) {
            return endpoints[i];
        }
    }
    return NULL;
}

struct mkv_endpoint *fake_rdma_peer(struct mkv_endpoint *endpoint) {
    struct mkv_endpoint *peer =
        endpoint->peer_queue_pair == 0 ? NULL : by_queue_pair(endpoint->peer_queue_pair);
    return peer != NULL && peer->peer_queue_pair == endpoint->queue_pair ? peer : NULL;
}

const char *fake_rdma_device_of(const struct mkv_endpoint *endpoint) {
    return endpoint->verbs->facts.device;
}

void fake_rdma_break(struct mkv_endpoint *endpoint, enum mkv_lane_reason reason) {
    if (!endpoint->is_stopping) {
        endpoint->to_break = reason;
        notify(endpoint->verbs);
    }
}

/* The memory of the peer, or NULL: it may not be reached. */
static uint8_t *remote_memory(const struct transfer *transfer) {
    for (uint32_t i = 0; i < REGIONS_MAX; i++) {
        const struct mkv_verbs_region *region = &regions[i];
        const uint64_t base = (uint64_t)(uintptr_t)region->memory;
        if (region->verbs != NULL && region->remote && region->key == transfer->remote_key &&
            transfer->remote_address >= base && transfer->bytes <= region->bytes &&
            transfer->remote_address - base <= region->bytes - transfer->bytes) {
            return region->memory + (transfer->remote_address - base);
        }
    }
    return NULL;
}

/* The oldest that may complete. */
static struct transfer *next_transfer(struct mkv_endpoint *endpoint, bool all) {
    struct transfer *next = NULL;
    for (uint32_t i = 0; i < TRANSFERS_MAX; i++) {
        struct transfer *transfer = &endpoint->transfers[i];
        const bool is_held = transfer->is_read ? fake_rdma.hold_reads : fake_rdma.hold_writes;
        if (transfer->is_posted && (all || !is_held) &&
            (next == NULL || transfer->order < next->order)) {
            next = transfer;
        }
    }
    return next;
}

static uint32_t transfers_complete(struct mkv_endpoint *endpoint) {
    uint32_t count = 0;
    struct transfer *transfer;
    while (!endpoint->is_stopping && endpoint->to_break == MKV_LANE_REASON_NONE &&
           (transfer = next_transfer(endpoint, false)) != NULL) {
        uint8_t *remote = remote_memory(transfer);
        if (remote == NULL) {
            endpoint->to_break = MKV_LANE_REASON_REMOTE_ERROR;
            break;
        }
        if (transfer->is_read) {
            memcpy(transfer->memory, remote, transfer->bytes);
        } else {
            /* It may be sent again until it has completed. */
            MKV_ASSERT(transfer->hash == mkv_hash_64(transfer->memory, transfer->bytes));
        }
        transfer->is_posted = false;
        endpoint->ops->transfer_done(endpoint->context, transfer->tag, true);
        count++;
    }
    return count;
}

static uint32_t endpoint_end(struct mkv_endpoint *endpoint) {
    uint32_t count = 0;
    if (endpoint->to_break != MKV_LANE_REASON_NONE && !endpoint->is_stopping) {
        endpoint->is_stopping = true;
        endpoint->counters.errors_total++;
        struct mkv_endpoint *peer = fake_rdma_peer(endpoint);
        if (peer != NULL) {
            fake_rdma_break(peer, MKV_LANE_REASON_PEER);
        }
        endpoint->ops->broken(endpoint->context, endpoint->to_break, "the fake was told to");
        count++;
    }
    if (!endpoint->is_stopping || endpoint->is_drained || fake_rdma.hold_drain) {
        return count;
    }
    struct transfer *transfer;
    while ((transfer = next_transfer(endpoint, true)) != NULL) {
        transfer->is_posted = false;
        transfer->is_late = transfer->is_read;
        endpoint->ops->transfer_done(endpoint->context, transfer->tag, false);
    }
    endpoint->is_drained = true;
    endpoint->ops->drained(endpoint->context);
    return count + 1;
}

static uint32_t endpoint_poll(struct mkv_endpoint *endpoint) {
    uint32_t count = 0;
    struct mkv_endpoint *peer = fake_rdma_peer(endpoint);
    if (!endpoint->is_open && peer != NULL && !fake_rdma.hold_probe && !endpoint->is_stopping) {
        endpoint->is_open = true;
        notify(peer->verbs);
        endpoint->ops->opened(endpoint->context);
        count++;
    }
    count += transfers_complete(endpoint);
    if (endpoint->inbox_end > endpoint->inbox_begin && !endpoint->told_readable &&
        !endpoint->is_stopping) {
        endpoint->told_readable = true;
        endpoint->ops->readable(endpoint->context);
        count++;
    }
    if (endpoint->was_full && peer != NULL &&
        peer->inbox_end - peer->inbox_begin < fake_rdma.stream_room && !endpoint->is_stopping) {
        endpoint->was_full = false;
        endpoint->ops->writable(endpoint->context);
        count++;
    }
    return count + endpoint_end(endpoint);
}

uint32_t mkv_verbs_poll(struct mkv_verbs *verbs, uint64_t now_ns) {
    uint64_t events;
    uint32_t count = 0;
    (void)now_ns;
    (void)!read(verbs->event_fd, &events, sizeof events);
    fake_rdma.doorbells += verbs->has_posted ? 1 : 0;
    verbs->has_posted = false;
    const enum mkv_verbs_state state = fake_rdma.devices[verbs->device].state;
    snprintf(verbs->facts.gid, sizeof verbs->facts.gid, "%s", fake_rdma.devices[verbs->device].gid);
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
        if (endpoints[i] == NULL || endpoints[i]->verbs != verbs) {
            continue;
        }
        if (state != MKV_VERBS_ACTIVE && verbs->state == MKV_VERBS_ACTIVE &&
            endpoints[i]->peer_queue_pair != 0) {
            fake_rdma_break(endpoints[i], state == MKV_VERBS_GONE ? MKV_LANE_REASON_DEVICE
                                                                  : MKV_LANE_REASON_PORT_DOWN);
        }
        count += endpoint_poll(endpoints[i]);
    }
    count += state != verbs->state;
    verbs->state = state;
    return count;
}

void mkv_verbs_arm(struct mkv_verbs *verbs) {
    fake_rdma.armed++;
    verbs->armed = true;
}

static bool is_address(const char *text, const uint8_t *address) {
    struct in6_addr parsed;
    return text != NULL && inet_pton(AF_INET6, text, &parsed) == 1 &&
           memcmp(&parsed, address, sizeof parsed) == 0;
}

bool mkv_verbs_has_address(const struct mkv_verbs *verbs, const uint8_t *address) {
    return is_address(verbs->facts.gid, address) ||
           is_address(fake_rdma.devices[verbs->device].gid_second, address);
}

/* ---- endpoints ------------------------------------------------------------------------------- */

bool mkv_endpoint_create(struct mkv_verbs *verbs, const struct mkv_endpoint_ops *ops, void *context,
                         struct mkv_endpoint **endpoint_out, char *problem) {
    if (verbs->endpoint_count >= fake_rdma.endpoints_max) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "no queue pair is left");
        return false;
    }
    struct mkv_endpoint *endpoint = calloc(1, sizeof *endpoint);
    MKV_ASSERT(endpoint != NULL);
    endpoint->inbox = malloc(INBOX_BYTES);
    MKV_ASSERT(endpoint->inbox != NULL);
    endpoint->verbs = verbs;
    endpoint->ops = ops;
    endpoint->context = context;
    endpoint->queue_pair = next_queue_pair++;
    memcpy(endpoint->address, (const uint8_t[16]){[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
           sizeof endpoint->address);
    verbs->endpoint_count++;
    uint32_t place = 0;
    while (endpoints[place] != NULL) {
        place++;
        MKV_ASSERT(place < ENDPOINTS_MAX);
    }
    endpoints[place] = endpoint;
    *endpoint_out = endpoint;
    return true;
}

void mkv_endpoint_set_address(struct mkv_endpoint *endpoint, const uint8_t *address) {
    memcpy(endpoint->address, address, sizeof endpoint->address);
}

void mkv_endpoint_parameters(const struct mkv_endpoint *endpoint, struct mkv_native_connect *out) {
    *out = (struct mkv_native_connect){
        .queue_pair = endpoint->queue_pair,
        .packet_number = 5,
        .epoch = endpoint->verbs->is_server ? endpoint->queue_pair : 0,
        .mtu_bytes = 1024,
        .message_bytes = MKV_LANE_MESSAGE_BYTES_MIN,
        .receives = 16,
        .reads = 16,
        .link = MKV_NATIVE_LINK_ETHERNET,
    };
    memcpy(out->gid, endpoint->address, sizeof out->gid);
}

bool mkv_endpoint_connect_begin(struct mkv_endpoint *endpoint,
                                const struct mkv_native_connect *peer, char *problem) {
    if (peer->mtu_bytes < 512) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "packets of 256 bytes are none for the fake");
        return false;
    }
    endpoint->coming_queue_pair = peer->queue_pair;
    return true;
}

int mkv_endpoint_connect_reach(struct mkv_endpoint *endpoint) {
    const struct timespec pause = {.tv_nsec = 1000000};
    (void)endpoint;
    atomic_fetch_add(&fake_rdma.reaches, 1);
    while (atomic_load(&fake_rdma.hold_reach)) {
        (void)nanosleep(&pause, NULL);
    }
    return atomic_load(&fake_rdma.reach_error);
}

bool mkv_endpoint_connect_end(struct mkv_endpoint *endpoint, int reached, uint64_t now_ns,
                              char *problem) {
    (void)now_ns;
    if (reached != 0) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "nobody answers there: %d", reached);
        return false;
    }
    if (endpoint->verbs->state != MKV_VERBS_ACTIVE) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "the port is down");
        return false;
    }
    endpoint->peer_queue_pair = endpoint->coming_queue_pair;
    return true;
}

bool mkv_endpoint_connect(struct mkv_endpoint *endpoint, const struct mkv_native_connect *peer,
                          uint64_t now_ns, char *problem) {
    return mkv_endpoint_connect_begin(endpoint, peer, problem) &&
           mkv_endpoint_connect_end(endpoint, 0, now_ns, problem);
}

bool mkv_endpoint_is_open(const struct mkv_endpoint *endpoint) {
    return endpoint->is_open;
}

size_t mkv_endpoint_send(struct mkv_endpoint *endpoint, const struct iovec *iovecs,
                         size_t iovec_count, uint64_t now_ns) {
    struct mkv_endpoint *peer = fake_rdma_peer(endpoint);
    size_t sent = 0;
    (void)now_ns;
    if (peer == NULL || !endpoint->is_open || endpoint->is_stopping) {
        endpoint->was_full = true;
        return 0;
    }
    if (peer->inbox_begin == peer->inbox_end) {
        peer->inbox_begin = 0;
        peer->inbox_end = 0;
    }
    for (size_t i = 0; i < iovec_count; i++) {
        const size_t room = fake_rdma.stream_room - (peer->inbox_end - peer->inbox_begin);
        const size_t count = iovecs[i].iov_len < room ? iovecs[i].iov_len : room;
        MKV_ASSERT(peer->inbox_end + count <= INBOX_BYTES);
        memcpy(peer->inbox + peer->inbox_end, iovecs[i].iov_base, count);
        peer->inbox_end += count;
        sent += count;
        if (count < iovecs[i].iov_len) {
            endpoint->was_full = true;
            break;
        }
    }
    peer->told_readable = false;
    notify(peer->verbs);
    endpoint->verbs->has_posted = endpoint->verbs->has_posted || sent > 0;
    fake_rdma.largest_send =
        sent > fake_rdma.largest_send ? (uint32_t)sent : fake_rdma.largest_send;
    return sent;
}

bool mkv_endpoint_has_sent(const struct mkv_endpoint *endpoint) {
    (void)endpoint;
    return !fake_rdma.hold_sends;
}

size_t mkv_endpoint_receive(struct mkv_endpoint *endpoint, void *bytes, size_t bytes_max,
                            uint64_t now_ns) {
    const size_t there = endpoint->inbox_end - endpoint->inbox_begin;
    const size_t count = there < bytes_max ? there : bytes_max;
    (void)now_ns;
    memcpy(bytes, endpoint->inbox + endpoint->inbox_begin, count);
    endpoint->inbox_begin += count;
    struct mkv_endpoint *peer = fake_rdma_peer(endpoint);
    if (count > 0 && peer != NULL && peer->was_full) {
        notify(peer->verbs);
    }
    return count;
}

bool mkv_endpoint_transfer(struct mkv_endpoint *endpoint, bool is_read, uint64_t remote_address,
                           uint32_t remote_key, const struct mkv_verbs_region *region, void *memory,
                           uint32_t bytes, uint64_t tag, uint64_t now_ns) {
    uint32_t posted = 0;
    uint32_t reads = 0;
    struct transfer *free_one = NULL;
    (void)now_ns;
    MKV_ASSERT((uint8_t *)memory >= region->memory);
    MKV_ASSERT((uint8_t *)memory + bytes <= region->memory + region->bytes);
    for (uint32_t i = 0; i < TRANSFERS_MAX; i++) {
        struct transfer *transfer = &endpoint->transfers[i];
        posted += transfer->is_posted;
        reads += transfer->is_posted && transfer->is_read;
        free_one = transfer->is_posted ? free_one : transfer;
        MKV_ASSERT(!transfer->is_posted || transfer->tag != tag);
    }
    if (!endpoint->is_open || endpoint->is_stopping || posted >= fake_rdma.transfers_room) {
        return false;
    }
    MKV_ASSERT(!fake_rdma_is_posted(memory, bytes));
    endpoint->verbs->has_posted = true;
    MKV_ASSERT(fake_rdma.forbidden_bytes == 0 || (uint8_t *)memory + bytes <= fake_rdma.forbidden ||
               (uint8_t *)memory >= fake_rdma.forbidden + fake_rdma.forbidden_bytes);
    *free_one = (struct transfer){
        .is_posted = true,
        .is_read = is_read,
        .memory = memory,
        .remote_address = remote_address,
        .remote_key = remote_key,
        .bytes = bytes,
        .tag = tag,
        .order = endpoint->order++,
    };
    if (is_read) {
        reads++;
        fake_rdma.reads_posted_most =
            reads > fake_rdma.reads_posted_most ? reads : fake_rdma.reads_posted_most;
    } else {
        uint8_t *remote = remote_memory(free_one);
        free_one->hash = mkv_hash_64(memory, bytes);
        if (remote != NULL) {
            memcpy(remote, memory, bytes);
        }
    }
    notify(endpoint->verbs);
    return true;
}

/* The fabric exposes nothing, and the tests' clients keep their memory. */
bool mkv_endpoint_expose(struct mkv_endpoint *endpoint, uint64_t tag) {
    (void)tag;
    return endpoint->is_open;
}

bool mkv_endpoint_unexpose(struct mkv_endpoint *endpoint, uint64_t tag) {
    (void)tag;
    return endpoint->is_open;
}

bool mkv_endpoint_stop(struct mkv_endpoint *endpoint, enum mkv_lane_reason reason,
                       uint64_t now_ns) {
    (void)reason;
    (void)now_ns;
    if (endpoint->is_stopping) {
        return true;
    }
    endpoint->is_stopping = true;
    struct mkv_endpoint *peer = fake_rdma_peer(endpoint);
    if (peer != NULL) {
        fake_rdma_break(peer, MKV_LANE_REASON_PEER);
    }
    notify(endpoint->verbs);
    return true;
}

const struct mkv_lane_counters *mkv_endpoint_counters(const struct mkv_endpoint *endpoint) {
    return &endpoint->counters;
}

void mkv_endpoint_destroy(struct mkv_endpoint *endpoint) {
    MKV_ASSERT(endpoint->is_drained || endpoint->peer_queue_pair == 0);
    for (uint32_t i = 0; i < TRANSFERS_MAX; i++) {
        const struct transfer *transfer = &endpoint->transfers[i];
        MKV_ASSERT(!transfer->is_posted);
        if (transfer->is_late) {
            memset(transfer->memory, 0xee, transfer->bytes);
        }
    }
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
        if (endpoints[i] == endpoint) {
            endpoints[i] = NULL;
        }
    }
    endpoint->verbs->endpoint_count--;
    free(endpoint->inbox);
    free(endpoint);
}

/* ---- questions ------------------------------------------------------------------------------- */

bool fake_rdma_is_posted(const void *memory, size_t bytes) {
    const uint8_t *begin = memory;
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
        for (uint32_t place = 0; endpoints[i] != NULL && place < TRANSFERS_MAX; place++) {
            const struct transfer *transfer = &endpoints[i]->transfers[place];
            if (transfer->is_posted && transfer->memory < begin + bytes &&
                begin < transfer->memory + transfer->bytes) {
                return true;
            }
        }
    }
    return false;
}

uint32_t fake_rdma_posted(void) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
        for (uint32_t place = 0; endpoints[i] != NULL && place < TRANSFERS_MAX; place++) {
            count += endpoints[i]->transfers[place].is_posted;
        }
    }
    return count;
}

uint32_t fake_rdma_endpoints(void) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
        count += endpoints[i] != NULL;
    }
    return count;
}

uint32_t fake_rdma_ports(void) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < PORTS_MAX; i++) {
        count += ports[i].is_used;
    }
    return count;
}
