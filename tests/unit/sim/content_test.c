/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/content.h"

#include "core/hash.h"
#include "tests/unit/sim/test.h"

#define KEYS 24u
#define COLLIDING 9u
#define LENGTH_MAX (3u * MKV_UNIT_BYTES)

static struct mkv_content content_make(void) {
    struct mkv_content content;
    mkv_content_init(&content, test_memory(), 42, KEYS, COLLIDING, MKV_KEY_BYTES_MAX, LENGTH_MAX);
    return content;
}

static void test_content_keys__colliding_ones__differ_but_have_one_tag(void **state) {
    (void)state;
    const struct mkv_content content = content_make();
    for (uint32_t a = 0; a < KEYS; a++) {
        const struct mkv_content_key *key = &content.keys[a];
        assert_true(key->tag == mkv_key_tag(MKV_TENANT_DEFAULT, key->bytes, key->byte_count));
        assert_int_equal(mkv_content_find(&content, key->bytes, key->byte_count), a);
        for (uint32_t b = 0; b < a; b++) {
            const bool same_tag = key->tag == content.keys[b].tag;
            assert_int_equal(same_tag, a < COLLIDING && b < COLLIDING);
        }
    }
    assert_int_equal(mkv_content_find(&content, (const uint8_t *)"other", 5), MKV_NONE_U32);
}

static void test_content_lengths__many_versions__meet_every_edge(void **state) {
    (void)state;
    const struct mkv_content content = content_make();
    bool empty = false;
    bool inline_max = false;
    bool inline_more = false;
    bool unit = false;
    bool most = false;
    for (uint32_t version = 1; version < 2000; version++) {
        for (uint32_t key = 0; key < KEYS; key++) {
            const uint32_t length = mkv_content_length(&content, key, version);
            assert_true(length <= LENGTH_MAX);
            empty = empty || length == 0;
            inline_max = inline_max || length == MKV_INLINE_BYTES_MAX;
            inline_more = inline_more || length == MKV_INLINE_BYTES_MAX + 1;
            unit = unit || length == MKV_UNIT_BYTES;
            most = most || length == LENGTH_MAX;
        }
    }
    assert_true(empty && inline_max && inline_more && unit && most);
}

static void test_content_equal__any_range__is_true_for_these_bytes_alone(void **state) {
    (void)state;
    const struct mkv_content content = content_make();
    uint8_t whole[600];
    uint8_t part[600];
    mkv_content_fill(&content, 3, 5, 0, whole, sizeof whole);
    for (uint32_t offset = 0; offset < 40; offset++) {
        for (uint32_t count = 0; count < 60; count++) {
            mkv_content_fill(&content, 3, 5, offset, part, count);
            assert_memory_equal(part, whole + offset, count);
            assert_true(mkv_content_equal(&content, 3, 5, offset, whole + offset, count));
            if (count > 0) {
                part[count - 1] ^= 0x10;
                assert_false(mkv_content_equal(&content, 3, 5, offset, part, count));
            }
            if (count >= 8) {
                assert_false(mkv_content_equal(&content, 3, 6, offset, whole + offset, count));
                assert_false(mkv_content_equal(&content, 4, 5, offset, whole + offset, count));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_keys__colliding_ones__differ_but_have_one_tag),
        cmocka_unit_test(test_content_lengths__many_versions__meet_every_edge),
        cmocka_unit_test(test_content_equal__any_range__is_true_for_these_bytes_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
