/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision, against a table of rows that is written down a second time here: every combination
 * of what up to three drives can say matches exactly one row, and comes to what that row says.
 */
#include "core/drive_set.h"

#include "tests/unit/core/test.h"

#define DRIVES 3u
#define WORD MKV_DRIVE_SET_WORD_STEP

static struct mkv_uuid uuid_of(char letter) {
    struct mkv_uuid uuid;
    memset(uuid.bytes, letter, sizeof uuid.bytes);
    return uuid;
}

static const struct mkv_uuid fresh[DRIVES + 1] = {{{1}}, {{2}}, {{3}}, {{4}}};

/* ---- what a drive can say -------------------------------------------------------------------- */

/* Members are bits: a is 1, b is 2, c is 4. */
struct says {
    enum mkv_drive_claim_kind kind;
    uint64_t version;
    uint64_t before;
    uint32_t members;
    bool opened;
    uint64_t word;
};

static struct mkv_drive_set set_of(const struct says *says) {
    struct mkv_drive_set set = {
        .version = says->version, .version_before = says->before, .word = says->word};
    for (uint32_t bit = 0; bit < DRIVES; bit++) {
        if (says->members & (1u << bit)) {
            mkv_drive_set_add(&set, (struct mkv_member){uuid_of((char)('a' + bit)), 1});
        }
    }
    return set;
}

static struct mkv_drive_claim claim_of(const struct says *says, uint32_t drive) {
    return (struct mkv_drive_claim){
        .kind = says->kind,
        .usable_units = 1000,
        .store_uuid = uuid_of('S'),
        .drive_uuid = uuid_of((char)('a' + drive)),
        .opened = says->opened,
        .set = set_of(says),
    };
}

#define SAYS_MAX 40u

/* Everything that drive `drive` can say; returns the count. */
static uint32_t all_says(uint32_t drive, struct says out[SAYS_MAX]) {
    static const struct {
        uint64_t version;
        uint64_t before;
        uint64_t word;
    } versions[] = {{1, 0, 0}, {2, 1, 0}, {3, 2, 0}, {WORD, 2, 5}, {WORD + 1, WORD, 6}};
    uint32_t count = 0;
    out[count++] = (struct says){.kind = MKV_DRIVE_CLAIM_ABSENT};
    out[count++] = (struct says){.kind = MKV_DRIVE_CLAIM_BLANK};
    out[count++] = (struct says){MKV_DRIVE_CLAIM_STORE, 0, 0, 1u << drive, false, 0};
    for (uint32_t members = 1; members < 8; members++) {
        if ((members & (1u << drive)) == 0) {
            continue;
        }
        out[count++] = (struct says){MKV_DRIVE_CLAIM_STORE, 1, 0, members, false, 0};
        for (uint32_t i = 0; i < 5; i++) {
            out[count++] = (struct says){
                MKV_DRIVE_CLAIM_STORE, versions[i].version, versions[i].before, members, true,
                versions[i].word};
        }
    }
    return count;
}

/* ---- the rows -------------------------------------------------------------------------------- */

struct facts {
    const struct says *says[DRIVES];
    uint32_t lost; /* bits */
    uint32_t stores;
    uint32_t blanks;
    uint32_t absents;
    bool has_set;    /* some drive has one */
    bool clash;      /* two sets of the newest version */
    bool clash_left; /* … also without the lost drives, or none is left without them */
    struct says newest;
    uint32_t missing; /* members of the newest set that are not there */
    bool cut_short;
};

static bool is_store(const struct says *says) {
    return says->kind == MKV_DRIVE_CLAIM_STORE;
}

static bool same_set(const struct says *a, const struct says *b) {
    return a->version == b->version && a->before == b->before && a->word == b->word &&
           a->members == b->members;
}

/* The newest set among the drives in `drives`; false when none has one or two differ. */
static bool find_newest(const struct facts *facts, uint32_t drives, struct says *newest,
                        bool *any) {
    bool agree = true;
    *any = false;
    newest->version = 0;
    for (uint32_t i = 0; i < DRIVES; i++) {
        if ((drives & (1u << i)) && is_store(facts->says[i])) {
            *any = *any || facts->says[i]->version > 0;
            newest->version = mkv_max_u64(newest->version, facts->says[i]->version);
        }
    }
    const struct says *first = NULL;
    for (uint32_t i = 0; i < DRIVES; i++) {
        if ((drives & (1u << i)) && is_store(facts->says[i]) &&
            facts->says[i]->version == newest->version) {
            agree = agree && (first == NULL || same_set(first, facts->says[i]));
            first = first == NULL ? facts->says[i] : first;
        }
    }
    for (uint32_t i = 0; i < DRIVES; i++) {
        if ((drives & (1u << i)) && is_store(facts->says[i]) && facts->says[i]->version > 0 &&
            facts->says[i]->version / WORD == first->version / WORD) {
            agree = agree && facts->says[i]->word == first->word;
        }
    }
    if (first != NULL) {
        *newest = *first;
    }
    return agree;
}

static void find_facts(struct facts *facts) {
    bool any_opened = false;
    bool any;
    for (uint32_t i = 0; i < DRIVES; i++) {
        facts->stores |= (uint32_t)is_store(facts->says[i]) << i;
        facts->blanks += facts->says[i]->kind == MKV_DRIVE_CLAIM_BLANK;
        facts->absents += facts->says[i]->kind == MKV_DRIVE_CLAIM_ABSENT;
        any_opened = any_opened || (is_store(facts->says[i]) && facts->says[i]->opened);
    }
    facts->clash = !find_newest(facts, facts->stores, &facts->newest, &facts->has_set);
    if (facts->clash) {
        facts->clash_left =
            !find_newest(facts, facts->stores & ~facts->lost, &facts->newest, &any) || !any;
    }
    facts->missing = facts->newest.members & ~facts->stores;
    uint32_t missing_count = 0;
    for (uint32_t i = 0; i < DRIVES; i++) {
        missing_count += (facts->missing >> i) & 1u;
    }
    facts->cut_short = !facts->clash && missing_count > 0 && missing_count == facts->blanks &&
                       !any_opened && facts->newest.version == MKV_DRIVE_SET_VERSION_FIRST;
}

struct row {
    const char *text;
    bool (*matches)(const struct facts *facts);
    enum mkv_drive_set_refusal refusal;
};

static bool row_new_store(const struct facts *facts) {
    return facts->stores == 0 && facts->absents == 0;
}
static bool row_incomplete(const struct facts *facts) {
    return facts->stores == 0 && facts->absents > 0;
}
static bool row_no_member(const struct facts *facts) {
    return facts->stores != 0 && !facts->has_set;
}
static bool row_two_sets(const struct facts *facts) {
    return facts->has_set && facts->clash && facts->clash_left;
}
static bool chosen(const struct facts *facts) {
    return facts->has_set && !(facts->clash && facts->clash_left);
}
static bool row_missing(const struct facts *facts) {
    return chosen(facts) && !facts->cut_short && (facts->missing & ~facts->lost) != 0;
}
static bool row_cut_short(const struct facts *facts) {
    return chosen(facts) && facts->cut_short;
}
static bool row_whole(const struct facts *facts) {
    return chosen(facts) && !facts->clash && facts->missing == 0;
}
static bool row_word(const struct facts *facts) {
    return chosen(facts) && !facts->cut_short && (facts->missing & ~facts->lost) == 0 &&
           (facts->missing != 0 || facts->clash);
}

static const struct row rows[] = {
    {"no store, every drive blank", row_new_store, MKV_DRIVE_SET_ACCEPTED},
    {"no store, a drive not there", row_incomplete, MKV_DRIVE_SET_INCOMPLETE},
    {"stores without a set", row_no_member, MKV_DRIVE_SET_NO_MEMBER},
    {"two sets, and no word that chooses", row_two_sets, MKV_DRIVE_SET_TWO_SETS},
    {"one set, members missing without a word", row_missing, MKV_DRIVE_SET_MISSING},
    {"one set, a first start that was cut short", row_cut_short, MKV_DRIVE_SET_ACCEPTED},
    {"one set, all there", row_whole, MKV_DRIVE_SET_ACCEPTED},
    {"the operator's word", row_word, MKV_DRIVE_SET_ACCEPTED},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* What becomes of one drive, in an accepted plan. */
static enum mkv_drive_action action_of(const struct facts *facts, uint32_t drive) {
    const struct says *says = facts->says[drive];
    if (says->kind != MKV_DRIVE_CLAIM_STORE) {
        return says->kind == MKV_DRIVE_CLAIM_BLANK ? MKV_DRIVE_FORMAT : MKV_DRIVE_ABSENT;
    }
    const bool named = (facts->newest.members & (1u << drive)) != 0;
    const bool distrusted = facts->clash && (facts->lost & (1u << drive)) != 0;
    if (distrusted || !named) {
        return MKV_DRIVE_JOIN_EMPTY;
    }
    if (same_set(says, &facts->newest)) {
        return MKV_DRIVE_KEEP;
    }
    return says->version > 0 && says->version == facts->newest.before ? MKV_DRIVE_KEEP_AND_RAISE
                                                                      : MKV_DRIVE_JOIN_EMPTY;
}

static void check_accepted(const struct facts *facts, const struct mkv_drive_set_plan *plan) {
    if (facts->stores == 0) {
        assert_int_equal(plan->newest.count, DRIVES);
        assert_int_equal(plan->newest.version, MKV_DRIVE_SET_VERSION_FIRST);
        return;
    }
    const struct mkv_drive_set newest = set_of(&facts->newest);
    assert_true(mkv_drive_set_equal(&plan->newest, &newest));
    uint32_t members = facts->newest.members;
    if (row_word(facts)) {
        members &= ~(facts->missing | (facts->clash ? facts->lost : 0));
        assert_int_equal(plan->first.version % WORD, 0);
        assert_int_equal(plan->first.version_before, newest.version);
    } else {
        assert_true(mkv_drive_set_equal(&plan->first, &plan->newest));
    }
    uint32_t keepers = 0;
    for (uint32_t i = 0; i < DRIVES; i++) {
        const struct mkv_uuid uuid = uuid_of((char)('a' + i));
        const bool named = mkv_drive_set_find(&plan->first, uuid) != MKV_NONE_U32;
        assert_int_equal(plan->actions[i], action_of(facts, i));
        assert_int_equal(named, (members >> i) & 1u);
        /* I2, and that none which is to join is taken for one that was caught in between. */
        if (is_store(facts->says[i])) {
            assert_true(facts->says[i]->version <= plan->first.version);
            assert_true(plan->actions[i] != MKV_DRIVE_JOIN_EMPTY || named ||
                        facts->says[i]->version < plan->first.version);
        }
        keepers += plan->actions[i] == MKV_DRIVE_KEEP;
    }
    assert_true(keepers > 0);
}

static uint64_t matched[ROW_COUNT];

static void check(const struct says *const says[DRIVES], uint32_t lost) {
    struct facts facts = {.says = {says[0], says[1], says[2]}, .lost = lost};
    struct mkv_drive_claim claims[DRIVES];
    struct mkv_uuid lost_uuids[DRIVES];
    struct mkv_drive_set_question question = {
        .count = DRIVES, .claims = claims, .lost = lost_uuids, .fresh = fresh};
    for (uint32_t i = 0; i < DRIVES; i++) {
        claims[i] = claim_of(says[i], i);
        if (lost & (1u << i)) {
            lost_uuids[question.lost_count++] = uuid_of((char)('a' + i));
        }
    }
    find_facts(&facts);
    uint32_t row = ROW_COUNT;
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].matches(&facts)) {
            assert_int_equal(row, ROW_COUNT); /* no other row matched */
            row = i;
        }
    }
    assert_true(row < ROW_COUNT);
    matched[row]++;
    struct mkv_drive_set_plan plan;
    mkv_drive_set_decide(&question, &plan);
    assert_int_equal(plan.refusal, rows[row].refusal);
    if (plan.refusal == MKV_DRIVE_SET_ACCEPTED) {
        check_accepted(&facts, &plan);
    }
}

static void test_decide__every_combination__matches_exactly_one_row(void **state) {
    (void)state;
    struct says says[DRIVES][SAYS_MAX];
    uint32_t counts[DRIVES];
    for (uint32_t drive = 0; drive < DRIVES; drive++) {
        counts[drive] = all_says(drive, says[drive]);
    }
    for (uint32_t a = 0; a < counts[0]; a++) {
        for (uint32_t b = 0; b < counts[1]; b++) {
            for (uint32_t c = 0; c < counts[2]; c++) {
                const struct says *const one[DRIVES] = {&says[0][a], &says[1][b], &says[2][c]};
                for (uint32_t lost = 0; lost < 8; lost++) {
                    check(one, lost);
                }
            }
        }
    }
    for (uint32_t row = 0; row < ROW_COUNT; row++) {
        if (matched[row] == 0) {
            fail_msg("no combination matches the row: %s", rows[row].text);
        }
    }
}

/* ---- what the rows leave out ----------------------------------------------------------------- */

static void decide_two(struct mkv_drive_claim claims[2], struct mkv_drive_set_plan *plan) {
    const struct mkv_drive_set_question question = {.count = 2, .claims = claims, .fresh = fresh};
    mkv_drive_set_decide(&question, plan);
}

static void test_decide__drives_that_do_not_belong_together__refused(void **state) {
    (void)state;
    const struct says both = {MKV_DRIVE_CLAIM_STORE, 1, 0, 3, true, 0};
    struct mkv_drive_set_plan plan;
    struct mkv_drive_claim claims[2] = {claim_of(&both, 0), claim_of(&both, 1)};
    claims[1].store_uuid = uuid_of('T');
    decide_two(claims, &plan);
    assert_int_equal(plan.refusal, MKV_DRIVE_SET_FOREIGN);
    assert_int_equal(plan.drive, 1);
    assert_int_equal(plan.actions[1], MKV_DRIVE_FOREIGN);

    claims[1] = claims[0];
    decide_two(claims, &plan);
    assert_int_equal(plan.refusal, MKV_DRIVE_SET_TWINS);

    claims[1] = claim_of(&both, 2); /* c, which the set does not name */
    decide_two(claims, &plan);
    assert_int_equal(plan.refusal, MKV_DRIVE_SET_TORN);
    assert_int_equal(plan.drive, 1);

    claims[1] = claim_of(&both, 1); /* a set that names a drive twice is nobody's */
    claims[1].set.members[0] = claims[1].set.members[1];
    decide_two(claims, &plan);
    assert_int_equal(plan.refusal, MKV_DRIVE_SET_TORN);
}

/* A word that was wrong: the drives it speaks of went on by themselves, one failing after another.
 * What was made by the word counts, however far they came. */
static void test_decide__lost_drive_went_on__older_than_the_word(void **state) {
    (void)state;
    const struct says alone = {MKV_DRIVE_CLAIM_STORE, 3, 2, 1, true, 0};
    const struct says by_word = {MKV_DRIVE_CLAIM_STORE, WORD, 1, 2, true, 5};
    struct mkv_drive_set_plan plan;
    struct mkv_drive_claim claims[2] = {claim_of(&alone, 0), claim_of(&by_word, 1)};
    decide_two(claims, &plan);
    assert_int_equal(plan.refusal, MKV_DRIVE_SET_ACCEPTED);
    assert_int_equal(plan.actions[0], MKV_DRIVE_JOIN_EMPTY);
    assert_int_equal(plan.actions[1], MKV_DRIVE_KEEP);
}

/* Two words that speak against each other, one of which was followed by a change. */
static void test_decide__two_words_one_went_on__refused(void **state) {
    (void)state;
    const struct says went_on = {MKV_DRIVE_CLAIM_STORE, WORD + 1, WORD, 1, true, 5};
    const struct says other = {MKV_DRIVE_CLAIM_STORE, WORD, 1, 2, true, 7};
    struct mkv_drive_set_plan plan;
    struct mkv_drive_claim claims[2] = {claim_of(&went_on, 0), claim_of(&other, 1)};
    decide_two(claims, &plan);
    assert_int_equal(plan.refusal, MKV_DRIVE_SET_TWO_SETS);
    assert_int_equal(plan.drive + plan.other, 1);
}

/* Of two halves the one that took a later word counts: no superblock holds the words before. */
static void test_decide__two_words_one_followed_by_another__the_later_counts(void **state) {
    (void)state;
    const struct says half = {MKV_DRIVE_CLAIM_STORE, WORD, 1, 1, true, 5};
    const struct says other = {MKV_DRIVE_CLAIM_STORE, 2 * WORD, WORD, 2, true, 6};
    struct mkv_drive_claim claims[2] = {claim_of(&half, 0), claim_of(&other, 1)};
    struct mkv_drive_set_plan plan;
    decide_two(claims, &plan);
    assert_int_equal(plan.refusal, MKV_DRIVE_SET_ACCEPTED);
    assert_int_equal(plan.actions[0], MKV_DRIVE_JOIN_EMPTY);
    assert_int_equal(plan.actions[1], MKV_DRIVE_KEEP);
}

static void test_decide__a_drive_that_joins__weight_beside_the_members(void **state) {
    (void)state;
    const struct says one = {MKV_DRIVE_CLAIM_STORE, 1, 0, 1, true, 0};
    struct mkv_drive_set_plan plan;
    struct mkv_drive_claim claims[2] = {claim_of(&one, 0), {.kind = MKV_DRIVE_CLAIM_BLANK}};
    claims[0].set.members[0].weight = 8;
    static const struct {
        uint64_t usable_units;
        uint32_t weight;
    } cases[] = {{1000, 8}, {500, 4}, {2060, 16}, {1, 1}, {1000000, MKV_PLACEMENT_WEIGHT_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        claims[1].usable_units = cases[i].usable_units;
        decide_two(claims, &plan);
        assert_int_equal(plan.weights[0], 8);
        assert_int_equal(plan.weights[1], cases[i].weight);
    }
}

static void expect_weights(const uint64_t *units, uint32_t count, const uint32_t *expected) {
    uint32_t weights[MKV_VOLUMES_MAX];
    mkv_drive_set_weights(units, count, weights);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(weights[i], expected[i]);
    }
}

static void test_weights__equal_or_nearly__one_each(void **state) {
    (void)state;
    static const uint64_t one[] = {123};
    static const uint64_t equal[] = {1000, 1000, 1000};
    static const uint64_t nearly[] = {1000, 1062, 1000};
    static const uint32_t expected[] = {1, 1, 1};
    expect_weights(one, 1, expected);
    expect_weights(equal, 3, expected);
    expect_weights(nearly, 3, expected);
}

static void test_weights__unequal__by_size_and_in_bounds(void **state) {
    (void)state;
    static const uint64_t halves[] = {1000, 1500, 2000};
    static const uint32_t expected_halves[] = {8, 12, 16};
    static const uint64_t far_apart[] = {1, (1ull << 51) - 1};
    static const uint32_t expected_far_apart[] = {8, MKV_PLACEMENT_WEIGHT_MAX};
    expect_weights(halves, 3, expected_halves);
    expect_weights(far_apart, 2, expected_far_apart);
}

static void test_valid__figures_out_of_bounds__not(void **state) {
    (void)state;
    const struct says says = {MKV_DRIVE_CLAIM_STORE, 2, 1, 7, true, 0};
    const struct mkv_drive_set good = set_of(&says);
    struct mkv_drive_set set = good;
    assert_true(mkv_drive_set_valid(&good));
    set.version_before = 2;
    assert_false(mkv_drive_set_valid(&set));
    set = good;
    set.count = 0;
    assert_false(mkv_drive_set_valid(&set));
    set.count = MKV_VOLUMES_MAX + 1;
    assert_false(mkv_drive_set_valid(&set));
    set = good;
    set.members[1].weight = 0;
    assert_false(mkv_drive_set_valid(&set));
    set.members[1].weight = MKV_PLACEMENT_WEIGHT_MAX + 1;
    assert_false(mkv_drive_set_valid(&set));
    set = good;
    set.version = MKV_DRIVE_SET_VERSION_MAX + 1;
    assert_false(mkv_drive_set_valid(&set));
    set = good;
    set.word = 5; /* nobody has said a word */
    assert_false(mkv_drive_set_valid(&set));
    set.version = WORD;
    assert_true(mkv_drive_set_valid(&set));
    set.word = 0;
    assert_false(mkv_drive_set_valid(&set));
    mkv_drive_set_outside(uuid_of('a'), &set);
    assert_true(mkv_drive_set_valid(&set));
}

/* A guest beside the served set {a, b} of version 5. */
static void test_admit__guests__by_what_their_superblocks_say(void **state) {
    (void)state;
    static const struct {
        struct says says;
        char store;
        enum mkv_drive_set_refusal refusal;
        enum mkv_drive_action action;
    } guests[] = {
        {{.kind = MKV_DRIVE_CLAIM_BLANK}, 'S', MKV_DRIVE_SET_ACCEPTED, MKV_DRIVE_FORMAT},
        {{MKV_DRIVE_CLAIM_STORE, 4, 3, 7, true, 0},
         'S',
         MKV_DRIVE_SET_ACCEPTED,
         MKV_DRIVE_JOIN_EMPTY},
        {{MKV_DRIVE_CLAIM_STORE, 0, 0, 4, false, 0},
         'S',
         MKV_DRIVE_SET_ACCEPTED,
         MKV_DRIVE_JOIN_EMPTY},
        {{MKV_DRIVE_CLAIM_STORE, 4, 3, 7, true, 0},
         'X',
         MKV_DRIVE_SET_FOREIGN,
         MKV_DRIVE_JOIN_EMPTY},
        {{MKV_DRIVE_CLAIM_STORE, 4, 3, 3, true, 0}, 'S', MKV_DRIVE_SET_TORN, MKV_DRIVE_JOIN_EMPTY},
        {{MKV_DRIVE_CLAIM_STORE, 5, 4, 4, true, 0},
         'S',
         MKV_DRIVE_SET_TWO_SETS,
         MKV_DRIVE_JOIN_EMPTY},
        {{MKV_DRIVE_CLAIM_STORE, WORD, 4, 4, true, 5},
         'S',
         MKV_DRIVE_SET_TWO_SETS,
         MKV_DRIVE_JOIN_EMPTY},
    };
    const struct says served_says = {MKV_DRIVE_CLAIM_STORE, 5, 4, 3, true, 0};
    const struct mkv_drive_set served = set_of(&served_says);
    struct mkv_drive_claim claim;
    struct mkv_drive_set_guest guest = {
        .claim = &claim,
        .served = &served,
        .store_uuid = uuid_of('S'),
        .fresh = fresh[0],
        .member_units = 500,
        .member_weight = 3,
    };
    struct mkv_drive_set_admission admission;
    for (size_t i = 0; i < sizeof guests / sizeof guests[0]; i++) {
        claim = claim_of(&guests[i].says, 2);
        claim.store_uuid = uuid_of(guests[i].store);
        mkv_drive_set_admit(&guest, &admission);
        assert_int_equal(admission.refusal, guests[i].refusal);
        assert_int_equal(admission.action, guests[i].action);
        assert_int_equal(admission.member.weight, 6); /* it has twice the room of a member */
    }
    claim = claim_of(&guests[1].says, 0); /* a copy of a member */
    mkv_drive_set_admit(&guest, &admission);
    assert_int_equal(admission.refusal, MKV_DRIVE_SET_TWINS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide__every_combination__matches_exactly_one_row),
        cmocka_unit_test(test_decide__drives_that_do_not_belong_together__refused),
        cmocka_unit_test(test_decide__lost_drive_went_on__older_than_the_word),
        cmocka_unit_test(test_decide__two_words_one_went_on__refused),
        cmocka_unit_test(test_decide__two_words_one_followed_by_another__the_later_counts),
        cmocka_unit_test(test_decide__a_drive_that_joins__weight_beside_the_members),
        cmocka_unit_test(test_weights__equal_or_nearly__one_each),
        cmocka_unit_test(test_weights__unequal__by_size_and_in_bounds),
        cmocka_unit_test(test_valid__figures_out_of_bounds__not),
        cmocka_unit_test(test_admit__guests__by_what_their_superblocks_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
