/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load on several servers from one thread: so many calls in flight, each with a value of its key
 * that is compared when it comes back, until standard input ends.
 *
 *   servers_client LIST IN_FLIGHT TIMEOUT_MS CONNECTIONS [PAUSE_MS]
 *
 * With a pause it takes completions so often at most, and leaves the machine to others. The list
 * "-" is what the environment says (MEMKV_SERVERS, MEMKV_DISCOVERY).
 *
 * Prints a line of sums about five times a second:
 *
 *   ok N misses N down N unavailable N unknown N other N wrong N slowest_ms N
 *
 * misses: not found, by a server that was there; down: not found, because its server was not;
 * unavailable: UNAVAILABLE, DEADLINE or BUSY; wrong: bytes that were never put under their key.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/memkv.h"

#define KEYS 997u
#define VALUE_BYTES_MAX (160u * 1024u)
#define COMPLETIONS_MAX 64u
#define IN_FLIGHT_MAX 5000u
#define LINE_EVERY_MS 200u

struct slot {
    struct memkv_item item;
    char key[16];
    uint32_t number; /* of the key */
    uint64_t begin_ms;
    uint8_t *buffer;
};

struct sums {
    uint64_t ok, misses, down, unavailable, unknown, other, wrong, slowest_ms;
};

static uint8_t pool[VALUE_BYTES_MAX + KEYS];

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* The value of a key: its bytes and how many they are depend on its number alone. */
static const uint8_t *value_of(uint32_t number, uint64_t *byte_count) {
    *byte_count = number % 16 == 0 ? VALUE_BYTES_MAX - number : number * 7;
    return pool + number;
}

static void begin(struct memkv_client *client, struct slot *slot, uint64_t cookie,
                  uint32_t *random) {
    *random = *random * 1664525u + 1013904223u;
    const uint32_t choice = *random >> 24;
    *random = *random * 1664525u + 1013904223u;
    slot->number = (*random >> 8) % KEYS;
    slot->begin_ms = now_ms();
    snprintf(slot->key, sizeof slot->key, "key-%u", slot->number);
    slot->item = (struct memkv_item){.key = slot->key, .key_bytes = strlen(slot->key)};
    if (choice < 90) {
        slot->item.op = MEMKV_OP_PUT;
        slot->item.flags = MEMKV_RELAXED;
        slot->item.data = value_of(slot->number, &slot->item.data_bytes);
    } else if (choice < 220) {
        slot->item.op = MEMKV_OP_GET;
        slot->item.buffer = slot->buffer;
        slot->item.capacity = VALUE_BYTES_MAX;
        memset(slot->buffer, 0x5a, 64);
    } else {
        slot->item.op = choice < 245 ? MEMKV_OP_EXISTS : MEMKV_OP_DELETE;
    }
    struct memkv_error error;
    if (memkv_submit(client, &slot->item, 1, cookie, 0, &error) != MEMKV_OK) {
        fprintf(stderr, "submit: %s\n", error.text);
        exit(1);
    }
}

static void count(const struct slot *slot, struct sums *sums) {
    const struct memkv_item *item = &slot->item;
    const uint64_t took_ms = now_ms() - slot->begin_ms;
    sums->slowest_ms = took_ms > sums->slowest_ms ? took_ms : sums->slowest_ms;
    uint64_t byte_count = 0;
    const uint8_t *value = value_of(slot->number, &byte_count);
    switch (item->status) {
    case MEMKV_OK:
        if (item->op == MEMKV_OP_GET &&
            (item->byte_count != byte_count || memcmp(slot->buffer, value, byte_count) != 0)) {
            sums->wrong++;
        } else {
            sums->ok++;
        }
        break;
    case MEMKV_NOT_FOUND:
        if (item->miss == MEMKV_MISS_SERVER_DOWN || item->miss == MEMKV_MISS_DEADLINE) {
            sums->down++;
        } else {
            sums->misses++;
        }
        break;
    case MEMKV_UNAVAILABLE:
    case MEMKV_DEADLINE:
    case MEMKV_BUSY:
        sums->unavailable++;
        break;
    case MEMKV_UNKNOWN:
        sums->unknown++;
        break;
    case MEMKV_NO_SPACE:
    case MEMKV_IO_ERROR:
    case MEMKV_INVALID:
    case MEMKV_FORBIDDEN:
    case MEMKV_CONFLICT:
    case MEMKV_QUOTA:
    case MEMKV_CORRUPT:
    case MEMKV_TOO_SMALL:
    case MEMKV_CALLBACK:
    case MEMKV_NO_MEMORY:
    case MEMKV_CANCELLED:
        fprintf(stderr, "%s of %s: %s\n", item->op == MEMKV_OP_GET ? "get" : "other", slot->key,
                memkv_status_name(item->status));
        sums->other++;
        break;
    }
}

static void print(const struct sums *sums) {
    printf("ok %" PRIu64 " misses %" PRIu64 " down %" PRIu64 " unavailable %" PRIu64
           " unknown %" PRIu64 " other %" PRIu64 " wrong %" PRIu64 " slowest_ms %" PRIu64 "\n",
           sums->ok, sums->misses, sums->down, sums->unavailable, sums->unknown, sums->other,
           sums->wrong, sums->slowest_ms);
    fflush(stdout);
}

/* Somebody has closed standard input, or written to it. */
static bool is_over(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) == 1;
}

static void run(struct memkv_client *client, struct slot *slots, uint32_t in_flight,
                uint32_t pause_ms) {
    struct sums sums = {0};
    uint32_t random = 1;
    uint64_t line_ms = now_ms();
    for (uint32_t index = 0; index < in_flight; index++) {
        begin(client, &slots[index], index, &random);
    }
    bool over = false;
    while (memkv_in_flight(client) > 0) {
        struct memkv_completion completions[COMPLETIONS_MAX];
        if (pause_ms > 0) {
            usleep(pause_ms * 1000u);
        }
        const size_t taken = memkv_wait(client, completions, COMPLETIONS_MAX, LINE_EVERY_MS);
        for (size_t index = 0; index < taken; index++) {
            struct slot *slot = &slots[completions[index].cookie];
            count(slot, &sums);
            if (!over) {
                begin(client, slot, completions[index].cookie, &random);
            }
        }
        if (now_ms() >= line_ms + LINE_EVERY_MS) {
            line_ms = now_ms();
            print(&sums);
            over = over || is_over();
        }
    }
    print(&sums);
}

int main(int argc, char **argv) {
    const uint32_t in_flight = argc == 5 || argc == 6 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    const uint32_t pause_ms = argc == 6 ? (uint32_t)strtoul(argv[5], NULL, 10) : 0;
    if (in_flight < 1 || in_flight > IN_FLIGHT_MAX) {
        fprintf(stderr, "usage: servers_client LIST IN_FLIGHT TIMEOUT_MS CONNECTIONS [PAUSE_MS]\n");
        return 2;
    }
    for (uint32_t index = 0; index < sizeof pool; index++) {
        pool[index] = (uint8_t)((index * 2654435761u) >> 24);
    }
    const struct memkv_options options = {.servers = strcmp(argv[1], "-") == 0 ? NULL : argv[1],
                                          .timeout_ms = (uint32_t)strtoul(argv[3], NULL, 10),
                                          .connections = (uint32_t)strtoul(argv[4], NULL, 10),
                                          .client_name = "servers_client"};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    struct slot *slots = calloc(in_flight, sizeof *slots);
    uint8_t *buffers = malloc((size_t)in_flight * VALUE_BYTES_MAX);
    if (slots == NULL || buffers == NULL) {
        return 1;
    }
    for (uint32_t index = 0; index < in_flight; index++) {
        slots[index].buffer = buffers + (size_t)index * VALUE_BYTES_MAX;
    }
    if (memkv_open(&options, &client, &error) != MEMKV_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    run(client, slots, in_flight, pause_ms);
    memkv_close(client);
    free(buffers);
    free(slots);
    return 0;
}
