/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/seqlock.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/admin/test.h"

#define WORDS 64u
#define COPIES 20000u

struct record {
    uint64_t sequence;
    uint64_t words[WORDS];
    atomic_bool stop;
};

static void *write_on(void *context) {
    struct record *record = context;
    uint64_t words[WORDS];
    for (uint64_t value = 1; !atomic_load(&record->stop); value++) {
        for (uint32_t i = 0; i < WORDS; i++) {
            words[i] = value;
        }
        mkv_seqlock_store(&record->sequence, record->words, words, WORDS);
    }
    return NULL;
}

static void test_seqlock__written_all_the_time__copies_are_whole(void **state) {
    (void)state;
    static struct record record;
    uint64_t copy[WORDS];
    assert_false(mkv_seqlock_load(&record.sequence, copy, record.words, WORDS));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &record), 0);
    uint32_t copies = 0;
    uint64_t before = 0;
    bool torn = false;
    for (uint32_t i = 0; i < COPIES || copies == 0; i++) {
        if (mkv_seqlock_load(&record.sequence, copy, record.words, WORDS)) {
            copies++;
            torn = torn || copy[0] != copy[WORDS - 1] || copy[0] < before;
            before = copy[0];
        }
    }
    atomic_store(&record.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(torn);
}

static void test_seqlock__being_written__is_passed_over(void **state) {
    (void)state;
    uint64_t sequence = 3; /* the writer is at it */
    const uint64_t source[2] = {1, 2};
    uint64_t copy[2];
    assert_false(mkv_seqlock_load(&sequence, copy, source, 2));
    sequence = 4;
    assert_true(mkv_seqlock_load(&sequence, copy, source, 2));
    assert_memory_equal(copy, source, sizeof source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seqlock__written_all_the_time__copies_are_whole),
        cmocka_unit_test(test_seqlock__being_written__is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
