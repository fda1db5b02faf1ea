/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace.h"

#include "sim/json.h"
#include "tests/unit/sim/test.h"

static uint64_t hash_of(const struct mkv_effect *effect) {
    struct mkv_trace trace;
    mkv_trace_init(&trace, 1, NULL, 0);
    mkv_trace_effect(&trace, 0, effect, NULL);
    return trace.hash;
}

/* A drive effect in memory that held something else before, padding and unused members included. */
static struct mkv_effect *drive_effect(struct mkv_effect *effect, uint8_t before) {
    memset(effect, before, sizeof *effect);
    effect->kind = MKV_EFFECT_DRIVE_WRITE;
    effect->op = (struct mkv_op_id){1, 2};
    effect->drive.memory = MKV_DRIVE_META;
    effect->drive.lba.unit = 7;
    effect->drive.unit_count = 1;
    effect->drive.meta_offset = 4096;
    effect->drive.slab.index = 3;
    effect->drive.payload_bytes = 0;
    effect->drive.chunk_bytes = 0;
    return effect;
}

static void test_trace__same_fields_in_other_memory__have_the_same_hash(void **state) {
    (void)state;
    struct mkv_effect a;
    struct mkv_effect b;
    assert_true(hash_of(drive_effect(&a, 0x00)) == hash_of(drive_effect(&b, 0xff)));
}

static void test_trace__every_field_of_a_write__changes_the_hash(void **state) {
    (void)state;
    struct mkv_effect effect;
    const uint64_t base = hash_of(drive_effect(&effect, 0));
    drive_effect(&effect, 0)->op.generation++;
    assert_true(hash_of(&effect) != base);
    drive_effect(&effect, 0)->drive.lba.unit++;
    assert_true(hash_of(&effect) != base);
    drive_effect(&effect, 0)->drive.unit_count++;
    assert_true(hash_of(&effect) != base);
    drive_effect(&effect, 0)->drive.meta_offset++;
    assert_true(hash_of(&effect) != base);
    drive_effect(&effect, 0)->drive.slab.index++;
    assert_true(hash_of(&effect) != base);
    drive_effect(&effect, 0)->drive.payload_bytes++;
    assert_true(hash_of(&effect) != base);
}

static void test_trace__every_field_of_a_trim__changes_the_hash_and_no_other_does(void **state) {
    (void)state;
    struct mkv_effect effect;
    drive_effect(&effect, 0)->kind = MKV_EFFECT_DRIVE_TRIM;
    const uint64_t base = hash_of(&effect);
    drive_effect(&effect, 0xff)->kind = MKV_EFFECT_DRIVE_TRIM;
    effect.drive.meta_offset++;
    assert_true(hash_of(&effect) == base);
    effect.drive.lba.unit++;
    assert_true(hash_of(&effect) != base);
    effect.drive.lba.unit--;
    effect.drive.unit_count++;
    assert_true(hash_of(&effect) != base);
}

static void test_trace__data_of_a_message__changes_the_hash(void **state) {
    (void)state;
    uint64_t hashes[2];
    for (uint32_t turn = 0; turn < 2; turn++) {
        const uint8_t key[3] = {1, 2, (uint8_t)turn};
        const struct mkv_input input = {
            .kind = MKV_INPUT_MESSAGE,
            .data = key,
            .data_bytes = 3,
            .message = {.kind = MKV_MESSAGE_FIND, .data_bytes = 3},
        };
        struct mkv_trace trace;
        mkv_trace_init(&trace, 1, NULL, 0);
        mkv_trace_input(&trace, 0, &input);
        hashes[turn] = trace.hash;
    }
    assert_true(hashes[0] != hashes[1]);
}

static void test_trace__log__is_a_line_for_each_and_leaves_the_hash(void **state) {
    (void)state;
    struct mkv_effect effect;
    char text[512] = "";
    FILE *log = fmemopen(text, sizeof text, "w");
    assert_non_null(log);
    struct mkv_trace trace;
    mkv_trace_init(&trace, 1, log, 0);
    mkv_trace_effect(&trace, 0, drive_effect(&effect, 0), NULL);
    mkv_trace_note(&trace, "power lost", 1, 2);
    struct mkv_effect trim;
    drive_effect(&trim, 0)->kind = MKV_EFFECT_DRIVE_TRIM;
    mkv_trace_effect(&trace, 0, &trim, NULL);
    assert_int_equal(fclose(log), 0);
    assert_non_null(strstr(text, "volume 0 <- DRIVE_TRIM op 1.2 unit 7 count 1"));
    assert_non_null(strstr(text, "volume 0 <- DRIVE_WRITE op 1.2 meta unit 7"));
    assert_non_null(strstr(text, "** power lost 1 2"));
    struct mkv_trace silent;
    mkv_trace_init(&silent, 1, NULL, 0);
    mkv_trace_effect(&silent, 0, &effect, NULL);
    mkv_trace_note(&silent, "power lost", 1, 2);
    mkv_trace_effect(&silent, 0, &trim, NULL);
    assert_true(silent.hash == trace.hash);
}

static void test_json__nested_values__are_written_with_commas_and_escapes(void **state) {
    (void)state;
    char text[256] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    struct mkv_json json = {.out = out};
    mkv_json_open(&json, NULL, '{');
    mkv_json_text(&json, "text", "a\"b\\c\n");
    mkv_json_open(&json, "list", '[');
    mkv_json_close(&json, ']');
    mkv_json_open(&json, "more", '[');
    mkv_json_u64(&json, NULL, 1);
    mkv_json_hex(&json, NULL, 0xab);
    mkv_json_close(&json, ']');
    mkv_json_bool(&json, "yes", true);
    mkv_json_number(&json, "number", 1.5);
    mkv_json_close(&json, '}');
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "{\"text\": \"a\\\"b\\\\c\\u000a\", \"list\": [], "
                              "\"more\": [1, \"00000000000000ab\"], \"yes\": true, "
                              "\"number\": 1.500}");
}

static void test_trace__more_entries_than_allowed__ends_the_run_by_no_oracle(void **state) {
    (void)state;
    struct mkv_trace trace;
    const struct mkv_input input = {.kind = MKV_INPUT_TICK};
    mkv_trace_init(&trace, 1, NULL, 2);
    mkv_trace_input(&trace, 0, &input);
    mkv_trace_input(&trace, 0, &input);
    EXPECT_FAILURE(MKV_ORACLE_NONE, mkv_trace_input(&trace, 0, &input));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace__same_fields_in_other_memory__have_the_same_hash),
        cmocka_unit_test(test_trace__every_field_of_a_write__changes_the_hash),
        cmocka_unit_test(test_trace__every_field_of_a_trim__changes_the_hash_and_no_other_does),
        cmocka_unit_test(test_trace__data_of_a_message__changes_the_hash),
        cmocka_unit_test(test_trace__log__is_a_line_for_each_and_leaves_the_hash),
        cmocka_unit_test(test_json__nested_values__are_written_with_commas_and_escapes),
        cmocka_unit_test(test_trace__more_entries_than_allowed__ends_the_run_by_no_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
