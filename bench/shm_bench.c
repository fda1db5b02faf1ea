/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of a round of bench/shm: values of one size, got from memory with so many in flight,
 * over distinct blocks in turn, into as many buffers as are in flight.
 *
 *   shm_bench fill SERVERS SIZE BLOCKS            puts the blocks, relaxed
 *   shm_bench get SERVERS SIZE BLOCKS PASSES DEPTH     libmemkv, into buffers that it gives
 *   shm_bench plain SERVERS SIZE BLOCKS PASSES DEPTH   libmemkv, into memory of the program's own
 *   shm_bench memcpy - SIZE BLOCKS PASSES DEPTH   from blocks of this process
 *   shm_bench redis-fill PATH SIZE BLOCKS         SET, over a Unix socket
 *   shm_bench redis PATH SIZE BLOCKS PASSES DEPTH GET, pipelined
 *
 * Prints MiB/s. What is set up (connections, buffers, pages) is not in the time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/memkv.h"
#include "core/base.h"

#define DEPTH_MAX 64u
#define KEY_BYTES 32u
#define WARM_GETS 64u

struct run {
    const char *target;
    uint64_t size;
    uint64_t blocks;
    uint64_t passes;
    uint64_t depth;
};

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "shm_bench: %s: %s\n", what, why);
    exit(1);
}

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void print_rate(const struct run *run, double begin_s) {
    const double bytes = (double)(run->size * run->blocks * run->passes);
    printf("%.1f\n", bytes / (1024.0 * 1024.0) / (now_s() - begin_s));
}

static size_t key_of(const struct run *run, uint64_t block, char key[KEY_BYTES]) {
    return (size_t)snprintf(key, KEY_BYTES, "b%" PRIu64 "-%06" PRIu64, run->size, block);
}

/* No two blocks are alike, and none is compressible to a page that is known. */
static void fill_block(uint8_t *bytes, uint64_t size, uint64_t block) {
    uint64_t state = 0x9e3779b97f4a7c15ull * (block + 1);
    for (uint64_t at = 0; at + 8 <= size; at += 8) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        memcpy(bytes + at, &state, 8);
    }
}

static uint8_t *pages(uint64_t bytes) {
    void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) {
        fail("memory", "there is none");
    }
    memset(made, 1, bytes);
    return made;
}

/* ---- libmemkv ------------------------------------------------------------------------------- */

static struct memkv_client *open_client(const struct run *run) {
    const struct memkv_options options = {.servers = run->target, .shared_mib = 256};
    struct memkv_client *client;
    struct memkv_error error;
    if (memkv_open(&options, &client, &error) != MEMKV_OK) {
        fail("open", error.text);
    }
    return client;
}

static void fill(const struct run *run) {
    struct memkv_client *client = open_client(run);
    uint8_t *bytes = memkv_buffer_alloc(client, run->size);
    for (uint64_t block = 0; block < run->blocks; block++) {
        char key[KEY_BYTES];
        struct memkv_error error;
        const size_t key_bytes = key_of(run, block, key);
        fill_block(bytes, run->size, block);
        if (memkv_put(client, key, key_bytes, bytes, run->size, MEMKV_RELAXED, &error) !=
            MEMKV_OK) {
            fail("put", error.text);
        }
    }
    memkv_close(client);
}

struct slot {
    char key[KEY_BYTES];
    struct memkv_item item;
};

static void begin_get(struct memkv_client *client, const struct run *run, struct slot *slot,
                      uint64_t number, uint64_t cookie) {
    struct memkv_error error;
    slot->item = (struct memkv_item){.op = MEMKV_OP_GET,
                                     .key = slot->key,
                                     .key_bytes = key_of(run, number % run->blocks, slot->key),
                                     .buffer = slot->item.buffer,
                                     .capacity = run->size};
    if (memkv_submit(client, &slot->item, 1, cookie, 0, &error) != MEMKV_OK) {
        fail("get", error.text);
    }
}

static void get_all(struct memkv_client *client, const struct run *run, struct slot *slots,
                    uint64_t count) {
    uint64_t begun = 0;
    uint64_t done = 0;
    for (; begun < run->depth && begun < count; begun++) {
        begin_get(client, run, &slots[begun], begun, begun);
    }
    while (done < count) {
        struct memkv_completion completions[DEPTH_MAX];
        const size_t taken = memkv_wait(client, completions, DEPTH_MAX, 10000);
        if (taken == 0) {
            fail("get", "no completion in 10 s");
        }
        for (size_t i = 0; i < taken; i++) {
            if (completions[i].items->status != MEMKV_OK ||
                completions[i].items->byte_count != run->size) {
                fail("get", completions[i].error.text);
            }
            done++;
            if (begun < count) {
                begin_get(client, run, &slots[completions[i].cookie], begun++,
                          completions[i].cookie);
            }
        }
    }
}

static void get(const struct run *run, bool is_shared) {
    struct memkv_client *client = open_client(run);
    struct slot slots[DEPTH_MAX] = {0};
    for (uint64_t i = 0; i < run->depth; i++) {
        slots[i].item.buffer = is_shared ? memkv_buffer_alloc(client, run->size) : pages(run->size);
    }
    get_all(client, run, slots, WARM_GETS);
    const double begin_s = now_s();
    get_all(client, run, slots, run->blocks * run->passes);
    print_rate(run, begin_s);
    memkv_close(client);
}

/* ---- memcpy --------------------------------------------------------------------------------- */

static void copy(const struct run *run) {
    uint8_t *source = pages(run->size * run->blocks);
    uint8_t *target = pages(run->size * run->depth);
    for (uint64_t block = 0; block < run->blocks; block++) {
        fill_block(source + block * run->size, run->size, block);
    }
    const double begin_s = now_s();
    for (uint64_t number = 0; number < run->blocks * run->passes; number++) {
        memcpy(target + number % run->depth * run->size, source + number % run->blocks * run->size,
               run->size);
        __asm__ volatile("" : : "r"(target) : "memory"); /* it is not left out */
    }
    print_rate(run, begin_s);
}

/* ---- redis-server --------------------------------------------------------------------------- */

static int connect_redis(const struct run *run) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t bytes = strlen(run->target);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bytes >= sizeof address.sun_path) {
        fail("redis", "its path is too long");
    }
    memcpy(address.sun_path, run->target, bytes);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("redis", "cannot connect");
    }
    return fd;
}

static void send_all(int fd, const void *bytes, size_t count) {
    size_t done = 0;
    while (done < count) {
        const ssize_t sent = send(fd, (const uint8_t *)bytes + done, count - done, MSG_NOSIGNAL);
        if (sent <= 0) {
            fail("redis", "it takes nothing more");
        }
        done += (size_t)sent;
    }
}

static void receive_all(int fd, void *bytes, size_t count) {
    if (recv(fd, bytes, count, MSG_WAITALL) != (ssize_t)count) {
        fail("redis", "it sends nothing more");
    }
}

static void redis_fill(const struct run *run) {
    const int fd = connect_redis(run);
    uint8_t *bytes = pages(run->size);
    for (uint64_t block = 0; block < run->blocks; block++) {
        char key[KEY_BYTES];
        char head[128];
        char answer[5];
        const size_t key_bytes = key_of(run, block, key);
        const int head_bytes =
            snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%" PRIu64 "\r\n",
                     key_bytes, key, run->size);
        fill_block(bytes, run->size, block);
        send_all(fd, head, (size_t)head_bytes);
        send_all(fd, bytes, run->size);
        send_all(fd, "\r\n", 2);
        receive_all(fd, answer, sizeof answer);
        if (memcmp(answer, "+OK\r\n", sizeof answer) != 0) {
            fail("redis", "SET was refused");
        }
    }
    close(fd);
}

static void ask_redis(const struct run *run, int fd, uint64_t number) {
    char key[KEY_BYTES];
    char text[128];
    const size_t key_bytes = key_of(run, number % run->blocks, key);
    const int bytes =
        snprintf(text, sizeof text, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", key_bytes, key);
    send_all(fd, text, (size_t)bytes);
}

static void get_redis_all(const struct run *run, int fd, uint8_t *target, uint64_t count) {
    char head[32];
    const int head_bytes = snprintf(head, sizeof head, "$%" PRIu64 "\r\n", run->size);
    uint64_t asked = 0;
    for (; asked < run->depth && asked < count; asked++) {
        ask_redis(run, fd, asked);
    }
    for (uint64_t done = 0; done < count; done++) {
        char came[32];
        char end[2];
        receive_all(fd, came, (size_t)head_bytes);
        if (memcmp(came, head, (size_t)head_bytes) != 0) {
            fail("redis", "it has not what was put");
        }
        receive_all(fd, target + done % run->depth * run->size, run->size);
        receive_all(fd, end, sizeof end);
        if (asked < count) {
            ask_redis(run, fd, asked++);
        }
    }
}

static void get_redis(const struct run *run) {
    const int fd = connect_redis(run);
    uint8_t *target = pages(run->size * run->depth);
    get_redis_all(run, fd, target, WARM_GETS);
    const double begin_s = now_s();
    get_redis_all(run, fd, target, run->blocks * run->passes);
    print_rate(run, begin_s);
    close(fd);
}

int main(int argument_count, char **arguments) {
    if (argument_count < 5) {
        fail("usage", "shm_bench SIDE TARGET SIZE BLOCKS [PASSES DEPTH]");
    }
    const char *side = arguments[1];
    struct run run = {
        .target = arguments[2],
        .size = strtoull(arguments[3], NULL, 10),
        .blocks = strtoull(arguments[4], NULL, 10),
        .passes = argument_count > 5 ? strtoull(arguments[5], NULL, 10) : 1,
        .depth = argument_count > 6 ? strtoull(arguments[6], NULL, 10) : 1,
    };
    if (run.size == 0 || run.blocks == 0 || run.passes == 0 || run.depth == 0 ||
        run.depth > DEPTH_MAX) {
        fail("usage", "numbers from 1 on, and a depth of at most 64");
    }
    if (strcmp(side, "fill") == 0) {
        fill(&run);
    } else if (strcmp(side, "get") == 0 || strcmp(side, "plain") == 0) {
        get(&run, strcmp(side, "get") == 0);
    } else if (strcmp(side, "memcpy") == 0) {
        copy(&run);
    } else if (strcmp(side, "redis-fill") == 0) {
        redis_fill(&run);
    } else if (strcmp(side, "redis") == 0) {
        get_redis(&run);
    } else {
        fail("no such side", side);
    }
    return 0;
}
