/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers in memory that comes and goes under them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/window.h"
#include "core/base.h"

#define PAGE MKV_WINDOW_ALIGN_BYTES
#define WINDOW_BYTES (64ull * PAGE)
#define SHARED_BYTES (16ull * PAGE)

/* What a server has at its end. */
struct peer {
    int descriptor;
    uint8_t *memory;
};

static struct peer peer_make(uint64_t bytes) {
    struct peer peer = {.descriptor = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    assert_true(peer.descriptor >= 0);
    assert_int_equal(ftruncate(peer.descriptor, (off_t)bytes), 0);
    assert_int_equal(fcntl(peer.descriptor, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    peer.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, peer.descriptor, 0);
    assert_true(peer.memory != MAP_FAILED);
    return peer;
}

static void peer_end(struct peer *peer, uint64_t bytes) {
    munmap(peer->memory, bytes);
    close(peer->descriptor);
}

static struct mkv_window *window_make(void) {
    struct mkv_window *window = mkv_window_new(WINDOW_BYTES);
    assert_non_null(window);
    return window;
}

static void test_window__buffers__do_not_overlap_and_fill_gaps(void **state) {
    (void)state;
    struct mkv_window *window = window_make();
    uint8_t *first = mkv_window_buffer_take(window, 1);
    uint8_t *second = mkv_window_buffer_take(window, PAGE + 1);
    uint8_t *third = mkv_window_buffer_take(window, PAGE);
    assert_ptr_equal(first, window->base);
    assert_ptr_equal(second, first + PAGE);
    assert_ptr_equal(third, second + 2 * PAGE);
    assert_true(mkv_window_buffer_give(window, second));
    assert_false(mkv_window_buffer_give(window, second));
    assert_false(mkv_window_buffer_give(window, third + 1));
    assert_ptr_equal(mkv_window_buffer_take(window, 3 * PAGE), third + PAGE);
    assert_ptr_equal(mkv_window_buffer_take(window, 2 * PAGE), second);
    mkv_window_free(window);
}

static void test_window__full__no_buffer(void **state) {
    (void)state;
    struct mkv_window *window = window_make();
    assert_null(mkv_window_buffer_take(window, WINDOW_BYTES + 1));
    assert_null(mkv_window_buffer_take(window, SIZE_MAX));
    uint8_t *all = mkv_window_buffer_take(window, WINDOW_BYTES);
    assert_ptr_equal(all, window->base);
    assert_null(mkv_window_buffer_take(window, 1));
    assert_true(mkv_window_buffer_give(window, all));
    for (uint64_t page = 0; page < WINDOW_BYTES / PAGE; page++) {
        assert_ptr_equal(mkv_window_buffer_take(window, PAGE), window->base + page * PAGE);
    }
    assert_null(mkv_window_buffer_take(window, 1));
    mkv_window_free(window);
}

static void test_window__attached_and_detached__buffers_hold_what_they_held(void **state) {
    (void)state;
    struct mkv_window *window = window_make();
    struct peer peer = peer_make(SHARED_BYTES);
    uint8_t *inside = mkv_window_buffer_take(window, 3 * PAGE);
    uint8_t *across = mkv_window_buffer_take(window, SHARED_BYTES); /* its end is not shared */
    memset(inside, 1, 3 * PAGE);
    memset(across, 2, SHARED_BYTES);
    for (uint32_t turn = 0; turn < 3; turn++) {
        assert_true(mkv_window_attach(window, peer.descriptor, SHARED_BYTES));
        assert_int_equal(peer.memory[0], 1 + turn);
        assert_int_equal(peer.memory[SHARED_BYTES - 1], 2);
        assert_int_equal(across[SHARED_BYTES - 1], 2);
        peer.memory[0]++;
        assert_int_equal(inside[0], 2 + turn);
        mkv_window_detach(window);
        peer.memory[1] = 99; /* a server that is late writes where nobody looks */
        assert_int_equal(inside[0], 2 + turn);
        assert_int_equal(inside[1], 1);
        assert_int_equal(across[0], 2);
        assert_int_equal(across[SHARED_BYTES - 1], 2);
    }
    mkv_window_detach(window); /* twice */
    peer_end(&peer, SHARED_BYTES);
    mkv_window_free(window);
}

static void test_window__descriptor_that_cannot_be_mapped__nothing_changes(void **state) {
    (void)state;
    struct mkv_window *window = window_make();
    uint8_t *buffer = mkv_window_buffer_take(window, PAGE);
    buffer[0] = 7;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_false(mkv_window_attach(window, ends[0], SHARED_BYTES));
    assert_int_equal(window->mapped_bytes, 0);
    assert_int_equal(buffer[0], 7);
    close(ends[0]);
    close(ends[1]);
    mkv_window_free(window);
}

static void test_window__memory_that_can_be_taken_away__not_mapped(void **state) {
    (void)state;
    struct mkv_window *window = window_make();
    uint8_t *buffer = mkv_window_buffer_take(window, 2 * PAGE);
    memset(buffer, 7, 2 * PAGE);
    /* Shorter than it is said to be: an access behind its end would be a SIGBUS. */
    struct peer peer = peer_make(PAGE);
    assert_false(mkv_window_attach(window, peer.descriptor, SHARED_BYTES));
    peer_end(&peer, PAGE);
    const int unsealed = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(unsealed, SHARED_BYTES), 0);
    assert_false(mkv_window_attach(window, unsealed, SHARED_BYTES));
    assert_int_equal(buffer[2 * PAGE - 1], 7);
    close(unsealed);
    mkv_window_free(window);
}

static void test_window__places__found_of_the_owner_alone(void **state) {
    (void)state;
    struct mkv_window *window = window_make();
    struct peer peer = peer_make(SHARED_BYTES);
    const int owner = 0;
    const int other = 0;
    uint64_t offset = 99;
    const uint8_t *base = window->base;
    assert_false(mkv_window_finds(NULL, &owner, base, 1, &offset));
    assert_false(mkv_window_finds(window, NULL, base, 1, &offset)); /* nobody owns it */
    assert_true(mkv_window_attach(window, peer.descriptor, SHARED_BYTES));
    assert_false(mkv_window_finds(window, &owner, base, 1, &offset));
    window->owner = &owner;
    assert_false(mkv_window_finds(window, &other, base, 1, &offset));
    assert_true(mkv_window_finds(window, &owner, base + 5, SHARED_BYTES - 5, &offset));
    assert_int_equal(offset, 5);
    assert_false(mkv_window_finds(window, &owner, base + 5, SHARED_BYTES - 4, &offset));
    assert_false(mkv_window_finds(window, &owner, base, UINT64_MAX, &offset));
    assert_false(mkv_window_finds(window, &owner, &offset, 1, &offset));
    assert_false(mkv_window_finds(window, &owner, base + SHARED_BYTES, 1, &offset));
    mkv_window_detach(window);
    assert_false(mkv_window_finds(window, &owner, base, 1, &offset));
    peer_end(&peer, SHARED_BYTES);
    mkv_window_free(window);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window__buffers__do_not_overlap_and_fill_gaps),
        cmocka_unit_test(test_window__full__no_buffer),
        cmocka_unit_test(test_window__attached_and_detached__buffers_hold_what_they_held),
        cmocka_unit_test(test_window__descriptor_that_cannot_be_mapped__nothing_changes),
        cmocka_unit_test(test_window__memory_that_can_be_taken_away__not_mapped),
        cmocka_unit_test(test_window__places__found_of_the_owner_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
