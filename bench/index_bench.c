/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills an index with random 20-byte keys, looks them up in random order, and prints what it took
 * as lines of JSON. bench/index runs the two sides in turns.
 *
 *   index_bench table ENTRIES GETS auto|off     the slot table, on huge pages or on ordinary ones
 *   index_bench lmdb ENTRIES GETS DIRECTORY     LMDB with 28-byte values, in files of DIRECTORY
 *
 * Both sides make their keys the same way as they go, so that no list of keys takes part in what is
 * measured, and check every answer. Keys are made 32 at a time, as a frame brings them: one that is
 * hashed in the moment it was stored would have the processor wait until all loads before it have
 * ended, which no lookup in a daemon does. They are asked for singly all the same; "one after the
 * other" makes each next key from the answer before, so that nothing can overlap.
 *
 * The table finds a key by its tag, as a volume does; the key itself is compared only when the slot
 * is read. LMDB gets what helps it: one transaction over all gets, no sync, a writable map, and no
 * lock table.
 */
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/memory_map.h"
#include "core/hash.h"
#include "core/slot_table.h"

#define KEY_BYTES 20u
#define VALUE_BYTES 28u
#define PAYLOAD_BYTES 4096u
#define SLOT_UNITS 2u
#define PUTS_PER_TRANSACTION 100000u
/* Keys of one LOOKUP. */
#define BATCH 32u

static void fail(const char *what, const char *why) {
    fprintf(stderr, "index_bench: %s: %s\n", what, why);
    exit(1);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t value) {
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* Keys below the count of entries are there, those above it are not. */
static void make_key(uint64_t number, uint8_t key[KEY_BYTES]) {
    const uint64_t parts[3] = {mix(number), mix(number ^ 0x5555555555555555u), number};
    memcpy(key, parts, KEY_BYTES);
}

static uint64_t next_number(uint64_t *state, uint64_t first, uint64_t count) {
    *state = mix(*state);
    return first + (uint64_t)(((unsigned __int128)*state * count) >> 64);
}

/* Keys that are asked for, and their numbers. */
struct batch {
    uint64_t numbers[BATCH];
    uint8_t keys[BATCH][KEY_BYTES];
};

static void make_batch(struct batch *batch, uint64_t *state, uint64_t first, uint64_t count) {
    for (uint32_t index = 0; index < BATCH; index++) {
        batch->numbers[index] = next_number(state, first, count);
        make_key(batch->numbers[index], batch->keys[index]);
    }
}

static void report(const char *op, uint64_t count, uint64_t begin_ns) {
    const double seconds = (double)(mkv_clock_monotonic_ns() - begin_ns) / 1e9;
    printf("{\"op\": \"%s\", \"million_per_s\": %.4f}\n", op, (double)count / seconds / 1e6);
}

static uint64_t resident_bytes(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%*u %lu", &pages) != 1) {
        fail("/proc/self/statm", "cannot be read");
    }
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- the slot table -------------------------------------------------------------------------- */

struct table_side {
    struct mkv_memory_map map;
    struct mkv_slot_table *table;
    uint32_t entries;
};

/* A drive that has room for the entries, and as few slots more as there must be: an extent's last
 * page is filled in part. */
static struct mkv_geometry geometry_for(uint32_t entries) {
    struct mkv_geometry geometry;
    uint64_t capacity_units = (uint64_t)entries * SLOT_UNITS + entries / 16 + 65536;
    struct mkv_geometry_options options = {.ring_blocks = 64};
    options.directory_units = 64;
    options.slots_max = entries + entries / 128 + 512 * MKV_PAGE_SLOTS;
    if (mkv_geometry_plan(capacity_units, &options, &geometry) != MKV_OK) {
        fail("a drive for so many entries", "cannot be laid out");
    }
    return geometry;
}

static void table_fill(struct table_side *side) {
    struct mkv_slot_table *table = side->table;
    for (uint32_t number = 0; number < side->entries; number++) {
        uint8_t key[KEY_BYTES];
        make_key(number, key);
        struct mkv_record_put put = {
            .tag = mkv_key_tag(MKV_TENANT_DEFAULT, key, KEY_BYTES),
            .tenant = MKV_TENANT_DEFAULT,
            .generation = mkv_generation_make(1, number),
            .length = PAYLOAD_BYTES,
        };
        while (!mkv_slot_table_reserve(table, SLOT_UNITS, &put.slot)) {
            struct mkv_record_extent record;
            if (!mkv_slot_table_plan_extent(table, SLOT_UNITS, &record)) {
                fail("the table", "is full too early");
            }
            mkv_slot_table_apply_extent(table, &record);
        }
        mkv_slot_table_apply_put(table, &put);
    }
}

static uint32_t stored_number(const struct table_side *side, struct mkv_slot slot) {
    return mkv_slot_table_entry(side->table, slot)->generation_low;
}

static void check_found(const struct table_side *side, struct mkv_slot slot, uint64_t number) {
    const bool there = slot.index != MKV_NONE_U32;
    if (there != (number < side->entries) ||
        (there && stored_number(side, slot) != (uint32_t)number)) {
        fail("a lookup", "gave a wrong answer");
    }
}

static void table_get(const struct table_side *side, uint64_t first, uint32_t gets) {
    uint64_t state = 1;
    for (uint32_t get = 0; get < gets; get += BATCH) {
        struct batch batch;
        make_batch(&batch, &state, first, side->entries);
        for (uint32_t index = 0; index < BATCH; index++) {
            const uint64_t tag = mkv_key_tag(MKV_TENANT_DEFAULT, batch.keys[index], KEY_BYTES);
            check_found(side, mkv_slot_table_find(side->table, MKV_TENANT_DEFAULT, tag),
                        batch.numbers[index]);
        }
    }
}

static void table_get_serial(const struct table_side *side, uint32_t gets) {
    uint64_t state = 1;
    for (uint32_t get = 0; get < gets; get++) {
        const uint64_t number = next_number(&state, 0, side->entries);
        uint8_t key[KEY_BYTES];
        make_key(number, key);
        const uint64_t tag = mkv_key_tag(MKV_TENANT_DEFAULT, key, KEY_BYTES);
        const struct mkv_slot slot = mkv_slot_table_find(side->table, MKV_TENANT_DEFAULT, tag);
        check_found(side, slot, number);
        state += stored_number(side, slot);
    }
}

/* As a LOOKUP asks for many keys: all are hashed and prefetched, then looked up. */
static void table_get_many(const struct table_side *side, uint64_t first, uint32_t gets) {
    uint64_t state = 1;
    for (uint32_t get = 0; get < gets; get += BATCH) {
        struct batch batch;
        uint64_t tags[BATCH];
        make_batch(&batch, &state, first, side->entries);
        for (uint32_t index = 0; index < BATCH; index++) {
            tags[index] = mkv_key_tag(MKV_TENANT_DEFAULT, batch.keys[index], KEY_BYTES);
            mkv_slot_table_prefetch(side->table, tags[index], MKV_PREFETCH_BUCKET);
        }
        for (uint32_t index = 0; index < BATCH; index++) {
            mkv_slot_table_prefetch(side->table, tags[index], MKV_PREFETCH_ENTRY);
        }
        for (uint32_t index = 0; index < BATCH; index++) {
            check_found(side, mkv_slot_table_find(side->table, MKV_TENANT_DEFAULT, tags[index]),
                        batch.numbers[index]);
        }
    }
}

static void table_run(uint32_t entries, uint32_t gets, enum mkv_hugepages hugepages) {
    const struct mkv_geometry geometry = geometry_for(entries);
    struct table_side side = {.entries = entries};
    struct mkv_backend_error error;
    const size_t bytes = mkv_slot_table_memory_required(&geometry);
    const uint64_t resident_before = resident_bytes();
    if (!mkv_memory_map(bytes, hugepages, "index_bench", &side.map, &error)) {
        fail("memory", error.text);
    }
    side.table = (struct mkv_slot_table *)(void *)side.map.base;
    mkv_slot_table_init(side.table, &geometry);
    uint64_t cursor = 0;
    while (!mkv_slot_table_clear(side.table, &cursor, MKV_GIB)) {
        continue;
    }
    uint64_t begin_ns = mkv_clock_monotonic_ns();
    table_fill(&side);
    report("insert", entries, begin_ns);
    const uint64_t resident = resident_bytes() - resident_before;
    begin_ns = mkv_clock_monotonic_ns();
    table_get(&side, 0, gets);
    report("get", gets, begin_ns);
    begin_ns = mkv_clock_monotonic_ns();
    table_get(&side, entries, gets);
    report("get of an absent key", gets, begin_ns);
    begin_ns = mkv_clock_monotonic_ns();
    table_get_serial(&side, gets);
    report("get, one after the other", gets, begin_ns);
    begin_ns = mkv_clock_monotonic_ns();
    table_get_many(&side, 0, gets);
    report("get, 32 keys at a time", gets, begin_ns);
    begin_ns = mkv_clock_monotonic_ns();
    table_get_many(&side, entries, gets);
    report("get of absent keys, 32 at a time", gets, begin_ns);
    printf("{\"op\": \"memory\", \"bytes_per_entry\": %.2f, \"bytes_per_slot\": %.2f, "
           "\"huge_pages\": %s}\n",
           (double)resident / entries, (double)bytes / side.table->slot_total,
           side.map.huge ? "true" : "false");
    mkv_memory_unmap(&side.map);
}

/* ---- LMDB ------------------------------------------------------------------------------------ */

struct lmdb_side {
    MDB_env *env;
    MDB_dbi dbi;
    uint32_t entries;
};

static void must(int result, const char *what) {
    if (result != MDB_SUCCESS) {
        fail(what, mdb_strerror(result));
    }
}

static void lmdb_open(struct lmdb_side *side, const char *directory) {
    must(mdb_env_create(&side->env), "mdb_env_create");
    must(mdb_env_set_mapsize(side->env, (size_t)side->entries * 192 + 64 * MKV_MIB),
         "mdb_env_set_mapsize");
    must(mdb_env_open(side->env, directory, MDB_NORDAHEAD | MDB_NOSYNC | MDB_WRITEMAP | MDB_NOLOCK,
                      0600),
         directory);
    MDB_txn *txn;
    must(mdb_txn_begin(side->env, NULL, 0, &txn), "mdb_txn_begin");
    must(mdb_dbi_open(txn, NULL, 0, &side->dbi), "mdb_dbi_open");
    must(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void lmdb_fill(struct lmdb_side *side) {
    MDB_txn *txn = NULL;
    for (uint32_t number = 0; number < side->entries; number++) {
        if (number % PUTS_PER_TRANSACTION == 0) {
            if (txn != NULL) {
                must(mdb_txn_commit(txn), "mdb_txn_commit");
            }
            must(mdb_txn_begin(side->env, NULL, 0, &txn), "mdb_txn_begin");
        }
        uint8_t key[KEY_BYTES];
        uint8_t value[VALUE_BYTES] = {0};
        make_key(number, key);
        memcpy(value, &number, sizeof number);
        MDB_val key_val = {KEY_BYTES, key};
        MDB_val value_val = {VALUE_BYTES, value};
        must(mdb_put(txn, side->dbi, &key_val, &value_val, MDB_NOOVERWRITE), "mdb_put");
    }
    must(mdb_txn_commit(txn), "mdb_txn_commit");
}

/* Checks an answer and returns the number that was stored, or 0. */
static uint32_t check_got(const struct lmdb_side *side, int result, const MDB_val *value,
                          uint64_t number) {
    const bool there = result == MDB_SUCCESS;
    uint32_t stored = 0;
    if (there) {
        memcpy(&stored, value->mv_data, sizeof stored);
    }
    if (there != (number < side->entries) || (there && stored != (uint32_t)number)) {
        fail("mdb_get", "gave a wrong answer");
    }
    return stored;
}

static void lmdb_get(struct lmdb_side *side, uint64_t first, uint32_t gets) {
    MDB_txn *txn;
    must(mdb_txn_begin(side->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    uint64_t state = 1;
    for (uint32_t get = 0; get < gets; get += BATCH) {
        struct batch batch;
        make_batch(&batch, &state, first, side->entries);
        for (uint32_t index = 0; index < BATCH; index++) {
            MDB_val key_val = {KEY_BYTES, batch.keys[index]};
            MDB_val value;
            const int result = mdb_get(txn, side->dbi, &key_val, &value);
            check_got(side, result, &value, batch.numbers[index]);
        }
    }
    mdb_txn_abort(txn);
}

static void lmdb_get_serial(struct lmdb_side *side, uint32_t gets) {
    MDB_txn *txn;
    must(mdb_txn_begin(side->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    uint64_t state = 1;
    for (uint32_t get = 0; get < gets; get++) {
        const uint64_t number = next_number(&state, 0, side->entries);
        uint8_t key[KEY_BYTES];
        make_key(number, key);
        MDB_val key_val = {KEY_BYTES, key};
        MDB_val value;
        const int result = mdb_get(txn, side->dbi, &key_val, &value);
        state += check_got(side, result, &value, number);
    }
    mdb_txn_abort(txn);
}

static void lmdb_run(uint32_t entries, uint32_t gets, const char *directory) {
    struct lmdb_side side = {.entries = entries};
    lmdb_open(&side, directory);
    uint64_t begin_ns = mkv_clock_monotonic_ns();
    lmdb_fill(&side);
    report("insert", entries, begin_ns);
    begin_ns = mkv_clock_monotonic_ns();
    lmdb_get(&side, 0, gets);
    report("get", gets, begin_ns);
    begin_ns = mkv_clock_monotonic_ns();
    lmdb_get(&side, entries, gets);
    report("get of an absent key", gets, begin_ns);
    begin_ns = mkv_clock_monotonic_ns();
    lmdb_get_serial(&side, gets);
    report("get, one after the other", gets, begin_ns);
    MDB_envinfo info;
    MDB_stat stat;
    must(mdb_env_info(side.env, &info), "mdb_env_info");
    must(mdb_env_stat(side.env, &stat), "mdb_env_stat");
    const double bytes = (double)(info.me_last_pgno + 1) * stat.ms_psize;
    printf("{\"op\": \"memory\", \"bytes_per_entry\": %.2f}\n", bytes / entries);
    mdb_env_close(side.env);
}

int main(int argc, char **argv) {
    const bool table = argc == 5 && strcmp(argv[1], "table") == 0;
    if (!table && (argc != 5 || strcmp(argv[1], "lmdb") != 0)) {
        fprintf(stderr, "usage: index_bench table ENTRIES GETS auto|off\n"
                        "       index_bench lmdb ENTRIES GETS DIRECTORY\n");
        return 2;
    }
    const uint32_t entries = (uint32_t)strtoul(argv[2], NULL, 10);
    const uint32_t gets = (uint32_t)strtoul(argv[3], NULL, 10);
    if (entries < 1000 || entries > 1u << 28 || gets == 0 || gets % BATCH != 0) {
        fail("arguments", "1,000 to 268,435,456 entries, and gets in multiples of 32");
    }
    if (table) {
        table_run(entries, gets,
                  strcmp(argv[4], "off") == 0 ? MKV_HUGEPAGES_OFF : MKV_HUGEPAGES_AUTO);
    } else {
        lmdb_run(entries, gets, argv[4]);
    }
    return 0;
}
