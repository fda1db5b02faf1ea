/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hotkeys.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/admin/test.h"

#define KEYS 20000u
#define ADDS 200000u

static uint64_t truth[KEYS];

static uint32_t key_text(uint32_t key, uint8_t text[32]) {
    return (uint32_t)snprintf((char *)text, 32, "model/%u", key);
}

static void count(struct mkv_hotkeys *hotkeys, uint32_t key) {
    uint8_t text[32];
    truth[key]++;
    mkv_hotkeys_count(hotkeys, key % 3, text, key_text(key, text));
}

static uint32_t draw(uint64_t *random) {
    *random = *random * 6364136223846793005ull + 1442695040888963407ull;
    const uint32_t bits = (uint32_t)(*random >> 33);
    return (bits % KEYS) >> (bits / KEYS % 14);
}

/* Holds I1 for all that are kept, and returns which keys they are. */
static uint32_t check(const struct mkv_hotkeys *hotkeys, bool kept[KEYS]) {
    static struct mkv_hotkey hot[MKV_HOTKEYS_KEPT];
    const uint32_t hot_count = mkv_hotkeys_copy(hotkeys, hot, MKV_HOTKEYS_KEPT);
    memset(kept, 0, KEYS);
    for (uint32_t i = 0; i < hot_count; i++) {
        char text[MKV_HOTKEY_KEY_BYTES + 1] = {0};
        unsigned key;
        memcpy(text, hot[i].key, hot[i].key_bytes);
        assert_int_equal(sscanf(text, "model/%u", &key), 1);
        assert_int_equal(hot[i].tenant, key % 3);
        assert_false(kept[key]); /* each once */
        kept[key] = true;
        assert_true(hot[i].error <= hot[i].count);
        assert_true(truth[key] <= hot[i].count);
        assert_true(hot[i].count - hot[i].error <= truth[key]);
        assert_true(i == 0 || hot[i - 1].count >= hot[i].count);
    }
    /* What is not kept was seen no more often than the coldest that is (I2). */
    for (uint32_t key = 0; hot_count == MKV_HOTKEYS_KEPT && key < KEYS; key++) {
        assert_true(kept[key] || truth[key] <= hot[hot_count - 1].count);
    }
    return hot_count;
}

static void test_hotkeys__many_keys__every_frequent_one_is_kept_within_its_error(void **state) {
    (void)state;
    static bool kept[KEYS];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        memset(truth, 0, sizeof truth);
        struct mkv_hotkeys *hotkeys = mkv_hotkeys_create(MKV_SKETCH_COLUMNS_DEFAULT);
        uint64_t random = seed;
        for (uint32_t i = 0; i < ADDS; i++) {
            count(hotkeys, draw(&random));
        }
        assert_int_equal(mkv_hotkeys_counted(hotkeys), ADDS);
        assert_int_equal(check(hotkeys, kept), MKV_HOTKEYS_KEPT);
        uint32_t frequent = 0;
        for (uint32_t key = 0; key < KEYS; key++) {
            const bool is_frequent = truth[key] > ADDS / MKV_HOTKEYS_KEPT + 50;
            frequent += is_frequent;
            assert_true(kept[key] || !is_frequent);
        }
        assert_true(frequent > 10);
        mkv_hotkeys_destroy(hotkeys);
    }
}

static void test_hotkeys__uniform_keys_and_a_late_one__the_late_one_is_kept(void **state) {
    (void)state;
    static bool kept[KEYS];
    memset(truth, 0, sizeof truth);
    struct mkv_hotkeys *hotkeys = mkv_hotkeys_create(MKV_SKETCH_COLUMNS_MIN);
    for (uint32_t i = 0; i < ADDS; i++) {
        count(hotkeys, i % (KEYS - 1));
    }
    for (uint32_t i = 0; i < ADDS / 8; i++) {
        count(hotkeys, KEYS - 1);
    }
    (void)check(hotkeys, kept);
    assert_true(kept[KEYS - 1]);
    mkv_hotkeys_destroy(hotkeys);
}

static void test_hotkeys_halve__now_and_then__bounds_go_on_to_hold(void **state) {
    (void)state;
    static bool kept[KEYS];
    memset(truth, 0, sizeof truth);
    struct mkv_hotkeys *hotkeys = mkv_hotkeys_create(512);
    uint64_t random = 9;
    for (uint32_t i = 1; i <= ADDS; i++) {
        count(hotkeys, draw(&random));
        if (i % 30000 == 0) {
            mkv_hotkeys_halve(hotkeys);
            for (uint32_t key = 0; key < KEYS; key++) {
                truth[key] /= 2;
            }
            (void)check(hotkeys, kept);
        }
    }
    (void)check(hotkeys, kept);
    assert_int_equal(mkv_hotkeys_halvings(hotkeys), ADDS / 30000);
    mkv_hotkeys_destroy(hotkeys);
}

static void test_hotkeys__long_key__its_beginning_is_kept(void **state) {
    (void)state;
    struct mkv_hotkeys *hotkeys = mkv_hotkeys_create(64);
    uint8_t key[MKV_KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    mkv_hotkeys_count(hotkeys, 1, key, sizeof key);
    key[sizeof key - 1] = 'x'; /* another key with the same beginning */
    mkv_hotkeys_count(hotkeys, 1, key, sizeof key);
    mkv_hotkeys_count(hotkeys, 2, key, sizeof key); /* and of another tenant */
    struct mkv_hotkey hot[4];
    assert_int_equal(mkv_hotkeys_copy(hotkeys, hot, 2), 2);
    assert_int_equal(mkv_hotkeys_copy(hotkeys, hot, 4), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(hot[i].count, 1);
        assert_int_equal(hot[i].error, 0);
        assert_int_equal(hot[i].key_bytes, sizeof key);
        assert_memory_equal(hot[i].key, key, sizeof hot[i].key);
    }
    mkv_hotkeys_destroy(hotkeys);
}

struct copier {
    const struct mkv_hotkeys *hotkeys;
    atomic_bool stop;
    atomic_bool torn;
};

static void *copy_on(void *context) {
    struct copier *copier = context;
    static struct mkv_hotkey hot[MKV_HOTKEYS_KEPT];
    while (!atomic_load(&copier->stop)) {
        const uint32_t hot_count = mkv_hotkeys_copy(copier->hotkeys, hot, MKV_HOTKEYS_KEPT);
        for (uint32_t i = 0; i < hot_count; i++) {
            char text[MKV_HOTKEY_KEY_BYTES + 1] = {0};
            unsigned key;
            memcpy(text, hot[i].key, MKV_HOTKEY_KEY_BYTES);
            if (sscanf(text, "model/%u", &key) != 1 || hot[i].tenant != key % 3 ||
                hot[i].key_bytes != strlen(text) || hot[i].error > hot[i].count) {
                atomic_store(&copier->torn, true);
            }
        }
    }
    return NULL;
}

static void test_hotkeys_copy__while_another_thread_counts__names_are_whole(void **state) {
    (void)state;
    struct mkv_hotkeys *hotkeys = mkv_hotkeys_create(64);
    struct copier copier = {.hotkeys = hotkeys};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, copy_on, &copier), 0);
    uint64_t random = 3;
    for (uint32_t i = 0; i < 2 * ADDS; i++) {
        count(hotkeys, draw(&random));
        if (i % 5000 == 0) {
            mkv_hotkeys_halve(hotkeys);
        }
    }
    atomic_store(&copier.stop, true);
    pthread_join(thread, NULL);
    assert_false(atomic_load(&copier.torn));
    mkv_hotkeys_destroy(hotkeys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hotkeys__many_keys__every_frequent_one_is_kept_within_its_error),
        cmocka_unit_test(test_hotkeys__uniform_keys_and_a_late_one__the_late_one_is_kept),
        cmocka_unit_test(test_hotkeys_halve__now_and_then__bounds_go_on_to_hold),
        cmocka_unit_test(test_hotkeys__long_key__its_beginning_is_kept),
        cmocka_unit_test(test_hotkeys_copy__while_another_thread_counts__names_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
