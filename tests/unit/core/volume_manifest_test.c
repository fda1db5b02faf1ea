/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests of one value, which differ in their ids: tests of core/volume_mutate.c. */
#include "core/hash.h"
#include "core/manifest.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define VALUE_BYTES 300000u

static struct mkv_manifest manifest_of(uint64_t id, uint8_t value) {
    struct mkv_manifest manifest = {
        .length = VALUE_BYTES, .segment_bytes = 131072, .segment_count = 3, .id = id};
    manifest.root.bytes[0] = value;
    return manifest;
}

static struct mkv_root root_of(const struct mkv_manifest *manifest, uint8_t *payload) {
    uint64_t sum;
    mkv_manifest_encode(manifest, payload);
    mkv_chunk_sums(payload, MKV_MANIFEST_BYTES, &sum);
    return mkv_root_of_sums(MKV_MANIFEST_BYTES, &sum);
}

/* Puts the manifest under "key"; `replaces` is of the one that is to give way, or NULL. */
static enum mkv_status put(struct rig *rig, struct mkv_manifest manifest, uint32_t flags,
                           const struct mkv_manifest *replaces) {
    uint8_t payload[MKV_MANIFEST_BYTES];
    uint8_t other[MKV_MANIFEST_BYTES];
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    input.data = (const uint8_t *)"key";
    input.data_bytes = 3;
    input.message = (struct mkv_message){
        .kind = MKV_MESSAGE_PUT_BEGIN,
        .flags = MKV_BLOCK_MANIFEST | flags | (replaces != NULL ? MKV_PUT_REPLACE_ROOT : 0),
        .length = MKV_MANIFEST_BYTES,
        .root = root_of(&manifest, payload),
        .value_length = manifest.length,
        .value_root = manifest.root,
        .expiry_s = rig->expiry_s,
        .data_bytes = 3,
    };
    if (replaces != NULL) {
        input.message.replaces = root_of(replaces, other);
    }
    rig->answer_count = 0;
    rig_step(rig, &input);
    rig_settle(rig);
    if (rig_last(rig)->kind == MKV_MESSAGE_PUT_READY) {
        input.data = payload;
        input.data_bytes = MKV_MANIFEST_BYTES;
        input.message = (struct mkv_message){.kind = MKV_MESSAGE_PUT_WRITE,
                                             .volume_op = rig_last(rig)->volume_op,
                                             .flags = MKV_BLOCK_MANIFEST,
                                             .data_bytes = MKV_MANIFEST_BYTES};
        rig_step(rig, &input);
        rig_settle(rig);
    }
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    return rig_last(rig)->status;
}

static bool was_there(const struct rig *rig) {
    return (rig_last(rig)->flags & MKV_PUT_THERE) != 0;
}

static void test_volume_manifest__other_id_same_value__is_there(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(put(rig, manifest_of(1, 7), 0, NULL), MKV_STATUS_OK);
    assert_false(was_there(rig));
    assert_int_equal(put(rig, manifest_of(2, 7), 0, NULL), MKV_STATUS_OK);
    assert_true(was_there(rig));
    assert_int_equal(put(rig, manifest_of(1, 7), 0, NULL), MKV_STATUS_OK);
    assert_true(was_there(rig));
    assert_int_equal(rig_stats(rig).puts_deduplicated_total, 2);
    assert_int_equal(rig_stats(rig).blocks, 1);
    rig_destroy(rig);
}

static void test_volume_manifest__other_value__is_a_conflict(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(put(rig, manifest_of(1, 7), 0, NULL), MKV_STATUS_OK);
    assert_int_equal(put(rig, manifest_of(1, 8), 0, NULL), MKV_STATUS_CONFLICT);
    struct mkv_manifest longer = manifest_of(1, 7);
    longer.length++;
    assert_int_equal(put(rig, longer, 0, NULL), MKV_STATUS_CONFLICT);
    assert_int_equal(rig_put(rig, "small", 500, 3, 0), MKV_STATUS_OK);
    rig_destroy(rig);
}

/* Its segments may be what is missing. */
static void test_volume_manifest__same_value_that_is_to_replace__is_stored(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    const struct mkv_manifest first = manifest_of(1, 7);
    assert_int_equal(put(rig, first, 0, NULL), MKV_STATUS_OK);
    assert_int_equal(put(rig, manifest_of(2, 7), MKV_PUT_REPLACE, NULL), MKV_STATUS_OK);
    assert_false(was_there(rig));
    const struct mkv_manifest second = manifest_of(2, 7);
    assert_int_equal(put(rig, manifest_of(3, 7), 0, &second), MKV_STATUS_OK);
    assert_false(was_there(rig));
    /* Another one has come since. */
    assert_int_equal(put(rig, manifest_of(4, 7), 0, &first), MKV_STATUS_OK);
    assert_true(was_there(rig));
    rig_destroy(rig);
}

/* The segments of the live one have its expiry: they would be gone before it. */
static void test_volume_manifest__same_value_that_lasts_longer__takes_its_place(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    const uint32_t now_s = (uint32_t)(rig->wall_ms / 1000);
    rig->expiry_s = now_s + 100;
    assert_int_equal(put(rig, manifest_of(1, 7), 0, NULL), MKV_STATUS_OK);
    rig->expiry_s = now_s + 50;
    assert_int_equal(put(rig, manifest_of(2, 7), 0, NULL), MKV_STATUS_OK);
    assert_true(was_there(rig));
    rig->expiry_s = now_s + 200;
    assert_int_equal(put(rig, manifest_of(3, 7), 0, NULL), MKV_STATUS_OK);
    assert_false(was_there(rig));
    assert_int_equal(rig_stats(rig).blocks, 1);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume_manifest__other_id_same_value__is_there),
        cmocka_unit_test(test_volume_manifest__other_value__is_a_conflict),
        cmocka_unit_test(test_volume_manifest__same_value_that_is_to_replace__is_stored),
        cmocka_unit_test(test_volume_manifest__same_value_that_lasts_longer__takes_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
