/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/listing.h"

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/sim/test.h"

/*
 * A real volume on a simulated drive, with two blocks in it. The listing asks it, and what it
 * answers is handed on as it is, or with one thing made wrong.
 */

#define KEYS 4u

enum lie {
    LIE_NONE = 0,
    LIE_LACKS_ONE,
    LIE_TWICE,
    LIE_OTHER_SLOT,
    LIE_OTHER_KEY,
    LIE_OTHER_LENGTH,
    LIE_DISORDER,
    LIE_OTHER_COUNT,
    LIE_UNAVAILABLE_ONCE,
};

static struct bench {
    struct mkv_shape shape;
    struct mkv_trace trace;
    struct mkv_fuse fuse;
    struct mkv_guard guard;
    struct mkv_content content;
    struct mkv_node node;
    struct mkv_faults faults; /* none */
    struct mkv_listing listing;
    uint8_t *slab;
    uint64_t now_ns;
    struct mkv_message answer;
    enum lie lie;
    uint32_t listings_asked;
} bench;

static uint32_t entry_bytes(const uint8_t *entry) {
    return MKV_SCAN_ENTRY_BYTES + mkv_load_u16(entry + 12);
}

/* The answer of a volume that is wrong. */
static void answer_wrongly(struct mkv_message message, const uint8_t *data) {
    static uint8_t wrong[16384];
    memcpy(wrong, data, message.data_bytes);
    const uint32_t first = entry_bytes(wrong);
    switch (bench.lie) {
    case LIE_LACKS_ONE:
        message.count--;
        message.data_bytes = first;
        break;
    case LIE_TWICE: /* once more, under the key that follows */
        memcpy(wrong + first, wrong, 8);
        break;
    case LIE_OTHER_SLOT:
        mkv_store_u32(wrong + 4, mkv_load_u32(wrong + 4) + 1);
        break;
    case LIE_OTHER_KEY:
        wrong[MKV_SCAN_ENTRY_BYTES]++;
        break;
    case LIE_OTHER_LENGTH:
        mkv_store_u16(wrong + 8, (uint16_t)(mkv_load_u16(wrong + 8) + 1));
        break;
    case LIE_DISORDER:
        memcpy(wrong, data + first, message.data_bytes - first);
        memcpy(wrong + (message.data_bytes - first), data, first);
        break;
    case LIE_OTHER_COUNT:
        message.count++;
        break;
    case LIE_UNAVAILABLE_ONCE:
        bench.lie = LIE_NONE;
        message.status = MKV_STATUS_UNAVAILABLE;
        message.data_bytes = 0;
        break;
    case LIE_NONE:
        break;
    }
    mkv_listing_answer(&bench.listing, &message, wrong, bench.now_ns);
}

static void on_message(void *context, uint32_t volume, const struct mkv_message *message,
                       const uint8_t *data) {
    (void)context;
    (void)volume;
    if (message->front_op.index != MKV_LISTING_OP) {
        bench.answer = *message;
        return;
    }
    bench.listings_asked++;
    answer_wrongly(*message, data);
}

static void on_event(void *context, uint32_t volume, const struct mkv_event *event) {
    (void)context;
    (void)volume;
    (void)event;
}

static void settle(void) {
    while (mkv_drive_sim_in_flight(bench.node.drive) > 0 ||
           mkv_volume_has_work(bench.node.volume)) {
        bench.now_ns += 1000;
        if (mkv_volume_has_work(bench.node.volume)) {
            mkv_node_tick(&bench.node, bench.now_ns);
        } else {
            mkv_node_complete(&bench.node, bench.now_ns);
        }
    }
}

static void send(struct mkv_message message, const uint8_t *data, uint32_t data_bytes) {
    message.front_op = (struct mkv_op_id){1, 1};
    message.data_bytes = data_bytes;
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = data, .data_bytes = data_bytes, .message = message};
    (void)mkv_node_step(&bench.node, &input, bench.now_ns);
    settle();
}

static void put(uint32_t key) {
    const struct mkv_content_key *content_key = &bench.content.keys[key];
    const uint32_t length = mkv_content_length(&bench.content, key, 1);
    uint64_t sum = 0;
    mkv_content_fill(&bench.content, key, 1, 0, bench.slab + MKV_UNIT_BYTES, length);
    mkv_chunk_sums(bench.slab + MKV_UNIT_BYTES, length, &sum);
    send((struct mkv_message){.kind = MKV_MESSAGE_PUT_BEGIN,
                              .length = length,
                              .root = mkv_root_of_sums(length, &sum)},
         content_key->bytes, content_key->byte_count);
    uint8_t sums[8];
    mkv_store_u64(sums, sum);
    send((struct mkv_message){.kind = MKV_MESSAGE_PUT_WRITE, .volume_op = bench.answer.volume_op},
         sums, 8 * mkv_chunk_count(length));
    assert_int_equal(bench.answer.status, MKV_STATUS_OK);
}

static void make(enum lie lie) {
    struct mkv_memory *memory = test_memory();
    memset(&bench, 0, sizeof bench);
    bench.shape = (struct mkv_shape){
        .seed = 1,
        .volume_count = 1,
        .geometry = {.ring_blocks = 8,
                     .tenant_units = 1,
                     .page_count = 4,
                     .directory_units = 16,
                     .extent_units = 8,
                     .extent_count = 4},
        .window_units = 4,
        .idle_ns = 1000000000,
        .length_max = 3 * MKV_UNIT_BYTES,
    };
    bench.shape.geometry.capacity_units = 16 + 16 + 12 + 16 + 32 + 9;
    bench.shape.profile = (struct mkv_drive_profile){
        .capacity_units = (uint32_t)bench.shape.geometry.capacity_units,
        .volatile_cache = true,
        .tear_bytes = MKV_UNIT_BYTES,
        .read_ns = 1,
        .write_ns = 1,
        .flush_ns = 1,
    };
    mkv_trace_init(&bench.trace, 1, NULL, 0);
    mkv_content_init(&bench.content, memory, 1, KEYS, 0, 100, bench.shape.length_max);
    const size_t slab_bytes = MKV_UNIT_BYTES + bench.shape.length_max;
    bench.slab = mkv_memory_take(memory, slab_bytes, MKV_UNIT_BYTES);
    struct mkv_node_options options = {
        .ops_max = 8,
        .shape = &bench.shape,
        .content = &bench.content,
        .slabs = bench.slab,
        .slabs_bytes = slab_bytes,
        .slab_stride = slab_bytes,
        .guard = &bench.guard,
        .trace = &bench.trace,
        .fuse = &bench.fuse,
        .on_message = on_message,
        .lives = &bench,
        .on_event = on_event,
    };
    mkv_random_seed(&options.drive_random, 1, MKV_CONCERN_DRIVE);
    struct mkv_random random;
    mkv_random_seed(&random, 1, MKV_CONCERN_FAULTS);
    mkv_faults_init(&bench.faults, memory, &bench.shape.faults, &bench.shape.geometry,
                    MKV_UNIT_BYTES, &random);
    options.faults = &bench.faults;
    mkv_node_init(&bench.node, memory, &options);
    mkv_listing_init(&bench.listing, &bench.node, &bench.faults);
    mkv_node_start(&bench.node, -1, MKV_OPENING_SOUND);
    (void)mkv_node_admin(&bench.node, MKV_ADMIN_FORMAT, 0);
    settle();
    (void)mkv_node_admin(&bench.node, MKV_ADMIN_OPEN, bench.now_ns);
    settle();
    put(0);
    put(1);
    bench.lie = lie;
}

static void list(void) {
    mkv_listing_begin(&bench.listing);
    for (uint32_t turn = 0; turn < 1000 && !mkv_listing_pump(&bench.listing, bench.now_ns);
         turn++) {
        settle();
        bench.now_ns += 1000;
    }
    assert_true(bench.listing.done);
}

static void test_listing__of_a_right_volume__no_oracle_fires(void **state) {
    (void)state;
    make(LIE_NONE);
    list();
    assert_int_equal(bench.listings_asked, 1);
    assert_int_equal(bench.listing.listings, 1);
    assert_true(bench.listing.evaluations >= 4);
}

static void test_listing__unavailable__is_asked_for_again(void **state) {
    (void)state;
    make(LIE_UNAVAILABLE_ONCE);
    list();
    assert_int_equal(bench.listings_asked, 2);
    assert_int_equal(bench.listing.listings, 1);
}

static void test_listing__lacks_a_live_block__fires_o1(void **state) {
    (void)state;
    make(LIE_LACKS_ONE);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, list());
}

static void test_listing__names_what_is_not_so__fires_o2(void **state) {
    (void)state;
    static const enum lie lies[] = {LIE_TWICE, LIE_OTHER_SLOT, LIE_OTHER_KEY, LIE_OTHER_LENGTH,
                                    LIE_DISORDER};
    for (uint32_t index = 0; index < sizeof lies / sizeof lies[0]; index++) {
        make(lies[index]);
        EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, list());
    }
}

static void test_listing__counts_wrong_or_is_answered_unasked__fires_o10(void **state) {
    (void)state;
    make(LIE_OTHER_COUNT);
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, list());
    make(LIE_NONE);
    const struct mkv_message message = {.kind = MKV_MESSAGE_SCAN_DONE};
    EXPECT_FAILURE(MKV_ORACLE_ANSWERS, mkv_listing_answer(&bench.listing, &message, NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listing__of_a_right_volume__no_oracle_fires),
        cmocka_unit_test(test_listing__unavailable__is_asked_for_again),
        cmocka_unit_test(test_listing__lacks_a_live_block__fires_o1),
        cmocka_unit_test(test_listing__names_what_is_not_so__fires_o2),
        cmocka_unit_test(test_listing__counts_wrong_or_is_answered_unasked__fires_o10),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
