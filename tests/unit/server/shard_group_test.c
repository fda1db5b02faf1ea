/* SPDX-License-Identifier: Apache-2.0 */
/* What two shards with a drive each are told, by tests that play their volumes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "server/shard_group.h"

#define SHARDS 2u
#define VOLUMES 3u /* 0 and 2 are shard 0's, 1 is shard 1's */

static const uint32_t volume_shards[VOLUMES] = {0, 1, 0};

struct world {
    struct mkv_shard_group *group;
    struct mkv_ring *rings[SHARDS];
    void *memory;
    struct mkv_volume *machine; /* without tenants */
};

static struct mkv_uuid uuid_of(uint32_t volume) {
    struct mkv_uuid uuid;
    memset(uuid.bytes, (int)volume + 1, sizeof uuid.bytes);
    return uuid;
}

static void plan_make(struct mkv_drive_set_plan *plan) {
    memset(plan, 0, sizeof *plan);
    plan->newest.version = 1;
    for (uint32_t i = 0; i < VOLUMES; i++) {
        mkv_drive_set_add(&plan->newest, (struct mkv_member){uuid_of(i), 1});
        plan->actions[i] = MKV_DRIVE_KEEP;
        plan->drive_uuids[i] = uuid_of(i);
        plan->weights[i] = 1;
    }
    plan->first = plan->newest;
}

static void make_machine(struct world *world) {
    /* Any drive will do: nothing of it is read. */
    const struct mkv_geometry_options options = {
        .ring_blocks = 64, .slots_max = 1024, .extent_units = 256};
    struct mkv_volume_config config = {
        .capacity_units = MKV_GIB / MKV_UNIT_BYTES, .ops_max = 16, .window_units = 64};
    assert_int_equal(mkv_geometry_plan(config.capacity_units, &options, &config.geometry), MKV_OK);
    const size_t bytes = mkv_volume_memory_required(&config);
    world->memory = aligned_alloc(MKV_UNIT_BYTES, mkv_round_up_u64(bytes, MKV_UNIT_BYTES));
    assert_non_null(world->memory);
    world->machine = mkv_volume_init(world->memory, bytes, &config);
}

static struct world world_open(void) {
    static const uint64_t volume_bytes[VOLUMES] = {MKV_GIB, MKV_GIB, MKV_GIB};
    struct mkv_drive_set_plan plan;
    struct mkv_tenant_quota quota = {.name = "team-1", .bytes = 3 * MKV_MIB};
    plan_make(&plan);
    const struct mkv_shard_group_options options = {
        .shard_count = SHARDS,
        .volume_count = VOLUMES,
        .volume_shards = volume_shards,
        .volume_bytes = volume_bytes,
        .plan = &plan,
        .quota_count = 1,
        .quotas = &quota,
    };
    struct world world = {.group = mkv_shard_group_create(&options)};
    assert_non_null(world.group);
    make_machine(&world);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        struct mkv_backend_error error;
        const struct mkv_ring_options ring_options = {.entries = 8};
        assert_true(mkv_ring_create(&ring_options, &world.rings[shard], &error));
        mkv_shard_group_enter(world.group, shard, world.rings[shard]);
    }
    return world;
}

static void world_close(struct world *world) {
    mkv_shard_group_destroy(world->group);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        mkv_ring_destroy(world->rings[shard]);
    }
    free(world->memory);
}

static void event(struct world *world, uint32_t volume, enum mkv_event_kind kind) {
    const struct mkv_event event = {.kind = kind, .value = {1}};
    mkv_shard_group_event(world->group, volume_shards[volume], volume, world->machine, &event);
}

/* The next piece of news, which has to be of this kind. */
static struct mkv_shard_news expect_news(struct world *world, uint32_t shard,
                                         enum mkv_shard_news_kind kind) {
    struct mkv_shard_news news;
    assert_true(mkv_shard_group_has_news(world->group, shard));
    assert_true(mkv_shard_group_next(world->group, shard, true, &news));
    assert_int_equal(news.kind, kind);
    return news;
}

static void expect_none(struct world *world, uint32_t shard) {
    struct mkv_shard_news news;
    assert_false(mkv_shard_group_next(world->group, shard, true, &news));
    assert_false(mkv_shard_group_has_news(world->group, shard));
}

static void expect_open(struct world *world, uint32_t shard, uint32_t volume) {
    const struct mkv_shard_news news = expect_news(world, shard, MKV_SHARD_NEWS_COMMAND);
    assert_int_equal(news.command.admin, MKV_ADMIN_OPEN);
    assert_int_equal(news.command.volume, volume);
}

/* Both shards serve all volumes, and know it. */
static void open_all(struct world *world) {
    mkv_shard_group_begin(world->group);
    mkv_shard_group_begin(world->group);
    expect_open(world, 0, 0);
    expect_open(world, 0, 2);
    expect_open(world, 1, 1);
    for (uint32_t volume = 0; volume < VOLUMES; volume++) {
        event(world, volume, MKV_EVENT_OPENED);
    }
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        for (uint32_t volume = 0; volume < VOLUMES; volume++) {
            const struct mkv_shard_news news = expect_news(world, shard, MKV_SHARD_NEWS_ROUTE);
            assert_int_equal(news.volume, volume);
            assert_int_equal(news.route, MKV_DRIVE_SET_ONLINE);
        }
        expect_none(world, shard);
    }
}

static void test_shard_group__not_all_have_begun__nothing_is_opened(void **state) {
    (void)state;
    struct world world = world_open();
    mkv_shard_group_begin(world.group);
    expect_none(&world, 0);
    expect_none(&world, 1);
    mkv_shard_group_begin(world.group);
    expect_open(&world, 1, 1);
    expect_none(&world, 1);
    expect_open(&world, 0, 0);
    expect_open(&world, 0, 2);
    expect_none(&world, 0);
    assert_false(mkv_shard_group_is_open(world.group));
    world_close(&world);
}

static void test_shard_group__last_volume_opens__all_shards_learn_it(void **state) {
    (void)state;
    struct world world = world_open();
    assert_int_equal(mkv_shard_group_count(world.group), 2);
    assert_int_equal(mkv_shard_group_shard_of(world.group, 2), 0);
    open_all(&world);
    assert_true(mkv_shard_group_is_open(world.group));
    assert_true(mkv_shard_group_is_ready(world.group));
    uint64_t version;
    uint32_t members;
    mkv_shard_group_set(world.group, &version, &members);
    assert_int_equal(version, 1);
    assert_int_equal(members, VOLUMES);

    /* Of a drive that fails later, too; who says so needs no waking. */
    (void)mkv_ring_wait(world.rings[0], 0);
    (void)mkv_ring_wait(world.rings[1], 0);
    const uint64_t woken[SHARDS] = {mkv_ring_counters(world.rings[0])->wakes,
                                    mkv_ring_counters(world.rings[1])->wakes};
    event(&world, 2, MKV_EVENT_DRIVE_FAILED);
    (void)mkv_ring_wait(world.rings[1], MKV_RING_WAIT_FOREVER);
    (void)mkv_ring_wait(world.rings[0], 0);
    assert_int_equal(mkv_ring_counters(world.rings[0])->wakes, woken[0]);
    assert_int_equal(mkv_ring_counters(world.rings[1])->wakes, woken[1] + 1);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        struct mkv_shard_news news = expect_news(&world, shard, MKV_SHARD_NEWS_ROUTE);
        assert_int_equal(news.volume, 2);
        assert_int_equal(news.route, MKV_DRIVE_SET_OFFLINE);
        news = expect_news(&world, shard, MKV_SHARD_NEWS_COMMAND);
        assert_int_equal(news.command.admin, MKV_ADMIN_DRIVE_SET); /* without it */
        assert_int_equal(news.command.volume, shard);
        assert_int_equal(news.command.set.count, 2);
        expect_none(&world, shard);
    }
    world_close(&world);
}

/* The next piece of news of a volume's route, as shards 0 and 1 have it; then this command. */
static void expect_route_then(struct world *world, uint32_t shard, enum mkv_drive_set_route route,
                              bool is_other, enum mkv_admin_command admin) {
    struct mkv_shard_news news = expect_news(world, shard, MKV_SHARD_NEWS_ROUTE);
    assert_int_equal(news.volume, 2);
    assert_int_equal(news.route, route);
    assert_int_equal(news.is_other, is_other);
    news = expect_news(world, shard, MKV_SHARD_NEWS_COMMAND);
    assert_int_equal(news.command.admin, admin);
    expect_none(world, shard);
}

/* I2: no member is told to purge before its shard asks it no more for the keys. */
static void test_shard_group__drive_leaves_and_joins__routes_before_commands(void **state) {
    (void)state;
    struct world world = world_open();
    struct mkv_shard_group_drive drive;
    open_all(&world);
    assert_int_equal(mkv_shard_group_leave(world.group, 2), MKV_DRIVE_SET_GRANTED);
    expect_route_then(&world, 0, MKV_DRIVE_SET_OFFLINE, false, MKV_ADMIN_CLOSE);
    const struct mkv_shard_news route = expect_news(&world, 1, MKV_SHARD_NEWS_ROUTE);
    assert_int_equal(route.route, MKV_DRIVE_SET_OFFLINE);
    expect_none(&world, 1);
    mkv_shard_group_closing(world.group, 0, 2);
    for (uint32_t volume = 0; volume < 2; volume++) {
        const struct mkv_shard_news news = expect_news(&world, volume, MKV_SHARD_NEWS_COMMAND);
        assert_int_equal(news.command.admin, MKV_ADMIN_DRIVE_SET);
        const struct mkv_event durable = {.kind = MKV_EVENT_DRIVE_SET_DURABLE, .value = {2}};
        mkv_shard_group_event(world.group, volume, volume, world.machine, &durable);
    }
    event(&world, 2, MKV_EVENT_CLOSED);
    mkv_shard_group_drive(world.group, 2, &drive);
    assert_int_equal(drive.role, MKV_DRIVE_SET_OUT);
    assert_int_equal(drive.life, MKV_DRIVE_SET_LEFT);
    assert_int_equal(drive.set.count, 2);

    /* Shard 1 was not told that it is absent before it is to join: it learns of the new member. */
    const struct mkv_shard_news absent = expect_news(&world, 0, MKV_SHARD_NEWS_ROUTE);
    assert_int_equal(absent.route, MKV_DRIVE_SET_ABSENT);
    assert_int_equal(mkv_shard_group_may_join(world.group, 2), MKV_DRIVE_SET_GRANTED);
    const struct mkv_member member = {{{77}}, 2};
    assert_int_equal(mkv_shard_group_join(world.group, 2, member, MKV_MIB), MKV_DRIVE_SET_GRANTED);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        expect_route_then(&world, shard, MKV_DRIVE_SET_OFFLINE, true, MKV_ADMIN_PURGE);
    }
    mkv_shard_group_end(world.group);
    assert_int_equal(mkv_shard_group_leave(world.group, 0), MKV_DRIVE_SET_NOT_NOW);
    world_close(&world);
}

static void test_shard_group__shard_that_drains__takes_no_commands_of_the_set(void **state) {
    (void)state;
    struct world world = world_open();
    mkv_shard_group_begin(world.group);
    mkv_shard_group_begin(world.group);
    struct mkv_shard_news news;
    assert_false(mkv_shard_group_next(world.group, 1, false, &news));
    mkv_shard_group_drained(world.group);
    assert_false(mkv_shard_group_all_drained(world.group));
    mkv_shard_group_drained(world.group);
    assert_true(mkv_shard_group_all_drained(world.group));
    world_close(&world);
}

/* Gives volumes the tenants that they are to have, as their shards do. */
static void tenants_carry_out(struct world *world, enum mkv_message_kind kind,
                              enum mkv_message_kind done) {
    for (uint32_t volume = 0; volume < VOLUMES; volume++) {
        const uint32_t shard = volume_shards[volume];
        struct mkv_shard_news news = expect_news(world, shard, MKV_SHARD_NEWS_TENANT);
        assert_int_equal(news.message.kind, kind);
        assert_int_equal(volume_shards[news.message.volume], shard);
        news.message.kind = done;
        news.message.status = MKV_STATUS_OK;
        mkv_shard_group_tenant_done(world->group, shard, &news.message);
    }
}

static void test_shard_group__new_tenant__known_when_every_volume_has_it(void **state) {
    (void)state;
    struct world world = world_open();
    open_all(&world);
    uint32_t id = 0;
    uint64_t version = 0;
    const uint64_t before = mkv_shard_group_version(world.group);
    assert_int_equal(mkv_shard_group_resolve(world.group, 1, "team-1", false, &id, &version),
                     MKV_TENANT_ABSENT);
    assert_int_equal(version, before);
    assert_int_equal(mkv_shard_group_resolve(world.group, 1, "team-1", true, &id, &version),
                     MKV_TENANT_PENDING);
    assert_true(version > before); /* what shards have kept of names is asked again */
    tenants_carry_out(&world, MKV_MESSAGE_TENANT, MKV_MESSAGE_TENANT_DONE);
    assert_int_equal(mkv_shard_group_resolve(world.group, 0, "team-1", true, &id, &version),
                     MKV_TENANT_KNOWN);
    assert_true(id > 0);
    assert_int_equal(version, mkv_shard_group_version(world.group));
    const struct mkv_tenant_names *names = mkv_shard_group_names_lock(world.group);
    assert_int_equal(mkv_tenant_names_quota_of(names, "team-1"), 3 * MKV_MIB);
    mkv_shard_group_names_unlock(world.group);
    world_close(&world);
}

struct drop {
    struct mkv_shard_group *group;
    enum mkv_status status;
};

static void *drop_thread(void *context) {
    struct drop *drop = context;
    drop->status = mkv_shard_group_tenant_drop(drop->group, "team-1", 60ull * 1000000000u);
    return NULL;
}

static void test_shard_group__tenant_dropped__waits_for_every_volume(void **state) {
    (void)state;
    struct world world = world_open();
    assert_int_equal(mkv_shard_group_tenant_drop(world.group, "team-1", 0),
                     MKV_STATUS_UNAVAILABLE); /* nothing is open yet */
    open_all(&world);
    assert_int_equal(mkv_shard_group_tenant_drop(world.group, "team-1", 0), MKV_STATUS_NOT_FOUND);
    assert_int_equal(mkv_shard_group_tenant_drop(world.group, "default", 0), MKV_STATUS_FORBIDDEN);
    uint32_t id;
    uint64_t version;
    (void)mkv_shard_group_resolve(world.group, 0, "team-1", true, &id, &version);
    tenants_carry_out(&world, MKV_MESSAGE_TENANT, MKV_MESSAGE_TENANT_DONE);

    expect_none(&world, 0);
    expect_none(&world, 1);
    struct drop drop = {.group = world.group};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drop_thread, &drop), 0);
    /* What the drop says comes to shards that sleep. */
    struct mkv_shard_news news;
    while (!mkv_shard_group_has_news(world.group, 1)) {
        (void)mkv_ring_wait(world.rings[1], 1000000);
    }
    tenants_carry_out(&world, MKV_MESSAGE_TENANT_DROP, MKV_MESSAGE_TENANT_DROP_DONE);
    pthread_join(thread, NULL);
    assert_int_equal(drop.status, MKV_STATUS_OK);
    (void)mkv_shard_group_next(world.group, 0, true, &news);
    world_close(&world);
}

static void test_shard_group__ends_while_a_tenant_is_dropped__it_is_not_known(void **state) {
    (void)state;
    struct world world = world_open();
    open_all(&world);
    uint32_t id;
    uint64_t version;
    (void)mkv_shard_group_resolve(world.group, 0, "team-1", true, &id, &version);
    tenants_carry_out(&world, MKV_MESSAGE_TENANT, MKV_MESSAGE_TENANT_DONE);
    assert_int_equal(mkv_shard_group_tenant_drop(world.group, "team-1", 1000000),
                     MKV_STATUS_UNKNOWN); /* its time is over */
    mkv_shard_group_end(world.group);
    assert_int_equal(mkv_shard_group_tenant_drop(world.group, "team-1", 60ull * 1000000000u),
                     MKV_STATUS_UNAVAILABLE);
    world_close(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shard_group__not_all_have_begun__nothing_is_opened),
        cmocka_unit_test(test_shard_group__last_volume_opens__all_shards_learn_it),
        cmocka_unit_test(test_shard_group__drive_leaves_and_joins__routes_before_commands),
        cmocka_unit_test(test_shard_group__shard_that_drains__takes_no_commands_of_the_set),
        cmocka_unit_test(test_shard_group__new_tenant__known_when_every_volume_has_it),
        cmocka_unit_test(test_shard_group__tenant_dropped__waits_for_every_volume),
        cmocka_unit_test(test_shard_group__ends_while_a_tenant_is_dropped__it_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
