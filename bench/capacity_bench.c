/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of bench/capacity: puts of ever new keys, many times what a store holds, and between
 * them gets of keys that were put before, near ones more often than far ones.
 *
 *   capacity_bench SERVER CAPACITY TIMES BYTES[,BYTES...] WORKERS
 *
 * Of several sizes each has an equal share of the bytes; which one a key has follows from its
 * number. A get goes back by a distance whose logarithm is even between one key and four times
 * CAPACITY; before the first key there is none to be found. Each time that a quarter of CAPACITY
 * has been put, a line of JSON says what came of it since the last one. What comes back is compared
 * with what was put.
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/memkv.h"

#define SIZES_MAX 16u
#define WORKERS_MAX 64u
#define VALUE_BYTES_MAX (32u << 20)
#define LINES_PER_CAPACITY 4u
#define REACH 4.0
/* Latencies: sixteen buckets for each doubling, of microseconds. */
#define STEPS 16u
#define BUCKETS (40u * STEPS)

struct counts {
    uint64_t puts, put_bytes, refused, gets, hits, get_bytes;
    uint64_t put_us[BUCKETS];
    uint64_t get_us[BUCKETS];
};

struct load {
    const char *server;
    uint64_t capacity;
    uint64_t bytes_all;
    uint32_t sizes[SIZES_MAX];
    double shares[SIZES_MAX]; /* of the keys, summed up */
    uint32_t size_count;
    double reach; /* keys, as a logarithm */
    uint8_t *pattern;
    atomic_uint_fast64_t number;
    pthread_mutex_t mutex;
    struct counts counts;
    uint64_t put_bytes; /* since the start */
    uint64_t lines;
    double since_s;
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "capacity_bench: %s: %s\n", what, why);
    exit(1);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A share of 1 that follows from the number alone. */
static double share_of(uint64_t number) {
    number = (number ^ (number >> 31)) * 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 29)) * 0xbf58476d1ce4e5b9u;
    return (double)((number ^ (number >> 32)) >> 11) / 9007199254740992.0;
}

static uint32_t size_of(const struct load *load, uint64_t number) {
    const double share = share_of(number);
    uint32_t index = 0;
    while (index + 1 < load->size_count && share >= load->shares[index]) {
        index++;
    }
    return load->sizes[index];
}

static uint32_t bucket_of(double seconds) {
    const double bucket = log2(fmax(seconds * 1e6, 1)) * STEPS;
    return bucket < BUCKETS - 1 ? (uint32_t)bucket : BUCKETS - 1;
}

static double quantile_ms(const uint64_t buckets[BUCKETS], double share) {
    uint64_t all = 0;
    for (uint32_t index = 0; index < BUCKETS; index++) {
        all += buckets[index];
    }
    uint64_t left = (uint64_t)((double)all * share);
    for (uint32_t index = 0; index < BUCKETS; index++) {
        if (buckets[index] > left) {
            return exp2((double)(index + 1) / STEPS) / 1e3;
        }
        left -= buckets[index];
    }
    return 0;
}

/* ---- what it came to ------------------------------------------------------------------------- */

static void print_line(struct load *load) {
    const struct counts *counts = &load->counts;
    const double seconds = now_s() - load->since_s;
    printf("{\"seconds\": %.3f, \"puts\": %" PRIu64 ", \"put_bytes\": %" PRIu64
           ", \"refused\": %" PRIu64 ", \"gets\": %" PRIu64 ", \"hits\": %" PRIu64
           ", \"get_bytes\": %" PRIu64 ", \"put_p50_ms\": %.2f, \"put_p99_ms\": %.2f"
           ", \"put_max_ms\": %.2f, \"get_p50_ms\": %.2f, \"get_p99_ms\": %.2f}\n",
           seconds, counts->puts, counts->put_bytes, counts->refused, counts->gets, counts->hits,
           counts->get_bytes, quantile_ms(counts->put_us, 0.5), quantile_ms(counts->put_us, 0.99),
           quantile_ms(counts->put_us, 0.999999), quantile_ms(counts->get_us, 0.5),
           quantile_ms(counts->get_us, 0.99));
    fflush(stdout);
    load->counts = (struct counts){0};
    load->since_s = now_s();
    load->lines++;
}

static void count_put(struct load *load, uint32_t bytes, enum memkv_status status, double seconds) {
    pthread_mutex_lock(&load->mutex);
    load->counts.refused += status == MEMKV_NO_SPACE;
    load->counts.puts += status == MEMKV_OK;
    load->counts.put_bytes += status == MEMKV_OK ? bytes : 0;
    load->counts.put_us[bucket_of(seconds)]++;
    load->put_bytes += bytes;
    if (load->put_bytes >= (load->lines + 1) * (load->capacity / LINES_PER_CAPACITY)) {
        print_line(load);
    }
    pthread_mutex_unlock(&load->mutex);
}

static void count_get(struct load *load, uint64_t bytes, bool hit, double seconds) {
    pthread_mutex_lock(&load->mutex);
    load->counts.gets++;
    load->counts.hits += hit;
    load->counts.get_bytes += bytes;
    load->counts.get_us[bucket_of(seconds)] += hit;
    pthread_mutex_unlock(&load->mutex);
}

/* ---- one worker ------------------------------------------------------------------------------ */

static void put(struct load *load, struct memkv_client *client, uint8_t *value, uint64_t number) {
    struct memkv_error error;
    const uint32_t bytes = size_of(load, number);
    memcpy(value, load->pattern, bytes);
    memcpy(value, &number, sizeof number);
    const double begin_s = now_s();
    const enum memkv_status status =
        memkv_put(client, &number, sizeof number, value, bytes, 0, &error);
    if (status != MEMKV_OK && status != MEMKV_NO_SPACE) {
        fail("a put", error.text);
    }
    count_put(load, bytes, status, now_s() - begin_s);
}

static void get(struct load *load, struct memkv_client *client, uint8_t *value, uint64_t number) {
    struct memkv_error error;
    uint64_t bytes = 0;
    const double begin_s = now_s();
    const enum memkv_status status =
        memkv_get(client, &number, sizeof number, value, VALUE_BYTES_MAX, &bytes, &error);
    const double seconds = now_s() - begin_s;
    if (status != MEMKV_OK && status != MEMKV_NOT_FOUND) {
        fail("a get", error.text);
    }
    if (status == MEMKV_OK &&
        (bytes != size_of(load, number) || memcmp(value, &number, sizeof number) != 0 ||
         memcmp(value + 8, load->pattern + 8, bytes - 8) != 0)) {
        fail("a get", "brings other bytes than were put");
    }
    count_get(load, status == MEMKV_OK ? bytes : 0, status == MEMKV_OK, seconds);
}

static void *work(void *context) {
    struct load *load = context;
    struct memkv_error error;
    struct memkv_client *client = NULL;
    const struct memkv_options options = {.servers = load->server, .timeout_ms = 120000};
    uint8_t *value = malloc(VALUE_BYTES_MAX);
    if (value == NULL || memkv_open(&options, &client, &error) != MEMKV_OK) {
        fail("a client", value == NULL ? "there is no memory" : error.text);
    }
    for (;;) {
        pthread_mutex_lock(&load->mutex);
        const bool over = load->put_bytes >= load->bytes_all;
        pthread_mutex_unlock(&load->mutex);
        if (over) {
            break;
        }
        const uint64_t number = atomic_fetch_add(&load->number, 1) + 1;
        put(load, client, value, number);
        /* Numbers below 1 wrap around to such that no key has. */
        get(load, client, value, number - (uint64_t)exp(share_of(~number) * load->reach));
    }
    memkv_close(client);
    free(value);
    return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void parse_sizes(struct load *load, char *text) {
    double keys = 0;
    char *rest = NULL;
    for (char *part = strtok_r(text, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        char *end = NULL;
        const unsigned long long bytes = strtoull(part, &end, 10);
        if (*end != 0 || bytes < 16 || bytes > VALUE_BYTES_MAX || load->size_count == SIZES_MAX) {
            fail("BYTES", "are up to 16 numbers from 16 to 33554432, with commas between them");
        }
        keys += 1.0 / (double)bytes;
        load->shares[load->size_count] = keys;
        load->sizes[load->size_count] = (uint32_t)bytes;
        load->size_count++;
    }
    for (uint32_t index = 0; index < load->size_count; index++) {
        load->shares[index] /= keys;
    }
    const double mean = (double)load->size_count / keys;
    load->reach = log(fmax(REACH * (double)load->capacity / mean, 2));
}

int main(int argc, char **argv) {
    static struct load load;
    if (argc != 6) {
        fprintf(stderr, "usage: capacity_bench SERVER CAPACITY TIMES BYTES[,BYTES...] WORKERS\n");
        return 2;
    }
    load.server = argv[1];
    load.capacity = strtoull(argv[2], NULL, 10);
    load.bytes_all = load.capacity * strtoull(argv[3], NULL, 10);
    const unsigned long workers = strtoul(argv[5], NULL, 10);
    if (load.capacity < LINES_PER_CAPACITY || load.bytes_all == 0 || workers < 1 ||
        workers > WORKERS_MAX) {
        fail("the arguments", "CAPACITY and TIMES are numbers above 0, WORKERS is 1 to 64");
    }
    parse_sizes(&load, argv[4]);
    load.pattern = malloc(VALUE_BYTES_MAX);
    if (load.pattern == NULL) {
        fail("memory", "there is none");
    }
    for (uint32_t at = 0; at < VALUE_BYTES_MAX; at++) {
        load.pattern[at] = (uint8_t)(at * 2654435761u >> 13);
    }
    pthread_mutex_init(&load.mutex, NULL);
    load.since_s = now_s();
    pthread_t threads[WORKERS_MAX];
    for (unsigned long index = 0; index < workers; index++) {
        if (pthread_create(&threads[index], NULL, work, &load) != 0) {
            fail("a thread", "there is none to be had");
        }
    }
    for (unsigned long index = 0; index < workers; index++) {
        pthread_join(threads[index], NULL);
    }
    free(load.pattern);
    return 0;
}
