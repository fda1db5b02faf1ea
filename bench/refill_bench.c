/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume on a drive in memory that is filled again and again, by blocks whose sizes change from
 * fill to fill: what is written for each byte that is stored, how full the drive stays, and how
 * long puts wait for a slot.
 *
 *   refill_bench CAPACITY FILLS SEED       a line of JSON for each fill
 *
 * A fill is as many payload bytes as the drive has usable ones. Its mix is the next of the list
 * below, in which each size has an equal share of the bytes. The drive keeps its metadata, and of
 * slots what their headers are made of; it does one operation after another, and how long each
 * takes is a calculation (DRIVE below), so the figures are the same on every machine.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/memory_map.h"
#include "bench/memory_drive.h"
#include "core/hash.h"
#include "server/node_internal.h"

/* DRIVE: of each operation, and for each byte of a transfer (2 GB/s). */
#define READ_NS 80000u
#define WRITE_NS 10000u
#define FLUSH_NS 100000u
#define BYTES_PER_NS 2u

#define DEPTH 64u
#define QUEUE_MAX 8192u
#define EFFECTS_AT_ONCE 64u
#define TICK_NS 10000000u
#define SIZES_MAX 8u
#define PUTS_PER_FILL_MAX (4u << 20)
/* Headers are found by the unit that their slot begins at; no two slots begin so close. */
#define PLACE_UNITS 16u

struct mix {
    const char *name;
    uint32_t kib[SIZES_MAX]; /* up to the first 0 */
};

static const struct mix mixes[] = {
    {"all classes", {64, 256, 512, 1126, 2560, 5120, 10240, 32768}},
    {"0.25 and 1.1 MiB", {256, 1126}},
    {"5 and 32 MiB", {5120, 32768}},
    {"0.13 to 1 MiB", {128, 256, 300, 512, 700, 1024}},
    {"all classes", {64, 256, 512, 1126, 2560, 5120, 10240, 32768}},
};
#define MIX_COUNT (sizeof mixes / sizeof mixes[0])

enum region {
    REGION_DATA = 0,
    REGION_JOURNAL,
    REGION_CHECKPOINT,
    REGION_DIRECTORY,
    REGION_SUPERBLOCK,
    REGION_COUNT,
};
static const char *const region_names[REGION_COUNT] = {"data", "journal", "checkpoint", "directory",
                                                       "superblock"};

struct put {
    bool busy;
    uint32_t length;
    uint64_t begin_ns;
};

struct world {
    struct mkv_volume_config config;
    struct mkv_memory_map map;
    struct mkv_volume *volume;
    struct mkv_memory_drive drive;
    uint64_t random;
    uint64_t now_ns;
    uint64_t number; /* of the last key */
    struct mkv_effect queue[QUEUE_MAX];
    uint32_t queue_head;
    uint32_t queue_count;
    struct put puts[DEPTH];
    uint32_t in_flight;
    struct {
        uint32_t put;
        struct mkv_op_id op;
    } ready[DEPTH]; /* that have a slot, and are to be written */
    uint32_t ready_count;
    /* Of this fill. */
    uint64_t size_bytes[SIZES_MAX];
    uint64_t stored_bytes;
    uint64_t region_bytes[REGION_COUNT];
    uint64_t refused;
    uint64_t *slot_wait_ns;
    uint64_t *put_ns;
    uint32_t wait_count;
    uint32_t put_count;
};

static const uint64_t no_sums[MKV_CHUNKS_MAX];

static void fail(const char *what, const char *why) {
    fprintf(stderr, "refill_bench: %s: %s\n", what, why);
    exit(1);
}

static uint64_t draw(struct world *world, uint64_t below) {
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    return (world->random >> 24) % below;
}

/* ---- the drive ------------------------------------------------------------------------------- */

static enum region region_of(const struct world *world, uint64_t unit) {
    const struct mkv_geometry *geometry = &world->config.geometry;
    const uint64_t data = mkv_geometry_data_start(geometry).unit;
    if (mkv_memory_drive_is_data(&world->drive, unit)) {
        return REGION_DATA;
    }
    if (unit >= mkv_geometry_directory(geometry).unit && unit < data) {
        return REGION_DIRECTORY;
    }
    if (unit >= mkv_geometry_checkpoint(geometry, 0).unit && unit < data) {
        return REGION_CHECKPOINT;
    }
    const uint64_t ring = mkv_geometry_journal(geometry, 0, 0).unit;
    return unit >= ring && unit < data ? REGION_JOURNAL : REGION_SUPERBLOCK;
}

static void carry_out(struct world *world, const struct mkv_effect *effect) {
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH || effect->kind == MKV_EFFECT_DRIVE_TRIM) {
        world->now_ns += FLUSH_NS;
        return;
    }
    const bool writes = effect->kind == MKV_EFFECT_DRIVE_WRITE;
    const uint64_t bytes = (uint64_t)effect->drive.unit_count * MKV_UNIT_BYTES;
    const uint64_t unit = effect->drive.lba.unit;
    const enum region region = region_of(world, unit);
    world->now_ns += (writes ? WRITE_NS : READ_NS) + bytes / BYTES_PER_NS;
    world->region_bytes[region] += writes ? bytes : 0;
    if (!mkv_memory_drive_carry_out(&world->drive, mkv_volume_arena(world->volume), effect)) {
        fail("the header of a slot", "does not decode");
    }
}

/* ---- stepping -------------------------------------------------------------------------------- */

static void take_message(struct world *world, const struct mkv_message *message) {
    const uint32_t index = message->front_op.index;
    struct put *put = &world->puts[index];
    if (message->kind == MKV_MESSAGE_PUT_READY) {
        world->slot_wait_ns[world->wait_count++] = world->now_ns - put->begin_ns;
        world->ready[world->ready_count].put = index;
        world->ready[world->ready_count].op = message->volume_op;
        world->ready_count++;
        return;
    }
    MKV_ASSERT(message->kind == MKV_MESSAGE_PUT_DONE);
    MKV_ASSERT(put->busy);
    put->busy = false;
    world->in_flight--;
    if (message->status == MKV_STATUS_OK) {
        world->put_ns[world->put_count++] = world->now_ns - put->begin_ns;
        world->stored_bytes += put->length;
    } else if (message->status == MKV_STATUS_NO_SPACE) {
        world->refused++;
    } else {
        fail("a put", "is answered neither OK nor NO_SPACE");
    }
}

static void step(struct world *world, struct mkv_input *input) {
    input->now_ns = world->now_ns;
    input->wall_ms = 1 + world->now_ns / 1000000;
    if (mkv_volume_step(world->volume, input) != MKV_OK) {
        fail("a command", "is refused");
    }
    struct mkv_effect effects[EFFECTS_AT_ONCE];
    uint32_t count;
    while ((count = mkv_volume_effects(world->volume, effects, EFFECTS_AT_ONCE)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            const struct mkv_effect *effect = &effects[index];
            if (effect->kind == MKV_EFFECT_MESSAGE) {
                take_message(world, &effect->message);
            } else if (effect->kind == MKV_EFFECT_FAIL_DRIVE || world->queue_count == QUEUE_MAX) {
                fail("the volume", "gives up its drive, or hands out more than it may");
            } else if (effect->kind != MKV_EFFECT_EVENT) {
                const uint32_t place = (world->queue_head + world->queue_count++) % QUEUE_MAX;
                world->queue[place] = *effect;
            }
        }
    }
}

static void complete_one(struct world *world) {
    const struct mkv_effect effect = world->queue[world->queue_head];
    world->queue_head = (world->queue_head + 1) % QUEUE_MAX;
    world->queue_count--;
    carry_out(world, &effect);
    struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE};
    input.drive.op = effect.op;
    uint64_t sums[MKV_CHUNKS_MAX] = {0};
    input.drive.sums = sums;
    step(world, &input);
}

static void tick(struct world *world) {
    struct mkv_input input = {.kind = MKV_INPUT_TICK};
    world->now_ns += TICK_NS;
    step(world, &input);
}

static void settle(struct world *world) {
    while (world->queue_count > 0 || mkv_volume_has_work(world->volume)) {
        if (world->queue_count > 0) {
            complete_one(world);
        } else {
            tick(world);
        }
    }
}

static void admin(struct world *world, enum mkv_admin_command command) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = command};
    step(world, &input);
    settle(world);
}

/* ---- puts ------------------------------------------------------------------------------------ */

static void begin_put(struct world *world, uint32_t length) {
    uint32_t index = 0;
    while (world->puts[index].busy) {
        index++;
    }
    world->puts[index] = (struct put){true, length, world->now_ns};
    world->in_flight++;
    uint8_t key[MKV_MEMORY_DRIVE_KEY_BYTES];
    mkv_memory_drive_key(++world->number, key);
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = key, .data_bytes = MKV_MEMORY_DRIVE_KEY_BYTES};
    input.message = (struct mkv_message){
        .kind = MKV_MESSAGE_PUT_BEGIN,
        .front_op = {index, 1},
        .tenant = MKV_TENANT_DEFAULT,
        .data_bytes = MKV_MEMORY_DRIVE_KEY_BYTES,
        .length = length,
        .root = mkv_root_of_sums(length, no_sums),
    };
    step(world, &input);
}

static void write_ready(struct world *world) {
    world->ready_count--;
    const uint32_t put = world->ready[world->ready_count].put;
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    input.data = (const uint8_t *)no_sums;
    input.data_bytes = 8 * mkv_chunk_count(world->puts[put].length);
    input.message = (struct mkv_message){.kind = MKV_MESSAGE_PUT_WRITE,
                                         .front_op = {put, 1},
                                         .volume_op = world->ready[world->ready_count].op,
                                         .data_bytes = input.data_bytes};
    step(world, &input);
}

/* The size that has the fewest bytes of this fill, or by chance another, so that they mix. */
static uint32_t next_length(struct world *world, const struct mix *mix) {
    uint32_t count = 0;
    while (count < SIZES_MAX && mix->kib[count] != 0) {
        count++;
    }
    uint32_t chosen = 0;
    for (uint32_t index = 1; index < count; index++) {
        chosen = world->size_bytes[index] < world->size_bytes[chosen] ? index : chosen;
    }
    if (draw(world, 4) == 0) {
        chosen = (uint32_t)draw(world, count);
    }
    const uint32_t length = mix->kib[chosen] * 1024u - (uint32_t)draw(world, 16);
    world->size_bytes[chosen] += length;
    return length;
}

static void put_all(struct world *world, const struct mix *mix, uint64_t bytes) {
    uint64_t sent = 0;
    uint32_t count = 0;
    while (sent < bytes || world->in_flight > 0) {
        while (sent < bytes && world->in_flight < DEPTH) {
            const uint32_t length = next_length(world, mix);
            MKV_ASSERT(count < PUTS_PER_FILL_MAX);
            count++;
            sent += length;
            begin_put(world, length);
        }
        if (world->ready_count > 0) {
            write_ready(world);
        } else if (world->queue_count > 0) {
            complete_one(world);
        } else {
            tick(world);
        }
    }
}

/* ---- figures --------------------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double quantile_ms(uint64_t *values, uint32_t count, double share) {
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof values[0], compare_u64);
    const uint32_t index = (uint32_t)((double)(count - 1) * share);
    return (double)values[index] / 1e6;
}

static uint64_t evictions_of(const struct mkv_volume_stats *stats) {
    return stats->evictions_capacity_total + stats->evictions_rebalance_total;
}

static void fill_once(struct world *world, uint32_t fill) {
    const struct mix *mix = &mixes[fill % MIX_COUNT];
    struct mkv_volume_stats before;
    struct mkv_volume_stats stats;
    mkv_volume_stats(world->volume, &before);
    memset(world->size_bytes, 0, sizeof world->size_bytes);
    memset(world->region_bytes, 0, sizeof world->region_bytes);
    world->stored_bytes = world->refused = 0;
    world->wait_count = world->put_count = 0;
    const uint64_t begin_ns = world->now_ns;
    put_all(world, mix, before.bytes_usable);
    mkv_volume_stats(world->volume, &stats);
    uint64_t written = 0;
    for (uint32_t region = 0; region < REGION_COUNT; region++) {
        written += world->region_bytes[region];
    }
    uint32_t waited = 0;
    for (uint32_t index = 0; index < world->wait_count; index++) {
        waited += world->slot_wait_ns[index] > 0;
    }
    const double stored = (double)world->stored_bytes;
    printf("{\"fill\": %" PRIu32 ", \"mix\": \"%s\", \"puts\": %" PRIu32 ", \"refused\": %" PRIu64
           ", \"amplification\": %.4f",
           fill + 1, mix->name, world->put_count, world->refused, (double)written / stored);
    for (uint32_t region = 0; region < REGION_COUNT; region++) {
        printf(", \"%s\": %.5f", region_names[region],
               (double)world->region_bytes[region] / stored);
    }
    printf(", \"full\": %.4f, \"slots_full\": %.4f, \"extents_free\": %" PRIu32
           ", \"evicted\": %" PRIu64 ", \"emptied\": %" PRIu64 ", \"given_up\": %" PRIu64
           ", \"waited\": %.4f, \"slot_p50_ms\": %.3f, \"slot_p99_ms\": %.3f, \"slot_max_ms\": %.3f"
           ", \"put_p50_ms\": %.3f, \"put_p99_ms\": %.3f, \"put_max_ms\": %.3f, \"mib_s\": %.0f}\n",
           (double)stats.bytes_payload / (double)stats.bytes_usable,
           (double)stats.bytes_used / (double)stats.bytes_usable, stats.extents_free,
           evictions_of(&stats) - evictions_of(&before),
           stats.extents_emptied_total - before.extents_emptied_total,
           stats.emptyings_given_up_total - before.emptyings_given_up_total,
           world->wait_count == 0 ? 0 : (double)waited / world->wait_count,
           quantile_ms(world->slot_wait_ns, world->wait_count, 0.5),
           quantile_ms(world->slot_wait_ns, world->wait_count, 0.99),
           quantile_ms(world->slot_wait_ns, world->wait_count, 1),
           quantile_ms(world->put_ns, world->put_count, 0.5),
           quantile_ms(world->put_ns, world->put_count, 0.99),
           quantile_ms(world->put_ns, world->put_count, 1),
           stored / (double)MKV_MIB / ((double)(world->now_ns - begin_ns) / 1e9));
    fflush(stdout);
}

/* ---- the store ------------------------------------------------------------------------------- */

static void *map_sparse(uint64_t bytes) {
    void *memory = mkv_memory_drive_map(bytes);
    if (memory == NULL) {
        fail("memory", "there is none");
    }
    return memory;
}

static void make_store(struct world *world, uint64_t capacity_units) {
    struct mkv_backend_error error;
    struct mkv_volume_config *config = &world->config;
    const struct mkv_geometry_options defaults = {0};
    config->capacity_units = capacity_units;
    if (mkv_geometry_plan(capacity_units, &defaults, &config->geometry) != MKV_OK) {
        fail("a store of this CAPACITY", "there is none");
    }
    mkv_node_volume_limits(0, 1, config);
    config->stall_ns = 0;
    config->eviction = true;
    config->store_uuid.bytes[0] = 1;
    config->drive_uuid.bytes[0] = 2;
    config->drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    mkv_drive_set_add(&config->drive_set, (struct mkv_member){config->drive_uuid, 1});
    if (!mkv_memory_drive_create(&world->drive, config, PLACE_UNITS, no_sums)) {
        fail("memory", "there is none");
    }
    world->slot_wait_ns = map_sparse(PUTS_PER_FILL_MAX * sizeof(uint64_t));
    world->put_ns = map_sparse(PUTS_PER_FILL_MAX * sizeof(uint64_t));
    const size_t bytes = mkv_volume_memory_required(config);
    if (!mkv_memory_map(bytes, MKV_HUGEPAGES_OFF, "refill_bench", &world->map, &error)) {
        fail("memory", error.text);
    }
    world->volume = mkv_volume_init(world->map.base, bytes, config);
    admin(world, MKV_ADMIN_FORMAT);
    admin(world, MKV_ADMIN_OPEN);
}

int main(int argc, char **argv) {
    const uint64_t capacity = argc == 4 ? strtoull(argv[1], NULL, 10) : 0;
    const uint64_t fills = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    if (capacity < MKV_GIB || capacity > MKV_GIB * 1024 || fills < 1 || fills > 1000) {
        fprintf(stderr, "usage: refill_bench CAPACITY FILLS SEED, with a CAPACITY of 1 GiB to "
                        "1 TiB in bytes and 1 to 1000 FILLS\n");
        return 2;
    }
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL) {
        fail("memory", "there is none");
    }
    world->random = strtoull(argv[3], NULL, 10);
    world->now_ns = 1;
    make_store(world, capacity / MKV_UNIT_BYTES);
    for (uint32_t fill = 0; fill < fills; fill++) {
        fill_once(world, fill);
    }
    return 0;
}
