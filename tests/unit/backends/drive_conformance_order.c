/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the suite that is about many operations at once, and about what is left of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/hash.h"
#include "core/slab.h"
#include "core/slot_header.h"
#include "tests/unit/backends/drive_conformance.h"
#include "tests/unit/backends/drive_model.h"

#define MODEL_OPERATIONS 2000u
#define MODEL_REOPENINGS 3u
/* The longest trim that is tried: what a volume trims at a time. */
#define TRIM_UNITS_MAX (MKV_GIB / MKV_UNIT_BYTES)

static struct mkv_effect flush_effect(void) {
    return (struct mkv_effect){.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {1, 1}};
}

static struct mkv_effect trim_effect(uint64_t lba_unit, uint64_t unit_count) {
    return (struct mkv_effect){
        .kind = MKV_EFFECT_DRIVE_TRIM,
        .op = {2, 2},
        .drive = {.lba = {lba_unit}, .unit_count = (uint32_t)unit_count},
    };
}

static void run_good(struct drive_conformance *target, struct mkv_effect effect) {
    assert_int_equal(drive_conformance_run(target, &effect).result, MKV_IO_OK);
}

static void write_units(struct drive_conformance *target, uint64_t lba_unit, uint32_t count,
                        uint8_t fill) {
    memset(target->meta, fill, (size_t)count * MKV_UNIT_BYTES);
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, lba_unit, count, 0));
}

static void expect_units(struct drive_conformance *target, uint64_t lba_unit, uint32_t count,
                         uint8_t fill) {
    memset(target->meta, ~fill, (size_t)count * MKV_UNIT_BYTES);
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, lba_unit, count, 0));
    for (uint32_t at = 0; at < count * MKV_UNIT_BYTES; at++) {
        assert_int_equal(target->meta[at], fill);
    }
}

static void skip_without_trims(const struct drive_conformance *target) {
    if (!target->trims) {
        print_message("skipped: this drive takes no trims\n");
        skip();
    }
}

/* ---- slots ---------------------------------------------------------------------------------- */

#define SLOTS 24u
/* Of each slab, so that each has room for its slot: 4 slab units of 64 KiB. */
#define SLOT_SLAB_UNITS 4u
/* Metadata behind the headers, which are a unit each. */
#define META_BEHIND (SLOTS * MKV_UNIT_BYTES)

/* Lengths of one unit, of some, and of as many as the slab has, aligned to nothing. */
static uint32_t slot_length(uint32_t slot) {
    static const uint32_t lengths[] = {0, 100, 2048, 2049, 4096, 65536, 100000, 250000};
    return lengths[slot % (sizeof lengths / sizeof lengths[0])] + (slot / 8) * (slot % 8 != 0);
}

static uint64_t slot_start(uint32_t slot) {
    uint64_t unit = 5000;
    for (uint32_t before = 0; before < slot; before++) {
        unit += mkv_slot_content_units(slot_length(before));
    }
    return unit;
}

/* Puts block `slot` into its slab and its header into unit `slot` of the metadata. */
static void make_slot(const struct drive_conformance *target, uint32_t slot) {
    const uint32_t length = slot_length(slot);
    uint8_t *payload =
        drive_conformance_slab(target, (struct mkv_slab){slot * SLOT_SLAB_UNITS}) + MKV_UNIT_BYTES;
    for (uint32_t at = 0; at < length; at++) {
        payload[at] = (uint8_t)(at * 7 + slot * 31 + at / 4096);
    }
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_chunk_sums(payload, length, sums);
    uint8_t sum_bytes[MKV_CHUNKS_MAX * 8];
    for (uint32_t at = 0; at < mkv_chunk_count(length) * 8; at++) {
        sum_bytes[at] = (uint8_t)(sums[at / 8] >> (8 * (at % 8)));
    }
    const struct mkv_slot_header header = {
        .slot = {slot},
        .tenant = MKV_TENANT_DEFAULT,
        .generation = mkv_generation_make(1, slot + 1u),
        .length = length,
        .root = mkv_root_of_sums(length, sums),
        .key_bytes = 4,
        .key = (const uint8_t *)"some",
        .sums = sum_bytes,
    };
    mkv_slot_header_encode(&header, target->meta + (size_t)slot * MKV_UNIT_BYTES);
}

static struct mkv_effect slot_effect(enum mkv_effect_kind kind, uint32_t slot, uint32_t slab) {
    const uint32_t length = slot_length(slot);
    return (struct mkv_effect){
        .kind = kind,
        .op = {slot, 7},
        .drive = {.memory = MKV_DRIVE_SLOT,
                  .lba = {slot_start(slot)},
                  .unit_count = mkv_slot_content_units(length),
                  .meta_offset = (uint64_t)slot * MKV_UNIT_BYTES,
                  .slab = {slab * SLOT_SLAB_UNITS},
                  .payload_bytes = kind == MKV_EFFECT_DRIVE_WRITE ? length : 0},
    };
}

struct slots {
    struct drive_conformance *target;
    bool reads;
    uint32_t completed[SLOTS];
};

static void observe_slots(void *context, const struct mkv_drive_done *done) {
    struct slots *slots = context;
    const uint32_t slot = done->op.index;
    assert_int_equal(done->result, MKV_IO_OK);
    assert_true(slot < SLOTS);
    slots->completed[slot]++;
    if (!slots->reads) {
        return;
    }
    const uint8_t *source =
        drive_conformance_slab(slots->target, (struct mkv_slab){slot * SLOT_SLAB_UNITS});
    const uint8_t *read =
        drive_conformance_slab(slots->target, (struct mkv_slab){(SLOTS + slot) * SLOT_SLAB_UNITS});
    struct mkv_slot_header header;
    assert_ptr_equal(done->header, read);
    assert_int_equal(mkv_slot_header_decode(done->header, &header), MKV_OK);
    assert_int_equal(header.slot.index, slot);
    assert_int_equal(header.length, slot_length(slot));
    assert_int_equal(done->sum_count, mkv_chunk_count(slot_length(slot)));
    for (uint32_t sum = 0; sum < done->sum_count; sum++) {
        uint8_t bytes[8];
        for (uint32_t at = 0; at < sizeof bytes; at++) {
            bytes[at] = (uint8_t)(done->sums[sum] >> (8 * at));
        }
        assert_memory_equal(header.sums + 8 * (size_t)sum, bytes, sizeof bytes);
    }
    assert_memory_equal(read + MKV_UNIT_BYTES, source + MKV_UNIT_BYTES, header.length);
}

/* They lie side by side on the drive, and are handed in from both ends. */
void test_drive__slots_in_flight_together__each_has_its_own_bytes(void **state) {
    struct slots slots = {.target = *state};
    struct mkv_drive *drive = slots.target->drive;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        make_slot(slots.target, slot);
    }
    for (uint32_t pass = 0; pass < 2; pass++) {
        slots.reads = pass == 1;
        memset(slots.completed, 0, sizeof slots.completed);
        drive->complete = observe_slots;
        drive->complete_context = &slots;
        for (uint32_t turn = 0; turn < SLOTS; turn++) {
            const uint32_t slot = turn % 2 == 0 ? turn / 2 : SLOTS - 1 - turn / 2;
            const struct mkv_effect effect =
                slot_effect(slots.reads ? MKV_EFFECT_DRIVE_READ : MKV_EFFECT_DRIVE_WRITE, slot,
                            slots.reads ? SLOTS + slot : slot);
            mkv_drive_submit(drive, &effect);
        }
        drive_conformance_drain(slots.target);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            assert_int_equal(slots.completed[slot], 1);
        }
    }
}

/* Of a write of a slot the header unit of its slab and the rest of its last unit are the drive's to
 * fill; all else, and all memory of other writes, is as it was. */
void test_drive__written__memory_is_left_as_it_was(void **state) {
    struct drive_conformance *target = *state;
    const uint32_t slot = 6; /* of 100,000 bytes */
    const uint32_t area_units = mkv_slot_content_units(slot_length(slot)) - 1;
    make_slot(target, slot);
    uint8_t *slab = drive_conformance_slab(target, (struct mkv_slab){slot * SLOT_SLAB_UNITS});
    uint8_t *behind = slab + (1 + (size_t)area_units) * MKV_UNIT_BYTES;
    uint8_t *copy = drive_conformance_slab(target, (struct mkv_slab){900});
    memset(behind, 0x3c, MKV_UNIT_BYTES);
    memset(target->meta + META_BEHIND, 0x7e, 4 * MKV_UNIT_BYTES);
    memcpy(copy, slab + MKV_UNIT_BYTES, slot_length(slot));
    const uint64_t header_offset = (uint64_t)slot * MKV_UNIT_BYTES;
    uint8_t header[MKV_UNIT_BYTES];
    memcpy(header, target->meta + header_offset, sizeof header);
    run_good(target, slot_effect(MKV_EFFECT_DRIVE_WRITE, slot, slot));
    assert_memory_equal(copy, slab + MKV_UNIT_BYTES, slot_length(slot));
    assert_memory_equal(header, target->meta + header_offset, sizeof header);
    run_good(target,
             drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 5, 2, META_BEHIND + MKV_UNIT_BYTES));
    for (uint32_t at = 0; at < MKV_UNIT_BYTES; at++) {
        assert_int_equal(behind[at], 0x3c);
    }
    for (uint32_t at = 0; at < 4 * MKV_UNIT_BYTES; at++) {
        assert_int_equal(target->meta[META_BEHIND + at], 0x7e);
    }
}

/* ---- bounds --------------------------------------------------------------------------------- */

void test_drive__slot_at_the_very_end__reads_back_the_same(void **state) {
    struct drive_conformance *target = *state;
    const uint32_t slot = 7; /* of 250,000 bytes */
    const uint64_t end = target->drive->capacity_units;
    make_slot(target, slot);
    struct mkv_effect write = slot_effect(MKV_EFFECT_DRIVE_WRITE, slot, slot);
    write.drive.lba.unit = end - write.drive.unit_count;
    run_good(target, write);
    struct mkv_effect read = slot_effect(MKV_EFFECT_DRIVE_READ, slot, SLOTS);
    read.drive.lba = write.drive.lba;
    const struct drive_conformance_done done = drive_conformance_run(target, &read);
    assert_int_equal(done.result, MKV_IO_OK);
    assert_int_equal(done.sum_count, mkv_chunk_count(slot_length(slot)));
    assert_memory_equal(done.header, target->meta + (size_t)slot * MKV_UNIT_BYTES, 64);
    /* One unit more is not there, nor is anything of it brought. */
    read.drive.unit_count++;
    assert_int_equal(drive_conformance_run(target, &read).result, MKV_IO_DEVICE);
}

void test_drive__trims_up_to_the_end__rest_stays_and_all_is_written_again(void **state) {
    struct drive_conformance *target = *state;
    skip_without_trims(target);
    const uint64_t end = target->drive->capacity_units;
    const uint64_t long_units = mkv_min_u64(TRIM_UNITS_MAX, end - 8192);
    write_units(target, 8190, 4, 0x61);
    write_units(target, end - 4, 4, 0x62);
    run_good(target, trim_effect(end - 2, 2));
    expect_units(target, end - 4, 2, 0x62);
    run_good(target, trim_effect(end - 3, 1));
    expect_units(target, end - 4, 1, 0x62);
    /* As long as a volume's trims become, over what was written and what never was. */
    run_good(target, trim_effect(8192, long_units));
    expect_units(target, 8190, 2, 0x61);
    write_units(target, 8190, 4, 0x63);
    write_units(target, end - 4, 4, 0x64);
    expect_units(target, 8190, 4, 0x63);
    expect_units(target, end - 4, 4, 0x64);
}

/* ---- order ---------------------------------------------------------------------------------- */

void test_drive__random_operations__agree_with_a_model(void **state) {
    char complaint[DRIVE_MODEL_COMPLAINT_BYTES];
    const struct drive_model_options options = {.seed = 11, .operations = MODEL_OPERATIONS};
    if (!drive_model_agrees(*state, &options, complaint)) {
        fail_msg("%s", complaint);
    }
}

void test_drive__opened_again__agrees_with_a_model(void **state) {
    char complaint[DRIVE_MODEL_COMPLAINT_BYTES];
    const struct drive_model_options options = {
        .seed = 12, .operations = MODEL_OPERATIONS / 3, .reopenings = MODEL_REOPENINGS};
    if (!drive_model_agrees(*state, &options, complaint)) {
        fail_msg("%s", complaint);
    }
}

void test_drive__written_and_flushed__is_there_when_opened_again(void **state) {
    struct drive_conformance *target = *state;
    const uint64_t capacity_units = target->drive->capacity_units;
    write_units(target, 20, 7, 0x21);
    write_units(target, capacity_units - 1, 1, 0x22);
    run_good(target, flush_effect());
    target->reopen(target->context);
    assert_int_equal(target->drive->capacity_units, capacity_units);
    expect_units(target, 20, 7, 0x21);
    expect_units(target, capacity_units - 1, 1, 0x22);
}

struct among {
    uint32_t writes;
    uint32_t flushes;
};

static void observe_among(void *context, const struct mkv_drive_done *done) {
    struct among *among = context;
    assert_int_equal(done->result, MKV_IO_OK);
    among->flushes += done->op.index == 1;
    among->writes += done->op.index != 1;
}

/* Each unit is written twice; a flush is handed in behind the first ones and among the others. */
void test_drive__flush_among_writes__covers_what_was_completed(void **state) {
    struct drive_conformance *target = *state;
    struct among among = {0};
    const uint32_t count = 40;
    for (uint32_t at = 0; at < count; at++) {
        write_units(target, 300 + at, 1, 0x31);
    }
    memset(target->meta, 0x32, (size_t)count * MKV_UNIT_BYTES);
    target->drive->complete = observe_among;
    target->drive->complete_context = &among;
    const struct mkv_effect flush = flush_effect();
    for (uint32_t at = 0; at < count; at++) {
        struct mkv_effect write = drive_conformance_meta(MKV_EFFECT_DRIVE_WRITE, 300 + at, 1,
                                                         (uint64_t)at * MKV_UNIT_BYTES);
        write.op.index = 100 + at;
        mkv_drive_submit(target->drive, &write);
        if (at == count / 2) {
            mkv_drive_submit(target->drive, &flush);
        }
    }
    drive_conformance_drain(target);
    assert_int_equal(among.flushes, 1);
    assert_int_equal(among.writes, count);
    target->reopen(target->context);
    run_good(target, drive_conformance_meta(MKV_EFFECT_DRIVE_READ, 300, count, 0));
    for (uint32_t at = 0; at < count * MKV_UNIT_BYTES; at++) {
        assert_true(target->meta[at] == 0x31 || target->meta[at] == 0x32);
    }
}

void test_drive__trimmed_then_written__trim_does_not_come_late(void **state) {
    struct drive_conformance *target = *state;
    skip_without_trims(target);
    for (uint32_t round = 0; round < 5; round++) {
        const uint8_t fill = (uint8_t)(0x41 + round);
        write_units(target, 400, 64, 0x40);
        run_good(target, flush_effect());
        run_good(target, trim_effect(400, 64));
        write_units(target, 404, 50, fill);
        run_good(target, flush_effect());
        expect_units(target, 404, 50, fill);
        target->reopen(target->context);
        expect_units(target, 404, 50, fill);
    }
}
