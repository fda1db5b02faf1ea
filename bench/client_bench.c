/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call of libmemkv takes: calls of one item against a server, one after another and with
 * IN_FLIGHT of them at a time. bench/client runs it with and without exporters in the library.
 *
 *   client_bench HOST:PORT CALLS  ──▶  waiting CALLS_PER_S PROCESSOR_US, submitted …, a line each
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "client/memkv.h"

#define IN_FLIGHT 64u
#define KEY "bench"
#define CALLS_MAX 100000000ul

static void fail(const struct memkv_error *error) {
    fprintf(stderr, "client_bench: %s\n", error->text);
    exit(1);
}

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void wait_each(struct memkv_client *client, unsigned long calls) {
    struct memkv_error error;
    for (unsigned long call = 0; call < calls; call++) {
        if (memkv_exists(client, KEY, strlen(KEY), &error) != MEMKV_OK) {
            fail(&error);
        }
    }
}

static void submit_all(struct memkv_client *client, unsigned long calls) {
    static struct memkv_item items[IN_FLIGHT];
    struct memkv_completion completions[IN_FLIGHT];
    struct memkv_error error;
    unsigned long begun = 0;
    unsigned long done = 0;
    for (; begun < IN_FLIGHT && begun < calls; begun++) {
        items[begun] =
            (struct memkv_item){.op = MEMKV_OP_EXISTS, .key = KEY, .key_bytes = strlen(KEY)};
        if (memkv_submit(client, &items[begun], 1, begun, 0, &error) != MEMKV_OK) {
            fail(&error);
        }
    }
    while (done < calls) {
        const size_t count = memkv_wait(client, completions, IN_FLIGHT, 10000);
        for (size_t index = 0; index < count; index++, done++) {
            if (completions[index].error.status != MEMKV_OK) {
                fail(&completions[index].error);
            }
            if (begun < calls) {
                const uint64_t place = completions[index].cookie;
                begun++;
                if (memkv_submit(client, &items[place], 1, place, 0, &error) != MEMKV_OK) {
                    fail(&error);
                }
            }
        }
    }
}

static void measure(const char *name, struct memkv_client *client, unsigned long calls,
                    void (*work)(struct memkv_client *client, unsigned long calls)) {
    work(client, calls / 10 + 1); /* warm */
    const double begin = seconds_of(CLOCK_MONOTONIC);
    const double begin_processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    work(client, calls);
    const double processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - begin_processor;
    const double elapsed = seconds_of(CLOCK_MONOTONIC) - begin;
    printf("%s %.1f %.4f\n", name, (double)calls / elapsed, processor / (double)calls * 1e6);
}

int main(int argument_count, char **arguments) {
    const unsigned long calls = argument_count == 3 ? strtoul(arguments[2], NULL, 10) : 0;
    if (calls == 0 || calls > CALLS_MAX) {
        fprintf(stderr, "usage: client_bench HOST:PORT CALLS\n");
        return 2;
    }
    const struct memkv_options options = {.servers = arguments[1], .client_name = "client_bench"};
    struct memkv_client *client;
    struct memkv_error error;
    if (memkv_open(&options, &client, &error) != MEMKV_OK ||
        memkv_put(client, KEY, strlen(KEY), "value", 5, 0, &error) != MEMKV_OK) {
        fail(&error);
    }
    measure("waiting", client, calls, wait_each);
    measure("submitted", client, calls * 4, submit_all);
    memkv_close(client);
    return 0;
}
