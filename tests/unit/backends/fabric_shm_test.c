/* SPDX-License-Identifier: Apache-2.0 */
/* Windows over a real Unix socket, as good clients use them, and as bad ones try to. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/clock.h"
#include "backends/fabric_shm.h"
#include "backends/fabric_tcp_internal.h"
#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/backends/fabric_world.h"

#define WINDOW_BYTES (16ull * MKV_MIB)
#define FRAME_BYTES 4096u
#define SECOND_NS 1000000000ull

static const struct world_options with_windows = {.window_bytes_max = WINDOW_BYTES};
static const struct world_options timed = {
    .window_bytes_max = WINDOW_BYTES, .counts_time = true, .stall_ns = 30 * SECOND_NS};

struct shared {
    struct client client;
    uint8_t *window;
    uint64_t bytes;
};

static size_t frame_window(uint8_t *bytes, uint64_t window_bytes) {
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_WINDOW, .request_id = 1, .body_bytes = MKV_NATIVE_WINDOW_BYTES};
    mkv_native_header_encode(&header, bytes);
    mkv_native_window_encode(window_bytes, bytes + MKV_NATIVE_HEADER_BYTES);
    return MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_WINDOW_BYTES;
}

/* A GET of one item into the window, or DATA out of it. */
static size_t frame_get(uint8_t *bytes, uint64_t request_id, uint64_t length,
                        uint64_t window_offset) {
    const size_t count = frame_request(bytes, MKV_NATIVE_GET, request_id, 1, length, false);
    struct mkv_native_header header;
    assert_int_equal(mkv_native_header_decode(bytes, &header), MKV_NATIVE_OK);
    header.flags |= MKV_NATIVE_FLAG_WINDOW;
    mkv_native_header_encode(&header, bytes);
    mkv_store_u64(bytes + MKV_NATIVE_HEADER_BYTES + 16, window_offset);
    return count;
}

static size_t frame_window_data(uint8_t *bytes, uint64_t request_id, uint64_t length,
                                uint64_t window_offset) {
    const struct mkv_native_header header = {.op = MKV_NATIVE_DATA,
                                             .flags = MKV_NATIVE_FLAG_WINDOW,
                                             .request_id = request_id,
                                             .body_bytes = MKV_NATIVE_DATA_BYTES};
    const struct mkv_native_data data = {
        .length = length, .bytes = length, .window_offset = window_offset};
    mkv_native_header_encode(&header, bytes);
    mkv_native_data_encode(&data, bytes + MKV_NATIVE_HEADER_BYTES);
    return MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES;
}

static struct client greeted(struct world *world) {
    struct client client = world_connect(world);
    uint8_t bytes[FRAME_BYTES];
    const struct mkv_native_header header = {.op = MKV_NATIVE_HELLO,
                                             .body_bytes = MKV_NATIVE_HELLO_BYTES};
    const struct mkv_native_hello hello = {
        .version_min = 1, .version_max = 1, .features = MKV_NATIVE_FEATURE_WINDOW, .name = "test"};
    mkv_native_header_encode(&header, bytes);
    mkv_native_hello_encode(&hello, bytes + MKV_NATIVE_HEADER_BYTES);
    client_send(world, &client, bytes, MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES);
    struct frame frame = client_frame(world, &client);
    struct mkv_native_hello_answer answer;
    assert_int_equal(mkv_native_hello_answer_decode(frame.body, &answer), MKV_NATIVE_OK);
    assert_true(answer.features == MKV_NATIVE_FEATURE_WINDOW);
    world_frame_free(&frame);
    return client;
}

static uint64_t expect_window(struct world *world, struct client *client) {
    struct frame frame = client_frame(world, client);
    uint64_t bytes;
    assert_int_equal(frame.header.op, MKV_NATIVE_WINDOW);
    assert_int_equal(frame.header.status, MKV_STATUS_OK);
    assert_int_equal(mkv_native_window_decode(frame.body, &bytes), MKV_NATIVE_OK);
    world_frame_free(&frame);
    return bytes;
}

/* Has been given a window that is not mapped yet. */
static struct shared offered(struct world *world, uint64_t wanted_bytes) {
    struct shared shared = {.client = greeted(world)};
    uint8_t bytes[FRAME_BYTES];
    client_send(world, &shared.client, bytes, frame_window(bytes, wanted_bytes));
    shared.bytes = expect_window(world, &shared.client);
    assert_true(shared.client.passed_fd >= 0);
    shared.window =
        mmap(NULL, shared.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, shared.client.passed_fd, 0);
    assert_true(shared.window != MAP_FAILED);
    return shared;
}

static struct shared mapped(struct world *world, uint64_t wanted_bytes) {
    struct shared shared = offered(world, wanted_bytes);
    uint8_t bytes[FRAME_BYTES];
    client_send(world, &shared.client, bytes, frame_window(bytes, 0));
    assert_true(expect_window(world, &shared.client) == shared.bytes);
    return shared;
}

static void let_go(struct shared *shared) {
    munmap(shared->window, shared->bytes);
    if (shared->client.passed_fd >= 0) {
        close(shared->client.passed_fd);
    }
    client_close(&shared->client);
}

static void expect_pattern(const uint8_t *bytes, uint64_t request_id, uint64_t byte_count) {
    for (uint64_t i = 0; i < byte_count; i++) {
        if (bytes[i] != world_pattern(request_id, 0, i)) {
            fail_msg("byte %llu is another one", (unsigned long long)i);
        }
    }
}

static void get_once(struct world *world, struct shared *shared, uint64_t request_id,
                     uint64_t length, uint64_t window_offset) {
    uint8_t bytes[FRAME_BYTES];
    client_send(world, &shared->client, bytes, frame_get(bytes, request_id, length, window_offset));
    struct frame data = client_frame(world, &shared->client);
    struct mkv_native_data decoded;
    assert_int_equal(data.header.op, MKV_NATIVE_DATA);
    assert_int_equal(data.header.flags, MKV_NATIVE_FLAG_WINDOW);
    assert_int_equal(data.header.payload_bytes, 0);
    assert_int_equal(mkv_native_data_decode(&data.header, data.body, &decoded), MKV_NATIVE_OK);
    assert_true(decoded.window_offset == window_offset);
    assert_true(decoded.bytes == length);
    expect_pattern(shared->window + window_offset, request_id, length);
    world_frame_free(&data);
    struct frame answer = client_frame(world, &shared->client);
    assert_int_equal(answer.header.op, MKV_NATIVE_GET);
    world_frame_free(&answer);
}

static void test_fabric_shm__get_and_put__go_through_the_window(void **state) {
    (void)state;
    struct world *world = world_create(&with_windows);
    struct shared shared = mapped(world, WINDOW_BYTES);
    static const uint64_t lengths[] = {1, 65536, 65537, MKV_MIB, 5 * MKV_MIB + 7};
    for (uint64_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        get_once(world, &shared, 100 + i, lengths[i], i * 4096);
    }
    /* To the last byte. */
    get_once(world, &shared, 200, 4 * MKV_MIB, WINDOW_BYTES - 4 * MKV_MIB);
    for (uint64_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t bytes[FRAME_BYTES];
        const uint64_t request_id = 300 + i;
        world_pattern_fill(request_id, 0, shared.window + 64, lengths[i]);
        client_send(world, &shared.client, bytes,
                    frame_request(bytes, MKV_NATIVE_PUT, request_id, 1, lengths[i], false));
        struct frame ready = client_frame(world, &shared.client);
        assert_int_equal(ready.header.op, MKV_NATIVE_READY);
        world_frame_free(&ready);
        client_send(world, &shared.client, bytes,
                    frame_window_data(bytes, request_id, lengths[i], 64));
        struct frame answer = client_frame(world, &shared.client);
        assert_int_equal(answer.header.op, MKV_NATIVE_PUT);
        world_frame_free(&answer);
        /* What the slab has is what stood in the window, and its sums are those of the slab. */
        assert_true(world->requests[world->request_count - 1].hashes[0] ==
                    mkv_hash_64(shared.window + 64, lengths[i]));
    }
    let_go(&shared);
    world_await(world, WORLD_CLOSED, 1);
    world_destroy(world);
}

static void test_fabric_shm__large_value__others_have_their_turn_between(void **state) {
    (void)state;
    struct world *world = world_create(&with_windows);
    struct shared shared = mapped(world, WINDOW_BYTES);
    struct client other = greeted(world);
    uint8_t bytes[FRAME_BYTES];
    client_send(world, &shared.client, bytes, frame_get(bytes, 1, 16 * MKV_MIB, 0));
    world_await(world, WORLD_REQUEST, 1);
    client_send(world, &other, bytes, frame_simple(bytes, MKV_NATIVE_PING, 2));
    struct frame pong = client_frame(world, &other);
    assert_int_equal(pong.header.op, MKV_NATIVE_PING);
    assert_int_equal(world_count(world, WORLD_PUSH_OK), 0); /* it is still being copied */
    world_frame_free(&pong);
    world_await(world, WORLD_PUSH_OK, 1);
    expect_pattern(shared.window, 1, 16 * MKV_MIB);
    client_close(&other);
    let_go(&shared);
    world_destroy(world);
}

static void test_fabric_shm__seals__keep_every_page_where_it_is(void **state) {
    (void)state;
    struct world *world = world_create(&with_windows);
    struct shared shared = offered(world, 1ull << 50);
    const int fd = shared.client.passed_fd;
    uint8_t bytes[FRAME_BYTES];
    assert_true(shared.bytes == WINDOW_BYTES); /* what the server gives, whatever was wanted */
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, (off_t)(2 * WINDOW_BYTES)), -1);
    client_send(world, &shared.client, bytes, frame_window(bytes, 0));
    (void)expect_window(world, &shared.client);
    assert_int_equal(
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)WINDOW_BYTES), -1);
    assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    assert_int_equal(madvise(shared.window, shared.bytes, MADV_REMOVE), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    assert_true((uint64_t)status.st_blocks * 512 >= WINDOW_BYTES); /* all of it is there */
    get_once(world, &shared, 1, MKV_MIB, 0);
    let_go(&shared);
    world_destroy(world);
}

static void test_fabric_shm__client_seals_by_itself__refused(void **state) {
    (void)state;
    struct world *world = world_create(&with_windows);
    struct shared shared = offered(world, MKV_MIB);
    uint8_t bytes[FRAME_BYTES];
    assert_int_equal(fcntl(shared.client.passed_fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
    client_send(world, &shared.client, bytes, frame_window(bytes, 0));
    client_expect_refusal(world, &shared.client, "window");
    let_go(&shared);
    world_destroy(world);
}

static void test_fabric_shm__places_outside__refused(void **state) {
    (void)state;
    static const struct {
        uint64_t offset;
        uint64_t length;
        const char *words;
    } cases[] = {
        {WINDOW_BYTES, 1, "window"},
        {WINDOW_BYTES - 1, 2, "window"},
        {0, WINDOW_BYTES + 1, "window"},
        {1ull << 40, 1, "window"},
        {UINT64_MAX, 1, "length"},
        {UINT64_MAX - 4095, 4096, "length"},
        {0, 0, "length"},
    };
    struct world *world = world_create(&with_windows);
    uint8_t bytes[FRAME_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shared shared = mapped(world, WINDOW_BYTES);
        client_send(world, &shared.client, bytes,
                    frame_get(bytes, 1, cases[i].length, cases[i].offset));
        client_expect_refusal(world, &shared.client, cases[i].words);
        let_go(&shared);
    }
    assert_int_equal(world_count(world, WORLD_REQUEST), 0);
    static const uint64_t data_offsets[] = {WINDOW_BYTES, WINDOW_BYTES - 99999, UINT64_MAX,
                                            UINT64_MAX - 99999};
    for (size_t i = 0; i < sizeof data_offsets / sizeof data_offsets[0]; i++) {
        struct shared shared = mapped(world, WINDOW_BYTES);
        client_send(world, &shared.client, bytes,
                    frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 100000, false));
        struct frame ready = client_frame(world, &shared.client);
        world_frame_free(&ready);
        client_send(world, &shared.client, bytes,
                    frame_window_data(bytes, 1, 100000, data_offsets[i]));
        client_expect_refusal(world, &shared.client, "window");
        let_go(&shared);
    }
    world_destroy(world);
}

static void test_fabric_shm__windows_out_of_turn__refused(void **state) {
    (void)state;
    struct world *world = world_create(&with_windows);
    uint8_t bytes[FRAME_BYTES];
    struct client client = greeted(world);
    client_send(world, &client, bytes, frame_window(bytes, 0)); /* there is none to be mapped */
    client_expect_refusal(world, &client, "window");
    client_close(&client);

    client = greeted(world);
    client_send(world, &client, bytes, frame_get(bytes, 1, 100, 0));
    client_expect_refusal(world, &client, "window");
    client_close(&client);

    struct shared shared = offered(world, MKV_MIB);
    client_send(world, &shared.client, bytes, frame_get(bytes, 1, 100, 0)); /* not said yet */
    client_expect_refusal(world, &shared.client, "window");
    let_go(&shared);

    shared = mapped(world, MKV_MIB);
    client_send(world, &shared.client, bytes, frame_window(bytes, MKV_MIB));
    client_expect_refusal(world, &shared.client, "window");
    let_go(&shared);

    client = world_greeted(world); /* it did not want the feature */
    client.passed_fd = -1;
    client_send(world, &client, bytes, frame_window(bytes, MKV_MIB));
    client_expect_refusal(world, &client, "window");
    client_close(&client);
    world_destroy(world);

    world = world_create(NULL); /* TCP */
    client = world_greeted(world);
    client_send(world, &client, bytes, frame_window(bytes, MKV_MIB));
    client_expect_refusal(world, &client, "window");
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_shm__client_dies_at_any_point__all_comes_back(void **state) {
    (void)state;
    struct world *world = world_create(&with_windows);
    uint8_t bytes[FRAME_BYTES];
    for (uint32_t turns = 0; turns < 40; turns++) {
        struct shared shared =
            turns < 8 ? offered(world, WINDOW_BYTES) : mapped(world, WINDOW_BYTES);
        if (turns < 8) {
            client_send(world, &shared.client, bytes, frame_window(bytes, 0));
        } else {
            client_send(world, &shared.client, bytes, frame_get(bytes, 1, 12 * MKV_MIB, 0));
            client_send(world, &shared.client, bytes, frame_get(bytes, 2, MKV_MIB, MKV_MIB));
            client_send(world, &shared.client, bytes,
                        frame_request(bytes, MKV_NATIVE_PUT, 3, 1, 8 * MKV_MIB, false));
            client_send(world, &shared.client, bytes, frame_window_data(bytes, 3, 1, 0));
        }
        for (uint32_t turn = 0; turn < turns % 16; turn++) {
            world_turn(world);
        }
        let_go(&shared);
    }
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    while (world_counters(world)->connections_active > 0) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
    }
    world_destroy(world);
}

static void test_fabric_shm__scribbled_while_it_is_copied__sums_are_of_the_slab(void **state) {
    (void)state;
    struct world *world = world_create(&with_windows);
    struct shared shared = mapped(world, WINDOW_BYTES);
    uint8_t bytes[FRAME_BYTES];
    client_send(world, &shared.client, bytes,
                frame_request(bytes, MKV_NATIVE_PUT, 1, 1, 8 * MKV_MIB, false));
    struct frame ready = client_frame(world, &shared.client);
    world_frame_free(&ready);
    client_send(world, &shared.client, bytes, frame_window_data(bytes, 1, 8 * MKV_MIB, 0));
    /* Between its pieces the source changes; the world compares sums and slab. */
    for (uint32_t turn = 0; world_count(world, WORLD_PULL_OK) == 0; turn++) {
        memset(shared.window, (int)turn, 8 * MKV_MIB);
        world_turn(world);
    }
    let_go(&shared);
    world_destroy(world);
}

static void test_fabric_shm__client_that_never_reads__closed(void **state) {
    (void)state;
    struct world *world = world_create(&timed);
    struct client client = greeted(world);
    uint8_t bytes[FRAME_BYTES];
    const size_t count = frame_request(bytes, MKV_NATIVE_GET, 7, 1, 8 * MKV_MIB, false);
    client_send(world, &client, bytes, count); /* through the socket, which takes less */
    for (uint32_t i = 0; i < 100; i++) {
        world_turn(world); /* it gets as far as the socket has room */
    }
    world_pass(world, 28 * SECOND_NS);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 0);
    world_pass(world, 2 * SECOND_NS);
    world_await(world, WORLD_CLOSED, 1);
    assert_int_equal(world_counters(world)->faults_total[MKV_FABRIC_FAULT_STALLED], 1);
    client_close(&client);
    world_destroy(world);
}

static void test_fabric_shm__path__taken_only_from_the_dead(void **state) {
    (void)state;
    char path[64];
    struct mkv_backend_error error;
    int fd;
    int other;
    snprintf(path, sizeof path, "/tmp/memkv-listen-%d.sock", (int)getpid());
    assert_true(mkv_fabric_shm_listen(path, "--here", &fd, &error));
    assert_false(mkv_fabric_shm_listen(path, "--here", &other, &error));
    assert_non_null(strstr(error.text, "another process listens there"));
    close(fd); /* as a process that was killed: the path stays */
    assert_true(mkv_fabric_shm_listen(path, "--here", &fd, &error));
    mkv_fabric_shm_unlisten(path, fd);
    assert_int_equal(access(path, F_OK), -1);
    const int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    assert_false(mkv_fabric_shm_listen(path, "--here", &fd, &error));
    assert_int_equal(access(path, F_OK), 0); /* somebody's file is not removed */
    unlink(path);
    char too_long[200];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    assert_false(mkv_fabric_shm_listen(too_long, "--here", &fd, &error));
    assert_non_null(strstr(error.text, "1 to 107 bytes"));
    assert_false(mkv_fabric_shm_listen("/nonexistent/x.sock", "--here", &fd, &error));
}

static uint64_t filled_bytes(const struct world *world) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < world->fabric->connections_used; i++) {
        bytes += world->fabric->connections[i].window.filled_bytes;
    }
    return bytes;
}

/* However many windows are made, a round makes two pieces at most: one as the frame comes. */
static void test_fabric_shm__many_windows_at_a_time__filled_in_turn(void **state) {
    (void)state;
    enum {
        CLIENTS = 6
    };
    struct world *world = world_create(&with_windows);
    struct shared shared[CLIENTS];
    uint8_t bytes[FRAME_BYTES];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        shared[i] = offered(world, 8 * MKV_MIB);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const size_t count = frame_window(bytes, 0);
        assert_int_equal(write(shared[i].client.fd, bytes, count), (ssize_t)count);
    }
    const uint64_t end_ns = mkv_clock_monotonic_ns() + WORLD_WAIT_NS;
    for (uint64_t before = 0; before < CLIENTS * 8 * MKV_MIB;) {
        assert_true(mkv_clock_monotonic_ns() < end_ns);
        world_turn(world);
        const uint64_t now = filled_bytes(world);
        assert_true(now - before <= 2 * MKV_SHM_WINDOW_FILL_BYTES);
        before = now;
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        assert_true(expect_window(world, &shared[i].client) == 8 * MKV_MIB);
        let_go(&shared[i]);
    }
    world_destroy(world);
}

static uint64_t thread_ns(void) {
    struct timespec time;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time), 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The shard does not free the pages of a large window itself: processor time tells, not the clock,
 * and as a part of what the pages took to be made. */
static void test_shm_window__closed__pages_are_freed_by_another_thread(void **state) {
    (void)state;
    struct mkv_shm_window window = {.fd = -1};
    assert_true(mkv_shm_window_make(&window, 128 * MKV_MIB));
    assert_true(mkv_shm_window_seal(&window));
    const uint64_t begin_ns = thread_ns();
    while (window.state == MKV_SHM_WINDOW_FILLING) {
        assert_true(mkv_shm_window_fill(&window));
    }
    const uint64_t filled_ns = thread_ns();
    mkv_shm_window_close(&window);
    assert_true((thread_ns() - filled_ns) * 40 < filled_ns - begin_ns);
    assert_int_equal(window.state, MKV_SHM_WINDOW_NONE);
}

/* A server that has hung accepts nobody: the kernel makes whoever connects wait. */
static void test_fabric_shm__path_of_one_that_hangs__refused_at_once(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int clients[4];
    int fd;
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/memkv-hang-%d.sock", (int)getpid());
    const int server = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server, 0), 0);
    for (size_t i = 0; i < 4; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&address, sizeof address);
    }
    alarm(60); /* rather than for ever */
    assert_false(mkv_fabric_shm_listen(address.sun_path, "--here", &fd, &error));
    alarm(0);
    assert_non_null(strstr(error.text, "another process listens there"));
    for (size_t i = 0; i < 4; i++) {
        close(clients[i]);
    }
    close(server);
    unlink(address.sun_path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fabric_shm__get_and_put__go_through_the_window),
        cmocka_unit_test(test_fabric_shm__large_value__others_have_their_turn_between),
        cmocka_unit_test(test_fabric_shm__seals__keep_every_page_where_it_is),
        cmocka_unit_test(test_fabric_shm__client_seals_by_itself__refused),
        cmocka_unit_test(test_fabric_shm__places_outside__refused),
        cmocka_unit_test(test_fabric_shm__windows_out_of_turn__refused),
        cmocka_unit_test(test_fabric_shm__client_dies_at_any_point__all_comes_back),
        cmocka_unit_test(test_fabric_shm__scribbled_while_it_is_copied__sums_are_of_the_slab),
        cmocka_unit_test(test_fabric_shm__client_that_never_reads__closed),
        cmocka_unit_test(test_fabric_shm__path__taken_only_from_the_dead),
        cmocka_unit_test(test_fabric_shm__path_of_one_that_hangs__refused_at_once),
        cmocka_unit_test(test_fabric_shm__many_windows_at_a_time__filled_in_turn),
        cmocka_unit_test(test_shm_window__closed__pages_are_freed_by_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
