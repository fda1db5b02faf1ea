/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words every room shares: assertions, ids, statuses, errors and the figures of format
 * version 1. It is the only header of the core that wire/ may include besides bytes.h and hash.h.
 *
 * Ids are one-field structs, so that a slot number cannot be passed for an extent number.
 * Figures that stand on a drive or on the wire are fixed for ever; the tests hold them.
 *
 * Not responsible for: anything that computes.
 */
#ifndef MKV_CORE_BASE_H
#define MKV_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Supplied by whoever links the core; prints and aborts. Never returns. */
_Noreturn void mkv_assert_failed(const char *expression, const char *file, int line);

/* A programmer's error: aborts in every build. One condition each. The one build that only counts
 * branches (ci/coverage) leaves the conditions out, since a branch that ends in an abort is none
 * that a run may take. */
#ifdef MKV_COVERAGE
#define MKV_ASSERT(expression) ((void)0)
#else
#define MKV_ASSERT(expression)                                                                     \
    ((expression) ? (void)0 : mkv_assert_failed(#expression, __FILE__, __LINE__))
#endif

/* Documents that the condition may be either way here, and that both ways are handled. */
#define MKV_MAYBE(expression) ((void)sizeof((expression) ? 1 : 0))

/* True only in the archive with planted bugs, which the simulator's second binary links. */
#ifdef MKV_CANARIES
bool mkv_canary_is_on(unsigned canary);
#define MKV_CANARY(canary) mkv_canary_is_on(canary)
#else
#define MKV_CANARY(canary) false
#endif

#define MKV_KIB 1024ull
#define MKV_MIB (1024ull * MKV_KIB)
#define MKV_GIB (1024ull * MKV_MIB)

/* The unit of drives: every address and every transfer is a multiple of it. */
#define MKV_UNIT_BYTES 4096u
/* The longest key of a block, in bytes. A key is at least one byte. */
#define MKV_KEY_BYTES_MAX 1024u
/* The largest payload of one block; a larger value is segments behind a manifest. */
#define MKV_BLOCK_BYTES_MAX (32u * 1024u * 1024u)
/* Payloads up to this size live inside the header unit of their slot. */
#define MKV_INLINE_BYTES_MAX 2048u
/* The smallest chunk that has a checksum of its own; doubled until a block has at most
 * MKV_CHUNKS_MAX chunks. */
#define MKV_CHUNK_BYTES_MIN (64u * 1024u)
#define MKV_CHUNKS_MAX 256u
/* Flags of a block and of its put; the block flags are on the drive and never change. */
#define MKV_BLOCK_MANIFEST 0x1u /* the payload lists segments; see core/manifest.h */
#define MKV_BLOCK_SEGMENT 0x2u  /* a part of a larger value; hidden from listing */
#define MKV_BLOCK_FLAGS (MKV_BLOCK_MANIFEST | MKV_BLOCK_SEGMENT)
/* Drives of one node. */
#define MKV_VOLUMES_MAX 64u
/* Retention tiers, in the order in which blocks leave. The values are on the drive: the slot table,
 * its pages and the PUT record have two bits for them. */
enum mkv_tier {
    MKV_TIER_THINK_COMPLETE = 0,
    MKV_TIER_UNHINTED = 1,
    MKV_TIER_THINK_ACTIVE = 2,
    MKV_TIER_OUTPUT_CRITICAL = 3,
};
#define MKV_TIER_MAX 3u
#define MKV_TIER_COUNT 4u
/* How a request names a tier: 0 not at all, which is unhinted; else the tier and 1. */
#define MKV_TIER_HINT_MAX (MKV_TIER_MAX + 1u)
static inline enum mkv_tier mkv_tier_of_hint(uint32_t hint) {
    return hint == 0 ? MKV_TIER_UNHINTED : (enum mkv_tier)(hint - 1);
}

/* What happens to a session. The values are on the wire. */
enum mkv_session_action {
    MKV_SESSION_BEGIN = 1,
    MKV_SESSION_EXIT_THINK = 2, /* its reasoning phase is over */
    MKV_SESSION_END = 3,        /* its blocks are worth less than all others from now on */
    MKV_SESSION_FREE = 4,       /* it ends, and its blocks leave */
};
#define MKV_SESSION_ACTION_MAX 4u
/* Why a reasoning phase was over, as the client says. The values are on the wire. */
enum mkv_think_exit {
    MKV_THINK_CONVERGED = 1,
    MKV_THINK_OVERTHINKING = 2,
    MKV_THINK_HARD_CAP = 3,
};
#define MKV_THINK_EXIT_MAX 3u

/* What a request or an item of it came to. The values are on the wire and never change. */
enum mkv_status {
    MKV_STATUS_OK = 0,
    MKV_STATUS_NOT_FOUND = 1,
    MKV_STATUS_NO_SPACE = 2,
    MKV_STATUS_DEADLINE = 3,
    MKV_STATUS_IO_ERROR = 4,
    MKV_STATUS_INVALID = 5,
    MKV_STATUS_FORBIDDEN = 6,
    MKV_STATUS_BUSY = 7,
    MKV_STATUS_UNKNOWN = 8,
    MKV_STATUS_UNAVAILABLE = 9,
    MKV_STATUS_CONFLICT = 10,
    MKV_STATUS_QUOTA = 11,
};
#define MKV_STATUS_COUNT 12u

/* Why keys were missed; the values are on the wire (field `reason`) and in metrics. */
enum mkv_miss {
    MKV_MISS_NONE = 0,
    MKV_MISS_UNKNOWN = 1,
    MKV_MISS_EVICTED = 2,
    MKV_MISS_EXPIRED = 3,
    MKV_MISS_DELETED = 4,
    MKV_MISS_DEADLINE = 5,
    MKV_MISS_IO_ERROR = 6,
    MKV_MISS_CHECKSUM = 7,
    MKV_MISS_DRIVE_OFFLINE = 8,
    MKV_MISS_OVERLOADED = 9,
};
#define MKV_MISS_COUNT 10u

/* Operating errors and corruption of the core's structures; corruption names the structure. */
enum mkv_err {
    MKV_OK = 0,
    MKV_ERR_TOO_SMALL,           /* the drive or the memory cannot hold the least geometry */
    MKV_ERR_TOO_LARGE,           /* a figure is above what the format can hold */
    MKV_ERR_NOT_FORMATTED,       /* no superblock at all: an empty drive */
    MKV_ERR_FOREIGN,             /* the drive belongs to another store */
    MKV_ERR_VERSION,             /* the format is newer than this release */
    MKV_ERR_SHRUNK,              /* the drive is smaller than its superblock says */
    MKV_ERR_DRIVE_IO,            /* the drive failed an operation that must not fail */
    MKV_ERR_STATE,               /* the machine is not in a state for this command */
    MKV_CORRUPT_SUPERBLOCK,      /* superblocks exist, but no two copies agree */
    MKV_CORRUPT_CHECKPOINT_PAGE, /* a page of the checkpoint side in use */
    MKV_CORRUPT_JOURNAL_BLOCK,
    MKV_CORRUPT_JOURNAL_RECORD,
    MKV_CORRUPT_SLOT_HEADER,
    MKV_CORRUPT_PAYLOAD,
};

struct mkv_slot {
    uint32_t index;
};
struct mkv_extent {
    uint32_t index;
};
/* An address on a drive, in units. */
struct mkv_lba {
    uint64_t unit;
};
struct mkv_slab {
    uint32_t index;
};
/* Position of a journal block in the life of a store; starts at 1 and only grows. */
struct mkv_sequence {
    uint64_t value;
};
/* Names one writing of one slot: epoch (24 bits) and a counter (40 bits) that never restarts. */
struct mkv_generation {
    uint64_t value;
};
struct mkv_uuid {
    uint8_t bytes[16];
};
/* XXH3-128 in canonical (big endian) byte order, so that it reads the same everywhere. */
struct mkv_root {
    uint8_t bytes[16];
};
/* Names an operation: an index into a pool and the count of that place's reuse. */
struct mkv_op_id {
    uint32_t index;
    uint32_t generation;
};

/* What is fetched ahead of lookups. Called for several keys before they are looked up, first with
 * one stage for all, then with the next, prefetching lets them wait for memory together. */
enum mkv_prefetch {
    MKV_PREFETCH_BUCKET = 0,
    MKV_PREFETCH_ENTRY, /* the one that the bucket, which is read for it, says it may be */
};
#define MKV_PREFETCH_COUNT 2u

#define MKV_NONE_U32 0xffffffffu
#define MKV_GENERATION_COUNTER_BITS 40u
#define MKV_GENERATION_COUNTER_MAX ((1ull << MKV_GENERATION_COUNTER_BITS) - 1u)
#define MKV_EPOCH_MAX ((1u << 24) - 1u)

/* The tenant every key belongs to as long as a client names none. */
#define MKV_TENANT_DEFAULT 0u
#define MKV_TENANT_DEFAULT_NAME "default"
/* The longest tenant name that a drive keeps. */
#define MKV_TENANT_STORED_NAME_BYTES_MAX 79u

/* Characters of a name before its NUL; one more than there may be where that does not come. */
static inline uint32_t mkv_tenant_name_bytes(const char *name) {
    uint32_t bytes = 0;
    while (bytes <= MKV_TENANT_STORED_NAME_BYTES_MAX && name[bytes] != 0) {
        bytes++;
    }
    return bytes;
}
/* A name has 1 to MKV_TENANT_STORED_NAME_BYTES_MAX characters of A-Z a-z 0-9 . _ - */
static inline bool mkv_tenant_name_is_valid(const char *name, size_t name_bytes) {
    if (name_bytes < 1 || name_bytes > MKV_TENANT_STORED_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t index = 0; index < name_bytes; index++) {
        const char c = name[index];
        const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

static inline uint64_t mkv_min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}
static inline uint64_t mkv_max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}
/* Rounds up to a multiple; `multiple` must not be 0 and the sum must not wrap. */
static inline uint64_t mkv_round_up_u64(uint64_t value, uint64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}
static inline uint64_t mkv_divide_up_u64(uint64_t value, uint64_t divisor) {
    return (value + divisor - 1) / divisor;
}
static inline struct mkv_generation mkv_generation_make(uint32_t epoch, uint64_t counter) {
    return (struct mkv_generation){((uint64_t)epoch << MKV_GENERATION_COUNTER_BITS) | counter};
}
static inline uint64_t mkv_generation_counter(struct mkv_generation generation) {
    return generation.value & MKV_GENERATION_COUNTER_MAX;
}

/* The W3C trace context of a request: https://www.w3.org/TR/trace-context/. All zero: none came. */
struct mkv_trace_context {
    uint8_t trace_id[16];
    uint8_t parent_id[8]; /* the client's span */
    uint8_t flags;        /* bit 0: sampled */
};

#endif
