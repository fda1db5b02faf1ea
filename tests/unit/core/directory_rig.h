/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory with a slot table, a region that forgets what was not flushed, and a model of what is
 * live: for the tests of the machine.
 *
 * The region keeps for every unit the durable content and the writes since the last flush. A crash
 * lets any of these stand. Faults are by count: the n-th read or write from now on fails, or the
 * content of a unit is changed behind the directory's back.
 *
 * Not responsible for: deciding what is right (the tests compare with the model).
 */
#ifndef MKV_TESTS_UNIT_CORE_DIRECTORY_RIG_H
#define MKV_TESTS_UNIT_CORE_DIRECTORY_RIG_H

#include "core/directory.h"
#include "tests/unit/core/samples.h"

#define DIRIG_PENDING_MAX 4096u
#define DIRIG_KEYS_MAX 8192u

struct dirig_pending {
    uint32_t unit;
    bool covered; /* complete when the flush in flight was issued */
    uint8_t bytes[MKV_UNIT_BYTES];
};
struct dirig_block {
    uint32_t tenant;
    uint32_t key_bytes;
    uint8_t key[MKV_KEY_BYTES_MAX];
    uint32_t generation_low;
    uint32_t length_units;
    uint32_t block_flags;
    bool live;
};

struct dirig_options {
    uint32_t region_units;
    uint32_t frames_max;
    uint32_t slots; /* at most DIRIG_KEYS_MAX; rounded up to pages */
    uint64_t commit_ns;
    uint64_t seed;
};

struct dirig {
    struct mkv_directory_config config;
    struct mkv_directory *directory;
    void *memory;
    size_t memory_bytes;
    struct mkv_slot_table *table;
    struct dirig_block *blocks; /* by slot */
    uint32_t slots;
    uint32_t live_count;
    uint32_t free_hint;
    uint64_t generation;
    uint64_t sequence;
    uint64_t now_ns;
    struct sample_random random;

    uint8_t *durable; /* the region */
    struct dirig_pending *pending;
    uint32_t pending_count;
    struct mkv_directory_io in_flight[MKV_DIRECTORY_IO_MAX];
    uint32_t in_flight_count;
    bool flush_in_flight;
    bool flush_ready; /* no write is in flight that the flush was to wait for */

    uint64_t reads, writes, flushes;
    uint64_t fail_read; /* the read with this number fails; 0 none */
    uint64_t fail_write;
    bool sticky;       /* and so do all after it */
    uint32_t bad_unit; /* every write of it fails; 0 none */
    bool headers_unreadable;
    uint32_t events[MKV_DIRECTORY_EVENT_COUNT];
    uint64_t catch_ups;
    uint32_t in_order; /* percent of completions that come in order */
};

void dirig_init(struct dirig *rig, const struct dirig_options *options);
void dirig_free(struct dirig *rig);
/* Opens a directory on fresh memory, filled with `pattern`, over what is durable. */
void dirig_open(struct dirig *rig, uint8_t pattern);
/* Closes in order. */
void dirig_close(struct dirig *rig);
/* The process dies: of the writes since the last flush any may stand, in any version. */
void dirig_crash(struct dirig *rig);

/* One call of the pump, and some completions. */
void dirig_step(struct dirig *rig);
/* Until there is nothing left to do; time passes, so that commits happen. */
void dirig_settle(struct dirig *rig);

bool dirig_put(struct dirig *rig, uint32_t tenant, const void *key, uint32_t key_bytes,
               uint32_t flags);
/* False when no such key is live. With `tell` the directory learns the key. */
bool dirig_drop(struct dirig *rig, uint32_t tenant, const void *key, uint32_t key_bytes, bool tell);
void dirig_drop_slot(struct dirig *rig, uint32_t slot, bool tell);
/* The slot that holds a key, or MKV_NONE_U32. */
uint32_t dirig_find(const struct dirig *rig, uint32_t tenant, const void *key, uint32_t key_bytes);

/* The slots of the blocks with this prefix, in the order of their keys; segments only if wanted. */
uint32_t dirig_expected(const struct dirig *rig, uint32_t tenant, const void *prefix,
                        uint32_t prefix_bytes, bool segments, uint32_t *slots);
/* Runs a job to its result. */
struct mkv_directory_result dirig_query(struct dirig *rig, const struct mkv_directory_query *query);
/* Scans in batches and compares with the model; returns the status of the last batch. */
enum mkv_status dirig_check_scan(struct dirig *rig, uint32_t tenant, const void *prefix,
                                 uint32_t prefix_bytes, uint32_t batch);
struct mkv_directory_stats dirig_stats(const struct dirig *rig);

#endif
