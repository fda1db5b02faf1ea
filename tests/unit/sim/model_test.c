/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/model.h"

#include "tests/unit/sim/test.h"

#define SEEN(version) (MKV_MODEL_VERSION + (version))

static struct mkv_model model;

static void make(bool in_order) {
    mkv_model_init(&model, test_memory(), 2, in_order);
}

static uint32_t invoke(enum mkv_model_kind kind, uint32_t version) {
    return mkv_model_invoke(&model, 0, kind, version);
}
static void answer(uint32_t place, uint32_t result) {
    mkv_model_answer(&model, 0, place, result);
}
static void put(uint32_t version) {
    answer(invoke(MKV_MODEL_REPLACE, version), MKV_MODEL_OK);
}
static void read_is(uint32_t result) {
    answer(invoke(MKV_MODEL_READ, 0), result);
}

static void test_model__one_after_another__knows_what_each_comes_to(void **state) {
    (void)state;
    make(true);
    read_is(MKV_MODEL_MISS);
    answer(invoke(MKV_MODEL_DELETE, 0), MKV_MODEL_MISS);
    answer(invoke(MKV_MODEL_PUT, 1), MKV_MODEL_OK);
    read_is(SEEN(1));
    read_is(MKV_MODEL_PRESENT);
    answer(invoke(MKV_MODEL_PUT, 2), MKV_MODEL_CONFLICT);
    answer(invoke(MKV_MODEL_PUT, 1), MKV_MODEL_OK);
    answer(invoke(MKV_MODEL_REPLACE, 2), MKV_MODEL_OK);
    read_is(SEEN(2));
    answer(invoke(MKV_MODEL_DELETE, 0), MKV_MODEL_OK);
    read_is(MKV_MODEL_MISS);
    assert_true(mkv_model_allows(&model, 0, MKV_MODEL_ABSENT));
    assert_false(mkv_model_allows(&model, 0, 2));
}

static void put_if(enum mkv_model_kind kind, uint32_t version, uint32_t result) {
    const uint32_t place = invoke(kind, version);
    mkv_model_condition(&model, 0, place);
    answer(place, result);
}

static void test_model__put_with_a_condition__looks_at_what_there_is(void **state) {
    (void)state;
    make(true);
    put_if(MKV_MODEL_REPLACE, 1, MKV_MODEL_MISS);
    put_if(MKV_MODEL_PUT, 2, MKV_MODEL_OK);
    put_if(MKV_MODEL_PUT, 2, MKV_MODEL_CONFLICT);
    put_if(MKV_MODEL_REPLACE, 3, MKV_MODEL_OK);
    read_is(SEEN(3));
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, put_if(MKV_MODEL_PUT, 3, MKV_MODEL_OK));
    make(true);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, put_if(MKV_MODEL_REPLACE, 1, MKV_MODEL_OK));
    make(true);
    put(1);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, put_if(MKV_MODEL_REPLACE, 2, MKV_MODEL_MISS));
    /* What a purge ends may have been there when the put was decided, which then follows it. */
    make(true);
    put(1);
    const uint32_t purge = invoke(MKV_MODEL_PURGE, 0);
    put_if(MKV_MODEL_REPLACE, 2, MKV_MODEL_OK);
    answer(purge, MKV_MODEL_OK);
    answer(invoke(MKV_MODEL_DELETE, 0), MKV_MODEL_OK);
}

static void put_until(enum mkv_model_kind kind, uint32_t version, uint32_t expiry_s) {
    const uint32_t place = invoke(kind, version);
    mkv_model_expires(&model, 0, place, expiry_s);
    answer(place, MKV_MODEL_OK);
}

static void expire_at(uint32_t expiry_s, uint32_t result) {
    const uint32_t place = invoke(MKV_MODEL_EXPIRE, 0);
    mkv_model_expires(&model, 0, place, expiry_s);
    answer(place, result);
}

static void test_model__expire__sets_when_the_version_is_gone(void **state) {
    (void)state;
    make(true);
    mkv_model_time(&model, 100);
    expire_at(110, MKV_MODEL_MISS);
    put(1);
    expire_at(110, MKV_MODEL_OK);
    expire_at(105, MKV_MODEL_OK); /* sooner */
    mkv_model_time(&model, 105);
    read_is(MKV_MODEL_MISS);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, expire_at(0, MKV_MODEL_OK));
    make(true);
    mkv_model_time(&model, 100);
    put_until(MKV_MODEL_PUT, 1, 110);
    expire_at(0, MKV_MODEL_OK);
    mkv_model_crash(&model);
    mkv_model_time(&model, 110);
    read_is(SEEN(1));
    expire_at(110, MKV_MODEL_OK); /* now */
    read_is(MKV_MODEL_MISS);
}

static void told(uint32_t expiry_s) {
    const uint32_t place = invoke(MKV_MODEL_READ, 0);
    mkv_model_told_expiry(&model, 0, place, expiry_s);
    answer(place, MKV_MODEL_PRESENT);
}

static void test_model__told_when_it_expires__is_so(void **state) {
    (void)state;
    make(true);
    mkv_model_time(&model, 100);
    put_until(MKV_MODEL_PUT, 1, 110);
    told(110);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, told(0));
    make(true);
    put(1);
    told(0);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, told(110));
}

static void test_model__time_is_over__version_is_gone_at_that_second(void **state) {
    (void)state;
    make(true);
    mkv_model_time(&model, 100);
    put_until(MKV_MODEL_PUT, 1, 110);
    mkv_model_time(&model, 109);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, read_is(MKV_MODEL_MISS));
    make(true);
    mkv_model_time(&model, 100);
    put_until(MKV_MODEL_PUT, 1, 110);
    put_until(MKV_MODEL_PUT, 1, 105); /* which shortens nothing */
    mkv_model_time(&model, 109);
    const uint32_t before = invoke(MKV_MODEL_READ, 0);
    mkv_model_time(&model, 110);
    answer(before, SEEN(1)); /* it may have come before */
    read_is(MKV_MODEL_MISS);
    answer(invoke(MKV_MODEL_DELETE, 0), MKV_MODEL_MISS);
    put_until(MKV_MODEL_PUT, 2, 120); /* no conflict */
    put_until(MKV_MODEL_REPLACE, 2, 115);
    mkv_model_time(&model, 115);
    mkv_model_crash(&model);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(2)));
}

static void test_model__put_beside_the_end_of_the_old__may_have_met_either(void **state) {
    (void)state;
    for (uint32_t index = 0; index < 2; index++) {
        make(true);
        put_until(MKV_MODEL_PUT, 1, 110);
        const uint32_t beside = invoke(MKV_MODEL_PUT, 2);
        mkv_model_time(&model, 110);
        answer(beside, index == 0 ? MKV_MODEL_CONFLICT : MKV_MODEL_OK);
        read_is(index == 0 ? MKV_MODEL_MISS : SEEN(2));
    }
}

static void test_model__acknowledged_put_is_missed__fires_o1(void **state) {
    (void)state;
    make(true);
    put(1);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, read_is(MKV_MODEL_MISS));
    make(true);
    put(1);
    mkv_model_settle(&model);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, read_is(MKV_MODEL_MISS));
}

static void test_model__deleted_or_old_version_returns__fires_o2(void **state) {
    (void)state;
    make(true);
    put(1);
    answer(invoke(MKV_MODEL_DELETE, 0), MKV_MODEL_OK);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(1)));
    make(true);
    put(1);
    put(2);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(1)));
    make(true);
    put(1);
    answer(invoke(MKV_MODEL_DELETE, 0), MKV_MODEL_OK);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(MKV_MODEL_PRESENT));
}

static void test_model__conflict_without_a_live_block__fires_o2(void **state) {
    (void)state;
    make(true);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, answer(invoke(MKV_MODEL_PUT, 1), MKV_MODEL_CONFLICT));
}

static void test_model__crash_with_a_put_unanswered__allows_both_and_nothing_else(void **state) {
    (void)state;
    for (uint32_t seen = 1; seen <= 2; seen++) {
        make(true);
        put(1);
        (void)invoke(MKV_MODEL_REPLACE, 2);
        mkv_model_settle(&model);
        assert_true(mkv_model_allows(&model, 0, 1));
        assert_true(mkv_model_allows(&model, 0, 2));
        assert_false(mkv_model_allows(&model, 0, MKV_MODEL_ABSENT));
        read_is(SEEN(seen));
        /* What was seen is durable: it may not change any more. */
        mkv_model_settle(&model);
        EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(3 - seen)));
    }
}

static void test_model__unanswered_put_was_seen__is_durable_after_a_crash(void **state) {
    (void)state;
    make(true);
    put(1);
    (void)invoke(MKV_MODEL_REPLACE, 2);
    read_is(SEEN(2));
    mkv_model_settle(&model);
    assert_false(mkv_model_allows(&model, 0, 1));
    read_is(SEEN(2));
}

static void test_model__read_beside_a_put__may_see_either_until_it_is_answered(void **state) {
    (void)state;
    make(true);
    put(1);
    const uint32_t before = invoke(MKV_MODEL_READ, 0);
    const uint32_t mutation = invoke(MKV_MODEL_REPLACE, 2);
    const uint32_t beside = invoke(MKV_MODEL_READ, 0);
    answer(mutation, MKV_MODEL_OK);
    const uint32_t after = invoke(MKV_MODEL_READ, 0);
    answer(before, SEEN(1));
    answer(beside, SEEN(1));
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, answer(after, SEEN(1)));
}

static void test_model__miss_beside_a_delete__says_nothing(void **state) {
    (void)state;
    make(true);
    put(1);
    (void)invoke(MKV_MODEL_DELETE, 0);
    read_is(MKV_MODEL_MISS); /* hidden, and not gone yet */
    mkv_model_settle(&model);
    read_is(SEEN(1));
}

static void test_model__miss_beside_a_replacing_put__fires_o1_unless_it_hides(void **state) {
    (void)state;
    make(true);
    put(1);
    (void)invoke(MKV_MODEL_REPLACE, 2);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, read_is(MKV_MODEL_MISS));
    make(true);
    model.keys[0].replace_hides = true;
    put(1);
    (void)invoke(MKV_MODEL_REPLACE, 2);
    read_is(MKV_MODEL_MISS);
    mkv_model_settle(&model);
    assert_false(mkv_model_allows(&model, 0, MKV_MODEL_ABSENT));
}

static void test_model__mutations_in_order__take_effect_in_order(void **state) {
    (void)state;
    make(true);
    const uint32_t first = invoke(MKV_MODEL_REPLACE, 1);
    const uint32_t second = invoke(MKV_MODEL_REPLACE, 2);
    answer(second, MKV_MODEL_OK);
    answer(first, MKV_MODEL_OK);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(1)));
    make(false);
    const uint32_t one = invoke(MKV_MODEL_REPLACE, 1);
    const uint32_t other = invoke(MKV_MODEL_REPLACE, 2);
    answer(other, MKV_MODEL_OK);
    answer(one, MKV_MODEL_OK);
    read_is(SEEN(1));
}

static void test_model__cancelled_put__never_happened(void **state) {
    (void)state;
    make(true);
    put(1);
    const uint32_t place = invoke(MKV_MODEL_REPLACE, 2);
    mkv_model_cancel(&model, 0, place);
    mkv_model_settle(&model);
    assert_false(mkv_model_allows(&model, 0, 2));
    make(true);
    const uint32_t seen = invoke(MKV_MODEL_REPLACE, 2);
    read_is(SEEN(2));
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, mkv_model_cancel(&model, 0, seen));
}

static void test_model__abandoned_put__may_still_happen_until_settled(void **state) {
    (void)state;
    make(false);
    put(1);
    mkv_model_abandon(&model, 0, invoke(MKV_MODEL_REPLACE, 2));
    read_is(SEEN(1));
    read_is(SEEN(2));
    make(false);
    put(1);
    mkv_model_abandon(&model, 0, invoke(MKV_MODEL_REPLACE, 2));
    read_is(SEEN(1));
    mkv_model_settle(&model);
    read_is(SEEN(1));
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(2)));
}

static void test_model__rot_hit_the_key__it_may_be_missing_but_never_wrong(void **state) {
    (void)state;
    make(true);
    put(1);
    put(2);
    mkv_model_allow_loss(&model, 0);
    read_is(MKV_MODEL_MISS);
    assert_true(model.losses == 1);
    read_is(SEEN(2));
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(1)));
    answer(invoke(MKV_MODEL_PUT, 3), MKV_MODEL_OK);
    read_is(SEEN(3));
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(2)));
}

static void put_relaxed(uint32_t version) {
    const uint32_t place = invoke(MKV_MODEL_REPLACE, version);
    mkv_model_relax(&model, 0, place);
    answer(place, MKV_MODEL_OK);
}

static void test_model__relaxed_put__a_crash_alone_takes_it_away(void **state) {
    (void)state;
    make(false);
    put(1);
    answer(invoke(MKV_MODEL_DELETE, 0), MKV_MODEL_OK);
    put_relaxed(2);
    assert_true(mkv_model_unpersisted(&model, 0));
    read_is(SEEN(2));
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, read_is(MKV_MODEL_MISS));
    mkv_model_crash(&model);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(1)));
    read_is(MKV_MODEL_MISS);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(2)));
    make(false);
    put_relaxed(2);
    mkv_model_crash(&model);
    read_is(SEEN(2));
    mkv_model_crash(&model);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, read_is(MKV_MODEL_MISS));
}

static void test_model__relaxed_put_persisted_or_put_durably_again__stays(void **state) {
    (void)state;
    make(false);
    put_relaxed(2);
    mkv_model_persisted(&model, 0, 1);
    assert_true(mkv_model_unpersisted(&model, 0));
    mkv_model_persisted(&model, 0, 2);
    mkv_model_crash(&model);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, read_is(MKV_MODEL_MISS));
    make(false);
    put_relaxed(2);
    put_relaxed(2);
    assert_true(mkv_model_unpersisted(&model, 0));
    put(2);
    assert_false(mkv_model_unpersisted(&model, 0));
}

static void test_model__relaxed_put_not_written__is_gone_at_the_latest_when_idle(void **state) {
    (void)state;
    make(false);
    put_relaxed(2);
    mkv_model_persist_failed(&model, 0);
    read_is(SEEN(2)); /* the answer is on its way to the front */
    read_is(MKV_MODEL_MISS);
    mkv_model_settle(&model);
    read_is(MKV_MODEL_MISS);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(2)));
    make(false);
    const uint32_t place = invoke(MKV_MODEL_PUT, 2);
    mkv_model_relax(&model, 0, place);
    mkv_model_persist_failed(&model, 0);
    answer(place, MKV_MODEL_OK);
    read_is(MKV_MODEL_MISS);
    make(false);
    const uint32_t early = invoke(MKV_MODEL_PUT, 2);
    mkv_model_relax(&model, 0, early);
    mkv_model_persist_failed(&model, 0);
    answer(invoke(MKV_MODEL_PUT, 3), MKV_MODEL_OK); /* nothing was there any more */
    answer(early, MKV_MODEL_OK);
    read_is(SEEN(3));
}

static void test_model__relaxed_put_left_unwritten__is_there_or_not_until_a_crash(void **state) {
    (void)state;
    make(false);
    model.has_memory = true;
    put_relaxed(2);
    mkv_model_unwritten(&model, 0);
    mkv_model_settle(&model);
    read_is(SEEN(2));
    read_is(MKV_MODEL_MISS); /* memory has let go of it */
    put(3);
    read_is(SEEN(3));
    mkv_model_crash(&model);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(2)));
    read_is(SEEN(3));
}

static void test_model__evicted_with_memory__is_there_or_not_until_a_crash(void **state) {
    (void)state;
    make(false);
    model.has_memory = true;
    put(1);
    mkv_model_evict(&model, 0);
    mkv_model_evicted(&model, 0);
    read_is(SEEN(1));
    read_is(MKV_MODEL_MISS);
    read_is(SEEN(1));
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(2)));
    mkv_model_crash(&model);
    read_is(MKV_MODEL_MISS);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, read_is(SEEN(1)));
}

static void test_model__keys__do_not_touch_each_other(void **state) {
    (void)state;
    make(true);
    put(1);
    mkv_model_answer(&model, 1, mkv_model_invoke(&model, 1, MKV_MODEL_READ, 0), MKV_MODEL_MISS);
    assert_true(mkv_model_has_room(&model, 1));
    for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
        (void)mkv_model_invoke(&model, 1, MKV_MODEL_READ, 0);
    }
    assert_false(mkv_model_has_room(&model, 1));
    assert_true(mkv_model_has_room(&model, 0));
}

static uint32_t list(void) {
    const uint32_t place = invoke(MKV_MODEL_READ, 0);
    mkv_model_lists(&model, 0, place);
    return place;
}

static void test_model__listing_beside_a_replacing_put__may_miss_the_key(void **state) {
    (void)state;
    make(true);
    put(1);
    const uint32_t before = list();
    assert_false(mkv_model_may_answer(&model, 0, before, MKV_MODEL_MISS));
    assert_true(mkv_model_may_answer(&model, 0, before, MKV_MODEL_PRESENT));
    const uint32_t replacing = invoke(MKV_MODEL_REPLACE, 2);
    const uint32_t under = list();
    assert_true(mkv_model_may_answer(&model, 0, before, MKV_MODEL_MISS));
    answer(before, MKV_MODEL_MISS);
    answer(replacing, MKV_MODEL_OK);
    answer(under, MKV_MODEL_MISS);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, answer(list(), MKV_MODEL_MISS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__one_after_another__knows_what_each_comes_to),
        cmocka_unit_test(test_model__put_with_a_condition__looks_at_what_there_is),
        cmocka_unit_test(test_model__told_when_it_expires__is_so),
        cmocka_unit_test(test_model__expire__sets_when_the_version_is_gone),
        cmocka_unit_test(test_model__acknowledged_put_is_missed__fires_o1),
        cmocka_unit_test(test_model__deleted_or_old_version_returns__fires_o2),
        cmocka_unit_test(test_model__conflict_without_a_live_block__fires_o2),
        cmocka_unit_test(test_model__crash_with_a_put_unanswered__allows_both_and_nothing_else),
        cmocka_unit_test(test_model__unanswered_put_was_seen__is_durable_after_a_crash),
        cmocka_unit_test(test_model__read_beside_a_put__may_see_either_until_it_is_answered),
        cmocka_unit_test(test_model__miss_beside_a_delete__says_nothing),
        cmocka_unit_test(test_model__miss_beside_a_replacing_put__fires_o1_unless_it_hides),
        cmocka_unit_test(test_model__listing_beside_a_replacing_put__may_miss_the_key),
        cmocka_unit_test(test_model__mutations_in_order__take_effect_in_order),
        cmocka_unit_test(test_model__cancelled_put__never_happened),
        cmocka_unit_test(test_model__abandoned_put__may_still_happen_until_settled),
        cmocka_unit_test(test_model__rot_hit_the_key__it_may_be_missing_but_never_wrong),
        cmocka_unit_test(test_model__relaxed_put__a_crash_alone_takes_it_away),
        cmocka_unit_test(test_model__relaxed_put_persisted_or_put_durably_again__stays),
        cmocka_unit_test(test_model__relaxed_put_not_written__is_gone_at_the_latest_when_idle),
        cmocka_unit_test(test_model__relaxed_put_left_unwritten__is_there_or_not_until_a_crash),
        cmocka_unit_test(test_model__evicted_with_memory__is_there_or_not_until_a_crash),
        cmocka_unit_test(test_model__time_is_over__version_is_gone_at_that_second),
        cmocka_unit_test(test_model__put_beside_the_end_of_the_old__may_have_met_either),
        cmocka_unit_test(test_model__keys__do_not_touch_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
