/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What observing costs: the time of each recording, and that of making an exposition. Lines of
 * JSON, which bench/observability puts together with what a daemon does.
 *
 *   observability_bench [--rounds N] [--calls N] [--inject NS]
 *       --inject makes the end of a request take so much longer: to show that it is found
 *
 * Each figure is the median of the rounds. Values and keys differ from call to call, and a round
 * takes no time for making them: they are made before.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/exposition.h"
#include "admin/hdr.h"
#include "admin/hotkeys.h"
#include "backends/clock.h"
#include "core/hash.h"
#include "server/observer.h"

#define VALUES 4096u
#define ROUNDS_MAX 101u
#define KEY_BYTES 24u
#define DRIVES 24u
#define TENANTS 1000u

/* ---- allocations ----------------------------------------------------------------------------- */

/* Of the exposition, counted where the sanitizers do not take the functions for themselves. */
#if defined(__SANITIZE_ADDRESS__)
#define COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef COUNTS_ALLOCATIONS
#define COUNTS_ALLOCATIONS 1
#endif

static uint64_t allocations;

#if COUNTS_ALLOCATIONS
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);

void *malloc(size_t bytes) {
    allocations++;
    return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
    allocations++;
    return __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes) {
    allocations++;
    return __libc_realloc(memory, bytes);
}
#endif

/* ---- what is recorded ------------------------------------------------------------------------ */

struct bench {
    uint32_t rounds;
    uint32_t calls;
    uint64_t inject_ns;
    uint64_t values_ns[VALUES];
    char keys[VALUES][KEY_BYTES + 1];
    struct mkv_root hashes[VALUES];
    uint64_t counter;
    struct mkv_histogram histogram;
    struct mkv_hdr hdr;
    struct mkv_sketch sketch;
    struct mkv_hotkeys *hotkeys;
    struct mkv_observer *observer;
    struct mkv_observer *slow_observer;
    struct mkv_fabric fabric;
    struct mkv_fabric_ops ops;
    uint8_t arena[4096];
    uint64_t sum; /* keeps the compiler from leaving out what is measured */
};

static void describe(const struct mkv_fabric *fabric, struct mkv_connection_id id,
                     struct mkv_fabric_client *client) {
    (void)fabric;
    (void)id;
    *client = (struct mkv_fabric_client){.address = "127.0.0.1:1"};
}

static void tenant_name(void *context, uint32_t id, char name[MKV_ADMIN_TENANT_BYTES]) {
    (void)context;
    snprintf(name, MKV_ADMIN_TENANT_BYTES, "tenant-%u", id);
}

static struct mkv_observer *make_observer(struct bench *bench, uint64_t slow_ns) {
    const struct mkv_observer_options options = {
        .connections_max = 64,
        .slow_ns = slow_ns,
        .fabric = &bench->fabric,
        .tenant_name = tenant_name,
    };
    return mkv_observer_create(&options);
}

static void make(struct bench *bench) {
    uint64_t random = 88172645463325252u;
    for (uint32_t i = 0; i < VALUES; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        bench->values_ns[i] = 1000 + (random >> (34 + i % 20));
        snprintf(bench->keys[i], sizeof bench->keys[i], "model/8b/%014llx",
                 (unsigned long long)(random >> 8));
        bench->hashes[i] = mkv_hash_128(bench->keys[i], KEY_BYTES);
    }
    mkv_sketch_init(&bench->sketch, MKV_SKETCH_COLUMNS_DEFAULT,
                    calloc(1, mkv_sketch_bytes(MKV_SKETCH_COLUMNS_DEFAULT)));
    bench->ops.describe = describe;
    bench->fabric.ops = &bench->ops;
    bench->hotkeys = mkv_hotkeys_create(MKV_SKETCH_COLUMNS_DEFAULT);
    bench->observer = make_observer(bench, UINT64_MAX);
    bench->slow_observer = make_observer(bench, 0);
}

static void run_clock(struct bench *bench, uint32_t i) {
    (void)i;
    bench->sum += mkv_clock_monotonic_ns();
}

static void run_counter(struct bench *bench, uint32_t i) {
    __atomic_store_n(&bench->counter, bench->counter + bench->values_ns[i], __ATOMIC_RELAXED);
}

static void run_histogram(struct bench *bench, uint32_t i) {
    mkv_histogram_record_ns(&bench->histogram, bench->values_ns[i]);
}

static void run_hdr(struct bench *bench, uint32_t i) {
    mkv_hdr_record(&bench->hdr, bench->values_ns[i]);
}

static void run_sketch(struct bench *bench, uint32_t i) {
    bench->sum += mkv_sketch_add(&bench->sketch, bench->hashes[i]);
}

/* Of the few keys that are asked for again and again, all of which are kept. */
static void run_hot(struct bench *bench, uint32_t i) {
    mkv_hotkeys_count(bench->hotkeys, 1, (const uint8_t *)bench->keys[i % 64], KEY_BYTES);
}

/* Of many more than are kept. */
static void run_cold(struct bench *bench, uint32_t i) {
    mkv_hotkeys_count(bench->hotkeys, 1, (const uint8_t *)bench->keys[i], KEY_BYTES);
}

static void run_began(struct bench *bench, uint32_t i) {
    const struct mkv_request_item item = {.key_bytes = KEY_BYTES};
    const struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST,
        .data = (const uint8_t *)bench->keys[i],
        .data_bytes = KEY_BYTES,
        .request = {.connection = {i % 16, 1}, .op = MKV_OP_GET, .item_count = 1, .items = &item},
    };
    mkv_observer_request_began(bench->observer, &input);
}

static struct mkv_request_summary summary_of(const struct bench *bench, uint32_t i) {
    return (struct mkv_request_summary){
        .connection = {i % 16, 1},
        .op = MKV_OP_GET,
        .status = MKV_STATUS_OK,
        .item_count = 1,
        .keys_from_drive = 1,
        .bytes_out = 1048576,
        .ended_ns = bench->values_ns[i],
        .key_bytes = KEY_BYTES,
    };
}

static void run_ended(struct bench *bench, uint32_t i) {
    const struct mkv_request_summary summary = summary_of(bench, i);
    mkv_observer_request_ended(bench->observer, &summary, bench->arena + summary.key_offset);
    if (bench->inject_ns > 0) {
        const uint64_t until_ns = mkv_clock_monotonic_ns() + bench->inject_ns;
        while (mkv_clock_monotonic_ns() < until_ns) {
        }
    }
}

static void run_slow(struct bench *bench, uint32_t i) {
    const struct mkv_request_summary summary = summary_of(bench, i);
    mkv_observer_request_ended(bench->slow_observer, &summary, bench->arena + summary.key_offset);
}

static const struct {
    const char *name;
    void (*run)(struct bench *bench, uint32_t i);
} recordings[] = {
    {"clock", run_clock},
    {"counter", run_counter},
    {"histogram", run_histogram},
    {"latency", run_hdr},
    {"sketch", run_sketch},
    {"hot key, kept", run_hot},
    {"hot key, one of many", run_cold},
    {"request begins", run_began},
    {"request ends", run_ended},
    {"slow request", run_slow},
};

/* ---- measuring ------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right) {
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *rounds, uint32_t count) {
    qsort(rounds, count, sizeof rounds[0], compare);
    return rounds[count / 2];
}

static void measure_recordings(struct bench *bench) {
    for (size_t which = 0; which < sizeof recordings / sizeof recordings[0]; which++) {
        double rounds[ROUNDS_MAX];
        for (uint32_t round = 0; round < bench->rounds; round++) {
            const uint64_t start_ns = mkv_clock_monotonic_ns();
            for (uint32_t call = 0; call < bench->calls; call++) {
                recordings[which].run(bench, call % VALUES);
            }
            const uint64_t took_ns = mkv_clock_monotonic_ns() - start_ns;
            rounds[round] = (double)took_ns / bench->calls;
        }
        printf("{\"recording\": \"%s\", \"ns\": %.3f}\n", recordings[which].name,
               median(rounds, bench->rounds));
    }
}

static void fill_snapshot(struct mkv_admin_snapshot *snapshot) {
    snapshot->storage_block_bytes = 4 * MKV_MIB;
    snapshot->memory.block_bytes = 2 * MKV_MIB;
    snapshot->drive_count = DRIVES;
    for (uint32_t i = 0; i < DRIVES; i++) {
        struct mkv_admin_drive *drive = &snapshot->drives[i];
        snprintf(drive->name, sizeof drive->name, "d%02u", i);
        snprintf(drive->path, sizeof drive->path, "/dev/disk/by-id/nvme-%u", i);
        drive->state = MKV_DRIVE_STATE_ONLINE;
        for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
            for (uint32_t value = 0; value < 1000; value++) {
                mkv_histogram_record_ns(&drive->io[op].duration, 1000ull << (value % 24));
            }
        }
    }
    snapshot->tenant_count = TENANTS;
    snapshot->tenant_rows_max = 100; /* as metrics.tenants_max has it by default */
    for (uint32_t i = 0; i < TENANTS; i++) {
        struct mkv_admin_tenant *tenant = &snapshot->tenants[i];
        snprintf(tenant->name, sizeof tenant->name, "tenant-%u", i);
        tenant->asked_apart = true;
        tenant->blocks = i;
        tenant->bytes = (uint64_t)i << 22;
    }
}

/* From a copy of all figures, as a scrape gets one, to the text. */
static void measure_scrape(const struct bench *bench, enum mkv_exposition_format format,
                           const char *name) {
    struct mkv_admin_snapshot *template = calloc(1, sizeof *template);
    struct mkv_admin_snapshot *snapshot = calloc(1, sizeof *snapshot);
    static struct mkv_admin_counters counters;
    double rounds[ROUNDS_MAX];
    uint64_t count = 0;
    size_t bytes = 0;
    if (template == NULL || snapshot == NULL) {
        exit(1);
    }
    fill_snapshot(template);
    for (uint32_t round = 0; round < bench->rounds; round++) {
        const uint64_t before = allocations;
        const uint64_t start_ns = mkv_clock_monotonic_ns();
        memcpy(snapshot, template, sizeof *snapshot);
        struct mkv_admin_process process;
        mkv_admin_process_read(&process);
        const struct mkv_metric_sources sources = {
            .snapshot = snapshot, .counters = &counters, .process = &process};
        struct mkv_admin_reply reply = mkv_admin_metrics(&sources, format);
        rounds[round] = (double)(mkv_clock_monotonic_ns() - start_ns) / 1e6;
        count = allocations - before;
        bytes = reply.body_bytes;
        free(reply.body);
    }
    printf("{\"scrape\": \"%s\", \"ms\": %.4f, \"allocations\": %llu, \"bytes\": %zu}\n", name,
           median(rounds, bench->rounds), (unsigned long long)count, bytes);
    free(template);
    free(snapshot);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},
        {"calls", required_argument, NULL, 'c'},
        {"inject", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    static struct bench bench = {.rounds = 9, .calls = 1000000};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const unsigned long long number = option == '?' ? 0 : strtoull(optarg, NULL, 10);
        if (option == 'r' && number >= 1 && number <= ROUNDS_MAX) {
            bench.rounds = (uint32_t)number;
        } else if (option == 'c' && number >= 1 && number <= UINT32_MAX) {
            bench.calls = (uint32_t)number;
        } else if (option == 'i') {
            bench.inject_ns = number;
        } else {
            fprintf(stderr,
                    "usage: observability_bench [--rounds 1..%u] [--calls N] "
                    "[--inject NS]\n",
                    ROUNDS_MAX);
            return 2;
        }
    }
    make(&bench);
    measure_recordings(&bench);
    measure_scrape(&bench, MKV_EXPOSITION_TEXT, "text");
    measure_scrape(&bench, MKV_EXPOSITION_OPENMETRICS, "openmetrics");
    return bench.sum == 1 ? 1 : 0;
}
