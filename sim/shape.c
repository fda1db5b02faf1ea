/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/shape.h"

#include "core/volume.h"

#include "sim/content.h"
#include "sim/lanes_world.h"
#include "sim/random.h"
#include "sim/shards_world.h"

/* One seed in this many has the front in it. */
#define FRONT_ONE_IN 12u
/* Drawn apart, so that all other seeds stay what they are. */
#define SET_ONE_IN 48u
#define SET_SALT 0x5e8ull
#define EXPIRY_ONE_IN 3u
#define EXPIRY_SALT 0xe4b1ull
#define LEASE_ONE_IN 3u
#define LEASE_SALT 0x1ea5eull
/* One seed in this many has steps that do so little that its small tables take several; not many
 * more, or most crashes in a recovery would fall between these. */
#define STEPS_ONE_IN 4u
#define STEPS_SALT 0x57e95ull
#define STEP_PAGES_DRAWN_MIN 2u
#define STEP_PAGES_DRAWN_MAX 8u
#define STEP_SLOTS_DRAWN_MAX 24u
#define STEP_CLEAR_BYTES_DRAWN_MIN 2048u
#define STEP_CLEAR_BYTES_DRAWN_MAX 16384u
/* Of the seeds with a front, one in this many has several of them, each a shard. */
#define SHARDS_ONE_IN 4u
#define SHARDS_SALT 0x54a2d5ull
#define CRASHES_MAX_SHARDS 8u
/* One seed in this many has lanes instead of all else. */
#define LANES_ONE_IN 24u
#define LANES_SALT 0x1a9e5ull
#define LANE_TURNS_DRAWN_MAX 400u
#define CRASHES_MAX_LANES 16u
#define TIER_ONE_IN 3u
#define TIER_SALT 0x71e2ull
#define CONDITION_ONE_IN 3u
#define CONDITION_SALT 0xc09dull
#define LATER_ONE_IN 2u
#define FRONTS_ONE_IN 3u
#define LATER_SALT 0x1a7e2ull
#define FRONTS_SALT 0xf20475ull
#define RESERVE_ONE_IN 2u
#define RESERVE_SALT 0x2e5e2ull
/* One seed in this many has blocks of several chunks, so long. */
#define LONG_ONE_IN 12u
/* One seed in this many has many long keys, and these extents, which have room for all of them. */
#define LONG_KEYS_ONE_IN 24u
#define LONG_KEYS_SALT 0x10e6ull
#define ADMISSION_SALT 0xad317ull
#define LONG_KEYS_EXTENTS 12u
#define LONG_KEYS_EXTENT_UNITS 16u
/* One seed in this many has extents that are small against its blocks, so that several are used as
 * one, and so many of them at most. */
#define SPANS_ONE_IN 3u
#define SPANS_EXTENTS_MAX 32u
/* One seed in this many has fewer extents than sizes want, so that they are taken from each other.
 */
#define CROWDED_ONE_IN 4u
#define LONG_UNITS 36u
/* Crashes of a seed, by its spans: a long life costs several short ones, and each length is to have
 * about the same share of the time. */
#define CRASHES_MAX_VOLUME 192u
#define SPAN_LONG 250u
#define CRASHES_MAX_SPAN_LONG 112u
#define SPAN_LONGEST 600u
#define CRASHES_MAX_SPAN_LONGEST 64u
#define CRASHES_MAX_LONG_KEYS 64u
#define CRASHES_MAX_FRONT 24u
#define CRASHES_MAX_SET 40u

/* Mostly the shortest that can tear, now and then blocks of several chunks, and with a front values
 * of several segments. */
static void draw_lengths(struct mkv_shape *shape, struct mkv_random *random) {
    const bool is_long = mkv_random_chance(random, 1, LONG_ONE_IN);
    const bool segmented = mkv_random_chance(random, 1, 2);
    const uint32_t units = mkv_random_between(random, 1, 3);
    shape->length_max = (is_long ? LONG_UNITS : units) * MKV_UNIT_BYTES;
    shape->block_bytes_max = MKV_CHUNK_BYTES_MIN;
    if (shape->world != MKV_WORLD_FRONT || !segmented) {
        shape->block_bytes_max = (uint32_t)mkv_round_up_u64(shape->length_max, MKV_CHUNK_BYTES_MIN);
    }
    shape->slabs = mkv_random_between(random, 2, 12);
}

void mkv_shape_fit(struct mkv_shape *shape) {
    struct mkv_geometry *geometry = &shape->geometry;
    geometry->capacity_units =
        2 * MKV_SUPERBLOCK_SPACING_UNITS + MKV_JOURNAL_COPIES * geometry->ring_blocks +
        MKV_CHECKPOINT_SIDES * (1 + geometry->tenant_units + geometry->page_count) +
        geometry->directory_units + geometry->extent_count * geometry->extent_units +
        MKV_SUPERBLOCK_SPACING_UNITS + 1;
    shape->profile.capacity_units = (uint32_t)geometry->capacity_units;
}

static void draw_geometry(struct mkv_shape *shape, struct mkv_random *random) {
    const bool front = shape->world == MKV_WORLD_FRONT;
    const uint32_t ring_blocks = mkv_random_between(random, MKV_RING_BLOCKS_MIN, 20);
    const uint32_t longest = (uint32_t)mkv_min_u64(shape->length_max, shape->block_bytes_max);
    const uint32_t payload_units = longest / MKV_UNIT_BYTES;
    const uint32_t slot_units = 1 + payload_units;
    uint32_t extent_units = mkv_random_between(random, slot_units, 3 * slot_units);
    uint32_t extent_count = mkv_random_between(random, front ? 8 : 6, 12);
    if (!front && mkv_random_chance(random, 1, CROWDED_ONE_IN)) {
        extent_count = mkv_random_between(random, 2, 6);
    }
    if (mkv_random_chance(random, 1, SPANS_ONE_IN)) {
        const uint32_t least = (uint32_t)mkv_max_u64(MKV_EXTENT_UNITS_MIN, slot_units / 6);
        extent_units = mkv_random_between(random, least, slot_units);
        extent_count = mkv_random_between(random, 12, SPANS_EXTENTS_MAX);
    }
    /* Every extent that gets a class takes a page; now and then they run out. */
    const uint32_t page_count = extent_count + mkv_random_below(random, 4) - 1;
    const uint32_t directory_units = MKV_DIRECTORY_UNITS_MIN + mkv_random_below(random, 9);
    struct mkv_geometry *geometry = &shape->geometry;
    *geometry = (struct mkv_geometry){
        .ring_blocks = ring_blocks,
        .tenant_units = 1,
        .page_count = page_count,
        .directory_units = directory_units,
        .extent_units = extent_units,
        .extent_count = extent_count,
    };
    mkv_shape_fit(shape);
    MKV_ASSERT(mkv_geometry_valid(geometry));
    shape->window_units = mkv_random_between(random, 1, 16);
}

static void draw_drive(struct mkv_shape *shape, struct mkv_random *random) {
    struct mkv_drive_profile *profile = &shape->profile;
    profile->volatile_cache = !mkv_random_chance(random, 1, 8);
    static const uint32_t tears[] = {MKV_UNIT_BYTES, MKV_UNIT_BYTES, 512, 64};
    profile->tear_bytes = tears[mkv_random_below(random, 4)];
    static const uint32_t atomics[] = {0, 0, 1, 8};
    profile->atomic_units = atomics[mkv_random_below(random, 4)];
    profile->discard = (enum mkv_drive_discard)mkv_random_below(random, 4);
    /* Which of them is slow decides what overlaps what. */
    static const uint32_t delays_ns[] = {1000, 10000, 100000};
    profile->read_ns = delays_ns[mkv_random_below(random, 3)];
    profile->write_ns = delays_ns[mkv_random_below(random, 3)];
    profile->flush_ns = delays_ns[mkv_random_below(random, 3)];
    shape->idle_ns = (uint64_t)delays_ns[mkv_random_below(random, 3)] * 4;
    shape->empty_ns_max = (uint64_t)delays_ns[mkv_random_below(random, 3)] * 64;
    shape->empty_grain_ns = (uint64_t)delays_ns[mkv_random_below(random, 3)];
    shape->trim = mkv_random_chance(random, 1, 2);
    shape->trim_idle_ns = (uint64_t)delays_ns[mkv_random_below(random, 3)] * 2;
    /* From at once to after the end. */
    shape->directory_commit_ns = mkv_random_chance(random, 1, 8)
                                     ? UINT64_MAX
                                     : (uint64_t)delays_ns[mkv_random_below(random, 3)] * 8;
}

static void draw_workload(struct mkv_shape *shape, struct mkv_random *random) {
    shape->key_count = mkv_random_between(random, 2, 10);
    /* Of a long value the front knows the tag alone when it decides on a conflict. */
    const bool segmented = shape->length_max > shape->block_bytes_max;
    if (mkv_random_chance(random, 1, 2) && !segmented) {
        shape->colliding = mkv_random_between(random, 2, shape->key_count);
    }
    shape->clients = mkv_random_between(random, 1, 8);
    shape->weight_put = mkv_random_between(random, 4, 16);
    shape->weight_get = mkv_random_below(random, 8);
    shape->weight_exists = mkv_random_below(random, 4);
    shape->weight_delete = mkv_random_below(random, 8);
    shape->weight_checkpoint = mkv_random_below(random, 3);
    shape->share_replace = mkv_random_below(random, 17);
    shape->share_repeat = mkv_random_below(random, 5);
    shape->share_abort = mkv_random_below(random, 3);
    shape->lock_yield_ns =
        mkv_random_chance(random, 1, 3) ? mkv_random_between(random, 500, 20000) : 0;
    shape->scrub_rate =
        mkv_random_chance(random, 1, 2) ? (uint64_t)mkv_random_between(random, 1, 64) << 28 : 0;
    shape->tenants = shape->world == MKV_WORLD_VOLUME && mkv_random_chance(random, 1, 3);
    shape->weight_tenant = shape->tenants ? mkv_random_between(random, 1, 3) : 0;
    shape->weight_list = mkv_random_below(random, 4);
    shape->think_ns = mkv_random_chance(random, 1, 4) ? 200000 : 1000;
    shape->connections = mkv_random_between(random, 1, 4);
    shape->items_max = mkv_random_between(random, 1, 6);
    shape->share_close = mkv_random_below(random, 8);
    shape->deadline_ns = mkv_random_chance(random, 1, 4) ? 50000 : 50000000;
}

/* Drawn apart, like the set. */
static void draw_expiry(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ EXPIRY_SALT, MKV_CONCERN_SHAPE);
    const bool fits =
        shape->world == MKV_WORLD_VOLUME ||
        (shape->world == MKV_WORLD_FRONT && shape->length_max <= shape->block_bytes_max);
    if (!fits || !mkv_random_chance(&random, 1, EXPIRY_ONE_IN)) {
        return;
    }
    static const uint32_t spans_s[] = {1, 4, 20};
    shape->share_expiry = mkv_random_between(&random, 2, 16);
    shape->expiry_s_max = spans_s[mkv_random_below(&random, 3)];
    shape->expiry_pass_ns = mkv_random_between(&random, 1, 100000);
    shape->share_repeat = mkv_random_between(&random, 2, 10);
    shape->weight_expire = mkv_random_below(&random, 5);
}

/* Of the seeds with a front every other one. */
static bool draws_leases(const struct mkv_shape *shape, struct mkv_random *random) {
    return shape->world == MKV_WORLD_FRONT
               ? mkv_random_chance(random, 1, 2)
               : shape->world == MKV_WORLD_VOLUME && mkv_random_chance(random, 1, LEASE_ONE_IN);
}

/* Drawn apart, too. Leases are short or long against the life of a process. */
static void draw_leases(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ LEASE_SALT, MKV_CONCERN_SHAPE);
    if (!draws_leases(shape, &random)) {
        return;
    }
    static const uint64_t terms_ns[] = {20000, 300000, 5000000};
    shape->share_lease = mkv_random_between(&random, 2, 16);
    shape->lease_ns_max = terms_ns[mkv_random_below(&random, 3)];
    shape->weight_exists += mkv_random_between(&random, 1, 6);
}

/* Drawn apart, too. */
static void draw_steps(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ STEPS_SALT, MKV_CONCERN_SHAPE);
    if (!mkv_random_chance(&random, 1, STEPS_ONE_IN)) {
        return;
    }
    shape->step_pages = mkv_random_between(&random, STEP_PAGES_DRAWN_MIN, STEP_PAGES_DRAWN_MAX);
    shape->step_slots = mkv_random_between(&random, 1, STEP_SLOTS_DRAWN_MAX);
    shape->step_clear_bytes =
        mkv_random_between(&random, STEP_CLEAR_BYTES_DRAWN_MIN, STEP_CLEAR_BYTES_DRAWN_MAX);
}

static uint32_t crashes_of_span(uint32_t span) {
    return span < SPAN_LONG      ? CRASHES_MAX_VOLUME
           : span < SPAN_LONGEST ? CRASHES_MAX_SPAN_LONG
                                 : CRASHES_MAX_SPAN_LONGEST;
}

/* Drawn apart, too. Where there are tiers, blocks mostly make room. */
static void draw_tiers(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ TIER_SALT, MKV_CONCERN_SHAPE);
    shape->session_max = 1;
    shape->session_block_max = 1;
    if (shape->world == MKV_WORLD_SET || !mkv_random_chance(&random, 1, TIER_ONE_IN)) {
        return;
    }
    static const uint64_t idles_ns[] = {50000, 2000000, UINT64_MAX};
    shape->share_tier = mkv_random_between(&random, 4, 16);
    shape->session_count = mkv_random_between(&random, 1, MKV_SHAPE_SESSIONS_MAX);
    shape->weight_session = mkv_random_between(&random, 1, 6);
    shape->session_idle_ns = idles_ns[mkv_random_below(&random, 3)];
    const bool scarce = mkv_random_chance(&random, 1, 3);
    shape->session_max = scarce ? mkv_random_between(&random, 1, 3) : 8;
    shape->session_block_max = scarce ? mkv_random_between(&random, 1, 12) : 256;
    shape->eviction = shape->eviction || mkv_random_chance(&random, 1, 2);
}

/* Drawn apart, too. Of values that are no segments. */
static void draw_reservations(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ RESERVE_SALT, MKV_CONCERN_SHAPE);
    if (shape->world == MKV_WORLD_FRONT && shape->length_max <= shape->block_bytes_max &&
        mkv_random_chance(&random, 1, RESERVE_ONE_IN)) {
        shape->share_reserve = mkv_random_between(&random, 2, 14);
        shape->share_close += mkv_random_below(&random, 24);
    }
}

/* Drawn apart, too. */
static void draw_conditions(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ CONDITION_SALT, MKV_CONCERN_SHAPE);
    if (shape->world != MKV_WORLD_SET && mkv_random_chance(&random, 1, CONDITION_ONE_IN)) {
        shape->share_condition = mkv_random_between(&random, 2, 12);
    }
}

/* Drawn apart, too. */
static void draw_later(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ LATER_SALT, MKV_CONCERN_SHAPE);
    if (shape->world == MKV_WORLD_FRONT && mkv_random_chance(&random, 1, LATER_ONE_IN)) {
        shape->share_later = mkv_random_between(&random, 2, 16);
    }
}

/* Drawn apart, too. Some more clients, and more keys in a request, than one front has. */
static void draw_fronts(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ FRONTS_SALT, MKV_CONCERN_SHAPE);
    if (shape->world != MKV_WORLD_FRONT || !mkv_random_chance(&random, 1, FRONTS_ONE_IN)) {
        return;
    }
    shape->fronts = mkv_random_between(&random, 2, 3);
    shape->volume_count = mkv_random_chance(&random, 7, 8) ? 2 : 1;
    shape->connections = mkv_random_between(&random, shape->fronts, 4);
    shape->items_max = mkv_random_between(&random, 2, 6);
    shape->share_close += mkv_random_below(&random, 32);
}

static void draw_crashes(struct mkv_shape *shape, struct mkv_random *random) {
    static const uint32_t spans[] = {12, 40, 80, 120, SPAN_LONG, SPAN_LONGEST};
    const bool front = shape->world == MKV_WORLD_FRONT;
    const uint32_t span = spans[mkv_random_below(random, 6)];
    shape->crashes_max = front ? CRASHES_MAX_FRONT : crashes_of_span(span);
    shape->crash_span = span * (front ? 4 : 1);
    shape->share_cut = mkv_random_below(random, 8);
    shape->share_kill = mkv_random_below(random, 8);
    shape->keep_weights[MKV_KEEP_NONE] = mkv_random_below(random, 3);
    shape->keep_weights[MKV_KEEP_ALL] = mkv_random_below(random, 3);
    shape->keep_weights[MKV_KEEP_BY_WRITE] = mkv_random_below(random, 4);
    shape->keep_weights[MKV_KEEP_BY_SECTOR] = 1 + mkv_random_below(random, 4);
    shape->share_pattern = mkv_random_below(random, 3);
}

static void draw_memory(struct mkv_shape *shape, struct mkv_random *random) {
    const bool has_memory = shape->world == MKV_WORLD_FRONT && mkv_random_chance(random, 3, 4);
    const uint32_t blocks = mkv_random_between(random, 1, 16);
    const uint32_t share = mkv_random_below(random, 13);
    shape->memory_blocks = has_memory ? blocks : 0;
    shape->share_relaxed = has_memory ? share : 0;
}

/* Blocks make room in every other seed, and then mostly before a put asks for it. */
static void draw_eviction(struct mkv_shape *shape, struct mkv_random *random) {
    shape->eviction = mkv_random_chance(random, 1, 2);
    static const uint32_t divisors[] = {2, 3, MKV_EVICT_READY_DIVISOR};
    shape->evict_ready_divisor = divisors[mkv_random_below(random, 3)];
    shape->ghost_count = 8u << mkv_random_below(random, 3);
}

/* In a part of the seeds not all relaxed puts are written. */
static void draw_admission(struct mkv_shape *shape, uint64_t seed) {
    const uint64_t draw = mkv_random_mix(seed ^ ADMISSION_SALT);
    if (shape->share_relaxed == 0 || draw % 2 == 0) {
        return;
    }
    shape->admission = (uint32_t)(draw / 2 % 3);
    /* Of a world in which a second is long. */
    shape->write_limit = MKV_MIB << (draw / 8 % 8);
    shape->avoids = draw / 64 % 2 == 0;
}

/* Many keys, long ones, of short payloads: the directory gets deep, and full. */
static void draw_long_keys(struct mkv_shape *shape, uint64_t seed) {
    const uint64_t draw = mkv_random_mix(seed ^ LONG_KEYS_SALT);
    if (shape->world != MKV_WORLD_VOLUME || draw % LONG_KEYS_ONE_IN != 0) {
        return;
    }
    shape->long_keys = true;
    shape->crashes_max = CRASHES_MAX_LONG_KEYS; /* all of them are read back after each */
    shape->key_count = MKV_CONTENT_KEYS_MAX - (uint32_t)(draw >> 8) % 24;
    shape->colliding = 0;
    shape->length_max = MKV_UNIT_BYTES;
    shape->block_bytes_max = MKV_CHUNK_BYTES_MIN;
    shape->geometry.extent_count = LONG_KEYS_EXTENTS;
    shape->geometry.extent_units = LONG_KEYS_EXTENT_UNITS;
    shape->geometry.page_count = LONG_KEYS_EXTENTS + 2;
    shape->geometry.directory_units = MKV_DIRECTORY_UNITS_MIN + (uint32_t)(draw >> 16) % 4;
    mkv_shape_fit(shape);
    shape->weight_put = 16;
    shape->weight_delete = 1 + (uint32_t)(draw >> 24) % 3;
    shape->weight_list = 2;
    shape->share_expiry = 0;
    shape->weight_expire = 0;
    shape->tenants = false;
    shape->eviction = false;
}

static void draw_shards(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ SHARDS_SALT, MKV_CONCERN_SHAPE);
    if (shape->world != MKV_WORLD_FRONT || !mkv_random_chance(&random, 1, SHARDS_ONE_IN)) {
        return;
    }
    shape->world = MKV_WORLD_SHARDS;
    shape->shards = mkv_random_between(&random, 1, MKV_SHARDS_MAX);
    shape->key_count = mkv_random_between(&random, 4, 16);
    shape->colliding = 0; /* such keys differ from shard to shard */
    shape->crashes_max = CRASHES_MAX_SHARDS;
}

/* Drawn apart, too: in all worlds the figures, so that they are sound. */
static void draw_lanes(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed ^ LANES_SALT, MKV_CONCERN_SHAPE);
    const bool is_lanes = mkv_random_chance(&random, 1, LANES_ONE_IN);
    static const uint32_t bytes[] = {8192, 8192, 9000, 16384};
    shape->lane_message_bytes = bytes[mkv_random_below(&random, 4)];
    shape->lane_sends = mkv_random_between(&random, 2, MKV_LANES_SENDS_MAX);
    shape->lane_receives =
        mkv_random_between(&random, MKV_LANE_CREDITS_MIN, MKV_LANES_RECEIVES_MAX);
    shape->lane_transfers = mkv_random_between(&random, 1, MKV_LANES_TRANSFERS_MAX);
    shape->lane_reads = (uint32_t)mkv_min_u64(shape->lane_transfers,
                                              mkv_random_between(&random, 1, MKV_LANES_READS_MAX));
    shape->lane_turns = mkv_random_between(&random, 40, LANE_TURNS_DRAWN_MAX);
    if (!is_lanes) {
        return;
    }
    static const uint64_t deadlines_ns[] = {100000, 3000000, 50000000};
    shape->world = MKV_WORLD_LANES;
    shape->volume_count = 1;
    shape->fronts = 0;
    shape->shards = 0;
    shape->tenants = false;
    mkv_fault_plan_draw_lanes(&shape->faults, &random);
    shape->connections = mkv_random_between(&random, 1, MKV_LANES_CLIENTS_MAX);
    shape->clients = mkv_random_between(&random, 1, 8);
    shape->weight_put = mkv_random_between(&random, 1, 8);
    shape->weight_get = mkv_random_below(&random, 8);
    shape->weight_exists = mkv_random_below(&random, 8);
    shape->length_max = MKV_UNIT_BYTES * mkv_random_between(&random, 1, 8);
    shape->block_bytes_max = (uint32_t)mkv_round_up_u64(shape->length_max, MKV_CHUNK_BYTES_MIN);
    shape->think_ns = mkv_random_chance(&random, 1, 2) ? 2000 : 100000;
    shape->deadline_ns = deadlines_ns[mkv_random_below(&random, 3)];
    shape->share_close = mkv_random_below(&random, 8);
    shape->crashes_max = mkv_random_between(&random, 1, CRASHES_MAX_LANES);
}

void mkv_shape_draw(struct mkv_shape *shape, uint64_t seed) {
    struct mkv_random random;
    mkv_random_seed(&random, seed, MKV_CONCERN_SHAPE);
    *shape = (struct mkv_shape){.seed = seed};
    shape->world = mkv_random_chance(&random, 1, FRONT_ONE_IN) ? MKV_WORLD_FRONT : MKV_WORLD_VOLUME;
    mkv_fault_plan_draw(&shape->faults, &random);
    shape->volume_count = shape->world == MKV_WORLD_FRONT ? mkv_random_between(&random, 1, 2) : 1;
    if (mkv_random_mix(seed ^ SET_SALT) % SET_ONE_IN == 0) {
        shape->world = MKV_WORLD_SET;
        shape->volume_count = mkv_random_between(&random, 2, 3);
        shape->faults.mask &= MKV_FAULTS_OF_SET;
    }
    draw_lengths(shape, &random);
    draw_geometry(shape, &random);
    draw_drive(shape, &random);
    draw_workload(shape, &random);
    draw_crashes(shape, &random);
    draw_expiry(shape, seed);
    draw_leases(shape, seed);
    draw_steps(shape, seed);
    draw_reservations(shape, seed);
    draw_later(shape, seed);
    draw_conditions(shape, seed);
    if (shape->world == MKV_WORLD_SET) {
        shape->colliding = 0; /* keys are told apart by what they may hold */
        shape->key_count = mkv_random_between(&random, 8, 24);
        shape->crashes_max = CRASHES_MAX_SET;
    }
    draw_eviction(shape, &random);
    draw_tiers(shape, seed);
    draw_memory(shape, &random);
    draw_long_keys(shape, seed);
    draw_admission(shape, seed);
    draw_shards(shape, seed);
    draw_fronts(shape, seed);
    draw_lanes(shape, seed);
}
