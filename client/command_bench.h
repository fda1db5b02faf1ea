/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measuring of `memkv bench`: for each block size writes for a while, then reads for a while,
 * with so many in flight, through libmemkv.
 *
 *   write, timed ─▶ write the rest ─▶ read each, compare whole ─▶ read, timed ─▶ delete each
 *
 *   key    memkv-bench/RUN/BYTES/NUMBER
 *   value  stamp | noise, the same in all | stamp       stamp: run, number, sequence
 *
 * Invariants
 *  I1  No key has two writes in flight, so that its value is known: what a read brings is held
 *      against it, the stamps of every read, the whole value of one read of each key.
 *  I2  Behind the return no key is left that could be deleted; the rest expires.
 *  I3  A size takes twice its seconds, and the time of writing, reading and deleting its keys once;
 *      each call has the client's timeout. `stop` ends it with the next completion.
 *
 * Not responsible for: options, printing.
 */
#ifndef MKV_CLIENT_COMMAND_BENCH_H
#define MKV_CLIENT_COMMAND_BENCH_H

#include <signal.h>
#include <stdbool.h>

#include "client/memkv.h"

#define BENCH_SIZES_MAX 16u
#define BENCH_IN_FLIGHT_MAX 256u
#define BENCH_KEYS_MAX 4096u
#define BENCH_FABRIC_BYTES 16u
/* Both stamps fit. */
#define BENCH_VALUE_BYTES_MIN 64u
#define BENCH_VALUE_BYTES_MAX (512ull * 1024u * 1024u)

enum bench_op {
    BENCH_WRITE = 0,
    BENCH_READ
};
#define BENCH_OPS 2u
/* "write", "read". */
extern const char *const bench_op_names[BENCH_OPS];

struct bench_options {
    uint64_t sizes[BENCH_SIZES_MAX];
    uint32_t size_count;
    bool ops[BENCH_OPS];
    uint32_t seconds; /* of each line */
    uint32_t in_flight;
    uint64_t footprint_bytes; /* of the keys of a size, which bounds what is in flight, too */
    bool is_durable;
    uint32_t timeout_ms;
};

/* A line of the table. */
struct bench_row {
    enum bench_op op;
    uint64_t block_bytes;
    uint32_t in_flight;
    uint64_t operations;
    double seconds;
    double cpu_seconds;      /* of this process */
    double host_cpu_seconds; /* of all of this host, its kernel included; 0: it does not tell */
    double p50_us;
    double p99_us;
    char fabric[BENCH_FABRIC_BYTES]; /* at its end */
};

struct bench_result {
    uint64_t round_trips;
    double round_trip_p50_us;
    double round_trip_p99_us;
    struct bench_row rows[BENCH_SIZES_MAX * BENCH_OPS];
    uint32_t row_count;
};

/* How many are in flight of a size: two blocks of the footprint for each, one at least. */
uint32_t bench_in_flight(const struct bench_options *options, uint64_t block_bytes);

/* Measures. Not MEMKV_OK: *error says why; rows that were finished are there all the same, as when
 * *stop was set, which is MEMKV_CANCELLED. */
enum memkv_status bench_run(struct memkv_client *client, const struct bench_options *options,
                            const volatile sig_atomic_t *stop, struct bench_result *result,
                            struct memkv_error *error);

#endif
