/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each field counts: structures are filled with bytes that are all different from 0, written, read
 * into zeroes and written again. A field that is left out comes back as 0.
 */
#include "record/machine_codec.h"

#include "core/hash.h"
#include "tests/unit/record/test.h"

#define ARENA_BYTES 65536u

static uint8_t first[MKV_RECORD_INPUT_BYTES_MAX];
static uint8_t second[MKV_RECORD_INPUT_BYTES_MAX];
static struct mkv_record_storage storage;

static struct mkv_message full_message(void) {
    struct mkv_message message;
    memset(&message, 0x5a, sizeof message);
    message.kind = MKV_MESSAGE_PUT_BEGIN;
    message.status = MKV_STATUS_CONFLICT;
    message.miss = MKV_MISS_EVICTED;
    message.data_bytes = 3;
    message.data_offset = 64;
    return message;
}

/* Writes the input, reads it, and expects the same bytes from what was read. */
static struct mkv_input through(const struct mkv_input *input) {
    struct mkv_codec writer = mkv_codec_writer(first, sizeof first);
    mkv_record_input_write(&writer, input);
    assert_false(writer.failed);
    struct mkv_codec reader = mkv_codec_reader(first, writer.at);
    struct mkv_input back;
    memset(&storage, 0xa5, sizeof storage);
    mkv_record_input_read(&reader, &storage, &back);
    assert_false(reader.failed);
    assert_int_equal(reader.at, writer.at);
    struct mkv_codec again = mkv_codec_writer(second, sizeof second);
    mkv_record_input_write(&again, &back);
    assert_int_equal(again.at, writer.at);
    assert_memory_equal(first, second, writer.at);
    /* Cut anywhere, it is not read. */
    for (size_t count = 0; count < writer.at; count += 1 + count / 16) {
        struct mkv_codec cut = mkv_codec_reader(first, count);
        struct mkv_input nothing;
        mkv_record_input_read(&cut, &storage, &nothing);
        assert_true(cut.failed);
    }
    memset(&storage, 0xa5, sizeof storage);
    reader = mkv_codec_reader(first, writer.at);
    mkv_record_input_read(&reader, &storage, &back);
    return back;
}

static void test_input__message__every_field_comes_back(void **state) {
    (void)state;
    static const uint8_t key[] = {1, 2, 3};
    const struct mkv_input input = {.kind = MKV_INPUT_MESSAGE,
                                    .now_ns = 11,
                                    .wall_ms = 12,
                                    .data = key,
                                    .data_bytes = sizeof key,
                                    .message = full_message()};
    const struct mkv_input back = through(&input);
    assert_int_equal(back.now_ns, 11);
    assert_int_equal(back.wall_ms, 12);
    assert_int_equal(back.data_bytes, 3);
    assert_memory_equal(back.data, key, 3);
    struct mkv_message expected = {0};
    const struct mkv_message *from = &input.message;
    /* Field by field, since padding is nobody's. */
    expected.kind = from->kind;
    expected.volume = from->volume;
    expected.front_op = from->front_op;
    expected.volume_op = from->volume_op;
    expected.status = from->status;
    expected.miss = from->miss;
    expected.tenant = from->tenant;
    expected.flags = from->flags;
    expected.length = from->length;
    expected.offset = from->offset;
    expected.bytes = from->bytes;
    expected.slab_offset = from->slab_offset;
    expected.length_units = from->length_units;
    expected.slab = from->slab;
    expected.root = from->root;
    expected.replaces = from->replaces;
    expected.value_length = from->value_length;
    expected.value_root = from->value_root;
    expected.expiry_s = from->expiry_s;
    expected.data_offset = from->data_offset;
    expected.data_bytes = from->data_bytes;
    expected.lease_ns = from->lease_ns;
    expected.count = from->count;
    expected.session = from->session;
    expected.tier_hint = from->tier_hint;
    expected.action = from->action;
    expected.drive_ns = from->drive_ns;
    expected.flush_ns = from->flush_ns;
    assert_memory_equal(&back.message, &expected, sizeof expected);
}

static void test_input__request__keys_items_and_tenant_come_back(void **state) {
    (void)state;
    struct mkv_request_item items[2];
    memset(items, 0x33, sizeof items);
    static const uint8_t keys[] = "first second";
    const struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST,
        .data = keys,
        .data_bytes = sizeof keys,
        .request = {.connection = {1, 2},
                    .request_id = 3,
                    .op = MKV_OP_GET,
                    .tenant = 4,
                    .tenant_name = "team-7",
                    .deadline_ns = UINT64_MAX,
                    .item_count = 2,
                    .items = items,
                    .received_ns = 5,
                    .serial = 6,
                    .trace = {.trace_id = {7}, .parent_id = {8}, .flags = 9}},
    };
    const struct mkv_input back = through(&input);
    assert_int_equal(back.request.connection.index, 1);
    assert_int_equal(back.request.connection.generation, 2);
    assert_int_equal(back.request.request_id, 3);
    assert_int_equal(back.request.op, MKV_OP_GET);
    assert_int_equal(back.request.tenant, 4);
    assert_string_equal(back.request.tenant_name, "team-7");
    assert_true(back.request.deadline_ns == UINT64_MAX);
    assert_int_equal(back.request.item_count, 2);
    assert_int_equal(back.request.received_ns, 5);
    assert_int_equal(back.request.serial, 6);
    assert_memory_equal(&back.request.trace, &input.request.trace, sizeof back.request.trace);
    for (uint32_t index = 0; index < 2; index++) {
        const struct mkv_request_item *item = &back.request.items[index];
        assert_int_equal(item->key_offset, 0x33333333);
        assert_int_equal(item->key_bytes, 0x33333333);
        assert_int_equal(item->flags, 0x33333333);
        assert_true(item->length == 0x3333333333333333ull);
        assert_true(item->offset == 0x3333333333333333ull);
        assert_memory_equal(item->root.bytes, items[0].root.bytes, 16);
        assert_int_equal(item->expire_s, 0x33333333);
        assert_true(item->session == 0x3333333333333333ull);
        assert_int_equal(item->tier_hint, 0x33333333);
        assert_int_equal(item->action, 0x33333333);
        assert_int_equal(item->reason, 0x33333333);
        assert_true(item->reservation == 0x3333333333333333ull);
    }
    assert_memory_equal(back.data, keys, sizeof keys);
    assert_int_equal((uintptr_t)back.data % 64, 0);
}

static void test_input__too_many_items__not_written(void **state) {
    (void)state;
    static struct mkv_request_item items[MKV_FRONT_ITEMS_PER_REQUEST_MAX + 1];
    const struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST,
        .request = {.item_count = MKV_FRONT_ITEMS_PER_REQUEST_MAX + 1, .items = items},
    };
    struct mkv_codec writer = mkv_codec_writer(first, sizeof first);
    mkv_record_input_write(&writer, &input);
    assert_true(writer.failed);
}

static void test_input__completions__header_and_sums_come_back(void **state) {
    (void)state;
    static uint8_t header[MKV_UNIT_BYTES];
    memset(header, 7, 300);
    const uint64_t sums[] = {UINT64_MAX, 2, 3};
    struct mkv_input input = {
        .kind = MKV_INPUT_DRIVE_DONE,
        .drive = {
            .op = {5, 6}, .result = MKV_IO_MEDIUM, .header = header, .sums = sums, .sum_count = 3}};
    struct mkv_input back = through(&input);
    assert_int_equal(back.drive.op.index, 5);
    assert_int_equal(back.drive.op.generation, 6);
    assert_int_equal(back.drive.result, MKV_IO_MEDIUM);
    assert_memory_equal(back.drive.header, header, sizeof header);
    assert_int_equal(back.drive.sum_count, 3);
    assert_memory_equal(back.drive.sums, sums, sizeof sums);
    input.drive.header = NULL;
    back = through(&input);
    assert_null(back.drive.header);
    input = (struct mkv_input){.kind = MKV_INPUT_FABRIC_DONE,
                               .fabric = {.event = MKV_FABRIC_PULL_DONE,
                                          .transfer = MKV_TRANSFER_FAILED,
                                          .op = {1, 2},
                                          .connection = {3, 4},
                                          .sums = sums,
                                          .sum_count = 2}};
    back = through(&input);
    assert_int_equal(back.fabric.event, MKV_FABRIC_PULL_DONE);
    assert_int_equal(back.fabric.transfer, MKV_TRANSFER_FAILED);
    assert_int_equal(back.fabric.op.index, 1);
    assert_int_equal(back.fabric.op.generation, 2);
    assert_int_equal(back.fabric.connection.index, 3);
    assert_int_equal(back.fabric.connection.generation, 4);
    assert_int_equal(back.fabric.sum_count, 2);
    assert_memory_equal(back.fabric.sums, sums, 16);
}

static void test_input__admin_with_a_set__set_comes_back(void **state) {
    (void)state;
    struct mkv_drive_set set = {.version = 3, .version_before = 2, .word = 9, .count = 2};
    memset(set.members[1].uuid.bytes, 8, 16);
    set.members[1].weight = 4;
    const struct mkv_input input = {.kind = MKV_INPUT_ADMIN,
                                    .admin = MKV_ADMIN_OPEN,
                                    .data = (const uint8_t *)&set,
                                    .data_bytes = sizeof set};
    const struct mkv_input back = through(&input);
    assert_int_equal(back.admin, MKV_ADMIN_OPEN);
    assert_int_equal(back.data_bytes, sizeof set);
    assert_memory_equal(back.data, &set, sizeof set);
}

/* The effect as bytes. */
static size_t write_effect(const struct mkv_effect *effect, const uint8_t *arena, uint8_t *bytes) {
    struct mkv_codec writer = mkv_codec_writer(bytes, MKV_RECORD_EFFECT_BYTES_MAX);
    mkv_record_effect_write(&writer, effect, arena);
    assert_false(writer.failed);
    return writer.at;
}

static void test_effect__written_units_differ__bytes_differ(void **state) {
    (void)state;
    static uint8_t arena[ARENA_BYTES];
    const struct mkv_effect effect = {
        .kind = MKV_EFFECT_DRIVE_WRITE,
        .op = {1, 2},
        .drive = {.memory = MKV_DRIVE_META, .unit_count = 2, .meta_offset = 4096}};
    const size_t bytes = write_effect(&effect, arena, first);
    assert_int_equal(write_effect(&effect, arena, second), bytes);
    assert_memory_equal(first, second, bytes);
    arena[3 * MKV_UNIT_BYTES - 1] = 1; /* the last byte that it names */
    assert_int_equal(write_effect(&effect, arena, second), bytes);
    assert_memory_not_equal(first, second, bytes);
    arena[3 * MKV_UNIT_BYTES - 1] = 0;
    arena[3 * MKV_UNIT_BYTES] = 1; /* the next one */
    assert_int_equal(write_effect(&effect, arena, second), bytes);
    assert_memory_equal(first, second, bytes);
}

static void test_effect__message__fields_and_data_count(void **state) {
    (void)state;
    static uint8_t arena[ARENA_BYTES];
    const struct mkv_effect effect = {.kind = MKV_EFFECT_MESSAGE, .message = full_message()};
    const size_t bytes = write_effect(&effect, arena, first);
    struct mkv_codec reader = mkv_codec_reader(first, bytes);
    static struct mkv_record_effect back;
    mkv_record_effect_read(&reader, &back);
    assert_false(reader.failed);
    assert_int_equal(back.byte_count, 3);
    assert_true(mkv_root_equal(back.sum, mkv_hash_128(arena + 64, 3)));
    assert_int_equal(back.effect.message.expiry_s, effect.message.expiry_s);
    arena[66] = 1;
    assert_int_equal(write_effect(&effect, arena, second), bytes);
    assert_memory_not_equal(first, second, bytes);
}

static void test_effect__answer__results_without_padding(void **state) {
    (void)state;
    static _Alignas(8) uint8_t arena[ARENA_BYTES];
    struct mkv_item_result result;
    memset(&result, 0xee, sizeof result);
    result.status = MKV_STATUS_OK;
    result.miss = MKV_MISS_NONE;
    memcpy(arena + 128, &result, sizeof result);
    const struct mkv_effect effect = {
        .kind = MKV_EFFECT_ANSWER,
        .answer = {.op = MKV_OP_GET, .result_count = 1, .results_offset = 128}};
    const size_t bytes = write_effect(&effect, arena, first);
    struct mkv_item_result other;
    memset(&other, 0x11, sizeof other); /* other padding */
    other.status = result.status;
    other.miss = result.miss;
    other.length = result.length;
    other.root = result.root;
    other.leased = result.leased;
    other.expiry_s = result.expiry_s;
    memcpy(arena + 128, &other, sizeof other);
    assert_int_equal(write_effect(&effect, arena, second), bytes);
    assert_memory_equal(first, second, bytes);
    other.leased++;
    memcpy(arena + 128, &other, sizeof other);
    (void)write_effect(&effect, arena, second);
    assert_memory_not_equal(first, second, bytes);
}

static void test_effect__of_every_kind__comes_back(void **state) {
    (void)state;
    static uint8_t arena[ARENA_BYTES];
    static struct mkv_record_effect back;
    for (uint32_t kind = MKV_EFFECT_DRIVE_READ; kind <= MKV_EFFECT_REQUEST_ENDED; kind++) {
        struct mkv_effect effect;
        memset(&effect, 0x21, sizeof effect);
        effect.kind = (enum mkv_effect_kind)kind;
        if (effect.kind == MKV_EFFECT_DRIVE_WRITE) {
            effect.drive.memory = MKV_DRIVE_SLOT;
            effect.drive.meta_offset = 0;
        }
        if (effect.kind == MKV_EFFECT_MESSAGE) {
            effect.message = full_message();
        }
        if (effect.kind == MKV_EFFECT_ANSWER) {
            effect.answer.result_count = 0;
        }
        if (effect.kind == MKV_EFFECT_REQUEST_ENDED) {
            effect.summary.key_offset = 3;
            effect.summary.key_bytes = 5;
            effect.summary.key_cut = true;
            effect.summary.refused = true;
            effect.summary.dropped = false;
        }
        const size_t bytes = write_effect(&effect, arena, first);
        struct mkv_codec reader = mkv_codec_reader(first, bytes);
        mkv_record_effect_read(&reader, &back);
        assert_false(reader.failed);
        assert_int_equal(reader.at, bytes);
        assert_int_equal(back.effect.kind, kind);
        assert_int_equal(back.effect.op.generation, 0x21212121);
        if (effect.kind == MKV_EFFECT_REQUEST_ENDED) {
            assert_memory_equal(&back.effect.summary.trace, &effect.summary.trace,
                                sizeof effect.summary.trace);
            assert_memory_equal(back.effect.summary.stage_ns, effect.summary.stage_ns,
                                sizeof effect.summary.stage_ns);
            assert_true(back.effect.summary.session == effect.summary.session);
            assert_true(back.effect.summary.refused);
            assert_false(back.effect.summary.dropped);
            assert_int_equal(back.byte_count, 5);
        }
    }
    static const uint8_t unknown[] = {99, 0, 0, 0};
    struct mkv_codec reader = mkv_codec_reader(unknown, sizeof unknown);
    mkv_record_effect_read(&reader, &back);
    assert_true(reader.failed);
}

static void test_config__front_and_volume__come_back(void **state) {
    (void)state;
    struct mkv_front_config front;
    memset(&front, 0x44, sizeof front);
    front.volume_count = MKV_VOLUMES_MAX;
    memset(front.foreign, true, sizeof front.foreign);
    struct mkv_codec writer = mkv_codec_writer(first, sizeof first);
    mkv_record_front_config(&writer, &front);
    struct mkv_front_config front_back;
    memset(&front_back, 0x44, sizeof front_back); /* the same padding */
    memset(front_back.foreign, false, sizeof front_back.foreign);
    front_back.segment_id_seed = 0;
    struct mkv_codec reader = mkv_codec_reader(first, writer.at);
    mkv_record_front_config(&reader, &front_back);
    assert_false(reader.failed);
    assert_memory_equal(&front_back, &front, sizeof front);

    struct mkv_volume_config volume;
    memset(&volume, 0x44, sizeof volume);
    volume.trim = true;
    volume.eviction = true;
    volume.never_empties = true;
    volume.drive_set.count = MKV_VOLUMES_MAX;
    writer = mkv_codec_writer(first, sizeof first);
    mkv_record_volume_config(&writer, &volume);
    struct mkv_volume_config volume_back;
    memset(&volume_back, 0x44, sizeof volume_back);
    volume_back.ghost_count = 0;
    volume_back.trim = false;
    volume_back.eviction = false;
    volume_back.never_empties = false;
    reader = mkv_codec_reader(first, writer.at);
    mkv_record_volume_config(&reader, &volume_back);
    assert_false(reader.failed);
    assert_int_equal(reader.at, writer.at);
    assert_memory_equal(&volume_back, &volume, sizeof volume);
}

/* Clang has no way to ask where the padding is. */
#if defined(__GNUC__) && !defined(__clang__)
#define MARK 0x33

static size_t count_other(const void *bytes, size_t byte_count, uint8_t value) {
    size_t count = 0;
    for (size_t index = 0; index < byte_count; index++) {
        count += ((const uint8_t *)bytes)[index] != value;
    }
    return count;
}

/* Bytes of a structure that are no padding. */
#define FIELD_BYTES(type)                                                                          \
    ({                                                                                             \
        struct type field_bytes;                                                                   \
        memset(&field_bytes, MARK, sizeof field_bytes);                                            \
        __builtin_clear_padding(&field_bytes);                                                     \
        count_other(&field_bytes, sizeof field_bytes, 0);                                          \
    })

/* A field that has come to stand where padding was changes no size, and has to be noticed too. */
static void test_codec__every_byte_that_is_no_padding__is_carried(void **state) {
    (void)state;
    struct mkv_request_item item;
    memset(&item, 0x44, sizeof item);
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    memset(&input.message, 0x44, sizeof input.message);
    struct mkv_input back = through(&input);
    assert_int_equal(count_other(&back.message, sizeof back.message, 0), FIELD_BYTES(mkv_message));
    input =
        (struct mkv_input){.kind = MKV_INPUT_REQUEST, .request = {.item_count = 1, .items = &item}};
    back = through(&input);
    struct mkv_request_item item_back;
    memset(&item_back, 0, sizeof item_back);
    memcpy(&item_back, back.request.items, sizeof item_back);
    __builtin_clear_padding(&item_back);
    assert_int_equal(count_other(&item_back, sizeof item_back, 0), FIELD_BYTES(mkv_request_item));
    for (size_t at = 0; at < sizeof item_back; at++) {
        const uint8_t byte = ((const uint8_t *)&item_back)[at];
        assert_true(byte == 0x44 || byte == 0); /* and not what was there before */
    }

    static _Alignas(8) uint8_t arena[sizeof(struct mkv_item_result)];
    memset(arena, 0x44, sizeof arena);
    const struct mkv_effect effect = {.kind = MKV_EFFECT_ANSWER, .answer = {.result_count = 1}};
    const size_t bytes = write_effect(&effect, arena, first);
    static struct mkv_record_effect effect_back;
    struct mkv_codec reader = mkv_codec_reader(first, bytes);
    mkv_record_effect_read(&reader, &effect_back);
    assert_int_equal(count_other(&effect_back.results[0], sizeof effect_back.results[0], 0),
                     FIELD_BYTES(mkv_item_result));

    struct mkv_front_config front;
    memset(&front, 0x44, sizeof front);
    front.volume_count = MKV_VOLUMES_MAX;
    memset(front.foreign, true, sizeof front.foreign);
    struct mkv_codec writer = mkv_codec_writer(first, sizeof first);
    mkv_record_front_config(&writer, &front);
    memset(&front, MARK, sizeof front);
    reader = mkv_codec_reader(first, writer.at);
    mkv_record_front_config(&reader, &front);
    assert_int_equal(count_other(&front, sizeof front, MARK), FIELD_BYTES(mkv_front_config));

    struct mkv_volume_config volume;
    memset(&volume, 0x44, sizeof volume);
    volume.trim = true;
    volume.eviction = true;
    volume.never_empties = true;
    volume.drive_set.count = MKV_VOLUMES_MAX;
    writer = mkv_codec_writer(first, sizeof first);
    mkv_record_volume_config(&writer, &volume);
    memset(&volume, MARK, sizeof volume);
    volume.trim = false;
    volume.eviction = false;
    volume.never_empties = false;
    reader = mkv_codec_reader(first, writer.at);
    mkv_record_volume_config(&reader, &volume);
    assert_int_equal(count_other(&volume, sizeof volume, MARK), FIELD_BYTES(mkv_volume_config));
}
#else
static void test_codec__every_byte_that_is_no_padding__is_carried(void **state) {
    (void)state;
    skip();
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input__message__every_field_comes_back),
        cmocka_unit_test(test_input__request__keys_items_and_tenant_come_back),
        cmocka_unit_test(test_input__too_many_items__not_written),
        cmocka_unit_test(test_input__completions__header_and_sums_come_back),
        cmocka_unit_test(test_input__admin_with_a_set__set_comes_back),
        cmocka_unit_test(test_effect__written_units_differ__bytes_differ),
        cmocka_unit_test(test_effect__message__fields_and_data_count),
        cmocka_unit_test(test_effect__answer__results_without_padding),
        cmocka_unit_test(test_effect__of_every_kind__comes_back),
        cmocka_unit_test(test_config__front_and_volume__come_back),
        cmocka_unit_test(test_codec__every_byte_that_is_no_padding__is_carried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
