/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump between a front, a volume, a drive in memory that fails on demand, and the in-process
 * fabric; all on the test's thread. In one test it is the pump of the first of two shards, and the
 * test plays the other, which has no drive.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/clock.h"
#include "backends/fabric_local.h"
#include "core/hash.h"
#include "server/pump.h"

#define DRIVE_BYTES (256ull * MKV_MIB)
#define ARENA_BYTES (96ull * MKV_MIB)
#define OPS_MAX 64u
#define BLOCK_BYTES_MAX (1024u * 1024u)
#define PENDING_MAX 1024u
#define WAIT_NS 20000000000ull

struct memory_drive {
    struct mkv_drive base;
    struct mkv_ring *ring;
    struct mkv_arena *arena;
    uint8_t *meta;
    uint8_t *units;
    bool fail;
    struct mkv_effect pending[PENDING_MAX];
    uint32_t pending_count;
    bool hurries; /* with the data of puts, of which each then takes an entry of the ring */
    uint32_t hurried_count;
    uint64_t handed_over[2]; /* entries of the ring when the first two came */
};

struct world {
    struct mkv_arena *arena;
    struct mkv_ring *ring;
    struct mkv_volume *volume;
    struct mkv_front *front;
    struct mkv_router *routers[2]; /* of two shards; else NULL, as is the next */
    struct mkv_shard_relay *relay;
    struct memory_drive drive;
    struct mkv_fabric_local *fabric;
    struct mkv_pump *pump;
    uint32_t events[32];
    bool done;
    uint64_t began; /* the serial of the request that was told of last, at its begin … */
    uint64_t ended; /* … and at its end */
    struct mkv_request_summary summary;
};

/* ---- the drive ------------------------------------------------------------------------------ */

static void drive_submit(struct mkv_drive *base, const struct mkv_effect *effect) {
    struct memory_drive *drive = (struct memory_drive *)base;
    assert_true(drive->pending_count < PENDING_MAX);
    drive->pending[drive->pending_count++] = *effect;
    if (drive->hurries && effect->kind == MKV_EFFECT_DRIVE_WRITE &&
        effect->drive.memory == MKV_DRIVE_SLOT) {
        assert_true(drive->hurried_count < 2);
        drive->handed_over[drive->hurried_count++] = mkv_ring_counters(drive->ring)->submitted;
        io_uring_prep_nop(mkv_ring_sqe(drive->ring, NULL));
        mkv_ring_hurry(drive->ring);
    }
    mkv_ring_wake(drive->ring); /* as a drive's completion would end its wait */
}

static uint32_t drive_in_flight(const struct mkv_drive *base) {
    return ((const struct memory_drive *)base)->pending_count;
}

static void drive_close(struct mkv_drive *base) {
    free(((struct memory_drive *)base)->units);
}

static void drive_carry_out(struct memory_drive *drive, const struct mkv_effect *effect,
                            uint64_t *sums, struct mkv_drive_done *done) {
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
        return;
    }
    const struct mkv_drive_effect *work = &effect->drive;
    const size_t bytes = (size_t)work->unit_count * MKV_UNIT_BYTES;
    uint8_t *stored = drive->units + work->lba.unit * MKV_UNIT_BYTES;
    if (effect->kind == MKV_EFFECT_DRIVE_TRIM) {
        memset(stored, 0xa5, bytes); /* anything, and nothing that a test would take for right */
        return;
    }
    uint8_t *slab = mkv_arena_slab(drive->arena, work->slab);
    if (work->memory == MKV_DRIVE_META) {
        uint8_t *meta = drive->meta + work->meta_offset;
        if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
            memcpy(stored, meta, bytes);
        } else {
            memcpy(meta, stored, bytes);
            mkv_drive_finish_read(work, meta, sums, done);
        }
    } else if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
        mkv_drive_prepare_slot_write(work, drive->meta + work->meta_offset, slab);
        memcpy(stored, slab, bytes);
    } else {
        uint8_t *memory = work->memory == MKV_DRIVE_SLOT ? slab : slab + MKV_UNIT_BYTES;
        memcpy(memory, stored, bytes);
        mkv_drive_finish_read(work, memory, sums, done);
    }
}

/* Completes what was submitted so far. */
static void drive_turn(struct memory_drive *drive) {
    static struct mkv_effect taken[PENDING_MAX];
    const uint32_t count = drive->pending_count;
    memcpy(taken, drive->pending, count * sizeof taken[0]);
    drive->pending_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t sums[MKV_CHUNKS_MAX];
        struct mkv_drive_done done = {.op = taken[i].op};
        if (drive->fail) {
            done.result = MKV_IO_DEVICE;
        } else {
            drive_carry_out(drive, &taken[i], sums, &done);
        }
        drive->base.complete(drive->base.complete_context, &done);
    }
}

static const struct mkv_drive_ops drive_ops = {drive_submit, drive_in_flight, drive_close};

/* ---- the world ------------------------------------------------------------------------------ */

static void on_event(void *context, uint32_t volume, const struct mkv_event *event) {
    struct world *world = context;
    assert_int_equal(volume, 0);
    world->events[event->kind]++;
}

static void world_turn(struct world *world) {
    drive_turn(&world->drive);
    mkv_pump_round(world->pump, world->ring, false);
}

static void world_await(struct world *world, enum mkv_event_kind kind) {
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (world->events[kind] == 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
}

static struct mkv_volume_config volume_config(void) {
    struct mkv_volume_config config = {
        .capacity_units = DRIVE_BYTES / MKV_UNIT_BYTES,
        .ops_max = OPS_MAX,
        .window_units = 16,
        .idle_ns = 1000000000,
    };
    const struct mkv_geometry_options geometry = {0};
    assert_int_equal(mkv_geometry_plan(config.capacity_units, &geometry, &config.geometry), MKV_OK);
    memset(config.store_uuid.bytes, 1, sizeof config.store_uuid.bytes);
    memset(config.drive_uuid.bytes, 2, sizeof config.drive_uuid.bytes);
    config.drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    mkv_drive_set_add(&config.drive_set, (struct mkv_member){config.drive_uuid, 1});
    return config;
}

static void make_machines(struct world *world, struct mkv_front_config *front_out) {
    struct mkv_backend_error error;
    const struct mkv_volume_config volume = volume_config();
    struct mkv_front_config front;
    mkv_front_config_default(&front);
    front.members[0] = (struct mkv_member){volume.drive_uuid, 1};
    front.volume_ops_max = OPS_MAX;
    front.block_bytes_max = BLOCK_BYTES_MAX;
    front.slab_unit_count = ARENA_BYTES / MKV_SLAB_UNIT_STRIDE_BYTES; /* more than there will be */
    const size_t volume_bytes = mkv_volume_memory_required(&volume);
    const uint64_t front_bytes = mkv_front_memory_required(&front);
    const struct mkv_arena_options arena_options = {
        .bytes = ARENA_BYTES,
        .metadata_bytes = mkv_round_up_u64(volume_bytes, MKV_UNIT_BYTES) +
                          mkv_round_up_u64(front_bytes, MKV_UNIT_BYTES),
        .hugepages = MKV_HUGEPAGES_AUTO,
    };
    assert_true(mkv_arena_create(&arena_options, &world->arena, &error));
    front.slab_unit_count = mkv_arena_unit_count(world->arena);
    assert_null(mkv_front_config_fault(&front));
    world->volume =
        mkv_volume_init(mkv_arena_take(world->arena, volume_bytes), volume_bytes, &volume);
    world->front = mkv_front_init(mkv_arena_take(world->arena, front_bytes), front_bytes, &front);
    *front_out = front;
}

/* The drive is the first shard's. */
static void make_shards(struct world *world, const struct mkv_front_config *front) {
    struct mkv_router_config configs[2];
    for (uint32_t shard = 0; shard < 2; shard++) {
        configs[shard] = (struct mkv_router_config){
            .shard = shard, .shard_count = 2, .volume_shards = {0}, .front = *front};
        configs[shard].front.foreign[0] = shard != 0;
        assert_null(mkv_router_config_fault(&configs[shard]));
        const size_t bytes = mkv_router_memory_required(&configs[shard]);
        void *memory = aligned_alloc(64, bytes);
        assert_non_null(memory);
        world->routers[shard] = mkv_router_init(memory, bytes, &configs[shard]);
    }
    world->relay = mkv_shard_relay_create(configs, 2);
    assert_non_null(world->relay);
    mkv_shard_relay_enter(world->relay, 0, world->ring);
    mkv_shard_relay_enter(world->relay, 1, world->ring);
}

static void on_began(void *context, const struct mkv_input *input) {
    struct world *world = context;
    assert_int_equal(input->kind, MKV_INPUT_REQUEST);
    assert_int_equal(input->request.serial, world->began + 1);
    world->began = input->request.serial;
}

static void on_ended(void *context, const struct mkv_request_summary *summary, const uint8_t *key) {
    struct world *world = context;
    assert_int_equal(summary->serial, world->ended + 1); /* one at a time, so in order */
    assert_memory_equal(key, "key", 3);
    world->ended = summary->serial;
    world->summary = *summary;
}

static struct world *world_create_of(uint32_t shard_count) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    struct mkv_backend_error error;
    const struct mkv_ring_options ring_options = {.entries = 16};
    assert_true(mkv_ring_create(&ring_options, &world->ring, &error));
    struct mkv_front_config front;
    make_machines(world, &front);
    if (shard_count > 1) {
        make_shards(world, &front);
    }
    world->drive.base.ops = &drive_ops;
    world->drive.base.capacity_units = DRIVE_BYTES / MKV_UNIT_BYTES;
    world->drive.ring = world->ring;
    world->drive.arena = world->arena;
    world->drive.meta = mkv_volume_arena(world->volume);
    world->drive.units = calloc(1, DRIVE_BYTES);
    assert_non_null(world->drive.units);
    const struct mkv_fabric_local_options fabric_options = {
        .arena = world->arena,
        .connections_max = 1,
        .requests_max = 8,
        .transfers_max = mkv_arena_unit_count(world->arena),
    };
    world->fabric = mkv_fabric_local_create(&fabric_options);
    assert_non_null(world->fabric);
    const struct mkv_pump_volume volume = {world->volume, &world->drive.base};
    const struct mkv_pump_options options = {
        .front = world->front,
        .fabric = mkv_fabric_local_base(world->fabric),
        .volume_count = 1,
        .volumes = &volume,
        .messages_max = OPS_MAX,
        .event = on_event,
        .event_context = world,
        .request_began = on_began,
        .request_ended = on_ended,
        .request_context = world,
        .router = world->routers[0],
        .relay = world->relay,
        .shard_count = shard_count,
    };
    world->pump = mkv_pump_create(&options);
    assert_non_null(world->pump);
    assert_int_equal(mkv_pump_admin(world->pump, 0, MKV_ADMIN_FORMAT, NULL), MKV_OK);
    world_await(world, MKV_EVENT_FORMATTED);
    assert_int_equal(mkv_pump_admin(world->pump, 0, MKV_ADMIN_OPEN, NULL), MKV_OK);
    world_await(world, MKV_EVENT_OPENED);
    mkv_pump_route(world->pump, 0, MKV_FRONT_VOLUME_ONLINE);
    return world;
}

static struct world *world_create(void) {
    return world_create_of(1);
}

static void world_destroy(struct world *world) {
    struct mkv_fabric *fabric = mkv_fabric_local_base(world->fabric);
    fabric->ops->stop(fabric);
    while (!fabric->ops->is_idle(fabric)) {
        world_turn(world);
    }
    assert_int_equal(drive_in_flight(&world->drive.base), 0);
    mkv_pump_destroy(world->pump);
    fabric->ops->destroy(fabric);
    mkv_drive_close(&world->drive.base);
    mkv_shard_relay_destroy(world->relay);
    free(world->routers[0]);
    free(world->routers[1]);
    mkv_ring_destroy(world->ring);
    mkv_arena_destroy(world->arena);
    free(world);
}

/* ---- requests ------------------------------------------------------------------------------- */

static void on_done(void *context, struct mkv_fabric_local_request *request) {
    struct world *world = context;
    assert_int_equal(request->status, MKV_STATUS_OK);
    world->done = true;
}

/* Runs one operation on the key to its end. */
static struct mkv_item_result operate(struct world *world, enum mkv_op op, uint8_t *bytes,
                                      uint32_t length) {
    struct mkv_request_item item = {.key_bytes = 3};
    if (op == MKV_OP_PUT) {
        uint64_t sums[MKV_CHUNKS_MAX];
        mkv_chunk_sums(bytes, length, sums);
        item.length = length;
        item.root = mkv_root_of_sums(length, sums);
    }
    const struct mkv_fabric_local_payload payload = {.bytes = bytes};
    struct mkv_item_result result = {0};
    struct mkv_fabric_local_request request = {
        .op = op,
        .deadline_ns = mkv_clock_monotonic_ns() + WAIT_NS,
        .item_count = 1,
        .items = &item,
        .keys = (const uint8_t *)"key",
        .keys_bytes = 3,
        .payloads = &payload,
        .results = &result,
        .done = on_done,
        .context = world,
    };
    world->done = false;
    assert_true(mkv_fabric_local_start(world->fabric, &request));
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (!world->done) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    return result;
}

static void test_pump__put_get_delete__go_all_the_way(void **state) {
    (void)state;
    static const uint32_t lengths[] = {1, 2048, 5000, 300000};
    struct world *world = world_create();
    uint8_t *bytes = malloc(300000);
    uint8_t *received = malloc(300000);
    assert_non_null(bytes);
    assert_non_null(received);
    for (uint32_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        memset(bytes, 0x30 + (int)i, lengths[i]);
        memset(received, 0, lengths[i]);
        assert_int_equal(operate(world, MKV_OP_PUT, bytes, lengths[i]).status, MKV_STATUS_OK);
        const struct mkv_item_result got = operate(world, MKV_OP_GET, received, 0);
        assert_int_equal(got.status, MKV_STATUS_OK);
        assert_int_equal(got.length, lengths[i]);
        assert_memory_equal(received, bytes, lengths[i]);
        assert_int_equal(operate(world, MKV_OP_DELETE, NULL, 0).status, MKV_STATUS_OK);
        assert_int_equal(operate(world, MKV_OP_EXISTS, NULL, 0).status, MKV_STATUS_NOT_FOUND);
    }
    free(bytes);
    free(received);
    assert_int_equal(mkv_pump_admin(world->pump, 0, MKV_ADMIN_CLOSE, NULL), MKV_OK);
    world_await(world, MKV_EVENT_CLOSED);
    world_destroy(world);
}

/* The data of two puts is copied in one round; the drive has the first before the second is. */
static void test_pump__drive_in_a_hurry__is_served_between_two_inputs(void **state) {
    (void)state;
    struct world *world = world_create();
    uint8_t bytes[2][5000] = {{1}, {2}};
    struct mkv_request_item items[2];
    struct mkv_fabric_local_payload payloads[2];
    struct mkv_item_result results[2] = {{0}, {0}};
    struct mkv_fabric_local_request requests[2];
    assert_int_equal(operate(world, MKV_OP_PUT, bytes[0], sizeof bytes[0]).status, MKV_STATUS_OK);
    world->drive.hurries = true;
    for (uint32_t put = 0; put < 2; put++) {
        uint64_t sums[MKV_CHUNKS_MAX];
        mkv_chunk_sums(bytes[put], sizeof bytes[put], sums);
        items[put] = (struct mkv_request_item){
            .key_bytes = 4,
            .length = sizeof bytes[put],
            .root = mkv_root_of_sums(sizeof bytes[put], sums),
        };
        payloads[put] = (struct mkv_fabric_local_payload){.bytes = bytes[put]};
        requests[put] = (struct mkv_fabric_local_request){
            .op = MKV_OP_PUT,
            .deadline_ns = mkv_clock_monotonic_ns() + WAIT_NS,
            .item_count = 1,
            .items = &items[put],
            .keys = (const uint8_t *)(put == 0 ? "key1" : "key2"),
            .keys_bytes = 4,
            .payloads = &payloads[put],
            .results = &results[put],
            .done = on_done,
            .context = world,
        };
        assert_true(mkv_fabric_local_start(world->fabric, &requests[put]));
    }
    while (mkv_fabric_local_in_flight(world->fabric) > 0) {
        world_turn(world);
    }
    assert_int_equal(world->drive.hurried_count, 2);
    assert_true(world->drive.handed_over[1] > world->drive.handed_over[0]);
    world_destroy(world);
}

static void test_pump__request__is_told_of_at_its_begin_and_its_end(void **state) {
    (void)state;
    struct world *world = world_create();
    uint8_t bytes[5000] = {1};
    assert_int_equal(operate(world, MKV_OP_PUT, bytes, sizeof bytes).status, MKV_STATUS_OK);
    assert_int_equal(world->began, 1);
    assert_int_equal(world->ended, 1);
    assert_int_equal(world->summary.op, MKV_OP_PUT);
    assert_int_equal(world->summary.bytes_in, sizeof bytes);
    assert_true(world->summary.drive_ns > 0);
    uint64_t sum_ns = 0;
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        sum_ns += world->summary.stage_ns[stage];
    }
    assert_int_equal(sum_ns, world->summary.ended_ns - world->summary.received_ns);
    assert_int_equal(operate(world, MKV_OP_EXISTS, NULL, 0).status, MKV_STATUS_OK);
    assert_int_equal(world->began, 2);
    assert_int_equal(world->ended, 2);
    world_destroy(world);
}

static void test_pump__drive_fails__front_hears_of_it_and_goes_on(void **state) {
    (void)state;
    struct world *world = world_create();
    uint8_t bytes[5000];
    memset(bytes, 1, sizeof bytes);
    assert_int_equal(operate(world, MKV_OP_PUT, bytes, sizeof bytes).status, MKV_STATUS_OK);
    assert_false(mkv_pump_drive_is_failed(world->pump, 0));
    world->drive.fail = true;
    memset(bytes, 2, sizeof bytes);
    assert_int_equal(operate(world, MKV_OP_DELETE, NULL, 0).status == MKV_STATUS_OK, false);
    world_await(world, MKV_EVENT_DRIVE_FAILED);
    assert_true(mkv_pump_drive_is_failed(world->pump, 0));
    world->drive.fail = false;
    assert_int_equal(operate(world, MKV_OP_PUT, bytes, sizeof bytes).status,
                     MKV_STATUS_UNAVAILABLE);
    const struct mkv_item_result got = operate(world, MKV_OP_GET, bytes, 0);
    assert_int_equal(got.status, MKV_STATUS_NOT_FOUND);
    assert_int_equal(got.miss, MKV_MISS_DRIVE_OFFLINE);
    world_destroy(world);
}

static void test_pump__value_of_segments__is_put_and_got_in_parts(void **state) {
    (void)state;
    struct world *world = world_create();
    const uint32_t length = 5 * BLOCK_BYTES_MAX + 4321;
    uint8_t *bytes = malloc(length);
    uint8_t *received = calloc(1, length);
    assert_non_null(bytes);
    assert_non_null(received);
    for (uint32_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 13 + (i >> 12));
    }
    struct mkv_request_item item = {.key_bytes = 3, .length = length};
    const struct mkv_fabric_local_payload payload = {.bytes = bytes};
    struct mkv_item_result result = {0};
    struct mkv_fabric_local_request request = {
        .op = MKV_OP_PUT,
        .deadline_ns = mkv_clock_monotonic_ns() + WAIT_NS,
        .item_count = 1,
        .items = &item,
        .keys = (const uint8_t *)"key",
        .keys_bytes = 3,
        .payloads = &payload,
        .results = &result,
        .done = on_done,
        .context = world,
    };
    assert_true(mkv_fabric_local_start(world->fabric, &request));
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (!world->done) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    assert_int_equal(result.status, MKV_STATUS_OK);
    result = operate(world, MKV_OP_GET, received, 0);
    assert_int_equal(result.status, MKV_STATUS_OK);
    assert_int_equal(result.length, length);
    assert_memory_equal(received, bytes, length);
    free(bytes);
    free(received);
    world_destroy(world);
}

/* Expiries count from when a request came, by the clock of the shard that it came to. */
static void test_pump__request_of_another_shard__expires_from_when_it_came(void **state) {
    (void)state;
    struct world *world = world_create_of(2);
    uint8_t value[5000] = {1, 2, 3};
    assert_int_equal(operate(world, MKV_OP_PUT, value, sizeof value).status, MKV_STATUS_OK);
    assert_int_equal(operate(world, MKV_OP_EXISTS, NULL, 0).status, MKV_STATUS_OK);
    const struct mkv_request_item item = {.key_bytes = 3, .expire_s = 1000};
    struct mkv_input input = {.kind = MKV_INPUT_REQUEST,
                              .now_ns = mkv_clock_monotonic_ns(),
                              .wall_ms = 5000, /* long ago: so it has expired */
                              .data = (const uint8_t *)"key",
                              .data_bytes = 3};
    input.request = (struct mkv_request){.connection = {7, 1},
                                         .op = MKV_OP_EXPIRE,
                                         .deadline_ns = input.now_ns + WAIT_NS,
                                         .item_count = 1,
                                         .items = &item};
    assert_int_equal(mkv_router_request(world->routers[1], &input), MKV_ROUTER_TAKEN);
    struct mkv_router_output output;
    while (mkv_router_next(world->routers[1], &output)) {
        mkv_shard_relay_send(world->relay, 1, &output, false);
    }
    (void)mkv_shard_relay_flush(world->relay, 1, mkv_clock_monotonic_ns());
    uint32_t bytes;
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (mkv_shard_relay_peek(world->relay, 1, 0, &bytes) == NULL) { /* its ANSWER */
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    assert_int_equal(operate(world, MKV_OP_EXISTS, NULL, 0).status, MKV_STATUS_NOT_FOUND);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pump__put_get_delete__go_all_the_way),
        cmocka_unit_test(test_pump__drive_in_a_hurry__is_served_between_two_inputs),
        cmocka_unit_test(test_pump__request__is_told_of_at_its_begin_and_its_end),
        cmocka_unit_test(test_pump__drive_fails__front_hears_of_it_and_goes_on),
        cmocka_unit_test(test_pump__value_of_segments__is_put_and_got_in_parts),
        cmocka_unit_test(test_pump__request_of_another_shard__expires_from_when_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
