/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/arena.h"

#define GROUP_BYTES ((uint64_t)MKV_SLAB_GROUP_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES)

static struct mkv_arena *make(uint64_t bytes, uint64_t metadata_bytes) {
    struct mkv_backend_error error;
    struct mkv_arena *arena = NULL;
    struct mkv_arena_options options = {bytes, metadata_bytes, MKV_HUGEPAGES_OFF};
    assert_true(mkv_arena_create(&options, &arena, &error));
    return arena;
}

static void test_arena__slabs__lie_at_the_stride_and_are_aligned(void **state) {
    (void)state;
    struct mkv_arena *arena = make(GROUP_BYTES + 10 * MKV_SLAB_UNIT_STRIDE_BYTES + 5, 0);
    assert_int_equal(mkv_arena_unit_count(arena), MKV_SLAB_GROUP_UNITS + 10);
    const uint8_t *first = mkv_arena_slab(arena, (struct mkv_slab){0});
    assert_int_equal((uintptr_t)first % MKV_UNIT_BYTES, 0);
    for (uint32_t i = 0; i < MKV_SLAB_GROUP_UNITS + 10; i++) {
        assert_ptr_equal(mkv_arena_slab(arena, (struct mkv_slab){i}), first + (size_t)i * 69632);
    }
    mkv_arena_destroy(arena);
}

static void test_arena__metadata__pieces_follow_the_slabs(void **state) {
    (void)state;
    struct mkv_arena *arena = make(GROUP_BYTES + 7 * MKV_UNIT_BYTES, 7 * MKV_UNIT_BYTES - 100);
    assert_int_equal(mkv_arena_unit_count(arena), MKV_SLAB_GROUP_UNITS);
    uint8_t *slabs = mkv_arena_slab(arena, (struct mkv_slab){0});
    uint8_t *first = mkv_arena_take(arena, MKV_UNIT_BYTES + 1);
    uint8_t *second = mkv_arena_take(arena, 5 * MKV_UNIT_BYTES);
    assert_ptr_equal(first, slabs + GROUP_BYTES);
    assert_ptr_equal(second, first + 2 * MKV_UNIT_BYTES);
    assert_int_equal(second[5 * MKV_UNIT_BYTES - 1], 0);
    memset(first, 0xff, 7 * MKV_UNIT_BYTES);
    mkv_arena_destroy(arena);
}

static void test_arena__too_small_for_a_block__refuses_with_the_least(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_arena *arena = NULL;
    struct mkv_arena_options options = {64 * MKV_MIB, 40 * MKV_MIB, MKV_HUGEPAGES_OFF};
    assert_false(mkv_arena_create(&options, &arena, &error));
    assert_null(arena);
    assert_int_equal(error.failure, MKV_BACKEND_CONFIGURATION);
    assert_string_equal(error.text,
                        "memory.max_size 64MiB does not hold the tables of the drives (40MiB) and "
                        "one block of 32 MiB. Set it to at least 74MiB");
    options.bytes = 74 * MKV_MIB;
    assert_true(mkv_arena_create(&options, &arena, &error));
    assert_int_equal(mkv_arena_unit_count(arena), MKV_SLAB_GROUP_UNITS);
    mkv_arena_destroy(arena);
}

static void test_arena__too_large__refuses(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_arena *arena = NULL;
    struct mkv_arena_options options = {4096 * MKV_GIB + MKV_UNIT_BYTES, 0, MKV_HUGEPAGES_OFF};
    assert_false(mkv_arena_create(&options, &arena, &error));
    assert_int_equal(error.failure, MKV_BACKEND_CONFIGURATION);
    assert_non_null(strstr(error.text, "Set it to at most 4TiB"));
}

static void test_arena__require__refusal_has_the_whole_size(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_arena *arena = NULL;
    struct mkv_arena_options options = {2048 * MKV_GIB, MKV_GIB, MKV_HUGEPAGES_REQUIRE};
    assert_false(mkv_arena_create(&options, &arena, &error));
    assert_non_null(strstr(error.text, "memory.max_size 2TiB needs 1048576 huge pages of 2 MiB, "));
    assert_non_null(strstr(error.text, "Run: sysctl -w vm.nr_hugepages=1048576, or set "
                                       "memory.hugepages: auto"));
}

static void test_arena__hugepages_fell_back__only_from_auto(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_arena *arena = make(GROUP_BYTES, 0);
    assert_false(mkv_arena_hugepages_fell_back(arena));
    mkv_arena_destroy(arena);
    struct mkv_arena_options options = {GROUP_BYTES, 0, MKV_HUGEPAGES_AUTO};
    assert_true(mkv_arena_create(&options, &arena, &error));
    assert_int_equal(mkv_arena_hugepages_fell_back(arena), !mkv_arena_map(arena)->huge);
    assert_true(mkv_arena_map(arena)->bytes >= GROUP_BYTES);
    mkv_arena_destroy(arena);
}

/* ---- registration --------------------------------------------------------------------------- */

static void test_arena__registered__found_within_one_registration_only(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_ring *ring;
    struct mkv_arena_buffers *buffers;
    uint64_t metadata_bytes = 16 * MKV_UNIT_BYTES;
    struct mkv_arena *arena = make(GROUP_BYTES + metadata_bytes, metadata_bytes);
    assert_int_equal(mkv_arena_registration_count(arena), 2);
    struct mkv_ring_options options = {.entries = 8, .buffers_max = 2};
    assert_true(mkv_ring_create(&options, &ring, &error));
    assert_true(mkv_arena_register(arena, ring, &buffers, &error));
    assert_int_equal(mkv_arena_buffers_error(buffers), 0);

    uint8_t *slabs = mkv_arena_slab(arena, (struct mkv_slab){0});
    uint8_t *metadata = mkv_arena_take(arena, metadata_bytes);
    static const uint8_t elsewhere[8];
    const struct {
        const uint8_t *bytes;
        size_t byte_count;
        int32_t place;
    } cases[] = {
        {slabs, 1, 0},
        {slabs, GROUP_BYTES, 0},
        {slabs, GROUP_BYTES + 1, MKV_RING_NOT_REGISTERED},
        {slabs + GROUP_BYTES - 4096, 4096, 0},
        {slabs + GROUP_BYTES - 4096, 8192, MKV_RING_NOT_REGISTERED},
        {metadata, metadata_bytes, 1},
        {metadata + metadata_bytes - 1, 1, 1},
        {metadata + metadata_bytes - 1, 2, MKV_RING_NOT_REGISTERED},
        {metadata + metadata_bytes, 1, MKV_RING_NOT_REGISTERED},
        {slabs - 1, 1, MKV_RING_NOT_REGISTERED},
        {elsewhere, 1, MKV_RING_NOT_REGISTERED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mkv_arena_buffers_find(buffers, cases[i].bytes, cases[i].byte_count),
                         cases[i].place);
    }
    mkv_ring_destroy(ring);
    mkv_arena_buffers_free(buffers);
    mkv_arena_destroy(arena);
}

static void test_arena__parts__share_names_and_register_their_own(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_ring *ring;
    struct mkv_arena_buffers *buffers;
    const uint64_t metadata_bytes = 16 * MKV_UNIT_BYTES;
    struct mkv_arena *arena = make(3 * GROUP_BYTES + metadata_bytes, metadata_bytes);
    const uint32_t group = MKV_SLAB_GROUP_UNITS;
    struct mkv_arena *first = mkv_arena_part(arena, 0, group);
    struct mkv_arena *second = mkv_arena_part(arena, group, 2 * group);
    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal(mkv_arena_unit_count(first), group);
    assert_int_equal(mkv_arena_unit_count(second), 2 * group);
    uint8_t *base = mkv_arena_slab(arena, (struct mkv_slab){0});
    assert_int_equal(mkv_arena_unit_first(second), group);
    const struct mkv_slab theirs = {group + 7};
    assert_ptr_equal(mkv_arena_slab(first, theirs), mkv_arena_slab(arena, theirs));
    assert_ptr_equal(mkv_arena_slab(second, theirs), mkv_arena_slab(arena, theirs));
    /* Metadata is one store. */
    uint8_t *piece = mkv_arena_take(first, 1);
    assert_ptr_equal(mkv_arena_take(second, 1), piece + MKV_UNIT_BYTES);

    assert_int_equal(mkv_arena_registration_count(second), 2);
    struct mkv_ring_options options = {.entries = 8, .buffers_max = 2};
    assert_true(mkv_ring_create(&options, &ring, &error));
    assert_true(mkv_arena_register(second, ring, &buffers, &error));
    assert_int_equal(mkv_arena_buffers_error(buffers), 0);
    const struct {
        const uint8_t *bytes;
        size_t byte_count;
        int32_t place;
    } cases[] = {
        {base, 1, MKV_RING_NOT_REGISTERED},
        {base + GROUP_BYTES - 1, 1, MKV_RING_NOT_REGISTERED},
        {base + GROUP_BYTES, 2 * GROUP_BYTES, 0},
        {base + 3 * GROUP_BYTES - 1, 1, 0},
        {base + 3 * GROUP_BYTES - 1, 2, MKV_RING_NOT_REGISTERED},
        {piece, metadata_bytes, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mkv_arena_buffers_find(buffers, cases[i].bytes, cases[i].byte_count),
                         cases[i].place);
    }
    mkv_ring_destroy(ring);
    mkv_arena_buffers_free(buffers);
    mkv_arena_destroy(first);
    mkv_arena_destroy(second);
    mkv_arena_destroy(arena);
}

/* As when RLIMIT_MEMLOCK is reached: what came before stays registered. */
static void test_arena__registration_refused__rest_is_served_plainly(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_ring *ring;
    struct mkv_arena_buffers *buffers;
    struct mkv_arena *arena = make(GROUP_BYTES + MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    struct mkv_ring_options options = {.entries = 8, .buffers_max = 1};
    assert_true(mkv_ring_create(&options, &ring, &error));
    assert_true(mkv_arena_register(arena, ring, &buffers, &error));
    assert_int_not_equal(mkv_arena_buffers_error(buffers), 0);
    const uint8_t *slabs = mkv_arena_slab(arena, (struct mkv_slab){0});
    assert_int_equal(mkv_arena_buffers_find(buffers, slabs, 4096), 0);
    assert_int_equal(mkv_arena_buffers_find(buffers, mkv_arena_take(arena, 1), 4096),
                     MKV_RING_NOT_REGISTERED);
    mkv_ring_destroy(ring);
    mkv_arena_buffers_free(buffers);
    mkv_arena_destroy(arena);
}

/* More than one registration of slabs: the border lies between groups. */
static void test_arena__more_than_a_gibibyte__slabs_lie_in_one_registration(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_arena *arena = NULL;
    uint64_t registration_bytes =
        (uint64_t)MKV_ARENA_REGISTRATION_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES;
    assert_int_equal(MKV_ARENA_REGISTRATION_UNITS, 15360);
    struct mkv_arena_options options = {registration_bytes + GROUP_BYTES, 0, MKV_HUGEPAGES_AUTO};
    if (!mkv_arena_create(&options, &arena, &error)) {
        print_message("skipped: %s\n", error.text);
        skip();
    }
    struct mkv_ring *ring;
    struct mkv_arena_buffers *buffers;
    struct mkv_ring_options ring_options = {.entries = 8,
                                            .buffers_max = mkv_arena_registration_count(arena)};
    assert_int_equal(ring_options.buffers_max, 2);
    assert_true(mkv_ring_create(&ring_options, &ring, &error));
    assert_true(mkv_arena_register(arena, ring, &buffers, &error));
    if (mkv_arena_buffers_error(buffers) == 0) {
        for (uint32_t unit = 0; unit < mkv_arena_unit_count(arena); unit += MKV_SLAB_GROUP_UNITS) {
            const uint8_t *slab = mkv_arena_slab(arena, (struct mkv_slab){unit});
            int32_t expected = unit < MKV_ARENA_REGISTRATION_UNITS ? 0 : 1;
            assert_int_equal(mkv_arena_buffers_find(buffers, slab, GROUP_BYTES), expected);
        }
    }
    mkv_ring_destroy(ring);
    mkv_arena_buffers_free(buffers);
    mkv_arena_destroy(arena);
}

/* ---- memory that the kernel does not give back ---------------------------------------------- */

static void note_result(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    (void)completion;
    (void)flags;
    assert_int_equal(result, MKV_UNIT_BYTES);
}

/* What the kernel brings late goes to pages that nobody has any more. */
static void test_arena__exchanged__late_bytes_are_not_seen(void **state) {
    (void)state;
    struct mkv_backend_error error;
    struct mkv_ring *ring;
    struct mkv_arena_buffers *buffers;
    struct mkv_arena *arena = make(GROUP_BYTES, 0);
    struct mkv_ring_options options = {.entries = 8, .buffers_max = 2};
    assert_true(mkv_ring_create(&options, &ring, &error));
    assert_true(mkv_arena_register(arena, ring, &buffers, &error));
    uint8_t *slab = mkv_arena_slab(arena, (struct mkv_slab){3});
    const int32_t place = mkv_arena_buffers_find(buffers, slab, MKV_UNIT_BYTES);
    assert_int_not_equal(place, MKV_RING_NOT_REGISTERED);
    memset(slab, 0x61, 3 * MKV_UNIT_BYTES);
    assert_true(mkv_arena_exchange(arena, slab + MKV_UNIT_BYTES, MKV_UNIT_BYTES));
    for (uint32_t at = 0; at < 3 * MKV_UNIT_BYTES; at++) {
        assert_int_equal(slab[at], 0x61);
    }
    const int zeroes = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    struct mkv_ring_completion completion = {.done = note_result};
    io_uring_prep_read_fixed(mkv_ring_sqe(ring, &completion), zeroes, slab + MKV_UNIT_BYTES,
                             MKV_UNIT_BYTES, 0, place);
    assert_int_equal(mkv_ring_wait(ring, MKV_RING_WAIT_FOREVER), 1);
    close(zeroes);
    assert_int_equal(slab[MKV_UNIT_BYTES], 0x61);
    assert_int_equal(mkv_arena_buffers_find(buffers, slab, MKV_UNIT_BYTES), place);
    assert_int_equal(mkv_arena_buffers_find(buffers, slab, MKV_UNIT_BYTES + 1),
                     MKV_RING_NOT_REGISTERED);
    assert_int_equal(mkv_arena_buffers_find(buffers, slab + 2 * MKV_UNIT_BYTES - 1, 1),
                     MKV_RING_NOT_REGISTERED);
    assert_int_equal(mkv_arena_buffers_find(buffers, slab + 2 * MKV_UNIT_BYTES, 8), place);
    mkv_ring_destroy(ring);
    mkv_arena_buffers_free(buffers);
    mkv_arena_destroy(arena);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__slabs__lie_at_the_stride_and_are_aligned),
        cmocka_unit_test(test_arena__metadata__pieces_follow_the_slabs),
        cmocka_unit_test(test_arena__too_small_for_a_block__refuses_with_the_least),
        cmocka_unit_test(test_arena__too_large__refuses),
        cmocka_unit_test(test_arena__require__refusal_has_the_whole_size),
        cmocka_unit_test(test_arena__hugepages_fell_back__only_from_auto),
        cmocka_unit_test(test_arena__registered__found_within_one_registration_only),
        cmocka_unit_test(test_arena__parts__share_names_and_register_their_own),
        cmocka_unit_test(test_arena__registration_refused__rest_is_served_plainly),
        cmocka_unit_test(test_arena__more_than_a_gibibyte__slabs_lie_in_one_registration),
        cmocka_unit_test(test_arena__exchanged__late_bytes_are_not_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
