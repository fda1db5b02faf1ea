/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/listing.h"

#include <string.h>

#include "core/bytes.h"
#include "sim/failure.h"

/* What was refused is asked for again so much later. */
#define RETRY_NS 50000u

void mkv_listing_init(struct mkv_listing *listing, struct mkv_node *node,
                      const struct mkv_faults *faults) {
    memset(listing, 0, sizeof *listing);
    listing->node = node;
    listing->faults = faults;
    listing->done = true;
}

void mkv_listing_crash(struct mkv_listing *listing) {
    listing->done = true;
    listing->in_flight = false;
}

static void add_tenant(struct mkv_listing *listing, uint32_t tenant) {
    for (uint32_t index = 0; index < listing->tenant_count; index++) {
        if (listing->tenants[index] == tenant) {
            return;
        }
    }
    MKV_ASSERT(listing->tenant_count < MKV_LISTING_TENANTS_MAX);
    listing->tenants[listing->tenant_count++] = tenant;
}

static void start_over(struct mkv_listing *listing) {
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    listing->tenant = 0;
    listing->tenant_count = 0;
    listing->after_bytes = 0;
    listing->block_count = 0;
    add_tenant(listing, MKV_TENANT_DEFAULT);
    while (mkv_volume_next_block(listing->node->volume, &cursor, &block)) {
        if (!block.served) {
            continue;
        }
        add_tenant(listing, block.tenant);
        if ((block.block_flags & MKV_BLOCK_SEGMENT) == 0) {
            MKV_ASSERT(listing->block_count < MKV_LISTING_BLOCKS_MAX);
            listing->blocks[listing->block_count++] = (struct mkv_listing_block){
                .slot = block.slot.index, .generation_low = block.generation_low};
        }
    }
}

void mkv_listing_begin(struct mkv_listing *listing) {
    listing->done = false;
    listing->in_flight = false;
    listing->due_ns = 0;
    start_over(listing);
}

static void send(struct mkv_listing *listing, uint64_t now_ns) {
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE,
        .data = listing->after,
        .data_bytes = listing->after_bytes,
        .message = {.kind = MKV_MESSAGE_SCAN,
                    .volume = listing->node->options.volume,
                    .front_op = {MKV_LISTING_OP, ++listing->generation},
                    .tenant = listing->tenants[listing->tenant],
                    .data_bytes = listing->after_bytes,
                    .count = UINT32_MAX},
    };
    listing->in_flight = true;
    (void)mkv_node_step(listing->node, &input, now_ns);
}

bool mkv_listing_pump(struct mkv_listing *listing, uint64_t now_ns) {
    if (!listing->done && !listing->in_flight && now_ns >= listing->due_ns) {
        send(listing, now_ns);
    }
    return listing->done;
}

/* ---- what it gets ---------------------------------------------------------------------------- */

static bool find_live(const struct mkv_listing *listing, uint32_t slot, uint32_t generation_low,
                      struct mkv_volume_block *block) {
    uint32_t cursor = slot;
    return mkv_volume_next_block(listing->node->volume, &cursor, block) &&
           block->slot.index == slot && block->generation_low == generation_low && block->served;
}

/* Where the drive lies about what is durable, nothing is promised of a list but that it comes. */
static bool lies(const struct mkv_listing *listing) {
    return (mkv_faults_relax(listing->faults->plan.mask) & MKV_RELAX_LYING) != 0;
}

/* Whether a live block may be unlisted: its header may have been read as it is not, and its DROP be
 * on the way. When the drive is calm, all that was so is dropped. */
static bool may_lack(const struct mkv_listing *listing, const struct mkv_volume_block *block) {
    return block->hidden || block->expired ||
           (listing->faults->content_hits > 0 && !listing->faults->calm);
}

/* The header that the drive holds for the block; false when a fault has hit it. */
static bool header_of(const struct mkv_listing *listing, const struct mkv_volume_block *block,
                      struct mkv_slot_header *header) {
    const uint8_t *unit = mkv_drive_sim_unit(listing->node->drive, block->lba.unit);
    return mkv_slot_header_decode(unit, header) == MKV_OK &&
           header->slot.index == block->slot.index &&
           (uint32_t)header->generation.value == block->generation_low;
}

static struct mkv_listing_block *find_begun(struct mkv_listing *listing, uint32_t slot,
                                            uint32_t generation_low) {
    for (uint32_t index = 0; index < listing->block_count; index++) {
        struct mkv_listing_block *block = &listing->blocks[index];
        if (block->slot == slot && block->generation_low == generation_low) {
            return block;
        }
    }
    return NULL;
}

static void check_entry(struct mkv_listing *listing, const uint8_t *entry) {
    const uint32_t slot = mkv_load_u32(entry);
    const uint32_t generation_low = mkv_load_u32(entry + 4);
    const uint32_t key_bytes = mkv_load_u16(entry + 12);
    const uint8_t *key = entry + MKV_SCAN_ENTRY_BYTES;
    struct mkv_volume_block block;
    struct mkv_slot_header header;
    listing->evaluations++;
    struct mkv_listing_block *begun = find_begun(listing, slot, generation_low);
    const bool live = find_live(listing, slot, generation_low, &block);
    if (begun == NULL && !live) {
        mkv_fail(MKV_ORACLE_NO_RETURN, "a listing names slot %u, generation %x, which is not live",
                 slot, generation_low);
    }
    if (begun != NULL) {
        if (begun->listed) {
            mkv_fail(MKV_ORACLE_NO_RETURN, "a listing names slot %u twice", slot);
        }
        begun->listed = true;
    }
    if (!live || !header_of(listing, &block, &header)) {
        return; /* it went while it was listed, or its header is rotten */
    }
    if (block.tenant != listing->tenants[listing->tenant]) {
        mkv_fail(MKV_ORACLE_TENANT, "a listing of tenant %u names slot %u, which is tenant %u's",
                 listing->tenants[listing->tenant], slot, block.tenant);
    }
    if (header.key_bytes != key_bytes || memcmp(header.key, key, key_bytes) != 0) {
        mkv_fail(MKV_ORACLE_NO_RETURN, "a listing names slot %u by another block's key", slot);
    }
    if (mkv_load_u16(entry + 8) != block.length_units ||
        mkv_load_u16(entry + 10) != block.block_flags) {
        mkv_fail(MKV_ORACLE_NO_RETURN,
                 "a listing says that slot %u has %u units and flags %x, and it has %u and %x",
                 slot, mkv_load_u16(entry + 8), mkv_load_u16(entry + 10), block.length_units,
                 block.block_flags);
    }
}

/* Keys ascend, from the one that the list was to begin behind. */
static void take_entries(struct mkv_listing *listing, const struct mkv_message *message,
                         const uint8_t *data) {
    const uint8_t *entry = data;
    uint64_t count = 0;
    for (; entry < data + message->data_bytes; count++) {
        const uint32_t key_bytes = mkv_load_u16(entry + 12);
        const uint8_t *key = entry + MKV_SCAN_ENTRY_BYTES;
        const size_t both = (size_t)mkv_min_u64(key_bytes, listing->after_bytes);
        const int order = memcmp(key, listing->after, both);
        if (order < 0 || (order == 0 && key_bytes <= listing->after_bytes)) {
            mkv_fail(MKV_ORACLE_NO_RETURN, "the keys of a listing do not ascend");
        }
        check_entry(listing, entry);
        memcpy(listing->after, key, key_bytes);
        listing->after_bytes = key_bytes;
        entry += MKV_SCAN_ENTRY_BYTES + key_bytes;
    }
    const bool more = (message->flags & MKV_SCAN_MORE) != 0;
    if (count != message->count || (more && count == 0)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "a listing has %llu keys and says %llu",
                 (unsigned long long)count, (unsigned long long)message->count);
    }
    if (!more) {
        listing->tenant++;
        listing->after_bytes = 0;
    }
}

static void check_complete(struct mkv_listing *listing) {
    struct mkv_volume_block block;
    struct mkv_slot_header header;
    for (uint32_t index = 0; index < listing->block_count; index++) {
        const struct mkv_listing_block *begun = &listing->blocks[index];
        listing->evaluations++;
        if (!begun->listed && find_live(listing, begun->slot, begun->generation_low, &block) &&
            !may_lack(listing, &block) && header_of(listing, &block, &header)) {
            mkv_fail(MKV_ORACLE_DURABLE, "the block in slot %u, generation %x, is not listed",
                     begun->slot, begun->generation_low);
        }
    }
    listing->done = true;
    listing->listings++;
}

/* Whether a list is not to be had at all: blocks are served all the same. */
static bool is_given_up(const struct mkv_listing *listing, enum mkv_status status) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(listing->node->volume, &stats);
    const enum mkv_directory_state state = stats.directory.state;
    return (status == MKV_STATUS_NO_SPACE && state == MKV_DIRECTORY_FULL) ||
           (status == MKV_STATUS_UNAVAILABLE && state == MKV_DIRECTORY_OFF);
}

void mkv_listing_answer(struct mkv_listing *listing, const struct mkv_message *message,
                        const uint8_t *data, uint64_t now_ns) {
    if (!listing->in_flight || message->kind != MKV_MESSAGE_SCAN_DONE ||
        message->front_op.generation != listing->generation) {
        mkv_fail(MKV_ORACLE_ANSWERS, "a listing is answered that is over, by message kind %u",
                 (unsigned)message->kind);
    }
    listing->in_flight = false;
    if (is_given_up(listing, message->status)) {
        listing->done = true;
        return;
    }
    switch (message->status) {
    case MKV_STATUS_OK:
        if (lies(listing)) {
            listing->done = true;
            return;
        }
        take_entries(listing, message, data);
        if (listing->tenant == listing->tenant_count) {
            check_complete(listing);
        }
        return;
    case MKV_STATUS_NO_SPACE:
    case MKV_STATUS_UNAVAILABLE:
    case MKV_STATUS_BUSY:
        listing->due_ns = now_ns + RETRY_NS;
        start_over(listing);
        return;
    case MKV_STATUS_NOT_FOUND:
    case MKV_STATUS_DEADLINE:
    case MKV_STATUS_IO_ERROR:
    case MKV_STATUS_INVALID:
    case MKV_STATUS_FORBIDDEN:
    case MKV_STATUS_CONFLICT:
    case MKV_STATUS_QUOTA:
    case MKV_STATUS_UNKNOWN:
        mkv_fail(MKV_ORACLE_ANSWERS, "a listing ends with status %u", (unsigned)message->status);
    }
}
