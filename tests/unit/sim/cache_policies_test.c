/* SPDX-License-Identifier: Apache-2.0 */
/* Each peer against a sequence worked out by hand from its paper, and all against the bound. */
#include "sim/random.h"
#include "sim/trace_replay.h"
#include "tests/unit/sim/test.h"

#define BLOCKS 26u

static struct mkv_cache_setup setup;
static const struct mkv_cache_policy *policy;
static void *cache;

static void open_cache(const struct mkv_cache_policy *opened, uint32_t capacity) {
    setup = (struct mkv_cache_setup){.capacity = capacity, .block_count = BLOCKS};
    policy = opened;
    cache = policy->create(test_memory(), &setup);
}

/* One access for each letter, 'a' is block 0. */
static void access_all(const char *letters) {
    for (; *letters != 0; letters++) {
        policy->access(cache, (uint32_t)(*letters - 'a'));
    }
}

static void expect_resident(const char *expected) {
    char found[BLOCKS + 1];
    uint32_t count = 0;
    for (uint32_t block = 0; block < BLOCKS; block++) {
        if (policy->resident(cache, block)) {
            found[count++] = (char)('a' + block);
        }
    }
    found[count] = 0;
    assert_string_equal(found, expected);
}

static void test_lru__hit_and_miss__the_oldest_access_leaves(void **state) {
    (void)state;
    open_cache(&mkv_policy_lru, 3);
    access_all("abc");
    access_all("a");
    access_all("d");
    expect_resident("acd");
    access_all("e");
    expect_resident("ade");
}

static void test_sieve__visited_blocks__are_passed_once_and_stay_in_place(void **state) {
    (void)state;
    open_cache(&mkv_policy_sieve, 3);
    access_all("abc");
    access_all("ac"); /* oldest to newest: a*, b, c* */
    access_all("d");  /* the hand clears a, evicts b, stands at c */
    expect_resident("acd");
    access_all("e"); /* clears c, evicts d, which nobody visited; a keeps its place */
    expect_resident("ace");
    access_all("f"); /* behind d came nothing, so it began at the oldest again: a goes */
    expect_resident("cef");
    access_all("g"); /* c lost its mark, and goes */
    expect_resident("efg");
}

static void test_s3_fifo__one_hit_wonders__leave_the_small_queue(void **state) {
    (void)state;
    open_cache(&mkv_policy_s3_fifo, 10); /* small 1, main 9, ghosts 9 */
    access_all("abcdefghij");            /* no eviction before it is full: all in small */
    access_all("aabb");                  /* accessed more than once again */
    access_all("k");                     /* a and b go to main, c to the ghosts */
    expect_resident("abdefghijk");
    access_all("c"); /* d leaves, and c, a ghost, comes to main */
    expect_resident("abcefghijk");
    access_all("lmnopqr"); /* e to k leave small one by one */
    expect_resident("abclmnopqr");
    access_all("stuvwx"); /* l to q */
    expect_resident("abcrstuvwx");
}

static void test_s3_fifo__main_is_full__frequency_buys_one_more_round(void **state) {
    (void)state;
    open_cache(&mkv_policy_s3_fifo, 3); /* small 1, main 2, ghosts 2 */
    access_all("abc");
    access_all("aaabbb"); /* frequency 3 each, of which the move to main keeps none */
    access_all("d");      /* a, b to main, c is a ghost */
    expect_resident("abd");
    access_all("a"); /* frequency 1 */
    access_all("c"); /* d leaves; c goes to main, which is over its share now: c, b, a */
    expect_resident("abc");
    access_all("e"); /* small is empty: a goes round once more, b leaves */
    expect_resident("ace");
}

static void test_arc__ghost_hits__move_the_target(void **state) {
    (void)state;
    open_cache(&mkv_policy_arc, 3);
    access_all("aab"); /* T1: b; T2: a */
    access_all("cd");  /* T1: d c b -> b becomes a ghost of recency; T2: a */
    expect_resident("acd");
    access_all("b"); /* in B1: target 1; T1 (2) is above it, so c leaves to B1; b to T2 */
    expect_resident("abd");
    access_all("e"); /* |T1| = 1 is not above the target: a, the oldest of T2, leaves */
    expect_resident("bde");
    access_all("f"); /* |T1| + |B1| = 3: B1 forgets c; |T1| = 2 is above the target: d leaves */
    expect_resident("bef");
}

static void test_arc__scan__spares_what_was_seen_twice(void **state) {
    (void)state;
    open_cache(&mkv_policy_arc, 4);
    access_all("aabb");
    access_all("cdefghijkl");
    expect_resident("abkl");
}

static void test_w_tinylfu__rare_candidate__is_not_admitted(void **state) {
    (void)state;
    open_cache(&mkv_policy_w_tinylfu, 3); /* window 1, main 2, of which 1 protected */
    access_all("abc");                    /* window c, probation b a */
    access_all("aabb");                   /* b protected, a back in probation; both frequent */
    access_all("d");                      /* c (once) asks against a (three times): no */
    expect_resident("abd");
    access_all("cccc"); /* d leaves the window for nothing; c is in the window, five times */
    expect_resident("abc");
    access_all("e"); /* c asks again, and a leaves */
    expect_resident("bce");
}

static void test_w_tinylfu__sample_is_over__frequencies_are_halved(void **state) {
    (void)state;
    open_cache(&mkv_policy_w_tinylfu, 2); /* window 1, main 1, sample 20 */
    access_all("ab");                     /* a in the main part */
    access_all("aaaaaaaa");               /* nine times */
    access_all("cccccccc");               /* b is refused, c nearly as frequent */
    access_all("cdcd");                   /* c, nine at its ask, does not beat nine; aged at 20 */
    access_all("cdcdcdcd");               /* now c grows above what is left of a */
    expect_resident("cd");
}

/* ---- the limit ------------------------------------------------------------------------------- */

static struct mkv_request_trace parse(const char *text) {
    struct mkv_request_trace trace;
    char error[MKV_TRACE_ERROR_BYTES];
    if (!mkv_request_trace_parse(&trace, "text", text, strlen(text), error)) {
        fail_msg("%s", error);
    }
    return trace;
}

static void test_belady__two_chains__keeps_what_is_next_and_its_prefix(void **state) {
    (void)state;
    struct mkv_request_trace trace = parse("{\"timestamp\":0,\"hash_ids\":[1,2,3]}\n"
                                           "{\"timestamp\":1,\"hash_ids\":[4,5]}\n"
                                           "{\"timestamp\":2,\"hash_ids\":[1,2,3]}\n"
                                           "{\"timestamp\":3,\"hash_ids\":[4,5]}\n");
    const struct mkv_replay_range all = {0, 4};
    /* Room for two: 1 and 2 until request 2, then 4 and 5 would have to be there before. */
    struct mkv_replay_count count =
        mkv_replay(&trace, &mkv_policy_belady, 2, all, MKV_ORDER_SUFFIX_FIRST, test_memory());
    assert_int_equal(count.references, 10);
    assert_int_equal(count.hits, 2);
    count = mkv_replay(&trace, &mkv_policy_belady, 4, all, MKV_ORDER_SUFFIX_FIRST, test_memory());
    assert_int_equal(count.hits, 4);
    count = mkv_replay(&trace, &mkv_policy_belady, 5, all, MKV_ORDER_SUFFIX_FIRST, test_memory());
    assert_int_equal(count.hits, 5);
    /* If only the last request counts, its two blocks are all that is kept. */
    const struct mkv_replay_range last = {3, 4};
    count = mkv_replay(&trace, &mkv_policy_belady, 2, last, MKV_ORDER_SUFFIX_FIRST, test_memory());
    assert_int_equal(count.references, 2);
    assert_int_equal(count.hits, 2);
    mkv_request_trace_free(&trace);
}

/* A random forest of chains: equal numbers always stand behind the same chain. */
static struct mkv_request_trace random_trace(uint64_t seed) {
    static char text[1u << 16];
    struct mkv_random random;
    mkv_random_seed(&random, seed, MKV_CONCERN_WORKLOAD);
    size_t at = 0;
    for (uint32_t request = 0; request < 200; request++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "{\"timestamp\":%u,\"hash_ids\":[0",
                               request * 10);
        uint32_t node = 0;
        const uint32_t depth = mkv_random_below(&random, 5);
        for (uint32_t level = 0; level < depth; level++) {
            node = node * 3 + 1 + mkv_random_below(&random, 3);
            at += (size_t)snprintf(text + at, sizeof text - at, ",%u", node);
        }
        at += (size_t)snprintf(text + at, sizeof text - at, "]}\n");
        assert_true(at < sizeof text - 64);
    }
    return parse(text);
}

static const struct mkv_cache_policy *const peers[] = {
    &mkv_policy_lru, &mkv_policy_s3_fifo, &mkv_policy_sieve, &mkv_policy_arc, &mkv_policy_w_tinylfu,
};

static void test_belady__random_chains__no_policy_has_more_hits(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct mkv_request_trace trace = random_trace(seed);
        const struct mkv_replay_range counted = {50, 200};
        for (uint32_t capacity = 2; capacity <= 40; capacity += 7) {
            const uint64_t limit = mkv_replay(&trace, &mkv_policy_belady, capacity, counted,
                                              MKV_ORDER_SUFFIX_FIRST, test_memory())
                                       .hits;
            for (uint32_t index = 0; index < sizeof peers / sizeof peers[0]; index++) {
                for (uint32_t order = 0; order < 2; order++) {
                    const uint64_t hits = mkv_replay(&trace, peers[index], capacity, counted,
                                                     (enum mkv_access_order)order, test_memory())
                                              .hits;
                    assert_true(hits <= limit);
                }
            }
        }
        mkv_request_trace_free(&trace);
    }
}

static void test_peers__any_sequence__hold_at_most_their_capacity(void **state) {
    (void)state;
    for (uint32_t index = 0; index < sizeof peers / sizeof peers[0]; index++) {
        for (uint32_t capacity = 2; capacity <= 12; capacity++) {
            mkv_memory_reset(test_memory());
            open_cache(peers[index], capacity);
            struct mkv_random random;
            mkv_random_seed(&random, capacity, MKV_CONCERN_WORKLOAD);
            for (uint32_t step = 0; step < 2000; step++) {
                const uint32_t block =
                    mkv_random_below(&random, 1 + mkv_random_below(&random, BLOCKS));
                policy->access(cache, block);
                uint32_t count = 0;
                for (uint32_t other = 0; other < BLOCKS; other++) {
                    count += policy->resident(cache, other);
                }
                assert_true(count <= capacity);
                /* What came last is never refused at once. */
                assert_true(policy->resident(cache, block));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lru__hit_and_miss__the_oldest_access_leaves),
        cmocka_unit_test(test_sieve__visited_blocks__are_passed_once_and_stay_in_place),
        cmocka_unit_test(test_s3_fifo__one_hit_wonders__leave_the_small_queue),
        cmocka_unit_test(test_s3_fifo__main_is_full__frequency_buys_one_more_round),
        cmocka_unit_test(test_arc__ghost_hits__move_the_target),
        cmocka_unit_test(test_arc__scan__spares_what_was_seen_twice),
        cmocka_unit_test(test_w_tinylfu__rare_candidate__is_not_admitted),
        cmocka_unit_test(test_w_tinylfu__sample_is_over__frequencies_are_halved),
        cmocka_unit_test(test_belady__two_chains__keeps_what_is_next_and_its_prefix),
        cmocka_unit_test(test_belady__random_chains__no_policy_has_more_hits),
        cmocka_unit_test(test_peers__any_sequence__hold_at_most_their_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
