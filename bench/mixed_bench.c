/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open loop of requests to a cache that speaks RESP, and what they came to as a line of JSON.
 *
 *   mixed_bench PORT BLOCK_BYTES RATE WORKERS < PLAN
 *
 * PLAN has a request a line: the numbers of its blocks. A request gets its blocks one after
 * another until the first that is missing, and then sets that one and all behind it, as an
 * inference engine does that has computed them. What came before the first miss are its hits. RATE
 * is of blocks a second: a request is due when those before it have had their time, whether the
 * server has kept up or not, and its latency counts from then on. WORKERS connections carry them
 * out, each one at a time. Every block has bytes of its own, by which a get is checked.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"
#include "core/base.h"

#define WORKERS_MAX 256u
#define HEAD_BYTES 128u
#define STAMP_EVERY_BYTES 4096u

struct plan {
    uint64_t *blocks;
    uint64_t block_count;
    uint64_t *starts; /* of each request among the blocks; one more at the end */
    uint64_t request_count;
};

struct run {
    struct plan plan;
    uint16_t port;
    uint64_t block_bytes;
    double rate;
    uint64_t begin_ns;
    atomic_ullong next;
    atomic_ullong hits;
    atomic_ullong sets;
    uint64_t *latency_ns; /* of each request */
};

struct worker {
    struct run *run;
    pthread_t thread;
    int fd;
    uint8_t *bytes; /* head, block, and the line end behind it */
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "mixed_bench: %s: %s\n", what, why);
    exit(1);
}

static void *allocate(uint64_t count, size_t bytes) {
    void *memory = calloc(count, bytes);
    if (memory == NULL) {
        fail("memory", "there is none left");
    }
    return memory;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static void *grow(void *memory, uint64_t count, uint64_t *room) {
    if (count < *room) {
        return memory;
    }
    *room = *room == 0 ? 4096 : *room * 2;
    void *larger = realloc(memory, *room * sizeof(uint64_t));
    if (larger == NULL) {
        fail("memory", "there is none left");
    }
    return larger;
}

static void plan_read(struct plan *plan) {
    uint64_t blocks_room = 0;
    uint64_t starts_room = 0;
    char *line = NULL;
    size_t line_room = 0;
    while (getline(&line, &line_room, stdin) > 0) {
        plan->starts = grow(plan->starts, plan->request_count + 1, &starts_room);
        plan->starts[plan->request_count++] = plan->block_count;
        char *at = line;
        char *end;
        for (uint64_t block = strtoull(at, &end, 10); end != at; block = strtoull(at, &end, 10)) {
            plan->blocks = grow(plan->blocks, plan->block_count, &blocks_room);
            plan->blocks[plan->block_count++] = block;
            at = end;
        }
    }
    free(line);
    if (plan->block_count == 0) {
        fail("the plan", "is empty");
    }
    plan->starts[plan->request_count] = plan->block_count;
}

/* ---- one connection -------------------------------------------------------------------------- */

static void connect_worker(struct worker *worker) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(worker->run->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const int one = 1;
    worker->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (worker->fd < 0 ||
        connect(worker->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        fail("the server", "cannot be connected to");
    }
    (void)setsockopt(worker->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    worker->bytes = allocate(1, HEAD_BYTES + worker->run->block_bytes + 2);
}

static void send_all(struct worker *worker, const uint8_t *bytes, uint64_t byte_count) {
    while (byte_count > 0) {
        const ssize_t sent = send(worker->fd, bytes, byte_count, MSG_NOSIGNAL);
        if (sent <= 0) {
            fail("the server", "has closed a connection");
        }
        bytes += sent;
        byte_count -= (uint64_t)sent;
    }
}

/* Reads a reply's first line, and what came with it. Returns the bytes of the line with its end. */
static uint64_t receive_line(struct worker *worker, uint64_t *got) {
    *got = 0;
    for (;;) {
        const ssize_t more = recv(worker->fd, worker->bytes + *got,
                                  HEAD_BYTES + worker->run->block_bytes + 2 - *got, 0);
        if (more <= 0) {
            fail("the server", "has closed a connection");
        }
        *got += (uint64_t)more;
        const uint8_t *end = memchr(worker->bytes, '\n', *got);
        if (end != NULL) {
            return (uint64_t)(end - worker->bytes) + 1;
        }
    }
}

/* The number stands all over the block, so that no two have a part in common. */
static void stamp(uint8_t *block, uint64_t block_bytes, uint64_t number) {
    for (uint64_t at = 0; at + sizeof number <= block_bytes; at += STAMP_EVERY_BYTES) {
        memcpy(block + at, &number, sizeof number);
    }
}

static bool get_block(struct worker *worker, uint64_t number) {
    const uint64_t block_bytes = worker->run->block_bytes;
    char text[HEAD_BYTES];
    char key[32];
    const int key_bytes = snprintf(key, sizeof key, "block:%" PRIu64, number);
    const int text_bytes =
        snprintf(text, sizeof text, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", key_bytes, key);
    send_all(worker, (const uint8_t *)text, (uint64_t)text_bytes);
    uint64_t got;
    const uint64_t head = receive_line(worker, &got);
    if (memcmp(worker->bytes, "$-1", 3) == 0 || worker->bytes[0] == '_') {
        return false;
    }
    if (worker->bytes[0] != '$' ||
        strtoull((const char *)worker->bytes + 1, NULL, 10) != block_bytes) {
        fail(key, "has another reply than its block");
    }
    while (got < head + block_bytes + 2) {
        const ssize_t more = recv(worker->fd, worker->bytes + got, head + block_bytes + 2 - got, 0);
        if (more <= 0) {
            fail("the server", "has closed a connection");
        }
        got += (uint64_t)more;
    }
    uint64_t first;
    memcpy(&first, worker->bytes + head, sizeof first);
    if (first != number) {
        fail(key, "has the bytes of another block");
    }
    return true;
}

static void set_block(struct worker *worker, uint64_t number) {
    const uint64_t block_bytes = worker->run->block_bytes;
    char key[32];
    const int key_bytes = snprintf(key, sizeof key, "block:%" PRIu64, number);
    const int head =
        snprintf((char *)worker->bytes, HEAD_BYTES,
                 "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%" PRIu64 "\r\n", key_bytes, key, block_bytes);
    stamp(worker->bytes + head, block_bytes, number);
    memcpy(worker->bytes + head + block_bytes, "\r\n", 2);
    send_all(worker, worker->bytes, (uint64_t)head + block_bytes + 2);
    uint64_t got;
    (void)receive_line(worker, &got);
    if (memcmp(worker->bytes, "+OK", 3) != 0) {
        worker->bytes[HEAD_BYTES] = '\0';
        fail(key, (const char *)worker->bytes);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void wait_until(uint64_t when_ns) {
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    if (now_ns < when_ns) {
        const struct timespec wait = {.tv_sec = (time_t)((when_ns - now_ns) / 1000000000u),
                                      .tv_nsec = (long)((when_ns - now_ns) % 1000000000u)};
        (void)nanosleep(&wait, NULL);
    }
}

static void *work(void *context) {
    struct worker *worker = context;
    struct run *run = worker->run;
    const struct plan *plan = &run->plan;
    for (;;) {
        const uint64_t request = atomic_fetch_add(&run->next, 1);
        if (request >= plan->request_count) {
            return NULL;
        }
        const uint64_t due_ns =
            run->begin_ns + (uint64_t)((double)plan->starts[request] / run->rate * 1e9);
        wait_until(due_ns);
        uint64_t at = plan->starts[request];
        const uint64_t end = plan->starts[request + 1];
        while (at < end && get_block(worker, plan->blocks[at])) {
            at++;
        }
        atomic_fetch_add(&run->hits, at - plan->starts[request]);
        atomic_fetch_add(&run->sets, end - at);
        for (; at < end; at++) {
            set_block(worker, plan->blocks[at]);
        }
        run->latency_ns[request] = mkv_clock_monotonic_ns() - due_ns;
    }
}

static int compare(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void report(struct run *run, double seconds) {
    const uint64_t count = run->plan.request_count;
    qsort(run->latency_ns, count, sizeof *run->latency_ns, compare);
    printf("{\"requests\": %" PRIu64 ", \"blocks\": %" PRIu64 ", \"hits\": %llu, \"sets\": %llu, "
           "\"seconds\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
           count, run->plan.block_count, atomic_load(&run->hits), atomic_load(&run->sets), seconds,
           (double)run->latency_ns[count / 2] / 1e6,
           (double)run->latency_ns[count - 1 - count / 100] / 1e6);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: mixed_bench PORT BLOCK_BYTES RATE WORKERS < PLAN\n");
        return 2;
    }
    struct run run = {
        .port = (uint16_t)strtoul(argv[1], NULL, 10),
        .block_bytes = strtoull(argv[2], NULL, 10),
        .rate = strtod(argv[3], NULL),
    };
    const uint32_t workers = (uint32_t)strtoul(argv[4], NULL, 10);
    if (run.port == 0 || run.block_bytes < HEAD_BYTES || run.block_bytes > MKV_BLOCK_BYTES_MAX ||
        !(run.rate > 0) || workers == 0 || workers > WORKERS_MAX) {
        fail("arguments", "a port, bytes of a block, a rate above 0, and 1 to 256 workers");
    }
    plan_read(&run.plan);
    run.latency_ns = allocate(run.plan.request_count, sizeof *run.latency_ns);
    struct worker *all = allocate(workers, sizeof *all);
    for (uint32_t index = 0; index < workers; index++) {
        all[index].run = &run;
        connect_worker(&all[index]);
    }
    run.begin_ns = mkv_clock_monotonic_ns();
    for (uint32_t index = 0; index < workers; index++) {
        if (pthread_create(&all[index].thread, NULL, work, &all[index]) != 0) {
            fail("a thread", "cannot be started");
        }
    }
    for (uint32_t index = 0; index < workers; index++) {
        pthread_join(all[index].thread, NULL);
        close(all[index].fd);
        free(all[index].bytes);
    }
    report(&run, (double)(mkv_clock_monotonic_ns() - run.begin_ns) / 1e9);
    free(all);
    free(run.latency_ns);
    free(run.plan.blocks);
    free(run.plan.starts);
    return 0;
}
