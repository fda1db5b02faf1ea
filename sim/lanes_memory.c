/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/lanes_memory.h"

#include "sim/failure.h"

void mkv_lanes_memory_init(struct mkv_lanes_memory *memory) {
    memory->count = 0;
    memory->bytes = 0;
    memory->evaluations = 0;
}

uint32_t mkv_lanes_memory_add(struct mkv_lanes_memory *memory, uint32_t count, uint32_t bytes) {
    const uint32_t first = memory->count;
    MKV_ASSERT(count <= MKV_LANES_BUFFERS_MAX - first);
    for (uint32_t index = 0; index < count; index++) {
        memory->buffers[memory->count++] =
            (struct mkv_lanes_buffer){.address = memory->bytes, .bytes = bytes};
        memory->bytes += bytes;
    }
    return first;
}

void mkv_lanes_memory_reset(struct mkv_lanes_memory *memory) {
    for (uint32_t index = 0; index < memory->count; index++) {
        mkv_lanes_memory_give(memory, index, MKV_LANES_NOBODY, 0);
    }
}

uint32_t mkv_lanes_memory_find(const struct mkv_lanes_memory *memory, uint32_t first,
                               uint32_t count) {
    for (uint32_t index = first; index < first + count; index++) {
        if (memory->buffers[index].owner == MKV_LANES_NOBODY) {
            return index;
        }
    }
    return MKV_NONE_U32;
}

/* The buffer in which all these bytes are, or NULL. */
static const struct mkv_lanes_buffer *find(const struct mkv_lanes_memory *memory, uint64_t address,
                                           uint32_t bytes) {
    uint32_t low = 0;
    uint32_t high = memory->count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (memory->buffers[middle].address <= address) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const struct mkv_lanes_buffer *buffer = &memory->buffers[low];
    const bool is_inside = memory->count > 0 && address >= buffer->address &&
                           address - buffer->address <= buffer->bytes &&
                           bytes <= buffer->bytes - (address - buffer->address);
    return is_inside ? buffer : NULL;
}

static enum mkv_lanes_owner wanted(const struct mkv_verbs_sim_move *move) {
    switch (move->opcode) {
    case MKV_VERBS_SIM_SEND:
        return MKV_LANES_SEND;
    case MKV_VERBS_SIM_RECEIVE:
        return MKV_LANES_RECEIVE;
    case MKV_VERBS_SIM_READ:
        return move->by_peer ? MKV_LANES_PEER_READS : MKV_LANES_PULL;
    case MKV_VERBS_SIM_WRITE:
        break;
    }
    return move->by_peer ? MKV_LANES_PEER_WRITES : MKV_LANES_PUSH;
}

void mkv_lanes_memory_check(struct mkv_lanes_memory *memory, const struct mkv_verbs_sim_move *move,
                            uint64_t lane) {
    const struct mkv_lanes_buffer *buffer = find(memory, move->address, move->bytes);
    memory->evaluations++;
    if (buffer == NULL) {
        mkv_fail(MKV_ORACLE_DMA, "bytes of node %u move in no buffer, at %llu", move->node,
                 (unsigned long long)move->address);
    }
    if (buffer->owner != wanted(move) ||
        (buffer->lane != lane && buffer->lane != MKV_LANES_ANY)) { /* I1 */
        mkv_fail(MKV_ORACLE_DMA,
                 "bytes of node %u move %s a buffer for '%s' of lane %llu, and it is of '%s' of "
                 "lane %llu",
                 move->node, move->writes ? "into" : "out of", mkv_lanes_owner_name(wanted(move)),
                 (unsigned long long)lane, mkv_lanes_owner_name(buffer->owner),
                 (unsigned long long)buffer->lane);
    }
}

const char *mkv_lanes_owner_name(enum mkv_lanes_owner owner) {
    static const char *const names[] = {"nobody", "software", "send",       "receive",
                                        "pull",   "push",     "peer reads", "peer writes"};
    return names[owner];
}
