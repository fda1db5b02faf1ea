/* SPDX-License-Identifier: Apache-2.0 */
/* The run of a drive set, with volumes that do what they are told when the test says so. */
#include "core/drive_set_run.h"

#include "tests/unit/core/test.h"

#define LOG_BYTES 512u

struct rig {
    struct mkv_drive_set_plan plan;
    struct mkv_drive_set_run run;
    uint64_t told[MKV_VOLUMES_MAX]; /* version of the last command of each volume */
    char log[LOG_BYTES];            /* commands since the last look: "open a1 set b2 join c2" */
};

static struct mkv_uuid uuid_of(char letter) {
    struct mkv_uuid uuid;
    memset(uuid.bytes, letter, sizeof uuid.bytes);
    return uuid;
}

/* Members as letters: "ab". */
static struct mkv_drive_set set_of(uint64_t version, uint64_t before, const char *members) {
    struct mkv_drive_set set = {
        .version = version, .version_before = before, .word = version / MKV_DRIVE_SET_WORD_STEP};
    for (; *members != '\0'; members++) {
        mkv_drive_set_add(&set, (struct mkv_member){uuid_of(*members), 1});
    }
    return set;
}

/* Drives a, b, c …: 'k' keep, 'r' raise, 'j' join, '.' not there. */
static struct rig make(const char *actions, struct mkv_drive_set newest,
                       struct mkv_drive_set first) {
    struct rig rig = {.plan = {.newest = newest, .first = first}};
    for (uint32_t i = 0; actions[i] != '\0'; i++) {
        rig.plan.actions[i] = actions[i] == 'k'   ? MKV_DRIVE_KEEP
                              : actions[i] == 'r' ? MKV_DRIVE_KEEP_AND_RAISE
                              : actions[i] == 'j' ? MKV_DRIVE_JOIN_EMPTY
                                                  : MKV_DRIVE_ABSENT;
        if (actions[i] != '.') {
            rig.plan.drive_uuids[i] = uuid_of((char)('a' + i));
            rig.plan.weights[i] = 1;
        }
    }
    mkv_drive_set_run_begin(&rig.run, &rig.plan);
    return rig;
}

static void take_commands(struct rig *rig) {
    struct mkv_drive_set_command command;
    while (mkv_drive_set_run_next(&rig->run, &command)) {
        const char *name = command.admin == MKV_ADMIN_OPEN        ? "open"
                           : command.admin == MKV_ADMIN_JOIN      ? "join"
                           : command.admin == MKV_ADMIN_DRIVE_SET ? "set"
                           : command.admin == MKV_ADMIN_CLOSE     ? "close"
                                                                  : "purge";
        const size_t used = strlen(rig->log);
        snprintf(rig->log + used, LOG_BYTES - used, "%s%s %c%u", used == 0 ? "" : " ", name,
                 'a' + (int)command.volume, (unsigned)command.set.version);
        rig->told[command.volume] = command.set.version;
    }
}

/* Commands since the last time; the caller compares at once. */
static const char *commands(struct rig *rig, char out[LOG_BYTES]) {
    take_commands(rig);
    memcpy(out, rig->log, LOG_BYTES);
    rig->log[0] = '\0';
    return out;
}

#define EXPECT(rig, text)                                                                          \
    do {                                                                                           \
        char log[LOG_BYTES];                                                                       \
        assert_string_equal(commands(&(rig), log), (text));                                        \
    } while (0)

static void event(struct rig *rig, char drive, enum mkv_event_kind kind) {
    const uint32_t volume = (uint32_t)(drive - 'a');
    const struct mkv_event what = {.kind = kind, .value = {rig->told[volume]}};
    mkv_drive_set_run_event(&rig->run, volume, &what);
}

/* Routes of the first `count` volumes: '+' online, '-' offline, '.' absent. */
static void expect_routes(const struct rig *rig, const char *expected) {
    char routes[MKV_VOLUMES_MAX + 1] = "";
    for (uint32_t i = 0; expected[i] != '\0'; i++) {
        static const char marks[] = {'.', '-', '+'};
        routes[i] = marks[mkv_drive_set_run_route(&rig->run, i)];
    }
    assert_string_equal(routes, expected);
}

static void test_run__all_keep__opened_and_routed_when_the_last_is(void **state) {
    (void)state;
    struct rig rig = make("kk", set_of(1, 0, "ab"), set_of(1, 0, "ab"));
    EXPECT(rig, "open a1 open b1");
    event(&rig, 'a', MKV_EVENT_OPENED);
    EXPECT(rig, "");
    assert_false(mkv_drive_set_run_opened(&rig.run));
    expect_routes(&rig, "--.");
    event(&rig, 'b', MKV_EVENT_OPENED);
    EXPECT(rig, "");
    assert_true(rig.run.ready);
    expect_routes(&rig, "++.");
}

static void test_run__members_fail_to_open__by_what_that_means(void **state) {
    (void)state;
    static const struct {
        const char *actions;
        bool never_opened;
        bool word;
        bool ready;
    } cases[] = {
        {"kk", false, false, true},  /* b's keys are misses */
        {"kk", true, false, false},  /* who knows whether anything is formatted there */
        {"kr", false, false, false}, /* the set is not durable on b */
        {"kk", false, true, false},  /* nor would the one that follows be */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mkv_drive_set newest = set_of(2, 1, cases[i].word ? "abc" : "ab");
        const struct mkv_drive_set word = set_of(MKV_DRIVE_SET_WORD_STEP, 2, "ab");
        struct rig rig = make(cases[i].actions, newest, cases[i].word ? word : newest);
        rig.run.never_opened = cases[i].never_opened;
        take_commands(&rig);
        event(&rig, 'a', MKV_EVENT_OPENED);
        event(&rig, 'b', MKV_EVENT_OPEN_FAILED);
        take_commands(&rig);
        assert_true(mkv_drive_set_run_opened(&rig.run));
        assert_int_equal(rig.run.ready, cases[i].ready);
        if (cases[i].ready) {
            expect_routes(&rig, "+-.");
        }
    }
}

/* I4: b could not be told, and may hold blocks. */
static void test_run__one_did_not_open__the_set_stays_as_it_is(void **state) {
    (void)state;
    struct rig rig = make("kkkj", set_of(2, 1, "abc"), set_of(2, 1, "abc"));
    take_commands(&rig);
    event(&rig, 'a', MKV_EVENT_OPENED);
    event(&rig, 'b', MKV_EVENT_OPEN_FAILED);
    event(&rig, 'c', MKV_EVENT_OPENED);
    take_commands(&rig);
    rig.log[0] = '\0';
    expect_routes(&rig, "+-+.");
    event(&rig, 'c', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "");
    expect_routes(&rig, "+--.");
}

static void test_run__the_word__follows_when_the_newest_is_durable(void **state) {
    (void)state;
    const uint64_t word = MKV_DRIVE_SET_WORD_STEP;
    struct rig rig = make("kr.", set_of(2, 1, "abc"), set_of(word, 2, "ab"));
    EXPECT(rig, "open a2 open b2");
    event(&rig, 'a', MKV_EVENT_OPENED);
    EXPECT(rig, "");
    event(&rig, 'b', MKV_EVENT_OPENED);
    EXPECT(rig, "set a1000000 set b1000000");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    assert_false(rig.run.ready);
    event(&rig, 'b', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    assert_true(rig.run.ready);
    expect_routes(&rig, "++.");
}

static struct rig serving(const char *actions, const char *members) {
    struct rig rig = make(actions, set_of(4, 3, members), set_of(4, 3, members));
    take_commands(&rig);
    for (uint32_t i = 0; actions[i] != '\0'; i++) {
        if (actions[i] == 'k') {
            event(&rig, (char)('a' + (char)i), MKV_EVENT_OPENED);
        }
    }
    take_commands(&rig);
    assert_true(rig.run.ready);
    return rig;
}

static void test_run__a_member_fails__routed_away_when_all_others_know(void **state) {
    (void)state;
    struct rig rig = serving("kkk", "abc");
    rig.log[0] = '\0';
    expect_routes(&rig, "+++");
    event(&rig, 'b', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "set a5 set c5");
    expect_routes(&rig, "+-+");
    event(&rig, 'c', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    expect_routes(&rig, "+-+");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    expect_routes(&rig, "+.+");
    assert_int_equal(rig.run.current.version_before, 4);
}

/* I2: a is not left two versions behind. */
static void test_run__another_fails_meanwhile__the_first_change_ends_before(void **state) {
    (void)state;
    struct rig rig = serving("kkkk", "abcd");
    rig.log[0] = '\0';
    event(&rig, 'b', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "set a5 set c5 set d5");
    event(&rig, 'd', MKV_EVENT_DRIVE_SET_DURABLE);
    event(&rig, 'c', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "");
    expect_routes(&rig, "+--+");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "set a6 set d6");
    expect_routes(&rig, "+--+"); /* what was to be routed is not durable on c */
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    event(&rig, 'd', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    expect_routes(&rig, "+..+");
}

static void test_run__the_only_drive_fails__nothing_to_change(void **state) {
    (void)state;
    struct rig rig = serving("k", "a");
    rig.log[0] = '\0';
    event(&rig, 'a', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "");
    expect_routes(&rig, "-");
}

static void test_run__a_drive_joins__purge_members_joiner_in_this_order(void **state) {
    (void)state;
    struct rig rig = make("kkj", set_of(4, 3, "ab"), set_of(4, 3, "ab"));
    EXPECT(rig, "open a4 open b4");
    event(&rig, 'a', MKV_EVENT_OPENED);
    event(&rig, 'b', MKV_EVENT_OPENED);
    EXPECT(rig, "purge a5 purge b5");
    assert_true(rig.run.ready);
    expect_routes(&rig, "++-");
    event(&rig, 'a', MKV_EVENT_PURGED);
    EXPECT(rig, "");
    event(&rig, 'b', MKV_EVENT_PURGED);
    EXPECT(rig, "set a5 set b5");
    event(&rig, 'b', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "join c5");
    expect_routes(&rig, "++-");
    event(&rig, 'c', MKV_EVENT_OPENED);
    EXPECT(rig, "");
    expect_routes(&rig, "+++");
}

static void test_run__the_joining_drive_fails__its_keys_wait_for_the_next_set(void **state) {
    (void)state;
    struct rig rig = serving("kkj", "ab");
    event(&rig, 'a', MKV_EVENT_PURGED);
    event(&rig, 'b', MKV_EVENT_PURGED);
    take_commands(&rig);
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    event(&rig, 'b', MKV_EVENT_DRIVE_SET_DURABLE);
    take_commands(&rig);
    rig.log[0] = '\0';
    event(&rig, 'c', MKV_EVENT_OPEN_FAILED);
    EXPECT(rig, "set a6 set b6");
    expect_routes(&rig, "++-"); /* the members' superblocks still name it */
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    event(&rig, 'b', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    expect_routes(&rig, "++.");
}

static void test_run__a_member_fails_while_it_purges__left_out_first(void **state) {
    (void)state;
    struct rig rig = serving("kkj", "ab");
    event(&rig, 'a', MKV_EVENT_PURGED);
    rig.log[0] = '\0';
    event(&rig, 'b', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "set a5");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    /* By the set without b it has taken keys, since, that are to go to c. */
    EXPECT(rig, "purge a6");
    event(&rig, 'a', MKV_EVENT_PURGED);
    EXPECT(rig, "set a6");
    expect_routes(&rig, "+.-");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "join c6");
    event(&rig, 'c', MKV_EVENT_OPENED);
    EXPECT(rig, "");
    expect_routes(&rig, "+.+");
}

static void test_run__the_last_member_fails_while_it_purges__nobody_joins(void **state) {
    (void)state;
    struct rig rig = serving("kkj", "ab");
    event(&rig, 'a', MKV_EVENT_DRIVE_FAILED);
    take_commands(&rig);
    event(&rig, 'b', MKV_EVENT_DRIVE_SET_DURABLE);
    take_commands(&rig);
    rig.log[0] = '\0';
    expect_routes(&rig, ".+-");
    event(&rig, 'b', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "");
    expect_routes(&rig, ".-.");
    assert_int_equal(rig.run.volumes[2].role, MKV_DRIVE_SET_OUT);
    assert_int_equal(rig.run.volumes[2].life, MKV_DRIVE_SET_LEFT);
    assert_int_equal(mkv_drive_set_run_may_join(&rig.run, 2), MKV_DRIVE_SET_NO_OTHER);
}

static void test_run__the_last_member_fails_while_the_set_changes__nobody_joins(void **state) {
    (void)state;
    struct rig rig = serving("kj", "a");
    rig.log[0] = '\0';
    event(&rig, 'a', MKV_EVENT_PURGED);
    EXPECT(rig, "set a5");
    assert_int_equal(rig.run.volumes[1].role, MKV_DRIVE_SET_JOINER);
    event(&rig, 'a', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "");
    expect_routes(&rig, "-.");
    assert_int_equal(rig.run.volumes[1].role, MKV_DRIVE_SET_OUT);
}

/* The members had the set when the last process ended; the one that joins had not. */
static void test_run__joining_was_cut_short__ends_before_anything_is_served(void **state) {
    (void)state;
    struct rig rig = make("krj", set_of(5, 4, "abc"), set_of(5, 4, "abc"));
    EXPECT(rig, "open a5 open b5");
    event(&rig, 'a', MKV_EVENT_OPENED);
    event(&rig, 'b', MKV_EVENT_OPENED);
    EXPECT(rig, "join c5");
    assert_false(rig.run.ready);
    event(&rig, 'c', MKV_EVENT_OPENED);
    EXPECT(rig, "");
    assert_true(rig.run.ready);
    expect_routes(&rig, "+++");
}

/* Its blocks have the next start before they are given up. */
static void test_run__a_member_fails_before_anything_is_served__stuck(void **state) {
    (void)state;
    struct rig rig = make("kkj", set_of(4, 3, "abc"), set_of(4, 3, "abc"));
    take_commands(&rig);
    event(&rig, 'a', MKV_EVENT_OPENED);
    event(&rig, 'b', MKV_EVENT_OPENED);
    take_commands(&rig);
    event(&rig, 'b', MKV_EVENT_DRIVE_FAILED);
    event(&rig, 'c', MKV_EVENT_OPEN_FAILED);
    rig.log[0] = '\0';
    EXPECT(rig, "");
    assert_true(mkv_drive_set_run_opened(&rig.run));
    assert_false(rig.run.ready);
}

static void test_run__only_the_joining_one_fails_before_that__left_out(void **state) {
    (void)state;
    struct rig rig = make("kkj", set_of(4, 3, "abc"), set_of(4, 3, "abc"));
    take_commands(&rig);
    event(&rig, 'a', MKV_EVENT_OPENED);
    event(&rig, 'b', MKV_EVENT_OPENED);
    take_commands(&rig);
    event(&rig, 'c', MKV_EVENT_OPEN_FAILED);
    rig.log[0] = '\0';
    EXPECT(rig, "set a5 set b5");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    event(&rig, 'b', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    assert_true(rig.run.ready);
    expect_routes(&rig, "++.");
}

/* ---- the operator's wishes ------------------------------------------------------------------- */

static enum mkv_drive_set_verdict leave(struct rig *rig, char drive) {
    return mkv_drive_set_run_leave(&rig->run, (uint32_t)(drive - 'a'));
}

static enum mkv_drive_set_verdict join(struct rig *rig, char drive, char uuid) {
    return mkv_drive_set_run_join(&rig->run, (uint32_t)(drive - 'a'),
                                  (struct mkv_member){uuid_of(uuid), 1});
}

static void closing(struct rig *rig, char drive) {
    mkv_drive_set_run_closing(&rig->run, (uint32_t)(drive - 'a'));
}

/* Takes the drive out; the caller looks at what the others are told. */
static void take_out(struct rig *rig, char drive) {
    assert_int_equal(leave(rig, drive), MKV_DRIVE_SET_GRANTED);
    take_commands(rig);
    closing(rig, drive);
    rig->log[0] = '\0';
    take_commands(rig);
    for (char other = 'a'; other < 'a' + 4; other++) {
        if (rig->told[other - 'a'] == rig->run.target.version) {
            event(rig, other, MKV_EVENT_DRIVE_SET_DURABLE);
        }
    }
    event(rig, drive, MKV_EVENT_CLOSED);
    take_commands(rig);
    rig->log[0] = '\0';
}

/* The set changes when the volume has taken the CLOSE, and does not wait for its end. */
static void test_run__a_member_leaves__closes_and_is_routed_away(void **state) {
    (void)state;
    struct rig rig = serving("kkk", "abc");
    rig.log[0] = '\0';
    assert_int_equal(leave(&rig, 'b'), MKV_DRIVE_SET_GRANTED);
    assert_int_equal(leave(&rig, 'b'), MKV_DRIVE_SET_GRANTED); /* it is under way */
    EXPECT(rig, "close b4");
    expect_routes(&rig, "+-+");
    EXPECT(rig, "");
    closing(&rig, 'b');
    EXPECT(rig, "set a5 set c5");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    expect_routes(&rig, "+-+");
    event(&rig, 'c', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    expect_routes(&rig, "+.+");
    assert_int_equal(join(&rig, 'b', 'b'), MKV_DRIVE_SET_NOT_NOW); /* it is still closing */
    event(&rig, 'b', MKV_EVENT_CLOSED);
    EXPECT(rig, "");
    assert_int_equal(leave(&rig, 'b'), MKV_DRIVE_SET_IS_OUT);
}

static void test_run__a_drive_that_leaves_fails__as_one_that_left(void **state) {
    (void)state;
    struct rig rig = serving("kkk", "abc");
    assert_int_equal(leave(&rig, 'b'), MKV_DRIVE_SET_GRANTED);
    take_commands(&rig);
    closing(&rig, 'b');
    rig.log[0] = '\0';
    event(&rig, 'b', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "set a5 set c5");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    event(&rig, 'c', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "");
    expect_routes(&rig, "+.+");
    assert_int_equal(mkv_drive_set_run_may_join(&rig.run, 1), MKV_DRIVE_SET_GRANTED);
}

/* I6: the second time, too; under another uuid as well. */
static void test_run__a_drive_that_left_joins__members_purge_each_time(void **state) {
    (void)state;
    struct rig rig = serving("kkk", "abc");
    for (uint64_t version = 5; version < 9; version += 2) {
        char expected[LOG_BYTES];
        const char uuid = version == 5 ? 'b' : 'x';
        take_out(&rig, 'b');
        expect_routes(&rig, "+.+");
        assert_int_equal(join(&rig, 'b', uuid), MKV_DRIVE_SET_GRANTED);
        assert_int_equal(join(&rig, 'b', uuid), MKV_DRIVE_SET_IS_IN);
        expect_routes(&rig, "+-+");
        snprintf(expected, sizeof expected, "purge a%u purge c%u", (unsigned)version + 1,
                 (unsigned)version + 1);
        EXPECT(rig, expected);
        event(&rig, 'a', MKV_EVENT_PURGED);
        EXPECT(rig, "");
        event(&rig, 'c', MKV_EVENT_PURGED);
        snprintf(expected, sizeof expected, "set a%u set c%u", (unsigned)version + 1,
                 (unsigned)version + 1);
        EXPECT(rig, expected);
        event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
        event(&rig, 'c', MKV_EVENT_DRIVE_SET_DURABLE);
        snprintf(expected, sizeof expected, "join b%u", (unsigned)version + 1);
        EXPECT(rig, expected);
        event(&rig, 'b', MKV_EVENT_OPENED);
        EXPECT(rig, "");
        expect_routes(&rig, "+++");
        assert_int_not_equal(mkv_drive_set_find(&rig.run.routed, uuid_of(uuid)), MKV_NONE_U32);
    }
}

/* A drive that has just joined takes keys at once, also of those that the next one is to have. */
static void test_run__another_joins_while_one_is_let_in__that_one_purges_too(void **state) {
    (void)state;
    struct rig rig = serving("kkkk", "abcd");
    take_out(&rig, 'c');
    take_out(&rig, 'd');
    assert_int_equal(join(&rig, 'c', 'c'), MKV_DRIVE_SET_GRANTED);
    EXPECT(rig, "purge a7 purge b7");
    event(&rig, 'a', MKV_EVENT_PURGED);
    event(&rig, 'b', MKV_EVENT_PURGED);
    EXPECT(rig, "set a7 set b7");
    assert_int_equal(join(&rig, 'd', 'd'), MKV_DRIVE_SET_GRANTED);
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    event(&rig, 'b', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "join c7");
    event(&rig, 'c', MKV_EVENT_OPENED);
    EXPECT(rig, "purge a8 purge b8 purge c8");
    event(&rig, 'a', MKV_EVENT_PURGED);
    event(&rig, 'b', MKV_EVENT_PURGED);
    EXPECT(rig, "");
    event(&rig, 'c', MKV_EVENT_PURGED);
    EXPECT(rig, "set a8 set b8 set c8");
}

/* What is purged for one drive is not purged for the next. */
static void test_run__another_joins_meanwhile__all_purge_for_both(void **state) {
    (void)state;
    struct rig rig = serving("kkkk", "abcd");
    take_out(&rig, 'c');
    take_out(&rig, 'd');
    expect_routes(&rig, "++..");
    assert_int_equal(join(&rig, 'c', 'c'), MKV_DRIVE_SET_GRANTED);
    EXPECT(rig, "purge a7 purge b7");
    event(&rig, 'a', MKV_EVENT_PURGED);
    assert_int_equal(join(&rig, 'd', 'd'), MKV_DRIVE_SET_GRANTED);
    EXPECT(rig, "purge a7"); /* b is at it, and may not be told twice at a time */
    event(&rig, 'b', MKV_EVENT_PURGED);
    EXPECT(rig, "purge b7");
    event(&rig, 'a', MKV_EVENT_PURGED);
    event(&rig, 'b', MKV_EVENT_PURGED);
    EXPECT(rig, "set a7 set b7");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    event(&rig, 'b', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "join c7 join d7");
    event(&rig, 'c', MKV_EVENT_OPENED);
    event(&rig, 'd', MKV_EVENT_OPENED);
    EXPECT(rig, "");
    expect_routes(&rig, "++++");
}

static void test_run__a_member_leaves_while_it_purges__others_go_on_without_it(void **state) {
    (void)state;
    struct rig rig = serving("kkk", "abc");
    take_out(&rig, 'c');
    assert_int_equal(join(&rig, 'c', 'c'), MKV_DRIVE_SET_GRANTED);
    EXPECT(rig, "purge a6 purge b6");
    assert_int_equal(leave(&rig, 'b'), MKV_DRIVE_SET_GRANTED);
    EXPECT(rig, "close b5");
    closing(&rig, 'b');
    EXPECT(rig, "set a6");
    event(&rig, 'a', MKV_EVENT_PURGED);
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "purge a7"); /* it took keys of c's by the set without b */
    event(&rig, 'a', MKV_EVENT_PURGED);
    EXPECT(rig, "set a7");
    event(&rig, 'a', MKV_EVENT_DRIVE_SET_DURABLE);
    EXPECT(rig, "join c7");
    event(&rig, 'c', MKV_EVENT_OPENED);
    EXPECT(rig, "");
    expect_routes(&rig, "+.+");
}

static void test_run__wishes_that_cannot_be__refused_by_reason(void **state) {
    (void)state;
    struct rig rig = make("kkj", set_of(4, 3, "ab"), set_of(4, 3, "ab"));
    assert_int_equal(leave(&rig, 'a'), MKV_DRIVE_SET_NOT_NOW); /* nothing is served */
    rig = serving("kkj", "ab");
    assert_int_equal(leave(&rig, 'c'), MKV_DRIVE_SET_NOT_NOW); /* it is to join */
    assert_int_equal(join(&rig, 'c', 'c'), MKV_DRIVE_SET_IS_IN);
    assert_int_equal(join(&rig, 'a', 'a'), MKV_DRIVE_SET_IS_IN);
    assert_int_equal(leave(&rig, 'a'), MKV_DRIVE_SET_GRANTED);
    assert_int_equal(leave(&rig, 'b'), MKV_DRIVE_SET_NO_OTHER); /* I7 */
    rig = serving("kkk", "abc");
    take_out(&rig, 'c');
    assert_int_equal(join(&rig, 'c', 'a'), MKV_DRIVE_SET_IS_IN); /* another has this uuid */
    rig = make("kkk", set_of(2, 1, "abc"), set_of(2, 1, "abc"));
    take_commands(&rig);
    event(&rig, 'a', MKV_EVENT_OPENED);
    event(&rig, 'b', MKV_EVENT_OPENED);
    event(&rig, 'c', MKV_EVENT_OPEN_FAILED);
    take_commands(&rig);
    assert_int_equal(leave(&rig, 'a'), MKV_DRIVE_SET_UNKNOWN); /* I4 */
}

static void test_run__a_command_is_refused__as_a_failure(void **state) {
    (void)state;
    struct rig rig = serving("kk", "ab");
    rig.log[0] = '\0';
    event(&rig, 'b', MKV_EVENT_DRIVE_FAILED);
    EXPECT(rig, "set a5");
    mkv_drive_set_run_refused(&rig.run, 0);
    EXPECT(rig, "");
    expect_routes(&rig, "--");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run__all_keep__opened_and_routed_when_the_last_is),
        cmocka_unit_test(test_run__members_fail_to_open__by_what_that_means),
        cmocka_unit_test(test_run__one_did_not_open__the_set_stays_as_it_is),
        cmocka_unit_test(test_run__the_word__follows_when_the_newest_is_durable),
        cmocka_unit_test(test_run__a_member_fails__routed_away_when_all_others_know),
        cmocka_unit_test(test_run__another_fails_meanwhile__the_first_change_ends_before),
        cmocka_unit_test(test_run__the_only_drive_fails__nothing_to_change),
        cmocka_unit_test(test_run__a_drive_joins__purge_members_joiner_in_this_order),
        cmocka_unit_test(test_run__the_joining_drive_fails__its_keys_wait_for_the_next_set),
        cmocka_unit_test(test_run__a_member_fails_while_it_purges__left_out_first),
        cmocka_unit_test(test_run__the_last_member_fails_while_it_purges__nobody_joins),
        cmocka_unit_test(test_run__the_last_member_fails_while_the_set_changes__nobody_joins),
        cmocka_unit_test(test_run__joining_was_cut_short__ends_before_anything_is_served),
        cmocka_unit_test(test_run__a_member_fails_before_anything_is_served__stuck),
        cmocka_unit_test(test_run__only_the_joining_one_fails_before_that__left_out),
        cmocka_unit_test(test_run__a_command_is_refused__as_a_failure),
        cmocka_unit_test(test_run__a_member_leaves__closes_and_is_routed_away),
        cmocka_unit_test(test_run__a_drive_that_leaves_fails__as_one_that_left),
        cmocka_unit_test(test_run__a_drive_that_left_joins__members_purge_each_time),
        cmocka_unit_test(test_run__another_joins_while_one_is_let_in__that_one_purges_too),
        cmocka_unit_test(test_run__another_joins_meanwhile__all_purge_for_both),
        cmocka_unit_test(test_run__a_member_leaves_while_it_purges__others_go_on_without_it),
        cmocka_unit_test(test_run__wishes_that_cannot_be__refused_by_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
