/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/shards_world.h"

#include <string.h>

#include "core/bytes.h"
#include "core/placement.h"
#include "sim/failure.h"
#include "sim/front_world.h"
#include "sim/images.h"

#define SHARD_SALT 0x5aa2dull
/* Weights of shards: 1 up to this one. */
#define WEIGHT_DRAWN_MAX 3u
/* The shard that took the last step takes the next one too, in so many of this many. */
#define STAY_WHOLE 16u

struct shards_world {
    const struct mkv_world_options *options;
    struct mkv_world_report *report;
    struct mkv_random random; /* whose turn it is */
    uint32_t share_stay;
    uint32_t count;
    uint32_t last;
    uint64_t schedule_hash;
    struct mkv_shape shapes[MKV_SHARDS_MAX];
    struct mkv_world_options shard_options[MKV_SHARDS_MAX]; /* lives keep to them */
    struct mkv_world_report reports[MKV_SHARDS_MAX];
    struct front_world *fronts[MKV_SHARDS_MAX];
};

/* ---- whose key it is ------------------------------------------------------------------------- */

static struct mkv_member member_of(const struct mkv_shape *shape, uint32_t shard) {
    const uint64_t draw = mkv_random_mix(shape->seed ^ SHARD_SALT ^ (uint64_t)shard << 32);
    struct mkv_member member = {.weight = 1 + (uint32_t)(draw % WEIGHT_DRAWN_MAX)};
    mkv_store_u64(member.uuid.bytes, draw);
    mkv_store_u64(member.uuid.bytes + 8, shard);
    return member;
}

uint32_t mkv_shards_owner(const struct mkv_shape *shape, const uint8_t *key, uint32_t key_bytes) {
    struct mkv_member members[MKV_SHARDS_MAX];
    MKV_ASSERT(shape->shards >= 1);
    MKV_ASSERT(shape->shards <= MKV_SHARDS_MAX);
    for (uint32_t shard = 0; shard < shape->shards; shard++) {
        members[shard] = member_of(shape, shard);
    }
    return mkv_placement_owner(mkv_placement_point(MKV_TENANT_DEFAULT_NAME, key, key_bytes),
                               members, shape->shards);
}

static uint64_t keys_of(const struct mkv_shape *shape, const struct mkv_content *content,
                        uint32_t shard) {
    uint64_t keys = 0;
    for (uint32_t key = 0; key < content->key_count; key++) {
        const struct mkv_content_key *own = &content->keys[key];
        if (mkv_shards_owner(shape, own->bytes, own->byte_count) == shard) {
            keys |= 1ull << key;
        }
    }
    return keys;
}

/* The keys that the shard's volumes held when they opened are its own (I1). */
static void check_keys(const struct shards_world *world, uint32_t shard) {
    const struct mkv_lives *lives = &world->fronts[shard]->lives;
    uint64_t present = 0;
    for (uint32_t node = 0; node < lives->node_count; node++) {
        present |= lives->audits[node].present;
    }
    const uint64_t others = present & ~keys_of(world->options->shape, &lives->content, shard);
    if (others != 0) {
        mkv_fail(MKV_ORACLE_SLOTS, "shard %u holds keys of other shards (bits %llx)", shard,
                 (unsigned long long)others);
    }
}

/* ---- what they did --------------------------------------------------------------------------- */

/* What the last crash of each shard left. */
static uint64_t image_of(const struct shards_world *world) {
    uint64_t image = 0;
    for (uint32_t shard = 0; shard < world->count; shard++) {
        image = mkv_random_mix(image ^ world->fronts[shard]->lives.crash_image);
    }
    return image;
}

static void sum_up(struct shards_world *world) {
    struct mkv_world_report sum = {.crashes = 0};
    uint64_t crashes = UINT64_MAX;
    for (uint32_t shard = 0; shard < world->count; shard++) {
        const struct mkv_world_report *report = &world->reports[shard];
        mkv_world_report_add(&sum, report);
        crashes = mkv_min_u64(crashes, report->crashes); /* I3 */
        sum.client_turns = mkv_max_u64(sum.client_turns, report->client_turns);
        sum.fault_candidates = mkv_max_u64(sum.fault_candidates, report->fault_candidates);
    }
    sum.crashes = crashes;
    sum.trace_hash = world->report->trace_hash;
    if (crashes > world->report->crashes && world->options->images != NULL) {
        mkv_images_add(world->options->images, image_of(world));
    }
    *world->report = sum;
}

static void fold_traces(struct shards_world *world) {
    uint64_t hash = world->schedule_hash;
    world->report->entries = 0;
    for (uint32_t shard = 0; shard < world->count; shard++) {
        hash = mkv_random_mix(hash ^ world->reports[shard].trace_hash);
        world->report->entries += world->reports[shard].entries;
    }
    world->report->trace_hash = hash;
}

/* ---- whose turn it is ------------------------------------------------------------------------ */

static bool is_done(const struct shards_world *world, uint32_t shard) {
    return world->fronts[shard]->lives.phase == MKV_PHASE_DONE;
}

/* The shard that takes the next step, or MKV_NONE_U32: all are done. */
static uint32_t next_shard(struct shards_world *world) {
    uint32_t left[MKV_SHARDS_MAX];
    uint32_t left_count = 0;
    for (uint32_t shard = 0; shard < world->count; shard++) {
        if (!is_done(world, shard)) {
            left[left_count++] = shard;
        }
    }
    if (left_count == 0) {
        return MKV_NONE_U32;
    }
    const bool stays = mkv_random_chance(&world->random, world->share_stay, STAY_WHOLE);
    const uint32_t drawn = left[mkv_random_below(&world->random, left_count)];
    return stays && !is_done(world, world->last) ? world->last : drawn;
}

static void step(struct shards_world *world, uint32_t shard) {
    struct mkv_lives *lives = &world->fronts[shard]->lives;
    FILE *log = world->options->log;
    if (log != NULL && shard != world->last) {
        fprintf(log, "-- shard %u\n", shard);
    }
    world->last = shard;
    world->schedule_hash = mkv_random_mix(world->schedule_hash + shard + 1);
    const uint64_t crashes = lives->crash_count;
    const uint64_t counted = world->reports[shard].crashes;
    mkv_lives_step(lives);
    for (uint32_t other = 0; lives->crash_count != crashes && other < world->count; other++) {
        if (other != shard && !is_done(world, other)) {
            mkv_lives_crash(&world->fronts[other]->lives, lives->killed); /* I2 */
        }
    }
    fold_traces(world);
    if (world->reports[shard].crashes != counted) {
        check_keys(world, shard);
        sum_up(world);
    }
}

/* ---- making one ------------------------------------------------------------------------------ */

static void make_shard(struct shards_world *world, uint32_t shard) {
    struct mkv_shape *shape = &world->shapes[shard];
    *shape = *world->options->shape;
    shape->world = MKV_WORLD_FRONT;
    shape->seed = mkv_random_mix(shape->seed + shard + 1);
    struct mkv_world_options *options = &world->shard_options[shard];
    *options = *world->options;
    options->shape = shape;
    options->images = NULL; /* an image is of all shards */
    world->fronts[shard] = mkv_front_world_make(options, &world->reports[shard]);
    struct mkv_lives *lives = &world->fronts[shard]->lives;
    world->fronts[shard]->keys_owned = keys_of(world->options->shape, &lives->content, shard);
    mkv_lives_begin(lives);
}

void mkv_shards_world_run(const struct mkv_world_options *options,
                          struct mkv_world_report *report) {
    const struct mkv_shape *shape = options->shape;
    struct shards_world *world = mkv_memory_take(options->memory, sizeof *world, 64);
    memset(world, 0, sizeof *world);
    world->options = options;
    world->report = report;
    world->count = shape->shards;
    mkv_random_seed(&world->random, shape->seed ^ SHARD_SALT, MKV_CONCERN_SCHEDULE);
    world->share_stay = mkv_random_below(&world->random, STAY_WHOLE);
    for (uint32_t shard = 0; shard < world->count; shard++) {
        make_shard(world, shard);
    }
    uint32_t shard = 0;
    while ((shard = next_shard(world)) != MKV_NONE_U32) {
        step(world, shard);
    }
    sum_up(world);
}
