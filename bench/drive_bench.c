/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves blocks through the storage path or through a daemon, once, and prints what it took as lines
 * of JSON. bench/drive runs it in turns with fio and iperf3.
 *
 *   drive_bench storage STORE BLOCK_BYTES DEPTH BLOCK_COUNT
 *       a new store on STORE, a file or a block device (written in full before), and a shard with
 *       the in-process fabric: BLOCK_COUNT durable puts with DEPTH in flight, as many gets in their
 *       order, and as many of both at random, 70 gets to 30 puts of new blocks
 *   drive_bench tcp HOST:PORT BLOCK_BYTES DEPTH BLOCK_COUNT
 *       puts and gets through libmemkv, DEPTH connections with one thread each
 *   drive_bench get HOST:PORT BLOCK_BYTES DEPTH BLOCK_COUNT KEYS
 *       gets alone, of so many blocks that are there
 *
 * Every block has bytes of its own and every get is verified by the server's sums (and over TCP by
 * the client's root), so nothing is deduplicated and nothing is taken on trust. Of the storage path
 * each line has the bytes that its drive moved, by which memory can be seen to have had no part in
 * it, the time that a request spent in each stage, and that of the device's operations.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "backends/clock.h"
#include "backends/drive_open.h"
#include "backends/fabric_local.h"
#include "client/memkv.h"
#include "core/hash.h"
#include "server/shard.h"

/* Memory beyond the shard's own tables: for what is in flight, and little more, so that gets are
 * from the drive. */
#define SLAB_BYTES (96ull * MKV_MIB)
#define SLABS_OF_DEPTH 3u
#define DEPTH_MAX 256u
#define KEY_BYTES 24u
#define MIXED_GETS_PERCENT 70u

struct run {
    uint32_t block_bytes;
    uint32_t depth;
    uint32_t block_count;
    uint32_t key_count; /* of the keys, that are put one after another and got round and round */
    uint8_t *pattern;   /* block_bytes of noise; the first 8 bytes are the block's number */
    uint64_t *sums;
};

static uint64_t cpu_ns(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000u;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "drive_bench: %s: %s\n", what, why);
    exit(1);
}

static void make_pattern(struct run *run) {
    run->pattern = malloc(run->block_bytes);
    run->sums = malloc(8 * (size_t)mkv_chunk_count(run->block_bytes));
    uint64_t state = 88172645463325252u;
    for (uint32_t at = 0; at + 8 <= run->block_bytes; at += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(run->pattern + at, &state, 8);
    }
    mkv_chunk_sums(run->pattern, run->block_bytes, run->sums);
}

static void report(const char *op, const struct run *run, uint64_t ns, uint64_t used_cpu_ns) {
    const double bytes = (double)run->block_count * run->block_bytes;
    printf("{\"op\": \"%s\", \"mib_per_s\": %.1f, \"cpu_s_per_gib\": %.3f}\n", op,
           bytes / (double)MKV_MIB / ((double)ns / 1e9),
           (double)used_cpu_ns / 1e9 / (bytes / (double)MKV_GIB));
}

/* ---- the storage path ----------------------------------------------------------------------- */

struct place {
    struct storage *storage;
    struct mkv_fabric_local_request request;
    struct mkv_request_item item;
    struct mkv_fabric_local_payload payload;
    struct mkv_item_result result;
    uint8_t key[KEY_BYTES];
    uint8_t *bytes;
    uint64_t *sums;
    bool put;
    uint64_t begin_ns;
};

enum phase {
    PHASE_PUT = 0,
    PHASE_GET,
    PHASE_MIXED,
    PHASE_COUNT,
};
static const char *const phase_names[PHASE_COUNT] = {"put", "get", "mixed"};

struct storage {
    struct run run;
    struct mkv_fabric_local *fabric;
    struct place places[DEPTH_MAX];
    /* Of the phase that runs; the shard's thread has them from begin to end. */
    enum phase phase;
    uint32_t started;
    uint32_t finished;
    uint32_t put_count; /* blocks that there are, or will be */
    uint64_t random;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint32_t *latency_us[2]; /* of gets, of puts; block_count of each */
    uint32_t latency_count[2];
    /* Between the threads. */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool wanted;
    bool over;
};

static void start_one(struct storage *storage, struct place *place);

static void one_done(void *context, struct mkv_fabric_local_request *request) {
    struct place *place = context;
    struct storage *storage = place->storage;
    if (request->status != MKV_STATUS_OK || place->result.status != MKV_STATUS_OK) {
        fail("a request failed", place->put ? "put" : "get");
    }
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    uint32_t *count = &storage->latency_count[place->put];
    storage->latency_us[place->put][(*count)++] = (uint32_t)((now_ns - place->begin_ns) / 1000);
    storage->finished++;
    if (storage->finished == storage->run.block_count) {
        pthread_mutex_lock(&storage->lock);
        storage->end_ns = now_ns;
        storage->over = true;
        pthread_cond_signal(&storage->ended);
        pthread_mutex_unlock(&storage->lock);
        return;
    }
    start_one(storage, place);
}

/* The first chunk differs in each block: its sum is made anew, the others are known. */
static void stamp(struct place *place, uint64_t number) {
    const struct run *run = &place->storage->run;
    memcpy(place->bytes, &number, 8);
    const size_t first = mkv_min_u64(mkv_chunk_bytes(run->block_bytes), run->block_bytes);
    place->sums[0] = mkv_hash_64(place->bytes, first);
}

static uint32_t draw(struct storage *storage, uint32_t below) {
    storage->random ^= storage->random << 13;
    storage->random ^= storage->random >> 7;
    storage->random ^= storage->random << 17;
    return (uint32_t)(storage->random >> 32) % below;
}

/* Which block the next request is of. Blocks that are being put are not got. */
static uint32_t choose(struct storage *storage, struct place *place) {
    place->put = storage->phase == PHASE_PUT ||
                 (storage->phase == PHASE_MIXED && draw(storage, 100) >= MIXED_GETS_PERCENT);
    if (place->put) {
        return storage->put_count++;
    }
    return storage->phase == PHASE_MIXED ? draw(storage, storage->run.block_count)
                                         : storage->started;
}

static void start_one(struct storage *storage, struct place *place) {
    if (storage->started == storage->run.block_count) {
        return;
    }
    const uint32_t number = choose(storage, place);
    storage->started++;
    const int key_bytes = snprintf((char *)place->key, KEY_BYTES, "block-%08" PRIu32, number);
    place->item = (struct mkv_request_item){.key_bytes = (uint32_t)key_bytes};
    place->payload = (struct mkv_fabric_local_payload){0};
    if (place->put) {
        stamp(place, number);
        place->item.length = storage->run.block_bytes;
        place->item.root = mkv_root_of_sums(storage->run.block_bytes, place->sums);
        place->payload.bytes = place->bytes;
        place->payload.sums = place->sums;
    }
    place->begin_ns = mkv_clock_monotonic_ns();
    place->request = (struct mkv_fabric_local_request){
        .op = place->put ? MKV_OP_PUT : MKV_OP_GET,
        .deadline_ns = place->begin_ns + 60000000000u,
        .item_count = 1,
        .items = &place->item,
        .keys = place->key,
        .keys_bytes = (uint32_t)key_bytes,
        .payloads = &place->payload,
        .results = &place->result,
        .done = one_done,
        .context = place,
    };
    if (!mkv_fabric_local_start(storage->fabric, &place->request)) {
        fail("the fabric", "has no room for a request");
    }
}

/* On the shard's thread, in each of its rounds. */
static void turn(void *context) {
    struct storage *storage = context;
    pthread_mutex_lock(&storage->lock);
    const bool begins = storage->wanted;
    storage->wanted = false;
    pthread_mutex_unlock(&storage->lock);
    if (begins) {
        storage->begin_ns = mkv_clock_monotonic_ns();
        for (uint32_t index = 0; index < storage->run.depth; index++) {
            start_one(storage, &storage->places[index]);
        }
    }
}

static void on_event(void *context, uint32_t volume, const struct mkv_event *event) {
    (void)context;
    (void)volume;
    if (event->kind == MKV_EVENT_OPEN_FAILED || event->kind == MKV_EVENT_DRIVE_FAILED) {
        fail("the store", "does not open, or its drive failed");
    }
}

static struct mkv_shard_volume_options volume_options(const char *path) {
    struct mkv_shard_volume_options options = {.format = true};
    struct mkv_backend_error error;
    const struct mkv_drive_open_options open = {
        .name = "d00", .media = path, .mode = MKV_DRIVE_MODE_DIRECT};
    if (!mkv_drive_open(&open, &options.media, &error)) {
        fail(path, error.text);
    }
    options.queue_depth = options.media.queue_depth;
    struct mkv_volume_config *config = &options.config;
    config->capacity_units = options.media.capacity_units;
    const struct mkv_geometry_options geometry = {0};
    if (mkv_geometry_plan(config->capacity_units, &geometry, &config->geometry) != MKV_OK) {
        fail(path, "is too small for a store");
    }
    config->ops_max = DEPTH_MAX;
    config->window_units = 64;
    config->idle_ns = 100000000;
    const uint64_t identity = mkv_clock_wall_ms();
    memcpy(config->store_uuid.bytes, &identity, sizeof identity);
    memcpy(config->drive_uuid.bytes, &identity, sizeof identity);
    config->drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    mkv_drive_set_add(&config->drive_set, (struct mkv_member){config->drive_uuid, 1});
    return options;
}

static void make_places(struct storage *storage) {
    const size_t sums_bytes = 8 * (size_t)mkv_chunk_count(storage->run.block_bytes);
    for (uint32_t index = 0; index < storage->run.depth; index++) {
        struct place *place = &storage->places[index];
        place->storage = storage;
        place->bytes = malloc(storage->run.block_bytes);
        place->sums = malloc(sums_bytes);
        memcpy(place->bytes, storage->run.pattern, storage->run.block_bytes);
        memcpy(place->sums, storage->run.sums, sums_bytes);
    }
    for (uint32_t put = 0; put < 2; put++) {
        storage->latency_us[put] = malloc(storage->run.block_count * sizeof(uint32_t));
    }
}

/* ---- what a phase came to -------------------------------------------------------------------- */

static int compare_u32(const void *left, const void *right) {
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static void print_latency(const char *name, uint32_t *latency_us, uint32_t count) {
    if (count == 0) {
        return;
    }
    qsort(latency_us, count, sizeof *latency_us, compare_u32);
    printf(", \"%s_p50_us\": %" PRIu32 ", \"%s_p99_us\": %" PRIu32, name, latency_us[count / 2],
           name, latency_us[count - 1 - count / 100]);
}

static void print_stages(const struct mkv_shard_stats *before, const struct mkv_shard_stats *after,
                         uint32_t requests) {
    static const char *const names[MKV_STAGE_COUNT] = {
        [MKV_STAGE_PARSE] = "parse", [MKV_STAGE_ROUTE] = "route", [MKV_STAGE_WAIT_SLAB] = "slab",
        [MKV_STAGE_REPLY] = "reply", [MKV_STAGE_PULL] = "pull",   [MKV_STAGE_PUSH] = "push",
        [MKV_STAGE_FLUSH] = "flush", [MKV_STAGE_WRITE] = "write", [MKV_STAGE_READ] = "read",
    };
    const char *comma = "";
    printf(", \"stages_us\": {");
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        const uint64_t ns =
            after->front_times.stages[stage].sum - before->front_times.stages[stage].sum;
        if (ns / requests >= 1000) {
            printf("%s\"%s\": %.0f", comma, names[stage], (double)ns / 1000 / requests);
            comma = ", ";
        }
    }
    printf("}");
}

static void print_device(const struct mkv_drive_counters *before,
                         const struct mkv_drive_counters *after) {
    static const char *const names[MKV_DRIVE_OP_COUNT] = {"read", "write", "flush", "trim"};
    const char *comma = "";
    printf(", \"device\": {");
    for (uint32_t kind = 0; kind < MKV_DRIVE_OP_COUNT; kind++) {
        const struct mkv_drive_operation_counters *from = &before->operations[kind];
        const struct mkv_drive_operation_counters *to = &after->operations[kind];
        const uint64_t count =
            mkv_histogram_total(&to->device) - mkv_histogram_total(&from->device);
        if (count > 0) {
            printf("%s\"%s\": {\"count\": %" PRIu64 ", \"mib\": %.1f, \"avg_us\": %.0f}", comma,
                   names[kind], count, (double)(to->bytes - from->bytes) / (double)MKV_MIB,
                   (double)(to->device.sum - from->device.sum) / 1000 / (double)count);
            comma = ", ";
        }
    }
    printf("}");
}

static void print_phase(struct storage *storage, const struct mkv_shard_stats *before,
                        const struct mkv_shard_stats *after, uint64_t used_cpu_ns) {
    const struct run *run = &storage->run;
    const double bytes = (double)run->block_count * run->block_bytes;
    const double seconds = (double)(storage->end_ns - storage->begin_ns) / 1e9;
    printf("{\"op\": \"%s\", \"mib_per_s\": %.1f, \"seconds\": %.3f, \"cpu_s_per_gib\": %.3f",
           phase_names[storage->phase], bytes / (double)MKV_MIB / seconds, seconds,
           (double)used_cpu_ns / 1e9 / (bytes / (double)MKV_GIB));
    printf(", \"gets\": %" PRIu32 ", \"puts\": %" PRIu32, storage->latency_count[0],
           storage->latency_count[1]);
    print_latency("get", storage->latency_us[0], storage->latency_count[0]);
    print_latency("put", storage->latency_us[1], storage->latency_count[1]);
    print_stages(before, after, run->block_count);
    print_device(&before->volumes[0].drive, &after->volumes[0].drive);
    printf("}\n");
}

static void run_phase(struct storage *storage, struct mkv_shard *shard, enum phase phase,
                      struct mkv_shard_stats *before, struct mkv_shard_stats *after) {
    storage->phase = phase;
    storage->started = 0;
    storage->finished = 0;
    storage->latency_count[0] = 0;
    storage->latency_count[1] = 0;
    storage->over = false;
    mkv_shard_stats(shard, before);
    const uint64_t begin_cpu_ns = cpu_ns();
    pthread_mutex_lock(&storage->lock);
    storage->wanted = true;
    while (!storage->over) {
        pthread_cond_wait(&storage->ended, &storage->lock);
    }
    pthread_mutex_unlock(&storage->lock);
    const uint64_t used_cpu_ns = cpu_ns() - begin_cpu_ns;
    mkv_shard_stats(shard, after);
    print_phase(storage, before, after, used_cpu_ns);
}

static void run_storage(const struct run *run, const char *path) {
    struct storage *storage = calloc(1, sizeof *storage);
    storage->run = *run;
    storage->random = 88172645463325252u;
    pthread_mutex_init(&storage->lock, NULL);
    pthread_cond_init(&storage->ended, NULL);
    make_places(storage);
    struct mkv_backend_error error;
    const struct mkv_shard_volume_options volume = volume_options(path);
    struct mkv_drive_set_plan plan = {
        .newest = volume.config.drive_set,
        .first = volume.config.drive_set,
        .actions = {MKV_DRIVE_FORMAT},
        .drive_uuids = {volume.config.drive_uuid},
        .weights = {1},
    };
    struct mkv_shard_options options = {.volume_count = 1,
                                        .volumes = &volume,
                                        .plan = &plan,
                                        .event = on_event,
                                        .event_context = storage};
    mkv_front_config_default(&options.front);
    options.front.volume_count = 1;
    options.front.members[0] = (struct mkv_member){volume.config.drive_uuid, 1};
    options.front.volume_ops_max = DEPTH_MAX;
    options.front.requests_per_connection_max = DEPTH_MAX;
    options.front.slab_units_per_connection_max = UINT32_MAX;
    const uint64_t slab_bytes =
        SLAB_BYTES + (uint64_t)SLABS_OF_DEPTH * run->depth * run->block_bytes;
    const uint64_t metadata_bytes = mkv_shard_metadata_bytes(&options, 2 * slab_bytes);
    const struct mkv_arena_options arena_options = {.bytes = slab_bytes + metadata_bytes,
                                                    .metadata_bytes = metadata_bytes};
    struct mkv_arena *arena;
    if (!mkv_arena_create(&arena_options, &arena, &error)) {
        fail("the arena", error.text);
    }
    options.arena = arena;
    const struct mkv_fabric_local_options local = {.arena = arena,
                                                   .connections_max = 1,
                                                   .requests_max = DEPTH_MAX,
                                                   .transfers_max = mkv_arena_unit_count(arena),
                                                   .turn = turn,
                                                   .turn_context = storage};
    storage->fabric = mkv_fabric_local_create(&local);
    options.fabric = mkv_fabric_local_base(storage->fabric);
    struct mkv_shard *shard;
    if (!mkv_shard_create(&options, &shard, &error) || !mkv_shard_start(shard, &error)) {
        fail("the shard", error.text);
    }
    if (mkv_shard_wait_opened(shard) != 1) {
        fail("the store", "does not open");
    }
    struct mkv_shard_stats *stats = calloc(2, sizeof *stats);
    for (uint32_t phase = 0; phase < PHASE_COUNT; phase++) {
        run_phase(storage, shard, (enum phase)phase, &stats[0], &stats[1]);
    }
    mkv_shard_close(shard, 1000000000);
    if (!mkv_shard_join(shard)) {
        fail("the shard", "did not close");
    }
    mkv_shard_destroy(shard);
    mkv_arena_destroy(arena);
    free(stats);
}

/* ---- end to end ------------------------------------------------------------------------------ */

struct worker {
    const struct run *run;
    const char *server;
    uint32_t index;
    bool put;
    struct memkv_client *client;
    uint8_t *bytes;
    pthread_t thread;
};

static void *work(void *context) {
    struct worker *worker = context;
    const struct run *run = worker->run;
    struct memkv_error error;
    for (uint32_t number = worker->index; number < run->block_count; number += run->depth) {
        char key[KEY_BYTES];
        const int key_bytes =
            snprintf(key, sizeof key, "block-%08" PRIu32, number % run->key_count);
        const uint64_t stamp_value = number;
        uint64_t got = 0;
        enum memkv_status status;
        if (worker->put) {
            memcpy(worker->bytes, &stamp_value, sizeof stamp_value);
            status = memkv_put(worker->client, key, (size_t)key_bytes, worker->bytes,
                               run->block_bytes, 0, &error);
        } else {
            status = memkv_get(worker->client, key, (size_t)key_bytes, worker->bytes,
                               run->block_bytes, &got, &error);
        }
        if (status != MEMKV_OK) {
            fail(worker->put ? "put" : "get", error.text);
        }
    }
    return NULL;
}

/* With `put` the blocks are put, too, first. */
static void run_tcp(const struct run *run, const char *server, bool put) {
    struct worker workers[DEPTH_MAX] = {0};
    struct memkv_error error;
    const struct memkv_options options = {.servers = server, .timeout_ms = 60000};
    for (uint32_t index = 0; index < run->depth; index++) {
        workers[index] = (struct worker){.run = run, .server = server, .index = index};
        if (memkv_open(&options, &workers[index].client, &error) != MEMKV_OK) {
            fail(server, error.text);
        }
        workers[index].bytes = malloc(run->block_bytes);
        memcpy(workers[index].bytes, run->pattern, run->block_bytes);
    }
    for (int phase = put ? 0 : 1; phase < 2; phase++) {
        const uint64_t begin_ns = mkv_clock_monotonic_ns();
        const uint64_t begin_cpu_ns = cpu_ns();
        for (uint32_t index = 0; index < run->depth; index++) {
            workers[index].put = phase == 0;
            if (pthread_create(&workers[index].thread, NULL, work, &workers[index]) != 0) {
                fail("a thread", "cannot be started");
            }
        }
        for (uint32_t index = 0; index < run->depth; index++) {
            pthread_join(workers[index].thread, NULL);
        }
        report(phase == 0 ? "put" : "get", run, mkv_clock_monotonic_ns() - begin_ns,
               cpu_ns() - begin_cpu_ns);
    }
    for (uint32_t index = 0; index < run->depth; index++) {
        memkv_close(workers[index].client);
        free(workers[index].bytes);
    }
}

int main(int argc, char **argv) {
    if (argc != 6 && !(argc == 7 && strcmp(argv[1], "get") == 0)) {
        fprintf(stderr, "usage: drive_bench storage STORE BLOCK_BYTES DEPTH BLOCK_COUNT\n"
                        "       drive_bench tcp HOST:PORT BLOCK_BYTES DEPTH BLOCK_COUNT\n"
                        "       drive_bench get HOST:PORT BLOCK_BYTES DEPTH BLOCK_COUNT KEYS\n");
        return 2;
    }
    struct run run = {
        .block_bytes = (uint32_t)strtoul(argv[3], NULL, 10),
        .depth = (uint32_t)strtoul(argv[4], NULL, 10),
        .block_count = (uint32_t)strtoul(argv[5], NULL, 10),
    };
    run.key_count = argc == 7 ? (uint32_t)strtoul(argv[6], NULL, 10) : run.block_count;
    if (run.block_bytes < 8 || run.block_bytes > MKV_BLOCK_BYTES_MAX || run.depth < 1 ||
        run.depth > DEPTH_MAX || run.block_count < run.depth || run.key_count == 0) {
        fail("arguments", "blocks of 8 bytes to 32 MiB, depth 1 to 256, at least depth blocks");
    }
    make_pattern(&run);
    if (strcmp(argv[1], "storage") == 0) {
        run_storage(&run, argv[2]);
    } else {
        run_tcp(&run, argv[2], strcmp(argv[1], "get") != 0);
    }
    return 0;
}
