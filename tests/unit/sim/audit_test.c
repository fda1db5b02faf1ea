/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/audit.h"

#include "core/bytes.h"
#include "core/hash.h"
#include "core/slot_table_internal.h"
#include "core/volume_internal.h"
#include "tests/unit/sim/test.h"

/*
 * A real volume on a simulated drive, with one block in it, recovered by a second process; then one
 * thing is made wrong, in the volume, on the drive, or in what the audit expects.
 */

#define KEYS 4u

struct bench {
    struct mkv_shape shape;
    struct mkv_trace trace;
    struct mkv_fuse fuse;
    struct mkv_guard guard;
    struct mkv_faults faults;
    struct mkv_content content;
    struct mkv_model model;
    struct mkv_node node;
    struct mkv_audit audit;
    uint8_t *slab;
    uint64_t now_ns;
    uint32_t expiry_s; /* of the puts that follow */
    enum mkv_event_kind event;
    struct mkv_message answer;
};

static void on_message(void *context, uint32_t volume, const struct mkv_message *message,
                       const uint8_t *data) {
    struct bench *bench = context;
    (void)volume;
    (void)data;
    bench->answer = *message;
}

static void on_event(void *context, uint32_t volume, const struct mkv_event *event) {
    struct bench *bench = context;
    (void)volume;
    /* What the directory says comes when it likes. */
    if (event->kind != MKV_EVENT_DIRECTORY_REBUILT) {
        bench->event = event->kind;
    }
}

static void settle(struct bench *bench) {
    while (mkv_drive_sim_in_flight(bench->node.drive) > 0 ||
           mkv_volume_has_work(bench->node.volume)) {
        bench->now_ns += 1000;
        if (mkv_volume_has_work(bench->node.volume)) {
            mkv_node_tick(&bench->node, bench->now_ns);
        } else {
            mkv_node_complete(&bench->node, bench->now_ns);
        }
    }
}

static void command(struct bench *bench, enum mkv_admin_command admin,
                    enum mkv_event_kind expected) {
    assert_int_equal(mkv_node_admin(&bench->node, admin, bench->now_ns), MKV_OK);
    settle(bench);
    assert_int_equal(bench->event, expected);
}

static void send(struct bench *bench, struct mkv_message message, const uint8_t *data,
                 uint32_t data_bytes) {
    message.front_op = (struct mkv_op_id){1, 1};
    message.data_bytes = data_bytes;
    struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE, .data = data, .data_bytes = data_bytes, .message = message};
    (void)mkv_node_step(&bench->node, &input, bench->now_ns);
    settle(bench);
}

/* Stores a version of a key, and tells model and watch as a world does. */
static void put(struct bench *bench, uint32_t key, uint32_t version) {
    const struct mkv_content_key *content_key = &bench->content.keys[key];
    const uint32_t length = mkv_content_length(&bench->content, key, version);
    uint64_t sum = 0;
    mkv_content_fill(&bench->content, key, version, 0, bench->slab + MKV_UNIT_BYTES, length);
    mkv_chunk_sums(bench->slab + MKV_UNIT_BYTES, length, &sum);
    const uint32_t place = mkv_model_invoke(&bench->model, key, MKV_MODEL_REPLACE, version);
    mkv_model_expires(&bench->model, key, place, bench->expiry_s);
    send(bench,
         (struct mkv_message){.kind = MKV_MESSAGE_PUT_BEGIN,
                              .flags = MKV_PUT_REPLACE,
                              .length = length,
                              .expiry_s = bench->expiry_s,
                              .root = mkv_root_of_sums(length, &sum)},
         content_key->bytes, content_key->byte_count);
    assert_int_equal(bench->answer.kind, MKV_MESSAGE_PUT_READY);
    uint8_t sums[8];
    mkv_store_u64(sums, sum);
    send(bench,
         (struct mkv_message){.kind = MKV_MESSAGE_PUT_WRITE, .volume_op = bench->answer.volume_op},
         sums, 8 * mkv_chunk_count(length));
    assert_int_equal(bench->answer.kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(bench->answer.status, MKV_STATUS_OK);
    mkv_model_answer(&bench->model, key, place, MKV_MODEL_OK);
    bench->audit.mutated = true;
}

static void reopen(struct bench *bench) {
    mkv_node_crash(&bench->node, MKV_CRASH_POWER, MKV_KEEP_NONE);
    mkv_model_settle(&bench->model);
    mkv_guard_reset(&bench->guard);
    mkv_node_start(&bench->node, -1, MKV_OPENING_SOUND);
    command(bench, MKV_ADMIN_OPEN, MKV_EVENT_OPENED);
}

/* A version whose payload stands behind its header. */
static uint32_t long_version(const struct bench *bench, uint32_t key) {
    uint32_t version = 1;
    while (mkv_content_length(&bench->content, key, version) <= MKV_INLINE_BYTES_MAX) {
        version++;
    }
    return version;
}

/* Key 0 holds a block; the volume is open again, and has not been audited since. */
static struct bench *bench_make(void) {
    struct mkv_memory *memory = test_memory();
    struct bench *bench = mkv_memory_take(memory, sizeof *bench, 64);
    memset(bench, 0, sizeof *bench);
    bench->shape = (struct mkv_shape){
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
    bench->shape.geometry.capacity_units = 16 + 16 + 12 + 16 + 32 + 9;
    bench->shape.profile = (struct mkv_drive_profile){
        .capacity_units = (uint32_t)bench->shape.geometry.capacity_units,
        .volatile_cache = true,
        .tear_bytes = MKV_UNIT_BYTES,
        .read_ns = 1,
        .write_ns = 1,
        .flush_ns = 1,
    };
    mkv_trace_init(&bench->trace, 1, NULL, 0);
    mkv_content_init(&bench->content, memory, 1, KEYS, 0, MKV_KEY_BYTES_MAX,
                     bench->shape.length_max);
    mkv_model_init(&bench->model, memory, KEYS, true);
    const size_t slab_bytes = MKV_UNIT_BYTES + bench->shape.length_max;
    bench->slab = mkv_memory_take(memory, slab_bytes, MKV_UNIT_BYTES);
    struct mkv_node_options options = {
        .ops_max = 8,
        .shape = &bench->shape,
        .content = &bench->content,
        .slabs = bench->slab,
        .slabs_bytes = slab_bytes,
        .slab_stride = slab_bytes,
        .guard = &bench->guard,
        .trace = &bench->trace,
        .fuse = &bench->fuse,
        .on_message = on_message,
        .lives = bench,
        .on_event = on_event,
    };
    mkv_random_seed(&options.drive_random, 1, MKV_CONCERN_DRIVE);
    mkv_faults_init(&bench->faults, memory, &bench->shape.faults, &bench->shape.geometry,
                    MKV_UNIT_BYTES, &options.drive_random);
    options.faults = &bench->faults;
    mkv_node_init(&bench->node, memory, &options);
    mkv_audit_init(&bench->audit, memory, &bench->node, &bench->content, &bench->model,
                   &bench->faults);
    mkv_node_start(&bench->node, -1, MKV_OPENING_SOUND);
    command(bench, MKV_ADMIN_FORMAT, MKV_EVENT_FORMATTED);
    command(bench, MKV_ADMIN_OPEN, MKV_EVENT_OPENED);
    mkv_audit_serving(&bench->audit);
    put(bench, 0, long_version(bench, 0));
    reopen(bench);
    return bench;
}

static void check_all(struct bench *bench) {
    mkv_audit_serving(&bench->audit);
    mkv_audit_present(&bench->audit, 1);
}

static uint64_t block_unit(const struct bench *bench) {
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    assert_true(mkv_volume_next_block(bench->node.volume, &cursor, &block));
    return block.lba.unit;
}

static void test_audit__recovered_as_it_was__no_oracle_fires(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    check_all(bench);
    reopen(bench);
    check_all(bench);
    assert_true(bench->audit.present == 1);
    assert_true(bench->audit.evaluations > 10);
}

static void test_audit__acknowledged_key_is_gone__fires_o1(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    const uint32_t place = mkv_model_invoke(&bench->model, 1, MKV_MODEL_PUT, 1);
    mkv_model_answer(&bench->model, 1, place, MKV_MODEL_OK);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, check_all(bench));
}

static void test_audit__bytes_that_no_put_brought__fire_o1(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    mkv_drive_sim_rot(bench->node.drive, block_unit(bench) + 1, 4);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, check_all(bench));
    bench = bench_make();
    mkv_drive_sim_rot(bench->node.drive, block_unit(bench), 8 * 20);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, check_all(bench));
}

static void test_audit__deleted_or_old_block_is_there__fires_o2(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    uint32_t place = mkv_model_invoke(&bench->model, 0, MKV_MODEL_DELETE, 0);
    mkv_model_answer(&bench->model, 0, place, MKV_MODEL_OK);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, check_all(bench));
    bench = bench_make();
    place = mkv_model_invoke(&bench->model, 0, MKV_MODEL_REPLACE, 77);
    mkv_model_answer(&bench->model, 0, place, MKV_MODEL_OK);
    EXPECT_FAILURE(MKV_ORACLE_NO_RETURN, check_all(bench));
}

static void test_audit__key_in_two_volumes__fires_o4(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    mkv_audit_serving(&bench->audit);
    const struct mkv_audit audits[2] = {bench->audit, bench->audit};
    EXPECT_FAILURE(MKV_ORACLE_SLOTS, mkv_audit_present(audits, 2));
}

static void test_audit__table_contradicts_itself__is_a_failed_assertion(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    volume_table(bench->node.volume)->live_count++;
    EXPECT_FAILURE(MKV_ORACLE_ASSERTION, check_all(bench));
}

static void test_audit__figures_that_do_not_add_up__fire_o5(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    /* A slot that is held by nobody: reserved, and no put goes on with it. */
    struct mkv_slot slot;
    const uint32_t units =
        mkv_slot_table_class_for(volume_table(bench->node.volume),
                                 mkv_content_length(&bench->content, 0, long_version(bench, 0)));
    assert_true(mkv_slot_table_reserve(volume_table(bench->node.volume), units, &slot));
    EXPECT_FAILURE(MKV_ORACLE_ACCOUNTING, check_all(bench));
}

static void test_audit__retired_slot_is_free_again__fires_o5(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    bench->node.watch.retired_count = 1;
    EXPECT_FAILURE(MKV_ORACLE_ACCOUNTING, check_all(bench));
}

static void test_audit__figures_that_went_back__fire_o7(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    bench->audit.stats.epoch = 99;
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, check_all(bench));
    bench = bench_make();
    bench->audit.stats.superblock_sequence = 99;
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, check_all(bench));
    bench = bench_make();
    bench->audit.stats.journal_head = 99;
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, check_all(bench));
    bench = bench_make();
    bench->audit.stats.generation_counter = UINT64_MAX;
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, check_all(bench));
}

static void test_audit__journal_that_is_no_prefix_of_what_was_issued__fires_o3(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    bench->node.watch.sequence_durable = 99;
    EXPECT_FAILURE(MKV_ORACLE_PREFIX, check_all(bench));
    bench = bench_make();
    bench->node.watch.ledger.head = 1; /* as if the block of the put had not been issued */
    EXPECT_FAILURE(MKV_ORACLE_PREFIX, check_all(bench));
}

static void test_audit__block_expires_while_its_volume_sleeps__may_be_there(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    check_all(bench);
    bench->expiry_s = (uint32_t)(mkv_wall_ms(bench->now_ns) / 1000) + 3600;
    put(bench, 1, long_version(bench, 1));
    mkv_model_settle(&bench->model);
    mkv_audit_blocks(&bench->audit);
    assert_true(bench->audit.present == 3);
    mkv_model_time(&bench->model, bench->expiry_s);
    mkv_audit_blocks(&bench->audit);
    assert_true(bench->audit.present == 1);
    mkv_audit_present(&bench->audit, 1);
}

/* A volume that came up empty with a full ring serves, and dies before its event was taken: its
 * journal ends where the ledger does, which still has what there was. */
static void test_audit__ledger_was_not_told_of_the_opening__does_not_count(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    struct mkv_volume_stats stats;
    mkv_volume_stats(bench->node.volume, &stats);
    bench->node.watch.ledger.head = stats.journal_durable;
    bench->node.watch.ledger.live += 7;
    mkv_audit_tenants(&bench->audit);
    mkv_watch_serve(&bench->node.watch, stats.journal_head);
    EXPECT_FAILURE(MKV_ORACLE_STATE, mkv_audit_tenants(&bench->audit));
}

static void test_audit__other_state_than_the_journal_says__fires_o6(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    bench->node.watch.ledger.slots[0].expiry_s = 1;
    EXPECT_FAILURE(MKV_ORACLE_STATE, check_all(bench));
    bench = bench_make();
    /* A block is missing, */
    bench->node.watch.ledger.slots[1].state = MKV_LEDGER_LIVE;
    bench->node.watch.ledger.live++;
    EXPECT_FAILURE(MKV_ORACLE_STATE, check_all(bench));
    /* one is too many, */
    bench = bench_make();
    bench->node.watch.ledger.slots[0].state = MKV_LEDGER_FREE;
    EXPECT_FAILURE(MKV_ORACLE_STATE, check_all(bench));
    /* an extent has no class, or another one, */
    bench = bench_make();
    bench->node.watch.ledger.extents--;
    EXPECT_FAILURE(MKV_ORACLE_STATE, check_all(bench));
    bench = bench_make();
    memset(bench->node.watch.ledger.class_extents, 0,
           9 * sizeof *bench->node.watch.ledger.class_extents);
    EXPECT_FAILURE(MKV_ORACLE_STATE, check_all(bench));
    /* a tenant has another name, or was made and is not there. */
    bench = bench_make();
    bench->node.watch.ledger.tenants[0].name[0]++;
    EXPECT_FAILURE(MKV_ORACLE_STATE, check_all(bench));
    bench = bench_make();
    bench->node.watch.ledger.tenant_id_max++;
    EXPECT_FAILURE(MKV_ORACLE_STATE, check_all(bench));
    /* And while it serves, where it is looked at before it ends. */
    bench = bench_make();
    check_all(bench);
    put(bench, 1, long_version(bench, 1));
    mkv_audit_tenants(&bench->audit);
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    assert_true(mkv_volume_next_block(bench->node.volume, &cursor, &block));
    table_entries(volume_table(bench->node.volume))[block.slot.index].expiry_s = 7;
    EXPECT_FAILURE(MKV_ORACLE_STATE, mkv_audit_tenants(&bench->audit));
}

static void test_audit__other_state_with_nothing_written__fires_o8(void **state) {
    (void)state;
    struct bench *bench = bench_make();
    check_all(bench);
    reopen(bench);
    bench->audit.durable_hash ^= 1;
    EXPECT_FAILURE(MKV_ORACLE_IDEMPOTENT, check_all(bench));
    /* With a mutation in between it may be another one. */
    bench = bench_make();
    check_all(bench);
    put(bench, 1, long_version(bench, 1));
    reopen(bench);
    check_all(bench);
    assert_true(bench->audit.present == 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audit__recovered_as_it_was__no_oracle_fires),
        cmocka_unit_test(test_audit__acknowledged_key_is_gone__fires_o1),
        cmocka_unit_test(test_audit__bytes_that_no_put_brought__fire_o1),
        cmocka_unit_test(test_audit__deleted_or_old_block_is_there__fires_o2),
        cmocka_unit_test(test_audit__key_in_two_volumes__fires_o4),
        cmocka_unit_test(test_audit__table_contradicts_itself__is_a_failed_assertion),
        cmocka_unit_test(test_audit__figures_that_do_not_add_up__fire_o5),
        cmocka_unit_test(test_audit__retired_slot_is_free_again__fires_o5),
        cmocka_unit_test(test_audit__figures_that_went_back__fire_o7),
        cmocka_unit_test(test_audit__journal_that_is_no_prefix_of_what_was_issued__fires_o3),
        cmocka_unit_test(test_audit__block_expires_while_its_volume_sleeps__may_be_there),
        cmocka_unit_test(test_audit__ledger_was_not_told_of_the_opening__does_not_count),
        cmocka_unit_test(test_audit__other_state_than_the_journal_says__fires_o6),
        cmocka_unit_test(test_audit__other_state_with_nothing_written__fires_o8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
