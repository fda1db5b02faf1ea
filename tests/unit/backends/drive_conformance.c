/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/drive_conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#include "core/hash.h"
#include "core/slab.h"
#include "core/slot_header.h"

/* Of a wait for one completion: far more than any drive needs. */
#define POLLS_MAX 100000u

#define SLAB_SOURCE ((struct mkv_slab){0})
#define SLAB_TARGET ((struct mkv_slab){512})

/* ---- submitting and waiting ----------------------------------------------------------------- */

struct observation {
    struct drive_conformance_done done;
    uint32_t count;
};

static void observe(void *context, const struct mkv_drive_done *done) {
    struct observation *observation = context;
    observation->count++;
    observation->done.op = done->op;
    observation->done.result = done->result;
    observation->done.header = done->header;
    observation->done.sum_count = done->sum_count;
    assert_true(done->sum_count <= MKV_CHUNKS_MAX);
    if (done->sum_count > 0) {
        memcpy(observation->done.sums, done->sums, done->sum_count * sizeof done->sums[0]);
    }
}

void drive_conformance_drain(struct drive_conformance *target) {
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(target->drive) > 0; i++) {
        target->poll(target->context);
    }
    assert_int_equal(mkv_drive_in_flight(target->drive), 0);
}

/* All effects are completed, and what the drive does for itself comes to an end. */
static void assert_idle(struct drive_conformance *target) {
    assert_int_equal(target->drive->counters.in_flight, 0);
    drive_conformance_drain(target);
}

struct drive_conformance_done drive_conformance_run(struct drive_conformance *target,
                                                    const struct mkv_effect *effect) {
    struct observation observation = {0};
    target->drive->complete = observe;
    target->drive->complete_context = &observation;
    mkv_drive_submit(target->drive, effect);
    for (uint32_t i = 0; i < POLLS_MAX && observation.count == 0; i++) {
        target->poll(target->context);
    }
    assert_int_equal(observation.count, 1);
    assert_int_equal(observation.done.op.index, effect->op.index);
    assert_int_equal(observation.done.op.generation, effect->op.generation);
    assert_idle(target);
    return observation.done;
}

uint8_t *drive_conformance_slab(const struct drive_conformance *target, struct mkv_slab slab) {
    return target->slabs + (uint64_t)slab.index * MKV_SLAB_UNIT_STRIDE_BYTES;
}

struct mkv_effect drive_conformance_meta(enum mkv_effect_kind kind, uint64_t lba_unit,
                                         uint32_t unit_count, uint64_t meta_offset) {
    return (struct mkv_effect){
        .kind = kind,
        .op = {17, 3},
        .drive = {.memory = MKV_DRIVE_META,
                  .lba = {lba_unit},
                  .unit_count = unit_count,
                  .meta_offset = meta_offset},
    };
}

/* The header unit of a slot write lies at the start of the metadata. */
static struct mkv_effect slot_effect(enum mkv_effect_kind kind, struct mkv_slab slab,
                                     uint64_t lba_unit, uint32_t unit_count,
                                     uint32_t payload_bytes) {
    return (struct mkv_effect){
        .kind = kind,
        .op = {18, 4},
        .drive = {.memory = MKV_DRIVE_SLOT,
                  .lba = {lba_unit},
                  .unit_count = unit_count,
                  .slab = slab,
                  .payload_bytes = payload_bytes},
    };
}

static struct mkv_effect trim_effect(uint64_t lba_unit, uint32_t unit_count) {
    return (struct mkv_effect){
        .kind = MKV_EFFECT_DRIVE_TRIM,
        .op = {19, 5},
        .drive = {.lba = {lba_unit}, .unit_count = unit_count},
    };
}

static void run_good(struct drive_conformance *target, struct mkv_effect effect) {
    struct drive_conformance_done done = drive_conformance_run(target, &effect);
    assert_int_equal(done.result, MKV_IO_OK);
}

/* ---- content -------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *random) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random >> 16;
}

static void fill(uint8_t *bytes, size_t byte_count, uint64_t seed) {
    uint64_t random = seed;
    for (size_t i = 0; i < byte_count; i++) {
        bytes[i] = (uint8_t)next_random(&random);
    }
}

/* Fills the slab's payload area and everything behind it up to whole units with bytes that are not
 * zero, puts the header of a block of `length` bytes at the start of the metadata, and returns the
 * chunk sums. */
static uint32_t make_block(struct drive_conformance *target, struct mkv_slab slab, uint32_t length,
                           uint64_t seed, uint64_t sums[MKV_CHUNKS_MAX]) {
    uint8_t *payload = drive_conformance_slab(target, slab) + MKV_UNIT_BYTES;
    uint64_t area_bytes = mkv_round_up_u64(length, MKV_UNIT_BYTES);
    fill(payload, length, seed);
    memset(payload + length, 0xee, area_bytes - length);
    mkv_chunk_sums(payload, length, sums);
    uint32_t count = mkv_chunk_count(length);
    uint8_t sum_bytes[MKV_CHUNKS_MAX * 8];
    for (uint32_t i = 0; i < count * 8; i++) {
        sum_bytes[i] = (uint8_t)(sums[i / 8] >> (8 * (i % 8)));
    }
    struct mkv_slot_header header = {
        .slot = {7},
        .tenant = MKV_TENANT_DEFAULT,
        .generation = mkv_generation_make(1, seed + 1),
        .length = length,
        .root = mkv_root_of_sums(length, sums),
        .key_bytes = 5,
        .key = (const uint8_t *)"a key",
        .sums = sum_bytes,
    };
    mkv_slot_header_encode(&header, target->meta);
    return count;
}

/* Writes a block from one slab, reads it into another, and compares all that there is to compare.
 */
static void write_and_read_block(struct drive_conformance *target, uint64_t lba_unit,
                                 uint32_t length) {
    uint64_t sums[MKV_CHUNKS_MAX];
    uint32_t sum_count = make_block(target, SLAB_SOURCE, length, length + 1u, sums);
    uint32_t units = mkv_slot_content_units(length);
    const uint8_t *source = drive_conformance_slab(target, SLAB_SOURCE);
    uint8_t *read = drive_conformance_slab(target, SLAB_TARGET);
    memset(read, 0xaa, (size_t)units * MKV_UNIT_BYTES);

    struct mkv_effect write =
        slot_effect(MKV_EFFECT_DRIVE_WRITE, SLAB_SOURCE, lba_unit, units, length);
    struct drive_conformance_done written = drive_conformance_run(target, &write);
    assert_int_equal(written.result, MKV_IO_OK);
    assert_null(written.header);
    assert_int_equal(written.sum_count, 0);

    struct mkv_effect effect = slot_effect(MKV_EFFECT_DRIVE_READ, SLAB_TARGET, lba_unit, units, 0);
    struct drive_conformance_done done = drive_conformance_run(target, &effect);
    assert_int_equal(done.result, MKV_IO_OK);
    assert_ptr_equal(done.header, read);
    assert_int_equal(done.sum_count, sum_count);
    assert_memory_equal(done.sums, sums, sum_count * sizeof sums[0]);
    assert_memory_equal(read + MKV_UNIT_BYTES, source + MKV_UNIT_BYTES, length);
    struct mkv_slot_header header;
    assert_int_equal(mkv_slot_header_decode(done.header, &header), MKV_OK);
    assert_int_equal(header.length, length);
    assert_int_equal(header.key_bytes, 5);
}

/* ---- memory of all three kinds -------------------------------------------------------------- */

void test_drive__metadata_written__reads_back_the_same(void **state) {
    struct drive_conformance *target = *state;
    static const uint32_t unit_counts[] = {1, 2, 3, 64, 255};
    for (size_t i = 0; i < sizeof unit_counts / sizeof unit_counts[0]; i++) {
        uint32_t units = unit_counts[i];
        uint64_t bytes = (uint64_t)units * MKV_UNIT_BYTES;
        uint64_t other = 256 * MKV_UNIT_BYTES;
        fill(target->meta, bytes, units);
        memset(target->meta + other, 0x55, bytes + MKV_UNIT_BYTES);
        run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 10, units, 0));
        struct mkv_effect read =
            drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 10, units, 256 * MKV_UNIT_BYTES);
        struct drive_conformance_done done = drive_conformance_run(target, &read);
        assert_int_equal(done.result, MKV_IO_OK);
        assert_null(done.header);
        assert_int_equal(done.sum_count, 0);
        assert_memory_equal(target->meta, target->meta + other, bytes);
        assert_int_equal(target->meta[other + bytes], 0x55);
    }
}

void test_drive__slot_written__reads_back_with_header_and_sums(void **state) {
    static const uint32_t lengths[] = {
        0,       1,       2047,        2048,    2049,         4095,
        4096,    4097,    65535,       65536,   65537,        1048575,
        1048576, 4194304, 4194304 + 1, 9999999, 33554432 - 1, MKV_BLOCK_BYTES_MAX,
    };
    const struct drive_conformance *target = *state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        if (target->block_bytes_max == 0 || lengths[i] <= target->block_bytes_max) {
            write_and_read_block(*state, 64 + i, lengths[i]);
        }
    }
}

void test_drive__slot_of_any_units__reads_back_the_same(void **state) {
    const struct drive_conformance *target = *state;
    uint64_t random = 20;
    for (uint32_t i = 0; i < 24; i++) {
        /* Lengths of all magnitudes, aligned to nothing. */
        uint32_t limit = 1u << (2 + next_random(&random) % 23);
        if (target->block_bytes_max != 0) {
            limit = (uint32_t)mkv_min_u64(limit, target->block_bytes_max);
        }
        uint32_t length = (uint32_t)(next_random(&random) % limit);
        write_and_read_block(*state, 1 + next_random(&random) % 1000, length);
    }
}

void test_drive__payload_not_whole_units__tail_is_zero_on_the_drive(void **state) {
    struct drive_conformance *target = *state;
    static const uint32_t lengths[] = {2049, 4097, 8191, 70000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint64_t sums[MKV_CHUNKS_MAX];
        uint32_t length = lengths[i];
        make_block(target, SLAB_SOURCE, length, i, sums);
        uint32_t units = mkv_slot_content_units(length);
        run_good(target, slot_effect(MKV_EFFECT_DRIVE_WRITE, SLAB_SOURCE, 500, units, length));
        uint64_t offset = 64 * MKV_UNIT_BYTES;
        run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 500 + units - 1, 1, offset));
        const uint8_t *last = target->meta + offset;
        for (uint32_t at = length % MKV_UNIT_BYTES; at < MKV_UNIT_BYTES; at++) {
            assert_int_equal(last[at], 0);
        }
        assert_int_not_equal(last[0] | last[1] | last[2], 0);
    }
}

void test_drive__inline_payload__lies_in_the_header_unit(void **state) {
    struct drive_conformance *target = *state;
    uint64_t sums[MKV_CHUNKS_MAX];
    uint32_t length = 700;
    make_block(target, SLAB_SOURCE, length, 3, sums);
    const uint8_t *payload = drive_conformance_slab(target, SLAB_SOURCE) + MKV_UNIT_BYTES;
    run_good(target, slot_effect(MKV_EFFECT_DRIVE_WRITE, SLAB_SOURCE, 40, 1, length));
    uint64_t offset = 64 * MKV_UNIT_BYTES;
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 40, 1, offset));
    const uint8_t *unit = target->meta + offset;
    assert_memory_equal(unit, target->meta, MKV_SLOT_INLINE_OFFSET);
    assert_memory_equal(unit + MKV_SLOT_INLINE_OFFSET, payload, length);
    for (uint32_t at = MKV_SLOT_INLINE_OFFSET + length; at < MKV_UNIT_BYTES; at++) {
        assert_int_equal(unit[at], 0);
    }
}

/* A manifest's payload is in the header unit that the volume gives, and not in the slab. */
void test_drive__one_unit_without_payload__header_is_written_as_given(void **state) {
    struct drive_conformance *target = *state;
    uint64_t sums[MKV_CHUNKS_MAX];
    make_block(target, SLAB_SOURCE, 40, 9, sums);
    const uint8_t *payload = drive_conformance_slab(target, SLAB_SOURCE) + MKV_UNIT_BYTES;
    mkv_slot_header_set_inline(target->meta, payload, 40);
    memset(drive_conformance_slab(target, SLAB_SOURCE), 0xdd, 2 * MKV_UNIT_BYTES);
    run_good(target, slot_effect(MKV_EFFECT_DRIVE_WRITE, SLAB_SOURCE, 41, 1, 0));
    struct mkv_effect read = slot_effect(MKV_EFFECT_DRIVE_READ, SLAB_TARGET, 41, 1, 0);
    struct drive_conformance_done done = drive_conformance_run(target, &read);
    assert_int_equal(done.result, MKV_IO_OK);
    assert_memory_equal(done.header, target->meta, MKV_UNIT_BYTES);
    assert_int_equal(done.sum_count, 1);
    assert_int_equal(done.sums[0], sums[0]);
}

void test_drive__leading_part_read__sums_of_whole_chunks_only(void **state) {
    struct drive_conformance *target = *state;
    uint64_t sums[MKV_CHUNKS_MAX];
    uint32_t length = 5 * MKV_CHUNK_BYTES_MIN + 1000;
    make_block(target, SLAB_SOURCE, length, 5, sums);
    run_good(target, slot_effect(MKV_EFFECT_DRIVE_WRITE, SLAB_SOURCE, 600,
                                 mkv_slot_content_units(length), length));
    static const struct {
        uint32_t units;
        uint32_t sum_count;
    } cases[] = {{1, 0}, {2, 0}, {16, 0}, {17, 1}, {18, 1}, {33, 2}, {81, 5}, {82, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_effect read =
            slot_effect(MKV_EFFECT_DRIVE_READ, SLAB_TARGET, 600, cases[i].units, 0);
        struct drive_conformance_done done = drive_conformance_run(target, &read);
        assert_int_equal(done.result, MKV_IO_OK);
        assert_memory_equal(done.header, target->meta, MKV_UNIT_BYTES);
        assert_int_equal(done.sum_count, cases[i].sum_count);
        assert_memory_equal(done.sums, sums, cases[i].sum_count * sizeof sums[0]);
    }
}

void test_drive__payload_range_read__sums_without_header(void **state) {
    struct drive_conformance *target = *state;
    uint64_t sums[MKV_CHUNKS_MAX];
    uint32_t length = 6 * MKV_CHUNK_BYTES_MIN + 100;
    make_block(target, SLAB_SOURCE, length, 6, sums);
    run_good(target, slot_effect(MKV_EFFECT_DRIVE_WRITE, SLAB_SOURCE, 700,
                                 mkv_slot_content_units(length), length));
    uint8_t *read = drive_conformance_slab(target, SLAB_TARGET);
    memset(read, 0x77, MKV_UNIT_BYTES);
    /* Chunks 2 to 6; the last one has 100 bytes. */
    uint32_t chunk_units = MKV_CHUNK_BYTES_MIN / MKV_UNIT_BYTES;
    uint32_t payload_bytes = length - 2 * MKV_CHUNK_BYTES_MIN;
    struct mkv_effect effect = {
        .kind = MKV_EFFECT_DRIVE_READ,
        .op = {1, 2},
        .drive = {.memory = MKV_DRIVE_PAYLOAD,
                  .lba = {700 + 1 + 2 * chunk_units},
                  .unit_count = 4 * chunk_units + 1,
                  .slab = SLAB_TARGET,
                  .payload_bytes = payload_bytes,
                  .chunk_bytes = MKV_CHUNK_BYTES_MIN},
    };
    struct drive_conformance_done done = drive_conformance_run(target, &effect);
    assert_int_equal(done.result, MKV_IO_OK);
    assert_null(done.header);
    assert_int_equal(done.sum_count, 5);
    assert_memory_equal(done.sums, sums + 2, 5 * sizeof sums[0]);
    const uint8_t *source = drive_conformance_slab(target, SLAB_SOURCE) + MKV_UNIT_BYTES;
    assert_memory_equal(read + MKV_UNIT_BYTES, source + 2 * MKV_CHUNK_BYTES_MIN, payload_bytes);
    for (uint32_t at = 0; at < MKV_UNIT_BYTES; at++) {
        assert_int_equal(read[at], 0x77);
    }
    /* Into metadata, with the same sums, and without where no payload is asked for. */
    effect.drive.memory = MKV_DRIVE_META;
    effect.drive.meta_offset = 4 * (uint64_t)MKV_UNIT_BYTES;
    done = drive_conformance_run(target, &effect);
    assert_int_equal(done.result, MKV_IO_OK);
    assert_null(done.header);
    assert_int_equal(done.sum_count, 5);
    assert_memory_equal(done.sums, sums + 2, 5 * sizeof sums[0]);
    assert_memory_equal(target->meta + effect.drive.meta_offset, source + 2 * MKV_CHUNK_BYTES_MIN,
                        payload_bytes);
    effect.drive.payload_bytes = 0;
    done = drive_conformance_run(target, &effect);
    assert_int_equal(done.sum_count, 0);
}

/* What a drive holds may be anything; the read still ends, with few sums or many. */
void test_drive__random_header_read__completes_in_bounds(void **state) {
    struct drive_conformance *target = *state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        fill(target->meta, 4 * MKV_UNIT_BYTES, seed);
        uint64_t random = seed;
        /* Lengths in bounds and flags of an inline payload should come up as well. */
        if (next_random(&random) % 2 == 0) {
            target->meta[50] = 0;
            target->meta[51] = 0;
        }
        run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 30, 4, 0));
        uint32_t units = 1 + (uint32_t)(next_random(&random) % 4);
        struct mkv_effect read = slot_effect(MKV_EFFECT_DRIVE_READ, SLAB_TARGET, 30, units, 0);
        struct drive_conformance_done done = drive_conformance_run(target, &read);
        assert_int_equal(done.result, MKV_IO_OK);
        assert_memory_equal(done.header, target->meta, MKV_UNIT_BYTES);
    }
}

void test_drive__overwritten__last_content_stays(void **state) {
    struct drive_conformance *target = *state;
    uint64_t offset = 128 * MKV_UNIT_BYTES;
    for (uint64_t round = 0; round < 20; round++) {
        fill(target->meta, 8 * MKV_UNIT_BYTES, round);
        run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 50, 8, 0));
        run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 50, 8, offset));
        assert_memory_equal(target->meta, target->meta + offset, 8 * MKV_UNIT_BYTES);
    }
}

/* ---- bounds, completion, order -------------------------------------------------------------- */

void test_drive__last_unit__is_usable(void **state) {
    struct drive_conformance *target = *state;
    uint64_t last = target->drive->capacity_units - 1;
    uint64_t offset = 128 * MKV_UNIT_BYTES;
    fill(target->meta, MKV_UNIT_BYTES, 99);
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, last, 1, 0));
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, last, 1, offset));
    assert_memory_equal(target->meta, target->meta + offset, MKV_UNIT_BYTES);
}

void test_drive__read_beyond_the_end__device_error(void **state) {
    struct drive_conformance *target = *state;
    uint64_t end = target->drive->capacity_units;
    const struct mkv_effect reads[] = {
        drive_conformance_meta(MKV_EFFECT_DRIVE_READ, end, 1, 0),
        drive_conformance_meta(MKV_EFFECT_DRIVE_READ, end - 1, 2, 0),
        drive_conformance_meta(MKV_EFFECT_DRIVE_READ, UINT64_MAX / MKV_UNIT_BYTES, 2, 0),
        slot_effect(MKV_EFFECT_DRIVE_READ, SLAB_TARGET, end - 3, 4, 0),
    };
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        struct drive_conformance_done done = drive_conformance_run(target, &reads[i]);
        assert_int_equal(done.result, MKV_IO_DEVICE);
        assert_null(done.header);
        assert_int_equal(done.sum_count, 0);
    }
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, end - 1, 1, 0));
}

void test_drive__submit__never_completes_inside(void **state) {
    struct drive_conformance *target = *state;
    struct observation observation = {0};
    target->drive->complete = observe;
    target->drive->complete_context = &observation;
    const struct mkv_effect effects[] = {
        drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 5, 1, 0),
        drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 6, 1, 4096),
        {.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {1, 1}},
        drive_conformance_meta(MKV_EFFECT_DRIVE_READ, target->drive->capacity_units, 1, 8192),
    };
    uint32_t count = sizeof effects / sizeof effects[0];
    for (uint32_t i = 0; i < count; i++) {
        mkv_drive_submit(target->drive, &effects[i]);
        assert_int_equal(observation.count, 0);
        assert_int_equal(mkv_drive_in_flight(target->drive), i + 1);
    }
    for (uint32_t i = 0; i < POLLS_MAX && observation.count < count; i++) {
        target->poll(target->context);
    }
    assert_int_equal(observation.count, count);
    assert_idle(target);
}

void test_drive__flush__completes_once_with_its_op(void **state) {
    struct drive_conformance *target = *state;
    for (uint32_t i = 0; i < 5; i++) {
        run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 100 + i, 3, 0));
        struct mkv_effect flush = {.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {i, 1000 - i}};
        struct drive_conformance_done done = drive_conformance_run(target, &flush);
        assert_int_equal(done.result, MKV_IO_OK);
        assert_null(done.header);
        assert_int_equal(done.sum_count, 0);
    }
}

struct crowd {
    uint32_t completed[DRIVE_CONFORMANCE_OPERATIONS_MAX];
    uint32_t count;
};

static void observe_crowd(void *context, const struct mkv_drive_done *done) {
    struct crowd *crowd = context;
    assert_int_equal(done->result, MKV_IO_OK);
    assert_true(done->op.index < DRIVE_CONFORMANCE_OPERATIONS_MAX);
    crowd->completed[done->op.index]++;
    crowd->count++;
}

/* Submits one operation for each index and waits until all are done. Every tenth is a flush. */
static void run_crowd(struct drive_conformance *target, enum mkv_effect_kind kind,
                      uint64_t meta_offset) {
    struct crowd crowd = {0};
    target->drive->complete = observe_crowd;
    target->drive->complete_context = &crowd;
    for (uint32_t i = 0; i < DRIVE_CONFORMANCE_OPERATIONS_MAX; i++) {
        struct mkv_effect effect =
            drive_conformance_meta(kind, 2000 + i, 1, meta_offset + (uint64_t)i * MKV_UNIT_BYTES);
        effect.op.index = i;
        if (i % 10 == 9) {
            effect.kind = MKV_EFFECT_DRIVE_FLUSH;
        }
        mkv_drive_submit(target->drive, &effect);
    }
    assert_int_equal(mkv_drive_in_flight(target->drive), DRIVE_CONFORMANCE_OPERATIONS_MAX);
    for (uint32_t i = 0; i < POLLS_MAX && crowd.count < DRIVE_CONFORMANCE_OPERATIONS_MAX; i++) {
        target->poll(target->context);
    }
    for (uint32_t i = 0; i < DRIVE_CONFORMANCE_OPERATIONS_MAX; i++) {
        assert_int_equal(crowd.completed[i], 1);
    }
    assert_idle(target);
}

void test_drive__many_in_flight__each_completes_once(void **state) {
    struct drive_conformance *target = *state;
    uint64_t bytes = DRIVE_CONFORMANCE_OPERATIONS_MAX * MKV_UNIT_BYTES;
    assert_true(2 * bytes <= DRIVE_CONFORMANCE_META_BYTES);
    fill(target->meta, bytes, 77);
    run_crowd(target, MKV_EFFECT_DRIVE_WRITE, 0);
    memset(target->meta + bytes, 0, bytes);
    run_crowd(target, MKV_EFFECT_DRIVE_READ, bytes);
    for (uint32_t i = 0; i < DRIVE_CONFORMANCE_OPERATIONS_MAX; i++) {
        const uint8_t *written = target->meta + (uint64_t)i * MKV_UNIT_BYTES;
        if (i % 10 != 9) {
            assert_memory_equal(written, written + bytes, MKV_UNIT_BYTES);
        }
    }
}

struct chain {
    struct drive_conformance *target;
    uint32_t left;
};

static void submit_next(void *context, const struct mkv_drive_done *done) {
    struct chain *chain = context;
    assert_int_equal(done->result, MKV_IO_OK);
    if (--chain->left > 0) {
        enum mkv_effect_kind kind =
            chain->left % 3 == 0 ? MKV_EFFECT_DRIVE_FLUSH : MKV_EFFECT_DRIVE_READ;
        struct mkv_effect next = drive_conformance_meta(kind, chain->left, 1, 0);
        mkv_drive_submit(chain->target->drive, &next);
    }
}

void test_drive__submitted_in_a_callback__completes(void **state) {
    struct chain chain = {*state, 100};
    struct mkv_drive *drive = chain.target->drive;
    drive->complete = submit_next;
    drive->complete_context = &chain;
    struct mkv_effect first = drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 1, 1, 0);
    mkv_drive_submit(drive, &first);
    for (uint32_t i = 0; i < POLLS_MAX && chain.left > 0; i++) {
        chain.target->poll(chain.target->context);
    }
    assert_int_equal(chain.left, 0);
    assert_idle(chain.target);
}

void test_drive__counters__agree_with_what_was_done(void **state) {
    struct drive_conformance *target = *state;
    struct mkv_drive_counters before = target->drive->counters;
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 5, 3, 0));
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 5, 2, 0));
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 5, 1, 0));
    run_good(target, (struct mkv_effect){.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {2, 2}});
    struct mkv_effect bad =
        drive_conformance_meta(MKV_EFFECT_DRIVE_READ, target->drive->capacity_units, 1, 0);
    assert_int_equal(drive_conformance_run(target, &bad).result, MKV_IO_DEVICE);

    const uint64_t trims = target->trims;
    if (target->trims) {
        run_good(target, trim_effect(1000, 7));
    }

    const struct {
        uint64_t completed;
        uint64_t good;
        uint64_t device_errors;
        uint64_t bytes;
    } expected[MKV_DRIVE_OP_COUNT] = {
        [MKV_DRIVE_OP_READ] = {3, 2, 1, 3 * MKV_UNIT_BYTES},
        [MKV_DRIVE_OP_WRITE] = {1, 1, 0, 3 * MKV_UNIT_BYTES},
        [MKV_DRIVE_OP_FLUSH] = {1, 1, 0, 0},
        [MKV_DRIVE_OP_TRIM] = {trims, trims, 0, trims * 7 * MKV_UNIT_BYTES},
    };
    uint64_t device_sum_ns = 0;
    for (uint32_t i = 0; i < MKV_DRIVE_OP_COUNT; i++) {
        const struct mkv_drive_operation_counters *now = &target->drive->counters.operations[i];
        const struct mkv_drive_operation_counters *then = &before.operations[i];
        assert_int_equal(now->completed - then->completed, expected[i].completed);
        assert_int_equal(now->results[MKV_IO_OK] - then->results[MKV_IO_OK], expected[i].good);
        assert_int_equal(now->results[MKV_IO_DEVICE] - then->results[MKV_IO_DEVICE],
                         expected[i].device_errors);
        assert_int_equal(now->bytes - then->bytes, expected[i].bytes);
        assert_true(now->latency_ns >= then->latency_ns);
        assert_true(now->latency_ns_max >= then->latency_ns_max);
        /* What the drive was asked for has a time in the device, which is part of all the time: a
         * read outside is refused before, and so is a flush that the device does not need. */
        const uint64_t timed =
            mkv_histogram_total(&now->device) - mkv_histogram_total(&then->device);
        const uint64_t device_ns = now->device.sum - then->device.sum;
        const uint64_t spared = i == MKV_DRIVE_OP_FLUSH ? target->drive->counters.flushes_skipped -
                                                              before.flushes_skipped
                                                        : expected[i].device_errors;
        assert_int_equal(timed, expected[i].completed - spared);
        assert_true(device_ns > 0 || timed == 0);
        assert_true(device_ns <= now->latency_ns - then->latency_ns);
        device_sum_ns += device_ns;
    }
    const struct mkv_drive_counters *counters = &target->drive->counters;
    const uint64_t busy_ns = counters->busy_ns - before.busy_ns;
    assert_true(busy_ns >= device_sum_ns); /* they came one after the other */
    assert_int_equal(mkv_drive_busy_ns(counters, UINT64_MAX), counters->busy_ns);
    assert_int_equal(target->drive->counters.in_flight, 0);
    assert_true(target->drive->counters.in_flight_max >= 1);
}

static void skip_without_trims(const struct drive_conformance *target) {
    if (!target->trims) {
        print_message("skipped: this drive takes no trims\n");
        skip();
    }
}

/* Eight units are written, the four in the middle trimmed. */
void test_drive__trimmed__neighbours_stay_and_it_is_written_again(void **state) {
    struct drive_conformance *target = *state;
    skip_without_trims(target);
    const uint64_t start = 3000;
    const uint32_t bytes = 8 * MKV_UNIT_BYTES;
    uint8_t *read = target->meta + bytes;
    fill(target->meta, bytes, 78);
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, start, 8, 0));
    run_good(target, (struct mkv_effect){.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {2, 2}});
    const struct mkv_effect trim = trim_effect(start + 2, 4);
    const struct drive_conformance_done done = drive_conformance_run(target, &trim);
    assert_int_equal(done.result, MKV_IO_OK);
    assert_null(done.header);
    assert_int_equal(done.sum_count, 0);
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, start, 8, bytes));
    assert_memory_equal(read, target->meta, 2 * MKV_UNIT_BYTES);
    assert_memory_equal(read + 6 * MKV_UNIT_BYTES, target->meta + 6 * MKV_UNIT_BYTES,
                        2 * MKV_UNIT_BYTES);
    fill(target->meta, bytes, 79);
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, start, 8, 0));
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, start, 8, bytes));
    assert_memory_equal(read, target->meta, bytes);
}

#define TRIMS 20u
#define TRIM_OP_INDEX 200u
#define AROUND 100u

struct trims_among {
    struct drive_conformance *target;
    uint32_t trims;
    uint32_t others;
};

/* Each trim hands out the next. */
static void observe_trims(void *context, const struct mkv_drive_done *done) {
    struct trims_among *among = context;
    assert_int_equal(done->result, MKV_IO_OK);
    if (done->op.index != TRIM_OP_INDEX) {
        among->others++;
        return;
    }
    assert_int_equal(done->op.generation, among->trims);
    among->trims++;
    if (among->trims < TRIMS) {
        struct mkv_effect next = trim_effect(4000 + 100 * among->trims, 100);
        next.op = (struct mkv_op_id){TRIM_OP_INDEX, among->trims};
        mkv_drive_submit(among->target->drive, &next);
    }
}

void test_drive__trims_among_other_operations__each_completes_once(void **state) {
    struct drive_conformance *target = *state;
    skip_without_trims(target);
    struct trims_among among = {.target = target};
    target->drive->complete = observe_trims;
    target->drive->complete_context = &among;
    fill(target->meta, AROUND * MKV_UNIT_BYTES, 80);
    struct mkv_effect first = trim_effect(4000, 100);
    first.op = (struct mkv_op_id){TRIM_OP_INDEX, 0};
    mkv_drive_submit(target->drive, &first);
    assert_int_equal(among.trims, 0);
    for (uint32_t i = 0; i < AROUND; i++) {
        struct mkv_effect write = drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 7000 + i, 1,
                                                         (uint64_t)i * MKV_UNIT_BYTES);
        write.op.index = i;
        if (i % 10 == 9) {
            write.kind = MKV_EFFECT_DRIVE_FLUSH;
        }
        mkv_drive_submit(target->drive, &write);
    }
    for (uint32_t i = 0; i < POLLS_MAX && mkv_drive_in_flight(target->drive) > 0; i++) {
        target->poll(target->context);
    }
    assert_int_equal(among.trims, TRIMS);
    assert_int_equal(among.others, AROUND);
    assert_idle(target);
    for (uint32_t i = 0; i < AROUND - 1; i++) {
        const uint64_t offset = AROUND * (uint64_t)MKV_UNIT_BYTES;
        run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 7000 + i, 1, offset));
        if (i % 10 != 9) {
            assert_memory_equal(target->meta + offset, target->meta + i * MKV_UNIT_BYTES,
                                MKV_UNIT_BYTES);
        }
    }
}
