/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "verbs/device.h"

/* From connected to the probe's answer; what drops full packets is found out by retries, in four
 * seconds, and this is for what else there may be. */
#define PROBE_NS 10000000000ull
/* A server waits longer: it is the client that can say what did not come through. */
#define PROBE_NS_SERVER 15000000000ull
/* The device says nothing of a work request, neither well nor ill. */
#define SILENT_NS 30000000000ull
#define DRAIN_NS 500000000ull

static bool draw(struct mkv_endpoint *endpoint) {
    uint32_t drawn[2];
    if (getrandom(drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn) {
        return false;
    }
    endpoint->packet_number = mkv_lane_packet_number(drawn[0]);
    endpoint->epoch = endpoint->verbs->options.is_server ? drawn[1] | 1u : 0;
    return true;
}

static uint32_t free_place(struct mkv_verbs *verbs, char *problem) {
    for (uint32_t index = 0; index < verbs->places_made; index++) {
        if (verbs->places[index].endpoint == NULL) {
            return index;
        }
    }
    if (verbs->places_made == verbs->endpoints_max) {
        mkv_verbs_say(problem, "all %u connections over RDMA device %s are taken",
                      verbs->endpoints_max, verbs->facts.device);
        return MKV_NONE_U32;
    }
    return mkv_verbs_place_make(verbs, problem) ? verbs->places_made - 1 : MKV_NONE_U32;
}

static bool post_own_receives(struct mkv_endpoint *endpoint) {
    struct mkv_verbs *verbs = endpoint->verbs;
    const uint32_t each = verbs->options.receives_each;
    for (uint32_t index = 0; index < each; index++) {
        if (!mkv_verbs_receive_post(verbs, endpoint, endpoint->place * each + index)) {
            return false;
        }
    }
    return true;
}

static void say_inactive(const struct mkv_verbs *verbs, char *problem) {
    mkv_verbs_say(problem, "port %u of RDMA device %s is %s", verbs->facts.port,
                  verbs->facts.device,
                  verbs->state == MKV_VERBS_GONE ? "gone with its device" : "down");
}

bool mkv_endpoint_create(struct mkv_verbs *verbs, const struct mkv_endpoint_ops *ops, void *context,
                         struct mkv_endpoint **out, char *problem) {
    *out = NULL;
    mkv_verbs_ask_port(verbs);
    if (verbs->state != MKV_VERBS_ACTIVE) {
        say_inactive(verbs, problem);
        return false;
    }
    const uint32_t place = free_place(verbs, problem);
    struct mkv_endpoint *endpoint = place == MKV_NONE_U32 ? NULL : calloc(1, sizeof *endpoint);
    if (endpoint == NULL) {
        if (place != MKV_NONE_U32) {
            mkv_verbs_say(problem, "there is no memory for another connection over RDMA");
        }
        return false;
    }
    endpoint->verbs = verbs;
    endpoint->place = place;
    endpoint->ops = *ops;
    endpoint->context = context;
    endpoint->open_slot = MKV_NONE_U32;
    endpoint->address = (struct mkv_verbs_address){verbs->gid, verbs->facts.gid_index};
    verbs->places[place].endpoint = endpoint;
    mkv_verbs_say(problem, "the kernel gives no random numbers");
    if (!draw(endpoint) || !mkv_endpoint_qp_make(endpoint, problem)) {
        mkv_endpoint_destroy(endpoint);
        return false;
    }
    if (verbs->srq == NULL && !post_own_receives(endpoint)) {
        mkv_verbs_say(problem, "RDMA device %s takes no receives", verbs->facts.device);
        mkv_endpoint_destroy(endpoint);
        return false;
    }
    /* What a port has may change until the peer's answer is here. */
    endpoint->mtu = verbs->facts.mtu;
    *out = endpoint;
    return true;
}

void mkv_endpoint_parameters(const struct mkv_endpoint *endpoint, struct mkv_native_connect *out) {
    const struct mkv_verbs *verbs = endpoint->verbs;
    *out = (struct mkv_native_connect){
        .queue_pair = endpoint->qp_number,
        .packet_number = endpoint->packet_number,
        .epoch = endpoint->epoch,
        .mtu_bytes = endpoint->mtu,
        .message_bytes = verbs->options.message_bytes,
        .receives = verbs->options.receives_each,
        .reads = verbs->facts.reads_max,
        .lid = verbs->port.lid,
        .link = verbs->facts.is_ethernet ? MKV_NATIVE_LINK_ETHERNET : MKV_NATIVE_LINK_INFINIBAND,
        .traffic_class = verbs->options.is_server ? verbs->options.traffic_class : 0,
        .service_level = verbs->options.is_server ? verbs->options.service_level : 0,
    };
    memcpy(out->gid, endpoint->address.gid.raw, sizeof out->gid);
}

/* ---- connect --------------------------------------------------------------------------------- */

static struct mkv_lane_config lane_config(const struct mkv_endpoint *endpoint) {
    const struct mkv_verbs *verbs = endpoint->verbs;
    const struct mkv_verbs_options *own = &verbs->options;
    const struct mkv_native_connect *peer = &endpoint->peer;
    return (struct mkv_lane_config){
        .is_server = own->is_server,
        .epoch = own->is_server ? endpoint->epoch : peer->epoch,
        .message_bytes = (uint32_t)mkv_min_u64(own->message_bytes, peer->message_bytes),
        .sends_max = verbs->sends_max,
        .credits = (uint32_t)mkv_min_u64(peer->receives, MKV_LANE_CREDITS_MAX),
        .receives = own->receives_each,
        .transfers_max = verbs->transfers_max,
        .reads_max =
            (uint32_t)(own->is_server ? mkv_min_u64(peer->reads, verbs->facts.reads_max) : 0),
        .probe_ns = own->is_server ? PROBE_NS_SERVER : PROBE_NS,
        .silent_ns = SILENT_NS,
        .drain_ns = DRAIN_NS,
        .awaits_last_receive = verbs->srq != NULL,
    };
}

bool mkv_endpoint_connect_begin(struct mkv_endpoint *endpoint,
                                const struct mkv_native_connect *peer, char *problem) {
    const struct mkv_verbs *verbs = endpoint->verbs;
    const bool peer_is_ethernet = peer->link == MKV_NATIVE_LINK_ETHERNET;
    MKV_ASSERT(!endpoint->is_connected);
    endpoint->peer = *peer;
    if (peer_is_ethernet != verbs->facts.is_ethernet) {
        mkv_verbs_say(problem,
                      "RDMA device %s is on %s, the peer's on %s; choose devices of one "
                      "network on both sides",
                      verbs->facts.device, verbs->facts.is_ethernet ? "Ethernet" : "InfiniBand",
                      peer_is_ethernet ? "Ethernet" : "InfiniBand");
        return false;
    }
    const struct mkv_lane_config config = lane_config(endpoint);
    const char *wrong = mkv_lane_config_problem(&config);
    if (wrong != NULL) {
        mkv_verbs_say(problem, "what the peer tells of its queue pair does not go: %s", wrong);
        return false;
    }
    mkv_lane_init(&endpoint->lane, &config);
    mkv_endpoint_qp_prepare(endpoint, (uint32_t)mkv_min_u64(endpoint->mtu, peer->mtu_bytes),
                            config.reads_max);
    return true;
}

int mkv_endpoint_connect_reach(struct mkv_endpoint *endpoint) {
    return mkv_endpoint_qp_connect(endpoint);
}

bool mkv_endpoint_connect_end(struct mkv_endpoint *endpoint, int reached, uint64_t now_ns,
                              char *problem) {
    if (reached != 0) {
        mkv_endpoint_qp_unreached(endpoint, reached, problem);
        return false;
    }
    if (endpoint->verbs->state != MKV_VERBS_ACTIVE) {
        say_inactive(endpoint->verbs, problem); /* its lane was not there to be told */
        return false;
    }
    mkv_lane_connected(&endpoint->lane, now_ns);
    endpoint->is_connected = true;
    mkv_verbs_busy(endpoint);
    return true;
}

bool mkv_endpoint_connect(struct mkv_endpoint *endpoint, const struct mkv_native_connect *peer,
                          uint64_t now_ns, char *problem) {
    return mkv_endpoint_connect_begin(endpoint, peer, problem) &&
           mkv_endpoint_connect_end(endpoint, mkv_endpoint_connect_reach(endpoint), now_ns,
                                    problem);
}

bool mkv_endpoint_is_open(const struct mkv_endpoint *endpoint) {
    return endpoint->is_connected && endpoint->lane.state == MKV_LANE_OPEN;
}

/* ---- bytes that go, transfers ---------------------------------------------------------------- */

/* A part of these bytes into the message that is being filled; 0: there is no room. */
static size_t fill(struct mkv_endpoint *endpoint, const uint8_t *bytes, size_t byte_count,
                   uint64_t now_ns) {
    const struct mkv_verbs_options *options = &endpoint->verbs->options;
    const uint32_t room = endpoint->lane.config.message_bytes - MKV_LANE_HEADER_BYTES;
    if (endpoint->open_slot == MKV_NONE_U32) {
        endpoint->open_slot = mkv_lane_slot_take(&endpoint->lane);
        endpoint->open_bytes = 0;
        if (endpoint->open_slot == MKV_NONE_U32) {
            return 0;
        }
    }
    uint8_t *memory =
        endpoint->verbs->places[endpoint->place].memory +
        ((size_t)options->receives_each + endpoint->open_slot) * options->message_bytes;
    const size_t part = mkv_min_u64(byte_count, room - endpoint->open_bytes);
    memcpy(memory + MKV_LANE_HEADER_BYTES + endpoint->open_bytes, bytes, part);
    endpoint->open_bytes += (uint32_t)part;
    if (endpoint->open_bytes == room) {
        mkv_lane_send(&endpoint->lane, endpoint->open_slot, room, now_ns);
        endpoint->open_slot = MKV_NONE_U32;
    }
    return part;
}

size_t mkv_endpoint_send(struct mkv_endpoint *endpoint, const struct iovec *iovecs,
                         size_t iovec_count, uint64_t now_ns) {
    size_t taken = 0;
    if (!mkv_endpoint_is_open(endpoint)) {
        return 0;
    }
    for (size_t index = 0; index < iovec_count; index++) {
        size_t offset = 0;
        while (offset < iovecs[index].iov_len) {
            const size_t part = fill(endpoint, (const uint8_t *)iovecs[index].iov_base + offset,
                                     iovecs[index].iov_len - offset, now_ns);
            if (part == 0) {
                endpoint->wants_room = true;
                mkv_verbs_busy(endpoint);
                return taken;
            }
            offset += part;
            taken += part;
        }
    }
    if (taken > 0) {
        mkv_verbs_busy(endpoint);
    }
    return taken;
}

bool mkv_endpoint_has_sent(const struct mkv_endpoint *endpoint) {
    /* What has been taken and is not posted yet makes it busy. */
    return !endpoint->is_busy && mkv_lane_posted_count(&endpoint->lane) == 0;
}

bool mkv_endpoint_transfer(struct mkv_endpoint *endpoint, bool is_read, uint64_t remote_address,
                           uint32_t remote_key, const struct mkv_verbs_region *region, void *memory,
                           uint32_t bytes, uint64_t tag, uint64_t now_ns) {
    if (!mkv_endpoint_is_open(endpoint) || !mkv_lane_transfer_room(&endpoint->lane, is_read)) {
        return false;
    }
    uint32_t index = 0;
    while (endpoint->transfers[index].is_used) {
        index++;
        MKV_ASSERT(index < MKV_LANE_TRANSFERS_MAX);
    }
    endpoint->transfers[index] = (struct transfer){
        .tag = tag, .memory = memory, .local_key = region->mr->lkey, .is_used = true};
    const struct mkv_lane_transfer transfer = {
        .is_read = is_read,
        .tag = index,
        .remote_address = remote_address,
        .remote_key = remote_key,
        .bytes = bytes,
    };
    mkv_lane_transfer(&endpoint->lane, &transfer, now_ns);
    mkv_verbs_busy(endpoint);
    return true;
}

bool mkv_endpoint_expose(struct mkv_endpoint *endpoint, uint64_t tag) {
    return endpoint->is_connected && mkv_lane_expose(&endpoint->lane, tag);
}

bool mkv_endpoint_unexpose(struct mkv_endpoint *endpoint, uint64_t tag) {
    return endpoint->is_connected && mkv_lane_unexpose(&endpoint->lane, tag);
}

/* ---- end ------------------------------------------------------------------------------------- */

bool mkv_endpoint_stop(struct mkv_endpoint *endpoint, enum mkv_lane_reason reason,
                       uint64_t now_ns) {
    endpoint->is_stopped = true;
    if (!endpoint->is_connected || endpoint->is_told_drained) {
        return true;
    }
    mkv_lane_stop(&endpoint->lane, reason, now_ns);
    mkv_endpoint_again(endpoint, now_ns);
    mkv_endpoint_work(endpoint, now_ns);
    mkv_verbs_busy(endpoint);
    return !endpoint->stop_is_due || endpoint->lane.exposure_count == 0;
}

const struct mkv_lane_counters *mkv_endpoint_counters(const struct mkv_endpoint *endpoint) {
    return &endpoint->lane.counters;
}

static void forget_busy(struct mkv_endpoint *endpoint) {
    struct mkv_verbs *verbs = endpoint->verbs;
    struct mkv_endpoint *last = NULL;
    struct mkv_endpoint **link = &verbs->busy_first;
    while (*link != NULL) {
        if (*link == endpoint) {
            *link = endpoint->busy_next;
        } else {
            last = *link;
            link = &last->busy_next;
        }
    }
    verbs->busy_last = last;
}

static void release(struct mkv_endpoint *endpoint) {
    endpoint->verbs->places[endpoint->place].endpoint = NULL;
    free(endpoint);
}

void mkv_endpoint_destroy(struct mkv_endpoint *endpoint) {
    struct mkv_verbs *verbs = endpoint->verbs;
    MKV_ASSERT(!endpoint->is_connected || endpoint->is_told_drained);
    if (endpoint->is_busy) {
        forget_busy(endpoint);
    }
    /* Of a server, buffers with messages that nobody took up go back to all. */
    for (uint32_t index = 0; verbs->srq != NULL && index < endpoint->arrival_count; index++) {
        const uint32_t at = (endpoint->arrival_first + index) % MKV_LANE_CREDITS_MAX;
        if (!mkv_verbs_receive_post(verbs, endpoint, endpoint->arrivals[at].receive)) {
            verbs->srq_is_in_doubt = true;
        }
    }
    if (verbs->srq != NULL && endpoint->is_connected && !endpoint->lane.last_receive_came) {
        verbs->srq_is_in_doubt = true;
    }
    if (mkv_endpoint_qp_destroy(endpoint)) {
        release(endpoint);
        return;
    }
    /* The device names it in events, and has its place's buffers. */
    endpoint->is_forsaken = true;
    endpoint->is_stopped = true;
    endpoint->is_busy = false;
    endpoint->has_news = false;
    endpoint->wants_room = false;
    endpoint->told_count = 0;
    endpoint->arrival_count = 0;
}

void mkv_endpoint_again(struct mkv_endpoint *endpoint, uint64_t now_ns) {
    const bool is_server = endpoint->verbs->options.is_server;
    if (!endpoint->is_kept ||
        !(endpoint->stop_is_due && is_server ? mkv_endpoint_qp_stop(endpoint)
                                             : mkv_endpoint_qp_destroy(endpoint))) {
        return;
    }
    if (endpoint->is_forsaken) {
        if (endpoint->is_busy) {
            forget_busy(endpoint);
        }
        release(endpoint);
        return;
    }
    if (endpoint->stop_is_due) {
        mkv_endpoint_stopped(endpoint, now_ns);
    }
    if (endpoint->destroy_is_due && endpoint->lane.state == MKV_LANE_STOPPING) {
        mkv_lane_destroyed(&endpoint->lane);
    }
    endpoint->destroy_is_due = false;
    mkv_verbs_busy(endpoint);
}
