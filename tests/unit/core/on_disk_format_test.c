/* SPDX-License-Identifier: Apache-2.0 */
/* What docs/on-disk-format.md prints is what the encoders write, byte for byte. */
#include "core/bytes.h"
#include "core/directory_node.h"
#include "core/directory_root.h"
#include "core/hash.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/vectors.h"

#define DOCUMENT "docs/on-disk-format.md"

static void test_on_disk_format__superblock__as_documented(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_superblock superblock = sample_superblock();
    mkv_superblock_encode(&superblock, 2, unit);
    vectors_check(DOCUMENT, "superblock", unit, MKV_UNIT_BYTES);
    free(unit);
}

static void test_on_disk_format__journal_block__as_documented(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const uint64_t checksum = sample_journal_unit(unit);
    assert_true(checksum == mkv_load_u64(unit + 8));
    vectors_check(DOCUMENT, "journal-block", unit, MKV_UNIT_BYTES);
    free(unit);
}

static void test_on_disk_format__slot_header__as_documented(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_slot slot;
    sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
    mkv_slot_header_encode(&slot.header, unit);
    vectors_check(DOCUMENT, "slot-header", unit, MKV_UNIT_BYTES);
    free(unit);
}

static void test_on_disk_format__inline_slot__as_documented(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    uint8_t payload[SAMPLE_SLOT_INLINE_LENGTH];
    struct sample_slot slot;
    sample_payload_fill(payload, sizeof payload);
    sample_slot_init(&slot, sizeof payload);
    mkv_slot_header_encode(&slot.header, unit);
    mkv_slot_header_set_inline(unit, payload, sizeof payload);
    vectors_check(DOCUMENT, "slot-inline", unit, MKV_UNIT_BYTES);
    free(unit);
}

static void test_on_disk_format__checkpoint__as_documented(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_checkpoint_head head = sample_checkpoint_head();
    mkv_checkpoint_head_encode(&head, unit);
    vectors_check(DOCUMENT, "checkpoint-head", unit, MKV_UNIT_BYTES);
    sample_checkpoint_page_unit(unit);
    vectors_check(DOCUMENT, "checkpoint-page", unit, MKV_UNIT_BYTES);
    free(unit);
}

static void put_name(uint8_t *leaf, uint32_t index, const char *name,
                     const struct mkv_directory_value *value) {
    uint8_t scratch[MKV_UNIT_BYTES];
    struct mkv_directory_key key;
    mkv_directory_key_make(&key, 7, (const uint8_t *)name, (uint32_t)strlen(name));
    assert_true(mkv_directory_node_insert(
        leaf, index, &(struct mkv_directory_item){.key = &key, .value = *value}, scratch));
}

static void test_on_disk_format__directory__as_documented(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_uuid drive_uuid = sample_uuid(0x20);
    mkv_directory_node_begin(unit, 0);
    put_name(unit, 0, "kv/layer-00/block-0001",
             &(struct mkv_directory_value){{673}, 9877, 18, MKV_BLOCK_SEGMENT});
    put_name(unit, 1, "kv/layer-01/block-0001", &(struct mkv_directory_value){{5}, 9000, 2, 0});
    const uint64_t checksum = mkv_directory_node_seal(unit, &drive_uuid, 12, 9);
    vectors_check(DOCUMENT, "directory-node", unit, MKV_UNIT_BYTES);
    const struct mkv_directory_root root = {
        .drive_uuid = drive_uuid,
        .commit = 12,
        .root = {9, (uint32_t)checksum},
        .applied_sequence = 1235,
        .listed_generation = 9877,
        .entry_count = 2,
        .node_count = 1,
        .level_count = 1,
        .region_units = 20,
    };
    memset(unit, 0xa5, MKV_UNIT_BYTES);
    mkv_directory_root_encode(&root, unit);
    vectors_check(DOCUMENT, "directory-root", unit, MKV_UNIT_BYTES);
    free(unit);
}

static void test_on_disk_format__manifest__as_documented(void **state) {
    (void)state;
    uint8_t bytes[MKV_MANIFEST_BYTES];
    const struct mkv_manifest manifest = sample_manifest();
    mkv_manifest_encode(&manifest, bytes);
    vectors_check(DOCUMENT, "manifest", bytes, sizeof bytes);
    static const uint8_t key[] = {'e', 'x', 'a', 'm', 'p', 'l', 'e'};
    uint8_t segment_key[sizeof key + MKV_SEGMENT_KEY_SUFFIX_BYTES];
    assert_int_equal(mkv_segment_key(key, sizeof key, 2, manifest.id, segment_key),
                     sizeof segment_key);
    vectors_check(DOCUMENT, "segment-key", segment_key, sizeof segment_key);
}

static void test_on_disk_format__hashes__as_documented(void **state) {
    (void)state;
    struct sample_slot slot;
    uint8_t bytes[8];
    sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
    mkv_store_u64(bytes, mkv_key_tag(7, slot.key, slot.header.key_bytes));
    vectors_check(DOCUMENT, "key-tag", bytes, sizeof bytes);
    vectors_check(DOCUMENT, "chunk-sums", slot.sums, 16);
    vectors_check(DOCUMENT, "root", slot.header.root.bytes, 16);
    sample_slot_init(&slot, 0);
    vectors_check(DOCUMENT, "root-of-nothing", slot.header.root.bytes, 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_disk_format__superblock__as_documented),
        cmocka_unit_test(test_on_disk_format__journal_block__as_documented),
        cmocka_unit_test(test_on_disk_format__slot_header__as_documented),
        cmocka_unit_test(test_on_disk_format__inline_slot__as_documented),
        cmocka_unit_test(test_on_disk_format__checkpoint__as_documented),
        cmocka_unit_test(test_on_disk_format__directory__as_documented),
        cmocka_unit_test(test_on_disk_format__manifest__as_documented),
        cmocka_unit_test(test_on_disk_format__hashes__as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
