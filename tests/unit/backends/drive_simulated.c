/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/drive_simulated.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "core/slab.h"
#include "sim/drive_sim.h"

#define MEMORY_BYTES (512ull * MKV_MIB)
#define DELAY_NS_MAX 1000u
#define FAULT_ONE_IN 8u
/* The simulated cache holds MKV_DRIVE_SIM_VERSIONS_MAX units; a drive may write any of them back by
 * itself, and this one does when nothing is in flight and so many may be in it. */
#define CACHED_UNITS_MAX (MKV_DRIVE_SIM_VERSIONS_MAX / 2)
#define BLOCK_BYTES_MAX (4u * 1024u * 1024u)
#define REFUSED_MAX 16u

struct simulated_drive {
    struct mkv_drive base; /* first */
    struct drive_simulated *owner;
};

struct drive_simulated {
    struct drive_conformance target;
    struct simulated_drive drive;
    struct mkv_memory memory;
    struct mkv_guard guard;
    struct mkv_faults faults;
    struct mkv_drive_sim *sim;
    uint64_t now_ns;
    uint64_t cached_units;
    /* When each operation was handed in, by its token. */
    uint64_t submitted_ns[MKV_DRIVE_SIM_IO_MAX];
    bool used[MKV_DRIVE_SIM_IO_MAX];
    uint64_t bytes[MKV_DRIVE_SIM_IO_MAX];
    /* Reads beyond the end, which it does not take: whoever drives it owes the refusal. */
    struct mkv_op_id refused[REFUSED_MAX];
    uint32_t refused_count;
};

static struct drive_simulated *owner_of(const struct mkv_drive *drive) {
    return ((const struct simulated_drive *)drive)->owner;
}

static void complete(struct drive_simulated *simulated, enum mkv_drive_operation kind,
                     const struct mkv_drive_done *done, uint64_t bytes, uint64_t submitted_ns,
                     bool was_asked) {
    struct mkv_drive *base = &simulated->drive.base;
    const struct mkv_drive_times times = {
        .submitted_ns = submitted_ns,
        .device_ns = was_asked ? simulated->now_ns - submitted_ns : 0,
        .now_ns = simulated->now_ns,
    };
    mkv_drive_count_completed(base, kind, done->result, bytes, &times);
    base->complete(base->complete_context, done);
}

static void write_back(struct drive_simulated *simulated) {
    const struct mkv_effect flush = {.kind = MKV_EFFECT_DRIVE_FLUSH};
    struct mkv_drive_sim_done done;
    mkv_drive_sim_submit(simulated->sim, &flush, 0, simulated->now_ns);
    simulated->now_ns = mkv_drive_sim_due_ns(simulated->sim);
    mkv_drive_sim_complete(simulated->sim, &done);
    simulated->cached_units = 0;
}

static uint32_t token_take(struct drive_simulated *simulated) {
    for (uint32_t token = 0; token < MKV_DRIVE_SIM_IO_MAX; token++) {
        if (!simulated->used[token]) {
            simulated->used[token] = true;
            return token;
        }
    }
    fail_msg("more operations are in flight than the simulated drive takes");
    return 0;
}

static void submit(struct mkv_drive *base, const struct mkv_effect *effect) {
    struct drive_simulated *simulated = owner_of(base);
    const uint64_t unit = effect->drive.lba.unit;
    const uint32_t count = effect->drive.unit_count;
    mkv_drive_count_submitted(base, mkv_drive_operation_of(effect), simulated->now_ns);
    if (effect->kind != MKV_EFFECT_DRIVE_FLUSH &&
        (unit > base->capacity_units || count > base->capacity_units - unit)) {
        assert_int_equal(effect->kind, MKV_EFFECT_DRIVE_READ);
        assert_true(simulated->refused_count < REFUSED_MAX);
        simulated->refused[simulated->refused_count++] = effect->op;
        return;
    }
    if (mkv_drive_sim_in_flight(simulated->sim) == 0 &&
        simulated->cached_units > CACHED_UNITS_MAX) {
        write_back(simulated);
    }
    const uint32_t token = token_take(simulated);
    simulated->submitted_ns[token] = simulated->now_ns;
    simulated->bytes[token] = (uint64_t)count * MKV_UNIT_BYTES;
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
        simulated->cached_units = 0;
    } else if (effect->kind != MKV_EFFECT_DRIVE_READ) {
        simulated->cached_units += count;
    }
    mkv_drive_sim_submit(simulated->sim, effect, token, simulated->now_ns);
}

static void complete_refused(struct drive_simulated *simulated) {
    const struct mkv_drive_done done = {
        .op = simulated->refused[--simulated->refused_count],
        .result = MKV_IO_DEVICE,
    };
    complete(simulated, MKV_DRIVE_OP_READ, &done, 0, simulated->now_ns, false);
}

static void poll_one(void *context) {
    struct drive_simulated *simulated = context;
    if (simulated->refused_count > 0) {
        complete_refused(simulated);
        return;
    }
    if (mkv_drive_sim_in_flight(simulated->sim) == 0) {
        return;
    }
    struct mkv_drive_sim_done done;
    simulated->now_ns = mkv_max_u64(simulated->now_ns, mkv_drive_sim_due_ns(simulated->sim));
    mkv_drive_sim_complete(simulated->sim, &done);
    const struct mkv_effect effect = {.kind = done.kind};
    simulated->used[done.token] = false;
    complete(simulated, mkv_drive_operation_of(&effect), &done.done,
             done.kind == MKV_EFFECT_DRIVE_FLUSH ? 0 : simulated->bytes[done.token],
             simulated->submitted_ns[done.token], true);
}

static uint32_t in_flight(const struct mkv_drive *base) {
    const struct drive_simulated *simulated = owner_of(base);
    return mkv_drive_sim_in_flight(simulated->sim) + simulated->refused_count;
}

static void close_drive(struct mkv_drive *base) {
    assert_int_equal(in_flight(base), 0);
}

static const struct mkv_drive_ops simulated_ops = {
    .submit = submit,
    .in_flight = in_flight,
    .close = close_drive,
};

/* The drive is a new one to whoever opens it. */
static void open_drive(struct drive_simulated *simulated) {
    const struct mkv_drive_memory_map map = {
        .arena = simulated->target.meta,
        .arena_bytes = DRIVE_CONFORMANCE_META_BYTES,
        .slabs = simulated->target.slabs,
        .slabs_bytes = (size_t)DRIVE_CONFORMANCE_SLAB_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES,
        .slab_stride = MKV_SLAB_UNIT_STRIDE_BYTES,
    };
    simulated->drive = (struct simulated_drive){
        .base = {.ops = &simulated_ops, .capacity_units = DRIVE_CONFORMANCE_CAPACITY_UNITS_MIN},
        .owner = simulated,
    };
    simulated->cached_units = 0;
    mkv_drive_sim_attach(simulated->sim, &map);
}

static void reopen(void *context) {
    struct drive_simulated *simulated = context;
    mkv_drive_close(&simulated->drive.base);
    mkv_drive_sim_crash(simulated->sim, MKV_CRASH_POWER, MKV_KEEP_NONE);
    mkv_guard_reset(&simulated->guard);
    open_drive(simulated);
}

static void set_fault(struct drive_simulated *simulated, enum mkv_fault fault,
                      const struct mkv_random *random) {
    const struct mkv_geometry_options defaults = {0};
    struct mkv_geometry geometry;
    assert_int_equal(mkv_geometry_plan(DRIVE_CONFORMANCE_CAPACITY_UNITS_MIN, &defaults, &geometry),
                     MKV_OK);
    struct mkv_fault_plan plan = {.mask = 1u << fault};
    for (uint32_t each = 0; each < MKV_FAULT_COUNT; each++) {
        plan.one_in[each] = FAULT_ONE_IN;
    }
    mkv_faults_init(&simulated->faults, &simulated->memory, &plan, &geometry, MKV_UNIT_BYTES,
                    random);
    mkv_drive_sim_set_faults(simulated->sim, &simulated->memory, &simulated->faults);
}

struct drive_simulated *drive_simulated_make(const struct drive_simulated_options *options) {
    struct drive_simulated *simulated = calloc(1, sizeof *simulated);
    assert_non_null(simulated);
    assert_true(mkv_memory_create(&simulated->memory, MEMORY_BYTES));
    simulated->now_ns = 1;
    simulated->target = (struct drive_conformance){
        .drive = &simulated->drive.base,
        .slabs = mkv_memory_take(&simulated->memory,
                                 (size_t)DRIVE_CONFORMANCE_SLAB_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES,
                                 MKV_UNIT_BYTES),
        .meta = mkv_memory_take(&simulated->memory, DRIVE_CONFORMANCE_META_BYTES, MKV_UNIT_BYTES),
        .trims = true,
        .block_bytes_max = BLOCK_BYTES_MAX,
        .poll = poll_one,
        .reopen = reopen,
        .context = simulated,
    };
    const struct mkv_drive_profile profile = {
        .capacity_units = DRIVE_CONFORMANCE_CAPACITY_UNITS_MIN,
        .volatile_cache = options->volatile_cache,
        .tear_bytes = MKV_UNIT_BYTES,
        .discard = options->arbitrary_trims ? MKV_DISCARD_ARBITRARY : MKV_DISCARD_ZEROS,
        .read_ns = DELAY_NS_MAX,
        .write_ns = DELAY_NS_MAX,
        .flush_ns = DELAY_NS_MAX,
    };
    struct mkv_random random;
    mkv_random_seed(&random, 5, MKV_CONCERN_DRIVE);
    simulated->sim = mkv_drive_sim_create(&simulated->memory, &profile, &random, &simulated->guard);
    if (options->fault != MKV_FAULT_NONE) {
        set_fault(simulated, options->fault, &random);
    }
    open_drive(simulated);
    return simulated;
}

struct drive_conformance *drive_simulated_target(struct drive_simulated *simulated) {
    return &simulated->target;
}

void drive_simulated_free(struct drive_simulated *simulated) {
    mkv_drive_close(&simulated->drive.base);
    mkv_memory_destroy(&simulated->memory);
    free(simulated);
}
