/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv by RDMA: what is registered of the caller's memory, with which rights, and until when.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <unistd.h>

#include "client/engine.h"
#include "tests/unit/client/test_rdma.h"

#define MIB (1024ull * 1024u)
#define PAGE 4096u
/* Whole pages. */
#define BYTES ((uint64_t)(TEST_RDMA_BYTES / PAGE * PAGE))
/* The same in a bounce buffer. */
#define SMALL_BYTES 100000u
_Static_assert(BYTES >= MKV_RDMA_CALL_RANGE_BYTES_MIN, "it is registered for a GET");
_Static_assert(SMALL_BYTES < MKV_RDMA_CALL_RANGE_BYTES_MIN, "and that is not");

struct world {
    struct test_server *server;
    struct memkv_client *client;
    struct mkv_rdma_memory *memory;
};

/* A client with a lane. */
static struct world world_begin(void) {
    struct world world = {.server = test_rdma_server()};
    world.client = test_client_open(world.server, 10000);
    world.memory = &world.client->rdma->ports[0].memory;
    return world;
}

/* All of it went by RDMA, over the lane that was made first. */
static void world_end(struct world *world) {
    assert_int_equal(world->server->connect_count, 1);
    assert_int_equal(world->server->connection_count, 1);
    assert_int_equal(world->server->stream_bytes, 0);
    test_rdma_end(world->client, world->server);
}

static uint8_t *pages_map(uint64_t byte_count) {
    void *made = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(made != MAP_FAILED);
    return made;
}

/* ---- GETs ----------------------------------------------------------------------------------- */

/* realloc of a large buffer does that: the pages go elsewhere with what they hold, and something
 * new gets the address, and nobody unmaps anything. */
static void test_memory__pages_of_a_get_are_moved__what_they_hold_then_stays(void **state) {
    (void)state;
    struct world world = world_begin();
    uint8_t *put = test_rdma_value(1, BYTES);
    uint8_t *buffer = pages_map(BYTES);
    uint8_t *elsewhere = pages_map(BYTES);
    test_rdma_put(world.client, "k", put, BYTES);
    test_rdma_get(world.client, "k", put, BYTES, buffer);
    void *moved = mremap(buffer, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
    assert_ptr_equal(moved, elsewhere);
    void *made = mmap(buffer, BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(made, buffer);
    test_verbs_move(buffer, BYTES, elsewhere);
    memset(elsewhere, 0x77, BYTES);
    test_rdma_get(world.client, "k", put, BYTES, buffer);
    for (uint64_t index = 0; index < BYTES; index++) {
        assert_int_equal(elsewhere[index], 0x77);
    }
    munmap(buffer, BYTES);
    munmap(elsewhere, BYTES);
    free(put);
    world_end(&world);
}

/* However a GET ends, servers may write to none of its memory behind that. */
static void test_memory__get__is_registered_until_it_is_answered(void **state) {
    (void)state;
    struct world world = world_begin();
    struct memkv_completion completion;
    uint8_t *put = test_rdma_value(1, BYTES);
    uint8_t *got = malloc(BYTES);
    struct memkv_item item = {
        .op = MEMKV_OP_GET, .key = "k", .key_bytes = 1, .buffer = got, .capacity = BYTES};
    test_rdma_put(world.client, "k", put, BYTES);
    for (uint32_t round = 0; round < 3; round++) {
        world.server->is_paused = true;
        assert_int_equal(memkv_submit(world.client, &item, 1, 1, 0, NULL), MEMKV_OK);
        assert_int_equal(test_verbs.writable, 1);
        assert_int_equal(world.memory->call_bytes, BYTES);
        world.server->is_paused = false;
        assert_int_equal(memkv_wait(world.client, &completion, 1, 10000), 1);
        assert_int_equal(item.status, MEMKV_OK);
        assert_memory_equal(got, put, BYTES);
        assert_int_equal(test_verbs.writable, 0);
        assert_int_equal(world.memory->call_bytes, 0);
    }
    assert_int_equal(test_verbs.registrations, 1 + 3);
    /* A value that is not there. */
    item.key = "none";
    item.key_bytes = 4;
    assert_int_equal(memkv_batch(world.client, &item, 1, NULL), MEMKV_NOT_FOUND);
    assert_int_equal(test_verbs.writable, 0);
    free(put);
    free(got);
    world_end(&world);
}

static void expect_nothing_writable_behind(bool is_cancelled) {
    struct world world = world_begin();
    struct memkv_completion completion;
    uint8_t *got = malloc(BYTES);
    struct memkv_item item = {
        .op = MEMKV_OP_GET, .key = "k", .key_bytes = 1, .buffer = got, .capacity = BYTES};
    world.server->is_paused = true;
    assert_int_equal(memkv_submit(world.client, &item, 1, 1, is_cancelled ? 0 : 50, NULL),
                     MEMKV_OK);
    assert_int_equal(test_verbs.writable, 1);
    if (is_cancelled) {
        assert_int_equal(memkv_cancel(world.client, 1, NULL), MEMKV_OK);
        assert_int_equal(test_verbs.writable, 0);
    }
    assert_int_equal(memkv_wait(world.client, &completion, 1, 10000), 1);
    assert_int_equal(item.status, is_cancelled ? MEMKV_CANCELLED : MEMKV_DEADLINE);
    assert_int_equal(test_verbs.writable, 0);
    assert_int_equal(world.memory->call_bytes, 0);
    world.server->is_paused = false;
    free(got);
    test_rdma_end(world.client, world.server);
}

static void test_memory__get_ends_before_its_time__is_registered_no_more(void **state) {
    (void)state;
    expect_nothing_writable_behind(true);
    expect_nothing_writable_behind(false);
}

static void test_memory__small_get__is_copied_and_registered_where_that_cannot_be(void **state) {
    (void)state;
    struct world world = world_begin();
    struct mkv_rdma_port *port = &world.client->rdma->ports[0];
    struct mkv_rdma_place all;
    uint8_t *put = test_rdma_value(1, SMALL_BYTES);
    uint8_t *got = malloc(SMALL_BYTES);
    test_rdma_put(world.client, "k", put, SMALL_BYTES);
    test_rdma_get(world.client, "k", put, SMALL_BYTES, got);
    assert_int_equal(world.memory->bounce_bytes, MKV_RDMA_BOUNCE_BYTES_MIN);
    assert_int_equal(test_verbs.registrations, 2);
    /* Somebody has all bounce buffers. */
    assert_true(mkv_rdma_place_take(port, got, MKV_RDMA_BOUNCE_BYTES, false, false, &all));
    const uint32_t registrations = test_verbs.registrations;
    test_rdma_get(world.client, "k", put, SMALL_BYTES, got);
    assert_int_equal(test_verbs.registrations, registrations + 1);
    assert_int_equal(test_verbs.writable, 1); /* the bounce buffers */
    mkv_rdma_place_give(port, &all, false);
    free(put);
    free(got);
    world_end(&world);
}

/* So many bytes at a time, whatever calls name. */
static void test_memory__many_large_gets__registered_up_to_a_bound(void **state) {
    (void)state;
    struct world world = world_begin();
    struct mkv_rdma_port *port = &world.client->rdma->ports[0];
    enum {
        COUNT = MKV_RDMA_CALL_BYTES_MAX / MKV_RDMA_CACHED_RANGE_BYTES_MAX
    };
    struct mkv_rdma_place places[COUNT + 1];
    uint8_t *memory = pages_map(MKV_RDMA_CACHED_RANGE_BYTES_MAX);
    const uint64_t each = MKV_RDMA_CACHED_RANGE_BYTES_MAX;
    assert_false(mkv_rdma_place_take(port, memory, each + 1, false, true, &places[0]));
    for (uint32_t index = 0; index < COUNT; index++) {
        assert_true(mkv_rdma_place_take(port, memory, each, false, true, &places[index]));
        assert_int_equal(places[index].kind, MKV_RDMA_CALL);
    }
    assert_false(mkv_rdma_place_take(port, memory, each, false, true, &places[COUNT]));
    mkv_rdma_place_give(port, &places[0], false);
    assert_true(mkv_rdma_place_take(port, memory, each, false, true, &places[0]));
    for (uint32_t index = 0; index < COUNT; index++) {
        mkv_rdma_place_give(port, &places[index], false);
    }
    assert_int_equal(test_verbs.regions, 0);
    munmap(memory, each);
    world_end(&world);
}

/* ---- PUTs ----------------------------------------------------------------------------------- */

/* The same memory is put from and got into: two registrations, each with its rights. */
static void test_memory__put__is_kept_for_reading_alone(void **state) {
    (void)state;
    struct world world = world_begin();
    uint8_t *memory = test_rdma_value(1, BYTES);
    uint8_t *value = test_rdma_value(1, BYTES);
    for (uint32_t round = 0; round < 3; round++) {
        memory[0] = (uint8_t)round;
        value[0] = (uint8_t)round;
        test_rdma_put(world.client, "k", memory, BYTES);
        assert_int_equal(test_verbs.regions, 1);
        assert_int_equal(test_verbs.writable, 0);
        test_rdma_get(world.client, "k", value, BYTES, memory);
        assert_int_equal(test_verbs.regions, 1);
        assert_int_equal(test_verbs.writable, 0);
    }
    assert_int_equal(test_verbs.registrations, 1 + 3);
    assert_int_equal(world.server->remote_puts, 3);
    assert_int_equal(world.server->remote_gets, 3);
    free(memory);
    free(value);
    world_end(&world);
}

/* ---- memory that is shared with a server of this machine ------------------------------------ */

#define WINDOW_BYTES (1024ull * PAGE)

/* A connection to such a server, as far as its window needs one. */
struct local {
    struct mkv_transport transport;
    struct mkv_connection connection;
    uint8_t *old_pages; /* what was there before, for as long as a device has it */
};

static void local_init(struct local *local, struct memkv_client *client) {
    client->window = mkv_window_new(WINDOW_BYTES);
    assert_non_null(client->window);
    memset(local, 0, sizeof *local);
    local->transport.passed_descriptor = -1;
    local->connection.remote = client->remotes[0];
    local->connection.transport = &local->transport;
    TAILQ_INIT(&local->connection.sends);
    local->old_pages = malloc(WINDOW_BYTES);
    assert_non_null(local->old_pages);
}

/* From now on what is registered has pages that nobody maps. */
static void pages_replaced(struct local *local, const uint8_t *base) {
    test_verbs_move(base, WINDOW_BYTES, local->old_pages);
}

static void attach(struct local *local) {
    struct mkv_connection *connection = &local->connection;
    const struct mkv_window *window = connection->remote->client->window;
    const int descriptor = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(descriptor >= 0);
    assert_int_equal(ftruncate(descriptor, (off_t)WINDOW_BYTES), 0);
    assert_int_equal(fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    memcpy(local->old_pages, window->base, WINDOW_BYTES);
    local->transport.passed_descriptor = descriptor;
    connection->window_step = MKV_WINDOW_ASKED;
    connection->receive.header = (struct mkv_native_header){
        .op = MKV_NATIVE_WINDOW, .flags = MKV_NATIVE_FLAG_ANSWER, .status = MKV_STATUS_OK};
    mkv_native_window_encode(WINDOW_BYTES, connection->body);
    mkv_connection_window_frame(connection);
    assert_int_equal(window->mapped_bytes, WINDOW_BYTES);
    pages_replaced(local, window->base);
}

static void detach(struct local *local) {
    const struct mkv_window *window = local->connection.remote->client->window;
    memcpy(local->old_pages, window->base, WINDOW_BYTES);
    mkv_connection_window_end(&local->connection);
    assert_int_equal(window->mapped_bytes, 0);
    pages_replaced(local, window->base);
}

/* Puts from a buffer of the window, whose pages change in between. */
static void expect_puts_to_go_on(bool is_registered) {
    struct world world = world_begin();
    struct local local;
    uint64_t handle;
    local_init(&local, world.client);
    uint8_t *got = malloc(BYTES);
    uint8_t *buffer = memkv_buffer_alloc(world.client, BYTES);
    assert_non_null(buffer);
    assert_ptr_equal(buffer, world.client->window->base);
    if (is_registered) {
        assert_int_equal(memkv_buffer_register(world.client, buffer, BYTES, &handle, NULL),
                         MEMKV_OK);
    }
    for (uint32_t round = 0; round < 2; round++) {
        test_pattern_fill(3 * round, buffer, BYTES);
        test_rdma_put(world.client, "k", buffer, BYTES);
        attach(&local);
        test_pattern_fill(3 * round + 1, buffer, BYTES);
        test_rdma_put(world.client, "k", buffer, BYTES);
        test_rdma_get(world.client, "k", buffer, BYTES, got);
        detach(&local);
        test_pattern_fill(3 * round + 2, buffer, BYTES);
        test_rdma_put(world.client, "k", buffer, BYTES);
        test_rdma_get(world.client, "k", buffer, BYTES, got);
        assert_int_equal(world.memory->distrust_ns, 0); /* nothing was stale */
    }
    assert_int_equal(world.server->remote_puts, 6);
    if (is_registered) {
        assert_int_equal(memkv_buffer_unregister(world.client, handle, NULL), MEMKV_OK);
        assert_int_equal(test_verbs.regions, 0);
    }
    memkv_buffer_free(world.client, buffer);
    free(got);
    world_end(&world);
    free(local.old_pages);
}

static void test_memory__window_comes_and_goes__registered_buffer_is_registered_anew(void **state) {
    (void)state;
    expect_puts_to_go_on(true);
}

static void test_memory__window_comes_and_goes__what_was_kept_is_forgotten(void **state) {
    (void)state;
    expect_puts_to_go_on(false);
}

/* A large value is read piece by piece, each where READY asks for it. */
static void test_memory__window_comes__pieces_are_read_from_its_pages(void **state) {
    (void)state;
    struct world world = world_begin();
    struct local local;
    uint64_t handle;
    const uint64_t byte_count = 3 * MIB;
    local_init(&local, world.client);
    uint8_t *got = malloc(byte_count);
    uint8_t *buffer = memkv_buffer_alloc(world.client, byte_count);
    assert_ptr_equal(buffer, world.client->window->base);
    assert_int_equal(memkv_buffer_register(world.client, buffer, byte_count, &handle, NULL),
                     MEMKV_OK);
    test_pattern_fill(1, buffer, byte_count);
    test_rdma_put(world.client, "k", buffer, byte_count);
    attach(&local);
    test_pattern_fill(2, buffer, byte_count);
    test_rdma_put(world.client, "k", buffer, byte_count);
    test_rdma_get(world.client, "k", buffer, byte_count, got);
    assert_int_equal(world.server->remote_pieces, 6);
    detach(&local);
    memkv_buffer_free(world.client, buffer);
    free(got);
    world_end(&world);
    free(local.old_pages);
}

/* What a server is about to read stays registered until it has: the bytes are the same. */
static void expect_put_under_way_to_end_well(bool is_registered) {
    struct world world = world_begin();
    struct local local;
    struct memkv_completion completion;
    uint64_t handle;
    local_init(&local, world.client);
    uint8_t *got = malloc(BYTES);
    uint8_t *buffer = memkv_buffer_alloc(world.client, BYTES);
    test_pattern_fill(1, buffer, BYTES);
    if (is_registered) {
        assert_int_equal(memkv_buffer_register(world.client, buffer, BYTES, &handle, NULL),
                         MEMKV_OK);
    }
    struct memkv_item item = {
        .op = MEMKV_OP_PUT, .key = "k", .key_bytes = 1, .data = buffer, .data_bytes = BYTES};
    world.server->is_paused = true;
    assert_int_equal(memkv_submit(world.client, &item, 1, 1, 0, NULL), MEMKV_OK);
    attach(&local);
    assert_int_equal(test_verbs.regions, 1);
    world.server->is_paused = false;
    assert_int_equal(memkv_wait(world.client, &completion, 1, 10000), 1);
    assert_int_equal(item.status, MEMKV_OK);
    assert_int_equal(test_verbs.regions, 0);
    test_rdma_get(world.client, "k", buffer, BYTES, got);
    detach(&local);
    memkv_buffer_free(world.client, buffer);
    free(got);
    world_end(&world);
    free(local.old_pages);
}

static void test_memory__window_comes_under_a_put__it_is_read_from_the_old_pages(void **state) {
    (void)state;
    expect_put_under_way_to_end_well(true);
    expect_put_under_way_to_end_well(false);
}

/* Other buffers stay as they are. */
static void test_memory__window_comes__no_other_buffer_is_registered_anew(void **state) {
    (void)state;
    struct world world = world_begin();
    struct local local;
    uint64_t handle;
    local_init(&local, world.client);
    uint8_t *registered = test_rdma_value(1, BYTES);
    uint8_t *kept = test_rdma_value(2, BYTES);
    assert_int_equal(memkv_buffer_register(world.client, registered, BYTES, &handle, NULL),
                     MEMKV_OK);
    test_rdma_put(world.client, "k", kept, BYTES);
    assert_int_equal(test_verbs.regions, 2);
    attach(&local);
    detach(&local);
    assert_int_equal(test_verbs.regions, 2);
    test_rdma_put(world.client, "k", kept, BYTES);
    test_rdma_put(world.client, "k", registered, BYTES);
    assert_int_equal(test_verbs.registrations, 2);
    world_end(&world);
    free(registered);
    free(kept);
    free(local.old_pages);
}

/* ---- the library's own ---------------------------------------------------------------------- */

/* Whether a child of this process has these pages. */
static bool is_inherited(uint8_t *pages) {
    unsigned char is_resident;
    assert_int_equal(mincore(pages, PAGE, &is_resident), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(mincore(pages, PAGE, &is_resident) != 0 && errno == ENOMEM ? 7 : 8);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) != 7;
}

static void test_memory__of_the_library__no_child_has_it(void **state) {
    (void)state;
    struct world world = world_begin();
    struct mkv_rdma_port *port = &world.client->rdma->ports[0];
    struct mkv_rdma_place bounce;
    struct mkv_rdma_place stage;
    uint8_t *other = pages_map(PAGE);
    assert_true(mkv_rdma_place_take(port, other, PAGE, true, false, &bounce));
    assert_int_equal(bounce.kind, MKV_RDMA_BOUNCED);
    assert_true(mkv_rdma_stage_take(port, MIB, &stage));
    assert_true(is_inherited(other));
    assert_false(is_inherited(bounce.bounce));
    assert_false(is_inherited(stage.bounce));
    mkv_rdma_place_give(port, &bounce, false);
    mkv_rdma_place_give(port, &stage, false);
    munmap(other, PAGE);
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define MEMORY_TEST(name) cmocka_unit_test_setup(name, test_rdma_begin)
        MEMORY_TEST(test_memory__pages_of_a_get_are_moved__what_they_hold_then_stays),
        MEMORY_TEST(test_memory__get__is_registered_until_it_is_answered),
        MEMORY_TEST(test_memory__get_ends_before_its_time__is_registered_no_more),
        MEMORY_TEST(test_memory__small_get__is_copied_and_registered_where_that_cannot_be),
        MEMORY_TEST(test_memory__many_large_gets__registered_up_to_a_bound),
        MEMORY_TEST(test_memory__put__is_kept_for_reading_alone),
        MEMORY_TEST(test_memory__window_comes_and_goes__registered_buffer_is_registered_anew),
        MEMORY_TEST(test_memory__window_comes_and_goes__what_was_kept_is_forgotten),
        MEMORY_TEST(test_memory__window_comes__pieces_are_read_from_its_pages),
        MEMORY_TEST(test_memory__window_comes_under_a_put__it_is_read_from_the_old_pages),
        MEMORY_TEST(test_memory__window_comes__no_other_buffer_is_registered_anew),
        MEMORY_TEST(test_memory__of_the_library__no_child_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
