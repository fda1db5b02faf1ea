/* SPDX-License-Identifier: Apache-2.0 */
#include "client/command_bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define KEY_BYTES 96u
#define NS_PER_S 1000000000ull
/* Samples of latency that are kept; of more operations, a fair choice of them. */
#define SAMPLES_MAX (1u << 20)
#define ROUND_TRIPS_MAX 1000u
#define ROUND_TRIPS_NS (NS_PER_S / 2)
#define COMPLETIONS_MAX 64u
#define WAIT_MS 200u
#define DELETES_MAX 256u
/* What is left behind by a bench that was killed goes by itself: so long behind the line that reads
 * it, of as many seconds as the one that wrote it. */
#define EXPIRE_S 3600u
#define NOISE_SEED 0x9e3779b97f4a7c15ull

const char *const bench_op_names[BENCH_OPS] = {"write", "read"};

struct stamp {
    uint64_t run;
    uint64_t number;
    uint64_t sequence;
};

struct place {
    struct memkv_item item;
    char key[KEY_BYTES];
    uint8_t *bytes;
    uint64_t handle; /* of their registration, for RDMA; 0: none */
    uint32_t number; /* of its key */
    uint64_t begin_ns;
};

struct bench_key {
    uint64_t sequence; /* of the write that it holds; 0: it was never written */
    bool is_busy;
};

struct bench {
    struct memkv_client *client;
    const struct bench_options *options;
    const volatile sig_atomic_t *stop;
    struct memkv_error *error;
    uint64_t run;
    uint64_t sequence;
    uint64_t random;
    /* Of the size that it is at. */
    uint64_t block_bytes;
    uint8_t *noise;
    uint32_t key_count;
    uint32_t key_next;
    struct bench_key keys[BENCH_KEYS_MAX];
    struct place places[BENCH_IN_FLIGHT_MAX];
    uint32_t place_count;
    uint64_t *samples;
    uint64_t sample_total;
};

/* What is done with each key until when. */
struct leg {
    enum bench_op op;
    uint64_t end_ns; /* 0: each key once */
    bool is_whole;   /* values are compared whole */
    bool is_new;     /* only keys that have no value yet */
};

/* ---- figures -------------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* What the processors of this host have worked since it was started. 0: it does not tell. */
static double host_cpu_seconds(void) {
    unsigned long long user;
    unsigned long long nice;
    unsigned long long system;
    unsigned long long irq;
    unsigned long long soft_irq;
    FILE *file = fopen("/proc/stat", "re");
    const bool is_known = file != NULL && fscanf(file, "cpu %llu %llu %llu %*u %*u %llu %llu",
                                                 &user, &nice, &system, &irq, &soft_irq) == 5;
    if (file != NULL) {
        fclose(file);
    }
    return is_known ? (double)(user + nice + system + irq + soft_irq) / (double)sysconf(_SC_CLK_TCK)
                    : 0;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void sample(struct bench *bench, uint64_t ns) {
    uint64_t at = bench->sample_total;
    bench->sample_total++;
    if (at >= SAMPLES_MAX) {
        at = next_random(&bench->random) % bench->sample_total;
    }
    if (at < SAMPLES_MAX) {
        bench->samples[at] = ns;
    }
}

static int compare(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Percentiles, in microseconds, of the samples, which are then forgotten. */
static void percentiles(struct bench *bench, double *p50_us, double *p99_us) {
    const uint64_t count = bench->sample_total < SAMPLES_MAX ? bench->sample_total : SAMPLES_MAX;
    *p50_us = 0;
    *p99_us = 0;
    if (count > 0) {
        qsort(bench->samples, count, sizeof *bench->samples, compare);
        *p50_us = (double)bench->samples[(count - 1) / 2] / 1e3;
        *p99_us = (double)bench->samples[(count - 1) * 99 / 100] / 1e3;
    }
    bench->sample_total = 0;
}

static enum memkv_status fail(struct bench *bench, enum memkv_status status, const char *text) {
    bench->error->status = status;
    snprintf(bench->error->text, sizeof bench->error->text, "%s", text);
    return status;
}

/* ---- one operation -------------------------------------------------------------------------- */

static void make_key(const struct bench *bench, uint32_t number, char key[KEY_BYTES]) {
    snprintf(key, KEY_BYTES, "memkv-bench/%016" PRIx64 "/%" PRIu64 "/%u", bench->run,
             bench->block_bytes, number);
}

static void put_stamps(const struct bench *bench, const struct place *place, uint64_t sequence) {
    const struct stamp stamp = {bench->run, place->number, sequence};
    memcpy(place->bytes, &stamp, sizeof stamp);
    memcpy(place->bytes + bench->block_bytes - sizeof stamp, &stamp, sizeof stamp);
}

/* Whether a read has brought what was written last. */
static bool is_right(const struct bench *bench, const struct place *place, bool is_whole) {
    const uint64_t bytes = bench->block_bytes;
    const struct stamp stamp = {bench->run, place->number, bench->keys[place->number].sequence};
    return place->item.byte_count == bytes && place->item.value_bytes == bytes &&
           memcmp(place->bytes, &stamp, sizeof stamp) == 0 &&
           memcmp(place->bytes + bytes - sizeof stamp, &stamp, sizeof stamp) == 0 &&
           (!is_whole || memcmp(place->bytes + sizeof stamp, bench->noise + sizeof stamp,
                                bytes - 2 * sizeof stamp) == 0);
}

/* The next key that may be worked on. False: there is none now. */
static bool take_key(struct bench *bench, const struct leg *leg, uint32_t *number) {
    for (uint32_t i = 0; i < bench->key_count; i++) {
        if (leg->end_ns == 0 && bench->key_next == bench->key_count) {
            return false;
        }
        *number = bench->key_next % bench->key_count;
        bench->key_next = leg->end_ns == 0 ? bench->key_next + 1 : (*number + 1) % bench->key_count;
        struct bench_key *key = &bench->keys[*number];
        if (!key->is_busy && (!leg->is_new || key->sequence == 0)) {
            key->is_busy = true;
            return true;
        }
    }
    return false;
}

static enum memkv_status begin(struct bench *bench, struct place *place, const struct leg *leg,
                               uint32_t number) {
    place->number = number;
    make_key(bench, number, place->key);
    place->item = (struct memkv_item){.key = place->key, .key_bytes = strlen(place->key)};
    if (leg->op == BENCH_WRITE) {
        bench->sequence++;
        bench->keys[number].sequence = bench->sequence;
        put_stamps(bench, place, bench->sequence);
        place->item.op = MEMKV_OP_PUT;
        place->item.flags = MEMKV_REPLACE | (bench->options->is_durable ? 0u : MEMKV_RELAXED);
        place->item.expire_s = EXPIRE_S + bench->options->seconds;
        place->item.data = place->bytes;
        place->item.data_bytes = bench->block_bytes;
    } else {
        place->item.op = MEMKV_OP_GET;
        place->item.buffer = place->bytes;
        place->item.capacity = bench->block_bytes;
    }
    place->begin_ns = clock_ns(CLOCK_MONOTONIC);
    return memkv_submit(bench->client, &place->item, 1, (uint64_t)(place - bench->places), 0,
                        bench->error);
}

static enum memkv_status end(struct bench *bench, const struct leg *leg,
                             const struct memkv_completion *completion) {
    const struct place *place = &bench->places[completion->cookie];
    char text[MEMKV_ERROR_TEXT_BYTES];
    bench->keys[place->number].is_busy = false;
    if (completion->error.status != MEMKV_OK) {
        snprintf(text, sizeof text, "%s of %" PRIu64 " bytes: %.180s", bench_op_names[leg->op],
                 bench->block_bytes, completion->error.text);
        return fail(bench, completion->error.status, text);
    }
    if (leg->op == BENCH_READ && !is_right(bench, place, leg->is_whole)) {
        snprintf(text, sizeof text, "key %s holds another value than was written", place->key);
        return fail(bench, MEMKV_CORRUPT, text);
    }
    sample(bench, clock_ns(CLOCK_MONOTONIC) - place->begin_ns);
    return MEMKV_OK;
}

/* ---- many ----------------------------------------------------------------------------------- */

/* Begins one more, if there is time and a key. */
static enum memkv_status refill(struct bench *bench, const struct leg *leg, struct place *place,
                                uint32_t *busy) {
    uint32_t number;
    const bool has_time = leg->end_ns == 0 || clock_ns(CLOCK_MONOTONIC) < leg->end_ns;
    if (!has_time || *bench->stop != 0 || !take_key(bench, leg, &number)) {
        return MEMKV_OK;
    }
    const enum memkv_status status = begin(bench, place, leg, number);
    if (status == MEMKV_OK) {
        *busy += 1;
    }
    return status;
}

/* Carries out a leg to its end; what is in flight when something fails is waited for. */
static enum memkv_status go(struct bench *bench, const struct leg *leg) {
    struct memkv_completion completions[COMPLETIONS_MAX];
    enum memkv_status status = MEMKV_OK;
    struct memkv_error first = {0};
    uint32_t busy = 0;
    bench->key_next = 0;
    for (uint32_t i = 0; i < bench->place_count && status == MEMKV_OK; i++) {
        status = refill(bench, leg, &bench->places[i], &busy);
    }
    first = *bench->error;
    while (busy > 0) {
        const size_t got = memkv_wait(bench->client, completions, COMPLETIONS_MAX, WAIT_MS);
        for (size_t i = 0; i < got; i++) {
            busy--;
            enum memkv_status own = end(bench, leg, &completions[i]);
            if (status == MEMKV_OK && own == MEMKV_OK) {
                own = refill(bench, leg, &bench->places[completions[i].cookie], &busy);
            }
            if (status == MEMKV_OK && own != MEMKV_OK) {
                status = own;
                first = *bench->error;
            }
        }
    }
    *bench->error = first;
    if (status == MEMKV_OK && *bench->stop != 0) {
        return fail(bench, MEMKV_CANCELLED, "interrupted");
    }
    return status;
}

static enum memkv_status measure(struct bench *bench, enum bench_op op,
                                 struct bench_result *result) {
    const uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
    const uint64_t begin_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    const double begin_host_cpu = host_cpu_seconds();
    const struct leg leg = {.op = op, .end_ns = begin_ns + bench->options->seconds * NS_PER_S};
    bench->sample_total = 0;
    const enum memkv_status status = go(bench, &leg);
    if (status != MEMKV_OK) {
        return status;
    }
    struct bench_row *row = &result->rows[result->row_count];
    result->row_count++;
    *row = (struct bench_row){
        .op = op,
        .block_bytes = bench->block_bytes,
        .in_flight = bench->place_count,
        .operations = bench->sample_total,
        .seconds = (double)(clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1e9,
        .cpu_seconds = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu_ns) / 1e9,
        .host_cpu_seconds = host_cpu_seconds() - begin_host_cpu,
    };
    percentiles(bench, &row->p50_us, &row->p99_us);
    snprintf(row->fabric, sizeof row->fabric, "%s", memkv_transport(bench->client));
    return MEMKV_OK;
}

/* What deletes have come to, of which the first that failed found no key. That is none that
 * counts: the key was evicted, or never stored. */
static enum memkv_status without_missing(const struct memkv_item *items, uint32_t count,
                                         struct memkv_error *error) {
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].status != MEMKV_OK && items[i].status != MEMKV_NOT_FOUND) {
            snprintf(error->text, sizeof error->text, "%s", memkv_status_name(items[i].status));
            return items[i].status;
        }
    }
    return MEMKV_OK;
}

/* Deletes the keys of this size that were ever written. Failures are told where nothing else has
 * failed. */
static enum memkv_status clean(struct bench *bench, enum memkv_status before) {
    struct memkv_item *items = calloc(DELETES_MAX, sizeof *items);
    char(*names)[KEY_BYTES] = calloc(DELETES_MAX, sizeof *names);
    struct memkv_error error = {0};
    enum memkv_status status = items == NULL || names == NULL ? MEMKV_NO_MEMORY : MEMKV_OK;
    for (uint32_t number = 0; status == MEMKV_OK && number < bench->key_count;) {
        uint32_t count = 0;
        for (; number < bench->key_count && count < DELETES_MAX; number++) {
            if (bench->keys[number].sequence != 0) {
                make_key(bench, number, names[count]);
                items[count] = (struct memkv_item){
                    .op = MEMKV_OP_DELETE, .key = names[count], .key_bytes = strlen(names[count])};
                count++;
            }
        }
        if (count > 0) {
            status = memkv_batch(bench->client, items, count, &error);
        }
        status = status == MEMKV_NOT_FOUND ? without_missing(items, count, &error) : status;
    }
    free(items);
    free(names);
    if (before != MEMKV_OK || status == MEMKV_OK) {
        return before;
    }
    char text[MEMKV_ERROR_TEXT_BYTES];
    snprintf(text, sizeof text, "keys are left behind, and expire by themselves: %.180s",
             error.text);
    return fail(bench, status, text);
}

/* ---- a size --------------------------------------------------------------------------------- */

static void fill_noise(uint8_t *bytes, uint64_t byte_count) {
    uint64_t state = NOISE_SEED;
    for (uint64_t at = 0; at < byte_count; at += sizeof state) {
        const uint64_t word = next_random(&state);
        const uint64_t left = byte_count - at;
        memcpy(bytes + at, &word, left < sizeof word ? left : sizeof word);
    }
}

uint32_t bench_in_flight(const struct bench_options *options, uint64_t block_bytes) {
    const uint64_t fits = options->footprint_bytes / block_bytes / 2;
    const uint64_t in_flight = fits < options->in_flight ? fits : options->in_flight;
    return in_flight < 1 ? 1 : (uint32_t)in_flight;
}

static enum memkv_status make_place(struct bench *bench, struct place *place) {
    place->bytes = memkv_buffer_alloc(bench->client, bench->block_bytes);
    if (place->bytes == NULL) {
        return fail(bench, MEMKV_NO_MEMORY, "no memory for blocks of this size");
    }
    memcpy(place->bytes, bench->noise, bench->block_bytes);
    return memkv_buffer_register(bench->client, place->bytes, bench->block_bytes, &place->handle,
                                 bench->error);
}

static enum memkv_status make_places(struct bench *bench) {
    bench->noise = malloc(bench->block_bytes);
    if (bench->noise == NULL) {
        return fail(bench, MEMKV_NO_MEMORY, "no memory for blocks of this size");
    }
    fill_noise(bench->noise, bench->block_bytes);
    enum memkv_status status = MEMKV_OK;
    for (uint32_t i = 0; i < bench->place_count && status == MEMKV_OK; i++) {
        status = make_place(bench, &bench->places[i]);
    }
    return status;
}

static void free_places(struct bench *bench) {
    for (uint32_t i = 0; i < bench->place_count; i++) {
        struct place *place = &bench->places[i];
        if (place->handle != 0) {
            /* Nothing is under way to it; and what else may fail is told of the line. */
            (void)memkv_buffer_unregister(bench->client, place->handle, NULL);
        }
        memkv_buffer_free(bench->client, place->bytes);
        *place = (struct place){0};
    }
    free(bench->noise);
    bench->noise = NULL;
}

static enum memkv_status run_size(struct bench *bench, uint64_t block_bytes,
                                  struct bench_result *result) {
    static const struct leg rest = {.op = BENCH_WRITE, .is_new = true};
    static const struct leg whole = {.op = BENCH_READ, .is_whole = true};
    const uint64_t keys = bench->options->footprint_bytes / block_bytes;
    bench->block_bytes = block_bytes;
    bench->place_count = bench_in_flight(bench->options, block_bytes);
    bench->key_count = (uint32_t)(keys < BENCH_KEYS_MAX ? keys : BENCH_KEYS_MAX);
    if (bench->key_count < 2 * bench->place_count) {
        bench->key_count = 2 * bench->place_count;
    }
    memset(bench->keys, 0, sizeof bench->keys);
    enum memkv_status status = make_places(bench);
    if (status == MEMKV_OK && bench->options->ops[BENCH_WRITE]) {
        status = measure(bench, BENCH_WRITE, result);
    }
    if (status == MEMKV_OK && bench->options->ops[BENCH_READ]) {
        status = go(bench, &rest);
        status = status == MEMKV_OK ? go(bench, &whole) : status;
        status = status == MEMKV_OK ? measure(bench, BENCH_READ, result) : status;
    }
    status = clean(bench, status);
    free_places(bench);
    return status;
}

/* ---- all ------------------------------------------------------------------------------------ */

static enum memkv_status ping(struct bench *bench, struct bench_result *result) {
    const uint64_t end_ns = clock_ns(CLOCK_MONOTONIC) + ROUND_TRIPS_NS;
    enum memkv_status status = MEMKV_OK;
    while (status == MEMKV_OK && result->round_trips < ROUND_TRIPS_MAX &&
           clock_ns(CLOCK_MONOTONIC) < end_ns && *bench->stop == 0) {
        const uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
        status = memkv_ping(bench->client, bench->error);
        sample(bench, clock_ns(CLOCK_MONOTONIC) - begin_ns);
        result->round_trips++;
    }
    percentiles(bench, &result->round_trip_p50_us, &result->round_trip_p99_us);
    return status;
}

enum memkv_status bench_run(struct memkv_client *client, const struct bench_options *options,
                            const volatile sig_atomic_t *stop, struct bench_result *result,
                            struct memkv_error *error) {
    *result = (struct bench_result){0};
    *error = (struct memkv_error){0};
    struct bench *bench = calloc(1, sizeof *bench);
    uint64_t *samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (bench == NULL || samples == NULL) {
        free(bench);
        free(samples);
        error->status = MEMKV_NO_MEMORY;
        snprintf(error->text, sizeof error->text, "no memory for the figures");
        return MEMKV_NO_MEMORY;
    }
    bench->client = client;
    bench->options = options;
    bench->stop = stop;
    bench->error = error;
    bench->samples = samples;
    bench->random = NOISE_SEED;
    enum memkv_status status = MEMKV_OK;
    if (getrandom(&bench->run, sizeof bench->run, 0) != (ssize_t)sizeof bench->run) {
        status = fail(bench, MEMKV_NO_MEMORY, "the kernel gives no random number");
    }
    status = status == MEMKV_OK ? ping(bench, result) : status;
    for (uint32_t i = 0; status == MEMKV_OK && i < options->size_count; i++) {
        status = run_size(bench, options->sizes[i], result);
    }
    free(samples);
    free(bench);
    return status;
}
