/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shard_relay.h"

#include <stdlib.h>
#include <string.h>

/* What the ring's own layout costs a record at most, with the shortest ones in mind. */
#define LAYOUT_FACTOR 2u

struct side {
    struct mkv_bell bell;
    struct mkv_ring *ring;
    uint64_t sent;    /* bit j: records went to shard j since the last flush … */
    uint64_t lazy;    /* … lazy ones, for which it was not woken … */
    uint64_t lazy_ns; /* … when it is */
};

struct mkv_shard_relay {
    uint32_t shard_count;
    struct mkv_spsc *rings[MKV_ROUTER_SHARDS_MAX][MKV_ROUTER_SHARDS_MAX]; /* sender, receiver */
    struct side sides[MKV_ROUTER_SHARDS_MAX];
};

static struct mkv_spsc *make_ring(const struct mkv_router_config *sender,
                                  const struct mkv_router_config *receiver) {
    const uint64_t wanted =
        LAYOUT_FACTOR * mkv_max_u64(mkv_router_ring_bytes(sender, receiver),
                                    LAYOUT_FACTOR * mkv_router_record_bytes_max(sender));
    uint64_t bytes = MKV_SPSC_BYTES_MIN;
    while (bytes < wanted && bytes < MKV_SPSC_BYTES_MAX) {
        bytes *= 2;
    }
    return bytes < wanted ? NULL : mkv_spsc_create((uint32_t)bytes);
}

struct mkv_shard_relay *mkv_shard_relay_create(const struct mkv_router_config *configs,
                                               uint32_t shard_count) {
    MKV_ASSERT(shard_count >= 1);
    MKV_ASSERT(shard_count <= MKV_ROUTER_SHARDS_MAX);
    struct mkv_shard_relay *relay = aligned_alloc(_Alignof(struct mkv_shard_relay), sizeof *relay);
    if (relay == NULL) {
        return NULL;
    }
    memset(relay, 0, sizeof *relay);
    relay->shard_count = shard_count;
    for (uint32_t i = 0; i < shard_count; i++) {
        atomic_init(&relay->sides[i].bell.asleep, false);
        for (uint32_t j = 0; j < shard_count; j++) {
            if (i == j) {
                continue;
            }
            relay->rings[i][j] = make_ring(&configs[i], &configs[j]);
            if (relay->rings[i][j] == NULL) {
                mkv_shard_relay_destroy(relay);
                return NULL;
            }
        }
    }
    return relay;
}

void mkv_shard_relay_destroy(struct mkv_shard_relay *relay) {
    if (relay == NULL) {
        return;
    }
    for (uint32_t i = 0; i < relay->shard_count; i++) {
        for (uint32_t j = 0; j < relay->shard_count; j++) {
            mkv_spsc_destroy(relay->rings[i][j]);
        }
    }
    free(relay);
}

void mkv_shard_relay_enter(struct mkv_shard_relay *relay, uint32_t shard, struct mkv_ring *ring) {
    MKV_ASSERT(shard < relay->shard_count);
    relay->sides[shard].ring = ring;
}

void mkv_shard_relay_send(struct mkv_shard_relay *relay, uint32_t shard,
                          const struct mkv_router_output *output, bool lazy) {
    MKV_ASSERT(output->kind == MKV_ROUTER_SEND);
    struct mkv_spsc *ring = relay->rings[shard][output->shard];
    uint8_t *room = mkv_spsc_begin(ring, output->head_bytes + output->tail_bytes);
    MKV_ASSERT(room != NULL); /* I2 */
    memcpy(room, output->head, output->head_bytes);
    if (output->tail_bytes > 0) {
        memcpy(room + output->head_bytes, output->tail, output->tail_bytes);
    }
    mkv_spsc_end(ring);
    if (lazy) {
        relay->sides[shard].lazy |= 1ull << output->shard;
    } else {
        relay->sides[shard].sent |= 1ull << output->shard;
    }
}

uint64_t mkv_shard_relay_flush(struct mkv_shard_relay *relay, uint32_t shard, uint64_t now_ns) {
    struct side *side = &relay->sides[shard];
    if (side->lazy != 0 && side->lazy_ns == 0) {
        side->lazy_ns = now_ns + MKV_SHARD_RELAY_LAZY_NS;
    }
    uint64_t sent = side->sent;
    if (side->lazy != 0 && now_ns >= side->lazy_ns) {
        sent |= side->lazy;
    }
    side->sent = 0;
    side->lazy &= ~sent;
    if (side->lazy == 0) {
        side->lazy_ns = 0;
    }
    for (uint32_t to = 0; sent != 0; to++, sent >>= 1) {
        if ((sent & 1) != 0 && mkv_bell_ring(&relay->sides[to].bell)) {
            mkv_ring_wake(relay->sides[to].ring);
        }
    }
    return side->lazy == 0 ? UINT64_MAX : side->lazy_ns;
}

const uint8_t *mkv_shard_relay_peek(struct mkv_shard_relay *relay, uint32_t shard, uint32_t from,
                                    uint32_t *bytes) {
    return mkv_spsc_peek(relay->rings[from][shard], bytes);
}

void mkv_shard_relay_next(struct mkv_shard_relay *relay, uint32_t shard, uint32_t from) {
    mkv_spsc_next(relay->rings[from][shard]);
}

bool mkv_shard_relay_may_sleep(struct mkv_shard_relay *relay, uint32_t shard) {
    mkv_bell_sleep(&relay->sides[shard].bell);
    for (uint32_t from = 0; from < relay->shard_count; from++) {
        uint32_t bytes;
        if (from != shard && mkv_spsc_peek(relay->rings[from][shard], &bytes) != NULL) {
            mkv_bell_awake(&relay->sides[shard].bell);
            return false;
        }
    }
    return true;
}

void mkv_shard_relay_awake(struct mkv_shard_relay *relay, uint32_t shard) {
    mkv_bell_awake(&relay->sides[shard].bell);
}
