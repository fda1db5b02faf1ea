/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole shard on real files: its machines, its drives and its fabrics, opened, used, closed and
 * opened again.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/clock.h"
#include "backends/fabric_local.h"
#include "core/bytes.h"
#include "core/hash.h"
#include "server/shard.h"

#define DRIVES 2u
#define DRIVE_BYTES (1024ull * MKV_MIB) /* sparse; an extent for each size class */
#define ARENA_BYTES (192ull * MKV_MIB)
#define OPS_MAX 256u
#define BLOCKS 48u
#define LENGTH_MAX (9u * 1024u * 1024u)
#define DEADLINE_NS 20000000000ull
#define WAIT_NS 60000000000ull

static const uint32_t lengths[] = {1, 2048, 2049, 4096, 70000, 262144, 1048576, LENGTH_MAX};
#define LENGTH_COUNT (sizeof lengths / sizeof lengths[0])

struct world {
    char directory[64];
    bool format;
    struct mkv_arena *arena;
    struct mkv_shard *shard;
    struct mkv_fabric_local *fabric; /* the shard's, when it is the local one */
    uint32_t events[MKV_VOLUMES_MAX][MKV_EVENT_CLOSED + 1];

    /* The script: what `turn` does on the shard's thread. */
    enum mkv_op op; /* of all blocks, one after the other, up to 8 at a time */
    uint32_t next;
    uint32_t finished;
    atomic_bool done;
    bool expect_absent;
};

struct job {
    struct world *world;
    uint32_t block;
    struct mkv_fabric_local_request request;
    struct mkv_request_item item;
    struct mkv_item_result result;
    struct mkv_fabric_local_payload payload;
    uint8_t key[16];
    uint8_t *bytes;
};

static uint32_t length_of(uint32_t block) {
    return lengths[block % LENGTH_COUNT];
}

static void fill(uint32_t block, uint8_t *bytes) {
    uint64_t state = block * 0x9e3779b97f4a7c15ull + 1;
    for (uint32_t i = 0; i < length_of(block); i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        bytes[i] = (uint8_t)(state >> 56);
    }
}

/* ---- the script, on the shard's thread ------------------------------------------------------ */

/* cmocka's assertions leave by longjmp, which only the test's own thread may: hence MKV_ASSERT. */

static void job_done(void *context, struct mkv_fabric_local_request *request) {
    struct job *job = context;
    struct world *world = job->world;
    const uint32_t length = length_of(job->block);
    MKV_ASSERT(request->status == MKV_STATUS_OK);
    if (world->expect_absent) {
        MKV_ASSERT(job->result.status != MKV_STATUS_OK);
    } else {
        MKV_ASSERT(job->result.status == MKV_STATUS_OK);
        if (request->op == MKV_OP_GET) {
            MKV_ASSERT(job->result.length == length);
            uint8_t *expected = malloc(length);
            MKV_ASSERT(expected != NULL);
            fill(job->block, expected);
            MKV_ASSERT(memcmp(job->bytes, expected, length) == 0);
            free(expected);
        }
    }
    free(job->bytes);
    free(job);
    world->finished++;
    if (world->finished == BLOCKS) {
        atomic_store(&world->done, true);
    }
}

static void job_start(struct world *world, uint32_t block) {
    struct job *job = calloc(1, sizeof *job);
    MKV_ASSERT(job != NULL);
    const uint32_t length = length_of(block);
    job->world = world;
    job->block = block;
    job->bytes = malloc(length);
    MKV_ASSERT(job->bytes != NULL);
    job->payload.bytes = job->bytes;
    job->item.key_bytes = (uint32_t)snprintf((char *)job->key, sizeof job->key, "block-%u", block);
    if (world->op == MKV_OP_PUT) {
        uint64_t sums[MKV_CHUNKS_MAX];
        fill(block, job->bytes);
        mkv_chunk_sums(job->bytes, length, sums);
        job->item.length = length;
        job->item.root = mkv_root_of_sums(length, sums);
    }
    job->request = (struct mkv_fabric_local_request){
        .op = world->op,
        .deadline_ns = mkv_clock_monotonic_ns() + DEADLINE_NS,
        .item_count = 1,
        .items = &job->item,
        .keys = job->key,
        .keys_bytes = job->item.key_bytes,
        .payloads = &job->payload,
        .results = &job->result,
        .done = job_done,
        .context = job,
    };
    MKV_ASSERT(mkv_fabric_local_start(world->fabric, &job->request));
}

static void turn(void *context) {
    struct world *world = context;
    while (world->next < BLOCKS && world->next - world->finished < 8) {
        job_start(world, world->next++);
    }
}

/* ---- the world ------------------------------------------------------------------------------ */

static void on_event(void *context, uint32_t volume, const struct mkv_event *event) {
    struct world *world = context;
    world->events[volume][event->kind]++;
}

static uint32_t stats_text(void *context, const struct mkv_shard_stats *stats, char *text,
                           uint32_t text_bytes_max) {
    (void)context;
    return (uint32_t)snprintf(text, text_bytes_max, "{\"volumes\":%u}", stats->volume_count);
}

static void drive_path(const struct world *world, uint32_t drive, char path[128]) {
    snprintf(path, 128, "%s/drive-%u", world->directory, drive);
}

static struct mkv_shard_volume_options volume_options(const struct world *world, uint32_t drive) {
    struct mkv_shard_volume_options options = {.format = world->format};
    struct mkv_backend_error error;
    char path[128];
    drive_path(world, drive, path);
    const struct mkv_drive_open_options open_options = {
        .name = "d",
        .media = path,
        .size_bytes = DRIVE_BYTES,
        .mode = MKV_DRIVE_MODE_FILE,
        .lock_wait_ms = MKV_DRIVE_LOCK_WAIT_MS_MAX,
    };
    assert_true(mkv_drive_open(&open_options, &options.media, &error));
    struct mkv_volume_config *config = &options.config;
    config->capacity_units = options.media.capacity_units;
    const struct mkv_geometry_options geometry = {0};
    assert_int_equal(mkv_geometry_plan(config->capacity_units, &geometry, &config->geometry),
                     MKV_OK);
    config->ops_max = OPS_MAX;
    config->window_units = 64;
    config->idle_ns = 1000000000;
    memset(config->store_uuid.bytes, 0x11, sizeof config->store_uuid.bytes);
    memset(config->drive_uuid.bytes, 0x20 + (int)drive, sizeof config->drive_uuid.bytes);
    config->drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    for (uint32_t i = 0; i < DRIVES; i++) {
        struct mkv_member member = {.weight = 1};
        memset(member.uuid.bytes, 0x20 + (int)i, sizeof member.uuid.bytes);
        mkv_drive_set_add(&config->drive_set, member);
    }
    return options;
}

/* Opens a shard on the world's files. With `tcp` it listens, else the script's fabric serves. */
static void world_open(struct world *world, bool tcp) {
    struct mkv_shard_volume_options volumes[DRIVES];
    struct mkv_backend_error error = {0};
    struct mkv_drive_set_plan plan = {0};
    struct mkv_shard_options options = {.volume_count = DRIVES, .volumes = volumes, .plan = &plan};
    mkv_front_config_default(&options.front);
    for (uint32_t i = 0; i < DRIVES; i++) {
        volumes[i] = volume_options(world, i);
        options.front.members[i] = (struct mkv_member){volumes[i].config.drive_uuid, 1};
        plan.actions[i] = world->format ? MKV_DRIVE_FORMAT : MKV_DRIVE_KEEP;
        plan.drive_uuids[i] = volumes[i].config.drive_uuid;
        plan.weights[i] = 1;
    }
    plan.newest = volumes[0].config.drive_set;
    plan.first = plan.newest;
    options.front.volume_ops_max = OPS_MAX;
    const struct mkv_arena_options arena_options = {
        .bytes = ARENA_BYTES,
        .metadata_bytes = mkv_shard_metadata_bytes(&options, ARENA_BYTES),
        .hugepages = MKV_HUGEPAGES_AUTO,
    };
    assert_true(mkv_arena_create(&arena_options, &world->arena, &error));
    struct mkv_fabric_tcp_options tcp_options = {
        .host = "127.0.0.1",
        .option = "--listen",
        .connections_max = options.front.connections_max,
        .body_buffers = 4,
        .inline_buffers = 16,
    };
    tcp_options.hello = (struct mkv_native_hello_answer){
        .version = MKV_NATIVE_VERSION,
        .shard_count = 1,
        .items_max = options.front.items_per_request_max,
        .body_bytes_max = MKV_NATIVE_BODY_BYTES_MAX,
        .inline_bytes_max = MKV_NATIVE_INLINE_BYTES_MAX,
        .block_bytes_max = options.front.block_bytes_max,
        .value_bytes_max = options.front.value_bytes_max,
        .requests_max = options.front.requests_per_connection_max,
        .deadline_ms = 10000,
    };
    const struct mkv_fabric_local_options local_options = {
        .arena = world->arena,
        .connections_max = 1,
        .requests_max = 16,
        .transfers_max = mkv_arena_unit_count(world->arena),
        .turn = turn,
        .turn_context = world,
    };
    options.arena = world->arena;
    if (tcp) {
        options.tcp = &tcp_options;
        options.stats_text = stats_text;
    } else {
        world->fabric = mkv_fabric_local_create(&local_options);
        assert_non_null(world->fabric);
        options.fabric = mkv_fabric_local_base(world->fabric);
    }
    options.event = on_event;
    options.event_context = world;
    if (!mkv_shard_create(&options, &world->shard, &error)) {
        fail_msg("%s", error.text);
    }
    assert_true(mkv_shard_start(world->shard, &error));
}

static bool world_close(struct world *world) {
    mkv_shard_close(world->shard, 5000000000ull);
    const bool clean = mkv_shard_join(world->shard);
    mkv_shard_destroy(world->shard);
    mkv_arena_destroy(world->arena);
    world->shard = NULL;
    world->format = false;
    return clean;
}

/* Opens, runs one operation on every block, closes. */
static void world_run(struct world *world, enum mkv_op op, bool expect_absent) {
    world->op = op;
    world->next = 0;
    world->finished = 0;
    world->expect_absent = expect_absent;
    atomic_store(&world->done, false);
    world_open(world, false);
    assert_int_equal(mkv_shard_wait_opened(world->shard), DRIVES);
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (!atomic_load(&world->done)) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        usleep(1000);
    }
    assert_true(world_close(world));
}

static struct world *world_create(void) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    snprintf(world->directory, sizeof world->directory, "/var/tmp/mkv-shard-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->format = true;
    return world;
}

static void world_destroy(struct world *world) {
    for (uint32_t i = 0; i < DRIVES; i++) {
        char path[128];
        drive_path(world, i, path);
        unlink(path);
    }
    assert_int_equal(rmdir(world->directory), 0);
    free(world);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_shard__blocks__survive_a_clean_restart(void **state) {
    (void)state;
    struct world *world = world_create();
    world_run(world, MKV_OP_PUT, false);
    for (uint32_t i = 0; i < DRIVES; i++) {
        assert_int_equal(world->events[i][MKV_EVENT_FORMATTED], 1);
        assert_int_equal(world->events[i][MKV_EVENT_OPENED], 1);
        assert_int_equal(world->events[i][MKV_EVENT_CLOSED], 1);
    }
    world_run(world, MKV_OP_GET, false);
    world_run(world, MKV_OP_DELETE, false);
    world_run(world, MKV_OP_GET, true);
    world_destroy(world);
}

static void test_shard__drive_was_given_and_does_not_join__is_taken_away_again(void **state) {
    (void)state;
    struct world *world = world_create();
    world_open(world, true);
    assert_int_equal(mkv_shard_wait_opened(world->shard), DRIVES);
    struct mkv_shard_group *group = mkv_shard_group_of(world->shard);
    struct mkv_backend_error error = {0};
    assert_false(mkv_shard_drive_release(world->shard, 1, 1)); /* it serves */
    assert_int_equal(mkv_shard_group_leave(group, 1), MKV_DRIVE_SET_GRANTED);
    for (uint32_t turn = 0; turn < 2; turn++) {
        const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
        while (!mkv_shard_drive_release(world->shard, 1, 1000000)) {
            assert_true(mkv_clock_monotonic_ns() < end_ns);
        }
        const struct mkv_shard_volume_options again = volume_options(world, 1);
        if (!mkv_shard_drive_give(world->shard, 1, &again.config, &again.media, WAIT_NS, &error)) {
            fail_msg("%s", error.text);
        }
    }
    /* Not while the other drive writes down who belongs to the set. */
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (mkv_shard_group_may_join(group, 1) == MKV_DRIVE_SET_NOT_NOW) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
    }
    assert_int_equal(mkv_shard_group_may_join(group, 1), MKV_DRIVE_SET_GRANTED);
    assert_true(world_close(world));
    world_destroy(world);
}

static void test_shard__stats__come_from_another_thread(void **state) {
    (void)state;
    struct world *world = world_create();
    world_run(world, MKV_OP_PUT, false);
    world_open(world, true);
    assert_int_equal(mkv_shard_wait_opened(world->shard), DRIVES);
    struct mkv_shard_stats *stats = calloc(1, sizeof *stats);
    assert_non_null(stats);
    mkv_shard_stats(world->shard, stats);
    assert_int_equal(stats->volume_count, DRIVES);
    assert_int_equal(stats->volumes[0].volume.blocks + stats->volumes[1].volume.blocks, BLOCKS);
    assert_true(stats->volumes[0].opened);
    const uint64_t first_ns = stats->taken_ns;
    mkv_shard_stats(world->shard, stats);
    assert_true(stats->taken_ns >= first_ns);
    assert_true(mkv_shard_round_ns(world->shard) > 0);
    free(stats);
    assert_true(world_close(world));
    world_destroy(world);
}

static void receive_all(int fd, uint8_t *bytes, size_t byte_count) {
    size_t received = 0;
    while (received < byte_count) {
        const ssize_t result = recv(fd, bytes + received, byte_count - received, 0);
        assert_true(result > 0);
        received += (size_t)result;
    }
}

static struct mkv_native_header receive_header(int fd) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    struct mkv_native_header header;
    receive_all(fd, bytes, sizeof bytes);
    assert_int_equal(mkv_native_header_decode(bytes, &header), MKV_NATIVE_OK);
    return header;
}

/* One request for one key, its payload inline when it has one. */
static void send_request(int fd, enum mkv_native_op op, const uint8_t *payload, uint32_t length) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_ITEM_BYTES + 3 + 4096];
    struct mkv_native_item item = {.key_bytes = 3};
    if (op == MKV_NATIVE_PUT) {
        uint64_t sums[MKV_CHUNKS_MAX];
        mkv_chunk_sums(payload, length, sums);
        item.length = length;
        item.root = mkv_root_of_sums(length, sums);
    }
    const uint32_t payload_bytes = op == MKV_NATIVE_PUT ? length : 0;
    const struct mkv_native_header header = {
        .op = op,
        .flags = payload_bytes > 0 ? MKV_NATIVE_FLAG_INLINE : 0,
        .request_id = 1,
        .item_count = 1,
        .body_bytes = MKV_NATIVE_ITEM_BYTES + 3,
        .payload_bytes = payload_bytes,
    };
    assert_true(payload_bytes <= 4096);
    mkv_native_header_encode(&header, bytes);
    mkv_native_item_encode(&item, bytes + MKV_NATIVE_HEADER_BYTES);
    memcpy(bytes + MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_ITEM_BYTES, "key", 3);
    const size_t head = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_ITEM_BYTES + 3;
    if (payload_bytes > 0) {
        memcpy(bytes + head, payload, payload_bytes);
    }
    assert_int_equal(send(fd, bytes, head + payload_bytes, MSG_NOSIGNAL), head + payload_bytes);
}

static int connect_and_greet(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES];
    const struct mkv_native_header header = {.op = MKV_NATIVE_HELLO,
                                             .body_bytes = MKV_NATIVE_HELLO_BYTES};
    const struct mkv_native_hello hello = {.version_min = 1, .version_max = 1};
    mkv_native_header_encode(&header, bytes);
    mkv_native_hello_encode(&hello, bytes + MKV_NATIVE_HEADER_BYTES);
    assert_int_equal(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    const struct mkv_native_header answer = receive_header(fd);
    assert_int_equal(answer.status, MKV_STATUS_OK);
    uint8_t body[MKV_NATIVE_HELLO_ANSWER_BYTES];
    receive_all(fd, body, sizeof body);
    return fd;
}

/* Asks for a checkpoint and waits until one volume, the one with the block, has written it. */
static void await_checkpoint(struct world *world) {
    struct mkv_shard_stats *stats = calloc(1, sizeof *stats);
    assert_non_null(stats);
    uint64_t checkpoints = 0;
    mkv_shard_checkpoint(world->shard);
    for (uint32_t i = 0; i < 500 && checkpoints == 0; i++) {
        usleep(10000);
        mkv_shard_stats(world->shard, stats);
        checkpoints =
            stats->volumes[0].volume.checkpoints_total + stats->volumes[1].volume.checkpoints_total;
    }
    assert_int_equal(checkpoints, 1);
    free(stats);
}

static void test_shard__tcp_client__puts_and_gets_and_is_drained(void **state) {
    (void)state;
    struct world *world = world_create();
    world_open(world, true);
    assert_int_equal(mkv_shard_wait_opened(world->shard), DRIVES);
    const int fd = connect_and_greet(mkv_shard_port(world->shard));
    uint8_t payload[3000];
    uint8_t received[4096];
    memset(payload, 0x5a, sizeof payload);

    send_request(fd, MKV_NATIVE_PUT, payload, sizeof payload);
    struct mkv_native_header header = receive_header(fd);
    assert_int_equal(header.op, MKV_NATIVE_PUT);
    assert_int_equal(header.status, MKV_STATUS_OK);
    receive_all(fd, received, MKV_NATIVE_RESULT_BYTES);
    struct mkv_native_result result;
    assert_int_equal(mkv_native_result_decode(received, &result), MKV_NATIVE_OK);
    assert_int_equal(result.status, MKV_STATUS_OK);

    send_request(fd, MKV_NATIVE_GET, NULL, 0);
    header = receive_header(fd);
    assert_int_equal(header.op, MKV_NATIVE_DATA);
    assert_int_equal(header.payload_bytes, sizeof payload);
    receive_all(fd, received, MKV_NATIVE_DATA_BYTES);
    receive_all(fd, received, sizeof payload);
    assert_memory_equal(received, payload, sizeof payload);
    header = receive_header(fd);
    assert_int_equal(header.op, MKV_NATIVE_GET);
    receive_all(fd, received, MKV_NATIVE_RESULT_BYTES);

    await_checkpoint(world);
    mkv_shard_close(world->shard, 5000000000ull);
    assert_int_equal(recv(fd, received, 1, 0), 0); /* drained: nothing was owed */
    close(fd);
    assert_true(world_close(world));
    world_destroy(world);
}

static void test_shard__drive_of_another_store__leaves_the_other_serving(void **state) {
    (void)state;
    struct world *world = world_create();
    world_run(world, MKV_OP_PUT, false);
    char path[128];
    drive_path(world, 1, path);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t *zeros = calloc(1, 1024 * 1024);
    assert_non_null(zeros);
    assert_int_equal(pwrite(fd, zeros, 1024 * 1024, 0), 1024 * 1024);
    assert_int_equal(pwrite(fd, zeros, 1024 * 1024, (off_t)(DRIVE_BYTES - 1024 * 1024)),
                     1024 * 1024);
    free(zeros);
    close(fd);
    world_open(world, true);
    assert_int_equal(mkv_shard_wait_opened(world->shard), 1);
    assert_int_equal(world->events[1][MKV_EVENT_OPEN_FAILED], 1);
    struct mkv_shard_stats *stats = calloc(1, sizeof *stats);
    assert_non_null(stats);
    mkv_shard_stats(world->shard, stats);
    assert_true(stats->volumes[0].opened);
    assert_false(stats->volumes[1].opened);
    assert_int_not_equal(stats->volumes[1].open_error, MKV_OK);
    free(stats);
    assert_true(world_close(world));
    world_destroy(world);
}

/* ---- questions ------------------------------------------------------------------------------ */

/* Pages of at most `page` keys of a volume, until there are no more; returns how many keys. */
static uint32_t scan_all(struct world *world, uint32_t volume, uint64_t page) {
    struct mkv_shard_answer *answer = calloc(1, sizeof *answer);
    assert_non_null(answer);
    struct mkv_message question = {
        .kind = MKV_MESSAGE_SCAN, .volume = volume, .length = 6, .count = page, .data_bytes = 6};
    uint8_t data[6 + MKV_KEY_BYTES_MAX];
    memcpy(data, "block-", 6);
    uint32_t keys = 0;
    do {
        assert_int_equal(mkv_shard_ask(world->shard, &question, data, WAIT_NS, answer),
                         MKV_STATUS_OK);
        assert_int_equal(answer->message.kind, MKV_MESSAGE_SCAN_DONE);
        assert_int_equal(answer->message.status, MKV_STATUS_OK);
        assert_true(answer->message.count <= page);
        uint32_t at = 0;
        for (uint64_t i = 0; i < answer->message.count; i++) {
            const uint32_t key_bytes = mkv_load_u16(answer->data + at + 12);
            assert_memory_equal(answer->data + at + MKV_SCAN_ENTRY_BYTES, "block-", 6);
            memcpy(data + 6, answer->data + at + MKV_SCAN_ENTRY_BYTES, key_bytes);
            question.data_bytes = 6 + key_bytes;
            at += MKV_SCAN_ENTRY_BYTES + key_bytes;
        }
        assert_int_equal(at, answer->message.data_bytes);
        keys += (uint32_t)answer->message.count;
    } while ((answer->message.flags & MKV_SCAN_MORE) != 0);
    free(answer);
    return keys;
}

static void test_shard_ask__scan_and_exists__are_answered_while_it_serves(void **state) {
    (void)state;
    struct world *world = world_create();
    world_run(world, MKV_OP_PUT, false);
    world_open(world, true);
    assert_int_equal(mkv_shard_wait_opened(world->shard), DRIVES);
    struct mkv_shard_answer *answer = calloc(1, sizeof *answer);
    assert_non_null(answer);
    assert_int_equal(scan_all(world, 0, 1000) + scan_all(world, 1, 1000), BLOCKS);
    assert_int_equal(scan_all(world, 0, 5) + scan_all(world, 1, 5), BLOCKS);
    uint32_t there = 0;
    for (uint32_t volume = 0; volume < DRIVES; volume++) {
        struct mkv_message question = {
            .kind = MKV_MESSAGE_EXISTS, .volume = volume, .data_bytes = 7};
        assert_int_equal(
            mkv_shard_ask(world->shard, &question, (const uint8_t *)"block-6", WAIT_NS, answer),
            MKV_STATUS_OK);
        assert_int_equal(answer->message.kind, MKV_MESSAGE_EXISTS_DONE);
        if (answer->message.status == MKV_STATUS_OK) {
            assert_int_equal(answer->message.length_units, 1048576 / MKV_UNIT_BYTES);
            there++;
        }
        question = (struct mkv_message){.kind = MKV_MESSAGE_COUNT, .volume = volume};
        assert_int_equal(mkv_shard_ask(world->shard, &question, NULL, WAIT_NS, answer),
                         MKV_STATUS_OK);
        assert_int_equal(answer->message.kind, MKV_MESSAGE_COUNT_DONE);
    }
    assert_int_equal(there, 1); /* a key is on the drive that it goes to */
    free(answer);
    assert_true(world_close(world));
    world_destroy(world);
}

/* A question that nobody waits for is over before the next one begins. */
static void test_shard_ask__time_is_over__the_next_is_answered_all_the_same(void **state) {
    (void)state;
    struct world *world = world_create();
    world_run(world, MKV_OP_PUT, false);
    world_open(world, true);
    assert_int_equal(mkv_shard_wait_opened(world->shard), DRIVES);
    struct mkv_shard_answer *answer = calloc(1, sizeof *answer);
    assert_non_null(answer);
    const struct mkv_message question = {.kind = MKV_MESSAGE_COUNT};
    uint32_t late = 0;
    for (uint32_t i = 0; i < 50; i++) {
        const enum mkv_status status =
            mkv_shard_ask(world->shard, &question, NULL, i % 2 == 0 ? i * 1000 : WAIT_NS, answer);
        assert_true(status == MKV_STATUS_OK || (i % 2 == 0 && status == MKV_STATUS_DEADLINE));
        late += status == MKV_STATUS_DEADLINE;
    }
    assert_true(late > 0); /* the first one had no time at all */
    mkv_shard_close(world->shard, 0);
    enum mkv_status status = MKV_STATUS_OK;
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WAIT_NS;
    while (status == MKV_STATUS_OK && mkv_clock_monotonic_ns() < end_ns) {
        status = mkv_shard_ask(world->shard, &question, NULL, WAIT_NS, answer);
        status = status == MKV_STATUS_OK ? answer->message.status : status;
    }
    assert_int_equal(status, MKV_STATUS_UNAVAILABLE);
    free(answer);
    assert_true(world_close(world));
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shard__blocks__survive_a_clean_restart),
        cmocka_unit_test(test_shard__drive_was_given_and_does_not_join__is_taken_away_again),
        cmocka_unit_test(test_shard__stats__come_from_another_thread),
        cmocka_unit_test(test_shard_ask__scan_and_exists__are_answered_while_it_serves),
        cmocka_unit_test(test_shard_ask__time_is_over__the_next_is_answered_all_the_same),
        cmocka_unit_test(test_shard__tcp_client__puts_and_gets_and_is_drained),
        cmocka_unit_test(test_shard__drive_of_another_store__leaves_the_other_serving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
