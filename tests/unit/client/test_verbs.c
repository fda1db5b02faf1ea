/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/test_verbs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/engine.h"

#define ENDPOINTS_MAX 4096u
#define REGIONS_MAX 4096u
#define SEND_BYTES_MAX 65536u
#define TAGS_MAX 256u

struct mkv_verbs_region {
    struct mkv_verbs *verbs; /* NULL: it is free */
    uint8_t *memory;
    size_t bytes;
    bool is_writable;
    uint8_t *pages; /* `memory`, or where its pages are now … */
    uint8_t *lost;  /* … which is here, on the heap, where nobody sees them */
};

struct mkv_verbs {
    int descriptor;
    bool is_armed;
    bool is_gone;
    uint32_t endpoint_count;
    uint32_t region_count;
    struct mkv_verbs_facts facts;
};

struct stream {
    uint8_t *bytes;
    size_t byte_count, capacity;
};

struct mkv_endpoint {
    struct mkv_verbs *verbs;
    const struct mkv_endpoint_ops *ops;
    void *context;
    uint32_t queue_pair;
    uint8_t address_last; /* of its address, the last byte */
    bool is_connected, is_accepted, is_open, is_stopped, is_drained, is_destroyed;
    bool was_told_stop; /* by the client */
    bool wants_room, is_news;
    enum mkv_lane_reason to_break;
    struct stream sent; /* by the client, not yet on its way */
    struct stream to_server;
    struct stream to_client;
    uint64_t tags[TAGS_MAX];
    uint32_t tag_count;
    struct mkv_lane_counters counters;
};

struct test_verbs test_verbs = {.has_device = false};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct mkv_endpoint *endpoints[ENDPOINTS_MAX];
static uint32_t endpoint_count;
static struct mkv_verbs_region regions[REGIONS_MAX];

static void stream_add(struct stream *stream, const void *bytes, size_t byte_count) {
    if (byte_count == 0) {
        return;
    }
    if (stream->byte_count + byte_count > stream->capacity) {
        stream->capacity = 2 * (stream->byte_count + byte_count);
        stream->bytes = realloc(stream->bytes, stream->capacity);
        MKV_ASSERT(stream->bytes != NULL);
    }
    memcpy(stream->bytes + stream->byte_count, bytes, byte_count);
    stream->byte_count += byte_count;
}

static void stream_take(struct stream *stream, void *bytes, size_t byte_count) {
    MKV_ASSERT(byte_count <= stream->byte_count);
    if (byte_count > 0) {
        memcpy(bytes, stream->bytes, byte_count);
        memmove(stream->bytes, stream->bytes + byte_count, stream->byte_count - byte_count);
        stream->byte_count -= byte_count;
    }
}

void test_verbs_reset(void) {
    pthread_mutex_lock(&lock);
    for (uint32_t index = 0; index < endpoint_count; index++) {
        struct mkv_endpoint *endpoint = endpoints[index];
        MKV_ASSERT(endpoint->is_destroyed);
        free(endpoint->sent.bytes);
        free(endpoint->to_server.bytes);
        free(endpoint->to_client.bytes);
        free(endpoint);
    }
    endpoint_count = 0;
    for (uint32_t index = 0; index < REGIONS_MAX; index++) {
        MKV_ASSERT(regions[index].verbs == NULL);
    }
    memset(&test_verbs, 0, sizeof test_verbs);
    test_verbs.has_device = true;
    pthread_mutex_unlock(&lock);
}

/* Something that the client's end is to be told. */
static void tell(struct mkv_endpoint *endpoint) {
    const uint64_t one = 1;
    endpoint->is_news = true;
    if (endpoint->verbs->is_armed) {
        endpoint->verbs->is_armed = false;
        MKV_ASSERT(write(endpoint->verbs->descriptor, &one, sizeof one) == sizeof one);
    }
}

/* ---- ports ---------------------------------------------------------------------------------- */

bool mkv_verbs_is_built(void) {
    return true;
}

bool mkv_verbs_has_device(void) {
    return test_verbs.has_device;
}

static uint32_t number_of(const char *device) {
    return (uint32_t)(device[4] - '0');
}

static bool is_lost(const char *device) {
    return (test_verbs.devices_lost >> number_of(device) & 1u) != 0;
}

bool mkv_verbs_open(const struct mkv_verbs_options *options, struct mkv_verbs **verbs,
                    char *problem) {
    test_verbs.opens++;
    if (!test_verbs.has_device) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "this host has no RDMA device");
        return false;
    }
    if (options->device != NULL && strncmp(options->device, "fake", 4) != 0) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "there is no RDMA device %s", options->device);
        return false;
    }
    if (options->device != NULL && is_lost(options->device)) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "the port of %s is down", options->device);
        return false;
    }
    MKV_ASSERT(!options->is_server);
    MKV_ASSERT(options->message_bytes >= MKV_LANE_MESSAGE_BYTES_MIN);
    struct mkv_verbs *made = calloc(1, sizeof *made);
    MKV_ASSERT(made != NULL);
    made->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(made->facts.device, sizeof made->facts.device, "%s",
             options->device != NULL ? options->device : "fake0");
    snprintf(made->facts.gid, sizeof made->facts.gid, "::ffff:127.0.0.%u",
             number_of(made->facts.device) + 1);
    snprintf(test_verbs.address, sizeof test_verbs.address, "%s",
             options->address != NULL ? options->address : "");
    test_verbs.ports++;
    *verbs = made;
    return true;
}

void mkv_verbs_close(struct mkv_verbs *verbs) {
    MKV_ASSERT(verbs->endpoint_count == 0);
    MKV_ASSERT(verbs->region_count == 0);
    close(verbs->descriptor);
    test_verbs.ports--;
    free(verbs);
}

const struct mkv_verbs_facts *mkv_verbs_facts(const struct mkv_verbs *verbs) {
    return &verbs->facts;
}

enum mkv_verbs_state mkv_verbs_state(const struct mkv_verbs *verbs) {
    return verbs->is_gone                 ? MKV_VERBS_GONE
           : is_lost(verbs->facts.device) ? MKV_VERBS_PORT_DOWN
                                          : MKV_VERBS_ACTIVE;
}

bool mkv_verbs_has_address(const struct mkv_verbs *verbs, const uint8_t *address) {
    static const uint8_t first[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    const uint32_t number = number_of(verbs->facts.device);
    return memcmp(address, first, 15) == 0 &&
           (address[15] == number + 1 || (number == 3 && address[15] == 1));
}

static bool do_register(struct mkv_verbs *verbs, void *memory, size_t bytes, bool is_writable,
                        struct mkv_verbs_region **region, char *problem) {
    const unsigned long most = test_verbs.locked_max;
    if (test_verbs.refuses_to_register || (most > 0 && test_verbs.locked + bytes > most)) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "no more memory may be locked (ulimit -l)");
        return false;
    }
    pthread_mutex_lock(&lock);
    uint32_t place = 0;
    while (regions[place].verbs != NULL) {
        place++;
        MKV_ASSERT(place < REGIONS_MAX);
    }
    regions[place] = (struct mkv_verbs_region){.verbs = verbs,
                                               .memory = memory,
                                               .bytes = bytes,
                                               .is_writable = is_writable,
                                               .pages = memory};
    verbs->region_count++;
    *region = &regions[place];
    pthread_mutex_unlock(&lock);
    test_verbs.regions++;
    test_verbs.registrations++;
    test_verbs.writable += is_writable ? 1 : 0;
    test_verbs.locked += bytes;
    return true;
}

bool mkv_verbs_register(struct mkv_verbs *verbs, void *memory, size_t bytes, bool remote,
                        struct mkv_verbs_region **region, char *problem) {
    MKV_ASSERT(remote);
    return do_register(verbs, memory, bytes, true, region, problem);
}

bool mkv_verbs_register_readable(struct mkv_verbs *verbs, void *memory, size_t bytes,
                                 struct mkv_verbs_region **region, char *problem) {
    return do_register(verbs, memory, bytes, false, region, problem);
}

void mkv_verbs_unregister(struct mkv_verbs_region *region) {
    pthread_mutex_lock(&lock);
    MKV_ASSERT(region->verbs != NULL);
    region->verbs->region_count--;
    region->verbs = NULL;
    test_verbs.locked -= region->bytes;
    test_verbs.writable -= region->is_writable ? 1 : 0;
    free(region->lost);
    region->lost = NULL;
    pthread_mutex_unlock(&lock);
    test_verbs.regions--;
}

uint32_t mkv_verbs_region_key(const struct mkv_verbs_region *region) {
    return 1000u + (uint32_t)(region - regions);
}

/* `to` NULL: where nobody sees them. */
static void move_pages(const void *memory, size_t byte_count, uint8_t *to) {
    pthread_mutex_lock(&lock);
    for (uint32_t place = 0; place < REGIONS_MAX; place++) {
        struct mkv_verbs_region *region = &regions[place];
        const uintptr_t begin = (uintptr_t)memory;
        const uintptr_t other = (uintptr_t)region->memory;
        if (region->verbs == NULL || begin >= other + region->bytes ||
            other >= begin + byte_count || region->pages != region->memory) {
            continue;
        }
        if (to != NULL) {
            MKV_ASSERT(other >= begin);
            MKV_ASSERT(region->bytes <= byte_count - (other - begin));
            region->pages = to + (other - begin);
        } else {
            region->lost = calloc(1, region->bytes);
            MKV_ASSERT(region->lost != NULL);
            region->pages = region->lost;
        }
    }
    pthread_mutex_unlock(&lock);
}

void test_verbs_remap(const void *memory, size_t byte_count) {
    move_pages(memory, byte_count, NULL);
}

void test_verbs_move(const void *memory, size_t byte_count, void *to) {
    move_pages(memory, byte_count, to);
}

/* Moves what the client has sent on its way; true where it had. */
static bool flush(struct mkv_endpoint *endpoint) {
    if (endpoint->sent.byte_count == 0 || endpoint->is_stopped) {
        return false;
    }
    stream_add(&endpoint->to_server, endpoint->sent.bytes, endpoint->sent.byte_count);
    endpoint->sent.byte_count = 0;
    pthread_cond_broadcast(&changed);
    return true;
}

static uint32_t poll_break(struct mkv_endpoint *endpoint, enum mkv_lane_reason reason) {
    endpoint->is_stopped = true;
    if (reason == MKV_LANE_REASON_DEVICE) {
        endpoint->verbs->is_gone = true;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (uint32_t index = 0; index < endpoint->tag_count; index++) {
        test_verbs.exposure_ends++;
        test_verbs.exposures--;
        endpoint->ops->exposure_end(endpoint->context, endpoint->tags[index]);
    }
    endpoint->tag_count = 0;
    endpoint->ops->broken(endpoint->context, reason, mkv_lane_reason_text(reason));
    pthread_mutex_lock(&lock);
    return 1;
}

static uint32_t poll_endpoint(struct mkv_endpoint *endpoint) {
    uint32_t count = 0;
    if (endpoint->is_connected && !endpoint->is_open && !endpoint->is_stopped &&
        endpoint->is_accepted && !test_verbs.holds_probes) {
        if (test_verbs.loses_probes) {
            endpoint->to_break = MKV_LANE_REASON_PROBE;
        } else {
            endpoint->is_open = true;
            pthread_mutex_unlock(&lock);
            endpoint->ops->opened(endpoint->context);
            pthread_mutex_lock(&lock);
            count++;
        }
    }
    if (endpoint->to_break != MKV_LANE_REASON_NONE && !endpoint->is_stopped) {
        count += poll_break(endpoint, endpoint->to_break);
    }
    if (endpoint->is_news && !endpoint->was_told_stop) {
        endpoint->is_news = false;
        pthread_mutex_unlock(&lock);
        endpoint->ops->readable(endpoint->context);
        if (endpoint->wants_room) {
            endpoint->wants_room = false;
            endpoint->ops->writable(endpoint->context);
        }
        pthread_mutex_lock(&lock);
        count++;
    }
    if (endpoint->is_stopped && endpoint->is_connected && !endpoint->is_drained &&
        !test_verbs.holds_drains) {
        endpoint->is_drained = true;
        pthread_mutex_unlock(&lock);
        endpoint->ops->drained(endpoint->context);
        pthread_mutex_lock(&lock);
        count++;
    }
    return count;
}

uint32_t mkv_verbs_poll(struct mkv_verbs *verbs, uint64_t now_ns) {
    uint64_t events;
    uint32_t count = 0;
    bool has_rung = false;
    MKV_ASSERT(now_ns > 0);
    test_verbs.polls++;
    pthread_mutex_lock(&lock);
    (void)!read(verbs->descriptor, &events, sizeof events);
    for (uint32_t index = 0; index < endpoint_count; index++) {
        struct mkv_endpoint *endpoint = endpoints[index];
        if (endpoint->verbs == verbs && !endpoint->is_destroyed) {
            has_rung = flush(endpoint) || has_rung;
            count += poll_endpoint(endpoint);
        }
    }
    pthread_mutex_unlock(&lock);
    test_verbs.doorbells += has_rung ? 1 : 0;
    return count;
}

int mkv_verbs_descriptor(const struct mkv_verbs *verbs) {
    return verbs->descriptor;
}

void mkv_verbs_arm(struct mkv_verbs *verbs) {
    pthread_mutex_lock(&lock);
    verbs->is_armed = true;
    pthread_mutex_unlock(&lock);
    test_verbs.arms++;
}

uint64_t mkv_verbs_timer_ns(const struct mkv_verbs *verbs) {
    (void)verbs;
    return test_verbs.timer_ns == 0 ? UINT64_MAX : mkv_client_now_ns() + test_verbs.timer_ns;
}

/* ---- the client's ends ---------------------------------------------------------------------- */

bool mkv_endpoint_create(struct mkv_verbs *verbs, const struct mkv_endpoint_ops *ops, void *context,
                         struct mkv_endpoint **endpoint, char *problem) {
    if (test_verbs.refuses_endpoints) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "no queue pair is left");
        return false;
    }
    struct mkv_endpoint *made = calloc(1, sizeof *made);
    MKV_ASSERT(made != NULL);
    pthread_mutex_lock(&lock);
    MKV_ASSERT(endpoint_count < ENDPOINTS_MAX);
    made->verbs = verbs;
    made->ops = ops;
    made->context = context;
    made->queue_pair = 2 + endpoint_count;
    made->address_last = (uint8_t)(number_of(verbs->facts.device) + 1);
    verbs->endpoint_count++;
    endpoints[endpoint_count++] = made;
    pthread_mutex_unlock(&lock);
    test_verbs.endpoints++;
    *endpoint = made;
    return true;
}

void mkv_endpoint_parameters(const struct mkv_endpoint *endpoint, struct mkv_native_connect *out) {
    *out = (struct mkv_native_connect){.gid = {[10] = 0xff, [11] = 0xff, [12] = 127},
                                       .queue_pair = endpoint->queue_pair,
                                       .mtu_bytes = 1024,
                                       .message_bytes = MKV_LANE_MESSAGE_BYTES_MIN,
                                       .receives = 16,
                                       .reads = 16,
                                       .link = MKV_NATIVE_LINK_ETHERNET};
    out->gid[15] = endpoint->address_last;
}

void mkv_endpoint_set_address(struct mkv_endpoint *endpoint, const uint8_t *address) {
    MKV_ASSERT(!endpoint->is_connected);
    if (mkv_verbs_has_address(endpoint->verbs, address)) {
        endpoint->address_last = address[15];
    }
}

bool mkv_endpoint_connect(struct mkv_endpoint *endpoint, const struct mkv_native_connect *peer,
                          uint64_t now_ns, char *problem) {
    (void)now_ns;
    if (peer->mtu_bytes == 256) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "the path's MTU is too small");
        return false;
    }
    pthread_mutex_lock(&lock);
    endpoint->is_connected = true;
    pthread_mutex_unlock(&lock);
    test_verbs.connects++;
    return true;
}

bool mkv_endpoint_is_open(const struct mkv_endpoint *endpoint) {
    return endpoint->is_open && !endpoint->is_stopped;
}

size_t mkv_endpoint_send(struct mkv_endpoint *endpoint, const struct iovec *iovecs,
                         size_t iovec_count, uint64_t now_ns) {
    (void)now_ns;
    size_t taken = 0;
    pthread_mutex_lock(&lock);
    const size_t most = test_verbs.send_bytes_max > 0 ? test_verbs.send_bytes_max : SEND_BYTES_MAX;
    for (size_t index = 0; index < iovec_count && endpoint->is_open && !endpoint->is_stopped;
         index++) {
        const size_t held = endpoint->sent.byte_count + endpoint->to_server.byte_count;
        const size_t count = mkv_min_u64(iovecs[index].iov_len, most - mkv_min_u64(most, held));
        stream_add(&endpoint->sent, iovecs[index].iov_base, count);
        taken += count;
        if (count < iovecs[index].iov_len) {
            break;
        }
    }
    endpoint->wants_room = endpoint->wants_room || taken == 0;
    pthread_mutex_unlock(&lock);
    return taken;
}

size_t mkv_endpoint_receive(struct mkv_endpoint *endpoint, void *bytes, size_t bytes_max,
                            uint64_t now_ns) {
    (void)now_ns;
    pthread_mutex_lock(&lock);
    const size_t count = mkv_min_u64(bytes_max, endpoint->to_client.byte_count);
    stream_take(&endpoint->to_client, bytes, count);
    pthread_mutex_unlock(&lock);
    return count;
}

bool mkv_endpoint_transfer(struct mkv_endpoint *endpoint, bool is_read, uint64_t remote_address,
                           uint32_t remote_key, const struct mkv_verbs_region *region, void *memory,
                           uint32_t bytes, uint64_t tag, uint64_t now_ns) {
    (void)endpoint;
    (void)is_read;
    (void)remote_address;
    (void)remote_key;
    (void)region;
    (void)memory;
    (void)bytes;
    (void)tag;
    (void)now_ns;
    MKV_ASSERT(false); /* a client posts none */
    return false;
}

bool mkv_endpoint_expose(struct mkv_endpoint *endpoint, uint64_t tag) {
    pthread_mutex_lock(&lock);
    const bool is_done =
        endpoint->is_open && !endpoint->is_stopped && endpoint->tag_count < TAGS_MAX;
    if (is_done) {
        endpoint->tags[endpoint->tag_count++] = tag;
        test_verbs.exposures++;
    }
    pthread_mutex_unlock(&lock);
    return is_done;
}

bool mkv_endpoint_unexpose(struct mkv_endpoint *endpoint, uint64_t tag) {
    bool is_found = false;
    pthread_mutex_lock(&lock);
    for (uint32_t index = 0; index < endpoint->tag_count && !is_found; index++) {
        if (endpoint->tags[index] == tag) {
            endpoint->tags[index] = endpoint->tags[--endpoint->tag_count];
            test_verbs.exposures--;
            is_found = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return is_found;
}

bool mkv_endpoint_stop(struct mkv_endpoint *endpoint, enum mkv_lane_reason reason,
                       uint64_t now_ns) {
    (void)now_ns;
    MKV_ASSERT(reason == MKV_LANE_REASON_CLOSED);
    pthread_mutex_lock(&lock);
    (void)flush(endpoint);
    if (endpoint->tag_count > 0 && test_verbs.refuses_stops > 0) {
        test_verbs.refuses_stops--;
        pthread_mutex_unlock(&lock);
        return false;
    }
    endpoint->is_stopped = true;
    endpoint->was_told_stop = true;
    test_verbs.exposures -= endpoint->tag_count;
    endpoint->tag_count = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return true;
}

const struct mkv_lane_counters *mkv_endpoint_counters(const struct mkv_endpoint *endpoint) {
    return &endpoint->counters;
}

void mkv_endpoint_destroy(struct mkv_endpoint *endpoint) {
    pthread_mutex_lock(&lock);
    MKV_ASSERT(!endpoint->is_connected || endpoint->is_drained);
    MKV_ASSERT(!endpoint->is_destroyed);
    endpoint->is_destroyed = true;
    endpoint->is_stopped = true;
    endpoint->verbs->endpoint_count--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    test_verbs.endpoints--;
}

/* ---- the server's ends ---------------------------------------------------------------------- */

struct mkv_endpoint *test_lane_accept(const struct mkv_native_connect *client,
                                      struct mkv_native_connect *answer) {
    struct mkv_endpoint *lane = NULL;
    pthread_mutex_lock(&lock);
    if (client->queue_pair - 2 < endpoint_count &&
        !endpoints[client->queue_pair - 2]->is_destroyed) {
        lane = endpoints[client->queue_pair - 2];
        lane->is_accepted = true;
        *answer = *client;
        answer->epoch = 7;
        answer->fallback = 0;
        tell(lane);
    }
    pthread_mutex_unlock(&lock);
    return lane;
}

bool test_lane_receive(struct mkv_endpoint *lane, void *bytes, size_t byte_count) {
    size_t done = 0;
    pthread_mutex_lock(&lock);
    while (done < byte_count) {
        const size_t count = mkv_min_u64(byte_count - done, lane->to_server.byte_count);
        stream_take(&lane->to_server, (uint8_t *)bytes + done, count);
        done += count;
        if (count > 0 && lane->wants_room && !lane->is_destroyed) {
            tell(lane);
        }
        if (count == 0) {
            if (lane->is_stopped) {
                break;
            }
            pthread_cond_wait(&changed, &lock);
        }
    }
    pthread_mutex_unlock(&lock);
    return done == byte_count;
}

bool test_lane_send(struct mkv_endpoint *lane, const void *bytes, size_t byte_count) {
    pthread_mutex_lock(&lock);
    const bool is_open = !lane->is_stopped;
    if (is_open) {
        stream_add(&lane->to_client, bytes, byte_count);
        tell(lane);
    }
    pthread_mutex_unlock(&lock);
    return is_open;
}

/* With the lock: the client's memory; NULL: the server may not. */
static uint8_t *reach(struct mkv_endpoint *lane, const struct mkv_native_remote *remote,
                      uint64_t offset, size_t byte_count, bool is_write) {
    const uint32_t place = remote->key - 1000u;
    const uint64_t address = remote->address + offset;
    const struct mkv_verbs_region *region = place < REGIONS_MAX ? &regions[place] : NULL;
    const uint64_t begin = region != NULL ? (uint64_t)(uintptr_t)region->memory : 0;
    if (lane->is_stopped) {
        return NULL;
    }
    if (region == NULL || region->verbs != lane->verbs || lane->tag_count == 0 || address < begin ||
        address - begin > region->bytes || byte_count > region->bytes - (address - begin) ||
        (is_write && !region->is_writable)) {
        lane->to_break = MKV_LANE_REASON_REMOTE_ERROR;
        tell(lane);
        return NULL;
    }
    return region->pages + (address - begin);
}

bool test_lane_write(struct mkv_endpoint *lane, const struct mkv_native_remote *remote,
                     uint64_t offset, const void *bytes, size_t byte_count) {
    pthread_mutex_lock(&lock);
    uint8_t *memory = reach(lane, remote, offset, byte_count, true);
    if (memory != NULL) {
        memcpy(memory, bytes, byte_count);
    }
    pthread_mutex_unlock(&lock);
    return memory != NULL;
}

bool test_lane_read(struct mkv_endpoint *lane, const struct mkv_native_remote *remote,
                    uint64_t offset, void *bytes, size_t byte_count) {
    pthread_mutex_lock(&lock);
    const uint8_t *memory = reach(lane, remote, offset, byte_count, false);
    if (memory != NULL) {
        memcpy(bytes, memory, byte_count);
    }
    pthread_mutex_unlock(&lock);
    return memory != NULL;
}

void test_lane_break(struct mkv_endpoint *lane, enum mkv_lane_reason reason) {
    pthread_mutex_lock(&lock);
    if (!lane->is_destroyed) {
        lane->to_break = reason;
        tell(lane);
    }
    pthread_mutex_unlock(&lock);
}

void test_lanes_break(enum mkv_lane_reason reason) {
    for (uint32_t index = 0; index < endpoint_count; index++) {
        test_lane_break(endpoints[index], reason);
    }
}

void test_device_lose(uint32_t number) {
    test_verbs.devices_lost |= 1u << number;
    for (uint32_t index = 0; index < endpoint_count; index++) {
        if (!endpoints[index]->is_destroyed &&
            number_of(endpoints[index]->verbs->facts.device) == number) {
            test_lane_break(endpoints[index], MKV_LANE_REASON_PORT_DOWN);
        }
    }
}

void test_lane_wait_end(struct mkv_endpoint *lane) {
    pthread_mutex_lock(&lock);
    while (!lane->is_stopped) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}
