/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every drive must do that stands behind struct mkv_drive_ops, as tests: a backend's test file
 * builds a drive, describes it in a struct drive_conformance, and runs DRIVE_CONFORMANCE_TESTS on
 * it. The tests use the whole drive and all memory, and leave nothing in flight.
 *
 *     static const struct CMUnitTest tests[] = {DRIVE_CONFORMANCE_TESTS};
 *     // and, where `reopen` is given, DRIVE_CONFORMANCE_REOPENING_TESTS
 *     cmocka_run_group_tests_name("drive on a file", tests, set_up, tear_down);
 *
 * where set_up leaves a struct drive_conformance * in *state.
 *
 * Not responsible for: faults that only a certain medium can have.
 */
#ifndef MKV_TESTS_DRIVE_CONFORMANCE_H
#define MKV_TESTS_DRIVE_CONFORMANCE_H

#include "backends/drive.h"

/* Slab memory that the tests need, in stride units: two slabs of the largest block, so that
 * a test may write from one and read into the other. */
#define DRIVE_CONFORMANCE_SLAB_UNITS 1024u
#define DRIVE_CONFORMANCE_META_BYTES (2u * 1024u * 1024u)
#define DRIVE_CONFORMANCE_CAPACITY_UNITS_MIN (3u * 8192u)
/* Operations that the tests have in flight at most; the drive queues those it has no room for. */
#define DRIVE_CONFORMANCE_OPERATIONS_MAX 256u

struct drive_conformance {
    struct mkv_drive *drive;
    uint8_t *slabs; /* the header unit of slab 0; the others follow at the stride of core/slab.h */
    uint8_t *meta;
    bool trims;               /* whether it takes trims */
    uint32_t block_bytes_max; /* that the tests write; 0: MKV_BLOCK_BYTES_MAX */
    /* Lets the drive make progress and deliver completions, waiting for a moment if there are
     * none. */
    void (*poll)(void *context);
    /* Closes the drive, and makes `drive` one that another process finds: what no flush covers may
     * be lost, and is where the medium can do that. Nothing is in flight. For the tests of
     * DRIVE_CONFORMANCE_REOPENING_TESTS alone. */
    void (*reopen)(void *context);
    void *context;
};

void test_drive__metadata_written__reads_back_the_same(void **state);
void test_drive__slot_written__reads_back_with_header_and_sums(void **state);
void test_drive__slot_of_any_units__reads_back_the_same(void **state);
void test_drive__payload_not_whole_units__tail_is_zero_on_the_drive(void **state);
void test_drive__inline_payload__lies_in_the_header_unit(void **state);
void test_drive__one_unit_without_payload__header_is_written_as_given(void **state);
void test_drive__leading_part_read__sums_of_whole_chunks_only(void **state);
void test_drive__payload_range_read__sums_without_header(void **state);
void test_drive__random_header_read__completes_in_bounds(void **state);
void test_drive__overwritten__last_content_stays(void **state);
void test_drive__last_unit__is_usable(void **state);
void test_drive__read_beyond_the_end__device_error(void **state);
void test_drive__submit__never_completes_inside(void **state);
void test_drive__flush__completes_once_with_its_op(void **state);
void test_drive__many_in_flight__each_completes_once(void **state);
void test_drive__submitted_in_a_callback__completes(void **state);
void test_drive__counters__agree_with_what_was_done(void **state);
void test_drive__trimmed__neighbours_stay_and_it_is_written_again(void **state);
void test_drive__trims_among_other_operations__each_completes_once(void **state);

/* In drive_conformance_order.c. */
void test_drive__slots_in_flight_together__each_has_its_own_bytes(void **state);
void test_drive__written__memory_is_left_as_it_was(void **state);
void test_drive__slot_at_the_very_end__reads_back_the_same(void **state);
void test_drive__trims_up_to_the_end__rest_stays_and_all_is_written_again(void **state);
void test_drive__random_operations__agree_with_a_model(void **state);
void test_drive__written_and_flushed__is_there_when_opened_again(void **state);
void test_drive__flush_among_writes__covers_what_was_completed(void **state);
void test_drive__trimmed_then_written__trim_does_not_come_late(void **state);
void test_drive__opened_again__agrees_with_a_model(void **state);

/* clang-format off */
#define DRIVE_CONFORMANCE_TESTS                                                                    \
    cmocka_unit_test(test_drive__metadata_written__reads_back_the_same),                           \
    cmocka_unit_test(test_drive__slot_written__reads_back_with_header_and_sums),                   \
    cmocka_unit_test(test_drive__slot_of_any_units__reads_back_the_same),                          \
    cmocka_unit_test(test_drive__payload_not_whole_units__tail_is_zero_on_the_drive),              \
    cmocka_unit_test(test_drive__inline_payload__lies_in_the_header_unit),                         \
    cmocka_unit_test(test_drive__one_unit_without_payload__header_is_written_as_given),            \
    cmocka_unit_test(test_drive__leading_part_read__sums_of_whole_chunks_only),                    \
    cmocka_unit_test(test_drive__payload_range_read__sums_without_header),                         \
    cmocka_unit_test(test_drive__random_header_read__completes_in_bounds),                         \
    cmocka_unit_test(test_drive__overwritten__last_content_stays),                                 \
    cmocka_unit_test(test_drive__last_unit__is_usable),                                            \
    cmocka_unit_test(test_drive__read_beyond_the_end__device_error),                               \
    cmocka_unit_test(test_drive__submit__never_completes_inside),                                  \
    cmocka_unit_test(test_drive__flush__completes_once_with_its_op),                               \
    cmocka_unit_test(test_drive__many_in_flight__each_completes_once),                             \
    cmocka_unit_test(test_drive__submitted_in_a_callback__completes),                              \
    cmocka_unit_test(test_drive__counters__agree_with_what_was_done),                              \
    cmocka_unit_test(test_drive__trimmed__neighbours_stay_and_it_is_written_again),                \
    cmocka_unit_test(test_drive__trims_among_other_operations__each_completes_once),               \
    cmocka_unit_test(test_drive__slots_in_flight_together__each_has_its_own_bytes),                \
    cmocka_unit_test(test_drive__written__memory_is_left_as_it_was),                               \
    cmocka_unit_test(test_drive__slot_at_the_very_end__reads_back_the_same),                       \
    cmocka_unit_test(test_drive__trims_up_to_the_end__rest_stays_and_all_is_written_again),        \
    cmocka_unit_test(test_drive__random_operations__agree_with_a_model)

#define DRIVE_CONFORMANCE_REOPENING_TESTS                                                          \
    cmocka_unit_test(test_drive__written_and_flushed__is_there_when_opened_again),                 \
    cmocka_unit_test(test_drive__flush_among_writes__covers_what_was_completed),                   \
    cmocka_unit_test(test_drive__trimmed_then_written__trim_does_not_come_late),                   \
    cmocka_unit_test(test_drive__opened_again__agrees_with_a_model)
/* clang-format on */

/* ---- for tests beside the suite ------------------------------------------------------------- */

/* What a completion said, kept after its callback. */
struct drive_conformance_done {
    struct mkv_op_id op;
    enum mkv_io_result result;
    const uint8_t *header;
    uint32_t sum_count;
    uint64_t sums[256];
};

/* Submits one effect, waits for its completion, and says what it was. */
struct drive_conformance_done drive_conformance_run(struct drive_conformance *target,
                                                    const struct mkv_effect *effect);
struct mkv_effect drive_conformance_meta(enum mkv_effect_kind kind, uint64_t lba_unit,
                                         uint32_t unit_count, uint64_t meta_offset);
uint8_t *drive_conformance_slab(const struct drive_conformance *target, struct mkv_slab slab);
/* Waits until nothing is in flight. */
void drive_conformance_drain(struct drive_conformance *target);

#endif
