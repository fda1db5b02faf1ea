/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/directory_rig.h"

#include "core/bytes.h"
#include "tests/unit/core/test.h"

#define SETTLE_STEPS_MAX 4000000u

/* ---- life ------------------------------------------------------------------------------------ */

static struct mkv_slot_table *table_new(uint32_t slots) {
    struct mkv_geometry geometry;
    const struct mkv_geometry_options options = {
        .ring_blocks = 8, .slots_max = slots, .extent_units = 64};
    assert_int_equal(mkv_geometry_plan(65536, &options, &geometry), MKV_OK);
    struct mkv_slot_table *table = NULL;
    assert_int_equal(
        posix_memalign((void **)&table, MKV_UNIT_BYTES, mkv_slot_table_memory_required(&geometry)),
        0);
    mkv_slot_table_init(table, &geometry);
    assert_true(table->slot_total >= slots);
    uint64_t cursor = 0;
    while (!mkv_slot_table_clear(table, &cursor, 1u << 20)) {
    }
    /* As far as the directory looks, every page that is used is of one extent. The others, whose
     * entries hold anything, say that they are live. */
    table->page_high = table->slot_total / MKV_PAGE_SLOTS;
    memset(mkv_slot_table_entry(table, (struct mkv_slot){0}), 0,
           table->slot_total * sizeof(struct mkv_slot_entry));
    const uint32_t pages = (uint32_t)mkv_divide_up_u64(slots, MKV_PAGE_SLOTS);
    for (uint32_t page = 0; page < pages; page++) {
        *mkv_slot_table_page(table, page) = (struct mkv_page_state){0, page};
    }
    mkv_slot_table_extent(table, (struct mkv_extent){0})->slot_count = pages * MKV_PAGE_SLOTS;
    for (uint32_t slot = (uint32_t)mkv_round_up_u64(slots, MKV_PAGE_SLOTS);
         slot < table->slot_total; slot++) {
        mkv_slot_table_entry(table, (struct mkv_slot){slot})->bits = MKV_SLOT_LIVE;
    }
    return table;
}

void dirig_init(struct dirig *rig, const struct dirig_options *options) {
    memset(rig, 0, sizeof *rig);
    rig->config = (struct mkv_directory_config){
        .drive_uuid = sample_uuid(20),
        .region_units = options->region_units,
        .frames_max = options->frames_max,
        .queue_bytes = 16u * 1024u,
        .jobs_max = 3,
        .result_bytes = MKV_DIRECTORY_RESULT_BYTES_MIN,
        .commit_ns = options->commit_ns,
    };
    rig->random.state = options->seed;
    rig->slots = options->slots;
    rig->in_order = 50;
    rig->table = table_new(options->slots);
    rig->blocks = calloc(options->slots, sizeof *rig->blocks);
    rig->durable = calloc(options->region_units, MKV_UNIT_BYTES);
    rig->pending = calloc(DIRIG_PENDING_MAX, sizeof *rig->pending);
    assert_true(rig->blocks != NULL && rig->durable != NULL && rig->pending != NULL);
    rig->sequence = 1;
    rig->memory_bytes = mkv_directory_memory_required(&rig->config);
    assert_int_equal(posix_memalign(&rig->memory, MKV_UNIT_BYTES, rig->memory_bytes), 0);
}

void dirig_free(struct dirig *rig) {
    free(rig->memory);
    free(rig->table);
    free(rig->blocks);
    free(rig->durable);
    free(rig->pending);
}

void dirig_open(struct dirig *rig, uint8_t pattern) {
    memset(rig->memory, pattern, rig->memory_bytes);
    rig->directory = mkv_directory_init(rig->memory, rig->memory_bytes, &rig->config);
    for (uint32_t slot = 0; slot < rig->slots; slot++) {
        struct mkv_slot_entry *entry = mkv_slot_table_entry(rig->table, (struct mkv_slot){slot});
        entry->bits = (uint16_t)(entry->bits & ~MKV_SLOT_UNLISTED);
    }
    mkv_directory_open(rig->directory, (struct mkv_directory_floor){rig->sequence, rig->generation},
                       rig->now_ns);
}

static void apply_write(struct dirig *rig, const struct dirig_pending *write) {
    memcpy(rig->durable + (size_t)write->unit * MKV_UNIT_BYTES, write->bytes, MKV_UNIT_BYTES);
}

static void add_pending(struct dirig *rig, const struct mkv_directory_io *io) {
    assert_true(rig->pending_count < DIRIG_PENDING_MAX);
    struct dirig_pending *write = &rig->pending[rig->pending_count++];
    write->unit = io->unit;
    write->covered = false;
    memcpy(write->bytes, (const uint8_t *)rig->memory + io->memory_offset, MKV_UNIT_BYTES);
}

void dirig_crash(struct dirig *rig) {
    for (uint32_t index = 0; index < rig->in_flight_count; index++) {
        if (rig->in_flight[index].kind == MKV_DIRECTORY_WRITE) {
            add_pending(rig, &rig->in_flight[index]);
        }
    }
    rig->in_flight_count = 0;
    rig->flush_in_flight = false;
    /* Seldom all, seldom none, mostly some. */
    const uint64_t share = sample_random_below(&rig->random, 5);
    for (uint32_t index = 0; index < rig->pending_count; index++) {
        if (share == 4 || sample_random_below(&rig->random, 4) < share) {
            apply_write(rig, &rig->pending[index]);
        }
    }
    rig->pending_count = 0;
}

/* ---- the drive ------------------------------------------------------------------------------- */

static void read_unit(const struct dirig *rig, const struct mkv_directory_io *io) {
    uint8_t *target = (uint8_t *)rig->memory + io->memory_offset;
    memcpy(target, rig->durable + (size_t)io->unit * MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    for (uint32_t index = 0; index < rig->pending_count; index++) {
        if (rig->pending[index].unit == io->unit) {
            memcpy(target, rig->pending[index].bytes, MKV_UNIT_BYTES);
        }
    }
}

static bool fails(const struct dirig *rig, uint64_t number, uint64_t wanted) {
    return wanted != 0 && (number == wanted || (rig->sticky && number > wanted));
}

static void complete_one(struct dirig *rig) {
    const uint32_t picked = sample_random_below(&rig->random, 100) < rig->in_order
                                ? 0
                                : (uint32_t)sample_random_below(&rig->random, rig->in_flight_count);
    const struct mkv_directory_io io = rig->in_flight[picked];
    rig->in_flight_count--;
    memmove(&rig->in_flight[picked], &rig->in_flight[picked + 1],
            (rig->in_flight_count - picked) * sizeof io);
    enum mkv_io_result result = MKV_IO_OK;
    if (io.kind == MKV_DIRECTORY_READ) {
        rig->reads++;
        if (fails(rig, rig->reads, rig->fail_read)) {
            result = MKV_IO_MEDIUM;
        } else {
            read_unit(rig, &io);
        }
    } else {
        rig->writes++;
        if (fails(rig, rig->writes, rig->fail_write) ||
            (rig->bad_unit != 0 && io.unit == rig->bad_unit)) {
            result = MKV_IO_DEVICE;
        } else {
            add_pending(rig, &io);
        }
    }
    mkv_directory_io_done(rig->directory, io.id, result, rig->now_ns);
}

static void complete_flush(struct dirig *rig) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < rig->pending_count; index++) {
        if (rig->pending[index].covered) {
            apply_write(rig, &rig->pending[index]);
        } else {
            if (kept != index) {
                rig->pending[kept] = rig->pending[index];
            }
            kept++;
        }
    }
    rig->pending_count = kept;
    rig->flush_in_flight = false;
    rig->flushes++;
    mkv_directory_flush_done(rig->directory);
}

static void take_ios(struct dirig *rig) {
    struct mkv_directory_io io;
    while (mkv_directory_take_io(rig->directory, &io)) {
        if (io.kind == MKV_DIRECTORY_FLUSH) {
            assert_false(rig->flush_in_flight);
            rig->flush_in_flight = true;
            for (uint32_t index = 0; index < rig->pending_count; index++) {
                rig->pending[index].covered = true;
            }
            continue;
        }
        assert_true(io.unit < rig->config.region_units);
        assert_true(rig->in_flight_count < MKV_DIRECTORY_IO_MAX);
        rig->in_flight[rig->in_flight_count++] = io;
    }
}

static void serve_catch_up(struct dirig *rig) {
    struct mkv_slot slot;
    while (mkv_directory_take_catch_up(rig->directory, rig->table, &slot)) {
        const struct dirig_block *block = &rig->blocks[slot.index];
        assert_true(block->live);
        rig->catch_ups++;
        if (rig->headers_unreadable) {
            mkv_directory_catch_up_failed(rig->directory);
            continue;
        }
        const struct mkv_directory_value value = {slot, block->generation_low, block->length_units,
                                                  block->block_flags};
        mkv_directory_catch_up_done(rig->directory, block->tenant, block->key, block->key_bytes,
                                    &value);
    }
}

void dirig_step(struct dirig *rig) {
    struct mkv_directory_event event;
    mkv_directory_pump(rig->directory, rig->table, rig->now_ns);
    while (mkv_directory_take_event(rig->directory, &event)) {
        rig->events[event.kind]++;
    }
    serve_catch_up(rig);
    take_ios(rig);
    const uint64_t completions = sample_random_below(&rig->random, 4);
    for (uint64_t index = 0; index < completions && rig->in_flight_count > 0; index++) {
        complete_one(rig);
    }
    if (rig->flush_in_flight && sample_random_below(&rig->random, 2) == 0) {
        complete_flush(rig);
    }
    rig->now_ns += 1000;
}

static bool is_idle(const struct dirig *rig) {
    return rig->in_flight_count == 0 && !rig->flush_in_flight &&
           !mkv_directory_has_work(rig->directory);
}

void dirig_settle(struct dirig *rig) {
    uint32_t idle = 0;
    for (uint32_t step = 0; step < SETTLE_STEPS_MAX && idle < 4; step++) {
        dirig_step(rig);
        if (is_idle(rig)) {
            idle++;
            rig->now_ns += rig->config.commit_ns + 1;
        } else {
            idle = 0;
        }
    }
    assert_int_equal(idle, 4);
}

void dirig_close(struct dirig *rig) {
    mkv_directory_close_begin(rig->directory);
    for (uint32_t step = 0; step < SETTLE_STEPS_MAX; step++) {
        if (mkv_directory_close_done(rig->directory)) {
            assert_int_equal(rig->in_flight_count, 0);
            return;
        }
        dirig_step(rig);
    }
    fail();
}

/* ---- blocks ---------------------------------------------------------------------------------- */

uint32_t dirig_find(const struct dirig *rig, uint32_t tenant, const void *key, uint32_t key_bytes) {
    for (uint32_t slot = 0; slot < rig->slots; slot++) {
        const struct dirig_block *block = &rig->blocks[slot];
        if (block->live && block->tenant == tenant && block->key_bytes == key_bytes &&
            memcmp(block->key, key, key_bytes) == 0) {
            return slot;
        }
    }
    return MKV_NONE_U32;
}

static void note_floor(struct dirig *rig) {
    rig->sequence++;
    mkv_directory_note_floor(rig->directory,
                             (struct mkv_directory_floor){rig->sequence, rig->generation});
}

void dirig_drop_slot(struct dirig *rig, uint32_t slot, bool tell) {
    struct dirig_block *block = &rig->blocks[slot];
    assert_true(block->live);
    mkv_directory_note_drop(rig->directory, rig->table, (struct mkv_slot){slot}, block->tenant,
                            tell ? block->key : NULL, block->key_bytes);
    struct mkv_slot_entry *entry = mkv_slot_table_entry(rig->table, (struct mkv_slot){slot});
    assert_int_equal(entry->bits & MKV_SLOT_UNLISTED, 0);
    memset(entry, 0, sizeof *entry);
    rig->table->live_count--;
    rig->live_count--;
    block->live = false;
}

bool dirig_drop(struct dirig *rig, uint32_t tenant, const void *key, uint32_t key_bytes,
                bool tell) {
    const uint32_t slot = dirig_find(rig, tenant, key, key_bytes);
    if (slot == MKV_NONE_U32) {
        return false;
    }
    dirig_drop_slot(rig, slot, tell);
    note_floor(rig);
    return true;
}

bool dirig_put(struct dirig *rig, uint32_t tenant, const void *key, uint32_t key_bytes,
               uint32_t flags) {
    const uint32_t old = dirig_find(rig, tenant, key, key_bytes);
    if (old != MKV_NONE_U32) {
        dirig_drop_slot(rig, old, sample_random_below(&rig->random, 2) == 0);
    }
    if (rig->live_count == rig->slots) {
        return false;
    }
    uint32_t slot = rig->free_hint;
    while (rig->blocks[slot].live) {
        slot = slot + 1 == rig->slots ? 0 : slot + 1;
    }
    rig->free_hint = slot;
    rig->generation++;
    struct dirig_block *block = &rig->blocks[slot];
    block->tenant = tenant;
    block->key_bytes = key_bytes;
    memcpy(block->key, key, key_bytes);
    block->generation_low = (uint32_t)rig->generation;
    block->length_units = (uint32_t)(rig->generation % 8193);
    block->block_flags = flags;
    block->live = true;
    struct mkv_slot_entry *entry = mkv_slot_table_entry(rig->table, (struct mkv_slot){slot});
    memset(entry, 0, sizeof *entry);
    entry->bits = MKV_SLOT_LIVE;
    entry->tenant = tenant;
    entry->generation_low = block->generation_low;
    rig->table->live_count++;
    rig->live_count++;
    const struct mkv_directory_value value = {
        {slot}, block->generation_low, block->length_units, flags};
    mkv_directory_note_put(rig->directory, rig->table, tenant, key, key_bytes, &value);
    note_floor(rig);
    return true;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int compare_blocks(const struct dirig_block *a, const struct dirig_block *b) {
    const uint32_t common = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
    const int order = memcmp(a->key, b->key, common);
    return order != 0 ? order : (int)a->key_bytes - (int)b->key_bytes;
}

uint32_t dirig_expected(const struct dirig *rig, uint32_t tenant, const void *prefix,
                        uint32_t prefix_bytes, bool segments, uint32_t *slots) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < rig->slots; slot++) {
        const struct dirig_block *block = &rig->blocks[slot];
        if (!block->live || block->tenant != tenant || block->key_bytes < prefix_bytes ||
            memcmp(block->key, prefix, prefix_bytes) != 0 ||
            (!segments && (block->block_flags & MKV_BLOCK_SEGMENT) != 0)) {
            continue;
        }
        uint32_t at = count++;
        for (; at > 0 && compare_blocks(block, &rig->blocks[slots[at - 1]]) < 0; at--) {
            slots[at] = slots[at - 1];
        }
        slots[at] = slot;
    }
    return count;
}

struct mkv_directory_result dirig_query(struct dirig *rig,
                                        const struct mkv_directory_query *query) {
    uint32_t job;
    struct mkv_directory_result result;
    assert_true(mkv_directory_job_begin(rig->directory, query, &job));
    for (uint32_t step = 0; step < SETTLE_STEPS_MAX; step++) {
        dirig_step(rig);
        if (mkv_directory_take_result(rig->directory, &result)) {
            assert_int_equal(result.job, job);
            return result;
        }
    }
    fail();
    return result;
}

static void check_entry(const struct dirig *rig, const uint8_t *entry, uint32_t slot) {
    const struct dirig_block *block = &rig->blocks[slot];
    assert_int_equal(mkv_load_u32(entry), slot);
    assert_int_equal(mkv_load_u32(entry + 4), block->generation_low);
    assert_int_equal(mkv_load_u16(entry + 8), block->length_units);
    assert_int_equal(mkv_load_u16(entry + 10), block->block_flags);
    assert_int_equal(mkv_load_u16(entry + 12), block->key_bytes);
    assert_memory_equal(entry + MKV_DIRECTORY_RESULT_ENTRY_BYTES, block->key, block->key_bytes);
}

enum mkv_status dirig_check_scan(struct dirig *rig, uint32_t tenant, const void *prefix,
                                 uint32_t prefix_bytes, uint32_t batch) {
    static uint32_t slots[DIRIG_KEYS_MAX];
    const uint32_t count = dirig_expected(rig, tenant, prefix, prefix_bytes, false, slots);
    struct mkv_directory_query query = {
        .kind = MKV_DIRECTORY_SCAN,
        .tenant = tenant,
        .prefix = prefix,
        .prefix_bytes = prefix_bytes,
        .count_max = batch,
    };
    uint32_t seen = 0;
    for (;;) {
        const struct mkv_directory_result result = dirig_query(rig, &query);
        if (result.status != MKV_STATUS_OK) {
            return result.status;
        }
        const uint8_t *entry = (const uint8_t *)rig->memory + result.data_offset;
        assert_true(result.batch_count <= batch);
        assert_true(seen + result.batch_count <= count);
        for (uint32_t index = 0; index < result.batch_count; index++) {
            check_entry(rig, entry, slots[seen++]);
            entry += MKV_DIRECTORY_RESULT_ENTRY_BYTES + mkv_load_u16(entry + 12);
        }
        assert_int_equal(entry - ((const uint8_t *)rig->memory + result.data_offset),
                         result.data_bytes);
        assert_true(result.more == (seen < count));
        if (!result.more) {
            return MKV_STATUS_OK;
        }
        const struct dirig_block *last = &rig->blocks[slots[seen - 1]];
        query.after = last->key;
        query.after_bytes = last->key_bytes;
    }
}

struct mkv_directory_stats dirig_stats(const struct dirig *rig) {
    struct mkv_directory_stats stats;
    mkv_directory_stats(rig->directory, rig->table, &stats);
    return stats;
}
