/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long OPEN takes: a volume with every slot in use and a full ring, on a drive in memory.
 *
 *   recovery_bench SLOTS RING_BLOCKS OPENINGS      a line of JSON for each opening
 *
 *   puts until SLOTS are live -> CHECKPOINT -> puts and deletes while no write of the next
 *   checkpoint completes, until the ring takes no more -> the process is gone -> OPEN, timed
 *
 * RING_BLOCKS 0 is what a new store of that size gets. The drive keeps its metadata, and of slots,
 * which recovery does not read, what their headers are made of. It answers at once, so what is
 * measured is the volume's own work and copying the units; a real drive reads meanwhile. The
 * volume's memory is mapped and touched before, as the daemon's is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"
#include "backends/memory_map.h"
#include "bench/memory_drive.h"
#include "core/hash.h"
#include "server/node_internal.h"

#define BLOCK_BYTES (256u * MKV_KIB)
#define SLOT_UNITS (1u + BLOCK_BYTES / MKV_UNIT_BYTES)
#define DEPTH 256u
/* Between keys that are changed one after the other, so that their slots lie far apart. A prime, so
 * that all keys get their turn. */
#define KEY_STRIDE 2654435761u
#define QUEUE_MAX 8192u
#define EFFECTS_AT_ONCE 64u
#define STALLED_TICKS_MAX 100u
#define TICK_NS 10000000u

/* Where the time of an opening goes. */
enum part {
    PART_BEGIN = 0, /* the step of OPEN itself */
    PART_SUPERBLOCK,
    PART_CHECKPOINT,
    PART_JOURNAL,
    PART_DERIVE,
    PART_FLUSH,
    PART_DRIVE, /* copying, by the drive */
    PART_COUNT,
};
static const char *const part_names[PART_COUNT] = {"begin",  "superblock", "checkpoint", "journal",
                                                   "derive", "flush",      "drive"};

struct world {
    uint64_t slots;
    struct mkv_volume_config config;
    struct mkv_memory_map map;
    struct mkv_volume *volume;
    struct mkv_memory_drive drive;
    uint64_t now_ns; /* the volume's clock */
    struct mkv_effect queue[QUEUE_MAX];
    uint32_t queue_head;
    uint32_t queue_count;
    bool hold_checkpoint; /* its writes do not complete */
    uint32_t outstanding; /* messages without their last answer */
    uint64_t answered;
    struct mkv_op_id ready[DEPTH]; /* puts that have a slot */
    uint32_t ready_count;
    uint64_t sums[MKV_CHUNKS_MAX];
    struct mkv_root root;
    bool failed;
    uint64_t part_ns[PART_COUNT];
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "recovery_bench: %s: %s\n", what, why);
    exit(1);
}

/* ---- the drive ------------------------------------------------------------------------------- */

static bool in_checkpoint(const struct world *world, uint64_t unit) {
    const struct mkv_geometry *geometry = &world->config.geometry;
    return unit >= mkv_geometry_checkpoint(geometry, 0).unit &&
           unit < mkv_geometry_data_start(geometry).unit;
}

static enum part part_of(const struct world *world, const struct mkv_effect *effect) {
    const uint64_t unit = effect->drive.lba.unit;
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
        return PART_FLUSH;
    }
    if (in_checkpoint(world, unit)) {
        return PART_CHECKPOINT;
    }
    const struct mkv_geometry *geometry = &world->config.geometry;
    const uint64_t ring = mkv_geometry_journal(geometry, 0, 0).unit;
    const bool journal = unit >= ring && unit < ring + 2 * (uint64_t)geometry->ring_blocks;
    return journal ? PART_JOURNAL : PART_SUPERBLOCK;
}

static void carry_out(struct world *world, const struct mkv_effect *effect) {
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH || effect->kind == MKV_EFFECT_DRIVE_TRIM) {
        return;
    }
    if (!mkv_memory_drive_carry_out(&world->drive, mkv_volume_arena(world->volume), effect)) {
        fail("the header of a slot", "does not decode");
    }
}

/* ---- stepping -------------------------------------------------------------------------------- */

static void take_message(struct world *world, const struct mkv_message *message) {
    if (message->kind == MKV_MESSAGE_PUT_READY) {
        world->ready[world->ready_count++] = message->volume_op;
        return;
    }
    if (message->status != MKV_STATUS_OK) {
        fprintf(stderr, "recovery_bench: after %" PRIu64 " answers: message %u has status %u\n",
                world->answered, (unsigned)message->kind, (unsigned)message->status);
        exit(1);
    }
    world->outstanding--;
    world->answered++;
}

static void step(struct world *world, struct mkv_input *input) {
    world->now_ns += 1000;
    input->now_ns = world->now_ns;
    input->wall_ms = 1;
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
            } else if (effect->kind == MKV_EFFECT_EVENT) {
                world->failed = world->failed || effect->event.kind == MKV_EVENT_CAME_UP_EMPTY ||
                                effect->event.kind == MKV_EVENT_OPEN_FAILED;
            } else if (effect->kind == MKV_EFFECT_FAIL_DRIVE || world->queue_count == QUEUE_MAX) {
                fail("the volume", "gives up its drive, or hands out more than it may");
            } else {
                const uint32_t place = (world->queue_head + world->queue_count++) % QUEUE_MAX;
                world->queue[place] = *effect;
            }
        }
    }
}

static void tick(struct world *world, uint64_t later_ns) {
    struct mkv_input input = {.kind = MKV_INPUT_TICK};
    world->now_ns += later_ns;
    step(world, &input);
}

/* Completes the first operation of the queue. */
static void complete_one(struct world *world) {
    const struct mkv_effect effect = world->queue[world->queue_head];
    world->queue_head = (world->queue_head + 1) % QUEUE_MAX;
    world->queue_count--;
    if (world->hold_checkpoint && effect.kind == MKV_EFFECT_DRIVE_WRITE &&
        in_checkpoint(world, effect.drive.lba.unit)) {
        return; /* for ever */
    }
    const uint64_t begin_ns = mkv_clock_monotonic_ns();
    carry_out(world, &effect);
    const uint64_t carried_ns = mkv_clock_monotonic_ns();
    struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE};
    input.drive.op = effect.op;
    step(world, &input);
    world->part_ns[PART_DRIVE] += carried_ns - begin_ns;
    world->part_ns[part_of(world, &effect)] += mkv_clock_monotonic_ns() - carried_ns;
}

static void admin(struct world *world, enum mkv_admin_command command) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = command};
    step(world, &input);
}

/* Until nothing is left to do. */
static void settle(struct world *world) {
    while (world->queue_count > 0 || mkv_volume_has_work(world->volume)) {
        if (world->queue_count > 0) {
            complete_one(world);
        } else {
            tick(world, 0);
        }
    }
}

/* ---- what is on the drive -------------------------------------------------------------------- */

static void send_key(struct world *world, enum mkv_message_kind kind, uint64_t number) {
    uint8_t key[MKV_MEMORY_DRIVE_KEY_BYTES];
    mkv_memory_drive_key(number, key);
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = key, .data_bytes = MKV_MEMORY_DRIVE_KEY_BYTES};
    input.message = (struct mkv_message){
        .kind = kind,
        .front_op = {(uint32_t)number, 1},
        .tenant = MKV_TENANT_DEFAULT,
        .data_bytes = MKV_MEMORY_DRIVE_KEY_BYTES,
    };
    if (kind == MKV_MESSAGE_PUT_BEGIN) {
        input.message.length = BLOCK_BYTES;
        input.message.root = world->root;
    }
    world->outstanding++;
    step(world, &input);
}

static void send_put_write(struct world *world, struct mkv_op_id volume_op) {
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    input.data = (const uint8_t *)world->sums;
    input.data_bytes = 8 * mkv_chunk_count(BLOCK_BYTES);
    input.message = (struct mkv_message){
        .kind = MKV_MESSAGE_PUT_WRITE, .volume_op = volume_op, .data_bytes = input.data_bytes};
    step(world, &input);
}

/* Sends one message for each key and waits for the answers. False when the volume stops answering:
 * the ring is full. */
static bool mutate(struct world *world, enum mkv_message_kind kind, uint64_t first, uint64_t count,
                   uint64_t stride) {
    uint64_t sent = 0;
    uint32_t stalled = 0;
    while (sent < count || world->outstanding > 0) {
        while (sent < count && world->outstanding < DEPTH) {
            send_key(world, kind, (first + sent) * stride % world->slots);
            sent++;
        }
        const uint64_t answered = world->answered;
        while (world->queue_count > 0 || world->ready_count > 0) {
            if (world->ready_count > 0) {
                send_put_write(world, world->ready[--world->ready_count]);
            } else {
                complete_one(world);
            }
        }
        if (world->answered == answered) {
            tick(world, TICK_NS);
            stalled = world->queue_count > 0 ? 0 : stalled + 1;
            if (stalled == STALLED_TICKS_MAX) {
                return false;
            }
        }
    }
    return true;
}

static void fill(struct world *world) {
    admin(world, MKV_ADMIN_FORMAT);
    settle(world);
    admin(world, MKV_ADMIN_OPEN);
    settle(world);
    if (!mutate(world, MKV_MESSAGE_PUT_BEGIN, 0, world->slots, 1)) {
        fail("the store", "takes no more puts");
    }
    admin(world, MKV_ADMIN_CHECKPOINT);
    settle(world);
    world->hold_checkpoint = true;
    uint64_t first = 0;
    while (mutate(world, MKV_MESSAGE_DELETE, first, DEPTH, KEY_STRIDE) &&
           mutate(world, MKV_MESSAGE_PUT_BEGIN, first, DEPTH, KEY_STRIDE)) {
        first += DEPTH;
    }
    world->hold_checkpoint = false;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* A new process: new memory, an empty queue. */
static void start(struct world *world) {
    struct mkv_backend_error error;
    mkv_memory_unmap(&world->map);
    const size_t bytes = mkv_volume_memory_required(&world->config);
    if (!mkv_memory_map(bytes, MKV_HUGEPAGES_AUTO, "recovery_bench", &world->map, &error)) {
        fail("memory", error.text);
    }
    world->volume = mkv_volume_init(world->map.base, bytes, &world->config);
    world->queue_count = 0;
    world->outstanding = 0;
    world->ready_count = 0;
    memset(world->part_ns, 0, sizeof world->part_ns);
}

static void open_once(struct world *world) {
    start(world);
    const uint64_t begin_ns = mkv_clock_monotonic_ns();
    admin(world, MKV_ADMIN_OPEN);
    world->part_ns[PART_BEGIN] = mkv_clock_monotonic_ns() - begin_ns;
    struct mkv_volume_stats stats;
    for (;;) {
        mkv_volume_stats(world->volume, &stats);
        if (stats.state != MKV_VOLUME_RECOVERING) {
            break;
        }
        if (world->queue_count > 0) {
            complete_one(world);
        } else {
            const uint64_t tick_ns = mkv_clock_monotonic_ns();
            tick(world, 0);
            world->part_ns[PART_DERIVE] += mkv_clock_monotonic_ns() - tick_ns;
        }
    }
    const uint64_t open_ns = mkv_clock_monotonic_ns() - begin_ns;
    if (stats.state != MKV_VOLUME_SERVING || world->failed) {
        fail("the volume", "does not serve, or came up empty");
    }
    const struct mkv_geometry *geometry = &world->config.geometry;
    printf("{\"slots\": %" PRIu64 ", \"live\": %" PRIu64 ", \"ring_blocks\": %" PRIu32
           ", \"records\": %" PRIu64 ", \"blocks_replayed\": %" PRIu64 ", \"pages\": %" PRIu32
           ", \"seconds\": %.4f",
           world->slots, stats.blocks, geometry->ring_blocks, stats.recovery_entries,
           stats.journal_head - stats.journal_applied, geometry->page_count, (double)open_ns / 1e9);
    for (uint32_t part = 0; part < PART_COUNT; part++) {
        printf(", \"%s\": %.4f", part_names[part], (double)world->part_ns[part] / 1e9);
    }
    printf("}\n");
}

static void configure(struct world *world, uint32_t ring_blocks) {
    const uint64_t slots = world->slots;
    struct mkv_volume_config *config = &world->config;
    config->capacity_units =
        slots * SLOT_UNITS + slots * SLOT_UNITS / 32 + MKV_GIB / MKV_UNIT_BYTES;
    struct mkv_geometry_options options = {.ring_blocks = ring_blocks};
    /* An extent's last page is filled in part. */
    options.slots_max = (uint32_t)(slots + slots / 32 + 1024 * MKV_PAGE_SLOTS);
    if (mkv_geometry_plan(config->capacity_units, &options, &config->geometry) != MKV_OK) {
        fail("a drive for so many slots", "cannot be laid out");
    }
    mkv_node_volume_limits(0, 1, config);
    config->stall_ns = 0; /* the checkpoint's write that is kept from ending is meant to be old */
    config->store_uuid.bytes[0] = 1;
    config->drive_uuid.bytes[0] = 2;
    config->drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    mkv_drive_set_add(&config->drive_set, (struct mkv_member){config->drive_uuid, 1});
}

int main(int argc, char **argv) {
    const uint64_t slots = argc == 4 ? strtoull(argv[1], NULL, 10) : 0;
    if (slots < 1000 || slots > 1u << 26) {
        fprintf(stderr, "usage: recovery_bench SLOTS RING_BLOCKS OPENINGS, with 1,000 to "
                        "67,108,864 slots\n");
        return 2;
    }
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL) {
        fail("memory", "there is none");
    }
    world->slots = slots;
    configure(world, (uint32_t)strtoul(argv[2], NULL, 10));
    uint8_t *payload = calloc(1, BLOCK_BYTES);
    mkv_chunk_sums(payload, BLOCK_BYTES, world->sums);
    world->root = mkv_root_of_sums(BLOCK_BYTES, world->sums);
    free(payload);
    if (!mkv_memory_drive_create(&world->drive, &world->config, SLOT_UNITS, world->sums)) {
        fail("the drive", "cannot be mapped");
    }
    start(world);
    fill(world);
    for (uint64_t opening = 0; opening < strtoull(argv[3], NULL, 10); opening++) {
        open_once(world);
    }
    return 0;
}
