/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gets or puts blocks through libmemkv from one thread, so many in flight, and prints what it took
 * as a line of JSON. bench/native runs it in turns with iperf3 and redis-benchmark.
 *
 *   native_bench get HOST:PORT BLOCK_BYTES IN_FLIGHT CONNECTIONS COUNT KEYS
 *       gets "key:000000000000" and so on, KEYS of them round and round, each whole and verified
 *   native_bench put HOST:PORT BLOCK_BYTES IN_FLIGHT CONNECTIONS COUNT PREFIX
 *       relaxed puts of blocks that all differ, under PREFIX000000000000 and so on
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "backends/clock.h"
#include "client/memkv.h"
#include "core/base.h"

#define IN_FLIGHT_MAX 64u
#define KEY_BYTES 64u
#define TIMEOUT_MS 60000u
/* Behind the number of the block: what all blocks have in common. */
#define NUMBER_BYTES 8u

struct place {
    struct memkv_item item;
    char key[KEY_BYTES];
    uint8_t *bytes;
    uint64_t number;
};

struct run {
    bool put;
    uint64_t block_bytes;
    uint64_t count;
    uint64_t keys;
    const char *prefix;
    struct memkv_client *client;
    struct place places[IN_FLIGHT_MAX];
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "native_bench: %s: %s\n", what, why);
    exit(1);
}

static uint64_t cpu_ns(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000u;
}

/* Bytes that look like noise, the same in every run. */
static void fill_noise(uint8_t *bytes, uint64_t byte_count) {
    uint64_t state = 88172645463325252u;
    for (uint64_t at = 0; at + 8 <= byte_count; at += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(bytes + at, &state, 8);
    }
}

static void begin(struct run *run, struct place *place, uint64_t number) {
    struct memkv_error error;
    const uint64_t key = run->put ? number : number % run->keys;
    const int key_bytes =
        snprintf(place->key, sizeof place->key, "%s%012" PRIu64, run->prefix, key);
    place->number = key;
    place->item = (struct memkv_item){
        .op = run->put ? MEMKV_OP_PUT : MEMKV_OP_GET,
        .key = place->key,
        .key_bytes = (size_t)key_bytes,
    };
    if (run->put) {
        memcpy(place->bytes, &key, NUMBER_BYTES);
        place->item.flags = MEMKV_RELAXED;
        place->item.data = place->bytes;
        place->item.data_bytes = run->block_bytes;
    } else {
        place->item.buffer = place->bytes;
        place->item.capacity = run->block_bytes;
    }
    if (memkv_submit(run->client, &place->item, 1, (uint64_t)(place - run->places), 0, &error) !=
        MEMKV_OK) {
        fail("a request cannot be begun", error.text);
    }
}

static void check(const struct run *run, const struct memkv_completion *completion) {
    const struct place *place = &run->places[completion->cookie];
    uint64_t number;
    if (completion->error.status != MEMKV_OK) {
        fail(place->key, completion->error.text);
    }
    memcpy(&number, place->bytes, NUMBER_BYTES);
    if (!run->put && (place->item.byte_count != run->block_bytes || number != place->number)) {
        fail(place->key, "is not what was stored");
    }
}

static void move(struct run *run, uint64_t in_flight) {
    struct memkv_completion completions[IN_FLIGHT_MAX];
    uint64_t begun = 0;
    uint64_t ended = 0;
    while (begun < in_flight) {
        begin(run, &run->places[begun], begun);
        begun++;
    }
    while (ended < run->count) {
        const size_t got = memkv_wait(run->client, completions, IN_FLIGHT_MAX, TIMEOUT_MS);
        if (got == 0) {
            fail("the server", "does not answer");
        }
        for (size_t index = 0; index < got; index++) {
            check(run, &completions[index]);
            ended++;
            if (begun < run->count) {
                begin(run, &run->places[completions[index].cookie], begun++);
            }
        }
    }
}

static uint64_t number_of(const char *text, uint64_t least, uint64_t most) {
    char *end;
    const uint64_t number = strtoull(text, &end, 10);
    if (*end != '\0' || number < least || number > most) {
        fail(text, "is no number that fits here");
    }
    return number;
}

int main(int argc, char **argv) {
    if (argc != 8 || (strcmp(argv[1], "get") != 0 && strcmp(argv[1], "put") != 0)) {
        fprintf(stderr,
                "usage: native_bench get HOST:PORT BLOCK_BYTES IN_FLIGHT CONNECTIONS COUNT KEYS\n"
                "       native_bench put HOST:PORT BLOCK_BYTES IN_FLIGHT CONNECTIONS COUNT "
                "PREFIX\n");
        return 2;
    }
    struct run run = {
        .put = strcmp(argv[1], "put") == 0,
        .block_bytes = number_of(argv[3], NUMBER_BYTES, MKV_BLOCK_BYTES_MAX),
        .count = number_of(argv[6], 1, UINT32_MAX),
        .keys = 1,
        .prefix = "key:",
    };
    const uint64_t in_flight = mkv_min_u64(number_of(argv[4], 1, IN_FLIGHT_MAX), run.count);
    const struct memkv_options options = {
        .servers = argv[2],
        .timeout_ms = TIMEOUT_MS,
        .connections = (uint32_t)number_of(argv[5], 1, 64),
    };
    if (run.put) {
        run.prefix = argv[7];
    } else {
        run.keys = number_of(argv[7], 1, UINT32_MAX);
    }
    struct memkv_error error;
    if (memkv_open(&options, &run.client, &error) != MEMKV_OK) {
        fail(argv[2], error.text);
    }
    for (uint64_t index = 0; index < in_flight; index++) {
        run.places[index].bytes = malloc(run.block_bytes);
        if (run.places[index].bytes == NULL) {
            fail("memory", "there is none left");
        }
        fill_noise(run.places[index].bytes, run.block_bytes);
    }
    const uint64_t begin_ns = mkv_clock_monotonic_ns();
    const uint64_t begin_cpu_ns = cpu_ns();
    move(&run, in_flight);
    const double seconds = (double)(mkv_clock_monotonic_ns() - begin_ns) / 1e9;
    const double bytes = (double)run.count * (double)run.block_bytes;
    printf("{\"mib_per_s\": %.1f, \"client_cpu_us\": %.1f}\n", bytes / (double)MKV_MIB / seconds,
           (double)(cpu_ns() - begin_cpu_ns) / 1e3 / (double)run.count);
    memkv_close(run.client);
    for (uint64_t index = 0; index < in_flight; index++) {
        free(run.places[index].bytes);
    }
    return 0;
}
